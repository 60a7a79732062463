/* SPDX-License-Identifier: Apache-2.0 */
/* A UDP socket's insides, shared by its receiving and its sending half.
 *
 * owns: the socket and the chunks of outgoing datagrams. thread: the loop's. */
#ifndef NET_UDP_INT_H
#define NET_UDP_INT_H

#include "net/net_int.h"
#include "net/udp.h"

/* What waits for sending, in order: a list of chunks, each one sendmmsg. One chunk is kept for the
 * next turn. */
#define UDP_CHUNK_BYTES      131072
#define UDP_MAX_QUEUED       4096 /* datagrams */
#define UDP_MAX_QUEUED_BYTES (4u << 20)

struct udp_chunk {
    struct list node;
    unsigned n, sent; /* entries written / already sent */
    size_t len;       /* bytes used */
    struct mmsghdr msgs[NET_BATCH];
    struct iovec iov[NET_BATCH];
    union net_sockaddr to[NET_BATCH];
    _Alignas(16) char control[NET_BATCH][48];
    char bytes[UDP_CHUNK_BYTES];
};

struct net_udp {
    uv_poll_t poll;
    struct net_loop *loop;
    struct counters *counters;
    net_datagram_fn *on_datagram;
    void *user;
    struct addr local;
    int fd;
    int mask;         /* uv_poll events now asked for */
    uint32_t dropped; /* by the kernel, so far */
    bool wildcard, closed;
    bool blocked; /* the socket's buffer is full: writability is awaited */
    struct list chunks;
    struct udp_chunk *spare;
    unsigned queued; /* datagrams in chunks */
    size_t queued_bytes;
};

/* Asks for readability, and writability too. */
void net_udp_watch(struct net_udp *udp, bool writable);
/* Frees what is queued; counted as dropped. */
void net_udp_drop_all(struct net_udp *udp);

#endif
