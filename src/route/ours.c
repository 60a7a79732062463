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
}

static bool is_listed(const struct slice *names, unsigned n, struct slice host)
{
    for (unsigned i = 0; i < n; i++)
        if (slice_ieq(names[i], host))
            return true;
    return false;
}

/* A trailing dot only says that the name is complete (RFC 1034 3.1). */
static struct slice without_dot(struct slice host)
{
    if (host.len > 1 && host.ptr[host.len - 1] == '.')
        host.len--;
    return host;
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
        return is_our_address(r, &a) || (our_port && is_listed(c->domains, c->ndomains, uri->host));
    struct slice host = without_dot(uri->host);
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

int route_dn_of(struct route *r, const struct sip_uri *uri, struct arena *arena, struct slice *dn)
{
    if (uri->user.len == 0 || !route_is_ours(r, uri))
        return ERR_NOT_FOUND;
    char *text = arena_bytes(arena, uri->user.len);
    if (text == NULL)
        return ERR_NOMEM;
    struct buf b;
    if (uri->scheme == SIP_SCHEME_TEL) {
        *dn = without_separators(uri->user, text);
        return 0;
    }
    buf_init(&b, text, uri->user.len); /* unescaping never grows */
    if (sip_unescape(uri->user, &b) < 0)
        return ERR_NOT_FOUND;
    *dn = buf_get(&b);
    return 0;
}
