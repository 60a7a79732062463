/* SPDX-License-Identifier: Apache-2.0 */
/* Whose message an ICMP error quotes. */
#include "sip/quote.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define BRANCH "z9hG4bKhf0102030405060708.0000abcd"
#define VIA    "Via: SIP/2.0/UDP 10.0.0.1:5060;branch=" BRANCH ";rport\r\n"

/* In memory of its own, so that a step beyond its end is seen. */
static int read_quote(const char *text, size_t len, struct sip_quote *out)
{
    char *bytes = malloc(len + (len == 0));
    assert_non_null(bytes);
    memcpy(bytes, text, len);
    int err = sip_quote_read(slice_of(bytes, len), out);
    free(bytes);
    return err;
}

static void expect_ours(const char *text, size_t len, enum sip_method method)
{
    struct sip_quote q;
    assert_int_equal(read_quote(text, len, &q), 0);
    assert_true(q.is_request);
    assert_int_equal(q.method, method);
    assert_true(q.id == 0x0102030405060708u);
    assert_int_equal(q.loop, 0xabcd);
}

static void expect_none(const char *text)
{
    struct sip_quote q;
    assert_int_equal(read_quote(text, strlen(text), &q), ERR_NOT_FOUND);
}

static void requests(void **state)
{
    const char *invite = "INVITE sip:a@b SIP/2.0\r\n" VIA "Via: SIP/2.0/UDP x;branch=z9hG4bK1\r\n";
    const char *later = "BYE sip:a@b SIP/2.0\r\nMax-Forwards: 70\r\nTo: x\n" VIA;
    (void)state;
    expect_ours(invite, strlen(invite), SIP_INVITE);
    expect_ours(later, strlen(later), SIP_BYE);
    expect_ours("STRANGE sip:a@b SIP/2.0\r\n" VIA, strlen("STRANGE sip:a@b SIP/2.0\r\n" VIA),
                SIP_UNKNOWN);
}

static void responses(void **state)
{
    struct sip_quote q;
    const char *text = "SIP/2.0 200 OK\r\n" VIA;
    (void)state;
    assert_int_equal(read_quote(text, strlen(text), &q), 0);
    assert_false(q.is_request);
}

/* Cut off anywhere: it is ours as soon as the branch is whole, and not before. */
static void every_prefix(void **state)
{
    const char *text = "INVITE sip:a@b SIP/2.0\r\nTo: <sip:a@b>\r\n" VIA "From: x\r\n";
    size_t whole = (size_t)(strstr(text, BRANCH) - text) + strlen(BRANCH);
    struct sip_quote q;
    (void)state;
    for (size_t len = 0; len <= strlen(text); len++) {
        if (len >= whole)
            expect_ours(text, len, SIP_INVITE);
        else
            assert_int_equal(read_quote(text, len, &q), ERR_NOT_FOUND);
    }
}

static void strangers(void **state)
{
    (void)state;
    expect_none("");
    expect_none("\r\n\r\n");
    expect_none("\n\n\n\n");
    expect_none(" \r\n" VIA);
    expect_none("INVITE\r\n" VIA);
    expect_none("INVITE sip:a@b SIP/2.0\r\nVia: SIP/2.0/UDP h;branch=z9hG4bKother\r\n");
    /* The topmost one counts. */
    expect_none("INVITE sip:a@b SIP/2.0\r\nVia: SIP/2.0/UDP h;branch=z9hG4bKother\r\n" VIA);
    expect_none("INVITE sip:a@b SIP/2.0\r\nVia: SIP/2.0/UDP h\r\n" VIA);
    /* In the body. */
    expect_none("INVITE sip:a@b SIP/2.0\r\nTo: x\r\n\r\n" VIA);
    /* What was not sent by UDP. */
    expect_none("INVITE sip:a@b SIP/2.0\r\nVia: SIP/2.0/TCP h;branch=" BRANCH "\r\n");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(requests),
        cmocka_unit_test(responses),
        cmocka_unit_test(every_prefix),
        cmocka_unit_test(strangers),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
