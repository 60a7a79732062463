/* SPDX-License-Identifier: Apache-2.0 */
#include "flow/sources.h"

#include <pthread.h>

#include "base/alloc.h"
#include "flow/flow_int.h"

/* A connection costs one pointer here and a little more, as most are never looked for: chains are
 * long, and their hashes are made anew when the table grows. */
#define CHAIN_MAX 8
#define FIRST     16 /* chains */

/* Of one transport. Of another worker's flow only what never changes while it is in here may be
 * looked at, and its `transport` lies in one byte with what does. */
struct sources {
    struct flow **chains;
    size_t mask; /* number of chains - 1 */
    size_t count;
};

struct flow_sources {
    pthread_mutex_t lock;
    struct hash_key key;
    struct sources tcp, tls;
};

int flow_sources_new(struct flow_sources **out)
{
    struct flow_sources *s = mem_zalloc(sizeof(*s));
    if (s == NULL)
        return ERR_NOMEM;
    s->tcp.chains = mem_zalloc(FIRST * sizeof(struct flow *));
    s->tls.chains = mem_zalloc(FIRST * sizeof(struct flow *));
    if (s->tcp.chains == NULL || s->tls.chains == NULL) {
        mem_free(s->tcp.chains);
        mem_free(s->tls.chains);
        mem_free(s);
        return ERR_NOMEM;
    }
    s->tcp.mask = s->tls.mask = FIRST - 1;
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
    mem_free((*s)->tcp.chains);
    mem_free((*s)->tls.chains);
    mem_free(*s);
    *s = NULL;
}

static struct sources *those_by(struct flow_sources *s, uint8_t transport)
{
    return transport == SIP_TLS ? &s->tls : &s->tcp;
}

static struct flow **chain_of(const struct flow_sources *s, const struct sources *by,
                              const struct addr *remote)
{
    return &by->chains[hash_bytes(&s->key, remote, sizeof(*remote)) & by->mask];
}

static void link_flow(const struct flow_sources *s, const struct sources *by, struct flow *f)
{
    struct flow **chain = chain_of(s, by, &f->remote);
    f->next_source = *chain;
    *chain = f;
}

/* Without memory the chains go on to grow. */
static void grow(const struct flow_sources *s, struct sources *by)
{
    size_t n = by->mask + 1;
    struct flow **old = by->chains;
    struct flow **more = mem_zalloc(2 * n * sizeof(struct flow *));
    if (more == NULL)
        return;
    by->chains = more;
    by->mask = 2 * n - 1;
    for (size_t i = 0; i < n; i++)
        for (struct flow *f = old[i], *next; f != NULL; f = next) {
            next = f->next_source;
            link_flow(s, by, f);
        }
    mem_free(old);
}

void flow_sources_put(struct flow_sources *s, struct flow *f)
{
    struct sources *by = those_by(s, f->transport);
    pthread_mutex_lock(&s->lock);
    if (by->count >= CHAIN_MAX * (by->mask + 1))
        grow(s, by);
    link_flow(s, by, f);
    by->count++;
    pthread_mutex_unlock(&s->lock);
    f->is_in_sources = true;
}

void flow_sources_drop(struct flow_sources *s, struct flow *f)
{
    struct sources *by = those_by(s, f->transport);
    if (!f->is_in_sources)
        return;
    pthread_mutex_lock(&s->lock);
    struct flow **at = chain_of(s, by, &f->remote);
    while (*at != f)
        at = &(*at)->next_source;
    *at = f->next_source;
    by->count--;
    pthread_mutex_unlock(&s->lock);
    f->is_in_sources = false;
}

uint64_t flow_sources_find(struct flow_sources *s, uint8_t transport, const struct addr *remote)
{
    uint64_t id = 0;
    pthread_mutex_lock(&s->lock);
    const struct flow *f = *chain_of(s, those_by(s, transport), remote);
    for (; f != NULL && id == 0; f = f->next_source)
        if (addr_eq(&f->remote, remote))
            id = f->id;
    pthread_mutex_unlock(&s->lock);
    return id;
}
