/* SPDX-License-Identifier: Apache-2.0 */
/* Destinations that refused a moment ago, and until when they are left in peace: of all workers.
 *
 * A destination is an address with its port and, with TLS, what is to be proved there. owns: the
 * entries. thread: any; one lock, taken when a connection is to be opened or could not be. */
#ifndef FLOW_BACKOFF_H
#define FLOW_BACKOFF_H

#include <stdbool.h>
#include <stdint.h>

#include "base/addr.h"
#include "base/err.h"

struct flow_backoff;

#define FLOW_BACKOFF_MIN_MS 1000
#define FLOW_BACKOFF_MAX_MS 30000
#define FLOW_BACKOFF_MAX    65536 /* destinations; above it the oldest one is forgotten */

/* 0 or ERR_NOMEM. */
int flow_backoff_new(struct flow_backoff **out) WARN_UNUSED;
void flow_backoff_free(struct flow_backoff **b);

/* Is it to be left in peace at `now` (ms)? Not when it has failed before `since`, the time at which
 * a connection came from there. */
bool flow_backoff_is_on(struct flow_backoff *b, const struct addr *addr, uint32_t tls_peer,
                        uint64_t since, uint64_t now);
/* It could not be reached: for FLOW_BACKOFF_MIN_MS, then for twice as long each time, with a jitter
 * of a quarter that `random` decides. Nothing changes while it is left in peace, or without memory.
 */
void flow_backoff_failed(struct flow_backoff *b, const struct addr *addr, uint32_t tls_peer,
                         uint64_t since, uint64_t now, uint64_t random);
/* It was reached. */
void flow_backoff_ok(struct flow_backoff *b, const struct addr *addr, uint32_t tls_peer);
/* All are forgiven. */
void flow_backoff_forgive(struct flow_backoff *b);
unsigned flow_backoff_count(struct flow_backoff *b);

#endif
