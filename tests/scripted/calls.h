/* SPDX-License-Identifier: Apache-2.0 */
/* What the scripts about the proxy have in common: requests written from a few words, devices that
 * register, the route set of a dialog.
 *
 * The proxy is 10.0.0.1:5060. owns: static text buffers, valid until the next call of the same
 * function. thread: one. */
#ifndef SCRIPTED_CALLS_H
#define SCRIPTED_CALLS_H

#include "rig.h"

#define PROXY  "10.0.0.1:5060"
#define CALLER "10.0.0.2:5060"
#define PHONE  "10.0.0.3:5060"
#define OTHER  "10.0.0.4:5060"
#define THIRD  "10.0.0.5:5060"

/* Who may register and relay in most scripts. */
#define OPEN "registrar-open-to = 10.0.0.0/8\nrelay-from = 10.0.0.0/8\n"

/* A request; what is NULL or 0 has a default. */
struct say {
    const char *method;    /* INVITE */
    const char *uri;       /* sip:1001@10.0.0.1 */
    const char *transport; /* UDP; of the Via */
    const char *sent_by;   /* 10.0.0.2:5060 */
    const char *branch;    /* a1; behind z9hG4bK */
    const char *from;      /* <sip:alice@10.0.0.1>;tag=a */
    const char *to;        /* <sip:1001@10.0.0.1> */
    const char *call_id;   /* c1 */
    unsigned cseq;         /* 1 */
    const char *hops;      /* Max-Forwards: 70; "": no such line */
    const char *contact;   /* <sip:alice@10.0.0.2:5060>; "": no such line */
    const char *extra;     /* further lines, each ending in \n */
    const char *body;
};
const char *say(const struct say *what);
void say_udp(struct rig *r, const char *from, const struct say *what);
void say_tcp(struct fake_conn *conn, const struct say *what);
/* The CANCEL of the request that `what` describes. */
void cancel_udp(struct rig *r, const char *from, const struct say *what);
/* The ACK of a failure of that INVITE. */
void ack_udp(struct rig *r, const char *from, const struct say *what);
/* The response of a UDP peer. */
void answer_udp(struct rig *r, const char *from, const struct got *req, unsigned status,
                const char *extra);
void answer_tcp(struct fake_conn *conn, const struct got *req, unsigned status, const char *extra);

/* REGISTER of `user` from that address with its own address as Contact; asserts the 200. `params`
 * are added to the Contact header ("" or ";q=0.5"). */
void register_udp(struct rig *r, const char *user, const char *from, const char *params);
/* The same by TCP from port 40000 of that address; the Contact names port 5060. */
struct fake_conn *register_tcp(struct rig *r, const char *user, const char *ip, const char *params);
/* By TCP, from that port, with further header lines. */
struct fake_conn *register_tcp_as(struct rig *r, const char *user, const char *ip, unsigned port,
                                  const char *params, const char *extra);

/* Route lines from the Record-Routes of a message; `is_caller`: in reverse order. */
const char *route_set(const struct got *m, bool is_caller);

void expect_tcp_method(struct fake_conn *conn, const char *method, struct got *got);
void expect_tcp_status(struct fake_conn *conn, unsigned status, struct got *got);
/* Milliseconds since the beginning of virtual time. */
uint64_t now_ms(const struct rig *r);

#endif
