/* SPDX-License-Identifier: Apache-2.0 */
/* What the files of this room share: the loop's insides, socket options, buffers.
 *
 * owns: see the single structs. thread: the loop's. */
#ifndef NET_NET_INT_H
#define NET_NET_INT_H

#include <netinet/in.h>
#include <stdatomic.h>
#include <sys/socket.h>
#include <uv.h>

#include "base/list.h"
#include "net/loop.h"
#include "net/tls_loop.h"

#define NET_BATCH        64 /* datagrams for each recvmmsg and sendmmsg */
#define NET_DATAGRAM_MAX 65535
#define NET_OUT_SIZE     4096       /* bytes of the smallest buffer of a stream, with its head */
#define NET_OUT_CLASSES  7          /* each twice the one before: up to 256 KiB */
#define NET_OUT_CACHE    (1u << 20) /* bytes of free buffers kept by a loop */
#define NET_SOURCES      64         /* remembered answers of net_source_for */
#define NET_LOCAL_IPS    256        /* addresses of this machine that are remembered */

union net_sockaddr {
    struct sockaddr sa;
    struct sockaddr_in in4;
    struct sockaddr_in6 in6;
};

/* Outgoing bytes of a stream: [off, len) are still to be sent. */
struct net_out {
    struct net_out *next; /* in the loop's cache */
    size_t off, len, cap;
    char bytes[];
};

struct net_source {
    struct addr remote, local; /* ports 0 */
    uint64_t until;            /* ms */
};

struct net_rx;

struct net_loop {
    uv_loop_t uv;
    uv_async_t async;
    uv_prepare_t prepare;
    uv_timer_t alarm;
    uv_timer_t connect_timer; /* for the first of `connecting` */
    uv_timer_t later_timer;   /* for `later` */
    uv_check_t check;         /* when a turn began */
    uv_idle_t idle;           /* runs while steps of handshakes are left over */
    struct net_loop_events ev;
    atomic_bool stopping;
    uint64_t alarm_due;
    uint64_t turn_began;    /* ms; 0: not yet, or it was told how late it is */
    struct net_late late;   /* of this turn, */
    struct net_late taken;  /* of the last one that was told */
    bool is_behind;         /* a stream had more than one buffer full in this turn */
    uint64_t behind_since;  /* ms: in each turn since then; 0: not in the last one */
    struct list dirty;      /* net_stream.node: written to since the last flush */
    struct list connecting; /* net_stream.node: by deadline, TLS handshakes too */
    struct list ended;      /* net_stream.node: on_end is to be told */
    struct list later;      /* net_udp.waits: has datagrams that may wait */
    struct net_rx *rx;      /* receive buffers, made with the first socket */
    struct net_out *out_cache[NET_OUT_CLASSES];
    size_t out_cached; /* bytes */
    struct net_source sources[NET_SOURCES];
    struct addr local_ips[NET_LOCAL_IPS];
    unsigned nlocal_ips;
    uint64_t local_ips_until; /* ms */
    struct tls_gate gate;
    struct tls_cache sessions;
};

/* The receive buffers; one for the loop is enough, since what is in it is used up before the
 * callback returns. A page counts only once it was touched, so the common small datagrams cost 64
 * pages. */
#define NET_RX_STRIDE \
    (NET_DATAGRAM_MAX + 1 + 1088) /* no power of two: the buffers spread over the cache's sets */
struct net_rx {
    struct mmsghdr msgs[NET_BATCH];
    struct iovec iov[NET_BATCH];
    union net_sockaddr from[NET_BATCH];
    _Alignas(16) char control[NET_BATCH][128];
    char bytes[NET_BATCH][NET_RX_STRIDE];
};

/* What the kernel has overwritten with lengths of its own is made the room again. */
static inline void net_rx_reset(struct net_rx *rx, unsigned i)
{
    rx->msgs[i].msg_hdr.msg_namelen = sizeof(rx->from[i]);
    rx->msgs[i].msg_hdr.msg_controllen = sizeof(rx->control[i]);
}

void net_out_cache_free(struct net_loop *loop);
/* NULL when there is no memory. */
struct net_rx *net_rx_get(struct net_loop *loop);

/* Tells on_end of streams that ended outside a socket event / whose opening takes too long. */
void net_streams_end(struct net_loop *loop);
void net_streams_expire(struct net_loop *loop);
/* Sends what waits on sockets of `later` when UDP_LATER_MS are over. */
void net_later_alarm(struct net_loop *loop);
void net_udps_end_waits(struct net_loop *loop);
/* net_streams_expire is called at `due`, ms; a later call replaces it. */
void net_connect_alarm(struct net_loop *loop, uint64_t due);

/* A nonblocking socket. >= 0 or -errno. */
int net_socket(int family, int type) WARN_UNUSED;
/* -EADDRINUSE when any process holds the address, with or without SO_REUSEPORT; 0; -errno. */
int net_probe(const struct addr *local, int type) WARN_UNUSED;
/* Binds for listening: SO_REUSEPORT, IPV6_V6ONLY. 0 or -errno. */
int net_bind(int fd, const struct addr *local, int type) WARN_UNUSED;
int net_sock_local(int fd, struct addr *out) WARN_UNUSED;
/* DSCP/TOS alone / everything for TCP. What the kernel refuses is left as it is. */
void net_apply_tos(int fd, int family, const struct net_sockopt *opt);
void net_apply_tcp(int fd, int family, const struct net_sockopt *opt);

static inline int net_af(const struct addr *a)
{
    return a->family == ADDR_IP6 ? AF_INET6 : AF_INET;
}

#endif
