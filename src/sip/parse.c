/* SPDX-License-Identifier: Apache-2.0 */
/* One walk over the head: start line, header lines, and the core headers in passing.
 *
 * The first fault is kept and the walk goes on where it can, so that the answer to a bad request
 * has its Via, From, To, Call-ID and CSeq. */
#include "sip/parse_int.h"

const struct sip_limits sip_limits_default = {200, 32768, 61440};

#define CORE(name)                                      \
    {                                                   \
        "Missing " name, "Bad " name, "Duplicate " name \
    }
const struct sip_core_text sip_core_texts[SIP_CORE_COUNT] = {
    [SIP_H_VIA] = CORE("Via"),
    [SIP_H_FROM] = CORE("From"),
    [SIP_H_TO] = CORE("To"),
    [SIP_H_CALL_ID] = CORE("Call-ID"),
    [SIP_H_CSEQ] = CORE("CSeq"),
    [SIP_H_MAX_FORWARDS] = CORE("Max-Forwards"),
    [SIP_H_CONTENT_LENGTH] = CORE("Content-Length"),
};

void sip_parse_fault(struct sip_parser *ps, int err, unsigned status, const char *reason)
{
    if (ps->err != 0)
        return;
    ps->err = err;
    ps->fault->status = (uint16_t)status;
    ps->fault->reason = reason;
}

static struct sip_span span_of(const struct sip_parser *ps, const char *from, const char *to)
{
    return (struct sip_span){(uint16_t)(from - ps->m->base), (uint16_t)(to - from)};
}

/* The CR of the next CRLF at or behind `p`, or NULL when there is none. */
static const char *find_crlf(struct sip_parser *ps, const char *p)
{
    for (;;) {
        p = scan_eol(p, ps->end);
        if (ps->end - p < 2)
            return NULL;
        if (p[0] == '\r' && p[1] == '\n')
            return p;
        sip_parse_fault(ps, ERR_PARSE, 400, "Bare CR Or LF");
        p++;
    }
}

/* --- start line ------------------------------------------------------------------------------ */

/* "SIP/" 1*DIGIT "." 1*DIGIT of another version than ours is answered by 505. */
static void check_version(struct sip_parser *ps, struct slice v)
{
    static const char bad[] = "Bad Request-Line";
    if (slice_eq(v, SLICE("SIP/2.0")) || slice_ieq(v, SLICE("SIP/2.0")))
        return;
    if (!slice_istarts(v, SLICE("SIP/"))) {
        sip_parse_fault(ps, ERR_PARSE, 400, bad);
        return;
    }
    size_t dot = sip_run(v, 4, CH_DIGIT);
    bool well_formed = dot > 4 && dot + 1 < v.len && v.ptr[dot] == '.' &&
                       sip_run(v, dot + 1, CH_DIGIT) == v.len;
    sip_parse_fault(ps, ERR_PARSE, well_formed ? 505 : 400,
                    well_formed ? "Version Not Supported" : bad);
}

/* Method SP Request-URI SP SIP-Version, with single blanks (RFC 4475 3.1.2.8 to 3.1.2.10). */
static void request_line(struct sip_parser *ps, const char *p, const char *e)
{
    struct sip_msg *m = ps->m;
    const char *blank = scan_char(p, e, ' ');
    struct slice method = slice_of(p, (size_t)(blank - p));

    m->is_request = true;
    m->method_text = span_of(ps, p, blank);
    m->method = (uint8_t)sip_method_of(method);
    if (blank == p || (m->method == SIP_UNKNOWN && sip_run(method, 0, CH_TOKEN) != method.len)) {
        sip_parse_fault(ps, ERR_PARSE, 400, "Bad Request-Line");
        return;
    }
    const char *uri = blank < e ? blank + 1 : e;
    const char *uri_end = scan_char(uri, e, ' ');
    const char *version = uri_end < e ? uri_end + 1 : e;

    m->uri = span_of(ps, uri, uri_end);
    if (uri == uri_end) {
        sip_parse_fault(ps, ERR_PARSE, 400, "Bad Request-Line");
        return;
    }
    check_version(ps, slice_of(version, (size_t)(e - version)));
    /* Headers in a Request-URI: RFC 3261 19.1.1 table 1, RFC 4475 3.1.2.11. */
    if (sip_uri_parse(sip_get(m, m->uri), &m->ruri) != 0 || m->ruri.headers.len != 0)
        sip_parse_fault(ps, ERR_PARSE, 400, "Bad Request-URI");
}

/* SIP-Version SP 3DIGIT SP Reason-Phrase */
static void status_line(struct sip_parser *ps, const char *p, const char *e)
{
    struct sip_msg *m = ps->m;
    uint32_t status = 0;

    m->is_request = false;
    if (e - p < 12 || !slice_istarts(slice_of(p, 8), SLICE("SIP/2.0 ")) || p[11] != ' ' ||
        !scan_u32(p + 8, p + 11, 699, &status) || status < 100) {
        sip_parse_fault(ps, ERR_PARSE, 0, "Bad Status-Line");
        return;
    }
    m->status = (uint16_t)status;
    m->reason = span_of(ps, p + 12, e);
}

/* Behind the start line, or NULL. */
static const char *start_line(struct sip_parser *ps)
{
    const char *p = ps->m->base;
    const char *e = find_crlf(ps, p);
    bool whole = e != NULL;

    if (!whole)
        e = ps->end;
    if (e - p >= 4 && slice_istarts(slice_of(p, 4), SLICE("SIP/")))
        status_line(ps, p, e);
    else
        request_line(ps, p, e);
    return whole ? e + 2 : NULL;
}

/* --- header lines ---------------------------------------------------------------------------- */

/* Value from `p` to the CRLF that no blank follows, for what is not one plain line. Sets *value;
 * behind the line, or NULL when the line does not end. */
static const char *folded_value(struct sip_parser *ps, const char *p, struct slice *value)
{
    const char *e = find_crlf(ps, p);

    while (e != NULL && ps->end - e > 2 && sip_is_blank(e[2]))
        e = find_crlf(ps, e + 3);
    if (e == NULL)
        return NULL;
    struct slice v = slice_trim(slice_of(p, (size_t)(e - p)));
    *value = v.len != 0 ? v : slice_of(e, 0);
    return e + 2;
}

static inline const char *header_value(struct sip_parser *ps, const char *p, const char *end,
                                       struct slice *value)
{
    const char *e = scan_eol(p, end);

    if (end - e < 3 || e[0] != '\r' || e[1] != '\n' || sip_is_blank(e[2]))
        return folded_value(ps, p, value);
    const char *next = e + 2;
    /* The CR ends the first walk, the colon in front of the value the second. */
    while (sip_is_blank(*p))
        p++;
    while (sip_is_blank(e[-1]) && e > p)
        e--;
    *value = slice_of(p, (size_t)(e - p));
    return next;
}

/* A name does not reach further than this, with the blanks in front of its colon. */
#define NAME_REACH 256

/* No known name: a token and a colon make it a header. `colon`: where it was looked for, or its
 * place. */
static bool is_header_name(const char *p, size_t len, const char *colon, const char *reach)
{
    return colon != reach && len != 0 && sip_run(slice_of(p, len), 0, CH_TOKEN) == len;
}

/* One header line at `p`. Behind it, or NULL. */
static const char *header_line(struct sip_parser *ps, const char *p, const char *end)
{
    struct sip_msg *m = ps->m;
    struct slice value;
    const char *reach = end - p > NAME_REACH ? p + NAME_REACH : end;
    const char *colon = scan_char(p, reach, ':');
    const char *name_end = colon;

    while (name_end > p && sip_is_blank(name_end[-1]))
        name_end--;
    size_t len = (size_t)(name_end - p);
    unsigned id = colon != reach ? scan_hdr_id(p, len, end) : SIP_H_OTHER;
    if (id == SIP_H_OTHER && !is_header_name(p, len, colon, reach)) {
        const char *behind = folded_value(ps, p, &value);
        if (behind != NULL)
            sip_parse_fault(ps, ERR_PARSE, 400, "Bad Header");
        return behind;
    }
    const char *next = header_value(ps, colon + 1, end, &value);
    if (next == NULL)
        return NULL;
    const char *base = m->base;
    unsigned n = m->nhdrs;
    if (n == ps->cap) {
        sip_parse_fault(ps, ERR_LIMIT, 513, "Too Many Headers");
        return NULL;
    }
    m->hdrs[n] = (struct sip_hdr){
        .id = (uint8_t)id,
        .name_len = (uint8_t)len,
        .line = (uint16_t)(p - base),
        .val = (uint16_t)(value.ptr - base),
        .val_len = (uint16_t)value.len,
        .line_len = (uint16_t)(next - p),
    };
    m->nhdrs = (uint16_t)(n + 1);
    bool again = m->first[id] != 0;
    if (!again)
        m->first[id] = (uint8_t)(n + 1);
    if (id - 1 < SIP_CORE_COUNT - 1)
        sip_parse_core(ps, id, value, again);
    return next;
}

/* All lines behind the start line. Behind the empty line, or NULL. */
static const char *header_lines(struct sip_parser *ps, const char *p)
{
    const char *const end = ps->end;
    while (p != NULL && end - p >= 2) {
        if (p[0] == '\r' && p[1] == '\n')
            return p + 2;
        p = header_line(ps, p, end);
    }
    sip_parse_fault(ps, ERR_PARSE, 400, "Missing Empty Line");
    return NULL;
}

/* --- the whole ------------------------------------------------------------------------------- */

static void body(struct sip_parser *ps, size_t rest, bool is_stream)
{
    if (ps->has_content_length) {
        if (ps->content_length > rest || (is_stream && ps->content_length != rest))
            sip_parse_fault(ps, ERR_PARSE, 400, "Bad Content-Length");
        else
            rest = ps->content_length;
    } else if (is_stream) {
        sip_parse_fault(ps, ERR_PARSE, 400, "Missing Content-Length");
    }
    if (rest > ps->limits->body_size)
        sip_parse_fault(ps, ERR_LIMIT, 513, "Message Too Large");
    ps->m->body_len = (uint16_t)rest;
}

int sip_msg_parse(struct sip_msg *m, const char *bytes, size_t len, bool is_stream,
                  struct sip_hdr *hdrs, unsigned cap, const struct sip_limits *limits,
                  struct sip_fault *fault)
{
    struct sip_parser ps = {.m = m, .limits = limits, .fault = fault};

    if (limits == NULL)
        ps.limits = &sip_limits_default;
    ps.cap = cap < ps.limits->headers ? cap : ps.limits->headers;
    if (ps.cap > SIP_HDRS_MAX)
        ps.cap = SIP_HDRS_MAX;
    memset(m, 0, sizeof(*m));
    m->base = bytes;
    m->hdrs = hdrs;
    m->max_forwards = -1;
    m->via.transport = SIP_TRANSPORT_NONE;
    m->ruri.transport = SIP_TRANSPORT_NONE;
    *fault = (struct sip_fault){0, "", false};
    if (len > SIP_MSG_MAX) {
        sip_parse_fault(&ps, ERR_LIMIT, 513, "Message Too Large");
        len = SIP_MSG_MAX;
    }
    ps.end = bytes + len;

    const char *p = header_lines(&ps, start_line(&ps));
    m->head_len = (uint16_t)(p != NULL ? (size_t)(p - bytes) : len);
    if (m->head_len > ps.limits->head_size)
        sip_parse_fault(&ps, ERR_LIMIT, 513, "Message Too Large");
    sip_parse_check(&ps);
    body(&ps, len - m->head_len, is_stream);
    m->len = (uint16_t)(m->head_len + m->body_len);
    if (ps.err == 0)
        return 0;
    if (!m->is_request || m->method == SIP_ACK)
        fault->status = 0;
    fault->has_via = m->is_request && m->first[SIP_H_VIA] != 0;
    return ps.err;
}

bool sip_msg_parse_kept(struct sip_msg *m, struct slice bytes, struct sip_hdr *hdrs)
{
    static const struct sip_limits none = {SIP_HDRS_MAX, SIP_MSG_MAX, SIP_MSG_MAX};
    struct sip_fault fault;
    return sip_msg_parse(m, bytes.ptr, bytes.len, false, hdrs, SIP_HDRS_MAX, &none, &fault) == 0;
}

struct slice sip_kept_call_id(struct slice bytes, struct sip_hdr *hdrs)
{
    struct sip_msg m;
    return sip_msg_parse_kept(&m, bytes, hdrs) ? sip_get(&m, m.call_id) : SLICE_NONE;
}
