/* SPDX-License-Identifier: Apache-2.0 */
/* Client transactions: RFC 3261 sections 9.1, 17.1, RFC 6026. */
#include "txn/txn_int.h"

#include <assert.h>

#include "base/log.h"
#include "sip/write.h"

/* --- sending ---------------------------------------------------------------------------------- */

bool client_is_active(const struct txn *t)
{
    return t->state == FSM_CALLING || t->state == FSM_TRYING || t->state == FSM_PROCEEDING;
}

/* Sends the request. Streams: it goes behind all that was sent on its flow, in case of recovery. */
static int send_request(struct txn *t, unsigned flags)
{
    struct txns *x = txns_of(t);
    struct slice bytes = t->sent.bytes;
    int err = flows_send_for(x->flows, &t->sent.dest, &t->u.client.whose, bytes.ptr, bytes.len,
                             FLOW_SEND_REQUEST | flags);

    if (err == 0 && txn_is_stream(t)) {
        t->is_fresh = !flows_is_up(x->flows, t->sent.dest.flow);
        sent_link(x, &t->sent);
    }
    return err;
}

int client_resend(struct txn *t)
{
    int err = send_request(t, FLOW_SEND_RESEND);

    if (err == 0) {
        /* Also where the flow is another worker's, of which nothing is known here. */
        t->is_fresh = true;
        counter_inc(txns_of(t)->counters, CTR_REQUEST_RESENT);
    }
    return err;
}

/* RFC 3261 17.1.1.3: to the same destination. The ACK takes the request's place: nothing else will
 * be sent. */
static void send_ack(struct txn *t, const struct sip_msg *res)
{
    struct txns *x = txns_of(t);
    struct sip_hdr hdrs[SIP_HDRS_MAX];
    struct sip_msg invite;
    struct buf out;
    struct slice ack;

    buf_init(&out, x->scratch, sizeof(x->scratch));
    if (!sip_msg_parse_kept(&invite, t->sent.bytes, hdrs) || sip_write_ack(&out, &invite, res) < 0)
        return;
    ack = arena_dup(&t->scope->arena, buf_get(&out));
    t->sent.bytes = ack;
    /* Without memory to keep it, it is sent this once; no answer is expected. */
    (void)!flows_send_for(x->flows, &t->sent.dest, &t->u.client.whose, out.ptr, out.len, 0);
}

static void resend_ack(struct txn *t)
{
    struct slice ack = t->sent.bytes;

    if (ack.len != 0)
        (void)!flows_send_for(txns_of(t)->flows, &t->sent.dest, &t->u.client.whose, ack.ptr,
                              ack.len, FLOW_SEND_RESEND);
}

/* The CANCEL is a transaction of its own with the branch of the INVITE, found through it. */
static void send_cancel(struct txn *t)
{
    struct txns *x = txns_of(t);
    struct sip_hdr hdrs[SIP_HDRS_MAX];
    struct sip_msg invite;
    struct buf out;
    struct txn *c;
    int err;

    /* RFC 3261 9.1: no final response 64*T1 after the CANCEL: taken as cancelled. */
    timer_set(x->wheel, &t->timeout, txns_now(x) + (uint64_t)x->conf.t1 * 64);
    buf_init(&out, x->scratch, sizeof(x->scratch));
    if (!sip_msg_parse_kept(&invite, t->sent.bytes, hdrs) ||
        sip_write_cancel(&out, &invite, t->u.client.extra) < 0)
        return;
    c = txn_new(t->scope, FSM_CLIENT, &err);
    if (c == NULL)
        return;
    c->sent.bytes = arena_dup(&t->scope->arena, buf_get(&out));
    if (c->sent.bytes.len == 0) {
        txn_end(c);
        return;
    }
    c->is_cancel = true;
    c->method = SIP_CANCEL;
    c->sent.dest = t->sent.dest;
    c->u.client.whose = t->u.client.whose;
    c->u.client.peer = t->id;
    t->u.client.peer = c->id;
    client_run(c, FSM_START, NULL, NULL, 0);
}

/* --- the last resort -------------------------------------------------------------------------- */

/* Where has the INVITE gone meanwhile? Its CANCEL goes there too. */
static bool follows_invite(const struct txn *cancel, struct flow_dest *dest)
{
    const struct txn *invite = txn_find_client(txns_of(cancel), cancel->u.client.peer);

    if (invite == NULL || invite->err != 0 || !client_is_active(invite) ||
        invite->sent.dest.flow == dest->flow)
        return false;
    *dest = invite->sent.dest;
    return true;
}

bool client_finds_way(struct txn *t)
{
    struct txns *x = txns_of(t);
    const struct txn_tu *tu = t->scope->tu;
    struct flow_dest dest = t->sent.dest;
    uint64_t id = t->id;
    bool has_way = false;

    if (!client_is_active(t) || !txn_is_stream(t))
        return false;
    if (t->is_cancel)
        has_way = follows_invite(t, &dest);
    else if (tu != NULL && tu->on_stranded != NULL)
        has_way = tu->on_stranded(t->u.client.ctx, id, t->err, &dest);
    /* The user may have ended it. */
    t = pool_find(&x->pool, id);
    if (!has_way || t == NULL || dest.transport != t->sent.dest.transport)
        return t == NULL;
    dest.since = t->sent.dest.since;
    t->sent.dest = dest;
    if (client_resend(t) < 0)
        return false;
    t->err = 0;
    /* The transaction's own time goes on as it was. */
    if (t->deadline != 0)
        timer_set(x->wheel, &t->timeout, t->deadline);
    t->deadline = 0;
    /* Cancelled since it was lost: in Proceeding nothing else would ever end it. */
    if (t->is_cancelled && t->state == FSM_PROCEEDING && t->u.client.peer == 0)
        send_cancel(t);
    return true;
}

/* --- the machine ------------------------------------------------------------------------------ */

/* D of a stream is not zero while recovery is on: a response that is sent again over a new
 * connection is answered by its ACK again. */
static bool is_reliable(const struct txn *t, enum fsm_event ev)
{
    bool lingers = t->machine == FSM_INVITE_CLIENT && ev == FSM_RX_3456XX;
    return txn_is_stream(t) && !(lingers && txns_of(t)->conf.recover);
}

static void do_sends(struct txn *t, uint16_t actions, const struct sip_msg *res)
{
    int err = 0;

    if ((actions & FSM_SEND) != 0)
        err = send_request(t, 0);
    if ((actions & FSM_RESEND) != 0)
        /* A datagram that cannot be sent now is lost as any other may be. */
        (void)!send_request(t, FLOW_SEND_RESEND);
    if ((actions & FSM_SEND_ACK) != 0)
        send_ack(t, res);
    if ((actions & FSM_RESEND_ACK) != 0)
        resend_ack(t);
    if (err != 0)
        txn_fail_later(t, err);
}

static void tell(struct txn *t, uint16_t actions, const struct sip_msg *res,
                 const struct flow_origin *origin, int err)
{
    const struct txn_tu *tu = t->scope->tu;

    if (t->is_cancel || tu == NULL)
        return;
    if ((actions & FSM_PASS_UP) != 0)
        tu->on_response(t->u.client.ctx, t->id, res, origin);
    else if ((actions & FSM_TELL_TIMEOUT) != 0)
        tu->on_failed(t->u.client.ctx, t->id, ERR_TIMEOUT);
    else if ((actions & FSM_TELL_ERROR) != 0)
        tu->on_failed(t->u.client.ctx, t->id, err);
}

/* The INVITE is over: nothing depends on its CANCEL any more. */
static void end_client(struct txn *t)
{
    struct txn *c = t->is_cancel ? NULL : txn_find_client(txns_of(t), t->u.client.peer);

    if (c != NULL)
        txn_end(c);
    txn_end(t);
}

/* Timer B or F, and nothing was heard at all, not even 100. */
static bool is_unanswered(const struct txn *t, const struct fsm_step *step)
{
    return (step->actions & FSM_TELL_TIMEOUT) != 0 && t->state != FSM_PROCEEDING &&
           txn_is_stream(t);
}

void client_run(struct txn *t, enum fsm_event ev, const struct sip_msg *res,
                const struct flow_origin *origin, int err)
{
    struct txns *x = txns_of(t);
    struct fsm_step step =
        fsm_step((enum fsm_machine)t->machine, (enum fsm_state)t->state, ev, is_reliable(t, ev));
    uint64_t id = t->id;

    if ((step.actions & FSM_ILLEGAL) != 0)
        return;
    if ((step.actions & FSM_TELL_TIMEOUT) != 0 && !t->is_cancel)
        counter_inc(x->counters, CTR_TXN_TIMEOUT);
    if (is_unanswered(t, &step))
        flows_unanswered(x->flows, t->sent.dest.flow);
    txn_set_state(t, (enum fsm_state)step.next);
    txn_timer_actions(t, step.actions);
    if (!client_is_active(t))
        sent_unlink(&t->sent);
    do_sends(t, step.actions, res);
    if (ev == FSM_RX_1XX && t->is_cancelled && t->u.client.peer == 0)
        send_cancel(t);
    if (step.next == FSM_ACCEPTED || step.next == FSM_COMPLETED)
        scope_check(t->scope);
    tell(t, step.actions, res, origin, err);
    /* The user may have ended it in between. */
    t = pool_find(&x->pool, id);
    if (t != NULL && t->state == FSM_TERMINATED)
        end_client(t);
}

/* --- responses -------------------------------------------------------------------------------- */

static bool is_its_method(const struct txn *t, const struct sip_msg *res)
{
    struct slice sent = t->sent.bytes;
    struct slice method = sip_get(res, res->cseq_text);

    if (res->cseq_method != t->method)
        return false;
    /* Without the bytes all that can come is a retransmission, to be absorbed. */
    return t->method != SIP_UNKNOWN || sent.len == 0 ||
           (slice_starts(sent, method) && sent.len > method.len && sent.ptr[method.len] == ' ');
}

/* RFC 3261 17.1.3: the branch, all of it, and the method of CSeq. */
static struct txn *match(const struct txns *txns, const struct sip_msg *res)
{
    uint64_t id;
    uint32_t loop;
    struct txn *t;

    if (sip_branch_parse(res->via.branch, &id, &loop) < 0)
        return NULL;
    t = txn_find_client(txns, id);
    if (t == NULL || t->state == FSM_INIT || t->is_cancel || t->u.client.loop != loop)
        return NULL;
    if (res->cseq_method == SIP_CANCEL && t->method == SIP_INVITE)
        t = txn_find_client(txns, t->u.client.peer);
    return t != NULL && is_its_method(t, res) ? t : NULL;
}

/* The peer answers by another connection and ours is gone: ACK and CANCEL go by the living one. */
static void follow(struct txns *txns, struct txn *t, const struct flow_origin *origin)
{
    if (!txn_is_stream(t) || origin->flow == 0 || origin->flow == t->sent.dest.flow ||
        origin->transport != t->sent.dest.transport ||
        flows_is_alive(txns->flows, t->sent.dest.flow))
        return;
    t->sent.dest.flow = origin->flow;
    if (client_is_active(t))
        sent_link(txns, &t->sent);
}

bool txn_on_response(struct txns *txns, const struct sip_msg *res, const struct flow_origin *origin)
{
    struct txn *t;

    txns_reap(txns);
    t = match(txns, res);
    if (t == NULL) {
        counter_inc(txns->counters, CTR_RESPONSE_STRAY);
        return false;
    }
    /* A copy of the final response that comes by another connection says nothing of this one. */
    if (txn_is_stream(t) && (client_is_active(t) || origin->flow == t->sent.dest.flow))
        flows_answered(txns->flows, t->sent.dest.flow);
    follow(txns, t, origin);
    if (t->err != 0) {
        /* It is about to fail; only a final response comes in time. */
        if (res->status < 200)
            return true;
        t->err = 0;
        t->deadline = 0;
    }
    t->is_fresh = false;
    if (res->status < 200)
        client_run(t, FSM_RX_1XX, res, origin, 0);
    else
        client_run(t, res->status < 300 ? FSM_RX_2XX : FSM_RX_3456XX, res, origin, 0);
    return true;
}

/* --- what the user does ----------------------------------------------------------------------- */

int txn_client_new(struct txns *txns, struct txn_scope *scope, void *ctx, uint64_t *client)
{
    int err = 0;
    struct txn *t = txn_new(scope, FSM_CLIENT, &err);

    (void)txns;
    if (t == NULL)
        return err;
    t->u.client.ctx = ctx;
    *client = t->id;
    return 0;
}

void txn_client_drop(struct txns *txns, uint64_t client)
{
    struct txn *t = txn_find_client(txns, client);

    if (t != NULL && t->state == FSM_INIT)
        txn_end(t);
}

void txn_client_for(struct txns *txns, uint64_t client, const struct flow_whose *whose)
{
    struct txn *t = txn_find_client(txns, client);

    if (t != NULL)
        t->u.client.whose = *whose;
}

void txn_client_send(struct txns *txns, uint64_t client, enum sip_method method,
                     const struct flow_dest *dest, uint32_t loop, struct slice bytes)
{
    struct txn *t = txn_find_client(txns, client);

    if (t == NULL)
        return;
    assert(t->state == FSM_INIT && method != SIP_ACK);
    t->machine = method == SIP_INVITE ? FSM_INVITE_CLIENT : FSM_CLIENT;
    t->method = (uint8_t)method;
    t->sent.dest = *dest;
    t->sent.dest.since = t->scope->since;
    t->sent.bytes = bytes;
    t->u.client.loop = loop;
    client_run(t, FSM_START, NULL, NULL, 0);
}

void txn_client_cancel(struct txns *txns, uint64_t client, struct slice extra)
{
    struct txn *t = txn_find_client(txns, client);

    if (t == NULL || t->machine != FSM_INVITE_CLIENT || t->is_cancelled || !client_is_active(t))
        return;
    t->is_cancelled = true;
    t->u.client.extra = extra;
    if (t->state == FSM_PROCEEDING && t->err == 0)
        send_cancel(t);
}

void txn_client_leave(struct txns *txns, uint64_t client, struct slice extra)
{
    struct txn *t = txn_find_client(txns, client);

    if (t == NULL || !client_is_active(t))
        return;
    timer_stop(txns->wheel, &t->retransmit);
    sent_unlink(&t->sent);
    txn_client_cancel(txns, client, extra);
}

void txn_client_limit(struct txns *txns, uint64_t client, uint64_t ms)
{
    struct txn *t = txn_find_client(txns, client);
    uint64_t due = txns_now(txns) + ms;

    if (t == NULL || t->machine != FSM_CLIENT || !client_is_active(t))
        return;
    if (t->err != 0 && t->deadline > due)
        t->deadline = due;
    else if (t->err == 0 && timer_is_set(&t->timeout) && t->timeout.due > due)
        timer_set(txns->wheel, &t->timeout, due);
}

bool txn_client_is_pending(struct txns *txns, uint64_t client)
{
    const struct txn *t = txn_find_client(txns, client);
    return t != NULL && client_is_active(t);
}

const struct flow_dest *txn_client_dest(struct txns *txns, uint64_t client)
{
    struct txn *t = pool_find(&txns->pool, client);
    return t != NULL && txn_is_client(t) ? &t->sent.dest : NULL;
}

void *txn_client_ctx(struct txns *txns, uint64_t client, const struct txn_tu *tu)
{
    const struct txn *t = txn_find_client(txns, client);
    bool is_whole = t != NULL && t->scope->tu == tu && t->u.client.ctx != t->scope->small;
    return is_whole ? t->u.client.ctx : NULL;
}

void txn_client_forget(struct txns *txns, uint64_t client)
{
    struct txn *t = txn_find_client(txns, client);

    if (t != NULL)
        end_client(t);
}
