/* SPDX-License-Identifier: Apache-2.0 */
/* TLS and sips in routing, as tables: transport and port of a next hop, targets of a DN, and flow
 * tokens that bring along what a peer has to prove. RFC 3261 26.2.2; RFC 3263 4.1, 4.2; RFC 5630
 * 5.3; RFC 5922 4. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "base/alloc.h"
#include "flow/tls.h"
#include "route/route.h"

#define NOW 1700000000000

/* A route over real flows that listen to nothing but loopback; numbers of names are its own. */
struct stage {
    struct net_loop *loop;
    struct wheel wheel;
    struct mailbox box;
    struct mailbox *boxes[1];
    struct counters counters;
    struct hash_key key;
    struct addr listen;
    struct net_tls_keys *keys;
    struct flow_tls *tls;
    struct flows *flows;
    struct net_resolver *resolver;
    struct dn_dir *dir;
    struct route_conf conf;
    struct slice names[1];
    struct route *route;
    struct arena_cache cache;
    struct arena arena;
};

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
    return NOW;
}

/* Two profiles: the daemon's, and that of the DN gw. */
static void open_tls(struct stage *s)
{
    const struct net_tls_conf rules = {.verify_server = true};
    struct flow_tls_profile profiles[2] = {{.name = SLICE_NONE}, {.name = SLICE("gw")}};
    char why[256];
    assert_int_equal(net_tls_keys_new(&s->keys), 0);
    assert_int_equal(flow_tls_new(&s->tls), 0);
    for (unsigned i = 0; i < 2; i++)
        assert_int_equal(net_tls_new(&rules, s->keys, why, sizeof(why), &profiles[i].tls), 0);
    assert_int_equal(flow_tls_configure(s->tls, profiles, 2), 0);
    for (unsigned i = 0; i < 2; i++)
        net_tls_release(&profiles[i].tls);
}

static void stage_open(struct stage *s)
{
    struct net_loop_events loop = {nothing, nothing, nothing, s};
    struct flow_events events = {.on_message = no_message, .on_event = no_event};
    struct addr failed;
    memset(s, 0, sizeof(*s));
    s->key = (struct hash_key){1, 2};
    assert_int_equal(net_loop_new(&s->loop, &loop), 0);
    wheel_init(&s->wheel, net_now(s->loop));
    mailbox_init(&s->box, 16, nothing, s);
    s->boxes[0] = &s->box;
    assert_int_equal(addr_parse(SLICE("127.0.0.1:0"), 0, &s->listen), 0);
    open_tls(s);
    struct flow_conf flow = {.listen = &s->listen, .nlisten = 1, .tls = s->tls};
    flow.limits = sip_limits_default;
    assert_int_equal(flows_new(s->loop, &s->wheel, &flow, 0, 1, s->boxes, &s->key, &s->counters,
                               &events, &s->flows, &failed),
                     0);
    assert_int_equal(net_resolver_new(s->loop, NULL, NULL, &s->resolver), 0);
    assert_int_equal(dn_dir_new(&s->key, NULL, &s->dir), 0);
    s->names[0] = SLICE("proxy.example.com");
    s->conf = (struct route_conf){
        .own_names = s->names, .nown_names = 1, .sip_port = 5060, .tls_port = 5061};
    struct route_deps deps = {
        .dir = s->dir,
        .flows = s->flows,
        .resolver = s->resolver,
        .key = &s->key,
        .wall = wall,
        .user = s,
    };
    assert_int_equal(route_new(&s->conf, &deps, &s->route), 0);
    arena_cache_init(&s->cache, 0);
    arena_init(&s->arena, &s->cache);
}

static void stage_close(struct stage *s)
{
    arena_fini(&s->arena);
    arena_cache_fini(&s->cache);
    route_free(&s->route);
    dn_dir_free(&s->dir);
    net_resolver_free(&s->resolver);
    flows_free(&s->flows);
    flow_tls_free(&s->tls);
    net_tls_keys_free(&s->keys);
    mailbox_fini(&s->box);
    net_loop_free(&s->loop);
}

static struct sip_uri uri_of(const char *text)
{
    struct sip_uri uri;
    assert_int_equal(sip_uri_parse(slice_str(text), &uri), 0);
    return uri;
}

/* --- next hops -------------------------------------------------------------------------------- */

struct answer {
    int err;
    unsigned n;
    struct flow_dest dest;
};

static void on_resolved(void *user, int err, const struct flow_dest *dests, unsigned n)
{
    struct answer *a = user;
    *a = (struct answer){.err = err, .n = n};
    if (n != 0)
        a->dest = dests[0];
}

static void next_hops(void **state)
{
    (void)state;
    static const struct {
        const char *uri;
        bool is_secure;
        int err;
        enum sip_transport transport;
        unsigned port;
    } rows[] = {
        {"sip:10.0.0.1", false, 0, SIP_UDP, 5060},
        {"sip:10.0.0.1;transport=tcp", false, 0, SIP_TCP, 5060},
        {"sip:10.0.0.1;transport=tls", false, 0, SIP_TLS, 5061},
        {"sip:10.0.0.1:5070;transport=tls", false, 0, SIP_TLS, 5070},
        {"sip:10.0.0.1;transport=ws", false, ERR_UNSUPPORTED, 0, 0},
        {"sip:10.0.0.1;transport=sctp", false, ERR_UNSUPPORTED, 0, 0},
        {"sips:10.0.0.1", false, 0, SIP_TLS, 5061},
        {"sips:10.0.0.1:5060", false, 0, SIP_TLS, 5060},
        {"sips:10.0.0.1;transport=tcp", false, 0, SIP_TLS, 5061},
        {"sips:10.0.0.1;transport=tls", false, 0, SIP_TLS, 5061},
        {"sips:10.0.0.1;transport=udp", false, ERR_UNSUPPORTED, 0, 0},
        {"sips:10.0.0.1;transport=sctp", false, ERR_UNSUPPORTED, 0, 0},
        {"sips:proxy.example.com;maddr=10.0.0.2", false, 0, SIP_TLS, 5061},
        {"sip:10.0.0.1", true, 0, SIP_TLS, 5061},
        {"sip:10.0.0.1;transport=tcp", true, 0, SIP_TLS, 5061},
        {"sip:10.0.0.1;transport=tls", true, 0, SIP_TLS, 5061},
        {"sip:10.0.0.1;transport=udp", true, ERR_UNSUPPORTED, 0, 0},
        {"tel:123", true, ERR_UNSUPPORTED, 0, 0},
    };
    struct stage s;
    stage_open(&s);
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct sip_uri uri = uri_of(rows[i].uri);
        struct route_hop hop = {.is_secure = rows[i].is_secure};
        struct route_query q;
        struct answer a = {.err = 1};
        assert_int_equal(route_resolve_hop(s.route, &uri, &hop, &q, on_resolved, &a), 1);
        if (a.err != rows[i].err || a.n != (rows[i].err == 0) ||
            (a.n != 0 &&
             (a.dest.transport != rows[i].transport || a.dest.remote.port != rows[i].port)))
            fail_msg("%s: err %d, n %u, transport %u, port %u", rows[i].uri, a.err, a.n,
                     a.dest.transport, a.dest.remote.port);
    }
    stage_close(&s);
}

/* The host as it is written, before anybody resolves it, by the rules of the DN. */
static void next_hop_proves_its_host(void **state)
{
    (void)state;
    struct stage s;
    struct route_query q;
    struct answer a;
    stage_open(&s);
    struct sip_uri uri = uri_of("sips:GW.example.com;maddr=10.0.0.2");
    struct route_hop hop = {.profile = SLICE("gw")};
    assert_int_equal(route_resolve_hop(s.route, &uri, &hop, &q, on_resolved, &a), 1);
    assert_true(slice_eq(flows_tls_name(s.flows, a.dest.tls_peer), SLICE("gw.example.com")));
    assert_true(slice_eq(flows_tls_profile(s.flows, a.dest.tls_peer), SLICE("gw")));
    uint32_t first = a.dest.tls_peer;
    hop.profile = SLICE_NONE;
    assert_int_equal(route_resolve_hop(s.route, &uri, &hop, &q, on_resolved, &a), 1);
    assert_int_not_equal(a.dest.tls_peer, first);
    assert_int_equal(flows_tls_profile(s.flows, a.dest.tls_peer).len, 0);
    uri = uri_of("sip:10.0.0.2");
    assert_int_equal(route_resolve(s.route, &uri, &q, on_resolved, &a), 1);
    assert_int_equal(a.dest.tls_peer, 0); /* no TLS, nothing to prove */
    stage_close(&s);
}

/* --- what is ours ----------------------------------------------------------------------------- */

static void names_and_ports_that_are_ours(void **state)
{
    (void)state;
    static const struct {
        const char *uri;
        bool with_tls, without;
    } rows[] = {
        {"sip:proxy.example.com", true, true},
        {"sips:proxy.example.com", true, true},
        {"sip:proxy.example.com:5060", true, true},
        {"sips:proxy.example.com:5061", true, false},
        {"sip:proxy.example.com:5061;transport=tls", true, false},
        {"sips:proxy.example.com:5062", false, false},
        {"sips:other.example.com", false, false},
    };
    struct stage s;
    stage_open(&s);
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct sip_uri uri = uri_of(rows[i].uri);
        s.conf.tls_port = 5061;
        assert_int_equal(route_tls_port(s.route), 5061);
        if (route_is_ours(s.route, &uri) != rows[i].with_tls)
            fail_msg("%s with TLS", rows[i].uri);
        s.conf.tls_port = 0;
        if (route_is_ours(s.route, &uri) != rows[i].without)
            fail_msg("%s without TLS", rows[i].uri);
    }
    stage_close(&s);
}

/* --- targets ---------------------------------------------------------------------------------- */

static bool same(struct slice a, struct slice b)
{
    return slice_eq(a, b);
}

static void bind(struct stage *s, const char *dn, const char *contact, uint8_t transport)
{
    struct dn_change change = {.binding = {.contact = slice_str(contact),
                                           .call_id = slice_str(contact),
                                           .cseq = 1,
                                           .q = 1000,
                                           .expires = NOW + 60000,
                                           .updated = NOW}};
    change.binding.way = (struct dn_way){.flow = 7, .transport = transport};
    assert_int_equal(addr_parse(SLICE("10.0.0.3:5061"), 0, &change.binding.way.remote), 0);
    assert_int_equal(dn_register(s->dir, slice_str(dn), &change, 1, false, 10, NOW, same), 0);
}

static struct route_set look_up(struct stage *s, const char *text)
{
    struct route_set set;
    struct sip_uri uri = uri_of(text);
    assert_int_equal(route_lookup(s->route, &(struct route_ask){.uri = &uri}, &s->arena, &set), 0);
    return set;
}

static void targets_of_both_schemes(void **state)
{
    (void)state;
    struct stage s;
    stage_open(&s);
    struct dn_conf dns[] = {{.name = "gw", .contact = "sips:gw@gw.example.com", .has_tls = true},
                            {.name = "old", .contact = "sip:old@10.0.0.9;transport=tls"}};
    assert_int_equal(dn_dir_configure(s.dir, dns, 2), 0);
    bind(&s, "both", "sip:b@10.0.0.3;transport=tls", SIP_TLS);
    bind(&s, "both", "sips:b@phone.example.com:5061", SIP_TLS);

    struct route_set set = look_up(&s, "sips:both@proxy.example.com");
    assert_int_equal(set.status, 0);
    assert_int_equal(set.n, 1);
    assert_true(slice_eq(set.targets[0].uri, SLICE("sips:b@phone.example.com:5061")));
    assert_true(set.targets[0].is_secure);
    assert_true(slice_eq(flows_tls_name(s.flows, set.targets[0].dest.tls_peer),
                         SLICE("phone.example.com")));

    set = look_up(&s, "sip:both@proxy.example.com");
    assert_int_equal(set.n, 2);
    for (unsigned i = 0; i < 2; i++) {
        const struct route_target *t = &set.targets[i];
        assert_true(slice_starts(t->uri, SLICE("sip:b@")));
        assert_true(t->has_dest && t->dest.transport == SIP_TLS);
        assert_int_equal(t->is_secure, slice_eq(t->uri, SLICE("sip:b@phone.example.com:5061")));
    }

    set = look_up(&s, "sip:gw@proxy.example.com");
    assert_int_equal(set.n, 1);
    assert_true(slice_eq(set.targets[0].uri, SLICE("sip:gw@gw.example.com")));
    assert_true(slice_eq(set.targets[0].profile, SLICE("gw")));
    assert_true(set.targets[0].is_secure);
    set = look_up(&s, "sips:gw@proxy.example.com");
    assert_true(slice_eq(set.targets[0].uri, SLICE("sips:gw@gw.example.com")));

    set = look_up(&s, "sips:old@proxy.example.com");
    assert_int_equal(set.status, 480);
    assert_int_equal(set.warning, 380);
    assert_int_equal(set.n, 0);
    set = look_up(&s, "sip:old@proxy.example.com");
    assert_int_equal(set.n, 1);
    assert_false(set.targets[0].is_secure); /* its URI says TLS, and nothing else does */
    assert_int_equal(set.targets[0].profile.len, 0);
    stage_close(&s);
}

/* Registered when there was TLS: not to be had any more. */
static void sips_contact_without_tls(void **state)
{
    (void)state;
    struct stage s;
    stage_open(&s);
    bind(&s, "a", "sips:a@10.0.0.3", SIP_TLS);
    s.conf.tls_port = 0;
    struct route_set set = look_up(&s, "sip:a@proxy.example.com");
    assert_int_equal(set.status, 480);
    assert_int_equal(set.warning, 381);
    bind(&s, "a", "sip:a@10.0.0.3", SIP_UDP);
    set = look_up(&s, "sip:a@proxy.example.com");
    assert_int_equal(set.status, 0);
    assert_int_equal(set.warning, 0);
    assert_int_equal(set.n, 1);
    stage_close(&s);
}

static void lookup_without_memory(void **state)
{
    (void)state;
    struct stage s;
    struct sip_uri uri = uri_of("sip:a@proxy.example.com");
    stage_open(&s);
    mem_fail_at(1);
    void *probe = mem_alloc(1);
    mem_fail_at(0);
    if (probe != NULL) {
        mem_free(probe);
        stage_close(&s);
        skip();
    }
    bind(&s, "a", "sips:a@10.0.0.3", SIP_TLS);
    for (uint64_t n = 1; n < 100; n++) {
        struct arena_cache cache;
        struct arena arena;
        struct route_set set;
        arena_cache_init(&cache, 0);
        arena_init(&arena, &cache);
        mem_fail_at(n);
        int err = route_lookup(s.route, &(struct route_ask){.uri = &uri}, &arena, &set);
        bool failed = mem_failed();
        mem_fail_at(0);
        bool is_found = err == 0 && set.n == 1 &&
                        slice_eq(set.targets[0].uri, SLICE("sip:a@10.0.0.3"));
        arena_fini(&arena);
        arena_cache_fini(&cache);
        if (!failed) {
            assert_true(is_found);
            stage_close(&s);
            return;
        }
        if (err != ERR_NOMEM && !is_found)
            fail_msg("allocation %u failed: %d", (unsigned)n, err);
    }
    fail_msg("never without a failure");
}

/* --- tokens ----------------------------------------------------------------------------------- */

static struct slice write_token(struct stage *s, const struct flow_dest *dest,
                                char text[ROUTE_TOKEN_MAX])
{
    struct buf b;
    buf_init(&b, text, ROUTE_TOKEN_MAX);
    route_token_write(s->route, dest, &b);
    assert_false(b.overflow);
    return buf_get(&b);
}

static struct flow_dest by_tls(struct stage *s, const char *profile, const char *host)
{
    struct flow_dest dest = {.flow = 9, .transport = SIP_TLS, .alt_port = 5070};
    assert_int_equal(addr_parse(SLICE("[2001:db8::1]:5061"), 0, &dest.remote), 0);
    dest.tls_peer = flows_tls_peer(s->flows, slice_str(profile), slice_str(host));
    return dest;
}

/* In another process the same pair has another number. */
static void tokens_bring_names(void **state)
{
    (void)state;
    static const struct {
        const char *profile, *host, *name;
    } rows[] = {
        {"gw", "gw.example.com", "gw.example.com"},
        {"", "gw.example.com", "gw.example.com"},
        {"gw", "10.0.0.1", ""},
        {"", "10.0.0.1", ""},
    };
    struct stage before, after;
    stage_open(&before);
    stage_open(&after);
    assert_int_not_equal(flows_tls_peer(after.flows, SLICE_NONE, SLICE("one.example.com")), 0);
    assert_int_not_equal(flows_tls_peer(after.flows, SLICE_NONE, SLICE("two.example.com")), 0);
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        char text[ROUTE_TOKEN_MAX];
        struct flow_dest d, dest = by_tls(&before, rows[i].profile, rows[i].host);
        assert_int_equal(route_token_parse(after.route, write_token(&before, &dest, text), &d), 0);
        assert_true(addr_eq(&d.remote, &dest.remote));
        assert_int_equal(d.transport, SIP_TLS);
        assert_int_equal(d.alt_port, 5070);
        assert_true(slice_eq(flows_tls_name(after.flows, d.tls_peer), slice_str(rows[i].name)));
        assert_true(
            slice_eq(flows_tls_profile(after.flows, d.tls_peer), slice_str(rows[i].profile)));
        assert_int_equal(d.tls_peer == 0, rows[i].name[0] == '\0' && rows[i].profile[0] == '\0');
    }
    stage_close(&before);
    stage_close(&after);
}

/* Too long for a token: it leads to a living connection, and opens none. */
static void long_names_open_nothing(void **state)
{
    (void)state;
    struct stage s;
    char host[160], text[ROUTE_TOKEN_MAX];
    struct flow_dest d;
    memset(host, 'a', sizeof(host) - 1);
    host[sizeof(host) - 1] = '\0';
    host[60] = host[120] = '.';
    stage_open(&s);
    struct flow_dest dest = by_tls(&s, "", host);
    assert_int_not_equal(dest.tls_peer, 0);
    assert_int_equal(route_token_parse(s.route, write_token(&s, &dest, text), &d), 0);
    assert_int_equal(d.flow, 9);
    assert_int_equal(d.remote.port, 0);
    assert_int_equal(d.alt_port, 0);
    assert_int_equal(d.tls_peer, 0);
    host[128] = '\0'; /* as long as may be */
    dest = by_tls(&s, "", host);
    assert_int_equal(route_token_parse(s.route, write_token(&s, &dest, text), &d), 0);
    assert_int_equal(d.remote.port, 5061);
    assert_true(slice_eq(flows_tls_name(s.flows, d.tls_peer), slice_str(host)));
    stage_close(&s);
}

static void forged_names_are_refused(void **state)
{
    (void)state;
    struct stage s;
    char text[ROUTE_TOKEN_MAX];
    struct flow_dest d;
    stage_open(&s);
    struct flow_dest dest = by_tls(&s, "gw", "gw.example.com");
    struct slice token = write_token(&s, &dest, text);
    for (size_t i = 0; i < token.len; i++) {
        char was = text[i];
        text[i] = was == '0' ? '1' : '0';
        assert_int_equal(route_token_parse(s.route, token, &d), ERR_NOT_FOUND);
        text[i] = was;
    }
    for (size_t n = 0; n < token.len; n++)
        assert_int_equal(route_token_parse(s.route, slice_of(token.ptr, n), &d), ERR_NOT_FOUND);
    assert_int_equal(route_token_parse(s.route, token, &d), 0);
    stage_close(&s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(next_hops),
        cmocka_unit_test(next_hop_proves_its_host),
        cmocka_unit_test(names_and_ports_that_are_ours),
        cmocka_unit_test(targets_of_both_schemes),
        cmocka_unit_test(sips_contact_without_tls),
        cmocka_unit_test(lookup_without_memory),
        cmocka_unit_test(tokens_bring_names),
        cmocka_unit_test(long_names_open_nothing),
        cmocka_unit_test(forged_names_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
