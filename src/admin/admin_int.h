/* SPDX-License-Identifier: Apache-2.0 */
/* What the files of this room share: rows that are kept, jobs at workers, what runs commands.
 *
 * owns: see the single structs. thread: that of the command, but for struct admin_job. */
#ifndef ADMIN_ADMIN_INT_H
#define ADMIN_ADMIN_INT_H

#include <pthread.h>
#include <stdatomic.h>

#include "admin/admin.h"
#include "admin/json.h"
#include "admin/wire.h"
#include "base/buf.h"

/* ms */
#define ADMIN_JOB_MS    2000  /* a worker has this long for one step of its part of a command */
#define ADMIN_ASK_MS    12000 /* and all of them for all steps */
#define ADMIN_CLIENT_MS 15000 /* a client that neither asks nor reads for so long is closed */

#define ADMIN_TEXT_MAX  (8u << 20)   /* bytes of one step of one worker */
#define ADMIN_KEPT_MAX  (128u << 20) /* bytes of what is copied from behind a lock */
#define ADMIN_WORDS     8            /* of one command */
#define ADMIN_CLIENTS   32

/* --- rows.c: rows that are kept --- */

#define ADMIN_FIELDS 32 /* of one row */

/* Adds a row to a struct admin_text: the `row` of a row_sink with that as `user`. What does not fit
 * is counted in left_out. */
void admin_rows_keep(void *text, const char *set, unsigned n, const struct field *fields);

struct admin_row { /* borrows from the text */
    const char *set;
    unsigned n;
    struct field fields[ADMIN_FIELDS + 1];
};
/* Keeps the rows of what is looked for: a row of the set `head` that has its name, and all that
 * follow until the next one of that set. Rows that come with a lock held are kept until it is free.
 */
struct admin_filter {
    struct admin_text rows;
    const char *head;
    struct slice want; /* empty: all */
    bool is_in;
};
/* The `row` of a row_sink with a struct admin_filter as `user`. */
void admin_filter_row(void *filter, const char *set, unsigned n, const struct field *fields);

/* The one at *at (0 at first); false: there is no more. */
bool admin_rows_next(const struct admin_text *t, size_t *at, struct admin_row *out);
void admin_rows_give(const struct admin_text *t, const struct row_sink *sink); /* all */

/* The value with that name; NULL: there is none. */
const struct field *admin_field(unsigned n, const struct field *fields, const char *name);

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
    uint64_t since, until;         /* of trace: wall-clock us */
    uint64_t end;                  /* of trace: struct trace_want */
    bool with_more;                /* of trace: the bytes too */
    /* written by `work` */
    struct admin_text out; /* rows (rows.c); whoever asks empties it after each step */
    uint64_t result, at;   /* where it goes on */
    /* written by admin_on_mail */
    bool has_more;
    uint64_t done_us; /* the first step */
};

struct admin_asked {
    struct admin_job *job; /* NULL: there was no memory */
    uint64_t us;           /* until its first step was done */
    const char *why_not;   /* NULL: done */
};

typedef bool admin_work_fn(struct admin_job *job, const struct admin_rooms *rooms);

/* Jobs at some workers, one behind the other. */
struct admin_round {
    struct admin *admin;
    unsigned first, n;
    uint64_t left_us; /* for all further steps */
    struct admin_asked asked[ADMIN_WORKERS_MAX];
};
/* Posts to the workers from `first` to `last` and waits for all of them together, for the first
 * step of each. */
void admin_ask(struct admin_round *round, struct admin *a, unsigned first, unsigned last,
               admin_work_fn *work, struct slice want);
/* The same with more for the worker to know. */
void admin_ask_with(struct admin_round *round, struct admin *a, unsigned first, unsigned last,
                    admin_work_fn *work, struct slice want, uint64_t since, uint64_t until,
                    bool with_more);
/* The next step of all of them (or of one, by its index) that have more to do; false: none has. */
bool admin_ask_more(struct admin_round *round);
bool admin_ask_one(struct admin_round *round, unsigned index);
void admin_ask_end(struct admin_round *round);

/* --- words.c --- */

struct admin_args {
    unsigned n;
    struct slice word[ADMIN_WORDS];
};

/* The words of a line; false: none, too many, too long, or control characters; why is set. */
bool admin_parse(struct slice line, struct admin_args *out, char *why);
/* Is a value of the row the one that is looked for, or an address with a port whose address it is?
 * Of values that are text. */
bool admin_row_is(unsigned n, const struct field *fields, struct slice want);
/* Does one of the named values (names divided by blanks) hold the text, without case? */
bool admin_row_holds(unsigned n, const struct field *fields, const char *names, struct slice want);

/* --- commands.c --- */

/* What a command is called with: its arguments, those left out SLICE_NONE. */
struct admin_run {
    struct admin *admin;
    const struct slice *args; /* ADMIN_ARGS_MAX */
    const struct row_sink *sink;
    char *why;
};
typedef enum admin_status admin_run_fn(const struct admin_run *run);

/* A row of the set "line". */
__attribute__((format(printf, 2, 3))) void admin_say(const struct row_sink *sink, const char *fmt,
                                                     ...);
/* ADMIN_REFUSED, with the text in `why`. */
__attribute__((format(printf, 2, 3))) enum admin_status admin_refuse(char *why, const char *fmt,
                                                                     ...);
/* ADMIN_MISSING, with the text in `why`. */
__attribute__((format(printf, 2, 3))) enum admin_status admin_miss(char *why, const char *fmt, ...);
/* A number among the arguments, which is `what`; false: it is none, and `why` is set. */
bool admin_number(const struct admin_run *run, unsigned arg, const char *what, uint64_t *out);
/* Refused where some rows did not fit into the answer. */
enum admin_status admin_left_out(const struct admin_run *run, uint64_t rows);
/* Gives the rows and frees them; the same of those that did not fit. */
enum admin_status admin_give_kept(const struct admin_run *run, struct admin_text *rows);
/* Rows of the workers from `first` to `last`, each with `worker` as its last value. Refused only
 * when none of them has answered. */
enum admin_status admin_gather(const struct admin_run *run, unsigned first, unsigned last,
                               admin_work_fn *work, struct slice want);
enum admin_status admin_gather_all(const struct admin_run *run, admin_work_fn *work,
                                   struct slice want);
/* What is asked of main; refused where there is none. */
enum admin_status admin_order_main(const struct admin_run *run, enum admin_order what,
                                   struct slice a, struct slice b);
uint64_t admin_wall(const struct admin *a); /* ms */

/* commands_state.c */
admin_run_fn admin_run_status, admin_run_workers, admin_run_counters;
/* commands_traffic.c */
admin_run_fn admin_run_flows, admin_run_flows_close, admin_run_calls, admin_run_release,
    admin_run_transactions;
/* commands_dns.c */
admin_run_fn admin_run_dns, admin_run_dn_out, admin_run_dn_in, admin_run_search;
/* commands_neighbours.c */
admin_run_fn admin_run_applications, admin_run_switch, admin_run_resolver, admin_run_forget,
    admin_run_overload;
/* commands_past.c */
admin_run_fn admin_run_trace, admin_run_events;
/* commands_daemon.c */
admin_run_fn admin_run_options, admin_run_set, admin_run_log, admin_run_reload, admin_run_drain,
    admin_run_drain_cancel;

uint64_t admin_now_us(void);

/* --- control.c, listen.c --- */

struct admin_control;

/* How much time a worker has used, at most once a second. */
struct admin_cpu {
    uint64_t at_us, used_us; /* at the last look */
    int64_t percent;         /* between the last two looks; -1: there was one only */
};

struct admin {
    struct admin_deps deps;
    char *configuration;
    uint64_t started_us;    /* admin_now_us */
    uint64_t started_wall;  /* ms */
    _Atomic bool is_ending; /* no further step is asked for */
    pthread_mutex_t lock;   /* of cpu */
    struct admin_cpu cpu[ADMIN_WORKERS_MAX];
    struct admin_control *control; /* NULL: no socket */
};

void admin_control_close(struct admin_control **c);

/* The listening socket. By device and inode a path is left alone that is somebody else's by then.
 */
struct admin_socket {
    int fd;
    uint64_t device, inode;
    char path[ADMIN_PATH_MAX];
};
/* 0 or one of admin_listen's errors; then there is nothing to close. */
int admin_socket_open(struct admin_socket *s, const char *path);
void admin_socket_close(struct admin_socket *s);

#endif
