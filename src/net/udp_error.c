/* SPDX-License-Identifier: Apache-2.0 */
/* What ICMP says of datagrams that were sent: the socket's queue of errors (IP_RECVERR). */
#include "net/udp_int.h"

#include <time.h>

#include <linux/errqueue.h>
#include <linux/icmp.h>
#include <linux/icmpv6.h>

/* Taken in one turn. What is left keeps the socket ready; until it is taken it uses up room of the
 * receive buffer. */
#define ERRORS_PER_TURN 256
/* Of the datagram: what the kernel's own ICMP quotes is less (576 bytes with all headers, IPv6
 * 1,280). */
#define QUOTE_MAX 1280

static void switch_on(int fd, int level, int name)
{
    int one = 1;
    /* A kernel that does not know it leaves all as it was: by silence it is found too. */
    (void)setsockopt(fd, level, name, &one, sizeof(one));
}

void net_udp_want_errors(const struct net_udp *udp)
{
    if (udp->local.family == ADDR_IP6)
        switch_on(udp->fd, IPPROTO_IPV6, IPV6_RECVERR);
    else
        switch_on(udp->fd, IPPROTO_IP, IP_RECVERR);
}

/* RFC 3261 18.4: host, network, port or protocol unreachable, or a parameter problem. Not that the
 * time was exceeded, nor that a datagram was too large, which says nothing about the next one. */
static bool is_unreachable(const struct sock_extended_err *e)
{
    if (e->ee_origin == SO_EE_ORIGIN_ICMP)
        return (e->ee_type == ICMP_DEST_UNREACH && e->ee_code != ICMP_FRAG_NEEDED) ||
               e->ee_type == ICMP_PARAMETERPROB;
    return e->ee_origin == SO_EE_ORIGIN_ICMP6 &&
           (e->ee_type == ICMPV6_DEST_UNREACH || e->ee_type == ICMPV6_PARAMPROB);
}

/* False: it is none of ICMP's, or the kernel had no room for it. */
static bool find_error(struct msghdr *msg, struct sock_extended_err *out)
{
    for (struct cmsghdr *c = CMSG_FIRSTHDR(msg); c != NULL; c = CMSG_NXTHDR(msg, c)) {
        if ((c->cmsg_level != IPPROTO_IP || c->cmsg_type != IP_RECVERR) &&
            (c->cmsg_level != IPPROTO_IPV6 || c->cmsg_type != IPV6_RECVERR))
            continue;
        if (c->cmsg_len < CMSG_LEN(sizeof(*out)))
            return false;
        memcpy(out, CMSG_DATA(c), sizeof(*out));
        return out->ee_origin == SO_EE_ORIGIN_ICMP || out->ee_origin == SO_EE_ORIGIN_ICMP6;
    }
    return false;
}

static void take_error(struct net_udp *udp, struct msghdr *msg, const char *bytes, size_t len)
{
    struct sock_extended_err e;
    struct addr remote;
    if (!find_error(msg, &e))
        return; /* the kernel's own: whoever sent was told */
    counter_inc(udp->counters, CTR_ICMP);
    if (!is_unreachable(&e) || udp->on_unreached == NULL ||
        addr_from_sockaddr(msg->msg_name, &remote) != 0) {
        counter_inc(udp->counters, CTR_ICMP_IGNORED);
        return;
    }
    udp->on_unreached(udp->user, &remote, -(int)e.ee_errno, slice_of(bytes, len));
}

void net_udp_take_errors(struct net_udp *udp)
{
    char bytes[QUOTE_MAX];
    union net_sockaddr to;
    _Alignas(16) char control[512];
    for (unsigned i = 0; i < ERRORS_PER_TURN && !udp->closed; i++) {
        struct iovec iov = {bytes, sizeof(bytes)};
        struct msghdr msg = {.msg_name = &to,
                             .msg_namelen = sizeof(to),
                             .msg_iov = &iov,
                             .msg_iovlen = 1,
                             .msg_control = control,
                             .msg_controllen = sizeof(control)};
        ssize_t n = recvmsg(udp->fd, &msg, MSG_ERRQUEUE | MSG_DONTWAIT);
        if (n < 0)
            return;
        take_error(udp, &msg, bytes, (size_t)n);
    }
}
