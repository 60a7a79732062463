/* SPDX-License-Identifier: Apache-2.0 */
/* Which standard events a test has caused: the tap of events, counted by kind.
 *
 * owns: nothing but its counts; one for each program of tests. thread: heard_begin: one. */
#ifndef TESTS_HEARD_H
#define TESTS_HEARD_H

#include <stdatomic.h>

#include "base/event.h"

static atomic_uint heard_n[EVENT_MAX];

static inline void heard_tap(void *user, enum event ev, unsigned n, const struct field *fields)
{
    (void)user, (void)n, (void)fields;
    atomic_fetch_add(&heard_n[ev], 1);
}

/* From now on, and forgets those before. */
static inline void heard_begin(void)
{
    for (unsigned i = 0; i < EVENT_MAX; i++)
        atomic_store(&heard_n[i], 0);
    event_set_tap(heard_tap, NULL);
}

static inline unsigned heard(enum event ev)
{
    return atomic_load(&heard_n[ev]);
}

#endif
