/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

#include "base/alloc.h"

static void test_alloc(void **state)
{
    unsigned char *p = mem_zalloc(100);

    (void)state;
    assert_non_null(p);
    for (int i = 0; i < 100; i++)
        assert_int_equal(p[i], 0);
    p[99] = 7;
    p = mem_realloc(p, 200);
    assert_non_null(p);
    assert_int_equal(p[99], 7);
    mem_free(p);
    mem_free(NULL);
}

/* NULL must mean failure and nothing else. */
static void test_nothing(void **state)
{
    void *a = mem_alloc(0), *b = mem_zalloc(0), *c = mem_realloc(NULL, 0);

    (void)state;
    assert_non_null(a);
    assert_non_null(b);
    assert_non_null(c);
    c = mem_realloc(c, 0);
    assert_non_null(c);
    mem_free(a);
    mem_free(b);
    mem_free(c);
}

/* A size that a subtraction has wrapped. */
static void test_absurd(void **state)
{
    void *p = mem_alloc(8);

    (void)state;
    assert_null(mem_alloc(SIZE_MAX));
    assert_null(mem_zalloc(SIZE_MAX - 100));
    assert_null(mem_realloc(p, (size_t)PTRDIFF_MAX + 1));
    mem_free(p);
}

static void test_strdup(void **state)
{
    char *a = mem_strdup(SLICE("abc")), *b = mem_strdup(SLICE_NONE);

    (void)state;
    assert_string_equal(a, "abc");
    assert_string_equal(b, "");
    mem_free(a);
    mem_free(b);
    assert_null(mem_strdup(slice_of("", SIZE_MAX)));
}

static void test_fail_at(void **state)
{
    void *p;

    (void)state;
#ifndef HOLDFAST_FAULTS
    mem_fail_at(1);
    assert_false(mem_failed());
    p = mem_alloc(1);
    assert_non_null(p);
    mem_free(p);
    skip();
#endif
    mem_fail_at(3);
    for (int i = 1; i <= 5; i++) {
        p = i % 2 != 0 ? mem_zalloc(8) : mem_alloc(8);
        assert_true((p == NULL) == (i == 3));
        assert_true(mem_failed() == (i >= 3));
        mem_free(p);
    }
    mem_fail_at(1);
    assert_false(mem_failed());
    assert_null(mem_strdup(SLICE("abc")));
    assert_true(mem_failed());

    mem_fail_at(2);
    p = mem_alloc(8);
    assert_null(mem_realloc(p, 16));
    mem_free(p);

    mem_fail_at(1);
    mem_fail_at(0);
    p = mem_alloc(8);
    assert_non_null(p);
    assert_false(mem_failed());
    mem_free(p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_alloc),   cmocka_unit_test(test_nothing),
        cmocka_unit_test(test_absurd),  cmocka_unit_test(test_strdup),
        cmocka_unit_test(test_fail_at),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
