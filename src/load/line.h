/* SPDX-License-Identifier: Apache-2.0 */
/* The line in which new calls stand while a worker lags, so that what belongs to calls that exist
 * is looked at first.
 *
 * First in, first out, in one ring of bytes of a fixed size; what stands there is copied.
 * owns: the ring. thread: one worker. RFC 6357 section 4 (who is served first under overload). */
#ifndef LOAD_LINE_H
#define LOAD_LINE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "base/slice.h"

#define LOAD_LINE_BYTES (4u << 20)
/* Only those that may not be refused (`last`) get the rest. */
#define LOAD_LINE_REST (256u << 10)

struct load_line {
    char *ring;             /* NULL: not made yet */
    size_t head, tail, end; /* bytes; where tail < head what is behind `end` is not used */
    unsigned n;
};

struct load_waiting {
    uint64_t since; /* ms */
    struct slice bytes;
};

void load_line_init(struct load_line *line);
void load_line_fini(struct load_line *line);
/* Copies `a` and `b`, one behind the other, to the end of the line. 0; ERR_FULL; ERR_NOMEM. */
int load_line_put(struct load_line *line, uint64_t now, struct slice a, struct slice b,
                  bool last) WARN_UNUSED;
/* The first one; its bytes are aligned for any object and live until it is dropped. False: nobody
 * is there. */
bool load_line_first(const struct load_line *line, struct load_waiting *out);
void load_line_drop(struct load_line *line);

static inline bool load_line_is_empty(const struct load_line *line)
{
    return line->n == 0;
}

#endif
