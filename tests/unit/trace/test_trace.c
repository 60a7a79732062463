/* SPDX-License-Identifier: Apache-2.0 */
/* Rows of the messages that are kept: what they tell, which are wanted, what is masked; and lines
 * of the log. */
#include "messages.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/alloc.h"

#define ROWS 40
#define TEXT 4096

struct row {
    unsigned n;
    const char *name[20];
    char value[20][TEXT];
};

static struct row rows[ROWS];
static unsigned nrows;
static struct counters counters;

static void on_row(void *user, const char *set, unsigned n, const struct field *fields)
{
    char room[FIELD_ROOM];
    (void)user;
    assert_string_equal(set, "message");
    assert_true(nrows < ROWS && n <= 20);
    struct row *r = &rows[nrows++];
    r->n = n;
    for (unsigned i = 0; i < n; i++) {
        struct slice value = field_value(&fields[i], room);
        r->name[i] = fields[i].name;
        (void)slice_cstr(value, r->value[i], TEXT);
    }
}

static const struct row_sink sink = {on_row, NULL};

static const char *get(unsigned row, const char *name)
{
    assert_true(row < nrows);
    for (unsigned i = 0; i < rows[row].n; i++) {
        if (strcmp(rows[row].name[i], name) == 0)
            return rows[row].value[i];
    }
    return NULL;
}

static struct trace *start(struct trace_conf conf)
{
    struct trace *t;
    memset(&counters, 0, sizeof(counters));
    assert_int_equal(trace_new(&conf, 3, &counters, &t), 0);
    return t;
}

static void put(struct trace *t, bool is_out, const char *bytes, uint64_t wall)
{
    struct message m;
    message(&m, is_out, bytes);
    trace_put(t, &m.wire, wall);
    trace_flush(t);
}

/* How many rows there are. */
static unsigned ask(struct trace *t, struct trace_want want)
{
    uint64_t at = 0;
    nrows = 0;
    while (trace_rows_some(t, &at, 2, &want, &sink)) {
    }
    return nrows;
}

static void test_columns(void **state)
{
    static const char *const names[] = {
        "time_us",    "worker",     "direction", "transport", "local",   "remote",
        "connection", "start_line", "method",    "status",    "call_id", "cseq",
        "from",       "to",         "length",    "cut",       "text",    "bytes"};
    struct trace *t = start((struct trace_conf){.bytes = 10000});
    struct message m;
    (void)state;
    put(t, false, INVITE, 1000001);
    message(&m, true, RINGING);
    m.wire.transport = SIP_TLS;
    m.wire.flow = 0xab;
    trace_put(t, &m.wire, 1000002);
    assert_int_equal(ask(t, (struct trace_want){.with_bytes = true}), 2);
    assert_int_equal(rows[0].n, sizeof(names) / sizeof(names[0]));
    for (unsigned i = 0; i < rows[0].n; i++)
        assert_string_equal(rows[0].name[i], names[i]);
    static const char *const invite[] = {"1000001",
                                         "3",
                                         "in",
                                         "udp",
                                         "192.0.2.10:5060",
                                         "192.0.2.1:5062",
                                         "",
                                         "INVITE sip:bob@b.example SIP/2.0",
                                         "INVITE",
                                         "0",
                                         "one@a",
                                         "1 INVITE",
                                         "sip:alice@a.example:5062",
                                         "sip:bob@b.example"};
    for (unsigned i = 0; i < sizeof(invite) / sizeof(invite[0]); i++)
        assert_string_equal(rows[0].value[i], invite[i]);
    uint64_t length;
    assert_int_equal(slice_u64(slice_str(get(0, "length")), 10000, &length), 0);
    assert_int_equal(length, strlen(INVITE));
    assert_string_equal(get(0, "cut"), "false");
    assert_string_equal(get(0, "text"), INVITE);
    static const char *const ringing[] = {"1000002",
                                          "3",
                                          "out",
                                          "tls",
                                          "192.0.2.10:5060",
                                          "192.0.2.1:5062",
                                          "00000000000000ab",
                                          "SIP/2.0 180 Ringing",
                                          "INVITE",
                                          "180",
                                          "one@a",
                                          "1\r\n  INVITE",
                                          "sip:alice@a.example",
                                          "sip:bob@b.example"};
    for (unsigned i = 0; i < sizeof(ringing) / sizeof(ringing[0]); i++)
        assert_string_equal(rows[1].value[i], ringing[i]);
    assert_int_equal(ask(t, (struct trace_want){0}), 2);
    assert_null(get(0, "bytes"));
    trace_free(&t);
}

static void test_base64(void **state)
{
    static const char *const texts[][2] = {{"", ""},
                                           {"f", "Zg=="},
                                           {"fo", "Zm8="},
                                           {"foo", "Zm9v"},
                                           {"foob", "Zm9vYg=="},
                                           {"\xff\xfe>", "//4+"},
                                           {"fooba", "Zm9vYmE="},
                                           {"foobar", "Zm9vYmFy"}};
    (void)state;
    struct trace *t = start((struct trace_conf){.bytes = 10000});
    unsigned n = sizeof(texts) / sizeof(texts[0]);
    for (unsigned i = 0; i < n; i++)
        put(t, true, texts[i][0], i + 1);
    assert_int_equal(ask(t, (struct trace_want){.with_bytes = true}), n);
    for (unsigned i = 0; i < n; i++)
        assert_string_equal(get(i, "bytes"), texts[i][1]);
    trace_free(&t);
}

static unsigned text(struct trace *t, const char *wanted)
{
    return ask(t, (struct trace_want){.text = slice_str(wanted)});
}

static void test_wanted(void **state)
{
    struct trace *t = start((struct trace_conf){.bytes = 10000});
    (void)state;
    put(t, false, INVITE, 10);
    put(t, true, RINGING, 20);
    put(t, true, OTHER, 30);
    put(t, true, "garbage \x80\r\n:\r\nTo\r\nFrom: <\r\n", 40);
    assert_int_equal(ask(t, (struct trace_want){.call_id = SLICE("one@a")}), 2);
    assert_int_equal(ask(t, (struct trace_want){.call_id = SLICE("ONE@a")}), 0);
    assert_int_equal(ask(t, (struct trace_want){.call_id = SLICE("one@")}), 0);
    assert_int_equal(text(t, "alice"), 2);
    assert_int_equal(text(t, "ALICE"), 2);
    assert_int_equal(text(t, "a.example"), 2);
    assert_int_equal(text(t, "bob"), 2);
    assert_int_equal(text(t, "b.EXAMPLE"), 2);
    assert_int_equal(text(t, "+4930123"), 1);
    assert_int_equal(text(t, "carol"), 1);
    assert_int_equal(text(t, "2001:db8::1"), 1);
    assert_int_equal(text(t, "[2001:DB8::1]"), 1);
    assert_int_equal(text(t, "ali"), 0);
    assert_int_equal(text(t, "alice@a.example"), 0);
    assert_int_equal(ask(t, (struct trace_want){.call_id = SLICE("two@a"), .text = SLICE("alice")}),
                     3);
    assert_int_equal(ask(t, (struct trace_want){.since = 20}), 2);
    assert_int_equal(ask(t, (struct trace_want){.since = 10, .until = 30}), 2);
    assert_int_equal(ask(t, (struct trace_want){.until = 9}), 0);
    assert_int_equal(ask(t, (struct trace_want){0}), 4);
    trace_free(&t);
}

/* A step does no more than it was asked to, and a query ends while messages come. */
static void test_steps(void **state)
{
    struct trace *t = start((struct trace_conf){.bytes = 100000});
    uint64_t at = 0, end = 0;
    struct trace_want want = {.end = &end};
    (void)state;
    nrows = 0;
    assert_false(trace_rows_some(t, &at, 1, &want, &sink));
    end = 0;
    for (unsigned i = 1; i <= 20; i++)
        put(t, false, INVITE, i);
    for (unsigned i = 1; i < 20; i++) {
        assert_true(trace_rows_some(t, &at, 1, &want, &sink));
        assert_int_equal(nrows, i);
        put(t, false, INVITE, 20 + i);
    }
    while (trace_rows_some(t, &at, 1, &want, &sink)) {
    }
    assert_int_equal(nrows, 20);
    assert_string_equal(get(19, "time_us"), "20");
    /* Whatever the clock has done: the second one is the older one. */
    put(t, false, INVITE, 5);
    assert_int_equal(ask(t, (struct trace_want){.since = 38, .until = 100}), 1);
    assert_int_equal(ask(t, (struct trace_want){.until = 5}), 6);
    trace_free(&t);
}

static void test_masked(void **state)
{
    struct slice shown[] = {SLICE("X-Secret")};
    struct trace_conf conf = {.bytes = 10000, .mask = {.is_on = true}};
    struct trace *t = start(conf);
    (void)state;
    put(t, false, INVITE, 1);
    put(t, false, "secret", 2);
    put(t, false, "INFO sip:a:secret@b SIP/2.0\nCall-ID: secret\nFrom: secret\n\nsecret", 3);
    assert_int_equal(ask(t, (struct trace_want){.with_bytes = true}), 3);
    for (unsigned i = 0; i < 3; i++) {
        for (unsigned k = 0; k < rows[i].n; k++) {
            assert_null(strstr(rows[i].value[k], "secret"));
            assert_null(strstr(rows[i].value[k], "c2VjcmV0")); /* the same in base64 */
        }
    }
    assert_non_null(strstr(get(0, "text"), "X-Secret: *\r\n"));
    /* It is masked where it leaves: the option holds for what was kept before, too. */
    conf.mask.unmask = shown;
    conf.mask.nunmask = 1;
    trace_set_conf(t, &conf);
    assert_int_equal(ask(t, (struct trace_want){0}), 3);
    assert_non_null(strstr(get(0, "text"), "X-Secret: secret\r\n"));
    trace_free(&t);
}

static void test_cut_and_off(void **state)
{
    static char large[3000];
    struct trace_conf conf = {.bytes = 1024};
    struct trace *t = start(conf);
    (void)state;
    memset(large, 'a', sizeof(large) - 1);
    put(t, false, large, 1);
    assert_int_equal(ask(t, (struct trace_want){0}), 1);
    assert_string_equal(get(0, "length"), "2999");
    assert_string_equal(get(0, "cut"), "true");
    assert_true(strlen(get(0, "text")) < 1024);
    conf.bytes = 0;
    trace_set_conf(t, &conf);
    put(t, false, INVITE, 1);
    assert_int_equal(ask(t, (struct trace_want){0}), 0);
    conf.bytes = 65536 + 200; /* a message of the largest size */
    trace_set_conf(t, &conf);
    put(t, false, INVITE, 2);
    assert_int_equal(ask(t, (struct trace_want){0}), 1);
    trace_free(&t);
}

/* --- log ----------------------------------------------------------------------------------------
 */

static size_t lines_of(struct trace *t, const char *levels, const char *bytes, char *out,
                       size_t cap)
{
    struct log_levels now;
    char why[LOG_LEVELS_WHY_MAX];
    int fd[2];
    assert_int_equal(log_levels_parse(slice_str(levels), &now, why), 0);
    assert_int_equal(pipe(fd), 0);
    log_set_fd(fd[1]);
    log_set_levels(&now);
    put(t, true, bytes, 1);
    log_setup(LOG_INFO, LOG_TEXT);
    log_set_fd(-1);
    close(fd[1]);
    ssize_t n = read(fd[0], out, cap - 1);
    close(fd[0]);
    assert_true(n >= 0);
    out[n] = '\0';
    return (size_t)n;
}

static void test_log(void **state)
{
    static char large[5000];
    char line[4000];
    struct trace *t = start((struct trace_conf){.bytes = 10000, .mask = {.is_on = true}});
    (void)state;
    assert_int_equal(lines_of(t, "info", INVITE, line, sizeof(line)), 0);
    assert_int_equal(lines_of(t, "info, flow:debug", INVITE, line, sizeof(line)), 0);
    assert_true(lines_of(t, "info, sip:debug", INVITE, line, sizeof(line)) != 0);
    assert_non_null(strstr(line, " sip message sent transport=udp local=192.0.2.10:5060 "
                                 "remote=192.0.2.1:5062 length="));
    assert_non_null(strstr(line, "X-Secret: *"));
    assert_null(strstr(line, "secret"));
    assert_ptr_equal(strchr(line, '\n'), line + strlen(line) - 1);
    snprintf(large, sizeof(large), "INVITE sip:a SIP/2.0\r\nTo: %04000d", 1);
    size_t n = lines_of(t, "debug", large, line, sizeof(line));
    assert_true(n > 1000 && n <= 2000);
    assert_ptr_equal(strchr(line, '\n'), line + n - 1);
    trace_free(&t);
}

static void test_no_memory(void **state)
{
    struct trace_conf conf = {.bytes = 5000, .hep = address("127.0.0.1:9060")};
    struct trace *t;
    unsigned failures = 0;
    (void)state;
    for (uint64_t n = 1;; n++) {
        mem_fail_at(n);
        int rc = trace_new(&conf, 0, &counters, &t);
        if (rc == 0) {
            put(t, false, INVITE, 1);
            (void)ask(t, (struct trace_want){0});
            conf.bytes = conf.bytes == 5000 ? 6000 : 5000;
            conf.hep.port++;
            trace_set_conf(t, &conf);
            put(t, false, INVITE, 1);
        } else {
            assert_int_equal(rc, ERR_NOMEM);
            assert_null(t);
        }
        bool failed = mem_failed();
        mem_fail_at(0);
        trace_free(&t);
        if (!failed)
            break;
        failures++;
    }
    if (failures == 0)
        skip(); /* a build without faults */
    assert_true(failures >= 5);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_columns), cmocka_unit_test(test_base64),
        cmocka_unit_test(test_wanted),  cmocka_unit_test(test_steps),
        cmocka_unit_test(test_masked),  cmocka_unit_test(test_cut_and_off),
        cmocka_unit_test(test_log),     cmocka_unit_test(test_no_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
