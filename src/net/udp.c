/* SPDX-License-Identifier: Apache-2.0 */
#include "net/udp.h"

#include <linux/sock_diag.h>
#include <time.h>
#include <unistd.h>

#include "base/alloc.h"
#include "net/net_int.h"
#include "net/udp_int.h"

/* recvmmsg calls for one readiness event, so that one busy socket does not starve the others. */
#define MAX_RECV_CALLS 32
/* Asked for; the kernel gives at most net.core.rmem_max and wmem_max to those who may not
 * administer the network. What waits may not be dropped while it is late but a little: 16 MiB are
 * some 25,000 datagrams of a few hundred bytes, 200 ms at 120,000 a second. */
#define RECV_BUFFER (16 << 20)
#define SEND_BUFFER (1 << 20)

static void local_of(const struct net_udp *udp, struct msghdr *msg, struct addr *local)
{
    *local = udp->local;
    if (!udp->wildcard)
        return;
    for (struct cmsghdr *c = CMSG_FIRSTHDR(msg); c != NULL; c = CMSG_NXTHDR(msg, c)) {
        if (c->cmsg_level == IPPROTO_IP && c->cmsg_type == IP_PKTINFO) {
            struct in_pktinfo info;
            memcpy(&info, CMSG_DATA(c), sizeof(info));
            memcpy(local->ip, &info.ipi_spec_dst, 4);
        } else if (c->cmsg_level == IPPROTO_IPV6 && c->cmsg_type == IPV6_PKTINFO) {
            struct in6_pktinfo info;
            memcpy(&info, CMSG_DATA(c), sizeof(info));
            memcpy(local->ip, &info.ipi6_addr, 16);
            if (IN6_IS_ADDR_LINKLOCAL(&info.ipi6_addr))
                local->scope = info.ipi6_ifindex;
        }
    }
}

static void take_datagram(struct net_udp *udp, struct net_rx *rx, unsigned i)
{
    struct msghdr *msg = &rx->msgs[i].msg_hdr;
    struct addr remote, local;
    if ((msg->msg_flags & MSG_TRUNC) != 0 || addr_from_sockaddr(&rx->from[i].sa, &remote) != 0)
        return;
    local_of(udp, msg, &local);
    udp->on_datagram(udp->user, rx->bytes[i], rx->msgs[i].msg_len, &remote, &local);
}

/* --- how long they had to wait --- */

#define LATE_MAX 3600000 /* ms; more than that is a clock that was set */

/* Of the oldest one: the first of the first batch. */
static void note_late(struct net_udp *udp, struct msghdr *msg)
{
    struct timespec came, now;
    for (struct cmsghdr *c = CMSG_FIRSTHDR(msg); c != NULL; c = CMSG_NXTHDR(msg, c)) {
        if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_TIMESTAMPNS)
            continue;
        memcpy(&came, CMSG_DATA(c), sizeof(came));
        (void)clock_gettime(CLOCK_REALTIME, &now);
        int64_t ms = (int64_t)(now.tv_sec - came.tv_sec) * 1000 +
                     (now.tv_nsec - came.tv_nsec) / 1000000;
        if (ms > udp->loop->late.ms && ms < LATE_MAX)
            udp->loop->late.ms = (uint32_t)ms;
        return;
    }
}

/* What is left in the buffer, and what did not fit into it. */
static void note_full(struct net_udp *udp)
{
    uint32_t mem[SK_MEMINFO_VARS] = {0};
    socklen_t len = sizeof(mem);
    struct net_late *late = &udp->loop->late;
    if (getsockopt(udp->fd, SOL_SOCKET, SO_MEMINFO, mem, &len) != 0 || mem[SK_MEMINFO_RCVBUF] == 0)
        return;
    uint64_t full = (uint64_t)mem[SK_MEMINFO_RMEM_ALLOC] * 100 / mem[SK_MEMINFO_RCVBUF];
    if (full > late->full)
        late->full = full < 100 ? (uint32_t)full : 100;
    late->dropped += mem[SK_MEMINFO_DROPS] - udp->dropped;
    udp->dropped = mem[SK_MEMINFO_DROPS];
}

/* Returns how many came, 0 at the end. */
static int receive_batch(struct net_udp *udp, struct net_rx *rx, bool is_first)
{
    int n = recvmmsg(udp->fd, rx->msgs, NET_BATCH, MSG_DONTWAIT, NULL);
    if (n < 0 && errno != EAGAIN && errno != EWOULDBLOCK)
        /* What ICMP said of some datagram that was sent (net_udp_take_errors), and no more. */
        n = recvmmsg(udp->fd, rx->msgs, NET_BATCH, MSG_DONTWAIT, NULL);
    if (n <= 0)
        return 0;
    if (is_first)
        note_late(udp, &rx->msgs[0].msg_hdr);
    if (is_first && n == NET_BATCH)
        note_full(udp);
    for (int i = 0; i < n; i++) {
        if (!udp->closed)
            take_datagram(udp, rx, (unsigned)i);
        net_rx_reset(rx, (unsigned)i);
    }
    return n;
}

static void on_poll(uv_poll_t *poll, int status, int events)
{
    struct net_udp *udp = poll->data;
    if (status < 0) {
        /* libuv stops polling after an error event, and does not say what else there is: errors
         * that keep coming must not stop datagrams. */
        net_udp_take_errors(udp);
        if (udp->closed)
            return;
        int err = 0;
        socklen_t len = sizeof(err);
        (void)getsockopt(udp->fd, SOL_SOCKET, SO_ERROR, &err, &len);
        uv_poll_start(&udp->poll, udp->mask, on_poll);
        events = udp->mask;
    }
    if ((events & UV_WRITABLE) != 0) {
        net_udp_watch(udp, false);
        net_udp_flush(udp);
    }
    if ((events & UV_READABLE) == 0)
        return;
    struct net_rx *rx = net_rx_get(udp->loop);
    for (unsigned i = 0; rx != NULL && i < MAX_RECV_CALLS && !udp->closed; i++) {
        bool is_whole = receive_batch(udp, rx, i == 0) == NET_BATCH;
        if (i == 0)
            udp->is_busy = is_whole;
        if (!is_whole)
            break;
    }
}

void net_udp_watch(struct net_udp *udp, bool writable)
{
    int mask = writable ? UV_READABLE | UV_WRITABLE : UV_READABLE;
    if (mask == udp->mask)
        return;
    udp->mask = mask;
    uv_poll_start(&udp->poll, mask, on_poll);
}

static int open_socket(struct net_udp *udp, const struct addr *local, const struct net_sockopt *opt)
{
    int fd = net_socket(net_af(local), SOCK_DGRAM);
    if (fd < 0)
        return fd;
    int one = 1, rcv = RECV_BUFFER, snd = SEND_BUFFER;
    if (setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &rcv, sizeof(rcv)) != 0)
        (void)setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &rcv, sizeof(rcv));
    (void)setsockopt(fd, SOL_SOCKET, SO_TIMESTAMPNS, &one, sizeof(one));
    (void)setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &snd, sizeof(snd));
    net_apply_tos(fd, net_af(local), opt);
    int rc = net_bind(fd, local, SOCK_DGRAM);
    if (rc == 0 && udp->wildcard) {
        bool six = local->family == ADDR_IP6;
        rc = setsockopt(fd, six ? IPPROTO_IPV6 : IPPROTO_IP, six ? IPV6_RECVPKTINFO : IP_PKTINFO,
                        &one, sizeof(one)) == 0
                 ? 0
                 : -errno;
    }
    if (rc == 0)
        rc = net_sock_local(fd, &udp->local);
    if (rc == 0)
        rc = uv_poll_init_socket(&udp->loop->uv, &udp->poll, fd);
    if (rc != 0) {
        close(fd);
        return rc;
    }
    udp->fd = fd;
    udp->poll.data = udp;
    net_udp_look(udp);
    net_udp_want_errors(udp);
    return 0;
}

int net_udp_open(struct net_loop *loop, const struct addr *local, const struct net_sockopt *opt,
                 bool exclusive, struct counters *counters, net_datagram_fn *on_datagram,
                 void *user, struct net_udp **out)
{
    if (net_rx_get(loop) == NULL)
        return ERR_NOMEM;
    int rc = exclusive ? net_probe(local, SOCK_DGRAM) : 0;
    if (rc != 0)
        return rc;
    struct net_udp *udp = mem_zalloc(sizeof(*udp));
    if (udp == NULL)
        return ERR_NOMEM;
    udp->loop = loop;
    udp->counters = counters;
    udp->on_datagram = on_datagram;
    udp->user = user;
    udp->wildcard = addr_is_any(local);
    list_init(&udp->chunks);
    list_init(&udp->waits);
    rc = open_socket(udp, local, opt);
    if (rc != 0) {
        mem_free(udp);
        return rc;
    }
    net_udp_watch(udp, false);
    *out = udp;
    return 0;
}

static void on_closed(uv_handle_t *handle)
{
    mem_free(handle->data);
}

void net_udp_close(struct net_udp **udp_ptr)
{
    struct net_udp *udp = *udp_ptr;
    if (udp == NULL)
        return;
    *udp_ptr = NULL;
    net_udp_end_wait(udp);
    net_udp_flush(udp);
    net_udp_drop_all(udp);
    udp->closed = true;
    uv_close((uv_handle_t *)&udp->poll, on_closed);
    close(udp->fd);
}

void net_udp_set_unreached(struct net_udp *udp, net_unreached_fn *fn)
{
    udp->on_unreached = fn;
}

void net_udp_local(const struct net_udp *udp, struct addr *out)
{
    *out = udp->local;
}
