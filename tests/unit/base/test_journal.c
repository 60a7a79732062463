/* SPDX-License-Identifier: Apache-2.0 */
/* Lines to a journal of the test's own: systemd's Native Journal Protocol. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/event.h"
#include "base/journal.h"

struct rig {
    char folder[40], path[80];
    int journal; /* the journal's end */
    int in, out; /* what stderr stands for */
};

static void name_stream(int fd)
{
    char text[64];
    struct stat st;
    assert_int_equal(fstat(fd, &st), 0);
    snprintf(text, sizeof(text), "%ju:%ju", (uintmax_t)st.st_dev, (uintmax_t)st.st_ino);
    setenv("JOURNAL_STREAM", text, 1);
}

static int begin(void **state)
{
    static struct rig r;
    struct sockaddr_un at;
    int fds[2];
    snprintf(r.folder, sizeof(r.folder), "/tmp/holdfast-test-journal-XXXXXX");
    if (mkdtemp(r.folder) == NULL || pipe(fds) != 0)
        return -1;
    r.in = fds[0];
    r.out = fds[1];
    fcntl(r.in, F_SETFL, O_NONBLOCK);
    snprintf(r.path, sizeof(r.path), "%s/socket", r.folder);
    if (!journal_address(r.path, &at))
        return -1;
    r.journal = socket(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (bind(r.journal, (const struct sockaddr *)(const void *)&at, sizeof(at)) != 0)
        return -1;
    log_set_fd(r.out);
    log_setup(LOG_DEBUG, LOG_TEXT);
    event_reset(NULL);
    name_stream(r.out);
    *state = &r;
    return 0;
}

static int end(void **state)
{
    struct rig *r = *state;
    log_leave_journal();
    unsetenv("JOURNAL_STREAM");
    log_set_fd(-1);
    log_setup(LOG_INFO, LOG_TEXT);
    unlink(r->path);
    rmdir(r->folder);
    close(r->in);
    close(r->out);
    if (r->journal >= 0)
        close(r->journal);
    return 0;
}

/* --- what the journal has got ------------------------------------------------------------------
 */

static char bytes[65536];
static size_t len;

static bool take(struct rig *r)
{
    ssize_t n = recv(r->journal, bytes, sizeof(bytes) - 1, 0);
    len = n > 0 ? (size_t)n : 0;
    return n > 0;
}

/* As the journal reads it. Which one of several of the name; ptr NULL: there is none. */
static struct slice field_of(const char *name, unsigned which)
{
    for (size_t at = 0; at < len;) {
        char *line = bytes + at, *stop = memchr(line, '\n', len - at), *equal;
        struct slice value;
        assert_non_null(stop);
        equal = memchr(line, '=', (size_t)(stop - line));
        size_t name_len = (size_t)((equal != NULL ? equal : stop) - line);
        if (equal != NULL) {
            value = slice_of(equal + 1, (size_t)(stop - equal) - 1);
            at = (size_t)(stop - bytes) + 1;
        } else {
            uint64_t n = 0;
            assert_true((size_t)(stop - bytes) + 9 <= len);
            for (unsigned i = 0; i < 8; i++)
                n |= (uint64_t)(unsigned char)stop[1 + i] << (8 * i);
            value = slice_of(stop + 9, n);
            at = (size_t)(stop - bytes) + 9 + n;
            assert_true(at < len && bytes[at] == '\n');
            at++;
        }
        assert_true(name_len > 0);
        for (size_t i = 0; i < name_len; i++)
            assert_non_null(strchr("ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_", line[i]));
        if (name_len == strlen(name) && memcmp(line, name, name_len) == 0 && which-- == 0)
            return value;
    }
    return SLICE_NONE;
}

static void assert_field(const char *name, const char *value)
{
    struct slice s = field_of(name, 0);
    if (!slice_eq(s, slice_str(value)))
        fail_msg("%s is '%.*s', not '%s'", name, SLICE_ARG(s), value);
}

static char *on_stderr(struct rig *r)
{
    static char text[70000];
    ssize_t n = read(r->in, text, sizeof(text) - 1);
    text[n > 0 ? n : 0] = '\0';
    return text;
}

/* --- tests -------------------------------------------------------------------------------------
 */

static void test_fields(void **state)
{
    struct rig *r = *state;
    assert_true(log_use_journal(r->path));
    LOG(LOG_WARN, "flow", "connection closed", LF_STR("dn", "10 01"), LF_INT("idle_ms", -7),
        LF_BOOL("is-odd", true), LF_STR("empty", NULL), LF_ERR("cause", ERR_CLOSED));
    assert_true(take(r));
    assert_field("MESSAGE", "flow connection closed dn=\"10 01\" idle_ms=-7 is-odd=true empty=\"\" "
                            "cause=\"closed by the peer\"");
    assert_field("PRIORITY", "4");
    assert_field("SYSLOG_IDENTIFIER", "holdfast");
    assert_field("HOLDFAST_MODULE", "flow");
    assert_field("HOLDFAST_DN", "10 01");
    assert_field("HOLDFAST_IDLE_MS", "-7");
    assert_field("HOLDFAST_IS_ODD", "true");
    assert_field("HOLDFAST_EMPTY", "");
    assert_field("HOLDFAST_CAUSE", "closed by the peer");
    assert_null(field_of("MESSAGE_ID", 0).ptr);
    assert_string_equal(on_stderr(r), "");
    LOG0(LOG_ERROR, "app", "a");
    assert_true(take(r));
    assert_field("PRIORITY", "3");
    LOG0(LOG_DEBUG, "app", "b");
    assert_true(take(r));
    assert_field("PRIORITY", "7");
    assert_field("MESSAGE", "app b");
}

static void test_event(void **state)
{
    struct rig *r = *state;
    assert_true(log_use_journal(r->path));
    EVENT_LOG(EV_DN_OUT, LF_STR("dn", "1001"));
    assert_true(take(r));
    assert_field("HOLDFAST_EVENT", "42001");
    assert_field("HOLDFAST_DN", "1001");
    assert_field("MESSAGE", "dn DN out of service event=42001 dn=1001");
    assert_field("MESSAGE_ID", "9f3c27ab51d84e06a7b4e2c900042001");
}

/* Nothing that a peer has sent makes a field of its own. */
static void test_newlines(void **state)
{
    static const char value[] = "a\nMESSAGE=forged\nPRIORITY=0\n";
    static const char all[] = "\x00\x01\n\xff=\n\n";
    struct rig *r = *state;
    assert_true(log_use_journal(r->path));
    LOG(LOG_INFO, "sip", "x", LF_STR("value", value),
        LF_SLICE("bytes", slice_of(all, sizeof(all) - 1)), LF_STR("next", "n"));
    assert_true(take(r));
    assert_field("HOLDFAST_VALUE", value);
    assert_true(slice_eq(field_of("HOLDFAST_BYTES", 0), slice_of(all, sizeof(all) - 1)));
    assert_field("HOLDFAST_NEXT", "n");
    assert_field("PRIORITY", "6");
    assert_null(field_of("PRIORITY", 1).ptr);
    assert_null(field_of("MESSAGE", 1).ptr);
    struct slice message = field_of("MESSAGE", 0);
    assert_null(memchr(message.ptr, '\n', message.len));
}

static void test_long(void **state)
{
    struct rig *r = *state;
    static char big[30000];
    struct field f[40];
    memset(big, 'x', sizeof(big));
    assert_true(log_use_journal(r->path));
    LOG(LOG_INFO, "sip", "x", LF_SLICE("big", slice_of(big, sizeof(big))), LF_INT("n", 7));
    assert_true(take(r));
    assert_int_equal(field_of("HOLDFAST_BIG", 0).len, JOURNAL_VALUE);
    assert_field("HOLDFAST_N", "7");
    assert_true(field_of("MESSAGE", 0).len < 2100);
    /* More than a datagram holds: whole fields, as many as fit. */
    for (unsigned i = 0; i < 40; i++)
        f[i] = LF_SLICE("big", slice_of(big, sizeof(big)));
    log_fields(LOG_INFO, "sip", "x", 40, f);
    assert_true(take(r));
    assert_true(len <= JOURNAL_MAX);
    assert_int_equal(field_of("HOLDFAST_BIG", 10).len, JOURNAL_VALUE);
    assert_null(field_of("HOLDFAST_BIG", 39).ptr);
}

static void test_json(void **state)
{
    struct rig *r = *state;
    assert_true(log_use_journal(r->path));
    log_set_format(LOG_JSON);
    LOG(LOG_INFO, "sip", "x", LF_STR("value", "a\"b"));
    assert_true(take(r));
    struct slice message = field_of("MESSAGE", 0);
    assert_true(slice_starts(message, SLICE("{\"time\":\"")));
    assert_int_equal(message.ptr[message.len - 1], '}');
    assert_field("HOLDFAST_VALUE", "a\"b");
}

/* A journal that is full or gone: the line goes to stderr, which is the journal's stream. */
static void test_not_taken(void **state)
{
    struct rig *r = *state;
    unsigned sent = 0;
    assert_true(log_use_journal(r->path));
    while (on_stderr(r)[0] == '\0') {
        assert_true(++sent < 100000);
        LOG(LOG_INFO, "x", "y", LF_INT("n", sent));
    }
    LOG(LOG_INFO, "x", "full", LF_INT("n", 1));
    assert_non_null(strstr(on_stderr(r), "info  x full n=1\n"));
    while (take(r)) {
    }
    LOG(LOG_INFO, "x", "again", LF_INT("n", 1));
    assert_true(take(r));
    assert_field("MESSAGE", "x again n=1");
    close(r->journal);
    r->journal = -1;
    LOG(LOG_INFO, "x", "gone", LF_INT("n", 1));
    assert_non_null(strstr(on_stderr(r), "info  x gone n=1\n"));
}

/* Only where stderr is the journal. */
static void test_not_the_journal(void **state)
{
    struct rig *r = *state;
    static const char *const values[] = {"", ":", "1:2", "x:y", "1", "99999999999999999999999:1"};
    for (unsigned i = 0; i < sizeof(values) / sizeof(values[0]); i++) {
        setenv("JOURNAL_STREAM", values[i], 1);
        assert_false(log_use_journal(r->path));
    }
    unsetenv("JOURNAL_STREAM");
    assert_false(log_use_journal(r->path));
    name_stream(r->in);
    LOG(LOG_INFO, "x", "y", LF_INT("n", 1));
    assert_non_null(strstr(on_stderr(r), "x y n=1\n"));
    assert_false(take(r));
    name_stream(r->out);
    char path[300];
    memset(path, 'x', sizeof(path));
    path[sizeof(path) - 1] = '\0';
    assert_false(log_use_journal(path));
    assert_true(log_use_journal(r->path));
    log_leave_journal();
    LOG(LOG_INFO, "x", "z", LF_INT("n", 1));
    assert_non_null(strstr(on_stderr(r), "x z n=1\n"));
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, begin, end)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_fields), TEST(test_event),     TEST(test_newlines),        TEST(test_long),
        TEST(test_json),   TEST(test_not_taken), TEST(test_not_the_journal),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
