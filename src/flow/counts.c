/* SPDX-License-Identifier: Apache-2.0 */
/* Connections in all, and those of each address, of all workers together. The latter are touched
 * once for each connection accepted and ended, and only while there is a limit, so one lock is
 * enough. */
#include "flow/counts.h"

#include <pthread.h>
#include <stdatomic.h>

#include "base/alloc.h"
#include "base/hash.h"
#include "base/list.h"
#include "base/random.h"
#include "base/table.h"

struct flow_counts {
    _Atomic uint32_t all;
    pthread_mutex_t lock;
    struct hash_key key;
    struct table table; /* struct count */
};

struct count {
    struct table_node node;
    struct addr addr; /* port 0 */
    uint32_t n;
};

int flow_counts_new(struct flow_counts **out)
{
    struct flow_counts *c = mem_zalloc(sizeof(*c));
    if (c == NULL)
        return ERR_NOMEM;
    if (table_init(&c->table, 16) != 0) {
        mem_free(c);
        return ERR_NOMEM;
    }
    pthread_mutex_init(&c->lock, NULL);
    random_bytes(&c->key, sizeof(c->key));
    *out = c;
    return 0;
}

static void free_one(struct table_node *n, void *user)
{
    struct flow_counts *c = user;
    table_remove(&c->table, n);
    mem_free(container_of(n, struct count, node));
}

void flow_counts_free(struct flow_counts **counts)
{
    struct flow_counts *c = *counts;
    if (c == NULL)
        return;
    table_each(&c->table, free_one, c);
    table_fini(&c->table);
    pthread_mutex_destroy(&c->lock);
    mem_free(c);
    *counts = NULL;
}

static struct count *find(struct flow_counts *c, const struct addr *ip, uint64_t hash)
{
    for (struct table_node *n = table_first(&c->table, hash); n != NULL; n = table_next(n)) {
        struct count *x = container_of(n, struct count, node);
        if (addr_eq(&x->addr, ip))
            return x;
    }
    return NULL;
}

static bool take_locked(struct flow_counts *c, const struct addr *ip, uint32_t max)
{
    uint64_t hash = hash_bytes(&c->key, ip, sizeof(*ip));
    struct count *x = find(c, ip, hash);
    if (x == NULL) {
        x = mem_zalloc(sizeof(*x));
        if (x == NULL)
            return false;
        x->addr = *ip;
        table_insert(&c->table, &x->node, hash);
    }
    if (x->n >= max)
        return false;
    x->n++;
    return true;
}

bool flow_counts_take(struct flow_counts *c, const struct addr *addr, uint32_t max)
{
    struct addr ip = *addr;
    ip.port = 0;
    pthread_mutex_lock(&c->lock);
    bool ok = take_locked(c, &ip, max);
    pthread_mutex_unlock(&c->lock);
    return ok;
}

void flow_counts_give(struct flow_counts *c, const struct addr *addr)
{
    struct addr ip = *addr;
    ip.port = 0;
    pthread_mutex_lock(&c->lock);
    struct count *x = find(c, &ip, hash_bytes(&c->key, &ip, sizeof(ip)));
    if (x != NULL && --x->n == 0) {
        table_remove(&c->table, &x->node);
        mem_free(x);
    }
    pthread_mutex_unlock(&c->lock);
}

bool flow_counts_enter(struct flow_counts *c, uint32_t max)
{
    uint32_t before = atomic_fetch_add_explicit(&c->all, 1, memory_order_relaxed);
    if (max == 0 || before < max)
        return true;
    flow_counts_leave(c);
    return false;
}

void flow_counts_leave(struct flow_counts *c)
{
    atomic_fetch_sub_explicit(&c->all, 1, memory_order_relaxed);
}
