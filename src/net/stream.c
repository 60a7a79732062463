/* SPDX-License-Identifier: Apache-2.0 */
#include "net/stream.h"

#include <unistd.h>

#include "base/alloc.h"
#include "net/tls_int.h"

#define DEFAULT_MAX_QUEUE (1u << 20)
/* recv calls for one readiness event, so that one busy peer does not starve the others. */
#define MAX_READS   4
#define MAX_RECORDS 1024                           /* the same for records of TLS, */
#define MAX_QUIET   16                             /* those without data, such as new keys, */
#define MAX_BYTES   (MAX_READS * NET_DATAGRAM_MAX) /* and for what is in them */

static void on_poll(uv_poll_t *poll, int status, int events);

int net_stream_make(struct net_loop *loop, int fd, enum stream_state state, struct net_stream **out)
{
    if (net_rx_get(loop) == NULL)
        return ERR_NOMEM;
    struct net_stream *s = mem_zalloc(sizeof(*s));
    if (s == NULL)
        return ERR_NOMEM;
    int rc = uv_poll_init_socket(&loop->uv, &s->poll, fd);
    if (rc != 0) {
        mem_free(s);
        return rc;
    }
    s->poll.data = s;
    s->fd = fd;
    s->state = (uint8_t)state;
    s->max_queue = DEFAULT_MAX_QUEUE;
    list_init(&s->node);
    *out = s;
    return 0;
}

void net_stream_watch(struct net_stream *s)
{
    int mask = 0;
    if (s->state == STREAM_CONNECTING)
        mask = UV_WRITABLE;
    else if (s->state == STREAM_SHAKING)
        mask = tls_shake_is_due(s) ? 0 : s->blocked ? UV_WRITABLE : UV_READABLE;
    else if (s->state == STREAM_OPEN)
        mask = (s->paused ? 0 : UV_READABLE) | (s->blocked ? UV_WRITABLE : 0);
    if (mask == s->mask)
        return;
    s->mask = (uint8_t)mask;
    if (mask == 0)
        uv_poll_stop(&s->poll);
    else
        uv_poll_start(&s->poll, mask, on_poll);
}

void net_stream_set(struct net_stream *s, const struct net_stream_events *events, void *user)
{
    s->ev = events;
    s->user = user;
}

void net_stream_fail(struct net_stream *s, int err)
{
    if (s->state >= STREAM_ENDED)
        return;
    s->state = STREAM_ENDED;
    s->err = err;
    net_stream_watch(s);
    list_remove(&s->node);
    list_push(&stream_loop(s)->ended, &s->node);
}

void net_stream_tell_end(struct net_stream *s, int err)
{
    s->state = STREAM_ENDED;
    s->err = err;
    list_remove(&s->node);
    net_stream_watch(s);
    net_stream_drop_out(s);
    if (s->ev != NULL)
        s->ev->on_end(s->user, err);
}

/* What the peer sent before the end is handed out first: a response may stand before a reset. */
void net_streams_end(struct net_loop *loop)
{
    struct list now;
    list_init(&now);
    list_splice(&now, &loop->ended);
    while (!list_is_empty(&now)) {
        struct net_stream *s = container_of(now.next, struct net_stream, node);
        list_remove(&s->node);
        int err = s->err;
        s->paused = false; /* there is no later for what waits */
        (void)net_stream_read(s);
        if (s->state != STREAM_CLOSED)
            net_stream_tell_end(s, err);
    }
}

void net_streams_expire(struct net_loop *loop)
{
    uint64_t now = net_now(loop);
    while (!list_is_empty(&loop->connecting)) {
        struct net_stream *s = container_of(loop->connecting.next, struct net_stream, node);
        if (s->deadline > now) {
            net_connect_alarm(loop, s->deadline);
            return;
        }
        if (s->state == STREAM_SHAKING)
            tls_shake_expired(s);
        else
            net_stream_tell_end(s, -ETIMEDOUT);
    }
}

/* > 0 bytes; 0: there are none now; ERR_CLOSED, -errno. */
static ssize_t plain_read(struct net_stream *s, char *buf, size_t cap)
{
    ssize_t n;
    do {
        n = recv(s->fd, buf, cap, MSG_DONTWAIT);
    } while (n < 0 && errno == EINTR);
    if (n > 0)
        return n;
    if (n == 0)
        return ERR_CLOSED;
    return errno == EAGAIN || errno == EWOULDBLOCK ? 0 : -errno;
}

static bool plain_read_all(struct net_stream *s, char *buf)
{
    for (unsigned i = 0; i < MAX_READS && s->state != STREAM_CLOSED; i++) {
        ssize_t n = plain_read(s, buf, NET_DATAGRAM_MAX);
        if (n < 0) {
            s->err = (int)n;
            return false;
        }
        if (n == 0)
            break;
        if (s->ev != NULL)
            s->ev->on_data(s->user, buf, (size_t)n);
        if (s->state == STREAM_CLOSED || n < NET_DATAGRAM_MAX || s->paused)
            break;
        stream_loop(s)->is_behind = true;
    }
    return s->state != STREAM_CLOSED;
}

/* One record at a time. What waits to be written may have waited for something to be read. */
static bool tls_read_all(struct net_stream *s, char *buf)
{
    size_t total = 0;
    unsigned quiet = 0;
    for (unsigned i = 0; i < MAX_RECORDS && total < MAX_BYTES && s->state != STREAM_CLOSED; i++) {
        ssize_t n = tls_conn_read(s, buf, NET_DATAGRAM_MAX);
        if (n == -EAGAIN && ++quiet < MAX_QUIET)
            continue;
        if (n == -EAGAIN)
            break;
        if (n < 0) {
            s->err = (int)n;
            return false;
        }
        if (n == 0)
            break;
        total += (size_t)n;
        if (s->ev != NULL)
            s->ev->on_data(s->user, buf, (size_t)n);
        if (s->paused)
            break;
    }
    if (s->state == STREAM_CLOSED)
        return false;
    if (total >= NET_DATAGRAM_MAX)
        stream_loop(s)->is_behind = true;
    if (s->state == STREAM_OPEN) {
        if (s->out != NULL && !s->blocked && !list_is_linked(&s->node))
            list_push(&stream_loop(s)->dirty, &s->node);
        net_stream_watch(s);
    }
    return true;
}

bool net_stream_read(struct net_stream *s)
{
    char *buf = stream_loop(s)->rx->bytes[0];
    return s->tls != NULL ? tls_read_all(s, buf) : plain_read_all(s, buf);
}

static int socket_error(const struct net_stream *s)
{
    int err = 0;
    socklen_t len = sizeof(err);
    if (getsockopt(s->fd, SOL_SOCKET, SO_ERROR, &err, &len) != 0)
        return -errno;
    return -err;
}

static void on_connected(struct net_stream *s)
{
    int err = socket_error(s);
    if (err != 0) {
        net_stream_tell_end(s, err);
        return;
    }
    if (s->tls != NULL) {
        tls_shake_connected(s);
        return;
    }
    list_remove(&s->node);
    s->state = STREAM_OPEN;
    if (s->out != NULL)
        list_push(&stream_loop(s)->dirty, &s->node);
    net_stream_watch(s);
    s->ev->on_open(s->user);
}

/* libuv reports an error event without saying which, and stops polling. */
static void on_poll_error(struct net_stream *s)
{
    s->mask = 0;
    if (s->state == STREAM_CONNECTING) {
        int err = socket_error(s);
        net_stream_tell_end(s, err != 0 ? err : -EIO);
        return;
    }
    if (s->state == STREAM_SHAKING) {
        tls_shake_event(s); /* reading tells what it is */
        return;
    }
    int err = 0;
    if (!net_stream_read(s))
        err = s->err;
    else
        err = socket_error(s);
    if (s->state == STREAM_CLOSED)
        return;
    if (err != 0)
        net_stream_tell_end(s, err);
    else
        net_stream_watch(s);
}

static void on_poll(uv_poll_t *poll, int status, int events)
{
    struct net_stream *s = poll->data;
    if (s->state >= STREAM_ENDED)
        return;
    if (status < 0) {
        on_poll_error(s);
        return;
    }
    if (s->state == STREAM_CONNECTING) {
        on_connected(s);
        return;
    }
    if (s->state == STREAM_SHAKING) {
        tls_shake_event(s);
        return;
    }
    if ((events & UV_WRITABLE) != 0) {
        s->blocked = false;
        net_stream_watch(s);
        if (!list_is_linked(&s->node))
            list_push(&stream_loop(s)->dirty, &s->node);
    }
    /* Reading TLS may have been what waited to write. */
    bool is_readable = (events & (s->tls != NULL ? UV_READABLE | UV_WRITABLE : UV_READABLE)) != 0;
    if (is_readable && !s->paused && !net_stream_read(s) && s->state == STREAM_OPEN)
        net_stream_tell_end(s, s->err);
}

static void on_uv_closed(uv_handle_t *handle)
{
    mem_free(handle->data);
}

void net_stream_close(struct net_stream **stream, bool abort)
{
    struct net_stream *s = *stream;
    if (s == NULL)
        return;
    *stream = NULL;
    if (s->state == STREAM_OPEN && !abort && s->out != NULL && !s->blocked)
        (void)!net_stream_try_send(s);
    if (s->tls != NULL && !abort && s->state != STREAM_CONNECTING && s->out == NULL)
        tls_conn_bye(s);
    if (abort || (s->state == STREAM_ENDED && s->err != ERR_CLOSED)) {
        struct linger none = {1, 0};
        (void)setsockopt(s->fd, SOL_SOCKET, SO_LINGER, &none, sizeof(none));
    }
    s->state = STREAM_CLOSED;
    list_remove(&s->node);
    net_stream_drop_out(s);
    tls_conn_free(s);
    uv_close((uv_handle_t *)&s->poll, on_uv_closed);
    close(s->fd);
}

void net_stream_read_pause(struct net_stream *s, bool pause)
{
    s->paused = pause;
    net_stream_watch(s);
}

void net_stream_set_max(struct net_stream *s, size_t max_queue)
{
    s->max_queue = max_queue < UINT32_MAX ? (uint32_t)max_queue : UINT32_MAX;
}
