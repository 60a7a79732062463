/* SPDX-License-Identifier: Apache-2.0 */
#include "base/alloc.h"
#include "net/udp_int.h"

#define UDP_PAYLOAD_MAX 65507

static void chunk_free(struct net_udp *udp, struct udp_chunk *c)
{
    list_remove(&c->node);
    if (udp->spare == NULL)
        udp->spare = c;
    else
        mem_free(c);
}

void net_udp_drop_all(struct net_udp *udp)
{
    if (udp->queued != 0)
        counter_add(udp->counters, CTR_UDP_DROPPED, udp->queued);
    while (!list_is_empty(&udp->chunks))
        chunk_free(udp, container_of(udp->chunks.next, struct udp_chunk, node));
    mem_free(udp->spare);
    udp->spare = NULL;
    udp->queued = 0;
    udp->queued_bytes = 0;
}

/* The last chunk if `len` more bytes fit, or a new one at the end; NULL when there is no memory. */
static struct udp_chunk *chunk_for(struct net_udp *udp, size_t len)
{
    if (!list_is_empty(&udp->chunks)) {
        struct udp_chunk *last = container_of(udp->chunks.prev, struct udp_chunk, node);
        if (last->n < NET_BATCH && len <= UDP_CHUNK_BYTES - last->len)
            return last;
    }
    struct udp_chunk *c = udp->spare;
    if (c == NULL)
        c = mem_alloc(sizeof(*c));
    if (c == NULL)
        return NULL;
    udp->spare = NULL;
    c->n = c->sent = 0;
    c->len = 0;
    list_init(&c->node);
    list_push(&udp->chunks, &c->node);
    return c;
}

/* Makes the datagram leave from `local` (RFC 3581 section 4: a response from where the request came
 * to). */
static void set_source(struct msghdr *msg, char *control, const struct addr *local)
{
    msg->msg_control = control;
    struct cmsghdr *c = (struct cmsghdr *)(void *)control;
    if (local->family == ADDR_IP4) {
        struct in_pktinfo info = {0};
        memcpy(&info.ipi_spec_dst, local->ip, 4);
        *c = (struct cmsghdr){CMSG_LEN(sizeof(info)), IPPROTO_IP, IP_PKTINFO};
        memcpy(CMSG_DATA(c), &info, sizeof(info));
        msg->msg_controllen = CMSG_SPACE(sizeof(info));
    } else {
        struct in6_pktinfo info = {.ipi6_ifindex = local->scope};
        memcpy(&info.ipi6_addr, local->ip, 16);
        *c = (struct cmsghdr){CMSG_LEN(sizeof(info)), IPPROTO_IPV6, IPV6_PKTINFO};
        memcpy(CMSG_DATA(c), &info, sizeof(info));
        msg->msg_controllen = CMSG_SPACE(sizeof(info));
    }
}

int net_udp_send(struct net_udp *udp, const struct addr *remote, const struct addr *local,
                 const void *bytes, size_t len)
{
    if (len > UDP_PAYLOAD_MAX)
        return ERR_LIMIT;
    if (udp->queued >= UDP_MAX_QUEUED || udp->queued_bytes + len > UDP_MAX_QUEUED_BYTES) {
        counter_inc(udp->counters, CTR_UDP_DROPPED);
        return 0;
    }
    struct udp_chunk *c = chunk_for(udp, len);
    if (c == NULL)
        return ERR_NOMEM;
    unsigned i = c->n++;
    memcpy(c->bytes + c->len, bytes, len);
    c->iov[i] = (struct iovec){c->bytes + c->len, len};
    c->len += len;
    size_t name_len = addr_to_sockaddr(remote, &c->to[i].sa);
    c->msgs[i] = (struct mmsghdr){.msg_hdr = {.msg_name = &c->to[i],
                                              .msg_namelen = (socklen_t)name_len,
                                              .msg_iov = &c->iov[i],
                                              .msg_iovlen = 1}};
    if (udp->wildcard && local->family != ADDR_NONE && !addr_is_any(local))
        set_source(&c->msgs[i].msg_hdr, c->control[i], local);
    udp->queued++;
    udp->queued_bytes += len;
    if (c->n == NET_BATCH && !udp->blocked)
        net_udp_flush(udp);
    return 0;
}

static void sent_one(struct net_udp *udp, struct udp_chunk *c)
{
    udp->queued--;
    udp->queued_bytes -= c->iov[c->sent].iov_len;
    c->sent++;
}

/* False when the socket takes no more for now. */
static bool flush_chunk(struct net_udp *udp, struct udp_chunk *c)
{
    while (c->sent < c->n) {
        int n = sendmmsg(udp->fd, c->msgs + c->sent, c->n - c->sent, MSG_DONTWAIT | MSG_NOSIGNAL);
        if (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK))
            return false;
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0) {
            /* The error belongs to the first datagram (no route, refused by a firewall…); the rest
             * go on. */
            counter_inc(udp->counters, CTR_UDP_SEND_ERROR);
            sent_one(udp, c);
            continue;
        }
        for (int i = 0; i < n; i++)
            sent_one(udp, c);
    }
    return true;
}

void net_udp_flush(struct net_udp *udp)
{
    udp->blocked = false;
    while (!list_is_empty(&udp->chunks)) {
        struct udp_chunk *c = container_of(udp->chunks.next, struct udp_chunk, node);
        if (!flush_chunk(udp, c)) {
            udp->blocked = true;
            net_udp_watch(udp, true);
            return;
        }
        chunk_free(udp, c);
    }
}
