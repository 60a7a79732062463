/* SPDX-License-Identifier: Apache-2.0 */
/* Byte streams, accepted and opened: TCP, and TLS on it, behind one face.
 *
 * Written bytes are gathered and leave by one send call at the end of the turn
 * (net_stream_flush_all by the loop's owner). An idle stream holds no buffer. owns: the socket, the
 * outgoing queue while it is not empty. borrows: nothing. thread: the loop's. */
#ifndef NET_STREAM_H
#define NET_STREAM_H

#include <stddef.h>

#include "base/counter.h"
#include "net/loop.h"
#include "net/tls.h"

struct net_stream;
struct net_listener;

struct net_stream_events {
    /* Opened by net_stream_open: connection is up. */
    void (*on_open)(void *user);
    /* Bytes came; they live until the callback returns. The callback may close the stream. */
    void (*on_data)(void *user, const char *data, size_t len);
    /* The stream has ended: ERR_CLOSED (FIN, or close_notify), -errno (ECONNRESET, ETIMEDOUT,
     * ECONNREFUSED…; ETIMEDOUT also for the connect timeout; EPROTO for what is no TLS on a
     * connection that is up), a TLS error of err.h where there is no connection. In TLS 1.3 a
     * server that refuses our certificate says so after on_open: ERR_TLS_REFUSED. Called once; the
     * owner then calls net_stream_close. Never called from inside net_stream_open or
     * net_stream_write, always from the loop. */
    void (*on_end)(void *user, int err);
};

/* Accepts; `on_accept` gets a stream without events: it calls net_stream_set or net_stream_close.
 * Sockets inherit `opt` from the listener. At EMFILE/ENFILE/ENOBUFS/ENOMEM accepting pauses 100 ms,
 * is counted (CTR_ACCEPT_PAUSED) and spins never. `exclusive` as in net_udp_open. 0, -errno,
 * ERR_NOMEM. */
typedef void net_accept_fn(void *user, struct net_stream *stream, const struct addr *remote,
                           const struct addr *local);
int net_listener_open(struct net_loop *loop, const struct addr *local,
                      const struct net_sockopt *opt, bool exclusive, struct counters *counters,
                      net_accept_fn *on_accept, void *user, struct net_listener **out) WARN_UNUSED;
void net_listener_close(struct net_listener **l);
/* Asked for each connection before anything else is done with it, a handshake included; false: it
 * is closed at once. NULL: all are taken. */
typedef bool net_admit_fn(void *user, const struct addr *remote, const struct addr *local);
void net_listener_set_admit(struct net_listener *l, net_admit_fn *admit);
void net_listener_local(const struct net_listener *l, struct addr *out);
/* From now on what is accepted speaks TLS: `on_accept` is called when the handshake is done, within
 * `timeout_ms`; `on_refused` (may be NULL) when there is none: a TLS error of err.h, -errno,
 * ERR_CLOSED, -ETIMEDOUT. Handshakes under way are at most `max` for each loop; who has not sent a
 * byte yet or finds no place waits within the same time in a line of the same length, then
 * ERR_TLS_BUSY. A source address that holds a quarter of either gets nothing of its last quarter,
 * and a full line is left first by who has been silent for longest.
 * Their arithmetic has a share of the loop's time only, so that established connections go on.
 * `tls` is held. Called again after a reload. */
typedef void net_refused_fn(void *user, const struct addr *remote, const struct addr *local,
                            int err);
void net_listener_set_tls(struct net_listener *l, struct net_tls *tls, uint32_t timeout_ms,
                          unsigned max, net_refused_fn *on_refused);
/* Options changed by a reload: for connections accepted from now on. */
void net_listener_set_opt(struct net_listener *l, const struct net_sockopt *opt);

/* Connects; `local` of family ADDR_NONE: the kernel chooses; its port is ignored. `timeout_ms`
 * bounds the opening, TLS handshake included. `tls` NULL: plain TCP; else on_open comes after the
 * handshake, and on_end may say a TLS error of err.h. A session with that remote address, name and
 * context is resumed where the loop remembers one. 0 (result comes by on_open or on_end), -errno
 * (no descriptor, no route at once), ERR_NOMEM. */
int net_stream_open(struct net_loop *loop, const struct addr *local, const struct addr *remote,
                    const struct net_sockopt *opt, uint32_t timeout_ms,
                    const struct net_tls_client *tls, const struct net_stream_events *events,
                    void *user, struct net_stream **out) WARN_UNUSED;
/* `events` must outlive the stream; `user` is handed to each. */
void net_stream_set(struct net_stream *s, const struct net_stream_events *events, void *user);

/* After FIN was asked: `abort` true: RST and no orphan in the kernel (SO_LINGER {1,0}); false: what
 * is queued is tried once, then FIN. No event comes after this. */
void net_stream_close(struct net_stream **s, bool abort);

/* Appends to the outgoing queue. 0; ERR_FULL (queue above `max_queue` set by net_stream_set_max,
 * default 1 MiB: nothing was appended); ERR_NOMEM; ERR_CLOSED (the stream has ended). Allowed
 * before on_open. */
int net_stream_write(struct net_stream *s, const void *bytes, size_t len) WARN_UNUSED;
void net_stream_set_max(struct net_stream *s, size_t max_queue);
/* One send call for each stream that was written to since the last call. */
void net_stream_flush_all(struct net_loop *loop);

/* Stops or goes on reading (backpressure). */
void net_stream_read_pause(struct net_stream *s, bool pause);

/* TLS: 0. ERR_UNSUPPORTED: it is plain TCP. */
int net_stream_tls_info(const struct net_stream *s, struct net_tls_info *out) WARN_UNUSED;
/* Does the verified certificate of the peer prove the name or address (RFC 5922 7.1, 7.2)? False
 * without a certificate, and for TCP. */
bool net_stream_peer_is(const struct net_stream *s, struct slice name);

/* Bytes given to net_stream_write that the peer's kernel has not acknowledged: our queue and
 * SIOCOUTQ; for TLS counted in bytes of ours, not of its records. */
size_t net_stream_unacked(const struct net_stream *s);
/* Bytes still in our own queue. */
size_t net_stream_queued(const struct net_stream *s);
/* TCP_USER_TIMEOUT, ms; on a live socket. */
void net_stream_set_user_timeout(struct net_stream *s, uint32_t ms);
void net_stream_local(const struct net_stream *s, struct addr *out);

#endif
