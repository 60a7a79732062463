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
    /* One that is left out keeps its place. */
    assert_true(admin_parse(SLICE("trace\t\t123\t\t"), &args, why));
    assert_int_equal(args.n, 3);
    assert_int_equal(args.word[1].len, 0);
    assert_true(slice_eq(args.word[2], SLICE("123")));
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

static void ignore_row(void *user, const char *set, unsigned n, const struct field *fields)
{
    (void)user, (void)set, (void)n, (void)fields;
}

/* --- the table --- */

static void check_columns(const struct admin_command *c)
{
    unsigned sets = 0;
    for (const char *set = admin_command_next_set(c, NULL); set != NULL;
         set = admin_command_next_set(c, set))
        sets++;
    assert_true(sets >= 1);
    for (const struct admin_column *col = c->columns; col->set != NULL; col++) {
        assert_true(col->name[0] != '\0' && col->help[0] != '\0');
        for (const struct admin_column *other = c->columns; other != col; other++)
            assert_false(strcmp(other->set, col->set) == 0 && strcmp(other->name, col->name) == 0);
    }
}

static void test_table(void **state)
{
    (void)state;
    for (unsigned i = 0; i < CMD_MAX; i++) {
        const struct admin_command *c = admin_command_at((enum admin_command_id)i);
        bool may_be_left_out = false;
        char usage[64];
        assert_true(c->name != NULL && c->help[0] != '\0');
        assert_int_equal(admin_command_find(slice_str(c->name)), i);
        admin_command_usage(c, usage, sizeof(usage));
        assert_true(strlen(usage) < sizeof(usage) - 1);
        for (unsigned k = 0; k < admin_command_nargs(c); k++) {
            assert_true(c->args[k].help[0] != '\0');
            assert_false(may_be_left_out && c->args[k].is_needed);
            may_be_left_out = may_be_left_out || !c->args[k].is_needed;
        }
        check_columns(c);
    }
    assert_int_equal(admin_command_find(SLICE("dns out-of-servic")), CMD_MAX);
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
    assert_int_equal(a.rows, 0);
}

static void test_help(void **state)
{
    struct answer a;
    rig_ask(*state, "help", &a);
    assert_int_equal(a.status, ADMIN_OK);
    for (unsigned i = 0; i < CMD_MAX; i++)
        assert_non_null(strstr(a.text, admin_command_at((enum admin_command_id)i)->help));
    assert_int_equal(a.rows, CMD_MAX);
    assert_non_null(strstr(a.text, "name=\"applications switch\" args=\"NAME [MEMBER]\" help="));
}

/* Of a front that has the arguments one by one. */
static void test_call(void **state)
{
    struct rig *r = *state;
    struct slice args[ADMIN_ARGS_MAX] = {SLICE("1001")};
    struct answer a = {0};
    struct row_sink none = {ignore_row, NULL};
    assert_int_equal(admin_call(r->admin, CMD_DNS_OUT, args, &none, a.why), ADMIN_OK);
    assert_int_equal(dn_state(r->dir, SLICE("1001"), 1000000), DN_OUT_OF_SERVICE);
    assert_int_equal(admin_call(r->admin, CMD_STATUS, args, &none, a.why), ADMIN_USAGE);
    assert_string_equal(a.why, "usage: status");
    args[0] = SLICE("10\n01");
    assert_int_equal(admin_call(r->admin, CMD_DNS, args, &none, a.why), ADMIN_USAGE);
    assert_string_equal(a.why, "name is too long, or holds a control character");
    args[0] = SLICE_NONE;
    assert_int_equal(admin_call(r->admin, CMD_DNS_OUT, args, &none, a.why), ADMIN_USAGE);
    assert_int_equal(admin_call(r->admin, CMD_DNS, args, &none, a.why), ADMIN_OK);
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
    assert_int_equal(a.rows, 1);
    assert_non_null(strstr(a.text, " state=running workers=2 connections=7 calls=0 "));
    assert_non_null(strstr(a.text, " applications=2 applications_down=0 dns_out=1 dns_suspect=0 "
                                   "configuration=/etc/holdfast.conf\n"));
    assert_non_null(strstr(a.text, " started=1970-01-01T00:16:40.000Z up_s=0 "));
    rig_ask(r, "counters", &a);
    assert_int_equal(a.status, ADMIN_OK);
    assert_int_equal(a.rows, COUNTER_MAX);
    assert_non_null(strstr(a.text, "\ncounter name=connections value=7 gauge=true help="));
}

static void test_dns(void **state)
{
    struct rig *r = *state;
    struct answer a;
    rig_ask(r, "dns", &a);
    assert_int_equal(a.rows, 2);
    rig_ask(r, "dns 1002", &a);
    assert_int_equal(a.status, ADMIN_OK);
    assert_int_equal(a.rows, 1);
    assert_memory_equal(a.text, "dn name=1002 ", 13);
    rig_ask(r, "dns 100", &a);
    assert_int_equal(a.status, ADMIN_MISSING);
    assert_string_equal(a.why, "no such DN: 100");
}

static bool same_text(struct slice a, struct slice b)
{
    return slice_eq(a, b);
}

/* As people look for them, each with its bindings behind it. */
static void test_dns_are_sorted(void **state)
{
    static const char *const names[] = {"gate", "1009",  "0", "300",
                                        "2001", "10010", "b", "gateway"};
    static const char *const sorted[] = {"0",    "1001", "10010", "1002", "1009",
                                         "2001", "300",  "b",     "gate", "gateway"};
    struct rig *r = *state;
    struct answer a;
    for (unsigned i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        struct dn_change change = {
            .binding = {.contact = slice_str(names[i]), .call_id = SLICE("c"), .cseq = 1}};
        change.binding.expires = UINT64_MAX / 2;
        assert_int_equal(
            dn_register(r->dir, slice_str(names[i]), &change, 1, false, 9, 1000, same_text), 0);
    }
    rig_ask(r, "dns", &a);
    assert_int_equal(a.rows, 2 + 2 * sizeof(names) / sizeof(names[0]));
    const char *at = a.text;
    for (unsigned i = 0; i < sizeof(sorted) / sizeof(sorted[0]); i++) {
        char want[64];
        (void)snprintf(want, sizeof(want), "dn name=%s ", sorted[i]);
        assert_memory_equal(at, want, strlen(want));
        at = strchr(at, '\n') + 1;
        if (strcmp(sorted[i], "1001") == 0 || strcmp(sorted[i], "1002") == 0)
            continue;
        (void)snprintf(want, sizeof(want), "binding dn=%s ", sorted[i]);
        assert_memory_equal(at, want, strlen(want));
        at = strchr(at, '\n') + 1;
    }
}

static void test_dn_in_and_out(void **state)
{
    struct rig *r = *state;
    struct answer a;
    rig_ask(r, "dns out-of-service 1001", &a);
    assert_int_equal(a.status, ADMIN_OK);
    assert_string_equal(a.text, "line text=\"1001 is out of service\"\n");
    assert_int_equal(dn_state(r->dir, SLICE("1001"), 1000000), DN_OUT_OF_SERVICE);
    rig_ask(r, "dns 1001", &a);
    assert_non_null(strstr(a.text, "out-of-service"));
    assert_non_null(strstr(a.text, "set by the administrator"));
    rig_ask(r, "dns out-of-service 1001", &a);
    assert_string_equal(a.text, "line text=\"1001 is out of service already\"\n");
    rig_ask(r, "dns in-service 1001", &a);
    assert_string_equal(a.text, "line text=\"1001 is in service\"\n");
    assert_int_equal(dn_state(r->dir, SLICE("1001"), 1000000), DN_IN_SERVICE);
    rig_ask(r, "dns in-service 1001", &a);
    assert_string_equal(a.text, "line text=\"1001 is in service already\"\n");
    rig_ask(r, "dns in-service 1003", &a);
    assert_int_equal(a.status, ADMIN_MISSING);
    rig_ask(r, "dns out-of-service 1003", &a);
    assert_int_equal(a.status, ADMIN_MISSING);
}

static void test_applications(void **state)
{
    struct rig *r = *state;
    struct answer a;
    rig_ask(r, "applications", &a);
    assert_int_equal(a.status, ADMIN_OK);
    assert_int_equal(a.rows, 6);
    assert_non_null(strstr(a.text, "application name=main role=pair "));
    assert_non_null(strstr(a.text, "application name=media role=round-robin "));
    rig_ask(r, "applications media", &a);
    assert_int_equal(a.status, ADMIN_OK);
    assert_int_equal(a.rows, 3);
    assert_null(strstr(a.text, "main"));
    assert_non_null(strstr(a.text, "sip:10.0.0.4:5060"));
    rig_ask(r, "applications med", &a);
    assert_int_equal(a.status, ADMIN_MISSING);
    assert_string_equal(a.why, "no such application: med");
    assert_int_equal(groups_configure(r->groups, NULL, 0, 0), 0);
    rig_ask(r, "applications", &a);
    assert_int_equal(a.status, ADMIN_OK);
    assert_int_equal(a.rows, 0);
}

static void test_switch(void **state)
{
    struct rig *r = *state;
    struct answer a;
    rig_ask(r, "applications switch main", &a);
    assert_int_equal(a.status, ADMIN_OK);
    assert_non_null(strstr(a.text, " active=sip:10.0.0.2:5060 "));
    assert_non_null(strstr(a.text, "switchover application=main "));
    rig_ask(r, "applications switch main 0", &a);
    assert_int_equal(a.status, ADMIN_OK);
    assert_non_null(strstr(a.text, " active=sip:10.0.0.1:5060 "));
    rig_ask(r, "applications switch main 2", &a);
    assert_int_equal(a.status, ADMIN_MISSING);
    assert_string_equal(a.why, "main has no such member");
    rig_ask(r, "applications switch main other", &a);
    assert_int_equal(a.status, ADMIN_MISSING);
    assert_string_equal(a.why, "no such member: other; it is named by its number (0 is the first "
                               "one), URI, host or address");
    static const char *const second[] = {"sip:10.0.0.2:5060", "10.0.0.2:5060", "10.0.0.2"};
    for (unsigned i = 0; i < 3; i++) {
        char ask[64];
        snprintf(ask, sizeof(ask), "applications switch main %s", second[i]);
        rig_ask(r, ask, &a);
        assert_int_equal(a.status, ADMIN_OK);
        assert_non_null(strstr(a.text, " active=sip:10.0.0.2:5060 "));
        rig_ask(r, "applications switch main 0", &a);
        assert_int_equal(a.status, ADMIN_OK);
    }
    rig_ask(r, "applications switch main 10.0.0.2:5061", &a);
    assert_int_equal(a.status, ADMIN_MISSING);
    rig_ask(r, "applications switch nobody 10.0.0.2", &a);
    assert_string_equal(a.why, "no such application: nobody");
    rig_ask(r, "applications switch media 10.0.0.3", &a);
    assert_string_equal(a.why, "media is no pair of two");
    rig_ask(r, "applications switch nobody", &a);
    assert_int_equal(a.status, ADMIN_MISSING);
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
    r->workers[0].flows =
        (struct flows){{{"a", "1001", "10.0.0.1:5060"}, {"b", NULL, "10.0.0.2:5060"}}, .times = 1};
    r->workers[1].flows = (struct flows){{{"c", NULL, "10.0.0.1:5062"}}, .times = 1};
    rig_ask(r, "flows", &a);
    assert_int_equal(a.status, ADMIN_OK);
    assert_string_equal(a.text, "flow id=a dn=1001 remote=10.0.0.1:5060 reopened=3 worker=0\n"
                                "flow id=b dn=\"\" remote=10.0.0.2:5060 reopened=3 worker=0\n"
                                "flow id=c dn=\"\" remote=10.0.0.1:5062 reopened=3 worker=1\n");
    rig_ask(r, "flows 10.0.0.1", &a);
    assert_int_equal(a.rows, 2);
    rig_ask(r, "flows 1001", &a);
    assert_int_equal(a.rows, 1);
    rig_ask(r, "flows 10.9.9.9", &a);
    assert_int_equal(a.status, ADMIN_OK);
    assert_int_equal(a.rows, 0);
}

static void test_close(void **state)
{
    struct rig *r = *state;
    struct answer a;
    rig_ask(r, "flows close 0100000200000003", &a);
    assert_int_equal(a.status, ADMIN_OK);
    assert_string_equal(a.text, "line text=\"closed: 0100000200000003\"\n");
    assert_int_equal(r->workers[1].flows.closed, RIG_FLOW);
    rig_ask(r, "flows close 0100000200000003", &a);
    assert_int_equal(a.status, ADMIN_MISSING);
    assert_string_equal(a.why, "no such connection: 0100000200000003");
    /* Another generation, no such worker, no number. */
    static const char *const none[] = {"0100000300000003", "0200000200000003", "0", "xyz", "-1",
                                       "11111111111111111"};
    for (unsigned i = 0; i < 6; i++) {
        char ask[64];
        snprintf(ask, sizeof(ask), "flows close %s", none[i]);
        rig_ask(r, ask, &a);
        assert_int_equal(a.status, ADMIN_MISSING);
    }
}

/* Longer than a worker's turn: nothing is lost between its steps. */
static void test_steps(void **state)
{
    struct rig *r = *state;
    struct answer a;
    r->workers[0].flows = (struct flows){{{"a", NULL, NULL}}, .times = 1000};
    r->workers[1].flows = (struct flows){{{"b", NULL, NULL}, {"c", NULL, NULL}}, .times = 300};
    rig_ask(r, "flows", &a);
    assert_int_equal(a.status, ADMIN_OK);
    assert_int_equal(a.rows, 1600);
}

static void test_calls_and_transactions(void **state)
{
    struct answer a;
    rig_ask(*state, "calls", &a);
    assert_int_equal(a.rows, 2 * RIG_WORKERS);
    rig_ask(*state, "calls " RIG_CALL, &a); /* its home only */
    assert_string_equal(a.text,
                        "call call_id=" RIG_CALL " dn=1001 from=sip:alice@example.com worker=1\n");
    rig_ask(*state, "calls other", &a);
    assert_int_equal(a.status, ADMIN_MISSING);
    assert_string_equal(a.why, "no such call");
    rig_ask(*state, "transactions", &a);
    assert_int_equal(a.rows, RIG_WORKERS);
    rig_ask(*state, "workers", &a);
    assert_int_equal(a.rows, RIG_WORKERS);
    assert_non_null(strstr(a.text, "worker worker=1 state=answers "));
}

static void test_search(void **state)
{
    struct rig *r = *state;
    struct answer a;
    r->workers[0].flows =
        (struct flows){{{"a", "1001", "10.0.0.1:5060"}, {"b", NULL, "10.0.0.2:5060"}}, .times = 1};
    rig_ask(r, "search 1001", &a);
    assert_int_equal(a.status, ADMIN_OK);
    assert_int_equal(a.rows, 4); /* the DN, a call at each worker, a connection */
    assert_non_null(strstr(a.text, "dn name=1001 "));
    assert_non_null(strstr(a.text, "call call_id=" RIG_CALL));
    assert_non_null(strstr(a.text, "flow id=a "));
    rig_ask(r, "search ALICE@", &a);
    assert_int_equal(a.rows, RIG_WORKERS);
    rig_ask(r, "search 0.0.2", &a);
    assert_int_equal(a.rows, 1);
    rig_ask(r, "search nothing-of-that", &a);
    assert_int_equal(a.status, ADMIN_OK);
    assert_int_equal(a.rows, 0);
    r->workers[0].flows.times = 1000; /* not all of them */
    rig_ask(r, "search 10.0.0", &a);
    assert_int_equal(a.rows, 100);
}

/* The messages of all workers in the order of their time. */
static void test_trace(void **state)
{
    struct rig *r = *state;
    struct answer a;
    rig_ask(r, "trace", &a);
    assert_int_equal(a.status, ADMIN_OK);
    assert_int_equal(a.rows, 100 * RIG_WORKERS);
    const char *at = a.text;
    for (unsigned i = 0; i < 100 * RIG_WORKERS; i++) {
        char line[64];
        snprintf(line, sizeof(line), "message time_us=%u worker=%u bytes=\"\"\n", 1000 + 10 * i,
                 i % RIG_WORKERS);
        assert_memory_equal(at, line, strlen(line));
        at += strlen(line);
    }
    rig_ask(r, "trace\t\t2900", &a);
    assert_int_equal(a.rows, 9);
    rig_ask(r, "trace\tx\t2980\t1", &a);
    assert_string_equal(a.text, "message time_us=2990 worker=1 bytes=\"QQ==\"\n");
    rig_ask(r, "trace other", &a);
    assert_int_equal(a.rows, 0);
    rig_ask(r, "trace x yesterday", &a);
    assert_int_equal(a.status, ADMIN_USAGE);
    rig_stop_workers(r);
    rig_ask(r, "trace", &a);
    assert_int_equal(a.status, ADMIN_REFUSED);
    assert_int_equal(a.rows, RIG_WORKERS);
}

static void test_events(void **state)
{
    struct rig *r = *state;
    struct answer a;
    rig_ask(r, "events", &a);
    assert_int_equal(a.status, ADMIN_OK);
    assert_int_equal(a.rows, 0);
    EVENT_LOG(EV_DN_OUT, LF_STR("dn", "1001"), LF_ERR("cause", ERR_ADMIN));
    EVENT_LOG(EV_DN_BACK, LF_STR("dn", "1001"));
    rig_ask(r, "events", &a);
    assert_int_equal(a.rows, 2);
    assert_non_null(strstr(a.text, " number=42001 "));
    char ask[64];
    snprintf(ask, sizeof(ask), "events %llu", (unsigned long long)admin_events_last(r->events) - 1);
    rig_ask(r, ask, &a);
    assert_int_equal(a.rows, 1);
    assert_non_null(strstr(a.text, " number=42002 "));
    rig_ask(r, "events now", &a);
    assert_int_equal(a.status, ADMIN_USAGE);
}

static void test_orders(void **state)
{
    struct rig *r = *state;
    struct answer a;
    rig_ask(r, "set timer-t1 250ms", &a);
    assert_int_equal(a.status, ADMIN_OK);
    assert_int_equal(r->ordered, ADMIN_SET);
    assert_string_equal(a.text, "line text=timer-t1\nline text=250ms\n");
    rig_ask(r, "set timer-t1", &a); /* that of the file again */
    assert_string_equal(a.text, "line text=timer-t1\n");
    rig_ask(r, "set wrong 1", &a);
    assert_int_equal(a.status, ADMIN_MISSING);
    assert_string_equal(a.why, "not so");
    rig_ask(r, "set timer-t1 wrong", &a);
    assert_int_equal(a.status, ADMIN_REFUSED);
    rig_ask(r, "reload", &a);
    assert_int_equal(r->ordered, ADMIN_RELOAD);
    rig_ask(r, "drain 60", &a);
    assert_int_equal(a.status, ADMIN_OK);
    assert_int_equal(r->ordered, ADMIN_DRAIN);
    assert_memory_equal(a.text, "line text=60\n", 13);
    rig_ask(r, "status", &a);
    assert_non_null(strstr(a.text, " state=draining "));
    static const char *const wrong[] = {"soon", "0", "999ms", "169h", "604801", "1d", "1h30m"};
    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
        char line[32];
        snprintf(line, sizeof(line), "drain %s", wrong[i]);
        r->ordered = ADMIN_RELOAD;
        rig_ask(r, line, &a);
        assert_int_equal(a.status, ADMIN_REFUSED);
        assert_int_equal(r->ordered, ADMIN_RELOAD);
        assert_non_null(strstr(a.why, "allowed: 1s to 168h, in seconds or with a unit"));
    }
    rig_ask(r, "drain 168h", &a);
    assert_int_equal(r->ordered, ADMIN_DRAIN);
    assert_memory_equal(a.text, "line text=168h\n", 15);
    rig_ask(r, "drain cancel", &a);
    assert_int_equal(a.status, ADMIN_OK);
    assert_int_equal(r->ordered, ADMIN_RESUME);
    rig_ask(r, "log", &a);
    assert_int_equal(a.rows, LOG_MODULES);
    assert_int_equal(r->ordered, ADMIN_RESUME);
    rig_ask(r, "log\tinfo, flow:debug", &a);
    assert_int_equal(r->ordered, ADMIN_SET);
    assert_non_null(strstr(a.text, "line text=\"info, flow:debug\"\n"));
    rig_ask(r, "options", &a);
    assert_string_equal(a.text, "option section=sipproxy name=timer-t1 value=500ms\n");
    rig_ask(r, "options timer-t9", &a);
    assert_int_equal(a.status, ADMIN_MISSING);
    assert_string_equal(a.why, "no such option: timer-t9");
}

/* A client that does not read keeps the command waiting, and nobody else: a reload needs the lock
 * that the options are behind. */
struct reader {
    const struct rig *rig;
    unsigned rows;
};

static void take_row(void *user, const char *set, unsigned n, const struct field *fields)
{
    struct reader *reader = user;
    (void)set, (void)n, (void)fields;
    assert_false(reader->rig->is_locked);
    reader->rows++;
}

static void test_options_are_given_without_the_lock(void **state)
{
    struct rig *r = *state;
    struct reader reader = {.rig = r};
    char why[ADMIN_WHY_MAX];
    assert_int_equal(admin_command(r->admin, SLICE("options"), "user root",
                                   &(struct row_sink){take_row, &reader}, why),
                     ADMIN_OK);
    assert_int_equal(reader.rows, 1);
}

static void test_resolver(void **state)
{
    struct rig *r = *state;
    struct answer a;
    rig_ask(r, "resolver", &a);
    assert_int_equal(a.status, ADMIN_OK);
    assert_int_equal(a.rows, 2 * RIG_WORKERS);
    static const char *const wanted[] = {"10.0.0.7", "SIP.example", "10.0.0.53"};
    for (unsigned i = 0; i < 3; i++) {
        char command[64];
        snprintf(command, sizeof(command), "resolver %s", wanted[i]);
        rig_ask(r, command, &a);
        assert_int_equal(a.rows, RIG_WORKERS);
    }
    rig_ask(r, "resolver 10.0.0.5", &a);
    assert_int_equal(a.rows, 0);
    rig_ask(r, "resolver forget", &a);
    assert_int_equal(a.status, ADMIN_OK);
    assert_string_equal(a.text, "line text=\"forgotten: 6 answers, of all workers together\"\n");
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
    assert_string_equal(a.text, "overload lag_ms=0 worker=0\noverload lag_ms=30 worker=1\n");
}

static void test_release(void **state)
{
    struct rig *r = *state;
    struct answer a;
    rig_ask(r, "calls release " RIG_CALL, &a);
    assert_int_equal(a.status, ADMIN_OK);
    assert_string_equal(a.text, "line text=\"released: 2 dialogs\"\n");
    rig_ask(r, "calls release other", &a);
    assert_int_equal(a.status, ADMIN_MISSING);
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
    assert_string_equal(a.text, "line text=\"worker 0 does not answer\"\n"
                                "line text=\"worker 1 does not answer\"\n");
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

/* Calls by several threads side by side. */
static void *ask_often(void *user)
{
    static const char *const asks[] = {"flows",   "dns",          "trace",
                                       "workers", "applications", "search 1"};
    struct answer *a = mem_alloc(sizeof(*a));
    for (unsigned i = 0; i < 60; i++) {
        rig_ask(user, asks[i % 6], a);
        assert_int_equal(a->status, ADMIN_OK);
    }
    mem_free(a);
    return NULL;
}

static void test_side_by_side(void **state)
{
    struct rig *r = *state;
    pthread_t threads[4];
    r->workers[0].flows = (struct flows){{{"a", "1001", "10.0.0.1:5060"}}, .times = 600};
    for (unsigned i = 0; i < 2; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, ask_often, r), 0);
    for (unsigned i = 0; i < 2; i++)
        pthread_join(threads[i], NULL);
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
    assert_non_null(strstr(a.text, "state=answers"));
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
        cmocka_unit_test(test_table),
        TEST(test_usage),
        TEST(test_help),
        TEST(test_call),
        TEST(test_status_and_counters),
        TEST(test_dns),
        TEST(test_dns_are_sorted),
        TEST(test_dn_in_and_out),
        TEST(test_applications),
        TEST(test_switch),
        TEST(test_flows),
        TEST(test_close),
        TEST(test_steps),
        TEST(test_calls_and_transactions),
        TEST(test_search),
        TEST(test_trace),
        TEST(test_events),
        TEST(test_orders),
        TEST(test_options_are_given_without_the_lock),
        TEST(test_resolver),
        TEST(test_overload),
        TEST(test_release),
        TEST(test_stuck_workers),
        TEST(test_never_answered),
        TEST(test_side_by_side),
        TEST(test_no_memory),
    };
    return cmocka_run_group_tests_name("admin_commands", tests, NULL, NULL);
}
