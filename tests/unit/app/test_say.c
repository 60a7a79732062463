/* SPDX-License-Identifier: Apache-2.0 */
/* What is said of our certificates, by the time at which it is said. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <openssl/pem.h>
#include <openssl/x509.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "app/daemon.h"
#include "heard.h"

#define DAY_MS 86400000ull

static char file[] = "/tmp/holdfast-test-say-XXXXXX";

/* Valid for thirty days from now on. */
static int make_certificate(void **state)
{
    EVP_PKEY *key = EVP_EC_gen("P-256");
    X509 *x = X509_new();
    X509_NAME *name = X509_get_subject_name(x);
    (void)state;
    X509_set_version(x, 2);
    X509_gmtime_adj(X509_getm_notBefore(x), 0);
    X509_gmtime_adj(X509_getm_notAfter(x), 30 * 86400);
    X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_ASC, (const unsigned char *)"test", -1, -1, 0);
    X509_set_issuer_name(x, name);
    X509_set_pubkey(x, key);
    X509_sign(x, key, EVP_sha256());
    int fd = mkstemp(file);
    FILE *f = fd >= 0 ? fdopen(fd, "w") : NULL;
    bool ok = f != NULL && PEM_write_X509(f, x) == 1;
    if (f != NULL)
        fclose(f);
    X509_free(x);
    EVP_PKEY_free(key);
    return ok ? 0 : -1;
}

static int remove_certificate(void **state)
{
    (void)state;
    event_set_tap(NULL, NULL);
    return unlink(file);
}

static unsigned heard_all(void)
{
    return heard(EV_CERTIFICATE_SOON) + heard(EV_CERTIFICATE_EXPIRED) +
           heard(EV_CERTIFICATE_EARLY) + heard(EV_CERTIFICATE_UNREADABLE);
}

/* The one event of that kind, `days` from now on; EVENT_MAX: none. */
static void expect(enum event ev, int days)
{
    struct conf c = {.tls.certificate = file};
    uint64_t now = (uint64_t)time(NULL) * 1000;
    heard_begin();
    log_certificates(&c, now + (uint64_t)days * DAY_MS, true);
    assert_int_equal(heard_all(), ev != EVENT_MAX);
    if (ev != EVENT_MAX)
        assert_int_equal(heard(ev), 1);
}

static void by_time(void **state)
{
    (void)state;
    expect(EV_CERTIFICATE_EARLY, -1);
    expect(EVENT_MAX, 1);
    expect(EVENT_MAX, 15);
    expect(EV_CERTIFICATE_SOON, 17);
    expect(EV_CERTIFICATE_SOON, 29);
    expect(EV_CERTIFICATE_EXPIRED, 31);
}

/* Those of a DN and of an application too. */
static void unreadable(void **state)
{
    struct dn_conf dn = {.name = "1001", .tls.certificate = "/proc/no/such"};
    struct group_conf group = {.name = "main"};
    struct dn_tls_conf of_group = {.certificate = "/proc/no/such"};
    struct conf c = {.dns = &dn, .ndns = 1, .groups = &group, .group_tls = &of_group, .ngroups = 1};
    (void)state;
    heard_begin();
    log_certificates(&c, 0, false);
    assert_int_equal(heard(EV_CERTIFICATE_UNREADABLE), 2);
    c = (struct conf){0};
    log_certificates(&c, 0, false);
    assert_int_equal(heard_all(), 2);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(by_time), cmocka_unit_test(unreadable)};
    return cmocka_run_group_tests(tests, make_certificate, remove_certificate);
}
