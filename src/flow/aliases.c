/* SPDX-License-Identifier: Apache-2.0 */
#include "flow/aliases.h"

#include <pthread.h>
#include <stdatomic.h>

#include "base/alloc.h"
#include "base/hash.h"
#include "base/list.h"
#include "base/random.h"
#include "base/table.h"

struct flow_aliases {
    _Atomic uint32_t n;
    pthread_mutex_t lock;
    struct hash_key key;
    struct table table; /* struct alias */
};

struct alias {
    struct table_node node;
    struct flow_alias what;
    uint64_t flow;
};

int flow_aliases_new(struct flow_aliases **out)
{
    struct flow_aliases *a = mem_zalloc(sizeof(*a));
    if (a == NULL)
        return ERR_NOMEM;
    if (table_init(&a->table, 16) != 0) {
        mem_free(a);
        return ERR_NOMEM;
    }
    pthread_mutex_init(&a->lock, NULL);
    random_bytes(&a->key, sizeof(a->key));
    *out = a;
    return 0;
}

static void free_one(struct table_node *node, void *user)
{
    struct flow_aliases *a = user;
    table_remove(&a->table, node);
    mem_free(container_of(node, struct alias, node));
}

void flow_aliases_free(struct flow_aliases **aliases)
{
    struct flow_aliases *a = *aliases;
    if (a == NULL)
        return;
    table_each(&a->table, free_one, a);
    table_fini(&a->table);
    pthread_mutex_destroy(&a->lock);
    mem_free(a);
    *aliases = NULL;
}

static uint64_t hash_of(const struct flow_aliases *a, const struct flow_alias *what)
{
    return hash_bytes(&a->key, &what->addr, sizeof(what->addr)) ^
           hash_mix((uint64_t)what->tls_peer << 8 | what->transport);
}

static struct alias *find(const struct flow_aliases *a, const struct flow_alias *what,
                          uint64_t hash)
{
    for (struct table_node *n = table_first(&a->table, hash); n != NULL; n = table_next(n)) {
        struct alias *x = container_of(n, struct alias, node);
        if (addr_eq(&x->what.addr, &what->addr) && x->what.transport == what->transport &&
            x->what.tls_peer == what->tls_peer)
            return x;
    }
    return NULL;
}

static void put_locked(struct flow_aliases *a, const struct flow_alias *what, uint64_t flow)
{
    uint64_t hash = hash_of(a, what);
    if (atomic_load(&a->n) >= FLOW_ALIASES_MAX || find(a, what, hash) != NULL)
        return;
    struct alias *x = mem_zalloc(sizeof(*x));
    if (x == NULL)
        return;
    x->what = *what;
    x->flow = flow;
    table_insert(&a->table, &x->node, hash);
    atomic_fetch_add(&a->n, 1);
}

void flow_aliases_put(struct flow_aliases *a, const struct flow_alias *what, uint64_t flow)
{
    pthread_mutex_lock(&a->lock);
    put_locked(a, what, flow);
    pthread_mutex_unlock(&a->lock);
}

void flow_aliases_drop(struct flow_aliases *a, const struct flow_alias *what, uint64_t flow)
{
    pthread_mutex_lock(&a->lock);
    struct alias *x = find(a, what, hash_of(a, what));
    if (x != NULL && x->flow == flow) {
        free_one(&x->node, a);
        atomic_fetch_sub(&a->n, 1);
    }
    pthread_mutex_unlock(&a->lock);
}

uint64_t flow_aliases_find(struct flow_aliases *a, const struct flow_alias *what)
{
    if (atomic_load_explicit(&a->n, memory_order_relaxed) == 0)
        return 0;
    pthread_mutex_lock(&a->lock);
    const struct alias *x = find(a, what, hash_of(a, what));
    uint64_t flow = x != NULL ? x->flow : 0;
    pthread_mutex_unlock(&a->lock);
    return flow;
}
