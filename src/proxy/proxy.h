/* SPDX-License-Identifier: Apache-2.0 */
/* The transaction-stateful proxy: validate, route, forward, fork, choose the best response, cancel;
 * and what becomes of a call one side of which cannot be reached any more.
 *
 * owns: nothing that lasts; a response context lives in the arena of its request's scope. borrows:
 * txns, flows, route, directory, auth, calls, conf. thread: one worker. RFC 3261 section 16; RFC
 * 5393 (loops, Max-Breadth); RFC 5658 (double Record-Route); RFC 5626 section 5; RFC 6026; RFC
 * 3326 (Reason). */
#ifndef PROXY_PROXY_H
#define PROXY_PROXY_H

#include <stdbool.h>
#include <stdint.h>

#include "auth/auth.h"
#include "base/counter.h"
#include "base/random.h"
#include "base/wheel.h"
#include "call/call.h"
#include "dn/dn.h"
#include "flow/flow.h"
#include "group/group.h"
#include "load/load.h"
#include "route/route.h"
#include "txn/txn.h"

struct proxy;

struct proxy_conf {
    enum route_fork fork;
    uint32_t timer_c_ms;         /* timer-c */
    uint32_t late_trying_ms;     /* RFC 4320 4.1: when Timer E of a sender has reached T2 */
    struct slice *proxy_require; /* option tags accepted */
    unsigned nproxy_require;
    bool record_route;
    bool via_address;       /* resolve-host: an address in Via instead of host_name */
    struct slice host_name; /* of this machine */
    bool authenticate_all;  /* sip-authenticate = all */
    bool reopens;         /* sip-enable-tcp-keep-alive: a failure means that reopening failed too */
    bool answer_only;     /* draining: new requests outside dialogs get 503 */
    uint32_t max_breadth; /* RFC 5393 default for requests without one: 60 */
    uint32_t max_targets; /* of one request */
    uint32_t failover_ms; /* failover-time: nothing has come from an address for so long, and there
                             is another one: the request goes there too; 0: after Timer B or F */
    bool hide_topology;   /* hide-topology: Via and Record-Route values of inside addresses are not
                             shown to peers that are not inside */
    struct addr_net *inside; /* inside-networks */
    unsigned ninside;
    struct slice *emergency_numbers; /* emergency-numbers: user parts that are emergency calls */
    unsigned nemergency_numbers;
    struct slice *priorities; /* resource-priority: namespaces (RFC 4412) that pass an overload,
                                 from those who may have requests relayed and applications */
    unsigned npriorities;
    struct addr_net
        *open_to; /* registrar-open-to: where a registration without a password counts */
    unsigned nopen_to;
    uint32_t serial_ms; /* how long one of several targets tried in turn may ring, fork = sequential
                           or q */
};

struct proxy_deps {
    struct txns *txns;
    struct flows *flows;
    struct route *route;
    struct dn_dir *dir;
    struct auth *auth;
    struct wheel *wheel;
    struct counters *counters;
    const struct hash_key *key;         /* of loops: no other proxy has it */
    const struct hash_key *lasting_key; /* of dialog marks: the same after a restart */
    uint64_t (*wall)(void *user);       /* wall-clock ms */
    void *user;
    struct calls *calls;   /* NULL: none are kept, and no call is released */
    struct groups *groups; /* NULL: no applications */
    struct load *load;     /* NULL: nothing is refused for overload */
};

int proxy_new(const struct proxy_conf *conf, const struct proxy_deps *deps,
              struct proxy **out) WARN_UNUSED;
void proxy_free(struct proxy **p);
void proxy_set_conf(struct proxy *p,
                    const struct proxy_conf *conf); /* borrowed until the next call */

/* Is this REGISTER for a domain of ours, with no Route left but our own, and no serving-sipserver
 * set? Then it is the registrar's. */
bool proxy_is_for_registrar(struct proxy *p, const struct sip_msg *req);
/* May it stand in line behind what belongs to calls that exist, and be refused? An initial INVITE
 * that has no right to pass; and a CANCEL, which must not overtake the INVITE. */
bool proxy_may_wait(struct proxy *p, const struct sip_msg *req, const struct flow_origin *origin);
/* Overload: before anything is kept of a request that no transaction knows, for the registrar or
 * the proxy. `waited_ms`: as for load_admit. False: it has been answered
 * with 503 and Retry-After, without a transaction. */
bool proxy_admit(struct proxy *p, const struct sip_msg *req, const struct flow_origin *origin,
                 int64_t waited_ms);
/* An application's active member or state has changed (groups_epoch): what is under way towards a
 * member that has lost its role is replayed to the one that has it. */
void proxy_on_groups(struct proxy *p);
/* A request that no transaction knows (TXN_NEW), but REGISTER for a domain of ours. */
void proxy_on_request(struct proxy *p, const struct sip_msg *req, const struct flow_origin *origin);
/* ACK without a transaction: forwarded without state (RFC 3261 16.11). */
void proxy_on_ack(struct proxy *p, const struct sip_msg *ack, const struct flow_origin *origin);
/* CANCEL; `server` from txn_on_request. 0: 481; no INVITE of the proxy: 200, and that is all. */
void proxy_on_cancel(struct proxy *p, const struct sip_msg *cancel,
                     const struct flow_origin *origin, uint64_t server);

/* The administrator ends the call with that Call-ID, whose home this worker is: both ends of each
 * established dialog get BYE; a ringing one is cancelled, and its caller has 480 at once. `why`:
 * for Reason and log; NULL, or not fit for a quoted string: "Released by administrator". How many
 * dialogs were released. */
unsigned proxy_release(struct proxy *p, struct slice call_id, const char *why);

/* The daemon ends: each INVITE that has no final response gets 503 with Retry-After, and what rings
 * is cancelled. */
void proxy_give_up(struct proxy *p);

#endif
