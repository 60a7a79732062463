/* SPDX-License-Identifier: Apache-2.0 */
#include "base/table.h"

#include <assert.h>

#include "base/alloc.h"

#define MIN_BUCKETS 16u
#define MAX_BUCKETS (SIZE_MAX / 2 / sizeof(struct table_node *))

static struct table_node **buckets_new(size_t n)
{
    return mem_zalloc(n * sizeof(struct table_node *));
}

int table_init(struct table *t, size_t initial)
{
    size_t n = MIN_BUCKETS;

    *t = (struct table){0};
    while (n < initial) {
        if (n > MAX_BUCKETS / 2)
            return ERR_NOMEM;
        n *= 2;
    }
    t->buckets = buckets_new(n);
    if (t->buckets == NULL)
        return ERR_NOMEM;
    t->mask = n - 1;
    return 0;
}

void table_fini(struct table *t)
{
    mem_free(t->buckets);
    *t = (struct table){0};
}

static void link_node(struct table *t, struct table_node *node)
{
    struct table_node **bucket = &t->buckets[node->hash & t->mask];

    node->next = *bucket;
    *bucket = node;
}

static void grow(struct table *t)
{
    struct table_node **old = t->buckets;
    size_t n = t->mask + 1;

    if (n > MAX_BUCKETS / 2)
        return;
    t->buckets = buckets_new(n * 2);
    if (t->buckets == NULL) {
        t->buckets = old;
        return;
    }
    t->mask = n * 2 - 1;
    for (size_t i = 0; i < n; i++) {
        for (struct table_node *node = old[i], *next; node != NULL; node = next) {
            next = node->next;
            link_node(t, node);
        }
    }
    mem_free(old);
}

void table_insert(struct table *t, struct table_node *node, uint64_t hash)
{
    if (t->count << t->sparse > t->mask)
        grow(t);
    node->hash = hash;
    link_node(t, node);
    t->count++;
}

void table_remove(struct table *t, struct table_node *node)
{
    struct table_node **at = &t->buckets[node->hash & t->mask];

    while (*at != node) {
        assert(*at != NULL);
        at = &(*at)->next;
    }
    *at = node->next;
    node->next = NULL;
    t->count--;
}

static struct table_node *same_hash(struct table_node *node, uint64_t hash)
{
    while (node != NULL && node->hash != hash)
        node = node->next;
    return node;
}

struct table_node *table_first(const struct table *t, uint64_t hash)
{
    return same_hash(t->buckets[hash & t->mask], hash);
}

struct table_node *table_next(const struct table_node *node)
{
    return same_hash(node->next, node->hash);
}

void table_each(struct table *t, void (*fn)(struct table_node *node, void *user), void *user)
{
    for (size_t i = 0; i <= t->mask; i++) {
        for (struct table_node *node = t->buckets[i], *next; node != NULL; node = next) {
            next = node->next;
            fn(node, user);
        }
    }
}
