/* SPDX-License-Identifier: Apache-2.0 */
/* Listeners, and who may talk to us there. */
#include "base/alloc.h"
#include "flow/flow_int.h"

/* When the kernel chooses the port, UDP takes it first and TCP may find it taken. */
#define PORT_TRIES 16

/* The side of the listener that was asked for by that address; NULL: nothing is said of it. */
static const struct flow_side *side_of(const struct flow_conf *conf, const struct addr *want)
{
    for (unsigned i = 0; i < conf->nlisten && conf->sides != NULL; i++)
        if (addr_eq_ip(&conf->listen[i], want))
            return &conf->sides[i];
    return NULL;
}

/* Without memory for the new list the old one stays. */
static int take_access(struct flow_listener *l, const struct flow_side *side)
{
    unsigned n = side != NULL ? side->naccess : 0;
    struct addr_net *nets = NULL;
    if (n != 0) {
        nets = mem_alloc(n * sizeof(*nets));
        if (nets == NULL)
            return ERR_NOMEM;
        memcpy(nets, side->access, n * sizeof(*nets));
    }
    mem_free(l->access);
    l->access = nets;
    l->naccess = n;
    return 0;
}

bool flow_admits(struct flow_listener *l, const struct addr *remote, const struct addr *local)
{
    if (l->naccess == 0 || addr_nets_have(l->access, l->naccess, remote))
        return true;
    counter_inc(l->owner->counters, CTR_ACCESS_REFUSED);
    EVENT_LOG(EV_ACCESS_REFUSED, LF_ADDR("peer", remote), LF_ADDR("local", local));
    return false;
}

static bool on_admit(void *user, const struct addr *remote, const struct addr *local)
{
    return flow_admits(user, remote, local);
}

void flow_listen_access(struct flows *fs, const struct flow_conf *conf)
{
    for (unsigned i = 0; i < fs->nlisteners; i++) {
        struct flow_listener *l = &fs->listeners[i];
        if (take_access(l, side_of(conf, &l->want)) != 0)
            LOG(LOG_ERROR, "flow", "no memory for the access list: the old one stays",
                LF_ADDR("local", &l->addr));
    }
}

static int listen_plain(struct flows *fs, struct flow_listener *l, const struct addr *want)
{
    bool exclusive = fs->worker == 0;
    int rc = net_udp_open(fs->loop, want, &fs->sockopt, exclusive, fs->counters, flow_on_datagram,
                          l, &l->udp);
    if (rc != 0)
        return rc;
    net_udp_set_unreached(l->udp, flow_on_unreached);
    net_udp_local(l->udp, &l->addr);
    rc = net_listener_open(fs->loop, &l->addr, &fs->sockopt, exclusive, fs->counters,
                           flow_on_accept, l, &l->tcp);
    if (rc == 0)
        net_listener_set_admit(l->tcp, on_admit);
    else
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
    net_listener_set_admit(l->tls, on_admit);
    net_listener_local(l->tls, &at);
    l->tls_port = at.port;
    return 0;
}

static int listen_on(struct flows *fs, struct flow_listener *l, const struct flow_conf *conf,
                     const struct addr *want)
{
    const struct flow_side *side = side_of(conf, want);
    l->owner = fs;
    l->want = *want;
    l->any = addr_is_any(want);
    l->addr = *want;
    l->addr.port = 0;
    int rc = take_access(l, side);
    if (rc == 0)
        rc = flow_advertise(l, side);
    if (rc != 0)
        return rc;
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
        fs->nlisteners = i + 1;
        int rc = listen_on(fs, l, conf, &conf->listen[i]);
        if (rc != 0)
            return rc;
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
        mem_free(fs->listeners[i].access);
        mem_free(fs->listeners[i].advertised);
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
