/* SPDX-License-Identifier: Apache-2.0 */
/* Calls onto dead connections, to the millisecond: found, reopened, sent again, and released where
 * nothing leads to the device. RFC 5626 4.4, 7; RFC 3261 18.2.2, 12.2.1.2. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

#include "calls.h"

#define ON                                                                                   \
    OPEN "sip-enable-tcp-keep-alive = true\ntcp-keep-alive-idle = 2\n"                       \
         "tcp-keep-alive-interval = 1\ntcp-keep-alive-probes = 2\ntcp-unacked-timeout = 5\n" \
         "tcp-reopen-delay = 1\ntcp-connect-timeout = 3\n"

static struct rig r;
static struct got got, inv, ok;
static struct fake_conn *conn; /* the phone's, by which it has registered */

static int teardown(void **state)
{
    (void)state;
    rig_close(&r);
    return 0;
}

static void begin(const char *options)
{
    rig_open(&r, options);
    conn = register_tcp(&r, "1001", "10.0.0.3", "");
    fake_advance(r.loop, 6000); /* the 200 is not worth sending again any more */
}

static const struct say call = {.branch = "i1"};
static const char contact[] = "Contact: <sip:1001@10.0.0.3:5060;transport=tcp>\n";

/* The n-th connection that we have opened to the phone. */
static struct fake_conn *opened(unsigned n)
{
    struct fake_conn *c = fake_opened(r.loop, PHONE, n);
    if (c == NULL)
        fail_msg("connection %u to the phone was not opened", n);
    return c;
}

/* The call goes on over that connection until it is established. */
static void answered_over(struct fake_conn *c)
{
    answer_tcp(c, &inv, 180, "");
    rig_expect_status(&r, CALLER, 180, &got);
    answer_tcp(c, &inv, 200, contact);
    rig_expect_status(&r, CALLER, 200, &ok);
}

/* A request of the caller inside the dialog. */
static struct say in_dialog(const char *method)
{
    static char routes[1024];
    snprintf(routes, sizeof(routes), "%s", route_set(&ok, true));
    return (struct say){.method = method,
                        .uri = "sip:1001@10.0.0.3:5060;transport=tcp",
                        .branch = method,
                        .to = "<sip:1001@10.0.0.1>;tag=t",
                        .cseq = 2,
                        .extra = routes};
}

static void established(const char *options)
{
    begin(options);
    say_udp(&r, CALLER, &call);
    expect_tcp_method(conn, "INVITE", &inv);
    answered_over(conn);
    struct say ack = in_dialog("ACK");
    ack.cseq = 1;
    say_udp(&r, CALLER, &ack);
    expect_tcp_method(conn, "ACK", &got);
    fake_advance(r.loop, 10000); /* nothing of the call is under way any more */
}

static void drop_trying(void)
{
    struct fake_datagram d;
    if (fake_take_datagram(r.loop, CALLER, &d))
        assert_true(slice_starts(d.bytes, SLICE("SIP/2.0 100")));
}

/* Case 2: keep-alive has found it dead; the INVITE opens the connection. */
static void case_2_call_after_an_idle_death(void **state)
{
    (void)state;
    begin(ON);
    fake_stall(conn, true);
    fake_advance(r.loop, 5000);
    assert_false(fake_is_open(conn));
    assert_int_equal(fake_opens(r.loop, NULL), 0);
    say_udp(&r, CALLER, &call);
    expect_tcp_method(opened(0), "INVITE", &inv);
    answered_over(opened(0));
    assert_int_equal(fake_opens(r.loop, NULL), 1);
}

/* Case 3: nobody has noticed. At tcp-reopen-delay a second connection; one copy on each. */
static void case_3_call_onto_a_connection_that_died_unnoticed(void **state)
{
    (void)state;
    begin(ON);
    fake_set_connect_ms(r.loop, 40);
    fake_stall(conn, true);
    say_udp(&r, CALLER, &call);
    fake_advance(r.loop, 999);
    assert_int_equal(fake_opens(r.loop, NULL), 0);
    fake_advance(r.loop, 1);
    assert_int_equal(fake_opens(r.loop, NULL), 1);
    assert_null(fake_opened(r.loop, PHONE, 0));
    fake_advance(r.loop, 40);
    expect_tcp_method(opened(0), "INVITE", &inv);
    rig_expect_none_tcp(opened(0));
    drop_trying();
    answered_over(opened(0));
    struct say bye = in_dialog("BYE");
    say_udp(&r, CALLER, &bye);
    expect_tcp_method(opened(0), "BYE", &got);
    answer_tcp(opened(0), &got, 200, "");
    rig_expect_status(&r, CALLER, 200, &got);
    fake_advance(r.loop, 40000);
    rig_expect_none_tcp(opened(0));
    assert_int_equal(fake_opens(r.loop, NULL), 1);
    assert_int_equal(rig_counter(&r, CTR_REQUEST_RESENT), 1);
    assert_int_equal(rig_counter(&r, CTR_DN_OOS), 0);
}

/* Case 4: requests inside a dialog. */
static void case_4_bye_onto_a_dead_connection(void **state)
{
    (void)state;
    established(ON);
    fake_stall(conn, true);
    struct say bye = in_dialog("BYE");
    say_udp(&r, CALLER, &bye);
    fake_advance(r.loop, 999);
    assert_int_equal(fake_opens(r.loop, NULL), 0);
    fake_advance(r.loop, 1);
    expect_tcp_method(opened(0), "BYE", &got);
    answer_tcp(opened(0), &got, 200, "");
    rig_expect_status(&r, CALLER, 200, &got);
    rig_expect_none_tcp(opened(0));
}

static void case_4_reinvite_onto_a_connection_that_was_reset(void **state)
{
    (void)state;
    established(ON);
    fake_reset(conn);
    fake_advance(r.loop, 1);
    struct say re = in_dialog("INVITE");
    say_udp(&r, CALLER, &re);
    expect_tcp_method(opened(0), "INVITE", &inv);
    answer_tcp(opened(0), &inv, 200, contact);
    rig_expect_status(&r, CALLER, 200, &got);
    struct say ack = in_dialog("ACK");
    ack.branch = "ack2";
    say_udp(&r, CALLER, &ack);
    expect_tcp_method(opened(0), "ACK", &got);
}

static void case_4_ack_onto_a_dead_connection(void **state)
{
    (void)state;
    begin(ON);
    say_udp(&r, CALLER, &call);
    expect_tcp_method(conn, "INVITE", &inv);
    answered_over(conn);
    fake_stall(conn, true);
    struct say ack = in_dialog("ACK");
    ack.cseq = 1;
    say_udp(&r, CALLER, &ack);
    fake_advance(r.loop, 1000);
    expect_tcp_method(opened(0), "ACK", &got);
    rig_expect_none_tcp(opened(0));
}

static void case_4_cancel_onto_a_dead_connection(void **state)
{
    (void)state;
    begin(ON);
    say_udp(&r, CALLER, &call);
    expect_tcp_method(conn, "INVITE", &inv);
    answer_tcp(conn, &inv, 180, "");
    rig_expect_status(&r, CALLER, 180, &got);
    fake_stall(conn, true);
    cancel_udp(&r, CALLER, &call);
    rig_expect_status(&r, CALLER, 200, &got);
    fake_advance(r.loop, 1000);
    /* The INVITE first: the phone may have forgotten it. */
    expect_tcp_method(opened(0), "INVITE", &inv);
    expect_tcp_method(opened(0), "CANCEL", &got);
    answer_tcp(opened(0), &got, 200, "");
    answer_tcp(opened(0), &inv, 487, "");
    rig_expect_status(&r, CALLER, 487, &got);
    expect_tcp_method(opened(0), "ACK", &got);
}

/* Case 5: it dies while the phone rings: idle 2 s and two probes of 1 s. */
static void case_5_connection_dies_while_ringing(void **state)
{
    (void)state;
    begin(ON);
    say_udp(&r, CALLER, &call);
    expect_tcp_method(conn, "INVITE", &inv);
    answer_tcp(conn, &inv, 180, "");
    rig_expect_status(&r, CALLER, 180, &got);
    fake_stall(conn, true);
    fake_advance(r.loop, 3999);
    assert_int_equal(fake_opens(r.loop, NULL), 0);
    fake_advance(r.loop, 1);
    expect_tcp_method(opened(0), "INVITE", &got);
    assert_string_equal(got.text, inv.text); /* the same bytes, branch and all */
    answer_tcp(opened(0), &inv, 200, contact);
    rig_expect_status(&r, CALLER, 200, &got);
    assert_int_equal(rig_counter(&r, CTR_STALE_IDLE), 1);
}

/* The phone answers over a connection of its own. */
static void case_5_answer_over_another_connection(void **state)
{
    (void)state;
    begin(ON);
    say_udp(&r, CALLER, &call);
    expect_tcp_method(conn, "INVITE", &inv);
    answer_tcp(conn, &inv, 180, "");
    rig_expect_status(&r, CALLER, 180, &got);
    fake_stall(conn, true);
    struct fake_conn *own = fake_connect(r.loop, "10.0.0.3:40007", PROXY);
    answer_tcp(own, &inv, 200, contact);
    rig_expect_status(&r, CALLER, 200, &got);
}

/* Case 6: the phone has rebooted and answers the first bytes with RST. */
static void case_6_phone_rebooted(void **state)
{
    (void)state;
    begin(ON);
    fake_forget(conn);
    say_udp(&r, CALLER, &call);
    fake_advance(r.loop, 1);
    expect_tcp_method(opened(0), "INVITE", &inv);
    answered_over(opened(0));
}

/* Case 7: the caller's connection is gone when its response is to be sent (18.2.2). */
static void case_7_response_over_a_new_connection(void **state)
{
    (void)state;
    begin(ON);
    struct fake_conn *caller = fake_connect(r.loop, "10.0.0.2:41000", PROXY);
    struct say w = {.transport = "TCP", .branch = "t", .contact = "<sip:a@10.0.0.2;transport=tcp>"};
    say_tcp(caller, &w);
    expect_tcp_method(conn, "INVITE", &inv);
    fake_reset(caller);
    fake_advance(r.loop, 10);
    answer_tcp(conn, &inv, 200, contact);
    fake_advance(r.loop, 1);
    struct fake_conn *back = fake_opened(r.loop, CALLER, 0);
    assert_non_null(back);
    struct slice first;
    assert_true(fake_take_message(back, &first));
    while (slice_starts(first, SLICE("SIP/2.0 100")))
        assert_true(fake_take_message(back, &first));
    assert_true(slice_starts(first, SLICE("SIP/2.0 200")));
}

#define VOIP                                                                   \
    ON "fork = q\n[dn gw]\ntype = voip-service\n[dn 1001]\ntype = extension\n" \
       "[dn 2001]\ntype = extension\n"

/* Case 8: not reopened inside the transaction, the next target is tried, the next transaction
 * reopens, and the DN stays in service. */
static void case_8_voip_service(void **state)
{
    (void)state;
    rig_open(&r, VOIP);
    conn = register_tcp(&r, "gw", "10.0.0.3", ";q=0.9");
    struct fake_conn *second = register_tcp(&r, "gw", "10.0.0.4", ";q=0.1");
    fake_advance(r.loop, 6000);
    struct say w = {.uri = "sip:gw@10.0.0.1"};
    fake_forget(conn);
    say_udp(&r, CALLER, &w);
    fake_advance(r.loop, 1);
    assert_int_equal(fake_opens(r.loop, NULL), 0);
    expect_tcp_method(second, "INVITE", &inv);
    answer_tcp(second, &inv, 486, "");
    rig_expect_status(&r, CALLER, 486, &got);
    ack_udp(&r, CALLER, &w);
    w.branch = "a2";
    say_udp(&r, CALLER, &w);
    expect_tcp_method(opened(0), "INVITE", &inv);
    answer_tcp(opened(0), &inv, 200, contact);
    rig_expect_status(&r, CALLER, 200, &got);
}

static void case_8_only_target(void **state)
{
    (void)state;
    rig_open(&r, VOIP);
    conn = register_tcp(&r, "gw", "10.0.0.3", "");
    fake_advance(r.loop, 6000);
    struct say w = {.uri = "sip:gw@10.0.0.1"};
    fake_stall(conn, true);
    say_udp(&r, CALLER, &w);
    fake_advance(r.loop, 3999);
    drop_trying();
    rig_expect_none(&r, CALLER);
    fake_advance(r.loop,
                 1); /* the smaller one of idle + interval * probes and tcp-unacked-timeout */
    assert_int_equal(fake_opens(r.loop, NULL), 0);
    rig_expect_status(&r, CALLER, 480, &got);
    ack_udp(&r, CALLER, &w);
    assert_int_equal(rig_counter(&r, CTR_DN_OOS), 0);
    w.branch = "a2";
    say_udp(&r, CALLER, &w);
    expect_tcp_method(opened(0), "INVITE", &inv);
    answer_tcp(opened(0), &inv, 200, contact);
    rig_expect_status(&r, CALLER, 200, &got);
}

/* The same with a fixed contact. */
static void case_8_configured_contact(void **state)
{
    (void)state;
    rig_open(&r, ON "[dn gw]\ntype = voip-service\ncontact = sip:10.0.0.3;transport=tcp\n");
    struct say w = {.uri = "sip:gw@10.0.0.1"};
    say_udp(&r, CALLER, &w);
    conn = opened(0);
    expect_tcp_method(conn, "INVITE", &inv);
    answer_tcp(conn, &inv, 486, "");
    rig_expect_status(&r, CALLER, 486, &got);
    ack_udp(&r, CALLER, &w);
    fake_advance(r.loop, 40000);
    fake_forget(conn);
    w.branch = "a2";
    say_udp(&r, CALLER, &w);
    fake_advance(r.loop, 10);
    rig_expect_status(&r, CALLER, 480, &got);
    ack_udp(&r, CALLER, &w);
    assert_int_equal(fake_opens(r.loop, NULL), 1);
    assert_int_equal(rig_counter(&r, CTR_DN_OOS), 0);
    w.branch = "a3";
    say_udp(&r, CALLER, &w);
    expect_tcp_method(opened(1), "INVITE", &inv);
    answer_tcp(opened(1), &inv, 486, "");
}

/* Case 9: the phone does not accept. The final response within tcp-reopen-delay and
 * tcp-connect-timeout; out of service, answered for at once, until it registers. */
static void not_accepted(enum fake_policy policy, unsigned ms)
{
    begin(ON);
    fake_stall(conn, true);
    fake_set_peer(r.loop, PHONE, policy);
    say_udp(&r, CALLER, &call);
    fake_advance(r.loop, ms - 1);
    drop_trying();
    rig_expect_none(&r, CALLER);
    fake_advance(r.loop, 1);
    rig_expect_status(&r, CALLER, 480, &got);
    assert_non_null(strstr(got.text, "\r\nReason: SIP;cause=503;text=\""));
    ack_udp(&r, CALLER, &call);
    assert_int_equal(rig_counter(&r, CTR_DN_OOS), 1);
    struct say again = {.branch = "i2", .call_id = "c2"};
    unsigned opens = fake_opens(r.loop, NULL);
    say_udp(&r, CALLER, &again);
    rig_expect_status(&r, CALLER, 480, &got);
    assert_string_not_equal(rig_value(&got, SIP_H_RETRY_AFTER, 0), "");
    ack_udp(&r, CALLER, &again);
    assert_int_equal(fake_opens(r.loop, NULL), opens);
    fake_set_peer(r.loop, PHONE, FAKE_ACCEPT);
    struct fake_conn *fresh = register_tcp_as(&r, "1001", "10.0.0.3", 40009, "", "");
    assert_int_equal(rig_counter(&r, CTR_DN_BACK), 1);
    say_udp(&r, CALLER, &(struct say){.branch = "i3", .call_id = "c3"});
    expect_tcp_method(fresh, "INVITE", &inv);
    answered_over(fresh);
}

static void case_9_refused(void **state)
{
    (void)state;
    not_accepted(FAKE_REFUSE, 2000); /* the first connection gets the delay once more to heal */
}

static void case_9_unreachable(void **state)
{
    (void)state;
    not_accepted(FAKE_BLACKHOLE, 4000);
}

/* RST, then no way back: at once. */
static void case_9_reset_and_refused(void **state)
{
    (void)state;
    begin(ON);
    fake_forget(conn);
    fake_set_peer(r.loop, PHONE, FAKE_REFUSE);
    say_udp(&r, CALLER, &call);
    fake_advance(r.loop, 10);
    rig_expect_status(&r, CALLER, 480, &got);
    assert_int_equal(rig_counter(&r, CTR_DN_OOS), 1);
}

static void case_9_another_binding_lives(void **state)
{
    (void)state;
    begin(ON);
    struct fake_conn *second = register_tcp(&r, "1001", "10.0.0.4", "");
    fake_stall(conn, true);
    fake_set_peer(r.loop, PHONE, FAKE_REFUSE);
    say_udp(&r, CALLER, &call);
    expect_tcp_method(second, "INVITE", &inv);
    answer_tcp(second, &inv, 180, "");
    rig_expect_status(&r, CALLER, 180, &got);
    fake_advance(r.loop, 5000);
    rig_expect_none(&r, CALLER);
    assert_int_equal(rig_counter(&r, CTR_DN_OOS), 0);
    answer_tcp(second, &inv, 486, "");
    rig_expect_status(&r, CALLER, 486, &got);
}

/* Two flows of one device (RFC 5626): the other one is tried; none left: out of service. */
static void case_9_another_flow(void **state)
{
    (void)state;
    static const char instance[] = ";+sip.instance=\"<urn:uuid:1>\";reg-id=%u";
    char params[64];
    struct fake_conn *flow[2];
    rig_open(&r, ON);
    for (unsigned i = 0; i < 2; i++) {
        snprintf(params, sizeof(params), instance, i + 1);
        flow[i] = register_tcp_as(&r, "1001", "10.0.0.3", 40001 + i, params,
                                  "Supported: path, outbound\n");
        fake_advance(r.loop, 5);
    }
    fake_set_peer(r.loop, PHONE, FAKE_REFUSE);
    fake_forget(flow[1]);
    say_udp(&r, CALLER, &call);
    fake_advance(r.loop, 10);
    expect_tcp_method(flow[0], "INVITE", &inv);
    assert_int_equal(rig_counter(&r, CTR_DN_OOS), 0);
    fake_reset(flow[0]);
    fake_advance(r.loop, 10);
    rig_expect_status(&r, CALLER, 480, &got);
    assert_int_equal(rig_counter(&r, CTR_DN_OOS), 1);
}

/* Inside a dialog: 408, so that the sender ends it (12.2.1.2). */
static void case_9_inside_a_dialog(void **state)
{
    (void)state;
    static const char *const methods[] = {"INVITE", "INFO", "UPDATE", "BYE"};
    for (unsigned i = 0; i < 4; i++) {
        if (i != 0)
            rig_close(&r);
        established(ON);
        fake_forget(conn);
        fake_set_peer(r.loop, PHONE, FAKE_REFUSE);
        struct say w = in_dialog(methods[i]);
        say_udp(&r, CALLER, &w);
        fake_advance(r.loop, 10);
        rig_expect_status(&r, CALLER, 408, &got);
        assert_int_equal(rig_counter(&r, CTR_DN_OOS), 1);
    }
}

/* Case 11: a stall of 3 s that heals: one INVITE, no error, one connection tried at most. */
static void case_11_stall_that_heals(void **state)
{
    (void)state;
    begin(ON);
    fake_stall(conn, true);
    fake_set_peer(r.loop, PHONE, FAKE_BLACKHOLE);
    say_udp(&r, CALLER, &call);
    fake_advance(r.loop, 3000);
    drop_trying();
    fake_stall(conn, false);
    fake_set_peer(r.loop, PHONE, FAKE_ACCEPT);
    fake_advance(r.loop, 500);
    expect_tcp_method(conn, "INVITE", &inv);
    rig_expect_none_tcp(conn);
    answered_over(conn);
    fake_advance(r.loop, 40000);
    rig_expect_none_tcp(conn);
    assert_true(fake_opens(r.loop, NULL) <= 1);
    assert_null(fake_opened(r.loop, PHONE, 0));
    assert_true(fake_is_open(conn));
}

/* Case 13: the option is off. */
static void case_13_nothing_is_reopened_inside_a_transaction(void **state)
{
    (void)state;
    begin(OPEN);
    fake_stall(conn, true);
    say_udp(&r, CALLER, &call);
    fake_advance(r.loop, 31999);
    drop_trying();
    rig_expect_none(&r, CALLER);
    fake_advance(r.loop, 1);
    rig_expect_status(&r, CALLER, 408, &got);
    assert_int_equal(fake_opens(r.loop, NULL), 0);
    assert_int_equal(rig_counter(&r, CTR_DN_OOS), 0);
}

static void case_13_reset_inside_a_transaction(void **state)
{
    (void)state;
    begin(OPEN);
    fake_forget(conn);
    say_udp(&r, CALLER, &call);
    fake_advance(r.loop, 10);
    rig_expect_status(&r, CALLER, 480, &got);
    ack_udp(&r, CALLER, &call);
    assert_int_equal(fake_opens(r.loop, NULL), 0);
    assert_int_equal(rig_counter(&r, CTR_DN_OOS), 0); /* the next one opens it */
    say_udp(&r, CALLER, &(struct say){.branch = "i2", .call_id = "c2"});
    expect_tcp_method(opened(0), "INVITE", &inv);
    answered_over(opened(0));
}

#define T(f) cmocka_unit_test_teardown(f, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(case_2_call_after_an_idle_death),
        T(case_3_call_onto_a_connection_that_died_unnoticed),
        T(case_4_bye_onto_a_dead_connection),
        T(case_4_reinvite_onto_a_connection_that_was_reset),
        T(case_4_ack_onto_a_dead_connection),
        T(case_4_cancel_onto_a_dead_connection),
        T(case_5_connection_dies_while_ringing),
        T(case_5_answer_over_another_connection),
        T(case_6_phone_rebooted),
        T(case_7_response_over_a_new_connection),
        T(case_8_voip_service),
        T(case_8_only_target),
        T(case_8_configured_contact),
        T(case_9_refused),
        T(case_9_unreachable),
        T(case_9_reset_and_refused),
        T(case_9_another_binding_lives),
        T(case_9_another_flow),
        T(case_9_inside_a_dialog),
        T(case_11_stall_that_heals),
        T(case_13_nothing_is_reopened_inside_a_transaction),
        T(case_13_reset_inside_a_transaction),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
