/* SPDX-License-Identifier: Apache-2.0 */
#include "registrar/registrar_int.h"

bool reg_is_at_source(const struct reg *g, const struct sip_uri *uri)
{
    struct addr host;
    return uri->maddr.len == 0 && addr_parse_ip(uri->host, 0, &host) == 0 &&
           addr_eq_ip(&host, &g->origin->remote);
}

static uint16_t port_of(uint16_t port, uint8_t transport)
{
    return port != 0 ? port : sip_transport_port((enum sip_transport)transport);
}

/* The transport that the contact names, where we have it; else the one it registered by. */
static uint8_t transport_of(const struct reg *g, const struct sip_uri *contact, bool is_outbound)
{
    bool is_known = contact->transport == SIP_UDP || contact->transport == SIP_TCP ||
                    contact->transport == SIP_TLS;
    if (contact->scheme == SIP_SCHEME_SIPS)
        return SIP_TLS;
    return is_known && !is_outbound ? contact->transport : g->origin->transport;
}

/* Behind another proxy the source is that proxy: such a binding is reached by its Path, or, where
 * that proxy may have requests relayed, by resolving its Contact. Everybody else is reached by the
 * connection it registered on; its own source address is the only one at which a connection to it
 * is ever opened, so that nobody can have us send to others, or call through our own number what
 * relay-from forbids. */
void reg_way(const struct reg *g, const struct sip_uri *contact, bool is_outbound,
             struct dn_way *out)
{
    const struct flow_origin *from = g->origin;
    uint8_t transport = transport_of(g, contact, is_outbound);
    bool is_same = transport == from->transport;
    *out = (struct dn_way){.transport = transport};
    if (g->path.len != 0 || (g->has_hops && g->is_trusted))
        return;
    out->local = from->local;
    out->remote = from->remote;
    if (transport == SIP_UDP) {
        /* RFC 3581: rport asks for answers where the request came from; a Contact that is not the
         * source address says that there is a NAT between. */
        bool is_nat = g->req->via.has_rport || !reg_is_at_source(g, contact) || is_outbound;
        if (!is_same || !is_nat)
            out->remote.port = port_of(contact->port, transport);
        return;
    }
    out->flow = is_same ? from->flow : 0;
    out->remote.port = port_of(contact->port, transport);
    uint16_t via = port_of(g->req->via.port, transport);
    out->alt_port = is_same && via != out->remote.port ? via : 0;
}
