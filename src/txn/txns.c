/* SPDX-License-Identifier: Apache-2.0 */
#include "txn/txn_int.h"

#include <assert.h>
#include <stdio.h>

#include "base/alloc.h"

#define BLOCKS_CACHED 8192u /* 32 MiB of free arena blocks at most */

const struct txn_conf txn_conf_default = {
    .t1 = 500,
    .t2 = 4000,
    .t4 = 5000,
    .timer_b = 32000,
    .timer_d = 32000,
    .timer_f = 32000,
    .timer_h = 32000,
    .timer_i = 5000,
    .timer_j = 32000,
    .timer_k = 5000,
    .timer_l = 32000,
    .timer_m = 32000,
    .keep_ms = TXN_KEEP_MS,
    .max = 1000000,
    .recover = false,
};

int txns_new(const struct txn_conf *conf, struct wheel *wheel, struct flows *flows, unsigned worker,
             const struct hash_key *key, struct counters *counters, struct txns **out)
{
    struct txns *x = mem_alloc(sizeof(*x));
    uint64_t generations[2];

    if (x == NULL)
        return ERR_NOMEM;
    memset(x, 0, offsetof(struct txns, scratch));
    x->conf = *conf;
    x->wheel = wheel;
    x->flows = flows;
    x->counters = counters;
    x->key = *key;
    txn_mark_write(key, x->mark);
    if (table_init_sparse(&x->servers, 1024) < 0) {
        mem_free(x);
        return ERR_NOMEM;
    }
    random_bytes(generations, sizeof(generations));
    pool_init(&x->pool, sizeof(struct txn), worker, 0, (uint32_t)generations[0]);
    pool_init(&x->scopes, sizeof(struct txn_scope), worker, 0, (uint32_t)generations[1]);
    arena_cache_init(&x->blocks, BLOCKS_CACHED);
    cells_init(&x->cells);
    list_init(&x->check);
    list_init(&x->kept);
    for (unsigned i = 0; i < TXN_FLOW_BUCKETS; i++)
        list_init(&x->flows_sent[i]);
    timer_init(&x->reap, txns_on_reap);
    timer_init(&x->expire, kept_on_expire);
    *out = x;
    return 0;
}

static void end_scope_of(void *object, uint64_t id, void *user)
{
    (void)id;
    (void)user;
    scope_end(object);
}

void txns_free(struct txns **txns)
{
    struct txns *x = *txns;

    if (x == NULL)
        return;
    pool_each(&x->scopes, end_scope_of, NULL);
    while (!list_is_empty(&x->kept))
        kept_free(x, container_of(x->kept.next, struct txn_kept, fifo));
    timer_stop(x->wheel, &x->reap);
    timer_stop(x->wheel, &x->expire);
    pool_fini(&x->pool);
    pool_fini(&x->scopes);
    table_fini(&x->servers);
    arena_cache_fini(&x->blocks);
    cells_fini(&x->cells);
    mem_free(x);
    *txns = NULL;
}

void txns_set_conf(struct txns *txns, const struct txn_conf *conf)
{
    txns->conf = *conf;
}

void txns_set_flows(struct txns *txns, struct flows *flows)
{
    txns->flows = flows;
}

unsigned txns_count(const struct txns *txns)
{
    return txns->pool.live;
}

unsigned txns_pending(const struct txns *txns)
{
    return txns->pending;
}

uint32_t txns_timer_f(const struct txns *txns)
{
    return txns->conf.timer_f;
}

void txns_usage(const struct txns *txns, struct txn_usage *out)
{
    *out = (struct txn_usage){
        .transactions = txns->pool.live,
        .scopes = txns->scopes.live,
        .blocks = txns->blocks.in_use,
        .cells = txns->cells.in_use,
    };
    LIST_EACH(node, &txns->kept)
    out->kept++;
}

/* --- transactions ----------------------------------------------------------------------------- */

struct txn *txn_new(struct txn_scope *scope, enum fsm_machine machine, int *err)
{
    struct txns *x = scope->txns;
    uint64_t id;
    struct txn *t;

    /* New requests are refused at `max`; those under way may still fork and be cancelled. */
    if (x->pool.live >= (uint64_t)x->conf.max * 4) {
        *err = ERR_FULL;
        return NULL;
    }
    t = pool_new(&x->pool, &id);
    if (t == NULL) {
        *err = ERR_NOMEM;
        return NULL;
    }
    t->id = id;
    t->scope = scope;
    t->machine = (uint8_t)machine;
    t->state = FSM_INIT;
    list_init(&t->sent.by_flow);
    list_push(&scope->members, &t->in_scope);
    txn_timers_init(t);
    counter_inc(x->counters, txn_is_client(t) ? CTR_TXN_CLIENT : CTR_TXN_SERVER);
    return t;
}

static bool is_pending(enum fsm_state s)
{
    return s == FSM_CALLING || s == FSM_TRYING || s == FSM_PROCEEDING;
}

void txn_set_state(struct txn *t, enum fsm_state state)
{
    struct txns *x = txns_of(t);

    if (!t->scope->is_aside && is_pending(state) != is_pending((enum fsm_state)t->state))
        x->pending += is_pending(state) ? 1u : -1u;
    t->state = (uint8_t)state;
}

void txn_end(struct txn *t)
{
    struct txns *x = txns_of(t);

    txn_set_state(t, FSM_TERMINATED);
    timer_stop(x->wheel, &t->retransmit);
    timer_stop(x->wheel, &t->timeout);
    sent_unlink(&t->sent);
    txn_drop_bytes(t);
    if (!txn_is_client(t))
        table_remove(&x->servers, &t->u.server.node);
    list_remove(&t->in_scope);
    counter_dec(x->counters, txn_is_client(t) ? CTR_TXN_CLIENT : CTR_TXN_SERVER);
    scope_check(t->scope);
    pool_free(&x->pool, t->id);
}

/* Terminated ones are still in the pool while the user is told. */
struct txn *txn_find_client(const struct txns *txns, uint64_t id)
{
    struct txn *t = pool_find(&txns->pool, id);
    return t != NULL && txn_is_client(t) && t->state != FSM_TERMINATED ? t : NULL;
}

struct txn *txn_find_server(const struct txns *txns, uint64_t id)
{
    struct txn *t = pool_find(&txns->pool, id);
    return t != NULL && !txn_is_client(t) && t->state != FSM_TERMINATED ? t : NULL;
}

struct txn_scope *txn_scope_of(struct txns *txns, uint64_t id)
{
    struct txn *t = pool_find(&txns->pool, id);
    return t != NULL ? t->scope : NULL;
}
