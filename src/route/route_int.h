/* SPDX-License-Identifier: Apache-2.0 */
/* What the files of this room share.
 *
 * owns: see route.h. thread: one worker. */
#ifndef ROUTE_ROUTE_INT_H
#define ROUTE_ROUTE_INT_H

#include "route/route.h"

struct route {
    const struct route_conf *conf;
    struct route_deps deps;
    struct hash_key token_key; /* its own: what peers see of other hashes says nothing about it */
};

/* TLS for sips (RFC 3261 26.2.2); else transport parameter, else UDP; ERR_UNSUPPORTED where this
 * proxy has no such transport, or it cannot be secured. */
int route_transport(const struct sip_uri *uri, bool is_secure, uint8_t *out) WARN_UNUSED;

#endif
