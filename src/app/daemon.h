/* SPDX-License-Identifier: Apache-2.0 */
/* The running daemon: workers and their threads, signals, reload, drain, readiness.
 *
 * owns: workers, shared tables, configuration snapshots. thread: main. sd_notify(3) protocol;
 * signals SIGTERM, SIGINT, SIGHUP, SIGUSR1. */
#ifndef APP_DAEMON_H
#define APP_DAEMON_H

#include <stdio.h>

#include "base/err.h"
#include "conf/conf.h"

/* Runs until SIGTERM or SIGINT; takes over `conf`, whose files of TLS have been opened with `keys`
 * (conf_open_tls). Returns the exit status: 0 after an orderly end, 1 when it could not start (one
 * line was logged). */
int daemon_run(struct conf *conf, struct net_tls_keys *keys);

/* Logs what is listened to, how soon a dead connection is noticed, in front of which applications
 * we stand, and what certificates are shown: an event for those that have expired, will soon, or
 * cannot be read; `only_bad`: nothing else. */
void log_listeners(const struct conf *conf);
void log_keepalive(const struct conf *conf);
void log_applications(const struct conf *conf);
/* When the first of them ends, s of Unix time; 0: there is none. */
int64_t log_certificates(const struct conf *conf, uint64_t wall_ms, bool only_bad);

/* A key that is the same after a restart on this machine with the same first address, so that the
 * dialogs of before are still known by our Record-Route; random where the machine has no id. */
void lasting_key_read(const struct conf *conf, struct hash_key *out);

/* One datagram to $NOTIFY_SOCKET, when systemd has set it: "READY=1", "STOPPING=1",
 * "RELOADING=1\nMONOTONIC_USEC=…". */
void notify_send(const char *text);

/* The manual page holdfast(8) as troff. */
void man_print(FILE *out);

#endif
