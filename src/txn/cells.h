/* SPDX-License-Identifier: Apache-2.0 */
/* Small pieces of memory of about the right size, for what outlives the arena of its scope: the
 * last response while its transaction lingers, the ACK of a 2xx.
 *
 * Freed cells wait in a list for each size, so that in steady state nothing is taken from malloc.
 * Under HOLDFAST_FAULTS each cell is one malloc. owns: the free cells. thread: one worker. */
#ifndef TXN_CELLS_H
#define TXN_CELLS_H

#include <stddef.h>
#include <stdint.h>

#define CELL_STEP    128u /* bytes between the sizes */
#define CELL_CLASSES 16u  /* larger ones are taken from malloc and given back to it */

struct cell;

struct cells {
    struct cell *free[CELL_CLASSES];
    uint32_t nfree[CELL_CLASSES];
    size_t in_use; /* cells handed out */
};

void cells_init(struct cells *c);
void cells_fini(struct cells *c); /* all cells must have been given back */

/* 16-byte aligned; NULL when there is no memory. `size` > 0. */
void *cell_new(struct cells *c, size_t size) __attribute__((warn_unused_result));
/* With the size it was asked for; NULL is allowed. */
void cell_free(struct cells *c, void *cell, size_t size);

#endif
