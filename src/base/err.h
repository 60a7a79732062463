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
    ERR_AUTH = -1011,
    ERR_UNSUPPORTED = -1012,
    ERR_SHUTDOWN = -1013,      /* we are ending */
    ERR_TIMEOUT = -1014,       /* nothing came within a time of ours (a transaction's timer); a
                                  connection that times out is -ETIMEDOUT */
    ERR_STALE_IDLE = -1020,    /* found dead by keep-alive probes */
    ERR_STALE_UNACKED = -1021, /* sent bytes stayed unacknowledged for tcp-unacked-timeout */
    ERR_STALE_SUSPECT = -1022, /* replaced by a second connection */
    ERR_STALE_WEDGED = -1023,  /* acknowledges, but answers nothing */
    ERR_SLOW_READER = -1024,   /* did not read what was queued for it */
};

/* A short text for logs ("connection reset by peer", "stale: unacknowledged"…); never NULL, lives
 * for ever. `buf` of at least 64 bytes is used for codes without a fixed text. */
const char *err_text(int err, char *buf, unsigned long cap);

#endif
