/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/pool.h"
#include "base/random.h"

struct object {
    uint64_t stamp;
    char rest[93]; /* an odd size */
};

static void test_ids(void **state)
{
    struct pool p;
    struct object *a, *b;
    uint64_t ida, idb;

    (void)state;
    pool_init(&p, sizeof(*a), 5, 0, 77);
    assert_null(pool_find(&p, 0));
    a = pool_new(&p, &ida);
    b = pool_new(&p, &idb);
    assert_non_null(a);
    assert_non_null(b);
    assert_ptr_not_equal(a, b);
    assert_true(ida != idb && ida != 0 && idb != 0);
    assert_int_equal(pool_id_worker(ida), 5);
    assert_int_equal((uint32_t)(ida >> POOL_SLOT_BITS), 77);
    assert_ptr_equal(pool_find(&p, ida), a);
    assert_ptr_equal(pool_find(&p, idb), b);
    assert_int_equal(p.live, 2);
    assert_int_equal((uintptr_t)a % 16, 0);
    assert_int_equal((uintptr_t)b % 16, 0);
    pool_free(&p, ida);
    pool_free(&p, idb);
    pool_fini(&p);
}

static void test_stale(void **state)
{
    struct pool p;
    struct object *a;
    uint64_t id, next;

    (void)state;
    pool_init(&p, sizeof(*a), 1, 0, 1);
    a = pool_new(&p, &id);
    assert_non_null(a);
    memset(a, 0xee, sizeof(*a));
    /* Worker, generation or slot of another. */
    assert_null(pool_find(&p, id ^ (uint64_t)1 << 56));
    assert_null(pool_find(&p, id + ((uint64_t)1 << POOL_SLOT_BITS)));
    assert_null(pool_find(&p, id - ((uint64_t)1 << POOL_SLOT_BITS)));
    assert_null(pool_find(&p, id + 1));
    assert_null(pool_find(&p, id | (POOL_MAX_SLOTS - 1)));
    assert_null(pool_find(&p, UINT64_MAX));

    pool_free(&p, id);
    assert_null(pool_find(&p, id));
    /* The id that the free slot will give next, guessed by a peer. */
    assert_null(pool_find(&p, id + ((uint64_t)1 << POOL_SLOT_BITS)));

    a = pool_new(&p, &next);
    assert_true(next == id + ((uint64_t)1 << POOL_SLOT_BITS));
    for (size_t i = 0; i < sizeof(*a); i++)
        assert_int_equal(((unsigned char *)a)[i], 0);
    assert_null(pool_find(&p, id));
    assert_ptr_equal(pool_find(&p, next), a);
    pool_free(&p, next);
    pool_fini(&p);
}

static void test_exhausted(void **state)
{
    struct pool p;
    uint64_t id[100], more;

    (void)state;
    pool_init(&p, 1, 0, 100, 1);
    for (int i = 0; i < 100; i++)
        assert_non_null(pool_new(&p, &id[i]));
    assert_null(pool_new(&p, &more));
    assert_int_equal(p.live, 100);
    pool_free(&p, id[42]);
    assert_non_null(pool_new(&p, &id[42]));
    assert_null(pool_new(&p, &more));
    for (int i = 0; i < 100; i++)
        pool_free(&p, id[i]);
    pool_fini(&p);
    pool_init(&p, 1, 0, UINT32_MAX, 1);
    assert_int_equal(p.max, POOL_MAX_SLOTS - 1);
    pool_fini(&p);
}

static void test_generation_wraps(void **state)
{
    struct pool p;
    uint64_t last, first;

    (void)state;
    pool_init(&p, 8, 0, 1, UINT32_MAX);
    assert_non_null(pool_new(&p, &last));
    assert_int_equal((uint32_t)(last >> POOL_SLOT_BITS), UINT32_MAX);
    pool_free(&p, last);
    assert_non_null(pool_new(&p, &first));
    assert_int_equal((uint32_t)(first >> POOL_SLOT_BITS), 1);
    assert_null(pool_find(&p, last));
    pool_free(&p, first);
    pool_fini(&p);

    pool_init(&p, 8, 0, 1, 0);
    assert_non_null(pool_new(&p, &first));
    assert_true(first != 0);
    pool_free(&p, first);
    pool_fini(&p);
}

/* Against a plain array: objects stay where they are and keep what was written. */
static void test_model(void **state)
{
    enum { MOST = 1000, STEPS = 100000 };
    static struct {
        uint64_t id;
        struct object *object;
    } live[MOST];
    struct pool p;
    struct rng rng;
    uint64_t id;
    uint32_t n = 0;

    (void)state;
    rng_seed(&rng, 2);
    pool_init(&p, sizeof(struct object), 63, MOST, (uint32_t)rng_next(&rng));
    for (int step = 0; step < STEPS; step++) {
        /* Grows and shrinks in turn. */
        if (rng_below(&rng, 100) < (step / 10000 % 2 == 0 ? 60 : 40)) {
            struct object *object = pool_new(&p, &id);
            assert_true((object == NULL) == (n == MOST));
            if (object == NULL)
                continue;
            assert_true(object->stamp == 0);
            object->stamp = id;
            live[n].id = id;
            live[n++].object = object;
        } else if (n > 0) {
            uint64_t i = rng_below(&rng, n);
            assert_ptr_equal(pool_find(&p, live[i].id), live[i].object);
            assert_true(live[i].object->stamp == live[i].id);
            pool_free(&p, live[i].id);
            assert_null(pool_find(&p, live[i].id));
            live[i] = live[--n];
        }
        assert_int_equal(p.live, n);
    }
    while (n > 0)
        pool_free(&p, live[--n].id);
    pool_fini(&p);
}

static void free_odd(void *object, uint64_t id, void *user)
{
    struct pool *p = user;
    struct object *o = object;

    assert_ptr_equal(pool_find(p, id), object);
    if (o->stamp % 2 != 0)
        pool_free(p, id);
    else
        o->stamp += 1000;
}

static void test_each(void **state)
{
    struct pool p;
    uint64_t id[200];
    struct object *o;

    (void)state;
    pool_init(&p, sizeof(*o), 0, 0, 1);
    pool_each(&p, free_odd, &p);
    for (unsigned i = 0; i < 200; i++) {
        o = pool_new(&p, &id[i]);
        assert_non_null(o);
        o->stamp = i;
    }
    pool_each(&p, free_odd, &p);
    assert_int_equal(p.live, 100);
    for (unsigned i = 0; i < 200; i++) {
        o = pool_find(&p, id[i]);
        assert_true((o != NULL) == (i % 2 == 0));
        if (o != NULL) {
            assert_true(o->stamp == i + 1000);
            pool_free(&p, id[i]);
        }
    }
    pool_fini(&p);
}

static void count_one(void *object, uint64_t id, void *user)
{
    assert_true(((struct object *)object)->stamp == id);
    ++*(unsigned *)user;
}

/* Steps together see each object once; one that goes between two steps is not seen. */
static void test_each_some(void **state)
{
    struct pool p;
    uint64_t id[200];
    uint32_t at = 0;
    unsigned seen = 0, steps = 1;

    (void)state;
    pool_init(&p, sizeof(struct object), 0, 0, 1);
    assert_false(pool_each_some(&p, &at, 10, count_one, &seen));
    for (unsigned i = 0; i < 200; i++) {
        struct object *o = pool_new(&p, &id[i]);
        assert_non_null(o);
        o->stamp = id[i];
    }
    assert_true(pool_each_some(&p, &at, 50, count_one, &seen));
    assert_in_range(seen, 1, 50);
    pool_free(&p, id[199]);
    while (pool_each_some(&p, &at, 50, count_one, &seen))
        steps++;
    assert_int_equal(seen, 199);
    assert_true(steps >= 3);
    assert_false(pool_each_some(&p, &at, 50, count_one, &seen));
    assert_int_equal(seen, 199);
    for (unsigned i = 0; i < 199; i++)
        pool_free(&p, id[i]);
    pool_fini(&p);
}

/* Whichever allocation fails, the pool goes on. */
static void test_no_memory(void **state)
{
    struct pool p;
    uint64_t id[130];

    (void)state;
#ifndef HOLDFAST_FAULTS
    skip();
#endif
    for (uint64_t n = 1;; n++) {
        int failures = 0;
        pool_init(&p, 40, 0, 0, 1);
        mem_fail_at(n);
        for (int i = 0; i < 130;) {
            if (pool_new(&p, &id[i]) != NULL)
                i++;
            else
                failures++;
        }
        assert_int_equal(p.live, 130);
        assert_int_equal(failures, mem_failed());
        for (int i = 0; i < 130; i++)
            pool_free(&p, id[i]);
        pool_fini(&p);
        if (failures == 0)
            break;
    }
    mem_fail_at(0);
}

static void free_twice(struct pool *p, uint64_t id)
{
    pool_free(p, id);
    pool_free(p, id);
}

/* The id that the slot will give next. */
static void free_guessed(struct pool *p, uint64_t id)
{
    pool_free(p, id);
    pool_free(p, id + ((uint64_t)1 << POOL_SLOT_BITS));
}

static void fini_live(struct pool *p, uint64_t id)
{
    (void)id;
    pool_fini(p);
}

/* Our own mistakes stop the process. */
static void test_misuse_aborts(void **state)
{
    void (*const misuse[])(struct pool * p, uint64_t id) = {free_twice, free_guessed, fini_live};
    const struct rlimit no_core = {0, 0};
    int status;

    (void)state;
    for (size_t i = 0; i < 3; i++) {
        pid_t pid = fork();
        assert_true(pid >= 0);
        if (pid == 0) {
            struct pool p;
            uint64_t id;
            signal(SIGABRT, SIG_DFL);
            setrlimit(RLIMIT_CORE, &no_core);
            close(STDERR_FILENO);
            pool_init(&p, 8, 0, 0, 1);
            if (pool_new(&p, &id) != NULL)
                misuse[i](&p, id);
            _exit(0);
        }
        assert_int_equal(waitpid(pid, &status, 0), pid);
        assert_true(WIFSIGNALED(status));
        assert_int_equal(WTERMSIG(status), SIGABRT);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_ids),           cmocka_unit_test(test_stale),
        cmocka_unit_test(test_exhausted),     cmocka_unit_test(test_generation_wraps),
        cmocka_unit_test(test_model),         cmocka_unit_test(test_each),
        cmocka_unit_test(test_each_some),     cmocka_unit_test(test_no_memory),
        cmocka_unit_test(test_misuse_aborts),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
