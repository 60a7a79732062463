/* SPDX-License-Identifier: Apache-2.0 */
/* The draw among SRV records of one priority. */
#include "net/resolver_int.h"

/* One of `n` records, chosen by weight. Those of weight 0 stand first, so that they have their
 * small chance: RFC 2782 draws from 0 up to and with the sum. */
static unsigned draw(struct rng *rng, const struct net_srv *s, unsigned n)
{
    uint32_t sum = 0, running = 0;
    for (unsigned i = 0; i < n; i++)
        sum += s[i].weight;
    uint64_t at = rng_below(rng, (uint64_t)sum + 1);
    for (unsigned i = 0; i < n; i++) {
        running += s[i].weight;
        if (running >= at)
            return i;
    }
    return n - 1;
}

static void swap(struct net_srv *a, struct net_srv *b)
{
    struct net_srv t = *a;
    *a = *b;
    *b = t;
}

/* Those of weight 0 are put first in an order of their own. */
static void zeros_first(struct rng *rng, struct net_srv *s, unsigned n)
{
    unsigned zeros = 0;
    for (unsigned i = 0; i < n; i++) {
        if (s[i].weight == 0)
            swap(&s[zeros++], &s[i]);
    }
    for (; zeros > 1; zeros--)
        swap(&s[zeros - 1], &s[rng_below(rng, zeros)]);
}

static void draw_group(struct rng *rng, struct net_srv *s, unsigned n)
{
    zeros_first(rng, s, n);
    for (; n > 1; s++, n--) {
        unsigned i = draw(rng, s, n);
        struct net_srv drawn = s[i];
        for (; i > 0; i--)
            s[i] = s[i - 1];
        s[0] = drawn;
    }
}

void dns_srv_draw(struct rng *rng, struct net_srv *records, unsigned n)
{
    for (unsigned begin = 0, end; begin < n; begin = end) {
        for (end = begin + 1; end < n && records[end].priority == records[begin].priority;)
            end++;
        draw_group(rng, records + begin, end - begin);
    }
}
