/* SPDX-License-Identifier: Apache-2.0 */
/* A SIP message parsed in place: 16-bit offsets into its bytes, every header line found, the ones a
 * proxy needs checked and read. RFC 3261 sections 7, 8.1.1, 16.3, 20, 25.
 *
 * owns: nothing; keeping a message is sip_msg_copy: one memcpy for the bytes and one for the
 * offsets. borrows: the bytes and the array of headers. thread: any; pure. */
#ifndef SIP_MSG_H
#define SIP_MSG_H

#include <stdbool.h>
#include <stdint.h>

#include "base/addr.h"
#include "base/arena.h"
#include "base/err.h"
#include "base/slice.h"
#include "sip/method.h"
#include "sip/uri.h"

#define SIP_MSG_MAX  65535 /* bytes; more is answered by 513 */
#define SIP_HDRS_MAX 250   /* header lines; the option may set less */

struct sip_span {
    uint16_t off, len;
};

struct sip_hdr {
    uint8_t id;        /* enum sip_hdr_id */
    uint8_t name_len;  /* a longer name is malformed */
    uint16_t line;     /* offset of the name = of the line */
    uint16_t val;      /* offset of the value, leading blanks skipped */
    uint16_t val_len;  /* without trailing blanks and CRLF; may hold folds */
    uint16_t line_len; /* with the final CRLF and all folds */
};

struct sip_limits {
    uint16_t headers;   /* lines, at most SIP_HDRS_MAX */
    uint32_t head_size; /* bytes of start line and headers */
    uint32_t body_size; /* bytes */
};
extern const struct sip_limits sip_limits_default; /* 200 lines, 32768, 61440 */

struct sip_msg {
    const char *base;     /* the bytes */
    struct sip_hdr *hdrs; /* nhdrs of them, in their order */
    uint16_t len;         /* head and body */
    uint16_t head_len;    /* start line to empty line, that included */
    uint16_t body_len;    /* = len - head_len */
    uint16_t nhdrs;
    bool is_request;
    uint8_t method; /* enum sip_method; of a response: the one of CSeq */
    uint8_t cseq_method;
    uint8_t first[SIP_H_COUNT];  /* 1 + index of the first line with that id, 0: none */
    uint16_t status;             /* responses: 100 to 699 */
    struct sip_span method_text; /* requests */
    struct sip_span uri;         /* requests: Request-URI */
    struct sip_span reason;      /* responses */
    struct sip_span call_id;
    struct sip_span from_uri; /* of From and To: where the URI should be, not looked into */
    struct sip_span to_uri;
    struct sip_span from_tag; /* len 0: none */
    struct sip_span to_tag;
    struct sip_span cseq_text; /* method of CSeq */
    uint32_t cseq;
    int16_t max_forwards; /* -1: none */
    struct addr source;   /* where it came from, set by the receiver; family ADDR_NONE: not known */
    struct sip_via via;   /* the topmost; slices into base */
    struct sip_uri ruri;  /* requests: the Request-URI, parsed; slices into base */
};

/* Why a message was not accepted. */
struct sip_fault {
    /* What a request is answered with: 400, 505, 513…; 0: a response or an ACK, drop. */
    uint16_t status;
    const char *reason; /* reason phrase: "Missing CSeq", never NULL, static */
    /* A request with a Via line, so that an answer can be written; what else it has of From, To,
     * Call-ID and CSeq is copied. A topmost Via that cannot be parsed leaves msg->via.host empty:
     * the answer goes to where the request came from. */
    bool has_via;
};

static inline struct slice sip_get(const struct sip_msg *m, struct sip_span s)
{
    return (struct slice){m->base + s.off, s.len};
}

/* Parses one whole message of `len` bytes into *m, with header offsets in `hdrs` (`cap` entries).
 * `is_stream`: framing has determined the length, and Content-Length must agree. On a datagram
 * bytes after Content-Length are ignored, fewer are a fault (RFC 3261 18.3), and none means all the
 * rest is body. Returns 0; ERR_PARSE with *fault (also for 505); ERR_LIMIT with *fault (headers,
 * sizes). On error what could be read is in *m, enough for sip_write_response when
 * fault->has_via.
 * CRLF is the line end and nothing else; a bare CR or LF is a fault, so that nobody can disagree
 * with us about where a header ends. NUL and bytes above 0x7f are left alone in values that are
 * not ours. `limits` of NULL: the default. */
int sip_msg_parse(struct sip_msg *m, const char *bytes, size_t len, bool is_stream,
                  struct sip_hdr *hdrs, unsigned cap, const struct sip_limits *limits,
                  struct sip_fault *fault) WARN_UNUSED;

/* Once more, from bytes that were kept: a message that was taken whatever the limits were, or one
 * that we have written. As on a datagram; `hdrs`: SIP_HDRS_MAX of them. False: there is none. */
bool sip_msg_parse_kept(struct sip_msg *m, struct slice bytes, struct sip_hdr *hdrs) WARN_UNUSED;
/* Its Call-ID; empty: there is none. */
struct slice sip_kept_call_id(struct slice bytes, struct sip_hdr *hdrs);

/* A copy whose bytes and header array live in the arena. NULL when there is no memory. */
struct sip_msg *sip_msg_copy(const struct sip_msg *m, struct arena *arena)
    __attribute__((warn_unused_result));

/* First header line with that id, or NULL; then the next one after `h` with the same id, or NULL.
 */
const struct sip_hdr *sip_hdr_first(const struct sip_msg *m, enum sip_hdr_id id);
const struct sip_hdr *sip_hdr_after(const struct sip_msg *m, const struct sip_hdr *h);
/* First header line by name (for those without an id). */
const struct sip_hdr *sip_hdr_named(const struct sip_msg *m, struct slice name);
static inline struct slice sip_hdr_value(const struct sip_msg *m, const struct sip_hdr *h)
{
    return (struct slice){m->base + h->val, h->val_len};
}
/* Value of the first line with that id; empty when there is none. */
struct slice sip_value(const struct sip_msg *m, enum sip_hdr_id id);
static inline struct slice sip_body(const struct sip_msg *m)
{
    return (struct slice){m->base + m->head_len, m->body_len};
}

/* Walks the elements of all lines of one header, combined or not: `Route: a, b` then `Route: c`. */
struct sip_iter {
    const struct sip_msg *msg;
    const struct sip_hdr *hdr;
    struct slice rest;
    enum sip_hdr_id id;
};
void sip_iter_init(struct sip_iter *it, const struct sip_msg *m, enum sip_hdr_id id);
/* The elements of Via but the topmost, which is msg->via. */
void sip_iter_below_via(struct sip_iter *it, const struct sip_msg *m);
bool sip_iter_next(struct sip_iter *it, struct slice *element);

/* Is the option tag listed in that header (Supported, Require, Proxy-Require)? Case-insensitive. */
bool sip_has_token(const struct sip_msg *m, enum sip_hdr_id id, struct slice token);
/* Decimal value of a header (Expires, Max-Breadth); ERR_NOT_FOUND, ERR_PARSE, ERR_RANGE. */
int sip_value_u32(const struct sip_msg *m, enum sip_hdr_id id, uint32_t *out) WARN_UNUSED;

/* Is it a request inside a dialog (To tag present)? */
static inline bool sip_in_dialog(const struct sip_msg *m)
{
    return m->to_tag.len != 0;
}

#endif
