/* SPDX-License-Identifier: Apache-2.0 */
/* Transactions when memory runs out: the n-th allocation of a script fails, for each n. Whatever
 * becomes of the calls, nothing is left behind and nothing is touched that is gone. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/alloc.h"
#include "rows.h"
#include "scripted/stage.h"

#define DEVICE "10.0.0.2:41000"

/* Answers whatever was sent to UAS by UDP. */
static void answer_all_udp(struct stage *s, unsigned status)
{
    struct fake_datagram d;

    while (fake_take_datagram(s->loop, UAS, &d)) {
        if (slice_starts(d.bytes, SLICE("ACK ")))
            continue;
        s->last = d.bytes;
        stage_answer_udp(s, slice_starts(d.bytes, SLICE("CANCEL ")) ? 200 : status);
    }
}

static void answer_all_tcp(struct stage *s, struct fake_conn *conn, unsigned status)
{
    while (conn != NULL && fake_take_message(conn, &s->last)) {
        if (!slice_starts(s->last, SLICE("ACK ")) && !slice_starts(s->last, SLICE("SIP/2.0 ")))
            fake_send(conn, stage_answer(s, status));
    }
}

/* A call over UDP that is cancelled. */
static void script_cancel(struct stage *s)
{
    struct flow_dest to = stage_dest(UAS, SIP_UDP);

    stage_udp(s, "INVITE", "z9hG4bKa");
    if (s->new_err != 0)
        return;
    uint64_t server = s->server;
    uint64_t client = stage_branch(s, server, SIP_INVITE, &to);
    (void)stage_reply(s, server, 100);
    advance(s, 600);
    answer_all_udp(s, 180);
    stage_udp(s, "CANCEL", "z9hG4bKa");
    txn_client_cancel(s->txns, client, SLICE_NONE);
    stage_turn(s);
    answer_all_udp(s, 487);
    (void)stage_reply(s, server, 487);
    advance(s, 600);
    stage_udp(s, "ACK", "z9hG4bKa");
    advance(s, 100);
}

/* A call over UDP that is accepted, and its BYE. */
static void script_accept(struct stage *s)
{
    struct flow_dest to = stage_dest(UAS, SIP_UDP);

    stage_udp(s, "INVITE", "z9hG4bKa");
    if (s->new_err != 0)
        return;
    stage_branch(s, s->server, SIP_INVITE, &to);
    advance(s, 1);
    answer_all_udp(s, 200);
    (void)stage_reply(s, s->server, 200);
    advance(s, 100);
    stage_udp(s, "BYE", "z9hG4bKb");
    if (s->new_err == 0) {
        stage_branch(s, s->server, SIP_BYE, &to);
        advance(s, 1);
        answer_all_udp(s, 200);
        (void)stage_reply(s, s->server, 200);
    }
    advance(s, 100);
    stage_udp(s, "BYE", "z9hG4bKb"); /* a new one, if the first was refused */
    (void)stage_reply(s, s->server, 200);
}

static unsigned listed(struct stage *s)
{
    static struct rows rows;
    const struct row_sink sink = rows_begin(&rows);
    uint32_t at = 0;
    while (txns_rows_some(s->txns, &at, 3, &sink)) {
    }
    return rows.n;
}

/* Over connections that die: requests, responses and an ACK are sent again. */
static void script_recovery(struct stage *s)
{
    struct fake_conn *conn = fake_connect(s->loop, DEVICE, US);
    struct flow_dest to = stage_dest(UAS, SIP_TCP);

    if (conn == NULL)
        return;
    s->server = 0;
    fake_send(conn, stage_request(s, "REGISTER", "z9hG4bKreg", "TCP"));
    const struct flow_origin *origin = txn_origin(s->txns, s->server);
    if (origin == NULL)
        return;
    to.flow = origin->flow;
    fake_stall(conn, true);
    (void)stage_reply(s, s->server, 200);
    uint64_t id = stage_client(s, SIP_INVITE, &to);
    txn_client_cancel(s->txns, id, SLICE_NONE);
    (void)!txn_send_stateless(s->txns, &to, SLICE("ACK sip:x SIP/2.0\r\n\r\n"), NULL, NULL, 0);
    stage_client(s, SIP_INFO, &to);
    advance(s, 1500);
    for (unsigned i = 0; i < 3; i++) {
        answer_all_tcp(s, fake_opened(s->loop, UAS, i), 180);
        advance(s, 100);
        answer_all_tcp(s, fake_opened(s->loop, UAS, i), 486);
        fake_stall_all(s->loop, UAS);
        advance(s, 6000);
    }
    assert_int_equal(listed(s), txns_count(s->txns));
}

static void sweep(void (*script)(struct stage *s), bool recover)
{
    struct stage *s = malloc(sizeof(*s));
    uint64_t n = 0;
    bool failed;

    assert_non_null(s);
    do {
        stage_init(s, recover);
        mem_fail_at(++n);
        if (stage_open(s) == 0) {
            script(s);
            failed = mem_failed();
            mem_fail_at(0);
            stage_stop(s);
        } else {
            failed = mem_failed();
            assert_true(failed);
            mem_fail_at(0);
        }
    } while (failed);
    free(s);
#ifdef HOLDFAST_FAULTS
    assert_true(n > 20);
#endif
}

static void test_cancel(void **state)
{
    (void)state;
    sweep(script_cancel, false);
}

static void test_accept(void **state)
{
    (void)state;
    sweep(script_accept, false);
}

static void test_recovery(void **state)
{
    (void)state;
    sweep(script_recovery, true);
}

/* Ending in the middle of everything. */
static void test_free_under_way(void **state)
{
    static void (*const scripts[])(struct stage * s) = {script_cancel, script_accept,
                                                        script_recovery};
    struct stage *s = malloc(sizeof(*s));
    (void)state;

    assert_non_null(s);
    for (size_t i = 0; i < 3; i++) {
        struct flow_dest to = stage_dest(UAS, i == 2 ? SIP_TCP : SIP_UDP);
        stage_start(s, i == 2);
        scripts[i](s);
        stage_client(s, SIP_INVITE, &to);
        stage_udp(s, "INVITE", "z9hG4bKlast");
        assert_int_not_equal(txns_count(s->txns), 0);
        stage_close(s);
        assert_int_equal(counter_get(&s->counters, CTR_TXN_CLIENT), 0);
        assert_int_equal(counter_get(&s->counters, CTR_TXN_SERVER), 0);
    }
    free(s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_cancel),
        cmocka_unit_test(test_accept),
        cmocka_unit_test(test_recovery),
        cmocka_unit_test(test_free_under_way),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
