/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/alloc.h"
#include "base/buf.h"
#include "base/err.h"
#include "base/field.h"

/* What was put, and how many pieces it may still take. */
struct taken {
    struct buf b;
    unsigned pieces, max;
};

static bool take(void *user, const void *ptr, size_t len)
{
    struct taken *t = user;
    if (t->pieces == t->max)
        return false;
    t->pieces++;
    buf_add(&t->b, ptr, len);
    return true;
}

static void expect(const struct field *f, const char *text, const char *json)
{
    char room[512];
    struct taken t = {.max = 100};

    (void)row_line("", 1, f, room, sizeof(room));
    assert_string_equal(room + strlen(" n="), text);

    buf_init(&t.b, room, sizeof(room) - 1);
    assert_true(field_json(f, take, &t));
    room[t.b.len] = '\0';
    assert_string_equal(room, json);
}

static void values(void **state)
{
    (void)state;
    struct addr a, none = {.family = ADDR_NONE};
    assert_int_equal(addr_parse(SLICE("[2001:db8::1]:5061"), 0, &a), 0);
    expect(&LF_STR("n", "plain"), "plain", "\"plain\"");
    expect(&LF_STR("n", "two words"), "\"two words\"", "\"two words\"");
    expect(&LF_STR("n", ""), "\"\"", "\"\"");
    expect(&LF_STR("n", NULL), "\"\"", "\"\"");
    expect(&LF_SLICE("n", SLICE("a=b")), "\"a=b\"", "\"a=b\"");
    expect(&LF_SLICE("n", SLICE_NONE), "\"\"", "\"\"");
    expect(&LF_INT("n", 0), "0", "0");
    expect(&LF_INT("n", INT64_MAX), "9223372036854775807", "9223372036854775807");
    expect(&LF_INT("n", INT64_MIN), "-9223372036854775808", "-9223372036854775808");
    expect(&LF_BOOL("n", true), "true", "true");
    expect(&LF_BOOL("n", false), "false", "false");
    expect(&LF_ADDR("n", &a), "[2001:db8::1]:5061", "\"[2001:db8::1]:5061\"");
    expect(&LF_ADDR("n", &none), "\"\"", "\"\"");
    expect(&LF_ADDR("n", NULL), "\"\"", "\"\"");
    expect(&LF_ERR("n", ERR_STALE_IDLE), "\"stale: keep-alive unanswered\"",
           "\"stale: keep-alive unanswered\"");
}

static void what_a_peer_may_send(void **state)
{
    (void)state;
    expect(&LF_SLICE("n", SLICE("a\"b\\c")), "\"a\\\"b\\\\c\"", "\"a\\\"b\\\\c\"");
    expect(&LF_SLICE("n", SLICE("\r\n\t")), "\"\\r\\n\\t\"", "\"\\r\\n\\t\"");
    expect(&LF_SLICE("n", SLICE("\0\x1b[2J\x7f")), "\"\\x00\\x1b[2J\\x7f\"",
           "\"\\u0000\\u001b[2J\\u007f\"");
    /* C1 as UTF-8; a lone byte of it. */
    expect(&LF_SLICE("n", SLICE("\xc2\x9b"
                                "2J")),
           "\"\\x9b2J\"", "\"\\u009b2J\"");
    expect(&LF_SLICE("n", SLICE("\x9b"
                                "2J")),
           "\"\\x9b2J\"", "\"\\ufffd2J\"");
    expect(&LF_SLICE("n", SLICE("J\xc3\xbcrgen")), "\"J\xc3\xbcrgen\"", "\"J\xc3\xbcrgen\"");
    /* Overlong, a surrogate, beyond U+10FFFF, cut short: one U+FFFD for each byte. */
    expect(&LF_SLICE("n", SLICE("\xc0\xaf")), "\"\\xc0\\xaf\"", "\"\\ufffd\\ufffd\"");
    expect(&LF_SLICE("n", SLICE("\xed\xa0\x80")), "\"\\xed\\xa0\\x80\"",
           "\"\\ufffd\\ufffd\\ufffd\"");
    expect(&LF_SLICE("n", SLICE("\xf4\x90\x80\x80")), "\"\\xf4\\x90\\x80\\x80\"",
           "\"\\ufffd\\ufffd\\ufffd\\ufffd\"");
    expect(&LF_SLICE("n", SLICE("\xe2\x82")), "\"\\xe2\\x82\"", "\"\\ufffd\\ufffd\"");
    expect(&LF_SLICE("n", SLICE("\xf0\x9f\x93\x9e")), "\"\xf0\x9f\x93\x9e\"",
           "\"\xf0\x9f\x93\x9e\"");
}

/* A whole SIP message of the largest size. */
static void a_value_of_64_kib(void **state)
{
    (void)state;
    size_t n = 65536;
    char *in = mem_alloc(n), *out = mem_alloc(6 * n + 2);
    struct taken t = {.max = UINT32_MAX};

    assert_true(in != NULL && out != NULL);
    for (size_t i = 0; i < n; i++)
        in[i] = i % 3 == 0 ? '\0' : i % 3 == 1 ? 'a' : '"';
    buf_init(&t.b, out, 6 * n + 2);
    assert_true(field_json(&LF_SLICE("n", slice_of(in, n)), take, &t));
    assert_false(t.b.overflow);
    assert_int_equal(t.b.len, 2 + 21846 * 6 + 21845 + 21845 * 2);
    assert_memory_equal(out, "\"\\u0000a\\\"\\u0000", 16);
    assert_memory_equal(out + t.b.len - 7, "\\u0000\"", 7);
    assert_true(t.pieces < 1000);
    /* No part of a character at the end of any piece: each one of them may be the last. */
    for (size_t i = 0; i + 1 < n; i += 2)
        memcpy(in + i, "\xc3\xbc", 2);
    in[0] = 'x';
    in[1] = 'y';
    in[n - 1] = 'z';
    in[n - 2] = 'z';
    t = (struct taken){.max = 7};
    buf_init(&t.b, out, 6 * n + 2);
    assert_false(field_escape(FIELD_JSON, slice_of(in, n), take, &t));
    assert_int_equal(t.pieces, 7);
    assert_int_equal(t.b.len % 2, 0);
    assert_memory_equal(out + t.b.len - 2, "\xc3\xbc", 2);
    mem_free(in);
    mem_free(out);
}

static void a_sink_that_is_full(void **state)
{
    (void)state;
    char room[64];
    for (unsigned max = 0; max < 3; max++) {
        struct taken t = {.max = max};
        buf_init(&t.b, room, sizeof(room));
        assert_false(field_json(&LF_STR("n", "x"), take, &t));
        assert_int_equal(t.pieces, max);
    }
}

static void rows_in_one_line(void **state)
{
    (void)state;
    char room[80];
    const struct field fields[] = {LF_STR("id", "1f"), LF_STR("state", "out of service"),
                                   LF_INT("idle_ms", 12), LF_BOOL("checked", true)};
    const char *whole = "dn id=1f state=\"out of service\" idle_ms=12 checked=true";

    assert_int_equal(row_line("dn", 4, fields, room, sizeof(room)), strlen(whole));
    assert_string_equal(room, whole);
    assert_int_equal(row_line("dn", 0, NULL, room, sizeof(room)), 2);
    assert_string_equal(room, "dn");
}

static void a_long_row_is_cut(void **state)
{
    (void)state;
    char room[64];
    const char *text = "\xc3\xbc\x01\xc3\xbc\x01\xc3\xbc\x01";
    const struct field fields[] = {LF_STR("a", text), LF_INT("b", 123)};
    char all[64];
    size_t whole = row_line("dn", 2, fields, all, sizeof(all));

    for (size_t cap = 8; cap <= sizeof(room); cap++) {
        memset(room, '#', sizeof(room));
        size_t len = row_line("dn", 2, fields, room, cap);
        assert_true(len < cap);
        assert_int_equal(room[len], '\0');
        for (size_t i = cap; i < sizeof(room); i++)
            assert_int_equal(room[i], '#');
        if (len == whole && strcmp(room, all) == 0)
            continue;
        assert_true(len >= 3 && memcmp(room + len - 3, "\xe2\x80\xa6", 3) == 0);
        assert_memory_equal(room, all, len - 3);
        /* Neither half a character nor half an escape before the cut. */
        assert_true((all[len - 3] & 0xc0) != 0x80);
        if (len >= 7)
            assert_true(strncmp(room + len - 4, "\\", 1) != 0 &&
                        strncmp(room + len - 5, "\\x", 2) != 0);
    }
    assert_true(whole < sizeof(room) - 8);
}

static void times(void **state)
{
    (void)state;
    static const struct {
        uint64_t ms;
        const char *text;
    } cases[] = {
        {0, ""},
        {1, "1970-01-01T00:00:00.001Z"},
        {951782399999, "2000-02-28T23:59:59.999Z"},
        {951782400000, "2000-02-29T00:00:00.000Z"},
        {951868800000, "2000-03-01T00:00:00.000Z"},
        {1709251200123, "2024-03-01T00:00:00.123Z"},
        {4107542400000, "2100-03-01T00:00:00.000Z"},
        {4107542399000, "2100-02-28T23:59:59.000Z"},
        {1798761599999, "2026-12-31T23:59:59.999Z"},
    };
    char room[FIELD_TIME_MAX];
    for (unsigned i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
        assert_string_equal(field_time(cases[i].ms, room), cases[i].text);
    assert_true(strlen(field_time(UINT64_MAX, room)) < FIELD_TIME_MAX);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(values),
        cmocka_unit_test(what_a_peer_may_send),
        cmocka_unit_test(a_value_of_64_kib),
        cmocka_unit_test(a_sink_that_is_full),
        cmocka_unit_test(rows_in_one_line),
        cmocka_unit_test(a_long_row_is_cut),
        cmocka_unit_test(times),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
