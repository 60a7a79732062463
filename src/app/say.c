/* SPDX-License-Identifier: Apache-2.0 */
/* What an operator reads at the start and after a reload. */
#include <time.h>

#include "app/daemon.h"
#include "base/log.h"
#include "net/certificate.h"

#define SOON_S (14 * 86400) /* a certificate that ends so soon is told with a warning */

void log_listeners(const struct conf *conf)
{
    for (unsigned i = 0; i < conf->flow.nlisten; i++) {
        struct addr a = conf->flow.listen[i];
        if (!conf->flow.no_plain)
            LOG(LOG_INFO, "app", "listening", LF_ADDR("address", &a),
                LF_STR("transports", "udp,tcp"));
        a.port = conf->flow.tls_port;
        if (a.port != 0)
            LOG(LOG_INFO, "app", "listening", LF_ADDR("address", &a), LF_STR("transports", "tls"));
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

/* `dn` NULL: the daemon's own. */
static void log_certificate(const char *file, const char *dn, int64_t now)
{
    struct net_certificate c;
    char ends[32];
    if (file == NULL || net_certificate_read(file, &c) != 0)
        return;
    write_time(c.ends, ends, sizeof(ends));
    const char *text = "our certificate";
    if (now >= c.ends)
        text = "our certificate has expired";
    else if (now < c.starts)
        text = "our certificate is not valid yet";
    else if (now + SOON_S >= c.ends)
        text = "our certificate expires soon";
    bool is_bad = now < c.starts || now + SOON_S >= c.ends;
    struct log_field f[] = {LF_STR("subject", c.subject), LF_STR("expires", ends),
                            LF_STR("file", file), LF_STR("dn", dn != NULL ? dn : "")};
    log_fields(is_bad ? LOG_WARN : LOG_INFO, "app", text, dn != NULL ? 4 : 3, f);
}

void log_certificates(const struct conf *conf, uint64_t wall_ms)
{
    int64_t now = (int64_t)(wall_ms / 1000);
    log_certificate(conf->tls.certificate, NULL, now);
    for (unsigned i = 0; i < conf->ndns; i++)
        log_certificate(conf->dns[i].tls.certificate, conf->dns[i].name, now);
}
