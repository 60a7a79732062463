/* SPDX-License-Identifier: Apache-2.0 */
/* Numbers of TLS peers, for the files of this room.
 *
 * owns: nothing. thread: any. */
#ifndef FLOW_TLS_INT_H
#define FLOW_TLS_INT_H

#include <stdbool.h>
#include <stdint.h>

#include "flow/tls.h"

#define FLOW_TLS_PEERS_MAX 100000 /* pairs of profile and host, of URIs that lead to peers */
#define FLOW_TLS_WIRE_MAX                                                     \
    16384 /* hosts that peers named in their Vias: whoever invents such names \
             fills nothing but the room for these */

/* The pair's number, made when it has none; 0: the daemon's rules and a literal address, or no room
 * or memory. `is_wire`: the host is what a peer says of itself. */
uint32_t flow_tls_number(struct flow_tls *t, struct slice profile, struct slice host, bool is_wire);
/* The host, terminated by NUL, lives as long as `t`; empty: the address that is connected to. */
struct slice flow_tls_name(struct flow_tls *t, uint32_t number);
struct slice flow_tls_profile_of(struct flow_tls *t, uint32_t number);
/* Held for the caller; NULL: there are no rules, not even the daemon's. */
struct net_tls *flow_tls_context(struct flow_tls *t, uint32_t number);

#endif
