/* SPDX-License-Identifier: Apache-2.0 */
/* The memory of the last standard events of the process, and the wake-up of those who follow them.
 *
 * One object is told of all events (event_set_tap). An event that comes when the memory is full
 * takes the place of the oldest one of the kind that has most: what comes in floods pushes out its
 * own, and nothing of the other kinds. owns: the memory. borrows: nothing. thread: rows and wait:
 * any; made and freed by main, when no reader is left. */
#ifndef ADMIN_EVENTS_H
#define ADMIN_EVENTS_H

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"
#include "base/event.h"
#include "base/field.h"

struct admin_events;

#define ADMIN_EVENTS_KEPT 1000

/* 0, ERR_NOMEM. Becomes the tap of events. */
int admin_events_new(struct admin_events **out) WARN_UNUSED;
void admin_events_free(struct admin_events **events);

/* Rows of the set "event" for what came after `since` (0: all that is kept), oldest first, at most
 * `max` (0: all): seq, time (RFC 3339), number, level, module, name, text, fields (the event's own
 * ones as a JSON object in text; the oldest one of a kind has `forgotten` among them where so many
 * before it are not kept any more). Returns the number of the last one given, or `since` when there
 * was none.
 *
 * Numbers go up by one, those forgotten between are skipped; they are never used again, also by a
 * later process while the clock of the machine is right; `since` from before a restart finds all of
 * this process. One that lies ahead of all there is finds all that is kept. */
uint64_t admin_events_rows(struct admin_events *events, uint64_t since, unsigned max,
                           const struct row_sink *sink);

/* The number of the last event; that of none yet is lower than those of all to come. */
uint64_t admin_events_last(struct admin_events *events);

/* Waits for an event after `since`. False: none within `timeout_ms`. */
bool admin_events_wait(struct admin_events *events, uint64_t since, uint32_t timeout_ms);

#endif
