/* SPDX-License-Identifier: Apache-2.0 */
/* A stage for scripts about transactions: flow and txn on the scripted network, and a transaction
 * user that notes whatever it is told.
 *
 * We are 10.0.0.1:5060. A script injects messages, lets time pass, and takes what was sent and
 * noted, in order. stage_stop checks that nothing is left. owns: everything on it. thread: one. */
#ifndef SCRIPTED_STAGE_H
#define SCRIPTED_STAGE_H

#include "base/mailbox.h"
#include "fake/fake.h"
#include "flow/flow.h"
#include "txn/txn.h"

#define US  "10.0.0.1:5060"
#define UAC "10.0.0.9:5060" /* sends requests to us */
#define UAS "10.0.0.2:5060" /* gets requests from us */

enum note_kind {
    NOTE_NEW,      /* request without a transaction: a server transaction was made */
    NOTE_ACK,      /* ACK for the user */
    NOTE_CANCEL,   /* value: 1 when it names a transaction */
    NOTE_RESPONSE, /* value: status */
    NOTE_STRAY,    /* response without a transaction */
    NOTE_FAILED,   /* value: err */
    NOTE_UNACKED,  /* value: err */
    NOTE_RESENT,   /* value: err */
    NOTE_STRANDED, /* value: err; the answer is s->other, once, when it has a transport */
    NOTE_LOST,     /* a provisional response; value: err */
    NOTE_LINGER,
    NOTE_END,
};

struct note {
    enum note_kind kind;
    int value;
    uint64_t id;
    uint64_t at; /* ms since the start */
};

struct stage {
    struct net_loop *loop;
    struct wheel wheel;
    struct counters counters;
    struct mailbox box;
    struct mailbox *boxes[1];
    struct hash_key key;
    struct addr listen;
    struct flow_conf flow_conf;
    struct txn_conf txn_conf;
    struct flows *flows;
    struct txns *txns;
    struct txn_tu tu;
    struct note notes[4096];
    unsigned nnotes, nread;
    uint64_t start;
    uint64_t server;         /* the latest server transaction */
    uint64_t cancelled;      /* what the latest CANCEL named */
    int new_err;             /* of the latest txn_server_new */
    bool is_asked;           /* notes RESENT and STRANDED are taken */
    struct flow_dest other;  /* another way, for who is stranded; flow 0 and no port: none */
    struct txn_scope *scope; /* of the latest stage_client */
    char text[8192];
    struct slice last; /* message taken last */
    uint64_t last_at;  /* ms since the start */
};

/* `recover`: sip-enable-tcp-keep-alive. Before stage_open the confs may be changed. */
void stage_init(struct stage *s, bool recover);
/* 0, or the error of what could not be made. */
int stage_open(struct stage *s);
void stage_start(struct stage *s, bool recover); /* both */
/* Lets 10 minutes pass, checks that nothing is left, and frees all. */
void stage_stop(struct stage *s);
/* Frees all as it is. */
void stage_close(struct stage *s);
uint64_t stage_ms(const struct stage *s); /* since the start */
/* Ends the turn in which the script has acted as the user. */
void stage_turn(struct stage *s);

/* --- requests of a peer, and what we answer --- */

/* A request with that branch and a Via of UAC; `transport` "UDP" or "TCP". In s->text, until the
 * next one. */
struct slice stage_request(struct stage *s, const char *method, const char *branch,
                           const char *transport);
/* Comes by UDP. */
void stage_udp(struct stage *s, const char *method, const char *branch);
/* A response by the user, written from the request of the transaction. */
int stage_reply(struct stage *s, uint64_t server, unsigned status);

/* --- requests of ours, and how the peer answers --- */

/* A client transaction in a scope of its own. */
uint64_t stage_client(struct stage *s, enum sip_method method, const struct flow_dest *dest);
/* One in the scope of a live transaction. */
uint64_t stage_branch(struct stage *s, uint64_t of, enum sip_method method,
                      const struct flow_dest *dest);
struct flow_dest stage_dest(const char *to, enum sip_transport transport);
/* The response to the message taken last; in s->text. */
struct slice stage_answer(struct stage *s, unsigned status);
/* The same, sent by UDP from UAS. */
void stage_answer_udp(struct stage *s, unsigned status);

/* --- what happened --- */

/* The next datagram to that peer begins so; it is `last`. */
void stage_expect_udp_(struct stage *s, const char *to, const char *begin, const char *file,
                       int line);
void stage_no_udp_(struct stage *s, const char *file, int line);
void stage_expect_tcp_(struct stage *s, struct fake_conn *conn, const char *begin, const char *file,
                       int line);
void stage_no_tcp_(struct stage *s, struct fake_conn *conn, const char *file, int line);
const struct note *stage_expect_(struct stage *s, enum note_kind kind, int value, const char *file,
                                 int line);
void stage_quiet_(struct stage *s, const char *file, int line);

#define expect_udp(s, to, begin)    stage_expect_udp_((s), (to), (begin), __FILE__, __LINE__)
#define no_udp(s)                   stage_no_udp_((s), __FILE__, __LINE__)
#define expect_tcp(s, conn, begin)  stage_expect_tcp_((s), (conn), (begin), __FILE__, __LINE__)
#define no_tcp(s, conn)             stage_no_tcp_((s), (conn), __FILE__, __LINE__)
#define expect_note(s, kind, value) stage_expect_((s), (kind), (value), __FILE__, __LINE__)
/* Nothing was noted but what was expected. */
#define quiet(s)       stage_quiet_((s), __FILE__, __LINE__)
#define advance(s, ms) fake_advance((s)->loop, (ms))

#endif
