/* SPDX-License-Identifier: Apache-2.0 */
/* Commands about those around us: applications, DNS, overload. */
#include "admin/admin_int.h"

static uint64_t loop_now(void)
{
    return admin_now_us() / 1000;
}

/* --- applications --- */

static enum admin_status show(const struct admin_run *run, struct slice want)
{
    struct admin_filter f = {.rows = {.max = ADMIN_KEPT_MAX}, .head = "application", .want = want};
    groups_rows(run->admin->deps.groups, loop_now(), admin_wall(run->admin),
                &(struct row_sink){admin_filter_row, &f});
    if (f.rows.len == 0 && f.rows.left_out == 0 && want.len != 0)
        return admin_miss(run->why, "no such application: %.*s", SLICE_ARG(want));
    return admin_give_kept(run, &f.rows);
}

enum admin_status admin_run_applications(const struct admin_run *run)
{
    return show(run, run->args[0]);
}

/* By its number, or by its URI, host or address. */
static enum admin_status find_place(const struct admin_run *run, uint64_t *to)
{
    struct admin *a = run->admin;
    char *why = run->why;
    struct slice name = run->args[0], member = run->args[1];
    uint32_t group = group_find(a->deps.groups, name), place = 0;
    if (slice_u64(member, GROUP_MEMBERS_MAX - 1, to) == 0 || group == 0)
        return ADMIN_OK;
    int err = group_place_of(a->deps.groups, group, member, &place);
    *to = place;
    if (err == ERR_UNSUPPORTED)
        return admin_refuse(why, "%.*s is more than one member of %.*s: name the port too",
                            SLICE_ARG(member), SLICE_ARG(name));
    if (err != 0)
        return admin_miss(why,
                          "no such member: %.*s; it is named by its number (0 is the first one), "
                          "URI, host or address",
                          SLICE_ARG(member));
    return ADMIN_OK;
}

enum admin_status admin_run_switch(const struct admin_run *run)
{
    struct admin *a = run->admin;
    char *why = run->why;
    struct slice name = run->args[0];
    uint64_t to = UINT32_MAX;
    char text[64];
    enum admin_status found = run->args[1].len != 0 ? find_place(run, &to) : ADMIN_OK;
    if (found != ADMIN_OK)
        return found;
    int err = group_switch(a->deps.groups, name, (uint32_t)to, loop_now());
    if (err == ERR_NOT_FOUND && group_find(a->deps.groups, name) != 0)
        return admin_miss(why, "%.*s has no such member", SLICE_ARG(name));
    if (err == ERR_NOT_FOUND)
        return admin_miss(why, "no such application: %.*s", SLICE_ARG(name));
    if (err == ERR_UNSUPPORTED)
        return admin_refuse(why, "%.*s is no pair of two", SLICE_ARG(name));
    if (err != 0)
        return admin_refuse(why, "%s", err_text(err, text, sizeof(text)));
    return show(run, name);
}

/* --- DNS --- */

static bool is_of_name(char c)
{
    return (c >= '0' && c <= '9') || (ascii_lower(c) >= 'a' && ascii_lower(c) <= 'z') || c == '-' ||
           c == '_' || c == '.';
}

/* Does a line hold the whole name or address? */
static bool has_name(struct slice line, struct slice want)
{
    for (size_t i = 0; i + want.len <= line.len; i++) {
        size_t end = i + want.len;
        if (slice_ieq(slice_of(line.ptr + i, want.len), want) &&
            (i == 0 || !is_of_name(line.ptr[i - 1])) &&
            (end == line.len || !is_of_name(line.ptr[end])))
            return true;
    }
    return false;
}

/* A server by its address; a name by itself, or by what it leads to. */
static void filter_name(void *user, const char *set, unsigned n, const struct field *fields)
{
    struct admin_job *job = user;
    struct slice want = slice_str(job->want);
    bool is_wanted = want.len == 0;
    for (unsigned i = 0; !is_wanted && i < n; i++) {
        char room[FIELD_ROOM];
        is_wanted = has_name(field_value(&fields[i], room), want);
    }
    if (is_wanted)
        admin_rows_keep(&job->out, set, n, fields);
}

static bool work_resolver(struct admin_job *job, const struct admin_rooms *rooms)
{
    net_resolver_rows(rooms->resolver, &(struct row_sink){filter_name, job});
    return false;
}

enum admin_status admin_run_resolver(const struct admin_run *run)
{
    return admin_gather_all(run, work_resolver, run->args[0]);
}

static bool work_forget(struct admin_job *job, const struct admin_rooms *rooms)
{
    job->result = net_resolver_forget(rooms->resolver, slice_str(job->want));
    return false;
}

enum admin_status admin_run_forget(const struct admin_run *run)
{
    struct admin *a = run->admin;
    struct admin_round r;
    uint64_t n = 0;
    unsigned silent = 0;
    admin_ask(&r, a, 0, a->deps.nworkers - 1, work_forget, run->args[0]);
    for (unsigned i = 0; i < r.n; i++) {
        if (r.asked[i].why_not == NULL)
            n += r.asked[i].job->result;
        else
            admin_say(run->sink, "worker %u %s", i, r.asked[i].why_not);
        silent += r.asked[i].why_not != NULL;
    }
    admin_ask_end(&r);
    if (silent == a->deps.nworkers)
        return admin_refuse(run->why, "no worker has answered");
    admin_say(run->sink, "forgotten: %llu answer%s, of all workers together", (unsigned long long)n,
              n == 1 ? "" : "s");
    return ADMIN_OK;
}

/* --- overload --- */

static bool work_overload(struct admin_job *job, const struct admin_rooms *rooms)
{
    load_rows(rooms->load, rooms->now, &(struct row_sink){admin_rows_keep, &job->out});
    return false;
}

enum admin_status admin_run_overload(const struct admin_run *run)
{
    return admin_gather_all(run, work_overload, SLICE_NONE);
}
