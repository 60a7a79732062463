/* SPDX-License-Identifier: Apache-2.0 */
/* What the transaction user does and sees: answers, limits, scopes, and what lingers. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "heard.h"
#include "scripted/stage.h"

static struct stage *setup(bool recover)
{
    struct stage *s = malloc(sizeof(*s));
    assert_non_null(s);
    stage_start(s, recover);
    return s;
}

static void done(struct stage *s)
{
    stage_stop(s);
    free(s);
}

static struct slice line_of(struct slice m, const char *name)
{
    const char *at = memmem(m.ptr, m.len, name, strlen(name));
    assert_non_null(at);
    return slice_of(at,
                    (size_t)((const char *)memchr(at, '\r', (size_t)(m.ptr + m.len - at)) - at));
}

/* --- answers of our own ----------------------------------------------------------------------- */

static void test_reply(void **state)
{
    struct stage *s = setup(false);
    struct slice m;
    struct slice tags[3];
    (void)state;

    /* From another address than its Via says: RFC 3261 18.2.1; one To tag for all but 100. */
    m = stage_request(s, "INVITE", "z9hG4bKa;rport", "UDP");
    assert_true(fake_datagram(s->loop, "192.0.2.4:1024", US, m));
    expect_note(s, NOTE_NEW, 0);
    assert_int_equal(stage_reply(s, s->server, 100), 0);
    expect_udp(s, "192.0.2.4:1024", "SIP/2.0 100");
    tags[0] = line_of(s->last, "To: ");
    assert_true(slice_eq(tags[0], SLICE("To: <sip:bob@example.com>")));
    struct slice via = line_of(s->last, "Via: ");
    assert_non_null(memmem(via.ptr, via.len, ";received=192.0.2.4", 19));
    assert_non_null(memmem(via.ptr, via.len, ";rport=1024", 11));
    assert_int_equal(stage_reply(s, s->server, 180), 0);
    expect_udp(s, "192.0.2.4:1024", "SIP/2.0 180");
    tags[1] = line_of(s->last, "To: ");
    assert_int_equal(stage_reply(s, s->server, 404), 0);
    expect_udp(s, "192.0.2.4:1024", "SIP/2.0 404");
    tags[2] = line_of(s->last, "To: ");
    assert_true(slice_eq(tags[1], tags[2]));
    assert_true(tags[1].len > tags[0].len + 5);
    m = stage_request(s, "ACK", "z9hG4bKa;rport", "UDP");
    assert_true(fake_datagram(s->loop, "192.0.2.4:1024", US, m));
    done(s);
}

/* Without a transaction each copy of a request gets the same answer, To tag and all (8.2.7). */
static void test_stateless_reply(void **state)
{
    struct stage *s = setup(false);
    struct flow_origin origin = {.transport = SIP_UDP};
    struct sip_hdr hdrs[SIP_HDRS_MAX];
    struct sip_fault fault;
    struct sip_msg m;
    struct slice text = stage_request(s, "INVITE", "z9hG4bKa", "UDP");
    (void)state;

    assert_int_equal(sip_msg_parse(&m, text.ptr, text.len, false, hdrs, SIP_HDRS_MAX,
                                   &sip_limits_default, &fault),
                     0);
    origin.remote = m.source = stage_dest("192.0.2.4:1024", SIP_UDP).remote;
    origin.local = s->listen;
    for (unsigned i = 0; i < 2; i++)
        txn_reply_stateless(s->txns, &m, &origin, 503, SLICE("Busy"), SLICE("Retry-After: 5\r\n"));
    stage_turn(s);
    /* No rport: to the source address, at the port of the Via. */
    expect_udp(s, "192.0.2.4:5060", "SIP/2.0 503 Busy");
    struct slice first = s->last;
    expect_udp(s, "192.0.2.4:5060", "SIP/2.0 503 Busy");
    assert_true(slice_eq(first, s->last));
    /* Of one size with others: blanks are filled in. */
    struct slice retry = line_of(first, "Retry-After: ");
    assert_true(slice_eq(slice_trim(slice_of(retry.ptr + 12, retry.len - 12)), SLICE("5")));
    assert_int_equal(first.len % 64, 0);
    assert_true(line_of(first, "To: ").len > sizeof("To: <sip:bob@example.com>;tag="));
    struct slice via = line_of(first, "Via: ");
    assert_non_null(memmem(via.ptr, via.len, ";received=192.0.2.4", 19));
    assert_int_equal(txns_count(s->txns), 0);
    done(s);
}

/* The ACK of such an answer is known by its To tag alone, that of a transaction's is not. */
static void test_ack_of_stateless(void **state)
{
    struct stage *s = setup(false);
    struct flow_origin origin = {.transport = SIP_UDP};
    struct sip_hdr hdrs[SIP_HDRS_MAX];
    struct sip_fault fault;
    struct sip_msg m;
    char ack[1024];
    uint64_t invite;
    struct slice text = stage_request(s, "INVITE", "z9hG4bKa;rport", "UDP");
    (void)state;

    assert_int_equal(sip_msg_parse(&m, text.ptr, text.len, false, hdrs, SIP_HDRS_MAX,
                                   &sip_limits_default, &fault),
                     0);
    assert_int_equal(addr_parse(SLICE("192.0.2.4:1024"), 0, &origin.remote), 0);
    m.source = origin.remote;
    origin.local = s->listen;
    for (unsigned is_kept = 0; is_kept < 2; is_kept++) {
        if (is_kept) {
            assert_true(fake_datagram(s->loop, "192.0.2.4:1024", US, text));
            assert_int_equal(stage_reply(s, s->server, 503), 0);
        } else {
            txn_reply_stateless(s->txns, &m, &origin, 503, SLICE_NONE, SLICE_NONE);
            stage_turn(s);
        }
        expect_udp(s, "192.0.2.4:1024", "SIP/2.0 503");
        struct slice to = line_of(s->last, "To: ");
        int n = snprintf(ack, sizeof(ack),
                         "ACK sip:bob@example.com SIP/2.0\r\n"
                         "Via: SIP/2.0/UDP 10.0.0.9:5060;branch=z9hG4bKb\r\n"
                         "From: <sip:alice@example.com>;tag=from1\r\n%.*s\r\n"
                         "Call-ID: call-1@10.0.0.9\r\nCSeq: 7 ACK\r\n\r\n",
                         (int)to.len, to.ptr);
        assert_true(txn_is_idle_ack(s->txns, slice_of(ack, (size_t)n)) == !is_kept);
        assert_int_equal(sip_msg_parse(&m, ack, (size_t)n, false, hdrs, SIP_HDRS_MAX,
                                       &sip_limits_default, &fault),
                         0);
        assert_int_equal(txn_on_request(s->txns, &m, &origin, &invite),
                         is_kept ? TXN_ACK : TXN_ABSORBED);
    }
    done(s);
}

static void test_table_full(void **state)
{
    struct stage *s = malloc(sizeof(*s));
    (void)state;

    assert_non_null(s);
    stage_init(s, false);
    s->txn_conf.max = 2;
    heard_begin();
    assert_int_equal(stage_open(s), 0);
    stage_udp(s, "OPTIONS", "z9hG4bKa");
    uint64_t first = s->server;
    stage_udp(s, "OPTIONS", "z9hG4bKb");
    assert_int_equal(s->new_err, 0);
    uint64_t second = s->server;
    stage_udp(s, "OPTIONS", "z9hG4bKc");
    assert_int_equal(s->new_err, ERR_FULL);
    assert_int_equal(counter_get(&s->counters, CTR_TXN_TABLE_FULL), 1);
    assert_int_equal(heard(EV_TRANSACTIONS_FULL), 1);
    /* What is inside a dialog has as much room again. */
    for (unsigned i = 0; i < 3; i++) {
        char text[1024], *to_line;
        struct slice m = stage_request(s, "BYE",
                                       i == 0   ? "z9hG4bKx"
                                       : i == 1 ? "z9hG4bKy"
                                                : "z9hG4bKz",
                                       "UDP");
        to_line = strstr(s->text, "To: <sip:bob@example.com>");
        assert_non_null(to_line);
        int n = snprintf(text, sizeof(text), "%.*s;tag=to1%s", (int)(to_line + 25 - s->text), m.ptr,
                         to_line + 25);
        assert_true(fake_datagram(s->loop, UAC, US, slice_of(text, (size_t)n)));
        assert_int_equal(s->new_err, i < 2 ? 0 : ERR_FULL);
        if (i < 2)
            assert_int_equal(stage_reply(s, s->server, 200), 0);
    }
    /* Those that are in may still send. */
    struct flow_dest to = stage_dest(UAS, SIP_UDP);
    assert_int_not_equal(stage_branch(s, first, SIP_OPTIONS, &to), 0);
    assert_int_equal(stage_reply(s, first, 200), 0);
    assert_int_equal(stage_reply(s, second, 200), 0);
    done(s);
}

/* --- the user's part -------------------------------------------------------------------------- */

static void test_forget(void **state)
{
    struct stage *s = setup(false);
    struct flow_dest to = stage_dest(UAS, SIP_UDP);
    uint64_t id, unused;
    (void)state;

    id = stage_client(s, SIP_INVITE, &to);
    expect_udp(s, UAS, "INVITE ");
    assert_int_equal(txn_client_new(s->txns, s->scope, NULL, &unused), 0);
    assert_int_equal(txns_count(s->txns), 2);
    txn_client_drop(s->txns, unused);
    txn_client_drop(s->txns, unused);
    assert_int_equal(txns_count(s->txns), 1);
    stage_answer_udp(s, 180);
    expect_note(s, NOTE_RESPONSE, 180);
    txn_client_cancel(s->txns, id, SLICE_NONE);
    txn_client_forget(s->txns, id);
    assert_int_equal(txns_count(s->txns), 0);
    assert_null(txn_client_dest(s->txns, id));
    txn_client_forget(s->txns, id);
    txn_client_cancel(s->txns, id, SLICE_NONE);
    stage_turn(s);
    advance(s, 100);
    expect_udp(s, UAS, "CANCEL ");
    no_udp(s);
    expect_note(s, NOTE_END, 0);
    done(s);
}

static void test_hold(void **state)
{
    struct stage *s = setup(false);
    (void)state;

    stage_udp(s, "OPTIONS", "z9hG4bKa");
    expect_note(s, NOTE_NEW, 0);
    struct txn_scope *scope = txn_scope_of(s->txns, s->server);
    txn_scope_hold(scope);
    assert_int_equal(stage_reply(s, s->server, 200), 0);
    advance(s, 40000);
    assert_int_equal(txns_count(s->txns), 0);
    quiet(s); /* held: neither settled nor ended */
    txn_scope_unhold(scope);
    quiet(s); /* never inside a call of the user */
    stage_turn(s);
    advance(s, 100);
    expect_note(s, NOTE_END, 0);
    expect_udp(s, UAC, "SIP/2.0 200");
    done(s);
}

/* What lingers for 32 s holds neither arena nor context. */
static void test_lingering_is_small(void **state)
{
    struct stage *s = setup(false);
    struct flow_dest to = stage_dest(UAS, SIP_UDP);
    struct txn_usage u;
    (void)state;

    stage_udp(s, "INVITE", "z9hG4bKa");
    expect_note(s, NOTE_NEW, 0);
    uint64_t server = s->server;
    stage_branch(s, server, SIP_INVITE, &to);
    expect_udp(s, UAS, "INVITE ");
    struct slice invite = s->last;
    stage_answer_udp(s, 200);
    assert_int_equal(stage_reply(s, server, 200), 0);
    expect_note(s, NOTE_RESPONSE, 200);
    expect_udp(s, UAC, "SIP/2.0 200");
    txns_usage(s->txns, &u);
    assert_int_not_equal(u.blocks, 0);
    assert_non_null(txn_request(s->txns, server));
    assert_non_null(txn_origin(s->txns, server));
    advance(s, 100);
    expect_note(s, NOTE_LINGER, 0);
    txns_usage(s->txns, &u);
    assert_int_equal(u.transactions, 2);
    assert_int_equal(u.blocks, 0);
    assert_int_equal(u.cells, 0);
    assert_null(txn_request(s->txns, server));
    assert_null(txn_origin(s->txns, server));
    /* A further 2xx still goes through, with memory that is given back at once. */
    s->last = invite;
    stage_answer_udp(s, 200);
    expect_note(s, NOTE_RESPONSE, 200);
    struct arena *arena = txn_scope_arena(txn_scope_of(s->txns, server));
    struct slice again = arena_dup(arena, SLICE("SIP/2.0 200 Again\r\n\r\n"));
    assert_int_equal(txn_respond(s->txns, server, 200, again), 0);
    stage_turn(s);
    advance(s, 100);
    expect_udp(s, UAC, "SIP/2.0 200 Again");
    txns_usage(s->txns, &u);
    assert_int_equal(u.blocks, 0);
    quiet(s);
    /* A BYE keeps its last response and nothing else. */
    stage_udp(s, "BYE", "z9hG4bKbye");
    expect_note(s, NOTE_NEW, 0);
    assert_int_equal(stage_reply(s, s->server, 200), 0);
    advance(s, 100);
    expect_note(s, NOTE_END, 0);
    txns_usage(s->txns, &u);
    assert_int_equal(u.blocks, 0);
    assert_int_equal(u.cells, 1);
    done(s);
}

/* A user that cannot shrink keeps its context for as long as it may hear something. */
static void test_lingering_without_callback(void **state)
{
    struct stage *s = setup(false);
    struct flow_dest to = stage_dest(UAS, SIP_UDP);
    struct txn_usage u;
    (void)state;

    s->tu.on_linger = NULL;
    stage_client(s, SIP_INVITE, &to);
    expect_udp(s, UAS, "INVITE ");
    stage_answer_udp(s, 200);
    advance(s, 31000);
    expect_note(s, NOTE_RESPONSE, 200);
    quiet(s);
    txns_usage(s->txns, &u);
    assert_int_not_equal(u.blocks, 0);
    advance(s, 2000);
    expect_note(s, NOTE_END, 0);
    done(s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_reply),
        cmocka_unit_test(test_stateless_reply),
        cmocka_unit_test(test_ack_of_stateless),
        cmocka_unit_test(test_table_full),
        cmocka_unit_test(test_forget),
        cmocka_unit_test(test_hold),
        cmocka_unit_test(test_lingering_is_small),
        cmocka_unit_test(test_lingering_without_callback),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
