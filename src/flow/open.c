/* SPDX-License-Identifier: Apache-2.0 */
/* Opening of connections: the first beneath a flow, a new one beneath a dead flow, a second one
 * beside a suspect one. */
#include "flow/flow_int.h"

static void on_attempt_open(void *user);
static void on_attempt_end(void *user, int err);

/* Before it is up a stream brings no bytes; after that it has other events. */
static void on_attempt_data(void *user, const char *data, size_t len)
{
    (void)user;
    (void)data;
    (void)len;
}

static const struct net_stream_events attempt_events = {on_attempt_open, on_attempt_data,
                                                        on_attempt_end};

/* Does the error speak of the destination, and not of ourselves? */
static bool is_peers_fault(int err)
{
    return err == -ECONNREFUSED || err == -ETIMEDOUT || err == -EHOSTUNREACH ||
           err == -ENETUNREACH || err == -ECONNRESET || err == -EHOSTDOWN || err == ERR_CLOSED ||
           flow_is_tls_error(err);
}

/* With what rules, and what name is to be proved; `ip` is room for an address. The context is held.
 * False: there are no rules. */
static bool tls_client(const struct flow *f, const struct addr *target, char *ip,
                       struct net_tls_client *out)
{
    struct flow_tls *tls = f->owner->conf.tls;
    *out = (struct net_tls_client){.tls = tls != NULL ? flow_tls_context(tls, f->tls_peer) : NULL,
                                   .counters = f->owner->counters};
    if (out->tls == NULL)
        return false;
    out->name = flow_tls_name(tls, f->tls_peer).ptr;
    if (out->name[0] == '\0')
        out->name = addr_write_ip(target, false, ip);
    return true;
}

static int open_stream(struct flow *f, const struct addr *target)
{
    struct flows *fs = f->owner;
    struct flow_work *w = f->work;
    struct net_tls_client client = {.tls = NULL}, *tls = NULL;
    char ip[ADDR_TEXT_MAX];
    struct addr local;
    if (f->transport == SIP_TLS) {
        if (!tls_client(f, target, ip, &client))
            return ERR_NO_ROUTE;
        tls = &client;
    }
    flow_bind_addr(fs, target, &f->local, &local);
    w->target = *target;
    int rc = net_stream_open(fs->loop, &local, target, &fs->sockopt, fs->conf.connect_timeout_ms,
                             tls, &attempt_events, f, &w->attempt);
    if (rc == -EADDRNOTAVAIL && local.family != ADDR_NONE) {
        local.family = ADDR_NONE; /* the address the peer knew is not ours any more */
        rc = net_stream_open(fs->loop, &local, target, &fs->sockopt, fs->conf.connect_timeout_ms,
                             tls, &attempt_events, f, &w->attempt);
    }
    net_tls_release(&client.tls);
    if (rc != 0)
        w->attempt = NULL;
    else
        net_stream_set_max(w->attempt, fs->conf.max_queue);
    return rc;
}

/* After a refusal the second port is tried, once. */
static int open_next(struct flow *f, int err)
{
    struct flow_work *w = f->work;
    if (err != -ECONNREFUSED || f->alt_port == 0 || w->tried_alt || f->alt_port == w->target.port)
        return err;
    struct addr target = f->reopen;
    target.port = f->alt_port;
    w->tried_alt = true;
    return open_stream(f, &target);
}

static int open_now(struct flow *f)
{
    f->work->tried_alt = false;
    int rc = open_stream(f, &f->reopen);
    if (rc != 0)
        rc = open_next(f, rc);
    if (rc != 0) {
        counter_inc(f->owner->counters, CTR_FLOW_OPEN_FAILED);
        if (is_peers_fault(rc))
            flow_peer_failed(f->owner, &f->reopen, f->tls_peer);
    }
    return rc;
}

/* The last try failed. */
static void attempt_failed(struct flow *f, int err)
{
    struct flows *fs = f->owner;
    counter_inc(fs->counters, CTR_FLOW_OPEN_FAILED);
    if (is_peers_fault(err))
        flow_peer_failed(fs, &f->reopen, f->tls_peer);
    if (f->state == FLOW_UP)
        flow_second_failed(f, err);
    else
        flow_fail(f, err);
}

static void on_attempt_end(void *user, int err)
{
    struct flow *f = user;
    net_stream_close(&f->work->attempt, true);
    int rc = open_next(f, err);
    if (rc != 0)
        attempt_failed(f, rc);
}

/* What takes the place of a connection whose peer had shown a certificate is verified as strictly,
 * whatever the rules for opened connections say. 0 or the TLS error. */
static int check_proof(const struct flow *f)
{
    const struct net_stream *s = f->work->attempt;
    struct net_tls_info tls;
    if (!f->was_verified)
        return 0;
    if (net_stream_tls_info(s, &tls) != 0 || !tls.has_peer) {
        counter_inc(f->owner->counters, CTR_TLS_NO_CERTIFICATE);
        return ERR_TLS_NO_CERTIFICATE;
    }
    if (!f->has_proved || net_stream_peer_is(s, flow_tls_name(f->owner->conf.tls, f->proved)))
        return 0;
    counter_inc(f->owner->counters, CTR_TLS_NAME);
    return ERR_TLS_NAME;
}

/* To be found by what this connection has proved, and by nothing else. */
static void index_anew(struct flow *f)
{
    bool is_proved = f->key != NULL && (f->key->tls_peer == f->tls_peer ||
                                        (f->has_proved && f->key->tls_peer == f->proved));
    if (!is_proved)
        flow_unindex(f);
    flow_index(f, &f->reopen, f->tls_peer);
}

void flow_use_attempt(struct flow *f)
{
    struct flow_work *w = f->work;
    flow_sources_drop(flow_counts_sources(f->owner->counts), f);
    f->stream = w->attempt;
    w->attempt = NULL;
    f->is_ours = f->is_fresh = true;
    f->has_spoken = false;
    f->unanswered = 0;
    f->remote = w->target;
    net_stream_local(f->stream, &f->local);
    net_stream_set(f->stream, &flow_stream_events, f);
    index_anew(f);
    if (w->cause != 0) {
        counter_inc(f->owner->counters, CTR_REOPENED);
        f->reopened++;
        f->last_cause = (int16_t)w->cause;
        flow_note_reopened(f, w->cause);
    }
    w->cause = 0;
    w->sent = w->mark_end = w->last_end = w->since = 0;
    w->acked_at = w->look_end = w->fail_at = 0;
    w->is_short = w->is_stuck = false;
    flow_resent_drop(w);
    flow_restage(f);
}

static void first_up(struct flow *f)
{
    flow_use_attempt(f);
    f->state = FLOW_UP;
    flow_restage(f);
    counter_inc(f->owner->counters, CTR_FLOWS);
    flow_flush_queue(f);
    flow_say_reopened(f);
    flow_check(f);
}

static void on_attempt_open(void *user)
{
    struct flow *f = user;
    struct flows *fs = f->owner;
    int rc = check_proof(f);
    if (rc != 0) {
        net_stream_close(&f->work->attempt, true);
        attempt_failed(f, rc);
        return;
    }
    counter_inc(fs->counters, CTR_FLOW_OPENED);
    flow_peer_ok(fs, &f->reopen, f->tls_peer);
    if (f->state == FLOW_UP)
        flow_second_up(f);
    else
        first_up(f);
}

int flow_open(struct flows *fs, const struct flow_dest *dest, struct flow **out)
{
    struct flow *f;
    if (dest->remote.port == 0 || !flows_has(fs, dest->transport, dest->remote.family))
        return ERR_NO_ROUTE;
    uint32_t tls_peer = dest->transport == SIP_TLS ? dest->tls_peer : 0;
    int rc = flow_peer_check(fs, &dest->remote, tls_peer);
    if (rc == 0)
        rc = flow_new(fs, dest->transport, &dest->remote, &dest->local, true, &f);
    if (rc != 0)
        return rc;
    f->is_opened = true;
    f->tls_peer = tls_peer;
    f->reopen = dest->remote;
    f->alt_port = dest->alt_port;
    rc = flow_open_again(f, 0, NULL);
    if (rc != 0) {
        flow_free(f, true);
        return rc;
    }
    flow_index(f, &f->reopen, tls_peer);
    *out = f;
    return 0;
}

static int open_again(struct flow *f, int cause)
{
    struct flows *fs = f->owner;
    if (f->reopen.port == 0 || f->reopen.family == ADDR_NONE)
        return ERR_NO_ROUTE;
    int rc = flow_peer_check(fs, &f->reopen, f->tls_peer);
    if (rc != 0)
        return rc;
    struct flow_work *w = flow_work_get(f);
    if (w == NULL)
        return ERR_NOMEM;
    w->cause = cause;
    flow_restage(f);
    if (w->since == 0)
        w->since = flows_now(fs);
    if (flow_peer_may_open(fs, &f->reopen, w)) {
        rc = open_now(f);
        if (rc != 0 && f->state == FLOW_GONE)
            counter_inc(fs->counters, CTR_REOPEN_FAILED);
        if (rc != 0)
            return rc;
    }
    if (f->state == FLOW_GONE)
        f->state = FLOW_OPENING;
    flow_restage(f);
    return 0;
}

int flow_open_again(struct flow *f, int cause, const struct flow_out *m)
{
    if (cause != 0)
        flow_say_stale(f, cause);
    int rc = open_again(f, cause);
    /* Beside a suspect one it may still heal; who asks for a dead one is refused at once. */
    if (rc != 0 && cause != 0 && f->state == FLOW_GONE &&
        (f->work == NULL || f->work->said != FLOW_SAID_FAILED))
        flow_say_failed(f, true, rc, m);
    return rc;
}

void flow_open_turn(struct flow *f)
{
    int rc = open_now(f);
    if (rc == 0)
        return;
    if (f->state == FLOW_UP)
        flow_second_failed(f, rc);
    else
        flow_fail(f, rc);
}

void flow_attempt_drop(struct flow *f)
{
    struct flow_work *w = f->work;
    if (w == NULL)
        return;
    list_remove(&w->line);
    net_stream_close(&w->attempt, true);
}
