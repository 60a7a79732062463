/* SPDX-License-Identifier: Apache-2.0 */
#include "registrar/registrar_int.h"

#define RFC_HOUR 3600 /* s; no registrar refuses as much (RFC 3261 10.3 step 7) */

bool reg_same_contact(struct slice a, struct slice b)
{
    struct sip_uri x, y;
    if (slice_eq(a, b))
        return true;
    return sip_uri_parse(a, &x) == 0 && sip_uri_parse(b, &y) == 0 && sip_uri_eq(&x, &y);
}

/* Line ends of folds become blanks. */
static void add_unfolded(struct buf *out, struct slice s)
{
    for (size_t i = 0; i < s.len; i++) {
        char c = s.ptr[i];
        if (c != '\r')
            buf_char(out, c == '\n' ? ' ' : c);
    }
}

/* --- Path: RFC 3327 --- */

static unsigned hops(const struct sip_msg *req)
{
    struct sip_iter it;
    struct slice via;
    unsigned n = 0;
    sip_iter_init(&it, req, SIP_H_VIA);
    while (sip_iter_next(&it, &via))
        n++;
    return n;
}

static bool supports(const struct reg *g, struct slice option)
{
    return sip_has_token(g->req, SIP_H_SUPPORTED, option) ||
           sip_has_token(g->req, SIP_H_REQUIRE, option);
}

/* RFC 5626 section 6: the edge is the first proxy, whose Path value is the last; its "ob" says that
 * it keeps the flow. */
static bool is_edge_outbound(const struct reg *g)
{
    struct slice rest = g->path, element, last = SLICE_NONE;
    struct sip_name_addr na;
    struct sip_uri uri;
    while (sip_list_next(&rest, &element))
        last = element;
    return last.len != 0 && sip_name_addr_parse(last, &na) == 0 &&
           sip_uri_parse(na.uri, &uri) == 0 && sip_param_find(uri.params, SLICE("ob"), NULL);
}

void reg_read_path(struct reg *g, struct reg_refusal *out)
{
    struct sip_iter it;
    struct slice element;
    struct buf b;
    g->has_hops = hops(g->req) > 1;
    g->is_trusted =
        addr_nets_have(g->r->conf->relay_from, g->r->conf->nrelay_from, &g->origin->remote);
    g->wants_outbound = supports(g, SLICE("outbound"));
    if (sip_hdr_first(g->req, SIP_H_PATH) == NULL)
        return;
    /* Without its consent the device would not know by which proxies it is reached. */
    if (!supports(g, SLICE("path"))) {
        *out = (struct reg_refusal){421, NULL, SLICE("Require: path\r\n")};
        return;
    }
    char *text = arena_bytes(g->arena, REG_TEXT_MAX);
    if (text == NULL) {
        reg_refuse(out, 500, NULL);
        return;
    }
    buf_init(&b, text, REG_TEXT_MAX);
    sip_iter_init(&it, g->req, SIP_H_PATH);
    while (sip_iter_next(&it, &element)) {
        struct sip_name_addr na;
        struct sip_uri uri;
        if (sip_name_addr_parse(element, &na) < 0 || !na.brackets ||
            sip_uri_parse(na.uri, &uri) < 0) {
            reg_refuse(out, 400, "Bad Path");
            return;
        }
        if (b.len == 0 && !g->is_trusted && !reg_is_at_source(g, &uri)) {
            reg_refuse(out, 403, "Path Not Accepted From This Address");
            return;
        }
        if (b.len != 0)
            buf_lit(&b, ", ");
        add_unfolded(&b, element);
    }
    if (b.overflow)
        reg_refuse(out, 400, "Path Too Long");
    g->path = buf_get(&b);
}

/* --- one Contact --- */

struct contact {
    struct sip_name_addr na;
    struct sip_uri uri;
    struct slice instance;
    uint32_t reg_id;
    uint32_t expires;
    unsigned q;
};

/* Seconds; what is no number counts as the default, as a missing one does (RFC 3261 20.10). */
static uint32_t read_expires(const struct reg *g, struct slice text, bool is_there)
{
    const struct registrar_conf *conf = g->r->conf;
    uint64_t n;
    uint32_t value = conf->default_expires, header;
    int err = sip_value_u32(g->req, SIP_H_EXPIRES, &header);
    if (is_there) {
        err = slice_u64(text, UINT32_MAX, &n);
        header = err == 0 ? (uint32_t)n : 0;
    }
    if (err == 0)
        value = header;
    else if (err == ERR_RANGE)
        value = conf->max_expires;
    return value < conf->max_expires ? value : conf->max_expires;
}

static struct slice unquoted(struct slice s)
{
    if (s.len >= 2 && s.ptr[0] == '"')
        return slice_of(s.ptr + 1, s.len - 2);
    return s;
}

/* RFC 5626 section 6: without an instance, or where the device does not say that it supports
 * outbound, reg-id means nothing. */
static uint32_t read_reg_id(const struct reg *g, const struct contact *c)
{
    struct slice text;
    uint64_t n;
    if (!g->wants_outbound || c->instance.len == 0 ||
        !sip_param_find(c->na.params, SLICE("reg-id"), &text) ||
        slice_u64(text, INT32_MAX, &n) != 0)
        return 0;
    return (uint32_t)n;
}

static bool is_path_sips(const struct reg *g)
{
    struct slice rest = g->path, element;
    struct sip_name_addr na;
    while (sip_list_next(&rest, &element))
        if (sip_name_addr_parse(element, &na) < 0 || !slice_istarts(na.uri, SLICE("sips:")))
            return false;
    return true;
}

/* RFC 5630 5.2: all the way to a sips contact is by TLS, also the one on which it registers. */
static bool check_sips(const struct reg *g, const struct contact *c, struct reg_refusal *out)
{
    if (c->uri.scheme != SIP_SCHEME_SIPS)
        return true;
    if (g->req->ruri.scheme != SIP_SCHEME_SIPS)
        return reg_refuse(out, 400, "SIPS Contact Needs A SIPS Request-URI");
    if (g->origin->transport != SIP_TLS)
        return reg_refuse(out, 400, "SIPS Contact Needs TLS");
    if (!is_path_sips(g))
        return reg_refuse(out, 400, "SIPS Contact Needs A SIPS Path");
    return true;
}

/* False: *out says why. */
static bool read_contact(struct reg *g, struct slice element, struct contact *c,
                         struct reg_refusal *out)
{
    struct slice text;
    *c = (struct contact){.q = 1000};
    if (sip_name_addr_parse(element, &c->na) < 0 || c->na.star ||
        sip_uri_parse(c->na.uri, &c->uri) < 0)
        return reg_refuse(out, 400, "Bad Contact");
    if (c->uri.scheme != SIP_SCHEME_SIP && c->uri.scheme != SIP_SCHEME_SIPS)
        return reg_refuse(out, 400, "Contact Scheme Not Supported");
    if (element.len > REG_TEXT_MAX)
        return reg_refuse(out, 400, "Contact Too Long");
    if (sip_param_find(c->na.params, SLICE("q"), &text) && sip_q_parse(text, &c->q) < 0)
        return reg_refuse(out, 400, "Bad Contact q");
    if (sip_param_find(c->na.params, SLICE("+sip.instance"), &text))
        c->instance = unquoted(text);
    c->reg_id = read_reg_id(g, c);
    bool has_own = sip_param_find(c->na.params, SLICE("expires"), &text);
    c->expires = read_expires(g, has_own ? text : SLICE_NONE, has_own);
    if (c->expires != 0 && !check_sips(g, c, out))
        return false;
    if (c->expires != 0 && c->expires < g->r->conf->min_expires && c->expires < RFC_HOUR)
        return reg_refuse(out, 423, NULL);
    return true;
}

/* All header parameters but those that the registrar writes itself. */
static struct slice kept_params(struct reg *g, struct slice params)
{
    struct slice name, value;
    size_t room = 2 * params.len + 1; /* ";" before, "=" is there */
    char *text = arena_bytes(g->arena, room);
    struct buf b;
    buf_init(&b, text, text != NULL ? room : 0);
    while (sip_param_next(&params, &name, &value)) {
        if (slice_ieq(name, SLICE("expires")) || slice_ieq(name, SLICE("q")))
            continue;
        buf_char(&b, ';');
        buf_slice(&b, name);
        if (value.len != 0) {
            buf_char(&b, '=');
            add_unfolded(&b, value);
        }
    }
    return buf_get(&b);
}

static void make_change(struct reg *g, const struct contact *c, struct dn_change *change)
{
    *change = (struct dn_change){
        .remove = c->expires == 0,
        .binding =
            {
                .contact = c->na.uri,
                .params = kept_params(g, c->na.params),
                .path = g->path,
                .call_id = sip_get(g->req, g->req->call_id),
                .instance = c->instance,
                .cseq = g->req->cseq,
                .reg_id = c->reg_id,
                .q = (uint16_t)c->q,
                .source = g->origin->remote,
                .expires = g->now + (uint64_t)c->expires * 1000,
                .updated = g->now,
            },
    };
    reg_way(g, &c->uri, c->reg_id != 0, &change->binding.way);
}

/* --- all Contacts --- */

static void read_star(struct reg *g, struct reg_refusal *out)
{
    uint32_t expires;
    if (sip_value_u32(g->req, SIP_H_EXPIRES, &expires) != 0 || expires != 0) {
        reg_refuse(out, 400, "* Needs Expires: 0");
        return;
    }
    g->is_star = true;
    g->nchanges = 1;
    g->changes[0] = (struct dn_change){.remove = true};
    g->changes[0].binding.call_id = sip_get(g->req, g->req->call_id);
    g->changes[0].binding.cseq = g->req->cseq;
}

static void too_brief(struct reg *g, struct reg_refusal *out)
{
    char *text = arena_bytes(g->arena, 48);
    struct buf b;
    buf_init(&b, text, text != NULL ? 48 : 0);
    buf_printf(&b, "Min-Expires: %u\r\n", g->r->conf->min_expires);
    out->extra = buf_get(&b);
}

static bool read_one(struct reg *g, struct slice element, struct reg_refusal *out)
{
    struct contact c;
    if (!read_contact(g, element, &c, out)) {
        if (out->status == 423)
            too_brief(g, out);
        return false;
    }
    if (c.reg_id != 0) {
        if (g->has_hops && !is_edge_outbound(g))
            return reg_refuse(out, 439, "First Hop Lacks Outbound Support");
        g->is_outbound = true;
    }
    make_change(g, &c, &g->changes[g->nchanges++]);
    return true;
}

/* RFC 5630 5.2: sips contacts come without others. */
static bool is_mixed(const struct reg *g)
{
    unsigned all = 0, sips = 0;
    for (unsigned i = 0; i < g->nchanges; i++) {
        const struct dn_change *c = &g->changes[i];
        all += !c->remove;
        sips += !c->remove && slice_istarts(c->binding.contact, SLICE("sips:"));
    }
    return sips != 0 && sips != all;
}

void reg_read_contacts(struct reg *g, struct reg_refusal *out)
{
    struct sip_iter it;
    struct slice element;
    unsigned n = 0, max = 2 * g->r->conf->max_bindings;
    bool has_star = false;
    sip_iter_init(&it, g->req, SIP_H_CONTACT);
    while (sip_iter_next(&it, &element)) {
        n++;
        has_star = has_star || slice_eq(element, SLICE("*"));
    }
    if (n == 0)
        return;
    /* As many new ones as there may be, and as many that make room for them. */
    if (n > max) {
        reg_refuse(out, 403, "Too Many Contacts");
        return;
    }
    g->changes = arena_alloc(g->arena, n * sizeof(*g->changes));
    if (g->changes == NULL) {
        reg_refuse(out, 500, NULL);
        return;
    }
    if (has_star) {
        if (n > 1)
            reg_refuse(out, 400, "* Beside Another Contact");
        else
            read_star(g, out);
        return;
    }
    sip_iter_init(&it, g->req, SIP_H_CONTACT);
    while (sip_iter_next(&it, &element))
        if (!read_one(g, element, out))
            return;
    if (is_mixed(g))
        reg_refuse(out, 400, "SIP And SIPS Contacts");
    if (g->arena->overflow)
        reg_refuse(out, 500, NULL);
}
