/* SPDX-License-Identifier: Apache-2.0 */
/* One check: OPTIONS to every way of a DN at once; the first answer that counts decides. */
#include "base/list.h"
#include "health/health_int.h"

/* One way: its addresses are tried one after the other, the next one when the transport fails. */
struct branch {
    struct check *check;
    struct slice uri, path;
    struct slice profile; /* of its TLS rules, empty: the daemon's */
    uint64_t client;
    struct flow_dest *dests;
    unsigned ndests, dest;
    bool is_resolving, is_done, no_reopen;
    struct route_query query;
};

struct check {
    struct item *item; /* NULL: it is over */
    struct txn_scope *scope;
    uint64_t begun;
    bool is_starting, is_late;
    bool has_own_fault; /* a way could not be asked, for reasons of ours */
    int err;            /* of the last way that failed */
    unsigned n;
    struct branch *branches;
};

uint64_t check_begun(const struct check *c)
{
    return c->begun;
}

bool check_is_late(const struct check *c)
{
    return c->is_late;
}

void check_set_late(struct check *c)
{
    c->is_late = true;
}

struct slice check_uri(const struct check *c)
{
    return c->n != 0 ? c->branches[0].uri : SLICE_NONE;
}

void check_move(struct check *c, struct item *to)
{
    c->item = to;
}

/* --- its end --- */

static void branch_drop(struct branch *b)
{
    struct check *c = b->check;
    struct health *h = c->item->h;
    if (b->is_resolving) {
        b->is_resolving = false;
        route_resolve_cancel(&b->query);
        txn_scope_unhold(c->scope);
    }
    if (b->client != 0 && !b->is_done)
        txn_client_forget(h->deps.txns, b->client);
    b->is_done = true;
}

/* A peer that takes in what is sent to it and says nothing may be wedged. */
static void tell_flow(const struct branch *b)
{
    const struct health_deps *d = &b->check->item->h->deps;
    const struct flow_dest *dest =
        b->client != 0 && !b->is_done ? txn_client_dest(d->txns, b->client) : NULL;
    if (dest != NULL && dest->transport != SIP_UDP && dest->flow != 0)
        flows_unanswered(d->flows, dest->flow);
}

static void end(struct check *c, bool is_timeout)
{
    for (unsigned i = 0; i < c->n; i++) {
        if (is_timeout)
            tell_flow(&c->branches[i]);
        branch_drop(&c->branches[i]);
    }
    c->item->check = NULL;
    c->item = NULL;
}

void check_drop(struct item *it, bool is_timeout)
{
    if (it->check != NULL)
        end(it->check, is_timeout);
}

/* After one way has failed: have all? */
static void judge(struct check *c)
{
    struct item *it = c->item;
    if (c->is_starting)
        return;
    for (unsigned i = 0; i < c->n; i++)
        if (!c->branches[i].is_done)
            return;
    if (!c->has_own_fault) {
        c->is_late = true;
        item_unanswered(it, c->err);
    }
    end(c, false);
    if (c->has_own_fault)
        item_not_checked(it);
    else
        item_failed(it, c->begun);
}

/* --- one way --- */

/* What says nothing of the peer. */
static bool is_own_fault(int err)
{
    return err == ERR_NOMEM || err == ERR_FULL || err == ERR_LIMIT || err == ERR_UNSUPPORTED ||
           err == ERR_PARSE || err == ERR_SHUTDOWN;
}

static void branch_send(struct branch *b);

static void branch_failed(struct branch *b, int err)
{
    struct check *c = b->check;
    if (!is_own_fault(err) && err != ERR_TIMEOUT && err != ERR_BAD_STATUS &&
        b->dest + 1 < b->ndests) {
        b->dest++;
        branch_send(b);
        return;
    }
    b->is_done = true;
    b->client = 0;
    if (is_own_fault(err))
        c->has_own_fault = true;
    else
        c->err = err;
    judge(c);
}

static int branch_write(struct branch *b, const struct flow_dest *dest, struct slice *bytes)
{
    struct health *h = b->check->item->h;
    struct flow_local local;
    int err = flows_local_for(h->deps.flows, dest, &local);
    if (err != 0)
        return err;
    struct options o = {
        .uri = b->uri,
        .path = b->path,
        .local = local.addr,
        .transport = dest->transport,
        .client = b->client,
        .tag = rng_next(&h->rng),
        .call = rng_next(&h->rng),
    };
    return options_write(txn_scope_arena(b->check->scope), &o, bytes);
}

static void branch_send(struct branch *b)
{
    struct health *h = b->check->item->h;
    struct txns *txns = h->deps.txns;
    struct flow_dest dest = b->dests[b->dest];
    struct slice bytes;
    dest.no_reopen = b->no_reopen;
    b->client = 0;
    int err = txn_client_new(txns, b->check->scope, b, &b->client);
    if (err == 0) {
        err = branch_write(b, &dest, &bytes);
        if (err != 0)
            txn_client_drop(txns, b->client);
    }
    if (err != 0) {
        branch_failed(b, err);
        return;
    }
    counter_inc(h->deps.counters, CTR_CHECKS);
    txn_client_send(txns, b->client, SIP_OPTIONS, &dest, 0, bytes);
}

static void on_resolved(void *user, int err, const struct flow_dest *dests, unsigned n)
{
    struct branch *b = user;
    struct check *c = b->check;
    struct txn_scope *scope = c->scope;
    b->is_resolving = false;
    if (err == 0) {
        b->dests = arena_alloc(txn_scope_arena(scope), n * sizeof(*dests));
        err = b->dests == NULL ? ERR_NOMEM : 0;
    }
    if (err == 0) {
        memcpy(b->dests, dests, n * sizeof(*dests));
        b->ndests = n;
        branch_send(b);
    } else {
        branch_failed(b, err);
    }
    txn_scope_unhold(scope);
}

/* The URI that leads to the next hop: the first of the Path, else the contact. */
static int next_hop(const struct branch *b, struct sip_uri *uri)
{
    struct slice rest = b->path, element;
    struct sip_name_addr na;
    if (rest.len == 0)
        return sip_uri_parse(b->uri, uri);
    if (!sip_list_next(&rest, &element) || sip_name_addr_parse(element, &na) < 0)
        return ERR_PARSE;
    return sip_uri_parse(na.uri, uri);
}

static void branch_run(struct branch *b)
{
    struct check *c = b->check;
    struct sip_uri uri;
    if (b->ndests != 0) {
        branch_send(b);
        return;
    }
    int err = next_hop(b, &uri);
    if (err != 0) {
        branch_failed(b, ERR_PARSE);
        return;
    }
    b->is_resolving = true;
    txn_scope_hold(c->scope);
    struct route_hop hop = {b->profile, slice_istarts(b->uri, SLICE("sips:"))};
    route_resolve_hop(c->item->h->deps.route, &uri, &hop, &b->query, on_resolved, b);
}

/* --- what its transactions tell --- */

static void on_response(void *ctx, uint64_t client, const struct sip_msg *res,
                        const struct flow_origin *origin)
{
    struct branch *b = ctx;
    struct check *c = b->check;
    if (c->item == NULL || b->is_done || b->client != client || res->status < 200)
        return;
    struct item *it = c->item;
    if (item_is_failure(it, res->status)) {
        branch_failed(b, ERR_BAD_STATUS);
        return;
    }
    b->is_done = true;
    end(c, false);
    item_answered(it, res->status, &origin->remote);
}

static void on_failed(void *ctx, uint64_t client, int err)
{
    struct branch *b = ctx;
    if (b->check->item != NULL && !b->is_done && b->client == client)
        branch_failed(b, err);
}

static void on_resent(void *ctx, uint64_t client, int err)
{
    struct branch *b = ctx;
    (void)client;
    if (b->check->item == NULL || b->is_done)
        return;
    b->check->is_late = true;
    item_unanswered(b->check->item, err);
}

static const struct txn_tu check_tu = {
    .on_response = on_response,
    .on_failed = on_failed,
    .on_resent = on_resent,
};

/* --- its begin --- */

static void add_contact(struct check *c, const struct item *it, const struct dn_info *dn)
{
    struct branch *b = &c->branches[c->n++];
    *b = (struct branch){.check = c, .uri = dn->contact};
    b->profile = dn->has_tls ? it->name : SLICE_NONE;
    b->no_reopen = dn->type == DN_VOIP_SERVICE;
}

static void add_binding(struct check *c, const struct item *it, const struct dn_info *dn,
                        const struct dn_binding *binding)
{
    struct branch *b = &c->branches[c->n++];
    *b = (struct branch){.check = c, .uri = binding->contact, .path = binding->path};
    b->no_reopen = dn->type == DN_VOIP_SERVICE;
    if (binding->path.len != 0 ||
        (binding->way.flow == 0 && binding->way.remote.family == ADDR_NONE))
        return;
    b->dests = arena_alloc(txn_scope_arena(c->scope), sizeof(*b->dests));
    if (b->dests == NULL)
        return;
    route_dest_of_binding(it->h->deps.route, dn, it->name, binding, b->dests);
    b->ndests = 1;
}

/* Has the device registered what the section says anyway? Then its connection is the way. */
static bool is_registered(const struct dn_info *dn)
{
    struct sip_uri contact, uri;
    if (sip_uri_parse(dn->contact, &contact) != 0)
        return false;
    for (unsigned i = 0; i < dn->nbindings; i++)
        if (sip_uri_parse(dn->bindings[i].contact, &uri) == 0 && sip_uri_eq(&contact, &uri))
            return true;
    return false;
}

/* All ways of the DN; 0: none. */
static int find_ways(struct check *c, const struct item *it, const struct dn_info *dn)
{
    bool has_contact = dn->contact.len != 0 && !is_registered(dn);
    unsigned n = dn->nbindings + has_contact;
    if (n > HEALTH_TARGETS_MAX)
        n = HEALTH_TARGETS_MAX;
    c->branches = arena_alloc(txn_scope_arena(c->scope), (n + 1) * sizeof(*c->branches));
    if (c->branches == NULL)
        return ERR_NOMEM;
    if (has_contact)
        add_contact(c, it, dn);
    for (unsigned i = 0; c->n < n; i++)
        add_binding(c, it, dn, &dn->bindings[i]);
    return txn_scope_arena(c->scope)->overflow ? ERR_NOMEM : 0;
}

static void run_all(struct check *c)
{
    struct txn_scope *scope = c->scope;
    /* Held: answers of the resolver may come inside the call. */
    txn_scope_hold(scope);
    c->is_starting = true;
    for (unsigned i = 0; i < c->n; i++)
        branch_run(&c->branches[i]);
    c->is_starting = false;
    judge(c);
    txn_scope_unhold(scope);
}

void check_begin(struct item *it)
{
    struct health *h = it->h;
    struct txn_scope *scope;
    struct dn_info dn;
    void *ctx;
    uint64_t wall = h->deps.wall(h->deps.user);
    if (txn_scope_new(h->deps.txns, &check_tu, sizeof(struct check), &ctx, &scope) != 0) {
        item_not_checked(it);
        return;
    }
    struct check *c = ctx;
    c->scope = scope;
    c->begun = health_now(h);
    int err = dn_find(h->deps.dir, it->name, wall, txn_scope_arena(scope), &dn);
    if (err == ERR_NOT_FOUND) /* its section is just going */
        return;
    if (err == 0)
        err = find_ways(c, it, &dn);
    if (err != 0) {
        item_not_checked(it);
        return;
    }
    item_seen(it, dn.state);
    /* Not registered; or the administrator's decision, which no answer changes. */
    if (c->n == 0 || (dn.out_of_service && dn.oos_cause == ERR_ADMIN))
        return;
    dn_note_check(h->deps.dir, it->name, wall);
    c->item = it;
    it->check = c;
    run_all(c);
}
