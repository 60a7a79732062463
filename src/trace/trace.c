/* SPDX-License-Identifier: Apache-2.0 */
#include "trace/trace.h"

#include "base/alloc.h"
#include "sip/method.h"
#include "trace/trace_int.h"

#define LINE_BYTES 1200u /* of a message in a line of the log, which holds 2,000 in all */

int trace_new(const struct trace_conf *conf, unsigned worker, struct counters *counters,
              struct trace **out)
{
    struct trace *t = mem_zalloc(sizeof(*t));
    *out = NULL;
    if (t == NULL)
        return ERR_NOMEM;
    t->conf = *conf;
    t->worker = worker;
    t->counters = counters;
    int rc = trace_ring_size(&t->ring, conf->bytes);
    if (rc == 0 && conf->hep.family != ADDR_NONE && (t->hep = trace_hep_new(conf)) == NULL)
        rc = ERR_NOMEM;
    if (rc != 0) {
        trace_free(&t);
        return rc;
    }
    *out = t;
    return 0;
}

void trace_free(struct trace **trace)
{
    struct trace *t = *trace;
    if (t == NULL)
        return;
    trace_hep_free(&t->hep);
    trace_ring_fini(&t->ring);
    mem_free(t);
    *trace = NULL;
}

void trace_set_conf(struct trace *t, const struct trace_conf *conf)
{
    bool is_none = conf->hep.family == ADDR_NONE;
    bool is_same = is_none == (t->hep == NULL) && addr_eq(&t->conf.hep, &conf->hep);
    t->conf = *conf;
    if (trace_ring_size(&t->ring, conf->bytes) != 0)
        LOG(LOG_WARN, "trace", "no memory for trace-buffer", LF_INT("bytes", conf->bytes),
            LF_INT("kept", t->ring.size));
    if (is_same)
        return;
    trace_hep_free(&t->hep);
    t->hep = is_none ? NULL : trace_hep_new(conf);
    if (!is_none && t->hep == NULL)
        LOG(LOG_WARN, "trace", "no memory for hep-collector", LF_ADDR("collector", &conf->hep));
}

/* --- messages come ---------------------------------------------------------------------------- */

/* What a line of the log has no room for is not looked at. */
static void log_line(const struct trace *t, const struct flow_wire *wire)
{
    char text[LINE_BYTES];
    struct buf out;
    struct slice all = wire->bytes;
    struct sip_mask_conf conf = t->conf.mask;
    buf_init(&out, text, sizeof(text));
    conf.is_log = true;
    sip_mask(&conf, all, &out);
    LOG(LOG_DEBUG, "sip", wire->is_out ? "message sent" : "message received",
        LF_SLICE("transport", sip_transport_param(wire->transport)), LF_ADDR("local", wire->local),
        LF_ADDR("remote", wire->remote), LF_INT("length", all.len),
        LF_SLICE("message", buf_get(&out)));
}

bool trace_is_on(const struct trace *t)
{
    return t->ring.size != 0 || t->hep != NULL || log_is_on(LOG_DEBUG);
}

void trace_put(struct trace *t, const struct flow_wire *wire, uint64_t wall)
{
    if (t->ring.size != 0)
        trace_ring_put(&t->ring, wire, wall);
    if (t->hep != NULL)
        trace_hep_put(t, wire, wall);
    if (log_is_on(LOG_DEBUG) && log_is_on_for(LOG_DEBUG, "sip"))
        log_line(t, wire);
}

void trace_flush(struct trace *t)
{
    if (t->hep != NULL)
        trace_hep_flush(t);
}

/* --- and are asked for ------------------------------------------------------------------------ */

static bool is_wanted(const struct trace_record *rec, struct slice message,
                      const struct trace_want *want)
{
    struct trace_facts facts;
    if (rec->wall <= want->since || (want->until != 0 && rec->wall > want->until))
        return false;
    if (want->call_id.len == 0 && want->text.len == 0)
        return true;
    trace_read(message, &facts);
    if (want->call_id.len != 0 && slice_eq(facts.call_id, want->call_id))
        return true;
    return want->text.len != 0 && (trace_uri_is(facts.uri, want->text) ||
                                   trace_uri_is(trace_uri(facts.from), want->text) ||
                                   trace_uri_is(trace_uri(facts.to), want->text));
}

/* RFC 4648 section 4. */
static void put_base64(struct buf *out, struct slice s)
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    const unsigned char *p = (const unsigned char *)s.ptr;
    size_t left = s.len;
    for (; left != 0; p += 3) {
        size_t n = left < 3 ? left : 3;
        uint32_t bits = (uint32_t)p[0] << 16 | (n > 1 ? (uint32_t)p[1] << 8 : 0) |
                        (n > 2 ? p[2] : 0);
        char four[4] = {digits[bits >> 18], digits[bits >> 12 & 63],
                        n > 1 ? digits[bits >> 6 & 63] : '=', n > 2 ? digits[bits & 63] : '='};
        buf_add(out, four, sizeof(four));
        left -= n;
    }
}

static void put_row(const struct trace *t, const struct trace_record *rec, struct slice shown,
                    struct slice base64, bool with_bytes, const struct row_sink *sink)
{
    struct trace_facts f;
    char connection[20] = "";
    trace_read(shown, &f);
    if (rec->flow != 0) {
        struct buf b;
        buf_init(&b, connection, sizeof(connection) - 1);
        buf_hex(&b, rec->flow, 16);
    }
    const struct field fields[] = {
        LF_INT("time_us", rec->wall),
        LF_INT("worker", t->worker),
        LF_STR("direction", rec->is_out ? "out" : "in"),
        LF_SLICE("transport", sip_transport_param(rec->transport)),
        LF_ADDR("local", &rec->local),
        LF_ADDR("remote", &rec->remote),
        LF_STR("connection", connection),
        LF_SLICE("start_line", f.start_line),
        LF_SLICE("method", f.method),
        LF_INT("status", f.status),
        LF_SLICE("call_id", f.call_id),
        LF_SLICE("cseq", f.cseq),
        LF_SLICE("from", trace_uri(f.from)),
        LF_SLICE("to", trace_uri(f.to)),
        LF_INT("length", rec->length),
        LF_BOOL("cut", rec->kept < rec->length),
        LF_SLICE("text", shown),
        LF_SLICE("bytes", base64),
    };
    unsigned n = sizeof(fields) / sizeof(fields[0]);
    sink->row(sink->user, "message", with_bytes ? n : n - 1, fields);
}

/* Scratch: the message as it may be shown, then its base64. Without memory there is no row. */
static void tell(const struct trace *t, const struct trace_record *rec, struct slice message,
                 const struct trace_want *want, const struct row_sink *sink)
{
    struct buf shown, base64;
    size_t cap = message.len + SIP_MASK_MORE, more = want->with_bytes ? (cap + 2) / 3 * 4 : 0;
    char *room = mem_alloc(cap + more);
    if (room == NULL)
        return;
    buf_init(&shown, room, cap);
    buf_init(&base64, room + cap, more);
    sip_mask(&t->conf.mask, message, &shown);
    if (want->with_bytes)
        put_base64(&base64, buf_get(&shown));
    put_row(t, rec, buf_get(&shown), buf_get(&base64), want->with_bytes, sink);
    mem_free(room);
}

bool trace_rows_some(struct trace *t, uint64_t *at, unsigned n, const struct trace_want *want,
                     const struct row_sink *sink)
{
    const struct trace_record *rec;
    if (want->end != NULL && *want->end == 0)
        *want->end = t->ring.head;
    while (n-- != 0) {
        rec = trace_ring_get(&t->ring, at);
        if (rec == NULL || (want->end != NULL && *at >= *want->end))
            return false;
        struct slice message = slice_of((const char *)(rec + 1), rec->kept);
        if (is_wanted(rec, message, want))
            tell(t, rec, message, want, sink);
        *at += rec->total;
    }
    return trace_ring_get(&t->ring, at) != NULL;
}
