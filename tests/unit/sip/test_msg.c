/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/alloc.h"
#include "guard.h"
#include "sip/msg.h"

static struct samples samples;
static struct guard guard;

static int setup(void **state)
{
    (void)state;
    samples_load(&samples);
    guard_init(&guard, 70000);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    samples_free(&samples);
    guard_fini(&guard);
    return 0;
}

/* --- what always holds --------------------------------------------------------------------------
 */

static void check_slice(const struct sip_msg *m, struct slice s)
{
    if (s.len != 0)
        assert_true(s.ptr >= m->base && s.ptr + s.len <= m->base + m->head_len);
}

static void check_span(const struct sip_msg *m, struct sip_span s)
{
    check_slice(m, sip_get(m, s));
}

static void check_lines(const struct sip_msg *m)
{
    unsigned seen[SIP_H_COUNT] = {0};
    for (unsigned i = 0; i < m->nhdrs; i++) {
        const struct sip_hdr *h = &m->hdrs[i];
        assert_in_range(h->id, SIP_H_OTHER, SIP_H_COUNT - 1);
        if (seen[h->id]++ == 0)
            assert_int_equal(m->first[h->id], i + 1);
        assert_true(h->name_len > 0);
        assert_true(h->line + h->name_len < h->val);
        assert_true(h->val + h->val_len + 2 <= h->line + h->line_len);
        assert_true(h->line + h->line_len <= m->head_len);
        assert_memory_equal(m->base + h->line + h->line_len - 2, "\r\n", 2);
        if (i > 0)
            assert_true(h->line >= h[-1].line + h[-1].line_len);
    }
    for (unsigned id = 0; id < SIP_H_COUNT; id++) {
        if (seen[id] == 0)
            assert_int_equal(m->first[id], 0);
    }
}

/* Holds for every result, good or bad. */
static void check_result(const struct sip_msg *m, int rc, const struct sip_fault *fault)
{
    assert_int_equal(m->len, m->head_len + m->body_len);
    assert_non_null(fault->reason);
    check_lines(m);
    check_span(m, m->uri);
    check_span(m, m->method_text);
    check_span(m, m->reason);
    check_span(m, m->call_id);
    check_span(m, m->from_tag);
    check_span(m, m->to_tag);
    check_span(m, m->cseq_text);
    check_slice(m, m->via.text);
    check_slice(m, m->via.host);
    check_slice(m, m->via.branch);
    check_slice(m, m->via.params);
    check_slice(m, m->ruri.host);
    check_slice(m, m->ruri.params);
    if (rc != 0) {
        assert_true(rc == ERR_PARSE || rc == ERR_LIMIT);
        assert_true(fault->reason[0] != '\0');
        assert_true(fault->status == 0 || fault->status == 400 || fault->status == 501 ||
                    fault->status == 505 || fault->status == 513);
        return;
    }
    assert_int_equal(fault->status, 0);
    assert_true(m->call_id.len != 0 && m->via.host.len != 0 && m->cseq_text.len != 0);
    assert_memory_equal(m->base + m->head_len - 4, "\r\n\r\n", 4);
    if (m->is_request)
        assert_true(m->uri.len != 0 && m->method_text.len != 0);
    else
        assert_in_range(m->status, 100, 699);
}

struct parsed {
    struct sip_msg m;
    struct sip_hdr hdrs[SIP_HDRS_MAX];
    struct sip_fault fault;
};

static int parse(struct parsed *p, struct slice bytes, bool is_stream)
{
    int rc = sip_msg_parse(&p->m, bytes.ptr, bytes.len, is_stream, p->hdrs, SIP_HDRS_MAX, NULL,
                           &p->fault);
    check_result(&p->m, rc, &p->fault);
    return rc;
}

#define TEXT_IS(slice_, literal) assert_true(slice_eq((slice_), SLICE(literal)))

/* --- samples ------------------------------------------------------------------------------------
 */

static void every_sample(void **state)
{
    struct parsed p;
    (void)state;
    for (unsigned i = 0; i < samples.n; i++) {
        struct slice b = samples.bytes[i];
        assert_int_equal(parse(&p, b, false), 0);
        assert_int_equal(p.m.len, b.len);
        bool has_length = sip_hdr_first(&p.m, SIP_H_CONTENT_LENGTH) != NULL;
        assert_int_equal(parse(&p, b, true), has_length ? 0 : ERR_PARSE);
        if (!has_length)
            assert_string_equal(p.fault.reason, "Missing Content-Length");
        /* Lines lie side by side from the start line to the empty line. */
        for (unsigned h = 1; h < p.m.nhdrs; h++)
            assert_int_equal(p.hdrs[h].line, p.hdrs[h - 1].line + p.hdrs[h - 1].line_len);
        assert_int_equal(p.hdrs[p.m.nhdrs - 1].line + p.hdrs[p.m.nhdrs - 1].line_len + 2,
                         p.m.head_len);
    }
}

static void every_prefix(void **state)
{
    struct parsed p, whole;
    (void)state;
    for (unsigned i = 0; i < samples.n; i++) {
        struct slice b = samples.bytes[i];
        assert_int_equal(parse(&whole, b, false), 0);
        bool has_length = sip_hdr_first(&whole.m, SIP_H_CONTENT_LENGTH) != NULL;
        for (size_t len = 0; len < b.len; len++) {
            struct slice cut = slice_of(guard_end(&guard, b.ptr, len), len);
            int rc = parse(&p, cut, false);
            if (len >= whole.m.head_len && !has_length) {
                assert_int_equal(rc, 0);
                assert_int_equal(p.m.len, len);
            } else {
                assert_int_equal(rc, ERR_PARSE);
                if (len >= whole.m.head_len)
                    assert_string_equal(p.fault.reason, "Bad Content-Length");
            }
        }
    }
}

static void every_suffix(void **state)
{
    struct parsed p;
    (void)state;
    for (unsigned i = 0; i < samples.n; i++) {
        struct slice b = samples.bytes[i];
        for (size_t from = 0; from < b.len; from++) {
            char *at = guard_front(&guard, b.ptr + from, b.len - from);
            int rc = parse(&p, slice_of(at, b.len - from), false);
            if (from == 0)
                assert_int_equal(rc, 0);
        }
    }
}

/* One byte of a sample replaced by what has a meaning somewhere. */
static void every_byte_changed(void **state)
{
    static const char with[] = "\0\r\n\t :;,<>\"\\(/%\x7f\xff"
                               "0A";
    struct parsed p;
    (void)state;
    for (unsigned i = 0; i < samples.n; i++) {
        struct slice b = samples.bytes[i];
        if (b.len > 1300)
            continue;
        char *copy = guard_end(&guard, b.ptr, b.len);
        for (size_t at = 0; at < b.len; at++) {
            for (size_t c = 0; c + 1 < sizeof(with); c++) {
                copy[at] = with[c];
                (void)parse(&p, slice_of(copy, b.len), c % 2 == 0);
            }
            copy[at] = b.ptr[at];
        }
    }
}

static void an_invite(void **state)
{
    struct parsed p;
    const struct sip_msg *m = &p.m;
    (void)state;
    assert_int_equal(parse(&p, samples_get(&samples, "invite"), true), 0);
    assert_true(m->is_request);
    assert_int_equal(m->method, SIP_INVITE);
    assert_int_equal(m->cseq_method, SIP_INVITE);
    TEXT_IS(sip_get(m, m->method_text), "INVITE");
    TEXT_IS(sip_get(m, m->uri), "sip:bob@example.net");
    TEXT_IS(m->ruri.host, "example.net");
    TEXT_IS(m->ruri.user, "bob");
    TEXT_IS(sip_get(m, m->call_id), "3848276298220188511@192.0.2.10");
    TEXT_IS(sip_get(m, m->from_tag), "9fxced76sl");
    assert_int_equal(m->to_tag.len, 0);
    assert_false(sip_in_dialog(m));
    assert_int_equal(m->cseq, 1);
    assert_int_equal(m->max_forwards, 70);
    TEXT_IS(m->via.branch, "z9hG4bK74bf9c1d2e3f");
    assert_int_equal(m->via.port, 5060);
    assert_int_equal(m->via.transport, SIP_TCP);
    assert_true(m->via.has_rport);
    assert_int_equal(m->nhdrs, 12);
    assert_int_equal(sip_body(m).len, m->len - m->head_len);
    assert_memory_equal(sip_body(m).ptr, "v=0\r\n", 5);
    TEXT_IS(sip_value(m, SIP_H_USER_AGENT), "Example Phone 4.2");
    assert_int_equal(sip_value(m, SIP_H_ROUTE).len, 0);
}

static void folded_lines(void **state)
{
    struct parsed p;
    const struct sip_msg *m = &p.m;
    const struct sip_hdr *h;
    (void)state;
    assert_int_equal(parse(&p, samples_get(&samples, "invite-folded"), true), 0);
    assert_int_equal(m->cseq, 9);
    assert_int_equal(m->method, SIP_INVITE);
    assert_int_equal(m->max_forwards, 68);
    TEXT_IS(sip_get(m, m->to_tag), "1918181833n");
    TEXT_IS(sip_get(m, m->from_tag), "98asjd8");
    TEXT_IS(m->via.branch, "390skdjuw");
    TEXT_IS(sip_value(m, SIP_H_SUBJECT), "");
    h = sip_hdr_named(m, SLICE("newfangledHEADER"));
    assert_non_null(h);
    TEXT_IS(sip_hdr_value(m, h), "newfangled value\r\n continued newfangled value");
    assert_null(sip_hdr_after(m, sip_hdr_named(m, SLICE("UnknownHeaderWithUnusualValue"))));
    assert_null(sip_hdr_named(m, SLICE("NewFangled")));
    assert_ptr_equal(sip_hdr_named(m, SLICE("cALL-iD")), sip_hdr_first(m, SIP_H_CALL_ID));
    assert_ptr_equal(sip_hdr_named(m, SLICE("i")), sip_hdr_first(m, SIP_H_CALL_ID));
}

static void a_response(void **state)
{
    struct parsed p;
    const struct sip_msg *m = &p.m;
    (void)state;
    assert_int_equal(parse(&p, samples_get(&samples, "ringing"), true), 0);
    assert_false(m->is_request);
    assert_int_equal(m->status, 180);
    assert_int_equal(m->method, SIP_INVITE);
    TEXT_IS(sip_get(m, m->reason), "Ringing");
    assert_true(sip_in_dialog(m));
    assert_int_equal(parse(&p, samples_get(&samples, "reason-empty"), true), 0);
    assert_int_equal(m->reason.len, 0);
    assert_int_equal(parse(&p, samples_get(&samples, "unauthorized"), true), 0);
    assert_int_equal(m->cseq, INT32_MAX);
    TEXT_IS(m->via.host, "[2001:db8::10]");
    assert_int_equal(m->via.rport, 5070);
}

/* --- faults -------------------------------------------------------------------------------------
 */

#define LINE_VIA    "Via: SIP/2.0/UDP 192.0.2.1;branch=z9hG4bKx\r\n"
#define LINE_FROM   "From: <sip:a@example.com>;tag=1\r\n"
#define LINE_TO     "To: <sip:b@example.com>\r\n"
#define LINE_CALLID "Call-ID: 1@a\r\n"
#define LINE_CSEQ   "CSeq: 1 INFO\r\n"
#define START       "INFO sip:b@example.com SIP/2.0\r\n"
#define CORE_LINES  LINE_VIA LINE_FROM LINE_TO LINE_CALLID LINE_CSEQ

struct fault_case {
    struct slice bytes;
    unsigned status;
    const char *reason; /* NULL: accepted */
    bool has_via;
};

#define REQ(start, reason)                                       \
    {                                                            \
        SLICE(start "\r\n" CORE_LINES "\r\n"), 400, reason, true \
    }
#define WITH(lines, reason)                                     \
    {                                                           \
        SLICE(START CORE_LINES lines "\r\n"), 400, reason, true \
    }
#define GOOD(text)                  \
    {                               \
        SLICE(text), 0, NULL, false \
    }
#define DROP(text, reason)            \
    {                                 \
        SLICE(text), 0, reason, false \
    }

static const struct fault_case cases[] = {
    GOOD(START CORE_LINES "\r\n"),
    /* start line */
    REQ("INFO  sip:b@example.com SIP/2.0", "Bad Request-Line"),
    REQ("INFO sip:b@example.com  SIP/2.0", "Bad Request-Line"),
    REQ("INFO sip:b@example.com SIP/2.0 ", "Bad Request-Line"),
    REQ("INFO sip:b@example.com", "Bad Request-Line"),
    REQ("INFO", "Bad Request-Line"),
    REQ("", "Bad Request-Line"),
    REQ(" INFO sip:b@example.com SIP/2.0", "Bad Request-Line"),
    REQ("IN@FO sip:b@example.com SIP/2.0", "Bad Request-Line"),
    REQ("INFO sip:b@example.com HTTP/1.1", "Bad Request-Line"),
    REQ("INFO sip:b@example.com SIP/2.", "Bad Request-Line"),
    REQ("INFO sip:b@example.com SIP/.0", "Bad Request-Line"),
    REQ("INFO sip:b@example.com SIP/2x0", "Bad Request-Line"),
    REQ("INFO sip:b@example.com; lr SIP/2.0", "Bad Request-Line"),
    REQ("INFO <sip:b@example.com> SIP/2.0", "Bad Request-URI"),
    REQ("INFO sip:b@example.com?Subject=x SIP/2.0", "Bad Request-URI"),
    REQ("INFO sip:b@@example.com SIP/2.0", "Bad Request-URI"),
    REQ("INFO b SIP/2.0", "Bad Request-URI"),
    REQ("INFO sip:b@exam\nple.com SIP/2.0", "Bare CR Or LF"),
    GOOD("INFO sip:b@example.com sip/2.0\r\n" CORE_LINES "\r\n"),
    GOOD("INFO http://example.com/ SIP/2.0\r\n" CORE_LINES "\r\n"),
    {SLICE("INFO sip:b@example.com SIP/3.0\r\n" CORE_LINES "\r\n"), 505, "Version Not Supported",
     true},
    {SLICE("INFO sip:b@example.com SIP/2.10\r\n" CORE_LINES "\r\n"), 505, "Version Not Supported",
     true},
    DROP("SIP/2.0 99 Low\r\n" CORE_LINES "\r\n", "Bad Status-Line"),
    DROP("SIP/2.0 099 Low\r\n" CORE_LINES "\r\n", "Bad Status-Line"),
    DROP("SIP/2.0 700 High\r\n" CORE_LINES "\r\n", "Bad Status-Line"),
    DROP("SIP/2.0 2000 High\r\n" CORE_LINES "\r\n", "Bad Status-Line"),
    DROP("SIP/2.0  200 OK\r\n" CORE_LINES "\r\n", "Bad Status-Line"),
    DROP("SIP/2.0 200\r\n" CORE_LINES "\r\n", "Bad Status-Line"),
    DROP("SIP/3.0 200 OK\r\n" CORE_LINES "\r\n", "Bad Status-Line"),
    DROP("SIP/2.0 200 OK\r\n" LINE_FROM LINE_TO LINE_CALLID LINE_CSEQ "\r\n", "Missing Via"),
    GOOD("SIP/2.0 699 \r\n" CORE_LINES "Max-Forwards: x\r\n\r\n"),
    {SLICE(""), 400, "Bad Request-Line", false},
    {SLICE("\r\n"), 400, "Bad Request-Line", false},
    {SLICE("\r\n\r\n"), 400, "Bad Request-Line", false},
    /* an ACK is never answered */
    {SLICE("ACK sip:b@example.com SIP/2.0\r\n" LINE_VIA "\r\n"), 0, "Missing From", true},
    /* missing */
    {SLICE(START LINE_FROM LINE_TO LINE_CALLID LINE_CSEQ "\r\n"), 400, "Missing Via", false},
    {SLICE(START LINE_VIA LINE_TO LINE_CALLID LINE_CSEQ "\r\n"), 400, "Missing From", true},
    {SLICE(START LINE_VIA LINE_FROM LINE_CALLID LINE_CSEQ "\r\n"), 400, "Missing To", true},
    {SLICE(START LINE_VIA LINE_FROM LINE_TO LINE_CSEQ "\r\n"), 400, "Missing Call-ID", true},
    {SLICE(START LINE_VIA LINE_FROM LINE_TO LINE_CALLID "\r\n"), 400, "Missing CSeq", true},
    {SLICE(START CORE_LINES), 400, "Missing Empty Line", true},
    {SLICE(START CORE_LINES "\r"), 400, "Missing Empty Line", true},
    {SLICE(START CORE_LINES "X: y\r"), 400, "Missing Empty Line", true},
    {SLICE(START CORE_LINES "X: y\r\n "), 400, "Missing Empty Line", true},
    /* twice */
    WITH("f: <sip:a@example.com>;tag=1\r\n", "Duplicate From"),
    WITH(LINE_TO, "Duplicate To"),
    WITH("i: 1@a\r\n", "Duplicate Call-ID"),
    WITH(LINE_CSEQ, "Duplicate CSeq"),
    WITH("Max-Forwards: 1\r\nMax-Forwards: 1\r\n", "Duplicate Max-Forwards"),
    WITH("Content-Length: 0\r\nl: 1\r\n", "Duplicate Content-Length"),
    GOOD(START CORE_LINES "Content-Length: 0\r\nl: 00\r\n\r\n"),
    GOOD(START CORE_LINES LINE_VIA "v: garbage\r\n\r\n"),
    /* values of the core headers */
    WITH("Max-Forwards: 256\r\n", "Bad Max-Forwards"),
    WITH("Max-Forwards: -1\r\n", "Bad Max-Forwards"),
    WITH("Max-Forwards:\r\n", "Bad Max-Forwards"),
    WITH("Content-Length: -1\r\n", "Bad Content-Length"),
    WITH("Content-Length: 1\r\n", "Bad Content-Length"),
    WITH("Content-Length: 4294967296\r\n", "Bad Content-Length"),
    WITH("Content-Length: 0, 0\r\n", "Bad Content-Length"),
    WITH("Content-Length:\r\n", "Bad Content-Length"),
    {SLICE(START LINE_VIA LINE_FROM LINE_TO LINE_CALLID "CSeq: 2147483648 INFO\r\n\r\n"), 400,
     "Bad CSeq", true},
    {SLICE(START LINE_VIA LINE_FROM LINE_TO LINE_CALLID "CSeq: 1INFO\r\n\r\n"), 400, "Bad CSeq",
     true},
    {SLICE(START LINE_VIA LINE_FROM LINE_TO LINE_CALLID "CSeq: INFO\r\n\r\n"), 400, "Bad CSeq",
     true},
    {SLICE(START LINE_VIA LINE_FROM LINE_TO LINE_CALLID "CSeq: 1\r\n\r\n"), 400, "Bad CSeq", true},
    {SLICE(START LINE_VIA LINE_FROM LINE_TO LINE_CALLID "CSeq: 1 INFO x\r\n\r\n"), 400, "Bad CSeq",
     true},
    {SLICE(START LINE_VIA LINE_FROM LINE_TO LINE_CALLID "CSeq: 1 BYE\r\n\r\n"), 400,
     "CSeq Method Mismatch", true},
    {SLICE("NEW sip:b@a.com SIP/2.0\r\n" LINE_VIA LINE_FROM LINE_TO LINE_CALLID
           "CSeq: 1 NEWER\r\n\r\n"),
     501, "CSeq Method Mismatch", true},
    GOOD("NEW sip:b@a.com SIP/2.0\r\n" LINE_VIA LINE_FROM LINE_TO LINE_CALLID
         "CSeq: 2147483647\r\n\tNEW\r\n\r\n"),
    {SLICE(START LINE_VIA LINE_FROM LINE_TO LINE_CSEQ "Call-ID: a b\r\n\r\n"), 400, "Bad Call-ID",
     true},
    {SLICE(START LINE_VIA LINE_FROM LINE_TO LINE_CSEQ "Call-ID:\r\n\r\n"), 400, "Bad Call-ID",
     true},
    {SLICE(START LINE_VIA LINE_FROM LINE_CALLID LINE_CSEQ "To: \"x <sip:a@b>\r\n\r\n"), 400,
     "Bad To", true},
    {SLICE(START LINE_VIA LINE_FROM LINE_CALLID LINE_CSEQ "To: *\r\n\r\n"), 400, "Bad To", true},
    {SLICE(START LINE_VIA LINE_TO LINE_CALLID LINE_CSEQ "From: <sip:a@b>;tag=\"1\"\r\n\r\n"), 400,
     "Bad From", true},
    {SLICE(START LINE_VIA LINE_TO LINE_CALLID LINE_CSEQ "From: <sip:a@b>;tag\r\n\r\n"), 400,
     "Bad From", true},
    {SLICE(START LINE_FROM LINE_TO LINE_CALLID LINE_CSEQ "Via: SIP/2.0/UDP\r\n\r\n"), 400,
     "Bad Via", true},
    {SLICE(START LINE_FROM LINE_TO LINE_CALLID LINE_CSEQ "Via:\r\n\r\n"), 400, "Bad Via", true},
    /* lines */
    WITH("No colon\r\n", "Bad Header"),
    WITH(": nameless\r\n", "Bad Header"),
    WITH("Two words: x\r\n", "Bad Header"),
    WITH("Na\xc3\xafve: x\r\n", "Bad Header"),
    WITH("Call\rID: x\r\n", "Bare CR Or LF"),
    WITH("X: a\nContent-Length: 9\r\n", "Bare CR Or LF"),
    WITH("X: a\rb\r\n", "Bare CR Or LF"),
    WITH("X: a\r\r\n", "Bare CR Or LF"),
    {SLICE(START " " CORE_LINES "\r\n"), 400, "Bad Header", false},
    GOOD(START CORE_LINES "X \t : y\r\nX-8bit: \xff\xfe\0\x01\r\n\r\n"),
    GOOD(START CORE_LINES "X:\r\n \r\n\t\r\n\r\n"),
};

static void faults(void **state)
{
    struct parsed p;
    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        const struct fault_case *c = &cases[i];
        char *at = guard_end(&guard, c->bytes.ptr, c->bytes.len);
        int rc = parse(&p, slice_of(at, c->bytes.len), false);
        const char *reason = rc != 0 ? p.fault.reason : "accepted";
        const char *want = c->reason != NULL ? c->reason : "accepted";
        if (strcmp(reason, want) != 0 || p.fault.status != c->status ||
            p.fault.has_via != c->has_via)
            fail_msg("case %zu: %u %s via %d, expected %u %s via %d:\n%.*s", i, p.fault.status,
                     reason, p.fault.has_via, c->status, want, c->has_via, SLICE_ARG(c->bytes));
    }
}

/* The answer to a bad request has its Via, From, To, Call-ID and CSeq, also those behind the fault.
 */
static void reading_goes_on_behind_a_fault(void **state)
{
    struct parsed p;
    (void)state;
    assert_int_equal(parse(&p, SLICE("INFO  x SIP/2.0\r\nBad line\r\n" CORE_LINES "\r\n"), false),
                     ERR_PARSE);
    assert_string_equal(p.fault.reason, "Bad Request-Line");
    assert_int_equal(p.m.nhdrs, 5);
    assert_int_equal(p.m.cseq, 1);
    TEXT_IS(p.m.via.branch, "z9hG4bKx");
    TEXT_IS(sip_get(&p.m, p.m.from_tag), "1");
}

static void datagram_length(void **state)
{
    struct parsed p;
    (void)state;
    struct slice two = SLICE(START CORE_LINES "l: 2\r\n\r\nabcd");
    assert_int_equal(parse(&p, two, false), 0);
    assert_int_equal(p.m.len, two.len - 2);
    TEXT_IS(sip_body(&p.m), "ab");
    assert_int_equal(parse(&p, two, true), ERR_PARSE);
    assert_string_equal(p.fault.reason, "Bad Content-Length");
    struct slice none = SLICE(START CORE_LINES "\r\nabcd");
    assert_int_equal(parse(&p, none, false), 0);
    TEXT_IS(sip_body(&p.m), "abcd");
}

/* --- limits -------------------------------------------------------------------------------------
 */

static char *big_message(size_t size, size_t *head)
{
    static const char start[] = START CORE_LINES "\r\n";
    char *bytes = malloc(size);
    assert_non_null(bytes);
    memset(bytes, 'x', size);
    memcpy(bytes, start, sizeof(start) - 1);
    *head = sizeof(start) - 1;
    return bytes;
}

static void limits(void **state)
{
    struct sip_limits l = {5, 300, 100};
    struct parsed p;
    size_t head;
    char *bytes = big_message(70000, &head);
    (void)state;

    assert_int_equal(sip_msg_parse(&p.m, bytes, head + 100, false, p.hdrs, 10, &l, &p.fault), 0);
    assert_int_equal(sip_msg_parse(&p.m, bytes, head + 101, false, p.hdrs, 10, &l, &p.fault),
                     ERR_LIMIT);
    assert_int_equal(p.fault.status, 513);
    assert_true(p.fault.has_via);
    l.head_size = (uint32_t)head;
    assert_int_equal(sip_msg_parse(&p.m, bytes, head, false, p.hdrs, 10, &l, &p.fault), 0);
    l.head_size--;
    assert_int_equal(sip_msg_parse(&p.m, bytes, head, false, p.hdrs, 10, &l, &p.fault), ERR_LIMIT);
    assert_int_equal(p.fault.status, 513);
    l = (struct sip_limits){4, 300, 100};
    assert_int_equal(sip_msg_parse(&p.m, bytes, head, false, p.hdrs, 10, &l, &p.fault), ERR_LIMIT);
    assert_string_equal(p.fault.reason, "Too Many Headers");
    assert_int_equal(p.m.nhdrs, 4);
    l.headers = 5;
    assert_int_equal(sip_msg_parse(&p.m, bytes, head, false, p.hdrs, 4, &l, &p.fault), ERR_LIMIT);

    /* offsets have 16 bits, whatever the limits say */
    l = (struct sip_limits){200, 70000, 70000};
    assert_int_equal(sip_msg_parse(&p.m, bytes, 65535, false, p.hdrs, 200, &l, &p.fault), 0);
    assert_int_equal(p.m.len, 65535);
    assert_int_equal(sip_msg_parse(&p.m, bytes, 65536, false, p.hdrs, 200, &l, &p.fault),
                     ERR_LIMIT);
    assert_int_equal(p.fault.status, 513);
    assert_true(p.fault.has_via);
    check_result(&p.m, ERR_LIMIT, &p.fault);
    free(bytes);
}

static void longest_name(void **state)
{
    char text[1024];
    struct parsed p;
    (void)state;
    for (unsigned len = 254; len <= 257; len++) {
        int n = snprintf(text, sizeof(text), "%s%0*d: x\r\n\r\n", START CORE_LINES, (int)len, 0);
        int rc = parse(&p, slice_of(text, (size_t)n), false);
        assert_int_equal(rc, len <= 255 ? 0 : ERR_PARSE);
        if (rc == 0)
            assert_int_equal(p.hdrs[5].name_len, len);
    }
}

/* --- access -------------------------------------------------------------------------------------
 */

static void elements_over_lines(void **state)
{
    struct parsed p;
    struct sip_iter it;
    struct slice e;
    unsigned n = 0;
    (void)state;
    assert_int_equal(parse(&p, samples_get(&samples, "invite-proxied"), true), 0);
    static const char *const routes[] = {"<sip:192.0.2.1;lr>", "<sip:edge.example.org;lr>",
                                         "<sip:last.example.org;lr>"};
    sip_iter_init(&it, &p.m, SIP_H_ROUTE);
    while (sip_iter_next(&it, &e)) {
        assert_in_range(n, 0, 2);
        assert_true(slice_eq(e, slice_str(routes[n])));
        assert_ptr_equal(it.hdr, n < 2 ? sip_hdr_first(&p.m, SIP_H_ROUTE)
                                       : sip_hdr_after(&p.m, sip_hdr_first(&p.m, SIP_H_ROUTE)));
        n++;
    }
    assert_int_equal(n, 3);
    assert_false(sip_iter_next(&it, &e));
    sip_iter_init(&it, &p.m, SIP_H_PATH);
    assert_false(sip_iter_next(&it, &e));
    for (n = 0, sip_iter_init(&it, &p.m, SIP_H_VIA); sip_iter_next(&it, &e); n++)
        ;
    assert_int_equal(n, 3);
}

static void tokens_and_numbers(void **state)
{
    struct parsed p;
    uint32_t n = 0;
    (void)state;
    struct slice text = SLICE(START CORE_LINES
                              "Supported: timer,\r\n Outbound\r\nRequire: a\r\nk: path\r\n"
                              "Expires: 4294967295\r\nMax-Breadth: 4294967296\r\n"
                              "Min-SE: 90;x\r\n\r\n");
    assert_int_equal(parse(&p, text, false), 0);
    assert_true(sip_has_token(&p.m, SIP_H_SUPPORTED, SLICE("timer")));
    assert_true(sip_has_token(&p.m, SIP_H_SUPPORTED, SLICE("outbound")));
    assert_true(sip_has_token(&p.m, SIP_H_SUPPORTED, SLICE("PATH")));
    assert_false(sip_has_token(&p.m, SIP_H_SUPPORTED, SLICE("out")));
    assert_false(sip_has_token(&p.m, SIP_H_REQUIRE, SLICE("timer")));
    assert_false(sip_has_token(&p.m, SIP_H_PROXY_REQUIRE, SLICE("timer")));
    assert_int_equal(sip_value_u32(&p.m, SIP_H_EXPIRES, &n), 0);
    assert_true(n == UINT32_MAX);
    assert_int_equal(sip_value_u32(&p.m, SIP_H_MAX_BREADTH, &n), ERR_RANGE);
    assert_int_equal(sip_value_u32(&p.m, SIP_H_MIN_SE, &n), ERR_PARSE);
    assert_int_equal(sip_value_u32(&p.m, SIP_H_MIN_EXPIRES, &n), ERR_NOT_FOUND);
    assert_true(n == UINT32_MAX);
}

/* --- copy ---------------------------------------------------------------------------------------
 */

static void check_copy(const struct sip_msg *copy, const struct parsed *p, struct slice original)
{
    assert_ptr_not_equal(copy->base, p->m.base);
    assert_ptr_not_equal(copy->hdrs, p->m.hdrs);
    assert_int_equal(copy->len, original.len);
    assert_memory_equal(copy->base, original.ptr, original.len);
    assert_memory_equal(copy->hdrs, p->hdrs, p->m.nhdrs * sizeof(struct sip_hdr));
    check_result(copy, 0, &p->fault);
    assert_true(slice_eq(copy->via.text, p->m.via.text));
    assert_true(slice_eq(copy->via.branch, p->m.via.branch));
    assert_true(slice_eq(copy->via.received, p->m.via.received));
    assert_true(slice_eq(copy->ruri.text, p->m.ruri.text));
    assert_true(slice_eq(copy->ruri.params, p->m.ruri.params));
    assert_true(copy->via.text.ptr != p->m.via.text.ptr);
}

static void a_copy_stands_alone(void **state)
{
    struct arena_cache cache;
    struct arena arena;
    struct parsed p;
    (void)state;
    arena_cache_init(&cache, 4);
    for (unsigned i = 0; i < samples.n; i++) {
        struct slice b = samples.bytes[i];
        char *at = guard_end(&guard, b.ptr, b.len);
        assert_int_equal(parse(&p, slice_of(at, b.len), false), 0);
        arena_init(&arena, &cache);
        struct sip_msg *copy = sip_msg_copy(&p.m, &arena);
        assert_non_null(copy);
        check_copy(copy, &p, b);
        arena_fini(&arena);
    }
    arena_cache_fini(&cache);
}

/* Only a build that can make allocations fail has something to sweep. */
static void copy_without_memory(void **state)
{
#ifdef HOLDFAST_FAULTS
    struct arena_cache cache;
    struct arena arena;
    struct parsed p;
    uint64_t n = 0;
    struct sip_msg *copy;
    (void)state;
    struct slice b = samples_get(&samples, "invite-proxied");
    assert_int_equal(parse(&p, b, false), 0);
    do {
        arena_cache_init(&cache, 0);
        arena_init(&arena, &cache);
        mem_fail_at(++n);
        copy = sip_msg_copy(&p.m, &arena);
        assert_int_equal(copy == NULL, mem_failed());
        assert_int_equal(copy == NULL, arena.overflow);
        mem_fail_at(0);
        if (copy != NULL)
            check_copy(copy, &p, b);
        arena_fini(&arena);
        arena_cache_fini(&cache);
    } while (copy == NULL);
    assert_in_range(n, 2, 10);
#else
    (void)state;
    skip();
#endif
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_sample),
        cmocka_unit_test(every_prefix),
        cmocka_unit_test(every_suffix),
        cmocka_unit_test(every_byte_changed),
        cmocka_unit_test(an_invite),
        cmocka_unit_test(folded_lines),
        cmocka_unit_test(a_response),
        cmocka_unit_test(faults),
        cmocka_unit_test(reading_goes_on_behind_a_fault),
        cmocka_unit_test(datagram_length),
        cmocka_unit_test(limits),
        cmocka_unit_test(longest_name),
        cmocka_unit_test(elements_over_lines),
        cmocka_unit_test(tokens_and_numbers),
        cmocka_unit_test(a_copy_stands_alone),
        cmocka_unit_test(copy_without_memory),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
