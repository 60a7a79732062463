/* SPDX-License-Identifier: Apache-2.0 */
/* Names and addresses of ours: what is advertised, aliases, [listener ...], and whether a URI leads
 * back to us. */
#include <ifaddrs.h>

#include "conf/conf_int.h"

static bool is_host(struct slice host)
{
    struct addr a;
    char text[300];
    struct sip_uri uri;
    if (host.len == 0 || host.len > 253)
        return false;
    if (host.ptr[0] == '[')
        return addr_parse_ip(host, 0, &a) == 0;
    int n = snprintf(text, sizeof(text), "sip:%.*s", SLICE_ARG(host));
    return sip_uri_parse(slice_of(text, (size_t)n), &uri) == 0 && slice_eq(uri.host, host);
}

bool conf_host_parse(struct slice text, struct slice *host, uint16_t *port)
{
    uint64_t n = 0;
    size_t end = text.len;
    while (end != 0 && text.ptr[end - 1] >= '0' && text.ptr[end - 1] <= '9')
        end--;
    *port = 0;
    *host = text;
    if (end != 0 && text.ptr[end - 1] == ':') {
        if (slice_u64(slice_of(text.ptr + end, text.len - end), 65535, &n) != 0 || n == 0)
            return false;
        *port = (uint16_t)n;
        *host = slice_of(text.ptr, end - 1);
    }
    return is_host(*host);
}

bool conf_lacks_tls(const struct conf *c, const char *text)
{
    struct sip_uri uri;
    return text != NULL && c->flow.tls_port == 0 && sip_uri_parse(slice_str(text), &uri) == 0 &&
           (uri.scheme == SIP_SCHEME_SIPS || uri.transport == SIP_TLS);
}

/* --- what is advertised --- */

static bool add_alias(struct reader *r, struct slice text)
{
    struct route_conf *route = &r->conf->route;
    for (unsigned i = 0; i < route->naliases; i++)
        if (slice_ieq(route->aliases[i], text))
            return true;
    route->aliases[route->naliases++] = text;
    return true;
}

/* `text` NULL: nothing is said. */
static bool advertise(struct reader *r, const char *text, struct flow_side *side)
{
    if (text == NULL)
        return true;
    return conf_host_parse(slice_str(text), &side->advertised, &side->advertised_port) &&
           add_alias(r, slice_str(text));
}

#define ALLOWED_HOST "not allowed; allowed: HOST or HOST:PORT; an IPv6 address in brackets"

static bool is_other_family(struct slice host, const struct addr *a)
{
    struct addr advertised;
    return addr_parse_ip(host, 0, &advertised) == 0 && advertised.family != a->family;
}

static void finish_side(struct reader *r, unsigned i, struct flow_side *side)
{
    struct conf *c = r->conf;
    const struct items *items = &r->items[SECTION_LISTENER];
    side->access = c->access;
    side->naccess = c->naccess;
    conf_at(r, SECTION_SIPPROXY, 0, "sip-advertised-address");
    if (!advertise(r, c->advertised, side) && i == 0)
        conf_error(r, "sip-advertised-address = %s: " ALLOWED_HOST, c->advertised);
    for (unsigned k = 0; k < items->n; k++) {
        const struct listener_section *l = conf_item(r, SECTION_LISTENER, k);
        if (!addr_eq_ip(&l->addr, &c->flow.listen[i]))
            continue;
        if (l->naccess != 0) {
            side->access = l->access;
            side->naccess = l->naccess;
        }
        conf_at(r, SECTION_LISTENER, k, "advertised-address");
        if (!advertise(r, l->advertised, side))
            conf_error(r, "advertised-address = %s: " ALLOWED_HOST, l->advertised);
        else if (l->advertised != NULL && is_other_family(side->advertised, &l->addr))
            conf_error(r,
                       "advertised-address = %s: of another family than [listener %s]; allowed: "
                       "a host name, or an address of the same family",
                       l->advertised, l->name);
    }
}

static bool is_listened_to(const struct conf *c, const struct addr *a)
{
    for (unsigned i = 0; i < c->flow.nlisten; i++)
        if (addr_eq_ip(a, &c->flow.listen[i]))
            return true;
    return false;
}

static void check_aliases(struct reader *r)
{
    const struct route_conf *route = &r->conf->route;
    struct slice host;
    uint16_t port;
    conf_at(r, SECTION_SIPPROXY, 0, "aliases");
    for (unsigned i = 0; i < route->naliases; i++)
        if (!conf_host_parse(route->aliases[i], &host, &port))
            conf_error(r, "aliases = %.*s: " ALLOWED_HOST, SLICE_ARG(route->aliases[i]));
}

void conf_finish_listeners(struct reader *r)
{
    struct conf *c = r->conf;
    const struct items *items = &r->items[SECTION_LISTENER];
    unsigned naliases = c->route.naliases;
    check_aliases(r);
    for (unsigned k = 0; k < items->n; k++) {
        const struct listener_section *l = conf_item(r, SECTION_LISTENER, k);
        r->line = items->at[k];
        if (!conf_is_given(r, SECTION_SIPPROXY, 0, "sip-address"))
            conf_error(r,
                       "[listener %s]: needs sip-address, which is not given; allowed: one of "
                       "its addresses",
                       l->name);
        else if (!is_listened_to(c, &l->addr))
            conf_error(r,
                       "[listener %s]: no address that is listened to; allowed: one of "
                       "sip-address",
                       l->name);
    }
    struct slice *aliases =
        arena_zalloc(&c->arena, (naliases + c->flow.nlisten + 1) * sizeof(*aliases));
    c->flow.sides = arena_zalloc(&c->arena, c->flow.nlisten * sizeof(*c->flow.sides));
    if (aliases == NULL || c->flow.sides == NULL)
        return;
    if (naliases != 0)
        memcpy(aliases, c->route.aliases, naliases * sizeof(*aliases));
    c->route.aliases = aliases;
    c->nwritten_aliases = naliases;
    for (unsigned i = 0; i < c->flow.nlisten; i++)
        finish_side(r, i, &c->flow.sides[i]);
    r->line = 0;
}

/* --- does it lead back? --- */

/* With sip-address not given we listen on every address of this machine. */
static bool is_of_this_machine(const struct addr *a)
{
    struct ifaddrs *all;
    bool is_ours = addr_is_loopback(a);
    if (is_ours || getifaddrs(&all) != 0)
        return is_ours;
    for (const struct ifaddrs *i = all; i != NULL && !is_ours; i = i->ifa_next) {
        struct addr own;
        is_ours = i->ifa_addr != NULL && addr_from_sockaddr(i->ifa_addr, &own) == 0 &&
                  addr_eq_ip(a, &own);
    }
    freeifaddrs(all);
    return is_ours;
}

bool conf_is_our_address(const struct conf *c, const struct addr *a)
{
    for (unsigned i = 0; i < c->flow.nlisten; i++) {
        const struct addr *own = &c->flow.listen[i];
        if (addr_eq_ip(a, own) ||
            (addr_is_any(own) && own->family == a->family && is_of_this_machine(a)))
            return true;
    }
    return false;
}

/* An alias with a port may stand for one that is not ours: that of a NAT. */
static bool is_our_name(const struct conf *c, struct slice host, uint16_t port, bool is_our_port)
{
    for (unsigned i = 0; i < c->route.nown_names && is_our_port; i++)
        if (slice_ieq(host, c->route.own_names[i]))
            return true;
    for (unsigned i = 0; i < c->route.naliases; i++) {
        struct slice alias;
        uint16_t alias_port;
        if (conf_host_parse(c->route.aliases[i], &alias, &alias_port) && slice_ieq(host, alias) &&
            (alias_port == 0 ? is_our_port : alias_port == port))
            return true;
    }
    return false;
}

bool conf_is_loop(const struct conf *c, const char *text)
{
    struct sip_uri uri;
    struct addr a;
    if (sip_uri_parse(slice_str(text), &uri) != 0)
        return false;
    bool is_tls = uri.scheme == SIP_SCHEME_SIPS || uri.transport == SIP_TLS;
    uint16_t ours = is_tls ? c->flow.tls_port : c->route.sip_port;
    uint16_t port = uri.port != 0 ? uri.port : is_tls ? 5061 : 5060;
    struct slice host = uri.maddr.len != 0 ? uri.maddr : uri.host;
    bool is_our_port = ours != 0 && port == ours;
    if (is_our_port && addr_parse_ip(host, port, &a) == 0 && conf_is_our_address(c, &a))
        return true;
    return is_our_name(c, host, port, is_our_port);
}
