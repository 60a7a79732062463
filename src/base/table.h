/* SPDX-License-Identifier: Apache-2.0 */
/* Intrusive hash table; the caller brings the hash (keyed, where a peer can choose the key).
 *
 * owns: the bucket array. thread: one. */
#ifndef BASE_TABLE_H
#define BASE_TABLE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"

struct table_node {
    struct table_node *next;
    uint64_t hash;
};

struct table {
    struct table_node **buckets;
    uint8_t *used; /* nodes of each bucket, 255: that many or more. An eighth of the buckets' bytes:
                      what is not there is mostly known without a look at them. NULL: not sparse */
    size_t mask;   /* number of buckets - 1 */
    size_t count;
    unsigned sparse; /* grows when count << sparse reaches the buckets */
};

/* `initial` buckets, rounded up to a power of two, at least 16. 0 or ERR_NOMEM. */
int table_init(struct table *t, size_t initial) WARN_UNUSED;
/* For a table in which most look-ups find nothing and nodes are far from the cache. */
int table_init_sparse(struct table *t, size_t initial) WARN_UNUSED;
void table_fini(struct table *t); /* nodes are not touched */

/* Grows by doubling; when there is no memory to grow, it goes on with longer chains. Never fails.
 */
void table_insert(struct table *t, struct table_node *node, uint64_t hash);
/* The node must be in the table. */
void table_remove(struct table *t, struct table_node *node);

/* First node with that hash, then the next one with the same hash; NULL at the end.
 * The caller compares keys. */
struct table_node *table_first(const struct table *t, uint64_t hash);
struct table_node *table_next(const struct table_node *node);

/* Each node; fn may remove the node it is given. */
void table_each(struct table *t, void (*fn)(struct table_node *node, void *user), void *user);

#endif
