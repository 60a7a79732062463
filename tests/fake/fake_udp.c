/* SPDX-License-Identifier: Apache-2.0 */
#include <assert.h>
#include <stdlib.h>

#include "base/alloc.h"
#include "fake/fake_int.h"

#define DATAGRAM_MAX 65507u

static bool is_bound(const struct net_loop *loop, const struct addr *a)
{
    LIST_EACH(node, &loop->udps)
    {
        if (addr_eq(&container_of(node, struct net_udp, node)->local, a))
            return true;
    }
    return false;
}

int net_udp_open(struct net_loop *loop, const struct addr *local, const struct net_sockopt *opt,
                 bool exclusive, struct counters *counters, net_datagram_fn *on_datagram,
                 void *user, struct net_udp **out)
{
    struct net_udp *udp;
    void *token;

    (void)opt;
    (void)counters;
    if (exclusive && local->port != 0 && is_bound(loop, local))
        return -EADDRINUSE;
    if (!addr_is_any(local) && !net_is_local_ip(loop, local))
        return -EADDRNOTAVAIL;
    token = fake_token();
    if (token == NULL)
        return ERR_NOMEM;
    udp = fake_zalloc(sizeof(*udp));
    udp->token = token;
    udp->loop = loop;
    udp->local = *local;
    if (udp->local.port == 0)
        udp->local.port = loop->next_port++;
    udp->fn = on_datagram;
    udp->user = user;
    list_init(&udp->batch);
    list_push(&loop->udps, &udp->node);
    *out = udp;
    return 0;
}

void net_udp_close(struct net_udp **ptr)
{
    struct net_udp *udp = *ptr;

    if (udp == NULL)
        return;
    net_udp_flush(udp);
    list_remove(&udp->node);
    fake_unqueue(udp->loop, udp);
    mem_free(udp->token);
    free(udp);
    *ptr = NULL;
}

void net_udp_set_unreached(struct net_udp *udp, net_unreached_fn *fn)
{
    udp->unreached = fn;
}

void net_udp_local(const struct net_udp *udp, struct addr *out)
{
    *out = udp->local;
}

int net_udp_send(struct net_udp *udp, const struct addr *remote, const struct addr *local,
                 const void *bytes, size_t len)
{
    struct fake_packet *p;
    char *copy;
    void *token;

    if (len > DATAGRAM_MAX)
        return ERR_LIMIT;
    token = fake_token();
    if (token == NULL)
        return ERR_NOMEM;
    mem_free(token);
    p = fake_zalloc(sizeof(*p));
    copy = fake_zalloc(len + 1);
    memcpy(copy, bytes, len);
    p->d.bytes = slice_of(copy, len);
    p->d.to = *remote;
    p->d.from = udp->local;
    if (addr_is_any(&udp->local)) {
        if (local != NULL && local->family != ADDR_NONE)
            p->d.from = *local;
        else
            (void)!net_source_for(udp->loop, remote, &p->d.from);
        p->d.from.port = udp->local.port;
    }
    list_push(&udp->batch, &p->node);
    return 0;
}

int net_udp_send_later(struct net_udp *udp, const struct addr *remote, const struct addr *local,
                       const void *bytes, size_t len)
{
    return net_udp_send(udp, remote, local, bytes, len);
}

void net_udp_flush(struct net_udp *udp)
{
    struct net_loop *loop = udp->loop;
    struct list *node;

    while ((node = list_pop(&udp->batch)) != NULL) {
        struct fake_packet *p = container_of(node, struct fake_packet, node);
        p->d.at = loop->now;
        if (loop->lose > 0) {
            loop->lose--;
            p->taken = true;
        }
        list_push(&loop->packets, &p->node);
    }
}

/* --- the peers' side -------------------------------------------------------------------------- */

struct arrival {
    struct addr from, to;
};

static void arrive(void *object, struct bytes *data)
{
    struct net_udp *udp = object;
    struct arrival a;

    memcpy(&a, data->ptr, sizeof(a));
    bytes_drop(data, sizeof(a));
    udp->fn(udp->user, data->ptr, data->len, &a.from, &a.to);
}

static struct net_udp *socket_for(const struct net_loop *loop, const struct addr *to)
{
    struct net_udp *any = NULL;

    LIST_EACH(node, &loop->udps)
    {
        struct net_udp *udp = container_of(node, struct net_udp, node);
        if (addr_eq(&udp->local, to))
            return udp;
        if (addr_is_any(&udp->local) && udp->local.family == to->family &&
            udp->local.port == to->port)
            any = udp;
    }
    return any;
}

bool fake_datagram(struct net_loop *loop, const char *from, const char *to, struct slice bytes)
{
    struct arrival a = {fake_addr(from), fake_addr(to)};
    struct net_udp *udp = socket_for(loop, &a.to);
    struct bytes data = {0};

    if (udp == NULL)
        return false;
    bytes_add(&data, &a, sizeof(a));
    bytes_add(&data, bytes.ptr, bytes.len);
    fake_queue(loop, loop->now, arrive, udp, data.ptr, data.len);
    bytes_free(&data);
    fake_run(loop);
    return true;
}

struct refusal {
    struct addr remote;
    int err;
};

static void refuse(void *object, struct bytes *data)
{
    struct net_udp *udp = object;
    struct refusal r;

    memcpy(&r, data->ptr, sizeof(r));
    bytes_drop(data, sizeof(r));
    if (udp->unreached != NULL)
        udp->unreached(udp->user, &r.remote, r.err, slice_of(data->ptr, data->len));
}

bool fake_icmp(struct net_loop *loop, const char *from, const char *to, int err, struct slice quote)
{
    struct addr at = fake_addr(from);
    struct refusal r = {fake_addr(to), err};
    struct net_udp *udp = socket_for(loop, &at);
    struct bytes data = {0};

    if (udp == NULL)
        return false;
    bytes_add(&data, &r, sizeof(r));
    bytes_add(&data, quote.ptr, quote.len);
    fake_queue(loop, loop->now, refuse, udp, data.ptr, data.len);
    bytes_free(&data);
    fake_run(loop);
    return true;
}

bool fake_take_datagram(struct net_loop *loop, const char *to, struct fake_datagram *out)
{
    struct addr a = {0};

    if (to != NULL)
        a = fake_addr(to);
    LIST_EACH(node, &loop->packets)
    {
        struct fake_packet *p = container_of(node, struct fake_packet, node);
        if (p->taken || (to != NULL && !fake_addr_is(&a, &p->d.to)))
            continue;
        p->taken = true;
        *out = p->d;
        return true;
    }
    return false;
}

void fake_lose(struct net_loop *loop, unsigned n)
{
    loop->lose = n;
}
