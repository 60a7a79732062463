/* SPDX-License-Identifier: Apache-2.0 */
/* Private face of the parser: finding a character fast, reading words, comparing header names.
 *
 * The vector path needs SSE2 only, which every x86-64 has; elsewhere words of eight bytes do the
 * same. No function looks at a byte at or behind `end`. owns: nothing. thread: any; pure. */
#ifndef SIP_SCAN_H
#define SIP_SCAN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "sip/method.h"

#if defined(__SSE2__)
#include <emmintrin.h>
#endif

#define SCAN_ONES  0x0101010101010101ULL
#define SCAN_HIGHS 0x8080808080808080ULL

/* Is any byte of the word equal to c? */
static inline bool scan_word_has(uint64_t word, char c)
{
    uint64_t x = word ^ (SCAN_ONES * (unsigned char)c);
    return ((x - SCAN_ONES) & ~x & SCAN_HIGHS) != 0;
}

/* First `a` or `b` in [p, end), or end. */
static inline const char *scan_either_portable(const char *p, const char *end, char a, char b)
{
    while (end - p >= 8) {
        uint64_t word;
        memcpy(&word, p, sizeof(word));
        if (scan_word_has(word, a) || scan_word_has(word, b))
            break;
        p += 8;
    }
    while (p < end && *p != a && *p != b)
        p++;
    return p;
}

#if defined(__SSE2__)
/* Body of a scan: HITS(p) gives a bit for each of the sixteen bytes at p that is searched for. The
 * last block overlaps the one before, where nothing was found. Falls through for less than sixteen
 * bytes. */
#define SCAN_BLOCKS(p, end, HITS)                               \
    do {                                                        \
        unsigned hits_ = 0;                                     \
        if ((end) - (p) < 16)                                   \
            break;                                              \
        const char *last_ = (end)-16;                           \
        while ((p) < last_ && (hits_ = HITS(p)) == 0)           \
            (p) += 16;                                          \
        if (hits_ == 0)                                         \
            hits_ = HITS((p) = last_);                          \
        return hits_ != 0 ? (p) + __builtin_ctz(hits_) : (end); \
    } while (0)

static inline __m128i scan_load(const char *p)
{
    return _mm_loadu_si128((const __m128i *)(const void *)p);
}

static inline __m128i scan_eq(__m128i x, char c)
{
    return _mm_cmpeq_epi8(x, _mm_set1_epi8(c));
}

/* Bytes up to the blank. */
static inline __m128i scan_low(__m128i x)
{
    return _mm_cmpeq_epi8(_mm_min_epu8(x, _mm_set1_epi8(' ')), x);
}

static inline unsigned scan_mask(__m128i x)
{
    return (unsigned)_mm_movemask_epi8(x);
}

static inline unsigned scan_hits_either(const char *p, char a, char b)
{
    __m128i x = scan_load(p);
    return scan_mask(_mm_or_si128(scan_eq(x, a), scan_eq(x, b)));
}

static inline unsigned scan_hits_word_end(const char *p)
{
    __m128i x = scan_load(p);
    return scan_mask(_mm_or_si128(scan_low(x), scan_eq(x, 0x7f)));
}

static inline unsigned scan_hits_uri_end(const char *p)
{
    __m128i x = scan_load(p);
    __m128i brackets = _mm_or_si128(scan_eq(x, '<'), scan_eq(x, '>'));
    __m128i others = _mm_or_si128(scan_eq(x, '"'), scan_eq(x, 0x7f));
    return scan_mask(_mm_or_si128(_mm_or_si128(brackets, others), scan_low(x)));
}

static inline __m128i scan_range(__m128i x, char first, char last)
{
    __m128i above = _mm_sub_epi8(x, _mm_set1_epi8(first));
    return _mm_cmpeq_epi8(_mm_min_epu8(above, _mm_set1_epi8((char)(last - first))), above);
}

/* All but letters, digits, '-', '.' and '_'. */
static inline unsigned scan_hits_not_plain(const char *p)
{
    __m128i x = scan_load(p);
    __m128i letters = scan_range(_mm_or_si128(x, _mm_set1_epi8(0x20)), 'a', 'z');
    __m128i others = _mm_or_si128(scan_range(x, '-', '9'), scan_eq(x, '_'));
    __m128i plain = _mm_or_si128(letters, _mm_andnot_si128(scan_eq(x, '/'), others));
    return scan_mask(plain) ^ 0xffff;
}

static inline unsigned scan_hits_quoted_stop(const char *p)
{
    __m128i x = scan_load(p);
    __m128i ends = _mm_or_si128(scan_eq(x, '"'), scan_eq(x, '\\'));
    return scan_mask(_mm_or_si128(_mm_or_si128(ends, scan_eq(x, 0x7f)), scan_range(x, 0, 0x1f)));
}

static inline unsigned scan_hits_list_stop(const char *p)
{
    __m128i x = scan_load(p);
    return scan_mask(_mm_or_si128(_mm_or_si128(scan_eq(x, ','), scan_eq(x, '"')),
                                  _mm_or_si128(scan_eq(x, '<'), scan_eq(x, '('))));
}
#endif

static inline const char *scan_either(const char *p, const char *end, char a, char b)
{
#if defined(__SSE2__)
#define HITS(at) scan_hits_either((at), a, b)
    SCAN_BLOCKS(p, end, HITS);
#undef HITS
#endif
    return scan_either_portable(p, end, a, b);
}

/* First CR or LF. */
static inline const char *scan_eol(const char *p, const char *end)
{
    return scan_either(p, end, '\r', '\n');
}

static inline const char *scan_char(const char *p, const char *end, char c)
{
    return scan_either(p, end, c, c);
}

/* First character that is a blank, a control or DEL. */
static inline const char *scan_word_end(const char *p, const char *end)
{
#if defined(__SSE2__)
    SCAN_BLOCKS(p, end, scan_hits_word_end);
#endif
    while (p < end && (unsigned char)*p > ' ' && *p != 0x7f)
        p++;
    return p;
}

/* First character that no URI holds: a blank, a control, DEL, a quote or an angle bracket. */
static inline const char *scan_uri_end(const char *p, const char *end)
{
#if defined(__SSE2__)
    SCAN_BLOCKS(p, end, scan_hits_uri_end);
#endif
    while (p < end && (unsigned char)*p > ' ' && *p != 0x7f && *p != '<' && *p != '>' && *p != '"')
        p++;
    return p;
}

/* First character with which a list of elements has to be looked at closely: a comma, or what opens
 * a part that may hold one. */
static inline const char *scan_list_stop(const char *p, const char *end)
{
#if defined(__SSE2__)
    SCAN_BLOCKS(p, end, scan_hits_list_stop);
#endif
    while (p < end && *p != ',' && *p != '"' && *p != '<' && *p != '(')
        p++;
    return p;
}

/* First character at which a quoted string may end: a quote, a backslash, a control or DEL. */
static inline const char *scan_quoted_stop(const char *p, const char *end)
{
#if defined(__SSE2__)
    SCAN_BLOCKS(p, end, scan_hits_quoted_stop);
#endif
    while (p < end && *p != '"' && *p != '\\' && (unsigned char)*p >= 0x20 && *p != 0x7f)
        p++;
    return p;
}

/* First LF whose second next byte is an LF too: where "\r\n\r\n" may be. `end` when there is none.
 */
static inline const char *scan_lf_pair(const char *p, const char *end)
{
#if defined(__SSE2__)
    const __m128i lf = _mm_set1_epi8('\n');
    while (end - p >= 18) {
        __m128i x = _mm_loadu_si128((const __m128i *)(const void *)p);
        __m128i y = _mm_loadu_si128((const __m128i *)(const void *)(p + 2));
        int hits = _mm_movemask_epi8(_mm_and_si128(_mm_cmpeq_epi8(x, lf), _mm_cmpeq_epi8(y, lf)));
        if (hits != 0)
            return p + __builtin_ctz((unsigned)hits);
        p += 16;
    }
#endif
    for (; end - p >= 3; p++) {
        if (p[0] == '\n' && p[2] == '\n')
            return p;
    }
    return end;
}

/* First LF that a line of Content-Length may follow: the next character is 'c' or 'l' in either
 * case. `end` when there is none. */
static inline const char *scan_length_line(const char *p, const char *end)
{
#if defined(__SSE2__)
    const __m128i lf = _mm_set1_epi8('\n'), fold = _mm_set1_epi8(0x20);
    const __m128i c = _mm_set1_epi8('c'), l = _mm_set1_epi8('l');
    while (end - p >= 17) {
        __m128i x = _mm_loadu_si128((const __m128i *)(const void *)p);
        __m128i y = _mm_loadu_si128((const __m128i *)(const void *)(p + 1));
        y = _mm_or_si128(y, fold);
        y = _mm_or_si128(_mm_cmpeq_epi8(y, c), _mm_cmpeq_epi8(y, l));
        int hits = _mm_movemask_epi8(_mm_and_si128(_mm_cmpeq_epi8(x, lf), y));
        if (hits != 0)
            return p + __builtin_ctz((unsigned)hits);
        p += 16;
    }
#endif
    for (; end - p >= 2; p++) {
        if (p[0] == '\n' && ((p[1] | 0x20) == 'c' || (p[1] | 0x20) == 'l'))
            return p;
    }
    return end;
}

/* Longest known header name; names are compared in words of eight bytes up to here. */
#define SCAN_NAME_MAX 24

/* The id of the name of `len` bytes at p, 1 to SCAN_NAME_MAX; SCAN_NAME_MAX bytes at p can be read
 * (they may be anything behind the name). The other one reads `len` bytes only. */
enum sip_hdr_id sip_hdr_lookup(const char *p, size_t len);
enum sip_hdr_id sip_hdr_lookup_short(const char *p, size_t len);

static inline enum sip_hdr_id scan_hdr_id(const char *p, size_t len, const char *end)
{
    if (len - 1 >= SCAN_NAME_MAX)
        return SIP_H_OTHER;
    return end - p >= SCAN_NAME_MAX ? sip_hdr_lookup(p, len) : sip_hdr_lookup_short(p, len);
}

/* 1*DIGIT up to `max`; false otherwise. */
static inline bool scan_u32(const char *p, const char *end, uint32_t max, uint32_t *out)
{
    uint64_t value = 0;
    if (p == end)
        return false;
    for (; p < end; p++) {
        unsigned digit = (unsigned)(unsigned char)*p - '0';
        if (digit > 9)
            return false;
        value = value * 10 + digit;
        if (value > max)
            return false;
    }
    *out = (uint32_t)value;
    return true;
}

#endif
