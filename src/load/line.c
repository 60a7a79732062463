/* SPDX-License-Identifier: Apache-2.0 */
#include "load/line.h"

#include "base/alloc.h"

#define ALIGNMENT 16u

struct entry {
    _Alignas(ALIGNMENT) uint64_t since;
    size_t len; /* bytes behind it */
};

static size_t size_of(size_t len)
{
    return (sizeof(struct entry) + len + ALIGNMENT - 1) & ~(size_t)(ALIGNMENT - 1);
}

static struct entry *entry_at(const struct load_line *line, size_t at)
{
    return (struct entry *)(void *)(line->ring + at);
}

void load_line_init(struct load_line *line)
{
    *line = (struct load_line){0};
}

void load_line_fini(struct load_line *line)
{
    mem_free(line->ring);
    load_line_init(line);
}

/* Where `size` bytes may be written; LOAD_LINE_BYTES: nowhere. */
static size_t place(struct load_line *line, size_t size)
{
    if (line->n == 0)
        line->head = line->tail = 0;
    if (line->n != 0 && line->tail <= line->head)
        return line->head - line->tail >= size ? line->tail : LOAD_LINE_BYTES;
    if (LOAD_LINE_BYTES - line->tail >= size)
        return line->tail;
    return line->head >= size ? 0 : LOAD_LINE_BYTES;
}

static size_t used(const struct load_line *line)
{
    if (line->n == 0)
        return 0;
    return line->head < line->tail ? line->tail - line->head
                                   : LOAD_LINE_BYTES - line->head + line->tail;
}

int load_line_put(struct load_line *line, uint64_t now, struct slice a, struct slice b, bool last)
{
    size_t size = size_of(a.len + b.len);
    if (line->ring == NULL)
        line->ring = mem_alloc(LOAD_LINE_BYTES);
    if (line->ring == NULL)
        return ERR_NOMEM;
    if (size > LOAD_LINE_BYTES || used(line) + size > LOAD_LINE_BYTES - (last ? 0 : LOAD_LINE_REST))
        return ERR_FULL;
    size_t at = place(line, size);
    if (at == LOAD_LINE_BYTES)
        return ERR_FULL;
    if (at != line->tail)
        line->end = line->tail;
    struct entry *e = entry_at(line, at);
    *e = (struct entry){.since = now, .len = a.len + b.len};
    char *bytes = (char *)(e + 1);
    memcpy(bytes, a.ptr, a.len);
    memcpy(bytes + a.len, b.ptr, b.len);
    line->tail = at + size;
    line->n++;
    return 0;
}

bool load_line_first(const struct load_line *line, struct load_waiting *out)
{
    if (line->n == 0)
        return false;
    const struct entry *e = entry_at(line, line->head);
    *out = (struct load_waiting){e->since, slice_of((const char *)(e + 1), e->len)};
    return true;
}

void load_line_drop(struct load_line *line)
{
    line->head += size_of(entry_at(line, line->head)->len);
    line->n--;
    if (line->n != 0 && line->head > line->tail && line->head == line->end)
        line->head = 0;
}
