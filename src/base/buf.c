/* SPDX-License-Identifier: Apache-2.0 */
#include "base/buf.h"

#include <stdarg.h>
#include <stdio.h>

void buf_str(struct buf *b, const char *str)
{
    buf_slice(b, slice_str(str));
}

void buf_u64(struct buf *b, uint64_t value)
{
    char digits[20];
    size_t at = sizeof(digits);

    do {
        digits[--at] = (char)('0' + value % 10);
        value /= 10;
    } while (value != 0);
    buf_add(b, digits + at, sizeof(digits) - at);
}

void buf_hex(struct buf *b, uint64_t value, unsigned digits)
{
    char text[16];

    if (digits > sizeof(text)) {
        b->overflow = true;
        return;
    }
    for (unsigned i = digits; i-- > 0; value >>= 4)
        text[i] = "0123456789abcdef"[value & 15];
    buf_add(b, text, digits);
}

void buf_printf(struct buf *b, const char *fmt, ...)
{
    size_t room = b->cap - b->len;
    va_list args;
    int n;

    va_start(args, fmt);
    n = vsnprintf(room != 0 ? b->ptr + b->len : NULL, room, fmt, args);
    va_end(args);
    if (n < 0 || (size_t)n >= room)
        b->overflow = true;
    else
        b->len += (size_t)n;
}
