/* SPDX-License-Identifier: Apache-2.0 */
/* A text that only this proxy can read and make, as the value of a URI parameter: what others carry
 * for us and give back.
 *
 * owns: nothing. thread: any; pure. */
#ifndef PROXY_SEAL_H
#define PROXY_SEAL_H

#include <stdbool.h>

#include "base/buf.h"
#include "base/hash.h"
#include "base/slice.h"

#define PROXY_SEAL_MAX      1024 /* bytes of a text, a multiple of 32 */
#define PROXY_SEAL_TEXT_MAX ((PROXY_SEAL_MAX + 16) / 3 * 4 + 4) /* of what it becomes */

#define PROXY_SEAL_TEXT_MIN 64 /* of what has any text in it */

struct seal {
    struct hash_key tag_key, text_key;
};

/* What a text is for: one for another is not read. */
enum seal_purpose { SEAL_ROUTES = 1, SEAL_PATH };

void seal_init(struct seal *s, const struct hash_key *lasting_key);
/* `bound`: what it belongs to (a Call-ID), which has to be said again to read it. False: the text
 * is too long, and nothing was written. */
bool seal_write(const struct seal *s, enum seal_purpose purpose, struct slice bound,
                struct slice text, struct buf *out);
/* False: not one of ours, or not of that; nothing was written. Blanks at the end are not kept. */
bool seal_read(const struct seal *s, enum seal_purpose purpose, struct slice bound,
               struct slice sealed, struct buf *out);

#endif
