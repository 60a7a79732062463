/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

#include "base/buf.h"

static void test_add(void **state)
{
    char room[12];
    struct buf b;

    (void)state;
    buf_init(&b, room, sizeof(room));
    buf_lit(&b, "SIP/");
    buf_char(&b, '2');
    buf_str(&b, ".0 ");
    buf_slice(&b, SLICE("200"));
    buf_slice(&b, SLICE_NONE);
    buf_str(&b, NULL);
    assert_false(b.overflow);
    assert_true(slice_eq(buf_get(&b), SLICE("SIP/2.0 200")));
    buf_char(&b, '!');
    assert_false(b.overflow);
    assert_int_equal(b.len, b.cap);
    buf_char(&b, '!');
    assert_true(b.overflow);
    assert_true(slice_eq(buf_get(&b), SLICE("SIP/2.0 200!")));
}

/* What does not fit leaves no trace but the flag, which stays. */
static void test_overflow(void **state)
{
    char room[8];
    struct buf b;

    (void)state;
    memset(room, '#', sizeof(room));
    buf_init(&b, room, 4);
    buf_lit(&b, "abc");
    buf_lit(&b, "de");
    assert_true(b.overflow);
    assert_int_equal(b.len, 3);
    buf_char(&b, 'd');
    assert_int_equal(b.len, 4);
    assert_true(b.overflow);
    buf_printf(&b, "%d", 1);
    buf_u64(&b, 1);
    buf_hex(&b, 1, 1);
    assert_memory_equal(room, "abcd####", 8);
    buf_init(&b, NULL, 0);
    buf_slice(&b, SLICE_NONE);
    assert_false(b.overflow);
    buf_printf(&b, "x");
    assert_true(b.overflow);
}

static void test_numbers(void **state)
{
    char room[200];
    struct buf b;

    (void)state;
    buf_init(&b, room, sizeof(room));
    buf_u64(&b, 0);
    buf_char(&b, ' ');
    buf_u64(&b, 5060);
    buf_char(&b, ' ');
    buf_u64(&b, UINT64_MAX);
    buf_char(&b, ' ');
    buf_hex(&b, 0xbeef, 8);
    buf_char(&b, ' ');
    buf_hex(&b, 0x1beef, 4);
    buf_char(&b, ' ');
    buf_hex(&b, UINT64_MAX - 1, 16);
    buf_hex(&b, 1, 0);
    assert_false(b.overflow);
    assert_true(
        slice_eq(buf_get(&b), SLICE("0 5060 18446744073709551615 0000beef beef fffffffffffffffe")));
    buf_hex(&b, 1, 17);
    assert_true(b.overflow);
}

static void test_printf(void **state)
{
    char room[8];
    struct buf b;

    (void)state;
    buf_init(&b, room, sizeof(room));
    buf_printf(&b, "%s=%d", "a", 7);
    assert_true(slice_eq(buf_get(&b), SLICE("a=7")));
    buf_printf(&b, "%s", "1234");
    assert_false(b.overflow);
    assert_true(slice_eq(buf_get(&b), SLICE("a=71234")));
    buf_init(&b, room, sizeof(room));
    buf_printf(&b, "%s", "12345678"); /* no room for printf's NUL */
    assert_true(b.overflow);
    assert_int_equal(b.len, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_add),
        cmocka_unit_test(test_overflow),
        cmocka_unit_test(test_numbers),
        cmocka_unit_test(test_printf),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
