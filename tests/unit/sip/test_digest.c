/* SPDX-License-Identifier: Apache-2.0 */
#include "sip/digest.h"

#include "check.h"

static struct sip_credentials parse(const char *text)
{
    struct sip_credentials c;
    if (sip_credentials_parse(slice_str(text), &c) != 0)
        fail_msg("refused: '%s'", text);
    return c;
}

static bool is_right(const char *credentials, const char *user, const char *realm,
                     const char *password, const char *method)
{
    char ha1[SIP_HA1_MAX];
    struct sip_credentials c = parse(credentials);
    assert_slice(c.username, user);
    assert_slice(c.realm, realm);
    sip_digest_ha1(c.alg, slice_str(user), slice_str(realm), slice_str(password), ha1);
    return sip_digest_check(&c, slice_str(method), slice_str(ha1));
}

/* RFC 2617 section 3.5. */
static void example_of_rfc2617(void **state)
{
    (void)state;
    const char *text =
        "Digest username=\"Mufasa\", realm=\"testrealm@host.com\","
        " nonce=\"dcd98b7102dd2f0e8b11d0f600bfb0c093\", uri=\"/dir/index.html\", qop=auth,"
        " nc=00000001, cnonce=\"0a4f113b\", response=\"6629fae49393a05397450978507c4ef1\","
        " opaque=\"5ccc069c403ebaf9f0171e9517f40e41\"";
    assert_true(is_right(text, "Mufasa", "testrealm@host.com", "Circle Of Life", "GET"));
    assert_false(is_right(text, "Mufasa", "testrealm@host.com", "Circle Of life", "GET"));
    assert_false(is_right(text, "Mufasa", "testrealm@host.com", "Circle Of Life", "POST"));
    struct sip_credentials c = parse(text);
    assert_int_equal(c.alg, SIP_DIGEST_MD5);
    assert_true(c.has_qop);
    assert_slice(c.nc, "00000001");
    assert_slice(c.cnonce, "0a4f113b");
    assert_slice(c.nonce, "dcd98b7102dd2f0e8b11d0f600bfb0c093");
    assert_slice(c.uri, "/dir/index.html");
}

#define RFC7616(algorithm, response)                                                           \
    "Digest username=\"Mufasa\", realm=\"http-auth@example.org\", uri=\"/dir/index.html\","    \
    " algorithm=" algorithm                                                                    \
    ", nonce=\"7ypf/xlj9XXwfDPEoM4URrv/xwf94BcCAzFZH4GiTo0v\", nc=00000001,"                   \
    " cnonce=\"f2/wE4q74E6zIJEtWaHKaf5wv/H5QzzpXusqGemxURZJ\", qop=auth, response=\"" response \
    "\","                                                                                      \
    " opaque=\"FQhe/qaU925kfnzjCev0ciny7QMkPqMAFRtzCUYo5tdS\""

/* RFC 7616 section 3.9.1; SHA-256 is what RFC 8760 brings to SIP. */
static void examples_of_rfc7616(void **state)
{
    (void)state;
    assert_true(is_right(RFC7616("MD5", "8ca523f5e9506fed4657c9700eebdbec"), "Mufasa",
                         "http-auth@example.org", "Circle of Life", "GET"));
    const char *sha =
        RFC7616("SHA-256", "753927fa0e85d155564e2e272a28d1802ca10daf4496794697cf8db5856cb6c1");
    assert_true(is_right(sha, "Mufasa", "http-auth@example.org", "Circle of Life", "GET"));
    assert_false(is_right(sha, "Mufasa", "http-auth@example.org", "Circle of Death", "GET"));
    /* the name of the algorithm has no case */
    assert_true(is_right(
        RFC7616("sha-256", "753927fa0e85d155564e2e272a28d1802ca10daf4496794697cf8db5856cb6c1"),
        "Mufasa", "http-auth@example.org", "Circle of Life", "GET"));
}

/* RFC 3261 22.4: without qop the hash of RFC 2069, which old phones still send. */
static void without_qop(void **state)
{
    (void)state;
    char ha1[SIP_HA1_MAX], ha2[SIP_HA1_MAX], response[SIP_HA1_MAX], text[512];
    sip_digest_ha1(SIP_DIGEST_MD5, SLICE("bob"), SLICE("r"), SLICE("zanzibar"), ha1);
    /* the hash of two parts made by the hash of three: H("REGISTER:sip:r") */
    sip_digest_ha1(SIP_DIGEST_MD5, SLICE("REGISTER"), SLICE("sip"), SLICE("r"), ha2);
    sip_digest_ha1(SIP_DIGEST_MD5, slice_str(ha1), SLICE("n0nce"), slice_str(ha2), response);
    snprintf(text, sizeof(text),
             "Digest username=\"bob\",realm=\"r\",nonce=\"n0nce\",uri=\"sip:r\",response=\"%s\"",
             response);
    struct sip_credentials c = parse(text);
    assert_false(c.has_qop);
    assert_slice(c.nc, "");
    assert_true(sip_digest_check(&c, SLICE("REGISTER"), slice_str(ha1)));
    assert_false(sip_digest_check(&c, SLICE("INVITE"), slice_str(ha1)));
}

#define R32 "0123456789abcdef0123456789abcdef"
#define R64 R32 R32

static void syntax(void **state)
{
    (void)state;
    struct sip_credentials c = parse(
        "dIgEsT \r\n username = \"a \\\"b\\\"\" ,\r\n realm=\"\",nonce=\"n\",URI=\"sip:h,x\" , ,"
        "response=\"" R32
        "\", algorithm=\"MD5\", auth-param=x, qop=\"auth\", nc=0000000A, cnonce=\"\"");
    assert_slice(c.username, "a \\\"b\\\"");
    assert_slice(c.realm, "");
    assert_slice(c.uri, "sip:h,x");
    assert_slice(c.nc, "0000000A");
    assert_true(c.has_qop);
}

static void refused(void **state)
{
    (void)state;
    static const struct {
        int rc;
        const char *text;
    } rows[] = {
        {ERR_PARSE, ""},
        {ERR_PARSE, "Digest"},
        {ERR_PARSE, "Digest "},
        {ERR_PARSE, "Digest=x"},
        {ERR_PARSE, "=x"},
        {ERR_UNSUPPORTED, "Basic QWxhZGRpbjpvcGVu"},
        {ERR_UNSUPPORTED, "NoOneKnowsThisScheme opaque-data=here"},
        {ERR_PARSE, "Digest username=\"a\""},
        {ERR_PARSE, "Digest realm=\"r\",nonce=\"n\",uri=\"u\",response=\"" R32 "\""},
        {ERR_PARSE, "Digest username=\"a\",nonce=\"n\",uri=\"u\",response=\"" R32 "\""},
        {ERR_PARSE, "Digest username=\"a\",realm=\"r\",uri=\"u\",response=\"" R32 "\""},
        {ERR_PARSE, "Digest username=\"a\",realm=\"r\",nonce=\"\",uri=\"u\",response=\"" R32 "\""},
        {ERR_PARSE, "Digest username=\"a\",realm=\"r\",nonce=\"n\",response=\"" R32 "\""},
        {ERR_PARSE, "Digest username=\"a\",realm=\"r\",nonce=\"n\",uri=\"u\""},
        {ERR_PARSE, "Digest username=\"a\",realm=\"r\",nonce=\"n\",uri=\"u\",response=\"abc\""},
        {ERR_PARSE, "Digest username=\"a\",realm=\"r\",nonce=\"n\",uri=\"u\",response=\"" R64 "\""},
        {ERR_PARSE, "Digest username=\"a\",realm=\"r\",nonce=\"n\",uri=\"u\",response=\"" R32
                    "\",algorithm=SHA-256"},
        {ERR_UNSUPPORTED, "Digest username=\"a\",realm=\"r\",nonce=\"n\",uri=\"u\",response=\"" R32
                          "\",algorithm=MD5-sess"},
        {ERR_UNSUPPORTED, "Digest username=\"a\",realm=\"r\",nonce=\"n\",uri=\"u\",response=\"" R64
                          "\",algorithm=SHA-512-256"},
        {ERR_UNSUPPORTED, "Digest username=\"a\",realm=\"r\",nonce=\"n\",uri=\"u\",response=\"" R32
                          "\",qop=auth-int,nc=00000001,cnonce=\"c\""},
        {ERR_PARSE,
         "Digest username=\"a\",realm=\"r\",nonce=\"n\",uri=\"u\",response=\"" R32 "\",qop=auth"},
        {ERR_PARSE, "Digest username=\"a\",realm=\"r\",nonce=\"n\",uri=\"u\",response=\"" R32
                    "\",qop=auth,nc=1,cnonce=\"c\""},
        {ERR_PARSE, "Digest username=\"a\",realm=\"r\",nonce=\"n\",uri=\"u\",response=\"" R32
                    "\",qop=auth,nc=0000000g,cnonce=\"c\""},
        {ERR_PARSE, "Digest username=\"a\",realm=\"r\",nonce=\"n\",uri=\"u\",response=\"" R32
                    "\",qop=auth,nc=00000001"},
        /* the same directive twice */
        {ERR_PARSE,
         "Digest username=\"a\",username=\"b\",realm=\"r\",nonce=\"n\",uri=\"u\",response=\"" R32
         "\""},
        {ERR_PARSE,
         "Digest username=\"a\" x,realm=\"r\",nonce=\"n\",uri=\"u\",response=\"" R32 "\""},
        {ERR_PARSE, "Digest username=\"a,realm=\"r\",nonce=\"n\",uri=\"u\",response=\"" R32 "\""},
        {ERR_PARSE, "Digest username=a b,realm=\"r\",nonce=\"n\",uri=\"u\",response=\"" R32 "\""},
        {ERR_PARSE, "Digest username=,realm=\"r\",nonce=\"n\",uri=\"u\",response=\"" R32 "\""},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct sip_credentials c;
        int rc = sip_credentials_parse(slice_str(rows[i].text), &c);
        if (rc != rows[i].rc)
            fail_msg("%d instead of %d: '%s'", rc, rows[i].rc, rows[i].text);
    }
}

/* An HA1 of the wrong kind or of no kind never opens the door. */
static void wrong_ha1(void **state)
{
    (void)state;
    struct sip_credentials c = parse(
        RFC7616("SHA-256", "753927fa0e85d155564e2e272a28d1802ca10daf4496794697cf8db5856cb6c1"));
    char ha1[SIP_HA1_MAX];
    sip_digest_ha1(SIP_DIGEST_MD5, SLICE("Mufasa"), SLICE("http-auth@example.org"),
                   SLICE("Circle of Life"), ha1);
    assert_int_equal(strlen(ha1), 32);
    assert_false(sip_digest_check(&c, SLICE("GET"), slice_str(ha1)));
    assert_false(sip_digest_check(&c, SLICE("GET"), SLICE_NONE));
    sip_digest_ha1(SIP_DIGEST_SHA256, SLICE("Mufasa"), SLICE("http-auth@example.org"),
                   SLICE("Circle of Life"), ha1);
    assert_int_equal(strlen(ha1), 64);
    assert_true(sip_digest_check(&c, SLICE("GET"), slice_str(ha1)));
}

/* Someone without a password has an empty HA1: a response made from that proves nothing. */
static void empty_ha1(void **state)
{
    (void)state;
    char ha2[SIP_HA1_MAX], response[SIP_HA1_MAX], text[512];
    sip_digest_ha1(SIP_DIGEST_MD5, SLICE("REGISTER"), SLICE("sip"), SLICE("r"), ha2);
    sip_digest_ha1(SIP_DIGEST_MD5, SLICE_NONE, SLICE("n"), slice_str(ha2), response);
    snprintf(text, sizeof(text),
             "Digest username=\"bob\",realm=\"r\",nonce=\"n\",uri=\"sip:r\",response=\"%s\"",
             response);
    struct sip_credentials c = parse(text);
    assert_false(sip_digest_check(&c, SLICE("REGISTER"), SLICE_NONE));
}

/* Every digit of the response counts. */
static void every_digit_counts(void **state)
{
    (void)state;
    for (size_t i = 0; i < 32; i++) {
        char response[] = "8ca523f5e9506fed4657c9700eebdbec", text[512];
        response[i] = response[i] == '0' ? '1' : '0';
        snprintf(text, sizeof(text), RFC7616("MD5", "%s"), response);
        assert_false(is_right(text, "Mufasa", "http-auth@example.org", "Circle of Life", "GET"));
    }
}

static void challenge(void **state)
{
    (void)state;
    char storage[256];
    struct buf b;
    buf_init(&b, storage, sizeof(storage));
    sip_challenge_write(&b, SIP_DIGEST_SHA256, SLICE("example.com"), SLICE("abc"), false);
    assert_slice(buf_get(&b),
                 "Digest realm=\"example.com\", nonce=\"abc\", algorithm=SHA-256, qop=\"auth\"");
    buf_init(&b, storage, sizeof(storage));
    sip_challenge_write(&b, SIP_DIGEST_MD5, SLICE("a\"b\\c"), SLICE("n"), true);
    assert_slice(buf_get(&b),
                 "Digest realm=\"a\\\"b\\\\c\", nonce=\"n\", algorithm=MD5, qop=\"auth\","
                 " stale=true");
    buf_init(&b, storage, 20);
    sip_challenge_write(&b, SIP_DIGEST_MD5, SLICE("a"), SLICE("n"), false);
    assert_true(b.overflow);
}

/* RFC 4231 section 4.3 (test case 2). */
static void hmac(void **state)
{
    (void)state;
    char hex[65] = {0};
    sip_hmac_hex("Jefe", 4, slice_str("what do ya want for nothing?"), hex, 64);
    assert_string_equal(hex, "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843");
    memset(hex, 0, sizeof(hex));
    sip_hmac_hex("Jefe", 4, slice_str("what do ya want for nothing?"), hex, 9);
    assert_string_equal(hex, "5bdcc146b");
    char other[65] = {0};
    sip_hmac_hex("jefe", 4, SLICE_NONE, hex, 64);
    sip_hmac_hex("jeff", 4, SLICE_NONE, other, 64);
    assert_string_not_equal(hex, other);
}

static void every_prefix(void **state)
{
    (void)state;
    const char *text = RFC7616("MD5", "8ca523f5e9506fed4657c9700eebdbec");
    for (size_t n = 0; n <= strlen(text); n++) {
        char *copy = exact_copy(text, n);
        struct sip_credentials c;
        int rc = sip_credentials_parse(slice_of(copy, n), &c);
        assert_true(rc == 0 || rc == ERR_PARSE || rc == ERR_UNSUPPORTED);
        free(copy);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(example_of_rfc2617),
        cmocka_unit_test(examples_of_rfc7616),
        cmocka_unit_test(without_qop),
        cmocka_unit_test(syntax),
        cmocka_unit_test(refused),
        cmocka_unit_test(wrong_ha1),
        cmocka_unit_test(empty_ha1),
        cmocka_unit_test(every_digit_counts),
        cmocka_unit_test(challenge),
        cmocka_unit_test(hmac),
        cmocka_unit_test(every_prefix),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
