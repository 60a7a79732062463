/* SPDX-License-Identifier: Apache-2.0 */
/* Which members a request may go to, in which order. */
#include <math.h>

#include "group/group_int.h"

bool group_may_use(const struct group *g, unsigned index)
{
    const struct member *m = &g->members[index];
    return !m->is_absent && (g->conf.role == GROUP_PAIR || pulse_is_up(&m->pulse));
}

enum group_state group_now(const struct group *g)
{
    return g->conf.role == GROUP_PAIR ? g->pair.state : g->state;
}

unsigned group_pair_size(const struct group *g)
{
    return g->n > 1 && !g->members[1].is_absent ? 2 : 1;
}

enum group_state group_state_of(struct groups *groups, uint32_t group)
{
    pthread_mutex_lock(&groups->lock);
    const struct group *g = groups_find(groups, group);
    enum group_state state = g != NULL ? group_now(g) : GROUP_UNKNOWN;
    pthread_mutex_unlock(&groups->lock);
    return state;
}

static enum group_state pair_member_state(const struct pair *p, unsigned i)
{
    if (p->state == GROUP_UP)
        return i == p->active ? GROUP_UP : GROUP_UNKNOWN;
    return (p->silent >> i & 1) != 0 ? GROUP_DOWN : GROUP_UNKNOWN;
}

enum group_state group_state_of_member(const struct group *g, unsigned i)
{
    return g->conf.role == GROUP_PAIR ? pair_member_state(&g->pair, i) : g->members[i].pulse.state;
}

enum group_state group_member_state(struct groups *groups, uint32_t member)
{
    unsigned i;
    enum group_state state = GROUP_UNKNOWN;
    pthread_mutex_lock(&groups->lock);
    struct group *g = groups_find(groups, member);
    if (group_member(g, member, &i) != NULL)
        state = group_state_of_member(g, i);
    pthread_mutex_unlock(&groups->lock);
    return state;
}

/* --- the order --- */

struct order {
    unsigned n;
    unsigned index[GROUP_MEMBERS_MAX];
    double rank[GROUP_MEMBERS_MAX]; /* the higher one first */
};

static void add(struct order *o, unsigned index, double rank)
{
    unsigned at = o->n++;
    for (; at > 0 && o->rank[at - 1] < rank; at--) {
        o->rank[at] = o->rank[at - 1];
        o->index[at] = o->index[at - 1];
    }
    o->rank[at] = rank;
    o->index[at] = index;
}

static void order_pair(const struct group *g, bool is_both, struct order *o)
{
    add(o, g->pair.active, 1);
    if (is_both && g->pair.n == 2)
        add(o, 1 - g->pair.active, 0);
}

/* From the member whose turn it is, each of those that are up having one after the other. */
static void order_turns(struct group *g, struct order *o)
{
    unsigned turn = g->turn;
    for (unsigned k = 0; k < g->n; k++) {
        unsigned i = (turn + k) % g->n;
        if (!group_may_use(g, i))
            continue;
        if (o->n == 0)
            g->turn = (i + 1) % g->n;
        add(o, i, -(double)k);
    }
}

/* Smooth weighted round robin: every member gains its weight, the richest one is taken and pays for
 * all. */
static void order_weighted(struct group *g, struct order *o)
{
    int64_t sum = 0;
    for (unsigned i = 0; i < g->n; i++) {
        if (!group_may_use(g, i))
            continue;
        g->members[i].current += g->members[i].weight;
        sum += g->members[i].weight;
        add(o, i, (double)g->members[i].current);
    }
    if (o->n != 0)
        g->members[o->index[0]].current -= sum;
}

/* Rendezvous: every member draws a number from the key and itself, the best one wins. Whoever
 * leaves takes only what it had won. With -w/ln(u), wins are shared by weight. */
static void order_hash(const struct groups *gs, const struct group *g, struct slice key,
                       struct order *o)
{
    for (unsigned i = 0; i < g->n; i++) {
        struct hash_state h;
        if (!group_may_use(g, i))
            continue;
        hash_begin(&h, &gs->key);
        hash_add_lower(&h, key);
        hash_add(&h, slice_str(g->members[i].uri));
        double u = ((double)(hash_end(&h) >> 11) + 0.5) / 9007199254740992.0; /* 2^53 */
        add(o, i, -(double)g->members[i].weight / log(u));
    }
}

static void order_calls(struct group *g, struct order *o)
{
    struct order turns = {0};
    order_turns(g, &turns); /* among equals */
    for (unsigned k = 0; k < turns.n; k++) {
        const struct member *m = &g->members[turns.index[k]];
        uint32_t calls = atomic_load_explicit(&m->cell->calls, memory_order_relaxed);
        add(o, turns.index[k], -((double)calls + 1) / m->weight);
    }
}

static void order_group(struct groups *gs, struct group *g, const struct group_keys *keys,
                        struct order *o)
{
    switch (g->conf.policy) {
    case GROUP_ROUND_ROBIN: order_turns(g, o); break;
    case GROUP_WEIGHTED: order_weighted(g, o); break;
    case GROUP_HASH_CALL_ID: order_hash(gs, g, keys->call_id, o); break;
    case GROUP_HASH_FROM: order_hash(gs, g, keys->from, o); break;
    case GROUP_HASH_TO: order_hash(gs, g, keys->to, o); break;
    case GROUP_LEAST_CALLS: order_calls(g, o); break;
    }
}

/* --- the answer --- */

static int set_target(const struct group *g, unsigned index, struct arena *arena,
                      struct group_target *out)
{
    char room[GROUP_PROFILE_MAX];
    out->member = g->members[index].id;
    out->uri = arena_dup(arena, slice_str(g->members[index].uri));
    out->profile = SLICE_NONE;
    if (g->conf.has_tls)
        out->profile = arena_dup(arena, group_profile_name(slice_str(g->conf.name), room));
    return out->uri.ptr == NULL || (g->conf.has_tls && out->profile.ptr == NULL) ? ERR_NOMEM : 0;
}

static void refuse(const struct group *g, struct group_choice *out)
{
    *out = (struct group_choice){.status = 503, .retry_after = (g->conf.force_ms + 999) / 1000};
}

static int answer(const struct group *g, const struct order *o, struct arena *arena,
                  struct group_choice *out)
{
    int err = 0;
    if (o->n == 0) {
        refuse(g, out);
        return 0;
    }
    *out = (struct group_choice){0};
    out->targets = arena_alloc(arena, o->n * sizeof(*out->targets));
    if (out->targets == NULL)
        return ERR_NOMEM;
    for (unsigned i = 0; i < o->n && err == 0; i++)
        err = set_target(g, o->index[i], arena, &out->targets[i]);
    out->n = o->n;
    return err;
}

int group_choose(struct groups *groups, uint32_t group, const struct group_keys *keys,
                 struct arena *arena, struct group_choice *out)
{
    struct order o = {0};
    int err = ERR_NOT_FOUND;
    *out = (struct group_choice){0};
    pthread_mutex_lock(&groups->lock);
    struct group *g = groups_find(groups, group);
    if (g != NULL) {
        if (g->conf.role != GROUP_PAIR)
            order_group(groups, g, keys, &o);
        else if (g->pair.state != GROUP_DOWN && g->n != 0)
            order_pair(g, true, &o);
        err = answer(g, &o, arena, out);
    }
    pthread_mutex_unlock(&groups->lock);
    return err;
}

int group_choose_in_dialog(struct groups *groups, uint32_t member, struct arena *arena,
                           struct group_choice *out)
{
    struct order o = {0};
    unsigned i;
    int err = ERR_NOT_FOUND;
    *out = (struct group_choice){0};
    pthread_mutex_lock(&groups->lock);
    struct group *g = groups_find(groups, member);
    if (group_member(g, member, &i) != NULL) {
        bool is_shared = g->conf.role == GROUP_PAIR && g->conf.shares_dialogs;
        /* An established call waits for who takes over. */
        bool may_wait = is_shared && g->pair.n == 2 && g->conf.check_ms != 0;
        if (group_now(g) == GROUP_DOWN && !may_wait)
            refuse(g, out), err = 0;
        else if (is_shared)
            order_pair(g, g->pair.state != GROUP_UP, &o);
        else
            add(&o, i, 0);
        if (o.n != 0)
            err = answer(g, &o, arena, out);
    }
    pthread_mutex_unlock(&groups->lock);
    return err;
}

int group_member_target(struct groups *groups, uint32_t member, struct arena *arena,
                        struct group_target *out)
{
    unsigned i;
    int err = ERR_NOT_FOUND;
    pthread_mutex_lock(&groups->lock);
    struct group *g = groups_find(groups, member);
    if (group_member(g, member, &i) != NULL)
        err = set_target(g, i, arena, out);
    pthread_mutex_unlock(&groups->lock);
    return err;
}

/* --- for the replay --- */

bool group_has_deputy(struct groups *groups, uint32_t member, bool in_dialog)
{
    bool has_one = false;
    unsigned i;
    pthread_mutex_lock(&groups->lock);
    struct group *g = groups_find(groups, member);
    if (group_member(g, member, &i) != NULL && g->conf.role == GROUP_PAIR)
        has_one = g->pair.n == 2 && i < 2 && g->conf.check_ms != 0 &&
                  (!in_dialog || g->conf.shares_dialogs);
    pthread_mutex_unlock(&groups->lock);
    return has_one;
}

static bool says_no(const struct group *g, unsigned i)
{
    return g->conf.role != GROUP_PAIR ? g->members[i].pulse.ask.says_no
                                      : i < 2 && g->pair.asks[i].says_no;
}

void group_outage_of(struct groups *groups, uint32_t member, struct group_outage *out)
{
    unsigned at;
    *out = (struct group_outage){0};
    pthread_mutex_lock(&groups->lock);
    struct group *g = groups_find(groups, member);
    if (group_member(g, member, &at) != NULL)
        out->says_no = says_no(g, at);
    if (group_member(g, member, &at) != NULL && group_now(g) == GROUP_DOWN) {
        out->is_down = true;
        for (unsigned i = 0; i < g->n; i++)
            if (says_no(g, i))
                out->wait_ms = g->conf.force_ms;
    }
    pthread_mutex_unlock(&groups->lock);
}

struct slice group_name_of(struct groups *groups, uint32_t group, struct arena *arena)
{
    struct slice name = SLICE_NONE;
    pthread_mutex_lock(&groups->lock);
    const struct group *g = groups_find(groups, group);
    if (g != NULL)
        name = arena_dup(arena, slice_str(g->conf.name));
    pthread_mutex_unlock(&groups->lock);
    return name;
}
