/* SPDX-License-Identifier: Apache-2.0 */
#include "net/dns.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/random.h"
#include "dns_make.h"

static struct dns_out o;
static struct dns_answer a;

/* On a copy that ends where its allocation ends. */
static int parse(unsigned type)
{
    uint8_t *copy = malloc(o.len != 0 ? o.len : 1);
    assert_non_null(copy);
    memcpy(copy, o.bytes, o.len);
    int rc = dns_answer_parse(copy, o.len, type, &a);
    free(copy);
    return rc;
}

static void assert_slice(struct slice s, const char *text)
{
    assert_int_equal(s.len, strlen(text));
    assert_memory_equal(s.ptr, text, s.len);
}

static void assert_addr(unsigned i, const char *ip)
{
    struct addr want;
    assert_int_equal(addr_parse_ip(slice_str(ip), 0, &want), 0);
    assert_true(i < a.n);
    assert_true(addr_eq(&a.addrs[i], &want));
}

static void test_addresses(void **state)
{
    (void)state;
    dns_begin(&o, 1, "Sip.Test", DNS_A, 0);
    dns_put_text(&o, "sip.test", 60, "A 192.0.2.1");
    dns_put_text(&o, "SIP.test", 30, "A 192.0.2.2");
    dns_put_text(&o, "other.test", 5, "A 192.0.2.3");
    dns_put_text(&o, "sip.test", 5, "AAAA 2001:db8::1");
    assert_int_equal(parse(DNS_A), 0);
    assert_int_equal(a.n, 2);
    assert_int_equal(a.ttl, 30);
    assert_addr(0, "192.0.2.1");
    assert_addr(1, "192.0.2.2");

    dns_begin(&o, 1, "sip.test", DNS_AAAA, 0);
    dns_put_text(&o, "sip.test", 7, "AAAA 2001:db8::1");
    dns_put_text(&o, "sip.test", 7, "AAAA ::ffff:192.0.2.9"); /* written as IPv6 */
    assert_int_equal(parse(DNS_AAAA), 0);
    assert_addr(0, "2001:db8::1");

    /* More than are taken: the first ones. */
    dns_begin(&o, 1, "many.test", DNS_A, 0);
    for (unsigned i = 0; i < 20; i++) {
        char text[32];
        snprintf(text, sizeof(text), "A 192.0.2.%u", i);
        dns_put_text(&o, "many.test", 60, text);
    }
    assert_int_equal(parse(DNS_A), 0);
    assert_int_equal(a.n, NET_ADDRS_MAX);
    assert_int_equal(a.left, 20 - NET_ADDRS_MAX);
    assert_addr(7, "192.0.2.7");

    /* "Any" is no address to send to. */
    dns_begin(&o, 1, "any.test", DNS_A, 0);
    dns_put_text(&o, "any.test", 60, "A 0.0.0.0");
    assert_int_equal(parse(DNS_A), 0);
    assert_int_equal(a.n, 0);
}

static void test_ttl(void **state)
{
    static const struct {
        uint32_t ttl, want;
    } cases[] = {{0, 0}, {1, 1}, {0x7fffffff, 0x7fffffff}, {0x80000000, 0}, {0xffffffff, 0}};
    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        dns_begin(&o, 1, "a.test", DNS_A, 0);
        dns_put_text(&o, "a.test", cases[i].ttl, "A 192.0.2.1");
        assert_int_equal(parse(DNS_A), 0);
        assert_int_equal(a.ttl, cases[i].want);
    }
    /* An alias counts as well. */
    dns_begin(&o, 1, "a.test", DNS_A, 0);
    dns_put_text(&o, "a.test", 10, "CNAME b.test");
    dns_put_text(&o, "b.test", 60, "A 192.0.2.1");
    assert_int_equal(parse(DNS_A), 0);
    assert_int_equal(a.ttl, 10);
}

/* A chain of `n` aliases, the records in the wrong order. */
static void make_chain(unsigned n)
{
    char owner[32], text[40];
    dns_begin(&o, 1, "c0.test", DNS_A, 0);
    snprintf(owner, sizeof(owner), "c%u.test", n);
    dns_put_text(&o, owner, 60, "A 192.0.2.1");
    for (unsigned i = n; i-- > 0;) {
        snprintf(owner, sizeof(owner), "c%u.test", i);
        snprintf(text, sizeof(text), "CNAME c%u.test", i + 1);
        dns_put_text(&o, owner, 60, text);
    }
}

static void test_aliases(void **state)
{
    (void)state;
    make_chain(DNS_CNAMES_MAX);
    assert_int_equal(parse(DNS_A), 0);
    assert_int_equal(a.n, 1);
    make_chain(DNS_CNAMES_MAX + 1);
    assert_int_equal(parse(DNS_A), ERR_DNS_BAD);
    make_chain(20);
    assert_int_equal(parse(DNS_A), ERR_DNS_BAD);
    make_chain(200);
    assert_int_equal(parse(DNS_A), ERR_DNS_BAD);

    dns_begin(&o, 1, "a.test", DNS_A, 0); /* of itself */
    dns_put_text(&o, "a.test", 60, "CNAME a.test");
    assert_int_equal(parse(DNS_A), ERR_DNS_BAD);
    dns_begin(&o, 1, "a.test", DNS_A, 0); /* in a ring, although there are records too */
    dns_put_text(&o, "a.test", 60, "CNAME b.test");
    dns_put_text(&o, "b.test", 60, "CNAME a.test");
    dns_put_text(&o, "a.test", 60, "A 192.0.2.1");
    assert_int_equal(parse(DNS_A), ERR_DNS_BAD);

    dns_begin(&o, 1, "a.test", DNS_A, 3); /* the target does not exist */
    dns_put_text(&o, "a.test", 60, "CNAME b.test");
    dns_put_soa(&o, "test", 40, 20);
    assert_int_equal(parse(DNS_A), ERR_NOT_FOUND);
    assert_int_equal(a.ttl, 20);
    dns_begin(&o, 1, "a.test", DNS_A, 0); /* an alias of somebody else */
    dns_put_text(&o, "x.test", 60, "CNAME b.test");
    dns_put_text(&o, "b.test", 60, "A 192.0.2.1");
    assert_int_equal(parse(DNS_A), ERR_NOT_FOUND);
}

static void test_absence(void **state)
{
    (void)state;
    for (unsigned rcode = 0; rcode <= 3; rcode += 3) {
        dns_begin(&o, 1, "no.test", DNS_SRV, rcode);
        dns_put_soa(&o, "test", 300, 60);
        assert_int_equal(parse(DNS_SRV), ERR_NOT_FOUND);
        assert_int_equal(a.ttl, 60);
        dns_begin(&o, 1, "no.test", DNS_SRV, rcode);
        dns_put_soa(&o, "test", 30, 60);
        assert_int_equal(parse(DNS_SRV), ERR_NOT_FOUND);
        assert_int_equal(a.ttl, 30);
        dns_begin(&o, 1, "no.test", DNS_SRV, rcode);
        assert_int_equal(parse(DNS_SRV), ERR_NOT_FOUND);
        assert_int_equal(a.ttl, 0);
    }
    for (unsigned rcode = 1; rcode < 16; rcode++) {
        dns_begin(&o, 1, "no.test", DNS_A, rcode);
        assert_int_equal(parse(DNS_A), rcode == 3 ? ERR_NOT_FOUND : ERR_DNS_REFUSED);
    }
}

static void test_srv(void **state)
{
    (void)state;
    dns_begin(&o, 1, "_sip._udp.test", DNS_SRV, 0);
    dns_put_text(&o, "_sip._udp.test", 60, "SRV 20 0 5062 c.test");
    dns_put_text(&o, "_sip._udp.test", 60, "SRV 10 5 5060 A.Test");
    dns_put_text(&o, "_sip._udp.test", 60, "SRV 10 1 5061 b.test");
    dns_put_text(&o, "_sip._udp.test", 60, "SRV 5 1 0 port-of-nobody.test");
    dns_put_text(&o, "_sip._udp.test", 60, "SRV 5 1 5060 a@b;c.test");
    assert_int_equal(parse(DNS_SRV), 0);
    assert_int_equal(a.n, 3);
    assert_slice(a.srvs[0].target, "a.test");
    assert_slice(a.srvs[1].target, "b.test");
    assert_slice(a.srvs[2].target, "c.test");
    assert_int_equal(a.srvs[0].priority, 10);
    assert_int_equal(a.srvs[0].weight, 5);
    assert_int_equal(a.srvs[2].port, 5062);
    assert_false(a.is_denied);

    dns_begin(&o, 1, "_sip._udp.test", DNS_SRV, 0);
    dns_put_text(&o, "_sip._udp.test", 60, "SRV 0 0 0 .");
    assert_int_equal(parse(DNS_SRV), 0);
    assert_int_equal(a.n, 0);
    assert_true(a.is_denied);
}

static void test_five_hundred_srv(void **state)
{
    char text[400], label[64], name[300];
    (void)state;
    memset(label, 'x', 63);
    label[63] = '\0';
    dns_begin(&o, 1, "s.test", DNS_SRV, 0);
    for (unsigned i = 0; i < 500; i++) {
        snprintf(text, sizeof(text), "SRV %u 0 5060 t%u.test", 500 - i, i);
        dns_put_text(&o, "s.test", 60, text);
    }
    assert_int_equal(parse(DNS_SRV), 0);
    assert_int_equal(a.n, NET_SRV_MAX);
    assert_int_equal(a.left, 500 - NET_SRV_MAX);
    assert_int_equal(a.srvs[0].priority, 1);
    assert_slice(a.srvs[0].target, "t499.test");
    assert_int_equal(a.srvs[NET_SRV_MAX - 1].priority, NET_SRV_MAX);

    /* The longest names there are: 255 bytes on the wire. */
    snprintf(name, sizeof(name), "%s.%s.%s.%.61s", label, label, label, label);
    dns_begin(&o, 1, "s.test", DNS_SRV, 0);
    for (unsigned i = 0; i < 2 * NET_SRV_MAX; i++) {
        snprintf(text, sizeof(text), "SRV %u 0 5060 %s", i, name);
        dns_put_text(&o, "s.test", 60, text);
    }
    assert_int_equal(parse(DNS_SRV), 0);
    assert_int_equal(a.n, NET_SRV_MAX);
    assert_slice(a.srvs[NET_SRV_MAX - 1].target, name);
    snprintf(text, sizeof(text), "SRV 0 0 5060 %sx", name);
    dns_put_text(&o, "s.test", 60, text);
    assert_int_equal(parse(DNS_SRV), ERR_DNS_BAD);
}

static void test_naptr(void **state)
{
    (void)state;
    dns_begin(&o, 1, "test", DNS_NAPTR, 0);
    dns_put_text(&o, "test", 60, "NAPTR 20 1 s SIP+D2U _sip._udp.test");
    dns_put_text(&o, "test", 60, "NAPTR 10 2 S SIP+D2T _sip._tcp.test");
    dns_put_text(&o, "test", 60, "NAPTR 10 1 s sips+d2t _sips._tcp.test");
    dns_put_text(&o, "test", 60, "NAPTR 1 1 u E2U+sip . !^.*$!sip:x@y!");
    dns_put_text(&o, "test", 60, "NAPTR 1 1 s SIP+D2U _a.test !x!y!");
    dns_put_text(&o, "test", 60, "NAPTR 1 1 s SIP+D2U .");
    dns_put_text(&o, "test", 60, "NAPTR 1 1 - SIP+D2X x.test");
    assert_int_equal(parse(DNS_NAPTR), 0);
    assert_int_equal(a.n, 4);
    assert_slice(a.naptrs[0].flags, "");
    assert_slice(a.naptrs[1].service, "sips+d2t");
    assert_slice(a.naptrs[2].flags, "S");
    assert_slice(a.naptrs[2].replacement, "_sip._tcp.test");
    assert_int_equal(a.naptrs[3].order, 20);
    assert_int_equal(a.naptrs[3].preference, 1);

    /* Of other services only: there is an answer, with nothing in it. */
    dns_begin(&o, 1, "test", DNS_NAPTR, 0);
    dns_put_text(&o, "test", 60, "NAPTR 1 1 u E2U+sip . !^.*$!sip:x@y!");
    assert_int_equal(parse(DNS_NAPTR), 0);
    assert_int_equal(a.n, 0);
}

/* Each of these is an answer but for one fault. */
static void test_faults(void **state)
{
    static const struct {
        size_t at;
        uint8_t value;
    } header[] = {{2, 0x01} /* a question */, {2, 0x89} /* another opcode */,
                  {2, 0x83} /* cut */,        {5, 0} /* no question */,
                  {5, 2} /* two */,           {7, 2} /* an answer that is not there */};
    (void)state;
    for (size_t i = 0; i < sizeof(header) / sizeof(header[0]); i++) {
        dns_begin(&o, 1, "a.test", DNS_A, 0);
        dns_put_text(&o, "a.test", 60, "A 192.0.2.1");
        assert_int_equal(parse(DNS_A), 0);
        o.bytes[header[i].at] = header[i].value;
        assert_int_equal(parse(DNS_A), ERR_DNS_BAD);
    }
    dns_begin(&o, 1, "a.test", DNS_SRV, 0); /* not what was asked for */
    assert_int_equal(parse(DNS_A), ERR_DNS_BAD);

    dns_begin(&o, 1, "a.test", DNS_A, 0); /* five bytes of address */
    size_t record = dns_record(&o, false, "a.test", DNS_A, 60);
    dns_put(&o, "12345", 5);
    dns_end(&o, record);
    assert_int_equal(parse(DNS_A), ERR_DNS_BAD);

    dns_begin(&o, 1, "a.test", DNS_SRV, 0); /* the target ends before its record */
    record = dns_record(&o, false, "a.test", DNS_SRV, 60);
    dns_put(&o, "\0\1\0\1\0\1", 6);
    dns_put_name(&o, "b.test");
    dns_put8(&o, 0);
    dns_end(&o, record);
    assert_int_equal(parse(DNS_SRV), ERR_DNS_BAD);
}

/* Compression: names that point at themselves, forwards, at each other, outside. */
static void test_pointers(void **state)
{
    (void)state;
    dns_begin(&o, 1, "a.test", DNS_A, 0);
    size_t good = o.len;
    static const unsigned targets[] = {0, 2, 0x3fff};
    for (size_t i = 0; i < sizeof(targets) / sizeof(targets[0]); i++) {
        o.len = good;
        o.bytes[7] = 1;
        dns_put16(&o, 0xc000 | (targets[i] == 0   ? (unsigned)good
                                : targets[i] == 2 ? (unsigned)good + 2
                                                  : targets[i]));
        dns_put(&o, "\0\1\0\1\0\0\0\1\0\4\1\2\3\4", 14);
        assert_int_equal(parse(DNS_A), ERR_DNS_BAD);
    }
    o.len = good; /* the question's name: what every server does */
    dns_put16(&o, 0xc00c);
    dns_put(&o, "\0\1\0\1\0\0\0\1\0\4\1\2\3\4", 14);
    assert_int_equal(parse(DNS_A), 0);
    assert_addr(0, "1.2.3.4");

    o.len = good; /* two that would go round for ever */
    dns_put8(&o, 1);
    dns_put8(&o, 'x');
    dns_put16(&o, 0xc000 | (unsigned)good);
    dns_put(&o, "\0\1\0\1\0\0\0\1\0\4\1\2\3\4", 14);
    assert_int_equal(parse(DNS_A), ERR_DNS_BAD);
    for (unsigned kind = 0x40; kind <= 0x80; kind += 0x40) { /* other kinds of labels */
        o.len = good;
        dns_put8(&o, kind);
        dns_put(&o, "\0\0\1\0\1\0\0\0\1\0\4\1\2\3\4", 15);
        assert_int_equal(parse(DNS_A), ERR_DNS_BAD);
    }
}

static void make_whole(unsigned type)
{
    dns_begin(&o, 1, "a.test", type, 0);
    dns_put_text(&o, "a.test", 60, "CNAME b.test");
    dns_put_text(&o, "b.test", 60, "A 192.0.2.1");
    dns_put_text(&o, "b.test", 60, "AAAA 2001:db8::1");
    dns_put_text(&o, "b.test", 60, "SRV 10 60 5060 sip.test");
    dns_put_text(&o, "b.test", 60, "NAPTR 10 20 s SIP+D2U _sip._udp.test");
    dns_put_soa(&o, "test", 60, 60);
}

/* No prefix of an answer is taken for it, and no changed byte does harm (a sanitizer looks). */
static void test_cut_and_changed(void **state)
{
    static const unsigned types[] = {DNS_A, DNS_AAAA, DNS_SRV, DNS_NAPTR};
    struct rng rng;
    (void)state;
    rng_seed(&rng, 4);
    for (size_t i = 0; i < 4; i++) {
        make_whole(types[i]);
        size_t whole = o.len, soa = 12 + 22 + 20 + 20 + 2;
        assert_int_equal(parse(types[i]), 0);
        assert_int_equal(a.n, 1);
        for (o.len = 0; o.len < whole - soa; o.len++)
            assert_int_equal(parse(types[i]), ERR_DNS_BAD);
        for (unsigned turn = 0; turn < 20000; turn++) {
            make_whole(types[i]);
            for (unsigned k = rng_below(&rng, 4) + 1; k > 0; k--)
                o.bytes[rng_below(&rng, o.len)] = (uint8_t)rng_next(&rng);
            (void)parse(types[i]);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_addresses), cmocka_unit_test(test_ttl),
        cmocka_unit_test(test_aliases),   cmocka_unit_test(test_absence),
        cmocka_unit_test(test_srv),       cmocka_unit_test(test_five_hundred_srv),
        cmocka_unit_test(test_naptr),     cmocka_unit_test(test_faults),
        cmocka_unit_test(test_pointers),  cmocka_unit_test(test_cut_and_changed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
