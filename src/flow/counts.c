/* SPDX-License-Identifier: Apache-2.0 */
/* Connections in all, and those of each address, of all workers together. The latter are touched
 * once for each connection accepted and ended, and only while there is a limit, so one lock is
 * enough. Refused ones stand in a small table of sets, in which the oldest gives way. */
#include "flow/counts.h"

#include <pthread.h>
#include <stdatomic.h>

#include "base/alloc.h"
#include "base/hash.h"
#include "base/list.h"
#include "base/random.h"
#include "base/table.h"
#include "flow/backoff.h"
#include "flow/sources.h"

#define ACCEPTED_SLOTS 4096u
#define OPENED_SLOTS   4096u

#define REFUSED_SETS   64u
#define REFUSED_WAYS   4u
#define REFUSED_MS     60000u

struct refused {
    struct addr addr; /* port 0; family 0: unused */
    int reason;
    uint32_t left_out;
    uint64_t logged; /* ms */
};

struct flow_counts {
    _Atomic uint32_t all;
    struct flow_backoff *backoff;
    struct flow_sources *sources;
    pthread_mutex_t lock;
    struct hash_key key;
    struct table table; /* struct count */
    struct refused refused[REFUSED_SETS][REFUSED_WAYS];
    _Atomic uint64_t accepted[ACCEPTED_SLOTS]; /* ms, by hash of the address */
    _Atomic uint64_t
        opened[OPENED_SLOTS]; /* us, the same: see flow_counts_open; the last: of all */
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
    if (flow_backoff_new(&c->backoff) != 0 || flow_sources_new(&c->sources) != 0 ||
        table_init(&c->table, 16) != 0) {
        flow_backoff_free(&c->backoff);
        flow_sources_free(&c->sources);
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
    flow_backoff_free(&c->backoff);
    flow_sources_free(&c->sources);
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

struct flow_sources *flow_counts_sources(struct flow_counts *c)
{
    return c->sources;
}

struct flow_backoff *flow_counts_backoff(struct flow_counts *c)
{
    return c->backoff;
}

static uint64_t ip_hash(const struct flow_counts *c, const struct addr *addr)
{
    struct addr ip = *addr;
    ip.port = 0;
    return hash_bytes(&c->key, &ip, sizeof(ip));
}

static size_t accepted_slot(const struct flow_counts *c, const struct addr *addr)
{
    return ip_hash(c, addr) % ACCEPTED_SLOTS;
}

/* One number is enough for a limit: the time at which all that was opened would be done if it went
 * by the rate; up to a second of that may be owed. */
uint32_t flow_counts_open(struct flow_counts *c, const struct addr *addr, uint64_t rate,
                          uint64_t now)
{
    size_t slot = addr->family == ADDR_NONE ? OPENED_SLOTS - 1
                                            : ip_hash(c, addr) % (OPENED_SLOTS - 1);
    uint64_t at = now * 1000, each = 1000000 / rate, was = atomic_load(&c->opened[slot]), next;
    do {
        next = (was > at ? was : at) + each;
        if (next > at + 1000000)
            return (uint32_t)((next - at - 1000000) / 1000 + 1);
    } while (!atomic_compare_exchange_weak(&c->opened[slot], &was, next));
    return 0;
}

void flow_counts_accepted(struct flow_counts *c, const struct addr *addr, uint64_t now)
{
    atomic_store_explicit(&c->accepted[accepted_slot(c, addr)], now, memory_order_relaxed);
}

uint64_t flow_counts_accepted_at(const struct flow_counts *c, const struct addr *addr)
{
    return atomic_load_explicit(&c->accepted[accepted_slot(c, addr)], memory_order_relaxed);
}

/* The entry of address and reason in its set; else the one that gives way: an unused one, or the
 * one that was logged longest ago. */
static struct refused *refused_find(struct flow_counts *c, const struct addr *ip, int reason)
{
    uint64_t hash = hash_bytes(&c->key, ip, sizeof(*ip)) ^ hash_mix((uint64_t)(uint32_t)reason);
    struct refused *set = c->refused[hash % REFUSED_SETS], *oldest = set;
    for (unsigned i = 0; i < REFUSED_WAYS; i++) {
        if (set[i].reason == reason && addr_eq(&set[i].addr, ip))
            return &set[i];
        if (set[i].addr.family == ADDR_NONE || set[i].logged < oldest->logged)
            oldest = &set[i];
        if (oldest->addr.family == ADDR_NONE)
            break;
    }
    *oldest = (struct refused){.addr = *ip, .reason = reason};
    return oldest;
}

bool flow_counts_refused(struct flow_counts *c, const struct addr *addr, int reason, uint64_t now,
                         uint32_t *left_out)
{
    struct addr ip = *addr;
    ip.port = 0;
    pthread_mutex_lock(&c->lock);
    struct refused *x = refused_find(c, &ip, reason);
    bool ok = x->logged == 0 || now >= x->logged + REFUSED_MS;
    *left_out = x->left_out;
    x->left_out = ok ? 0 : x->left_out + 1;
    if (ok)
        x->logged = now != 0 ? now : 1;
    pthread_mutex_unlock(&c->lock);
    return ok;
}
