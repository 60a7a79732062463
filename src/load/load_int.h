/* SPDX-License-Identifier: Apache-2.0 */
/* What the files of this room share: rates, the control of lag, neighbours.
 *
 * owns: see the single structs. thread: struct load and what is in it: one worker; struct
 * load_shared: any. */
#ifndef LOAD_LOAD_INT_H
#define LOAD_LOAD_INT_H

#include <stdatomic.h>

#include "base/event.h"
#include "base/random.h"
#include "load/load.h"

/* --- rate.c: how many a second ---------------------------------------------------------------- */

/* A bucket of tokens as one number: when it will be full again (GCRA), ns of the loops' clock. What
 * lies in the past says "full", so that zero is a bucket nobody has used. */
struct load_bucket {
    _Atomic uint64_t full_at;
};
/* Takes one token of `rate` a second; the bucket holds one second's worth. */
bool load_bucket_take(struct load_bucket *b, uint32_t rate, uint64_t now);

#define LOAD_WAYS    4    /* places that one address may have */
#define LOAD_SETS    4096 /* power of two */
#define LOAD_WORKERS 64

struct load_source {
    _Atomic uint64_t check; /* keyed hash of the address; 0: nobody */
    struct load_bucket bucket;
};

struct load_shared {
    struct hash_key key;
    struct load_bucket dialogs;          /* overload-ctrl-dialog-rate */
    _Atomic uint32_t loss[LOAD_WORKERS]; /* per mille, what each worker wants to be rid of */
    _Atomic uint32_t nworkers;           /* that have a struct load */
    _Atomic uint32_t wanted;             /* percent: what neighbours are asked for */
    _Atomic uint64_t asks_until; /* ms: neighbours are told something until then; 0: never */
    struct load_source sources[LOAD_SETS][LOAD_WAYS];
};

/* May one more come from there? An IPv6 address stands for its /64. A new address takes the place
 * whose bucket has been full the longest; where none is full, that which will be so first: whoever
 * sends from many addresses loses nothing by it but their limits. */
bool load_source_take(struct load_shared *s, const struct addr *from, uint32_t rate, uint64_t now);
uint64_t load_source_hash(const struct load_shared *s, const struct addr *from);

/* --- control.c: which share is refused for lag ------------------------------------------------ */

#define LOAD_INTERVAL_MS                                                                   \
    100                /* the least lag of so long is the standing one: RFC 8289 section 3 \
                        */
#define LOAD_FULL 1000 /* per mille of everything */

/* Shedding begins when the standing lag exceeds the limit, and holds it at a fifth of that from
 * then on, so that what is let in does not wait long; it ends when nothing had to be refused for a
 * while. The share follows the lag and its change (proportional-integral, as RFC 8033). Where the
 * limit is exceeded all the same everything is refused until the wait is short again: requests
 * inside dialogs stand in the same line, and a wait of 500 ms makes everybody send again. */
struct load_control {
    uint64_t since;    /* of this interval, ms */
    double least;      /* ms, the least lag in it; below 0: nothing was seen */
    double most;       /* of the last interval, ms, for show */
    double worst;      /* in this interval, ms */
    double last;       /* standing lag of the interval before, ms */
    double growth;     /* of it, ms for each ms */
    double empty;      /* intervals in a row in which nothing had to wait */
    double share;      /* 0 to 1: of INVITEs */
    bool is_on;        /* shedding */
    bool is_draining;  /* the standing lag exceeded the limit: no INVITE is let in until what waits
                          has been worked off */
    uint64_t ends;     /* while nothing is refused: when shedding ends, ms */
    uint64_t begun;    /* ms */
    uint64_t lines;    /* new calls stand in line until then, ms */
    double late;       /* ms: the lag of this turn without that of the line */
    double least_late; /* in this interval; below 0: nothing was seen */
    bool is_outside;   /* that alone was too long in the last one: it is not new calls that wait */
    unsigned let_in;   /* of those that stood in line, in this interval */
    unsigned too_late;
    unsigned room;   /* so many are let in while the first of them may wait */
    unsigned credit; /* of refusals, per mille, INVITE and OTHER */
    unsigned credit_other;
};
enum load_change { LOAD_SAME, LOAD_BEGINS, LOAD_ENDS };
/* What was seen in one turn of the loop; whether shedding has begun or ended with it. */
enum load_change load_control_turn(struct load_control *c, double lag_ms, uint32_t limit_ms,
                                   uint64_t now);
/* Per mille that is refused. Others than INVITE only what INVITEs alone cannot make good. */
unsigned load_control_share(const struct load_control *c, enum load_kind kind);
/* Is the wait in front of the line, and not in it? Then calls are refused by the share, else by how
 * long they stand there. */
bool load_control_goes_by_share(const struct load_control *c);
/* Refuse the INVITE that stood in line for so long, or for which there is no room (LOAD_NO_ROOM)?
 * `share`: what is refused of its sender's. */
bool load_control_refuses_late(struct load_control *c, double waited_ms, uint32_t limit_ms,
                               unsigned share);
/* Refuse this one? Spreads refusals evenly: of N in a row N times the share. */
bool load_control_refuses(struct load_control *c, enum load_kind kind, unsigned share);

/* --- neighbour.c: RFC 7339 -------------------------------------------------------------------- */

#define LOAD_NEIGHBOURS 256
#define LOAD_PROBES     8

struct load_neighbour {
    struct addr addr;
    uint64_t used;     /* ms */
    uint64_t until;    /* ms: what it asks for holds so long */
    uint64_t seq;      /* of what it asks for */
    uint64_t speaks;   /* ms: until then it is taken to follow what we ask for */
    uint8_t loss;      /* percent */
    uint32_t can, all; /* requests that may be held back for it, and all, lately */
    unsigned credit;   /* of refusals, per mille */
};

struct load {
    const struct load_conf *conf;
    struct load_shared *shared;
    struct counters *counters;
    unsigned worker;
    struct rng rng;
    struct load_control control;
    bool has_wanted;      /* to be rid of something, when the others were last told */
    uint64_t asked_until; /* ms: some neighbour asks for less until then */
    double in_line;       /* ms, for how long the first one in line has stood there */
    double buffer;        /* how full the fullest receive buffer was in this turn, 0 to 1 */
    uint64_t dropped;     /* datagrams that the kernel dropped while shedding, for the log */
    uint64_t shed;        /* refused since shedding began */
    uint64_t began;       /* ms: shedding for lag */
    uint64_t over_rate;   /* calls refused for overload-ctrl-dialog-rate, since it began */
    uint64_t rate_began, rate_last; /* ms: of the first and the last of them */
    struct load_neighbour neighbours[LOAD_NEIGHBOURS];
};

/* What this worker wants to be rid of, per mille, has changed. */
void load_want(struct load *load, unsigned loss, uint64_t now);
/* `make`: a place for it, that of the one not used for longest; else NULL where it is not known. */
struct load_neighbour *load_neighbour_of(struct load *load, const struct addr *addr, bool make,
                                         uint64_t now);

#endif
