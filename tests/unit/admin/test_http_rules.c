/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "admin/http_rules.h"

static struct addr address(const char *text)
{
    struct addr a;
    assert_int_equal(addr_parse(slice_str(text), 0, &a), 0);
    return a;
}

/* --- how often --- */

static unsigned taken(struct http_limits *l, const char *who, unsigned times, uint64_t now)
{
    struct addr a = address(who);
    unsigned n = 0;
    for (unsigned i = 0; i < times; i++)
        n += http_limits_take(l, &a, now);
    return n;
}

static void test_rate(void **state)
{
    struct http_limits l = {0};
    (void)state;
    assert_int_equal(taken(&l, "10.0.0.1:1000", 300, 5000), HTTP_BURST);
    assert_int_equal(taken(&l, "10.0.0.1:2000", 10, 5000), 0); /* whatever the port */
    assert_int_equal(taken(&l, "10.0.0.2:1000", 10, 5000), 10);
    assert_int_equal(taken(&l, "10.0.0.1:1000", 300, 6000), HTTP_RATE);
    assert_int_equal(taken(&l, "10.0.0.1:1000", 300, 6020), 1);
    assert_int_equal(taken(&l, "10.0.0.1:1000", 300, 6000), 0); /* a clock that goes back */
    assert_int_equal(taken(&l, "10.0.0.1:1000", 300, UINT64_MAX / 2), HTTP_BURST);
}

static void test_rate_by_network(void **state)
{
    struct http_limits l = {0};
    (void)state;
    assert_int_equal(taken(&l, "[2001:db8::1]:1", HTTP_BURST, 5000), HTTP_BURST);
    assert_int_equal(taken(&l, "[2001:db8::ffff:2]:1", 1, 5000), 0);
    assert_int_equal(taken(&l, "[2001:db8:0:1::1]:1", 1, 5000), 1);
}

/* Who comes from many addresses has others forgotten, the quiet ones first. */
static void test_rate_of_many(void **state)
{
    static struct http_limits l;
    char who[64];
    (void)state;
    assert_int_equal(taken(&l, "10.9.9.9:1", 300, 1000), HTTP_BURST);
    for (unsigned i = 0; i < 3 * HTTP_CLIENTS; i++) {
        snprintf(who, sizeof(who), "10.1.%u.%u:1", i / 256, i % 256);
        assert_int_equal(taken(&l, who, 1, 1001 + i), 1);
        if (i % 100 == 0)
            assert_in_range(taken(&l, "10.9.9.9:1", 1, 1001 + i), 0, 1);
    }
    assert_true(taken(&l, "10.9.9.9:1", 300, 1001) < HTTP_BURST);
}

/* --- who --- */

static void test_token(void **state)
{
    struct slice token = SLICE("0123456789abcdef");
    (void)state;
    assert_true(http_has_token(SLICE("Bearer 0123456789abcdef"), token));
    assert_true(http_has_token(SLICE("bearer   0123456789abcdef "), token));
    static const char *const wrong[] = {"",
                                        "Bearer",
                                        "Bearer ",
                                        "0123456789abcdef",
                                        "Basic 0123456789abcdef",
                                        "Bearer 0123456789abcde",
                                        "Bearer 0123456789abcdeff",
                                        "Bearer 0123456789abcdeF",
                                        "Bearer 1123456789abcdef",
                                        "Bearer: 0123456789abcdef"};
    for (unsigned i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++)
        assert_false(http_has_token(slice_str(wrong[i]), token));
    assert_false(http_has_token(SLICE_NONE, token));
}

static void test_host(void **state)
{
    static const char *const right[] = {"127.0.0.1",    "127.0.0.1:8060", "localhost",
                                        "LocalHost:80", "[::1]",          "[::1]:8060",
                                        "proxy1",       "PROXY1:8060",    "10.0.0.7:1"};
    static const char *const wrong[] = {"",
                                        ":8060",
                                        "evil.example",
                                        "evil.example:8060",
                                        "localhost.evil.example",
                                        "127.0.0.1.evil.example",
                                        "127.0.0.1:",
                                        "127.0.0.1:99999",
                                        "127.0.0.1:80x",
                                        "[::1",
                                        "[::1]8060",
                                        "[]",
                                        "localhost:80:80",
                                        "proxy12",
                                        "localhost ",
                                        "user@localhost"};
    (void)state;
    for (unsigned i = 0; i < sizeof(right) / sizeof(right[0]); i++)
        if (!http_is_own_host(slice_str(right[i]), SLICE("proxy1")))
            fail_msg("%s", right[i]);
    for (unsigned i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++)
        if (http_is_own_host(slice_str(wrong[i]), SLICE("proxy1")))
            fail_msg("%s", wrong[i]);
    assert_false(http_is_own_host(SLICE(""), SLICE("")));
}

static void test_origin(void **state)
{
    (void)state;
    assert_true(http_is_same_origin(SLICE("http://a:1"), false, SLICE("a:1")));
    assert_true(http_is_same_origin(SLICE("HTTPS://A"), true, SLICE("a")));
    assert_false(http_is_same_origin(SLICE("http://a:1"), true, SLICE("a:1")));
    assert_false(http_is_same_origin(SLICE("http://a:1"), false, SLICE("a:2")));
    assert_false(http_is_same_origin(SLICE("http://a:1"), false, SLICE("a")));
    assert_false(http_is_same_origin(SLICE("null"), false, SLICE("null")));
    assert_false(http_is_same_origin(SLICE(""), false, SLICE("")));
    assert_false(http_is_same_origin(SLICE("http://"), false, SLICE("a")));
}

static void test_type(void **state)
{
    (void)state;
    assert_true(http_is_json(SLICE("application/json")));
    assert_true(http_is_json(SLICE("Application/JSON ; charset=utf-8")));
    assert_false(http_is_json(SLICE("application/json2")));
    assert_false(http_is_json(SLICE("text/plain;application/json")));
    assert_false(http_is_json(SLICE("application/x-www-form-urlencoded")));
    assert_false(http_is_json(SLICE_NONE));
}

/* --- objects --- */

static struct http_member members[HTTP_MEMBERS_MAX];

/* In memory of exactly that size. */
static int parse(const char *text, size_t len, char **room)
{
    *room = malloc(len != 0 ? len : 1);
    assert_non_null(*room);
    memcpy(*room, text, len);
    return http_parse_object(*room, len, members);
}

static void expect(const char *text, int n, const char *name, const char *value)
{
    char *room;
    int got = parse(text, strlen(text), &room);
    if (got != n)
        fail_msg("%s: %d", text, got);
    if (name != NULL) {
        assert_true(slice_eq(members[0].name, slice_str(name)));
        assert_true(slice_eq(members[0].value, slice_str(value)));
    }
    free(room);
}

static void test_object(void **state)
{
    (void)state;
    expect("{}", 0, NULL, NULL);
    expect(" { \r\n\t} ", 0, NULL, NULL);
    expect("{\"name\":\"1001\"}", 1, "name", "1001");
    expect("{ \"n\" : -17 , \"b\" : true , \"c\":false}", 3, "n", "-17");
    expect("{\"a\\u0062\":\"x\"}", 1, "ab", "x");
    expect("{\"a\":\"\\\"\\\\\\/\\b\\f\\n\\r\\t\"}", 1, "a", "\"\\/\b\f\n\r\t");
    expect("{\"a\":\"\\u00e9\\u20AC\\ud83d\\ude00\"}", 1, "a",
           "\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80");
    expect("{\"a\":\"\"}", 1, "a", "");
    expect("{\"a\":0}", 1, "a", "0");
}

#define NINE_MEMBERS "{\"a\":1,\"b\":2,\"c\":3,\"d\":4,\"e\":5,\"f\":6,\"g\":7,\"h\":8,\"i\":9}"

static void test_no_object(void **state)
{
    static const char *const wrong[] = {"",
                                        "{",
                                        "}",
                                        "[]",
                                        "null",
                                        "\"a\"",
                                        "{}x",
                                        "{}{}",
                                        "{,}",
                                        "{\"a\"}",
                                        "{\"a\":}",
                                        "{\"a\":1,}",
                                        "{\"a\":1 \"b\":2}",
                                        "{a:1}",
                                        "{'a':1}",
                                        "{\"a\":null}",
                                        "{\"a\":{}}",
                                        "{\"a\":[1]}",
                                        "{\"a\":01}",
                                        "{\"a\":1.5}",
                                        "{\"a\":+1}",
                                        "{\"a\":-}",
                                        "{\"a\":tru}",
                                        "{\"a\":\"\n\"}",
                                        "{\"a\":\"\\x\"}",
                                        "{\"a\":\"\\u12\"}",
                                        "{\"a\":\"\\u12g4\"}",
                                        "{\"a\":\"\\ud83d\"}",
                                        "{\"a\":\"\\ud83dx\"}",
                                        "{\"a\":\"\\ud83d\\u0041\"}",
                                        "{\"a\":\"\\ude00\"}",
                                        "{\"a\":\"x",
                                        "{\"a\":\"\\",
                                        "{\"a\":1,\"a\":2}",
                                        NINE_MEMBERS};
    (void)state;
    for (unsigned i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++)
        expect(wrong[i], -1, NULL, NULL);
}

/* No end of a right one reads beyond it, none is right. */
static void test_object_cut(void **state)
{
    static const char text[] = "{\"a\\u00e9\":\"\\ud83d\\ude00 x\",\"n\":-12,\"b\":true}";
    char *room;
    (void)state;
    for (size_t len = 0; len + 1 < sizeof(text); len++) {
        assert_int_equal(parse(text, len, &room), -1);
        free(room);
    }
    assert_int_equal(parse(text, sizeof(text) - 1, &room), 3);
    free(room);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_rate),         cmocka_unit_test(test_rate_by_network),
        cmocka_unit_test(test_rate_of_many), cmocka_unit_test(test_token),
        cmocka_unit_test(test_host),         cmocka_unit_test(test_origin),
        cmocka_unit_test(test_type),         cmocka_unit_test(test_object),
        cmocka_unit_test(test_no_object),    cmocka_unit_test(test_object_cut),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
