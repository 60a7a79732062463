/* SPDX-License-Identifier: Apache-2.0 */
/* A family is what has one name; its samples differ in their labels. Most are counters of
 * base/counters.def as they are; those that are cases of one thing are samples of one family. */
#include "admin/metrics.h"

#include <stdarg.h>
#include <string.h>

#include "admin/admin_int.h"
#include "admin/process.h"
#include "holdfast_version.h"

enum kind { KIND_COUNTER, KIND_GAUGE, KIND_HISTOGRAM };
static const char *const kind_names[] = {"counter", "gauge", "histogram"};

struct family;
struct writing {
    const struct metrics_source *m;
    const struct process_facts *process;
    struct admin_text *out;
    bool has_failed;
};

struct family {
    const char *name; /* whole */
    enum kind kind;
    const char *labels; /* for the page: "worker" */
    const char *help;
    void (*write)(struct writing *w, const struct family *f);
};

/* --- lines --- */

static void put(struct writing *w, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

static void put(struct writing *w, const char *fmt, ...)
{
    char text[512];
    va_list ap;
    va_start(ap, fmt);
    int len = vsnprintf(text, sizeof(text), fmt, ap);
    va_end(ap);
    w->has_failed = w->has_failed || len < 0 || (size_t)len >= sizeof(text) ||
                    !admin_text_add(w->out, text, (size_t)len);
}

static void put_head(struct writing *w, const char *name, enum kind kind, const char *help)
{
    put(w, "# HELP %s %s\n# TYPE %s %s\n", name, help, name, kind_names[kind]);
}

/* A label's value: backslash, quote and line feed are escaped. */
static void put_label(struct writing *w, struct slice value)
{
    for (size_t i = 0; i < value.len; i++) {
        char c = value.ptr[i];
        if (c == '\n')
            put(w, "\\n");
        else if (c == '"' || c == '\\')
            put(w, "\\%c", c);
        else
            put(w, "%c", c);
    }
}

static uint64_t sum_of(const struct writing *w, enum counter id)
{
    uint64_t sum = 0;
    for (unsigned i = 0; i < w->m->nworkers; i++)
        sum += counter_get(w->m->counters[i], id);
    return sum;
}

#define ULL(n) (unsigned long long)(n)

/* --- cases of one thing --- */

struct sample {
    const char *family, *labels; /* of the line, with their values */
    enum counter id;
};

static const struct sample samples[] = {
    {"holdfast_requests_received_total", "method=\"INVITE\"", CTR_IN_INVITE},
    {"holdfast_requests_received_total", "method=\"ACK\"", CTR_IN_ACK},
    {"holdfast_requests_received_total", "method=\"BYE\"", CTR_IN_BYE},
    {"holdfast_requests_received_total", "method=\"CANCEL\"", CTR_IN_CANCEL},
    {"holdfast_requests_received_total", "method=\"REGISTER\"", CTR_IN_REGISTER},
    {"holdfast_requests_received_total", "method=\"OPTIONS\"", CTR_IN_OPTIONS},
    {"holdfast_requests_received_total", "method=\"other\"", CTR_IN_OTHER},
    {"holdfast_invites_answered_total", "class=\"2xx\"", CTR_INVITE_2XX},
    {"holdfast_invites_answered_total", "class=\"3xx\"", CTR_INVITE_3XX},
    {"holdfast_invites_answered_total", "class=\"4xx\"", CTR_INVITE_4XX},
    {"holdfast_invites_answered_total", "class=\"5xx\"", CTR_INVITE_5XX},
    {"holdfast_invites_answered_total", "class=\"6xx\"", CTR_INVITE_6XX},
    {"holdfast_connections", "transport=\"tcp\",state=\"opening\"", CTR_TCP_OPENING},
    {"holdfast_connections", "transport=\"tcp\",state=\"up\"", CTR_TCP_UP},
    {"holdfast_connections", "transport=\"tcp\",state=\"suspect\"", CTR_TCP_SUSPECT},
    {"holdfast_connections", "transport=\"tls\",state=\"opening\"", CTR_TLS_OPENING},
    {"holdfast_connections", "transport=\"tls\",state=\"up\"", CTR_TLS_UP},
    {"holdfast_connections", "transport=\"tls\",state=\"suspect\"", CTR_TLS_SUSPECT},
};
#define SAMPLES (sizeof(samples) / sizeof(samples[0]))

static void write_samples(struct writing *w, const struct family *f)
{
    for (unsigned i = 0; i < SAMPLES; i++)
        if (strcmp(samples[i].family, f->name) == 0)
            put(w, "%s{%s} %llu\n", f->name, samples[i].labels, ULL(sum_of(w, samples[i].id)));
}

/* --- histograms --- */

#define BOUNDS_MAX 7
struct histogram {
    const char *family;
    enum counter count, ms;
    struct {
        const char *le;
        enum counter id;
    } bounds[BOUNDS_MAX];
};

static const struct histogram histograms[] = {
    {"holdfast_recovery_seconds",
     CTR_RECOVERY_COUNT,
     CTR_RECOVERY_MS,
     {{"0.05", CTR_RECOVERY_LE_50},
      {"0.2", CTR_RECOVERY_LE_200},
      {"0.5", CTR_RECOVERY_LE_500},
      {"1", CTR_RECOVERY_LE_1000},
      {"1.5", CTR_RECOVERY_LE_1500},
      {"3", CTR_RECOVERY_LE_3000},
      {"10", CTR_RECOVERY_LE_10000}}},
    {"holdfast_setup_seconds",
     CTR_SETUP_COUNT,
     CTR_SETUP_MS,
     {{"0.05", CTR_SETUP_LE_50},
      {"0.2", CTR_SETUP_LE_200},
      {"0.5", CTR_SETUP_LE_500},
      {"1", CTR_SETUP_LE_1000},
      {"2", CTR_SETUP_LE_2000},
      {"5", CTR_SETUP_LE_5000},
      {"10", CTR_SETUP_LE_10000}}},
};
#define HISTOGRAMS (sizeof(histograms) / sizeof(histograms[0]))

static const struct histogram *histogram_of(const char *family)
{
    unsigned i = 0;
    while (i + 1 < HISTOGRAMS && strcmp(histograms[i].family, family) != 0)
        i++;
    return &histograms[i];
}

/* The counters go on while they are read, one after the other: none may come out below the one
 * before it. */
static void write_histogram(struct writing *w, const struct family *f)
{
    const struct histogram *h = histogram_of(f->name);
    uint64_t ms = sum_of(w, h->ms), n = 0;
    for (unsigned i = 0; i < BOUNDS_MAX; i++) {
        uint64_t here = sum_of(w, h->bounds[i].id);
        n = here > n ? here : n;
        put(w, "%s_bucket{le=\"%s\"} %llu\n", f->name, h->bounds[i].le, ULL(n));
    }
    uint64_t all = sum_of(w, h->count);
    n = all > n ? all : n;
    put(w, "%s_bucket{le=\"+Inf\"} %llu\n%s_sum %llu.%03llu\n%s_count %llu\n", f->name, ULL(n),
        f->name, ULL(ms / 1000), ULL(ms % 1000), f->name, ULL(n));
}

/* --- of the daemon as a whole --- */

static void write_build(struct writing *w, const struct family *f)
{
    put(w, "%s{version=\"%s\"} 1\n", f->name, HOLDFAST_VERSION);
}

static void write_draining(struct writing *w, const struct family *f)
{
    put(w, "%s %d\n", f->name, w->m->is_draining);
}

/* No sample where there is no certificate. */
static void write_certificate(struct writing *w, const struct family *f)
{
    if (w->m->certificate_ends != 0)
        put(w, "%s %lld\n", f->name, (long long)w->m->certificate_ends);
}

static void write_open(struct writing *w, const struct family *f)
{
    put(w, "%s %llu\n", f->name, ULL(sum_of(w, CTR_FLOWS)));
}

static void write_dns(struct writing *w, const struct family *f)
{
    put(w, "%s{state=\"out_of_service\"} %u\n", f->name, w->m->dns_out);
    put(w, "%s{state=\"suspect\"} %u\n", f->name, w->m->dns_suspect);
}

static void write_applications(struct writing *w, const struct family *f)
{
    struct admin_row row;
    for (size_t at = 0;
         w->m->applications != NULL && admin_rows_next(w->m->applications, &at, &row);) {
        const struct field *name = admin_field(row.n, row.fields, "name");
        const struct field *state = admin_field(row.n, row.fields, "state");
        if (strcmp(row.set, "application") != 0 || name == NULL || state == NULL)
            continue;
        char room[FIELD_ROOM];
        put(w, "%s{application=\"", f->name);
        put_label(w, field_value(name, room));
        put(w, "\"} %d\n", slice_eq(field_value(state, room), SLICE("up")));
    }
}

static void write_answers(struct writing *w, const struct family *f)
{
    for (unsigned i = 2; i < 6; i++)
        put(w, "%s{code=\"%uxx\"} %llu\n", f->name, i, ULL(w->m->http_answers[i]));
}

static void write_refused(struct writing *w, const struct family *f)
{
    static const char *const why[METRICS_REFUSED] = {"token", "rate", "host", "size", "busy"};
    for (unsigned i = 0; i < METRICS_REFUSED; i++)
        put(w, "%s{reason=\"%s\"} %llu\n", f->name, why[i], ULL(w->m->http_refused[i]));
}

static void write_streams(struct writing *w, const struct family *f)
{
    put(w, "%s %u\n", f->name, w->m->http_streams);
}

/* --- of each worker --- */

static void write_worker_up(struct writing *w, const struct family *f)
{
    for (unsigned i = 0; i < w->m->nworkers; i++)
        put(w, "%s{worker=\"%u\"} %d\n", f->name, i, w->m->workers[i].is_up);
}

static void write_worker_lag(struct writing *w, const struct family *f)
{
    for (unsigned i = 0; i < w->m->nworkers; i++) {
        uint64_t ms = counter_get(w->m->counters[i], CTR_LAG_MS);
        put(w, "%s{worker=\"%u\"} %llu.%03llu\n", f->name, i, ULL(ms / 1000), ULL(ms % 1000));
    }
}

static void write_worker_loss(struct writing *w, const struct family *f)
{
    for (unsigned i = 0; i < w->m->nworkers; i++) {
        uint64_t percent = counter_get(w->m->counters[i], CTR_LOSS);
        put(w, "%s{worker=\"%u\"} %llu.%02llu\n", f->name, i, ULL(percent / 100),
            ULL(percent % 100));
    }
}

/* One that does not answer cannot be asked for its time. */
static void write_worker_cpu(struct writing *w, const struct family *f)
{
    for (unsigned i = 0; i < w->m->nworkers; i++) {
        uint64_t us = w->m->workers[i].cpu_us;
        if (w->m->workers[i].is_up)
            put(w, "%s{worker=\"%u\"} %llu.%06llu\n", f->name, i, ULL(us / 1000000),
                ULL(us % 1000000));
    }
}

/* --- of the process --- */

static void write_cpu(struct writing *w, const struct family *f)
{
    uint64_t us = w->process->cpu_us;
    put(w, "%s %llu.%06llu\n", f->name, ULL(us / 1000000), ULL(us % 1000000));
}

static void write_started(struct writing *w, const struct family *f)
{
    uint64_t ms = w->m->started_ms;
    put(w, "%s %llu.%03llu\n", f->name, ULL(ms / 1000), ULL(ms % 1000));
}

static void write_resident(struct writing *w, const struct family *f)
{
    put(w, "%s %llu\n", f->name, ULL(w->process->resident_bytes));
}

static void write_virtual(struct writing *w, const struct family *f)
{
    put(w, "%s %llu\n", f->name, ULL(w->process->virtual_bytes));
}

static void write_fds(struct writing *w, const struct family *f)
{
    put(w, "%s %llu\n", f->name, ULL(w->process->open_fds));
}

static void write_max_fds(struct writing *w, const struct family *f)
{
    put(w, "%s %llu\n", f->name, ULL(w->process->max_fds));
}

/* --- the table --- */

/* clang-format off */
static const struct family families[] = {
    {"holdfast_build_info", KIND_GAUGE, "version", "Always 1; the version is the label.", write_build},
    {"holdfast_draining", KIND_GAUGE, "", "1: new calls are refused, those that stand may end.", write_draining},
    {"holdfast_certificate_expiry_timestamp_seconds", KIND_GAUGE, "",
     "When the first of our certificates ends, in seconds since 1970; none without TLS.", write_certificate},
    {"holdfast_recovery_seconds", KIND_HISTOGRAM, "le",
     "From receiving a request that needed a connection to be reopened to its acknowledgement by the peer.", write_histogram},
    {"holdfast_setup_seconds", KIND_HISTOGRAM, "le",
     "From receiving an initial INVITE to forwarding the first answer other than 100.", write_histogram},
    {"holdfast_requests_received_total", KIND_COUNTER, "method",
     "Requests received, retransmissions and those inside dialogs included.", write_samples},
    {"holdfast_invites_answered_total", KIND_COUNTER, "class",
     "INVITE transactions by the class of the final answer to the caller.", write_samples},
    {"holdfast_connections", KIND_GAUGE, "transport, state",
     "Connections: being opened, up, or suspect (under suspicion or being reopened).", write_samples},
    {"holdfast_connections_open", KIND_GAUGE, "", "Open connections, of all transports and states.", write_open},
    {"holdfast_directory_numbers", KIND_GAUGE, "state", "DNs that are not in service.", write_dns},
    {"holdfast_application_up", KIND_GAUGE, "application",
     "1: a member of the application answers and takes calls.", write_applications},
    {"holdfast_worker_up", KIND_GAUGE, "worker", "1: the worker has answered within two seconds.", write_worker_up},
    {"holdfast_worker_lag_seconds", KIND_GAUGE, "worker", "How late the worker is.", write_worker_lag},
    {"holdfast_worker_refused_ratio", KIND_GAUGE, "worker",
     "Share of new requests that the worker refuses for its lag, 0 to 1.", write_worker_loss},
    {"holdfast_worker_cpu_seconds_total", KIND_COUNTER, "worker", "Processor time that the worker has used.", write_worker_cpu},
    {"holdfast_http_requests_total", KIND_COUNTER, "code", "Answers to HTTP requests, by class.", write_answers},
    {"holdfast_http_refused_total", KIND_COUNTER, "reason",
     "HTTP requests refused: without the token, too many a second, for a foreign Host or Origin, too large, or too much at a time.",
     write_refused},
    {"holdfast_http_streams", KIND_GAUGE, "", "Event streams that are open.", write_streams},
    {"process_cpu_seconds_total", KIND_COUNTER, "", "Processor time that the process has used, user and system.", write_cpu},
    {"process_start_time_seconds", KIND_GAUGE, "", "Start of the process, in seconds since 1970.", write_started},
    {"process_resident_memory_bytes", KIND_GAUGE, "", "Resident memory.", write_resident},
    {"process_virtual_memory_bytes", KIND_GAUGE, "", "Virtual memory.", write_virtual},
    {"process_open_fds", KIND_GAUGE, "", "Open descriptors.", write_fds},
    {"process_max_fds", KIND_GAUGE, "", "Limit of open descriptors.", write_max_fds},
};
/* clang-format on */
#define FAMILIES (sizeof(families) / sizeof(families[0]))

/* Counters that are part of a family above. */
static bool is_used(enum counter id)
{
    if (id == CTR_FLOWS || id == CTR_LAG_MS || id == CTR_LOSS)
        return true;
    for (unsigned i = 0; i < SAMPLES; i++)
        if (samples[i].id == id)
            return true;
    for (unsigned i = 0; i < HISTOGRAMS; i++) {
        if (histograms[i].count == id || histograms[i].ms == id)
            return true;
        for (unsigned k = 0; k < BOUNDS_MAX; k++)
            if (histograms[i].bounds[k].id == id)
                return true;
    }
    return false;
}

#define NAME_MAX_BYTES 96
static const char *name_of(enum counter id, char name[NAME_MAX_BYTES])
{
    snprintf(name, NAME_MAX_BYTES, "holdfast_%s%s", counter_name(id),
             counter_is_gauge(id) ? "" : "_total");
    return name;
}

bool metrics_write(const struct metrics_source *m, struct admin_text *out)
{
    struct process_facts process;
    struct writing w = {m, &process, out, false};
    char name[NAME_MAX_BYTES];
    process_look(&process);
    for (unsigned i = 0; i < FAMILIES; i++) {
        put_head(&w, families[i].name, families[i].kind, families[i].help);
        families[i].write(&w, &families[i]);
    }
    for (unsigned id = 0; id < COUNTER_MAX; id++) {
        if (is_used((enum counter)id))
            continue;
        put_head(&w, name_of((enum counter)id, name),
                 counter_is_gauge((enum counter)id) ? KIND_GAUGE : KIND_COUNTER,
                 counter_help((enum counter)id));
        put(&w, "%s %llu\n", name, ULL(sum_of(&w, (enum counter)id)));
    }
    return !w.has_failed;
}

/* --- the page --- */

static void print_row(FILE *out, const char *name, enum kind kind, const char *labels,
                      const char *help)
{
    fprintf(out, "| `%s` | %s | %s | ", name, kind_names[kind], labels);
    for (; *help != '\0'; help++) {
        if (*help == '|')
            fputc('\\', out);
        fputc(*help, out);
    }
    fputs(" |\n", out);
}

void metrics_print_markdown(FILE *out)
{
    char name[NAME_MAX_BYTES];
    fputs("# Metrics\n\n"
          "`GET /metrics` at `admin-address` serves them in the text format of Prometheus. With\n"
          "`admin-token` it needs `Authorization: Bearer TOKEN`; `holdfast --metrics-markdown`\n"
          "prints this page.\n\n"
          "```yaml\n"
          "scrape_configs:\n"
          "  - job_name: holdfast\n"
          "    # With admin-token; with admin-tls-certificate:\n"
          "    # authorization: {credentials_file: /etc/prometheus/holdfast.token}\n"
          "    # scheme: https\n"
          "    static_configs: [{targets: ['127.0.0.1:8060']}]\n"
          "```\n\n"
          "Labels have few values: methods and classes of SIP, transports, states, numbers of\n"
          "workers, names of configured applications. No DN, address or Call-ID is ever one.\n"
          "Counters begin at 0 with each start of the daemon.\n\n"
          "## Families with labels, workers, the process\n\n"
          "| name | type | labels | what it is |\n|---|---|---|---|\n",
          out);
    for (unsigned i = 0; i < FAMILIES; i++)
        print_row(out, families[i].name, families[i].kind, families[i].labels, families[i].help);
    fputs("\n## Counts of all workers together\n\n"
          "| name | type | labels | what it is |\n|---|---|---|---|\n",
          out);
    for (unsigned id = 0; id < COUNTER_MAX; id++)
        if (!is_used((enum counter)id))
            print_row(out, name_of((enum counter)id, name),
                      counter_is_gauge((enum counter)id) ? KIND_GAUGE : KIND_COUNTER, "",
                      counter_help((enum counter)id));
}
