/* SPDX-License-Identifier: Apache-2.0 */
/* Calls that a member of a balanced group has refused by 5xx: each counts as one of its calls for a
 * while. Else, of all members, the one that fails at once has the fewest calls, and gets all.
 *
 * owns: what is to be taken back, at most REFUSED_MAX; above it a call counts no longer than it
 * lasts. thread: one worker. */
#include "base/alloc.h"
#include "proxy/proxy_int.h"

#define REFUSED_MS  5000
#define REFUSED_MAX 4096

struct refused {
    struct list node; /* in proxy.refused, the oldest first */
    uint64_t due;
    uint32_t member;
};

static struct refused *oldest(struct proxy *p)
{
    return container_of(p->refused.next, struct refused, node);
}

static void take_back(struct proxy *p)
{
    struct refused *r = oldest(p);
    group_call_end(p->deps.groups, r->member);
    list_remove(&r->node);
    p->nrefused--;
    mem_free(r);
}

static void on_expire(struct timer *t, uint64_t now)
{
    struct proxy *p = container_of(t, struct proxy, refused_timer);
    while (!list_is_empty(&p->refused) && oldest(p)->due <= now)
        take_back(p);
    if (!list_is_empty(&p->refused))
        timer_set(p->deps.wheel, t, oldest(p)->due);
}

void refused_init(struct proxy *p)
{
    list_init(&p->refused);
    timer_init(&p->refused_timer, on_expire);
}

void refused_fini(struct proxy *p)
{
    timer_stop(p->deps.wheel, &p->refused_timer);
    while (!list_is_empty(&p->refused))
        take_back(p);
}

void refused_add(const struct branch *b, unsigned status)
{
    const struct pctx *c = b->ctx;
    struct proxy *p = c->proxy;
    uint32_t member = b->target->member;
    if (member == 0 || p->deps.groups == NULL || !c->is_invite || sip_in_dialog(c->req) ||
        status < 500 || status > 599 || p->nrefused == REFUSED_MAX ||
        group_has_deputy(p->deps.groups, member, false))
        return;
    struct refused *r = mem_alloc(sizeof(*r));
    if (r == NULL)
        return;
    list_init(&r->node);
    r->due = proxy_now(p) + REFUSED_MS;
    r->member = member;
    list_push(&p->refused, &r->node);
    p->nrefused++;
    group_call_begin(p->deps.groups, member);
    if (!timer_is_set(&p->refused_timer))
        timer_set(p->deps.wheel, &p->refused_timer, r->due);
}
