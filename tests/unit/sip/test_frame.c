/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include <sys/mman.h>

#include "guard.h"
#include "sip/frame.h"

static struct samples samples;
static struct guard guard;

static int setup(void **state)
{
    (void)state;
    samples_load(&samples);
    guard_init(&guard, 140000);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    samples_free(&samples);
    guard_fini(&guard);
    return 0;
}

/* --- a reader of a stream -----------------------------------------------------------------------
 */

struct reader {
    struct sip_frame frame;
    size_t begin; /* of what is not consumed */
    size_t pings, crlfs, nmessages;
    uint16_t bad; /* status */
    const char *reason;
    struct {
        size_t off, len;
    } messages[16];
};

/* The first `end` bytes have come. */
static void reader_feed(struct reader *r, const char *stream, size_t end,
                        const struct sip_limits *limits)
{
    for (;;) {
        struct sip_fault fault;
        size_t used = 99;
        enum sip_frame_result result =
            sip_frame_next(&r->frame, stream + r->begin, end - r->begin, limits, &used, &fault);
        assert_true(used <= end - r->begin);
        switch (result) {
        case SIP_FRAME_MORE: assert_int_equal(used, 0); return;
        case SIP_FRAME_PING:
            assert_true(used == 4 || used == 2);
            r->pings++;
            break;
        case SIP_FRAME_CRLF:
            assert_int_equal(used, 2);
            r->crlfs++;
            break;
        case SIP_FRAME_MESSAGE:
            assert_in_range(r->nmessages, 0, 15);
            r->messages[r->nmessages].off = r->begin;
            r->messages[r->nmessages++].len = used;
            break;
        case SIP_FRAME_BAD:
            r->bad = fault.status;
            r->reason = fault.reason;
            return;
        default: fail_msg("result %d", (int)result);
        }
        r->begin += used;
    }
}

static void same_messages(const struct reader *a, const struct reader *b)
{
    assert_int_equal(a->nmessages, b->nmessages);
    assert_memory_equal(a->messages, b->messages, a->nmessages * sizeof(a->messages[0]));
    assert_int_equal(a->begin, b->begin);
    assert_int_equal(a->bad, b->bad);
    assert_int_equal(a->pings, b->pings);
}

static void add(struct buf *b, const char *name)
{
    buf_slice(b, samples_get(&samples, name));
}

/* A lone pong before a message, a ping between two, CRLFs behind one. */
static void build_stream(struct buf *b)
{
    buf_lit(b, "\r\n");
    add(b, "cancel");
    buf_lit(b, "\r\n\r\n");
    add(b, "ok");
    buf_lit(b, "\r\n\r\n\r\n");
    add(b, "reason-empty");
    buf_lit(b, "\r\n\r\n");
}

/* --- tests --------------------------------------------------------------------------------------
 */

static void whole_stream(void **state)
{
    char room[4096];
    struct buf b;
    struct reader r = {0};
    (void)state;
    buf_init(&b, room, sizeof(room));
    build_stream(&b);
    assert_false(b.overflow);
    reader_feed(&r, guard_end(&guard, room, b.len), b.len, NULL);
    assert_int_equal(r.nmessages, 3);
    assert_int_equal(r.pings, 3);
    assert_int_equal(r.crlfs, 2);
    assert_int_equal(r.begin, b.len);
    assert_int_equal(r.messages[0].off, 2);
    assert_int_equal(r.messages[0].len, samples_get(&samples, "cancel").len);
    assert_int_equal(r.messages[1].len, samples_get(&samples, "ok").len);
    assert_int_equal(r.messages[2].len, samples_get(&samples, "reason-empty").len);
}

static void byte_by_byte(void **state)
{
    char room[4096];
    struct buf b;
    struct reader whole = {0}, r = {0};
    (void)state;
    buf_init(&b, room, sizeof(room));
    build_stream(&b);
    reader_feed(&whole, room, b.len, NULL);
    for (size_t end = 0; end <= b.len; end++) {
        /* nothing behind what has come can be read */
        char *at = guard_end(&guard, room, end);
        reader_feed(&r, at, end, NULL);
    }
    same_messages(&whole, &r);
}

static void every_pair_of_splits(void **state)
{
    char room[1024];
    struct buf b;
    struct reader whole = {0};
    (void)state;
    buf_init(&b, room, sizeof(room));
    buf_lit(&b, "\r\n");
    add(&b, "cancel");
    buf_lit(&b, "\r\n\r\n");
    add(&b, "reason-empty");
    assert_false(b.overflow);
    reader_feed(&whole, room, b.len, NULL);
    assert_int_equal(whole.nmessages, 2);
    assert_int_equal(whole.pings, 1);
    for (size_t first = 0; first <= b.len; first++) {
        for (size_t second = first; second <= b.len; second++) {
            struct reader r = {0};
            reader_feed(&r, room, first, NULL);
            reader_feed(&r, room, second, NULL);
            reader_feed(&r, room, b.len, NULL);
            same_messages(&whole, &r);
        }
    }
}

static void every_sample_every_split(void **state)
{
    (void)state;
    for (unsigned i = 0; i < samples.n; i++) {
        struct slice s = samples.bytes[i];
        struct reader whole = {0};
        reader_feed(&whole, s.ptr, s.len, NULL);
        if (strcmp(samples.names[i], "message-no-length") == 0) {
            assert_int_equal(whole.bad, 400);
            assert_string_equal(whole.reason, "Missing Content-Length");
            continue;
        }
        assert_int_equal(whole.nmessages, 1);
        assert_int_equal(whole.messages[0].len, s.len);
        for (size_t end = 0; end <= s.len; end++) {
            struct reader r = {0};
            reader_feed(&r, guard_end(&guard, s.ptr, end), end, NULL);
            assert_int_equal(r.nmessages, end == s.len);
            reader_feed(&r, s.ptr, s.len, NULL);
            same_messages(&whole, &r);
        }
    }
}

static void crlf_outside_messages(void **state)
{
    (void)state;
    static const struct {
        struct slice bytes;
        size_t pings, crlfs, left;
    } cases[] = {
        {SLICE("\r\n\r\n"), 1, 0, 0},     {SLICE("\r\n"), 0, 1, 0},
        {SLICE("\r"), 0, 0, 1},           {SLICE("\r\n\r"), 0, 1, 1},
        {SLICE("\r\n\r\n\r\n"), 1, 1, 0}, {SLICE("\r\n\r\n\r\n\r\n"), 2, 0, 0},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct slice s = cases[i].bytes;
        struct reader r = {0}, slow = {0};
        reader_feed(&r, guard_end(&guard, s.ptr, s.len), s.len, NULL);
        assert_int_equal(r.pings, cases[i].pings);
        assert_int_equal(r.crlfs, cases[i].crlfs);
        assert_int_equal(s.len - r.begin, cases[i].left);
        for (size_t end = 0; end <= s.len; end++)
            reader_feed(&slow, s.ptr, end, NULL);
        assert_int_equal(slow.pings, cases[i].pings);
        assert_int_equal(s.len - slow.begin, cases[i].left);
    }
    /* two pongs with a message between them are no ping */
    char room[2048];
    struct buf b;
    struct reader r = {0};
    buf_init(&b, room, sizeof(room));
    buf_lit(&b, "\r\n");
    add(&b, "cancel");
    buf_lit(&b, "\r\n");
    for (size_t end = 0; end <= b.len; end++)
        reader_feed(&r, room, end, NULL);
    assert_int_equal(r.pings, 0);
    assert_int_equal(r.crlfs, 2);
    assert_int_equal(r.nmessages, 1);
}

#define START "INFO sip:b@example.com SIP/2.0\r\nVia: SIP/2.0/TCP a;branch=z9hG4bK1\r\n"

static void refused(void **state)
{
    (void)state;
    static const struct {
        struct slice bytes;
        unsigned status;
        const char *reason;
    } cases[] = {
        {SLICE(START "\r\n"), 400, "Missing Content-Length"},
        {SLICE(START "X: Content-Length: 5\r\n\r\n"), 400, "Missing Content-Length"},
        {SLICE(START "X: a\n Content-Length: 5\r\n\r\n"), 400, "Missing Content-Length"},
        {SLICE(START "X: a\r\n l: 5\r\n\r\n"), 400, "Missing Content-Length"},
        {SLICE(START "Content-Lengthy: 5\r\n\r\n"), 400, "Missing Content-Length"},
        {SLICE(START "Content-Length\r\n\r\n"), 400, "Missing Content-Length"},
        {SLICE(START "Content-Length: -5\r\n\r\n"), 400, "Bad Content-Length"},
        {SLICE(START "Content-Length:\r\n\r\n"), 400, "Bad Content-Length"},
        {SLICE(START "Content-Length: 5 5\r\n\r\n"), 400, "Bad Content-Length"},
        {SLICE(START "Content-Length: 5\r\n 5\r\n\r\n"), 400, "Bad Content-Length"},
        {SLICE(START "Content-Length: 99999999999999999999\r\n\r\n"), 400, "Bad Content-Length"},
        {SLICE(START "Content-Length: 5\r\nl: 6\r\n\r\n"), 400, "Duplicate Content-Length"},
        {SLICE(START "l: 61441\r\n\r\n"), 513, "Message Too Large"},
        {SLICE("\nINFO"), 400, "Bad Request-Line"},
        {SLICE("\rINFO"), 400, "Bad Request-Line"},
        {SLICE("\x16\x03\x01\x02\x00"), 400, "Bad Request-Line"},
        {SLICE(" INFO"), 400, "Bad Request-Line"},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct slice s = cases[i].bytes;
        struct reader r = {0}, slow = {0};
        reader_feed(&r, guard_end(&guard, s.ptr, s.len), s.len, NULL);
        if (r.bad != cases[i].status || strcmp(r.reason, cases[i].reason) != 0)
            fail_msg("case %zu: %u %s", i, r.bad, r.reason != NULL ? r.reason : "");
        for (size_t end = 0; end <= s.len && slow.bad == 0; end++)
            reader_feed(&slow, s.ptr, end, NULL);
        assert_int_equal(slow.bad, cases[i].status);
        assert_string_equal(slow.reason, cases[i].reason);
    }
}

static void lengths_in_every_shape(void **state)
{
    (void)state;
    static const struct slice cases[] = {
        SLICE(START "Content-Length: 5\r\n\r\n12345"),
        SLICE(START "content-LENGTH \t:\t005 \r\nX: y\r\n\r\n12345"),
        SLICE(START "L:\r\n 5\r\n\r\n12345"),
        SLICE(START "l:5\r\nContent-Length: 5\r\n\r\n12345"),
        SLICE(START "Content-Type: a/b\r\nContact: <sip:a>\r\nl:5\r\n\r\n12345"),
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct slice s = cases[i];
        struct reader r = {0};
        for (size_t end = 0; end <= s.len; end++) {
            reader_feed(&r, guard_end(&guard, s.ptr, end), end, NULL);
            assert_int_equal(r.nmessages, end == s.len);
        }
        assert_int_equal(r.messages[0].len, s.len);
    }
}

static void limits_on_a_stream(void **state)
{
    struct sip_limits l = {200, 100, 50};
    char bytes[1000];
    (void)state;
    /* a head of 99, 100, 101 bytes; the limit is 100 */
    for (int size = 99; size <= 101; size++) {
        int n = snprintf(bytes, sizeof(bytes), "INFO sip:b SIP/2.0\r\nX: %0*d\r\nl: 50\r\n\r\n",
                         size - 20 - 3 - 2 - 7 - 2, 0);
        assert_int_equal(n, size);
        memset(bytes + n, 'x', 50);
        for (size_t step = 1; step < 200; step++) {
            struct reader r = {0};
            size_t end = 0, len = (size_t)n + 50;
            while (end < len && r.bad == 0) {
                end = len - end > step ? end + step : len;
                reader_feed(&r, bytes, end, &l);
            }
            assert_int_equal(r.bad, size > 100 ? 513 : 0);
            assert_int_equal(r.nmessages, size > 100 ? 0 : 1);
        }
    }
    /* no head ends at all */
    struct reader r = {0};
    memset(bytes, 'x', sizeof(bytes));
    for (size_t end = 0; end <= 100; end++)
        reader_feed(&r, bytes, end, &l);
    assert_int_equal(r.bad, 0);
    reader_feed(&r, bytes, 101, &l);
    assert_int_equal(r.bad, 513);
    /* head and body are each within limits, and the message above 65,535 */
    l = (struct sip_limits){200, 60000, 70000};
    struct reader s = {0};
    int n = snprintf(bytes, sizeof(bytes), START "l: 65500\r\n\r\n");
    reader_feed(&s, bytes, (size_t)n, &l);
    assert_int_equal(s.bad, 513);
}

/* What was looked at is not looked at again: its pages cannot even be read. */
static void linear(void **state)
{
    struct guard g;
    struct sip_frame f;
    struct sip_fault fault;
    struct sip_limits l = {250, 60000, 1000};
    size_t used;
    (void)state;
    guard_init(&g, 12 * 4096);
    char *data = g.map + g.page;
    size_t len = g.room - 100;
    memset(data, 'x', g.room);
    for (size_t i = 50; i + 40 < len; i += 40) /* lines, so that there is something to stop at */
        memcpy(data + i, "\r\ncx", 4);
    sip_frame_init(&f);
    for (size_t end = 1; end <= len; end++) {
        assert_int_equal(sip_frame_next(&f, data, end, &l, &used, &fault), SIP_FRAME_MORE);
        if (end % g.page == 8)
            assert_int_equal(mprotect(g.map, end / g.page * g.page + g.page, PROT_NONE), 0);
    }
    guard_fini(&g);
}

static bool same_frame(const struct sip_frame *a, const struct sip_frame *b)
{
    return a->scanned == b->scanned && a->head_len == b->head_len && a->body_len == b->body_len &&
           a->crlf == b->crlf;
}

/* After a message, a ping or a refusal the same struct reads the next stream. */
static void starts_anew(void **state)
{
    struct sip_frame f, fresh;
    struct sip_fault fault;
    size_t used;
    (void)state;
    sip_frame_init(&f);
    sip_frame_init(&fresh);
    struct slice s = samples_get(&samples, "cancel");
    assert_int_equal(sip_frame_next(&f, s.ptr, 100, NULL, &used, &fault), SIP_FRAME_MORE);
    assert_int_equal(f.scanned, 100);
    assert_int_equal(sip_frame_next(&f, s.ptr, s.len, NULL, &used, &fault), SIP_FRAME_MESSAGE);
    assert_true(same_frame(&f, &fresh));
    assert_int_equal(sip_frame_next(&f, "\r\n\r\n", 4, NULL, &used, &fault), SIP_FRAME_PING);
    assert_true(same_frame(&f, &fresh));
    assert_int_equal(sip_frame_next(&f, "INFO\r\n\r\n", 8, NULL, &used, &fault), SIP_FRAME_BAD);
    assert_true(same_frame(&f, &fresh));
    assert_int_equal(used, 8);
}

/* One byte of a sample changed: when framing finds a message, the parser does not see another end.
 */
static void agrees_with_the_parser(void **state)
{
    static const char with[] = "\0\r\n\t :;,l5\xff";
    struct sip_hdr hdrs[SIP_HDRS_MAX];
    struct sip_msg m;
    (void)state;
    for (unsigned i = 0; i < samples.n; i++) {
        struct slice b = samples.bytes[i];
        if (b.len > 1300)
            continue;
        char *copy = guard_end(&guard, b.ptr, b.len);
        for (size_t at = 0; at < b.len; at++) {
            for (size_t c = 0; c + 1 < sizeof(with); c++) {
                struct sip_frame f;
                struct sip_fault fault;
                size_t used;
                copy[at] = with[c];
                sip_frame_init(&f);
                enum sip_frame_result r = sip_frame_next(&f, copy, b.len, NULL, &used, &fault);
                if (r == SIP_FRAME_MESSAGE &&
                    sip_msg_parse(&m, copy, used, true, hdrs, SIP_HDRS_MAX, NULL, &fault) != 0) {
                    assert_string_not_equal(fault.reason, "Missing Content-Length");
                    assert_string_not_equal(fault.reason, "Bad Content-Length");
                    assert_string_not_equal(fault.reason, "Missing Empty Line");
                }
            }
            copy[at] = b.ptr[at];
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(whole_stream),
        cmocka_unit_test(byte_by_byte),
        cmocka_unit_test(every_pair_of_splits),
        cmocka_unit_test(every_sample_every_split),
        cmocka_unit_test(crlf_outside_messages),
        cmocka_unit_test(refused),
        cmocka_unit_test(lengths_in_every_shape),
        cmocka_unit_test(limits_on_a_stream),
        cmocka_unit_test(linear),
        cmocka_unit_test(starts_anew),
        cmocka_unit_test(agrees_with_the_parser),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
