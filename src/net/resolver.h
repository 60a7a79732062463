/* SPDX-License-Identifier: Apache-2.0 */
/* Host names to addresses without blocking: c-ares on the loop, with a cache.
 *
 * Numeric hosts are answered at once. A and AAAA; answers are kept for their TTL (1 s to 1 h),
 * failures for 5 s; at most 4,096 names. owns: the cache and queries under way. thread: the loop's.
 * RFC 1035, RFC 3263 section 4.2. */
#ifndef NET_RESOLVER_H
#define NET_RESOLVER_H

#include "base/slice.h"
#include "net/loop.h"

struct net_resolver;

#define NET_ADDRS_MAX 8

/* `n` addresses with port 0 in the order to be tried (n = 0 with err < 0). */
typedef void net_resolved_fn(void *user, int err, const struct addr *addrs, unsigned n);

/* 0, ERR_NOMEM, ERR_UNSUPPORTED. */
int net_resolver_new(struct net_loop *loop, struct net_resolver **out) WARN_UNUSED;
void net_resolver_free(struct net_resolver **r); /* queries under way end with ERR_SHUTDOWN */

/* Returns 1 and calls `fn` before returning when the answer is known (numeric, cached, or no
 * memory); 0: `fn` comes later, exactly once, with `*query` (if query is not NULL) to cancel by. */
int net_resolve(struct net_resolver *r, struct slice host, net_resolved_fn *fn, void *user,
                uint64_t *query);
/* `fn` will not be called any more. Safe on a finished query. */
void net_resolve_cancel(struct net_resolver *r, uint64_t query);

#endif
