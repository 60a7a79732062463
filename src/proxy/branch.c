/* SPDX-License-Identifier: Apache-2.0 */
#include "proxy/proxy_int.h"

static void on_timer_c(struct timer *t, uint64_t now);

/* --- one branch --- */

struct branch *branch_new(struct pctx *c, struct route_target *t)
{
    struct branch *b = arena_zalloc(c->arena, sizeof(*b));
    if (b == NULL)
        return NULL;
    b->kind = CTX_BRANCH;
    b->ctx = c;
    b->target = t;
    timer_init(&b->timer_c, on_timer_c);
    timer_init(&b->quiet, proxy_on_quiet);
    list_init(&b->in_members);
    list_push(&c->branches, &b->node);
    c->active++;
    return b;
}

void branch_end(struct branch *b)
{
    struct wheel *wheel = b->ctx->proxy->deps.wheel;
    if (b->state == BRANCH_DONE)
        return;
    if (b->state == BRANCH_RESOLVING)
        route_resolve_cancel(&b->query);
    if (b->state == BRANCH_RESOLVING || b->state == BRANCH_PARKED)
        txn_scope_unhold(b->ctx->scope);
    timer_stop(wheel, &b->timer_c);
    timer_stop(wheel, &b->quiet);
    list_remove(&b->in_members);
    b->state = BRANCH_DONE;
    b->ctx->active--;
}

void branch_leave(struct branch *b)
{
    bool is_sent = b->state == BRANCH_TRYING;
    branch_end(b);
    b->is_left = is_sent;
    if (is_sent)
        txn_client_leave(b->ctx->proxy->deps.txns, b->client, SLICE_NONE);
}

/* The sender of an INVITE waits as long as it is told to; but ways that say nothing have Timer C
 * together, and not each of them Timer B for itself. */
bool proxy_has_room(const struct pctx *c)
{
    const struct proxy *p = c->proxy;
    uint64_t now = proxy_now(p);
    return c->is_invite ? now - c->rang < p->conf->timer_c_ms
                        : now - c->since + PROXY_ROOM_MS <= txns_timer_f(p->deps.txns);
}

static void set_timer_c(struct branch *b)
{
    struct proxy *p = b->ctx->proxy;
    if (b->ctx->is_invite)
        timer_set(p->deps.wheel, &b->timer_c, proxy_now(p) + p->conf->timer_c_ms);
}

/* RFC 3261 16.7 step 2: 100 does not put Timer C off. */
void branch_on_provisional(struct branch *b, unsigned status)
{
    b->was_heard = true;
    if (b->state != BRANCH_TRYING || status == 100 || b->was_cancelled)
        return;
    b->ctx->rang = proxy_now(b->ctx->proxy);
    set_timer_c(b);
}

/* RFC 3261 16.8. */
static void on_timer_c(struct timer *t, uint64_t now)
{
    struct branch *b = container_of(t, struct branch, timer_c);
    struct pctx *c = b->ctx;
    (void)now;
    if (b->was_heard) {
        b->was_cancelled = true;
        txn_client_cancel(c->proxy->deps.txns, b->client,
                          SLICE("Reason: SIP;cause=408;text=\"Timer C\"\r\n"));
        return;
    }
    txn_client_forget(c->proxy->deps.txns, b->client);
    branch_failed(b, ERR_TIMEOUT);
}

/* The URI that leads to the next hop: what was found to be the next hop whatever the request says,
 * the topmost Route left, Path of the binding, or the target itself. */
static int next_hop_uri(const struct branch *b, struct sip_uri *uri)
{
    const struct proxy_way *way = &b->ctx->way;
    if (b->target->hop.len != 0)
        return sip_uri_parse(b->target->hop, uri);
    if (way->next_route.len != 0) {
        *uri = way->next_uri;
        return 0;
    }
    if (b->target->path.len == 0)
        return proxy_target_uri(way, b->target, uri);
    struct slice rest = b->target->path, element;
    struct sip_name_addr na;
    if (!sip_list_next(&rest, &element) || sip_name_addr_parse(element, &na) < 0)
        return ERR_PARSE;
    return sip_uri_parse(na.uri, uri);
}

/* Rules of a DN are for its device and not for a proxy in front of it. */
static struct route_hop next_hop(const struct branch *b)
{
    const struct route_target *t = b->target;
    bool is_device = t->hop.len != 0 || (b->ctx->way.next_route.len == 0 && t->path.len == 0);
    return (struct route_hop){
        .profile = is_device ? t->profile : SLICE_NONE,
        .is_secure = proxy_is_sips(t->uri) || (is_device && t->is_secure),
        .names_source = is_device && t->names_source,
    };
}

/* Too large for a datagram: by TCP, unless the URI asks for UDP (RFC 3261 18.1.1), or the device is
 * behind a NAT that lets pass only what comes to the port of its datagrams. */
static bool wants_stream(const struct branch *b, const struct flow_dest *dest, size_t len)
{
    struct sip_uri uri;
    if (dest->transport != SIP_UDP || len <= PROXY_MTU || b->is_fallback)
        return false;
    if (!flows_has(b->ctx->proxy->deps.flows, SIP_TCP, dest->remote.family) ||
        next_hop_uri(b, &uri) != 0)
        return false;
    return uri.transport_text.len == 0 && (!b->target->has_dest || proxy_uri_leads_to(&uri, dest));
}

static int branch_write(struct branch *b, struct flow_dest *dest, struct slice *bytes)
{
    struct pctx *c = b->ctx;
    struct outgoing o = {
        .req = c->req,
        .origin = c->origin,
        .way = &c->way,
        .target = b->target,
        .dest = dest,
        .branch_id = b->client,
        .loop = c->loop,
        .breadth = b->breadth,
        .record_route = c->proxy->conf->record_route && c->is_dialog_forming,
        .adds_path = c->req->method == SIP_REGISTER && b->target->member != 0,
        .hides = &c->has_hidden,
    };
    o.record_route = o.record_route || (c->is_dialog_forming && proxy_must_record_route(&o));
    int err = proxy_write_request(c->proxy, c->arena, &o, bytes);
    if (err != 0 || !wants_stream(b, dest, bytes->len))
        return err;
    dest->transport = SIP_TCP;
    dest->flow = 0;
    b->is_upgraded = true;
    return proxy_write_request(c->proxy, c->arena, &o, bytes);
}

/* Whose device the request goes to, as far as it may be news to its connection. */
static struct slice dn_of(const struct branch *b, const struct flow_dest *dest)
{
    struct pctx *c = b->ctx;
    if (dest->transport == SIP_UDP || b->target->member != 0)
        return SLICE_NONE;
    if (b->target->is_device || !sip_in_dialog(c->req) || !c->way.has_token)
        return b->target->is_device ? b->target->dn : SLICE_NONE;
    return proxy_dn_in_dialog(c->proxy, c->arena, c->req, &c->way, c->call, c->side);
}

/* What is begun anew has no more time than its sender. */
static void limit_time(const struct branch *b)
{
    const struct pctx *c = b->ctx;
    struct txns *txns = c->proxy->deps.txns;
    uint64_t gone = proxy_now(c->proxy) - c->since;
    uint32_t timer_f = txns_timer_f(txns);
    if (!c->is_invite && gone != 0)
        txn_client_limit(txns, b->client, gone < timer_f ? timer_f - gone : 0);
}

void branch_send(struct branch *b)
{
    struct pctx *c = b->ctx;
    struct txns *txns = c->proxy->deps.txns;
    struct flow_dest dest = b->dests[b->dest];
    struct slice bytes;
    int err = overload_may_send(c, &dest) ? txn_client_new(txns, c->scope, b, &b->client)
                                          : ERR_OVERLOAD;
    if (err != 0) {
        branch_failed(b, err);
        return;
    }
    branch_arm_quiet(b);
    err = branch_write(b, &dest, &bytes);
    if (err != 0) {
        txn_client_drop(txns, b->client);
        branch_failed(b, err);
        return;
    }
    b->state = BRANCH_TRYING;
    b->was_heard = b->is_suspect = false;
    set_timer_c(b);
    if (c->proxy->conf->record_route && c->is_dialog_forming)
        record_begin(c);
    if (b->target->member != 0)
        replay_watch(b);
    struct flow_whose whose = {dn_of(b, &dest), sip_get(c->req, c->req->call_id)};
    counter_inc(c->proxy->deps.counters, CTR_REQ_FORWARDED);
    txn_client_for(txns, b->client, &whose);
    txn_client_send(txns, b->client, (enum sip_method)c->req->method, &dest, c->loop, bytes);
    limit_time(b);
}

static void on_resolved(void *user, int err, const struct flow_dest *dests, unsigned n)
{
    struct branch *b = user;
    struct pctx *c = b->ctx;
    b->state = BRANCH_NEW;
    if (err == 0) {
        b->dests = arena_alloc(c->arena, n * sizeof(*dests));
        err = b->dests == NULL ? ERR_NOMEM : 0;
    }
    if (err != 0) {
        branch_failed(b, err);
    } else {
        memcpy(b->dests, dests, n * sizeof(*dests));
        b->ndests = n;
        for (unsigned i = 0; i < n; i++)
            b->dests[i].no_reopen = b->target->is_voip_service;
        branch_send(b);
    }
    txn_scope_unhold(c->scope);
}

void branch_run(struct branch *b)
{
    struct pctx *c = b->ctx;
    if (b->target->has_dest) {
        b->dests = &b->target->dest;
        b->ndests = 1;
        branch_send(b);
        return;
    }
    struct sip_uri uri;
    int err = next_hop_uri(b, &uri);
    if (err != 0) {
        branch_failed(b, err);
        return;
    }
    b->state = BRANCH_RESOLVING;
    txn_scope_hold(c->scope);
    struct route_hop hop = next_hop(b);
    route_resolve_hop(c->proxy->deps.route, &uri, &hop, &b->query, on_resolved, b);
}

bool branch_start(struct pctx *c, struct route_target *t, unsigned breadth)
{
    t->is_tried = true;
    struct branch *b = branch_new(c, t);
    if (b == NULL)
        return false;
    b->breadth = breadth;
    branch_run(b);
    return true;
}

/* --- all branches --- */

void branches_cancel(struct pctx *c, const struct branch *but, struct slice reason)
{
    LIST_EACH_SAFE(node, tmp, &c->branches)
    {
        struct branch *b = branch_of(node);
        if (b == but || b->state == BRANCH_DONE || b->was_cancelled)
            continue;
        b->was_cancelled = true;
        if (b->state != BRANCH_TRYING) {
            branch_end(b);
            continue;
        }
        timer_stop(c->proxy->deps.wheel, &b->timer_c);
        txn_client_cancel(c->proxy->deps.txns, b->client, reason);
    }
}

/* Flows of one device are alternatives, and so are targets that say so: only the first of them
 * counts as a target of its own. */
static bool is_waiting(const struct pctx *c, unsigned i)
{
    const struct route_target *t = &c->set.targets[i];
    if (t->is_tried)
        return false;
    for (unsigned k = 0; (t->instance.len != 0 || t->alt != 0) && k < i; k++) {
        const struct route_target *first = &c->set.targets[k];
        if ((t->instance.len != 0 && slice_eq(first->instance, t->instance)) ||
            (t->alt != 0 && first->alt == t->alt))
            return false;
    }
    return true;
}

/* The targets to be tried together: all, one, or those with the highest q left. */
static unsigned next_group(const struct pctx *c, struct route_target **group, unsigned max)
{
    unsigned n = 0;
    enum route_fork fork = c->proxy->conf->fork;
    for (unsigned i = 0; i < c->set.n && n < max; i++) {
        struct route_target *t = &c->set.targets[i];
        if (!is_waiting(c, i))
            continue;
        if (n != 0 &&
            (fork == ROUTE_FORK_SEQUENTIAL || (fork == ROUTE_FORK_Q && t->q != group[0]->q)))
            break;
        group[n++] = t;
    }
    return n;
}

/* RFC 5393 5.3.3: what the branches under way have together never exceeds what came in. While
 * targets are waiting half of it is kept for them. */
static unsigned breadth_left(struct pctx *c)
{
    unsigned used = 0;
    LIST_EACH(node, &c->branches)
    if (branch_of(node)->state != BRANCH_DONE)
        used += branch_of(node)->breadth + branch_of(node)->reserve;
    return used < c->breadth ? c->breadth - used : 0;
}

/* One after the other, inside: nothing is decided before all have begun. */
static void start_group(struct pctx *c, struct route_target **group, unsigned n, unsigned breadth)
{
    c->is_starting = true;
    for (unsigned i = 0; i < n; i++)
        if (!branch_start(c, group[i], breadth))
            best_take(c, &(struct best){.status = 500, .err = ERR_NOMEM});
    c->is_starting = false;
}

bool proxy_start_next(struct pctx *c)
{
    struct proxy *p = c->proxy;
    struct route_target *group[PROXY_GROUP_MAX], *more[1];
    unsigned max = p->conf->max_targets < PROXY_GROUP_MAX ? p->conf->max_targets : PROXY_GROUP_MAX;
    unsigned left = breadth_left(c);
    unsigned n = next_group(c, group, left < max ? left : max);
    if (n == 0)
        return false;
    /* Marked first: a branch that fails at once must not take its neighbour. */
    for (unsigned i = 0; i < n; i++)
        group[i]->is_tried = true;
    bool has_more = next_group(c, more, 1) != 0;
    if (has_more && left / 2 >= n)
        left /= 2;
    c->begun += n;
    start_group(c, group, n, left / n);
    if (c->active != 0 && has_more)
        timer_set(p->deps.wheel, &c->serial, proxy_now(p) + p->conf->serial_ms);
    if (c->active == 0)
        proxy_advance(c);
    return true;
}

/* A target has rung long enough: the next one's turn (fork = sequential or q). */
void proxy_on_serial(struct timer *t, uint64_t now)
{
    struct pctx *c = container_of(t, struct pctx, serial);
    (void)now;
    if (c->is_over)
        return;
    branches_cancel(c, NULL, SLICE_NONE);
    if (!proxy_start_next(c))
        proxy_advance(c);
}

void proxy_advance(struct pctx *c)
{
    if (c->active != 0 || c->is_starting)
        return;
    timer_stop(c->proxy->deps.wheel, &c->serial);
    if (!c->is_over && proxy_start_next(c))
        return;
    if (!c->is_final && !c->has_success)
        best_send(c);
}
