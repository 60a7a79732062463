/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <fcntl.h>
#include <iconv.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/log.h"
#include "base/random.h"

#define NOTHING LF_INT("n", 1)

struct pipes {
    int in, out;
};

static int make_pipe(void **state)
{
    static struct pipes p;
    int fds[2];

    if (pipe(fds) != 0)
        return -1;
    p = (struct pipes){fds[0], fds[1]};
    log_set_fd(p.out);
    log_setup(LOG_DEBUG, LOG_TEXT);
    *state = &p;
    return 0;
}

static int drop_pipe(void **state)
{
    struct pipes *p = *state;

    log_set_fd(-1);
    log_setup(LOG_INFO, LOG_TEXT);
    if (p->in >= 0)
        close(p->in);
    close(p->out);
    return 0;
}

/* The bytes written since the last call, terminated by NUL. */
static char *written(struct pipes *p)
{
    static char text[80000];
    ssize_t n;

    fcntl(p->in, F_SETFL, O_NONBLOCK);
    n = read(p->in, text, sizeof(text) - 1);
    text[n > 0 ? n : 0] = '\0';
    return text;
}

/* The one line written, without its newline, behind the time. */
static char *line_of(struct pipes *p)
{
    char *text = written(p);
    size_t len = strlen(text);

    assert_true(len > 25 && len <= 2000);
    assert_ptr_equal(strchr(text, '\n'), text + len - 1);
    text[len - 1] = '\0';
    return text + 25;
}

/* --- text ---------------------------------------------------------------------------------- */

static void test_text(void **state)
{
    struct addr peer;
    char *line;

    assert_int_equal(addr_parse(SLICE("10.0.0.5:5060"), 0, &peer), 0);
    LOG(LOG_WARN, "flow", "connection stale", LF_ADDR("peer", &peer),
        LF_ERR("cause", ERR_STALE_UNACKED), LF_INT("ms", 12));
    line = line_of(*state);
    assert_string_equal(line, "warn  flow connection stale peer=10.0.0.5:5060 "
                              "cause=\"stale: unacknowledged\" ms=12");
    LOG0(LOG_ERROR, "app", "ended");
    assert_string_equal(line_of(*state), "error app ended");
    LOG(LOG_INFO, "x", "y", LF_STR("a", "plain"), LF_STR("b", ""), LF_STR("c", "two words"),
        LF_STR("d", "a=b"), LF_SLICE("e", SLICE("sip:a@b;lr")), LF_INT("f", INT64_MIN),
        LF_INT("g", INT64_MAX), LF_ERR("h", -ECONNREFUSED), LF_STR("i", NULL));
    assert_string_equal(line_of(*state),
                        "info  x y a=plain b=\"\" c=\"two words\" d=\"a=b\" e=sip:a@b;lr "
                        "f=-9223372036854775808 g=9223372036854775807 h=\"connection refused\" "
                        "i=\"\"");
}

/* By the clock that the code under test reads: time() is of another, which a tick may be behind. */
static time_t second(void)
{
    struct timespec ts;
    clock_gettime(CLOCK_REALTIME, &ts);
    return ts.tv_sec;
}

static void test_time(void **state)
{
    time_t before = second(), at;
    struct tm tm = {0};
    const char *end;

    LOG0(LOG_DEBUG, "x", "y");
    end = strptime(line_of(*state) - 25, "%Y-%m-%dT%H:%M:%S", &tm);
    assert_non_null(end);
    assert_int_equal(end[0], '.');
    assert_int_equal(strspn(end + 1, "0123456789"), 3);
    assert_memory_equal(end + 4, "Z debug x y", 12);
    at = timegm(&tm);
    assert_true(at >= before && at <= second());
}

static void test_level(void **state)
{
    log_setup(LOG_WARN, LOG_TEXT);
    assert_true(log_is_on(LOG_ERROR) && log_is_on(LOG_WARN));
    assert_false(log_is_on(LOG_INFO) || log_is_on(LOG_DEBUG));
    LOG(LOG_INFO, "x", "y", NOTHING);
    LOG0(LOG_DEBUG, "x", "y");
    assert_string_equal(written(*state), "");
    LOG0(LOG_WARN, "x", "y");
    assert_string_equal(line_of(*state), "warn  x y");
}

/* A peer's bytes end no line, close no quote and command no terminal. */
static void test_forged_text(void **state)
{
    LOG(LOG_INFO, "sip", "bad request",
        LF_STR("uri", "x\n2026-11-22T12:00:00.000Z error app hacked user=\"root\""));
    assert_string_equal(line_of(*state),
                        "info  sip bad request uri=\"x\\n2026-11-22T12:00:00.000Z error app hacked "
                        "user=\\\"root\\\"\"");
    LOG(LOG_INFO, "sip", "x", LF_STR("a", "\x1b[31m"), LF_STR("b", "\r\t\\"),
        LF_SLICE("c", SLICE("\0\x7f")),
        LF_STR("d", "\xc2\x9b"
                    "31m"),
        LF_STR("e", "gr\xc3\xbc\xc3\x9f"));
    assert_string_equal(line_of(*state),
                        "info  sip x a=\"\\x1b[31m\" b=\"\\r\\t\\\\\" "
                        "c=\"\\x00\\x7f\" d=\"\\x9b31m\" e=\"gr\xc3\xbc\xc3\x9f\"");
    /* Not UTF-8: alone, cut, overlong, a surrogate, beyond U+10FFFF. */
    LOG(LOG_INFO, "sip", "x", LF_STR("a", "\xff"), LF_STR("b", "\xe2\x82"), LF_STR("c", "\xc0\xaf"),
        LF_STR("d", "\xed\xa0\x80"), LF_STR("e", "\xf4\x90\x80\x80"));
    assert_string_equal(line_of(*state),
                        "info  sip x a=\"\\xff\" b=\"\\xe2\\x82\" c=\"\\xc0\\xaf\" "
                        "d=\"\\xed\\xa0\\x80\" e=\"\\xf4\\x90\\x80\\x80\"");
}

/* --- JSON ---------------------------------------------------------------------------------- */

static bool is_utf8(const char *text, size_t len)
{
    iconv_t cd = iconv_open("UCS-4LE", "UTF-8");
    char out[16384], *in = (char *)text, *to = out;
    size_t room = sizeof(out);

    assert_true(cd != (iconv_t)-1);
    bool ok = iconv(cd, &in, &len, &to, &room) != (size_t)-1 && len == 0;
    iconv_close(cd);
    return ok;
}

/* Reads a JSON string (RFC 8259 section 7) behind its first quote; what it stands for goes to
 * `out`, all of it below U+0800 when escaped, U+FFFD apart. NULL: not a string. */
static const char *json_string(const char *p, struct buf *out)
{
    for (; *p != '"'; p++) {
        unsigned code;
        if ((unsigned char)*p < 0x20)
            return NULL;
        if (*p != '\\') {
            buf_char(out, *p);
            continue;
        }
        p++;
        const char *from = "\"\\/bfnrt", *at = strchr(from, *p);
        if (*p != '\0' && at != NULL) {
            buf_char(out, "\"\\/\b\f\n\r\t"[at - from]);
            continue;
        }
        char digits[5] = "";
        if (*p != 'u' || strspn(p + 1, "0123456789abcdefABCDEF") < 4)
            return NULL;
        memcpy(digits, p + 1, 4);
        code = (unsigned)strtoul(digits, NULL, 16);
        p += 4;
        if (code == 0xfffd) {
            buf_lit(out, "\xef\xbf\xbd");
        } else if (code < 0x80) {
            buf_char(out, (char)code);
        } else {
            buf_char(out, (char)(0xc0 | code >> 6));
            buf_char(out, (char)(0x80 | (code & 0x3f)));
        }
    }
    return p + 1;
}

/* Is the line one JSON object of strings and integers? The value of `name` goes to `value`. */
static bool json_object(const char *line, const char *name, struct buf *value)
{
    char room[4096];
    struct buf key, text;
    const char *p = line;

    if (*p != '{')
        return false;
    do {
        buf_init(&key, room, 100);
        if (*++p != '"' || (p = json_string(p + 1, &key)) == NULL || *p++ != ':')
            return false;
        bool wanted = slice_eq(buf_get(&key), slice_str(name));
        buf_init(&text, room + 100, sizeof(room) - 100);
        if (*p == '"') {
            if ((p = json_string(p + 1, &text)) == NULL)
                return false;
        } else {
            size_t digits = strspn(p + (*p == '-'), "0123456789") + (*p == '-');
            buf_add(&text, p, digits);
            if (digits == 0)
                return false;
            p += digits;
        }
        if (wanted)
            buf_slice(value, buf_get(&text));
    } while (*p == ',');
    return p[0] == '}' && p[1] == '\0' && !text.overflow;
}

static char *json_line(struct pipes *p)
{
    char *line = line_of(p) - 25;

    assert_true(is_utf8(line, strlen(line)));
    return line;
}

static void assert_json(const char *line, const char *name, struct slice want)
{
    char room[4096];
    struct buf value;

    buf_init(&value, room, sizeof(room));
    if (!json_object(line, name, &value))
        fail_msg("not JSON: %s", line);
    if (!slice_eq(buf_get(&value), want))
        fail_msg("%s is \"%.*s\", not \"%.*s\"", name, SLICE_ARG(buf_get(&value)), SLICE_ARG(want));
}

static void test_json(void **state)
{
    struct addr peer;
    char *line;

    log_setup(LOG_INFO, LOG_JSON);
    assert_int_equal(addr_parse(SLICE("[2001:db8::1]:5060"), 0, &peer), 0);
    LOG(LOG_WARN, "flow", "say \"hi\"", LF_ADDR("peer", &peer), LF_INT("ms", -12),
        LF_ERR("cause", ERR_CLOSED), LF_STR("none", NULL), LF_STR("c1", "\xc2\x9b"),
        LF_SLICE("raw", SLICE("\"},\n{\"a\":\0\x1f\\\x7f gr\xc3\xbc\xc3\x9f")));
    line = json_line(*state);
    assert_memory_equal(line, "{\"time\":\"20", 11);
    assert_json(line, "level", SLICE("warn"));
    assert_json(line, "module", SLICE("flow"));
    assert_json(line, "msg", SLICE("say \"hi\""));
    assert_json(line, "peer", SLICE("[2001:db8::1]:5060"));
    assert_json(line, "ms", SLICE("-12"));
    assert_json(line, "cause", SLICE("closed by the peer"));
    assert_json(line, "none", SLICE(""));
    assert_json(line, "c1", SLICE("\xc2\x9b"));
    assert_json(line, "raw", SLICE("\"},\n{\"a\":\0\x1f\\\x7f gr\xc3\xbc\xc3\x9f"));
    assert_null(strchr(line, '\x7f'));
    LOG0(LOG_INFO, "x", "y");
    line = json_line(*state);
    assert_json(line, "msg", SLICE("y"));
    LOG(LOG_INFO, "x", "y",
        LF_STR("v", "a\xff"
                    "b\xe2\x82"));
    line = json_line(*state);
    assert_json(line, "v",
                SLICE("a\xef\xbf\xbd"
                      "b\xef\xbf\xbd\xef\xbf\xbd"));
}

/* Random bytes of any length, in either format: one line, at most 2,000 bytes, UTF-8 without
 * controls, and JSON remains JSON. */
static void test_hostile(void **state)
{
    static const char *const bits[] = {"\n",
                                       "\"",
                                       "\\",
                                       "\xe2\x82",
                                       "\xed\xa0\x80",
                                       "\x1b[2J",
                                       "\xc2\x85",
                                       "\xf0\x9f\x93\x9e",
                                       "{",
                                       "}",
                                       ",",
                                       "=",
                                       " "};
    struct rng rng;
    char a[3000], b[3000], last[32];

    rng_seed(&rng, 5);
    for (int round = 0; round < 3000; round++) {
        struct buf x, y;
        bool json = round % 2 == 0;
        buf_init(&x, a, rng_below(&rng, 4) == 0 ? sizeof(a) : 1 + rng_below(&rng, 200));
        buf_init(&y, b, rng_below(&rng, 4) == 0 ? sizeof(b) : 1 + rng_below(&rng, 200));
        while (!x.overflow)
            buf_str(&x, bits[rng_below(&rng, sizeof(bits) / sizeof(bits[0]))]);
        while (!y.overflow)
            buf_char(&y, (char)rng_next(&rng));
        log_setup(LOG_INFO, json ? LOG_JSON : LOG_TEXT);
        LOG(LOG_INFO, "sip", "odd", LF_SLICE("a", buf_get(&x)), LF_SLICE("b", buf_get(&y)),
            LF_INT("last", round));
        char *line = line_of(*state) - 25;
        assert_true(is_utf8(line, strlen(line)));
        for (char *p = line; *p != '\0'; p++)
            assert_true((unsigned char)*p >= 0x20 && *p != 0x7f);
        int length = snprintf(last, sizeof(last), " last=%d", round);
        if (json) {
            assert_json(line, "last", slice_str(last + 6));
        } else {
            assert_true(strlen(line) > (size_t)length);
            assert_string_equal(line + strlen(line) - length, last);
        }
    }
}

/* --- length -------------------------------------------------------------------------------- */

static void test_cut(void **state)
{
    static char big[5001];
    char *line;

    memset(big, 'v', 5000);
    LOG(LOG_INFO, "x", "y", LF_STR("a", big), LF_STR("b", big), LF_INT("n", 7));
    line = line_of(*state);
    assert_non_null(strstr(line, "v\xe2\x80\xa6 b=vvvv"));
    assert_string_equal(line + strlen(line) - 8, "v\xe2\x80\xa6 n=7");
    assert_true(strlen(line) > 1200);
    /* A value that is the only one may fill the line. */
    big[1800] = '\0';
    LOG(LOG_INFO, "x", "y", LF_STR("a", big));
    line = line_of(*state);
    assert_null(strstr(line, "\xe2\x80\xa6"));
    assert_int_equal(strlen(line), strlen("info  x y a=") + 1800);
    /* Never within a character. */
    for (size_t i = 0; i + 3 <= 1800; i += 3)
        memcpy(big + i, "\xe2\x82\xac", 3);
    log_setup(LOG_INFO, LOG_JSON);
    for (size_t skip = 0; skip < 6; skip++) {
        big[0] = big[1] = big[2] = 'x';
        LOG(LOG_INFO, "x", "y", LF_SLICE("a", slice_of(big + skip % 3, 1800 - skip)), NOTHING);
        line = json_line(*state);
        assert_non_null(strstr(line, "\xe2\x82\xac\xe2\x80\xa6\","));
    }
}

/* More fields than a line holds: those that do not fit are left out whole. */
static void test_many_fields(void **state)
{
    struct field fields[200];
    char *line;

    for (size_t i = 0; i < 200; i++)
        fields[i] = LF_STR("name", "a value of some length that fills the line");
    for (int json = 0; json < 2; json++) {
        log_setup(LOG_INFO, json ? LOG_JSON : LOG_TEXT);
        log_fields(LOG_INFO, "x", "y", 200, fields);
        line = line_of(*state) - 25;
        if (json)
            assert_json(line, "level", SLICE("info"));
        log_fields(LOG_INFO, "x", "y", 40, fields);
        line = line_of(*state) - 25;
        if (json)
            assert_json(line, "level", SLICE("info"));
        assert_non_null(strstr(line, "a value"));
    }
}

/* --- a sink in trouble --------------------------------------------------------------------- */

static unsigned count_lines(struct pipes *p)
{
    unsigned n = 0;

    for (const char *text = written(p); (text = strchr(text, '\n')) != NULL; text++)
        n++;
    return n;
}

/* Nobody reads: lines are dropped without waiting, and the next line says how many. */
static void test_full_pipe(void **state)
{
    struct pipes *p = *state;
    char want[64];
    unsigned lines;

    assert_true(fcntl(p->out, F_SETPIPE_SZ, 4096) >= 4096);
    alarm(20); /* a write that waits would wait for ever */
    for (int i = 0; i < 5000; i++)
        LOG(LOG_INFO, "x", "the pipe is full", NOTHING);
    alarm(0);
    lines = count_lines(p);
    assert_true(lines > 0 && lines < 5000);
    LOG(LOG_INFO, "x", "y", NOTHING);
    snprintf(want, sizeof(want), "info  x y dropped=%u n=1", 5000 - lines);
    assert_string_equal(line_of(p), want);
    LOG(LOG_INFO, "x", "y", NOTHING);
    assert_string_equal(line_of(p), "info  x y n=1");
    /* The descriptor may be shared with others: its flags stay as they were. */
    assert_int_equal(fcntl(p->out, F_GETFL) & O_NONBLOCK, 0);
}

static void test_full_nonblocking_pipe(void **state)
{
    struct pipes *p = *state;
    char want[64];
    unsigned lines;

    assert_int_equal(fcntl(p->out, F_SETFL, O_NONBLOCK), 0);
    for (int i = 0; i < 5000; i++)
        LOG(LOG_INFO, "x", "the pipe is full", NOTHING);
    lines = count_lines(p);
    log_setup(LOG_INFO, LOG_JSON);
    LOG0(LOG_INFO, "x", "y");
    snprintf(want, sizeof(want), "%u", 5000 - lines);
    assert_json(line_of(p) - 25, "dropped", slice_str(want));
}

static void test_reader_gone(void **state)
{
    struct pipes *p = *state;
    int fds[2];

    close(p->in);
    p->in = -1;
    LOG0(LOG_INFO, "x", "nobody hears this"); /* a SIGPIPE would end the test */
    assert_int_equal(pipe(fds), 0);
    close(p->out);
    *p = (struct pipes){fds[0], fds[1]};
    log_set_fd(p->out);
    LOG0(LOG_INFO, "x", "y");
    assert_string_equal(line_of(p), "info  x y dropped=1");
    log_set_fd(9999); /* not open */
    LOG0(LOG_INFO, "x", "y");
    log_set_fd(p->out);
    LOG0(LOG_INFO, "x", "y");
    assert_string_equal(line_of(p), "info  x y dropped=1");
}

/* A disk that becomes full within a line: the next line begins on a line of its own. */
static void test_torn_line(void **state)
{
    int fd = memfd_create("log", 0);
    struct rlimit limit, small;
    char text[400];
    ssize_t n;

    (void)state;
    assert_true(fd >= 0);
    log_set_fd(fd);
    signal(SIGXFSZ, SIG_IGN);
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &limit), 0);
    small = (struct rlimit){40, limit.rlim_max};
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &small), 0);
    LOG0(LOG_INFO, "x", "a line that is cut");
    LOG0(LOG_INFO, "x", "lost");
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &limit), 0);
    LOG0(LOG_INFO, "x", "whole");
    LOG0(LOG_INFO, "x", "next");
    n = pread(fd, text, sizeof(text) - 1, 0);
    close(fd);
    assert_true(n > 40);
    text[n] = '\0';
    assert_int_equal(text[40], '\n');
    assert_memory_equal(text + 66, "info  x whole dropped=2\n", 24);
    assert_string_equal(text + 66 + 24 + 25, "info  x next\n");
}

/* --- threads and limits -------------------------------------------------------------------- */

enum { THREADS = 4, LINES = 500 };

static void *log_lines(void *arg)
{
    char text[120];

    memset(text, 'a' + *(int *)arg, sizeof(text));
    for (int i = 0; i < LINES; i++)
        LOG(LOG_INFO, "x", "y", LF_SLICE("v", slice_of(text, sizeof(text))));
    return NULL;
}

/* Lines of several threads do not mix; written or dropped, each is accounted for. */
static void test_threads(void **state)
{
    static char text[THREADS * LINES * 200];
    pthread_t threads[THREADS];
    int number[THREADS], fd = memfd_create("log", 0);
    unsigned lines = 0;
    ssize_t n;

    (void)state;
    assert_true(fd >= 0);
    log_set_fd(fd);
    for (int i = 0; i < THREADS; i++) {
        number[i] = i;
        assert_int_equal(pthread_create(&threads[i], NULL, log_lines, &number[i]), 0);
    }
    for (int i = 0; i < THREADS; i++)
        pthread_join(threads[i], NULL);
    n = pread(fd, text, sizeof(text) - 1, 0);
    close(fd);
    assert_true(n > 0);
    text[n] = '\0';
    for (char *line = text, *end; (end = strchr(line, '\n')) != NULL; line = end + 1) {
        assert_int_equal(end - line, 25 + strlen("info  x y v=") + 120);
        assert_int_equal(strspn(end - 120, (char[]){end[-1], '\0'}), 120);
        lines++;
    }
    assert_int_equal(lines, THREADS * LINES);
}

static void test_limit(void **state)
{
    struct log_limit l = {0};
    uint32_t left_out = 99;

    (void)state;
    for (uint64_t start = 5000; start < 9000; start += 1000) {
        for (uint64_t i = 0; i < 10; i++) {
            bool ok = log_limit_ok(&l, start + i, 3, 1000, &left_out);
            assert_true(ok == (i < 3));
            if (ok)
                assert_int_equal(left_out, i == 0 && start > 5000 ? 7 : 0);
        }
    }
    assert_false(log_limit_ok(&l, 8999, 3, 1000, &left_out));
    assert_true(log_limit_ok(&l, 9000, 3, 1000, &left_out));
    assert_int_equal(left_out, 8);
    l = (struct log_limit){0};
    assert_true(log_limit_ok(&l, 0, 1, 1000, &left_out));
    assert_int_equal(left_out, 0);
    assert_false(log_limit_ok(&l, 999, 1, 1000, &left_out));
    l.left_out = UINT32_MAX;
    assert_false(log_limit_ok(&l, 999, 1, 1000, &left_out));
    assert_true(log_limit_ok(&l, 1000, 1, 1000, &left_out));
    assert_int_equal(left_out, UINT32_MAX);
    assert_false(log_limit_ok(&l, 9000, 0, 1000, &left_out));
}

#define WITH_PIPE(test) cmocka_unit_test_setup_teardown(test, make_pipe, drop_pipe)

int main(void)
{
    const struct CMUnitTest tests[] = {
        WITH_PIPE(test_text),        WITH_PIPE(test_time),
        WITH_PIPE(test_level),       WITH_PIPE(test_forged_text),
        WITH_PIPE(test_json),        WITH_PIPE(test_hostile),
        WITH_PIPE(test_cut),         WITH_PIPE(test_many_fields),
        WITH_PIPE(test_full_pipe),   WITH_PIPE(test_full_nonblocking_pipe),
        WITH_PIPE(test_reader_gone), WITH_PIPE(test_torn_line),
        WITH_PIPE(test_threads),     cmocka_unit_test(test_limit),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
