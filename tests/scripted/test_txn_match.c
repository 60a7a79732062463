/* SPDX-License-Identifier: Apache-2.0 */
/* Which transaction a message belongs to: RFC 3261 17.1.3 and 17.2.3; answers of our own. */
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

static struct slice line_of(struct slice m, const char *name)
{
    const char *at = memmem(m.ptr, m.len, name, strlen(name));
    assert_non_null(at);
    return slice_of(at,
                    (size_t)((const char *)memchr(at, '\r', (size_t)(m.ptr + m.len - at)) - at));
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
    m = stage_request(s, "INVITE", "z9hG4bKa", "UDP");
    memcpy((char *)memmem(s->text, m.len, "10.0.0.9:5060", 13), "10.0.0.x:5060", 13);
    assert_true(fake_datagram(s->loop, UAC, US, m));
    expect_note(s, NOTE_NEW, 0);
    uint64_t other = s->server;
    m = stage_request(s, "INVITE", "z9hG4bKa", "UDP");
    memcpy((char *)memmem(s->text, m.len, "10.0.0.9:5060", 13), "10.0.0.X:5060", 13);
    assert_true(fake_datagram(s->loop, UAC, US, m));
    quiet(s); /* host names have no case */
    m = stage_request(s, "FOO", "z9hG4bKb", "UDP");
    assert_true(fake_datagram(s->loop, UAC, US, m));
    expect_note(s, NOTE_NEW, 0);
    uint64_t fifth = s->server;
    m = stage_request(s, "BAR", "z9hG4bKb", "UDP");
    assert_true(fake_datagram(s->loop, UAC, US, m));
    expect_note(s, NOTE_NEW, 0);
    assert_int_equal(txns_count(s->txns), 7);
    assert_int_equal(stage_reply(s, second, 403), 0);
    expect_udp(s, UAC, "SIP/2.0 403");
    stage_udp(s, "ACK", "z9hG4bKa"); /* acknowledges nothing of the second */
    advance(s, 500);
    expect_udp(s, UAC, "SIP/2.0 403");
    stage_udp(s, "ACK", "z9hG4bKb");
    uint64_t all[] = {first, third, fourth, other, fifth, s->server};
    for (size_t i = 0; i < 6; i++)
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

/* More header lines than are taken by default: whoever is allowed to send so many is acknowledged.
 */
static void test_rfc2543_ack_of_a_long_refusal(void **state)
{
    struct stage *s = setup(false);
    char extra[6 * 230 + 1] = "", ack[2048];
    (void)state;

    for (unsigned i = 0; i < 230; i++)
        memcpy(extra + (size_t)i * 6, "X: y\r\n", 7);
    stage_udp(s, "INVITE", "1");
    expect_note(s, NOTE_NEW, 0);
    assert_int_equal(txn_reply(s->txns, s->server, 486, SLICE_NONE, slice_str(extra)), 0);
    stage_turn(s);
    expect_udp(s, UAC, "SIP/2.0 486");
    struct slice tag = line_of(s->last, "To: ");
    struct slice m = stage_request(s, "ACK", "1", "UDP");
    int head = (int)((char *)memmem(m.ptr, m.len, "To: ", 4) - m.ptr);
    const char *tail = (const char *)memmem(m.ptr, m.len, "\r\nCall-ID", 9);
    int n = snprintf(ack, sizeof(ack), "%.*s%.*s%.*s", head, m.ptr, SLICE_ARG(tag),
                     (int)(m.ptr + m.len - tail), tail);
    assert_true(fake_datagram(s->loop, UAC, US, slice_of(ack, (size_t)n)));
    quiet(s);
    advance(s, 500);
    expect_note(s, NOTE_END, 0);
    no_udp(s); /* nor is it sent again */
    done(s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_stray_responses),
        cmocka_unit_test(test_ids_that_look_alike),
        cmocka_unit_test(test_rfc2543_client),
        cmocka_unit_test(test_rfc2543_ack_of_a_long_refusal),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
