/* SPDX-License-Identifier: Apache-2.0 */
/* What is found out, what follows from it, and who is told. */
#include "base/event.h"
#include "group/group_int.h"

/* Of switchovers that requests made: more than that in a minute are two members that both think
 * they are active. */
#define FLAPS    6
#define FLAPS_MS 60000

/* --- news --- */

const char *group_cause_text(enum pair_cause cause, int err, char *room)
{
    switch (cause) {
    case PAIR_REQUEST: return "a request came from it";
    case PAIR_ADMIN: return "the administrator";
    case PAIR_CHECK:
    case PAIR_TROUBLE: break;
    }
    return err != 0 ? err_text(err, room, GROUP_CAUSE_MAX) : "it answers";
}

static const char *uri_of(const struct group *g, unsigned index)
{
    return index < g->n ? g->members[index].uri : "";
}

static uint32_t id_of(const struct group *g, unsigned index)
{
    return index < g->n ? g->members[index].id : 0;
}

static void remember(struct group *g, const struct pair_change *c, uint64_t now)
{
    g->history[g->nhistory++ % GROUP_HISTORY] =
        (struct switchover){now, id_of(g, c->from), id_of(g, c->to), c->cause, c->err, c->ms};
}

/* The lock is held. */
static void news_take(struct groups *gs, struct group *g, struct news *news, uint64_t now)
{
    struct pair_change *c = &news->change;
    bool is_any = c->is_switched || c->is_state;
    if (!is_any && !news->is_due && !news->is_member)
        return;
    (void)slice_cstr(slice_str(g->conf.name), news->name, sizeof(news->name));
    if (!news->is_member) {
        (void)slice_cstr(slice_str(uri_of(g, c->from)), news->from, sizeof(news->from));
        (void)slice_cstr(slice_str(uri_of(g, c->to)), news->to, sizeof(news->to));
    }
    news->state = group_now(g);
    if (c->is_state)
        g->since = now;
    g->totals.down += c->is_down;
    g->totals.back += c->is_back;
    g->totals.switched += c->is_switched;
    if (c->is_down)
        g->down_since = now;
    if (c->is_switched) {
        remember(g, c, now);
        news->is_flapping = c->cause == PAIR_REQUEST &&
                            !log_limit_ok(&g->limit, now, FLAPS, FLAPS_MS, &news->left_out);
    }
    if (is_any)
        view_write(&gs->view, gs->list, gs->n);
    if (is_any || news->is_due || news->is_member)
        atomic_fetch_add_explicit(&gs->epoch, 1, memory_order_acq_rel);
}

static void tell_switched(const struct news *news)
{
    const struct pair_change *c = &news->change;
    char room[GROUP_CAUSE_MAX];
    if (news->is_flapping)
        return;
    EVENT_LOG(EV_APP_SWITCHED, LF_STR("application", news->name), LF_STR("from", news->from),
              LF_STR("to", news->to), LF_STR("cause", group_cause_text(c->cause, c->err, room)),
              LF_INT("ms", c->ms), LF_INT("left_out", news->left_out));
}

static void tell_state(const struct news *news)
{
    const struct pair_change *c = &news->change;
    if (c->is_down)
        EVENT_LOG(EV_APP_DOWN, LF_STR("application", news->name), LF_ERR("cause", c->err));
    if (c->is_back)
        EVENT_LOG(EV_APP_BACK, LF_STR("application", news->name), LF_STR("member", news->to),
                  LF_INT("ms", c->ms));
    if (c->is_state && news->state == GROUP_SEARCH)
        LOG(LOG_INFO, "group", "the active member does not answer: both are asked",
            LF_STR("application", news->name), LF_STR("member", news->from),
            LF_ERR("cause", c->err));
}

static void tell_member(const struct news *news)
{
    if (news->member_state == GROUP_DOWN)
        EVENT_LOG(EV_MEMBER_DOWN, LF_STR("application", news->name), LF_STR("member", news->to),
                  LF_ERR("cause", news->change.err));
    else
        EVENT_LOG(EV_MEMBER_UP, LF_STR("application", news->name), LF_STR("member", news->to));
}

static void news_tell(struct groups *gs, const struct news *news)
{
    const struct pair_change *c = &news->change;
    if (news->is_member)
        tell_member(news);
    if (c->is_switched)
        tell_switched(news);
    tell_state(news);
    bool is_any = c->is_switched || c->is_state;
    if ((is_any || news->is_due || news->is_member) && gs->changed != NULL)
        gs->changed(gs->user);
}

/* --- one thing that was found out about one member --- */

enum fact { FACT_ANSWER, FACT_FAILED, FACT_UNASKED, FACT_REQUEST };

static void note_pair(struct group *g, enum fact fact, unsigned i, int err, uint64_t now,
                      struct news *news)
{
    struct pair_change *c = &news->change;
    switch (fact) {
    case FACT_ANSWER: pair_answered(&g->pair, i, now, c); break;
    case FACT_FAILED: pair_failed(&g->pair, i, err, now, c); break;
    case FACT_UNASKED: pair_unasked(&g->pair, i, now); break;
    case FACT_REQUEST: news->is_due = pair_request(&g->pair, i, now, c); break;
    }
}

static void note_pulse_change(struct group *g, unsigned i, enum group_state before, int err,
                              uint64_t now, struct news *news)
{
    struct member *m = &g->members[i];
    if (m->pulse.state == before)
        return;
    m->since = now;
    news->is_member = true;
    news->member_state = m->pulse.state;
    news->change.err = err;
    (void)slice_cstr(slice_str(m->uri), news->to, sizeof(news->to));
    group_judge(g, now, &news->change);
}

static void note_pulse(struct group *g, enum fact fact, unsigned i, int err, uint64_t now,
                       struct news *news)
{
    struct pulse *p = &g->members[i].pulse;
    enum group_state before = p->state;
    switch (fact) {
    case FACT_UNASKED: pulse_unasked(p, now); break;
    case FACT_REQUEST: return;
    case FACT_ANSWER: pulse_answered(p, now); break;
    case FACT_FAILED:
        pulse_failed(p, now);
        p->ask.says_no = err == ERR_BAD_STATUS;
        break;
    }
    note_pulse_change(g, i, before, err, now, news);
}

static void note_check(struct member *m, unsigned status, int err, uint64_t now)
{
    m->answered = now;
    m->status = (uint16_t)status;
    m->failure = (int16_t)err;
}

static bool note(struct groups *gs, enum fact fact, uint32_t member, int err, uint64_t now)
{
    struct news news = {0};
    unsigned i;
    pthread_mutex_lock(&gs->lock);
    gs->now = now;
    struct group *g = groups_find(gs, member);
    struct member *m = group_member(g, member, &i);
    if (m != NULL) {
        if (fact == FACT_FAILED && err != ERR_BAD_STATUS)
            note_check(m, 0, err, now);
        if (g->conf.role == GROUP_PAIR)
            note_pair(g, fact, i, err, now, &news);
        else
            note_pulse(g, fact, i, err, now, &news);
        news_take(gs, g, &news, now);
    }
    pthread_mutex_unlock(&gs->lock);
    news_tell(gs, &news);
    return news.change.is_switched;
}

bool group_note_request(struct groups *groups, uint32_t member, uint64_t now)
{
    /* Nearly all come from whoever it is already. */
    if (view_holder(groups, member) == member)
        return false;
    return note(groups, FACT_REQUEST, member, 0, now);
}

void group_note_failed(struct groups *groups, uint32_t member, int err, uint64_t now)
{
    bool is_ours = err == ERR_NOMEM || err == ERR_FULL || err == ERR_LIMIT || err == ERR_SHUTDOWN;
    (void)note(groups, is_ours ? FACT_UNASKED : FACT_FAILED, member, err, now);
}

/* Does that status not count? It is remembered for people. */
static bool is_failure(struct groups *gs, uint32_t member, unsigned status, uint64_t now)
{
    bool is_one = false;
    unsigned index;
    pthread_mutex_lock(&gs->lock);
    struct group *g = groups_find(gs, member);
    struct member *m = group_member(g, member, &index);
    if (m != NULL)
        note_check(m, status, 0, now);
    for (unsigned i = 0; g != NULL && i < g->conf.nfailures; i++)
        is_one = is_one || g->conf.failures[i] == status;
    pthread_mutex_unlock(&gs->lock);
    return is_one;
}

bool group_note_answer(struct groups *groups, uint32_t member, unsigned status, uint64_t now)
{
    bool is_alive = !is_failure(groups, member, status, now);
    (void)note(groups, is_alive ? FACT_ANSWER : FACT_FAILED, member, ERR_BAD_STATUS, now);
    return is_alive;
}

/* --- trouble: a flag, until the check that it asks for has been made --- */

static bool is_trouble(const struct group *g, unsigned i)
{
    if (g->conf.role == GROUP_PAIR)
        return g->pair.state == GROUP_UP && g->pair.active == i;
    return g->conf.check_ms != 0 && pulse_is_up(&g->members[i].pulse);
}

void group_note_trouble(struct groups *groups, uint32_t member, int err)
{
    struct news news = {0};
    unsigned i;
    pthread_mutex_lock(&groups->lock);
    struct group *g = groups_find(groups, member);
    struct member *m = group_member(g, member, &i);
    if (m != NULL && m->trouble == 0 && err != 0 && is_trouble(g, i)) {
        m->trouble = err;
        news.is_due = true;
        news_take(groups, g, &news, groups->now);
    }
    pthread_mutex_unlock(&groups->lock);
    news_tell(groups, &news);
}

static void look_at_trouble(struct group *g, uint64_t now, struct news *news)
{
    for (unsigned i = 0; i < g->n; i++) {
        struct member *m = &g->members[i];
        if (m->trouble != 0 && !is_trouble(g, i))
            m->trouble = 0;
        if (m->trouble == 0)
            continue;
        if (g->conf.role != GROUP_PAIR)
            (void)pulse_trouble(&m->pulse, now);
        else
            (void)pair_trouble(&g->pair, i, m->trouble, now, &news->change);
        if (g->conf.check_ms == 0)
            m->trouble = 0;
    }
}

/* --- the plan --- */

static uint32_t plan_pair(struct group *g, uint64_t now, uint64_t *next, struct news *news)
{
    int who = pair_plan(&g->pair, now, next, &news->change);
    if (who < 0)
        return 0;
    g->members[who].trouble = 0;
    return g->members[who].id;
}

static uint32_t plan_group(struct group *g, uint64_t now, uint64_t *next, struct news *news)
{
    *next = UINT64_MAX;
    for (unsigned i = 0; i < g->n; i++) {
        struct member *m = &g->members[i];
        enum group_state before = m->pulse.state;
        uint64_t at;
        if (m->is_absent)
            continue;
        bool is_due = pulse_plan(&m->pulse, now, &at);
        *next = at < *next ? at : *next;
        note_pulse_change(g, i, before, ERR_TIMEOUT, now, news);
        /* One change is told at a time: the rest in the next look, which is at once. */
        if (is_due || news->is_member) {
            *next = now;
            m->trouble = is_due ? 0 : m->trouble;
            return is_due ? m->id : 0;
        }
    }
    return 0;
}

void group_plan(struct groups *groups, uint32_t group, uint64_t now, struct group_plan *out)
{
    bool is_again;
    do {
        struct news news = {0};
        *out = (struct group_plan){.next = UINT64_MAX};
        pthread_mutex_lock(&groups->lock);
        groups->now = now;
        struct group *g = groups_find(groups, group);
        if (g != NULL && g->n != 0) {
            look_at_trouble(g, now, &news);
            out->member = g->conf.role == GROUP_PAIR ? plan_pair(g, now, &out->next, &news)
                                                     : plan_group(g, now, &out->next, &news);
            news_take(groups, g, &news, now);
        }
        pthread_mutex_unlock(&groups->lock);
        news_tell(groups, &news);
        is_again = news.is_member && out->member == 0;
    } while (is_again);
}

/* --- a balanced group as a whole; twins --- */

void group_judge(struct group *g, uint64_t now, struct pair_change *out)
{
    bool is_up = false, is_unknown = false;
    if (g->conf.role == GROUP_PAIR)
        return;
    for (unsigned i = 0; i < g->n; i++) {
        enum group_state s = g->members[i].is_absent ? GROUP_DOWN : g->members[i].pulse.state;
        is_up = is_up || s == GROUP_UP;
        is_unknown = is_unknown || s == GROUP_UNKNOWN;
    }
    enum group_state state = is_up ? GROUP_UP : is_unknown ? GROUP_UNKNOWN : GROUP_DOWN;
    if (state == g->state)
        return;
    out->is_state = true;
    out->is_down = state == GROUP_DOWN;
    out->is_back = g->state == GROUP_DOWN;
    /* Workers take the time each for itself. */
    if (out->is_back && g->down_since != 0 && now > g->down_since)
        out->ms = now - g->down_since;
    g->state = state;
}

static bool has_addr(const struct member *m, const struct addr *a)
{
    if (m->fixed.family != ADDR_NONE && addr_eq(&m->fixed, a))
        return true;
    for (unsigned i = 0; i < m->naddrs; i++)
        if (addr_eq(&m->addrs[i], a))
            return true;
    return false;
}

/* Are all addresses of `m` also addresses of `first`? */
static bool is_twin(const struct member *m, const struct member *first)
{
    if (m->fixed.family != ADDR_NONE && !has_addr(first, &m->fixed))
        return false;
    for (unsigned i = 0; i < m->naddrs; i++)
        if (!has_addr(first, &m->addrs[i]))
            return false;
    return m->fixed.family != ADDR_NONE || m->naddrs != 0;
}

void group_look_for_twins(struct group *g)
{
    for (unsigned i = 0; i < g->n; i++) {
        struct member *m = &g->members[i];
        const struct member *first = NULL;
        for (unsigned j = 0; j < i && first == NULL; j++)
            if (!g->members[j].is_absent && is_twin(m, &g->members[j]))
                first = &g->members[j];
        if (first != NULL && !m->is_absent)
            LOG(LOG_WARN, "group",
                "two members of the application have the same address: the second does not count",
                LF_STR("application", g->conf.name), LF_STR("first", first->uri),
                LF_STR("second", m->uri));
        m->is_absent = first != NULL;
    }
}

/* --- addresses, trouble, the administrator --- */

static bool has_same_addrs(const struct member *m, const struct addr *addrs, unsigned n)
{
    if (m->naddrs != n)
        return false;
    for (unsigned i = 0; i < n; i++)
        if (!has_addr(m, &addrs[i]))
            return false;
    return true;
}

void group_set_addrs(struct groups *groups, uint32_t member, const struct addr *addrs, unsigned n)
{
    struct news news = {0};
    unsigned index;
    n = n < GROUP_ADDRS_MAX ? n : GROUP_ADDRS_MAX;
    pthread_mutex_lock(&groups->lock);
    struct group *g = groups_find(groups, member);
    struct member *m = group_member(g, member, &index);
    if (m != NULL && n != 0 && !has_same_addrs(m, addrs, n)) {
        m->naddrs = n;
        memcpy(m->addrs, addrs, n * sizeof(*addrs));
        group_look_for_twins(g);
        uint64_t now = groups->now;
        if (g->conf.role == GROUP_PAIR)
            pair_configure(&g->pair, group_pair_size(g), g->conf.check_ms, g->conf.force_ms, now,
                           &news.change);
        else
            group_judge(g, now, &news.change);
        news_take(groups, g, &news, now);
        view_write(&groups->view, groups->list, groups->n);
    }
    pthread_mutex_unlock(&groups->lock);
    news_tell(groups, &news);
}

int group_switch(struct groups *groups, struct slice name, uint32_t to, uint64_t now)
{
    struct news news = {0};
    struct group *g = NULL;
    int err = 0;
    pthread_mutex_lock(&groups->lock);
    groups->now = now;
    for (unsigned i = 0; i < groups->n && g == NULL; i++)
        if (slice_eq(slice_str(groups->list[i].conf.name), name))
            g = &groups->list[i];
    if (g == NULL)
        err = ERR_NOT_FOUND;
    else if (g->conf.role != GROUP_PAIR || g->pair.n != 2)
        err = ERR_UNSUPPORTED;
    else if (to != UINT32_MAX && to > 1)
        err = ERR_NOT_FOUND;
    if (err == 0) {
        pair_switch(&g->pair, to == UINT32_MAX ? 1 - g->pair.active : to, now, &news.change);
        news_take(groups, g, &news, now);
    }
    pthread_mutex_unlock(&groups->lock);
    news_tell(groups, &news);
    return err;
}

void group_totals(struct groups *groups, uint32_t group, struct group_totals *out)
{
    pthread_mutex_lock(&groups->lock);
    const struct group *g = groups_find(groups, group);
    *out = g != NULL ? g->totals : (struct group_totals){0};
    pthread_mutex_unlock(&groups->lock);
}
