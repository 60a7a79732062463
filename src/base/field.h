/* SPDX-License-Identifier: Apache-2.0 */
/* Named values: what log lines, events and the rows of dumps are made of.
 *
 * A dump tells of each thing by a row: the name of its set ("flow", "dn") and its values in the
 * order of the columns. What becomes of rows is up to the sink: a line of text, JSON, a table.
 * owns: nothing; all is borrowed until the call returns. thread: any. */
#ifndef BASE_FIELD_H
#define BASE_FIELD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/addr.h"
#include "base/slice.h"

enum field_kind {
    FIELD_STR,
    FIELD_SLICE,
    FIELD_INT,
    FIELD_BOOL, /* "true" or "false" */
    FIELD_ADDR, /* "" where it has no family */
    FIELD_ERR   /* the text of an enum err */
};

struct field {
    const char *name; /* lower case, with its unit where it has one: "idle_ms", "unacked_bytes" */
    enum field_kind kind;
    union {
        const char *str; /* NULL: "" */
        struct slice slice;
        int64_t num;
        const struct addr *addr;
    } v;
};

#define LF_STR(n, s)   ((struct field){(n), FIELD_STR, {.str = (s)}})
#define LF_SLICE(n, s) ((struct field){(n), FIELD_SLICE, {.slice = (s)}})
#define LF_INT(n, i)   ((struct field){(n), FIELD_INT, {.num = (int64_t)(i)}})
#define LF_BOOL(n, b)  ((struct field){(n), FIELD_BOOL, {.num = (b)}})
#define LF_ADDR(n, a)  ((struct field){(n), FIELD_ADDR, {.addr = (a)}})
#define LF_ERR(n, e)   ((struct field){(n), FIELD_ERR, {.num = (e)}})

struct row_sink {
    void (*row)(void *user, const char *set, unsigned n, const struct field *fields);
    void *user;
};

/* ROW(sink, "flow", LF_INT("id", id), LF_ADDR("remote", &a)) */
#define ROW(sink, set, ...)                                                           \
    do {                                                                              \
        const struct row_sink *row_s_ = (sink);                                       \
        const struct field row_f_[] = {__VA_ARGS__};                                  \
        row_s_->row(row_s_->user, (set), sizeof(row_f_) / sizeof(row_f_[0]), row_f_); \
    } while (0)

/* --- values as text ------------------------------------------------------------------------ */

enum field_form {
    FIELD_TEXT, /* a line for eyes: quotes, backslashes and control characters escaped, a byte that
                   is not UTF-8 as \xHH */
    FIELD_JSON  /* inside a string of JSON (RFC 8259 section 7): a byte that is not UTF-8 becomes
                   U+FFFD */
};

#define FIELD_CHAR_MAX 6u /* "\u0000" */
/* One character of the `left` bytes (at least one) at `p` as it is written in that form. *len: how
 * many bytes that is. Returns how many bytes of the input it took. */
unsigned field_char(enum field_form form, const char *p, size_t left, char out[FIELD_CHAR_MAX],
                    unsigned *len);

/* The value as it is, nothing escaped; in `room` where it has no place of its own. */
#define FIELD_ROOM 64
struct slice field_value(const struct field *f, char room[FIELD_ROOM]);
/* Does it stand in quotes? In a line where it is empty or has a blank, "=", a quote, a backslash or
 * anything that is not ASCII; in JSON where it is neither a number nor true or false. */
bool field_is_quoted(enum field_form form, const struct field *f, struct slice value);

/* Where text goes, piece by piece, each of whole characters; false: it takes no more. The
 * functions below return false as soon as it does, else true. */
typedef bool field_put_fn(void *user, const void *ptr, size_t len);
/* The characters of a value, without quotes. */
bool field_escape(enum field_form form, struct slice s, field_put_fn *put, void *user);
/* The whole value, as JSON. */
bool field_json(const struct field *f, field_put_fn *put, void *user);

/* A row in one line: "flow id=1f transport=tcp last_error=\"connection reset by peer\"", with NUL,
 * in `cap` (at least 8) bytes of `room`; what does not fit is cut with "…". Returns its length. */
size_t row_line(const char *set, unsigned n, const struct field *fields, char *room, size_t cap);

/* RFC 3339 in UTC to the ms of so many milliseconds since 1970, with NUL, for 0 ""; returns room.
 */
#define FIELD_TIME_MAX 48
const char *field_time(uint64_t wall_ms, char room[FIELD_TIME_MAX]);

#endif
