/* SPDX-License-Identifier: Apache-2.0 */
/* The way out: which worker, which flow, now or later. */
#include "base/alloc.h"
#include "flow/flow_int.h"

int flows_send(struct flows *fs, struct flow_dest *dest, const void *bytes, size_t len,
               unsigned flags)
{
    if (dest->transport == SIP_UDP)
        return flow_udp_send(fs, dest, bytes, len);
    if (dest->transport != SIP_TCP)
        return ERR_NO_ROUTE;
    if (dest->flow == 0 && fs->aliases != NULL)
        dest->flow = flow_aliases_find(fs->aliases, &dest->remote);
    unsigned owner = dest->flow != 0 ? flow_id_owner(fs, dest->flow)
                                     : flow_addr_owner(fs, dest->transport, &dest->remote);
    if (owner != fs->worker)
        return flow_mail_send(fs, owner, dest, bytes, len, flags);
    return flow_send_local(fs, dest, bytes, len, flags, fs->worker);
}

int flow_enqueue(struct flow *f, struct list *list, const void *bytes, size_t len, unsigned flags,
                 unsigned from)
{
    struct flow_work *w = f->work;
    if (len > f->owner->conf.max_queue - w->queued || w->queued > f->owner->conf.max_queue)
        return ERR_FULL;
    struct flow_queued *q = mem_alloc(sizeof(*q) + len);
    if (q == NULL)
        return ERR_NOMEM;
    list_init(&q->node);
    q->from = from;
    q->flags = flags;
    q->len = len;
    memcpy(q->bytes, bytes, len);
    list_push(list, &q->node);
    w->queued += len;
    return 0;
}

int flow_write(struct flow *f, const void *bytes, size_t len, unsigned flags)
{
    struct flows *fs = f->owner;
    int rc = net_stream_write(f->stream, bytes, len);
    if (rc == ERR_CLOSED)
        return 0; /* its end is about to be told; who waits for an answer sends again then */
    if (rc == ERR_FULL)
        flow_doom(f, ERR_SLOW_READER);
    if (rc != 0)
        return rc;
    f->last_out = flows_seconds(fs);
    counter_inc(fs->counters, CTR_MSG_OUT);
    flow_sent(f, len, flags);
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

void flow_flush_queue(struct flow *f)
{
    struct flow_queued *q;
    while (f->doom == 0 && f->work != NULL && (q = queue_pop(f->work, &f->work->queue)) != NULL) {
        int rc = flow_write(f, q->bytes, q->len, q->flags);
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

void flow_confirmed(struct flow *f, unsigned worker)
{
    struct flow_work *w = f->work;
    struct list mine;
    if (w == NULL || (w->hold & flow_bit(worker)) == 0)
        return;
    w->hold &= ~flow_bit(worker);
    list_init(&mine);
    LIST_EACH_SAFE(it, tmp, &w->held)
    {
        if (container_of(it, struct flow_queued, node)->from != worker)
            continue;
        list_remove(it);
        list_push(&mine, it);
    }
    if (!list_is_empty(&mine) && f->state == FLOW_GONE) {
        int rc = flow_open_again(f, w->cause);
        if (rc != 0) {
            list_splice(&w->held, &mine);
            held_failed(f, worker, rc);
        }
    }
    list_splice(&w->queue, &mine);
    if (f->state == FLOW_UP) {
        flow_flush_queue(f);
        flow_check(f);
    } else if (w->hold == 0 && w->queued == 0 && w->cause != 0) {
        flow_free(f, true); /* dead, and nobody has anything to send again */
    }
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
}

static int send_on(struct flow *f, const void *bytes, size_t len, unsigned flags, unsigned from)
{
    struct flow_work *w = f->work;
    f->users |= flow_bit(from);
    if (w != NULL && (w->hold & flow_bit(from)) != 0 && (flags & FLOW_SEND_RESEND) == 0)
        return flow_enqueue(f, &w->held, bytes, len, flags, from);
    if (f->state == FLOW_GONE && f->no_reopen && (flags & FLOW_SEND_RESEND) != 0)
        return ERR_STALE;
    if (f->state == FLOW_GONE) {
        int rc = flow_open_again(f, w->cause);
        if (rc != 0)
            return rc;
    }
    if (f->state == FLOW_OPENING)
        return flow_enqueue(f, &f->work->queue, bytes, len, flags, from);
    return flow_write(f, bytes, len, flags);
}

int flow_send_local(struct flows *fs, struct flow_dest *dest, const void *bytes, size_t len,
                    unsigned flags, unsigned from)
{
    struct flow *f = flow_find(fs, dest->flow);
    bool no_open = (flags & FLOW_SEND_NO_OPEN) != 0;
    if (f != NULL && f->lame)
        f = NULL;
    if (no_open && (f == NULL || f->state == FLOW_GONE))
        return ERR_STALE;
    if (f == NULL && dest->remote.family != ADDR_NONE && dest->remote.port != 0)
        f = flow_find_addr(fs, dest->transport, &dest->remote);
    if (f == NULL) {
        int rc = flow_open(fs, dest, &f);
        if (rc != 0)
            return rc;
    }
    dest->flow = f->id;
    learn_reopen(f, dest, flags);
    return send_on(f, bytes, len, flags, from);
}
