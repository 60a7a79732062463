/* SPDX-License-Identifier: Apache-2.0 */
/* Whose message it was that an ICMP error quotes the begin of.
 *
 * A router quotes as much as it likes, the least of it no byte of ours. The quote is compared with
 * what we write ourselves and never parsed: whoever sends ICMP may have written it. owns: nothing.
 * thread: any. RFC 3261 section 18.4. */
#ifndef SIP_QUOTE_H
#define SIP_QUOTE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"
#include "base/slice.h"
#include "sip/method.h"

struct sip_quote {
    bool is_request;        /* the rest is of requests */
    enum sip_method method; /* of the request line */
    uint64_t id;            /* of our branch in the topmost Via: sip_branch_parse */
    uint32_t loop;
};

/* 0; ERR_NOT_FOUND: neither a response nor a request with a branch of ours, or cut off before that
 * ends. */
int sip_quote_read(struct slice bytes, struct sip_quote *out) WARN_UNUSED;

#endif
