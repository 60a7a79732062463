/* SPDX-License-Identifier: Apache-2.0 */
#include "route/route_int.h"

int route_transport(const struct sip_uri *uri, bool is_secure, uint8_t *out)
{
    bool is_any = uri->transport_text.len == 0;
    bool is_sips = uri->scheme == SIP_SCHEME_SIPS;
    if (!is_sips && uri->scheme != SIP_SCHEME_SIP)
        return ERR_UNSUPPORTED;
    if (is_sips || is_secure) {
        *out = SIP_TLS;
        return is_any || uri->transport == SIP_TCP || uri->transport == SIP_TLS ? 0
                                                                                : ERR_UNSUPPORTED;
    }
    *out = is_any ? (uint8_t)SIP_UDP : uri->transport;
    return *out == SIP_UDP || *out == SIP_TCP || *out == SIP_TLS ? 0 : ERR_UNSUPPORTED;
}

static void on_resolved(void *user, int err, const struct addr *addrs, unsigned n)
{
    struct route_query *q = user;
    struct flow_dest dests[NET_ADDRS_MAX];
    unsigned usable = 0;
    q->query = 0;
    for (unsigned i = 0; err == 0 && i < n && usable < NET_ADDRS_MAX; i++) {
        if (!flows_has(q->route->deps.flows, q->transport, addrs[i].family))
            continue;
        dests[usable] = (struct flow_dest){
            .remote = addrs[i], .transport = q->transport, .tls_peer = q->tls_peer};
        dests[usable++].remote.port = q->port;
    }
    if (err == 0 && usable == 0)
        err = ERR_NO_ROUTE;
    q->fn(q->user, err, dests, usable);
}

int route_resolve(struct route *r, const struct sip_uri *uri, struct route_query *q,
                  route_resolved_fn *fn, void *user)
{
    return route_resolve_hop(r, uri, &(struct route_hop){SLICE_NONE, false}, q, fn, user);
}

int route_resolve_hop(struct route *r, const struct sip_uri *uri, const struct route_hop *hop,
                      struct route_query *q, route_resolved_fn *fn, void *user)
{
    *q = (struct route_query){.route = r, .fn = fn, .user = user};
    int err = route_transport(uri, hop->is_secure, &q->transport);
    if (err != 0) {
        fn(user, err, NULL, 0);
        return 1;
    }
    /* The name before it is resolved: what DNS says is no proof (RFC 5922 4). */
    if (q->transport == SIP_TLS)
        q->tls_peer = flows_tls_peer(r->deps.flows, hop->profile, uri->host);
    q->port = uri->port != 0 ? uri->port : sip_transport_port(q->transport);
    struct slice host = uri->maddr.len != 0 ? uri->maddr : uri->host;
    /* `q` may be gone once the answer has been given inside the call, so nothing is written after
     * it. */
    return net_resolve(r->deps.resolver, host, on_resolved, q, &q->query);
}

void route_resolve_cancel(struct route_query *q)
{
    if (q->query != 0)
        net_resolve_cancel(q->route->deps.resolver, q->query);
    q->query = 0;
}
