/* SPDX-License-Identifier: Apache-2.0 */
/* The four transaction state machines of RFC 3261 section 17, with RFC 6026 (Accepted) and RFC
 * 4320, as one pure function: no clock, no socket, no allocation.
 *
 * owns: nothing. thread: any. RFC 3261 figures 5 to 8; RFC 6026 figures 1 to 4 (section 7); RFC
 * 4320. */
#ifndef TXN_FSM_H
#define TXN_FSM_H

#include <stdbool.h>
#include <stdint.h>

enum fsm_machine { FSM_INVITE_CLIENT, FSM_CLIENT, FSM_INVITE_SERVER, FSM_SERVER, FSM_MACHINES };

enum fsm_state {
    FSM_INIT,    /* made, nothing sent or passed up */
    FSM_CALLING, /* INVITE client */
    FSM_TRYING,  /* non-INVITE */
    FSM_PROCEEDING,
    FSM_COMPLETED,
    FSM_CONFIRMED, /* INVITE server */
    FSM_ACCEPTED,  /* RFC 6026 */
    FSM_TERMINATED,
    FSM_STATES
};

enum fsm_event {
    FSM_START,      /* client: request from the TU; server: request received */
    FSM_RX_REQUEST, /* server: retransmission */
    FSM_RX_ACK,     /* server */
    FSM_RX_1XX,
    FSM_RX_2XX,
    FSM_RX_3456XX, /* client: responses received */
    FSM_TU_1XX,
    FSM_TU_2XX,
    FSM_TU_3456XX,        /* server: responses of the TU */
    FSM_TIMER_RETRANSMIT, /* A, E, G */
    FSM_TIMER_TIMEOUT,    /* B, F, H */
    FSM_TIMER_END,        /* D, I, J, K, L, M */
    FSM_TRANSPORT_ERROR,
    FSM_EVENTS
};

enum fsm_action {
    FSM_SEND = 1 << 0,     /* client: the request; server: the response just given */
    FSM_RESEND = 1 << 1,   /* the same again: request, or last response */
    FSM_SEND_ACK = 1 << 2, /* ACK of a non-2xx: write and send */
    FSM_RESEND_ACK = 1 << 3,
    FSM_PASS_UP = 1 << 4, /* hand the message to the TU */
    FSM_TELL_TIMEOUT =
        1 << 5, /* tell the TU: no final response in time (client), no ACK in time (server) */
    FSM_TELL_ERROR = 1 << 6,     /* tell the TU: transport error */
    FSM_SET_RETRANSMIT = 1 << 7, /* start A, E or G with T1 */
    FSM_RESET_RETRANSMIT =
        1 << 8, /* the next interval (doubling; E and G at most T2; E in Proceeding: T2) */
    FSM_STOP_RETRANSMIT = 1 << 9,
    FSM_SET_TIMEOUT = 1 << 10, /* start B, F or H */
    FSM_STOP_TIMEOUT = 1 << 11,
    FSM_SET_END = 1 << 12, /* start D, I, J, K, L or M: which follows from machine and new state */
    FSM_END = 1 << 13,     /* Terminated: give everything back */
    FSM_ILLEGAL = 1 << 14, /* our bug, or to be ignored (documented for each tuple in the tables) */
};

struct fsm_step {
    uint8_t next;     /* enum fsm_state */
    uint16_t actions; /* enum fsm_action */
};

/* What to do. `reliable`: the transport of the transaction (timers D, I, J, K of 0 become FSM_END
 * at once). */
struct fsm_step fsm_step(enum fsm_machine machine, enum fsm_state state, enum fsm_event event,
                         bool reliable);

/* Names for logs and dumps. */
const char *fsm_state_name(enum fsm_state s);

#endif
