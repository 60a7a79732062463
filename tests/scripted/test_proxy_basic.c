/* SPDX-License-Identifier: Apache-2.0 */
/* What the proxy does with each message of a simple call, and with requests that are no INVITE. RFC
 * 3261 16.6, 16.7, 16.11; RFC 4320; RFC 6026. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

#include "calls.h"

#define TO_PHONE .uri = "sip:bob@10.0.0.3:5060"

static struct rig r;
static struct got got, inv, res;

static int setup(void **state)
{
    (void)state;
    rig_open(&r, OPEN);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    rig_close(&r);
    return 0;
}

/* INVITE through to the phone. */
static void invite(void)
{
    say_udp(&r, CALLER, &(struct say){TO_PHONE});
    rig_expect_method(&r, PHONE, "INVITE", &inv);
}

/* RFC 3261 16.6 step 3, 16.3 step 3. */
static void max_forwards_counts_down_and_is_added(void **state)
{
    (void)state;
    say_udp(&r, CALLER, &(struct say){TO_PHONE, .method = "MESSAGE", .hops = "1"});
    rig_expect_method(&r, PHONE, "MESSAGE", &got);
    assert_int_equal(got.msg.max_forwards, 0);
    answer_udp(&r, PHONE, &got, 200, "");
    rig_expect_status(&r, CALLER, 200, &got);
    say_udp(&r, CALLER, &(struct say){TO_PHONE, .method = "MESSAGE", .branch = "a2", .hops = ""});
    rig_expect_method(&r, PHONE, "MESSAGE", &got);
    assert_int_equal(got.msg.max_forwards, 70);
    answer_udp(&r, PHONE, &got, 200, "");
    rig_expect_status(&r, CALLER, 200, &got);
}

/* RFC 3261 16.6 step 8, RFC 3581. */
static void via_on_top_with_rport_and_received_below(void **state)
{
    (void)state;
    say_udp(&r, "10.0.0.9:7777", &(struct say){TO_PHONE, .sent_by = "caller.invalid:5062;rport"});
    rig_expect_method(&r, PHONE, "INVITE", &inv);
    assert_int_equal(rig_count(&inv, SIP_H_VIA), 2);
    assert_true(strncmp(rig_value(&inv, SIP_H_VIA, 0), "SIP/2.0/UDP ", 12) == 0);
    assert_non_null(strstr(rig_value(&inv, SIP_H_VIA, 0), ";rport"));
    assert_non_null(strstr(rig_value(&inv, SIP_H_VIA, 1), ";received=10.0.0.9"));
    assert_non_null(strstr(rig_value(&inv, SIP_H_VIA, 1), ";rport=7777"));
    answer_udp(&r, PHONE, &inv, 486, "");
    rig_expect_method(&r, PHONE, "ACK", &got);
    rig_expect_status(&r, "10.0.0.9:7777", 486, &got);
    assert_int_equal(rig_count(&got, SIP_H_VIA), 1);
}

/* RFC 3261 16.2: within 200 ms, unless the phone was faster. */
static void trying_comes_within_200_ms(void **state)
{
    (void)state;
    invite();
    fake_advance(r.loop, 99);
    rig_expect_none(&r, CALLER);
    fake_advance(r.loop, 101);
    rig_expect_status(&r, CALLER, 100, &got);
    answer_udp(&r, PHONE, &inv, 180, "");
    rig_expect_status(&r, CALLER, 180, &got);
    answer_udp(&r, PHONE, &inv, 486, "");
    rig_expect_method(&r, PHONE, "ACK", &got);
    rig_expect_status(&r, CALLER, 486, &got);
    ack_udp(&r, CALLER, &(struct say){TO_PHONE});
    say_udp(&r, CALLER, &(struct say){TO_PHONE, .branch = "a2", .call_id = "c2"});
    rig_expect_method(&r, PHONE, "INVITE", &inv);
    answer_udp(&r, PHONE, &inv, 180, "");
    rig_expect_status(&r, CALLER, 180, &got);
    fake_advance(r.loop, 1000);
    rig_expect_none(&r, CALLER);
    answer_udp(&r, PHONE, &inv, 486, "");
    rig_expect_status(&r, CALLER, 486, &got);
}

/* A worker that has slept answers no sooner: timers are set from the loop's time. */
static void trying_after_a_long_sleep(void **state)
{
    (void)state;
    fake_advance(r.loop, 123456);
    invite();
    rig_expect_none(&r, CALLER);
    fake_advance(r.loop, 99);
    rig_expect_none(&r, CALLER);
    fake_advance(r.loop, 1);
    rig_expect_status(&r, CALLER, 100, &got);
    answer_udp(&r, PHONE, &inv, 486, "");
}

/* RFC 3261 16.7 step 5: 100 ends here, other provisional responses go on, also repeated. */
static void provisional_responses(void **state)
{
    (void)state;
    invite();
    answer_udp(&r, PHONE, &inv, 100, "");
    rig_expect_none(&r, CALLER);
    answer_udp(&r, PHONE, &inv, 180, "");
    rig_expect_status(&r, CALLER, 180, &got);
    answer_udp(&r, PHONE, &inv, 183, "");
    rig_expect_status(&r, CALLER, 183, &got);
    answer_udp(&r, PHONE, &inv, 180, "");
    rig_expect_status(&r, CALLER, 180, &got);
    answer_udp(&r, PHONE, &inv, 302, "Contact: <sip:bob@10.0.0.77>\n");
    rig_expect_status(&r, CALLER, 302, &got);
    assert_string_equal(rig_value(&got, SIP_H_CONTACT, 0), "<sip:bob@10.0.0.77>");
}

/* A callee that sends provisional responses without end costs no more than so many, and Timer C. */
static void provisional_responses_without_end(void **state)
{
    (void)state;
    unsigned n = 0;
    struct fake_datagram d;
    invite();
    for (unsigned i = 0; i < 300; i++)
        answer_udp(&r, PHONE, &inv, 183, "");
    while (fake_take_datagram(r.loop, CALLER, &d))
        n++;
    assert_int_equal(n, 256);
    for (unsigned i = 0; i < 19; i++) { /* 190 s; Timer C has 180 */
        fake_advance(r.loop, 10000);
        answer_udp(&r, PHONE, &inv, 183, "");
    }
    rig_expect_method(&r, PHONE, "CANCEL", &got);
}

/* RFC 6026 8.9, RFC 3261 16.7 step 5: each copy of the 2xx goes on, and no other response after it;
 * also when only the transactions are left. */
static void every_copy_of_the_2xx_goes_on(void **state)
{
    (void)state;
    invite();
    for (unsigned i = 0; i < 3; i++) {
        answer_udp(&r, PHONE, &inv, 200, "Contact: <sip:bob@10.0.0.3:5060>\n");
        rig_expect_status(&r, CALLER, 200, &got);
        rig_expect_none(&r, CALLER);
    }
    fake_advance(r.loop, 1000);
    answer_udp(&r, PHONE, &inv, 200, "Contact: <sip:bob@10.0.0.3:5060>\n");
    rig_expect_status(&r, CALLER, 200, &got);
    answer_udp(&r, PHONE, &inv, 486, "");
    answer_udp(&r, PHONE, &inv, 180, "");
    rig_expect_none(&r, CALLER);
    /* A repeated INVITE is absorbed (RFC 6026 7.1). */
    say_udp(&r, CALLER, &(struct say){TO_PHONE});
    rig_expect_none(&r, NULL);
    fake_advance(r.loop, 33000);
    answer_udp(&r, PHONE, &inv, 200, "");
    rig_expect_none(&r, NULL);
}

/* RFC 6026 8.9: a response without a transaction is not forwarded. */
static void stray_responses_are_dropped(void **state)
{
    (void)state;
    invite();
    char text[4096];
    snprintf(text, sizeof(text), "%s", rig_response(&inv, 200, "x", ""));
    char *branch = strstr(text, "z9hG4bKhf");
    branch[12] = branch[12] == '7' ? '8' : '7';
    rig_udp(&r, PHONE, text);
    rig_expect_none(&r, NULL);
    assert_int_equal(rig_counter(&r, CTR_RESPONSE_STRAY), 1);
    answer_udp(&r, PHONE, &inv, 486, "");
}

/* A peer that throws our caller's Via away has spoiled its answer. */
static void response_without_the_other_vias(void **state)
{
    (void)state;
    invite();
    char text[4096];
    snprintf(text, sizeof(text), "%s", rig_response(&inv, 200, "x", ""));
    char *second = strstr(strstr(text, "Via: ") + 5, "Via: ");
    char *end = strchr(second, '\n') + 1;
    memmove(second, end, strlen(end) + 1);
    rig_udp(&r, PHONE, text);
    rig_expect_status(&r, CALLER, 502, &got);
}

/* RFC 3261 16.11, 13.2.2.4: an ACK of a 2xx leaves no state behind; its branch is always the same.
 */
static void ack_is_forwarded_without_state(void **state)
{
    (void)state;
    char first[256];
    struct say ack = {TO_PHONE, .method = "ACK", .branch = "ack", .to = "<sip:b@x>;tag=b"};
    say_udp(&r, CALLER, &ack);
    rig_expect_method(&r, PHONE, "ACK", &got);
    snprintf(first, sizeof(first), "%s", rig_value(&got, SIP_H_VIA, 0));
    assert_int_equal(rig_counter(&r, CTR_TXN_SERVER), 0);
    say_udp(&r, CALLER, &ack);
    rig_expect_method(&r, PHONE, "ACK", &got);
    assert_string_equal(rig_value(&got, SIP_H_VIA, 0), first);
    ack.hops = "0";
    say_udp(&r, CALLER, &ack);
    rig_expect_none(&r, NULL);
}

/* The same to a name, known at once or later. */
static void ack_to_a_name(void **state)
{
    (void)state;
    struct say ack = {.uri = "sip:bob@phone.invalid", .method = "ACK", .to = "<sip:b@x>;tag=b"};
    fake_set_host(r.loop, "phone.invalid", "10.0.0.3", 50);
    say_udp(&r, CALLER, &ack);
    rig_expect_none(&r, NULL);
    fake_advance(r.loop, 50);
    rig_expect_method(&r, PHONE, "ACK", &got);
    fake_set_host(r.loop, "none.invalid", "", 50);
    ack.uri = "sip:bob@none.invalid";
    say_udp(&r, CALLER, &ack);
    fake_advance(r.loop, 50);
    rig_expect_none(&r, NULL);
}

/* RFC 3261 16.11 through the directory: the ACK names the user, not the device. */
static void ack_to_a_dn(void **state)
{
    (void)state;
    register_udp(&r, "1001", PHONE, "");
    say_udp(&r, CALLER, &(struct say){.method = "ACK", .to = "<sip:b@x>;tag=b"});
    rig_expect_method(&r, PHONE, "ACK", &got);
    say_udp(&r, CALLER,
            &(struct say){.method = "ACK", .uri = "sip:nobody@10.0.0.1", .to = "<sip:b@x>;tag=b"});
    rig_expect_none(&r, NULL);
}

/* RFC 4320 4.1: of provisional responses only 100, and not before Timer E has reached T2. */
static void non_invite_gets_100_late(void **state)
{
    (void)state;
    say_udp(&r, CALLER, &(struct say){TO_PHONE, .method = "MESSAGE"});
    rig_expect_method(&r, PHONE, "MESSAGE", &inv);
    answer_udp(&r, PHONE, &inv, 100, "");
    answer_udp(&r, PHONE, &inv, 180, "");
    fake_advance(r.loop, 3499);
    rig_expect_none(&r, CALLER);
    fake_advance(r.loop, 1);
    rig_expect_status(&r, CALLER, 100, &got);
    answer_udp(&r, PHONE, &inv, 200, "");
    rig_expect_status(&r, CALLER, 200, &got);
}

/* RFC 4320 4.2: no 408 to what is no INVITE; the other targets are not tried either. */
static void non_invite_that_times_out_gets_nothing(void **state)
{
    (void)state;
    say_udp(&r, CALLER, &(struct say){TO_PHONE, .method = "MESSAGE"});
    fake_advance(r.loop, 31999);
    rig_expect_status(&r, CALLER, 100, &got);
    fake_advance(r.loop, 100);
    rig_expect_none(&r, CALLER);
    assert_int_equal(rig_counter(&r, CTR_TXN_TIMEOUT), 1);
    assert_int_equal(rig_counter(&r, CTR_TXN_SERVER), 0);
    rig_reload(&r, OPEN "failover-time = 0\n");
    fake_set_host(r.loop, "two.invalid", "10.0.0.4,10.0.0.5", 0);
    say_udp(&r, CALLER,
            &(struct say){.uri = "sip:b@two.invalid", .method = "MESSAGE", .branch = "a2"});
    fake_advance(r.loop, 60000);
    rig_expect_none(&r, THIRD);
}

static void received_408_is_passed_on_inside_a_dialog_only(void **state)
{
    (void)state;
    say_udp(&r, CALLER, &(struct say){TO_PHONE, .method = "MESSAGE"});
    rig_expect_method(&r, PHONE, "MESSAGE", &got);
    answer_udp(&r, PHONE, &got, 408, "");
    fake_advance(r.loop, 100);
    rig_expect_none(&r, CALLER);
    say_udp(&r, CALLER,
            &(struct say){TO_PHONE, .method = "INFO", .branch = "a2", .to = "<sip:b@x>;tag=b"});
    rig_expect_method(&r, PHONE, "INFO", &got);
    answer_udp(&r, PHONE, &got, 408, "");
    rig_expect_status(&r, CALLER, 408, &got);
}

/* RFC 3261 16.7 step 2 and 17.1.1.2: Timer B is a 408. */
static void silent_phone_is_408(void **state)
{
    (void)state;
    invite();
    fake_advance(r.loop, 31999);
    rig_expect_status(&r, CALLER, 100, &got);
    rig_expect_none(&r, CALLER);
    fake_advance(r.loop, 1);
    rig_expect_status(&r, CALLER, 408, &got);
    assert_non_null(strstr(got.text, "\r\nReason: SIP;cause=408"));
}

/* RFC 3261 section 11. */
static void options_to_the_proxy(void **state)
{
    (void)state;
    struct say o = {.method = "OPTIONS", .uri = "sip:10.0.0.1", .hops = "0"};
    say_udp(&r, CALLER, &o);
    rig_expect_status(&r, CALLER, 200, &got);
    assert_true(rig_count(&got, SIP_H_ALLOW) > 5);
    o.branch = "a2";
    o.extra = "Require: path, teleport\n";
    say_udp(&r, CALLER, &o);
    rig_expect_status(&r, CALLER, 420, &got);
    assert_string_equal(rig_value(&got, SIP_H_UNSUPPORTED, 0), "teleport");
    o = (struct say){.method = "INVITE", .uri = "sip:10.0.0.1", .branch = "a3"};
    say_udp(&r, CALLER, &o);
    rig_expect_status(&r, CALLER, 404, &got);
}

/* RFC 3261 16.6 step 1: what is not ours to change arrives as it was. */
static void unknown_parts_are_carried_through(void **state)
{
    (void)state;
    static const char extra[] = "X-Odd:   a ,b\n  folded\nSubject: =?x?\nsUPPORTED: 100rel\n";
    say_udp(&r, CALLER,
            &(struct say){TO_PHONE, .method = "FROBNICATE", .extra = extra, .body = "a\nb\n"});
    rig_expect_method(&r, PHONE, "FROBNICATE", &got);
    assert_non_null(strstr(got.text, "\r\nX-Odd:   a ,b\r\n  folded\r\nSubject: =?x?\r\n"
                                     "sUPPORTED: 100rel\r\n"));
    assert_non_null(strstr(got.text, "\r\n\r\na\nb\n"));
    assert_int_equal(rig_count(&got, SIP_H_RECORD_ROUTE), 0);
    answer_udp(&r, PHONE, &got, 200, "X-Answer: z\n");
    rig_expect_status(&r, CALLER, 200, &res);
    assert_non_null(strstr(res.text, "\r\nX-Answer: z\r\n"));
}

#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(max_forwards_counts_down_and_is_added),
        T(via_on_top_with_rport_and_received_below),
        T(trying_comes_within_200_ms),
        T(trying_after_a_long_sleep),
        T(provisional_responses),
        T(provisional_responses_without_end),
        T(every_copy_of_the_2xx_goes_on),
        T(stray_responses_are_dropped),
        T(response_without_the_other_vias),
        T(ack_is_forwarded_without_state),
        T(ack_to_a_name),
        T(ack_to_a_dn),
        T(non_invite_gets_100_late),
        T(non_invite_that_times_out_gets_nothing),
        T(received_408_is_passed_on_inside_a_dialog_only),
        T(silent_phone_is_408),
        T(options_to_the_proxy),
        T(unknown_parts_are_carried_through),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
