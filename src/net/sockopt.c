/* SPDX-License-Identifier: Apache-2.0 */
/* Socket options, binding, and the keep-alive timing that the kernel really uses. */
#include <netinet/tcp.h>
#include <unistd.h>

#include "net/net_int.h"

static int set_int(int fd, int level, int name, int value)
{
    return setsockopt(fd, level, name, &value, sizeof(value)) == 0 ? 0 : -errno;
}

static int get_int(int fd, int level, int name, uint32_t *value)
{
    int v = 0;
    socklen_t len = sizeof(v);
    if (getsockopt(fd, level, name, &v, &len) != 0)
        return -errno;
    *value = v > 0 ? (uint32_t)v : 0;
    return 0;
}

int net_socket(int family, int type)
{
    int fd = socket(family, type | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    return fd >= 0 ? fd : -errno;
}

static int bind_addr(int fd, const struct addr *local)
{
    union net_sockaddr sa;
    size_t len = addr_to_sockaddr(local, &sa.sa);
    return bind(fd, &sa.sa, (socklen_t)len) == 0 ? 0 : -errno;
}

int net_probe(const struct addr *local, int type)
{
    if (local->port == 0)
        return 0;
    int fd = net_socket(net_af(local), type);
    if (fd < 0)
        return fd;
    int rc = 0;
    if (local->family == ADDR_IP6)
        rc = set_int(fd, IPPROTO_IPV6, IPV6_V6ONLY, 1);
    /* Connections of an earlier life in TIME_WAIT do not hold the port; a listener does. */
    if (rc == 0 && type == SOCK_STREAM)
        rc = set_int(fd, SOL_SOCKET, SO_REUSEADDR, 1);
    if (rc == 0)
        rc = bind_addr(fd, local);
    close(fd);
    return rc;
}

int net_bind(int fd, const struct addr *local, int type)
{
    int rc = set_int(fd, SOL_SOCKET, SO_REUSEPORT, 1);
    if (rc == 0 && type == SOCK_STREAM)
        rc = set_int(fd, SOL_SOCKET, SO_REUSEADDR, 1);
    if (rc == 0 && local->family == ADDR_IP6)
        rc = set_int(fd, IPPROTO_IPV6, IPV6_V6ONLY, 1);
    return rc == 0 ? bind_addr(fd, local) : rc;
}

int net_sock_local(int fd, struct addr *out)
{
    union net_sockaddr sa;
    socklen_t len = sizeof(sa);
    if (getsockname(fd, &sa.sa, &len) != 0)
        return -errno;
    return addr_from_sockaddr(&sa.sa, out);
}

void net_apply_tos(int fd, int family, const struct net_sockopt *opt)
{
    if (opt->tos > 255)
        return;
    if (family == AF_INET6)
        (void)set_int(fd, IPPROTO_IPV6, IPV6_TCLASS, opt->tos);
    else
        (void)set_int(fd, IPPROTO_IP, IP_TOS, opt->tos);
}

void net_apply_tcp(int fd, int family, const struct net_sockopt *opt)
{
    net_apply_tos(fd, family, opt);
    (void)set_int(fd, IPPROTO_TCP, TCP_NODELAY, 1);
    (void)set_int(fd, SOL_SOCKET, SO_KEEPALIVE, opt->keep_alive ? 1 : 0);
    if (opt->keep_idle != 0)
        (void)set_int(fd, IPPROTO_TCP, TCP_KEEPIDLE, (int)opt->keep_idle);
    if (opt->keep_interval != 0)
        (void)set_int(fd, IPPROTO_TCP, TCP_KEEPINTVL, (int)opt->keep_interval);
    if (opt->keep_probes != 0)
        (void)set_int(fd, IPPROTO_TCP, TCP_KEEPCNT, (int)opt->keep_probes);
    (void)set_int(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, (int)opt->user_timeout);
}

int net_keepalive_read(const struct net_sockopt *opt, struct net_keepalive *out)
{
    int fd = net_socket(AF_INET, SOCK_STREAM);
    if (fd == -EAFNOSUPPORT)
        fd = net_socket(AF_INET6, SOCK_STREAM);
    if (fd < 0)
        return fd;
    struct net_sockopt plain = *opt;
    plain.tos = 256;
    net_apply_tcp(fd, AF_INET, &plain);
    int rc = get_int(fd, IPPROTO_TCP, TCP_KEEPIDLE, &out->idle);
    if (rc == 0)
        rc = get_int(fd, IPPROTO_TCP, TCP_KEEPINTVL, &out->interval);
    if (rc == 0)
        rc = get_int(fd, IPPROTO_TCP, TCP_KEEPCNT, &out->probes);
    close(fd);
    if (rc == 0)
        out->detect_ms = 1000 * ((uint64_t)out->idle + (uint64_t)out->interval * out->probes);
    return rc;
}
