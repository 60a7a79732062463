/* SPDX-License-Identifier: Apache-2.0 */
/* What becomes of the record of a call in every course that a call can take. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

#include "dialog.h"

static void caller_hangs_up(void)
{
    struct say bye = in_dialog("BYE");
    bye.cseq = 9;
    caller_says(&bye);
    expect_tcp_method(s.phone, "BYE", &s.got);
    answer_tcp(s.phone, &s.got, 200, "");
    caller_gets(200);
}

static void from_begin_to_end(void **state)
{
    (void)state;
    begin(ON, false);
    caller_says(&(struct say){.branch = "i1"});
    assert_int_equal(rig_calls(&s.r), 1); /* as soon as it is forwarded */
    expect_tcp_method(s.phone, "INVITE", &s.inv);
    answer_tcp(s.phone, &s.inv, 180, "");
    answer_tcp(s.phone, &s.inv, 200, scene_contact);
    caller_gets(180);
    caller_gets(200);
    s.ok = s.got;
    s.ok.msg.base = s.ok.text;
    s.ok.msg.hdrs = s.ok.hdrs;
    answer_tcp(s.phone, &s.inv, 200, scene_contact); /* again */
    caller_gets(200);
    struct say ack = in_dialog("ACK");
    ack.cseq = 1;
    caller_says(&ack);
    assert_int_equal(rig_calls(&s.r), 1);
    assert_int_equal(rig_counter(&s.r, CTR_CALLS_SEEN), 1);
    expect_tcp_method(s.phone, "ACK", &s.got);
    caller_hangs_up();
    nothing_is_left();
}

static void ended_by_the_phone(void **state)
{
    (void)state;
    established(ON, true);
    phone_says("BYE");
    expect_tcp_method(s.caller, "BYE", &s.got);
    answer_tcp(s.caller, &s.got, 200, "");
    expect_tcp_status(s.phone, 200, &s.got);
    nothing_is_left();
}

static void never_answered(void **state)
{
    (void)state;
    static const unsigned statuses[] = {486, 302, 603, 503};
    for (unsigned i = 0; i < 4; i++) {
        if (i != 0)
            rig_close(&s.r);
        begin(ON, false);
        ringing();
        answer_tcp(s.phone, &s.inv, statuses[i], "");
        caller_gets(statuses[i] == 503 ? 500 : statuses[i]);
        ack_udp(&s.r, CALLER, &(struct say){.branch = "i1"});
        expect_tcp_method(s.phone, "ACK", &s.got);
        nothing_is_left();
    }
}

static void cancelled(void **state)
{
    (void)state;
    begin(ON, false);
    ringing();
    cancel_udp(&s.r, CALLER, &(struct say){.branch = "i1"});
    caller_gets(200);
    expect_tcp_method(s.phone, "CANCEL", &s.got);
    answer_tcp(s.phone, &s.got, 200, "");
    answer_tcp(s.phone, &s.inv, 487, "");
    caller_gets(487);
    ack_udp(&s.r, CALLER, &(struct say){.branch = "i1"});
    nothing_is_left();
}

/* The 2xx crosses the CANCEL: there is a call, which the caller ends. */
static void cancel_crosses(void **state)
{
    (void)state;
    begin(ON, false);
    ringing();
    cancel_udp(&s.r, CALLER, &(struct say){.branch = "i1"});
    caller_gets(200);
    answer_tcp(s.phone, &s.inv, 200, scene_contact);
    expect_tcp_method(s.phone, "CANCEL", &s.got);
    answer_tcp(s.phone, &s.got, 200, "");
    caller_gets(200);
    s.ok = s.got;
    s.ok.msg.base = s.ok.text;
    s.ok.msg.hdrs = s.ok.hdrs;
    assert_int_equal(rig_calls(&s.r), 1);
    caller_hangs_up();
    nothing_is_left();
}

/* Nobody answers: Timer C cancels. */
static void timer_c(void **state)
{
    (void)state;
    begin(ON "timer-c = 60\n", false);
    ringing();
    fake_advance(s.r.loop, 60000);
    expect_tcp_method(s.phone, "CANCEL", &s.got);
    answer_tcp(s.phone, &s.got, 200, "");
    answer_tcp(s.phone, &s.inv, 487, "");
    caller_gets(487);
    ack_udp(&s.r, CALLER, &(struct say){.branch = "i1"});
    nothing_is_left();
}

static void refused(void **state)
{
    (void)state;
    begin(ON, false);
    say_udp(&s.r, CALLER, &(struct say){.branch = "i1", .uri = "sip:nobody@10.0.0.1"});
    caller_gets(404);
    ack_udp(&s.r, CALLER, &(struct say){.branch = "i1"});
    assert_int_equal(rig_counter(&s.r, CTR_CALLS_SEEN), 0); /* it was never forwarded */
    nothing_is_left();
}

/* Two forks answer: two dialogs of one call, each with an end of its own. */
static void two_dialogs(void **state)
{
    (void)state;
    static struct got inv2, ok2;
    begin(ON, true);
    struct fake_conn *second = register_tcp(&s.r, "1001", "10.0.0.4", "");
    caller_says(&(struct say){.branch = "i1"});
    expect_tcp_method(s.phone, "INVITE", &s.inv);
    expect_tcp_method(second, "INVITE", &inv2);
    answer_tcp(s.phone, &s.inv, 180, "");
    caller_gets(180);
    rig_tcp(second, rig_response(&inv2, 180, "u", ""));
    caller_gets(180);
    answer_tcp(s.phone, &s.inv, 200, scene_contact);
    caller_gets(200);
    s.ok = s.got;
    s.ok.msg.base = s.ok.text;
    s.ok.msg.hdrs = s.ok.hdrs;
    fake_advance(s.r.loop, 5000);
    rig_tcp(second,
            rig_response(&inv2, 200, "u", "Contact: <sip:1001@10.0.0.4:5060;transport=tcp>\n"));
    caller_gets(200);
    ok2 = s.got;
    ok2.msg.base = ok2.text;
    ok2.msg.hdrs = ok2.hdrs;
    expect_tcp_method(second, "CANCEL", &s.got);
    rig_tcp(second, rig_response(&s.got, 200, "u", ""));
    assert_int_equal(rig_calls(&s.r), 1);
    caller_hangs_up(); /* the first */
    assert_int_equal(rig_calls(&s.r), 1);
    static char routes[1024];
    snprintf(routes, sizeof(routes), "%s", route_set(&ok2, true));
    caller_says(&(struct say){.method = "BYE",
                              .uri = "sip:1001@10.0.0.4:5060;transport=tcp",
                              .branch = "second",
                              .to = "<sip:1001@10.0.0.1>;tag=u",
                              .cseq = 3,
                              .extra = routes});
    expect_tcp_method(second, "BYE", &s.got);
    rig_tcp(second, rig_response(&s.got, 200, "u", ""));
    caller_gets(200);
    assert_int_equal(rig_calls(&s.r), 0);
    nothing_is_left();
}

/* Out and back to ourselves: one record, whose ends are the true ones. */
static void spiral(void **state)
{
    (void)state;
    begin(ON "[dn 1001]\ntype = extension\n[dn 2000]\ntype = extension\n"
             "contact = sip:1001@10.0.0.1\n",
          true);
    caller_says(&(struct say){.branch = "i1", .uri = "sip:2000@10.0.0.1"});
    fake_advance(s.r.loop, 10);
    /* What was sent to our own address by datagram is brought by the script. */
    struct fake_datagram d;
    assert_true(fake_take_datagram(s.r.loop, PROXY, &d));
    assert_true(fake_datagram(s.r.loop, PROXY, PROXY, d.bytes));
    fake_advance(s.r.loop, 10);
    expect_tcp_method(s.phone, "INVITE", &s.inv);
    assert_int_equal(rig_count(&s.inv, SIP_H_VIA), 3);
    answer_tcp(s.phone, &s.inv, 200, scene_contact);
    fake_advance(s.r.loop, 10);
    while (fake_take_datagram(s.r.loop, PROXY, &d)) {
        assert_true(fake_datagram(s.r.loop, PROXY, PROXY, d.bytes));
        fake_advance(s.r.loop, 10);
    }
    caller_gets(200);
    assert_int_equal(rig_calls(&s.r), 1);
    assert_int_equal(rig_counter(&s.r, CTR_CALLS_UNRECORDED), 0);
    assert_int_equal(proxy_release(worker_proxy(s.r.worker), SLICE("c1"), NULL), 1);
    net_wake(s.r.loop);
    fake_run(s.r.loop);
    expect_tcp_method(s.caller, "BYE", &s.got);
    answer_tcp(s.caller, &s.got, 200, "");
    expect_tcp_method(s.phone, "ACK", &s.got);
    expect_tcp_method(s.phone, "BYE", &s.got);
    assert_int_equal(rig_count(&s.got, SIP_H_ROUTE), 0);
    answer_tcp(s.phone, &s.got, 200, "");
    fake_advance(s.r.loop, 40000);
    assert_int_equal(rig_calls(&s.r), 0);
}

/* More than max-calls: they go on, and are counted. */
static void too_many(void **state)
{
    (void)state;
    begin(ON "max-calls = 1\n", false);
    caller_says(&(struct say){.branch = "x1", .call_id = "x1"});
    expect_tcp_method(s.phone, "INVITE", &s.got);
    ringing();
    assert_int_equal(rig_calls(&s.r), 1);
    assert_int_equal(rig_counter(&s.r, CTR_CALLS_UNRECORDED), 1);
    answer_tcp(s.phone, &s.inv, 486, "");
    caller_gets(486);
    ack_udp(&s.r, CALLER, &(struct say){.branch = "i1"});
}

/* A dialog in which nothing is heard any more. */
static void vanished(void **state)
{
    (void)state;
    established(ON "call-timeout = 120\n", false);
    fake_advance(s.r.loop, 121000);
    assert_int_equal(rig_counter(&s.r, CTR_CALLS_VANISHED), 1);
    assert_int_equal(rig_heard(EV_CALL_VANISHED), 1);
    nothing_is_left();
}

#define T(f) cmocka_unit_test_teardown(f, scene_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(from_begin_to_end), T(ended_by_the_phone), T(never_answered),
        T(cancelled),         T(cancel_crosses),     T(timer_c),
        T(refused),           T(two_dialogs),        T(spiral),
        T(too_many),          T(vanished),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
