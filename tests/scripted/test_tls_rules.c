/* SPDX-License-Identifier: Apache-2.0 */
/* Who may register a sips contact, and DNs that have TLS rules of their own. RFC 5630 5.2; RFC 5922
 * 4. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

#include "tls_calls.h"

static struct rig r;
static struct got got, inv;

static int setup(void **state)
{
    (void)state;
    rig_open(&r, TLS);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    rig_close(&r);
    return 0;
}

/* --- registration ----------------------------------------------------------------------------- */

static void sips_registrations(void **state)
{
    (void)state;
    static const struct {
        const char *scheme, *contact, *extra;
        unsigned status;
    } cases[] = {
        {"sips", SIPS_CONTACT, "", 200},
        {"sip", SIPS_CONTACT, "", 400},
        {"sips", "<sips:1001@10.0.0.3:5061>, <sip:1001@10.0.0.3:5070>", "", 400},
        {"sips", "<sips:1001@10.0.0.3:5061>, <sip:1001@10.0.0.3:5070>;expires=0", "", 200},
        {"sips", SIPS_CONTACT, "Supported: path\nPath: <sip:10.0.0.3:5061;lr>\n", 400},
        {"sips", SIPS_CONTACT, "Supported: path\nPath: <sips:10.0.0.3:5061;lr>\n", 200},
        {"sips", PLAIN_CONTACT, "", 200},
        {"sip", SIPS_CONTACT ";expires=0", "", 200},
    };
    struct fake_conn *phone = tls_connect(&r, "10.0.0.3:41000");
    for (unsigned i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        tls_register(phone, "1001", cases[i].scheme, cases[i].contact, cases[i].extra);
        rig_expect_tcp(phone, &got);
        if (got.msg.status != cases[i].status)
            fail_msg("case %u: %s", i, got.text);
    }
}

/* Not from where anybody could read along. */
static void sips_contact_without_tls(void **state)
{
    (void)state;
    say_udp(&r, PHONE,
            &(struct say){.method = "REGISTER",
                          .uri = "sips:10.0.0.1",
                          .sent_by = PHONE,
                          .from = "<sips:1001@10.0.0.1>;tag=r",
                          .to = "<sips:1001@10.0.0.1>",
                          .contact = SIPS_CONTACT});
    rig_expect_status(&r, PHONE, 400, &got);
    assert_has(got.text, "SIPS Contact Needs TLS");
}

/* RFC 5630 5.2: both schemes of an address of record are one. */
static void one_address_of_both_schemes(void **state)
{
    (void)state;
    struct fake_conn *phone = tls_phone(&r, "sips", SIPS_CONTACT);
    tls_register(phone, "1001", "sip", "", "");
    expect_tcp_status(phone, 200, &got);
    assert_has(got.text, "Contact: <sips:1001@10.0.0.3:5061>");
}

/* --- DNs with rules of their own -------------------------------------------------------------- */

#define GATEWAY                                                                                    \
    TLS "[dn gw]\ntype = trunk\ncontact = sip:gw.example.com;transport=tls\ntls-ca = /gw-ca.pem\n" \
        "[dn 1001]\n"

static int setup_gateway(void **state)
{
    (void)state;
    rig_open(&r, GATEWAY);
    fake_set_host(r.loop, "gw.example.com", "10.0.0.4", 0);
    return 0;
}

/* The name of the URI is what has to be proved, and not the address behind it (RFC 5922 4). */
static void gateway_proves_its_name(void **state)
{
    (void)state;
    fake_set_identity(r.loop, "10.0.0.4:5061", "gw.example.com");
    say_udp(&r, CALLER, &(struct say){.uri = "sip:gw@10.0.0.1", .to = "<sip:gw@10.0.0.1>"});
    struct fake_conn *gw = fake_opened(r.loop, "10.0.0.4:5061", 0);
    assert_non_null(gw);
    assert_string_equal(fake_tls_name(gw), "gw.example.com");
    expect_tcp_method(gw, "INVITE", &inv);
    assert_string_equal(rig_uri(&inv), "sip:gw.example.com;transport=tls");
    answer_tcp(gw, &inv, 200, "Contact: <sip:10.0.0.4:5061;transport=tls>\n");
    rig_expect_status(&r, CALLER, 200, &got);
    /* Later requests stay on this connection, though the Contact is an address. */
    struct say w = {.method = "BYE",
                    .uri = "sip:10.0.0.4:5061;transport=tls",
                    .branch = "bye",
                    .to = "<sip:gw@10.0.0.1>;tag=t",
                    .contact = "",
                    .cseq = 2,
                    .extra = route_set(&got, true)};
    say_udp(&r, CALLER, &w);
    expect_tcp_method(gw, "BYE", &got);
    answer_tcp(gw, &got, 200, "");
    rig_expect_status(&r, CALLER, 200, &got);
    assert_int_equal(fake_opens(r.loop, NULL), 1);
}

static void gateway_of_another_name(void **state)
{
    (void)state;
    fake_set_identity(r.loop, "10.0.0.4:5061", "10.0.0.4,evil.example.com");
    say_udp(&r, CALLER, &(struct say){.uri = "sip:gw@10.0.0.1", .to = "<sip:gw@10.0.0.1>"});
    fake_advance(r.loop, 5000);
    rig_expect_status(&r, CALLER, 480, &got);
    assert_has(got.text, "certificate of another name");
    ack_udp(&r, CALLER, &(struct say){.uri = "sip:gw@10.0.0.1", .to = "<sip:gw@10.0.0.1>"});
}

/* tls-verify-server = false for this DN alone. */
static void gateway_that_need_not_prove(void **state)
{
    (void)state;
    rig_reload(&r, GATEWAY "[dn gw2]\ncontact = sip:gw.example.com;transport=tls\n"
                           "tls-verify-server = false\n");
    fake_set_identity(r.loop, "10.0.0.4:5061", "evil.example.com");
    say_udp(&r, CALLER, &(struct say){.uri = "sip:gw2@10.0.0.1", .to = "<sip:gw2@10.0.0.1>"});
    struct fake_conn *gw = fake_opened(r.loop, "10.0.0.4:5061", 0);
    assert_non_null(gw);
    expect_tcp_method(gw, "INVITE", &inv);
    answer_tcp(gw, &inv, 486, "");
    expect_tcp_method(gw, "ACK", &got);
    rig_expect_status(&r, CALLER, 486, &got);
    ack_udp(&r, CALLER, &(struct say){.uri = "sip:gw2@10.0.0.1", .to = "<sip:gw2@10.0.0.1>"});
    /* The other DN's rules still hold, on a connection of its own. */
    say_udp(
        &r, CALLER,
        &(struct say){
            .uri = "sip:gw@10.0.0.1", .branch = "b2", .call_id = "c2", .to = "<sip:gw@10.0.0.1>"});
    fake_advance(r.loop, 5000);
    rig_expect_status(&r, CALLER, 480, &got);
}

/* Checks go by the same rules. */
static void check_of_a_dn_with_rules(void **state)
{
    (void)state;
    rig_reload(&r, GATEWAY "[dn gw2]\ncontact = sips:gw.example.com\noos-check = 10\n"
                           "tls-verify-server = false\n");
    fake_set_identity(r.loop, "10.0.0.4:5061", "evil.example.com");
    fake_advance(r.loop, 10000);
    struct fake_conn *gw = fake_opened(r.loop, "10.0.0.4:5061", 0);
    assert_non_null(gw);
    expect_tcp_method(gw, "OPTIONS", &got);
    assert_string_equal(rig_uri(&got), "sips:gw.example.com");
    assert_begins(rig_value(&got, SIP_H_VIA, 0), "SIP/2.0/TLS 10.0.0.1:5061");
    answer_tcp(gw, &got, 200, "");
    rig_reload(&r, GATEWAY);
}

/* Numbers of names are made anew in another process; the token brings the name along. */
static void token_keeps_the_name_over_a_restart(void **state)
{
    (void)state;
    static struct got ok;
    say_udp(&r, CALLER, &(struct say){.uri = "sip:gw@10.0.0.1", .to = "<sip:gw@10.0.0.1>"});
    struct fake_conn *gw = fake_opened(r.loop, "10.0.0.4:5061", 0);
    expect_tcp_method(gw, "INVITE", &inv);
    answer_tcp(gw, &inv, 200, "Contact: <sip:10.0.0.4:5061;transport=tls>\n");
    rig_expect_status(&r, CALLER, 200, &ok);
    rig_abandon(&r);
    rig_open(&r, GATEWAY);
    struct say w = {.method = "BYE",
                    .uri = "sip:10.0.0.4:5061;transport=tls",
                    .branch = "bye",
                    .to = "<sip:gw@10.0.0.1>;tag=t",
                    .contact = "",
                    .cseq = 2,
                    .extra = route_set(&ok, true)};
    /* Some other names come first, so that numbers differ. */
    say_udp(
        &r, CALLER,
        &(struct say){.method = "MESSAGE", .uri = "sips:x@10.0.0.5", .branch = "m", .contact = ""});
    fake_set_identity(r.loop, "10.0.0.4:5061", "gw.example.com");
    say_udp(&r, CALLER, &w);
    gw = fake_opened(r.loop, "10.0.0.4:5061", 0);
    assert_non_null(gw);
    assert_string_equal(fake_tls_name(gw), "gw.example.com");
    expect_tcp_method(gw, "BYE", &got);
    answer_tcp(gw, &got, 200, "");
    rig_expect_status(&r, CALLER, 200, &got);
}

#define HERE(test)    cmocka_unit_test_setup_teardown(test, setup, teardown)
#define WITH_GW(test) cmocka_unit_test_setup_teardown(test, setup_gateway, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        HERE(sips_registrations),          HERE(sips_contact_without_tls),
        HERE(one_address_of_both_schemes), WITH_GW(gateway_proves_its_name),
        WITH_GW(gateway_of_another_name),  WITH_GW(gateway_that_need_not_prove),
        WITH_GW(check_of_a_dn_with_rules), WITH_GW(token_keeps_the_name_over_a_restart),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
