/* SPDX-License-Identifier: Apache-2.0 */
/* One OPTIONS to one next hop: its addresses are tried one after the other, the next one when the
 * transport fails.
 *
 * owns: nothing; lives in the arena of its scope. borrows: the room's dependencies. thread: one
 * worker. RFC 3261 section 11; RFC 3263. */
#ifndef HEALTH_ASK_H
#define HEALTH_ASK_H

#include "health/health.h"

struct ask;

/* Told from the loop, or from inside ask_begin; at most one of answered and failed. */
struct ask_user {
    /* A final response, whatever it says. */
    void (*answered)(struct ask *a, unsigned status, const struct flow_origin *origin);
    /* No way leads there, or Timer F. */
    void (*failed)(struct ask *a, int err);
    /* Its connection died and it goes out again on another one. May be NULL. */
    void (*resent)(struct ask *a, int err);
    /* Where it leads to. May be NULL. */
    void (*resolved)(struct ask *a, const struct flow_dest *dests, unsigned n);
};

struct ask {
    struct health *h;
    struct txn_scope *scope;
    const struct ask_user *user;
    void *ctx; /* the user's */
    struct slice uri, path;
    struct slice profile; /* of its TLS rules, empty: the daemon's */
    struct slice dn;      /* whose device it is; empty: nobody's */
    uint64_t client;
    struct flow_dest *dests; /* NULL: to be found out */
    unsigned ndests, dest;
    bool is_urgent; /* also to where nobody could be reached a moment ago */
    bool is_resolving, is_done, no_reopen;
    struct route_query query;
};

/* A scope whose context is `size` bytes, zeroed. 0, ERR_NOMEM. */
int ask_scope_new(struct health *h, size_t size, void **ctx, struct txn_scope **scope) WARN_UNUSED;
/* What the user does not set is zero. The scope is held by the caller meanwhile.
 */
void ask_begin(struct ask *a);
/* Ends it without a word. */
void ask_drop(struct ask *a);
/* The same when nothing has come in time: the peer may be wedged. */
void ask_time_out(struct ask *a);
/* The connection it uses, 0: none. */
uint64_t ask_flow(const struct ask *a);
/* What says nothing of the peer. */
bool ask_is_own_fault(int err);

#endif
