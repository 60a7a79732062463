/* SPDX-License-Identifier: Apache-2.0 */
/* SipHash (Aumasson, Bernstein 2012) with one round for each word and three at the end. */
#include "base/hash.h"

#include <endian.h>

struct sip {
    uint64_t v0, v1, v2, v3;
};

static inline uint64_t rotl(uint64_t x, unsigned n)
{
    return x << n | x >> (64 - n);
}

static inline void sip_round(struct sip *s)
{
    s->v0 += s->v1;
    s->v2 += s->v3;
    s->v1 = rotl(s->v1, 13) ^ s->v0;
    s->v3 = rotl(s->v3, 16) ^ s->v2;
    s->v0 = rotl(s->v0, 32);
    s->v2 += s->v1;
    s->v0 += s->v3;
    s->v1 = rotl(s->v1, 17) ^ s->v2;
    s->v3 = rotl(s->v3, 21) ^ s->v0;
    s->v2 = rotl(s->v2, 32);
}

static inline void sip_word(struct sip *s, uint64_t word)
{
    s->v3 ^= word;
    sip_round(s);
    s->v0 ^= word;
}

static inline uint64_t load(const unsigned char *ptr, size_t len)
{
    uint64_t word = 0;
    memcpy(&word, ptr, len);
    return le64toh(word);
}

static inline uint64_t sip_hash(const struct hash_key *key, const unsigned char *ptr, size_t len,
                                bool lower)
{
    struct sip s = {
        key->k0 ^ 0x736f6d6570736575ULL, /* "somepseudorandomlygeneratedbytes" */
        key->k1 ^ 0x646f72616e646f6dULL,
        key->k0 ^ 0x6c7967656e657261ULL,
        key->k1 ^ 0x7465646279746573ULL,
    };
    uint64_t total = (uint64_t)len << 56;
    uint64_t word;

    for (; len >= sizeof(word); ptr += sizeof(word), len -= sizeof(word)) {
        word = load(ptr, sizeof(word));
        sip_word(&s, lower ? ascii_lower8(word) : word);
    }
    word = len != 0 ? load(ptr, len) : 0;
    sip_word(&s, (lower ? ascii_lower8(word) : word) | total);
    s.v2 ^= 0xff;
    sip_round(&s);
    sip_round(&s);
    sip_round(&s);
    return s.v0 ^ s.v1 ^ s.v2 ^ s.v3;
}

uint64_t hash_bytes(const struct hash_key *key, const void *ptr, size_t len)
{
    return sip_hash(key, ptr, len, false);
}

uint64_t hash_lower(const struct hash_key *key, struct slice s)
{
    return sip_hash(key, (const unsigned char *)s.ptr, s.len, true);
}
