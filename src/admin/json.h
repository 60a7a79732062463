/* SPDX-License-Identifier: Apache-2.0 */
/* Rows as JSON (RFC 8259), into text that grows.
 *
 * Numbers and truth values are what they are, all else is a string; bytes that are no UTF-8 become
 * U+FFFD and control characters are escaped, so that no row has a line end in it.
 * owns: the text. thread: one. */
#ifndef ADMIN_JSON_H
#define ADMIN_JSON_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/field.h"

/* Text that grows up to a bound: all of it zero but `max`, until admin_text_fini. */
struct admin_text {
    char *ptr;
    size_t len, cap, max;
    uint64_t left_out; /* rows that did not fit; counted by who adds them */
};
/* Room for `len` more bytes behind those that are there; false: over the bound, or no memory. */
bool admin_text_room(struct admin_text *t, size_t len);
/* Adds bytes or nothing; false likewise. */
bool admin_text_add(struct admin_text *t, const void *ptr, size_t len);
void admin_text_fini(struct admin_text *t);

/* {"name":value,…}; false: it does not fit, and nothing is added. */
bool json_row(struct admin_text *out, unsigned n, const struct field *fields);
/* A string in quotes. */
bool json_text(struct admin_text *out, struct slice s);

#endif
