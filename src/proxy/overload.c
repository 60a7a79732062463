/* SPDX-License-Identifier: Apache-2.0 */
/* What is let in under overload, before anything is kept of it. */
#include "proxy/proxy_int.h"

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

static bool is_emergency(const struct proxy *p, const struct sip_uri *uri)
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

/* What ends or goes on with something, whether or not its dialog has got a tag already. */
static bool is_inner_method(const struct sip_msg *req)
{
    return req->method == SIP_ACK || req->method == SIP_CANCEL || req->method == SIP_BYE ||
           req->method == SIP_PRACK || req->method == SIP_UPDATE;
}

enum load_kind overload_kind(struct proxy *p, const struct sip_msg *req, const struct addr *from,
                             bool is_application)
{
    if (sip_in_dialog(req) || is_inner_method(req) || is_emergency(p, &req->ruri))
        return LOAD_PASS;
    if (req->method == SIP_OPTIONS && is_application)
        return LOAD_PASS;
    if (has_priority(p, req) && (is_application || route_may_relay(p->deps.route, from)))
        return LOAD_PASS;
    return req->method == SIP_INVITE ? LOAD_INVITE : LOAD_OTHER;
}

bool proxy_admit(struct proxy *p, const struct sip_msg *req, const struct flow_origin *origin)
{
    struct load *load = p->deps.load;
    uint64_t now;
    if (load == NULL || sip_in_dialog(req) || !load_is_limiting(load))
        return true;
    now = proxy_now(p);
    bool is_application = route_sender(p->deps.route, req, &origin->remote) != 0;
    struct load_verdict verdict;
    load_admit(load, overload_kind(p, req, &origin->remote, is_application), &origin->remote,
               is_application, now, &verdict);
    if (verdict.cause == LOAD_ADMITTED)
        return true;
    char text[32];
    struct buf b;
    buf_init(&b, text, sizeof(text));
    buf_lit(&b, "Retry-After: ");
    buf_u64(&b, verdict.retry_after);
    buf_lit(&b, "\r\n");
    counter_inc(p->deps.counters, CTR_REQ_REJECTED);
    txn_reply_stateless(p->deps.txns, req, origin, 503, SLICE_NONE, buf_get(&b));
    return false;
}
