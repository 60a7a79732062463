/* SPDX-License-Identifier: Apache-2.0 */
/* The event loop of one worker: libuv below, none of it shown.
 *
 * A turn: events of sockets are handed out, then the alarm if due, then `on_turn_end`, in which the
 * owner flushes what it has batched; then the loop sleeps until an event, a wake or the alarm.
 * owns: the uv loop. thread: one worker; net_wake and net_stop from any thread.
 * A scripted twin of this room, with a virtual clock, stands in tests/fake/. */
#ifndef NET_LOOP_H
#define NET_LOOP_H

#include <stdbool.h>
#include <stdint.h>

#include "base/addr.h"
#include "base/err.h"

struct net_loop;

struct net_loop_events {
    void (*on_alarm)(void *user); /* the time given to net_alarm has come */
    void (*on_wake)(void *user);  /* net_wake was called (several calls may come as one) */
    void (*on_turn_end)(
        void *user); /* before the loop sleeps; called after each turn that did something */
    void *user;
};

/* 0, ERR_NOMEM, -errno. */
int net_loop_new(struct net_loop **out, const struct net_loop_events *events) WARN_UNUSED;
/* All sockets must be closed; runs the loop until their close has finished. */
void net_loop_free(struct net_loop **loop);
/* Until net_stop. */
void net_loop_run(struct net_loop *loop);
void net_stop(struct net_loop *loop); /* any thread */
void net_wake(struct net_loop *loop); /* any thread; one write to an eventfd when the loop sleeps */

/* Milliseconds, monotonic, taken once for each turn. */
uint64_t net_now(const struct net_loop *loop);
/* The same clock, read now: never behind the net_now of any loop. */
uint64_t net_clock(const struct net_loop *loop);
/* How late the loop is: the longest time that something had to wait before it was looked at since
 * the last call. For datagrams the kernel says when they came; whatever else waits does so for the
 * length of the turn, which is counted up to this call; and where a stream had more than 64 KiB in
 * each of some turns in a row, since the first of them: nobody knows how long what comes next waits
 * at its sender. To be asked at the end of a turn, when what it sends has been sent; where a turn
 * ends more than once (a stream has ended while it was flushed), it is the same each time, and only
 * `dropped` is not told again. */
struct net_late {
    uint32_t ms;
    uint32_t full; /* percent of a receive buffer of datagrams still in use after a full batch was
                      taken from it, the fullest; 0: none had more than one batch */
    uint64_t dropped; /* datagrams that the kernel has dropped since it is full */
    uint64_t now;     /* net_clock at this call */
};
void net_take_late(struct net_loop *loop, struct net_late *out);

/* One alarm for each loop: a later call replaces it; UINT64_MAX: none. */
void net_alarm(struct net_loop *loop, uint64_t due);

/* Socket settings shared by everything that is opened. 0/256 semantics as in options.md. */
struct net_sockopt {
    bool keep_alive;        /* SO_KEEPALIVE */
    uint32_t keep_idle;     /* s, 0: operating system's */
    uint32_t keep_interval; /* s, 0 */
    uint32_t keep_probes;   /* 0 */
    uint32_t user_timeout;  /* ms, TCP_USER_TIMEOUT; 0: unset */
    uint16_t tos;           /* 0 to 255; 256: leave alone */
};

/* The live keep-alive timing of this network namespace, with the settings applied, read from a
 * fresh socket. D = idle + interval * probes, in ms. 0 or -errno. */
struct net_keepalive {
    uint32_t idle, interval, probes; /* s, s, number */
    uint64_t detect_ms;
};
int net_keepalive_read(const struct net_sockopt *opt, struct net_keepalive *out) WARN_UNUSED;

/* The local address the kernel would use towards `remote` (port 0 in the answer): cached for some
 * seconds in the loop. 0, -errno (no route). */
int net_source_for(struct net_loop *loop, const struct addr *remote, struct addr *out) WARN_UNUSED;
/* Is it an address of this machine (any interface, all of 127/8)? From a list renewed when older
 * than 10 s. */
bool net_is_local_ip(struct net_loop *loop, const struct addr *a);

#endif
