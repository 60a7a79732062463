/* SPDX-License-Identifier: Apache-2.0 */
/* Private face of the call records: how a record lies in memory, and what the files share.
 *
 * A record is its part of fixed size in a pool, one block with the texts of the caller, and one
 * block for each dialog; blocks are made anew when a text changes. owns: the blocks. thread: one
 * worker. */
#ifndef CALL_CALL_INT_H
#define CALL_CALL_INT_H

#include "base/event.h"
#include "base/pool.h"
#include "base/table.h"
#include "call/call.h"

#define CALL_LATE_MS  32000 /* 64*T1: a 2xx may come so long after the first (RFC 3261 13.2.2.4) */
#define CALL_GRACE_MS 32000 /* after a session interval, for the BYE that should have come */
#define CALL_CSEQ_MAX 0x7fffffffu /* RFC 3261 8.1.1.5 */

/* Texts of a block, one behind the other. */
enum call_part {
    PART_TAG,
    PART_TARGET, /* remote target: URI of the Contact, or empty */
    PART_ROUTES, /* value of the Route towards that side, or empty */
    PART_WAY,    /* packed struct flow_dest */
    PART_NAME,   /* the caller's block: Call-ID; a dialog: the DN of the callee */
    PART_FROM,   /* the caller's block: URIs of From and To of the INVITE */
    PART_TO,
    PART_COUNT
};

struct parts {
    struct slice v[PART_COUNT];
};

struct texts {
    uint16_t end[PART_COUNT];
    char bytes[];
};

struct caller {
    uint16_t nroutes; /* Record-Route values of the INVITE as received */
    struct texts texts;
};

struct dialog {
    struct dialog *next;
    uint64_t heard;
    uint64_t expires;     /* ms; end of the session interval with its grace, 0: no session timer */
    uint32_t cseq[2];     /* highest seen, by who sent it */
    uint32_t invite_cseq; /* of the caller's latest INVITE */
    uint32_t ok_cseq;     /* of the INVITE whose 2xx has passed last, 0: none */
    uint32_t print;       /* of the answer that is described: Record-Route, Contact */
    uint8_t ok_side;      /* enum call_side: who had sent it */
    bool confirmed, acked;
    bool is_slim; /* early, without target and routes: there was no room */
    struct texts texts;
};

struct call {
    struct table_node node; /* by Call-ID and tag of the caller */
    struct timer timer;     /* not later than the next deadline */
    struct calls *owner;
    uint64_t id;
    union {
        uint64_t server;  /* of the pending INVITE */
        uint32_t over[2]; /* is_final: numbers of the tags of dialogs that have ended last */
    };
    uint64_t since;
    uint64_t late_until; /* a 2xx of another fork may come; 0: no 2xx has passed */
    struct caller *caller;
    struct dialog *dialogs;
    uint32_t invite_cseq;
    uint32_t via_hash; /* of the topmost branch of the INVITE */
    uint32_t member;   /* call_set_member; 0: none */
    uint16_t bytes;    /* of the whole record, at most CALL_BYTES_MAX */
    bool is_final;     /* the INVITE has its final response */
    bool is_cut;       /* something did not fit, and was counted */
};

struct calls {
    struct call_conf conf;
    struct wheel *wheel;
    struct hash_key key;
    struct counters *counters;
    struct pool pool;
    struct table table;
    bool (*is_ours)(void *user, const struct sip_uri *uri);
    void *ours_user;
    void (*gone)(void *user, uint32_t member);
    void *gone_user;
};

/* --- record.c: blocks --- */
#define CALL_WAY_MAX 64 /* bytes of a packed flow_dest */
struct slice call_pack_way(const struct flow_dest *dest, char out[CALL_WAY_MAX]);
void call_unpack_way(struct slice packed, struct flow_dest *out);

struct slice texts_get(const struct texts *t, enum call_part part);
void texts_all(const struct texts *t, struct parts *out);

/* Fixed cost of a record: its slot in the pool and its share of the table. */
unsigned call_fixed_cost(void);
/* The caller's block made, or made anew. 0, ERR_NOMEM, ERR_LIMIT (no room); then it is as before.
 */
int caller_put(struct call *c, const struct parts *parts) WARN_UNUSED;
/* The same for a dialog; *d is NULL for a new one, which is linked, and gets the new place. For
 * the sake of one that `is_confirmed` early dialogs have to go where there is no room. */
int dialog_put(struct call *c, struct dialog **d, const struct parts *parts,
               bool is_confirmed) WARN_UNUSED;
void dialog_remove(struct call *c, struct dialog *d);
void dialogs_remove_early(struct call *c);
bool call_has_confirmed(const struct call *c);
struct dialog *dialog_of_tag(const struct call *c, struct slice tag);

/* --- calls.c --- */
struct call *calls_get(const struct calls *calls, uint64_t call);
/* The record of a message with both tags. */
struct call *calls_find(const struct calls *calls, const struct sip_msg *msg, struct dialog **d,
                        enum call_side *side);
/* The same where the call is known. */
struct dialog *call_dialog_of(const struct call *c, const struct sip_msg *msg,
                              enum call_side *side);
void call_free(struct call *c);
/* After a deadline may have come nearer. */
void call_arm(struct call *c);
/* Counts once for each call that something of it could not be kept. */
void call_count_cut(struct call *c);

/* --- sets.c: what a dialog learns from a message (RFC 3261 12.1) --- */
/* URI of the first Contact that can be a Request-URI, into `b`; empty when there is none. */
struct slice call_target(const struct sip_msg *msg, struct buf *b);
/* What is kept in place of a URI is not looked into before it is needed. */
bool call_is_uri(struct slice text);
/* Record-Route as received, in its order: the way to the caller. *n: values in it. ERR_LIMIT,
 * ERR_PARSE. */
int call_routes_to_caller(const struct sip_msg *invite, struct buf *b, unsigned *n) WARN_UNUSED;
/* Of a response: the way from us to the callee, which is at `callee`. */
int call_routes_to_callee(const struct call *c, const struct sip_msg *res,
                          const struct flow_dest *callee, struct buf *b) WARN_UNUSED;
/* A number over all that a dialog learns from the headers of a response. Without a key: a peer
 * whose own responses fall together misleads us about nobody but itself. */
uint32_t call_print(const struct sip_msg *res);

#endif
