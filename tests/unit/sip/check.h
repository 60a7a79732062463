/* SPDX-License-Identifier: Apache-2.0 */
/* What the tests of the grammar share: cmocka with its headers, and comparison of slices.
 *
 * owns: nothing. thread: one. */
#ifndef TEST_SIP_CHECK_H
#define TEST_SIP_CHECK_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/slice.h"

/* The slice has exactly these bytes. */
#define assert_slice(s, text) check_slice((s), slice_str(text), __FILE__, __LINE__)

static inline void check_slice(struct slice got, struct slice want, const char *file, int line)
{
    if (!slice_eq(got, want)) {
        print_error("got '%.*s', want '%.*s'\n", SLICE_ARG(got), SLICE_ARG(want));
        _fail(file, line);
    }
}

/* A copy that ends where its allocation ends, so that a sanitizer sees a byte read too many. The
 * caller frees it. */
static inline char *exact_copy(const char *bytes, size_t len)
{
    char *copy = malloc(len != 0 ? len : 1);
    assert_non_null(copy);
    if (len != 0)
        memcpy(copy, bytes, len);
    return copy;
}

#endif
