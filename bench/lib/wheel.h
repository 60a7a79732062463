/* SPDX-License-Identifier: Apache-2.0 */
/* Timer wheel of one millisecond per slot; expired timers are pulled, so that there is no callback.
 *
 * owns: its slots; a timer lives inside the object it belongs to
 * borrows: every timer between wheel_set and its expiry or wheel_cancel
 * thread: one
 * RFC sections: none
 */
#ifndef BENCH_WHEEL_H
#define BENCH_WHEEL_H

#include <stdbool.h>
#include <stdint.h>

#define WHEEL_SLOTS 65536U /* milliseconds: no timer runs for longer */

struct timer {
    struct timer *prev;
    struct timer *next; /* NULL: not set */
    uint64_t due;       /* ms */
    unsigned kind;      /* the owner's type, for its dispatch */
};

struct wheel {
    uint64_t now; /* ms: first slot which has not been emptied */
    unsigned count;
    struct timer *slot; /* WHEEL_SLOTS list heads */
};

bool wheel_init(struct wheel *w, uint64_t now_ms);
void wheel_fini(struct wheel *w);
void wheel_set(struct wheel *w, struct timer *t, uint64_t due_ms);
void wheel_cancel(struct wheel *w, struct timer *t);

/* Takes one timer out that is due at now_ms, or NULL when there is none left. */
struct timer *wheel_pop(struct wheel *w, uint64_t now_ms);

#endif
