/* SPDX-License-Identifier: Apache-2.0 */
#include "base/random.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <sys/random.h>

void random_bytes(void *dst, size_t len)
{
    unsigned char *at = dst;

    while (len > 0) {
        ssize_t n = getrandom(at, len, 0);
        if (n < 0 && errno != EINTR)
            abort();
        if (n > 0) {
            at += n;
            len -= (size_t)n;
        }
    }
}

void rng_init(struct rng *r)
{
    uint64_t seed;

    random_bytes(r->s, sizeof(r->s));
    /* All bits zero is the one state that the generator cannot leave. */
    if ((r->s[0] | r->s[1] | r->s[2] | r->s[3]) == 0) {
        random_bytes(&seed, sizeof(seed));
        rng_seed(r, seed);
    }
}

/* splitmix64, which never fills a state with zeros alone. */
void rng_seed(struct rng *r, uint64_t seed)
{
    for (size_t i = 0; i < 4; i++) {
        uint64_t z = seed += 0x9e3779b97f4a7c15ULL;
        z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ULL;
        z = (z ^ (z >> 27)) * 0x94d049bb133111ebULL;
        r->s[i] = z ^ (z >> 31);
    }
}

static inline uint64_t rotl(uint64_t x, unsigned n)
{
    return x << n | x >> (64 - n);
}

uint64_t rng_next(struct rng *r)
{
    uint64_t *s = r->s;
    uint64_t result = rotl(s[1] * 5, 7) * 9;
    uint64_t t = s[1] << 17;

    s[2] ^= s[0];
    s[3] ^= s[1];
    s[1] ^= s[2];
    s[0] ^= s[3];
    s[2] ^= t;
    s[3] = rotl(s[3], 45);
    return result;
}

/* The high half of a product with a uniform 64-bit number; the few low halves that would favour
 * some results are drawn again. */
uint64_t rng_below(struct rng *r, uint64_t bound)
{
    unsigned __int128 product;
    uint64_t biased;

    assert(bound > 0);
    product = (unsigned __int128)rng_next(r) * bound;
    if ((uint64_t)product < bound) {
        biased = -bound % bound; /* 2^64 modulo bound */
        while ((uint64_t)product < biased)
            product = (unsigned __int128)rng_next(r) * bound;
    }
    return (uint64_t)(product >> 64);
}
