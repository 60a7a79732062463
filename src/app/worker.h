/* SPDX-License-Identifier: Apache-2.0 */
/* One worker: where the rooms are put together.
 *
 * owns: its loop, wheel, flows, txns, route, proxy, registrar, mailbox, counters. borrows: what all
 * workers share (struct shared) and the configuration. thread: made and ended by main, run by its
 * own thread. */
#ifndef APP_WORKER_H
#define APP_WORKER_H

#include <stdbool.h>

#include "auth/auth.h"
#include "base/counter.h"
#include "base/mailbox.h"
#include "conf/conf.h"
#include "dn/dn.h"
#include "group/group.h"
#include "load/load.h"

#define WORKERS_MAX 64

/* What all workers share. */
struct shared {
    unsigned nworkers;
    struct flow_aliases *flow_aliases; /* NULL: one worker */
    struct flow_counts *flow_counts;   /* NULL: each worker counts alone */
    struct flow_tls *flow_tls;         /* NULL: no TLS, neither in nor out */
    struct mailbox *mailboxes[WORKERS_MAX];
    struct hash_key key;         /* of hash tables, home of a call, loops: random */
    struct hash_key lasting_key; /* of what stands in our Record-Route: the same after a restart */
    struct dn_dir *dir;
    struct auth *auth;
    struct groups *groups;
    struct load_shared *load;
    struct net_names *names;      /* NULL: each worker asks DNS for itself */
    uint64_t (*wall)(void *user); /* wall-clock ms; any thread */
    void (*on_drained)(
        void *user, unsigned worker); /* from the worker's thread: its last transaction has ended */
    void *user;
};

struct worker;

/* Its loop and mailbox, which stands in shared->mailboxes[index] from now on. 0, ERR_NOMEM, -errno.
 */
int worker_new(const struct conf *conf, struct shared *shared, unsigned index,
               struct worker **out) WARN_UNUSED;
/* Opens the listeners; called for each worker after all have their mailboxes. 0 or -errno with
 * *failed. */
int worker_listen(struct worker *w, struct addr *failed) WARN_UNUSED;
/* The thread's function: until worker_stop. */
void worker_run(struct worker *w);
void worker_free(struct worker **w);

/* Any thread: ask by mail, done at the worker's next turn. */
void worker_stop(struct worker *w);
/* A new configuration; the old one must live until worker_conf_seen says that each worker has taken
 * the new one. */
void worker_reload(struct worker *w, const struct conf *conf);
const struct conf *worker_conf_seen(struct worker *w);
/* Has it look at what all workers share: an application has another active member. */
void worker_wake(struct worker *w);
/* Has it show that it turns: worker_answered is true as soon as it has come round. */
void worker_ask(struct worker *w);
bool worker_answered(struct worker *w);
/* Transactions that had not ended when it last answered. */
unsigned worker_pending(struct worker *w);
/* New requests outside dialogs get 503, all else goes on; or no longer so. */
void worker_refuse_calls(struct worker *w, bool yes);
/* No new connections, no new calls; on_drained when the last pending transaction has ended. */
void worker_drain(struct worker *w);
/* Its time is over: callers that wait for an answer are told the end. */
void worker_give_up(struct worker *w);

const struct counters *worker_counters(const struct worker *w);
/* The worker where the call with that Call-ID lives. */
unsigned worker_home(const struct shared *shared, struct slice call_id);
/* For tests, which have no thread: the loop to be driven, and what is in use. */
struct net_loop *worker_loop(struct worker *w);
struct txns *worker_txns(struct worker *w);
struct calls *worker_calls(struct worker *w);
struct proxy *worker_proxy(struct worker *w);
uint64_t worker_timers(const struct worker *w); /* running */

#endif
