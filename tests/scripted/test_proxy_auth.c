/* SPDX-License-Identifier: Apache-2.0 */
/* sip-authenticate = all: 407 to our own users outside a dialog. RFC 3261 16.3 step 6, 22.3. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

#include "calls.h"
#include "sip/digest.h"

static struct rig r;
static struct got got, inv;

static int setup(void **state)
{
    (void)state;
    rig_open(&r, "sip-authenticate = all\nrelay-from = 10.0.0.0/8\nemergency-numbers = 112\n"
                 "[dn alice]\ntype = extension\npassword = secret\n"
                 "[dn +15550100]\ntype = extension\npassword = secret\n"
                 "[dn free]\ntype = extension\n"
                 "[dn 1001]\ntype = extension\ncontact = sip:1001@10.0.0.3\n"
                 "[dn help]\ntype = trunk\ncontact = sip:10.0.1.1\nprefix = 112\n"
                 "[application main]\nprimary = sip:10.0.1.2\noos-check = 0\n");
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    rig_close(&r);
    return 0;
}

static void hash(const char *a, const char *b, const char *c, char out[SIP_HA1_MAX])
{
    sip_digest_ha1(SIP_DIGEST_MD5, slice_str(a), slice_str(b), slice_str(c), out);
}

/* Proxy-Authorization by the MD5 challenge of a 407; HA2 is the hash of two parts only, so the
 * first of three is the method and the URI is cut in two at its colon. */
static const char *credentials(const struct got *m, const char *password, unsigned count)
{
    static char line[1024];
    char nonce[256] = "", ha1[SIP_HA1_MAX], ha2[SIP_HA1_MAX], response[SIP_HA1_MAX], mid[512];
    const char *md5 = strstr(m->text, "algorithm=MD5");
    assert_non_null(md5);
    const char *at = md5;
    while (strncmp(at, "nonce=\"", 7) != 0)
        at--;
    assert_int_equal(sscanf(at, "nonce=\"%250[^\"]\"", nonce), 1);
    hash("alice", "10.0.0.1", password, ha1);
    hash("INVITE", "sip", "1001@10.0.0.1", ha2);
    snprintf(mid, sizeof(mid), "%s:%08x:c:auth", nonce, count);
    hash(ha1, mid, ha2, response);
    snprintf(line, sizeof(line),
             "Proxy-Authorization: Digest username=\"alice\", realm=\"10.0.0.1\", nonce=\"%s\", "
             "uri=\"sip:1001@10.0.0.1\", response=\"%s\", algorithm=MD5, qop=auth, cnonce=\"c\", "
             "nc=%08x\n",
             nonce, response, count);
    return line;
}

static void challenged_then_let_through(void **state)
{
    (void)state;
    struct say w = {0};
    say_udp(&r, CALLER, &w);
    rig_expect_status(&r, CALLER, 407, &got);
    assert_non_null(strstr(got.text, "\r\nProxy-Authenticate: Digest "));
    assert_non_null(strstr(got.text, "realm=\"10.0.0.1\""));
    ack_udp(&r, CALLER, &w);
    rig_expect_none(&r, NULL);
    w.branch = "a2";
    w.cseq = 2;
    w.extra = credentials(&got, "wrong", 1);
    say_udp(&r, CALLER, &w);
    rig_expect_status(&r, CALLER, 407, &inv);
    assert_int_equal(rig_counter(&r, CTR_AUTH_FAILED), 1);
    ack_udp(&r, CALLER, &w);
    w.branch = "a3";
    w.cseq = 3;
    w.extra = credentials(&got, "secret", 2);
    say_udp(&r, CALLER, &w);
    rig_expect_method(&r, PHONE, "INVITE", &inv);
    assert_null(strstr(inv.text, "Proxy-Authorization")); /* RFC 3261 22.3: consumed */
    answer_udp(&r, PHONE, &inv, 200, "Contact: <sip:1001@10.0.0.3>\n");
    rig_expect_status(&r, CALLER, 200, &got);
    /* Neither the ACK nor what follows in the dialog is challenged. */
    struct say in = {.method = "ACK",
                     .uri = "sip:1001@10.0.0.3",
                     .branch = "k",
                     .cseq = 3,
                     .to = "<sip:1001@10.0.0.1>;tag=t",
                     .extra = route_set(&got, true)};
    say_udp(&r, CALLER, &in);
    rig_expect_method(&r, PHONE, "ACK", &inv);
    in.method = "BYE";
    say_udp(&r, CALLER, &in);
    rig_expect_method(&r, PHONE, "BYE", &inv);
    answer_udp(&r, PHONE, &inv, 200, "");
}

/* A To tag is soon written: without our mark it is no dialog. */
static void made_up_dialog_is_challenged(void **state)
{
    (void)state;
    say_udp(&r, CALLER, &(struct say){.to = "<sip:1001@10.0.0.1>;tag=x"});
    rig_expect_status(&r, CALLER, 407, &got);
    rig_expect_none(&r, NULL);
}

static void others_are_not_challenged(void **state)
{
    (void)state;
    static const char *const from[] = {
        "<sip:free@10.0.0.1>;tag=a",     /* no password */
        "<sip:alice@example.com>;tag=a", /* not one of ours */
        "<sip:nobody@10.0.0.1>;tag=a",
    };
    for (unsigned i = 0; i < 3; i++) {
        char text[8];
        snprintf(text, sizeof(text), "o%u", i);
        say_udp(
            &r, CALLER,
            &(struct say){.method = "MESSAGE", .from = from[i], .branch = text, .call_id = text});
        rig_expect_method(&r, PHONE, "MESSAGE", &got);
        answer_udp(&r, PHONE, &got, 200, "");
        rig_expect_status(&r, CALLER, 200, &got);
    }
}

/* RFC 3261 22.3: another proxy's credentials pass; ours are taken out of the ACK as well. */
static void credentials_of_others_are_passed_on(void **state)
{
    (void)state;
    static const char both[] =
        "Proxy-Authorization: Digest username=\"a\", realm=\"example.com\", nonce=\"n\", "
        "uri=\"sip:x@example.com\", response=\"0123456789abcdef0123456789abcdef\"\n"
        "Proxy-Authorization: Digest username=\"free\", realm=\"10.0.0.1\", nonce=\"n\", "
        "uri=\"sip:x@example.com\", response=\"0123456789abcdef0123456789abcdef\"\n";
    static const char *const methods[] = {"MESSAGE", "ACK"};
    for (unsigned i = 0; i < 2; i++) {
        say_udp(&r, CALLER,
                &(struct say){.method = methods[i],
                              .from = "<sip:free@10.0.0.1>;tag=a",
                              .branch = methods[i],
                              .call_id = methods[i],
                              .extra = both});
        rig_expect_method(&r, PHONE, methods[i], &got);
        assert_non_null(strstr(got.text, "realm=\"example.com\""));
        assert_null(strstr(got.text, "realm=\"10.0.0.1\""));
        if (i == 0)
            answer_udp(&r, PHONE, &got, 200, "");
        if (i == 0)
            rig_expect_status(&r, CALLER, 200, &inv);
    }
}

static void escaped_name_is_the_same_user(void **state)
{
    (void)state;
    say_udp(&r, CALLER, &(struct say){.method = "MESSAGE", .from = "<sip:%61lice@10.0.0.1>;tag=a"});
    rig_expect_status(&r, CALLER, 407, &got);
}

/* tel: has no domain to be the realm. */
static void number_alone(void **state)
{
    (void)state;
    say_udp(&r, CALLER, &(struct say){.method = "MESSAGE", .from = "<tel:+1-555-0100>;tag=a"});
    rig_expect_status(&r, CALLER, 407, &got);
    assert_null(strstr(got.text, "realm=\"\""));
}

static void emergency_is_not_challenged(void **state)
{
    struct say w = {.uri = "sip:112@10.0.0.1"};
    (void)state;
    say_udp(&r, CALLER, &w);
    rig_expect_method(&r, "10.0.1.1:5060", "INVITE", &inv);
    assert_string_equal(rig_uri(&inv), "sip:112@10.0.1.1");
    answer_udp(&r, "10.0.1.1:5060", &inv, 486, "");
    rig_expect_method(&r, "10.0.1.1:5060", "ACK", &got);
    rig_expect_status(&r, CALLER, 486, &got);
    ack_udp(&r, CALLER, &w);
}

/* It speaks for its callers, and has asked them itself. */
static void application_is_not_challenged(void **state)
{
    (void)state;
    say_udp(&r, "10.0.1.2:5060", &(struct say){.method = "MESSAGE", .sent_by = "10.0.1.2:5060"});
    rig_expect_method(&r, PHONE, "MESSAGE", &inv);
    answer_udp(&r, PHONE, &inv, 200, "");
    rig_expect_status(&r, "10.0.1.2:5060", 200, &got);
}

#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(challenged_then_let_through),   T(made_up_dialog_is_challenged),
        T(others_are_not_challenged),     T(credentials_of_others_are_passed_on),
        T(escaped_name_is_the_same_user), T(number_alone),
        T(emergency_is_not_challenged),   T(application_is_not_challenged),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
