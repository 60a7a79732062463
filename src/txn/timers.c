/* SPDX-License-Identifier: Apache-2.0 */
/* Timers A to M as two timers of each transaction (RFC 3261 table 4, RFC 6026). */
#include "txn/txn_int.h"

static uint64_t now_of(const struct txn *t)
{
    return txns_now(txns_of(t));
}

static void run(struct txn *t, enum fsm_event ev, int err)
{
    if (txn_is_client(t))
        client_run(t, ev, NULL, NULL, err);
    else
        (void)server_run(t, ev, err);
}

static void on_retransmit(struct timer *timer, uint64_t now)
{
    struct txn *t = container_of(timer, struct txn, retransmit);

    (void)now;
    if (t->state == FSM_ACCEPTED || (t->state == FSM_PROCEEDING && !txn_is_client(t))) {
        /* The peer has the response by now, or never will: it need not be kept for recovery. */
        sent_unlink(&t->sent);
        if (t->state == FSM_ACCEPTED)
            txn_drop_bytes(t);
        return;
    }
    counter_inc(txns_of(t)->counters, CTR_RETRANS_OUT);
    run(t, FSM_TIMER_RETRANSMIT, 0);
}

static void on_timeout(struct timer *timer, uint64_t now)
{
    struct txn *t = container_of(timer, struct txn, timeout);

    (void)now;
    if (t->err != 0 && txn_is_client(t) && client_finds_way(t))
        return;
    if (t->err != 0)
        run(t, FSM_TRANSPORT_ERROR, t->err);
    else if (t->state == FSM_ACCEPTED || t->state == FSM_CONFIRMED ||
             (t->state == FSM_COMPLETED && t->machine != FSM_INVITE_SERVER))
        run(t, FSM_TIMER_END, 0);
    else
        run(t, FSM_TIMER_TIMEOUT, ERR_TIMEOUT);
}

void txn_timers_init(struct txn *t)
{
    timer_init(&t->retransmit, on_retransmit);
    timer_init(&t->timeout, on_timeout);
}

static uint32_t timeout_ms(const struct txn *t)
{
    const struct txn_conf *c = &txns_of(t)->conf;

    switch ((enum fsm_machine)t->machine) {
    case FSM_INVITE_CLIENT: return c->timer_b;
    case FSM_CLIENT: return c->timer_f;
    case FSM_INVITE_SERVER: return c->timer_h;
    case FSM_SERVER:
    case FSM_MACHINES: break;
    }
    return 0;
}

/* The timer of the state the transaction is now in. */
static uint32_t end_ms(const struct txn *t)
{
    const struct txn_conf *c = &txns_of(t)->conf;
    /* While recovery is on, keep_ms takes the place of the timers J and D of zero, so that a
     * request or response sent again over a replaced connection finds its transaction. */
    bool is_stream = txn_is_stream(t);

    switch ((enum fsm_machine)t->machine) {
    case FSM_INVITE_CLIENT:
        if (t->state == FSM_ACCEPTED)
            return c->timer_m;
        return is_stream ? c->keep_ms : c->timer_d;
    case FSM_CLIENT: return c->timer_k;
    case FSM_INVITE_SERVER: return t->state == FSM_ACCEPTED ? c->timer_l : c->timer_i;
    case FSM_SERVER: return is_stream ? c->keep_ms : c->timer_j;
    case FSM_MACHINES: break;
    }
    return 0;
}

/* A doubles without end; E and G up to T2; E in Proceeding is T2. */
static uint32_t next_interval(const struct txn *t)
{
    const struct txn_conf *c = &txns_of(t)->conf;
    uint32_t doubled = t->interval * 2;

    if (t->machine == FSM_INVITE_CLIENT)
        return doubled;
    if (t->machine == FSM_CLIENT && t->state == FSM_PROCEEDING)
        return c->t2;
    return doubled < c->t2 ? doubled : c->t2;
}

void txn_timer_actions(struct txn *t, uint16_t actions)
{
    struct txns *x = txns_of(t);

    if ((actions & FSM_STOP_RETRANSMIT) != 0)
        timer_stop(x->wheel, &t->retransmit);
    if ((actions & FSM_STOP_TIMEOUT) != 0)
        timer_stop(x->wheel, &t->timeout);
    if ((actions & (FSM_SET_RETRANSMIT | FSM_RESET_RETRANSMIT)) != 0) {
        t->interval = (actions & FSM_SET_RETRANSMIT) != 0 ? x->conf.t1 : next_interval(t);
        timer_set(x->wheel, &t->retransmit, now_of(t) + t->interval);
    }
    if ((actions & FSM_SET_TIMEOUT) != 0)
        timer_set(x->wheel, &t->timeout, now_of(t) + timeout_ms(t));
    if ((actions & FSM_SET_END) != 0)
        timer_set(x->wheel, &t->timeout, now_of(t) + end_ms(t));
}

void txn_fail_later(struct txn *t, int err)
{
    struct txns *x = txns_of(t);

    if (t->err == 0)
        t->deadline = timer_is_set(&t->timeout) ? t->timeout.due : 0;
    t->err = err;
    sent_unlink(&t->sent);
    timer_stop(x->wheel, &t->retransmit);
    timer_set(x->wheel, &t->timeout, txns_now(x));
}
