/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/period.h"

static void test_right(void **state)
{
    static const struct {
        const char *text;
        uint64_t ms;
    } right[] = {
        {"0", 0},          {"90", 90000},
        {"90s", 90000},    {"500ms", 500},
        {"2m", 120000},    {"2min", 120000},
        {"1h", 3600000},   {"1 H", 3600000},
        {"007Ms ", 7},     {"1000000000h", 3600000000000000},
        {"2 MIN", 120000},
    };
    (void)state;
    for (size_t i = 0; i < sizeof(right) / sizeof(right[0]); i++) {
        uint64_t ms = 1;
        assert_int_equal(period_parse(slice_str(right[i].text), &ms), 0);
        assert_true(ms == right[i].ms);
    }
}

static void test_wrong(void **state)
{
    static const char *const wrong[] = {"",      "h",     "-1",   "+1", "1.5",     "1d",  "1hh",
                                        "1h30m", "1 h 1", "0x10", " 1", "forever", "1m\v"};
    uint64_t ms = 7;
    (void)state;
    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++)
        assert_int_equal(period_parse(slice_str(wrong[i]), &ms), ERR_PARSE);
    assert_int_equal(period_parse(SLICE("1\0h"), &ms), ERR_PARSE);
    assert_int_equal(period_parse(SLICE("1000000001"), &ms), ERR_RANGE);
    assert_int_equal(period_parse(SLICE("99999999999999999999h"), &ms), ERR_RANGE);
    assert_int_equal(period_parse(SLICE_NONE, &ms), ERR_PARSE);
    assert_int_equal(ms, 7);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_right),
        cmocka_unit_test(test_wrong),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
