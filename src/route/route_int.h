/* SPDX-License-Identifier: Apache-2.0 */
/* What the files of this room share.
 *
 * owns: see route.h. thread: one worker. */
#ifndef ROUTE_ROUTE_INT_H
#define ROUTE_ROUTE_INT_H

#include "base/event.h"
#include "route/route.h"

#define ROUTE_AVOIDED_MAX      256
#define ROUTE_TRUNKS_MAX       8  /* tried for one number */
#define ROUTE_ALTERNATIVES_MAX 16 /* of them, so many that have failed are put last */

/* An address that failed. */
struct route_avoided {
    struct addr addr;
    uint8_t transport;
    uint64_t until; /* ms of flows_time; 0: free */
};

struct route {
    const struct route_conf *conf;
    struct route_deps deps;
    struct hash_key token_key; /* its own: what peers see of other hashes says nothing about it */
    uint64_t avoid_until;      /* the last of `avoided`, 0: none */
    struct route_avoided avoided[ROUTE_AVOIDED_MAX];
    uint32_t serving; /* group of serving-sipserver; 0: not looked for yet, or there is none */
};

/* TLS for sips (RFC 3261 26.2.2); else transport parameter, else UDP; ERR_UNSUPPORTED where this
 * proxy has no such transport, or it cannot be secured. */
int route_transport(const struct sip_uri *uri, bool is_secure, uint8_t *out) WARN_UNUSED;
/* A trailing dot only says that the name is complete (RFC 1034 3.1). */
struct slice route_without_dot(struct slice host);
/* The user part, unescaped; of tel: the number without separators. 0, ERR_NOT_FOUND (there is
 * none), ERR_NOMEM. */
int route_user_of(struct route *r, const struct sip_uri *uri, struct arena *arena,
                  struct slice *user) WARN_UNUSED;

/* --- avoid.c --- */
bool route_is_avoided(struct route *r, const struct flow_dest *dest, uint64_t now);
/* Those that failed a moment ago go to the end, in their order. At most ROUTE_DESTS_MAX. */
void route_avoid_failed(struct route *r, struct flow_dest *dests, unsigned n);

/* The same for the alternatives among the targets, whose addresses are in their URIs. */
void route_avoid_targets(struct route *r, struct route_set *set);

/* --- locate.c: RFC 3263 section 4 --- */
/* What is to be found. */
struct route_wanted {
    const struct sip_uri *uri;
    uint8_t transport;    /* that the URI asks for, TLS where it has to be so, else UDP */
    bool has_transport;   /* the URI says which */
    bool must_be_tls;     /* none but TLS */
    struct slice profile; /* of TLS */
    bool names_source;    /* an address may be that of a connection that was accepted */
};
/* As route_resolve; `q` has been filled in. */
int route_locate(const struct route_wanted *w, struct route_query *q);

/* --- apps.c: applications. 0 with the targets or a status in the set, ERR_NOT_FOUND (no such group
 * any more), ERR_NOMEM. --- */
int route_choose(struct route *r, const struct route_ask *ask, uint32_t group, struct arena *arena,
                 struct route_set *set) WARN_UNUSED;

/* --- dns.c: DNs, likewise --- */
/* ERR_NOT_FOUND: no such DN. */
int route_to_dn(struct route *r, const struct route_ask *ask, struct arena *arena,
                struct route_set *set) WARN_UNUSED;
void route_target_of_binding(struct route *r, const struct dn_info *info,
                             const struct dn_binding *b, struct slice dn, struct route_target *t);
/* `contact` or one of contact-backup. */
void route_target_of_contact(const struct dn_info *info, struct slice contact, struct slice dn,
                             struct route_target *t);
/* RFC 5630 5.3: a sips request goes to sips contacts only, and a sip request to a sips contact
 * becomes none itself, but goes by TLS. False: the target, the last one of the set, cannot be had
 * for this request. */
bool route_secure_target(struct route *r, bool request_is_sips, struct arena *arena,
                         struct route_set *set);
/* A device with a fixed contact that registers the same URI is one target (RFC 3261 16.5), and the
 * binding knows its connection. That binding, or NULL. */
const struct dn_binding *route_registered_contact(const struct dn_info *info);

/* --- trunk.c --- */
/* ERR_NOT_FOUND: no trunk carries it. */
int route_to_trunk(struct route *r, const struct route_ask *ask, struct arena *arena,
                   struct route_set *set) WARN_UNUSED;

/* May the sender use what leads out, trunks and domains of others? */
static inline bool route_is_trusted(const struct route_ask *ask)
{
    return ask->may_relay || ask->is_own || ask->member != 0;
}

static inline void route_refuse(struct route_set *set, unsigned status, const char *reason)
{
    set->status = status;
    set->reason = reason;
}

#endif
