/* SPDX-License-Identifier: Apache-2.0 */
/* Contexts: what is wrong with a file is said in one line that names it. */
#include "net/tls_int.h"

#include <pthread.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/alloc.h"
#include "tls_rig.h"

static char why[512];

static int make(const struct net_tls_conf *conf)
{
    struct net_tls *tls = NULL;
    int rc = net_tls_new(conf, rig.keys, why, sizeof(why), &tls);
    if (rc == 0)
        assert_string_equal(why, "");
    net_tls_release(&tls);
    assert_null(tls);
    return rc;
}

static void check(const struct net_tls_conf *conf, int err, const char *file, const char *what)
{
    assert_int_equal(make(conf), err);
    if (strncmp(why, file, strlen(file)) != 0 || strstr(why, what) == NULL)
        fail_msg("\"%s\" does not name %s and \"%s\"", why, file, what);
    assert_null(strchr(why, '\n'));
}

static void test_good(void **state)
{
    struct net_tls *tls;
    struct net_tls_conf nothing = {0}, own = {.certificate = rig.host.pem};
    struct net_tls_conf apart = {.certificate = rig.host.pem,
                                 .private_key = cert_key("key.pem", &rig.host, NULL)};
    (void)state;
    assert_int_equal(make(&apart), 0);
    assert_int_equal(net_tls_new(&nothing, rig.keys, why, sizeof(why), &tls), 0);
    assert_false(net_tls_can_accept(tls));
    net_tls_release(&tls);
    assert_int_equal(net_tls_new(&own, NULL, why, sizeof(why), &tls), 0);
    assert_true(net_tls_can_accept(tls));
    net_tls_release(&tls);
    net_tls_release(&tls); /* NULL is allowed */
}

static void test_missing_and_unreadable(void **state)
{
    struct net_tls_conf c = {.certificate = cert_file("none.pem")};
    (void)state;
    check(&c, -ENOENT, c.certificate, "no such file or directory");
    c = (struct net_tls_conf){.certificate = rig.host.pem, .private_key = cert_file("none.key")};
    check(&c, -ENOENT, c.private_key, "no such file or directory");
    c = (struct net_tls_conf){.ca = cert_file("none-ca.pem")};
    check(&c, -ENOENT, c.ca, "no such file or directory");
    c = (struct net_tls_conf){.certificate = "/"};
    check(&c, -EISDIR, "/", "directory");
    c = (struct net_tls_conf){.certificate = "/dev/null"};
    check(&c, -EINVAL, "/dev/null", "");
    if (geteuid() != 0) {
        c = (struct net_tls_conf){.certificate = cert_text("secret.pem", "x")};
        assert_int_equal(chmod(c.certificate, 0), 0);
        check(&c, -EACCES, c.certificate, "permission denied");
    }
}

static void test_not_pem(void **state)
{
    struct net_tls_conf c = {.certificate = cert_text("text.pem", "no certificate\n")};
    (void)state;
    check(&c, ERR_PARSE, c.certificate, "no certificate in PEM format");
    c = (struct net_tls_conf){.certificate = cert_text("empty.pem", "")};
    check(&c, ERR_PARSE, c.certificate, "no certificate in PEM format");
    c = (struct net_tls_conf){
        .certificate = cert_text("broken.pem",
                                 "-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n")};
    check(&c, ERR_PARSE, c.certificate, "cannot be read");
    c = (struct net_tls_conf){.certificate = rig.host.pem,
                              .private_key = cert_text("text.key", "no key\n")};
    check(&c, ERR_PARSE, c.private_key, "no private key in PEM format");
    c = (struct net_tls_conf){.ca = cert_text("text-ca.pem", "nobody\n")};
    check(&c, ERR_PARSE, c.ca, "no certificate in PEM format");
}

static void test_key_of_another_certificate(void **state)
{
    struct net_tls_conf c = {.certificate = rig.host.pem,
                             .private_key = cert_key("other.key", &rig.ca, NULL)};
    (void)state;
    check(&c, ERR_PARSE, c.private_key, "does not belong to the certificate");
    assert_non_null(strstr(why, rig.host.pem));
    c = (struct net_tls_conf){.private_key = c.private_key};
    check(&c, ERR_PARSE, c.private_key, "without a certificate");
}

/* Nobody is asked for it: the test has no terminal to answer from, and would hang. */
static void test_password(void **state)
{
    struct net_tls_conf c = {.certificate = rig.host.pem,
                             .private_key = cert_key("locked.key", &rig.host, "secret")};
    (void)state;
    check(&c, ERR_PARSE, c.private_key, "protected by a password");
}

static void test_expired_is_taken(void **state)
{
    struct cert old;
    (void)state;
    cert_make(&old, "old",
              &(struct cert_spec){.cn = "x", .issuer = &rig.ca, .from = -7200, .to = -60});
    assert_int_equal(make(&(struct net_tls_conf){.certificate = old.pem}), 0);
    cert_free(&old);
}

static void test_directory_of_authorities(void **state)
{
    char dir[CERT_PATH], file[CERT_PATH];
    struct net_tls *one, *two;
    (void)state;
    memcpy(dir, cert_file("authorities"), CERT_PATH);
    assert_int_equal(mkdir(dir, 0700), 0);
    struct net_tls_conf c = {.ca = dir, .verify_server = true};
    check(&c, ERR_PARSE, dir, "no certificate in PEM format");
    memcpy(file, cert_file("authorities/a.pem"), CERT_PATH);
    assert_int_equal(link(rig.ca.pem, file), 0);
    assert_int_equal(net_tls_new(&c, rig.keys, why, sizeof(why), &one), 0);
    /* The rules are those of a file with the same authority, and others with one more. */
    struct net_tls_conf by_file = {.ca = rig.ca.pem, .verify_server = true};
    assert_int_equal(net_tls_new(&by_file, rig.keys, why, sizeof(why), &two), 0);
    assert_memory_equal(one->rules, two->rules, TLS_DIGEST);
    net_tls_release(&two);
    assert_int_equal(link(rig.other_ca.pem, cert_file("authorities/b.pem")), 0);
    assert_int_equal(net_tls_new(&c, rig.keys, why, sizeof(why), &two), 0);
    assert_memory_not_equal(one->rules, two->rules, TLS_DIGEST);
    net_tls_release(&one);
    net_tls_release(&two);
}

static void test_short_line(void **state)
{
    char few[8];
    struct net_tls *tls = NULL;
    struct net_tls_conf c = {.certificate = cert_file("none.pem")};
    (void)state;
    assert_int_equal(net_tls_new(&c, rig.keys, few, sizeof(few), &tls), -ENOENT);
    assert_int_equal(strlen(few), 7);
    assert_int_equal(net_tls_new(&c, rig.keys, NULL, 0, &tls), -ENOENT);
}

/* --- held by many ----------------------------------------------------------------------------- */

static void *hold_and_release(void *tls)
{
    for (unsigned i = 0; i < 2000; i++) {
        struct net_tls *mine = net_tls_hold(tls);
        SSL *ssl = SSL_new(mine->ctx);
        SSL_free(ssl);
        net_tls_release(&mine);
    }
    struct net_tls *mine = tls; /* the one that was held for this thread */
    net_tls_release(&mine);
    return NULL;
}

static void test_held_by_threads(void **state)
{
    struct net_tls_conf conf = rig_server_conf();
    struct net_tls *tls = rig_tls(&conf);
    pthread_t threads[4];
    (void)state;
    for (unsigned i = 0; i < 4; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, hold_and_release, net_tls_hold(tls)), 0);
    net_tls_release(&tls); /* the last thread frees it */
    for (unsigned i = 0; i < 4; i++)
        pthread_join(threads[i], NULL);
}

static void test_no_memory(void **state)
{
    struct net_tls_conf conf = rig_server_conf();
    struct net_tls *tls = NULL;
    struct net_tls_keys *keys = NULL;
    (void)state;
    for (uint64_t n = 1; n < 100; n++) {
        mem_fail_at(n);
        int rc = net_tls_keys_new(&keys);
        if (rc == 0)
            rc = net_tls_new(&conf, keys, why, sizeof(why), &tls);
        bool failed = mem_failed();
        mem_fail_at(0);
        assert_int_equal(rc, failed ? ERR_NOMEM : 0);
        net_tls_release(&tls);
        net_tls_keys_free(&keys);
        if (!failed)
            return;
    }
    fail_msg("allocations without end");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_good),
        cmocka_unit_test(test_missing_and_unreadable),
        cmocka_unit_test(test_not_pem),
        cmocka_unit_test(test_key_of_another_certificate),
        cmocka_unit_test(test_password),
        cmocka_unit_test(test_expired_is_taken),
        cmocka_unit_test(test_directory_of_authorities),
        cmocka_unit_test(test_short_line),
        cmocka_unit_test(test_held_by_threads),
        cmocka_unit_test(test_no_memory),
    };
    return cmocka_run_group_tests(tests, rig_setup, rig_teardown);
}
