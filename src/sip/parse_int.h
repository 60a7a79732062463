/* SPDX-License-Identifier: Apache-2.0 */
/* Private face of the message parser: what the walk over the lines and the readers of the core
 * headers share.
 *
 * owns: nothing. borrows: the message. thread: any; pure. */
#ifndef SIP_PARSE_INT_H
#define SIP_PARSE_INT_H

#include <stdbool.h>
#include <stdint.h>

#include "sip/grammar.h"
#include "sip/msg.h"
#include "sip/scan.h"

/* Ids below are headers that every message is checked for: Via to Content-Length. */
#define SIP_CORE_COUNT (SIP_H_CONTENT_LENGTH + 1)

struct sip_core_text {
    const char *missing, *bad, *duplicate;
};
extern const struct sip_core_text sip_core_texts[SIP_CORE_COUNT];

struct sip_parser {
    struct sip_msg *m;
    const char *end; /* of the bytes */
    const struct sip_limits *limits;
    struct sip_fault *fault;
    unsigned cap; /* most header lines */
    int err;      /* of the first fault */
    bool has_content_length;
    uint32_t content_length;
};

/* The first fault is kept. */
void sip_parse_fault(struct sip_parser *ps, int err, unsigned status, const char *reason);
/* Reads a core header into the message; `again`: a line with that id was there before. */
void sip_parse_core(struct sip_parser *ps, unsigned id, struct slice value, bool again);
/* After the last line: what is missing, what does not fit together. */
void sip_parse_check(struct sip_parser *ps);

#endif
