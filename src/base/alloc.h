/* SPDX-License-Identifier: Apache-2.0 */
/* The only door to malloc, so that a test can make the n-th allocation fail.
 *
 * owns: nothing. thread: any; the failure plan is per thread. */
#ifndef BASE_ALLOC_H
#define BASE_ALLOC_H

#include <stddef.h>
#include <stdint.h>

#include "base/slice.h"

/* All return NULL when there is no memory. */
void *mem_alloc(size_t size) __attribute__((malloc, warn_unused_result));
void *mem_zalloc(size_t size) __attribute__((malloc, warn_unused_result));
void *mem_realloc(void *ptr, size_t size) __attribute__((warn_unused_result));
char *mem_strdup(struct slice s) __attribute__((warn_unused_result)); /* terminated by NUL */
void mem_free(void *ptr);                                             /* NULL is allowed */

/* Build flag HOLDFAST_FAULTS only: from now on this thread's n-th allocation (1 = the next) fails,
 * once; 0 = never. Without the flag a no-op. */
void mem_fail_at(uint64_t n);
/* Has the planned failure happened since mem_fail_at? */
_Bool mem_failed(void);

#endif
