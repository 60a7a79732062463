/* SPDX-License-Identifier: Apache-2.0 */
/* One whole worker on the scripted network: made from a configuration text, driven by virtual time,
 * looked at message by message, and empty when it is closed.
 *
 * owns: everything it makes. thread: one. Assertion failures end the test. */
#ifndef SCRIPTED_RIG_H
#define SCRIPTED_RIG_H

#include "app/worker.h"
#include "base/event.h"
#include "fake/fake.h"
#include "sip/msg.h"

/* A second address of this machine, for sip-address. */
#define RIG_SECOND "10.0.0.254"
/* Another two, in other networks. */
#define RIG_OUTSIDE  "198.51.100.1"
#define RIG_OUTSIDE6 "2001:db8:1::1"

struct rig {
    struct shared shared;
    struct conf *conf;
    struct net_tls_keys *keys;
    struct worker *worker;
    struct net_loop *loop;
    uint64_t wall; /* ms at the beginning */
    unsigned drained;
};

/* `options`: lines below [sipproxy] (further sections may follow); listens on 10.0.0.1:5060 unless
 * they say sip-address. */
void rig_open(struct rig *r, const char *options);
/* Lets everything run out (400 s), then asserts that no transaction, scope, arena block, timer but
 * the directory's and those of calls, or connection under way is left. */
void rig_close(struct rig *r);
/* Frees everything as it is, in the middle of calls. */
void rig_abandon(struct rig *r);
/* Another configuration for the running worker. */
void rig_reload(struct rig *r, const char *options);
void rig_drain(struct rig *r);
unsigned rig_calls(const struct rig *r);        /* recorded now */
unsigned rig_transactions(const struct rig *r); /* all that have not terminated */
uint64_t rig_counter(const struct rig *r, enum counter id);
/* How often since rig_open. */
unsigned rig_heard(enum event ev);

/* A SIP message as a peer got it. */
struct got {
    struct sip_msg msg;
    struct sip_hdr hdrs[SIP_HDRS_MAX];
    struct addr from; /* of datagrams: our address */
    char text[8192];  /* the bytes, terminated by NUL */
};

/* Sends `text` (lines separated by \n, which become CRLF; a body needs its own Content-Length) from
 * a peer. */
void rig_udp(struct rig *r, const char *from, const char *text);
/* The same to another address of ours. */
void rig_udp_to(struct rig *r, const char *from, const char *to, const char *text);
void rig_tcp(struct fake_conn *conn, const char *text);
/* The next datagram to `to`; must be there and be SIP. */
void rig_expect(struct rig *r, const char *to, struct got *got);
void rig_expect_tcp(struct fake_conn *conn, struct got *got);
/* Nothing (more) was sent to `to` (NULL: anyone). */
void rig_expect_none(struct rig *r, const char *to);
void rig_expect_none_tcp(struct fake_conn *conn);
/* The next datagram, must be a response with that status / a request with that method. */
void rig_expect_status(struct rig *r, const char *to, unsigned status, struct got *got);
void rig_expect_method(struct rig *r, const char *to, const char *method, struct got *got);

/* A response to a request that a peer got: its Vias, From, To (with tag `tag` where it has none),
 * Call-ID, CSeq, Record-Routes, then `extra` (lines ending in \n, may be empty). The text lives in
 * a static buffer until the next call. */
const char *rig_response(const struct got *req, unsigned status, const char *tag,
                         const char *extra);

/* Value of the n-th (from 0) element of a header, "" when there is none; static buffer. */
const char *rig_value(const struct got *g, enum sip_hdr_id id, unsigned n);
unsigned rig_count(const struct got *g, enum sip_hdr_id id);
/* Request-URI. */
const char *rig_uri(const struct got *g);

#endif
