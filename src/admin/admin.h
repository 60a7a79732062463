/* SPDX-License-Identifier: Apache-2.0 */
/* Commands of the people who run the daemon, and the control socket in front of them.
 *
 * A command runs on the thread that asks. What only a worker may touch is asked from that worker by
 * mail, with a bound on the time: a worker never waits for a command, and one that is stuck costs
 * an answer, not the daemon. owns: the control socket, its thread, its clients. borrows: mailboxes,
 * counters, directory. thread: admin_on_mail: the worker's; admin_command: any but a worker's. */
#ifndef ADMIN_ADMIN_H
#define ADMIN_ADMIN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "admin/events.h"
#include "admin/table.h"
#include "base/counter.h"
#include "base/err.h"
#include "base/field.h"
#include "base/mailbox.h"
#include "base/slice.h"
#include "call/call.h"
#include "dn/dn.h"
#include "flow/flow.h"
#include "group/group.h"
#include "load/load.h"
#include "net/resolver.h"
#include "proxy/proxy.h"
#include "trace/trace.h"
#include "txn/txn.h"

#define ADMIN_WORKERS_MAX 64

struct admin_events;

/* What only the main thread does. */
enum admin_order {
    ADMIN_RELOAD,
    ADMIN_DRAIN,  /* a: how long at most, as base/period.h reads it; empty: without a limit */
    ADMIN_RESUME, /* ends a drain that has not ended yet */
    ADMIN_SET,    /* a: option of [sipproxy]; b: value; SLICE_NONE: that of the file again */
};

/* What the commands reach. All of it outlives the struct admin. */
struct admin_deps {
    unsigned nworkers;
    struct mailbox *mailboxes[ADMIN_WORKERS_MAX];
    const struct counters *counters[ADMIN_WORKERS_MAX];
    struct dn_dir *dir;
    struct groups *groups;
    struct admin_events *events;
    const char *configuration;    /* path of the file, copied; NULL: the embedded default */
    uint64_t (*wall)(void *user); /* wall-clock ms; any thread */
    /* The worker where the call with that Call-ID lives; any thread. */
    unsigned (*home)(void *user, struct slice call_id);
    /* Has main do it and waits for that, at most ADMIN_ORDER_MS; any thread but main's and the
     * workers'. What there is to say about it (mistakes in the file, what needs a restart) comes as
     * rows of the set "line" with one value, "text". False: refused or failed, and `why`
     * (ADMIN_WHY_MAX bytes) says it in short. */
    bool (*order)(void *user, enum admin_order what, struct slice a, struct slice b,
                  const struct row_sink *sink, char *why);
    /* Rows of the set "option": section, name, value, pending, default, source ("default", "set",
     * "FILE:LINE"), effect; with a lock held that a reload needs. Any thread. `want`: only this
     * name; empty: all. */
    void (*options)(void *user, struct slice want, const struct row_sink *sink);
    bool (*is_draining)(void *user); /* any thread */
    /* s of Unix time at which the first of our certificates ends; 0: there is none. Any thread. */
    int64_t (*certificate_ends)(void *user);
    uint64_t (*main_turned)(void *user); /* when main came round last, monotonic ms; any thread */
    void *user;
};
#define ADMIN_ORDER_MS 30000

struct admin;

/* 0, ERR_NOMEM. */
int admin_new(const struct admin_deps *deps, struct admin **out) WARN_UNUSED;
/* Closes the socket and ends its thread. Mails that are still in a mailbox may be taken, or freed
 * with it, afterwards. */
void admin_free(struct admin **admin);

/* --- at a worker ------------------------------------------------------------------------------ */

/* The rooms of one worker, for the part of a command that runs there. */
struct admin_rooms {
    uint64_t now; /* flows_time */
    struct flows *flows;
    struct txns *txns;
    struct calls *calls;
    struct proxy *proxy;
    struct net_resolver *resolver;
    struct load *load;
    struct trace *trace;
};

/* A mail of kind MAIL_ADMIN; taken over. Does at most one bounded piece of work. */
void admin_on_mail(struct mail *mail, const struct admin_rooms *rooms);

/* --- commands --------------------------------------------------------------------------------- */

enum admin_status {
    ADMIN_OK,
    ADMIN_REFUSED, /* the command is right and cannot be done */
    ADMIN_MISSING, /* refused too: no such call, no such DN… as its argument names it */
    ADMIN_USAGE,   /* no such command, or not its arguments */
};

#define ADMIN_LINE_MAX 1024 /* bytes of a command with its arguments */
#define ADMIN_WHY_MAX  384

/* Runs one command: words separated by TAB, or, in a line without TAB, by blanks. Rows go into the
 * sink while it runs, those of several sets mixed; `why` (ADMIN_WHY_MAX bytes): a short text unless
 * ADMIN_OK. What changes something is logged with who has asked for it: `from`. Any number of
 * threads may be inside at a time. */
enum admin_status admin_command(struct admin *admin, struct slice command, const char *from,
                                const struct row_sink *sink, char *why);
/* The same for a command of the table with its arguments, which may hold any bytes: those left out
 * are SLICE_NONE. */
enum admin_status admin_call(struct admin *admin, enum admin_command_id id,
                             const struct slice args[ADMIN_ARGS_MAX], const struct row_sink *sink,
                             char *why);

/* --- control socket --------------------------------------------------------------------------- */

/* Opens the Unix stream socket `path` (NULL or empty: admin_default_path) and starts its thread.
 * Its directory is made (0750) when missing; a socket that nobody listens at is replaced. 0;
 * ERR_EXISTS (a living process listens there, or the path is no socket); ERR_LIMIT (the path is too
 * long); ERR_NOT_FOUND (no default path); ERR_NOMEM; -errno. `used` (ADMIN_PATH_MAX bytes): the
 * path. */
#define ADMIN_PATH_MAX 108
int admin_listen(struct admin *admin, const char *path, char *used) WARN_UNUSED;

/* Where a daemon with these rights puts its socket: $RUNTIME_DIRECTORY/control.sock (set by
 * systemd), /run/holdfast/control.sock for root, $XDG_RUNTIME_DIR/holdfast.sock for others. False:
 * there is none, or it is too long. */
bool admin_default_path(char *path, size_t cap);

#endif
