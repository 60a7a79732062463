/* SPDX-License-Identifier: Apache-2.0 */
/* Every (machine, state, event, reliable) of the transaction state machines, against the arcs of
 * the figures in RFC 3261 section 17 and RFC 6026 section 7, read off the figures and not off the
 * code. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include "txn/fsm.h"

enum transport { UDP, TCP, ANY };

/* One arc of a figure: what is written above the line, and below it. */
struct arc {
    enum fsm_state from;
    enum fsm_event on;
    enum transport over;
    enum fsm_state to;
    unsigned actions;
};

/* Events that come up in a state and change nothing: no arc in the figure, and no fault. */
struct quiet {
    enum fsm_state in;
    enum fsm_event on;
};

enum {
    /* Short names in the words of the RFC. */
    send_request = FSM_SEND,
    send_response = FSM_SEND,
    send_again = FSM_RESEND,
    send_ack = FSM_SEND_ACK,
    send_ack_again = FSM_RESEND_ACK,
    to_tu = FSM_PASS_UP,
    timeout_to_tu = FSM_TELL_TIMEOUT,
    inform_tu = FSM_TELL_ERROR,
    start_A = FSM_SET_RETRANSMIT,
    reset_A = FSM_RESET_RETRANSMIT,
    stop_A = FSM_STOP_RETRANSMIT,
    start_B = FSM_SET_TIMEOUT,
    stop_B = FSM_STOP_TIMEOUT,
    start_D = FSM_SET_END,
    start_M = FSM_SET_END,
    start_E = FSM_SET_RETRANSMIT,
    reset_E = FSM_RESET_RETRANSMIT,
    stop_E = FSM_STOP_RETRANSMIT,
    start_F = FSM_SET_TIMEOUT,
    stop_F = FSM_STOP_TIMEOUT,
    start_K = FSM_SET_END,
    start_G = FSM_SET_RETRANSMIT,
    reset_G = FSM_RESET_RETRANSMIT,
    stop_G = FSM_STOP_RETRANSMIT,
    start_H = FSM_SET_TIMEOUT,
    stop_H = FSM_STOP_TIMEOUT,
    start_I = FSM_SET_END,
    start_L = FSM_SET_END,
    start_J = FSM_SET_END,
    end = FSM_END,
};

#define INIT          FSM_INIT
#define CALLING       FSM_CALLING
#define TRYING        FSM_TRYING
#define PROCEEDING    FSM_PROCEEDING
#define COMPLETED     FSM_COMPLETED
#define CONFIRMED     FSM_CONFIRMED
#define ACCEPTED      FSM_ACCEPTED
#define TERMINATED    FSM_TERMINATED

#define START         FSM_START
#define REQUEST       FSM_RX_REQUEST
#define ACK           FSM_RX_ACK
#define R_1XX         FSM_RX_1XX
#define R_2XX         FSM_RX_2XX
#define R_300_699     FSM_RX_3456XX
#define TU_1XX        FSM_TU_1XX
#define TU_2XX        FSM_TU_2XX
#define TU_300_699    FSM_TU_3456XX
#define TRANSPORT_ERR FSM_TRANSPORT_ERROR
#define TIMER_A       FSM_TIMER_RETRANSMIT
#define TIMER_B       FSM_TIMER_TIMEOUT
#define TIMER_D       FSM_TIMER_END
#define TIMER_E       FSM_TIMER_RETRANSMIT
#define TIMER_F       FSM_TIMER_TIMEOUT
#define TIMER_G       FSM_TIMER_RETRANSMIT
#define TIMER_H       FSM_TIMER_TIMEOUT
#define TIMER_I       FSM_TIMER_END
#define TIMER_J       FSM_TIMER_END
#define TIMER_K       FSM_TIMER_END
#define TIMER_L       FSM_TIMER_END
#define TIMER_M       FSM_TIMER_END

/* clang-format off */

/* RFC 3261 figure 5 and RFC 6026 section 7.2; Timer D is 0 over a reliable transport (17.1.1.2), so that Completed
 * is left as it is entered; Timer A runs over unreliable ones only. */
static const struct arc invite_client[] = {
    /* state      event          over  next        action */
    {INIT,       START,         UDP,  CALLING,    send_request | start_A | start_B},
    {INIT,       START,         TCP,  CALLING,    send_request | start_B},
    {CALLING,    TIMER_A,       UDP,  CALLING,    send_again | reset_A},
    {CALLING,    TIMER_B,       ANY,  TERMINATED, timeout_to_tu | end},
    {CALLING,    TRANSPORT_ERR, ANY,  TERMINATED, inform_tu | end},
    {CALLING,    R_1XX,         ANY,  PROCEEDING, to_tu | stop_A | stop_B},
    {CALLING,    R_2XX,         ANY,  ACCEPTED,   to_tu | stop_A | stop_B | start_M},
    {CALLING,    R_300_699,     UDP,  COMPLETED,  send_ack | to_tu | stop_A | stop_B | start_D},
    {CALLING,    R_300_699,     TCP,  TERMINATED, send_ack | to_tu | stop_A | stop_B | end},
    {PROCEEDING, R_1XX,         ANY,  PROCEEDING, to_tu},
    {PROCEEDING, R_2XX,         ANY,  ACCEPTED,   to_tu | stop_B | start_M},
    {PROCEEDING, R_300_699,     UDP,  COMPLETED,  send_ack | to_tu | stop_B | start_D},
    {PROCEEDING, R_300_699,     TCP,  TERMINATED, send_ack | to_tu | stop_B | end},
    /* Beside the figure: 64*T1 after a CANCEL (9.1), and a connection that cannot be recovered (18.4). */
    {PROCEEDING, TIMER_B,       ANY,  TERMINATED, timeout_to_tu | end},
    {PROCEEDING, TRANSPORT_ERR, ANY,  TERMINATED, inform_tu | end},
    {COMPLETED,  R_300_699,     ANY,  COMPLETED,  send_ack_again},
    {COMPLETED,  TRANSPORT_ERR, ANY,  TERMINATED, inform_tu | end},
    {COMPLETED,  TIMER_D,       ANY,  TERMINATED, end},
    {ACCEPTED,   R_2XX,         ANY,  ACCEPTED,   to_tu},
    {ACCEPTED,   TIMER_M,       ANY,  TERMINATED, end},
};
static const struct quiet invite_client_quiet[] = {
    {COMPLETED, R_1XX}, {COMPLETED, R_2XX},
    {ACCEPTED, R_1XX}, {ACCEPTED, R_300_699}, {ACCEPTED, TRANSPORT_ERR},
};

/* RFC 3261 figure 6; Timer K is 0 over a reliable transport, Timer E runs over unreliable ones only. */
static const struct arc client[] = {
    {INIT,       START,         UDP,  TRYING,     send_request | start_E | start_F},
    {INIT,       START,         TCP,  TRYING,     send_request | start_F},
    {TRYING,     TIMER_E,       UDP,  TRYING,     send_again | reset_E},
    {TRYING,     TIMER_F,       ANY,  TERMINATED, timeout_to_tu | end},
    {TRYING,     TRANSPORT_ERR, ANY,  TERMINATED, inform_tu | end},
    {TRYING,     R_1XX,         ANY,  PROCEEDING, to_tu},
    {TRYING,     R_2XX,         UDP,  COMPLETED,  to_tu | stop_E | stop_F | start_K},
    {TRYING,     R_2XX,         TCP,  TERMINATED, to_tu | stop_E | stop_F | end},
    {TRYING,     R_300_699,     UDP,  COMPLETED,  to_tu | stop_E | stop_F | start_K},
    {TRYING,     R_300_699,     TCP,  TERMINATED, to_tu | stop_E | stop_F | end},
    {PROCEEDING, TIMER_E,       UDP,  PROCEEDING, send_again | reset_E},
    {PROCEEDING, TIMER_F,       ANY,  TERMINATED, timeout_to_tu | end},
    {PROCEEDING, TRANSPORT_ERR, ANY,  TERMINATED, inform_tu | end},
    {PROCEEDING, R_1XX,         ANY,  PROCEEDING, to_tu},
    {PROCEEDING, R_2XX,         UDP,  COMPLETED,  to_tu | stop_E | stop_F | start_K},
    {PROCEEDING, R_2XX,         TCP,  TERMINATED, to_tu | stop_E | stop_F | end},
    {PROCEEDING, R_300_699,     UDP,  COMPLETED,  to_tu | stop_E | stop_F | start_K},
    {PROCEEDING, R_300_699,     TCP,  TERMINATED, to_tu | stop_E | stop_F | end},
    {COMPLETED,  TIMER_K,       ANY,  TERMINATED, end},
};
static const struct quiet client_quiet[] = {
    {COMPLETED, R_1XX}, {COMPLETED, R_2XX}, {COMPLETED, R_300_699}, {COMPLETED, TRANSPORT_ERR},
};

/* RFC 3261 figure 7 as replaced by RFC 6026 section 7.1; Timer G runs over unreliable transports only and Timer I is 0
 * over reliable ones. That Timer H is told to the TU is 17.2.1. */
static const struct arc invite_server[] = {
    {INIT,       START,         ANY,  PROCEEDING, to_tu},
    {PROCEEDING, REQUEST,       ANY,  PROCEEDING, send_again},
    {PROCEEDING, TU_1XX,        ANY,  PROCEEDING, send_response},
    {PROCEEDING, TRANSPORT_ERR, ANY,  PROCEEDING, inform_tu},
    {PROCEEDING, TU_2XX,        ANY,  ACCEPTED,   send_response | start_L},
    {PROCEEDING, TU_300_699,    UDP,  COMPLETED,  send_response | start_G | start_H},
    {PROCEEDING, TU_300_699,    TCP,  COMPLETED,  send_response | start_H},
    {COMPLETED,  REQUEST,       ANY,  COMPLETED,  send_again},
    {COMPLETED,  TIMER_G,       UDP,  COMPLETED,  send_again | reset_G},
    {COMPLETED,  TIMER_H,       ANY,  TERMINATED, timeout_to_tu | end},
    {COMPLETED,  TRANSPORT_ERR, ANY,  COMPLETED,  inform_tu},
    {COMPLETED,  ACK,           UDP,  CONFIRMED,  stop_G | stop_H | start_I},
    {COMPLETED,  ACK,           TCP,  TERMINATED, stop_G | stop_H | end},
    {CONFIRMED,  TIMER_I,       ANY,  TERMINATED, end},
    {ACCEPTED,   TU_2XX,        ANY,  ACCEPTED,   send_response},
    {ACCEPTED,   ACK,           ANY,  ACCEPTED,   to_tu},
    {ACCEPTED,   TRANSPORT_ERR, ANY,  ACCEPTED,   inform_tu},
    {ACCEPTED,   TIMER_L,       ANY,  TERMINATED, end},
};
static const struct quiet invite_server_quiet[] = {
    {PROCEEDING, ACK},
    {COMPLETED, TU_1XX}, {COMPLETED, TU_2XX}, {COMPLETED, TU_300_699},
    {CONFIRMED, REQUEST}, {CONFIRMED, ACK}, {CONFIRMED, TRANSPORT_ERR},
    {CONFIRMED, TU_1XX}, {CONFIRMED, TU_2XX}, {CONFIRMED, TU_300_699},
    {ACCEPTED, REQUEST}, {ACCEPTED, TU_1XX}, {ACCEPTED, TU_300_699},
};

/* RFC 3261 figure 8; Timer J is 0 over a reliable transport. */
static const struct arc server[] = {
    {INIT,       START,         ANY,  TRYING,     to_tu},
    {TRYING,     TU_1XX,        ANY,  PROCEEDING, send_response},
    {TRYING,     TU_2XX,        UDP,  COMPLETED,  send_response | start_J},
    {TRYING,     TU_2XX,        TCP,  TERMINATED, send_response | end},
    {TRYING,     TU_300_699,    UDP,  COMPLETED,  send_response | start_J},
    {TRYING,     TU_300_699,    TCP,  TERMINATED, send_response | end},
    {PROCEEDING, REQUEST,       ANY,  PROCEEDING, send_again},
    {PROCEEDING, TU_1XX,        ANY,  PROCEEDING, send_response},
    {PROCEEDING, TRANSPORT_ERR, ANY,  TERMINATED, inform_tu | end},
    {PROCEEDING, TU_2XX,        UDP,  COMPLETED,  send_response | start_J},
    {PROCEEDING, TU_2XX,        TCP,  TERMINATED, send_response | end},
    {PROCEEDING, TU_300_699,    UDP,  COMPLETED,  send_response | start_J},
    {PROCEEDING, TU_300_699,    TCP,  TERMINATED, send_response | end},
    {COMPLETED,  REQUEST,       ANY,  COMPLETED,  send_again},
    {COMPLETED,  TIMER_J,       ANY,  TERMINATED, end},
    {COMPLETED,  TRANSPORT_ERR, ANY,  TERMINATED, inform_tu | end},
};
static const struct quiet server_quiet[] = {
    {TRYING, REQUEST},
    {COMPLETED, TU_1XX}, {COMPLETED, TU_2XX}, {COMPLETED, TU_300_699},
};

/* clang-format on */

struct figure {
    enum fsm_machine machine;
    const char *name;
    const struct arc *arcs;
    size_t narcs;
    const struct quiet *quiet;
    size_t nquiet;
};

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))
#define FIGURE(m, name, arcs, quiet)                    \
    {                                                   \
        m, name, arcs, COUNT(arcs), quiet, COUNT(quiet) \
    }

static const struct figure figures[] = {
    FIGURE(FSM_INVITE_CLIENT, "INVITE client", invite_client, invite_client_quiet),
    FIGURE(FSM_CLIENT, "client", client, client_quiet),
    FIGURE(FSM_INVITE_SERVER, "INVITE server", invite_server, invite_server_quiet),
    FIGURE(FSM_SERVER, "server", server, server_quiet),
};

static const struct arc *find_arc(const struct figure *f, enum fsm_state s, enum fsm_event e,
                                  bool reliable)
{
    const struct arc *found = NULL;

    for (size_t i = 0; i < f->narcs; i++) {
        const struct arc *a = &f->arcs[i];
        if (a->from != s || a->on != e || (a->over != ANY && (a->over == TCP) != reliable))
            continue;
        assert_null(found); /* the figure says one thing only */
        found = a;
    }
    return found;
}

static bool is_quiet(const struct figure *f, enum fsm_state s, enum fsm_event e)
{
    for (size_t i = 0; i < f->nquiet; i++) {
        if (f->quiet[i].in == s && f->quiet[i].on == e)
            return true;
    }
    return false;
}

static void check(const struct figure *f, enum fsm_state s, enum fsm_event e, bool reliable)
{
    struct fsm_step step = fsm_step(f->machine, s, e, reliable);
    const struct arc *arc = find_arc(f, s, e, reliable);
    unsigned next = s, actions = FSM_ILLEGAL;

    if (arc != NULL) {
        assert_false(is_quiet(f, s, e));
        next = arc->to;
        actions = arc->actions;
    } else if (is_quiet(f, s, e)) {
        actions = 0;
    }
    if (step.next != next || step.actions != actions) {
        print_error("%s, %s, event %d, %s: went to %s with %#x, figure: %s with %#x\n", f->name,
                    fsm_state_name(s), (int)e, reliable ? "reliable" : "unreliable",
                    fsm_state_name(step.next), step.actions, fsm_state_name(next), actions);
        fail();
    }
}

static void test_every_tuple(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(figures); i++) {
        for (int s = 0; s < FSM_STATES; s++) {
            for (int e = 0; e < FSM_EVENTS; e++) {
                check(&figures[i], s, e, false);
                check(&figures[i], s, e, true);
            }
        }
    }
}

/* Nothing leads out of Terminated, and it always gives everything back. */
static void test_terminated(void **state)
{
    (void)state;
    for (int m = 0; m < FSM_MACHINES; m++) {
        for (int s = 0; s < FSM_STATES; s++) {
            for (int e = 0; e < FSM_EVENTS * 2; e++) {
                struct fsm_step step = fsm_step(m, s, e / 2, e % 2);
                if (s == FSM_TERMINATED)
                    assert_int_equal(step.actions, FSM_ILLEGAL);
                else
                    assert_int_equal(step.next == FSM_TERMINATED, (step.actions & FSM_END) != 0);
            }
        }
    }
}

static void test_names(void **state)
{
    (void)state;
    for (int s = 0; s < FSM_STATES; s++) {
        assert_non_null(fsm_state_name(s));
        for (int other = 0; other < s; other++)
            assert_string_not_equal(fsm_state_name(s), fsm_state_name(other));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_tuple),
        cmocka_unit_test(test_terminated),
        cmocka_unit_test(test_names),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
