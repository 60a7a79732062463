/* SPDX-License-Identifier: Apache-2.0 */
/* The tables are written for an unreliable transport; fsm_step derives the other one: no
 * retransmission (Timers A, E, G), and D, I, J, K are zero, so that their state is passed through.
 */
#include "txn/fsm.h"

struct rule {
    uint16_t actions;
    uint8_t next;
    bool is_known; /* false: the tuple cannot come up */
};

#define TO(state, what)                                      \
    {                                                        \
        .actions = (what), .next = (state), .is_known = true \
    }
/* Comes up, and is to be ignored. */
#define IGNORE(state) TO(state, 0)

/* RFC 3261 figure 5, RFC 6026 section 7.2. */
static const struct rule invite_client[FSM_STATES][FSM_EVENTS] = {
    [FSM_INIT] =
        {
            [FSM_START] = TO(FSM_CALLING, FSM_SEND | FSM_SET_RETRANSMIT | FSM_SET_TIMEOUT),
        },
    [FSM_CALLING] =
        {
            [FSM_RX_1XX] = TO(FSM_PROCEEDING, FSM_PASS_UP | FSM_STOP_RETRANSMIT | FSM_STOP_TIMEOUT),
            [FSM_RX_2XX] = TO(FSM_ACCEPTED,
                              FSM_PASS_UP | FSM_STOP_RETRANSMIT | FSM_STOP_TIMEOUT | FSM_SET_END),
            [FSM_RX_3456XX] = TO(FSM_COMPLETED, FSM_SEND_ACK | FSM_PASS_UP | FSM_STOP_RETRANSMIT |
                                                    FSM_STOP_TIMEOUT | FSM_SET_END),
            [FSM_TIMER_RETRANSMIT] = TO(FSM_CALLING, FSM_RESEND | FSM_RESET_RETRANSMIT),
            [FSM_TIMER_TIMEOUT] = TO(FSM_TERMINATED, FSM_TELL_TIMEOUT | FSM_END),
            [FSM_TRANSPORT_ERROR] = TO(FSM_TERMINATED, FSM_TELL_ERROR | FSM_END),
        },
    [FSM_PROCEEDING] =
        {
            [FSM_RX_1XX] = TO(FSM_PROCEEDING, FSM_PASS_UP),
            [FSM_RX_2XX] = TO(FSM_ACCEPTED, FSM_PASS_UP | FSM_STOP_TIMEOUT | FSM_SET_END),
            [FSM_RX_3456XX] =
                TO(FSM_COMPLETED, FSM_SEND_ACK | FSM_PASS_UP | FSM_STOP_TIMEOUT | FSM_SET_END),
            /* Not Timer B, which has stopped: 64*T1 after a CANCEL, RFC 3261 9.1. */
            [FSM_TIMER_TIMEOUT] = TO(FSM_TERMINATED, FSM_TELL_TIMEOUT | FSM_END),
            /* Not in the figure: recovery has given up. */
            [FSM_TRANSPORT_ERROR] = TO(FSM_TERMINATED, FSM_TELL_ERROR | FSM_END),
        },
    [FSM_COMPLETED] =
        {
            [FSM_RX_1XX] = IGNORE(FSM_COMPLETED),
            [FSM_RX_2XX] = IGNORE(FSM_COMPLETED),
            [FSM_RX_3456XX] = TO(FSM_COMPLETED, FSM_RESEND_ACK),
            [FSM_TIMER_END] = TO(FSM_TERMINATED, FSM_END),
            [FSM_TRANSPORT_ERROR] = TO(FSM_TERMINATED, FSM_TELL_ERROR | FSM_END),
        },
    [FSM_ACCEPTED] =
        {
            [FSM_RX_1XX] = IGNORE(FSM_ACCEPTED),
            [FSM_RX_2XX] = TO(FSM_ACCEPTED, FSM_PASS_UP),
            [FSM_RX_3456XX] = IGNORE(FSM_ACCEPTED),
            [FSM_TIMER_END] = TO(FSM_TERMINATED, FSM_END),
            [FSM_TRANSPORT_ERROR] = IGNORE(FSM_ACCEPTED),
        },
};

#define CLIENT_FINAL \
    TO(FSM_COMPLETED, FSM_PASS_UP | FSM_STOP_RETRANSMIT | FSM_STOP_TIMEOUT | FSM_SET_END)

/* RFC 3261 figure 6. */
static const struct rule client[FSM_STATES][FSM_EVENTS] = {
    [FSM_INIT] =
        {
            [FSM_START] = TO(FSM_TRYING, FSM_SEND | FSM_SET_RETRANSMIT | FSM_SET_TIMEOUT),
        },
    [FSM_TRYING] =
        {
            [FSM_RX_1XX] = TO(FSM_PROCEEDING, FSM_PASS_UP),
            [FSM_RX_2XX] = CLIENT_FINAL,
            [FSM_RX_3456XX] = CLIENT_FINAL,
            [FSM_TIMER_RETRANSMIT] = TO(FSM_TRYING, FSM_RESEND | FSM_RESET_RETRANSMIT),
            [FSM_TIMER_TIMEOUT] = TO(FSM_TERMINATED, FSM_TELL_TIMEOUT | FSM_END),
            [FSM_TRANSPORT_ERROR] = TO(FSM_TERMINATED, FSM_TELL_ERROR | FSM_END),
        },
    [FSM_PROCEEDING] =
        {
            [FSM_RX_1XX] = TO(FSM_PROCEEDING, FSM_PASS_UP),
            [FSM_RX_2XX] = CLIENT_FINAL,
            [FSM_RX_3456XX] = CLIENT_FINAL,
            [FSM_TIMER_RETRANSMIT] = TO(FSM_PROCEEDING, FSM_RESEND | FSM_RESET_RETRANSMIT),
            [FSM_TIMER_TIMEOUT] = TO(FSM_TERMINATED, FSM_TELL_TIMEOUT | FSM_END),
            [FSM_TRANSPORT_ERROR] = TO(FSM_TERMINATED, FSM_TELL_ERROR | FSM_END),
        },
    [FSM_COMPLETED] =
        {
            [FSM_RX_1XX] = IGNORE(FSM_COMPLETED),
            [FSM_RX_2XX] = IGNORE(FSM_COMPLETED),
            [FSM_RX_3456XX] = IGNORE(FSM_COMPLETED),
            [FSM_TIMER_END] = TO(FSM_TERMINATED, FSM_END),
            [FSM_TRANSPORT_ERROR] = IGNORE(FSM_COMPLETED),
        },
};

/* RFC 3261 figure 7 as changed by RFC 6026 (section 7.1): an error of the transport
 * ends nothing, since the sender's retransmission can make the response go out by another way. */
static const struct rule invite_server[FSM_STATES][FSM_EVENTS] = {
    [FSM_INIT] =
        {
            [FSM_START] = TO(FSM_PROCEEDING, FSM_PASS_UP),
        },
    [FSM_PROCEEDING] =
        {
            [FSM_RX_REQUEST] = TO(FSM_PROCEEDING, FSM_RESEND),
            [FSM_RX_ACK] = IGNORE(FSM_PROCEEDING),
            [FSM_TU_1XX] = TO(FSM_PROCEEDING, FSM_SEND),
            [FSM_TU_2XX] = TO(FSM_ACCEPTED, FSM_SEND | FSM_SET_END),
            [FSM_TU_3456XX] = TO(FSM_COMPLETED, FSM_SEND | FSM_SET_RETRANSMIT | FSM_SET_TIMEOUT),
            [FSM_TRANSPORT_ERROR] = TO(FSM_PROCEEDING, FSM_TELL_ERROR),
        },
    [FSM_COMPLETED] =
        {
            [FSM_RX_REQUEST] = TO(FSM_COMPLETED, FSM_RESEND),
            [FSM_RX_ACK] = TO(FSM_CONFIRMED, FSM_STOP_RETRANSMIT | FSM_STOP_TIMEOUT | FSM_SET_END),
            [FSM_TU_1XX] = IGNORE(FSM_COMPLETED),
            [FSM_TU_2XX] = IGNORE(FSM_COMPLETED),
            [FSM_TU_3456XX] = IGNORE(FSM_COMPLETED),
            [FSM_TIMER_RETRANSMIT] = TO(FSM_COMPLETED, FSM_RESEND | FSM_RESET_RETRANSMIT),
            [FSM_TIMER_TIMEOUT] = TO(FSM_TERMINATED, FSM_TELL_TIMEOUT | FSM_END),
            [FSM_TRANSPORT_ERROR] = TO(FSM_COMPLETED, FSM_TELL_ERROR),
        },
    [FSM_CONFIRMED] =
        {
            [FSM_RX_REQUEST] = IGNORE(FSM_CONFIRMED),
            [FSM_RX_ACK] = IGNORE(FSM_CONFIRMED),
            [FSM_TU_1XX] = IGNORE(FSM_CONFIRMED),
            [FSM_TU_2XX] = IGNORE(FSM_CONFIRMED),
            [FSM_TU_3456XX] = IGNORE(FSM_CONFIRMED),
            [FSM_TIMER_END] = TO(FSM_TERMINATED, FSM_END),
            [FSM_TRANSPORT_ERROR] = IGNORE(FSM_CONFIRMED),
        },
    [FSM_ACCEPTED] =
        {
            [FSM_RX_REQUEST] = IGNORE(FSM_ACCEPTED),
            [FSM_RX_ACK] = TO(FSM_ACCEPTED, FSM_PASS_UP),
            [FSM_TU_1XX] = IGNORE(FSM_ACCEPTED),
            [FSM_TU_2XX] = TO(FSM_ACCEPTED, FSM_SEND),
            [FSM_TU_3456XX] = IGNORE(FSM_ACCEPTED),
            [FSM_TIMER_END] = TO(FSM_TERMINATED, FSM_END),
            [FSM_TRANSPORT_ERROR] = TO(FSM_ACCEPTED, FSM_TELL_ERROR),
        },
};

#define SERVER_FINAL TO(FSM_COMPLETED, FSM_SEND | FSM_SET_END)

/* RFC 3261 figure 8. */
static const struct rule server[FSM_STATES][FSM_EVENTS] = {
    [FSM_INIT] =
        {
            [FSM_START] = TO(FSM_TRYING, FSM_PASS_UP),
        },
    [FSM_TRYING] =
        {
            [FSM_RX_REQUEST] = IGNORE(FSM_TRYING),
            [FSM_TU_1XX] = TO(FSM_PROCEEDING, FSM_SEND),
            [FSM_TU_2XX] = SERVER_FINAL,
            [FSM_TU_3456XX] = SERVER_FINAL,
        },
    [FSM_PROCEEDING] =
        {
            [FSM_RX_REQUEST] = TO(FSM_PROCEEDING, FSM_RESEND),
            [FSM_TU_1XX] = TO(FSM_PROCEEDING, FSM_SEND),
            [FSM_TU_2XX] = SERVER_FINAL,
            [FSM_TU_3456XX] = SERVER_FINAL,
            [FSM_TRANSPORT_ERROR] = TO(FSM_TERMINATED, FSM_TELL_ERROR | FSM_END),
        },
    [FSM_COMPLETED] =
        {
            [FSM_RX_REQUEST] = TO(FSM_COMPLETED, FSM_RESEND),
            [FSM_TU_1XX] = IGNORE(FSM_COMPLETED),
            [FSM_TU_2XX] = IGNORE(FSM_COMPLETED),
            [FSM_TU_3456XX] = IGNORE(FSM_COMPLETED),
            [FSM_TIMER_END] = TO(FSM_TERMINATED, FSM_END),
            [FSM_TRANSPORT_ERROR] = TO(FSM_TERMINATED, FSM_TELL_ERROR | FSM_END),
        },
};

static const struct rule (*const machines[FSM_MACHINES])[FSM_EVENTS] = {
    [FSM_INVITE_CLIENT] = invite_client,
    [FSM_CLIENT] = client,
    [FSM_INVITE_SERVER] = invite_server,
    [FSM_SERVER] = server,
};

struct fsm_step fsm_step(enum fsm_machine machine, enum fsm_state state, enum fsm_event event,
                         bool reliable)
{
    const struct rule *rule = &machines[machine][state][event];
    struct fsm_step step = {rule->next, rule->actions};

    if (!rule->is_known || (reliable && event == FSM_TIMER_RETRANSMIT))
        return (struct fsm_step){(uint8_t)state, FSM_ILLEGAL};
    if (reliable) {
        step.actions &= (uint16_t)~FSM_SET_RETRANSMIT;
        /* L and M, the timers of Accepted, are the same for every transport (RFC 6026). */
        if ((step.actions & FSM_SET_END) != 0 && step.next != FSM_ACCEPTED) {
            step.actions = (uint16_t)((step.actions & ~FSM_SET_END) | FSM_END);
            step.next = FSM_TERMINATED;
        }
    }
    return step;
}

const char *fsm_state_name(enum fsm_state s)
{
    static const char *const names[FSM_STATES] = {
        [FSM_INIT] = "init",           [FSM_CALLING] = "calling",
        [FSM_TRYING] = "trying",       [FSM_PROCEEDING] = "proceeding",
        [FSM_COMPLETED] = "completed", [FSM_CONFIRMED] = "confirmed",
        [FSM_ACCEPTED] = "accepted",   [FSM_TERMINATED] = "terminated",
    };
    return names[s];
}
