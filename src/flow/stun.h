/* SPDX-License-Identifier: Apache-2.0 */
/* STUN binding requests as keep-alives on the SIP port: recognised and answered.
 *
 * owns: nothing. thread: any; pure. RFC 5389 sections 6, 7.3, 15.2, 15.5; RFC 5626 section 8. */
#ifndef FLOW_STUN_H
#define FLOW_STUN_H

#include <stdbool.h>

#include "base/addr.h"
#include "base/buf.h"

#define STUN_ANSWER_MAX 128

/* Is it a STUN message? No SIP message begins with two zero bits and carries the magic cookie. */
bool stun_is_request(struct slice datagram);

/* Success with XOR-MAPPED-ADDRESS, or 420 when the request has attributes that have to be
 * understood and are not; with FINGERPRINT when the request has one. 0; ERR_PARSE: no well-formed
 * binding request, or a wrong fingerprint: no answer; ERR_FULL. */
int stun_answer(struct slice request, const struct addr *remote, struct buf *out) WARN_UNUSED;

#endif
