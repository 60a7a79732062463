/* SPDX-License-Identifier: Apache-2.0 */
#include "proxy/seal.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>

#include <cmocka.h>

static const struct hash_key lasting = {11, 22};

static struct slice sealed_of(const struct seal *s, struct slice bound, struct slice text,
                              char *room)
{
    struct buf b;
    buf_init(&b, room, PROXY_SEAL_TEXT_MAX);
    assert_true(seal_write(s, SEAL_ROUTES, bound, text, &b));
    assert_false(b.overflow);
    return buf_get(&b);
}

static bool opens(const struct seal *s, enum seal_purpose purpose, struct slice bound,
                  struct slice sealed, struct slice *text)
{
    static char room[PROXY_SEAL_MAX];
    struct buf b;
    buf_init(&b, room, sizeof(room));
    bool is_ours = seal_read(s, purpose, bound, sealed, &b);
    assert_true(is_ours || b.len == 0);
    *text = buf_get(&b);
    return is_ours;
}

static void all_lengths_come_back(void **state)
{
    (void)state;
    struct seal s;
    char text[PROXY_SEAL_MAX + 1], room[PROXY_SEAL_TEXT_MAX];
    struct slice out;
    seal_init(&s, &lasting);
    for (size_t len = 0; len <= PROXY_SEAL_MAX; len++) {
        memset(text, (int)('a' + len % 26), len);
        struct slice sealed = sealed_of(&s, SLICE("call"), slice_of(text, len), room);
        assert_true(opens(&s, SEAL_ROUTES, SLICE("call"), sealed, &out));
        assert_true(slice_eq(out, slice_of(text, len)));
    }
    struct buf b;
    buf_init(&b, room, sizeof(room));
    memset(text, 'x', sizeof(text));
    assert_false(seal_write(&s, SEAL_ROUTES, SLICE("call"), slice_of(text, sizeof(text)), &b));
    assert_int_equal(b.len, 0);
}

/* What it becomes may stand in a parameter of a URI as it is (RFC 3261 25.1: unreserved). */
static void is_fit_for_a_parameter(void **state)
{
    (void)state;
    struct seal s;
    char room[PROXY_SEAL_TEXT_MAX];
    static const char may[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    seal_init(&s, &lasting);
    struct slice sealed = sealed_of(&s, SLICE("call"), SLICE("<sip:10.0.0.7;lr>"), room);
    for (size_t i = 0; i < sealed.len; i++)
        assert_non_null(strchr(may, sealed.ptr[i]));
    assert_null(memmem(sealed.ptr, sealed.len, "10.0", 4));
}

static void nothing_else_opens_it(void **state)
{
    (void)state;
    struct seal s, other;
    char room[PROXY_SEAL_TEXT_MAX];
    struct slice out;
    seal_init(&s, &lasting);
    seal_init(&other, &(struct hash_key){11, 23});
    struct slice sealed = sealed_of(&s, SLICE("call"), SLICE("<sip:10.0.0.7;lr>"), room);
    assert_true(opens(&s, SEAL_ROUTES, SLICE("call"), sealed, &out));
    assert_false(opens(&s, SEAL_PATH, SLICE("call"), sealed, &out));
    assert_false(opens(&s, SEAL_ROUTES, SLICE("cal"), sealed, &out));
    assert_false(opens(&other, SEAL_ROUTES, SLICE("call"), sealed, &out));
    for (size_t len = 0; len < sealed.len; len++)
        assert_false(opens(&s, SEAL_ROUTES, SLICE("call"), slice_of(sealed.ptr, len), &out));
    for (size_t i = 0; i < sealed.len; i++) {
        char was = room[i];
        for (const char *c = "AZaz09-_.%\0"; c[0] != '\0'; c++) {
            if (*c == was)
                continue;
            room[i] = *c;
            assert_false(opens(&s, SEAL_ROUTES, SLICE("call"), sealed, &out));
        }
        room[i] = was;
    }
    assert_false(opens(&s, SEAL_ROUTES, SLICE("call"), SLICE_NONE, &out));
}

/* The same for the same, and else nothing in common. */
static void depends_on_all_of_it(void **state)
{
    (void)state;
    struct seal s;
    char a[PROXY_SEAL_TEXT_MAX], b[PROXY_SEAL_TEXT_MAX];
    seal_init(&s, &lasting);
    struct slice one = sealed_of(&s, SLICE("call"), SLICE("<sip:10.0.0.7;lr>"), a);
    struct slice two = sealed_of(&s, SLICE("call"), SLICE("<sip:10.0.0.7;lr>"), b);
    assert_true(slice_eq(one, two));
    two = sealed_of(&s, SLICE("call2"), SLICE("<sip:10.0.0.7;lr>"), b);
    unsigned equal = 0;
    for (size_t i = 0; i < one.len; i++)
        equal += one.ptr[i] == two.ptr[i];
    assert_true(equal < one.len / 4);
    assert_int_equal(one.len, two.len);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(all_lengths_come_back),
        cmocka_unit_test(is_fit_for_a_parameter),
        cmocka_unit_test(nothing_else_opens_it),
        cmocka_unit_test(depends_on_all_of_it),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
