/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

#include "base/random.h"
#include "base/wheel.h"

/* The wheel against a plain array: at each firing the timer must be the first of all that run, by
 * due time and then by order of starting. */

enum { TIMERS = 150 };

struct model_timer {
    struct timer timer;
    struct model *model;
    bool set;
    uint64_t due, order;
};

struct model {
    struct wheel wheel;
    struct rng rng;
    struct model_timer timers[TIMERS];
    uint64_t now, order;
    uint64_t fired;
    unsigned acts; /* how many timers callbacks may still touch in this advance */
};

static struct model_timer *first_due(struct model *m)
{
    struct model_timer *first = NULL;

    for (size_t i = 0; i < TIMERS; i++) {
        struct model_timer *t = &m->timers[i];
        if (t->set && (first == NULL || t->due < first->due ||
                       (t->due == first->due && t->order < first->order)))
            first = t;
    }
    return first;
}

static uint64_t count_set(const struct model *m)
{
    uint64_t n = 0;

    for (size_t i = 0; i < TIMERS; i++)
        n += m->timers[i].set;
    return n;
}

/* Spans of every level, the far list and the ends of the blocks; now and then the past. */
static uint64_t random_due(struct model *m)
{
    uint64_t bits = rng_below(&m->rng, 34);
    uint64_t ahead = rng_next(&m->rng) >> (63 - bits);

    switch (rng_below(&m->rng, 8)) {
    case 0: return m->now - rng_below(&m->rng, m->now < 200 ? m->now + 1 : 200);
    case 1: return m->now;
    case 2: return ((m->now >> bits) + 1) << bits;
    case 3: return (((m->now >> bits) + 1) << bits) - 1;
    case 4: return m->now + rng_below(&m->rng, 20); /* many ties */
    default: return m->now + ahead;
    }
}

static void change_one(struct model *m)
{
    struct model_timer *t = &m->timers[rng_below(&m->rng, TIMERS)];

    if (rng_below(&m->rng, 4) == 0) {
        timer_stop(&m->wheel, &t->timer);
        t->set = false;
    } else {
        t->due = random_due(m);
        t->order = m->order++;
        t->set = true;
        timer_set(&m->wheel, &t->timer, t->due);
    }
    assert_true(timer_is_set(&t->timer) == t->set);
}

static void on_model(struct timer *timer, uint64_t now)
{
    struct model_timer *t = container_of(timer, struct model_timer, timer);
    struct model *m = t->model;

    assert_ptr_equal(first_due(m), t);
    assert_true(now == m->now);
    assert_true(t->due <= now);
    assert_false(timer_is_set(timer));
    t->set = false;
    m->fired++;
    for (; m->acts > 0 && rng_below(&m->rng, 2) == 0; m->acts--)
        change_one(m);
}

static void advance(struct model *m, uint64_t now)
{
    struct model_timer *first;
    uint64_t before = m->fired;
    unsigned fired;

    m->now = now;
    m->acts = 100;
    fired = wheel_advance(&m->wheel, now);
    assert_int_equal(fired, m->fired - before);
    first = first_due(m);
    assert_true(first == NULL || first->due > now);
    assert_true(m->wheel.count == count_set(m));
    if (first == NULL)
        assert_true(wheel_next(&m->wheel) == UINT64_MAX);
    else
        assert_true(wheel_next(&m->wheel) > now && wheel_next(&m->wheel) <= first->due);
}

static void model_init(struct model *m, uint64_t seed, uint64_t now)
{
    memset(m, 0, sizeof(*m));
    rng_seed(&m->rng, seed);
    m->now = now;
    wheel_init(&m->wheel, now);
    for (size_t i = 0; i < TIMERS; i++) {
        timer_init(&m->timers[i].timer, on_model);
        m->timers[i].model = m;
    }
}

static void run_model(uint64_t seed, uint64_t start)
{
    static struct model m;

    model_init(&m, seed, start);
    for (int step = 0; step < 3000; step++) {
        uint64_t bits = rng_below(&m.rng, 100) < 95 ? rng_below(&m.rng, 18) : rng_below(&m.rng, 33);
        for (uint64_t n = rng_below(&m.rng, 20); n > 0; n--)
            change_one(&m);
        advance(&m, m.now + (rng_next(&m.rng) >> (63 - bits)));
    }
    assert_true(m.fired > 3000);
}

static void test_model(void **state)
{
    (void)state;
    run_model(1, 0);
    run_model(2, 1);
    run_model(3, ((uint64_t)1 << 30) - 5);
    run_model(4, 1700000000000);
    run_model(5, (uint64_t)1 << 62);
}

/* Someone who sleeps until wheel_next sees each timer in its very millisecond, and wakes seldom. */
static void test_next(void **state)
{
    static struct model m;
    uint64_t next, wakes = 0;

    (void)state;
    model_init(&m, 6, 123456789);
    for (size_t i = 0; i < TIMERS; i++) {
        struct model_timer *t = &m.timers[i];
        t->due = m.now + 1 + (rng_next(&m.rng) >> (31 + rng_below(&m.rng, 30)));
        t->order = m.order++;
        t->set = true;
        timer_set(&m.wheel, &t->timer, t->due);
    }
    while ((next = wheel_next(&m.wheel)) != UINT64_MAX) {
        uint64_t due = first_due(&m)->due;
        uint64_t fired = m.fired;
        assert_true(next > m.now && next <= due);
        m.now = next;
        m.acts = 0;
        wheel_advance(&m.wheel, next);
        assert_true((m.fired > fired) == (next == due));
        wakes++;
    }
    assert_int_equal(m.fired, TIMERS);
    assert_true(wakes <= TIMERS * (WHEEL_LEVELS + 8));
}

/* --- single cases -------------------------------------------------------------------------- */

struct noted {
    struct timer timer;
    struct wheel *wheel;
    struct timer *other;
    uint64_t set_to; /* 0: nothing */
    uint64_t fired_at;
    unsigned times, rank;
    unsigned *ranks;
};

static void on_noted(struct timer *timer, uint64_t now)
{
    struct noted *n = container_of(timer, struct noted, timer);

    n->fired_at = now;
    n->times++;
    n->rank = ++*n->ranks;
    if (n->set_to != 0)
        timer_set(n->wheel, n->other != NULL ? n->other : timer, n->set_to);
    else if (n->other != NULL)
        timer_stop(n->wheel, n->other);
}

static void noted_init(struct noted *n, size_t count, struct wheel *w, unsigned *ranks)
{
    *ranks = 0;
    for (size_t i = 0; i < count; i++) {
        n[i] = (struct noted){.wheel = w, .ranks = ranks};
        timer_init(&n[i].timer, on_noted);
    }
}

static void test_start_and_stop(void **state)
{
    struct wheel w;
    struct noted n[1];
    unsigned ranks;

    (void)state;
    wheel_init(&w, 1000);
    noted_init(n, 1, &w, &ranks);
    assert_false(timer_is_set(&n[0].timer));
    timer_stop(&w, &n[0].timer);
    assert_true(w.count == 0);
    assert_true(wheel_next(&w) == UINT64_MAX);

    timer_set(&w, &n[0].timer, 1500);
    assert_true(timer_is_set(&n[0].timer));
    assert_int_equal(wheel_advance(&w, 1499), 0);
    timer_set(&w, &n[0].timer, 33500);
    assert_true(w.count == 1);
    assert_int_equal(wheel_advance(&w, 33499), 0);
    timer_stop(&w, &n[0].timer);
    timer_stop(&w, &n[0].timer);
    assert_true(w.count == 0);
    assert_int_equal(wheel_advance(&w, 99999), 0);

    timer_set(&w, &n[0].timer, 100000);
    assert_int_equal(wheel_advance(&w, 100000), 1);
    assert_true(n[0].fired_at == 100000);
    assert_int_equal(wheel_advance(&w, 200000), 0);
    assert_int_equal(n[0].times, 1);
}

static void test_past(void **state)
{
    struct wheel w;
    struct noted n[4];
    unsigned ranks;

    (void)state;
    wheel_init(&w, 1000);
    noted_init(n, 4, &w, &ranks);
    timer_set(&w, &n[0].timer, 1000);
    timer_set(&w, &n[1].timer, 900);
    timer_set(&w, &n[2].timer, 0);
    timer_set(&w, &n[3].timer, 900);
    assert_true(wheel_next(&w) == 0);
    assert_int_equal(wheel_advance(&w, 1000), 4);
    assert_int_equal(n[2].rank, 1);
    assert_int_equal(n[1].rank, 2);
    assert_int_equal(n[3].rank, 3);
    assert_int_equal(n[0].rank, 4);
}

/* One jump over 32 s in which callbacks start, move and stop timers that lie inside the jump. */
static void test_jump(void **state)
{
    struct wheel w;
    struct noted n[6];
    unsigned ranks;

    (void)state;
    wheel_init(&w, 5000);
    noted_init(n, 6, &w, &ranks);
    timer_set(&w, &n[0].timer, 37000);
    timer_set(&w, &n[1].timer, 6000);
    n[1].other = &n[2].timer; /* 1 starts 2 between itself and 3 */
    n[1].set_to = 6500;
    timer_set(&w, &n[3].timer, 7000);
    n[3].other = &n[4].timer; /* 3 stops 4 */
    timer_set(&w, &n[4].timer, 30000);
    n[2].other = &n[5].timer; /* 2 starts 5 in the past: at once */
    n[2].set_to = 10;
    assert_int_equal(wheel_advance(&w, 37000), 5);
    assert_int_equal(n[1].rank, 1);
    assert_int_equal(n[2].rank, 2);
    assert_int_equal(n[5].rank, 3);
    assert_int_equal(n[3].rank, 4);
    assert_int_equal(n[0].rank, 5);
    assert_int_equal(n[4].times, 0);
    assert_true(w.count == 0);
    assert_true(w.now == 37000);
}

/* A timer that starts itself again inside the jump fires as often as its period fits. */
static void on_period(struct timer *timer, uint64_t now)
{
    struct noted *n = container_of(timer, struct noted, timer);

    (void)now;
    n->times++;
    timer_set(n->wheel, timer, timer->due + 500);
}

static void test_period(void **state)
{
    struct wheel w;
    struct noted n = {.wheel = &w};

    (void)state;
    wheel_init(&w, 0);
    timer_init(&n.timer, on_period);
    timer_set(&w, &n.timer, 500);
    assert_int_equal(wheel_advance(&w, 32000), 64);
    assert_int_equal(n.times, 64);
    assert_true(wheel_next(&w) > 32000 && wheel_next(&w) <= 32500);
}

static void test_far(void **state)
{
    const uint64_t year = 365ULL * 86400 * 1000;
    struct wheel w;
    struct noted n[4];
    unsigned ranks;

    (void)state;
    wheel_init(&w, 77);
    noted_init(n, 4, &w, &ranks);
    timer_set(&w, &n[0].timer, UINT64_MAX);
    timer_set(&w, &n[1].timer, year);
    timer_set(&w, &n[2].timer, year);
    timer_set(&w, &n[3].timer, (uint64_t)1 << 30);
    assert_true(wheel_next(&w) <= (uint64_t)1 << 30);
    assert_int_equal(wheel_advance(&w, year - 1), 1);
    assert_int_equal(n[3].times, 1);
    timer_stop(&w, &n[1].timer);
    assert_int_equal(wheel_advance(&w, year), 1);
    assert_int_equal(n[2].times, 1);
    /* Far beyond: neither an overflow nor a walk over every block between. */
    assert_int_equal(wheel_advance(&w, UINT64_MAX - 1), 0);
    assert_int_equal(wheel_advance(&w, UINT64_MAX), 1);
    assert_true(wheel_next(&w) == UINT64_MAX);
}

/* A clock that goes back fires nothing early and loses nothing. */
static void test_clock_goes_back(void **state)
{
    struct wheel w;
    struct noted n[2];
    unsigned ranks;

    (void)state;
    wheel_init(&w, 1000);
    noted_init(n, 2, &w, &ranks);
    timer_set(&w, &n[0].timer, 1000);
    timer_set(&w, &n[1].timer, 700);
    assert_int_equal(wheel_advance(&w, 800), 1);
    assert_int_equal(n[1].times, 1);
    assert_true(w.now == 1000);
    assert_int_equal(wheel_advance(&w, 1000), 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_model),
        cmocka_unit_test(test_next),
        cmocka_unit_test(test_start_and_stop),
        cmocka_unit_test(test_past),
        cmocka_unit_test(test_jump),
        cmocka_unit_test(test_period),
        cmocka_unit_test(test_far),
        cmocka_unit_test(test_clock_goes_back),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
