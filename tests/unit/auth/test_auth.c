/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "auth/auth.h"
#include "base/alloc.h"
#include "sip/digest.h"

#define T0   1700000000000ULL
#define LIFE 300000

/* Everything of which credentials are made; a test changes what it is about. */
struct creds {
    const char *user, *realm, *password, *uri, *nc, *header;
    enum sip_digest_alg alg;
    bool no_qop;
    char nonce[64];
};

struct fixture {
    struct auth *auth;
    struct dn_info dn;
    struct creds c;
    char text[4096];
    struct sip_msg msg;
    struct sip_hdr hdrs[32];
};

static void challenge_text(struct fixture *f, char out[1024], bool stale)
{
    struct buf b;
    buf_init(&b, out, 1023);
    auth_challenge(f->auth, &b, false, SLICE("example.com"), &f->dn, stale, T0);
    assert_false(b.overflow);
    out[b.len] = '\0';
}

/* The nonce of the first challenge. */
static void get_nonce(struct fixture *f)
{
    char text[1024];
    challenge_text(f, text, false);
    const char *at = strstr(text, "nonce=\"");
    assert_non_null(at);
    at += 7;
    snprintf(f->c.nonce, sizeof(f->c.nonce), "%.*s", (int)strcspn(at, "\""), at);
}

static int setup(void **state)
{
    struct fixture *f = calloc(1, sizeof(*f));
    if (f == NULL || auth_new(LIFE, &f->auth) != 0)
        return -1;
    f->dn.configured = true;
    f->dn.password = SLICE("secret");
    f->c = (struct creds){.user = "1001",
                          .realm = "example.com",
                          .password = "secret",
                          .uri = "sip:example.com",
                          .nc = "00000001",
                          .header = "Authorization",
                          .alg = SIP_DIGEST_SHA256};
    get_nonce(f);
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;
    auth_free(&f->auth);
    auth_free(&f->auth);
    free(f);
    return 0;
}

static void hash(enum sip_digest_alg alg, const char *a, const char *b, const char *c, char *out)
{
    sip_digest_ha1(alg, slice_str(a), slice_str(b), slice_str(c), out);
}

/* The credentials as a device computes them; "a:b:c" is hashed by the one function there is. */
static void credentials(const struct creds *c, char *out, size_t cap)
{
    char ha1[SIP_HA1_MAX], ha2[SIP_HA1_MAX], response[SIP_HA1_MAX], middle[256];
    hash(c->alg, c->user, c->realm, c->password, ha1);
    /* H(REGISTER:uri) of uri = scheme:rest is of three parts. */
    const char *colon = strchr(c->uri, ':');
    char scheme[16];
    snprintf(scheme, sizeof(scheme), "%.*s", (int)(colon - c->uri), c->uri);
    hash(c->alg, "REGISTER", scheme, colon + 1, ha2);
    if (c->no_qop)
        snprintf(middle, sizeof(middle), "%s", c->nonce);
    else
        snprintf(middle, sizeof(middle), "%s:%s:abc:auth", c->nonce, c->nc);
    hash(c->alg, ha1, middle, ha2, response);
    snprintf(out, cap,
             "%s: Digest username=\"%s\", realm=\"%s\", nonce=\"%s\", uri=\"%s\", response=\"%s\", "
             "algorithm=%s%s%s%s\r\n",
             c->header, c->user, c->realm, c->nonce, c->uri, response,
             c->alg == SIP_DIGEST_MD5 ? "MD5" : "SHA-256",
             c->no_qop ? "" : ", qop=auth, cnonce=\"abc\", nc=", c->no_qop ? "" : c->nc, "");
}

static enum auth_result check_lines(struct fixture *f, const char *lines, uint64_t now)
{
    struct sip_fault fault;
    snprintf(
        f->text, sizeof(f->text),
        "REGISTER sip:example.com SIP/2.0\r\nVia: SIP/2.0/UDP h;branch=z9hG4bK1\r\n"
        "Max-Forwards: 70\r\nFrom: <sip:1001@example.com>;tag=a\r\nTo: <sip:1001@example.com>\r\n"
        "Call-ID: c\r\nCSeq: 1 REGISTER\r\n%sContent-Length: 0\r\n\r\n",
        lines);
    if (sip_msg_parse(&f->msg, f->text, strlen(f->text), false, f->hdrs, 32, NULL, &fault) != 0)
        fail_msg("%s", fault.reason);
    return auth_check(f->auth, &f->msg, false, SLICE("1001"), SLICE("example.com"), &f->dn, now);
}

static enum auth_result check(struct fixture *f)
{
    char lines[1024];
    credentials(&f->c, lines, sizeof(lines));
    return check_lines(f, lines, T0 + 1);
}

static void test_challenge(void **state)
{
    struct fixture *f = *state;
    char text[1024];
    challenge_text(f, text, false);
    /* RFC 8760 2.4: the preferred one first. */
    const char *sha = strstr(text, "algorithm=SHA-256"), *md5 = strstr(text, "algorithm=MD5");
    assert_true(sha != NULL && md5 != NULL && sha < md5);
    assert_ptr_equal(strstr(text, "WWW-Authenticate: Digest realm=\"example.com\""), text);
    assert_null(strstr(text, "stale"));
    challenge_text(f, text, true);
    assert_non_null(strstr(text, "stale=true"));
    f->dn.password = SLICE_NONE;
    f->dn.password_ha1 = SLICE("MD5:00000000000000000000000000000000");
    challenge_text(f, text, false);
    assert_null(strstr(text, "SHA-256"));
    f->dn.password_ha1 = SLICE("0000000000000000000000000000000000000000000000000000000000000000");
    challenge_text(f, text, false);
    assert_null(strstr(text, "MD5"));
    struct buf b;
    buf_init(&b, text, sizeof(text));
    auth_challenge(f->auth, &b, true, SLICE("x"), &f->dn, false, T0);
    assert_true(slice_starts(buf_get(&b), SLICE("Proxy-Authenticate: Digest")));
}

static void test_right(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(check(f), AUTH_OK);
    f->c.nc = "00000002";
    f->c.alg = SIP_DIGEST_MD5;
    assert_int_equal(check(f), AUTH_OK);
    f->c.nc = "0000000A";
    assert_int_equal(check(f), AUTH_OK);
    f->c.nc = "0000000b";
    f->c.realm = "EXAMPLE.com"; /* a host name */
    assert_int_equal(check(f), AUTH_OK);
    f->c.realm = "example.com";
    f->c.nc = "0000000c";
    f->c.uri = "sip:Example.Com"; /* equivalent */
    assert_int_equal(check(f), AUTH_OK);
}

static void test_wrong(void **state)
{
    struct fixture *f = *state;
    f->c.password = "Secret";
    assert_int_equal(check(f), AUTH_WRONG);
    f->c.password = "secret";
    f->c.uri = "sip:example.org";
    assert_int_equal(check(f), AUTH_WRONG);
    f->c.uri = "sip:example.com";
    f->c.user = "1002";
    assert_int_equal(check(f), AUTH_OTHER);
    f->c.user = "100";
    assert_int_equal(check(f), AUTH_OTHER);
    f->c.user = "1001";
    f->dn.password = SLICE_NONE;
    assert_int_equal(check(f), AUTH_WRONG);
    f->dn.password = SLICE("secret");
    /* Nothing of all that has used the nonce up. */
    assert_int_equal(check(f), AUTH_OK);
}

/* What was used cannot be used again, nor can what is old or of somebody else's making. */
static void test_replay_and_stale(void **state)
{
    struct fixture *f = *state;
    char lines[1024];
    assert_int_equal(check(f), AUTH_OK);
    assert_int_equal(check(f), AUTH_STALE);
    f->c.nc = "00000002";
    credentials(&f->c, lines, sizeof(lines));
    assert_int_equal(check_lines(f, lines, T0 + LIFE), AUTH_STALE);
    assert_int_equal(check_lines(f, lines, T0 + LIFE - 1), AUTH_OK);
    snprintf(f->c.nonce, sizeof(f->c.nonce), "%040d", 0);
    assert_int_equal(check(f), AUTH_STALE);
    /* Who does not know the password is not told that the nonce is stale. */
    f->c.password = "wrong";
    assert_int_equal(check(f), AUTH_WRONG);
}

/* RFC 7616 3.4: of old devices; the nonce then serves once. */
static void test_without_qop(void **state)
{
    struct fixture *f = *state;
    f->c.no_qop = true;
    f->c.alg = SIP_DIGEST_MD5;
    assert_int_equal(check(f), AUTH_OK);
    assert_int_equal(check(f), AUTH_STALE);
    get_nonce(f);
    assert_int_equal(check(f), AUTH_OK);
}

static void test_ha1(void **state)
{
    struct fixture *f = *state;
    char md5[SIP_HA1_MAX], sha[SIP_HA1_MAX + 8] = "SHA-256:";
    f->dn.password = SLICE_NONE;
    hash(SIP_DIGEST_MD5, "1001", "example.com", "secret", md5);
    hash(SIP_DIGEST_SHA256, "1001", "example.com", "secret", sha + 8);
    f->dn.password_ha1 = slice_str(sha);
    assert_int_equal(check(f), AUTH_OK);
    f->c.nc = "00000002";
    f->c.alg = SIP_DIGEST_MD5;
    assert_int_equal(check(f), AUTH_WRONG);
    for (char *at = md5; *at != '\0'; at++)
        *at = *at >= 'a' ? (char)(*at - 32) : *at;
    f->dn.password_ha1 = slice_str(md5);
    assert_int_equal(check(f), AUTH_OK);
}

/* RFC 3261 22.3: only the credentials for the own realm count, wherever they stand. */
static void test_choice(void **state)
{
    struct fixture *f = *state;
    char own[1024], other[1024], lines[4096];
    struct creds c = f->c;
    assert_int_equal(check_lines(f, "", T0), AUTH_MISSING);
    c.realm = "elsewhere.com";
    credentials(&c, other, sizeof(other));
    assert_int_equal(check_lines(f, other, T0), AUTH_MISSING);
    credentials(&f->c, own, sizeof(own));
    snprintf(lines, sizeof(lines), "Authorization: Bearer abc\r\n%s%s", other, own);
    assert_int_equal(check_lines(f, lines, T0), AUTH_OK);
    /* The other header is not looked at. */
    f->c.header = "Proxy-Authorization";
    f->c.nc = "00000002";
    assert_int_equal(check(f), AUTH_MISSING);
    assert_int_equal(
        auth_check(f->auth, &f->msg, true, SLICE("1001"), SLICE("example.com"), &f->dn, T0),
        AUTH_OK);
    assert_int_equal(check_lines(f, "Authorization: Digest username=\"x\r\n", T0), AUTH_BAD);
    assert_int_equal(check_lines(f, "Authorization: Digest realm=\"example.com\"\r\n", T0),
                     AUTH_BAD);
}

/* The username is a quoted string. */
static void test_quoted_user(void **state)
{
    struct fixture *f = *state;
    char lines[1024], quoted[1100];
    credentials(&f->c, lines, sizeof(lines));
    char *at = strstr(lines, "\"1001\"");
    assert_non_null(at);
    snprintf(quoted, sizeof(quoted), "%.*s\"10\\01\"%s", (int)(at - lines), lines, at + 6);
    assert_int_equal(check_lines(f, quoted, T0), AUTH_OK);
}

static void test_no_memory(void **state)
{
    (void)state;
    bool failed = true;
    for (uint64_t n = 1; failed && n < 1000; n++) {
        struct auth *a;
        mem_fail_at(n);
        int err = auth_new(LIFE, &a);
        failed = mem_failed();
        mem_fail_at(0);
        assert_int_equal(err, failed ? ERR_NOMEM : 0);
        auth_free(&a);
    }
    assert_false(failed);
}

#define TEST(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_challenge),        TEST(test_right),       TEST(test_wrong),
        TEST(test_replay_and_stale), TEST(test_without_qop), TEST(test_ha1),
        TEST(test_choice),           TEST(test_quoted_user), TEST(test_no_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
