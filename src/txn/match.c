/* SPDX-License-Identifier: Apache-2.0 */
/* Which server transaction a request belongs to: RFC 3261 sections 9.2 and 17.2.3.
 *
 * What has to be equal is put into one key, of which 128 bits of keyed hash are kept instead of its
 * bytes: it needs no memory of the request, and nobody can make two of them meet. */
#include "txn/txn_int.h"

#include "sip/write.h"

#define KEY_MAX 1024u

/* A part of the key with its end; a long one as its hashes. */
static void add(const struct txns *txns, struct buf *key, struct slice part)
{
    uint64_t hashes[2];
    uint32_t len = (uint32_t)part.len;

    buf_add(key, &len, sizeof(len));
    if (part.len <= KEY_MAX / 8) {
        buf_slice(key, part);
        return;
    }
    for (unsigned i = 0; i < 2; i++)
        hashes[i] = hash_slice(&txns->keys[i], part);
    buf_add(key, hashes, sizeof(hashes));
}

static void add_lower(const struct txns *txns, struct buf *key, struct slice part)
{
    char lower[KEY_MAX / 8];
    size_t n = part.len < sizeof(lower) ? part.len : sizeof(lower);

    for (size_t i = 0; i < n; i++)
        lower[i] = ascii_lower(part.ptr[i]);
    /* No host name is that long; what lies behind is compared as it is. */
    add(txns, key, slice_of(lower, n));
    add(txns, key, slice_of(part.ptr + n, part.len - n));
}

void txn_key_of(const struct txns *txns, const struct sip_msg *req, enum sip_method method,
                struct txn_key *out)
{
    char storage[KEY_MAX];
    struct buf key;

    buf_init(&key, storage, sizeof(storage));
    buf_char(&key, (char)method);
    if (method == SIP_UNKNOWN)
        add(txns, &key, sip_get(req, req->method_text));
    if (sip_branch_is_3261(req->via.branch)) {
        add(txns, &key, req->via.branch);
        add_lower(txns, &key, req->via.host);
        buf_add(&key, &req->via.port, sizeof(req->via.port));
    } else {
        /* The To tag is compared apart: that of an ACK is the response's. */
        add(txns, &key, sip_get(req, req->uri));
        add(txns, &key, sip_get(req, req->from_tag));
        add(txns, &key, sip_get(req, req->call_id));
        add(txns, &key, req->via.text);
        buf_add(&key, &req->cseq, sizeof(req->cseq));
    }
    out->hash = hash_bytes(&txns->keys[0], key.ptr, key.len);
    out->check = hash_bytes(&txns->keys[1], key.ptr, key.len);
}

uint64_t txn_tag_hash(const struct txns *txns, struct slice tag)
{
    return hash_slice(&txns->keys[0], tag);
}

/* An ACK has the tag of the response, everything else that of the first request. */
static bool is_its_tag(const struct txns *txns, const struct txn *t, const struct sip_msg *req)
{
    uint64_t tag;

    if (!t->is_2543)
        return true;
    tag = txn_tag_hash(txns, sip_get(req, req->to_tag));
    return tag == (req->method == SIP_ACK ? t->u.server.sent_tag : t->u.server.to_tag);
}

static struct txn *find(const struct txns *txns, const struct sip_msg *req, enum sip_method method)
{
    struct txn_key key;

    txn_key_of(txns, req, method, &key);
    for (struct table_node *n = table_first(&txns->servers, key.hash); n != NULL;
         n = table_next(n)) {
        struct txn *t = container_of(n, struct txn, u.server.node);
        if (t->u.server.check == key.check && is_its_tag(txns, t, req))
            return t;
    }
    return NULL;
}

/* A retransmission on another connection: the sender has replaced its own, and listens there. */
static void follow(struct txns *txns, struct txn *t, const struct sip_msg *req,
                   const struct flow_origin *origin)
{
    if (!txn_is_stream(t) || origin->flow == t->sent.dest.flow ||
        origin->transport != t->sent.dest.transport)
        return;
    flow_response_dest(origin, &req->via, &t->sent.dest);
    /* RFC 6026 leaves the 2xx to its sender; here the one that was lost with the connection is at
     * hand. */
    if (list_is_linked(&t->sent.by_flow) && t->state == FSM_ACCEPTED)
        (void)!server_resend(t);
    else if (list_is_linked(&t->sent.by_flow))
        sent_link(txns, &t->sent);
}

static enum txn_verdict on_ack(struct txns *txns, const struct sip_msg *req)
{
    struct txn *t = find(txns, req, SIP_INVITE);
    struct fsm_step step;

    if (t == NULL)
        return TXN_ACK;
    step = fsm_step(FSM_INVITE_SERVER, (enum fsm_state)t->state, FSM_RX_ACK, txn_is_stream(t));
    if ((step.actions & FSM_PASS_UP) != 0)
        return TXN_ACK;
    (void)server_run(t, FSM_RX_ACK, 0);
    return TXN_ABSORBED;
}

enum txn_verdict txn_on_request(struct txns *txns, const struct sip_msg *req,
                                const struct flow_origin *origin, uint64_t *invite)
{
    struct txn *t;

    txns_reap(txns);
    *invite = 0;
    if (req->method == SIP_ACK)
        return on_ack(txns, req);
    t = find(txns, req, (enum sip_method)req->method);
    if (t != NULL) {
        counter_inc(txns->counters, CTR_RETRANS_IN);
        follow(txns, t, req, origin);
        (void)server_run(t, FSM_RX_REQUEST, 0);
        return TXN_ABSORBED;
    }
    if (req->method != SIP_CANCEL)
        return TXN_NEW;
    t = find(txns, req, SIP_INVITE);
    if (t != NULL)
        *invite = t->id;
    return TXN_CANCEL;
}
