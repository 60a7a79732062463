/* SPDX-License-Identifier: Apache-2.0 */
/* The one list of errors: 0, -errno, or a code of ours below -1000.
 *
 * owns: nothing. thread: any. */
#ifndef BASE_ERR_H
#define BASE_ERR_H

#include <errno.h>

#define WARN_UNUSED __attribute__((warn_unused_result))

enum err {
    ERR_NONE = 0,
    ERR_NOMEM = -ENOMEM,
    ERR_PARSE = -1001,  /* not the grammar */
    ERR_RANGE = -1002,  /* a number outside what is allowed */
    ERR_FULL = -1003,   /* a table, queue or buffer has reached its maximum */
    ERR_LIMIT = -1004,  /* more elements or bytes than an option allows */
    ERR_STALE = -1005,  /* the id names nothing any more */
    ERR_CLOSED = -1006, /* the peer closed the connection in an orderly way */
    ERR_NOT_FOUND = -1007,
    ERR_EXISTS = -1008,
    ERR_NO_ROUTE = -1009, /* no address, listener or transport leads there */
    ERR_UNREACHABLE =
        -1010, /* opening failed a moment ago; not tried again before the backoff ends */
    ERR_UNSUPPORTED = -1012,
    ERR_SHUTDOWN = -1013,      /* we are ending */
    ERR_TIMEOUT = -1014,       /* nothing came within a time of ours (a transaction's timer); a
                                  connection that times out is -ETIMEDOUT */
    ERR_LOOP = -1016,          /* what was found is ourselves */
    ERR_BAD_STATUS = -1015,    /* answered, by a status that does not count as an answer */
    ERR_STALE_IDLE = -1020,    /* found dead by keep-alive probes */
    ERR_STALE_UNACKED = -1021, /* sent bytes stayed unacknowledged for tcp-unacked-timeout */
    ERR_STALE_SUSPECT = -1022, /* replaced by a second connection */
    ERR_STALE_WEDGED = -1023,  /* acknowledges, but answers nothing */
    ERR_SLOW_READER = -1024,   /* did not read what was queued for it */
    /* TLS: why there is no connection. */
    ERR_TLS_HANDSHAKE = -1030,      /* any other failure of the handshake, a fatal alert included */
    ERR_TLS_VERSION = -1031,        /* no version in common that tls-min-version allows */
    ERR_TLS_EXPIRED = -1032,        /* a certificate of the chain is not valid now */
    ERR_TLS_NAME = -1033,           /* the certificate does not prove the name that was asked for */
    ERR_TLS_UNTRUSTED = -1034,      /* self-signed, or no chain to an authority that we trust */
    ERR_TLS_NO_CERTIFICATE = -1035, /* the peer has shown none */
    ERR_TLS_REFUSED = -1036,        /* the peer refused our certificate, or wants one */
    ERR_TLS_PLAIN = -1037,          /* the peer does not speak TLS */
    ERR_TLS_ON_PLAIN = -1038,       /* a ClientHello where TLS is not spoken */
    ERR_TLS_BUSY = -1039,           /* too many handshakes at a time */
    ERR_DNS_SILENT = -1041,         /* no DNS server has answered */
    ERR_DNS_BAD = -1042,            /* a DNS answer that is malformed, or a chain without end */
    ERR_DNS_REFUSED = -1043,        /* the DNS servers refuse, or fail themselves */
    ERR_ICMP_PORT = -1046,          /* a datagram did not arrive: nobody listens there (ICMP) */
    ERR_ICMP_HOST = -1047,          /* the same: no way leads there, or none is allowed (ICMP) */
    ERR_OVERLOAD = -1045,           /* the next hop has asked for less (RFC 7339) */
    ERR_ADMIN = -1040,              /* no failure: the administrator wants it so */
};

/* A short text for logs ("connection reset by peer", "stale: unacknowledged"…); never NULL, lives
 * for ever. `buf` of at least 64 bytes is used for codes without a fixed text. */
const char *err_text(int err, char *buf, unsigned long cap);

#endif
