/* SPDX-License-Identifier: Apache-2.0 */
/* Insides of the resolver: what is known of names (resolver.c), how it is given out
 * (resolver_view.c, resolver_srv.c) and shown (resolver_dump.c), the questions (resolver_ask.c) and
 * the servers (resolver_server.c), names that need none (resolver_hosts.c).
 *
 * owns: see the single structs. thread: the loop's. RFC 2308, RFC 2782, RFC 8767. */
#ifndef NET_RESOLVER_INT_H
#define NET_RESOLVER_INT_H

#include <ares.h>
#include <sys/types.h>
#include <time.h>
#include <uv.h>

#include "base/event.h"
#include "base/hash.h"
#include "base/list.h"
#include "base/pool.h"
#include "base/random.h"
#include "base/table.h"
#include "net/dns.h"
#include "net/net_int.h"

#define DNS_SERVERS_MAX NET_DNS_SERVERS_MAX
#define DNS_HOST_MAX    253 /* characters of a name: 255 bytes on the wire (RFC 1035 2.3.4) */

/* Which of a name's records an entry of the cache is about. */
enum dns_kind { DNS_KIND_HOST, DNS_KIND_SRV, DNS_KIND_NAPTR };

union dns_fn {
    net_resolved_fn *host;
    net_srv_fn *srv;
    net_naptr_fn *naptr;
};

/* Records that an entry and views of it hold together: they are read while a callback runs that may
 * make the entry go. The records follow, then their texts. */
struct dns_set {
    unsigned holds;
    unsigned n;
    size_t size; /* of what follows */
    _Alignas(8) char records[];
};

static inline const struct addr *dns_set_addrs(const struct dns_set *s)
{
    return (const struct addr *)(const void *)s->records;
}

static inline const struct net_srv *dns_set_srvs(const struct dns_set *s)
{
    return (const struct net_srv *)(const void *)s->records;
}

static inline const struct net_naptr *dns_set_naptrs(const struct dns_set *s)
{
    return (const struct net_naptr *)(const void *)s->records;
}

/* What is known of a name. */
struct dns_known {
    bool is_known;
    int err; /* 0, ERR_NOT_FOUND, ERR_UNSUPPORTED */
    struct dns_set *sets[2];
    uint32_t ttl;   /* s */
    uint64_t at;    /* ms: when it was learnt */
    uint64_t until; /* ms: fresh up to there; with TTL 0 in the turn of `at` only */
};

/* An answer that stays while it is given out. */
struct dns_view {
    enum dns_kind kind;
    int err;
    struct dns_set *sets[2];
};

/* --- resolver_view.c -------------------------------------------------------------------------- */

/* NULL: no memory. */
struct dns_set *dns_set_new(const struct dns_answer *a, enum dns_type type);
/* For another thread. NULL: no memory. */
struct dns_set *dns_set_copy(const struct dns_set *s, enum dns_kind kind);
struct dns_set *dns_set_hold(struct dns_set *s); /* NULL is allowed, here and below */
void dns_set_drop(struct dns_set *s);
void dns_known_drop(struct dns_known *k); /* nothing is known any more */
void dns_view_give(struct net_resolver *r, const struct dns_view *v, union dns_fn fn, void *user);

/* What came of one question. */
struct dns_result {
    int err;             /* 0, ERR_NOT_FOUND, ERR_UNSUPPORTED (SRV "."), ERR_NOMEM, ERR_SHUTDOWN,
                            ERR_DNS_* */
    uint32_t ttl;        /* s */
    struct dns_set *set; /* err = 0: the reader's now */
};

/* One question to one server. */
struct dns_ask {
    struct list node; /* net_resolver.done */
    struct dns_server *server;
    enum dns_type type;
    bool is_probe;     /* of the server's health; else it is part of a question */
    bool has_answered; /* the server, whatever it said */
    struct dns_result result;
};

/* What is asked of one server after the other. */
struct dns_question {
    struct dns_ask ask; /* the one under way */
    struct dns_name *name;
    unsigned rounds;       /* that are left, of dns-tries */
    unsigned generation;   /* of the servers that the masks are about */
    unsigned server;       /* the number of the one that is asked */
    uint32_t tried;        /* servers of this round, a bit each */
    uint32_t answered;     /* servers that are not asked again: what they said is no use */
    uint64_t begun;        /* ms */
    int worst;             /* the most telling failure so far */
    bool is_last;          /* no further try: the other family has its answer */
    struct dns_result got; /* when it is done */
};

/* One name in one kind. */
struct dns_name {
    struct table_node node;
    struct list lru;     /* the end was asked for last */
    struct list waiters; /* struct dns_waiter */
    struct net_resolver *resolver;
    enum dns_kind kind;
    unsigned nquestions, pending;
    struct dns_question questions[2]; /* A and AAAA, or the one there is */
    struct dns_known known;
    int failure;       /* of the last try, 0: none */
    unsigned failures; /* one after the other */
    uint64_t retry_at; /* ms: not asked again before */
    uint64_t hits;
    size_t len;
    char text[DNS_HOST_MAX + 2]; /* lower case */
};

struct dns_waiter {
    struct list node;
    uint64_t id;
    void *user;
    union dns_fn fn;
};

/* One server, with a channel of its own: which one is asked, and what its silence means, is ours to
 * decide. */
struct dns_server {
    struct net_resolver *resolver;
    struct list node; /* net_resolver.retired */
    ares_channel channel;
    struct addr addr;
    unsigned asks;        /* under way */
    unsigned sent;        /* by this channel, so far */
    uint64_t questions;   /* by all its channels */
    unsigned fails;       /* tries without an answer, one after the other */
    uint64_t avoid_until; /* ms; with fails > 0: asked last, and probed after that time */
    struct dns_ask probe;
    bool is_probed; /* a probe is under way */
};

/* All servers are silent: then nothing is asked but for one name now and then. */
struct dns_breaker {
    bool is_down;
    unsigned fails;    /* looks in vain, one after the other */
    uint64_t heard_at; /* ms: any server has answered */
    uint64_t probe_at; /* ms: while down, nothing is asked before */
};

/* A file that is looked at again, at most once in a second. */
struct dns_file {
    const char *path;
    uint64_t looked; /* ms */
    struct timespec mtime;
    ino_t ino;
    off_t size;
};

struct net_resolver {
    uv_timer_t timer;
    struct net_loop *loop;
    struct counters *counters; /* NULL: not counted */
    struct net_names *shared;  /* NULL: alone */
    struct hash_key key;
    struct rng rng;
    bool closing, settling;
    /* names */
    struct table names;
    struct list lru;
    struct pool waiters;
    /* servers */
    uint32_t timeout_ms, tries, max_stale_ms;
    struct addr given[DNS_SERVERS_MAX]; /* dns-servers */
    unsigned ngiven;
    struct dns_server *servers[DNS_SERVERS_MAX];
    unsigned nservers;
    unsigned generation; /* of `servers` */
    struct list retired; /* dns_server: of a former configuration, as long as they are asked */
    struct list socks;
    struct list done; /* dns_ask: ended, not yet looked at */
    struct dns_file resolv_conf, hosts_file;
    char *hosts; /* text of the hosts file */
    size_t hosts_len;
    char good[DNS_HOST_MAX + 2]; /* what was asked for when a server answered last; empty: never */
    enum dns_type good_type;
    struct dns_breaker alone; /* used unless `shared` has one */
    struct log_limit log_bad, log_cut;
};

static inline void dns_count(struct net_resolver *r, enum counter id)
{
    if (r->counters != NULL)
        counter_inc(r->counters, id);
}

/* --- resolver.c ------------------------------------------------------------------------------- */

/* All questions of the name are done: their `got` says what came. May call many callbacks. */
void dns_name_done(struct dns_name *n);

/* --- resolver_names.c ------------------------------------------------------------------------- */

/* Takes over what another resolver has learnt since; false: nothing new. */
bool dns_shared_take(struct net_names *names, struct dns_name *n);
/* Tells the others. */
void dns_shared_tell(struct net_names *names, const struct dns_name *n);
/* One name in all kinds; empty: all. */
void dns_shared_forget(struct net_names *names, struct slice name);
/* The one of all resolvers, or the resolver's own; held until it is given back. */
struct dns_breaker *dns_breaker_hold(struct net_resolver *r);
void dns_breaker_release(struct net_resolver *r);

/* --- resolver_ask.c --------------------------------------------------------------------------- */

/* May a name be asked for now? False while all servers are silent, but for one name now and then;
 * then *tries is 1, otherwise that of dns-tries. */
bool dns_may_ask(struct net_resolver *r, unsigned *tries);
/* Asks every question of the name. */
void dns_start(struct net_resolver *r, struct dns_name *n, unsigned tries);
/* Reads what has come, sets the timer for what has not. */
void dns_settle(struct net_resolver *r);
/* The timer for what is under way. */
void dns_arm(struct net_resolver *r);

/* --- resolver_server.c ------------------------------------------------------------------------ */

/* (Re)makes the servers from what is given or the system's. 0, ERR_NOMEM, ERR_UNSUPPORTED: those
 * before stay. */
int dns_servers_make(struct net_resolver *r);
/* Looks whether the system's servers have changed. */
void dns_servers_look(struct net_resolver *r);
void dns_servers_free(struct net_resolver *r);
/* Frees those of a former configuration that nobody waits for, and gives a server that has been
 * asked much another channel; not inside a channel's callback. */
void dns_servers_sweep(struct net_resolver *r);
/* Reads what has come: before anybody says that nothing has, since timers run before sockets and
 * the loop may be late. */
void dns_socks_read(struct net_resolver *r);
/* "10.0.0.1:53, 10.0.0.2:53"; returns buf. */
#define DNS_SERVERS_TEXT (DNS_SERVERS_MAX * (ADDR_TEXT_MAX + 2))
const char *dns_servers_text(const struct net_resolver *r, char *buf);

/* --- resolver_hosts.c ------------------------------------------------------------------------- */

/* The addresses of a name in the hosts file, or of "localhost" (RFC 6761 6.3); how many. */
unsigned dns_hosts_find(struct net_resolver *r, struct slice name, struct addr *out, unsigned max);
/* Has the file changed since it was looked at last? Looked at once a second; the first look is a
 * change where the file exists. */
bool dns_file_changed(struct dns_file *f, uint64_t now);

/* --- resolver_srv.c --------------------------------------------------------------------------- */

/* Records sorted by priority into the order to be tried (RFC 2782). */
void dns_srv_draw(struct rng *rng, struct net_srv *records, unsigned n);

/* For tests: other files than the system's; their text is borrowed. */
void dns_set_files(struct net_resolver *r, const char *resolv_conf, const char *hosts);

#endif
