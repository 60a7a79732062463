/* SPDX-License-Identifier: Apache-2.0 */
/* Whether a member of a balanced group is up. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

#include "group/pair_int.h"

#define CHECK 5000
#define FORCE 2000
#define T0    1000000

static uint64_t pulse_next_ask(struct pulse *p, uint64_t now)
{
    uint64_t next = now;
    for (unsigned n = 0; n < 10; n++, now = next) {
        if (pulse_plan(p, now, &next))
            return now;
        assert_true(next > now);
    }
    fail_msg("never asked");
    return 0;
}

static void test_pulse(void **state)
{
    (void)state;
    struct pulse p;
    uint64_t now = T0, next;
    pulse_init(&p, 0x40000000, CHECK, FORCE, now);
    assert_int_equal(p.state, GROUP_UNKNOWN);
    assert_true(pulse_is_up(&p));
    assert_true(pulse_next_ask(&p, now) == now);
    pulse_answered(&p, now + 1);
    assert_int_equal(p.state, GROUP_UP);
    /* At its place, each interval. */
    for (unsigned i = 0; i < 4; i++) {
        now = pulse_next_ask(&p, now + 1);
        assert_int_equal(now % CHECK, CHECK / 4);
        pulse_answered(&p, now);
    }
    /* Silent: down after the first one, then asked each oos-force. */
    now = pulse_next_ask(&p, now + 1);
    assert_false(pulse_plan(&p, now + CHECK - 1, &next));
    assert_int_equal(p.state, GROUP_UP);
    assert_true(next == now + CHECK);
    now += CHECK;
    assert_true(pulse_plan(&p, now, &next));
    assert_int_equal(p.state, GROUP_DOWN);
    assert_false(pulse_is_up(&p));
    for (unsigned i = 0; i < 4; i++) {
        uint64_t at = pulse_next_ask(&p, now + 1);
        assert_int_equal(at - now, FORCE);
        now = at;
    }
    pulse_answered(&p, now);
    assert_int_equal(p.state, GROUP_UP);
}

static void test_pulse_failures(void **state)
{
    (void)state;
    struct pulse p;
    uint64_t now = T0;
    pulse_init(&p, 0, CHECK, FORCE, now);
    now = pulse_next_ask(&p, now);
    pulse_answered(&p, now);
    now = pulse_next_ask(&p, now + 1);
    pulse_failed(&p, now);
    assert_int_equal(p.state, GROUP_DOWN);
    assert_false(pulse_trouble(&p, now));
    assert_true(pulse_next_ask(&p, now) == now + FORCE);
    pulse_answered(&p, now += FORCE);
    assert_int_equal(p.state, GROUP_UP);
    /* Trouble makes the check due, but not at any rate. */
    assert_true(pulse_trouble(&p, now + 10));
    assert_true(pulse_next_ask(&p, now + 10) == now + PAIR_AGAIN_MS);
    pulse_unasked(&p, now + PAIR_AGAIN_MS);
    assert_int_equal(p.state, GROUP_UP);
    assert_true(pulse_next_ask(&p, now + PAIR_AGAIN_MS) == now + 2 * PAIR_AGAIN_MS);
    /* No checks: up, whatever happens. */
    pulse_configure(&p, 0, FORCE, now);
    assert_int_equal(p.state, GROUP_UP);
    pulse_failed(&p, now);
    pulse_unasked(&p, now);
    pulse_answered(&p, now);
    assert_false(pulse_trouble(&p, now));
    uint64_t next;
    assert_false(pulse_plan(&p, now, &next));
    assert_true(next == UINT64_MAX);
    assert_int_equal(p.state, GROUP_UP);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_pulse),
        cmocka_unit_test(test_pulse_failures),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
