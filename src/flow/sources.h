/* SPDX-License-Identifier: Apache-2.0 */
/* Connections that were accepted, by the address they come from: of all workers, so that who has a
 * message for that very address finds the connection that another worker accepted.
 *
 * owns: the table; a node lies in its flow. thread: any; one lock, taken when a connection comes or
 * goes, and when an address is looked up. */
#ifndef FLOW_SOURCES_H
#define FLOW_SOURCES_H

#include <stdint.h>

#include "base/addr.h"
#include "base/err.h"

struct flow;
struct flow_sources;

/* 0 or ERR_NOMEM. */
int flow_sources_new(struct flow_sources **out) WARN_UNUSED;
void flow_sources_free(struct flow_sources **s);

/* By its `remote` and transport, which stay as they are until it is dropped. Two from one address
 * (one of them is dead and not yet noticed): either is found. */
void flow_sources_put(struct flow_sources *s, struct flow *f);
/* Before it ends, or has another remote address. One that is not in it is left alone. */
void flow_sources_drop(struct flow_sources *s, struct flow *f);
/* Its id; 0: none. */
uint64_t flow_sources_find(struct flow_sources *s, uint8_t transport, const struct addr *remote);

#endif
