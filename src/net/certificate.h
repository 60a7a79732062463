/* SPDX-License-Identifier: Apache-2.0 */
/* What a certificate file says of itself, for people.
 *
 * owns: nothing. thread: any. RFC 5280 section 4.1.2. */
#ifndef NET_CERTIFICATE_H
#define NET_CERTIFICATE_H

#include <stdint.h>

#include "base/err.h"

struct net_certificate {
    char subject[256];    /* "CN=proxy.example.com, O=Example"; cut where it is longer */
    int64_t starts, ends; /* s of Unix time */
};

/* The first certificate of a PEM file. 0; ERR_PARSE: there is none; ERR_NOMEM. */
int net_certificate_read(const char *file, struct net_certificate *out) WARN_UNUSED;

#endif
