/* SPDX-License-Identifier: Apache-2.0 */
/* The headers every message must have, read and checked when the walk meets them: RFC 3261 8.1.1,
 * 16.3, 18.3, 20. */
#include "sip/parse_int.h"

static void bad(struct sip_parser *ps, unsigned id)
{
    sip_parse_fault(ps, ERR_PARSE, 400, sip_core_texts[id].bad);
}

static struct sip_span span_in(const struct sip_parser *ps, struct slice s)
{
    return (struct sip_span){(uint16_t)(s.ptr - ps->m->base), (uint16_t)s.len};
}

/* Only the topmost one is looked into: the others are for the proxies and clients that wrote them.
 */
static void read_via(struct sip_parser *ps, struct slice value)
{
    struct slice element;
    if (sip_via_parse(value, &ps->m->via) == 0)
        return; /* a line with one element, as nearly all are */
    if (!sip_list_next(&value, &element) || sip_via_parse(element, &ps->m->via) != 0) {
        memset(&ps->m->via, 0, sizeof(ps->m->via));
        ps->m->via.transport = SIP_TRANSPORT_NONE;
        bad(ps, SIP_H_VIA);
    }
}

/* The tag is the only parameter: nearly always so. Its value, or the empty slice. */
static struct slice lone_tag(struct slice params)
{
    if (params.len < 5 || !slice_istarts(params, SLICE("tag=")) ||
        sip_word_run(params, 4, CH_TOKEN) != params.len)
        return SLICE_NONE;
    return sip_sub(params, 4, params.len);
}

/* From or To: a name-addr or addr-spec and its tag. */
static void read_party(struct sip_parser *ps, unsigned id, struct slice value, struct sip_span *uri,
                       struct sip_span *tag)
{
    struct sip_name_addr party;
    struct slice text;

    if (sip_name_addr_split(value, &party) != 0 || party.star) {
        bad(ps, id);
        return;
    }
    *uri = span_in(ps, party.uri);
    if (party.params.len == 0)
        return;
    text = lone_tag(party.params);
    if (text.len == 0) {
        if (sip_params_check(party.params) != 0) {
            bad(ps, id);
            return;
        }
        if (!sip_param_find(party.params, SLICE("tag"), &text))
            return;
        if (text.len == 0 || sip_word_run(text, 0, CH_TOKEN) != text.len) {
            bad(ps, id);
            return;
        }
    }
    *tag = span_in(ps, text);
}

/* A word without blanks and controls. The grammar allows fewer characters; peers use more, and to
 * us it is a name that we only compare. */
static void read_call_id(struct sip_parser *ps, struct slice value)
{
    ps->m->call_id = span_in(ps, value);
    /* A line end is behind the value: the scan may look beyond it and stops there at the latest. */
    if (value.len == 0 || scan_word_end(value.ptr, ps->end) < value.ptr + value.len)
        bad(ps, SIP_H_CALL_ID);
}

/* 1*DIGIT LWS Method; the number is below 2^31 (RFC 3261 8.1.1.5). */
static void read_cseq(struct sip_parser *ps, struct slice value)
{
    struct sip_msg *m = ps->m;
    size_t digits = sip_run(value, 0, CH_DIGIT);
    size_t start = sip_skip_lws(value, digits);
    struct slice method = sip_sub(value, start, value.len);

    m->cseq_text = span_in(ps, method);
    m->cseq_method = (uint8_t)sip_method_of(method);
    if (start == digits || method.len == 0 ||
        !scan_u32(value.ptr, value.ptr + digits, INT32_MAX, &m->cseq) ||
        (m->cseq_method == SIP_UNKNOWN && sip_run(method, 0, CH_TOKEN) != method.len))
        bad(ps, SIP_H_CSEQ);
}

/* 0 to 255 (RFC 3261 20.22). Means nothing in a response. */
static void read_max_forwards(struct sip_parser *ps, struct slice value)
{
    uint32_t hops;
    if (!ps->m->is_request)
        return;
    if (scan_u32(value.ptr, value.ptr + value.len, 255, &hops))
        ps->m->max_forwards = (int16_t)hops;
    else
        bad(ps, SIP_H_MAX_FORWARDS);
}

/* Twice the same number is harmless, two numbers are not (RFC 4475 3.3.9). */
static void read_content_length(struct sip_parser *ps, struct slice value, bool again)
{
    uint32_t length = 0;
    if (!scan_u32(value.ptr, value.ptr + value.len, UINT32_MAX, &length))
        bad(ps, SIP_H_CONTENT_LENGTH);
    else if (again && length != ps->content_length)
        sip_parse_fault(ps, ERR_PARSE, 400, sip_core_texts[SIP_H_CONTENT_LENGTH].duplicate);
    ps->has_content_length = true;
    ps->content_length = length;
}

void sip_parse_core(struct sip_parser *ps, unsigned id, struct slice value, bool again)
{
    if (again && id != SIP_H_CONTENT_LENGTH) {
        if (id != SIP_H_VIA)
            sip_parse_fault(ps, ERR_PARSE, 400, sip_core_texts[id].duplicate);
        return;
    }
    switch (id) {
    case SIP_H_VIA: read_via(ps, value); break;
    case SIP_H_FROM: read_party(ps, SIP_H_FROM, value, &ps->m->from_uri, &ps->m->from_tag); break;
    case SIP_H_TO: read_party(ps, SIP_H_TO, value, &ps->m->to_uri, &ps->m->to_tag); break;
    case SIP_H_CALL_ID: read_call_id(ps, value); break;
    case SIP_H_CSEQ: read_cseq(ps, value); break;
    case SIP_H_MAX_FORWARDS: read_max_forwards(ps, value); break;
    case SIP_H_CONTENT_LENGTH: read_content_length(ps, value, again); break;
    default: break;
    }
}

void sip_parse_check(struct sip_parser *ps)
{
    struct sip_msg *m = ps->m;

    for (unsigned id = SIP_H_VIA; id <= SIP_H_CSEQ; id++) {
        if (m->first[id] == 0)
            sip_parse_fault(ps, ERR_PARSE, 400, sip_core_texts[id].missing);
    }
    if (!m->is_request) {
        m->method = m->cseq_method;
        return;
    }
    if (m->method != m->cseq_method ||
        (m->method == SIP_UNKNOWN &&
         !slice_eq(sip_get(m, m->method_text), sip_get(m, m->cseq_text))))
        /* RFC 4475 3.1.2.18: of an unknown method 501 says more than 400. */
        sip_parse_fault(ps, ERR_PARSE, m->method == SIP_UNKNOWN ? 501 : 400,
                        "CSeq Method Mismatch");
}
