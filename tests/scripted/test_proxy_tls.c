/* SPDX-License-Identifier: Apache-2.0 */
/* Calls by TLS and by sips: URIs: what Via and Record-Route say, which way a request takes, and
 * that a sips request never takes an unprotected one. RFC 3261 16.6, 26.2; RFC 5630; RFC 5922. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

#include "base/alloc.h"
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

/* Nobody was sent a datagram or a connection without TLS. */
static void assert_nothing_plain(const char *ip)
{
    char addr[64];
    rig_expect_none(&r, NULL);
    snprintf(addr, sizeof(addr), "%s:5060", ip);
    assert_int_equal(fake_opens(r.loop, addr), 0);
}

/* ACK and BYE of the callee and of the caller, along the route sets. */
static void talk(struct fake_conn *caller, struct fake_conn *phone, const char *caller_uri,
                 const char *phone_uri)
{
    static struct got ok;
    char routes[4096], contact[128], to[128];
    snprintf(contact, sizeof(contact), "Contact: <%s>\n", phone_uri);
    answer_tcp(phone, &inv, 200, contact);
    expect_tcp_status(caller, 200, &ok);
    snprintf(routes, sizeof(routes), "%s", route_set(&ok, true));
    snprintf(to, sizeof(to), "%s", rig_value(&ok, SIP_H_TO, 0));
    struct say w = {.method = "ACK",
                    .uri = phone_uri,
                    .transport = "TLS",
                    .sent_by = "10.0.0.2:5061",
                    .branch = "ack",
                    .to = to,
                    .contact = "",
                    .extra = routes};
    say_tcp(caller, &w);
    expect_tcp_method(phone, "ACK", &got);
    assert_string_equal(rig_uri(&got), phone_uri);
    w = (struct say){.method = "BYE",
                     .uri = caller_uri,
                     .transport = "TLS",
                     .sent_by = "10.0.0.3:5061",
                     .branch = "bye",
                     .from = to,
                     .to = "<sip:alice@10.0.0.1>;tag=a",
                     .contact = "",
                     .extra = route_set(&inv, false)};
    say_tcp(phone, &w);
    expect_tcp_method(caller, "BYE", &got);
    assert_begins(rig_value(&got, SIP_H_VIA, 0), "SIP/2.0/TLS ");
    answer_tcp(caller, &got, 200, "");
    expect_tcp_status(phone, 200, &got);
}

/* --- by TLS ---------------------------------------------------------------------------------- */

static void tls_to_tls(void **state)
{
    (void)state;
    struct fake_conn *phone = tls_phone(&r, "sip", PLAIN_CONTACT);
    struct fake_conn *caller = tls_connect(&r, "10.0.0.2:42000");
    struct say w = tls_call("sip:1001@10.0.0.1");
    say_tcp(caller, &w);
    expect_tcp_method(phone, "INVITE", &inv);
    assert_string_equal(rig_uri(&inv), "sip:1001@10.0.0.3:5061;transport=tls");
    assert_begins(rig_value(&inv, SIP_H_VIA, 0), "SIP/2.0/TLS ");
    assert_has(rig_value(&inv, SIP_H_VIA, 0), ":5061;branch=");
    assert_int_equal(rig_count(&inv, SIP_H_RECORD_ROUTE), 2);
    for (unsigned i = 0; i < 2; i++) {
        assert_begins(rig_value(&inv, SIP_H_RECORD_ROUTE, i), "<sip:hf");
        assert_has(rig_value(&inv, SIP_H_RECORD_ROUTE, i), "@10.0.0.1:5061;transport=tls;lr;");
    }
    talk(caller, phone, "sip:alice@10.0.0.2:5061;transport=tls",
         "sip:1001@10.0.0.3:5061;transport=tls");
    assert_nothing_plain("10.0.0.3");
}

/* The value that faces a side has its transport and port (RFC 5658). */
static void tls_to_udp_and_back(void **state)
{
    (void)state;
    register_udp(&r, "1001", PHONE, "");
    struct fake_conn *caller = tls_connect(&r, "10.0.0.2:42000");
    struct say w = tls_call("sip:1001@10.0.0.1");
    say_tcp(caller, &w);
    rig_expect_method(&r, PHONE, "INVITE", &inv);
    assert_begins(rig_value(&inv, SIP_H_VIA, 0), "SIP/2.0/UDP ");
    assert_has(rig_value(&inv, SIP_H_VIA, 0), ":5060;branch=");
    assert_int_equal(rig_count(&inv, SIP_H_RECORD_ROUTE), 2);
    assert_begins(rig_value(&inv, SIP_H_RECORD_ROUTE, 0), "<sip:10.0.0.1:5060;lr;");
    assert_has(rig_value(&inv, SIP_H_RECORD_ROUTE, 1), "@10.0.0.1:5061;transport=tls;lr;");
    answer_udp(&r, PHONE, &inv, 200, "Contact: <sip:1001@10.0.0.3:5060>\n");
    expect_tcp_status(caller, 200, &got);
    w = (struct say){.method = "BYE",
                     .uri = "sip:alice@10.0.0.2:5061;transport=tls",
                     .sent_by = PHONE,
                     .branch = "bye",
                     .from = "<sip:1001@10.0.0.1>;tag=t10.0.0.3-5060",
                     .to = "<sip:alice@10.0.0.1>;tag=a",
                     .contact = "",
                     .extra = route_set(&inv, false)};
    say_udp(&r, PHONE, &w);
    expect_tcp_method(caller, "BYE", &got);
    assert_begins(rig_value(&got, SIP_H_VIA, 0), "SIP/2.0/TLS ");
    answer_tcp(caller, &got, 200, "");
    rig_expect_status(&r, PHONE, 200, &got);
}

static void udp_to_tls(void **state)
{
    (void)state;
    struct fake_conn *phone = tls_phone(&r, "sip", PLAIN_CONTACT);
    say_udp(&r, CALLER, &(struct say){0});
    expect_tcp_method(phone, "INVITE", &inv);
    assert_has(rig_value(&inv, SIP_H_RECORD_ROUTE, 0), "@10.0.0.1:5061;transport=tls;lr;");
    assert_begins(rig_value(&inv, SIP_H_RECORD_ROUTE, 1), "<sip:10.0.0.1:5060;lr;");
    struct say w = {0};
    cancel_udp(&r, CALLER, &w);
    rig_expect_status(&r, CALLER, 200, &got);
    /* CANCEL goes the same way, and so does the ACK of what it brings about. */
    answer_tcp(phone, &inv, 180, "");
    expect_tcp_method(phone, "CANCEL", &got);
    assert_begins(rig_value(&got, SIP_H_VIA, 0), "SIP/2.0/TLS ");
    answer_tcp(phone, &got, 200, "");
    answer_tcp(phone, &inv, 487, "");
    expect_tcp_method(phone, "ACK", &got);
    rig_expect_status(&r, CALLER, 180, &got);
    rig_expect_status(&r, CALLER, 487, &got);
    ack_udp(&r, CALLER, &w);
}

/* The connection of the registration has died: another one, to where the Contact says. */
static void reopened_by_tls(void **state)
{
    (void)state;
    struct fake_conn *phone = tls_phone(&r, "sip", "<sip:1001@10.0.0.3;transport=tls>");
    fake_reset(phone);
    fake_run(r.loop);
    say_udp(&r, CALLER, &(struct say){0});
    struct fake_conn *again = fake_opened(r.loop, "10.0.0.3:5061", 0);
    assert_non_null(again);
    expect_tcp_method(again, "INVITE", &inv);
    assert_string_equal(fake_tls_name(again), "10.0.0.3");
    answer_tcp(again, &inv, 486, "");
    expect_tcp_method(again, "ACK", &got);
    rig_expect_status(&r, CALLER, 486, &got);
    ack_udp(&r, CALLER, &(struct say){0});
    assert_nothing_plain("10.0.0.3");
}

static void contact_of_another_name_is_refused(void **state)
{
    (void)state;
    struct fake_conn *phone = tls_phone(&r, "sip", PLAIN_CONTACT);
    fake_reset(phone);
    fake_set_identity(r.loop, "10.0.0.3:5061", "10.0.0.99");
    fake_run(r.loop);
    say_udp(&r, CALLER, &(struct say){0});
    fake_advance(r.loop, 5000);
    rig_expect_status(&r, CALLER, 480, &got);
    assert_has(got.text, "certificate of another name");
    ack_udp(&r, CALLER, &(struct say){0});
}

/* --- sips ------------------------------------------------------------------------------------- */

static void sips_call(void **state)
{
    (void)state;
    struct fake_conn *phone = tls_phone(&r, "sips", SIPS_CONTACT);
    struct fake_conn *caller = tls_connect(&r, "10.0.0.2:42000");
    struct say w = tls_call("sips:1001@10.0.0.1");
    say_tcp(caller, &w);
    expect_tcp_method(phone, "INVITE", &inv);
    assert_string_equal(rig_uri(&inv), "sips:1001@10.0.0.3:5061");
    for (unsigned i = 0; i < rig_count(&inv, SIP_H_RECORD_ROUTE); i++) {
        assert_begins(rig_value(&inv, SIP_H_RECORD_ROUTE, i), "<sips:");
        assert_has(rig_value(&inv, SIP_H_RECORD_ROUTE, i), "10.0.0.1:5061;lr;");
        assert_has_not(rig_value(&inv, SIP_H_RECORD_ROUTE, i), "transport");
    }
    talk(caller, phone, "sips:alice@10.0.0.2:5061", "sips:1001@10.0.0.3:5061");
    assert_nothing_plain("10.0.0.3");
}

/* RFC 5630 5.3: no exception for the last hop. */
static void sips_needs_a_sips_contact(void **state)
{
    (void)state;
    struct fake_conn *phone = tls_phone(&r, "sip", PLAIN_CONTACT);
    register_udp(&r, "1001", OTHER, "");
    struct fake_conn *caller = tls_connect(&r, "10.0.0.2:42000");
    struct say w = tls_call("sips:1001@10.0.0.1");
    say_tcp(caller, &w);
    expect_tcp_status(caller, 480, &got);
    assert_has(got.text, "\r\nWarning: 380 ");
    assert_has(got.text, " \"SIPS Not Allowed\"\r\n");
    rig_expect_none_tcp(phone);
    assert_nothing_plain("10.0.0.4");
}

/* Of several contacts only the sips ones are asked. */
static void sips_forks_to_sips_contacts(void **state)
{
    (void)state;
    struct fake_conn *phone = tls_phone(&r, "sips", SIPS_CONTACT);
    register_udp(&r, "1001", OTHER, "");
    struct fake_conn *caller = tls_connect(&r, "10.0.0.2:42000");
    struct say w = tls_call("sips:1001@10.0.0.1");
    say_tcp(caller, &w);
    expect_tcp_method(phone, "INVITE", &inv);
    answer_tcp(phone, &inv, 486, "");
    expect_tcp_method(phone, "ACK", &got);
    expect_tcp_status(caller, 486, &got);
    assert_nothing_plain("10.0.0.4");
}

/* Its scheme becomes sip, and the way stays TLS. */
static void sip_request_to_a_sips_contact(void **state)
{
    (void)state;
    struct fake_conn *phone = tls_phone(&r, "sips", SIPS_CONTACT);
    say_udp(&r, CALLER, &(struct say){0});
    expect_tcp_method(phone, "INVITE", &inv);
    assert_string_equal(rig_uri(&inv), "sip:1001@10.0.0.3:5061");
    assert_begins(rig_value(&inv, SIP_H_RECORD_ROUTE, 0), "<sip:hf");
    answer_tcp(phone, &inv, 486, "");
    expect_tcp_method(phone, "ACK", &got);
    rig_expect_status(&r, CALLER, 486, &got);
    ack_udp(&r, CALLER, &(struct say){0});
}

/* A next hop that is written as sip is taken as sips (RFC 3261 16.6 step 7). */
static void sips_is_relayed_by_tls_only(void **state)
{
    (void)state;
    static const struct {
        const char *uri, *route, *to;
    } cases[] = {
        {"sips:bob@10.0.0.4", "", "10.0.0.4:5061"},
        {"sips:bob@10.0.0.4:5070", "", "10.0.0.4:5070"},
        {"sips:bob@10.0.0.4;transport=tcp", "", "10.0.0.4:5061"},
        {"sips:bob@10.0.0.4;transport=tls", "", "10.0.0.4:5061"},
        {"sips:bob@10.0.0.9", "Route: <sip:10.0.0.4;lr>\n", "10.0.0.4:5061"},
        {"sips:bob@10.0.0.9", "Route: <sips:10.0.0.4:5099;lr>\n", "10.0.0.4:5099"},
        {"sip:bob@10.0.0.4;transport=tls", "", "10.0.0.4:5061"},
        {"sip:bob@10.0.0.9", "Route: <sips:10.0.0.4;lr>\n", "10.0.0.4:5061"},
    };
    struct fake_conn *caller = tls_connect(&r, "10.0.0.2:42000");
    for (unsigned i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        char branch[16];
        snprintf(branch, sizeof(branch), "relay%u", i);
        struct say w = tls_call(cases[i].uri);
        w.method = "MESSAGE";
        w.contact = "";
        w.branch = w.call_id = branch;
        w.extra = cases[i].route;
        say_tcp(caller, &w);
        struct fake_conn *next = fake_opened(r.loop, cases[i].to, 0);
        if (next == NULL)
            fail_msg("case %u: no connection to %s", i, cases[i].to);
        expect_tcp_method(next, "MESSAGE", &got);
        assert_begins(rig_value(&got, SIP_H_VIA, 0), "SIP/2.0/TLS ");
        assert_string_equal(fake_tls_name(next), "10.0.0.4");
        answer_tcp(next, &got, 200, "");
        expect_tcp_status(caller, 200, &got);
    }
    assert_nothing_plain("10.0.0.4");
}

/* Nothing else is tried when TLS cannot be had. */
static void sips_does_not_fall_back(void **state)
{
    (void)state;
    fake_set_peer(r.loop, "10.0.0.4:5061", FAKE_TLS_PLAIN);
    struct fake_conn *caller = tls_connect(&r, "10.0.0.2:42000");
    struct say w = tls_call("sips:bob@10.0.0.4");
    say_tcp(caller, &w);
    fake_advance(r.loop, 5000);
    expect_tcp_status(caller, 500, &got);
    assert_nothing_plain("10.0.0.4");
    w.uri = "sips:bob@10.0.0.4;transport=udp";
    w.branch = w.call_id = "b2";
    say_tcp(caller, &w);
    expect_tcp_status(caller, 480, &got);
    assert_has(got.text, "\r\nWarning: 380 ");
    w.uri = "sips:bob@10.0.0.9";
    w.extra = "Route: <sip:10.0.0.4;transport=udp;lr>\n";
    w.branch = w.call_id = "b3";
    say_tcp(caller, &w);
    expect_tcp_status(caller, 480, &got);
    assert_nothing_plain("10.0.0.4");
}

/* An INVITE by UDP for the sips contact, and the BYE of the callee. */
static struct fake_conn *sips_by_udp(void)
{
    struct fake_conn *phone = tls_phone(&r, "sips", SIPS_CONTACT);
    say_udp(&r, CALLER,
            &(struct say){.uri = "sips:1001@10.0.0.1", .contact = "<sips:alice@10.0.0.2:5070>"});
    expect_tcp_method(phone, "INVITE", &inv);
    assert_int_equal(rig_count(&inv, SIP_H_RECORD_ROUTE), 2);
    for (unsigned i = 0; i < 2; i++) {
        assert_begins(rig_value(&inv, SIP_H_RECORD_ROUTE, i), "<sips:");
        assert_has(rig_value(&inv, SIP_H_RECORD_ROUTE, i), "10.0.0.1:5061;lr;");
    }
    answer_tcp(phone, &inv, 200, "Contact: " SIPS_CONTACT "\n");
    rig_expect_status(&r, CALLER, 200, &got);
    struct say w = {.method = "BYE",
                    .uri = "sips:alice@10.0.0.2:5070",
                    .transport = "TLS",
                    .sent_by = "10.0.0.3:5061",
                    .branch = "bye",
                    .from = "<sip:1001@10.0.0.1>;tag=t",
                    .to = "<sip:alice@10.0.0.1>;tag=a",
                    .contact = "",
                    .extra = route_set(&inv, false)};
    say_tcp(phone, &w);
    return phone;
}

/* RFC 3261 16.6 step 4: both values bring later requests back by TLS, and what goes back to who
 * came without it does too. */
static void sips_that_came_without_tls(void **state)
{
    (void)state;
    struct fake_conn *phone = sips_by_udp();
    struct fake_conn *caller = fake_opened(r.loop, "10.0.0.2:5070", 0);
    assert_non_null(caller);
    assert_string_equal(fake_tls_name(caller), "10.0.0.2");
    expect_tcp_method(caller, "BYE", &got);
    answer_tcp(caller, &got, 200, "");
    expect_tcp_status(phone, 200, &got);
    rig_expect_none(&r, NULL);
}

/* Who may not have requests relayed is pinned to the way it came: that is none for sips. */
static void sips_of_a_stranger_without_tls(void **state)
{
    (void)state;
    rig_reload(&r, TLS_ONLY "registrar-open-to = 10.0.0.0/8\nrelay-from = 127.0.0.0/8\n");
    struct fake_conn *phone = sips_by_udp();
    expect_tcp_status(phone, 480, &got);
    assert_has(got.text, "\r\nWarning: 380 ");
    assert_int_equal(fake_opens(r.loop, NULL), 0);
    rig_expect_none(&r, NULL);
}

/* A release writes no BYE of a sips dialog into the open. */
static void released_sips_call_without_tls(void **state)
{
    (void)state;
    static struct got ok;
    struct fake_conn *phone = tls_phone(&r, "sips", SIPS_CONTACT);
    struct say w = {.uri = "sips:1001@10.0.0.1", .contact = "<sips:alice@10.0.0.2:5070>"};
    say_udp(&r, CALLER, &w);
    expect_tcp_method(phone, "INVITE", &inv);
    answer_tcp(phone, &inv, 200, "Contact: " SIPS_CONTACT "\n");
    rig_expect_status(&r, CALLER, 200, &ok);
    fake_set_peer(r.loop, "10.0.0.3:5061", FAKE_REFUSE);
    fake_reset(phone);
    fake_run(r.loop);
    w.method = "INFO";
    w.uri = "sips:1001@10.0.0.3:5061";
    w.to = "<sip:1001@10.0.0.1>;tag=t";
    w.branch = "info";
    w.cseq = 2;
    w.contact = "";
    w.extra = route_set(&ok, true);
    say_udp(&r, CALLER, &w);
    fake_advance(r.loop, 10000);
    rig_expect_status(&r, CALLER, 408, &got);
    rig_expect_none(&r, NULL);
}

/* sip-port = 0. */
static void tls_alone(void **state)
{
    (void)state;
    struct fake_conn *phone = tls_phone(&r, "sip", PLAIN_CONTACT);
    assert_false(fake_datagram(r.loop, CALLER, PROXY, SLICE("x")));
    assert_null(fake_connect(r.loop, "10.0.0.2:42000", PROXY));
    struct fake_conn *caller = tls_connect(&r, "10.0.0.2:42000");
    struct say w = tls_call("sip:1001@10.0.0.1");
    say_tcp(caller, &w);
    expect_tcp_method(phone, "INVITE", &inv);
    talk(caller, phone, "sip:alice@10.0.0.2:5061;transport=tls",
         "sip:1001@10.0.0.3:5061;transport=tls");
    w = tls_call("sip:bob@10.0.0.4");
    w.branch = w.call_id = "b2";
    say_tcp(caller, &w);
    rig_expect_tcp(caller, &got);
    assert_true(got.msg.status >= 500);
    rig_expect_none(&r, NULL);
}

/* RFC 5630 5.3: URIs that do not go together. */
static void sips_request_with_sip_contact(void **state)
{
    (void)state;
    tls_phone(&r, "sips", SIPS_CONTACT);
    struct fake_conn *caller = tls_connect(&r, "10.0.0.2:42000");
    struct say w = tls_call("sips:1001@10.0.0.1");
    w.contact = "<sip:alice@10.0.0.2:5061;transport=tls>";
    say_tcp(caller, &w);
    expect_tcp_status(caller, 400, &got);
}

/* Each allocation of a call fails once: it may be lost, but neither goes it anywhere without TLS
 * nor is anything left of it. Without injection there is one run. */
static void sips_call_without_memory(void **state)
{
    (void)state;
    static const char *const uris[] = {"sips:1001@10.0.0.1", "sip:1001@10.0.0.1",
                                       "sips:bob@10.0.0.4"};
    for (unsigned i = 0; i < 3; i++) {
        bool has_failed = true;
        for (unsigned n = 1; has_failed; n++) {
            rig_open(&r, TLS);
            struct fake_conn *phone = tls_phone(&r, "sips", SIPS_CONTACT);
            struct fake_conn *caller = tls_connect(&r, "10.0.0.2:42000");
            struct slice bytes;
            struct say w = tls_call(uris[i]);
            mem_fail_at(n);
            say_tcp(caller, &w);
            has_failed = mem_failed();
            mem_fail_at(0);
            if (i < 2 && fake_take_message(phone, &bytes))
                assert_true(slice_starts(bytes, SLICE("INVITE sip")));
            fake_advance(r.loop, 40000);
            assert_nothing_plain(i < 2 ? "10.0.0.3" : "10.0.0.4");
            rig_abandon(&r);
        }
    }
}

/* The MUST of RFC 3261 16.6 step 4 goes before record-route = false. */
static void record_route_where_security_differs(void **state)
{
    (void)state;
    rig_reload(&r, TLS "record-route = false\n");
    register_udp(&r, "1001", PHONE, "");
    struct fake_conn *caller = tls_connect(&r, "10.0.0.2:42000");
    struct say w = tls_call("sip:1001@10.0.0.1");
    say_tcp(caller, &w);
    rig_expect_method(&r, PHONE, "INVITE", &inv);
    assert_int_equal(rig_count(&inv, SIP_H_RECORD_ROUTE), 2);
    answer_udp(&r, PHONE, &inv, 486, "");
    rig_expect_method(&r, PHONE, "ACK", &got);
    expect_tcp_status(caller, 486, &got);
    say_udp(&r, CALLER, &(struct say){.branch = "b2", .call_id = "c2"});
    rig_expect_method(&r, PHONE, "INVITE", &inv);
    assert_int_equal(rig_count(&inv, SIP_H_RECORD_ROUTE), 0);
    answer_udp(&r, PHONE, &inv, 486, "");
    rig_expect_method(&r, PHONE, "ACK", &got);
    rig_expect_status(&r, CALLER, 486, &got);
    ack_udp(&r, CALLER, &(struct say){.branch = "b2", .call_id = "c2"});
}

/* --- without TLS ------------------------------------------------------------------------------ */

static int setup_plain(void **state)
{
    (void)state;
    rig_open(&r, OPEN);
    return 0;
}

static int setup_alone(void **state)
{
    (void)state;
    rig_open(&r, "sip-port = 0\n" TLS);
    return 0;
}

static void sips_without_tls_is_not_supported(void **state)
{
    (void)state;
    say_udp(&r, CALLER,
            &(struct say){.uri = "sips:1001@10.0.0.1", .contact = "<sips:alice@10.0.0.2>"});
    rig_expect_status(&r, CALLER, 416, &got);
    ack_udp(&r, CALLER, &(struct say){.uri = "sips:1001@10.0.0.1"});
    say_udp(&r, CALLER,
            &(struct say){.method = "REGISTER",
                          .uri = "sips:10.0.0.1",
                          .branch = "r",
                          .to = "<sips:1001@10.0.0.1>"});
    rig_expect_status(&r, CALLER, 416, &got);
    say_udp(&r, CALLER, &(struct say){.method = "OPTIONS", .uri = "sips:10.0.0.1", .branch = "o"});
    rig_expect_status(&r, CALLER, 416, &got);
    /* Neither is it tried in another way where a next hop asks for TLS. */
    say_udp(&r, CALLER,
            &(struct say){.method = "MESSAGE",
                          .uri = "sip:bob@10.0.0.4;transport=tls",
                          .branch = "m",
                          .contact = ""});
    rig_expect(&r, CALLER, &got);
    assert_true(got.msg.status >= 500);
    assert_int_equal(fake_opens(r.loop, NULL), 0);
    rig_expect_none(&r, NULL);
}

#define HERE(test)  cmocka_unit_test_setup_teardown(test, setup, teardown)
#define PLAIN(test) cmocka_unit_test_setup_teardown(test, setup_plain, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        HERE(tls_to_tls),
        HERE(tls_to_udp_and_back),
        HERE(udp_to_tls),
        HERE(reopened_by_tls),
        HERE(contact_of_another_name_is_refused),
        HERE(sips_call),
        HERE(sips_needs_a_sips_contact),
        HERE(sips_forks_to_sips_contacts),
        HERE(sip_request_to_a_sips_contact),
        HERE(sips_is_relayed_by_tls_only),
        HERE(sips_does_not_fall_back),
        HERE(sips_that_came_without_tls),
        HERE(sips_of_a_stranger_without_tls),
        cmocka_unit_test(sips_call_without_memory),
        HERE(released_sips_call_without_tls),
        cmocka_unit_test_setup_teardown(tls_alone, setup_alone, teardown),
        HERE(sips_request_with_sip_contact),
        HERE(record_route_where_security_differs),
        PLAIN(sips_without_tls_is_not_supported),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
