/* SPDX-License-Identifier: Apache-2.0 */
/* Null relay: moves datagrams or bytes between callers and callees and looks at nothing that it
 * does not need for that. What it costs is the floor for a proxy with one socket and one thread. */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include "lib/net.h"
#include "lib/text.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

static const char usage[] =
    "bench_relay: moves SIP between callers and callees without reading it\n"
    "\n"
    "  --transport udp|tcp  (default udp)\n"
    "  --listen HOST:PORT   where callers send or connect to (default 127.0.0.1:5060)\n"
    "  --to HOST:PORT       first address of the callees (default 127.0.0.1:15080)\n"
    "  --to-ports N         number of callee ports, consecutive (default 16)\n"
    "  --seconds S          ends itself after this, 1 to 3600 (default 600)\n"
    "\n"
    "UDP: one socket. What comes from a callee's port goes to the port named in the first line\n"
    "after the status line (the Via of the caller, at 127.0.0.1); anything else goes to a callee\n"
    "chosen by the caller's port. TCP: each accepted connection is joined to one opened to the\n"
    "next callee port.\n";

struct relay {
    struct net net;
    struct sockaddr_in listen;
    struct sockaddr_in to;
    unsigned ports;
    unsigned turn;
    bool tcp;
    unsigned seconds;
};

static struct sockaddr_in callee(const struct relay *r, unsigned number)
{
    struct sockaddr_in a = r->to;

    a.sin_port = htons((uint16_t)(ntohs(a.sin_port) + number % r->ports));
    return a;
}

static bool is_callee(const struct relay *r, const struct sockaddr_in *a)
{
    unsigned first = ntohs(r->to.sin_port), port = ntohs(a->sin_port);

    return port >= first && port < first + r->ports;
}

/* The caller's port: digits after "127.0.0.1:" in the first 80 bytes, where its Via stands. */
static bool caller_of(const char *p, size_t n, struct sockaddr_in *a)
{
    static const char host[] = "127.0.0.1:";
    const char *at = memmem(p, n < 80 ? n : 80, host, sizeof(host) - 1);
    uint64_t port;

    if (!at)
        return false;
    at += sizeof(host) - 1;
    if (!text_uint((struct str){at, (size_t)(p + n - at)}, 65535, &port))
        return false;
    a->sin_family = AF_INET;
    a->sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    a->sin_port = htons((uint16_t)port);
    return true;
}

/* One system call to receive what is there, one to send it. */
static void relay_datagrams(struct relay *r, int fd)
{
    static const size_t room = NET_DATAGRAM;
    struct mmsghdr msg[NET_BATCH];
    struct iovec iov[NET_BATCH];
    struct sockaddr_in peer[NET_BATCH];

    memset(msg, 0, sizeof(msg));
    for (unsigned i = 0; i < NET_BATCH; i++) {
        msg[i].msg_hdr.msg_iov = &iov[i];
        msg[i].msg_hdr.msg_iovlen = 1;
        msg[i].msg_hdr.msg_name = &peer[i];
        iov[i].iov_base = r->net.datagrams + i * room;
    }
    for (;;) {
        int n, done = 0;

        for (unsigned i = 0; i < NET_BATCH; i++) {
            iov[i].iov_len = room;
            msg[i].msg_hdr.msg_namelen = sizeof(peer[i]);
        }
        n = recvmmsg(fd, msg, NET_BATCH, MSG_WAITFORONE, NULL);
        for (int i = 0; i < n; i++) {
            iov[i].iov_len = msg[i].msg_len;
            if (!is_callee(r, &peer[i]))
                peer[i] = callee(r, ntohs(peer[i].sin_port));
            else if (!caller_of(iov[i].iov_base, msg[i].msg_len, &peer[i]))
                iov[i].iov_len = 0;
        }
        while (done < n) {
            int sent = sendmmsg(fd, msg + done, (unsigned)(n - done), 0);

            done += sent > 0 ? sent : 1;
        }
    }
}

static bool run_udp(struct relay *r)
{
    struct endpoint *ep = net_udp(&r->net, &r->listen);
    int flags;

    if (!ep)
        return false;
    flags = fcntl(ep->fd, F_GETFL);
    if (flags < 0 || fcntl(ep->fd, F_SETFL, flags & ~O_NONBLOCK) < 0)
        return false;
    printf("READY\n");
    (void)fflush(stdout);
    relay_datagrams(r, ep->fd);
    return true;
}

/* --- TCP -------------------------------------------------------------------------------------- */

static void drop_pair(struct endpoint *a, struct endpoint *b)
{
    a->dead = b->dead = true;
    (void)shutdown(a->fd, SHUT_RDWR);
    (void)shutdown(b->fd, SHUT_RDWR);
    close(a->fd);
    close(b->fd);
    a->fd = b->fd = -1;
}

static void move_bytes(struct relay *r, struct endpoint *from, struct endpoint *to)
{
    char *buf = r->net.datagrams;
    ssize_t n = recv(from->fd, buf, NET_STREAM, 0);

    if (n < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    if (n <= 0) {
        drop_pair(from, to);
        return;
    }
    for (ssize_t at = 0; at < n;) {
        ssize_t sent = send(to->fd, buf + at, (size_t)(n - at), MSG_NOSIGNAL);

        if (sent > 0) {
            at += sent;
        } else if (errno != EAGAIN && errno != EINTR) {
            drop_pair(from, to);
            return;
        }
    }
}

static void join(struct relay *r, struct endpoint *listener, struct endpoint **other)
{
    struct endpoint *a;

    while ((a = net_accept(&r->net, listener)) != NULL) {
        struct sockaddr_in to = callee(r, r->turn++);
        struct endpoint *b = net_connect(&r->net, &to);

        if (!b || a->fd >= (int)NET_STREAM || b->fd >= (int)NET_STREAM) {
            a->dead = true;
            (void)shutdown(a->fd, SHUT_RDWR);
            continue;
        }
        other[a->fd] = b;
        other[b->fd] = a;
    }
}

static bool run_tcp(struct relay *r)
{
    struct endpoint *listener = net_listen(&r->net, &r->listen);
    struct endpoint **other = calloc(NET_STREAM, sizeof(struct endpoint *));
    struct epoll_event ev[NET_BATCH];

    if (!listener || !other)
        return false;
    printf("READY\n");
    (void)fflush(stdout);
    for (;;) {
        int n = epoll_wait(r->net.epoll, ev, (int)NET_BATCH, -1);

        for (int i = 0; i < n; i++) {
            struct endpoint *ep = ev[i].data.ptr;

            if (ep == listener)
                join(r, listener, other);
            else if (!ep->dead && other[ep->fd])
                move_bytes(r, ep, other[ep->fd]);
        }
    }
}

/* --- options ---------------------------------------------------------------------------------- */

static bool read_number(const char *text, unsigned max, unsigned *v)
{
    uint64_t wide;

    if (!text_uint((struct str){text, strlen(text)}, max, &wide) || wide == 0)
        return false;
    *v = (unsigned)wide;
    return true;
}

static bool read_options(struct relay *r, int argc, char **argv)
{
    static const struct option options[] = {
        {"transport", required_argument, NULL, 't'},
        {"listen", required_argument, NULL, 'l'},
        {"to", required_argument, NULL, 'o'},
        {"to-ports", required_argument, NULL, 'n'},
        {"seconds", required_argument, NULL, 's'},
        {"help", no_argument, NULL, 'h'},
        {NULL, 0, NULL, 0},
    };
    bool good = true;
    int id;

    (void)net_address("127.0.0.1:5060", &r->listen);
    (void)net_address("127.0.0.1:15080", &r->to);
    r->ports = 16;
    r->seconds = 600;
    while (good && (id = getopt_long(argc, argv, "", options, NULL)) != -1) {
        switch (id) {
        case 't':
            r->tcp = strcmp(optarg, "tcp") == 0;
            good = r->tcp || strcmp(optarg, "udp") == 0;
            break;
        case 'l': good = net_address(optarg, &r->listen); break;
        case 'o': good = net_address(optarg, &r->to); break;
        case 'n': good = read_number(optarg, 10000, &r->ports); break;
        case 's': good = read_number(optarg, 3600, &r->seconds); break;
        case 'h': fputs(usage, stdout); exit(0);
        default: good = false;
        }
    }
    return good && optind == argc;
}

int main(int argc, char **argv)
{
    struct relay *r = calloc(1, sizeof(*r));

    if (!r || !read_options(r, argc, argv)) {
        fputs(usage, stderr);
        return 2;
    }
    if (!net_init(&r->net))
        return 1;
    (void)alarm(r->seconds); /* the default action of SIGALRM ends the program */
    return (r->tcp ? run_tcp(r) : run_udp(r)) ? 0 : 1;
}
