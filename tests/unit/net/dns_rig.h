/* SPDX-License-Identifier: Apache-2.0 */
/* A resolver with DNS servers of the test's own on loopback, which answer from a zone of text, or
 * not as they should.
 *
 * The servers live in the turns of the loop: nobody answers while it does not turn. owns: loop,
 * resolver, sockets. thread: the test's. */
#ifndef TESTS_NET_DNS_RIG_H
#define TESTS_NET_DNS_RIG_H

#include "dns_make.h"
#include "net/resolver_int.h"
#include "turn.h"

enum dns_mood {
    DNS_GOOD,
    DNS_SILENT,
    DNS_FAILS,       /* SERVFAIL */
    DNS_REFUSES,     /* REFUSED */
    DNS_CUTS,        /* truncated by UDP, whole by TCP */
    DNS_CUTS_ONLY,   /* truncated by UDP, and TCP is closed at once */
    DNS_CUTS_SILENT, /* truncated by UDP, and nothing comes by TCP */
    DNS_WRONG_ID,
    DNS_WRONG_NAME,
    DNS_GARBAGE, /* random bytes behind the right number */
    DNS_BROKEN,  /* a record that says it is longer than the message */
};

#define DNS_PEERS    3
#define DNS_PEER_TCP 8

struct dns_peer {
    int udp, tcp, conns[DNS_PEER_TCP];
    struct addr addr;
    enum dns_mood mood;
    const char *const *zone; /* "owner TTL TYPE data", NULL at the end; see dns_put_text */
    /* Called behind the zone's records, to add more. */
    void (*more)(struct dns_out *o, const char *name, unsigned type);
    bool has_soa;
    uint32_t soa_minimum;
    unsigned ports;     /* of those who asked, each time another one than before */
    uint16_t port;      /* the last */
    unsigned asked;     /* questions by UDP */
    unsigned asked_tcp; /* and by TCP */
};

struct dns_rig {
    struct turn t;
    struct net_resolver *r;
    struct net_resolver_conf conf;
    struct addr servers[DNS_PEERS];
    struct dns_peer peers[DNS_PEERS];
    unsigned npeers;
    bool (*until)(void);
};

/* `n` servers with that zone; 150 ms for a try, two tries, stale answers for an hour. */
void dns_rig_start(struct dns_rig *d, unsigned n, const char *const *zone);
void dns_rig_stop(struct dns_rig *d);
/* The servers answer what has come, without a turn of the loop. */
void dns_rig_pump(struct dns_rig *d);
/* Turns the loop, the servers at work, until it holds; fails the test after 10 s. */
void dns_rig_until(struct dns_rig *d, bool (*until)(void));
/* The same for at least `ms`. */
void dns_rig_idle(struct dns_rig *d, unsigned ms);
unsigned dns_rig_asked(const struct dns_rig *d); /* all servers, both ways */
uint64_t dns_rig_count(const struct dns_rig *d, enum counter id);

/* What a callback was given; records point into `text`. */
struct dns_heard {
    unsigned calls;
    int err;
    unsigned n;
    struct addr addrs[NET_ADDRS_MAX];
    struct net_srv srvs[NET_SRV_MAX];
    struct net_naptr naptrs[NET_NAPTR_MAX];
    size_t text_len;
    char text[DNS_TEXT_MAX];
};
void dns_on_host(void *heard, int err, const struct addr *addrs, unsigned n);
void dns_on_srv(void *heard, int err, const struct net_srv *records, unsigned n);
void dns_on_naptr(void *heard, int err, const struct net_naptr *records, unsigned n);

/* Asks and turns until the answer is there; true: it was there at once. */
bool dns_ask_host(struct dns_rig *d, const char *name, struct dns_heard *h);
bool dns_ask_srv(struct dns_rig *d, const char *name, struct dns_heard *h);
bool dns_ask_naptr(struct dns_rig *d, const char *name, struct dns_heard *h);
/* Is this the first address heard, and there is no error? */
bool dns_heard_ip(const struct dns_heard *h, const char *ip);

#endif
