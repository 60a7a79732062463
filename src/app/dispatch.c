/* SPDX-License-Identifier: Apache-2.0 */
/* Whose message it is: another worker's, a transaction's, the registrar's, the proxy's; and the
 * line in which new calls stand while the worker is late. */
#include "app/worker_int.h"

#include <time.h>

#include "base/event.h"
#include "base/pool.h"
#include "health/health.h"
#include "net/loop.h"
#include "sip/write.h"

/* Out of the line in one turn: the more, the more leaves as one, and the more has come meanwhile
 * and is taken as one; but it has waited. With half of these the wait is half as long, and over
 * many connections two thirds of the calls are begun. docs/performance.md has the figures. */
#define LINE_MS       4
#define LINE_PER_TURN 64  /* calls that are begun */
#define LINE_LOOKS    512 /* and refused */

/* Messages of one turn that the trace is told of as of one moment, some ten microseconds. */
#define WIRE_PER_CLOCK 16

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
    uint64_t cancelled = 0;
    switch (txn_on_request(w->txns, m, origin, &cancelled)) {
    case TXN_ABSORBED: break;
    case TXN_ACK: proxy_on_ack(w->proxy, m, origin); break;
    case TXN_CANCEL: proxy_on_cancel(w->proxy, m, origin, cancelled); break;
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

static void on_sip_mail(struct worker *w, const struct mail *mail)
{
    struct sip_mail head;
    struct sip_hdr hdrs[SIP_HDRS_MAX];
    struct sip_msg m;
    if (parse_mail(w, slice_of((const char *)mail->payload, mail->size), &head, &m, hdrs))
        dispatch(w, &m, &head.origin);
}

void dispatch_mail(struct worker *w, struct mail *mail)
{
    if (mail->kind == MAIL_ICMP)
        on_icmp_mail(w, mail);
    else
        on_sip_mail(w, mail);
}

void dispatch_line(struct worker *w)
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

struct flow_events dispatch_events(struct worker *w)
{
    return (struct flow_events){.on_message = on_message,
                                .on_event = on_flow_event,
                                .user = w,
                                .on_accepted = on_accepted,
                                .on_wire = on_wire,
                                .is_idle_ack = is_idle_ack,
                                .on_unreached = on_unreached};
}
