/* SPDX-License-Identifier: Apache-2.0 */
/* The groups for people. */
#include "base/buf.h"
#include "group/group_int.h"

static const char *state_text(enum group_state state)
{
    switch (state) {
    case GROUP_UNKNOWN: return "unknown";
    case GROUP_UP: return "up";
    case GROUP_SEARCH: return "search";
    case GROUP_DOWN: return "down";
    }
    return "";
}

static const char *policy_text(enum group_policy policy)
{
    switch (policy) {
    case GROUP_ROUND_ROBIN: return "round-robin";
    case GROUP_WEIGHTED: return "weighted";
    case GROUP_HASH_CALL_ID: return "hash-call-id";
    case GROUP_HASH_FROM: return "hash-from";
    case GROUP_HASH_TO: return "hash-to";
    case GROUP_LEAST_CALLS: return "least-calls";
    }
    return "";
}

/* The member with that id; g->n: it is gone. */
static unsigned place_of(const struct group *g, uint32_t id)
{
    unsigned i = 0;
    while (i < g->n && g->members[i].id != id)
        i++;
    return i;
}

static const char *uri_of(const struct group *g, uint32_t id)
{
    unsigned i = place_of(g, id);
    return i < g->n ? g->members[i].uri : "";
}

struct rows {
    uint64_t now, wall;
    const struct row_sink *sink;
};

/* A time of the loops' clock by the clock on the wall; 0: none. */
static const char *time_text(const struct rows *r, uint64_t at, char *room)
{
    uint64_t ago = r->now > at ? r->now - at : 0;
    return field_time(at != 0 && r->wall > ago ? r->wall - ago : 0, room);
}

static void row_head(const struct rows *r, const struct group *g)
{
    char since[FIELD_TIME_MAX];
    bool is_pair = g->conf.role == GROUP_PAIR;
    ROW(r->sink, "application", LF_STR("name", g->conf.name),
        LF_STR("role", is_pair ? "pair" : policy_text(g->conf.policy)),
        LF_STR("state", state_text(group_now(g))),
        LF_STR("active", is_pair && g->pair.active < g->n ? g->members[g->pair.active].uri : ""),
        LF_STR("since", time_text(r, g->since, since)), LF_INT("switchovers", g->totals.switched),
        LF_INT("down_count", g->totals.down), LF_INT("back_count", g->totals.back));
}

static struct slice addrs_text(const struct member *m, char *room, size_t cap)
{
    char text[ADDR_TEXT_MAX];
    struct buf b;
    buf_init(&b, room, cap);
    for (unsigned i = 0; i < m->naddrs; i++) {
        buf_str(&b, i == 0 ? "" : ", ");
        buf_str(&b, addr_write(&m->addrs[i], text));
    }
    if (m->naddrs == 0 && m->fixed.family != ADDR_NONE)
        buf_str(&b, addr_write(&m->fixed, text));
    return buf_get(&b);
}

/* Or presumed to be, but for a pair that is out of service. */
static bool is_active(const struct group *g, unsigned i)
{
    return g->conf.role == GROUP_PAIR && g->pair.state != GROUP_DOWN && g->pair.active == i &&
           !g->members[i].is_absent;
}

static const char *member_text(const struct group *g, unsigned i)
{
    if (g->members[i].is_absent)
        return "absent";
    if (is_active(g, i))
        return "active";
    return g->conf.role == GROUP_PAIR && g->pair.state == GROUP_UP
               ? "reserve"
               : state_text(group_state_of_member(g, i));
}

/* What came of the last check. */
static struct slice answer_text(const struct member *m, char *room, size_t cap)
{
    struct buf b;
    if (m->failure != 0)
        return slice_str(err_text(m->failure, room, cap));
    buf_init(&b, room, cap);
    if (m->status != 0)
        buf_u64(&b, m->status);
    return buf_get(&b);
}

/* For how long it has been asked in vain. */
static uint64_t silence(const struct rows *r, const struct group *g, unsigned i)
{
    const struct pair_ask *a = g->conf.role != GROUP_PAIR ? &g->members[i].pulse.ask
                               : i < g->pair.n            ? &g->pair.asks[i]
                                                          : NULL;
    return a != NULL && a->is_awaited && r->now > a->since ? r->now - a->since : 0;
}

static void row_member(const struct rows *r, const struct group *g, unsigned i)
{
    const struct member *m = &g->members[i];
    bool is_pair = g->conf.role == GROUP_PAIR;
    char addrs[GROUP_ADDRS_MAX * (ADDR_TEXT_MAX + 2)], since[FIELD_TIME_MAX];
    char answer[64], answered[FIELD_TIME_MAX];
    ROW(r->sink, "member", LF_STR("application", g->conf.name), LF_INT("index", i),
        LF_STR("uri", m->uri), LF_STR("state", member_text(g, i)),
        LF_BOOL("active", is_active(g, i)),
        LF_SLICE("addresses", addrs_text(m, addrs, sizeof(addrs))),
        LF_STR("since", time_text(r, is_pair ? 0 : m->since, since)),
        LF_INT("calls", atomic_load_explicit(&m->cell->calls, memory_order_relaxed)),
        LF_INT("weight", m->weight),
        LF_SLICE("last_answer", answer_text(m, answer, sizeof(answer))),
        LF_STR("answered", time_text(r, m->answered, answered)),
        LF_INT("silent_ms", silence(r, g, i)));
}

static void row_history(const struct rows *r, const struct group *g)
{
    unsigned n = g->nhistory < GROUP_HISTORY ? g->nhistory : GROUP_HISTORY;
    for (unsigned k = 0; k < n; k++) {
        const struct switchover *h = &g->history[(g->nhistory - 1 - k) % GROUP_HISTORY];
        char at[FIELD_TIME_MAX], room[GROUP_CAUSE_MAX];
        ROW(r->sink, "switchover", LF_STR("application", g->conf.name),
            LF_STR("time", time_text(r, h->at, at)), LF_STR("from", uri_of(g, h->from)),
            LF_STR("to", uri_of(g, h->to)),
            LF_STR("cause", group_cause_text(h->cause, h->err, room)), LF_INT("ms", h->ms));
    }
}

void groups_rows(struct groups *groups, uint64_t now, uint64_t wall, const struct row_sink *sink)
{
    const struct rows r = {now, wall, sink};
    pthread_mutex_lock(&groups->lock);
    for (unsigned i = 0; i < groups->n; i++) {
        const struct group *g = &groups->list[i];
        row_head(&r, g);
        for (unsigned k = 0; k < g->n; k++)
            row_member(&r, g, k);
        row_history(&r, g);
    }
    pthread_mutex_unlock(&groups->lock);
}

/* --- as people name them --- */

/* A name, with or without a port; port 0: none. */
static struct slice host_part(struct slice text, uint64_t *port)
{
    ptrdiff_t colon = slice_chr(text, ':');
    size_t host = colon >= 0 ? (size_t)colon : text.len;
    *port = 0;
    if (colon < 0 ||
        slice_u64(slice_of(text.ptr + host + 1, text.len - host - 1), UINT16_MAX, port) != 0)
        return text;
    return slice_of(text.ptr, host);
}

static bool is_at(const struct member *m, const struct addr *a)
{
    bool is_any_port = a->port == 0;
    for (unsigned i = 0; i <= m->naddrs; i++) {
        const struct addr *own = i < m->naddrs ? &m->addrs[i] : &m->fixed;
        if (addr_eq_ip(own, a) && (is_any_port || own->port == a->port))
            return true;
    }
    return false;
}

static bool is_named(const struct member *m, struct slice text)
{
    uint64_t port;
    struct addr a;
    if (slice_ieq(slice_str(m->uri), text))
        return true;
    if (addr_parse_ip(text, 0, &a) == 0 || addr_parse(text, 0, &a) == 0)
        return is_at(m, &a);
    struct slice host = host_part(text, &port);
    uint16_t own = m->port != 0 ? m->port : m->default_port;
    return slice_ieq(m->host, host) && (port == 0 || port == own);
}

int group_place_of(struct groups *groups, uint32_t group, struct slice text, uint32_t *place)
{
    int err = ERR_NOT_FOUND;
    pthread_mutex_lock(&groups->lock);
    const struct group *g = groups_find(groups, group);
    for (unsigned i = 0; g != NULL && i < g->n; i++) {
        if (!is_named(&g->members[i], text))
            continue;
        err = err == ERR_NOT_FOUND ? 0 : ERR_UNSUPPORTED;
        *place = i;
    }
    pthread_mutex_unlock(&groups->lock);
    return err;
}
