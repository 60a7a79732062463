/* SPDX-License-Identifier: Apache-2.0 */
/* Commands about the daemon as a whole: status, workers, counters. */
#include <time.h>

#include "admin/admin_int.h"
#include "holdfast_version.h"

#define CPU_US 1000000 /* the share of a processor is of at least so long a time */

static uint64_t sum_of(const struct admin *a, enum counter id)
{
    uint64_t sum = 0;
    for (unsigned i = 0; i < a->deps.nworkers; i++)
        sum += counter_get(a->deps.counters[i], id);
    return sum;
}

enum admin_status admin_run_status(const struct admin_run *run)
{
    struct admin *a = run->admin;
    const struct admin_deps *d = &a->deps;
    unsigned suspect, out;
    char started[FIELD_TIME_MAX];
    bool is_draining = d->is_draining != NULL && d->is_draining(d->user);
    dn_count(d->dir, admin_wall(a), &suspect, &out);
    ROW(run->sink, "status", LF_STR("version", HOLDFAST_VERSION),
        LF_STR("started", field_time(a->started_wall, started)),
        LF_INT("up_s", (admin_now_us() - a->started_us) / 1000000),
        LF_STR("state", is_draining ? "draining" : "running"), LF_INT("workers", d->nworkers),
        LF_INT("connections", sum_of(a, CTR_FLOWS)), LF_INT("calls", sum_of(a, CTR_CALLS)),
        LF_INT("server_transactions", sum_of(a, CTR_TXN_SERVER)),
        LF_INT("client_transactions", sum_of(a, CTR_TXN_CLIENT)),
        LF_INT("bindings", dn_bindings(d->dir)), LF_INT("applications", groups_count(d->groups)),
        LF_INT("applications_down", groups_down(d->groups)), LF_INT("dns_out", out),
        LF_INT("dns_suspect", suspect), LF_STR("configuration", d->configuration));
    return ADMIN_OK;
}

/* --- workers --- */

static bool work_cpu(struct admin_job *job, const struct admin_rooms *rooms)
{
    struct timespec ts = {0};
    (void)rooms;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &ts);
    job->result = (uint64_t)ts.tv_sec * 1000000 + (uint64_t)ts.tv_nsec / 1000;
    return false;
}

/* Those who ask more often than once a second get what was found last. */
static int64_t percent_of(struct admin *a, unsigned worker, uint64_t used_us)
{
    struct admin_cpu *cpu = &a->cpu[worker];
    uint64_t now = admin_now_us();
    pthread_mutex_lock(&a->lock);
    if (cpu->at_us == 0)
        *cpu = (struct admin_cpu){now, used_us, -1};
    else if (now >= cpu->at_us + CPU_US && used_us >= cpu->used_us)
        *cpu = (struct admin_cpu){now, used_us,
                                  (int64_t)((used_us - cpu->used_us) * 100 / (now - cpu->at_us))};
    int64_t percent = cpu->percent;
    pthread_mutex_unlock(&a->lock);
    return percent;
}

enum admin_status admin_run_workers(const struct admin_run *run)
{
    struct admin *a = run->admin;
    struct admin_round r;
    admin_ask(&r, a, 0, a->deps.nworkers - 1, work_cpu, SLICE_NONE);
    for (unsigned i = 0; i < r.n; i++) {
        const struct counters *c = a->deps.counters[i];
        const char *why_not = r.asked[i].why_not;
        int64_t percent = why_not == NULL ? percent_of(a, i, r.asked[i].job->result) : -1;
        ROW(run->sink, "worker", LF_INT("worker", i),
            LF_STR("state", why_not != NULL ? why_not : "answers"),
            LF_INT("connections", counter_get(c, CTR_FLOWS)),
            LF_INT("server_transactions", counter_get(c, CTR_TXN_SERVER)),
            LF_INT("client_transactions", counter_get(c, CTR_TXN_CLIENT)),
            LF_INT("calls", counter_get(c, CTR_CALLS)),
            LF_INT("received", counter_get(c, CTR_MSG_IN)),
            LF_INT("sent", counter_get(c, CTR_MSG_OUT)),
            LF_INT("lag_ms", counter_get(c, CTR_LAG_MS)), LF_INT("cpu_percent", percent),
            LF_INT("answer_us", why_not == NULL ? (int64_t)r.asked[i].us : -1));
    }
    admin_ask_end(&r);
    return ADMIN_OK;
}

enum admin_status admin_run_counters(const struct admin_run *run)
{
    for (unsigned i = 0; i < COUNTER_MAX; i++) {
        enum counter id = (enum counter)i;
        ROW(run->sink, "counter", LF_STR("name", counter_name(id)),
            LF_INT("value", sum_of(run->admin, id)), LF_BOOL("gauge", counter_is_gauge(id)),
            LF_STR("help", counter_help(id)));
    }
    return ADMIN_OK;
}
