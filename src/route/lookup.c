/* SPDX-License-Identifier: Apache-2.0 */
#include "route/route_int.h"

void route_dest_of_way(const struct dn_way *way, bool no_reopen, struct flow_dest *out)
{
    *out = (struct flow_dest){
        .flow = way->flow,
        .remote = way->remote,
        .local = way->local,
        .alt_port = way->alt_port,
        .transport = way->transport,
        .no_reopen = no_reopen,
    };
}

void route_dest_of_binding(struct route *r, const struct dn_info *info, struct slice dn,
                           const struct dn_binding *b, struct flow_dest *out)
{
    struct sip_uri uri;
    route_dest_of_way(&b->way, info->type == DN_VOIP_SERVICE, out);
    if (out->transport == SIP_TLS && sip_uri_parse(b->contact, &uri) == 0)
        out->tls_peer = flows_tls_peer(r->deps.flows, info->has_tls ? dn : SLICE_NONE, uri.host);
}

static void refuse(struct route_set *set, unsigned status, const char *reason)
{
    set->status = status;
    set->reason = reason;
}

/* A binding that came through another proxy is reached by its Path (RFC 3327), not by the
 * connection the REGISTER came on. */
static void target_of_binding(struct route *r, const struct dn_info *info,
                              const struct dn_binding *b, struct slice dn, struct route_target *t)
{
    *t = (struct route_target){
        .uri = b->contact,
        .path = b->path,
        .dn = dn,
        .profile = info->has_tls ? dn : SLICE_NONE,
        .q = b->q,
        .is_voip_service = info->type == DN_VOIP_SERVICE,
        .is_device = true,
        .reg_id = b->reg_id,
        .instance = b->instance,
    };
    if (b->path.len == 0 && (b->way.remote.family != ADDR_NONE || b->way.flow != 0)) {
        t->has_dest = true;
        route_dest_of_binding(r, info, dn, b, &t->dest);
    }
}

static void target_of_contact(const struct dn_info *info, struct slice dn, struct route_target *t)
{
    *t = (struct route_target){
        .uri = info->contact,
        .dn = dn,
        .profile = info->has_tls ? dn : SLICE_NONE,
        .q = 1000,
        .is_voip_service = info->type == DN_VOIP_SERVICE,
        .is_device = true,
    };
    t->dest.no_reopen = t->is_voip_service;
}

static bool is_sips(struct slice uri)
{
    return slice_istarts(uri, SLICE("sips:"));
}

/* RFC 5630 5.3: a sips request goes to sips contacts only, and a sip request to a sips contact
 * becomes none itself, but goes by TLS. False: the target, the last one of the set, cannot be had
 * for this request. */
static bool secure_target(struct route *r, bool request_is_sips, struct arena *arena,
                          struct route_set *set)
{
    struct route_target *t = &set->targets[set->n - 1];
    t->is_secure = is_sips(t->uri);
    if (t->is_secure == request_is_sips)
        return true;
    if (request_is_sips || r->conf->tls_port == 0) {
        set->warning = request_is_sips ? 380 : 381;
        return false;
    }
    char *text = arena_bytes(arena, t->uri.len);
    struct buf b;
    buf_init(&b, text, text != NULL ? t->uri.len : 0);
    buf_lit(&b, "sip:");
    buf_slice(&b, slice_of(t->uri.ptr + 5, t->uri.len - 5));
    t->uri = buf_get(&b);
    return true;
}

/* A device with a fixed contact that registers the same URI is one target (RFC 3261 16.5), and the
 * binding knows its connection. */
static bool has_registered_contact(const struct dn_info *info)
{
    struct sip_uri fixed, bound;
    if (sip_uri_parse(info->contact, &fixed) != 0)
        return false;
    for (unsigned i = 0; i < info->nbindings; i++)
        if (sip_uri_parse(info->bindings[i].contact, &bound) == 0 && sip_uri_eq(&fixed, &bound))
            return true;
    return false;
}

static int targets_of_dn(struct route *r, const struct dn_info *info, struct slice dn,
                         bool request_is_sips, struct arena *arena, struct route_set *set)
{
    unsigned n = info->nbindings + (info->contact.len != 0 ? 1 : 0);
    set->targets = arena_alloc(arena, (n + 1) * sizeof(*set->targets));
    if (set->targets == NULL)
        return ERR_NOMEM;
    if (info->contact.len != 0 && !has_registered_contact(info)) {
        target_of_contact(info, dn, &set->targets[set->n++]);
        set->n -= !secure_target(r, request_is_sips, arena, set);
    }
    for (unsigned i = 0; i < info->nbindings; i++) {
        target_of_binding(r, info, &info->bindings[i], dn, &set->targets[set->n++]);
        set->n -= !secure_target(r, request_is_sips, arena, set);
    }
    if (arena->overflow)
        return ERR_NOMEM;
    if (set->n == 0)
        refuse(set, 480, NULL);
    else
        set->warning = 0;
    return 0;
}

static int lookup_dn(struct route *r, const struct sip_uri *uri, bool in_dialog,
                     struct arena *arena, struct route_set *set)
{
    set->is_local = true;
    struct slice dn;
    int err = route_dn_of(r, uri, arena, &dn);
    if (err == ERR_NOMEM)
        return err;
    if (err != 0) {
        refuse(set, 404, NULL);
        return 0;
    }
    struct dn_info info;
    uint64_t now = r->deps.wall(r->deps.user);
    err = dn_find(r->deps.dir, dn, now, arena, &info);
    if (err == ERR_NOMEM)
        return err;
    if (err != 0) {
        refuse(set, 404, NULL);
        return 0;
    }
    if (info.out_of_service && !in_dialog) {
        refuse(set, 480, "Out Of Service");
        if (info.oos_until > now)
            set->retry_after = (uint32_t)((info.oos_until - now + 999) / 1000);
        return 0;
    }
    if (info.nbindings == 0 && info.contact.len == 0) {
        refuse(set, 480, "Not Registered");
        return 0;
    }
    return targets_of_dn(r, &info, dn, uri->scheme == SIP_SCHEME_SIPS, arena, set);
}

int route_lookup(struct route *r, const struct route_ask *ask, struct arena *arena,
                 struct route_set *set)
{
    const struct sip_uri *uri = ask->uri;
    *set = (struct route_set){0};
    /* RFC 3261 16.5: maddr names the one and only target. */
    if (uri->maddr.len == 0 && route_is_ours(r, uri))
        return lookup_dn(r, uri, ask->in_dialog, arena, set);
    if (!ask->may_relay) {
        refuse(set, 403, "Relaying Denied");
        return 0;
    }
    set->targets = arena_zalloc(arena, sizeof(*set->targets));
    if (set->targets == NULL)
        return ERR_NOMEM;
    set->targets[0].uri = uri->text;
    set->targets[0].q = 1000;
    set->n = 1;
    return 0;
}
