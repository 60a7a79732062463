/* SPDX-License-Identifier: Apache-2.0 */
#include "base/table.h"

#include <assert.h>

#include "base/alloc.h"

#define MIN_BUCKETS 16u
#define MAX_BUCKETS (SIZE_MAX / 2 / (sizeof(struct table_node *) + 1))
#define SPARSE      2
#define USED_MOST   UINT8_MAX

/* With the bytes of `used` behind them where the table has these. */
static bool buckets_new(struct table *t, size_t n)
{
    size_t each = sizeof(struct table_node *) + (t->sparse != 0);
    struct table_node **buckets = mem_zalloc(n * each);

    if (buckets == NULL)
        return false;
    t->buckets = buckets;
    t->used = t->sparse != 0 ? (uint8_t *)(buckets + n) : NULL;
    t->mask = n - 1;
    return true;
}

static int init(struct table *t, size_t initial, unsigned sparse)
{
    size_t n = MIN_BUCKETS;

    *t = (struct table){.sparse = sparse};
    while (n < initial) {
        if (n > MAX_BUCKETS / 2)
            return ERR_NOMEM;
        n *= 2;
    }
    return buckets_new(t, n) ? 0 : ERR_NOMEM;
}

int table_init(struct table *t, size_t initial)
{
    return init(t, initial, 0);
}

int table_init_sparse(struct table *t, size_t initial)
{
    return init(t, initial, SPARSE);
}

void table_fini(struct table *t)
{
    mem_free(t->buckets);
    *t = (struct table){0};
}

static void link_node(struct table *t, struct table_node *node)
{
    size_t at = node->hash & t->mask;

    node->next = t->buckets[at];
    t->buckets[at] = node;
    if (t->used != NULL && t->used[at] != USED_MOST)
        t->used[at]++;
}

static void grow(struct table *t)
{
    struct table_node **old = t->buckets;
    size_t n = t->mask + 1;

    if (n > MAX_BUCKETS / 2 || !buckets_new(t, n * 2))
        return;
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
    size_t bucket = node->hash & t->mask;
    struct table_node **at = &t->buckets[bucket];

    while (*at != node) {
        assert(*at != NULL);
        at = &(*at)->next;
    }
    *at = node->next;
    if (t->used != NULL && t->used[bucket] != USED_MOST)
        t->used[bucket]--;
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
    size_t at = hash & t->mask;

    return t->used != NULL && t->used[at] == 0 ? NULL : same_hash(t->buckets[at], hash);
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
