/* SPDX-License-Identifier: Apache-2.0 */
/* The daemon's end: its socket, the question, the rows of the answer. */
#include <errno.h>
#include <grp.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include "admin/wire.h"
#include "base/buf.h"
#include "ctl/ctl_int.h"

#define COMMAND_MAX 1024
#define READ_BYTES  65536
#define ANSWER_MAX  (64u << 20) /* bytes of one line */

const char *ctl_default_path(char *path, size_t cap)
{
    const char *user = getenv("XDG_RUNTIME_DIR");
    if (geteuid() != 0 && user != NULL && user[0] == '/') {
        int n = snprintf(path, cap, "%s/" ADMIN_USER_NAME, user);
        if (n > 0 && (size_t)n < cap && access(path, F_OK) == 0)
            return path;
    }
    snprintf(path, cap, "%s", ADMIN_SYSTEM_PATH);
    return path;
}

/* --- what can go wrong --- */

/* The group that may write there: that of the socket, or of its folder where that hides it. */
static void put_group(const char *path, char *group, size_t cap)
{
    char folder[256];
    struct stat st;
    const char *end = strrchr(path, '/');
    snprintf(folder, sizeof(folder), "%.*s", end != NULL ? (int)(end - path) : 1,
             end != NULL ? path : ".");
    snprintf(group, cap, "holdfast");
    if (stat(path, &st) != 0 && stat(folder, &st) != 0)
        return;
    const struct group *g = getgrgid(st.st_gid);
    if (g != NULL)
        snprintf(group, cap, "%s", g->gr_name);
    else
        snprintf(group, cap, "%u", (unsigned)st.st_gid);
}

static int no_daemon(const char *path, int err, char *why)
{
    char group[64];
    if (err == ENOENT || err == ECONNREFUSED || err == ENOTDIR) {
        snprintf(why, CTL_WHY_MAX, "the daemon is not running: nobody listens at %s", path);
    } else if (err == EACCES || err == EPERM) {
        put_group(path, group, sizeof(group));
        snprintf(why, CTL_WHY_MAX,
                 "you are not allowed to write to %s: be root or a member of group %s", path,
                 group);
    } else if (err == EAGAIN) {
        snprintf(why, CTL_WHY_MAX, "the daemon at %s does not answer", path);
    } else if (err == ECONNRESET || err == EPIPE) {
        snprintf(why, CTL_WHY_MAX, "the daemon at %s has ended before it has answered", path);
    } else {
        snprintf(why, CTL_WHY_MAX, "%s: %s", path, strerror(err));
    }
    return CTL_NO_DAEMON;
}

/* --- the socket --- */

/* 0 or an error of errno: EAGAIN after too long a time, EINTR when the user has had enough. */
static int wait_for(const struct ctl *ctl, int fd, short events, int timeout_ms)
{
    struct pollfd fds[2] = {{.fd = fd, .events = events}, {.fd = ctl->stop, .events = POLLIN}};
    for (;;) {
        int n = poll(fds, 2, timeout_ms);
        if (n < 0 && errno != EINTR)
            return errno;
        if (n == 0)
            return EAGAIN;
        if (n > 0)
            return fds[1].revents != 0 ? EINTR : 0;
    }
}

bool ctl_sleep(const struct ctl *ctl, uint64_t ms)
{
    return wait_for(ctl, -1, 0, ms < INT32_MAX ? (int)ms : INT32_MAX) == EAGAIN;
}

/* The descriptor, or -1 with errno. A daemon whose line is full has EAGAIN. */
static int open_socket(const char *path)
{
    struct sockaddr_un sa = {.sun_family = AF_UNIX};
    size_t len = strlen(path);
    if (len >= sizeof(sa.sun_path)) {
        errno = ENAMETOOLONG;
        return -1;
    }
    memcpy(sa.sun_path, path, len);
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0 || connect(fd, (const struct sockaddr *)(const void *)&sa, sizeof(sa)) == 0)
        return fd;
    int err = errno;
    close(fd);
    errno = err;
    return -1;
}

static int send_all(const struct ctl *ctl, int fd, struct slice bytes)
{
    size_t sent = 0;
    while (sent < bytes.len) {
        ssize_t n = send(fd, bytes.ptr + sent, bytes.len - sent, MSG_NOSIGNAL);
        if (n < 0 && errno == EAGAIN) {
            int err = wait_for(ctl, fd, POLLOUT, ctl->timeout_ms);
            if (err != 0)
                return err;
        } else if (n < 0 && errno != EINTR) {
            return errno;
        }
        sent += n > 0 ? (size_t)n : 0;
    }
    return 0;
}

/* --- the answer --- */

struct reader {
    char *bytes;
    size_t len, cap, at; /* at: where the next line begins */
};

/* The next line, with NUL in the place of its end; NULL with *err. */
static char *next_line(const struct ctl *ctl, int fd, struct reader *r, int *err)
{
    for (size_t looked = 0;;) {
        char *begin = r->bytes + r->at;
        char *end = memchr(begin + looked, '\n', r->len - r->at - looked);
        if (end != NULL) {
            *end = '\0';
            r->at = (size_t)(end + 1 - r->bytes);
            return begin;
        }
        looked = r->len - r->at;
        memmove(r->bytes, begin, looked);
        r->at = 0;
        r->len = looked;
        if (r->cap - r->len < READ_BYTES && r->cap < ANSWER_MAX)
            r->bytes = ctl_grow(r->bytes, r->cap *= 2);
        ssize_t n = recv(fd, r->bytes + r->len, r->cap - r->len, 0);
        if (n < 0 && errno == EAGAIN && (*err = wait_for(ctl, fd, POLLIN, ctl->timeout_ms)) != 0)
            return NULL;
        if (n == 0 || (n < 0 && errno != EAGAIN && errno != EINTR)) {
            *err = n == 0 ? ECONNRESET : errno;
            return NULL;
        }
        r->len += n > 0 ? (size_t)n : 0;
    }
}

/* A line that begins with a dot is the last one. */
static int end_of(const char *line, char *why)
{
    if (strcmp(line, ADMIN_END_OK) == 0)
        return CTL_DONE;
    bool is_usage = strncmp(line, ADMIN_END_USAGE " ", sizeof(ADMIN_END_USAGE)) == 0;
    const char *text = strchr(line, ' ');
    snprintf(why, CTL_WHY_MAX, "%s", text != NULL ? text + 1 : line);
    return is_usage ? CTL_USAGE : CTL_REFUSED;
}

static bool give_row(char *line, ctl_row_fn *row, void *user)
{
    char *blank = strchr(line, ' ');
    if (blank == NULL)
        return false;
    *blank = '\0';
    json_t *object = json_loads(blank + 1, JSON_ALLOW_NUL, NULL);
    bool ok = json_is_object(object);
    if (ok)
        row(user, line, object);
    json_decref(object);
    return ok;
}

static int read_answer(const struct ctl *ctl, int fd, ctl_row_fn *row, void *user, char *why)
{
    struct reader r = {.bytes = ctl_alloc(2 * READ_BYTES), .cap = 2 * READ_BYTES};
    int status = -1, err = 0;
    while (status < 0) {
        char *line = next_line(ctl, fd, &r, &err);
        if (line == NULL) {
            status = no_daemon(ctl->path, err, why);
        } else if (line[0] == '.') {
            status = end_of(line, why);
        } else if (!give_row(line, row, user)) {
            snprintf(why, CTL_WHY_MAX, "the daemon at %s is of another version", ctl->path);
            status = CTL_NO_DAEMON;
        }
    }
    mem_free(r.bytes);
    return status;
}

/* False: too long, or with control characters. */
static bool write_command(struct buf *b, unsigned n, const char *const *words)
{
    for (unsigned i = 0; i < n; i++) {
        for (const char *c = words[i]; *c != '\0'; c++)
            if ((unsigned char)*c < 0x20 || *c == 0x7f)
                return false;
        buf_str(b, words[i]);
        buf_char(b, '\t');
    }
    buf_char(b, '\n');
    return !b->overflow;
}

int ctl_ask(const struct ctl *ctl, unsigned n, const char *const *words, ctl_row_fn *row,
            void *user, char *why)
{
    char text[COMMAND_MAX + 1];
    struct buf b;
    buf_init(&b, text, sizeof(text));
    if (!write_command(&b, n, words)) {
        snprintf(why, CTL_WHY_MAX, "the command is too long, or holds a control character");
        return CTL_USAGE;
    }
    int fd = open_socket(ctl->path);
    if (fd < 0)
        return no_daemon(ctl->path, errno, why);
    /* Where the daemon refuses at once, it may close before it was asked: its line says why. */
    int err = send_all(ctl, fd, buf_get(&b));
    int status = err == 0 || err == EPIPE || err == ECONNRESET
                     ? read_answer(ctl, fd, row, user, why)
                     : no_daemon(ctl->path, err, why);
    close(fd);
    return status;
}
