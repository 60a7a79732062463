/* SPDX-License-Identifier: Apache-2.0 */
/* Dead connections: noticing, the second connection beside a suspect one, what those are told who
 * sent.
 *
 * Per message nothing is asked of the kernel. The first bytes that go out on an idle connection
 * start one timer; it looks every FLOW_CHECK_MS at what is unacknowledged, until that is nothing.
 */
#include "flow/flow_int.h"

/* A connection that was just opened is not replaced by another one before it has worked: a peer
 * that accepts and never reads would be given one after the other. That its window took the first
 * bytes is not enough. */
static bool may_suspect(const struct flow *f)
{
    return f->owner->conf.reopen_delay_ms != 0 && !f->no_reopen && !f->is_fresh &&
           f->reopen.port != 0 && f->reopen.family != ADDR_NONE;
}

void flow_sent(struct flow *f, const struct flow_out *m)
{
    struct flows *fs = f->owner;
    if (!flows_recover(fs))
        return;
    uint64_t now = flows_now(fs), look = FLOW_CHECK_MS;
    bool is_idle = f->work == NULL;
    struct flow_work *w = flow_work_get(f);
    if (w == NULL)
        return; /* keep-alive still finds it dead, later */
    if (is_idle)
        w->acked_at = now;
    w->sent += m->len;
    flow_resent_add(w, m);
    if (!list_is_empty(&w->resent))
        look = w->resent_look;
    if ((m->flags & FLOW_SEND_REQUEST) != 0) {
        w->last_end = w->sent;
        w->last_at = now;
        if ((m->flags & FLOW_SEND_RESEND) != 0)
            w->resends++;
        if (w->mark_end == 0) {
            w->mark_end = w->sent;
            w->mark_at = now;
            w->marked = w->later = 0;
            flow_call_set(&w->mark_call, m->whose.call_id);
        } else {
            flow_call_set(&w->last_call, m->whose.call_id);
        }
        if (w->mark_end == w->sent)
            w->marked++;
        else
            w->later++;
    }
    if (!timer_is_set(&w->timer) || w->timer.due > now + look)
        timer_set(fs->wheel, &w->timer, now + look);
}

static void use_timeout(struct flow *f, bool is_short)
{
    struct flows *fs = f->owner;
    struct flow_work *w = f->work;
    if (w->is_short == is_short)
        return;
    uint32_t ms = fs->conf.unacked_timeout_ms;
    if (is_short && (ms == 0 || ms >= fs->detect_ms))
        return;
    net_stream_set_user_timeout(f->stream, is_short ? ms : fs->detect_ms);
    w->is_short = is_short;
}

/* The first connection acknowledged: the second one is not needed. */
static void healed(struct flow *f)
{
    struct flow_work *w = f->work;
    if (w->attempt != NULL || list_is_linked(&w->line)) {
        counter_inc(f->owner->counters, CTR_REOPEN_DROPPED);
        flow_attempt_drop(f);
    }
    flow_say_healed(f);
    w->fail_at = w->since = 0;
    w->cause = 0;
    flow_restage(f);
}

/* Moves the mark behind what is acknowledged. Requests between two looks share the time of the
 * newest. */
static void advance_mark(struct flow *f, uint64_t acked)
{
    struct flow_work *w = f->work;
    if (w->mark_end == 0 || acked < w->mark_end)
        return;
    healed(f);
    w->mark_end = 0;
    if (w->last_end > acked) {
        w->mark_end = w->last_end;
        w->mark_at = w->last_at;
        w->mark_call = w->last_call;
        w->marked = w->later;
        w->later = 0;
    }
}

/* What was sent up to an earlier look is acknowledged by now. */
static void advance_look(struct flow_work *w, uint64_t acked, uint64_t now)
{
    if (w->look_end != 0 && acked < w->look_end)
        return;
    if (w->look_end != 0)
        w->acked_at = w->look_at;
    w->look_end = w->sent;
    w->look_at = now;
}

static void suspect(struct flow *f)
{
    struct flow_work *w = f->work;
    w->since = w->mark_at;
    int rc = flow_open_again(f, ERR_STALE_SUSPECT, NULL);
    if (rc != 0)
        flow_second_failed(f, rc);
}

static uint64_t min64(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

static void next_look(struct flow *f, uint64_t now)
{
    struct flow_work *w = f->work;
    bool second = w->attempt != NULL || list_is_linked(&w->line);
    uint64_t due = now + (second ? FLOW_SECOND_MS : FLOW_CHECK_MS);
    if (w->fail_at != 0)
        due = min64(due, w->fail_at);
    else if (w->mark_end != 0 && !second && may_suspect(f))
        due = min64(due, w->mark_at + f->owner->conf.reopen_delay_ms);
    if (!list_is_empty(&w->resent)) {
        due = min64(due, now + w->resent_look);
        w->resent_look = w->resent_look < FLOW_CHECK_MS ? w->resent_look * 2 : FLOW_CHECK_MS;
    }
    timer_set(f->owner->wheel, &w->timer, due > now ? due : now + 1);
}

static void nothing_outstanding(struct flow *f)
{
    struct flow_work *w = f->work;
    w->is_stuck = f->is_fresh = false;
    use_timeout(f, false);
    healed(f);
    flow_resent_acked(f, UINT64_MAX);
    w->sent = w->mark_end = w->last_end = w->look_end = 0;
    w->acked_at = flows_now(f->owner);
    if (w->hold != 0)
        timer_set(f->owner->wheel, &w->timer, w->hold_until);
    else
        flow_work_put(f);
}

void flow_check(struct flow *f)
{
    struct flows *fs = f->owner;
    struct flow_work *w = f->work;
    if (w == NULL || f->state != FLOW_UP || f->doom != 0)
        return;
    size_t unacked = flows_recover(fs) ? net_stream_unacked(f->stream) : 0;
    if (unacked == 0) {
        nothing_outstanding(f);
        return;
    }
    uint64_t now = flows_now(fs), acked = w->sent > unacked ? w->sent - unacked : 0;
    w->is_stuck = true;
    use_timeout(f, true);
    advance_mark(f, acked);
    advance_look(w, acked, now);
    flow_resent_acked(f, acked);
    if (w->mark_end != 0 && w->attempt == NULL && !list_is_linked(&w->line) && w->fail_at == 0 &&
        may_suspect(f) && now >= w->mark_at + fs->conf.reopen_delay_ms)
        suspect(f);
    next_look(f, now);
}

void flow_work_timer(struct timer *t, uint64_t now)
{
    struct flow_work *w = container_of(t, struct flow_work, timer);
    struct flow *f = w->flow;
    struct flows *fs = f->owner;
    uint64_t id = f->id;
    if (w->hold != 0 && now >= w->hold_until) {
        /* Workers that are stuck: what they sent goes out as it came. */
        for (unsigned i = 0; i < fs->nworkers && flow_find(fs, id) == f && f->work != NULL; i++)
            flow_confirmed(f, i);
        return;
    }
    flow_check(f);
    if (f->work == w && f->state == FLOW_UP && w->fail_at != 0 && now >= w->fail_at)
        flow_fail(f, w->fail_err);
}

void flows_answered(struct flows *fs, uint64_t id)
{
    struct flow *f = flow_find(fs, id);
    if (f == NULL)
        return;
    f->unanswered = 0;
    if (f->work == NULL || f->state != FLOW_UP)
        return;
    struct flow_work *w = f->work;
    if (w->attempt == NULL && !list_is_linked(&w->line) && w->fail_at == 0)
        return;
    healed(f);
    w->mark_at = flows_now(fs);
}

static bool log_allowed(struct flows *fs, uint32_t *left_out)
{
    return log_limit_ok(&fs->log_dead, flows_now(fs), 100, 10000, left_out);
}

static void log_end(const struct flow *f, const char *text, int cause)
{
    uint32_t left_out;
    if (log_allowed(f->owner, &left_out))
        flow_log(f, LOG_INFO, text, cause, -1, left_out);
}

void flow_second_failed(struct flow *f, int err)
{
    struct flow_work *w = f->work;
    w->fail_err = err;
    /* A path that is merely slow may still heal: the first connection gets the delay once more, in
     * which the kernel retransmits, but never longer than an opening that is not answered takes. */
    uint32_t delay = f->owner->conf.reopen_delay_ms, most = f->owner->conf.connect_timeout_ms;
    w->fail_at = w->mark_at + delay + (delay < most ? delay : most);
    flow_restage(f);
    next_look(f, flows_now(f->owner));
}

static void tell_and_hold(struct flow *f, enum flow_event_kind kind, int err, uint64_t acked)
{
    struct flows *fs = f->owner;
    struct flow_event ev = {
        .kind = kind,
        .err = err,
        .flow = f->id,
        .acked_before = acked,
        .at = net_clock(fs->loop),
        .remote = f->remote,
        .reopen = f->reopen,
    };
    uint64_t users = f->users;
    f->users = 0;
    uint64_t others = users & ~flow_bit(fs->worker);
    f->work->hold |= others;
    f->work->hold_until = flows_now(fs) + FLOW_CONFIRM_MS;
    flow_tell(fs, users, &ev);
}

void flow_second_up(struct flow *f)
{
    struct flows *fs = f->owner;
    struct flow_work *w = f->work;
    size_t unacked = net_stream_unacked(f->stream);
    if (w->sent >= unacked && w->sent - unacked >= w->mark_end) {
        healed(f);
        flow_check(f);
        return;
    }
    uint64_t acked = w->acked_at;
    flow_count_out(f);
    net_stream_close(&f->stream, true);
    flow_in_drop(f);
    f->half_ping = false;
    counter_inc(fs->counters, CTR_STALE_SUSPECT);
    flow_use_attempt(f);
    tell_and_hold(f, FLOW_MOVED, ERR_STALE_SUSPECT, acked);
    flow_say_reopened(f);
    flow_check(f);
}

static void end_and_tell(struct flow *f, enum flow_event_kind kind, int err, bool abort)
{
    struct flows *fs = f->owner;
    struct flow_event ev = {
        .kind = kind, .err = err, .flow = f->id, .remote = f->remote, .reopen = f->reopen};
    uint64_t users = f->users;
    ev.at = net_clock(fs->loop);
    if (f->state == FLOW_UP && f->work != NULL)
        ev.acked_before = f->work->acked_at;
    flow_free(f, abort);
    flow_tell(fs, users, &ev);
}

static bool is_again(const struct flow *f)
{
    const struct flow_work *w = f->work;
    if (f->state == FLOW_UP)
        return f->reopened != 0 || (w != NULL && w->fail_at != 0);
    return w != NULL && w->cause != 0;
}

void flow_fail(struct flow *f, int err)
{
    bool again = is_again(f);
    if (again)
        counter_inc(f->owner->counters, CTR_REOPEN_FAILED);
    flow_say_failed(f, again, err, NULL);
    /* ERR_TIMEOUT is a transaction's; users must not take an opening for it. */
    end_and_tell(f, FLOW_FAILED, err == ERR_TIMEOUT ? ERR_UNREACHABLE : err, true);
}

/* How it was noticed. The kernel says ETIMEDOUT both for probes and for data that nobody
 * acknowledged; without keep-alive only the latter exists. */
static int classify(const struct flow *f, int err)
{
    struct flows *fs = f->owner;
    if (err != -ETIMEDOUT) {
        counter_inc(fs->counters, CTR_STALE_SAID);
        return err;
    }
    if (flows_recover(fs) && (f->work == NULL || !f->work->is_stuck)) {
        counter_inc(fs->counters, CTR_STALE_IDLE);
        return ERR_STALE_IDLE;
    }
    counter_inc(fs->counters, CTR_STALE_UNACKED);
    return ERR_STALE_UNACKED;
}

/* Keeps the slot: whoever was told DEAD and sends again at once opens the connection under the same
 * id. */
static void await_senders(struct flow *f, int cause, uint64_t acked)
{
    struct flows *fs = f->owner;
    struct flow_work *w = f->work;
    bool second = w->attempt != NULL || list_is_linked(&w->line);
    f->state = second ? FLOW_OPENING : FLOW_GONE;
    w->cause = cause;
    flow_restage(f);
    if (w->since == 0)
        w->since = flows_now(fs);
    w->sent = w->mark_end = w->last_end = 0;
    w->is_short = w->is_stuck = false;
    flow_resent_drop(w);
    timer_stop(fs->wheel, &w->timer);
    tell_and_hold(f, FLOW_DEAD, cause, acked);
    if (w->hold != 0)
        timer_set(fs->wheel, &w->timer, w->hold_until);
    else if (w->queued == 0)
        flow_free(f, true);
}

/* The peer, or a router, has said that the connection is over, and both sides know. */
static bool is_said_over(int cause)
{
    return cause != ERR_STALE_IDLE && cause != ERR_STALE_UNACKED && cause != ERR_STALE_WEDGED;
}

/* One that is said to be over is a matter for the timeline when it is opened again. */
static void say_dead(struct flow *f, int cause)
{
    if (is_said_over(cause))
        log_end(f, "connection ended", cause);
    else
        flow_say_stale(f, cause);
}

static void lost(struct flow *f, int cause, bool abort)
{
    struct flows *fs = f->owner;
    uint64_t acked = f->work != NULL ? f->work->acked_at : flows_now(fs);
    bool has_work = flows_recover(fs) && flow_work_get(f) != NULL;
    say_dead(f, cause);
    if (!has_work) {
        end_and_tell(f, FLOW_DEAD, cause, abort);
        return;
    }
    flow_count_out(f);
    net_stream_close(&f->stream, abort);
    counter_dec(fs->counters, CTR_FLOWS);
    flow_in_drop(f);
    f->half_ping = false;
    await_senders(f, cause, acked);
}

/* A connection that we have opened, and that was no better than none: never was all acknowledged on
 * it, and nothing came; or it was up for us only, since with TLS 1.3 the peer refuses our
 * certificate after that. */
static bool never_worked(const struct flow *f, int cause)
{
    if (f->is_ours && !f->has_spoken && flow_is_tls_error(cause)) {
        counter_inc(f->owner->counters, CTR_FLOW_OPEN_FAILED);
        flow_peer_failed(f->owner, &f->reopen, f->tls_peer);
        return true;
    }
    return f->is_fresh && cause == ERR_STALE_UNACKED;
}

void flow_ended(struct flow *f, int err)
{
    if (f->doom != 0 || f->lame) {
        f->doom = f->doom != 0 ? f->doom : (int16_t)err;
        flow_end_doomed(f);
        return;
    }
    int cause = classify(f, err);
    if (never_worked(f, cause) || (f->work != NULL && f->work->fail_at != 0)) {
        if (is_again(f))
            flow_say_stale(f, cause);
        flow_fail(f, cause);
        return;
    }
    lost(f, cause, err != ERR_CLOSED);
}

void flow_end_doomed(struct flow *f)
{
    struct flows *fs = f->owner;
    int err = f->doom;
    bool slow = err == ERR_SLOW_READER;
    if (slow)
        counter_inc(fs->counters, CTR_FLOW_SLOW_READER);
    if (err == ERR_STALE_WEDGED)
        counter_inc(fs->counters, CTR_STALE_WEDGED);
    if (slow)
        flow_event(f, EV_SLOW_READER, 0, NULL);
    else if (err != ERR_TLS_ON_PLAIN && err != ERR_STALE_WEDGED) /* these have their own lines */
        log_end(f, "connection closed", err);
    if (err != ERR_STALE_WEDGED || f->state != FLOW_UP) {
        end_and_tell(f, slow ? FLOW_FAILED : FLOW_DEAD, err, slow);
        return;
    }
    list_remove(&f->doomed);
    f->doom = 0;
    lost(f, err, true);
}
