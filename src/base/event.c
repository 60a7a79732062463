/* SPDX-License-Identifier: Apache-2.0 */
#include "base/event.h"

#include <pthread.h>
#include <string.h>

#define FIELDS_MAX 24

static const struct event_text texts[] = {
#define EVENT(id, number, level, module, name, text, means, to_do) \
    [id] = {number, level, module, name, text, means, to_do},
#include "base/events.def"
#undef EVENT
};

const struct event_text *event_text(enum event ev)
{
    return &texts[ev];
}

/* A part of the log sink: who else is told. */
static struct {
    pthread_rwlock_t lock;
    event_tap_fn *tap;
    void *user;
} sink = {.lock = PTHREAD_RWLOCK_INITIALIZER};

void event_set_tap(event_tap_fn *tap, void *user)
{
    pthread_rwlock_wrlock(&sink.lock);
    sink.tap = tap;
    sink.user = user;
    pthread_rwlock_unlock(&sink.lock);
}

static void tell(enum event ev, unsigned n, const struct field *fields)
{
    pthread_rwlock_rdlock(&sink.lock);
    if (sink.tap != NULL)
        sink.tap(sink.user, ev, n, fields);
    pthread_rwlock_unlock(&sink.lock);
}

/* `left_out` 0: not said. */
static void write_line(enum event ev, uint32_t left_out, unsigned n, const struct field *fields)
{
    const struct event_text *t = &texts[ev];
    struct field all[FIELDS_MAX] = {LF_INT("event", t->number)};
    unsigned room = FIELDS_MAX - 2;
    if (!log_is_on(t->level))
        return;
    if (n > room)
        n = room;
    if (n != 0)
        memcpy(all + 1, fields, n * sizeof(*fields));
    if (left_out != 0)
        all[++n] = LF_INT("left_out", left_out);
    log_fields(t->level, t->module, t->text, n + 1, all);
}

void event_log(enum event ev, unsigned n, const struct field *fields)
{
    tell(ev, n, fields);
    write_line(ev, 0, n, fields);
}

void event_log_limited(enum event ev, struct log_limit *limit, uint64_t now, uint32_t burst,
                       uint32_t interval_ms, unsigned n, const struct field *fields)
{
    uint32_t left_out;
    tell(ev, n, fields);
    if (log_limit_ok(limit, now, burst, interval_ms, &left_out))
        write_line(ev, left_out, n, fields);
}
