/* SPDX-License-Identifier: Apache-2.0 */
/* The message parser and what is made of a message. The first byte chooses stream or datagram, the
 * limits and the source address. */
#include "base/arena.h"
#include "base/buf.h"
#include "sip/frame.h"
#include "sip/msg.h"
#include "sip/received.h"
#include "sip/write.h"

#include "check.h"

#define OUT_MAX (2 * SIP_MSG_MAX)

static struct slice head_of(const struct sip_msg *m)
{
    return slice_of(m->base, m->head_len);
}

/* Header lines lie one behind the other, from the start line to the empty line. */
static void check_lines(const struct sip_msg *m)
{
    unsigned seen[SIP_H_COUNT] = {0};
    size_t at = m->nhdrs != 0 ? m->hdrs[0].line : (size_t)m->head_len - 2;
    CHECK(at >= 2 && m->base[at - 1] == '\n' && m->base[at - 2] == '\r');
    for (unsigned i = 0; i < m->nhdrs; i++) {
        const struct sip_hdr *h = &m->hdrs[i];
        CHECK(h->line == at && h->id < SIP_H_COUNT && h->name_len > 0);
        CHECK(h->val >= h->line + h->name_len && h->val + h->val_len + 2 <= h->line + h->line_len);
        CHECK(sip_hdr_of(slice_of(m->base + h->line, h->name_len)) == (enum sip_hdr_id)h->id);
        struct slice v = sip_hdr_value(m, h);
        CHECK(slice_trim(v).len == v.len);
        at += h->line_len;
        CHECK(m->base[at - 1] == '\n' && m->base[at - 2] == '\r');
        if (seen[h->id]++ == 0)
            CHECK(m->first[h->id] == i + 1);
    }
    CHECK(at + 2 == m->head_len && m->base[at] == '\r' && m->base[at + 1] == '\n');
    for (unsigned id = 0; id < SIP_H_COUNT; id++) {
        unsigned n = 0;
        for (const struct sip_hdr *h = sip_hdr_first(m, id); h != NULL; h = sip_hdr_after(m, h))
            n++;
        CHECK(n == seen[id]);
    }
    CHECK(seen[SIP_H_VIA] > 0 && seen[SIP_H_FROM] == 1 && seen[SIP_H_TO] == 1);
    CHECK(seen[SIP_H_CALL_ID] == 1 && seen[SIP_H_CSEQ] == 1);
}

static void check_fields(const struct sip_msg *m)
{
    struct slice head = head_of(m);
    const struct sip_span spans[] = {m->method_text, m->uri,    m->reason,   m->call_id,
                                     m->from_tag,    m->to_tag, m->cseq_text};
    for (size_t i = 0; i < sizeof(spans) / sizeof(spans[0]); i++)
        CHECK(is_inside(sip_get(m, spans[i]), head));
    CHECK(is_inside(m->via.text, head) && m->via.host.len != 0 && is_inside(m->via.host, head));
    CHECK(m->call_id.len != 0 && m->cseq <= INT32_MAX && m->cseq_text.len != 0);
    CHECK(m->max_forwards >= -1 && m->max_forwards <= 255);
    CHECK(m->method < SIP_METHOD_COUNT && m->method == m->cseq_method);
    if (m->is_request) {
        CHECK(slice_eq(sip_get(m, m->method_text), sip_get(m, m->cseq_text)));
        CHECK(m->method == SIP_UNKNOWN ||
              slice_eq(sip_get(m, m->method_text), sip_method_text(m->method)));
        CHECK(m->uri.len > 0 && m->ruri.headers.len == 0);
        CHECK(slice_eq(m->ruri.text, sip_get(m, m->uri)));
    } else {
        CHECK(m->status >= 100 && m->status <= 699);
    }
}

static void check_iterators(const struct sip_msg *m)
{
    for (unsigned id = 0; id < SIP_H_COUNT; id++) {
        struct sip_iter it;
        struct slice e;
        size_t total = 0;
        uint32_t number;
        sip_iter_init(&it, m, id);
        while (sip_iter_next(&it, &e)) {
            CHECK(is_inside(e, head_of(m)) && e.len > 0);
            total += e.len;
            CHECK(total > 64 || sip_has_token(m, id, e));
        }
        CHECK(total <= m->head_len);
        int rc = sip_value_u32(m, id, &number);
        CHECK(rc == 0 || rc == ERR_NOT_FOUND || rc == ERR_PARSE || rc == ERR_RANGE);
    }
}

/* A copy is the same message and shares no byte with the first. */
static void check_copy(const struct sip_msg *m)
{
    struct arena_cache cache;
    struct arena arena;
    arena_cache_init(&cache, 0);
    arena_init(&arena, &cache);
    struct sip_msg *c = sip_msg_copy(m, &arena);
    CHECK(c != NULL && c->base != m->base && c->hdrs != m->hdrs);
    CHECK(slice_eq(slice_of(c->base, c->len), slice_of(m->base, m->len)));
    CHECK(is_inside(c->via.text, head_of(c)) && slice_eq(c->via.branch, m->via.branch));
    CHECK(is_inside(c->ruri.host, head_of(c)) && slice_eq(c->ruri.params, m->ruri.params));
    check_lines(c);
    check_fields(c);
    arena_fini(&arena);
    arena_cache_fini(&cache);
}

static int parse_again(const struct buf *b, struct sip_msg *m, struct sip_hdr *hdrs)
{
    static const struct sip_limits wide = {SIP_HDRS_MAX, SIP_MSG_MAX, SIP_MSG_MAX};
    struct sip_fault fault;
    int rc = sip_msg_parse(m, b->ptr, b->len, true, hdrs, SIP_HDRS_MAX, &wide, &fault);
    if (rc != 0)
        fprintf(stderr, "%s\n%.*s\n", fault.reason, (int)b->len, b->ptr);
    return rc;
}

/* Requests of our own on the hop of an INVITE: what they copy is the same. */
static void check_hop_request(const struct sip_msg *m, const struct buf *b, enum sip_method method)
{
    struct sip_hdr hdrs[SIP_HDRS_MAX];
    struct sip_msg again;
    if (b->len > SIP_MSG_MAX || m->nhdrs > SIP_HDRS_MAX - 4)
        return;
    CHECK(parse_again(b, &again, hdrs) == 0);
    CHECK(again.method == method && again.cseq == m->cseq && again.max_forwards == 70);
    CHECK(slice_eq(again.via.text, m->via.text));
    CHECK(slice_eq(sip_get(&again, again.uri), sip_get(m, m->uri)));
    CHECK(slice_eq(sip_value(&again, SIP_H_FROM), sip_value(m, SIP_H_FROM)));
}

/* What we answer to a request, and what we make of an INVITE, are messages themselves. */
static void check_written(const struct sip_msg *m, char *out)
{
    static char second[OUT_MAX];
    struct sip_hdr hdrs[SIP_HDRS_MAX];
    struct sip_msg answer;
    struct buf b;
    buf_init(&b, out, OUT_MAX);
    CHECK(sip_write_response(&b, m, 200, SLICE_NONE, SLICE("ours"), SLICE("Server: x\r\n"),
                             SLICE("body")) == 0);
    if (b.len > SIP_MSG_MAX || m->nhdrs > SIP_HDRS_MAX - 4)
        return;
    CHECK(parse_again(&b, &answer, hdrs) == 0);
    CHECK(answer.status == 200 && answer.cseq == m->cseq && answer.body_len == 4);
    CHECK(slice_eq(answer.via.text, m->via.text));
    CHECK(slice_eq(sip_get(&answer, answer.call_id), sip_get(m, m->call_id)));
    if (m->to_tag.len != 0)
        CHECK(slice_eq(sip_value(&answer, SIP_H_TO), sip_value(m, SIP_H_TO)));
    else
        CHECK(slice_eq(sip_get(&answer, answer.to_tag), SLICE("ours")));
    if (m->method != SIP_INVITE)
        return;
    buf_init(&b, second, sizeof(second));
    CHECK(sip_write_ack(&b, m, &answer) == 0);
    check_hop_request(m, &b, SIP_ACK);
    buf_init(&b, second, sizeof(second));
    CHECK(sip_write_cancel(&b, m, SLICE("Reason: SIP;cause=200\r\n")) == 0);
    check_hop_request(m, &b, SIP_CANCEL);
}

static void check_received(struct sip_msg *m, unsigned choice, char *out)
{
    struct sip_via v;
    struct addr source, received;
    struct buf b;
    if (addr_parse(choice & 1 ? SLICE("[2001:db8::7]:4000") : SLICE("192.0.2.7:4000"), 0,
                   &source) != 0)
        abort();
    m->source = source;
    buf_init(&b, out, OUT_MAX);
    if (!sip_write_received(&b, m))
        return;
    CHECK(b.len <= sip_received_size(m));
    CHECK(sip_via_parse(buf_get(&b), &v) == 0);
    CHECK(slice_eq(v.host, m->via.host) && slice_eq(v.branch, m->via.branch) &&
          v.port == m->via.port);
    CHECK(v.has_rport == m->via.has_rport && v.has_alias == m->via.has_alias);
    CHECK(!v.has_rport || v.rport == 4000);
    if (v.received.len != 0)
        CHECK(addr_parse_ip(v.received, 0, &received) == 0 && addr_eq_ip(&received, &source));
}

/* A second reader that frames by Content-Length must not see another message. */
static void check_framing(const struct sip_msg *m, const char *bytes, size_t len, bool is_stream,
                          const struct sip_limits *limits)
{
    struct sip_frame f;
    struct sip_fault fault;
    size_t used = 0;
    if (!is_stream && sip_hdr_first(m, SIP_H_CONTENT_LENGTH) == NULL)
        return;
    sip_frame_init(&f);
    CHECK(sip_frame_next(&f, bytes, len, limits, &used, &fault) == SIP_FRAME_MESSAGE);
    CHECK(used == m->len);
}

static void check_fault(const struct sip_msg *m, int rc, const struct sip_fault *fault, char *out)
{
    struct buf b;
    CHECK(rc == ERR_PARSE || rc == ERR_LIMIT);
    CHECK(fault->reason != NULL && *fault->reason != '\0');
    CHECK(fault->status == 0 || fault->status == 400 || fault->status == 501 ||
          fault->status == 505 || fault->status == 513);
    if (!fault->has_via)
        return;
    CHECK(m->is_request && sip_hdr_first(m, SIP_H_VIA) != NULL);
    buf_init(&b, out, OUT_MAX);
    CHECK(sip_write_response(&b, m, 400, slice_str(fault->reason), SLICE("ours"), SLICE_NONE,
                             SLICE_NONE) == 0);
    CHECK(slice_starts(buf_get(&b), SLICE("SIP/2.0 400 ")));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const struct sip_limits small = {12, 600, 200};
    static char out[OUT_MAX];
    struct sip_hdr hdrs[SIP_HDRS_MAX];
    struct sip_fault fault;
    struct sip_msg m;

    if (size == 0)
        return 0;
    unsigned choice = data[0];
    bool is_stream = (choice & 2) != 0;
    const struct sip_limits *limits = choice & 4 ? &small : &sip_limits_default;
    size_t len = size - 1;
    char *bytes = exact_copy(data + 1, len);

    int rc = sip_msg_parse(&m, bytes, len, is_stream, hdrs, SIP_HDRS_MAX, limits, &fault);
    if (rc != 0) {
        check_fault(&m, rc, &fault, out);
    } else {
        CHECK(m.len == m.head_len + m.body_len && m.len <= len && (!is_stream || m.len == len));
        CHECK(m.nhdrs <= limits->headers && m.head_len <= limits->head_size &&
              m.body_len <= limits->body_size);
        check_lines(&m);
        check_fields(&m);
        check_iterators(&m);
        check_copy(&m);
        check_framing(&m, bytes, len, is_stream, limits);
        if (m.is_request) {
            check_written(&m, out);
            check_received(&m, choice, out);
        }
    }
    free(bytes);
    return 0;
}
