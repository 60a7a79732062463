/* SPDX-License-Identifier: Apache-2.0 */
/* With what rules TLS is spoken, and what each peer has to prove: of all workers.
 *
 * owns: a hold on each context; the names, for ever. thread: any; one lock, held for a look-up.
 * RFC 5922. */
#ifndef FLOW_TLS_H
#define FLOW_TLS_H

#include "base/err.h"
#include "base/slice.h"
#include "net/tls.h"

struct flow_tls;

/* The rules of the daemon (empty name) or of a [dn] section that has its own. */
struct flow_tls_profile {
    struct slice name;
    struct net_tls *tls;
};

/* 0, ERR_NOMEM. */
int flow_tls_new(struct flow_tls **out) WARN_UNUSED;
void flow_tls_free(struct flow_tls **t);
/* Takes the place of all profiles (start and reload); each context is held. Connections that are up
 * stay as they are. A profile that is gone falls back to the daemon's. 0 or ERR_NOMEM (nothing
 * changed). */
int flow_tls_configure(struct flow_tls *t, const struct flow_tls_profile *profiles,
                       unsigned n) WARN_UNUSED;

#endif
