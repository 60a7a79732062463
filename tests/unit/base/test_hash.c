/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

#include "base/hash.h"
#include "base/random.h"

#define KEY1                                         \
    {                                                \
        0xaed66ce184be2329ULL, 0xebe9bbf1f1499052ULL \
    }
#define KEY2                                         \
    {                                                \
        0x41f6394f25dd9b43ULL, 0xc64ae48da2032d08ULL \
    }

/* Values of another implementation: hash() of bytes in CPython 3.11, PYTHONHASHSEED 0, 1 and 4242.
 */
static const struct {
    struct hash_key key;
    const char *text;
    uint64_t hash;
} vectors[] = {
    {{0, 0}, "a", 0x407448d2b89b1813ULL},
    {{0, 0}, "INVITE", 0xfafba2ed9700bf7aULL},
    {{0, 0}, "z9hG4bK7", 0x7ff10b76308a75e0ULL},
    {{0, 0}, "z9hG4bK77", 0xa2ad956bc5f642e9ULL},
    {{0, 0}, "sip:alice@atlanta.example.com;transport=tcp", 0xb17d83f0809fd948ULL},
    {KEY1, "a", 0xd6300bc9f7cc0e73ULL},
    {KEY1, "INVITE", 0xec53871a28ad00feULL},
    {KEY1, "z9hG4bK7", 0x452c823779741945ULL},
    {KEY1, "z9hG4bK77", 0x903f07a2a6839769ULL},
    {KEY1, "sip:alice@atlanta.example.com;transport=tcp", 0x224fe3d8fc30bda9ULL},
    {KEY2, "a", 0x7d890ced73108c96ULL},
    {KEY2, "INVITE", 0xcb453a4a1665514eULL},
    {KEY2, "z9hG4bK7", 0xd4eb49ffa7b4b9bcULL},
    {KEY2, "z9hG4bK77", 0x77a9eb0c8425e9a0ULL},
    {KEY2, "sip:alice@atlanta.example.com;transport=tcp", 0xf538dafa20d3ca9eULL},
};

static void test_vectors(void **state)
{
    const struct hash_key zero = {0, 0}, key2 = KEY2;
    unsigned char bytes[64];

    (void)state;
    for (size_t i = 0; i < sizeof(vectors) / sizeof(vectors[0]); i++) {
        if (hash_slice(&vectors[i].key, slice_str(vectors[i].text)) != vectors[i].hash)
            fail_msg("vector %zu", i);
    }
    for (unsigned i = 0; i < 64; i++)
        bytes[i] = (unsigned char)i;
    assert_true(hash_bytes(&zero, bytes, 64) == 0x75e05fd5bbc870c6ULL);
    assert_true(hash_bytes(&key2, bytes, 64) == 0x95c918c063bf9a7cULL);
}

static uint64_t one_of(const struct hash_key *key, struct slice s)
{
    struct hash_state h;
    hash_begin(&h, key);
    hash_add(&h, s);
    return hash_end(&h);
}

static uint64_t lower_of(const struct hash_key *key, struct slice s)
{
    struct hash_state h;
    hash_begin(&h, key);
    hash_add_lower(&h, s);
    return hash_end(&h);
}

/* The hash of any spelling is that of the lower-case one. */
static void test_lower(void **state)
{
    const struct hash_key key = KEY1;
    unsigned char text[40], lower[40];
    struct rng rng;

    (void)state;
    rng_seed(&rng, 7);
    for (int round = 0; round < 2000; round++) {
        size_t len = rng_below(&rng, sizeof(text) + 1);
        for (size_t i = 0; i < len; i++) {
            text[i] = (unsigned char)rng_next(&rng);
            lower[i] = (unsigned char)ascii_lower((char)text[i]);
        }
        assert_true(lower_of(&key, slice_of((char *)text, len)) ==
                    one_of(&key, slice_of((char *)lower, len)));
    }
    assert_true(lower_of(&key, SLICE("Call-ID")) == lower_of(&key, SLICE("CALL-id")));
    assert_true(lower_of(&key, SLICE("Call-ID")) != lower_of(&key, SLICE("Call-IE")));
    assert_true(lower_of(&key, SLICE("@")) != lower_of(&key, SLICE("`")));
}

/* The length counts, and so do zeros at the end; the key counts. */
static void test_differs(void **state)
{
    const struct hash_key a = {1, 2}, b = {2, 1};
    const char zeros[20] = {0};

    (void)state;
    for (size_t i = 0; i < 20; i++) {
        for (size_t j = 0; j < i; j++)
            assert_true(hash_bytes(&a, zeros, i) != hash_bytes(&a, zeros, j));
        assert_true(hash_bytes(&a, zeros, i) != hash_bytes(&b, zeros, i));
    }
    assert_true(hash_bytes(&a, NULL, 0) == hash_slice(&a, SLICE_NONE));
    assert_true(hash_mix(1) != hash_mix(2));
}

static uint64_t hash_two(const struct hash_key *key, struct slice a, struct slice b)
{
    struct hash_state h;
    hash_begin(&h, key);
    hash_add(&h, a);
    hash_add(&h, b);
    return hash_end(&h);
}

/* Where one part ends and the next begins counts, with zeros and empty parts too. */
static void test_parts(void **state)
{
    const struct hash_key key = KEY1, other = KEY2;
    static const char text[] = "z9hG4bK77\0\0\0\0\0\0\0\0\0\0\0\0\0";
    enum { LEN = sizeof(text) - 1 };
    uint64_t seen[LEN + 1];

    (void)state;
    for (size_t i = 0; i <= LEN; i++) {
        seen[i] = hash_two(&key, slice_of(text, i), slice_of(text + i, LEN - i));
        for (size_t j = 0; j < i; j++)
            assert_true(seen[i] != seen[j]);
        assert_true(seen[i] != hash_two(&other, slice_of(text, i), slice_of(text + i, LEN - i)));
    }
    assert_true(hash_two(&key, SLICE_NONE, SLICE("a")) != hash_two(&key, SLICE("a"), SLICE_NONE));
    assert_true(hash_two(&key, SLICE_NONE, SLICE("a")) == hash_two(&key, SLICE(""), SLICE("a")));
}

/* Every byte of every length is looked at, and case only where it is asked for. */
static void test_parts_bytes(void **state)
{
    const struct hash_key key = KEY2;
    char text[24];

    (void)state;
    for (size_t len = 1; len <= sizeof(text); len++) {
        memset(text, 'a', sizeof(text));
        struct slice s = slice_of(text, len);
        uint64_t before = hash_two(&key, s, SLICE_NONE);
        for (size_t i = 0; i < len; i++) {
            struct hash_state plain, lower, upper;
            hash_begin(&plain, &key);
            hash_begin(&lower, &key);
            hash_begin(&upper, &key);
            hash_add_lower(&lower, s);
            text[i] = 'A';
            hash_add(&plain, s);
            hash_add_lower(&upper, s);
            assert_true(hash_end(&lower) == hash_end(&upper));
            assert_true(before != hash_two(&key, s, SLICE_NONE));
            text[i] = 'a';
        }
    }
}

static void test_128(void **state)
{
    const struct hash_key key = KEY1;
    uint64_t seen[64][2];

    (void)state;
    for (unsigned i = 0; i < 64; i++) {
        struct hash_state a, b;
        hash_begin(&a, &key);
        hash_add_u64(&a, i);
        b = a;
        hash_end128(&a, seen[i]);
        assert_true(seen[i][0] == hash_end(&b));
        assert_true(seen[i][0] != seen[i][1]);
        for (unsigned j = 0; j < i; j++)
            assert_true(seen[i][0] != seen[j][0] && seen[i][1] != seen[j][1]);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_parts), cmocka_unit_test(test_parts_bytes),
        cmocka_unit_test(test_128),   cmocka_unit_test(test_vectors),
        cmocka_unit_test(test_lower), cmocka_unit_test(test_differs),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
