/* SPDX-License-Identifier: Apache-2.0 */
/* The files of TLS as an operator meets them: what is wrong with one is told with its line, and
 * what is right becomes the rules of the daemon and of DNs. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/alloc.h"
#include "conf/conf.h"
#include "pem.h"

static const char *const files[] = {"good.pem", "good.key",  "other.pem", "other.key",
                                    "both.pem", "plain.txt", "empty.pem", "conf"};

struct stage {
    char dir[64];
    struct net_tls_keys *keys;
    struct conf *conf;
    char *said;
    int status;
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
    s = (struct stage){.dir = "/tmp/holdfast-test-tls-XXXXXX"};
    assert_non_null(mkdtemp(s.dir));
    pem_make(path(&s, "good.pem", cert), path(&s, "good.key", key), 30);
    pem_make(path(&s, "other.pem", cert), path(&s, "other.key", key), 30);
    pem_make(path(&s, "both.pem", cert), path(&s, "both.pem", key), 30);
    pem_text(path(&s, "plain.txt", cert), "this is no certificate\n");
    pem_text(path(&s, "empty.pem", cert), "");
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

/* Each @ of the text is the folder. */
static void write_conf(const struct stage *s, const char *text)
{
    char file[128];
    FILE *f = fopen(path(s, "conf", file), "w");
    assert_non_null(f);
    for (; *text != '\0'; text++) {
        if (*text == '@')
            fputs(s->dir, f);
        else
            fputc(*text, f);
    }
    fclose(f);
}

static void open_conf(struct stage *s, const char *text)
{
    char file[128];
    size_t size;
    write_conf(s, text);
    FILE *err = open_memstream(&s->said, &size);
    assert_int_equal(conf_load(path(s, "conf", file), err, &s->conf), 0);
    s->status = conf_open_tls(s->conf, s->keys, err);
    fclose(err);
}

static void close_conf(struct stage *s)
{
    conf_free(&s->conf);
    free(s->said);
    s->said = NULL;
}

#define WITH "[sipproxy]\nsip-port-tls = 5061\n"

static void nothing_without_tls(void **state)
{
    struct stage *s = *state;
    open_conf(s, "[sipproxy]\nsip-port = 5060\n");
    assert_int_equal(s->status, 0);
    assert_int_equal(s->conf->nprofiles, 0);
    close_conf(s);
}

static void profiles(void **state)
{
    struct stage *s = *state;
    open_conf(s, WITH "tls-certificate = @/good.pem\ntls-private-key = @/good.key\n"
                      "tls-ca = @/other.pem\n"
                      "[dn 1]\n[dn 2]\ntls-verify-server = false\n"
                      "[dn 3]\ntls-certificate = @/both.pem\ntls-min-version = 1.3\n");
    assert_string_equal(s->said, "");
    assert_int_equal(s->status, 0);
    const struct conf *c = s->conf;
    assert_int_equal(c->nprofiles, 3);
    assert_int_equal(c->profiles[0].name.len, 0);
    assert_true(slice_eq(c->profiles[1].name, SLICE("2")));
    assert_true(slice_eq(c->profiles[2].name, SLICE("3")));
    for (unsigned i = 0; i < 3; i++)
        assert_true(net_tls_can_accept(c->profiles[i].tls));
    close_conf(s);
}

/* Authorities alone: a file that cannot be read is told before anybody needs it. */
static void files_without_a_port(void **state)
{
    struct stage *s = *state;
    open_conf(s, "[sipproxy]\ntls-ca = @/other.pem\n");
    assert_int_equal(s->status, 0);
    assert_int_equal(s->conf->nprofiles, 1);
    assert_false(net_tls_can_accept(s->conf->profiles[0].tls));
    close_conf(s);
    open_conf(s, "[sipproxy]\ntls-ca = @/nothing.pem\n");
    assert_int_equal(s->status, ERR_PARSE);
    close_conf(s);
}

/* The context lives on with whoever holds it. */
static void held_contexts_outlive_the_configuration(void **state)
{
    struct stage *s = *state;
    open_conf(s, WITH "tls-certificate = @/both.pem\n");
    assert_int_equal(s->status, 0);
    struct net_tls *tls = net_tls_hold(s->conf->profiles[0].tls);
    close_conf(s);
    assert_true(net_tls_can_accept(tls));
    net_tls_release(&tls);
}

static void bad_files(void **state)
{
    struct stage *s = *state;
    static const struct {
        const char *text;
        const char *line, *option, *file, *why; /* parts of what is said */
    } cases[] = {
        {WITH "tls-certificate = @/nothing.pem\n", ":3: ", "tls-certificate = ", "/nothing.pem",
         "no such file"},
        {WITH "tls-certificate = @\n", ":3: ", "tls-certificate = ", "", "directory"},
        {WITH "tls-certificate = @/plain.txt\n", ":3: ", "tls-certificate = ", "/plain.txt", "PEM"},
        {WITH "tls-certificate = @/empty.pem\n", ":3: ", "tls-certificate = ", "/empty.pem", "PEM"},
        {WITH "tls-certificate = @/good.pem\n", ":3: ", "tls-certificate = ", "/good.pem", "key"},
        {WITH "tls-certificate = @/good.pem\ntls-private-key = @/nothing.key\n",
         ":4: ", "tls-private-key = ", "/nothing.key", "no such file"},
        {WITH "tls-certificate = @/good.pem\ntls-private-key = @/plain.txt\n",
         ":4: ", "tls-private-key = ", "/plain.txt", "key"},
        {WITH "tls-private-key = @/other.key\ntls-certificate = @/good.pem\n",
         ":3: ", "tls-private-key = ", "/other.key", "does not belong to"},
        {WITH "tls-certificate = @/both.pem\n\ntls-ca = @/nothing\n",
         ":5: ", "tls-ca = ", "/nothing", "no such file"},
        {WITH "tls-certificate = @/both.pem\ntls-ca = @/plain.txt\n",
         ":4: ", "tls-ca = ", "/plain.txt", "certificate"},
        {WITH "tls-certificate = @/both.pem\n[dn a]\n[dn b]\ntls-certificate = @/nothing\n",
         ":6: ", "tls-certificate = ", "/nothing", "no such file"},
        {WITH "tls-certificate = @/both.pem\n[dn b]\ntls-ca = @/nothing\n",
         ":5: ", "tls-ca = ", "/nothing", "no such file"},
        {WITH "tls-certificate = @/both.pem\n[dn b]\ntls-certificate = @/good.pem\n"
              "tls-private-key = @/other.key\n",
         ":6: ", "tls-private-key = ", "/other.key", "does not belong to"},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        open_conf(s, cases[i].text);
        const char *end = strchr(s->said, '\n');
        if (s->status != ERR_PARSE || end == NULL || end[1] != '\0' ||
            strstr(s->said, cases[i].line) == NULL || strstr(s->said, cases[i].option) == NULL ||
            strstr(s->said, cases[i].file) == NULL || strstr(s->said, cases[i].why) == NULL ||
            strstr(s->said, "; allowed: a PEM file") == NULL)
            fail_msg("case %zu: status %d, said: %s", i, s->status, s->said);
        close_conf(s);
    }
}

/* Each DN's own files are told at once. */
static void all_errors_of_dns(void **state)
{
    struct stage *s = *state;
    open_conf(s, WITH "tls-certificate = @/both.pem\n[dn a]\ntls-ca = @/nothing\n[dn b]\n"
                      "tls-certificate = @/plain.txt\n");
    assert_int_equal(s->status, ERR_PARSE);
    assert_non_null(strstr(s->said, ":5: tls-ca = "));
    assert_non_null(strstr(s->said, ":7: tls-certificate = "));
    close_conf(s);
}

/* The port is open until a restart, so it needs a certificate as long. */
static void reload_without_the_certificate(void **state)
{
    struct stage *s = *state;
    open_conf(s, WITH "tls-certificate = @/both.pem\n");
    struct conf *running = s->conf;
    free(s->said);
    open_conf(s, "[sipproxy]\nsip-port = 5060\n");
    assert_int_equal(s->status, 0);
    assert_int_equal(conf_keep_running(running, s->conf), 0);
    assert_int_equal(conf_open_tls(s->conf, s->keys, NULL), ERR_PARSE);
    conf_free(&running);
    close_conf(s);
}

static void allocation_failures(void **state)
{
    struct stage *s = *state;
    char file[128];
    mem_fail_at(1);
    void *probe = mem_alloc(1);
    if (probe != NULL) {
        mem_free(probe);
        mem_fail_at(0);
        skip();
    }
    mem_fail_at(0);
    write_conf(s, WITH "tls-certificate = @/both.pem\n[dn a]\ntls-ca = @/other.pem\n");
    for (uint64_t n = 1; n < 10000; n++) {
        struct conf *c = NULL;
        assert_int_equal(conf_load(path(s, "conf", file), NULL, &c), 0);
        mem_fail_at(n);
        int status = conf_open_tls(c, s->keys, NULL);
        bool failed = mem_failed();
        mem_fail_at(0);
        conf_free(&c);
        if (!failed) {
            assert_int_equal(status, 0);
            return;
        }
        if (status != ERR_NOMEM)
            fail_msg("allocation %u failed: %d", (unsigned)n, status);
    }
    fail_msg("never without a failure");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nothing_without_tls),
        cmocka_unit_test(profiles),
        cmocka_unit_test(files_without_a_port),
        cmocka_unit_test(held_contexts_outlive_the_configuration),
        cmocka_unit_test(bad_files),
        cmocka_unit_test(all_errors_of_dns),
        cmocka_unit_test(reload_without_the_certificate),
        cmocka_unit_test(allocation_failures),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
