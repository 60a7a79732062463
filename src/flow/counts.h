/* SPDX-License-Identifier: Apache-2.0 */
/* Connections in all, those accepted from each address, how fast new ones may be opened, and whom
 * we have refused lately, counted over all workers.
 *
 * owns: the counts. thread: any. */
#ifndef FLOW_COUNTS_H
#define FLOW_COUNTS_H

#include <stdbool.h>
#include <stdint.h>

#include "base/addr.h"
#include "base/err.h"

struct flow_backoff;
struct flow_counts;
struct flow_sources;

/* 0 or ERR_NOMEM. */
int flow_counts_new(struct flow_counts **out) WARN_UNUSED;
void flow_counts_free(struct flow_counts **counts);

/* One more from the address, whatever its port: false when there are `max` already, or no memory.
 */
bool flow_counts_take(struct flow_counts *c, const struct addr *addr, uint32_t max);
/* One less. */
void flow_counts_give(struct flow_counts *c, const struct addr *addr);

/* One connection more, accepted or opened: false when there are `max` already (0: no limit). One
 * less. */
bool flow_counts_enter(struct flow_counts *c, uint32_t max);
void flow_counts_leave(struct flow_counts *c);

/* A connection from the address, whatever its port, was accepted at `now` (ms). */
void flow_counts_accepted(struct flow_counts *c, const struct addr *addr, uint64_t now);
/* When the last one was, 0: never. Seldom the time of another address is taken for it. */
uint64_t flow_counts_accepted_at(const struct flow_counts *c, const struct addr *addr);

/* May a connection to the address, whatever its port, be opened at `now` (ms)? At most `rate` a
 * second, and as many at once after a pause; ADDR_NONE: to all addresses together. 0: yes, and it
 * counts; else the ms after which it is worth asking again. Seldom two addresses share one limit.
 */
uint32_t flow_counts_open(struct flow_counts *c, const struct addr *addr, uint64_t rate,
                          uint64_t now);

/* Who is left in peace for a while; lives as long as the counts. */
struct flow_backoff *flow_counts_backoff(struct flow_counts *c);
/* Accepted connections by where they come from; the same. */
struct flow_sources *flow_counts_sources(struct flow_counts *c);

/* A connection from the address was refused for that reason (enum err). True when it is to be
 * logged: once in a minute for each address and reason; *left_out: how many were not since the last
 * time. Of more addresses than there is room for some are logged more often. `now`: ms. */
bool flow_counts_refused(struct flow_counts *c, const struct addr *addr, int reason, uint64_t now,
                         uint32_t *left_out);

#endif
