/* SPDX-License-Identifier: Apache-2.0 */
/* What the transaction user is told when a connection is replaced, when there is no way left, and
 * when a response or an ACK cannot be brought to anyone. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "scripted/stage.h"

#define DEVICE "10.0.0.2:41000"
#define MOVED  "10.0.0.2:42000" /* a later connection of the device's own */

static struct stage *s;
static struct fake_conn *conn;
static struct flow_dest dest;

static struct fake_conn *connect_as(const char *from, struct flow_dest *way)
{
    static unsigned n;
    char branch[32];
    struct fake_conn *c = fake_connect(s->loop, from, US);
    snprintf(branch, sizeof(branch), "z9hG4bKreg%u", ++n);
    fake_send(c, stage_request(s, "REGISTER", branch, "TCP"));
    *way = stage_dest(UAS, SIP_TCP);
    way->flow = txn_origin(s->txns, s->server)->flow;
    assert_int_equal(stage_reply(s, s->server, 200), 0);
    expect_tcp(s, c, "SIP/2.0 200");
    expect_note(s, NOTE_NEW, 0);
    return c;
}

static void setup(bool recover)
{
    s = calloc(1, sizeof(*s));
    assert_non_null(s);
    stage_start(s, recover);
    conn = connect_as(DEVICE, &dest);
    advance(s, 7000);
    expect_note(s, NOTE_END, 0);
    s->is_asked = true;
}

static void done(void)
{
    stage_stop(s);
    free(s);
}

/* --- resent ----------------------------------------------------------------------------------- */

static void test_resent_is_told(void **state)
{
    (void)state;
    setup(true);
    uint64_t id = stage_client(s, SIP_INVITE, &dest);
    expect_tcp(s, conn, "INVITE ");
    struct slice invite = s->last;
    fake_send(conn, stage_answer(s, 180));
    expect_note(s, NOTE_RESPONSE, 180);
    txn_client_cancel(s->txns, id, SLICE_NONE);
    stage_turn(s);
    fake_reset(conn);
    advance(s, 1);
    assert_int_equal(expect_note(s, NOTE_RESENT, -ECONNRESET)->id, id);
    quiet(s); /* nobody knows of the CANCEL */
    struct fake_conn *second = fake_opened(s->loop, UAS, 0);
    expect_tcp(s, second, "INVITE ");
    expect_tcp(s, second, "CANCEL ");
    s->last = invite;
    fake_send(second, stage_answer(s, 487));
    expect_note(s, NOTE_RESPONSE, 487);
    done();
}

static void test_moved_is_told(void **state)
{
    (void)state;
    setup(true);
    fake_stall(conn, true);
    uint64_t id = stage_client(s, SIP_INFO, &dest);
    advance(s, 1300);
    assert_int_equal(expect_note(s, NOTE_RESENT, ERR_STALE_SUSPECT)->id, id);
    expect_tcp(s, fake_opened(s->loop, UAS, 0), "INFO ");
    fake_send(fake_opened(s->loop, UAS, 0), stage_answer(s, 200));
    done();
}

/* --- stranded --------------------------------------------------------------------------------- */

/* The device has come back by itself, where we cannot open anything: the same bytes go there. */
static void test_goes_on_over_the_devices_own_connection(void **state)
{
    (void)state;
    setup(true);
    fake_set_peer(s->loop, UAS, FAKE_REFUSE);
    uint64_t id = stage_client(s, SIP_INVITE, &dest);
    expect_tcp(s, conn, "INVITE ");
    struct slice invite = s->last;
    fake_send(conn, stage_answer(s, 180));
    expect_note(s, NOTE_RESPONSE, 180);
    txn_client_cancel(s->txns, id, SLICE_NONE);
    stage_turn(s);
    expect_tcp(s, conn, "CANCEL ");
    struct slice cancel = s->last;
    struct fake_conn *own = connect_as(MOVED, &s->other);
    fake_reset(conn);
    advance(s, 10);
    expect_note(s, NOTE_RESENT, -ECONNRESET);
    assert_int_equal(expect_note(s, NOTE_STRANDED, -ECONNREFUSED)->id, id);
    expect_note(s, NOTE_END, 0); /* the REGISTER */
    quiet(s);
    assert_true(fake_take_message(own, &s->last));
    assert_true(slice_eq(s->last, invite));
    assert_true(fake_take_message(own, &s->last)); /* behind its INVITE */
    assert_true(slice_eq(s->last, cancel));
    no_tcp(s, own);
    fake_send(own, stage_answer(s, 200));
    s->last = invite;
    fake_send(own, stage_answer(s, 487));
    expect_note(s, NOTE_RESPONSE, 487);
    expect_tcp(s, own, "ACK ");
    done();
}

/* Cancelled in the turn in which it lost its way: the CANCEL goes by the other one, behind its
 * INVITE, and the transaction ends also when nobody answers (RFC 3261 9.1). */
static void test_cancelled_while_it_has_no_way(void **state)
{
    (void)state;
    setup(true);
    uint64_t id = stage_client(s, SIP_INVITE, &dest);
    expect_tcp(s, conn, "INVITE ");
    fake_send(conn, stage_answer(s, 180));
    expect_note(s, NOTE_RESPONSE, 180);
    struct fake_conn *own = connect_as(MOVED, &s->other);
    txn_on_flow_event(s->txns, &(struct flow_event){
                                   .kind = FLOW_FAILED, .flow = dest.flow, .err = -ECONNREFUSED});
    txn_client_cancel(s->txns, id, SLICE_NONE);
    advance(s, 10);
    assert_int_equal(expect_note(s, NOTE_STRANDED, -ECONNREFUSED)->id, id);
    expect_tcp(s, own, "INVITE ");
    expect_tcp(s, own, "CANCEL ");
    advance(s, 33000);
    expect_note(s, NOTE_END, 0); /* the REGISTER */
    assert_int_equal(expect_note(s, NOTE_FAILED, ERR_TIMEOUT)->id, id);
    done();
}

static void test_no_other_way(void **state)
{
    (void)state;
    setup(true);
    fake_set_peer(s->loop, UAS, FAKE_REFUSE);
    stage_client(s, SIP_INFO, &dest);
    expect_tcp(s, conn, "INFO ");
    fake_reset(conn);
    advance(s, 10);
    expect_note(s, NOTE_RESENT, -ECONNRESET);
    expect_note(s, NOTE_STRANDED, -ECONNREFUSED);
    expect_note(s, NOTE_FAILED, -ECONNREFUSED);
    done();
}

/* Asked again when the other way fails too; a way that cannot be used fails at once. */
static void test_other_ways_fail(void **state)
{
    (void)state;
    setup(true);
    fake_set_peer(s->loop, UAS, FAKE_REFUSE);
    fake_set_peer(s->loop, "10.0.0.7:5060", FAKE_REFUSE);
    s->other = stage_dest("10.0.0.7:5060", SIP_TCP);
    stage_client(s, SIP_INFO, &dest);
    fake_reset(conn);
    advance(s, 10);
    expect_note(s, NOTE_RESENT, -ECONNRESET);
    expect_note(s, NOTE_STRANDED, -ECONNREFUSED);
    expect_note(s, NOTE_STRANDED, -ECONNREFUSED);
    expect_note(s, NOTE_FAILED, -ECONNREFUSED);
    s->other = stage_dest("10.0.0.7:5060", SIP_UDP); /* its Via says TCP */
    stage_client(s, SIP_INFO, &dest);
    advance(s, 10);
    expect_note(s, NOTE_END, 0);
    expect_note(s, NOTE_STRANDED, ERR_UNREACHABLE);
    expect_note(s, NOTE_FAILED, ERR_UNREACHABLE);
    no_udp(s);
    done();
}

/* Another way is no more time: Timer F as it was. */
static void test_other_way_keeps_timer_f(void **state)
{
    (void)state;
    setup(true);
    fake_set_peer(s->loop, UAS, FAKE_REFUSE);
    uint64_t begin = stage_ms(s);
    stage_client(s, SIP_INFO, &dest);
    advance(s, 20000);
    struct fake_conn *own = connect_as(MOVED, &s->other);
    fake_reset(conn);
    advance(s, 7000);
    expect_note(s, NOTE_RESENT, -ECONNRESET);
    expect_note(s, NOTE_STRANDED, -ECONNREFUSED);
    expect_note(s, NOTE_END, 0); /* the REGISTER */
    expect_tcp(s, own, "INFO ");
    advance(s, 10000);
    assert_int_equal(expect_note(s, NOTE_FAILED, ERR_TIMEOUT)->at - begin, 32000);
    done();
}

/* --- lost responses --------------------------------------------------------------------------- */

static struct fake_conn *caller(void)
{
    struct fake_conn *c = fake_connect(s->loop, "10.0.0.9:40000", US);
    fake_send(c, stage_request(s, "INVITE", "z9hG4bKask", "TCP"));
    expect_note(s, NOTE_NEW, 0);
    return c;
}

static void test_provisional_is_lost(void **state)
{
    (void)state;
    for (unsigned how = 0; how < 2; how++) {
        setup(true);
        struct fake_conn *c = caller();
        fake_set_peer(s->loop, UAC, FAKE_REFUSE);
        if (how == 0)
            fake_forget(c); /* found by the response itself */
        else
            fake_stall(c, true); /* found by its not being acknowledged */
        uint64_t server = s->server;
        assert_int_equal(stage_reply(s, server, 180), 0);
        advance(s, 5500);
        const struct note *n = expect_note(s, NOTE_LOST, s->notes[s->nread].value);
        assert_int_equal(n->id, server);
        assert_int_not_equal(n->value, ERR_TIMEOUT);
        quiet(s);
        (void)stage_reply(s, server, 487);
        advance(s, 40000);
        done();
    }
}

/* 100 says nothing that anyone misses; a 180 is brought by another connection. */
static void test_provisional_is_not_lost(void **state)
{
    (void)state;
    setup(true);
    struct fake_conn *c = caller();
    fake_forget(c);
    assert_int_equal(stage_reply(s, s->server, 100), 0);
    advance(s, 1000);
    quiet(s);
    assert_int_equal(fake_opens(s->loop, UAC), 0);
    assert_int_equal(stage_reply(s, s->server, 180), 0);
    advance(s, 10);
    struct fake_conn *second = fake_opened(s->loop, UAC, 0);
    expect_tcp(s, second, "SIP/2.0 180");
    fake_forget(second);
    assert_int_equal(stage_reply(s, s->server, 183), 0);
    advance(s, 10);
    expect_tcp(s, fake_opened(s->loop, UAC, 1), "SIP/2.0 183");
    advance(s, 7000);
    fake_reset(fake_opened(s->loop, UAC, 1)); /* delivered long ago */
    advance(s, 1000);
    assert_int_equal(fake_opens(s->loop, UAC), 2);
    quiet(s);
    assert_int_equal(stage_reply(s, s->server, 486), 0);
    advance(s, 10);
    expect_tcp(s, fake_opened(s->loop, UAC, 2), "SIP/2.0 486");
    fake_send(fake_opened(s->loop, UAC, 2), stage_request(s, "ACK", "z9hG4bKask", "TCP"));
    done();
}

/* Given to txn_respond when it is known already that nothing leads there: its result says so. */
static void test_response_that_fails_at_once(void **state)
{
    (void)state;
    setup(true);
    struct fake_conn *c = caller();
    fake_set_peer(s->loop, UAC, FAKE_REFUSE);
    fake_reset(c);
    uint64_t server = s->server;
    assert_int_equal(stage_reply(s, server, 180), 0); /* opens a connection */
    advance(s, 10);
    expect_note(s, NOTE_LOST, s->notes[s->nread].value);
    assert_int_equal(stage_reply(s, server, 200), ERR_UNREACHABLE); /* backoff */
    advance(s, 10);
    expect_note(s, NOTE_END, 0);
    quiet(s);
    done();
}

/* A 2xx: told when the opening fails, with recovery (RST first) and without. */
static void test_success_is_lost(void **state)
{
    (void)state;
    for (unsigned recover = 0; recover < 2; recover++) {
        setup(recover != 0);
        struct fake_conn *c = caller();
        fake_set_peer(s->loop, UAC, FAKE_BLACKHOLE);
        if (recover != 0)
            fake_forget(c);
        else
            fake_reset(c);
        uint64_t server = s->server;
        struct flow_dest callee = stage_dest(UAS, SIP_UDP);
        stage_branch(s, server, SIP_INVITE, &callee); /* it may bring further 2xx */
        expect_udp(s, UAS, "INVITE ");
        stage_answer_udp(s, 200);
        expect_note(s, NOTE_RESPONSE, 200);
        assert_int_equal(stage_reply(s, server, 200), 0);
        advance(s, 6500);
        expect_note(s, NOTE_LINGER, 0);
        const struct note *n = expect_note(s, NOTE_UNACKED, s->notes[s->nread].value);
        assert_int_equal(n->id, server);
        assert_int_not_equal(n->value, ERR_TIMEOUT);
        quiet(s);
        done();
    }
}

/* --- lost ACKs -------------------------------------------------------------------------------- */

static const char ack[] = "ACK sip:carol@10.0.0.2 SIP/2.0\r\nContent-Length: 0\r\n\r\n";

struct told {
    unsigned n;
    uint64_t id;
    int err;
    struct flow_dest other; /* another way, port 0: none */
};

static bool on_ack_lost(void *user, uint64_t id, int err, struct flow_dest *to)
{
    struct told *t = user;
    t->n++;
    t->id = id;
    t->err = err;
    if (t->other.remote.port == 0)
        return false;
    *to = t->other;
    t->other.remote.port = 0;
    return true;
}

static void send_ack(struct told *t, int expected)
{
    *t = (struct told){0};
    assert_int_equal(txn_send_stateless(s->txns, &dest, slice_str(ack), on_ack_lost, t, 77),
                     expected);
    stage_turn(s);
}

static void test_ack_is_lost(void **state)
{
    struct told t;
    (void)state;
    setup(true);
    fake_set_peer(s->loop, UAS, FAKE_REFUSE);
    fake_forget(conn);
    send_ack(&t, 0);
    advance(s, 10);
    assert_int_equal(t.n, 1);
    assert_int_equal(t.id, 77);
    assert_int_equal(t.err, -ECONNREFUSED);
    send_ack(&t, ERR_UNREACHABLE); /* the result says it, and nobody else */
    advance(s, 10000);
    assert_int_equal(t.n, 0);
    done();
}

/* The device is back on a connection of its own: it goes there. */
static void test_ack_goes_by_another_way(void **state)
{
    (void)state;
    for (unsigned how = 0; how < 2; how++) {
        struct told t = {0};
        setup(true);
        fake_set_peer(s->loop, UAS, FAKE_REFUSE);
        struct fake_conn *own = connect_as(MOVED, &t.other);
        assert_int_equal(txn_send_stateless(s->txns, &dest, slice_str(ack), on_ack_lost, &t, 77),
                         0);
        stage_turn(s);
        if (how == 1)
            fake_forget(own); /* told again, and no further */
        fake_reset(conn);
        advance(s, 10);
        assert_int_equal(t.n, 1 + how);
        if (how == 0)
            expect_tcp(s, own, "ACK ");
        done();
    }
}

/* Reopened; closed in good order; acknowledged long ago; a peer to which nothing is reopened. */
static void test_ack_is_not_lost(void **state)
{
    struct told t;
    (void)state;
    for (unsigned how = 0; how < 4; how++) {
        setup(true);
        dest.no_reopen = how == 3;
        if (how != 0)
            fake_set_peer(s->loop, UAS, FAKE_REFUSE);
        if (how == 0 || how == 3)
            fake_forget(conn);
        send_ack(&t, 0);
        if (how == 1)
            fake_fin(conn);
        if (how == 2) {
            advance(s, 2000);
            fake_reset(conn);
        }
        advance(s, 20000);
        assert_int_equal(t.n, 0);
        if (how == 0)
            expect_tcp(s, fake_opened(s->loop, UAS, 0), "ACK ");
        done();
    }
}

/* Without recovery the end of an opening is waited for all the same. */
static void test_ack_that_opens_a_connection(void **state)
{
    struct told t;
    (void)state;
    setup(false);
    fake_reset(conn);
    advance(s, 10);
    fake_set_peer(s->loop, UAS, FAKE_BLACKHOLE);
    send_ack(&t, 0);
    advance(s, 4000);
    assert_int_equal(t.n, 1);
    done();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_resent_is_told),
        cmocka_unit_test(test_moved_is_told),
        cmocka_unit_test(test_goes_on_over_the_devices_own_connection),
        cmocka_unit_test(test_cancelled_while_it_has_no_way),
        cmocka_unit_test(test_no_other_way),
        cmocka_unit_test(test_other_ways_fail),
        cmocka_unit_test(test_other_way_keeps_timer_f),
        cmocka_unit_test(test_provisional_is_lost),
        cmocka_unit_test(test_provisional_is_not_lost),
        cmocka_unit_test(test_response_that_fails_at_once),
        cmocka_unit_test(test_success_is_lost),
        cmocka_unit_test(test_ack_is_lost),
        cmocka_unit_test(test_ack_goes_by_another_way),
        cmocka_unit_test(test_ack_is_not_lost),
        cmocka_unit_test(test_ack_that_opens_a_connection),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
