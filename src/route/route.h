/* SPDX-License-Identifier: Apache-2.0 */
/* Policy: what a Request-URI means, and by which ways it is reached.
 *
 * owns: nothing that lasts but its look-ups under way. borrows: directory, flows, resolver, conf.
 * thread: one worker. RFC 3261 sections 16.5, 8.1.2; RFC 3263; RFC 7984 (dual stack); RFC 5626
 * section 5.3 (flow tokens); RFC 5630 section 5.3 (sips); RFC 5922 section 4. */
#ifndef ROUTE_ROUTE_H
#define ROUTE_ROUTE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/addr.h"
#include "base/arena.h"
#include "base/err.h"
#include "dn/dn.h"
#include "flow/flow.h"
#include "group/group.h"
#include "net/resolver.h"
#include "sip/uri.h"

struct route;

enum route_fork { ROUTE_FORK_PARALLEL, ROUTE_FORK_SEQUENTIAL, ROUTE_FORK_Q };

/* One [domain …] section: requests for that domain, which is not ours, have a way of their own. */
struct route_domain {
    char *name;        /* lower case; "*.example.net" stands for all below it */
    char *contact;     /* a SIP URI where they go, or NULL */
    char *application; /* or an application, or NULL */
};

struct route_conf {
    struct slice *domains; /* sip-domains; none: own host names and addresses with our ports */
    unsigned ndomains;
    struct slice *own_names; /* host name, fully qualified name, "localhost" */
    unsigned nown_names;
    uint16_t sip_port;           /* of sip-port, for own names */
    uint16_t tls_port;           /* of sip-port-tls, 0: no TLS, neither in nor out */
    struct addr_net *relay_from; /* relay-from; `any` is 0.0.0.0/0 and ::/0 */
    unsigned nrelay_from;
    struct slice *aliases; /* aliases, and advertised addresses: further names of this proxy, each
                              HOST or HOST:PORT (without: any port of ours) */
    unsigned naliases;
    struct route_domain *others; /* [domain …] */
    unsigned nothers;
    char *serving;           /* serving-sipserver: the application's name, NULL: the built-in
                                registrar and directory serve */
    uint32_t unreachable_ms; /* dns-avoid-time: an address that failed is tried last for so long;
                                0: off */
    bool has_trunks;         /* any [dn …] with a prefix */
};

struct route_deps {
    struct dn_dir *dir;
    struct flows *flows;
    struct net_resolver *resolver;
    const struct hash_key *key;   /* of flow tokens: the same for all workers and after a restart */
    uint64_t (*wall)(void *user); /* wall-clock ms */
    void *user;
    struct groups *groups; /* NULL: no applications */
};

int route_new(const struct route_conf *conf, const struct route_deps *deps,
              struct route **out) WARN_UNUSED;
void route_free(struct route **r);
/* Borrowed until the next call. */
void route_set_conf(struct route *r, const struct route_conf *conf);

/* Is the host and port of this URI (or Via sent-by) ours? A name of sip-domains or of this machine;
 * an address of ours with a port of ours. Our address with another port is somebody else. */
bool route_is_ours(struct route *r, const struct sip_uri *uri);
/* Is there a serving-sipserver? */
bool route_has_serving(const struct route *r);
/* Are there ways that are not for everybody: trunks, domains with a contact? */
bool route_has_guarded(const struct route *r);
/* The port of TLS, 0: TLS is spoken neither in nor out. */
uint16_t route_tls_port(const struct route *r);

/* One way a request may take. Strings live in the arena or in the request. */
struct route_target {
    struct slice hop;     /* URI of the next hop, where neither `uri` nor `path` says it (member of
                             an application, X-Genesys-Route); not written into the request. Empty:
                             none */
    uint32_t member;      /* of an application; 0: none */
    uint32_t alt;         /* targets with the same number, not 0, are alternatives: the next one is
                             tried when the one before cannot be reached, gives no answer in time,
                             or answers 503, 504 or 408 */
    struct slice uri;     /* Request-URI to send */
    struct slice path;    /* Route header value to put in front (RFC 3327), or empty */
    struct slice dn;      /* the DN behind it, or empty */
    struct slice profile; /* the same where it has TLS rules of its own, or empty */
    unsigned q;           /* 0 to 1000 */
    bool has_dest;        /* `dest` is known; else it has to be resolved */
    bool is_secure;       /* reached by TLS only, also where `uri` is a sip: URI */
    bool is_voip_service;
    bool names_source;   /* an address in `hop` or `uri` may be that of a connection by which a
                            device has come to us */
    bool is_tried;       /* the proxy's: a branch took it */
    bool is_unreachable; /* the proxy's: no way leads there */
    bool is_device; /* registered binding or DN with a contact: its failure says the DN is out of
                       service */
    bool is_trunk;  /* a neighbour, with calls of many: no device (RFC 7339) */
    uint32_t
        reg_id; /* RFC 5626: targets of one instance are alternatives, tried one after the other */
    struct slice instance;
    struct flow_dest dest;
};

/* What came out of a look-up. */
struct route_set {
    unsigned status;      /* 0: targets; else the response: 404, 480, 416, 403, 482, 503 */
    const char *reason;   /* reason phrase for status, or NULL for the default one */
    unsigned warning;     /* of Warning, 0: none; 380: SIPS Not Allowed; 381: SIPS Required */
    uint32_t retry_after; /* s, 0: unknown */
    bool is_local;        /* a DN of ours, else relayed by its URI */
    bool is_down;         /* status is of an application of which no member is up */
    unsigned n;
    struct route_target *targets; /* by q descending, then most recent first */
};

/* Who asks for what. */
struct route_ask {
    const struct sip_uri *uri; /* Request-URI after Route preprocessing */
    bool may_relay;            /* the sender is in relay-from, an application, or the request is
                                  inside a dialog that we record-routed */
    bool in_dialog;            /* what belongs to a call goes to its DN also when that is out of
                                  service */
    bool is_own;               /* the sender is a device of ours: it may use trunks, and contacts
                                  of [domain …] */
    uint32_t member;           /* the sender: group_sender; 0: no application */
    const struct sip_msg *req; /* for what the choice within a balanced group depends on; NULL: not
                                  for a group */
};

/* Targets of a Request-URI (RFC 3261 16.5), in this order: [domain …]; inside a dialog the member
 * of an application that it names; for what is ours (also tel: and service URNs), from others than
 * applications, with serving-sipserver: that application (inside a dialog only what is no DN and no
 * trunk's); a DN, "user@host" before "user"; the trunks by its prefix; the rest relayed by its own
 * URI (RFC 3263). Trunks and the contact of a [domain …] are for senders that are own,
 * applications, or may relay. 0 (see set->status), ERR_NOMEM. */
int route_lookup(struct route *r, const struct route_ask *ask, struct arena *arena,
                 struct route_set *set) WARN_UNUSED;
/* An exact next hop, X-Genesys-Route: one target with the Request-URI as it is. ERR_PARSE: no sip:
 * URI that we can go to. */
int route_by_hop(struct route *r, const struct route_ask *ask, struct slice hop,
                 struct arena *arena, struct route_set *set) WARN_UNUSED;
/* Who sends: group_sender by the origin and the topmost Via. */
uint32_t route_sender(struct route *r, const struct sip_msg *req, const struct addr *from,
                      uint8_t transport);
/* Whose host and port is this URI's? A member of an application; 0: nobody's. */
uint32_t route_member_of(struct route *r, const struct sip_uri *uri);
/* A request inside a dialog that names this member by the URI `named` (empty: by a flow): by
 * ask->uri as it is to whichever serves it; to the member itself by that URI. 0 (see set->status),
 * ERR_NOT_FOUND (the member is gone), ERR_NOMEM. */
int route_in_dialog(struct route *r, const struct route_ask *ask, uint32_t member,
                    struct slice named, struct arena *arena, struct route_set *set) WARN_UNUSED;
/* A service URN, urn:service:sos and its like (RFC 5031): understood as a Request-URI. */
bool route_is_service(const struct sip_uri *uri);
void route_dest_of_way(const struct dn_way *way, bool no_reopen, struct flow_dest *out);
/* The same with what the device has to prove by TLS: the host of its contact, by the rules of the
 * DN. */
void route_dest_of_binding(struct route *r, const struct dn_info *info, struct slice dn,
                           const struct dn_binding *b, struct flow_dest *out);
/* May `from` have requests relayed (relay-from)? */
bool route_may_relay(const struct route *r, const struct addr *from);

/* The addresses behind a URI that is a next hop (Route, relayed Request-URI, contact), by RFC 3263:
 * transport by the URI, NAPTR, SRV, or UDP; sips by TLS only; port from the URI, SRV, or the
 * transport's; maddr honoured; the host of the URI is what a peer has to prove by TLS (RFC 5922 4).
 * Only transports and families that we have; IPv6 and IPv4 of one target one after the other (RFC
 * 7984). Addresses that failed a moment ago (route_note_failed) come last; those that are ourselves
 * are left out, and where nothing else is left it is ERR_LOOP. `fn` gets up to ROUTE_DESTS_MAX
 * destinations, in the order to be tried, with n > 0, or err < 0 (ERR_UNSUPPORTED: no such
 * transport, or one without TLS for sips; ERR_NOT_FOUND: no such name; ERR_DNS_*). Returns 1: fn
 * was called before return; 0: later. */
#define ROUTE_DESTS_MAX 16
typedef void route_resolved_fn(void *user, int err, const struct flow_dest *dests, unsigned n);
/* The caller's storage; its members are this room's. */
struct route_query {
    struct route *route;
    route_resolved_fn *fn;
    void *user;
    struct route_locate *locate; /* under way, NULL: none */
};
/* Nothing has come from there, or it cannot be reached: for dns-avoid-time it is tried last, also
 * as the contact of a DN that has another one, or of a trunk among others. */
void route_note_failed(struct route *r, const struct flow_dest *dest);
void route_note_alive(struct route *r, const struct flow_dest *dest);
int route_resolve(struct route *r, const struct sip_uri *uri, struct route_query *q,
                  route_resolved_fn *fn, void *user);
void route_resolve_cancel(struct route_query *q);

/* What else is known of the next hop. */
struct route_hop {
    struct slice profile; /* the DN behind it, where it has TLS rules of its own; or empty */
    bool is_secure;       /* as if its URI were a sips URI: the Request-URI is one (RFC 3261 8.1.2),
                             or the device has registered one */
    bool names_source;    /* of route_target */
};
int route_resolve_hop(struct route *r, const struct sip_uri *uri, const struct route_hop *hop,
                      struct route_query *q, route_resolved_fn *fn, void *user);

/* Flow tokens (RFC 5626 section 5.2): user part of our Record-Route or Path that names a flow, and
 * what its peer has to prove by TLS; keyed, so that nobody else can make one. At most
 * ROUTE_TOKEN_MAX bytes; where the names are too long for that it leads to a living connection
 * only. */
#define ROUTE_TOKEN_MAX 352
void route_token_write(struct route *r, const struct flow_dest *dest, struct buf *out);
/* 0; ERR_NOT_FOUND: not one of ours. */
int route_token_parse(struct route *r, struct slice user, struct flow_dest *out) WARN_UNUSED;

/* The DN named by a URI's user part and whether its domain is ours, into the arena. 0,
 * ERR_NOT_FOUND, ERR_NOMEM. */
int route_dn_of(struct route *r, const struct sip_uri *uri, struct arena *arena,
                struct slice *dn) WARN_UNUSED;

#endif
