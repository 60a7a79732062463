/* SPDX-License-Identifier: Apache-2.0 */
/* What a TLS connection is made with: certificate, authorities, rules of verification.
 *
 * A context never changes once it is made; a reload makes another one, and connections that are up
 * keep the one they began with. owns: certificates, keys, the sessions remembered for resumption.
 * thread: made by one, held and used by any. RFC 5246, RFC 8446; RFC 5922 (who a certificate is
 * for); RFC 5077 (tickets). */
#ifndef NET_TLS_H
#define NET_TLS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/counter.h"
#include "base/err.h"
#include "base/slice.h"

struct net_tls;

enum net_tls_version { NET_TLS_1_2, NET_TLS_1_3 };

/* Paths and texts are NUL-terminated, NULL when not set. */
struct net_tls_conf {
    const char *certificate; /* PEM file, the chain behind it; NULL: we have none, which serves for
                                connections that we open only */
    const char *private_key; /* PEM file; NULL: in the certificate's file */
    const char *ca;          /* PEM file or directory of authorities; NULL: the system's */
    bool verify_client;      /* a peer that connects must show a certificate that verifies */
    bool verify_server;      /* so must one that we connect to, and it must prove its name */
    enum net_tls_version min_version;
};

/* Keys of session tickets: one for all contexts of the process, so that a ticket given before a
 * reload is taken after it; renewed from time to time by itself. Sessions made under other rules of
 * verification or other authorities are not resumed. */
struct net_tls_keys;
int net_tls_keys_new(struct net_tls_keys **out) WARN_UNUSED;
void net_tls_keys_free(struct net_tls_keys **keys);

/* Reads all files; a certificate that is not valid now is taken. 0 with one holder; ERR_NOMEM;
 * -errno or ERR_PARSE with one line in `why`, without newline, that names the file and what is
 * wrong ("/etc/x.pem: No such file or directory", "the private key /a does not belong to the
 * certificate /b"). */
int net_tls_new(const struct net_tls_conf *conf, struct net_tls_keys *keys, char *why,
                size_t why_size, struct net_tls **out) WARN_UNUSED;
/* One more holder; any thread. */
struct net_tls *net_tls_hold(struct net_tls *tls);
/* The last one frees it. NULL is allowed. */
void net_tls_release(struct net_tls **tls);
/* Can connections be accepted with it (is there a certificate)? */
bool net_tls_can_accept(const struct net_tls *tls);

/* For net_stream_open: how to speak TLS to the peer. */
struct net_tls_client {
    struct net_tls *tls;
    const char *name; /* what the peer has to prove (RFC 5922 7.3), host name or IP address; also
                         SNI where it is a name. Empty: the chain is verified and no name. Lives
                         until the call returns */
    struct counters *counters; /* CTR_TLS_* of this handshake; may be NULL */
};

/* Of a connection that is up. */
struct net_tls_info {
    const char *version; /* "TLSv1.3"; lives for ever */
    bool resumed;
    bool has_peer; /* the peer's certificate was verified; of a server also where it need not be */
};

/* What counts a handshake that ended so. */
static inline enum counter net_tls_counter(int err)
{
    switch (err) {
    case ERR_TLS_VERSION: return CTR_TLS_VERSION;
    case ERR_TLS_EXPIRED: return CTR_TLS_EXPIRED;
    case ERR_TLS_NAME: return CTR_TLS_NAME;
    case ERR_TLS_UNTRUSTED: return CTR_TLS_UNTRUSTED;
    case ERR_TLS_NO_CERTIFICATE: return CTR_TLS_NO_CERTIFICATE;
    case ERR_TLS_REFUSED: return CTR_TLS_REFUSED;
    case ERR_TLS_PLAIN: return CTR_TLS_PLAIN;
    case ERR_TLS_BUSY: return CTR_TLS_BUSY;
    case -ETIMEDOUT: return CTR_TLS_TIMEOUT;
    default: return CTR_TLS_FAILED;
    }
}

#endif
