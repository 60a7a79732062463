/* SPDX-License-Identifier: Apache-2.0 */
/* Who is asking: digest challenges, nonces with a lifetime, replay refused.
 *
 * A nonce is its time of making and a keyed hash over it, so that it needs no memory until it is
 * used; then the highest nonce count is kept until the nonce ends. One for all workers. owns: the
 * table of used nonces (bounded: when full, the oldest go and their nonces are stale). thread: any;
 * striped locks. RFC 3261 section 22; RFC 7616; RFC 8760. */
#ifndef AUTH_AUTH_H
#define AUTH_AUTH_H

#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/err.h"
#include "dn/dn.h"
#include "sip/msg.h"

struct auth;

enum auth_result {
    AUTH_OK,
    AUTH_MISSING, /* no credentials for this realm: challenge */
    AUTH_STALE,   /* right, but the nonce is old, unknown or was used: challenge with stale=true */
    AUTH_WRONG,   /* wrong password or URI: challenge again, counted */
    AUTH_OTHER,   /* credentials of another user: 403 or a challenge, counted */
    AUTH_BAD,     /* not the grammar: 400 */
};

/* `nonce_ms`: lifetime of a nonce (300,000). 0 or ERR_NOMEM. */
int auth_new(uint32_t nonce_ms, struct auth **out) WARN_UNUSED;
void auth_free(struct auth **auth);

/* Authorization (REGISTER) or Proxy-Authorization of `req` against the DN's password. The
 * credentials' username must be `user`, and their uri must be equivalent to the Request-URI.
 * Credentials for other realms, schemes and algorithms are passed over (RFC 3261 22.3). `now`:
 * wall-clock ms. */
enum auth_result auth_check(struct auth *auth, const struct sip_msg *req, bool is_proxy,
                            struct slice user, struct slice realm, const struct dn_info *dn,
                            uint64_t now);

/* WWW-Authenticate or Proxy-Authenticate lines, SHA-256 first, then MD5 (RFC 8760 2.4); only the
 * algorithm of password_ha1 where the DN has one. */
void auth_challenge(struct auth *auth, struct buf *out, bool is_proxy, struct slice realm,
                    const struct dn_info *dn, bool stale, uint64_t now);

#endif
