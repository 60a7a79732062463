/* SPDX-License-Identifier: Apache-2.0 */
/* What the flow room notices and counts by itself: wedged peers, how long lost requests waited,
 * whose flow it is, connections that never work, how many are opened at a time. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "flow/aliases.h"
#include "flow/counts.h"
#include "scripted/wire.h"

#define PHONE   "10.0.0.3:5060"
#define REQUEST FLOW_SEND_REQUEST
#define AGAIN   (FLOW_SEND_REQUEST | FLOW_SEND_RESEND)

static struct wire w;
static struct flow_dest dest;
static struct fake_conn *conn;
static unsigned owner;

static int teardown(void **state)
{
    (void)state;
    wire_close(&w);
    return 0;
}

static void resend(struct wire *x, unsigned worker, const struct flow_event *ev)
{
    if (ev->kind == FLOW_DEAD || ev->kind == FLOW_MOVED)
        assert_int_equal(flows_send(x->flows_of[worker], &dest, "again", 5, AGAIN), 0);
}

/* A phone that has connected; requests go to it by its flow. */
static void device(void)
{
    conn = fake_connect(w.loop, "10.0.0.3", OURS);
    wire_request(conn, "TCP", "10.0.0.3:33000");
    assert_int_equal(w.nmsgs, 1);
    owner = w.msgs[0].worker;
    dest = wire_dest(&w, PHONE, SIP_TCP, NULL);
    dest.flow = w.msgs[0].origin.flow;
}

static void begin(unsigned workers)
{
    wire_init(&w);
    w.nworkers = workers;
    wire_open(&w);
    device();
}

static void unanswered(unsigned worker, unsigned n)
{
    for (unsigned i = 0; i < n; i++) {
        flows_unanswered(w.flows_of[worker], dest.flow);
        wire_turn(&w);
    }
}

static uint64_t now_ms(void)
{
    return flows_time(w.flows);
}

/* --- wedged ----------------------------------------------------------------------------------- */

static void three_in_a_row_are_wedged(void **state)
{
    (void)state;
    begin(1);
    flows_set_dn(w.flows, dest.flow, SLICE("1001"));
    assert_int_equal(wire_send(&w, 0, &dest, "x", REQUEST), 0);
    unanswered(0, 2);
    assert_int_equal(w.nevents, 0);
    assert_true(fake_is_open(conn));
    unanswered(0, 1);
    assert_int_equal(w.nevents, 1);
    assert_int_equal(w.events[0].kind, FLOW_DEAD);
    assert_int_equal(w.events[0].err, ERR_STALE_WEDGED);
    assert_false(fake_is_open(conn));
    assert_true(fake_was_aborted(conn));
    assert_int_equal(wire_counter(&w, CTR_STALE_WEDGED), 1);
    assert_int_equal(wire_logged(&w, "acknowledges but answers nothing"), 1);
    assert_int_equal(wire_logged(&w, "dn=1001"), 1);
    assert_int_equal(flows_count(w.flows), 0);
}

/* What still waits is sent again, under the same id. */
static void a_wedged_one_is_reopened_for_what_waits(void **state)
{
    (void)state;
    begin(1);
    w.react = resend;
    uint64_t id = dest.flow;
    assert_int_equal(wire_send(&w, 0, &dest, "x", REQUEST), 0);
    unanswered(0, 3);
    wire_expect(fake_opened(w.loop, PHONE, 0), "again");
    assert_true(dest.flow == id);
    assert_true(flows_is_up(w.flows, id));
    /* The new one begins at nothing. */
    unanswered(0, 2);
    assert_int_equal(w.nevents, 1);
    unanswered(0, 1);
    assert_int_equal(w.nevents, 2);
    assert_int_equal(wire_counter(&w, CTR_STALE_WEDGED), 2);
}

static void any_byte_is_a_sign_of_life(void **state)
{
    (void)state;
    begin(1);
    assert_int_equal(wire_send(&w, 0, &dest, "x", REQUEST), 0);
    unanswered(0, 2);
    fake_send(conn, SLICE("\r\n"));
    unanswered(0, 2);
    flows_answered(w.flows, dest.flow); /* by another connection */
    unanswered(0, 2);
    assert_int_equal(w.nevents, 0);
    assert_true(fake_is_open(conn));
    unanswered(0, 1);
    assert_int_equal(w.nevents, 1);
}

static void wedged_is_off(void **state)
{
    (void)state;
    wire_init(&w);
    w.conf.wedged_after = 0;
    wire_open(&w);
    device();
    unanswered(0, 300);
    assert_true(fake_is_open(conn));
    wire_close(&w);
    wire_init(&w);
    w.conf.sockopt.keep_alive = false;
    wire_open(&w);
    device();
    unanswered(0, 300);
    assert_true(fake_is_open(conn));
    flows_unanswered(w.flows, 0);
    flows_unanswered(w.flows, dest.flow + 1);
}

static void wedged_over_workers(void **state)
{
    (void)state;
    begin(2);
    unsigned other = 1 - owner;
    assert_int_equal(wire_send(&w, other, &dest, "x", REQUEST), 0);
    unanswered(other, 3);
    assert_int_equal(w.nevents, 1);
    assert_int_equal(w.event_worker[0], other);
    assert_int_equal(w.events[0].err, ERR_STALE_WEDGED);
    assert_false(fake_is_open(conn));
}

/* --- the label -------------------------------------------------------------------------------- */

static void the_dn_stands_in_log_and_list(void **state)
{
    (void)state;
    begin(2);
    unsigned other = 1 - owner;
    w.react = resend;
    assert_true(wire_listed(&w, " dn=\"\" "));
    flows_set_dn(w.flows_of[other], dest.flow, SLICE("alice"));
    wire_turn(&w);
    assert_true(wire_listed(&w, " dn=alice"));
    flows_set_dn(w.flows_of[owner], dest.flow, SLICE("1001"));
    assert_true(wire_listed(&w, " dn=1001"));
    assert_int_equal(wire_send(&w, owner, &dest, "x", REQUEST), 0);
    fake_reset(conn);
    assert_int_equal(wire_logged(&w, "connection ended"), 1);
    assert_int_equal(wire_logged(&w, "event=41001"), 1);
    assert_int_equal(wire_logged(&w, "how=reset cause=\"connection reset by peer\" idle_ms="), 1);
    assert_int_equal(wire_logged(&w, "event=41002"), 1);
    assert_int_equal(wire_logged(&w, "resent=1"), 1);
    assert_int_equal(wire_logged(&w, "dn=1001 peer=10.0.0.3:"), 3);
    assert_true(wire_listed(&w, " dn=1001"));
    assert_true(wire_listed(&w, " reopened=1 last_error=\"connection reset by peer\""));
    flows_set_dn(w.flows_of[owner], dest.flow, SLICE_NONE);
    assert_true(wire_listed(&w, " dn=\"\" "));
    char longest[FLOW_DN_MAX + 10];
    memset(longest, 'd', sizeof(longest));
    flows_set_dn(w.flows_of[other], dest.flow, slice_of(longest, sizeof(longest)));
    wire_turn(&w);
    longest[FLOW_DN_MAX] = '\0';
    assert_true(wire_listed(&w, longest));
    longest[FLOW_DN_MAX] = 'd';
    longest[FLOW_DN_MAX + 1] = '\0';
    assert_false(wire_listed(&w, longest));
    flows_set_dn(w.flows_of[owner], 0, SLICE("x"));
    flows_set_dn(w.flows_of[owner], dest.flow + 1, SLICE("x"));
}

static void who_connects_is_told(void **state)
{
    (void)state;
    begin(1);
    assert_int_equal(w.naccepted, 1);
    assert_int_equal(w.accepted.ip[3], 3);
    struct flow_dest d = wire_dest(&w, "10.0.0.4:5060", SIP_TCP, NULL);
    assert_int_equal(wire_send(&w, 0, &d, "x", REQUEST), 0);
    assert_int_equal(w.naccepted, 1); /* that one is ours */
}

/* --- the histogram ---------------------------------------------------------------------------- */

static void expect_buckets(unsigned count, uint64_t least, uint64_t most)
{
    uint64_t ms = wire_counter(&w, CTR_RECOVERY_MS);
    assert_int_equal(wire_counter(&w, CTR_RECOVERY_COUNT), count);
    assert_in_range(ms, least, most);
}

static void recovery_after_a_silent_drop(void **state)
{
    (void)state;
    begin(1);
    w.react = resend;
    fake_set_connect_ms(w.loop, 40);
    fake_stall(conn, true);
    dest.since = now_ms();
    assert_int_equal(wire_send(&w, 0, &dest, "x", REQUEST), 0);
    fake_advance(w.loop, 1040);
    assert_int_equal(w.nevents, 1);
    assert_int_equal(w.events[0].kind, FLOW_MOVED);
    fake_advance(w.loop, 100);
    expect_buckets(1, 1040, 1050);
    assert_int_equal(wire_counter(&w, CTR_RECOVERY_LE_1000), 0);
    assert_int_equal(wire_counter(&w, CTR_RECOVERY_LE_1500), 1);
    assert_int_equal(wire_counter(&w, CTR_RECOVERY_LE_3000), 1);
    assert_int_equal(wire_counter(&w, CTR_RECOVERY_LE_10000), 1);
    assert_int_equal(wire_logged(&w, "ms=1040"), 1);
}

static void recovery_after_a_reset(void **state)
{
    (void)state;
    begin(1);
    w.react = resend;
    fake_set_connect_ms(w.loop, 20);
    dest.since = now_ms() - 10;
    assert_int_equal(wire_send(&w, 0, &dest, "x", REQUEST), 0);
    fake_reset(conn);
    fake_advance(w.loop, 200);
    expect_buckets(1, 30, 40);
    assert_int_equal(wire_counter(&w, CTR_RECOVERY_LE_50), 1);
    assert_int_equal(wire_counter(&w, CTR_RECOVERY_LE_200), 1);
}

/* A request that comes while the connection is being opened again has to wait for that too; one
 * that comes afterwards has not. */
static void recovery_of_what_came_meanwhile(void **state)
{
    (void)state;
    begin(1);
    w.react = resend;
    fake_set_connect_ms(w.loop, 100);
    dest.since = now_ms();
    assert_int_equal(wire_send(&w, 0, &dest, "x", REQUEST), 0);
    fake_reset(conn);
    fake_advance(w.loop, 60);
    dest.since = now_ms();
    assert_int_equal(wire_send(&w, 0, &dest, "y", REQUEST), 0);
    fake_advance(w.loop, 200);
    expect_buckets(2, 140, 160);
    dest.since = now_ms();
    assert_int_equal(wire_send(&w, 0, &dest, "z", REQUEST), 0);
    fake_advance(w.loop, 200);
    expect_buckets(2, 140, 160);
}

/* Only at the acknowledgement, and by the first byte that brings it. */
static void recovery_ends_with_the_acknowledgement(void **state)
{
    (void)state;
    begin(1);
    w.react = resend;
    dest.since = now_ms();
    assert_int_equal(wire_send(&w, 0, &dest, "x", REQUEST), 0);
    fake_set_connect_ms(w.loop, 10);
    fake_reset(conn);
    fake_advance(w.loop, 9);
    assert_null(fake_opened(w.loop, PHONE, 0));
    fake_advance(w.loop, 1);
    struct fake_conn *o = fake_opened(w.loop, PHONE, 0);
    fake_stall(o, true); /* what was sent is there; what follows is not */
    assert_int_equal(wire_send(&w, 0, &dest, "y", AGAIN), 0);
    fake_advance(w.loop, 700);
    expect_buckets(1, 10, 20);
    fake_stall(o, false);
    fake_send(o, SLICE("\r\n"));
    expect_buckets(2, 720, 740);
}

/* What is new, or was never received (since 0), is not counted; nor what dies once more. */
static void what_is_no_recovery(void **state)
{
    (void)state;
    begin(1);
    w.react = resend;
    assert_int_equal(wire_send(&w, 0, &dest, "x", REQUEST), 0);
    fake_reset(conn);
    fake_advance(w.loop, 300);
    expect_buckets(0, 0, 0);
    dest.since = now_ms();
    assert_int_equal(wire_send(&w, 0, &dest, "new", REQUEST), 0);
    fake_advance(w.loop, 300);
    expect_buckets(0, 0, 0);
    struct fake_conn *o = fake_opened(w.loop, PHONE, 0);
    fake_stall(o, true);
    assert_int_equal(wire_send(&w, 0, &dest, "lost", AGAIN), 0);
    fake_stall(o, false);
    expect_buckets(0, 0, 0);
    fake_reset(o);
    fake_advance(w.loop, 10);
    expect_buckets(1, 300, 330); /* sent again by the other one */
}

static void recovery_over_workers(void **state)
{
    (void)state;
    begin(2);
    unsigned other = 1 - owner;
    w.react = resend;
    dest.since = now_ms() - 100;
    assert_int_equal(wire_send(&w, other, &dest, "x", REQUEST), 0);
    fake_reset(conn);
    fake_advance(w.loop, 20);
    wire_expect(fake_opened(w.loop, PHONE, 0), "again");
    expect_buckets(1, 100, 115);
}

/* --- acknowledged before ---------------------------------------------------------------------- */

static void what_was_acknowledged_is_told(void **state)
{
    (void)state;
    begin(1);
    assert_int_equal(wire_send(&w, 0, &dest, "a", 0), 0);
    fake_advance(w.loop, 1000);
    fake_stall(conn, true);
    uint64_t stalled = now_ms();
    assert_int_equal(wire_send(&w, 0, &dest, "b", 0), 0);
    fake_advance(w.loop, 300);
    assert_int_equal(wire_send(&w, 0, &dest, "c", REQUEST), 0);
    fake_advance(w.loop, 1000);
    assert_int_equal(w.events[0].kind, FLOW_MOVED);
    assert_true(w.events[0].acked_before == stalled);
    /* On a connection that died while nothing was under way everything had arrived. */
    fake_advance(w.loop, 1000);
    fake_send(fake_opened(w.loop, PHONE, 0), SLICE("\r\n"));
    assert_int_equal(wire_send(&w, 0, &dest, "d", 0), 0);
    fake_advance(w.loop, 1000);
    fake_reset(fake_opened(w.loop, PHONE, 0));
    assert_int_equal(w.events[1].kind, FLOW_DEAD);
    assert_true(w.events[1].acked_before == now_ms());
}

/* Messages that waited for the opening were given long before they were written. */
static void what_waited_is_not_taken_for_acknowledged(void **state)
{
    (void)state;
    wire_init(&w);
    wire_open(&w);
    fake_set_connect_ms(w.loop, 500);
    dest = wire_dest(&w, PHONE, SIP_TCP, NULL);
    uint64_t given = now_ms();
    assert_int_equal(wire_send(&w, 0, &dest, "a", REQUEST), 0);
    fake_advance(w.loop, 500);
    struct fake_conn *o = fake_opened(w.loop, PHONE, 0);
    fake_reset(o);
    assert_int_equal(w.events[0].kind, FLOW_DEAD);
    assert_true(w.events[0].acked_before <= given);
}

static void other_workers_are_told_nothing(void **state)
{
    (void)state;
    begin(2);
    assert_int_equal(wire_send(&w, 1 - owner, &dest, "a", 0), 0);
    fake_advance(w.loop, 1000);
    fake_reset(conn);
    assert_int_equal(w.nevents, 1);
    assert_true(w.events[0].acked_before == 0);
}

/* --- connections that never work -------------------------------------------------------------- */

static void stall_opened(struct wire *x, unsigned worker, const struct flow_event *ev)
{
    resend(x, worker, ev);
    if (ev->kind == FLOW_MOVED || ev->kind == FLOW_DEAD)
        (void)fake_stall_all(x->loop, PHONE);
}

/* The device accepts and never reads: one second connection, no third, and it is said to have
 * failed after tcp-unacked-timeout. */
static void a_peer_that_accepts_and_never_reads(void **state)
{
    (void)state;
    wire_init(&w);
    w.conf.unacked_timeout_ms = 3000;
    wire_open(&w);
    device();
    w.react = stall_opened;
    fake_stall(conn, true);
    assert_int_equal(wire_send(&w, 0, &dest, "x", REQUEST), 0);
    fake_advance(w.loop, 1000);
    assert_int_equal(w.nevents, 1);
    assert_int_equal(w.events[0].kind, FLOW_MOVED);
    fake_advance(w.loop, 2999);
    assert_int_equal(w.nevents, 1);
    fake_advance(w.loop, 1);
    assert_int_equal(w.nevents, 2);
    assert_int_equal(w.events[1].kind, FLOW_FAILED);
    assert_int_equal(w.events[1].err, ERR_STALE_UNACKED);
    assert_int_equal(fake_opens(w.loop, PHONE), 1);
    assert_int_equal(flows_count(w.flows), 0);
}

/* One that has worked since is suspected like any other. */
static void suspected_again_after_it_has_worked(void **state)
{
    (void)state;
    begin(1);
    w.react = resend;
    fake_stall(conn, true);
    assert_int_equal(wire_send(&w, 0, &dest, "x", REQUEST), 0);
    fake_advance(w.loop, 1500);
    fake_stall(fake_opened(w.loop, PHONE, 0), true);
    assert_int_equal(wire_send(&w, 0, &dest, "y", REQUEST), 0);
    fake_advance(w.loop, 1000);
    assert_int_equal(w.nevents, 2);
    assert_int_equal(w.events[1].kind, FLOW_MOVED);
    wire_expect(fake_opened(w.loop, PHONE, 1), "again");
}

/* --- how many at a time ----------------------------------------------------------------------- */

/* Each destination its share, all together ten times that; nobody is refused. */
static void openings_are_limited_in_all(void **state)
{
    (void)state;
    wire_init(&w);
    w.conf.reopen_per_second = 2;
    wire_open(&w);
    for (unsigned i = 0; i < 40; i++) {
        char to[32];
        snprintf(to, sizeof(to), "10.0.1.%u:5060", i % 20);
        if (i >= 20)
            snprintf(to, sizeof(to), "10.0.1.%u:5062", i % 20);
        dest = wire_dest(&w, to, SIP_TCP, NULL);
        assert_int_equal(wire_send(&w, 0, &dest, "x", REQUEST), 0);
    }
    assert_int_equal(fake_opens(w.loop, NULL), 20);
    assert_int_equal(flows_count(w.flows), 40);
    fake_advance(w.loop, 500);
    assert_in_range(fake_opens(w.loop, NULL), 27, 30);
    fake_advance(w.loop, 1000);
    assert_int_equal(fake_opens(w.loop, NULL), 40);
    assert_int_equal(w.nevents, 0);
    assert_int_equal(wire_counter(&w, CTR_FLOW_OPENED), 40);
    fake_advance(w.loop, 5000);
}

/* A thousand phones behind one firewall. */
static void openings_to_one_address_are_spread(void **state)
{
    (void)state;
    wire_init(&w);
    wire_open(&w);
    for (unsigned i = 0; i < 300; i++) {
        char to[32];
        snprintf(to, sizeof(to), "10.0.1.1:%u", 6000 + i);
        dest = wire_dest(&w, to, SIP_TCP, NULL);
        assert_int_equal(wire_send(&w, 0, &dest, "x", REQUEST), 0);
    }
    assert_int_equal(fake_opens(w.loop, NULL), 100);
    fake_advance(w.loop, 1000);
    assert_in_range(fake_opens(w.loop, NULL), 190, 201);
    fake_advance(w.loop, 1100);
    assert_int_equal(fake_opens(w.loop, NULL), 300);
    fake_advance(w.loop, 5000);
}

/* A phone that could not be reached connects: the next call tries it, whichever worker has it. */
static void who_connects_is_tried_again(void **state)
{
    (void)state;
    wire_init(&w);
    w.nworkers = 2;
    assert_int_equal(flow_counts_new(&w.conf.counts), 0);
    wire_open(&w);
    fake_set_peer(w.loop, PHONE, FAKE_REFUSE);
    for (unsigned i = 0; i < 2; i++) { /* one of them asks the other */
        dest = wire_dest(&w, PHONE, SIP_TCP, NULL);
        (void)!wire_send(&w, i, &dest, "x", REQUEST);
    }
    assert_int_equal(fake_opens(w.loop, PHONE), 1);
    fake_advance(w.loop, 100);
    assert_non_null(fake_connect(w.loop, "10.0.0.4", OURS));
    (void)!wire_send(&w, 0, &dest, "x", REQUEST);
    assert_int_equal(fake_opens(w.loop, PHONE), 1);
    assert_non_null(fake_connect(w.loop, "10.0.0.3", OURS));
    dest.flow = 0;
    (void)!wire_send(&w, 0, &dest, "x", REQUEST);
    assert_int_equal(fake_opens(w.loop, PHONE), 2);
    /* Once: it has failed again. */
    dest.flow = 0;
    (void)!wire_send(&w, 1, &dest, "x", REQUEST);
    assert_int_equal(fake_opens(w.loop, PHONE), 2);
    struct flow_counts *counts = w.conf.counts;
    wire_close(&w);
    flow_counts_free(&counts);
    begin(1);
}

/* A reload while the connection of a device is being opened again, and another one behind it: what
 * we open is nobody's connection to us. */
static void a_reload_counts_who_has_connected(void **state)
{
    (void)state;
    wire_init(&w);
    w.conf.max_per_address = 1;
    assert_int_equal(flow_counts_new(&w.conf.counts), 0);
    wire_open(&w);
    device();
    w.react = resend;
    struct addr from = dest.remote, other = dest.remote;
    other.ip[3] = 4;
    dest.remote = other; /* its Contact: behind a NAT that is another address */
    fake_set_connect_ms(w.loop, 100);
    assert_int_equal(wire_send(&w, 0, &dest, "x", REQUEST), 0);
    assert_false(flow_counts_take(w.conf.counts, &from, 1));
    flows_set_conf(w.flows, &w.conf);
    assert_false(flow_counts_take(w.conf.counts, &from, 1));
    fake_reset(conn);
    wire_turn(&w);
    assert_false(flows_is_up(w.flows, dest.flow));
    flows_set_conf(w.flows, &w.conf);
    fake_advance(w.loop, 100);
    wire_expect(fake_opened(w.loop, "10.0.0.4:5060", 0), "again");
    flows_set_conf(w.flows, &w.conf);
    assert_true(flow_counts_take(w.conf.counts, &from, 1));
    assert_true(flow_counts_take(w.conf.counts, &other, 1));
    struct flow_counts *counts = w.conf.counts;
    wire_close(&w);
    flow_counts_free(&counts);
    begin(1);
}

/* RFC 5923: who connects may offer its connection for its sent-by address. One that we have opened
 * in the place of an accepted one, which had said nothing, is not the peer's to offer. */
static void what_we_opened_is_no_alias(void **state)
{
    (void)state;
    struct flow_alias alias = {.transport = SIP_TCP};
    wire_init(&w);
    assert_int_equal(flow_aliases_new(&w.conf.aliases), 0);
    wire_open(&w);
    w.react = resend;
    conn = fake_connect(w.loop, "10.0.0.3", OURS);
    dest = wire_dest(&w, PHONE, SIP_TCP, NULL);
    dest.flow = flows_from(w.flows, SIP_TCP, &w.accepted);
    assert_true(dest.flow != 0);
    assert_int_equal(wire_send(&w, 0, &dest, "x", REQUEST), 0);
    fake_reset(conn);
    wire_turn(&w);
    struct fake_conn *second = fake_opened(w.loop, PHONE, 0);
    wire_request(second, "TCP", "10.0.0.3:5072;alias");
    alias.addr = dest.remote;
    alias.addr.port = 5072;
    assert_true(flow_aliases_find(w.conf.aliases, &alias) == 0);
    fake_fin(second);
    wire_turn(&w);
    /* The one that is offered rightly is found. */
    wire_request(fake_connect(w.loop, "10.0.0.3", OURS), "TCP", "10.0.0.3:5072;alias");
    assert_true(flow_aliases_find(w.conf.aliases, &alias) == w.msgs[1].origin.flow);
    struct flow_aliases *aliases = w.conf.aliases;
    wire_close(&w);
    flow_aliases_free(&aliases);
    begin(1);
}

#define T(f) cmocka_unit_test_teardown(f, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(three_in_a_row_are_wedged),
        T(a_wedged_one_is_reopened_for_what_waits),
        T(any_byte_is_a_sign_of_life),
        T(wedged_is_off),
        T(wedged_over_workers),
        T(the_dn_stands_in_log_and_list),
        T(who_connects_is_told),
        T(recovery_after_a_silent_drop),
        T(recovery_after_a_reset),
        T(recovery_of_what_came_meanwhile),
        T(recovery_ends_with_the_acknowledgement),
        T(what_is_no_recovery),
        T(recovery_over_workers),
        T(what_was_acknowledged_is_told),
        T(what_waited_is_not_taken_for_acknowledged),
        T(other_workers_are_told_nothing),
        T(a_peer_that_accepts_and_never_reads),
        T(suspected_again_after_it_has_worked),
        T(openings_are_limited_in_all),
        T(openings_to_one_address_are_spread),
        T(who_connects_is_tried_again),
        T(a_reload_counts_who_has_connected),
        T(what_we_opened_is_no_alias),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
