/* SPDX-License-Identifier: Apache-2.0 */
/* Objects of one size, named by ids that go stale instead of dangling.
 *
 * id = worker (8 bits) | generation (32 bits) | slot (24 bits); 0 is never an id.
 * Objects never move. Under HOLDFAST_FAULTS each object is one malloc and its slot keeps only the
 * generation. owns: the objects. thread: one worker; pool_id_worker is for anyone. */
#ifndef BASE_POOL_H
#define BASE_POOL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define POOL_SLOT_BITS 24
#define POOL_MAX_SLOTS (1u << POOL_SLOT_BITS)

struct pool_page;

struct pool {
    size_t object_size;
    uint32_t worker; /* 0 to 63 */
    uint32_t max;    /* most live objects, at most POOL_MAX_SLOTS - 1 */
    uint32_t live;   /* now */
    uint32_t npages;
    uint32_t free_head;        /* slot + 1, 0: none */
    uint32_t first_generation; /* random, so that ids of a former life do not match */
    struct pool_page **pages;
};

/* `max` of 0 means POOL_MAX_SLOTS - 1. Allocates nothing. */
void pool_init(struct pool *p, size_t object_size, uint32_t worker, uint32_t max,
               uint32_t first_generation);
/* Gives back all memory; live objects are lost, which is the caller's bug: asserts live == 0. */
void pool_fini(struct pool *p);

/* A zeroed object and its id; NULL when `max` is reached or there is no memory. */
void *pool_new(struct pool *p, uint64_t *id) __attribute__((warn_unused_result));
/* The object is dead and its id stale. */
void pool_free(struct pool *p, uint64_t id);
/* NULL when the id is stale, foreign or 0. */
void *pool_find(const struct pool *p, uint64_t id);
/* Calls fn for each live object; fn may free the object it is given. */
void pool_each(struct pool *p, void (*fn)(void *object, uint64_t id, void *user), void *user);
/* The same for the next `n` slots from *at on (0 at first); false when these were the last. What
 * comes and goes between two calls may be seen or not. */
bool pool_each_some(struct pool *p, uint32_t *at, uint32_t n,
                    void (*fn)(void *object, uint64_t id, void *user), void *user);

static inline uint32_t pool_id_worker(uint64_t id)
{
    return (uint32_t)(id >> 56);
}

#endif
