/* SPDX-License-Identifier: Apache-2.0 */
#include "flow/backoff.h"

#include <pthread.h>

#include "base/alloc.h"
#include "base/hash.h"
#include "base/list.h"
#include "base/random.h"
#include "base/table.h"

struct flow_backoff {
    pthread_mutex_t lock;
    struct hash_key key;
    struct table table;
    struct list by_age; /* the one that failed longest ago first */
};

struct entry {
    struct table_node node;
    struct list age;
    struct addr addr;
    uint32_t tls_peer;
    uint32_t delay;  /* ms */
    uint64_t failed; /* ms */
    uint64_t until;  /* ms; one more delay later it is forgotten */
};

int flow_backoff_new(struct flow_backoff **out)
{
    struct flow_backoff *b = mem_zalloc(sizeof(*b));
    if (b == NULL)
        return ERR_NOMEM;
    if (table_init(&b->table, 16) != 0) {
        mem_free(b);
        return ERR_NOMEM;
    }
    pthread_mutex_init(&b->lock, NULL);
    random_bytes(&b->key, sizeof(b->key));
    list_init(&b->by_age);
    *out = b;
    return 0;
}

static void forget(struct flow_backoff *b, struct entry *e)
{
    table_remove(&b->table, &e->node);
    list_remove(&e->age);
    mem_free(e);
}

static void forget_all(struct flow_backoff *b)
{
    while (!list_is_empty(&b->by_age))
        forget(b, container_of(b->by_age.next, struct entry, age));
}

void flow_backoff_free(struct flow_backoff **backoff)
{
    struct flow_backoff *b = *backoff;
    if (b == NULL)
        return;
    forget_all(b);
    table_fini(&b->table);
    pthread_mutex_destroy(&b->lock);
    mem_free(b);
    *backoff = NULL;
}

static uint64_t hash_of(const struct flow_backoff *b, const struct addr *a, uint32_t tls_peer)
{
    return hash_bytes(&b->key, a, sizeof(*a)) ^ hash_mix(tls_peer);
}

static struct entry *find(const struct flow_backoff *b, const struct addr *a, uint32_t tls_peer)
{
    struct table_node *n = table_first(&b->table, hash_of(b, a, tls_peer));
    for (; n != NULL; n = table_next(n)) {
        struct entry *e = container_of(n, struct entry, node);
        if (addr_eq(&e->addr, a) && e->tls_peer == tls_peer)
            return e;
    }
    return NULL;
}

/* A device that has connected to us since it could not be reached is tried at once. */
static bool is_on(const struct entry *e, uint64_t since, uint64_t now)
{
    return e != NULL && now < e->until && since <= e->failed;
}

/* Each failure makes room for itself: the oldest ones go, since nobody asks for them any more. */
static struct entry *entry_new(struct flow_backoff *b, const struct addr *a, uint32_t tls_peer,
                               uint64_t now)
{
    for (unsigned i = 0; i < 2 && !list_is_empty(&b->by_age); i++) {
        struct entry *old = container_of(b->by_age.next, struct entry, age);
        if (now < old->until + old->delay && b->table.count < FLOW_BACKOFF_MAX)
            break;
        forget(b, old);
    }
    struct entry *e = mem_zalloc(sizeof(*e));
    if (e == NULL)
        return NULL;
    e->addr = *a;
    e->tls_peer = tls_peer;
    list_init(&e->age);
    table_insert(&b->table, &e->node, hash_of(b, a, tls_peer));
    return e;
}

static void note_failure(struct flow_backoff *b, struct entry *e, uint64_t now, uint64_t random)
{
    /* Long after the last one it is the first again. */
    if (e->delay != 0 && now >= e->until + e->delay)
        e->delay = 0;
    e->delay = e->delay == 0 ? FLOW_BACKOFF_MIN_MS : e->delay * 2;
    if (e->delay > FLOW_BACKOFF_MAX_MS)
        e->delay = FLOW_BACKOFF_MAX_MS;
    e->failed = now;
    /* Three quarters to all of it, so that many that failed together do not come back together. */
    e->until = now + e->delay * 3 / 4 + random % (e->delay / 4 + 1);
    list_remove(&e->age);
    list_push(&b->by_age, &e->age);
}

bool flow_backoff_is_on(struct flow_backoff *b, const struct addr *addr, uint32_t tls_peer,
                        uint64_t since, uint64_t now)
{
    pthread_mutex_lock(&b->lock);
    bool on = is_on(find(b, addr, tls_peer), since, now);
    pthread_mutex_unlock(&b->lock);
    return on;
}

void flow_backoff_failed(struct flow_backoff *b, const struct addr *addr, uint32_t tls_peer,
                         uint64_t since, uint64_t now, uint64_t random)
{
    pthread_mutex_lock(&b->lock);
    struct entry *e = find(b, addr, tls_peer);
    if (e == NULL)
        e = entry_new(b, addr, tls_peer, now);
    if (e != NULL && !is_on(e, since, now))
        note_failure(b, e, now, random);
    pthread_mutex_unlock(&b->lock);
}

void flow_backoff_ok(struct flow_backoff *b, const struct addr *addr, uint32_t tls_peer)
{
    pthread_mutex_lock(&b->lock);
    struct entry *e = find(b, addr, tls_peer);
    if (e != NULL)
        forget(b, e);
    pthread_mutex_unlock(&b->lock);
}

void flow_backoff_forgive(struct flow_backoff *b)
{
    pthread_mutex_lock(&b->lock);
    forget_all(b);
    pthread_mutex_unlock(&b->lock);
}

unsigned flow_backoff_count(struct flow_backoff *b)
{
    pthread_mutex_lock(&b->lock);
    unsigned n = (unsigned)b->table.count;
    pthread_mutex_unlock(&b->lock);
    return n;
}
