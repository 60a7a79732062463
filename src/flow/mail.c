/* SPDX-License-Identifier: Apache-2.0 */
/* Between workers: sends and closes on the way to a flow's owner, events on the way back. */
#include "base/alloc.h"
#include "flow/flow_int.h"

#define PROVISIONAL 0x80u /* bit of the worker byte that no pool sets */

enum op { OP_SEND, OP_CLOSE, OP_EVENT, OP_CONFIRM, OP_UNANSWERED, OP_DN };

struct flow_mail {
    uint32_t op;           /* enum op */
    uint32_t flags;        /* SEND */
    int err;               /* CLOSE */
    uint64_t flow;         /* CLOSE, CONFIRM, UNANSWERED, DN */
    struct flow_dest dest; /* SEND */
    struct flow_event ev;  /* EVENT */
    size_t len;            /* SEND, DN: bytes behind this */
    uint8_t dn, call_id;   /* SEND: so many bytes of each in front of them */
};

/* An event or confirmation that found its mailbox full. Order is kept: while one waits, all wait.
 */
struct flow_letter {
    struct list node;
    unsigned to;
    struct mail *mail;
};

bool flow_id_is_provisional(uint64_t id)
{
    return (pool_id_worker(id) & PROVISIONAL) != 0;
}

unsigned flow_id_owner(const struct flows *fs, uint64_t id)
{
    return (pool_id_worker(id) & ~PROVISIONAL) % fs->nworkers;
}

unsigned flow_addr_owner(const struct flows *fs, enum sip_transport t, const struct addr *remote)
{
    if (fs->nworkers == 1)
        return fs->worker;
    return (unsigned)((hash_bytes(&fs->key, remote, sizeof(*remote)) ^ hash_mix(t + 1)) %
                      fs->nworkers);
}

/* Names a send whose connection the owner has still to find: owner, sender, number. */
static uint64_t provisional_id(struct flows *fs, unsigned owner)
{
    uint64_t n = ++fs->next_provisional & (((uint64_t)1 << 48) - 1);
    return (uint64_t)(PROVISIONAL | owner) << 56 | (uint64_t)fs->worker << 48 | n;
}

static uint8_t at_most(size_t len, uint8_t max)
{
    return len < max ? (uint8_t)len : max;
}

int flow_mail_send(struct flows *fs, unsigned owner, struct flow_dest *dest,
                   const struct flow_out *out)
{
    struct flow_mail m = {.op = OP_SEND,
                          .flags = out->flags,
                          .dest = *dest,
                          .len = out->len,
                          .dn = at_most(out->whose.dn.len, FLOW_DN_MAX),
                          .call_id = at_most(out->whose.call_id.len, FLOW_CALL_MAX)};
    size_t size = sizeof(m) + m.dn + m.call_id + m.len;
    struct mail *mail = mail_new(MAIL_FLOW, fs->worker, size);
    struct buf b;
    if (mail == NULL)
        return ERR_NOMEM;
    uint64_t asked = dest->flow != 0 ? dest->flow : provisional_id(fs, owner);
    m.dest.flow = asked;
    buf_init(&b, (char *)mail->payload, size);
    buf_add(&b, &m, sizeof(m));
    buf_add(&b, out->whose.dn.ptr, m.dn);
    buf_add(&b, out->whose.call_id.ptr, m.call_id);
    buf_add(&b, out->bytes, m.len);
    if (mailbox_post(fs->mailboxes[owner], mail) != 0) {
        mail_free(&mail);
        counter_inc(fs->counters, CTR_MAILBOX_FULL);
        return ERR_FULL;
    }
    dest->flow = asked;
    return 0;
}

static void outbox_timer(struct timer *t, uint64_t now)
{
    (void)now;
    flow_outbox_flush(container_of(t, struct flows, outbox_timer));
}

void flow_outbox_init(struct flows *fs)
{
    list_init(&fs->outbox);
    timer_init(&fs->outbox_timer, outbox_timer);
}

void flow_outbox_flush(struct flows *fs)
{
    while (!list_is_empty(&fs->outbox)) {
        struct flow_letter *l = container_of(fs->outbox.next, struct flow_letter, node);
        if (mailbox_post(fs->mailboxes[l->to], l->mail) != 0) {
            timer_set(fs->wheel, &fs->outbox_timer, flows_now(fs) + FLOW_RETRY_MS);
            return;
        }
        list_remove(&l->node);
        mem_free(l);
        fs->noutbox--;
    }
}

void flow_outbox_free(struct flows *fs)
{
    timer_stop(fs->wheel, &fs->outbox_timer);
    while (!list_is_empty(&fs->outbox)) {
        struct flow_letter *l = container_of(fs->outbox.next, struct flow_letter, node);
        list_remove(&l->node);
        mail_free(&l->mail);
        mem_free(l);
    }
    fs->noutbox = 0;
}

/* What must not be lost. Without memory it is: the other side has its own timers. */
static void post(struct flows *fs, unsigned to, const struct flow_mail *m)
{
    struct mail *mail = mail_new(MAIL_FLOW, fs->worker, sizeof(*m));
    if (mail == NULL)
        return;
    memcpy(mail->payload, m, sizeof(*m));
    if (list_is_empty(&fs->outbox) && mailbox_post(fs->mailboxes[to], mail) == 0)
        return;
    struct flow_letter *l = fs->noutbox < FLOW_OUTBOX_MAX ? mem_alloc(sizeof(*l)) : NULL;
    if (l == NULL) {
        mail_free(&mail);
        counter_inc(fs->counters, CTR_MAILBOX_FULL);
        return;
    }
    list_init(&l->node);
    l->to = to;
    l->mail = mail;
    list_push(&fs->outbox, &l->node);
    fs->noutbox++;
    if (!timer_is_set(&fs->outbox_timer))
        timer_set(fs->wheel, &fs->outbox_timer, flows_now(fs) + FLOW_RETRY_MS);
}

void flow_mail_close(struct flows *fs, unsigned owner, uint64_t flow, int reason)
{
    struct flow_mail m = {.op = OP_CLOSE, .flow = flow, .err = reason};
    post(fs, owner, &m);
}

void flow_mail_unanswered(struct flows *fs, unsigned owner, uint64_t flow)
{
    struct flow_mail m = {.op = OP_UNANSWERED, .flow = flow};
    post(fs, owner, &m);
}

/* A label may get lost: the next registration brings it again. */
void flow_mail_dn(struct flows *fs, unsigned owner, uint64_t flow, struct slice dn)
{
    if (dn.len > FLOW_DN_MAX)
        dn.len = FLOW_DN_MAX;
    struct flow_mail m = {.op = OP_DN, .flow = flow, .len = dn.len};
    struct mail *mail = mail_new(MAIL_FLOW, fs->worker, sizeof(m) + dn.len);
    if (mail == NULL)
        return;
    memcpy(mail->payload, &m, sizeof(m));
    if (dn.len != 0)
        memcpy(mail->payload + sizeof(m), dn.ptr, dn.len);
    if (mailbox_post(fs->mailboxes[owner], mail) == 0)
        return;
    mail_free(&mail);
    counter_inc(fs->counters, CTR_MAILBOX_FULL);
}

void flow_tell(struct flows *fs, uint64_t users, const struct flow_event *ev)
{
    struct flow_mail m = {.op = OP_EVENT, .ev = *ev};
    m.ev.acked_before = 0; /* what they sent was under way for some time before it was written */
    for (unsigned i = 0; i < fs->nworkers; i++) {
        if (i != fs->worker && (users & flow_bit(i)) != 0)
            post(fs, i, &m);
    }
    if ((users & flow_bit(fs->worker)) != 0)
        fs->ev.on_event(fs->ev.user, ev);
}

static void on_send(struct flows *fs, unsigned from, const struct flow_mail *m, const char *behind)
{
    struct flow_dest dest = m->dest;
    struct flow_out out = {
        .bytes = behind + m->dn + m->call_id,
        .len = m->len,
        .since = dest.since,
        .flags = m->flags,
        .from = from,
        .whose = {slice_of(behind, m->dn), slice_of(behind + m->dn, m->call_id)},
    };
    struct flow_event ev = {.flow = m->dest.flow, .remote = m->dest.remote};
    if (flow_id_is_provisional(dest.flow))
        dest.flow = 0;
    int rc = flow_send_local(fs, &dest, &out);
    if (rc != 0) {
        ev.kind = FLOW_FAILED;
        ev.err = rc;
    } else if (dest.flow != m->dest.flow) {
        ev.kind = FLOW_RENAMED;
        ev.to = dest.flow;
    } else {
        return;
    }
    flow_tell(fs, flow_bit(from), &ev);
}

static void on_event(struct flows *fs, unsigned from, const struct flow_event *ev)
{
    fs->ev.on_event(fs->ev.user, ev);
    if (ev->kind == FLOW_DEAD || ev->kind == FLOW_MOVED) {
        struct flow_mail m = {.op = OP_CONFIRM, .flow = ev->flow};
        post(fs, from, &m);
    }
}

void flows_on_mail(struct flows *fs, struct mail *mail)
{
    struct flow_mail m;
    memcpy(&m, mail->payload, sizeof(m));
    struct flow *f;
    switch ((enum op)m.op) {
    case OP_SEND: on_send(fs, mail->from, &m, (const char *)mail->payload + sizeof(m)); break;
    case OP_CLOSE: flows_close(fs, m.flow, m.err); break;
    case OP_EVENT: on_event(fs, mail->from, &m.ev); break;
    case OP_CONFIRM:
        f = flow_find(fs, m.flow);
        if (f != NULL)
            flow_confirmed(f, mail->from);
        break;
    case OP_UNANSWERED: flows_unanswered(fs, m.flow); break;
    case OP_DN:
        flows_set_dn(fs, m.flow, slice_of((const char *)mail->payload + sizeof(m), m.len));
        break;
    }
    mail_free(&mail);
}
