/* SPDX-License-Identifier: Apache-2.0 */
#include "base/buf.h"

#include <endian.h>
#include <stdarg.h>
#include <stdio.h>

void buf_str(struct buf *b, const char *str)
{
    buf_slice(b, slice_str(str));
}

void buf_u64(struct buf *b, uint64_t value)
{
    size_t n = 1;
    char *p;

    for (uint64_t rest = value; rest > 9; rest /= 10)
        n++;
    p = buf_take(b, n);
    if (p == NULL)
        return;
    for (; n > 0; value /= 10)
        p[--n] = (char)('0' + value % 10);
}

/* The hexadecimal digits of 32 bits, each in a byte, the first one in the lowest. */
static uint64_t hex_digits(uint32_t value)
{
    const uint64_t ones = 0x0101010101010101ULL;
    uint64_t x = value;

    x = (x | x << 16) & 0x0000ffff0000ffffULL;
    x = (x | x << 8) & 0x00ff00ff00ff00ffULL;
    x = (x | x << 4) & (0x0f * ones);
    uint64_t letter = (x + 6 * ones) >> 4 & ones; /* 1 where the digit is above 9 */
    return htole64(__builtin_bswap64(x + '0' * ones + letter * ('a' - '0' - 10)));
}

void buf_hex(struct buf *b, uint64_t value, unsigned digits)
{
    uint64_t text[2] = {hex_digits((uint32_t)(value >> 32)), hex_digits((uint32_t)value)};

    if (digits > sizeof(text))
        b->overflow = true;
    else
        buf_add(b, (const char *)text + sizeof(text) - digits, digits);
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
