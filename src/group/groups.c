/* SPDX-License-Identifier: Apache-2.0 */
/* The groups and their ids; settings of a start and of a reload. */
#include "base/alloc.h"
#include "group/group_int.h"

#define GOLDEN 2654435769u /* 2^32 divided by the golden ratio: multiples lie evenly apart */

int groups_new(const struct hash_key *key, struct groups **out)
{
    struct groups *gs = mem_zalloc(sizeof(*gs));
    *out = gs;
    if (gs == NULL)
        return ERR_NOMEM;
    gs->key = *key;
    pthread_mutex_init(&gs->lock, NULL);
    return 0;
}

static void free_list(struct group *list, unsigned n)
{
    for (unsigned i = 0; i < n; i++)
        group_clear(&list[i]);
    mem_free(list);
}

static void free_cells(struct cell *cells)
{
    while (cells != NULL) {
        struct cell *next = cells->next;
        mem_free(cells);
        cells = next;
    }
}

void groups_free(struct groups **groups)
{
    struct groups *gs = *groups;
    if (gs == NULL)
        return;
    free_list(gs->list, gs->n);
    free_cells(gs->cells);
    view_fini(&gs->view);
    pthread_mutex_destroy(&gs->lock);
    mem_free(gs);
    *groups = NULL;
}

void groups_set_changed(struct groups *groups, void (*fn)(void *user), void *user)
{
    groups->changed = fn;
    groups->user = user;
}

uint64_t groups_epoch(const struct groups *groups)
{
    return atomic_load_explicit(&groups->epoch, memory_order_acquire);
}

unsigned groups_count(struct groups *groups)
{
    pthread_mutex_lock(&groups->lock);
    unsigned n = groups->n;
    pthread_mutex_unlock(&groups->lock);
    return n;
}

unsigned groups_down(struct groups *groups)
{
    unsigned n = 0;
    pthread_mutex_lock(&groups->lock);
    for (unsigned i = 0; i < groups->n; i++)
        n += group_now(&groups->list[i]) == GROUP_DOWN;
    pthread_mutex_unlock(&groups->lock);
    return n;
}

/* --- ids --- */

uint32_t group_of(uint32_t member)
{
    return member & ~MEMBER_MASK;
}

bool group_is_member(uint32_t member)
{
    return (member & MEMBER_MASK) != 0;
}

struct group *groups_find(struct groups *gs, uint32_t id)
{
    for (unsigned i = 0; i < gs->n && id != 0; i++)
        if (gs->list[i].id == group_of(id))
            return &gs->list[i];
    return NULL;
}

struct member *group_member(struct group *g, uint32_t id, unsigned *index)
{
    for (unsigned i = 0; g != NULL && i < g->n; i++)
        if (g->members[i].id == id) {
            *index = i;
            return &g->members[i];
        }
    return NULL;
}

bool group_has_member(struct groups *groups, uint32_t member)
{
    unsigned index;
    pthread_mutex_lock(&groups->lock);
    bool has_it = group_member(groups_find(groups, member), member, &index) != NULL;
    pthread_mutex_unlock(&groups->lock);
    return has_it;
}

unsigned group_members(struct groups *groups, uint32_t group, uint32_t *members, unsigned max)
{
    unsigned n = 0;
    pthread_mutex_lock(&groups->lock);
    const struct group *g = groups_find(groups, group);
    for (; g != NULL && n < g->n && n < max; n++)
        members[n] = g->members[n].id;
    pthread_mutex_unlock(&groups->lock);
    return n;
}

static struct group *find_name(struct group *list, unsigned n, struct slice name)
{
    for (unsigned i = 0; i < n; i++)
        if (slice_eq(slice_str(list[i].conf.name), name))
            return &list[i];
    return NULL;
}

uint32_t group_find(struct groups *groups, struct slice name)
{
    pthread_mutex_lock(&groups->lock);
    const struct group *g = find_name(groups->list, groups->n, name);
    uint32_t id = g != NULL ? g->id : 0;
    pthread_mutex_unlock(&groups->lock);
    return id;
}

bool groups_are_any(const struct groups *groups)
{
    return atomic_load_explicit(&groups->view.is_used, memory_order_acquire);
}

uint32_t group_member_named(struct groups *groups, struct slice host, uint16_t port)
{
    uint32_t id = 0;
    if (!groups_are_any(groups))
        return 0;
    if (host.len > 2 && host.ptr[0] == '[')
        host = slice_of(host.ptr + 1, host.len - 2);
    pthread_mutex_lock(&groups->lock);
    for (unsigned i = 0; i < groups->n && id == 0; i++)
        for (unsigned j = 0; j < groups->list[i].n && id == 0; j++) {
            const struct member *m = &groups->list[i].members[j];
            uint16_t own = m->port != 0 ? m->port : m->default_port;
            bool is_port = port == own || (port == 0 && (m->port == 0 || own == m->default_port));
            if (is_port && slice_ieq(m->host, host))
                id = m->id;
        }
    pthread_mutex_unlock(&groups->lock);
    return id;
}

/* --- a new configuration --- */

static bool has_serial(struct group *list, unsigned n, uint32_t serial)
{
    for (unsigned i = 0; i < n; i++)
        if (list[i].id >> MEMBER_BITS == serial)
            return true;
    return false;
}

/* A number that no group has, nor had for as long as there are numbers. */
static uint32_t new_serial(struct groups *gs, struct group *list, unsigned n)
{
    do
        gs->last_serial = gs->last_serial < SERIAL_MAX ? gs->last_serial + 1 : 1;
    while (has_serial(gs->list, gs->n, gs->last_serial) || has_serial(list, n, gs->last_serial));
    return gs->last_serial;
}

static uint32_t new_member_id(struct group *g)
{
    unsigned index;
    do
        g->last_member = g->last_member < MEMBER_MASK ? g->last_member + 1 : 1;
    while (group_member(g, g->id | g->last_member, &index) != NULL);
    return g->id | g->last_member;
}

static struct member *find_uri(struct group *g, const char *uri)
{
    for (unsigned i = 0; g != NULL && i < g->n; i++)
        if (strcmp(g->members[i].uri, uri) == 0)
            return &g->members[i];
    return NULL;
}

static void inherit_member(struct group *g, struct member *m, const struct member *old,
                           uint64_t now)
{
    m->id = old->id;
    m->cell = old->cell;
    m->since = old->since;
    m->answered = old->answered;
    m->status = old->status;
    m->failure = old->failure;
    m->naddrs = old->naddrs;
    memcpy(m->addrs, old->addrs, sizeof(m->addrs));
    m->is_absent = old->is_absent;
    m->pulse = old->pulse;
    pulse_configure(&m->pulse, g->conf.check_ms, g->conf.force_ms, now);
}

static int make_member(struct group *g, struct member *m, struct cell **cells, uint64_t now)
{
    struct cell *cell = mem_zalloc(sizeof(*cell));
    if (cell == NULL)
        return ERR_NOMEM;
    cell->next = *cells;
    *cells = cell;
    m->cell = cell;
    m->id = new_member_id(g);
    m->since = now;
    pulse_init(&m->pulse, m->id * GOLDEN, g->conf.check_ms, g->conf.force_ms, now);
    return 0;
}

/* The pair's state goes with the members, which may have changed their places. */
static void inherit_pair(struct group *g, struct group *old, uint64_t now)
{
    const struct pair *was = &old->pair;
    struct pair_change change = {0};
    unsigned n = group_pair_size(g), active = UINT32_MAX, at = 0;
    pair_init(&g->pair, n, g->conf.check_ms, g->conf.force_ms, now);
    if (was->active < old->n)
        (void)group_member(g, old->members[was->active].id, &active);
    if (active >= n)
        return;
    struct pair p = *was;
    p.active = active;
    p.turn = p.silent = 0;
    for (unsigned i = 0; i < 2 && i < g->n; i++) {
        p.asks[i] = (struct pair_ask){0};
        if (group_member(old, g->members[i].id, &at) == NULL || at >= was->n)
            continue;
        p.asks[i] = was->asks[at];
        p.silent |= (was->silent >> at & 1) << i;
        if (was->turn == at)
            p.turn = i;
    }
    pair_configure(&p, n, g->conf.check_ms, g->conf.force_ms, now, &change);
    g->pair = p;
}

static void inherit_group(struct group *g, struct group *old, uint64_t now)
{
    g->state = old->state;
    g->since = old->since;
    g->down_since = old->down_since;
    g->turn = old->turn;
    g->totals = old->totals;
    memcpy(g->history, old->history, sizeof(g->history));
    g->nhistory = old->nhistory;
    g->limit = old->limit;
    if (g->conf.role == GROUP_PAIR && old->conf.role == GROUP_PAIR)
        inherit_pair(g, old, now);
}

static int build(struct groups *gs, struct group *g, struct cell **cells, uint64_t now)
{
    struct group *old = find_name(gs->list, gs->n, slice_str(g->conf.name));
    int err = 0;
    g->last_member = old != NULL ? old->last_member : 0;
    for (unsigned i = 0; i < g->n; i++) {
        const struct member *m = find_uri(old, g->members[i].uri);
        if (m != NULL && find_uri(g, g->members[i].uri) == &g->members[i])
            inherit_member(g, &g->members[i], m, now);
    }
    for (unsigned i = 0; i < g->n && err == 0; i++)
        if (g->members[i].id == 0)
            err = make_member(g, &g->members[i], cells, now);
    if (err != 0)
        return err;
    group_look_for_twins(g);
    g->since = now;
    pair_init(&g->pair, group_pair_size(g), g->conf.check_ms, g->conf.force_ms, now);
    if (old != NULL)
        inherit_group(g, old, now);
    struct pair_change change = {0};
    group_judge(g, now, &change);
    return 0;
}

static int build_all(struct groups *gs, const struct group_conf *conf, unsigned n,
                     struct group *list, unsigned *done, struct cell **cells, uint64_t now)
{
    int err = 0;
    for (; *done < n && err == 0; ++*done) {
        struct group *g = &list[*done];
        err = group_copy(g, &conf[*done]);
        if (err != 0)
            continue;
        const struct group *old = find_name(gs->list, gs->n, slice_str(g->conf.name));
        g->id = old != NULL ? old->id : new_serial(gs, list, *done) << MEMBER_BITS;
        err = build(gs, g, cells, now);
    }
    return err == 0 ? view_reserve(&gs->view, list, n) : err;
}

int groups_configure(struct groups *groups, const struct group_conf *conf, unsigned n, uint64_t now)
{
    struct cell *cells = NULL;
    unsigned done = 0;
    struct group *list = mem_zalloc((n + 1) * sizeof(*list));
    if (list == NULL)
        return ERR_NOMEM;
    pthread_mutex_lock(&groups->lock);
    int err = build_all(groups, conf, n, list, &done, &cells, now);
    struct group *gone = err == 0 ? groups->list : list;
    unsigned ngone = err == 0 ? groups->n : done;
    if (err == 0) {
        groups->list = list;
        groups->n = n;
        while (cells != NULL) {
            struct cell *cell = cells;
            cells = cell->next;
            cell->next = groups->cells;
            groups->cells = cell;
        }
        view_write(&groups->view, list, n);
        atomic_fetch_add(&groups->epoch, 1);
    }
    pthread_mutex_unlock(&groups->lock);
    free_cells(cells);
    free_list(gone, ngone);
    if (err == 0 && groups->changed != NULL)
        groups->changed(groups->user);
    return err;
}

struct slice group_profile_name(struct slice name, char *room)
{
    static const char head[] = "application ";
    size_t len = sizeof(head) - 1;
    if (name.len > GROUP_PROFILE_MAX - len)
        name.len = GROUP_PROFILE_MAX - len;
    memcpy(room, head, len);
    if (name.len != 0)
        memcpy(room + len, name.ptr, name.len);
    return slice_of(room, len + name.len);
}
