/* SPDX-License-Identifier: Apache-2.0 */
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "admin/events.h"
#include "admin/http.h"
#include "app/daemon_int.h"
#include "base/alloc.h"
#include "base/event.h"
#include "base/random.h"
#include "flow/aliases.h"
#include "flow/counts.h"
#include "flow/tls.h"
#include "holdfast_version.h"

#define DAY_MS   86400000
#define NONCE_MS 300000

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
        EVENT_LOG(EV_START_FAILED, LF_STR("what", "the location store cannot be opened"),
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
        err =
            groups_configure(d->shared.groups, d->conf->groups, d->conf->ngroups, daemon_now_ms());
    if (err == 0)
        err = load_shared_new(&d->shared.key, &d->shared.load);
    if (err == 0 && d->shared.nworkers > 1)
        err = net_names_new(&d->shared.names);
    if (err != 0)
        EVENT_LOG(EV_START_FAILED, LF_STR("what", "tables that all workers share"),
                  LF_ERR("error", err));
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
        EVENT_LOG(EV_START_FAILED, LF_STR("what", "cannot listen"), LF_ADDR("address", &failed),
                  LF_ERR("error", err));
    else if (err != 0)
        EVENT_LOG(EV_START_FAILED, LF_STR("what", "a worker cannot start"), LF_ERR("error", err));
    return err;
}

static int start_threads(struct daemon *d)
{
    groups_set_changed(d->shared.groups, on_groups_changed, d);
    for (; d->nthreads < d->nworkers; d->nthreads++) {
        int err =
            pthread_create(&d->threads[d->nthreads], NULL, thread_main, d->workers[d->nthreads]);
        if (err != 0) {
            EVENT_LOG(EV_START_FAILED, LF_STR("what", "a thread cannot start"),
                      LF_ERR("error", -err));
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
    int err = -errno;
    EVENT_LOG(EV_START_FAILED, LF_STR("what", "no descriptors for signals"), LF_ERR("error", err));
    return err;
}

static unsigned home_of_call(void *user, struct slice call_id)
{
    struct daemon *d = user;
    return worker_home(&d->shared, call_id);
}

static void options_of(void *user, struct slice want, const struct row_sink *sink)
{
    struct daemon *d = user;
    pthread_mutex_lock(&d->conf_lock);
    conf_rows(d->conf, want, sink);
    pthread_mutex_unlock(&d->conf_lock);
}

static bool is_draining(void *user)
{
    struct daemon *d = user;
    return atomic_load(&d->is_draining);
}

static int64_t certificate_ends(void *user)
{
    struct daemon *d = user;
    return atomic_load(&d->certificate_ends);
}

static uint64_t main_turned(void *user)
{
    struct daemon *d = user;
    return atomic_load(&d->turned);
}

/* The daemon carries calls with or without a control socket. */
static void open_admin(struct daemon *d)
{
    const char *path = d->conf->control_socket;
    char used[ADMIN_PATH_MAX] = "";
    struct admin_deps deps = {.nworkers = d->nworkers,
                              .dir = d->shared.dir,
                              .groups = d->shared.groups,
                              .events = d->events,
                              .wall = daemon_wall_ms,
                              .home = home_of_call,
                              .configuration = d->conf->file,
                              .order = orders_give,
                              .options = options_of,
                              .is_draining = is_draining,
                              .certificate_ends = certificate_ends,
                              .main_turned = main_turned,
                              .user = d};
    for (unsigned i = 0; i < d->nworkers; i++) {
        deps.mailboxes[i] = d->shared.mailboxes[i];
        deps.counters[i] = worker_counters(d->workers[i]);
    }
    int err = admin_new(&deps, &d->admin);
    if (err == 0 && path != NULL && strcmp(path, "none") == 0)
        return; /* HTTP is there all the same */
    if (err == 0)
        err = admin_listen(d->admin, path, used);
    if (err == ERR_EXISTS)
        EVENT_LOG(EV_ADMIN_UNAVAILABLE, LF_STR("what", "control socket: another process has it"),
                  LF_STR("path", used));
    else if (err == ERR_NOT_FOUND && used[0] == '\0')
        EVENT_LOG(EV_ADMIN_UNAVAILABLE,
                  LF_STR("what", "control socket: there is no control-socket in the configuration, "
                                 "and XDG_RUNTIME_DIR is not set"));
    else if (err != 0)
        EVENT_LOG(EV_ADMIN_UNAVAILABLE, LF_STR("what", "control socket"), LF_STR("path", used),
                  LF_ERR("error", err));
    else
        LOG(LOG_INFO, "app", "control socket", LF_STR("path", used));
}

/* --- run and end --- */

static void reload_by_signal(struct daemon *d)
{
    struct said said;
    char why[ADMIN_WHY_MAX] = "";
    if (said_open(&said) != 0) {
        EVENT_LOG(EV_RELOAD_FAILED, LF_ERR("cause", ERR_NOMEM));
        return;
    }
    (void)daemon_reload(d, &said, why);
    said_close(&said);
}

/* False: the end. */
static bool take_signals(struct daemon *d)
{
    struct signalfd_siginfo info;
    while (read(d->signals, &info, sizeof(info)) == sizeof(info)) {
        if (info.ssi_signo == SIGHUP)
            reload_by_signal(d);
        else if (info.ssi_signo == SIGUSR1)
            log_state(d);
        else
            return false;
    }
    return true;
}

static void run(struct daemon *d)
{
    uint64_t tick = daemon_now_ms(), daily = tick + DAY_MS;
    do {
        struct pollfd fds[2] = {{.fd = d->signals, .events = POLLIN},
                                {.fd = orders_fd(d->orders), .events = POLLIN}};
        uint64_t now = daemon_now_ms();
        atomic_store(&d->turned, now);
        if (now >= tick) {
            event_tick(false);
            daemon_watch(d);
            tick = now + DAEMON_TICK_MS;
        }
        if (now >= daily) {
            atomic_store(&d->certificate_ends,
                         log_certificates(d->conf, daemon_wall_ms(NULL), true));
            daily = now + DAY_MS;
        }
        if (poll(fds, 2, (int)(tick - now)) < 0 && errno != EINTR)
            return;
        if (fds[1].revents != 0)
            orders_do(d);
    } while (take_signals(d) && !daemon_has_drained(d));
}

static void close_all(struct daemon *d)
{
    admin_http_close(&d->http);
    admin_free(&d->admin);
    orders_free(&d->orders);
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
    event_tick(true);
    admin_events_free(&d->events);
}

int daemon_run(struct conf *conf, struct net_tls_keys *keys)
{
    struct daemon *d = mem_zalloc(sizeof(*d));
    char url[DAEMON_URL_MAX];
    if (d == NULL)
        return 1;
    d->conf = conf;
    d->tls_keys = keys;
    d->shared.nworkers = conf->workers;
    d->shared.wall = daemon_wall_ms;
    d->shared.on_drained = on_drained;
    d->shared.user = d;
    random_bytes(&d->shared.key, sizeof(d->shared.key));
    lasting_key_read(conf, &d->shared.lasting_key);
    (void)log_use_journal(NULL);
    log_set_levels(&conf->log_levels);
    log_set_format(conf->log_format);
    pthread_mutex_init(&d->conf_lock, NULL);
    bool is_up = admin_events_new(&d->events) == 0;
    raise_descriptors(conf);
    is_up = is_up && orders_new(&d->orders) == 0 && open_signals(d) == 0 &&
            open_directory(d) == 0 && open_workers(d) == 0 && start_threads(d) == 0;
    if (is_up) {
        atomic_store(&d->turned, daemon_now_ms());
        log_keepalive(conf);
        open_admin(d);
        daemon_http_open(d, url);
        log_listeners(conf);
        log_applications(conf);
        atomic_store(&d->certificate_ends, log_certificates(conf, daemon_wall_ms(NULL), false));
        EVENT_LOG(EV_READY, LF_STR("version", HOLDFAST_VERSION), LF_INT("workers", d->nworkers),
                  LF_STR("configuration", conf->file != NULL ? conf->file : "(embedded default)"),
                  LF_STR("http", url));
        notify_send("READY=1");
        run(d);
        atomic_store(&d->turned, UINT64_MAX);
        orders_close(d->orders);
        daemon_drain(d);
    }
    close_all(d);
    mem_free(d);
    return is_up ? 0 : 1;
}
