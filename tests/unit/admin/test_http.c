/* SPDX-License-Identifier: Apache-2.0 */
/* The server before workers that answer, and before ones that are stuck. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include "admin/http.h"
#include "base/alloc.h"
#include "rig.h"

#define PATIENCE_MS 20000
#define TOKEN       "0123456789abcdef"

struct place {
    struct rig rig;
    struct admin_http *http;
    char answer[1 << 20];
};

static struct admin_http_conf conf_of(const char *token)
{
    struct admin_http_conf conf = {.token = slice_str(token)};
    assert_int_equal(addr_parse(SLICE("127.0.0.1:0"), 0, &conf.address), 0);
    return conf;
}

static int open_place(void **state)
{
    struct place *p = mem_zalloc(sizeof(*p));
    struct admin_http_conf conf = conf_of("");
    assert_non_null(p);
    rig_open(&p->rig);
    assert_int_equal(admin_http_open(p->rig.admin, &conf, &p->http), 0);
    *state = p;
    return 0;
}

static int close_place(void **state)
{
    struct place *p = *state;
    admin_http_close(&p->http);
    assert_null(p->http);
    rig_close(&p->rig);
    mem_free(p);
    return 0;
}

/* --- a client --- */

static int connected(const struct place *p)
{
    struct sockaddr_storage sa;
    struct timeval patience = {PATIENCE_MS / 1000, 0};
    size_t len = addr_to_sockaddr(admin_http_address(p->http), (struct sockaddr *)&sa);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_true(fd >= 0);
    assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience)), 0);
    assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof(patience)), 0);
    assert_int_equal(connect(fd, (struct sockaddr *)&sa, (socklen_t)len), 0);
    return fd;
}

static void say(int fd, const char *method, const char *path, const char *more)
{
    char text[1024];
    int len = snprintf(text, sizeof(text), "%s %s HTTP/1.1\r\nHost: localhost\r\n%s\r\n", method,
                       path, more);
    assert_int_equal(send(fd, text, (size_t)len, MSG_NOSIGNAL), len);
}

/* Reads until the end, or until the text is there; the status. */
static int hear(struct place *p, int fd, const char *until)
{
    size_t n = 0;
    int status = 0;
    uint64_t until_us = admin_now_us() + PATIENCE_MS * 1000;
    for (;;) {
        assert_true(admin_now_us() < until_us);
        ssize_t got = recv(fd, p->answer + n, sizeof(p->answer) - 1 - n, 0);
        assert_true(got >= 0);
        n += (size_t)got;
        p->answer[n] = '\0';
        if (got == 0 || (until != NULL && strstr(p->answer, until) != NULL))
            break;
    }
    assert_int_equal(sscanf(p->answer, "HTTP/1.1 %d", &status), 1);
    return status;
}

static int ask(struct place *p, const char *method, const char *path, const char *more)
{
    char head[512];
    int fd = connected(p);
    snprintf(head, sizeof(head), "Connection: close\r\n%s", more);
    say(fd, method, path, head);
    int status = hear(p, fd, NULL);
    close(fd);
    return status;
}

static int get(struct place *p, const char *path)
{
    return ask(p, "GET", path, "");
}

/* --- tests --- */

static void test_commands(void **state)
{
    struct place *p = *state;
    assert_int_equal(get(p, "/api/v1/calls"), 200);
    assert_non_null(strstr(p->answer, "{\"call\":[{\"call_id\":\"" RIG_CALL "\""));
    assert_int_equal(get(p, "/api/v1/dns?name=1001"), 200);
    assert_non_null(strstr(p->answer, "\"name\":\"1001\""));
    assert_null(strstr(p->answer, "\"name\":\"1002\""));
    assert_int_equal(get(p, "/api/v1/dns?name=nobody"), 404);
    assert_non_null(strstr(p->answer, "\"error\":\"no such DN: nobody\""));
    assert_int_equal(get(p, "/api/v1/dns?names=1001"), 400);
    assert_int_equal(get(p, "/metrics"), 200);
    assert_non_null(strstr(p->answer, "holdfast_worker_up{worker=\"1\"} 1\n"));
    assert_int_equal(get(p, "/"), 200);
    assert_int_equal(get(p, "/nothing"), 404);
}

static void test_post(void **state)
{
    struct place *p = *state;
    int fd = connected(p);
    static const char body[] = "{\"call_id\":\"" RIG_CALL "\"}";
    char head[256];
    snprintf(head, sizeof(head),
             "Connection: close\r\nContent-Type: application/json\r\nContent-Length: %zu\r\n",
             sizeof(body) - 1);
    say(fd, "POST", "/api/v1/calls/release", head);
    assert_int_equal(send(fd, body, sizeof(body) - 1, MSG_NOSIGNAL), sizeof(body) - 1);
    assert_int_equal(hear(p, fd, NULL), 200);
    assert_int_equal(atomic_load(&p->rig.proxy.released), 1);
    close(fd);
    assert_int_equal(ask(p, "POST", "/api/v1/calls/release", "Content-Length: 0\r\n"), 415);
    assert_int_equal(
        ask(p, "POST", "/api/v1/calls/release",
            "Content-Type: application/json\r\nOrigin: http://evil\r\nContent-Length: 0\r\n"),
        403);
    assert_int_equal(atomic_load(&p->rig.proxy.released), 1);
}

/* As many bytes as they are; the status, and the connection is closed after it. */
static int ask_bytes(struct place *p, const char *bytes, size_t len)
{
    int fd = connected(p);
    assert_int_equal(send(fd, bytes, len, MSG_NOSIGNAL), (ssize_t)len);
    int status = hear(p, fd, NULL);
    close(fd);
    return status;
}

#define RELEASE                                                  \
    "POST /api/v1/calls/release HTTP/1.1\r\nHost: localhost\r\n" \
    "Content-Type: application/json\r\n"

/* What could be two requests for a proxy in front of us, or another path, is refused, and nothing
 * that stands behind it is read. */
static void test_one_request(void **state)
{
    struct place *p = *state;
    static const struct {
        const char *text, *why;
    } wrong[] = {
        {RELEASE "Content-Length: 5\r\nContent-Length: 5\r\n\r\n", "more than one Content-Length"},
        {RELEASE "Content-Length: 0\r\ncontent-length: 0\r\n\r\n", "more than one Content-Length"},
        {RELEASE "Content-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n",
         "beside Transfer-Encoding"},
        {RELEASE "Transfer-Encoding: chunked\r\nContent-Length: 0\r\n\r\n",
         "beside Transfer-Encoding"},
        {RELEASE "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n",
         "known is chunked"},
        {RELEASE "Transfer-Encoding: gzip, chunked\r\n\r\n", "known is chunked"},
        {"GET /healthz%00 HTTP/1.1\r\nHost: localhost\r\n\r\n", "a NUL in the URL"},
        {"GET /api/v1/dns?name=1001%00x HTTP/1.1\r\nHost: localhost\r\n\r\n", "a NUL in the URL"},
        {"GET /api/v1/dns?na%00me=1001 HTTP/1.1\r\nHost: localhost\r\n\r\n", "a NUL in the URL"},
        {"HEADS /%00 HTTP/1.1\r\nHost: localhost\r\n\r\n", "GET, HEAD or POST"},
    };
    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
        char text[1024];
        int len = snprintf(text, sizeof(text), "%s%s", wrong[i].text,
                           "GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n");
        int status = ask_bytes(p, text, (size_t)len);
        assert_true(status == 400 || (status == 405 && i == 9));
        assert_non_null(strstr(p->answer, "{\"error\":\""));
        assert_non_null(strstr(p->answer, wrong[i].why));
        assert_null(strstr(p->answer + 1, "HTTP/1.1 "));
    }
    /* Cut off between the URL and the end of the headers. */
    static const char half[] = "GET /%00 HTTP/1.1\r\nHo\0st\r\n\r\n";
    assert_int_equal(ask_bytes(p, half, sizeof(half) - 1), 400);
    assert_int_equal(get(p, "/api/v1/dns?name=%2500"), 404);
    assert_int_equal(atomic_load(&p->rig.proxy.released), 0);
    static const char chunked[] = RELEASE "Connection: close\r\nTransfer-Encoding: Chunked\r\n\r\n"
                                          "1\r\n{\r\n0\r\n\r\n";
    assert_int_equal(ask_bytes(p, chunked, sizeof(chunked) - 1), 400);
    assert_null(strstr(p->answer, "Transfer-Encoding"));
}

/* What was found out last is said for half a second. */
static int health_becomes(struct place *p, int wanted)
{
    int status = 0;
    uint64_t until_us = admin_now_us() +
                        PATIENCE_MS * 1000; /* a look at stuck workers takes long */
    while ((status = get(p, "/healthz")) != wanted && admin_now_us() < until_us)
        poll(NULL, 0, 50);
    return status;
}

/* Which worker is stuck is said, and the rest goes on. */
static void test_stuck_workers(void **state)
{
    struct place *p = *state;
    assert_int_equal(get(p, "/healthz"), 200);
    rig_stop_workers(&p->rig);
    assert_int_equal(health_becomes(p, 503), 503);
    assert_non_null(strstr(p->answer, "worker 0 does not answer\nworker 1 does not answer\n"));
    assert_int_equal(get(p, "/readyz"), 200);
    assert_int_equal(get(p, "/metrics"), 200);
    assert_non_null(strstr(p->answer, "holdfast_worker_up{worker=\"0\"} 0\n"));
    rig_start_workers(&p->rig);
    assert_int_equal(get(p, "/api/v1/calls"), 200);
    assert_int_equal(health_becomes(p, 200), 200);
}

static void test_token(void **state)
{
    struct place *p = *state;
    struct admin_http_conf conf = conf_of(TOKEN);
    assert_int_equal(get(p, "/api/v1/status"), 200);
    assert_int_equal(admin_http_set_conf(p->http, &conf), 0);
    assert_int_equal(get(p, "/api/v1/status"), 401);
    assert_non_null(strstr(p->answer, "WWW-Authenticate: Bearer"));
    assert_int_equal(ask(p, "GET", "/api/v1/status", "Authorization: Bearer " TOKEN "\r\n"), 200);
    assert_int_equal(ask(p, "GET", "/api/v1/status", "Authorization: Bearer x\r\n"), 401);
    assert_int_equal(get(p, "/healthz"), 200);
}

/* A certificate that is none changes nothing. */
static void test_certificate(void **state)
{
    struct place *p = *state;
    struct admin_http_conf conf = conf_of("");
    conf.certificate = SLICE("nonsense");
    conf.key = SLICE("nonsense");
    assert_int_equal(admin_http_set_conf(p->http, &conf), ERR_PARSE);
    assert_int_equal(get(p, "/api/v1/status"), 200);
    struct admin_http *other;
    assert_int_equal(admin_http_open(p->rig.admin, &conf, &other), ERR_PARSE);
    assert_null(other);
}

static void test_address(void **state)
{
    struct place *p = *state;
    struct admin_http_conf conf = conf_of("");
    struct admin_http *other;
    conf.address = *admin_http_address(p->http);
    assert_int_equal(admin_http_open(p->rig.admin, &conf, &other), -EADDRINUSE);
    assert_null(other);
    assert_int_equal(addr_parse(SLICE("0.0.0.0:0"), 0, &conf.address), 0);
    assert_int_equal(admin_http_open(p->rig.admin, &conf, &other), ERR_PARSE);
    assert_null(other);
}

/* Streams are open when the server ends. */
static void test_streams(void **state)
{
    struct place *p = *state;
    int fd[10];
    for (unsigned i = 0; i < 8; i++) {
        fd[i] = connected(p);
        say(fd[i], "GET", "/api/v1/stream", "");
        assert_int_equal(hear(p, fd[i], "event: tick\ndata: {\"at_ms\":"), 200);
    }
    fd[8] = connected(p);
    say(fd[8], "GET", "/api/v1/stream", "Connection: close\r\n");
    assert_int_equal(hear(p, fd[8], NULL), 503);
    assert_int_equal(get(p, "/metrics"), 200);
    assert_non_null(strstr(p->answer, "\nholdfast_http_streams 8\n"));
    admin_http_close(&p->http);
    for (unsigned i = 0; i < 9; i++)
        close(fd[i]);
}

#define MANY 4000

/* More applications than a tick has room for. */
static void have_many_applications(struct place *p)
{
    char(*names)[16] = mem_alloc(MANY * sizeof(*names)), (*uris)[32] = mem_alloc(MANY * 32);
    struct group_member_conf *members = mem_zalloc(MANY * sizeof(*members));
    struct group_conf *conf = mem_zalloc(MANY * sizeof(*conf));
    assert_true(names != NULL && uris != NULL && members != NULL && conf != NULL);
    for (unsigned i = 0; i < MANY; i++) {
        snprintf(names[i], sizeof(names[i]), "application%u", i);
        snprintf(uris[i], sizeof(uris[i]), "sip:member%u.example", i);
        members[i] = (struct group_member_conf){.uri = uris[i], .weight = 1};
        conf[i] = (struct group_conf){.name = names[i], .members = &members[i], .nmembers = 1};
    }
    assert_int_equal(groups_configure(p->rig.groups, conf, MANY, 0), 0);
    mem_free(conf);
    mem_free(members);
    mem_free(uris);
    mem_free(names);
}

/* What could not be made is not tried again before the next second. */
static void test_ticks_that_cannot_be_made(void **state)
{
    struct place *p = *state;
    have_many_applications(p);
    unsigned before = p->rig.looks, made = 0;
    uint64_t began = admin_now_us();
    int fd = connected(p);
    say(fd, "GET", "/api/v1/stream", "");
    while (made < 2) {
        assert_true(admin_now_us() < began + PATIENCE_MS * 1000);
        (void)poll(NULL, 0, 10);
        made = p->rig.looks - before;
    }
    assert_true(made <= (admin_now_us() - began) / 1000000 + 1);
    close(fd);
}

static void test_no_memory(void **state)
{
#ifdef HOLDFAST_FAULTS
    struct place *p = *state;
    struct admin_http_conf conf = conf_of(TOKEN);
    struct admin_http *other;
    for (unsigned n = 1; n <= 3; n++) {
        mem_fail_at(n);
        assert_int_equal(admin_http_open(p->rig.admin, &conf, &other), ERR_NOMEM);
        mem_fail_at(0);
        assert_null(other);
    }
    mem_fail_at(1);
    assert_int_equal(admin_http_set_conf(p->http, &conf), ERR_NOMEM);
    mem_fail_at(0);
    assert_int_equal(get(p, "/api/v1/status"), 200);
#else
    (void)state;
    skip();
#endif
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, open_place, close_place)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_commands),      TEST(test_post),    TEST(test_one_request),
        TEST(test_stuck_workers), TEST(test_token),   TEST(test_certificate),
        TEST(test_address),       TEST(test_streams), TEST(test_ticks_that_cannot_be_made),
        TEST(test_no_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
