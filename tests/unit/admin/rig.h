/* SPDX-License-Identifier: Apache-2.0 */
/* Commands without a daemon: threads that take mails as workers do, and rooms that tell what a test
 * has written down. What the workers' part of a command calls of the rooms is defined here, so that
 * those of the rooms are not linked. */
#ifndef TESTS_ADMIN_RIG_H
#define TESTS_ADMIN_RIG_H

#include <pthread.h>
#include <semaphore.h>

#include "admin/admin_int.h"

#define RIG_WORKERS 2
#define RIG_CALL    "call-1@host" /* released by proxy_release: two dialogs; at worker 1 */

#define RIG_FLOW    0x0100000200000003ull /* alive; at worker 1 */

/* A room: each flow is told of `times` times. */
struct rig_flow {
    const char *id, *dn, *remote; /* the latter two may be NULL */
};
struct flows {
    struct rig_flow list[4];
    unsigned times;
    uint64_t closed;
};

struct proxy {
    _Atomic unsigned released;
};

/* What net_resolver_forget was asked for last. */
struct net_resolver {
    char forgotten[64];
    unsigned calls;
};

struct load {
    unsigned lag;
};

struct trace {
    unsigned worker, messages;
};

struct rig_worker {
    struct mailbox box;
    struct counters counters;
    struct flows flows;
    struct net_resolver resolver;
    struct load load;
    struct trace trace;
    sem_t mail;
    pthread_t thread;
    _Atomic bool is_stopping;
};

struct rig {
    struct rig_worker workers[RIG_WORKERS];
    struct proxy proxy;
    struct dn_dir *dir;
    struct groups *groups; /* main: a pair; media: two that share the calls */
    struct admin_events *events;
    struct admin *admin;
    _Atomic enum admin_order ordered; /* the last one */
    _Atomic bool is_locked;           /* main waits: its options are being looked at */
    _Atomic unsigned looks;           /* how often it was asked whether it drains */
    bool is_running;
    char folder[64];
};

/* DNs 1001 and 1002; the threads of the workers run. */
void rig_open(struct rig *r);
void rig_close(struct rig *r);
/* Workers that take no mail, as if stuck, and the way back. */
void rig_stop_workers(struct rig *r);
void rig_start_workers(struct rig *r);

/* What a command says, a line for each row, as row_line writes it. */
struct answer {
    enum admin_status status;
    char why[ADMIN_WHY_MAX];
    char text[65536];
    uint64_t rows;
};
void rig_ask(struct rig *r, const char *command, struct answer *out);

#endif
