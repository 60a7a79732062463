/* SPDX-License-Identifier: Apache-2.0 */
/* What the files of txn/ share: the transaction, its scope and the tables of one worker.
 *
 * Nothing that the transaction user may still have in its hands is freed under it: transactions end
 * at once and their ids go stale, but a scope ends, or gives its arena back, only in txns_reap,
 * which runs at the begin of txn_on_request and txn_on_response and by a timer, never beneath a
 * call of the user. owns, borrows, thread: see txn.h. */
#ifndef TXN_TXN_INT_H
#define TXN_TXN_INT_H

#include "base/event.h"
#include "base/list.h"
#include "base/pool.h"
#include "base/table.h"
#include "txn/cells.h"
#include "txn/fsm.h"
#include "txn/txn.h"

/* Bytes of stateless ACKs that are kept; above it the oldest go first. */
#define TXN_KEPT_MAX (32u << 20)
/* Bytes sent longer ago than this before the peer reset the connection were delivered. */
#define TXN_RESET_MS 1000u
/* Ended scopes are looked at no later than this. */
#define TXN_REAP_MS      10u

#define TXN_FLOW_BUCKETS 4096u
#define TXN_SCRATCH      (SIP_MSG_MAX + 1u)

/* Something sent on a stream that may have to be sent again. First member of its object. */
struct txn_sent {
    struct list by_flow; /* in a bucket of txns.flows_sent, in the order of sending */
    struct flow_dest dest;
    struct slice bytes; /* client: the request, later the ACK; server: the last response */
    bool is_stateless;  /* struct txn_kept; else struct txn */
};

/* A stateless message; the bytes, and those of the DN, lie behind it in the same cell. */
struct txn_kept {
    struct txn_sent sent;
    struct list fifo; /* txns.kept, by `due` */
    uint64_t due;
    struct slice dn; /* of the device that it goes to, or empty */
    txn_lost_fn *lost;
    void *user;
    uint64_t id;
};

struct txn {
    struct txn_sent sent;
    uint64_t id;
    struct txn_scope *scope;
    struct list in_scope;
    struct timer retransmit; /* A, E, G; once a stream's response is final: the end of keeping it */
    struct timer timeout;    /* B, F, H, or the timer of the last state, which never run together */
    uint64_t deadline;       /* while `err` is set: when `timeout` was to fire, 0: it was not set */
    uint32_t interval;       /* of `retransmit`, ms */
    int err;                 /* not 0: fails with it when `timeout` fires, which is set to now */
    uint8_t machine;         /* enum fsm_machine */
    uint8_t state;           /* enum fsm_state */
    uint8_t method;          /* enum sip_method */
    bool in_cell;            /* sent.bytes lie in a cell */
    bool is_fresh;     /* stream: sent on a connection opened for it, and nothing heard since */
    bool is_cancel;    /* our CANCEL: the user does not know of it */
    bool is_cancelled; /* INVITE client: the user wants it cancelled */
    bool fell_back;    /* server: RFC 3261 18.2.2, the sent-by address has been tried */
    bool is_rung;      /* INVITE server: a provisional response above 100 was sent */
    bool is_2543;      /* server: no branch by RFC 3261 */
    union {
        struct {
            void *ctx;
            uint64_t peer;      /* of an INVITE: its CANCEL; of a CANCEL: its INVITE; 0: none */
            struct slice extra; /* header lines of the CANCEL */
            struct flow_whose whose;
            uint32_t loop; /* second half of the branch */
        } client;
        struct {
            struct table_node node;
            uint64_t check;                   /* second half of the key's fingerprint */
            uint64_t to_tag;                  /* RFC 2543: hash of the request's To tag */
            uint64_t sent_tag;                /* RFC 2543: hash of our final response's To tag */
            const struct sip_msg *req;        /* NULL when the scope has settled */
            const struct flow_origin *origin; /* the same */
        } server;
    } u;
};

struct txn_scope {
    struct txns *txns;
    uint64_t id;
    struct list members;     /* struct txn.in_scope */
    struct list check;       /* linked in txns.check: may have ended or settled */
    const struct txn_tu *tu; /* NULL: the user has been told the end */
    void *ctx;
    struct arena arena;
    uint32_t holds;
    bool is_aside;  /* as its user's */
    uint64_t since; /* when its request was received: flow_dest.since */
    _Alignas(16) unsigned char small[TXN_LINGER_SIZE];
};

#define TXN_TAG_LEN  16
#define TXN_MARK_LEN 12 /* in front of it where nothing is kept */

struct txn_key {
    uint64_t hash, check;
};

/* The key of the request that came last, which its transaction or its refusal needs again. Every
 * request is looked for first, so that what lies at these places is still that one. */
struct txn_seen {
    const struct sip_msg *req;
    const char *branch;
    enum sip_method method;
    struct txn_key key;
};

struct txns {
    struct txn_conf conf;
    struct wheel *wheel;
    struct flows *flows;
    struct counters *counters;
    struct hash_key key;     /* of fingerprints */
    char mark[TXN_MARK_LEN]; /* of tags: txn_tag_stateless */
    struct pool pool;        /* struct txn */
    struct pool scopes;
    struct table servers; /* by fingerprint */
    struct arena_cache blocks;
    struct cells cells;
    unsigned pending;
    struct list check; /* scopes */
    struct timer reap;
    struct list kept; /* struct txn_kept, the oldest first */
    size_t kept_bytes;
    struct timer expire;
    struct log_limit resent_limit;
    txn_via_fn *via_fn; /* NULL: none */
    void *via_user;
    struct list flows_sent[TXN_FLOW_BUCKETS]; /* struct txn_sent.by_flow */
    struct txn_seen seen;
    char scratch[TXN_SCRATCH]; /* messages that we write */
};

static inline struct txns *txns_of(const struct txn *t)
{
    return t->scope->txns;
}

/* The loop's time; the wheel has stood still while the loop slept. */
static inline uint64_t txns_now(const struct txns *txns)
{
    return flows_time(txns->flows);
}

static inline struct txn *txn_of_sent(struct txn_sent *s)
{
    return (struct txn *)(void *)s;
}

static inline bool txn_is_client(const struct txn *t)
{
    return t->machine == FSM_INVITE_CLIENT || t->machine == FSM_CLIENT;
}

static inline bool txn_is_stream(const struct txn *t)
{
    return sip_transport_is_reliable((enum sip_transport)t->sent.dest.transport);
}

/* --- txns.c --- */
/* A member of the scope, in state INIT. NULL: ERR_FULL or ERR_NOMEM in *err. */
struct txn *txn_new(struct txn_scope *scope, enum fsm_machine machine, int *err);
/* Terminated: out of every list and table; the id is stale. */
void txn_end(struct txn *t);
void txn_set_state(struct txn *t, enum fsm_state state);
struct txn *txn_find_client(const struct txns *txns, uint64_t id); /* NULL: stale or terminated */
struct txn *txn_find_server(const struct txns *txns, uint64_t id);
/* --- scope.c --- */
struct txn_scope *scope_new(struct txns *txns, const struct txn_tu *tu, size_t ctx_size);
/* Ends now, members and all. */
void scope_end(struct txn_scope *scope);
/* The scope may have ended or settled: to be looked at by txns_reap. */
void scope_check(struct txn_scope *scope);
void txns_reap(struct txns *txns);
void txns_on_reap(struct timer *timer, uint64_t now);
/* Gives the bytes' cell back, if they have one. */
void txn_drop_bytes(struct txn *t);

/* --- timers.c --- */
void txn_timers_init(struct txn *t);
void txn_timer_actions(struct txn *t, uint16_t actions);
/* Lets it fail from the loop, unless its user knows another way then. */
void txn_fail_later(struct txn *t, int err);

/* --- match.c --- */
void txn_key_of(const struct txns *txns, const struct sip_msg *req, enum sip_method method,
                struct txn_key *key);
/* The To tag of our own responses to the request with that check. */
struct slice txn_tag_write(uint64_t check, char room[TXN_TAG_LEN]);
/* That of a response of which nothing is kept. It begins with the mark of this process, so that its
 * ACK is known by that alone. */
void txn_mark_write(const struct hash_key *key, char room[TXN_MARK_LEN]);
struct slice txn_tag_stateless(const struct txns *txns, uint64_t check,
                               char room[TXN_MARK_LEN + TXN_TAG_LEN]);
/* The key of a request with its own method. */
void txn_key_again(const struct txns *txns, const struct sip_msg *req, struct txn_key *out);
uint64_t txn_tag_hash(const struct txns *txns, struct slice tag);

/* --- client.c --- */
void client_run(struct txn *t, enum fsm_event ev, const struct sip_msg *res,
                const struct flow_origin *origin, int err);
/* The same bytes again, over what has replaced its connection. The errors of flows_send. */
int client_resend(struct txn *t) WARN_UNUSED;
/* It is about to fail with t->err: true when it goes on by another way instead. */
bool client_finds_way(struct txn *t);
/* Has been sent and has no final response. */
bool client_is_active(const struct txn *t);

/* --- server.c --- */
/* The error of sending, if that was to be done. */
int server_run(struct txn *t, enum fsm_event ev, int err);
/* The same response by what has replaced its connection, which ended with `err`. The errors of
 * flows_send. */
int server_resend(struct txn *t, int err) WARN_UNUSED;
/* RFC 3261 18.2.2: the same to the address in the topmost Via, as the last resort. The error of
 * sending, or `err` when that has been tried. */
int server_fall_back(struct txn *t, int err) WARN_UNUSED;

/* --- recover.c --- */
/* After a send on a stream: to be found by its flow, behind everything sent before. */
void sent_link(struct txns *txns, struct txn_sent *s);
void sent_unlink(struct txn_sent *s);
/* One line for each copy; the user writes those about its own requests. `err`: why. */
void sent_log(struct txns *txns, const struct txn_sent *s, const char *text, int err);
void kept_free(struct txns *txns, struct txn_kept *k);
void kept_on_expire(struct timer *timer, uint64_t now);

#endif
