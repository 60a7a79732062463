/* SPDX-License-Identifier: Apache-2.0 */
/* Which of our addresses belongs to a peer, and what others know us by there. */
#include "base/alloc.h"
#include "flow/flow_int.h"

/* An address of the other family leads nobody here who could reach the listener: it keeps its own.
 */
int flow_advertise(struct flow_listener *l, const struct flow_side *side)
{
    char ip[ADDR_TEXT_MAX];
    struct slice text = side != NULL ? side->advertised : SLICE_NONE;
    struct addr a;
    if (text.len == 0)
        return 0;
    if (addr_parse_ip(text, 0, &a) == 0) {
        if (a.family != l->want.family)
            return 0;
        l->advertised_ip = a;
        text = slice_str(addr_write_ip(&a, true, ip));
    }
    l->advertised = mem_alloc(text.len);
    if (l->advertised == NULL)
        return ERR_NOMEM;
    memcpy(l->advertised, text.ptr, text.len);
    l->advertised_len = text.len;
    l->advertised_port = side->advertised_port;
    return 0;
}

/* Is the address with its port that of the listener, on whatever transport? */
static bool is_exactly(const struct flow_listener *l, const struct addr *a)
{
    return addr_eq_ip(&l->addr, a) && a->port != 0 &&
           (a->port == l->addr.port || a->port == l->tls_port);
}

/* Our port for the transport; without a listener for TLS a peer finds nobody, on whatever port. */
static uint16_t port_of(const struct flow_listener *l, enum sip_transport t)
{
    if (t != SIP_TLS)
        return l->addr.port;
    return l->tls_port != 0 ? l->tls_port : sip_transport_port(SIP_TLS);
}

/* A port that is given is that of sip-port, or the only one. */
static uint16_t advertised_port(const struct flow_listener *l, enum sip_transport t)
{
    bool is_given = l->advertised_port != 0 && (t != SIP_TLS || l->addr.port == 0);
    return is_given ? l->advertised_port : port_of(l, t);
}

/* One on exactly that address before one on all of them; of equal ones the first. */
static const struct flow_listener *by_local(const struct flows *fs, const struct addr *local)
{
    const struct flow_listener *any = NULL;
    for (unsigned i = 0; i < fs->nlisteners; i++) {
        const struct flow_listener *l = &fs->listeners[i];
        if (is_exactly(l, local))
            return l;
    }
    for (unsigned i = 0; i < fs->nlisteners; i++) {
        const struct flow_listener *l = &fs->listeners[i];
        if (addr_eq_ip(&l->addr, local))
            return l;
        if (any == NULL && l->any && l->addr.family == local->family)
            any = l;
    }
    return any;
}

const struct flow_listener *flow_listener_for(const struct flows *fs, const struct addr *remote,
                                              const struct addr *local)
{
    const struct flow_listener *only = NULL;
    unsigned n = 0;
    if (local != NULL && local->family == remote->family && !addr_is_any(local)) {
        const struct flow_listener *l = by_local(fs, local);
        if (l != NULL)
            return l;
    }
    for (unsigned i = 0; i < fs->nlisteners; i++) {
        if (fs->listeners[i].addr.family != remote->family)
            continue;
        if (n++ == 0)
            only = &fs->listeners[i];
    }
    if (n <= 1)
        return only;
    struct addr source;
    if (net_source_for(fs->loop, remote, &source) != 0)
        return only;
    const struct flow_listener *l = by_local(fs, &source);
    return l != NULL ? l : only;
}

void flow_bind_addr(const struct flows *fs, const struct addr *remote, const struct addr *local,
                    struct addr *out)
{
    const struct flow_listener *l = flow_listener_for(fs, remote, local);
    *out = (struct addr){.family = ADDR_NONE};
    if (local->family == remote->family && !addr_is_any(local))
        *out = *local;
    else if (l != NULL && !l->any)
        *out = l->addr;
}

/* `at`: the address where the listener is on all of them. */
static void describe(const struct flow_listener *l, const struct addr *at, enum sip_transport t,
                     struct flow_local *out)
{
    *out = (struct flow_local){.addr = l->any ? *at : l->addr};
    out->addr.port = port_of(l, t);
    if (l->advertised == NULL)
        return;
    out->advertised = slice_of(l->advertised, l->advertised_len);
    out->advertised_port = advertised_port(l, t);
}

int flows_local_for(struct flows *fs, const struct flow_dest *dest, struct flow_local *out)
{
    const struct flow *f = dest->flow != 0 && dest->transport != SIP_UDP ? flow_find(fs, dest->flow)
                                                                         : NULL;
    const struct addr *local = f != NULL ? &f->local : &dest->local;
    const struct addr *remote = f != NULL ? &f->remote : &dest->remote;
    const struct flow_listener *l = flow_listener_for(fs, remote, local);
    struct addr source;
    if (l == NULL)
        return ERR_NO_ROUTE;
    if (l->any && (local->family != remote->family || addr_is_any(local))) {
        if (net_source_for(fs->loop, remote, &source) != 0)
            return ERR_NO_ROUTE;
        local = &source;
    }
    describe(l, local, (enum sip_transport)dest->transport, out);
    return 0;
}

void flows_local_of(struct flows *fs, const struct addr *local, uint8_t transport,
                    struct flow_local *out)
{
    const struct flow_listener *l = by_local(fs, local);
    if (l != NULL)
        describe(l, local, (enum sip_transport)transport, out);
    else
        *out = (struct flow_local){.addr = *local};
}

void flow_put_host(struct buf *out, const struct flow_local *local)
{
    bool has = local->advertised.len != 0;
    if (has)
        buf_slice(out, local->advertised);
    else
        addr_put_ip(out, &local->addr, true);
    buf_char(out, ':');
    buf_u64(out, has ? local->advertised_port : local->addr.port);
}

static bool is_advertised(const struct flow_listener *l, const struct addr *a)
{
    return addr_eq_ip(&l->advertised_ip, a) &&
           (a->port == advertised_port(l, SIP_UDP) ||
            (l->tls_port != 0 && a->port == advertised_port(l, SIP_TLS)));
}

static bool is_known_as(const struct flow_listener *l, struct slice host, uint16_t port)
{
    return slice_ieq(host, slice_of(l->advertised, l->advertised_len)) &&
           (port == advertised_port(l, SIP_UDP) ||
            (l->tls_port != 0 && port == advertised_port(l, SIP_TLS)));
}

bool flows_named(const struct flows *fs, struct slice host, uint16_t port, struct addr *out)
{
    const struct flow_listener *found = NULL;
    struct addr a;
    bool is_ip = addr_parse_ip(host, port, &a) == 0;
    for (unsigned i = 0; i < fs->nlisteners; i++) {
        const struct flow_listener *l = &fs->listeners[i];
        if (l->advertised == NULL || !(is_ip ? is_advertised(l, &a) : is_known_as(l, host, port)))
            continue;
        if (found != NULL)
            return false;
        found = l;
    }
    if (found == NULL && is_ip)
        *out = a;
    else if (found != NULL && !found->any)
        *out = found->addr;
    else
        return false;
    return true;
}

bool flows_is_us(struct flows *fs, const struct addr *a)
{
    struct addr full = *a;
    if (full.port == 0)
        full.port = 5060;
    for (unsigned i = 0; i < fs->nlisteners; i++) {
        const struct flow_listener *l = &fs->listeners[i];
        if (l->advertised_ip.family != ADDR_NONE && is_advertised(l, &full))
            return true;
        if (full.port != l->addr.port && full.port != l->tls_port)
            continue;
        if (is_exactly(l, &full))
            return true;
        if (l->any && l->addr.family == full.family &&
            (addr_is_any(&full) || net_is_local_ip(fs->loop, &full)))
            return true;
    }
    return false;
}
