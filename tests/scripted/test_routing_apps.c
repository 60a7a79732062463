/* SPDX-License-Identifier: Apache-2.0 */
/* Calls between devices and a pair of SIP Servers: X-Genesys-Route names the next hop, and inside a
 * dialog the active member is asked, whichever of the two the Route or the Request-URI names. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

#include "calls.h"

#define APP_A "10.0.1.1:5060"
#define APP_B "10.0.1.2:5060"
#define EXACT "10.0.2.2:5070"

/* Without checks: who is active is said by the script. Nobody but the application may relay. */
#define PAIR "relay-from = 127.0.0.1\n" REST
#define REST                                                                 \
    "registrar-open-to = 10.0.0.0/24\napplications = main\n"                 \
    "serving-sipserver = main\n[application main]\nprimary = sip:10.0.1.1\n" \
    "backup = sip:10.0.1.2\noos-check = 0\n"

#define CONTACT "Contact: <sip:app@10.0.1.1:5060>\n"

static struct rig r;
static struct got got, inv, ok;

static int setup(void **state)
{
    (void)state;
    rig_open(&r, PAIR);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    rig_close(&r);
    return 0;
}

static void switch_over(void)
{
    assert_int_equal(group_switch(r.shared.groups, SLICE("main"), UINT32_MAX, net_now(r.loop)), 0);
    fake_run(r.loop);
}

static struct say from_app(const char *method, const char *uri)
{
    return (struct say){.method = method,
                        .uri = uri,
                        .sent_by = APP_A,
                        .from = "<sip:app@10.0.1.1>;tag=s",
                        .contact = "<sip:app@10.0.1.1:5060>"};
}

static bool has_header(const struct got *m)
{
    return strcasestr(m->text, "X-Genesys-Route") != NULL;
}

/* --- X-Genesys-Route -------------------------------------------------------------------------- */

static void application_names_the_next_hop(void **state)
{
    static const char *const uris[] = {"sip:1001@10.0.0.1", "sip:bob@foreign.example",
                                       "sip:bob@10.0.0.3:5060"};
    (void)state;
    for (unsigned i = 0; i < 3; i++) {
        char id[8];
        (void)snprintf(id, sizeof(id), "x%u", i);
        struct say w = from_app("INVITE", uris[i]);
        w.call_id = w.branch = id;
        w.extra = "X-GENESYS-Route: sip:10.0.2.2:5070\n";
        say_udp(&r, APP_A, &w);
        rig_expect_method(&r, EXACT, "INVITE", &inv);
        assert_string_equal(rig_uri(&inv), uris[i]);
        assert_false(has_header(&inv));
        assert_int_equal(rig_count(&inv, SIP_H_ROUTE), 0);
        answer_udp(&r, EXACT, &inv, 486, "");
        rig_expect_method(&r, EXACT, "ACK", &got);
        rig_expect_status(&r, APP_A, 486, &got);
        ack_udp(&r, APP_A, &w);
        rig_expect_none(&r, NULL);
    }
    assert_int_equal(rig_counter(&r, CTR_GENESYS_ROUTE), 3);
    assert_int_equal(rig_counter(&r, CTR_GENESYS_ROUTE_IGNORED), 0);
}

/* By TCP, and before whatever Route there is, which stays in the request. */
static void before_a_route(void **state)
{
    (void)state;
    struct say w = from_app("MESSAGE", "sip:1001@10.0.0.1");
    w.extra = "Route: <sip:10.0.0.1;lr>, <sip:10.0.3.3;lr>\n"
              "X-Genesys-Route: <sip:10.0.2.2:5070;transport=tcp>\n";
    say_udp(&r, APP_A, &w);
    struct fake_conn *c = fake_opened(r.loop, EXACT, 0);
    assert_non_null(c);
    expect_tcp_method(c, "MESSAGE", &inv);
    assert_string_equal(rig_value(&inv, SIP_H_ROUTE, 0), "<sip:10.0.3.3;lr>");
    assert_int_equal(rig_count(&inv, SIP_H_ROUTE), 1);
    assert_false(has_header(&inv));
    answer_tcp(c, &inv, 200, "");
    rig_expect_status(&r, APP_A, 200, &got);
}

/* The address that the application knows a phone by is that of the connection by which it has come:
 * nobody listens there. */
static void connection_by_its_address(void **state)
{
    (void)state;
    static const char next[] = "X-Genesys-Route: <sip:10.0.0.3:40000;transport=tcp>\n";
    struct fake_conn *phone = fake_connect(r.loop, "10.0.0.3:40000", PROXY);
    struct say w = from_app("MESSAGE", "sip:1001@10.0.0.1");
    w.extra = next;
    say_udp(&r, APP_A, &w);
    expect_tcp_method(phone, "MESSAGE", &inv);
    answer_tcp(phone, &inv, 200, "");
    rig_expect_status(&r, APP_A, 200, &got);
    /* The same as a Request-URI. */
    w = from_app("MESSAGE", "sip:1001@10.0.0.3:40000;transport=tcp");
    w.call_id = w.branch = "m2";
    say_udp(&r, APP_A, &w);
    expect_tcp_method(phone, "MESSAGE", &inv);
    answer_tcp(phone, &inv, 200, "");
    rig_expect_status(&r, APP_A, 200, &got);
    assert_null(fake_opened(r.loop, "10.0.0.3:40000", 0));
    /* It is another transport, or gone. */
    w.extra = "X-Genesys-Route: <sip:10.0.0.3:40000>\n";
    w.call_id = w.branch = "m3";
    say_udp(&r, APP_A, &w);
    rig_expect_method(&r, "10.0.0.3:40000", "MESSAGE", &inv);
    answer_udp(&r, "10.0.0.3:40000", &inv, 200, "");
    fake_reset(phone);
    fake_run(r.loop);
    w.extra = next;
    w.call_id = w.branch = "m4";
    say_udp(&r, APP_A, &w);
    struct fake_conn *opened = fake_opened(r.loop, "10.0.0.3:40000", 0);
    assert_non_null(opened);
    expect_tcp_method(opened, "MESSAGE", &inv);
    answer_tcp(opened, &inv, 200, "");
}

/* Where servers listen, one is to be reached, and not who has come from that port. */
static void connection_from_a_port_of_servers(void **state)
{
    (void)state;
    struct fake_conn *other = fake_connect(r.loop, "10.0.0.3:5060", PROXY);
    struct say w = from_app("MESSAGE", "sip:1001@10.0.0.1");
    w.extra = "X-Genesys-Route: <sip:10.0.0.3:5060;transport=tcp>\n";
    say_udp(&r, APP_A, &w);
    struct fake_conn *opened = fake_opened(r.loop, "10.0.0.3:5060", 0);
    assert_non_null(opened);
    expect_tcp_method(opened, "MESSAGE", &inv);
    answer_tcp(opened, &inv, 200, "");
    rig_expect_none_tcp(other);
}

static void ignored_from_others(void **state)
{
    (void)state;
    struct say w = {.method = "MESSAGE", .extra = "X-Genesys-Route: sip:10.0.2.2:5070\n"};
    say_udp(&r, CALLER, &w);
    rig_expect_none(&r, EXACT);
    rig_expect_method(&r, APP_A, "MESSAGE", &inv);
    assert_false(has_header(&inv));
    answer_udp(&r, APP_A, &inv, 200, "");
    rig_expect_status(&r, CALLER, 200, &got);
    w.uri = "sip:bob@foreign.example";
    w.call_id = w.branch = "c2";
    say_udp(&r, CALLER, &w); /* and relays nothing */
    rig_expect_status(&r, CALLER, 403, &got);
    assert_int_equal(rig_counter(&r, CTR_GENESYS_ROUTE), 0);
    assert_int_equal(rig_counter(&r, CTR_GENESYS_ROUTE_IGNORED), 2);
}

/* Many of them, with others between: all go, and nothing fails for it. */
static void more_than_enough(void **state)
{
    static char lines[4000];
    (void)state;
    for (unsigned i = 0, at = 0; i < 120; i++)
        at += (unsigned)snprintf(lines + at, sizeof(lines) - at, "%s",
                                 i % 2 == 0 ? "X-Genesys-Route: sip:10.0.2.2\n" : "X-Other: 1\n");
    struct say w = {.method = "MESSAGE", .extra = lines};
    say_udp(&r, CALLER, &w);
    rig_expect_method(&r, APP_A, "MESSAGE", &inv);
    assert_false(has_header(&inv));
    answer_udp(&r, APP_A, &inv, 200, "");
    rig_expect_status(&r, CALLER, 200, &got);
}

static void bad_values(void **state)
{
    static const char *const values[] = {"10.0.2.2:5070", "tel:1", "<sip:10.0.2.2",
                                         "sip:10.0.2.2;transport=carrier-pigeon", ""};
    (void)state;
    for (unsigned i = 0; i < sizeof(values) / sizeof(values[0]); i++) {
        char id[8], line[96];
        (void)snprintf(id, sizeof(id), "x%u", i);
        (void)snprintf(line, sizeof(line), "X-Genesys-Route: %s\n", values[i]);
        struct say w = from_app("MESSAGE", "sip:bob@10.0.0.3");
        w.call_id = w.branch = id;
        w.extra = line;
        say_udp(&r, APP_A, &w);
        rig_expect_status(&r, APP_A, 400, &got);
        assert_non_null(strstr(got.text, "400 Bad X-Genesys-Route\r\n"));
        rig_expect_none(&r, NULL);
    }
}

/* --- a dialog --------------------------------------------------------------------------------- */

/* From the device to the application, which answers with those lines. */
static void established(const char *lines)
{
    say_udp(&r, CALLER, &(struct say){.method = "INVITE"});
    rig_expect_method(&r, APP_A, "INVITE", &inv);
    answer_udp(&r, APP_A, &inv, 200, lines);
    rig_expect_status(&r, CALLER, 200, &ok);
}

static struct say inside(const char *method, const char *uri)
{
    static char to[64], route[1024];
    (void)snprintf(to, sizeof(to), "<sip:1001@10.0.0.1>;tag=%.*s",
                   SLICE_ARG(sip_get(&ok.msg, ok.msg.to_tag)));
    (void)snprintf(route, sizeof(route), "%s", route_set(&ok, true));
    return (struct say){.method = method, .uri = uri, .to = to, .cseq = 2, .extra = route};
}

static void ends_by(const char *at, const char *branch)
{
    struct say w = inside("BYE", "sip:app@10.0.1.1:5060");
    w.branch = branch;
    say_udp(&r, CALLER, &w);
    rig_expect_method(&r, at, "BYE", &got);
    assert_string_equal(rig_uri(&got), "sip:app@10.0.1.1:5060");
    rig_expect_none(&r, NULL);
    answer_udp(&r, at, &got, 200, "");
    rig_expect_status(&r, CALLER, 200, &got);
}

static void dialog_stays_with_the_active_member(void **state)
{
    (void)state;
    established(CONTACT);
    struct say ack = inside("ACK", "sip:app@10.0.1.1:5060");
    ack.branch = "k";
    ack.cseq = 1;
    say_udp(&r, CALLER, &ack);
    rig_expect_method(&r, APP_A, "ACK", &got);
    rig_expect_none(&r, NULL);
    ends_by(APP_A, "e");
}

/* Both share their dialogs: ACK and BYE go to B, and say what they would have said to A. */
static void dialog_moves_to_the_active_member(void **state)
{
    (void)state;
    established(CONTACT);
    switch_over();
    struct say ack = inside("ACK", "sip:app@10.0.1.1:5060");
    ack.branch = "k";
    ack.cseq = 1;
    say_udp(&r, CALLER, &ack);
    rig_expect_method(&r, APP_B, "ACK", &got);
    assert_string_equal(rig_uri(&got), "sip:app@10.0.1.1:5060");
    rig_expect_none(&r, NULL);
    ends_by(APP_B, "e");
}

static void pair_that_shares_no_dialogs(void **state)
{
    (void)state;
    rig_reload(&r, PAIR "shared-dialogs = false\n");
    established(CONTACT);
    switch_over();
    ends_by(APP_A, "e");
}

/* It has record-routed, and is a proxy: the Route stays, the way is that of the active member. */
static void application_record_routes(void **state)
{
    (void)state;
    char lines[2048];
    say_udp(&r, CALLER, &(struct say){.method = "INVITE"});
    rig_expect_method(&r, APP_A, "INVITE", &inv);
    const char *text = rig_response(&inv, 200, "t", "Contact: <sip:bob@10.0.0.9:5060>\n");
    const char *at = strstr(text, "Record-Route:");
    assert_non_null(at);
    (void)snprintf(lines, sizeof(lines), "%.*sRecord-Route: <sip:10.0.1.1;lr>\n%s",
                   (int)(at - text), text, at);
    rig_udp(&r, APP_A, lines);
    rig_expect_status(&r, CALLER, 200, &ok);
    switch_over();
    struct say w = inside("BYE", "sip:bob@10.0.0.9:5060");
    w.branch = "e";
    say_udp(&r, CALLER, &w);
    rig_expect_method(&r, APP_B, "BYE", &got);
    assert_string_equal(rig_uri(&got), "sip:bob@10.0.0.9:5060");
    assert_string_equal(rig_value(&got, SIP_H_ROUTE, 0), "<sip:10.0.1.1;lr>");
    rig_expect_none(&r, NULL);
    answer_udp(&r, APP_B, &got, 200, "");
    rig_expect_status(&r, CALLER, 200, &got);
}

/* The application has record-routed: the next Route names it, and the Request-URI somebody else. */
static void route_names_the_member(void **state)
{
    (void)state;
    rig_reload(&r, "relay-from = 10.0.0.0/24\n" REST); /* the caller may relay */
    for (unsigned i = 0; i < 2; i++) {
        struct say w = {.method = "BYE",
                        .uri = "sip:bob@10.0.0.9:5060",
                        .to = "<sip:bob@10.0.0.1>;tag=t",
                        .cseq = 2,
                        .branch = i == 0 ? "r1" : "r2",
                        .extra = "Route: <sip:10.0.0.1;lr>, <sip:10.0.1.1;lr;app=1>\n"};
        const char *at = i == 0 ? APP_A : APP_B;
        say_udp(&r, CALLER, &w);
        rig_expect_method(&r, at, "BYE", &got);
        assert_string_equal(rig_value(&got, SIP_H_ROUTE, 0), "<sip:10.0.1.1;lr;app=1>");
        assert_string_equal(rig_uri(&got), "sip:bob@10.0.0.9:5060");
        answer_udp(&r, at, &got, 200, "");
        rig_expect_status(&r, CALLER, 200, &got);
        switch_over();
    }
}

/* The way that the dialog has to the member, not the one of the configuration. */
static void route_names_the_transport(void **state)
{
    (void)state;
    rig_reload(&r, "relay-from = 10.0.0.0/24\n" REST);
    struct say w = {.method = "BYE",
                    .uri = "sip:bob@10.0.0.9:5060",
                    .to = "<sip:bob@10.0.0.1>;tag=t",
                    .cseq = 2,
                    .extra = "Route: <sip:10.0.0.1;lr>, <sip:10.0.1.1;transport=tcp;lr>\n"};
    say_udp(&r, CALLER, &w);
    rig_expect_none(&r, APP_A);
    struct fake_conn *c = fake_opened(r.loop, APP_A, 0);
    assert_non_null(c);
    expect_tcp_method(c, "BYE", &got);
    answer_tcp(c, &got, 200, "");
    rig_expect_status(&r, CALLER, 200, &got);
}

/* A dialog that the application has begun; X-Genesys-Route for each request of it, ACK included. */
static void header_inside_a_dialog(void **state)
{
    (void)state;
    struct say w = from_app("INVITE", "sip:bob@10.0.0.3:5060");
    w.extra = "X-Genesys-Route: sip:10.0.2.2:5070\n";
    say_udp(&r, APP_A, &w);
    rig_expect_method(&r, EXACT, "INVITE", &inv);
    answer_udp(&r, EXACT, &inv, 200, "Contact: <sip:bob@10.0.0.3:5060>\n");
    rig_expect_status(&r, APP_A, 200, &ok);
    static const char *const methods[] = {"ACK", "BYE"};
    for (unsigned i = 0; i < 2; i++) {
        char extra[1200];
        struct say x = inside(methods[i], "sip:bob@10.0.0.3:5060");
        (void)snprintf(extra, sizeof(extra), "%sX-Genesys-Route: sip:10.0.2.2:5070\n", x.extra);
        x.extra = extra;
        x.branch = methods[i];
        x.cseq = 1 + i;
        x.sent_by = APP_A;
        x.from = w.from;
        say_udp(&r, APP_A, &x);
        rig_expect_method(&r, EXACT, methods[i], &got);
        assert_string_equal(rig_uri(&got), "sip:bob@10.0.0.3:5060");
        assert_false(has_header(&got));
        rig_expect_none(&r, NULL);
    }
    answer_udp(&r, EXACT, &got, 200, "");
    rig_expect_status(&r, APP_A, 200, &got);
    assert_int_equal(rig_counter(&r, CTR_GENESYS_ROUTE), 3);
}

/* Applications may have anything relayed; who stands next to them may not. */
static void applications_may_relay(void **state)
{
    (void)state;
    struct say w = from_app("MESSAGE", "sip:bob@10.0.0.3:5060");
    say_udp(&r, APP_A, &w);
    rig_expect_method(&r, PHONE, "MESSAGE", &got);
    answer_udp(&r, PHONE, &got, 200, "");
    rig_expect_status(&r, APP_A, 200, &got);
    w.sent_by = "10.0.1.3:5060";
    w.call_id = w.branch = "c2";
    say_udp(&r, "10.0.1.3:5060", &w);
    rig_expect_status(&r, "10.0.1.3:5060", 403, &got);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(application_names_the_next_hop),
        TEST(before_a_route),
        TEST(connection_by_its_address),
        TEST(connection_from_a_port_of_servers),
        TEST(ignored_from_others),
        TEST(more_than_enough),
        TEST(bad_values),
        TEST(dialog_stays_with_the_active_member),
        TEST(dialog_moves_to_the_active_member),
        TEST(pair_that_shares_no_dialogs),
        TEST(application_record_routes),
        TEST(route_names_the_member),
        TEST(route_names_the_transport),
        TEST(header_inside_a_dialog),
        TEST(applications_may_relay),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
