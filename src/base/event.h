/* SPDX-License-Identifier: Apache-2.0 */
/* Standard events: log lines with a stable number, a page that explains them, and a memory of the
 * last ones.
 *
 * The table is base/events.def. An event is a line of the log with `event=NUMBER` as its first
 * field, and it is handed to the tap, if there is one, also where the log has a limit that leaves
 * the line out. owns: nothing. thread: any. */
#ifndef BASE_EVENT_H
#define BASE_EVENT_H

#include "base/log.h"

enum event {
#define EVENT(id, number, level, module, name, text, means, to_do) id,
#include "base/events.def"
#undef EVENT
    EVENT_MAX
};

struct event_text {
    unsigned number;
    enum log_level level;
    const char *module, *name, *text, *means, *to_do;
};
const struct event_text *event_text(enum event ev);

/* EVENT_LOG(EV_DN_OUT, LF_SLICE("dn", name), LF_ERR("cause", err)) */
void event_log(enum event ev, unsigned n, const struct field *fields);
#define EVENT_LOG(ev, ...)                                                 \
    do {                                                                   \
        const struct field event_f_[] = {__VA_ARGS__};                     \
        event_log((ev), sizeof(event_f_) / sizeof(event_f_[0]), event_f_); \
    } while (0)
/* The same with a limit on the lines of the log; the first line after some were left out says how
 * many (`left_out`). */
void event_log_limited(enum event ev, struct log_limit *limit, uint64_t now, uint32_t burst,
                       uint32_t interval_ms, unsigned n, const struct field *fields);

/* Who else is told of each event, by the thread that it happens on: must not block. NULL: nobody
 * any more; returns when no call is under way. */
typedef void event_tap_fn(void *user, enum event ev, unsigned n, const struct field *fields);
void event_set_tap(event_tap_fn *tap, void *user);

#endif
