/* SPDX-License-Identifier: Apache-2.0 */
/* The configuration file to one immutable `struct conf` made of each room's settings.
 *
 * One table (options.c) serves the parser, `holdfast --options`, the manual page and the reference
 * in docs/. Unknown sections and names, and values outside their range, are errors; all errors of a
 * file are reported, each with file, line, value and what is allowed. owns: all strings and lists
 * in it, in one arena. thread: made by one, then read by any; never changed. */
#ifndef CONF_CONF_H
#define CONF_CONF_H

#include <limits.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "base/err.h"
#include "base/log.h"
#include "call/call.h"
#include "dn/dn.h"
#include "flow/flow.h"
#include "flow/tls.h"
#include "group/group.h"
#include "load/load.h"
#include "net/resolver.h"
#include "net/tls.h"
#include "proxy/proxy.h"
#include "registrar/registrar.h"
#include "route/route.h"
#include "trace/trace.h"
#include "txn/txn.h"

enum conf_authenticate { CONF_AUTH_NONE, CONF_AUTH_REGISTER, CONF_AUTH_ALL };

struct conf {
    unsigned workers;
    struct flow_conf flow; /* max_connections: of all workers together */
    struct txn_conf txn;
    struct call_conf calls;
    struct route_conf route;
    struct proxy_conf proxy;
    struct registrar_conf registrar;
    enum conf_authenticate authenticate;
    const char *location;      /* "memory", "sqlite:FILE" */
    const char *location_file; /* of sqlite, else NULL */
    struct log_levels log_levels;
    enum log_format log_format;
    uint32_t drain_ms;          /* how long SIGTERM waits for transactions */
    const char *control_socket; /* NULL: where it is by default; "none": there is none */
    struct trace_conf trace;
    struct addr admin_address;                           /* HTTP; family ADDR_NONE: none */
    char *admin_token;                                   /* "": loopback only */
    char *admin_certificate, *admin_private_key;         /* PEM files; NULL: HTTP without TLS */
    struct slice admin_certificate_text, admin_key_text; /* what conf_open_tls has found in them */
    struct net_tls_conf tls;                             /* the daemon's own rules */
    struct flow_tls_profile
        *profiles; /* made by conf_open_tls: the daemon's first, then one for
                      each DN and application with rules of its own; none without TLS */
    unsigned nprofiles;
    struct conf_place *places; /* where files are named, for what is said about them */
    unsigned nplaces;
    struct dn_conf *dns;
    unsigned ndns;
    struct load_conf load;
    struct net_resolver_conf resolver;
    struct group_conf
        *groups; /* [application …], those that `applications` names where it is set */
    struct dn_tls_conf *group_tls; /* of each of them */
    unsigned ngroups;
    struct slice *applications; /* `applications`: names; none: all that have a section */
    unsigned napplications;
    uint32_t oos_check_s, oos_force_s; /* of applications that do not say it themselves */
    char *advertised;                  /* sip-advertised-address, as written */
    struct addr_net *access;           /* sip-access; none: anybody */
    unsigned naccess;
    unsigned nwritten_aliases; /* of route.aliases, the first ones: `aliases`; the rest follows from
                                  advertised addresses */
    const char **values;       /* as written, by index of the table; for conf_needs_restart */
    const char **pending;      /* as `values`: what will be after a restart; NULL: the same */
    unsigned *lines;           /* where each was given, 0: nowhere, CONF_BY_HAND: by conf_set */
    struct conf_given *given;  /* in other sections than [sipproxy]; for conf_rows */
    unsigned ngiven;
    struct conf_source
        *source; /* what was read, for conf_load_again; shared with whoever was made of it */
    struct arena_cache cache;
    struct arena arena; /* all of the above */
    const char *file;   /* NULL: the embedded default */
};

/* Reads `file` (NULL: the embedded default). Errors are written to `err` as "FILE:LINE: NAME =
 * VALUE: what is allowed" lines, all of them. 0; ERR_PARSE (errors were written); -errno
 * (unreadable, one line was written); ERR_NOMEM. */
int conf_load(const char *file, FILE *err, struct conf **out) WARN_UNUSED;
/* An option of [sipproxy] that is set by hand while the daemon runs, in place of the file's value.
 */
struct conf_set {
    struct slice name, value;
};
#define CONF_BY_HAND UINT_MAX
/* The same with options that are set by hand: what is wrong with one of these is said as
 * "NAME = VALUE: what is allowed". */
int conf_load_with(const char *file, const struct conf_set *sets, unsigned n, FILE *err,
                   struct conf **out) WARN_UNUSED;
/* The same from the text that `now` was made of: an edit of the file that has not been asked for by
 * a reload stays out. Errors as conf_load_with, but -errno. */
int conf_load_again(const struct conf *now, const struct conf_set *sets, unsigned n, FILE *err,
                    struct conf **out) WARN_UNUSED;
/* May it be set by hand? 0; ERR_NOT_FOUND: no such option of [sipproxy]; ERR_UNSUPPORTED: it takes
 * a restart. */
int conf_can_set(struct slice name) WARN_UNUSED;
/* Rows of the set "option": section, name, value, pending, default, source ("default", "set",
 * "FILE:LINE"), effect; all of [sipproxy], and what is given in other sections. What is secret is
 * shown as ***. `want`: only that one; empty: all. */
void conf_rows(const struct conf *conf, struct slice want, const struct row_sink *sink);
/* Is the value of that option to be shown to nobody? */
bool conf_is_secret(const char *name);
/* Reads the files of TLS as they are now and makes the contexts, which live as long as `conf` does
 * or somebody else holds them. Errors are written like those of conf_load. Nothing is done without
 * sip-port-tls or any file. 0; ERR_PARSE (errors were written); ERR_NOMEM. */
int conf_open_tls(struct conf *conf, struct net_tls_keys *keys, FILE *err) WARN_UNUSED;
/* In its place where nothing of TLS can differ (an option set by hand): `next` gets the contexts of
 * `now`, whatever the files are by now. 0, ERR_NOMEM. */
int conf_share_tls(const struct conf *now, struct conf *next) WARN_UNUSED;
void conf_free(struct conf **conf);

/* What a reload cannot change: writes one line for each option that differs and needs a restart;
 * returns how many. */
unsigned conf_needs_restart(const struct conf *now, const struct conf *next, FILE *out);
/* Gives `next` the running values of those, so that no part of the program takes a new one before
 * the restart. 0 or ERR_NOMEM. */
int conf_keep_running(const struct conf *now, struct conf *next) WARN_UNUSED;

/* `holdfast --options`: every option with section, default, valid values, when a change takes
 * effect, and its text. */
void conf_print_options(FILE *out);
/* The same as Markdown for docs/options.md and as troff for the manual page holdfast.conf(5). */
void conf_print_markdown(FILE *out);
void conf_print_man(FILE *out);
/* And as a file in which all of it is a comment: package/holdfast.conf. */
void conf_print_file(FILE *out);

#endif
