/* SPDX-License-Identifier: Apache-2.0 */
/* What ends a call: its dialogs one by one, requests of ours inside them; and the list for people.
 */
#include "call/call_int.h"

static const struct dialog *nth_dialog(const struct call *c, unsigned n)
{
    const struct dialog *d = c != NULL ? c->dialogs : NULL;
    while (d != NULL && n-- > 0)
        d = d->next;
    return d;
}

static void describe(const struct call *c, const struct dialog *d, struct call_dialog *out)
{
    *out = (struct call_dialog){
        .confirmed = d->confirmed,
        .acked = d->acked,
        .call_id = texts_get(&c->caller->texts, PART_NAME),
        .caller_tag = texts_get(&c->caller->texts, PART_TAG),
        .callee_tag = texts_get(&d->texts, PART_TAG),
        .dn = texts_get(&d->texts, PART_NAME),
        .invite_cseq = d->invite_cseq,
        .since = c->since,
        .heard = d->heard,
    };
    call_unpack_way(texts_get(&c->caller->texts, PART_WAY), &out->ways[CALL_CALLER]);
    call_unpack_way(texts_get(&d->texts, PART_WAY), &out->ways[CALL_CALLEE]);
}

bool call_next_dialog(struct calls *calls, uint64_t call, unsigned *it, struct call_dialog *out)
{
    const struct call *c = calls_get(calls, call);
    const struct dialog *d = nth_dialog(c, *it);
    if (d == NULL)
        return false;
    ++*it;
    describe(c, d, out);
    return true;
}

/* --- requests of ours --- */

struct request {
    enum sip_method method;
    uint32_t cseq;
    struct slice target, routes;
    struct slice from, from_tag, to, to_tag;
    struct slice call_id;
};

/* URI of the first value of a route set that we have written: "<uri>" or "<uri>,<...". */
static struct slice first_route(struct slice routes, struct slice *rest)
{
    ptrdiff_t end = slice_chr(routes, '>');
    if (end < 1)
        return SLICE_NONE;
    size_t next = (size_t)end + 2;
    *rest = next < routes.len ? slice_of(routes.ptr + next, routes.len - next) : SLICE_NONE;
    return slice_of(routes.ptr + 1, (size_t)end - 1);
}

/* RFC 3261 12.2.1.1: behind a strict router the target is the last Route. */
static void put_start(const struct request *r, struct buf *b, struct slice *first_hop)
{
    struct slice rest = SLICE_NONE, first = first_route(r->routes, &rest);
    struct sip_uri uri;
    bool is_strict = first.len != 0 && (sip_uri_parse(first, &uri) != 0 || !uri.lr);
    struct slice line_uri = is_strict ? first : r->target;
    buf_slice(b, sip_method_text(r->method));
    buf_char(b, ' ');
    size_t at = b->len;
    buf_slice(b, line_uri);
    *first_hop = slice_of(b->ptr + at, line_uri.len);
    buf_lit(b, " SIP/2.0\r\n");
    if (first.len == 0)
        return;
    buf_lit(b, "Route: ");
    at = b->len;
    if (is_strict) {
        buf_slice(b, rest);
        buf_str(b, rest.len != 0 ? ",<" : "<");
        buf_slice(b, r->target);
        buf_char(b, '>');
    } else {
        buf_slice(b, r->routes);
        *first_hop = slice_of(b->ptr + at + 1, first.len);
    }
    buf_lit(b, "\r\n");
}

static void put_party(struct buf *b, const char *name, struct slice uri, struct slice tag)
{
    buf_str(b, name);
    buf_lit(b, ": <");
    buf_slice(b, uri);
    buf_lit(b, ">;tag=");
    buf_slice(b, tag);
    buf_lit(b, "\r\n");
}

static int put_request(const struct request *r, struct buf *b, struct slice *first_hop)
{
    put_start(r, b, first_hop);
    buf_lit(b, "Max-Forwards: 70\r\n");
    put_party(b, "From", r->from, r->from_tag);
    put_party(b, "To", r->to, r->to_tag);
    buf_lit(b, "Call-ID: ");
    buf_slice(b, r->call_id);
    buf_lit(b, "\r\nCSeq: ");
    buf_u64(b, r->cseq);
    buf_char(b, ' ');
    buf_slice(b, sip_method_text(r->method));
    buf_lit(b, "\r\n");
    return b->overflow ? ERR_FULL : 0;
}

/* A URI as it may stand in From and To: as it is, or a harmless one. */
static struct slice party(struct slice uri)
{
    return call_is_uri(uri) ? uri : SLICE("sip:anonymous@anonymous.invalid");
}

/* At the end of the numbers the last one is used again: only a lower one is out of order (RFC 3261
 * 12.2.2). */
static uint32_t next_cseq(uint32_t highest)
{
    return highest < CALL_CSEQ_MAX ? highest + 1 : CALL_CSEQ_MAX;
}

int call_write_request(struct calls *calls, uint64_t call, const struct call_dialog *dialog,
                       enum sip_method method, enum call_side to, struct buf *out,
                       struct slice *first_hop)
{
    const struct call *c = calls_get(calls, call);
    const struct dialog *d = c != NULL ? dialog_of_tag(c, dialog->callee_tag) : NULL;
    *first_hop = SLICE_NONE;
    if (d == NULL)
        return ERR_STALE;
    bool to_callee = to == CALL_CALLEE;
    if (method == SIP_UNKNOWN || (method == SIP_ACK && !to_callee) || (d->is_slim && to_callee))
        return ERR_UNSUPPORTED;
    const struct texts *side = to_callee ? &d->texts : &c->caller->texts;
    struct slice caller = texts_get(&c->caller->texts, PART_FROM);
    struct slice callee = texts_get(&c->caller->texts, PART_TO);
    struct slice caller_tag = texts_get(&c->caller->texts, PART_TAG);
    struct slice callee_tag = texts_get(&d->texts, PART_TAG);
    struct request r = {
        .method = method,
        .cseq = method == SIP_ACK ? d->invite_cseq
                                  : next_cseq(d->cseq[to_callee ? CALL_CALLER : CALL_CALLEE]),
        .target = texts_get(side, PART_TARGET),
        .routes = texts_get(side, PART_ROUTES),
        .from = party(to_callee ? caller : callee),
        .from_tag = to_callee ? caller_tag : callee_tag,
        .to = party(to_callee ? callee : caller),
        .to_tag = to_callee ? callee_tag : caller_tag,
        .call_id = texts_get(&c->caller->texts, PART_NAME),
    };
    if (!call_is_uri(r.target))
        r.target = r.to; /* a peer without Contact: the URI it is known by, as RFC 2543 has it */
    return put_request(&r, out, first_hop);
}
