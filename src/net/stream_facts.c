/* SPDX-License-Identifier: Apache-2.0 */
/* What the kernel knows of a connection. */
#include <linux/sockios.h>
#include <netinet/tcp.h>
#include <sys/ioctl.h>

#include "net/tls_int.h"

size_t net_tcp_unacked(int fd)
{
    int n = 0;
    return ioctl(fd, SIOCOUTQ, &n) == 0 && n > 0 ? (size_t)n : 0;
}

size_t net_stream_unacked(const struct net_stream *s)
{
    size_t queued = net_stream_queued(s);
    if (s->state != STREAM_OPEN)
        return queued;
    return queued + (s->tls != NULL ? tls_conn_unacked(s) : net_tcp_unacked(s->fd));
}

void net_stream_set_user_timeout(struct net_stream *s, uint32_t ms)
{
    (void)setsockopt(s->fd, IPPROTO_TCP, TCP_USER_TIMEOUT, &ms, sizeof(ms));
}

void net_stream_local(const struct net_stream *s, struct addr *out)
{
    if (net_sock_local(s->fd, out) != 0)
        *out = (struct addr){.family = ADDR_NONE};
}
