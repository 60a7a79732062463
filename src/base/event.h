/* SPDX-License-Identifier: Apache-2.0 */
/* Standard events: log lines with a stable number, a page that explains them, and a memory of the
 * last ones.
 *
 * The table is base/events.def. An event is a line of the log with `event=NUMBER` as its first
 * field. Kinds that can come in storms have a limit of lines: the next line of the kind says how
 * many were left out, and when none comes, event_tick does. The tap, if there is one, is told of
 * all. owns: nothing. thread: any. */
#ifndef BASE_EVENT_H
#define BASE_EVENT_H

#include <stdio.h>

#include "base/log.h"

enum event {
#define EVENT(id, number, level, module, name, limit, text, fields, means, to_do) id,
#include "base/events.def"
#undef EVENT
    EVENT_MAX
};

struct event_text {
    unsigned number;
    enum log_level level;
    unsigned limit; /* lines of the log in EVENT_INTERVAL_MS; 0: all */
    const char *module, *name, *text, *fields, *means, *to_do;
};
const struct event_text *event_text(enum event ev);

/* EVENT_LOG(EV_DN_OUT, LF_SLICE("dn", name), LF_ERR("cause", err)); the names are those of the
 * table. A text or address that is empty is left out, wherever the event is told. */
void event_log(enum event ev, unsigned n, const struct field *fields);
#define EVENT_LOG(ev, ...)                                                 \
    do {                                                                   \
        const struct field event_f_[] = {__VA_ARGS__};                     \
        event_log((ev), sizeof(event_f_) / sizeof(event_f_[0]), event_f_); \
    } while (0)

#define EVENT_INTERVAL_MS 10000
/* Says for each kind whose interval has ended how many of it were left out; about once a second, by
 * one thread. `is_end`: for all kinds, since nothing follows any more. */
void event_tick(bool is_end);

/* Who else is told of each event, by the thread that it happens on: must not block. NULL: nobody
 * any more; returns when no call is under way. */
typedef void event_tap_fn(void *user, enum event ev, unsigned n, const struct field *fields);
void event_set_tap(event_tap_fn *tap, void *user);

/* For tests: the clock of the limits (ms; NULL: the system's), and no line of any kind was written
 * yet. */
void event_reset(uint64_t (*clock)(void));

/* 128 bits in hexadecimal: what journalctl finds all events of a number by (MESSAGE_ID). */
#define EVENT_MESSAGE_ID_LEN 32
void event_message_id(unsigned number, char id[EVENT_MESSAGE_ID_LEN + 1]);

/* docs/events.md. */
void event_print_markdown(FILE *out);
/* As items of a manual page. */
void event_print_man(FILE *out);

#endif
