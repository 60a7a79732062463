/* SPDX-License-Identifier: Apache-2.0 */
/* What requests tell of their devices (in service, suspect, out of service), and what the directory
 * tells of a device that has registered anew while a request was on its way to where it was. */
#include "proxy/proxy_int.h"

bool proxy_find_dn(struct proxy *p, struct arena *arena, const struct sip_msg *req,
                   enum sip_hdr_id id, struct slice *name, struct dn_info *dn)
{
    struct sip_name_addr na;
    struct sip_uri uri;
    return sip_name_addr_parse(sip_value(req, id), &na) == 0 && sip_uri_parse(na.uri, &uri) == 0 &&
           route_dn_of(p->deps.route, &uri, arena, name) == 0 &&
           dn_find(p->deps.dir, *name, p->deps.wall(p->deps.user), arena, dn) == 0;
}

/* --- states --- */

/* The connection that was there has ended; whether another one can be opened is not known yet. */
static bool is_end_of_connection(int err)
{
    return err == ERR_CLOSED || err == -ECONNRESET || err == -EPIPE || err == -ECONNABORTED ||
           (err <= ERR_STALE_IDLE && err >= ERR_STALE_WEDGED);
}

/* Was everything tried that leads to this target? Where connections are not reopened inside a
 * transaction the next one may well open it. A slow reader is there. */
static bool says_unreachable(const struct branch *b, int err)
{
    bool reopens = b->ctx->proxy->conf->reopens && !b->target->is_voip_service &&
                   !b->target->dest.no_reopen;
    return proxy_is_transport(err) && err != ERR_SLOW_READER &&
           (reopens || !is_end_of_connection(err));
}

/* The device behind a target; inside a dialog it is looked up when it matters. */
static bool knows_device(struct branch *b)
{
    if (!b->target->is_device)
        proxy_find_only_device(b->ctx, b->target);
    return b->target->is_device;
}

/* What took a DN out of service. */
struct outage {
    int err;
    struct slice dn, contact, call_id;
    const struct addr *peer;
    uint64_t since; /* ms: when the request came that could not be brought to it */
};

static void set_out_of_service(struct proxy *p, const struct outage *o)
{
    if (!dn_set_out_of_service(p->deps.dir, o->dn, o->err, p->deps.wall(p->deps.user)))
        return;
    counter_inc(p->deps.counters, CTR_DN_OOS);
    EVENT_LOG(EV_DN_OUT, LF_SLICE("dn", o->dn), LF_STR("by", "call"),
              LF_SLICE("contact", o->contact), LF_ADDR("peer", o->peer), LF_ERR("cause", o->err),
              LF_SLICE("call_id", o->call_id), LF_INT("ms", proxy_now(p) - o->since));
}

void branch_note_suspect(struct branch *b, int err)
{
    const struct pctx *c = b->ctx;
    struct proxy *p = c->proxy;
    const struct flow_dest *dest = txn_client_dest(p->deps.txns, b->client);
    static const struct addr none;
    if (!knows_device(b) ||
        !dn_set_suspect(p->deps.dir, b->target->dn, err, p->deps.wall(p->deps.user)))
        return;
    counter_inc(p->deps.counters, CTR_DN_SUSPECT);
    EVENT_LOG(EV_DN_SUSPECT, LF_SLICE("dn", b->target->dn), LF_STR("by", "call"),
              LF_ADDR("peer", dest != NULL ? &dest->remote : &none), LF_ERR("cause", err),
              LF_SLICE("call_id", sip_get(c->req, c->req->call_id)),
              LF_INT("ms", proxy_now(p) - c->since));
}

void branch_note_alive(struct branch *b)
{
    struct proxy *p = b->ctx->proxy;
    if (!b->target->is_device || b->target->dn.len == 0)
        return;
    enum dn_state was = dn_set_in_service(p->deps.dir, b->target->dn);
    if (was == DN_IN_SERVICE)
        return;
    if (was == DN_OUT_OF_SERVICE)
        counter_inc(p->deps.counters, CTR_DN_BACK);
    EVENT_LOG(EV_DN_BACK, LF_SLICE("dn", b->target->dn),
              LF_STR("was", was == DN_OUT_OF_SERVICE ? "out-of-service" : "suspect"),
              LF_STR("by", "call"),
              LF_SLICE("call_id", sip_get(b->ctx->req, b->ctx->req->call_id)));
}

void proxy_on_resent(void *ctx, uint64_t client, int err)
{
    struct branch *b = ctx;
    if (b->kind != CTX_BRANCH || b->state != BRANCH_TRYING)
        return;
    const struct pctx *c = b->ctx;
    struct proxy *p = c->proxy;
    const struct flow_dest *dest = txn_client_dest(p->deps.txns, client);
    uint32_t left_out;
    b->is_suspect = true;
    branch_note_suspect(b, err);
    if (dest == NULL || !log_limit_ok(&p->resent_limit, proxy_now(p), 20, 10000, &left_out))
        return;
    LOG(LOG_INFO, "proxy", "request sent again",
        LF_SLICE("method", sip_get(c->req, c->req->method_text)), LF_SLICE("dn", b->target->dn),
        LF_ADDR("peer", &dest->remote), LF_ADDR("local", &dest->local), LF_ERR("cause", err),
        LF_SLICE("call_id", sip_get(c->req, c->req->call_id)),
        LF_INT("ms", proxy_now(p) - c->since), LF_INT("left_out", left_out));
}

/* --- registered anew --- */

static struct slice dn_of(struct branch *b)
{
    struct pctx *c = b->ctx;
    struct sip_name_addr to;
    struct sip_uri uri;
    struct slice name = b->target->dn;
    if (name.len == 0 && sip_in_dialog(c->req) && c->way.has_token &&
        (sip_name_addr_parse(sip_value(c->req, SIP_H_TO), &to) < 0 ||
         sip_uri_parse(to.uri, &uri) < 0 ||
         route_dn_of(c->proxy->deps.route, &uri, c->arena, &name) != 0))
        return SLICE_NONE;
    return name;
}

static bool is_same_way(const struct dn_way *way, const struct flow_dest *dest)
{
    if (way->transport != dest->transport)
        return false;
    return way->transport == SIP_UDP ? addr_eq(&way->remote, &dest->remote)
                                     : way->flow == dest->flow;
}

/* A way that this request has not been sent by. */
static bool is_new_way(const struct branch *b, const struct dn_binding *binding)
{
    const struct pctx *c = b->ctx;
    const struct dn_way *way = &binding->way;
    if (binding->path.len != 0 || is_same_way(way, &b->target->dest))
        return false;
    if (way->transport != SIP_UDP && !flows_is_alive(c->proxy->deps.flows, way->flow))
        return false;
    for (unsigned i = 0; i < c->set.n; i++)
        if (is_same_way(way, &c->set.targets[i].dest))
            return false;
    return true;
}

static bool is_same_contact(struct slice a, struct slice b)
{
    struct sip_uri x, y;
    return sip_uri_parse(a, &x) == 0 && sip_uri_parse(b, &y) == 0 && sip_uri_eq(&x, &y);
}

/* The contact as a Request-URI of this request (RFC 5630 5.3); empty: not for it. */
static struct slice uri_of(const struct branch *b, struct slice contact)
{
    bool wants_sips = b->ctx->way.uri.scheme == SIP_SCHEME_SIPS;
    if (proxy_is_sips(contact) == wants_sips)
        return contact;
    char *text = wants_sips ? NULL : arena_bytes(b->ctx->arena, contact.len);
    struct buf out;
    buf_init(&out, text, text != NULL ? contact.len : 0);
    if (text == NULL)
        return SLICE_NONE;
    buf_lit(&out, "sip:");
    buf_slice(&out, slice_of(contact.ptr + 5, contact.len - 5));
    return buf_get(&out);
}

/* The registration that has taken the place of the one which the branch went to: of the same
 * Contact or instance; inside a dialog from the same address, outside any that was made since the
 * request came. */
static const struct dn_binding *renewed_binding(struct branch *b, struct dn_info *dn)
{
    struct pctx *c = b->ctx;
    struct proxy *p = c->proxy;
    struct slice name = dn_of(b);
    uint64_t now = p->deps.wall(p->deps.user), since = now - (proxy_now(p) - c->since);
    const struct dn_binding *newer = NULL;
    if (name.len == 0 || dn_find(p->deps.dir, name, now, c->arena, dn) != 0)
        return NULL;
    for (unsigned i = 0; i < dn->nbindings; i++) {
        const struct dn_binding *x = &dn->bindings[i];
        struct slice uri = is_new_way(b, x) ? uri_of(b, x->contact) : SLICE_NONE;
        if (uri.len == 0)
            continue;
        if (is_same_contact(uri, b->target->uri) ||
            (x->instance.len != 0 && slice_eq(x->instance, b->target->instance)))
            return x;
        if (sip_in_dialog(c->req)) {
            if (addr_eq_ip(&x->way.remote, &b->target->dest.remote))
                return x;
            continue; /* another device of that DN does not know the dialog */
        }
        if (x->updated >= since && (newer == NULL || x->updated > newer->updated))
            newer = x;
    }
    return newer;
}

static void dest_of(struct branch *b, const struct dn_info *dn, const struct dn_binding *binding,
                    struct flow_dest *out)
{
    route_dest_of_binding(b->ctx->proxy->deps.route, dn, dn_of(b), binding, out);
}

/* From where the other side of the dialog has spoken last. */
static bool spoken_way(const struct branch *b, struct flow_dest *dest)
{
    const struct pctx *c = b->ctx;
    struct call_dialog d;
    if (!sip_in_dialog(c->req) || !record_dialog(c->proxy, c->call, c->req, &d))
        return false;
    const struct flow_dest *way = &d.ways[c->side == CALL_CALLER ? CALL_CALLEE : CALL_CALLER];
    if (way->transport != dest->transport || way->flow == dest->flow ||
        !flows_is_alive(c->proxy->deps.flows, way->flow))
        return false;
    *dest = *way;
    return true;
}

/* The same bytes by the device's new way, as a retransmission: what it has begun to answer goes on
 * (RFC 3261 17.2.3; a new branch would be a merged request, 8.2.2.2). Not where it was never heard
 * of and has another address now, which has to be asked for. */
bool proxy_on_stranded(void *ctx, uint64_t client, int err, struct flow_dest *dest)
{
    struct branch *b = ctx;
    struct dn_info dn;
    (void)client;
    if (b->kind != CTX_BRANCH || b->state != BRANCH_TRYING || !proxy_is_transport(err) ||
        b->renewals >= PROXY_RENEWALS_MAX)
        return false;
    const struct dn_binding *x = renewed_binding(b, &dn);
    if (x != NULL && x->way.transport == dest->transport &&
        (b->was_heard || sip_in_dialog(b->ctx->req) ||
         is_same_contact(uri_of(b, x->contact), b->target->uri)))
        dest_of(b, &dn, x, dest);
    else if (!spoken_way(b, dest))
        return false;
    b->renewals++;
    b->is_suspect = true;
    b->target->dest = *dest;
    return true;
}

bool branch_try_renewed(struct branch *b, int err)
{
    struct dn_info dn;
    if (!proxy_is_transport(err) || b->renewals >= PROXY_RENEWALS_MAX)
        return false;
    const struct dn_binding *x = renewed_binding(b, &dn);
    struct route_target *t = x != NULL ? arena_zalloc(b->ctx->arena, sizeof(*t)) : NULL;
    if (t == NULL)
        return false;
    *t = *b->target;
    t->has_dest = true;
    dest_of(b, &dn, x, &t->dest);
    if (!sip_in_dialog(b->ctx->req)) {
        t->uri = uri_of(b, x->contact);
        t->is_secure = proxy_is_sips(x->contact);
    }
    b->target->is_unreachable = true;
    b->target = t;
    b->dests = &t->dest;
    b->ndests = 1;
    b->dest = 0;
    b->is_upgraded = b->is_fallback = false;
    b->renewals++;
    branch_send(b);
    return true;
}

/* Has the DN a registration that this request has not tried, for it or for others? */
static bool has_new_way(struct branch *b)
{
    struct proxy *p = b->ctx->proxy;
    struct dn_info dn;
    if (dn_find(p->deps.dir, b->target->dn, p->deps.wall(p->deps.user), b->ctx->arena, &dn) != 0)
        return false;
    for (unsigned i = 0; i < dn.nbindings; i++)
        if (is_new_way(b, &dn.bindings[i]))
            return true;
    return false;
}

/* Out of service only when no way to the device is left: one dead connection is not a dead peer,
 * and one that has just registered is none either. */
void branch_note_unreachable(struct branch *b, int err)
{
    struct pctx *c = b->ctx;
    if (!says_unreachable(b, err) || !knows_device(b))
        return;
    b->target->is_unreachable = true;
    for (unsigned i = 0; i < c->set.n; i++) {
        const struct route_target *o = &c->set.targets[i];
        if (!o->is_unreachable && slice_eq(o->dn, b->target->dn))
            return;
    }
    if (has_new_way(b))
        return;
    if (err == ERR_ICMP_PORT || err == ERR_ICMP_HOST) {
        /* One datagram has not arrived; the next one is tried as well. */
        branch_note_suspect(b, err);
        return;
    }
    const struct flow_dest *dest = txn_client_dest(c->proxy->deps.txns, b->client);
    struct outage o = {
        .err = err,
        .dn = b->target->dn,
        .contact = b->target->uri,
        .call_id = sip_get(c->req, c->req->call_id),
        .peer = dest != NULL ? &dest->remote : &b->target->dest.remote,
        .since = c->since,
    };
    set_out_of_service(c->proxy, &o);
}

bool proxy_is_from_device(const struct pctx *c)
{
    struct slice name;
    struct dn_info dn;
    if (!proxy_find_dn(c->proxy, c->arena, c->req, SIP_H_FROM, &name, &dn))
        return false;
    for (unsigned i = 0; i < dn.nbindings; i++)
        if (addr_eq_ip(&dn.bindings[i].way.remote, &c->origin->remote))
            return true;
    return false;
}

/* Has the DN any way but the one that failed? */
static bool has_other_way(struct proxy *p, const struct dn_info *dn, const struct flow_dest *failed)
{
    if (dn->nbindings + (dn->contact.len != 0) + dn->ncontact_backup != 1)
        return true;
    return dn->nbindings == 1 && dn->bindings[0].way.flow != failed->flow &&
           flows_is_alive(p->deps.flows, dn->bindings[0].way.flow);
}

void proxy_note_lost(struct proxy *p, struct arena *arena, const struct call_dialog *d, int err)
{
    struct dn_info dn;
    const struct flow_dest *way = &d->ways[CALL_CALLEE];
    if (d->dn.len == 0 || !proxy_is_transport(err) || !p->conf->reopens || way->no_reopen ||
        dn_find(p->deps.dir, d->dn, p->deps.wall(p->deps.user), arena, &dn) != 0 ||
        has_other_way(p, &dn, way))
        return;
    struct outage o = {
        .err = err,
        .dn = d->dn,
        .contact = dn.nbindings != 0 ? dn.bindings[0].contact : dn.contact,
        .call_id = d->call_id,
        .peer = &way->remote,
        .since = d->heard,
    };
    set_out_of_service(p, &o);
}
