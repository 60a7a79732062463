/* SPDX-License-Identifier: Apache-2.0 */
/* What one DNS answer says, read without trust in a byte of it.
 *
 * owns: nothing; the texts of records are in the answer itself. thread: any; pure. RFC 1035
 * sections 3 and 4, RFC 2181 section 8, RFC 2308 sections 2 and 5, RFC 2782, RFC 3403 section 4,
 * RFC 3596. */
#ifndef NET_DNS_H
#define NET_DNS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/addr.h"
#include "base/err.h"
#include "net/resolver.h"

enum dns_type {
    DNS_A = 1,
    DNS_CNAME = 5,
    DNS_SOA = 6,
    DNS_AAAA = 28,
    DNS_SRV = 33,
    DNS_NAPTR = 35,
};

#define DNS_CNAMES_MAX  16 /* of one chain; a longer one is taken for a loop */
#define DNS_FLAGS_MAX   8  /* bytes of NAPTR's flags */
#define DNS_SERVICE_MAX 64 /* bytes of its service */
#define DNS_TEXT_MAX    (NET_NAPTR_MAX * (NET_NAME_MAX + DNS_FLAGS_MAX + DNS_SERVICE_MAX))

struct dns_answer {
    uint32_t ttl;   /* s: the least of the records and aliases that were used; where there are none,
                       how long that holds, 0 where nothing says it */
    unsigned n;     /* records taken; those of the same type that are unfit are left out */
    unsigned left;  /* fit records above the maximum, the last ones in order */
    bool is_denied; /* SRV: the service is decidedly not offered (target ".") */
    union {
        struct addr addrs[NET_ADDRS_MAX];       /* in the order of the answer */
        struct net_srv srvs[NET_SRV_MAX];       /* by priority */
        struct net_naptr naptrs[NET_NAPTR_MAX]; /* by order and preference; those of SIP */
    };
    size_t text_len;
    char text[DNS_TEXT_MAX];
};

/* 0: the records of `type` of the name that was asked for, aliases followed (n may be 0 when none
 * is fit); ERR_NOT_FOUND: there is no such name or no such record; ERR_DNS_REFUSED: the server
 * fails or does not want to; ERR_DNS_BAD: malformed, or aliases without end. */
int dns_answer_parse(const uint8_t *msg, size_t len, enum dns_type type,
                     struct dns_answer *out) WARN_UNUSED;

#endif
