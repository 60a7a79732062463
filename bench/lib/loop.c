/* SPDX-License-Identifier: Apache-2.0 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include "load.h"

#include <string.h>
#include <sys/epoll.h>
#include <time.h>

#define NS        1000000000ULL
#define MAX_READY 256

uint64_t load_clock(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * NS + (uint64_t)t.tv_nsec;
}

uint64_t load_ms(const struct load *l)
{
    return l->now / 1000000U;
}

static void dispatch(struct load *l, struct endpoint *ep, const struct sockaddr_in *from,
                     const struct sipmsg *m)
{
    if (ep->role == NET_UAC)
        uac_message(l, m);
    else if (ep->role == NET_APP)
        app_message(l, ep, m);
    else
        uas_message(l, ep, from, m);
}

static void read_datagrams(struct load *l, struct endpoint *ep)
{
    struct net_run runs[NET_BATCH];
    unsigned n = net_recv_udp(&l->net, ep, runs);
    struct sipmsg m;

    for (unsigned i = 0; i < n; i++) {
        const char *p = l->net.datagrams + (size_t)i * NET_RUN;
        size_t left = runs[i].len;

        do {
            size_t len = left < runs[i].size ? left : runs[i].size;

            if (sip_parse(&m, p, len) > 0)
                dispatch(l, ep, &runs[i].from, &m);
            else
                l->malformed++;
            p += len;
            left -= len;
        } while (left != 0);
    }
}

static void read_stream(struct load *l, struct endpoint *ep)
{
    size_t at = 0;
    struct sipmsg m;

    if (net_recv_tcp(&l->net, ep) <= 0)
        return;
    while (at < ep->in_len) {
        ssize_t n;

        if (ep->in[at] == '\r' || ep->in[at] == '\n') {
            at++;
            continue;
        }
        n = sip_parse(&m, ep->in + at, ep->in_len - at);
        if (n == 0)
            break;
        if (n < 0) {
            l->malformed++;
            at = ep->in_len;
            break;
        }
        l->net.received++;
        at += (size_t)n;
        dispatch(l, ep, &ep->peer, &m);
    }
    memmove(ep->in, ep->in + at, ep->in_len - at);
    ep->in_len -= at;
}

static void run_timers(struct load *l)
{
    struct timer *t;

    while ((t = wheel_pop(&l->wheel, load_ms(l))) != NULL) {
        if (t->kind == TIMER_UAC)
            uac_timer(l, t);
        else if (t->kind == TIMER_UAS)
            uas_timer(l, t);
        else
            user_timer(l, t);
    }
}

static void ready(struct load *l, const struct epoll_event *ev)
{
    struct endpoint *ep = ev->data.ptr;

    if (!ep) {
        l->stop = true;
        return;
    }
    if (ep->dead)
        return;
    if (ev->events & EPOLLOUT)
        net_flush_one(&l->net, ep);
    if (!(ev->events & ~(unsigned)EPOLLOUT))
        return;
    if (ep->kind == NET_UDP)
        read_datagrams(l, ep);
    else if (ep->kind == NET_TCP)
        read_stream(l, ep);
    else
        while (net_accept(&l->net, ep))
            ;
}

void load_turn(struct load *l, uint64_t until)
{
    struct epoll_event ev[MAX_READY];
    uint64_t next_ms = (load_ms(l) + 1) * 1000000U, now = load_clock(), wait;
    struct timespec timeout;
    int n;

    if (l->wheel.count && next_ms < until)
        until = next_ms;
    wait = until > now ? until - now : 0;
    if (wait > NS / 10)
        wait = NS / 10;
    timeout = (struct timespec){.tv_sec = 0, .tv_nsec = (long)wait};
    n = epoll_pwait2(l->net.epoll, ev, MAX_READY, &timeout, NULL);
    l->now = load_clock();
    for (int i = 0; i < n; i++)
        ready(l, &ev[i]);
    run_timers(l);
    net_flush(&l->net);
}
