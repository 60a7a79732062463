/* SPDX-License-Identifier: Apache-2.0 */
/* Random numbers: a seeded generator per worker (tags, branches, jitter) and the system's for keys.
 *
 * owns: nothing. thread: a `struct rng` belongs to one thread. */
#ifndef BASE_RANDOM_H
#define BASE_RANDOM_H

#include <stddef.h>
#include <stdint.h>

/* xoshiro256**; not for secrets. */
struct rng {
    uint64_t s[4];
};

/* Bytes from getrandom(2); aborts when the kernel has none, which does not happen after boot. */
void random_bytes(void *dst, size_t len);
/* From the system / from a given seed (tests: repeatable). */
void rng_init(struct rng *r);
void rng_seed(struct rng *r, uint64_t seed);
uint64_t rng_next(struct rng *r);
/* Uniform in [0, bound), bound > 0. */
uint64_t rng_below(struct rng *r, uint64_t bound);

#endif
