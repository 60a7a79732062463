/* SPDX-License-Identifier: Apache-2.0 */
/* Addresses that failed a moment ago are tried last. */
#include "route/route_int.h"

static uint64_t hash_of(const struct flow_dest *dest)
{
    return addr_hash(&dest->remote) * 31 + dest->transport;
}

/* A slot belongs to the address that failed last of those that share it: what is forgotten is
 * tried once too early. */
static struct route_avoided *slot_of(struct route *r, const struct flow_dest *dest)
{
    return &r->avoided[hash_of(dest) % ROUTE_AVOIDED_MAX];
}

static bool is_in(const struct route_avoided *slot, const struct flow_dest *dest)
{
    return slot->until != 0 && slot->transport == dest->transport &&
           addr_eq(&slot->addr, &dest->remote);
}

void route_note_failed(struct route *r, const struct flow_dest *dest)
{
    if (r->conf->unreachable_ms == 0 || dest->remote.family == ADDR_NONE)
        return;
    struct route_avoided *slot = slot_of(r, dest);
    uint64_t until = flows_time(r->deps.flows) + r->conf->unreachable_ms;
    *slot = (struct route_avoided){dest->remote, dest->transport, until};
    r->avoid_until = until;
}

void route_note_alive(struct route *r, const struct flow_dest *dest)
{
    if (r->avoid_until == 0)
        return;
    struct route_avoided *slot = slot_of(r, dest);
    if (is_in(slot, dest))
        slot->until = 0;
}

bool route_is_avoided(struct route *r, const struct flow_dest *dest, uint64_t now)
{
    const struct route_avoided *slot = slot_of(r, dest);
    return is_in(slot, dest) && slot->until > now;
}

void route_avoid_failed(struct route *r, struct flow_dest *dests, unsigned n)
{
    struct flow_dest last[ROUTE_DESTS_MAX];
    unsigned good = 0, bad = 0;
    uint64_t now = flows_time(r->deps.flows);
    if (r->avoid_until <= now) {
        r->avoid_until = 0;
        return;
    }
    for (unsigned i = 0; i < n; i++) {
        if (route_is_avoided(r, &dests[i], now))
            last[bad++] = dests[i];
        else
            dests[good++] = dests[i];
    }
    if (bad != 0)
        memcpy(&dests[good], last, bad * sizeof(last[0]));
}

/* Is it known, without asking anybody, where the target is, and has that failed? */
static bool has_failed(struct route *r, const struct route_target *t, uint64_t now)
{
    struct flow_dest d = t->dest;
    struct sip_uri uri;
    if (t->has_dest)
        return route_is_avoided(r, &d, now);
    if (t->path.len != 0 || sip_uri_parse(t->hop.len != 0 ? t->hop : t->uri, &uri) != 0 ||
        route_transport(&uri, t->is_secure, &d.transport) != 0)
        return false;
    uint16_t port = uri.port != 0 ? uri.port : sip_transport_port(d.transport);
    struct slice host = uri.maddr.len != 0 ? uri.maddr : uri.host;
    return addr_parse_ip(host, port, &d.remote) == 0 && route_is_avoided(r, &d, now);
}

void route_avoid_targets(struct route *r, struct route_set *set)
{
    struct route_target last[ROUTE_ALTERNATIVES_MAX];
    unsigned at = 0, bad = 0;
    uint64_t now = flows_time(r->deps.flows);
    if (r->avoid_until <= now)
        return;
    for (unsigned i = 0; i < set->n; i++) {
        struct route_target *t = &set->targets[i];
        if (t->alt == 0)
            continue;
        if (bad < ROUTE_ALTERNATIVES_MAX && has_failed(r, t, now)) {
            last[bad++] = *t;
            continue;
        }
        for (; set->targets[at].alt == 0; at++)
            continue;
        if (bad != 0)
            set->targets[at] = *t;
        at++;
    }
    for (unsigned i = 0; i < bad; at++)
        if (set->targets[at].alt != 0)
            set->targets[at] = last[i++];
}
