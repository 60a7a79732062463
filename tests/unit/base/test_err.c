/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

#include "base/err.h"

/* Every code of the list. */
static const int codes[] = {
    ERR_NONE,          ERR_NOMEM,
    ERR_PARSE,         ERR_RANGE,
    ERR_FULL,          ERR_LIMIT,
    ERR_STALE,         ERR_CLOSED,
    ERR_NOT_FOUND,     ERR_EXISTS,
    ERR_NO_ROUTE,      ERR_UNREACHABLE,
    ERR_UNSUPPORTED,   ERR_SHUTDOWN,
    ERR_TIMEOUT,       ERR_STALE_IDLE,
    ERR_STALE_UNACKED, ERR_STALE_SUSPECT,
    ERR_STALE_WEDGED,  ERR_SLOW_READER,
    ERR_TLS_HANDSHAKE, ERR_TLS_VERSION,
    ERR_TLS_EXPIRED,   ERR_TLS_NAME,
    ERR_TLS_UNTRUSTED, ERR_TLS_NO_CERTIFICATE,
    ERR_TLS_REFUSED,   ERR_TLS_PLAIN,
    ERR_TLS_ON_PLAIN,  ERR_TLS_BUSY,
    ERR_BAD_STATUS,    ERR_ICMP_PORT,
    ERR_ICMP_HOST,
};
#define CODES (sizeof(codes) / sizeof(codes[0]))

static void test_own(void **state)
{
    char buf[64];

    (void)state;
    for (size_t i = 0; i < CODES; i++) {
        const char *text = err_text(codes[i], buf, sizeof(buf));
        assert_true(text != buf && text[0] != '\0');
        for (size_t j = 0; j < i; j++)
            assert_string_not_equal(text, err_text(codes[j], buf, sizeof(buf)));
    }
    assert_string_equal(err_text(ERR_STALE_UNACKED, buf, sizeof(buf)), "stale: unacknowledged");
}

static void test_errno(void **state)
{
    char buf[64];

    (void)state;
    assert_string_equal(err_text(-ECONNRESET, buf, sizeof(buf)), "connection reset by peer");
    /* An abbreviation keeps its capitals. */
    assert_string_equal(err_text(-EUSERS, buf, sizeof(buf)), "too many users");
    assert_string_equal(err_text(-EREMOTEIO, buf, sizeof(buf)), "remote I/O error");
    assert_string_equal(err_text(-EADV, buf, sizeof(buf)), "advertise error");
    assert_string_equal(err_text(-ENOTNAM, buf, sizeof(buf)), "not a XENIX named type file");
    assert_string_equal(err_text(-EDOTDOT, buf, sizeof(buf)), "RFS specific error");
}

static void test_unknown(void **state)
{
    char buf[64];

    (void)state;
    assert_string_equal(err_text(-4095 - 995, buf, sizeof(buf)), "error -5090");
    assert_string_equal(err_text(-999, buf, sizeof(buf)), "error -999");
    assert_string_equal(err_text(12, buf, sizeof(buf)), "error 12");
    assert_string_equal(err_text((int)0x80000000, buf, sizeof(buf)), "error -2147483648");
}

static void test_short_buffer(void **state)
{
    char buf[8];

    (void)state;
    memset(buf, 'x', sizeof(buf));
    assert_string_equal(err_text(-ECONNRESET, buf, 5), "conn");
    assert_int_equal(buf[5], 'x');
    assert_non_null(err_text(-ECONNRESET, NULL, 0));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_own),
        cmocka_unit_test(test_errno),
        cmocka_unit_test(test_unknown),
        cmocka_unit_test(test_short_buffer),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
