/* SPDX-License-Identifier: Apache-2.0 */
#include "sip/write.h"

/* A hop of our own begins with this many (RFC 3261 8.1.1.6). */
#define MAX_FORWARDS "70"

static void add_line(struct buf *out, const struct sip_msg *m, const struct sip_hdr *h)
{
    buf_add(out, m->base + h->line, h->line_len);
}

static void add_first(struct buf *out, const struct sip_msg *m, enum sip_hdr_id id)
{
    const struct sip_hdr *h = sip_hdr_first(m, id);
    if (h != NULL)
        add_line(out, m, h);
}

static void add_all(struct buf *out, const struct sip_msg *m, enum sip_hdr_id id)
{
    for (const struct sip_hdr *h = sip_hdr_first(m, id); h != NULL; h = sip_hdr_after(m, h))
        add_line(out, m, h);
}

/* The first To line, with the tag behind its value where it has none. */
static void add_to(struct buf *out, const struct sip_msg *m, struct slice tag)
{
    const struct sip_hdr *h = sip_hdr_first(m, SIP_H_TO);
    if (h == NULL)
        return;
    if (m->to_tag.len != 0 || tag.len == 0) {
        add_line(out, m, h);
        return;
    }
    buf_add(out, m->base + h->line, (size_t)(h->val - h->line) + h->val_len);
    buf_lit(out, ";tag=");
    buf_slice(out, tag);
    buf_lit(out, "\r\n");
}

static int result(const struct buf *out)
{
    return out->overflow ? ERR_FULL : 0;
}

int sip_write_response(struct buf *out, const struct sip_msg *req, unsigned status,
                       struct slice reason, struct slice to_tag, struct slice extra,
                       struct slice body)
{
    buf_lit(out, "SIP/2.0 ");
    buf_u64(out, status);
    buf_char(out, ' ');
    buf_slice(out, reason.len != 0 ? reason : sip_reason_text(status));
    buf_lit(out, "\r\n");
    add_all(out, req, SIP_H_VIA);
    add_first(out, req, SIP_H_FROM);
    add_to(out, req, to_tag);
    add_first(out, req, SIP_H_CALL_ID);
    add_first(out, req, SIP_H_CSEQ);
    if (status == 100)
        add_first(out, req, SIP_H_TIMESTAMP);
    buf_slice(out, extra);
    buf_lit(out, "Content-Length: ");
    buf_u64(out, body.len);
    buf_lit(out, "\r\n\r\n");
    buf_slice(out, body);
    return result(out);
}

/* Request line, topmost Via and what ACK and CANCEL copy from the INVITE; To is of `to`. */
static void add_hop_request(struct buf *out, enum sip_method method, const struct sip_msg *invite,
                            const struct sip_msg *to, struct slice extra)
{
    struct slice name = sip_method_text(method);

    buf_slice(out, name);
    buf_char(out, ' ');
    buf_slice(out, sip_get(invite, invite->uri));
    buf_lit(out, " SIP/2.0\r\nVia: ");
    buf_slice(out, invite->via.text);
    buf_lit(out, "\r\n");
    add_all(out, invite, SIP_H_ROUTE);
    buf_lit(out, "Max-Forwards: " MAX_FORWARDS "\r\n");
    add_first(out, invite, SIP_H_FROM);
    add_first(out, to, SIP_H_TO);
    add_first(out, invite, SIP_H_CALL_ID);
    buf_lit(out, "CSeq: ");
    buf_u64(out, invite->cseq);
    buf_char(out, ' ');
    buf_slice(out, name);
    buf_lit(out, "\r\n");
    buf_slice(out, extra);
    buf_lit(out, "Content-Length: 0\r\n\r\n");
}

int sip_write_ack(struct buf *out, const struct sip_msg *invite, const struct sip_msg *response)
{
    add_hop_request(out, SIP_ACK, invite, response, SLICE_NONE);
    return result(out);
}

int sip_write_cancel(struct buf *out, const struct sip_msg *invite, struct slice extra)
{
    add_hop_request(out, SIP_CANCEL, invite, invite, extra);
    return result(out);
}

/* --- branches -------------------------------------------------------------------------------- */

#define COOKIE     "z9hG4bK"
#define COOKIE_LEN (sizeof(COOKIE) - 1)
#define PREFIX     COOKIE "hf"
#define PREFIX_LEN (sizeof(PREFIX) - 1)

_Static_assert(PREFIX_LEN + 16 + 1 + 8 == SIP_BRANCH_LEN, "length of a branch of ours");

void sip_branch_write(struct buf *out, uint64_t id, uint32_t loop)
{
    buf_lit(out, PREFIX);
    buf_hex(out, id, 16);
    buf_char(out, '.');
    buf_hex(out, loop, 8);
}

/* `digits` lower-case hexadecimal digits; nothing else is what we wrote. */
static bool read_hex(const char *p, unsigned digits, uint64_t *out)
{
    static const uint8_t values[256] = {
        ['0'] = 0x10, ['1'] = 0x11, ['2'] = 0x12, ['3'] = 0x13, ['4'] = 0x14, ['5'] = 0x15,
        ['6'] = 0x16, ['7'] = 0x17, ['8'] = 0x18, ['9'] = 0x19, ['a'] = 0x1a, ['b'] = 0x1b,
        ['c'] = 0x1c, ['d'] = 0x1d, ['e'] = 0x1e, ['f'] = 0x1f, /* 0: no digit */
    };
    uint64_t value = 0;
    unsigned all = 0x10;
    for (unsigned i = 0; i < digits; i++) {
        unsigned digit = values[(unsigned char)p[i]];
        all &= digit;
        value = value << 4 | (digit & 15);
    }
    *out = value;
    return all != 0;
}

int sip_branch_parse(struct slice branch, uint64_t *id, uint32_t *loop)
{
    uint64_t id_read, loop_read;
    if (branch.len != SIP_BRANCH_LEN || memcmp(branch.ptr, PREFIX, PREFIX_LEN) != 0 ||
        branch.ptr[PREFIX_LEN + 16] != '.' || !read_hex(branch.ptr + PREFIX_LEN, 16, &id_read) ||
        !read_hex(branch.ptr + PREFIX_LEN + 17, 8, &loop_read))
        return ERR_NOT_FOUND;
    *id = id_read;
    *loop = (uint32_t)loop_read;
    return 0;
}

bool sip_branch_is_3261(struct slice branch)
{
    return branch.len > COOKIE_LEN && memcmp(branch.ptr, COOKIE, COOKIE_LEN) == 0;
}
