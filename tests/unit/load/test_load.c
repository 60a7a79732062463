/* SPDX-License-Identifier: Apache-2.0 */
#include "heard.h"
#include "load/load.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <string.h>

#include "base/alloc.h"
#include "base/log.h"
#include "rows.h"

static const struct hash_key key = {3, 4};
static struct load_conf conf;
static struct load_shared *shared;
static struct load *load;
static struct counters counters;
static struct addr peer;
static uint64_t now;

static int make(void **state)
{
    (void)state;
    memset(&counters, 0, sizeof(counters));
    conf = (struct load_conf){.retry_min_s = 2, .retry_max_s = 10, .lag_ms = 100};
    conf.is_control = true;
    now = 100000;
    assert_int_equal(addr_parse(SLICE("192.0.2.1:5060"), 5060, &peer), 0);
    assert_int_equal(load_shared_new(&key, &shared), 0);
    return load_new(&conf, shared, 0, &counters, &load);
}

static int drop(void **state)
{
    (void)state;
    load_free(&load);
    load_shared_free(&shared);
    return load == NULL && shared == NULL ? 0 : -1;
}

static enum load_cause admit(enum load_kind kind)
{
    return load_admit(load, kind, &peer, LOAD_AT_ONCE, now);
}

static unsigned admitted(enum load_kind kind, unsigned n)
{
    unsigned in = 0;
    for (unsigned i = 0; i < n; i++)
        in += admit(kind) == LOAD_ADMITTED;
    return in;
}

/* The worker is so late for so long. */
static void lag(uint32_t late_ms, unsigned for_ms)
{
    for (uint64_t until = now + for_ms; now < until; now += 10)
        load_on_turn(load, late_ms, 0, now);
}

static void test_without_limits(void **state)
{
    (void)state;
    assert_false(load_is_limiting(load));
    assert_int_equal(admitted(LOAD_INVITE, 10000), 10000);
    assert_int_equal(load_loss(load), 0);
}

/* overload-ctrl-dialog-rate is for initial INVITEs alone. */
static void test_dialog_rate(void **state)
{
    (void)state;
    heard_begin();
    conf.dialog_rate = 50;
    assert_true(load_is_limiting(load));
    assert_int_equal(admitted(LOAD_INVITE, 200), 50);
    assert_int_equal(admit(LOAD_INVITE), LOAD_RATE);
    assert_int_equal(admitted(LOAD_OTHER, 200), 200);
    assert_int_equal(admitted(LOAD_PASS, 200), 200);
    assert_int_equal(counter_get(&counters, CTR_SHED_RATE), 151);
    assert_int_equal(heard(EV_RATE), 1);
    now += 1000;
    assert_int_equal(admitted(LOAD_INVITE, 200), 50);
    /* It ends when none has been refused for some seconds, and begins anew. */
    now += 2999;
    load_on_turn(load, 0, 0, now);
    assert_int_equal(heard(EV_RATE_ENDS), 0);
    load_on_turn(load, 0, 0, ++now);
    load_on_turn(load, 0, 0, ++now);
    assert_int_equal(heard(EV_RATE_ENDS), 1);
    assert_int_equal(heard(EV_RATE), 1);
    assert_int_equal(admitted(LOAD_INVITE, 51), 50);
    assert_int_equal(heard(EV_RATE), 2);
}

/* Of all workers together. */
static void test_dialog_rate_is_shared(void **state)
{
    struct counters others = {0};
    struct load *other;
    (void)state;
    conf.dialog_rate = 50;
    assert_int_equal(load_new(&conf, shared, 1, &others, &other), 0);
    assert_int_equal(admitted(LOAD_INVITE, 200), 50);
    assert_int_equal(load_admit(other, LOAD_INVITE, &peer, LOAD_AT_ONCE, now), LOAD_RATE);
    load_free(&other);
}

static void test_source_rate(void **state)
{
    (void)state;
    heard_begin();
    conf.source_rate = 10;
    assert_int_equal(admitted(LOAD_OTHER, 50), 10);
    assert_int_equal(admit(LOAD_INVITE), LOAD_SOURCE);
    assert_int_equal(admitted(LOAD_PASS, 50), 50);
    peer.ip[3]++;
    assert_int_equal(admit(LOAD_INVITE), LOAD_ADMITTED);
    assert_int_equal(counter_get(&counters, CTR_SHED_SOURCE), 41);
    assert_int_equal(heard(EV_SOURCE_RATE), 41);
}

/* What one source sends in vain does not use up the rate of all. */
static void test_a_flood_from_one_source(void **state)
{
    (void)state;
    conf.dialog_rate = 100;
    conf.source_rate = 10;
    assert_int_equal(admitted(LOAD_INVITE, 1000), 10);
    for (unsigned i = 0; i < 9; i++) {
        peer.ip[3]++;
        assert_int_equal(admitted(LOAD_INVITE, 10), 10);
    }
    peer.ip[3]++;
    assert_int_equal(admit(LOAD_INVITE), LOAD_RATE);
}

static void test_retry_after_is_spread(void **state)
{
    unsigned seen[64] = {0};
    (void)state;
    for (unsigned i = 0; i < 900; i++) {
        uint32_t early = load_retry_after(load, i % 3), late = load_retry_after(load, 30);
        assert_in_range(early, 2, 10);
        assert_in_range(late, 30, 38);
        seen[early]++;
        seen[late]++;
    }
    for (unsigned s = 0; s <= 8; s++) {
        assert_in_range(seen[2 + s], 50, 150); /* 100 each */
        assert_in_range(seen[30 + s], 50, 150);
    }
    conf.retry_min_s = conf.retry_max_s = 7;
    assert_int_equal(load_retry_after(load, 0), 7);
    assert_int_equal(load_retry_after(load, 9), 9);
}

static void test_lag(void **state)
{
    (void)state;
    lag(90, 2000);
    assert_int_equal(admitted(LOAD_INVITE, 100), 100);
    lag(200, 2000);
    assert_true(load_is_limiting(load));
    assert_true(load_loss(load) > 30);
    assert_int_equal(counter_get(&counters, CTR_LAG_MS), 200);
    assert_int_equal(counter_get(&counters, CTR_LOSS), load_loss(load));
    /* None before what waits has been worked off, then by the share. */
    assert_int_equal(admitted(LOAD_INVITE, 100), 0);
    assert_int_equal(counter_get(&counters, CTR_SHED_LAG), 100);
    lag(15, 50);
    assert_true(load_loss(load) > 30);
    unsigned n = admitted(LOAD_INVITE, 1000);
    assert_in_range(n, 990 - load_loss(load) * 10, 1020 - load_loss(load) * 10);
    assert_int_equal(counter_get(&counters, CTR_SHED_LAG), 1100 - n);
    assert_int_equal(admitted(LOAD_PASS, 1000), 1000);
    lag(0, 10000);
    assert_int_equal(load_loss(load), 0);
    assert_int_equal(admitted(LOAD_INVITE, 1000), 1000);
    assert_int_equal(counter_get(&counters, CTR_LOSS), 0);
}

static void test_lag_turned_off(void **state)
{
    (void)state;
    lag(500, 2000);
    assert_true(load_loss(load) != 0);
    conf.lag_ms = 0;
    lag(500, 1000);
    assert_int_equal(load_loss(load), 0);
    assert_false(load_is_limiting(load));
}

/* A receive buffer that fills is as bad, however short the wait. */
static void test_full_buffer(void **state)
{
    (void)state;
    for (uint64_t until = now + 2000; now < until; now += 10) {
        load_on_buffer(load, 20, 0);
        load_on_turn(load, 5, 0, now);
    }
    assert_int_equal(load_loss(load), 0);
    for (uint64_t until = now + 2000; now < until; now += 10) {
        load_on_buffer(load, 80, 3);
        load_on_turn(load, 5, 0, now);
    }
    assert_true(load_loss(load) > 30);
    lag(1, 10000);
    assert_int_equal(load_loss(load), 0);
}

/* What is left in the mailbox waits for another turn. */
static void test_mails(void **state)
{
    (void)state;
    for (uint64_t until = now + 2000; now < until; now += 60)
        load_on_turn(load, 60, 4096, now);
    assert_true(load_loss(load) != 0);
}

static struct rows rows;

static void list(void)
{
    const struct row_sink sink = rows_begin(&rows);
    load_rows(load, now, &sink);
}

static void test_rows(void **state)
{
    (void)state;
    list();
    assert_string_equal(rows.text,
                        "overload refusing=false lag_ms=0 worst_ms=0 limit_ms=100 loss_percent=0 "
                        "loss_other_percent=0 refused_rate=0 refused_source=0 refused_lag=0 "
                        "refused_neighbour=0\n");
    conf.source_rate = 1;
    (void)admitted(LOAD_INVITE, 5);
    lag(200, 2000);
    load_note_oc(load, &peer, &(struct load_oc){20, 500, 1}, now);
    list();
    assert_int_equal(rows.n, 2);
    assert_true(rows_have(&rows, "overload refusing=true lag_ms=200 worst_ms="));
    assert_true(rows_have(&rows, " limit_ms=100 "));
    assert_false(rows_have(&rows, " loss_percent=0 "));
    assert_true(rows_have(&rows, " refused_source=4 "));
    assert_true(rows_have(&rows, "\nneighbour address=192.0.2.1:5060 loss_percent=20 "
                                 "until_ms=500 follows=false\n"));
    load_note_speaks(load, &peer, now);
    now += 501;
    list();
    assert_true(rows_have(&rows, "\nneighbour address=192.0.2.1:5060 loss_percent=0 until_ms=0 "
                                 "follows=true\n"));
}

static void test_no_memory(void **state)
{
    struct load *more = NULL;
    struct load_shared *less = NULL;
    (void)state;
    mem_fail_at(1);
    int err = load_new(&conf, shared, 1, &counters, &more);
    bool failed = mem_failed();
    mem_fail_at(0);
    assert_int_equal(err, failed ? ERR_NOMEM : 0);
    load_free(&more);
    mem_fail_at(1);
    err = load_shared_new(&key, &less);
    failed = mem_failed();
    mem_fail_at(0);
    assert_int_equal(err, failed ? ERR_NOMEM : 0);
    load_shared_free(&less);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, make, drop)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_without_limits),
        TEST(test_dialog_rate),
        TEST(test_dialog_rate_is_shared),
        TEST(test_source_rate),
        TEST(test_a_flood_from_one_source),
        TEST(test_retry_after_is_spread),
        TEST(test_lag),
        TEST(test_lag_turned_off),
        TEST(test_full_buffer),
        TEST(test_mails),
        TEST(test_rows),
        TEST(test_no_memory),
    };
    log_setup(LOG_ERROR, LOG_TEXT);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
