/* SPDX-License-Identifier: Apache-2.0 */
/* Switchover in mid-transaction: what is under way towards a member of an application that has lost
 * its role is replayed to the one that has it.
 *
 * The copy is the request as it came, with a branch of its own: same Call-ID, CSeq and all else.
 * The first transaction is left to itself: it is not sent again, an INVITE is cancelled as soon as
 * it shows a provisional response, its failures count for nothing, and a 2xx that comes after all
 * is that of a fork. What cannot be brought to its member while nobody has taken over yet waits, as
 * long as its sender does. Requests that are no INVITE are replayed while Timer F of their sender
 * leaves room. */
#include "proxy/proxy_int.h"

/* The number of lines in 10 s about single requests; a switchover may concern thousands. */
#define REPLAYS_MAX 8    /* of one request */
#define RETRIES_MAX 2    /* at a member that is said to be well */
#define LOOK_MS     1000 /* between looks at what waits */

/* For least calls: the call is one of that member's. */
static void count_call(struct branch *b)
{
    struct pctx *c = b->ctx;
    struct proxy *p = c->proxy;
    uint32_t member = b->target->member;
    if (!c->is_invite || c->counted == member || sip_in_dialog(c->req))
        return;
    if (c->is_counted_here)
        group_call_end(p->deps.groups, c->counted);
    group_call_begin(p->deps.groups, member);
    c->counted = member;
    c->is_counted_here = c->call == 0 || !call_set_member(p->deps.calls, c->call, member);
}

void replay_watch(struct branch *b)
{
    struct proxy *p = b->ctx->proxy;
    if (p->deps.groups == NULL)
        return;
    list_remove(&b->in_members);
    list_push(&p->members, &b->in_members);
    outage_watch(p);
    count_call(b);
}

/* --- to another member --- */

static void log_replay(const struct branch *b, const struct route_target *to)
{
    const struct pctx *c = b->ctx;
    struct proxy *p = c->proxy;
    struct group_target from = {0};
    counter_inc(p->deps.counters, CTR_APP_REPLAYED);
    (void)!group_member_target(p->deps.groups, b->target->member, c->arena, &from);
    EVENT_LOG(EV_REQUEST_REPLAYED,
              LF_SLICE("application",
                       group_name_of(p->deps.groups, group_of(b->target->member), c->arena)),
              LF_SLICE("from", from.uri), LF_SLICE("to", to->hop),
              LF_SLICE("method", sip_get(c->req, c->req->method_text)),
              LF_SLICE("call_id", sip_get(c->req, c->req->call_id)),
              LF_INT("ms", proxy_now(p) - c->since));
}

/* The same target with that member in the place of its own. NULL: there is none, or no memory. */
static struct route_target *target_at(const struct branch *b, uint32_t member)
{
    struct pctx *c = b->ctx;
    struct group_target at;
    struct route_target *t = arena_alloc(c->arena, sizeof(*t));
    if (t == NULL || group_member_target(c->proxy->deps.groups, member, c->arena, &at) != 0)
        return NULL;
    *t = *b->target;
    t->member = member;
    t->hop = at.uri;
    t->profile = at.profile;
    t->has_dest = false;
    t->dest = (struct flow_dest){.no_reopen = b->target->dest.no_reopen};
    t->is_tried = true;
    t->is_unreachable = false;
    /* Whatever comes of it, it is not tried once more as an alternative. */
    for (unsigned i = 0; i < c->set.n; i++)
        c->set.targets[i].is_tried = c->set.targets[i].is_tried ||
                                     c->set.targets[i].member == member;
    return t;
}

static uint64_t leg_hash(const struct pctx *c)
{
    return hash_slice(&c->proxy->leg_key, sip_get(c->req, c->req->call_id));
}

void replay_add_leg(struct pctx *c)
{
    table_insert(&c->proxy->legs, &c->leg, leg_hash(c));
    c->is_leg = true;
}

void replay_drop_leg(struct pctx *c)
{
    if (c->is_leg)
        table_remove(&c->proxy->legs, &c->leg);
    c->is_leg = false;
}

/* What that member has sent for this request, and is under way. */
static struct pctx *next_leg(const struct pctx *c, uint32_t member)
{
    struct slice call_id = sip_get(c->req, c->req->call_id);
    for (struct table_node *node = table_first(&c->proxy->legs, leg_hash(c)); node != NULL;
         node = table_next(node)) {
        struct pctx *leg = container_of(node, struct pctx, leg);
        if (leg != c && leg->member == member && !leg->is_final && !leg->has_success &&
            !leg->is_over && leg->req->cseq == c->req->cseq &&
            slice_eq(sip_get(leg->req, leg->req->call_id), call_id))
            return leg;
    }
    return NULL;
}

/* The call goes on by another member: what the first one has sent us for it, if it keeps the
 * Call-ID, would ring beside it, and make the callee refuse the second request as merged with the
 * first (RFC 3261 8.2.2.2). The member's own CANCEL may never come. */
static bool cancel_legs(const struct pctx *c, uint32_t member)
{
    struct pctx *leg;
    bool is_any = false;
    while ((leg = next_leg(c, member)) != NULL) {
        is_any = true;
        leg->is_over = true;
        best_take(leg, &(struct best){.status = 487, .err = ERR_CLOSED});
        branches_cancel(leg, NULL, SLICE_NONE);
        proxy_advance(leg);
    }
    return is_any;
}

bool replay_end_legs(const struct branch *b)
{
    const struct pctx *c = b->ctx;
    return c->is_invite && b->target->member != 0 && cancel_legs(c, b->target->member);
}

static void on_again(struct timer *t, uint64_t now);

/* In a branch of its own; without memory for it a while later. */
static void send_to(struct branch *b, uint32_t to, bool is_replay)
{
    struct pctx *c = b->ctx;
    if (c->replays >= REPLAYS_MAX)
        return;
    struct route_target *t = target_at(b, to);
    struct branch *next = t != NULL ? branch_new(c, t) : NULL;
    if (next == NULL) {
        timer_stop(c->proxy->deps.wheel, &b->quiet);
        timer_init(&b->quiet, on_again);
        timer_set(c->proxy->deps.wheel, &b->quiet, proxy_now(c->proxy) + LOOK_MS);
        return;
    }
    if (is_replay)
        log_replay(b, t);
    c->replays++;
    next->breadth = b->breadth + b->reserve;
    if (is_replay)
        (void)replay_end_legs(b);
    branch_leave(b);
    branch_run(next);
}

/* Does that member serve the request, which is one of its partner's dialogs? */
static bool is_served_by(const struct branch *b, uint32_t member)
{
    const struct pctx *c = b->ctx;
    struct group_choice choice;
    return !sip_in_dialog(c->req) ||
           (group_choose_in_dialog(c->proxy->deps.groups, b->target->member, c->arena, &choice) ==
                0 &&
            choice.status == 0 && choice.n != 0 && choice.targets[0].member == member);
}

/* --- waiting for who takes over --- */

/* Nobody has taken over; and nobody will for a member that a reload took away. Where the pair is
 * well and this member is its active one, what has failed is tried there again, though not for
 * ever. How long it is waited while the pair is out of service is outage.c's. */
static void look_again(struct branch *b)
{
    struct pctx *c = b->ctx;
    struct groups *groups = c->proxy->deps.groups;
    enum group_state state = group_state_of(groups, group_of(b->target->member));
    uint64_t waited = proxy_now(c->proxy) - c->since;
    if (waited >= txns_timer_f(c->proxy->deps.txns) || !proxy_has_room(c) ||
        !group_has_member(groups, b->target->member) ||
        (state == GROUP_UP && c->retries == RETRIES_MAX)) {
        branch_failed(b, b->parked_err);
    } else if (state == GROUP_UP) {
        c->retries++;
        send_to(b, b->target->member, false);
    }
}

static void look_at(struct branch *b, bool is_due);

static void on_look(struct timer *t, uint64_t now)
{
    struct branch *b = container_of(t, struct branch, timer_c);
    timer_set(b->ctx->proxy->deps.wheel, t, now + LOOK_MS);
    if (!outage_look(b))
        look_at(b, true);
}

static bool park(struct branch *b, int err)
{
    struct pctx *c = b->ctx;
    struct proxy *p = c->proxy;
    if (b->target->member == 0 || p->deps.groups == NULL || b->state != BRANCH_TRYING ||
        !group_has_deputy(p->deps.groups, b->target->member, sip_in_dialog(c->req)))
        return false;
    timer_stop(p->deps.wheel, &b->quiet);
    timer_stop(p->deps.wheel, &b->timer_c);
    timer_init(&b->timer_c, on_look);
    bool is_down = group_state_of(p->deps.groups, group_of(b->target->member)) == GROUP_DOWN;
    timer_set(p->deps.wheel, &b->timer_c, proxy_now(p) + (is_down ? 0 : LOOK_MS));
    b->parked_err = err;
    b->state = BRANCH_PARKED;
    txn_scope_hold(c->scope);
    return true;
}

static uint32_t active_of(const struct branch *b)
{
    uint32_t other = group_successor(b->ctx->proxy->deps.groups, b->target->member);
    return other != 0 ? other : b->target->member;
}

bool replay_is_raised(const struct branch *b)
{
    struct sip_uri uri;
    return b->target->member != 0 && proxy_is_sips(b->target->uri) &&
           sip_uri_parse(b->target->hop, &uri) == 0 && uri.scheme != SIP_SCHEME_SIPS &&
           !slice_ieq(uri.transport_text, SLICE("tls"));
}

/* What goes by TLS for its sips: URI alone says little of a member that is checked by another way:
 * one look tells whether that one is well. */
bool replay_park(struct branch *b, int err)
{
    struct pctx *c = b->ctx;
    struct groups *groups = c->proxy->deps.groups;
    if (!proxy_is_transport(err))
        return false;
    bool is_raised = replay_is_raised(b) && groups != NULL &&
                     group_state_of(groups, group_of(b->target->member)) == GROUP_UP;
    if ((is_raised && c->doubted != 0) || !park(b, err))
        return false;
    if (is_raised) {
        c->doubted = active_of(b);
        group_note_trouble(groups, c->doubted, err);
    }
    return true;
}

/* One that is overloaded says when to come again; a member in reserve does not, nor one that has
 * just given up its role. While the pair is said to be well, one look tells whether it is: to wait
 * longer, or to ask again, would make an overload worse. */
bool replay_park_reserve(struct branch *b, const struct sip_msg *res)
{
    struct pctx *c = b->ctx;
    struct groups *groups = c->proxy->deps.groups;
    uint32_t member = b->target->member;
    if (member == 0 || groups == NULL)
        return false;
    bool is_well = c->member_err == 0 && group_state_of(groups, group_of(member)) == GROUP_UP;
    if (is_well && (c->doubted != 0 || sip_hdr_first(res, SIP_H_RETRY_AFTER) != NULL))
        return false;
    if (!park(b, ERR_BAD_STATUS))
        return false;
    if (is_well) {
        c->doubted = active_of(b);
        group_note_trouble(groups, c->doubted, ERR_BAD_STATUS);
    }
    return true;
}

/* --- the walk --- */

/* Is it a balanced group, of which nobody takes over, and that member is out? */
static bool is_out(struct groups *groups, uint32_t member)
{
    return group_state_of(groups, group_of(member)) == GROUP_UP &&
           group_member_state(groups, member) == GROUP_DOWN;
}

/* That one is silent, and rings for a call that it can bring no answer to any more. One that says
 * that it is out brings what it has to its end. */
static bool is_dead(const struct branch *b)
{
    const struct pctx *c = b->ctx;
    struct group_outage outage;
    group_outage_of(c->proxy->deps.groups, b->target->member, &outage);
    return c->is_invite && !sip_in_dialog(c->req) && !outage.says_no;
}

/* Was the active member doubted without reason, as far as is known? */
static bool is_still_active(const struct branch *b)
{
    const struct pctx *c = b->ctx;
    return b->state == BRANCH_PARKED && c->doubted != 0 && c->doubted == active_of(b) &&
           group_state_of(c->proxy->deps.groups, group_of(c->doubted)) == GROUP_UP;
}

/* Its caller or Timer C has cancelled it, and the member that should say so has lost its role, or
 * nobody is left. */
static void end_cancelled(struct branch *b, uint32_t to)
{
    struct pctx *c = b->ctx;
    if (!c->is_invite || b->state != BRANCH_TRYING ||
        (to == 0 &&
         group_state_of(c->proxy->deps.groups, group_of(b->target->member)) != GROUP_DOWN))
        return;
    struct best best = proxy_unheard(b);
    best_take(c, &best);
    (void)replay_end_legs(b);
    branch_leave(b);
    proxy_advance(c);
}

/* Has it come here because the active member has failed it? That this one is asked now is no reason
 * to go back; that it was looked for and found again is. */
static bool has_come_from(const struct branch *b, uint32_t to)
{
    const struct pctx *c = b->ctx;
    return to != 0 && to == c->failed && !c->was_sought && b->state == BRANCH_TRYING;
}

/* Has it waited here, at the one in reserve, which is the active one now? Said once. */
static bool has_taken_over(const struct branch *b, uint32_t to)
{
    struct pctx *c = b->ctx;
    uint32_t member = b->target->member;
    if (to != 0 || c->failed == 0 || c->failed == member || b->state != BRANCH_PARKED ||
        group_state_of(c->proxy->deps.groups, group_of(member)) != GROUP_UP)
        return false;
    c->failed = 0;
    return true;
}

static void look_at(struct branch *b, bool is_due)
{
    struct pctx *c = b->ctx;
    struct groups *groups = c->proxy->deps.groups;
    uint32_t member = b->target->member, to = group_successor(groups, member);
    bool may = !c->is_over && !b->was_cancelled && proxy_has_room(c);
    if (b->was_cancelled) {
        end_cancelled(b, to);
        return;
    }
    if (group_state_of(groups, group_of(member)) != GROUP_UP)
        c->was_sought = true;
    if (has_come_from(b, to))
        return;
    if (is_still_active(b)) {
        if (is_due)
            branch_failed(b, b->parked_err);
        return;
    }
    if (may && to != 0 && is_served_by(b, to))
        send_to(b, to, true);
    else if (b->state == BRANCH_PARKED && (is_due || c->doubted != 0 || has_taken_over(b, to)))
        look_again(b);
    else if (may && b->state == BRANCH_TRYING && is_out(groups, member) &&
             (!b->was_heard || is_dead(b)))
        branch_go_beside(b);
}

static void on_again(struct timer *t, uint64_t now)
{
    struct branch *b = container_of(t, struct branch, quiet);
    (void)now;
    if (b->state != BRANCH_DONE)
        look_at(b, false);
}

void proxy_on_groups(struct proxy *p)
{
    struct list todo;
    struct list *node;
    list_init(&todo);
    list_splice(&todo, &p->members);
    while ((node = list_pop(&todo)) != NULL) {
        list_push(&p->members, node);
        struct branch *b = container_of(node, struct branch, in_members);
        if (!outage_look(b))
            look_at(b, false);
    }
    held_on_groups(p);
}
