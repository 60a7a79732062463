/* SPDX-License-Identifier: Apache-2.0 */
/* What the files of this room share: text that grows, jobs at workers, the table's rows.
 *
 * owns: see the single structs. thread: that of the command, but for struct admin_job. */
#ifndef ADMIN_ADMIN_INT_H
#define ADMIN_ADMIN_INT_H

#include <pthread.h>
#include <stdatomic.h>

#include "admin/admin.h"
#include "admin/wire.h"
#include "base/buf.h"

/* ms */
#define ADMIN_JOB_MS    2000  /* a worker has this long for one step of its part of a command */
#define ADMIN_ASK_MS    12000 /* and all of them for all steps */
#define ADMIN_CLIENT_MS 15000 /* a client that neither asks nor reads for so long is closed */

#define ADMIN_TEXT_MAX  (8u << 20) /* bytes of one answer, and of one worker's part of it */
#define ADMIN_WORDS     8          /* of one command */
#define ADMIN_CLIENTS   16

/* --- text.c: lines that grow up to a bound --- */

struct admin_text {
    char *ptr;
    size_t len, cap, max;
    uint64_t left_out; /* lines that did not fit */
};
/* Adds bytes or nothing; false: over the bound, or no memory. */
bool admin_text_add(struct admin_text *t, const void *ptr, size_t len);
void admin_text_fini(struct admin_text *t);

/* --- job.c: a piece of a command at a worker --- */

enum admin_job_state { JOB_QUEUED, JOB_RUNNING, JOB_DONE, JOB_GIVEN_UP };

/* Lives in the mail that carries it: freed by whoever of the two, command and worker, lets go of it
 * last, or with a mailbox in which it was never read. */
struct admin_job {
    struct mail *mail;
    _Atomic unsigned refs;
    _Atomic int state; /* enum admin_job_state */
    pthread_mutex_t lock;
    pthread_cond_t ended;
    /* True: there is more, and it wants to be called again when the worker has had its turn. */
    bool (*work)(struct admin_job *job, const struct admin_rooms *rooms);
    char want[ADMIN_LINE_MAX + 1]; /* read by `work` */
    /* written by `work` */
    struct admin_text out; /* lines, each with a NUL behind it */
    uint64_t result;
    uint32_t at; /* where it goes on */
    /* written by admin_on_mail */
    bool has_more;
    uint64_t done_us; /* the first step */
};

struct admin_asked {
    struct admin_job *job; /* NULL: there was no memory */
    uint64_t us;           /* until its first step was done */
    const char *why_not;   /* NULL: done */
};

/* Posts to the workers from `first` to `last` and waits for all of them together, again and again
 * until each has done its part. asked[] from index 0. Each is let go with admin_job_drop. */
void admin_ask(struct admin *a, unsigned first, unsigned last,
               bool (*work)(struct admin_job *job, const struct admin_rooms *rooms),
               struct slice want, struct admin_asked *asked);
void admin_job_drop(struct admin_asked *asked);
/* Adds a line to job->out; a `line` of the rooms' dumps with the job as user. */
void admin_job_line(void *job, const char *text);

/* --- commands.c --- */

struct admin_args {
    unsigned n;
    struct slice word[ADMIN_WORDS];
};

struct admin_command {
    struct admin_command_text text;
    enum admin_status (*run)(struct admin *a, const struct admin_args *args,
                             const struct admin_sink *sink, char *why);
};

__attribute__((format(printf, 2, 3))) void admin_say(const struct admin_sink *sink, const char *fmt,
                                                     ...);
/* ADMIN_REFUSED, with the text in `why`. */
__attribute__((format(printf, 2, 3))) enum admin_status admin_refuse(char *why, const char *fmt,
                                                                     ...);
/* Lines of all workers; `named`: with a line "worker N" before those of each, where there are
 * several. Refused only when none of them has answered. */
enum admin_status admin_gather(struct admin *a, bool named,
                               bool (*work)(struct admin_job *, const struct admin_rooms *),
                               struct slice want, const struct admin_sink *sink, char *why);

/* --- neighbours.c --- */

enum admin_status admin_run_applications(struct admin *a, const struct admin_args *args,
                                         const struct admin_sink *sink, char *why);
enum admin_status admin_run_switch(struct admin *a, const struct admin_args *args,
                                   const struct admin_sink *sink, char *why);
enum admin_status admin_run_resolver(struct admin *a, const struct admin_args *args,
                                     const struct admin_sink *sink, char *why);
enum admin_status admin_run_forget(struct admin *a, const struct admin_args *args,
                                   const struct admin_sink *sink, char *why);
enum admin_status admin_run_overload(struct admin *a, const struct admin_args *args,
                                     const struct admin_sink *sink, char *why);

/* The words of a line; false: none, too many, too long, or control characters; why is set. */
bool admin_parse(struct slice line, struct admin_args *out, char *why);
/* Does a line of a dump tell of it? One of its words, or the value of one that is name=value, is
 * `want`, or an address with a port whose address is `want`. */
bool admin_line_has(const char *line, struct slice want);
uint64_t admin_now_us(void);

/* --- control.c, listen.c --- */

struct admin_control;

struct admin {
    struct admin_deps deps;
    uint64_t started_us;           /* admin_now_us */
    struct admin_control *control; /* NULL: no socket */
};

void admin_control_close(struct admin_control **c);

/* Makes the listening socket: the descriptor, or one of admin_listen's errors. *inode names it for
 * admin_socket_remove, which leaves a path alone that is somebody else's by now. */
struct admin_socket {
    int fd;
    uint64_t device, inode;
    char path[ADMIN_PATH_MAX];
};
int admin_socket_open(struct admin_socket *s, const char *path);
void admin_socket_close(struct admin_socket *s);

#endif
