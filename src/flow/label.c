/* SPDX-License-Identifier: Apache-2.0 */
/* Whose flow it is, and lines about it. */
#include "base/alloc.h"
#include "flow/flow_int.h"

struct slice flow_dn(const struct flow *f)
{
    return f->dn != NULL ? slice_of(f->dn->text, f->dn->len) : SLICE_NONE;
}

void flow_label(struct flow *f, struct slice dn)
{
    if (dn.len > FLOW_DN_MAX)
        dn.len = FLOW_DN_MAX;
    if (slice_eq(flow_dn(f), dn))
        return;
    struct flow_dn *label = NULL;
    if (dn.len != 0) {
        label = mem_alloc(sizeof(*label) + dn.len);
        if (label == NULL)
            return;
        label->len = (uint8_t)dn.len;
        memcpy(label->text, dn.ptr, dn.len);
    }
    mem_free(f->dn);
    f->dn = label;
}

void flow_call_set(struct flow_call *c, struct slice call_id)
{
    c->len = call_id.len < FLOW_CALL_MAX ? (uint8_t)call_id.len : FLOW_CALL_MAX;
    if (c->len != 0)
        memcpy(c->text, call_id.ptr, c->len);
}

struct slice flows_dn(const struct flows *fs, uint64_t id)
{
    const struct flow *f = pool_find(&fs->pool, id);
    return f != NULL ? flow_dn(f) : SLICE_NONE;
}

void flows_set_dn(struct flows *fs, uint64_t id, struct slice dn)
{
    unsigned owner = flow_id_owner(fs, id);
    if (id == 0 || flow_id_is_provisional(id))
        return;
    if (owner != fs->worker) {
        flow_mail_dn(fs, owner, id, dn);
        return;
    }
    struct flow *f = flow_find(fs, id);
    if (f != NULL)
        flow_label(f, dn);
}

void flow_log(const struct flow *f, enum log_level level, const char *text, int cause, int64_t ms,
              uint32_t left_out)
{
    struct field fields[8];
    struct net_tls_info tls;
    unsigned n = 0;
    if (!log_is_on(level))
        return;
    if (f->dn != NULL)
        fields[n++] = LF_SLICE("dn", flow_dn(f));
    fields[n++] = LF_ADDR("peer", &f->remote);
    fields[n++] = LF_ADDR("local", &f->local);
    fields[n++] = LF_SLICE("transport", sip_transport_param((enum sip_transport)f->transport));
    if (f->stream != NULL && f->transport == SIP_TLS && net_stream_tls_info(f->stream, &tls) == 0)
        fields[n++] = LF_STR("tls", tls.resumed ? "resumed" : "full");
    if (cause != 0)
        fields[n++] = LF_ERR("cause", cause);
    if (ms >= 0)
        fields[n++] = LF_INT("ms", ms);
    if (left_out != 0)
        fields[n++] = LF_INT("left_out", left_out);
    log_fields(level, "flow", text, n, fields);
}
