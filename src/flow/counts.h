/* SPDX-License-Identifier: Apache-2.0 */
/* Connections in all, and those accepted from each address, counted over all workers.
 *
 * owns: the counts. thread: any. */
#ifndef FLOW_COUNTS_H
#define FLOW_COUNTS_H

#include <stdbool.h>
#include <stdint.h>

#include "base/addr.h"
#include "base/err.h"

struct flow_counts;

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

#endif
