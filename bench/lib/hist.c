/* SPDX-License-Identifier: Apache-2.0 */
#include "hist.h"

/* Values below 128 have a bucket each; above, every power of two is cut into 64. */
static unsigned hist_index(uint64_t us)
{
    unsigned e, index;

    if (us < 128)
        return (unsigned)us;
    e = 63U - (unsigned)__builtin_clzll(us);
    index = 128U + (e - 7U) * 64U + (unsigned)((us >> (e - 6U)) & 63U);
    return index < HIST_BUCKETS ? index : HIST_BUCKETS - 1U;
}

static uint64_t hist_upper(unsigned index)
{
    unsigned e;

    if (index < 128)
        return index;
    e = (index - 128U) / 64U + 7U;
    return (1ULL << e) + ((uint64_t)((index - 128U) % 64U + 1U) << (e - 6U)) - 1U;
}

void hist_add(struct hist *h, uint64_t us)
{
    h->count++;
    if (us > h->max)
        h->max = us;
    h->bucket[hist_index(us)]++;
}

uint64_t hist_at(const struct hist *h, unsigned per_mille)
{
    uint64_t rank = (h->count * per_mille + 999U) / 1000U;
    uint64_t seen = 0;

    if (h->count == 0)
        return 0;
    for (unsigned i = 0; i < HIST_BUCKETS; i++) {
        seen += h->bucket[i];
        if (seen >= rank && seen > 0)
            return hist_upper(i) < h->max ? hist_upper(i) : h->max;
    }
    return h->max;
}
