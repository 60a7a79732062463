/* SPDX-License-Identifier: Apache-2.0 */
/* Flows as rows. */
#include "base/field.h"
#include "flow/flow_int.h"

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
