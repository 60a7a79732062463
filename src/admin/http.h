/* SPDX-License-Identifier: Apache-2.0 */
/* HTTP in front of the commands: the API below /api/v1, metrics, health, the dashboard.
 *
 * It runs on threads of its own; a slow client costs its own connection, never a worker. owns: its
 * listening socket and threads. borrows: the struct admin. thread: opened and closed by main. */
#ifndef ADMIN_HTTP_H
#define ADMIN_HTTP_H

#include "admin/admin.h"

struct admin_http;

struct admin_http_conf {
    struct addr address; /* admin-address; family ADDR_NONE: none */
    struct slice token;  /* admin-token; empty: who can connect may do all, loopback only */
    struct slice certificate, key; /* PEM text; empty: without TLS */
};

/* 0; -errno (cannot listen); ERR_NOMEM; ERR_PARSE (certificate or key are of no use, or the address
 * is one that needs a token). *out is NULL then. */
int admin_http_open(struct admin *admin, const struct admin_http_conf *conf,
                    struct admin_http **out) WARN_UNUSED;
/* Ends all connections. */
void admin_http_close(struct admin_http **http);
/* Where it listens: with the port that the kernel chose where the address has port 0. */
const struct addr *admin_http_address(const struct admin_http *http);
/* A reload: another token, and for connections made from now on, another certificate. 0, ERR_NOMEM,
 * -errno, ERR_LIMIT (certificates change faster than connections end), ERR_PARSE (of no use, or the
 * token would go that the address needs): the old ones stay. */
int admin_http_set_conf(struct admin_http *http, const struct admin_http_conf *conf) WARN_UNUSED;

#endif
