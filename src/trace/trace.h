/* SPDX-License-Identifier: Apache-2.0 */
/* The last SIP messages of a worker, for `holdfastctl trace`, and the same to a HEP collector.
 *
 * A ring of bytes, taken once: a new message overwrites the oldest. Messages are kept as they were
 * on the wire and masked (sip/mask.h) where they leave: rows, HEP.
 * owns: the ring, the collector's socket. borrows: counters. thread: the worker's. */
#ifndef TRACE_TRACE_H
#define TRACE_TRACE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/addr.h"
#include "base/counter.h"
#include "base/err.h"
#include "base/field.h"
#include "base/slice.h"
#include "flow/flow.h"
#include "sip/mask.h"

struct trace;

struct trace_conf {
    uint32_t bytes;            /* trace-buffer: of each worker's ring; 0: nothing is kept */
    struct sip_mask_conf mask; /* x-sip-mask-sensitive-data, x-sip-unmask-headers */
    struct addr hep;           /* hep-collector, by UDP; family ADDR_NONE: none */
    uint32_t hep_id;           /* hep-capture-id */
    struct slice hep_password; /* hep-password; empty: none */
};

/* 0, ERR_NOMEM (the ring). */
int trace_new(const struct trace_conf *conf, unsigned worker, struct counters *counters,
              struct trace **out) WARN_UNUSED;
void trace_free(struct trace **trace);
/* What is kept stays unless the ring gets another size; slices of conf must live until the next
 * call. A ring for which there is no memory stays as it was, and that is logged. */
void trace_set_conf(struct trace *trace, const struct trace_conf *conf);

/* Is anybody to know of messages? Where not, trace_put does nothing. */
bool trace_is_on(const struct trace *trace);
/* One message on the wire; `wall`: wall-clock us. Cheap: a copy. With debug lines of module "sip"
 * also a line of the log. */
void trace_put(struct trace *trace, const struct flow_wire *wire, uint64_t wall);
/* End of turn: what the collector is to get leaves. Never waits: what the socket does not take
 * stays for the next turn, and what there is no room for is dropped and counted. */
void trace_flush(struct trace *trace);

/* Which messages: those of the Call-ID, and those with the text; any where both are empty. */
struct trace_want {
    struct slice call_id; /* the whole Call-ID */
    struct slice text;    /* user or host in Request-URI, From or To, without case */
    uint64_t since;       /* wall-clock us, later ones only */
    uint64_t until;       /* the same, none that is later; 0: without a bound */
    uint64_t *end;        /* 0 at the first step: no more than what is kept then, so that it ends
                             where messages come as fast as they are looked at; NULL: all */
    bool with_bytes;      /* also `bytes`: the message in base64 (RFC 4648 section 4) */
};
/* Rows of the set "message", oldest first, of the next `n` messages from *at on (0 at first):
 * time_us (int), worker (int), direction ("in", "out"), transport ("udp", "tcp", "tls"), local,
 * remote, connection (as the id of a row "flow"; empty by UDP), start_line, method (of a response:
 * that of CSeq), status (int; 0: a request), call_id, cseq ("1 INVITE"), from, to (their URIs),
 * length (int: bytes on the wire), cut (bool: longer than what could be kept), text (the message),
 * and, where asked for, bytes. All of it masked; a text that is not in the message is empty. False:
 * these were the last. */
bool trace_rows_some(struct trace *trace, uint64_t *at, unsigned n, const struct trace_want *want,
                     const struct row_sink *sink);

#endif
