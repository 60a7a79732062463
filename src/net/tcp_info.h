/* SPDX-License-Identifier: Apache-2.0 */
/* TCP_INFO of a socket; apart from the rest since the kernel's header and the C library's exclude
 * each other.
 *
 * owns: nothing. thread: any. */
#ifndef NET_TCP_INFO_H
#define NET_TCP_INFO_H

#include "net/stream.h"

/* 0 or -errno. */
int net_tcp_info(int fd, struct net_stream_facts *out) WARN_UNUSED;
/* Bytes written that the peer's kernel has not acknowledged; 0 when that cannot be read. */
size_t net_tcp_unacked(int fd);

#endif
