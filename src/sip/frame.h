/* SPDX-License-Identifier: Apache-2.0 */
/* Framing on a byte stream: where the next message ends, resumable and linear however the bytes are
 * split.
 *
 * The caller keeps the unconsumed bytes together and calls again with more of them; `struct
 * sip_frame` remembers how far they were looked at. Pings: RFC 5626 section 3.5.1 and 4.4.1; CRLF
 * before a start line: RFC 3261 7.5; Content-Length: 18.3. owns: nothing. thread: one for each
 * stream; pure. */
#ifndef SIP_FRAME_H
#define SIP_FRAME_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "sip/msg.h"

struct sip_frame {
    uint32_t scanned;  /* bytes of the current message already looked at */
    uint32_t head_len; /* 0: the empty line is not found yet */
    uint32_t body_len;
    bool crlf; /* a lone CRLF was dropped just now: a second one makes it a ping */
};

enum sip_frame_result {
    SIP_FRAME_MORE,    /* no whole message yet; *used = 0 */
    SIP_FRAME_MESSAGE, /* *used bytes are one message, from the first byte */
    /* A double CRLF where no message has begun: answer CRLF. *used = 4, or 2 when its first half
     * came alone and was dropped as SIP_FRAME_CRLF. */
    SIP_FRAME_PING,
    SIP_FRAME_CRLF, /* *used = 2: a lone CRLF (a pong, or between messages) to be dropped */
    SIP_FRAME_BAD,  /* *used = bytes of the head, maybe whole; answer `fault` when it can be parsed,
                       and close */
};

static inline void sip_frame_init(struct sip_frame *f)
{
    *f = (struct sip_frame){0, 0, 0, false};
}

/* `data` begins where the last *used ended. After MESSAGE, PING, CRLF, BAD the frame starts anew by
 * itself. `limits` of NULL: the default. *fault is set for BAD only; whether the request can be
 * answered (has_via) says sip_msg_parse over the *used bytes. */
enum sip_frame_result sip_frame_next(struct sip_frame *f, const char *data, size_t len,
                                     const struct sip_limits *limits, size_t *used,
                                     struct sip_fault *fault);

#endif
