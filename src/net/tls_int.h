/* SPDX-License-Identifier: Apache-2.0 */
/* The insides of TLS: a context, the TLS half of a stream, handshakes, what is remembered.
 *
 * owns: see the single structs. thread: a context and the ticket keys: any; the rest: the loop's.
 * RFC 5922, RFC 6066 (SNI), RFC 8446. */
#ifndef NET_TLS_INT_H
#define NET_TLS_INT_H

#include <openssl/ssl.h>
#include <stdatomic.h>

#include "net/stream_int.h"
#include "net/tls_sent.h"

#define TLS_DIGEST       32         /* SHA-256 */
#define TLS_SESSION_LIFE (4 * 3600) /* s, of a session in a ticket */
#define TLS_NAME_MAX     255        /* RFC 1035 2.3.4 */
#define TLS_FOREVER      INT64_MAX

/* One SSL_CTX serves both roles; what differs is set for each connection. */
struct net_tls {
    SSL_CTX *ctx;
    BIO_METHOD *bio;
    struct net_tls_keys *keys; /* one holder */
    atomic_uint refs;
    bool can_accept, verify_client, verify_server;
    unsigned char rules[TLS_DIGEST]; /* of what a session was made under: settings, authorities */
    unsigned char own[TLS_DIGEST];   /* of our certificate */
    EVP_PKEY *blank;                 /* in the place of a peer's key that is needed no more */
};

/* Of one connection; there is one for each idle one, so its size counts. */
struct tls_conn {
    SSL *ssl; /* NULL until it is the handshake's turn */
    struct net_tls *tls;
    struct tls_shake *shake; /* NULL: the handshake is done */
    uint64_t wire;           /* bytes that the kernel took */
    int64_t valid_until;     /* s since 1970: when the first certificate of the peer's chain ends */
    struct tls_sent sent;
    char *proven; /* identities of the verified peer, as in tls_identities; NULL: none */
    uint16_t proven_len;
    unsigned char key[16]; /* of the remembered session; opened connections only */
    int io_err;            /* why the socket gave no more: ERR_CLOSED, -errno; 0 */
    bool is_server;
    bool is_dry;    /* the socket had nothing more to read */
    bool broken;    /* nothing may be sent or read any more */
    bool has_first; /* of what came in: */
    uint8_t first;  /* the first byte */
    bool asked;     /* the peer wants a certificate of ours */
    bool has_peer;  /* its certificate was verified, now or when the session was made */
};

/* Where a handshake of an accepted connection stands. */
enum shake_place {
    SHAKE_OPENED,  /* it is one that we opened: in no line */
    SHAKE_SILENT,  /* in loop->gate.silent: no byte has come */
    SHAKE_WAITING, /* in loop->gate.waiting: for one of the places */
    SHAKE_ACTIVE   /* in loop->gate.active */
};

struct tls_shake {
    struct list node;  /* of its place */
    struct list ready; /* in loop->gate.ready*: a step is due */
    struct net_stream *stream;
    struct net_listener *listener; /* NULL: opened by us */
    struct counters *counters;     /* may be NULL */
    struct addr remote, local;     /* of an accepted one; `remote` of an opened one */
    unsigned source;               /* index into the counts by source address */
    uint8_t place;                 /* enum shake_place */
    char name[TLS_NAME_MAX + 1];   /* that the peer has to prove; empty: none */
};

/* tls.c, tls_files.c: contexts. All: 0, ERR_NOMEM, -errno, ERR_PARSE with a line in `why`. */
struct tls_why {
    char *text;
    size_t size;
};
/* Always ERR_PARSE. */
int tls_say(const struct tls_why *why, const char *file, const char *what);
int tls_load_own(struct net_tls *t, const struct net_tls_conf *conf,
                 const struct tls_why *why) WARN_UNUSED;
/* Adds a digest of the authorities to `sum`. */
int tls_load_authorities(struct net_tls *t, const char *ca, const struct tls_why *why,
                         uint64_t sum[4]) WARN_UNUSED;

/* tls_keys.c */
struct net_tls_keys *tls_keys_hold(struct net_tls_keys *keys);
int tls_keys_use(struct net_tls *t) WARN_UNUSED;
/* As if so many seconds had passed. */
void tls_keys_age(struct net_tls_keys *keys, uint64_t seconds);

/* tls_verify.c */
int tls_verify(X509_STORE_CTX *sc, void *unused);
/* The SIP identities of a certificate (RFC 5922 7.1), each ended by NUL. */
struct tls_identities {
    size_t len;
    char text[16384];
};
void tls_identities(const X509 *cert, struct tls_identities *out);
/* 7.2: the whole name, without regard to case; a wildcard is a name like any other, and so equals
 * nothing that is asked for. */
bool tls_list_has(const char *list, size_t len, struct slice name);
/* Without brackets, without the dot at the end. */
struct slice tls_bare_host(struct slice host);
/* When the first of the certificates ends, s since 1970. */
int64_t tls_chain_end(STACK_OF(X509) * chain);
int64_t tls_now(void);
static inline bool tls_verifies(const struct tls_conn *c)
{
    return c->is_server ? c->tls->verify_client : c->tls->verify_server;
}

/* tls_err.c */
int tls_error_of(const struct tls_conn *c, int ssl_error);
void tls_count(struct counters *counters, int err);

/* tls_bio.c */
BIO_METHOD *tls_bio_method(void);

/* tls_session.c: sessions remembered by a loop for connections that it opens. */
void tls_session_use(SSL_CTX *ctx);
void tls_session_key(const struct net_tls *t, const struct addr *remote, struct slice name,
                     unsigned char key[16]);
/* What cannot be kept is not kept: the next connection makes a full handshake. */
void tls_session_keep(struct tls_cache *cache, const struct tls_conn *c, SSL_SESSION *session);
/* In TLS 1.2 the ticket comes before the end of the handshake; in TLS 1.3 after it. */
void tls_session_done(struct tls_cache *cache, const struct tls_conn *c);
/* Offers what is remembered to the peer. */
void tls_session_offer(struct tls_cache *cache, struct tls_conn *c);
void tls_session_forget(struct tls_cache *cache, const unsigned char key[16]);
void tls_cache_free(struct tls_cache *cache);

/* tls_peer.c: what is kept of the peer's certificate when the handshake is done. */
#define TLS_PROVEN_MAX 2048 /* bytes; identities beyond prove nothing later on */
/* 0, ERR_NOMEM, ERR_TLS_NAME (a resumed session that does not prove the name). */
int tls_peer_take(struct tls_conn *c) WARN_UNUSED;
/* Copies identities; len 0: there are none. */
int tls_peer_set(struct tls_conn *c, const char *list, size_t len) WARN_UNUSED;
void tls_peer_slim(struct tls_conn *c);
EVP_PKEY *tls_blank_key(void);

/* tls_conn.c */
int tls_conn_new(struct net_stream *s, struct net_tls *tls, bool is_server) WARN_UNUSED;
/* Makes the SSL object. 0 or ERR_NOMEM. */
int tls_conn_start(struct net_stream *s) WARN_UNUSED;
/* One step of the handshake. 1: done; 0: waits for the socket (s->blocked: for writing); an error.
 */
int tls_conn_step(struct net_stream *s) WARN_UNUSED;
/* > 0 bytes; 0: there are none now; -EAGAIN: a record without data was read, and more may be there;
 * ERR_CLOSED, a TLS error, -errno. `cap` is at least the size of a record, so that nothing is left
 * inside. */
ssize_t tls_conn_read(struct net_stream *s, char *buf, size_t cap) WARN_UNUSED;
/* As net_stream_try_send, but leaves the queue to the caller. */
int tls_conn_send(struct net_stream *s) WARN_UNUSED;
size_t tls_conn_unacked(const struct net_stream *s);
/* close_notify and FIN, as far as the socket takes them now. */
void tls_conn_bye(struct net_stream *s);
void tls_conn_free(struct net_stream *s);

/* tls_shake.c: how many handshakes, and when. */
void tls_gate_init(struct tls_gate *g);
/* An accepted connection. Takes the stream over. */
void tls_shake_accept(struct net_listener *l, struct net_stream *s, const struct addr *remote,
                      const struct addr *local);
/* An opened one, before it is connected. 0, ERR_NOMEM, -ENAMETOOLONG. */
int tls_shake_open(struct net_stream *s, const struct net_tls_client *client,
                   const struct addr *remote) WARN_UNUSED;
/* TCP is up / the socket is ready / time is up. */
void tls_shake_connected(struct net_stream *s);
void tls_shake_event(struct net_stream *s);
void tls_shake_expired(struct net_stream *s);
bool tls_shake_is_due(const struct net_stream *s);
/* A step of those whose turn it is. */
void tls_shakes_run(struct net_loop *loop);
/* The listener closes: so do those that it has not told of. */
void tls_shakes_drop(struct net_loop *loop, const struct net_listener *l);
void tls_shake_free(struct net_stream *s);

#endif
