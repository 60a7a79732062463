/* SPDX-License-Identifier: Apache-2.0 */
/* What is said of a certificate file: whose it is, and from when to when it is valid. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#include "certs.h"
#include "net/certificate.h"

static int setup(void **state)
{
    *state = (void *)certs_begin();
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    certs_end();
    return 0;
}

/* Seconds may pass between the making and the comparison. */
static void assert_near(int64_t got, int64_t wanted)
{
    assert_true(got >= wanted && got <= wanted + 600);
}

static void subject_and_times(void **state)
{
    (void)state;
    struct cert c;
    struct net_certificate got;
    int64_t now = (int64_t)time(NULL);
    cert_make(&c, "own",
              &(struct cert_spec){.cn = "proxy.example.com", .from = -7200, .to = 86400});
    assert_int_equal(net_certificate_read(c.pem, &got), 0);
    assert_string_equal(got.subject, "CN=proxy.example.com");
    assert_near(got.starts, now - 7200);
    assert_near(got.ends, now + 86400);
    cert_free(&c);
}

/* The one in front is ours, behind it stand its issuers. */
static void first_of_a_chain(void **state)
{
    (void)state;
    struct cert root, own;
    struct net_certificate got;
    cert_make(&root, "root", &(struct cert_spec){.cn = "Root", .is_ca = true});
    cert_make(&own, "leaf",
              &(struct cert_spec){.cn = "Leaf", .issuer = &root, .from = -20, .to = -10});
    assert_int_equal(net_certificate_read(own.pem, &got), 0);
    assert_string_equal(got.subject, "CN=Leaf");
    assert_true(got.ends < (int64_t)time(NULL));
    cert_free(&own);
    cert_free(&root);
}

static void no_certificate(void **state)
{
    (void)state;
    struct net_certificate got;
    assert_int_equal(net_certificate_read(cert_text("text", "hello\n"), &got), ERR_PARSE);
    assert_int_equal(net_certificate_read(cert_text("empty", ""), &got), ERR_PARSE);
    assert_int_equal(net_certificate_read("/nonexistent/x.pem", &got), ERR_PARSE);
    assert_string_equal(got.subject, "");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(subject_and_times),
        cmocka_unit_test(first_of_a_chain),
        cmocka_unit_test(no_certificate),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
