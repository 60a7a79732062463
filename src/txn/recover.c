/* SPDX-License-Identifier: Apache-2.0 */
/* What is sent again when a connection has died or was replaced.
 *
 * Everything sent on a stream that may have to be sent again lies in a bucket of its flow's id, in
 * the order of sending, so that no look-up is needed to send, and an INVITE stands before its
 * CANCEL. An event takes the flow's items out, in that order, and each is sent again with the same
 * bytes (RFC 3261 17.2.3 makes a second copy a retransmission), fails, or waits. Transactions fail
 * from the loop, never inside the event. */
#include "txn/txn_int.h"

static struct list *bucket_of(struct txns *txns, uint64_t flow)
{
    return &txns->flows_sent[hash_mix(flow) & (TXN_FLOW_BUCKETS - 1)];
}

void sent_link(struct txns *txns, struct txn_sent *s)
{
    list_remove(&s->by_flow);
    list_push(bucket_of(txns, s->dest.flow), &s->by_flow);
}

void sent_unlink(struct txn_sent *s)
{
    list_remove(&s->by_flow);
}

/* When the request was received that it is, or answers. */
static uint64_t sent_since(const struct txn_sent *s)
{
    const struct txn *t = (const struct txn *)(const void *)s;

    return s->is_stateless ? s->dest.since : t->scope->since;
}

/* Method or status code. */
static struct slice kind_of(struct slice bytes)
{
    ptrdiff_t end = slice_chr(bytes, ' ');

    if (end < 0)
        return SLICE_NONE;
    if (slice_starts(bytes, SLICE("SIP/")) && bytes.len >= (size_t)end + 4)
        return slice_of(bytes.ptr + end + 1, 3);
    return slice_of(bytes.ptr, (size_t)end);
}

void sent_log(struct txns *txns, const struct txn_sent *s, const char *text, int err)
{
    struct sip_hdr hdrs[SIP_HDRS_MAX];
    uint64_t now = txns_now(txns), since = sent_since(s);
    uint32_t left_out;

    if (!log_is_on(LOG_INFO) || !log_limit_ok(&txns->resent_limit, now, 20, 10000, &left_out))
        return;
    struct slice dn = flows_dn(txns->flows, s->dest.flow);
    struct field fields[8] = {LF_SLICE("message", kind_of(s->bytes)),
                              LF_ADDR("peer", &s->dest.remote), LF_ERR("cause", err),
                              LF_SLICE("call_id", sip_kept_call_id(s->bytes, hdrs)),
                              LF_INT("ms", now - since)};
    unsigned n = 5;
    if (s->dest.local.family != ADDR_NONE)
        fields[n++] = LF_ADDR("local", &s->dest.local);
    if (dn.len != 0)
        fields[n++] = LF_SLICE("dn", dn);
    if (left_out != 0)
        fields[n++] = LF_INT("left_out", left_out);
    log_fields(LOG_INFO, "txn", text, n, fields);
}

/* --- stateless messages ----------------------------------------------------------------------- */

static struct txn_kept *kept_of(struct txn_sent *s)
{
    return (struct txn_kept *)(void *)s;
}

void kept_free(struct txns *txns, struct txn_kept *k)
{
    size_t size = sizeof(*k) + k->sent.bytes.len + k->dn.len;

    sent_unlink(&k->sent);
    list_remove(&k->fifo);
    txns->kept_bytes -= size;
    cell_free(&txns->cells, k, size);
}

static void make_room(struct txns *x, size_t size)
{
    while (x->kept_bytes + size > TXN_KEPT_MAX && !list_is_empty(&x->kept))
        kept_free(x, container_of(x->kept.next, struct txn_kept, fifo));
}

void kept_on_expire(struct timer *timer, uint64_t now)
{
    struct txns *x = container_of(timer, struct txns, expire);

    while (!list_is_empty(&x->kept)) {
        struct txn_kept *k = container_of(x->kept.next, struct txn_kept, fifo);
        if (k->due > now) {
            timer_set(x->wheel, &x->expire, k->due);
            return;
        }
        kept_free(x, k);
    }
}

/* It was sent just now: the last one in both lists. */
static void kept_renew(struct txns *x, struct txn_kept *k)
{
    k->due = txns_now(x) + x->conf.keep_ms;
    sent_link(x, &k->sent);
    list_remove(&k->fifo);
    list_push(&x->kept, &k->fifo);
    if (!timer_is_set(&x->expire))
        timer_set(x->wheel, &x->expire, k->due);
}

/* Without memory it is not kept: it was sent. */
static struct txn_kept *keep(struct txns *x, const struct flow_dest *dest, struct slice bytes,
                             struct slice dn)
{
    size_t size = sizeof(struct txn_kept) + bytes.len + dn.len;
    struct txn_kept *k;
    char *behind;

    make_room(x, size);
    k = cell_new(&x->cells, size);
    if (k == NULL)
        return NULL;
    x->kept_bytes += size;
    behind = (char *)(k + 1);
    memcpy(behind, bytes.ptr, bytes.len);
    if (dn.len != 0)
        memcpy(behind + bytes.len, dn.ptr, dn.len);
    k->sent = (struct txn_sent){
        .dest = *dest,
        .bytes = slice_of(behind, bytes.len),
        .is_stateless = true,
    };
    k->dn = slice_of(behind + bytes.len, dn.len);
    k->lost = NULL;
    list_init(&k->sent.by_flow);
    list_init(&k->fifo);
    kept_renew(x, k);
    return k;
}

int txn_send_stateless(struct txns *txns, const struct flow_dest *dest, struct slice bytes,
                       txn_lost_fn *lost, void *user, uint64_t id)
{
    return txn_send_stateless_for(txns, dest, NULL, bytes, lost, user, id);
}

int txn_send_stateless_for(struct txns *txns, const struct flow_dest *dest,
                           const struct flow_whose *whose, struct slice bytes, txn_lost_fn *lost,
                           void *user, uint64_t id)
{
    struct flow_dest to = *dest;
    struct txn_kept *k = NULL;
    int err;

    if (to.since == 0)
        to.since = txns_now(txns);
    err = flows_send_for(txns->flows, &to, whose, bytes.ptr, bytes.len, FLOW_SEND_REQUEST);
    if (err != 0 || !sip_transport_is_reliable((enum sip_transport)to.transport))
        return err;
    /* Without recovery only the end of an opening is waited for. */
    if (txns->conf.recover || (lost != NULL && !flows_is_up(txns->flows, to.flow)))
        k = keep(txns, &to, bytes, whose != NULL ? whose->dn : SLICE_NONE);
    if (k != NULL) {
        k->lost = lost;
        k->user = user;
        k->id = id;
    }
    return 0;
}

static int send_kept_again(struct txns *x, struct txn_kept *k)
{
    struct sip_hdr hdrs[SIP_HDRS_MAX];
    struct txn_sent *s = &k->sent;
    struct flow_whose whose = {.dn = k->dn, .call_id = sip_kept_call_id(s->bytes, hdrs)};

    return flows_send_for(x->flows, &s->dest, &whose, s->bytes.ptr, s->bytes.len,
                          FLOW_SEND_REQUEST | FLOW_SEND_RESEND);
}

static void kept_lost(struct txns *x, struct txn_kept *k, int err)
{
    struct txn_sent *s = &k->sent;
    struct flow_dest dest = s->dest;

    /* Nobody may make room of it meanwhile. */
    list_remove(&k->fifo);
    if (k->lost != NULL && !dest.no_reopen && k->lost(k->user, k->id, err, &dest) &&
        dest.transport == s->dest.transport) {
        dest.since = s->dest.since;
        s->dest = dest;
        if (send_kept_again(x, k) == 0) {
            counter_inc(x->counters, CTR_REQUEST_RESENT);
            sent_log(x, s, "request sent again", err);
            kept_renew(x, k);
            return;
        }
    }
    kept_free(x, k);
}

static void resend_kept(struct txns *x, struct txn_kept *k, int cause)
{
    int err = send_kept_again(x, k);

    if (err < 0) {
        kept_lost(x, k, err);
        return;
    }
    counter_inc(x->counters, CTR_REQUEST_RESENT);
    sent_log(x, &k->sent, "request sent again", cause);
    kept_renew(x, k);
}

/* --- dead ------------------------------------------------------------------------------------- */

/* When was it sent? What is not kept for a time is still waited for. */
static uint64_t sent_at(const struct txns *x, const struct txn_sent *s)
{
    const struct txn *t = (const struct txn *)(const void *)s;
    uint64_t due = txns_now(x) + x->conf.keep_ms;

    if (s->is_stateless)
        due = ((const struct txn_kept *)(const void *)s)->due;
    else if (t->machine == FSM_INVITE_SERVER && t->state != FSM_COMPLETED)
        due = t->retransmit.due;
    else if (t->machine == FSM_SERVER)
        due = t->timeout.due;
    return due - x->conf.keep_ms;
}

/* Was it acknowledged by the kernel of the peer? What was sent in the same millisecond may not be.
 */
static bool is_acknowledged(const struct txns *x, const struct txn_sent *s, uint64_t acked)
{
    return acked != 0 && sent_at(x, s) < acked;
}

/* May a response or ACK have been lost with the connection? Not when the peer closed it in good
 * order, and not when it was found dead while idle: probes are sent only where everything is
 * acknowledged. When it was reset, only what was just sent; when it was found stale otherwise,
 * everything that was not yet given up. */
static bool may_be_lost(const struct txns *x, const struct txn_sent *s, int err, uint64_t acked)
{
    if (is_acknowledged(x, s, acked))
        return false;
    if (err == ERR_CLOSED || err == ERR_STALE_IDLE || !x->conf.recover)
        return false;
    if (err == -ECONNRESET || err == -EPIPE)
        return txns_now(x) - sent_at(x, s) <= TXN_RESET_MS;
    return true;
}

/* Is it the CANCEL of an INVITE that is over? */
static bool is_idle_cancel(const struct txn *t)
{
    const struct txn *invite = t->is_cancel ? txn_find_client(txns_of(t), t->u.client.peer) : NULL;
    return invite != NULL && !client_is_active(invite);
}

/* Last of all: the user may end it. */
static void tell_resent(struct txn *t, int err)
{
    const struct txn_tu *tu = t->scope->tu;

    if (t->is_cancel)
        sent_log(txns_of(t), &t->sent, "request sent again", err);
    else if (tu != NULL && tu->on_resent != NULL)
        tu->on_resent(t->u.client.ctx, t->id, err);
}

/* `at`: when its connection was found dead. */
static void dead_client(struct txn *t, int err, uint64_t at)
{
    struct txns *x = txns_of(t);
    bool reopens = x->conf.recover && !t->sent.dest.no_reopen;

    if (!reopens && t->sent.dest.since > at) {
        /* The flow's owner, another worker, has found or opened another connection for it. */
        sent_link(x, &t->sent);
        return;
    }
    if (!reopens) {
        /* Without recovery the device may still answer by a connection of its own. */
        if (t->state != FSM_PROCEEDING || t->sent.dest.no_reopen)
            txn_fail_later(t, err);
        return;
    }
    if (t->is_fresh || is_idle_cancel(t)) {
        txn_fail_later(t, err);
        return;
    }
    int again = client_resend(t);
    if (again < 0)
        txn_fail_later(t, again == ERR_NO_ROUTE || again == ERR_STALE ? err : again);
    else
        tell_resent(t, err);
}

static void fall_back(struct txn *t, int err)
{
    if (server_fall_back(t, err) < 0)
        (void)server_run(t, FSM_TRANSPORT_ERROR, err);
}

static void on_dead(struct txns *x, struct txn_sent *s, int err, const struct flow_event *ev)
{
    struct txn *t = txn_of_sent(s);

    if (s->is_stateless) {
        if (may_be_lost(x, s, err, ev->acked_before))
            resend_kept(x, kept_of(s), err);
    } else if (txn_is_client(t)) {
        dead_client(t, err, ev->at);
    } else if (may_be_lost(x, s, err, ev->acked_before) && server_resend(t, err) < 0) {
        fall_back(t, err);
    }
}

/* --- moved, failed ---------------------------------------------------------------------------- */

/* What stays behind unlinked is kept for nobody: it has arrived. */
static void on_moved(struct txns *x, struct txn_sent *s, int err, uint64_t acked)
{
    struct txn *t = txn_of_sent(s);
    bool is_request = !s->is_stateless && txn_is_client(t);

    if (!is_request && is_acknowledged(x, s, acked))
        return;
    if (s->is_stateless) {
        resend_kept(x, kept_of(s), err);
    } else if (!is_request) {
        if (server_resend(t, err) < 0)
            fall_back(t, err);
    } else if (s->dest.no_reopen) {
        txn_fail_later(t, err);
    } else {
        int again = client_resend(t);
        if (again < 0)
            txn_fail_later(t, again);
        else
            tell_resent(t, err);
    }
}

static void on_failed(struct txns *x, struct txn_sent *s, int err, uint64_t acked)
{
    struct txn *t = txn_of_sent(s);
    bool is_request = !s->is_stateless && txn_is_client(t);

    if (!is_request && is_acknowledged(x, s, acked))
        return;
    if (s->is_stateless)
        kept_lost(x, kept_of(s), err);
    else if (txn_is_client(t))
        txn_fail_later(t, err);
    else
        fall_back(t, err);
}

/* --- events ----------------------------------------------------------------------------------- */

static void take_items(struct txns *x, uint64_t flow, struct list *items)
{
    list_init(items);
    LIST_EACH_SAFE(node, tmp, bucket_of(x, flow))
    {
        struct txn_sent *s = container_of(node, struct txn_sent, by_flow);
        if (s->dest.flow == flow) {
            list_remove(node);
            list_push(items, node);
        }
    }
}

void txn_on_flow_event(struct txns *txns, const struct flow_event *ev)
{
    struct list items;
    struct list *node;
    int err = ev->err != 0 ? ev->err : ERR_CLOSED;

    take_items(txns, ev->flow, &items);
    while ((node = list_pop(&items)) != NULL) {
        struct txn_sent *s = container_of(node, struct txn_sent, by_flow);
        switch (ev->kind) {
        case FLOW_DEAD: on_dead(txns, s, err, ev); break;
        case FLOW_MOVED:
            on_moved(txns, s, ev->err != 0 ? ev->err : ERR_STALE_SUSPECT, ev->acked_before);
            break;
        case FLOW_FAILED: on_failed(txns, s, err, ev->acked_before); break;
        case FLOW_RENAMED:
            s->dest.flow = ev->to;
            sent_link(txns, s);
            break;
        }
    }
}
