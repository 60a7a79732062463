/* SPDX-License-Identifier: Apache-2.0 */
/* Accepting and opening of streams. */
#include <sys/resource.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/event.h"
#include "net/listener_int.h"
#include "net/tls_int.h"

#define ACCEPTS_PER_TURN 64
#define ACCEPT_PAUSE_MS  100
#define FILES_KEPT       32   /* descriptors that accepting leaves for what we open ourselves */
#define BACKLOG          4096 /* the kernel cuts it to net.core.somaxconn */

#ifndef IP_BIND_ADDRESS_NO_PORT
#define IP_BIND_ADDRESS_NO_PORT 24
#endif

static void on_acceptable(uv_poll_t *poll, int status, int events);

static void accept_again(uv_timer_t *timer)
{
    struct net_listener *l = timer->data;
    uv_poll_start(&l->poll, UV_READABLE, on_acceptable);
}

static void accept_pause(struct net_listener *l)
{
    counter_inc(l->counters, CTR_ACCEPT_PAUSED);
    EVENT_LOG(EV_ACCEPT_PAUSED, LF_ADDR("address", &l->local));
    uv_poll_stop(&l->poll);
    uv_timer_start(&l->pause, accept_again, ACCEPT_PAUSE_MS, 0);
}

static void accepted(struct net_listener *l, int fd, const union net_sockaddr *from)
{
    struct addr remote, local = l->local;
    struct net_stream *s;
    if (addr_from_sockaddr(&from->sa, &remote) != 0 ||
        (l->wildcard && net_sock_local(fd, &local) != 0) ||
        (l->admit != NULL && !l->admit(l->user, &remote, &local)) ||
        net_stream_make(l->loop, fd, STREAM_OPEN, &s) != 0) {
        close(fd);
        return;
    }
    if (l->tls != NULL) {
        s->state = STREAM_SHAKING;
        tls_shake_accept(l, s, &remote, &local);
        return;
    }
    l->on_accept(l->user, s, &remote, &local);
    if (s->state == STREAM_OPEN)
        net_stream_watch(s);
}

static void on_acceptable(uv_poll_t *poll, int status, int events)
{
    struct net_listener *l = poll->data;
    (void)events;
    if (status < 0) {
        accept_pause(l);
        return;
    }
    for (unsigned i = 0; i < ACCEPTS_PER_TURN && !l->closed; i++) {
        union net_sockaddr from;
        socklen_t len = sizeof(from);
        int fd = accept4(l->fd, &from.sa, &len, SOCK_NONBLOCK | SOCK_CLOEXEC);
        if (fd >= l->fd_end) {
            close(fd);
            accept_pause(l);
            return;
        }
        if (fd >= 0) {
            accepted(l, fd, &from);
            continue;
        }
        if (errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM)
            accept_pause(l);
        if (errno != EINTR && errno != ECONNABORTED)
            return;
    }
}

/* The lowest free number is what accept4 returns, so a high one tells that few are left. They are
 * for connections that we open, for look-ups and files: a flood of callers must not keep us from
 * reaching our phones. */
static int first_kept_descriptor(void)
{
    struct rlimit lim;
    if (getrlimit(RLIMIT_NOFILE, &lim) != 0 || lim.rlim_cur > INT_MAX)
        return INT_MAX;
    rlim_t kept = lim.rlim_cur / 8 < FILES_KEPT ? lim.rlim_cur / 8 : FILES_KEPT;
    return (int)(lim.rlim_cur - kept);
}

static int listen_socket(struct net_listener *l, const struct addr *local,
                         const struct net_sockopt *opt)
{
    int fd = net_socket(net_af(local), SOCK_STREAM);
    if (fd < 0)
        return fd;
    net_apply_tcp(fd, net_af(local), opt);
    int rc = net_bind(fd, local, SOCK_STREAM);
    if (rc == 0)
        rc = net_sock_local(fd, &l->local);
    if (rc == 0 && listen(fd, BACKLOG) != 0)
        rc = -errno;
    if (rc == 0)
        rc = uv_poll_init_socket(&l->loop->uv, &l->poll, fd);
    if (rc != 0) {
        close(fd);
        return rc;
    }
    l->fd = fd;
    l->fd_end = first_kept_descriptor();
    return 0;
}

int net_listener_open(struct net_loop *loop, const struct addr *local,
                      const struct net_sockopt *opt, bool exclusive, struct counters *counters,
                      net_accept_fn *on_accept, void *user, struct net_listener **out)
{
    if (net_rx_get(loop) == NULL)
        return ERR_NOMEM;
    int rc = exclusive ? net_probe(local, SOCK_STREAM) : 0;
    if (rc != 0)
        return rc;
    struct net_listener *l = mem_zalloc(sizeof(*l));
    if (l == NULL)
        return ERR_NOMEM;
    l->loop = loop;
    l->counters = counters;
    l->on_accept = on_accept;
    l->user = user;
    l->wildcard = addr_is_any(local);
    rc = listen_socket(l, local, opt);
    if (rc != 0) {
        mem_free(l);
        return rc;
    }
    uv_timer_init(&loop->uv, &l->pause);
    l->poll.data = l->pause.data = l;
    l->handles = 2;
    uv_poll_start(&l->poll, UV_READABLE, on_acceptable);
    *out = l;
    return 0;
}

static void on_uv_closed(uv_handle_t *handle)
{
    struct net_listener *l = handle->data;
    if (--l->handles == 0)
        mem_free(l);
}

void net_listener_close(struct net_listener **listener)
{
    struct net_listener *l = *listener;
    if (l == NULL)
        return;
    *listener = NULL;
    l->closed = true;
    tls_shakes_drop(l->loop, l);
    net_tls_release(&l->tls);
    uv_close((uv_handle_t *)&l->poll, on_uv_closed);
    uv_close((uv_handle_t *)&l->pause, on_uv_closed);
    close(l->fd);
}

void net_listener_set_admit(struct net_listener *l, net_admit_fn *admit)
{
    l->admit = admit;
}

void net_listener_local(const struct net_listener *l, struct addr *out)
{
    *out = l->local;
}

void net_listener_set_opt(struct net_listener *l, const struct net_sockopt *opt)
{
    net_apply_tcp(l->fd, net_af(&l->local), opt);
}

void net_listener_set_tls(struct net_listener *l, struct net_tls *tls, uint32_t timeout_ms,
                          unsigned max, net_refused_fn *on_refused)
{
    struct net_tls *before = l->tls;
    l->tls = tls != NULL ? net_tls_hold(tls) : NULL;
    l->tls_timeout_ms = timeout_ms;
    l->tls_max = max < 1 ? 1 : max < TLS_SHAKES_MAX ? max : TLS_SHAKES_MAX;
    l->on_refused = on_refused;
    net_tls_release(&before);
}

static int connect_socket(const struct addr *local, const struct addr *remote,
                          const struct net_sockopt *opt)
{
    int fd = net_socket(net_af(remote), SOCK_STREAM);
    if (fd < 0)
        return fd;
    net_apply_tcp(fd, net_af(remote), opt);
    union net_sockaddr sa;
    size_t len;
    int rc = 0;
    if (local->family != ADDR_NONE) {
        struct addr from = *local;
        from.port = 0;
        int one = 1;
        (void)setsockopt(fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &one, sizeof(one));
        len = addr_to_sockaddr(&from, &sa.sa);
        rc = bind(fd, &sa.sa, (socklen_t)len) == 0 ? 0 : -errno;
    }
    len = addr_to_sockaddr(remote, &sa.sa);
    if (rc == 0 && connect(fd, &sa.sa, (socklen_t)len) != 0 && errno != EINPROGRESS)
        rc = -errno;
    if (rc != 0) {
        close(fd);
        return rc;
    }
    return fd;
}

/* Kept in order of the deadline; timeouts are nearly always equal, so the place is the end. */
void net_stream_wait_until(struct net_stream *s, uint64_t deadline)
{
    struct net_loop *loop = stream_loop(s);
    struct list *at = &loop->connecting;
    s->deadline = deadline;
    while (at->prev != &loop->connecting &&
           container_of(at->prev, struct net_stream, node)->deadline > deadline)
        at = at->prev;
    list_insert_before(at, &s->node);
    if (loop->connecting.next == &s->node)
        net_connect_alarm(loop, deadline);
}

int net_stream_open(struct net_loop *loop, const struct addr *local, const struct addr *remote,
                    const struct net_sockopt *opt, uint32_t timeout_ms,
                    const struct net_tls_client *tls, const struct net_stream_events *events,
                    void *user, struct net_stream **out)
{
    int fd = connect_socket(local, remote, opt);
    if (fd < 0)
        return fd;
    struct net_stream *s;
    int rc = net_stream_make(loop, fd, STREAM_CONNECTING, &s);
    if (rc != 0) {
        close(fd);
        return rc;
    }
    rc = tls != NULL ? tls_shake_open(s, tls, remote) : 0;
    if (rc != 0) {
        net_stream_close(&s, true);
        return rc;
    }
    net_stream_set(s, events, user);
    net_stream_wait_until(s, net_now(loop) + timeout_ms);
    net_stream_watch(s);
    *out = s;
    return 0;
}
