/* SPDX-License-Identifier: Apache-2.0 */
/* One worker's loop, wheel and flows over real loopback sockets, turned until a condition holds.
 *
 * owns: everything it makes. thread: the test's. */
#ifndef TESTS_FLOW_RIG_H
#define TESTS_FLOW_RIG_H

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/buf.h"
#include "base/random.h"
#include "flow/flow.h"

#define RIG_LOG  64
#define RIG_TEXT 2048

struct rig_msg {
    struct flow_origin origin;
    char bytes[RIG_TEXT];
    size_t len;
    bool is_request;
};

#define RIG_WORKERS 2

struct rig;

struct rig_worker {
    struct rig *rig;
    unsigned index;
};

/* One loop serves both workers, so that a test sees every step. */
struct rig {
    unsigned nworkers; /* 1, or 2 when set before rig_start */
    struct rig_worker workers[RIG_WORKERS];
    struct flows *flows_of[RIG_WORKERS];
    struct net_loop *loop;
    struct wheel wheel;
    struct mailbox box[RIG_WORKERS];
    struct mailbox *boxes[RIG_WORKERS];
    bool hold_mail[RIG_WORKERS]; /* that worker does not look into its mailbox */
    struct counters counters;
    struct flow_conf conf;
    struct addr listen;
    struct flows *flows; /* of worker 0 */
    struct hash_key key;
    struct rig_msg msgs[RIG_LOG];
    unsigned nmsgs;
    struct flow_event events[RIG_LOG];
    unsigned event_worker[RIG_LOG];
    unsigned nevents;
    unsigned refuse; /* so many on_message answer ERR_FULL */
    bool echo;       /* requests are answered by 200 */
    /* called on each event, may send */
    void (*react)(struct rig *r, unsigned worker, const struct flow_event *ev);
    /* called on each message on the wire, when set before rig_start */
    void (*wire)(struct rig *r, unsigned worker, const struct flow_wire *wire);
    /* called on each ACK before it is parsed, when set before rig_start */
    bool (*idle_ack)(struct rig *r, struct slice bytes);
    void *user;
    bool (*until)(struct rig *r);
    bool done;
    uint64_t deadline;
};

/* Settings for tests: keep-alive off, all limits generous. */
void rig_conf(struct rig *r);
void rig_start(struct rig *r, const char *listen);
void rig_stop(struct rig *r);
/* Turns the loop until `until` holds; fails the test after 10 s. */
void rig_until(struct rig *r, bool (*until)(struct rig *r));
/* Turns for `ms`, to see that nothing happens. */
void rig_idle(struct rig *r, unsigned ms);
uint64_t rig_counter(const struct rig *r, enum counter c);

/* Plain sockets of the peer. */
int peer_connect(const struct addr *to);
int peer_listen(struct addr *at); /* at->port 0: chosen */
int peer_accept(int fd);          /* -1: nobody yet */
int peer_udp(const char *ip, struct addr *at);
void peer_write(int fd, const void *bytes, size_t len);
void peer_send_to(int fd, const struct addr *to, const void *bytes, size_t len);
/* What is there now is added to `text` (terminated). Returns bytes added, 0 at end of file, -1
 * nothing yet, -2 reset. */
int peer_read(int fd, struct buf *text);
void peer_reset(int fd); /* close with RST */

/* How many sockets of this process, of that type (SOCK_DGRAM, SOCK_STREAM) and of any family, have
 * that TOS byte (IPv6: traffic class), and how many have not. */
void sockets_with_tos(int type, int tos, unsigned *with, unsigned *without);

/* "OPTIONS" request text for the transport, with branch `n`. */
size_t sip_options(char *out, size_t cap, const char *transport, const char *sent_by, unsigned n,
                   const char *via_more);

#endif
