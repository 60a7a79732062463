/* SPDX-License-Identifier: Apache-2.0 */
/* What ICMP says of requests that were sent by UDP (RFC 3261 17.1.4, 18.4). */
#include "txn/txn_int.h"

/* Is its request still being sent? An INVITE is not after a provisional response; what comes then
 * is late, or made up. */
static bool is_being_sent(const struct txn *t)
{
    return client_is_active(t) && t->err == 0 &&
           !(t->machine == FSM_INVITE_CLIENT && t->state == FSM_PROCEEDING);
}

static struct txn *match_quote(const struct txns *txns, const struct sip_quote *q,
                               const struct addr *remote)
{
    struct txn *t = txn_find_client(txns, q->id);
    if (t == NULL || t->state == FSM_INIT || t->is_cancel || t->u.client.loop != q->loop)
        return NULL;
    if (q->method == SIP_CANCEL && t->method == SIP_INVITE)
        t = txn_find_client(txns, t->u.client.peer);
    return t != NULL && t->method == q->method && t->sent.dest.transport == SIP_UDP &&
                   addr_eq(&t->sent.dest.remote, remote) && is_being_sent(t)
               ? t
               : NULL;
}

void txn_on_unreached(struct txns *txns, const struct sip_quote *quote, const struct addr *remote,
                      int err)
{
    struct txn *t = quote->is_request ? match_quote(txns, quote, remote) : NULL;
    int cause = err == -ECONNREFUSED ? ERR_ICMP_PORT : ERR_ICMP_HOST;
    bool fails = true;

    if (t == NULL) {
        counter_inc(txns->counters, quote->is_request ? CTR_ICMP_IGNORED : CTR_ICMP_RESPONSE);
        return;
    }
    counter_inc(txns->counters, CTR_ICMP_REQUEST);
    const struct txn_tu *tu = t->scope->tu;
    if (tu == NULL || !tu->is_quiet)
        sent_log(txns, &t->sent, "request did not arrive", cause);
    uint64_t id = t->id;
    if (tu != NULL && tu->on_unreached != NULL && !t->is_cancel)
        fails = tu->on_unreached(t->u.client.ctx, id, cause);
    /* The user may have ended it. */
    t = txn_find_client(txns, id);
    if (fails && t != NULL && is_being_sent(t))
        txn_fail_later(t, cause);
}
