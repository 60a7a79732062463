/* SPDX-License-Identifier: Apache-2.0 */
#include "net/tls_sent.h"

#include "base/alloc.h"

static struct tls_sent_part *part_at(struct tls_sent *q, unsigned i)
{
    struct tls_sent_part *ring = q->more != NULL ? q->more : q->few;
    return &ring[(q->first + i) % q->cap];
}

void tls_sent_init(struct tls_sent *q)
{
    *q = (struct tls_sent){.cap = TLS_SENT_FIRST};
}

void tls_sent_fini(struct tls_sent *q)
{
    mem_free(q->more);
    q->more = NULL;
    q->cap = TLS_SENT_FIRST;
    q->first = q->n = 0;
    q->plain = 0;
}

static void grow(struct tls_sent *q)
{
    unsigned cap = q->cap * 4u < TLS_SENT_MAX ? q->cap * 4u : TLS_SENT_MAX;
    struct tls_sent_part *bigger = cap > q->cap ? mem_alloc(cap * sizeof(struct tls_sent_part))
                                                : NULL;
    if (bigger == NULL)
        return;
    for (unsigned i = 0; i < q->n; i++)
        bigger[i] = *part_at(q, i);
    mem_free(q->more);
    q->more = bigger;
    q->first = 0;
    q->cap = (uint16_t)cap;
}

void tls_sent_add(struct tls_sent *q, size_t plain, uint64_t end)
{
    if (q->n == q->cap)
        grow(q);
    if (q->n == 0) /* only where a part ends counts */
        q->wire = q->end = end;
    uint32_t wire = (uint32_t)(end - q->end);
    q->end = end;
    q->plain += plain;
    if (q->n == q->cap) {
        struct tls_sent_part *last = part_at(q, q->n - 1u);
        last->wire += wire;
        last->plain += (uint32_t)plain;
        return;
    }
    q->n++;
    *part_at(q, q->n - 1u) = (struct tls_sent_part){wire, (uint32_t)plain};
}

size_t tls_sent_acked(struct tls_sent *q, uint64_t acked)
{
    while (q->n > 0) {
        struct tls_sent_part *p = part_at(q, 0);
        if (q->wire + p->wire > acked)
            return q->plain;
        q->wire += p->wire;
        q->plain -= p->plain;
        q->first = (uint16_t)((q->first + 1u) % q->cap);
        q->n--;
    }
    tls_sent_fini(q);
    return 0;
}
