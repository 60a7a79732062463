/* SPDX-License-Identifier: Apache-2.0 */
/* A stream's insides, shared by accepting, opening, reading and writing. There is one of these for
 * each idle connection, so its size counts.
 *
 * owns: the socket and the outgoing bytes. thread: the loop's. */
#ifndef NET_STREAM_INT_H
#define NET_STREAM_INT_H

#include "net/net_int.h"
#include "net/stream.h"

enum stream_state {
    STREAM_CONNECTING, /* node in loop->connecting */
    STREAM_SHAKING,    /* TLS handshake; node in loop->connecting */
    STREAM_OPEN,       /* node in loop->dirty when something was written this turn */
    STREAM_ENDED,      /* node in loop->ended until on_end was told */
    STREAM_CLOSED      /* by its owner; memory goes when libuv lets go */
};

struct net_stream {
    uv_poll_t poll;
    const struct net_stream_events *ev;
    void *user;
    struct list node;
    struct net_out *out;  /* NULL: nothing queued */
    struct tls_conn *tls; /* NULL: plain TCP */
    uint64_t deadline;    /* ms, of connecting and of the handshake */
    int fd;
    int err;            /* why it ended */
    uint32_t max_queue; /* bytes */
    uint8_t state;      /* enum stream_state */
    uint8_t mask;       /* uv_poll events now asked for */
    bool paused;
    bool blocked; /* the socket's buffer is full: writability is awaited */
};

static inline struct net_loop *stream_loop(const struct net_stream *s)
{
    return s->poll.loop->data;
}

/* A stream around the socket, which it takes over when it succeeds; not polled yet. 0, ERR_NOMEM,
 * -errno. */
int net_stream_make(struct net_loop *loop, int fd, enum stream_state state,
                    struct net_stream **out) WARN_UNUSED;
/* Asks the loop for what the state needs. */
void net_stream_watch(struct net_stream *s);
/* Puts it into the loop's list by deadline, ms. */
void net_stream_wait_until(struct net_stream *s, uint64_t deadline);
/* Ends it now and tells on_end; from the loop only. */
void net_stream_tell_end(struct net_stream *s, int err);
/* Ends it: on_end is told by the loop, not from here. */
void net_stream_fail(struct net_stream *s, int err);
/* Reads until there is nothing more or it has ended; false: it has ended (s->err) or was closed by
 * its owner. */
bool net_stream_read(struct net_stream *s);
/* Tries to send what is queued. 0: all or part of it was taken; -errno. */
int net_stream_try_send(struct net_stream *s) WARN_UNUSED;
void net_stream_drop_out(struct net_stream *s);
/* Bytes written that the peer's kernel has not acknowledged; 0 when that cannot be read. */
size_t net_tcp_unacked(int fd);

#endif
