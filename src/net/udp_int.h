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
#define UDP_SEND_BATCH       256 /* datagrams of a chunk */
#define UDP_CHUNK_BYTES      131072
#define UDP_MAX_QUEUED       4096 /* datagrams */
#define UDP_MAX_QUEUED_BYTES (4u << 20)

/* Segmentation by the kernel (UDP_SEGMENT): datagrams of one size to one destination go through its
 * layers as one and are cut apart at the end, in order. The last one may be shorter. */
#define UDP_RUN_MAX   64    /* datagrams of a run: what every kernel takes that knows it */
#define UDP_RUN_BYTES 60000 /* of a run: less than an IP packet holds */
#define UDP_RUN_SIZE  1232  /* of a datagram: larger ones might have to be fragmented (IPv6) */
#define UDP_RUN_SLOTS 512   /* power of two */
/* So many refusals by the kernel in a row, and it is not tried again. */
#define UDP_RUN_FAULTS 8

/* A datagram is sent so often before the error is taken for its own; ECONNREFUSED never is, but
 * somebody might send ICMP without end. */
#define UDP_TRIES         3
#define UDP_TRIES_REFUSED 64

/* The address to leave from, and the size of the segments. */
#define UDP_CONTROL (CMSG_SPACE(sizeof(struct in6_pktinfo)) + CMSG_SPACE(sizeof(uint16_t)))

struct udp_datagram {
    union net_sockaddr to;
    struct iovec bytes;
    uint16_t run;  /* of the chunk, once it is arranged */
    uint16_t slot; /* hash of the destination */
    uint8_t to_len, control_len;
    _Alignas(16) char control[UDP_CONTROL];
};

struct udp_chunk {
    struct list node;
    unsigned n;           /* datagrams written */
    unsigned nruns, sent; /* once it is arranged: messages for sendmmsg / already sent */
    size_t len;           /* bytes used */
    struct udp_datagram out[UDP_SEND_BATCH];
    struct mmsghdr msgs[UDP_SEND_BATCH]; /* of the runs, in the order of their first datagrams */
    struct iovec iov[UDP_SEND_BATCH];    /* run by run */
    char bytes[UDP_CHUNK_BYTES];
};

struct net_udp {
    uv_poll_t poll;
    struct net_loop *loop;
    struct counters *counters;
    net_datagram_fn *on_datagram;
    net_unreached_fn *on_unreached; /* NULL: nobody is told */
    void *user;
    struct addr local;
    int fd;
    int mask;         /* uv_poll events now asked for */
    uint32_t dropped; /* by the kernel, so far */
    bool wildcard, closed;
    bool blocked;       /* the socket's buffer is full: writability is awaited */
    bool can_segment;   /* UDP_SEGMENT */
    uint8_t run_faults; /* in a row */
    bool is_busy;       /* a whole batch came when it was looked at last */
    struct list chunks;
    struct udp_chunk *later; /* what may wait; NULL: nothing does */
    struct list waits;       /* in loop->later while that is not NULL */
    struct udp_chunk *spare;
    unsigned queued; /* datagrams in chunks */
    size_t queued_bytes;
};

/* Two destinations that share a slot cost a comparison, so that nothing better is needed. */
static inline uint16_t udp_slot_of(const struct addr *remote)
{
    uint32_t ip[4];
    memcpy(ip, remote->ip, sizeof(ip));
    uint32_t x = (ip[0] ^ ip[1] ^ ip[2] ^ ip[3] ^ (uint32_t)remote->port << 16) * 2654435769u;
    return (uint16_t)((x >> 16) % UDP_RUN_SLOTS);
}

/* Does the kernel know segmentation? An old one would send a run as one large datagram. */
void net_udp_look(struct net_udp *udp);
/* Asks for readability, and writability too. */
void net_udp_watch(struct net_udp *udp, bool writable);
/* What may wait waits no longer. */
void net_udp_end_wait(struct net_udp *udp);
/* Asks the kernel for what ICMP says / takes it. An error that has come is also told, once, by
 * whichever call comes next on the socket and has nothing to do with it. */
void net_udp_want_errors(const struct net_udp *udp);
void net_udp_take_errors(struct net_udp *udp);
/* Frees what is queued; counted as dropped. */
void net_udp_drop_all(struct net_udp *udp);

#endif
