/* SPDX-License-Identifier: Apache-2.0 */
/* The end: what is under way may come to its own. */
#include <poll.h>
#include <signal.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "app/daemon_int.h"
#include "base/event.h"

#define GIVE_UP_MS 500 /* to tell those that wait */

/* Until all workers have drained. True: asked to end meanwhile. */
static bool wait_drained(struct daemon *d, uint64_t until)
{
    while (atomic_load(&d->drained) < d->nworkers) {
        uint64_t now = daemon_now_ms();
        struct signalfd_siginfo info;
        struct pollfd fds[2] = {{.fd = d->drained_fd, .events = POLLIN},
                                {.fd = d->signals, .events = POLLIN}};
        if (now >= until || poll(fds, 2, (int)(until - now)) == 0)
            break;
        uint64_t n;
        (void)!read(d->drained_fd, &n, sizeof(n));
        if (read(d->signals, &info, sizeof(info)) == sizeof(info) &&
            (info.ssi_signo == SIGTERM || info.ssi_signo == SIGINT))
            return true;
    }
    return false;
}

static uint64_t calls_of(const struct daemon *d)
{
    uint64_t n = 0;
    for (unsigned i = 0; i < d->nworkers; i++)
        n += counter_get(worker_counters(d->workers[i]), CTR_CALLS);
    return n;
}

static void say_end(const struct daemon *d, bool is_all, bool is_hurried)
{
    uint64_t calls = calls_of(d);
    bool is_limit = d->drain_until != 0 && daemon_now_ms() >= d->drain_until && calls != 0;
    struct field workers = LF_INT("workers_drained", atomic_load(&d->drained));
    if (is_all && !is_limit)
        EVENT_LOG(EV_DRAINED, workers, LF_INT("calls", calls));
    else
        EVENT_LOG(EV_NOT_DRAINED, workers, LF_INT("calls", calls),
                  LF_STR("cause", is_hurried ? "asked to end a second time"
                                  : is_all   ? "the limit of drain"
                                             : "drain-timeout"));
}

void daemon_drain(struct daemon *d)
{
    uint64_t until = daemon_now_ms() + d->conf->drain_ms;
    atomic_store(&d->is_draining, true);
    char text[64];
    /* systemd's own time for a stop may be shorter than drain-timeout. */
    snprintf(text, sizeof(text), "EXTEND_TIMEOUT_USEC=%llu", (d->conf->drain_ms + 5000ull) * 1000);
    notify_send("STOPPING=1");
    notify_send(text);
    if (d->drain_until == 0) /* else it was told when that began */
        EVENT_LOG(EV_DRAINING, LF_INT("at_most_ms", d->conf->drain_ms));
    for (unsigned i = 0; i < d->nworkers; i++)
        worker_drain(d->workers[i]);
    bool is_hurried = wait_drained(d, until);
    bool is_all = atomic_load(&d->drained) == d->nworkers;
    for (unsigned i = 0; i < d->nworkers && !is_all; i++)
        worker_give_up(d->workers[i]);
    if (!is_all)
        (void)wait_drained(d, daemon_now_ms() + GIVE_UP_MS);
    say_end(d, is_all, is_hurried);
}

/* --- a drain of calls: everything goes on but new ones --- */

void daemon_drain_calls(struct daemon *d, uint64_t ms)
{
    d->drain_until = ms != 0 ? daemon_now_ms() + ms : UINT64_MAX;
    atomic_store(&d->is_draining, true);
    EVENT_LOG(EV_DRAINING, LF_INT("at_most_ms", ms));
    for (unsigned i = 0; i < d->nworkers; i++)
        worker_refuse_calls(d->workers[i], true);
}

bool daemon_resume(struct daemon *d)
{
    if (d->drain_until == 0)
        return false;
    d->drain_until = 0;
    atomic_store(&d->is_draining, false);
    for (unsigned i = 0; i < d->nworkers; i++)
        worker_refuse_calls(d->workers[i], false);
    event_log(EV_DRAIN_CANCELLED, 0, NULL);
    return true;
}

static uint64_t under_way(const struct daemon *d)
{
    uint64_t n = calls_of(d);
    for (unsigned i = 0; i < d->nworkers; i++)
        n += worker_pending(d->workers[i]);
    return n;
}

bool daemon_has_drained(struct daemon *d)
{
    return d->drain_until != 0 && (daemon_now_ms() >= d->drain_until || under_way(d) == 0);
}
