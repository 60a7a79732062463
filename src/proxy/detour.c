/* SPDX-License-Identifier: Apache-2.0 */
/* Our own BYE to the member of a pair that has taken over the dialog: what it says names the member
 * that had it, and it goes to the one that has it, as requests of others inside that dialog do.
 *
 * owns: a scope for each, until its transaction ends. thread: one worker. */
#include "proxy/proxy_int.h"

#define DETOUR_MSG_MAX 4096 /* as in release.c */

/* The context of the transaction, of which nothing is expected. */
struct detour {
    struct proxy *proxy;
    struct txn_scope *scope;
    struct route_query query;
    struct slice ack, bye; /* without Via and what follows; ack: empty where it has been sent */
    struct slice reason;   /* header line */
};

static void on_response(void *ctx, uint64_t client, const struct sip_msg *res,
                        const struct flow_origin *origin)
{
    (void)ctx, (void)client, (void)res, (void)origin;
}

static void on_failed(void *ctx, uint64_t client, int err)
{
    (void)ctx, (void)client, (void)err;
}

static void on_end(void *ctx)
{
    struct detour *d = ctx;
    if (d->query.route != NULL)
        route_resolve_cancel(&d->query);
}

static const struct txn_tu detour_tu = {
    .on_response = on_response, .on_failed = on_failed, .on_end = on_end};

/* --- who has it --- */

uint32_t proxy_member_of(struct groups *groups, const struct flow_dest *way)
{
    struct addr other = way->remote;
    uint32_t member = groups != NULL ? group_member_at(groups, &way->remote) : 0;
    if (groups == NULL || member != 0 || way->alt_port == 0)
        return member;
    other.port = way->alt_port;
    return group_member_at(groups, &other);
}

bool detour_target(struct proxy *p, struct arena *arena, const struct flow_dest *way,
                   struct group_target *out)
{
    struct group_choice choice;
    uint32_t member = proxy_member_of(p->deps.groups, way);
    if (member == 0 || group_choose_in_dialog(p->deps.groups, member, arena, &choice) != 0 ||
        choice.n == 0 || choice.targets[0].member == member)
        return false;
    *out = choice.targets[0];
    return true;
}

/* --- sending --- */

static struct slice whole(const struct detour *d, struct slice head, const struct flow_dest *dest,
                          uint64_t id, uint32_t loop)
{
    char text[DETOUR_MSG_MAX];
    struct flow_local local;
    struct buf b;
    if (flows_local_for(d->proxy->deps.flows, dest, &local) != 0)
        return SLICE_NONE;
    buf_init(&b, text, sizeof(text));
    buf_slice(&b, head);
    proxy_write_via(d->proxy, dest, &local, id, loop, &b);
    if (loop == 0)
        buf_slice(&b, d->reason);
    buf_lit(&b, "Content-Length: 0\r\n\r\n");
    return b.overflow ? SLICE_NONE : arena_dup(txn_scope_arena(d->scope), buf_get(&b));
}

static void send_to(struct detour *d, const struct flow_dest *to)
{
    struct txns *txns = d->proxy->deps.txns;
    struct flow_dest dest = *to;
    uint64_t id;
    if (proxy_is_exposed(d->bye, &dest) || txn_client_new(txns, d->scope, d, &id) != 0)
        return;
    struct slice ack = d->ack.len != 0 ? whole(d, d->ack, &dest, id, 1) : SLICE_NONE;
    if (ack.len != 0)
        (void)!txn_send_stateless(txns, &dest, ack, NULL, NULL, 0);
    struct slice bye = whole(d, d->bye, &dest, id, 0);
    if (bye.len != 0)
        txn_client_send(txns, id, SIP_BYE, &dest, 0, bye);
    else
        txn_client_drop(txns, id);
}

static void on_resolved(void *user, int err, const struct flow_dest *dests, unsigned n)
{
    struct detour *d = user;
    if (err == 0 && n != 0)
        send_to(d, &dests[0]);
    txn_scope_unhold(d->scope);
}

static struct slice head_of(struct proxy *p, struct arena *arena, uint64_t call,
                            const struct call_dialog *dialog, enum sip_method method,
                            enum call_side to)
{
    char text[DETOUR_MSG_MAX];
    struct slice first_hop;
    struct buf b;
    buf_init(&b, text, sizeof(text));
    if (call_write_request(p->deps.calls, call, dialog, method, to, &b, &first_hop) != 0)
        return SLICE_NONE;
    return b.overflow ? SLICE_NONE : arena_dup(arena, buf_get(&b));
}

void detour_bye(struct proxy *p, uint64_t call, const struct call_dialog *dialog, enum call_side to,
                const struct group_target *at, struct slice reason)
{
    struct sip_uri uri;
    struct txn_scope *scope;
    void *ctx;
    if (txn_scope_new(p->deps.txns, &detour_tu, sizeof(struct detour), &ctx, &scope) != 0)
        return;
    struct detour *d = ctx;
    struct arena *arena = txn_scope_arena(scope);
    *d = (struct detour){.proxy = p, .scope = scope, .reason = arena_dup(arena, reason)};
    d->bye = head_of(p, arena, call, dialog, SIP_BYE, to);
    if (to == CALL_CALLEE && !dialog->acked)
        d->ack = head_of(p, arena, call, dialog, SIP_ACK, to);
    struct slice text = arena_dup(arena, at->uri);
    struct route_hop hop = {.profile = arena_dup(arena, at->profile)};
    txn_scope_hold(scope);
    if (d->bye.len != 0 && sip_uri_parse(text, &uri) == 0)
        route_resolve_hop(p->deps.route, &uri, &hop, &d->query, on_resolved, d);
    else
        txn_scope_unhold(scope);
}
