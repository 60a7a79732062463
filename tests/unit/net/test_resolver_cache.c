/* SPDX-License-Identifier: Apache-2.0 */
/* What is kept of answers, and for how long. */
#include "base/alloc.h"
#include "dns_rig.h"
#include "rows.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static struct dns_rig d;
static struct dns_heard h, second;

static const char *const zone[] = {
    "sip.test 60 A 192.0.2.1",
    "sip.test 60 A 192.0.2.2",
    "six.test 60 AAAA 2001:db8::1",
    "both.test 60 A 127.0.0.5",
    "both.test 60 A 127.0.0.6",
    "both.test 60 AAAA ::1",
    "both.test 60 AAAA ::2",
    "alias.test 60 CNAME sip.test",
    "short.test 1 A 192.0.2.3",
    "never.test 0 A 192.0.2.4",
    "_sip._udp.test 60 SRV 10 0 5060 sip1.test",
    "_sip._udp.test 60 SRV 20 0 5061 sip2.test",
    "_sips._tcp.test 60 SRV 0 0 0 .",
    "test 60 NAPTR 20 1 s SIP+D2T _sip._tcp.test",
    "test 60 NAPTR 10 1 s SIP+D2U _sip._udp.test",
    "test 60 NAPTR 1 1 u E2U+sip .",
    "gone.test 1 A 192.0.2.5",
    NULL,
};

static const char *const changed[] = {
    "short.test 60 A 198.51.100.3",
    "never.test 0 A 198.51.100.4",
    NULL,
};

static void test_asked_once(void **state)
{
    (void)state;
    dns_rig_start(&d, 1, zone);
    assert_false(dns_ask_host(&d, "SIP.test", &h));
    assert_int_equal(h.n, 2);
    assert_true(dns_heard_ip(&h, "192.0.2.1"));
    assert_int_equal(d.peers[0].asked, 2); /* both families */
    assert_true(dns_ask_host(&d, "sip.test.", &h));
    assert_true(dns_heard_ip(&h, "192.0.2.1"));
    assert_false(dns_ask_host(&d, "alias.test", &h));
    assert_true(dns_heard_ip(&h, "192.0.2.1"));
    assert_int_equal(d.peers[0].asked, 4);
    assert_int_equal(dns_rig_count(&d, CTR_DNS_QUERIES), 4);
    assert_int_equal(dns_rig_count(&d, CTR_DNS_HITS), 1);
    assert_int_equal(dns_rig_count(&d, CTR_DNS_FAILED), 0);

    assert_false(dns_ask_srv(&d, "_sip._udp.test", &h));
    assert_int_equal(h.n, 2);
    assert_int_equal(h.srvs[0].port, 5060);
    assert_true(slice_eq(h.srvs[1].target, SLICE("sip2.test")));
    assert_true(dns_ask_srv(&d, "_SIP._UDP.test", &h));
    assert_int_equal(h.srvs[0].port, 5060);

    assert_false(dns_ask_naptr(&d, "test", &h));
    assert_int_equal(h.n, 2);
    assert_int_equal(h.naptrs[0].order, 10);
    assert_true(slice_eq(h.naptrs[0].service, SLICE("SIP+D2U")));
    assert_true(slice_eq(h.naptrs[1].replacement, SLICE("_sip._tcp.test")));
    assert_true(dns_ask_naptr(&d, "test", &h));
    assert_int_equal(d.peers[0].asked, 6);
    dns_rig_stop(&d);
}

/* RFC 6724 as far as it goes here: what can be reached, IPv6 first, the families in turn. */
static void test_families(void **state)
{
    struct addr one = loopback("[::1]"), source;
    (void)state;
    dns_rig_start(&d, 1, zone);
    assert_false(dns_ask_host(&d, "six.test", &h));
    assert_int_equal(h.n, 1);
    assert_true(dns_heard_ip(&h, "2001:db8::1"));
    assert_false(dns_ask_host(&d, "both.test", &h));
    assert_int_equal(h.n, 4);
    if (net_source_for(d.t.loop, &one, &source) == 0) {
        assert_true(dns_heard_ip(&h, "::1"));
        assert_int_equal(h.addrs[1].family, ADDR_IP4);
        assert_int_equal(h.addrs[2].family, ADDR_IP6);
        assert_int_equal(h.addrs[3].family, ADDR_IP4);
    } else {
        assert_true(dns_heard_ip(&h, "127.0.0.5"));
        assert_int_equal(h.addrs[1].family, ADDR_IP4);
    }
    dns_rig_stop(&d);
}

static void test_absence(void **state)
{
    (void)state;
    dns_rig_start(&d, 1, zone);
    assert_false(dns_ask_host(&d, "nobody.test", &h)); /* no such name */
    assert_int_equal(h.err, ERR_NOT_FOUND);
    assert_true(dns_ask_host(&d, "nobody.test", &h));
    assert_int_equal(h.err, ERR_NOT_FOUND);
    assert_false(dns_ask_srv(&d, "sip.test", &h)); /* no such record */
    assert_int_equal(h.err, ERR_NOT_FOUND);
    assert_true(dns_ask_srv(&d, "sip.test", &h));
    assert_false(dns_ask_srv(&d, "_sips._tcp.test", &h)); /* not offered */
    assert_int_equal(h.err, ERR_UNSUPPORTED);
    assert_true(dns_ask_srv(&d, "_sips._tcp.test", &h));
    assert_int_equal(h.err, ERR_UNSUPPORTED);
    assert_int_equal(d.peers[0].asked, 4);
    assert_int_equal(dns_rig_count(&d, CTR_DNS_FAILED), 0);
    dns_rig_stop(&d);
}

/* What is there is found once the SOA's time is over; the name is not asked for before. */
static void test_absence_ends(void **state)
{
    static const char *const later[] = {"new.test 60 SRV 1 1 5060 sip.test",
                                        "new.test 60 A 192.0.2.9", NULL};
    (void)state;
    dns_rig_start(&d, 1, zone);
    d.peers[0].soa_minimum = 1;
    assert_false(dns_ask_srv(&d, "new.test", &h));
    assert_int_equal(h.err, ERR_NOT_FOUND);
    assert_false(dns_ask_host(&d, "new.test", &second));
    assert_int_equal(second.err, ERR_NOT_FOUND);
    assert_int_equal(d.peers[0].asked, 3);
    d.peers[0].zone = later;
    uint64_t before = net_now(d.t.loop);
    /* One waits for a host, since nothing else can be done without it. */
    while (dns_ask_host(&d, "new.test", &second)) {
        assert_int_equal(second.err, ERR_NOT_FOUND);
        assert_int_equal(d.peers[0].asked, 3);
        assert_true(net_now(d.t.loop) < before + 10000);
        dns_rig_idle(&d, 20);
    }
    assert_true(dns_heard_ip(&second, "192.0.2.9"));
    assert_true(net_now(d.t.loop) >= before + 1000);
    /* That there is no service is stale, and asked anew aside. */
    while (h.err != 0) {
        assert_true(dns_ask_srv(&d, "new.test", &h));
        assert_true(h.err == ERR_NOT_FOUND || h.err == 0);
        assert_true(net_now(d.t.loop) < before + 10000);
        dns_rig_idle(&d, 20);
    }
    assert_int_equal(d.peers[0].asked, 6);
    dns_rig_stop(&d);
}

/* Until the address is that one, asking all the time; everything heard before is `old`. */
static void until_ip(const char *name, const char *old, const char *ip, unsigned *stale)
{
    uint64_t before = net_now(d.t.loop);
    do {
        *stale += dns_ask_host(&d, name, &h);
        assert_true(dns_heard_ip(&h, old) || dns_heard_ip(&h, ip));
        assert_true(net_now(d.t.loop) < before + 10000);
        dns_rig_idle(&d, 5);
    } while (!dns_heard_ip(&h, ip));
}

static void test_change_is_seen(void **state)
{
    unsigned at_once = 0;
    (void)state;
    dns_rig_start(&d, 1, zone);
    assert_false(dns_ask_host(&d, "short.test", &h));
    d.peers[0].zone = changed;
    until_ip("short.test", "192.0.2.3", "198.51.100.3", &at_once);
    /* Nobody waited: what had expired was given at once while it was asked anew. */
    assert_true(dns_rig_count(&d, CTR_DNS_STALE) >= 1);
    assert_int_equal(d.peers[0].asked, 4);
    dns_rig_stop(&d);

    dns_rig_start(&d, 1, zone); /* without stale answers one waits */
    d.conf.max_stale_ms = 0;
    net_resolver_set_conf(d.r, &d.conf);
    assert_false(dns_ask_host(&d, "short.test", &h));
    d.peers[0].zone = changed;
    until_ip("short.test", "192.0.2.3", "198.51.100.3", &at_once);
    assert_int_equal(dns_rig_count(&d, CTR_DNS_STALE), 0);
    dns_rig_stop(&d);
}

static unsigned inner_rc;

static void on_then_again(void *user, int err, const struct addr *addrs, unsigned n)
{
    dns_on_host(user, err, addrs, n);
    inner_rc = (unsigned)net_resolve(d.r, SLICE("never.test"), dns_on_host, &second, NULL);
}

static bool both_heard(void)
{
    return h.calls != 0 && second.calls != 0;
}

/* TTL 0: for those who wait and for the turn in which it came. */
static void test_ttl_zero(void **state)
{
    (void)state;
    dns_rig_start(&d, 1, zone);
    h.calls = second.calls = 0;
    assert_int_equal(net_resolve(d.r, SLICE("never.test"), on_then_again, &h, NULL), 0);
    dns_rig_until(&d, both_heard);
    assert_int_equal(inner_rc, 1);
    assert_true(dns_heard_ip(&second, "192.0.2.4"));
    assert_int_equal(d.peers[0].asked, 2);
    dns_rig_idle(&d, 3);
    d.peers[0].zone = changed;
    assert_false(dns_ask_host(&d, "never.test", &h));
    assert_true(dns_heard_ip(&h, "198.51.100.4"));
    /* With dead servers the last answer there was goes on. */
    d.peers[0].mood = DNS_SILENT;
    dns_rig_idle(&d, 3);
    assert_false(dns_ask_host(&d, "never.test", &h));
    assert_true(dns_heard_ip(&h, "198.51.100.4"));
    assert_int_equal(dns_rig_count(&d, CTR_DNS_STALE), 1);
    dns_rig_stop(&d);
}

#define MANY 300

static struct dns_heard many[MANY];
static uint64_t queries[MANY];
static unsigned heard;

static void on_many(void *user, int err, const struct addr *addrs, unsigned n)
{
    struct dns_heard *mine = user;
    assert_int_equal(mine->calls, 0);
    dns_on_host(user, err, addrs, n);
    heard++;
    /* The one behind does not want to know any more. */
    size_t i = (size_t)(mine - many);
    if (i + 1 < MANY && i % 2 == 0)
        net_resolve_cancel(d.r, queries[i + 1]);
    net_resolve_cancel(d.r, queries[i]); /* nothing */
}

static bool half_heard(void)
{
    return heard >= MANY / 2;
}

static void test_many_wait_for_one(void **state)
{
    (void)state;
    dns_rig_start(&d, 1, zone);
    memset(many, 0, sizeof(many));
    heard = 0;
    for (unsigned i = 0; i < MANY; i++)
        assert_int_equal(net_resolve(d.r, SLICE("sip.test"), on_many, &many[i], &queries[i]), 0);
    dns_rig_until(&d, half_heard);
    dns_rig_idle(&d, 5);
    assert_int_equal(heard, MANY / 2);
    assert_int_equal(d.peers[0].asked, 2);
    for (unsigned i = 0; i < MANY; i++)
        assert_int_equal(many[i].calls, i % 2 == 0);
    dns_rig_stop(&d);
}

static void test_free_under_way(void **state)
{
    (void)state;
    dns_rig_start(&d, 2, zone);
    memset(many, 0, sizeof(many));
    for (unsigned i = 0; i < 30; i++) {
        char name[32];
        snprintf(name, sizeof(name), "n%u.test", i % 10);
        struct slice s = slice_str(name);
        if (i % 3 == 0)
            (void)net_resolve(d.r, s, dns_on_host, &many[i], &queries[i]);
        else if (i % 3 == 1)
            (void)net_resolve_srv(d.r, s, dns_on_srv, &many[i], &queries[i]);
        else
            (void)net_resolve_naptr(d.r, s, dns_on_naptr, &many[i], &queries[i]);
    }
    net_resolve_cancel(d.r, queries[4]);
    net_resolver_free(&d.r);
    for (unsigned i = 0; i < 30; i++) {
        assert_int_equal(many[i].calls, i != 4);
        assert_int_equal(many[i].err, i != 4 ? ERR_SHUTDOWN : 0);
    }
    dns_rig_stop(&d);
}

static struct rows rows;

static void list(void)
{
    const struct row_sink sink = rows_begin(&rows);
    net_resolver_rows(d.r, &sink);
}

static void test_rows_and_forget(void **state)
{
    (void)state;
    dns_rig_start(&d, 1, zone);
    dns_ask_host(&d, "both.test", &h);
    dns_ask_host(&d, "both.test", &h);
    dns_ask_srv(&d, "_sip._udp.test", &h);
    dns_ask_naptr(&d, "test", &h);
    dns_ask_host(&d, "nobody.test", &h);
    dns_ask_srv(&d, "_sips._tcp.test", &h);
    list();
    assert_int_equal(rows.n, 6);
    assert_true(rows_have(&rows, " state=in-use questions=7 failures=0 avoided_ms=0\n"));
    assert_true(rows_have(&rows, "resolver_name name=both.test type=host "
                                 "answer=\"127.0.0.5, 127.0.0.6, ::1, ::2\" ttl_s=60 state=fresh "
                                 "expired_s=0 asked=false failures=0 last_error=\"\" hits=1\n"));
    assert_true(rows_have(&rows, "resolver_name name=_sip._udp.test type=srv "
                                 "answer=\"10 0 5060 sip1.test, 20 0 5061 sip2"));
    assert_true(rows_have(&rows, "resolver_name name=test type=naptr "
                                 "answer=\"10 1 s SIP+D2U _sip._udp.test, 20 1 s SIP"));
    assert_true(rows_have(&rows, "name=nobody.test type=host answer=none ttl_s=60 state=fresh "));
    assert_true(rows_have(&rows, "name=_sips._tcp.test type=srv answer=\"not offered\" "));

    assert_int_equal(net_resolver_forget(d.r, SLICE("both.test")), 1);
    assert_int_equal(net_resolver_forget(d.r, SLICE("both.test")), 0);
    assert_false(dns_ask_host(&d, "both.test", &h));
    assert_int_equal(net_resolver_forget(d.r, SLICE_NONE), 5);
    list();
    assert_int_equal(rows.n, 1);
    assert_false(dns_ask_srv(&d, "_sip._udp.test", &h));
    dns_rig_stop(&d);
}

static void on_forget(void *user, int err, const struct net_srv *records, unsigned n)
{
    (void)net_resolver_forget(d.r, SLICE_NONE); /* what the records are read from stays */
    dns_on_srv(user, err, records, n);
}

static bool is_heard_once(void)
{
    return h.calls == 1;
}

static void test_forget_inside(void **state)
{
    (void)state;
    dns_rig_start(&d, 1, zone);
    for (unsigned i = 0; i < 2; i++) { /* from the wire, then from the cache */
        h.calls = 0;
        if (net_resolve_srv(d.r, SLICE("_sip._udp.test"), on_forget, &h, NULL) == 0)
            dns_rig_until(&d, is_heard_once);
        assert_int_equal(h.calls, 1);
        assert_int_equal(h.n, 2);
        assert_true(slice_eq(h.srvs[0].target, SLICE("sip1.test")));
        dns_ask_srv(&d, "_sip._udp.test", &second);
    }
    h.calls = 0;
    assert_int_equal(net_resolve(d.r, SLICE("sip.test"), dns_on_host, &h, NULL), 0);
    (void)net_resolver_forget(d.r, SLICE("sip.test")); /* it is asked for just now */
    dns_rig_until(&d, is_heard_once);
    assert_true(dns_heard_ip(&h, "192.0.2.1"));
    dns_rig_stop(&d);
}

static void write_file(const char *path, const char *text)
{
    FILE *f = fopen(path, "we");
    assert_non_null(f);
    assert_true(fputs(text, f) >= 0);
    assert_int_equal(fclose(f), 0);
}

/* The hosts file comes before the servers; it is looked at again. */
static void test_hosts(void **state)
{
    char path[] = "/tmp/test-hosts-XXXXXX";
    int fd = mkstemp(path);
    (void)state;
    assert_true(fd >= 0);
    close(fd);
    dns_rig_start(&d, 1, zone);
    dns_set_files(d.r, "/nonexistent/resolv.conf", path);
    write_file(path, "# 10.0.0.1 sip.test\n10.0.0.2\tother SIP.test # sip.test\n::1 sip.test\n"
                     "10.0.0.2 sip.test\nnonsense sip.test\n10.0.0.3");
    assert_true(dns_ask_host(&d, "sip.test", &h));
    assert_int_equal(h.n, 2);
    assert_int_equal(d.peers[0].asked, 0);
    assert_true(dns_ask_host(&d, "a.localhost", &h));
    assert_true(addr_is_loopback(&h.addrs[0]));
    assert_false(dns_ask_host(&d, "both.test", &h));

    write_file(path, "10.0.0.77 late.test\n");
    uint64_t before = net_now(d.t.loop);
    do {
        (void)net_resolver_forget(d.r, SLICE("late.test"));
        dns_ask_host(&d, "late.test", &h);
        assert_true(net_now(d.t.loop) < before + 10000);
        dns_rig_idle(&d, 20);
    } while (!dns_heard_ip(&h, "10.0.0.77"));
    dns_rig_stop(&d);
    unlink(path);
}

/* Names that do not exist cannot push out those that do. */
static void test_full_of_nothing(void **state)
{
    char name[32];
    (void)state;
    dns_rig_start(&d, 1, zone);
    assert_false(dns_ask_srv(&d, "_sip._udp.test", &h));
    for (unsigned i = 0; i < 4500; i++) {
        snprintf(name, sizeof(name), "n%u.test", i);
        assert_int_equal(net_resolve_srv(d.r, slice_str(name), dns_on_srv, &second, NULL), 0);
        if (i % 50 == 0)
            dns_ask_srv(&d, name, &h);
    }
    dns_ask_srv(&d, "last.test", &h);
    assert_int_equal(h.err, ERR_NOT_FOUND);
    assert_true(dns_ask_srv(&d, "_sip._udp.test", &h));
    assert_int_equal(h.n, 2);
    assert_true(net_resolver_forget(d.r, SLICE_NONE) <= 4096);
    dns_rig_stop(&d);
}

/* More at a time than names are kept: an error at once, and those under way go on. */
static void test_full_of_questions(void **state)
{
    unsigned refused = 0;
    char name[32];
    (void)state;
    dns_rig_start(&d, 1, zone);
    d.peers[0].mood = DNS_SILENT;
    for (unsigned i = 0; i < 4100; i++) {
        second.calls = 0;
        snprintf(name, sizeof(name), "n%u.test", i);
        if (net_resolve_srv(d.r, slice_str(name), dns_on_srv, &second, NULL) == 1) {
            assert_int_equal(second.err, ERR_FULL);
            refused++;
        }
    }
    assert_int_equal(refused, 4);
    dns_rig_stop(&d);
}

/* Two resolvers, as two workers have them: what one has learnt the other one need not ask for, and
 * knows when the servers are dead. */
static void test_shared(void **state)
{
    struct net_names *names;
    struct net_resolver *first, *other;
    (void)state;
    assert_int_equal(net_names_new(&names), 0);
    dns_rig_start(&d, 1, zone);
    first = d.r;
    assert_int_equal(net_resolver_new(d.t.loop, &d.conf, &d.t.counters, &other), 0);
    dns_set_files(other, "/nonexistent/resolv.conf", "/nonexistent/hosts");
    net_resolver_share(first, names);
    net_resolver_share(other, names);
    assert_false(dns_ask_host(&d, "both.test", &h));
    assert_false(dns_ask_host(&d, "short.test", &h));
    assert_false(dns_ask_srv(&d, "_sip._udp.test", &h));
    assert_false(dns_ask_naptr(&d, "test", &h));
    assert_false(dns_ask_srv(&d, "nobody.test", &h));
    unsigned asked = d.peers[0].asked;
    d.r = other;
    assert_true(dns_ask_host(&d, "both.test", &h));
    assert_int_equal(h.n, 4);
    assert_true(dns_ask_srv(&d, "_sip._udp.test", &h));
    assert_int_equal(h.n, 2);
    assert_true(slice_eq(h.srvs[1].target, SLICE("sip2.test")));
    assert_true(dns_ask_naptr(&d, "test", &h));
    assert_true(slice_eq(h.naptrs[1].service, SLICE("SIP+D2T")));
    assert_true(slice_eq(h.naptrs[1].replacement, SLICE("_sip._tcp.test")));
    assert_true(dns_ask_srv(&d, "nobody.test", &h));
    assert_int_equal(h.err, ERR_NOT_FOUND);
    assert_int_equal(d.peers[0].asked, asked);

    d.peers[0].mood = DNS_SILENT;
    dns_rig_idle(&d, 1100); /* its TTL */
    assert_true(dns_ask_host(&d, "short.test", &h));
    assert_true(dns_heard_ip(&h, "192.0.2.3"));
    d.peers[0].mood = DNS_GOOD;
    assert_int_equal(net_resolver_forget(other, SLICE("_sip._udp.test")), 1);
    assert_false(dns_ask_srv(&d, "_sip._udp.test", &h)); /* not from the first one */
    net_resolver_free(&d.r);
    d.r = first;
    dns_rig_stop(&d);
    net_names_free(&names);
    assert_null(names);
    net_names_free(&names);
}

/* Whatever allocation fails, every callback comes once, and what was under way ends. */
static void test_no_memory(void **state)
{
    (void)state;
    for (uint64_t n = 1; n < 90; n++) {
        struct net_names *names = NULL;
        dns_rig_start(&d, 1, zone);
        mem_fail_at(n);
        int rc = net_names_new(&names);
        assert_true(rc == 0 || rc == ERR_NOMEM);
        net_resolver_share(d.r, names);
        dns_ask_host(&d, "both.test", &h);
        assert_true(h.err == 0 || h.err < 0);
        dns_ask_srv(&d, "_sip._udp.test", &h);
        dns_ask_naptr(&d, "test", &h);
        dns_ask_srv(&d, "nobody.test", &h);
        bool was_hit = mem_failed();
        mem_fail_at(0);
        dns_ask_srv(&d, "_sip._udp.test", &h);
        assert_true(h.err == 0 || h.err == ERR_NOMEM || h.err == ERR_DNS_SILENT);
        dns_rig_stop(&d);
        net_names_free(&names);
        if (!was_hit)
            return;
    }
    fail_msg("there is no end of allocations");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_asked_once),
        cmocka_unit_test(test_families),
        cmocka_unit_test(test_absence),
        cmocka_unit_test(test_absence_ends),
        cmocka_unit_test(test_change_is_seen),
        cmocka_unit_test(test_ttl_zero),
        cmocka_unit_test(test_many_wait_for_one),
        cmocka_unit_test(test_free_under_way),
        cmocka_unit_test(test_rows_and_forget),
        cmocka_unit_test(test_forget_inside),
        cmocka_unit_test(test_hosts),
        cmocka_unit_test(test_full_of_nothing),
        cmocka_unit_test(test_full_of_questions),
        cmocka_unit_test(test_shared),
        cmocka_unit_test(test_no_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
