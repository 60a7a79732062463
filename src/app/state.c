/* SPDX-License-Identifier: Apache-2.0 */
#include <time.h>

#include "app/daemon_int.h"
#include "base/log.h"

#define COUNTERS_A_LINE 12

uint64_t daemon_now_us(void)
{
    struct timespec ts;
    clock_gettime(CLOCK_MONOTONIC, &ts);
    return (uint64_t)ts.tv_sec * 1000000 + (uint64_t)ts.tv_nsec / 1000;
}

uint64_t daemon_now_ms(void)
{
    return daemon_now_us() / 1000;
}

uint64_t daemon_wall_ms(void *user)
{
    struct timespec ts;
    (void)user;
    clock_gettime(CLOCK_REALTIME, &ts);
    return (uint64_t)ts.tv_sec * 1000 + (uint64_t)ts.tv_nsec / 1000000;
}

/* The non-zero counters of all workers, some to a line; what counts up and down only when asked to
 * show it. */
void log_counters(const struct daemon *d, bool with_gauges)
{
    struct field f[COUNTERS_A_LINE];
    unsigned n = 0;
    for (unsigned id = 0; id < COUNTER_MAX; id++) {
        uint64_t sum = 0;
        for (unsigned i = 0; i < d->nworkers; i++)
            sum += counter_get(worker_counters(d->workers[i]), (enum counter)id);
        if (sum != 0 && (with_gauges || !counter_is_gauge((enum counter)id)))
            f[n++] = LF_INT(counter_name((enum counter)id), sum);
        if (n == COUNTERS_A_LINE || (n != 0 && id + 1 == COUNTER_MAX)) {
            log_fields(LOG_INFO, "app", "counters", n, f);
            n = 0;
        }
    }
}

static void log_dn(void *user, const char *text)
{
    (void)user;
    LOG(LOG_INFO, "app", "directory", LF_STR("dn", text));
}

static void log_application(void *user, const char *text)
{
    (void)user;
    LOG(LOG_INFO, "app", "applications", LF_STR("application", text));
}

/* SIGUSR1: what an operator may want to see of a running daemon. */
void log_state(struct daemon *d)
{
    log_counters(d, true);
    dn_dump(d->shared.dir, daemon_wall_ms(NULL), log_dn, NULL);
    groups_dump(d->shared.groups, daemon_now_ms(), log_application, NULL);
}
