/* SPDX-License-Identifier: Apache-2.0 */
/* Server transactions: RFC 3261 sections 17.2, 18.2.2, RFC 6026; and answers without one. */
#include "txn/txn_int.h"

#include "sip/received.h"
#include "sip/write.h"

#define STATELESS_UNIT 64 /* bytes */

/* --- the machine ------------------------------------------------------------------------------ */

/* J of a stream is not zero while recovery is on: the final response may have to be sent again over
 * a new connection, and a request that is sent again so is a retransmission. */
static bool is_reliable(const struct txn *t)
{
    return txn_is_stream(t) && !(t->machine == FSM_SERVER && txns_of(t)->conf.recover);
}

static int send_response(struct txn *t, unsigned flags)
{
    struct slice bytes = t->sent.bytes;

    if (bytes.len == 0)
        return 0;
    return flows_send(txns_of(t)->flows, &t->sent.dest, bytes.ptr, bytes.len, flags);
}

/* Is its response kept for a time only, by the timer that streams need for nothing else? */
static bool is_kept_a_while(const struct txn *t)
{
    return t->machine == FSM_INVITE_SERVER &&
           (t->state == FSM_ACCEPTED || t->state == FSM_PROCEEDING);
}

/* So long from now, or from the latest copy. */
static void keep_a_while(struct txn *t)
{
    struct txns *x = txns_of(t);
    uint64_t due = txns_now(x) + x->conf.keep_ms;

    if (is_kept_a_while(t))
        timer_set(x->wheel, &t->retransmit, due);
    else if (t->machine == FSM_SERVER && t->state == FSM_COMPLETED)
        timer_set(x->wheel, &t->timeout, due);
}

int server_resend(struct txn *t, int err)
{
    struct txns *x = txns_of(t);
    int rc = send_response(t, FLOW_SEND_RESEND);

    if (rc == 0) {
        counter_inc(x->counters, CTR_RESPONSE_RESENT);
        sent_log(x, &t->sent, "response sent again", err);
        sent_link(x, &t->sent);
        keep_a_while(t);
    }
    return rc;
}

int server_fall_back(struct txn *t, int err)
{
    if (t->fell_back || !txn_is_stream(t))
        return err;
    t->fell_back = true;
    t->sent.dest.flow = 0;
    return server_resend(t, err);
}

/* A response on a stream may be lost with it: final ones of what is no INVITE as long as the
 * transaction lives, non-2xx to an INVITE until its ACK; for a moment a 2xx (its sender repeats it
 * end to end) and a provisional one: when neither it nor anything else can be brought to the
 * caller, nobody need be called. Without recovery only what waits for an opening is looked after.
 */
static void guard_response(struct txn *t)
{
    struct txns *x = txns_of(t);

    if (!txn_is_stream(t))
        return;
    if (t->machine == FSM_INVITE_SERVER)
        timer_stop(x->wheel, &t->retransmit);
    if (t->state == FSM_PROCEEDING && !t->is_rung)
        return;
    if (is_kept_a_while(t) && !x->conf.recover && flows_is_up(x->flows, t->sent.dest.flow))
        return;
    sent_link(x, &t->sent);
    if (is_kept_a_while(t))
        keep_a_while(t);
}

static void tell(struct txn *t, uint16_t actions, int err)
{
    const struct txn_tu *tu = t->scope->tu;

    if ((actions & (FSM_TELL_TIMEOUT | FSM_TELL_ERROR)) == 0 || tu == NULL)
        return;
    if (t->state == FSM_PROCEEDING && tu->on_lost != NULL)
        tu->on_lost(t->scope->ctx, t->id, err);
    else if (t->state != FSM_PROCEEDING && tu->on_unacked != NULL)
        tu->on_unacked(t->scope->ctx, t->id, err);
}

int server_run(struct txn *t, enum fsm_event ev, int err)
{
    struct txns *x = txns_of(t);
    struct fsm_step step =
        fsm_step((enum fsm_machine)t->machine, (enum fsm_state)t->state, ev, is_reliable(t));
    uint64_t id = t->id;
    int sent = 0;

    if ((step.actions & FSM_ILLEGAL) != 0)
        return 0;
    /* A state that is passed through at once is not shown to anyone. */
    txn_set_state(t, (enum fsm_state)step.next);
    txn_timer_actions(t, step.actions);
    if ((step.actions & (FSM_SEND | FSM_RESEND)) != 0)
        sent = send_response(t, (step.actions & FSM_RESEND) != 0 ? FLOW_SEND_RESEND : 0);
    if ((step.actions & FSM_SEND) != 0 && sent == 0 && step.next != FSM_TERMINATED)
        guard_response(t);
    if (step.next == FSM_ACCEPTED || step.next == FSM_COMPLETED || step.next == FSM_CONFIRMED)
        scope_check(t->scope);
    tell(t, step.actions, err);
    t = pool_find(&x->pool, id);
    if (t != NULL && t->state == FSM_TERMINATED)
        txn_end(t);
    return sent;
}

/* --- requests --------------------------------------------------------------------------------- */

/* What a response's place is told by: fills the scope made for it. */
static int server_fill(struct txn_scope *scope, const struct sip_msg *req,
                       const struct flow_origin *origin, struct txn **out)
{
    struct txns *x = scope->txns;
    struct sip_msg *copy = sip_msg_copy(req, &scope->arena);
    struct flow_origin *from = arena_alloc(&scope->arena, sizeof(*from));
    struct txn_key key;
    struct txn *t;
    int err = 0;

    if (copy == NULL || from == NULL)
        return ERR_NOMEM;
    t = txn_new(scope, req->method == SIP_INVITE ? FSM_INVITE_SERVER : FSM_SERVER, &err);
    if (t == NULL)
        return err;
    *from = *origin;
    t->method = req->method;
    t->u.server.req = copy;
    t->u.server.origin = from;
    t->is_2543 = !sip_branch_is_3261(req->via.branch);
    if (t->is_2543)
        t->u.server.to_tag = txn_tag_hash(x, sip_get(req, req->to_tag));
    txn_key_again(x, req, &key);
    t->u.server.check = key.check;
    table_insert(&x->servers, &t->u.server.node, key.hash);
    flow_response_dest(origin, &req->via, &t->sent.dest);
    *out = t;
    return 0;
}

/* Room that calls need to end, and requests inside them to be answered, whatever begins anew. */
static uint64_t max_for(const struct txns *txns, const struct sip_msg *req)
{
    return (uint64_t)txns->conf.max * (sip_in_dialog(req) ? 2 : 1);
}

int txn_server_new(struct txns *txns, const struct sip_msg *req, const struct flow_origin *origin,
                   const struct txn_tu *tu, size_t ctx_size, void **ctx, uint64_t *server)
{
    struct txn_scope *scope;
    struct txn *t = NULL;
    int err;

    if (txns->pool.live >= max_for(txns, req)) {
        counter_inc(txns->counters, CTR_TXN_TABLE_FULL);
        EVENT_LOG(EV_TRANSACTIONS_FULL, LF_ADDR("peer", &origin->remote),
                  LF_SLICE("method", sip_get(req, req->method_text)),
                  LF_INT("max", max_for(txns, req)));
        return ERR_FULL;
    }
    scope = scope_new(txns, tu, ctx_size);
    if (scope == NULL)
        return ERR_NOMEM;
    err = server_fill(scope, req, origin, &t);
    if (err < 0) {
        scope->tu = NULL; /* it has not begun for the user */
        scope_end(scope);
        return err;
    }
    (void)server_run(t, FSM_START, 0);
    *ctx = scope->ctx;
    *server = t->id;
    return 0;
}

const struct sip_msg *txn_request(struct txns *txns, uint64_t server)
{
    const struct txn *t = txn_find_server(txns, server);
    return t != NULL ? t->u.server.req : NULL;
}

const struct flow_origin *txn_origin(struct txns *txns, uint64_t server)
{
    const struct txn *t = txn_find_server(txns, server);
    return t != NULL ? t->u.server.origin : NULL;
}

bool txn_is_answered(struct txns *txns, uint64_t server)
{
    const struct txn *t = txn_find_server(txns, server);
    return t == NULL || (t->state != FSM_TRYING && t->state != FSM_PROCEEDING);
}

/* --- responses -------------------------------------------------------------------------------- */

static enum fsm_event event_of(unsigned status)
{
    if (status < 200)
        return FSM_TU_1XX;
    return status < 300 ? FSM_TU_2XX : FSM_TU_3456XX;
}

/* An ACK by RFC 2543 is known by the To tag of the response it acknowledges. */
static void note_tag(struct txn *t, struct slice bytes)
{
    struct sip_hdr hdrs[SIP_HDRS_MAX];
    struct sip_msg res;

    if (sip_msg_parse_kept(&res, bytes, hdrs))
        t->u.server.sent_tag = txn_tag_hash(txns_of(t), sip_get(&res, res.to_tag));
}

/* From letting an initial INVITE in to its first answer above 100 that is no failure. */
static void count_setup(struct counters *c, uint64_t ms)
{
    static const struct {
        uint32_t ms;
        enum counter counter;
    } buckets[] = {{50, CTR_SETUP_LE_50},      {200, CTR_SETUP_LE_200},   {500, CTR_SETUP_LE_500},
                   {1000, CTR_SETUP_LE_1000},  {2000, CTR_SETUP_LE_2000}, {5000, CTR_SETUP_LE_5000},
                   {10000, CTR_SETUP_LE_10000}};

    counter_inc(c, CTR_SETUP_COUNT);
    counter_add(c, CTR_SETUP_MS, ms);
    for (unsigned i = 0; i < sizeof(buckets) / sizeof(buckets[0]); i++) {
        if (ms <= buckets[i].ms)
            counter_inc(c, buckets[i].counter);
    }
}

/* What the caller of an INVITE is told, before it is. */
static void count_answer(const struct txn *t, unsigned status)
{
    struct txns *x = txns_of(t);

    if (t->machine != FSM_INVITE_SERVER || t->state != FSM_PROCEEDING || status <= 100)
        return;
    if (status >= 200)
        counter_inc(x->counters, CTR_INVITE_2XX + (status / 100 - 2));
    if (status < 300 && !t->is_rung && t->u.server.req != NULL && !sip_in_dialog(t->u.server.req))
        count_setup(x->counters, txns_now(x) - t->scope->since);
}

int txn_respond(struct txns *txns, uint64_t server, unsigned status, struct slice bytes)
{
    struct txn *t = txn_find_server(txns, server);
    enum fsm_event ev = event_of(status);
    struct fsm_step step;
    int err;

    if (t == NULL)
        return ERR_STALE;
    /* RFC 4320 4.1: 100 is the only provisional response to a request that is no INVITE. */
    if (t->machine == FSM_SERVER && status > 100 && status < 200)
        return 0;
    step = fsm_step((enum fsm_machine)t->machine, (enum fsm_state)t->state, ev, is_reliable(t));
    if ((step.actions & FSM_SEND) == 0)
        return 0;
    count_answer(t, status);
    txn_drop_bytes(t);
    t->sent.bytes = bytes;
    t->is_rung = t->machine == FSM_INVITE_SERVER && status > 100 && status < 200;
    if (t->is_2543 && t->machine == FSM_INVITE_SERVER && status >= 300)
        note_tag(t, bytes);
    err = server_run(t, ev, 0);
    t = txn_find_server(txns, server);
    if (err < 0 && err != ERR_NOMEM && t != NULL)
        err = server_fall_back(t, err);
    /* The user knows it from the result; a provisional response that is lost ends nothing. */
    if (err < 0 && t != NULL && status >= 200 && t->machine == FSM_SERVER)
        txn_end(t);
    return err;
}

/* The topmost Via in a response: nearly always the first value of the line behind the status line.
 */
static char *find_via(const struct buf *out, struct slice via)
{
    char *end = out->ptr + out->len;
    char *line = memchr(out->ptr, '\n', out->len);
    char *at = line != NULL ? memchr(line, ':', (size_t)(end - line)) : NULL;

    while (at != NULL && ++at < end && *at == ' ') {
    }
    if (at != NULL && via.len <= (size_t)(end - at) && memcmp(at, via.ptr, via.len) == 0)
        return at;
    return memmem(out->ptr, out->len, via.ptr, via.len);
}

/* In place of the topmost Via the one with received and rport (RFC 3261 18.2.1, RFC 3581). */
static void stamp_via(const struct txns *txns, struct buf *out, const struct sip_msg *req)
{
    char text[SIP_MSG_MAX / 16], more[SIP_MSG_MAX / 16];
    struct slice via = req->via.text;
    struct buf stamped, other;
    char *at = via.len != 0 ? find_via(out, via) : NULL;
    bool is_other;
    size_t behind;

    buf_init(&stamped, text, sizeof(text));
    buf_init(&other, more, sizeof(more));
    if (at == NULL)
        return;
    if (!sip_write_received(&stamped, req) || stamped.overflow) {
        buf_init(&stamped, text, sizeof(text));
        buf_slice(&stamped, via);
    }
    is_other = txns->via_fn != NULL && !stamped.overflow &&
               txns->via_fn(txns->via_user, req, buf_get(&stamped), &other) && !other.overflow;
    if (is_other)
        stamped = other;
    if (stamped.overflow || slice_eq(buf_get(&stamped), via))
        return;
    behind = (size_t)(out->ptr + out->len - at) - via.len;
    if (stamped.len > via.len && stamped.len - via.len > out->cap - out->len) {
        out->overflow = true;
        return;
    }
    memmove(at + stamped.len, at + via.len, behind);
    memcpy(at, stamped.ptr, stamped.len);
    out->len += stamped.len - via.len;
}

/* A response of our own in the scratch. `tag`: for its To; it follows from the request, so that it
 * is the same in each response (RFC 3261 8.2.6.2, and 8.2.7 for those without a transaction).
 * Empty: it does not fit. */
static struct slice write_response(struct txns *txns, const struct sip_msg *req, struct slice tag,
                                   unsigned status, struct slice reason, struct slice extra)
{
    struct buf out;

    buf_init(&out, txns->scratch, sizeof(txns->scratch));
    if (sip_write_response(&out, req, status, reason, status > 100 ? tag : SLICE_NONE, extra,
                           SLICE_NONE) < 0)
        return SLICE_NONE;
    stamp_via(txns, &out, req);
    return out.overflow ? SLICE_NONE : buf_get(&out);
}

int txn_reply(struct txns *txns, uint64_t server, unsigned status, struct slice reason,
              struct slice extra)
{
    struct txn *t = txn_find_server(txns, server);
    struct slice bytes, kept;
    char tag[TXN_TAG_LEN];
    int err;

    if (t == NULL)
        return ERR_STALE;
    if (t->u.server.req == NULL)
        return 0; /* settled: it has its final response */
    bytes = write_response(txns, t->u.server.req, txn_tag_write(t->u.server.check, tag), status,
                           reason, extra);
    if (bytes.len == 0)
        return ERR_FULL;
    kept = arena_dup(&t->scope->arena, bytes);
    if (kept.len != 0)
        return txn_respond(txns, server, status, kept);
    /* Without memory it goes out once, so that the transaction ends all the same. */
    err = txn_respond(txns, server, status, bytes);
    t = txn_find_server(txns, server);
    if (t != NULL) {
        sent_unlink(&t->sent);
        txn_drop_bytes(t);
    }
    return err;
}

/* Refusals of one turn to one neighbour leave as one when they are of one size (net/udp.h): blanks
 * in front of the first value of `extra`, the last lines but Content-Length (RFC 3261 7.3.1). */
static struct slice pad(struct txns *txns, struct slice bytes, struct slice extra)
{
    const size_t behind = extra.len + strlen("Content-Length: 0\r\n\r\n");
    size_t n = (STATELESS_UNIT - bytes.len % STATELESS_UNIT) % STATELESS_UNIT;
    ptrdiff_t colon = slice_chr(extra, ':');

    if (colon < 0 || bytes.len < behind || bytes.len + n > sizeof(txns->scratch))
        return bytes;
    size_t at = bytes.len - behind + (size_t)colon + 1;
    memmove(txns->scratch + at + n, txns->scratch + at, bytes.len - at);
    memset(txns->scratch + at, ' ', n);
    return slice_of(txns->scratch, bytes.len + n);
}

void txn_reply_stateless(struct txns *txns, const struct sip_msg *req,
                         const struct flow_origin *origin, unsigned status, struct slice reason,
                         struct slice extra)
{
    struct txn_key key;
    struct slice bytes;
    struct flow_dest dest;
    char tag[TXN_MARK_LEN + TXN_TAG_LEN];

    txn_key_again(txns, req, &key);
    bytes =
        write_response(txns, req, txn_tag_stateless(txns, key.check, tag), status, reason, extra);
    if (bytes.len == 0)
        return;
    bool may_wait = origin->transport == SIP_UDP && status == 503;
    if (may_wait)
        bytes = pad(txns, bytes, extra);
    flow_response_dest(origin, &req->via, &dest);
    /* Nobody could do anything about an error. */
    (void)!flows_send(txns->flows, &dest, bytes.ptr, bytes.len, may_wait ? FLOW_SEND_LATER : 0);
}

void txns_set_via(struct txns *txns, txn_via_fn *fn, void *user)
{
    txns->via_fn = fn;
    txns->via_user = user;
}

void *txn_server_ctx(struct txns *txns, uint64_t server, const struct txn_tu *tu)
{
    const struct txn *t = txn_find_server(txns, server);
    bool is_whole = t != NULL && t->scope->tu == tu && t->u.server.req != NULL;
    return is_whole ? t->scope->ctx : NULL;
}

struct each {
    struct txns *txns;
    const struct txn_tu *tu;
    void (*fn)(void *ctx);
};

static void each_invite(void *object, uint64_t id, void *user)
{
    const struct each *e = user;
    const struct txn *t = object;
    void *ctx = txn_is_client(t) || t->machine != FSM_INVITE_SERVER || txn_is_answered(e->txns, id)
                    ? NULL
                    : txn_server_ctx(e->txns, id, e->tu);
    if (ctx != NULL)
        e->fn(ctx);
}

void txns_each_invite(struct txns *txns, const struct txn_tu *tu, void (*fn)(void *ctx))
{
    struct each e = {txns, tu, fn};
    pool_each(&txns->pool, each_invite, &e);
}

void txn_server_forget(struct txns *txns, uint64_t server)
{
    struct txn *t = txn_find_server(txns, server);
    if (t != NULL)
        txn_end(t);
}
