/* SPDX-License-Identifier: Apache-2.0 */
#include "flow/sources.h"

#include <pthread.h>

#include "base/alloc.h"
#include "flow/flow_int.h"

/* A connection costs one pointer here and a little more, as most are never looked for: chains are
 * long, and their hashes are made anew when the table grows. */
#define CHAIN_MAX 8
#define FIRST     16 /* chains */

struct flow_sources {
    pthread_mutex_t lock;
    struct hash_key key;
    struct flow **chains;
    size_t mask; /* number of chains - 1 */
    size_t count;
};

int flow_sources_new(struct flow_sources **out)
{
    struct flow_sources *s = mem_zalloc(sizeof(*s));
    if (s == NULL)
        return ERR_NOMEM;
    s->chains = mem_zalloc(FIRST * sizeof(struct flow *));
    if (s->chains == NULL) {
        mem_free(s);
        return ERR_NOMEM;
    }
    s->mask = FIRST - 1;
    pthread_mutex_init(&s->lock, NULL);
    random_bytes(&s->key, sizeof(s->key));
    *out = s;
    return 0;
}

void flow_sources_free(struct flow_sources **s)
{
    if (*s == NULL)
        return;
    pthread_mutex_destroy(&(*s)->lock);
    mem_free((*s)->chains);
    mem_free(*s);
    *s = NULL;
}

static struct flow **chain_of(const struct flow_sources *s, uint8_t transport,
                              const struct addr *remote)
{
    uint64_t hash = hash_bytes(&s->key, remote, sizeof(*remote)) ^ hash_mix(transport);
    return &s->chains[hash & s->mask];
}

static void link_flow(const struct flow_sources *s, struct flow *f)
{
    struct flow **chain = chain_of(s, f->transport, &f->remote);
    f->next_source = *chain;
    *chain = f;
}

/* Without memory the chains go on to grow. */
static void grow(struct flow_sources *s)
{
    size_t n = s->mask + 1;
    struct flow **old = s->chains;
    struct flow **more = mem_zalloc(2 * n * sizeof(struct flow *));
    if (more == NULL)
        return;
    s->chains = more;
    s->mask = 2 * n - 1;
    for (size_t i = 0; i < n; i++)
        for (struct flow *f = old[i], *next; f != NULL; f = next) {
            next = f->next_source;
            link_flow(s, f);
        }
    mem_free(old);
}

void flow_sources_put(struct flow_sources *s, struct flow *f)
{
    pthread_mutex_lock(&s->lock);
    if (s->count >= CHAIN_MAX * (s->mask + 1))
        grow(s);
    link_flow(s, f);
    s->count++;
    pthread_mutex_unlock(&s->lock);
    f->is_in_sources = true;
}

void flow_sources_drop(struct flow_sources *s, struct flow *f)
{
    if (!f->is_in_sources)
        return;
    pthread_mutex_lock(&s->lock);
    struct flow **at = chain_of(s, f->transport, &f->remote);
    while (*at != f)
        at = &(*at)->next_source;
    *at = f->next_source;
    s->count--;
    pthread_mutex_unlock(&s->lock);
    f->is_in_sources = false;
}

uint64_t flow_sources_find(struct flow_sources *s, uint8_t transport, const struct addr *remote)
{
    uint64_t id = 0;
    pthread_mutex_lock(&s->lock);
    for (const struct flow *f = *chain_of(s, transport, remote); f != NULL && id == 0;
         f = f->next_source)
        if (f->transport == transport && addr_eq(&f->remote, remote))
            id = f->id;
    pthread_mutex_unlock(&s->lock);
    return id;
}
