/* SPDX-License-Identifier: Apache-2.0 */
/* Active out-of-service checks: OPTIONS to each DN that has oos-check, spread over the interval,
 * and to the members of applications.
 *
 * Each application is checked by one worker (hash of its name). Of a pair the active member is
 * asked every oos-check; without an answer in that time both are asked in turn, every oos-force,
 * until one answers, which is the active one then. Of a balanced group every member is asked.
 * Connections to members are kept open, and one that ends is a reason to ask at once.
 *
 * Each configured DN is checked by one worker (hash of its name). A check that is answered puts the
 * DN in service; one that is not, within oos-force, out of service. Between the two the DN is
 * suspect. owns: the schedule, checks under way. borrows: txns, flows, route, directory, wheel,
 * counters, conf. thread: one worker. RFC 3261 section 11; timing as in Genesys SIP Proxy's
 * oos-check and oos-force. */
#ifndef HEALTH_HEALTH_H
#define HEALTH_HEALTH_H

#include "base/counter.h"
#include "base/err.h"
#include "base/wheel.h"
#include "dn/dn.h"
#include "flow/flow.h"
#include "group/group.h"
#include "route/route.h"
#include "txn/txn.h"

struct health;

struct health_deps {
    struct txns *txns;
    struct flows *flows;
    struct route *route;
    struct dn_dir *dir;
    struct wheel *wheel;
    struct counters *counters;
    unsigned worker, nworkers;
    const struct hash_key *key;
    uint64_t (*wall)(void *user); /* wall-clock ms */
    void *user;
    struct groups *groups; /* NULL: no applications */
};

/* 0, ERR_NOMEM. */
int health_new(const struct health_deps *deps, struct health **out) WARN_UNUSED;
void health_free(struct health **h);
/* The DNs to be checked (start and reload): of all, this worker takes its own. A DN that was there
 * before keeps its place in time. Borrowed until the next call. */
void health_set_dns(struct health *h, const struct dn_conf *dns, unsigned n);
/* The applications (start and reload), after groups_configure; as above. Borrowed until the next
 * call. */
void health_set_groups(struct health *h, const struct group_conf *conf, unsigned n);
/* What flow/ tells of connections: is it one to a member? */
void health_on_flow_event(struct health *h, const struct flow_event *ev);
/* groups_epoch has changed: a switchover that was not found by a check. */
void health_on_groups(struct health *h);
/* While draining: no checks. */
void health_stop(struct health *h);

#endif
