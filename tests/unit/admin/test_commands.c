/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "rig.h"

static int open_rig(void **state)
{
    struct rig *r = mem_zalloc(sizeof(*r));
    assert_non_null(r);
    rig_open(r);
    *state = r;
    return 0;
}

static int close_rig(void **state)
{
    rig_close(*state);
    mem_free(*state);
    return 0;
}

/* --- words --- */

static void test_words(void **state)
{
    struct admin_args args;
    char why[ADMIN_WHY_MAX];
    (void)state;
    assert_true(admin_parse(SLICE("  dns   out-of-service 1001 "), &args, why));
    assert_int_equal(args.n, 3);
    assert_true(slice_eq(args.word[0], SLICE("dns")));
    assert_true(slice_eq(args.word[2], SLICE("1001")));
    /* With a TAB blanks belong to a word. */
    assert_true(admin_parse(SLICE("dns\tfront desk\t"), &args, why));
    assert_int_equal(args.n, 2);
    assert_true(slice_eq(args.word[1], SLICE("front desk")));
    assert_true(admin_parse(SLICE("1 2 3 4 5 6 7 8"), &args, why));
    assert_int_equal(args.n, ADMIN_WORDS);
}

static void test_words_refused(void **state)
{
    struct admin_args args;
    char why[ADMIN_WHY_MAX], text[ADMIN_LINE_MAX + 1];
    (void)state;
    assert_false(admin_parse(SLICE(""), &args, why));
    assert_false(admin_parse(SLICE("\t\t"), &args, why));
    assert_false(admin_parse(SLICE("1 2 3 4 5 6 7 8 9"), &args, why));
    assert_non_null(strstr(why, "too many"));
    assert_false(admin_parse(SLICE("help\x1b[2J"), &args, why));
    assert_non_null(strstr(why, "control character"));
    assert_false(admin_parse(SLICE("help\0"), &args, why));
    assert_false(admin_parse(SLICE("a\x7f"), &args, why));
    memset(text, 'x', sizeof(text));
    assert_true(admin_parse(slice_of(text, ADMIN_LINE_MAX), &args, why));
    assert_false(admin_parse(slice_of(text, sizeof(text)), &args, why));
    assert_non_null(strstr(why, "too long"));
}

static void test_filter(void **state)
{
    static const char line[] = "00ab tcp up 10.0.0.1:5060 -> 10.77.1.2:40000 idle=3s "
                               "reopen=[fd77::1:2]:5060 dn=1001";
    (void)state;
    assert_true(admin_line_has(line, SLICE("10.77.1.2")));
    assert_true(admin_line_has(line, SLICE("10.77.1.2:40000")));
    assert_true(admin_line_has(line, SLICE("10.0.0.1")));
    assert_true(admin_line_has(line, SLICE("1001")));
    assert_true(admin_line_has(line, SLICE("dn=1001")));
    assert_true(admin_line_has(line, SLICE("fd77::1:2")));
    assert_true(admin_line_has(line, SLICE("00ab")));
    /* No part of a word. */
    assert_false(admin_line_has(line, SLICE("10.77.1")));
    assert_false(admin_line_has(line, SLICE("10.77.1.20")));
    assert_false(admin_line_has(line, SLICE("0.77.1.2")));
    assert_false(admin_line_has(line, SLICE("100")));
    assert_false(admin_line_has(line, SLICE("fd77::1")));
    assert_false(admin_line_has(line, SLICE("fd77")));
    assert_false(admin_line_has(line, SLICE("d77::1:2")));
    assert_false(admin_line_has("", SLICE("1001")));
}

/* --- the table --- */

static char *read_file(const char *path)
{
    static const size_t max = 65536;
    char *text = mem_zalloc(max);
    FILE *f = fopen(path, "r");
    assert_non_null(text);
    assert_non_null(f);
    (void)fread(text, 1, max - 1, f);
    fclose(f);
    return text;
}

/* The manual page tells of each command, with its arguments. */
static void test_table(void **state)
{
    struct admin_command_text c, other;
    char *page = read_file(HOLDFAST_SOURCE_DIR "/docs/man/holdfastctl.1");
    unsigned n = 0;
    (void)state;
    for (; admin_command_text(n, &c); n++) {
        char wanted[128], *out = wanted;
        assert_true(c.name[0] != '\0' && c.help[0] != '\0');
        for (unsigned i = 0; i < n && admin_command_text(i, &other); i++)
            assert_string_not_equal(c.name, other.name);
        out += snprintf(out, 8, "\n\\fB");
        for (const char *p = c.name; *p != '\0'; p++)
            out += snprintf(out, 8, *p == '-' ? "\\-" : "%c", *p);
        snprintf(out, 64, "\\fR%s", c.args[0] != '\0' ? " " : "\n");
        if (strstr(page, wanted) == NULL)
            fail_msg("holdfastctl(1) does not tell of \"%s\"", c.name);
    }
    assert_true(n >= 11);
    mem_free(page);
}

/* The page on recovery names counters and commands that there are. */
static void test_page(void **state)
{
    char *page = read_file(HOLDFAST_SOURCE_DIR "/docs/recovery.md");
    struct slice rest = slice_str(strstr(page, "### Counters"));
    unsigned counters = 0, commands = 0;
    (void)state;
    assert_true(rest.len != 0);
    while (rest.len != 0) {
        ptrdiff_t end = slice_chr(rest, '\n');
        struct slice line = slice_of(rest.ptr, end >= 0 ? (size_t)end : rest.len);
        rest = end >= 0 ? slice_of(rest.ptr + end + 1, rest.len - line.len - 1) : SLICE_NONE;
        if (slice_starts(line, SLICE("| `"))) {
            ptrdiff_t close = slice_chr(slice_of(line.ptr + 3, line.len - 3), '`');
            bool is_there = false;
            for (unsigned id = 0; id < COUNTER_MAX && close > 0; id++)
                is_there = is_there || slice_eq(slice_of(line.ptr + 3, (size_t)close),
                                                slice_str(counter_name((enum counter)id)));
            if (!is_there)
                fail_msg("there is no such counter: %.*s", SLICE_ARG(line));
            counters++;
        } else if (slice_starts(line, SLICE("holdfastctl "))) {
            struct slice name = slice_of(line.ptr + 12, line.len - 12);
            struct admin_command_text c;
            bool is_there = false;
            for (unsigned i = 0; admin_command_text(i, &c) && !is_there; i++)
                is_there = slice_starts(name, slice_str(c.name));
            if (!is_there)
                fail_msg("there is no such command: %.*s", SLICE_ARG(line));
            commands++;
        }
    }
    assert_true(counters >= 10 && commands >= 8);
    mem_free(page);
}

static void test_usage(void **state)
{
    struct answer a;
    rig_ask(*state, "nothing", &a);
    assert_int_equal(a.status, ADMIN_USAGE);
    assert_non_null(strstr(a.why, "no such command: nothing"));
    rig_ask(*state, "status now", &a);
    assert_int_equal(a.status, ADMIN_USAGE);
    assert_string_equal(a.why, "usage: status");
    rig_ask(*state, "dns out-of-service", &a);
    assert_int_equal(a.status, ADMIN_USAGE);
    assert_string_equal(a.why, "usage: dns out-of-service NAME");
    rig_ask(*state, "dns 1001 1002", &a);
    assert_int_equal(a.status, ADMIN_USAGE);
    rig_ask(*state, "applications switch", &a);
    assert_int_equal(a.status, ADMIN_USAGE);
    assert_string_equal(a.why, "usage: applications switch NAME [MEMBER]");
    rig_ask(*state, "applications switch main 1 2", &a);
    assert_int_equal(a.status, ADMIN_USAGE);
    rig_ask(*state, "", &a);
    assert_int_equal(a.status, ADMIN_USAGE);
    assert_int_equal(a.lines, 0);
}

static void test_help(void **state)
{
    struct answer a;
    struct admin_command_text c;
    rig_ask(*state, "help", &a);
    assert_int_equal(a.status, ADMIN_OK);
    unsigned n = 0;
    for (; admin_command_text(n, &c); n++)
        assert_non_null(strstr(a.text, c.help));
    assert_int_equal(a.lines, n);
}

/* --- what needs no worker --- */

static void test_status_and_counters(void **state)
{
    struct rig *r = *state;
    struct answer a;
    counter_add(&r->workers[0].counters, CTR_FLOWS, 3);
    counter_add(&r->workers[1].counters, CTR_FLOWS, 4);
    rig_stop_workers(r); /* stuck workers do not matter here */
    assert_true(dn_set_out_of_service(r->dir, SLICE("1001"), -ECONNREFUSED, 1000000));
    rig_ask(r, "status", &a);
    assert_int_equal(a.status, ADMIN_OK);
    assert_non_null(strstr(a.text, "\nconnections   7\n"));
    assert_non_null(strstr(a.text, "\nworkers       2\n"));
    assert_non_null(strstr(a.text, "\napplications  2, 0 out of service\n"));
    assert_non_null(strstr(a.text, "\nDNs           1 out of service, 0 suspect\n"));
    rig_ask(r, "counters", &a);
    assert_int_equal(a.status, ADMIN_OK);
    assert_int_equal(a.lines, COUNTER_MAX);
    assert_non_null(strstr(a.text, "\nconnections 7\n"));
}

static void test_dns(void **state)
{
    struct rig *r = *state;
    struct answer a;
    rig_ask(r, "dns", &a);
    assert_int_equal(a.lines, 2);
    rig_ask(r, "dns 1002", &a);
    assert_int_equal(a.status, ADMIN_OK);
    assert_int_equal(a.lines, 1);
    assert_memory_equal(a.text, "1002 ", 5);
    rig_ask(r, "dns 100", &a);
    assert_int_equal(a.status, ADMIN_REFUSED);
    assert_string_equal(a.why, "no such DN: 100");
}

static void test_dn_in_and_out(void **state)
{
    struct rig *r = *state;
    struct answer a;
    rig_ask(r, "dns out-of-service 1001", &a);
    assert_int_equal(a.status, ADMIN_OK);
    assert_string_equal(a.text, "1001 is out of service\n");
    assert_int_equal(dn_state(r->dir, SLICE("1001"), 1000000), DN_OUT_OF_SERVICE);
    rig_ask(r, "dns 1001", &a);
    assert_non_null(strstr(a.text, "out-of-service"));
    assert_non_null(strstr(a.text, "set by the administrator"));
    rig_ask(r, "dns out-of-service 1001", &a);
    assert_string_equal(a.text, "1001 is out of service already\n");
    rig_ask(r, "dns in-service 1001", &a);
    assert_string_equal(a.text, "1001 is in service\n");
    assert_int_equal(dn_state(r->dir, SLICE("1001"), 1000000), DN_IN_SERVICE);
    rig_ask(r, "dns in-service 1001", &a);
    assert_string_equal(a.text, "1001 is in service already\n");
    rig_ask(r, "dns in-service 1003", &a);
    assert_int_equal(a.status, ADMIN_REFUSED);
    rig_ask(r, "dns out-of-service 1003", &a);
    assert_int_equal(a.status, ADMIN_REFUSED);
}

static void test_applications(void **state)
{
    struct rig *r = *state;
    struct answer a;
    rig_ask(r, "applications", &a);
    assert_int_equal(a.status, ADMIN_OK);
    assert_int_equal(a.lines, 6);
    assert_non_null(strstr(a.text, "application main pair "));
    assert_non_null(strstr(a.text, "application media round-robin "));
    rig_ask(r, "applications media", &a);
    assert_int_equal(a.status, ADMIN_OK);
    assert_int_equal(a.lines, 3);
    assert_null(strstr(a.text, "main"));
    assert_non_null(strstr(a.text, "sip:10.0.0.4:5060"));
    rig_ask(r, "applications med", &a);
    assert_int_equal(a.status, ADMIN_REFUSED);
    assert_string_equal(a.why, "no such application: med");
    assert_int_equal(groups_configure(r->groups, NULL, 0, 0), 0);
    rig_ask(r, "applications", &a);
    assert_string_equal(a.text, "there are no applications\n");
}

static void test_switch(void **state)
{
    struct rig *r = *state;
    struct answer a;
    rig_ask(r, "applications switch main", &a);
    assert_int_equal(a.status, ADMIN_OK);
    assert_non_null(strstr(a.text, " active sip:10.0.0.2:5060"));
    assert_non_null(strstr(a.text, "switchover "));
    rig_ask(r, "applications switch main 0", &a);
    assert_int_equal(a.status, ADMIN_OK);
    assert_non_null(strstr(a.text, " active sip:10.0.0.1:5060"));
    rig_ask(r, "applications switch main 2", &a);
    assert_int_equal(a.status, ADMIN_REFUSED);
    assert_string_equal(a.why, "main has no such member");
    rig_ask(r, "applications switch main other", &a);
    assert_int_equal(a.status, ADMIN_REFUSED);
    assert_string_equal(a.why, "no such member: other; it is named by its number (0 is the first "
                               "one), URI, host or address");
    static const char *const second[] = {"sip:10.0.0.2:5060", "10.0.0.2:5060", "10.0.0.2"};
    for (unsigned i = 0; i < 3; i++) {
        char ask[64];
        snprintf(ask, sizeof(ask), "applications switch main %s", second[i]);
        rig_ask(r, ask, &a);
        assert_int_equal(a.status, ADMIN_OK);
        assert_non_null(strstr(a.text, " active sip:10.0.0.2:5060"));
        rig_ask(r, "applications switch main 0", &a);
        assert_int_equal(a.status, ADMIN_OK);
    }
    rig_ask(r, "applications switch main 10.0.0.2:5061", &a);
    assert_int_equal(a.status, ADMIN_REFUSED);
    rig_ask(r, "applications switch nobody 10.0.0.2", &a);
    assert_string_equal(a.why, "no such application: nobody");
    rig_ask(r, "applications switch media 10.0.0.3", &a);
    assert_string_equal(a.why, "media is no pair of two");
    rig_ask(r, "applications switch nobody", &a);
    assert_int_equal(a.status, ADMIN_REFUSED);
    assert_string_equal(a.why, "no such application: nobody");
    rig_ask(r, "applications switch media", &a);
    assert_int_equal(a.status, ADMIN_REFUSED);
    assert_string_equal(a.why, "media is no pair of two");
}

/* --- what workers are asked --- */

static void test_flows(void **state)
{
    struct rig *r = *state;
    struct answer a;
    r->workers[0].flows = (struct flows){{"a 10.0.0.1:5060 dn=1001", "b 10.0.0.2:5060"}, 1};
    r->workers[1].flows = (struct flows){{"c 10.0.0.1:5062 x\x1b[2Jy\xc2\x9b"}, 1};
    rig_ask(r, "flows", &a);
    assert_int_equal(a.status, ADMIN_OK);
    assert_string_equal(a.text, "a 10.0.0.1:5060 dn=1001\nb 10.0.0.2:5060\n"
                                "c 10.0.0.1:5062 x?[2Jy??\n"); /* no control character gets out */
    rig_ask(r, "flows 10.0.0.1", &a);
    assert_int_equal(a.lines, 2);
    rig_ask(r, "flows 1001", &a);
    assert_string_equal(a.text, "a 10.0.0.1:5060 dn=1001\n");
    rig_ask(r, "flows 10.9.9.9", &a);
    assert_int_equal(a.status, ADMIN_OK);
    assert_int_equal(a.lines, 0);
}

static void test_calls_and_transactions(void **state)
{
    struct answer a;
    rig_ask(*state, "calls", &a);
    assert_int_equal(a.lines, 2 * RIG_WORKERS);
    rig_ask(*state, "calls " RIG_CALL, &a); /* its home only */
    assert_string_equal(a.text, RIG_CALL " confirmed dn=1001\n");
    rig_ask(*state, "transactions", &a);
    assert_int_equal(a.lines, RIG_WORKERS);
    rig_ask(*state, "workers", &a);
    assert_int_equal(a.lines, RIG_WORKERS);
    assert_non_null(strstr(a.text, "worker 1: "));
    assert_non_null(strstr(a.text, "answered in"));
}

static void test_resolver(void **state)
{
    struct rig *r = *state;
    struct answer a;
    rig_ask(r, "resolver", &a);
    assert_int_equal(a.status, ADMIN_OK);
    assert_int_equal(a.lines, 3 * RIG_WORKERS);
    assert_memory_equal(a.text, "worker 0\nserver 10.0.0.53:53: in use\nhost sip.example", 51);
    static const char *const wanted[] = {"10.0.0.7", "SIP.example", "10.0.0.53"};
    for (unsigned i = 0; i < 3; i++) {
        char command[64];
        snprintf(command, sizeof(command), "resolver %s", wanted[i]);
        rig_ask(r, command, &a);
        assert_int_equal(a.lines, 2 * RIG_WORKERS);
    }
    rig_ask(r, "resolver 10.0.0.5", &a);
    assert_int_equal(a.lines, RIG_WORKERS); /* one for each worker, and no other */
    rig_ask(r, "resolver forget", &a);
    assert_int_equal(a.status, ADMIN_OK);
    assert_string_equal(a.text, "forgotten: 6 answers, of all workers together\n");
    assert_string_equal(r->workers[1].resolver.forgotten, "");
    rig_ask(r, "resolver forget sip.example", &a);
    assert_string_equal(r->workers[0].resolver.forgotten, "sip.example");
    assert_string_equal(r->workers[1].resolver.forgotten, "sip.example");
    assert_int_equal(r->workers[1].resolver.calls, 2);
    rig_stop_workers(r);
    rig_ask(r, "resolver forget", &a);
    assert_int_equal(a.status, ADMIN_REFUSED);
    assert_string_equal(a.why, "no worker has answered");
}

static void test_overload(void **state)
{
    struct rig *r = *state;
    struct answer a;
    r->workers[1].load.lag = 30;
    rig_ask(r, "overload", &a);
    assert_int_equal(a.status, ADMIN_OK);
    assert_string_equal(a.text, "worker 0\nlag 0 ms at 7\nworker 1\nlag 30 ms at 7\n");
}

static void test_release(void **state)
{
    struct rig *r = *state;
    struct answer a;
    rig_ask(r, "calls release " RIG_CALL, &a);
    assert_int_equal(a.status, ADMIN_OK);
    assert_string_equal(a.text, "released: 2 dialogs\n");
    rig_ask(r, "calls release other", &a);
    assert_int_equal(a.status, ADMIN_REFUSED);
    assert_string_equal(a.why, "no such call");
    assert_int_equal(atomic_load(&r->proxy.released), 1);
}

/* What was given up is not done when the worker comes round. */
static void test_stuck_workers(void **state)
{
    struct rig *r = *state;
    struct answer a;
    rig_stop_workers(r);
    rig_ask(r, "calls release " RIG_CALL, &a);
    assert_int_equal(a.status, ADMIN_REFUSED);
    assert_string_equal(a.why, "worker 1 does not answer");
    rig_ask(r, "flows", &a);
    assert_int_equal(a.status, ADMIN_REFUSED);
    assert_string_equal(a.text, "worker 0 does not answer\nworker 1 does not answer\n");
    /* Three in the box of worker 1, which has room for four. */
    rig_ask(r, "workers", &a);
    rig_ask(r, "workers", &a);
    rig_ask(r, "workers", &a);
    assert_int_equal(a.status, ADMIN_OK);
    assert_non_null(strstr(a.text, "its mailbox is full"));
    rig_start_workers(r);
    rig_ask(r, "flows", &a);
    for (unsigned i = 0; a.status != ADMIN_OK && i < 2000; i++) { /* they clear their boxes */
        poll(NULL, 0, 5);
        rig_ask(r, "flows", &a);
    }
    assert_int_equal(a.status, ADMIN_OK);
    assert_int_equal(atomic_load(&r->proxy.released), 0);
}

/* Mails that nobody took end with their mailbox. */
static void test_never_answered(void **state)
{
    struct answer a;
    rig_stop_workers(*state);
    rig_ask(*state, "transactions", &a);
    assert_int_equal(a.status, ADMIN_REFUSED);
}

static void test_too_many_lines(void **state)
{
    struct rig *r = *state;
    struct answer a;
    r->workers[0].flows = (struct flows){{"0123456789012345678901234567890123456789012345678"}, 0};
    r->workers[0].flows.times = ADMIN_TEXT_MAX / 50 + 10;
    rig_ask(r, "flows", &a);
    assert_int_equal(a.status, ADMIN_REFUSED);
    assert_string_equal(a.why, "10 lines did not fit into the answer");
    assert_int_equal(a.lines, ADMIN_TEXT_MAX / 50);
}

static void test_no_memory(void **state)
{
#ifdef HOLDFAST_FAULTS
    struct answer a;
    mem_fail_at(1);
    rig_ask(*state, "workers", &a);
    assert_true(mem_failed());
    mem_fail_at(0);
    assert_non_null(strstr(a.text, "was not asked: no memory"));
    assert_non_null(strstr(a.text, "answered in"));
    struct admin_deps deps = {.nworkers = 1};
    struct admin *admin;
    mem_fail_at(1);
    assert_int_equal(admin_new(&deps, &admin), ERR_NOMEM);
    mem_fail_at(0);
#else
    (void)state;
    skip();
#endif
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, open_rig, close_rig)

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_words),
        cmocka_unit_test(test_words_refused),
        cmocka_unit_test(test_filter),
        cmocka_unit_test(test_table),
        cmocka_unit_test(test_page),
        TEST(test_usage),
        TEST(test_help),
        TEST(test_status_and_counters),
        TEST(test_dns),
        TEST(test_dn_in_and_out),
        TEST(test_applications),
        TEST(test_switch),
        TEST(test_flows),
        TEST(test_calls_and_transactions),
        TEST(test_resolver),
        TEST(test_overload),
        TEST(test_release),
        TEST(test_stuck_workers),
        TEST(test_never_answered),
        TEST(test_too_many_lines),
        TEST(test_no_memory),
    };
    return cmocka_run_group_tests_name("admin_commands", tests, NULL, NULL);
}
