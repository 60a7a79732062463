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
        cmocka_unit_test(test_lost_packets),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
