/* SPDX-License-Identifier: Apache-2.0 */
/* The options of HTTP: what needs what, and the files of its certificate. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "conf/conf.h"
#include "pem.h"

static const char *const files[] = {"a.pem", "a.key", "b.pem", "b.key", "text", "conf"};

struct stage {
    char dir[64];
    struct net_tls_keys *keys;
};

static char *path(const struct stage *s, const char *name, char out[128])
{
    snprintf(out, 128, "%s/%s", s->dir, name);
    return out;
}

static int setup(void **state)
{
    static struct stage s;
    char cert[128], key[128];
    s = (struct stage){.dir = "/tmp/holdfast-test-http-XXXXXX"};
    assert_non_null(mkdtemp(s.dir));
    pem_make(path(&s, "a.pem", cert), path(&s, "a.key", key), 30);
    pem_make(path(&s, "b.pem", cert), path(&s, "b.key", key), 30);
    pem_text(path(&s, "text", cert), "this is no certificate\n");
    assert_int_equal(net_tls_keys_new(&s.keys), 0);
    *state = &s;
    return 0;
}

static int teardown(void **state)
{
    struct stage *s = *state;
    char file[128];
    net_tls_keys_free(&s->keys);
    for (size_t i = 0; i < sizeof(files) / sizeof(files[0]); i++)
        unlink(path(s, files[i], file));
    rmdir(s->dir);
    return 0;
}

/* What is said about these lines of [sipproxy], in which each @ is the folder; freed by the caller.
 * *out: the configuration, NULL where there are errors. */
static char *said(const struct stage *s, const char *lines, struct conf **out)
{
    char file[128], *text = NULL;
    size_t size;
    *out = NULL;
    FILE *f = fopen(path(s, "conf", file), "w");
    assert_non_null(f);
    fputs("[sipproxy]\n", f);
    for (; *lines != '\0'; lines++)
        if (*lines == '@')
            fputs(s->dir, f);
        else
            fputc(*lines, f);
    fclose(f);
    FILE *err = open_memstream(&text, &size);
    int status = conf_load(file, err, out);
    if (status == 0)
        status = conf_open_tls(*out, s->keys, err);
    fclose(err);
    assert_int_equal(status, text[0] == '\0' ? 0 : ERR_PARSE);
    if (status != 0)
        conf_free(out);
    return text;
}

static void wrong(void **state, const char *lines, const char *wanted)
{
    struct conf *c;
    char *text = said(*state, lines, &c);
    if (strstr(text, wanted) == NULL)
        fail_msg("%s: \"%s\" does not say \"%s\"", lines, text, wanted);
    assert_ptr_equal(strchr(text, '\n'), text + strlen(text) - 1); /* one line */
    assert_null(strstr(text, "0123456789"));                       /* no token */
    free(text);
}

static struct conf *right(void **state, const char *lines)
{
    struct conf *c;
    char *text = said(*state, lines, &c);
    if (c == NULL)
        fail_msg("%s: %s", lines, text);
    free(text);
    return c;
}

static void test_address(void **state)
{
    char text[ADDR_TEXT_MAX];
    struct conf *c = right(state, "");
    assert_string_equal(addr_write(&c->admin_address, text), "127.0.0.1:8060");
    conf_free(&c);
    c = right(state, "admin-address = none\n");
    assert_int_equal(c->admin_address.family, ADDR_NONE);
    conf_free(&c);
    c = right(state, "admin-address = [::1]:80\n");
    conf_free(&c);
    c = right(state, "admin-address = 10.0.0.1:80\nadmin-token = 0123456789abcdef\n");
    assert_string_equal(c->admin_token, "0123456789abcdef");
    conf_free(&c);
    wrong(state, "admin-address = 10.0.0.1:80\n",
          ":2: admin-address = 10.0.0.1:80: needs admin-token; allowed without it: ");
    wrong(state, "admin-address = 0.0.0.0:80\n", "needs admin-token");
    wrong(state, "admin-address = [::]:80\n", "needs admin-token");
    wrong(state, "admin-address = 127.0.0.1\n", "not allowed; allowed: ADDRESS:PORT, or none");
}

static void test_token(void **state)
{
    wrong(state, "admin-token = 0123456789abcd\n", ":2: admin-token = ***: not allowed; allowed: ");
    wrong(state, "admin-token = 0123456789 abcdef\n", "not allowed");
    wrong(state, "admin-token = 0123456789abcd\xc3\xa9\n", "not allowed");
}

static void test_certificate(void **state)
{
    struct conf *c =
        right(state, "admin-tls-certificate = @/a.pem\nadmin-tls-private-key = @/a.key\n");
    assert_true(slice_starts(c->admin_certificate_text, SLICE("-----BEGIN CERTIFICATE-----")));
    assert_true(slice_starts(c->admin_key_text, SLICE("-----BEGIN")));
    conf_free(&c);
    /* Where nothing listens nothing is read. */
    c = right(state, "admin-address = none\nadmin-tls-certificate = @/missing\n"
                     "admin-tls-private-key = @/missing\n");
    assert_int_equal(c->admin_certificate_text.len, 0);
    conf_free(&c);
    wrong(state, "admin-tls-certificate = @/a.pem\n", "needs admin-tls-private-key");
    wrong(state, "admin-tls-private-key = @/a.key\n", "needs admin-tls-certificate");
    wrong(state, "admin-tls-certificate = @/missing\nadmin-tls-private-key = @/a.key\n",
          ":2: admin-tls-certificate = ");
    wrong(state, "admin-tls-certificate = @/a.pem\nadmin-tls-private-key = @/missing\n",
          ":3: admin-tls-private-key = ");
    wrong(state, "admin-tls-certificate = @/text\nadmin-tls-private-key = @/a.key\n",
          ":2: admin-tls-certificate = ");
    wrong(state, "admin-tls-certificate = @/a.pem\nadmin-tls-private-key = @/b.key\n",
          "does not belong to the certificate");
}

/* What is served goes on as it is, by TLS too, though the file says that there is nothing to serve.
 */
static void test_address_stays_until_the_restart(void **state)
{
    const struct stage *s = *state;
    struct conf *now = right(state, "admin-address = 127.0.0.1:8061\n"
                                    "admin-tls-certificate = @/a.pem\n"
                                    "admin-tls-private-key = @/a.key\n");
    struct conf *next = right(state, "admin-address = none\nadmin-tls-certificate = @/a.pem\n"
                                     "admin-tls-private-key = @/a.key\n");
    assert_int_equal(conf_keep_running(now, next), 0);
    assert_true(addr_eq(&next->admin_address, &now->admin_address));
    assert_int_equal(conf_open_tls(next, s->keys, NULL), 0);
    assert_true(slice_eq(next->admin_certificate_text, now->admin_certificate_text));
    conf_free(&now);
    conf_free(&next);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_address),
        cmocka_unit_test(test_address_stays_until_the_restart),
        cmocka_unit_test(test_token),
        cmocka_unit_test(test_certificate),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
