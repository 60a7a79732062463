/* SPDX-License-Identifier: Apache-2.0 */
/* Messages as a capture file for Wireshark and sngrep: pcapng, one packet for each message.
 *
 * What was on the wire besides the messages is not known any more, so that IP, UDP and TCP headers
 * are made up around them: addresses, ports and times are the real ones, sequence numbers of TCP
 * run on from message to message, checksums are right. TLS is shown decrypted, in the place of TCP.
 * owns: the sequence numbers. borrows: nothing. thread: one at a time. IETF draft
 * ietf-opsawg-pcapng; link type RAW (101). */
#ifndef ADMIN_PCAPNG_H
#define ADMIN_PCAPNG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/addr.h"
#include "base/err.h"
#include "base/slice.h"

struct pcapng;

/* Where the bytes of the file go, in their order. */
struct pcapng_sink {
    void (*put)(void *user, const void *bytes, size_t len);
    void *user;
};

struct pcapng_packet {
    uint64_t time_us; /* wall clock */
    bool is_out;
    bool is_stream;       /* TCP or TLS; else UDP */
    struct addr local;    /* family other than that of `remote`: taken to be 0.0.0.0 or :: */
    struct addr remote;   /* without a family: the packet is left out */
    struct slice bytes;   /* the message */
    size_t length;        /* 0, or, where it was cut, what it had on the wire */
    struct slice comment; /* UTF-8, shown beside the packet; may be empty */
};

/* Writes what the file begins with. 0, ERR_NOMEM. */
int pcapng_new(const struct pcapng_sink *sink, struct pcapng **out) WARN_UNUSED;
void pcapng_free(struct pcapng **pcapng);
/* A message longer than an IP packet becomes several TCP segments. */
void pcapng_packet(struct pcapng *pcapng, const struct pcapng_packet *packet);

#endif
