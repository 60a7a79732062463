/* SPDX-License-Identifier: Apache-2.0 */
#include "proxy/targets.h"

/* Inside a dialog: what was known when it began, or else the DN in To. */
static bool leads_to_voip_service(struct pctx *c)
{
    struct call_dialog d;
    struct slice name;
    struct dn_info dn;
    struct proxy *p = c->proxy;
    if (!sip_in_dialog(c->req) || !dn_dir_is_configured(p->deps.dir))
        return false;
    if (record_dialog(p, c->call, c->req, &d))
        return d.ways[c->side == CALL_CALLER ? CALL_CALLEE : CALL_CALLER].no_reopen;
    return proxy_find_dn(p, c->arena, c->req, SIP_H_TO, &name, &dn) && dn.type == DN_VOIP_SERVICE;
}

/* --- X-Genesys-Route -------------------------------------------------------------------------- */

bool targets_by_header(struct proxy *p, const struct route_ask *ask, struct arena *arena,
                       struct route_set *set, int *err)
{
    const struct sip_hdr *h = sip_hdr_first(ask->req, SIP_H_X_GENESYS_ROUTE);
    if (h == NULL)
        return false;
    if (ask->member == 0) {
        counter_inc(p->deps.counters, CTR_GENESYS_ROUTE_IGNORED);
        return false;
    }
    counter_inc(p->deps.counters, CTR_GENESYS_ROUTE);
    *err = route_by_hop(p->deps.route, ask, sip_hdr_value(ask->req, h), arena, set);
    if (*err == ERR_PARSE) {
        *set = (struct route_set){.status = 400, .reason = "Bad X-Genesys-Route"};
        *err = 0;
    }
    return true;
}

/* --- inside a dialog with an application ------------------------------------------------------ */

bool targets_by_member(struct proxy *p, const struct route_ask *ask, const struct proxy_way *way,
                       struct arena *arena, struct route_set *set, int *err)
{
    struct groups *groups = p->deps.groups;
    if (groups == NULL || !ask->in_dialog)
        return false;
    /* As targets_find: a token comes first where nothing may be relayed. */
    bool by_route = way->next_route.len != 0 && ask->may_relay;
    bool by_token = !by_route && way->has_token;
    uint32_t member = 0;
    if (by_route)
        member = route_member_of(p->deps.route, &way->next_uri);
    else if (by_token)
        member = proxy_member_of(groups, &way->token);
    if (member == 0)
        return false;
    *set = (struct route_set){0};
    struct slice named = by_route ? way->next_uri.text : SLICE_NONE;
    *err = route_in_dialog(p->deps.route, ask, member, named, arena, set);
    if (*err == ERR_NOT_FOUND)
        return false;
    /* Still it: by the connection that the dialog has. */
    if (by_token && *err == 0 && set->n != 0 && set->targets[0].member == member) {
        set->targets[0].hop = SLICE_NONE;
        set->targets[0].has_dest = true;
        set->targets[0].dest = way->token;
    }
    return true;
}

/* --- the rest --------------------------------------------------------------------------------- */

static int single_target(struct pctx *c, bool with_token)
{
    struct route_target *t = arena_zalloc(c->arena, sizeof(*t));
    if (t == NULL)
        return ERR_NOMEM;
    t->uri = c->way.uri_text;
    t->q = 1000;
    if (with_token) {
        proxy_refresh_token(c->proxy, c->arena, c->req, &c->way);
        t->has_dest = true;
        t->dest = c->way.token;
    }
    t->is_voip_service = leads_to_voip_service(c);
    t->dest.no_reopen = t->dest.no_reopen || t->is_voip_service;
    c->set.targets = t;
    c->set.n = 1;
    return 0;
}

static bool has_password(const struct dn_info *dn)
{
    return dn->password.len != 0 || dn->password_ha1.len != 0;
}

static bool is_at(const struct proxy_conf *conf, const struct dn_info *dn,
                  const struct addr *remote)
{
    struct sip_uri uri;
    struct addr a;
    bool counts = has_password(dn) || addr_nets_have(conf->open_to, conf->nopen_to, remote);
    for (unsigned i = 0; counts && i < dn->nbindings; i++)
        if (addr_eq_ip(&dn->bindings[i].way.remote, remote))
            return true;
    return dn->contact.len != 0 && sip_uri_parse(dn->contact, &uri) == 0 &&
           addr_parse_ip(uri.host, 0, &a) == 0 && addr_eq_ip(&a, remote);
}

/* A device of ours may use the trunks: whose From is a DN that it is registered as, or that is at
 * its address, or that it has just proved to be. A trunk is no such device: nobody else's calls go
 * from trunk to trunk; nor is who has registered without a password from somewhere. */
static bool is_own_device(const struct pctx *c)
{
    struct proxy *p = c->proxy;
    struct slice name;
    struct dn_info dn;
    if (!proxy_find_dn(p, c->arena, c->req, SIP_H_FROM, &name, &dn) || dn.type == DN_TRUNK ||
        dn.type == DN_TRUNK_GROUP)
        return false;
    bool has_proved = p->conf->authenticate_all && !sip_in_dialog(c->req) && has_password(&dn);
    return has_proved || is_at(p->conf, &dn, &c->origin->remote);
}

/* RFC 3261 16.5, and who may have what relayed. */
int targets_find(struct pctx *c)
{
    struct proxy *p = c->proxy;
    struct proxy_way *way = &c->way;
    bool may_relay = way->relays || c->member != 0 ||
                     route_may_relay(p->deps.route, &c->origin->remote);
    int err = 0;
    struct route_ask ask = {
        .uri = &way->uri,
        .may_relay = may_relay,
        .in_dialog = sip_in_dialog(c->req),
        .member = c->member,
        .req = c->req,
    };
    if (targets_by_header(p, &ask, c->arena, &c->set, &err) ||
        targets_by_member(p, &ask, way, c->arena, &c->set, &err))
        return err;
    /* What the sender may not have relayed goes to one end of this dialog at most. */
    if (way->next_route.len != 0 && (may_relay || !way->has_token)) {
        if (may_relay)
            return single_target(c, false);
        c->set.status = 403;
        c->set.reason = "Relaying Denied";
        return 0;
    }
    /* A token is a way we gave out ourselves: one end of this dialog. */
    if (way->has_token || (!may_relay && proxy_find_registered(p, c->arena, c->req, way)))
        return single_target(c, true);
    ask.is_own = !may_relay && route_has_guarded(p->deps.route) &&
                 (is_own_device(c) || proxy_is_emergency(p, &way->uri));
    return route_lookup(p->deps.route, &ask, c->arena, &c->set);
}

static void say_no_relay(const struct pctx *c)
{
    counter_inc(c->proxy->deps.counters, CTR_RELAY_REFUSED);
    EVENT_LOG(EV_RELAY_REFUSED, LF_ADDR("source", &c->origin->remote),
              LF_SLICE("user", c->req->ruri.user), LF_SLICE("host", c->req->ruri.host),
              LF_SLICE("method", sip_get(c->req, c->req->method_text)),
              LF_STR("reason", c->set.reason),
              LF_SLICE("call_id", sip_get(c->req, c->req->call_id)));
}

void targets_refuse(struct pctx *c)
{
    char text[48 + PROXY_WARNING_MAX];
    struct buf b;
    buf_init(&b, text, sizeof(text));
    if (c->set.status == 503 && c->set.retry_after != 0)
        overload_write_retry_after(c->proxy, c->set.retry_after, &b);
    else if (c->set.retry_after != 0)
        buf_printf(&b, "Retry-After: %u\r\n", c->set.retry_after);
    proxy_write_warning(c->proxy, c->set.warning, &b);
    if (c->set.status == 403)
        say_no_relay(c);
    proxy_refuse(c, &(struct refusal){c->set.status, c->set.reason, buf_get(&b)});
}
