/* SPDX-License-Identifier: Apache-2.0 */
/* What of a message must not be shown: the product's x-sip-mask-sensitive-data.
 *
 * With it, the value of each private header (any that is not in the table of known ones, nor named
 * by x-sip-unmask-headers) and of credentials (Authorization, Proxy-Authorization and the like) is
 * shown as "*", and a body that is not application/sdp as "CONTENT FILTERED"; the number of header
 * lines and their order stay. Pure. owns: nothing. thread: any. */
#ifndef SIP_MASK_H
#define SIP_MASK_H

#include <stdbool.h>
#include <stddef.h>

#include "base/buf.h"
#include "base/slice.h"

struct sip_mask_conf {
    bool is_on;
    struct slice *unmask; /* header names, without case */
    unsigned nunmask;
};

/* Writes the message as it may be shown; any bytes will do, grammar is not asked for. Without
 * is_on: as it is. out->overflow: it did not fit, and is cut. */
void sip_mask(const struct sip_mask_conf *conf, struct slice message, struct buf *out);

#endif
