/* SPDX-License-Identifier: Apache-2.0 */
/* Whom a certificate is for: RFC 5922 7.1 and 7.2. */
#include "net/tls_int.h"

#include <openssl/x509v3.h>
#include <stdio.h>
#include <string.h>

#include "certs.h"
#include "tls_rig.h"

static bool proves(const char *cn, const char *san, const char *name)
{
    struct cert c;
    struct tls_identities l;
    cert_make(&c, "one", &(struct cert_spec){.cn = cn, .san = san});
    tls_identities(c.x509, &l);
    cert_free(&c);
    return tls_list_has(l.text, l.len, slice_str(name));
}

static void test_sip_uri(void **state)
{
    const char *san = "URI:sip:example.com,URI:SIP:Other.example:5061;transport=tls";
    (void)state;
    assert_true(proves("x", san, "example.com"));
    assert_true(proves("x", san, "EXAMPLE.COM"));
    assert_true(proves("x", san, "example.com."));
    assert_true(proves("x", san, "other.example"));
    assert_false(proves("x", san, "sip.example.com"));
    assert_false(proves("x", san, "com"));
    assert_false(proves("x", san, ""));
    assert_true(proves("x", "URI:sip:[2001:db8::1]:5061", "2001:db8:0::1"));
    assert_true(proves("x", "URI:sip:[2001:db8::1]:5061", "[2001:DB8::1]"));
}

/* A URI with a user is a person, and other schemes are no domains of SIP. */
static void test_uris_that_are_no_domain(void **state)
{
    (void)state;
    assert_false(proves("x", "URI:sip:alice@example.com", "example.com"));
    assert_false(proves("x", "URI:sips:example.com", "example.com"));
    assert_false(proves("x", "URI:https://example.com", "example.com"));
    assert_false(proves("x", "URI:sip:", ""));
}

/* Names of type DNS count when there is no sip URI, and only then. */
static void test_dns_names(void **state)
{
    (void)state;
    assert_true(proves("x", "DNS:a.example,DNS:b.example", "b.example"));
    assert_true(proves("x", "DNS:b.example,URI:sip:alice@a.example", "b.example"));
    assert_false(proves("x", "URI:sip:a.example,DNS:b.example", "b.example"));
    assert_false(proves("x", "DNS:b.example,URI:sip:a.example", "b.example"));
    assert_false(proves("x", "DNS:192.0.2.1", "192.0.2.1"));
}

static void test_no_wildcards(void **state)
{
    (void)state;
    assert_false(proves("x", "DNS:*.example.com", "proxy.example.com"));
    assert_false(proves("x", "URI:sip:*.example.com", "proxy.example.com"));
    assert_false(proves("x", "DNS:.example.com", "proxy.example.com"));
    assert_false(proves("*.example.com", NULL, "proxy.example.com"));
}

static void test_addresses(void **state)
{
    (void)state;
    assert_true(proves("x", "IP:192.0.2.7,IP:2001:db8::7", "192.0.2.7"));
    assert_true(proves("x", "IP:192.0.2.7,IP:2001:db8::7", "[2001:db8:0:0::7]"));
    assert_true(proves("x", "URI:sip:a.example,IP:192.0.2.7", "192.0.2.7"));
    assert_false(proves("x", "IP:192.0.2.7", "192.0.2.8"));
    assert_false(proves("192.0.2.7", NULL, "192.0.2.7"));
}

static void test_common_name_without_alternatives_only(void **state)
{
    (void)state;
    assert_true(proves("proxy.example.com", NULL, "Proxy.Example.com"));
    assert_false(proves("proxy.example.com", "DNS:other.example", "proxy.example.com"));
    assert_false(proves("proxy.example.com", "email:a@example.com", "proxy.example.com"));
    assert_false(proves("proxy.example.com", NULL, "example.com"));
}

/* A name with NUL inside is none: it would read as another one. */
static void test_nul_inside_a_name(void **state)
{
    static const char evil[] = "good.example\0.evil.example";
    struct tls_identities l;
    GENERAL_NAMES *names = sk_GENERAL_NAME_new_null();
    GENERAL_NAME *name = GENERAL_NAME_new();
    ASN1_IA5STRING *text = ASN1_IA5STRING_new();
    struct cert c;
    (void)state;
    cert_make(&c, "nul", &(struct cert_spec){.cn = "x"});
    assert_int_equal(ASN1_STRING_set(text, evil, sizeof(evil) - 1), 1);
    GENERAL_NAME_set0_value(name, GEN_DNS, text);
    sk_GENERAL_NAME_push(names, name);
    assert_int_equal(X509_add1_ext_i2d(c.x509, NID_subject_alt_name, names, 0, 0), 1);
    tls_identities(c.x509, &l);
    assert_int_equal(l.len, 0);
    GENERAL_NAMES_free(names);
    cert_free(&c);
}

/* More identities than have room: those that have none prove nothing. */
static void test_very_many_names(void **state)
{
    static char san[40000];
    struct tls_identities l;
    struct cert c;
    size_t len = 0;
    (void)state;
    for (unsigned i = 0; i < 1500; i++)
        len += (size_t)snprintf(san + len, sizeof(san) - len, "%sDNS:name-%04u.example",
                                i > 0 ? "," : "", i);
    cert_make(&c, "many", &(struct cert_spec){.cn = "x", .san = san});
    tls_identities(c.x509, &l);
    assert_true(l.len <= sizeof(l.text));
    assert_true(tls_list_has(l.text, l.len, SLICE("name-0000.example")));
    assert_false(tls_list_has(l.text, l.len, SLICE("name-1499.example")));
    cert_free(&c);
}

static int begin(void **state)
{
    (void)state;
    certs_begin();
    return 0;
}

static int end(void **state)
{
    (void)state;
    certs_end();
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_sip_uri),
        cmocka_unit_test(test_uris_that_are_no_domain),
        cmocka_unit_test(test_dns_names),
        cmocka_unit_test(test_no_wildcards),
        cmocka_unit_test(test_addresses),
        cmocka_unit_test(test_common_name_without_alternatives_only),
        cmocka_unit_test(test_nul_inside_a_name),
        cmocka_unit_test(test_very_many_names),
    };
    return cmocka_run_group_tests(tests, begin, end);
}
