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

int route_resolve(struct route *r, const struct sip_uri *uri, struct route_query *q,
                  route_resolved_fn *fn, void *user)
{
    return route_resolve_hop(r, uri, &(struct route_hop){.profile = SLICE_NONE}, q, fn, user);
}

int route_resolve_hop(struct route *r, const struct sip_uri *uri, const struct route_hop *hop,
                      struct route_query *q, route_resolved_fn *fn, void *user)
{
    struct route_wanted w = {
        .uri = uri,
        .has_transport = uri->transport_text.len != 0,
        .must_be_tls = hop->is_secure || uri->scheme == SIP_SCHEME_SIPS,
        .profile = hop->profile,
        .names_source = hop->names_source,
    };
    *q = (struct route_query){.route = r, .fn = fn, .user = user};
    int err = route_transport(uri, hop->is_secure, &w.transport);
    if (err != 0) {
        fn(user, err, NULL, 0);
        return 1;
    }
    return route_locate(&w, q);
}
