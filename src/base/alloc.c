/* SPDX-License-Identifier: Apache-2.0 */
#include "base/alloc.h"

#include <stdlib.h>

#ifdef HOLDFAST_FAULTS

/* The plan of a test; not part of the program that is shipped. */
static _Thread_local struct {
    uint64_t countdown; /* 0: no failure planned */
    bool failed;
} fault_plan;

static bool must_fail(void)
{
    if (fault_plan.countdown == 0 || --fault_plan.countdown != 0)
        return false;
    fault_plan.failed = true;
    return true;
}

void mem_fail_at(uint64_t n)
{
    fault_plan.countdown = n;
    fault_plan.failed = false;
}

_Bool mem_failed(void)
{
    return fault_plan.failed;
}

#else

static inline bool must_fail(void)
{
    return false;
}

void mem_fail_at(uint64_t n)
{
    (void)n;
}

_Bool mem_failed(void)
{
    return false;
}

#endif

/* No object is larger than this: a size beyond is a sum that went wrong. */
static inline bool is_refused(size_t size)
{
    return size > PTRDIFF_MAX || must_fail();
}

/* Asking for nothing gets one byte, so that NULL always means failure. */
static inline size_t at_least_one(size_t size)
{
    return size != 0 ? size : 1;
}

void *mem_alloc(size_t size)
{
    return is_refused(size) ? NULL : malloc(at_least_one(size));
}

void *mem_zalloc(size_t size)
{
    return is_refused(size) ? NULL : calloc(1, at_least_one(size));
}

void *mem_realloc(void *ptr, size_t size)
{
    return is_refused(size) ? NULL : realloc(ptr, at_least_one(size));
}

char *mem_strdup(struct slice s)
{
    char *copy = s.len < SIZE_MAX ? mem_alloc(s.len + 1) : NULL;

    if (copy == NULL)
        return NULL;
    if (s.len != 0)
        memcpy(copy, s.ptr, s.len);
    copy[s.len] = '\0';
    return copy;
}

void mem_free(void *ptr)
{
    free(ptr);
}
