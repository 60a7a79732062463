/* SPDX-License-Identifier: Apache-2.0 */
/* RFC 7339: what neighbours ask of us, and we of them. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <string.h>

#include "load/load_int.h"

static const struct hash_key key = {5, 6};
static struct load_conf conf;
static struct load_shared *shared;
static struct load *load;
static struct counters counters;
static struct addr next, other;
static uint64_t now;

static int make(void **state)
{
    (void)state;
    memset(&counters, 0, sizeof(counters));
    conf = (struct load_conf){.lag_ms = 100, .is_control = true};
    now = 100000;
    assert_int_equal(addr_parse(SLICE("192.0.2.1:5060"), 5060, &next), 0);
    assert_int_equal(addr_parse(SLICE("192.0.2.2:5060"), 5060, &other), 0);
    assert_int_equal(load_shared_new(&key, &shared), 0);
    return load_new(&conf, shared, 0, &counters, &load);
}

static int drop(void **state)
{
    (void)state;
    load_free(&load);
    load_shared_free(&shared);
    return 0;
}

static void note(unsigned loss, uint32_t validity_ms, uint64_t seq)
{
    load_note_oc(load, &next, &(struct load_oc){loss, validity_ms, seq}, now);
}

static unsigned sent(enum load_kind kind, unsigned n)
{
    unsigned out = 0;
    for (unsigned i = 0; i < n; i++)
        out += load_may_send(load, &next, kind, now);
    return out;
}

static void test_share(void **state)
{
    (void)state;
    assert_false(load_is_asked(load, now));
    assert_int_equal(sent(LOAD_INVITE, 100), 100);
    note(30, 500, 10);
    assert_true(load_is_asked(load, now));
    assert_int_equal(sent(LOAD_INVITE, 1000), 700);
    assert_int_equal(counter_get(&counters, CTR_SHED_NEIGHBOUR), 300);
    assert_true(load_may_send(load, &other, LOAD_INVITE, now));
}

static void test_nothing_and_all(void **state)
{
    (void)state;
    note(100, 500, 10);
    assert_int_equal(sent(LOAD_INVITE, 50), 0);
    assert_int_equal(sent(LOAD_PASS, 50), 50);
    note(0, 500, 11);
    assert_int_equal(sent(LOAD_INVITE, 50), 50);
}

/* RFC 7339 7.2: of all requests so many less; those that pass are made good for by the others. */
static void test_what_passes_is_made_good_for(void **state)
{
    unsigned out = 0;
    (void)state;
    note(25, 60000, 10);
    for (unsigned i = 0; i < 3000; i++) {
        assert_true(load_may_send(load, &next, LOAD_PASS, now));
        out += load_may_send(load, &next, LOAD_INVITE, now);
    }
    assert_in_range(out, 1450, 1550); /* a half, for a quarter of both */
    note(80, 60000, 11);
    out = 0;
    for (unsigned i = 0; i < 3000; i++) {
        assert_true(load_may_send(load, &next, LOAD_PASS, now));
        out += load_may_send(load, &next, LOAD_OTHER, now);
    }
    assert_in_range(out, 0, 10);
}

static void test_validity(void **state)
{
    (void)state;
    note(100, 500, 10);
    now += 499;
    assert_int_equal(sent(LOAD_INVITE, 1), 0);
    now += 1;
    assert_int_equal(sent(LOAD_INVITE, 10), 10);
    assert_false(load_is_asked(load, now));
    /* Never for longer than a minute, whatever it says. */
    note(100, UINT32_MAX, 11);
    now += 60000;
    assert_int_equal(sent(LOAD_INVITE, 10), 10);
}

/* RFC 7339 4.3, 5.7: oc-validity=0 ends it. */
static void test_end(void **state)
{
    (void)state;
    note(100, 5000, 10);
    assert_int_equal(sent(LOAD_INVITE, 1), 0);
    note(100, 0, 11);
    assert_int_equal(sent(LOAD_INVITE, 10), 10);
}

/* RFC 7339 4.4: what is not newer than what we have says nothing. */
static void test_order(void **state)
{
    (void)state;
    note(100, 5000, 10);
    note(0, 5000, 9);
    note(0, 5000, 10);
    assert_int_equal(sent(LOAD_INVITE, 10), 0);
    note(0, 5000, 11);
    assert_int_equal(sent(LOAD_INVITE, 10), 10);
    /* One that was restarted with a clock of its own is believed after some time. */
    note(100, 500, 100);
    now += 10000;
    note(100, 500, 3);
    assert_int_equal(sent(LOAD_INVITE, 10), 0);
}

static void test_nonsense(void **state)
{
    (void)state;
    note(101, 5000, 10);
    assert_int_equal(sent(LOAD_INVITE, 10), 10);
    conf.is_control = false;
    note(100, 5000, 11);
    assert_int_equal(sent(LOAD_INVITE, 10), 10);
}

/* As many as one likes: memory stays, the latest are known. */
static void test_many_neighbours(void **state)
{
    struct addr a = next;
    (void)state;
    for (unsigned i = 0; i < 100000; i++) {
        now++;
        a.ip[1] = (uint8_t)(i >> 16);
        a.ip[2] = (uint8_t)(i >> 8);
        a.ip[3] = (uint8_t)i;
        load_note_oc(load, &a, &(struct load_oc){100, 5000, 1}, now);
        assert_false(load_may_send(load, &a, LOAD_INVITE, now));
    }
}

static void lag(uint32_t late_ms, unsigned for_ms)
{
    for (uint64_t until = now + for_ms; now < until; now += 10)
        load_on_turn(load, late_ms, 0, now);
}

static void test_what_we_ask(void **state)
{
    struct load_oc ask, again;
    (void)state;
    assert_false(load_ask(load, now, &ask));
    lag(200, 1000);
    assert_true(load_ask(load, now, &ask));
    assert_int_equal(ask.loss, load_loss(load));
    assert_int_equal(ask.validity_ms, 500);
    assert_true(ask.seq != 0);
    lag(0, 3000);
    assert_int_equal(load_loss(load), 0);
    assert_true(load_ask(load, now, &again)); /* told that it is over, for a while */
    assert_int_equal(again.loss, 0);
    assert_int_equal(again.validity_ms, 0);
    assert_true(again.seq >= ask.seq);
    now += 10000;
    assert_false(load_ask(load, now, &again));
    lag(200, 1000);
    conf.is_control = false;
    assert_false(load_ask(load, now, &ask));
}

/* Workers ask for what they want on average: the neighbour's requests are spread over them. */
static void test_two_workers(void **state)
{
    struct counters more = {0};
    struct load *idle;
    struct load_oc ask;
    (void)state;
    assert_int_equal(load_new(&conf, shared, 1, &more, &idle), 0);
    lag(300, 4000);
    unsigned loss = load_loss(load);
    assert_true(loss > 40);
    assert_true(load_ask(idle, now, &ask));
    assert_in_range(ask.loss, loss / 2, loss / 2 + 1);
    load_free(&idle);
    assert_true(load_ask(load, now, &ask));
    assert_int_equal(ask.loss, loss);
}

static unsigned let_in(unsigned n)
{
    unsigned in = 0;
    for (unsigned i = 0; i < n; i++) {
        in += load_admit(load, LOAD_INVITE, &next, LOAD_AT_ONCE, now) == LOAD_ADMITTED;
    }
    return in;
}

/* Who speaks it has held back already; unless the lag shows that somebody has not. */
static void test_who_speaks_it_is_not_refused_twice(void **state)
{
    struct load_oc ask;
    (void)state;
    lag(200, 1000);
    lag(15, 100); /* worked off, and still shedding */
    assert_true(load_loss(load) > 10);
    assert_true(load_ask(load, now, &ask));
    assert_true(let_in(100) < 95);
    load_note_speaks(load, &next, now);
    assert_int_equal(let_in(100), 100);
    now += 3000; /* it has said nothing for a while */
    assert_true(let_in(100) < 95);
    load_note_speaks(load, &next, now);
    lag(200, 500);
    load_note_speaks(load, &next, now);
    assert_true(let_in(100) < 95);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, make, drop)

/* Hardly anything may be held back: also when the counts have just been halved there is the one
 * that is asked about. */
static void test_nearly_all_must_pass(void **state)
{
    (void)state;
    note(50, 60000, 10);
    for (unsigned round = 0; round < 3; round++) {
        assert_int_equal(sent(LOAD_PASS, 1023 - 512 * (round != 0)), 1023 - 512 * (round != 0));
        assert_int_equal(sent(LOAD_INVITE, 1), 0);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_share),
        TEST(test_nothing_and_all),
        TEST(test_what_passes_is_made_good_for),
        TEST(test_nearly_all_must_pass),
        TEST(test_validity),
        TEST(test_end),
        TEST(test_order),
        TEST(test_nonsense),
        TEST(test_many_neighbours),
        TEST(test_what_we_ask),
        TEST(test_two_workers),
        TEST(test_who_speaks_it_is_not_refused_twice),
    };
    log_setup(LOG_ERROR, LOG_TEXT);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
