/* SPDX-License-Identifier: Apache-2.0 */
#include "app/daemon.h"

#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <time.h>
#include <unistd.h>

#include "admin/admin.h"
#include "app/worker.h"
#include "base/alloc.h"
#include "base/log.h"
#include "base/random.h"
#include "dn/store.h"
#include "flow/aliases.h"
#include "flow/counts.h"
#include "flow/tls.h"
#include "holdfast_version.h"

#define NONCE_MS        300000
#define RELOAD_WAIT_MS  10000 /* workers take a configuration at their next turn */
#define COUNTERS_A_LINE 12
#define SAID_MAX        65536 /* bytes about the errors of a file */

struct daemon {
    struct conf *conf;
    struct shared shared;
    struct net_tls_keys *tls_keys; /* borrowed */
    struct dn_store *store;
    struct admin *admin;
    struct worker *workers[WORKERS_MAX];
    pthread_t threads[WORKERS_MAX];
    unsigned nworkers, nthreads;
    int signals;              /* signalfd */
    int drained_fd;           /* eventfd: a worker has drained */
    _Atomic unsigned drained; /* workers */
};

/* By the thread that has found it out. */
static void on_groups_changed(void *user)
{
    struct daemon *d = user;
    for (unsigned i = 0; i < d->nworkers; i++)
        worker_wake(d->workers[i]);
}

static void on_drained(void *user, unsigned worker)
{
    struct daemon *d = user;
    uint64_t one = 1;
    (void)worker;
    atomic_fetch_add(&d->drained, 1);
    (void)!write(d->drained_fd, &one, sizeof(one));
}

static void *thread_main(void *worker)
{
    worker_run(worker);
    return NULL;
}

static uint64_t now_us(void)
{
    struct timespec ts;
    clock_gettime(CLOCK_MONOTONIC, &ts);
    return (uint64_t)ts.tv_sec * 1000000 + (uint64_t)ts.tv_nsec / 1000;
}

static uint64_t now_ms(void)
{
    return now_us() / 1000;
}

static uint64_t wall_ms(void *user)
{
    struct timespec ts;
    (void)user;
    clock_gettime(CLOCK_REALTIME, &ts);
    return (uint64_t)ts.tv_sec * 1000 + (uint64_t)ts.tv_nsec / 1000000;
}

/* --- start --- */

/* One descriptor for each connection and some for ourselves; what the system grants may be less,
 * then accepting pauses at that. */
static void raise_descriptors(const struct conf *conf)
{
    struct rlimit lim;
    rlim_t want = (rlim_t)conf->flow.max_connections + 1024;
    if (getrlimit(RLIMIT_NOFILE, &lim) != 0 || lim.rlim_cur >= want)
        return;
    lim.rlim_cur = lim.rlim_max < want ? lim.rlim_max : want;
    (void)!setrlimit(RLIMIT_NOFILE, &lim);
    if (lim.rlim_cur < want)
        LOG(LOG_WARN, "app", "the limit of open files is below tcp-max-connections",
            LF_INT("limit", lim.rlim_cur), LF_INT("needed", want));
}

static int open_directory(struct daemon *d)
{
    char why[256] = "";
    int err = 0;
    if (d->conf->location_file != NULL)
        err = dn_store_open(d->conf->location_file, &d->store, why, sizeof(why));
    if (err != 0) {
        LOG(LOG_ERROR, "app", "the location store cannot be opened",
            LF_STR("file", d->conf->location_file), LF_STR("why", why), LF_ERR("error", err));
        return err;
    }
    err = dn_dir_new(&d->shared.key, d->store, &d->shared.dir);
    if (err == 0)
        err = dn_dir_configure(d->shared.dir, d->conf->dns, d->conf->ndns);
    if (err == 0)
        err = auth_new(NONCE_MS, &d->shared.auth);
    if (err == 0)
        err = groups_new(&d->shared.lasting_key, &d->shared.groups);
    if (err == 0)
        err = groups_configure(d->shared.groups, d->conf->groups, d->conf->ngroups, now_ms());
    if (err == 0)
        err = load_shared_new(&d->shared.key, &d->shared.load);
    if (err == 0 && d->shared.nworkers > 1)
        err = net_names_new(&d->shared.names);
    if (err != 0)
        LOG(LOG_ERROR, "app", "start failed", LF_ERR("error", err));
    return err;
}

/* sip-port-tls needs a restart, so what is not there at the start is never needed. */
static int open_tls(struct daemon *d)
{
    if (d->conf->flow.tls_port == 0)
        return 0;
    int err = flow_tls_new(&d->shared.flow_tls);
    if (err == 0)
        err = flow_tls_configure(d->shared.flow_tls, d->conf->profiles, d->conf->nprofiles);
    return err;
}

static int open_workers(struct daemon *d)
{
    struct addr failed = {0};
    int err = open_tls(d);
    if (err == 0)
        err = flow_counts_new(&d->shared.flow_counts);
    if (err == 0 && d->shared.nworkers > 1)
        err = flow_aliases_new(&d->shared.flow_aliases);
    for (unsigned i = 0; i < d->shared.nworkers && err == 0; i++) {
        err = worker_new(d->conf, &d->shared, i, &d->workers[i]);
        if (err == 0)
            d->nworkers++;
    }
    for (unsigned i = 0; i < d->nworkers && err == 0; i++)
        err = worker_listen(d->workers[i], &failed);
    if (err != 0 && failed.family != ADDR_NONE)
        LOG(LOG_ERROR, "app", "cannot listen", LF_ADDR("address", &failed), LF_ERR("error", err));
    else if (err != 0)
        LOG(LOG_ERROR, "app", "a worker cannot start", LF_ERR("error", err));
    return err;
}

static int start_threads(struct daemon *d)
{
    groups_set_changed(d->shared.groups, on_groups_changed, d);
    for (; d->nthreads < d->nworkers; d->nthreads++) {
        int err =
            pthread_create(&d->threads[d->nthreads], NULL, thread_main, d->workers[d->nthreads]);
        if (err != 0) {
            LOG(LOG_ERROR, "app", "a thread cannot start", LF_ERR("error", -err));
            return -err;
        }
    }
    return 0;
}

/* Signals come by a descriptor to the main thread only; blocked before any thread is made. */
static int open_signals(struct daemon *d)
{
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGTERM);
    sigaddset(&set, SIGINT);
    sigaddset(&set, SIGHUP);
    sigaddset(&set, SIGUSR1);
    pthread_sigmask(SIG_BLOCK, &set, NULL);
    signal(SIGPIPE, SIG_IGN);
    signal(SIGXFSZ, SIG_IGN); /* a limit of file sizes is a full disk to the location store */
    d->signals = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
    d->drained_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (d->signals >= 0 && d->drained_fd >= 0)
        return 0;
    LOG(LOG_ERROR, "app", "start failed", LF_ERR("error", -errno));
    return -errno;
}

static unsigned home_of_call(void *user, struct slice call_id)
{
    struct daemon *d = user;
    return worker_home(&d->shared, call_id);
}

/* The daemon carries calls with or without a control socket. */
static void open_admin(struct daemon *d)
{
    const char *path = d->conf->control_socket;
    char used[ADMIN_PATH_MAX] = "";
    if (path != NULL && strcmp(path, "none") == 0)
        return;
    struct admin_deps deps = {.nworkers = d->nworkers,
                              .dir = d->shared.dir,
                              .groups = d->shared.groups,
                              .wall = wall_ms,
                              .home = home_of_call,
                              .user = d};
    for (unsigned i = 0; i < d->nworkers; i++) {
        deps.mailboxes[i] = d->shared.mailboxes[i];
        deps.counters[i] = worker_counters(d->workers[i]);
    }
    int err = admin_new(&deps, &d->admin);
    if (err == 0)
        err = admin_listen(d->admin, path, used);
    if (err == ERR_EXISTS)
        LOG(LOG_WARN, "app", "no control socket: another process has it", LF_STR("path", used));
    else if (err != 0)
        LOG(LOG_WARN, "app", "no control socket", LF_STR("path", used), LF_ERR("error", err));
    else
        LOG(LOG_INFO, "app", "control socket", LF_STR("path", used));
}

/* --- reload --- */

static void wait_seen(struct daemon *d, const struct conf *conf)
{
    uint64_t until = now_ms() + RELOAD_WAIT_MS;
    for (unsigned i = 0; i < d->nworkers; i++)
        while (worker_conf_seen(d->workers[i]) != conf && now_ms() < until)
            poll(NULL, 0, 1);
}

static bool all_have_seen(struct daemon *d, const struct conf *conf)
{
    for (unsigned i = 0; i < d->nworkers; i++)
        if (worker_conf_seen(d->workers[i]) != conf)
            return false;
    return true;
}

/* What was said about the file, in the format of the log. */
static void log_lines(enum log_level level, const char *text)
{
    struct slice rest = slice_str(text);
    while (rest.len != 0) {
        ptrdiff_t end = slice_chr(rest, '\n');
        size_t len = end >= 0 ? (size_t)end : rest.len;
        LOG(level, "app", "configuration", LF_SLICE("line", slice_of(rest.ptr, len)));
        rest = slice_of(rest.ptr + len, rest.len - len);
        if (rest.len != 0)
            rest = slice_of(rest.ptr + 1, rest.len - 1);
    }
}

static int read_again(struct daemon *d, FILE *said, struct conf **next, unsigned *later)
{
    int err = conf_load(d->conf->file, said, next);
    if (err != 0)
        return err;
    *later = conf_needs_restart(d->conf, *next, said);
    err = conf_keep_running(d->conf, *next);
    if (err == 0)
        err = conf_open_tls(*next, d->tls_keys, said);
    if (err == 0 && d->shared.flow_tls != NULL)
        err = flow_tls_configure(d->shared.flow_tls, (*next)->profiles, (*next)->nprofiles);
    if (err == 0)
        err = groups_configure(d->shared.groups, (*next)->groups, (*next)->ngroups, now_ms());
    return err == 0 ? dn_dir_configure(d->shared.dir, (*next)->dns, (*next)->ndns) : err;
}

/* Reads the file again; 0 with a configuration that can take the place of the running one. */
static int load_next(struct daemon *d, struct conf **next, unsigned *later)
{
    char *text = mem_zalloc(SAID_MAX + 1);
    FILE *said = text != NULL ? fmemopen(text, SAID_MAX, "w") : NULL;
    int err = said != NULL ? read_again(d, said, next, later) : ERR_NOMEM;
    if (said != NULL)
        fclose(said);
    if (text != NULL)
        log_lines(err == 0 ? LOG_WARN : LOG_ERROR, text);
    mem_free(text);
    return err;
}

/* The old configuration goes on whenever the new one cannot be had whole. */
static void reload(struct daemon *d)
{
    struct conf *next = NULL;
    unsigned later = 0;
    char text[64];
    /* Not rounded: systemd takes a time before that of its signal for an answer to an earlier one.
     */
    snprintf(text, sizeof(text), "RELOADING=1\nMONOTONIC_USEC=%llu", (unsigned long long)now_us());
    notify_send(text);
    int err = load_next(d, &next, &later);
    if (err != 0) {
        char why[64];
        LOG(LOG_ERROR, "app", "reload failed, the old configuration stays",
            LF_STR("cause", err == ERR_PARSE ? "mistakes in the configuration"
                                             : err_text(err, why, sizeof(why))));
        conf_free(&next);
        notify_send("READY=1");
        return;
    }
    log_setup(next->log_level, next->log_format);
    log_applications(next);
    log_certificates(next, wall_ms(NULL));
    for (unsigned i = 0; i < d->nworkers; i++)
        worker_reload(d->workers[i], next);
    wait_seen(d, next);
    /* A worker that has not come round in that time may still use the old one, which is then left
     * to it. */
    if (all_have_seen(d, next))
        conf_free(&d->conf);
    d->conf = next;
    LOG(LOG_INFO, "app", "configuration reloaded",
        LF_STR("file", next->file != NULL ? next->file : "(embedded)"),
        LF_INT("need_restart", later));
    notify_send("READY=1");
}

/* --- run and end --- */

static void drain(struct daemon *d)
{
    uint64_t until = now_ms() + d->conf->drain_ms;
    bool is_hurried = false;
    notify_send("STOPPING=1");
    LOG(LOG_INFO, "app", "draining", LF_INT("at_most_ms", d->conf->drain_ms));
    for (unsigned i = 0; i < d->nworkers; i++)
        worker_drain(d->workers[i]);
    while (atomic_load(&d->drained) < d->nworkers && !is_hurried) {
        uint64_t now = now_ms();
        struct signalfd_siginfo info;
        struct pollfd fds[2] = {{.fd = d->drained_fd, .events = POLLIN},
                                {.fd = d->signals, .events = POLLIN}};
        if (now >= until || poll(fds, 2, (int)(until - now)) == 0)
            break;
        uint64_t n;
        (void)!read(d->drained_fd, &n, sizeof(n));
        if (read(d->signals, &info, sizeof(info)) == sizeof(info) &&
            (info.ssi_signo == SIGTERM || info.ssi_signo == SIGINT))
            is_hurried = true;
    }
    bool is_all = atomic_load(&d->drained) == d->nworkers;
    LOG(LOG_INFO, "app",
        is_all       ? "drained"
        : is_hurried ? "asked to end a second time: ended at once"
                     : "ended with transactions pending",
        LF_INT("workers_drained", atomic_load(&d->drained)));
}

/* The non-zero counters of all workers, some to a line; what counts up and down only when asked to
 * show it. */
static void log_counters(const struct daemon *d, bool with_gauges)
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
static void log_state(struct daemon *d)
{
    log_counters(d, true);
    dn_dump(d->shared.dir, wall_ms(NULL), log_dn, NULL);
    groups_dump(d->shared.groups, now_ms(), log_application, NULL);
}

static void run(struct daemon *d)
{
    for (;;) {
        struct signalfd_siginfo info;
        struct pollfd fd = {.fd = d->signals, .events = POLLIN};
        if (poll(&fd, 1, -1) < 0 && errno != EINTR)
            return;
        while (read(d->signals, &info, sizeof(info)) == sizeof(info)) {
            if (info.ssi_signo == SIGHUP)
                reload(d);
            else if (info.ssi_signo == SIGUSR1)
                log_state(d);
            else
                return;
        }
    }
}

static void close_all(struct daemon *d)
{
    admin_free(&d->admin);
    for (unsigned i = 0; i < d->nthreads; i++)
        worker_stop(d->workers[i]);
    for (unsigned i = 0; i < d->nthreads; i++)
        pthread_join(d->threads[i], NULL);
    if (d->shared.groups != NULL)
        groups_set_changed(d->shared.groups, NULL, NULL);
    if (d->nthreads != 0)
        log_counters(d, false);
    for (unsigned i = 0; i < d->nworkers; i++)
        worker_free(&d->workers[i]);
    flow_aliases_free(&d->shared.flow_aliases);
    flow_counts_free(&d->shared.flow_counts);
    flow_tls_free(&d->shared.flow_tls);
    load_shared_free(&d->shared.load);
    net_names_free(&d->shared.names);
    groups_free(&d->shared.groups);
    if (d->shared.auth != NULL)
        auth_free(&d->shared.auth);
    if (d->shared.dir != NULL)
        dn_dir_free(&d->shared.dir);
    if (d->store != NULL)
        dn_store_close(&d->store);
    if (d->signals > 0)
        close(d->signals);
    if (d->drained_fd > 0)
        close(d->drained_fd);
    conf_free(&d->conf);
}

static void say_keepalive(const struct conf *conf)
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

int daemon_run(struct conf *conf, struct net_tls_keys *keys)
{
    struct daemon *d = mem_zalloc(sizeof(*d));
    if (d == NULL)
        return 1;
    d->conf = conf;
    d->tls_keys = keys;
    d->shared.nworkers = conf->workers;
    d->shared.wall = wall_ms;
    d->shared.on_drained = on_drained;
    d->shared.user = d;
    random_bytes(&d->shared.key, sizeof(d->shared.key));
    lasting_key_read(conf, &d->shared.lasting_key);
    log_setup(conf->log_level, conf->log_format);
    raise_descriptors(conf);
    bool is_up = open_signals(d) == 0 && open_directory(d) == 0 && open_workers(d) == 0 &&
                 start_threads(d) == 0;
    if (is_up) {
        say_keepalive(conf);
        open_admin(d);
        log_listeners(conf);
        log_applications(conf);
        log_certificates(conf, wall_ms(NULL));
        LOG(LOG_INFO, "app", "ready", LF_STR("version", HOLDFAST_VERSION),
            LF_INT("workers", d->nworkers),
            LF_STR("configuration", conf->file != NULL ? conf->file : "(embedded default)"));
        notify_send("READY=1");
        run(d);
        drain(d);
    }
    close_all(d);
    mem_free(d);
    return is_up ? 0 : 1;
}
