/* SPDX-License-Identifier: Apache-2.0 */
/* A route over flows that listen to nothing but loopback, with a directory and applications, for
 * tests of what a Request-URI means.
 *
 * owns: everything it makes. thread: one. */
#ifndef ROUTE_RIG_H
#define ROUTE_RIG_H

#include "base/mailbox.h"
#include "route/route.h"

#define RIG_NOW 1700000000000

struct rig {
    struct net_loop *loop;
    struct wheel wheel;
    struct mailbox box;
    struct mailbox *boxes[1];
    struct counters counters;
    struct hash_key key;
    struct addr listen;
    struct flows *flows;
    struct net_resolver *resolver;
    struct dn_dir *dir;
    struct groups *groups;
    struct route_conf conf;
    struct slice names[1]; /* own: proxy.example.com */
    struct route *route;
    struct arena_cache cache;
    struct arena arena;
    struct sip_uri uri;
    struct route_ask ask; /* of the next look-up; `uri` is set by it */
    struct route_set set;
    char text[2048];
};

/* Without TLS, at proxy.example.com:5060. */
void rig_open(struct rig *r);
void rig_close(struct rig *r);
void rig_dns(struct rig *r, const struct dn_conf *dns, unsigned n);
/* Registers one contact, reached by UDP at 10.0.0.3:5060. */
void rig_bind(struct rig *r, const char *dn, const char *contact);
/* An application: `members` URIs separated by blanks; NULL policy: a pair. No checks: all are up.
 */
void rig_application(struct rig *r, const char *name, const char *members, bool is_pair);
void rig_no_applications(struct rig *r);
/* "403" or "480 Reason", or the targets: "URI", "URI via HOP", with "#" and the number of
 * alternatives where it is not 0, "@" and the DN behind it, separated by ", ". */
const char *rig_look(struct rig *r, const char *uri);
void rig_expect(struct rig *r, const char *uri, const char *what);
/* The text of r->set. */
const char *rig_dump(struct rig *r);

#endif
