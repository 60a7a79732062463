/* SPDX-License-Identifier: Apache-2.0 */
/* What other machines look at: metrics, and whether this one is alive and takes calls. */
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "admin/http_int.h"
#include "admin/metrics.h"
#include "base/alloc.h"

#define HEALTH_MS 500   /* one look serves all who ask within that */
#define TURNED_MS 15000 /* main has come round within that, also where it reads a file anew */

/* --- metrics --- */

static bool work_cpu(struct admin_job *job, const struct admin_rooms *rooms)
{
    struct timespec ts;
    (void)rooms;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &ts);
    job->result = (uint64_t)ts.tv_sec * 1000000 + (uint64_t)ts.tv_nsec / 1000;
    return false;
}

static void ask_workers(struct admin *a, struct metrics_source *m)
{
    struct admin_round round;
    admin_ask(&round, a, 0, a->deps.nworkers - 1, work_cpu, SLICE_NONE);
    for (unsigned i = 0; i < a->deps.nworkers; i++) {
        m->workers[i].is_up = round.asked[i].why_not == NULL;
        m->workers[i].cpu_us = m->workers[i].is_up ? round.asked[i].job->result : 0;
    }
    admin_ask_end(&round);
}

/* Rows of groups_rows are kept, since they come from behind a lock. */
static void add_applications(struct admin *a, struct admin_text *rows)
{
    struct row_sink sink = {admin_rows_keep, rows};
    groups_rows(a->deps.groups, http_now(), admin_wall(a), &sink);
}

static void count_http(struct admin_http *http, struct metrics_source *m)
{
    for (unsigned i = 0; i < 6; i++)
        m->http_answers[i] = atomic_load(&http->answers[i]);
    for (unsigned i = 0; i < HTTP_REFUSED_MAX; i++)
        m->http_refused[i] = atomic_load(&http->refused[i]);
    pthread_mutex_lock(&http->ticker.lock);
    m->http_streams = http->ticker.streams;
    pthread_mutex_unlock(&http->ticker.lock);
}

enum MHD_Result http_metrics(struct http_req *r)
{
    struct admin *a = r->http->admin;
    struct admin_text out = {.max = ADMIN_TEXT_MAX}, applications = {.max = ADMIN_TEXT_MAX};
    struct metrics_source *m = mem_zalloc(sizeof(*m));
    if (m == NULL || !http_run_begin(r->http)) {
        mem_free(m);
        return http_error(r, MHD_HTTP_SERVICE_UNAVAILABLE, "too many commands at a time");
    }
    m->nworkers = a->deps.nworkers;
    m->counters = a->deps.counters;
    m->applications = &applications;
    m->certificate_ends = a->deps.certificate_ends != NULL ? a->deps.certificate_ends(a->deps.user)
                                                           : 0;
    m->is_draining = a->deps.is_draining != NULL && a->deps.is_draining(a->deps.user);
    m->started_ms = a->started_wall;
    dn_count(a->deps.dir, admin_wall(a), &m->dns_suspect, &m->dns_out);
    ask_workers(a, m);
    add_applications(a, &applications);
    count_http(r->http, m);
    bool ok = metrics_write(m, &out);
    admin_text_fini(&applications);
    mem_free(m);
    http_run_end(r->http);
    if (ok)
        return http_answer(r, MHD_HTTP_OK, METRICS_TYPE, &out);
    admin_text_fini(&out);
    return http_error(r, MHD_HTTP_SERVICE_UNAVAILABLE, "no memory");
}

/* --- health --- */

static bool work_nothing(struct admin_job *job, const struct admin_rooms *rooms)
{
    (void)job, (void)rooms;
    return false;
}

/* A line for what does not answer. */
static void look(struct admin *a, struct http_health *h)
{
    struct admin_round round;
    size_t at = 0;
    uint64_t turned = a->deps.main_turned != NULL ? a->deps.main_turned(a->deps.user) : http_now();
    uint64_t now = http_now();
    bool is_main_ok = now < turned || now - turned < TURNED_MS;
    if (!is_main_ok)
        at = (size_t)snprintf(h->text, sizeof(h->text), "the main thread does not answer\n");
    h->is_ok = is_main_ok;
    admin_ask(&round, a, 0, a->deps.nworkers - 1, work_nothing, SLICE_NONE);
    for (unsigned i = 0; i < a->deps.nworkers; i++) {
        if (round.asked[i].why_not == NULL)
            continue;
        h->is_ok = false;
        if (at < sizeof(h->text))
            at += (size_t)snprintf(h->text + at, sizeof(h->text) - at, "worker %u %s\n", i,
                                   round.asked[i].why_not);
    }
    admin_ask_end(&round);
    if (h->is_ok)
        snprintf(h->text, sizeof(h->text), "ok\n");
}

static enum MHD_Result say(struct http_req *r, bool is_ok, const char *text)
{
    struct admin_text out = {.max = 4096};
    if (!admin_text_add(&out, text, strlen(text)))
        return MHD_NO;
    return http_answer(r, is_ok ? MHD_HTTP_OK : MHD_HTTP_SERVICE_UNAVAILABLE,
                       "text/plain; charset=utf-8", &out);
}

/* One asks the workers, the others take what it finds. */
enum MHD_Result http_healthz(struct http_req *r)
{
    struct http_health *h = &r->http->health;
    char text[sizeof(h->text)];
    pthread_mutex_lock(&h->lock);
    if (h->asked == 0 || http_now() >= h->asked + HEALTH_MS) {
        look(r->http->admin, h);
        h->asked = http_now();
    }
    bool is_ok = h->is_ok;
    memcpy(text, h->text, sizeof(text));
    pthread_mutex_unlock(&h->lock);
    return say(r, is_ok, text);
}

enum MHD_Result http_readyz(struct http_req *r)
{
    const struct admin_deps *deps = &r->http->admin->deps;
    if (deps->is_draining != NULL && deps->is_draining(deps->user))
        return say(r, false, "draining\n");
    return say(r, true, "ready\n");
}
