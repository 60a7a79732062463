/* SPDX-License-Identifier: Apache-2.0 */
/* Listeners, and which of our addresses belongs to a peer. */
#include "base/alloc.h"
#include "flow/flow_int.h"

/* When the kernel chooses the port, UDP takes it first and TCP may find it taken. */
#define PORT_TRIES 16

static int listen_once(struct flows *fs, struct flow_listener *l, const struct addr *want)
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

static int listen_on(struct flows *fs, struct flow_listener *l, const struct addr *want)
{
    int rc;
    l->owner = fs;
    l->any = addr_is_any(want);
    for (unsigned i = 0; i < PORT_TRIES; i++) {
        rc = listen_once(fs, l, want);
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
        int rc = listen_on(fs, &fs->listeners[i], &conf->listen[i]);
        if (rc != 0) {
            *failed = conf->listen[i];
            return rc;
        }
        fs->nlisteners = i + 1;
    }
    return 0;
}

void flow_unlisten(struct flows *fs)
{
    for (unsigned i = 0; i < fs->nlisteners; i++) {
        net_udp_close(&fs->listeners[i].udp);
        net_listener_close(&fs->listeners[i].tcp);
    }
    mem_free(fs->listeners);
    fs->listeners = NULL;
    fs->nlisteners = 0;
}

void flows_stop_accepting(struct flows *fs)
{
    for (unsigned i = 0; i < fs->nlisteners; i++)
        net_listener_close(&fs->listeners[i].tcp);
}

/* One on exactly that address before one on all of them; of equal ones the first. */
static const struct flow_listener *by_local(const struct flows *fs, const struct addr *local)
{
    const struct flow_listener *any = NULL;
    for (unsigned i = 0; i < fs->nlisteners; i++) {
        const struct flow_listener *l = &fs->listeners[i];
        if (addr_eq(&l->addr, local))
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
    if (!l->any)
        return 0;
    if (local->family == remote->family && !addr_is_any(local)) {
        out->addr = *local;
    } else if (net_source_for(fs->loop, remote, &out->addr) != 0) {
        return ERR_NO_ROUTE;
    }
    out->addr.port = l->addr.port;
    return 0;
}

bool flows_is_us(struct flows *fs, const struct addr *a)
{
    struct addr full = *a;
    if (full.port == 0)
        full.port = 5060;
    for (unsigned i = 0; i < fs->nlisteners; i++) {
        const struct flow_listener *l = &fs->listeners[i];
        if (addr_eq(&l->addr, &full))
            return true;
        if (l->any && l->addr.port == full.port && l->addr.family == full.family &&
            (addr_is_any(&full) || net_is_local_ip(fs->loop, &full)))
            return true;
    }
    return false;
}

bool flows_has(const struct flows *fs, enum sip_transport t, enum addr_family family)
{
    if (t != SIP_UDP && t != SIP_TCP)
        return false;
    for (unsigned i = 0; i < fs->nlisteners; i++) {
        if (fs->listeners[i].addr.family == family)
            return true;
    }
    return false;
}

bool flows_listener_addr(const struct flows *fs, unsigned index, struct addr *out)
{
    if (index >= fs->nlisteners)
        return false;
    *out = fs->listeners[index].addr;
    return true;
}
