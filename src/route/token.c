/* SPDX-License-Identifier: Apache-2.0 */
#include "route/route_int.h"

/* A token is the hex of: flow (8), transport with NO_REOPEN (1), family (1), remote port (2),
 * alternative port (2), address (4 or 16), then 8 bytes of keyed hash over these. "hf" in front
 * tells it from a user's name. */
#define HEAD      14
#define MAC       8
#define RAW_MAX   (HEAD + 16 + MAC)
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

void route_token_write(struct route *r, const struct flow_dest *dest, struct buf *out)
{
    unsigned char raw[RAW_MAX];
    unsigned ip = dest->remote.family == ADDR_IP6 ? 16 : 4;
    put(raw, dest->flow, 8);
    raw[8] = (unsigned char)(dest->transport | (dest->no_reopen ? NO_REOPEN : 0));
    raw[9] = dest->remote.family;
    put(raw + 10, dest->remote.port, 2);
    put(raw + 12, dest->alt_port, 2);
    memcpy(raw + HEAD, dest->remote.ip, ip);
    put(raw + HEAD + ip, hash_bytes(&r->token_key, raw, HEAD + ip), MAC);
    buf_lit(out, "hf");
    for (unsigned i = 0, n; i < HEAD + ip + MAC; i += n) {
        n = HEAD + ip + MAC - i < 8 ? HEAD + ip + MAC - i : 8;
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
    if (len != HEAD + ip + MAC ||
        get(raw + HEAD + ip, MAC) != hash_bytes(&r->token_key, raw, HEAD + ip))
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
    return 0;
}
