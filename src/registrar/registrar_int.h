/* SPDX-License-Identifier: Apache-2.0 */
/* One REGISTER under way and what the files of this room share.
 *
 * owns: everything lives in the arena of the request's scope. thread: one worker. */
#ifndef REGISTRAR_REGISTRAR_INT_H
#define REGISTRAR_REGISTRAR_INT_H

#include "base/event.h"
#include "registrar/registrar.h"

#define REG_TEXT_MAX 4096 /* bytes of one Contact, and of Path */

struct registrar {
    const struct registrar_conf *conf;
    struct registrar_deps deps;
};

struct reg {
    struct registrar *r;
    uint64_t server;
    struct arena *arena;
    const struct sip_msg *req;
    const struct flow_origin *origin;
    struct slice realm;
    uint64_t now;      /* wall-clock ms */
    struct slice name; /* the DN, from To */
    struct dn_info dn; /* before the changes */
    bool is_known;     /* dn is valid */
    struct slice path; /* of this request, for Route; empty: none */
    bool has_hops;     /* came through another proxy */
    bool is_trusted;   /* that proxy is in relay-from */
    bool wants_outbound;
    bool is_outbound; /* a binding by reg-id was made or asked for */
    bool is_star;
    unsigned nchanges;
    struct dn_change *changes;
};

/* What a step says; status 0: go on. */
struct reg_refusal {
    unsigned status;
    const char *reason; /* NULL: the default phrase */
    struct slice extra; /* whole header lines, in the arena or static */
};

/* --- contacts.c: RFC 3261 10.3 steps 6 and 7, RFC 3327 5.3, RFC 5626 6 --- */
void reg_read_path(struct reg *g, struct reg_refusal *out);
void reg_read_contacts(struct reg *g, struct reg_refusal *out);
bool reg_same_contact(struct slice a, struct slice b);

/* --- way.c --- */
/* A host that can only be the sender itself. */
bool reg_is_at_source(const struct reg *g, const struct sip_uri *uri);
/* How the device behind this contact is reached. */
void reg_way(const struct reg *g, const struct sip_uri *contact, bool is_outbound,
             struct dn_way *out);

/* --- answer.c: RFC 3261 10.3 step 8 --- */
/* The header lines of the 200: 0 or ERR_NOMEM. */
int reg_write_200(struct reg *g, const struct dn_info *dn, struct slice *extra) WARN_UNUSED;

static inline bool reg_refuse(struct reg_refusal *out, unsigned status, const char *reason)
{
    *out = (struct reg_refusal){status, reason, SLICE_NONE};
    return false;
}

#endif
