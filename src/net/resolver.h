/* SPDX-License-Identifier: Apache-2.0 */
/* DNS without blocking: c-ares on the loop, with a cache.
 *
 * Numeric hosts, names of the hosts file and "localhost" are answered at once. A, AAAA, SRV, NAPTR;
 * answers are kept for their TTL (at most a day; TTL 0: for those who wait and for this turn of the
 * loop), "no such name" for the time its SOA says (RFC 2308; 1 s to 5 minutes), a failure of the
 * servers for 1 to 30 s. What has expired is served stale (RFC 8767) while it is asked anew, unless
 * that was more than 10 minutes ago or its TTL is 0: then only when no server answers. That there
 * is no SRV or NAPTR record is served stale as well. A silent server is asked last. When all are
 * silent, names that are not known fail at once but for one try now and then, with growing pauses
 * (0.5 to 8 s). At most 4,096 names. Names without a dot are looked for in the system's `search`
 * domains, others are whole. owns: the cache and queries under way. thread: the loop's. RFC 1035,
 * RFC 2181, RFC 2308, RFC 2782, RFC 3403, RFC 6724, RFC 8767. */
#ifndef NET_RESOLVER_H
#define NET_RESOLVER_H

#include "base/counter.h"
#include "base/field.h"
#include "base/slice.h"
#include "net/loop.h"

struct net_resolver;

#define NET_ADDRS_MAX       8
#define NET_DNS_SERVERS_MAX 8

/* `n` addresses with port 0 in the order to be tried (n = 0 with err < 0). */
typedef void net_resolved_fn(void *user, int err, const struct addr *addrs, unsigned n);

struct net_resolver_conf {
    struct addr *servers; /* dns-servers; none: those of the system, read again at each set_conf */
    unsigned nservers;
    uint32_t timeout_ms;   /* dns-timeout: of one try with one server */
    uint32_t tries;        /* dns-tries */
    uint32_t max_stale_ms; /* dns-max-stale: how long after its TTL an answer is still served when
                              no server can be had; 0: not at all */
};

/* 0, ERR_NOMEM, ERR_UNSUPPORTED. `conf` NULL: defaults; copied. */
int net_resolver_new(struct net_loop *loop, const struct net_resolver_conf *conf,
                     struct counters *counters, struct net_resolver **out) WARN_UNUSED;
/* What the resolvers of all workers have learnt: what one of them knows need not be asked for by
 * the others, and goes on for them too when the servers die. thread: any, but free. 0, ERR_NOMEM.
 */
struct net_names;
int net_names_new(struct net_names **out) WARN_UNUSED;
void net_names_free(struct net_names **names); /* no resolver uses it any more */
/* Borrowed; before the first question. */
void net_resolver_share(struct net_resolver *r, struct net_names *names);

/* Answers that are known stay. */
void net_resolver_set_conf(struct net_resolver *r, const struct net_resolver_conf *conf);
void net_resolver_free(struct net_resolver **r); /* queries under way end with ERR_SHUTDOWN */

/* Returns 1 and calls `fn` before returning when the answer is known (numeric, cached, or no
 * memory); 0: `fn` comes later, exactly once, with `*query` (if query is not NULL) to cancel by.
 * Errors: ERR_NOT_FOUND, ERR_PARSE (no name that could be asked for), ERR_DNS_SILENT, ERR_DNS_BAD,
 * ERR_DNS_REFUSED, ERR_FULL, ERR_NOMEM, ERR_SHUTDOWN. */
int net_resolve(struct net_resolver *r, struct slice host, net_resolved_fn *fn, void *user,
                uint64_t *query);

/* SRV records of a whole name ("_sip._udp.example.net") in the order to be tried: by priority,
 * within it drawn by weight anew each time (RFC 2782). A target "." (not offered here) gives
 * ERR_UNSUPPORTED. Otherwise as net_resolve. */
#define NET_SRV_MAX  32
#define NET_NAME_MAX 256
struct net_srv {
    uint16_t priority, weight, port;
    struct slice target; /* borrowed until the callback returns; no dot at the end */
};
typedef void net_srv_fn(void *user, int err, const struct net_srv *records, unsigned n);
int net_resolve_srv(struct net_resolver *r, struct slice name, net_srv_fn *fn, void *user,
                    uint64_t *query);

/* NAPTR records by order, then preference (RFC 3403); services that are not SIP's are left out. */
#define NET_NAPTR_MAX 32
struct net_naptr {
    uint16_t order, preference;
    struct slice flags, service, replacement; /* borrowed as above */
};
typedef void net_naptr_fn(void *user, int err, const struct net_naptr *records, unsigned n);
int net_resolve_naptr(struct net_resolver *r, struct slice name, net_naptr_fn *fn, void *user,
                      uint64_t *query);

/* `fn` will not be called any more. Safe on a finished query. */
void net_resolve_cancel(struct net_resolver *r, uint64_t query);

/* Rows: of the set "resolver_server" (address, state: "in-use" or "silent", questions: so far,
 * failures: tries without an answer, one after the other, avoided_ms: asked last for so long) and
 * "resolver_name", the one asked for longest ago first (name, type: "host", "srv", "naptr", answer,
 * ttl_s, state: "fresh", "expired", "asked" or "unknown", expired_s, asked: a question is under
 * way, failures: one after the other, last_error, hits). */
void net_resolver_rows(struct net_resolver *r, const struct row_sink *sink);
/* Forgets everything, or one name (empty: everything). How many. */
unsigned net_resolver_forget(struct net_resolver *r, struct slice name);

#endif
