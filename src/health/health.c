/* SPDX-License-Identifier: Apache-2.0 */
/* When each DN is checked, and what follows from it.
 *
 * Every DN has a place in its interval, and is checked when the loop's clock comes by that place:
 * places are handed out so that those of any number of DNs lie evenly apart. */
#include "health/health_int.h"

#include "base/alloc.h"
#include "base/event.h"

/* 2^32 divided by the golden ratio: multiples of it, wrapped around, never come close to each
 * other. */
#define GOLDEN 2654435769u

uint64_t health_now(const struct health *h)
{
    return flows_time(h->deps.flows);
}

static uint64_t wall(const struct health *h)
{
    return h->deps.wall(h->deps.user);
}

/* --- when --- */

/* The next time after `now` at its place in an interval. */
static uint64_t at_place(const struct item *it, uint32_t interval_ms, uint64_t now)
{
    uint64_t at = now - now % interval_ms + ((uint64_t)it->place * interval_ms >> 32);
    return at > now ? at : at + interval_ms;
}

static uint64_t next_regular(const struct item *it, uint64_t now)
{
    return at_place(it, it->is_out ? it->again_ms : it->check_ms, now);
}

/* When the check under way has failed. Out of service the checks follow each other without gaps. */
static uint64_t end_of_check(const struct item *it)
{
    uint32_t most = it->is_out && it->again_ms < HEALTH_CHECK_MS ? it->again_ms : HEALTH_CHECK_MS;
    return check_begun(it->check) + most;
}

static bool may_go_out(const struct item *it)
{
    return it->failing != 0 && !it->is_out && it->force_ms != 0;
}

static void schedule(struct item *it)
{
    const struct check *c = it->check;
    uint64_t due = c == NULL ? it->next : end_of_check(it);
    if (c != NULL && !check_is_late(c) && check_begun(c) + HEALTH_SUSPECT_MS < due)
        due = check_begun(c) + HEALTH_SUSPECT_MS;
    if (may_go_out(it) && it->failing + it->force_ms < due)
        due = it->failing + it->force_ms;
    if (!it->h->is_stopped)
        timer_set(it->h->deps.wheel, &it->timer, due);
}

/* --- what a check has found --- */

bool item_is_failure(const struct item *it, unsigned status)
{
    for (unsigned i = 0; i < it->nfailures; i++)
        if (it->failures[i] == status)
            return true;
    return false;
}

/* Milliseconds without an answer. */
static int64_t silence(const struct item *it)
{
    return it->failing != 0 ? (int64_t)(health_now(it->h) - it->failing) : 0;
}

static void forget_failing(struct item *it)
{
    mem_free(it->uri);
    it->uri = NULL;
    it->failing = 0;
    it->cause = 0;
    it->was_told = false;
}

void item_answered(struct item *it, unsigned status, const struct addr *from)
{
    struct health *h = it->h;
    enum dn_state was = dn_set_in_service(h->deps.dir, it->name);
    if (was == DN_OUT_OF_SERVICE)
        counter_inc(h->deps.counters, CTR_DN_BACK);
    if (was != DN_IN_SERVICE)
        EVENT_LOG(EV_DN_BACK, LF_SLICE("dn", it->name),
                  LF_STR("was", was == DN_OUT_OF_SERVICE ? "out-of-service" : "suspect"),
                  LF_STR("by", "check"), LF_ADDR("peer", from), LF_INT("status", status),
                  LF_ERR("cause", it->cause), LF_INT("ms", silence(it)));
    forget_failing(it);
    it->is_out = false;
    it->next = next_regular(it, health_now(h));
    schedule(it);
}

static void say(const struct item *it, enum event ev)
{
    EVENT_LOG(ev, LF_SLICE("dn", it->name), LF_STR("by", "check"),
              LF_STR("contact", it->uri != NULL ? it->uri : ""), LF_ERR("cause", it->cause),
              LF_INT("ms", silence(it)));
}

void item_unanswered(struct item *it, int err)
{
    struct health *h = it->h;
    if (it->failing == 0) {
        it->failing = check_begun(it->check);
        it->uri = mem_strdup(check_uri(it->check));
    }
    if (err != ERR_BAD_STATUS) /* that was an answer */
        dn_note_answer(h->deps.dir, it->name, 0, err);
    /* That nothing came says less than what the transport said. */
    if (it->cause == 0 || err != ERR_TIMEOUT)
        it->cause = err;
    if (!it->was_told && dn_set_suspect(h->deps.dir, it->name, it->cause, wall(h))) {
        counter_inc(h->deps.counters, CTR_DN_SUSPECT);
        say(it, EV_DN_SUSPECT);
    }
    it->was_told = true;
    schedule(it);
}

static void go_out(struct item *it)
{
    struct health *h = it->h;
    /* Somebody has heard of it since it became suspect: the silence is counted anew. */
    if (it->was_told && dn_state(h->deps.dir, it->name, wall(h)) == DN_IN_SERVICE) {
        check_drop(it, false);
        forget_failing(it);
        it->next = health_now(h) + HEALTH_AGAIN_MS;
        return;
    }
    it->is_out = true;
    if (!dn_set_out_of_service(h->deps.dir, it->name, it->cause, wall(h)))
        return;
    counter_inc(h->deps.counters, CTR_DN_OOS);
    say(it, EV_DN_OUT);
}

void item_failed(struct item *it, uint64_t begun)
{
    struct health *h = it->h;
    uint64_t now = health_now(h);
    counter_inc(h->deps.counters, CTR_CHECKS_FAILED);
    it->next = begun + HEALTH_AGAIN_MS;
    if (!it->is_out && it->force_ms == 0)
        go_out(it);
    /* One that has taken a whole interval is followed by the next one at once. */
    if (it->is_out)
        it->next = next_regular(it, begun < now ? now - 1 : begun);
    schedule(it);
}

void item_not_checked(struct item *it)
{
    it->next = health_now(it->h) + HEALTH_AGAIN_MS;
    schedule(it);
}

void item_seen(struct item *it, enum dn_state state)
{
    /* What was found out before it came back, or is tried again, does not count any more. */
    if (state == DN_IN_SERVICE || (it->is_out && state == DN_SUSPECT))
        forget_failing(it);
    it->is_out = state == DN_OUT_OF_SERVICE;
    it->next = next_regular(it, health_now(it->h));
}

static void on_timer(struct timer *t, uint64_t wheel_now)
{
    struct item *it = container_of(t, struct item, timer);
    uint64_t now = health_now(it->h);
    (void)wheel_now;
    if (it->check != NULL && !check_is_late(it->check) &&
        now >= check_begun(it->check) + HEALTH_SUSPECT_MS) {
        check_set_late(it->check);
        item_unanswered(it, ERR_TIMEOUT);
    }
    if (may_go_out(it) && now >= it->failing + it->force_ms)
        go_out(it);
    if (it->check != NULL && now >= end_of_check(it)) {
        uint64_t begun = check_begun(it->check);
        check_drop(it, true);
        item_failed(it, begun);
    }
    if (it->check == NULL && now >= it->next) {
        it->next = next_regular(it, now);
        check_begin(it);
    }
    schedule(it);
}

/* --- what others find out --- */

static void look_for_outage(struct table_node *node, void *user)
{
    struct item *it = container_of(node, struct item, node);
    const struct health *h = user;
    if (it->is_out || dn_state(h->deps.dir, it->name, wall(h)) != DN_OUT_OF_SERVICE)
        return;
    it->is_out = true;
    it->next = next_regular(it, health_now(h));
    schedule(it);
}

/* A DN that a request could not reach is checked as one that is out of service from now on. */
static void on_sweep(struct timer *t, uint64_t now)
{
    struct health *h = container_of(t, struct health, sweep);
    unsigned outages = dn_outages(h->deps.dir);
    if (outages != h->outages) {
        h->outages = outages;
        table_each(&h->items, look_for_outage, h);
    }
    timer_set(h->deps.wheel, t, now + HEALTH_SWEEP_MS);
}

/* --- which DNs --- */

static bool is_mine(const struct health *h, const struct dn_conf *dn)
{
    uint64_t hash = hash_slice(h->deps.key, slice_str(dn->name));
    return dn->oos_check_s != 0 && hash % h->deps.nworkers == h->deps.worker;
}

static struct item *item_new(struct health *h, const struct dn_conf *dn)
{
    struct slice name = slice_str(dn->name);
    size_t failures = dn->noos_failures * sizeof(uint16_t);
    struct item *it = mem_zalloc(sizeof(*it) + failures + name.len);
    if (it == NULL)
        return NULL;
    it->h = h;
    it->check_ms = 1000 * dn->oos_check_s;
    it->force_ms = 1000 * dn->oos_force_s;
    it->again_ms = 1000 * dn_check_again_s(dn->oos_check_s, dn->oos_force_s);
    it->contact = dn->contact != NULL ? hash_slice(h->deps.key, slice_str(dn->contact)) : 0;
    it->nfailures = dn->noos_failures;
    if (failures != 0)
        memcpy(it->failures, dn->oos_failures, failures);
    char *text = (char *)it->failures + failures;
    memcpy(text, name.ptr, name.len);
    it->name = slice_of(text, name.len);
    timer_init(&it->timer, on_timer);
    return it;
}

static void item_free(struct item *it)
{
    check_drop(it, false);
    timer_stop(it->h->deps.wheel, &it->timer);
    mem_free(it->uri);
    mem_free(it);
}

static void free_node(struct table_node *node, void *user)
{
    (void)user;
    item_free(container_of(node, struct item, node));
}

static struct item *find(const struct table *items, uint64_t hash, struct slice name)
{
    struct table_node *node = table_first(items, hash);
    for (; node != NULL; node = table_next(node)) {
        struct item *it = container_of(node, struct item, node);
        if (slice_eq(it->name, name))
            return it;
    }
    return NULL;
}

/* The place stays, and, where the contact is the same, what was found out. */
static void inherit(struct item *it, struct item *old)
{
    it->place = old->place;
    if (it->contact != old->contact)
        return;
    it->failing = old->failing;
    it->cause = old->cause;
    it->is_out = old->is_out;
    it->was_told = old->was_told;
    it->uri = old->uri;
    old->uri = NULL;
    it->check = old->check;
    old->check = NULL;
    if (it->check != NULL)
        check_move(it->check, it);
}

static void start(struct item *it, const struct table *before)
{
    struct health *h = it->h;
    struct item *old = find(before, it->node.hash, it->name);
    if (old != NULL) {
        inherit(it, old);
    } else {
        it->place = h->place;
        h->place += GOLDEN;
    }
    it->next = next_regular(it, health_now(h));
    schedule(it);
}

static int make_items(struct health *h, const struct dn_conf *dns, unsigned n, struct table *items)
{
    int err = table_init(items, 16);
    for (unsigned i = 0; i < n && err == 0; i++) {
        if (!is_mine(h, &dns[i]))
            continue;
        struct item *it = item_new(h, &dns[i]);
        if (it == NULL)
            err = ERR_NOMEM;
        else
            table_insert(items, &it->node, hash_slice(h->deps.key, it->name));
    }
    return err;
}

static void free_items(struct table *items)
{
    if (items->buckets == NULL)
        return;
    table_each(items, free_node, NULL);
    table_fini(items);
}

void health_set_dns(struct health *h, const struct dn_conf *dns, unsigned n)
{
    struct table items = {0}, before = h->items;
    if (make_items(h, dns, n, &items) != 0) {
        LOG(LOG_ERROR, "health", "no memory for new checks: the old ones go on",
            LF_INT("worker", h->deps.worker));
        free_items(&items);
        return;
    }
    h->items = items;
    for (unsigned i = 0; i < n; i++)
        if (is_mine(h, &dns[i])) {
            struct slice name = slice_str(dns[i].name);
            start(find(&h->items, hash_slice(h->deps.key, name), name), &before);
        }
    free_items(&before);
    timer_stop(h->deps.wheel, &h->sweep);
    if (h->items.count != 0 && !h->is_stopped)
        timer_set(h->deps.wheel, &h->sweep, health_now(h) + HEALTH_SWEEP_MS);
}

static void stop_node(struct table_node *node, void *user)
{
    struct item *it = container_of(node, struct item, node);
    const struct health *h = user;
    check_drop(it, false);
    timer_stop(h->deps.wheel, &it->timer);
}

void health_stop(struct health *h)
{
    h->is_stopped = true;
    table_each(&h->items, stop_node, h);
    timer_stop(h->deps.wheel, &h->sweep);
    apps_stop(h);
}

int health_new(const struct health_deps *deps, struct health **out)
{
    struct health *h = mem_zalloc(sizeof(*h));
    *out = h;
    if (h == NULL)
        return ERR_NOMEM;
    h->deps = *deps;
    /* Workers begin at different places. */
    h->place = (uint32_t)(((uint64_t)deps->worker << 32) / deps->nworkers);
    rng_init(&h->rng);
    timer_init(&h->sweep, on_sweep);
    apps_init(h);
    if (table_init(&h->items, 16) == 0)
        return 0;
    mem_free(h);
    *out = NULL;
    return ERR_NOMEM;
}

void health_free(struct health **health)
{
    struct health *h = *health;
    if (h == NULL)
        return;
    timer_stop(h->deps.wheel, &h->sweep);
    free_items(&h->items);
    apps_free(h);
    mem_free(h);
    *health = NULL;
}
