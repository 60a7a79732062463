/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <ctype.h>
#include <string.h>

#include "base/counter.h"

static void test_values(void **state)
{
    static struct counters c;

    (void)state;
    for (int id = 0; id < COUNTER_MAX; id++)
        assert_true(counter_get(&c, id) == 0);
    counter_inc(&c, CTR_MSG_IN);
    counter_add(&c, CTR_MSG_IN, 41);
    counter_inc(&c, CTR_FLOWS);
    counter_inc(&c, CTR_FLOWS);
    counter_dec(&c, CTR_FLOWS);
    assert_true(counter_get(&c, CTR_MSG_IN) == 42);
    assert_true(counter_get(&c, CTR_FLOWS) == 1);
    assert_true(counter_get(&c, CTR_MSG_OUT) == 0);
    /* A gauge may fall on one worker below what rose there; the sum over workers is right. */
    counter_dec(&c, CTR_FLOWS);
    counter_dec(&c, CTR_FLOWS);
    assert_true(counter_get(&c, CTR_FLOWS) == UINT64_MAX);
}

/* Names are fit for the metrics format and differ from each other; every counter has a text. */
static void test_names(void **state)
{
    (void)state;
    assert_string_equal(counter_name(CTR_MSG_IN), "messages_received");
    assert_true(counter_is_gauge(CTR_FLOWS));
    assert_false(counter_is_gauge(CTR_MSG_IN));
    for (int i = 0; i < COUNTER_MAX; i++) {
        const char *name = counter_name(i);
        assert_true(islower((unsigned char)name[0]));
        assert_int_equal(strspn(name, "abcdefghijklmnopqrstuvwxyz0123456789_"), strlen(name));
        assert_true(strlen(counter_help(i)) > 0);
        assert_null(strpbrk(counter_help(i), "\n\\\""));
        for (int j = 0; j < i; j++)
            assert_string_not_equal(name, counter_name(j));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_values),
        cmocka_unit_test(test_names),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
