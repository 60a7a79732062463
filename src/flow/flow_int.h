/* SPDX-License-Identifier: Apache-2.0 */
/* What the files of this room share: one flow, its work under way, the table of flows.
 *
 * A flow is as small as it can be while idle; whatever is under way (bytes unacknowledged, an
 * opening, messages that wait) is in its struct flow_work, a partial message in its struct flow_in.
 * Both exist only as long as they are needed.
 *
 * No function called from above (flows_send, flows_close, flows_answered) ends a flow or tells an
 * event before it returns; a flow that has to go is *doomed* and ends in flows_flush. owns: see the
 * single structs. thread: one worker. */
#ifndef FLOW_FLOW_INT_H
#define FLOW_FLOW_INT_H

#include "base/event.h"
#include "base/list.h"
#include "base/pool.h"
#include "base/random.h"
#include "base/table.h"
#include "flow/aliases.h"
#include "flow/counts.h"
#include "flow/flow.h"
#include "flow/sources.h"
#include "flow/tls_int.h"
#include "net/stream.h"
#include "net/udp.h"
#include "sip/frame.h"

/* ms */
#define FLOW_CHECK_MS   200  /* unacknowledged bytes are looked at this often */
#define FLOW_SECOND_MS  50   /* the same while a second connection is being opened */
#define FLOW_CONFIRM_MS 1000 /* other workers have this long to send again on a dead flow */
#define FLOW_RESENT_MS  4    /* the first look whether what was sent again is acknowledged */
#define FLOW_RETRY_MS   10   /* a message that could not be taken is offered again */
#define FLOW_LINGER_MS  200  /* a refused stream is read for so long that its answer survives */

/* Above tcp-max-connections this part of it, and so many more, can be opened by us. */
#define FLOW_OPEN_SHARE 8
#define FLOW_OPEN_MIN   64

#define FLOW_HANDSHAKES 64    /* TLS handshakes under way when the conf does not say */
#define FLOW_TOTAL      10    /* openings a second in all, in multiples of those of one address */
#define FLOW_WORK_CACHE 256   /* free struct flow_work kept */
#define FLOW_OUTBOX_MAX 10000 /* events that wait for room in a mailbox */
#define FLOW_PEERS_MAX  65536 /* addresses for which somebody stands in line */
#define FLOW_ANSWER_MAX 8192  /* bytes of an answer to a malformed request */

#define FLOW_WAITED     0x100 /* beside enum flow_send_flags: it came while the flow was reopened */

enum flow_state {
    FLOW_OPENING, /* sends wait in work->queue; work->attempt is the connection, or NULL while the
                     opening waits in a line */
    FLOW_UP,
    FLOW_GONE /* no connection; the slot stays until everyone who was told DEAD has reacted */
};

/* The same for people, and as it is counted. */
enum flow_stage {
    FLOW_STAGE_NONE,
    FLOW_STAGE_OPENING,
    FLOW_STAGE_UP,
    FLOW_STAGE_SUSPECT,  /* up, and a second connection is, or was in vain, opened beside it */
    FLOW_STAGE_REOPENING /* its connection has ended, and another one is being opened */
};

struct flow {
    struct flows *owner;
    uint64_t id;
    struct net_stream *stream; /* FLOW_UP only */
    struct flow_in *in;        /* NULL: no partial message */
    struct flow_work *work;    /* NULL: nothing under way */
    struct flow_key *key;      /* NULL: not to be found by address */
    struct flow_dn *dn;        /* NULL: not known */
    uint64_t users;            /* bit for each worker that sent on it */
    struct list doomed;        /* in flows->doomed */
    struct flow *next_source;  /* where is_in_sources */
    struct addr remote, local;
    struct addr reopen;         /* where it would be opened again; port 0: nowhere */
    uint32_t last_in, last_out; /* s since flows->start */
    uint32_t begun;             /* likewise */
    uint16_t alt_port;          /* second port of `reopen`; 0: none */
    uint16_t reopened;          /* times */
    int16_t doom;               /* enum err that dooms it */
    uint8_t state : 4;          /* enum flow_state */
    uint8_t transport : 4;      /* enum sip_transport */
    uint8_t unanswered;         /* transactions in a row; see flows_unanswered */
    bool is_opened : 1;         /* by us: `reopen` is the address it was opened to */
    bool is_ours : 1;           /* the connection it has now was opened by us */
    bool is_fresh : 1;          /* and nothing has come from it, nor was all acknowledged ever */
    bool has_spoken : 1;        /* bytes came from it */
    bool was_verified : 1;      /* TLS: the peer that connected has shown a certificate */
    bool has_proved : 1;        /* TLS: which proves the name of `proved` */
    bool no_reopen : 1;         /* a Voice over IP Service */
    bool alias_seen : 1;        /* the first request was looked at for RFC 5923 */
    bool reopen_is_contact : 1; /* `reopen` came with a request */
    bool half_ping : 1;         /* struct sip_frame.crlf while no message is partial */
    bool lame : 1;              /* what still comes is thrown away */
    bool is_counted : 1;        /* in the per-address counts */
    bool is_in_sources : 1;     /* found by where it comes from */
    uint8_t stage : 3;          /* enum flow_stage: as it is counted */
    int16_t last_cause;         /* enum err: why it was reopened last */
    uint32_t tls_peer;          /* TLS: what the next connection that we open has to prove; while
                                   is_ours, what this one has proved */
    uint32_t proved;            /* number of the name that every connection which takes the place
                                   of the first has to prove too */
};

struct flow_dn {
    uint8_t len;
    char text[];
};

struct flow_key {
    struct table_node node;
    struct flow *flow;
    struct addr addr;
    uint32_t tls_peer; /* TLS: what the connection has proved */
};

/* Bytes of a message that is not complete, or cannot be taken yet. */
struct flow_in {
    struct timer timer; /* partial_timeout_ms, or FLOW_RETRY_MS while paused */
    struct flow *flow;
    struct sip_frame frame;
    uint32_t len, cap;
    bool paused;  /* on_message answered ERR_FULL */
    bool is_told; /* and on_wire knows of the message that is offered again */
    char bytes[];
};

struct flow_queued {
    struct list node;
    uint32_t from;  /* worker */
    uint32_t flags; /* enum flow_send_flags */
    uint64_t since; /* flow_dest.since */
    size_t len;
    size_t call_len;
    char bytes[]; /* the message; behind it its Call-ID, as its sender gave it */
};

#define FLOW_CALL_MAX 95 /* bytes of a Call-ID that are kept for a line */

struct flow_call {
    uint8_t len; /* 0: not known */
    char text[FLOW_CALL_MAX];
};

/* A request that was sent again and is not yet known to be acknowledged. */
struct flow_resent {
    struct list node;
    uint64_t end; /* flow_work.sent behind it */
    uint64_t since;
};

enum flow_said { FLOW_SAID_NOTHING, FLOW_SAID_STALE, FLOW_SAID_FAILED };

struct flow_work {
    struct timer timer;
    struct flow *flow;
    struct list line; /* in flow_peer.line: waits for its turn to open */
    struct net_stream
        *attempt; /* being opened: the connection, or in FLOW_UP the second one beside the first */
    struct addr target; /* of the attempt */
    struct list queue;  /* struct flow_queued: until it is up */
    struct list held;   /* struct flow_queued: until their sender has confirmed (see hold) */
    size_t queued;      /* bytes in both */
    uint64_t
        hold; /* workers that were told DEAD or MOVED and have not confirmed: what they send that is
                 no copy was sent before they knew, and has to wait behind what they send again */
    uint64_t hold_until;        /* ms */
    uint64_t sent;              /* bytes written to the stream since this work began */
    uint64_t mark_end, mark_at; /* the oldest request that may be unacknowledged: `sent` behind it,
                                   and when; 0: none */
    uint64_t last_end, last_at; /* the newest request */
    struct flow_call mark_call, last_call; /* theirs */
    uint64_t acked_at;          /* what was given to us before (ms) is acknowledged; 0: not known */
    uint64_t look_end, look_at; /* `sent` at an earlier look, and when; 0: none */
    struct list resent;         /* struct flow_resent, in order */
    uint32_t resent_look;       /* ms from one look at it to the next */
    uint64_t since;             /* ms: opening asked for, death or suspicion noticed */
    uint64_t fail_at; /* ms: second connection failed, and the first has this long to heal; 0: no */
    uint64_t new_ms;  /* of new_cause: since the trouble began */
    int cause;        /* enum err why it is opened again; 0: a first opening */
    int fail_err;
    int16_t new_cause; /* enum err: it was opened again, and not all who had something under way
                          have sent that again; then it is said */
    unsigned resends;  /* requests sent again on it */
    unsigned marked;   /* requests up to mark_end that may be unacknowledged */
    unsigned later;    /* and behind it */
    uint8_t said;      /* enum flow_said: one line for each death */
    bool tried_alt;
    bool is_stuck; /* at the last look something was unacknowledged */
    bool is_short; /* TCP_USER_TIMEOUT is the short one */
    struct flow_work *next_free;
};

/* The line of those that wait to open a connection to an address, or to any. */
struct flow_peer {
    struct table_node node;
    struct flows *owner;
    struct addr addr; /* port 0; ADDR_NONE: all addresses */
    struct timer timer;
    struct list line; /* flow_work.line, first come first served */
};

struct flow_listener {
    struct flows *owner;
    struct addr addr;  /* with the port that was really bound; 0: TLS only */
    uint16_t tls_port; /* really bound; 0: none */
    bool any;          /* all addresses of the family */
    struct addr want;  /* as in the configuration */
    char *advertised;  /* what others know us by here, as it stands in a URI; NULL: the address */
    size_t advertised_len;
    struct addr advertised_ip; /* the same where it is an address, port 0; else ADDR_NONE */
    uint16_t advertised_port;  /* 0: those that are bound */
    struct addr_net *access;   /* who may talk to us here; none: anybody */
    unsigned naccess;
    struct net_udp *udp;
    struct net_listener *tcp, *tls;
};

struct flows {
    struct net_loop *loop;
    struct wheel *wheel;
    struct flow_conf conf;      /* listen and sides are not kept */
    struct net_sockopt sockopt; /* conf.sockopt with user_timeout */
    unsigned worker, nworkers;
    struct mailbox *const *mailboxes;
    struct hash_key key;
    struct counters *counters;
    struct flow_events ev;
    struct pool pool;
    struct table index; /* flow_key by transport and address */
    struct table peers; /* flow_peer */
    struct flow_listener *listeners;
    unsigned nlisteners;
    struct list doomed;
    struct flow_counts *counts;
    struct flow_aliases *aliases; /* NULL: one worker */
    bool owns_counts;
    struct list outbox; /* struct flow_letter */
    unsigned noutbox;
    struct timer outbox_timer;
    struct flow_work *free_work;
    unsigned nfree_work;
    uint64_t start; /* ms */
    uint64_t next_provisional;
    uint32_t
        detect_ms; /* D of recovery: TCP_USER_TIMEOUT of an idle connection; 0: keep-alive is off */
    struct rng rng;
    struct log_limit log_dead, log_bad;
    struct sip_hdr hdrs[SIP_HDRS_MAX];
    char answer[FLOW_ANSWER_MAX];
};

static inline uint64_t flows_now(const struct flows *fs)
{
    return net_now(fs->loop);
}

static inline uint32_t flows_seconds(const struct flows *fs)
{
    return (uint32_t)((net_now(fs->loop) - fs->start) / 1000);
}

static inline bool flows_recover(const struct flows *fs)
{
    return fs->conf.sockopt.keep_alive;
}

/* Why there was no handshake, as far as the peer is to blame. */
static inline bool flow_is_tls_error(int err)
{
    return err <= ERR_TLS_HANDSHAKE && err >= ERR_TLS_PLAIN;
}

static inline uint64_t flow_bit(unsigned worker)
{
    return (uint64_t)1 << worker;
}

/* --- table.c --- */

/* A flow in state FLOW_OPENING, counted. ERR_LIMIT, ERR_NOMEM. */
int flow_new(struct flows *fs, enum sip_transport t, const struct addr *remote,
             const struct addr *local, bool is_opened, struct flow **out) WARN_UNUSED;
/* Closes what is open and gives the slot back; tells nobody. `abort`: no orphan in the kernel. */
void flow_free(struct flow *f, bool abort);
/* NULL when stale or doomed. */
struct flow *flow_find(const struct flows *fs, uint64_t id);
struct flow *flow_find_addr(const struct flows *fs, enum sip_transport t, const struct addr *remote,
                            uint32_t tls_peer);
/* To be found by that address from now on, if nobody else is; without memory it is not. */
void flow_index(struct flow *f, const struct addr *addr, uint32_t tls_peer);
void flow_unindex(struct flow *f);
/* One more connection from the address: false when it is one too many. */
bool flow_count_in(struct flow *f);
/* The accepted connection is gone, or about to be replaced by one of ours. */
void flow_count_out(struct flow *f);
void flow_recount(struct flows *fs); /* max_per_address changed */
void flow_doom(struct flow *f, int err);
/* NULL when there is no memory. */
struct flow_work *flow_work_get(struct flow *f);
/* Gives it back when nothing is under way any more. */
void flow_work_put(struct flow *f);
void flow_work_clear_queue(struct flow *f);
void flow_work_cache_free(struct flows *fs);

/* --- stage.c --- */
enum flow_stage flow_stage(const struct flow *f);
/* Counts it as what it is now: after each change of its state, its cause or of fail_at. */
void flow_restage(struct flow *f);
/* Counts it as nothing. */
void flow_unstage(struct flow *f);

/* --- listen.c --- */
int flow_listen(struct flows *fs, const struct flow_conf *conf, struct addr *failed) WARN_UNUSED;
void flow_unlisten(struct flows *fs);
/* The daemon's rules, as they are now, for connections accepted from now on. */
void flow_listen_tls(struct flows *fs);
/* The access lists, as they are now. */
void flow_listen_access(struct flows *fs, const struct flow_conf *conf);
/* May it talk to us there? If not, that is counted and logged. */
bool flow_admits(struct flow_listener *l, const struct addr *remote, const struct addr *local);

/* --- local.c --- */
/* What others know the listener by; `side` NULL: its address. 0, ERR_NOMEM. */
int flow_advertise(struct flow_listener *l, const struct flow_side *side) WARN_UNUSED;
/* The listener for `local` (NULL or ADDR_NONE: the one the kernel's choice towards `remote` belongs
 * to). NULL: none. */
const struct flow_listener *flow_listener_for(const struct flows *fs, const struct addr *remote,
                                              const struct addr *local);
/* Address to bind an opened connection to; ADDR_NONE: the kernel's choice. */
void flow_bind_addr(const struct flows *fs, const struct addr *remote, const struct addr *local,
                    struct addr *out);

/* --- in.c, udp.c, answer.c --- */
/* A message that was taken: by its method too. */
void flow_count_taken(struct flows *fs, const struct sip_msg *m);
/* An ACK that needs nothing more (flow_events.is_idle_ack); counted. */
bool flow_is_idle_ack(struct flows *fs, struct slice bytes);
/* A message on the wire of that stream. */
void flow_tell_wire(const struct flow *f, bool is_out, const void *bytes, size_t len);
extern const struct net_stream_events flow_stream_events;
void flow_in_drop(struct flow *f);
void flow_on_accept(void *user, struct net_stream *s, const struct addr *remote,
                    const struct addr *local);
void flow_on_accept_tls(void *user, struct net_stream *s, const struct addr *remote,
                        const struct addr *local);
void flow_on_refused(void *user, const struct addr *remote, const struct addr *local, int err);
void flow_on_datagram(void *user, char *data, size_t len, const struct addr *remote,
                      const struct addr *local);
void flow_on_unreached(void *user, const struct addr *remote, int err, struct slice quote);
int flow_udp_send(struct flows *fs, const struct flow_dest *dest, const void *bytes, size_t len,
                  unsigned flags) WARN_UNUSED;
/* Counts the fault, and answers it where it can be answered. */
void flow_answer_fault(struct flows *fs, const struct sip_msg *m, const struct sip_fault *fault,
                       const struct flow_origin *origin, struct flow *f);

/* --- send.c --- */
/* A message on its way out. */
struct flow_out {
    const void *bytes;
    size_t len;
    uint64_t since; /* flow_dest.since */
    unsigned flags; /* enum flow_send_flags */
    unsigned from;  /* worker */
    struct flow_whose whose;
};
/* flows_send on this worker, for worker m->from. */
int flow_send_local(struct flows *fs, struct flow_dest *dest, const struct flow_out *m) WARN_UNUSED;
/* On the stream, now. */
int flow_write(struct flow *f, const struct flow_out *m) WARN_UNUSED;
/* Behind what waits in `list` of its work (queue or held). 0, ERR_FULL, ERR_NOMEM. */
int flow_enqueue(struct flow *f, struct list *list, const struct flow_out *m) WARN_UNUSED;
/* Empty: its sender gave none. */
struct slice flow_queued_call(const struct flow_queued *q);
void flow_flush_queue(struct flow *f);
/* `worker` has reacted to the event: what was held of it goes on. */
void flow_confirmed(struct flow *f, unsigned worker);

/* --- open.c --- */
/* A flow that is being opened to dest->remote. The errors of flows_send. */
int flow_open(struct flows *fs, const struct flow_dest *dest, struct flow **out) WARN_UNUSED;
/* Opens f->reopen beneath the flow, at once or when it is its turn: FLOW_GONE becomes FLOW_OPENING;
 * FLOW_UP gets a second connection. `m`: the message for which that is done and that does not wait
 * yet, or NULL. 0, ERR_NO_ROUTE, ERR_UNREACHABLE, -errno, ERR_NOMEM. */
int flow_open_again(struct flow *f, int cause, const struct flow_out *m) WARN_UNUSED;
/* The attempt is up and takes the place of whatever there was. */
void flow_use_attempt(struct flow *f);
/* Its turn in the line has come. */
void flow_open_turn(struct flow *f);
void flow_attempt_drop(struct flow *f);

/* --- recover.c --- */
void flow_sent(struct flow *f, const struct flow_out *m);
void flow_check(struct flow *f);
void flow_work_timer(struct timer *t, uint64_t now);
/* The connection has ended. */
void flow_ended(struct flow *f, int err);
/* The second connection is up / cannot be opened. */
void flow_second_up(struct flow *f);
void flow_second_failed(struct flow *f, int err);
/* Given up: FLOW_FAILED is told, the slot freed. */
void flow_fail(struct flow *f, int err);
/* Ends a doomed flow. */
void flow_end_doomed(struct flow *f);

/* --- wedged.c --- */
void flow_unanswered(struct flow *f);

/* --- resent.c --- */
/* The message was just written, w->sent is behind it. */
void flow_resent_add(struct flow_work *w, const struct flow_out *m);
/* Bytes up to `acked` (of flow_work.sent) are acknowledged. */
void flow_resent_acked(struct flow *f, uint64_t acked);
void flow_resent_drop(struct flow_work *w);

/* --- label.c --- */
/* Without memory it stays as it was. */
void flow_label(struct flow *f, struct slice dn);
struct slice flow_dn(const struct flow *f);
/* Cut where it is too long. */
void flow_call_set(struct flow_call *c, struct slice call_id);
/* A line about the flow, with its DN and addresses; `cause` 0, `ms` below 0: not said. */
void flow_log(const struct flow *f, enum log_level level, const char *text, int cause, int64_t ms,
              uint32_t left_out);

/* --- say.c --- */
/* With connection, DN, addresses, and up to six fields more. */
void flow_event(const struct flow *f, enum event ev, unsigned n, const struct field *extra);
/* The connection is dead, or suspect; once for each death. */
void flow_say_stale(const struct flow *f, int cause);
void flow_say_healed(const struct flow *f);
/* `m`: lost with what waits; NULL: nothing else is. */
void flow_say_failed(const struct flow *f, bool is_again, int err, const struct flow_out *m);
/* Another connection has taken its place: said by flow_say_reopened when all that was lost has been
 * given to it. Before flow_work.since is forgotten. */
void flow_note_reopened(struct flow *f, int cause);
/* Unless somebody has still to send again. */
void flow_say_reopened(const struct flow *f);

/* --- mail.c --- */
/* Tells the own worker now, others by mail. */
void flow_tell(struct flows *fs, uint64_t users, const struct flow_event *ev);
int flow_mail_send(struct flows *fs, unsigned owner, struct flow_dest *dest,
                   const struct flow_out *m) WARN_UNUSED;
void flow_mail_close(struct flows *fs, unsigned owner, uint64_t flow, int reason);
void flow_mail_unanswered(struct flows *fs, unsigned owner, uint64_t flow);
void flow_mail_dn(struct flows *fs, unsigned owner, uint64_t flow, struct slice dn);
void flow_outbox_init(struct flows *fs);
void flow_outbox_flush(struct flows *fs);
void flow_outbox_free(struct flows *fs);
bool flow_id_is_provisional(uint64_t id);
/* The worker an id belongs to. */
unsigned flow_id_owner(const struct flows *fs, uint64_t id);
unsigned flow_addr_owner(const struct flows *fs, enum sip_transport t, const struct addr *remote);

/* --- dest.c --- */
/* 0, or ERR_UNREACHABLE during a backoff. */
int flow_peer_check(const struct flows *fs, const struct addr *addr, uint32_t tls_peer) WARN_UNUSED;
void flow_peer_failed(struct flows *fs, const struct addr *addr, uint32_t tls_peer);
void flow_peer_ok(struct flows *fs, const struct addr *addr, uint32_t tls_peer);
/* May a connection to the address be opened now? If not, the work stands in line and flow_open_turn
 * is called. */
bool flow_peer_may_open(struct flows *fs, const struct addr *addr, struct flow_work *work);
/* After a reload: what failed by the old rules may succeed by the new ones. */
void flow_peers_forgive(struct flows *fs);
void flow_peers_free(struct flows *fs);

#endif
