/* SPDX-License-Identifier: Apache-2.0 */
/* ACKs of 2xx that went to a member of a pair, kept for the time in which it may be found dead:
 * whoever takes over its dialogs gets them too. Nothing answers an ACK, and a second copy changes
 * nothing (RFC 3261 13.2.2.4), but without one the callee ends the call (13.3.1.4). The same with
 * our own BYEs, of which a second copy meets no dialog.
 *
 * owns: copies of what was sent, at most HELD_MAX bytes; above it the oldest go first. thread: one
 * worker. */
#include "base/alloc.h"
#include "proxy/proxy_int.h"

#define HELD_MS  12000 /* two intervals of checks, by default, and a search */
#define HELD_MAX (16u << 20)

struct held {
    struct list node; /* in proxy.held, the oldest first */
    uint64_t due;
    uint32_t member;
    uint32_t len;
    char bytes[];
};

static void held_drop(struct proxy *p, struct held *h)
{
    list_remove(&h->node);
    p->held_bytes -= sizeof(*h) + h->len;
    mem_free(h);
}

static struct held *oldest(struct proxy *p)
{
    return container_of(p->held.next, struct held, node);
}

static void on_expire(struct timer *t, uint64_t now)
{
    struct proxy *p = container_of(t, struct proxy, held_timer);
    while (!list_is_empty(&p->held) && oldest(p)->due <= now)
        held_drop(p, oldest(p));
    if (!list_is_empty(&p->held))
        timer_set(p->deps.wheel, t, oldest(p)->due);
}

void held_init(struct proxy *p)
{
    list_init(&p->held);
    timer_init(&p->held_timer, on_expire);
}

void held_fini(struct proxy *p)
{
    timer_stop(p->deps.wheel, &p->held_timer);
    while (!list_is_empty(&p->held))
        held_drop(p, oldest(p));
}

static void hold(struct proxy *p, uint32_t member, struct slice request, uint64_t due)
{
    size_t size = sizeof(struct held) + request.len;
    while (!list_is_empty(&p->held) && p->held_bytes + size > HELD_MAX)
        held_drop(p, oldest(p));
    struct held *h = mem_alloc(size);
    if (h == NULL)
        return;
    h->due = due;
    h->member = member;
    h->len = (uint32_t)request.len;
    memcpy(h->bytes, request.ptr, request.len);
    list_init(&h->node);
    list_push(&p->held, &h->node);
    p->held_bytes += size;
    if (!timer_is_set(&p->held_timer))
        timer_set(p->deps.wheel, &p->held_timer, h->due);
}

void held_add(struct proxy *p, uint32_t member, struct slice request)
{
    hold(p, member, request, proxy_now(p) + HELD_MS);
}

/* --- to who has taken over -------------------------------------------------------------------- */

struct passage {
    struct proxy *proxy;
    struct txn_scope *scope;
    struct route_query query;
    uint32_t member;
    struct slice bytes;
    uint64_t due; /* of the first copy: a pair that goes to and fro does not keep it for ever */
};

static void on_end(void *ctx)
{
    struct passage *a = ctx;
    if (a->query.route != NULL)
        route_resolve_cancel(&a->query);
}

static const struct txn_tu passage_tu = {.on_end = on_end};

static void on_resolved(void *user, int err, const struct flow_dest *dests, unsigned n)
{
    struct passage *a = user;
    struct proxy *p = a->proxy;
    if (err == 0 && n != 0) {
        struct flow_dest dest = dests[0];
        (void)!txn_send_stateless(p->deps.txns, &dest, a->bytes, NULL, NULL, 0);
        if (a->due > proxy_now(p))
            hold(p, a->member, a->bytes, a->due);
    }
    txn_scope_unhold(a->scope);
}

static void pass_on(struct proxy *p, uint32_t member, const struct held *h)
{
    struct group_target at;
    struct sip_uri uri;
    struct txn_scope *scope;
    void *ctx;
    if (txn_scope_new(p->deps.txns, &passage_tu, sizeof(struct passage), &ctx, &scope) != 0)
        return;
    struct passage *a = ctx;
    struct arena *arena = txn_scope_arena(scope);
    *a = (struct passage){.proxy = p,
                          .scope = scope,
                          .member = member,
                          .bytes = arena_dup(arena, slice_of(h->bytes, h->len)),
                          .due = h->due};
    if (a->bytes.len == 0 || group_member_target(p->deps.groups, member, arena, &at) != 0 ||
        sip_uri_parse(at.uri, &uri) < 0)
        return;
    struct route_hop hop = {.profile = at.profile};
    txn_scope_hold(scope);
    route_resolve_hop(p->deps.route, &uri, &hop, &a->query, on_resolved, a);
}

void held_on_groups(struct proxy *p)
{
    struct list todo;
    struct list *node;
    list_init(&todo);
    list_splice(&todo, &p->held);
    while ((node = list_pop(&todo)) != NULL) {
        struct held *h = container_of(node, struct held, node);
        uint32_t to = group_successor(p->deps.groups, h->member);
        if (to == 0) {
            list_push(&p->held, node);
            continue;
        }
        pass_on(p, to, h);
        held_drop(p, h);
    }
}
