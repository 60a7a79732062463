/* SPDX-License-Identifier: Apache-2.0 */
/* What the kernel knows of a connection. */
#include <netinet/tcp.h>

#include "net/tcp_info.h"
#include "net/tls_int.h"

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

int net_stream_facts(const struct net_stream *s, struct net_stream_facts *out)
{
    return net_tcp_info(s->fd, out);
}
