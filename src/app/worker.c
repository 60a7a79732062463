/* SPDX-License-Identifier: Apache-2.0 */
#include "app/worker_int.h"

#include "admin/admin.h"
#include "base/alloc.h"
#include "base/random.h"
#include "health/health.h"
#include "net/loop.h"
#include "net/resolver.h"

#define MAILBOX_MAX    65536 /* mails */
#define MAILS_PER_TURN 4096  /* so that sockets have their turn too */
#define EXPIRE_MS      1000
#define DRAIN_LOOK_MS  20

/* --- turns of the loop --- */

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
        dispatch_mail(w, mail);
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
    dispatch_line(w);
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
    struct flow_events events = dispatch_events(w);
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
