/* SPDX-License-Identifier: Apache-2.0 */
#include "base/slice.h"

#include "base/err.h"

static inline bool ieq_words(uint64_t x, uint64_t y)
{
    return x == y || ascii_lower8(x) == ascii_lower8(y);
}

/* The first four and the last four of four to eight bytes. */
static inline uint64_t two_halves(const char *p, size_t len)
{
    uint32_t half[2];
    memcpy(&half[0], p, 4);
    memcpy(&half[1], p + len - 4, 4);
    return (uint64_t)half[0] << 32 | half[1];
}

bool slice_ieq_bytes(const char *a, const char *b, size_t len)
{
    uint64_t x, y;

    for (; len >= sizeof(x); a += sizeof(x), b += sizeof(x), len -= sizeof(x)) {
        memcpy(&x, a, sizeof(x));
        memcpy(&y, b, sizeof(y));
        if (!ieq_words(x, y))
            return false;
    }
    if (len >= 4)
        return ieq_words(two_halves(a, len), two_halves(b, len));
    for (; len > 0; a++, b++, len--) {
        if (*a != *b && ascii_lower(*a) != ascii_lower(*b))
            return false;
    }
    return true;
}

static bool is_blank(char c)
{
    return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

struct slice slice_trim_blanks(struct slice s)
{
    while (s.len > 0 && is_blank(s.ptr[0])) {
        s.ptr++;
        s.len--;
    }
    while (s.len > 0 && is_blank(s.ptr[s.len - 1]))
        s.len--;
    return s;
}

ptrdiff_t slice_chr(struct slice s, char c)
{
    const char *at = s.len != 0 ? memchr(s.ptr, c, s.len) : NULL;
    return at != NULL ? at - s.ptr : -1;
}

int slice_u64(struct slice s, uint64_t max, uint64_t *out)
{
    uint64_t value = 0;
    bool too_big = false;

    if (s.len == 0)
        return ERR_PARSE;
    for (size_t i = 0; i < s.len; i++) {
        unsigned digit = (unsigned)(unsigned char)s.ptr[i] - '0';
        if (digit > 9)
            return ERR_PARSE;
        if (value > (UINT64_MAX - digit) / 10)
            too_big = true;
        else
            value = value * 10 + digit;
    }
    if (too_big || value > max)
        return ERR_RANGE;
    *out = value;
    return 0;
}

bool slice_cstr(struct slice s, char *dst, size_t cap)
{
    size_t len = s.len;

    if (cap == 0)
        return false;
    if (len >= cap)
        len = cap - 1;
    if (len != 0)
        memcpy(dst, s.ptr, len);
    dst[len] = '\0';
    return len == s.len && slice_chr(s, '\0') < 0;
}

static bool is_separator(char c)
{
    return c == ',' || is_blank(c);
}

bool slice_next_word(struct slice *rest, struct slice *word)
{
    const char *at = rest->ptr;
    size_t left = rest->len;
    size_t len = 0;

    while (left > 0 && is_separator(*at)) {
        at++;
        left--;
    }
    while (len < left && !is_separator(at[len]))
        len++;
    *word = slice_of(at, len);
    *rest = left != len ? slice_of(at + len, left - len) : SLICE_NONE;
    return len != 0;
}
