/* SPDX-License-Identifier: Apache-2.0 */
/* The directory as rows. */
#include "base/buf.h"
#include "dn/dn_int.h"

static const char *type_text(enum dn_type type)
{
    switch (type) {
    case DN_EXTENSION: return "extension";
    case DN_ACD_POSITION: return "acd-position";
    case DN_TRUNK: return "trunk";
    case DN_TRUNK_GROUP: return "trunk-group";
    case DN_VOIP_SERVICE: return "voip-service";
    case DN_ROUTING_POINT: return "routing-point";
    }
    return "?";
}

struct rows {
    uint64_t now;
    const struct row_sink *sink;
};

/* dn_way.transport is a number that only rooms above know by name. */
static const char *transport_text(uint8_t transport)
{
    static const char *const texts[] = {"udp", "tcp", "tls"};
    return transport < sizeof(texts) / sizeof(texts[0]) ? texts[transport] : "";
}

static void row_binding(const struct rows *r, const struct dn_entry *e, const struct dn_binding *b)
{
    char number[20], q[8], updated[FIELD_TIME_MAX];
    struct buf connection, weight;
    buf_init(&connection, number, sizeof(number));
    if (b->way.flow != 0)
        buf_hex(&connection, b->way.flow, 16);
    buf_init(&weight, q, sizeof(q));
    buf_printf(&weight, "%u.%03u", b->q / 1000, b->q % 1000);
    ROW(r->sink, "binding", LF_SLICE("dn", dn_name(e)), LF_SLICE("contact", b->contact),
        LF_STR("transport", transport_text(b->way.transport)), LF_ADDR("remote", &b->way.remote),
        LF_ADDR("source", &b->source), LF_SLICE("connection", buf_get(&connection)),
        LF_INT("expires_s", ((int64_t)b->expires - (int64_t)r->now) / 1000),
        LF_SLICE("q", buf_get(&weight)), LF_SLICE("instance", b->instance),
        LF_INT("reg_id", b->reg_id), LF_SLICE("path", b->path),
        LF_STR("registered", field_time(b->updated, updated)));
}

static const char *row_state(enum dn_state state)
{
    switch (state) {
    case DN_IN_SERVICE: return "in-service";
    case DN_SUSPECT: return "suspect";
    case DN_OUT_OF_SERVICE: return "out-of-service";
    }
    return "";
}

static struct slice answer_text(const struct dn_entry *e, char *room, size_t cap)
{
    struct buf b;
    if (e->failure != 0)
        return slice_str(err_text(e->failure, room, cap));
    buf_init(&b, room, cap);
    if (e->answer != 0)
        buf_u64(&b, e->answer);
    return buf_get(&b);
}

static void row_entry(struct table_node *node, void *user)
{
    const struct rows *r = user;
    const struct dn_entry *e = container_of(node, struct dn_entry, node);
    const struct dn_settings *set = e->settings;
    char cause[64], since[FIELD_TIME_MAX], checked[FIELD_TIME_MAX], next[FIELD_TIME_MAX];
    char answer[64];
    ROW(r->sink, "dn", LF_SLICE("name", dn_name(e)),
        LF_STR("type", set != NULL ? type_text(set->type) : ""),
        LF_SLICE("service_type", set != NULL ? set->service_type : SLICE_NONE),
        LF_STR("state", row_state(dn_entry_state(e, r->now))),
        LF_STR("cause", e->cause != 0 ? err_text(e->cause, cause, sizeof(cause)) : ""),
        LF_STR("since", field_time(e->since, since)), LF_INT("bindings", e->nkept),
        LF_BOOL("checked", set != NULL && set->oos_check_s != 0),
        LF_STR("last_check", field_time(e->checked, checked)),
        LF_SLICE("last_answer", answer_text(e, answer, sizeof(answer))),
        LF_STR("next_try", field_time(dn_entry_retry(e, r->now), next)));
    for (unsigned i = 0; i < e->nkept; i++)
        row_binding(r, e, &e->kept[i]->b);
}

void dn_rows(struct dn_dir *dir, uint64_t now, const struct row_sink *sink)
{
    struct rows r = {now, sink};
    for (unsigned i = 0; i < DN_STRIPES; i++) {
        pthread_mutex_lock(&dir->stripes[i].lock);
        table_each(&dir->stripes[i].names, row_entry, &r);
        pthread_mutex_unlock(&dir->stripes[i].lock);
    }
}
