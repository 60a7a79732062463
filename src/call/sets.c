/* SPDX-License-Identifier: Apache-2.0 */
/* What a dialog learns from a message: remote targets and route sets (RFC 3261 12.1). */
#include "call/call_int.h"

/* --- remote target --- */

/* What may not stand in a Request-URI is left out: headers and the method (RFC 3261 19.1.1). */
static void put_target(const struct sip_uri *uri, struct buf *b)
{
    struct slice rest = uri->params, name, value, text = uri->text;
    if (uri->headers.len != 0)
        text.len = (size_t)(uri->headers.ptr - text.ptr) - 1;
    if (!sip_param_find(uri->params, SLICE("method"), NULL)) {
        buf_slice(b, text);
        return;
    }
    buf_add(b, text.ptr, (size_t)(uri->params.ptr - text.ptr) - 1);
    while (sip_param_next(&rest, &name, &value)) {
        if (slice_ieq(name, SLICE("method")))
            continue;
        buf_char(b, ';');
        buf_slice(b, name);
        if (value.len != 0) {
            buf_char(b, '=');
            buf_slice(b, value);
        }
    }
}

struct slice call_target(const struct sip_msg *msg, struct buf *b)
{
    struct sip_iter it;
    struct slice element;
    struct sip_name_addr na;
    struct sip_uri uri;
    size_t at = b->len;
    sip_iter_init(&it, msg, SIP_H_CONTACT);
    if (!sip_iter_next(&it, &element) || sip_name_addr_parse(element, &na) != 0 || na.star ||
        sip_uri_parse(na.uri, &uri) != 0 ||
        (uri.scheme != SIP_SCHEME_SIP && uri.scheme != SIP_SCHEME_SIPS))
        return SLICE_NONE;
    put_target(&uri, b);
    return slice_of(b->ptr + at, b->len - at);
}

struct slice call_party_uri(struct slice header)
{
    struct sip_name_addr na;
    struct sip_uri uri;
    if (sip_name_addr_parse(header, &na) != 0 || na.star || sip_uri_parse(na.uri, &uri) != 0)
        return SLICE("sip:anonymous@anonymous.invalid");
    return na.uri;
}

/* --- route sets --- */

static bool route_uri(struct slice element, struct sip_uri *uri)
{
    struct sip_name_addr na;
    return sip_name_addr_parse(element, &na) == 0 && sip_uri_parse(na.uri, uri) == 0 &&
           (uri->scheme == SIP_SCHEME_SIP || uri->scheme == SIP_SCHEME_SIPS);
}

static void put_route(const struct sip_uri *uri, struct buf *b)
{
    buf_str(b, b->len != 0 ? ",<" : "<");
    buf_slice(b, uri->text);
    buf_char(b, '>');
}

int call_routes_to_caller(const struct sip_msg *invite, struct buf *b, unsigned *n)
{
    struct sip_iter it;
    struct slice element;
    struct sip_uri uri;
    *n = 0;
    sip_iter_init(&it, invite, SIP_H_RECORD_ROUTE);
    while (sip_iter_next(&it, &element)) {
        if (!route_uri(element, &uri))
            return ERR_PARSE;
        put_route(&uri, b);
        ++*n;
    }
    return b->overflow ? ERR_LIMIT : 0;
}

static bool is_ours(const struct calls *calls, const struct sip_uri *uri,
                    const struct flow_dest ways[2])
{
    struct addr a;
    if (calls->is_ours != NULL)
        return calls->is_ours(calls->ours_user, uri);
    if (addr_parse_ip(uri->host, 0, &a) != 0)
        return false;
    return addr_eq_ip(&a, &ways[CALL_CALLER].local) || addr_eq_ip(&a, &ways[CALL_CALLEE].local);
}

/* The `n` topmost values from the last to the first: the route set of the caller goes the other
 * way round than the header (RFC 3261 12.1.2). */
static int put_reversed(const struct slice *uris, unsigned n, struct buf *b)
{
    struct sip_uri uri;
    while (n-- > 0) {
        uri.text = uris[n];
        put_route(&uri, b);
    }
    return b->overflow ? ERR_LIMIT : 0;
}

/* From top to bottom: proxies beyond us, our own values, those between us and the caller, whose
 * number we know from the INVITE. */
int call_routes_to_callee(const struct calls *calls, const struct sip_msg *res, unsigned nbehind,
                          const struct flow_dest ways[2], struct buf *b)
{
    enum { MOST = 64 }; /* more do not fit into a record anyhow */
    struct slice uris[MOST];
    bool ours[MOST];
    unsigned n = 0;
    struct sip_iter it;
    struct slice element;
    struct sip_uri uri;
    sip_iter_init(&it, res, SIP_H_RECORD_ROUTE);
    while (sip_iter_next(&it, &element)) {
        if (n == MOST)
            return ERR_LIMIT;
        if (!route_uri(element, &uri))
            return ERR_PARSE;
        uris[n] = uri.text;
        ours[n++] = is_ours(calls, &uri, ways);
    }
    if (n <= nbehind)
        return 0; /* a peer that does not copy the header: straight to its Contact */
    /* The value right above theirs is ours since we have record-routed; the one above it too where
     * the sides differ (RFC 5658), or when the INVITE has spiralled. */
    n -= nbehind + 1;
    while (n > 0 && ours[n - 1])
        n--;
    return put_reversed(uris, n, b);
}
