/* SPDX-License-Identifier: Apache-2.0 */
/* What the files of this room share: groups, members, and the view that is read without a lock.
 *
 * owns: see group.h. Everything but the view, the epoch and the cells is behind the lock. thread:
 * any. */
#ifndef GROUP_GROUP_INT_H
#define GROUP_GROUP_INT_H

#include <pthread.h>
#include <stdatomic.h>

#include "base/log.h"
#include "group/pair_int.h"

#define GROUP_HISTORY 16 /* switchovers that are remembered */

/* An id: the number of the group, then that of the member within it, 0: the group alone. */
#define MEMBER_BITS 12
#define MEMBER_MASK ((1u << MEMBER_BITS) - 1)
#define SERIAL_MAX  (UINT32_MAX >> MEMBER_BITS)

/* Calls of one member. A cell lives as long as the groups do, so that it may be counted in without
 * a lock; there is one for each member that ever was. */
struct cell {
    struct cell *next;
    _Atomic uint32_t calls;
};

struct member {
    uint32_t id;
    char *uri;
    struct slice host; /* in `uri`, without brackets */
    uint16_t port;     /* as said in `uri`, 0: none */
    uint16_t default_port;
    enum group_way least; /* by which its requests come */
    struct addr fixed;    /* family ADDR_NONE: a name */
    uint32_t weight;
    int64_t current; /* of the smooth weighted round robin */
    unsigned naddrs;
    struct addr addrs[GROUP_ADDRS_MAX];
    struct cell *cell;
    struct pulse pulse;
    uint64_t since;    /* of the state */
    uint64_t answered; /* when what follows was found out; 0: never */
    uint16_t status;   /* of the final response to a check that came last, 0: none came */
    int16_t failure;   /* then: why */
    int trouble;    /* not yet looked at by the plan, or the check it asks for is not yet due; 0 */
    bool is_absent; /* has the addresses of a member before it */
};

struct switchover {
    uint64_t at;
    uint32_t from, to; /* ids of members */
    enum pair_cause cause;
    int err;
    uint64_t ms;
};

struct group {
    uint32_t id;
    struct group_conf conf; /* a copy, without its members */
    struct member *members;
    unsigned n;
    uint32_t last_member; /* number given last */
    struct pair pair;
    enum group_state state; /* balanced; of a pair: pair.state */
    uint64_t since, down_since;
    unsigned turn; /* round robin */
    struct group_totals totals;
    struct switchover history[GROUP_HISTORY];
    unsigned nhistory; /* ever */
    struct log_limit limit;
};

/* One array of words, read under a sequence number: an array that has grown too small is kept until
 * the end, as somebody may still be reading it. */
struct words {
    struct words *next;
    size_t cap;
    _Atomic uint64_t w[];
};

struct view {
    _Atomic uint64_t seq; /* odd while it is written */
    _Atomic(struct words *) words;
    _Atomic bool is_used; /* there is any group */
    struct words *old;    /* all arrays */
    struct words *spare;  /* one of them, larger, for the next view_write */
};

struct groups {
    pthread_mutex_t lock;
    struct hash_key key;
    struct group *list;
    unsigned n;
    uint32_t last_serial;
    struct cell *cells;
    struct view view;
    uint64_t now; /* the latest time that was told */
    _Atomic uint64_t epoch;
    void (*changed)(void *user);
    void *user;
};

/* What happened under the lock and is told without it. */
struct news {
    struct pair_change change;
    bool is_due;      /* a check is to be made at once */
    bool is_flapping; /* said often enough */
    bool is_member;   /* a member of a balanced group has come or gone */
    enum group_state state, member_state;
    uint32_t left_out;
    char name[80], from[200], to[200];
};

/* --- groups.c: look-ups, under the lock; NULL: none --- */
struct group *groups_find(struct groups *gs, uint32_t id);
struct member *group_member(struct group *g, uint32_t id, unsigned *index);
bool group_may_use(const struct group *g, unsigned index); /* not absent, and up */
enum group_state group_now(const struct group *g);
enum group_state group_state_of_member(const struct group *g, unsigned index);
/* Members of a pair that count: 1 or 2. */
unsigned group_pair_size(const struct group *g);
/* Host, ports and transport of a member's URI. */
void member_read_uri(struct member *m);

/* --- note.c --- */
/* Of a balanced group: its state follows from its members'. */
void group_judge(struct group *g, uint64_t now, struct pair_change *out);
/* Members that have the addresses of one before them do not count; said once. */
void group_look_for_twins(struct group *g);
/* Why it was switched over, for people; `room` of GROUP_CAUSE_MAX bytes may be used. */
#define GROUP_CAUSE_MAX 64
const char *group_cause_text(enum pair_cause cause, int err, char *room);

/* --- copy.c: settings --- */
int group_copy(struct group *dst, const struct group_conf *src) WARN_UNUSED;
void group_clear(struct group *g);

/* --- view.c --- */
/* Room for what these groups say, so that view_write cannot fail. 0 or ERR_NOMEM. */
int view_reserve(struct view *v, const struct group *list, unsigned n) WARN_UNUSED;
void view_write(struct view *v, struct group *list, unsigned n);
/* Who has this member's role now: the active member of its pair while that is up; of a balanced
 * group itself; 0: nobody. No lock. */
uint32_t view_holder(struct groups *groups, uint32_t member);
void view_fini(struct view *v);

#endif
