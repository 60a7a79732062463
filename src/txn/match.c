/* SPDX-License-Identifier: Apache-2.0 */
/* Which server transaction a request belongs to: RFC 3261 sections 9.2 and 17.2.3.
 *
 * What has to be equal is put into one key, of which 128 bits of keyed hash are kept instead of its
 * bytes: it needs no memory of the request, and nobody can make two of them meet. */
#include "txn/txn_int.h"

#include "sip/write.h"

void txn_key_of(const struct txns *txns, const struct sip_msg *req, enum sip_method method,
                struct txn_key *out)
{
    struct hash_state h;
    uint64_t key[2];

    hash_begin(&h, &txns->key);
    if (method == SIP_UNKNOWN)
        hash_add(&h, sip_get(req, req->method_text));
    if (sip_branch_is_3261(req->via.branch)) {
        hash_add(&h, req->via.branch);
        hash_add_lower(&h, req->via.host);
        hash_add_u64(&h, (uint64_t)req->via.port << 8 | method);
    } else {
        /* The To tag is compared apart: that of an ACK is the response's. */
        hash_add(&h, sip_get(req, req->uri));
        hash_add(&h, sip_get(req, req->from_tag));
        hash_add(&h, sip_get(req, req->call_id));
        hash_add(&h, req->via.text);
        hash_add_u64(&h, (uint64_t)req->cseq << 8 | method);
    }
    hash_end128(&h, key);
    *out = (struct txn_key){key[0], key[1]};
}

uint64_t txn_tag_hash(const struct txns *txns, struct slice tag)
{
    return hash_slice(&txns->key, tag);
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

void txn_mark_write(const struct hash_key *key, char room[TXN_MARK_LEN])
{
    struct buf b;

    buf_init(&b, room, TXN_MARK_LEN);
    buf_char(&b, '~'); /* of a token (RFC 3261 25.1), and rare: what stands before it is skipped */
    buf_hex(&b, hash_slice(key, SLICE("stateless")), TXN_MARK_LEN - 1);
}

struct slice txn_tag_write(uint64_t check, char room[TXN_TAG_LEN])
{
    struct buf b;

    buf_init(&b, room, TXN_TAG_LEN);
    buf_hex(&b, hash_mix(check), TXN_TAG_LEN);
    return buf_get(&b);
}

struct slice txn_tag_stateless(const struct txns *txns, uint64_t check,
                               char room[TXN_MARK_LEN + TXN_TAG_LEN])
{
    struct buf b;

    buf_init(&b, room, TXN_MARK_LEN + TXN_TAG_LEN);
    buf_slice(&b, slice_of(txns->mark, TXN_MARK_LEN));
    buf_hex(&b, hash_mix(check), TXN_TAG_LEN);
    return buf_get(&b);
}

/* Only whom we refused can know the mark; who puts it elsewhere loses his own ACKs and nobody
 * else's. So it may stand anywhere. */
bool txn_is_idle_ack(const struct txns *txns, struct slice bytes)
{
    const char *p = bytes.ptr, *end = bytes.ptr + bytes.len;

    while ((p = memchr(p, txns->mark[0], (size_t)(end - p))) != NULL && end - p >= TXN_MARK_LEN) {
        if (memcmp(p, txns->mark, TXN_MARK_LEN) == 0)
            return true;
        p++;
    }
    return false;
}

void txn_key_again(const struct txns *txns, const struct sip_msg *req, struct txn_key *out)
{
    const struct txn_seen *seen = &txns->seen;

    if (seen->req == req && seen->branch == req->via.branch.ptr &&
        seen->method == (enum sip_method)req->method)
        *out = seen->key;
    else
        txn_key_of(txns, req, (enum sip_method)req->method, out);
}

static const struct txn_key *key_of(struct txns *txns, const struct sip_msg *req,
                                    enum sip_method method)
{
    struct txn_seen *seen = &txns->seen;

    seen->req = req;
    seen->branch = req->via.branch.ptr;
    seen->method = method;
    txn_key_of(txns, req, method, &seen->key);
    return &seen->key;
}

static struct txn *find_key(const struct txns *txns, const struct sip_msg *req,
                            const struct txn_key *key)
{
    for (struct table_node *n = table_first(&txns->servers, key->hash); n != NULL;
         n = table_next(n)) {
        struct txn *t = container_of(n, struct txn, u.server.node);
        if (t->u.server.check == key->check && is_its_tag(txns, t, req))
            return t;
    }
    return NULL;
}

static struct txn *find(struct txns *txns, const struct sip_msg *req, enum sip_method method)
{
    return find_key(txns, req, key_of(txns, req, method));
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
        (void)!server_resend(t, ERR_CLOSED);
    else if (list_is_linked(&t->sent.by_flow))
        sent_link(txns, &t->sent);
}

static enum txn_verdict on_ack(struct txns *txns, const struct sip_msg *req)
{
    struct fsm_step step;

    if (txn_is_idle_ack(txns, sip_get(req, req->to_tag)))
        return TXN_ABSORBED;
    struct txn *t = find(txns, req, SIP_INVITE);
    if (t == NULL)
        return TXN_ACK;
    step = fsm_step(FSM_INVITE_SERVER, (enum fsm_state)t->state, FSM_RX_ACK, txn_is_stream(t));
    if ((step.actions & FSM_PASS_UP) != 0)
        return TXN_ACK;
    (void)server_run(t, FSM_RX_ACK, 0);
    return TXN_ABSORBED;
}

/* RFC 3261 9.2: the one that it would match if its method were that one's. Mostly an INVITE; what
 * has a method that we do not know is not found. */
static uint64_t named_by(struct txns *txns, const struct sip_msg *cancel)
{
    struct txn *t = find(txns, cancel, SIP_INVITE);

    for (unsigned m = SIP_BYE; t == NULL && m < SIP_METHOD_COUNT; m++) {
        if (m != SIP_CANCEL)
            t = find(txns, cancel, (enum sip_method)m);
    }
    return t != NULL ? t->id : 0;
}

enum txn_verdict txn_on_request(struct txns *txns, const struct sip_msg *req,
                                const struct flow_origin *origin, uint64_t *cancelled)
{
    struct txn *t;

    txns_reap(txns);
    *cancelled = 0;
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
    *cancelled = named_by(txns, req);
    return TXN_CANCEL;
}
