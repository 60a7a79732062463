/* SPDX-License-Identifier: Apache-2.0 */
/* RFC 7339: what neighbours ask of us, and we of them. */
#include <time.h>

#include "load/load_int.h"

#define VALIDITY_MS 500   /* RFC 7339 4.3: the default; each response renews it */
#define SPEAKS_MS   2000  /* so long a neighbour is taken to hold back what we asked for */
#define END_MS      5000  /* so long after the end it is told that it is over */
#define COUNT_MAX   1024  /* requests after which what was counted is halved */
#define LONGEST_MS  60000 /* of what a neighbour may ask for at once */

struct load_neighbour *load_neighbour_of(struct load *load, const struct addr *addr, bool make,
                                         uint64_t now)
{
    uint64_t at = hash_mix(addr_hash(addr) ^ load->shared->key.k0);
    struct load_neighbour *oldest = NULL;
    for (unsigned i = 0; i < LOAD_PROBES; i++) {
        struct load_neighbour *n = &load->neighbours[(at + i) % LOAD_NEIGHBOURS];
        if (n->used != 0 && addr_eq(&n->addr, addr)) {
            n->used = now + 1;
            return n;
        }
        if (oldest == NULL || n->used < oldest->used)
            oldest = n;
    }
    if (!make)
        return NULL;
    *oldest = (struct load_neighbour){.addr = *addr, .used = now + 1};
    return oldest;
}

void load_note_oc(struct load *load, const struct addr *neighbour, const struct load_oc *oc,
                  uint64_t now)
{
    if (!load->conf->is_control || oc->loss > 100)
        return;
    bool is_new = oc->loss != 0 && oc->validity_ms != 0;
    struct load_neighbour *n = load_neighbour_of(load, neighbour, is_new, now);
    /* A response that was overtaken by a later one says nothing any more (RFC 7339 4.4). */
    if (n == NULL || (oc->seq != 0 && oc->seq <= n->seq && now < n->until + END_MS))
        return;
    uint32_t validity = oc->validity_ms < LONGEST_MS ? oc->validity_ms : LONGEST_MS;
    n->seq = oc->seq;
    n->loss = (uint8_t)(validity != 0 ? oc->loss : 0);
    n->until = now + validity;
    if (n->loss != 0 && n->until > load->asked_until)
        load->asked_until = n->until;
}

bool load_is_asked(const struct load *load, uint64_t now)
{
    return now < load->asked_until && load->conf->is_control;
}

bool load_is_control(const struct load *load)
{
    return load->conf->is_control;
}

/* The share is of all requests; those that must pass are made good for by the others, as far as
 * these suffice (RFC 7339 7). */
bool load_may_send(struct load *load, const struct addr *neighbour, enum load_kind kind,
                   uint64_t now)
{
    if (!load_is_asked(load, now))
        return true;
    struct load_neighbour *n = load_neighbour_of(load, neighbour, false, now);
    if (n == NULL || n->loss == 0 || now >= n->until)
        return true;
    if (n->all >= COUNT_MAX) {
        n->all /= 2;
        n->can /= 2;
    }
    n->all++;
    n->can += kind != LOAD_PASS;
    if (kind == LOAD_PASS)
        return true;
    uint64_t share = (uint64_t)n->loss * (LOAD_FULL / 100) * n->all / n->can;
    n->credit += share < LOAD_FULL ? (unsigned)share : LOAD_FULL;
    if (n->credit < LOAD_FULL)
        return true;
    n->credit -= LOAD_FULL;
    counter_inc(load->counters, CTR_SHED_NEIGHBOUR);
    return false;
}

/* The workers share what comes in, so that a neighbour is asked for what they want on average. */
void load_want(struct load *load, unsigned loss, uint64_t now)
{
    struct load_shared *s = load->shared;
    uint32_t n = atomic_load_explicit(&s->nworkers, memory_order_relaxed), sum = 0;
    atomic_store_explicit(&s->loss[load->worker], loss, memory_order_relaxed);
    for (uint32_t i = 0; i < LOAD_WORKERS; i++)
        sum += atomic_load_explicit(&s->loss[i], memory_order_relaxed);
    uint32_t percent = n != 0 ? (sum + n * 10 - 1) / (n * 10) : 0;
    atomic_store_explicit(&s->wanted, percent < 100 ? percent : 100, memory_order_relaxed);
    if (percent != 0)
        atomic_store_explicit(&s->asks_until, now + END_MS, memory_order_relaxed);
}

bool load_has_asked(const struct load *load)
{
    return atomic_load_explicit(&load->shared->asks_until, memory_order_relaxed) != 0 &&
           load->conf->is_control;
}

bool load_ask(struct load *load, uint64_t now, struct load_oc *out)
{
    struct load_shared *s = load->shared;
    struct timespec wall = {0};
    if (!load_has_asked(load))
        return false;
    unsigned loss = atomic_load_explicit(&s->wanted, memory_order_relaxed);
    if (loss == 0 && now >= atomic_load_explicit(&s->asks_until, memory_order_relaxed)) {
        atomic_store_explicit(&s->asks_until, 0, memory_order_relaxed);
        return false;
    }
    (void)clock_gettime(CLOCK_REALTIME, &wall);
    *out = (struct load_oc){loss, loss != 0 ? VALIDITY_MS : 0,
                            (uint64_t)wall.tv_sec * 100000 + (uint64_t)wall.tv_nsec / 10000};
    return true;
}

void load_note_speaks(struct load *load, const struct addr *neighbour, uint64_t now)
{
    if (load->conf->is_control)
        load_neighbour_of(load, neighbour, true, now)->speaks = now + SPEAKS_MS;
}
