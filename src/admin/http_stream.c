/* SPDX-License-Identifier: Apache-2.0 */
/* GET /api/v1/stream: server-sent events (HTML Living Standard, section 9.2). Each stream waits on
 * the thread of its connection; what all are told each second is made once, by a thread that only
 * works while somebody listens. A tick that was not taken in time is never sent later: the next one
 * takes its place. */
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>

#include "admin/http_int.h"
#include "base/alloc.h"

#define BLOCK_BYTES (16u << 10)
#define SEND_BYTES  (32 << 10) /* what the kernel keeps for a reader that is slow */
#define TICK_MAX    (1u << 20)
#define EVENTS_MAX  100u /* in one go */
#define EVENT_BYTES (512u << 10)
#define LOOK_MS     100u /* for the next tick */
#define RETRY_MS    2000 /* the browser's pause before it comes back */

struct stream {
    struct admin_http *http;
    struct http_server *server;
    struct http_conn *conn;
    unsigned tokens; /* when its own was looked at */
    uint64_t tick;   /* the last one sent */
    uint64_t since;  /* the last event sent */
    struct admin_text out;
    size_t sent; /* of out */
};

/* --- the tick --- */

/* The rows of one command, each set by the name that it has here; the first one of a set that has
 * one row alone. */
struct part {
    const char *set, *name;
    bool is_one;
};

static bool add_part(const struct http_rows *rows, const struct part *p, struct admin_text *out)
{
    for (unsigned i = 0; i < rows->n; i++) {
        const struct admin_text *t = &rows->rows[i];
        if (strcmp(rows->set[i], p->set) != 0)
            continue;
        bool ok = json_text(out, slice_str(p->name)) &&
                  admin_text_add(out, ":[", p->is_one ? 1 : 2);
        if (p->is_one && t->len == 0)
            return ok && admin_text_add(out, "{},", 3);
        return ok && admin_text_add(out, t->ptr, t->len) &&
               admin_text_add(out, p->is_one ? "," : "],", p->is_one ? 1 : 2);
    }
    return false;
}

static bool add_command(struct admin_http *http, enum admin_command_id id, const struct part *parts,
                        struct admin_text *out)
{
    static const struct slice none[ADMIN_ARGS_MAX];
    struct http_rows rows;
    char why[ADMIN_WHY_MAX];
    http_rows_init(&rows, admin_command_at(id));
    struct row_sink sink = http_rows_sink(&rows);
    (void)admin_call(http->admin, id, none, &sink, why); /* refused: the sets are empty */
    bool ok = !rows.has_failed;
    for (; ok && parts->set != NULL; parts++)
        ok = add_part(&rows, parts, out);
    http_rows_fini(&rows);
    return ok;
}

static bool add_counters(const struct admin *a, struct admin_text *out)
{
    struct field f[COUNTER_MAX];
    for (unsigned id = 0; id < COUNTER_MAX; id++) {
        uint64_t sum = 0;
        for (unsigned i = 0; i < a->deps.nworkers; i++)
            sum += counter_get(a->deps.counters[i], (enum counter)id);
        f[id] = LF_INT(counter_name((enum counter)id), sum);
    }
    return admin_text_add(out, "\"counters\":", 11) && json_row(out, COUNTER_MAX, f);
}

/* In an event stream each line has its name: what the rows are divided by has to go. */
static void on_one_line(struct admin_text *t)
{
    for (size_t i = 0; i < t->len; i++)
        if (t->ptr[i] == '\n')
            t->ptr[i] = ' ';
}

static bool make_tick(struct admin_http *http, struct admin_text *out)
{
    static const char head[] = "event: tick\ndata: ";
    static const struct part status[] = {{"status", "status", true}, {NULL, NULL, false}};
    static const struct part workers[] = {{"worker", "workers", false}, {NULL, NULL, false}};
    static const struct part applications[] = {{"application", "applications", false},
                                               {"member", "members", false},
                                               {"switchover", "switchovers", false},
                                               {NULL, NULL, false}};
    static const struct part overload[] = {
        {"overload", "overload", false}, {"neighbour", "neighbours", false}, {NULL, NULL, false}};
    struct admin_text json = {.max = TICK_MAX};
    char at[48]; /* rates are of this clock, not of the reader's */
    int len = snprintf(at, sizeof(at), "{\"at_ms\":%llu,", (unsigned long long)http_now());
    bool ok = admin_text_add(&json, at, (size_t)len) &&
              add_command(http, CMD_STATUS, status, &json) &&
              add_command(http, CMD_WORKERS, workers, &json) &&
              add_command(http, CMD_APPLICATIONS, applications, &json) &&
              add_command(http, CMD_OVERLOAD, overload, &json) &&
              add_counters(http->admin, &json) && admin_text_add(&json, "}", 1);
    if (ok) {
        on_one_line(&json);
        ok = admin_text_add(out, head, sizeof(head) - 1) &&
             admin_text_add(out, json.ptr, json.len) && admin_text_add(out, "\n\n", 2);
    }
    admin_text_fini(&json);
    return ok;
}

/* --- the ticker --- */

void http_ticker_init(struct http_ticker *t)
{
    pthread_condattr_t attr;
    pthread_mutex_init(&t->lock, NULL);
    pthread_condattr_init(&attr);
    pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    pthread_cond_init(&t->wake, &attr);
    pthread_condattr_destroy(&attr);
}

/* Until the next one is due, or there is somebody to make it for. Under the lock; false: the end.
 */
static bool wait_due(struct http_ticker *t)
{
    while (!t->is_stopped) {
        uint64_t now = http_now(), due = t->made + HTTP_TICK_MS;
        if (t->streams != 0 && now >= due)
            return true;
        if (t->streams == 0) {
            pthread_cond_wait(&t->wake, &t->lock);
        } else {
            struct timespec until = {(time_t)(due / 1000), (long)(due % 1000) * 1000000};
            pthread_cond_timedwait(&t->wake, &t->lock, &until);
        }
    }
    return false;
}

static void *tick(void *user)
{
    struct admin_http *http = user;
    struct http_ticker *t = &http->ticker;
    pthread_mutex_lock(&t->lock);
    while (wait_due(t)) {
        struct admin_text next = {.max = TICK_MAX};
        t->made = http_now();
        pthread_mutex_unlock(&t->lock);
        bool ok = make_tick(http, &next);
        pthread_mutex_lock(&t->lock);
        if (ok) {
            admin_text_fini(&t->text);
            t->text = next;
            t->seq++;
        } else {
            admin_text_fini(&next);
        }
    }
    pthread_mutex_unlock(&t->lock);
    return NULL;
}

int http_ticker_start(struct admin_http *http)
{
    int err = -pthread_create(&http->ticker.thread, NULL, tick, http);
    http->ticker.is_running = err == 0;
    return err;
}

void http_ticker_stop(struct admin_http *http)
{
    struct http_ticker *t = &http->ticker;
    pthread_mutex_lock(&t->lock);
    t->is_stopped = true;
    pthread_cond_signal(&t->wake);
    pthread_mutex_unlock(&t->lock);
    if (t->is_running)
        pthread_join(t->thread, NULL);
    t->is_running = false;
    admin_text_fini(&t->text);
}

/* --- one stream --- */

struct event_sink {
    struct admin_text *out;
    bool has_failed;
};

static void add_event(void *user, const char *set, unsigned n, const struct field *fields)
{
    struct event_sink *s = user;
    char head[64];
    const struct field *seq = admin_field(n, fields, "seq");
    (void)set;
    int len = snprintf(head, sizeof(head),
                       "id: %lld\nevent: event\ndata: ", seq != NULL ? (long long)seq->v.num : 0);
    s->has_failed = s->has_failed || !admin_text_add(s->out, head, (size_t)len) ||
                    !json_row(s->out, n, fields) || !admin_text_add(s->out, "\n\n", 2);
}

static bool add_events(struct stream *s)
{
    struct event_sink sink = {&s->out, false};
    struct row_sink rows = {add_event, &sink};
    struct admin_events *events = s->http->admin->deps.events;
    if (events != NULL)
        s->since = admin_events_rows(events, s->since, EVENTS_MAX, &rows);
    return !sink.has_failed;
}

static bool add_tick(struct stream *s)
{
    struct http_ticker *t = &s->http->ticker;
    bool ok = true;
    pthread_mutex_lock(&t->lock);
    if (t->seq != s->tick && t->text.len != 0) {
        ok = admin_text_add(&s->out, t->text.ptr, t->text.len);
        s->tick = t->seq;
    }
    pthread_mutex_unlock(&t->lock);
    return ok;
}

static bool is_over(struct stream *s)
{
    pthread_mutex_lock(&s->http->ticker.lock);
    bool is_stopped = s->http->ticker.is_stopped;
    pthread_mutex_unlock(&s->http->ticker.lock);
    return is_stopped || atomic_load(&s->server->is_ending) ||
           atomic_load(&s->http->tokens) != s->tokens;
}

/* Waits until there is something to send; false: it is over. */
static bool fill(struct stream *s)
{
    struct admin_events *events = s->http->admin->deps.events;
    admin_text_fini(&s->out);
    s->sent = 0;
    while (!is_over(s)) {
        if (!add_events(s) || !add_tick(s))
            return false;
        if (s->out.len != 0)
            return true;
        if (events != NULL) {
            (void)admin_events_wait(events, s->since, LOOK_MS);
        } else {
            (void)poll(NULL, 0, LOOK_MS);
        }
    }
    return false;
}

/* What has been made is sent in blocks; its reader has HTTP_STREAM_MS for all of it. */
static ssize_t on_room(void *user, uint64_t pos, char *block, size_t max)
{
    struct stream *s = user;
    (void)pos;
    if (s->sent == s->out.len) {
        if (!fill(s))
            return MHD_CONTENT_READER_END_OF_STREAM;
        http_conn_until(&s->http->conns, s->conn, http_now() + HTTP_STREAM_MS);
    }
    size_t len = s->out.len - s->sent < max ? s->out.len - s->sent : max;
    memcpy(block, s->out.ptr + s->sent, len);
    s->sent += len;
    return (ssize_t)len;
}

static void on_end(void *user)
{
    struct stream *s = user;
    struct http_ticker *t = &s->http->ticker;
    pthread_mutex_lock(&t->lock);
    t->streams--;
    pthread_mutex_unlock(&t->lock);
    admin_text_fini(&s->out);
    mem_free(s);
}

static bool count_in(struct http_ticker *t, struct stream *s)
{
    pthread_mutex_lock(&t->lock);
    bool ok = t->streams < HTTP_STREAMS && !t->is_stopped;
    t->streams += ok;
    /* The last tick of a time when others listened is not news. */
    s->tick = http_now() < t->made + 2 * HTTP_TICK_MS ? 0 : t->seq;
    pthread_cond_signal(&t->wake);
    pthread_mutex_unlock(&t->lock);
    return ok;
}

/* Where it goes on: what the browser has had last, or what the page asks for; else now. */
static bool begins_at(struct http_req *r, uint64_t *since)
{
    struct admin_events *events = r->http->admin->deps.events;
    struct slice text = http_header(r, "Last-Event-ID");
    const char *value = MHD_lookup_connection_value(r->mhd, MHD_GET_ARGUMENT_KIND, "since");
    if (text.len == 0)
        text = slice_str(value);
    *since = events != NULL ? admin_events_last(events) : 0;
    return text.len == 0 || slice_u64(text, INT64_MAX, since) == 0;
}

enum MHD_Result http_stream(struct http_req *r)
{
    uint64_t since;
    if (!begins_at(r, &since))
        return http_error(r, MHD_HTTP_BAD_REQUEST, "since is no number of an event");
    struct stream *s = mem_zalloc(sizeof(*s));
    if (s == NULL || !count_in(&r->http->ticker, s)) {
        mem_free(s);
        atomic_fetch_add(&r->http->refused[HTTP_REFUSED_BUSY], 1);
        return http_error(r, MHD_HTTP_SERVICE_UNAVAILABLE, "there are %u streams already",
                          HTTP_STREAMS);
    }
    s->http = r->http;
    s->server = r->server;
    s->conn = r->conn;
    s->tokens = r->tokens;
    s->since = since;
    s->out.max = TICK_MAX + EVENT_BYTES;
    char hello[64];
    int len = snprintf(hello, sizeof(hello), "retry: %d\n\n", RETRY_MS);
    (void)admin_text_add(&s->out, hello, (size_t)len);
    struct MHD_Response *response =
        MHD_create_response_from_callback(MHD_SIZE_UNKNOWN, BLOCK_BYTES, on_room, s, on_end);
    if (response == NULL) {
        on_end(s);
        return MHD_NO;
    }
    http_conn_until(&r->http->conns, r->conn, http_now() + HTTP_STREAM_MS);
    MHD_set_connection_option(r->mhd, MHD_CONNECTION_OPTION_TIMEOUT, 0u);
    int bytes = SEND_BYTES;
    (void)setsockopt(r->conn->fd, SOL_SOCKET, SO_SNDBUF, &bytes, sizeof(bytes));
    MHD_add_response_header(response, "Content-Type", "text/event-stream");
    http_headers(response, true);
    return http_send(r, MHD_HTTP_OK, response);
}
