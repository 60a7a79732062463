/* SPDX-License-Identifier: Apache-2.0 */
/* Rows as text, a line each, for tests that look for what a room tells of itself.
 *
 * owns: the text. thread: one. */
#ifndef TESTS_ROWS_H
#define TESTS_ROWS_H

#include <stdbool.h>
#include <string.h>

#include "base/field.h"

struct rows {
    unsigned n;
    size_t len;
    char text[32768]; /* what does not fit is left out, and counted in n */
};

static inline void rows_take(void *user, const char *set, unsigned n, const struct field *fields)
{
    struct rows *r = user;
    size_t left = sizeof(r->text) - r->len;
    r->n++;
    if (left < 2048)
        return;
    r->len += row_line(set, n, fields, r->text + r->len, left - 1);
    r->text[r->len++] = '\n';
    r->text[r->len] = '\0';
}

/* Empty, and a sink into it. */
static inline struct row_sink rows_begin(struct rows *r)
{
    r->n = 0;
    r->len = 0;
    r->text[0] = '\0';
    return (struct row_sink){rows_take, r};
}

static inline bool rows_have(const struct rows *r, const char *text)
{
    return strstr(r->text, text) != NULL;
}

#endif
