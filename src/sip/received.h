/* SPDX-License-Identifier: Apache-2.0 */
/* What a server adds to the topmost Via of a request: RFC 3261 18.2.1, RFC 3581 section 4.
 *
 * owns: nothing. thread: any; pure. */
#ifndef SIP_RECEIVED_H
#define SIP_RECEIVED_H

#include "base/addr.h"
#include "base/buf.h"
#include "sip/msg.h"

/* Writes the topmost Via element of `m` with `received` and `rport` as they follow from m->source:
 * received where the sent-by host is not that address or rport was asked for; the value of rport
 * where it was asked for. What the peer wrote into `received` itself is replaced. False: nothing is
 * to be changed, nothing was written. */
bool sip_write_received(struct buf *out, const struct sip_msg *m);
/* Upper bound of what sip_write_received writes. */
size_t sip_received_size(const struct sip_msg *m);

#endif
