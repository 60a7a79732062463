/* SPDX-License-Identifier: Apache-2.0 */
/* What the files of the daemon share: its state, its clocks, and what is asked of the main thread.
 *
 * owns: see struct daemon. thread: main, but for orders_give. */
#ifndef APP_DAEMON_INT_H
#define APP_DAEMON_INT_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>

#include "admin/admin.h"
#include "app/daemon.h"
#include "app/worker.h"
#include "dn/store.h"

struct orders;

/* Options of [sipproxy] that are set while the daemon runs: they stay over a reload, until they are
 * set back or the daemon is restarted. */
#define BY_HAND_MAX   32u
#define BY_HAND_VALUE 512u
struct by_hand {
    unsigned n;
    struct {
        char name[64], value[BY_HAND_VALUE];
    } set[BY_HAND_MAX];
};

struct daemon {
    struct conf *conf; /* main's own; others read it under conf_lock */
    pthread_mutex_t conf_lock;
    struct by_hand by_hand;
    struct shared shared;
    struct net_tls_keys *tls_keys; /* borrowed */
    struct dn_store *store;
    struct admin_events *events;
    struct admin *admin;
    struct admin_http *http; /* NULL: none */
    struct orders *orders;
    struct worker *workers[WORKERS_MAX];
    pthread_t threads[WORKERS_MAX];
    unsigned nworkers, nthreads;
    int signals;                      /* signalfd */
    int drained_fd;                   /* eventfd: a worker has drained */
    _Atomic unsigned drained;         /* workers */
    _Atomic int64_t certificate_ends; /* s of Unix time; 0: there is no certificate */
    _Atomic bool is_draining;         /* new calls are refused, whether the end is near or not */
    uint64_t drain_until;             /* ms; calls have so long to end; 0: no such drain */
    uint64_t asked_at[WORKERS_MAX];   /* ms; watch.c: a worker that has not answered since */
    bool is_stuck[WORKERS_MAX];
    _Atomic uint64_t turned; /* ms: main came round; at the end, when it waits: UINT64_MAX */
};

uint64_t daemon_now_us(void); /* CLOCK_MONOTONIC */
uint64_t daemon_now_ms(void);
uint64_t daemon_wall_ms(void *user);

/* --- reload.c --- */

/* Mistakes, and what needs a restart: lines. */
struct said {
    FILE *file;
    char *text;
    size_t mistakes; /* where they begin */
};
int said_open(struct said *said) WARN_UNUSED; /* 0, ERR_NOMEM */
void said_rows(const struct said *said, const struct row_sink *sink);
/* The first mistake; how many there are. */
unsigned said_first(const struct said *said, char *text, size_t cap);
void said_close(struct said *said);

/* Reads the file again. The old configuration goes on whenever the new one cannot be had whole:
 * false, and `why` (ADMIN_WHY_MAX bytes). */
bool daemon_reload(struct daemon *d, struct said *said, char *why);
/* One option of [sipproxy] by hand; a value with ptr NULL: as in the file again. What was read of
 * the file last counts, not what it holds now. False, and `why`. */
bool daemon_set(struct daemon *d, struct slice name, struct slice value, struct said *said,
                char *why);

/* --- orders.c --- */

/* 0, ERR_NOMEM, -errno. */
int orders_new(struct orders **out) WARN_UNUSED;
void orders_free(struct orders **orders);
/* Nobody waits for main from now on. */
void orders_close(struct orders *orders);
int orders_fd(const struct orders *orders); /* readable: there is one */
/* As admin_deps.order; `user` is the daemon. */
bool orders_give(void *user, enum admin_order what, struct slice a, struct slice b,
                 const struct row_sink *sink, char *why);
/* Main's part: does what has been ordered. */
void orders_do(struct daemon *d);

/* --- web.c --- */

/* `url`: where HTTP is, "": nowhere. */
#define DAEMON_URL_MAX (ADDR_TEXT_MAX + 16)
void daemon_http_open(struct daemon *d, char url[DAEMON_URL_MAX]);
void daemon_http_reload(struct daemon *d, const struct conf *next);

/* --- drain.c --- */

/* Lets transactions end, at most drain-timeout. */
void daemon_drain(struct daemon *d);
/* New calls are refused from now on, and calls have `ms` (0: no limit) to end. */
void daemon_drain_calls(struct daemon *d, uint64_t ms);
/* False: there is no such drain. */
bool daemon_resume(struct daemon *d);
/* Has a drain of calls come to its end? Looked at each DAEMON_TICK_MS. */
bool daemon_has_drained(struct daemon *d);

/* --- watch.c --- */

/* Looks whether each worker still turns; tells systemd, where it asks for that, that all do. */
#define DAEMON_TICK_MS 1000
void daemon_watch(struct daemon *d);

/* --- state.c --- */

/* The non-zero counters of all workers, some to a line; what counts up and down only when asked to
 * show it. */
void log_counters(const struct daemon *d, bool with_gauges);
/* SIGUSR1: what an operator may want to see of a running daemon. */
void log_state(struct daemon *d);

#endif
