/* SPDX-License-Identifier: Apache-2.0 */
/* Commands about what has been: messages and events. */
#include <string.h>

#include "admin/admin_int.h"
#include "base/alloc.h"

#define TRACE_STEP \
    32 /* messages that a worker looks through in one turn, the longest 64 KiB each */

enum admin_status admin_run_events(const struct admin_run *run)
{
    uint64_t since = 0;
    if (run->args[0].len != 0 && !admin_number(run, 0, "a number, the seq of an event", &since))
        return ADMIN_USAGE;
    if (run->admin->deps.events == NULL)
        return admin_refuse(run->why, "this is not available");
    (void)admin_events_rows(run->admin->deps.events, since, 0, run->sink);
    return ADMIN_OK;
}

/* --- trace --- */

static bool work_trace(struct admin_job *job, const struct admin_rooms *rooms)
{
    struct slice want = slice_str(job->want);
    struct trace_want w = {.call_id = want,
                           .text = want,
                           .since = job->since,
                           .until = job->until,
                           .end = &job->end,
                           .with_bytes = job->with_more};
    if (rooms->trace == NULL)
        return false;
    return trace_rows_some(rooms->trace, &job->at, TRACE_STEP, &w,
                           &(struct row_sink){admin_rows_keep, &job->out});
}

/* The rows of one worker, in the order of their time, as far as they are here. */
struct stream {
    struct admin_row row;
    size_t at;
    bool has_row;
    uint64_t time;
};

/* Brings the next row of a worker up, and asks for more when those that are here are used up. */
static void advance(struct admin_round *r, unsigned i, struct stream *s)
{
    struct admin_asked *asked = &r->asked[i];
    s->has_row = false;
    while (asked->why_not == NULL) {
        if (admin_rows_next(&asked->job->out, &s->at, &s->row)) {
            const struct field *time = admin_field(s->row.n, s->row.fields, "time_us");
            s->time = time != NULL ? (uint64_t)time->v.num : 0;
            s->has_row = true;
            return;
        }
        asked->job->out.len = 0;
        s->at = 0;
        if (!admin_ask_one(r, i))
            return;
    }
}

static struct stream *earliest(struct stream *streams, unsigned n)
{
    struct stream *best = NULL;
    for (unsigned i = 0; i < n; i++)
        if (streams[i].has_row && (best == NULL || streams[i].time < best->time))
            best = &streams[i];
    return best;
}

static void merge(const struct admin_run *run, struct admin_round *r, struct stream *streams)
{
    struct stream *s;
    for (unsigned i = 0; i < r->n; i++)
        advance(r, i, &streams[i]);
    while ((s = earliest(streams, r->n)) != NULL) {
        run->sink->row(run->sink->user, s->row.set, s->row.n, s->row.fields);
        advance(r, (unsigned)(s - streams), s);
    }
}

enum admin_status admin_run_trace(const struct admin_run *run)
{
    struct admin *a = run->admin;
    struct admin_round r;
    unsigned answered = 0;
    uint64_t since = 0, until = admin_wall(a) * 1000 + 999; /* it ends where messages go on */
    if (run->args[1].len != 0 &&
        !admin_number(run, 1, "a number, the time_us of a message", &since))
        return ADMIN_USAGE;
    struct stream *streams = mem_zalloc(a->deps.nworkers * sizeof(*streams));
    if (streams == NULL)
        return admin_refuse(run->why, "no memory");
    admin_ask_with(&r, a, 0, a->deps.nworkers - 1, work_trace, run->args[0], since, until,
                   slice_eq(run->args[2], SLICE("1")));
    merge(run, &r, streams);
    mem_free(streams);
    for (unsigned i = 0; i < r.n; i++) {
        answered += r.asked[i].why_not == NULL;
        if (r.asked[i].why_not != NULL)
            admin_say(run->sink, "worker %u %s", i, r.asked[i].why_not);
    }
    admin_ask_end(&r);
    return answered != 0 ? ADMIN_OK : admin_refuse(run->why, "no worker has answered");
}
