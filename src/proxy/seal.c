/* SPDX-License-Identifier: Apache-2.0 */
/* A text that only this proxy can read and make, as the value of a URI parameter.
 *
 * The scheme is a synthetic IV (as in RFC 5297) over SipHash: the tag is a keyed hash of 128 bits
 * over the purpose, what the text is bound to, and the text; the text is encrypted by a stream of
 * keyed hashes over the tag and a counter, with another key. There is no nonce that could be used
 * twice, and a request that is sent again has the same bytes. What is open is the length, up to 32
 * bytes, and that two texts bound to the same are equal. */
#include "proxy/seal.h"

#define TAG    16
#define PAD    32
#define RAWMAX (TAG + PROXY_SEAL_MAX)

static uint64_t derived(const struct hash_key *key, const char *purpose)
{
    return hash_slice(key, slice_str(purpose));
}

void seal_init(struct seal *s, const struct hash_key *lasting_key)
{
    s->tag_key = (struct hash_key){derived(lasting_key, "proxy seal tag 0"),
                                   derived(lasting_key, "proxy seal tag 1")};
    s->text_key = (struct hash_key){derived(lasting_key, "proxy seal text 0"),
                                    derived(lasting_key, "proxy seal text 1")};
}

static void make_tag(const struct seal *s, enum seal_purpose purpose, struct slice bound,
                     struct slice text, unsigned char *tag)
{
    struct hash_state h;
    uint64_t out[2];
    hash_begin(&h, &s->tag_key);
    hash_add_u64(&h, purpose);
    hash_add(&h, bound);
    hash_add(&h, text);
    hash_end128(&h, out);
    memcpy(tag, out, TAG);
}

/* The same for both directions. */
static void cipher(const struct seal *s, const unsigned char *tag, unsigned char *text, size_t len)
{
    for (size_t at = 0; at < len; at += TAG) {
        struct hash_state h;
        uint64_t block[2];
        unsigned char bytes[TAG];
        hash_begin(&h, &s->text_key);
        hash_add(&h, slice_of((const char *)tag, TAG));
        hash_add_u64(&h, at);
        hash_end128(&h, block);
        memcpy(bytes, block, TAG);
        for (size_t i = 0; i < TAG && at + i < len; i++)
            text[at + i] ^= bytes[i];
    }
}

/* --- base64url without padding (RFC 4648 5): all of it may stand in a parameter of a URI --- */

static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

static void encode(const unsigned char *raw, size_t len, struct buf *out)
{
    for (size_t i = 0; i < len; i += 3) {
        size_t n = len - i < 3 ? len - i : 3;
        uint32_t v = (uint32_t)raw[i] << 16;
        if (n > 1)
            v |= (uint32_t)raw[i + 1] << 8;
        if (n > 2)
            v |= raw[i + 2];
        for (size_t k = 0; k <= n; k++)
            buf_char(out, digits[v >> (18 - 6 * k) & 63]);
    }
}

static int value_of(char c)
{
    const char *at = c != '\0' ? strchr(digits, c) : NULL;
    return at != NULL ? (int)(at - digits) : -1;
}

/* False: no such text, or too long. */
static bool decode(struct slice text, unsigned char *raw, size_t *len)
{
    uint32_t v = 0;
    unsigned bits = 0;
    *len = 0;
    if (text.len % 4 == 1 || text.len / 4 * 3 + 2 > RAWMAX)
        return false;
    for (size_t i = 0; i < text.len; i++) {
        int digit = value_of(text.ptr[i]);
        if (digit < 0)
            return false;
        v = v << 6 | (uint32_t)digit;
        bits += 6;
        if (bits >= 8) {
            bits -= 8;
            raw[(*len)++] = (unsigned char)(v >> bits);
        }
    }
    return true;
}

bool seal_write(const struct seal *s, enum seal_purpose purpose, struct slice bound,
                struct slice text, struct buf *out)
{
    unsigned char raw[RAWMAX + 2];
    size_t len = (text.len + PAD - 1) / PAD * PAD;
    if (len > PROXY_SEAL_MAX)
        return false;
    if (text.len != 0)
        memcpy(raw + TAG, text.ptr, text.len);
    memset(raw + TAG + text.len, ' ', len - text.len);
    make_tag(s, purpose, bound, slice_of((const char *)raw + TAG, len), raw);
    cipher(s, raw, raw + TAG, len);
    encode(raw, TAG + len, out);
    return true;
}

bool seal_read(const struct seal *s, enum seal_purpose purpose, struct slice bound,
               struct slice sealed, struct buf *out)
{
    unsigned char raw[RAWMAX + 2], tag[TAG];
    size_t len, at = out->len;
    if (!decode(sealed, raw, &len) || len < TAG)
        return false;
    cipher(s, raw, raw + TAG, len - TAG);
    make_tag(s, purpose, bound, slice_of((const char *)raw + TAG, len - TAG), tag);
    unsigned char differ = 0;
    for (unsigned i = 0; i < TAG; i++)
        differ |= (unsigned char)(tag[i] ^ raw[i]);
    if (differ != 0)
        return false;
    while (len > TAG && raw[len - 1] == ' ')
        len--;
    buf_add(out, raw + TAG, len - TAG);
    out->len = out->overflow ? at : out->len;
    return !out->overflow;
}
