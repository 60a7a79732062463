/* SPDX-License-Identifier: Apache-2.0 */
/* Checks of the members of applications: group/ says whom to ask and when, and what follows. */
#include "base/alloc.h"
#include "base/log.h"
#include "health/ask.h"
#include "health/health_int.h"

#define PLANS_MAX (4 * GROUP_MEMBERS_MAX) /* of one look; more: at the next turn */

struct member_check;

/* A member that has been asked. */
struct probe {
    struct app *app;
    uint32_t member;
    struct member_check *check;
};

struct app {
    struct app *next;
    struct health *h;
    uint32_t group;
    struct timer timer;
    struct group_totals counted;
    bool is_running;
    struct watch watch;
    struct probe probes[GROUP_MEMBERS_MAX];
};

/* One OPTIONS, in the arena of its scope. */
struct member_check {
    struct probe *probe; /* NULL: it is over */
    struct ask ask;
};

static void run(struct app *app);

/* --- one check --- */

static struct probe *find_probe(struct app *app, uint32_t member)
{
    struct probe *idle = NULL;
    for (unsigned i = 0; i < GROUP_MEMBERS_MAX; i++) {
        struct probe *p = &app->probes[i];
        if (p->member == member)
            return p;
        if (idle == NULL && (p->member == 0 || p->check == NULL))
            idle = p;
    }
    if (idle != NULL)
        *idle = (struct probe){.app = app, .member = member};
    return idle;
}

/* Over: nothing is told of it any more. */
static struct probe *take_out(struct member_check *c)
{
    struct probe *p = c->probe;
    if (p != NULL)
        p->check = NULL;
    c->probe = NULL;
    return p;
}

static void drop(struct probe *p, bool is_timeout)
{
    struct member_check *c = p->check;
    if (c == NULL)
        return;
    (void)take_out(c);
    if (is_timeout)
        ask_time_out(&c->ask);
    else
        ask_drop(&c->ask);
}

/* What the other members of a pair would still say does not matter any more. */
static void drop_replaced(struct app *app)
{
    for (unsigned i = 0; i < GROUP_MEMBERS_MAX; i++)
        if (app->probes[i].check != NULL &&
            group_successor(app->h->deps.groups, app->probes[i].member) != 0)
            drop(&app->probes[i], false);
}

static void on_answered(struct ask *a, unsigned status, const struct flow_origin *origin)
{
    struct probe *p = take_out(a->ctx);
    if (p == NULL)
        return;
    struct health *h = p->app->h;
    (void)origin;
    if (!group_note_answer(h->deps.groups, p->member, status, health_now(h)))
        counter_inc(h->deps.counters, CTR_CHECKS_FAILED);
    drop_replaced(p->app);
    run(p->app);
}

static void on_failed(struct ask *a, int err)
{
    struct probe *p = take_out(a->ctx);
    if (p == NULL)
        return;
    struct health *h = p->app->h;
    counter_inc(h->deps.counters, CTR_CHECKS_FAILED);
    group_note_failed(h->deps.groups, p->member, err, health_now(h));
    run(p->app);
}

static void on_resolved(struct ask *a, const struct flow_dest *dests, unsigned n)
{
    const struct member_check *c = a->ctx;
    struct addr addrs[GROUP_ADDRS_MAX];
    if (c->probe == NULL)
        return;
    n = n < GROUP_ADDRS_MAX ? n : GROUP_ADDRS_MAX;
    for (unsigned i = 0; i < n; i++)
        addrs[i] = dests[i].remote;
    group_set_addrs(a->h->deps.groups, c->probe->member, addrs, n);
}

static const struct ask_user member_user = {
    .answered = on_answered,
    .failed = on_failed,
    .resolved = on_resolved,
};

static int begin(struct probe *p)
{
    struct health *h = p->app->h;
    struct txn_scope *scope;
    struct group_target target;
    void *ctx;
    int err = ask_scope_new(h, sizeof(struct member_check), &ctx, &scope);
    if (err != 0)
        return err;
    struct member_check *c = ctx;
    err = group_member_target(h->deps.groups, p->member, txn_scope_arena(scope), &target);
    if (err != 0)
        return err;
    c->ask = (struct ask){.h = h,
                          .scope = scope,
                          .user = &member_user,
                          .is_urgent = true,
                          .ctx = c,
                          .uri = target.uri,
                          .profile = target.profile};
    c->probe = p;
    p->check = c;
    ask_begin(&c->ask);
    return 0;
}

static void ask_member(struct app *app, uint32_t member)
{
    struct groups *groups = app->h->deps.groups;
    struct probe *p = find_probe(app, member);
    if (p != NULL && p->check != NULL) {
        counter_inc(app->h->deps.counters, CTR_CHECKS_FAILED);
        drop(p, true);
    }
    int err = p != NULL ? begin(p) : ERR_FULL;
    if (err != 0)
        group_note_failed(groups, member, err, health_now(app->h));
}

/* --- one application --- */

static void count(struct app *app)
{
    struct counters *counters = app->h->deps.counters;
    struct group_totals now;
    group_totals(app->h->deps.groups, app->group, &now);
    counter_add(counters, CTR_APP_SWITCHED, now.switched - app->counted.switched);
    counter_add(counters, CTR_APP_DOWN, now.down - app->counted.down);
    counter_add(counters, CTR_APP_BACK, now.back - app->counted.back);
    app->counted = now;
}

/* Answers and failures may come inside of it, and are looked at by the same loop. */
static void run(struct app *app)
{
    struct health *h = app->h;
    struct group_plan plan;
    unsigned n = 0;
    if (app->is_running || h->is_stopped)
        return;
    app->is_running = true;
    do {
        group_plan(h->deps.groups, app->group, health_now(h), &plan);
        if (plan.member != 0)
            ask_member(app, plan.member);
    } while (plan.member != 0 && ++n < PLANS_MAX);
    app->is_running = false;
    count(app);
    if (plan.next != UINT64_MAX)
        timer_set(h->deps.wheel, &app->timer, plan.next);
    else
        timer_stop(h->deps.wheel, &app->timer);
}

static void on_timer(struct timer *t, uint64_t now)
{
    (void)now;
    run(container_of(t, struct app, timer));
}

void health_on_groups(struct health *h)
{
    for (struct app *app = h->apps; app != NULL; app = app->next) {
        run(app);
        watch_soon(&app->watch);
    }
}

/* --- connections --- */

/* Whose connection it is; also one that the member has opened itself, from any port. */
static uint32_t member_of(struct groups *groups, const struct flow_event *ev, bool *is_theirs)
{
    uint32_t member = 0;
    if (ev->kind != FLOW_RENAMED && ev->remote.family != ADDR_NONE)
        member = group_member_at(groups, &ev->remote);
    *is_theirs = member == 0;
    if (member == 0 && ev->kind != FLOW_RENAMED && ev->reopen.family != ADDR_NONE)
        member = group_member_at(groups, &ev->reopen);
    return member;
}

/* Of checks or of calls, whoever has it. The plan is looked at from the loop: what waits on that
 * connection goes out first. */
void health_on_flow_event(struct health *h, const struct flow_event *ev)
{
    bool is_theirs;
    if (h->deps.groups == NULL || h->is_stopped)
        return;
    uint32_t member = member_of(h->deps.groups, ev, &is_theirs);
    if (member == 0)
        return;
    int err = ev->err != 0 ? ev->err : ERR_STALE_SUSPECT;
    /* It may close what it has opened: a reason to ask, but where nobody asks no proof. */
    if (is_theirs && err == ERR_CLOSED)
        err = ERR_TIMEOUT;
    group_note_trouble(h->deps.groups, member, err);
    for (struct app *app = h->apps; app != NULL; app = app->next)
        if (app->group == group_of(member))
            timer_set(h->deps.wheel, &app->timer, health_now(h));
}

/* --- which applications --- */

static bool is_mine(const struct health *h, const struct group_conf *conf)
{
    return hash_slice(h->deps.key, slice_str(conf->name)) % h->deps.nworkers == h->deps.worker;
}

static struct app *take_app(struct app **list, uint32_t group)
{
    for (struct app **at = list; *at != NULL; at = &(*at)->next)
        if ((*at)->group == group) {
            struct app *app = *at;
            *at = app->next;
            return app;
        }
    return NULL;
}

static void drop_all(struct app *app)
{
    for (unsigned i = 0; i < GROUP_MEMBERS_MAX; i++)
        drop(&app->probes[i], false);
    timer_stop(app->h->deps.wheel, &app->timer);
    watch_stop(&app->watch);
}

static void free_list(struct app *app)
{
    while (app != NULL) {
        struct app *next = app->next;
        drop_all(app);
        mem_free(app);
        app = next;
    }
}

void apps_free(struct health *h)
{
    timer_stop(h->deps.wheel, &h->no_memory);
    free_list(h->apps);
    h->apps = NULL;
}

void apps_stop(struct health *h)
{
    timer_stop(h->deps.wheel, &h->no_memory);
    for (struct app *app = h->apps; app != NULL; app = app->next)
        drop_all(app);
}

static struct app *app_new(struct health *h, uint32_t group)
{
    struct app *app = mem_zalloc(sizeof(*app));
    if (app == NULL)
        return NULL;
    app->h = h;
    app->group = group;
    timer_init(&app->timer, on_timer);
    watch_init(&app->watch, h, group);
    group_totals(h->deps.groups, group, &app->counted);
    return app;
}

/* A group that keeps its name keeps its checks; those of members that are gone end. */
static void look_at_members(struct app *app)
{
    for (unsigned i = 0; i < GROUP_MEMBERS_MAX; i++) {
        struct probe *p = &app->probes[i];
        if (p->member == 0 || group_has_member(app->h->deps.groups, p->member))
            continue;
        drop(p, false);
        *p = (struct probe){.app = app};
    }
}

/* 0 or ERR_NOMEM. */
static int use_app(struct health *h, const struct group_conf *conf, struct app **before)
{
    uint32_t group = group_find(h->deps.groups, slice_str(conf->name));
    if (group == 0 || !is_mine(h, conf))
        return 0;
    struct app *app = take_app(before, group);
    if (app == NULL)
        app = app_new(h, group);
    if (app == NULL)
        return ERR_NOMEM;
    look_at_members(app);
    watch_start(&app->watch, conf);
    app->next = h->apps;
    h->apps = app;
    return 0;
}

void health_set_groups(struct health *h, const struct group_conf *conf, unsigned n)
{
    struct app *before = h->apps;
    unsigned missing = 0;
    h->apps = NULL;
    h->groups = conf;
    h->ngroups = h->deps.groups != NULL ? n : 0;
    for (unsigned i = 0; i < h->ngroups; i++)
        missing += use_app(h, &conf[i], &before) != 0;
    free_list(before);
    timer_stop(h->deps.wheel, &h->no_memory);
    if (missing != 0 && !h->is_stopped) {
        LOG(LOG_ERROR, "health", "no memory to check applications: tried again",
            LF_INT("applications", missing));
        timer_set(h->deps.wheel, &h->no_memory, health_now(h) + HEALTH_AGAIN_MS);
    }
    health_on_groups(h);
}

static void on_no_memory(struct timer *t, uint64_t now)
{
    struct health *h = container_of(t, struct health, no_memory);
    (void)now;
    health_set_groups(h, h->groups, h->ngroups);
}

void apps_init(struct health *h)
{
    timer_init(&h->no_memory, on_no_memory);
}
