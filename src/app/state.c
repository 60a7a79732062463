/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>
#include <time.h>

#include "app/daemon_int.h"
#include "base/log.h"

#define COUNTERS_A_LINE 12
#define FIELDS_A_ROW    20

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

/* Without what is empty. */
static void log_row(void *user, const char *set, unsigned n, const struct field *fields)
{
    struct field kept[FIELDS_A_ROW];
    char room[FIELD_ROOM];
    unsigned m = 0;
    (void)user;
    for (unsigned i = 0; i < n && m < FIELDS_A_ROW; i++) {
        if (field_value(&fields[i], room).len == 0)
            continue;
        kept[m] = fields[i];
        if (strcmp(kept[m].name, "time") == 0)
            kept[m].name = "at"; /* a line has a time of its own */
        m++;
    }
    log_fields(LOG_INFO, "app", strcmp(set, "dn") == 0 ? "directory" : set, m, kept);
}

/* SIGUSR1: what an operator may want to see of a running daemon. */
void log_state(struct daemon *d)
{
    const struct row_sink sink = {log_row, NULL};
    uint64_t wall = daemon_wall_ms(NULL);
    log_counters(d, true);
    dn_rows(d->shared.dir, wall, &sink);
    groups_rows(d->shared.groups, daemon_now_ms(), wall, &sink);
}
