/* SPDX-License-Identifier: Apache-2.0 */
/* What of a message must not be shown: the product's x-sip-mask-sensitive-data.
 *
 * With it, the value of each private header (any that is not in the table of known ones, nor named
 * by x-sip-unmask-headers), of credentials (Authorization, Proxy-Authorization) and of passwords in
 * SIP URIs is shown as "*", and a body as "CONTENT FILTERED" unless it is application/sdp, or
 * application/vnd.radisys.msml+xml without parameters (gvp:param); the number of header lines and
 * their order stay. Content-Length of a body that is not shown tells the length of what is shown in
 * its place, so that the message can still be read. Where one can read it in two ways (a line that
 * does not end with CRLF, two types, a body longer than its length), what is secret in either is
 * masked. Pure. owns: nothing. thread: any. */
#ifndef SIP_MASK_H
#define SIP_MASK_H

#include <stdbool.h>
#include <stddef.h>

#include "base/buf.h"
#include "base/slice.h"

struct sip_mask_conf {
    bool is_on;
    bool is_log; /* credentials, challenges and passwords are masked also where is_on is not set */
    struct slice *unmask; /* header names, without case */
    unsigned nunmask;
};

/* No more than so many bytes longer than the message. */
#define SIP_MASK_MORE 64

/* Writes the message as it may be shown; any bytes will do, grammar is not asked for. Without
 * is_on and is_log: as it is. out->overflow: it did not fit, and is cut. */
void sip_mask(const struct sip_mask_conf *conf, struct slice message, struct buf *out);

#endif
