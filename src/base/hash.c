/* SPDX-License-Identifier: Apache-2.0 */
/* SipHash (Aumasson, Bernstein 2012) with one round for each word and three at the end. */
#include "base/hash.h"

#include <endian.h>

static inline uint64_t rotl(uint64_t x, unsigned n)
{
    return x << n | x >> (64 - n);
}

static inline void sip_round(struct hash_state *s)
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

static inline void sip_word(struct hash_state *s, uint64_t word)
{
    s->v3 ^= word;
    sip_round(s);
    s->v0 ^= word;
}

static inline uint64_t load(const unsigned char *ptr, bool lower)
{
    uint64_t word;
    memcpy(&word, ptr, sizeof(word));
    return lower ? ascii_lower8(le64toh(word)) : le64toh(word);
}

/* Fewer than eight bytes: pieces that overlap where the length is odd. */
static inline uint64_t load_rest(const unsigned char *ptr, size_t len, bool lower)
{
    uint64_t word = 0;
    if (len >= 4) {
        uint32_t front, back;
        memcpy(&front, ptr, 4);
        memcpy(&back, ptr + len - 4, 4);
        word = le32toh(front) | (uint64_t)le32toh(back) << 8 * (len - 4);
    } else if (len != 0) {
        word = (uint64_t)ptr[len - 1] << 8 * (len - 1) | (uint64_t)ptr[len / 2] << 8 * (len / 2) |
               ptr[0];
    }
    return lower ? ascii_lower8(word) : word;
}

static inline void sip_begin(struct hash_state *s, const struct hash_key *key)
{
    s->v0 = key->k0 ^ 0x736f6d6570736575ULL; /* "somepseudorandomlygeneratedbytes" */
    s->v1 = key->k1 ^ 0x646f72616e646f6dULL;
    s->v2 = key->k0 ^ 0x6c7967656e657261ULL;
    s->v3 = key->k1 ^ 0x7465646279746573ULL;
}

/* All whole words; what is left as one, 0 for nothing. */
static inline uint64_t sip_words(struct hash_state *s, const unsigned char *ptr, size_t len,
                                 bool lower)
{
    for (; len >= 8; ptr += 8, len -= 8)
        sip_word(s, load(ptr, lower));
    return load_rest(ptr, len, lower);
}

static inline uint64_t sip_end(struct hash_state *s)
{
    s->v2 ^= 0xff;
    sip_round(s);
    sip_round(s);
    sip_round(s);
    return s->v0 ^ s->v1 ^ s->v2 ^ s->v3;
}

uint64_t hash_bytes(const struct hash_key *key, const void *ptr, size_t len)
{
    struct hash_state s;
    sip_begin(&s, key);
    uint64_t rest = sip_words(&s, ptr, len, false);
    sip_word(&s, rest | (uint64_t)len << 56);
    return sip_end(&s);
}

/* --- several parts --- */

void hash_begin(struct hash_state *h, const struct hash_key *key)
{
    sip_begin(h, key);
}

/* The length in front makes the padding of the last word harmless. */
static inline void add(struct hash_state *h, struct slice part, bool lower)
{
    struct hash_state s = *h;
    sip_word(&s, part.len);
    uint64_t rest = sip_words(&s, (const unsigned char *)part.ptr, part.len, lower);
    if (part.len % 8 != 0)
        sip_word(&s, rest);
    *h = s;
}

void hash_add(struct hash_state *h, struct slice part)
{
    add(h, part, false);
}

void hash_add_lower(struct hash_state *h, struct slice part)
{
    add(h, part, true);
}

void hash_add_u64(struct hash_state *h, uint64_t word)
{
    sip_word(h, word);
}

uint64_t hash_end(struct hash_state *h)
{
    return sip_end(h);
}

/* As SipHash with 128 bits of output goes on for its second half. */
void hash_end128(struct hash_state *h, uint64_t out[2])
{
    out[0] = sip_end(h);
    h->v1 ^= 0xdd;
    sip_round(h);
    sip_round(h);
    sip_round(h);
    out[1] = h->v0 ^ h->v1 ^ h->v2 ^ h->v3;
}
