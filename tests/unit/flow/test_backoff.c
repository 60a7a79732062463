/* SPDX-License-Identifier: Apache-2.0 */
/* Who refused is left in peace, by all workers. */
#include "flow/backoff.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>

#include <cmocka.h>

static struct addr at(unsigned host, uint16_t port)
{
    struct addr a = {.family = ADDR_IP4, .port = port};
    a.ip[0] = 10;
    a.ip[1] = (uint8_t)(host >> 16);
    a.ip[2] = (uint8_t)(host >> 8);
    a.ip[3] = (uint8_t)host;
    return a;
}

static void each_failure_doubles_it(void **state)
{
    struct flow_backoff *b;
    struct addr a = at(1, 5060);
    uint64_t now = 1000, longest = 0;
    (void)state;
    assert_int_equal(flow_backoff_new(&b), 0);
    assert_false(flow_backoff_is_on(b, &a, 0, 0, now));
    for (uint64_t delay = FLOW_BACKOFF_MIN_MS; delay <= 4 * FLOW_BACKOFF_MAX_MS; delay *= 2) {
        uint64_t most = delay < FLOW_BACKOFF_MAX_MS ? delay : FLOW_BACKOFF_MAX_MS;
        flow_backoff_failed(b, &a, 0, 0, now, delay * 7919);
        assert_true(flow_backoff_is_on(b, &a, 0, 0, now + most * 3 / 4 - 1));
        assert_false(flow_backoff_is_on(b, &a, 0, 0, now + most));
        now += most;
        longest = most;
    }
    assert_int_equal(longest, FLOW_BACKOFF_MAX_MS);
    /* Others are not meant: another port, another name to prove. */
    struct addr other = at(1, 5061);
    flow_backoff_failed(b, &a, 0, 0, now, 0);
    assert_true(flow_backoff_is_on(b, &a, 0, 0, now));
    assert_false(flow_backoff_is_on(b, &other, 0, 0, now));
    assert_false(flow_backoff_is_on(b, &a, 7, 0, now));
    /* Long after, it begins anew. */
    now += 2 * FLOW_BACKOFF_MAX_MS;
    flow_backoff_failed(b, &a, 0, 0, now, 0);
    assert_false(flow_backoff_is_on(b, &a, 0, 0, now + FLOW_BACKOFF_MIN_MS));
    flow_backoff_free(&b);
}

static void it_ends_by_an_answer_a_connection_or_a_reload(void **state)
{
    struct flow_backoff *b;
    struct addr a = at(1, 5060), c = at(2, 5060);
    (void)state;
    assert_int_equal(flow_backoff_new(&b), 0);
    flow_backoff_failed(b, &a, 0, 0, 1000, 0);
    flow_backoff_failed(b, &c, 0, 0, 1000, 0);
    /* A second failure in that time changes nothing. */
    flow_backoff_failed(b, &a, 0, 0, 1700, 0);
    assert_false(flow_backoff_is_on(b, &a, 0, 0, 1750));
    assert_true(flow_backoff_is_on(b, &a, 0, 1000, 1100));
    assert_false(flow_backoff_is_on(b, &a, 0, 1001, 1100));
    flow_backoff_ok(b, &a, 0);
    assert_false(flow_backoff_is_on(b, &a, 0, 0, 1100));
    assert_int_equal(flow_backoff_count(b), 1);
    flow_backoff_forgive(b);
    assert_false(flow_backoff_is_on(b, &c, 0, 0, 1100));
    assert_int_equal(flow_backoff_count(b), 0);
    flow_backoff_free(&b);
}

static void there_is_a_maximum_and_old_ones_go(void **state)
{
    struct flow_backoff *b;
    (void)state;
    assert_int_equal(flow_backoff_new(&b), 0);
    for (unsigned i = 0; i < FLOW_BACKOFF_MAX + 1000; i++) {
        struct addr a = at(i, 5060);
        flow_backoff_failed(b, &a, 0, 0, 1000, 0);
    }
    assert_in_range(flow_backoff_count(b), FLOW_BACKOFF_MAX - 2, FLOW_BACKOFF_MAX);
    struct addr first = at(0, 5060), last = at(FLOW_BACKOFF_MAX + 999, 5060);
    assert_false(flow_backoff_is_on(b, &first, 0, 0, 1001));
    assert_true(flow_backoff_is_on(b, &last, 0, 0, 1001));
    for (unsigned i = 0; i < FLOW_BACKOFF_MAX + 1000; i++) {
        struct addr a = at(i, 5070);
        flow_backoff_failed(b, &a, 0, 0, 100000 + i * 1000, 0);
    }
    assert_in_range(flow_backoff_count(b), 1, 64);
    flow_backoff_free(&b);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_failure_doubles_it),
        cmocka_unit_test(it_ends_by_an_answer_a_connection_or_a_reload),
        cmocka_unit_test(there_is_a_maximum_and_old_ones_go),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
