/* SPDX-License-Identifier: Apache-2.0 */
/* Which rows are those that are looked for. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "admin/admin_int.h"

static bool is_row(const struct field *fields, const char *want)
{
    return admin_row_is(5, fields, slice_str(want));
}

static void test_filter(void **state)
{
    struct addr remote, other;
    const struct field fields[] = {LF_STR("id", "00ab"), LF_ADDR("remote", &remote),
                                   LF_ADDR("reopen", &other), LF_STR("dn", "1001"),
                                   LF_INT("worker", 7)};
    (void)state;
    assert_int_equal(addr_parse(SLICE("10.77.1.2:40000"), 0, &remote), 0);
    assert_int_equal(addr_parse(SLICE("[fd77::1:2]:5060"), 0, &other), 0);
    static const char *const found[] = {"10.77.1.2", "10.77.1.2:40000", "1001", "fd77::1:2",
                                        "00ab"};
    for (unsigned i = 0; i < 5; i++)
        assert_true(is_row(fields, found[i]));
    /* No part of a value, and no number. */
    static const char *const not_found[] = {"10.77.1", "10.77.1.20", "0.77.1.2", "100",
                                            "fd77::1", "fd77",       "d77::1:2", "7"};
    for (unsigned i = 0; i < 8; i++)
        assert_false(is_row(fields, not_found[i]));
    assert_true(admin_row_holds(5, fields, "id dn", SLICE("00")));
    assert_true(admin_row_holds(5, fields, "id remote", SLICE("77.1.2:4")));
    assert_true(admin_row_holds(5, fields, "id", SLICE("AB")));
    assert_false(admin_row_holds(5, fields, "id", SLICE("1001")));
}

static void keep_all(struct admin_filter *f)
{
    const struct row_sink sink = {admin_filter_row, f};
    ROW(&sink, "part", LF_STR("name", "a")); /* of nothing */
    ROW(&sink, "whole", LF_STR("name", "a"));
    ROW(&sink, "part", LF_STR("name", "b"));
    ROW(&sink, "whole", LF_STR("name", "b"));
    ROW(&sink, "part", LF_STR("name", "c"));
    ROW(&sink, "other", LF_STR("name", "a"));
    ROW(&sink, "whole", LF_STR("title", "b"));
    ROW(&sink, "part", LF_STR("name", "d"));
    ROW(&sink, "whole", LF_STR("name", "b"));
}

/* A row by its name, and what follows it. */
static void test_filter_by_name(void **state)
{
    static const struct {
        const char *want;
        unsigned rows;
    } tried[] = {{"a", 2}, {"b", 4}, {"c", 0}, {"", 9}};
    (void)state;
    for (unsigned i = 0; i < 4; i++) {
        struct admin_filter f = {
            .rows = {.max = 65536}, .head = "whole", .want = slice_str(tried[i].want)};
        struct admin_row row;
        unsigned n = 0;
        keep_all(&f);
        for (size_t at = 0; admin_rows_next(&f.rows, &at, &row); n++)
            assert_true(n != 0 || tried[i].rows == 9 || strcmp(row.set, "whole") == 0);
        assert_int_equal(n, tried[i].rows);
        admin_text_fini(&f.rows);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_filter),
        cmocka_unit_test(test_filter_by_name),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
