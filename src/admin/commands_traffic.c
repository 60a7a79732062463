/* SPDX-License-Identifier: Apache-2.0 */
/* Commands about what passes now: connections, calls, transactions. */
#include "admin/admin_int.h"
#include "base/log.h"
#include "base/pool.h"

#define STEP 256 /* objects that a worker tells of in one turn: some hundred microseconds */

struct filter {
    struct admin_job *job;
    struct slice want;
};

static void filter_row(void *user, const char *set, unsigned n, const struct field *fields)
{
    const struct filter *f = user;
    if (f->want.len == 0 || admin_row_is(n, fields, f->want))
        admin_rows_keep(&f->job->out, set, n, fields);
}

static bool work_flows(struct admin_job *job, const struct admin_rooms *rooms)
{
    struct filter f = {job, slice_str(job->want)};
    uint32_t at = (uint32_t)job->at;
    bool has_more = flows_rows_some(rooms->flows, &at, STEP, &(struct row_sink){filter_row, &f});
    job->at = at;
    return has_more;
}

static bool work_calls(struct admin_job *job, const struct admin_rooms *rooms)
{
    struct filter f = {job, slice_str(job->want)};
    uint32_t at = (uint32_t)job->at;
    bool has_more =
        calls_rows_some(rooms->calls, rooms->now, &at, STEP, &(struct row_sink){filter_row, &f});
    job->at = at;
    return has_more;
}

static bool work_transactions(struct admin_job *job, const struct admin_rooms *rooms)
{
    uint32_t at = (uint32_t)job->at;
    bool has_more =
        txns_rows_some(rooms->txns, &at, STEP, &(struct row_sink){admin_rows_keep, &job->out});
    job->at = at;
    return has_more;
}

enum admin_status admin_run_flows(const struct admin_run *run)
{
    return admin_gather_all(run, work_flows, run->args[0]);
}

struct seen {
    const struct row_sink *sink;
    bool is_any;
};

static void see_row(void *user, const char *set, unsigned n, const struct field *fields)
{
    struct seen *s = user;
    s->is_any = true;
    s->sink->row(s->sink->user, set, n, fields);
}

enum admin_status admin_run_calls(const struct admin_run *run)
{
    const struct admin_deps *d = &run->admin->deps;
    if (run->args[0].len == 0)
        return admin_gather_all(run, work_calls, SLICE_NONE);
    unsigned home = d->home(d->user, run->args[0]);
    struct seen seen = {run->sink, false};
    struct row_sink sink = {see_row, &seen};
    struct admin_run part = {run->admin, run->args, &sink, run->why};
    enum admin_status status = admin_gather(&part, home, home, work_calls, run->args[0]);
    if (status == ADMIN_OK && !seen.is_any)
        return admin_miss(run->why, "no such call");
    return status;
}

enum admin_status admin_run_transactions(const struct admin_run *run)
{
    return admin_gather_all(run, work_transactions, SLICE_NONE);
}

/* --- changes --- */

static bool work_release(struct admin_job *job, const struct admin_rooms *rooms)
{
    job->result =
        proxy_release(rooms->proxy, slice_str(job->want), "released by the administrator");
    return false;
}

enum admin_status admin_run_release(const struct admin_run *run)
{
    struct admin *a = run->admin;
    struct admin_round r;
    unsigned home = a->deps.home(a->deps.user, run->args[0]);
    enum admin_status status = ADMIN_OK;
    admin_ask(&r, a, home, home, work_release, run->args[0]);
    if (r.asked[0].why_not != NULL)
        status = admin_refuse(run->why, "worker %u %s", home, r.asked[0].why_not);
    else if (r.asked[0].job->result == 0)
        status = admin_miss(run->why, "no such call");
    else
        admin_say(run->sink, "released: %llu dialog%s", (unsigned long long)r.asked[0].job->result,
                  r.asked[0].job->result == 1 ? "" : "s");
    admin_ask_end(&r);
    return status;
}

/* False: no id. */
static bool parse_id(struct slice text, uint64_t *id)
{
    *id = 0;
    if (text.len == 0 || text.len > 16)
        return false;
    for (size_t i = 0; i < text.len; i++) {
        char c = ascii_lower(text.ptr[i]);
        bool is_digit = c >= '0' && c <= '9';
        if (!is_digit && (c < 'a' || c > 'f'))
            return false;
        *id = *id << 4 | (uint64_t)(is_digit ? c - '0' : c - 'a' + 10);
    }
    return *id != 0;
}

static bool work_close(struct admin_job *job, const struct admin_rooms *rooms)
{
    uint64_t id;
    job->result = parse_id(slice_str(job->want), &id) && flows_is_alive(rooms->flows, id);
    if (job->result != 0)
        flows_close(rooms->flows, id, ERR_ADMIN);
    return false;
}

enum admin_status admin_run_flows_close(const struct admin_run *run)
{
    struct admin *a = run->admin;
    struct slice text = run->args[0];
    struct admin_round r;
    enum admin_status status = ADMIN_OK;
    uint64_t id;
    unsigned worker = parse_id(text, &id) ? pool_id_worker(id) : ADMIN_WORKERS_MAX;
    if (worker >= a->deps.nworkers)
        return admin_miss(run->why, "no such connection: %.*s", SLICE_ARG(text));
    admin_ask(&r, a, worker, worker, work_close, text);
    if (r.asked[0].why_not != NULL)
        status = admin_refuse(run->why, "worker %u %s", worker, r.asked[0].why_not);
    else if (r.asked[0].job->result == 0)
        status = admin_miss(run->why, "no such connection: %.*s", SLICE_ARG(text));
    else
        admin_say(run->sink, "closed: %.*s", SLICE_ARG(text));
    admin_ask_end(&r);
    if (status == ADMIN_OK)
        LOG(LOG_INFO, "admin", "connection closed", LF_SLICE("connection", text));
    return status;
}
