/* SPDX-License-Identifier: Apache-2.0 */
#include "admin/events.h"

#include <pthread.h>
#include <string.h>
#include <time.h>

#include "base/alloc.h"
#include "base/buf.h"

#define FIELDS_BYTES 1000 /* of an event's fields as JSON; one that does not fit is left out */
#define VALUE_BYTES  200  /* of one value; what is longer is cut with "…" */
/* A second has so many numbers, and no process has more events than that in the mean. */
#define NUMBERS_A_SECOND 100000u

struct kept {
    uint64_t seq;
    uint64_t forgotten; /* of its kind, before it; set in a copy */
    uint64_t wall_ms;
    enum event ev;
    uint16_t len;
    char fields[FIELDS_BYTES];
};

/* Where an event lies. They are few bytes: to look through them all is cheap. */
struct place {
    uint64_t seq;
    uint16_t at; /* in `kept` */
    uint16_t ev;
};

struct admin_events {
    pthread_mutex_t lock;
    pthread_cond_t news;
    uint64_t next; /* number of the next one */
    unsigned waiting;
    unsigned n;                             /* that are kept */
    struct place places[ADMIN_EVENTS_KEPT]; /* of them, oldest first */
    unsigned count[EVENT_MAX];              /* of them, by kind */
    uint64_t forgotten[EVENT_MAX];
    struct kept kept[ADMIN_EVENTS_KEPT];
};

static uint64_t wall_ms(void)
{
    struct timespec ts;
    clock_gettime(CLOCK_REALTIME, &ts);
    return (uint64_t)ts.tv_sec * 1000 + (uint64_t)ts.tv_nsec / 1000000;
}

/* --- fields as JSON ----------------------------------------------------------------------------
 */

static bool put(void *user, const void *ptr, size_t len)
{
    struct buf *b = user;
    buf_add(b, ptr, len);
    return !b->overflow;
}

/* One that is cut stays whole characters: a byte of UTF-8 that continues one begins none. */
static struct field cut(const struct field *f, char room[FIELD_ROOM], char text[VALUE_BYTES + 4])
{
    if (f->kind != FIELD_STR && f->kind != FIELD_SLICE)
        return *f;
    struct slice s = field_value(f, room);
    if (s.len <= VALUE_BYTES)
        return *f;
    size_t len = VALUE_BYTES;
    while (len > VALUE_BYTES - 4 && ((unsigned char)s.ptr[len] & 0xc0) == 0x80)
        len--;
    memcpy(text, s.ptr, len);
    memcpy(text + len, "\xe2\x80\xa6", 3);
    return LF_SLICE(f->name, slice_of(text, len + 3));
}

static size_t write_fields(char out[FIELDS_BYTES], unsigned n, const struct field *fields)
{
    struct buf b;
    buf_init(&b, out, FIELDS_BYTES - 1); /* "}" has its place */
    buf_char(&b, '{');
    for (unsigned i = 0; i < n; i++) {
        char room[FIELD_ROOM], text[VALUE_BYTES + 4];
        size_t before = b.len;
        struct field f = cut(&fields[i], room, text);
        buf_str(&b, before == 1 ? "\"" : ",\"");
        buf_str(&b, f.name);
        buf_lit(&b, "\":");
        if (b.overflow || !field_json(&f, put, &b)) {
            b.len = before;
            b.overflow = false;
        }
    }
    b.cap++;
    buf_char(&b, '}');
    return b.len;
}

/* --- memory ------------------------------------------------------------------------------------
 */

/* Under the lock. n: there is none. */
static unsigned oldest_of(const struct admin_events *e, unsigned ev)
{
    unsigned i = 0;
    while (i < e->n && e->places[i].ev != ev)
        i++;
    return i;
}

/* The oldest one of the kind that has most leaves: strangers can cause some kinds as often as they
 * like, and get no more than a share by it. Returns its room. Under the lock. */
static uint16_t make_room(struct admin_events *e)
{
    unsigned most = 0;
    for (unsigned ev = 1; ev < EVENT_MAX; ev++)
        if (e->count[ev] > e->count[most])
            most = ev;
    unsigned i = oldest_of(e, most);
    uint16_t at = e->places[i].at;
    e->count[most]--;
    e->forgotten[most]++;
    e->n--;
    memmove(&e->places[i], &e->places[i + 1], (e->n - i) * sizeof(e->places[0]));
    return at;
}

/* Written before the lock is taken: it is held for a copy alone. */
static void on_event(void *user, enum event ev, unsigned n, const struct field *fields)
{
    struct admin_events *e = user;
    char text[FIELDS_BYTES];
    uint64_t now = wall_ms();
    size_t len = write_fields(text, n, fields);

    pthread_mutex_lock(&e->lock);
    uint16_t at = e->n == ADMIN_EVENTS_KEPT ? make_room(e) : (uint16_t)e->n;
    struct kept *k = &e->kept[at];
    e->places[e->n++] = (struct place){.seq = e->next, .at = at, .ev = (uint16_t)ev};
    e->count[ev]++;
    k->seq = e->next++;
    k->wall_ms = now;
    k->ev = ev;
    k->len = (uint16_t)len;
    memcpy(k->fields, text, len);
    if (e->waiting != 0)
        pthread_cond_broadcast(&e->news);
    pthread_mutex_unlock(&e->lock);
}

int admin_events_new(struct admin_events **out)
{
    struct admin_events *e = mem_zalloc(sizeof(*e));
    pthread_condattr_t attr;
    *out = NULL;
    if (e == NULL)
        return ERR_NOMEM;
    pthread_mutex_init(&e->lock, NULL);
    pthread_condattr_init(&attr);
    pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    pthread_cond_init(&e->news, &attr);
    pthread_condattr_destroy(&attr);
    e->next = wall_ms() / 1000 * NUMBERS_A_SECOND + 1;
    event_set_tap(on_event, e);
    *out = e;
    return 0;
}

void admin_events_free(struct admin_events **events)
{
    struct admin_events *e = *events;
    if (e == NULL)
        return;
    event_set_tap(NULL, NULL);
    pthread_cond_destroy(&e->news);
    pthread_mutex_destroy(&e->lock);
    mem_free(e);
    *events = NULL;
}

/* The place of the first one after `since` that is kept; n: there is none. Under the lock. */
static unsigned find_after(const struct admin_events *e, uint64_t since)
{
    unsigned from = 0, to = e->n;
    if (since >= e->next)
        return 0;
    while (from < to) {
        unsigned mid = (from + to) / 2;
        if (e->places[mid].seq > since)
            to = mid;
        else
            from = mid + 1;
    }
    return from;
}

static bool copy_next(struct admin_events *e, uint64_t since, struct kept *out)
{
    pthread_mutex_lock(&e->lock);
    unsigned i = find_after(e, since);
    bool is_there = i < e->n;
    if (is_there) {
        const struct kept *k = &e->kept[e->places[i].at];
        memcpy(out, k, offsetof(struct kept, fields) + k->len);
        out->forgotten = oldest_of(e, k->ev) == i ? e->forgotten[k->ev] : 0;
    }
    pthread_mutex_unlock(&e->lock);
    return is_there;
}

/* Where some of the kind are forgotten, the fields say so, last of all. */
static struct slice fields_of(const struct kept *k, char out[FIELDS_BYTES + 40])
{
    if (k->forgotten == 0)
        return slice_of(k->fields, k->len);
    int len = snprintf(out, FIELDS_BYTES + 40, "%.*s%s\"forgotten\":%llu}", k->len - 1, k->fields,
                       k->len > 2 ? "," : "", (unsigned long long)k->forgotten);
    return slice_of(out, (size_t)len);
}

static void give(const struct kept *k, const struct row_sink *sink)
{
    const struct event_text *t = event_text(k->ev);
    char time[FIELD_TIME_MAX], fields[FIELDS_BYTES + 40];
    ROW(sink, "event", LF_INT("seq", k->seq), LF_STR("time", field_time(k->wall_ms, time)),
        LF_INT("number", t->number), LF_STR("level", log_level_name(t->level)),
        LF_STR("module", t->module), LF_STR("name", t->name), LF_STR("text", t->text),
        LF_SLICE("fields", fields_of(k, fields)));
}

uint64_t admin_events_rows(struct admin_events *events, uint64_t since, unsigned max,
                           const struct row_sink *sink)
{
    struct kept k;
    uint64_t end = admin_events_last(events); /* more that come meanwhile are for the next time */
    for (unsigned n = 0; (max == 0 || n < max) && copy_next(events, since, &k); n++) {
        give(&k, sink);
        since = k.seq;
        if (since >= end)
            break;
    }
    return since;
}

uint64_t admin_events_last(struct admin_events *events)
{
    pthread_mutex_lock(&events->lock);
    uint64_t last = events->next - 1;
    pthread_mutex_unlock(&events->lock);
    return last;
}

bool admin_events_wait(struct admin_events *events, uint64_t since, uint32_t timeout_ms)
{
    struct timespec until;
    int err = 0;
    clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_sec += timeout_ms / 1000;
    until.tv_nsec += (long)(timeout_ms % 1000) * 1000000;
    if (until.tv_nsec >= 1000000000) {
        until.tv_sec++;
        until.tv_nsec -= 1000000000;
    }
    pthread_mutex_lock(&events->lock);
    events->waiting++;
    while (find_after(events, since) == events->n && err == 0)
        err = pthread_cond_timedwait(&events->news, &events->lock, &until);
    events->waiting--;
    bool is_news = find_after(events, since) < events->n;
    pthread_mutex_unlock(&events->lock);
    return is_news;
}
