/* SPDX-License-Identifier: Apache-2.0 */
#include "base/field.h"

#include <stdio.h>

#include "base/buf.h"
#include "base/err.h"

#define CUT         "\xe2\x80\xa6" /* U+2026, "…" */
#define PIECE_BYTES 256u           /* given to the sink at a time */

/* --- characters ---------------------------------------------------------------------------- */

/* Bytes of the well-formed UTF-8 sequence (RFC 3629 section 4) at `p`, 0: there is none. */
static unsigned utf8_length(const unsigned char *p, size_t left)
{
    unsigned n;
    unsigned low = 0x80, high = 0xbf; /* of the second byte */

    if (p[0] < 0x80)
        return 1;
    if (p[0] < 0xc2 || p[0] > 0xf4)
        return 0;
    n = p[0] < 0xe0 ? 2 : p[0] < 0xf0 ? 3 : 4;
    if (p[0] == 0xe0)
        low = 0xa0;
    else if (p[0] == 0xed)
        high = 0x9f;
    else if (p[0] == 0xf0)
        low = 0x90;
    else if (p[0] == 0xf4)
        high = 0x8f;
    if (left < n || p[1] < low || p[1] > high)
        return 0;
    for (unsigned i = 2; i < n; i++) {
        if (p[i] < 0x80 || p[i] > 0xbf)
            return 0;
    }
    return n;
}

/* C0, DEL and C1, which terminals obey. */
static bool is_control(const unsigned char *p, unsigned n)
{
    return (n == 1 && (p[0] < 0x20 || p[0] == 0x7f)) || (n == 2 && p[0] == 0xc2 && p[1] < 0xa0);
}

static void put_escape(struct buf *b, enum field_form form, unsigned char byte)
{
    buf_str(b, form == FIELD_JSON ? "\\u00" : "\\x");
    buf_hex(b, byte, 2);
}

unsigned field_char(enum field_form form, const char *at, size_t left, char out[FIELD_CHAR_MAX],
                    unsigned *len)
{
    const unsigned char *p = (const unsigned char *)at;
    unsigned n = utf8_length(p, left);
    struct buf b;

    buf_init(&b, out, FIELD_CHAR_MAX);
    if (n == 0) {
        if (form == FIELD_JSON)
            buf_lit(&b, "\\ufffd");
        else
            put_escape(&b, form, p[0]);
        n = 1;
    } else if (p[0] == '"' || p[0] == '\\') {
        buf_char(&b, '\\');
        buf_char(&b, at[0]);
    } else if (p[0] == '\n') {
        buf_lit(&b, "\\n");
    } else if (p[0] == '\r') {
        buf_lit(&b, "\\r");
    } else if (p[0] == '\t') {
        buf_lit(&b, "\\t");
    } else if (is_control(p, n)) {
        put_escape(&b, form, p[n - 1]);
    } else {
        buf_add(&b, p, n);
    }
    *len = (unsigned)b.len;
    return n;
}

bool field_escape(enum field_form form, struct slice s, field_put_fn *put, void *user)
{
    char piece[PIECE_BYTES];
    size_t used = 0;
    unsigned len;

    for (size_t i = 0; i < s.len;) {
        if (used + FIELD_CHAR_MAX > sizeof(piece)) {
            if (!put(user, piece, used))
                return false;
            used = 0;
        }
        i += field_char(form, s.ptr + i, s.len - i, piece + used, &len);
        used += len;
    }
    return used == 0 || put(user, piece, used);
}

/* --- values -------------------------------------------------------------------------------- */

static struct slice int_text(int64_t num, char room[FIELD_ROOM])
{
    struct buf b;
    buf_init(&b, room, FIELD_ROOM);
    if (num < 0)
        buf_char(&b, '-');
    buf_u64(&b, num < 0 ? -(uint64_t)num : (uint64_t)num);
    return buf_get(&b);
}

struct slice field_value(const struct field *f, char room[FIELD_ROOM])
{
    _Static_assert(FIELD_ROOM >= ADDR_TEXT_MAX && FIELD_ROOM >= 64, "addr_write, err_text");
    switch (f->kind) {
    case FIELD_STR: return slice_str(f->v.str);
    case FIELD_SLICE: return f->v.slice;
    case FIELD_INT: return int_text(f->v.num, room);
    case FIELD_BOOL: return slice_str(f->v.num != 0 ? "true" : "false");
    case FIELD_ADDR:
        if (f->v.addr == NULL || f->v.addr->family == ADDR_NONE)
            return SLICE_NONE;
        return slice_str(addr_write(f->v.addr, room));
    case FIELD_ERR: return slice_str(err_text((int)f->v.num, room, FIELD_ROOM));
    }
    return SLICE_NONE;
}

bool field_is_quoted(enum field_form form, const struct field *f, struct slice value)
{
    const unsigned char *p = (const unsigned char *)value.ptr;

    if (form == FIELD_JSON)
        return f->kind != FIELD_INT && f->kind != FIELD_BOOL;
    for (size_t i = 0; i < value.len; i++) {
        if (p[i] <= ' ' || p[i] >= 0x7f || p[i] == '"' || p[i] == '\\' || p[i] == '=')
            return true;
    }
    return value.len == 0;
}

bool field_json(const struct field *f, field_put_fn *put, void *user)
{
    char room[FIELD_ROOM];
    struct slice s = field_value(f, room);

    if (!field_is_quoted(FIELD_JSON, f, s))
        return field_escape(FIELD_JSON, s, put, user);
    return put(user, "\"", 1) && field_escape(FIELD_JSON, s, put, user) && put(user, "\"", 1);
}

/* --- rows ---------------------------------------------------------------------------------- */

/* False: the line is full. */
static bool line_add(struct buf *b, struct slice s)
{
    buf_slice(b, s);
    return !b->overflow;
}

static bool line_value(struct buf *b, const struct field *f)
{
    char room[FIELD_ROOM], piece[FIELD_CHAR_MAX];
    struct slice s = field_value(f, room);
    bool quoted = field_is_quoted(FIELD_TEXT, f, s);
    unsigned len;

    if (quoted)
        buf_char(b, '"');
    for (size_t i = 0; i < s.len && !b->overflow;) {
        i += field_char(FIELD_TEXT, s.ptr + i, s.len - i, piece, &len);
        buf_add(b, piece, len);
    }
    if (quoted && !b->overflow)
        buf_char(b, '"');
    return !b->overflow;
}

size_t row_line(const char *set, unsigned n, const struct field *fields, char *room, size_t cap)
{
    struct buf b;
    buf_init(&b, room, cap - sizeof(CUT));
    bool fits = line_add(&b, slice_str(set));

    for (unsigned i = 0; fits && i < n; i++)
        fits = line_add(&b, SLICE(" ")) && line_add(&b, slice_str(fields[i].name)) &&
               line_add(&b, SLICE("=")) && line_value(&b, &fields[i]);
    if (!fits) {
        memcpy(room + b.len, CUT, sizeof(CUT) - 1);
        b.len += sizeof(CUT) - 1;
    }
    room[b.len] = '\0';
    return b.len;
}

/* --- times --------------------------------------------------------------------------------- */

/* Days to date by the calendar's 400 years of 146,097 days, counted from a 1st of March: no lock
 * and no table of the C library's time zones. */
const char *field_time(uint64_t wall_ms, char room[FIELD_TIME_MAX])
{
    uint64_t seconds = wall_ms / 1000;
    uint64_t days = seconds / 86400 + 719468; /* since 1 March of year 0 */
    uint64_t era = days / 146097;
    uint64_t day = days % 146097;
    uint64_t year = (day - day / 1460 + day / 36524 - day / 146096) / 365;
    uint64_t month;

    room[0] = '\0';
    if (wall_ms == 0)
        return room;
    day -= 365 * year + year / 4 - year / 100;
    month = (5 * day + 2) / 153; /* 0: March */
    day -= (153 * month + 2) / 5;
    year += era * 400 + (month >= 10);
    month = month >= 10 ? month - 9 : month + 3;
    snprintf(room, FIELD_TIME_MAX, "%04u-%02u-%02uT%02u:%02u:%02u.%03uZ", (unsigned)year % 10000,
             (unsigned)month, (unsigned)day + 1, (unsigned)(seconds / 3600 % 24),
             (unsigned)(seconds / 60 % 60), (unsigned)(seconds % 60), (unsigned)(wall_ms % 1000));
    return room;
}
