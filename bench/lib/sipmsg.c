/* SPDX-License-Identifier: Apache-2.0 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include "sipmsg.h"

#include <string.h>
#include <strings.h>

static enum sip_method method_of(struct str s)
{
    if (s.n == 6 && memcmp(s.p, "INVITE", 6) == 0)
        return SIP_INVITE;
    if (s.n == 3 && memcmp(s.p, "ACK", 3) == 0)
        return SIP_ACK;
    if (s.n == 3 && memcmp(s.p, "BYE", 3) == 0)
        return SIP_BYE;
    if (s.n == 8 && memcmp(s.p, "REGISTER", 8) == 0)
        return SIP_REGISTER;
    return SIP_OTHER;
}

static bool start_line(struct sipmsg *m, struct str line)
{
    const char *space, *second;
    uint64_t code;

    if (line.n > 12 && memcmp(line.p, "SIP/2.0 ", 8) == 0) {
        if (!text_uint((struct str){line.p + 8, 3}, 699, &code) || code < 100)
            return false;
        m->status = (unsigned)code;
        return true;
    }
    space = memchr(line.p, ' ', line.n);
    if (!space)
        return false;
    second = memrchr(line.p, ' ', line.n);
    if (second == space || line.n < 8 || memcmp(line.p + line.n - 7, "SIP/2.0", 7) != 0)
        return false;
    m->method = method_of((struct str){line.p, (size_t)(space - line.p)});
    m->uri = (struct str){space + 1, (size_t)(second - space - 1)};
    return true;
}

static bool is_name(struct str name, const char *full, char compact)
{
    if (name.n == 1)
        return (name.p[0] | 0x20) == compact;
    return text_eq_nocase(name, full);
}

static bool number_headers(struct sipmsg *m, struct str name, struct str value)
{
    uint64_t v;

    if (is_name(name, "Content-Length", 'l')) {
        if (!text_uint(value, 65535, &v))
            return false;
        m->body = (size_t)v;
    } else if (text_eq_nocase(name, "CSeq")) {
        const char *space = memchr(value.p, ' ', value.n);

        if (!space)
            return false;
        m->cseq = value;
        if (m->status)
            m->method =
                method_of(text_trim((struct str){space, (size_t)(value.p + value.n - space)}));
    }
    return true;
}

/* The first letter decides which names are compared at all. */
static bool header(struct sipmsg *m, struct str line)
{
    const char *colon = memchr(line.p, ':', line.n);
    struct str name, value;

    if (!colon)
        return false;
    name = text_trim((struct str){line.p, (size_t)(colon - line.p)});
    value = text_trim((struct str){colon + 1, (size_t)(line.p + line.n - colon - 1)});
    if (name.n == 0)
        return false;
    switch (name.p[0] | 0x20) {
    case 'v':
        if (is_name(name, "Via", 'v') && m->via_count < SIP_MAX_VIA)
            m->via[m->via_count++] = line;
        break;
    case 'r':
        if (text_eq_nocase(name, "Record-Route") && m->rr_count < SIP_MAX_RR)
            m->rr[m->rr_count++] = value;
        break;
    case 'f':
        if (is_name(name, "From", 'f'))
            m->from = value;
        break;
    case 't':
        if (is_name(name, "To", 't'))
            m->to = value;
        break;
    case 'i':
        if (name.n == 1)
            m->call_id = value;
        break;
    case 'm':
        if (name.n == 1)
            m->contact = value;
        break;
    case 'c':
        if (text_eq_nocase(name, "Call-ID"))
            m->call_id = value;
        else if (text_eq_nocase(name, "Contact"))
            m->contact = value;
        else
            return number_headers(m, name, value);
        break;
    case 'l': return number_headers(m, name, value);
    default: break;
    }
    return true;
}

ssize_t sip_parse(struct sipmsg *m, const char *p, size_t n)
{
    const char *at = p, *end = p + n;
    bool first = true;

    memset(m, 0, sizeof(*m));
    for (;;) {
        const char *eol = memchr(at, '\n', (size_t)(end - at));
        struct str line;

        if (!eol)
            return n > 60000 ? -1 : 0;
        line = (struct str){at, (size_t)(eol - at)};
        if (line.n > 0 && line.p[line.n - 1] == '\r')
            line.n--;
        at = eol + 1;
        if (line.n == 0)
            break;
        if (first ? !start_line(m, line) : !header(m, line))
            return -1;
        first = false;
    }
    if (first || !m->call_id.p || !m->cseq.p || !m->from.p || !m->to.p || m->via_count == 0)
        return -1;
    if ((size_t)(end - at) < m->body)
        return 0;
    m->all = (struct str){p, (size_t)(at - p) + m->body};
    return at - p + (ssize_t)m->body;
}

struct str sip_param(struct str line, const char *name)
{
    struct str none = {NULL, 0};
    const char *p = text_find(line, name), *end = line.p + line.n, *e;

    if (!p)
        return none;
    p += strlen(name);
    for (e = p; e < end && *e != ';' && *e != ',' && *e != ' ' && *e != '>'; e++)
        ;
    return (struct str){p, (size_t)(e - p)};
}

bool sip_next_value(struct str *list, struct str *value)
{
    bool quoted = false, angle = false;
    size_t i;

    *list = text_trim(*list);
    if (list->n == 0)
        return false;
    for (i = 0; i < list->n; i++) {
        char c = list->p[i];

        if (c == '"' && (i == 0 || list->p[i - 1] != '\\'))
            quoted = !quoted;
        else if (c == '<' && !quoted)
            angle = true;
        else if (c == '>' && !quoted)
            angle = false;
        else if (c == ',' && !quoted && !angle)
            break;
    }
    *value = text_trim((struct str){list->p, i});
    if (i < list->n)
        i++;
    list->p += i;
    list->n -= i;
    return true;
}

struct str sip_addr_uri(struct str value)
{
    const char *open = memchr(value.p, '<', value.n), *close;

    if (!open) {
        close = memchr(value.p, ';', value.n);
        return close ? (struct str){value.p, (size_t)(close - value.p)} : value;
    }
    open++;
    close = memchr(open, '>', (size_t)(value.p + value.n - open));
    if (!close)
        return (struct str){open, 0};
    return (struct str){open, (size_t)(close - open)};
}

bool sip_call_number(struct str call_id, uint64_t *run, uint64_t *number)
{
    const char *dash = memchr(call_id.p, '-', call_id.n);

    if (!dash || !text_uint(call_id, UINT32_MAX, run))
        return false;
    dash++;
    return text_uint((struct str){dash, (size_t)(call_id.p + call_id.n - dash)}, UINT32_MAX,
                     number);
}
