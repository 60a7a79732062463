/* SPDX-License-Identifier: Apache-2.0 */
/* The administrator releases a call, whatever state it is in. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

#include "dialog.h"

#define ADMIN "\r\nReason: SIP;cause=200;text=\"Released by administrator\"\r\n"

static unsigned release(const char *call_id, const char *why)
{
    unsigned n = proxy_release(worker_proxy(s.r.worker), slice_str(call_id), why);
    net_wake(s.r.loop); /* as by the mail that asks for it: its turn of the loop ends */
    fake_run(s.r.loop);
    return n;
}

static void expect_bye(struct fake_conn *conn, const char *reason)
{
    expect_tcp_method(conn, "BYE", &s.got);
    if (strstr(s.got.text, reason) == NULL)
        fail_msg("not with %s:\n%s", reason, s.got.text);
    answer_tcp(conn, &s.got, 200, "");
}

static void established_call(void **state)
{
    (void)state;
    established(ON, true);
    assert_int_equal(release("c1", NULL), 1);
    expect_bye(s.caller, ADMIN);
    expect_bye(s.phone, ADMIN);
    assert_int_equal(rig_calls(&s.r), 0);
    assert_int_equal(rig_counter(&s.r, CTR_CALLS_RELEASED), 1);
    assert_int_equal(rig_heard(EV_CALL_ENDED), 1);
    assert_int_equal(rig_heard(EV_CALL_RELEASED), 0);
    assert_int_equal(release("c1", NULL), 0);
    assert_int_equal(release("c2", NULL), 0);
    nothing_is_left();
}

/* What he says goes into Reason, where it may stand there. */
static void with_a_reason(void **state)
{
    (void)state;
    static const char *const rows[][2] = {
        {"Maintenance, back at 12:00",
         "\r\nReason: SIP;cause=200;text=\"Maintenance, back at 12:00\"\r\n"},
        {"a\"b", ADMIN},
        {"a\\b", ADMIN},
        {"a\r\nX: y", ADMIN},
        {"", ADMIN},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        if (i != 0)
            rig_close(&s.r);
        established(ON, true);
        assert_int_equal(release("c1", rows[i][0]), 1);
        expect_bye(s.caller, rows[i][1]);
        expect_bye(s.phone, rows[i][1]);
        nothing_is_left();
    }
}

/* Answered, and the ACK has not come yet: the phone gets one, or it would not take the BYE. */
static void answered_call(void **state)
{
    (void)state;
    begin(ON, true);
    answered();
    assert_int_equal(release("c1", NULL), 1);
    expect_bye(s.caller, ADMIN);
    expect_tcp_method(s.phone, "ACK", &s.got);
    expect_bye(s.phone, ADMIN);
    nothing_is_left();
}

static void ends_ringing(struct fake_conn *conn, const struct got *invite)
{
    expect_tcp_method(conn, "CANCEL", &s.got);
    assert_non_null(strstr(s.got.text, ADMIN));
    answer_tcp(conn, &s.got, 200, "");
    answer_tcp(conn, invite, 487, "");
    expect_tcp_method(conn, "ACK", &s.got);
}

static void ack_the_480(void)
{
    caller_gets(480);
    assert_non_null(strstr(s.got.text, ADMIN));
    caller_says(&(struct say){.method = "ACK", .branch = "i1", .contact = ""});
}

/* The caller has its answer at once, and no phone goes on ringing. */
static void ringing_call(void **state)
{
    (void)state;
    static struct got inv2;
    begin(ON, true);
    struct fake_conn *second = register_tcp(&s.r, "1001", "10.0.0.4", "");
    fake_advance(s.r.loop, 7000);
    caller_says(&(struct say){.branch = "i1"});
    expect_tcp_method(s.phone, "INVITE", &s.inv);
    expect_tcp_method(second, "INVITE", &inv2);
    answer_tcp(s.phone, &s.inv, 180, scene_contact);
    caller_gets(180);
    rig_tcp(second, rig_response(&inv2, 180, "u", scene_contact));
    caller_gets(180);
    assert_int_equal(release("c1", NULL), 2);
    ack_the_480();
    assert_int_equal(release("c1", NULL), 0); /* it has been done */
    ends_ringing(s.phone, &s.inv);
    ends_ringing(second, &inv2);
    fake_advance(s.r.loop, 10);
    rig_expect_none_tcp(s.caller); /* of the 487s nothing is passed on */
    assert_int_equal(rig_counter(&s.r, CTR_CALLS_RELEASED), 1);
    fake_advance(s.r.loop, 40000);
    nothing_is_left();
}

/* Nothing has been heard of the phone: it is cancelled as soon as it says something. */
static void call_that_does_not_ring_yet(void **state)
{
    (void)state;
    begin(ON, true);
    caller_says(&(struct say){.branch = "i1"});
    expect_tcp_method(s.phone, "INVITE", &s.inv);
    assert_int_equal(release("c1", NULL), 1);
    ack_the_480();
    rig_expect_none_tcp(s.phone);
    answer_tcp(s.phone, &s.inv, 180, "");
    rig_expect_none_tcp(s.caller);
    ends_ringing(s.phone, &s.inv);
    fake_advance(s.r.loop, 40000);
    nothing_is_left();
}

/* It answers while it is being cancelled: ACK and BYE, and again for each copy of its 2xx. */
static void answer_that_crosses(void **state)
{
    (void)state;
    begin(ON, true);
    ringing();
    assert_int_equal(release("c1", NULL), 1);
    ack_the_480();
    answer_tcp(s.phone, &s.inv, 200, scene_contact);
    expect_tcp_method(s.phone, "CANCEL", &s.got);
    answer_tcp(s.phone, &s.got, 200, "");
    expect_tcp_method(s.phone, "ACK", &s.got);
    expect_bye(s.phone, ADMIN);
    rig_expect_none_tcp(s.phone);
    /* The caller has had its final response; it is told of no dialog that it could know of. */
    fake_advance(s.r.loop, 40000);
    assert_int_equal(rig_calls(&s.r), 0);
    assert_int_equal(rig_transactions(&s.r), 0);
}

/* A target that waits for its turn is not tried any more. */
static void next_target_is_not_tried(void **state)
{
    (void)state;
    begin(ON "fork = sequential\n", true);
    struct fake_conn *second = register_tcp(&s.r, "1001", "10.0.0.4", "");
    fake_advance(s.r.loop, 7000);
    caller_says(&(struct say){.branch = "i1"});
    expect_tcp_method(second, "INVITE", &s.inv); /* the latest first */
    answer_tcp(second, &s.inv, 180, scene_contact);
    caller_gets(180);
    assert_int_equal(release("c1", NULL), 1);
    ack_the_480();
    ends_ringing(second, &s.inv);
    fake_advance(s.r.loop, 60000);
    rig_expect_none_tcp(s.phone);
    nothing_is_left();
}

/* A re-INVITE is pending: the dialog ends, and with it the transaction by its peers' answers. */
static void pending_reinvite(void **state)
{
    (void)state;
    established(ON, true);
    struct say w = in_dialog("INVITE");
    caller_says(&w);
    expect_tcp_method(s.phone, "INVITE", &s.inv);
    assert_int_equal(release("c1", NULL), 1);
    expect_bye(s.caller, ADMIN);
    expect_bye(s.phone, ADMIN);
    answer_tcp(s.phone, &s.inv, 487, ""); /* RFC 3261 15.1.2 */
    caller_gets(487);
    w.method = "ACK";
    caller_says(&w);
    expect_tcp_method(s.phone, "ACK", &s.got);
    nothing_is_left();
}

/* Both ends are gone too: given up quietly. */
static void nobody_is_there(void **state)
{
    (void)state;
    established(ON, true);
    phone_is_gone();
    caller_is_gone();
    assert_int_equal(release("c1", NULL), 1);
    nothing_is_left();
    assert_int_equal(rig_counter(&s.r, CTR_DN_OOS), 0);
}

/* Without records nothing can be released, and nothing breaks. */
static void unrecorded(void **state)
{
    (void)state;
    begin(ON "record-route = false\n", false);
    caller_says(&(struct say){.branch = "i1"});
    expect_tcp_method(s.phone, "INVITE", &s.inv);
    answer_tcp(s.phone, &s.inv, 180, "");
    caller_gets(180);
    assert_int_equal(rig_calls(&s.r), 0);
    assert_int_equal(release("c1", NULL), 0);
    answer_tcp(s.phone, &s.inv, 486, "");
    caller_gets(486);
    ack_udp(&s.r, CALLER, &(struct say){.branch = "i1"});
    nothing_is_left();
}

#define T(f) cmocka_unit_test_teardown(f, scene_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(established_call),
        T(with_a_reason),
        T(answered_call),
        T(ringing_call),
        T(call_that_does_not_ring_yet),
        T(answer_that_crosses),
        T(next_target_is_not_tried),
        T(pending_reinvite),
        T(nobody_is_there),
        T(unrecorded),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
