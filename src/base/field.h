/* SPDX-License-Identifier: Apache-2.0 */
/* Named values: what log lines, events and the rows of dumps are made of.
 *
 * A dump tells of each thing by a row: the name of its set ("flow", "dn") and its values in the
 * order of the columns. What becomes of rows is up to the sink: a line of text, JSON, a table.
 * owns: nothing; all is borrowed until the call returns. thread: any. */
#ifndef BASE_FIELD_H
#define BASE_FIELD_H

#include <stdbool.h>
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

#endif
