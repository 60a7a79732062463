/* SPDX-License-Identifier: Apache-2.0 */
#include "proxy/proxy_int.h"

#include "base/err.h"

bool proxy_has_second_via(const struct sip_msg *res)
{
    struct sip_iter it;
    struct slice element;
    sip_iter_below_via(&it, res);
    return sip_iter_next(&it, &element);
}

/* Our Via off, a length where the caller's stream needs one; into the arena. */
static int write_response(struct proxy *p, const struct hide_up *up, struct arena *arena,
                          const struct sip_msg *res, struct slice *out)
{
    if (!proxy_has_second_via(res))
        return ERR_PARSE;
    struct sip_edit e;
    char text[48], room[OVERLOAD_ROOM];
    struct buf b;
    sip_edit_init(&e, res);
    sip_edit_pop(&e, SIP_H_VIA, 1);
    overload_edit(p, &e, res, room);
    int err = hide_response(p, up, arena, res, &e);
    if (err != 0)
        return err;
    if (sip_hdr_first(res, SIP_H_CONTENT_LENGTH) == NULL) {
        buf_init(&b, text, sizeof(text));
        buf_printf(&b, "Content-Length: %u\r\n", (unsigned)res->body_len);
        sip_edit_append(&e, buf_get(&b));
    }
    size_t size = sip_edit_size(&e);
    if (size > SIP_MSG_MAX)
        return ERR_LIMIT;
    char *bytes = arena_bytes(arena, size);
    if (bytes == NULL)
        return ERR_NOMEM;
    buf_init(&b, bytes, size);
    err = sip_edit_write(&e, &b);
    *out = buf_get(&b);
    return err;
}

static int write_for_caller(struct pctx *c, const struct sip_msg *res, struct slice *out)
{
    struct hide_up up;
    hide_up_of(c->proxy, c->req, &c->origin->remote, &up);
    return write_response(c->proxy, &up, c->arena, res, out);
}

/* With what was hidden from whoever answers; NULL: no memory. */
static const struct sip_msg *put_back(const struct pctx *c, const struct sip_msg *res)
{
    size_t room = hide_vias_size(c->req);
    char *text = arena_bytes(c->arena, room);
    struct buf b;
    if (text == NULL)
        return NULL;
    buf_init(&b, text, room);
    hide_write_vias(c->req, &b);
    return hide_put_back(c->proxy, buf_get(&b), c->arena, res);
}

static void send_up(struct pctx *c, unsigned status, struct slice bytes)
{
    struct proxy *p = c->proxy;
    counter_inc(p->deps.counters, CTR_RES_FORWARDED);
    if (status > 100)
        c->has_answered = true;
    if (status >= 200)
        c->is_final = true;
    if (c->has_answered)
        timer_stop(p->deps.wheel, &c->trying);
    record_final(c, status);
    /* Over a datagram what cannot be sent now is the transaction's to send again. */
    int err = txn_respond(p->deps.txns, c->server, status, bytes);
    if (err < 0 && err != ERR_NOMEM && c->origin->transport != SIP_UDP)
        release_caller_lost(c, err);
}

/* A provisional response or a 2xx. Without memory for the 2xx of an INVITE the next copy is waited
 * for: its sender repeats it until the ACK comes. */
static void forward_response(struct pctx *c, const struct sip_msg *res)
{
    struct proxy *p = c->proxy;
    struct slice bytes;
    int err = write_for_caller(c, res, &bytes);
    if (err == 0) {
        send_up(c, res->status, bytes);
    } else if (res->status >= 200 && !c->is_final) {
        if (c->is_invite && err == ERR_NOMEM)
            timer_set(p->deps.wheel, &c->trying, proxy_now(p) + PROXY_GIVE_UP_MS);
        else
            proxy_refuse(c, &(struct refusal){err == ERR_NOMEM ? 500 : 502, NULL, SLICE_NONE});
    }
}

/* --- the best response: RFC 3261 16.7 step 6 --- */

/* Lower is better: any 6xx, then the lowest class; within 4xx those that help the caller to try
 * again; what we made ourselves, or a 503 and 487, last in its class. */
static unsigned rank(const struct best *b)
{
    unsigned s = b->status;
    if (s >= 600)
        return 0;
    unsigned in_class = 50;
    if (s == 401 || s == 407)
        in_class = 0;
    else if (s == 415 || s == 420 || s == 484)
        in_class = 1;
    else if (s == 503 || s == 487)
        in_class = 60;
    if (b->err != 0)
        in_class = 70;
    return s / 100 * 100 + in_class;
}

void best_take(struct pctx *c, const struct best *candidate)
{
    if (c->best.status == 0 || rank(candidate) < rank(&c->best))
        c->best = *candidate;
}

void proxy_reply(struct pctx *c, unsigned status, struct slice reason, struct slice extra)
{
    struct txns *txns = c->proxy->deps.txns;
    int err = txn_reply(txns, c->server, status, reason, extra);
    if (err == ERR_FULL) /* header lines too many for one message */
        err = txn_reply(txns, c->server, status, reason, SLICE_NONE);
    if (err != ERR_NOMEM)
        return;
    txn_reply_stateless(txns, c->req, c->origin, status, reason, extra);
    txn_server_forget(txns, c->server);
}

static void send_own(struct pctx *c, unsigned status, struct slice reason, struct slice extra)
{
    struct proxy *p = c->proxy;
    c->is_final = true;
    c->has_answered = true;
    timer_stop(p->deps.wheel, &c->trying);
    counter_inc(p->deps.counters, CTR_REQ_REJECTED);
    record_final(c, status);
    if (status != 401 && status != 407)
        record_unanswered(c);
    proxy_reply(c, status, reason, extra);
}

void proxy_refuse(struct pctx *c, const struct refusal *why)
{
    send_own(c, why->status, slice_str(why->reason), why->extra);
}

/* Challenges of the other branches go into the one that is sent (RFC 3261 16.7 step 7). */
static struct slice with_challenges(struct pctx *c, struct slice bytes)
{
    size_t len = 0;
    LIST_EACH(node, &c->branches)
    if (branch_of(node) != c->best.branch)
        len += branch_of(node)->challenges.len;
    if (len == 0)
        return bytes;
    char *text = arena_bytes(c->arena, bytes.len + len);
    const char *end = memmem(bytes.ptr, bytes.len, "\r\n\r\n", 4);
    if (text == NULL || end == NULL)
        return bytes;
    struct buf b;
    buf_init(&b, text, bytes.len + len);
    size_t lines = (size_t)(end - bytes.ptr) + 2;
    buf_add(&b, bytes.ptr, lines);
    LIST_EACH(node, &c->branches)
    if (branch_of(node) != c->best.branch)
        buf_slice(&b, branch_of(node)->challenges);
    buf_add(&b, bytes.ptr + lines, bytes.len - lines);
    return buf_get(&b);
}

static bool is_dns(int err)
{
    return err == ERR_DNS_SILENT || err == ERR_DNS_BAD || err == ERR_DNS_REFUSED;
}

/* What the name service says of a peer, or does not say, is no loss of its connection. */
bool proxy_is_transport(int err)
{
    return err != ERR_TIMEOUT && err != ERR_NOMEM && err != ERR_LIMIT && err != ERR_FULL &&
           err != ERR_UNSUPPORTED && err != ERR_PARSE && err != ERR_LOOP && err != ERR_OVERLOAD &&
           err != ERR_BAD_STATUS && !is_dns(err);
}

/* All of its members are out. */
static bool is_down(const struct pctx *c, const struct branch *b)
{
    struct groups *groups = c->proxy->deps.groups;
    return b->target->member != 0 && groups != NULL &&
           group_state_of(groups, group_of(b->target->member)) == GROUP_DOWN;
}

/* What a caller is told when nothing could be reached. 0: nothing at all (RFC 4320 4.2: no 408 to a
 * request that has timed out at its sender too). */
static unsigned status_of_failure(const struct pctx *c, const struct branch *b, int err)
{
    if (err == ERR_TIMEOUT)
        return c->is_invite ? 408 : 0;
    if (err == ERR_OVERLOAD)
        return 503;
    /* There is a way, but not by TLS (RFC 5630 5.3). */
    if (err == ERR_UNSUPPORTED && c->way.uri.scheme == SIP_SCHEME_SIPS)
        return 480;
    if (err == ERR_LOOP)
        return 482;
    if (err == ERR_BAD_STATUS)
        return 503;
    if (is_dns(err))
        return b->target->is_device ? 480 : 500;
    if (!proxy_is_transport(err))
        return 500;
    if (sip_in_dialog(c->req))
        return 408;
    if (is_down(c, b))
        return 503;
    if (c->is_invite)
        return b->target->is_device ? 480 : 500;
    if (!b->target->is_device && (err == ERR_NOT_FOUND || err == ERR_NO_ROUTE))
        return 500; /* an address that leads nowhere is no lost connection */
    /* To a SIP Server 503 says "try another way"; a device would take it for the end of us. */
    bool is_server = c->member != 0 || (route_may_relay(c->proxy->deps.route, &c->origin->remote) &&
                                        !proxy_is_from_device(c));
    return is_server ? 503 : 480;
}

/* When the application that the request was for, or a next hop that wants less, may be tried again:
 * another peer that was lost says nothing about the next request. */
static void write_retry_after(struct pctx *c, struct buf *out)
{
    const struct branch *b = c->best.branch;
    struct group_keys keys = {SLICE_NONE, SLICE_NONE, SLICE_NONE};
    struct group_choice choice = {0};
    bool is_application = b != NULL && b->target->member != 0;
    if (!is_application && c->best.err != ERR_OVERLOAD)
        return;
    if (is_application && is_down(c, b) &&
        group_choose(c->proxy->deps.groups, group_of(b->target->member), &keys, c->arena,
                     &choice) == 0 &&
        choice.status != 0)
        counter_inc(c->proxy->deps.counters, CTR_APP_REFUSED);
    overload_write_retry_after(c->proxy, choice.retry_after, out);
}

static void send_failure(struct pctx *c)
{
    unsigned status = c->best.status;
    char text[160 + PROXY_WARNING_MAX], errbuf[64];
    struct buf b;
    buf_init(&b, text, sizeof(text));
    if (c->best.err == ERR_UNSUPPORTED && status == 480)
        proxy_write_warning(c->proxy, 380, &b);
    if (c->best.err == ERR_TIMEOUT && status == 408)
        buf_lit(&b, "Reason: SIP;cause=408;text=\"No answer\"\r\n");
    else if ((proxy_is_transport(c->best.err) || is_dns(c->best.err)) && status != 487)
        buf_printf(&b, "Reason: SIP;cause=503;text=\"%s\"\r\n",
                   err_text(c->best.err, errbuf, sizeof(errbuf)));
    if (status == 503)
        write_retry_after(c, &b);
    if (status == 482)
        counter_inc(c->proxy->deps.counters, CTR_LOOP);
    send_own(c, status, SLICE_NONE, b.overflow ? SLICE_NONE : buf_get(&b));
    if (c->lost_err != 0)
        release_dialog_lost(c, c->lost_err);
}

/* Nobody but members of an application was asked, and all say that they are overloaded or cannot be
 * reached: then so will be whatever is sent next (RFC 3261 16.7 step 6). */
static bool is_whole_application(const struct pctx *c)
{
    LIST_EACH(node, &c->branches)
    if (branch_of(node)->target->member == 0)
        return false;
    return true;
}

void best_send(struct pctx *c)
{
    struct proxy *p = c->proxy;
    struct best *best = &c->best;
    if (best->status == 0) {
        timer_stop(p->deps.wheel, &c->trying);
        c->is_final = true;
        record_unanswered(c);
        txn_server_forget(p->deps.txns, c->server);
    } else if (best->bytes.len == 0) {
        send_failure(c);
    } else if (best->status == 503 && !is_whole_application(c)) {
        send_own(c, 500, SLICE("Next Hop Unavailable"), SLICE("Reason: SIP;cause=503\r\n"));
    } else if (best->status == 430 && c->set.is_local) {
        /* RFC 5626 7: whoever knows the registrations says what it means for the user. */
        send_own(c, 480, SLICE_NONE, SLICE("Reason: SIP;cause=430;text=\"Flow Failed\"\r\n"));
    } else if (best->status == 401 || best->status == 407) {
        send_up(c, best->status, with_challenges(c, best->bytes));
    } else {
        send_up(c, best->status, best->bytes);
    }
}

/* --- responses that arrive --- */

static void keep_challenges(struct branch *b, const struct sip_msg *res)
{
    static const enum sip_hdr_id ids[] = {SIP_H_WWW_AUTHENTICATE, SIP_H_PROXY_AUTHENTICATE};
    size_t len = 0;
    for (unsigned i = 0; i < 2; i++)
        for (const struct sip_hdr *h = sip_hdr_first(res, ids[i]); h != NULL;
             h = sip_hdr_after(res, h))
            len += h->line_len;
    char *text = len != 0 ? arena_bytes(b->ctx->arena, len) : NULL;
    if (text == NULL)
        return;
    struct buf out;
    buf_init(&out, text, len);
    for (unsigned i = 0; i < 2; i++)
        for (const struct sip_hdr *h = sip_hdr_first(res, ids[i]); h != NULL;
             h = sip_hdr_after(res, h))
            buf_add(&out, res->base + h->line, h->line_len);
    b->challenges = buf_get(&out);
}

/* Does the caller have that dialog already? */
static bool is_established(struct proxy *p, uint64_t call, const struct sip_msg *res)
{
    struct call_dialog d;
    return record_dialog(p, call, res, &d) && d.confirmed;
}

/* Where a switchover or a silent way made us try it twice, the caller has one call still: another
 * 2xx than its own is ended by us. */
static bool end_second(struct branch *b, const struct sip_msg *res)
{
    struct pctx *c = b->ctx;
    if (!proxy_is_one_call(c) || !c->has_success || !c->is_invite || b->client == c->winner ||
        is_established(c->proxy, c->call, res))
        return false;
    record_answer(b, res);
    return release_second(c->proxy, c->call, res);
}

static void on_success(struct branch *b, const struct sip_msg *res)
{
    struct pctx *c = b->ctx;
    branch_end(b);
    if (c->is_released) {
        release_unwanted(b, res);
        return;
    }
    if (end_second(b, res))
        return;
    if (!c->has_success)
        c->winner = b->client;
    c->is_over = c->has_success = true;
    timer_stop(c->proxy->deps.wheel, &c->serial);
    record_answer(b, res);
    record_response(c, res);
    forward_response(c, res);
    branches_cancel(c, b, SLICE("Reason: SIP;cause=200;text=\"Call completed elsewhere\"\r\n"));
}

/* RFC 4320 4.2: a 408 to what is no INVITE comes when its sender has given up too, and is not
 * passed on. Inside a dialog it says that the other side is gone, which ends the dialog (RFC 3261
 * 12.2.1.2). */
static bool is_late_timeout(const struct pctx *c, unsigned status)
{
    return status == 408 && !c->is_invite && !sip_in_dialog(c->req);
}

static void on_failure_response(struct branch *b, const struct sip_msg *res)
{
    struct pctx *c = b->ctx;
    struct best candidate = {.status = res->status, .branch = b};
    if (branch_try_after(b, res))
        return;
    refused_add(b, res->status);
    record_response(c, res);
    if (res->status == 401 || res->status == 407)
        keep_challenges(b, res);
    int err = write_for_caller(c, res, &candidate.bytes);
    if (err != 0)
        candidate = (struct best){.status = err == ERR_PARSE ? 502 : 500, .err = err, .branch = b};
    if (!is_late_timeout(c, res->status))
        best_take(c, &candidate);
    branch_end(b);
    if (res->status >= 600) {
        c->is_over = true;
        branches_cancel(c, b, SLICE_NONE);
    }
    proxy_advance(c);
}

/* A 2xx repeated, or of another branch, when only the transactions are left of the call (RFC 6026).
 */
static void on_late(const struct linger *l, uint64_t client, const struct sip_msg *res)
{
    struct txns *txns = l->proxy->deps.txns;
    struct txn_scope *scope = txn_scope_of(txns, l->server);
    struct slice bytes;
    if (res->status < 200 || res->status > 299 || scope == NULL)
        return;
    struct arena *arena = txn_scope_arena(scope);
    if (l->vias != NULL)
        res = hide_put_back(l->proxy, slice_of(l->vias, l->nvias), arena, res);
    if (res == NULL || write_response(l->proxy, &l->up, arena, res, &bytes) != 0)
        return;
    bool is_second = l->winner != 0 && client != l->winner &&
                     !is_established(l->proxy, l->call, res);
    if (is_second || !record_has_ended(l->proxy, l->call, res))
        record_late(l, client, res);
    if (is_second && release_second(l->proxy, l->call, res))
        return;
    counter_inc(l->proxy->deps.counters, CTR_RES_FORWARDED);
    int err = txn_respond(txns, l->server, res->status, bytes);
    if (err < 0 && err != ERR_NOMEM && err != ERR_STALE && l->is_stream)
        release_linger_lost(l, err);
}

/* Repeated, or late of a branch that was cancelled. */
static void on_success_again(struct branch *b, const struct sip_msg *res)
{
    if (b->ctx->is_released) {
        release_unwanted(b, res);
        return;
    }
    if (end_second(b, res) || b->ctx->repeats++ >= PROXY_REPEATS_MAX)
        return;
    if (!record_has_ended(b->ctx->proxy, b->ctx->call, res))
        record_answer(b, res);
    forward_response(b->ctx, res);
}

void proxy_on_response(void *ctx, uint64_t client, const struct sip_msg *res,
                       const struct flow_origin *origin)
{
    struct branch *b = ctx;
    (void)origin;
    if (b->kind == CTX_LINGER) {
        on_late(ctx, client, res);
        return;
    }
    struct pctx *c = b->ctx;
    overload_note(c->proxy, client, res);
    /* Timer C ends what only rings and rings. */
    bool is_surplus = res->status > 100 && res->status < 200 &&
                      c->provisionals++ >= PROXY_PROVISIONALS_MAX;
    if (c->has_hidden && res->status > 100 && !is_surplus) {
        const struct sip_msg *whole = put_back(c, res);
        if (whole == NULL && c->is_invite && res->status < 300)
            return; /* it comes again, or another one does */
        res = whole != NULL ? whole : res;
    }
    if (!b->was_heard || b->is_suspect) {
        b->is_suspect = false;
        branch_note_alive(b);
        branch_note_heard(b, res->status);
    }
    if (res->status < 200) {
        if (is_surplus)
            return;
        branch_on_provisional(b, res->status);
        if (res->status == 100)
            return;
        /* RFC 4320 4.1: of provisional responses only 100 goes to what is no INVITE. */
        if (c->is_invite && !c->is_final && !b->is_left) {
            record_answer(b, res);
            forward_response(c, res);
        }
    } else if (res->status < 300) {
        if (b->state != BRANCH_DONE || (b->is_left && !c->has_success && !c->is_final))
            on_success(b, res);
        else if (c->is_invite)
            on_success_again(b, res);
    } else if (b->state != BRANCH_DONE) {
        on_failure_response(b, res);
    }
}

/* --- branches that fail without a response --- */

/* It has acknowledged what was sent on its connection, and has not said a word to it. */
static void note_silence(struct branch *b)
{
    const struct proxy *p = b->ctx->proxy;
    const struct flow_dest *dest = txn_client_dest(p->deps.txns, b->client);
    if (dest == NULL || b->was_heard || dest->transport == SIP_UDP)
        return;
    bool is_cut = !flows_is_alive(p->deps.flows, dest->flow);
    branch_note_suspect(b, is_cut ? ERR_STALE_WEDGED : ERR_TIMEOUT);
}

void branch_failed(struct branch *b, int err)
{
    struct pctx *c = b->ctx;
    if (b->state == BRANCH_DONE)
        return;
    if (err == ERR_TIMEOUT)
        note_silence(b);
    branch_note_useless(b, err);
    if (branch_try_other(b, err))
        return;
    branch_note_unreachable(b, err);
    if (err == ERR_TIMEOUT || proxy_is_transport(err))
        (void)replay_end_legs(b);
    /* The member is there, but not by TLS. */
    if (proxy_is_transport(err) && replay_is_raised(b) && !is_down(c, b))
        err = ERR_UNSUPPORTED;
    if (sip_in_dialog(c->req) && proxy_is_transport(err))
        c->lost_err = err;
    struct best candidate = {.status = status_of_failure(c, b, err), .err = err, .branch = b};
    if (b->was_cancelled && c->is_invite)
        candidate = proxy_unheard(b);
    if (candidate.status != 0)
        best_take(c, &candidate);
    else
        c->is_over = true; /* its sender has given up too: no other target is of use */
    branch_end(b);
    proxy_advance(c);
}

void proxy_on_failed(void *ctx, uint64_t client, int err)
{
    const struct linger *l = ctx;
    (void)client;
    if (l->kind != CTX_LINGER)
        branch_failed(ctx, err);
}
