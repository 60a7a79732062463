/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/alloc.h"
#include "rig.h"

#define PATIENCE_MS 20000

struct place {
    struct rig rig;
    char path[ADMIN_PATH_MAX], used[ADMIN_PATH_MAX];
};

static int open_place(void **state)
{
    struct place *p = mem_zalloc(sizeof(*p));
    assert_non_null(p);
    rig_open(&p->rig);
    snprintf(p->path, sizeof(p->path), "%s/c.sock", p->rig.folder);
    *state = p;
    return 0;
}

static int close_place(void **state)
{
    struct place *p = *state;
    unlink(p->path);
    rig_close(&p->rig);
    mem_free(p);
    return 0;
}

static void start(struct place *p)
{
    assert_int_equal(admin_listen(p->rig.admin, p->path, p->used), 0);
    assert_string_equal(p->used, p->path);
}

/* --- a client --- */

static struct sockaddr_un address_of(const char *path)
{
    struct sockaddr_un sa = {.sun_family = AF_UNIX};
    snprintf(sa.sun_path, sizeof(sa.sun_path), "%s", path);
    return sa;
}

static int dial(const char *path)
{
    struct sockaddr_un sa = address_of(path);
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_true(fd >= 0);
    if (connect(fd, (void *)&sa, sizeof(sa)) == 0)
        return fd;
    close(fd);
    return -1;
}

static void put(int fd, const char *text, size_t len)
{
    while (len != 0) {
        ssize_t n = send(fd, text, len, MSG_NOSIGNAL);
        assert_true(n > 0);
        text += n;
        len -= (size_t)n;
    }
}

/* Reads until the text ends in `end`, or the connection does; the bytes read. */
static size_t get(int fd, const char *end, char *text, size_t cap)
{
    size_t n = 0, want = end != NULL ? strlen(end) : 0;
    while (n + 1 < cap) {
        struct pollfd p = {.fd = fd, .events = POLLIN};
        assert_int_equal(poll(&p, 1, PATIENCE_MS), 1);
        ssize_t got = recv(fd, text + n, cap - n - 1, 0);
        if (got <= 0)
            break;
        n += (size_t)got;
        if (end != NULL && n >= want && memcmp(text + n - want, end, want) == 0)
            break;
    }
    text[n] = '\0';
    return n;
}

static void ask(int fd, const char *command, const char *end, char *text, size_t cap)
{
    put(fd, command, strlen(command));
    get(fd, end, text, cap);
}

/* --- who may connect --- */

static void test_permissions(void **state)
{
    struct place *p = *state;
    struct stat st;
    char folder[80];
    mode_t mask = umask(077);
    snprintf(folder, sizeof(folder), "%s/run", p->rig.folder);
    snprintf(p->path, sizeof(p->path), "%s/c.sock", folder);
    start(p);
    umask(mask);
    assert_int_equal(stat(p->path, &st), 0);
    assert_true(S_ISSOCK(st.st_mode));
    assert_int_equal(st.st_mode & 07777, 0660);
    assert_int_equal(stat(folder, &st), 0);
    assert_int_equal(st.st_mode & 07777, 0750);
    admin_free(&p->rig.admin);
    assert_int_equal(stat(p->path, &st), -1); /* it is gone with the daemon */
    rmdir(folder);
}

static void test_stale_socket(void **state)
{
    struct place *p = *state;
    struct sockaddr_un sa = address_of(p->path);
    char text[4096];
    int old = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(bind(old, (void *)&sa, sizeof(sa)), 0);
    assert_int_equal(listen(old, 1), 0);
    close(old);
    start(p);
    int fd = dial(p->path);
    assert_true(fd >= 0);
    ask(fd, "status\n", ".ok\n", text, sizeof(text));
    assert_memory_equal(text, "status {\"version\":\"", 19);
    close(fd);
}

static void test_living_socket(void **state)
{
    struct place *p = *state;
    struct admin_socket second;
    struct stat st;
    char text[4096];
    start(p);
    assert_int_equal(admin_socket_open(&second, p->path), ERR_EXISTS);
    assert_int_equal(second.fd, -1);
    admin_socket_close(&second);
    int fd = dial(p->path); /* the first one is untouched */
    assert_true(fd >= 0);
    ask(fd, "help\n", ".ok\n", text, sizeof(text));
    close(fd);
    assert_int_equal(stat(p->path, &st), 0);
}

/* A living process that does not accept is alive all the same. */
static void test_living_socket_with_a_full_line(void **state)
{
    struct place *p = *state;
    struct sockaddr_un sa = address_of(p->path);
    int fds[8], old = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(bind(old, (void *)&sa, sizeof(sa)), 0);
    assert_int_equal(listen(old, 0), 0);
    for (unsigned i = 0; i < 8; i++) {
        fds[i] = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
        (void)!connect(fds[i], (void *)&sa, sizeof(sa));
    }
    assert_int_equal(admin_listen(p->rig.admin, p->path, p->used), ERR_EXISTS);
    for (unsigned i = 0; i < 8; i++)
        close(fds[i]);
    close(old);
}

static void test_bad_paths(void **state)
{
    struct place *p = *state;
    struct stat st;
    char longer[ADMIN_PATH_MAX + 2];
    int fd = open(p->path, O_CREAT | O_WRONLY | O_CLOEXEC, 0600);
    assert_true(fd >= 0);
    close(fd);
    assert_int_equal(admin_listen(p->rig.admin, p->path, p->used), ERR_EXISTS);
    assert_int_equal(stat(p->path, &st), 0); /* a file of somebody's stays */
    memset(longer, 'x', ADMIN_PATH_MAX);
    longer[ADMIN_PATH_MAX] = '\0';
    assert_int_equal(admin_listen(p->rig.admin, longer, p->used), ERR_LIMIT);
    assert_int_equal(admin_listen(p->rig.admin, "/no/such/folder/c.sock", p->used), -ENOENT);
    snprintf(longer, sizeof(longer), "%s/c.sock/d", p->rig.folder);
    assert_int_equal(admin_listen(p->rig.admin, longer, p->used), -ENOTDIR);
}

/* What stands at the path by now is somebody else's. */
static void test_foreign_socket_stays(void **state)
{
    struct place *p = *state;
    struct sockaddr_un sa = address_of(p->path);
    struct stat st;
    int other = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    start(p);
    assert_int_equal(unlink(p->path), 0);
    assert_int_equal(bind(other, (void *)&sa, sizeof(sa)), 0);
    admin_free(&p->rig.admin);
    assert_int_equal(stat(p->path, &st), 0);
    close(other);
}

static void test_default_path(void **state)
{
    char path[ADMIN_PATH_MAX];
    (void)state;
    setenv("RUNTIME_DIRECTORY", "/run/one:/run/two", 1);
    assert_true(admin_default_path(path, sizeof(path)));
    assert_string_equal(path, "/run/one/control.sock");
    unsetenv("RUNTIME_DIRECTORY");
    setenv("XDG_RUNTIME_DIR", "/run/user/7", 1);
    assert_true(admin_default_path(path, sizeof(path)));
    assert_string_equal(path, geteuid() == 0 ? "/run/holdfast/control.sock"
                                             : "/run/user/7/holdfast.sock");
    unsetenv("XDG_RUNTIME_DIR");
    assert_int_equal(admin_default_path(path, sizeof(path)), geteuid() == 0);
    assert_false(admin_default_path(path, 8));
}

/* --- what is spoken --- */

static void test_framing(void **state)
{
    static const char rows[] =
        "flow {\"id\":\".dotted\",\"dn\":\"a\\\"b\\\\c\\nd\\u001b[2J\\u009b\\ufffd\",\"remote\":\"\","
        "\"reopened\":3,\"worker\":0}\n.ok\n";
    struct place *p = *state;
    char text[4096];
    p->rig.workers[0].flows =
        (struct flows){{{".dotted", "a\"b\\c\nd\x1b[2J\xc2\x9b\xff", NULL}}, .times = 1};
    start(p);
    int fd = dial(p->path);
    ask(fd, "flows\n", ".ok\n", text, sizeof(text));
    assert_string_equal(text, rows);
    ask(fd, "flows\r\n", ".ok\n", text, sizeof(text)); /* the connection stays open */
    assert_string_equal(text, rows);
    ask(fd, "dns nobody\n", "nobody\n", text, sizeof(text));
    assert_string_equal(text, ".error no such DN: nobody\n");
    ask(fd, "dns\tout-of-service\t\n", "NAME\n", text, sizeof(text));
    assert_string_equal(text, ".usage usage: dns out-of-service NAME\n");
    close(fd);
}

static void test_several_at_once(void **state)
{
    struct place *p = *state;
    char text[8192];
    start(p);
    int fd = dial(p->path);
    put(fd, "log\ncalls release 1\nno", 22);
    get(fd, "such call\n", text, sizeof(text));
    assert_memory_equal(text, "level {\"module\":\"", 17);
    assert_non_null(strstr(text, "}\n.ok\n.error no such call\n"));
    put(fd, "thing", 5); /* no end of line but that of the stream */
    shutdown(fd, SHUT_WR);
    get(fd, NULL, text, sizeof(text));
    assert_string_equal(text, ".usage no such command: nothing; try help\n");
    close(fd);
}

/* Bytes that are no text, and lines of all kinds one after the other: an answer to each. */
static void test_odd_lines(void **state)
{
    static const char odd[] = "\n\r\n\t\n\x00\n\xff\xfe\x80\n.ok\n{\"json\":1}\nGET / HTTP/1.1\n";
    struct place *p = *state;
    char text[8192];
    unsigned answers = 0;
    start(p);
    int fd = dial(p->path);
    put(fd, odd, sizeof(odd) - 1);
    shutdown(fd, SHUT_WR);
    get(fd, NULL, text, sizeof(text));
    for (const char *line = text; *line != '\0'; line = strchr(line, '\n') + 1, answers++)
        assert_memory_equal(line, ".usage ", 7);
    assert_int_equal(answers, 8);
    close(fd);
}

static void test_giant_line(void **state)
{
    struct place *p = *state;
    char text[4096], *giant = mem_alloc(65536);
    assert_non_null(giant);
    start(p);
    memset(giant, 'x', 65536);
    int fd = dial(p->path);
    put(fd, giant, 65536);
    get(fd, NULL, text, sizeof(text)); /* closed behind the answer */
    assert_string_equal(text, ".usage the command is too long\n");
    close(fd);
    fd = dial(p->path);
    put(fd, giant, ADMIN_LINE_MAX); /* the longest */
    ask(fd, "\n", "\n", text, sizeof(text));
    assert_memory_equal(text, ".usage no such command: xxx", 27);
    close(fd);
    mem_free(giant);
}

static void test_too_many_clients(void **state)
{
    struct place *p = *state;
    char text[4096];
    int fds[ADMIN_CLIENTS];
    start(p);
    for (unsigned i = 0; i < ADMIN_CLIENTS; i++) {
        fds[i] = dial(p->path);
        ask(fds[i], "help\n", ".ok\n", text, sizeof(text)); /* so it has been accepted */
    }
    int more = dial(p->path);
    get(more, NULL, text, sizeof(text));
    assert_string_equal(text, ".error too many clients at a time\n");
    close(more);
    close(fds[3]);
    for (unsigned i = 0; i < 1000; i++) { /* its place is free as soon as its end was seen */
        more = dial(p->path);
        (void)!send(more, "help\n", 5, MSG_NOSIGNAL);
        get(more, ".ok\n", text, sizeof(text));
        close(more);
        if (strncmp(text, ".error", 6) != 0)
            break;
    }
    assert_memory_equal(text, "command {", 9);
    for (unsigned i = 0; i < ADMIN_CLIENTS; i++)
        if (i != 3)
            close(fds[i]);
}

/* One that does not read keeps nobody waiting, and has its whole answer when it reads. */
static void test_slow_client(void **state)
{
    static const char row[] =
        "flow {\"id\":\"a\",\"dn\":\"\",\"remote\":\"\",\"reopened\":3,\"worker\":0}\n";
    enum { TIMES = 50000 };
    struct place *p = *state;
    size_t cap = TIMES * sizeof(row) + 65536;
    char text[4096], *all = mem_alloc(cap);
    assert_non_null(all);
    p->rig.workers[0].flows = (struct flows){{{"a", NULL, NULL}}, .times = TIMES};
    start(p);
    int slow = dial(p->path), fd = dial(p->path);
    put(slow, "flows\nhelp\n", 11);
    ask(slow, "", "flow {", text, 7); /* its answer has begun */
    for (unsigned i = 0; i < 10; i++)
        ask(fd, "status\n", ".ok\n", text, sizeof(text));
    size_t n = get(slow,
                   "help\":\"all counters, of all workers together\",\"changes\":false}\n.ok\n",
                   all, cap);
    assert_true(n > (TIMES - 1) * (sizeof(row) - 1));
    assert_non_null(strstr(all, row));
    assert_non_null(strstr(all, "}\n.ok\ncommand {"));
    close(slow);
    close(fd);
    mem_free(all);
}

/* Workers that do not answer cost only the client that has asked them. */
static void test_stuck_command(void **state)
{
    struct place *p = *state;
    struct pollfd waits = {.events = POLLIN};
    char text[4096];
    start(p);
    rig_stop_workers(&p->rig);
    int fd = dial(p->path);
    waits.fd = dial(p->path);
    put(waits.fd, "flows\n", 6);
    for (unsigned i = 0; i < 20; i++) {
        ask(fd, "status\n", ".ok\n", text, sizeof(text));
        assert_int_equal(poll(&waits, 1, 0), 0); /* it waits all the time */
    }
    get(waits.fd, "answered\n", text, sizeof(text));
    assert_string_equal(text, "line {\"text\":\"worker 0 does not answer\"}\n"
                              "line {\"text\":\"worker 1 does not answer\"}\n"
                              ".error no worker has answered\n");
    close(waits.fd);
    close(fd);
}

/* Clients that go away in the middle of their answer. */
static void test_gone_client(void **state)
{
    struct place *p = *state;
    char text[4096];
    p->rig.workers[0].flows = (struct flows){{{"a", NULL, NULL}}, .times = 20000};
    start(p);
    for (unsigned i = 0; i < 100; i++) {
        int fd = dial(p->path);
        (void)!send(fd, "flows\n", 6, MSG_NOSIGNAL);
        close(fd);
    }
    for (unsigned i = 0; i < 1000; i++) {
        int fd = dial(p->path);
        (void)!send(fd, "help\n", 5, MSG_NOSIGNAL);
        get(fd, "\n", text, 10);
        close(fd);
        if (strncmp(text, ".error", 6) != 0)
            break;
        poll(NULL, 0, 5);
    }
    assert_memory_equal(text, "command {", 9);
}

static void test_end_with_clients(void **state)
{
    struct place *p = *state;
    char text[64];
    start(p);
    int fd = dial(p->path);
    put(fd, "stat", 4);
    admin_free(&p->rig.admin);
    assert_int_equal(get(fd, NULL, text, sizeof(text)), 0);
    close(fd);
    assert_int_equal(dial(p->path), -1);
}

static void test_no_memory(void **state)
{
#ifdef HOLDFAST_FAULTS
    struct place *p = *state;
    mem_fail_at(1);
    assert_int_equal(admin_listen(p->rig.admin, p->path, p->used), ERR_NOMEM);
    mem_fail_at(0);
    start(p);
#else
    (void)state;
    skip();
#endif
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, open_place, close_place)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_permissions),
        TEST(test_stale_socket),
        TEST(test_living_socket),
        TEST(test_living_socket_with_a_full_line),
        TEST(test_bad_paths),
        TEST(test_foreign_socket_stays),
        cmocka_unit_test(test_default_path),
        TEST(test_framing),
        TEST(test_several_at_once),
        TEST(test_odd_lines),
        TEST(test_giant_line),
        TEST(test_too_many_clients),
        TEST(test_slow_client),
        TEST(test_stuck_command),
        TEST(test_gone_client),
        TEST(test_end_with_clients),
        TEST(test_no_memory),
    };
    return cmocka_run_group_tests_name("admin_control", tests, NULL, NULL);
}
