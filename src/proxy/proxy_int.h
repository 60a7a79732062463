/* SPDX-License-Identifier: Apache-2.0 */
/* The response context of a request (RFC 3261 16.2) and what the files of this room share.
 *
 * owns: a context and its branches live in the arena of the request's scope. thread: one worker. */
#ifndef PROXY_PROXY_INT_H
#define PROXY_PROXY_INT_H

#include "base/event.h"
#include "base/list.h"
#include "base/table.h"
#include "proxy/hide.h"
#include "proxy/proxy.h"
#include "proxy/seal.h"
#include "sip/edit.h"
#include "sip/write.h"

#define PROXY_MAX_FORWARDS 70
#define PROXY_MTU          1300 /* RFC 3261 18.1.1: larger requests go by a stream */
#define PROXY_TRYING_MS    100  /* RFC 3261 17.2.1 allows 200 */
#define PROXY_PROVISIONALS_MAX                                                                 \
    256                         /* forwarded for one request; each is kept until the call ends \
                                 */
#define PROXY_GROUP_MAX      32 /* targets at a time */
#define PROXY_OUR_ROUTES_MAX 8  /* of our own Record-Route values taken from one request */

#define PROXY_MARK           "hf-mark" /* parameter of our Record-Route */
#define PROXY_MARK_LEN       16        /* hex digits */
#define PROXY_PATH           "hf-path" /* parameter of our Path */
#define PROXY_RENEWALS_MAX   2         /* newer registrations tried for one branch */
#define PROXY_REPEATS_MAX    1024      /* 2xx that come again and are kept, of one request */
#define PROXY_GIVE_UP_MS     32000 /* a 2xx is repeated by its sender so long (RFC 3261 13.3.1.4) */
/* With less left of its sender's Timer F, what is no INVITE is not begun anew elsewhere. */
#define PROXY_ROOM_MS 2000

struct proxy {
    const struct proxy_conf *conf;
    struct proxy_deps deps;
    /* Keys of their own: what peers see of one hash says nothing about another. */
    struct hash_key mark_key, loop_key, leg_key;
    struct seal seal; /* of what others carry for us */
    struct log_limit resent_limit, not_hidden;
    struct list byes;    /* pctx.byes */
    struct list members; /* branch.in_members */
    struct table legs;   /* pctx.leg, by Call-ID */
    struct timer look;   /* outage.c: while anything is in `members` */
    struct list held;    /* held.c: ACKs */
    size_t held_bytes;
    struct timer held_timer;
    struct list refused; /* refused.c */
    unsigned nrefused;
    struct timer refused_timer;
};

/* A request after Route preprocessing (RFC 3261 16.4): what is left to do is said, not done. */
struct proxy_way {
    struct sip_uri uri;      /* Request-URI to look up */
    struct slice uri_text;   /* the same as text */
    unsigned popped;         /* topmost Routes that were ours */
    bool strict_popped;      /* the last Route became the Request-URI */
    struct slice next_route; /* topmost remaining Route value (an element), or empty */
    struct sip_uri next_uri; /* its URI */
    bool next_is_strict;     /* without lr */
    bool is_ours_dialog;     /* a Route of ours proves that we record-routed this dialog */
    bool relays;             /* and that whoever began it may have requests relayed */
    bool trusts;             /* the sender may name a flow by our Path */
    bool has_token;
    struct slice hidden;    /* Routes that one of ours stood for: in front of those that are left;
                               the first is next_route */
    struct flow_dest token; /* the flow named by the last Route of ours */
};

enum branch_state {
    BRANCH_NEW,
    BRANCH_RESOLVING,
    BRANCH_TRYING, /* sent */
    BRANCH_PARKED, /* waits for the member that takes over; in no transaction */
    BRANCH_DONE,
};

struct pctx;

/* First member of whatever is the `ctx` of a transaction. */
enum ctx_kind { CTX_REQUEST = 1, CTX_BRANCH, CTX_LINGER };

/* What is left of a call that has been answered: enough to forward a late or repeated 2xx. */
struct linger {
    enum ctx_kind kind;
    struct proxy *proxy;
    uint64_t server;
    uint64_t call;
    uint64_t winner;   /* of a request that is one call (proxy_is_one_call): only its 2xx is
                          forwarded; 0: all are */
    bool is_stream;    /* the caller's transport */
    struct hide_up up; /* where topology is hidden */
    uint16_t nvias;
    char *vias; /* of its request, on the heap; NULL: none were taken off */
};
_Static_assert(sizeof(struct linger) <= TXN_LINGER_SIZE, "it has to fit into what txn keeps");

struct branch {
    enum ctx_kind kind; /* CTX_BRANCH */
    struct list node;   /* in pctx.branches */
    struct pctx *ctx;
    struct route_target *target;
    uint64_t client; /* transaction */
    enum branch_state state;
    bool was_cancelled;
    bool was_heard;        /* a provisional response came, 100 included */
    bool is_fallback;      /* sent by UDP after a stream could not be opened, or needs none */
    bool is_upgraded;      /* sent by TCP for its size */
    bool is_suspect;       /* its connection was replaced, and nothing has come since */
    bool is_passed;        /* silent: the request has gone on to a further way, in another branch */
    bool is_left;          /* done: another branch has taken its place, and only a 2xx counts */
    uint8_t renewals;      /* newer registrations of its device that were tried */
    uint16_t race;         /* branches with the same number, not 0: the first one heard goes on */
    unsigned ndests, dest; /* of dests; dest: the one in use */
    struct flow_dest *dests;
    struct route_query query;
    struct timer timer_c;    /* parked: when it is given up */
    struct timer quiet;      /* failover-time */
    struct list in_members;  /* in proxy.members while under way towards one */
    uint64_t down;           /* ms: its application is known to be out of service; 0: it is not */
    unsigned breadth;        /* Max-Breadth of this branch */
    unsigned reserve;        /* of a further way that is tried beside it */
    int parked_err;          /* why it was parked */
    struct slice challenges; /* WWW- and Proxy-Authenticate lines of its 401 or 407 */
};

/* The best response so far; bytes in the arena, our Via already removed. */
struct best {
    unsigned status;
    struct slice bytes;
    struct branch *branch; /* whose it is */
    int err;               /* not 0: made by us since the branch failed so */
};

struct pctx {
    enum ctx_kind kind; /* CTX_REQUEST */
    struct proxy *proxy;
    uint64_t server;
    struct txn_scope *scope;
    struct arena *arena;
    const struct sip_msg *req; /* this and origin live in the arena */
    const struct flow_origin *origin;
    struct proxy_way way;
    struct route_set set;
    struct list branches;
    unsigned active; /* branches not DONE */
    struct best best;
    struct timer trying;      /* 100 is due */
    struct timer serial;      /* the next group of targets is due */
    uint32_t member;          /* the sender: group_sender; 0: no application */
    uint32_t counted;         /* the member that has this call (group_call_begin) */
    bool is_counted_here;     /* there is no record that tells its end */
    unsigned begun;           /* targets, without the further ways to each of them */
    uint16_t races;           /* numbers of branch.race given */
    uint8_t replays, retries; /* to members of applications, after a failure or switchover */
    int member_err;           /* a member could not be reached, or was silent */
    uint32_t failed;          /* that member; 0: none, or its successor was told */
    bool was_sought;          /* who is active was not known since */
    uint32_t doubted;         /* the active member, while it is waited whether it still is */
    uint32_t loop;            /* loop hash for our branch (RFC 5393) */
    uint32_t breadth;         /* Max-Breadth we may use */
    unsigned provisionals;    /* responses taken, but 100 */
    unsigned repeats;         /* 2xx that have come again */
    bool is_invite;
    bool is_dialog_forming; /* Record-Route is of use */
    bool is_starting;       /* inside proxy_start_next: nothing is decided yet */
    bool has_answered;      /* a provisional response above 100 or a final one went upstream */
    bool is_final;          /* a final response went upstream */
    bool has_success;       /* a 2xx came; without memory to forward it, it has not gone upstream */
    bool is_over;           /* no new branches: cancelled, 2xx or 6xx */
    uint64_t call;          /* its record, or that of the dialog it is in; 0: none */
    uint64_t since;         /* ms: received */
    uint64_t rang;          /* ms: the last provisional response but 100; at first `since` */
    enum call_side side;    /* inside a dialog: who sent it */
    struct list byes;       /* a BYE under way: in proxy.byes */
    struct table_node leg;  /* in proxy.legs where is_leg */
    uint64_t winner;        /* the client transaction whose 2xx was the first */
    bool is_recorded;       /* `call` has been asked for */
    bool is_inner;          /* it came from ourselves: the record is that of its first passage */
    bool is_leg;            /* an INVITE from a member of an application */
    bool is_released;       /* ringing, and ended by us: what is answered now is ended too */
    bool has_hidden;        /* hide.h: responses are to be put back together */
    bool is_caller_lost;
    int lost_err; /* inside a dialog: why the other side could not be reached */
};

extern const struct txn_tu proxy_tu;

/* --- check.c: RFC 3261 16.3, RFC 5393 --- */
struct refusal {
    unsigned status; /* 0: pass */
    const char *reason;
    struct slice extra; /* whole header lines, in the arena */
};
uint32_t proxy_loop_hash(const struct pctx *c);
void proxy_check(struct pctx *c, struct refusal *out);
/* `id`: Proxy-Require or Require. */
void proxy_check_tags(struct pctx *c, enum sip_hdr_id id, struct refusal *out);
void proxy_check_auth(struct pctx *c, struct refusal *out);
/* A number of emergency-numbers, or urn:service:sos and below (RFC 5031). overload.c */
bool proxy_is_emergency(const struct proxy *p, const struct sip_uri *uri);
struct slice proxy_realm(const struct proxy *p, const struct sip_uri *from);
/* --- prep.c: RFC 3261 16.4. 0, ERR_PARSE, ERR_NOMEM --- */
/* `trusts`: the sender may use the tokens of our Path values. */
int proxy_prepare(struct proxy *p, const struct sip_msg *req, bool trusts, struct arena *arena,
                  struct proxy_way *way) WARN_UNUSED;
/* The target's URI, parsed; that of a relayed request is the Request-URI, which is so already. 0,
 * ERR_PARSE. */
int proxy_target_uri(const struct proxy_way *way, const struct route_target *t,
                     struct sip_uri *uri) WARN_UNUSED;

/* --- targets.c: RFC 3261 16.5 --- */
/* The targets of a request into c->set, and who may have what relayed. 0, ERR_NOMEM. */
int targets_find(struct pctx *c) WARN_UNUSED;
/* Answers with the refusal of c->set. */
void targets_refuse(struct pctx *c);

/* --- mark.c --- */
/* The mark for a Record-Route with that user part, in a request that may begin a dialog. */
uint64_t proxy_mark(const struct proxy *p, const struct sip_msg *req, struct slice user,
                    bool relays);
/* Is it inside a dialog that we have record-routed? By its first Route alone: cheap. */
bool proxy_brings_mark(const struct proxy *p, const struct sip_msg *req);
/* What a Route of ours tells: into is_ours_dialog, has_token and token. */
void proxy_learn(struct proxy *p, const struct sip_msg *req, const struct sip_uri *uri,
                 struct proxy_way *way);
/* A flow named some time ago may be gone: the device's newer registration is asked. */
void proxy_refresh_token(struct proxy *p, struct arena *arena, const struct sip_msg *req,
                         struct proxy_way *way);
/* A request inside a dialog that brings no mark (made before we were started anew, or by a device
 * that has lost it) may still go to where its user has registered. True: `token` is that way. */
bool proxy_find_registered(struct proxy *p, struct arena *arena, const struct sip_msg *req,
                           struct proxy_way *way);
/* The target learns whose device a token leads to, when that is the only one of its DN. */
void proxy_find_only_device(struct pctx *c, struct route_target *t);
/* The DN of the side that a request inside a dialog goes to by its token, where its connection may
 * have to be opened; else empty. `call`, `from`: its record, or 0, and who sent it. In the arena.
 */
struct slice proxy_dn_in_dialog(struct proxy *p, struct arena *arena, const struct sip_msg *req,
                                const struct proxy_way *way, uint64_t call, enum call_side from);

/* --- overload.c --- */
enum load_kind overload_kind(struct proxy *p, const struct sip_msg *req, const struct addr *from,
                             bool is_application);
/* When whoever gets a 503 of ours may come again, spread from `least` s on; the whole line. */
void overload_write_retry_after(struct proxy *p, uint32_t least, struct buf *out);
/* RFC 7339. A Via of ours, the whole line, is written at the end of `line`: does its receiver get
 * an offer to control the load? */
struct outgoing;
void overload_offer(const struct proxy *p, const struct outgoing *o, struct buf *line);
/* What the next hop asks for in a response. */
void overload_note(struct proxy *p, uint64_t client, const struct sip_msg *res);
/* May that request go there? False: the next hop wants less. */
bool overload_may_send(struct pctx *c, const struct flow_dest *dest);
/* What we ask of the neighbour that gets this response, in the Via that will be its topmost one;
 * `room` lives until the edits are written. */
#define OVERLOAD_ROOM 1024
void overload_edit(struct proxy *p, struct sip_edit *e, const struct sip_msg *res, char *room);
/* The same in a response of our own: txn_via_fn. */
bool overload_write_via(void *proxy, const struct sip_msg *req, struct slice via, struct buf *out);

/* --- forward.c: RFC 3261 16.6 --- */
struct outgoing {
    const struct sip_msg *req;
    const struct flow_origin *origin;
    const struct proxy_way *way;
    const struct route_target *target; /* NULL: Request-URI of `way` */
    const struct flow_dest *dest;
    uint64_t branch_id;
    uint32_t loop;
    uint32_t breadth; /* 0: none is written */
    bool record_route;
    bool adds_path; /* a REGISTER for an application: RFC 3327 */
    bool *hides;    /* set where something was taken off that responses have to bring back; NULL:
                       there will be none */
};
/* Our Via: the whole line. */
void proxy_write_via(struct proxy *p, const struct flow_dest *dest, const struct flow_local *local,
                     uint64_t branch_id, uint32_t loop, struct buf *out);
/* The request as it is to be sent, in the arena. 0, ERR_NOMEM, ERR_LIMIT, ERR_NO_ROUTE;
 * ERR_UNSUPPORTED: it may go by TLS only, and `dest` is none. */
int proxy_write_request(struct proxy *p, struct arena *arena, const struct outgoing *o,
                        struct slice *out) WARN_UNUSED;
/* Is it a sips: URI? */
bool proxy_is_sips(struct slice uri);
/* Where the security of the two sides is not the same, later requests must come through us too (RFC
 * 3261 16.6 step 4). */
bool proxy_must_record_route(const struct outgoing *o);
/* A Warning line of RFC 5630 with that code; 0: nothing. */
#define PROXY_WARNING_MAX 320 /* bytes; a host name has 255 */
void proxy_write_warning(const struct proxy *p, unsigned code, struct buf *out);
/* Does the address in this URI lead where `dest` leads? */
bool proxy_uri_leads_to(const struct sip_uri *uri, const struct flow_dest *dest);

/* --- branch.c --- */
void branch_end(struct branch *b); /* DONE; timers stopped, look-up cancelled */
/* DONE, since another branch has its place; its transaction is left to itself, an INVITE with a
 * CANCEL. */
void branch_leave(struct branch *b);
void branch_on_provisional(struct branch *b, unsigned status);
/* Its request goes by another way, in a transaction of its own. */
void branch_send(struct branch *b);
/* The next hop is found, and the request sent. */
void branch_run(struct branch *b);
/* NULL: no memory. It counts as under way from now on. */
struct branch *branch_new(struct pctx *c, struct route_target *t);
/* A branch to that target. False: no memory. */
bool branch_start(struct pctx *c, struct route_target *t, unsigned breadth);
/* Is there time enough to begin anew elsewhere? */
bool proxy_has_room(const struct pctx *c);

/* --- failover.c: RFC 3263 4.3, RFC 3261 16.7 step 6 --- */
/* After a failure without a response: the same by UDP, the next address, another flow of that
 * device, an alternative. False: nothing is left. */
bool branch_try_other(struct branch *b, int err);
/* After a response that says no more than that this way is of no use: 503 leads to the next address
 * (RFC 3263 4.3), 430 and 408 to another flow of that device (RFC 5626 7); 503, 504 and 408 to an
 * alternative. */
bool branch_try_after(struct branch *b, const struct sip_msg *res);
/* An alternative target that is left, in place of `b`, which is left to itself. */
bool branch_leave_for_other(struct branch *b);
/* Sent just now: how long may it be silent before a further way is tried beside it? */
void branch_arm_quiet(struct branch *b);
void proxy_on_quiet(struct timer *t, uint64_t now);
/* Its peer is of no use, as far as is known: a further way is tried beside it. */
void branch_go_beside(struct branch *b);
/* The first response, with that status: of the branches that race, this one goes on. */
void branch_note_heard(struct branch *b, unsigned status);
/* Nothing has come from there, or it cannot be reached: whom it concerns is told. */
void branch_note_useless(struct branch *b, int err);

/* --- replay.c: switchover in mid-transaction --- */
/* An INVITE that a member of an application has sent, until its context ends. */
void replay_add_leg(struct pctx *c);
void replay_drop_leg(struct pctx *c);
/* Nothing is to be expected of this branch any more: what its member has sent us for the request
 * ends. True: there was any, and what the member still says is but the end of that. */
bool replay_end_legs(const struct branch *b);
/* Under way towards a member of an application from now on. */
void replay_watch(struct branch *b);
/* It cannot be brought to its member. True: another one may take over, which is waited for. */
bool replay_park(struct branch *b, int err);
/* Does it go by TLS for its sips: URI alone, and all else by the way that its member is known by?
 */
bool replay_is_raised(const struct branch *b);
/* The same where a member says 503 that may just be in reserve, and about to take over. */
bool replay_park_reserve(struct branch *b, const struct sip_msg *res);

/* --- outage.c: applications that are out of service --- */
void outage_init(struct proxy *p);
void outage_fini(struct proxy *p);
/* Anything is under way towards a member of an application. */
void outage_watch(struct proxy *p);
/* True: its application is out of service, and nobody is waited for any more: it has been answered.
 */
bool outage_look(struct branch *b);

/* --- refused.c: calls that a member of a balanced group has refused --- */
void refused_init(struct proxy *p);
void refused_fini(struct proxy *p);
/* Its final response, which goes to the caller. */
void refused_add(const struct branch *b, unsigned status);

/* --- held.c: ACKs of 2xx, and our own BYEs, to members of pairs --- */
void held_init(struct proxy *p);
void held_fini(struct proxy *p);
/* The request, as sent to that member, is sent to its successor, should it get one soon. */
void held_add(struct proxy *p, uint32_t member, struct slice request);
void held_on_groups(struct proxy *p);

/* --- detour.c: our own BYE where another member of a pair has the dialog now --- */
/* The member that is reached by this way; it may have connected to us from another port. 0: none.
 */
uint32_t proxy_member_of(struct groups *groups, const struct flow_dest *way);
/* The member that is to have it instead of the one that this way leads to. False: that one. */
bool detour_target(struct proxy *p, struct arena *arena, const struct flow_dest *way,
                   struct group_target *out);
/* The ACK too that the callee may be waiting for. */
void detour_bye(struct proxy *p, uint64_t call, const struct call_dialog *dialog, enum call_side to,
                const struct group_target *at, struct slice reason);

/* --- path.c: RFC 3327 --- */
/* Our Path for a REGISTER that goes to an application: whole lines. */
void proxy_write_path(struct proxy *p, const struct flow_origin *origin, const struct sip_msg *req,
                      const struct flow_dest *dest, const struct flow_local *local,
                      struct buf *out);
/* CANCEL for all that are under way, with `reason`: whole header lines or empty. */
void branches_cancel(struct pctx *c, const struct branch *but, struct slice reason);
void proxy_on_serial(struct timer *t, uint64_t now);
/* The next target, group of targets or alternative flow. False when there is none. */
bool proxy_start_next(struct pctx *c);
/* After a branch ended: more targets, or the final response. */
void proxy_advance(struct pctx *c);
/* Was it sent to one target only, by whatever ways, or was it replayed? Then its branches are tries
 * of ours at one call, and no fork. */
static inline bool proxy_is_one_call(const struct pctx *c)
{
    return c->replays != 0 || c->begun == 1;
}

/* --- answer.c: RFC 3261 16.7 --- */
void proxy_on_response(void *ctx, uint64_t client, const struct sip_msg *res,
                       const struct flow_origin *origin);
void proxy_on_failed(void *ctx, uint64_t client, int err);
bool proxy_on_unreached(void *ctx, uint64_t client, int err); /* failover.c */
void proxy_on_linger(void *ctx, void *small);
void branch_failed(struct branch *b, int err);
/* Is there a Via but our own? A peer that leaves out the others has spoiled its response. */
bool proxy_has_second_via(const struct sip_msg *res);
/* What has been cancelled, and has said nothing to that: by Timer C it is as if 408 had come (RFC
 * 3261 16.8). Where the caller has cancelled it, there is a 487 already that ranks no lower. */
static inline struct best proxy_unheard(struct branch *b)
{
    return (struct best){.status = 408, .err = ERR_TIMEOUT, .branch = b};
}
/* Did the transport fail, and not a timer or something of ours? */
bool proxy_is_transport(int err);
/* `candidate` becomes the best response when it ranks higher (RFC 3261 16.7 step 6); copied. */
void best_take(struct pctx *c, const struct best *candidate);
void best_send(struct pctx *c);

/* Answers the request by ourselves; where there is no memory to keep the answer, the transaction is
 * forgotten, so that a repeated request begins anew. */
void proxy_reply(struct pctx *c, unsigned status, struct slice reason, struct slice extra);
/* The same with a refusal, counted. */
void proxy_refuse(struct pctx *c, const struct refusal *why);
/* The loop's clock: the wheel's own may have stood still while the loop slept. */
static inline uint64_t proxy_now(const struct proxy *p)
{
    return flows_time(p->deps.flows);
}

/* --- device.c: what a request tells of its device --- */
/* The DN that From or To (`id`) names, in the arena. False: none, or no memory. */
bool proxy_find_dn(struct proxy *p, struct arena *arena, const struct sip_msg *req,
                   enum sip_hdr_id id, struct slice *name, struct dn_info *dn);
/* Takes a DN out of service when no target of the request can be reached. */
void branch_note_unreachable(struct branch *b, int err);
/* It may be dead: still tried. */
void branch_note_suspect(struct branch *b, int err);
/* It answered. */
void branch_note_alive(struct branch *b);
/* Has it come from a device that is registered as the DN in its From? */
bool proxy_is_from_device(const struct pctx *c);
void proxy_on_resent(void *ctx, uint64_t client, int err);
bool proxy_on_stranded(void *ctx, uint64_t client, int err, struct flow_dest *dest);
/* The device has registered by another way meanwhile: once more there. False: it has not. */
bool branch_try_renewed(struct branch *b, int err);
/* A request inside a call could not be brought to that DN: out of service unless it has another
 * way. */
void proxy_note_lost(struct proxy *p, struct arena *arena, const struct call_dialog *d, int err);

/* --- record.c: what the records of calls are told --- */
/* A branch of an INVITE is about to be sent with our Record-Route. */
void record_begin(struct pctx *c);
void record_answer(struct branch *b, const struct sip_msg *res);
void record_late(const struct linger *l, uint64_t client, const struct sip_msg *res);
/* A 2xx of a dialog that has ended comes again: nobody would end it a second time. */
bool record_has_ended(const struct proxy *p, uint64_t call, const struct sip_msg *res);
/* The final response of the INVITE, sent upstream. */
void record_final(struct pctx *c, unsigned status);
/* A request inside a dialog, and its final response. */
void record_request(struct pctx *c);
void record_response(struct pctx *c, const struct sip_msg *res);
/* It ended without a response of the other side. */
void record_unanswered(struct pctx *c);
/* The record of the dialog of a request, ACK included, which learns of it; 0: none, or its sender
 * is no side of it. */
uint64_t record_in_dialog(struct proxy *p, const struct sip_msg *req,
                          const struct flow_origin *origin, const struct proxy_way *route,
                          enum call_side *side);
/* Does a BYE of one of its ends pass through us just now? */
bool record_is_ending(const struct proxy *p, uint64_t call, const struct call_dialog *d);
/* The dialog of that message. False: there is none. */
bool record_dialog(struct proxy *p, uint64_t call, const struct sip_msg *msg,
                   struct call_dialog *out);
/* The context ends, or lingers. */
void record_end(struct pctx *c);

/* --- release.c: recovery.md, "Release" --- */
/* Whoever sent this INVITE cannot be reached. */
void release_caller_lost(struct pctx *c, int err);
void release_linger_lost(const struct linger *l, int err);
/* Was it sent, inside a dialog, by a member of a pair? When that one is lost, its dialogs are its
 * partner's, and go on. */
bool release_is_for_deputy(const struct pctx *c);
/* A request inside a dialog could not be brought to the other side, and has been answered. */
void release_dialog_lost(struct pctx *c, int err);
/* The same of an ACK that `sender` sent by *dest. True: not yet, the device is reached by *dest. */
bool release_ack_lost(struct proxy *p, uint64_t call, enum call_side sender, int err,
                      struct flow_dest *dest);
/* One that could not even be sent. */
void release_ack_unsent(struct proxy *p, uint64_t call, enum call_side sender, int err,
                        const struct sip_msg *ack);
/* A 2xx to an INVITE that the administrator has ended, or that its caller has been told the end of.
 */
void release_unwanted(struct branch *b, const struct sip_msg *res);
/* One more 2xx to an INVITE of which the caller has one call. False: there is no record by which it
 * can be ended. */
bool release_second(struct proxy *p, uint64_t call, const struct sip_msg *res);
/* RFC 5630 5.3: rather none than one of ours that everybody can read. */
bool proxy_is_exposed(struct slice request, const struct flow_dest *dest);
void proxy_on_lost(void *ctx, uint64_t server, int err);
void proxy_on_unacked(void *ctx, uint64_t server, int err);

static inline struct branch *branch_of(struct list *node)
{
    return container_of(node, struct branch, node);
}

#endif
