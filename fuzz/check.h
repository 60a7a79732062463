/* SPDX-License-Identifier: Apache-2.0 */
/* What the fuzz targets share: checks that stop the process, and bytes that decide.
 *
 * owns: nothing. thread: one. */
#ifndef FUZZ_CHECK_H
#define FUZZ_CHECK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/slice.h"

/* Holds in every build, whatever NDEBUG says. */
#define CHECK(condition)                                                              \
    do {                                                                              \
        if (!(condition)) {                                                           \
            fprintf(stderr, "%s:%d: not true: %s\n", __FILE__, __LINE__, #condition); \
            abort();                                                                  \
        }                                                                             \
    } while (0)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Is the slice empty or inside the other one? */
static inline bool is_inside(struct slice part, struct slice whole)
{
    return part.len == 0 || (part.ptr >= whole.ptr && part.ptr + part.len <= whole.ptr + whole.len);
}

/* A copy that ends where its allocation ends. The caller frees it. */
static inline char *exact_copy(const void *bytes, size_t len)
{
    char *copy = malloc(len != 0 ? len : 1);
    CHECK(copy != NULL);
    if (len != 0)
        memcpy(copy, bytes, len);
    return copy;
}

/* Decisions that follow from a seed, the same in every run. */
struct decider {
    uint64_t state;
};

static inline uint32_t decide(struct decider *d, uint32_t bound)
{
    d->state = d->state * 6364136223846793005ULL + 1442695040888963407ULL;
    return (uint32_t)(d->state >> 33) % bound;
}

#endif
