/* SPDX-License-Identifier: Apache-2.0 */
/* DNs and trunks as targets. */
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

/* Contact and contact-backup of a DN, or everything that carries a number: one is enough. */
#define ALT 1

/* A binding that came through another proxy is reached by its Path (RFC 3327), not by the
 * connection the REGISTER came on. */
void route_target_of_binding(struct route *r, const struct dn_info *info,
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

void route_target_of_contact(const struct dn_info *info, struct slice contact, struct slice dn,
                             struct route_target *t)
{
    *t = (struct route_target){
        .uri = contact,
        .alt = info->ncontact_backup != 0 ? ALT : 0,
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
bool route_secure_target(struct route *r, bool request_is_sips, struct arena *arena,
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
 * binding knows its connection. That binding, or NULL. */
const struct dn_binding *route_registered_contact(const struct dn_info *info)
{
    struct sip_uri fixed, bound;
    if (info->contact.len == 0 || sip_uri_parse(info->contact, &fixed) != 0)
        return NULL;
    for (unsigned i = 0; i < info->nbindings; i++)
        if (sip_uri_parse(info->bindings[i].contact, &bound) == 0 && sip_uri_eq(&fixed, &bound))
            return &info->bindings[i];
    return NULL;
}

static void add_contact(struct route *r, const struct dn_info *info, struct slice contact,
                        struct slice dn, bool is_sips_request, struct arena *arena,
                        struct route_set *set)
{
    route_target_of_contact(info, contact, dn, &set->targets[set->n++]);
    set->n -= !route_secure_target(r, is_sips_request, arena, set);
}

static void add_backups(struct route *r, const struct dn_info *info, struct slice dn,
                        bool is_sips_request, struct arena *arena, struct route_set *set)
{
    for (unsigned i = 0; i < info->ncontact_backup; i++)
        add_contact(r, info, info->contact_backup[i], dn, is_sips_request, arena, set);
}

static int targets_of_dn(struct route *r, const struct dn_info *info, struct slice dn,
                         bool is_sips_request, struct arena *arena, struct route_set *set)
{
    unsigned n = info->nbindings + info->ncontact_backup + (info->contact.len != 0 ? 1 : 0);
    const struct dn_binding *bound = route_registered_contact(info);
    set->targets = arena_alloc(arena, (n + 1) * sizeof(*set->targets));
    if (set->targets == NULL)
        return ERR_NOMEM;
    if (info->contact.len != 0 && bound == NULL) {
        add_contact(r, info, info->contact, dn, is_sips_request, arena, set);
        add_backups(r, info, dn, is_sips_request, arena, set);
    }
    for (unsigned i = 0; i < info->nbindings; i++) {
        struct route_target *t = &set->targets[set->n++];
        route_target_of_binding(r, info, &info->bindings[i], dn, t);
        if (&info->bindings[i] == bound && info->ncontact_backup != 0)
            t->alt = ALT;
        set->n -= !route_secure_target(r, is_sips_request, arena, set);
    }
    if (bound != NULL)
        add_backups(r, info, dn, is_sips_request, arena, set);
    if (arena->overflow)
        return ERR_NOMEM;
    route_avoid_targets(r, set);
    if (set->n == 0)
        route_refuse(set, 480, NULL);
    else
        set->warning = 0;
    return 0;
}

static void refuse_out_of_service(struct route_set *set, unsigned status, uint64_t until,
                                  uint64_t now)
{
    route_refuse(set, status, "Out Of Service");
    if (until > now)
        set->retry_after = (uint32_t)((until - now + 999) / 1000);
}

int route_to_dn(struct route *r, const struct route_ask *ask, struct arena *arena,
                struct route_set *set)
{
    struct slice dn;
    struct dn_info info;
    uint64_t now = r->deps.wall(r->deps.user);
    int err = route_dn_of(r, ask->uri, arena, &dn);
    if (err == 0)
        err = dn_find(r->deps.dir, dn, now, arena, &info);
    if (err != 0)
        return err;
    /* Whoever may not use it may not have it by its name either. */
    bool is_trunk = info.type == DN_TRUNK || info.type == DN_TRUNK_GROUP;
    if (is_trunk && r->conf->has_trunks && !route_is_trusted(ask)) {
        route_refuse(set, 403, "Trunks Not Allowed");
        return 0;
    }
    if (info.out_of_service && !ask->in_dialog) {
        refuse_out_of_service(set, 480, info.oos_until, now);
        return 0;
    }
    if (info.nbindings == 0 && info.contact.len == 0) {
        route_refuse(set, 480, "Not Registered");
        return 0;
    }
    return targets_of_dn(r, &info, dn, ask->uri->scheme == SIP_SCHEME_SIPS, arena, set);
}
