/* SPDX-License-Identifier: Apache-2.0 */
/* What the files of holdfastctl share: how it shows things, answers of the daemon, tables.
 *
 * owns: see the single structs. thread: one. */
#ifndef CTL_CTL_INT_H
#define CTL_CTL_INT_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "admin/table.h"
#include "base/alloc.h"

/* Exit statuses. */
enum { CTL_DONE = 0, CTL_REFUSED = 1, CTL_USAGE = 2, CTL_NO_DAEMON = 3 };

#define CTL_WHY_MAX 512

struct ctl {
    const char *path; /* of the control socket */
    bool is_json, is_wide, has_headers, has_colours;
    bool is_terminal; /* stdout is one */
    unsigned width;   /* of it, in columns; 0: no bound */
    unsigned height;
    uint64_t watch_ms; /* 0: once */
    bool is_following;
    bool with_text;     /* trace: the messages themselves */
    const char *pcapng; /* trace: file that they go to; NULL: none */
    int timeout_ms;     /* for which the daemon may be silent */
    int stop;           /* signalfd; readable: the user has had enough; -1: none */
};

/* --- memory.c: where there is none, the program ends --- */

void *ctl_alloc(size_t size); /* zeroed */
void *ctl_grow(void *ptr, size_t size);
__attribute__((noreturn)) void ctl_no_memory(void);
char *ctl_copy(const char *text, size_t len); /* with NUL */

/* --- ask.c: the daemon --- */

/* A row as it comes. */
typedef void ctl_row_fn(void *user, const char *set, json_t *row);

/* Gives one command (words with a TAB behind each) and hands each row to `row`. An exit status;
 * unless CTL_DONE `why` (CTL_WHY_MAX bytes) says what is wrong. */
int ctl_ask(const struct ctl *ctl, unsigned n, const char *const *words, ctl_row_fn *row,
            void *user, char *why);
/* Waits for so long, or until the user has had enough: false. */
bool ctl_sleep(const struct ctl *ctl, uint64_t ms);
/* The user's own daemon where its socket is there, else the system's. */
const char *ctl_default_path(char *path, size_t cap);

/* --- text.c: values for people --- */

/* Columns that UTF-8 text takes on a terminal. */
unsigned ctl_width(const char *text);
unsigned ctl_width_of(const char *text, size_t len);
/* The text with what terminals obey replaced by "?", and lines only where `with_lines`; freed by
 * the caller. */
char *ctl_clean(const char *text, size_t len, bool with_lines);
/* As many bytes of it as fit into so many columns. */
size_t ctl_fit(const char *text, unsigned columns);
/* "250ms", "3m12s", "2d04h". */
void ctl_put_duration(char *text, size_t cap, int64_t us);
/* "22:30:51" where it is of today, else with the date; wall clock, us. */
void ctl_put_time(char *text, size_t cap, int64_t us, bool with_ms);
int64_t ctl_now_us(void);
/* RFC 3339 in UTC; false: it is none. */
bool ctl_parse_time(const char *text, int64_t *us);
/* What is written to the stream is in `ptr`, with NUL, when it is closed; freed by the caller. */
struct ctl_text {
    char *ptr;
    size_t len, cap;
};
FILE *ctl_text_open(struct ctl_text *text);
/* A value of a row as it is shown; freed by the caller. */
char *ctl_value(const char *name, const json_t *value);
bool ctl_is_number(const json_t *value);
const char *ctl_string(const json_t *row, const char *name); /* "": there is none */
int64_t ctl_integer(const json_t *row, const char *name);

/* --- table.c: rows as tables --- */

struct ctl_answer; /* rows of a command, by their sets */

struct ctl_answer *ctl_answer_new(const struct ctl *ctl, const struct admin_command *command);
void ctl_answer_free(struct ctl_answer *answer);
void ctl_answer_row(void *answer, const char *set, json_t *row); /* a ctl_row_fn */
/* Everything, for people or as JSON; `error`: NULL, or why it is not all. */
void ctl_answer_print(const struct ctl_answer *answer, const char *error, FILE *out);

/* --- watch.c: again and again --- */

/* The words, shown once, or as long as the user wants it. An exit status. */
int ctl_run(const struct ctl *ctl, const struct admin_command *command, unsigned n,
            const char *const *words);
/* Says what is wrong. */
int ctl_fail(int status, const char *why);

/* --- trace.c, ladder.c: messages --- */

int ctl_trace(const struct ctl *ctl, unsigned n, const char *const *words);

/* Messages as arrows between addresses, one column for each. */
struct ctl_ladder;
struct ctl_ladder *ctl_ladder_new(const struct ctl *ctl);
void ctl_ladder_free(struct ctl_ladder *ladder);
/* Those who take part have to be known before the first message is shown. */
void ctl_ladder_note(struct ctl_ladder *ladder, const json_t *message);
void ctl_ladder_put(struct ctl_ladder *ladder, const json_t *message, FILE *out);

/* --- print.c: what is made from the table --- */

void ctl_print_help(FILE *out);
void ctl_print_command(const struct admin_command *command, FILE *out);
void ctl_print_man(FILE *out);
void ctl_print_markdown(FILE *out);
/* Lines "WORD<TAB>what it is" for the last of the words that are typed. */
void ctl_complete(const struct ctl *ctl, unsigned n, const char *const *words, FILE *out);
/* The options of holdfastctl itself, as getopt_long wants them and with their help. */
struct ctl_option {
    const char *name, *argument, *help; /* argument: NULL, "PATH", "[SECONDS]" */
    int letter;                         /* 0: none */
};
extern const struct ctl_option ctl_options[]; /* the last one has the name NULL */
/* The command that the words begin with; *used: how many of them are its name. NULL: none. */
const struct admin_command *ctl_command(unsigned n, const char *const *words, unsigned *used);

#endif
