/* SPDX-License-Identifier: Apache-2.0 */
/* Which addresses are ours, and which of them the kernel uses towards a peer. */
#include <ifaddrs.h>
#include <net/if.h>
#include <unistd.h>

#include "net/net_int.h"

#define SOURCE_KEEP_MS 5000
#define LOCAL_KEEP_MS  10000

/* connect(2) on a datagram socket sends nothing; it makes the kernel choose the route. */
static int ask_kernel(const struct addr *remote, struct addr *out)
{
    int fd = net_socket(net_af(remote), SOCK_DGRAM);
    if (fd < 0)
        return fd;
    struct addr to = *remote;
    to.port = 9;
    union net_sockaddr sa;
    size_t len = addr_to_sockaddr(&to, &sa.sa);
    int rc = connect(fd, &sa.sa, (socklen_t)len) == 0 ? 0 : -errno;
    if (rc == 0)
        rc = net_sock_local(fd, out);
    close(fd);
    out->port = 0;
    return rc;
}

int net_source_for(struct net_loop *loop, const struct addr *remote, struct addr *out)
{
    struct addr key = *remote;
    key.port = 0;
    struct net_source *s = &loop->sources[addr_hash(&key) % NET_SOURCES];
    uint64_t now = net_now(loop);
    if (s->until > now && addr_eq(&s->remote, &key)) {
        *out = s->local;
        return 0;
    }
    int rc = ask_kernel(&key, out);
    if (rc != 0)
        return rc;
    *s = (struct net_source){key, *out, now + SOURCE_KEEP_MS};
    return 0;
}

static void read_local_ips(struct net_loop *loop, uint64_t now)
{
    struct ifaddrs *all = NULL;
    if (getifaddrs(&all) != 0)
        return; /* what was known stays, and the next call tries again */
    loop->nlocal_ips = 0;
    for (struct ifaddrs *i = all; i != NULL && loop->nlocal_ips < NET_LOCAL_IPS; i = i->ifa_next) {
        struct addr a;
        if (i->ifa_addr != NULL && addr_from_sockaddr(i->ifa_addr, &a) == 0)
            loop->local_ips[loop->nlocal_ips++] = a;
    }
    freeifaddrs(all);
    loop->local_ips_until = now + LOCAL_KEEP_MS;
}

bool net_is_local_ip(struct net_loop *loop, const struct addr *a)
{
    if (addr_is_loopback(a))
        return true;
    uint64_t now = net_now(loop);
    if (loop->local_ips_until <= now)
        read_local_ips(loop, now);
    for (unsigned i = 0; i < loop->nlocal_ips; i++) {
        const struct addr *mine = &loop->local_ips[i];
        if (mine->family == a->family && memcmp(mine->ip, a->ip, sizeof(a->ip)) == 0)
            return true;
    }
    return false;
}
