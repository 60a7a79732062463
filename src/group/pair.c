/* SPDX-License-Identifier: Apache-2.0 */
/* The active member is asked every check_ms. When it is silent for that long, or cannot be reached,
 * a search begins: both are asked in turn, every force_ms, the other one first, and the first that
 * answers is the active one. A failure that is known at once lets the other one be asked at once.
 */
#include "group/pair_int.h"

static bool is_searching(const struct pair *p)
{
    return p->state != GROUP_UP;
}

static unsigned other(const struct pair *p, unsigned i)
{
    return p->n == 2 ? 1 - i : i;
}

static void set_state(struct pair *p, enum group_state state, struct pair_change *out)
{
    if (p->state == state)
        return;
    p->state = state;
    out->is_state = true;
}

/* --- what was asked --- */

static void ask(struct pair_ask *a, uint64_t now)
{
    if (!a->is_awaited)
        a->since = now;
    a->was_asked = a->is_awaited = true;
    a->asked = now;
    a->again = 0;
}

/* The first time from `now` on at which it may be asked again. */
static uint64_t not_before(const struct pair_ask *a, uint64_t now)
{
    uint64_t at = a->was_asked ? a->asked + PAIR_AGAIN_MS : 0;
    return at > now ? at : now;
}

/* --- the search --- */

static void lose(struct pair *p, int err, uint64_t since)
{
    if (p->is_lost)
        return;
    p->is_lost = true;
    p->lost = since;
    p->err = err;
}

static void begin_search(struct pair *p, uint64_t now, struct pair_change *out)
{
    set_state(p, GROUP_SEARCH, out);
    out->from = out->to = p->active;
    out->err = p->err;
    p->begun = now;
    p->turn = other(p, p->active);
    p->next = not_before(&p->asks[p->turn], now);
}

/* When it is over without a result; UINT64_MAX: somebody may still answer. */
static uint64_t end_of_search(const struct pair *p)
{
    unsigned all = (1u << p->n) - 1;
    bool is_open = is_searching(p) && p->state != GROUP_DOWN && (p->silent & all) == all;
    return is_open ? p->begun + p->force_ms : UINT64_MAX;
}

static void look_whether_down(struct pair *p, uint64_t now, struct pair_change *out)
{
    if (now < end_of_search(p))
        return;
    for (unsigned i = 0; i < p->n; i++)
        if (!p->asks[i].says_no)
            p->asks[i].again = 0;
    p->soon = now + PAIR_SOON_MS;
    set_state(p, GROUP_DOWN, out);
    out->is_down = true;
    out->from = out->to = p->active;
    out->err = p->err;
}

/* In a search: member i does not answer. */
static void note_silent(struct pair *p, unsigned i, int err, uint64_t since)
{
    lose(p, err, since);
    p->silent |= 1u << i;
    p->asks[i].says_no = err == ERR_BAD_STATUS;
}

/* What the one before had under way comes in for a moment. Without checks there would be no other
 * proof. */
static void set_guard(struct pair *p, uint64_t now)
{
    p->guard = p->check_ms == 0            ? 0
               : p->check_ms > p->force_ms ? now + p->check_ms
                                           : now + p->force_ms;
}

static void found(struct pair *p, unsigned i, enum pair_cause cause, uint64_t now,
                  struct pair_change *out)
{
    out->cause = cause;
    out->err = p->is_lost ? p->err : 0;
    out->ms = p->is_lost && now > p->lost ? now - p->lost : 0;
    out->from = p->active;
    out->to = i;
    out->is_switched = p->active != i;
    out->is_back = p->state == GROUP_DOWN;
    set_state(p, GROUP_UP, out);
    if (p->active != i)
        set_guard(p, now);
    p->active = i;
    p->is_lost = false;
    p->silent = 0;
    p->asks[0].is_awaited = p->asks[1].is_awaited = false;
    p->asks[0].again = p->asks[1].again = 0;
    p->next = p->check_ms != 0 ? now + p->check_ms : UINT64_MAX;
    /* That opens the connection to it, and shows whether it takes calls. */
    if (cause == PAIR_REQUEST && p->check_ms != 0)
        p->next = not_before(&p->asks[i], now);
}

/* --- time --- */

static void look_at_silence(struct pair *p, uint64_t now, struct pair_change *out)
{
    for (unsigned i = 0; i < p->n; i++) {
        struct pair_ask *a = &p->asks[i];
        uint64_t most = is_searching(p) ? p->force_ms : p->check_ms;
        if (!a->is_awaited || now < a->since + most)
            continue;
        a->is_awaited = false;
        if (is_searching(p)) {
            note_silent(p, i, ERR_TIMEOUT, a->since);
        } else if (i == p->active) {
            lose(p, ERR_TIMEOUT, a->since);
            begin_search(p, now, out);
        }
    }
}

static uint64_t sooner(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

static uint64_t next_look(const struct pair *p)
{
    uint64_t next = sooner(p->next, end_of_search(p));
    uint32_t most = is_searching(p) ? p->force_ms : p->check_ms;
    for (unsigned i = 0; i < p->n; i++) {
        if (p->asks[i].is_awaited)
            next = sooner(next, p->asks[i].since + most);
        if (p->asks[i].again != 0)
            next = sooner(next, p->asks[i].again);
    }
    return next;
}

/* Whose turn it is; or who has failed at once a moment ago. */
static int who_is_due(struct pair *p, uint64_t now)
{
    unsigned i = is_searching(p) ? p->turn : p->active;
    if (now >= p->next)
        p->next = not_before(&p->asks[i], now);
    if (now >= p->next) {
        p->turn = other(p, i);
        p->next = now + (is_searching(p) ? p->force_ms : p->check_ms);
        return (int)i;
    }
    for (i = 0; i < p->n; i++)
        if (p->asks[i].again != 0 && now >= p->asks[i].again)
            return (int)i;
    return -1;
}

int pair_plan(struct pair *p, uint64_t now, uint64_t *next, struct pair_change *out)
{
    *next = UINT64_MAX;
    if (p->check_ms == 0)
        return -1;
    look_at_silence(p, now, out);
    look_whether_down(p, now, out);
    int who = who_is_due(p, now);
    if (who >= 0)
        ask(&p->asks[who], now);
    *next = next_look(p);
    return who;
}

/* --- what was heard --- */

void pair_answered(struct pair *p, unsigned i, uint64_t now, struct pair_change *out)
{
    if (i >= p->n)
        return;
    p->asks[i].is_awaited = false;
    /* While one member is active, that the other one answers as well says nothing. */
    if (is_searching(p))
        found(p, i, PAIR_CHECK, now, out);
}

void pair_failed(struct pair *p, unsigned i, int err, uint64_t now, struct pair_change *out)
{
    if (i >= p->n || p->check_ms == 0 || (!is_searching(p) && i != p->active))
        return;
    p->asks[i].is_awaited = false;
    if (!is_searching(p)) {
        lose(p, err, now);
        begin_search(p, now, out);
    } else if (p->turn != i) {
        const struct pair_ask *a = &p->asks[p->turn];
        if (!a->was_asked || a->asked + p->force_ms <= now)
            p->next = now;
    }
    note_silent(p, i, err, now);
    if (p->state != GROUP_DOWN || (err == ERR_BAD_STATUS && now < p->soon))
        p->asks[i].again = not_before(&p->asks[i], now);
    look_whether_down(p, now, out);
}

void pair_unasked(struct pair *p, unsigned i, uint64_t now)
{
    if (i >= p->n || p->check_ms == 0)
        return;
    p->asks[i].is_awaited = false;
    p->turn = i;
    p->next = not_before(&p->asks[i], now);
}

bool pair_trouble(struct pair *p, unsigned i, int err, uint64_t now, struct pair_change *out)
{
    if (i != p->active || p->state != GROUP_UP)
        return false;
    if (p->check_ms != 0) {
        uint64_t at = not_before(&p->asks[i], now);
        if (at >= p->next)
            return false;
        p->next = at;
        return true;
    }
    /* Nothing else would ever tell. That one request was refused or timed out says too little. */
    if (p->n != 2 || err == ERR_TIMEOUT || err == ERR_BAD_STATUS)
        return false;
    lose(p, err, now);
    found(p, other(p, i), PAIR_TROUBLE, now, out);
    return true;
}

bool pair_request(struct pair *p, unsigned i, uint64_t now, struct pair_change *out)
{
    if (i >= p->n || (i == p->active && !is_searching(p)))
        return false;
    if (is_searching(p) || now >= p->guard) {
        found(p, i, PAIR_REQUEST, now, out);
        return false;
    }
    /* Does the active one answer still? If not, the search asks this one at once. */
    uint64_t at = not_before(&p->asks[p->active], now);
    if (at >= p->next)
        return false;
    p->next = at;
    return true;
}

void pair_switch(struct pair *p, unsigned i, uint64_t now, struct pair_change *out)
{
    if (i >= p->n || i == p->active)
        return;
    *out =
        (struct pair_change){.is_switched = true, .from = p->active, .to = i, .cause = PAIR_ADMIN};
    set_guard(p, now);
    p->active = i;
    if (p->check_ms != 0) {
        p->turn = i;
        p->next = not_before(&p->asks[i], now);
    }
}

/* --- settings --- */

void pair_init(struct pair *p, unsigned n, uint32_t check_ms, uint32_t force_ms, uint64_t now)
{
    *p = (struct pair){.n = n, .check_ms = check_ms, .force_ms = force_ms};
    p->state = check_ms != 0 ? GROUP_UNKNOWN : GROUP_UP;
    p->begun = now;
    p->next = check_ms != 0 ? now : UINT64_MAX;
}

void pair_configure(struct pair *p, unsigned n, uint32_t check_ms, uint32_t force_ms, uint64_t now,
                    struct pair_change *out)
{
    bool is_same = p->n == n && p->check_ms == check_ms && p->force_ms == force_ms;
    if (is_same)
        return;
    p->n = n;
    p->check_ms = check_ms;
    p->force_ms = force_ms;
    if (p->active >= n) {
        *out = (struct pair_change){.is_switched = true, .from = p->active, .cause = PAIR_ADMIN};
        p->active = 0;
    }
    p->turn = p->turn < n ? p->turn : 0;
    if (check_ms == 0) {
        out->is_back = p->state == GROUP_DOWN;
        set_state(p, GROUP_UP, out);
        p->is_lost = false;
        p->next = UINT64_MAX;
        return;
    }
    p->next = not_before(&p->asks[is_searching(p) ? p->turn : p->active], now);
}

/* --- a member of a balanced group --- */

static uint64_t at_place(const struct pulse *p, uint64_t now)
{
    uint64_t at = now - now % p->check_ms + ((uint64_t)p->place * p->check_ms >> 32);
    return at > now ? at : at + p->check_ms;
}

void pulse_init(struct pulse *p, uint32_t place, uint32_t check_ms, uint32_t force_ms, uint64_t now)
{
    *p = (struct pulse){.place = place, .check_ms = check_ms, .force_ms = force_ms};
    p->state = check_ms != 0 ? GROUP_UNKNOWN : GROUP_UP;
    p->next = check_ms != 0 ? now : UINT64_MAX;
}

void pulse_configure(struct pulse *p, uint32_t check_ms, uint32_t force_ms, uint64_t now)
{
    if (p->check_ms == check_ms && p->force_ms == force_ms)
        return;
    p->check_ms = check_ms;
    p->force_ms = force_ms;
    p->ask.is_awaited = false;
    if (check_ms == 0)
        p->state = GROUP_UP;
    p->next = check_ms != 0 ? not_before(&p->ask, now) : UINT64_MAX;
}

static uint32_t patience(const struct pulse *p)
{
    return p->state == GROUP_UP ? p->check_ms : p->force_ms;
}

bool pulse_plan(struct pulse *p, uint64_t now, uint64_t *next)
{
    struct pair_ask *a = &p->ask;
    bool is_due = false;
    *next = UINT64_MAX;
    if (p->check_ms == 0)
        return is_due;
    if (a->is_awaited && now >= a->since + patience(p)) {
        a->is_awaited = a->says_no = false;
        p->state = GROUP_DOWN;
        p->next = not_before(a, now);
    }
    if (now >= p->next)
        p->next = not_before(a, now);
    if (now >= p->next) {
        is_due = true;
        ask(a, now);
        p->next = p->state == GROUP_UP ? at_place(p, now) : now + p->force_ms;
    }
    uint64_t end = a->is_awaited ? a->since + patience(p) : UINT64_MAX;
    *next = end < p->next ? end : p->next;
    return is_due;
}

void pulse_answered(struct pulse *p, uint64_t now)
{
    if (p->check_ms == 0)
        return;
    p->ask.is_awaited = false;
    if (p->state == GROUP_UP)
        return;
    p->state = GROUP_UP;
    p->next = at_place(p, now);
}

void pulse_failed(struct pulse *p, uint64_t now)
{
    if (p->check_ms == 0)
        return;
    p->ask.is_awaited = false;
    p->state = GROUP_DOWN;
    if (p->next < now || p->next > now + p->force_ms)
        p->next = now + p->force_ms;
}

void pulse_unasked(struct pulse *p, uint64_t now)
{
    if (p->check_ms == 0)
        return;
    p->ask.is_awaited = false;
    p->next = not_before(&p->ask, now);
}

bool pulse_trouble(struct pulse *p, uint64_t now)
{
    if (p->check_ms == 0 || p->state == GROUP_DOWN)
        return false;
    uint64_t at = not_before(&p->ask, now);
    if (at >= p->next)
        return false;
    p->next = at;
    return true;
}
