/* SPDX-License-Identifier: Apache-2.0 */
#include "base/alloc.h"
#include "route/route_int.h"

int route_new(const struct route_conf *conf, const struct route_deps *deps, struct route **out)
{
    struct route *r = mem_zalloc(sizeof(*r));
    if (r == NULL)
        return ERR_NOMEM;
    r->conf = conf;
    r->deps = *deps;
    r->token_key = (struct hash_key){hash_slice(deps->key, SLICE("route token0")),
                                     hash_slice(deps->key, SLICE("route token1"))};
    *out = r;
    return 0;
}

void route_free(struct route **r)
{
    mem_free(*r);
    *r = NULL;
}

void route_set_conf(struct route *r, const struct route_conf *conf)
{
    r->conf = conf;
    r->serving = 0;
}

static bool is_listed(const struct slice *names, unsigned n, struct slice host)
{
    for (unsigned i = 0; i < n; i++)
        if (slice_ieq(names[i], host))
            return true;
    return false;
}

struct slice route_without_dot(struct slice host)
{
    if (host.len > 1 && host.ptr[host.len - 1] == '.')
        host.len--;
    return host;
}

bool route_has_serving(const struct route *r)
{
    return r->conf->serving != NULL;
}

bool route_has_guarded(const struct route *r)
{
    return r->conf->has_trunks || r->conf->nothers != 0;
}

uint16_t route_tls_port(const struct route *r)
{
    return r->conf->tls_port;
}

/* Without a port it is the one of either kind: a device that speaks TLS writes the same domain. */
static bool is_our_address(const struct route *r, struct addr *a)
{
    if (flows_is_us(r->deps.flows, a))
        return true;
    if (a->port != 0 || r->conf->tls_port == 0)
        return false;
    a->port = sip_transport_port(SIP_TLS);
    return flows_is_us(r->deps.flows, a);
}

/* Is that the port of a URI which says none? */
static bool is_default(const struct sip_uri *uri, uint64_t port)
{
    bool is_tls = uri->scheme == SIP_SCHEME_SIPS || uri->transport == SIP_TLS;
    return port == sip_transport_port(is_tls ? SIP_TLS : SIP_UDP);
}

/* HOST or HOST:PORT; IPv6 in brackets. *port is 0 where there is none. */
static bool split_alias(struct slice alias, struct slice *host, uint64_t *port)
{
    const char *colon = alias.len != 0 ? memrchr(alias.ptr, ':', alias.len) : NULL;
    *host = alias;
    *port = 0;
    if (colon == NULL)
        return alias.len != 0;
    size_t at = (size_t)(colon - alias.ptr);
    struct slice rest = slice_of(colon + 1, alias.len - at - 1);
    if (slice_chr(rest, ']') >= 0)
        return true;
    host->len = at;
    return slice_u64(rest, 65535, port) == 0;
}

/* Addresses may be written in more than one way. */
static bool is_same_host(struct slice a, struct slice b)
{
    struct addr x, y;
    if (slice_ieq(route_without_dot(a), route_without_dot(b)))
        return true;
    return addr_parse_ip(a, 0, &x) == 0 && addr_parse_ip(b, 0, &y) == 0 && addr_eq_ip(&x, &y);
}

/* A name without a port stands for any port of ours. */
static bool is_alias(const struct route *r, const struct sip_uri *uri)
{
    const struct route_conf *c = r->conf;
    bool is_our_port = uri->port == 0 || uri->port == c->sip_port || uri->port == c->tls_port;
    for (unsigned i = 0; i < c->naliases; i++) {
        struct slice host;
        uint64_t port;
        if (!split_alias(c->aliases[i], &host, &port) || !is_same_host(host, uri->host))
            continue;
        if (port == 0 ? is_our_port
                      : uri->port == port || (uri->port == 0 && is_default(uri, port)))
            return true;
    }
    return false;
}

bool route_is_ours(struct route *r, const struct sip_uri *uri)
{
    if (uri->scheme == SIP_SCHEME_TEL)
        return true; /* a number without a domain: whoever is asked is asked as its home */
    if (uri->scheme != SIP_SCHEME_SIP && uri->scheme != SIP_SCHEME_SIPS)
        return false;
    const struct route_conf *c = r->conf;
    struct addr a;
    bool our_port = uri->port == 0 || uri->port == c->sip_port || uri->port == c->tls_port;
    /* An address that is listed may be that of the NAT in front of us, with others behind it. */
    if (addr_parse_ip(uri->host, uri->port, &a) == 0)
        return is_our_address(r, &a) || is_alias(r, uri) ||
               (our_port && is_listed(c->domains, c->ndomains, uri->host));
    if (is_alias(r, uri))
        return true;
    struct slice host = route_without_dot(uri->host);
    if (is_listed(c->domains, c->ndomains, host))
        return true;
    return our_port && is_listed(c->own_names, c->nown_names, host);
}

bool route_may_relay(const struct route *r, const struct addr *from)
{
    return addr_nets_have(r->conf->relay_from, r->conf->nrelay_from, from);
}

/* RFC 3966 5.1.1: hyphens, dots and brackets of a number are for the eye only. */
static struct slice without_separators(struct slice number, char *text)
{
    size_t n = 0;
    for (size_t i = 0; i < number.len; i++)
        if (memchr("-.()", number.ptr[i], 4) == NULL)
            text[n++] = number.ptr[i];
    return slice_of(text, n);
}

int route_user_of(struct route *r, const struct sip_uri *uri, struct arena *arena,
                  struct slice *user)
{
    (void)r;
    if (uri->user.len == 0)
        return ERR_NOT_FOUND;
    char *text = arena_bytes(arena, uri->user.len);
    if (text == NULL)
        return ERR_NOMEM;
    struct buf b;
    if (uri->scheme == SIP_SCHEME_TEL) {
        *user = without_separators(uri->user, text);
        return 0;
    }
    buf_init(&b, text, uri->user.len); /* unescaping never grows */
    if (sip_unescape(uri->user, &b) < 0)
        return ERR_NOT_FOUND;
    *user = buf_get(&b);
    return 0;
}

/* "user@host" where a [dn …] section has that name, in *dn; else *dn stays. 0 or ERR_NOMEM. */
static int prefer_address(struct route *r, struct slice host, struct arena *arena, struct slice *dn)
{
    if (host.len == 0 || !dn_has_addresses(r->deps.dir))
        return 0;
    host = route_without_dot(host);
    size_t len = dn->len + 1 + host.len;
    char *text = arena_bytes(arena, len);
    if (text == NULL)
        return ERR_NOMEM;
    memcpy(text, dn->ptr, dn->len);
    text[dn->len] = '@';
    for (size_t i = 0; i < host.len; i++)
        text[dn->len + 1 + i] = ascii_lower(host.ptr[i]);
    if (dn_has_address(r->deps.dir, slice_of(text, len)))
        *dn = slice_of(text, len);
    return 0;
}

int route_dn_of(struct route *r, const struct sip_uri *uri, struct arena *arena, struct slice *dn)
{
    if (uri->user.len == 0 || !route_is_ours(r, uri))
        return ERR_NOT_FOUND;
    int err = route_user_of(r, uri, arena, dn);
    return err != 0 ? err : prefer_address(r, uri->host, arena, dn);
}
