/* SPDX-License-Identifier: Apache-2.0 */
/* Route preprocessing: RFC 3261 16.4. */
#include "proxy/proxy_int.h"

#include <limits.h>

static bool route_element_uri(struct slice element, struct sip_uri *uri)
{
    struct sip_name_addr na;
    return sip_name_addr_parse(element, &na) == 0 && sip_uri_parse(na.uri, uri) == 0;
}

/* A number is at home wherever it is asked for, but no Route leads to it. */
static bool is_our_route(struct proxy *p, const struct sip_uri *uri)
{
    return uri->scheme != SIP_SCHEME_TEL && route_is_ours(p->deps.route, uri);
}

/* The values that our own one stood for: those that are ours too are done with, the first one that
 * is not is the next Route. */
static int open_hidden(struct proxy *p, const struct sip_msg *req, const struct sip_uri *ours,
                       struct arena *arena, struct proxy_way *way)
{
    struct slice rest, element;
    struct sip_uri uri;
    bool is_path;
    int rc = hide_open(p, req, ours, arena, &rest, &is_path);
    if (rc <= 0)
        return rc;
    while (sip_list_next(&rest, &element)) {
        if (!route_element_uri(element, &uri))
            return ERR_PARSE;
        if (is_our_route(p, &uri)) {
            proxy_learn(p, req, &uri, way);
            continue;
        }
        way->hidden = slice_of(element.ptr, (size_t)(rest.ptr + rest.len - element.ptr));
        way->next_route = element;
        way->next_uri = uri;
        way->next_is_strict = !uri.lr;
        way->relays = way->relays || is_path;
        break;
    }
    return 0;
}

/* A strict router in front of us (RFC 2543) has put our Record-Route into the Request-URI and the
 * real one into the last Route. */
static int undo_strict(struct proxy *p, const struct sip_msg *req, struct arena *arena,
                       struct proxy_way *way)
{
    struct sip_iter it;
    struct slice element, last = SLICE_NONE;
    if (!way->uri.lr || !route_is_ours(p->deps.route, &way->uri))
        return 0;
    sip_iter_init(&it, req, SIP_H_ROUTE);
    while (sip_iter_next(&it, &element))
        last = element;
    if (last.len == 0)
        return 0;
    struct sip_uri uri;
    if (!route_element_uri(last, &uri))
        return ERR_PARSE;
    proxy_learn(p, req, &way->uri, way);
    int err = open_hidden(p, req, &way->uri, arena, way);
    way->uri = uri;
    way->uri_text = uri.text;
    way->strict_popped = true;
    return err;
}

/* maddr names us: it, the port and the transport have brought the request here and are done with.
 */
static int strip_maddr(struct proxy *p, struct arena *arena, struct proxy_way *way)
{
    struct sip_uri here = way->uri;
    here.host = way->uri.maddr;
    if (here.maddr.len == 0 || !route_is_ours(p->deps.route, &here))
        return 0;
    size_t room = way->uri_text.len + 1;
    char *text = arena_bytes(arena, room);
    struct buf b;
    buf_init(&b, text, text != NULL ? room : 0);
    buf_slice(&b, way->uri.scheme_text);
    buf_char(&b, ':');
    if (way->uri.user.len != 0) {
        buf_slice(&b, way->uri.user);
        if (way->uri.password.len != 0) {
            buf_char(&b, ':');
            buf_slice(&b, way->uri.password);
        }
        buf_char(&b, '@');
    }
    buf_slice(&b, way->uri.host);
    struct slice rest = way->uri.params, name, value;
    while (sip_param_next(&rest, &name, &value)) {
        if (slice_ieq(name, SLICE("maddr")) || slice_ieq(name, SLICE("transport")))
            continue;
        buf_char(&b, ';');
        buf_slice(&b, name);
        if (value.len != 0) {
            buf_char(&b, '=');
            buf_slice(&b, value);
        }
    }
    if (b.overflow)
        return ERR_NOMEM;
    way->uri_text = buf_get(&b);
    return sip_uri_parse(way->uri_text, &way->uri);
}

static unsigned count_routes(const struct sip_msg *req)
{
    struct sip_iter it;
    struct slice element;
    unsigned n = 0;
    sip_iter_init(&it, req, SIP_H_ROUTE);
    while (sip_iter_next(&it, &element))
        n++;
    return n;
}

/* All of the topmost Routes that are ours: both of a double Record-Route (RFC 5658), and those of
 * each time when the request has spiralled through us. */
static int pop_routes(struct proxy *p, const struct sip_msg *req, struct arena *arena,
                      struct proxy_way *way)
{
    struct sip_iter it;
    struct slice element;
    unsigned total = UINT_MAX;
    if (way->strict_popped)
        total = count_routes(req) - 1; /* the last one is the Request-URI now */
    sip_iter_init(&it, req, SIP_H_ROUTE);
    for (unsigned i = 0; i < total && sip_iter_next(&it, &element); i++) {
        struct sip_uri uri;
        if (!route_element_uri(element, &uri))
            return ERR_PARSE;
        if (way->popped < PROXY_OUR_ROUTES_MAX && is_our_route(p, &uri)) {
            proxy_learn(p, req, &uri, way);
            way->popped++;
            int err = open_hidden(p, req, &uri, arena, way);
            if (err != 0 || way->next_route.len != 0)
                return err;
            continue;
        }
        way->next_route = element;
        way->next_uri = uri;
        way->next_is_strict = !uri.lr;
        break;
    }
    return 0;
}

int proxy_prepare(struct proxy *p, const struct sip_msg *req, bool trusts, struct arena *arena,
                  struct proxy_way *way)
{
    *way =
        (struct proxy_way){.uri = req->ruri, .uri_text = sip_get(req, req->uri), .trusts = trusts};
    int err = 0;
    if (sip_hdr_first(req, SIP_H_ROUTE) != NULL)
        err = undo_strict(p, req, arena, way);
    if (err == 0)
        err = strip_maddr(p, arena, way);
    if (err == 0 && way->next_route.len == 0 && sip_hdr_first(req, SIP_H_ROUTE) != NULL)
        err = pop_routes(p, req, arena, way);
    return err;
}

int proxy_target_uri(const struct proxy_way *way, const struct route_target *t, struct sip_uri *uri)
{
    if (t->uri.ptr != way->uri.text.ptr || t->uri.len != way->uri.text.len)
        return sip_uri_parse(t->uri, uri);
    *uri = way->uri;
    return 0;
}

bool proxy_is_for_registrar(struct proxy *p, const struct sip_msg *req)
{
    struct sip_iter it;
    struct slice element;
    struct sip_uri uri;
    bool is_sips = req->ruri.scheme == SIP_SCHEME_SIPS && route_tls_port(p->deps.route) != 0;
    if (req->method != SIP_REGISTER || route_has_serving(p->deps.route) ||
        (req->ruri.scheme != SIP_SCHEME_SIP && !is_sips) ||
        !route_is_ours(p->deps.route, &req->ruri))
        return false;
    sip_iter_init(&it, req, SIP_H_ROUTE);
    while (sip_iter_next(&it, &element))
        if (!route_element_uri(element, &uri) || !is_our_route(p, &uri))
            return false;
    return true;
}
