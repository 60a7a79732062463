/* SPDX-License-Identifier: Apache-2.0 */
/* The ring against a list of what was put into it. */
#include "messages.h"

#include "base/alloc.h"

#define PUTS 400u

struct model {
    struct trace_ring ring;
    size_t len[PUTS];
    unsigned n;
    uint64_t seed;
};

static char pattern(unsigned message, size_t i)
{
    return (char)(message * 31 + i * 7);
}

static void put(struct model *m, size_t len)
{
    static char bytes[5000];
    struct message one;
    assert_true(len <= sizeof(bytes) && m->n < PUTS);
    message(&one, m->n & 1, "");
    for (size_t i = 0; i < len; i++)
        bytes[i] = pattern(m->n, i);
    one.wire.bytes = slice_of(bytes, len);
    one.wire.flow = m->n;
    m->len[m->n] = len;
    trace_ring_put(&m->ring, &one.wire, m->n++);
}

/* What is in it are the last ones that were put, all that fit, whole and in their order. */
static void check(const struct model *m)
{
    const struct trace_record *rec;
    uint64_t at = 0;
    unsigned found = 0;
    size_t bytes = 0;
    while ((rec = trace_ring_get(&m->ring, &at)) != NULL) {
        unsigned number = (unsigned)rec->flow;
        const char *text = (const char *)(rec + 1);
        if (found == 0)
            found = m->n - number;
        assert_int_equal(rec->wall, number);
        assert_int_equal(rec->length, m->len[number]);
        assert_int_equal(rec->is_out, number & 1);
        assert_true(rec->kept == rec->length ||
                    (rec->kept < rec->length && rec->kept == m->ring.size - sizeof(*rec)));
        assert_true(text + rec->kept <= m->ring.bytes + m->ring.size);
        for (size_t i = 0; i < rec->kept; i++)
            assert_true(text[i] == pattern(number, i));
        bytes += rec->total;
        at += rec->total;
    }
    assert_true(m->n == 0 || found != 0);
    assert_true(bytes <= m->ring.size);
    /* The newest is the last one read, and none is missing between. */
    at = 0;
    for (unsigned k = m->n - found; k < m->n; k++) {
        rec = trace_ring_get(&m->ring, &at);
        assert_non_null(rec);
        assert_int_equal(rec->wall, k);
        at += rec->total;
    }
    assert_null(trace_ring_get(&m->ring, &at));
}

static void start(struct model *m, size_t size)
{
    *m = (struct model){0};
    assert_int_equal(trace_ring_size(&m->ring, size), 0);
    check(m);
}

/* The second message begins at each place of the ring, and ends at each. */
static void test_every_offset(void **state)
{
    struct model m;
    (void)state;
    for (size_t first = 0; first <= 1100; first++) {
        start(&m, 1024);
        put(&m, first);
        check(&m);
        for (unsigned i = 0; i < 5; i++) {
            put(&m, 100 + i);
            check(&m);
        }
        trace_ring_fini(&m.ring);
    }
    for (size_t second = 0; second <= 1100; second++) {
        start(&m, 1024);
        put(&m, 400);
        put(&m, second);
        check(&m);
        put(&m, 40);
        check(&m);
        put(&m, second);
        check(&m);
        trace_ring_fini(&m.ring);
    }
}

static void test_any_lengths(void **state)
{
    struct model m;
    (void)state;
    for (size_t size = 1024; size < 4096; size += 264) {
        start(&m, size);
        m.seed = size;
        for (unsigned i = 0; i < PUTS; i++) {
            m.seed = m.seed * 6364136223846793005ULL + 1442695040888963407ULL;
            put(&m, (size_t)(m.seed >> 33) % (i % 3 == 0 ? size + 200 : 300));
            check(&m);
        }
        trace_ring_fini(&m.ring);
    }
}

/* As much as fits: all that the size promises. */
static void test_full(void **state)
{
    struct model m;
    uint64_t at = 0;
    unsigned n = 0;
    (void)state;
    start(&m, 10 * (sizeof(struct trace_record) + 8));
    for (unsigned i = 0; i < 25; i++)
        put(&m, 8);
    for (const struct trace_record *rec; (rec = trace_ring_get(&m.ring, &at)) != NULL; n++)
        at += rec->total;
    assert_int_equal(n, m.ring.size / (sizeof(struct trace_record) + 8));
    trace_ring_fini(&m.ring);
}

/* Who reads in steps goes on behind what has been overwritten meanwhile, and nothing comes twice.
 */
static void test_reads_in_steps(void **state)
{
    struct model m;
    uint64_t at = 0, last = 0;
    unsigned steps = 0;
    (void)state;
    start(&m, 2048);
    put(&m, 10);
    put(&m, 10);
    const struct trace_record *rec = trace_ring_get(&m.ring, &at);
    assert_int_equal(rec->wall, 0);
    at += rec->total;
    for (unsigned i = 0; i < 300; i++)
        put(&m, 100);
    while ((rec = trace_ring_get(&m.ring, &at)) != NULL) {
        assert_true(rec->wall > last);
        last = rec->wall;
        at += rec->total;
        if (++steps == 3)
            put(&m, 300);
    }
    assert_int_equal(last, m.n - 1);
    trace_ring_fini(&m.ring);
}

static void test_sizes(void **state)
{
    struct model m;
    uint64_t at = 0;
    (void)state;
    start(&m, 1);
    assert_int_equal(m.ring.size, TRACE_RING_MIN);
    put(&m, 4000);
    check(&m);
    const struct trace_record *rec = trace_ring_get(&m.ring, &at);
    assert_true(rec->kept < rec->length);
    assert_int_equal(trace_ring_size(&m.ring, TRACE_RING_MIN), 0);
    assert_non_null(trace_ring_get(&m.ring, &at)); /* the same size: it stays */
    assert_int_equal(trace_ring_size(&m.ring, 4001), 0);
    assert_int_equal(m.ring.size, 4008);
    assert_null(trace_ring_get(&m.ring, &at));
    m.n = 0;
    put(&m, 500);
    check(&m);
    assert_non_null(trace_ring_get(&m.ring, &at)); /* for who has begun to read before, too */
    assert_int_equal(trace_ring_size(&m.ring, 0), 0);
    assert_null(m.ring.bytes);
    assert_null(trace_ring_get(&m.ring, &at));
    trace_ring_fini(&m.ring);
}

static void test_no_memory(void **state)
{
    struct model m;
    (void)state;
    start(&m, 1024);
    put(&m, 3);
    mem_fail_at(1);
    int rc = trace_ring_size(&m.ring, 2048);
    bool failed = mem_failed();
    mem_fail_at(0);
    if (!failed) {
        trace_ring_fini(&m.ring);
        skip(); /* a build without faults */
    }
    assert_int_equal(rc, ERR_NOMEM);
    assert_int_equal(m.ring.size, 1024);
    check(&m);
    trace_ring_fini(&m.ring);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_offset), cmocka_unit_test(test_any_lengths),
        cmocka_unit_test(test_full),         cmocka_unit_test(test_reads_in_steps),
        cmocka_unit_test(test_sizes),        cmocka_unit_test(test_no_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
