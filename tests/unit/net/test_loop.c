/* SPDX-License-Identifier: Apache-2.0 */
#include <pthread.h>

#include "turn.h"

static struct turn t;

static bool woken(void)
{
    return t.wakes != 0;
}

static void *wake_thread(void *arg)
{
    net_wake(arg);
    return NULL;
}

static void test_wake_from_another_thread(void **state)
{
    pthread_t thread;
    (void)state;
    turn_start(&t);
    assert_int_equal(pthread_create(&thread, NULL, wake_thread, t.loop), 0);
    turn_until(&t, woken);
    assert_int_equal(pthread_join(thread, NULL), 0);
    turn_stop(&t);
}

static bool alarmed(void)
{
    return t.alarms >= 3;
}

static void test_alarm(void **state)
{
    (void)state;
    turn_start(&t);
    uint64_t before = net_now(t.loop);
    turn_until(&t, alarmed);
    assert_true(net_now(t.loop) >= before);
    net_alarm(t.loop, UINT64_MAX);
    turn_stop(&t);
}

static void test_stop_before_run(void **state)
{
    (void)state;
    turn_start(&t);
    net_stop(t.loop);
    net_loop_run(t.loop); /* returns */
    turn_stop(&t);
}

static void test_keepalive_timing(void **state)
{
    struct net_keepalive ka;
    struct net_sockopt opt = {.keep_alive = true, .keep_idle = 7, .keep_interval = 3, .tos = 256};
    (void)state;
    assert_int_equal(net_keepalive_read(&plain_opt, &ka), 0);
    assert_true(ka.idle != 0 && ka.interval != 0 && ka.probes != 0);
    uint32_t probes = ka.probes;
    assert_int_equal(net_keepalive_read(&opt, &ka), 0);
    assert_int_equal(ka.idle, 7);
    assert_int_equal(ka.interval, 3);
    assert_int_equal(ka.probes, probes);
    assert_int_equal(ka.detect_ms, 1000 * (7 + 3 * probes));
}

static void test_own_addresses(void **state)
{
    struct addr a = loopback("127.0.0.1"), b = loopback("127.9.8.7"), c = loopback("192.0.2.1"),
                src;
    (void)state;
    turn_start(&t);
    assert_true(net_is_local_ip(t.loop, &a));
    assert_true(net_is_local_ip(t.loop, &b));
    assert_false(net_is_local_ip(t.loop, &c));
    assert_int_equal(net_source_for(t.loop, &a, &src), 0);
    assert_true(addr_eq_ip(&src, &a));
    assert_int_equal(src.port, 0);
    assert_int_equal(net_source_for(t.loop, &a, &src), 0); /* remembered */
    assert_true(addr_eq_ip(&src, &a));
    turn_stop(&t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_wake_from_another_thread),
        cmocka_unit_test(test_alarm),
        cmocka_unit_test(test_stop_before_run),
        cmocka_unit_test(test_keepalive_timing),
        cmocka_unit_test(test_own_addresses),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
