/* SPDX-License-Identifier: Apache-2.0 */
/* Requests from applications and for them. */
#include "route/route_int.h"

/* All of them are alternatives of one choice. */
#define ALT 1

uint32_t route_sender(struct route *r, const struct sip_msg *req, const struct addr *from,
                      uint8_t transport)
{
    enum group_way way = transport == SIP_TLS   ? GROUP_TLS
                         : transport == SIP_TCP ? GROUP_STREAM
                                                : GROUP_DATAGRAM;
    if (r->deps.groups == NULL || !groups_are_any(r->deps.groups))
        return 0;
    uint16_t port = req->via.port;
    if (port == 0)
        port = sip_transport_port(req->via.transport);
    return group_sender(r->deps.groups, from, port, way);
}

/* User and host of the URI in From or To. */
static struct slice key_of(const struct sip_msg *req, struct sip_span span)
{
    struct sip_uri uri;
    struct slice text = sip_get(req, span);
    if (sip_uri_parse(text, &uri) != 0 || uri.host.len == 0)
        return text;
    const char *from = uri.user.len != 0 ? uri.user.ptr : uri.host.ptr;
    return slice_of(from, (size_t)(uri.host.ptr + uri.host.len - from));
}

static int take_choice(const struct route_ask *ask, const struct group_choice *choice,
                       struct arena *arena, struct route_set *set)
{
    if (choice->status != 0) {
        set->status = choice->status;
        set->retry_after = choice->retry_after;
        set->is_down = true;
        return 0;
    }
    set->targets = arena_alloc(arena, (choice->n + 1) * sizeof(*set->targets));
    if (set->targets == NULL)
        return ERR_NOMEM;
    for (unsigned i = 0; i < choice->n; i++)
        set->targets[i] = (struct route_target){
            .uri = ask->uri->text,
            .hop = choice->targets[i].uri,
            .member = choice->targets[i].member,
            .profile = choice->targets[i].profile,
            .alt = ALT,
            .q = 1000,
        };
    set->n = choice->n;
    return 0;
}

int route_choose(struct route *r, const struct route_ask *ask, uint32_t group, struct arena *arena,
                 struct route_set *set)
{
    struct group_choice choice = {0};
    struct group_keys keys = {SLICE_NONE, SLICE_NONE, SLICE_NONE};
    if (ask->req != NULL)
        keys = (struct group_keys){
            .call_id = sip_get(ask->req, ask->req->call_id),
            .from = key_of(ask->req, ask->req->from_uri),
            .to = key_of(ask->req, ask->req->to_uri),
        };
    int err = group_choose(r->deps.groups, group, &keys, arena, &choice);
    return err != 0 ? err : take_choice(ask, &choice, arena, set);
}

uint32_t route_member_of(struct route *r, const struct sip_uri *uri)
{
    struct addr a;
    if (r->deps.groups == NULL || !groups_are_any(r->deps.groups) || uri->host.len == 0)
        return 0;
    struct slice host = uri->maddr.len != 0 ? uri->maddr : uri->host;
    uint16_t port = uri->port;
    bool is_tls = uri->scheme == SIP_SCHEME_SIPS || uri->transport == SIP_TLS;
    if (port == 0)
        port = sip_transport_port(is_tls ? SIP_TLS : SIP_UDP);
    if (addr_parse_ip(host, port, &a) == 0)
        return group_member_at(r->deps.groups, &a);
    return group_member_named(r->deps.groups, host, port);
}

int route_in_dialog(struct route *r, const struct route_ask *ask, uint32_t member,
                    struct slice named, struct arena *arena, struct route_set *set)
{
    struct group_choice choice = {0};
    int err = group_choose_in_dialog(r->deps.groups, member, arena, &choice);
    if (err == 0)
        err = take_choice(ask, &choice, arena, set);
    /* The dialog knows the member's transport and port better than the configuration does. */
    for (unsigned i = 0; err == 0 && i < set->n; i++)
        if (set->targets[i].member == member && named.len != 0)
            set->targets[i].hop = named;
    return err;
}
