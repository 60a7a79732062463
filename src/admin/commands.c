/* SPDX-License-Identifier: Apache-2.0 */
/* From the words of a command to what runs it, and what those share. */
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "admin/admin_int.h"
#include "base/log.h"

#define SAY_MAX 512

void admin_say(const struct row_sink *sink, const char *fmt, ...)
{
    char text[SAY_MAX];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(text, sizeof(text), fmt, ap);
    va_end(ap);
    ROW(sink, "line", LF_STR("text", text));
}

enum admin_status admin_refuse(char *why, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(why, ADMIN_WHY_MAX, fmt, ap);
    va_end(ap);
    return ADMIN_REFUSED;
}

enum admin_status admin_miss(char *why, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(why, ADMIN_WHY_MAX, fmt, ap);
    va_end(ap);
    return ADMIN_MISSING;
}

bool admin_number(const struct admin_run *run, unsigned arg, const char *what, uint64_t *out)
{
    if (slice_u64(run->args[arg], UINT64_MAX, out) == 0)
        return true;
    (void)admin_refuse(run->why, "%.*s: not allowed; allowed: %s", SLICE_ARG(run->args[arg]), what);
    return false;
}

uint64_t admin_wall(const struct admin *a)
{
    return a->deps.wall(a->deps.user);
}

/* --- what was kept --- */

enum admin_status admin_left_out(const struct admin_run *run, uint64_t rows)
{
    if (rows == 0)
        return ADMIN_OK;
    return admin_refuse(run->why, "%llu rows did not fit into the answer",
                        (unsigned long long)rows);
}

enum admin_status admin_give_kept(const struct admin_run *run, struct admin_text *rows)
{
    uint64_t left_out = rows->left_out;
    admin_rows_give(rows, run->sink);
    admin_text_fini(rows);
    return admin_left_out(run, left_out);
}

/* --- what workers tell --- */

struct named {
    const struct row_sink *sink;
    unsigned worker;
};

static void give_named(const struct admin_text *rows, const struct named *named)
{
    struct admin_row row;
    for (size_t at = 0; admin_rows_next(rows, &at, &row);) {
        row.fields[row.n] = LF_INT("worker", named->worker);
        named->sink->row(named->sink->user, row.set, row.n + 1, row.fields);
    }
}

/* Gives what the last step has brought, and makes room for the next one. */
static uint64_t give_step(struct admin_round *r, const struct row_sink *sink)
{
    uint64_t left_out = 0;
    for (unsigned i = 0; i < r->n; i++) {
        if (r->asked[i].why_not != NULL)
            continue;
        struct admin_text *out = &r->asked[i].job->out;
        give_named(out, &(struct named){sink, r->first + i});
        left_out += out->left_out;
        out->left_out = 0;
        out->len = 0;
    }
    return left_out;
}

enum admin_status admin_gather(const struct admin_run *run, unsigned first, unsigned last,
                               admin_work_fn *work, struct slice want)
{
    struct admin_round r;
    unsigned answered = 0;
    uint64_t left_out = 0;
    admin_ask(&r, run->admin, first, last, work, want);
    do
        left_out += give_step(&r, run->sink);
    while (admin_ask_more(&r));
    for (unsigned i = 0; i < r.n; i++) {
        answered += r.asked[i].why_not == NULL;
        if (r.asked[i].why_not != NULL)
            admin_say(run->sink, "worker %u %s", first + i, r.asked[i].why_not);
    }
    admin_ask_end(&r);
    if (left_out != 0)
        return admin_left_out(run, left_out);
    return answered != 0 ? ADMIN_OK : admin_refuse(run->why, "no worker has answered");
}

enum admin_status admin_gather_all(const struct admin_run *run, admin_work_fn *work,
                                   struct slice want)
{
    return admin_gather(run, 0, run->admin->deps.nworkers - 1, work, want);
}

enum admin_status admin_order_main(const struct admin_run *run, enum admin_order what,
                                   struct slice a, struct slice b)
{
    const struct admin_deps *deps = &run->admin->deps;
    if (deps->order == NULL)
        return admin_refuse(run->why, "this is not available");
    if (deps->order(deps->user, what, a, b, run->sink, run->why))
        return ADMIN_OK;
    return run->why[0] != '\0' ? ADMIN_REFUSED : admin_refuse(run->why, "it has failed");
}

/* --- dispatch --- */

static enum admin_status run_help(const struct admin_run *run)
{
    for (unsigned i = 0; i < CMD_MAX; i++) {
        const struct admin_command *c = admin_command_at((enum admin_command_id)i);
        char usage[64];
        admin_command_usage(c, usage, sizeof(usage));
        ROW(run->sink, "command", LF_STR("name", c->name), LF_STR("args", usage),
            LF_STR("help", c->help), LF_BOOL("changes", c->changes));
    }
    return ADMIN_OK;
}

static admin_run_fn *const runs[CMD_MAX] = {
    [CMD_HELP] = run_help,
    [CMD_STATUS] = admin_run_status,
    [CMD_WORKERS] = admin_run_workers,
    [CMD_FLOWS] = admin_run_flows,
    [CMD_FLOWS_CLOSE] = admin_run_flows_close,
    [CMD_DNS] = admin_run_dns,
    [CMD_DNS_OUT] = admin_run_dn_out,
    [CMD_DNS_IN] = admin_run_dn_in,
    [CMD_APPLICATIONS] = admin_run_applications,
    [CMD_APPLICATIONS_SWITCH] = admin_run_switch,
    [CMD_CALLS] = admin_run_calls,
    [CMD_CALLS_RELEASE] = admin_run_release,
    [CMD_TRANSACTIONS] = admin_run_transactions,
    [CMD_TRACE] = admin_run_trace,
    [CMD_EVENTS] = admin_run_events,
    [CMD_SEARCH] = admin_run_search,
    [CMD_OPTIONS] = admin_run_options,
    [CMD_SET] = admin_run_set,
    [CMD_LOG] = admin_run_log,
    [CMD_RELOAD] = admin_run_reload,
    [CMD_DRAIN] = admin_run_drain,
    [CMD_DRAIN_CANCEL] = admin_run_drain_cancel,
    [CMD_RESOLVER] = admin_run_resolver,
    [CMD_RESOLVER_FORGET] = admin_run_forget,
    [CMD_OVERLOAD] = admin_run_overload,
    [CMD_COUNTERS] = admin_run_counters,
};

/* How many of the first words are this name; 0: it is another. */
static unsigned words_of_name(const char *name, const struct admin_args *args)
{
    struct slice rest = slice_str(name), word;
    unsigned n = 0;
    while (slice_next_word(&rest, &word)) {
        if (n == args->n || !slice_eq(args->word[n], word))
            return 0;
        n++;
    }
    return n;
}

/* The longest name that fits; its words are taken off. */
static enum admin_command_id find_command(struct admin_args *args)
{
    enum admin_command_id best = CMD_MAX;
    unsigned most = 0;
    for (unsigned i = 0; i < CMD_MAX; i++) {
        unsigned n = words_of_name(admin_command_at((enum admin_command_id)i)->name, args);
        if (n > most) {
            most = n;
            best = (enum admin_command_id)i;
        }
    }
    args->n -= most;
    memmove(args->word, args->word + most, args->n * sizeof(args->word[0]));
    return best;
}

static enum admin_status wrong_args(const struct admin_command *c, char *why)
{
    char usage[64];
    admin_command_usage(c, usage, sizeof(usage));
    (void)admin_refuse(why, "usage: %s%s%s", c->name, usage[0] != '\0' ? " " : "", usage);
    return ADMIN_USAGE;
}

/* As in a line: what is looked for in rows, or given to a worker, has a bound and no control
 * character. */
static bool is_word(struct slice s)
{
    for (size_t i = 0; i < s.len; i++)
        if ((unsigned char)s.ptr[i] < 0x20 || s.ptr[i] == 0x7f)
            return false;
    return s.len <= ADMIN_LINE_MAX;
}

enum admin_status admin_call(struct admin *a, enum admin_command_id id,
                             const struct slice args[ADMIN_ARGS_MAX], const struct row_sink *sink,
                             char *why)
{
    const struct admin_command *c = admin_command_at(id);
    struct slice given[ADMIN_ARGS_MAX];
    why[0] = '\0';
    for (unsigned i = 0; i < ADMIN_ARGS_MAX; i++) {
        given[i] = args[i].len != 0 ? args[i] : SLICE_NONE;
        bool has_name = c->args[i].name != NULL;
        if ((has_name && c->args[i].is_needed && given[i].len == 0) ||
            (!has_name && given[i].len != 0))
            return wrong_args(c, why);
        if (!is_word(given[i])) {
            (void)admin_refuse(why, "%s is too long, or holds a control character",
                               c->args[i].name);
            return ADMIN_USAGE;
        }
    }
    return runs[id](&(struct admin_run){a, given, sink, why});
}

enum admin_status admin_command(struct admin *a, struct slice command, const char *from,
                                const struct row_sink *sink, char *why)
{
    struct admin_args words;
    struct slice args[ADMIN_ARGS_MAX] = {SLICE_NONE};
    why[0] = '\0';
    if (!admin_parse(command, &words, why))
        return ADMIN_USAGE;
    struct slice first = words.word[0];
    enum admin_command_id id = find_command(&words);
    if (id == CMD_MAX) {
        (void)admin_refuse(why, "no such command: %.*s; try help", SLICE_ARG(first));
        return ADMIN_USAGE;
    }
    if (words.n > ADMIN_ARGS_MAX)
        return wrong_args(admin_command_at(id), why);
    for (unsigned i = 0; i < words.n; i++)
        args[i] = words.word[i];
    if (admin_command_at(id)->changes)
        LOG(LOG_INFO, "admin", "command by the control socket",
            LF_STR("command", admin_command_at(id)->name), LF_SLICE("what", args[0]),
            LF_STR("from", from));
    return admin_call(a, id, args, sink, why);
}
