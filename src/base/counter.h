/* SPDX-License-Identifier: Apache-2.0 */
/* Counters: one array per worker, written by that worker, read by anyone.
 *
 * The names and texts are in base/counters.def, one line each; a metric is `holdfast_<name>_total`,
 * a gauge (COUNTER_GAUGE) is `holdfast_<name>`.
 * owns: nothing. thread: add: the worker that owns the array; read: any. */
#ifndef BASE_COUNTER_H
#define BASE_COUNTER_H

#include <stdatomic.h>
#include <stdint.h>

enum counter {
#define COUNTER(id, name, help)       id,
#define COUNTER_GAUGE(id, name, help) id,
#include "base/counters.def"
#undef COUNTER
#undef COUNTER_GAUGE
    COUNTER_MAX
};

struct counters {
    _Atomic uint64_t v[COUNTER_MAX];
};

static inline void counter_add(struct counters *c, enum counter id, uint64_t n)
{
    uint64_t old = atomic_load_explicit(&c->v[id], memory_order_relaxed);
    atomic_store_explicit(&c->v[id], old + n, memory_order_relaxed);
}

static inline void counter_inc(struct counters *c, enum counter id)
{
    counter_add(c, id, 1);
}

/* Gauges only. */
static inline void counter_dec(struct counters *c, enum counter id)
{
    counter_add(c, id, (uint64_t)-1);
}

static inline uint64_t counter_get(const struct counters *c, enum counter id)
{
    return atomic_load_explicit(&c->v[id], memory_order_relaxed);
}

const char *counter_name(enum counter id); /* "messages_received" */
const char *counter_help(enum counter id);
_Bool counter_is_gauge(enum counter id);

#endif
