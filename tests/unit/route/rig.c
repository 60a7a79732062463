/* SPDX-License-Identifier: Apache-2.0 */
#include "rig.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static void nothing(void *user)
{
    (void)user;
}

static int no_message(void *user, const struct sip_msg *m, const struct flow_origin *o)
{
    (void)user, (void)m, (void)o;
    return 0;
}

static void no_event(void *user, const struct flow_event *ev)
{
    (void)user, (void)ev;
}

static uint64_t wall(void *user)
{
    (void)user;
    return RIG_NOW;
}

void rig_open(struct rig *r)
{
    struct net_loop_events loop = {nothing, nothing, nothing, r};
    struct flow_events events = {.on_message = no_message, .on_event = no_event};
    struct addr failed;
    memset(r, 0, sizeof(*r));
    r->key = (struct hash_key){1, 2};
    assert_int_equal(net_loop_new(&r->loop, &loop), 0);
    wheel_init(&r->wheel, net_now(r->loop));
    mailbox_init(&r->box, 16, nothing, r);
    r->boxes[0] = &r->box;
    assert_int_equal(addr_parse(SLICE("127.0.0.1:0"), 0, &r->listen), 0);
    struct flow_conf flow = {.listen = &r->listen, .nlisten = 1, .limits = sip_limits_default};
    assert_int_equal(flows_new(r->loop, &r->wheel, &flow, 0, 1, r->boxes, &r->key, &r->counters,
                               &events, &r->flows, &failed),
                     0);
    assert_int_equal(net_resolver_new(r->loop, NULL, NULL, &r->resolver), 0);
    assert_int_equal(dn_dir_new(&r->key, NULL, &r->dir), 0);
    assert_int_equal(groups_new(&r->key, &r->groups), 0);
    r->names[0] = SLICE("proxy.example.com");
    r->conf = (struct route_conf){.own_names = r->names, .nown_names = 1, .sip_port = 5060};
    struct route_deps deps = {.dir = r->dir,
                              .flows = r->flows,
                              .resolver = r->resolver,
                              .key = &r->key,
                              .wall = wall,
                              .groups = r->groups};
    assert_int_equal(route_new(&r->conf, &deps, &r->route), 0);
    arena_cache_init(&r->cache, 0);
    arena_init(&r->arena, &r->cache);
}

void rig_close(struct rig *r)
{
    arena_fini(&r->arena);
    arena_cache_fini(&r->cache);
    route_free(&r->route);
    groups_free(&r->groups);
    dn_dir_free(&r->dir);
    net_resolver_free(&r->resolver);
    flows_free(&r->flows);
    mailbox_fini(&r->box);
    net_loop_free(&r->loop);
}

void rig_dns(struct rig *r, const struct dn_conf *dns, unsigned n)
{
    assert_int_equal(dn_dir_configure(r->dir, dns, n), 0);
    r->conf.has_trunks = false;
    for (unsigned i = 0; i < n; i++)
        r->conf.has_trunks = r->conf.has_trunks || dns[i].prefix != NULL;
}

static bool same(struct slice a, struct slice b)
{
    return slice_eq(a, b);
}

void rig_bind(struct rig *r, const char *dn, const char *contact)
{
    struct dn_change change = {.binding = {.contact = slice_str(contact),
                                           .call_id = slice_str(contact),
                                           .cseq = 1,
                                           .q = 1000,
                                           .expires = RIG_NOW + 60000,
                                           .updated = RIG_NOW}};
    change.binding.way = (struct dn_way){.transport = SIP_UDP};
    assert_int_equal(addr_parse(SLICE("10.0.0.3:5060"), 0, &change.binding.way.remote), 0);
    assert_int_equal(dn_register(r->dir, slice_str(dn), &change, 1, false, 10, RIG_NOW, same), 0);
}

void rig_application(struct rig *r, const char *name, const char *members, bool is_pair)
{
    struct group_member_conf list[8];
    struct slice rest = slice_str(members), word;
    char texts[8][128], room[64];
    unsigned n = 0;
    while (slice_next_word(&rest, &word)) {
        struct sip_uri uri;
        assert_true(n < 8 && slice_cstr(word, texts[n], sizeof(texts[n])));
        assert_int_equal(sip_uri_parse(slice_str(texts[n]), &uri), 0);
        list[n] = (struct group_member_conf){.uri = texts[n], .weight = 1};
        if (addr_parse_ip(uri.host, uri.port != 0 ? uri.port : 5060, &list[n].addr) != 0)
            list[n].addr = (struct addr){.family = ADDR_NONE};
        n++;
    }
    assert_true(slice_cstr(slice_str(name), room, sizeof(room)));
    struct group_conf conf = {.name = room,
                              .role = is_pair ? GROUP_PAIR : GROUP_BALANCED,
                              .policy = GROUP_ROUND_ROBIN,
                              .members = list,
                              .nmembers = n,
                              .force_ms = 5000,
                              .shares_dialogs = is_pair};
    assert_int_equal(groups_configure(r->groups, &conf, 1, 0), 0);
}

void rig_no_applications(struct rig *r)
{
    assert_int_equal(groups_configure(r->groups, NULL, 0, 0), 0);
}

const char *rig_dump(struct rig *r)
{
    struct buf b;
    buf_init(&b, r->text, sizeof(r->text) - 1);
    if (r->set.status != 0) {
        buf_u64(&b, r->set.status);
        if (r->set.reason != NULL)
            buf_printf(&b, " %s", r->set.reason);
    }
    for (unsigned i = 0; i < r->set.n; i++) {
        const struct route_target *t = &r->set.targets[i];
        buf_str(&b, i != 0 ? ", " : "");
        buf_slice(&b, t->uri);
        if (t->hop.len != 0)
            buf_printf(&b, " via %.*s", SLICE_ARG(t->hop));
        if (t->alt != 0)
            buf_printf(&b, " #%u", t->alt);
        if (t->dn.len != 0)
            buf_printf(&b, " @%.*s", SLICE_ARG(t->dn));
    }
    assert_false(b.overflow);
    r->text[b.len] = '\0';
    return r->text;
}

const char *rig_look(struct rig *r, const char *uri)
{
    assert_int_equal(sip_uri_parse(slice_str(uri), &r->uri), 0);
    r->ask.uri = &r->uri;
    assert_int_equal(route_lookup(r->route, &r->ask, &r->arena, &r->set), 0);
    return rig_dump(r);
}

void rig_expect(struct rig *r, const char *uri, const char *what)
{
    const char *got = rig_look(r, uri);
    if (strcmp(got, what) != 0)
        fail_msg("%s: %s; expected %s", uri, got, what);
}
