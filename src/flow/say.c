/* SPDX-License-Identifier: Apache-2.0 */
/* Standard events of a connection: dead, opened again, given up. */
#include "base/event.h"
#include "flow/flow_int.h"

#define EXTRA_MAX 6u

static const char *how_of(int cause)
{
    switch (cause) {
    case ERR_STALE_IDLE: return "keep-alive";
    case ERR_STALE_UNACKED: return "unacknowledged";
    case ERR_STALE_SUSPECT: return "suspicion";
    case ERR_STALE_WEDGED: return "wedged";
    case ERR_CLOSED: return "closed";
    default: return "reset";
    }
}

void flow_event(const struct flow *f, enum event ev, unsigned n, const struct field *extra)
{
    struct field fields[6 + EXTRA_MAX];
    struct net_tls_info tls;
    char id[16];
    struct buf b;
    unsigned k = 0;
    buf_init(&b, id, sizeof(id));
    buf_hex(&b, f->id, 16);
    fields[k++] = LF_SLICE("connection", buf_get(&b));
    if (f->dn != NULL)
        fields[k++] = LF_SLICE("dn", flow_dn(f));
    fields[k++] = LF_ADDR("peer", &f->remote);
    fields[k++] = LF_ADDR("local", &f->local);
    fields[k++] = LF_SLICE("transport", sip_transport_param((enum sip_transport)f->transport));
    if (f->stream != NULL && f->transport == SIP_TLS && net_stream_tls_info(f->stream, &tls) == 0)
        fields[k++] = LF_STR("tls", tls.resumed ? "resumed" : "full");
    for (unsigned i = 0; i < n && i < EXTRA_MAX; i++)
        fields[k++] = extra[i];
    event_log(ev, k, fields);
}

#define FLOW_EVENT(f, ev, ...)                                             \
    do {                                                                   \
        const struct field extra_[] = {__VA_ARGS__};                       \
        flow_event((f), (ev), sizeof(extra_) / sizeof(extra_[0]), extra_); \
    } while (0)

static uint64_t since_ms(const struct flow *f, uint64_t since)
{
    return since != 0 ? flows_now(f->owner) - since : 0;
}

static void say_reopened(const struct flow *f)
{
    struct flow_work *w = f->work;
    if (w == NULL || w->new_cause == 0)
        return;
    FLOW_EVENT(f, EV_CONNECTION_REOPENED, LF_STR("how", how_of(w->new_cause)),
               LF_ERR("cause", w->new_cause), LF_INT("ms", w->new_ms),
               LF_INT("resent", w->resends));
    w->new_cause = 0;
}

void flow_say_reopened(const struct flow *f)
{
    if (f->work != NULL && f->work->hold == 0)
        say_reopened(f);
}

void flow_say_stale(const struct flow *f, int cause)
{
    uint32_t silent = flows_seconds(f->owner) - f->last_in;
    if (f->work != NULL && f->work->said != FLOW_SAID_NOTHING)
        return;
    say_reopened(f); /* before the next death */
    FLOW_EVENT(f, EV_CONNECTION_STALE, LF_STR("how", how_of(cause)), LF_ERR("cause", cause),
               LF_INT("idle_ms", (uint64_t)silent * 1000));
    if (f->work != NULL)
        f->work->said = FLOW_SAID_STALE;
}

void flow_say_healed(const struct flow *f)
{
    struct flow_work *w = f->work;
    if (w->said == FLOW_SAID_STALE)
        FLOW_EVENT(f, EV_CONNECTION_HEALED, LF_INT("ms", since_ms(f, w->since)));
    w->said = FLOW_SAID_NOTHING;
}

/* Requests that are lost with a connection, and the Call-ID of the first. */
struct lost {
    unsigned n;
    struct slice call_id;
    struct sip_hdr hdrs[SIP_HDRS_MAX];
};

static void lose(struct lost *l, unsigned flags, struct slice bytes, struct slice call_id)
{
    if ((flags & FLOW_SEND_REQUEST) != 0 && l->n++ == 0)
        l->call_id = call_id.len != 0 ? call_id : sip_kept_call_id(bytes, l->hdrs);
}

static void lose_all(struct lost *l, const struct list *all)
{
    LIST_EACH(it, all)
    {
        const struct flow_queued *q = container_of(it, const struct flow_queued, node);
        lose(l, q->flags, slice_of(q->bytes, q->len), flow_queued_call(q));
    }
}

static void lose_work(struct lost *l, const struct flow_work *w)
{
    if (w->mark_end != 0) {
        l->n = w->marked + w->later;
        l->call_id = slice_of(w->mark_call.text, w->mark_call.len);
    }
    lose_all(l, &w->queue);
    lose_all(l, &w->held);
}

void flow_say_failed(const struct flow *f, bool is_again, int err, const struct flow_out *m)
{
    struct flow_work *w = f->work;
    struct field extra[5];
    struct lost lost;
    unsigned n = 0;
    say_reopened(f);
    lost.n = 0;
    lost.call_id = SLICE_NONE;
    if (w != NULL)
        lose_work(&lost, w);
    if (m != NULL)
        lose(&lost, m->flags, slice_of(m->bytes, m->len), m->whose.call_id);
    if (is_again)
        extra[n++] = LF_ADDR("tried", &f->reopen);
    extra[n++] = LF_ERR("cause", err);
    extra[n++] = LF_INT("ms", w != NULL ? since_ms(f, w->since) : 0);
    extra[n++] = LF_INT("lost", lost.n);
    if (lost.call_id.len != 0)
        extra[n++] = LF_SLICE("call_id", lost.call_id);
    flow_event(f, is_again ? EV_CONNECTION_GIVEN_UP : EV_CONNECTION_NOT_OPENED, n, extra);
    if (w != NULL)
        w->said = FLOW_SAID_FAILED;
}

void flow_note_reopened(struct flow *f, int cause)
{
    struct flow_work *w = f->work;
    w->new_cause = (int16_t)cause;
    w->new_ms = since_ms(f, w->since);
    w->resends = 0;
    w->said = FLOW_SAID_NOTHING;
}
