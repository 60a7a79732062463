/* SPDX-License-Identifier: Apache-2.0 */
/* Commands about those around us: applications, DNS, overload. */
#include <stdio.h>

#include "admin/admin_int.h"

static uint64_t loop_now(void)
{
    return admin_now_us() / 1000;
}

/* --- applications --- */

struct app_filter {
    const struct admin_sink *sink;
    struct slice want; /* empty: all */
    bool is_in;        /* the lines from here on are of the application that is looked for */
    unsigned n;
};

static void filter_application(void *user, const char *text)
{
    static const char head[] = "application ";
    struct app_filter *f = user;
    struct slice line = slice_str(text);
    if (slice_starts(line, slice_str(head))) {
        struct slice rest = slice_of(line.ptr + sizeof(head) - 1, line.len - sizeof(head) + 1);
        f->is_in = f->want.len == 0 || (slice_starts(rest, f->want) && rest.len > f->want.len &&
                                        rest.ptr[f->want.len] == ' ');
    }
    if (!f->is_in)
        return;
    f->n++;
    f->sink->line(f->sink->user, text);
}

enum admin_status admin_run_applications(struct admin *a, const struct admin_args *args,
                                         const struct admin_sink *sink, char *why)
{
    struct app_filter f = {.sink = sink, .want = args->n != 0 ? args->word[0] : SLICE_NONE};
    groups_dump(a->deps.groups, loop_now(), filter_application, &f);
    if (f.n == 0 && f.want.len != 0)
        return admin_refuse(why, "no such application: %.*s", SLICE_ARG(f.want));
    if (f.n == 0)
        admin_say(sink, "there are no applications");
    return ADMIN_OK;
}

/* By its number, or by its URI, host or address. */
static enum admin_status find_place(struct admin *a, const struct admin_args *args, uint64_t *to,
                                    char *why)
{
    struct slice name = args->word[0], member = args->word[1];
    uint32_t group = group_find(a->deps.groups, name), place = 0;
    if (slice_u64(member, GROUP_MEMBERS_MAX - 1, to) == 0 || group == 0)
        return ADMIN_OK;
    int err = group_place_of(a->deps.groups, group, member, &place);
    *to = place;
    if (err == ERR_UNSUPPORTED)
        return admin_refuse(why, "%.*s is more than one member of %.*s: name the port too",
                            SLICE_ARG(member), SLICE_ARG(name));
    if (err != 0)
        return admin_refuse(why,
                            "no such member: %.*s; it is named by its number (0 is the first one), "
                            "URI, host or address",
                            SLICE_ARG(member));
    return ADMIN_OK;
}

enum admin_status admin_run_switch(struct admin *a, const struct admin_args *args,
                                   const struct admin_sink *sink, char *why)
{
    struct slice name = args->word[0];
    uint64_t to = UINT32_MAX;
    char text[64];
    if (args->n == 2 && find_place(a, args, &to, why) != ADMIN_OK)
        return ADMIN_REFUSED;
    int err = group_switch(a->deps.groups, name, (uint32_t)to, loop_now());
    if (err == ERR_NOT_FOUND && group_find(a->deps.groups, name) != 0)
        return admin_refuse(why, "%.*s has no such member", SLICE_ARG(name));
    if (err == ERR_NOT_FOUND)
        return admin_refuse(why, "no such application: %.*s", SLICE_ARG(name));
    if (err == ERR_UNSUPPORTED)
        return admin_refuse(why, "%.*s is no pair of two", SLICE_ARG(name));
    if (err != 0)
        return admin_refuse(why, "%s", err_text(err, text, sizeof(text)));
    return admin_run_applications(a, &(struct admin_args){.n = 1, .word = {name}}, sink, why);
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

static void filter_name(void *user, const char *text)
{
    struct admin_job *job = user;
    struct slice want = slice_str(job->want);
    if (want.len == 0 || has_name(slice_str(text), want))
        admin_job_line(job, text);
}

static bool work_resolver(struct admin_job *job, const struct admin_rooms *rooms)
{
    net_resolver_dump(rooms->resolver, filter_name, job);
    return false;
}

static bool work_forget(struct admin_job *job, const struct admin_rooms *rooms)
{
    job->result = net_resolver_forget(rooms->resolver, slice_str(job->want));
    return false;
}

enum admin_status admin_run_resolver(struct admin *a, const struct admin_args *args,
                                     const struct admin_sink *sink, char *why)
{
    struct slice want = args->n != 0 ? args->word[0] : SLICE_NONE;
    return admin_gather(a, true, work_resolver, want, sink, why);
}

enum admin_status admin_run_forget(struct admin *a, const struct admin_args *args,
                                   const struct admin_sink *sink, char *why)
{
    struct admin_asked asked[ADMIN_WORKERS_MAX];
    struct slice want = args->n != 0 ? args->word[0] : SLICE_NONE;
    uint64_t n = 0;
    unsigned silent = 0;
    admin_ask(a, 0, a->deps.nworkers - 1, work_forget, want, asked);
    for (unsigned i = 0; i < a->deps.nworkers; i++) {
        if (asked[i].why_not == NULL)
            n += asked[i].job->result;
        else
            admin_say(sink, "worker %u %s", i, asked[i].why_not);
        silent += asked[i].why_not != NULL;
        admin_job_drop(&asked[i]);
    }
    if (silent == a->deps.nworkers)
        return admin_refuse(why, "no worker has answered");
    admin_say(sink, "forgotten: %llu answer%s, of all workers together", (unsigned long long)n,
              n == 1 ? "" : "s");
    return ADMIN_OK;
}

/* --- overload --- */

static bool work_overload(struct admin_job *job, const struct admin_rooms *rooms)
{
    load_dump(rooms->load, rooms->now, admin_job_line, job);
    return false;
}

enum admin_status admin_run_overload(struct admin *a, const struct admin_args *args,
                                     const struct admin_sink *sink, char *why)
{
    (void)args;
    return admin_gather(a, true, work_overload, SLICE_NONE, sink, why);
}
