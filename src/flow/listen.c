/* SPDX-License-Identifier: Apache-2.0 */
/* Listeners, and which of our addresses belongs to a peer. */
#include "base/alloc.h"
#include "flow/flow_int.h"

/* When the kernel chooses the port, UDP takes it first and TCP may find it taken. */
#define PORT_TRIES 16

static int listen_plain(struct flows *fs, struct flow_listener *l, const struct addr *want)
{
    bool exclusive = fs->worker == 0;
    int rc = net_udp_open(fs->loop, want, &fs->sockopt, exclusive, fs->counters, flow_on_datagram,
                          l, &l->udp);
    if (rc != 0)
        return rc;
    net_udp_local(l->udp, &l->addr);
    rc = net_listener_open(fs->loop, &l->addr, &fs->sockopt, exclusive, fs->counters,
                           flow_on_accept, l, &l->tcp);
    if (rc != 0)
        net_udp_close(&l->udp);
    return rc;
}

static int listen_tls(struct flows *fs, struct flow_listener *l, uint16_t port)
{
    struct addr at = l->addr;
    struct net_tls *tls = flow_tls_context(fs->conf.tls, 0);
    bool is_possible = tls != NULL && net_tls_can_accept(tls);
    net_tls_release(&tls);
    if (!is_possible)
        return ERR_UNSUPPORTED;
    at.port = port;
    int rc = net_listener_open(fs->loop, &at, &fs->sockopt, fs->worker == 0, fs->counters,
                               flow_on_accept_tls, l, &l->tls);
    if (rc != 0)
        return rc;
    net_listener_local(l->tls, &at);
    l->tls_port = at.port;
    return 0;
}

static int listen_on(struct flows *fs, struct flow_listener *l, const struct flow_conf *conf,
                     const struct addr *want)
{
    int rc = 0;
    l->owner = fs;
    l->any = addr_is_any(want);
    l->addr = *want;
    l->addr.port = 0;
    for (unsigned i = 0; i < PORT_TRIES && !conf->no_plain; i++) {
        rc = listen_plain(fs, l, want);
        if (rc != -EADDRINUSE || want->port != 0)
            break;
    }
    return rc;
}

int flow_listen(struct flows *fs, const struct flow_conf *conf, struct addr *failed)
{
    fs->listeners = mem_zalloc((conf->nlisten + 1) * sizeof(*fs->listeners));
    if (fs->listeners == NULL)
        return ERR_NOMEM;
    for (unsigned i = 0; i < conf->nlisten; i++) {
        struct flow_listener *l = &fs->listeners[i];
        *failed = conf->listen[i];
        int rc = listen_on(fs, l, conf, &conf->listen[i]);
        if (rc != 0)
            return rc;
        fs->nlisteners = i + 1;
        if (conf->tls_port == 0 || conf->tls == NULL)
            continue;
        failed->port = conf->tls_port;
        rc = listen_tls(fs, l, conf->tls_port);
        if (rc != 0)
            return rc;
    }
    *failed = (struct addr){.family = ADDR_NONE};
    flow_listen_tls(fs);
    return 0;
}

void flow_listen_tls(struct flows *fs)
{
    const struct flow_conf *c = &fs->conf;
    struct net_tls *tls = c->tls != NULL ? flow_tls_context(c->tls, 0) : NULL;
    unsigned most = c->handshakes != 0 ? c->handshakes : FLOW_HANDSHAKES;
    bool is_possible = tls != NULL && net_tls_can_accept(tls);
    for (unsigned i = 0; i < fs->nlisteners && is_possible; i++) {
        if (fs->listeners[i].tls != NULL)
            net_listener_set_tls(fs->listeners[i].tls, tls, c->connect_timeout_ms, most,
                                 flow_on_refused);
    }
    net_tls_release(&tls);
}

void flow_unlisten(struct flows *fs)
{
    for (unsigned i = 0; i < fs->nlisteners; i++) {
        net_udp_close(&fs->listeners[i].udp);
        net_listener_close(&fs->listeners[i].tcp);
        net_listener_close(&fs->listeners[i].tls);
    }
    mem_free(fs->listeners);
    fs->listeners = NULL;
    fs->nlisteners = 0;
}

void flows_stop_accepting(struct flows *fs)
{
    for (unsigned i = 0; i < fs->nlisteners; i++) {
        net_listener_close(&fs->listeners[i].tcp);
        net_listener_close(&fs->listeners[i].tls);
    }
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

int flows_local_for(struct flows *fs, const struct flow_dest *dest, struct flow_local *out)
{
    const struct flow *f = dest->flow != 0 && dest->transport != SIP_UDP ? flow_find(fs, dest->flow)
                                                                         : NULL;
    const struct addr *local = f != NULL ? &f->local : &dest->local;
    const struct addr *remote = f != NULL ? &f->remote : &dest->remote;
    const struct flow_listener *l = flow_listener_for(fs, remote, local);
    if (l == NULL)
        return ERR_NO_ROUTE;
    out->addr = l->addr;
    out->addr.port = port_of(l, (enum sip_transport)dest->transport);
    if (!l->any)
        return 0;
    if (local->family == remote->family && !addr_is_any(local)) {
        out->addr = *local;
    } else if (net_source_for(fs->loop, remote, &out->addr) != 0) {
        return ERR_NO_ROUTE;
    }
    out->addr.port = port_of(l, (enum sip_transport)dest->transport);
    return 0;
}

bool flows_is_us(struct flows *fs, const struct addr *a)
{
    struct addr full = *a;
    if (full.port == 0)
        full.port = 5060;
    for (unsigned i = 0; i < fs->nlisteners; i++) {
        const struct flow_listener *l = &fs->listeners[i];
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

bool flows_has(const struct flows *fs, enum sip_transport t, enum addr_family family)
{
    bool is_tls = t == SIP_TLS;
    if (is_tls ? fs->conf.tls == NULL : t != SIP_UDP && t != SIP_TCP)
        return false;
    for (unsigned i = 0; i < fs->nlisteners; i++) {
        const struct flow_listener *l = &fs->listeners[i];
        if (l->addr.family == family && (is_tls || l->udp != NULL))
            return true;
    }
    return false;
}

uint16_t flows_tls_port(const struct flows *fs, unsigned index)
{
    return index < fs->nlisteners ? fs->listeners[index].tls_port : 0;
}

bool flows_listener_addr(const struct flows *fs, unsigned index, struct addr *out)
{
    if (index >= fs->nlisteners)
        return false;
    *out = fs->listeners[index].addr;
    return true;
}
