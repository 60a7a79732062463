/* SPDX-License-Identifier: Apache-2.0 */
/* SIP on the wire: listeners, framing, the table of flows, keep-alive, detection of dead
 * connections and reopening.
 *
 * A flow is a way to one peer. A UDP flow needs no state. A stream flow is a connection with an id
 * that stays the same when the connection beneath is replaced (reopened), and goes stale when it is
 * given up. owns: sockets, flows, partial messages. borrows: conf, counters, mailboxes. thread: one
 * worker; flows of other workers are reached by their mailboxes, behind the same functions. RFC
 * 3261 section 18; RFC 3581; RFC 5626 sections 3.5, 4.4, 5.4; RFC 5922; RFC 5923; RFC 5389
 * (binding requests). */
#ifndef FLOW_FLOW_H
#define FLOW_FLOW_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/addr.h"
#include "base/buf.h"
#include "base/counter.h"
#include "base/err.h"
#include "base/field.h"
#include "base/hash.h"
#include "base/mailbox.h"
#include "base/wheel.h"
#include "net/loop.h"
#include "sip/msg.h"

struct flows;

/* Where to send. A value: bindings and transactions keep it. */
struct flow_dest {
    uint64_t flow; /* stream: the connection to use; 0 or stale: one to `remote` is found or opened.
                      UDP: unused */
    struct addr
        remote; /* UDP: the destination. Stream: where a connection is opened, port 0: nowhere */
    struct addr local; /* our address the peer knows; family ADDR_NONE: whichever */
    uint16_t
        alt_port; /* stream: second port tried when `remote`'s refuses (Via sent-by), 0: none */
    uint8_t transport; /* enum sip_transport */
    bool no_reopen;    /* Voice over IP Service: never reopened inside a transaction */
    uint32_t tls_peer; /* TLS: flows_tls_peer, whose rules hold and what name is to be proved; 0:
                          the daemon's own rules and the address */
    uint64_t since;    /* requests: flows_time when it was received, for the histogram of recovery;
                          0: not known */
};

/* Where a message came from. */
struct flow_origin {
    uint64_t flow;      /* stream: its id; UDP: 0 */
    struct addr remote; /* source address and port */
    struct addr local;  /* address it came to */
    uint8_t transport;
    uint32_t tls_peer; /* requests by TLS: what a new connection to the sender has to prove, the
                          host of its sent-by (RFC 3261 18.2.2, RFC 5922 7.3) */
};

/* What a [listener …] section says of one of the addresses, or [sipproxy] of all. */
struct flow_side {
    struct slice advertised;  /* sip-advertised-address: host name or IP address, as it stands in
                                 Via and Record-Route; empty: the address itself */
    uint16_t advertised_port; /* 0: the listener's own */
    struct addr_net *access;  /* who may talk to us here; none: anybody. A datagram from elsewhere
                                 is dropped, a connection closed, both counted and logged now and
                                 then */
    unsigned naccess;
};

/* The address part of our listeners, for Via, Record-Route and the check whether an address is
 * ours. */
struct flow_local {
    struct addr addr;         /* with port, that of the transport; never a wildcard */
    struct slice advertised;  /* of flow_side; lives as long as the listener */
    uint16_t advertised_port; /* that of the transport where nothing else is said; 0 with an empty
                                 `advertised` */
};

struct flow_aliases;
struct flow_counts;
struct flow_tls;

struct flow_conf {
    struct addr *listen; /* from sip-address and sip-port; each for UDP and TCP; port 0 in the file
                            (off): `no_plain` */
    unsigned nlisten;
    struct flow_side *sides;      /* one for each of `listen`; NULL: nothing said of any */
    bool no_plain;                /* sip-port = 0: neither UDP nor TCP is listened to */
    uint16_t tls_port;            /* sip-port-tls, on each of the addresses; 0: no TLS listener */
    uint32_t handshakes;          /* tls-max-handshakes, of each worker */
    uint32_t wedged_after;        /* tcp-wedged-transactions in a row without one byte; 0: off */
    struct flow_tls *tls;         /* flow/tls.h: of all workers; NULL: no TLS, neither in nor out */
    struct net_sockopt sockopt;   /* keep-alive timing and tos; user_timeout is set by flow */
    uint32_t unacked_timeout_ms;  /* tcp-unacked-timeout; 0: off */
    uint32_t reopen_delay_ms;     /* tcp-reopen-delay; 0: off */
    uint32_t connect_timeout_ms;  /* tcp-connect-timeout */
    uint32_t max_connections;     /* tcp-max-connections; 0: no limit */
    uint32_t max_per_address;     /* tcp-max-connections-per-address; 0: no limit */
    struct flow_counts *counts;   /* flow/counts.h: one for all workers; NULL: each counts alone */
    struct flow_aliases *aliases; /* flow/aliases.h: of all workers; NULL: each knows its own */
    uint32_t max_queue; /* bytes queued for a connection before it is cut as a slow reader */
    uint32_t partial_timeout_ms; /* a message begun and not completed in that time: the connection
                                    is closed */
    uint32_t reopen_per_second;  /* openings a second for each destination address; burst the same;
                                    each worker in all: ten times that */
    struct sip_limits limits;
};

/* What becomes of a connection is told to every worker that sent on it.
 *
 * MOVED: only after suspicion. The second connection is up and has replaced the first beneath the
 * same id. What awaits an answer is sent again with flows_send and FLOW_SEND_RESEND, oldest first,
 * before the callback returns. DEAD: the connection has ended. With keep-alive on the id lives
 * until the callback has returned: whoever has something to send again does so from inside the
 * callback with FLOW_SEND_RESEND, on the same id, oldest first. The first such send opens the
 * connection to dest->remote; all wait in order behind the opening and leave when it is up. No
 * MOVED follows, FAILED does when it cannot be opened (or flows_send says so at once). When nobody
 * sends, the id is stale as soon as all have been told. With keep-alive off, and after flows_close,
 * the id is stale already. FAILED: opening or reopening failed, or the peer did not read and was
 * cut; the id is stale, what was queued is lost. RENAMED: a send named an id that is stale with its
 * owner, or no id; its connection has the id `to`. Whoever keeps `flow` puts `to` in its place;
 * nothing has to be sent again.
 *
 * Messages of one worker for one flow leave in order of flows_send, those sent again first: what a
 * worker sent before it was told MOVED or DEAD waits behind what it sends again.
 *
 * Provisional ids: a send without id to an address whose flows belong to another worker cannot know
 * the connection yet. dest->flow gets an id of its own (never used twice), under which the sender
 * keeps the transaction; RENAMED or FAILED with that id comes from the owner. Sending on a
 * provisional id means sending to dest->remote. */
enum flow_event_kind { FLOW_MOVED, FLOW_DEAD, FLOW_FAILED, FLOW_RENAMED };

struct flow_event {
    enum flow_event_kind kind;
    int err; /* DEAD, FAILED: ERR_CLOSED, -errno, ERR_STALE_*, ERR_TLS_* */
    uint64_t flow;
    uint64_t to;           /* RENAMED */
    uint64_t acked_before; /* MOVED, DEAD, FAILED: what was given to flows_send before that time (ms
                              of flows_time) had been acknowledged by the kernel of the peer; 0: not
                              known, as for flows of other workers */
    uint64_t
        at; /* DEAD, MOVED: net_clock when it was noticed. A request received later than that was
               never on the connection that is gone; its sender is told what became of it */
    struct addr remote;
    struct addr reopen; /* DEAD, MOVED, FAILED: the address by which its peer is known (Contact, or
                           Via of its requests); ADDR_NONE: not known */
};

/* A SIP message as it is on the wire, whole. */
struct flow_wire {
    bool is_out;
    uint8_t transport;
    const struct addr *local; /* by UDP to where there is no route: may be a wildcard */
    const struct addr *remote;
    uint64_t flow; /* stream: its id; UDP: 0 */
    struct slice bytes;
};

struct flow_events {
    /* A SIP message, whole and parsed; bytes and offsets live until the callback returns. 0, or
     * ERR_FULL: cannot be taken now (the home's mailbox is full): a stream keeps it and stops
     * reading for a moment, a datagram is dropped and counted. */
    int (*on_message)(void *user, const struct sip_msg *msg, const struct flow_origin *origin);
    /* Called from the loop, from timers, from flows_on_mail and from flows_flush; never from inside
     * flows_send, flows_close or flows_answered. */
    void (*on_event)(void *user, const struct flow_event *ev);
    void *user;
    /* A peer has connected to us (TLS: and its handshake is done). May be NULL. */
    void (*on_accepted)(void *user, const struct addr *remote);
    /* Every message that comes (as soon as it is whole, also one that is refused for its grammar)
     * and goes (when it is given to the socket or queued there; a copy that is sent again counts).
     * Must not call back into flow. May be NULL. */
    void (*on_wire)(void *user, const struct flow_wire *wire);
    /* An ACK, before it is parsed: true where it needs nothing more. May be NULL. */
    bool (*is_idle_ack)(void *user, struct slice bytes);
    /* ICMP says that a datagram of this worker or another one did not arrive: as net_unreached_fn
     * (net/udp.h). May be NULL. */
    void (*on_unreached)(void *user, const struct addr *remote, int err, struct slice quote);
};

/* `mailboxes`: one for each worker, `nworkers` of them. Opens the listeners: 0, -errno with the
 * address in *failed. */
int flows_new(struct net_loop *loop, struct wheel *wheel, const struct flow_conf *conf,
              unsigned worker, unsigned nworkers, struct mailbox *const *mailboxes,
              const struct hash_key *key, struct counters *counters,
              const struct flow_events *events, struct flows **out,
              struct addr *failed) WARN_UNUSED;
/* Closes everything. */
void flows_free(struct flows **flows);
/* Settings that may change by a reload (not the listeners). The conf is copied. */
void flows_set_conf(struct flows *flows, const struct flow_conf *conf);
/* A mail of kind MAIL_FLOW for this worker; the mail is freed. */
void flows_on_mail(struct flows *flows, struct mail *mail);
/* End of turn: datagrams and streams are flushed. */
void flows_flush(struct flows *flows);
/* Accepts no more (drain). */
void flows_stop_accepting(struct flows *flows);

enum flow_send_flags {
    FLOW_SEND_REQUEST =
        1, /* starts suspicion when its bytes stay unacknowledged (tcp-reopen-delay) */
    FLOW_SEND_RESEND = 2, /* a copy that was sent before */
    FLOW_SEND_LATER = 4,  /* a datagram: may wait for others, some ms (net_udp_send_later) */
};

/* Sends one message. Stream: on dest->flow; when that is 0 or stale, on a connection to
 * dest->remote, which is found (opened by us to it) or opened. On return dest->flow is the
 * connection used (by another worker's flow: the id asked for; FLOW_RENAMED tells when it is
 * another). Bytes are copied where they have to wait. 0: sent or queued; the fate of a stream comes
 * as an event. ERR_STALE (RESEND on a dead flow to a Voice over IP Service), ERR_NO_ROUTE (no
 * listener of that transport and family, or stale with no address), ERR_UNREACHABLE (backoff after
 * a refused opening), ERR_FULL (slow reader: the flow is being cut), ERR_LIMIT, ERR_NOMEM, -errno.
 */
int flows_send(struct flows *flows, struct flow_dest *dest, const void *bytes, size_t len,
               unsigned flags) WARN_UNUSED;

/* Whose request is sent: what is said of a connection that could not carry it. */
struct flow_whose {
    struct slice dn;      /* whose device it goes to; empty: none of ours, or not known */
    struct slice call_id; /* empty: looked for in the bytes where they are lost */
};
/* flows_send, which also names the connection as flows_set_dn does, unless it was one that the
 * caller named and it has a DN. `whose` is borrowed until the call returns; NULL: not known. */
int flows_send_for(struct flows *flows, struct flow_dest *dest, const struct flow_whose *whose,
                   const void *bytes, size_t len, unsigned flags) WARN_UNUSED;

/* An answer for one that waits on this flow came: suspicion ends, unacknowledged timing is looked
 * at anew, and the peer is not wedged. Cheap; called for each response received. */
void flows_answered(struct flows *flows, uint64_t flow);

/* A transaction on this flow has ended by its timer without any response: the peer may be wedged
 * (acknowledges and does nothing). After wedged_after of these in a row without one byte received
 * the flow is closed: DEAD with ERR_STALE_WEDGED. */
void flows_unanswered(struct flows *flows, uint64_t flow);

/* The next opening to dest->remote is tried whatever became of the last one: for checks, which have
 * a pace of their own. */
void flows_try_anew(struct flows *flows, const struct flow_dest *dest);

/* Whose device it is, for log and lists (any worker's flow); copied, at most FLOW_DN_MAX bytes. */
#define FLOW_DN_MAX 63
void flows_set_dn(struct flows *flows, uint64_t flow, struct slice dn);

/* What was set by that, of a flow of this worker; borrowed until the next call of this room. Empty:
 * nothing, or the flow is another worker's. */
struct slice flows_dn(const struct flows *flows, uint64_t flow);

/* The number for flow_dest.tls_peer: rules of the profile (a [dn] section's name; empty: the
 * daemon's own) and the name that the peer has to prove (host of the URI that leads there, RFC 5922
 * 4, 7.3). The same pair gives the same number as long as the process runs. A profile that is not
 * configured is the daemon's own. A literal address stands for the one that the connection is
 * opened to. 0 without TLS, and when there are too many: then the address is to be proved. */
uint32_t flows_tls_peer(struct flows *flows, struct slice profile, struct slice host);
/* The name behind the number (for flow tokens, lists); empty for 0. Lives for ever. */
struct slice flows_tls_name(struct flows *flows, uint32_t tls_peer);
/* The profile behind it, likewise; empty: the daemon's own. */
struct slice flows_tls_profile(struct flows *flows, uint32_t tls_peer);

/* Closes a flow (any worker's) after what is queued. */
void flows_close(struct flows *flows, uint64_t flow, int reason);
/* The connection that was accepted from exactly that address, of whichever worker; 0: none. One
 * from a port that servers listen at is not told: who is meant then is the server. TLS: nothing is
 * said of what its peer has proved. */
uint64_t flows_from(struct flows *flows, enum sip_transport t, const struct addr *remote);
/* Is the id a living connection, as far as this worker can know without asking (foreign: assumes
 * so)? */
bool flows_is_alive(const struct flows *flows, uint64_t flow);
/* Does it belong to this worker, living or not? 0 does to nobody. */
bool flows_is_mine(const struct flows *flows, uint64_t flow);
/* Alive, and not just being opened: what was sent on it has gone to a connection that existed
 * before. */
bool flows_is_up(const struct flows *flows, uint64_t flow);

/* The address of the listener with that index, with the port that was really bound; false at the
 * end of the list. */
bool flows_listener_addr(const struct flows *flows, unsigned index, struct addr *out);
/* The port that was really bound for TLS, 0: none. */
uint16_t flows_tls_port(const struct flows *flows, unsigned index);
/* Our address as seen by dest: for a wildcard listener the kernel's choice of source; the port that
 * of the transport. 0 or ERR_NO_ROUTE. */
int flows_local_for(struct flows *flows, const struct flow_dest *dest,
                    struct flow_local *out) WARN_UNUSED;
/* The same for the listener that this address of ours belongs to (flow_origin.local). */
void flows_local_of(struct flows *flows, const struct addr *local, uint8_t transport,
                    struct flow_local *out);
/* HOST:PORT as it stands in Via, Record-Route and Contact. */
void flow_put_host(struct buf *out, const struct flow_local *local);
/* Our address behind the host and port of such a value, port that of the listener. False: several
 * of our addresses are known by that, or none that is bound. */
bool flows_named(const struct flows *flows, struct slice host, uint16_t port, struct addr *out);
/* Is address and port one of ours, advertised ones included, on any transport? Port 0 means 5060.
 */
bool flows_is_us(struct flows *flows, const struct addr *a);
/* Is there a listener (so that a socket can be opened) for this transport and family? TLS: are
 * there rules, and a listener of that family, of whatever transport? */
bool flows_has(const struct flows *flows, enum sip_transport t, enum addr_family family);

/* Where responses to a request go (RFC 3261 18.2.2, RFC 3581, RFC 5923): from the request's origin
 * and its topmost Via (sent-by port; maddr; received). */
void flow_response_dest(const struct flow_origin *origin, const struct sip_via *via,
                        struct flow_dest *out);

/* A part of the flows as rows, so that the worker has its turn in between: the next `n` places from
 * *at on (0 at first). False when these were the last. The set is "flow": id, transport, state
 * ("opening", "up", "suspect": a second connection is being opened beside it, "reopening",
 * "closing"), dn, remote, local, opened_by
 * ("us", "peer": the connection it has now), age_ms (since the first connection of that id),
 * idle_ms (since anything came or went; both to a second), unacked_bytes, queued_bytes, reopened
 * (times), last_error (why it was reopened last), reopen (where it would be opened again), tls,
 * tls_name (what the peer has to prove). */
bool flows_rows_some(struct flows *flows, uint32_t *at, unsigned n, const struct row_sink *sink);
unsigned flows_count(const struct flows *flows);
/* The loop's clock, ms, taken once for each turn. The wheel's own time may lag behind it while a
 * message is handed up: timers are set from this one. */
uint64_t flows_time(const struct flows *flows);

#endif
