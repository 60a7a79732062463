/* SPDX-License-Identifier: Apache-2.0 */
/* The table of commands, and what each does. */
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "admin/admin_int.h"
#include "base/arena.h"
#include "base/log.h"
#include "holdfast_version.h"

#define SAY_MAX 512
#define STEP    256 /* objects that a worker dumps in one turn: some hundred microseconds */

void admin_say(const struct admin_sink *sink, const char *fmt, ...)
{
    char text[SAY_MAX];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(text, sizeof(text), fmt, ap);
    va_end(ap);
    sink->line(sink->user, text);
}

enum admin_status admin_refuse(char *why, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(why, ADMIN_WHY_MAX, fmt, ap);
    va_end(ap);
    return ADMIN_REFUSED;
}

static uint64_t wall_of(const struct admin *a)
{
    return a->deps.wall(a->deps.user);
}

static uint64_t sum_of(const struct admin *a, enum counter id)
{
    uint64_t sum = 0;
    for (unsigned i = 0; i < a->deps.nworkers; i++)
        sum += counter_get(a->deps.counters[i], id);
    return sum;
}

/* --- what all workers tell --- */

static uint64_t pass_on(const struct admin_text *out, const struct admin_sink *sink)
{
    for (size_t at = 0; at < out->len; at += strlen(out->ptr + at) + 1)
        sink->line(sink->user, out->ptr + at);
    return out->left_out;
}

/* Asks the workers from `first` to `last` for lines. Refused only when none of them has answered.
 */
static enum admin_status gather(struct admin *a, unsigned first, unsigned last, bool named,
                                bool (*work)(struct admin_job *, const struct admin_rooms *),
                                struct slice want, const struct admin_sink *sink, char *why)
{
    struct admin_asked asked[ADMIN_WORKERS_MAX];
    unsigned answered = 0;
    uint64_t left_out = 0;
    admin_ask(a, first, last, work, want, asked);
    for (unsigned i = 0; i <= last - first; i++) {
        if (named && asked[i].why_not == NULL && last != first)
            admin_say(sink, "worker %u", first + i);
        if (asked[i].why_not == NULL)
            left_out += pass_on(&asked[i].job->out, sink);
        else
            admin_say(sink, "worker %u %s", first + i, asked[i].why_not);
        answered += asked[i].why_not == NULL;
        admin_job_drop(&asked[i]);
    }
    if (left_out != 0)
        return admin_refuse(why, "%llu lines did not fit into the answer",
                            (unsigned long long)left_out);
    return answered != 0 ? ADMIN_OK : admin_refuse(why, "no worker has answered");
}

enum admin_status admin_gather(struct admin *a, bool named,
                               bool (*work)(struct admin_job *, const struct admin_rooms *),
                               struct slice want, const struct admin_sink *sink, char *why)
{
    return gather(a, 0, a->deps.nworkers - 1, named, work, want, sink, why);
}

struct filter {
    struct admin_job *job;
    struct slice want;
};

static void filter_line(void *user, const char *text)
{
    const struct filter *f = user;
    if (f->want.len == 0 || admin_line_has(text, f->want))
        admin_job_line(f->job, text);
}

static bool work_flows(struct admin_job *job, const struct admin_rooms *rooms)
{
    struct filter f = {job, slice_str(job->want)};
    return flows_dump_some(rooms->flows, &job->at, STEP, filter_line, &f);
}

static bool work_calls(struct admin_job *job, const struct admin_rooms *rooms)
{
    struct filter f = {job, slice_str(job->want)};
    return calls_dump_some(rooms->calls, rooms->now, &job->at, STEP, filter_line, &f);
}

static bool work_transactions(struct admin_job *job, const struct admin_rooms *rooms)
{
    return txns_dump_some(rooms->txns, &job->at, STEP, admin_job_line, job);
}

static bool work_nothing(struct admin_job *job, const struct admin_rooms *rooms)
{
    (void)job, (void)rooms;
    return false;
}

static bool work_release(struct admin_job *job, const struct admin_rooms *rooms)
{
    job->result =
        proxy_release(rooms->proxy, slice_str(job->want), "released by the administrator");
    return false;
}

/* --- the commands --- */

static struct slice word_or_none(const struct admin_args *args, unsigned i)
{
    return i < args->n ? args->word[i] : SLICE_NONE;
}

static enum admin_status run_help(struct admin *a, const struct admin_args *args,
                                  const struct admin_sink *sink, char *why)
{
    struct admin_command_text c;
    (void)a, (void)args, (void)why;
    for (unsigned i = 0; admin_command_text(i, &c); i++) {
        char usage[64];
        snprintf(usage, sizeof(usage), "%s %s", c.name, c.args);
        admin_say(sink, "%-34s %s", usage, c.help);
    }
    return ADMIN_OK;
}

static enum admin_status run_status(struct admin *a, const struct admin_args *args,
                                    const struct admin_sink *sink, char *why)
{
    unsigned suspect, out;
    uint64_t s = (admin_now_us() - a->started_us) / 1000000;
    (void)args, (void)why;
    dn_count(a->deps.dir, wall_of(a), &suspect, &out);
    admin_say(sink, "version       %s", HOLDFAST_VERSION);
    admin_say(sink, "up            %llu d %02llu:%02llu:%02llu", (unsigned long long)s / 86400,
              (unsigned long long)s / 3600 % 24, (unsigned long long)s / 60 % 60,
              (unsigned long long)s % 60);
    admin_say(sink, "workers       %u", a->deps.nworkers);
    admin_say(sink, "connections   %llu", (unsigned long long)sum_of(a, CTR_FLOWS));
    admin_say(sink, "transactions  %llu server, %llu client",
              (unsigned long long)sum_of(a, CTR_TXN_SERVER),
              (unsigned long long)sum_of(a, CTR_TXN_CLIENT));
    admin_say(sink, "calls         %llu", (unsigned long long)sum_of(a, CTR_CALLS));
    admin_say(sink, "bindings      %u", dn_bindings(a->deps.dir));
    admin_say(sink, "applications  %u, %u out of service", groups_count(a->deps.groups),
              groups_down(a->deps.groups));
    admin_say(sink, "DNs           %u out of service, %u suspect", out, suspect);
    return ADMIN_OK;
}

static enum admin_status run_workers(struct admin *a, const struct admin_args *args,
                                     const struct admin_sink *sink, char *why)
{
    struct admin_asked asked[ADMIN_WORKERS_MAX];
    (void)args, (void)why;
    admin_ask(a, 0, a->deps.nworkers - 1, work_nothing, SLICE_NONE, asked);
    for (unsigned i = 0; i < a->deps.nworkers; i++) {
        const struct counters *c = a->deps.counters[i];
        char answer[64];
        if (asked[i].why_not == NULL)
            snprintf(answer, sizeof(answer), "answered in %llu.%03llu ms",
                     (unsigned long long)asked[i].us / 1000,
                     (unsigned long long)asked[i].us % 1000);
        else
            snprintf(answer, sizeof(answer), "%s", asked[i].why_not);
        admin_say(sink,
                  "worker %u: connections=%llu server-transactions=%llu client-transactions=%llu "
                  "calls=%llu received=%llu sent=%llu, %s",
                  i, (unsigned long long)counter_get(c, CTR_FLOWS),
                  (unsigned long long)counter_get(c, CTR_TXN_SERVER),
                  (unsigned long long)counter_get(c, CTR_TXN_CLIENT),
                  (unsigned long long)counter_get(c, CTR_CALLS),
                  (unsigned long long)counter_get(c, CTR_MSG_IN),
                  (unsigned long long)counter_get(c, CTR_MSG_OUT), answer);
        admin_job_drop(&asked[i]);
    }
    return ADMIN_OK;
}

static enum admin_status run_flows(struct admin *a, const struct admin_args *args,
                                   const struct admin_sink *sink, char *why)
{
    return admin_gather(a, false, work_flows, word_or_none(args, 0), sink, why);
}

struct dn_filter {
    const struct admin_sink *sink;
    struct slice want;
    bool is_in; /* the lines from here on are of the DN that is looked for */
    unsigned n;
};

static void filter_dn(void *user, const char *text)
{
    struct dn_filter *f = user;
    struct slice line = slice_str(text);
    if (line.len != 0 && line.ptr[0] != ' ')
        f->is_in = f->want.len == 0 || (slice_starts(line, f->want) && line.len > f->want.len &&
                                        line.ptr[f->want.len] == ' ');
    if (!f->is_in)
        return;
    f->n++;
    f->sink->line(f->sink->user, text);
}

static enum admin_status run_dns(struct admin *a, const struct admin_args *args,
                                 const struct admin_sink *sink, char *why)
{
    struct dn_filter f = {.sink = sink, .want = word_or_none(args, 0)};
    dn_dump(a->deps.dir, wall_of(a), filter_dn, &f);
    if (f.n == 0 && f.want.len != 0)
        return admin_refuse(why, "no such DN: %.*s", SLICE_ARG(f.want));
    return ADMIN_OK;
}

/* One that the administrator has set out of service is known also while it is not registered. */
static bool has_dn(struct admin *a, struct slice name)
{
    struct arena_cache cache;
    struct arena arena;
    struct dn_info info;
    arena_cache_init(&cache, 0);
    arena_init(&arena, &cache);
    int err = dn_find(a->deps.dir, name, wall_of(a), &arena, &info);
    arena_fini(&arena);
    arena_cache_fini(&cache);
    return err != ERR_NOT_FOUND || dn_state(a->deps.dir, name, wall_of(a)) == DN_OUT_OF_SERVICE;
}

static enum admin_status run_dn_out(struct admin *a, const struct admin_args *args,
                                    const struct admin_sink *sink, char *why)
{
    struct slice name = args->word[0];
    if (!has_dn(a, name))
        return admin_refuse(why, "no such DN: %.*s", SLICE_ARG(name));
    bool is_change = dn_set_out_of_service(a->deps.dir, name, ERR_ADMIN, wall_of(a));
    if (is_change)
        LOG(LOG_INFO, "admin", "DN set out of service", LF_SLICE("dn", name));
    admin_say(sink, "%.*s is out of service%s", SLICE_ARG(name), is_change ? "" : " already");
    return ADMIN_OK;
}

static enum admin_status run_dn_in(struct admin *a, const struct admin_args *args,
                                   const struct admin_sink *sink, char *why)
{
    struct slice name = args->word[0];
    if (!has_dn(a, name))
        return admin_refuse(why, "no such DN: %.*s", SLICE_ARG(name));
    bool is_change = dn_readmit(a->deps.dir, name);
    if (is_change)
        LOG(LOG_INFO, "admin", "DN set in service", LF_SLICE("dn", name));
    admin_say(sink, "%.*s is in service%s", SLICE_ARG(name), is_change ? "" : " already");
    return ADMIN_OK;
}

static enum admin_status run_calls(struct admin *a, const struct admin_args *args,
                                   const struct admin_sink *sink, char *why)
{
    if (args->n == 0)
        return admin_gather(a, false, work_calls, SLICE_NONE, sink, why);
    unsigned home = a->deps.home(a->deps.user, args->word[0]);
    return gather(a, home, home, false, work_calls, args->word[0], sink, why);
}

static enum admin_status run_release(struct admin *a, const struct admin_args *args,
                                     const struct admin_sink *sink, char *why)
{
    struct admin_asked asked;
    unsigned home = a->deps.home(a->deps.user, args->word[0]);
    enum admin_status status = ADMIN_OK;
    admin_ask(a, home, home, work_release, args->word[0], &asked);
    if (asked.why_not != NULL)
        status = admin_refuse(why, "worker %u %s", home, asked.why_not);
    else if (asked.job->result == 0)
        status = admin_refuse(why, "no such call");
    else
        admin_say(sink, "released: %llu dialog%s", (unsigned long long)asked.job->result,
                  asked.job->result == 1 ? "" : "s");
    admin_job_drop(&asked);
    return status;
}

static enum admin_status run_transactions(struct admin *a, const struct admin_args *args,
                                          const struct admin_sink *sink, char *why)
{
    (void)args;
    return admin_gather(a, false, work_transactions, SLICE_NONE, sink, why);
}

static enum admin_status run_counters(struct admin *a, const struct admin_args *args,
                                      const struct admin_sink *sink, char *why)
{
    (void)args, (void)why;
    for (unsigned id = 0; id < COUNTER_MAX; id++)
        admin_say(sink, "%s %llu", counter_name((enum counter)id),
                  (unsigned long long)sum_of(a, (enum counter)id));
    return ADMIN_OK;
}

/* --- the table --- */

static const struct admin_command commands[] = {
    {{"help", "", "these lines"}, run_help},
    {{"status", "", "version, uptime, and how much of everything there is"}, run_status},
    {{"workers", "", "each worker: its share, and how soon it answers"}, run_workers},
    {{"flows", "[ADDRESS|DN]", "connections: state, idle time, unacknowledged bytes, reopenings"},
     run_flows},
    {{"dns", "[NAME]", "DNs: state, cause, bindings"}, run_dns},
    {{"dns out-of-service", "NAME", "new requests for this DN get 480 until it is set in service"},
     run_dn_out},
    {{"dns in-service", "NAME", "requests for this DN are tried again"}, run_dn_in},
    {{"calls", "[CALL-ID]", "dialogs that pass through"}, run_calls},
    {{"calls release", "CALL-ID", "end a call now, for both sides"}, run_release},
    {{"transactions", "", "transactions under way"}, run_transactions},
    {{"applications", "[NAME]", "SIP Servers: who is active, who is up, the last switchovers"},
     admin_run_applications},
    {{"applications switch", "NAME [MEMBER]", "make the other member of a pair the active one"},
     admin_run_switch},
    {{"resolver", "[NAME]", "DNS: servers, and the answers that are known"}, admin_run_resolver},
    {{"resolver forget", "[NAME]", "ask DNS anew for this name, or for all"}, admin_run_forget},
    {{"overload", "", "how late each worker is, and what is refused"}, admin_run_overload},
    {{"counters", "", "all counters, of all workers together"}, run_counters},
};

bool admin_command_text(unsigned index, struct admin_command_text *out)
{
    if (index >= sizeof(commands) / sizeof(commands[0]))
        return false;
    *out = commands[index].text;
    return true;
}

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
static const struct admin_command *find_command(struct admin_args *args)
{
    const struct admin_command *best = NULL;
    unsigned most = 0;
    for (unsigned i = 0; i < sizeof(commands) / sizeof(commands[0]); i++) {
        unsigned n = words_of_name(commands[i].text.name, args);
        if (n > most) {
            most = n;
            best = &commands[i];
        }
    }
    args->n -= most;
    memmove(args->word, args->word + most, args->n * sizeof(args->word[0]));
    return best;
}

/* Those in brackets may be left out. */
static bool has_right_args(const struct admin_command *c, const struct admin_args *args)
{
    struct slice rest = slice_str(c->text.args), word;
    unsigned least = 0, most = 0;
    while (slice_next_word(&rest, &word)) {
        most++;
        least += word.ptr[0] != '[';
    }
    return args->n >= least && args->n <= most;
}

/* --- out to people --- */

struct cleaner {
    const struct admin_sink *sink;
};

/* Text of the network reaches terminals: no control character does, nor one of the upper set
 * (U+0080 to U+009F). */
static void clean_line(void *user, const char *text)
{
    const struct admin_sink *sink = ((struct cleaner *)user)->sink;
    char clean[4096];
    size_t n = 0;
    for (; text[n] != '\0' && n + 1 < sizeof(clean); n++) {
        unsigned char c = (unsigned char)text[n];
        bool is_upper = n != 0 && text[n - 1] == '\xc2' && c >= 0x80 && c <= 0x9f;
        if (is_upper)
            clean[n - 1] = '?';
        clean[n] = c < 0x20 || c == 0x7f || is_upper ? '?' : (char)c;
    }
    clean[n] = '\0';
    sink->line(sink->user, clean);
}

enum admin_status admin_command(struct admin *a, struct slice command,
                                const struct admin_sink *sink, char *why)
{
    struct admin_args args;
    struct cleaner cleaner = {sink};
    struct admin_sink clean = {clean_line, &cleaner};
    why[0] = '\0';
    if (!admin_parse(command, &args, why))
        return ADMIN_USAGE;
    struct slice first = args.word[0];
    const struct admin_command *c = find_command(&args);
    if (c == NULL) {
        (void)admin_refuse(why, "no such command: %.*s; try help", SLICE_ARG(first));
        return ADMIN_USAGE;
    }
    if (!has_right_args(c, &args)) {
        (void)admin_refuse(why, "usage: %s%s%s", c->text.name, c->text.args[0] != '\0' ? " " : "",
                           c->text.args);
        return ADMIN_USAGE;
    }
    return c->run(a, &args, &clean, why);
}
