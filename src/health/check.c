/* SPDX-License-Identifier: Apache-2.0 */
/* One check: OPTIONS to every way of a DN at once; the first answer that counts decides. */
#include "health/ask.h"
#include "health/health_int.h"

struct check {
    struct item *item; /* NULL: it is over */
    struct txn_scope *scope;
    struct slice dn; /* in the arena of the scope: the item may go before the last way has ended */
    uint64_t begun;
    bool is_starting, is_late;
    bool has_own_fault; /* a way could not be asked, for reasons of ours */
    int err;            /* of the last way that failed */
    unsigned n;
    struct ask *ways;
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
    return c->n != 0 ? c->ways[0].uri : SLICE_NONE;
}

void check_move(struct check *c, struct item *to)
{
    c->item = to;
}

/* --- its end --- */

static void end(struct check *c, bool is_timeout)
{
    for (unsigned i = 0; i < c->n; i++)
        if (is_timeout)
            ask_time_out(&c->ways[i]);
        else
            ask_drop(&c->ways[i]);
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
        if (!c->ways[i].is_done)
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

/* --- what its ways tell --- */

static void way_failed(struct ask *a, int err)
{
    struct check *c = a->ctx;
    if (c->item == NULL)
        return;
    if (ask_is_own_fault(err))
        c->has_own_fault = true;
    else
        c->err = err;
    judge(c);
}

static void way_answered(struct ask *a, unsigned status, const struct flow_origin *origin)
{
    struct check *c = a->ctx;
    struct item *it = c->item;
    if (it == NULL)
        return;
    dn_note_answer(it->h->deps.dir, it->name, status, 0);
    if (item_is_failure(it, status)) {
        way_failed(a, ERR_BAD_STATUS);
        return;
    }
    end(c, false);
    item_answered(it, status, &origin->remote);
}

static void way_resent(struct ask *a, int err)
{
    struct check *c = a->ctx;
    if (c->item == NULL)
        return;
    c->is_late = true;
    item_unanswered(c->item, err);
}

static const struct ask_user way_user = {
    .answered = way_answered,
    .failed = way_failed,
    .resent = way_resent,
};

/* --- its begin --- */

static struct ask *add_way(struct check *c, const struct item *it, const struct dn_info *dn,
                           struct slice uri)
{
    struct ask *a = &c->ways[c->n++];
    *a = (struct ask){.h = it->h, .scope = c->scope, .user = &way_user, .ctx = c, .uri = uri};
    a->dn = c->dn;
    a->no_reopen = dn->type == DN_VOIP_SERVICE;
    return a;
}

static void add_contact(struct check *c, const struct item *it, const struct dn_info *dn,
                        struct slice contact)
{
    struct ask *a = add_way(c, it, dn, contact);
    a->profile = dn->has_tls ? it->name : SLICE_NONE;
}

static void add_binding(struct check *c, const struct item *it, const struct dn_info *dn,
                        const struct dn_binding *binding)
{
    struct ask *a = add_way(c, it, dn, binding->contact);
    a->path = binding->path;
    if (binding->path.len != 0 ||
        (binding->way.flow == 0 && binding->way.remote.family == ADDR_NONE))
        return;
    a->dests = arena_alloc(txn_scope_arena(c->scope), sizeof(*a->dests));
    if (a->dests == NULL)
        return;
    route_dest_of_binding(it->h->deps.route, dn, it->name, binding, a->dests);
    a->ndests = 1;
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
    unsigned n = dn->nbindings + has_contact + dn->ncontact_backup;
    if (n > HEALTH_TARGETS_MAX)
        n = HEALTH_TARGETS_MAX;
    c->ways = arena_alloc(txn_scope_arena(c->scope), (n + 1) * sizeof(*c->ways));
    if (c->ways == NULL)
        return ERR_NOMEM;
    if (has_contact)
        add_contact(c, it, dn, dn->contact);
    for (unsigned i = 0; i < dn->ncontact_backup && c->n < n; i++)
        add_contact(c, it, dn, dn->contact_backup[i]);
    for (unsigned i = 0; c->n < n; i++)
        add_binding(c, it, dn, &dn->bindings[i]);
    return txn_scope_arena(c->scope)->overflow ? ERR_NOMEM : 0;
}

static void run_all(struct check *c)
{
    c->is_starting = true; /* answers of the resolver may come inside the calls */
    for (unsigned i = 0; i < c->n; i++)
        ask_begin(&c->ways[i]);
    c->is_starting = false;
    judge(c);
}

void check_begin(struct item *it)
{
    struct health *h = it->h;
    struct txn_scope *scope;
    struct dn_info dn;
    void *ctx;
    uint64_t wall = h->deps.wall(h->deps.user);
    if (ask_scope_new(h, sizeof(struct check), &ctx, &scope) != 0) {
        item_not_checked(it);
        return;
    }
    struct check *c = ctx;
    c->scope = scope;
    c->begun = health_now(h);
    c->dn = arena_dup(txn_scope_arena(scope), it->name);
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
