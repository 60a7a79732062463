/* SPDX-License-Identifier: Apache-2.0 */
/* A listener's insides.
 *
 * owns: the socket; holds the context of TLS. thread: the loop's. */
#ifndef NET_LISTENER_INT_H
#define NET_LISTENER_INT_H

#include "net/stream_int.h"

struct net_listener {
    uv_poll_t poll;
    uv_timer_t pause;
    struct net_loop *loop;
    struct counters *counters;
    net_accept_fn *on_accept;
    net_admit_fn *admit; /* NULL: everybody */
    void *user;
    struct net_tls *tls; /* NULL: plain TCP */
    net_refused_fn *on_refused;
    uint32_t tls_timeout_ms;
    unsigned tls_max;
    struct addr local;
    int fd;
    int fd_end; /* an accepted descriptor from here on is too many */
    bool wildcard, closed;
    uint8_t handles; /* of libuv, still open */
};

#endif
