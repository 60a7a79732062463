/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

#include "base/alloc.h"
#include "base/arena.h"
#include "base/random.h"

static void test_aligned(void **state)
{
    struct arena_cache cache;
    struct arena a;
    char *byte, *object;

    (void)state;
    arena_cache_init(&cache, 4);
    arena_init(&a, &cache);
    byte = arena_bytes(&a, 1);
    assert_non_null(byte);
    object = arena_alloc(&a, 8);
    assert_non_null(object);
    assert_int_equal((uintptr_t)object % 16, 0);
    *byte = 1;
    memset(object, 2, 8);
    assert_int_equal(a.used, 9);
    assert_non_null(arena_alloc(&a, 0));
    assert_non_null(arena_bytes(&a, 0));
    assert_int_equal(a.used, 9);
    assert_false(a.overflow);
    arena_fini(&a);
    assert_int_equal(a.used, 0);
    assert_int_equal(cache.in_use, 0);
    arena_cache_fini(&cache);
}

/* Pieces of all sizes lie apart from each other: each keeps its own bytes. */
static void test_pieces(void **state)
{
    enum { PIECES = 400 };
    struct arena_cache cache;
    struct arena a;
    struct rng rng;
    unsigned char *piece[PIECES];
    size_t size[PIECES], total = 0;

    (void)state;
    rng_seed(&rng, 1);
    arena_cache_init(&cache, 4);
    arena_init(&a, &cache);
    for (size_t i = 0; i < PIECES; i++) {
        static const size_t most[] = {16, 200, 1500, 4080, 9000};
        size[i] = rng_below(&rng, most[rng_below(&rng, 5)] + 1);
        total += size[i];
        if (i % 3 == 0) {
            piece[i] = (unsigned char *)arena_bytes(&a, size[i]);
        } else {
            piece[i] = i % 3 == 1 ? arena_alloc(&a, size[i]) : arena_zalloc(&a, size[i]);
            assert_int_equal((uintptr_t)piece[i] % 16, 0);
        }
        assert_non_null(piece[i]);
        for (size_t j = 0; i % 3 == 2 && j < size[i]; j++)
            assert_int_equal(piece[i][j], 0);
        memset(piece[i], (int)(i % 251), size[i]);
    }
    assert_int_equal(a.used, total);
    for (size_t i = 0; i < PIECES; i++) {
        for (size_t j = 0; j < size[i]; j++)
            assert_int_equal(piece[i][j], i % 251);
    }
    arena_fini(&a);
    assert_int_equal(cache.in_use, 0);
    assert_true(cache.cached <= 4);
    arena_cache_fini(&cache);
}

static void test_dup(void **state)
{
    struct arena_cache cache;
    struct arena a;
    char text[] = "branch";
    struct slice s;

    (void)state;
    arena_cache_init(&cache, 1);
    arena_init(&a, &cache);
    s = arena_dup(&a, slice_str(text));
    text[0] = 'X';
    assert_true(slice_eq(s, SLICE("branch")));
    assert_int_equal(arena_dup(&a, SLICE_NONE).len, 0);
    assert_int_equal(arena_dup(&a, SLICE("")).len, 0);
    assert_false(a.overflow);
    arena_fini(&a);
    arena_cache_fini(&cache);
}

static void test_overflow_is_sticky(void **state)
{
    struct arena_cache cache;
    struct arena a;

    (void)state;
    arena_cache_init(&cache, 1);
    arena_init(&a, &cache);
    assert_null(arena_alloc(&a, SIZE_MAX));
    assert_true(a.overflow);
    assert_null(arena_bytes(&a, SIZE_MAX - 15));
    assert_null(arena_zalloc(&a, SIZE_MAX / 2));
    assert_int_equal(a.used, 0);
    assert_non_null(arena_alloc(&a, 16));
    assert_true(a.overflow);
    arena_fini(&a);
    assert_false(a.overflow);
    arena_cache_fini(&cache);
}

/* The second life of an arena takes its blocks from the cache, large wishes apart. */
static void test_cache(void **state)
{
    struct arena_cache cache;
    struct arena a[3];

    (void)state;
#ifdef HOLDFAST_FAULTS
    skip(); /* one malloc for each allocation, no blocks */
#endif
    arena_cache_init(&cache, 2);
    for (int i = 0; i < 3; i++) {
        arena_init(&a[i], &cache);
        assert_non_null(arena_alloc(&a[i], 1000));
        assert_non_null(arena_alloc(&a[i], 1000));
    }
    assert_int_equal(cache.in_use, 3);
    assert_non_null(arena_alloc(&a[0], 5000));
    assert_int_equal(cache.in_use, 4);
    for (int i = 0; i < 3; i++)
        arena_fini(&a[i]);
    assert_int_equal(cache.in_use, 0);
    assert_int_equal(cache.cached, 2);

    arena_init(&a[0], &cache);
    assert_non_null(arena_alloc(&a[0], 4080));
    assert_non_null(arena_alloc(&a[0], 4080));
    assert_int_equal(cache.cached, 0);
    assert_int_equal(cache.in_use, 2);
    arena_fini(&a[0]);
    arena_cache_fini(&cache);
}

/* A message that does not fit behind a half-full block leaves the rest of it in use. */
static void test_large_keeps_the_rest(void **state)
{
    struct arena_cache cache;
    struct arena a;
    char *first, *second;

    (void)state;
#ifdef HOLDFAST_FAULTS
    skip(); /* one malloc for each allocation, no blocks */
#endif
    arena_cache_init(&cache, 8);
    arena_init(&a, &cache);
    first = arena_bytes(&a, 1000);
    assert_non_null(arena_bytes(&a, 3500));
    assert_non_null(arena_bytes(&a, 20000));
    second = arena_bytes(&a, 1000);
    assert_ptr_equal(second, first + 1000);
    arena_fini(&a);
    arena_cache_fini(&cache);
}

static void test_no_memory(void **state)
{
    struct arena_cache cache;
    struct arena a;
    struct slice s;

    (void)state;
#ifndef HOLDFAST_FAULTS
    skip();
#endif
    arena_cache_init(&cache, 8);
    for (uint64_t n = 1; n <= 4; n++) {
        arena_init(&a, &cache);
        mem_fail_at(n);
        void *one = arena_alloc(&a, 24);
        void *two = arena_bytes(&a, 10000);
        void *three = arena_zalloc(&a, 24);
        s = arena_dup(&a, SLICE("abc"));
        assert_true((one == NULL) == (n == 1));
        assert_true((two == NULL) == (n == 2));
        assert_true((three == NULL) == (n == 3));
        assert_true((s.ptr == NULL) == (n == 4));
        assert_true(a.overflow);
        assert_true(mem_failed());
        arena_fini(&a);
        assert_int_equal(cache.in_use, 0);
    }
    mem_fail_at(0);
    arena_cache_fini(&cache);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_aligned),   cmocka_unit_test(test_pieces),
        cmocka_unit_test(test_dup),       cmocka_unit_test(test_overflow_is_sticky),
        cmocka_unit_test(test_cache),     cmocka_unit_test(test_large_keeps_the_rest),
        cmocka_unit_test(test_no_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
