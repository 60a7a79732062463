/* SPDX-License-Identifier: Apache-2.0 */
/* Flows as lines and as rows, for any sink. */
#include "base/field.h"
#include "flow/flow_int.h"

struct sink {
    void (*line)(void *user, const char *text);
    void *user;
};

static const char *state_name(const struct flow *f)
{
    switch ((enum flow_state)f->state) {
    case FLOW_OPENING: return f->work != NULL && f->work->cause != 0 ? "reopening" : "opening";
    case FLOW_UP: return f->work != NULL && f->work->attempt != NULL ? "suspect" : "up";
    case FLOW_GONE: return "dead";
    }
    return "?";
}

static void dump_tls(const struct flow *f, struct buf *b)
{
    struct net_tls_info tls;
    if (f->transport != SIP_TLS)
        return;
    if (f->stream != NULL && net_stream_tls_info(f->stream, &tls) == 0)
        buf_printf(b, " tls=%s%s%s", tls.version, tls.resumed ? ",resumed" : "",
                   tls.has_peer ? ",verified" : "");
    if (f->tls_peer != 0 && f->owner->conf.tls != NULL)
        buf_printf(b, " name=%s", flow_tls_name(f->owner->conf.tls, f->tls_peer).ptr);
}

static void dump_one(void *object, uint64_t id, void *user)
{
    const struct flow *f = object;
    const struct sink *sink = user;
    char text[640], why[64], local[ADDR_TEXT_MAX], remote[ADDR_TEXT_MAX], again[ADDR_TEXT_MAX];
    uint32_t now = flows_seconds(f->owner);
    uint32_t last = f->last_in > f->last_out ? f->last_in : f->last_out;
    struct buf b;
    buf_init(&b, text, sizeof(text) - 1);
    addr_write(&f->local, local);
    addr_write(&f->remote, remote);
    buf_printf(&b, "%016llx %.*s %s %s -> %s %s idle=%us unacked=%zu reopened=%u",
               (unsigned long long)id, SLICE_ARG(sip_transport_param(f->transport)), state_name(f),
               local, remote, f->is_opened ? "opened" : "accepted", now - last,
               f->stream != NULL ? net_stream_unacked(f->stream) : 0, f->reopened);
    if (f->last_cause != 0)
        buf_printf(&b, " cause=\"%s\"", err_text(f->last_cause, why, sizeof(why)));
    if (f->reopen.port != 0)
        buf_printf(&b, " reopen=%s", addr_write(&f->reopen, again));
    dump_tls(f, &b);
    if (f->dn != NULL)
        buf_printf(&b, " dn=%.*s", SLICE_ARG(flow_dn(f)));
    text[b.len] = '\0';
    sink->line(sink->user, text);
}

void flows_dump(struct flows *fs, void (*line)(void *user, const char *text), void *user)
{
    struct sink sink = {line, user};
    pool_each(&fs->pool, dump_one, &sink);
}

bool flows_dump_some(struct flows *fs, uint32_t *at, unsigned n,
                     void (*line)(void *user, const char *text), void *user)
{
    struct sink sink = {line, user};
    return pool_each_some(&fs->pool, at, n, dump_one, &sink);
}

/* --- rows ---------------------------------------------------------------------------------- */

static const char *row_state(const struct flow *f)
{
    if (f->doom != 0 || f->lame)
        return "closing";
    switch (flow_stage(f)) {
    case FLOW_STAGE_OPENING: return "opening";
    case FLOW_STAGE_UP: return "up";
    case FLOW_STAGE_SUSPECT: return "suspect";
    case FLOW_STAGE_REOPENING: return "reopening";
    case FLOW_STAGE_NONE: break;
    }
    return "closing";
}

/* "TLSv1.3", "TLSv1.3 resumed verified"; empty: not TLS, or not up. */
static struct slice tls_text(const struct flow *f, char *room, size_t cap)
{
    struct net_tls_info tls;
    struct buf b;
    buf_init(&b, room, cap);
    if (f->transport == SIP_TLS && f->stream != NULL && net_stream_tls_info(f->stream, &tls) == 0)
        buf_printf(&b, "%s%s%s", tls.version, tls.resumed ? " resumed" : "",
                   tls.has_peer ? " verified" : "");
    return buf_get(&b);
}

static struct slice tls_name(const struct flow *f)
{
    if (f->tls_peer == 0 || f->owner->conf.tls == NULL)
        return SLICE_NONE;
    return flow_tls_name(f->owner->conf.tls, f->tls_peer);
}

static void row_one(void *object, uint64_t id, void *user)
{
    const struct flow *f = object;
    const struct row_sink *sink = user;
    uint32_t now = flows_seconds(f->owner);
    uint32_t last = f->last_in > f->last_out ? f->last_in : f->last_out;
    size_t queued = f->work != NULL ? f->work->queued : 0;
    char number[20], tls[64], why[64];
    struct buf b;
    buf_init(&b, number, sizeof(number));
    buf_hex(&b, id, 16);
    if (f->stream != NULL)
        queued += net_stream_queued(f->stream);
    ROW(sink, "flow", LF_SLICE("id", buf_get(&b)),
        LF_SLICE("transport", sip_transport_param(f->transport)), LF_STR("state", row_state(f)),
        LF_SLICE("dn", flow_dn(f)), LF_ADDR("remote", &f->remote), LF_ADDR("local", &f->local),
        LF_STR("opened_by", f->is_ours ? "us" : "peer"),
        LF_INT("age_ms", 1000 * (uint64_t)(now - f->begun)),
        LF_INT("idle_ms", 1000 * (uint64_t)(now - last)),
        LF_INT("unacked_bytes", f->stream != NULL ? net_stream_unacked(f->stream) : 0),
        LF_INT("queued_bytes", queued), LF_INT("reopened", f->reopened),
        LF_STR("last_error", f->last_cause != 0 ? err_text(f->last_cause, why, sizeof(why)) : ""),
        LF_ADDR("reopen", f->reopen.port != 0 ? &f->reopen : NULL),
        LF_SLICE("tls", tls_text(f, tls, sizeof(tls))), LF_SLICE("tls_name", tls_name(f)));
}

bool flows_rows_some(struct flows *fs, uint32_t *at, unsigned n, const struct row_sink *sink)
{
    struct row_sink s = *sink;
    return pool_each_some(&fs->pool, at, n, row_one, &s);
}
