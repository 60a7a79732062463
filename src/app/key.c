/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>

#include "app/daemon.h"
#include "base/random.h"
#include "sip/digest.h"

#define MACHINE_ID \
    "/etc/machine-id" /* machine-id(5): confidential, so only a keyed hash of it is used */

static uint64_t unhex64(const char *hex)
{
    uint64_t v = 0;
    for (unsigned i = 0; i < 16; i++)
        v = v << 4 | (uint64_t)(hex[i] <= '9' ? hex[i] - '0' : hex[i] - 'a' + 10);
    return v;
}

void lasting_key_read(const struct conf *conf, struct hash_key *out)
{
    char id[64], text[ADDR_TEXT_MAX + 32], hex[32], address[ADDR_TEXT_MAX];
    random_bytes(out, sizeof(*out));
    FILE *f = fopen(MACHINE_ID, "re");
    size_t n = f != NULL ? fread(id, 1, sizeof(id), f) : 0;
    if (f != NULL)
        fclose(f);
    if (n < 32)
        return; /* dialogs of before a restart are then strangers */
    struct buf b;
    buf_init(&b, text, sizeof(text));
    buf_lit(&b, "holdfast lasting key ");
    buf_str(&b, addr_write(&conf->flow.listen[0], address));
    sip_hmac_hex(id, 32, buf_get(&b), hex, sizeof(hex));
    *out = (struct hash_key){unhex64(hex), unhex64(hex + 16)};
}
