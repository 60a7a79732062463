/* SPDX-License-Identifier: Apache-2.0 */
/* Memory of one transaction: handed out by a moving pointer, given back all at once.
 *
 * owns: its blocks, taken from a per-worker cache of equal blocks; larger wishes get a block of
 * their own. Under HOLDFAST_FAULTS each allocation is one malloc, so that sanitizers see it.
 * thread: one worker. Lifetime: init to fini; never shrinks between. */
#ifndef BASE_ARENA_H
#define BASE_ARENA_H

#include <stdbool.h>
#include <stddef.h>

#include "base/slice.h"

struct arena_block;

/* Per-worker cache of blocks of 4 KiB; keeps at most `max_cached` free ones. */
struct arena_cache {
    struct arena_block *free;
    size_t cached, max_cached;
    size_t in_use; /* blocks now held by arenas */
};

void arena_cache_init(struct arena_cache *cache, size_t max_cached);
/* All arenas must be finished. */
void arena_cache_fini(struct arena_cache *cache);

struct arena {
    struct arena_cache *cache;
    struct arena_block *blocks;
    char *at, *end;
    size_t used;   /* bytes handed out */
    bool overflow; /* sticky: an allocation failed since init; test once at the end */
};

void arena_init(struct arena *a, struct arena_cache *cache);
void arena_fini(struct arena *a);

/* 16-byte aligned (arena_alloc) / unaligned bytes (arena_bytes). NULL and `overflow` set when there
 * is no memory. */
void *arena_alloc(struct arena *a, size_t size) __attribute__((warn_unused_result));
void *arena_zalloc(struct arena *a, size_t size) __attribute__((warn_unused_result));
char *arena_bytes(struct arena *a, size_t size) __attribute__((warn_unused_result));
/* A copy of the bytes; the empty slice for an empty one; {NULL,0} with overflow set on failure. */
struct slice arena_dup(struct arena *a, struct slice s);

#endif
