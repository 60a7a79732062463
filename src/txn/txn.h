/* SPDX-License-Identifier: Apache-2.0 */
/* Transactions: matching, timers, retransmission, and what is sent again when a flow dies.
 *
 * A request that arrives opens a *scope*: the server transaction and all client transactions it
 * leads to. They share one arena, in which also the transaction user keeps its context; the scope
 * ends, and on_end is called, when the last of its transactions has terminated and nobody holds it.
 * It never ends inside a call of the user.
 *
 * owns: transactions, scopes, their arenas. borrows: flows, wheel, counters. thread: one worker.
 * RFC 3261 sections 9.1, 17, 18.1.1 (transport error); RFC 6026; RFC 4320; RFC 3581. */
#ifndef TXN_TXN_H
#define TXN_TXN_H

#include <stdbool.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/counter.h"
#include "base/err.h"
#include "base/field.h"
#include "base/hash.h"
#include "base/random.h"
#include "base/wheel.h"
#include "flow/flow.h"
#include "sip/msg.h"
#include "sip/quote.h"

struct txns;
struct txn_scope;

/* Milliseconds. Defaults of RFC 3261 table 4. */
struct txn_conf {
    uint32_t t1, t2, t4;
    uint32_t timer_b, timer_d, timer_f, timer_h, timer_i, timer_j, timer_k, timer_l, timer_m;
    uint32_t max;     /* transactions of this worker; above it new requests get 503, above twice as
                         many those inside a dialog too */
    uint32_t keep_ms; /* so long a response or an ACK of a 2xx is kept for a connection that may
                         turn out to have lost it; at least TXN_KEEP_MS */
    bool recover; /* sip-enable-tcp-keep-alive: resend on a reopened connection inside a transaction
                   */
};
extern const struct txn_conf txn_conf_default;
/* Enough for a tcp-unacked-timeout of 5 s and what the kernel's timer may add. */
#define TXN_KEEP_MS 5800u

/* The transaction user. Callbacks may call any function of this header, for any transaction. */
struct txn_tu {
    bool is_quiet; /* says itself what becomes of its requests: no line in the log for each */
    /* A response passed up by the client machine: every provisional and final one, 100 and
     * retransmitted 2xx included. `res` lives until return. */
    void (*on_response)(void *ctx, uint64_t client, const struct sip_msg *res,
                        const struct flow_origin *origin);
    /* The client transaction ended without a final response: ERR_TIMEOUT (Timer B or F), or why the
     * transport failed and nothing could be resent (-errno, ERR_STALE_*, ERR_UNREACHABLE,
     * ERR_NO_ROUTE, ERR_CLOSED). */
    void (*on_failed)(void *ctx, uint64_t client, int err);
    /* ICMP says that the request did not arrive (ERR_ICMP_PORT, ERR_ICMP_HOST). True: on_failed
     * follows; false: it goes on being sent by its timers, since what is not there may come back.
     * May be NULL: true. */
    bool (*on_unreached)(void *ctx, uint64_t client, int err);
    /* Its connection died or was replaced and the request goes out again on another one: the peer
     * is suspect until it answers. `err` says how it was noticed. May be NULL. */
    void (*on_resent)(void *ctx, uint64_t client, int err);
    /* No connection to where it was sent is left and none can be opened: is there another way to
     * the same device? True: `dest`, of the same transport, is one, and the same bytes go there,
     * which makes the second copy a retransmission; false: on_failed follows. Asked once for each
     * way that failed; the user says no at last. May be NULL: no. */
    bool (*on_stranded)(void *ctx, uint64_t client, int err, struct flow_dest *dest);
    /* A provisional response to an INVITE, above 100, could not be brought to its sender by any
     * way: whoever called is gone. Not told of one that was given to txn_respond just now and
     * failed there. May be NULL. */
    void (*on_lost)(void *ctx, uint64_t server, int err);
    /* Nobody acknowledged our final response to an INVITE (Timer H: ERR_TIMEOUT), or a final
     * response was sent and could not be brought to the sender by any way (why). May be NULL. */
    void (*on_unacked)(void *ctx, uint64_t server, int err);
    /* The scope is about to give its arena back: nothing will be told about it any more. That is
     * when its last transaction has terminated, or sooner: when those that are left only absorb
     * retransmissions. May be NULL. */
    void (*on_end)(void *ctx);
    /* Every transaction of the scope has its final response and nobody holds it, but further 2xx to
     * the INVITE may come for 32 s (RFC 6026): the user copies what it needs to forward them into
     * `small` (TXN_LINGER_SIZE bytes, zeroed, aligned as by malloc), which is its `ctx`, and that
     * of all client transactions, from now on. On return the arena and all in it are given back;
     * txn_request and txn_origin give NULL; what is later allocated in the arena lives until the
     * callback that does so has returned. May be NULL: then such a scope keeps its arena. */
    void (*on_linger)(void *ctx, void *small);
    /* Its requests are only to find something out (checks): they do not count in txns_pending. */
    bool is_aside;
};

#define TXN_LINGER_SIZE 72

int txns_new(const struct txn_conf *conf, struct wheel *wheel, struct flows *flows, unsigned worker,
             const struct hash_key *key, struct counters *counters, struct txns **out) WARN_UNUSED;
/* Ends every transaction silently (on_end is called). */
void txns_free(struct txns **txns);
void txns_set_conf(struct txns *txns, const struct txn_conf *conf);
/* flows are made with events that lead here, so they are set after both exist. */
void txns_set_flows(struct txns *txns, struct flows *flows);
/* Writes the topmost Via of a response of our own, `via`, in another form; false: it stays as it
 * is. `req` is the request. RFC 7339 4. */
typedef bool txn_via_fn(void *user, const struct sip_msg *req, struct slice via, struct buf *out);
void txns_set_via(struct txns *txns, txn_via_fn *fn, void *user);
unsigned txns_count(const struct txns *txns); /* transactions that have not terminated */
/* Of these, those that still await a final response and that somebody waits for (drain). */
unsigned txns_pending(const struct txns *txns);

/* So long the sender of a request that is no INVITE waits for its final response (ms). */
uint32_t txns_timer_f(const struct txns *txns);

/* What is in use, all zero when nothing is left. */
struct txn_usage {
    unsigned transactions, scopes;
    size_t blocks; /* of arenas */
    size_t cells;  /* responses and ACKs kept outside of arenas */
    unsigned kept; /* stateless messages that are kept for a moment */
};
void txns_usage(const struct txns *txns, struct txn_usage *out);

/* --- messages that arrived --- */

enum txn_verdict {
    TXN_NEW,      /* no transaction: the TU opens one */
    TXN_ABSORBED, /* a retransmission, or the ACK of a non-2xx: done */
    TXN_ACK,      /* ACK of a 2xx (or of nothing known): the TU forwards it without state */
    TXN_CANCEL, /* a new CANCEL; *cancelled is the server transaction it names, of whichever method;
                   0: there is none */
};
/* Is it the ACK of a refusal of ours of which nothing is kept (txn_reply_stateless)? `bytes`: an
 * ACK that nobody has looked into yet; cheap, and right for each worker of the process. */
bool txn_is_idle_ack(const struct txns *txns, struct slice bytes);
enum txn_verdict txn_on_request(struct txns *txns, const struct sip_msg *req,
                                const struct flow_origin *origin, uint64_t *cancelled);
/* Hands it to its client transaction. False: no such transaction (stray; counted). */
bool txn_on_response(struct txns *txns, const struct sip_msg *res,
                     const struct flow_origin *origin);
void txn_on_flow_event(struct txns *txns, const struct flow_event *ev);
/* ICMP says (err: -errno) that what `quote` is of did not arrive at `remote`. Believed only of a
 * request under way that was sent there, has our whole branch, and has not been answered: nobody
 * else knows that one. RFC 3261 17.1.4, 18.4. */
void txn_on_unreached(struct txns *txns, const struct sip_quote *quote, const struct addr *remote,
                      int err);

/* --- server transactions --- */

/* A new scope with its server transaction; the message is copied into the arena. `ctx` of
 * `ctx_size` bytes, zeroed, is allocated in it and handed to the TU. 0; ERR_FULL (txn_conf.max);
 * ERR_NOMEM. */
int txn_server_new(struct txns *txns, const struct sip_msg *req, const struct flow_origin *origin,
                   const struct txn_tu *tu, size_t ctx_size, void **ctx,
                   uint64_t *server) WARN_UNUSED;
/* A scope without a server transaction (requests of our own). It ends by itself when it has no
 * transaction and no hold once the caller has returned to the loop. */
int txn_scope_new(struct txns *txns, const struct txn_tu *tu, size_t ctx_size, void **ctx,
                  struct txn_scope **scope) WARN_UNUSED;

/* The scope of a live transaction (server or client), NULL when stale. */
struct txn_scope *txn_scope_of(struct txns *txns, uint64_t id);
struct arena *txn_scope_arena(struct txn_scope *scope);
/* The scope stays although it has no transaction (a resolver query, a timer); each hold needs one
 * unhold, which may end it. */
void txn_scope_hold(struct txn_scope *scope);
void txn_scope_unhold(struct txn_scope *scope);

/* NULL when stale, or when the scope has given its arena back. */
const struct sip_msg *txn_request(struct txns *txns, uint64_t server);
const struct flow_origin *txn_origin(struct txns *txns, uint64_t server);
/* Has a final response been sent, or is the transaction gone? */
bool txn_is_answered(struct txns *txns, uint64_t server);
/* The context of a server transaction made for `tu`; NULL when it is stale or another user's. */
void *txn_server_ctx(struct txns *txns, uint64_t server, const struct txn_tu *tu);
/* The context of each INVITE server transaction made for `tu` that has no final response; `fn` may
 * do what callbacks may. */
void txns_each_invite(struct txns *txns, const struct txn_tu *tu, void (*fn)(void *ctx));
/* Ends it without an answer (RFC 4320 4.2: none to a request that timed out). */
void txn_server_forget(struct txns *txns, uint64_t server);

/* Sends `bytes` (a whole response, allocated in the scope's arena, kept for retransmission).
 * Responses after a final one are ignored, except a further 2xx to an INVITE (RFC 6026 8.5,
 * retransmitted or of another branch), which is sent. 0, ERR_STALE, or the error of flows_send
 * after RFC 3261 18.2.2 has been tried too: of a stream, any but ERR_NOMEM says that the sender of
 * the request cannot be reached. */
int txn_respond(struct txns *txns, uint64_t server, unsigned status,
                struct slice bytes) WARN_UNUSED;
/* Writes and sends a response of our own (To tag minted once for each transaction). `extra`: whole
 * header lines. Needs no memory: where there is none, the response is sent without being kept for
 * retransmission. The errors of txn_respond, ERR_FULL. */
int txn_reply(struct txns *txns, uint64_t server, unsigned status, struct slice reason,
              struct slice extra);
/* An answer without a transaction: for ACK-less refusals under overload, malformed requests and the
 * like. */
void txn_reply_stateless(struct txns *txns, const struct sip_msg *req,
                         const struct flow_origin *origin, unsigned status, struct slice reason,
                         struct slice extra);

/* --- client transactions --- */

/* Reserves a client transaction in `scope` and its id, from which the branch is minted
 * (sip_branch_write). 0, ERR_FULL, ERR_NOMEM. Each is followed by txn_client_send or
 * txn_client_drop. */
int txn_client_new(struct txns *txns, struct txn_scope *scope, void *ctx,
                   uint64_t *client) WARN_UNUSED;
void txn_client_drop(struct txns *txns, uint64_t client);
/* Whose its request is (flows_send_for); before txn_client_send. Both slices are in the arena. */
void txn_client_for(struct txns *txns, uint64_t client, const struct flow_whose *whose);
/* Starts it: `bytes` is the whole request, in the scope's arena, whose topmost Via carries the
 * branch of `client` and `loop`. Errors of sending come by on_failed from the loop, never from
 * inside this call. */
void txn_client_send(struct txns *txns, uint64_t client, enum sip_method method,
                     const struct flow_dest *dest, uint32_t loop, struct slice bytes);
/* Cancels an INVITE (RFC 3261 9.1): at once when a provisional response has come, else when it
 * comes; nothing when it has its final response. `extra`: whole header lines (Reason), in the
 * arena. Without a final response 64*T1 after the CANCEL, on_failed(ERR_TIMEOUT). */
void txn_client_cancel(struct txns *txns, uint64_t client, struct slice extra);
/* Its user goes on without it: the request is not sent again, neither by a timer nor over another
 * connection, and an INVITE is cancelled as by txn_client_cancel. What comes is still told. */
void txn_client_leave(struct txns *txns, uint64_t client, struct slice extra);
/* Timer F fires in `ms` at the latest: whoever sent the request has not begun to wait just now. Not
 * for an INVITE, which has told its sender to wait. */
void txn_client_limit(struct txns *txns, uint64_t client, uint64_t ms);
/* Has it no final response yet? */
bool txn_client_is_pending(struct txns *txns, uint64_t client);
/* The last response's flow and the destination used, for logs. */
const struct flow_dest *txn_client_dest(struct txns *txns, uint64_t client);
/* The context of a client transaction made for `tu`; NULL when it is stale, another user's, or the
 * scope has given its arena back. */
void *txn_client_ctx(struct txns *txns, uint64_t client, const struct txn_tu *tu);
/* Ends it without telling the TU (a branch nobody waits for, e.g. after Timer C without
 * provisional). */
void txn_client_forget(struct txns *txns, uint64_t client);

/* A message without a transaction (ACK of a 2xx): kept for a moment and sent again when its
 * connection is replaced. `lost`: what is told with `id` when that cannot be done after all; NULL:
 * nobody. True: *dest, of the same transport, is another way to the same device, and the message
 * goes there. Told from the loop, not from inside the call; `user` must outlive it. Not told of a
 * peer whose connections are not to be reopened (flow_dest.no_reopen): it repeats its 2xx over a
 * new one. 0 or the error of flows_send. */
typedef bool txn_lost_fn(void *user, uint64_t id, int err, struct flow_dest *dest);
int txn_send_stateless(struct txns *txns, const struct flow_dest *dest, struct slice bytes,
                       txn_lost_fn *lost, void *user, uint64_t id) WARN_UNUSED;
/* The same, and whose it is (flows_send_for); `whose` is borrowed until the call returns. */
int txn_send_stateless_for(struct txns *txns, const struct flow_dest *dest,
                           const struct flow_whose *whose, struct slice bytes, txn_lost_fn *lost,
                           void *user, uint64_t id) WARN_UNUSED;

/* A part of the transactions as rows: the next `n` places from *at on (0 at first). False when
 * these were the last. The set is "transaction": id, kind ("client", "server"), method, state (RFC
 * 3261 section 17, RFC 6026), call_id, branch (of the topmost Via: ours of a client's), remote,
 * transport, connection, age_ms (since its request came), ends_ms (until a timer ends it or what it
 * waits for; 0: none is set). */
bool txns_rows_some(struct txns *txns, uint32_t *at, unsigned n, const struct row_sink *sink);

#endif
