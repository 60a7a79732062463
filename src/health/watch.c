/* SPDX-License-Identifier: Apache-2.0 */
/* Where the names of an application's members lead, looked up as often as checks are made; and a
 * connection to the member of a pair that is in reserve, which gets no OPTIONS: it is opened, and
 * kept open, by the line ends of RFC 5626 3.5.1, which are nothing to whoever does not know them
 * (RFC 3261 7.5). */
#include "base/arena.h"
#include "health/health_int.h"

#define WATCH_MOST_MS 30000 /* also without checks */
#define WATCH_SOON_MS 500

static const char ping[] = "\r\n\r\n";

static struct watched *of_member(struct watch *w, uint32_t member)
{
    struct watched *idle = NULL;
    for (unsigned i = 0; i < GROUP_MEMBERS_MAX; i++) {
        struct watched *m = &w->members[i];
        if (m->is_resolving && m->member == member)
            return NULL; /* the answer is still waited for */
        if (idle == NULL && !m->is_resolving)
            idle = m;
    }
    return idle;
}

/* What becomes of it is of no interest: it is tried again the next time, and flow/ keeps a pace of
 * its own with who refuses. */
static void connect_to(struct health *h, const struct flow_dest *way)
{
    struct flow_dest dest = *way;
    if (dest.transport != SIP_UDP)
        (void)!flows_send(h->deps.flows, &dest, ping, sizeof(ping) - 1, 0);
}

static void on_resolved(void *user, int err, const struct flow_dest *dests, unsigned n)
{
    struct watched *m = user;
    struct health *h = m->watch->h;
    struct groups *groups = h->deps.groups;
    struct addr addrs[GROUP_ADDRS_MAX];
    m->is_resolving = false;
    if (err != 0)
        return;
    unsigned naddrs = n < GROUP_ADDRS_MAX ? n : GROUP_ADDRS_MAX;
    for (unsigned i = 0; i < naddrs; i++)
        addrs[i] = dests[i].remote;
    group_set_addrs(groups, m->member, addrs, naddrs);
    if (m->watch->has_checks && group_successor(groups, m->member) != 0)
        connect_to(h, &dests[0]);
}

static void look(struct watch *w, uint32_t member, struct arena *arena)
{
    struct watched *m = of_member(w, member);
    struct group_target target;
    struct sip_uri uri;
    if (m == NULL || group_member_target(w->h->deps.groups, member, arena, &target) != 0 ||
        sip_uri_parse(target.uri, &uri) != 0)
        return;
    struct route_hop hop = {.profile = target.profile, .is_secure = uri.scheme == SIP_SCHEME_SIPS};
    m->member = member;
    m->watch = w;
    m->is_resolving = true;
    (void)route_resolve_hop(w->h->deps.route, &uri, &hop, &m->query, on_resolved, m);
}

static void on_timer(struct timer *t, uint64_t now)
{
    struct watch *w = container_of(t, struct watch, timer);
    struct health *h = w->h;
    struct arena_cache cache;
    struct arena arena;
    uint32_t members[GROUP_MEMBERS_MAX];
    unsigned n = group_members(h->deps.groups, w->group, members, GROUP_MEMBERS_MAX);
    w->last = now;
    timer_set(h->deps.wheel, &w->timer, now + w->every_ms);
    arena_cache_init(&cache, 0);
    arena_init(&arena, &cache);
    for (unsigned i = 0; i < n; i++)
        look(w, members[i], &arena);
    arena_fini(&arena);
    arena_cache_fini(&cache);
}

void watch_init(struct watch *w, struct health *h, uint32_t group)
{
    w->h = h;
    w->group = group;
    timer_init(&w->timer, on_timer);
}

void watch_soon(struct watch *w)
{
    uint64_t now = health_now(w->h);
    uint64_t at = w->last != 0 && w->last + WATCH_SOON_MS > now ? w->last + WATCH_SOON_MS : now;
    if (w->every_ms != 0 && (!timer_is_set(&w->timer) || at < w->timer.due))
        timer_set(w->h->deps.wheel, &w->timer, at);
}

void watch_stop(struct watch *w)
{
    timer_stop(w->h->deps.wheel, &w->timer);
    w->every_ms = 0;
    for (unsigned i = 0; i < GROUP_MEMBERS_MAX; i++) {
        struct watched *m = &w->members[i];
        if (m->is_resolving)
            route_resolve_cancel(&m->query);
        m->is_resolving = false;
    }
}

/* Names to be looked up, or a reserve to be connected to. */
static bool is_needed(const struct group_conf *conf)
{
    bool has_names = false;
    for (unsigned i = 0; i < conf->nmembers; i++)
        has_names = has_names || conf->members[i].addr.family == ADDR_NONE;
    return has_names || (conf->role == GROUP_PAIR && conf->nmembers > 1 && conf->check_ms != 0);
}

void watch_start(struct watch *w, const struct group_conf *conf)
{
    uint32_t check_ms = conf->check_ms;
    if (!is_needed(conf) || w->h->is_stopped) {
        watch_stop(w);
        return;
    }
    w->has_checks = check_ms != 0;
    w->every_ms = check_ms != 0 && check_ms < WATCH_MOST_MS ? check_ms : WATCH_MOST_MS;
    watch_soon(w);
}
