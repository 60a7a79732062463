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

/* Nothing in it would have to be left out: no headers, no parameter with the letter of "method".
 * Whether it is a URI is found out when it is needed. */
static bool is_plain(struct slice uri)
{
    ptrdiff_t at = slice_chr(uri, ';');
    struct slice params = SLICE_NONE;
    if (at >= 0)
        params = slice_of(uri.ptr + at, uri.len - (size_t)at);
    return (slice_istarts(uri, SLICE("sip:")) || slice_istarts(uri, SLICE("sips:"))) &&
           slice_chr(uri, '?') < 0 && slice_chr(params, 'm') < 0 && slice_chr(params, 'M') < 0;
}

struct slice call_target(const struct sip_msg *msg, struct buf *b)
{
    struct sip_iter it;
    struct slice element;
    struct sip_name_addr na;
    struct sip_uri uri;
    size_t at = b->len;
    sip_iter_init(&it, msg, SIP_H_CONTACT);
    if (!sip_iter_next(&it, &element) || sip_name_addr_parse(element, &na) != 0 || na.star)
        return SLICE_NONE;
    if (is_plain(na.uri))
        return na.uri;
    if (sip_uri_parse(na.uri, &uri) != 0 ||
        (uri.scheme != SIP_SCHEME_SIP && uri.scheme != SIP_SCHEME_SIPS))
        return SLICE_NONE;
    put_target(&uri, b);
    return slice_of(b->ptr + at, b->len - at);
}

bool call_is_uri(struct slice text)
{
    struct sip_uri uri;
    return sip_uri_parse(text, &uri) == 0;
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

static bool is_ours(const struct call *c, const struct sip_uri *uri, const struct flow_dest *callee)
{
    const struct calls *calls = c->owner;
    struct flow_dest caller;
    struct addr a;
    if (calls->is_ours != NULL)
        return calls->is_ours(calls->ours_user, uri);
    if (addr_parse_ip(uri->host, 0, &a) != 0)
        return false;
    call_unpack_way(texts_get(&c->caller->texts, PART_WAY), &caller);
    return addr_eq_ip(&a, &caller.local) || addr_eq_ip(&a, &callee->local);
}

/* The `n` topmost values from the last to the first: the route set of the caller goes the other
 * way round than the header (RFC 3261 12.1.2). */
static int put_reversed(const struct slice *values, unsigned n, struct buf *b)
{
    struct sip_uri uri;
    while (n-- > 0) {
        if (!route_uri(values[n], &uri))
            return ERR_PARSE;
        put_route(&uri, b);
    }
    return b->overflow ? ERR_LIMIT : 0;
}

/* Do both values name the same host and port, as far as can be told without a close look? */
static bool is_same_place(struct slice a, struct slice b)
{
    struct slice values[2] = {a, b};
    for (unsigned i = 0; i < 2; i++) {
        ptrdiff_t begin = slice_chr(values[i], '@');
        if (begin < 0)
            begin = slice_chr(values[i], ':');
        values[i].ptr += begin + 1;
        values[i].len -= (size_t)(begin + 1);
        ptrdiff_t end = slice_chr(values[i], ';');
        if (begin < 0 || end <= 0)
            return false;
        values[i].len = (size_t)end;
    }
    return slice_eq(values[0], values[1]);
}

/* From top to bottom: proxies beyond us, our own values, those between us and the caller, whose
 * number we know from the INVITE. Only what is needed is looked into. */
int call_routes_to_callee(const struct call *c, const struct sip_msg *res,
                          const struct flow_dest *callee, struct buf *b)
{
    enum { MOST = 64 }; /* more do not fit into a record anyhow */
    struct slice values[MOST];
    unsigned n = 0, nbehind = c->caller->nroutes;
    struct sip_iter it;
    struct slice element;
    struct sip_uri uri;
    sip_iter_init(&it, res, SIP_H_RECORD_ROUTE);
    while (sip_iter_next(&it, &element)) {
        if (n == MOST)
            return ERR_LIMIT;
        values[n++] = element;
    }
    if (n <= nbehind)
        return 0; /* a peer that does not copy the header: straight to its Contact */
    /* The value right above theirs is ours since we have record-routed; the one above it too where
     * the sides differ (RFC 5658), or when the INVITE has spiralled. */
    n -= nbehind + 1;
    while (n > 0 && (is_same_place(values[n - 1], values[n]) ||
                     (route_uri(values[n - 1], &uri) && is_ours(c, &uri, callee))))
        n--;
    return put_reversed(values, n, b);
}

static uint64_t add_print(uint64_t h, struct slice s)
{
    const uint64_t odd = 0x9e3779b97f4a7c15u;
    uint64_t word = 0;
    for (; s.len >= sizeof(word); s.ptr += sizeof(word), s.len -= sizeof(word)) {
        memcpy(&word, s.ptr, sizeof(word));
        h = (h ^ word) * odd;
        h ^= h >> 32;
    }
    word = s.len;
    if (s.len != 0)
        memcpy(&word, s.ptr, s.len);
    h = (h ^ word) * odd;
    return h ^ h >> 32;
}

uint32_t call_print(const struct sip_msg *res)
{
    uint64_t h = 0;
    const struct sip_hdr *line = sip_hdr_first(res, SIP_H_RECORD_ROUTE);
    for (; line != NULL; line = sip_hdr_after(res, line))
        h = add_print(h, sip_hdr_value(res, line));
    return (uint32_t)add_print(h, sip_value(res, SIP_H_CONTACT));
}
