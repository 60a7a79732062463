/* SPDX-License-Identifier: Apache-2.0 */
/* Overload: what is let in, what is refused, and how much less our neighbours want or shall send.
 *
 * Three limits for what begins something new: initial INVITEs a second of the whole proxy, requests
 * a second from one address, and a share that grows while the worker itself lags. What belongs to
 * something that exists passes; that is for the caller to tell (LOAD_PASS). owns: rates, sources,
 * neighbours. borrows: conf, counters. thread: struct load: one worker; struct load_shared: any.
 * RFC 3261 21.5.4 (503, Retry-After); RFC 7339 (loss-based); RFC 6357 section 4. */
#ifndef LOAD_LOAD_H
#define LOAD_LOAD_H

#include <stdbool.h>
#include <stdint.h>

#include "base/addr.h"
#include "base/counter.h"
#include "base/err.h"
#include "base/field.h"
#include "base/hash.h"

struct load_shared; /* of all workers */
struct load;        /* of one */

struct load_conf {
    uint32_t dialog_rate; /* overload-ctrl-dialog-rate: initial INVITEs a second; 0: off */
    uint32_t source_rate; /* overload-source-rate: requests outside dialogs a second from one
                             address, burst the same; 0: off */
    uint32_t lag_ms;      /* overload-lag: a worker that is later than that sheds; 0: off */
    uint32_t retry_min_s, retry_max_s; /* Retry-After is drawn between them, so that retries spread
                                        */
    bool is_control; /* overload-control: RFC 7339 with neighbours that speak it */
};

/* What kind of request is it? */
enum load_kind {
    LOAD_PASS,   /* inside a dialog, emergency, priority: never refused */
    LOAD_INVITE, /* an initial INVITE */
    LOAD_OTHER,  /* anything else outside a dialog */
};

enum load_cause { LOAD_ADMITTED, LOAD_RATE, LOAD_SOURCE, LOAD_LAG }; /* ADMITTED: it goes on */

int load_shared_new(const struct hash_key *key, struct load_shared **out) WARN_UNUSED;
void load_shared_free(struct load_shared **shared);
int load_new(const struct load_conf *conf, struct load_shared *shared, unsigned worker,
             struct counters *counters, struct load **out) WARN_UNUSED;
void load_free(struct load **load);
void load_set_conf(struct load *load, const struct load_conf *conf); /* borrowed */

/* Once for each turn of the loop: how late the worker is, as the longest time that something had to
 * wait before it was looked at (ms), and how many mails wait. */
void load_on_turn(struct load *load, uint32_t late_ms, uint32_t waiting, uint64_t now);
/* How full the fullest receive buffer of datagrams was when this turn began, and how many the
 * kernel has dropped; before load_on_turn, where it is known. */
void load_on_buffer(struct load *load, unsigned percent, uint64_t dropped);
/* How long the first one of those that stand in line has stood there; before load_on_turn. */
void load_on_line(struct load *load, uint64_t waited_ms);
/* Is the worker late, so that new calls stand in line (load/line.h) behind what belongs to calls
 * that exist? Cheap. */
bool load_is_lining(const struct load *load, uint64_t now);
/* May one more stand in line behind so many? Not where it would stand there for too long, nor, when
 * what is let in otherwise is what takes the time, the share that is refused. */
bool load_has_room(struct load *load, const struct addr *source, unsigned in_line, uint64_t now);
/* Is there any limit that could refuse something now? Cheap. */
bool load_is_limiting(const struct load *load);
/* May it go on, having stood in line for so long (ms)? Counts it where it does. Under overload an
 * INVITE that stood there for more than a fifth of overload-lag is refused. */
#define LOAD_AT_ONCE (-1) /* it has not */
#define LOAD_NO_ROOM (-2) /* there is no room for it in the line (load_has_room) */
enum load_cause load_admit(struct load *load, enum load_kind kind, const struct addr *source,
                           int64_t waited_ms, uint64_t now);
/* The Retry-After of a 503, s: drawn anew for each, from `least` on where that is later than
 * overload-retry-after begins. */
uint32_t load_retry_after(struct load *load, uint32_t least);
/* The share of new requests that is refused now for lag, 0 to 100. */
unsigned load_loss(const struct load *load);

/* --- RFC 7339 --- */
struct load_oc {
    unsigned loss;        /* percent, 0 to 100 */
    uint32_t validity_ms; /* 0: the control ends */
    uint64_t seq;         /* oc-seq times 10^5: only a higher one counts */
};
/* What a neighbour (next hop) says in a response. */
void load_note_oc(struct load *load, const struct addr *neighbour, const struct load_oc *oc,
                  uint64_t now);
/* Does any neighbour ask for less now? Cheap. */
bool load_is_asked(const struct load *load, uint64_t now);
/* Do we take part in it? */
bool load_is_control(const struct load *load);
/* May a request of that kind go there? False: it is one of those the neighbour wants to be rid of.
 */
bool load_may_send(struct load *load, const struct addr *neighbour, enum load_kind kind,
                   uint64_t now);
/* A request has come from a neighbour that speaks it: it holds back by itself what we ask for. */
void load_note_speaks(struct load *load, const struct addr *neighbour, uint64_t now);
/* Could load_ask say something? Cheap. */
bool load_has_asked(const struct load *load);
/* What we ask of a neighbour that speaks it. False: nothing, there is no overload and was none. */
bool load_ask(struct load *load, uint64_t now, struct load_oc *out);

/* Rows: one of the set "overload" (refusing: for lag; lag_ms: standing; worst_ms: of the last
 * interval; limit_ms, loss_percent: of INVITEs, loss_other_percent, refused_rate, refused_source,
 * refused_lag, refused_neighbour: so far) and "neighbour" for each that speaks RFC 7339 (address,
 * loss_percent: what it asks for, until_ms: for so long, follows: what we ask for). */
void load_rows(struct load *load, uint64_t now, const struct row_sink *sink);

#endif
