/* SPDX-License-Identifier: Apache-2.0 */
#include <netinet/udp.h>

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

static bool fits(const struct udp_chunk *c, size_t len)
{
    return c->nruns == 0 && c->n < UDP_SEND_BATCH && len <= UDP_CHUNK_BYTES - c->len;
}

static struct udp_chunk *chunk_new(struct net_udp *udp)
{
    struct udp_chunk *c = udp->spare;
    if (c == NULL)
        c = mem_alloc(sizeof(*c));
    if (c == NULL)
        return NULL;
    udp->spare = NULL;
    c->n = c->nruns = c->sent = 0;
    c->len = 0;
    list_init(&c->node);
    return c;
}

/* The last chunk if `len` more bytes fit, or a new one at the end; NULL when there is no memory. */
static struct udp_chunk *chunk_for(struct net_udp *udp, size_t len)
{
    if (!list_is_empty(&udp->chunks)) {
        struct udp_chunk *last = container_of(udp->chunks.prev, struct udp_chunk, node);
        if (fits(last, len))
            return last;
    }
    struct udp_chunk *c = chunk_new(udp);
    if (c != NULL)
        list_push(&udp->chunks, &c->node);
    return c;
}

/* Makes the datagram leave from `local` (RFC 3581 section 4: a response from where the request came
 * to). */
static void set_source(struct udp_datagram *d, const struct addr *local)
{
    struct cmsghdr *c = (struct cmsghdr *)(void *)d->control;
    memset(d->control, 0, sizeof(d->control));
    if (local->family == ADDR_IP4) {
        struct in_pktinfo info = {0};
        memcpy(&info.ipi_spec_dst, local->ip, 4);
        *c = (struct cmsghdr){CMSG_LEN(sizeof(info)), IPPROTO_IP, IP_PKTINFO};
        memcpy(CMSG_DATA(c), &info, sizeof(info));
        d->control_len = CMSG_SPACE(sizeof(info));
    } else {
        struct in6_pktinfo info = {.ipi6_ifindex = local->scope};
        memcpy(&info.ipi6_addr, local->ip, 16);
        *c = (struct cmsghdr){CMSG_LEN(sizeof(info)), IPPROTO_IPV6, IPV6_PKTINFO};
        memcpy(CMSG_DATA(c), &info, sizeof(info));
        d->control_len = CMSG_SPACE(sizeof(info));
    }
}

static bool is_full(struct net_udp *udp, size_t len)
{
    if (udp->queued < UDP_MAX_QUEUED && udp->queued_bytes + len <= UDP_MAX_QUEUED_BYTES)
        return false;
    counter_inc(udp->counters, CTR_UDP_DROPPED);
    return true;
}

static void chunk_add(struct net_udp *udp, struct udp_chunk *c, const struct addr *remote,
                      const struct addr *local, const void *bytes, size_t len)
{
    struct udp_datagram *d = &c->out[c->n++];
    memcpy(c->bytes + c->len, bytes, len);
    d->bytes = (struct iovec){c->bytes + c->len, len};
    c->len += len;
    d->to_len = (uint8_t)addr_to_sockaddr(remote, &d->to.sa);
    d->slot = udp_slot_of(remote);
    d->control_len = 0;
    if (udp->wildcard && local->family != ADDR_NONE && !addr_is_any(local))
        set_source(d, local);
    udp->queued++;
    udp->queued_bytes += len;
}

int net_udp_send(struct net_udp *udp, const struct addr *remote, const struct addr *local,
                 const void *bytes, size_t len)
{
    if (len > UDP_PAYLOAD_MAX)
        return ERR_LIMIT;
    if (is_full(udp, len))
        return 0;
    struct udp_chunk *c = chunk_for(udp, len);
    if (c == NULL)
        return ERR_NOMEM;
    chunk_add(udp, c, remote, local, bytes, len);
    if (c->n == UDP_SEND_BATCH && !udp->blocked)
        net_udp_flush(udp);
    return 0;
}

/* --- what may wait ---------------------------------------------------------------------------- */

/* Between what is sent already and what is not yet arranged it makes no difference. */
void net_udp_end_wait(struct net_udp *udp)
{
    if (udp->later == NULL)
        return;
    list_push(&udp->chunks, &udp->later->node);
    udp->later = NULL;
    list_remove(&udp->waits);
}

void net_udps_end_waits(struct net_loop *loop)
{
    while (!list_is_empty(&loop->later)) {
        struct net_udp *udp = container_of(loop->later.next, struct net_udp, waits);
        net_udp_end_wait(udp);
        if (!udp->blocked)
            net_udp_flush(udp);
    }
}

int net_udp_send_later(struct net_udp *udp, const struct addr *remote, const struct addr *local,
                       const void *bytes, size_t len)
{
    if (!udp->is_busy || udp->blocked || len > UDP_RUN_SIZE)
        return net_udp_send(udp, remote, local, bytes, len);
    if (is_full(udp, len))
        return 0;
    if (udp->later != NULL && !fits(udp->later, len))
        net_udp_end_wait(udp);
    if (udp->later == NULL) {
        udp->later = chunk_new(udp);
        if (udp->later == NULL)
            return ERR_NOMEM;
        if (list_is_empty(&udp->loop->later))
            net_later_alarm(udp->loop);
        list_push(&udp->loop->later, &udp->waits);
    }
    chunk_add(udp, udp->later, remote, local, bytes, len);
    if (udp->later->n == UDP_SEND_BATCH) {
        net_udp_end_wait(udp);
        net_udp_flush(udp);
    }
    return 0;
}

/* --- runs ------------------------------------------------------------------------------------- */

struct run {
    const struct udp_datagram *first;
    unsigned n;
    size_t bytes;
    bool is_over; /* by a shorter one */
};

void net_udp_look(struct net_udp *udp)
{
    int size = 0;
    socklen_t len = sizeof(size);
    udp->can_segment = getsockopt(udp->fd, SOL_UDP, UDP_SEGMENT, &size, &len) == 0;
}

static bool joins(const struct run *r, const struct udp_datagram *d)
{
    const struct udp_datagram *f = r->first;
    return !r->is_over && r->n < UDP_RUN_MAX && d->bytes.iov_len <= f->bytes.iov_len &&
           d->bytes.iov_len != 0 && f->bytes.iov_len <= UDP_RUN_SIZE &&
           r->bytes + d->bytes.iov_len <= UDP_RUN_BYTES && d->to_len == f->to_len &&
           d->control_len == f->control_len && memcmp(&d->to, &f->to, d->to_len) == 0 &&
           memcmp(d->control, f->control, d->control_len) == 0;
}

/* Each datagram joins the latest run to its destination or begins a new one. Runs leave in the
 * order of their first datagrams: what goes to one destination stays in order. */
static unsigned find_runs(const struct net_udp *udp, struct udp_chunk *c, struct run *runs)
{
    uint16_t latest[UDP_RUN_SLOTS]; /* run of the slot, + 1 */
    unsigned n = 0;
    if (c->n > 1)
        memset(latest, 0, sizeof(latest));
    for (unsigned i = 0; i < c->n; i++) {
        struct udp_datagram *d = &c->out[i];
        unsigned at = c->n > 1 && udp->can_segment ? latest[d->slot] : 0;
        if (at == 0 || !joins(&runs[at - 1], d)) {
            runs[n++] = (struct run){.first = d};
            at = n;
        }
        struct run *r = &runs[at - 1];
        d->run = (uint16_t)(at - 1);
        r->n++;
        r->bytes += d->bytes.iov_len;
        r->is_over = d->bytes.iov_len < r->first->bytes.iov_len;
        latest[d->slot] = (uint16_t)at;
    }
    return n;
}

static void set_segment(struct msghdr *msg, size_t size)
{
    uint16_t value = (uint16_t)size;
    struct cmsghdr *c = (struct cmsghdr *)(void *)((char *)msg->msg_control + msg->msg_controllen);
    memset(c, 0, CMSG_SPACE(sizeof(value)));
    *c = (struct cmsghdr){CMSG_LEN(sizeof(value)), SOL_UDP, UDP_SEGMENT};
    memcpy(CMSG_DATA(c), &value, sizeof(value));
    msg->msg_controllen += CMSG_SPACE(sizeof(value));
}

/* One message for each run. */
static void arrange(const struct net_udp *udp, struct udp_chunk *c)
{
    struct run runs[UDP_SEND_BATCH];
    unsigned n = find_runs(udp, c, runs);
    struct iovec *iov = c->iov;
    for (unsigned i = 0; i < n; i++) {
        struct udp_datagram *d = &c->out[runs[i].first - c->out];
        struct msghdr *msg = &c->msgs[i].msg_hdr;
        *msg = (struct msghdr){.msg_name = &d->to,
                               .msg_namelen = d->to_len,
                               .msg_iov = iov,
                               .msg_control = d->control,
                               .msg_controllen = d->control_len};
        if (runs[i].n > 1)
            set_segment(msg, d->bytes.iov_len);
        iov += runs[i].n;
    }
    for (unsigned i = 0; i < c->n; i++) {
        struct msghdr *msg = &c->msgs[c->out[i].run].msg_hdr;
        msg->msg_iov[msg->msg_iovlen++] = c->out[i].bytes;
    }
    c->nruns = n;
}

/* The runs that are left one by one, in their order. From the last one on, so that none is
 * overwritten before it was read. */
static void break_up(struct udp_chunk *c)
{
    unsigned to = c->sent;
    for (unsigned i = c->sent; i < c->nruns; i++)
        to += (unsigned)c->msgs[i].msg_hdr.msg_iovlen;
    unsigned n = to;
    for (unsigned i = c->nruns; i-- > c->sent;) {
        struct msghdr run = c->msgs[i].msg_hdr;
        size_t left = run.msg_iovlen;
        if (left > 1)
            run.msg_controllen -= CMSG_SPACE(sizeof(uint16_t));
        run.msg_iovlen = 1;
        while (left-- != 0) {
            c->msgs[--to].msg_hdr = run;
            c->msgs[to].msg_hdr.msg_iov += left;
        }
    }
    c->nruns = n;
}

/* Did the kernel refuse the run as such? A path that cannot do it (IPsec, a small MTU, no
 * checksums) says so; where the single ones fail too it is the destination. */
static bool is_refused_run(struct net_udp *udp, struct udp_chunk *c)
{
    bool is_run = c->msgs[c->sent].msg_hdr.msg_iovlen > 1;
    if (!is_run || (errno != EIO && errno != EINVAL && errno != EMSGSIZE && errno != ENOPROTOOPT &&
                    errno != EOPNOTSUPP))
        return false;
    if (++udp->run_faults >= UDP_RUN_FAULTS)
        udp->can_segment = false;
    break_up(c);
    return true;
}

/* --- sending ---------------------------------------------------------------------------------- */

/* How many datagrams it was. */
static unsigned sent_one(struct net_udp *udp, struct udp_chunk *c)
{
    const struct msghdr *msg = &c->msgs[c->sent].msg_hdr;
    for (size_t i = 0; i < msg->msg_iovlen; i++)
        udp->queued_bytes -= msg->msg_iov[i].iov_len;
    udp->queued -= (unsigned)msg->msg_iovlen;
    c->sent++;
    return (unsigned)msg->msg_iovlen;
}

/* What ICMP has said of another datagram ends the call that comes next (IP_RECVERR), which has sent
 * nothing then. That nobody listens is never the kernel's own answer to a send; the others may be
 * either, and are believed when they come again. */
static bool may_be_of_another(int err, unsigned tries)
{
    switch (err) {
    case ECONNREFUSED: return tries < UDP_TRIES_REFUSED;
    case ENETUNREACH:
    case EHOSTUNREACH:
    case EHOSTDOWN:
    case ENONET:
    case ENOPROTOOPT:
    case EOPNOTSUPP:
    case EMSGSIZE:
    case EPROTO:
    case EACCES: return tries < UDP_TRIES;
    default: return false;
    }
}

/* False when the socket takes no more for now. */
static bool flush_chunk(struct net_udp *udp, struct udp_chunk *c)
{
    unsigned tries = 0;
    if (c->nruns == 0)
        arrange(udp, c);
    while (c->sent < c->nruns) {
        int n =
            sendmmsg(udp->fd, c->msgs + c->sent, c->nruns - c->sent, MSG_DONTWAIT | MSG_NOSIGNAL);
        if (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK))
            return false;
        if (n < 0 && (errno == EINTR || may_be_of_another(errno, ++tries)))
            continue;
        tries = 0;
        if (n < 0 && is_refused_run(udp, c))
            continue;
        if (n <= 0) {
            /* The error belongs to the first destination (no route, refused by a firewall…); the
             * rest go on. */
            counter_add(udp->counters, CTR_UDP_SEND_ERROR, sent_one(udp, c));
            continue;
        }
        for (int i = 0; i < n; i++)
            if (sent_one(udp, c) > 1)
                udp->run_faults = 0;
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
