/* SPDX-License-Identifier: Apache-2.0 */
/* UDP sockets with batched receive (recvmmsg, 64 datagrams a call) and batched send (sendmmsg, at
 * the end of the turn; what goes to one destination stays in order, and where the kernel knows
 * segmentation, datagrams of one size leave as one).
 *
 * owns: the socket and its batch of outgoing datagrams. thread: the loop's. RFC 3581 (replies leave
 * from the address the request came to: IP_PKTINFO on wildcard sockets). */
#ifndef NET_UDP_H
#define NET_UDP_H

#include <stddef.h>

#include "base/counter.h"
#include "base/slice.h"
#include "net/loop.h"

struct net_udp;

/* `data` is writable, lives until the callback returns, and is at most 65,535 bytes. `local` is the
 * address the datagram came to (port of the socket). */
typedef void net_datagram_fn(void *user, char *data, size_t len, const struct addr *remote,
                             const struct addr *local);

/* Bound with SO_REUSEPORT, so that each worker has its own socket on the same address; the first
 * worker's open checks without it that nobody else has the port (`exclusive` true: -EADDRINUSE when
 * taken). An IPv6 socket is V6ONLY. 0, -errno, ERR_NOMEM. */
int net_udp_open(struct net_loop *loop, const struct addr *local, const struct net_sockopt *opt,
                 bool exclusive, struct counters *counters, net_datagram_fn *on_datagram,
                 void *user, struct net_udp **out) WARN_UNUSED;
void net_udp_close(struct net_udp **udp); /* what is batched is sent first */

/* ICMP says that a datagram sent to `remote` did not arrive: -ECONNREFUSED where nobody listens,
 * another -errno where no way leads there. `quote` is what it quotes of the datagram's bytes: the
 * begin of them, or nothing; lives until the callback returns. Anybody can send such a thing:
 * whoever believes it looks first whether the quote shows that the datagram was seen. The user is
 * that of on_datagram; the socket may be closed inside. RFC 3261 18.4. */
typedef void net_unreached_fn(void *user, const struct addr *remote, int err, struct slice quote);
void net_udp_set_unreached(struct net_udp *udp, net_unreached_fn *fn);

/* The bound address (port chosen by the kernel when 0 was asked). */
void net_udp_local(const struct net_udp *udp, struct addr *out);

/* Copies the datagram into the batch; sent when the batch is full or by net_udp_flush. `local` with
 * family ADDR_NONE: the kernel chooses. Errors of sending are counted; nothing is returned for
 * them. 0, ERR_LIMIT (above 65,507 bytes), ERR_NOMEM. When the socket's buffer is full the rest
 * waits for writability, at most 4,096 datagrams or 4 MiB; more are dropped and counted. */
int net_udp_send(struct net_udp *udp, const struct addr *remote, const struct addr *local,
                 const void *bytes, size_t len) WARN_UNUSED;
void net_udp_flush(struct net_udp *udp);

/* The same for what may wait: while whole batches come in it is kept until there is a batch of it
 * or UDP_LATER_MS are over, so that what goes to one destination leaves as one; it may be overtaken
 * by what is sent by net_udp_send. */
#define UDP_LATER_MS 10
int net_udp_send_later(struct net_udp *udp, const struct addr *remote, const struct addr *local,
                       const void *bytes, size_t len) WARN_UNUSED;

#endif
