/* SPDX-License-Identifier: Apache-2.0 */
/* What an operator reads at the start and after a reload. */
#include <time.h>

#include "app/daemon.h"
#include "base/event.h"
#include "net/certificate.h"

#define SOON_S (14 * 86400) /* a certificate that ends so soon is told with a warning */

static void log_listener(const struct addr *a, const char *transports, const struct flow_side *side)
{
    struct field f[] = {LF_ADDR("address", a), LF_STR("transports", transports),
                        LF_SLICE("advertised", side->advertised),
                        LF_INT("advertised_port", side->advertised_port)};
    unsigned n = side->advertised.len == 0 ? 2 : side->advertised_port == 0 ? 3 : 4;
    log_fields(LOG_INFO, "app", "listening", n, f);
}

void log_listeners(const struct conf *conf)
{
    for (unsigned i = 0; i < conf->flow.nlisten; i++) {
        struct addr a = conf->flow.listen[i];
        const struct flow_side *side = &conf->flow.sides[i];
        if (!conf->flow.no_plain)
            log_listener(&a, "udp,tcp", side);
        a.port = conf->flow.tls_port;
        if (a.port != 0)
            log_listener(&a, "tls", side);
    }
}

void log_keepalive(const struct conf *conf)
{
    struct net_keepalive k;
    if (!conf->flow.sockopt.keep_alive) {
        LOG0(LOG_INFO, "app",
             "sip-enable-tcp-keep-alive is false: dead connections are not looked for");
        return;
    }
    if (net_keepalive_read(&conf->flow.sockopt, &k) != 0)
        return;
    enum log_level level = k.detect_ms > 60000 ? LOG_WARN : LOG_INFO;
    LOG(level, "app",
        level == LOG_WARN ? "idle dead connections are noticed late: lower the keep-alive timing"
                          : "idle dead connections are noticed in time",
        LF_INT("after_s", k.detect_ms / 1000), LF_INT("idle_s", k.idle),
        LF_INT("interval_s", k.interval), LF_INT("probes", k.probes));
}

static const char *role_text(const struct group_conf *g)
{
    if (g->role == GROUP_BALANCED)
        return "balanced";
    return g->nmembers == 2 ? "pair" : "single";
}

void log_applications(const struct conf *conf)
{
    for (unsigned i = 0; i < conf->ngroups; i++) {
        const struct group_conf *g = &conf->groups[i];
        const char *serving = conf->route.serving != NULL ? conf->route.serving : "";
        LOG(g->check_ms != 0 ? LOG_INFO : LOG_WARN, "app",
            g->check_ms != 0 ? "application"
                             : "application that is not checked: it is always taken to be up",
            LF_STR("application", g->name), LF_STR("role", role_text(g)),
            LF_INT("members", g->nmembers), LF_STR("first", g->members[0].uri),
            LF_INT("check_ms", g->check_ms),
            LF_STR("serving", strcmp(serving, g->name) == 0 ? "yes" : "no"));
    }
}

/* ISO 8601. */
static void write_time(int64_t s, char *out, size_t size)
{
    time_t t = (time_t)s;
    struct tm tm;
    if (gmtime_r(&t, &tm) == NULL || strftime(out, size, "%Y-%m-%dT%H:%M:%SZ", &tm) == 0)
        out[0] = '\0';
}

static void say_unreadable(const char *file, int err, const char *of, const char *name)
{
    struct field f[] = {LF_STR("file", file), LF_ERR("cause", err), LF_STR(of, name)};
    event_log(EV_CERTIFICATE_UNREADABLE, name != NULL ? 3 : 2, f);
}

/* When it ends; INT64_MAX: there is none that can be read. `name` NULL: the daemon's own.
 * `only_bad`: not those that are well. */
static int64_t log_certificate(const char *file, const char *of, const char *name, int64_t now,
                               bool only_bad)
{
    struct net_certificate c;
    char ends[32];
    int err = file != NULL ? net_certificate_read(file, &c) : 0;
    if (err != 0)
        say_unreadable(file, err, of, name);
    if (file == NULL || err != 0)
        return INT64_MAX;
    write_time(c.ends, ends, sizeof(ends));
    struct field f[] = {LF_STR("subject", c.subject), LF_STR("expires", ends), LF_STR("file", file),
                        LF_STR(of, name)};
    unsigned n = name != NULL ? 4 : 3;
    if (now >= c.ends)
        event_log(EV_CERTIFICATE_EXPIRED, n, f);
    else if (now < c.starts)
        event_log(EV_CERTIFICATE_EARLY, n, f);
    else if (now + SOON_S >= c.ends)
        event_log(EV_CERTIFICATE_SOON, n, f);
    else if (!only_bad)
        log_fields(LOG_INFO, "app", "our certificate", n, f);
    return c.ends;
}

static int64_t first_of(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

int64_t log_certificates(const struct conf *conf, uint64_t wall_ms, bool only_bad)
{
    int64_t now = (int64_t)(wall_ms / 1000);
    int64_t ends = log_certificate(conf->tls.certificate, "dn", NULL, now, only_bad);
    for (unsigned i = 0; i < conf->ndns; i++)
        ends = first_of(ends, log_certificate(conf->dns[i].tls.certificate, "dn", conf->dns[i].name,
                                              now, only_bad));
    for (unsigned i = 0; i < conf->ngroups; i++)
        ends = first_of(ends, log_certificate(conf->group_tls[i].certificate, "application",
                                              conf->groups[i].name, now, only_bad));
    ends = first_of(ends, log_certificate(conf->admin_certificate, "dn", NULL, now, only_bad));
    return ends == INT64_MAX ? 0 : ends;
}
