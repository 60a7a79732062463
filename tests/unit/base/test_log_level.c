/* SPDX-License-Identifier: Apache-2.0 */
/* Levels of single modules. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <pthread.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/err.h"
#include "base/log.h"

static struct log_levels parsed(const char *text)
{
    struct log_levels l;
    char why[LOG_LEVELS_WHY_MAX];
    if (log_levels_parse(slice_str(text), &l, why) != 0)
        fail_msg("%s: %s", text, why);
    return l;
}

static void test_parse(void **state)
{
    struct log_levels l = parsed("info, flow:debug, txn:warn");
    (void)state;
    assert_int_equal(l.others, LOG_INFO);
    assert_int_equal(l.of[MODULE_FLOW], LOG_DEBUG);
    assert_int_equal(l.of[MODULE_TXN], LOG_WARN);
    assert_int_equal(l.of[MODULE_APP], LOG_INFO);
    l = parsed("flow:error error");
    assert_int_equal(l.others, LOG_ERROR);
    assert_int_equal(l.of[MODULE_SIP], LOG_ERROR);
    l = parsed("sip:debug");
    assert_int_equal(l.others, LOG_INFO);
    assert_int_equal(l.of[MODULE_SIP], LOG_DEBUG);
    l = parsed("debug");
    for (unsigned i = 0; i < LOG_MODULES; i++)
        assert_int_equal(l.of[i], LOG_DEBUG);
    assert_int_equal(parsed("").others, LOG_INFO);
}

static void test_mistakes(void **state)
{
    static const struct {
        const char *text, *why;
    } cases[] = {
        {"info, flaw:debug", "unknown module 'flaw': admin, app, call, "},
        {"info, flaw:debug", " trace or txn"},
        {"verbose", "unknown level 'verbose': error, warn, info or debug"},
        {"flow:loud", "unknown level 'loud': "},
        {"flow:", "unknown level: error"},
        {":debug", "unknown module: admin"},
        {"Flow:debug", "unknown module 'Flow'"},
        {"info, warn", "two levels for all"},
        {"flow:info flow:info", "two levels for the module 'flow'"},
        {"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa:debug",
         "unknown module 'aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa': "},
    };
    (void)state;
    for (unsigned i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct log_levels l, before;
        char why[LOG_LEVELS_WHY_MAX];
        memset(&l, 0x55, sizeof(l));
        before = l;
        assert_int_equal(log_levels_parse(slice_str(cases[i].text), &l, why), ERR_PARSE);
        assert_memory_equal(&l, &before, sizeof(l));
        if (strstr(why, cases[i].why) == NULL)
            fail_msg("%s: %s", cases[i].text, why);
    }
}

static void test_names(void **state)
{
    (void)state;
    for (unsigned i = 0; i < LOG_MODULES; i++) {
        assert_int_equal(log_module_find(slice_str(log_module_name(i))), i);
        assert_true(strlen(log_module_help(i)) > 5);
        assert_true(i == 0 || strcmp(log_module_name(i - 1), log_module_name(i)) < 0);
    }
    assert_null(log_module_name(LOG_MODULES));
    assert_null(log_module_help(LOG_MODULES));
    assert_string_equal(log_level_name(LOG_WARN), "warn");
}

/* What is written, by module and level. */
static void test_lines(void **state)
{
    int fd = memfd_create("log", MFD_CLOEXEC);
    struct log_levels l = parsed("warn, flow:debug, txn:error");
    char text[4000];
    (void)state;
    assert_true(fd >= 0);
    log_set_fd(fd);
    log_set_format(LOG_TEXT);
    log_set_levels(&l);
    assert_true(log_is_on(LOG_DEBUG));
    assert_true(log_is_on_for(LOG_DEBUG, "flow"));
    assert_false(log_is_on_for(LOG_INFO, "app"));
    assert_false(log_is_on_for(LOG_WARN, "txn"));
    assert_true(log_is_on_for(LOG_WARN, "of no module"));
    assert_false(log_is_on_for(LOG_INFO, "of no module"));
    LOG(LOG_DEBUG, "flow", "one", LF_INT("n", 1));
    LOG(LOG_INFO, "app", "two", LF_INT("n", 1));
    LOG(LOG_WARN, "app", "three", LF_INT("n", 1));
    LOG0(LOG_WARN, "txn", "four");
    LOG0(LOG_ERROR, "txn", "five");
    LOG0(LOG_INFO, "x", "six");
    struct log_levels now;
    log_get_levels(&now);
    assert_memory_equal(&now, &l, sizeof(l));
    log_setup(LOG_WARN, LOG_TEXT);
    assert_false(log_is_on(LOG_DEBUG));
    LOG0(LOG_DEBUG, "flow", "seven");
    LOG0(LOG_WARN, "txn", "eight");
    text[pread(fd, text, sizeof(text) - 1, 0)] = '\0';
    static const char *const words[] = {"one", "three", "five", "eight"}, *const out[] = {
                                                                              "two", "four", "six",
                                                                              "seven"};
    for (unsigned i = 0; i < 4; i++) {
        assert_non_null(strstr(text, words[i]));
        assert_null(strstr(text, out[i]));
    }
    log_set_fd(-1);
    close(fd);
}

static atomic_bool is_over;

static void *writer(void *user)
{
    (void)user;
    while (!atomic_load(&is_over))
        LOG(LOG_DEBUG, "flow", "x", LF_INT("n", 1));
    return NULL;
}

/* While others write. */
static void test_threads(void **state)
{
    int fd = memfd_create("log", MFD_CLOEXEC);
    struct log_levels a = parsed("info"), b = parsed("error, flow:debug");
    pthread_t thread;
    (void)state;
    log_set_fd(fd);
    assert_int_equal(pthread_create(&thread, NULL, writer, NULL), 0);
    for (unsigned i = 0; i < 1000; i++) {
        log_set_levels(i % 2 == 0 ? &a : &b);
        if (i % 100 == 0)
            assert_int_equal(ftruncate(fd, 0), 0);
    }
    atomic_store(&is_over, true);
    pthread_join(thread, NULL);
    log_setup(LOG_INFO, LOG_TEXT);
    log_set_fd(-1);
    close(fd);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_parse), cmocka_unit_test(test_mistakes), cmocka_unit_test(test_names),
        cmocka_unit_test(test_lines), cmocka_unit_test(test_threads),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
