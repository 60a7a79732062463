/* SPDX-License-Identifier: Apache-2.0 */
/* Scopes: made, held, and given back. A scope of which only retransmissions can come *settles*:
 * what its transactions still need moves into cells and the arena is given back, since at thousands
 * of calls a second the 32 s of Timers J, L and M would else hold most of the memory. */
#include "txn/txn_int.h"

#include <assert.h>

struct txn_scope *scope_new(struct txns *txns, const struct txn_tu *tu, size_t ctx_size)
{
    uint64_t id;
    struct txn_scope *scope = pool_new(&txns->scopes, &id);

    if (scope == NULL)
        return NULL;
    scope->txns = txns;
    scope->id = id;
    scope->tu = tu;
    scope->is_aside = tu->is_aside;
    scope->since = txns_now(txns);
    list_init(&scope->members);
    list_init(&scope->check);
    arena_init(&scope->arena, &txns->blocks);
    if (ctx_size != 0)
        scope->ctx = arena_zalloc(&scope->arena, ctx_size);
    if (scope->arena.overflow) {
        pool_free(&txns->scopes, id);
        return NULL;
    }
    return scope;
}

int txn_scope_new(struct txns *txns, const struct txn_tu *tu, size_t ctx_size, void **ctx,
                  struct txn_scope **scope)
{
    struct txn_scope *s = scope_new(txns, tu, ctx_size);

    if (s == NULL)
        return ERR_NOMEM;
    scope_check(s);
    *ctx = s->ctx;
    *scope = s;
    return 0;
}

struct arena *txn_scope_arena(struct txn_scope *scope)
{
    return &scope->arena;
}

void txn_scope_hold(struct txn_scope *scope)
{
    scope->holds++;
}

void txn_scope_unhold(struct txn_scope *scope)
{
    assert(scope->holds > 0);
    scope->holds--;
    scope_check(scope);
}

void scope_check(struct txn_scope *scope)
{
    struct txns *x = scope->txns;

    if (list_is_linked(&scope->check))
        return;
    list_push(&x->check, &scope->check);
    if (!timer_is_set(&x->reap))
        timer_set(x->wheel, &x->reap, txns_now(x) + TXN_REAP_MS);
}

static void tell_end(struct txn_scope *scope)
{
    const struct txn_tu *tu = scope->tu;

    scope->tu = NULL;
    if (tu != NULL && tu->on_end != NULL)
        tu->on_end(scope->ctx);
    scope->ctx = NULL;
}

void scope_end(struct txn_scope *scope)
{
    struct txns *x = scope->txns;

    while (!list_is_empty(&scope->members))
        txn_end(container_of(scope->members.next, struct txn, in_scope));
    tell_end(scope);
    list_remove(&scope->check);
    arena_fini(&scope->arena);
    pool_free(&x->scopes, scope->id);
}

/* --- settling --------------------------------------------------------------------------------- */

/* Has it nothing to do but absorb, and repeat what is already written? */
static bool is_lingering(const struct txn *t)
{
    switch ((enum fsm_state)t->state) {
    case FSM_ACCEPTED:
    case FSM_CONFIRMED: return true;
    case FSM_COMPLETED:
        /* An INVITE server waits for its ACK, and tells the user when none comes. */
        return t->machine != FSM_INVITE_SERVER;
    case FSM_INIT:
    case FSM_CALLING:
    case FSM_TRYING:
    case FSM_PROCEEDING:
    case FSM_TERMINATED:
    case FSM_STATES: break;
    }
    return false;
}

static bool is_scope_lingering(const struct txn_scope *scope, bool *hears)
{
    *hears = false;
    LIST_EACH(node, &scope->members)
    {
        const struct txn *t = container_of(node, const struct txn, in_scope);
        if (!is_lingering(t))
            return false;
        if (t->machine == FSM_INVITE_CLIENT && t->state == FSM_ACCEPTED)
            *hears = true;
    }
    return true;
}

/* Are its bytes sent again, whatever may come? */
static bool needs_bytes(const struct txn *t)
{
    switch ((enum fsm_machine)t->machine) {
    case FSM_INVITE_CLIENT: return t->state == FSM_COMPLETED; /* the ACK */
    case FSM_CLIENT: return false;
    case FSM_SERVER: return true;
    case FSM_INVITE_SERVER:
        /* In Accepted only recovery repeats, for as long as it is linked. */
        return list_is_linked(&t->sent.by_flow);
    case FSM_MACHINES: break;
    }
    return false;
}

/* False when there is no memory. */
static bool move_bytes(struct txns *x, struct txn *t)
{
    struct slice bytes = t->sent.bytes;
    char *copy;

    if (t->in_cell || bytes.len == 0)
        return true;
    if (!needs_bytes(t)) {
        t->sent.bytes = SLICE_NONE;
        return true;
    }
    copy = cell_new(&x->cells, bytes.len);
    if (copy == NULL)
        return false;
    memcpy(copy, bytes.ptr, bytes.len);
    t->sent.bytes = slice_of(copy, bytes.len);
    t->in_cell = true;
    return true;
}

void txn_drop_bytes(struct txn *t)
{
    if (t->in_cell)
        cell_free(&txns_of(t)->cells, (void *)(uintptr_t)t->sent.bytes.ptr, t->sent.bytes.len);
    t->in_cell = false;
    t->sent.bytes = SLICE_NONE;
}

/* Nothing of the arena may be used behind this. */
static void forget_arena(struct txn_scope *scope)
{
    LIST_EACH(node, &scope->members)
    {
        struct txn *t = container_of(node, struct txn, in_scope);
        if (txn_is_client(t)) {
            t->u.client.ctx = scope->ctx;
            t->u.client.extra = SLICE_NONE;
            t->u.client.whose = (struct flow_whose){.dn = SLICE_NONE};
        } else {
            t->u.server.req = NULL;
            t->u.server.origin = NULL;
        }
    }
    arena_fini(&scope->arena);
}

static void settle(struct txn_scope *scope, bool hears)
{
    struct txns *x = scope->txns;

    LIST_EACH(node, &scope->members)
    {
        /* Without memory for a cell the arena simply stays. */
        if (!move_bytes(x, container_of(node, struct txn, in_scope)))
            return;
    }
    if (!hears) {
        tell_end(scope);
    } else if (scope->ctx != scope->small) {
        scope->tu->on_linger(scope->ctx, scope->small);
        scope->ctx = scope->small;
    }
    forget_arena(scope);
}

static void look_at(struct txn_scope *scope)
{
    bool hears;

    if (scope->holds != 0)
        return;
    if (list_is_empty(&scope->members))
        scope_end(scope);
    else if (scope->arena.blocks != NULL && is_scope_lingering(scope, &hears) &&
             (!hears || scope->tu == NULL || scope->tu->on_linger != NULL))
        settle(scope, hears);
}

void txns_reap(struct txns *txns)
{
    struct list *node;

    while ((node = list_pop(&txns->check)) != NULL)
        look_at(container_of(node, struct txn_scope, check));
    timer_stop(txns->wheel, &txns->reap);
}

void txns_on_reap(struct timer *timer, uint64_t now)
{
    (void)now;
    txns_reap(container_of(timer, struct txns, reap));
}
