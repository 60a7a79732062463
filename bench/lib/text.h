/* SPDX-License-Identifier: Apache-2.0 */
/* Text pieces and an appending writer: all the string handling the bench programs need.
 *
 * owns: nothing; a struct str points into somebody's buffer
 * borrows: the buffer given to out_init
 * thread: any, no shared state
 * RFC sections: none
 */
#ifndef BENCH_TEXT_H
#define BENCH_TEXT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct str {
    const char *p;
    size_t n;
};

/* Writes into [p, end); once something did not fit, `full` stays set and nothing more is written.
 */
struct out {
    char *start;
    char *p;
    char *end;
    bool full;
};

void out_init(struct out *o, char *buf, size_t cap);
void out_mem(struct out *o, const char *p, size_t n);
void out_str(struct out *o, struct str s);
void out_text(struct out *o, const char *text);
void out_uint(struct out *o, uint64_t v);
size_t out_len(const struct out *o);

/* Decimal number at the start of s; false when there is none or it is above max. */
bool text_uint(struct str s, uint64_t max, uint64_t *v);

/* Position of `needle` in s without regard to case, or NULL. */
const char *text_find(struct str s, const char *needle);

bool text_eq_nocase(struct str s, const char *text);
bool text_eq(struct str a, struct str b);
struct str text_trim(struct str s);
uint64_t text_hash(struct str s);

#endif
