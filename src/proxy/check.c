/* SPDX-License-Identifier: Apache-2.0 */
#include "proxy/proxy_int.h"

static void add_header(struct hash_state *h, const struct sip_msg *req, enum sip_hdr_id id)
{
    hash_add_u64(h, id);
    for (const struct sip_hdr *hdr = sip_hdr_first(req, id); hdr != NULL;
         hdr = sip_hdr_after(req, hdr))
        hash_add(h, sip_hdr_value(req, hdr));
}

/* RFC 5393 4.2.1: over everything that decides where the request goes, as it was received, and
 * nothing that changes at each hop; not over the method, since CANCEL and the ACK of a failure have
 * the same branch (RFC 3261 16.6 step 8). What an application sends back to us goes another way
 * than what we have sent to it, also when it has changed nothing. */
uint32_t proxy_loop_hash(const struct pctx *c)
{
    const struct sip_msg *req = c->req;
    struct hash_state h;
    hash_begin(&h, &c->proxy->loop_key);
    hash_add_u64(&h, group_of(c->member));
    hash_add(&h, sip_get(req, req->uri));
    hash_add(&h, sip_get(req, req->call_id));
    hash_add(&h, sip_get(req, req->from_tag));
    hash_add(&h, sip_get(req, req->to_tag));
    hash_add_u64(&h, req->cseq);
    add_header(&h, req, SIP_H_ROUTE);
    add_header(&h, req, SIP_H_PROXY_REQUIRE);
    add_header(&h, req, SIP_H_PROXY_AUTHORIZATION);
    return (uint32_t)hash_end(&h);
}

static bool is_loop(const struct pctx *c, const struct sip_via *via)
{
    uint64_t id;
    uint32_t loop;
    return sip_branch_parse(via->branch, &id, &loop) == 0 &&
           (loop == c->loop || hide_has_loop(via, c->loop));
}

static bool has_looped(const struct pctx *c)
{
    struct sip_iter it;
    struct slice element;
    struct sip_via via;
    if (is_loop(c, &c->req->via))
        return true;
    sip_iter_below_via(&it, c->req);
    while (sip_iter_next(&it, &element)) {
        if (sip_via_parse(element, &via) == 0 && is_loop(c, &via))
            return true;
    }
    return false;
}

static bool accepts(const struct proxy_conf *conf, struct slice tag)
{
    for (unsigned i = 0; i < conf->nproxy_require; i++)
        if (slice_ieq(conf->proxy_require[i], tag))
            return true;
    return false;
}

/* In Require of a request to ourselves: what we support as a user agent. */
static bool is_supported(const struct pctx *c, enum sip_hdr_id id, struct slice tag)
{
    if (id == SIP_H_PROXY_REQUIRE)
        return accepts(c->proxy->conf, tag);
    return slice_ieq(tag, SLICE("path")) || slice_ieq(tag, SLICE("outbound"));
}

/* 420 with the tags we do not know (RFC 3261 16.3 step 5, 8.2.2.3). */
void proxy_check_tags(struct pctx *c, enum sip_hdr_id id, struct refusal *out)
{
    struct sip_iter it;
    struct slice tag;
    size_t room = 16;
    sip_iter_init(&it, c->req, id);
    while (sip_iter_next(&it, &tag))
        room += tag.len + 2;
    struct buf b;
    char *text = NULL;
    unsigned n = 0;
    sip_iter_init(&it, c->req, id);
    while (sip_iter_next(&it, &tag)) {
        if (is_supported(c, id, tag))
            continue;
        if (text == NULL) {
            text = arena_bytes(c->arena, room);
            if (text == NULL) {
                *out = (struct refusal){500, NULL, SLICE_NONE};
                return;
            }
            buf_init(&b, text, room);
        }
        buf_str(&b, n++ == 0 ? "Unsupported: " : ", ");
        buf_slice(&b, tag);
    }
    if (text == NULL)
        return;
    buf_lit(&b, "\r\n");
    *out = (struct refusal){420, NULL, buf_get(&b)};
}

static void check_max_forwards(struct pctx *c, struct refusal *out)
{
    if (c->req->max_forwards == 0)
        *out = (struct refusal){483, NULL, SLICE_NONE};
}

static bool has_plain_contact(const struct sip_msg *req)
{
    struct sip_iter it;
    struct slice element;
    struct sip_name_addr na;
    sip_iter_init(&it, req, SIP_H_CONTACT);
    return sip_iter_next(&it, &element) && sip_name_addr_parse(element, &na) == 0 &&
           slice_istarts(na.uri, SLICE("sip:"));
}

/* RFC 5630 5.3: who asks for a secure way must be reached by one. A REGISTER may bind both kinds.
 */
static void check_scheme(struct pctx *c, struct refusal *out)
{
    const struct sip_uri *uri = &c->way.uri;
    bool is_sips = uri->scheme == SIP_SCHEME_SIPS;
    if ((uri->scheme == SIP_SCHEME_OTHER && !route_is_service(uri)) ||
        (is_sips && route_tls_port(c->proxy->deps.route) == 0))
        *out = (struct refusal){416, NULL, SLICE_NONE};
    else if (is_sips && c->req->method != SIP_REGISTER && has_plain_contact(c->req))
        *out = (struct refusal){400, "SIPS Request With SIP Contact", SLICE_NONE};
}

static void check_breadth(struct pctx *c, struct refusal *out)
{
    uint32_t breadth;
    int err = sip_value_u32(c->req, SIP_H_MAX_BREADTH, &breadth);
    c->breadth = err == 0 ? breadth : c->proxy->conf->max_breadth;
    if (err == ERR_PARSE || err == ERR_RANGE)
        *out = (struct refusal){400, "Bad Max-Breadth", SLICE_NONE};
    else if (c->breadth == 0)
        *out = (struct refusal){440, NULL, SLICE_NONE};
}

void proxy_check(struct pctx *c, struct refusal *out)
{
    check_scheme(c, out);
    if (out->status == 0)
        check_max_forwards(c, out);
    if (out->status == 0 && has_looped(c)) {
        counter_inc(c->proxy->deps.counters, CTR_LOOP);
        *out = (struct refusal){482, NULL, SLICE_NONE};
    }
    if (out->status == 0)
        check_breadth(c, out);
    if (out->status == 0)
        proxy_check_tags(c, SIP_H_PROXY_REQUIRE, out);
}

/* Anybody can write a To tag; what was record-routed inside a dialog brings our mark. */
static bool is_inside_dialog(const struct pctx *c)
{
    return sip_in_dialog(c->req) && (c->way.is_ours_dialog || !c->proxy->conf->record_route);
}

static void challenge(struct pctx *c, struct slice realm, const struct dn_info *dn, bool is_stale,
                      uint64_t now, struct refusal *out)
{
    size_t room = 1024 + 4 * realm.len;
    char *text = arena_bytes(c->arena, room);
    struct buf b;
    buf_init(&b, text, text != NULL ? room : 0);
    auth_challenge(c->proxy->deps.auth, &b, true, realm, dn, is_stale, now);
    *out = (struct refusal){500, NULL, SLICE_NONE};
    if (!b.overflow)
        *out = (struct refusal){407, NULL, buf_get(&b)};
}

static void authenticate(struct pctx *c, struct slice name, struct slice realm,
                         const struct dn_info *dn, uint64_t now, struct refusal *out)
{
    struct proxy *p = c->proxy;
    enum auth_result r = auth_check(p->deps.auth, c->req, true, name, realm, dn, now);
    if (r == AUTH_OK)
        return;
    if (r == AUTH_BAD) {
        *out = (struct refusal){400, "Bad Proxy-Authorization", SLICE_NONE};
        return;
    }
    counter_inc(p->deps.counters,
                r == AUTH_WRONG || r == AUTH_OTHER ? CTR_AUTH_FAILED : CTR_AUTH_CHALLENGED);
    challenge(c, realm, dn, r == AUTH_STALE, now, out);
}

/* The domain of the From; a number alone (tel) has none. */
struct slice proxy_realm(const struct proxy *p, const struct sip_uri *from)
{
    return from->host.len != 0 ? from->host : p->conf->host_name;
}

/* sip-authenticate = all: a request outside a dialog whose From is a DN of ours with a password. An
 * application speaks for its callers, and who needs help is not asked who he is. */
void proxy_check_auth(struct pctx *c, struct refusal *out)
{
    struct proxy *p = c->proxy;
    if (!p->conf->authenticate_all || is_inside_dialog(c) || c->member != 0 ||
        proxy_is_emergency(p, &c->way.uri))
        return;
    /* A REGISTER that gets here is for another registrar, which asks for itself. */
    if (c->req->method == SIP_REGISTER && route_has_serving(p->deps.route))
        return;
    struct sip_name_addr from;
    struct sip_uri uri;
    struct slice name;
    struct dn_info dn;
    if (sip_name_addr_parse(sip_value(c->req, SIP_H_FROM), &from) < 0 ||
        sip_uri_parse(from.uri, &uri) < 0)
        return;
    int err = route_dn_of(p->deps.route, &uri, c->arena, &name);
    uint64_t now = p->deps.wall(p->deps.user);
    if (err == 0)
        err = dn_find(p->deps.dir, name, now, c->arena, &dn);
    if (err == ERR_NOMEM)
        *out = (struct refusal){500, NULL, SLICE_NONE};
    if (err != 0 || (dn.password.len == 0 && dn.password_ha1.len == 0))
        return;
    authenticate(c, name, proxy_realm(p, &uri), &dn, now, out);
}
