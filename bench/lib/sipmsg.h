/* SPDX-License-Identifier: Apache-2.0 */
/* Just enough of SIP to answer a message: one pass over the lines, no grammar, no folded lines.
 *
 * owns: nothing; every piece points into the received bytes
 * borrows: the received bytes
 * thread: any, no shared state
 * RFC sections: RFC 3261 7, 18.3, 20
 */
#ifndef BENCH_SIPMSG_H
#define BENCH_SIPMSG_H

#include "text.h"

#include <sys/types.h>

#define SIP_MAX_VIA 16
#define SIP_MAX_RR  16

enum sip_method { SIP_OTHER, SIP_INVITE, SIP_ACK, SIP_BYE, SIP_REGISTER };

struct sipmsg {
    unsigned status; /* 0: a request */
    enum sip_method method;
    struct str uri;              /* Request-URI */
    struct str via[SIP_MAX_VIA]; /* whole lines without line end, top first */
    unsigned via_count;
    struct str rr[SIP_MAX_RR]; /* values of the Record-Route lines */
    unsigned rr_count;
    struct str from; /* values */
    struct str to;
    struct str call_id;
    struct str cseq;
    struct str contact;
    size_t body; /* Content-Length */
    struct str all;
};

/* Bytes of the message at p (n > 0), 0 when more are needed, -1 when it is none of the kind our
 * peers send. Without Content-Length the body is empty. */
ssize_t sip_parse(struct sipmsg *m, const char *p, size_t n);

/* Value of `name=` (with its "=") among the parameters of a header line, empty when absent. */
struct str sip_param(struct str line, const char *name);

/* Splits the next value off a comma-separated list; false at its end. */
bool sip_next_value(struct str *list, struct str *value);

/* The URI between < and >, or the whole value without its parameters. */
struct str sip_addr_uri(struct str value);

/* Number of the call out of a Call-ID made by load.c ("RUN-NUMBER@host"). */
bool sip_call_number(struct str call_id, uint64_t *run, uint64_t *number);

#endif
