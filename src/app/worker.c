/* SPDX-License-Identifier: Apache-2.0 */
#include "app/worker.h"

#include <time.h>

#include "admin/admin.h"
#include "base/alloc.h"
#include "base/event.h"
#include "base/pool.h"
#include "base/random.h"
#include "base/wheel.h"
#include "health/health.h"
#include "load/line.h"
#include "net/loop.h"
#include "net/resolver.h"
#include "sip/write.h"

#define MAILBOX_MAX    65536 /* mails */
#define MAILS_PER_TURN 4096  /* so that sockets have their turn too */
#define EXPIRE_MS      1000
#define DRAIN_LOOK_MS  20
/* Out of the line in one turn: the more, the more leaves as one, and the more has come meanwhile
 * and is taken as one; but it has waited. With half of these the wait is half as long, and over
 * many connections two thirds of the calls are begun. docs/performance.md has the figures. */
#define LINE_MS       4
#define LINE_PER_TURN 64  /* calls that are begun */
#define LINE_LOOKS    512 /* and refused */

/* Messages of one turn that the trace is told of as of one moment, some ten microseconds. */
#define WIRE_PER_CLOCK 16

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

/* A SIP message on its way to its home: this, then its bytes. It is parsed anew there, which is
 * cheaper than to move its offsets with the slices of its topmost Via. */
struct sip_mail {
    struct flow_origin origin;
    bool is_stream;
};

/* What ICMP says of a request, on its way to the worker that has sent it. */
struct icmp_mail {
    struct sip_quote quote;
    struct addr remote;
    int err;
};

/* --- whose message is it --- */

unsigned worker_home(const struct shared *shared, struct slice call_id)
{
    return (unsigned)(hash_slice(&shared->key, call_id) % shared->nworkers);
}

/* A response goes to the worker whose transaction is named by our branch; everything else to the
 * home of its Call-ID. */
static unsigned home_of(const struct worker *w, const struct sip_msg *m)
{
    uint64_t id;
    uint32_t loop;
    if (w->shared->nworkers == 1)
        return w->index;
    if (!m->is_request && sip_branch_parse(m->via.branch, &id, &loop) == 0) {
        unsigned owner = pool_id_worker(id);
        return owner < w->shared->nworkers ? owner : w->index;
    }
    return worker_home(w->shared, sip_get(m, m->call_id));
}

static int hand_over(struct worker *w, unsigned home, const struct sip_msg *m,
                     const struct flow_origin *origin)
{
    struct mail *mail = mail_new(MAIL_SIP, w->index, sizeof(struct sip_mail) + m->len);
    if (mail == NULL)
        return ERR_FULL;
    struct sip_mail head = {.origin = *origin, .is_stream = origin->transport != SIP_UDP};
    memcpy(mail->payload, &head, sizeof(head));
    memcpy(mail->payload + sizeof(head), m->base, m->len);
    if (mailbox_post(w->shared->mailboxes[home], mail) == 0)
        return 0;
    counter_inc(&w->counters, CTR_MAILBOX_FULL);
    EVENT_LOG(EV_MAILBOX_FULL, LF_INT("worker", home), LF_INT("from", w->index));
    mail_free(&mail);
    return ERR_FULL;
}

/* --- the dispatch --- */

static void dispatch_request(struct worker *w, const struct sip_msg *m,
                             const struct flow_origin *origin, int64_t waited_ms)
{
    uint64_t invite = 0;
    switch (txn_on_request(w->txns, m, origin, &invite)) {
    case TXN_ABSORBED: break;
    case TXN_ACK: proxy_on_ack(w->proxy, m, origin); break;
    case TXN_CANCEL: proxy_on_cancel(w->proxy, m, origin, invite); break;
    case TXN_NEW:
        if (!proxy_admit(w->proxy, m, origin, waited_ms))
            break;
        w->begun += m->method == SIP_INVITE && !sip_in_dialog(m);
        if (proxy_is_for_registrar(w->proxy, m))
            registrar_on_request(w->registrar, m, origin, m->ruri.host);
        else
            proxy_on_request(w->proxy, m, origin);
        break;
    }
}

/* While the worker is late, or others stand there already, or so many were begun in this turn that
 * it would be late by more. */
static bool stands_in_line(struct worker *w, const struct sip_msg *m,
                           const struct flow_origin *origin)
{
    uint64_t now = net_now(w->loop);
    bool is_first = load_line_is_empty(&w->line);
    if (is_first &&
        (m->method != SIP_INVITE || (!load_is_lining(w->load, now) && w->begun < LINE_PER_TURN)))
        return false;
    if (!proxy_may_wait(w->proxy, m, origin))
        return false;
    if (m->method == SIP_INVITE && !load_has_room(w->load, &origin->remote, w->line.n, now)) {
        dispatch_request(w, m, origin, LOAD_NO_ROOM);
        return true;
    }
    struct sip_mail head = {.origin = *origin, .is_stream = origin->transport != SIP_UDP};
    struct slice bytes = slice_of(m->base, m->len);
    return load_line_put(&w->line, now, slice_of((const char *)&head, sizeof(head)), bytes,
                         m->method == SIP_CANCEL) == 0;
}

static void dispatch(struct worker *w, const struct sip_msg *m, const struct flow_origin *origin)
{
    if (!m->is_request)
        (void)txn_on_response(w->txns, m, origin);
    else if (!stands_in_line(w, m, origin))
        dispatch_request(w, m, origin, LOAD_AT_ONCE);
}

static int on_message(void *user, const struct sip_msg *m, const struct flow_origin *origin)
{
    struct worker *w = user;
    unsigned home = home_of(w, m);
    if (home != w->index)
        return hand_over(w, home, m, origin);
    dispatch(w, m, origin);
    return 0;
}

static void on_flow_event(void *user, const struct flow_event *ev)
{
    struct worker *w = user;
    txn_on_flow_event(w->txns, ev);
    if (w->health != NULL)
        health_on_flow_event(w->health, ev);
}

/* Without room at the worker whose request it is, its timers go on as if nothing had been said. */
static void send_icmp(struct worker *w, unsigned owner, const struct icmp_mail *m)
{
    struct mail *mail = mail_new(MAIL_ICMP, w->index, sizeof(*m));
    if (mail != NULL)
        memcpy(mail->payload, m, sizeof(*m));
    if (mail != NULL && mailbox_post(w->shared->mailboxes[owner], mail) == 0)
        return;
    counter_inc(&w->counters, CTR_ICMP_IGNORED);
    mail_free(&mail);
}

/* The kernel gives it to any socket of that port. */
static void on_unreached(void *user, const struct addr *remote, int err, struct slice quote)
{
    struct worker *w = user;
    struct icmp_mail m = {.remote = *remote, .err = err};
    if (sip_quote_read(quote, &m.quote) != 0) {
        counter_inc(&w->counters, CTR_ICMP_IGNORED);
        return;
    }
    unsigned owner = m.quote.is_request ? pool_id_worker(m.quote.id) : w->index;
    if (owner == w->index || owner >= w->shared->nworkers)
        txn_on_unreached(w->txns, &m.quote, remote, err);
    else
        send_icmp(w, owner, &m);
}

static void on_icmp_mail(struct worker *w, const struct mail *mail)
{
    struct icmp_mail m;
    memcpy(&m, mail->payload, sizeof(m));
    txn_on_unreached(w->txns, &m.quote, &m.remote, m.err);
}

static void on_wire(void *user, const struct flow_wire *wire)
{
    struct worker *w = user;
    struct timespec now;
    if (!trace_is_on(w->trace))
        return;
    if (w->wire_left-- == 0) {
        clock_gettime(CLOCK_REALTIME, &now);
        w->wire_us = (uint64_t)now.tv_sec * 1000000 + (uint64_t)now.tv_nsec / 1000;
        w->wire_left = WIRE_PER_CLOCK - 1;
    }
    trace_put(w->trace, wire, w->wire_us);
}

static bool is_idle_ack(void *user, struct slice bytes)
{
    return txn_is_idle_ack(((struct worker *)user)->txns, bytes);
}

/* A device that has been given up may be there again. */
static void on_accepted(void *user, const struct addr *remote)
{
    struct worker *w = user;
    const struct shared *s = w->shared;
    unsigned n = dn_on_connection(s->dir, remote, s->wall(s->user));
    if (n != 0)
        counter_add(&w->counters, CTR_DN_SUSPECT, n);
}

/* A struct sip_mail with the bytes behind it. */
static bool parse_mail(const struct worker *w, struct slice mail, struct sip_mail *head,
                       struct sip_msg *m, struct sip_hdr *hdrs)
{
    struct sip_fault fault;
    memcpy(head, mail.ptr, sizeof(*head));
    if (sip_msg_parse(m, mail.ptr + sizeof(*head), mail.len - sizeof(*head), head->is_stream, hdrs,
                      SIP_HDRS_MAX, &w->conf->flow.limits, &fault) != 0)
        return false;
    m->source = head->origin.remote;
    return true;
}

static void on_sip_mail(struct worker *w, struct mail *mail)
{
    struct sip_mail head;
    struct sip_hdr hdrs[SIP_HDRS_MAX];
    struct sip_msg m;
    if (parse_mail(w, slice_of((const char *)mail->payload, mail->size), &head, &m, hdrs))
        dispatch(w, &m, &head.origin);
}

/* Those who stand in line, when all that goes before them has been looked at. Some of them only,
 * so that more of that can come in between. */
static void look_at_line(struct worker *w)
{
    struct load_waiting first;
    struct sip_mail head;
    struct sip_hdr hdrs[SIP_HDRS_MAX];
    struct sip_msg m;
    w->begun = 0;
    if (load_line_is_empty(&w->line))
        return;
    uint64_t now = net_clock(w->loop);
    flows_flush(w->flows); /* what goes before them does not wait for them */
    for (unsigned i = 0; i < LINE_LOOKS && w->begun < LINE_PER_TURN; i++) {
        if (!load_line_first(&w->line, &first))
            return;
        uint64_t waited = now > first.since ? now - first.since : 0;
        if (i == 0)
            load_on_line(w->load, waited);
        if (parse_mail(w, first.bytes, &head, &m, hdrs))
            dispatch_request(w, &m, &head.origin, (int64_t)waited);
        load_line_drop(&w->line);
        if (net_clock(w->loop) - now >= LINE_MS)
            break;
    }
    net_wake(w->loop);
}

static void on_admin_mail(struct worker *w, struct mail *mail)
{
    struct admin_rooms rooms = {.now = flows_time(w->flows),
                                .flows = w->flows,
                                .txns = w->txns,
                                .calls = w->calls,
                                .proxy = w->proxy,
                                .resolver = w->resolver,
                                .load = w->load,
                                .trace = w->trace};
    admin_on_mail(mail, &rooms);
}

/* --- turns of the loop --- */

/* A drain goes on over a reload. */
static void use_proxy_conf(struct worker *w)
{
    w->draining = w->conf->proxy;
    w->is_refusing = atomic_load(&w->refuses_calls);
    w->draining.answer_only = w->has_stopped_accepting || w->is_refusing;
    proxy_set_conf(w->proxy, &w->draining);
}

static void take_conf(struct worker *w)
{
    const struct conf *conf = atomic_exchange(&w->next_conf, NULL);
    if (conf == NULL)
        return;
    w->conf = conf;
    struct flow_conf flow = conf->flow;
    flow.counts = w->shared->flow_counts;
    flow.aliases = w->shared->flow_aliases;
    flow.tls = w->shared->flow_tls;
    flows_set_conf(w->flows, &flow);
    txns_set_conf(w->txns, &conf->txn);
    calls_set_conf(w->calls, &conf->calls);
    route_set_conf(w->route, &conf->route);
    use_proxy_conf(w);
    registrar_set_conf(w->registrar, &conf->registrar);
    health_set_dns(w->health, conf->dns, conf->ndns);
    health_set_groups(w->health, conf->groups, conf->ngroups);
    load_set_conf(w->load, &conf->load);
    net_resolver_set_conf(w->resolver, &conf->resolver);
    trace_set_conf(w->trace, &conf->trace);
    atomic_store(&w->seen_conf, conf);
}

/* An application has another active member, or is there again, or no longer. */
static void look_at_groups(struct worker *w)
{
    uint64_t epoch = groups_epoch(w->shared->groups);
    if (epoch == w->groups_epoch)
        return;
    w->groups_epoch = epoch;
    health_on_groups(w->health);
    proxy_on_groups(w->proxy);
}

static void look_at_drain(struct worker *w)
{
    if (!atomic_load_explicit(&w->is_draining, memory_order_relaxed) || w->has_drained)
        return;
    if (!w->has_stopped_accepting) {
        flows_stop_accepting(w->flows);
        health_stop(w->health);
        w->has_stopped_accepting = true;
        use_proxy_conf(w);
    }
    if (atomic_load_explicit(&w->is_giving_up, memory_order_relaxed) && !w->has_given_up) {
        w->has_given_up = true;
        proxy_give_up(w->proxy);
    }
    if (txns_pending(w->txns) != 0) {
        timer_set(&w->wheel, &w->drain, w->wheel.now + DRAIN_LOOK_MS);
        return;
    }
    w->has_drained = true;
    w->shared->on_drained(w->shared->user, w->index);
}

static void on_wake(void *user)
{
    struct worker *w = user;
    struct mail *mail;
    wheel_advance(&w->wheel, net_now(w->loop));
    if (atomic_load_explicit(&w->is_stopping, memory_order_relaxed))
        net_stop(w->loop);
    atomic_store(&w->pending, txns_pending(w->txns));
    atomic_store(&w->answered, atomic_load(&w->asked));
    take_conf(w);
    look_at_groups(w);
    if (atomic_load(&w->refuses_calls) != w->is_refusing)
        use_proxy_conf(w);
    look_at_drain(w);
    unsigned n = 0;
    while (n++ < MAILS_PER_TURN && (mail = mailbox_take(&w->mailbox)) != NULL) {
        if (mail->kind == MAIL_FLOW) {
            flows_on_mail(w->flows, mail);
            continue;
        }
        if (mail->kind == MAIL_ADMIN) {
            on_admin_mail(w, mail);
            continue;
        }
        if (mail->kind == MAIL_ICMP)
            on_icmp_mail(w, mail);
        else
            on_sip_mail(w, mail);
        mail_free(&mail);
    }
    if (n > MAILS_PER_TURN)
        net_wake(w->loop);
}

static void on_alarm(void *user)
{
    struct worker *w = user;
    wheel_advance(&w->wheel, net_now(w->loop));
}

/* When all of it has been done and sent. */
static void look_at_load(struct worker *w)
{
    struct net_late late;
    net_take_late(w->loop, &late);
    load_on_buffer(w->load, late.full, late.dropped);
    load_on_turn(w->load, late.ms, atomic_load_explicit(&w->mailbox.count, memory_order_relaxed),
                 late.now);
}

static void on_turn_end(void *user)
{
    struct worker *w = user;
    w->wire_left = 0;
    wheel_advance(&w->wheel, net_now(w->loop));
    look_at_line(w);
    flows_flush(w->flows);
    trace_flush(w->trace);
    look_at_load(w);
    w->wire_left = w->begun = 0;
    net_alarm(w->loop, wheel_next(&w->wheel));
}

static void on_expire(struct timer *t, uint64_t now)
{
    struct worker *w = container_of(t, struct worker, expire);
    unsigned left = dn_expire(w->shared->dir, w->shared->wall(w->shared->user));
    atomic_store_explicit(&w->counters.v[CTR_BINDINGS], left, memory_order_relaxed);
    atomic_store_explicit(&w->counters.v[CTR_STORE_ERROR], dn_dir_store_errors(w->shared->dir),
                          memory_order_relaxed);
    unsigned out, back;
    dn_take_decided(w->shared->dir, &out, &back);
    counter_add(&w->counters, CTR_DN_OOS, out);
    counter_add(&w->counters, CTR_DN_BACK, back);
    timer_set(&w->wheel, t, now + EXPIRE_MS);
}

static void on_drain_timer(struct timer *t, uint64_t now)
{
    (void)now;
    look_at_drain(container_of(t, struct worker, drain));
}

/* --- made and ended --- */

static void wake_loop(void *loop)
{
    net_wake(loop);
}

static bool is_ours(void *user, const struct sip_uri *uri)
{
    struct worker *w = user;
    return route_is_ours(w->route, uri);
}

/* The record of a call that a member of an application had. */
static void on_call_gone(void *user, uint32_t member)
{
    struct worker *w = user;
    group_call_end(w->shared->groups, member);
}

static int make_rooms(struct worker *w)
{
    struct shared *s = w->shared;
    const struct conf *conf = w->conf;
    int err = txns_new(&conf->txn, &w->wheel, NULL, w->index, &s->key, &w->counters, &w->txns);
    if (err == 0)
        err = net_resolver_new(w->loop, &w->conf->resolver, &w->counters, &w->resolver);
    if (err == 0)
        net_resolver_share(w->resolver, s->names);
    if (err == 0)
        err = calls_new(&conf->calls, &w->wheel, &s->key, w->index, &w->counters, &w->calls);
    if (err == 0) {
        calls_set_ours(w->calls, is_ours, w);
        calls_set_gone(w->calls, on_call_gone, w);
    }
    if (err == 0)
        err = load_new(&conf->load, s->load, w->index, &w->counters, &w->load);
    if (err == 0)
        err = trace_new(&conf->trace, w->index, &w->counters, &w->trace);
    return err;
}

static int make_checks(struct worker *w)
{
    struct shared *s = w->shared;
    struct health_deps deps = {
        .txns = w->txns,
        .flows = w->flows,
        .route = w->route,
        .dir = s->dir,
        .wheel = &w->wheel,
        .counters = &w->counters,
        .worker = w->index,
        .nworkers = s->nworkers,
        .key = &s->key,
        .wall = s->wall,
        .user = s->user,
        .groups = s->groups,
    };
    int err = health_new(&deps, &w->health);
    if (err != 0)
        return err;
    health_set_dns(w->health, w->conf->dns, w->conf->ndns);
    health_set_groups(w->health, w->conf->groups, w->conf->ngroups);
    return 0;
}

/* The rooms above flows need them, so they are made when the listeners stand. */
static int make_users(struct worker *w)
{
    struct shared *s = w->shared;
    struct route_deps route = {
        .dir = s->dir,
        .flows = w->flows,
        .resolver = w->resolver,
        .key = &s->lasting_key,
        .wall = s->wall,
        .user = s->user,
        .groups = s->groups,
        .counters = &w->counters,
    };
    int err = route_new(&w->conf->route, &route, &w->route);
    if (err != 0)
        return err;
    struct proxy_deps proxy = {
        .txns = w->txns,
        .flows = w->flows,
        .route = w->route,
        .dir = s->dir,
        .auth = s->auth,
        .wheel = &w->wheel,
        .counters = &w->counters,
        .key = &s->key,
        .lasting_key = &s->lasting_key,
        .wall = s->wall,
        .user = s->user,
        .calls = w->calls,
        .groups = s->groups,
        .load = w->load,
    };
    err = proxy_new(&w->conf->proxy, &proxy, &w->proxy);
    if (err != 0)
        return err;
    struct registrar_deps registrar = {w->txns, s->dir,  s->auth, w->flows, &w->counters,
                                       s->wall, s->user, is_ours, w,        w->load};
    err = registrar_new(&w->conf->registrar, &registrar, &w->registrar);
    return err == 0 ? make_checks(w) : err;
}

int worker_new(const struct conf *conf, struct shared *shared, unsigned index, struct worker **out)
{
    struct worker *w = mem_zalloc(sizeof(*w));
    if (w == NULL)
        return ERR_NOMEM;
    w->shared = shared;
    w->index = index;
    w->conf = conf;
    atomic_store(&w->seen_conf, conf);
    struct net_loop_events events = {on_alarm, on_wake, on_turn_end, w};
    int err = net_loop_new(&w->loop, &events);
    if (err != 0) {
        mem_free(w);
        return err;
    }
    wheel_init(&w->wheel, net_now(w->loop));
    mailbox_init(&w->mailbox, MAILBOX_MAX, wake_loop, w->loop);
    shared->mailboxes[index] = &w->mailbox;
    timer_init(&w->expire, on_expire);
    timer_init(&w->drain, on_drain_timer);
    err = make_rooms(w);
    if (err != 0)
        worker_free(&w);
    *out = w;
    return err;
}

int worker_listen(struct worker *w, struct addr *failed)
{
    struct flow_conf flow = w->conf->flow;
    struct flow_events events = {.on_message = on_message,
                                 .on_event = on_flow_event,
                                 .user = w,
                                 .on_accepted = on_accepted,
                                 .on_wire = on_wire,
                                 .is_idle_ack = is_idle_ack,
                                 .on_unreached = on_unreached};
    *failed = (struct addr){0};
    flow.counts = w->shared->flow_counts;
    flow.aliases = w->shared->flow_aliases;
    flow.tls = w->shared->flow_tls;
    int err = flows_new(w->loop, &w->wheel, &flow, w->index, w->shared->nworkers,
                        w->shared->mailboxes, &w->shared->key, &w->counters, &events, &w->flows,
                        failed);
    if (err != 0)
        return err;
    txns_set_flows(w->txns, w->flows);
    err = make_users(w);
    if (err == 0 && w->index == 0)
        timer_set(&w->wheel, &w->expire, w->wheel.now + EXPIRE_MS);
    return err;
}

void worker_run(struct worker *w)
{
    net_loop_run(w->loop);
}

void worker_free(struct worker **worker)
{
    struct worker *w = *worker;
    if (w == NULL)
        return;
    timer_stop(&w->wheel, &w->expire);
    timer_stop(&w->wheel, &w->drain);
    health_free(&w->health);
    if (w->txns != NULL)
        txns_free(&w->txns);
    if (w->resolver != NULL)
        net_resolver_free(&w->resolver);
    if (w->registrar != NULL)
        registrar_free(&w->registrar);
    if (w->proxy != NULL)
        proxy_free(&w->proxy);
    if (w->calls != NULL)
        calls_free(&w->calls);
    if (w->route != NULL)
        route_free(&w->route);
    if (w->flows != NULL)
        flows_free(&w->flows);
    if (w->load != NULL)
        load_free(&w->load);
    trace_free(&w->trace);
    load_line_fini(&w->line);
    mailbox_fini(&w->mailbox);
    w->shared->mailboxes[w->index] = NULL;
    net_loop_free(&w->loop);
    mem_free(w);
    *worker = NULL;
}

void worker_stop(struct worker *w)
{
    atomic_store(&w->is_stopping, true);
    net_wake(w->loop);
}

void worker_reload(struct worker *w, const struct conf *conf)
{
    atomic_store(&w->next_conf, conf);
    net_wake(w->loop);
}

const struct conf *worker_conf_seen(struct worker *w)
{
    return atomic_load(&w->seen_conf);
}

void worker_wake(struct worker *w)
{
    net_wake(w->loop);
}

void worker_ask(struct worker *w)
{
    atomic_fetch_add(&w->asked, 1);
    net_wake(w->loop);
}

bool worker_answered(struct worker *w)
{
    return atomic_load(&w->answered) == atomic_load(&w->asked);
}

unsigned worker_pending(struct worker *w)
{
    return atomic_load(&w->pending);
}

void worker_refuse_calls(struct worker *w, bool yes)
{
    atomic_store(&w->refuses_calls, yes);
    net_wake(w->loop);
}

void worker_drain(struct worker *w)
{
    atomic_store(&w->is_draining, true);
    net_wake(w->loop);
}

void worker_give_up(struct worker *w)
{
    atomic_store(&w->is_giving_up, true);
    net_wake(w->loop);
}

const struct counters *worker_counters(const struct worker *w)
{
    return &w->counters;
}

struct net_loop *worker_loop(struct worker *w)
{
    return w->loop;
}

struct txns *worker_txns(struct worker *w)
{
    return w->txns;
}

struct flows *worker_flows(struct worker *w)
{
    return w->flows;
}

struct calls *worker_calls(struct worker *w)
{
    return w->calls;
}

struct proxy *worker_proxy(struct worker *w)
{
    return w->proxy;
}

uint64_t worker_timers(const struct worker *w)
{
    return w->wheel.count;
}
