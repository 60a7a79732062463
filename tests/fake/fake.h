/* SPDX-License-Identifier: Apache-2.0 */
/* A scripted network with a virtual clock, linked instead of src/net: the test is every peer, and
 * time passes only when it says so.
 *
 * All of it hangs on the one struct net_loop that net_loop_new made. Addresses are text:
 * "10.0.0.2:5060"; without a port any port is meant. What a peer does is queued and runs at once,
 * unless called from inside the loop. owns: every datagram and connection until net_loop_free.
 * thread: one. */
#ifndef FAKE_FAKE_H
#define FAKE_FAKE_H

#include "base/slice.h"
#include "net/loop.h"
#include "net/resolver.h"
#include "net/stream.h"
#include "net/tls.h"
#include "net/udp.h"

/* --- time ------------------------------------------------------------------------------------- */

/* Time goes on by `ms`, alarm by alarm, event by event, in their order; on_turn_end after each. */
void fake_advance(struct net_loop *loop, uint64_t ms);
/* Whatever is due now, until nothing is left. */
void fake_run(struct net_loop *loop);
/* True: what peers do from now on waits. False: all of it comes in one turn of the loop. */
void fake_hold(struct net_loop *loop, bool held);
/* When the alarm is set to; UINT64_MAX: none. */
uint64_t fake_alarm(const struct net_loop *loop);

/* From now on each turn is so late: the next net_take_late say it. */
void fake_set_late(struct net_loop *loop, const struct net_late *late);

/* --- machine ---------------------------------------------------------------------------------- */

/* Further addresses of this machine. It has 127.0.0.0/8, ::1, and these two. Peers are reached from
 * the first one in the same network of 24 (IPv6: 64) bits, or else from these. */
#define FAKE_IP4 "10.0.0.1"
#define FAKE_IP6 "2001:db8::1"
void fake_add_local(struct net_loop *loop, const char *ip);
/* The operating system's keep-alive timing (s, s, number); 7200, 75, 9. */
void fake_set_keepalive(struct net_loop *loop, uint32_t idle, uint32_t interval, uint32_t probes);

/* --- datagrams -------------------------------------------------------------------------------- */

struct fake_datagram {
    struct addr from, to;
    struct slice bytes; /* live until net_loop_free */
    uint64_t at;        /* ms */
};

/* A datagram from a peer arrives. False: no socket of ours is bound there. */
bool fake_datagram(struct net_loop *loop, const char *from, const char *to, struct slice bytes);
/* The oldest one sent to `to` (NULL: to anyone) that was not taken yet. */
bool fake_take_datagram(struct net_loop *loop, const char *to, struct fake_datagram *out);
/* ICMP says that a datagram from `from` (ours) to `to` did not arrive, and quotes that of it.
 * False: no socket of ours is bound there. */
bool fake_icmp(struct net_loop *loop, const char *from, const char *to, int err,
               struct slice quote);
/* The next `n` datagrams we send are lost: nobody can take them. */
void fake_lose(struct net_loop *loop, unsigned n);

/* --- connections ------------------------------------------------------------------------------ */

enum fake_policy {
    FAKE_ACCEPT,
    FAKE_REFUSE,    /* RST at once */
    FAKE_BLACKHOLE, /* no answer at all */
    /* The rest matters to TLS only; TCP is accepted. */
    FAKE_TLS_PLAIN,     /* it does not speak TLS */
    FAKE_TLS_SILENT,    /* the handshake never ends */
    FAKE_TLS_VERSION,   /* no version in common */
    FAKE_TLS_EXPIRED,   /* its certificate */
    FAKE_TLS_UNTRUSTED, /* its certificate */
    FAKE_TLS_REFUSED,   /* it refuses ours */
    FAKE_TLS_LATE,      /* the same, as TLS 1.3 does it: when we think that it is up */
};
/* What a peer does when we connect; the latest word on an address counts; FAKE_ACCEPT is the
 * default. */
void fake_set_peer(struct net_loop *loop, const char *addr, enum fake_policy policy);
/* A connection is up (or refused) that long after it was asked for; 0 is the default. */
void fake_set_connect_ms(struct net_loop *loop, uint32_t ms);

/* The peer's end of a connection. Live until net_loop_free. */
struct fake_conn;

/* A peer connects to us; NULL: nobody listens, or we refused. */
struct fake_conn *fake_connect(struct net_loop *loop, const char *from, const char *to);
/* The n-th connection (from 0) that we opened to `addr` and the peer accepted; NULL: there is none.
 */
struct fake_conn *fake_opened(struct net_loop *loop, const char *addr, unsigned n);
/* How many we tried to open to `addr` (NULL: anyone), whatever became of them. */
unsigned fake_opens(const struct net_loop *loop, const char *addr);
/* Connections that are up now. */
unsigned fake_open_count(const struct net_loop *loop);

/* The names and addresses (separated by commas) that the certificate of the peer proves when we
 * connect; the latest word on an address counts. Where nothing was said it proves whatever it is
 * asked for. */
void fake_set_identity(struct net_loop *loop, const char *addr, const char *names);
/* A peer connects to us by TLS; `names` are what its certificate proves, NULL: it has none. NULL:
 * nobody listens there for TLS, or it was refused. */
struct fake_conn *fake_connect_tls(struct net_loop *loop, const char *from, const char *to,
                                   const char *names);
/* The handshake of a peer that connects by TLS fails; false: nobody listens there for TLS. One that
 * connects without TLS (fake_connect) to a TLS port is refused with ERR_TLS_PLAIN. */
bool fake_refused_tls(struct net_loop *loop, const char *from, const char *to, int err);
/* The name that we wanted proved when we opened the connection; "" for TCP. */
const char *fake_tls_name(const struct fake_conn *conn);

void fake_send(struct fake_conn *conn, struct slice bytes);
/* The next whole SIP message (or CRLF answer to a ping) the peer received on it; live until
 * net_loop_free. */
bool fake_take_message(struct fake_conn *conn, struct slice *out);
/* All bytes received and not yet taken; live until time goes on. */
struct slice fake_peek(const struct fake_conn *conn);

/* A firewall forgets the connection: nothing passes in either direction, silently, and nothing is
 * acknowledged, until it is told `false`, when everything held back arrives. */
void fake_stall(struct fake_conn *conn, bool stalled);
/* The same for every connection that is up with that address. Connections made later pass. Returns
 * how many. */
unsigned fake_stall_all(struct net_loop *loop, const char *addr);
/* The peer has rebooted: it answers the first bytes that reach it with RST, and they are lost. */
void fake_forget(struct fake_conn *conn);
void fake_fin(struct fake_conn *conn); /* or close_notify */
void fake_reset(struct fake_conn *conn);
bool fake_is_open(const struct fake_conn *conn);
/* Was it closed by us with RST? */
bool fake_was_aborted(const struct fake_conn *conn);

/* --- names ------------------------------------------------------------------------------------ */

/* `addrs`: numeric, separated by commas; empty: it does not resolve. Answered after `delay_ms`; 0:
 * at once. */
void fake_set_host(struct net_loop *loop, const char *host, const char *addrs, uint32_t delay_ms);
/* `records`: "PRIORITY WEIGHT PORT TARGET, …" in any order; they are given out by priority, and
 * within one priority as they stand here, so that a test knows what comes. A target "." is "not
 * offered here". Empty: there are none. */
void fake_set_srv(struct net_loop *loop, const char *name, const char *records, uint32_t delay_ms);
/* `records`: "ORDER PREFERENCE FLAGS SERVICE REPLACEMENT, …"; "-" stands for an empty field. */
void fake_set_naptr(struct net_loop *loop, const char *name, const char *records,
                    uint32_t delay_ms);
/* Whatever is asked for the name fails with `err` (ERR_DNS_SILENT…); 0: no more. */
void fake_set_dns_failure(struct net_loop *loop, const char *name, int err, uint32_t delay_ms);
/* How often the name was asked for, in whatever kind. Names that nothing was said of count too. */
unsigned fake_asked(const struct net_loop *loop, const char *name);
/* Queries under way. */
unsigned fake_queries(const struct net_loop *loop);

#endif
