/* SPDX-License-Identifier: Apache-2.0 */
#include "load/load_int.h"

#define NS_PER_S 1000000000u

bool load_bucket_take(struct load_bucket *b, uint32_t rate, uint64_t now)
{
    uint64_t at = now * 1000000, step = NS_PER_S / rate, next;
    uint64_t full_at = atomic_load_explicit(&b->full_at, memory_order_relaxed);
    do {
        next = (full_at > at ? full_at : at) + step;
        if (next > at + NS_PER_S)
            return false;
    } while (!atomic_compare_exchange_weak_explicit(&b->full_at, &full_at, next,
                                                    memory_order_relaxed, memory_order_relaxed));
    return true;
}

uint64_t load_source_hash(const struct load_shared *s, const struct addr *from)
{
    uint64_t hash = hash_bytes(&s->key, from->ip, from->family == ADDR_IP6 ? 8 : sizeof(from->ip));
    return hash != 0 ? hash : 1;
}

bool load_source_take(struct load_shared *s, const struct addr *from, uint32_t rate, uint64_t now)
{
    uint64_t check = load_source_hash(s, from);
    struct load_source *set = s->sources[check % LOAD_SETS], *oldest = NULL;
    uint64_t first = UINT64_MAX;
    for (unsigned i = 0; i < LOAD_WAYS; i++) {
        if (atomic_load_explicit(&set[i].check, memory_order_relaxed) == check)
            return load_bucket_take(&set[i].bucket, rate, now);
        uint64_t full_at = atomic_load_explicit(&set[i].bucket.full_at, memory_order_relaxed);
        if (full_at < first) {
            first = full_at;
            oldest = &set[i];
        }
    }
    /* Two workers that meet here cost one of the two addresses a few tokens. */
    atomic_store_explicit(&oldest->check, check, memory_order_relaxed);
    atomic_store_explicit(&oldest->bucket.full_at, 0, memory_order_relaxed);
    return load_bucket_take(&oldest->bucket, rate, now);
}
