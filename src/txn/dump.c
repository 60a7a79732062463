/* SPDX-License-Identifier: Apache-2.0 */
/* Transactions as rows. */
#include "base/field.h"
#include "txn/txn_int.h"

struct rows {
    const struct txns *txns;
    const struct row_sink *sink;
};

struct names {
    struct slice method, call_id, branch;
};

/* As the request says, or what was sent last. */
static void names_of(const struct txn *t, struct sip_hdr *hdrs, struct names *out)
{
    const struct sip_msg *m = txn_is_client(t) ? NULL : t->u.server.req;
    struct slice bytes = t->sent.bytes;
    struct sip_msg sent;

    *out = (struct names){.method = sip_method_text((enum sip_method)t->method)};
    if (m == NULL && bytes.len != 0 && sip_msg_parse_kept(&sent, bytes, hdrs))
        m = &sent;
    if (m == NULL)
        return;
    out->call_id = sip_get(m, m->call_id);
    out->branch = m->via.branch;
    if (t->method == SIP_UNKNOWN)
        out->method = sip_get(m, m->cseq_text);
}

static void row_one(void *object, uint64_t id, void *user)
{
    const struct txn *t = object;
    const struct rows *r = user;
    uint64_t now = txns_now(r->txns);
    struct sip_hdr hdrs[SIP_HDRS_MAX];
    struct names names;
    char number[16], flow[16];
    struct buf b, f;

    buf_init(&b, number, sizeof(number));
    buf_hex(&b, id, 16);
    buf_init(&f, flow, sizeof(flow));
    if (t->sent.dest.flow != 0)
        buf_hex(&f, t->sent.dest.flow, 16);
    names_of(t, hdrs, &names);
    ROW(r->sink, "transaction", LF_SLICE("id", buf_get(&b)),
        LF_STR("kind", txn_is_client(t) ? "client" : "server"), LF_SLICE("method", names.method),
        LF_STR("state", fsm_state_name((enum fsm_state)t->state)),
        LF_SLICE("call_id", names.call_id), LF_SLICE("branch", names.branch),
        LF_ADDR("remote", &t->sent.dest.remote),
        LF_SLICE("transport", sip_transport_param((enum sip_transport)t->sent.dest.transport)),
        LF_SLICE("connection", buf_get(&f)), LF_INT("age_ms", now - t->scope->since),
        LF_INT("ends_ms", timer_is_set(&t->timeout) && t->timeout.due > now
                              ? (int64_t)(t->timeout.due - now)
                              : 0));
}

bool txns_rows_some(struct txns *txns, uint32_t *at, unsigned n, const struct row_sink *sink)
{
    struct rows r = {txns, sink};
    return pool_each_some(&txns->pool, at, n, row_one, &r);
}
