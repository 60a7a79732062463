/* SPDX-License-Identifier: Apache-2.0 */
/* Calls as rows. */
#include "base/field.h"
#include "call/call_int.h"

struct rows {
    struct calls *calls;
    uint64_t now;
    const struct row_sink *sink;
};

static const char *state_of(const struct dialog *d)
{
    if (d == NULL)
        return "calling";
    return !d->confirmed ? "early" : d->acked ? "established" : "answered";
}

static uint64_t since(const struct rows *r, uint64_t then)
{
    return r->now > then ? r->now - then : 0;
}

static struct slice connection(const struct flow_dest *way, char room[16])
{
    struct buf b;
    buf_init(&b, room, 16);
    if (way->flow != 0)
        buf_hex(&b, way->flow, 16);
    return buf_get(&b);
}

static struct slice transport(const struct flow_dest *way)
{
    return way->remote.family != ADDR_NONE ? sip_transport_param(way->transport) : SLICE_NONE;
}

static struct slice uri_of(const struct call *c, enum call_part part)
{
    struct slice uri = texts_get(&c->caller->texts, part);
    return call_is_uri(uri) ? uri : SLICE_NONE;
}

/* `d` NULL: nobody has answered. */
static void row_dialog(const struct rows *r, const struct call *c, const struct dialog *d)
{
    struct flow_dest caller, callee = {.flow = 0};
    char from[16], to[16];

    call_unpack_way(texts_get(&c->caller->texts, PART_WAY), &caller);
    if (d != NULL)
        call_unpack_way(texts_get(&d->texts, PART_WAY), &callee);
    ROW(r->sink, "call", LF_SLICE("call_id", texts_get(&c->caller->texts, PART_NAME)),
        LF_STR("state", state_of(d)),
        LF_SLICE("dn", d != NULL ? texts_get(&d->texts, PART_NAME) : SLICE_NONE),
        LF_ADDR("caller", &caller.remote), LF_ADDR("callee", &callee.remote),
        LF_INT("age_ms", since(r, c->since)),
        LF_INT("idle_ms", since(r, d != NULL ? d->heard : c->since)),
        LF_SLICE("from", uri_of(c, PART_FROM)), LF_SLICE("to", uri_of(c, PART_TO)),
        LF_SLICE("caller_transport", transport(&caller)),
        LF_SLICE("caller_connection", connection(&caller, from)),
        LF_SLICE("callee_transport", transport(&callee)),
        LF_SLICE("callee_connection", connection(&callee, to)));
}

static void row_one(void *object, uint64_t id, void *user)
{
    const struct call *c = object;
    (void)id;
    if (c->dialogs == NULL)
        row_dialog(user, c, NULL);
    for (const struct dialog *d = c->dialogs; d != NULL; d = d->next)
        row_dialog(user, c, d);
}

bool calls_rows_some(struct calls *calls, uint64_t now, uint32_t *at, unsigned n,
                     const struct row_sink *sink)
{
    struct rows r = {calls, now, sink};
    return pool_each_some(&calls->pool, at, n, row_one, &r);
}
