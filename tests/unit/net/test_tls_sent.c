/* SPDX-License-Identifier: Apache-2.0 */
#include "net/tls_sent.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/alloc.h"

static void test_parts_are_acknowledged_whole(void **state)
{
    struct tls_sent q;
    (void)state;
    tls_sent_init(&q);
    assert_int_equal(tls_sent_acked(&q, 100), 0);
    tls_sent_add(&q, 10, 132);
    tls_sent_add(&q, 20, 174);
    assert_int_equal(tls_sent_acked(&q, 100), 30);
    assert_int_equal(tls_sent_acked(&q, 131), 30);
    assert_int_equal(tls_sent_acked(&q, 132), 20);
    assert_int_equal(tls_sent_acked(&q, 173), 20);
    tls_sent_add(&q, 5, 200);
    assert_int_equal(tls_sent_acked(&q, 174), 5);
    assert_int_equal(tls_sent_acked(&q, 200), 0);
    tls_sent_fini(&q);
}

/* What stands on the wire before the first part does not matter. */
static void test_begins_in_the_middle(void **state)
{
    struct tls_sent q;
    (void)state;
    tls_sent_init(&q);
    tls_sent_add(&q, 1, UINT64_C(1) << 40);
    assert_int_equal(tls_sent_acked(&q, (UINT64_C(1) << 40) - 1), 1);
    assert_int_equal(tls_sent_acked(&q, UINT64_C(1) << 40), 0);
    tls_sent_fini(&q);
}

static void test_grows_and_is_small_again(void **state)
{
    struct tls_sent q;
    size_t plain = 0;
    (void)state;
    tls_sent_init(&q);
    for (unsigned i = 1; i <= 400; i++) {
        tls_sent_add(&q, i, i * 1000u);
        plain += i;
        if (i % 3 == 0) { /* the ring turns */
            assert_int_equal(tls_sent_acked(&q, i / 3 * 1000u), plain - (i / 3) * (i / 3 + 1) / 2);
        }
    }
    assert_non_null(q.more);
    assert_int_equal(tls_sent_acked(&q, 400000), 0);
    assert_null(q.more);
    tls_sent_add(&q, 7, 400001);
    assert_int_equal(tls_sent_acked(&q, 400000), 7);
    tls_sent_fini(&q);
}

/* Beyond the maximum the last part takes everything: too much counts as outstanding, never too
 * little. */
static void test_joins_when_full(void **state)
{
    struct tls_sent q;
    (void)state;
    tls_sent_init(&q);
    for (unsigned i = 1; i <= TLS_SENT_MAX + 10; i++)
        tls_sent_add(&q, 2, i * 10u);
    assert_int_equal(q.n, TLS_SENT_MAX);
    assert_int_equal(tls_sent_acked(&q, 10), 2 * (TLS_SENT_MAX + 9));
    assert_int_equal(tls_sent_acked(&q, (TLS_SENT_MAX + 9) * 10), 22);
    assert_int_equal(tls_sent_acked(&q, (TLS_SENT_MAX + 10) * 10), 0);
    tls_sent_fini(&q);
}

static void test_no_memory(void **state)
{
    struct tls_sent q;
    (void)state;
    tls_sent_init(&q);
    for (unsigned i = 1; i <= TLS_SENT_FIRST; i++)
        tls_sent_add(&q, 1, i);
    mem_fail_at(1);
    tls_sent_add(&q, 1, TLS_SENT_FIRST + 1);
    if (mem_failed())
        assert_int_equal(tls_sent_acked(&q, TLS_SENT_FIRST), 2);
    mem_fail_at(0);
    assert_int_equal(tls_sent_acked(&q, TLS_SENT_FIRST + 1), 0);
    tls_sent_fini(&q);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_parts_are_acknowledged_whole),
        cmocka_unit_test(test_begins_in_the_middle),
        cmocka_unit_test(test_grows_and_is_small_again),
        cmocka_unit_test(test_joins_when_full),
        cmocka_unit_test(test_no_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
