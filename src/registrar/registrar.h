/* SPDX-License-Identifier: Apache-2.0 */
/* REGISTER to bindings: authentication, expiry, Path, outbound.
 *
 * owns: nothing that lasts. borrows: directory, auth, txns, conf. thread: one worker.
 * RFC 3261 section 10.3; RFC 3327; RFC 5626 section 6; RFC 8760. */
#ifndef REGISTRAR_REGISTRAR_H
#define REGISTRAR_REGISTRAR_H

#include "auth/auth.h"
#include "base/addr.h"
#include "base/counter.h"
#include "dn/dn.h"
#include "flow/flow.h"
#include "load/load.h"
#include "txn/txn.h"

struct registrar;

struct registrar_conf {
    bool authenticate;        /* sip-authenticate is not `none` */
    struct addr_net *open_to; /* registrar-open-to */
    unsigned nopen_to;
    struct addr_net *relay_from; /* of these a Path, or a Contact behind them, may lead anywhere */
    unsigned nrelay_from;
    uint32_t min_expires, max_expires, default_expires; /* s */
    unsigned max_bindings;                              /* for each DN */
    uint32_t flow_timer;                                /* s, Flow-Timer of RFC 5626; 0: none */
};

struct registrar_deps {
    struct txns *txns;
    struct dn_dir *dir;
    struct auth *auth;
    struct flows *flows; /* learns whose connections are whose; may be NULL */
    struct counters *counters;
    uint64_t (*wall)(void *user); /* wall-clock ms */
    void *user;
    /* Is the domain of an address of record ours? NULL: only the one that the Request-URI names. */
    bool (*is_ours)(void *ours_user, const struct sip_uri *uri);
    void *ours_user;
    struct load *load; /* draws Retry-After; NULL: none is said */
};

int registrar_new(const struct registrar_conf *conf, const struct registrar_deps *deps,
                  struct registrar **out) WARN_UNUSED;
void registrar_free(struct registrar **r);
/* Borrowed until the next call. */
void registrar_set_conf(struct registrar *r, const struct registrar_conf *conf);

/* A REGISTER for a domain of ours that no transaction knows. Answers it. `realm`: the domain named
 * by the Request-URI. */
void registrar_on_request(struct registrar *r, const struct sip_msg *req,
                          const struct flow_origin *origin, struct slice realm);

#endif
