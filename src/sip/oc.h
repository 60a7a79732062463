/* SPDX-License-Identifier: Apache-2.0 */
/* The parameters of Via by which neighbours control each other's load: RFC 7339 section 4.
 *
 * owns: nothing. thread: any; pure. */
#ifndef SIP_OC_H
#define SIP_OC_H

#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/slice.h"

/* What a hop that supports it puts into its Via in requests. */
#define SIP_OC_OFFER       ";oc;oc-algo=\"loss\""

#define SIP_OC_VALIDITY_MS 500 /* RFC 7339 4.3: where none is given */
#define SIP_OC_SEQ_UNIT    100000
#define SIP_OC_SIZE        96 /* bytes that sip_oc_write adds at most */

struct sip_oc {
    bool has_value; /* a response's: else only support is said */
    bool is_loss;   /* "loss" is (one of) the algorithms named; also where none is named */
    unsigned loss;  /* percent, 0 to 100 */
    uint32_t validity_ms;
    uint64_t seq; /* times SIP_OC_SEQ_UNIT; 0: none */
};

/* The parameters of a Via, without or with the leading ';'. False: there is no `oc`, or what is
 * there is not the grammar: as if nothing were said (RFC 7339 5.4). */
bool sip_oc_parse(struct slice params, struct sip_oc *out);
/* The Via element `via` (its parameters are a part of it) with its control parameters replaced by
 * these. */
void sip_oc_write(struct buf *out, struct slice via, struct slice params, const struct sip_oc *oc);

#endif
