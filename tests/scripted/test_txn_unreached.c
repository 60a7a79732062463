/* SPDX-License-Identifier: Apache-2.0 */
/* What ICMP says of requests sent by UDP: what is believed, and what follows. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "scripted/stage.h"

static struct stage *setup(void)
{
    struct stage *s = malloc(sizeof(*s));
    assert_non_null(s);
    stage_init(s, false);
    return s;
}

static struct stage *start(void)
{
    struct stage *s = setup();
    assert_int_equal(stage_open(s), 0);
    return s;
}

static void done(struct stage *s)
{
    stage_stop(s);
    free(s);
}

static void icmp(struct stage *s, const char *to, int err, struct slice quote)
{
    assert_true(fake_icmp(s->loop, US, to, err, quote));
}

static unsigned count(const struct stage *s, enum counter c)
{
    return (unsigned)counter_get(&s->counters, c);
}

/* INVITE and others fail at once, and are sent no more. */
static void test_fails_at_once(void **state)
{
    const enum sip_method methods[] = {SIP_INVITE, SIP_OPTIONS};
    const int said[] = {-ECONNREFUSED, -EHOSTUNREACH, -ENETUNREACH, -ENOPROTOOPT};
    const int told[] = {ERR_ICMP_PORT, ERR_ICMP_HOST, ERR_ICMP_HOST, ERR_ICMP_HOST};
    struct flow_dest to = stage_dest(UAS, SIP_UDP);
    (void)state;

    for (unsigned i = 0; i < 8; i++) {
        struct stage *s = start();
        uint64_t id = stage_client(s, methods[i % 2], &to);
        expect_udp(s, UAS, "");
        icmp(s, UAS, said[i / 2], s->last);
        const struct note *n = expect_note(s, NOTE_FAILED, told[i / 2]);
        assert_true(n->id == id);
        assert_int_equal(n->at, 0);
        icmp(s, UAS, said[i / 2], s->last); /* of a copy */
        assert_int_equal(count(s, CTR_ICMP_REQUEST), 1);
        assert_int_equal(count(s, CTR_ICMP_IGNORED), 1);
        advance(s, 40000);
        expect_note(s, NOTE_END, 0);
        no_udp(s);
        quiet(s);
        done(s);
    }
}

/* A quote that is cut behind the branch is enough; one cut before it is not. */
static void test_cut(void **state)
{
    struct stage *s = start();
    struct flow_dest to = stage_dest(UAS, SIP_UDP);
    (void)state;

    stage_client(s, SIP_OPTIONS, &to);
    expect_udp(s, UAS, "OPTIONS ");
    struct slice branch = SLICE(".0000abcd");
    const char *at = memmem(s->last.ptr, s->last.len, branch.ptr, branch.len);
    assert_non_null(at);
    size_t whole = (size_t)(at - s->last.ptr) + branch.len;
    for (size_t len = 0; len < whole; len++)
        icmp(s, UAS, -ECONNREFUSED, slice_of(s->last.ptr, len));
    quiet(s);
    advance(s, 500);
    expect_udp(s, UAS, "OPTIONS ");
    icmp(s, UAS, -ECONNREFUSED, slice_of(s->last.ptr, whole));
    expect_note(s, NOTE_FAILED, ERR_ICMP_PORT);
    done(s);
}

/* Whoever has not seen the datagram cannot tell where it went with what branch and method. */
static void test_forged(void **state)
{
    const char *others[] = {"10.0.0.2:5061", "10.0.0.3:5060", "[2001:db8::2]:5060"};
    struct stage *s = start();
    struct flow_dest to = stage_dest(UAS, SIP_UDP);
    char text[2048];
    (void)state;

    stage_client(s, SIP_INVITE, &to);
    expect_udp(s, UAS, "INVITE ");
    for (unsigned i = 0; i < 3; i++)
        icmp(s, others[i], -ECONNREFUSED, s->last);
    assert_true(s->last.len < sizeof(text));
    size_t len = s->last.len;
    memcpy(text, s->last.ptr, len);
    char *branch = memmem(text, len, "z9hG4bKhf", 9);
    assert_non_null(branch);
    for (unsigned i = 0; i < 34; i++) { /* each digit of it */
        branch[i] = (char)(branch[i] == '1' ? '2' : '1');
        icmp(s, UAS, -ECONNREFUSED, slice_of(text, len));
        memcpy(text, s->last.ptr, len);
    }
    memcpy(text, "CANCEL", 6);
    icmp(s, UAS, -ECONNREFUSED, slice_of(text, len));
    memcpy(text, "UPDATE", 6);
    icmp(s, UAS, -ECONNREFUSED, slice_of(text, len));
    icmp(s, UAS, -ECONNREFUSED, slice_of("\0\1\0\0", 4));
    quiet(s);
    assert_int_equal(count(s, CTR_ICMP_REQUEST), 0);
    advance(s, 500);
    expect_udp(s, UAS, "INVITE ");
    icmp(s, UAS, -ECONNREFUSED, s->last);
    expect_note(s, NOTE_FAILED, ERR_ICMP_PORT);
    done(s);
}

/* One that was heard of is there: what ICMP says then is late. */
static void test_answered(void **state)
{
    struct stage *s = start();
    struct flow_dest to = stage_dest(UAS, SIP_UDP);
    (void)state;

    stage_client(s, SIP_INVITE, &to);
    expect_udp(s, UAS, "INVITE ");
    struct slice invite = s->last;
    stage_answer_udp(s, 180);
    expect_note(s, NOTE_RESPONSE, 180);
    icmp(s, UAS, -ECONNREFUSED, invite);
    quiet(s);
    s->last = invite;
    stage_answer_udp(s, 486);
    expect_note(s, NOTE_RESPONSE, 486);
    expect_udp(s, UAS, "ACK ");
    icmp(s, UAS, -ECONNREFUSED, s->last);
    icmp(s, UAS, -ECONNREFUSED, invite);
    assert_int_equal(count(s, CTR_ICMP_REQUEST), 0);
    advance(s, 40000);
    expect_note(s, NOTE_END, 0);
    quiet(s);
    done(s);
}

/* RFC 3261 figure 6: what is still sent after a provisional response fails. */
static void test_other_request_in_proceeding(void **state)
{
    struct stage *s = start();
    struct flow_dest to = stage_dest(UAS, SIP_UDP);
    (void)state;

    stage_client(s, SIP_OPTIONS, &to);
    expect_udp(s, UAS, "OPTIONS ");
    struct slice options = s->last;
    stage_answer_udp(s, 100);
    expect_note(s, NOTE_RESPONSE, 100);
    icmp(s, UAS, -ECONNREFUSED, options);
    expect_note(s, NOTE_FAILED, ERR_ICMP_PORT);
    done(s);
}

/* The final response has come in the same turn. */
static void test_answered_meanwhile(void **state)
{
    struct stage *s = start();
    struct flow_dest to = stage_dest(UAS, SIP_UDP);
    (void)state;

    stage_client(s, SIP_OPTIONS, &to);
    expect_udp(s, UAS, "OPTIONS ");
    struct slice options = s->last;
    fake_hold(s->loop, true);
    icmp(s, UAS, -ECONNREFUSED, options);
    s->last = options;
    stage_answer_udp(s, 200);
    fake_hold(s->loop, false);
    advance(s, 1);
    expect_note(s, NOTE_RESPONSE, 200);
    advance(s, 40000);
    expect_note(s, NOTE_END, 0);
    quiet(s);
    done(s);
}

/* That of a CANCEL ends the CANCEL; the INVITE waits as it did. */
static void test_cancel(void **state)
{
    struct stage *s = start();
    struct flow_dest to = stage_dest(UAS, SIP_UDP);
    (void)state;

    uint64_t id = stage_client(s, SIP_INVITE, &to);
    expect_udp(s, UAS, "INVITE ");
    struct slice invite = s->last;
    stage_answer_udp(s, 180);
    expect_note(s, NOTE_RESPONSE, 180);
    txn_client_cancel(s->txns, id, SLICE_NONE);
    stage_turn(s);
    expect_udp(s, UAS, "CANCEL ");
    icmp(s, UAS, -ECONNREFUSED, s->last);
    assert_int_equal(count(s, CTR_ICMP_REQUEST), 1);
    advance(s, 2000);
    no_udp(s);
    quiet(s);
    s->last = invite;
    stage_answer_udp(s, 487);
    expect_note(s, NOTE_RESPONSE, 487);
    done(s);
}

/* RFC 3261 18.4: of a response nothing follows. */
static void test_response(void **state)
{
    struct stage *s = start();
    (void)state;

    stage_udp(s, "INVITE", "z9hG4bKa");
    expect_note(s, NOTE_NEW, 0);
    assert_int_equal(stage_reply(s, s->server, 486), 0);
    expect_udp(s, UAC, "SIP/2.0 486");
    icmp(s, UAC, -ECONNREFUSED, s->last);
    assert_int_equal(count(s, CTR_ICMP_RESPONSE), 1);
    quiet(s);
    advance(s, 500);
    expect_udp(s, UAC, "SIP/2.0 486"); /* Timer G */
    done(s);
}

static bool goes_on(void *ctx, uint64_t client, int err)
{
    (void)ctx;
    (void)client;
    assert_int_equal(err, ERR_ICMP_HOST);
    return false;
}

/* The user may know better. */
static void test_user_goes_on(void **state)
{
    struct stage *s = setup();
    struct flow_dest to = stage_dest(UAS, SIP_UDP);
    (void)state;

    s->tu.on_unreached = goes_on;
    assert_int_equal(stage_open(s), 0);
    stage_client(s, SIP_INVITE, &to);
    expect_udp(s, UAS, "INVITE ");
    icmp(s, UAS, -EHOSTUNREACH, s->last);
    quiet(s);
    advance(s, 500);
    expect_udp(s, UAS, "INVITE ");
    assert_int_equal(s->last_at, 500);
    stage_answer_udp(s, 200);
    expect_note(s, NOTE_RESPONSE, 200);
    done(s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_fails_at_once),
        cmocka_unit_test(test_cut),
        cmocka_unit_test(test_forged),
        cmocka_unit_test(test_answered),
        cmocka_unit_test(test_other_request_in_proceeding),
        cmocka_unit_test(test_answered_meanwhile),
        cmocka_unit_test(test_cancel),
        cmocka_unit_test(test_response),
        cmocka_unit_test(test_user_goes_on),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
