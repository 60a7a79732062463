/* SPDX-License-Identifier: Apache-2.0 */
#include "net/tcp_info.h"

#include <linux/sockios.h>
#include <linux/tcp.h>
#include <netinet/in.h>
#include <stddef.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

int net_tcp_info(int fd, struct net_stream_facts *out)
{
    struct tcp_info info = {0};
    socklen_t len = sizeof(info);
    if (getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &len) != 0)
        return -errno;
    *out = (struct net_stream_facts){info.tcpi_bytes_acked, info.tcpi_retransmits, info.tcpi_rtt};
    return 0;
}

size_t net_tcp_unacked(int fd)
{
    int n = 0;
    return ioctl(fd, SIOCOUTQ, &n) == 0 && n > 0 ? (size_t)n : 0;
}
