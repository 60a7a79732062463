/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

#include "base/err.h"
#include "base/slice.h"

/* Bytes in memory of exactly their size, so that a sanitizer sees a read beyond them. */
static struct slice copy(const char *text)
{
    size_t len = strlen(text);
    char *ptr = test_malloc(len);
    memcpy(ptr, text, len);
    return slice_of(ptr, len);
}

static void drop(struct slice s)
{
    test_free((void *)s.ptr);
}

static void test_eq(void **state)
{
    (void)state;
    assert_true(slice_eq(SLICE_NONE, SLICE("")));
    assert_true(slice_eq(SLICE("Via"), SLICE("Via")));
    assert_false(slice_eq(SLICE("Via"), SLICE("via")));
    assert_false(slice_eq(SLICE("Via"), SLICE("Vi")));
    assert_int_equal(slice_str(NULL).len, 0);
    assert_int_equal(slice_str("abc").len, 3);
}

static void test_ieq(void **state)
{
    struct slice a = copy("Proxy-Authorization"), b = copy("pROXY-aUTHORIZATION");

    (void)state;
    assert_true(slice_ieq(a, b));
    assert_true(slice_ieq(SLICE_NONE, SLICE("")));
    assert_false(slice_ieq(a, slice_of(b.ptr, b.len - 1)));
    assert_false(slice_ieq(SLICE("Proxy-Authorization"), SLICE("Proxy-Authorizatiom")));
    assert_false(slice_ieq(SLICE("Xroxy-Authorization"), SLICE("proxy-Authorization")));
    drop(a);
    drop(b);
}

/* All pairs of bytes, at every place of a word and behind it. */
static void test_ieq_bytes(void **state)
{
    char x[11], y[11];

    (void)state;
    for (unsigned at = 0; at < sizeof(x); at++) {
        for (unsigned i = 0; i < 256; i++) {
            for (unsigned j = 0; j < 256; j++) {
                bool same = ascii_lower((char)i) == ascii_lower((char)j);
                memset(x, 'Q', sizeof(x));
                memset(y, 'q', sizeof(y));
                x[at] = (char)i;
                y[at] = (char)j;
                if (slice_ieq(slice_of(x, sizeof(x)), slice_of(y, sizeof(y))) != same)
                    fail_msg("bytes %02x and %02x at %u", i, j, at);
            }
        }
    }
}

static void test_lower(void **state)
{
    (void)state;
    for (unsigned i = 0; i < 256; i++) {
        unsigned want = i >= 'A' && i <= 'Z' ? i + 32 : i;
        uint64_t all = 0x0101010101010101ULL;
        assert_int_equal((unsigned char)ascii_lower((char)i), want);
        assert_true(ascii_lower8(i * all) == want * all);
    }
    assert_true(ascii_lower8(0x41ff5a5b40618041ULL) == 0x61ff7a5b40618061ULL);
}

static void test_starts(void **state)
{
    (void)state;
    assert_true(slice_starts(SLICE("sips:a"), SLICE("sips:")));
    assert_true(slice_starts(SLICE("sips:"), SLICE("sips:")));
    assert_true(slice_starts(SLICE("x"), SLICE_NONE));
    assert_true(slice_starts(SLICE_NONE, SLICE_NONE));
    assert_false(slice_starts(SLICE("sip"), SLICE("sips:")));
    assert_false(slice_starts(SLICE("SIPS:a"), SLICE("sips:")));
    assert_true(slice_istarts(SLICE("SIPS:a"), SLICE("sips:")));
    assert_false(slice_istarts(SLICE("SIP:a"), SLICE("sips:")));
    assert_false(slice_istarts(SLICE_NONE, SLICE("s")));
}

static void test_trim(void **state)
{
    (void)state;
    assert_true(slice_eq(slice_trim(SLICE(" \t\r\n a b \r\n\t ")), SLICE("a b")));
    assert_true(slice_eq(slice_trim(SLICE("a")), SLICE("a")));
    assert_int_equal(slice_trim(SLICE(" \r\n ")).len, 0);
    assert_int_equal(slice_trim(SLICE_NONE).len, 0);
    assert_int_equal(slice_trim(SLICE("\v\f")).len, 2);
}

static void test_chr(void **state)
{
    (void)state;
    assert_int_equal(slice_chr(SLICE("abca"), 'a'), 0);
    assert_int_equal(slice_chr(SLICE("abca"), 'c'), 2);
    assert_int_equal(slice_chr(SLICE("abca"), 'd'), -1);
    assert_int_equal(slice_chr(SLICE("a\0b"), 'b'), 2);
    assert_int_equal(slice_chr(SLICE_NONE, 'a'), -1);
}

static void test_u64(void **state)
{
    uint64_t out = 7;

    (void)state;
    assert_int_equal(slice_u64(SLICE("0"), 10, &out), 0);
    assert_true(out == 0);
    assert_int_equal(slice_u64(SLICE("00010"), 10, &out), 0);
    assert_true(out == 10);
    assert_int_equal(slice_u64(SLICE("18446744073709551615"), UINT64_MAX, &out), 0);
    assert_true(out == UINT64_MAX);

    out = 7;
    assert_int_equal(slice_u64(SLICE("18446744073709551616"), UINT64_MAX, &out), ERR_RANGE);
    assert_int_equal(slice_u64(SLICE("99999999999999999999999"), UINT64_MAX, &out), ERR_RANGE);
    assert_int_equal(slice_u64(SLICE("11"), 10, &out), ERR_RANGE);
    assert_int_equal(slice_u64(SLICE(""), 10, &out), ERR_PARSE);
    assert_int_equal(slice_u64(SLICE_NONE, 10, &out), ERR_PARSE);
    assert_int_equal(slice_u64(SLICE("-1"), 10, &out), ERR_PARSE);
    assert_int_equal(slice_u64(SLICE("+1"), 10, &out), ERR_PARSE);
    assert_int_equal(slice_u64(SLICE(" 1"), 10, &out), ERR_PARSE);
    assert_int_equal(slice_u64(SLICE("1\0"), 10, &out), ERR_PARSE);
    assert_int_equal(slice_u64(SLICE("0x1"), 10, &out), ERR_PARSE);
    assert_int_equal(slice_u64(SLICE("99999999999999999999999x"), 10, &out), ERR_PARSE);
    assert_int_equal(slice_u64(SLICE("1\xb1"), 10, &out), ERR_PARSE);
    assert_true(out == 7);
}

static void test_cstr(void **state)
{
    char dst[4];

    (void)state;
    assert_true(slice_cstr(SLICE("abc"), dst, sizeof(dst)));
    assert_string_equal(dst, "abc");
    assert_false(slice_cstr(SLICE("abcd"), dst, sizeof(dst)));
    assert_string_equal(dst, "abc");
    assert_true(slice_cstr(SLICE_NONE, dst, 1));
    assert_string_equal(dst, "");
    assert_false(slice_cstr(SLICE("a"), dst, 0));
    assert_false(slice_cstr(SLICE("a\0b"), dst, sizeof(dst)));
    assert_string_equal(dst, "a");
}

static void test_words(void **state)
{
    struct slice rest = SLICE(" ,, tcp,udp\tws , \r\ntls ,");
    struct slice word;
    const char *want[] = {"tcp", "udp", "ws", "tls"};

    (void)state;
    for (size_t i = 0; i < 4; i++) {
        assert_true(slice_next_word(&rest, &word));
        assert_true(slice_eq(word, slice_str(want[i])));
    }
    assert_false(slice_next_word(&rest, &word));
    assert_false(slice_next_word(&rest, &word));
    rest = SLICE_NONE;
    assert_false(slice_next_word(&rest, &word));
    rest = SLICE("a");
    assert_true(slice_next_word(&rest, &word));
    assert_true(slice_eq(word, SLICE("a")));
    assert_false(slice_next_word(&rest, &word));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_eq),        cmocka_unit_test(test_ieq),
        cmocka_unit_test(test_ieq_bytes), cmocka_unit_test(test_lower),
        cmocka_unit_test(test_starts),    cmocka_unit_test(test_trim),
        cmocka_unit_test(test_chr),       cmocka_unit_test(test_u64),
        cmocka_unit_test(test_cstr),      cmocka_unit_test(test_words),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
