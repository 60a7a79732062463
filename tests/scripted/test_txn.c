/* SPDX-License-Identifier: Apache-2.0 */
/* Transactions over UDP and over connections that live: timers, retransmission, matching. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

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

/* `n` copies were sent to that peer at these times (ms since the start), and nothing else. */
static void expect_times(struct stage *s, const char *to, const char *begin, const uint64_t *at,
                         size_t n)
{
    for (size_t i = 0; i < n; i++) {
        expect_udp(s, to, begin);
        assert_int_equal(s->last_at, at[i]);
    }
    no_udp(s);
}

#define TIMES(...) \
    (const uint64_t[]){__VA_ARGS__}, sizeof((uint64_t[]){__VA_ARGS__}) / sizeof(uint64_t)

/* --- INVITE client ---------------------------------------------------------------------------- */

static void test_timer_a_doubles_until_b(void **state)
{
    struct stage *s = setup(false);
    struct flow_dest to = stage_dest(UAS, SIP_UDP);
    (void)state;

    uint64_t id = stage_client(s, SIP_INVITE, &to);
    assert_int_equal(txns_pending(s->txns), 1);
    advance(s, 31999);
    quiet(s);
    advance(s, 1);
    assert_int_equal(expect_note(s, NOTE_FAILED, ERR_TIMEOUT)->id, id);
    advance(s, 100);
    expect_note(s, NOTE_END, 0);
    expect_times(s, UAS, "INVITE ", TIMES(0, 500, 1500, 3500, 7500, 15500, 31500));
    assert_int_equal(counter_get(&s->counters, CTR_RETRANS_OUT), 6);
    assert_int_equal(counter_get(&s->counters, CTR_TXN_TIMEOUT), 1);
    done(s);
}

static void test_timer_m(void **state)
{
    struct stage *s = setup(false);
    struct flow_dest to = stage_dest(UAS, SIP_UDP);
    (void)state;

    stage_client(s, SIP_INVITE, &to);
    expect_udp(s, UAS, "INVITE ");
    advance(s, 400);
    stage_answer_udp(s, 100);
    expect_note(s, NOTE_RESPONSE, 100);
    advance(s, 170000); /* neither A nor B in Proceeding */
    stage_answer_udp(s, 180);
    expect_note(s, NOTE_RESPONSE, 180);
    stage_answer_udp(s, 200);
    expect_note(s, NOTE_RESPONSE, 200);
    assert_int_equal(txns_pending(s->txns), 0);
    advance(s, 31900);
    expect_note(s, NOTE_LINGER, 0);
    stage_answer_udp(s, 180); /* late */
    stage_answer_udp(s, 200); /* RFC 6026: every 2xx goes up */
    expect_note(s, NOTE_RESPONSE, 200);
    advance(s, 100);
    stage_answer_udp(s, 200);
    expect_note(s, NOTE_END, 0);
    expect_note(s, NOTE_STRAY, 200);
    no_udp(s);
    quiet(s);
    done(s);
}

/* RFC 3261 17.1.1.3: the Via of the INVITE alone, its Route, its CSeq number; To of the response.
 */
static void check_ack(struct stage *s)
{
    struct sip_hdr hdrs[SIP_HDRS_MAX];
    struct sip_msg m;
    struct sip_fault fault;

    assert_int_equal(sip_msg_parse(&m, s->last.ptr, s->last.len, false, hdrs, SIP_HDRS_MAX,
                                   &sip_limits_default, &fault),
                     0);
    assert_int_equal(m.method, SIP_ACK);
    assert_int_equal(m.cseq, 9);
    assert_true(slice_eq(sip_get(&m, m.uri), SLICE("sip:carol@10.0.0.2")));
    assert_true(slice_eq(sip_get(&m, m.to_tag), SLICE("to1")));
    assert_true(slice_eq(sip_get(&m, m.from_tag), SLICE("from1")));
    assert_true(slice_eq(sip_value(&m, SIP_H_ROUTE), SLICE("<sip:10.0.0.7;lr>")));
    assert_true(slice_eq(m.via.host, SLICE("10.0.0.1")));
    assert_null(sip_hdr_after(&m, sip_hdr_first(&m, SIP_H_VIA)));
}

static void test_timer_d_and_ack(void **state)
{
    struct stage *s = setup(false);
    struct flow_dest to = stage_dest(UAS, SIP_UDP);
    (void)state;

    stage_client(s, SIP_INVITE, &to);
    expect_udp(s, UAS, "INVITE ");
    struct slice invite = s->last;
    stage_answer_udp(s, 486);
    expect_note(s, NOTE_RESPONSE, 486);
    expect_udp(s, UAS, "ACK ");
    check_ack(s);
    advance(s, 31000);
    expect_note(s, NOTE_END, 0); /* nothing more for the user, though Timer D runs */
    s->last = invite;
    stage_answer_udp(s, 486);
    expect_udp(s, UAS, "ACK ");
    check_ack(s);
    s->last = invite;
    stage_answer_udp(s, 180);
    stage_answer_udp(s, 200);
    no_udp(s);
    quiet(s);
    advance(s, 1000);
    s->last = invite;
    stage_answer_udp(s, 486);
    expect_note(s, NOTE_STRAY, 486);
    no_udp(s);
    done(s);
}

static void test_reliable_client(void **state)
{
    struct stage *s = setup(false);
    struct flow_dest to = stage_dest(UAS, SIP_TCP);
    (void)state;

    stage_client(s, SIP_INVITE, &to);
    advance(s, 20000); /* no Timer A */
    struct fake_conn *c = fake_opened(s->loop, UAS, 0);
    expect_tcp(s, c, "INVITE ");
    no_tcp(s, c);
    struct slice final = stage_answer(s, 503);
    fake_send(c, final);
    expect_note(s, NOTE_RESPONSE, 503);
    expect_tcp(s, c, "ACK ");
    fake_send(c, final); /* Timer D of 0: it is gone */
    expect_note(s, NOTE_END, 0);
    expect_note(s, NOTE_STRAY, 503);
    assert_int_equal(txns_count(s->txns), 0);
    /* Timer B is for every transport. */
    stage_client(s, SIP_INVITE, &to);
    advance(s, 32000);
    expect_tcp(s, c, "INVITE ");
    no_tcp(s, c);
    expect_note(s, NOTE_FAILED, ERR_TIMEOUT);
    done(s);
}

/* --- non-INVITE client ------------------------------------------------------------------------ */

static void test_timer_e_and_f(void **state)
{
    struct stage *s = setup(false);
    struct flow_dest to = stage_dest(UAS, SIP_UDP);
    (void)state;

    stage_client(s, SIP_BYE, &to);
    advance(s, 40000);
    expect_note(s, NOTE_FAILED, ERR_TIMEOUT);
    assert_int_equal(s->notes[0].at, 32000);
    expect_times(s, UAS, "BYE ",
                 TIMES(0, 500, 1500, 3500, 7500, 11500, 15500, 19500, 23500, 27500, 31500));
    done(s);
}

static void test_timer_e_in_proceeding(void **state)
{
    struct stage *s = setup(false);
    struct flow_dest to = stage_dest(UAS, SIP_UDP);
    (void)state;

    stage_client(s, SIP_OPTIONS, &to);
    expect_udp(s, UAS, "OPTIONS ");
    advance(s, 600);
    stage_answer_udp(s, 100);
    expect_note(s, NOTE_RESPONSE, 100);
    advance(s, 9000);
    expect_times(s, UAS, "OPTIONS ", TIMES(500, 1500, 5500, 9500));
    advance(s, 22400); /* F */
    expect_note(s, NOTE_FAILED, ERR_TIMEOUT);
    assert_int_equal(s->notes[1].at, 32000);
    while (fake_take_datagram(s->loop, NULL, &(struct fake_datagram){0}))
        continue;
    done(s);
}

static void test_timer_k(void **state)
{
    struct stage *s = setup(false);
    struct flow_dest to = stage_dest(UAS, SIP_UDP);
    (void)state;

    stage_client(s, SIP_BYE, &to);
    expect_udp(s, UAS, "BYE ");
    stage_answer_udp(s, 200);
    expect_note(s, NOTE_RESPONSE, 200);
    advance(s, 4900);
    expect_note(s, NOTE_END, 0);
    stage_answer_udp(s, 200); /* absorbed */
    quiet(s);
    assert_int_equal(txns_count(s->txns), 1);
    advance(s, 200);
    stage_answer_udp(s, 200);
    expect_note(s, NOTE_STRAY, 200);
    no_udp(s);
    done(s);
}

/* --- INVITE server ---------------------------------------------------------------------------- */

static void test_timer_g_and_ack(void **state)
{
    struct stage *s = setup(false);
    (void)state;

    stage_udp(s, "INVITE", "z9hG4bKa");
    expect_note(s, NOTE_NEW, 0);
    stage_udp(s, "INVITE", "z9hG4bKa"); /* nothing to repeat yet */
    no_udp(s);
    assert_int_equal(stage_reply(s, s->server, 180), 0);
    expect_udp(s, UAC, "SIP/2.0 180");
    stage_udp(s, "INVITE", "z9hG4bKa");
    expect_udp(s, UAC, "SIP/2.0 180");
    assert_false(txn_is_answered(s->txns, s->server));
    assert_int_equal(stage_reply(s, s->server, 486), 0);
    assert_true(txn_is_answered(s->txns, s->server));
    advance(s, 12000);
    expect_times(s, UAC, "SIP/2.0 486", TIMES(0, 500, 1500, 3500, 7500, 11500));
    stage_udp(s, "INVITE", "z9hG4bKa");
    expect_udp(s, UAC, "SIP/2.0 486");
    assert_int_equal(stage_reply(s, s->server, 500), 0); /* ignored */
    stage_udp(s, "ACK", "z9hG4bKa");
    advance(s, 4000);
    stage_udp(s, "ACK", "z9hG4bKa"); /* Timer I */
    stage_udp(s, "INVITE", "z9hG4bKa");
    no_udp(s);
    expect_note(s, NOTE_END, 0);
    quiet(s);
    advance(s, 1100);
    stage_udp(s, "ACK", "z9hG4bKa");
    expect_note(s, NOTE_ACK, 0);
    assert_int_equal(counter_get(&s->counters, CTR_RETRANS_IN), 4);
    done(s);
}

static void test_timer_h(void **state)
{
    struct stage *s = setup(false);
    (void)state;

    stage_udp(s, "INVITE", "z9hG4bKa");
    expect_note(s, NOTE_NEW, 0);
    assert_int_equal(stage_reply(s, s->server, 404), 0);
    advance(s, 31999);
    quiet(s);
    advance(s, 100);
    assert_int_equal(expect_note(s, NOTE_UNACKED, ERR_TIMEOUT)->at, 32000);
    expect_note(s, NOTE_END, 0);
    while (fake_take_datagram(s->loop, UAC, &(struct fake_datagram){0}))
        continue;
    done(s);
}

/* RFC 6026: retransmissions of the INVITE are absorbed without an answer, 2xx are the user's. */
static void test_timer_l(void **state)
{
    struct stage *s = setup(false);
    (void)state;

    stage_udp(s, "INVITE", "z9hG4bKa");
    expect_note(s, NOTE_NEW, 0);
    assert_int_equal(stage_reply(s, s->server, 200), 0);
    expect_udp(s, UAC, "SIP/2.0 200");
    stage_udp(s, "INVITE", "z9hG4bKa");
    no_udp(s);
    assert_int_equal(txn_respond(s->txns, s->server, 200, SLICE("SIP/2.0 200 Again\r\n\r\n")), 0);
    assert_int_equal(txn_respond(s->txns, s->server, 486, SLICE("SIP/2.0 486 No\r\n\r\n")), 0);
    stage_turn(s);
    expect_udp(s, UAC, "SIP/2.0 200 Again");
    stage_udp(s, "ACK",
              "z9hG4bKa"); /* of a 2xx with the same branch, as some old clients send it */
    advance(s, 31900);
    stage_udp(s, "INVITE", "z9hG4bKa");
    no_udp(s);
    expect_note(s, NOTE_END, 0);
    expect_note(s, NOTE_ACK, 0);
    quiet(s);
    advance(s, 100);
    stage_udp(s, "INVITE", "z9hG4bKa");
    expect_note(s, NOTE_NEW, 0);
    assert_int_equal(stage_reply(s, s->server, 200), 0);
    expect_udp(s, UAC, "SIP/2.0 200");
    done(s);
}

/* --- non-INVITE server ------------------------------------------------------------------------ */

static void test_timer_j(void **state)
{
    struct stage *s = setup(false);
    (void)state;

    stage_udp(s, "OPTIONS", "z9hG4bKa");
    expect_note(s, NOTE_NEW, 0);
    stage_udp(s, "OPTIONS", "z9hG4bKa");
    no_udp(s);
    /* RFC 4320 4.1: no provisional response but 100. */
    assert_int_equal(stage_reply(s, s->server, 183), 0);
    no_udp(s);
    assert_int_equal(stage_reply(s, s->server, 100), 0);
    expect_udp(s, UAC, "SIP/2.0 100");
    stage_udp(s, "OPTIONS", "z9hG4bKa");
    expect_udp(s, UAC, "SIP/2.0 100");
    assert_int_equal(stage_reply(s, s->server, 200), 0);
    expect_udp(s, UAC, "SIP/2.0 200");
    assert_int_equal(stage_reply(s, s->server, 500), 0); /* 17.2.2: discarded */
    no_udp(s);
    advance(s, 31900);
    expect_note(s, NOTE_END, 0);
    stage_udp(s, "OPTIONS", "z9hG4bKa");
    expect_udp(s, UAC, "SIP/2.0 200");
    quiet(s);
    advance(s, 100);
    stage_udp(s, "OPTIONS", "z9hG4bKa");
    expect_note(s, NOTE_NEW, 0);
    assert_int_equal(stage_reply(s, s->server, 200), 0);
    expect_udp(s, UAC, "SIP/2.0 200");
    done(s);
}

static void test_reliable_server(void **state)
{
    struct stage *s = setup(false);
    struct fake_conn *c = fake_connect(s->loop, "10.0.0.9:40000", US);
    (void)state;

    fake_send(c, stage_request(s, "OPTIONS", "z9hG4bKo", "TCP"));
    expect_note(s, NOTE_NEW, 0);
    assert_int_equal(stage_reply(s, s->server, 200), 0);
    expect_tcp(s, c, "SIP/2.0 200");
    assert_int_equal(txns_count(s->txns), 0); /* Timer J of 0 */
    assert_int_equal(stage_reply(s, s->server, 200), ERR_STALE);
    fake_send(c, stage_request(s, "INVITE", "z9hG4bKi", "TCP"));
    expect_note(s, NOTE_END, 0);
    expect_note(s, NOTE_NEW, 0);
    assert_int_equal(stage_reply(s, s->server, 486), 0);
    expect_tcp(s, c, "SIP/2.0 486");
    advance(s, 20000); /* no Timer G */
    no_tcp(s, c);
    fake_send(c, stage_request(s, "ACK", "z9hG4bKi", "TCP"));
    assert_int_equal(txns_count(s->txns), 0); /* Timer I of 0 */
    done(s);
}

/* --- CANCEL ----------------------------------------------------------------------------------- */

static struct slice line_of(struct slice m, const char *name)
{
    const char *at = memmem(m.ptr, m.len, name, strlen(name));
    assert_non_null(at);
    return slice_of(at,
                    (size_t)((const char *)memchr(at, '\r', (size_t)(m.ptr + m.len - at)) - at));
}

static void test_cancel_waits_for_provisional(void **state)
{
    struct stage *s = setup(false);
    struct flow_dest to = stage_dest(UAS, SIP_UDP);
    (void)state;

    uint64_t id = stage_client(s, SIP_INVITE, &to);
    expect_udp(s, UAS, "INVITE ");
    struct slice invite = s->last;
    txn_client_cancel(s->txns, id, SLICE("Reason: SIP;cause=200\r\n"));
    advance(s, 400);
    no_udp(s);
    s->last = invite;
    stage_answer_udp(s, 180);
    expect_note(s, NOTE_RESPONSE, 180);
    expect_udp(s, UAS, "CANCEL sip:carol@10.0.0.2 ");
    struct slice cancel = s->last;
    assert_true(slice_eq(line_of(invite, "Via: "), line_of(cancel, "Via: ")));
    assert_true(slice_eq(line_of(cancel, "CSeq: "), SLICE("CSeq: 9 CANCEL")));
    assert_true(slice_eq(line_of(cancel, "Reason: "), SLICE("Reason: SIP;cause=200")));
    advance(s, 500);
    expect_udp(s, UAS, "CANCEL "); /* its own Timer E */
    s->last = cancel;
    stage_answer_udp(s, 200); /* absorbed */
    quiet(s);
    s->last = invite;
    stage_answer_udp(s, 487);
    expect_note(s, NOTE_RESPONSE, 487);
    expect_udp(s, UAS, "ACK ");
    txn_client_cancel(s->txns, id, SLICE_NONE);
    advance(s, 20000);
    no_udp(s);
    done(s);
}

/* RFC 3261 9.1: no final response 64*T1 after the CANCEL. */
static void test_cancel_without_final(void **state)
{
    struct stage *s = setup(false);
    struct flow_dest to = stage_dest(UAS, SIP_UDP);
    (void)state;

    uint64_t id = stage_client(s, SIP_INVITE, &to);
    expect_udp(s, UAS, "INVITE ");
    struct slice invite = s->last;
    stage_answer_udp(s, 180);
    expect_note(s, NOTE_RESPONSE, 180);
    advance(s, 60000);
    txn_client_cancel(s->txns, id, SLICE_NONE);
    stage_turn(s);
    advance(s, 1000);
    expect_udp(s, UAS, "CANCEL ");
    stage_answer_udp(s, 200);
    s->last = invite;
    stage_answer_udp(s, 180); /* does not cancel again, nor start the time anew */
    expect_note(s, NOTE_RESPONSE, 180);
    advance(s, 31000);
    assert_int_equal(expect_note(s, NOTE_FAILED, ERR_TIMEOUT)->at, 92000);
    expect_udp(s, UAS, "CANCEL "); /* retransmission at 500 ms */
    no_udp(s);
    done(s);
}

/* A 2xx that crosses the CANCEL wins. */
static void test_cancel_crosses_2xx(void **state)
{
    struct stage *s = setup(false);
    struct flow_dest to = stage_dest(UAS, SIP_UDP);
    (void)state;

    uint64_t id = stage_client(s, SIP_INVITE, &to);
    expect_udp(s, UAS, "INVITE ");
    struct slice invite = s->last;
    stage_answer_udp(s, 180);
    txn_client_cancel(s->txns, id, SLICE_NONE);
    stage_turn(s);
    expect_udp(s, UAS, "CANCEL ");
    struct slice cancel = s->last;
    s->last = invite;
    stage_answer_udp(s, 200);
    s->last = cancel;
    stage_answer_udp(s, 481);
    expect_note(s, NOTE_RESPONSE, 180);
    expect_note(s, NOTE_RESPONSE, 200);
    quiet(s);
    advance(s, 10000);
    no_udp(s);
    done(s);
}

static void test_cancel_received(void **state)
{
    struct stage *s = setup(false);
    (void)state;

    stage_udp(s, "CANCEL", "z9hG4bKnone");
    expect_note(s, NOTE_CANCEL, 0);
    assert_int_equal(s->cancelled, 0);
    stage_udp(s, "INVITE", "z9hG4bKa");
    expect_note(s, NOTE_NEW, 0);
    uint64_t invite = s->server;
    stage_udp(s, "CANCEL", "z9hG4bKa");
    expect_note(s, NOTE_CANCEL, 1);
    assert_int_equal(s->cancelled, invite);
    assert_int_equal(stage_reply(s, invite, 487), 0);
    expect_udp(s, UAC, "SIP/2.0 487");
    stage_udp(s, "ACK", "z9hG4bKa");
    done(s);
}

/* --- matching --------------------------------------------------------------------------------- */

static void send_changed(struct stage *s, struct slice m, const char *what, const char *by)
{
    char copy[8192];
    const char *at = memmem(m.ptr, m.len, what, strlen(what));
    size_t head;

    assert_non_null(at);
    head = (size_t)(at - m.ptr);
    int n = snprintf(copy, sizeof(copy), "%.*s%s%.*s", (int)head, m.ptr, by,
                     (int)(m.len - head - strlen(what)), at + strlen(what));
    assert_true(fake_datagram(s->loop, UAS, US, slice_of(copy, (size_t)n)));
}

static void test_stray_responses(void **state)
{
    struct stage *s = setup(false);
    struct flow_dest to = stage_dest(UAS, SIP_UDP);
    (void)state;

    stage_client(s, SIP_BYE, &to);
    expect_udp(s, UAS, "BYE ");
    struct slice ok = stage_answer(s, 200);
    send_changed(s, ok, ".0000abcd", ".0000abce"); /* the whole branch counts */
    expect_note(s, NOTE_STRAY, 200);
    send_changed(s, ok, "CSeq: 9 BYE", "CSeq: 9 INFO"); /* 17.1.3: and the method of CSeq */
    expect_note(s, NOTE_STRAY, 200);
    send_changed(s, ok, "CSeq: 9 BYE", "CSeq: 9 CANCEL");
    expect_note(s, NOTE_STRAY, 200);
    send_changed(s, ok, "branch=z9hG4bKhf", "branch=z9hG4bKxx");
    expect_note(s, NOTE_STRAY, 200);
    assert_int_equal(counter_get(&s->counters, CTR_RESPONSE_STRAY), 4);
    send_changed(s, ok, "200 OK", "202 Accepted");
    expect_note(s, NOTE_RESPONSE, 202);
    done(s);
}

/* Not by Call-ID and CSeq but by branch, sent-by and method (17.2.3). */
static void test_ids_that_look_alike(void **state)
{
    struct stage *s = setup(false);
    struct slice m;
    (void)state;

    stage_udp(s, "INVITE", "z9hG4bKa");
    expect_note(s, NOTE_NEW, 0);
    uint64_t first = s->server;
    stage_udp(s, "INVITE", "z9hG4bKb");
    expect_note(s, NOTE_NEW, 0);
    uint64_t second = s->server;
    stage_udp(s, "INFO", "z9hG4bKb");
    expect_note(s, NOTE_NEW, 0);
    uint64_t third = s->server;
    m = stage_request(s, "INVITE", "z9hG4bKa", "UDP");
    memcpy((char *)memmem(s->text, m.len, "10.0.0.9:5060", 13), "10.0.0.9:5070", 13);
    assert_true(fake_datagram(s->loop, UAC, US, m));
    expect_note(s, NOTE_NEW, 0);
    uint64_t fourth = s->server;
    m = stage_request(s, "FOO", "z9hG4bKb", "UDP");
    assert_true(fake_datagram(s->loop, UAC, US, m));
    expect_note(s, NOTE_NEW, 0);
    uint64_t fifth = s->server;
    m = stage_request(s, "BAR", "z9hG4bKb", "UDP");
    assert_true(fake_datagram(s->loop, UAC, US, m));
    expect_note(s, NOTE_NEW, 0);
    assert_int_equal(txns_count(s->txns), 6);
    assert_int_equal(stage_reply(s, second, 403), 0);
    expect_udp(s, UAC, "SIP/2.0 403");
    stage_udp(s, "ACK", "z9hG4bKa"); /* acknowledges nothing of the second */
    advance(s, 500);
    expect_udp(s, UAC, "SIP/2.0 403");
    stage_udp(s, "ACK", "z9hG4bKb");
    uint64_t all[] = {first, third, fourth, fifth, s->server};
    for (size_t i = 0; i < 5; i++)
        assert_int_equal(stage_reply(s, all[i], 200), 0);
    done(s);
}

/* Clients of RFC 2543 have no cookie in their branch, or no branch: 17.2.3, second half. */
static void test_rfc2543_client(void **state)
{
    struct stage *s = setup(false);
    struct slice m;
    (void)state;

    stage_udp(s, "INVITE", "1");
    expect_note(s, NOTE_NEW, 0);
    uint64_t invite = s->server;
    stage_udp(s, "INVITE", "1");
    stage_udp(s, "CANCEL", "1");
    expect_note(s, NOTE_CANCEL, 1);
    assert_int_equal(s->cancelled, invite);
    quiet(s);
    /* Another call with the same branch is another transaction. */
    m = stage_request(s, "INVITE", "1", "UDP");
    memcpy((char *)memmem(s->text, m.len, "call-1@", 7), "call-3@", 7);
    assert_true(fake_datagram(s->loop, UAC, US, m));
    expect_note(s, NOTE_NEW, 0);
    assert_int_equal(stage_reply(s, s->server, 200), 0);
    expect_udp(s, UAC, "SIP/2.0 200");
    assert_int_equal(stage_reply(s, invite, 486), 0);
    expect_udp(s, UAC, "SIP/2.0 486");
    struct slice tag = line_of(s->last, "To: ");
    char ack[2048];
    m = stage_request(s, "ACK", "1", "UDP");
    int head = (int)((char *)memmem(m.ptr, m.len, "To: ", 4) - m.ptr);
    const char *tail = (const char *)memmem(m.ptr, m.len, "\r\nCall-ID", 9);
    /* The ACK of another response's tag is not its ACK. */
    int n = snprintf(ack, sizeof(ack), "%.*s%.*sx%.*s", head, m.ptr, SLICE_ARG(tag),
                     (int)(m.ptr + m.len - tail), tail);
    assert_true(fake_datagram(s->loop, UAC, US, slice_of(ack, (size_t)n)));
    expect_note(s, NOTE_END, 0); /* of the call that was accepted */
    expect_note(s, NOTE_ACK, 0);
    advance(s, 500);
    expect_udp(s, UAC, "SIP/2.0 486"); /* Timer G still runs */
    n = snprintf(ack, sizeof(ack), "%.*s%.*s%.*s", head, m.ptr, SLICE_ARG(tag),
                 (int)(m.ptr + m.len - tail), tail);
    assert_true(fake_datagram(s->loop, UAC, US, slice_of(ack, (size_t)n)));
    advance(s, 3000);
    no_udp(s);
    done(s);
}

/* --- loss ------------------------------------------------------------------------------------- */

static void test_lost_packets(void **state)
{
    struct stage *s = setup(false);
    struct flow_dest to = stage_dest(UAS, SIP_UDP);
    (void)state;

    fake_lose(s->loop, 3);
    stage_client(s, SIP_INVITE, &to);
    advance(s, 3499);
    no_udp(s);
    advance(s, 1);
    expect_udp(s, UAS, "INVITE ");
    struct slice invite = s->last;
    fake_lose(s->loop, 1); /* the ACK */
    stage_answer_udp(s, 603);
    no_udp(s);
    s->last = invite;
    stage_answer_udp(s, 603);
    expect_udp(s, UAS, "ACK ");
    expect_note(s, NOTE_RESPONSE, 603);
    done(s);
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

static void test_table_full(void **state)
{
    struct stage *s = malloc(sizeof(*s));
    (void)state;

    assert_non_null(s);
    stage_init(s, false);
    s->txn_conf.max = 2;
    assert_int_equal(stage_open(s), 0);
    stage_udp(s, "OPTIONS", "z9hG4bKa");
    uint64_t first = s->server;
    stage_udp(s, "OPTIONS", "z9hG4bKb");
    assert_int_equal(s->new_err, 0);
    uint64_t second = s->server;
    stage_udp(s, "OPTIONS", "z9hG4bKc");
    assert_int_equal(s->new_err, ERR_FULL);
    assert_int_equal(counter_get(&s->counters, CTR_TXN_TABLE_FULL), 1);
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
        cmocka_unit_test(test_timer_a_doubles_until_b),
        cmocka_unit_test(test_timer_m),
        cmocka_unit_test(test_timer_d_and_ack),
        cmocka_unit_test(test_reliable_client),
        cmocka_unit_test(test_timer_e_and_f),
        cmocka_unit_test(test_timer_e_in_proceeding),
        cmocka_unit_test(test_timer_k),
        cmocka_unit_test(test_timer_g_and_ack),
        cmocka_unit_test(test_timer_h),
        cmocka_unit_test(test_timer_l),
        cmocka_unit_test(test_timer_j),
        cmocka_unit_test(test_reliable_server),
        cmocka_unit_test(test_cancel_waits_for_provisional),
        cmocka_unit_test(test_cancel_without_final),
        cmocka_unit_test(test_cancel_crosses_2xx),
        cmocka_unit_test(test_cancel_received),
        cmocka_unit_test(test_stray_responses),
        cmocka_unit_test(test_ids_that_look_alike),
        cmocka_unit_test(test_rfc2543_client),
        cmocka_unit_test(test_lost_packets),
        cmocka_unit_test(test_reply),
        cmocka_unit_test(test_table_full),
        cmocka_unit_test(test_forget),
        cmocka_unit_test(test_hold),
        cmocka_unit_test(test_lingering_is_small),
        cmocka_unit_test(test_lingering_without_callback),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
