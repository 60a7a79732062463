/* SPDX-License-Identifier: Apache-2.0 */
#include "base/alloc.h"
#include "proxy/proxy_int.h"

#define LEGS_FIRST 64

static void on_end(void *ctx);

const struct txn_tu proxy_tu = {
    .on_response = proxy_on_response,
    .on_failed = proxy_on_failed,
    .on_unreached = proxy_on_unreached,
    .on_resent = proxy_on_resent,
    .on_stranded = proxy_on_stranded,
    .on_lost = proxy_on_lost,
    .on_unacked = proxy_on_unacked,
    .on_end = on_end,
    .on_linger = proxy_on_linger,
};

static struct hash_key derived_key(const struct hash_key *key, const char *purpose)
{
    char text[16];
    struct buf b;
    struct hash_key out;
    buf_init(&b, text, sizeof(text));
    buf_str(&b, "proxy ");
    buf_str(&b, purpose);
    buf_char(&b, '0');
    out.k0 = hash_slice(key, buf_get(&b));
    text[b.len - 1] = '1';
    out.k1 = hash_slice(key, buf_get(&b));
    return out;
}

int proxy_new(const struct proxy_conf *conf, const struct proxy_deps *deps, struct proxy **out)
{
    struct proxy *p = mem_zalloc(sizeof(*p));
    if (p == NULL || table_init(&p->legs, LEGS_FIRST) != 0) {
        mem_free(p);
        return ERR_NOMEM;
    }
    p->conf = conf;
    p->deps = *deps;
    p->mark_key = derived_key(deps->lasting_key, "mark");
    p->loop_key = derived_key(deps->key, "loop");
    p->leg_key = derived_key(deps->key, "leg");
    seal_init(&p->seal, deps->lasting_key);
    list_init(&p->byes);
    list_init(&p->members);
    held_init(p);
    refused_init(p);
    outage_init(p);
    txns_set_via(deps->txns, overload_write_via, p);
    *out = p;
    return 0;
}

void proxy_free(struct proxy **p)
{
    if (*p != NULL) {
        held_fini(*p);
        refused_fini(*p);
        outage_fini(*p);
        table_fini(&(*p)->legs);
    }
    mem_free(*p);
    *p = NULL;
}

void proxy_set_conf(struct proxy *p, const struct proxy_conf *conf)
{
    p->conf = conf;
}

static void context_end(struct pctx *c)
{
    struct wheel *wheel = c->proxy->deps.wheel;
    timer_stop(wheel, &c->trying);
    timer_stop(wheel, &c->serial);
    LIST_EACH(node, &c->branches)
    {
        struct branch *b = branch_of(node);
        timer_stop(wheel, &b->timer_c);
        timer_stop(wheel, &b->quiet);
        list_remove(&b->in_members);
        if (b->state == BRANCH_RESOLVING)
            route_resolve_cancel(&b->query); /* only when everything ends */
    }
    record_end(c);
    replay_drop_leg(c);
    if (c->is_counted_here)
        group_call_end(c->proxy->deps.groups, c->counted);
    c->is_counted_here = false;
}

static void on_end(void *ctx)
{
    const struct linger *l = ctx;
    if (l->kind != CTX_LINGER)
        context_end(ctx);
    else
        mem_free(l->vias);
}

/* Without memory for them a late 2xx is not forwarded. */
static void keep_vias(const struct pctx *c, struct linger *l)
{
    size_t room = hide_vias_size(c->req);
    struct buf b;
    l->vias = room <= UINT16_MAX ? mem_alloc(room) : NULL;
    if (l->vias == NULL)
        return;
    buf_init(&b, l->vias, room);
    hide_write_vias(c->req, &b);
    l->nvias = (uint16_t)b.len;
}

/* The context goes; its timers have nothing left to do. */
void proxy_on_linger(void *ctx, void *small)
{
    struct pctx *c = ctx;
    struct linger *l = small;
    *l = (struct linger){.kind = CTX_LINGER,
                         .proxy = c->proxy,
                         .server = c->server,
                         .call = release_is_for_deputy(c) ? 0 : c->call,
                         .winner = proxy_is_one_call(c) ? c->winner : 0,
                         .is_stream = c->origin->transport != SIP_UDP};
    hide_up_of(c->proxy, c->req, &c->origin->remote, &l->up);
    if (c->has_hidden)
        keep_vias(c, l);
    context_end(c);
}

static void on_trying(struct timer *t, uint64_t now)
{
    struct pctx *c = container_of(t, struct pctx, trying);
    (void)now;
    if (c->has_success) {
        /* The 2xx that could not be forwarded did not come again. */
        proxy_refuse(c, &(struct refusal){500, NULL, SLICE_NONE});
        release_caller_lost(c, ERR_NOMEM);
        return;
    }
    /* Without memory for it the request is repeated, and answered when there is a response. */
    (void)!txn_reply(c->proxy->deps.txns, c->server, 100, SLICE_NONE, SLICE_NONE);
}

/* The context of a new request, or NULL: then the request has been answered without one, by
 * `status`. */
static struct pctx *context_new(struct proxy *p, const struct sip_msg *req,
                                const struct flow_origin *origin, unsigned status)
{
    struct txns *txns = p->deps.txns;
    uint64_t server;
    void *ctx;
    int err = txn_server_new(txns, req, origin, &proxy_tu, sizeof(struct pctx), &ctx, &server);
    if (err != 0) {
        char text[32];
        struct buf b;
        buf_init(&b, text, sizeof(text));
        if (status == 503)
            overload_write_retry_after(p, 0, &b);
        txn_reply_stateless(txns, req, origin, status, SLICE_NONE, buf_get(&b));
        return NULL;
    }
    struct pctx *c = ctx;
    c->kind = CTX_REQUEST;
    c->proxy = p;
    c->server = server;
    c->since = c->rang = proxy_now(p);
    c->scope = txn_scope_of(txns, server);
    c->arena = txn_scope_arena(c->scope);
    c->req = txn_request(txns, server);
    c->origin = txn_origin(txns, server);
    c->is_invite = req->method == SIP_INVITE;
    c->is_dialog_forming = !sip_in_dialog(req) &&
                           (req->method == SIP_INVITE || req->method == SIP_SUBSCRIBE ||
                            req->method == SIP_REFER || req->method == SIP_NOTIFY);
    list_init(&c->branches);
    list_init(&c->byes);
    timer_init(&c->trying, on_trying);
    timer_init(&c->serial, proxy_on_serial);
    return c;
}

/* --- requests for the proxy itself --- */

static bool is_for_us(struct proxy *p, const struct proxy_way *way)
{
    bool is_understood = way->uri.scheme == SIP_SCHEME_SIP ||
                         (way->uri.scheme == SIP_SCHEME_SIPS && route_tls_port(p->deps.route) != 0);
    return way->next_route.len == 0 && way->uri.user.len == 0 && is_understood &&
           route_is_ours(p->deps.route, &way->uri);
}

#define OUR_METHODS \
    "INVITE, ACK, CANCEL, BYE, OPTIONS, REGISTER, PRACK, UPDATE, INFO, SUBSCRIBE, NOTIFY, REFER, MESSAGE, PUBLISH"

static void refuse_draining(struct pctx *c)
{
    char text[32];
    struct buf b;
    buf_init(&b, text, sizeof(text));
    overload_write_retry_after(c->proxy, 0, &b);
    proxy_refuse(c, &(struct refusal){503, "Draining", buf_get(&b)});
}

/* RFC 3261 section 11: what we can do, and whether we take calls now. */
static void answer_self(struct pctx *c)
{
    if (c->req->method != SIP_OPTIONS) {
        proxy_refuse(c, &(struct refusal){404, NULL, SLICE_NONE});
        return;
    }
    if (c->proxy->conf->answer_only) {
        refuse_draining(c);
        return;
    }
    struct refusal why = {0};
    proxy_check_tags(c, SIP_H_REQUIRE, &why); /* here we are the user agent: RFC 3261 8.2.2.3 */
    if (why.status != 0) {
        proxy_refuse(c, &why);
        return;
    }
    c->is_final = true;
    proxy_reply(c, 200, SLICE_NONE,
                SLICE("Allow: " OUR_METHODS
                      "\r\nAccept: application/sdp\r\nSupported: path, outbound\r\n"));
}

/* A REGISTER is the serving application's. */
static bool is_served(const struct pctx *c)
{
    return c->req->method == SIP_REGISTER && route_has_serving(c->proxy->deps.route);
}

/* --- what becomes of it --- */

static void route_request(struct pctx *c)
{
    struct proxy *p = c->proxy;
    struct refusal why = {0};
    if (is_for_us(p, &c->way) && c->req->method == SIP_OPTIONS) {
        answer_self(c);
        return;
    }
    proxy_check(c, &why);
    if (why.status == 483 && c->req->method == SIP_OPTIONS) {
        answer_self(c); /* RFC 3261 16.3 step 3, 11 */
        return;
    }
    if (why.status == 0 && p->conf->answer_only && !sip_in_dialog(c->req)) {
        refuse_draining(c);
        return;
    }
    if (why.status == 0)
        proxy_check_auth(c, &why);
    if (why.status != 0) {
        proxy_refuse(c, &why);
        return;
    }
    if (is_for_us(p, &c->way) && !is_served(c)) {
        answer_self(c);
        return;
    }
    int err = targets_find(c);
    if (err != 0) {
        proxy_refuse(c, &(struct refusal){500, NULL, SLICE_NONE});
    } else if (c->set.status != 0) {
        if (c->set.is_down)
            counter_inc(p->deps.counters, CTR_APP_REFUSED);
        targets_refuse(c);
    } else {
        uint32_t wait = c->is_invite ? PROXY_TRYING_MS : p->conf->late_trying_ms;
        timer_set(p->deps.wheel, &c->trying, proxy_now(p) + wait);
        proxy_advance(c);
    }
}

/* Whoever sends requests is the active member; OPTIONS may be a check by one in reserve, and ACK
 * and CANCEL belong to what was sent before. */
static void note_sender(struct pctx *c)
{
    struct proxy *p = c->proxy;
    if (p->deps.groups == NULL)
        return;
    c->member = route_sender(p->deps.route, c->req, &c->origin->remote, c->origin->transport);
    if (group_is_member(c->member) && c->req->method != SIP_OPTIONS)
        (void)group_note_request(p->deps.groups, c->member, proxy_now(p));
    if (group_is_member(c->member) && c->is_invite)
        replay_add_leg(c);
}

void proxy_on_request(struct proxy *p, const struct sip_msg *req, const struct flow_origin *origin)
{
    struct pctx *c = context_new(p, req, origin, 503);
    if (c == NULL) {
        /* Whoever wanted to hang up has done so. */
        if (req->method == SIP_BYE && p->deps.calls != NULL)
            call_end_dialog(p->deps.calls, req);
        return;
    }
    note_sender(c);
    bool trusts = c->member != 0 || route_may_relay(p->deps.route, &c->origin->remote);
    int err = proxy_prepare(p, c->req, trusts, c->arena, &c->way);
    if (err != 0) {
        struct refusal why = {400, "Bad Route or Request-URI", SLICE_NONE};
        if (err == ERR_NOMEM)
            why = (struct refusal){500, NULL, SLICE_NONE};
        proxy_refuse(c, &why);
        return;
    }
    c->loop = proxy_loop_hash(c);
    record_request(c);
    route_request(c);
}

/* --- CANCEL: RFC 3261 9.2, 16.10 --- */

/* Answered here also when it names nothing: a CANCEL forwarded without state would carry a branch
 * that nobody downstream knows, since no INVITE is forwarded without state. */
static void answer_cancel(struct proxy *p, const struct sip_msg *cancel,
                          const struct flow_origin *origin, unsigned status)
{
    struct pctx *own = context_new(p, cancel, origin, status);
    if (own == NULL)
        return;
    own->is_final = true;
    if (status >= 300)
        counter_inc(p->deps.counters, CTR_REQ_REJECTED);
    proxy_reply(own, status, SLICE_NONE, SLICE_NONE);
}

void proxy_on_cancel(struct proxy *p, const struct sip_msg *cancel,
                     const struct flow_origin *origin, uint64_t server)
{
    answer_cancel(p, cancel, origin, server != 0 ? 200 : 481);
    struct pctx *c = server != 0 ? txn_server_ctx(p->deps.txns, server, &proxy_tu) : NULL;
    if (c == NULL || !c->is_invite || c->is_final || c->has_success)
        return;
    c->is_over = true;
    timer_stop(p->deps.wheel, &c->serial);
    best_take(c, &(struct best){.status = 487, .err = ERR_CLOSED});
    branches_cancel(c, NULL, SLICE_NONE);
    proxy_advance(c);
}
