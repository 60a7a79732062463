/* SPDX-License-Identifier: Apache-2.0 */
/* Who is active, told by what was heard and when. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

#include "group/pair_int.h"

#define CHECK 5000
#define FORCE 2000
#define T0    1000000

struct world {
    struct pair pair;
    struct pair_change change; /* of the last step */
    uint64_t now, next;
};

static void start(struct world *w, unsigned n)
{
    *w = (struct world){.now = T0};
    pair_init(&w->pair, n, CHECK, FORCE, w->now);
}

/* What is asked at once. */
static int plan(struct world *w)
{
    w->change = (struct pair_change){0};
    return pair_plan(&w->pair, w->now, &w->next, &w->change);
}

/* Nothing is asked before `ms` have passed; then that member is. */
static void expect_ask(struct world *w, uint64_t ms, int member)
{
    uint64_t at = w->now + ms;
    if (ms != 0) {
        assert_int_equal(plan(w), -1);
        while (w->next < at) {
            w->now = w->next;
            assert_int_equal(plan(w), -1);
        }
        assert_true(w->next == at);
    }
    w->now = at;
    assert_int_equal(plan(w), member);
}

static void answer(struct world *w, unsigned i)
{
    w->change = (struct pair_change){0};
    pair_answered(&w->pair, i, w->now, &w->change);
}

static void failing(struct world *w, unsigned i, int err)
{
    w->change = (struct pair_change){0};
    pair_failed(&w->pair, i, err, w->now, &w->change);
}

static void expect(const struct world *w, enum group_state state, unsigned active)
{
    assert_int_equal(w->pair.state, state);
    assert_int_equal(w->pair.active, active);
}

static void expect_switch(const struct world *w, unsigned to, enum pair_cause cause, int err,
                          uint64_t ms)
{
    assert_true(w->change.is_switched);
    assert_int_equal(w->change.to, to);
    assert_int_equal(w->change.from, 1 - to);
    assert_int_equal(w->change.cause, cause);
    assert_int_equal(w->change.err, err);
    assert_int_equal(w->change.ms, ms);
}

/* --- start --- */

static void test_start(void **state)
{
    (void)state;
    struct world w;
    start(&w, 2);
    expect(&w, GROUP_UNKNOWN, 0);
    expect_ask(&w, 0, 0);
    answer(&w, 0);
    expect(&w, GROUP_UP, 0);
    assert_false(w.change.is_switched || w.change.is_back);
    assert_true(w.change.is_state);
    for (unsigned i = 0; i < 3; i++) {
        expect_ask(&w, CHECK, 0);
        answer(&w, 0);
        assert_false(w.change.is_state);
    }
}

static void test_start_second_answers(void **state)
{
    (void)state;
    struct world w;
    start(&w, 2);
    expect_ask(&w, 0, 0);
    expect_ask(&w, FORCE, 1);
    expect(&w, GROUP_UNKNOWN, 0);
    w.now += 20;
    answer(&w, 1);
    expect(&w, GROUP_UP, 1);
    expect_switch(&w, 1, PAIR_CHECK, ERR_TIMEOUT, FORCE + 20);
    expect_ask(&w, CHECK, 1);
}

static void test_start_silent(void **state)
{
    (void)state;
    struct world w;
    start(&w, 2);
    expect_ask(&w, 0, 0);
    expect_ask(&w, FORCE, 1);
    expect_ask(&w, FORCE, 0);
    expect(&w, GROUP_DOWN, 0);
    assert_true(w.change.is_down);
    assert_int_equal(w.change.err, ERR_TIMEOUT);
    /* Checks go on, and it is said once. */
    for (int i = 0; i < 6; i++) {
        expect_ask(&w, FORCE, 1 - i % 2);
        assert_false(w.change.is_down || w.change.is_state);
    }
}

/* --- up --- */

static void up(struct world *w)
{
    start(w, 2);
    expect_ask(w, 0, 0);
    answer(w, 0);
}

static void test_silent_active(void **state)
{
    (void)state;
    struct world w;
    up(&w);
    expect_ask(&w, CHECK, 0);
    expect_ask(&w, CHECK, 1); /* no answer for oos-check: the other one, at once */
    expect(&w, GROUP_SEARCH, 0);
    assert_true(w.change.is_state && !w.change.is_down);
    w.now += 7;
    answer(&w, 1);
    expect(&w, GROUP_UP, 1);
    expect_switch(&w, 1, PAIR_CHECK, ERR_TIMEOUT, CHECK + 7);
    /* It does not fall back: the first one answers again, and is not even asked. */
    answer(&w, 0);
    expect(&w, GROUP_UP, 1);
    for (unsigned i = 0; i < 5; i++) {
        expect_ask(&w, CHECK, 1);
        answer(&w, 1);
        assert_false(w.change.is_switched);
    }
}

static void test_search_finds_the_same(void **state)
{
    (void)state;
    struct world w;
    up(&w);
    expect_ask(&w, CHECK, 0);
    expect_ask(&w, CHECK, 1);
    expect_ask(&w, FORCE, 0);
    answer(&w, 0);
    expect(&w, GROUP_UP, 0);
    assert_false(w.change.is_switched || w.change.is_back);
    assert_int_equal(w.change.ms, CHECK + FORCE);
    expect_ask(&w, CHECK, 0);
}

/* The answer to the check that was given up still counts. */
static void test_late_answer(void **state)
{
    (void)state;
    struct world w;
    up(&w);
    expect_ask(&w, CHECK, 0);
    expect_ask(&w, CHECK, 1);
    w.now += 1;
    answer(&w, 0);
    expect(&w, GROUP_UP, 0);
}

/* What was asked in a search that is over says nothing in the next one. */
static void test_searches_are_apart(void **state)
{
    (void)state;
    struct world w;
    up(&w);
    expect_ask(&w, CHECK, 0);
    expect_ask(&w, CHECK, 1);
    w.now += 1;
    answer(&w, 0);
    expect(&w, GROUP_UP, 0);
    w.now += 99;
    failing(&w, 0, ERR_CLOSED);
    uint64_t begun = w.now;
    do {
        int who = plan(&w);
        if (who == 0)
            failing(&w, 0, ERR_CLOSED);
        if (who < 0 && w.pair.state == GROUP_SEARCH)
            w.now = w.next;
        assert_true(w.now < begun + 2 * FORCE);
    } while (w.pair.state == GROUP_SEARCH);
    uint64_t asked = begun + PAIR_AGAIN_MS - 100; /* the other one, again */
    expect(&w, GROUP_DOWN, 0);
    assert_true(w.now == asked + FORCE);
}

/* Both are asked in turn, every oos-force; both silent: down. */
static void test_both_silent_and_back(void **state)
{
    (void)state;
    struct world w;
    up(&w);
    expect_ask(&w, CHECK, 0);
    expect_ask(&w, CHECK, 1);
    expect_ask(&w, FORCE, 0);
    expect(&w, GROUP_SEARCH, 0);
    expect_ask(&w, FORCE, 1);
    expect(&w, GROUP_DOWN, 0);
    assert_true(w.change.is_down && w.change.is_state);
    expect_ask(&w, FORCE, 0);
    expect_ask(&w, FORCE, 1);
    w.now += 5;
    answer(&w, 1);
    expect(&w, GROUP_UP, 1);
    assert_true(w.change.is_back);
    expect_switch(&w, 1, PAIR_CHECK, ERR_TIMEOUT, CHECK + 4 * FORCE + 5);
    expect_ask(&w, CHECK, 1);
}

static void test_down_the_same_is_back(void **state)
{
    (void)state;
    struct world w;
    start(&w, 2);
    expect_ask(&w, 0, 0);
    expect_ask(&w, FORCE, 1);
    expect_ask(&w, FORCE, 0);
    expect(&w, GROUP_DOWN, 0);
    answer(&w, 0);
    expect(&w, GROUP_UP, 0);
    assert_true(w.change.is_back && !w.change.is_switched);
}

/* --- failures that are known at once --- */

static void test_refused(void **state)
{
    (void)state;
    struct world w;
    up(&w);
    expect_ask(&w, CHECK, 0);
    w.now += 3;
    failing(&w, 0, -ECONNREFUSED);
    expect(&w, GROUP_SEARCH, 0);
    expect_ask(&w, 0, 1); /* without waiting */
    w.now += 2;
    answer(&w, 1);
    expect_switch(&w, 1, PAIR_CHECK, -ECONNREFUSED, 2);
}

/* Both refuse: whoever is in reserve may need a moment to take over, so both are asked again soon,
 * and the search lasts for oos-force. */
static void test_both_refused(void **state)
{
    (void)state;
    struct world w;
    up(&w);
    expect_ask(&w, CHECK, 0);
    failing(&w, 0, -ECONNREFUSED);
    expect_ask(&w, 0, 1);
    failing(&w, 1, -EHOSTUNREACH);
    expect(&w, GROUP_SEARCH, 0);
    for (unsigned i = 0; i < FORCE / PAIR_AGAIN_MS - 1; i++) {
        expect_ask(&w, PAIR_AGAIN_MS, 0);
        failing(&w, 0, -ECONNREFUSED);
        expect_ask(&w, 0, 1);
        failing(&w, 1, -ECONNREFUSED);
        expect(&w, GROUP_SEARCH, 0);
    }
    w.now += PAIR_AGAIN_MS;
    (void)plan(&w);
    expect(&w, GROUP_DOWN, 0);
    assert_true(w.change.is_down);
    assert_int_equal(w.change.err, -ECONNREFUSED);
}

/* Out of service: one each oos-force, and the other one when that is refused too. */
static void test_down_no_storm(void **state)
{
    (void)state;
    struct world w;
    up(&w);
    failing(&w, 0, -ECONNREFUSED);
    unsigned asks = 0;
    for (uint64_t end = w.now + 20 * FORCE; w.now < end;) {
        int who = plan(&w);
        if (who >= 0)
            failing(&w, (unsigned)who, -ECONNREFUSED);
        else
            w.now = w.next;
        asks += who >= 0;
    }
    expect(&w, GROUP_DOWN, 0);
    assert_in_range(asks, 20, 2 * 20 + 2 * FORCE / PAIR_AGAIN_MS);
    while (plan(&w) < 0)
        w.now = w.next;
    answer(&w, 1);
    expect(&w, GROUP_UP, 1);
    assert_true(w.change.is_back);
}

/* The reserve says 503 until it has seen that it is the active one. */
static void test_slow_takeover(void **state)
{
    (void)state;
    struct world w;
    up(&w);
    w.now += 3000;
    failing(&w, 0, ERR_CLOSED);
    expect_ask(&w, 0, 1);
    failing(&w, 1, ERR_BAD_STATUS);
    expect_ask(&w, 0, 0); /* it was asked for the last time long ago */
    failing(&w, 0, -ECONNREFUSED);
    expect_ask(&w, PAIR_AGAIN_MS, 0);
    failing(&w, 0, -ECONNREFUSED);
    expect_ask(&w, 0, 1);
    answer(&w, 1);
    expect(&w, GROUP_UP, 1);
    expect_switch(&w, 1, PAIR_CHECK, ERR_CLOSED, PAIR_AGAIN_MS);
}

/* The old one is frozen, the new one says 503 at first: it is asked again soon, the other one each
 * oos-force. */
static void test_frozen_and_slow(void **state)
{
    (void)state;
    struct world w;
    up(&w);
    expect_ask(&w, CHECK, 0);
    expect_ask(&w, CHECK, 1);
    failing(&w, 1, ERR_BAD_STATUS);
    expect_ask(&w, 0, 0);
    for (unsigned i = 0; i < FORCE / PAIR_AGAIN_MS - 1; i++) {
        expect_ask(&w, PAIR_AGAIN_MS, 1);
        failing(&w, 1, ERR_BAD_STATUS);
    }
    w.now += 10;
    answer(&w, 1);
    expect(&w, GROUP_UP, 1);
}

/* A status that does not count: the member says itself that it is not the active one. */
static void test_bad_status(void **state)
{
    (void)state;
    struct world w;
    up(&w);
    expect_ask(&w, CHECK, 0);
    failing(&w, 0, ERR_BAD_STATUS);
    expect_ask(&w, 0, 1);
    answer(&w, 1);
    expect_switch(&w, 1, PAIR_CHECK, ERR_BAD_STATUS, 0);
}

/* What a member fails at that is not the active one says nothing while that one answers. */
static void test_reserve_fails(void **state)
{
    (void)state;
    struct world w;
    up(&w);
    failing(&w, 1, -ECONNREFUSED);
    expect(&w, GROUP_UP, 0);
    assert_false(w.change.is_state);
    w.change = (struct pair_change){0};
    assert_false(pair_trouble(&w.pair, 1, -ECONNRESET, w.now, &w.change));
    expect_ask(&w, CHECK, 0);
}

/* --- trouble --- */

static void test_trouble(void **state)
{
    (void)state;
    struct world w;
    up(&w);
    w.now += 1000;
    assert_true(pair_trouble(&w.pair, 0, -ECONNRESET, w.now, &w.change));
    expect_ask(&w, 0, 0);
    answer(&w, 0);
    expect(&w, GROUP_UP, 0);
    /* Coalesced: not more often than once in half a second. */
    w.now += 100;
    assert_true(pair_trouble(&w.pair, 0, -ECONNRESET, w.now, &w.change));
    assert_false(pair_trouble(&w.pair, 0, -ECONNRESET, w.now, &w.change));
    expect_ask(&w, PAIR_AGAIN_MS - 100, 0);
    failing(&w, 0, -ECONNREFUSED);
    expect_ask(&w, 0, 1);
}

/* Trouble that is told again and again does not put off the end of patience. */
static void test_trouble_does_not_put_off(void **state)
{
    (void)state;
    struct world w;
    up(&w);
    expect_ask(&w, CHECK, 0);
    uint64_t begin = w.now;
    int who = 0;
    while (who == 0) {
        (void)pair_trouble(&w.pair, 0, -ECONNRESET, w.now, &w.change);
        (void)plan(&w);
        w.now = w.next;
        int next = plan(&w);
        who = next >= 0 ? next : who;
        assert_true(w.now <= begin + CHECK);
    }
    assert_int_equal(who, 1);
    assert_true(w.now == begin + CHECK);
}

/* --- requests --- */

static void test_request(void **state)
{
    (void)state;
    struct world w;
    up(&w);
    w.now += 100;
    (void)pair_request(&w.pair, 0, w.now, &w.change);
    expect(&w, GROUP_UP, 0);
    w.change = (struct pair_change){0};
    (void)pair_request(&w.pair, 1, w.now, &w.change);
    expect(&w, GROUP_UP, 1);
    expect_switch(&w, 1, PAIR_REQUEST, 0, 0);
    expect_ask(&w, 0, 1); /* its connection is there then */
    answer(&w, 1);
    expect_ask(&w, CHECK, 1);
    answer(&w, 1);
    /* And the other way round: it flaps, but each is followed. */
    w.change = (struct pair_change){0};
    assert_false(pair_request(&w.pair, 0, w.now, &w.change));
    expect_switch(&w, 0, PAIR_REQUEST, 0, 0);
}

/* Whoever has just lost the role sends what it had under way: the active one is asked, at once but
 * not at any rate, and stays when it answers. */
static void test_request_under_way(void **state)
{
    (void)state;
    struct world w;
    up(&w);
    w.now += 1000;
    (void)pair_request(&w.pair, 1, w.now, &w.change);
    expect(&w, GROUP_UP, 1);
    expect_ask(&w, 0, 1);
    answer(&w, 1);
    w.now += PAIR_AGAIN_MS + 10;
    for (unsigned i = 0; i < 3; i++) {
        w.change = (struct pair_change){0};
        assert_true(pair_request(&w.pair, 0, w.now, &w.change));
        assert_false(pair_request(&w.pair, 0, w.now, &w.change));
        assert_false(w.change.is_switched);
        expect_ask(&w, i == 0 ? 0 : PAIR_AGAIN_MS, 1);
        answer(&w, 1);
        expect(&w, GROUP_UP, 1);
    }
    /* It does not answer: the other one is asked at once. */
    assert_true(pair_request(&w.pair, 0, w.now, &w.change));
    expect_ask(&w, PAIR_AGAIN_MS, 1);
    failing(&w, 1, ERR_BAD_STATUS);
    expect_ask(&w, 0, 0);
    answer(&w, 0);
    expect(&w, GROUP_UP, 0);
    /* While nobody is active a request is proof enough. */
    failing(&w, 0, ERR_CLOSED);
    expect(&w, GROUP_SEARCH, 0);
    w.change = (struct pair_change){0};
    (void)pair_request(&w.pair, 1, w.now, &w.change);
    expect_switch(&w, 1, PAIR_REQUEST, ERR_CLOSED, 0);
}

static void test_request_while_down(void **state)
{
    (void)state;
    struct world w;
    start(&w, 2);
    expect_ask(&w, 0, 0);
    expect_ask(&w, FORCE, 1);
    expect_ask(&w, FORCE, 0);
    expect(&w, GROUP_DOWN, 0);
    w.change = (struct pair_change){0};
    (void)pair_request(&w.pair, 0, w.now, &w.change);
    expect(&w, GROUP_UP, 0);
    assert_true(w.change.is_back && !w.change.is_switched);
}

/* --- the administrator --- */

static void test_switch(void **state)
{
    (void)state;
    struct world w;
    up(&w);
    w.now += 1000;
    pair_switch(&w.pair, 1, w.now, &w.change);
    expect(&w, GROUP_UP, 1);
    expect_switch(&w, 1, PAIR_ADMIN, 0, 0);
    expect_ask(&w, 0, 1); /* is it there? */
    failing(&w, 1, -ECONNREFUSED);
    expect_ask(&w, 0, 0);
    answer(&w, 0);
    expect(&w, GROUP_UP, 0);
    w.change = (struct pair_change){0};
    pair_switch(&w.pair, 0, w.now, &w.change);
    pair_switch(&w.pair, 2, w.now, &w.change);
    assert_false(w.change.is_switched);
}

/* --- without checks, without a second member --- */

static void test_no_checks(void **state)
{
    (void)state;
    struct world w = {.now = T0};
    pair_init(&w.pair, 2, 0, FORCE, w.now);
    expect(&w, GROUP_UP, 0);
    assert_int_equal(plan(&w), -1);
    assert_true(w.next == UINT64_MAX);
    assert_false(pair_trouble(&w.pair, 0, ERR_TIMEOUT, w.now, &w.change));
    assert_false(pair_trouble(&w.pair, 0, ERR_BAD_STATUS, w.now, &w.change));
    expect(&w, GROUP_UP, 0);
    assert_true(pair_trouble(&w.pair, 0, -ECONNREFUSED, w.now, &w.change));
    expect(&w, GROUP_UP, 1);
    expect_switch(&w, 1, PAIR_TROUBLE, -ECONNREFUSED, 0);
    w.change = (struct pair_change){0};
    (void)pair_request(&w.pair, 0, w.now, &w.change);
    expect_switch(&w, 0, PAIR_REQUEST, 0, 0);
    w.change = (struct pair_change){0};
    pair_switch(&w.pair, 1, w.now, &w.change);
    expect_switch(&w, 1, PAIR_ADMIN, 0, 0);
    failing(&w, 1, -ECONNREFUSED);
    expect(&w, GROUP_UP, 1);
    assert_int_equal(plan(&w), -1);
}

static void test_alone(void **state)
{
    (void)state;
    struct world w;
    start(&w, 1);
    expect_ask(&w, 0, 0);
    answer(&w, 0);
    expect_ask(&w, CHECK, 0);
    expect_ask(&w, CHECK, 0);
    expect(&w, GROUP_SEARCH, 0);
    expect_ask(&w, FORCE, 0);
    expect(&w, GROUP_DOWN, 0);
    answer(&w, 0);
    expect(&w, GROUP_UP, 0);
    assert_true(w.change.is_back);
    answer(&w, 1);
    failing(&w, 1, ERR_CLOSED);
    expect(&w, GROUP_UP, 0);
}

/* --- faults of ours, settings --- */

static void test_unasked(void **state)
{
    (void)state;
    struct world w;
    up(&w);
    for (unsigned i = 0; i < 20; i++) {
        expect_ask(&w, i == 0 ? CHECK : PAIR_AGAIN_MS, 0);
        pair_unasked(&w.pair, 0, w.now);
        expect(&w, GROUP_UP, 0);
    }
}

static void test_configure(void **state)
{
    (void)state;
    struct world w;
    up(&w);
    w.now += 1000;
    pair_configure(&w.pair, 2, 3 * CHECK, FORCE, w.now, &w.change);
    expect(&w, GROUP_UP, 0);
    expect_ask(&w, 0, 0);
    answer(&w, 0);
    expect_ask(&w, 3 * CHECK, 0);
    failing(&w, 0, -ECONNREFUSED);
    expect_ask(&w, 0, 1);
    failing(&w, 1, -ECONNREFUSED);
    w.now += FORCE;
    (void)plan(&w);
    expect(&w, GROUP_DOWN, 0);
    /* No checks any more: taken to be up. */
    w.change = (struct pair_change){0};
    pair_configure(&w.pair, 2, 0, FORCE, w.now, &w.change);
    expect(&w, GROUP_UP, 0);
    assert_true(w.change.is_back && w.change.is_state);
    assert_int_equal(plan(&w), -1);
    /* Again, and the active one of two is gone. */
    pair_configure(&w.pair, 2, CHECK, FORCE, w.now, &w.change);
    (void)pair_request(&w.pair, 1, w.now, &w.change);
    expect(&w, GROUP_UP, 1);
    w.change = (struct pair_change){0};
    pair_configure(&w.pair, 1, CHECK, FORCE, w.now, &w.change);
    expect(&w, GROUP_UP, 0);
    assert_true(w.change.is_switched);
}

/* --- every course of events of a certain length --- */

enum step {
    ANSWER_0,
    ANSWER_1,
    FAIL_0,
    FAIL_1,
    TROUBLE_0,
    TROUBLE_1,
    REQUEST_0,
    REQUEST_1,
    UNASKED_0,
    WAIT_SHORT,
    WAIT_NEXT,
    STEPS
};

static bool step(struct world *w, enum step what)
{
    struct pair *p = &w->pair;
    struct pair_change *c = &w->change;
    *c = (struct pair_change){0};
    switch (what) {
    case ANSWER_0:
    case ANSWER_1: pair_answered(p, what - ANSWER_0, w->now, c); break;
    case FAIL_0:
    case FAIL_1: pair_failed(p, what - FAIL_0, -ECONNREFUSED, w->now, c); break;
    case TROUBLE_0:
    case TROUBLE_1: (void)pair_trouble(p, what - TROUBLE_0, ERR_CLOSED, w->now, c); break;
    case REQUEST_0:
    case REQUEST_1: (void)pair_request(p, what - REQUEST_0, w->now, c); break;
    case UNASKED_0:
        if (!p->asks[0].is_awaited)
            return false;
        pair_unasked(p, 0, w->now);
        break;
    case WAIT_SHORT: w->now += 100; break;
    case WAIT_NEXT: w->now = w->next; break;
    case STEPS: return false;
    }
    return true;
}

static void check_change(const struct world *w, const struct pair *before)
{
    const struct pair *p = &w->pair;
    const struct pair_change *c = &w->change;
    assert_true(p->active < p->n && p->turn < p->n);
    assert_int_equal(c->is_switched, p->active != before->active);
    assert_int_equal(c->is_state, p->state != before->state);
    assert_int_equal(c->is_down, p->state == GROUP_DOWN && before->state != GROUP_DOWN);
    assert_int_equal(c->is_back, p->state != GROUP_DOWN && before->state == GROUP_DOWN);
    assert_true(before->state != GROUP_DOWN || p->state == GROUP_DOWN || p->state == GROUP_UP);
    assert_true(p->state != GROUP_UNKNOWN || before->state == GROUP_UNKNOWN);
    if (c->is_switched) {
        assert_int_equal(c->from, before->active);
        assert_int_equal(c->to, p->active);
        assert_int_equal(p->state, GROUP_UP);
    }
    if (p->state == GROUP_DOWN)
        assert_int_equal(p->silent, 3);
}

/* Whoever is due is asked: never twice within the shortest interval, and never nobody for longer
 * than the longest one. */
static void check_plan(struct world *w)
{
    for (unsigned n = 0;; n++) {
        struct pair before = w->pair;
        int who = plan(w);
        check_change(w, &before);
        assert_true(n < 4);
        if (who < 0)
            break;
        const struct pair_ask *was = &before.asks[who];
        assert_true(!was->was_asked || w->now >= was->asked + PAIR_AGAIN_MS);
        assert_true(w->pair.state != GROUP_UP || (unsigned)who == w->pair.active);
    }
    assert_true(w->next > w->now && w->next <= w->now + CHECK);
}

static uint64_t explore(const struct world *from, unsigned depth)
{
    uint64_t n = 1;
    for (unsigned s = 0; s < STEPS && depth != 0; s++) {
        struct world w = *from;
        if (!step(&w, (enum step)s))
            continue;
        check_change(&w, &from->pair);
        check_plan(&w);
        n += explore(&w, depth - 1);
    }
    return n;
}

static void test_every_course(void **state)
{
    (void)state;
    struct world w;
    start(&w, 2);
    check_plan(&w);
    assert_true(explore(&w, 6) > 1000000);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_start),
        cmocka_unit_test(test_start_second_answers),
        cmocka_unit_test(test_start_silent),
        cmocka_unit_test(test_silent_active),
        cmocka_unit_test(test_search_finds_the_same),
        cmocka_unit_test(test_late_answer),
        cmocka_unit_test(test_searches_are_apart),
        cmocka_unit_test(test_both_silent_and_back),
        cmocka_unit_test(test_down_the_same_is_back),
        cmocka_unit_test(test_refused),
        cmocka_unit_test(test_both_refused),
        cmocka_unit_test(test_down_no_storm),
        cmocka_unit_test(test_slow_takeover),
        cmocka_unit_test(test_frozen_and_slow),
        cmocka_unit_test(test_bad_status),
        cmocka_unit_test(test_reserve_fails),
        cmocka_unit_test(test_trouble),
        cmocka_unit_test(test_trouble_does_not_put_off),
        cmocka_unit_test(test_request),
        cmocka_unit_test(test_request_under_way),
        cmocka_unit_test(test_request_while_down),
        cmocka_unit_test(test_switch),
        cmocka_unit_test(test_no_checks),
        cmocka_unit_test(test_alone),
        cmocka_unit_test(test_unasked),
        cmocka_unit_test(test_configure),
        cmocka_unit_test(test_every_course),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
