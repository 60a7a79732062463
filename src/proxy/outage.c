/* SPDX-License-Identifier: Apache-2.0 */
/* What is under way towards an application that goes out of service.
 *
 * Its sender has the answer that those get who come then: 503 with Retry-After. That is at once
 * where all members are silent; where one of them answers, though it is in reserve, it has the time
 * of a search to take over. What rings already, and what belongs to an established call of which
 * the other member knows, waits a little longer; the 503 does not end the dialog, as the members
 * may come back. What a member works on that lives, and only wants nothing new, is that member's to
 * answer. */
#include "proxy/proxy_int.h"

#define LOOK_MS  1000
#define LEAST_MS 3000 /* a member that is about to take over has at least that */
#define CALL_MS  8000 /* longer than a member in reserve takes; nothing waits longer */

/* UINT64_MAX: it is not given up. */
static uint64_t due_of(struct branch *b)
{
    const struct pctx *c = b->ctx;
    struct group_outage outage;
    group_outage_of(c->proxy->deps.groups, b->target->member, &outage);
    if (!outage.is_down) {
        b->down = 0;
        return UINT64_MAX;
    }
    if (b->down == 0)
        b->down = proxy_now(c->proxy);
    if (outage.says_no && b->was_heard && b->state == BRANCH_TRYING)
        return UINT64_MAX;
    bool in_dialog = sip_in_dialog(c->req);
    bool is_call = in_dialog ? group_has_deputy(c->proxy->deps.groups, b->target->member, true)
                             : c->is_invite && c->has_answered;
    uint32_t ms = outage.wait_ms;
    if (is_call || ms > CALL_MS)
        ms = CALL_MS;
    else if (ms != 0 && ms < LEAST_MS)
        ms = LEAST_MS;
    return b->down + ms;
}

static bool is_of(const struct route_target *t, uint32_t group)
{
    return t->member != 0 && group_of(t->member) == group;
}

static void give_up(struct branch *b)
{
    struct pctx *c = b->ctx;
    uint32_t group = group_of(b->target->member);
    for (unsigned i = 0; i < c->set.n; i++)
        c->set.targets[i].is_tried = c->set.targets[i].is_tried || is_of(&c->set.targets[i], group);
    /* What was said of one member is nothing beside that there is none. */
    if (c->best.err != 0 && c->best.branch != NULL && is_of(c->best.branch->target, group))
        c->best = (struct best){0};
    c->lost_err = 0;
    struct best best = {.status = 503, .err = ERR_BAD_STATUS, .branch = b};
    if (b->was_cancelled && c->is_invite)
        best = proxy_unheard(b);
    best_take(c, &best);
    (void)replay_end_legs(b);
    if (!branch_leave_for_other(b))
        branch_leave(b);
    proxy_advance(c);
}

bool outage_look(struct branch *b)
{
    struct proxy *p = b->ctx->proxy;
    uint64_t due = due_of(b);
    if (proxy_now(p) >= due) {
        give_up(b);
        return true;
    }
    if (due != UINT64_MAX && (!timer_is_set(&p->look) || due < p->look.due))
        timer_set(p->deps.wheel, &p->look, due);
    return false;
}

static void on_look(struct timer *t, uint64_t now)
{
    struct proxy *p = container_of(t, struct proxy, look);
    struct list todo;
    struct list *node;
    if (list_is_empty(&p->members))
        return;
    timer_set(p->deps.wheel, t, now + LOOK_MS);
    list_init(&todo);
    list_splice(&todo, &p->members);
    while ((node = list_pop(&todo)) != NULL) {
        list_push(&p->members, node);
        (void)outage_look(container_of(node, struct branch, in_members));
    }
}

void outage_init(struct proxy *p)
{
    timer_init(&p->look, on_look);
}

void outage_fini(struct proxy *p)
{
    timer_stop(p->deps.wheel, &p->look);
}

void outage_watch(struct proxy *p)
{
    if (!timer_is_set(&p->look))
        timer_set(p->deps.wheel, &p->look, proxy_now(p) + LOOK_MS);
}
