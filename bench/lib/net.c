/* SPDX-License-Identifier: Apache-2.0 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include "net.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <netinet/udp.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#define SOCKET_BUFFER (8 << 20)
#define OUT_LIMIT     (64U << 20) /* a stream whose peer reads nothing is given up here */

bool net_init(struct net *net)
{
    struct rlimit limit;

    memset(net, 0, sizeof(*net));
    if (getrlimit(RLIMIT_NOFILE, &limit) == 0) {
        limit.rlim_cur = limit.rlim_max;
        (void)setrlimit(RLIMIT_NOFILE, &limit);
    }
    net->datagrams = malloc((size_t)NET_BATCH * NET_RUN);
    net->epoll = epoll_create1(EPOLL_CLOEXEC);
    if (net->epoll < 0 || !net->datagrams) {
        perror("epoll");
        return false;
    }
    return true;
}

void net_fini(struct net *net)
{
    while (net->all) {
        struct endpoint *ep = net->all;

        net->all = ep->next;
        if (ep->fd >= 0)
            close(ep->fd);
        free(ep->in);
        free(ep->out);
        free(ep->queue);
        free(ep);
    }
    close(net->epoll);
    free(net->datagrams);
}

bool net_address_n(const char *text, size_t n, struct sockaddr_in *a)
{
    char host[32];
    const char *colon = memchr(text, ':', n);
    size_t host_len = colon ? (size_t)(colon - text) : n;
    unsigned long port = 5060;

    memset(a, 0, sizeof(*a));
    a->sin_family = AF_INET;
    if (host_len == 0 || host_len >= sizeof(host))
        return false;
    memcpy(host, text, host_len);
    host[host_len] = '\0';
    if (colon) {
        port = 0;
        for (const char *p = colon + 1; p < text + n; p++) {
            if (*p < '0' || *p > '9')
                return false;
            port = port * 10 + (unsigned long)(*p - '0');
            if (port > 65535)
                return false;
        }
    }
    a->sin_port = htons((uint16_t)port);
    return inet_pton(AF_INET, host, &a->sin_addr) == 1;
}

bool net_address(const char *text, struct sockaddr_in *a)
{
    return net_address_n(text, strlen(text), a);
}

bool net_same(const struct sockaddr_in *a, const struct sockaddr_in *b)
{
    return a->sin_addr.s_addr == b->sin_addr.s_addr && a->sin_port == b->sin_port;
}

void net_text(const struct sockaddr_in *a, char *buf, size_t cap)
{
    char host[INET_ADDRSTRLEN];

    inet_ntop(AF_INET, &a->sin_addr, host, sizeof(host));
    snprintf(buf, cap, "%s:%u", host, ntohs(a->sin_port));
}

static struct endpoint *fail(int fd, const char *what, const struct sockaddr_in *a)
{
    char where[32] = "";

    if (a)
        net_text(a, where, sizeof(where));
    fprintf(stderr, "%s %s: %s\n", what, where, strerror(errno));
    if (fd >= 0)
        close(fd);
    return NULL;
}

static void arm(struct net *net, struct endpoint *ep, int op, bool output)
{
    struct epoll_event ev = {.events = EPOLLIN, .data.ptr = ep};

    if (output)
        ev.events |= EPOLLOUT;
    (void)epoll_ctl(net->epoll, op, ep->fd, &ev);
    ep->blocked = output;
}

static struct endpoint *add(struct net *net, int fd, enum net_kind kind)
{
    struct endpoint *ep = calloc(1, sizeof(*ep));
    socklen_t len = sizeof(ep->local);

    if (!ep)
        return fail(fd, "memory", NULL);
    ep->fd = fd;
    ep->kind = kind;
    if (kind != NET_LISTEN) {
        ep->out_cap = NET_STREAM;
        ep->out = malloc(ep->out_cap);
    }
    if (kind == NET_TCP)
        ep->in = malloc(NET_STREAM);
    if (kind == NET_UDP)
        ep->queue = calloc(NET_BATCH, sizeof(*ep->queue));
    (void)getsockname(fd, (struct sockaddr *)&ep->local, &len);
    ep->next = net->all;
    net->all = ep;
    arm(net, ep, EPOLL_CTL_ADD, false);
    return ep;
}

static int make_socket(int type)
{
    int fd = socket(AF_INET, type | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    int on = 1, size = SOCKET_BUFFER;

    if (fd < 0)
        return -1;
    (void)setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
    if (type == SOCK_STREAM) {
        (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
        return fd;
    }
    /* A server may send datagrams of one size as one (UDP_SEGMENT); on loopback they stay that. */
    (void)setsockopt(fd, SOL_UDP, UDP_GRO, &on, sizeof(on));
    if (setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &size, sizeof(size)) < 0)
        (void)setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &size, sizeof(size));
    if (setsockopt(fd, SOL_SOCKET, SO_SNDBUFFORCE, &size, sizeof(size)) < 0)
        (void)setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &size, sizeof(size));
    return fd;
}

struct endpoint *net_udp(struct net *net, const struct sockaddr_in *local)
{
    int fd = make_socket(SOCK_DGRAM);

    if (fd < 0 || bind(fd, (const struct sockaddr *)local, sizeof(*local)) < 0)
        return fail(fd, "UDP bind", local);
    return add(net, fd, NET_UDP);
}

struct endpoint *net_listen(struct net *net, const struct sockaddr_in *local)
{
    int fd = make_socket(SOCK_STREAM);

    if (fd < 0 || bind(fd, (const struct sockaddr *)local, sizeof(*local)) < 0 ||
        listen(fd, 1024) < 0)
        return fail(fd, "TCP listen", local);
    return add(net, fd, NET_LISTEN);
}

struct endpoint *net_connect(struct net *net, const struct sockaddr_in *to)
{
    return net_connect_from(net, to, NULL);
}

struct endpoint *net_connect_from(struct net *net, const struct sockaddr_in *to,
                                  const struct sockaddr_in *from)
{
    int fd = make_socket(SOCK_STREAM);
    struct pollfd wait = {.fd = fd, .events = POLLOUT};
    int error = 0;
    socklen_t len = sizeof(error);
    struct endpoint *ep;

    if (fd < 0)
        return fail(fd, "socket", to);
    if (from && bind(fd, (const struct sockaddr *)from, sizeof(*from)) < 0)
        return fail(fd, "TCP bind", from);
    if (connect(fd, (const struct sockaddr *)to, sizeof(*to)) < 0) {
        if (errno != EINPROGRESS)
            return fail(fd, "connect", to);
        if (poll(&wait, 1, 5000) != 1) {
            errno = ETIMEDOUT;
            return fail(fd, "connect", to);
        }
        (void)getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &len);
        if (error) {
            errno = error;
            return fail(fd, "connect", to);
        }
    }
    ep = add(net, fd, NET_TCP);
    if (ep)
        ep->peer = *to;
    return ep;
}

struct endpoint *net_accept(struct net *net, struct endpoint *listener)
{
    struct sockaddr_in from;
    socklen_t len = sizeof(from);
    int on = 1;
    int fd = accept4(listener->fd, (struct sockaddr *)&from, &len, SOCK_NONBLOCK | SOCK_CLOEXEC);
    struct endpoint *ep;

    if (fd < 0)
        return NULL;
    (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
    ep = add(net, fd, NET_TCP);
    if (ep) {
        ep->peer = from;
        ep->role = listener->role;
        ep->index = listener->index;
    }
    return ep;
}

char *net_reserve(struct net *net, struct endpoint *ep)
{
    if (ep->dead)
        return NULL;
    if (ep->kind == NET_UDP && ep->queued == NET_BATCH)
        net_flush_one(net, ep);
    if (ep->out_cap - ep->out_len < NET_MESSAGE)
        net_flush_one(net, ep);
    if (ep->dead)
        return NULL;
    if (ep->out_cap - ep->out_len < NET_MESSAGE) {
        size_t cap = ep->out_cap * 2;
        char *bigger = cap <= OUT_LIMIT ? realloc(ep->out, cap) : NULL;

        if (!bigger)
            return NULL;
        ep->out = bigger;
        ep->out_cap = cap;
    }
    return ep->out + ep->out_len;
}

void net_commit(struct net *net, struct endpoint *ep, size_t len, const struct sockaddr_in *to)
{
    if (ep->kind == NET_UDP) {
        struct net_dgram *d = &ep->queue[ep->queued++];

        d->off = (uint32_t)ep->out_len;
        d->len = (uint32_t)len;
        d->to = *to;
    }
    ep->out_len += len;
    net->sent++;
    if (!ep->dirty) {
        ep->dirty = true;
        ep->next_dirty = net->dirty;
        net->dirty = ep;
    }
}

static void flush_udp(struct net *net, struct endpoint *ep)
{
    struct mmsghdr msg[NET_BATCH];
    struct iovec iov[NET_BATCH];
    unsigned done = 0;

    memset(msg, 0, sizeof(msg[0]) * ep->queued);
    for (unsigned i = 0; i < ep->queued; i++) {
        iov[i] = (struct iovec){ep->out + ep->queue[i].off, ep->queue[i].len};
        msg[i].msg_hdr.msg_iov = &iov[i];
        msg[i].msg_hdr.msg_iovlen = 1;
        msg[i].msg_hdr.msg_name = &ep->queue[i].to;
        msg[i].msg_hdr.msg_namelen = sizeof(ep->queue[i].to);
    }
    while (done < ep->queued) {
        int n = sendmmsg(ep->fd, msg + done, ep->queued - done, 0);

        if (n > 0) {
            done += (unsigned)n;
        } else if (errno == EAGAIN) {
            struct pollfd wait = {.fd = ep->fd, .events = POLLOUT};

            (void)poll(&wait, 1, 10);
        } else if (errno != EINTR) {
            net->send_failed++;
            done++;
        }
    }
    ep->queued = 0;
    ep->out_len = 0;
}

static void flush_tcp(struct net *net, struct endpoint *ep)
{
    size_t done = 0;

    while (done < ep->out_len) {
        ssize_t n = send(ep->fd, ep->out + done, ep->out_len - done, MSG_NOSIGNAL);

        if (n > 0) {
            done += (size_t)n;
        } else if (errno == EAGAIN) {
            break;
        } else if (errno != EINTR) {
            net->send_failed++;
            ep->dead = true;
            done = ep->out_len;
        }
    }
    memmove(ep->out, ep->out + done, ep->out_len - done);
    ep->out_len -= done;
    if (!ep->dead && ep->blocked != (ep->out_len > 0))
        arm(net, ep, EPOLL_CTL_MOD, ep->out_len > 0);
}

void net_flush_one(struct net *net, struct endpoint *ep)
{
    if (ep->dead)
        return;
    if (ep->kind == NET_UDP)
        flush_udp(net, ep);
    else
        flush_tcp(net, ep);
}

void net_flush(struct net *net)
{
    while (net->dirty) {
        struct endpoint *ep = net->dirty;

        net->dirty = ep->next_dirty;
        ep->dirty = false;
        if (!ep->blocked)
            net_flush_one(net, ep);
    }
}

static size_t run_size(struct msghdr *msg, size_t len)
{
    int size;

    for (struct cmsghdr *c = CMSG_FIRSTHDR(msg); c; c = CMSG_NXTHDR(msg, c)) {
        if (c->cmsg_level != SOL_UDP || c->cmsg_type != UDP_GRO)
            continue;
        memcpy(&size, CMSG_DATA(c), sizeof(size));
        if (size > 0)
            return (size_t)size;
    }
    return len;
}

unsigned net_recv_udp(struct net *net, struct endpoint *ep, struct net_run *runs)
{
    struct mmsghdr msg[NET_BATCH];
    struct iovec iov[NET_BATCH];
    union {
        char bytes[CMSG_SPACE(sizeof(int))];
        struct cmsghdr align;
    } control[NET_BATCH];
    int n;

    memset(msg, 0, sizeof(msg));
    for (unsigned i = 0; i < NET_BATCH; i++) {
        iov[i] = (struct iovec){net->datagrams + (size_t)i * NET_RUN, NET_RUN};
        msg[i].msg_hdr.msg_iov = &iov[i];
        msg[i].msg_hdr.msg_iovlen = 1;
        msg[i].msg_hdr.msg_name = &runs[i].from;
        msg[i].msg_hdr.msg_namelen = sizeof(runs[i].from);
        msg[i].msg_hdr.msg_control = &control[i];
        msg[i].msg_hdr.msg_controllen = sizeof(control[i]);
    }
    n = recvmmsg(ep->fd, msg, NET_BATCH, MSG_DONTWAIT, NULL);
    if (n <= 0)
        return 0;
    for (int i = 0; i < n; i++) {
        runs[i].len = msg[i].msg_len;
        runs[i].size = run_size(&msg[i].msg_hdr, msg[i].msg_len);
        net->received += runs[i].len != 0 ? (runs[i].len + runs[i].size - 1) / runs[i].size : 1;
    }
    return (unsigned)n;
}

ssize_t net_recv_tcp(struct net *net, struct endpoint *ep)
{
    ssize_t n = recv(ep->fd, ep->in + ep->in_len, NET_STREAM - ep->in_len, 0);

    if (n > 0) {
        ep->in_len += (size_t)n;
        return n;
    }
    if (n < 0 && (errno == EAGAIN || errno == EINTR))
        return 0;
    (void)epoll_ctl(net->epoll, EPOLL_CTL_DEL, ep->fd, NULL);
    ep->dead = true;
    net->closed++;
    return -1;
}
