/* SPDX-License-Identifier: Apache-2.0 */
/* Digest authentication: RFC 3261 section 22, RFC 7616, RFC 8760.
 *
 * owns: nothing. thread: any; pure (hash functions of libcrypto). */
#ifndef SIP_DIGEST_H
#define SIP_DIGEST_H

#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/slice.h"

enum sip_digest_alg { SIP_DIGEST_MD5, SIP_DIGEST_SHA256 };

struct sip_credentials {
    enum sip_digest_alg alg;
    struct slice username; /* quotes removed, backslash escapes kept */
    struct slice realm, nonce, uri, response, cnonce;
    struct slice nc; /* 8 hex digits, empty without qop */
    bool has_qop;    /* qop=auth; auth-int is ERR_UNSUPPORTED */
};

#define SIP_HA1_MAX 65 /* hex digits of SHA-256 and NUL */

/* Value of Authorization or Proxy-Authorization. 0, ERR_PARSE, ERR_UNSUPPORTED (scheme, algorithm,
 * qop). */
int sip_credentials_parse(struct slice value, struct sip_credentials *out) WARN_UNUSED;
/* Hex of H(user:realm:password) into `ha1`. */
void sip_digest_ha1(enum sip_digest_alg alg, struct slice user, struct slice realm,
                    struct slice password, char ha1[SIP_HA1_MAX]);
/* Is the response right for this method? Compares in constant time. `ha1` is hex text. */
bool sip_digest_check(const struct sip_credentials *c, struct slice method, struct slice ha1);
/* `Digest realm="…", nonce="…", algorithm=SHA-256, qop="auth"[, stale=true]` without the header
 * name. */
void sip_challenge_write(struct buf *out, enum sip_digest_alg alg, struct slice realm,
                         struct slice nonce, bool stale);
/* Lower-case hex of a keyed SHA-256 (HMAC) over data, `hex_len` digits (at most 64): for nonces. */
void sip_hmac_hex(const void *key, size_t key_len, struct slice data, char *hex, unsigned hex_len);

#endif
