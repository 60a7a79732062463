/* SPDX-License-Identifier: Apache-2.0 */
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "auth/nonce.h"
#include "base/alloc.h"

#define T0   1700000000000ULL
#define LIFE 300000

static struct nonces *nonces(unsigned max)
{
    struct nonces *n;
    assert_int_equal(nonces_new(LIFE, max, &n), 0);
    return n;
}

static struct slice text_of(const char nonce[NONCE_LEN])
{
    return slice_of(nonce, NONCE_LEN);
}

static void test_lifetime(void **state)
{
    (void)state;
    struct nonces *n = nonces(100);
    char a[NONCE_LEN], b[NONCE_LEN];
    nonce_make(n, T0, a);
    nonce_make(n, T0, b);
    assert_memory_not_equal(a, b, NONCE_LEN);
    assert_true(nonce_is_good(n, text_of(a), T0));
    assert_true(nonce_is_good(n, text_of(a), T0 + LIFE - 1));
    assert_false(nonce_is_good(n, text_of(a), T0 + LIFE));
    /* The wall clock may be set back a little, not for ever. */
    assert_true(nonce_is_good(n, text_of(a), T0 - 1000));
    assert_false(nonce_is_good(n, text_of(a), T0 - LIFE));
    nonces_free(&n);
    assert_null(n);
}

/* Any other digit anywhere, another length, another process: not ours. */
static void test_forged(void **state)
{
    (void)state;
    struct nonces *n = nonces(100), *other = nonces(100);
    char a[NONCE_LEN + 1] = "";
    nonce_make(n, T0, a);
    for (unsigned i = 0; i < NONCE_LEN; i++) {
        char was = a[i];
        a[i] = was == '0' ? '1' : '0';
        assert_false(nonce_is_good(n, text_of(a), T0));
        a[i] = (char)0xff;
        assert_false(nonce_is_good(n, text_of(a), T0));
        a[i] = was;
    }
    assert_true(nonce_is_good(n, text_of(a), T0));
    assert_false(nonce_is_good(n, slice_of(a, NONCE_LEN - 1), T0));
    assert_false(nonce_is_good(n, slice_of(a, NONCE_LEN + 1), T0));
    assert_false(nonce_is_good(n, SLICE_NONE, T0));
    assert_false(nonce_is_good(other, text_of(a), T0));
    nonces_free(&n);
    nonces_free(&other);
}

static void test_counts(void **state)
{
    (void)state;
    struct nonces *n = nonces(100);
    char a[NONCE_LEN], b[NONCE_LEN];
    nonce_make(n, T0, a);
    nonce_make(n, T0, b);
    assert_false(nonce_take(n, text_of(a), 0, T0));
    assert_true(nonce_take(n, text_of(a), 1, T0));
    assert_false(nonce_take(n, text_of(a), 1, T0));
    assert_true(nonce_take(n, text_of(a), 2, T0));
    assert_true(nonce_take(n, text_of(a), 10, T0));
    assert_false(nonce_take(n, text_of(a), 9, T0));
    assert_true(nonce_take(n, text_of(b), 1, T0));
    assert_true(nonce_take(n, text_of(b), UINT32_MAX, T0));
    assert_false(nonce_take(n, text_of(b), UINT32_MAX, T0));
    assert_int_equal(nonces_used(n), 2);
    nonces_free(&n);
}

/* A full table forgets the oldest, which are refused from then on and never taken twice. */
static void test_full(void **state)
{
    (void)state;
    enum { MAX = 64, MADE = 1000 };
    struct nonces *n = nonces(MAX);
    static char made[MADE][NONCE_LEN];
    for (unsigned i = 0; i < MADE; i++) {
        nonce_make(n, T0 + i, made[i]);
        assert_true(nonce_take(n, text_of(made[i]), 1, T0 + i));
        assert_true(nonces_used(n) <= MAX);
    }
    unsigned taken = 0;
    for (unsigned i = 0; i < MADE; i++)
        assert_false(nonce_take(n, text_of(made[i]), 1, T0 + MADE));
    for (unsigned i = 0; i < MADE; i++)
        taken += nonce_take(n, text_of(made[i]), 2, T0 + MADE);
    assert_int_equal(taken, MAX);
    assert_false(nonce_take(n, text_of(made[0]), 2, T0 + MADE));
    assert_true(nonce_take(n, text_of(made[MADE - 1]), 3, T0 + MADE));
    nonces_free(&n);
}

/* Those that have ended make room. */
static void test_ended(void **state)
{
    (void)state;
    struct nonces *n = nonces(1600);
    char a[NONCE_LEN];
    for (unsigned i = 0; i < 160; i++) {
        nonce_make(n, T0, a);
        assert_true(nonce_take(n, text_of(a), 1, T0));
    }
    assert_int_equal(nonces_used(n), 160);
    for (unsigned i = 0; i < 16; i++) {
        nonce_make(n, T0 + LIFE, a);
        assert_true(nonce_take(n, text_of(a), 1, T0 + LIFE));
    }
    assert_int_equal(nonces_used(n), 16);
    nonces_free(&n);
}

/* A wall clock that is set back by an hour must not keep everybody out for that hour: those used
 * before it end, and those made after it are taken. */
static void test_clock_set_back(void **state)
{
    (void)state;
    enum { HOUR = 3600000 };
    struct nonces *n = nonces(1600);
    char a[NONCE_LEN];
    for (unsigned i = 0; i < 32; i++) {
        nonce_make(n, T0, a);
        assert_true(nonce_take(n, text_of(a), 1, T0));
    }
    for (unsigned i = 0; i < 32; i++) {
        nonce_make(n, T0 - HOUR, a);
        assert_true(nonce_take(n, text_of(a), 1, T0 - HOUR));
        assert_false(nonce_take(n, text_of(a), 1, T0 - HOUR));
    }
    /* Set back a little: what was used stays used. */
    nonce_make(n, T0, a);
    assert_true(nonce_take(n, text_of(a), 1, T0));
    for (unsigned i = 0; i < 32; i++) {
        char b[NONCE_LEN];
        nonce_make(n, T0 - 1000, b);
        assert_true(nonce_take(n, text_of(b), 1, T0 - 1000));
    }
    assert_false(nonce_take(n, text_of(a), 1, T0 - 1000));
    nonces_free(&n);
}

static void test_no_memory(void **state)
{
    (void)state;
    bool failed = true;
    for (uint64_t i = 1; failed && i < 1000; i++) {
        struct nonces *n;
        char a[NONCE_LEN];
        bool ok = true;
        mem_fail_at(i);
        int err = nonces_new(LIFE, 100, &n);
        if (err == 0) {
            nonce_make(n, T0, a);
            ok = nonce_take(n, text_of(a), 1, T0);
        }
        failed = mem_failed();
        mem_fail_at(0);
        assert_true(err == 0 || (failed && err == ERR_NOMEM && n == NULL));
        /* What cannot be remembered is refused. */
        assert_int_equal(ok, err != 0 || !failed);
        nonces_free(&n);
    }
    assert_false(failed);
}

enum { THREADS = 4, COUNTS = 3000 };

struct shared {
    struct nonces *n;
    char nonce[NONCE_LEN];
    _Atomic unsigned taken[COUNTS + 1];
};

static void *thread_main(void *arg)
{
    struct shared *s = arg;
    char own[NONCE_LEN];
    for (uint32_t i = 1; i <= COUNTS; i++) {
        if (nonce_take(s->n, text_of(s->nonce), i, T0))
            atomic_fetch_add(&s->taken[i], 1);
        nonce_make(s->n, T0, own);
        if (!nonce_is_good(s->n, text_of(own), T0))
            atomic_fetch_add(&s->taken[0], 1);
        (void)nonce_take(s->n, text_of(own), 1, T0);
    }
    return NULL;
}

/* Whoever races, a count is taken once. */
static void test_threads(void **state)
{
    (void)state;
    static struct shared s;
    pthread_t threads[THREADS];
    s.n = nonces(1u << 20);
    nonce_make(s.n, T0, s.nonce);
    for (unsigned i = 0; i < THREADS; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, thread_main, &s), 0);
    for (unsigned i = 0; i < THREADS; i++)
        pthread_join(threads[i], NULL);
    assert_int_equal(s.taken[0], 0);
    assert_int_equal(s.taken[COUNTS], 1);
    for (unsigned i = 1; i <= COUNTS; i++)
        assert_true(s.taken[i] <= 1);
    assert_int_equal(nonces_used(s.n), 1 + THREADS * COUNTS);
    nonces_free(&s.n);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_lifetime),  cmocka_unit_test(test_forged),
        cmocka_unit_test(test_counts),    cmocka_unit_test(test_full),
        cmocka_unit_test(test_ended),     cmocka_unit_test(test_clock_set_back),
        cmocka_unit_test(test_no_memory), cmocka_unit_test(test_threads),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
