/* SPDX-License-Identifier: Apache-2.0 */
/* The share that is refused for lag, against a model of a worker: a queue, a loop that takes a
 * batch a turn, calls whose later requests come whether or not there is room, refusals that cost
 * something too. Virtual time; the random numbers are the same in each run. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <math.h>
#include <string.h>

#include "load/load_int.h"

#define LIMIT   100
#define CALLS   5000.0 /* a second that one worker can carry */
#define SETUP   0.6    /* of the cost of a call; the rest comes with its end */
#define REFUSAL 0.03   /* of a refusal, part of that of a call */
#define BATCH   512
#define QUEUE   (1u << 20)
#define BUCKETS 1000 /* of in-dialog latency, ms */

struct item {
    double at; /* ms */
    bool is_end;
};

struct model {
    struct rng rng;
    struct load_control control;
    struct item queue[QUEUE];
    double ends[QUEUE]; /* of calls, in order: each lasts as long as all others */
    size_t head, tail, first_end, last_end;
    double t, next;   /* ms; the next arrival */
    double offered;   /* times CALLS */
    double call_ms;   /* how long a call lasts */
    double refusal;   /* cost */
    bool is_shedding; /* the control is listened to */
    /* Counted since model_count. */
    double since;
    uint64_t done, waits, over[BUCKETS];
    double share_least, share_most, lag_most;
    unsigned begins, stops;
};

static struct model m;

static void model_init(double call_ms)
{
    memset(&m, 0, sizeof(m));
    rng_seed(&m.rng, 7);
    m.control.least = -1;
    m.t = m.next = 1000;
    m.call_ms = call_ms;
    m.refusal = REFUSAL;
    m.is_shedding = true;
}

static void model_count(void)
{
    m.since = m.t;
    m.done = m.waits = 0;
    memset(m.over, 0, sizeof(m.over));
    m.share_least = 1;
    m.share_most = m.lag_most = 0;
    m.begins = m.stops = 0;
}

static double gap(void)
{
    double u = ((double)rng_below(&m.rng, 1u << 30) + 1) / (double)(1u << 30);
    return -log(u) * 1000 / (CALLS * m.offered);
}

static void arrive(void)
{
    while ((m.offered > 0 && m.next <= m.t) ||
           (m.first_end != m.last_end && m.ends[m.first_end % QUEUE] <= m.t)) {
        bool is_end = m.first_end != m.last_end && m.ends[m.first_end % QUEUE] <= m.t &&
                      (m.offered <= 0 || m.ends[m.first_end % QUEUE] < m.next);
        double at = is_end ? m.ends[m.first_end++ % QUEUE] : m.next;
        assert_true(m.tail - m.head < QUEUE);
        m.queue[m.tail++ % QUEUE] = (struct item){at, is_end};
        if (!is_end)
            m.next += gap();
    }
}

static void serve(const struct item *i)
{
    const double call = 1000 / CALLS;
    unsigned share = load_control_share(&m.control, LOAD_INVITE);
    if (i->is_end) {
        m.t += (1 - SETUP) * call;
        double wait = m.t - i->at;
        m.over[wait < BUCKETS ? (size_t)wait : BUCKETS - 1]++;
        m.waits++;
    } else if (m.is_shedding && load_control_refuses(&m.control, LOAD_INVITE, share)) {
        m.t += m.refusal * call;
    } else {
        m.t += SETUP * call;
        m.ends[m.last_end++ % QUEUE] = m.t + m.call_ms;
        assert_true(m.last_end - m.first_end < QUEUE);
        m.done++;
    }
}

static void turn(void)
{
    arrive();
    if (m.head == m.tail) { /* asleep until something comes, or a timer */
        double end = m.first_end != m.last_end ? m.ends[m.first_end % QUEUE] : m.t + 1000;
        double next = m.offered > 0 ? m.next : m.t + 1000;
        m.t = (end < next ? end : next) + 0.001;
        arrive();
    }
    double began = m.t, late = m.head != m.tail ? m.t - m.queue[m.head % QUEUE].at : 0;
    for (unsigned i = 0; i < BATCH && m.head != m.tail; i++)
        serve(&m.queue[m.head++ % QUEUE]);
    if (m.t - began > late)
        late = m.t - began;
    enum load_change change = load_control_turn(&m.control, late, LIMIT, (uint64_t)m.t);
    m.begins += change == LOAD_BEGINS;
    m.stops += change == LOAD_ENDS;
    double share = m.control.is_on ? m.control.share : 0;
    m.share_least = fmin(m.share_least, share);
    m.share_most = fmax(m.share_most, share);
    m.lag_most = fmax(m.lag_most, m.control.last);
}

static void run(double offered, double seconds)
{
    double until = m.t + seconds * 1000;
    if (m.next < m.t)
        m.next = m.t;
    m.offered = offered;
    while (m.t < until)
        turn();
}

static double goodput(void)
{
    return (double)m.done * 1000 / (m.t - m.since) / CALLS;
}

/* Of the requests inside dialogs, ms. */
static double latency(double part)
{
    uint64_t n = 0;
    for (unsigned i = 0; i < BUCKETS; i++) {
        n += m.over[i];
        if ((double)n >= part * (double)m.waits)
            return i + 1;
    }
    return BUCKETS;
}

static void test_nothing_is_refused_below_the_limit(void **state)
{
    (void)state;
    model_init(1000);
    model_count();
    run(0.9, 20);
    assert_true(goodput() > 0.87);
    assert_true(m.share_most == 0);
    assert_int_equal(m.begins, 0);
}

/* The best is what is done when nothing is refused: one. Refusals cost something, so that at three
 * times that (1 - 3 * REFUSAL) / (1 - REFUSAL) is all there can be. */
static void test_goodput_at_three_times_the_rate(void **state)
{
    const double call_ms[] = {100, 500, 5000};
    (void)state;
    for (unsigned i = 0; i < 3; i++) {
        model_init(call_ms[i]);
        run(3, 60); /* calls that began before anything was refused have ended */
        model_count();
        run(3, 30);
        assert_true(goodput() > 0.9);
        assert_true(latency(0.5) < 40);
        assert_true(latency(0.99) < LIMIT);
        assert_true(m.share_most - m.share_least < 0.25); /* no swinging */
        assert_true(m.lag_most < LIMIT);
        assert_int_equal(m.begins + m.stops, 0);
    }
}

static void test_stable_at_any_rate(void **state)
{
    const double offered[] = {1.1, 1.3, 2, 5, 10, 20};
    (void)state;
    for (unsigned i = 0; i < sizeof(offered) / sizeof(offered[0]); i++) {
        model_init(500);
        m.refusal = 0.01;
        run(offered[i], 15);
        model_count();
        run(offered[i], 15);
        assert_true(goodput() > 0.95 * (1 - 0.01 * offered[i]));
        assert_true(latency(0.99) < LIMIT);
        assert_true(m.share_most - m.share_least < 0.3);
        assert_true(m.lag_most < LIMIT);
    }
}

/* A crowd that comes at once, and goes: shed within a second, and let in again after it. */
static void test_a_crowd_comes_and_goes(void **state)
{
    (void)state;
    model_init(500);
    run(0.7, 5);
    run(4, 1.5);
    assert_true(m.control.is_on);
    model_count();
    run(4, 5);
    assert_true(latency(0.99) < 4 * LIMIT);
    run(0.7, 3);
    model_count();
    run(0.7, 10);
    assert_true(goodput() > 0.68);
    assert_int_equal(m.begins, 0);
    assert_false(m.control.is_on);
}

/* Without it the queue grows for as long as the crowd stays. */
static void test_the_model_fails_without_it(void **state)
{
    (void)state;
    model_init(500);
    m.is_shedding = false;
    run(3, 5);
    model_count();
    run(3, 2);
    assert_true(latency(0.5) >= BUCKETS - 1);
}

/* One long stop, of the machine or of the disk, is no overload: what has waited is worked off. */
static void test_a_single_stop(void **state)
{
    struct load_control c = {.least = -1};
    (void)state;
    uint64_t now = 1000;
    for (; now < 2000; now += 10)
        assert_int_equal(load_control_turn(&c, 1, LIMIT, now), LOAD_SAME);
    now += 90; /* 90 ms, then at once all is well */
    assert_int_equal(load_control_turn(&c, 90, LIMIT, now), LOAD_SAME);
    for (; now < 4000; now += 10)
        assert_int_equal(load_control_turn(&c, 1, LIMIT, now), LOAD_SAME);
    assert_false(c.is_on);
}

static void begin(struct load_control *c, uint64_t *now)
{
    *c = (struct load_control){.least = -1};
    for (*now = 1000; !c->is_on && *now < 3000; *now += 20)
        (void)load_control_turn(c, 150, LIMIT, *now);
    assert_true(c->is_on);
    assert_true(load_control_share(c, LOAD_INVITE) > 0);
}

static void test_a_sleep_ends_it(void **state)
{
    struct load_control c;
    uint64_t now;
    (void)state;
    begin(&c, &now);
    now += 5000;
    assert_int_equal(load_control_turn(&c, 0, LIMIT, now), LOAD_ENDS);
    assert_int_equal(load_control_share(&c, LOAD_INVITE), 0);
}

/* Above the limit no INVITE is let in until what waits has been worked off; the share stays for
 * what comes then. Everything else goes by the share. */
static void test_a_long_line_is_worked_off(void **state)
{
    struct load_control c;
    uint64_t now;
    (void)state;
    begin(&c, &now);
    double share = c.share;
    for (double lag = 150; lag > LIMIT * 0.2; lag -= 5, now += 20) {
        assert_int_equal(load_control_turn(&c, lag, LIMIT, now), LOAD_SAME);
        for (unsigned i = 0; i < 5; i++)
            assert_true(load_control_refuses(&c, LOAD_INVITE, 100));
        assert_false(load_control_refuses(&c, LOAD_OTHER, 0));
    }
    assert_int_equal(load_control_turn(&c, 15, LIMIT, now), LOAD_SAME);
    unsigned n = 0;
    for (unsigned i = 0; i < 100; i++)
        n += load_control_refuses(&c, LOAD_INVITE, 100);
    assert_in_range(n, 9, 11);
    assert_true(c.is_on && c.share >= share && c.share < share + 0.2);
}

static void test_turned_off(void **state)
{
    struct load_control c;
    uint64_t now;
    (void)state;
    begin(&c, &now);
    assert_int_equal(load_control_turn(&c, 150, 0, now), LOAD_ENDS);
    assert_int_equal(load_control_share(&c, LOAD_INVITE), 0);
    assert_int_equal(load_control_turn(&c, 15000, 0, now + 1000), LOAD_SAME);
}

/* Others than INVITE only when nearly all INVITEs are refused; what passes never. */
static void test_shares(void **state)
{
    struct load_control c = {.is_on = true, .share = 0.5};
    (void)state;
    assert_int_equal(load_control_share(&c, LOAD_INVITE), 500);
    assert_int_equal(load_control_share(&c, LOAD_OTHER), 0);
    assert_int_equal(load_control_share(&c, LOAD_PASS), 0);
    c.share = 0.9;
    assert_int_equal(load_control_share(&c, LOAD_OTHER), 500);
    c.share = 1;
    assert_int_equal(load_control_share(&c, LOAD_INVITE), 1000);
    assert_int_equal(load_control_share(&c, LOAD_OTHER), 1000);
    assert_int_equal(load_control_share(&c, LOAD_PASS), 0);
    c.is_on = false;
    assert_int_equal(load_control_share(&c, LOAD_INVITE), 0);
}

static void test_refusals_are_spread(void **state)
{
    struct load_control c = {0};
    unsigned n = 0, row = 0, longest = 0;
    (void)state;
    for (unsigned i = 0; i < 1000; i++) {
        bool is_refused = load_control_refuses(&c, LOAD_INVITE, 300);
        n += is_refused;
        row = is_refused ? row + 1 : 0;
        longest = row > longest ? row : longest;
        assert_false(load_control_refuses(&c, LOAD_OTHER, 0));
    }
    assert_int_equal(n, 300);
    assert_int_equal(longest, 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_nothing_is_refused_below_the_limit),
        cmocka_unit_test(test_goodput_at_three_times_the_rate),
        cmocka_unit_test(test_stable_at_any_rate),
        cmocka_unit_test(test_a_crowd_comes_and_goes),
        cmocka_unit_test(test_the_model_fails_without_it),
        cmocka_unit_test(test_a_single_stop),
        cmocka_unit_test(test_a_sleep_ends_it),
        cmocka_unit_test(test_a_long_line_is_worked_off),
        cmocka_unit_test(test_turned_off),
        cmocka_unit_test(test_shares),
        cmocka_unit_test(test_refusals_are_spread),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
