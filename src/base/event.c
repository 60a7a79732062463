/* SPDX-License-Identifier: Apache-2.0 */
#include "base/event.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define FIELDS_MAX  24
#define FIELDS_SAID (FIELDS_MAX - 2) /* beside the number and left_out */

static const struct event_text texts[] = {
#define EVENT(id, number, level, module, name, limit, text, fields, means, to_do) \
    [id] = {number, level, limit, module, name, text, fields, means, to_do},
#include "base/events.def"
#undef EVENT
};

const struct event_text *event_text(enum event ev)
{
    return &texts[ev];
}

/* A part of the log sink: who else is told, and the lines of each kind. */
static struct {
    pthread_rwlock_t lock;
    event_tap_fn *tap;
    void *user;
    pthread_mutex_t limit_lock;
    struct log_limit limits[EVENT_MAX];
    uint64_t (*clock)(void); /* NULL: the system's */
} sink = {.lock = PTHREAD_RWLOCK_INITIALIZER, .limit_lock = PTHREAD_MUTEX_INITIALIZER};

void event_set_tap(event_tap_fn *tap, void *user)
{
    pthread_rwlock_wrlock(&sink.lock);
    sink.tap = tap;
    sink.user = user;
    pthread_rwlock_unlock(&sink.lock);
}

void event_reset(uint64_t (*clock)(void))
{
    pthread_mutex_lock(&sink.limit_lock);
    memset(sink.limits, 0, sizeof(sink.limits));
    sink.clock = clock;
    pthread_mutex_unlock(&sink.limit_lock);
}

static void tell(enum event ev, unsigned n, const struct field *fields)
{
    pthread_rwlock_rdlock(&sink.lock);
    if (sink.tap != NULL)
        sink.tap(sink.user, ev, n, fields);
    pthread_rwlock_unlock(&sink.lock);
}

/* --- limits ------------------------------------------------------------------------------------
 */

/* Under limit_lock. */
static uint64_t now_ms(void)
{
    struct timespec ts;
    if (sink.clock != NULL)
        return sink.clock();
    clock_gettime(CLOCK_MONOTONIC, &ts);
    return (uint64_t)ts.tv_sec * 1000 + (uint64_t)ts.tv_nsec / 1000000;
}

static bool is_allowed(enum event ev, uint32_t *left_out)
{
    *left_out = 0;
    if (texts[ev].limit == 0)
        return true;
    pthread_mutex_lock(&sink.limit_lock);
    bool ok =
        log_limit_ok(&sink.limits[ev], now_ms(), texts[ev].limit, EVENT_INTERVAL_MS, left_out);
    pthread_mutex_unlock(&sink.limit_lock);
    return ok;
}

static uint32_t take_left_out(enum event ev, bool is_end)
{
    uint32_t n = 0;
    struct log_limit *l = &sink.limits[ev];
    pthread_mutex_lock(&sink.limit_lock);
    if (l->left_out != 0 && (is_end || now_ms() - l->since >= EVENT_INTERVAL_MS)) {
        n = l->left_out;
        l->left_out = 0;
    }
    pthread_mutex_unlock(&sink.limit_lock);
    return n;
}

void event_tick(bool is_end)
{
    for (unsigned i = 0; i < EVENT_MAX; i++) {
        const struct event_text *t = &texts[i];
        uint32_t n = t->limit != 0 ? take_left_out((enum event)i, is_end) : 0;
        if (n != 0)
            LOG(t->level, t->module, "more of these events were left out of the log",
                LF_INT("event", t->number), LF_STR("name", t->name), LF_INT("left_out", n));
    }
}

/* --- lines -------------------------------------------------------------------------------------
 */

#ifdef HOLDFAST_FAULTS
/* What docs/events.md promises is all that there is. */
static void check_fields(const struct event_text *t, unsigned n, const struct field *fields)
{
    for (unsigned i = 0; i < n; i++) {
        struct slice rest = slice_str(t->fields), word;
        bool is_known = false;
        while (!is_known && slice_next_word(&rest, &word))
            is_known = slice_eq(word, slice_str(fields[i].name));
        if (!is_known) {
            fprintf(stderr, "events.def: %u has no field %s\n", t->number, fields[i].name);
            abort();
        }
    }
}
#else
static void check_fields(const struct event_text *t, unsigned n, const struct field *fields)
{
    (void)t, (void)n, (void)fields;
}
#endif

/* `left_out` 0: not said. */
static void write_line(enum event ev, uint32_t left_out, unsigned n, const struct field *fields)
{
    const struct event_text *t = &texts[ev];
    struct field all[FIELDS_MAX] = {LF_INT("event", t->number)};
    if (n != 0)
        memcpy(all + 1, fields, n * sizeof(*fields));
    if (left_out != 0)
        all[++n] = LF_INT("left_out", left_out);
    log_fields(t->level, t->module, t->text, n + 1, all);
}

static bool is_empty(const struct field *f)
{
    switch (f->kind) {
    case FIELD_STR: return slice_str(f->v.str).len == 0;
    case FIELD_SLICE: return f->v.slice.len == 0;
    case FIELD_ADDR: return f->v.addr == NULL || f->v.addr->family == ADDR_NONE;
    case FIELD_INT:
    case FIELD_BOOL:
    case FIELD_ERR: break;
    }
    return false;
}

void event_log(enum event ev, unsigned n, const struct field *fields)
{
    const struct event_text *t = &texts[ev];
    struct field said[FIELDS_SAID];
    uint32_t left_out;
    unsigned k = 0;
    check_fields(t, n, fields);
    for (unsigned i = 0; i < n && k < FIELDS_SAID; i++) {
        if (!is_empty(&fields[i]))
            said[k++] = fields[i];
    }
    tell(ev, k, said);
    if (log_is_on_for(t->level, t->module) && is_allowed(ev, &left_out))
        write_line(ev, left_out, k, said);
}

void event_message_id(unsigned number, char id[EVENT_MESSAGE_ID_LEN + 1])
{
    snprintf(id, EVENT_MESSAGE_ID_LEN + 1, "9f3c27ab51d84e06a7b4e2c9%08u", number % 100000000);
}
