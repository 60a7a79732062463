/* SPDX-License-Identifier: Apache-2.0 */
/* Commands about DNs, and the search that begins with one. */
#include <stdlib.h>
#include <string.h>

#include "admin/admin_int.h"
#include "base/alloc.h"
#include "base/arena.h"
#include "base/event.h"

#define SEARCH_STEP 256
#define SEARCH_MAX  100 /* of each set */

/* --- the directory, in the order of the names --- */

struct place {
    struct slice name;
    size_t at, end; /* of its rows: its own and those of its bindings */
};

static int compare(const void *one, const void *other)
{
    const struct place *a = one, *b = other;
    size_t len = a->name.len < b->name.len ? a->name.len : b->name.len;
    int order = len != 0 ? memcmp(a->name.ptr, b->name.ptr, len) : 0;
    return order != 0 ? order : (a->name.len > b->name.len) - (a->name.len < b->name.len);
}

/* How many DNs; their places where there is room for them (NULL: only counted). */
static size_t find_places(const struct admin_text *rows, struct place *places)
{
    struct admin_row row;
    size_t n = 0, at = 0;
    for (size_t begin = 0; admin_rows_next(rows, &at, &row); begin = at) {
        if (strcmp(row.set, "dn") == 0) {
            const struct field *name = admin_field(row.n, row.fields, "name");
            if (places != NULL)
                places[n] = (struct place){name != NULL ? name->v.slice : SLICE_NONE, begin, at};
            n++;
        }
        if (places != NULL && n != 0)
            places[n - 1].end = at;
    }
    return n;
}

/* The directory has them as they fall; without memory they stay so. */
static void give_sorted(const struct admin_text *rows, const struct row_sink *sink)
{
    size_t n = find_places(rows, NULL);
    struct place *places = n > 1 ? mem_alloc(n * sizeof(*places)) : NULL;
    if (places == NULL) {
        admin_rows_give(rows, sink);
        return;
    }
    (void)find_places(rows, places);
    qsort(places, n, sizeof(*places), compare);
    for (size_t i = 0; i < n; i++) {
        struct admin_row row;
        for (size_t at = places[i].at; at < places[i].end && admin_rows_next(rows, &at, &row);)
            sink->row(sink->user, row.set, row.n, row.fields);
    }
    mem_free(places);
}

enum admin_status admin_run_dns(const struct admin_run *run)
{
    struct admin_filter f = {.rows = {.max = ADMIN_KEPT_MAX}, .head = "dn", .want = run->args[0]};
    dn_rows(run->admin->deps.dir, admin_wall(run->admin), &(struct row_sink){admin_filter_row, &f});
    bool is_none = f.rows.len == 0 && f.rows.left_out == 0;
    uint64_t left_out = f.rows.left_out;
    give_sorted(&f.rows, run->sink);
    admin_text_fini(&f.rows);
    if (is_none && f.want.len != 0)
        return admin_miss(run->why, "no such DN: %.*s", SLICE_ARG(f.want));
    return admin_left_out(run, left_out);
}

/* One that the administrator has set out of service is known also while it is not registered. */
static bool has_dn(struct admin *a, struct slice name)
{
    struct arena_cache cache;
    struct arena arena;
    struct dn_info info;
    arena_cache_init(&cache, 0);
    arena_init(&arena, &cache);
    int err = dn_find(a->deps.dir, name, admin_wall(a), &arena, &info);
    arena_fini(&arena);
    arena_cache_fini(&cache);
    return err != ERR_NOT_FOUND || dn_state(a->deps.dir, name, admin_wall(a)) == DN_OUT_OF_SERVICE;
}

enum admin_status admin_run_dn_out(const struct admin_run *run)
{
    struct admin *a = run->admin;
    struct slice name = run->args[0];
    if (!has_dn(a, name))
        return admin_miss(run->why, "no such DN: %.*s", SLICE_ARG(name));
    bool is_change = dn_set_out_of_service(a->deps.dir, name, ERR_ADMIN, admin_wall(a));
    if (is_change)
        EVENT_LOG(EV_DN_OUT, LF_SLICE("dn", name), LF_STR("by", "administrator"),
                  LF_ERR("cause", ERR_ADMIN));
    admin_say(run->sink, "%.*s is out of service%s", SLICE_ARG(name), is_change ? "" : " already");
    return ADMIN_OK;
}

enum admin_status admin_run_dn_in(const struct admin_run *run)
{
    struct admin *a = run->admin;
    struct slice name = run->args[0];
    if (!has_dn(a, name))
        return admin_miss(run->why, "no such DN: %.*s", SLICE_ARG(name));
    bool is_change = dn_readmit(a->deps.dir, name);
    if (is_change)
        EVENT_LOG(EV_DN_BACK, LF_SLICE("dn", name), LF_STR("by", "administrator"));
    admin_say(run->sink, "%.*s is in service%s", SLICE_ARG(name), is_change ? "" : " already");
    return ADMIN_OK;
}

/* --- search --- */

/* One row for each DN: its own when its name or one of its contacts holds the text. */
struct dn_search {
    struct admin_text rows, last; /* last: the DN whose bindings come now */
    struct slice want;
    unsigned n;
};

static void take_last(struct dn_search *s)
{
    struct admin_row row;
    size_t at = 0;
    if (s->n < SEARCH_MAX && admin_rows_next(&s->last, &at, &row)) {
        admin_rows_keep(&s->rows, row.set, row.n, row.fields);
        s->n++;
    }
    s->last.len = 0;
}

static void search_dn(void *user, const char *set, unsigned n, const struct field *fields)
{
    struct dn_search *s = user;
    bool is_dn = strcmp(set, "dn") == 0;
    if (s->n == SEARCH_MAX)
        return;
    if (is_dn) {
        s->last.len = 0;
        admin_rows_keep(&s->last, set, n, fields);
    }
    if (s->last.len != 0 &&
        admin_row_holds(n, fields, is_dn ? "name" : "contact remote source instance", s->want))
        take_last(s);
}

struct job_search {
    struct admin_job *job;
    const char *names;
};

static void search_row(void *user, const char *set, unsigned n, const struct field *fields)
{
    struct job_search *s = user;
    struct admin_job *job = s->job;
    if (job->result < SEARCH_MAX && admin_row_holds(n, fields, s->names, slice_str(job->want))) {
        admin_rows_keep(&job->out, set, n, fields);
        job->result++;
    }
}

static bool search_calls(struct admin_job *job, const struct admin_rooms *rooms)
{
    struct job_search s = {job, "call_id dn caller callee from to"};
    uint32_t at = (uint32_t)job->at;
    bool has_more = calls_rows_some(rooms->calls, rooms->now, &at, SEARCH_STEP,
                                    &(struct row_sink){search_row, &s});
    job->at = at;
    return has_more && job->result < SEARCH_MAX;
}

static bool search_flows(struct admin_job *job, const struct admin_rooms *rooms)
{
    struct job_search s = {job, "id dn remote reopen tls_name"};
    uint32_t at = (uint32_t)job->at;
    bool has_more =
        flows_rows_some(rooms->flows, &at, SEARCH_STEP, &(struct row_sink){search_row, &s});
    job->at = at;
    return has_more && job->result < SEARCH_MAX;
}

/* Each worker finds so many; all of them together give no more. */
struct first_of_set {
    const struct row_sink *sink;
    unsigned n;
};

static void give_first(void *user, const char *set, unsigned n, const struct field *fields)
{
    struct first_of_set *f = user;
    if (strcmp(set, "line") == 0 || f->n++ < SEARCH_MAX)
        f->sink->row(f->sink->user, set, n, fields);
}

static enum admin_status search_workers(const struct admin_run *run, admin_work_fn *work)
{
    struct first_of_set first = {run->sink, 0};
    struct row_sink sink = {give_first, &first};
    struct admin_run part = {run->admin, run->args, &sink, run->why};
    return admin_gather_all(&part, work, run->args[0]);
}

enum admin_status admin_run_search(const struct admin_run *run)
{
    struct dn_search s = {
        .rows = {.max = ADMIN_KEPT_MAX}, .last = {.max = ADMIN_TEXT_MAX}, .want = run->args[0]};
    dn_rows(run->admin->deps.dir, admin_wall(run->admin), &(struct row_sink){search_dn, &s});
    admin_rows_give(&s.rows, run->sink);
    admin_text_fini(&s.rows);
    admin_text_fini(&s.last);
    enum admin_status status = search_workers(run, search_calls);
    return status == ADMIN_OK ? search_workers(run, search_flows) : status;
}
