/* SPDX-License-Identifier: Apache-2.0 */
/* A pointer with a length into somebody else's bytes.
 *
 * owns: nothing. borrows: the bytes. thread: any; values only. */
#ifndef BASE_SLICE_H
#define BASE_SLICE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

struct slice {
    const char *ptr; /* not terminated by NUL; may be NULL when len is 0 */
    size_t len;      /* bytes */
};

/* A slice over a string literal. */
#define SLICE(lit) ((struct slice){(lit), sizeof(lit) - 1})
#define SLICE_NONE ((struct slice){NULL, 0})
/* For printf: "%.*s", SLICE_ARG(s) */
#define SLICE_ARG(s) (int)(s).len, ((s).ptr != NULL ? (s).ptr : "")

static inline struct slice slice_of(const char *ptr, size_t len)
{
    return (struct slice){ptr, len};
}

/* A slice over a NUL-terminated string; NULL gives the empty slice. */
static inline struct slice slice_str(const char *str)
{
    return (struct slice){str, str != NULL ? strlen(str) : 0};
}

static inline bool slice_eq(struct slice a, struct slice b)
{
    return a.len == b.len && (a.len == 0 || memcmp(a.ptr, b.ptr, a.len) == 0);
}

/* ASCII only, independent of the locale. */
static inline char ascii_lower(char c)
{
    return (c >= 'A' && c <= 'Z') ? (char)(c | 0x20) : c;
}

/* The same for eight bytes at once, whatever their order in the word. */
static inline uint64_t ascii_lower8(uint64_t x)
{
    const uint64_t ones = 0x0101010101010101ULL;
    uint64_t low7 = x & (0x7f * ones);
    uint64_t from_a = low7 + (0x80 - 'A') * ones;     /* top bit: 'A' or above */
    uint64_t past_z = low7 + (0x80 - 'Z' - 1) * ones; /* top bit: above 'Z' */
    uint64_t upper = (from_a ^ past_z) & ~x & (0x80 * ones);
    return x | (upper >> 2);
}

/* Are `len` bytes equal without regard to ASCII case? */
bool slice_ieq_bytes(const char *a, const char *b, size_t len);

/* Equal without regard to ASCII case. */
static inline bool slice_ieq(struct slice a, struct slice b)
{
    return a.len == b.len && slice_ieq_bytes(a.ptr, b.ptr, a.len);
}

/* Does `s` begin with `prefix`, byte by byte / without regard to ASCII case? */
static inline bool slice_starts(struct slice s, struct slice prefix)
{
    return s.len >= prefix.len && (prefix.len == 0 || memcmp(s.ptr, prefix.ptr, prefix.len) == 0);
}
static inline bool slice_istarts(struct slice s, struct slice prefix)
{
    return s.len >= prefix.len && slice_ieq_bytes(s.ptr, prefix.ptr, prefix.len);
}

/* Without leading and trailing SP, HTAB, CR, LF. */
struct slice slice_trim_blanks(struct slice s);
static inline struct slice slice_trim(struct slice s)
{
    bool has_none = s.len == 0 ||
                    ((unsigned char)s.ptr[0] > ' ' && (unsigned char)s.ptr[s.len - 1] > ' ');
    return has_none ? s : slice_trim_blanks(s);
}

/* Index of the first `c`, or -1. */
ptrdiff_t slice_chr(struct slice s, char c);

/* Decimal number, digits only, at least one. Returns 0, or ERR_PARSE (no digit or another
 * character), or ERR_RANGE (above `max`). `*out` is written only on 0. */
int slice_u64(struct slice s, uint64_t max, uint64_t *out) __attribute__((warn_unused_result));

/* Copies into `dst` of `cap` bytes and terminates by NUL. Returns false, with dst truncated but
 * terminated, when it does not fit; false too when `s` holds a NUL, which would end the copy early.
 */
bool slice_cstr(struct slice s, char *dst, size_t cap);

/* Next element of a list separated by commas or blanks (configuration values); advances `*rest`.
 * Returns false at the end. */
bool slice_next_word(struct slice *rest, struct slice *word);

#endif
