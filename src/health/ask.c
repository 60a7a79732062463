/* SPDX-License-Identifier: Apache-2.0 */
#include "health/ask.h"

#include "health/health_int.h"

/* --- its end --- */

void ask_drop(struct ask *a)
{
    if (a->is_resolving) {
        a->is_resolving = false;
        route_resolve_cancel(&a->query);
        txn_scope_unhold(a->scope);
    }
    if (a->client != 0 && !a->is_done)
        txn_client_forget(a->h->deps.txns, a->client);
    a->is_done = true;
}

uint64_t ask_flow(const struct ask *a)
{
    const struct flow_dest *dest =
        a->client != 0 && !a->is_done ? txn_client_dest(a->h->deps.txns, a->client) : NULL;
    return dest != NULL && dest->transport != SIP_UDP ? dest->flow : 0;
}

/* A peer that takes in what is sent to it and says nothing may be wedged. */
void ask_time_out(struct ask *a)
{
    uint64_t flow = ask_flow(a);
    if (flow != 0)
        flows_unanswered(a->h->deps.flows, flow);
    if (!a->is_done && a->dest < a->ndests)
        route_note_failed(a->h->deps.route, &a->dests[a->dest]);
    ask_drop(a);
}

bool ask_is_own_fault(int err)
{
    return err == ERR_NOMEM || err == ERR_FULL || err == ERR_LIMIT || err == ERR_UNSUPPORTED ||
           err == ERR_PARSE || err == ERR_SHUTDOWN;
}

/* --- on its way --- */

static void ask_send(struct ask *a);

static void fail(struct ask *a, int err)
{
    if (!ask_is_own_fault(err) && a->dest < a->ndests) {
        route_note_failed(a->h->deps.route, &a->dests[a->dest]);
        if (err != ERR_TIMEOUT && a->dest + 1 < a->ndests) {
            a->dest++;
            ask_send(a);
            return;
        }
    }
    a->is_done = true;
    a->client = 0;
    a->user->failed(a, err);
}

static int write_options(struct ask *a, const struct flow_dest *dest, struct slice *bytes)
{
    struct health *h = a->h;
    struct options o = {
        .uri = a->uri,
        .path = a->path,
        .transport = dest->transport,
        .client = a->client,
        .tag = rng_next(&h->rng),
        .call = rng_next(&h->rng),
    };
    int err = flows_local_for(h->deps.flows, dest, &o.local);
    return err == 0 ? options_write(txn_scope_arena(a->scope), &o, bytes) : err;
}

static void ask_send(struct ask *a)
{
    struct txns *txns = a->h->deps.txns;
    struct flow_dest dest = a->dests[a->dest];
    struct slice bytes;
    dest.no_reopen = a->no_reopen;
    a->client = 0;
    int err = txn_client_new(txns, a->scope, a, &a->client);
    if (err == 0) {
        err = write_options(a, &dest, &bytes);
        if (err != 0)
            txn_client_drop(txns, a->client);
    }
    if (err != 0) {
        fail(a, err);
        return;
    }
    counter_inc(a->h->deps.counters, CTR_CHECKS);
    if (a->is_urgent)
        flows_try_anew(a->h->deps.flows, &dest);
    struct flow_whose whose = {.dn = a->dn};
    txn_client_for(txns, a->client, &whose);
    txn_client_send(txns, a->client, SIP_OPTIONS, &dest, 0, bytes);
}

static void on_resolved(void *user, int err, const struct flow_dest *dests, unsigned n)
{
    struct ask *a = user;
    struct txn_scope *scope = a->scope;
    a->is_resolving = false;
    if (err == 0) {
        a->dests = arena_alloc(txn_scope_arena(scope), n * sizeof(*dests));
        err = a->dests == NULL ? ERR_NOMEM : 0;
    }
    if (err == 0) {
        memcpy(a->dests, dests, n * sizeof(*dests));
        a->ndests = n;
        if (a->user->resolved != NULL)
            a->user->resolved(a, a->dests, n);
        ask_send(a);
    } else {
        fail(a, err);
    }
    txn_scope_unhold(scope);
}

/* The URI that leads to the next hop: the first of the Path, else the contact. */
static int next_hop(const struct ask *a, struct sip_uri *uri)
{
    struct slice rest = a->path, element;
    struct sip_name_addr na;
    if (rest.len == 0)
        return sip_uri_parse(a->uri, uri);
    if (!sip_list_next(&rest, &element) || sip_name_addr_parse(element, &na) < 0)
        return ERR_PARSE;
    return sip_uri_parse(na.uri, uri);
}

void ask_begin(struct ask *a)
{
    struct sip_uri uri;
    if (a->ndests != 0) {
        ask_send(a);
        return;
    }
    if (next_hop(a, &uri) != 0) {
        fail(a, ERR_PARSE);
        return;
    }
    a->is_resolving = true;
    txn_scope_hold(a->scope);
    struct route_hop hop = {.profile = a->profile,
                            .is_secure = slice_istarts(a->uri, SLICE("sips:"))};
    route_resolve_hop(a->h->deps.route, &uri, &hop, &a->query, on_resolved, a);
}

/* --- what its transaction tells --- */

static bool is_waiting(const struct ask *a, uint64_t client)
{
    return !a->is_done && a->client == client;
}

static void on_response(void *ctx, uint64_t client, const struct sip_msg *res,
                        const struct flow_origin *origin)
{
    struct ask *a = ctx;
    if (!is_waiting(a, client) || res->status < 200)
        return;
    if (a->dest < a->ndests)
        route_note_alive(a->h->deps.route, &a->dests[a->dest]);
    a->is_done = true;
    a->user->answered(a, res->status, origin);
}

static void on_failed(void *ctx, uint64_t client, int err)
{
    struct ask *a = ctx;
    if (is_waiting(a, client))
        fail(a, err);
}

static void on_resent(void *ctx, uint64_t client, int err)
{
    struct ask *a = ctx;
    if (is_waiting(a, client) && a->user->resent != NULL)
        a->user->resent(a, err);
}

static const struct txn_tu ask_tu = {
    .is_quiet = true, /* the check repeats, and its outcome is an event */
    .on_response = on_response,
    .on_failed = on_failed,
    .on_resent = on_resent,
    .is_aside = true, /* there is always one under way to a peer that is silent */
};

int ask_scope_new(struct health *h, size_t size, void **ctx, struct txn_scope **scope)
{
    return txn_scope_new(h->deps.txns, &ask_tu, size, ctx, scope);
}
