/* SPDX-License-Identifier: Apache-2.0 */
/* What the files of the scripted network share.
 *
 * owns: see fake.h. thread: one. The network's own memory is malloc'ed, so that planned failures of
 * allocation hit only what the real room would have allocated (fake_token). */
#ifndef FAKE_FAKE_INT_H
#define FAKE_FAKE_INT_H

#include "base/list.h"
#include "fake/fake.h"

#define FAKE_SEND_BUFFER \
    (256u * 1024)               /* bytes a kernel takes for a peer that does not acknowledge */
#define FAKE_RETRIES_MS 938000u /* tcp_retries2: unacknowledged data without a user timeout */

#define FAKE_NAMES_MAX  256

struct bytes {
    char *ptr;
    size_t len, cap;
};

typedef void fake_event_fn(void *object, struct bytes *data);

struct fake_event {
    struct list node;
    uint64_t due;
    fake_event_fn *fn;
    void *object; /* its owner removes the event when it goes */
    struct bytes data;
};

struct fake_rule {
    struct list node;
    struct addr addr;
    enum fake_policy policy;
};

/* What the certificate at an address proves. */
struct fake_identity {
    struct list node;
    struct addr addr;
    char names[FAKE_NAMES_MAX];
};

/* A session that can be resumed. */
struct fake_session {
    struct list node;
    struct addr remote;
    unsigned serial; /* of the context */
    char name[FAKE_NAMES_MAX];
};

struct net_tls {
    unsigned holders;
    unsigned serial;
    bool can_accept, verify_client, verify_server;
};

enum fake_kind { FAKE_HOST, FAKE_SRV, FAKE_NAPTR };

/* What is known of a name in one kind. */
struct fake_host {
    struct list node;
    enum fake_kind kind;
    char name[FAKE_NAMES_MAX];
    int err; /* the answer; 0: the records */
    unsigned n;
    struct addr addrs[NET_ADDRS_MAX];
    struct net_srv srvs[NET_SRV_MAX];
    struct net_naptr naptrs[NET_NAPTR_MAX];
    uint32_t delay_ms;
    unsigned asked;
};

union fake_fn {
    net_resolved_fn *host;
    net_srv_fn *srv;
    net_naptr_fn *naptr;
};

struct fake_packet {
    struct list node;
    struct fake_datagram d;
    bool taken;
};

/* A message that was taken: what is said of its bytes stays true. */
struct fake_taken {
    struct list node;
    char bytes[];
};

struct net_udp {
    struct list node;
    struct net_loop *loop;
    struct addr local;
    net_datagram_fn *fn;
    net_unreached_fn *unreached;
    void *user;
    struct list batch; /* fake_packet */
    void *token;
};

struct net_listener {
    struct list node;
    struct net_loop *loop;
    struct addr local;
    struct net_sockopt opt;
    net_accept_fn *fn;
    net_admit_fn *admit;
    struct net_tls *tls; /* NULL: TCP */
    net_refused_fn *on_refused;
    struct counters *counters;
    void *user;
    void *token;
};

enum conn_state { CONN_OPENING, CONN_UP, CONN_ENDED, CONN_CLOSED };

/* Our end and the peer's in one. */
struct net_stream {
    struct list node; /* loop->streams */
    struct net_loop *loop;
    struct addr local, remote;
    struct net_sockopt opt;
    const struct net_stream_events *ev;
    void *user;
    enum conn_state state;
    bool opened;   /* by us */
    bool accepted; /* it was up */
    bool stalled;
    bool forgotten; /* the peer has lost its state */
    bool paused;
    bool aborted;
    bool is_told;                 /* on_end was called or is on its way */
    uint64_t opened_at, deadline; /* opening */
    uint64_t heard_at;            /* last time the peer acknowledged or sent */
    uint64_t unacked_at;          /* since when bytes are unacknowledged */
    uint32_t user_timeout;
    size_t max_queue;
    struct bytes queue;  /* ours */
    struct bytes kernel; /* sent, not acknowledged */
    struct bytes peer;   /* received by the peer, not taken */
    struct bytes in;     /* sent by the peer, held back */
    size_t taken;        /* of `peer` */
    int held_end;        /* FIN or RST held back by the stall */
    void *token;
    void *queue_token;
    struct net_tls *tls;       /* NULL: TCP */
    struct counters *counters; /* of failed handshakes; NULL: none */
    bool resumed, has_peer;
    char asked[FAKE_NAMES_MAX]; /* the name that the peer had to prove */
    char names[FAKE_NAMES_MAX]; /* what its certificate proves; empty: none */
};

struct fake_query {
    struct list node;
    struct net_loop *loop;
    uint64_t id;
    enum fake_kind kind;
    union fake_fn fn;
    void *user;
    struct fake_host *host;
    void *token;
};

struct net_resolver {
    struct net_loop *loop;
    struct list queries;
    void *token;
};

struct net_loop {
    struct net_loop_events ev;
    uint64_t now, alarm;
    bool running, stop, wake;
    bool held, whole;   /* fake_hold: peers wait / the turn ends when all that is due was done */
    struct list events; /* fake_event, by due */
    struct list locals; /* fake_rule, addr alone */
    struct list rules;
    struct list identities, sessions;
    struct list hosts;
    struct list packets; /* sent, in order */
    struct list taken;   /* fake_taken */
    struct list udps, listeners, streams;
    uint32_t keep_idle, keep_interval, keep_probes;
    uint32_t connect_ms;
    struct net_late late;
    unsigned lose;
    uint16_t next_port;
    uint64_t next_query;
    unsigned queries;
    void *token;
};

/* Memory that the real room would have asked base/alloc.h for. NULL when it is planned to fail. */
void *fake_token(void);
void *fake_zalloc(size_t size); /* never NULL */

void bytes_add(struct bytes *b, const void *ptr, size_t len);
void bytes_drop(struct bytes *b, size_t n); /* from the front */
void bytes_free(struct bytes *b);

/* At `due`, behind all that was queued for that time. `data` may be NULL. */
void fake_queue(struct net_loop *loop, uint64_t due, fake_event_fn *fn, void *object,
                const void *data, size_t len);
void fake_unqueue(struct net_loop *loop, const void *object);

struct addr fake_addr(const char *text); /* aborts on nonsense; port 0 when there is none */
/* Is `a` meant by `pattern` (port 0: any)? */
bool fake_addr_is(const struct addr *pattern, const struct addr *a);

/* Time at which a stalled or opening stream ends, UINT64_MAX: none; and its end. */
uint64_t fake_stream_next(const struct net_loop *loop);
void fake_streams_expire(struct net_loop *loop);
void fake_streams_free(struct net_loop *loop);

/* --- fake_tls.c --- */

/* 0, or why the handshake with the peer fails; ERR_TIMEOUT: it never ends. */
int fake_handshake(struct net_stream *s, enum fake_policy policy);
/* A peer has connected and shows a certificate for `names` (NULL: none). 0 or why not. */
int fake_admit(struct net_stream *s, const struct net_listener *l, const char *names);
void fake_refuse(const struct net_listener *l, const struct addr *remote, const struct addr *local,
                 int err);
void fake_count_refusal(struct counters *counters, int err);
bool fake_names_have(const char *names, struct slice name);

/* A stream without a connection; NULL when the allocation is planned to fail. */
struct net_stream *fake_stream_new(struct net_loop *loop, const struct net_sockopt *opt);
/* The owner learns of the end from the loop. */
void fake_stream_end(struct net_stream *s, int err);
/* What was held back goes to the owner. */
void fake_stream_pump(struct net_stream *s);
void fake_stream_acknowledge(struct net_stream *s);

#endif
