/* SPDX-License-Identifier: Apache-2.0 */
#include "auth/auth.h"

#include "auth/nonce.h"
#include "base/alloc.h"
#include "sip/digest.h"

#define USED_MAX (256 * 1024) /* nonces in use that are remembered */

struct auth {
    struct nonces *nonces;
};

int auth_new(uint32_t nonce_ms, struct auth **out)
{
    struct auth *a = mem_zalloc(sizeof(*a));
    *out = NULL;
    if (a == NULL)
        return ERR_NOMEM;
    int err = nonces_new(nonce_ms, USED_MAX, &a->nonces);
    if (err != 0) {
        mem_free(a);
        return err;
    }
    *out = a;
    return 0;
}

void auth_free(struct auth **auth)
{
    if (*auth == NULL)
        return;
    nonces_free(&(*auth)->nonces);
    mem_free(*auth);
    *auth = NULL;
}

/* --- what the DN has --- */

/* The hash of password_ha1 and its algorithm. */
static struct slice ha1_of_dn(struct slice ha1, enum sip_digest_alg *alg)
{
    ptrdiff_t colon = slice_chr(ha1, ':');
    if (colon >= 0)
        ha1 = slice_of(ha1.ptr + colon + 1, ha1.len - (size_t)colon - 1);
    *alg = ha1.len == 32 ? SIP_DIGEST_MD5 : SIP_DIGEST_SHA256;
    return ha1;
}

static bool is_response_right(const struct sip_msg *req, const struct sip_credentials *c,
                              struct slice user, const struct dn_info *dn)
{
    struct slice method = sip_get(req, req->method_text);
    char ha1[SIP_HA1_MAX];
    if (dn->password_ha1.len != 0) {
        enum sip_digest_alg alg;
        struct slice known = ha1_of_dn(dn->password_ha1, &alg);
        if (alg != c->alg || known.len >= sizeof(ha1))
            return false;
        /* The hash is over the hexadecimal digits in lower case (RFC 7616 3.4.2). */
        for (size_t i = 0; i < known.len; i++)
            ha1[i] = ascii_lower(known.ptr[i]);
        return sip_digest_check(c, method, slice_of(ha1, known.len));
    }
    if (dn->password.len == 0)
        return false;
    sip_digest_ha1(c->alg, user, c->realm, dn->password, ha1);
    return sip_digest_check(c, method, slice_str(ha1));
}

/* --- what the request has --- */

/* username is a quoted-string: a backslash stands for the character behind it. */
static bool is_user(struct slice quoted, struct slice user)
{
    size_t j = 0;
    for (size_t i = 0; i < quoted.len; i++, j++) {
        if (quoted.ptr[i] == '\\' && i + 1 < quoted.len)
            i++;
        if (j == user.len || quoted.ptr[i] != user.ptr[j])
            return false;
    }
    return j == user.len;
}

static bool is_uri_right(const struct sip_credentials *c, const struct sip_msg *req)
{
    struct sip_uri uri;
    return sip_uri_parse(c->uri, &uri) == 0 && sip_uri_eq(&uri, &req->ruri);
}

/* The credentials for this realm: 1; none: 0; ERR_PARSE. */
static int find_credentials(const struct sip_msg *req, bool is_proxy, struct slice realm,
                            struct sip_credentials *out)
{
    enum sip_hdr_id id = is_proxy ? SIP_H_PROXY_AUTHORIZATION : SIP_H_AUTHORIZATION;
    for (const struct sip_hdr *h = sip_hdr_first(req, id); h != NULL; h = sip_hdr_after(req, h)) {
        int err = sip_credentials_parse(sip_hdr_value(req, h), out);
        if (err == 0 && slice_ieq(out->realm, realm))
            return 1;
        if (err == ERR_PARSE)
            return err;
    }
    return 0;
}

/* Eight digits that the grammar has checked. Without qop there is no count: the nonce serves once.
 */
static uint32_t count_of(const struct sip_credentials *c)
{
    uint32_t n = 0;
    if (!c->has_qop)
        return 1;
    for (size_t i = 0; i < c->nc.len; i++) {
        unsigned d = (unsigned char)ascii_lower(c->nc.ptr[i]);
        n = n << 4 | (d <= '9' ? d - '0' : d - 'a' + 10);
    }
    return n;
}

enum auth_result auth_check(struct auth *auth, const struct sip_msg *req, bool is_proxy,
                            struct slice user, struct slice realm, const struct dn_info *dn,
                            uint64_t now)
{
    struct sip_credentials c;
    int found = find_credentials(req, is_proxy, realm, &c);
    if (found < 0)
        return AUTH_BAD;
    if (found == 0)
        return AUTH_MISSING;
    if (!is_user(c.username, user))
        return AUTH_OTHER;
    if (!is_uri_right(&c, req) || !is_response_right(req, &c, user, dn))
        return AUTH_WRONG;
    /* Only who knows the password uses up room for nonces, or is told that one is stale. */
    if (!nonce_is_good(auth->nonces, c.nonce, now) ||
        !nonce_take(auth->nonces, c.nonce, count_of(&c), now))
        return AUTH_STALE;
    return AUTH_OK;
}

/* --- challenges --- */

void auth_challenge(struct auth *auth, struct buf *out, bool is_proxy, struct slice realm,
                    const struct dn_info *dn, bool stale, uint64_t now)
{
    static const enum sip_digest_alg preferred[] = {SIP_DIGEST_SHA256, SIP_DIGEST_MD5};
    enum sip_digest_alg only = SIP_DIGEST_MD5;
    bool has_ha1 = dn->password_ha1.len != 0;
    if (has_ha1)
        (void)ha1_of_dn(dn->password_ha1, &only);
    for (unsigned i = 0; i < 2; i++) {
        if (has_ha1 && preferred[i] != only)
            continue;
        char nonce[NONCE_LEN];
        nonce_make(auth->nonces, now, nonce);
        if (is_proxy)
            buf_lit(out, "Proxy-Authenticate: ");
        else
            buf_lit(out, "WWW-Authenticate: ");
        sip_challenge_write(out, preferred[i], realm, slice_of(nonce, NONCE_LEN), stale);
        buf_lit(out, "\r\n");
    }
}
