/* SPDX-License-Identifier: Apache-2.0 */
/* The way out: which worker, which flow, now or later. */
#include "base/alloc.h"
#include "flow/flow_int.h"

static uint32_t tls_peer_of(const struct flow_dest *dest)
{
    return dest->transport == SIP_TLS ? dest->tls_peer : 0;
}

int flows_send_for(struct flows *fs, struct flow_dest *dest, const struct flow_whose *whose,
                   const void *bytes, size_t len, unsigned flags)
{
    if (dest->transport == SIP_UDP)
        return flow_udp_send(fs, dest, bytes, len, flags);
    if (dest->transport != SIP_TCP && dest->transport != SIP_TLS)
        return ERR_NO_ROUTE;
    if (dest->flow == 0 && fs->aliases != NULL) {
        struct flow_alias alias = {dest->remote, dest->transport, tls_peer_of(dest)};
        dest->flow = flow_aliases_find(fs->aliases, &alias);
    }
    unsigned owner = dest->flow != 0 ? flow_id_owner(fs, dest->flow)
                                     : flow_addr_owner(fs, dest->transport, &dest->remote);
    struct flow_out m = {bytes, len, dest->since, flags, fs->worker, {SLICE_NONE, SLICE_NONE}};
    if (whose != NULL)
        m.whose = *whose;
    if (owner != fs->worker)
        return flow_mail_send(fs, owner, dest, &m);
    return flow_send_local(fs, dest, &m);
}

int flows_send(struct flows *fs, struct flow_dest *dest, const void *bytes, size_t len,
               unsigned flags)
{
    return flows_send_for(fs, dest, NULL, bytes, len, flags);
}

int flow_enqueue(struct flow *f, struct list *list, const struct flow_out *m)
{
    struct flow_work *w = f->work;
    size_t max = f->owner->conf.max_queue;
    if (m->len > max - w->queued || w->queued > max)
        return ERR_FULL;
    struct slice call_id = m->whose.call_id;
    struct flow_queued *q = mem_alloc(sizeof(*q) + m->len + call_id.len);
    if (q == NULL)
        return ERR_NOMEM;
    list_init(&q->node);
    q->from = m->from;
    q->flags = m->flags | (w->cause != 0 ? FLOW_WAITED : 0);
    q->since = m->since;
    q->len = m->len;
    q->call_len = call_id.len;
    memcpy(q->bytes, m->bytes, m->len);
    if (call_id.len != 0)
        memcpy(q->bytes + m->len, call_id.ptr, call_id.len);
    list_push(list, &q->node);
    w->queued += m->len;
    return 0;
}

int flow_write(struct flow *f, const struct flow_out *m)
{
    struct flows *fs = f->owner;
    int rc = net_stream_write(f->stream, m->bytes, m->len);
    if (rc == ERR_CLOSED)
        return 0; /* its end is about to be told; who waits for an answer sends again then */
    if (rc == ERR_FULL)
        flow_doom(f, ERR_SLOW_READER);
    if (rc != 0)
        return rc;
    f->last_out = flows_seconds(fs);
    counter_inc(fs->counters, CTR_MSG_OUT);
    flow_tell_wire(f, true, m->bytes, m->len);
    flow_sent(f, m);
    return 0;
}

static struct flow_queued *queue_pop(struct flow_work *w, struct list *list)
{
    struct list *node = list_pop(list);
    if (node == NULL)
        return NULL;
    struct flow_queued *q = container_of(node, struct flow_queued, node);
    w->queued -= q->len;
    return q;
}

struct slice flow_queued_call(const struct flow_queued *q)
{
    return slice_of(q->bytes + q->len, q->call_len);
}

void flow_flush_queue(struct flow *f)
{
    struct flow_queued *q;
    while (f->doom == 0 && f->work != NULL && (q = queue_pop(f->work, &f->work->queue)) != NULL) {
        struct flow_out m = {q->bytes, q->len,  q->since,
                             q->flags, q->from, {SLICE_NONE, flow_queued_call(q)}};
        int rc = flow_write(f, &m);
        mem_free(q);
        if (rc == ERR_NOMEM)
            flow_doom(f, ERR_NOMEM); /* a hole in the order is worse than a lost connection */
    }
}

/* What was held of the worker is lost, and it is told so. */
static void held_failed(struct flow *f, unsigned worker, int err)
{
    LIST_EACH_SAFE(it, tmp, &f->work->held)
    {
        struct flow_queued *q = container_of(it, struct flow_queued, node);
        if (q->from != worker)
            continue;
        list_remove(it);
        f->work->queued -= q->len;
        mem_free(q);
    }
    struct flow_event ev = {.kind = FLOW_FAILED, .err = err, .flow = f->id, .remote = f->remote};
    flow_tell(f->owner, flow_bit(worker), &ev);
}

static bool has_held(const struct flow_work *w, unsigned worker)
{
    LIST_EACH(it, &w->held)
    {
        if (container_of(it, const struct flow_queued, node)->from == worker)
            return true;
    }
    return false;
}

void flow_confirmed(struct flow *f, unsigned worker)
{
    struct flow_work *w = f->work;
    struct list mine;
    if (w == NULL || (w->hold & flow_bit(worker)) == 0)
        return;
    w->hold &= ~flow_bit(worker);
    if (f->state == FLOW_GONE && has_held(w, worker)) {
        int rc = flow_open_again(f, w->cause, NULL);
        if (rc != 0)
            held_failed(f, worker, rc);
    }
    list_init(&mine);
    LIST_EACH_SAFE(it, tmp, &w->held)
    {
        if (container_of(it, struct flow_queued, node)->from != worker)
            continue;
        list_remove(it);
        list_push(&mine, it);
    }
    list_splice(&w->queue, &mine);
    if (f->state == FLOW_UP) {
        flow_flush_queue(f);
        flow_say_reopened(f);
        flow_check(f);
    } else if (w->hold == 0 && w->queued == 0 && w->cause != 0) {
        flow_free(f, true); /* dead, and nobody has anything to send again */
    }
}

/* The device has shown a certificate that proves the name of its registered address: so must
 * whatever takes its place. */
static void note_proof(struct flow *f)
{
    if (!f->was_verified || f->has_proved || f->stream == NULL || f->tls_peer == 0)
        return;
    struct slice name = flow_tls_name(f->owner->conf.tls, f->tls_peer);
    f->has_proved = name.len != 0 && net_stream_peer_is(f->stream, name);
    f->proved = f->has_proved ? f->tls_peer : 0;
}

/* Where it would be opened again: a flow that we opened keeps its address; else the one of the
 * latest request (the Contact of the binding), and before any that of a response (the Via sent-by).
 */
static void learn_reopen(struct flow *f, const struct flow_dest *dest, unsigned flags)
{
    if ((flags & FLOW_SEND_REQUEST) != 0 && dest->no_reopen)
        f->no_reopen = true; /* and stays: requests inside a dialog do not name the DN */
    if (f->is_opened || dest->remote.port == 0 || dest->remote.family == ADDR_NONE)
        return;
    /* While it is being opened, what becomes of that is said of this address. */
    if (f->work != NULL && (f->work->attempt != NULL || list_is_linked(&f->work->line)))
        return;
    if ((flags & FLOW_SEND_REQUEST) != 0)
        f->reopen_is_contact = true;
    else if (f->reopen_is_contact)
        return;
    f->reopen = dest->remote;
    f->alt_port = dest->alt_port;
    if (!f->is_ours && f->tls_peer != tls_peer_of(dest)) {
        f->tls_peer = tls_peer_of(dest);
        note_proof(f);
    }
}

/* What is sent again may have been on its way for the first time when its sender was told: it goes
 * once. */
static void drop_held_copy(struct flow_work *w, const struct flow_out *m)
{
    LIST_EACH(it, &w->held)
    {
        struct flow_queued *q = container_of(it, struct flow_queued, node);
        if (q->from != m->from || q->len != m->len || memcmp(q->bytes, m->bytes, m->len) != 0)
            continue;
        list_remove(it);
        w->queued -= q->len;
        mem_free(q);
        return;
    }
}

static int send_on(struct flow *f, const struct flow_out *m)
{
    struct flow_work *w = f->work;
    f->users |= flow_bit(m->from);
    if (w != NULL && (w->hold & flow_bit(m->from)) != 0) {
        if ((m->flags & FLOW_SEND_RESEND) == 0)
            return flow_enqueue(f, &w->held, m);
        drop_held_copy(w, m);
    }
    if (f->state == FLOW_GONE && f->no_reopen && (m->flags & FLOW_SEND_RESEND) != 0)
        return ERR_STALE;
    if (f->state == FLOW_GONE) {
        int rc = flow_open_again(f, w->cause, m);
        if (rc != 0)
            return rc;
    }
    if (f->state == FLOW_OPENING)
        return flow_enqueue(f, &f->work->queue, m);
    return flow_write(f, m);
}

/* Never another transport than the one that was asked for: a message for TLS is not sent in the
 * clear. A connection that we have opened proved one name by the rules of one profile, so that no
 * request for another goes there (RFC 5923 9.3); responses go where their requests came from. */
static bool may_use(const struct flow *f, const struct flow_dest *dest, unsigned flags)
{
    if (f->lame || f->transport != dest->transport)
        return false;
    bool is_ours = f->is_ours || f->state == FLOW_OPENING;
    return !is_ours || (flags & FLOW_SEND_REQUEST) == 0 || f->tls_peer == tls_peer_of(dest);
}

/* A connection that was found or opened for a device is its own from now on; one that the sender
 * has named is whose it was. */
static void name_flow(struct flow *f, uint64_t asked, const struct flow_out *m)
{
    if (m->whose.dn.len != 0 && (f->id != asked || f->dn == NULL))
        flow_label(f, m->whose.dn);
}

int flow_send_local(struct flows *fs, struct flow_dest *dest, const struct flow_out *m)
{
    uint64_t asked = dest->flow;
    struct flow *f = flow_find(fs, asked);
    if (f != NULL && !may_use(f, dest, m->flags))
        f = NULL;
    if (f == NULL && dest->remote.family != ADDR_NONE && dest->remote.port != 0)
        f = flow_find_addr(fs, dest->transport, &dest->remote, tls_peer_of(dest));
    if (f == NULL) {
        int rc = flow_open(fs, dest, &f);
        if (rc != 0)
            return rc;
    }
    dest->flow = f->id;
    name_flow(f, asked, m);
    learn_reopen(f, dest, m->flags);
    return send_on(f, m);
}
