/* SPDX-License-Identifier: Apache-2.0 */
#include "base/pool.h"

#include <assert.h>
#include <stdbool.h>
#include <string.h>

#include "base/alloc.h"

#define PAGE_SHIFT 6u
#define PAGE_SLOTS (1u << PAGE_SHIFT)
#define SLOT_MASK  (POOL_MAX_SLOTS - 1)
#define ALIGNMENT  16u

/* In front of each object; under HOLDFAST_FAULTS alone in the page. */
struct pool_slot {
    uint32_t generation; /* of the live object, or of the next one; never 0 */
    uint32_t next_free;  /* slot + 1, 0: none; only while free */
    void *object;        /* NULL while free */
};

/* A page is PAGE_SLOTS times slot_stride() bytes; struct pool_page has no definition. */

static size_t slot_stride(const struct pool *p)
{
#ifdef HOLDFAST_FAULTS
    (void)p;
    return sizeof(struct pool_slot);
#else
    size_t size = (p->object_size + ALIGNMENT - 1) & ~(size_t)(ALIGNMENT - 1);
    return sizeof(struct pool_slot) + size;
#endif
}

static struct pool_slot *slot_at(const struct pool *p, uint32_t index)
{
    unsigned char *bytes = (void *)p->pages[index >> PAGE_SHIFT];
    return (struct pool_slot *)(void *)(bytes + (index & (PAGE_SLOTS - 1)) * slot_stride(p));
}

static void *object_new(const struct pool *p, struct pool_slot *slot)
{
#ifdef HOLDFAST_FAULTS
    (void)slot;
    return mem_zalloc(p->object_size);
#else
    return memset(slot + 1, 0, p->object_size);
#endif
}

static void object_free(struct pool_slot *slot)
{
#ifdef HOLDFAST_FAULTS
    mem_free(slot->object);
#endif
    slot->object = NULL;
}

static uint64_t slot_id(const struct pool *p, uint32_t index, uint32_t generation)
{
    return (uint64_t)p->worker << 56 | (uint64_t)generation << POOL_SLOT_BITS | index;
}

void pool_init(struct pool *p, size_t object_size, uint32_t worker, uint32_t max,
               uint32_t first_generation)
{
    assert(worker < 64 && object_size < SIZE_MAX / PAGE_SLOTS / 2);
    *p = (struct pool){
        .object_size = object_size,
        .worker = worker,
        .max = max == 0 || max > POOL_MAX_SLOTS - 1 ? POOL_MAX_SLOTS - 1 : max,
        .first_generation = first_generation != 0 ? first_generation : 1,
    };
}

void pool_fini(struct pool *p)
{
    assert(p->live == 0);
    for (uint32_t i = 0; i < p->npages; i++)
        mem_free(p->pages[i]);
    mem_free(p->pages);
    p->pages = NULL;
    p->npages = 0;
    p->free_head = 0;
}

/* The array of pages doubles whenever their number reaches a power of two. */
static bool add_page(struct pool *p)
{
    uint32_t n = p->npages;
    uint32_t first = n << PAGE_SHIFT;
    struct pool_page *page;

    if ((n & (n - 1)) == 0) {
        size_t cap = n != 0 ? (size_t)n * 2 : 1;
        struct pool_page **pages = mem_realloc(p->pages, cap * sizeof(struct pool_page *));
        if (pages == NULL)
            return false;
        p->pages = pages;
    }
    page = mem_alloc(PAGE_SLOTS * slot_stride(p));
    if (page == NULL)
        return false;
    p->pages[n] = page;
    p->npages = n + 1;
    for (uint32_t i = PAGE_SLOTS; i-- > 0;) {
        struct pool_slot *slot = slot_at(p, first + i);
        *slot = (struct pool_slot){p->first_generation, p->free_head, NULL};
        p->free_head = first + i + 1;
    }
    return true;
}

void *pool_new(struct pool *p, uint64_t *id)
{
    struct pool_slot *slot;
    void *object;
    uint32_t index;

    if (p->live >= p->max || (p->free_head == 0 && !add_page(p)))
        return NULL;
    index = p->free_head - 1;
    slot = slot_at(p, index);
    object = object_new(p, slot);
    if (object == NULL)
        return NULL;
    slot->object = object;
    p->free_head = slot->next_free;
    p->live++;
    *id = slot_id(p, index, slot->generation);
    return object;
}

static struct pool_slot *find_slot(const struct pool *p, uint64_t id)
{
    uint32_t index = (uint32_t)id & SLOT_MASK;
    struct pool_slot *slot;

    if (pool_id_worker(id) != p->worker || index >> PAGE_SHIFT >= p->npages)
        return NULL;
    slot = slot_at(p, index);
    /* An id can come from a peer's message, so the generation of a free slot can be guessed. */
    if (slot->generation != (uint32_t)(id >> POOL_SLOT_BITS) || slot->object == NULL)
        return NULL;
    return slot;
}

void pool_free(struct pool *p, uint64_t id)
{
    struct pool_slot *slot = find_slot(p, id);

    assert(slot != NULL);
    object_free(slot);
    if (++slot->generation == 0)
        slot->generation = 1;
    slot->next_free = p->free_head;
    p->free_head = ((uint32_t)id & SLOT_MASK) + 1;
    p->live--;
}

void *pool_find(const struct pool *p, uint64_t id)
{
    struct pool_slot *slot = find_slot(p, id);
    return slot != NULL ? slot->object : NULL;
}

void pool_each(struct pool *p, void (*fn)(void *object, uint64_t id, void *user), void *user)
{
    uint32_t at = 0;
    while (pool_each_some(p, &at, POOL_MAX_SLOTS, fn, user))
        continue;
}

bool pool_each_some(struct pool *p, uint32_t *at, uint32_t n,
                    void (*fn)(void *object, uint64_t id, void *user), void *user)
{
    for (; *at < p->npages << PAGE_SHIFT && n != 0; ++*at, n--) {
        const struct pool_slot *slot = slot_at(p, *at);
        if (slot->object != NULL)
            fn(slot->object, slot_id(p, *at, slot->generation), user);
    }
    return *at < p->npages << PAGE_SHIFT;
}
