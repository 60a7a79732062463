/* SPDX-License-Identifier: Apache-2.0 */
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>

#include "base/random.h"
#include "sip/digest.h"
#include "sip/grammar.h"
#include "sip/uri.h"

#define DIGEST_MAX 32 /* bytes of SHA-256 */

static const char hex_digits[] = "0123456789abcdef";

static unsigned hex_length(enum sip_digest_alg alg)
{
    return alg == SIP_DIGEST_MD5 ? 32 : 64;
}

static void hex_write(const unsigned char *bytes, unsigned digits, char *hex)
{
    for (unsigned i = 0; i < digits; i++)
        hex[i] = hex_digits[i % 2 == 0 ? bytes[i / 2] >> 4 : bytes[i / 2] & 15];
}

/* Hex text, terminated by NUL, of the hash over the parts with ':' between them. Empty when
 * libcrypto cannot do it (no memory, or MD5 forbidden by its policy); no check succeeds against
 * that. */
static void hash_parts(enum sip_digest_alg alg, const struct slice *parts, unsigned n,
                       char hex[SIP_HA1_MAX])
{
    unsigned char bytes[EVP_MAX_MD_SIZE];
    EVP_MD_CTX *ctx = EVP_MD_CTX_new();
    bool ok = ctx != NULL &&
              EVP_DigestInit_ex(ctx, alg == SIP_DIGEST_MD5 ? EVP_md5() : EVP_sha256(), NULL) == 1;
    for (unsigned i = 0; ok && i < n; i++) {
        ok = (i == 0 || EVP_DigestUpdate(ctx, ":", 1) == 1) &&
             (parts[i].len == 0 || EVP_DigestUpdate(ctx, parts[i].ptr, parts[i].len) == 1);
    }
    ok = ok && EVP_DigestFinal_ex(ctx, bytes, NULL) == 1;
    EVP_MD_CTX_free(ctx);
    hex[0] = '\0';
    if (ok) {
        hex_write(bytes, hex_length(alg), hex);
        hex[hex_length(alg)] = '\0';
    }
}

/* Directives of credentials; unknown ones are ignored (RFC 7616 3.4). */
enum directive {
    D_USERNAME,
    D_REALM,
    D_NONCE,
    D_URI,
    D_RESPONSE,
    D_CNONCE,
    D_NC,
    D_QOP,
    D_ALGORITHM,
    D_COUNT
};

static enum directive directive_of(struct slice name)
{
    static const char *const names[D_COUNT] = {
        [D_USERNAME] = "username",   [D_REALM] = "realm",   [D_NONCE] = "nonce", [D_URI] = "uri",
        [D_RESPONSE] = "response",   [D_CNONCE] = "cnonce", [D_NC] = "nc",       [D_QOP] = "qop",
        [D_ALGORITHM] = "algorithm",
    };
    for (unsigned i = 0; i < D_COUNT; i++) {
        if (slice_ieq(name, slice_str(names[i])))
            return (enum directive)i;
    }
    return D_COUNT;
}

/* name EQUAL ( token / quoted-string ), nothing else in the element. Quotes are removed. Values
 * that the grammar wants bare or quoted are taken either way, because implementations differ in it.
 */
static int take_directive(struct slice element, struct slice *name, struct slice *value)
{
    size_t end = sip_run(element, 0, CH_TOKEN);
    *name = sip_sub(element, 0, end);
    size_t i = sip_skip_lws(element, end);
    if (end == 0 || i == element.len || element.ptr[i] != '=')
        return ERR_PARSE;
    i = sip_skip_lws(element, i + 1);
    if (i < element.len && element.ptr[i] == '"') {
        if (sip_quoted_end(element, i) != element.len)
            return ERR_PARSE;
        *value = sip_sub(element, i + 1, element.len - 1);
        return 0;
    }
    *value = sip_sub(element, i, element.len);
    return value->len != 0 && sip_run(element, i, CH_TOKEN) == element.len ? 0 : ERR_PARSE;
}

static bool is_hex(struct slice s, size_t len)
{
    return s.len == len && sip_run(s, 0, CH_HEX) == len;
}

/* Algorithm, qop and what they demand of the others. */
static int read_values(const struct slice v[D_COUNT], struct sip_credentials *out)
{
    if (v[D_USERNAME].ptr == NULL || v[D_REALM].ptr == NULL || v[D_NONCE].len == 0 ||
        v[D_URI].len == 0 || v[D_RESPONSE].ptr == NULL)
        return ERR_PARSE;
    if (v[D_ALGORITHM].ptr == NULL || slice_ieq(v[D_ALGORITHM], SLICE("MD5")))
        out->alg = SIP_DIGEST_MD5;
    else if (slice_ieq(v[D_ALGORITHM], SLICE("SHA-256")))
        out->alg = SIP_DIGEST_SHA256;
    else
        return ERR_UNSUPPORTED;
    if (v[D_QOP].ptr != NULL && !slice_ieq(v[D_QOP], SLICE("auth")))
        return ERR_UNSUPPORTED;
    out->has_qop = v[D_QOP].ptr != NULL;
    if (out->has_qop && (!is_hex(v[D_NC], 8) || v[D_CNONCE].ptr == NULL))
        return ERR_PARSE;
    if (!is_hex(v[D_RESPONSE], hex_length(out->alg)))
        return ERR_PARSE;
    out->username = v[D_USERNAME];
    out->realm = v[D_REALM];
    out->nonce = v[D_NONCE];
    out->uri = v[D_URI];
    out->response = v[D_RESPONSE];
    if (out->has_qop) {
        out->cnonce = v[D_CNONCE];
        out->nc = v[D_NC];
    }
    return 0;
}

int sip_credentials_parse(struct slice value, struct sip_credentials *out)
{
    struct slice values[D_COUNT] = {{NULL, 0}};
    struct slice s = slice_trim(value), element, name, v;

    memset(out, 0, sizeof(*out));
    size_t end = sip_run(s, 0, CH_TOKEN);
    if (end == 0 || end == s.len)
        return ERR_PARSE;
    if (!slice_ieq(sip_sub(s, 0, end), SLICE("Digest")))
        return ERR_UNSUPPORTED;
    size_t start = sip_skip_lws(s, end);
    if (start == end)
        return ERR_PARSE;
    struct slice rest = sip_sub(s, start, s.len);
    while (sip_list_next(&rest, &element)) {
        if (take_directive(element, &name, &v) != 0)
            return ERR_PARSE;
        enum directive d = directive_of(name);
        if (d == D_COUNT)
            continue;
        /* Twice the same name is an attempt to be read in two ways. */
        if (values[d].ptr != NULL)
            return ERR_PARSE;
        values[d] = v;
    }
    return read_values(values, out);
}

void sip_digest_ha1(enum sip_digest_alg alg, struct slice user, struct slice realm,
                    struct slice password, char ha1[SIP_HA1_MAX])
{
    const struct slice parts[] = {user, realm, password};
    hash_parts(alg, parts, 3, ha1);
}

bool sip_digest_check(const struct sip_credentials *c, struct slice method, struct slice ha1)
{
    char ha2[SIP_HA1_MAX], expected[SIP_HA1_MAX];
    const struct slice a2[] = {method, c->uri};
    unsigned len = hex_length(c->alg);

    hash_parts(c->alg, a2, 2, ha2);
    if (c->has_qop) {
        const struct slice parts[] = {ha1,       c->nonce,      c->nc,
                                      c->cnonce, SLICE("auth"), slice_str(ha2)};
        hash_parts(c->alg, parts, 6, expected);
    } else {
        const struct slice parts[] = {ha1, c->nonce, slice_str(ha2)};
        hash_parts(c->alg, parts, 3, expected);
    }
    if (ha1.len != len || ha2[0] == '\0' || expected[0] == '\0' || c->response.len != len)
        return false;
    return CRYPTO_memcmp(expected, c->response.ptr, len) == 0;
}

/* quoted-string around `s`. */
static void quoted_write(struct buf *out, struct slice s)
{
    buf_char(out, '"');
    for (size_t i = 0; i < s.len; i++) {
        if (s.ptr[i] == '"' || s.ptr[i] == '\\')
            buf_char(out, '\\');
        buf_char(out, s.ptr[i]);
    }
    buf_char(out, '"');
}

void sip_challenge_write(struct buf *out, enum sip_digest_alg alg, struct slice realm,
                         struct slice nonce, bool stale)
{
    buf_lit(out, "Digest realm=");
    quoted_write(out, realm);
    buf_lit(out, ", nonce=");
    quoted_write(out, nonce);
    if (alg == SIP_DIGEST_MD5)
        buf_lit(out, ", algorithm=MD5, qop=\"auth\"");
    else
        buf_lit(out, ", algorithm=SHA-256, qop=\"auth\"");
    if (stale)
        buf_lit(out, ", stale=true");
}

void sip_hmac_hex(const void *key, size_t key_len, struct slice data, char *hex, unsigned hex_len)
{
    unsigned char bytes[EVP_MAX_MD_SIZE];
    const unsigned char *ptr = (const unsigned char *)(data.ptr != NULL ? data.ptr : "");
    /* A value nobody can repeat, where libcrypto fails: what it protects is then refused. */
    if (HMAC(EVP_sha256(), key, (int)key_len, ptr, data.len, bytes, NULL) == NULL)
        random_bytes(bytes, DIGEST_MAX);
    hex_write(bytes, hex_len < 2 * DIGEST_MAX ? hex_len : 2 * DIGEST_MAX, hex);
}
