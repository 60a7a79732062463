/* SPDX-License-Identifier: Apache-2.0 */
/* Private to worker.c (rooms, configuration, turns) and dispatch.c (whose message it is, and who
 * takes it).
 *
 * owns: struct worker. thread: the worker's, but for what is atomic. */
#ifndef APP_WORKER_INT_H
#define APP_WORKER_INT_H

#include "app/worker.h"
#include "base/wheel.h"
#include "load/line.h"

struct worker {
    struct shared *shared;
    unsigned index;
    const struct conf *conf;
    _Atomic(const struct conf *) next_conf; /* given by main, not yet taken */
    _Atomic(const struct conf *) seen_conf;
    _Atomic bool is_stopping, is_draining, is_giving_up, refuses_calls;
    _Atomic unsigned asked, answered; /* by main, whether it still turns */
    _Atomic unsigned pending;         /* transactions, when it last answered */
    bool has_drained, has_stopped_accepting, has_given_up, is_refusing;
    struct net_loop *loop;
    struct wheel wheel;
    struct mailbox mailbox;
    struct counters counters;
    struct flows *flows;
    struct txns *txns;
    struct net_resolver *resolver;
    struct route *route;
    struct calls *calls;
    struct proxy *proxy;
    struct registrar *registrar;
    struct health *health;
    struct load *load;
    struct trace *trace;
    uint64_t wire_us;      /* since 1970: when messages were last told to the trace */
    unsigned wire_left;    /* so many more are given that time */
    struct load_line line; /* new calls, while the worker is late */
    unsigned begun;        /* calls let in, since the line was last looked at */
    uint64_t groups_epoch; /* the last one that was looked at */
    struct timer expire, drain;
    struct proxy_conf draining; /* the proxy's settings while it takes no new calls */
};

/* What a worker's flows call. */
struct flow_events dispatch_events(struct worker *w);
/* From another worker: MAIL_SIP or MAIL_ICMP. The mail stays its caller's. */
void dispatch_mail(struct worker *w, struct mail *mail);
/* Calls that stand in line, when all that goes before them has been looked at. Some of them only,
 * so that more of that can come in between. */
void dispatch_line(struct worker *w);

#endif
