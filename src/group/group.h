/* SPDX-License-Identifier: Apache-2.0 */
/* The applications in front of which we stand, as data: SIP Servers, high-availability pairs of
 * them and balanced groups; their members, who is active, who is up.
 *
 * One object for all workers. A pair has one active member at a time, for the whole process; which
 * one is found out by checks (health/), by a SIP request that arrives from the other member, or
 * said by the administrator; it never falls back by itself. A balanced group spreads what begins a
 * dialog over the members that are up. Groups and members are named by ids that stay the same over
 * a reload as long as the name of the group and the URI of the member do; the id of what is gone
 * names nothing. owns: settings, states, addresses, the last switchovers. borrows: nothing. thread:
 * any; one lock, held for a look-up; what each message asks takes no lock while nothing changes.
 * Times are ms of the loops' clock (flows_time) where they are called `now`. High availability as
 * in Genesys SIP Proxy (oos-check, oos-force). */
#ifndef GROUP_GROUP_H
#define GROUP_GROUP_H

#include <stdbool.h>
#include <stdint.h>

#include "base/addr.h"
#include "base/arena.h"
#include "base/counter.h"
#include "base/err.h"
#include "base/field.h"
#include "base/hash.h"
#include "base/slice.h"

struct groups;

#define GROUP_MEMBERS_MAX 32
#define GROUP_ADDRS_MAX   16 /* of one member */

enum group_role { GROUP_PAIR, GROUP_BALANCED };

enum group_policy {
    GROUP_ROUND_ROBIN,
    GROUP_WEIGHTED,
    GROUP_HASH_CALL_ID, /* consistent: when a member leaves, only its calls move */
    GROUP_HASH_FROM,
    GROUP_HASH_TO,
    GROUP_LEAST_CALLS, /* by weight */
};

enum group_state {
    GROUP_UNKNOWN, /* pair: nobody has answered yet, the first member is presumed active; member:
                      not asked yet */
    GROUP_UP,      /* pair: the active member answers; member: it answers */
    GROUP_SEARCH,  /* pair: it is not known which is active, both are asked in turn; the last one
                      is presumed */
    GROUP_DOWN,    /* pair: both are silent; group: nobody is up; member: it does not answer */
};

struct group_member_conf {
    char *uri;        /* a sip: or sips: URI that has been checked */
    struct addr addr; /* its host where that is an IP address, with the port; else ADDR_NONE */
    uint32_t weight;  /* 1 to 1000 */
};

/* One [application …] section. Strings are NUL-terminated, NULL when not set. */
struct group_conf {
    char *name;
    enum group_role role;
    enum group_policy policy;
    struct group_member_conf *members; /* pair: primary, then backup where there is one */
    unsigned nmembers;
    uint32_t check_ms, force_ms; /* oos-check (0: no checks, members are taken to be up), oos-force
                                  */
    uint16_t *failures;          /* final responses to a check that do not count as alive */
    unsigned nfailures;
    bool shares_dialogs; /* pair: requests inside dialogs go to the active member, whichever of the
                            two the Route or Request-URI names */
    bool has_tls;        /* TLS rules of its own: profile of group_profile_name */
    struct addr_net *access; /* from where its requests may come; none: its members' addresses */
    unsigned naccess;
};

int groups_new(const struct hash_key *key, struct groups **out) WARN_UNUSED;
void groups_free(struct groups **groups);
/* New settings (start and reload); copied. A group that was there keeps its active member, states
 * and history where the members stay. 0 or ERR_NOMEM (nothing changed). */
int groups_configure(struct groups *groups, const struct group_conf *conf, unsigned n,
                     uint64_t now) WARN_UNUSED;
/* Called after each change of an active member, of a group's state or of that of a member of a
 * balanced group, and when trouble has made a check due at once, by the thread that made it: it may
 * only wake others. */
void groups_set_changed(struct groups *groups, void (*fn)(void *user), void *user);
/* Grows by each such change: cheap, no lock. */
uint64_t groups_epoch(const struct groups *groups);
unsigned groups_count(struct groups *groups); /* configured */
unsigned groups_down(struct groups *groups);  /* of these out of service */

/* Ids; 0: none, and every function takes 0 and stale ids. */
uint32_t group_find(struct groups *groups, struct slice name);
uint32_t group_of(uint32_t member); /* the group of a member's id */

/* How a request has come, by how hard it is to pretend its source. */
enum group_way { GROUP_DATAGRAM, GROUP_STREAM, GROUP_TLS };
/* Who sends from there? A member: its address is `remote`, and its port that of `remote` or
 * `sent_by_port` (of the topmost Via, where the default has been filled in), and it came by no less
 * than what the member's URI says: one with transport=tcp sends no datagrams, one with TLS sends by
 * TLS only. Else, where `remote`
 * is in its `access`, the group alone, as a member id that names no member. 0: no application. No
 * lock. */
uint32_t group_sender(struct groups *groups, const struct addr *remote, uint16_t sent_by_port,
                      enum group_way way);
bool group_is_member(uint32_t member); /* false: 0, or a group alone */
/* Whose address and port is this (Route, Request-URI, flow)? 0: nobody's. No lock. */
uint32_t group_member_at(struct groups *groups, const struct addr *addr);
/* The same by the host and port of a URI where the host is a name: compared with the members' URIs.
 */
uint32_t group_member_named(struct groups *groups, struct slice host, uint16_t port);

/* One member, as a target. */
struct group_target {
    uint32_t member;
    struct slice uri;     /* in the caller's arena */
    struct slice profile; /* of TLS, empty: the daemon's own */
};

/* What the choice may depend on. */
struct group_keys {
    struct slice call_id, from, to; /* From and To: their URIs' user and host, lower case not needed
                                     */
};

struct group_choice {
    unsigned status;      /* 0: targets; 503: nobody is up */
    uint32_t retry_after; /* s, with status */
    unsigned n;           /* in the order to be tried: pair: the active one, then the other one;
                             group: as the policy says, those that are up */
    struct group_target *targets;
};

/* For a request outside a dialog. 0, ERR_NOT_FOUND (no such group), ERR_NOMEM. */
int group_choose(struct groups *groups, uint32_t group, const struct group_keys *keys,
                 struct arena *arena, struct group_choice *out) WARN_UNUSED;
/* For a request inside a dialog that names this member: of a pair that shares dialogs the active
 * one, else the member itself. Also 503 where its whole group is down, unless it has a deputy
 * (group_has_deputy): then both, as while it is not known who is active. The same errors. */
int group_choose_in_dialog(struct groups *groups, uint32_t member, struct arena *arena,
                           struct group_choice *out) WARN_UNUSED;
/* The member that has taken over from this one: the pair's active member, when that is another one
 * and the pair is up. 0: none, this one is still it. No lock while nothing changed since `epoch`.
 */
uint32_t group_successor(struct groups *groups, uint32_t member);
/* Is it of a pair of two that is watched by checks, so that the other one may take over soon?
 * `in_dialog`: for a request inside a dialog, of which the other one has to know. */
bool group_has_deputy(struct groups *groups, uint32_t member, bool in_dialog);
/* The group's name, in the arena; empty: no such group, or no memory. */
struct slice group_name_of(struct groups *groups, uint32_t group, struct arena *arena);
enum group_state group_state_of(struct groups *groups, uint32_t group);
/* A group that is out of service, as seen by what is under way towards one of its members. */
struct group_outage {
    bool is_down;     /* false: it is in service */
    bool says_no;     /* of a member that is out: it lives, and has answered its last check by a
                         status that does not count */
    uint32_t wait_ms; /* oos-force where any member answers so, as it may be in reserve and about to
                         take over; 0: all are silent */
};
void group_outage_of(struct groups *groups, uint32_t member, struct group_outage *out);
enum group_state group_member_state(struct groups *groups, uint32_t member);

/* --- what is found out ------------------------------------------------------------------------ */

/* All addresses that the member's URI leads to now. */
void group_set_addrs(struct groups *groups, uint32_t member, const struct addr *addrs, unsigned n);
/* A SIP request (no OPTIONS: a member in reserve may check us) has come from that member: of a pair
 * it is the active one from now on. True when that is a switchover. But shortly after a switchover
 * (the longer one of oos-check and oos-force) the member that was active before may still send what
 * it had under way: then the active one is checked at once, and that decides. */
bool group_note_request(struct groups *groups, uint32_t member, uint64_t now);
/* The transport failed, or a request got no answer: the check that is due is made at once. */
void group_note_trouble(struct groups *groups, uint32_t member, int err);
/* least calls: a call has begun and ended. Cheap; no lock. */
void group_call_begin(struct groups *groups, uint32_t member);
void group_call_end(struct groups *groups, uint32_t member);

/* --- checks (health/) ------------------------------------------------------------------------- */

struct group_plan {
    uint32_t member; /* to be asked now, and taken as asked; 0: nobody */
    uint64_t next;   /* when to look at the plan again; UINT64_MAX: there are no checks */
};
/* What is to be done for a group's checks. Called until it names nobody, at `next`, after each
 * answer or failure, and when groups_epoch has changed. */
void group_plan(struct groups *groups, uint32_t group, uint64_t now, struct group_plan *out);
/* A final response to a check: alive, or a status that does not count. True: alive. */
bool group_note_answer(struct groups *groups, uint32_t member, unsigned status, uint64_t now);
/* A check could not be brought to the member; or, where `err` is a fault of ours (ERR_NOMEM,
 * ERR_FULL, ERR_LIMIT, ERR_SHUTDOWN), it was not made at all. Silence needs no word: the plan knows
 * it. */
void group_note_failed(struct groups *groups, uint32_t member, int err, uint64_t now);
/* How the member is reached, in the arena. 0, ERR_NOT_FOUND, ERR_NOMEM. */
int group_member_target(struct groups *groups, uint32_t member, struct arena *arena,
                        struct group_target *out) WARN_UNUSED;
bool group_has_member(struct groups *groups, uint32_t member); /* false: a stale id */
bool groups_are_any(const struct groups *groups);              /* false: none is configured */
/* Its members as they are configured, at most `max`. How many. */
unsigned group_members(struct groups *groups, uint32_t group, uint32_t *members, unsigned max);
/* Since the process began. */
struct group_totals {
    uint64_t switched, down, back;
};
void group_totals(struct groups *groups, uint32_t group, struct group_totals *out);

/* The place in its application of a member, as people name it: by its URI, or by the host or
 * address that the list of members shows, with the port where two of them differ by nothing else.
 * 0, ERR_NOT_FOUND, ERR_UNSUPPORTED (it names several). */
int group_place_of(struct groups *groups, uint32_t group, struct slice text,
                   uint32_t *place) WARN_UNUSED;
/* The administrator. `to`: index of the member, or UINT32_MAX: the other one. 0; ERR_NOT_FOUND;
 * ERR_UNSUPPORTED (not a pair of two). */
int group_switch(struct groups *groups, struct slice name, uint32_t to, uint64_t now) WARN_UNUSED;
/* Rows, with the lock held: of the set "application" for each (name, role, state, active, since,
 * switchovers, down_count, back_count), followed by "member" (application, index, uri, state,
 * active, addresses, since, calls, weight, last_answer: status of the last check's answer, or why
 * there was none, answered: when, silent_ms: asked in vain for so long) and "switchover", the last
 * one first (application, time, from, to, cause, ms). `wall`: wall-clock ms of `now`. */
void groups_rows(struct groups *groups, uint64_t now, uint64_t wall, const struct row_sink *sink);
/* The name of the TLS rules of an application: "application NAME". */
#define GROUP_PROFILE_MAX 80
struct slice group_profile_name(struct slice name, char *room);

#endif
