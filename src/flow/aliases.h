/* SPDX-License-Identifier: Apache-2.0 */
/* Connections that their peer offers for requests to its own address (RFC 5923), known to all
 * workers: who has a message for that address finds the connection that another worker accepted.
 *
 * owns: the table. thread: any; one lock, which is not taken while the table is empty. */
#ifndef FLOW_ALIASES_H
#define FLOW_ALIASES_H

#include <stdint.h>

#include "base/addr.h"
#include "base/err.h"

struct flow_aliases;

#define FLOW_ALIASES_MAX 100000 /* more are known to the worker that accepted them only */

/* 0 or ERR_NOMEM. */
int flow_aliases_new(struct flow_aliases **out) WARN_UNUSED;
void flow_aliases_free(struct flow_aliases **aliases);

/* What a connection is offered for. */
struct flow_alias {
    struct addr addr;
    uint8_t transport; /* enum sip_transport */
    uint32_t tls_peer; /* TLS: number of the sent-by that its certificate proves */
};

/* The first connection that offers itself keeps it until it is dropped. Without room or memory
 * nothing is noted. */
void flow_aliases_put(struct flow_aliases *a, const struct flow_alias *what, uint64_t flow);
void flow_aliases_drop(struct flow_aliases *a, const struct flow_alias *what, uint64_t flow);
/* The connection's id, 0: none. */
uint64_t flow_aliases_find(struct flow_aliases *a, const struct flow_alias *what);

#endif
