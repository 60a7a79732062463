/* SPDX-License-Identifier: Apache-2.0 */
/* The ring: records one behind the other, the oldest overwritten. */
#include "base/alloc.h"
#include "trace/trace_int.h"

#define ROUND(n) (((n) + 7) & ~(size_t)7)

static char *place(const struct trace_ring *r, uint64_t offset)
{
    size_t back = (size_t)(r->head - offset); /* at most size */
    return r->bytes + (back <= r->at ? r->at - back : r->at + r->size - back);
}

static const struct trace_record *record_at(const struct trace_ring *r, uint64_t offset)
{
    return (const struct trace_record *)(const void *)place(r, offset);
}

int trace_ring_size(struct trace_ring *r, size_t size)
{
    if (size != 0)
        size = ROUND(size < TRACE_RING_MIN ? TRACE_RING_MIN : size);
    if (size == r->size)
        return 0;
    char *bytes = NULL;
    if (size != 0 && (bytes = mem_alloc(size)) == NULL)
        return ERR_NOMEM;
    mem_free(r->bytes);
    /* Offsets go on and are never 0, so that whoever reads in steps goes on behind what is gone. */
    r->head += 8;
    *r = (struct trace_ring){bytes, size, 0, r->head, r->head};
    return 0;
}

void trace_ring_fini(struct trace_ring *r)
{
    mem_free(r->bytes);
    *r = (struct trace_ring){0};
}

/* Makes room for `need` bytes in one piece and returns them. */
static char *take(struct trace_ring *r, size_t need)
{
    size_t rest = r->size - r->at, skip = need <= rest ? 0 : rest;
    uint64_t end = r->head + skip + need;
    while (end - r->tail > r->size) {
        if (r->tail == r->head) {
            r->tail += skip;
            break;
        }
        r->tail += record_at(r, r->tail)->total;
    }
    if (skip != 0) {
        struct trace_record unused = {.total = (uint32_t)skip, .kept = TRACE_SKIP};
        memcpy(r->bytes + r->at, &unused, 8);
        r->at = 0;
        r->head += skip;
    }
    char *p = r->bytes + r->at;
    r->head = end;
    r->at = r->at + need == r->size ? 0 : r->at + need;
    return p;
}

void trace_ring_put(struct trace_ring *r, const struct flow_wire *wire, uint64_t wall)
{
    size_t len = wire->bytes.len, max = r->size - sizeof(struct trace_record);
    size_t kept = len < max ? len : max;
    size_t need = ROUND(sizeof(struct trace_record) + kept);
    struct trace_record *rec = (struct trace_record *)(void *)take(r, need);
    *rec = (struct trace_record){.total = (uint32_t)need,
                                 .kept = (uint32_t)kept,
                                 .length = (uint32_t)len,
                                 .transport = wire->transport,
                                 .is_out = wire->is_out,
                                 .wall = wall,
                                 .flow = wire->flow,
                                 .local = *wire->local,
                                 .remote = *wire->remote};
    memcpy(rec + 1, wire->bytes.ptr, kept);
}

const struct trace_record *trace_ring_get(const struct trace_ring *r, uint64_t *at)
{
    if (*at < r->tail)
        *at = r->tail;
    while (*at < r->head) {
        const struct trace_record *rec = record_at(r, *at);
        if (rec->kept != TRACE_SKIP)
            return rec;
        *at += rec->total;
    }
    return NULL;
}
