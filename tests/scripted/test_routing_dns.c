/* SPDX-License-Identifier: Apache-2.0 */
/* Where a URI leads, by RFC 3263 section 4: zones as text, and the destinations that come out, in
 * their order. RFC 3263; RFC 2782; RFC 7984; RFC 5922 4. We are 10.0.0.1 and 2001:db8::1. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "base/alloc.h"
#include "route/route.h"
#include "scripted/wire.h"

#define TLS   1 /* as if the URI were a sips URI */
#define NOTLS 2 /* we have no TLS */

struct world {
    struct wire w;
    struct addr listen[2];
    struct dn_dir *dir;
    struct net_resolver *resolver;
    struct route_conf conf;
    struct slice names[1];
    struct route *route;
    struct route_query q;
    unsigned answers;
    int err;
    unsigned n;
    char text[1024]; /* "udp 10.0.0.2:5060, tcp [2001:db8::2]:5070" */
    uint32_t tls_peer;
};

static struct world x;

static uint64_t wall(void *user)
{
    (void)user;
    return 1700000000000;
}

static void on_resolved(void *user, int err, const struct flow_dest *dests, unsigned n)
{
    struct world *o = user;
    struct buf b;
    char text[ADDR_TEXT_MAX];
    o->answers++;
    o->err = err;
    o->n = n;
    o->tls_peer = n != 0 ? dests[0].tls_peer : 0;
    buf_init(&b, o->text, sizeof(o->text) - 1);
    for (unsigned i = 0; i < n; i++)
        buf_printf(&b, "%s%s %s", i != 0 ? ", " : "",
                   dests[i].transport == SIP_UDP   ? "udp"
                   : dests[i].transport == SIP_TCP ? "tcp"
                                                   : "tls",
                   addr_write(&dests[i].remote, text));
    assert_false(b.overflow);
    o->text[b.len] = '\0';
    memset(&o->q, 0xa5, sizeof(o->q)); /* the caller's storage may be gone by now */
}

static void begin(bool has_tls)
{
    memset(&x, 0, sizeof(x));
    wire_init(&x.w);
    assert_int_equal(addr_parse(SLICE("10.0.0.1:5060"), 0, &x.listen[0]), 0);
    assert_int_equal(addr_parse(SLICE("[2001:db8::1]:5060"), 0, &x.listen[1]), 0);
    x.w.conf.listen = x.listen;
    x.w.conf.nlisten = 2;
    if (has_tls)
        wire_profile(&x.w, "", false, true);
    wire_open(&x.w);
    assert_int_equal(net_resolver_new(x.w.loop, NULL, NULL, &x.resolver), 0);
    assert_int_equal(dn_dir_new(&x.w.key, NULL, &x.dir), 0);
    x.names[0] = SLICE("proxy.example.com");
    x.conf = (struct route_conf){.own_names = x.names,
                                 .nown_names = 1,
                                 .sip_port = 5060,
                                 .tls_port = has_tls ? 5061 : 0,
                                 .unreachable_ms = 30000};
    struct route_deps deps = {
        .dir = x.dir, .flows = x.w.flows, .resolver = x.resolver, .key = &x.w.key, .wall = wall};
    assert_int_equal(route_new(&x.conf, &deps, &x.route), 0);
}

static int end(void **state)
{
    (void)state;
    assert_int_equal(fake_queries(x.w.loop), 0);
    route_free(&x.route);
    dn_dir_free(&x.dir);
    net_resolver_free(&x.resolver);
    wire_close(&x.w);
    return 0;
}

/* One record set for each line: "A NAME ADDRESSES", "SRV NAME RECORDS", "NAPTR NAME RECORDS", "FAIL
 * NAME". */
static void zone(const char *text, uint32_t delay)
{
    char line[1024], kind[8], name[300];
    int used;
    while (*text != '\0') {
        size_t len = strcspn(text, "\n");
        assert_true(len < sizeof(line));
        memcpy(line, text, len);
        line[len] = '\0';
        text += len + (text[len] != '\0');
        assert_int_equal(sscanf(line, "%7s %299s %n", kind, name, &used), 2);
        if (strcmp(kind, "A") == 0)
            fake_set_host(x.w.loop, name, line + used, delay);
        else if (strcmp(kind, "SRV") == 0)
            fake_set_srv(x.w.loop, name, line + used, delay);
        else if (strcmp(kind, "NAPTR") == 0)
            fake_set_naptr(x.w.loop, name, line + used, delay);
        else
            fake_set_dns_failure(x.w.loop, name, ERR_DNS_SILENT, delay);
    }
}

static int ask(const char *text, bool is_secure)
{
    struct sip_uri uri;
    struct route_hop hop = {.is_secure = is_secure};
    assert_int_equal(sip_uri_parse(slice_str(text), &uri), 0);
    x.answers = 0;
    return route_resolve_hop(x.route, &uri, &hop, &x.q, on_resolved, &x);
}

static void expect(const char *uri, bool is_secure, int err, const char *dests)
{
    int now = ask(uri, is_secure);
    fake_advance(x.w.loop, 100);
    assert_int_equal(x.answers, 1);
    if (x.err != err || strcmp(x.text, dests) != 0)
        fail_msg("%s: err %d, %s; expected %d, %s", uri, x.err, x.text, err, dests);
    (void)now;
}

/* --- the table -------------------------------------------------------------------------------- */

#define ALL                                                      \
    "NAPTR a.example 20 10 s SIP+D2U _sip._udp.a.example, "      \
    "10 10 s SIP+D2T _sip._tcp.b.example, "                      \
    "5 10 s SIPS+D2T _sips._tcp.a.example, 1 1 s SIP+D2S _s.a\n" \
    "SRV _sip._udp.a.example 1 0 5070 h1.example\n"              \
    "SRV _sip._tcp.b.example 1 0 5071 h2.example\n"              \
    "SRV _sips._tcp.a.example 1 0 5072 h1.example\n"             \
    "A h1.example 10.0.0.2\nA h2.example 10.0.0.3\nA a.example 10.0.0.9"

struct row {
    const char *zone, *uri;
    unsigned how; /* TLS, NOTLS */
    int err;
    const char *dests;
};

static void check(const struct row *rows, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        /* Once with answers that come at once, once with each of them waited for. */
        for (uint32_t delay = 0; delay < 2; delay++) {
            begin((rows[i].how & NOTLS) == 0);
            zone(rows[i].zone, delay);
            expect(rows[i].uri, (rows[i].how & TLS) != 0, rows[i].err, rows[i].dests);
            end(NULL);
        }
    }
}

/* 4.1, 4.2: numbers are used as they are. */
static void literal_addresses(void **state)
{
    static const struct row rows[] = {
        {"", "sip:10.0.0.2", 0, 0, "udp 10.0.0.2:5060"},
        {"", "sip:10.0.0.2:5070;transport=tcp", 0, 0, "tcp 10.0.0.2:5070"},
        {"", "sip:[2001:db8::2]", 0, 0, "udp [2001:db8::2]:5060"},
        {"", "sips:10.0.0.2", 0, 0, "tls 10.0.0.2:5061"},
        {"", "sips:10.0.0.2", NOTLS, ERR_NO_ROUTE, ""},
        {"", "sip:10.0.0.2;transport=sctp", 0, ERR_UNSUPPORTED, ""},
        {"", "sips:a.example;transport=udp", 0, ERR_UNSUPPORTED, ""},
        {ALL, "sip:a.example;maddr=10.0.0.4", 0, 0, "udp 10.0.0.4:5060"},
    };
    (void)state;
    check(rows, sizeof(rows) / sizeof(rows[0]));
}

/* With a port: addresses alone. */
static void port_in_the_uri(void **state)
{
    static const struct row rows[] = {
        {ALL, "sip:a.example:5080", 0, 0, "udp 10.0.0.9:5080"},
        {ALL, "sip:a.example:5080;transport=tcp", 0, 0, "tcp 10.0.0.9:5080"},
        {ALL, "sips:a.example:5080", 0, 0, "tls 10.0.0.9:5080"},
        {ALL, "sip:a.example:5080", TLS, 0, "tls 10.0.0.9:5080"},
        {ALL, "sip:b.example;maddr=a.example:5080", 0, ERR_NOT_FOUND, ""},
    };
    (void)state;
    check(rows, sizeof(rows) / sizeof(rows[0]));
}

/* NAPTR: by order, what we can do, the replacement's zone may be another one. */
static void naptr_selects(void **state)
{
    static const struct row rows[] = {
        {ALL, "sip:a.example", 0, 0, "tls 10.0.0.2:5072, tcp 10.0.0.3:5071, udp 10.0.0.2:5070"},
        {ALL, "sip:A.Example.", 0, 0, "tls 10.0.0.2:5072, tcp 10.0.0.3:5071, udp 10.0.0.2:5070"},
        {ALL, "sip:a.example", NOTLS, 0, "tcp 10.0.0.3:5071, udp 10.0.0.2:5070"},
        {ALL, "sips:a.example", 0, 0, "tls 10.0.0.2:5072"},
        {ALL, "sip:a.example", TLS, 0, "tls 10.0.0.2:5072"},
        {"NAPTR a.example 1 1 u SIP+D2U _sip._udp.a.example\nSRV _sip._udp.a.example 1 0 5070 h.example\n"
         "A h.example 10.0.0.2",
         "sip:a.example", 0, 0, "udp 10.0.0.2:5070"}, /* no terminal rule for SRV: as if none */
        {"NAPTR a.example 1 1 s SIP+D2T _sip._tcp.a.example\nA a.example 10.0.0.9", "sip:a.example",
         0, 0, "tcp 10.0.0.9:5060"}, /* the transport is known, 4.2 */
    };
    (void)state;
    check(rows, sizeof(rows) / sizeof(rows[0]));
}

/* A transport in the URI: its SRV and no NAPTR. */
static void transport_in_the_uri(void **state)
{
    static const struct row rows[] = {
        {ALL, "sip:a.example;transport=udp", 0, 0, "udp 10.0.0.2:5070"},
        {ALL, "sip:a.example;transport=tls", 0, 0, "tls 10.0.0.2:5072"},
        {ALL, "sip:a.example;transport=tcp", 0, 0, "tcp 10.0.0.9:5060"},
        {ALL, "sips:a.example;transport=tcp", 0, 0, "tls 10.0.0.2:5072"},
        {"SRV _sips._tls.a.example 1 0 5072 h.example\nA h.example 10.0.0.2", "sips:a.example", 0,
         0, "tls 10.0.0.2:5072"},
    };
    (void)state;
    check(rows, sizeof(rows) / sizeof(rows[0]));
}

/* No NAPTR: each transport that we have. */
static void srv_of_each_transport(void **state)
{
    static const struct row rows[] = {
        {"SRV _sip._tcp.a.example 1 0 5070 h.example\nA h.example 10.0.0.2", "sip:a.example", 0, 0,
         "tcp 10.0.0.2:5070"},
        {"SRV _sip._tcp.a.example 1 0 5070 h.example\nSRV _sip._udp.a.example 1 0 5080 h.example\n"
         "SRV _sips._tcp.a.example 1 0 5090 h.example\nA h.example 10.0.0.2",
         "sip:a.example", 0, 0, "udp 10.0.0.2:5080, tcp 10.0.0.2:5070"},
        {"SRV _sips._tcp.a.example 1 0 5090 h.example\nA h.example 10.0.0.2", "sip:a.example", 0, 0,
         "tls 10.0.0.2:5090"},
        {"SRV _sip._udp.a.example 1 0 5080 h.example\nA h.example 10.0.0.2\nA a.example 10.0.0.9",
         "sips:a.example", 0, 0, "tls 10.0.0.9:5061"},
    };
    (void)state;
    check(rows, sizeof(rows) / sizeof(rows[0]));
}

/* No SRV: addresses, with the default of the transport. */
static void addresses_without_srv(void **state)
{
    static const struct row rows[] = {
        {"A a.example 10.0.0.9", "sip:a.example", 0, 0, "udp 10.0.0.9:5060"},
        {"A a.example 10.0.0.9", "sip:a.example;transport=tls", 0, 0, "tls 10.0.0.9:5061"},
        {"", "sip:a.example", 0, ERR_NOT_FOUND, ""},
        {"A localhost 10.0.0.9\nSRV _sip._udp.localhost 1 0 5070 localhost",
         "sip:localhost;transport=udp", 0, 0, "udp 10.0.0.9:5060"}, /* RFC 6761 */
    };
    (void)state;
    check(rows, sizeof(rows) / sizeof(rows[0]));
}

/* Priorities; all addresses of each target, both families (RFC 7984). */
static void order_and_both_families(void **state)
{
    static const struct row rows[] = {
        {"SRV _sip._udp.a.example 2 0 5070 h2.example, 1 0 5060 h1.example\n"
         "A h1.example 2001:db8::2, 10.0.0.2\nA h2.example 10.0.0.3, 2001:db8::3",
         "sip:a.example;transport=udp", 0, 0,
         "udp [2001:db8::2]:5060, udp 10.0.0.2:5060, udp 10.0.0.3:5070, udp [2001:db8::3]:5070"},
        /* one address by several names is one way */
        {"SRV _sip._udp.a.example 1 0 5060 h1.example, 2 0 5060 h2.example, 3 0 5070 h1.example\n"
         "A h1.example 10.0.0.2\nA h2.example 10.0.0.2, 10.0.0.3",
         "sip:a.example;transport=udp", 0, 0,
         "udp 10.0.0.2:5060, udp 10.0.0.3:5060, udp 10.0.0.2:5070"},
        /* a target without an address is skipped; the host's own address is none of them */
        {"SRV _sip._udp.a.example 1 0 5070 gone.example, 2 0 5070 h.example\nA h.example 10.0.0.2\n"
         "A a.example 10.0.0.9",
         "sip:a.example", 0, 0, "udp 10.0.0.2:5070"},
        {"SRV _sip._udp.a.example 1 0 5070 gone.example\nA a.example 10.0.0.9", "sip:a.example", 0,
         ERR_NOT_FOUND, ""},
    };
    (void)state;
    check(rows, sizeof(rows) / sizeof(rows[0]));
}

/* "." says that it is not offered (RFC 2782). */
static void service_not_offered(void **state)
{
    static const struct row rows[] = {
        {"SRV _sip._udp.a.example 0 0 0 .\nA a.example 10.0.0.9", "sip:a.example;transport=udp", 0,
         ERR_UNSUPPORTED, ""},
        {"SRV _sip._udp.a.example 0 0 0 .\nSRV _sip._tcp.a.example 1 0 5060 h.example\n"
         "A h.example 10.0.0.2",
         "sip:a.example", 0, 0, "tcp 10.0.0.2:5060"},
    };
    (void)state;
    check(rows, sizeof(rows) / sizeof(rows[0]));
}

/* Servers that fail: what is known is used, else that is the reason. */
static void servers_that_fail(void **state)
{
    static const struct row rows[] = {
        {"FAIL a.example\nFAIL _sip._udp.a.example\nSRV _sip._tcp.a.example 1 0 5060 h.example\n"
         "A h.example 10.0.0.2",
         "sip:a.example", 0, 0, "tcp 10.0.0.2:5060"},
        {"FAIL a.example", "sip:a.example", 0, ERR_DNS_SILENT, ""},
        {"FAIL _sip._udp.a.example\nA a.example 10.0.0.9", "sip:a.example;transport=udp", 0, 0,
         "udp 10.0.0.9:5060"},
    };
    (void)state;
    check(rows, sizeof(rows) / sizeof(rows[0]));
}

/* Ourselves: left out, and nothing else left is a loop. */
static void ourselves_are_left_out(void **state)
{
    static const struct row rows[] = {
        {"SRV _sip._udp.a.example 1 0 5060 us.example, 2 0 5060 h.example\nA us.example 10.0.0.1\n"
         "A h.example 10.0.0.2",
         "sip:a.example", 0, 0, "udp 10.0.0.2:5060"},
        {"SRV _sip._udp.a.example 1 0 5060 us.example\nA us.example 10.0.0.1, 2001:db8::1",
         "sip:a.example", 0, ERR_LOOP, ""},
        {"A a.example 10.0.0.1", "sip:a.example", 0, ERR_LOOP, ""},
        {"A a.example 10.0.0.1", "sips:a.example", 0, ERR_LOOP, ""},
        {"A a.example 10.0.0.1", "sip:a.example:5070", 0, 0,
         "udp 10.0.0.1:5070"},                           /* somebody else */
        {"", "sip:10.0.0.1", 0, 0, "udp 10.0.0.1:5060"}, /* on purpose */
        {"A proxy.example.com 10.0.0.1", "sip:proxy.example.com", 0, 0, "udp 10.0.0.1:5060"},
    };
    (void)state;
    check(rows, sizeof(rows) / sizeof(rows[0]));
}

/* --- more ------------------------------------------------------------------------------------- */

static void at_once_or_later(void **state)
{
    (void)state;
    begin(true);
    zone(ALL, 0);
    assert_int_equal(ask("sip:a.example", false), 1);
    assert_int_equal(x.answers, 1);
    zone(ALL, 5);
    assert_int_equal(ask("sip:a.example", false), 0);
    assert_int_equal(x.answers, 0);
    fake_advance(x.w.loop, 100);
    assert_int_equal(x.answers, 1);
}

static void cancelled_at_each_question(void **state)
{
    (void)state;
    begin(true);
    zone(ALL, 10);
    /* NAPTR, three SRV, three targets: 70 ms. */
    for (unsigned ms = 0; ms < 70; ms += 5) {
        assert_int_equal(ask("sip:a.example", false), 0);
        fake_advance(x.w.loop, ms);
        assert_int_equal(x.answers, 0);
        route_resolve_cancel(&x.q);
        route_resolve_cancel(&x.q);
        assert_int_equal(fake_queries(x.w.loop), 0);
        fake_advance(x.w.loop, 200);
        assert_int_equal(x.answers, 0);
    }
}

static void resolver_that_ends(void **state)
{
    (void)state;
    begin(true);
    zone(ALL, 10);
    assert_int_equal(ask("sip:a.example", false), 0);
    fake_advance(x.w.loop, 25);
    net_resolver_free(&x.resolver);
    assert_int_equal(x.answers, 1);
    assert_int_equal(x.err, ERR_SHUTDOWN);
}

/* What DNS says is no proof: the host of the URI is what a peer has to prove (RFC 5922 4). */
static void host_of_the_uri_is_proved(void **state)
{
    (void)state;
    begin(true);
    zone(ALL, 0);
    assert_int_equal(ask("sips:a.example", false), 1);
    assert_true(slice_eq(flows_tls_name(x.w.flows, x.tls_peer), SLICE("a.example")));
    assert_int_equal(ask("sip:a.example;transport=udp", false), 1);
    assert_int_equal(x.tls_peer, 0);
}

static void many_records_are_bounded(void **state)
{
    char text[4096], name[64], addrs[64];
    struct buf b;
    (void)state;
    begin(true);
    buf_init(&b, text, sizeof(text) - 1);
    for (unsigned i = 0; i < 20; i++) {
        buf_printf(&b, "%s%u 0 5060 h%u.example", i != 0 ? ", " : "", i, i);
        (void)snprintf(name, sizeof(name), "h%u.example", i);
        (void)snprintf(addrs, sizeof(addrs), "10.0.1.%u, 10.0.2.%u", i, i);
        fake_set_host(x.w.loop, name, addrs, 0);
    }
    text[b.len] = '\0';
    fake_set_srv(x.w.loop, "_sip._udp.a.example", text, 0);
    assert_int_equal(ask("sip:a.example", false), 1);
    assert_int_equal(x.n, ROUTE_DESTS_MAX);
    memset(text, 'a', 260);
    memcpy(text, "sip:", 4);
    text[260] = '\0';
    assert_int_equal(ask(text, false), 1);
    assert_int_equal(x.err, ERR_NOT_FOUND);
}

static struct flow_dest dest(const char *addr)
{
    struct flow_dest d = {.transport = SIP_UDP};
    assert_int_equal(addr_parse(slice_str(addr), 0, &d.remote), 0);
    return d;
}

static void failed_addresses_come_last(void **state)
{
    const char *uri = "sip:a.example:5060";
    (void)state;
    begin(true);
    zone("A a.example 10.0.0.2, 10.0.0.3, 10.0.0.4", 0);
    struct flow_dest d = dest("10.0.0.2:5060");
    route_note_failed(x.route, &d);
    expect(uri, false, 0, "udp 10.0.0.3:5060, udp 10.0.0.4:5060, udp 10.0.0.2:5060");
    expect("sip:a.example:5060;transport=tcp", false, 0,
           "tcp 10.0.0.2:5060, tcp 10.0.0.3:5060, tcp 10.0.0.4:5060");
    d = dest("10.0.0.3:5060");
    route_note_failed(x.route, &d);
    expect(uri, false, 0, "udp 10.0.0.4:5060, udp 10.0.0.2:5060, udp 10.0.0.3:5060");
    route_note_alive(x.route, &d);
    expect(uri, false, 0, "udp 10.0.0.3:5060, udp 10.0.0.4:5060, udp 10.0.0.2:5060");
    fake_advance(x.w.loop, 31000);
    expect(uri, false, 0, "udp 10.0.0.2:5060, udp 10.0.0.3:5060, udp 10.0.0.4:5060");
    x.conf.unreachable_ms = 0;
    route_note_failed(x.route, &d);
    expect(uri, false, 0, "udp 10.0.0.2:5060, udp 10.0.0.3:5060, udp 10.0.0.4:5060");
}

/* The log says which name, and what to do about it; not for each request. */
static void loops_are_said(void **state)
{
    (void)state;
    begin(true);
    zone("A a.example 10.0.0.1", 0);
    for (unsigned i = 0; i < 20; i++)
        expect("sip:a.example", false, ERR_LOOP, "");
    assert_int_equal(
        wire_logged(&x.w, "add its name to sip-domains or aliases event=48004 host=a.example"), 5);
}

/* Addresses at which nobody can be: those behind them are used. */
static void nobody_is_left_out(void **state)
{
    (void)state;
    begin(false);
    zone("A a.example 0.0.0.0, 255.255.255.255, 224.0.0.1, 10.0.0.2, ff02::1, ::\n"
         "A none.example 0.0.0.0, 239.1.1.1\n",
         0);
    expect("sip:a.example:5060", false, 0, "udp 10.0.0.2:5060");
    for (unsigned i = 0; i < 20; i++)
        expect("sip:none.example:5060", false, ERR_NOT_FOUND, "");
    assert_int_equal(
        wire_logged(&x.w, "has no address that we can go to event=48003 host=none.example"), 5);
    expect("sip:0.0.0.0", false, ERR_NO_ROUTE, "");
    expect("sip:239.1.1.1:5060", false, ERR_NO_ROUTE, "");
}

static void without_memory(void **state)
{
    (void)state;
    begin(true);
    zone(ALL, 0);
    for (uint64_t n = 1; n < 100; n++) {
        mem_fail_at(n);
        (void)ask("sip:a.example", false);
        bool failed = mem_failed();
        mem_fail_at(0);
        assert_int_equal(x.answers, 1);
        if (!failed) {
            assert_int_equal(x.n, 3);
            return;
        }
        assert_true(x.err == ERR_NOMEM || x.n != 0);
    }
    fail_msg("never without a failure");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(literal_addresses),
        cmocka_unit_test(port_in_the_uri),
        cmocka_unit_test(naptr_selects),
        cmocka_unit_test(transport_in_the_uri),
        cmocka_unit_test(srv_of_each_transport),
        cmocka_unit_test(addresses_without_srv),
        cmocka_unit_test(order_and_both_families),
        cmocka_unit_test(service_not_offered),
        cmocka_unit_test(servers_that_fail),
        cmocka_unit_test(ourselves_are_left_out),
        cmocka_unit_test_teardown(at_once_or_later, end),
        cmocka_unit_test_teardown(cancelled_at_each_question, end),
        cmocka_unit_test_teardown(resolver_that_ends, end),
        cmocka_unit_test_teardown(host_of_the_uri_is_proved, end),
        cmocka_unit_test_teardown(many_records_are_bounded, end),
        cmocka_unit_test_teardown(failed_addresses_come_last, end),
        cmocka_unit_test_teardown(loops_are_said, end),
        cmocka_unit_test_teardown(nobody_is_left_out, end),
        cmocka_unit_test_teardown(without_memory, end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
