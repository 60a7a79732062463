/* SPDX-License-Identifier: Apache-2.0 */
/* Output buffer over storage of the caller, with a sticky overflow flag that is tested once.
 *
 * owns: nothing. thread: one. */
#ifndef BASE_BUF_H
#define BASE_BUF_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/slice.h"

struct buf {
    char *ptr;
    size_t len, cap; /* bytes */
    bool overflow;   /* something did not fit; len never exceeds cap */
};

static inline void buf_init(struct buf *b, char *storage, size_t cap)
{
    *b = (struct buf){storage, 0, cap, false};
}

/* Room for the next `len` bytes, which the caller writes; NULL when they do not fit. */
static inline char *buf_take(struct buf *b, size_t len)
{
    if (len > b->cap - b->len) {
        b->overflow = true;
        return NULL;
    }
    char *p = b->ptr + b->len;
    b->len += len;
    return p;
}

static inline void buf_add(struct buf *b, const void *ptr, size_t len)
{
    char *p = buf_take(b, len);
    if (p != NULL && len != 0)
        memcpy(p, ptr, len);
}

static inline void buf_slice(struct buf *b, struct slice s)
{
    buf_add(b, s.ptr, s.len);
}

static inline void buf_char(struct buf *b, char c)
{
    char *p = buf_take(b, 1);
    if (p != NULL)
        *p = c;
}

#define buf_lit(b, lit) buf_add((b), "" lit, sizeof(lit) - 1)

void buf_str(struct buf *b, const char *str);
void buf_u64(struct buf *b, uint64_t value);
void buf_hex(struct buf *b, uint64_t value, unsigned digits); /* lower case, exactly `digits` */
/* Needs room for one byte more than it writes. */
void buf_printf(struct buf *b, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

static inline struct slice buf_get(const struct buf *b)
{
    return (struct slice){b->ptr, b->len};
}

#endif
