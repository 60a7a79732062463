/* SPDX-License-Identifier: Apache-2.0 */
/* The control socket: a thread that takes clients in, and one for each client, so that a command
 * that waits keeps nobody else waiting. A client's next command is read when it has taken the
 * answer to the one before; rows leave while the command runs, so that little is kept of them. */
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include "admin/admin_int.h"
#include "base/alloc.h"
#include "base/log.h"

#define ACCEPT_PAUSE_MS 1000          /* without descriptors */
#define OUT_BYTES       (64u << 10)   /* sent together */
#define ROW_BYTES       (1u << 20)    /* of one row as JSON */
#define STACK_BYTES     (1024u << 10) /* of a client's thread */
#define END_MAX         (ADMIN_WHY_MAX + 16)
#define FROM_MAX        40

enum client_state { CLIENT_FREE, CLIENT_SERVED, CLIENT_ENDED };

struct client {
    struct admin_control *control;
    _Atomic int state; /* enum client_state; ENDED: the thread can be joined */
    pthread_t thread;
    /* of the thread */
    int fd;
    char from[FROM_MAX]; /* who it is */
    char in[ADMIN_LINE_MAX + 1];
    size_t nin;
    struct admin_text out;
    bool is_gone;      /* nothing can be sent any more */
    uint64_t left_out; /* rows, of this answer */
};

struct admin_control {
    struct admin *admin;
    struct admin_socket socket;
    int stop; /* eventfd; never read */
    pthread_t thread;
    struct client clients[ADMIN_CLIENTS];
};

static uint64_t now_ms(void)
{
    return admin_now_us() / 1000;
}

/* --- one client: what goes out --- */

/* False: it took too long, there was an error, or the daemon ends. */
static bool wait_for(const struct client *c, short events, uint64_t deadline)
{
    struct pollfd fds[2] = {{.fd = c->fd, .events = events},
                            {.fd = c->control->stop, .events = POLLIN}};
    for (;;) {
        uint64_t now = now_ms();
        int n = now < deadline ? poll(fds, 2, (int)(deadline - now)) : 0;
        if (n < 0 && errno == EINTR)
            continue;
        return n > 0 && fds[1].revents == 0;
    }
}

static void send_out(struct client *c)
{
    size_t sent = 0;
    while (sent < c->out.len && !c->is_gone) {
        ssize_t n = send(c->fd, c->out.ptr + sent, c->out.len - sent, MSG_NOSIGNAL);
        if (n >= 0)
            sent += (size_t)n;
        else if (errno == EAGAIN)
            c->is_gone = !wait_for(c, POLLOUT, now_ms() + ADMIN_CLIENT_MS);
        else
            c->is_gone = errno != EINTR;
    }
    c->out.len = 0;
}

/* SET {"name":value,…} */
static void answer_row(void *user, const char *set, unsigned n, const struct field *fields)
{
    struct client *c = user;
    size_t before = c->out.len;
    if (c->is_gone)
        return;
    if (!admin_text_add(&c->out, set, strlen(set)) || !admin_text_add(&c->out, " ", 1) ||
        !json_row(&c->out, n, fields) || !admin_text_add(&c->out, "\n", 1)) {
        c->out.len = before;
        c->left_out++;
    }
    if (c->out.len >= OUT_BYTES)
        send_out(c);
}

static void answer_end(struct client *c, enum admin_status status, const char *why)
{
    char text[END_MAX];
    if (status == ADMIN_OK && c->left_out != 0)
        snprintf(text, sizeof(text), ADMIN_END_ERROR " %llu rows did not fit into the answer\n",
                 (unsigned long long)c->left_out);
    else if (status == ADMIN_OK)
        snprintf(text, sizeof(text), ADMIN_END_OK "\n");
    else
        snprintf(text, sizeof(text), "%s %s\n",
                 status == ADMIN_USAGE ? ADMIN_END_USAGE : ADMIN_END_ERROR, why);
    /* Without memory for that much the connection ends without an answer. */
    if (!admin_text_add(&c->out, text, strlen(text)))
        c->is_gone = true;
    send_out(c);
    admin_text_fini(&c->out);
    c->left_out = 0;
}

/* --- one client: what comes in --- */

/* `why` may show what the client has sent. */
static void clean(char *why)
{
    for (char *p = why; *p != '\0'; p++)
        if ((unsigned char)*p < 0x20 || *p == 0x7f)
            *p = '?';
}

static void run_line(struct client *c, struct slice line)
{
    char why[ADMIN_WHY_MAX];
    struct row_sink sink = {answer_row, c};
    if (line.len != 0 && line.ptr[line.len - 1] == '\r')
        line.len--;
    enum admin_status status = admin_command(c->control->admin, line, c->from, &sink, why);
    clean(why);
    answer_end(c, status, why);
}

/* Runs all whole lines that are there. False: no further one can come. */
static bool run_lines(struct client *c)
{
    ptrdiff_t end;
    while (!c->is_gone && (end = slice_chr(slice_of(c->in, c->nin), '\n')) >= 0) {
        run_line(c, slice_of(c->in, (size_t)end));
        c->nin -= (size_t)end + 1;
        memmove(c->in, c->in + end + 1, c->nin);
    }
    if (!c->is_gone && c->nin == sizeof(c->in)) {
        answer_end(c, ADMIN_USAGE, "the command is too long");
        return false;
    }
    return !c->is_gone;
}

/* What comes without an end of line is a command too, when nothing follows. */
static void serve(struct client *c)
{
    while (wait_for(c, POLLIN, now_ms() + ADMIN_CLIENT_MS)) {
        ssize_t n = recv(c->fd, c->in + c->nin, sizeof(c->in) - c->nin, 0);
        if (n < 0 && (errno == EAGAIN || errno == EINTR))
            continue;
        if (n == 0 && c->nin != 0)
            run_line(c, slice_of(c->in, c->nin));
        if (n <= 0)
            return;
        c->nin += (size_t)n;
        if (!run_lines(c))
            return;
    }
}

/* What it has sent and nobody reads would make the kernel reset the connection, and what we have
 * said be lost with it. */
static void close_client(struct client *c)
{
    char rest[4096];
    unsigned tries = 64;
    (void)!shutdown(c->fd, SHUT_WR);
    while (tries-- != 0 && recv(c->fd, rest, sizeof(rest), 0) > 0)
        continue;
    close(c->fd);
    admin_text_fini(&c->out);
}

static void *client_main(void *user)
{
    struct client *c = user;
    serve(c);
    close_client(c);
    atomic_store(&c->state, CLIENT_ENDED);
    return NULL;
}

/* --- who comes --- */

static struct client *free_place(struct admin_control *ctl)
{
    struct client *found = NULL;
    for (unsigned i = 0; i < ADMIN_CLIENTS; i++) {
        struct client *c = &ctl->clients[i];
        if (atomic_load(&c->state) == CLIENT_ENDED) {
            pthread_join(c->thread, NULL);
            atomic_store(&c->state, CLIENT_FREE);
        }
        if (found == NULL && atomic_load(&c->state) == CLIENT_FREE)
            found = c;
    }
    return found;
}

/* As the kernel knows it; user and process as numbers, since to look up a name may take long. */
static void note_peer(struct client *c)
{
    struct ucred peer = {0};
    socklen_t len = sizeof(peer);
    if (getsockopt(c->fd, SOL_SOCKET, SO_PEERCRED, &peer, &len) == 0)
        snprintf(c->from, sizeof(c->from), "uid %u pid %d", (unsigned)peer.uid, (int)peer.pid);
    else
        snprintf(c->from, sizeof(c->from), "not known");
}

static bool start_client(struct admin_control *ctl, struct client *c, int fd)
{
    pthread_attr_t attr;
    c->control = ctl;
    c->fd = fd;
    note_peer(c);
    c->nin = 0;
    c->out = (struct admin_text){.max = ROW_BYTES + OUT_BYTES};
    c->is_gone = false;
    c->left_out = 0;
    atomic_store(&c->state, CLIENT_SERVED);
    pthread_attr_init(&attr);
    pthread_attr_setstacksize(&attr, STACK_BYTES);
    int err = pthread_create(&c->thread, &attr, client_main, c);
    pthread_attr_destroy(&attr);
    if (err != 0)
        atomic_store(&c->state, CLIENT_FREE);
    return err == 0;
}

/* When to take in the next one: ms; 0: at once. */
static uint64_t take_in(struct admin_control *ctl)
{
    static const char full[] = ADMIN_END_ERROR " too many clients at a time\n";
    int fd = accept4(ctl->socket.fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (fd < 0)
        return errno == EAGAIN || errno == EINTR || errno == ECONNABORTED
                   ? 0
                   : now_ms() + ACCEPT_PAUSE_MS;
    struct client *c = free_place(ctl);
    if (c != NULL && start_client(ctl, c, fd))
        return 0;
    (void)!send(fd, full, sizeof(full) - 1, MSG_NOSIGNAL);
    close(fd);
    return 0;
}

static void *thread_main(void *user)
{
    struct admin_control *ctl = user;
    uint64_t from = 0; /* ms: accepting pauses until then */
    for (;;) {
        uint64_t now = now_ms();
        struct pollfd fds[2] = {{.fd = ctl->stop, .events = POLLIN},
                                {.fd = from <= now ? ctl->socket.fd : -1, .events = POLLIN}};
        if (poll(fds, 2, from <= now ? -1 : (int)(from - now)) < 0)
            continue;
        if (fds[0].revents != 0)
            return NULL;
        if (fds[1].revents != 0)
            from = take_in(ctl);
    }
}

static int start(struct admin *a, const char *path)
{
    struct admin_control *ctl = mem_zalloc(sizeof(*ctl));
    if (ctl == NULL)
        return ERR_NOMEM;
    ctl->admin = a;
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

/* A command under way is waited for: it ends with the step that its workers are at. */
void admin_control_close(struct admin_control **control)
{
    struct admin_control *ctl = *control;
    uint64_t one = 1;
    atomic_store(&ctl->admin->is_ending, true);
    (void)!write(ctl->stop, &one, sizeof(one));
    pthread_join(ctl->thread, NULL);
    for (unsigned i = 0; i < ADMIN_CLIENTS; i++)
        if (atomic_load(&ctl->clients[i].state) != CLIENT_FREE)
            pthread_join(ctl->clients[i].thread, NULL);
    admin_socket_close(&ctl->socket);
    close(ctl->stop);
    mem_free(ctl);
    *control = NULL;
}
