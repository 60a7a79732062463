/* SPDX-License-Identifier: Apache-2.0 */
/* A further way when one is of no use: the next address (RFC 3263 4.3), another flow of the same
 * device (RFC 5626 4.2.1, 5.3), an alternative target.
 *
 * A way that fails, or answers 503, is done with. One that is merely silent for failover-time is
 * not: the request goes on to a further way in a branch beside it, and the first of them that
 * answers goes on alone. What has been passed over is then left to itself: an INVITE is cancelled
 * as soon as it shows a provisional response. Should a 2xx come from both, the caller has the first
 * one, and the other call is ended by us: what RFC 3261 16.7 step 5 lets pass is of a fork, and
 * here was one target. */
#include "proxy/proxy_int.h"

/* Another flow of the same device, not yet tried. */
static struct route_target *other_flow(const struct pctx *c, const struct route_target *t)
{
    for (unsigned i = 0; t->instance.len != 0 && i < c->set.n; i++) {
        struct route_target *o = &c->set.targets[i];
        if (!o->is_tried && slice_eq(o->instance, t->instance))
            return o;
    }
    return NULL;
}

static struct route_target *alternative(const struct pctx *c, const struct route_target *t)
{
    for (unsigned i = 0; t->alt != 0 && i < c->set.n; i++) {
        struct route_target *o = &c->set.targets[i];
        if (!o->is_tried && o->alt == t->alt)
            return o;
    }
    return NULL;
}

static void count(const struct branch *b)
{
    counter_inc(b->ctx->proxy->deps.counters, CTR_FAILOVER);
}

/* --- one after the other --- */

static bool try_next_address(struct branch *b)
{
    if (b->dest + 1 >= b->ndests)
        return false;
    count(b);
    (void)replay_end_legs(b);
    b->dest++;
    b->is_upgraded = b->is_fallback = false;
    branch_send(b);
    return true;
}

/* In place of `b`. */
static bool go_to(struct branch *b, struct route_target *t)
{
    struct pctx *c = b->ctx;
    unsigned breadth = b->breadth + b->reserve;
    uint16_t race = b->race;
    if (t == NULL)
        return false;
    struct branch *next = branch_new(c, t);
    if (next == NULL)
        return false;
    count(b);
    (void)replay_end_legs(b);
    branch_end(b);
    t->is_tried = true;
    next->breadth = breadth;
    next->race = race;
    branch_run(next);
    return true;
}

/* May this branch go by a further way? */
static bool may_go_on(const struct branch *b)
{
    const struct pctx *c = b->ctx;
    return !c->is_over && !b->was_cancelled && !b->is_passed && proxy_has_room(c);
}

bool branch_try_other(struct branch *b, int err)
{
    const struct pctx *c = b->ctx;
    bool is_timeout = err == ERR_TIMEOUT;
    /* Timer F: the sender of the request has given up too (RFC 4320). */
    if (!may_go_on(b) || (is_timeout && !c->is_invite))
        return false;
    if (b->is_upgraded && !b->is_fallback && !is_timeout) {
        b->is_fallback = true;
        branch_send(b);
        return true;
    }
    if (try_next_address(b))
        return true;
    struct route_target *flow = other_flow(c, b->target);
    if (flow == NULL && branch_try_renewed(b, err))
        return true;
    if (flow == NULL)
        flow = alternative(c, b->target);
    if (flow == NULL)
        return replay_park(b, err);
    branch_note_unreachable(b, err);
    return go_to(b, flow);
}

bool branch_try_after(struct branch *b, const struct sip_msg *res)
{
    const struct pctx *c = b->ctx;
    unsigned status = res->status;
    if (!may_go_on(b))
        return false;
    if (status == 503 && try_next_address(b))
        return true;
    if ((status == 430 || (status == 408 && c->is_invite)) && go_to(b, other_flow(c, b->target)))
        return true;
    if (status != 503 && status != 504 && status != 408)
        return false;
    return go_to(b, alternative(c, b->target)) || (status == 503 && replay_park_reserve(b, res));
}

bool branch_leave_for_other(struct branch *b)
{
    struct pctx *c = b->ctx;
    struct route_target *t = may_go_on(b) ? alternative(c, b->target) : NULL;
    struct branch *next = t != NULL ? branch_new(c, t) : NULL;
    if (next == NULL)
        return false;
    count(b);
    t->is_tried = true;
    next->breadth = b->breadth + b->reserve;
    branch_leave(b);
    branch_run(next);
    return true;
}

void branch_note_useless(struct branch *b, int err)
{
    const struct proxy *p = b->ctx->proxy;
    bool is_timeout = err == ERR_TIMEOUT;
    if ((!is_timeout && !proxy_is_transport(err)) || b->state != BRANCH_TRYING || b->was_cancelled)
        return;
    if (b->is_upgraded && !b->is_fallback && !is_timeout)
        return; /* it is there, but has no stream */
    if (!b->target->has_dest && !(is_timeout && b->was_heard))
        route_note_failed(p->deps.route, &b->dests[b->dest]);
    if (b->target->member == 0 || p->deps.groups == NULL || replay_is_raised(b))
        return;
    b->ctx->member_err = err;
    b->ctx->failed = b->target->member;
    b->ctx->was_sought = false;
    group_note_trouble(p->deps.groups, b->target->member, err);
}

/* Where branch_try_other would go inside a dialog. */
static bool has_other_way(const struct branch *b)
{
    struct groups *groups = b->ctx->proxy->deps.groups;
    return b->dest + 1 < b->ndests ||
           (groups != NULL && group_has_deputy(groups, b->target->member, true));
}

/* Which begins gets its answer at once, and the caller may try elsewhere. A call that stands has
 * one peer, and that may be back before the timers end (a restart, a route): only where there is
 * another way is that taken. A member is asked at once in any case. */
bool proxy_on_unreached(void *ctx, uint64_t client, int err)
{
    struct branch *b = ctx;
    (void)client;
    if (b->kind != CTX_BRANCH || b->state != BRANCH_TRYING || !sip_in_dialog(b->ctx->req))
        return true;
    if (has_other_way(b))
        return true;
    branch_note_useless(b, err);
    return false;
}

/* --- beside each other --- */

static bool has_further(const struct branch *b)
{
    return b->dest + 1 < b->ndests || alternative(b->ctx, b->target) != NULL;
}

/* Half of the breadth is for the further way (RFC 5393 5.3.3). */
void branch_arm_quiet(struct branch *b)
{
    const struct proxy *p = b->ctx->proxy;
    b->breadth += b->reserve;
    b->reserve = 0;
    if (p->conf->failover_ms == 0 || !has_further(b)) {
        timer_stop(p->deps.wheel, &b->quiet);
        return;
    }
    b->reserve = b->breadth / 2;
    b->breadth -= b->reserve;
    timer_set(p->deps.wheel, &b->quiet, proxy_now(p) + p->conf->failover_ms);
}

/* The branch of the further way, not yet begun. NULL: no memory. */
static struct branch *further_branch(struct branch *b)
{
    struct pctx *c = b->ctx;
    bool is_address = b->dest + 1 < b->ndests;
    struct route_target *t = is_address ? b->target : alternative(c, b->target);
    struct branch *next = branch_new(c, t);
    if (next == NULL)
        return NULL;
    t->is_tried = true;
    if (is_address) {
        next->dests = b->dests;
        next->ndests = b->ndests;
        next->dest = b->dest + 1;
    }
    return next;
}

void branch_go_beside(struct branch *b)
{
    struct pctx *c = b->ctx;
    if (b->state != BRANCH_TRYING || !may_go_on(b) || !has_further(b))
        return;
    branch_note_useless(b, ERR_TIMEOUT);
    struct branch *next = further_branch(b);
    if (next == NULL)
        return;
    count(b);
    bool is_ended = replay_end_legs(b);
    b->is_passed = true;
    b->is_suspect = true; /* its next word counts as its first */
    if (b->race == 0 && !is_ended)
        b->race = ++c->races;
    next->race = b->race;
    next->breadth = b->reserve;
    b->reserve = 0;
    if (is_ended || next->breadth == 0) { /* Max-Breadth allows one at a time */
        next->breadth += b->breadth;
        branch_leave(b);
    }
    if (next->ndests != 0)
        branch_send(next);
    else
        branch_run(next);
}

void proxy_on_quiet(struct timer *t, uint64_t now)
{
    struct branch *b = container_of(t, struct branch, quiet);
    (void)now;
    if (!b->was_heard)
        branch_go_beside(b);
}

/* Of those who race, one that says no more than that it is of no use is not waited for, and does
 * not win either; nor does one that has met the request of the other one (RFC 3261 8.2.2.2). */
static bool is_winner(unsigned status)
{
    return status != 503 && status != 504 && status != 408 && status != 482;
}

void branch_note_heard(struct branch *b, unsigned status)
{
    struct pctx *c = b->ctx;
    b->was_heard = true;
    if (b->ndests != 0 && !b->target->has_dest)
        route_note_alive(c->proxy->deps.route, &b->dests[b->dest]);
    timer_stop(c->proxy->deps.wheel, &b->quiet);
    if (b->race == 0 || b->state == BRANCH_DONE || !is_winner(status))
        return;
    LIST_EACH_SAFE(node, tmp, &c->branches)
    {
        struct branch *o = branch_of(node);
        if (o != b && o->race == b->race && o->state != BRANCH_DONE)
            branch_leave(o);
    }
    b->race = 0;
}
