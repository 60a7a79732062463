/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

#include "base/random.h"

/* The published first outputs of xoshiro256** for the state 1, 2, 3, 4, and of splitmix64 for 0. */
static void test_vectors(void **state)
{
    struct rng r = {{1, 2, 3, 4}};

    (void)state;
    assert_true(rng_next(&r) == 11520);
    assert_true(rng_next(&r) == 0);
    assert_true(rng_next(&r) == 1509978240);
    assert_true(rng_next(&r) == 1215971899390074240ULL);
    rng_seed(&r, 0);
    assert_true(r.s[0] == 0xe220a8397b1dcdafULL);
    assert_true(r.s[1] == 0x6e789e6aa1b965f4ULL);
    assert_true(r.s[2] == 0x06c45d188009454fULL);
    assert_true(r.s[3] == 0xf88bb8a8724c81ecULL);
}

static void test_repeatable(void **state)
{
    struct rng a, b, c;

    (void)state;
    rng_seed(&a, 42);
    rng_seed(&b, 42);
    rng_seed(&c, 43);
    for (int i = 0; i < 100; i++) {
        uint64_t x = rng_next(&a);
        assert_true(x == rng_next(&b));
        assert_true(x != rng_next(&c));
    }
}

static void test_system(void **state)
{
    unsigned char x[600] = {0}, y[600] = {0};
    struct rng a, b;
    unsigned same = 0;

    (void)state;
    random_bytes(x, 0);
    random_bytes(x, sizeof(x));
    random_bytes(y, sizeof(y) - 1);
    assert_int_equal(y[sizeof(y) - 1], 0);
    for (size_t i = 0; i < sizeof(x); i++)
        same += x[i] == y[i];
    assert_true(same < 60);
    rng_init(&a);
    rng_init(&b);
    assert_true(rng_next(&a) != rng_next(&b));
}

static void test_below(void **state)
{
    struct rng r;
    unsigned hits[6] = {0};
    uint64_t thirds = 0;

    (void)state;
    rng_seed(&r, 1);
    for (int i = 0; i < 60000; i++) {
        uint64_t x = rng_below(&r, 6);
        assert_true(x < 6);
        hits[x]++;
    }
    /* Ten standard deviations. */
    for (int i = 0; i < 6; i++)
        assert_in_range(hits[i], 10000 - 920, 10000 + 920);
    for (int i = 0; i < 100; i++) {
        assert_true(rng_below(&r, 1) == 0);
        assert_true(rng_below(&r, UINT64_MAX) < UINT64_MAX);
    }
    /* A bound where each third value would come twice as often if nothing were drawn again. */
    for (int i = 0; i < 30000; i++)
        thirds += rng_below(&r, 3ULL << 62) % 3 == 0;
    assert_in_range(thirds, 10000 - 820, 10000 + 820);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_vectors),
        cmocka_unit_test(test_repeatable),
        cmocka_unit_test(test_system),
        cmocka_unit_test(test_below),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
