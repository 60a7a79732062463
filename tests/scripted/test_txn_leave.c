/* SPDX-License-Identifier: Apache-2.0 */
/* Client transactions that their user goes on without, and those whose time is that of a sender who
 * has waited already. RFC 3261 9.1, 17.1. */
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

static uint64_t client(struct stage *s, enum sip_method method, enum sip_transport transport)
{
    struct flow_dest dest = stage_dest(UAS, transport);
    uint64_t id = stage_client(s, method, &dest);
    assert_int_not_equal(id, 0);
    return id;
}

static void leave(struct stage *s, uint64_t id)
{
    txn_client_leave(s->txns, id, SLICE_NONE);
    stage_turn(s);
}

/* Not sent again; what comes is told, and is cancelled. */
static void test_invite_unheard(void **state)
{
    struct stage *s = setup(false);
    uint64_t id = client(s, SIP_INVITE, SIP_UDP);
    (void)state;
    expect_udp(s, UAS, "INVITE");
    struct slice invite = s->last;
    leave(s, id);
    advance(s, 20000);
    no_udp(s);
    assert_true(txn_client_is_pending(s->txns, id));
    s->last = invite;
    stage_answer_udp(s, 180);
    expect_note(s, NOTE_RESPONSE, 180);
    expect_udp(s, UAS, "CANCEL");
    stage_answer_udp(s, 200);
    s->last = invite;
    stage_answer_udp(s, 487);
    expect_note(s, NOTE_RESPONSE, 487);
    expect_udp(s, UAS, "ACK");
    assert_false(txn_client_is_pending(s->txns, id));
    leave(s, id);
    no_udp(s);
    done(s);
}

static void test_invite_ringing(void **state)
{
    struct stage *s = setup(false);
    uint64_t id = client(s, SIP_INVITE, SIP_UDP);
    (void)state;
    expect_udp(s, UAS, "INVITE");
    struct slice invite = s->last;
    stage_answer_udp(s, 180);
    expect_note(s, NOTE_RESPONSE, 180);
    leave(s, id);
    expect_udp(s, UAS, "CANCEL");
    s->last = invite;
    stage_answer_udp(s, 200);
    expect_note(s, NOTE_RESPONSE, 200);
    done(s);
}

/* Nothing ever comes: Timer B ends it. */
static void test_invite_silent(void **state)
{
    struct stage *s = setup(false);
    uint64_t id = client(s, SIP_INVITE, SIP_UDP);
    (void)state;
    expect_udp(s, UAS, "INVITE");
    leave(s, id);
    advance(s, 31999);
    quiet(s);
    advance(s, 1);
    expect_note(s, NOTE_FAILED, ERR_TIMEOUT);
    no_udp(s);
    done(s);
}

/* Nor over the connection that takes the place of one that has died. */
static void test_not_over_another_connection(void **state)
{
    struct stage *s = setup(true);
    (void)state;
    (void)client(s, SIP_OPTIONS, SIP_TCP);
    advance(s, 1);
    struct fake_conn *conn = fake_opened(s->loop, UAS, 0);
    expect_tcp(s, conn, "OPTIONS");
    fake_send(conn, stage_answer(s, 200));
    uint64_t left = client(s, SIP_MESSAGE, SIP_TCP);
    (void)client(s, SIP_INFO, SIP_TCP);
    expect_tcp(s, conn, "MESSAGE");
    expect_tcp(s, conn, "INFO");
    advance(s, 1000);
    leave(s, left);
    fake_reset(conn);
    advance(s, 1000);
    conn = fake_opened(s->loop, UAS, 1);
    assert_non_null(conn);
    expect_tcp(s, conn, "INFO");
    no_tcp(s, conn);
    advance(s, 32000);
    done(s);
}

static void test_other_request(void **state)
{
    struct stage *s = setup(false);
    uint64_t id = client(s, SIP_MESSAGE, SIP_UDP);
    (void)state;
    expect_udp(s, UAS, "MESSAGE");
    leave(s, id);
    advance(s, 10000);
    no_udp(s);
    stage_answer_udp(s, 200);
    expect_note(s, NOTE_RESPONSE, 200);
    leave(s, id);
    leave(s, 0);
    done(s);
}

/* --- time ------------------------------------------------------------------------------------- */

static void test_limit(void **state)
{
    struct stage *s = setup(false);
    uint64_t id = client(s, SIP_MESSAGE, SIP_UDP);
    (void)state;
    txn_client_limit(s->txns, id, 5000);
    txn_client_limit(s->txns, id, 9000); /* not longer again */
    stage_turn(s);
    advance(s, 4999);
    quiet(s);
    advance(s, 1);
    expect_note(s, NOTE_FAILED, ERR_TIMEOUT);
    txn_client_limit(s->txns, id, 1);
    assert_int_equal(txns_timer_f(s->txns), 32000);
    done(s);
}

/* An INVITE has told its sender to wait. */
static void test_no_limit_for_an_invite(void **state)
{
    struct stage *s = setup(false);
    uint64_t id = client(s, SIP_INVITE, SIP_UDP);
    (void)state;
    txn_client_limit(s->txns, id, 5000);
    advance(s, 31999);
    quiet(s);
    advance(s, 1);
    expect_note(s, NOTE_FAILED, ERR_TIMEOUT);
    done(s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_invite_unheard),
        cmocka_unit_test(test_invite_ringing),
        cmocka_unit_test(test_invite_silent),
        cmocka_unit_test(test_not_over_another_connection),
        cmocka_unit_test(test_other_request),
        cmocka_unit_test(test_limit),
        cmocka_unit_test(test_no_limit_for_an_invite),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
