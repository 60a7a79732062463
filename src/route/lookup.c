/* SPDX-License-Identifier: Apache-2.0 */
#include "route/route_int.h"

/* --- [domain …] ------------------------------------------------------------------------------- */

/* "*.example.net" against a host: the bytes of the suffix, 0 when it is none. */
static size_t suffix_len(struct slice name, struct slice host)
{
    if (name.len < 3 || name.ptr[0] != '*' || host.len < name.len)
        return 0;
    struct slice tail = slice_of(name.ptr + 1, name.len - 1);
    return slice_ieq(tail, slice_of(host.ptr + host.len - tail.len, tail.len)) ? tail.len : 0;
}

/* The section for that host: by its name, else by the longest suffix. */
static const struct route_domain *domain_of(const struct route_conf *conf, struct slice host)
{
    const struct route_domain *best = NULL;
    size_t best_len = 0;
    host = route_without_dot(host);
    for (unsigned i = 0; i < conf->nothers; i++) {
        const struct route_domain *d = &conf->others[i];
        struct slice name = slice_str(d->name);
        if (slice_ieq(name, host))
            return d;
        size_t len = suffix_len(name, host);
        if (len > best_len) {
            best_len = len;
            best = d;
        }
    }
    return best;
}

/* One target with the Request-URI as it is. */
static int one_target(const struct route_ask *ask, struct slice hop, struct arena *arena,
                      struct route_set *set)
{
    set->targets = arena_zalloc(arena, sizeof(*set->targets));
    if (set->targets == NULL)
        return ERR_NOMEM;
    set->targets[0].uri = ask->uri->text;
    set->targets[0].hop = hop;
    set->targets[0].q = 1000;
    set->n = 1;
    return 0;
}

/* An application that is configured and yet not there is one that cannot be had. */
static int to_group(struct route *r, const struct route_ask *ask, uint32_t group,
                    struct arena *arena, struct route_set *set)
{
    int err = group != 0 ? route_choose(r, ask, group, arena, set) : ERR_NOT_FOUND;
    if (err != ERR_NOT_FOUND)
        return err;
    route_refuse(set, 503, NULL);
    set->is_down = true;
    return 0;
}

static uint32_t find_group(struct route *r, const char *name)
{
    return r->deps.groups != NULL ? group_find(r->deps.groups, slice_str(name)) : 0;
}

static int to_domain(struct route *r, const struct route_ask *ask, struct arena *arena,
                     struct route_set *set)
{
    const struct route_domain *d = NULL;
    if (r->conf->nothers != 0 && ask->uri->host.len != 0 && ask->uri->maddr.len == 0)
        d = domain_of(r->conf, ask->uri->host);
    if (d == NULL)
        return ERR_NOT_FOUND;
    if (d->application != NULL)
        return to_group(r, ask, find_group(r, d->application), arena, set);
    if (!route_is_trusted(ask)) {
        route_refuse(set, 403, "Relaying Denied");
        return 0;
    }
    struct slice hop = arena_dup(arena, slice_str(d->contact));
    return arena->overflow ? ERR_NOMEM : one_target(ask, hop, arena, set);
}

/* Said by who knows the other side: as an application knows a device by the address that its
 * connection has. */
static int exact_target(const struct route_ask *ask, struct slice hop, struct arena *arena,
                        struct route_set *set)
{
    int err = one_target(ask, hop, arena, set);
    if (err == 0)
        set->targets[0].names_source = true;
    return err;
}

/* --- applications ----------------------------------------------------------------------------- */

static int to_member(struct route *r, const struct route_ask *ask, struct arena *arena,
                     struct route_set *set)
{
    uint32_t member = ask->in_dialog ? route_member_of(r, ask->uri) : 0;
    if (member == 0)
        return ERR_NOT_FOUND;
    return route_in_dialog(r, ask, member, ask->uri->text, arena, set);
}

static int to_serving(struct route *r, const struct route_ask *ask, struct arena *arena,
                      struct route_set *set)
{
    /* Its id stays as long as its name does. */
    int err = r->serving != 0 ? route_choose(r, ask, r->serving, arena, set) : ERR_NOT_FOUND;
    if (err != ERR_NOT_FOUND)
        return err;
    r->serving = find_group(r, r->conf->serving);
    return to_group(r, ask, r->serving, arena, set);
}

/* --- what is ours ----------------------------------------------------------------------------- */

bool route_is_service(const struct sip_uri *uri)
{
    return uri->scheme == SIP_SCHEME_OTHER && slice_istarts(uri->text, SLICE("urn:service:"));
}

/* Inside a dialog a DN is known by its name also to those whose calls an application serves; what
 * is none goes to the application, which knows its dialogs. */
static int to_home(struct route *r, const struct route_ask *ask, struct arena *arena,
                   struct route_set *set)
{
    bool is_served = r->conf->serving != NULL && ask->member == 0;
    set->is_local = true;
    if (is_served && !ask->in_dialog)
        return to_serving(r, ask, arena, set);
    int err = route_to_dn(r, ask, arena, set);
    if (err == ERR_NOT_FOUND)
        err = route_to_trunk(r, ask, arena, set);
    if (err == ERR_NOT_FOUND && is_served)
        return to_serving(r, ask, arena, set);
    if (err != ERR_NOT_FOUND)
        return err;
    route_refuse(set, 404, NULL);
    return 0;
}

int route_lookup(struct route *r, const struct route_ask *ask, struct arena *arena,
                 struct route_set *set)
{
    const struct sip_uri *uri = ask->uri;
    *set = (struct route_set){0};
    int err = to_domain(r, ask, arena, set);
    if (err == ERR_NOT_FOUND)
        err = to_member(r, ask, arena, set);
    if (err != ERR_NOT_FOUND)
        return err;
    /* RFC 3261 16.5: maddr names the one and only target. */
    if (uri->maddr.len == 0 && (route_is_ours(r, uri) || route_is_service(uri)))
        return to_home(r, ask, arena, set);
    if (ask->may_relay)
        return exact_target(ask, SLICE_NONE, arena, set);
    route_refuse(set, 403, "Relaying Denied");
    return 0;
}

int route_by_hop(struct route *r, const struct route_ask *ask, struct slice hop,
                 struct arena *arena, struct route_set *set)
{
    struct sip_uri uri;
    struct sip_name_addr na;
    uint8_t transport;
    (void)r;
    *set = (struct route_set){0};
    hop = slice_trim(hop);
    /* Without brackets the parameters are those of the URI. */
    if (slice_chr(hop, '<') >= 0) {
        if (sip_name_addr_parse(hop, &na) != 0)
            return ERR_PARSE;
        hop = na.uri;
    }
    if (sip_uri_parse(hop, &uri) != 0 || route_transport(&uri, false, &transport) != 0)
        return ERR_PARSE;
    return exact_target(ask, hop, arena, set);
}
