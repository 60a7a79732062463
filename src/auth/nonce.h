/* SPDX-License-Identifier: Apache-2.0 */
/* Nonces: made without memory, remembered from their first use until they end.
 *
 * A nonce is 40 hexadecimal digits: 12 of its time of making (wall-clock ms), 8 of a number that
 * makes it different from others of that time, 20 of a keyed hash over these. owns: the table of
 * used nonces. thread: any; striped locks. RFC 7616 sections 3.3, 5.4, 5.12. */
#ifndef AUTH_NONCE_H
#define AUTH_NONCE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"
#include "base/slice.h"

#define NONCE_LEN 40

struct nonces;

/* At most `max` used nonces are remembered. 0 or ERR_NOMEM. */
int nonces_new(uint32_t lifetime_ms, unsigned max, struct nonces **out) WARN_UNUSED;
void nonces_free(struct nonces **nonces);

void nonce_make(struct nonces *n, uint64_t now, char out[NONCE_LEN]);
/* Made by us, and not older than its lifetime. */
bool nonce_is_good(const struct nonces *n, struct slice nonce, uint64_t now);
/* Takes this count of a good nonce: true once for each count, in rising order. False as well when
 * it had to be forgotten for want of room or memory. */
bool nonce_take(struct nonces *n, struct slice nonce, uint32_t count, uint64_t now);
/* How many are remembered. */
unsigned nonces_used(struct nonces *n);

#endif
