/* SPDX-License-Identifier: Apache-2.0 */
/* What passes changes a dialog: answers to the INVITE, requests inside it and their responses. */
#include "call/call_int.h"

/* A number for a tag, never 0. */
static uint32_t number_of(const struct call *c, struct slice tag)
{
    return (uint32_t)hash_slice(&c->owner->key, tag) | 1;
}

bool call_has_ended(const struct calls *calls, uint64_t call, const struct sip_msg *res)
{
    const struct call *c = calls_get(calls, call);
    struct slice tag = sip_get(res, res->to_tag);
    if (c == NULL || !c->is_final || dialog_of_tag(c, tag) != NULL)
        return false;
    uint32_t number = number_of(c, tag);
    return c->over[0] == number || c->over[1] == number;
}

/* With no dialog left the record goes, but while the INVITE is pending: another fork may answer. */
static void drop_dialog(struct call *c, struct dialog *d)
{
    if (c->is_final) {
        c->over[1] = c->over[0];
        c->over[0] = number_of(c, texts_get(&d->texts, PART_TAG));
    }
    dialog_remove(c, d);
    if (c->dialogs == NULL && c->is_final)
        call_free(c);
}

static void on_first_2xx(struct call *c, uint64_t now)
{
    if (c->is_final)
        return;
    c->late_until = now + CALL_LATE_MS;
    c->is_final = true;
    c->server = 0; /* no dialog has ended yet */
}

/* Session-Expires of a 2xx (RFC 4028 7.2): without one there is no session timer, nor with one that
 * cannot be read. */
static void set_session(struct dialog *d, const struct sip_msg *res, uint64_t now)
{
    struct slice value = sip_value(res, SIP_H_SESSION_EXPIRES);
    ptrdiff_t end = slice_chr(value, ';');
    uint64_t seconds;
    if (end >= 0)
        value.len = (size_t)end;
    d->expires = 0;
    if (slice_u64(slice_trim(value), UINT32_MAX, &seconds) == 0)
        d->expires = now + seconds * 1000 + CALL_GRACE_MS;
}

static bool parts_eq(const struct parts *a, const struct texts *t)
{
    for (unsigned i = 0; i < PART_COUNT; i++)
        if (!slice_eq(a->v[i], texts_get(t, i)))
            return false;
    return true;
}

/* What a dialog learns from the headers of a response, into `parts`. 0, ERR_LIMIT, ERR_PARSE. */
static int read_answer(const struct call *c, const struct dialog *d, const struct sip_msg *res,
                       const struct flow_dest *callee, struct buf *texts, struct parts *parts)
{
    struct slice target = call_target(res, texts);
    if (target.len == 0 && d != NULL)
        target = texts_get(&d->texts, PART_TARGET);
    if (texts->overflow)
        return ERR_LIMIT;
    struct buf routes;
    buf_init(&routes, texts->ptr + texts->len, texts->cap - texts->len);
    int err = call_routes_to_callee(c, res, callee, &routes);
    parts->v[PART_TARGET] = target;
    parts->v[PART_ROUTES] = buf_get(&routes);
    return err;
}

/* The dialog of a response as the response describes it. A 2xx mostly says again what a provisional
 * response has said. 0, ERR_NOMEM, ERR_LIMIT, ERR_PARSE. */
static int put_answer(struct call *c, struct dialog **d, const struct sip_msg *res,
                      const struct flow_dest *callee, struct slice dn)
{
    char texts[2 * CALL_BYTES_MAX], way[CALL_WAY_MAX];
    struct parts parts = {.v = {
                              [PART_TAG] = sip_get(res, res->to_tag),
                              [PART_WAY] = call_pack_way(callee, way),
                              [PART_NAME] = dn,
                          }};
    struct dialog *old = *d;
    uint32_t print = call_print(res);
    if (old != NULL && !old->is_slim && old->print == print &&
        slice_eq(texts_get(&old->texts, PART_WAY), parts.v[PART_WAY]) &&
        slice_eq(texts_get(&old->texts, PART_NAME), dn))
        return 0;
    struct buf b;
    buf_init(&b, texts, sizeof(texts));
    int err = read_answer(c, old, res, callee, &b, &parts);
    if (err != 0)
        return err;
    bool is_success = res->status >= 200;
    if (old != NULL && (old->is_slim ? !is_success : parts_eq(&parts, &old->texts)))
        return 0;
    err = dialog_put(c, d, &parts, is_success);
    if (err == 0)
        (*d)->print = print;
    return err;
}

static void confirm(struct dialog *d, const struct sip_msg *res, uint64_t now)
{
    d->confirmed = true;
    d->acked = false;
    d->ok_cseq = res->cseq;
    d->ok_side = CALL_CALLER;
    set_session(d, res, now);
}

void call_on_answer(struct calls *calls, uint64_t call, const struct sip_msg *res,
                    const struct flow_dest *callee, struct slice dn, uint64_t now)
{
    struct call *c = calls_get(calls, call);
    if (c == NULL || res->status <= 100 || res->status >= 300 || res->cseq != c->invite_cseq ||
        res->cseq_method != SIP_INVITE)
        return;
    struct dialog *d = res->to_tag.len != 0 ? dialog_of_tag(c, sip_get(res, res->to_tag)) : NULL;
    if (d != NULL && d->confirmed) {
        d->heard = now; /* the 2xx again, or a provisional response that comes late */
        return;
    }
    bool is_new = d == NULL, is_success = res->status >= 200;
    if (is_success)
        on_first_2xx(c, now);
    /* RFC 3261 12.1: without a tag there is no dialog to be found again. */
    int err = res->to_tag.len != 0 ? put_answer(c, &d, res, callee, dn)
              : is_success         ? ERR_PARSE
                                   : 0;
    if (err != 0)
        call_count_cut(c);
    if (err != 0 && is_success && d != NULL) {
        dialog_remove(c, d); /* what an early dialog knows is not enough */
        d = NULL;
    }
    if (d != NULL) {
        if (is_new)
            d->cseq[CALL_CALLER] = d->invite_cseq = c->invite_cseq;
        d->heard = now;
        if (is_success)
            confirm(d, res, now);
    }
    call_arm(c);
}

void call_on_final(struct calls *calls, uint64_t call, unsigned status, uint64_t now)
{
    struct call *c = calls_get(calls, call);
    if (c == NULL || status < 200)
        return;
    if (status < 300) {
        on_first_2xx(c, now);
        call_arm(c);
        return;
    }
    if (!c->is_final)
        c->server = 0;
    c->is_final = true;
    dialogs_remove_early(c);
    if (c->dialogs == NULL)
        call_free(c);
}

/* --- inside the dialog --- */

/* Where a side is reached now. What was known for opening a connection to it stays while it speaks
 * from the same address: the port it speaks from need not listen. */
static void learn_way(struct slice known, const struct flow_dest *from, struct flow_dest *out)
{
    call_unpack_way(known, out);
    bool is_same = out->transport == from->transport && addr_eq_ip(&out->remote, &from->remote);
    out->flow = from->flow;
    if (from->local.family != ADDR_NONE)
        out->local = from->local;
    if (is_same && sip_transport_is_reliable(from->transport))
        return;
    out->transport = from->transport;
    out->remote = from->remote;
    out->alt_port = from->alt_port;
}

static void put_text(struct call *c, struct dialog **d, enum call_side side, enum call_part part,
                     struct slice text)
{
    struct parts parts;
    struct texts *t = side == CALL_CALLER ? &c->caller->texts : &(*d)->texts;
    if (slice_eq(texts_get(t, part), text))
        return;
    texts_all(t, &parts);
    parts.v[part] = text;
    /* Where there is no room or memory the old one is kept: better than nothing. */
    int err = side == CALL_CALLER ? caller_put(c, &parts) : dialog_put(c, d, &parts, true);
    if (err != 0)
        call_count_cut(c);
}

/* Making room for the caller's part may take away an early dialog, even the one at hand. */
static struct dialog *put_caller_text(struct call *c, struct dialog *d, enum call_part part,
                                      struct slice text)
{
    char tag_text[CALL_BYTES_MAX];
    struct slice tag = texts_get(&d->texts, PART_TAG);
    memcpy(tag_text, tag.ptr, tag.len);
    put_text(c, NULL, CALL_CALLER, part, text);
    return dialog_of_tag(c, slice_of(tag_text, tag.len));
}

static struct dialog *set_text(struct call *c, struct dialog *d, enum call_side side,
                               enum call_part part, struct slice text)
{
    if (side == CALL_CALLER)
        return put_caller_text(c, d, part, text);
    put_text(c, &d, side, part, text);
    return d;
}

static void note_cseq(struct dialog *d, const struct sip_msg *req, enum call_side side)
{
    if (req->method == SIP_ACK) {
        d->acked = d->acked || (d->ok_side == side && d->ok_cseq == req->cseq);
        return;
    }
    if (req->method == SIP_CANCEL)
        return;
    if (req->cseq > d->cseq[side])
        d->cseq[side] = req->cseq;
    if (req->method == SIP_INVITE && side == CALL_CALLER && req->cseq > d->invite_cseq)
        d->invite_cseq = req->cseq;
}

void call_on_request(struct calls *calls, uint64_t call, const struct sip_msg *req,
                     const struct flow_dest *from, uint64_t now)
{
    enum call_side side;
    struct call *c = calls_get(calls, call);
    struct dialog *d = c != NULL ? call_dialog_of(c, req, &side) : NULL;
    if (d == NULL || !req->is_request)
        return;
    d->heard = now;
    note_cseq(d, req, side);
    if (from == NULL)
        return;
    char packed[CALL_WAY_MAX];
    struct flow_dest way;
    learn_way(texts_get(side == CALL_CALLER ? &c->caller->texts : &d->texts, PART_WAY), from, &way);
    set_text(c, d, side, PART_WAY, call_pack_way(&way, packed));
}

/* RFC 3261 12.2.1.2. To PRACK a 481 says that the provisional response is not known (RFC 3262 3);
 * to what belongs to a subscription, 481 and 408 say that this one is gone (RFC 5057 5.1). A BYE
 * ends the dialog for its sender whatever the answer (15.1.1), but a challenge, after which it
 * comes again. */
static bool ends_dialog(enum sip_method method, unsigned status)
{
    if (method == SIP_BYE)
        return status != 401 && status != 407;
    if (status != 408 && status != 481)
        return false;
    return method != SIP_PRACK && method != SIP_SUBSCRIBE && method != SIP_NOTIFY &&
           method != SIP_REFER;
}

/* RFC 3261 12.2.1.2, 12.2.2; RFC 3311 5.1. */
static struct dialog *refresh_target(struct call *c, struct dialog *d, enum call_side side,
                                     const struct sip_msg *msg)
{
    char text[CALL_BYTES_MAX];
    struct buf b;
    buf_init(&b, text, sizeof(text));
    struct slice target = msg != NULL ? call_target(msg, &b) : SLICE_NONE;
    if (target.len == 0 || b.overflow || (side == CALL_CALLEE && d->is_slim))
        return d;
    return set_text(c, d, side, PART_TARGET, target);
}

void call_on_response(struct calls *calls, uint64_t call, const struct sip_msg *req,
                      const struct sip_msg *res, uint64_t now)
{
    enum call_side side;
    struct call *c = calls_get(calls, call);
    struct dialog *d = c != NULL ? call_dialog_of(c, res, &side) : NULL;
    enum sip_method method = res->cseq_method;
    if (d == NULL || res->is_request)
        return;
    d->heard = now;
    if (res->status >= 200 && ends_dialog(method, res->status)) {
        drop_dialog(c, d);
        return;
    }
    if (res->status < 200 || res->status > 299 || (method != SIP_INVITE && method != SIP_UPDATE))
        return;
    if (method == SIP_INVITE) {
        if (d->ok_cseq == res->cseq && d->ok_side == side)
            return; /* its 2xx again */
        d->ok_cseq = res->cseq;
        d->ok_side = (uint8_t)side;
        d->acked = false;
    }
    set_session(d, res, now);
    d = refresh_target(c, d, side, req);
    if (d != NULL)
        refresh_target(c, d, side == CALL_CALLER ? CALL_CALLEE : CALL_CALLER, res);
    call_arm(c);
}

void call_end_dialog(struct calls *calls, const struct sip_msg *in_dialog)
{
    struct dialog *d;
    enum call_side side;
    struct call *c = calls_find(calls, in_dialog, &d, &side);
    if (c != NULL)
        drop_dialog(c, d);
}
