/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

#include "base/alloc.h"
#include "base/list.h"
#include "base/random.h"
#include "base/table.h"

struct item {
    struct table_node node;
    uint64_t key;
    bool in;
    unsigned seen;
};

static uint64_t hash_of(uint64_t key)
{
    return key % 700 * 0x9e3779b97f4a7c15ULL; /* several keys for each hash */
}

static struct item *find(const struct table *t, uint64_t key)
{
    struct table_node *node = table_first(t, hash_of(key));

    for (; node != NULL; node = table_next(node)) {
        struct item *item = container_of(node, struct item, node);
        assert_true(node->hash == hash_of(key));
        if (item->key == key)
            return item;
    }
    return NULL;
}

static void test_init(void **state)
{
    struct table t;

    (void)state;
    assert_int_equal(table_init(&t, 0), 0);
    assert_int_equal(t.mask + 1, 16);
    assert_null(table_first(&t, 1));
    table_fini(&t);
    table_fini(&t);
    assert_int_equal(table_init(&t, 17), 0);
    assert_int_equal(t.mask + 1, 32);
    table_fini(&t);
    assert_int_equal(table_init(&t, SIZE_MAX), ERR_NOMEM);
    table_fini(&t);
}

/* A sparse table keeps more buckets than nodes. */
static void test_sparse(void **state)
{
    struct item items[40] = {0};
    struct table t;

    (void)state;
    assert_int_equal(table_init_sparse(&t, 16), 0);
    for (uint64_t i = 0; i < 40; i++) {
        items[i].key = i;
        table_insert(&t, &items[i].node, hash_of(i));
        assert_true(t.mask + 1 >= 4 * i);
    }
    for (uint64_t i = 0; i < 40; i++)
        assert_ptr_equal(find(&t, i), &items[i]);
    table_fini(&t);
}

/* More in one bucket than its byte can count. */
static void test_sparse_crowd(void **state)
{
    static struct item items[600];
    struct table t;

    (void)state;
    assert_int_equal(table_init_sparse(&t, 16), 0);
    for (size_t i = 0; i < 600; i++)
        table_insert(&t, &items[i].node, i << 32);
    for (size_t i = 0; i < 600; i++) {
        assert_ptr_equal(table_first(&t, i << 32), &items[i].node);
        table_remove(&t, &items[i].node);
        assert_null(table_first(&t, i << 32));
    }
    assert_int_equal(t.count, 0);
    table_fini(&t);
}

static void run_model(bool is_sparse)
{
    enum { ITEMS = 3000, STEPS = 200000 };
    static struct item items[ITEMS];
    struct table t;
    struct rng rng;
    size_t count = 0;

    rng_seed(&rng, 3);
    assert_int_equal(is_sparse ? table_init_sparse(&t, 16) : table_init(&t, 16), 0);
    for (uint64_t i = 0; i < ITEMS; i++)
        items[i] = (struct item){.key = i};
    for (int step = 0; step < STEPS; step++) {
        struct item *item = &items[rng_below(&rng, ITEMS)];
        assert_ptr_equal(find(&t, item->key), item->in ? item : NULL);
        if (item->in) {
            table_remove(&t, &item->node);
            count--;
        } else {
            table_insert(&t, &item->node, hash_of(item->key));
            count++;
        }
        item->in = !item->in;
        assert_int_equal(t.count, count);
    }
    for (size_t i = 0; i < ITEMS; i++)
        assert_ptr_equal(find(&t, i), items[i].in ? &items[i] : NULL);
    assert_true(t.mask + 1 >= 1024);
    table_fini(&t);
}

static void test_model(void **state)
{
    (void)state;
    run_model(false);
    run_model(true);
}

static void see(struct table_node *node, void *user)
{
    struct item *item = container_of(node, struct item, node);

    item->seen++;
    if (item->key % 3 == 0) {
        table_remove(user, node);
        memset(node, 0xff, sizeof(*node));
    }
}

static void test_each(void **state)
{
    struct item items[500] = {0};
    struct table t;

    (void)state;
    assert_int_equal(table_init(&t, 16), 0);
    table_each(&t, see, &t);
    for (size_t i = 0; i < 500; i++) {
        items[i].key = i;
        table_insert(&t, &items[i].node, hash_of(i));
    }
    table_each(&t, see, &t);
    for (size_t i = 0; i < 500; i++) {
        assert_int_equal(items[i].seen, 1);
        assert_ptr_equal(find(&t, i), i % 3 != 0 ? &items[i] : NULL);
    }
    table_fini(&t);
}

/* Equal hashes of different keys are all found, one after the other. */
static void test_same_hash(void **state)
{
    struct item items[40] = {0};
    struct table t;
    unsigned n = 0;

    (void)state;
    assert_int_equal(table_init(&t, 16), 0);
    for (size_t i = 0; i < 40; i++)
        table_insert(&t, &items[i].node, i % 2 == 0 ? 5 : 5 + (1ULL << 40));
    for (struct table_node *node = table_first(&t, 5); node != NULL; node = table_next(node)) {
        container_of(node, struct item, node)->seen++;
        n++;
    }
    assert_int_equal(n, 20);
    for (size_t i = 0; i < 40; i++)
        assert_int_equal(items[i].seen, i % 2 == 0);
    table_fini(&t);
}

static void test_no_memory(void **state)
{
    struct item items[100] = {0};
    struct table t;

    (void)state;
#ifndef HOLDFAST_FAULTS
    skip();
#endif
    mem_fail_at(1);
    assert_int_equal(table_init(&t, 16), ERR_NOMEM);
    table_fini(&t);

    assert_int_equal(table_init(&t, 16), 0);
    for (size_t i = 0; i < 100; i++) {
        items[i].key = i;
        mem_fail_at(1);
        table_insert(&t, &items[i].node, hash_of(i));
    }
    assert_true(mem_failed());
    assert_int_equal(t.mask + 1, 16);
    mem_fail_at(0);
    for (size_t i = 0; i < 100; i++)
        assert_ptr_equal(find(&t, i), &items[i]);
    table_remove(&t, &items[0].node);
    table_insert(&t, &items[0].node, hash_of(0));
    assert_true(t.mask + 1 > 16);
    for (size_t i = 0; i < 100; i++)
        assert_ptr_equal(find(&t, i), &items[i]);
    table_fini(&t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_init),         cmocka_unit_test(test_sparse),
        cmocka_unit_test(test_model),        cmocka_unit_test(test_each),
        cmocka_unit_test(test_same_hash),    cmocka_unit_test(test_no_memory),
        cmocka_unit_test(test_sparse_crowd),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
