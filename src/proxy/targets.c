/* SPDX-License-Identifier: Apache-2.0 */
#include "proxy/proxy_int.h"

/* Inside a dialog: what was known when it began, or else the DN in To. */
static bool leads_to_voip_service(struct pctx *c)
{
    struct call_dialog d;
    struct sip_name_addr to;
    struct sip_uri uri;
    struct slice name;
    struct dn_info dn;
    struct proxy *p = c->proxy;
    if (!sip_in_dialog(c->req) || !dn_dir_is_configured(p->deps.dir))
        return false;
    if (record_dialog(p, c->call, c->req, &d))
        return d.ways[c->side == CALL_CALLER ? CALL_CALLEE : CALL_CALLER].no_reopen;
    return sip_name_addr_parse(sip_value(c->req, SIP_H_TO), &to) == 0 &&
           sip_uri_parse(to.uri, &uri) == 0 &&
           route_dn_of(p->deps.route, &uri, c->arena, &name) == 0 &&
           dn_find(p->deps.dir, name, p->deps.wall(p->deps.user), c->arena, &dn) == 0 &&
           dn.type == DN_VOIP_SERVICE;
}

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

/* RFC 3261 16.5, and who may have what relayed. */
int targets_find(struct pctx *c)
{
    struct proxy *p = c->proxy;
    struct proxy_way *way = &c->way;
    bool may_relay = way->relays || route_may_relay(p->deps.route, &c->origin->remote);
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
    struct route_ask ask = {
        .uri = &way->uri,
        .may_relay = may_relay,
        .in_dialog = sip_in_dialog(c->req),
        .req = c->req,
    };
    return route_lookup(p->deps.route, &ask, c->arena, &c->set);
}

void targets_refuse(struct pctx *c)
{
    char text[48 + PROXY_WARNING_MAX];
    struct buf b;
    buf_init(&b, text, sizeof(text));
    if (c->set.retry_after != 0)
        buf_printf(&b, "Retry-After: %u\r\n", c->set.retry_after);
    proxy_write_warning(c->proxy, c->set.warning, &b);
    if (c->set.status == 403)
        counter_inc(c->proxy->deps.counters, CTR_RELAY_REFUSED);
    proxy_refuse(c, &(struct refusal){c->set.status, c->set.reason, buf_get(&b)});
}
