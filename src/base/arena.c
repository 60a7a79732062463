/* SPDX-License-Identifier: Apache-2.0 */
#include "base/arena.h"

#include <assert.h>
#include <stdint.h>

#include "base/alloc.h"

#define BLOCK_SIZE 4096u /* bytes, header included */
#define BLOCK_DATA (BLOCK_SIZE - sizeof(struct arena_block))
#define ALIGNMENT  16u

struct arena_block {
    struct arena_block *next;
    size_t size; /* whole block in bytes; BLOCK_SIZE: fit for the cache */
    _Alignas(ALIGNMENT) char data[];
};

void arena_cache_init(struct arena_cache *cache, size_t max_cached)
{
    *cache = (struct arena_cache){.max_cached = max_cached};
}

void arena_cache_fini(struct arena_cache *cache)
{
    assert(cache->in_use == 0);
    while (cache->free != NULL) {
        struct arena_block *block = cache->free;
        cache->free = block->next;
        mem_free(block);
    }
    cache->cached = 0;
}

static struct arena_block *block_new(struct arena_cache *cache, size_t size)
{
    struct arena_block *block;

    if (size == BLOCK_SIZE && cache->free != NULL) {
        block = cache->free;
        cache->free = block->next;
        cache->cached--;
    } else {
        block = mem_alloc(size);
        if (block == NULL)
            return NULL;
        block->size = size;
    }
    cache->in_use++;
    return block;
}

static void block_free(struct arena_cache *cache, struct arena_block *block)
{
    cache->in_use--;
    if (block->size == BLOCK_SIZE && cache->cached < cache->max_cached) {
        block->next = cache->free;
        cache->free = block;
        cache->cached++;
    } else {
        mem_free(block);
    }
}

void arena_init(struct arena *a, struct arena_cache *cache)
{
    *a = (struct arena){.cache = cache};
}

void arena_fini(struct arena *a)
{
    while (a->blocks != NULL) {
        struct arena_block *block = a->blocks;
        a->blocks = block->next;
        block_free(a->cache, block);
    }
    arena_init(a, a->cache);
}

static void *out_of_memory(struct arena *a)
{
    a->overflow = true;
    return NULL;
}

/* Puts a block behind the current one, which stays in use. */
static void add_behind(struct arena *a, struct arena_block *block)
{
    if (a->blocks != NULL) {
        block->next = a->blocks->next;
        a->blocks->next = block;
    } else {
        block->next = NULL;
        a->blocks = block;
    }
}

/* A block that holds this one allocation. */
static char *own_block(struct arena *a, size_t size)
{
    struct arena_block *block;

    if (size > SIZE_MAX - sizeof(*block) - 1)
        return out_of_memory(a);
    /* Not of the size that the cache keeps. */
    block = block_new(a->cache, sizeof(*block) + size + (size == BLOCK_DATA));
    if (block == NULL)
        return out_of_memory(a);
    add_behind(a, block);
    return block->data;
}

#ifdef HOLDFAST_FAULTS

static char *take(struct arena *a, size_t size, size_t alignment)
{
    char *ptr = own_block(a, size);

    (void)alignment;
    if (ptr != NULL)
        a->used += size;
    return ptr;
}

#else

static char *take_slow(struct arena *a, size_t size)
{
    size_t left = (size_t)(a->end - a->at);
    struct arena_block *block;

    if (size > BLOCK_DATA)
        return own_block(a, size);
    block = block_new(a->cache, BLOCK_SIZE);
    if (block == NULL)
        return out_of_memory(a);
    /* A large wish must not throw away what is left of the current block. */
    if (left > BLOCK_DATA - size) {
        add_behind(a, block);
        return block->data;
    }
    block->next = a->blocks;
    a->blocks = block;
    a->at = block->data + size;
    a->end = block->data + BLOCK_DATA;
    return block->data;
}

static char *take(struct arena *a, size_t size, size_t alignment)
{
    size_t gap = -(uintptr_t)a->at & (alignment - 1);
    size_t left = (size_t)(a->end - a->at);
    char *ptr;

    if (gap <= left && size <= left - gap && a->at != NULL) {
        ptr = a->at + gap;
        a->at = ptr + size;
    } else {
        ptr = take_slow(a, size);
        if (ptr == NULL)
            return NULL;
    }
    a->used += size;
    return ptr;
}

#endif

void *arena_alloc(struct arena *a, size_t size)
{
    return take(a, size, ALIGNMENT);
}

void *arena_zalloc(struct arena *a, size_t size)
{
    void *ptr = take(a, size, ALIGNMENT);

    if (ptr != NULL)
        memset(ptr, 0, size);
    return ptr;
}

char *arena_bytes(struct arena *a, size_t size)
{
    return take(a, size, 1);
}

struct slice arena_dup(struct arena *a, struct slice s)
{
    char *copy;

    if (s.len == 0)
        return SLICE_NONE;
    copy = arena_bytes(a, s.len);
    if (copy == NULL)
        return SLICE_NONE;
    memcpy(copy, s.ptr, s.len);
    return slice_of(copy, s.len);
}
