/* SPDX-License-Identifier: Apache-2.0 */
/* Standard events: the table, its page, lines with limits, the tap. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/event.h"

static uint64_t now;

static uint64_t clock_of_test(void)
{
    return now;
}

static int begin(void **state)
{
    static int fd;
    fd = memfd_create("log", MFD_CLOEXEC);
    now = 1000000;
    log_set_fd(fd);
    log_setup(LOG_INFO, LOG_TEXT);
    event_reset(clock_of_test);
    *state = &fd;
    return fd >= 0 ? 0 : -1;
}

static int end(void **state)
{
    event_set_tap(NULL, NULL);
    event_reset(NULL);
    log_set_fd(-1);
    close(*(int *)*state);
    return 0;
}

static char *said(void **state)
{
    static char text[400000];
    ssize_t n = pread(*(int *)*state, text, sizeof(text) - 1, 0);
    text[n > 0 ? n : 0] = '\0';
    return text;
}

static unsigned count(const char *text, const char *what)
{
    unsigned n = 0;
    while ((text = strstr(text, what)) != NULL) {
        text += strlen(what);
        n++;
    }
    return n;
}

/* --- the table ---------------------------------------------------------------------------------
 */

static bool is_word(const char *s, const char *more)
{
    return s[0] != '\0' && s[strspn(s, more)] == '\0';
}

static void test_table(void **state)
{
    unsigned last = 0;
    (void)state;
    for (unsigned i = 0; i < EVENT_MAX; i++) {
        const struct event_text *t = event_text((enum event)i);
        unsigned group = t->number / 1000;
        /* Each group is in one piece, and a number is there once. */
        for (unsigned j = 0; j < i; j++) {
            const struct event_text *u = event_text((enum event)j);
            assert_int_not_equal(u->number, t->number);
            assert_string_not_equal(u->name, t->name);
        }
        assert_true(group >= 40 && group <= 49 && group >= last);
        last = group;
        assert_true(log_module_find(slice_str(t->module)) < LOG_MODULES);
        assert_true(is_word(t->name, "abcdefghijklmnopqrstuvwxyz_"));
        assert_true(t->fields[0] == '\0' || is_word(t->fields, "abcdefghijklmnopqrstuvwxyz_ "));
        assert_true(strlen(t->text) > 4 && strlen(t->means) > 20 && strlen(t->to_do) > 6);
        assert_true(t->text[strlen(t->text) - 1] != '.');
        assert_true(t->means[strlen(t->means) - 1] == '.');
        /* One that comes only now and then is never left out. */
        assert_true(t->level != LOG_ERROR || t->limit == 0);
    }
}

static char *read_file(const char *path)
{
    static char text[400000];
    FILE *f = fopen(path, "r");
    if (f == NULL)
        fail_msg("%s cannot be read", path);
    text[fread(text, 1, sizeof(text) - 1, f)] = '\0';
    fclose(f);
    return text;
}

static void test_page(void **state)
{
    char *text = NULL;
    size_t len;
    FILE *f = open_memstream(&text, &len);
    (void)state;
    event_print_markdown(f);
    fclose(f);
    if (strcmp(text, read_file(HOLDFAST_SOURCE_DIR "/docs/events.md")) != 0)
        fail_msg("docs/events.md is not what holdfast --events-markdown prints");
    free(text);
}

/* Whoever wakes up for a line looks its number up where he reads: the numbers that other pages name
 * are there, and mean what these say. */
static void test_numbers_in_pages(void **state)
{
    static const char *const pages[] = {"docs/recovery.md", "docs/deployment.md",
                                        "docs/operations.md", "docs/man/holdfast.8"};
    (void)state;
    for (unsigned i = 0; i < sizeof(pages) / sizeof(pages[0]); i++) {
        char path[300];
        snprintf(path, sizeof(path), "%s/%s", HOLDFAST_SOURCE_DIR, pages[i]);
        for (const char *at = read_file(path); (at = strpbrk(at, "0123456789")) != NULL;) {
            size_t digits = strspn(at, "0123456789");
            unsigned number = digits == 5 ? (unsigned)strtoul(at, NULL, 10) : 0, found = 0;
            bool is_event = number >= 40000 && number < 50000 && number % 1000 < 100;
            for (unsigned e = 0; is_event && e < EVENT_MAX; e++)
                found += event_text((enum event)e)->number == number;
            if (is_event && found != 1)
                fail_msg("%s: there is no event %u", pages[i], number);
            at += digits;
        }
    }
}

/* --- lines -------------------------------------------------------------------------------------
 */

static void test_line(void **state)
{
    EVENT_LOG(EV_DN_OUT, LF_STR("dn", "1001"), LF_STR("by", "check"));
    assert_non_null(
        strstr(said(state), " warn  dn DN out of service event=42001 dn=1001 by=check\n"));
    event_log(EV_DRAIN_CANCELLED, 0, NULL);
    assert_non_null(
        strstr(said(state), " info  app drain cancelled: new calls are taken again event=45007\n"));
}

/* What says nothing is left out, of the line and of what others are told; a number or a "false"
 * says something. */
static void note(void *user, enum event ev, unsigned n, const struct field *fields)
{
    char *room = user;
    (void)row_line(event_text(ev)->name, n, fields, room, 200);
}

static void test_empty(void **state)
{
    static const struct addr nowhere;
    char told[200];
    event_set_tap(note, told);
    EVENT_LOG(EV_OPTION_SET, LF_STR("option", "log-level"), LF_STR("value", ""));
    assert_string_equal(told, "option_set option=log-level");
    assert_non_null(strstr(said(state), " event=45013 option=log-level\n"));
    EVENT_LOG(EV_DN_OUT, LF_STR("dn", NULL), LF_SLICE("contact", SLICE_NONE),
              LF_ADDR("peer", &nowhere), LF_INT("ms", 0), LF_BOOL("by", false));
    assert_string_equal(told, "dn_out_of_service ms=0 by=false");
    assert_non_null(strstr(said(state), " event=42001 ms=0 by=false\n"));
    log_set_format(LOG_JSON);
    EVENT_LOG(EV_OPTION_TAKEN_BACK, LF_STR("option", "log-level"));
    assert_non_null(strstr(said(state), "\"event\":45014,\"option\":\"log-level\"}"));
}

static void one(void)
{
    EVENT_LOG(EV_TRANSACTIONS_FULL, LF_INT("max", 1));
}

static void test_limit(void **state)
{
    for (unsigned i = 0; i < 7; i++)
        one();
    assert_int_equal(count(said(state), "event=44010"), 1);
    /* Another kind has a limit of its own. */
    EVENT_LOG(EV_ACCEPT_PAUSED, LF_STR("address", "x"));
    assert_int_equal(count(said(state), "event=41012"), 1);
    now += EVENT_INTERVAL_MS - 1;
    event_tick(false);
    assert_null(strstr(said(state), "left_out"));
    now++;
    one();
    assert_non_null(strstr(said(state), "event=44010 max=1 left_out=6\n"));
    now += EVENT_INTERVAL_MS;
    event_tick(false);
    assert_int_equal(count(said(state), "left_out"), 1);
}

/* The number is said also when nothing follows, once. */
static void test_nothing_follows(void **state)
{
    for (unsigned i = 0; i < 4; i++)
        one();
    now += EVENT_INTERVAL_MS;
    event_tick(false);
    assert_non_null(strstr(said(state), "more of these events were left out of the log event=44010 "
                                        "name=transactions_full left_out=3\n"));
    event_tick(false);
    one();
    event_tick(true);
    assert_int_equal(count(said(state), "left_out"), 1);
}

static void test_end(void **state)
{
    one();
    one();
    event_tick(true);
    assert_non_null(strstr(said(state), "left_out=1\n"));
}

/* What its level keeps out of the log does not count. */
static void test_level(void **state)
{
    struct log_levels levels;
    char why[LOG_LEVELS_WHY_MAX];
    assert_int_equal(log_levels_parse(SLICE("debug, txn:error"), &levels, why), 0);
    log_set_levels(&levels);
    for (unsigned i = 0; i < 5; i++)
        one();
    log_setup(LOG_INFO, LOG_TEXT);
    one();
    assert_int_equal(count(said(state), "event=44010"), 1);
    assert_null(strstr(said(state), "left_out"));
}

static void on_event(void *user, enum event ev, unsigned n, const struct field *fields)
{
    assert_int_equal(ev, EV_CONNECTION_STALE);
    assert_int_equal(n, 2);
    assert_string_equal(fields[0].v.str, "1001");
    (*(unsigned *)user)++;
}

/* All workers' connections die at once: some lines, and all of them for the tap. */
static void test_storm(void **state)
{
    unsigned told = 0;
    event_set_tap(on_event, &told);
    for (unsigned i = 0; i < 10000; i++)
        EVENT_LOG(EV_CONNECTION_STALE, LF_STR("dn", "1001"), LF_INT("idle_ms", i));
    event_tick(true);
    assert_int_equal(told, 10000);
    unsigned limit = event_text(EV_CONNECTION_STALE)->limit;
    assert_int_equal(count(said(state), "connection stale event=41001"), limit);
    char text[40];
    snprintf(text, sizeof(text), "left_out=%u\n", 10000 - limit);
    assert_int_equal(count(said(state), text), 1);
    event_set_tap(NULL, NULL);
    EVENT_LOG(EV_CONNECTION_STALE, LF_STR("dn", "1001"));
    assert_int_equal(told, 10000);
}

static void test_message_id(void **state)
{
    char id[EVENT_MESSAGE_ID_LEN + 1], other[EVENT_MESSAGE_ID_LEN + 1];
    (void)state;
    event_message_id(41001, id);
    event_message_id(41002, other);
    assert_string_equal(id, "9f3c27ab51d84e06a7b4e2c900041001");
    assert_string_not_equal(id, other);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, begin, end)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_table), TEST(test_page),  TEST(test_numbers_in_pages), TEST(test_line),
        TEST(test_empty), TEST(test_limit), TEST(test_nothing_follows),  TEST(test_end),
        TEST(test_level), TEST(test_storm), TEST(test_message_id),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
