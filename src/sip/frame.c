/* SPDX-License-Identifier: Apache-2.0 */
#include "sip/frame.h"

#include "sip/grammar.h"
#include "sip/scan.h"

static enum sip_frame_result refuse(struct sip_frame *f, size_t len, unsigned status,
                                    const char *reason, size_t *used, struct sip_fault *fault)
{
    sip_frame_init(f);
    *used = len;
    fault->status = (uint16_t)status;
    fault->reason = reason;
    return SIP_FRAME_BAD;
}

/* CRLFs where no message has begun. SIP_FRAME_MESSAGE: none there, a message begins. */
static enum sip_frame_result leading_crlf(struct sip_frame *f, const char *data, size_t len,
                                          size_t *used)
{
    bool half = f->crlf;

    if (len == 0 || (len == 1 && data[0] == '\r'))
        return SIP_FRAME_MORE;
    f->crlf = false;
    if (data[0] != '\r' || data[1] != '\n')
        return SIP_FRAME_MESSAGE;
    if (half) {
        *used = 2;
        return SIP_FRAME_PING;
    }
    if (len >= 4 && data[2] == '\r' && data[3] == '\n') {
        *used = 4;
        return SIP_FRAME_PING;
    }
    /* The other half of a ping may come; nothing has to be kept for it. */
    *used = 2;
    f->crlf = len <= 3 && (len == 2 || data[2] == '\r');
    return SIP_FRAME_CRLF;
}

/* Behind the empty line that is looked for from `from` on, or 0. */
static uint32_t find_head_end(const char *data, size_t from, size_t len)
{
    const char *end = data + len;
    const char *p = data + (from > 3 ? from - 3 : 0);
    for (;; p++) {
        p = scan_lf_pair(p, end);
        if (p == end)
            return 0;
        if (p > data && p[-1] == '\r' && p[1] == '\r')
            return (uint32_t)(p + 3 - data);
    }
}

/* The value behind a colon, folds skipped, to its line end. */
static bool read_length(const char *p, const char *end, uint32_t *out)
{
    const char *e = p;
    do {
        e = scan_char(e, end, '\n') + 1;
    } while (e < end && sip_is_blank(*e));
    struct slice value = slice_trim(slice_of(p, (size_t)(e - p)));
    return scan_u32(value.ptr, value.ptr + value.len, UINT32_MAX, out);
}

/* Is the line at `p` a Content-Length? Behind its colon, or NULL. */
static const char *length_line(const char *p, const char *end)
{
    const char *reach = end - p > 256 ? p + 256 : end;
    const char *colon = scan_char(p, reach, ':');
    const char *name_end = colon;
    if (colon == reach)
        return NULL;
    while (name_end > p && sip_is_blank(name_end[-1]))
        name_end--;
    if (scan_hdr_id(p, (size_t)(name_end - p), end) != SIP_H_CONTENT_LENGTH)
        return NULL;
    return colon + 1;
}

/* What the Content-Length lines of a whole head say. Lines are what sip_msg_parse takes for lines,
 * so that both agree on where the message ends. NULL, or why not. */
static const char *body_length(const char *head, const char *end, uint32_t *out)
{
    bool found = false;
    for (const char *p = head; (p = scan_length_line(p, end)) != end; p++) {
        uint32_t length;
        const char *value = p[-1] == '\r' ? length_line(p + 1, end) : NULL;
        if (value == NULL)
            continue;
        if (!read_length(value, end, &length))
            return "Bad Content-Length";
        if (found && length != *out)
            return "Duplicate Content-Length";
        *out = length;
        found = true;
    }
    return found ? NULL : "Missing Content-Length";
}

static enum sip_frame_result find_head(struct sip_frame *f, const char *data, size_t len,
                                       const struct sip_limits *limits, size_t *used,
                                       struct sip_fault *fault)
{
    uint32_t head_len = find_head_end(data, f->scanned, len);
    if (head_len > limits->head_size || (head_len == 0 && len > limits->head_size))
        return refuse(f, len, 513, "Message Too Large", used, fault);
    if (head_len == 0) {
        f->scanned = (uint32_t)len;
        return SIP_FRAME_MORE;
    }
    const char *why = body_length(data, data + head_len, &f->body_len);
    if (why != NULL)
        return refuse(f, head_len, 400, why, used, fault);
    if (f->body_len > limits->body_size || f->body_len > SIP_MSG_MAX - head_len)
        return refuse(f, head_len, 513, "Message Too Large", used, fault);
    f->head_len = head_len;
    return SIP_FRAME_MESSAGE;
}

enum sip_frame_result sip_frame_next(struct sip_frame *f, const char *data, size_t len,
                                     const struct sip_limits *limits, size_t *used,
                                     struct sip_fault *fault)
{
    enum sip_frame_result r;

    *used = 0;
    *fault = (struct sip_fault){0, "", false};
    if (limits == NULL)
        limits = &sip_limits_default;
    if (f->head_len == 0) {
        if (f->scanned == 0) {
            r = leading_crlf(f, data, len, used);
            if (r != SIP_FRAME_MESSAGE)
                return r;
            if (!sip_is(data[0], CH_TOKEN))
                return refuse(f, len, 400, "Bad Request-Line", used, fault);
        }
        r = find_head(f, data, len, limits, used, fault);
        if (r != SIP_FRAME_MESSAGE)
            return r;
    }
    if (len < (size_t)f->head_len + f->body_len)
        return SIP_FRAME_MORE;
    *used = (size_t)f->head_len + f->body_len;
    sip_frame_init(f);
    return SIP_FRAME_MESSAGE;
}
