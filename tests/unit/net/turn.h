/* SPDX-License-Identifier: Apache-2.0 */
/* A loop that is turned until a condition holds.
 *
 * owns: the loop. thread: the test's. */
#ifndef TESTS_NET_TURN_H
#define TESTS_NET_TURN_H

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/counter.h"
#include "net/loop.h"
#include "net/stream.h"

struct turn {
    struct net_loop *loop;
    struct counters counters;
    bool (*until)(void);
    bool done;
    uint64_t deadline;
    unsigned wakes, alarms;
};

void turn_start(struct turn *t);
void turn_stop(struct turn *t);
/* Fails the test after 10 s. */
void turn_until(struct turn *t, bool (*until)(void));
/* Turns for `ms`. */
void turn_idle(struct turn *t, unsigned ms);
struct addr loopback(const char *ip); /* port 0 */
extern const struct net_sockopt plain_opt;

#endif
