/* SPDX-License-Identifier: Apache-2.0 */
/* The line of new calls: a ring, and what becomes of a worker that serves it last. Virtual time. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>
#include <string.h>

#include "base/alloc.h"
#include "load/line.h"
#include "load/load_int.h"

/* --- the ring --------------------------------------------------------------------------------- */

static int put(struct load_line *line, unsigned number, size_t len, bool last)
{
    static char bytes[LOAD_LINE_BYTES];
    memset(bytes, (int)(number % 251), len);
    return load_line_put(line, number, slice_of((const char *)&number, sizeof(number)),
                         slice_of(bytes, len), last);
}

/* The first one is that; its length, without the number. */
static size_t take(struct load_line *line, unsigned number)
{
    struct load_waiting w;
    unsigned got;
    assert_true(load_line_first(line, &w));
    assert_int_equal(w.since, number);
    assert_int_equal((uintptr_t)w.bytes.ptr % 16, 0);
    assert_true(w.bytes.len >= sizeof(got));
    memcpy(&got, w.bytes.ptr, sizeof(got));
    assert_int_equal(got, number);
    for (size_t i = sizeof(got); i < w.bytes.len; i++)
        assert_int_equal((unsigned char)w.bytes.ptr[i], number % 251);
    size_t len = w.bytes.len - sizeof(got);
    load_line_drop(line);
    return len;
}

static void test_first_in_first_out(void **state)
{
    struct load_line line;
    struct load_waiting w;
    (void)state;
    load_line_init(&line);
    assert_true(load_line_is_empty(&line));
    assert_false(load_line_first(&line, &w));
    for (unsigned i = 0; i < 100; i++)
        assert_int_equal(put(&line, i, i * 7, false), 0);
    assert_int_equal(line.n, 100);
    for (unsigned i = 0; i < 100; i++)
        assert_int_equal(take(&line, i), i * 7);
    assert_true(load_line_is_empty(&line));
    load_line_fini(&line);
}

/* Round and round, with lengths that never fit the end, now nearly full and now nearly empty. */
static void test_round_and_round(void **state)
{
    struct load_line line;
    struct rng rng;
    unsigned first = 0, next = 0, full = 0, most = 0;
    (void)state;
    rng_seed(&rng, 3);
    load_line_init(&line);
    for (unsigned i = 0; i < 200; i++) {
        unsigned n = (unsigned)rng_below(&rng, 200);
        for (unsigned k = 0; k < n; k++) {
            int rc = put(&line, next, 1 + rng_below(&rng, 60000), false);
            assert_true(rc == 0 || rc == ERR_FULL);
            next += rc == 0;
            full += rc == ERR_FULL;
        }
        most = line.n > most ? line.n : most;
        n = (unsigned)rng_below(&rng, 200);
        for (unsigned k = 0; k < n && first < next; k++)
            (void)take(&line, first++);
        assert_int_equal(line.n, next - first);
    }
    assert_true(full > 100 && most > 64 && next > 2000);
    while (first < next)
        (void)take(&line, first++);
    load_line_fini(&line);
}

static void test_full(void **state)
{
    struct load_line line;
    unsigned n = 0, first = 0, more;
    (void)state;
    load_line_init(&line);
    assert_int_equal(put(&line, 0, LOAD_LINE_BYTES - 8, true), ERR_FULL);
    while (put(&line, n, 700, false) == 0)
        n++;
    assert_in_range(n, (LOAD_LINE_BYTES - LOAD_LINE_REST) / 800,
                    (LOAD_LINE_BYTES - LOAD_LINE_REST) / 700);
    /* Those that may not be refused have a part for themselves. */
    for (more = n; put(&line, more, 700, true) == 0;)
        more++;
    assert_in_range(more - n, LOAD_LINE_REST / 800, LOAD_LINE_REST / 700 + 1);
    while (first < more)
        (void)take(&line, first++);
    assert_int_equal(put(&line, 7, LOAD_LINE_BYTES - LOAD_LINE_REST - 64, false), 0);
    (void)take(&line, 7);
    load_line_fini(&line);
}

static void test_no_memory(void **state)
{
    struct load_line line;
    (void)state;
    load_line_init(&line);
    mem_fail_at(1);
    int rc = put(&line, 1, 10, false);
    bool failed = mem_failed();
    mem_fail_at(0);
    if (!failed) {
        load_line_fini(&line);
        skip();
    }
    assert_int_equal(rc, ERR_NOMEM);
    assert_true(load_line_is_empty(&line));
    assert_int_equal(put(&line, 1, 10, false), 0);
    (void)take(&line, 1);
    load_line_fini(&line);
}

/* --- by how long they stood there ------------------------------------------------------------- */

#define LIMIT 100

static struct load_control shedding(void)
{
    struct load_control c = {.least = -1, .least_late = -1};
    uint64_t now = 1000;
    for (; !c.is_on; now += 20)
        (void)load_control_turn(&c, 150, LIMIT, now);
    (void)load_control_turn(&c, 5, LIMIT, now);
    assert_false(c.is_draining);
    assert_false(load_control_goes_by_share(&c));
    return c;
}

static void test_who_stood_there_for_too_long(void **state)
{
    struct load_control c = shedding();
    (void)state;
    assert_false(load_control_refuses_late(&c, 20, LIMIT, 300));
    assert_true(load_control_refuses_late(&c, 21, LIMIT, 300));
    assert_true(load_control_refuses_late(&c, LOAD_NO_ROOM, LIMIT, 300));
    assert_int_equal(c.let_in, 1);
    assert_int_equal(c.too_late, 2);
    /* Of a neighbour that holds back itself. */
    assert_false(load_control_refuses_late(&c, 100, LIMIT, 0));
    assert_false(load_control_refuses_late(&c, LOAD_NO_ROOM, LIMIT, 0));
    assert_true(load_control_refuses_late(&c, 101, LIMIT, 0));
    c = (struct load_control){.least = -1};
    assert_false(load_control_refuses_late(&c, 5000, LIMIT, 0)); /* nothing is refused yet */
}

/* The share, which neighbours are told, comes to be the part that is refused, and stays it. */
static void test_the_share_follows(void **state)
{
    struct load_control c = shedding();
    uint64_t now = c.since;
    (void)state;
    for (unsigned i = 0; i < 500; i++) {
        now += 20;
        for (unsigned k = 0; k < 30; k++)
            (void)load_control_refuses_late(&c, k % 3 == 0 ? 15 : 25, LIMIT, 500);
        c.late = 3;
        (void)load_control_turn(&c, 20, LIMIT, now);
        assert_true(c.is_on);
    }
    assert_true(c.share > 0.6 && c.share < 0.75);
    /* Nobody is late any more: it ends. */
    for (unsigned i = 0; i < 1000 && c.is_on; i++) {
        now += 20;
        (void)load_control_turn(&c, 0, LIMIT, now);
    }
    assert_false(c.is_on);
}

/* So many may stand there as are let in while the first of them may wait. */
static void test_room(void **state)
{
    struct load_control c = shedding();
    uint64_t now = c.since;
    (void)state;
    for (unsigned i = 0; i < 10; i++) {
        now += 20;
        for (unsigned k = 0; k < 200; k++)
            (void)load_control_refuses_late(&c, 10, LIMIT, 500);
        (void)load_control_turn(&c, 20, LIMIT, now);
    }
    assert_in_range(c.room, 190, 210);
    for (unsigned i = 0; i < 10; i++)
        (void)load_control_turn(&c, 20, LIMIT, now += 20);
    assert_int_equal(c.room, 64); /* and some always */
}

/* What waits in front of the line is refused by the share. */
static void test_the_wait_is_in_front(void **state)
{
    struct load_control c = shedding();
    uint64_t now = c.since;
    (void)state;
    for (unsigned i = 0; i < 10; i++) {
        c.late = 50;
        (void)load_control_turn(&c, 50, LIMIT, now += 20);
    }
    assert_true(load_control_goes_by_share(&c));
    for (unsigned i = 0; i < 10; i++) {
        c.late = 5;
        (void)load_control_turn(&c, 20, LIMIT, now += 20);
    }
    assert_false(load_control_goes_by_share(&c));
}

/* --- a worker that serves it last ------------------------------------------------------------- */

#define CALL    0.2  /* ms that a call takes; 5000 a second */
#define SETUP   0.6  /* part of it that its beginning takes */
#define REFUSAL 0.04 /* part of it that a refusal takes */
#define PUT     0.01 /* and to be put into the line */
#define BATCH   12
#define MOST    (1u << 20)

struct model {
    struct load_control control;
    double line[MOST], ends[MOST]; /* when they came; when those calls end */
    size_t head, tail, first_end, last_end;
    double t, next, waits_most, in_line; /* ms */
    uint64_t done, late, waits;          /* late: requests inside dialogs that waited for 10 ms */
};
static struct model m;

static void arrivals(double every)
{
    while (m.next <= m.t) {
        m.t += CALL * (m.control.is_on && m.tail - m.head >= m.control.room ? REFUSAL : PUT);
        if (m.control.is_on && m.tail - m.head >= m.control.room)
            (void)load_control_refuses_late(&m.control, LOAD_NO_ROOM, LIMIT, 500);
        else
            m.line[m.tail++ % MOST] = m.next;
        m.next += every;
    }
}

static void ends(void)
{
    for (; m.first_end < m.last_end && m.ends[m.first_end % MOST] <= m.t; m.first_end++) {
        double wait = m.t - m.ends[m.first_end % MOST];
        m.t += CALL * (1 - SETUP);
        m.waits++;
        m.late += wait > 10;
        m.waits_most = wait > m.waits_most ? wait : m.waits_most;
    }
}

static void serve(void)
{
    unsigned begun = 0;
    m.in_line = m.head < m.tail ? m.t - m.line[m.head % MOST] : 0;
    while (m.head < m.tail && begun < BATCH) {
        double waited = m.t - m.line[m.head++ % MOST];
        if (load_control_refuses_late(&m.control, waited, LIMIT, 500)) {
            m.t += CALL * REFUSAL;
            continue;
        }
        begun++;
        m.done++;
        m.t += CALL * SETUP;
        m.ends[m.last_end++ % MOST] = m.t + 500;
    }
}

static void run(double offered, double seconds)
{
    double until = m.t + seconds * 1000, began;
    while (m.t < until) {
        began = m.t;
        arrivals(CALL / offered);
        ends();
        serve();
        if (m.t - began < 0.1)
            m.t = began + 0.1;
        m.control.late = m.t - began;
        double lag = m.in_line > m.control.late ? m.in_line : m.control.late;
        (void)load_control_turn(&m.control, lag, LIMIT, (uint64_t)m.t);
    }
}

static void test_goodput_and_latency(void **state)
{
    const double offered[] = {1.2, 2, 3, 6};
    (void)state;
    for (unsigned i = 0; i < sizeof(offered) / sizeof(offered[0]); i++) {
        memset(&m, 0, sizeof(m));
        m.control.least = m.control.least_late = -1;
        m.t = m.next = 1000;
        run(offered[i], 10);
        double since = m.t;
        m.done = m.late = m.waits = 0;
        m.waits_most = 0;
        run(offered[i], 20);
        double most = (1 - offered[i] * REFUSAL) / (1 - REFUSAL);
        assert_true((double)m.done * CALL / (m.t - since) > 0.95 * most);
        assert_true(m.control.is_on);
        assert_int_equal(m.late, 0);
        assert_true(m.waits_most < 10);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_first_in_first_out),
        cmocka_unit_test(test_round_and_round),
        cmocka_unit_test(test_full),
        cmocka_unit_test(test_no_memory),
        cmocka_unit_test(test_who_stood_there_for_too_long),
        cmocka_unit_test(test_the_share_follows),
        cmocka_unit_test(test_room),
        cmocka_unit_test(test_the_wait_is_in_front),
        cmocka_unit_test(test_goodput_and_latency),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
