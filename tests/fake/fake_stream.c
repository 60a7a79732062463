/* SPDX-License-Identifier: Apache-2.0 */
/* Our end of connections: net/stream.h. */
#include <assert.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/alloc.h"
#include "fake/fake_int.h"

/* --- making and ending ------------------------------------------------------------------------ */

struct net_stream *fake_stream_new(struct net_loop *loop, const struct net_sockopt *opt)
{
    struct net_stream *s;
    void *token = fake_token();

    if (token == NULL)
        return NULL;
    s = fake_zalloc(sizeof(*s));
    s->token = token;
    s->loop = loop;
    s->opt = *opt;
    s->user_timeout = opt->user_timeout;
    s->max_queue = 1u << 20;
    s->opened_at = s->heard_at = loop->now;
    list_push(&loop->streams, &s->node);
    return s;
}

static void drop_queue(struct net_stream *s)
{
    s->queue.len = 0;
    mem_free(s->queue_token);
    s->queue_token = NULL;
}

void fake_streams_free(struct net_loop *loop)
{
    struct list *node;

    while ((node = list_pop(&loop->streams)) != NULL) {
        struct net_stream *s = container_of(node, struct net_stream, node);
        assert(s->state == CONN_CLOSED); /* else its owner has left it open */
        bytes_free(&s->queue);
        bytes_free(&s->kernel);
        bytes_free(&s->peer);
        bytes_free(&s->in);
        free(s);
    }
}

static void tell_end(struct net_stream *s, int err)
{
    if (s->state != CONN_UP && s->state != CONN_OPENING)
        return;
    s->state = CONN_ENDED;
    drop_queue(s);
    if (s->ev != NULL)
        s->ev->on_end(s->user, err);
}

static void on_end_event(void *object, struct bytes *data)
{
    int err;
    memcpy(&err, data->ptr, sizeof(err));
    tell_end(object, err);
}

void fake_stream_end(struct net_stream *s, int err)
{
    if (s->is_told)
        return;
    s->is_told = true;
    fake_queue(s->loop, s->loop->now, on_end_event, s, &err, sizeof(err));
}

void net_stream_set(struct net_stream *s, const struct net_stream_events *events, void *user)
{
    s->ev = events;
    s->user = user;
}

static void transmit(struct net_stream *s)
{
    struct net_loop *loop = s->loop;
    size_t n = s->queue.len;

    if (n == 0 || s->state != CONN_UP)
        return;
    if (s->forgotten) {
        drop_queue(s);
        fake_stream_end(s, -ECONNRESET);
        return;
    }
    if (s->stalled) {
        if (n > FAKE_SEND_BUFFER - s->kernel.len)
            n = FAKE_SEND_BUFFER - s->kernel.len;
        if (s->kernel.len == 0)
            s->unacked_at = loop->now;
        bytes_add(&s->kernel, s->queue.ptr, n);
    } else {
        bytes_add(&s->peer, s->queue.ptr, n);
        s->heard_at = loop->now;
    }
    bytes_drop(&s->queue, n);
    if (s->queue.len == 0)
        drop_queue(s);
}

void net_stream_close(struct net_stream **ptr, bool abort)
{
    struct net_stream *s = *ptr;

    if (s == NULL)
        return;
    if (!abort)
        transmit(s);
    drop_queue(s);
    s->state = CONN_CLOSED;
    s->aborted = abort;
    fake_unqueue(s->loop, s);
    mem_free(s->token);
    s->token = NULL;
    net_tls_release(&s->tls);
    *ptr = NULL;
}

/* --- opening and listening -------------------------------------------------------------------- */

static enum fake_policy policy_of(const struct net_loop *loop, const struct addr *a)
{
    enum fake_policy p = FAKE_ACCEPT;

    LIST_EACH(node, &loop->rules)
    {
        const struct fake_rule *r = container_of(node, const struct fake_rule, node);
        if (fake_addr_is(&r->addr, a))
            p = r->policy;
    }
    return p;
}

static void on_connect(void *object, struct bytes *data)
{
    struct net_stream *s = object;
    enum fake_policy policy = policy_of(s->loop, &s->remote);
    int err = policy == FAKE_REFUSE ? -ECONNREFUSED : 0;

    (void)data;
    if (s->state != CONN_OPENING || policy == FAKE_BLACKHOLE)
        return;
    if (err == 0 && s->tls != NULL)
        err = fake_handshake(s, policy);
    if (err == ERR_TIMEOUT)
        return;
    if (err != 0) {
        if (s->tls != NULL && err != -ECONNREFUSED)
            fake_count_refusal(s->counters, err);
        tell_end(s, err);
        return;
    }
    s->state = CONN_UP;
    s->accepted = true;
    s->heard_at = s->loop->now;
    if (s->tls != NULL && policy == FAKE_TLS_LATE)
        fake_stream_end(s, ERR_TLS_REFUSED);
    s->ev->on_open(s->user);
}

int net_stream_open(struct net_loop *loop, const struct addr *local, const struct addr *remote,
                    const struct net_sockopt *opt, uint32_t timeout_ms,
                    const struct net_tls_client *tls, const struct net_stream_events *events,
                    void *user, struct net_stream **out)
{
    struct addr source;
    struct net_stream *s;

    if (local != NULL && local->family != ADDR_NONE && !addr_is_any(local)) {
        if (!net_is_local_ip(loop, local))
            return -EADDRNOTAVAIL;
        source = *local;
    } else if (net_source_for(loop, remote, &source) != 0) {
        return -ENETUNREACH;
    }
    s = fake_stream_new(loop, opt);
    if (s == NULL)
        return ERR_NOMEM;
    s->opened = true;
    s->local = source;
    s->local.port = loop->next_port++;
    s->remote = *remote;
    s->deadline = timeout_ms != 0 ? loop->now + timeout_ms : UINT64_MAX;
    if (tls != NULL) {
        s->tls = net_tls_hold(tls->tls);
        s->counters = tls->counters;
        snprintf(s->asked, sizeof(s->asked), "%s", tls->name);
    }
    net_stream_set(s, events, user);
    fake_queue(loop, loop->now + loop->connect_ms, on_connect, s, NULL, 0);
    *out = s;
    return 0;
}

int net_listener_open(struct net_loop *loop, const struct addr *local,
                      const struct net_sockopt *opt, bool exclusive, struct counters *counters,
                      net_accept_fn *on_accept, void *user, struct net_listener **out)
{
    struct net_listener *l;
    void *token;

    if (!addr_is_any(local) && !net_is_local_ip(loop, local))
        return -EADDRNOTAVAIL;
    LIST_EACH(node, &loop->listeners)
    {
        if (exclusive && addr_eq(&container_of(node, struct net_listener, node)->local, local))
            return -EADDRINUSE;
    }
    token = fake_token();
    if (token == NULL)
        return ERR_NOMEM;
    l = fake_zalloc(sizeof(*l));
    l->token = token;
    l->loop = loop;
    l->local = *local;
    if (l->local.port == 0)
        l->local.port = loop->next_port++;
    l->opt = *opt;
    l->counters = counters;
    l->fn = on_accept;
    l->user = user;
    list_push(&loop->listeners, &l->node);
    *out = l;
    return 0;
}

void net_listener_close(struct net_listener **ptr)
{
    struct net_listener *l = *ptr;

    if (l == NULL)
        return;
    list_remove(&l->node);
    net_tls_release(&l->tls);
    mem_free(l->token);
    free(l);
    *ptr = NULL;
}

void net_listener_set_admit(struct net_listener *l, net_admit_fn *admit)
{
    l->admit = admit;
}

void net_listener_local(const struct net_listener *l, struct addr *out)
{
    *out = l->local;
}

void net_listener_set_opt(struct net_listener *l, const struct net_sockopt *opt)
{
    l->opt = *opt;
}

/* --- bytes ------------------------------------------------------------------------------------ */

int net_stream_write(struct net_stream *s, const void *bytes, size_t len)
{
    if (s->state != CONN_UP && s->state != CONN_OPENING)
        return ERR_CLOSED;
    if (len > s->max_queue || s->queue.len > s->max_queue - len)
        return ERR_FULL;
    if (s->queue_token == NULL) {
        s->queue_token = fake_token();
        if (s->queue_token == NULL)
            return ERR_NOMEM;
    }
    bytes_add(&s->queue, bytes, len);
    return 0;
}

void net_stream_set_max(struct net_stream *s, size_t max_queue)
{
    s->max_queue = max_queue;
}

void net_stream_flush_all(struct net_loop *loop)
{
    LIST_EACH(node, &loop->streams)
    transmit(container_of(node, struct net_stream, node));
}

void fake_stream_pump(struct net_stream *s)
{
    struct bytes all = s->in;

    if (s->state != CONN_UP || s->paused || s->stalled || all.len == 0 || s->ev == NULL)
        return;
    s->in = (struct bytes){0};
    s->heard_at = s->loop->now;
    s->ev->on_data(s->user, all.ptr, all.len);
    bytes_free(&all);
}

static void on_pump(void *object, struct bytes *data)
{
    (void)data;
    fake_stream_pump(object);
}

void net_stream_read_pause(struct net_stream *s, bool pause)
{
    if (s->paused && !pause)
        fake_queue(s->loop, s->loop->now, on_pump, s, NULL, 0);
    s->paused = pause;
}

void fake_stream_acknowledge(struct net_stream *s)
{
    bytes_add(&s->peer, s->kernel.ptr, s->kernel.len);
    s->kernel.len = 0;
    s->heard_at = s->loop->now;
}

/* --- facts ------------------------------------------------------------------------------------ */

size_t net_stream_unacked(const struct net_stream *s)
{
    return s->queue.len + s->kernel.len;
}

size_t net_stream_queued(const struct net_stream *s)
{
    return s->queue.len;
}

void net_stream_set_user_timeout(struct net_stream *s, uint32_t ms)
{
    s->user_timeout = ms;
}

void net_stream_local(const struct net_stream *s, struct addr *out)
{
    *out = s->local;
}

/* --- time ------------------------------------------------------------------------------------- */

/* Keep-alive probes, with TCP_USER_TIMEOUT in place of their number where it is set. */
static uint64_t idle_death(const struct net_stream *s)
{
    const struct net_loop *loop = s->loop;
    uint64_t idle = s->opt.keep_idle != 0 ? s->opt.keep_idle : loop->keep_idle;
    uint64_t interval = s->opt.keep_interval != 0 ? s->opt.keep_interval : loop->keep_interval;
    uint64_t probes = s->opt.keep_probes != 0 ? s->opt.keep_probes : loop->keep_probes;

    if (!s->opt.keep_alive)
        return UINT64_MAX;
    if (s->user_timeout != 0) {
        uint64_t u = s->user_timeout / 1000;
        probes = u > idle ? (u - idle + interval - 1) / interval : 1;
    }
    return s->heard_at + (idle + interval * probes) * 1000;
}

static uint64_t death_of(const struct net_stream *s)
{
    if (s->is_told)
        return UINT64_MAX;
    if (s->state == CONN_OPENING)
        return s->deadline;
    if (s->state != CONN_UP || !s->stalled)
        return UINT64_MAX;
    if (s->kernel.len != 0)
        return s->unacked_at + (s->user_timeout != 0 ? s->user_timeout : FAKE_RETRIES_MS);
    return idle_death(s);
}

uint64_t fake_stream_next(const struct net_loop *loop)
{
    uint64_t next = UINT64_MAX;

    LIST_EACH(node, &loop->streams)
    {
        uint64_t at = death_of(container_of(node, const struct net_stream, node));
        if (at < next)
            next = at;
    }
    return next;
}

/* One of them; the loop comes again. */
void fake_streams_expire(struct net_loop *loop)
{
    LIST_EACH(node, &loop->streams)
    {
        struct net_stream *s = container_of(node, struct net_stream, node);
        if (death_of(s) <= loop->now) {
            s->is_told = true;
            tell_end(s, -ETIMEDOUT);
            return;
        }
    }
}
