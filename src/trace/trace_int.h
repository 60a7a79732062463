/* SPDX-License-Identifier: Apache-2.0 */
/* What the files of this room share: the ring, its records, the queue towards the collector.
 *
 * Offsets into the ring are 64-bit and only grow; a record is contiguous. owns: see trace.h.
 * thread: one worker. RFC 3261 section 7 (what is read of a message for its row). */
#ifndef TRACE_TRACE_INT_H
#define TRACE_TRACE_INT_H

#include "base/buf.h"
#include "base/log.h"
#include "trace/trace.h"

/* Followed by the bytes; the next record begins at a multiple of eight. */
struct trace_record {
    uint32_t total; /* bytes to the next record */
    uint32_t kept;  /* bytes of the message that follow; TRACE_SKIP: none, this is the unused end of
                       the ring, and the fields below may not exist */
    uint32_t length; /* of the message on the wire */
    uint8_t transport;
    bool is_out;
    uint64_t wall; /* us */
    uint64_t flow;
    struct addr local, remote;
};
#define TRACE_SKIP UINT32_MAX

struct trace_ring {
    char *bytes;
    size_t size;         /* a multiple of 8; 0: nothing is kept */
    size_t at;           /* place of `head` */
    uint64_t head, tail; /* where the next record begins; the oldest one */
};

struct trace_hep;

struct trace {
    struct trace_conf conf;
    unsigned worker;
    struct counters *counters;
    struct trace_ring ring;
    struct trace_hep *hep; /* NULL: no collector */
};

/* --- ring.c --- */
#define TRACE_RING_MIN 1024 /* bytes; a smaller one is this long */
/* Another size; nothing is kept if it differs from what it was. 0, ERR_NOMEM: as it was. */
int trace_ring_size(struct trace_ring *ring, size_t size) WARN_UNUSED;
void trace_ring_fini(struct trace_ring *ring);
void trace_ring_put(struct trace_ring *ring, const struct flow_wire *wire, uint64_t wall);
/* The record at *at or, when that has been overwritten, the oldest; *at moves to it. NULL: there is
 * none. Its bytes follow it. */
const struct trace_record *trace_ring_get(const struct trace_ring *ring, uint64_t *at);

/* --- read.c --- */
/* What a row tells of a message; slices into it. */
struct trace_facts {
    struct slice start_line, uri, method, call_id, cseq, from, to;
    unsigned status;
};
/* Any bytes will do. */
void trace_read(struct slice message, struct trace_facts *out);
/* The URI of a From or To. */
struct slice trace_uri(struct slice value);
/* Is the user or the host of the URI that text, without case? */
bool trace_uri_is(struct slice uri, struct slice text);

/* --- hep.c --- */
/* The largest datagram. */
#define TRACE_HEP_MAX 65507u

/* One packet. False: it does not fit. */
bool trace_hep_write(struct buf *out, const struct trace_conf *conf, const struct flow_wire *wire,
                     uint64_t wall, struct slice masked);
/* The queue for conf->hep; what was queued for another collector is gone. NULL when there is none,
 * or no memory. */
struct trace_hep *trace_hep_new(const struct trace_conf *conf);
void trace_hep_free(struct trace_hep **hep);
void trace_hep_put(struct trace *trace, const struct flow_wire *wire, uint64_t wall);
void trace_hep_flush(struct trace *trace);

#endif
