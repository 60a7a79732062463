/* SPDX-License-Identifier: Apache-2.0 */
#include "proxy/targets.h"

/* An ACK of a 2xx on its way: a scope of its own, since its next hop may have to be resolved. */
struct ack {
    struct proxy *proxy;
    struct txn_scope *scope;
    const struct sip_msg *msg;
    struct flow_origin origin;
    struct proxy_way way;
    struct route_query query;
    bool no_reopen;      /* towards a Voice over IP Service */
    uint32_t member;     /* of a pair: it may have to go to the other one; 0: none */
    uint64_t call;       /* its record, 0: none */
    enum call_side side; /* who sent it */
    struct slice dn;     /* of the device that it goes to, as far as its connection may need it */
};

/* Only when everything ends is a look-up still under way. */
static void on_end(void *ctx)
{
    struct ack *a = ctx;
    if (a->query.route != NULL)
        route_resolve_cancel(&a->query);
}

static const struct txn_tu ack_tu = {.on_end = on_end};

/* The branch of a stateless element must be the same for the same request (RFC 3261 16.11): a hash
 * of the branch it came with. Nothing answers an ACK, so it never has to find its way back. */
static uint64_t ack_branch(struct ack *a)
{
    struct hash_state h;
    hash_begin(&h, a->proxy->deps.key);
    hash_add(&h, a->msg->via.branch);
    hash_add(&h, sip_get(a->msg, a->msg->call_id));
    return hash_end(&h);
}

static bool lost_to_callee(void *proxy, uint64_t call, int err, struct flow_dest *dest)
{
    return release_ack_lost(proxy, call, CALL_CALLER, err, dest);
}

static bool lost_to_caller(void *proxy, uint64_t call, int err, struct flow_dest *dest)
{
    return release_ack_lost(proxy, call, CALL_CALLEE, err, dest);
}

static void ack_send(struct ack *a, const struct route_target *target, struct flow_dest *dest)
{
    struct proxy *p = a->proxy;
    struct outgoing o = {
        .req = a->msg,
        .origin = &a->origin,
        .way = &a->way,
        .target = target,
        .dest = dest,
        .branch_id = ack_branch(a),
    };
    struct slice bytes;
    struct arena *arena = txn_scope_arena(a->scope);
    bool to_callee = a->side == CALL_CALLER;
    dest->no_reopen = dest->no_reopen || a->no_reopen;
    if (proxy_write_request(p, arena, &o, &bytes) != 0)
        return;
    /* What a member has not got its successor will: that is no lost call. */
    txn_lost_fn *lost = to_callee ? lost_to_callee : lost_to_caller;
    if (a->member != 0) {
        held_add(p, a->member, bytes);
        lost = NULL;
    }
    struct flow_whose whose = {a->dn, sip_get(a->msg, a->msg->call_id)};
    int err = txn_send_stateless_for(p->deps.txns, dest, &whose, bytes, lost, p, a->call);
    if (err == 0)
        counter_inc(p->deps.counters, CTR_REQ_FORWARDED);
    else if (a->member == 0 && err != ERR_NOMEM && dest->transport != SIP_UDP && !dest->no_reopen)
        release_ack_unsent(p, a->call, a->side, err, a->msg);
}

static void on_resolved(void *user, int err, const struct flow_dest *dests, unsigned n)
{
    struct ack *a = user;
    if (err == 0 && n != 0) {
        struct flow_dest dest = dests[0];
        ack_send(a, NULL, &dest);
    }
    txn_scope_unhold(a->scope);
}

/* Nothing answers an ACK: the first target has to do. */
static void ack_to(struct ack *a, const struct route_set *set)
{
    struct sip_uri uri;
    if (set->status != 0 || set->n == 0)
        return;
    struct route_target *t = &set->targets[0];
    if (t->member != 0 && group_has_deputy(a->proxy->deps.groups, t->member, true))
        a->member = t->member;
    a->dn = t->is_device ? t->dn : SLICE_NONE;
    if (t->has_dest) {
        ack_send(a, t, &t->dest);
        return;
    }
    if (t->hop.len != 0 ? sip_uri_parse(t->hop, &uri) < 0 : proxy_target_uri(&a->way, t, &uri) < 0)
        return;
    a->no_reopen = a->no_reopen || t->is_voip_service;
    a->way.uri_text = t->uri;
    if (t->hop.len == 0)
        a->way.uri = uri;
    txn_scope_hold(a->scope);
    struct route_hop hop = {.profile = t->profile,
                            .is_secure = t->is_secure || proxy_is_sips(t->uri),
                            .names_source = t->names_source};
    route_resolve_hop(a->proxy->deps.route, &uri, &hop, &a->query, on_resolved, a);
}

static void ack_to_route(struct ack *a)
{
    txn_scope_hold(a->scope);
    struct route_hop hop = {.is_secure = a->way.uri.scheme == SIP_SCHEME_SIPS};
    route_resolve_hop(a->proxy->deps.route, &a->way.next_uri, &hop, &a->query, on_resolved, a);
}

/* As targets_find. */
static void ack_route(struct ack *a)
{
    struct proxy *p = a->proxy;
    struct arena *arena = txn_scope_arena(a->scope);
    uint32_t member = route_sender(p->deps.route, a->msg, &a->origin.remote, a->origin.transport);
    struct route_set set;
    int err = 0;
    struct route_ask ask = {
        .uri = &a->way.uri,
        .may_relay = a->way.relays || member != 0 ||
                     route_may_relay(p->deps.route, &a->origin.remote),
        .in_dialog = true,
        .member = member,
        .req = a->msg,
    };
    if (targets_by_header(p, &ask, arena, &set, &err) ||
        targets_by_member(p, &ask, &a->way, arena, &set, &err)) {
        if (err == 0)
            ack_to(a, &set);
    } else if (a->way.next_route.len != 0 && (ask.may_relay || !a->way.has_token)) {
        if (ask.may_relay)
            ack_to_route(a);
    } else if (a->way.has_token ||
               (!ask.may_relay && proxy_find_registered(p, arena, a->msg, &a->way))) {
        proxy_refresh_token(p, arena, a->msg, &a->way);
        a->dn = proxy_dn_in_dialog(p, arena, a->msg, &a->way, a->call, a->side);
        ack_send(a, NULL, &a->way.token);
    } else if (route_lookup(p->deps.route, &ask, arena, &set) == 0) {
        ack_to(a, &set);
    }
}

static void note_dialog(struct ack *a, const struct sip_msg *msg)
{
    struct call_dialog d;
    a->call = record_in_dialog(a->proxy, msg, &a->origin, &a->way, &a->side);
    if (dn_dir_is_configured(a->proxy->deps.dir) && record_dialog(a->proxy, a->call, msg, &d))
        a->no_reopen = d.ways[a->side == CALL_CALLER ? CALL_CALLEE : CALL_CALLER].no_reopen;
}

void proxy_on_ack(struct proxy *p, const struct sip_msg *msg, const struct flow_origin *origin)
{
    struct txn_scope *scope;
    void *ctx;
    if (msg->max_forwards == 0 ||
        txn_scope_new(p->deps.txns, &ack_tu, sizeof(struct ack), &ctx, &scope) != 0)
        return;
    struct ack *a = ctx;
    a->proxy = p;
    a->scope = scope;
    a->msg = sip_msg_copy(msg, txn_scope_arena(scope));
    a->origin = *origin;
    if (a->msg == NULL || proxy_prepare(p, a->msg, false, txn_scope_arena(scope), &a->way) != 0)
        return;
    note_dialog(a, a->msg);
    ack_route(a);
}
