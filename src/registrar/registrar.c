/* SPDX-License-Identifier: Apache-2.0 */
#include "registrar/registrar_int.h"

#include "base/alloc.h"

#define UNSUPPORTED_MAX 1024 /* bytes of Unsupported; of more tags nothing is said */

/* No client transactions, nothing to give back. */
static const struct txn_tu reg_tu = {0};

int registrar_new(const struct registrar_conf *conf, const struct registrar_deps *deps,
                  struct registrar **out)
{
    struct registrar *r = mem_zalloc(sizeof(*r));
    *out = r;
    if (r == NULL)
        return ERR_NOMEM;
    r->conf = conf;
    r->deps = *deps;
    return 0;
}

void registrar_free(struct registrar **r)
{
    mem_free(*r);
    *r = NULL;
}

void registrar_set_conf(struct registrar *r, const struct registrar_conf *conf)
{
    r->conf = conf;
}

/* --- steps 1 to 5 --- */

/* RFC 3261 10.3 step 2, 8.2.2.3. */
static void check_require(struct reg *g, struct reg_refusal *out)
{
    struct sip_iter it;
    struct slice tag;
    struct buf b = {0};
    sip_iter_init(&it, g->req, SIP_H_REQUIRE);
    while (sip_iter_next(&it, &tag)) {
        if (slice_ieq(tag, SLICE("path")) || slice_ieq(tag, SLICE("outbound")))
            continue;
        if (b.ptr == NULL) {
            char *text = arena_bytes(g->arena, UNSUPPORTED_MAX);
            buf_init(&b, text, text != NULL ? UNSUPPORTED_MAX : 0);
            *out = (struct reg_refusal){420, NULL, SLICE_NONE};
        }
        buf_lit(&b, "Unsupported: ");
        buf_slice(&b, tag);
        buf_lit(&b, "\r\n");
    }
    if (!b.overflow)
        out->extra = buf_get(&b);
}

/* The DN is the user of the To header (step 5); its domain must be ours. */
static bool read_aor(struct reg *g, struct reg_refusal *out)
{
    const struct registrar_deps *d = &g->r->deps;
    struct sip_name_addr to;
    struct sip_uri uri;
    struct buf b;
    if (sip_name_addr_parse(sip_value(g->req, SIP_H_TO), &to) < 0 ||
        sip_uri_parse(to.uri, &uri) < 0)
        return reg_refuse(out, 400, "Bad To");
    bool is_sip = uri.scheme == SIP_SCHEME_SIP || uri.scheme == SIP_SCHEME_SIPS;
    bool is_ours = slice_ieq(uri.host, g->realm) ||
                   (d->is_ours != NULL && is_sip && d->is_ours(d->ours_user, &uri));
    if (!is_sip || !is_ours || uri.user.len == 0)
        return reg_refuse(out, 404, "Not An Address Of Ours");
    char *text = arena_bytes(g->arena, uri.user.len);
    if (text == NULL)
        return reg_refuse(out, 500, NULL);
    buf_init(&b, text, uri.user.len); /* unescaping never grows */
    if (sip_unescape(uri.user, &b) < 0)
        return reg_refuse(out, 400, "Bad To");
    g->name = buf_get(&b);
    return true;
}

static bool needs_password(const struct reg *g)
{
    bool has_password = g->dn.password.len != 0 || g->dn.password_ha1.len != 0;
    return g->r->conf->authenticate && g->dn.configured && has_password;
}

/* A section says that this DN may register, unless it says too where the DN is: else anybody could
 * take the calls of a trunk that has no password. */
static bool is_expected(const struct reg *g)
{
    return needs_password(g) || g->dn.contact.len == 0;
}

/* Step 4: who may register, and from where. */
static bool check_who(struct reg *g, struct reg_refusal *out)
{
    const struct registrar *r = g->r;
    int err = dn_find(r->deps.dir, g->name, g->now, g->arena, &g->dn);
    if (err == ERR_NOMEM)
        return reg_refuse(out, 500, NULL);
    g->is_known = err == 0;
    bool is_configured = g->is_known && g->dn.configured;
    if (is_configured && is_expected(g))
        return true;
    if (!is_configured && dn_dir_is_configured(r->deps.dir))
        return reg_refuse(out, 404, "Unknown User");
    if (!addr_nets_have(r->conf->open_to, r->conf->nopen_to, &g->origin->remote))
        return reg_refuse(out, 403, "Registration Not Open To This Address");
    return true;
}

static void challenge(struct reg *g, bool stale, struct reg_refusal *out)
{
    size_t room = 1024 + 4 * g->realm.len;
    char *text = arena_bytes(g->arena, room);
    struct buf b;
    buf_init(&b, text, text != NULL ? room : 0);
    auth_challenge(g->r->deps.auth, &b, false, g->realm, &g->dn, stale, g->now);
    if (b.overflow)
        reg_refuse(out, 500, NULL);
    else
        *out = (struct reg_refusal){401, NULL, buf_get(&b)};
}

/* Step 3. */
static void check_auth(struct reg *g, struct reg_refusal *out)
{
    const struct registrar *r = g->r;
    if (!needs_password(g))
        return;
    switch (auth_check(r->deps.auth, g->req, false, g->name, g->realm, &g->dn, g->now)) {
    case AUTH_OK: break;
    case AUTH_MISSING: challenge(g, false, out); break;
    case AUTH_STALE: challenge(g, true, out); break;
    case AUTH_WRONG:
        challenge(g, false, out);
        if (out->status == 401)
            out->reason = "Wrong Credentials";
        break;
    case AUTH_OTHER: reg_refuse(out, 403, "Credentials Of Another User"); break;
    case AUTH_BAD: reg_refuse(out, 400, "Bad Authorization"); break;
    }
    bool is_failure = out->status == 403 || (out->status == 401 && out->reason != NULL);
    if (is_failure)
        counter_inc(r->deps.counters, CTR_AUTH_FAILED);
    else if (out->status == 401)
        counter_inc(r->deps.counters, CTR_AUTH_CHALLENGED);
}

/* --- answers --- */

static void send(struct reg *g, unsigned status, const char *reason, struct slice extra)
{
    struct txns *txns = g->r->deps.txns;
    int err = txn_reply(txns, g->server, status, slice_str(reason), extra);
    /* Nothing was sent: without the long lines it fits. */
    if (err == ERR_FULL || err == ERR_NOMEM)
        (void)!txn_reply(txns, g->server, 500, SLICE_NONE, SLICE_NONE);
}

static void refuse(struct reg *g, const struct reg_refusal *why)
{
    struct registrar *r = g->r;
    /* Being asked for a password for the first time is no refusal. */
    bool is_challenge = why->status == 401 && why->reason == NULL;
    if (!is_challenge) {
        counter_inc(r->deps.counters, CTR_REGISTER_REFUSED);
        EVENT_LOG(EV_REGISTER_REFUSED, LF_SLICE("dn", g->name),
                  LF_ADDR("source", &g->origin->remote), LF_INT("status", why->status),
                  LF_SLICE("reason", why->reason != NULL ? slice_str(why->reason)
                                                         : sip_reason_text(why->status)));
    }
    send(g, why->status, why->reason, why->extra);
}

/* --- steps 6 to 8 --- */

static bool was_there(const struct reg *g, const struct dn_binding *b)
{
    for (unsigned i = 0; i < g->dn.nbindings; i++) {
        const struct dn_binding *old = &g->dn.bindings[i];
        bool same = old->reg_id != 0 && b->reg_id != 0
                        ? old->reg_id == b->reg_id && slice_eq(old->instance, b->instance)
                        : reg_same_contact(old->contact, b->contact);
        if (same)
            return true;
    }
    return false;
}

static void log_change(const struct reg *g, const struct dn_change *c)
{
    bool is_old = was_there(g, &c->binding);
    if (c->remove && !is_old)
        return;
    const char *text = c->remove ? "unregistered"
                       : is_old  ? "registration refreshed"
                                 : "registered";
    LOG(is_old && !c->remove ? LOG_DEBUG : LOG_INFO, "registrar", text, LF_SLICE("dn", g->name),
        LF_SLICE("contact", c->binding.contact), LF_ADDR("source", &g->origin->remote),
        LF_INT("expires", (c->binding.expires - g->now) / 1000));
}

static void log_changes(const struct reg *g)
{
    bool has_added = false;
    if (g->is_star && g->dn.nbindings != 0)
        LOG(LOG_INFO, "registrar", "all bindings removed", LF_SLICE("dn", g->name),
            LF_ADDR("source", &g->origin->remote), LF_INT("bindings", g->dn.nbindings));
    for (unsigned i = 0; i < g->nchanges && !g->is_star; i++) {
        log_change(g, &g->changes[i]);
        has_added = has_added || !g->changes[i].remove;
    }
    if (!has_added || g->dn.oos_cause == 0 || g->dn.oos_cause == ERR_ADMIN)
        return;
    if (g->dn.went_out)
        counter_inc(g->r->deps.counters, CTR_DN_BACK);
    EVENT_LOG(EV_DN_BACK, LF_SLICE("dn", g->name),
              LF_STR("was", g->dn.went_out ? "out-of-service" : "suspect"),
              LF_STR("by", "registration"), LF_ADDR("peer", &g->origin->remote),
              LF_ERR("cause", g->dn.oos_cause));
}

/* The connection is the device's own: not that of a proxy between. */
static void name_flow(const struct reg *g)
{
    struct flows *flows = g->r->deps.flows;
    for (unsigned i = 0; flows != NULL && i < g->nchanges; i++) {
        const struct dn_change *c = &g->changes[i];
        if (c->remove || c->binding.way.flow == 0)
            continue;
        flows_set_dn(flows, c->binding.way.flow, g->name);
        return;
    }
}

static void apply(struct reg *g, struct reg_refusal *out)
{
    const struct registrar *r = g->r;
    int err = 0;
    if (g->nchanges != 0)
        err = dn_register(r->deps.dir, g->name, g->changes, g->nchanges, g->is_star,
                          r->conf->max_bindings, g->now, reg_same_contact);
    switch (err) {
    case 0:
        log_changes(g);
        name_flow(g);
        break;
    case ERR_STALE: reg_refuse(out, 500, "CSeq Not Higher"); break;
    case ERR_LIMIT: reg_refuse(out, 403, "Too Many Contacts"); break;
    default: reg_refuse(out, 500, NULL); break;
    }
}

static void answer(struct reg *g)
{
    const struct registrar *r = g->r;
    struct dn_info dn;
    struct slice extra;
    int err = dn_find(r->deps.dir, g->name, g->now, g->arena, &dn);
    if (err == 0 || err == ERR_NOT_FOUND) /* nothing is registered (any more) */
        err = reg_write_200(g, &dn, &extra);
    if (err != 0) {
        refuse(g, &(struct reg_refusal){500, NULL, SLICE_NONE});
        return;
    }
    counter_inc(r->deps.counters, CTR_REGISTER_OK);
    send(g, 200, NULL, extra);
}

/* RFC 3261 10.3; step 1 is the dispatch's: the domain of the Request-URI is ours. */
static void run(struct reg *g)
{
    struct reg_refusal why = {0};
    check_require(g, &why);
    if (why.status == 0 && read_aor(g, &why) && check_who(g, &why))
        check_auth(g, &why);
    if (why.status == 0)
        reg_read_path(g, &why);
    if (why.status == 0)
        reg_read_contacts(g, &why);
    if (why.status == 0)
        apply(g, &why);
    if (why.status == 0)
        answer(g);
    else
        refuse(g, &why);
}

static void refuse_for_want_of_room(struct registrar *r, const struct sip_msg *req,
                                    const struct flow_origin *origin)
{
    char text[32];
    struct buf b;
    buf_init(&b, text, sizeof(text));
    if (r->deps.load != NULL)
        buf_printf(&b, "Retry-After: %u\r\n", load_retry_after(r->deps.load, 0));
    txn_reply_stateless(r->deps.txns, req, origin, 503, SLICE_NONE, buf_get(&b));
}

void registrar_on_request(struct registrar *r, const struct sip_msg *req,
                          const struct flow_origin *origin, struct slice realm)
{
    struct txns *txns = r->deps.txns;
    uint64_t server;
    void *ctx;
    if (txn_server_new(txns, req, origin, &reg_tu, sizeof(struct reg), &ctx, &server) != 0) {
        refuse_for_want_of_room(r, req, origin);
        return;
    }
    struct reg *g = ctx;
    struct txn_scope *scope = txn_scope_of(txns, server);
    g->r = r;
    g->server = server;
    g->arena = txn_scope_arena(scope);
    g->req = txn_request(txns, server);
    g->origin = txn_origin(txns, server);
    g->realm = realm;
    g->now = r->deps.wall(r->deps.user);
    run(g);
}
