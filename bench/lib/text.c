/* SPDX-License-Identifier: Apache-2.0 */
#include "text.h"

#include <string.h>
#include <strings.h>

void out_init(struct out *o, char *buf, size_t cap)
{
    o->start = buf;
    o->p = buf;
    o->end = buf + cap;
    o->full = false;
}

void out_mem(struct out *o, const char *p, size_t n)
{
    if (o->full || (size_t)(o->end - o->p) < n) {
        o->full = true;
        return;
    }
    memcpy(o->p, p, n);
    o->p += n;
}

void out_str(struct out *o, struct str s)
{
    out_mem(o, s.p, s.n);
}

void out_text(struct out *o, const char *text)
{
    out_mem(o, text, strlen(text));
}

void out_uint(struct out *o, uint64_t v)
{
    char digits[20];
    size_t at = sizeof(digits);

    do {
        digits[--at] = (char)('0' + v % 10);
        v /= 10;
    } while (v > 0);
    out_mem(o, digits + at, sizeof(digits) - at);
}

size_t out_len(const struct out *o)
{
    return (size_t)(o->p - o->start);
}

bool text_uint(struct str s, uint64_t max, uint64_t *v)
{
    uint64_t sum = 0;
    size_t i;

    for (i = 0; i < s.n && s.p[i] >= '0' && s.p[i] <= '9'; i++) {
        sum = sum * 10 + (uint64_t)(s.p[i] - '0');
        if (sum > max)
            return false;
    }
    *v = sum;
    return i > 0;
}

const char *text_find(struct str s, const char *needle)
{
    size_t n = strlen(needle);

    for (size_t i = 0; i + n <= s.n; i++)
        if ((s.p[i] | 0x20) == (needle[0] | 0x20) && strncasecmp(s.p + i, needle, n) == 0)
            return s.p + i;
    return NULL;
}

bool text_eq_nocase(struct str s, const char *text)
{
    return strlen(text) == s.n && strncasecmp(s.p, text, s.n) == 0;
}

bool text_eq(struct str a, struct str b)
{
    return a.n == b.n && memcmp(a.p, b.p, a.n) == 0;
}

struct str text_trim(struct str s)
{
    while (s.n > 0 && (*s.p == ' ' || *s.p == '\t')) {
        s.p++;
        s.n--;
    }
    while (s.n > 0 && (s.p[s.n - 1] == ' ' || s.p[s.n - 1] == '\t' || s.p[s.n - 1] == '\r'))
        s.n--;
    return s;
}

uint64_t text_hash(struct str s)
{
    uint64_t h = 14695981039346656037ULL; /* FNV-1a, 64 bit */

    for (size_t i = 0; i < s.n; i++)
        h = (h ^ (unsigned char)s.p[i]) * 1099511628211ULL;
    return h ? h : 1;
}
