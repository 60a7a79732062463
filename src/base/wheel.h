/* SPDX-License-Identifier: Apache-2.0 */
/* Timer wheel: millisecond timers that cost a list operation to start and to stop.
 *
 * Hierarchical, time is an argument. A timer fires at the first wheel_advance whose `now` is at or
 * past its due time, in order of due time (ties: order of starting). owns: nothing; timers live in
 * their objects. thread: one. */
#ifndef BASE_WHEEL_H
#define BASE_WHEEL_H

#include <stdbool.h>
#include <stdint.h>

#include "base/list.h"

#define WHEEL_LEVELS 5
#define WHEEL_SLOTS  64

struct timer;
typedef void timer_fn(struct timer *t, uint64_t now);

struct timer {
    struct list node;
    uint64_t due; /* ms, clock of the wheel */
    timer_fn *fn;
};

struct wheel {
    uint64_t now; /* ms; inside a callback: the time up to which timers have been served */
    uint64_t count;
    uint64_t occupied[WHEEL_LEVELS]; /* bit per slot */
    struct list slots[WHEEL_LEVELS][WHEEL_SLOTS];
    struct list far; /* beyond the last level (12 days) */
};

void wheel_init(struct wheel *w, uint64_t now);

/* Before first use of a timer. */
void timer_init(struct timer *t, timer_fn *fn);
static inline bool timer_is_set(const struct timer *t)
{
    return list_is_linked(&t->node);
}

/* Starts, or restarts a running one. `due` in the past fires at the next advance. */
void timer_set(struct wheel *w, struct timer *t, uint64_t due);
/* Safe on a timer that is not running. */
void timer_stop(struct wheel *w, struct timer *t);

/* Fires everything due; callbacks may set and stop any timer. One that they set to `now` or before
 * still fires in this call, in its order; hence a callback must not always restart its own timer
 * like that. Returns how many fired. */
unsigned wheel_advance(struct wheel *w, uint64_t now);
/* Time at which wheel_advance should be called next (never later than the next timer; it may be
 * earlier), UINT64_MAX when no timer runs. */
uint64_t wheel_next(const struct wheel *w);

#endif
