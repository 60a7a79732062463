/* SPDX-License-Identifier: Apache-2.0 */
/* What the files of this room share: the DNs that are checked, and one check under way.
 *
 * owns: items live as long as their section; a check lives in the arena of its scope. thread: one
 * worker. */
#ifndef HEALTH_HEALTH_INT_H
#define HEALTH_HEALTH_INT_H

#include "base/random.h"
#include "base/table.h"
#include "health/health.h"

#define HEALTH_SUSPECT_MS 1000 /* a check without an answer for so long makes the DN suspect */
#define HEALTH_CHECK_MS                                                                      \
    5000 /* a check without an answer for so long has failed; while the DN is out of service \
            sooner, when the next one is due */
#define HEALTH_AGAIN_MS    1000 /* after a failure, until the DN is out of service */
#define HEALTH_SWEEP_MS    1000 /* how often it is looked whether somebody else found a DN dead */
#define HEALTH_TARGETS_MAX 16   /* addresses of one DN that are asked in one check */

struct check;

struct health {
    struct health_deps deps;
    struct rng rng;
    struct table items; /* by name */
    uint32_t place;     /* of the next new DN: in 2^32ths of its interval */
    unsigned outages;   /* dn_outages at the last sweep */
    struct timer sweep;
    bool is_stopped;
    struct app *apps;                /* member.c: those that this worker checks */
    const struct group_conf *groups; /* the settings that are in use */
    unsigned ngroups;
    struct timer no_memory; /* some of them are still to be begun */
};

/* A DN with oos-check. Times are of the loop's clock. */
struct item {
    struct table_node node;
    struct health *h;
    struct timer timer;  /* for whatever comes first */
    struct check *check; /* under way, or NULL */
    uint64_t next;       /* when the next one begins */
    uint64_t failing;    /* when the first check that had no answer began, 0: none */
    uint64_t contact;    /* keyed hash of the fixed contact, 0: none */
    uint32_t place;      /* its place in its interval, in 2^32ths */
    uint32_t check_ms, again_ms, force_ms;
    char *uri;     /* while it is failing: the way asked first; NULL: no memory for it */
    int cause;     /* why it is failing */
    bool is_out;   /* checked as one that is out of service */
    bool was_told; /* that it fails, to the directory */
    unsigned nfailures;
    struct slice name;
    uint16_t failures[]; /* nfailures, then the name */
};

/* --- health.c: what a check has found --- */
void item_answered(struct item *it, unsigned status, const struct addr *from);
/* it->check has no answer though there should be one: since its begin the time of oos-force counts.
 */
void item_unanswered(struct item *it, int err);
/* The check that began then is over, and was unanswered. */
void item_failed(struct item *it, uint64_t begun);
/* It could not be made, for reasons of ours. */
void item_not_checked(struct item *it);
/* What the directory says when a check begins. */
void item_seen(struct item *it, enum dn_state state);
bool item_is_failure(const struct item *it, unsigned status);
uint64_t health_now(const struct health *h);

/* --- check.c: OPTIONS to all ways of one DN; the answer may come before it returns --- */
void check_begin(struct item *it);
/* Ends it without a word; it->check is NULL then. */
void check_drop(struct item *it, bool is_timeout);
/* For it->check. */
uint64_t check_begun(const struct check *c);
bool check_is_late(const struct check *c); /* item_unanswered has been called for it */
void check_set_late(struct check *c);
struct slice check_uri(const struct check *c); /* of the first way, for the log */
void check_move(struct check *c, struct item *to);

/* --- watch.c: what is known of the members of an application besides its checks --- */
struct watch;
struct watched {
    struct watch *watch;
    uint32_t member;
    bool is_resolving;
    struct route_query query;
};
struct watch {
    struct health *h;
    uint32_t group;
    uint32_t every_ms; /* 0: stopped */
    bool has_checks;
    uint64_t last; /* look, 0: none */
    struct timer timer;
    struct watched members[GROUP_MEMBERS_MAX];
};
void watch_init(struct watch *w, struct health *h, uint32_t group);
/* Settings; the first look is soon. */
void watch_start(struct watch *w, const struct group_conf *conf);
/* Something has changed: the next look is not waited for. */
void watch_soon(struct watch *w);
/* Until it is started again. */
void watch_stop(struct watch *w);

/* --- member.c: the applications --- */
void apps_init(struct health *h);
void apps_free(struct health *h);
void apps_stop(struct health *h);

/* --- write.c --- */
struct options {
    struct slice uri;        /* Request-URI and To */
    struct slice path;       /* value of Route, or empty */
    struct flow_local local; /* our address towards it, and what it is known by */
    uint8_t transport;
    uint64_t client, tag, call;
};
/* The whole request, in the arena. 0 or ERR_NOMEM. */
int options_write(struct arena *arena, const struct options *o, struct slice *out) WARN_UNUSED;

#endif
