/* SPDX-License-Identifier: Apache-2.0 */
/* Route, Record-Route and Path: strict and loose routers, both sides of a dialog, flows named by
 * tokens. RFC 3261 16.4, 16.6 steps 4 to 6, 16.12; RFC 5658; RFC 3327; RFC 5626 5. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

#include "calls.h"

static struct rig r;
static struct got got, inv, ok;

static int setup(void **state)
{
    (void)state;
    rig_open(&r, OPEN);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    rig_close(&r);
    return 0;
}

static void expect_routes(const struct got *m, const char *first, const char *second)
{
    assert_string_equal(rig_value(m, SIP_H_ROUTE, 0), first);
    assert_string_equal(rig_value(m, SIP_H_ROUTE, 1), second);
    assert_string_equal(rig_value(m, SIP_H_ROUTE, 2), "");
}

static void message_by(const char *uri, const char *routes)
{
    static unsigned n;
    char branch[16];
    snprintf(branch, sizeof(branch), "m%u", ++n);
    say_udp(&r, CALLER,
            &(struct say){.method = "MESSAGE", .uri = uri, .branch = branch, .extra = routes});
}

static void finish(const char *at)
{
    answer_udp(&r, at, &got, 200, "");
    rig_expect_status(&r, CALLER, 200, &ok);
    rig_expect_none(&r, NULL);
}

/* 16.4, 16.6 step 6: ours go, the next one decides, and stays. */
static void loose_routes(void **state)
{
    (void)state;
    message_by("sip:1001@10.0.0.1",
               "Route: <sip:10.0.0.1;lr>, <sip:p@10.0.0.1:5060;lr>\nRoute: <sip:10.0.0.5;lr>\n"
               "Route: <sip:10.0.0.1;lr>\n");
    rig_expect_method(&r, THIRD, "MESSAGE", &got);
    assert_string_equal(rig_uri(&got), "sip:1001@10.0.0.1");
    expect_routes(&got, "<sip:10.0.0.5;lr>", "<sip:10.0.0.1;lr>");
    finish(THIRD);
    message_by("sip:bob@10.0.0.3", "Route: <sip:10.0.0.1;lr>\n");
    rig_expect_method(&r, PHONE, "MESSAGE", &got);
    expect_routes(&got, "", "");
    finish(PHONE);
    message_by("sip:bob@10.0.0.3", "Route: <sip:10.0.0.5:5070;lr>\n");
    rig_expect_method(&r, "10.0.0.5:5070", "MESSAGE", &got);
    finish("10.0.0.5:5070");
}

/* 16.6 step 6: the next hop is a strict router. */
static void strict_next_hop(void **state)
{
    (void)state;
    message_by("sip:bob@10.0.0.3;x=y",
               "Route: <sip:10.0.0.1;lr>\nRoute: <sip:10.0.0.5>, <sip:10.0.0.4;lr>\n");
    rig_expect_method(&r, THIRD, "MESSAGE", &got);
    assert_string_equal(rig_uri(&got), "sip:10.0.0.5");
    expect_routes(&got, "<sip:10.0.0.4;lr>", "<sip:bob@10.0.0.3;x=y>");
    finish(THIRD);
    message_by("sip:bob@10.0.0.3", "Route: <sip:10.0.0.5>\n");
    rig_expect_method(&r, THIRD, "MESSAGE", &got);
    expect_routes(&got, "<sip:bob@10.0.0.3>", "");
    finish(THIRD);
}

/* 16.4: a strict router in front of us has put our Record-Route into the Request-URI. */
static void strict_router_before_us(void **state)
{
    (void)state;
    message_by("sip:10.0.0.1;lr", "Route: <sip:bob@10.0.0.3>\n");
    rig_expect_method(&r, PHONE, "MESSAGE", &got);
    assert_string_equal(rig_uri(&got), "sip:bob@10.0.0.3");
    expect_routes(&got, "", "");
    finish(PHONE);
    message_by("sip:10.0.0.1;lr", "Route: <sip:10.0.0.5;lr>,<sip:bob@10.0.0.3>\n");
    rig_expect_method(&r, THIRD, "MESSAGE", &got);
    assert_string_equal(rig_uri(&got), "sip:bob@10.0.0.3");
    expect_routes(&got, "<sip:10.0.0.5;lr>", "");
    finish(THIRD);
    /* On both sides of us. */
    message_by("sip:10.0.0.1;lr", "Route: <sip:10.0.0.5>\nRoute: <sip:bob@10.0.0.3>\n");
    rig_expect_method(&r, THIRD, "MESSAGE", &got);
    assert_string_equal(rig_uri(&got), "sip:10.0.0.5");
    expect_routes(&got, "<sip:bob@10.0.0.3>", "");
    finish(THIRD);
}

/* The same for what has no transaction. */
static void ack_by_routes(void **state)
{
    (void)state;
    struct say ack = {.method = "ACK",
                      .uri = "sip:bob@10.0.0.3",
                      .to = "<sip:b@x>;tag=b",
                      .extra = "Route: <sip:10.0.0.1;lr>, <sip:10.0.0.5;lr>\n"};
    say_udp(&r, CALLER, &ack);
    rig_expect_method(&r, THIRD, "ACK", &got);
    expect_routes(&got, "<sip:10.0.0.5;lr>", "");
    ack.extra = "Route: <sip:10.0.0.5>\n";
    say_udp(&r, CALLER, &ack);
    rig_expect_method(&r, THIRD, "ACK", &got);
    assert_string_equal(rig_uri(&got), "sip:10.0.0.5");
    ack.sent_by = "192.0.2.9:5060"; /* a stranger */
    say_udp(&r, "192.0.2.9:5060", &ack);
    ack.extra = "Route: <sip:bob@>\n";
    say_udp(&r, CALLER, &ack);
    rig_expect_none(&r, NULL);
}

static void bad_routes_are_400(void **state)
{
    (void)state;
    message_by("sip:bob@10.0.0.3", "Route: <sip:10.0.0.1;lr>, <sip:bob@>\n");
    rig_expect_status(&r, CALLER, 400, &got);
    message_by("sip:10.0.0.1;lr", "Route: <sip:bob@>\n");
    rig_expect_status(&r, CALLER, 400, &got);
    rig_expect_none(&r, NULL);
}

/* RFC 3261 16.6 step 4: in what may begin a dialog, and nothing else. */
static void record_route_where_it_is_of_use(void **state)
{
    (void)state;
    static const struct {
        const char *method, *to;
        unsigned values;
    } rows[] = {
        {"INVITE", NULL, 1},  {"SUBSCRIBE", NULL, 1}, {"REFER", NULL, 1},
        {"MESSAGE", NULL, 0}, {"OPTIONS", NULL, 0},   {"REGISTER", NULL, 0},
        {"PUBLISH", NULL, 0}, {"NOTIFY", NULL, 1},    {"INVITE", "<sip:b@x>;tag=b", 0},
    };
    for (unsigned i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        char branch[16];
        snprintf(branch, sizeof(branch), "rr%u", i);
        struct say w = {.method = rows[i].method,
                        .uri = "sip:bob@10.0.0.3",
                        .branch = branch,
                        .to = rows[i].to};
        say_udp(&r, CALLER, &w);
        rig_expect_method(&r, PHONE, rows[i].method, &got);
        assert_int_equal(rig_count(&got, SIP_H_RECORD_ROUTE), rows[i].values);
        answer_udp(&r, PHONE, &got, 404, "");
        if (got.msg.method == SIP_INVITE)
            rig_expect_method(&r, PHONE, "ACK", &got);
    }
}

static void no_record_route_when_it_is_off(void **state)
{
    (void)state;
    rig_close(&r);
    rig_open(&r, OPEN "record-route = false\n");
    say_udp(&r, CALLER, &(struct say){.uri = "sip:bob@10.0.0.3"});
    rig_expect_method(&r, PHONE, "INVITE", &inv);
    assert_int_equal(rig_count(&inv, SIP_H_RECORD_ROUTE), 0);
    answer_udp(&r, PHONE, &inv, 404, "");
}

/* Caller by UDP, phone by TCP on the connection it has opened; then requests both ways. */
static void udp_to_tcp_and_back(void **state)
{
    (void)state;
    char routes[1024];
    struct fake_conn *conn = register_tcp(&r, "1001", "10.0.0.3", "");
    say_udp(&r, CALLER, &(struct say){0});
    expect_tcp_method(conn, "INVITE", &inv);
    assert_string_equal(rig_uri(&inv), "sip:1001@10.0.0.3:5060;transport=tcp");
    assert_int_equal(rig_count(&inv, SIP_H_RECORD_ROUTE), 2);
    assert_non_null(strstr(rig_value(&inv, SIP_H_RECORD_ROUTE, 0), "transport=tcp"));
    assert_null(strstr(rig_value(&inv, SIP_H_RECORD_ROUTE, 1), "transport"));
    assert_null(strchr(rig_value(&inv, SIP_H_RECORD_ROUTE, 1), '@'));
    answer_tcp(conn, &inv, 200, "Contact: <sip:1001@10.9.9.9:1;transport=tcp>\n");
    rig_expect_status(&r, CALLER, 200, &ok);
    snprintf(routes, sizeof(routes), "%s", route_set(&ok, true));
    /* The Contact leads nowhere: the token does. */
    struct say w = {.method = "ACK",
                    .uri = "sip:1001@10.9.9.9:1;transport=tcp",
                    .branch = "ack",
                    .to = "<sip:1001@10.0.0.1>;tag=t",
                    .extra = routes};
    say_udp(&r, CALLER, &w);
    expect_tcp_method(conn, "ACK", &got);
    assert_string_equal(rig_uri(&got), w.uri);
    assert_int_equal(rig_count(&got, SIP_H_ROUTE), 0);
    w.method = "INFO";
    w.branch = "info";
    w.cseq = 2;
    say_udp(&r, CALLER, &w);
    expect_tcp_method(conn, "INFO", &got);
    answer_tcp(conn, &got, 200, "");
    rig_expect_status(&r, CALLER, 200, &got);
    snprintf(routes, sizeof(routes), "%s", route_set(&inv, false));
    w = (struct say){.method = "BYE",
                     .uri = "sip:alice@10.0.0.2:5060",
                     .branch = "bye",
                     .transport = "TCP",
                     .sent_by = PHONE,
                     .from = "<sip:1001@10.0.0.1>;tag=t",
                     .to = "<sip:alice@10.0.0.1>;tag=a",
                     .contact = "",
                     .extra = routes};
    say_tcp(conn, &w);
    rig_expect_method(&r, CALLER, "BYE", &got);
    assert_int_equal(rig_count(&got, SIP_H_ROUTE), 0);
    answer_udp(&r, CALLER, &got, 200, "");
    expect_tcp_status(conn, 200, &got);
    assert_int_equal(fake_opens(r.loop, NULL), 0);
}

/* Behind another proxy that has record-routed: its Record-Route leads to the caller, no token. */
static void caller_behind_a_proxy_that_stays(void **state)
{
    (void)state;
    struct fake_conn *edge = fake_connect(r.loop, "10.0.0.5:30000", PROXY);
    struct say w = {.uri = "sip:bob@10.0.0.3",
                    .transport = "TCP",
                    .sent_by = "10.0.0.5:5060",
                    .extra = "Via: SIP/2.0/UDP 10.7.7.7;branch=z9hG4bKx\n"
                             "Record-Route: <sip:10.0.0.5;transport=tcp;lr>\n"};
    say_tcp(edge, &w);
    rig_expect_method(&r, PHONE, "INVITE", &inv);
    assert_int_equal(rig_count(&inv, SIP_H_RECORD_ROUTE), 3);
    assert_null(strchr(rig_value(&inv, SIP_H_RECORD_ROUTE, 0), '@'));
    assert_null(strchr(rig_value(&inv, SIP_H_RECORD_ROUTE, 1), '@'));
    assert_string_equal(rig_value(&inv, SIP_H_RECORD_ROUTE, 2), "<sip:10.0.0.5;transport=tcp;lr>");
    answer_udp(&r, PHONE, &inv, 200, "Contact: <sip:bob@10.0.0.3>\n");
    expect_tcp_status(edge, 200, &got);
    struct say bye = {.method = "BYE",
                      .uri = "sip:alice@10.7.7.7",
                      .branch = "bye",
                      .sent_by = PHONE,
                      .from = "<sip:1001@10.0.0.1>;tag=b",
                      .to = "<sip:alice@10.0.0.1>;tag=a",
                      .extra = route_set(&inv, false)};
    say_udp(&r, PHONE, &bye);
    struct fake_conn *back = fake_opened(r.loop, "10.0.0.5:5060", 0);
    assert_non_null(back);
    expect_tcp_method(back, "BYE", &got);
    assert_int_equal(rig_count(&got, SIP_H_ROUTE), 1);
    answer_tcp(back, &got, 200, "");
    rig_expect_status(&r, PHONE, 200, &got);
}

/* Behind one that has not: later requests go to the caller's Contact, not to that proxy. */
static void caller_behind_a_proxy_that_leaves(void **state)
{
    (void)state;
    struct say w = {.uri = "sip:bob@10.0.0.3",
                    .sent_by = "10.0.0.5:5060",
                    .contact = "<sip:alice@10.0.0.2>",
                    .extra = "Via: SIP/2.0/UDP 10.0.0.2;branch=z9hG4bKx\n"};
    say_udp(&r, THIRD, &w);
    rig_expect_method(&r, PHONE, "INVITE", &inv);
    answer_udp(&r, PHONE, &inv, 200, "Contact: <sip:bob@10.0.0.3>\n");
    rig_expect_status(&r, THIRD, 200, &got);
    struct say bye = {.method = "BYE",
                      .uri = "sip:alice@10.0.0.2",
                      .branch = "bye",
                      .sent_by = PHONE,
                      .from = "<sip:1001@10.0.0.1>;tag=b",
                      .to = "<sip:alice@10.0.0.1>;tag=a",
                      .extra = route_set(&inv, false)};
    say_udp(&r, PHONE, &bye);
    rig_expect_method(&r, CALLER, "BYE", &got);
    answer_udp(&r, CALLER, &got, 200, "");
    rig_expect_status(&r, PHONE, 200, &got);
}

/* RFC 3327 5.3: a binding that came through another proxy is reached by its Path. */
static void path_of_a_binding(void **state)
{
    (void)state;
    struct say reg = {.method = "REGISTER",
                      .uri = "sip:10.0.0.1",
                      .sent_by = THIRD,
                      .from = "<sip:1001@10.0.0.1>;tag=r",
                      .contact = "<sip:1001@10.7.7.7:5080>",
                      .extra = "Supported: path\nPath: <sip:edge@10.0.0.5;lr>\n"
                               "Via: SIP/2.0/UDP 10.7.7.7;branch=z9hG4bKx\n"};
    say_udp(&r, THIRD, &reg);
    rig_expect_status(&r, THIRD, 200, &got);
    say_udp(&r, CALLER, &(struct say){.branch = "i"});
    rig_expect_method(&r, THIRD, "INVITE", &inv);
    assert_string_equal(rig_uri(&inv), "sip:1001@10.7.7.7:5080");
    expect_routes(&inv, "<sip:edge@10.0.0.5;lr>", "");
    answer_udp(&r, THIRD, &inv, 486, "");
    rig_expect_status(&r, CALLER, 486, &got);
}

/* RFC 5658: the families differ. */
static void ipv4_to_ipv6(void **state)
{
    (void)state;
    rig_close(&r);
    rig_open(&r, OPEN "sip-address = 10.0.0.1, 2001:db8::1\n");
    say_udp(&r, CALLER, &(struct say){.uri = "sip:bob@[2001:db8::3]"});
    rig_expect_method(&r, "[2001:db8::3]:5060", "INVITE", &inv);
    assert_int_equal(rig_count(&inv, SIP_H_RECORD_ROUTE), 2);
    assert_non_null(strstr(rig_value(&inv, SIP_H_RECORD_ROUTE, 0), "<sip:[2001:db8::1]:5060;lr"));
    assert_non_null(strstr(rig_value(&inv, SIP_H_RECORD_ROUTE, 1), "<sip:10.0.0.1:5060;lr"));
    answer_udp(&r, "[2001:db8::3]:5060", &inv, 486, "");
}

/* A caller behind a NAT: later requests go where its datagrams come from, and from the address of
 * ours that it knows. */
static void caller_behind_a_nat(void **state)
{
    (void)state;
    rig_close(&r);
    rig_open(&r, OPEN "sip-address = " RIG_SECOND ", 10.0.0.1\n");
    say_udp(&r, "10.0.0.2:61000",
            &(struct say){.uri = "sip:bob@10.0.0.3",
                          .sent_by = "192.168.1.2:5060;rport",
                          .contact = "<sip:alice@192.168.1.2>"});
    rig_expect_method(&r, PHONE, "INVITE", &inv);
    answer_udp(&r, PHONE, &inv, 200, "Contact: <sip:bob@10.0.0.3>\n");
    rig_expect_status(&r, "10.0.0.2:61000", 200, &got);
    struct say bye = {.method = "BYE",
                      .uri = "sip:alice@192.168.1.2",
                      .branch = "bye",
                      .sent_by = PHONE,
                      .from = "<sip:1001@10.0.0.1>;tag=b",
                      .to = "<sip:alice@10.0.0.1>;tag=a",
                      .extra = route_set(&inv, false)};
    say_udp(&r, PHONE, &bye);
    rig_expect_method(&r, "10.0.0.2:61000", "BYE", &got);
    char from[ADDR_TEXT_MAX];
    assert_string_equal(addr_write(&got.from, from), "10.0.0.1:5060");
    answer_udp(&r, "10.0.0.2:61000", &got, 200, "");
    rig_expect_status(&r, PHONE, 200, &got);
}

/* A phone behind a NAT, both sides by UDP: what follows goes to the port its registration came
 * from.
 */
static void phone_behind_a_nat(void **state)
{
    (void)state;
    struct say reg = {.method = "REGISTER",
                      .uri = "sip:10.0.0.1",
                      .branch = "r",
                      .sent_by = "192.168.1.9:5060;rport",
                      .from = "<sip:1001@10.0.0.1>;tag=r",
                      .contact = "<sip:1001@192.168.1.9>"};
    say_udp(&r, "10.0.0.4:61000", &reg);
    rig_expect_status(&r, "10.0.0.4:61000", 200, &got);
    say_udp(&r, CALLER, &(struct say){0});
    rig_expect_method(&r, "10.0.0.4:61000", "INVITE", &inv);
    assert_string_equal(rig_uri(&inv), "sip:1001@192.168.1.9");
    answer_udp(&r, "10.0.0.4:61000", &inv, 200, "Contact: <sip:1001@192.168.1.9>\n");
    rig_expect_status(&r, CALLER, 200, &ok);
    struct say bye = {.method = "BYE",
                      .uri = "sip:1001@192.168.1.9",
                      .branch = "bye",
                      .to = "<sip:1001@10.0.0.1>;tag=t",
                      .extra = route_set(&ok, true)};
    say_udp(&r, CALLER, &bye);
    rig_expect_method(&r, "10.0.0.4:61000", "BYE", &got);
    answer_udp(&r, "10.0.0.4:61000", &got, 200, "");
    rig_expect_status(&r, CALLER, 200, &got);
}

/* The device has registered anew over another connection: the dialog follows it. */
static void dialog_follows_a_new_registration(void **state)
{
    (void)state;
    struct fake_conn *conn = register_tcp(&r, "1001", "10.0.0.3", "");
    say_udp(&r, CALLER, &(struct say){0});
    expect_tcp_method(conn, "INVITE", &inv);
    answer_tcp(conn, &inv, 200, "Contact: <sip:1001@10.0.0.3;transport=tcp>\n");
    rig_expect_status(&r, CALLER, 200, &ok);
    fake_reset(conn);
    fake_advance(r.loop, 10);
    struct fake_conn *fresh = register_tcp_as(&r, "1001", "10.0.0.3", 40001, "", "");
    struct say w = {.method = "ACK",
                    .uri = "sip:1001@10.0.0.3;transport=tcp",
                    .branch = "ack",
                    .to = "<sip:1001@10.0.0.1>;tag=t",
                    .extra = route_set(&ok, true)};
    say_udp(&r, CALLER, &w);
    expect_tcp_method(fresh, "ACK", &got);
    w.method = "BYE";
    w.branch = "bye";
    w.cseq = 2;
    say_udp(&r, CALLER, &w);
    expect_tcp_method(fresh, "BYE", &got);
    answer_tcp(fresh, &got, 200, "");
    rig_expect_status(&r, CALLER, 200, &got);
    assert_int_equal(fake_opens(r.loop, NULL), 0);
}

/* A device that uses us as its outbound proxy. */
static void register_with_a_route_of_ours(void **state)
{
    (void)state;
    struct say reg = {.method = "REGISTER",
                      .uri = "sip:10.0.0.1",
                      .sent_by = PHONE,
                      .from = "<sip:1001@10.0.0.1>;tag=r",
                      .contact = "<sip:1001@10.0.0.3>",
                      .extra = "Route: <sip:10.0.0.1;lr>\n"};
    say_udp(&r, PHONE, &reg);
    rig_expect_status(&r, PHONE, 200, &got);
    assert_int_equal(rig_counter(&r, CTR_REGISTER_OK), 1);
    /* For somebody else's domain it is forwarded. */
    reg.uri = "sip:10.0.0.5";
    reg.branch = "r2";
    say_udp(&r, PHONE, &reg);
    rig_expect_method(&r, THIRD, "REGISTER", &got);
    answer_udp(&r, THIRD, &got, 200, "");
    rig_expect_status(&r, PHONE, 200, &got);
}

#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(loose_routes),
        T(strict_next_hop),
        T(strict_router_before_us),
        T(ack_by_routes),
        T(bad_routes_are_400),
        T(record_route_where_it_is_of_use),
        T(no_record_route_when_it_is_off),
        T(udp_to_tcp_and_back),
        T(caller_behind_a_proxy_that_stays),
        T(caller_behind_a_proxy_that_leaves),
        T(path_of_a_binding),
        T(ipv4_to_ipv6),
        T(caller_behind_a_nat),
        T(phone_behind_a_nat),
        T(dialog_follows_a_new_registration),
        T(register_with_a_route_of_ours),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
