/* SPDX-License-Identifier: Apache-2.0 */
#include "proxy/proxy_int.h"

/* Our Record-Route carries "hf-mark=" with this number: it says to ourselves that the dialog (its
 * Call-ID) went through us, so that nobody else can have us relay by making up a Route. */
uint64_t proxy_dialog_mark(struct proxy *p, const struct sip_msg *req)
{
    return hash_slice(p->deps.key, sip_get(req, req->call_id));
}

static bool mark_is_right(struct proxy *p, const struct sip_msg *req, const struct sip_uri *uri)
{
    struct slice mark;
    char text[16];
    struct buf b;
    if (!sip_param_find(uri->params, SLICE("hf-mark"), &mark))
        return false;
    buf_init(&b, text, sizeof(text));
    buf_hex(&b, proxy_dialog_mark(p, req), 16);
    return slice_eq(mark, buf_get(&b));
}

/* What one Route of ours tells. */
static void learn(struct proxy *p, const struct sip_msg *req, const struct sip_uri *uri,
                  struct proxy_way *way)
{
    if (mark_is_right(p, req, uri))
        way->is_ours_dialog = true;
    way->has_token = route_token_parse(p->deps.route, uri->user, &way->token) == 0;
}

static bool route_element_uri(struct slice element, struct sip_uri *uri)
{
    struct sip_name_addr na;
    return sip_name_addr_parse(element, &na) == 0 && sip_uri_parse(na.uri, uri) == 0;
}

/* A strict router in front of us (RFC 2543) has put our Record-Route into the Request-URI and the
 * real one into the last Route. */
static int undo_strict(struct proxy *p, const struct sip_msg *req, struct proxy_way *way)
{
    struct sip_iter it;
    struct slice element, last = SLICE_NONE;
    sip_iter_init(&it, req, SIP_H_ROUTE);
    while (sip_iter_next(&it, &element))
        last = element;
    if (last.len == 0 || !way->uri.lr || !route_is_ours(p->deps.route, &way->uri))
        return 0;
    struct sip_uri uri;
    if (!route_element_uri(last, &uri))
        return ERR_PARSE;
    learn(p, req, &way->uri, way);
    way->uri = uri;
    way->uri_text = uri.text;
    way->strict_popped = true;
    return 0;
}

int proxy_prepare(struct proxy *p, const struct sip_msg *req, struct proxy_way *way)
{
    *way = (struct proxy_way){0};
    way->uri_text = sip_get(req, req->uri);
    if (sip_uri_parse(way->uri_text, &way->uri) < 0)
        return ERR_PARSE;
    int err = undo_strict(p, req, way);
    if (err < 0)
        return err;
    unsigned total = 0;
    struct sip_iter it;
    struct slice element;
    sip_iter_init(&it, req, SIP_H_ROUTE);
    while (sip_iter_next(&it, &element))
        total++;
    if (way->strict_popped)
        total--; /* the last one is the Request-URI now */
    sip_iter_init(&it, req, SIP_H_ROUTE);
    for (unsigned i = 0; i < total && sip_iter_next(&it, &element); i++) {
        struct sip_uri uri;
        if (!route_element_uri(element, &uri))
            return ERR_PARSE;
        if (way->popped < PROXY_OUR_ROUTES_MAX && route_is_ours(p->deps.route, &uri)) {
            learn(p, req, &uri, way);
            way->popped++;
            continue;
        }
        way->next_route = element;
        way->next_uri = uri;
        way->next_is_strict = !uri.lr;
        break;
    }
    return 0;
}
