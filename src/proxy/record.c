/* SPDX-License-Identifier: Apache-2.0 */
/* What the records of calls (call/) are told of what passes.
 *
 * A request that has gone out and come back to ourselves (a spiral) passes twice: the first passage
 * faces the caller and keeps the record; the last one faces the callee and says how it is reached.
 * Requests inside a dialog come once, since all Routes of ours are taken from them together. */
#include "proxy/proxy_int.h"

/* The branch of ours that this request is. */
static const struct branch *outer_of(const struct pctx *c)
{
    uint64_t id;
    uint32_t loop;
    if (sip_branch_parse(c->req->via.branch, &id, &loop) != 0)
        return NULL;
    const struct branch *b = txn_client_ctx(c->proxy->deps.txns, id, &proxy_tu);
    return b != NULL && b->kind == CTX_BRANCH ? b : NULL;
}

static void sender_way(const struct flow_origin *origin, const struct sip_via *via,
                       struct flow_dest *out)
{
    flow_response_dest(origin, via, out);
    out->local = origin->local;
}

/* --- the INVITE --- */

void record_begin(struct pctx *c)
{
    struct proxy *p = c->proxy;
    struct flow_dest way;
    if (p->deps.calls == NULL || !c->is_invite || c->is_recorded)
        return;
    c->is_recorded = true;
    const struct branch *outer = outer_of(c);
    if (outer != NULL) {
        c->is_inner = true;
        c->call = outer->ctx->call;
        return;
    }
    sender_way(c->origin, &c->req->via, &way);
    c->call = call_begin(p->deps.calls, c->req, &way, proxy_now(p));
    call_set_invite(p->deps.calls, c->call, c->server);
}

static void answered(struct proxy *p, uint64_t call, uint64_t client, const struct sip_msg *res,
                     struct slice dn)
{
    const struct flow_dest *way = txn_client_dest(p->deps.txns, client);
    if (way != NULL && !flows_is_us(p->deps.flows, &way->remote))
        call_on_answer(p->deps.calls, call, res, way, dn, proxy_now(p));
}

void record_answer(struct branch *b, const struct sip_msg *res)
{
    const struct pctx *c = b->ctx;
    if (c->call != 0 && c->is_invite && !sip_in_dialog(c->req))
        answered(c->proxy, c->call, b->client, res, b->target->dn);
}

bool record_has_ended(const struct proxy *p, uint64_t call, const struct sip_msg *res)
{
    return call != 0 && call_has_ended(p->deps.calls, call, res);
}

void record_late(const struct linger *l, uint64_t client, const struct sip_msg *res)
{
    if (l->call != 0)
        answered(l->proxy, l->call, client, res, SLICE_NONE);
}

/* A call whose INVITE is still under way to a member that was given up. */
static bool has_left(const struct pctx *c)
{
    LIST_EACH(node, &c->branches)
    if (branch_of(node)->is_left &&
        txn_client_is_pending(c->proxy->deps.txns, branch_of(node)->client))
        return true;
    return false;
}

/* A call that the administrator has ended while it rang is needed until its last branch is over;
 * and one that has failed, as long as somebody who was given up may still answer it. */
void record_final(struct pctx *c, unsigned status)
{
    struct proxy *p = c->proxy;
    if (status >= 300 && c->call != 0 && c->is_invite && !sip_in_dialog(c->req) && has_left(c))
        c->is_released = true;
    if (c->call != 0 && c->is_invite && !sip_in_dialog(c->req) && !c->is_inner && !c->is_released)
        call_on_final(p->deps.calls, c->call, status, proxy_now(p));
}

void record_end(struct pctx *c)
{
    list_remove(&c->byes);
    if (c->is_released && !c->is_inner)
        call_remove(c->proxy->deps.calls, c->call);
}

/* --- inside the dialog --- */

/* Call-ID and tags may be known to others too (a REFER with Replaces, a log): who is a side of the
 * dialog has our Route, is where that side was, or may relay anyhow. */
uint64_t record_in_dialog(struct proxy *p, const struct sip_msg *req,
                          const struct flow_origin *origin, const struct proxy_way *route,
                          enum call_side *side)
{
    struct flow_dest way;
    struct call_dialog d;
    uint64_t call = p->deps.calls != NULL ? call_find(p->deps.calls, req, side) : 0;
    if (call == 0 ||
        (!route->is_ours_dialog && !route_may_relay(p->deps.route, &origin->remote) &&
         (!record_dialog(p, call, req, &d) || !addr_eq_ip(&d.ways[*side].remote, &origin->remote))))
        return 0;
    sender_way(origin, &req->via, &way);
    call_on_request(p->deps.calls, call, req, &way, proxy_now(p));
    return call;
}

void record_request(struct pctx *c)
{
    struct proxy *p = c->proxy;
    if (!sip_in_dialog(c->req) || outer_of(c) != NULL)
        return;
    c->call = record_in_dialog(p, c->req, c->origin, &c->way, &c->side);
    if (c->call != 0 && c->req->method == SIP_BYE)
        list_push(&p->byes, &c->byes);
}

void record_response(struct pctx *c, const struct sip_msg *res)
{
    struct proxy *p = c->proxy;
    if (c->call != 0 && sip_in_dialog(c->req))
        call_on_response(p->deps.calls, c->call, c->req, res, proxy_now(p));
}

/* Whoever sends a BYE is through with the dialog, whatever becomes of it (RFC 3261 15.1.1). */
void record_unanswered(struct pctx *c)
{
    if (c->call != 0 && c->req->method == SIP_BYE)
        call_end_dialog(c->proxy->deps.calls, c->req);
}

static bool is_of(const struct call_dialog *d, const struct sip_msg *msg)
{
    struct slice from = sip_get(msg, msg->from_tag), to = sip_get(msg, msg->to_tag);
    return (slice_eq(d->caller_tag, from) && slice_eq(d->callee_tag, to)) ||
           (slice_eq(d->caller_tag, to) && slice_eq(d->callee_tag, from));
}

bool record_is_ending(const struct proxy *p, uint64_t call, const struct call_dialog *d)
{
    LIST_EACH(node, &p->byes)
    {
        const struct pctx *c = container_of(node, const struct pctx, byes);
        if (c->call == call && is_of(d, c->req))
            return true;
    }
    return false;
}

bool record_dialog(struct proxy *p, uint64_t call, const struct sip_msg *msg,
                   struct call_dialog *out)
{
    unsigned it = 0;
    while (call != 0 && call_next_dialog(p->deps.calls, call, &it, out))
        if (is_of(out, msg))
            return true;
    return false;
}
