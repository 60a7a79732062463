/* SPDX-License-Identifier: Apache-2.0 */
/* What is told of connections: their rows, and how many there are of each kind. That the gauges
 * agree with the connections is looked at in every turn, of every test that uses this network. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "base/random.h"
#include "rows.h"
#include "scripted/wire.h"

#define PHONE     "10.0.0.3:5060"
#define PHONE_TLS "10.0.0.3:5061"
#define REQUEST   FLOW_SEND_REQUEST
#define AGAIN     (FLOW_SEND_REQUEST | FLOW_SEND_RESEND)

static struct wire w;
static struct flow_dest dest;
static struct fake_conn *conn;

static int teardown(void **state)
{
    (void)state;
    wire_close(&w);
    return 0;
}

/* --- one row ---------------------------------------------------------------------------------- */

static struct rows rows;

static void look(void)
{
    const struct row_sink sink = rows_begin(&rows);
    uint32_t at = 0;
    while (flows_rows_some(w.flows, &at, 1, &sink)) {
    }
}

static void expect(const char *name, const char *value)
{
    char want[128];
    look();
    assert_int_equal(rows.n, 1);
    rows.text[rows.len - 1] = ' '; /* behind the last column too */
    (void)snprintf(want, sizeof(want), " %s=%s ", name, value);
    if (!rows_have(&rows, want))
        fail_msg("\"%s\" expected in: %s", want, rows.text);
}

static void resend(struct wire *x, unsigned worker, const struct flow_event *ev)
{
    if (ev->kind == FLOW_DEAD || ev->kind == FLOW_MOVED)
        assert_int_equal(flows_send(x->flows_of[worker], &dest, "again", 5, AGAIN), 0);
}

static void device(void)
{
    wire_init(&w);
    wire_open(&w);
    conn = fake_connect(w.loop, "10.0.0.3:33000", OURS);
    wire_request(conn, "TCP", "10.0.0.3");
    assert_int_equal(w.nmsgs, 1);
    dest = wire_dest(&w, PHONE, SIP_TCP, NULL);
    dest.flow = w.msgs[0].origin.flow;
}

static void a_device_that_has_connected(void **state)
{
    char id[32];
    (void)state;
    device();
    (void)snprintf(id, sizeof(id), "%016llx", (unsigned long long)dest.flow);
    expect("id", id);
    assert_memory_equal(rows.text, "flow id=", 8);
    expect("transport", "tcp");
    expect("state", "up");
    expect("dn", "\"\"");
    expect("remote", "10.0.0.3:33000");
    expect("local", OURS);
    expect("opened_by", "peer");
    expect("age_ms", "0");
    expect("idle_ms", "0");
    expect("unacked_bytes", "0");
    expect("queued_bytes", "0");
    expect("reopened", "0");
    expect("last_error", "\"\"");
    expect("tls", "\"\"");
    expect("tls_name", "\"\"");
    flows_set_dn(w.flows, dest.flow, SLICE("1001"));
    fake_advance(w.loop, 3000);
    expect("dn", "1001");
    expect("age_ms", "3000");
    expect("idle_ms", "3000");
    wire_request(conn, "TCP", "10.0.0.3");
    expect("age_ms", "3000");
    expect("idle_ms", "0");
    fake_advance(w.loop, 1500);
    assert_int_equal(wire_send(&w, 0, &dest, "x", 0), 0);
    expect("age_ms", "4000"); /* to a second */
    expect("idle_ms", "0");
}

static void what_nobody_acknowledges(void **state)
{
    (void)state;
    device();
    fake_set_connect_ms(w.loop, 500);
    fake_stall(conn, true);
    assert_int_equal(wire_send(&w, 0, &dest, "12345", REQUEST), 0);
    assert_int_equal(wire_send(&w, 0, &dest, "678", REQUEST), 0);
    expect("unacked_bytes", "8");
    expect("state", "up");
    assert_int_equal(wire_counter(&w, CTR_TCP_UP), 1);
    fake_advance(w.loop, 1100);
    expect("state", "suspect");
    expect("reopen", PHONE);
    assert_int_equal(wire_counter(&w, CTR_TCP_UP), 0);
    assert_int_equal(wire_counter(&w, CTR_TCP_SUSPECT), 1);
    fake_stall(conn, false);
    fake_advance(w.loop, 100);
    expect("unacked_bytes", "0");
    expect("state", "up");
    assert_int_equal(wire_counter(&w, CTR_TCP_UP), 1);
    assert_int_equal(wire_counter(&w, CTR_TCP_SUSPECT), 0);
}

static void one_that_is_reopened(void **state)
{
    (void)state;
    device();
    w.react = resend;
    fake_set_connect_ms(w.loop, 500);
    assert_int_equal(wire_send(&w, 0, &dest, "x", REQUEST), 0);
    fake_reset(conn);
    fake_run(w.loop);
    expect("state", "reopening");
    expect("queued_bytes", "5");
    expect("opened_by", "peer");
    assert_int_equal(wire_counter(&w, CTR_TCP_SUSPECT), 1);
    assert_int_equal(wire_counter(&w, CTR_FLOWS), 0);
    fake_advance(w.loop, 600);
    expect("state", "up");
    expect("reopened", "1");
    expect("last_error", "\"connection reset by peer\"");
    expect("remote", PHONE);
    expect("opened_by", "us");
    expect("queued_bytes", "0");
    assert_int_equal(wire_counter(&w, CTR_TCP_SUSPECT), 0);
    assert_int_equal(wire_counter(&w, CTR_TCP_UP), 1);
}

static void one_that_we_open_by_tls(void **state)
{
    (void)state;
    wire_init(&w);
    wire_profile(&w, "", false, true);
    wire_open(&w);
    fake_set_connect_ms(w.loop, 500);
    dest = wire_dest(&w, PHONE_TLS, SIP_TLS, "phone.example");
    assert_int_equal(wire_send(&w, 0, &dest, "12345", REQUEST), 0);
    expect("state", "opening");
    expect("transport", "tls");
    expect("queued_bytes", "5");
    expect("tls", "\"\"");
    expect("tls_name", "phone.example");
    assert_int_equal(wire_counter(&w, CTR_TLS_OPENING), 1);
    fake_advance(w.loop, 2000);
    expect("state", "up");
    look();
    assert_non_null(strstr(rows.text, "tls=\"TLS"));
    assert_non_null(strstr(rows.text, " verified\""));
    assert_int_equal(wire_counter(&w, CTR_TLS_OPENING), 0);
    assert_int_equal(wire_counter(&w, CTR_TLS_UP), 1);
    flows_close(w.flows, dest.flow, ERR_ADMIN);
    expect("state", "closing");
    wire_turn(&w);
    look();
    assert_int_equal(rows.n, 0);
    assert_int_equal(wire_counter(&w, CTR_TLS_UP), 0);
}

/* --- a storm ---------------------------------------------------------------------------------- */

#define DEVICES 6
#define STEPS   1500

static struct {
    struct flow_dest dests[DEVICES];
    struct fake_conn *conns[DEVICES];
    struct rng rng;
    unsigned seen[4]; /* openings, ups, suspects, reopenings */
    struct fake_conn *all[STEPS];
    unsigned n;
} storm;

static void resend_of_it(struct wire *x, unsigned worker, const struct flow_event *ev)
{
    if (ev->kind != FLOW_DEAD && ev->kind != FLOW_MOVED)
        return;
    for (unsigned i = 0; i < DEVICES; i++) {
        if (storm.dests[i].flow == ev->flow && rng_below(&storm.rng, 4) != 0)
            (void)!flows_send(x->flows_of[worker], &storm.dests[i], "again", 5, AGAIN);
    }
}

static void connect_one(unsigned i)
{
    char from[32];
    bool is_tls = i % 2 == 1;
    (void)snprintf(from, sizeof(from), "10.0.1.%u:%u", i,
                   20000 + (unsigned)rng_below(&storm.rng, 30000));
    struct fake_conn *c = is_tls ? fake_connect_tls(w.loop, from, OURS_TLS, "phone.example")
                                 : fake_connect(w.loop, from, OURS);
    if (c == NULL)
        return;
    w.nmsgs = 0;
    wire_request(c, is_tls ? "TLS" : "TCP", from);
    storm.all[storm.n++] = c;
    if (w.nmsgs == 1) {
        storm.conns[i] = c;
        storm.dests[i].flow = w.msgs[0].origin.flow;
    }
}

/* Where the device listens. */
static const char *place(unsigned i)
{
    static char at[32];
    (void)snprintf(at, sizeof(at), "10.0.1.%u:%u", i, i % 2 == 1 ? 5061 : 5060);
    return at;
}

static void reset_opened(unsigned i)
{
    struct fake_conn *c;
    for (unsigned n = 0; (c = fake_opened(w.loop, place(i), n)) != NULL; n++)
        if (fake_is_open(c))
            fake_reset(c);
}

static void set_peer(unsigned i)
{
    static const enum fake_policy policies[] = {FAKE_ACCEPT,    FAKE_ACCEPT,     FAKE_REFUSE,
                                                FAKE_BLACKHOLE, FAKE_TLS_SILENT, FAKE_TLS_LATE};
    fake_set_peer(w.loop, place(i), policies[rng_below(&storm.rng, 6)]);
}

static void one_step(void)
{
    unsigned i = (unsigned)rng_below(&storm.rng, DEVICES);
    struct flow_dest *d = &storm.dests[i];
    struct fake_conn *c = storm.conns[i];
    bool is_open = c != NULL && fake_is_open(c);
    switch (rng_below(&storm.rng, 14)) {
    case 0: connect_one(i); break;
    case 1: set_peer(i); break;
    case 2:
        if (is_open)
            fake_stall(c, false);
        break;
    case 10:
        if (is_open)
            fake_stall(c, true);
        (void)!wire_send(&w, 0, d, "request", REQUEST);
        break;
    case 3: (void)fake_stall_all(w.loop, place(i)); break;
    case 4:
        if (is_open)
            fake_reset(c);
        break;
    case 5:
        if (is_open)
            fake_fin(c);
        break;
    case 6:
        if (is_open)
            fake_forget(c);
        break;
    case 7: flows_close(w.flows, d->flow, ERR_ADMIN); break;
    case 8: flows_unanswered(w.flows, d->flow); break;
    case 9: flows_answered(w.flows, d->flow); break;
    default: (void)!wire_send(&w, 0, d, "request", REQUEST); break;
    }
    wire_turn(&w);
    fake_advance(w.loop, rng_below(&storm.rng, 700));
    w.nmsgs = w.nevents = 0;
}

static void tally(void *user, const char *set, unsigned n, const struct field *fields)
{
    static const char *const states[] = {"opening", "up", "suspect", "reopening"};
    (void)user;
    (void)set;
    assert_true(n > 2);
    for (unsigned i = 0; i < 4; i++)
        storm.seen[i] += strcmp(fields[2].v.str, states[i]) == 0;
}

static void after_a_storm_nothing_is_left(void **state)
{
    static const enum counter gauges[] = {CTR_TCP_OPENING, CTR_TCP_UP, CTR_TCP_SUSPECT,
                                          CTR_TLS_OPENING, CTR_TLS_UP, CTR_TLS_SUSPECT,
                                          CTR_FLOWS};
    const struct row_sink sink = {tally, NULL};
    (void)state;
    memset(&storm, 0, sizeof(storm));
    rng_seed(&storm.rng, 5);
    wire_init(&w);
    wire_profile(&w, "", false, true);
    w.react = resend_of_it;
    wire_open(&w);
    for (unsigned i = 0; i < DEVICES; i++) {
        storm.dests[i] = wire_dest(&w, place(i), i % 2 == 1 ? SIP_TLS : SIP_TCP, NULL);
    }
    for (unsigned i = 0; i < STEPS; i++) {
        uint32_t at = 0;
        one_step();
        fake_set_connect_ms(w.loop, i % 2 == 0 ? 300 : 0);
        while (flows_rows_some(w.flows, &at, 16, &sink)) {
        }
    }
    for (unsigned i = 0; i < 4; i++)
        assert_true(storm.seen[i] > 10);
    w.react = NULL;
    for (unsigned i = 0; i < DEVICES; i++)
        flows_close(w.flows, storm.dests[i].flow, ERR_ADMIN);
    wire_turn(&w);
    /* Those that another connection of their device has replaced. */
    for (unsigned i = 0; i < storm.n; i++)
        if (fake_is_open(storm.all[i]))
            fake_reset(storm.all[i]);
    for (unsigned i = 0; i < DEVICES; i++)
        reset_opened(i);
    fake_advance(w.loop, 60000);
    assert_int_equal(flows_count(w.flows), 0);
    for (unsigned i = 0; i < sizeof(gauges) / sizeof(gauges[0]); i++)
        assert_int_equal(wire_counter(&w, gauges[i]), 0);
}

int main(void)
{
#define T(f) cmocka_unit_test_teardown(f, teardown)
    const struct CMUnitTest tests[] = {
        T(a_device_that_has_connected), T(what_nobody_acknowledges),      T(one_that_is_reopened),
        T(one_that_we_open_by_tls),     T(after_a_storm_nothing_is_left),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
