/* SPDX-License-Identifier: Apache-2.0 */
#include "route/route_int.h"

/* A token is the hex of: flow (8), transport with NO_REOPEN (1), family (1), remote port (2),
 * alternative port (2), address (4 or 16), for TLS the lengths of the peer's name and of its
 * profile (1 each) and both, then 8 bytes of keyed hash over these. "hf" in front tells it from a
 * user's name. The names stand in it as text, since their number is another one after a restart:
 * then too the peer has to prove the same. */
#define HEAD      14
#define NAMES_MAX 128
#define MAC       8
#define RAW_MAX   (HEAD + 16 + 2 + NAMES_MAX + MAC)
#define NO_REOPEN 0x80 /* towards a Voice over IP Service */

static void put(unsigned char *p, uint64_t v, unsigned n)
{
    for (unsigned i = 0; i < n; i++)
        p[i] = (unsigned char)(v >> (8 * (n - 1 - i)));
}

static uint64_t get(const unsigned char *p, unsigned n)
{
    uint64_t v = 0;
    for (unsigned i = 0; i < n; i++)
        v = v << 8 | p[i];
    return v;
}

/* What the peer has to prove; the number of bytes written. Names that are too long: nothing may be
 * opened by this token. */
static unsigned put_names(struct route *r, const struct flow_dest *dest, unsigned char *raw,
                          unsigned char *p)
{
    struct slice name = SLICE_NONE, profile = SLICE_NONE;
    if (dest->tls_peer != 0) {
        name = flows_tls_name(r->deps.flows, dest->tls_peer);
        profile = flows_tls_profile(r->deps.flows, dest->tls_peer);
    }
    if (name.len + profile.len > NAMES_MAX) {
        put(raw + 10, 0, 4);
        name = profile = SLICE_NONE;
    }
    p[0] = (unsigned char)name.len;
    p[1] = (unsigned char)profile.len;
    if (name.len != 0)
        memcpy(p + 2, name.ptr, name.len);
    if (profile.len != 0)
        memcpy(p + 2 + name.len, profile.ptr, profile.len);
    return (unsigned)(2 + name.len + profile.len);
}

void route_token_write(struct route *r, const struct flow_dest *dest, struct buf *out)
{
    unsigned char raw[RAW_MAX];
    unsigned ip = dest->remote.family == ADDR_IP6 ? 16 : 4, len = HEAD + ip;
    put(raw, dest->flow, 8);
    raw[8] = (unsigned char)(dest->transport | (dest->no_reopen ? NO_REOPEN : 0));
    raw[9] = dest->remote.family;
    put(raw + 10, dest->remote.port, 2);
    put(raw + 12, dest->alt_port, 2);
    memcpy(raw + HEAD, dest->remote.ip, ip);
    if (dest->transport == SIP_TLS)
        len += put_names(r, dest, raw, raw + len);
    put(raw + len, hash_bytes(&r->token_key, raw, len), MAC);
    len += MAC;
    buf_lit(out, "hf");
    for (unsigned i = 0, n; i < len; i += n) {
        n = len - i < 8 ? len - i : 8;
        buf_hex(out, get(raw + i, n), 2 * n);
    }
}

static int unhex(struct slice text, unsigned char *raw, size_t cap, size_t *len)
{
    static const signed char digit[256] = {
        ['0'] = 1,  ['1'] = 2,  ['2'] = 3,  ['3'] = 4,  ['4'] = 5,  ['5'] = 6,
        ['6'] = 7,  ['7'] = 8,  ['8'] = 9,  ['9'] = 10, ['a'] = 11, ['b'] = 12,
        ['c'] = 13, ['d'] = 14, ['e'] = 15, ['f'] = 16,
    };
    if (text.len % 2 != 0 || text.len / 2 > cap)
        return ERR_NOT_FOUND;
    for (size_t i = 0; i < text.len; i += 2) {
        int hi = digit[(unsigned char)text.ptr[i]] - 1,
            lo = digit[(unsigned char)text.ptr[i + 1]] - 1;
        if (hi < 0 || lo < 0)
            return ERR_NOT_FOUND;
        raw[i / 2] = (unsigned char)(hi << 4 | lo);
    }
    *len = text.len / 2;
    return 0;
}

static void get_names(struct route *r, const unsigned char *p, struct flow_dest *out)
{
    struct slice name = slice_of((const char *)p + 2, p[0]);
    struct slice profile = slice_of((const char *)p + 2 + p[0], p[1]);
    if (name.len != 0 || profile.len != 0)
        out->tls_peer = flows_tls_peer(r->deps.flows, profile, name);
}

int route_token_parse(struct route *r, struct slice user, struct flow_dest *out)
{
    unsigned char raw[RAW_MAX];
    size_t len;
    if (!slice_starts(user, SLICE("hf")))
        return ERR_NOT_FOUND;
    if (unhex(slice_of(user.ptr + 2, user.len - 2), raw, sizeof(raw), &len) < 0 ||
        len < HEAD + 4 + MAC)
        return ERR_NOT_FOUND;
    unsigned ip = raw[9] == ADDR_IP6 ? 16 : 4;
    len -= MAC;
    if (len < HEAD + ip || get(raw + len, MAC) != hash_bytes(&r->token_key, raw, len))
        return ERR_NOT_FOUND;
    size_t names = (raw[8] & ~NO_REOPEN) == SIP_TLS && len >= HEAD + ip + 2
                       ? 2u + raw[HEAD + ip] + raw[HEAD + ip + 1]
                       : 0;
    if (len != HEAD + ip + names)
        return ERR_NOT_FOUND;
    *out = (struct flow_dest){
        .flow = get(raw, 8),
        .transport = raw[8] & (unsigned char)~NO_REOPEN,
        .no_reopen = (raw[8] & NO_REOPEN) != 0,
        .alt_port = (uint16_t)get(raw + 12, 2),
    };
    out->remote.family = raw[9];
    out->remote.port = (uint16_t)get(raw + 10, 2);
    memcpy(out->remote.ip, raw + HEAD, ip);
    if (names != 0)
        get_names(r, raw + HEAD + ip, out);
    return 0;
}
