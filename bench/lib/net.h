/* SPDX-License-Identifier: Apache-2.0 */
/* Sockets of the bench programs: batched datagrams, and streams with an output queue.
 *
 * owns: descriptors and buffers of its endpoints
 * borrows: nothing
 * thread: one
 * RFC sections: none
 */
#ifndef BENCH_NET_H
#define BENCH_NET_H

#include <netinet/in.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#define NET_BATCH    64U
#define NET_DATAGRAM 4096U
#define NET_RUN      65536U /* datagrams of one size that the kernel hands over as one */
#define NET_STREAM   65536U
#define NET_MESSAGE  4096U /* largest message that we write */

enum net_kind { NET_UDP, NET_LISTEN, NET_TCP };
enum net_role { NET_UAC, NET_UAS, NET_APP };

struct net_dgram {
    uint32_t off;
    uint32_t len;
    struct sockaddr_in to;
};

struct endpoint {
    int fd;
    enum net_kind kind;
    enum net_role role;
    unsigned index; /* number of the caller or of the user behind it */
    struct sockaddr_in local;
    struct sockaddr_in peer; /* streams */
    char *in;                /* streams: bytes of a partial message */
    size_t in_len;
    char *out; /* NET_STREAM bytes, more for a stream whose peer is slow */
    size_t out_len;
    size_t out_cap;
    struct net_dgram *queue; /* UDP: NET_BATCH entries */
    unsigned queued;
    bool dirty;   /* is in net.dirty */
    bool blocked; /* waits for EPOLLOUT */
    bool dead;
    struct endpoint *next_dirty;
    struct endpoint *next; /* all of them */
};

struct net {
    int epoll;
    struct endpoint *all;
    struct endpoint *dirty;
    uint64_t sent;
    uint64_t received;
    uint64_t send_failed; /* datagrams that the kernel refused, streams that broke */
    uint64_t closed;      /* streams closed by the peer */
    char *datagrams;      /* NET_BATCH buffers of NET_RUN bytes */
};

/* All functions that can fail print the reason to stderr. */
bool net_init(struct net *net);
void net_fini(struct net *net);

/* "HOST:PORT" with a numeric IPv4 address; port 5060 when absent. */
bool net_address(const char *text, struct sockaddr_in *a);
bool net_address_n(const char *text, size_t n, struct sockaddr_in *a);
bool net_same(const struct sockaddr_in *a, const struct sockaddr_in *b);

/* "a.b.c.d:port" into buf (at least 22 bytes). */
void net_text(const struct sockaddr_in *a, char *buf, size_t cap);

struct endpoint *net_udp(struct net *net, const struct sockaddr_in *local);
struct endpoint *net_listen(struct net *net, const struct sockaddr_in *local);
struct endpoint *net_connect(struct net *net, const struct sockaddr_in *to);
/* `from`: our address, NULL for any. */
struct endpoint *net_connect_from(struct net *net, const struct sockaddr_in *to,
                                  const struct sockaddr_in *from);
struct endpoint *net_accept(struct net *net, struct endpoint *listener);

/* Room for one message of NET_MESSAGE bytes, NULL when the endpoint is dead; then net_commit. */
char *net_reserve(struct net *net, struct endpoint *ep);
void net_commit(struct net *net, struct endpoint *ep, size_t len, const struct sockaddr_in *to);

/* Writes what has been queued everywhere. */
void net_flush(struct net *net);
void net_flush_one(struct net *net, struct endpoint *ep);

/* What was received into net->datagrams: count, lengths and sources. One buffer holds datagrams of
 * `size` bytes each, the last one may be shorter. */
struct net_run {
    size_t len;
    size_t size;
    struct sockaddr_in from;
};
unsigned net_recv_udp(struct net *net, struct endpoint *ep, struct net_run *runs);

/* Reads into ep->in; bytes read, 0 for nothing now, -1 when the stream has ended. */
ssize_t net_recv_tcp(struct net *net, struct endpoint *ep);

#endif
