/* SPDX-License-Identifier: Apache-2.0 */
/* Does each worker still turn? */
#include <stdlib.h>

#include "app/daemon_int.h"
#include "base/event.h"

#define STUCK_MS 5000 /* an event is told; the watchdog of systemd has its own time */

/* systemd wants to hear of us (sd_watchdog_enabled(3)). */
static bool is_watched(void)
{
    const char *us = getenv("WATCHDOG_USEC");
    return us != NULL && us[0] != '\0';
}

static void tell(struct daemon *d, unsigned i, bool is_stuck, uint64_t ms)
{
    if (is_stuck == d->is_stuck[i])
        return;
    d->is_stuck[i] = is_stuck;
    if (is_stuck)
        EVENT_LOG(EV_WORKER_STUCK, LF_INT("worker", i), LF_INT("ms", ms));
    else
        EVENT_LOG(EV_WORKER_BACK, LF_INT("worker", i), LF_INT("ms", ms));
}

void daemon_watch(struct daemon *d)
{
    uint64_t now = daemon_now_ms();
    bool all = true;
    for (unsigned i = 0; i < d->nworkers; i++) {
        bool has_answered = worker_answered(d->workers[i]);
        uint64_t late = now - d->asked_at[i];
        if (has_answered || d->asked_at[i] == 0) {
            tell(d, i, false, late);
            d->asked_at[i] = now;
            worker_ask(d->workers[i]);
        } else if (late >= STUCK_MS) {
            tell(d, i, true, late);
            all = false;
        }
    }
    if (all && is_watched())
        notify_send("WATCHDOG=1");
}
