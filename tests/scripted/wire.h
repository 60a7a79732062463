/* SPDX-License-Identifier: Apache-2.0 */
/* Flows alone, of one or two workers, on the scripted network; the script is who sends on them and
 * who is told.
 *
 * We are 10.0.0.1, port 5060 and with TLS 5061. owns: everything it makes. thread: one. */
#ifndef SCRIPTED_WIRE_H
#define SCRIPTED_WIRE_H

#include "base/mailbox.h"
#include "fake/fake.h"
#include "flow/flow.h"
#include "flow/tls.h"

#define OURS          "10.0.0.1:5060"
#define OURS_TLS      "10.0.0.1:5061"

#define WIRE_LOG      64
#define WIRE_WORKERS  2
#define WIRE_PROFILES 4

struct wire;

struct wire_worker {
    struct wire *wire;
    unsigned index;
};

struct wire_msg {
    struct flow_origin origin;
    unsigned worker;
    struct flow_dest back; /* where a response goes */
};

struct wire {
    unsigned nworkers; /* 1, or 2 when set before wire_open */
    struct wire_worker workers[WIRE_WORKERS];
    struct flows *flows_of[WIRE_WORKERS];
    struct flows *flows; /* of worker 0 */
    struct net_loop *loop;
    struct wheel wheel;
    struct mailbox box[WIRE_WORKERS];
    struct mailbox *boxes[WIRE_WORKERS];
    struct hash_key key;
    struct counters counters;
    struct flow_conf conf;
    struct addr listen;
    struct net_tls_keys *keys;
    struct flow_tls_profile profiles[WIRE_PROFILES];
    unsigned nprofiles;
    struct wire_msg msgs[WIRE_LOG];
    unsigned nmsgs;
    struct flow_event events[WIRE_LOG];
    unsigned event_worker[WIRE_LOG];
    unsigned nevents;
    unsigned naccepted;
    struct addr accepted; /* the latest */
    /* Called on each event, may send. */
    void (*react)(struct wire *w, unsigned worker, const struct flow_event *ev);
    void *user;
    int log_fd;
};

/* Keep-alive on (2 s, 1 s, 2 probes), tcp-unacked-timeout 5 s, tcp-reopen-delay 1 s,
 * tcp-connect-timeout 3 s; no TLS. Before wire_open the conf may be changed. */
void wire_init(struct wire *w);
/* One more set of rules, before or after wire_open: `name` "" is the daemon's. With the first TLS
 * is spoken. */
void wire_profile(struct wire *w, const char *name, bool verify_client, bool verify_server);
/* Takes all rules away (before a reload is told). */
void wire_no_profiles(struct wire *w);
void wire_configure(struct wire *w);
void wire_open(struct wire *w);
/* Frees all; nothing may be left in the wheel. */
void wire_close(struct wire *w);

/* A way to a peer: "10.0.0.3:5061"; `name` NULL: number 0. */
struct flow_dest wire_dest(struct wire *w, const char *to, enum sip_transport t, const char *name);
/* flows_send of that worker, and the turn's end. */
int wire_send(struct wire *w, unsigned worker, struct flow_dest *dest, const char *text,
              unsigned flags);
/* All that the peer got on the connection begins so (and is `text` when whole). */
void wire_expect(struct fake_conn *conn, const char *text);
/* An OPTIONS request comes from the peer. `via`: sent-by with parameters. */
void wire_request(struct fake_conn *conn, const char *transport, const char *via);
uint64_t wire_counter(const struct wire *w, enum counter c);
/* How often the text stands in the log since wire_open. */
unsigned wire_logged(struct wire *w, const char *text);
/* The first line of the first worker's list of flows that has the text. */
bool wire_listed(struct wire *w, const char *text);
/* The turn ends: mail is taken, what is doomed ends. */
void wire_turn(struct wire *w);

#endif
