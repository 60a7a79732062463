/* SPDX-License-Identifier: Apache-2.0 */
/* Options that are set by hand, and the rows that show where each value comes from. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

// clang-format off
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
// clang-format on

#include "conf/conf.h"

static char path[64];

static void write_file(const char *text)
{
    FILE *f = fopen(path, "w");
    assert_non_null(f);
    fputs(text, f);
    fclose(f);
}

static int make_file(void **state)
{
    (void)state;
    snprintf(path, sizeof(path), "/tmp/holdfast-test-set-XXXXXX");
    int fd = mkstemp(path);
    assert_true(fd >= 0);
    close(fd);
    return 0;
}

static int drop_file(void **state)
{
    (void)state;
    unlink(path);
    return 0;
}

static struct conf_set set_of(const char *name, const char *value)
{
    return (struct conf_set){slice_str(name), slice_str(value)};
}

struct row {
    char section[64], value[64], pending[64], fallback[64], source[128], effect[64];
    unsigned n;
};

static void take_row(void *user, const char *set, unsigned n, const struct field *f)
{
    struct row *r = user;
    assert_string_equal(set, "option");
    assert_int_equal(n, 7);
    snprintf(r->section, sizeof(r->section), "%s", f[0].v.str);
    snprintf(r->value, sizeof(r->value), "%s", f[2].v.str);
    snprintf(r->pending, sizeof(r->pending), "%s", f[3].v.str);
    snprintf(r->fallback, sizeof(r->fallback), "%s", f[4].v.str);
    snprintf(r->source, sizeof(r->source), "%s", f[5].v.str);
    snprintf(r->effect, sizeof(r->effect), "%s", f[6].v.str);
    r->n++;
}

static struct row row_of(const struct conf *c, const char *name)
{
    struct row r = {.n = 0};
    struct row_sink sink = {take_row, &r};
    conf_rows(c, slice_str(name), &sink);
    return r;
}

static struct conf *load(const struct conf_set *sets, unsigned n)
{
    struct conf *c = NULL;
    assert_int_equal(conf_load_with(path, sets, n, stderr, &c), 0);
    return c;
}

static void test_by_hand_counts_instead_of_the_file(void **state)
{
    (void)state;
    write_file(
        "[sipproxy]\noverload-ctrl-dialog-rate = 7\nrelay-from = 10.0.0.0/8,\n 10.1.0.0/16\n");
    struct conf_set sets[] = {set_of("overload-ctrl-dialog-rate", "9"),
                              set_of("relay-from", "192.0.2.0/24")};
    struct conf *c = load(sets, 2);
    struct row r = row_of(c, "overload-ctrl-dialog-rate");
    assert_string_equal(r.value, "9");
    assert_string_equal(r.fallback, "0");
    assert_string_equal(r.source, "set");
    assert_string_equal(r.effect, "at once");
    assert_string_equal(row_of(c, "relay-from").value, "192.0.2.0/24");
    conf_free(&c);
}

static void test_where_each_value_was_given(void **state)
{
    char where[128];
    (void)state;
    write_file("[sipproxy]\n\ndrain-timeout = 3\nhep-password = geheim\n");
    struct conf *c = load(NULL, 0);
    snprintf(where, sizeof(where), "%s:3", path);
    assert_string_equal(row_of(c, "drain-timeout").source, where);
    assert_string_equal(row_of(c, "drain-timeout").value, "3");
    assert_string_equal(row_of(c, "log-format").source, "default");
    assert_string_equal(row_of(c, "log-format").value, "text");
    assert_string_equal(row_of(c, "hep-password").value, "***");
    assert_string_equal(row_of(c, "workers").effect, "restart");
    assert_int_equal(row_of(c, "no-such").n, 0);
    assert_true(row_of(c, "").n > 60);
    conf_free(&c);
}

/* What runs, and what the next start will bring. */
static void test_pending(void **state)
{
    (void)state;
    char cores[16];
    write_file("[sipproxy]\nsip-port = 5070\n");
    struct conf *now = load(NULL, 0);
    snprintf(cores, sizeof(cores), "%u", now->workers);
    assert_string_equal(row_of(now, "workers").value, cores); /* not "number of cores" */
    write_file("[sipproxy]\nworkers = 63\nsip-ip-tos = 0\ntimer-c = 9\n");
    struct conf *next = load(NULL, 0);
    assert_int_equal(conf_keep_running(now, next), 0);
    conf_free(&now);
    assert_string_equal(row_of(next, "workers").value, cores);
    assert_string_equal(row_of(next, "workers").pending, "63");
    assert_string_equal(row_of(next, "sip-port").value, "5070");
    assert_string_equal(row_of(next, "sip-port").pending, "5060");
    assert_string_equal(row_of(next, "timer-c").value, "9");
    assert_string_equal(row_of(next, "timer-c").pending, "");
    assert_string_equal(row_of(next, "location").pending, "");
    conf_free(&next);
}

static void test_other_sections(void **state)
{
    char where[128];
    (void)state;
    write_file("[sipproxy]\n[dn 1001]\ntype = extension\npassword = geheim\n"
               "[application main]\nprimary = sip:192.0.2.1\noos-check = 9\n");
    struct conf *c = load(NULL, 0);
    struct row r = row_of(c, "primary");
    snprintf(where, sizeof(where), "%s:6", path);
    assert_string_equal(r.section, "application main");
    assert_string_equal(r.value, "sip:192.0.2.1");
    assert_string_equal(r.source, where);
    assert_string_equal(row_of(c, "password").value, "***");
    assert_int_equal(row_of(c, "oos-check").n, 2); /* the general one, and that of main */
    conf_free(&c);
}

static void test_collector_that_is_ourselves(void **state)
{
    char said[512] = "";
    (void)state;
    struct conf_set set = set_of("hep-collector", "127.0.0.1:5060");
    struct conf *now, *next = NULL;
    write_file("[sipproxy]\n");
    now = load(NULL, 0);
    FILE *f = fmemopen(said, sizeof(said), "w");
    assert_int_equal(conf_load_again(now, &set, 1, f, &next), ERR_PARSE);
    fclose(f);
    assert_string_equal(said, "set: hep-collector = 127.0.0.1:5060: that is where we listen for "
                              "SIP ourselves\n");
    conf_free(&now);
}

/* An edit of the file that nobody has asked for stays out of it. */
static void test_again_is_from_what_was_read(void **state)
{
    (void)state;
    struct conf_set set = set_of("log-format", "json");
    struct conf *now, *next = NULL;
    write_file("[sipproxy]\ndrain-timeout = 3\n");
    now = load(NULL, 0);
    write_file("[sipproxy]\ndrain-timeout = 4\n");
    assert_int_equal(conf_load_again(now, &set, 1, stderr, &next), 0);
    conf_free(&now); /* the text lives on */
    assert_int_equal(next->drain_ms, 3000);
    assert_int_equal(next->log_format, LOG_JSON);
    assert_int_equal(conf_load_again(next, NULL, 0, stderr, &now), 0);
    assert_int_equal(now->log_format, LOG_TEXT);
    assert_int_equal(now->drain_ms, 3000);
    conf_free(&next);
    conf_free(&now);
}

static void test_again_without_a_file(void **state)
{
    (void)state;
    struct conf_set set = set_of("drain-timeout", "7");
    struct conf *now = NULL, *next = NULL;
    assert_int_equal(conf_load(NULL, stderr, &now), 0);
    assert_int_equal(conf_load_again(now, &set, 1, stderr, &next), 0);
    assert_int_equal(next->drain_ms, 7000);
    conf_free(&now);
    conf_free(&next);
}

static void test_mistakes_are_told(void **state)
{
    char said[512] = "";
    (void)state;
    struct conf_set sets[] = {set_of("drain-timeout", "never"), set_of("no-such", "1")};
    struct conf *now, *next = NULL;
    write_file("[sipproxy]\n");
    now = load(NULL, 0);
    FILE *f = fmemopen(said, sizeof(said), "w");
    assert_int_equal(conf_load_again(now, sets, 2, f, &next), ERR_PARSE);
    fclose(f);
    assert_null(next);
    assert_non_null(strstr(said, "drain-timeout = never: not allowed; allowed: 0 to 3600 s"));
    assert_non_null(strstr(said, "no-such: no such option"));
    conf_free(&now);
}

static void test_what_may_be_set(void **state)
{
    (void)state;
    assert_int_equal(conf_can_set(SLICE("drain-timeout")), 0);
    assert_int_equal(conf_can_set(SLICE("workers")), ERR_UNSUPPORTED);
    assert_int_equal(conf_can_set(SLICE("contact")), ERR_NOT_FOUND); /* of a [dn ...] */
    assert_int_equal(conf_can_set(SLICE("")), ERR_NOT_FOUND);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_by_hand_counts_instead_of_the_file, make_file,
                                        drop_file),
        cmocka_unit_test_setup_teardown(test_pending, make_file, drop_file),
        cmocka_unit_test_setup_teardown(test_where_each_value_was_given, make_file, drop_file),
        cmocka_unit_test_setup_teardown(test_other_sections, make_file, drop_file),
        cmocka_unit_test_setup_teardown(test_collector_that_is_ourselves, make_file, drop_file),
        cmocka_unit_test_setup_teardown(test_again_is_from_what_was_read, make_file, drop_file),
        cmocka_unit_test(test_again_without_a_file),
        cmocka_unit_test_setup_teardown(test_mistakes_are_told, make_file, drop_file),
        cmocka_unit_test(test_what_may_be_set),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
