/* SPDX-License-Identifier: Apache-2.0 */
/* What our Record-Route says to ourselves: "hf-mark=" and, in the user part, the token of a flow.
 */
#include "proxy/proxy_int.h"

/* One keyed number over Call-ID, the tag of whoever began the dialog, the user part of the value,
 * and whether that one may relay: so neither mark nor token serves in another dialog, or with
 * another token. */
static uint64_t mark_of(const struct proxy *p, const struct sip_msg *req, struct slice tag,
                        struct slice user, bool relays)
{
    struct hash_state h;
    hash_begin(&h, &p->mark_key);
    hash_add(&h, sip_get(req, req->call_id));
    hash_add(&h, tag);
    hash_add(&h, user);
    hash_add_u64(&h, relays);
    return hash_end(&h);
}

uint64_t proxy_mark(const struct proxy *p, const struct sip_msg *req, struct slice user,
                    bool relays)
{
    return mark_of(p, req, sip_get(req, req->from_tag), user, relays);
}

static bool is_equal(struct slice text, uint64_t mark)
{
    char storage[PROXY_MARK_LEN];
    struct buf b;
    buf_init(&b, storage, sizeof(storage));
    buf_hex(&b, mark, PROXY_MARK_LEN);
    return slice_eq(text, buf_get(&b));
}

/* Only for requests inside a dialog: whoever has seen a mark may go on with that dialog and cannot
 * begin another one with it. */
static bool is_marked(const struct proxy *p, const struct sip_msg *req, const struct sip_uri *uri,
                      bool relays)
{
    struct slice mark;
    if (!sip_in_dialog(req) || !sip_param_find(uri->params, SLICE(PROXY_MARK), &mark))
        return false;
    return is_equal(mark, mark_of(p, req, sip_get(req, req->from_tag), uri->user, relays)) ||
           is_equal(mark, mark_of(p, req, sip_get(req, req->to_tag), uri->user, relays));
}

static bool has_mark(const struct proxy *p, const struct sip_msg *req, const struct sip_uri *uri)
{
    return is_marked(p, req, uri, true) || is_marked(p, req, uri, false);
}

bool proxy_brings_mark(const struct proxy *p, const struct sip_msg *req)
{
    struct sip_iter it;
    struct slice element;
    struct sip_name_addr na;
    struct sip_uri uri;
    if (req->ruri.lr && has_mark(p, req, &req->ruri)) /* a strict router has put it there */
        return true;
    sip_iter_init(&it, req, SIP_H_ROUTE);
    return sip_iter_next(&it, &element) && sip_name_addr_parse(element, &na) == 0 &&
           sip_uri_parse(na.uri, &uri) == 0 && has_mark(p, req, &uri);
}

void proxy_learn(struct proxy *p, const struct sip_msg *req, const struct sip_uri *uri,
                 struct proxy_way *way)
{
    bool relays = is_marked(p, req, uri, true);
    bool is_ours = relays || is_marked(p, req, uri, false);
    struct slice none;
    way->relays = way->relays || relays;
    way->is_ours_dialog = way->is_ours_dialog || is_ours;
    /* The last Route of ours faces the side to which the request goes. A Path of ours that an
     * application has kept for a device has no mark; anybody else could only have copied it. */
    bool is_path = way->trusts && !sip_in_dialog(req) &&
                   sip_param_find(uri->params, SLICE(PROXY_PATH), &none);
    way->has_token = (is_ours || is_path) &&
                     route_token_parse(p->deps.route, uri->user, &way->token) == 0;
    /* A NAT lets pass only what comes from the address which the device has sent to: the one that
     * this Route names. */
    if (way->has_token)
        (void)!flows_named(p->deps.flows, uri->host, uri->port != 0 ? uri->port : 5060,
                           &way->token.local);
}

/* The binding of that DN which is the device in this dialog: by its Contact, or else by the address
 * at which the dialog reached it. */
static const struct dn_binding *binding_of(const struct dn_info *dn, const struct sip_uri *contact,
                                           const struct flow_dest *token)
{
    struct sip_uri uri;
    for (unsigned i = 0; i < dn->nbindings; i++)
        if (sip_uri_parse(dn->bindings[i].contact, &uri) == 0 && sip_uri_eq(&uri, contact))
            return &dn->bindings[i];
    for (unsigned i = 0; token->flow != 0 && i < dn->nbindings; i++) {
        const struct dn_way *way = &dn->bindings[i].way;
        if (way->transport == token->transport && addr_eq_ip(&way->remote, &token->remote))
            return &dn->bindings[i];
    }
    return NULL;
}

/* The device that a token names, as the directory knows it now: `name` is its DN. NULL: none. */
static const struct dn_binding *device_of(struct proxy *p, struct arena *arena,
                                          const struct sip_msg *req, const struct proxy_way *way,
                                          struct slice *name, struct dn_info *dn)
{
    if (!proxy_find_dn(p, arena, req, SIP_H_TO, name, dn))
        return NULL;
    return binding_of(dn, &way->uri, &way->token);
}

void proxy_refresh_token(struct proxy *p, struct arena *arena, const struct sip_msg *req,
                         struct proxy_way *way)
{
    struct slice name;
    struct dn_info dn;
    if (way->token.flow != 0 && flows_is_alive(p->deps.flows, way->token.flow))
        return;
    const struct dn_binding *b = device_of(p, arena, req, way, &name, &dn);
    if (b != NULL && b->path.len == 0 && (b->way.flow != 0 || b->way.remote.family != ADDR_NONE))
        route_dest_of_binding(p->deps.route, &dn, name, b, &way->token);
}

bool proxy_find_registered(struct proxy *p, struct arena *arena, const struct sip_msg *req,
                           struct proxy_way *way)
{
    struct slice name;
    struct dn_info dn;
    if (!sip_in_dialog(req) || way->has_token)
        return false;
    /* Without a token only an equal Contact tells the device. */
    const struct dn_binding *b = device_of(p, arena, req, way, &name, &dn);
    if (b == NULL || b->path.len != 0 || (b->way.flow == 0 && b->way.remote.family == ADDR_NONE))
        return false;
    route_dest_of_binding(p->deps.route, &dn, name, b, &way->token);
    way->has_token = true;
    return true;
}

/* That of a living connection is known. */
struct slice proxy_dn_in_dialog(struct proxy *p, struct arena *arena, const struct sip_msg *req,
                                const struct proxy_way *way, uint64_t call, enum call_side from)
{
    uint64_t flow = way->token.flow;
    struct call_dialog d;
    struct slice name;
    struct dn_info dn;
    if (way->token.transport == SIP_UDP ||
        (flows_is_mine(p->deps.flows, flow) && flows_is_alive(p->deps.flows, flow)))
        return SLICE_NONE;
    if (from == CALL_CALLER && record_dialog(p, call, req, &d) && d.dn.len != 0)
        return arena_dup(arena, d.dn);
    return device_of(p, arena, req, way, &name, &dn) != NULL ? name : SLICE_NONE;
}

void proxy_find_only_device(struct pctx *c, struct route_target *t)
{
    struct slice name;
    struct dn_info dn;
    if (!c->way.has_token || device_of(c->proxy, c->arena, c->req, &c->way, &name, &dn) == NULL ||
        dn.nbindings != 1 || dn.contact.len != 0)
        return;
    t->dn = name;
    t->is_device = true;
    t->is_voip_service = dn.type == DN_VOIP_SERVICE;
}
