/* SPDX-License-Identifier: Apache-2.0 */
/* Messages that we make ourselves: responses, ACK and CANCEL of a transaction, branches and tags.
 *
 * owns: nothing. thread: any; pure. RFC 3261 sections 8.2.6, 9.1, 16.6 step 8, 17.1.1.3; RFC 5393.
 */
#ifndef SIP_WRITE_H
#define SIP_WRITE_H

#include <stdint.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/slice.h"
#include "sip/msg.h"

/* Response to `req`: all Vias, From, To (with `to_tag` added when the request has none and to_tag
 * is not empty), Call-ID, CSeq, Timestamp in a 100, then `extra` (whole lines, may be empty) and
 * `body` with Content-Length. `reason` empty: the default phrase. Works on a message that failed
 * parsing when fault.has_via. 0 or ERR_FULL. */
int sip_write_response(struct buf *out, const struct sip_msg *req, unsigned status,
                       struct slice reason, struct slice to_tag, struct slice extra,
                       struct slice body) WARN_UNUSED;

/* ACK for a non-2xx final response: Request-URI, topmost Via, Route, From, Call-ID, CSeq number of
 * the INVITE that was sent; To of the response. 0 or ERR_FULL. */
int sip_write_ack(struct buf *out, const struct sip_msg *invite,
                  const struct sip_msg *response) WARN_UNUSED;
/* CANCEL of an INVITE that was sent, with its topmost Via; `extra` whole lines (Reason). 0 or
 * ERR_FULL. */
int sip_write_cancel(struct buf *out, const struct sip_msg *invite, struct slice extra) WARN_UNUSED;

/* Branch: "z9hG4bKhf" + 16 hex digits of the transaction's id + "." + 8 hex digits of the loop
 * hash. */
#define SIP_BRANCH_LEN 34
void sip_branch_write(struct buf *out, uint64_t id, uint32_t loop);
/* 0; ERR_NOT_FOUND: not one of ours. */
int sip_branch_parse(struct slice branch, uint64_t *id, uint32_t *loop) WARN_UNUSED;
/* RFC 3261 section 17.2.3: begins with the magic cookie and is longer. */
bool sip_branch_is_3261(struct slice branch);

#endif
