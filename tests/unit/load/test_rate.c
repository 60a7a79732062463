/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <pthread.h>

#include "load/load_int.h"

static const struct hash_key key = {1, 2};

static unsigned take(struct load_bucket *b, uint32_t rate, uint64_t now, unsigned n)
{
    unsigned taken = 0;
    for (unsigned i = 0; i < n; i++)
        taken += load_bucket_take(b, rate, now);
    return taken;
}

static void test_one_second_at_once_then_evenly(void **state)
{
    struct load_bucket b = {0};
    (void)state;
    assert_int_equal(take(&b, 100, 5000, 300), 100);
    assert_int_equal(take(&b, 100, 5009, 10), 0);
    assert_int_equal(take(&b, 100, 5010, 10), 1);
    assert_int_equal(take(&b, 100, 5100, 300), 9);
    assert_int_equal(take(&b, 100, 60000, 300), 100); /* not more after a long silence */
}

static void test_one_a_second(void **state)
{
    struct load_bucket b = {0};
    (void)state;
    assert_int_equal(take(&b, 1, 1, 5), 1); /* the first is let in, whatever the rate */
    assert_int_equal(take(&b, 1, 1000, 5), 0);
    assert_int_equal(take(&b, 1, 1001, 5), 1);
}

static void test_a_million_a_second(void **state)
{
    struct load_bucket b = {0};
    (void)state;
    assert_int_equal(take(&b, 1000000, 1000, 1000001), 1000000);
    assert_int_equal(take(&b, 1000000, 1001, 2000), 1000);
}

static void test_rate_holds_over_time(void **state)
{
    struct load_bucket b = {0};
    unsigned n = 0;
    (void)state;
    for (uint64_t now = 0; now < 100000; now++)
        n += take(&b, 30, now, 3);
    assert_in_range(n, 30 * 100, 30 * 101);
}

static struct load_bucket shared;

static void *take_many(void *arg)
{
    unsigned *n = arg;
    *n = take(&shared, 1000, 77, 5000);
    return NULL;
}

/* Workers take from one bucket: together not one more. */
static void test_many_threads(void **state)
{
    pthread_t threads[4];
    unsigned n[4], sum = 0;
    (void)state;
    shared = (struct load_bucket){0};
    for (unsigned i = 0; i < 4; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, take_many, &n[i]), 0);
    for (unsigned i = 0; i < 4; i++) {
        assert_int_equal(pthread_join(threads[i], NULL), 0);
        sum += n[i];
    }
    assert_int_equal(sum, 1000);
}

/* --- by source --- */

static struct load_shared *s;

static int make(void **state)
{
    (void)state;
    return load_shared_new(&key, &s);
}

static int drop(void **state)
{
    (void)state;
    load_shared_free(&s);
    return s == NULL ? 0 : -1;
}

static struct addr at(const char *text)
{
    struct addr a;
    assert_int_equal(addr_parse(slice_str(text), 5060, &a), 0);
    return a;
}

static unsigned source(const char *from, uint32_t rate, uint64_t now, unsigned n)
{
    struct addr a = at(from);
    unsigned taken = 0;
    for (unsigned i = 0; i < n; i++)
        taken += load_source_take(s, &a, rate, now);
    return taken;
}

static void test_each_source_has_its_own(void **state)
{
    (void)state;
    assert_int_equal(source("192.0.2.1:5060", 10, 1000, 50), 10);
    assert_int_equal(source("192.0.2.1:5061", 10, 1000, 50), 0); /* whatever the port */
    assert_int_equal(source("192.0.2.2:5060", 10, 1000, 50), 10);
    assert_int_equal(source("192.0.2.1:5060", 10, 1100, 50), 1);
}

/* A subscriber has a /64 to choose addresses from. */
static void test_ip6_by_network(void **state)
{
    (void)state;
    assert_int_equal(source("[2001:db8:1:2::1]:5060", 10, 1000, 50), 10);
    assert_int_equal(source("[2001:db8:1:2:3:4:5:6]:5060", 10, 1000, 50), 0);
    assert_int_equal(source("[2001:db8:1:3::1]:5060", 10, 1000, 50), 10);
}

/* More addresses than there are places: memory stays what it is, and whoever sends without pause
 * keeps being limited while others come and go. */
static void test_many_sources(void **state)
{
    struct addr other = at("10.0.0.0:5060"), busy = at("192.0.2.1:5060");
    unsigned taken = 0;
    (void)state;
    for (uint32_t i = 0; i < 200000; i++) {
        uint64_t now = 1000 + i / 100;
        other.ip[1] = (uint8_t)(i >> 16);
        other.ip[2] = (uint8_t)(i >> 8);
        other.ip[3] = (uint8_t)i;
        assert_true(load_source_take(s, &other, 100, now));
        taken += load_source_take(s, &busy, 100, now);
    }
    /* 2 s: the burst of 100, and 100 a second. */
    assert_in_range(taken, 295, 305);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_one_second_at_once_then_evenly),
        cmocka_unit_test(test_one_a_second),
        cmocka_unit_test(test_a_million_a_second),
        cmocka_unit_test(test_rate_holds_over_time),
        cmocka_unit_test(test_many_threads),
        cmocka_unit_test_setup_teardown(test_each_source_has_its_own, make, drop),
        cmocka_unit_test_setup_teardown(test_ip6_by_network, make, drop),
        cmocka_unit_test_setup_teardown(test_many_sources, make, drop),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
