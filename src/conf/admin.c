/* SPDX-License-Identifier: Apache-2.0 */
/* HTTP: what its options have to do with each other, and its certificate. */
#include <stdio.h>
#include <string.h>

#include "conf/conf_int.h"

#define TOKEN_MIN 16
#define PEM_MAX   (256u << 10) /* bytes of a file */

static bool has_token(const struct conf *c)
{
    return c->admin_token != NULL && c->admin_token[0] != '\0';
}

/* It goes into a header as it is. */
static bool is_token(const char *text)
{
    for (const char *p = text; *p != '\0'; p++)
        if (*p <= ' ' || *p > '~')
            return false;
    return strlen(text) >= TOKEN_MIN;
}

/* Packets to a collector that is our own SIP port would come back as messages without end. */
static bool is_own_loop(const struct conf *c, const struct addr *a)
{
    return a->family != ADDR_NONE && !c->flow.no_plain && a->port == c->route.sip_port &&
           conf_is_our_address(c, a);
}

void conf_finish_admin(struct reader *r)
{
    const struct conf *c = r->conf;
    char text[ADDR_TEXT_MAX];
    bool is_open = c->admin_address.family != ADDR_NONE && !addr_is_loopback(&c->admin_address);
    if (has_token(c) && !is_token(c->admin_token)) {
        conf_at(r, SECTION_SIPPROXY, 0, "admin-token");
        conf_error(r,
                   "admin-token = ***: not allowed; allowed: at least %d characters, none of "
                   "them a blank or outside of ASCII",
                   TOKEN_MIN);
    }
    if (is_open && !has_token(c)) {
        conf_at(r, SECTION_SIPPROXY, 0, "admin-address");
        conf_error(r,
                   "admin-address = %s: needs admin-token; allowed without it: 127.0.0.1:PORT, "
                   "[::1]:PORT or none",
                   addr_write(&c->admin_address, text));
    }
    if (c->admin_certificate != NULL && c->admin_private_key == NULL) {
        conf_at(r, SECTION_SIPPROXY, 0, "admin-tls-certificate");
        conf_error(r, "admin-tls-certificate = %s: needs admin-tls-private-key",
                   c->admin_certificate);
    }
    if (c->admin_private_key != NULL && c->admin_certificate == NULL) {
        conf_at(r, SECTION_SIPPROXY, 0, "admin-tls-private-key");
        conf_error(r, "admin-tls-private-key = %s: needs admin-tls-certificate",
                   c->admin_private_key);
    }
    if (is_own_loop(c, &c->trace.hep)) {
        conf_at(r, SECTION_SIPPROXY, 0, "hep-collector");
        conf_error(r, "hep-collector = %s: that is where we listen for SIP ourselves",
                   addr_write(&c->trace.hep, text));
    }
    r->line = 0;
}

/* The text of a file as it is now. 0; ERR_NOMEM; ERR_LIMIT; -errno. */
static int read_file(struct conf *c, const char *path, struct slice *out)
{
    FILE *f = fopen(path, "re");
    char *text = arena_alloc(&c->arena, PEM_MAX + 1);
    size_t len = 0;
    int err = f == NULL ? -errno : text == NULL ? ERR_NOMEM : 0;
    if (err == 0) {
        len = fread(text, 1, PEM_MAX + 1, f);
        err = ferror(f) ? -EIO : len > PEM_MAX ? ERR_LIMIT : 0;
    }
    if (f != NULL)
        fclose(f);
    *out = err == 0 ? slice_of(text, len) : SLICE_NONE;
    return err;
}

int conf_open_admin(struct conf *c, struct net_tls_keys *keys, const char **path, char *why,
                    size_t cap)
{
    struct net_tls_conf tls = {.certificate = c->admin_certificate,
                               .private_key = c->admin_private_key,
                               .min_version = NET_TLS_1_2};
    struct net_tls *probe = NULL;
    if (c->admin_certificate == NULL || c->admin_address.family == ADDR_NONE)
        return 0;
    int err = net_tls_new(&tls, keys, why, cap, &probe);
    net_tls_release(&probe);
    *path = c->admin_certificate;
    if (err != 0 || (err = read_file(c, c->admin_certificate, &c->admin_certificate_text)) != 0)
        return err;
    *path = c->admin_private_key;
    return read_file(c, c->admin_private_key, &c->admin_key_text);
}
