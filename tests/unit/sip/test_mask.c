/* SPDX-License-Identifier: Apache-2.0 */
/* What is masked, and that no spelling gets a secret through. */
#include "sip/mask.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

static struct slice unmask[] = {{"X-Shown", 7}, {"authorization", 13}, {"x-other", 7}};
static const struct sip_mask_conf on = {.is_on = true};
static const struct sip_mask_conf with_unmask = {.is_on = true, .unmask = unmask, .nunmask = 3};

static const struct sip_mask_conf in_log = {.is_log = true};

static char room[70000];

static struct slice mask(const struct sip_mask_conf *conf, struct slice message)
{
    struct buf out;
    buf_init(&out, room, message.len + SIP_MASK_MORE);
    sip_mask(conf, message, &out);
    assert_false(out.overflow);
    return buf_get(&out);
}

static void same(const struct sip_mask_conf *conf, struct slice message, const char *wanted)
{
    struct slice got = mask(conf, message);
    if (!slice_eq(got, slice_str(wanted)))
        fail_msg("got\n%.*s\nwanted\n%s", SLICE_ARG(got), wanted);
}

static bool holds(struct slice s, const char *part)
{
    return memmem(s.ptr, s.len, part, strlen(part)) != NULL;
}

/* "secret" in any of its places must not come through; what is asked for must. */
static void hides(const char *message, const char *shown)
{
    struct slice got = mask(&on, slice_str(message));
    if (holds(got, "secret"))
        fail_msg("not hidden:\n%s\n->\n%.*s", message, SLICE_ARG(got));
    if (shown != NULL && !holds(got, shown))
        fail_msg("%s is missing in:\n%.*s", shown, SLICE_ARG(got));
}

static void test_off(void **state)
{
    struct sip_mask_conf off = {0};
    struct buf out;
    (void)state;
    same(&off, SLICE("INVITE sip:a:b@c SIP/2.0\r\nX-A: 1\r\n\r\nbody"),
         "INVITE sip:a:b@c SIP/2.0\r\nX-A: 1\r\n\r\nbody");
    buf_init(&out, room, 5);
    sip_mask(&off, SLICE("INVITE sip"), &out);
    assert_true(out.overflow);
    assert_true(slice_eq(buf_get(&out), SLICE("INVIT")));
    same(&on, SLICE_NONE, "");
}

static void test_headers(void **state)
{
    static const char message[] = "INVITE sip:bob@example.com SIP/2.0\r\n"
                                  "Via: SIP/2.0/UDP 192.0.2.1;branch=z9hG4bK1\r\n"
                                  "f: <sip:alice@example.com>;tag=1\r\n"
                                  "To: \"Bob: the second\" <sip:bob@example.com>\r\n"
                                  "Call-ID: 1@example.com\r\n"
                                  "CSeq: 1 INVITE\r\n"
                                  "X-Genesys-CallUUID: 00A1\r\n"
                                  "X-Genesys-Route: sip:x@y\r\n"
                                  "X-Shown: one\r\n"
                                  "P-Asserted-Identity: <sip:alice@example.com>\r\n"
                                  "User-to-User: 00504944;encoding=hex\r\n"
                                  "Subject: lunch\r\n"
                                  "X-Empty:\r\n"
                                  "X-Blank:   \r\n"
                                  "Authorization: Digest username=\"alice\", response=\"0123\"\r\n"
                                  "Content-Length: 0\r\n\r\n";
    (void)state;
    same(&on, slice_str(message),
         "INVITE sip:bob@example.com SIP/2.0\r\n"
         "Via: SIP/2.0/UDP 192.0.2.1;branch=z9hG4bK1\r\n"
         "f: <sip:alice@example.com>;tag=1\r\n"
         "To: \"Bob: the second\" <sip:bob@example.com>\r\n"
         "Call-ID: 1@example.com\r\n"
         "CSeq: 1 INVITE\r\n"
         "X-Genesys-CallUUID: *\r\n"
         "X-Genesys-Route: *\r\n"
         "X-Shown: *\r\n"
         "P-Asserted-Identity: <sip:alice@example.com>\r\n"
         "User-to-User: *\r\n"
         "Subject: lunch\r\n"
         "X-Empty:\r\n"
         "X-Blank:   \r\n"
         "Authorization: *\r\n"
         "Content-Length: 0\r\n\r\n");
    struct slice got = mask(&with_unmask, slice_str(message));
    assert_true(holds(got, "X-Shown: one\r\n"));
    assert_true(holds(got, "Authorization: *\r\n"));
    assert_true(holds(got, "X-Genesys-CallUUID: *\r\n"));
}

/* A challenge has no secret; the answer to it always has. */
static void test_credentials(void **state)
{
    (void)state;
    hides("SIP/2.0 401 Unauthorized\r\nWWW-Authenticate: Digest realm=\"r\", nonce=\"n1\"\r\n"
          "Proxy-Authenticate: Digest realm=\"r\", nonce=\"n2\"\r\n\r\n",
          "nonce=\"n1\"");
    hides("REGISTER sip:a SIP/2.0\r\nPROXY-AUTHORIZATION : Digest secret\r\n"
          "authorization:\tDigest secret\r\n\r\n",
          "PROXY-AUTHORIZATION : *\r\nauthorization:\t*\r\n");
    hides(
        "INVITE sip:bob:secret@h SIP/2.0\r\nContact: \"x\" <SIPS:al:secret@h;a=b>, sip:c:secret@h\r\n"
        "Route: <sip:h:5060;lr>\r\n\r\n",
        "INVITE sip:bob:*@h SIP/2.0\r\nContact: \"x\" <SIPS:al:*@h;a=b>, sip:c:*@h\r\n"
        "Route: <sip:h:5060;lr>\r\n\r\n");
}

static void test_spellings(void **state)
{
    static const char *const heads[] = {
        "X-A: secret\r\n",
        "x-a:secret\r\n",
        "X-A :secret\r\n",
        "X-A\t: \tsecret\r\n",
        "X-A:\r\n secret\r\n",
        "X-A:\r\n\tse\r\n cret secret\r\n",
        "X-A: 1\r\n secret\r\n\tsecret\r\n",
        "X-A: 1\r\n \r\n secret\r\n",
        "X-A\r\n : secret\r\n",
        "X A: secret\r\n",
        "X-A secret\r\n",
        "secret\r\n",
        ": secret\r\n",
        "\x01X-A: secret\r\n",
        "X-A\x80: secret\r\n",
        "X-A: secret\n",
        "Subject: 1\nX-A: secret\r\n",
        "Subject: 1\rX-A: secret\r\n",
        "X-A: 1\rSubject: secret\r\n",
        "X-A: 1\nSubject: secret\r\n",
        "X-A: 1\n\nSubject: secret\r\n",
        "X-A: 1\r\r\nSubject: 1\r\nX-B: secret\r\n",
        "X-A: 1\r\nX-A: secret\r\nX-A:secret\r\n",
        "Authorization: Digest a=b,\r\n secret\r\n",
        "X-A: secret", /* the message was cut */
        "X-A:secret\r",
    };
    char message[400];
    (void)state;
    for (size_t i = 0; i < sizeof(heads) / sizeof(heads[0]); i++) {
        snprintf(message, sizeof(message), "OPTIONS sip:a SIP/2.0\r\nVia: v\r\n%s", heads[i]);
        hides(message, "OPTIONS sip:a SIP/2.0\r\nVia: v\r\n");
        snprintf(message, sizeof(message), "OPTIONS sip:a SIP/2.0\r\nVia: v\r\n%sTo: x\r\n\r\n",
                 heads[i]);
        hides(message, "OPTIONS sip:a SIP/2.0\r\nVia: v\r\n");
    }
}

/* What has no start line is no SIP message, and anything may stand there. */
static void test_start_line(void **state)
{
    (void)state;
    hides("secret", NULL);
    hides("X-A: secret\r\nTo: x\r\n\r\n", "To: x");
    hides("INVITE sip:a SIP/2.0\r\n X-A: secret\r\nTo: x\r\n\r\n", "To: x");
    hides("SIP/2.0 200 OK\rX-A: secret\r\n\r\n", NULL);
    hides("\r\n\r\nINVITE sip:a SIP/2.0\r\nX-A: secret\r\n\r\n",
          "\r\n\r\nINVITE sip:a SIP/2.0\r\n");
    same(&on, SLICE("\r\n\r\n"), "\r\n\r\n");
    hides("INVITE sip:a SIP/2.0\n X-A: secret\nTo: x\n\n", NULL);
}

static void test_bodies(void **state)
{
    (void)state;
    same(&on,
         SLICE("INFO sip:a SIP/2.0\r\nContent-Type: application/dtmf-relay\r\n"
               "Content-Length: 11\r\n\r\nSignal=5\r\n1"),
         "INFO sip:a SIP/2.0\r\nContent-Type: application/dtmf-relay\r\n"
         "Content-Length: 16\r\n\r\nCONTENT FILTERED");
    same(&on, SLICE("INVITE sip:a SIP/2.0\r\nc: Application/SDP ;charset=x\r\nl: 3\r\n\r\nv=0"),
         "INVITE sip:a SIP/2.0\r\nc: Application/SDP ;charset=x\r\nl: 3\r\n\r\nv=0");
    same(&on, SLICE("INVITE sip:a SIP/2.0\r\nc:application/sdp\r\n\r\nv=0"),
         "INVITE sip:a SIP/2.0\r\nc:application/sdp\r\n\r\nv=0");
    hides("INVITE sip:a SIP/2.0\r\n\r\nsecret", "\r\n\r\nCONTENT FILTERED");
    hides("INFO sip:a SIP/2.0\r\nContent-Type: application/vnd.radisys.msml+xml\r\n\r\n"
          "<msml><GVP:Param name=\"x\">secret</gvp:param></msml>",
          "CONTENT FILTERED");
    struct slice got =
        mask(&on, SLICE("INFO sip:a SIP/2.0\r\nContent-Type: application/vnd.radisys.msml+xml\r\n"
                        "\r\n<msml><play/></msml>"));
    assert_true(holds(got, "<msml><play/></msml>"));
}

/* A body that one reader takes for SDP and another one does not. */
static void test_doubtful_bodies(void **state)
{
    static const char *const heads[] = {
        "Content-Type: text/plain\r\nContent-Type: application/sdp\r\n",
        "Content-Type: application/sdp\r\nc: text/plain\r\n",
        "Content-Type: application/sdpx\r\n",
        "Content-Type: text/plain;x=application/sdp\r\n",
        "Content-Type: multipart/mixed;boundary=b\r\n",
        "Content-Type:\r\n",
        "Content-Type: application/sdp\r\nContent-Length: 2\r\n",
        "Content-Type: application/sdp\r\nContent-Length: 1\r\nl: 100\r\n",
        "Content-Type: application/sdp\r\nContent-Length:\r\n 1\r\n",
        "Content-Type: application/sdp\r\nContent-Encoding: gzip\r\n",
        "Content-Type: application/sdp\r\ne: gzip\r\n",
        "Content-Type: application/sdp\n",
        "X-A: 1\rContent-Type: application/sdp\r\n",
        "Subject: 1\r\n Content-Type: application/sdp\r\n",
    };
    char message[400];
    (void)state;
    for (size_t i = 0; i < sizeof(heads) / sizeof(heads[0]); i++) {
        snprintf(message, sizeof(message), "INFO sip:a SIP/2.0\r\nTo: x\r\n%s\r\nv=0\r\nsecret",
                 heads[i]);
        hides(message, "CONTENT FILTERED");
    }
    /* The head ends for one reader and goes on for another. */
    hides("INFO sip:a SIP/2.0\r\nContent-Type: application/sdp\n\nX-A: secret\r\n\r\nv=0", NULL);
    hides("INFO sip:a SIP/2.0\r\nContent-Type: application/sdp\r\n\nX-A: secret\r\n\r\nv=0", NULL);
}

/* The log shows no credentials whatever is configured; all the rest it does. */
static void test_log(void **state)
{
    static const char *const hidden[] = {"Authorization: Digest q7",
                                         "PROXY-AUTHORIZATION :q7",
                                         "WWW-Authenticate: Digest nonce=q7",
                                         "proxy-authenticate:\r\n\tq7",
                                         "Authentication-Info: nextnonce=q7",
                                         "Subject: 1\nAuthorization: q7",
                                         "Subject: 1\rAuthorization: q7",
                                         "Authorization\r\n : q7",
                                         "\001Authorization: q7",
                                         "Contact: <sip:a:q7@b>",
                                         "X-A: 1\n\nAuthorization: q7"};
    char message[400];
    (void)state;
    for (size_t i = 0; i < sizeof(hidden) / sizeof(hidden[0]); i++) {
        snprintf(message, sizeof(message), "OPTIONS sip:a SIP/2.0\r\n%s\r\nTo: x\r\n\r\n",
                 hidden[i]);
        struct slice got = mask(&in_log, slice_str(message));
        if (holds(got, "q7"))
            fail_msg("not hidden:\n%s\n->\n%.*s", message, SLICE_ARG(got));
    }
    same(&in_log, SLICE("OPTIONS sip:a SIP/2.0\r\nX-A: b\r\nnonsense\r\n\r\nbody"),
         "OPTIONS sip:a SIP/2.0\r\nX-A: b\r\nnonsense\r\n\r\nbody");
    same(&in_log, SLICE("nonsense \x80"), "nonsense \x80");
    struct sip_mask_conf both = {.is_on = true, .is_log = true};
    same(&both, SLICE("SIP/2.0 401 x\r\nX-A: b\r\nWWW-Authenticate: c\r\n\r\nd"),
         "SIP/2.0 401 x\r\nX-A: *\r\nWWW-Authenticate: *\r\n\r\nCONTENT FILTERED");
}

/* Lines of the head stay as many, whatever is in them. */
static void test_lines_stay(void **state)
{
    struct slice got = mask(&on, SLICE("INVITE sip:a SIP/2.0\r\nX-A: 1\r\n 2\r\nVia: x\r\n y\r\n"
                                       "nonsense\r\nX-B: 2\r\n\r\n"));
    (void)state;
    assert_true(slice_eq(got, SLICE("INVITE sip:a SIP/2.0\r\nX-A: *\r\nVia: x\r\n y\r\n*\r\n"
                                    "X-B: *\r\n\r\n")));
}

/* Every prefix of a message, and each with one byte changed, in memory that ends where it ends. */
static void test_every_cut(void **state)
{
    static const char text[] = "INVITE sip:a:secret@b SIP/2.0\r\nX-A: secret\r\n secret\r\n"
                               "Authorization: secret\r\nc: text/plain\r\nl: 6\r\n\r\nsecret";
    static const char odd[] = "\r\n :\0*@;\x80";
    (void)state;
    for (size_t len = 0; len < sizeof(text); len++) {
        for (size_t k = 0; k <= sizeof(odd); k++) {
            char *copy = malloc(len + 1);
            assert_non_null(copy);
            memcpy(copy, text, len);
            if (k < sizeof(odd) && len != 0)
                copy[len / 2] = odd[k];
            struct slice got = mask(&on, slice_of(copy, len));
            assert_true(got.len <= len + 16);
            if (k == sizeof(odd))
                assert_false(holds(got, "secret"));
            free(copy);
        }
    }
}

/* It ends soon, whatever is written into it. */
static void test_long(void **state)
{
    static char text[65535];
    (void)state;
    for (size_t i = 0; i < sizeof(text); i++)
        text[i] = "sip:"[i & 3];
    (void)mask(&on, slice_of(text, sizeof(text)));
    memcpy(text, "A sip:a SIP/2.0\r\nTo:", 20);
    struct slice got = mask(&on, slice_of(text, sizeof(text)));
    assert_int_equal(got.len, sizeof(text));
}

/* Where there is no room it is cut. */
static void test_small(void **state)
{
    struct slice message = SLICE("OPTIONS sip:a SIP/2.0\r\nX-A: 1\r\nTo: abc\r\n\r\n");
    char wanted[100];
    size_t len = mask(&on, message).len;
    struct buf out;
    (void)state;
    memcpy(wanted, room, len);
    for (size_t cap = 0; cap <= len; cap++) {
        buf_init(&out, room, cap);
        sip_mask(&on, message, &out);
        assert_int_equal(out.len, cap);
        assert_memory_equal(room, wanted, cap);
        assert_true(out.overflow == (cap < len));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_off),
        cmocka_unit_test(test_headers),
        cmocka_unit_test(test_credentials),
        cmocka_unit_test(test_spellings),
        cmocka_unit_test(test_start_line),
        cmocka_unit_test(test_bodies),
        cmocka_unit_test(test_doubtful_bodies),
        cmocka_unit_test(test_lines_stay),
        cmocka_unit_test(test_every_cut),
        cmocka_unit_test(test_long),
        cmocka_unit_test(test_small),
        cmocka_unit_test(test_log),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
