/* SPDX-License-Identifier: Apache-2.0 */
#include "flow/stun.h"

#define HEAD            20
#define MAGIC           0x2112A442u
#define FINGERPRINT_XOR 0x5354554Eu
#define BINDING_REQUEST 0x0001
#define BINDING_SUCCESS 0x0101
#define BINDING_ERROR   0x0111
#define A_USERNAME      0x0006
#define A_INTEGRITY     0x0008
#define A_ERROR_CODE    0x0009
#define A_UNKNOWN       0x000A
#define A_REALM         0x0014
#define A_NONCE         0x0015
#define A_XOR_MAPPED    0x0020
#define A_FINGERPRINT   0x8028
#define MAX_UNKNOWN     8

static uint16_t get16(const char *p)
{
    return (uint16_t)((uint8_t)p[0] << 8 | (uint8_t)p[1]);
}

static uint32_t get32(const char *p)
{
    return (uint32_t)get16(p) << 16 | get16(p + 2);
}

static void put16(struct buf *b, unsigned v)
{
    buf_char(b, (char)(v >> 8));
    buf_char(b, (char)v);
}

static void put32(struct buf *b, uint32_t v)
{
    put16(b, v >> 16);
    put16(b, v & 0xffff);
}

/* CRC-32 of ITU V.42, four bits at a time. */
static uint32_t crc32(const char *p, size_t len)
{
    static const uint32_t table[16] = {0x00000000, 0x1db71064, 0x3b6e20c8, 0x26d930ac,
                                       0x76dc4190, 0x6b6b51f4, 0x4db26158, 0x5005713c,
                                       0xedb88320, 0xf00f9344, 0xd6d6a3e8, 0xcb61b38c,
                                       0x9b64c2b0, 0x86d3d2d4, 0xa00ae278, 0xbdbdf21c};
    uint32_t crc = ~0u;
    for (size_t i = 0; i < len; i++) {
        crc ^= (uint8_t)p[i];
        crc = crc >> 4 ^ table[crc & 15];
        crc = crc >> 4 ^ table[crc & 15];
    }
    return ~crc;
}

bool stun_is_request(struct slice d)
{
    return d.len >= HEAD && (d.ptr[0] & 0xC0) == 0 && get32(d.ptr + 4) == MAGIC;
}

struct scan {
    uint16_t unknown[MAX_UNKNOWN];
    unsigned nunknown;
    bool fingerprint;
};

static bool is_known(unsigned type)
{
    /* Credentials are not asked for (RFC 5626 section 8) and so not looked at. */
    return type >= 0x8000 || type == A_USERNAME || type == A_INTEGRITY || type == A_REALM ||
           type == A_NONCE;
}

static int scan_attributes(struct slice d, struct scan *s)
{
    size_t at = HEAD;
    *s = (struct scan){.nunknown = 0};
    while (at < d.len) {
        if (d.len - at < 4 || s->fingerprint)
            return ERR_PARSE; /* cut off, or something behind FINGERPRINT */
        unsigned type = get16(d.ptr + at);
        size_t len = get16(d.ptr + at + 2), padded = (len + 3) & ~(size_t)3;
        if (padded > d.len - at - 4)
            return ERR_PARSE;
        if (type == A_FINGERPRINT) {
            if (len != 4 || get32(d.ptr + at + 4) != (crc32(d.ptr, at) ^ FINGERPRINT_XOR))
                return ERR_PARSE;
            s->fingerprint = true;
        } else if (!is_known(type) && s->nunknown < MAX_UNKNOWN) {
            s->unknown[s->nunknown++] = (uint16_t)type;
        }
        at += 4 + padded;
    }
    return 0;
}

static void put_mapped(struct buf *b, const char *head, const struct addr *a)
{
    size_t len = a->family == ADDR_IP6 ? 16 : 4;
    put16(b, A_XOR_MAPPED);
    put16(b, (unsigned)(4 + len));
    put16(b, a->family == ADDR_IP6 ? 2 : 1);
    put16(b, a->port ^ (MAGIC >> 16));
    for (size_t i = 0; i < len; i++)
        buf_char(b, (char)(a->ip[i] ^ (uint8_t)head[4 + i])); /* cookie, then transaction id */
}

static void put_unknown(struct buf *b, const struct scan *s)
{
    static const char reason[] = "Unknown Attribute"; /* 17 bytes, padded to 20 */
    put16(b, A_ERROR_CODE);
    put16(b, 4 + sizeof(reason) - 1);
    put32(b, 4u << 8 | 20u);
    buf_add(b, reason, sizeof(reason) - 1);
    buf_add(b, "\0\0", 3);
    put16(b, A_UNKNOWN);
    put16(b, 2 * s->nunknown);
    for (unsigned i = 0; i < s->nunknown; i++)
        put16(b, s->unknown[i]);
    if (s->nunknown % 2 != 0)
        put16(b, 0);
}

static void set_length(struct buf *b, size_t len)
{
    if (b->overflow)
        return;
    b->ptr[2] = (char)(len >> 8);
    b->ptr[3] = (char)len;
}

int stun_answer(struct slice d, const struct addr *remote, struct buf *out)
{
    struct scan s;
    if (!stun_is_request(d) || get16(d.ptr) != BINDING_REQUEST ||
        get16(d.ptr + 2) != d.len - HEAD || d.len % 4 != 0 || scan_attributes(d, &s) != 0)
        return ERR_PARSE;
    put16(out, s.nunknown == 0 ? BINDING_SUCCESS : BINDING_ERROR);
    put16(out, 0);
    buf_add(out, d.ptr + 4, HEAD - 4);
    if (s.nunknown == 0)
        put_mapped(out, d.ptr, remote);
    else
        put_unknown(out, &s);
    set_length(out, out->len - HEAD + (s.fingerprint ? 8 : 0));
    if (s.fingerprint && !out->overflow) {
        uint32_t crc = crc32(out->ptr, out->len) ^ FINGERPRINT_XOR;
        put16(out, A_FINGERPRINT);
        put16(out, 4);
        put32(out, crc);
    }
    return out->overflow ? ERR_FULL : 0;
}
