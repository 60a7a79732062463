/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <arpa/inet.h>
#include <net/if.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

#include "base/addr.h"
#include "base/random.h"

static struct addr parse(const char *text)
{
    struct addr a;

    if (addr_parse(slice_str(text), 5060, &a) != 0 && addr_parse_ip(slice_str(text), 5060, &a) != 0)
        fail_msg("%s", text);
    return a;
}

/* What is read, and how it is written: RFC 5952 sections 4 and 6. */
static void test_texts(void **state)
{
    static const struct {
        const char *text, *written;
    } rows[] = {
        {"10.0.0.1", "10.0.0.1:5060"},
        {"10.0.0.1:5061", "10.0.0.1:5061"},
        {"0.0.0.0:0", "0.0.0.0:0"},
        {"255.255.255.255:65535", "255.255.255.255:65535"},
        {"192.0.2.7:05060", "192.0.2.7:5060"},
        {"[::1]:5061", "[::1]:5061"},
        {"[::1]", "[::1]:5060"},
        {"::1", "[::1]:5060"},
        {"::", "[::]:5060"},
        {"2001:0DB8::0001", "[2001:db8::1]:5060"},
        {"2001:db8:0:0:0:0:2:1", "[2001:db8::2:1]:5060"},
        {"2001:db8:0:1:1:1:1:1", "[2001:db8:0:1:1:1:1:1]:5060"},
        {"2001:db8::1:1:1:1:1", "[2001:db8:0:1:1:1:1:1]:5060"},
        {"2001:0:0:1:0:0:0:1", "[2001:0:0:1::1]:5060"},
        {"2001:db8:0:0:1:0:0:1", "[2001:db8::1:0:0:1]:5060"},
        {"1:0:0:0:0:0:0:0", "[1::]:5060"},
        {"0:0:0:0:0:0:0:1", "[::1]:5060"},
        {"0:1:2:3:4:5:6:7", "[0:1:2:3:4:5:6:7]:5060"},
        {"1:2:3:4:5:6:0:0", "[1:2:3:4:5:6::]:5060"},
        {"ABCD:EF01:2345:6789:abcd:ef01:2345:6789",
         "[abcd:ef01:2345:6789:abcd:ef01:2345:6789]:5060"},
        {"64:ff9b::192.0.2.33", "[64:ff9b::c000:221]:5060"},
        {"::ffff:192.0.2.33", "192.0.2.33:5060"},
        {"[::ffff:c000:221]:7", "192.0.2.33:7"},
        {"::fffe:192.0.2.33", "[::fffe:c000:221]:5060"},
        {"fe80::1", "[fe80::1]:5060"},
        {"fe80::1%7", "[fe80::1%7]:5060"},
        {"[febf::1%4294967295]:1", "[febf::1%4294967295]:1"},
    };
    char text[ADDR_TEXT_MAX];

    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct addr a = parse(rows[i].text), again;
        assert_string_equal(addr_write(&a, text), rows[i].written);
        assert_int_equal(addr_parse(slice_str(text), 1, &again), 0);
        assert_true(addr_eq(&a, &again));
    }
}

static void test_bad(void **state)
{
    static const char *const bad[] = {
        "",
        " ",
        "10",
        "10.0.0",
        "10.0.0.",
        "10.0.0.1.",
        "10.0.0.1.2",
        ".10.0.0.1",
        "10..0.1",
        "10.0.0.256",
        "10.0.0.0001",
        "10.0.0.01",
        "010.0.0.1",
        "10.0.0.-1",
        "10.0.0.+1",
        "0x10.0.0.1",
        " 10.0.0.1",
        "10.0.0.1 ",
        "10.0.0.1%1",
        "[10.0.0.1]",
        "[10.0.0.1]:5060",
        "10.0.0.1:",
        "10.0.0.1:65536",
        "10.0.0.1:100000",
        "10.0.0.1:000001",
        "10.0.0.1:-1",
        "10.0.0.1:+1",
        "10.0.0.1: 1",
        "10.0.0.1:5060:",
        "10.0.0.1:5060x",
        "[]",
        "[",
        "]",
        "[]:5060",
        "[::1",
        "::1]",
        "[::1]]",
        "[[::1]]",
        "[::1]5060",
        "[::1]:",
        "[::1]:x",
        "[::1]:65536",
        "[::1]x:1",
        ":",
        ":::",
        ":1",
        "1:",
        "1::2::3",
        "1:2:3:4:5:6:7",
        "1:2:3:4:5:6:7:8:9",
        "1:2:3:4:5:6:7:8::",
        "12345::",
        "g::1",
        "::1.2.3",
        "::1.2.3.256",
        "1.2.3.4::",
        "::1%",
        "::1%1",
        "fe80::1%",
        "fe80::1%0",
        "fe80::1%4294967296",
        "fe80::1%no-such-interface",
        "fe80::1%a-name-that-is-longer-than-any-interface",
        "2001:db8::1%2",
        "localhost",
        "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff",
    };
    struct addr a, before;

    (void)state;
    memset(&a, 0x5a, sizeof(a));
    before = a;
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        if (addr_parse(slice_str(bad[i]), 5060, &a) == 0 ||
            addr_parse_ip(slice_str(bad[i]), 5060, &a) == 0)
            fail_msg("\"%s\" was taken", bad[i]);
        assert_memory_equal(&a, &before, sizeof(a));
    }
    assert_int_equal(addr_parse(SLICE_NONE, 1, &a), ERR_PARSE);
    assert_int_equal(addr_parse_ip(SLICE_NONE, 1, &a), ERR_PARSE);
    /* A NUL ends nothing. */
    assert_int_equal(addr_parse_ip(SLICE("::1\0x"), 1, &a), ERR_PARSE);
    assert_int_equal(addr_parse_ip(SLICE("10.0.0.1\0"), 1, &a), ERR_PARSE);
    assert_int_equal(addr_parse(SLICE("10.0.0.1:5\0"), 1, &a), ERR_PARSE);
    assert_int_equal(addr_parse_ip(SLICE("fe80::1%1\0"), 1, &a), ERR_PARSE);
    /* With a port IPv6 needs its brackets; alone it does not. */
    assert_int_equal(addr_parse(SLICE("::1"), 1, &a), ERR_PARSE);
    assert_int_equal(addr_parse_ip(SLICE("10.0.0.1:5060"), 1, &a), ERR_PARSE);
    assert_int_equal(addr_parse_ip(SLICE("[::1]:5060"), 1, &a), ERR_PARSE);
}

/* Every text that inet_ntop makes is read as the same address, and what we write is read by
 * inet_pton. */
static void test_against_libc(void **state)
{
    char theirs[INET6_ADDRSTRLEN], ours[ADDR_TEXT_MAX];
    uint8_t ip[16], back[16];
    struct addr a;
    struct rng rng;

    (void)state;
    rng_seed(&rng, 11);
    for (int round = 0; round < 20000; round++) {
        int family = round % 2 == 0 ? AF_INET : AF_INET6;
        size_t len = family == AF_INET ? 4 : 16;
        for (size_t i = 0; i < 16; i += 2) {
            uint64_t zero = rng_below(&rng, 2) - 1;
            ip[i] = (uint8_t)(rng_next(&rng) & zero);
            ip[i + 1] = (uint8_t)(rng_next(&rng) & zero);
        }
        assert_non_null(inet_ntop(family, ip, theirs, sizeof(theirs)));
        assert_int_equal(addr_parse_ip(slice_str(theirs), 9, &a), 0);
        if (family == AF_INET6 && a.family == ADDR_IP4)
            continue; /* an IPv4-mapped one */
        assert_memory_equal(a.ip, ip, len);
        assert_int_equal(inet_pton(family, addr_write_ip(&a, false, ours), back), 1);
        assert_memory_equal(back, ip, len);
    }
}

static void test_write_ip(void **state)
{
    struct addr a = parse("2001:db8::1"), b = parse("10.0.0.1"), none = {0}, longest = {0};
    char text[ADDR_TEXT_MAX];

    (void)state;
    assert_string_equal(addr_write_ip(&a, false, text), "2001:db8::1");
    assert_string_equal(addr_write_ip(&a, true, text), "[2001:db8::1]");
    assert_string_equal(addr_write_ip(&b, true, text), "10.0.0.1");
    assert_string_equal(addr_write(&none, text), "-");
    assert_string_equal(addr_write_ip(&none, true, text), "-");
    memset(longest.ip, 0xff, 16);
    longest.family = ADDR_IP6;
    longest.port = UINT16_MAX;
    longest.scope = UINT32_MAX;
    assert_string_equal(addr_write(&longest, text),
                        "[ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff%4294967295]:65535");
}

static void test_scope_by_name(void **state)
{
    char name[IF_NAMESIZE], text[64];
    struct addr a;

    (void)state;
    if (if_indextoname(1, name) == NULL) {
        print_message("there is no interface 1\n");
        skip();
    }
    snprintf(text, sizeof(text), "[fe80::1%%%s]:5060", name);
    a = parse(text);
    assert_int_equal(a.scope, 1);
}

static void test_sockaddr(void **state)
{
    static const char *const texts[] = {"10.1.2.3:5060", "[2001:db8::7]:5061", "[fe80::1%3]:5062"};
    struct sockaddr_storage sa;
    struct sockaddr_in6 in6 = {.sin6_family = AF_INET6, .sin6_port = htons(80)};
    struct addr a, b;

    (void)state;
    for (size_t i = 0; i < 3; i++) {
        a = parse(texts[i]);
        memset(&sa, 0xff, sizeof(sa));
        assert_int_equal(addr_to_sockaddr(&a, (struct sockaddr *)&sa),
                         i == 0 ? sizeof(struct sockaddr_in) : sizeof(struct sockaddr_in6));
        assert_int_equal(addr_from_sockaddr((struct sockaddr *)&sa, &b), 0);
        assert_true(addr_eq(&a, &b));
    }
    inet_pton(AF_INET6, "::ffff:10.1.2.3", &in6.sin6_addr);
    assert_int_equal(addr_from_sockaddr((struct sockaddr *)&in6, &b), 0);
    a = parse("10.1.2.3:80");
    assert_true(addr_eq(&a, &b));
    /* An interface counts only where the address has a meaning just there. */
    inet_pton(AF_INET6, "2001:db8::1", &in6.sin6_addr);
    in6.sin6_scope_id = 4;
    assert_int_equal(addr_from_sockaddr((struct sockaddr *)&in6, &b), 0);
    assert_int_equal(b.scope, 0);

    a = (struct addr){0};
    assert_int_equal(addr_to_sockaddr(&a, (struct sockaddr *)&sa), 0);
    sa.ss_family = AF_UNIX;
    assert_int_equal(addr_from_sockaddr((struct sockaddr *)&sa, &b), ERR_UNSUPPORTED);
}

static void test_equal_and_hash(void **state)
{
    static const char *const texts[] = {
        "10.0.0.1:5060", "10.0.0.2:5060",    "10.0.0.1:5061",    "[::1]:5060",
        "[::2]:5060",    "[fe80::1%1]:5060", "[fe80::1%2]:5060", "[a00:1::]:5060",
    };
    struct addr a, b;

    (void)state;
    for (size_t i = 0; i < 8; i++) {
        a = parse(texts[i]);
        for (size_t j = 0; j < 8; j++) {
            b = parse(texts[j]);
            assert_true(addr_eq(&a, &b) == (i == j));
            assert_true((addr_hash(&a) == addr_hash(&b)) == (i == j));
        }
    }
    a = parse("10.0.0.1:1");
    b = parse("10.0.0.1:2");
    assert_true(addr_eq_ip(&a, &b));
    b = parse("10.0.0.2:1");
    assert_false(addr_eq_ip(&a, &b));
    a = parse("[fe80::1%1]:1");
    b = parse("[fe80::1%2]:1");
    assert_false(addr_eq_ip(&a, &b));
}

/* The addresses and ports of one network spread over the buckets of a table. */
static void test_hash_spreads(void **state)
{
    static unsigned bucket[1024];
    struct addr a = parse("10.0.0.0:5060");
    unsigned most = 0;

    (void)state;
    for (unsigned i = 0; i < 16 * 1024; i++) {
        a.ip[2] = (uint8_t)(i >> 8);
        a.ip[3] = (uint8_t)i;
        unsigned n = ++bucket[addr_hash(&a) % 1024];
        most = n > most ? n : most;
    }
    assert_true(most < 48);
}

static void test_kinds(void **state)
{
    static const struct {
        const char *text;
        bool any, loopback;
    } rows[] = {
        {"0.0.0.0", true, false},
        {"::", true, false},
        {"127.0.0.1", false, true},
        {"127.255.255.254", false, true},
        {"::1", false, true},
        {"128.0.0.1", false, false},
        {"::2", false, false},
        {"10.0.0.1", false, false},
        {"::ffff:127.0.0.1", false, true},
        {"::ffff:0.0.0.0", true, false},
    };
    struct addr none = {0};

    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct addr a = parse(rows[i].text);
        assert_true(addr_is_any(&a) == rows[i].any);
        assert_true(addr_is_loopback(&a) == rows[i].loopback);
    }
    static const char *const nobody[] = {"0.0.0.0", "::",     "224.0.0.1",      "239.255.255.255",
                                         "ff02::1", "ff00::", "255.255.255.255"};
    static const char *const hosts[] = {"10.0.0.1", "223.255.255.255", "240.0.0.1",  "127.0.0.1",
                                        "::1",      "fe80::1",         "2001:db8::1"};
    for (size_t i = 0; i < 7; i++) {
        struct addr a = parse(nobody[i]), b = parse(hosts[i]);
        assert_false(addr_is_host(&a));
        assert_true(addr_is_host(&b));
    }
    assert_false(addr_is_any(&none));
    assert_false(addr_is_loopback(&none));
}

static void test_nets(void **state)
{
    static const struct {
        const char *net, *in, *out;
    } rows[] = {
        {"10.0.0.0/8", "10.255.255.255", "11.0.0.0"},
        {"10.9.8.7/8", "10.0.0.0", "9.255.255.255"},
        {"192.168.1.7", "192.168.1.7", "192.168.1.6"},
        {"192.168.1.7/32", "192.168.1.7", "192.168.1.6"},
        {"172.16.0.0/12", "172.31.255.255", "172.32.0.0"},
        {"10.0.0.128/25", "10.0.0.255", "10.0.0.127"},
        {"10.0.0.254/31", "10.0.0.255", "10.0.0.253"},
        {"0.0.0.0/0", "203.0.113.9", "::1"},
        {"::/0", "2001:db8::1", "10.0.0.1"},
        {"::1", "::1", "::2"},
        {"[::1]/128", "::1", "::"},
        {"fe80::/10", "fe80::1%3", "fec0::1"},
        {"fe80::%3/10", "fe80::1%3", "fe80::1%4"},
        {"2001:db8::/33", "2001:db8:7fff::", "2001:db8:8000::"},
        {"::ffff:10.0.0.0/104", "10.1.2.3", "11.1.2.3"},
        {"::ffff:0:0/96", "10.1.2.3", "::1"},
        {"::ffff:10.0.0.1", "10.0.0.1", "10.0.0.2"},
    };
    struct addr_net net;
    struct addr in, out;

    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        assert_int_equal(addr_net_parse(slice_str(rows[i].net), &net), 0);
        in = parse(rows[i].in);
        out = parse(rows[i].out);
        if (!addr_net_has(&net, &in) || addr_net_has(&net, &out))
            fail_msg("%s", rows[i].net);
        assert_int_equal(net.base.port, 0);
    }
    assert_int_equal(addr_net_parse(SLICE("10.9.8.7/8"), &net), 0);
    in = parse("10.0.0.0");
    assert_true(addr_eq_ip(&net.base, &in));
    in = (struct addr){0};
    assert_false(addr_net_has(&net, &in));
}

static void test_bad_nets(void **state)
{
    struct addr_net net;

    (void)state;
    assert_int_equal(addr_net_parse(SLICE("10.0.0.0/33"), &net), ERR_RANGE);
    assert_int_equal(addr_net_parse(SLICE("::/129"), &net), ERR_RANGE);
    assert_int_equal(addr_net_parse(SLICE("10.0.0.0/99999999999999999999"), &net), ERR_RANGE);
    assert_int_equal(addr_net_parse(SLICE("::ffff:10.0.0.0/95"), &net), ERR_RANGE);
    assert_int_equal(addr_net_parse(SLICE("10.0.0.0/"), &net), ERR_PARSE);
    assert_int_equal(addr_net_parse(SLICE("10.0.0.0/-1"), &net), ERR_PARSE);
    assert_int_equal(addr_net_parse(SLICE("10.0.0.0/8/8"), &net), ERR_PARSE);
    assert_int_equal(addr_net_parse(SLICE("10.0.0.0/255.0.0.0"), &net), ERR_PARSE);
    assert_int_equal(addr_net_parse(SLICE("10.0.0.0:5060/8"), &net), ERR_PARSE);
    assert_int_equal(addr_net_parse(SLICE("/8"), &net), ERR_PARSE);
    assert_int_equal(addr_net_parse(SLICE_NONE, &net), ERR_PARSE);
}

static void test_net_lists(void **state)
{
    struct addr_net nets[2];
    struct addr a = parse("127.9.9.9"), b = parse("::1"), c = parse("10.0.0.1");

    (void)state;
    assert_int_equal(addr_net_parse(SLICE("127.0.0.0/8"), &nets[0]), 0);
    assert_int_equal(addr_net_parse(SLICE("::1"), &nets[1]), 0);
    assert_true(addr_nets_have(nets, 2, &a));
    assert_true(addr_nets_have(nets, 2, &b));
    assert_false(addr_nets_have(nets, 2, &c));
    assert_false(addr_nets_have(nets, 1, &b));
    assert_false(addr_nets_have(NULL, 0, &a));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_texts),          cmocka_unit_test(test_bad),
        cmocka_unit_test(test_against_libc),   cmocka_unit_test(test_write_ip),
        cmocka_unit_test(test_scope_by_name),  cmocka_unit_test(test_sockaddr),
        cmocka_unit_test(test_equal_and_hash), cmocka_unit_test(test_hash_spreads),
        cmocka_unit_test(test_kinds),          cmocka_unit_test(test_nets),
        cmocka_unit_test(test_bad_nets),       cmocka_unit_test(test_net_lists),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
