/* SPDX-License-Identifier: Apache-2.0 */
/* Transactions whose connections die: what is sent again, where, in which order, how often, and
 * what fails. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "scripted/stage.h"

#define DEVICE "10.0.0.2:41000" /* the device's end of the connection it has opened to us */

struct scene {
    struct stage s;
    struct fake_conn *conn; /* the device's */
    struct flow_dest dest;  /* leads to it */
};

/* A device is connected, as after its registration. */
static struct scene *setup(bool recover)
{
    struct scene *c = calloc(1, sizeof(*c));
    struct stage *s = &c->s;

    assert_non_null(c);
    stage_start(s, recover);
    c->conn = fake_connect(s->loop, DEVICE, US);
    assert_non_null(c->conn);
    fake_send(c->conn, stage_request(s, "REGISTER", "z9hG4bKreg", "TCP"));
    expect_note(s, NOTE_NEW, 0);
    c->dest = stage_dest(UAS, SIP_TCP);
    c->dest.flow = txn_origin(s->txns, s->server)->flow;
    assert_int_equal(stage_reply(s, s->server, 200), 0);
    expect_tcp(s, c->conn, "SIP/2.0 200");
    advance(s, 6000);
    expect_note(s, NOTE_END, 0);
    assert_int_equal(txns_count(s->txns), 0);
    return c;
}

static void done(struct scene *c)
{
    stage_stop(&c->s);
    free(c);
}

/* The same branch, the same bytes. */
static void expect_copy(struct stage *s, struct fake_conn *conn, struct slice first)
{
    assert_non_null(conn);
    assert_true(fake_take_message(conn, &s->last));
    assert_true(slice_eq(s->last, first));
}

static uint64_t count(struct stage *s, enum counter id)
{
    return counter_get(&s->counters, id);
}

/* --- found dead, reopened, resent ------------------------------------------------------------- */

/* A firewall has forgotten the connection: suspicion, a second connection, the flow moves. */
static void test_moved(void **state)
{
    struct scene *c = setup(true);
    struct stage *s = &c->s;
    (void)state;

    fake_stall(c->conn, true);
    uint64_t begin = stage_ms(s);
    stage_client(s, SIP_INVITE, &c->dest);
    advance(s, 999);
    assert_int_equal(fake_opens(s->loop, UAS), 0);
    advance(s, 300);
    struct fake_conn *second = fake_opened(s->loop, UAS, 0);
    expect_tcp(s, second, "INVITE ");
    struct slice invite = s->last;
    assert_false(fake_is_open(c->conn));
    fake_send(second, stage_answer(s, 180));
    expect_note(s, NOTE_RESPONSE, 180);
    assert_true(stage_ms(s) - begin <= 1300);
    s->last = invite;
    fake_send(second, stage_answer(s, 200));
    expect_note(s, NOTE_RESPONSE, 200);
    advance(s, 20000);
    no_tcp(s, second);
    assert_int_equal(fake_opens(s->loop, NULL), 1);
    assert_int_equal(count(s, CTR_REQUEST_RESENT), 1);
    done(c);
}

/* The peer has rebooted: RST on first use, reopened and sent again at once. */
static void test_reset_on_first_use(void **state)
{
    struct scene *c = setup(true);
    struct stage *s = &c->s;
    (void)state;

    fake_forget(c->conn);
    stage_client(s, SIP_INVITE, &c->dest);
    advance(s, 1);
    struct fake_conn *second = fake_opened(s->loop, UAS, 0);
    expect_tcp(s, second, "INVITE ");
    fake_send(second, stage_answer(s, 200));
    expect_note(s, NOTE_RESPONSE, 200);
    advance(s, 10000);
    no_tcp(s, second);
    done(c);
}

static void test_dies_after_180(void **state)
{
    struct scene *c = setup(true);
    struct stage *s = &c->s;
    (void)state;

    stage_client(s, SIP_INVITE, &c->dest);
    expect_tcp(s, c->conn, "INVITE ");
    struct slice invite = s->last;
    fake_send(c->conn, stage_answer(s, 180));
    expect_note(s, NOTE_RESPONSE, 180);
    advance(s, 3000);
    fake_fin(c->conn);
    advance(s, 1);
    struct fake_conn *second = fake_opened(s->loop, UAS, 0);
    expect_copy(s, second, invite);
    fake_send(second, stage_answer(s, 200));
    expect_note(s, NOTE_RESPONSE, 200);
    quiet(s);
    done(c);
}

/* A dead connection without an active transaction is not opened again. */
static void test_idle_is_not_reopened(void **state)
{
    struct scene *c = setup(true);
    struct stage *s = &c->s;
    (void)state;

    stage_client(s, SIP_OPTIONS, &c->dest);
    expect_tcp(s, c->conn, "OPTIONS ");
    fake_send(c->conn, stage_answer(s, 200));
    expect_note(s, NOTE_RESPONSE, 200);
    fake_stall(c->conn, true);
    advance(s, 60000);
    assert_false(fake_is_open(c->conn));
    assert_int_equal(fake_opens(s->loop, NULL), 0);
    expect_note(s, NOTE_END, 0);
    quiet(s);
    /* The next transaction opens it. */
    stage_client(s, SIP_OPTIONS, &c->dest);
    advance(s, 1);
    expect_tcp(s, fake_opened(s->loop, UAS, 0), "OPTIONS ");
    fake_send(fake_opened(s->loop, UAS, 0), stage_answer(s, 200));
    done(c);
}

/* --- order ------------------------------------------------------------------------------------ */

static void test_original_order(void **state)
{
    static const enum sip_method methods[] = {SIP_INVITE, SIP_INFO, SIP_BYE, SIP_MESSAGE,
                                              SIP_OPTIONS};
    struct scene *c = setup(true);
    struct stage *s = &c->s;
    struct slice sent[5];
    (void)state;

    for (size_t i = 0; i < 5; i++) {
        stage_client(s, methods[i], &c->dest);
        assert_true(fake_take_message(c->conn, &sent[i]));
    }
    s->last = sent[2];
    fake_send(c->conn, stage_answer(s, 200)); /* answered: not sent again */
    expect_note(s, NOTE_RESPONSE, 200);
    advance(s, 2000);
    fake_reset(c->conn);
    advance(s, 1);
    struct fake_conn *second = fake_opened(s->loop, UAS, 0);
    expect_copy(s, second, sent[0]);
    expect_copy(s, second, sent[1]);
    expect_copy(s, second, sent[3]);
    expect_copy(s, second, sent[4]);
    no_tcp(s, second);
    assert_int_equal(fake_opens(s->loop, NULL), 1); /* one opening, shared */
    assert_int_equal(count(s, CTR_REQUEST_RESENT), 4);
    done(c);
}

/* The CANCEL is never in front of its INVITE. */
static void test_invite_before_cancel(void **state)
{
    struct scene *c = setup(true);
    struct stage *s = &c->s;
    (void)state;

    uint64_t id = stage_client(s, SIP_INVITE, &c->dest);
    expect_tcp(s, c->conn, "INVITE ");
    struct slice invite = s->last;
    fake_send(c->conn, stage_answer(s, 180));
    advance(s, 1000);
    fake_stall(c->conn, true);
    txn_client_cancel(s->txns, id, SLICE_NONE);
    stage_turn(s);
    advance(s, 1300);
    struct fake_conn *second = fake_opened(s->loop, UAS, 0);
    expect_copy(s, second, invite);
    expect_tcp(s, second, "CANCEL ");
    struct slice cancel = s->last;
    fake_send(second, stage_answer(s, 200));
    s->last = invite;
    fake_send(second, stage_answer(s, 487));
    expect_tcp(s, second, "ACK ");
    no_tcp(s, second);
    expect_note(s, NOTE_RESPONSE, 180);
    expect_note(s, NOTE_RESPONSE, 487);
    assert_int_not_equal(cancel.len, 0);
    done(c);
}

/* A CANCEL of an INVITE that is over is not worth a connection. */
static void test_cancel_of_answered_invite(void **state)
{
    struct scene *c = setup(true);
    struct stage *s = &c->s;
    (void)state;

    uint64_t id = stage_client(s, SIP_INVITE, &c->dest);
    expect_tcp(s, c->conn, "INVITE ");
    struct slice invite = s->last;
    fake_send(c->conn, stage_answer(s, 180));
    txn_client_cancel(s->txns, id, SLICE_NONE);
    stage_turn(s);
    s->last = invite;
    fake_send(c->conn, stage_answer(s, 200));
    fake_reset(c->conn);
    advance(s, 5000);
    assert_int_equal(fake_opens(s->loop, NULL), 0);
    expect_note(s, NOTE_RESPONSE, 180);
    expect_note(s, NOTE_RESPONSE, 200);
    done(c);
}

/* --- how often -------------------------------------------------------------------------------- */

/* It failed on a connection opened for it: not again there. */
static void test_fresh_connection_dies(void **state)
{
    struct stage *s = calloc(1, sizeof(*s));
    struct flow_dest to;
    (void)state;

    assert_non_null(s);
    stage_start(s, true);
    to = stage_dest(UAS, SIP_TCP);
    stage_client(s, SIP_INVITE, &to);
    advance(s, 1);
    struct fake_conn *first = fake_opened(s->loop, UAS, 0);
    expect_tcp(s, first, "INVITE ");
    fake_reset(first);
    advance(s, 1);
    expect_note(s, NOTE_FAILED, -ECONNRESET);
    assert_int_equal(fake_opens(s->loop, NULL), 1);
    stage_stop(s);
    free(s);
}

/* Once for each connection: sent again after the first died, failed when the second died as well.
 */
static void test_second_connection_dies(void **state)
{
    struct scene *c = setup(true);
    struct stage *s = &c->s;
    (void)state;

    stage_client(s, SIP_INVITE, &c->dest);
    expect_tcp(s, c->conn, "INVITE ");
    fake_reset(c->conn);
    advance(s, 1);
    struct fake_conn *second = fake_opened(s->loop, UAS, 0);
    expect_tcp(s, second, "INVITE ");
    advance(s, 100);
    fake_reset(second);
    advance(s, 1);
    expect_note(s, NOTE_FAILED, -ECONNRESET);
    assert_int_equal(fake_opens(s->loop, NULL), 1);
    done(c);
}

static void test_moved_connection_dies(void **state)
{
    struct scene *c = setup(true);
    struct stage *s = &c->s;
    (void)state;

    fake_stall(c->conn, true);
    stage_client(s, SIP_INVITE, &c->dest);
    advance(s, 1300);
    struct fake_conn *second = fake_opened(s->loop, UAS, 0);
    expect_tcp(s, second, "INVITE ");
    fake_reset(second);
    advance(s, 1);
    expect_note(s, NOTE_FAILED, -ECONNRESET);
    assert_int_equal(fake_opens(s->loop, NULL), 1);
    done(c);
}

/* But a connection that brought an answer was good. */
static void test_second_connection_answers_and_dies(void **state)
{
    struct scene *c = setup(true);
    struct stage *s = &c->s;
    (void)state;

    stage_client(s, SIP_INVITE, &c->dest);
    expect_tcp(s, c->conn, "INVITE ");
    struct slice invite = s->last;
    fake_reset(c->conn);
    advance(s, 1);
    for (unsigned i = 0; i < 3; i++) {
        struct fake_conn *next = fake_opened(s->loop, UAS, i);
        expect_copy(s, next, invite);
        no_tcp(s, next);
        fake_send(next, stage_answer(s, 180));
        expect_note(s, NOTE_RESPONSE, 180);
        advance(s, 1000);
        fake_reset(next);
        advance(s, 1);
    }
    s->last = invite;
    fake_send(fake_opened(s->loop, UAS, 3), stage_answer(s, 486));
    expect_note(s, NOTE_RESPONSE, 486);
    assert_int_equal(count(s, CTR_REQUEST_RESENT), 4);
    done(c);
}

/* A stall that heals before the second connection is up: no copy, no error. */
static void test_stall_heals(void **state)
{
    struct scene *c = setup(true);
    struct stage *s = &c->s;
    (void)state;

    fake_set_peer(s->loop, UAS, FAKE_BLACKHOLE);
    fake_stall(c->conn, true);
    stage_client(s, SIP_INVITE, &c->dest);
    advance(s, 3000);
    fake_stall(c->conn, false);
    advance(s, 10);
    expect_tcp(s, c->conn, "INVITE ");
    fake_send(c->conn, stage_answer(s, 200));
    expect_note(s, NOTE_RESPONSE, 200);
    advance(s, 20000);
    no_tcp(s, c->conn);
    assert_true(fake_opens(s->loop, NULL) <= 1);
    assert_int_equal(count(s, CTR_REQUEST_RESENT), 0);
    done(c);
}

/* --- reopening fails -------------------------------------------------------------------------- */

static void test_reopening_refused(void **state)
{
    struct scene *c = setup(true);
    struct stage *s = &c->s;
    (void)state;

    fake_set_peer(s->loop, UAS, FAKE_REFUSE);
    uint64_t a = stage_client(s, SIP_INVITE, &c->dest);
    uint64_t b = stage_client(s, SIP_INFO, &c->dest);
    fake_reset(c->conn);
    advance(s, 10);
    assert_int_equal(expect_note(s, NOTE_FAILED, -ECONNREFUSED)->id, a);
    assert_int_equal(expect_note(s, NOTE_FAILED, -ECONNREFUSED)->id, b);
    assert_int_equal(fake_opens(s->loop, NULL), 1);
    done(c);
}

static void test_reopening_hangs(void **state)
{
    struct scene *c = setup(true);
    struct stage *s = &c->s;
    (void)state;

    fake_set_peer(s->loop, UAS, FAKE_BLACKHOLE);
    fake_stall(c->conn, true);
    uint64_t begin = stage_ms(s);
    stage_client(s, SIP_INVITE, &c->dest);
    advance(s, 30000);
    const struct note *n = expect_note(s, NOTE_FAILED, s->notes[s->nread].value);
    /* tcp-reopen-delay + tcp-connect-timeout */
    assert_in_range(n->at - begin, 3999, 4300);
    done(c);
}

/* Nowhere to open it to: why the connection died is what is told. */
static void test_no_reopen_address(void **state)
{
    struct scene *c = setup(true);
    struct stage *s = &c->s;
    struct fake_conn *conn = fake_connect(s->loop, "10.0.0.2:41001", US);
    (void)state;

    fake_send(conn, stage_request(s, "MESSAGE", "z9hG4bKfirst", "TCP"));
    expect_note(s, NOTE_NEW, 0);
    c->dest.flow = txn_origin(s->txns, s->server)->flow;
    c->dest.remote.port = 0;
    stage_client(s, SIP_INVITE, &c->dest);
    expect_tcp(s, conn, "INVITE ");
    fake_send(conn, stage_answer(s, 180));
    expect_note(s, NOTE_RESPONSE, 180);
    fake_reset(conn);
    advance(s, 10);
    expect_note(s, NOTE_FAILED, -ECONNRESET);
    assert_int_equal(fake_opens(s->loop, NULL), 0);
    assert_int_equal(stage_reply(s, s->server, 200), 0);
    done(c);
}

/* Recovery does not give a transaction more time. */
static void test_timer_f_is_not_extended(void **state)
{
    struct scene *c = setup(true);
    struct stage *s = &c->s;
    (void)state;

    fake_stall(c->conn, true);
    uint64_t begin = stage_ms(s);
    stage_client(s, SIP_INFO, &c->dest);
    advance(s, 40000);
    expect_tcp(s, fake_opened(s->loop, UAS, 0), "INFO ");
    assert_int_equal(expect_note(s, NOTE_FAILED, ERR_TIMEOUT)->at - begin, 32000);
    done(c);
}

/* --- Voice over IP Service; option off -------------------------------------------------------- */

static void test_no_reopen(void **state)
{
    struct scene *c = setup(true);
    struct stage *s = &c->s;
    (void)state;

    c->dest.no_reopen = true;
    uint64_t a = stage_client(s, SIP_INVITE, &c->dest);
    expect_tcp(s, c->conn, "INVITE ");
    fake_send(c->conn, stage_answer(s, 180));
    expect_note(s, NOTE_RESPONSE, 180);
    uint64_t b = stage_client(s, SIP_INVITE, &c->dest);
    fake_reset(c->conn);
    advance(s, 10);
    assert_int_equal(expect_note(s, NOTE_FAILED, -ECONNRESET)->id, a);
    assert_int_equal(expect_note(s, NOTE_FAILED, -ECONNRESET)->id, b);
    assert_int_equal(fake_opens(s->loop, NULL), 0);
    /* The next transaction opens the connection. */
    stage_client(s, SIP_OPTIONS, &c->dest);
    advance(s, 1);
    expect_tcp(s, fake_opened(s->loop, UAS, 0), "OPTIONS ");
    fake_send(fake_opened(s->loop, UAS, 0), stage_answer(s, 200));
    done(c);
}

static void test_option_off(void **state)
{
    struct scene *c = setup(false);
    struct stage *s = &c->s;
    (void)state;

    stage_client(s, SIP_INVITE, &c->dest);
    expect_tcp(s, c->conn, "INVITE ");
    struct slice ringing = s->last;
    fake_send(c->conn, stage_answer(s, 180));
    expect_note(s, NOTE_RESPONSE, 180);
    uint64_t b = stage_client(s, SIP_INVITE, &c->dest);
    fake_reset(c->conn);
    advance(s, 10);
    assert_int_equal(expect_note(s, NOTE_FAILED, -ECONNRESET)->id, b); /* no response at all */
    expect_note(s, NOTE_END, 0);
    quiet(s);
    /* The other one rings on, and the device answers by a connection of its own; the ACK goes
     * there. */
    struct fake_conn *other = fake_connect(s->loop, "10.0.0.2:41001", US);
    s->last = ringing;
    fake_send(other, stage_answer(s, 486));
    expect_note(s, NOTE_RESPONSE, 486);
    expect_tcp(s, other, "ACK ");
    assert_int_equal(fake_opens(s->loop, NULL), 0);
    done(c);
}

/* Nothing is probed either: a stall is noticed by nobody, Timer B ends it. */
static void test_option_off_stall(void **state)
{
    struct scene *c = setup(false);
    struct stage *s = &c->s;
    (void)state;

    fake_stall(c->conn, true);
    stage_client(s, SIP_INVITE, &c->dest);
    advance(s, 32000);
    expect_note(s, NOTE_FAILED, ERR_TIMEOUT);
    assert_int_equal(fake_opens(s->loop, NULL), 0);
    done(c);
}

/* --- the device answers elsewhere ------------------------------------------------------------- */

static void test_answer_by_another_connection(void **state)
{
    struct scene *c = setup(true);
    struct stage *s = &c->s;
    (void)state;

    uint64_t id = stage_client(s, SIP_INVITE, &c->dest);
    expect_tcp(s, c->conn, "INVITE ");
    struct slice invite = s->last;
    struct fake_conn *other = fake_connect(s->loop, "10.0.0.2:41001", US);
    fake_send(other, stage_answer(s, 180));
    expect_note(s, NOTE_RESPONSE, 180);
    txn_client_cancel(s->txns, id, SLICE_NONE);
    stage_turn(s);
    expect_tcp(s, c->conn, "CANCEL "); /* ours still lives: same destination as the INVITE */
    s->last = invite;
    fake_send(other, stage_answer(s, 487));
    expect_note(s, NOTE_RESPONSE, 487);
    expect_tcp(s, c->conn, "ACK ");
    done(c);
}

/* --- ACK of a 2xx ----------------------------------------------------------------------------- */

static const char ack[] = "ACK sip:carol@10.0.0.2 SIP/2.0\r\nContent-Length: 0\r\n\r\n";

static void test_stateless_ack(void **state)
{
    struct scene *c = setup(true);
    struct stage *s = &c->s;
    (void)state;

    fake_stall(c->conn, true);
    assert_int_equal(txn_send_stateless(s->txns, &c->dest, slice_str(ack), NULL, NULL, 0), 0);
    stage_turn(s);
    advance(s, 1300);
    expect_tcp(s, fake_opened(s->loop, UAS, 0), "ACK ");
    no_tcp(s, fake_opened(s->loop, UAS, 0));
    done(c);
}

static void test_stateless_ack_is_forgotten(void **state)
{
    struct scene *c = setup(true);
    struct stage *s = &c->s;
    struct txn_usage u;
    (void)state;

    assert_int_equal(txn_send_stateless(s->txns, &c->dest, slice_str(ack), NULL, NULL, 0), 0);
    stage_turn(s);
    expect_tcp(s, c->conn, "ACK ");
    advance(s, 1000);
    assert_int_equal(txn_send_stateless(s->txns, &c->dest, slice_str(ack), NULL, NULL, 0), 0);
    stage_turn(s);
    txns_usage(s->txns, &u);
    assert_int_equal(u.kept, 2);
    advance(s, 4800);
    txns_usage(s->txns, &u);
    assert_int_equal(u.kept, 1);
    advance(s, 1000);
    txns_usage(s->txns, &u);
    assert_int_equal(u.kept, 0);
    fake_reset(c->conn);
    advance(s, 1000);
    assert_int_equal(fake_opens(s->loop, NULL), 0);
    done(c);
}

/* Nobody can make us keep more than 32 MiB of them: the newest are kept. */
static void test_stateless_acks_have_a_maximum(void **state)
{
    enum { LEN = 60000, SENT = 1000 };
    static char big[LEN];
    struct scene *c = setup(true);
    struct stage *s = &c->s;
    struct txn_usage u;
    (void)state;

    int head =
        snprintf(big, sizeof(big), "ACK sip:x SIP/2.0\r\nContent-Length: %05d\r\n\r\n", LEN - 44);
    assert_int_equal(head, 44);
    memset(big + head, 'x', LEN - 44);
    for (unsigned i = 0; i < SENT; i++) {
        assert_int_equal(txn_send_stateless(s->txns, &c->dest, slice_of(big, LEN), NULL, NULL, 0),
                         0);
        stage_turn(s);
        expect_tcp(s, c->conn, "ACK ");
    }
    txns_usage(s->txns, &u);
    assert_in_range(u.kept, 32 * 1024 * 1024 / LEN - 2, 32 * 1024 * 1024 / LEN);
    advance(s, 6000);
    txns_usage(s->txns, &u);
    assert_int_equal(u.kept, 0);
    done(c);
}

/* --- renamed ---------------------------------------------------------------------------------- */

static void test_renamed(void **state)
{
    struct scene *c = setup(true);
    struct stage *s = &c->s;
    struct fake_conn *other = fake_connect(s->loop, "10.0.0.2:41001", US);
    struct flow_event ev = {.kind = FLOW_RENAMED, .flow = c->dest.flow};
    (void)state;

    fake_send(other, stage_request(s, "REGISTER", "z9hG4bKother", "TCP"));
    ev.to = txn_origin(s->txns, s->server)->flow;
    assert_int_equal(stage_reply(s, s->server, 200), 0);
    expect_tcp(s, other, "SIP/2.0 200");
    advance(s, 6000);
    stage_client(s, SIP_INFO, &c->dest);
    uint64_t id = stage_client(s, SIP_MESSAGE, &c->dest);
    expect_tcp(s, c->conn, "INFO ");
    expect_tcp(s, c->conn, "MESSAGE ");
    txn_on_flow_event(s->txns, &ev);
    assert_int_equal(txn_client_dest(s->txns, id)->flow, ev.to);
    fake_reset(c->conn); /* concerns nobody any more */
    advance(s, 10);
    assert_int_equal(count(s, CTR_REQUEST_RESENT), 0);
    fake_reset(other);
    advance(s, 10);
    struct fake_conn *next = fake_opened(s->loop, UAS, 0);
    expect_tcp(s, next, "INFO ");
    expect_tcp(s, next, "MESSAGE ");
    no_tcp(s, next);
    done(c);
}

/* The connection's owner, another worker, noticed its end, and then got a request for it that was
 * on its way: that one goes by a new connection, and has not failed when the end is told. */
static void test_sent_after_the_end_was_noticed(void **state)
{
    struct scene *c = setup(false);
    struct stage *s = &c->s;
    struct flow_event ev = {.kind = FLOW_DEAD, .err = -ECONNRESET, .flow = c->dest.flow};
    (void)state;

    uint64_t before = stage_client(s, SIP_INFO, &c->dest);
    expect_tcp(s, c->conn, "INFO ");
    advance(s, 5);
    ev.at = net_clock(s->loop);
    advance(s, 5);
    uint64_t after = stage_client(s, SIP_MESSAGE, &c->dest);
    expect_tcp(s, c->conn, "MESSAGE ");
    txn_on_flow_event(s->txns, &ev);
    advance(s, 10);
    assert_int_equal(expect_note(s, NOTE_FAILED, -ECONNRESET)->id, before);
    expect_note(s, NOTE_END, 0);
    assert_int_equal(txns_count(s->txns), 1);
    ev = (struct flow_event){.kind = FLOW_RENAMED, .flow = c->dest.flow, .to = c->dest.flow + 1};
    txn_on_flow_event(s->txns, &ev);
    assert_int_equal(txn_client_dest(s->txns, after)->flow, ev.to);
    done(c);
}

static struct stage *server_setup(bool recover)
{
    struct stage *s = calloc(1, sizeof(*s));
    assert_non_null(s);
    stage_start(s, recover);
    return s;
}

static void server_done(struct stage *s)
{
    stage_stop(s);
    free(s);
}

/* --- many ------------------------------------------------------------------------------------- */

enum { PHONES = 200 };

static void test_many_die_together(void **state)
{
    struct stage *s = server_setup(true);
    struct flow_dest dest[PHONES];
    unsigned answered = 0;
    char text[32];
    (void)state;

    for (unsigned i = 0; i < PHONES; i++) {
        (void)snprintf(text, sizeof(text), "10.0.1.%u:5060", i + 1);
        dest[i] = stage_dest(text, SIP_TCP);
        stage_client(s, SIP_OPTIONS, &dest[i]);
        advance(s, 1);
        struct fake_conn *conn = fake_opened(s->loop, text, 0);
        expect_tcp(s, conn, "OPTIONS ");
        fake_send(conn, stage_answer(s, 200));
    }
    for (unsigned i = 0; i < PHONES; i++) {
        (void)snprintf(text, sizeof(text), "10.0.1.%u", i + 1);
        assert_int_equal(fake_stall_all(s->loop, text), 1);
        stage_client(s, SIP_INVITE, &dest[i]);
    }
    advance(s, 1300);
    for (unsigned i = 0; i < PHONES; i++) {
        (void)snprintf(text, sizeof(text), "10.0.1.%u:5060", i + 1);
        struct fake_conn *conn = fake_opened(s->loop, text, 1);
        expect_tcp(s, conn, "INVITE ");
        fake_send(conn, stage_answer(s, 200));
        no_tcp(s, conn);
    }
    for (unsigned i = 0; i < s->nnotes; i++)
        answered += s->notes[i].kind == NOTE_RESPONSE && s->notes[i].value == 200;
    assert_int_equal(answered, 2 * PHONES);
    assert_int_equal(fake_opens(s->loop, NULL), 2 * PHONES);
    assert_int_equal(count(s, CTR_REQUEST_RESENT), PHONES);
    server_done(s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_moved),
        cmocka_unit_test(test_reset_on_first_use),
        cmocka_unit_test(test_dies_after_180),
        cmocka_unit_test(test_idle_is_not_reopened),
        cmocka_unit_test(test_original_order),
        cmocka_unit_test(test_invite_before_cancel),
        cmocka_unit_test(test_cancel_of_answered_invite),
        cmocka_unit_test(test_fresh_connection_dies),
        cmocka_unit_test(test_second_connection_dies),
        cmocka_unit_test(test_moved_connection_dies),
        cmocka_unit_test(test_second_connection_answers_and_dies),
        cmocka_unit_test(test_stall_heals),
        cmocka_unit_test(test_reopening_refused),
        cmocka_unit_test(test_reopening_hangs),
        cmocka_unit_test(test_no_reopen_address),
        cmocka_unit_test(test_timer_f_is_not_extended),
        cmocka_unit_test(test_no_reopen),
        cmocka_unit_test(test_option_off),
        cmocka_unit_test(test_option_off_stall),
        cmocka_unit_test(test_answer_by_another_connection),
        cmocka_unit_test(test_stateless_ack),
        cmocka_unit_test(test_stateless_ack_is_forgotten),
        cmocka_unit_test(test_stateless_acks_have_a_maximum),
        cmocka_unit_test(test_renamed),
        cmocka_unit_test(test_sent_after_the_end_was_noticed),
        cmocka_unit_test(test_many_die_together),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
