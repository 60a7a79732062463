/* SPDX-License-Identifier: Apache-2.0 */
/* Keyed hash (SipHash-1-3), so that a peer cannot choose collisions.
 *
 * owns: nothing. thread: any; pure. */
#ifndef BASE_HASH_H
#define BASE_HASH_H

#include <stdint.h>

#include "base/slice.h"

struct hash_key {
    uint64_t k0, k1;
};

uint64_t hash_bytes(const struct hash_key *key, const void *ptr, size_t len);

/* One hash over several parts. Each part is hashed with its length, so that what belongs to one
 * cannot be taken for the begin of the next. */
struct hash_state {
    uint64_t v0, v1, v2, v3;
};
void hash_begin(struct hash_state *h, const struct hash_key *key);
void hash_add(struct hash_state *h, struct slice part);
void hash_add_lower(struct hash_state *h, struct slice part); /* all spellings in ASCII case */
void hash_add_u64(struct hash_state *h, uint64_t word);
uint64_t hash_end(struct hash_state *h);
/* 128 bits: what hash_end gives, then as many more. */
void hash_end128(struct hash_state *h, uint64_t out[2]);

static inline uint64_t hash_slice(const struct hash_key *key, struct slice s)
{
    return hash_bytes(key, s.ptr, s.len);
}

/* Mixes an integer; not keyed. */
static inline uint64_t hash_mix(uint64_t x)
{
    x ^= x >> 33;
    x *= 0xff51afd7ed558ccdULL;
    x ^= x >> 33;
    x *= 0xc4ceb9fe1a85ec53ULL;
    x ^= x >> 33;
    return x;
}

#endif
