/* SPDX-License-Identifier: Apache-2.0 */
/* The control socket: one thread that serves some clients by poll(2). While a worker is asked the
 * others wait, at most ADMIN_JOB_MS. A client's next command is read when it has taken the answer
 * to the one before, so that an answer is all that is kept for it. */
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include "admin/admin_int.h"
#include "base/alloc.h"
#include "base/log.h"

#define ACCEPT_PAUSE_MS 1000 /* without descriptors */
#define END_MAX         (ADMIN_WHY_MAX + 16)

struct client {
    int fd; /* -1: free */
    char in[ADMIN_LINE_MAX + 1];
    size_t nin;
    struct admin_text out;
    size_t sent;       /* of out */
    uint64_t deadline; /* ms */
    bool is_ending;    /* closed when out is sent */
};

struct admin_control {
    struct admin *admin;
    struct admin_socket socket;
    int stop; /* eventfd */
    pthread_t thread;
    uint64_t accept_from; /* ms */
    struct client clients[ADMIN_CLIENTS];
};

static uint64_t now_ms(void)
{
    return admin_now_us() / 1000;
}

static void close_client(struct client *c)
{
    close(c->fd);
    c->fd = -1;
    admin_text_fini(&c->out);
}

/* --- one answer --- */

static void answer_line(void *user, const char *text)
{
    struct admin_text *out = user;
    size_t len = strlen(text), dot = text[0] == '.', before = out->len;
    if (len + dot + 1 + END_MAX <= out->max - out->len && admin_text_add(out, ".", dot) &&
        admin_text_add(out, text, len) && admin_text_add(out, "\n", 1))
        return;
    out->len = before;
    out->left_out++;
}

/* False: no memory for as much as one line; the connection ends without an answer. */
static bool answer_end(struct client *c, enum admin_status status, const char *why)
{
    char text[END_MAX];
    if (status == ADMIN_OK && c->out.left_out != 0)
        snprintf(text, sizeof(text), ADMIN_END_ERROR " %llu lines did not fit into the answer\n",
                 (unsigned long long)c->out.left_out);
    else if (status == ADMIN_OK)
        snprintf(text, sizeof(text), ADMIN_END_OK "\n");
    else
        snprintf(text, sizeof(text), "%s %s\n",
                 status == ADMIN_USAGE ? ADMIN_END_USAGE : ADMIN_END_ERROR, why);
    return admin_text_add(&c->out, text, strlen(text));
}

static bool run_line(struct admin_control *ctl, struct client *c, struct slice line)
{
    char why[ADMIN_WHY_MAX];
    struct admin_sink sink = {answer_line, &c->out};
    if (line.len != 0 && line.ptr[line.len - 1] == '\r')
        line.len--;
    enum admin_status status = admin_command(ctl->admin, line, &sink, why);
    c->deadline = now_ms() + ADMIN_CLIENT_MS;
    return answer_end(c, status, why);
}

/* The next whole line, when there is one. */
static bool run_next(struct admin_control *ctl, struct client *c)
{
    ptrdiff_t end = slice_chr(slice_of(c->in, c->nin), '\n');
    if (end < 0 && c->nin == sizeof(c->in)) {
        c->is_ending = true;
        return answer_end(c, ADMIN_USAGE, "the command is too long");
    }
    if (end < 0)
        return true;
    bool ok = run_line(ctl, c, slice_of(c->in, (size_t)end));
    c->nin -= (size_t)end + 1;
    memmove(c->in, c->in + end + 1, c->nin);
    return ok;
}

/* --- one client --- */

/* False: to be closed. */
static bool on_readable(struct admin_control *ctl, struct client *c)
{
    ssize_t n = recv(c->fd, c->in + c->nin, sizeof(c->in) - c->nin, 0);
    if (n < 0)
        return errno == EAGAIN || errno == EINTR;
    if (n == 0) {
        c->is_ending = true; /* what came without an end of line is a command too */
        return c->nin != 0 && run_line(ctl, c, slice_of(c->in, c->nin));
    }
    c->nin += (size_t)n;
    return run_next(ctl, c);
}

/* Sends what there is and reads on where that was all; several commands may have come at once. */
static bool send_out(struct admin_control *ctl, struct client *c)
{
    while (c->out.len != 0) {
        ssize_t n = send(c->fd, c->out.ptr + c->sent, c->out.len - c->sent, MSG_NOSIGNAL);
        if (n < 0)
            return errno == EAGAIN || errno == EINTR;
        c->sent += (size_t)n;
        c->deadline = now_ms() + ADMIN_CLIENT_MS;
        if (c->sent < c->out.len)
            continue;
        admin_text_fini(&c->out);
        c->sent = 0;
        if (c->is_ending || !run_next(ctl, c))
            return false;
    }
    return true;
}

static void serve(struct admin_control *ctl, struct client *c, short events, uint64_t now)
{
    bool is_alive = now < c->deadline;
    if (is_alive && (events & (POLLIN | POLLHUP | POLLERR)) != 0 && c->out.len == 0)
        is_alive = on_readable(ctl, c);
    else if (is_alive && (events & POLLERR) != 0)
        is_alive = false;
    if (!is_alive || !send_out(ctl, c))
        close_client(c);
}

static void take_in(struct admin_control *ctl, uint64_t now)
{
    int fd = accept4(ctl->socket.fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (fd < 0) {
        if (errno != EAGAIN && errno != EINTR && errno != ECONNABORTED)
            ctl->accept_from = now + ACCEPT_PAUSE_MS;
        return;
    }
    for (unsigned i = 0; i < ADMIN_CLIENTS; i++) {
        struct client *c = &ctl->clients[i];
        if (c->fd >= 0)
            continue;
        *c = (struct client){.fd = fd, .deadline = now + ADMIN_CLIENT_MS};
        c->out.max = ADMIN_TEXT_MAX;
        return;
    }
    static const char full[] = ADMIN_END_ERROR " too many clients at a time\n";
    (void)!send(fd, full, sizeof(full) - 1, MSG_NOSIGNAL);
    close(fd);
}

/* --- the thread --- */

static int time_left(const struct admin_control *ctl, uint64_t now)
{
    uint64_t next = ctl->accept_from > now ? ctl->accept_from : UINT64_MAX;
    for (unsigned i = 0; i < ADMIN_CLIENTS; i++)
        if (ctl->clients[i].fd >= 0 && ctl->clients[i].deadline < next)
            next = ctl->clients[i].deadline;
    if (next == UINT64_MAX)
        return -1;
    return next > now ? (int)(next - now) : 0;
}

static void *thread_main(void *user)
{
    struct admin_control *ctl = user;
    struct pollfd fds[ADMIN_CLIENTS + 2];
    for (;;) {
        uint64_t now = now_ms();
        fds[0] = (struct pollfd){.fd = ctl->stop, .events = POLLIN};
        fds[1] =
            (struct pollfd){.fd = ctl->accept_from <= now ? ctl->socket.fd : -1, .events = POLLIN};
        for (unsigned i = 0; i < ADMIN_CLIENTS; i++) {
            const struct client *c = &ctl->clients[i];
            fds[i + 2] = (struct pollfd){.fd = c->fd, .events = c->out.len != 0 ? POLLOUT : POLLIN};
        }
        if (poll(fds, ADMIN_CLIENTS + 2, time_left(ctl, now)) < 0)
            continue;
        if (fds[0].revents != 0)
            return NULL;
        now = now_ms();
        for (unsigned i = 0; i < ADMIN_CLIENTS; i++)
            if (ctl->clients[i].fd >= 0)
                serve(ctl, &ctl->clients[i], fds[i + 2].revents, now);
        if (fds[1].revents != 0)
            take_in(ctl, now);
    }
}

static int start(struct admin *a, const char *path)
{
    struct admin_control *ctl = mem_zalloc(sizeof(*ctl));
    if (ctl == NULL)
        return ERR_NOMEM;
    ctl->admin = a;
    for (unsigned i = 0; i < ADMIN_CLIENTS; i++)
        ctl->clients[i].fd = -1;
    int err = admin_socket_open(&ctl->socket, path);
    if (err != 0) {
        mem_free(ctl);
        return err;
    }
    ctl->stop = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    err = ctl->stop >= 0 ? -pthread_create(&ctl->thread, NULL, thread_main, ctl) : -errno;
    if (err == 0) {
        a->control = ctl;
        return 0;
    }
    if (ctl->stop >= 0)
        close(ctl->stop);
    admin_socket_close(&ctl->socket);
    mem_free(ctl);
    return err;
}

int admin_listen(struct admin *a, const char *path, char *used)
{
    used[0] = '\0';
    if (path != NULL && path[0] != '\0') {
        if (!slice_cstr(slice_str(path), used, ADMIN_PATH_MAX))
            return ERR_LIMIT;
    } else if (!admin_default_path(used, ADMIN_PATH_MAX)) {
        return ERR_NOT_FOUND;
    }
    return start(a, used);
}

void admin_control_close(struct admin_control **control)
{
    struct admin_control *ctl = *control;
    uint64_t one = 1;
    (void)!write(ctl->stop, &one, sizeof(one));
    pthread_join(ctl->thread, NULL);
    for (unsigned i = 0; i < ADMIN_CLIENTS; i++)
        if (ctl->clients[i].fd >= 0)
            close_client(&ctl->clients[i]);
    admin_socket_close(&ctl->socket);
    close(ctl->stop);
    mem_free(ctl);
    *control = NULL;
}
