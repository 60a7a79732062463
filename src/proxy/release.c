/* SPDX-License-Identifier: Apache-2.0 */
/* Release of a call: the end of it for everyone who can still be reached, now.
 *
 * - A request inside a dialog that cannot be brought to the other side is answered with 408, which
 *   ends the dialog for its sender (RFC 3261 12.2.1.2, 14.1), and both ends get a BYE of ours, so
 *   that none of them keeps a call that the other has lost. A BYE is the end by itself.
 * - A caller whose response cannot be delivered: what rings is cancelled; who has answered gets the
 *   ACK that will never come, and BYE.
 * - An ACK of a 2xx that cannot be delivered: BYE to both.
 * - The administrator: the same, with another reason.
 *
 * Only for a transport that failed. After Timer B or F on a connection that lives the sender has
 * had its 408, or its own timer has told it as much, and to end the dialog is its business (RFC
 * 3261 12.2.1.2, 14.1): its BYE goes through us like any other, and a peer that is merely slow
 * loses no call to us. The same with Timer H: the callee repeats its 2xx and sends the BYE itself
 * when no ACK has come for 32 s (13.3.1.4). Reason: RFC 3326. */
#include "proxy/proxy_int.h"

#define RELEASE_MSG_MAX  4096 /* a BYE: the record has at most CALL_BYTES_MAX */
#define RELEASE_WHY_MAX  128
#define RELEASE_DIALOGS  32 /* of one Call-ID: more than a record holds */
#define LOST_TEXT        "Connection lost"
#define LOST_REASON      "Reason: SIP;cause=503;text=\"" LOST_TEXT "\"\r\n"
#define ADMIN_TEXT       "Released by administrator"
#define LATE_TEXT        "Answered too late"
#define ADMIN_REASON_MAX (RELEASE_WHY_MAX + 40)

/* Why, and who is gone. */
struct cause {
    int err;             /* 0: the administrator's wish */
    const char *text;    /* for the log, where err is 0 */
    struct slice reason; /* header line */
    bool has_lost;
    enum call_side lost;
    bool is_callee_only;        /* the caller has never heard of it */
    const struct flow_dest *by; /* only dialogs whose lost side is reached by it; NULL: all */
};

/* --- requests of ours --- */

/* The context of their transactions. They are sent and forgotten: whatever is answered, or that
 * nothing is, changes nothing. */
struct byes {
    struct proxy *proxy;
};

static void on_response(void *ctx, uint64_t client, const struct sip_msg *res,
                        const struct flow_origin *origin)
{
    (void)ctx, (void)client, (void)res, (void)origin;
}

static void on_failed(void *ctx, uint64_t client, int err)
{
    (void)ctx, (void)client, (void)err;
}

static const struct txn_tu byes_tu = {.on_response = on_response, .on_failed = on_failed};

struct letter {
    enum sip_method method;
    enum call_side to;
    struct flow_dest dest;
    uint64_t id;   /* of the branch */
    uint32_t loop; /* the other half: an ACK and a BYE with one id must differ */
};

static int write_letter(struct proxy *p, uint64_t call, const struct call_dialog *d,
                        const struct letter *l, struct slice reason, struct buf *out)
{
    struct flow_local local;
    struct slice first_hop;
    int err = flows_local_for(p->deps.flows, &l->dest, &local);
    if (err == 0)
        err = call_write_request(p->deps.calls, call, d, l->method, l->to, out, &first_hop);
    if (err != 0)
        return err;
    proxy_write_via(p, &l->dest, &local, l->id, l->loop, out);
    if (l->method == SIP_BYE)
        buf_slice(out, reason);
    buf_lit(out, "Content-Length: 0\r\n\r\n");
    return out->overflow ? ERR_FULL : 0;
}

/* Has the device that the request is for come back by another way? */
static bool find_way_again(struct proxy *p, struct arena *arena, struct slice bytes,
                           struct flow_dest *dest)
{
    struct sip_hdr hdrs[SIP_HDRS_MAX];
    struct sip_msg msg;
    struct proxy_way way = {.token = *dest};
    if (dest->transport == SIP_UDP || flows_is_alive(p->deps.flows, dest->flow) ||
        !sip_msg_parse_kept(&msg, bytes, hdrs))
        return false;
    way.uri = msg.ruri;
    proxy_refresh_token(p, arena, &msg, &way);
    bool is_other = way.token.flow != dest->flow || way.token.transport != dest->transport;
    *dest = way.token;
    return is_other;
}

bool proxy_is_exposed(struct slice bytes, const struct flow_dest *dest)
{
    ptrdiff_t at = slice_chr(bytes, ' ');
    return dest->transport != SIP_TLS && at >= 0 &&
           proxy_is_sips(slice_of(bytes.ptr + at + 1, bytes.len - (size_t)at - 1));
}

static struct slice letter_bytes(struct proxy *p, struct arena *arena, uint64_t call,
                                 const struct call_dialog *d, struct letter *l, struct slice reason)
{
    char text[RELEASE_MSG_MAX];
    struct buf b;
    buf_init(&b, text, sizeof(text));
    if (write_letter(p, call, d, l, reason, &b) != 0)
        return SLICE_NONE;
    if (find_way_again(p, arena, buf_get(&b), &l->dest)) {
        buf_init(&b, text, sizeof(text));
        if (write_letter(p, call, d, l, reason, &b) != 0)
            return SLICE_NONE;
    }
    return proxy_is_exposed(buf_get(&b), &l->dest) ? SLICE_NONE : arena_dup(arena, buf_get(&b));
}

/* To one side; the callee gets the ACK it waits for first, so that it takes the BYE. The bytes of
 * the BYE, empty when it could not be written. */
static struct slice send_bye(struct proxy *p, struct txn_scope *scope, struct byes *ctx,
                             uint64_t call, const struct call_dialog *d, enum call_side to,
                             const struct cause *why)
{
    struct txns *txns = p->deps.txns;
    struct arena *arena = txn_scope_arena(scope);
    struct letter l = {.method = SIP_BYE, .to = to, .dest = d->ways[to]};
    struct group_target at;
    /* Who has answered just now is there, whatever its role. */
    if (!why->is_callee_only && detour_target(p, arena, &d->ways[to], &at)) {
        detour_bye(p, call, d, to, &at, why->reason);
        return letter_bytes(p, arena, call, d, &l, why->reason);
    }
    if (txn_client_new(txns, scope, ctx, &l.id) != 0)
        return SLICE_NONE;
    struct flow_whose whose = {arena_dup(arena, to == CALL_CALLEE ? d->dn : SLICE_NONE),
                               arena_dup(arena, d->call_id)};
    if (to == CALL_CALLEE && !d->acked) {
        struct letter ack = {SIP_ACK, to, l.dest, l.id, 1};
        struct slice bytes = letter_bytes(p, arena, call, d, &ack, SLICE_NONE);
        if (bytes.len != 0)
            (void)!txn_send_stateless_for(txns, &ack.dest, &whose, bytes, NULL, NULL, 0);
        l.dest = ack.dest;
    }
    struct slice bytes = letter_bytes(p, arena, call, d, &l, why->reason);
    if (bytes.len == 0) {
        txn_client_drop(txns, l.id);
        return bytes;
    }
    txn_client_for(txns, l.id, &whose);
    txn_client_send(txns, l.id, SIP_BYE, &l.dest, l.loop, bytes);
    uint32_t member = proxy_member_of(p->deps.groups, &d->ways[to]);
    if (member != 0 && group_has_deputy(p->deps.groups, member, true))
        held_add(p, member, bytes);
    return bytes;
}

/* --- dialogs --- */

static void log_release(struct proxy *p, const struct call_dialog *d, const struct cause *why)
{
    char errbuf[64];
    const char *text = why->err != 0 ? err_text(why->err, errbuf, sizeof(errbuf)) : why->text;
    counter_inc(p->deps.counters, CTR_CALLS_RELEASED);
    EVENT_LOG(why->err != 0 ? EV_CALL_RELEASED : EV_CALL_ENDED, LF_SLICE("call_id", d->call_id),
              LF_SLICE("dn", d->dn), LF_ADDR("caller", &d->ways[CALL_CALLER].remote),
              LF_ADDR("callee", &d->ways[CALL_CALLEE].remote), LF_STR("cause", text),
              LF_INT("ms", proxy_now(p) - d->heard),
              LF_INT("age_s", (proxy_now(p) - d->since) / 1000));
}

/* BYE to both, and the dialog goes. False: it could not be written; the dialog is still there. */
static bool release_one(struct proxy *p, struct txn_scope *scope, struct byes *ctx, uint64_t call,
                        const struct call_dialog *d, const struct cause *why)
{
    struct sip_hdr hdrs[SIP_HDRS_MAX];
    struct sip_msg msg;
    log_release(p, d, why);
    if (scope == NULL)
        return false;
    if (why->has_lost && why->lost == CALL_CALLEE)
        proxy_note_lost(p, txn_scope_arena(scope), d, why->err);
    struct slice a = send_bye(p, scope, ctx, call, d, CALL_CALLEE, why);
    struct slice b = SLICE_NONE;
    if (!why->is_callee_only)
        b = send_bye(p, scope, ctx, call, d, CALL_CALLER, why);
    if (!sip_msg_parse_kept(&msg, a.len != 0 ? a : b, hdrs))
        return false;
    call_end_dialog(p->deps.calls, &msg);
    return true;
}

static bool is_reached_by(const struct flow_dest *way, const struct flow_dest *by)
{
    return (by->flow != 0 && way->flow == by->flow) || addr_eq(&way->remote, &by->remote);
}

/* The established dialogs of a call, or the one of `only`. Early ones stay: their INVITE is under
 * way, or a late 2xx may make them what has to be ended. */
static unsigned release_dialogs(struct proxy *p, uint64_t call, const struct sip_msg *only,
                                const struct cause *why)
{
    struct txn_scope *scope = NULL;
    struct call_dialog d;
    void *ctx;
    unsigned n = 0, it = 0;
    while (n < RELEASE_DIALOGS && call_next_dialog(p->deps.calls, call, &it, &d)) {
        struct call_dialog same;
        /* Somebody is hanging up: what is left to do is to tell the answer, whatever it is. */
        if (why->err != 0 && record_is_ending(p, call, &d))
            continue;
        if (why->by != NULL && !is_reached_by(&d.ways[why->lost], why->by))
            continue;
        if (!d.confirmed || (only != NULL && (!record_dialog(p, call, only, &same) ||
                                              !slice_eq(same.callee_tag, d.callee_tag))))
            continue;
        n++;
        if (scope == NULL &&
            txn_scope_new(p->deps.txns, &byes_tu, sizeof(struct byes), &ctx, &scope) != 0)
            scope = NULL;
        if (scope != NULL)
            ((struct byes *)ctx)->proxy = p;
        if (release_one(p, scope, ctx, call, &d, why)) {
            it--; /* the next one has its place now */
            continue;
        }
        call_remove(p->deps.calls, call); /* without memory: what can be done is to forget it */
        break;
    }
    return n;
}

static struct cause lost_cause(int err)
{
    return (struct cause){.err = err, .reason = SLICE(LOST_REASON)};
}

static enum call_side other_side(enum call_side side)
{
    return side == CALL_CALLER ? CALL_CALLEE : CALL_CALLER;
}

/* --- ringing --- */

static unsigned count_early(const struct pctx *c)
{
    struct call_dialog d;
    unsigned n = 0, it = 0;
    while (c->call != 0 && call_next_dialog(c->proxy->deps.calls, c->call, &it, &d))
        n += !d.confirmed;
    return n;
}

static void log_ringing(struct pctx *c, const struct cause *why)
{
    struct call_dialog d = {
        .call_id = sip_get(c->req, c->req->call_id), .since = c->since, .heard = c->since};
    unsigned it = 0;
    if (c->call == 0 || !call_next_dialog(c->proxy->deps.calls, c->call, &it, &d))
        flow_response_dest(c->origin, &c->req->via, &d.ways[CALL_CALLER]);
    log_release(c->proxy, &d, why);
}

/* No ringing phone stays. */
static void stop_ringing(struct pctx *c, struct slice reason)
{
    c->is_over = true;
    timer_stop(c->proxy->deps.wheel, &c->serial);
    best_take(c, &(struct best){.status = 487, .err = ERR_CLOSED});
    branches_cancel(c, NULL, arena_dup(c->arena, reason));
}

/* --- lost --- */

static bool was_answered(const struct pctx *c)
{
    return c->has_success;
}

bool release_is_for_deputy(const struct pctx *c)
{
    return c->member != 0 && sip_in_dialog(c->req) &&
           group_has_deputy(c->proxy->deps.groups, c->member, true);
}

void release_caller_lost(struct pctx *c, int err)
{
    struct cause why = lost_cause(err);
    if (!c->is_invite || (c->is_caller_lost && !was_answered(c)))
        return;
    c->is_caller_lost = true;
    bool in_dialog = sip_in_dialog(c->req);
    if (in_dialog && !release_is_for_deputy(c)) {
        why.has_lost = true;
        why.lost = c->side;
        (void)release_dialogs(c->proxy, c->call, c->req, &why);
    } else if (!in_dialog && was_answered(c)) {
        (void)release_dialogs(c->proxy, c->call, NULL, &why);
    }
    if (was_answered(c) || c->is_final)
        return;
    if (!in_dialog)
        log_ringing(c, &why);
    stop_ringing(c, why.reason);
    proxy_advance(c);
}

void release_linger_lost(const struct linger *l, int err)
{
    struct cause why = lost_cause(err);
    if (l->call != 0)
        (void)release_dialogs(l->proxy, l->call, NULL, &why);
}

void proxy_on_lost(void *ctx, uint64_t server, int err)
{
    const struct linger *l = ctx;
    (void)server;
    if (l->kind == CTX_REQUEST)
        release_caller_lost(ctx, err);
}

/* Timer H is the callee's to judge (RFC 3261 13.3.1.4). A final response that is no 2xx has left
 * nothing to be released. */
void proxy_on_unacked(void *ctx, uint64_t server, int err)
{
    struct pctx *c = ctx;
    (void)server;
    if (err == ERR_TIMEOUT || err == ERR_NOMEM)
        return;
    if (c->kind == CTX_LINGER)
        release_linger_lost(ctx, err);
    else if (c->kind == CTX_REQUEST && was_answered(c))
        release_caller_lost(c, err);
}

/* A dialog that is still early has its INVITE under way: where the callee cannot be reached its
 * branch fails by itself; where the caller cannot, nobody need ring. */
static void release_early(struct proxy *p, const struct pctx *c, int err)
{
    struct call_dialog d;
    uint64_t invite = call_invite(p->deps.calls, c->call);
    if (c->side == CALL_CALLER || invite == 0 || !record_dialog(p, c->call, c->req, &d) ||
        d.confirmed)
        return;
    struct pctx *ringing = txn_server_ctx(p->deps.txns, invite, &proxy_tu);
    if (ringing != NULL && ringing->kind == CTX_REQUEST && !ringing->has_success)
        release_caller_lost(ringing, err);
}

void release_dialog_lost(struct pctx *c, int err)
{
    struct proxy *p = c->proxy;
    struct cause why = lost_cause(err);
    if (c->call == 0 || !sip_in_dialog(c->req) || c->req->method == SIP_BYE ||
        !proxy_is_transport(err))
        return;
    release_early(p, c, err);
    why.has_lost = true;
    why.lost = other_side(c->side);
    (void)release_dialogs(p, c->call, c->req, &why);
}

/* The dialog of which an ACK went to that side by `dest`. The side may have spoken from elsewhere
 * since: then it is the only one there is. */
static bool dialog_of_ack(struct proxy *p, uint64_t call, enum call_side side,
                          const struct flow_dest *dest, struct call_dialog *out)
{
    struct call_dialog d;
    unsigned n = 0, it = 0;
    while (call_next_dialog(p->deps.calls, call, &it, &d)) {
        if (!d.confirmed)
            continue;
        *out = d;
        if (d.ways[side].flow == dest->flow)
            return true;
        n++;
    }
    return n == 1;
}

/* Has the device of that side spoken, or registered, by another way than `dest`? */
static bool has_come_back(struct proxy *p, uint64_t call, enum call_side side,
                          struct flow_dest *dest)
{
    char text[RELEASE_MSG_MAX];
    struct txn_scope *scope;
    struct call_dialog d;
    struct buf b;
    void *ctx;
    struct letter l = {.method = SIP_BYE, .to = side, .dest = *dest};
    if (dest->flow == 0 || !dialog_of_ack(p, call, side, dest, &d))
        return false;
    const struct flow_dest *way = &d.ways[side];
    if (way->flow != dest->flow && way->transport == dest->transport &&
        flows_is_alive(p->deps.flows, way->flow)) {
        *dest = *way;
        return true;
    }
    buf_init(&b, text, sizeof(text));
    if (write_letter(p, call, &d, &l, SLICE_NONE, &b) != 0 ||
        txn_scope_new(p->deps.txns, &byes_tu, sizeof(struct byes), &ctx, &scope) != 0)
        return false;
    uint64_t before = dest->flow;
    return find_way_again(p, txn_scope_arena(scope), buf_get(&b), dest) && dest->flow != before &&
           flows_is_alive(p->deps.flows, dest->flow);
}

static unsigned count_confirmed(struct proxy *p, uint64_t call)
{
    struct call_dialog d;
    unsigned n = 0, it = 0;
    while (call_next_dialog(p->deps.calls, call, &it, &d))
        n += d.confirmed;
    return n;
}

bool release_ack_lost(struct proxy *p, uint64_t call, enum call_side sender, int err,
                      struct flow_dest *dest)
{
    struct cause why = lost_cause(err);
    enum call_side to = other_side(sender);
    if (call == 0)
        return false;
    const struct flow_dest lost = *dest;
    if (has_come_back(p, call, to, dest))
        return true;
    why.has_lost = true;
    why.lost = to;
    /* Where two forks have answered, the other one goes on. */
    why.by = &lost;
    if (release_dialogs(p, call, NULL, &why) == 0 && count_confirmed(p, call) == 1) {
        why.by = NULL; /* it was reached by another way than the ACK */
        (void)release_dialogs(p, call, NULL, &why);
    }
    return false;
}

void release_ack_unsent(struct proxy *p, uint64_t call, enum call_side sender, int err,
                        const struct sip_msg *ack)
{
    struct cause why = lost_cause(err);
    why.has_lost = true;
    why.lost = other_side(sender);
    if (call != 0)
        (void)release_dialogs(p, call, ack, &why);
}

void release_unwanted(struct branch *b, const struct sip_msg *res)
{
    struct pctx *c = b->ctx;
    struct cause why = {.text = ADMIN_TEXT,
                        .reason = SLICE("Reason: SIP;cause=200;text=\"" ADMIN_TEXT "\"\r\n")};
    if (b->is_left)
        why = (struct cause){.text = LATE_TEXT,
                             .reason = SLICE("Reason: SIP;cause=408;text=\"" LATE_TEXT "\"\r\n"),
                             .is_callee_only = true};
    record_answer(b, res);
    (void)release_dialogs(c->proxy, c->call, NULL, &why);
}

bool release_second(struct proxy *p, uint64_t call, const struct sip_msg *res)
{
    struct call_dialog d;
    struct cause why = {.text = LATE_TEXT,
                        .reason = SLICE("Reason: SIP;cause=200;text=\"" LATE_TEXT "\"\r\n"),
                        .is_callee_only = true};
    return record_dialog(p, call, res, &d) && release_dialogs(p, call, res, &why) != 0;
}

/* --- the administrator --- */

/* Fit for a quoted string as it is? */
static bool is_plain(const char *text)
{
    size_t len = 0;
    for (; text[len] != '\0'; len++)
        if (text[len] < ' ' || text[len] > '~' || text[len] == '"' || text[len] == '\\')
            return false;
    return len != 0 && len <= RELEASE_WHY_MAX;
}

/* 480, not 487: the caller did not ask for the end (RFC 3261 21.4.25), and many phones show nothing
 * at all for a 487. */
static unsigned release_ringing(struct pctx *c, const struct cause *why)
{
    unsigned n = count_early(c);
    if (c->is_final || c->has_success)
        return 0;
    log_ringing(c, why);
    c->is_released = true;
    proxy_refuse(c, &(struct refusal){480, NULL, why->reason});
    stop_ringing(c, why->reason);
    return n != 0 ? n : 1;
}

unsigned proxy_release(struct proxy *p, struct slice call_id, const char *why)
{
    char reason[ADMIN_REASON_MAX];
    struct cause cause = {.text = why != NULL && is_plain(why) ? why : ADMIN_TEXT};
    struct buf b;
    uint64_t call = p->deps.calls != NULL ? call_find_id(p->deps.calls, call_id) : 0;
    if (call == 0)
        return 0;
    buf_init(&b, reason, sizeof(reason));
    buf_printf(&b, "Reason: SIP;cause=200;text=\"%s\"\r\n", cause.text);
    cause.reason = buf_get(&b);
    uint64_t invite = call_invite(p->deps.calls, call);
    struct pctx *c = invite != 0 ? txn_server_ctx(p->deps.txns, invite, &proxy_tu) : NULL;
    unsigned n = c != NULL && c->kind == CTX_REQUEST ? release_ringing(c, &cause) : 0;
    if (n != 0)
        return n;
    n = release_dialogs(p, call, NULL, &cause);
    if (n != 0)
        call_remove(p->deps.calls, call);
    return n;
}

/* --- the end of the daemon --- */

/* Whoever answers now has nobody to talk to; inside a dialog the call goes on without us. */
static void give_up(void *ctx)
{
    struct pctx *c = ctx;
    char text[32];
    struct buf b;
    if (c->kind != CTX_REQUEST || !c->is_invite || c->is_final || c->has_success)
        return;
    buf_init(&b, text, sizeof(text));
    overload_write_retry_after(c->proxy, 0, &b);
    c->is_released = !sip_in_dialog(c->req);
    proxy_refuse(c, &(struct refusal){503, "Shutting Down", buf_get(&b)});
    stop_ringing(c, SLICE_NONE);
}

void proxy_give_up(struct proxy *p)
{
    txns_each_invite(p->deps.txns, &proxy_tu, give_up);
}
