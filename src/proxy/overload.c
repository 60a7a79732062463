/* SPDX-License-Identifier: Apache-2.0 */
/* What is let in under overload, before anything is kept of it. */
#include "proxy/proxy_int.h"
#include "sip/oc.h"

#define NUMBER_MAX 64 /* digits of an emergency number, and of what is compared with it */

/* --- emergency calls: RFC 5031, and numbers --- */

/* urn:service:sos and everything below it. */
static bool is_sos(struct slice uri)
{
    struct slice sos = SLICE("urn:service:sos");
    if (!slice_istarts(uri, sos))
        return false;
    return uri.len == sos.len || uri.ptr[sos.len] == '.' || uri.ptr[sos.len] == ';' ||
           uri.ptr[sos.len] == '?';
}

static bool is_separator(char c)
{
    return c == '-' || c == '.' || c == '(' || c == ')' || c == ' ';
}

/* A number without visual separators (RFC 3966 3) and parameters. Empty: too long to be one. */
static struct slice plain_number(struct slice user, char *room)
{
    struct slice number = user;
    char text[NUMBER_MAX];
    struct buf raw, out;
    ptrdiff_t semi = slice_chr(user, ';');
    if (semi >= 0)
        number.len = (size_t)semi;
    buf_init(&raw, text, sizeof(text));
    buf_init(&out, room, NUMBER_MAX);
    if (sip_unescape(number, &raw) != 0)
        return SLICE_NONE;
    for (size_t i = 0; i < raw.len; i++)
        if (!is_separator(text[i]))
            buf_char(&out, text[i]);
    return buf_get(&out);
}

bool proxy_is_emergency(const struct proxy *p, const struct sip_uri *uri)
{
    char room[NUMBER_MAX], want[NUMBER_MAX];
    if (uri->scheme == SIP_SCHEME_OTHER)
        return is_sos(uri->text);
    if (p->conf->nemergency_numbers == 0 || uri->user.len == 0)
        return false;
    struct slice number = plain_number(uri->user, room);
    for (unsigned i = 0; number.len != 0 && i < p->conf->nemergency_numbers; i++)
        if (slice_ieq(number, plain_number(p->conf->emergency_numbers[i], want)))
            return true;
    return false;
}

/* --- Resource-Priority: RFC 4412 3.1 --- */

static bool is_priority_namespace(const struct proxy *p, struct slice value)
{
    ptrdiff_t dot = slice_chr(value, '.');
    if (dot <= 0)
        return false;
    struct slice name = slice_of(value.ptr, (size_t)dot);
    for (unsigned i = 0; i < p->conf->npriorities; i++)
        if (slice_ieq(name, p->conf->priorities[i]))
            return true;
    return false;
}

static bool has_priority(const struct proxy *p, const struct sip_msg *req)
{
    struct slice name = SLICE("Resource-Priority");
    const struct sip_hdr *h = p->conf->npriorities != 0 ? sip_hdr_named(req, name) : NULL;
    for (; h != NULL; h = sip_hdr_after(req, h)) {
        struct slice rest = sip_hdr_value(req, h), element;
        if (!slice_ieq(slice_of(req->base + h->line, h->name_len), name))
            continue;
        while (sip_list_next(&rest, &element))
            if (is_priority_namespace(p, element))
                return true;
    }
    return false;
}

/* --- what kind of request is it? --- */

/* Anybody can write a To tag: what is inside a dialog is known to us, or brings our mark. Without
 * Record-Route nobody could tell. */
static bool is_inside(const struct proxy *p, const struct sip_msg *req)
{
    enum call_side side;
    if (!sip_in_dialog(req))
        return false;
    return !p->conf->record_route ||
           (p->deps.calls != NULL && call_find(p->deps.calls, req, &side) != 0) ||
           proxy_brings_mark(p, req);
}

enum load_kind overload_kind(struct proxy *p, const struct sip_msg *req, const struct addr *from,
                             bool is_application)
{
    if (is_inside(p, req) || proxy_is_emergency(p, &req->ruri))
        return LOAD_PASS;
    if (req->method == SIP_OPTIONS && is_application)
        return LOAD_PASS;
    if (has_priority(p, req) && (is_application || route_may_relay(p->deps.route, from)))
        return LOAD_PASS;
    return req->method == SIP_INVITE ? LOAD_INVITE : LOAD_OTHER;
}

void overload_write_retry_after(struct proxy *p, uint32_t least, struct buf *out)
{
    uint32_t seconds = p->deps.load != NULL ? load_retry_after(p->deps.load, least) : least;
    if (seconds == 0)
        return;
    buf_lit(out, "Retry-After: ");
    buf_u64(out, seconds);
    buf_lit(out, "\r\n");
}

bool proxy_may_wait(struct proxy *p, const struct sip_msg *req, const struct flow_origin *origin)
{
    if (req->method == SIP_CANCEL)
        return true;
    return req->method == SIP_INVITE && !sip_in_dialog(req) &&
           route_sender(p->deps.route, req, &origin->remote, origin->transport) == 0 &&
           overload_kind(p, req, &origin->remote, false) == LOAD_INVITE;
}

bool proxy_admit(struct proxy *p, const struct sip_msg *req, const struct flow_origin *origin,
                 int64_t waited_ms)
{
    struct load *load = p->deps.load;
    uint64_t now;
    if (load == NULL || !load_is_limiting(load))
        return true;
    /* What an application sends belongs to a call that was let in when it came to it. */
    if (route_sender(p->deps.route, req, &origin->remote, origin->transport) != 0)
        return true;
    now = proxy_now(p);
    struct sip_oc oc;
    if (load_loss(load) != 0 && sip_oc_parse(req->via.params, &oc) && oc.is_loss)
        load_note_speaks(load, &origin->remote, now);
    if (load_admit(load, overload_kind(p, req, &origin->remote, false), &origin->remote, waited_ms,
                   now) == LOAD_ADMITTED)
        return true;
    char text[32];
    struct buf b;
    buf_init(&b, text, sizeof(text));
    overload_write_retry_after(p, 0, &b);
    counter_inc(p->deps.counters, CTR_REQ_REJECTED);
    txn_reply_stateless(p->deps.txns, req, origin, 503, SLICE_NONE, buf_get(&b));
    return false;
}

/* --- RFC 7339: with neighbours that speak it --- */

/* Devices have nothing to hold back; members of applications, trunks and proxies have. */
static bool is_neighbour(const struct route_target *t)
{
    return t->member != 0 || t->is_trunk || (!t->is_device && !t->has_dest);
}

void overload_offer(const struct proxy *p, const struct outgoing *o, struct buf *line)
{
    if (p->deps.load == NULL || !load_is_control(p->deps.load) || o->target == NULL ||
        !is_neighbour(o->target) || line->overflow || line->len < 2)
        return;
    line->len -= 2;
    buf_lit(line, SIP_OC_OFFER "\r\n");
}

void overload_note(struct proxy *p, uint64_t client, const struct sip_msg *res)
{
    struct load *load = p->deps.load;
    struct sip_oc oc;
    if (load == NULL || !load_is_control(load) || !res->via.has_oc ||
        !sip_oc_parse(res->via.params, &oc) || !oc.has_value || !oc.is_loss)
        return;
    const struct flow_dest *dest = txn_client_dest(p->deps.txns, client);
    if (dest != NULL)
        load_note_oc(load, &dest->remote, &(struct load_oc){oc.loss, oc.validity_ms, oc.seq},
                     proxy_now(p));
}

bool overload_may_send(struct pctx *c, const struct flow_dest *dest)
{
    struct proxy *p = c->proxy;
    uint64_t now = proxy_now(p);
    if (p->deps.load == NULL || !load_is_asked(p->deps.load, now))
        return true;
    enum load_kind kind = overload_kind(p, c->req, &c->origin->remote, c->member != 0);
    return load_may_send(p->deps.load, &dest->remote, kind, now);
}

/* What an application sends is let in; if it held back what we ask for, that would be calls that
 * have been let in already. */
static bool is_application(struct proxy *p, const struct sip_via *via)
{
    struct addr at;
    uint16_t port = via->port != 0 ? via->port : sip_transport_port(via->transport);
    struct slice host = via->received.len != 0 ? via->received : via->host;
    return p->deps.groups != NULL && groups_are_any(p->deps.groups) &&
           addr_parse_ip(host, port, &at) == 0 &&
           group_sender(p->deps.groups, &at, port, GROUP_TLS) != 0;
}

/* False: nothing is asked, or its sender does not speak it. */
static bool write_ask(struct proxy *p, struct slice via, struct slice params, struct buf *out)
{
    struct load_oc ask;
    struct sip_oc oc;
    if (!load_ask(p->deps.load, proxy_now(p), &ask) || !sip_oc_parse(params, &oc) || !oc.is_loss)
        return false;
    oc = (struct sip_oc){true, true, ask.loss, ask.validity_ms, ask.seq};
    sip_oc_write(out, via, params, &oc);
    return !out->overflow;
}

void overload_edit(struct proxy *p, struct sip_edit *e, const struct sip_msg *res, char *room)
{
    struct sip_iter it;
    struct slice element;
    struct sip_via via;
    struct buf out;
    if (p->deps.load == NULL || !load_has_asked(p->deps.load))
        return;
    sip_iter_below_via(&it, res);
    if (!sip_iter_next(&it, &element) || sip_via_parse(element, &via) != 0)
        return;
    buf_init(&out, room, OVERLOAD_ROOM);
    if (!is_application(p, &via) && write_ask(p, element, via.params, &out))
        sip_edit_replace(e, element, buf_get(&out));
}

bool overload_write_via(void *proxy, const struct sip_msg *req, struct slice via, struct buf *out)
{
    struct proxy *p = proxy;
    struct sip_via parsed;
    return p->deps.load != NULL && load_has_asked(p->deps.load) &&
           route_sender(p->deps.route, req, &req->source, SIP_TLS) == 0 &&
           sip_via_parse(via, &parsed) == 0 && write_ask(p, via, parsed.params, out);
}
