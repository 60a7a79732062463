/* SPDX-License-Identifier: Apache-2.0 */
/* What the tests of this room share: messages on the wire.
 *
 * owns: nothing. thread: the test's. */
#ifndef TESTS_TRACE_MESSAGES_H
#define TESTS_TRACE_MESSAGES_H

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "sip/method.h"
#include "trace/trace_int.h"

#define INVITE                                                                             \
    "INVITE sip:bob@b.example SIP/2.0\r\nVia: SIP/2.0/UDP 192.0.2.1\r\n"                   \
    "From: \"A \\\"<x>\" <sip:alice@a.example:5062>;tag=1\r\nt: sip:bob@b.example;x=1\r\n" \
    "Call-ID: one@a\r\nCSeq: 1 INVITE\r\nX-Secret: secret\r\n\r\n"
#define RINGING                                                                                     \
    "SIP/2.0 180 Ringing\r\nFrom: <sip:alice@a.example>;tag=1\r\nTo: <sip:bob@b.example>;tag=2\r\n" \
    "i: one@a\r\nCSeq: 1\r\n  INVITE\r\n\r\n"
#define OTHER                                                                          \
    "OPTIONS sip:[2001:db8::1]:5060 SIP/2.0\r\nFrom: tel:+4930123;phone-context=x\r\n" \
    "To: sip:carol:pw@c.example\r\nCall-ID: two@a\r\nCSeq: 7 OPTIONS\r\n\r\n"

static inline struct addr address(const char *text)
{
    struct addr a;
    assert_int_equal(addr_parse(slice_str(text), 5060, &a), 0);
    return a;
}

struct message {
    struct addr local, remote;
    struct flow_wire wire;
};

static inline void message(struct message *m, bool is_out, const char *bytes)
{
    m->local = address("192.0.2.10:5060");
    m->remote = address("192.0.2.1:5062");
    m->wire = (struct flow_wire){is_out, SIP_UDP, &m->local, &m->remote, 0, slice_str(bytes)};
}

#endif
