/* SPDX-License-Identifier: Apache-2.0 */
/* The table of commands: names, arguments, columns of the answers.
 *
 * All fronts are made from it: the control socket, holdfastctl with its manual page and completion,
 * the HTTP API and its description. Data alone, linked into holdfastctl too; what a command does is
 * in commands*.c. owns: constant data. thread: any. */
#ifndef ADMIN_TABLE_H
#define ADMIN_TABLE_H

#include <stdbool.h>

#include "base/slice.h"

enum admin_command_id {
    CMD_HELP,
    CMD_STATUS,
    CMD_WORKERS,
    CMD_FLOWS,
    CMD_FLOWS_CLOSE,
    CMD_DNS,
    CMD_DNS_OUT,
    CMD_DNS_IN,
    CMD_APPLICATIONS,
    CMD_APPLICATIONS_SWITCH,
    CMD_CALLS,
    CMD_CALLS_RELEASE,
    CMD_TRANSACTIONS,
    CMD_TRACE,
    CMD_EVENTS,
    CMD_SEARCH,
    CMD_OPTIONS,
    CMD_SET,
    CMD_LOG,
    CMD_RELOAD,
    CMD_DRAIN,
    CMD_DRAIN_CANCEL,
    CMD_RESOLVER,
    CMD_RESOLVER_FORGET,
    CMD_OVERLOAD,
    CMD_COUNTERS,
    CMD_MAX
};

#define ADMIN_ARGS_MAX 4

/* On a command line arguments stand in this order, those that are needed first. */
struct admin_arg {
    const char *name; /* lower case with "_"; of query parameters and members of JSON. NULL: none */
    bool is_needed;
    const char *help;
};

enum admin_kind {
    ADMIN_TEXT,
    ADMIN_INT, /* the unit is the end of the name: _ms, _us, _s, _bytes, _percent; else a number */
    ADMIN_BOOL,
    ADMIN_TIME, /* text: RFC 3339 in UTC, or "" */
};

/* A value of the rows of one set; those of a set stand together, in their order. */
struct admin_column {
    const char *set, *name;
    enum admin_kind kind;
    const char *help;
};

struct admin_command {
    const char *name; /* one or two words */
    const char *help; /* one line */
    const char *more; /* what else there is to know; NULL: nothing */
    bool changes;     /* it changes something: over HTTP it is a POST */
    bool is_one;      /* the answer is one row */
    bool can_miss;    /* an argument names what may not be there: over HTTP that is 404 */
    struct admin_arg args[ADMIN_ARGS_MAX];
    const struct admin_column *columns; /* the last one has the set NULL */
};

/* Never NULL for an id below CMD_MAX. */
const struct admin_command *admin_command_at(enum admin_command_id id);
/* The command with exactly this name, words divided by one blank; CMD_MAX: none. */
enum admin_command_id admin_command_find(struct slice name);
unsigned admin_command_nargs(const struct admin_command *c); /* those that it can have */
/* The next set after `set` (NULL: the first one) of its rows; NULL: that was the last. */
const char *admin_command_next_set(const struct admin_command *c, const char *set);
/* Its arguments for people: "NAME [MEMBER]"; with NUL, in `cap` bytes. */
void admin_command_usage(const struct admin_command *c, char *text, unsigned cap);

#endif
