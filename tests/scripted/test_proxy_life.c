/* SPDX-License-Identifier: Apache-2.0 */
/* Reload, drain, and the end in the middle of everything. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

#include "calls.h"

static struct rig r;
static struct got got, inv;

/* A new configuration counts from the next request on; calls go on as they were. */
static void reload_counts_at_once(void **state)
{
    (void)state;
    rig_open(&r, OPEN);
    say_udp(&r, CALLER, &(struct say){.uri = "sip:bob@10.0.0.3"});
    rig_expect_method(&r, PHONE, "INVITE", &inv);
    rig_reload(&r, "relay-from = 10.0.0.3\nrecord-route = false\n"
                   "[dn 7]\ntype = extension\ncontact = sip:7@10.0.0.4\n");
    answer_udp(&r, PHONE, &inv, 180, "");
    rig_expect_status(&r, CALLER, 180, &got);
    answer_udp(&r, PHONE, &inv, 486, "");
    rig_expect_status(&r, CALLER, 486, &got);
    ack_udp(&r, CALLER, &(struct say){.uri = "sip:bob@10.0.0.3"});
    say_udp(&r, CALLER, &(struct say){.uri = "sip:bob@10.0.0.3", .branch = "b", .method = "INFO"});
    rig_expect_status(&r, CALLER, 403, &got);
    say_udp(&r, CALLER, &(struct say){.uri = "sip:7@10.0.0.1", .branch = "c"});
    rig_expect_method(&r, OTHER, "INVITE", &inv);
    assert_int_equal(rig_count(&inv, SIP_H_RECORD_ROUTE), 0);
    answer_udp(&r, OTHER, &inv, 486, "");
    rig_close(&r);
}

/* Drain: new calls are refused, those that are there go on to their end. */
static void drain_refuses_what_is_new(void **state)
{
    (void)state;
    rig_open(&r, OPEN);
    say_udp(&r, CALLER, &(struct say){.uri = "sip:bob@10.0.0.3"});
    rig_expect_method(&r, PHONE, "INVITE", &inv);
    rig_drain(&r);
    assert_int_equal(r.drained, 0);
    say_udp(&r, CALLER, &(struct say){.uri = "sip:bob@10.0.0.3", .branch = "n", .call_id = "n"});
    rig_expect_status(&r, CALLER, 503, &got);
    assert_string_not_equal(rig_value(&got, SIP_H_RETRY_AFTER, 0), "");
    ack_udp(&r, CALLER, &(struct say){.uri = "sip:bob@10.0.0.3", .branch = "n", .call_id = "n"});
    say_udp(&r, CALLER, &(struct say){.method = "OPTIONS", .uri = "sip:10.0.0.1", .branch = "o"});
    rig_expect_status(&r, CALLER, 503, &got);
    rig_reload(&r, OPEN); /* which does not end the drain */
    say_udp(&r, CALLER, &(struct say){.method = "OPTIONS", .uri = "sip:10.0.0.1", .branch = "p"});
    rig_expect_status(&r, CALLER, 503, &got);
    answer_udp(&r, PHONE, &inv, 200, "Contact: <sip:bob@10.0.0.3>\n");
    rig_expect_status(&r, CALLER, 200, &got);
    struct say bye = {.method = "BYE",
                      .uri = "sip:bob@10.0.0.3",
                      .branch = "bye",
                      .to = "<sip:1001@10.0.0.1>;tag=t",
                      .extra = route_set(&got, true)};
    say_udp(&r, CALLER, &bye);
    rig_expect_method(&r, PHONE, "BYE", &got);
    answer_udp(&r, PHONE, &got, 200, "");
    rig_expect_status(&r, CALLER, 200, &got);
    fake_advance(r.loop, 200);
    assert_int_equal(r.drained, 1);
    rig_close(&r);
}

/* The time of the drain is over: callers that wait are told so, and nothing goes on ringing. */
static void drain_ends_what_is_unanswered(void **state)
{
    (void)state;
    const struct say rings = {.uri = "sip:bob@10.0.0.3"};
    const struct say waits = {.uri = "sip:bob@10.0.0.4", .branch = "w", .call_id = "w"};
    const struct say other = {
        .method = "MESSAGE", .uri = "sip:bob@10.0.0.5", .branch = "m", .call_id = "m"};
    struct got silent;
    rig_open(&r, OPEN);
    say_udp(&r, CALLER, &rings);
    rig_expect_method(&r, PHONE, "INVITE", &inv);
    answer_udp(&r, PHONE, &inv, 180, "");
    rig_expect_status(&r, CALLER, 180, &got);
    say_udp(&r, CALLER, &waits);
    rig_expect_method(&r, OTHER, "INVITE", &silent);
    say_udp(&r, CALLER, &other);
    rig_expect_method(&r, THIRD, "MESSAGE", &got);
    rig_drain(&r);
    rig_expect_none(&r, CALLER);
    worker_give_up(r.worker);
    fake_run(r.loop);
    for (unsigned i = 0; i < 2; i++) {
        rig_expect_status(&r, CALLER, 503, &got);
        assert_string_not_equal(rig_value(&got, SIP_H_RETRY_AFTER, 0), "");
        ack_udp(&r, CALLER,
                slice_eq(sip_get(&got.msg, got.msg.call_id), SLICE("w")) ? &waits : &rings);
    }
    rig_expect_method(&r, PHONE, "CANCEL", &got);
    rig_expect_none(&r, OTHER);
    rig_expect_none(&r, CALLER);
    /* It has answered before the CANCEL came: nobody is left to talk to. */
    answer_udp(&r, PHONE, &inv, 200, "Contact: <sip:bob@10.0.0.3>\n");
    rig_expect_method(&r, PHONE, "ACK", &got);
    rig_expect_method(&r, PHONE, "BYE", &got);
    answer_udp(&r, PHONE, &got, 200, "");
    rig_abandon(&r);
}

/* A re-INVITE is answered too, but the call that it is in goes on without us. */
static void drain_ends_no_dialog(void **state)
{
    (void)state;
    const struct say again = {
        .uri = "sip:bob@10.0.0.3", .branch = "r", .cseq = 2, .to = "<sip:1001@10.0.0.1>;tag=t"};
    struct say inside = again;
    rig_open(&r, OPEN);
    say_udp(&r, CALLER, &(struct say){.uri = "sip:bob@10.0.0.3"});
    rig_expect_method(&r, PHONE, "INVITE", &inv);
    answer_udp(&r, PHONE, &inv, 200, "Contact: <sip:bob@10.0.0.3>\n");
    rig_expect_status(&r, CALLER, 200, &got);
    inside.extra = route_set(&got, true);
    say_udp(&r, CALLER, &inside);
    rig_expect_method(&r, PHONE, "INVITE", &inv);
    rig_drain(&r);
    worker_give_up(r.worker);
    fake_run(r.loop);
    rig_expect_status(&r, CALLER, 503, &got);
    answer_udp(&r, PHONE, &inv, 200, "Contact: <sip:bob@10.0.0.3>\n");
    rig_expect_none(&r, NULL);
    assert_int_equal(rig_calls(&r), 1);
    rig_abandon(&r);
}

/* Everything is given back whatever is under way: ringing, forked, being cancelled, answered, names
 * being looked up, connections being opened. */
static void end_in_the_middle(void **state)
{
    (void)state;
    rig_open(&r, OPEN "sip-enable-tcp-keep-alive = true\n");
    fake_set_host(r.loop, "slow.invalid", "10.0.0.9", 60000);
    fake_set_connect_ms(r.loop, 60000);
    register_udp(&r, "1001", PHONE, "");
    register_udp(&r, "1001", OTHER, "");
    struct fake_conn *conn = register_tcp(&r, "1001", "10.0.0.5", "");
    fake_stall(conn, true);
    say_udp(&r, CALLER, &(struct say){.branch = "fork", .call_id = "fork"});
    rig_expect_method(&r, PHONE, "INVITE", &inv);
    answer_udp(&r, PHONE, &inv, 180, "");
    rig_expect_method(&r, OTHER, "INVITE", &inv);
    cancel_udp(&r, CALLER, &(struct say){.branch = "fork", .call_id = "fork"});
    say_udp(&r, CALLER, &(struct say){.branch = "a", .call_id = "a", .uri = "sip:x@slow.invalid"});
    say_udp(
        &r, CALLER,
        &(struct say){.branch = "b", .call_id = "b", .method = "ACK", .uri = "sip:x@slow.invalid"});
    say_udp(&r, CALLER,
            &(struct say){.branch = "c",
                          .call_id = "c",
                          .method = "MESSAGE",
                          .uri = "sip:x@10.0.0.9;transport=tcp"});
    say_udp(&r, CALLER, &(struct say){.branch = "d", .call_id = "d", .uri = "sip:x@10.0.0.6"});
    rig_expect_method(&r, "10.0.0.6:5060", "INVITE", &inv);
    answer_udp(&r, "10.0.0.6:5060", &inv, 200, "");
    fake_advance(r.loop, 1500);
    assert_int_equal(fake_queries(r.loop), 2);
    rig_abandon(&r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reload_counts_at_once),
        cmocka_unit_test(drain_refuses_what_is_new),
        cmocka_unit_test(drain_ends_what_is_unanswered),
        cmocka_unit_test(drain_ends_no_dialog),
        cmocka_unit_test(end_in_the_middle),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
