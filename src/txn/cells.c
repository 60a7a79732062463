/* SPDX-License-Identifier: Apache-2.0 */
#include "txn/cells.h"

#include <assert.h>

#include "base/alloc.h"

#define KEEP_FREE 4096u /* of each size */

struct cell {
    struct cell *next;
};

void cells_init(struct cells *c)
{
    *c = (struct cells){0};
}

void cells_fini(struct cells *c)
{
    assert(c->in_use == 0);
    for (unsigned class = 0; class < CELL_CLASSES; class ++) {
        while (c->free[class] != NULL) {
            struct cell *cell = c->free[class];
            c->free[class] = cell->next;
            mem_free(cell);
        }
    }
    cells_init(c);
}

/* CELL_CLASSES for one that is not cached. */
static size_t class_of(size_t size)
{
#ifdef HOLDFAST_FAULTS
    (void)size;
    return CELL_CLASSES;
#else
    size_t class = (size - 1) / CELL_STEP;
    return class < CELL_CLASSES ? class : CELL_CLASSES;
#endif
}

void *cell_new(struct cells *c, size_t size)
{
    size_t class = class_of(size);
    void *ptr;

    if (class < CELL_CLASSES && c->free[class] != NULL) {
        ptr = c->free[class];
        c->free[class] = c->free[class]->next;
        c->nfree[class]--;
    } else {
        ptr = mem_alloc(class < CELL_CLASSES ? (class + 1) * CELL_STEP : size);
    }
    if (ptr != NULL)
        c->in_use++;
    return ptr;
}

void cell_free(struct cells *c, void *ptr, size_t size)
{
    size_t class;
    struct cell *cell = ptr;

    if (ptr == NULL)
        return;
    class = class_of(size);
    c->in_use--;
    if (class < CELL_CLASSES && c->nfree[class] < KEEP_FREE) {
        cell->next = c->free[class];
        c->free[class] = cell;
        c->nfree[class]++;
    } else {
        mem_free(ptr);
    }
}
