/* SPDX-License-Identifier: Apache-2.0 */
/* Who is active in a pair, and whether one member of a balanced group is up: as functions of what
 * was heard and when.
 *
 * No socket, clock, lock, memory or log. Times are ms; `check_ms` and `force_ms` are oos-check and
 * oos-force. owns: values only. thread: any. High availability as in Genesys SIP Proxy. */
#ifndef GROUP_PAIR_INT_H
#define GROUP_PAIR_INT_H

#include "group/group.h"

#define PAIR_AGAIN_MS 500 /* no member is asked more often than that, whatever the trouble */

/* Out of service for so long, one that answers, though by a status that does not count, is asked
 * again as soon as that allows: it may be in reserve, and about to take over. */
#define PAIR_SOON_MS 8000

enum pair_cause { PAIR_CHECK, PAIR_REQUEST, PAIR_TROUBLE, PAIR_ADMIN };

/* OPTIONS to one member. */
struct pair_ask {
    bool was_asked;  /* ever: `asked` says when */
    bool is_awaited; /* neither answered nor failed: silent since `since`, the first one of them */
    uint64_t asked, since;
    uint64_t again; /* in a search: it has failed at once, and is asked again then; 0: not */
    bool says_no;   /* found to be of no use, and alive: it has answered by a status that does not
                       count */
};

struct pair {
    uint32_t check_ms, force_ms;
    unsigned n; /* members: 1 or 2 */
    enum group_state state;
    unsigned active; /* or presumed to be */
    unsigned turn;   /* who is asked next while it is not known who is active */
    unsigned silent; /* bit i: member i has been found silent in this search */
    uint64_t begun;  /* the search */
    uint64_t next;   /* when the next one is asked; UINT64_MAX: no checks */
    uint64_t soon;   /* out of service: the end of PAIR_SOON_MS */
    uint64_t guard;  /* until then a request of the member that has just been active may be one that
                        was under way, and is no proof */
    bool is_lost;    /* nobody has answered since `lost`; `err` says what was seen first */
    uint64_t lost;
    int err;
    struct pair_ask asks[2];
};

/* What has come of it; kept by the caller, who zeroes it. */
struct pair_change {
    bool is_switched; /* from one member to another */
    bool is_down, is_back, is_state;
    unsigned from, to;
    enum pair_cause cause;
    int err;     /* why the one before was given up, 0: it was not */
    uint64_t ms; /* without a member that answers */
};

/* Unknown, the first member presumed active. n: 1 or 2. */
void pair_init(struct pair *p, unsigned n, uint32_t check_ms, uint32_t force_ms, uint64_t now);
/* Other settings; who is active stays. */
void pair_configure(struct pair *p, unsigned n, uint32_t check_ms, uint32_t force_ms, uint64_t now,
                    struct pair_change *out);
/* Time goes by. The member to be asked now, which counts as asked then, or -1: nobody before
 * *next. */
int pair_plan(struct pair *p, uint64_t now, uint64_t *next, struct pair_change *out);
/* Member i has given an answer that counts as alive. */
void pair_answered(struct pair *p, unsigned i, uint64_t now, struct pair_change *out);
/* What was asked could not be brought to member i, or was answered by a status that does not count.
 */
void pair_failed(struct pair *p, unsigned i, int err, uint64_t now, struct pair_change *out);
/* It could not be asked, for reasons of ours: that says nothing, and is tried again soon. */
void pair_unasked(struct pair *p, unsigned i, uint64_t now);
/* A request could not be brought to member i, or its connection has ended. True: the plan is
 * another one now. */
bool pair_trouble(struct pair *p, unsigned i, int err, uint64_t now, struct pair_change *out);
/* A request has come from member i. True: the plan is another one now. */
bool pair_request(struct pair *p, unsigned i, uint64_t now, struct pair_change *out);
/* The administrator wants member i. */
void pair_switch(struct pair *p, unsigned i, uint64_t now, struct pair_change *out);

/* One member of a balanced group. */
struct pulse {
    uint32_t check_ms, force_ms;
    uint32_t place; /* its place in the interval, in 2^32ths */
    enum group_state state;
    uint64_t next;
    struct pair_ask ask;
};

void pulse_init(struct pulse *p, uint32_t place, uint32_t check_ms, uint32_t force_ms,
                uint64_t now);
void pulse_configure(struct pulse *p, uint32_t check_ms, uint32_t force_ms, uint64_t now);
/* True: it is to be asked now. */
bool pulse_plan(struct pulse *p, uint64_t now, uint64_t *next);
void pulse_answered(struct pulse *p, uint64_t now);
void pulse_failed(struct pulse *p, uint64_t now);
void pulse_unasked(struct pulse *p, uint64_t now);
bool pulse_trouble(struct pulse *p, uint64_t now);
/* It is taken to be up. */
static inline bool pulse_is_up(const struct pulse *p)
{
    return p->state != GROUP_DOWN;
}

#endif
