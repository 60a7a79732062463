/* SPDX-License-Identifier: Apache-2.0 */
/* Devices whose registrar is an application behind us (serving-sipserver): REGISTER with our Path
 * (RFC 3327), and the way back by it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

#include "calls.h"

#define APP_A "10.0.1.1:5060"
#define APP_B "10.0.1.2:5060"
#define SERVED(more)                                                              \
    "applications = main\nserving-sipserver = main\n" more "[application main]\n" \
    "primary = sip:10.0.1.1\nbackup = sip:10.0.1.2\noos-check = 0\naccess = 10.9.0.0/16\n"

static struct rig r;
static struct got got, reg, inv;
static char path[1024];

static int setup(void **state)
{
    (void)state;
    rig_open(&r, SERVED(""));
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    rig_close(&r);
    return 0;
}

static const struct say registration = {.method = "REGISTER",
                                        .uri = "sip:10.0.0.1",
                                        .from = "<sip:1001@10.0.0.1>;tag=r",
                                        .contact = "<sip:1001@192.168.7.7:5060>",
                                        .call_id = "r1",
                                        .branch = "r1"};

static void take_path(void)
{
    unsigned n = rig_count(&reg, SIP_H_PATH);
    path[0] = '\0';
    for (unsigned i = 0; i < n; i++) {
        size_t at = strlen(path);
        snprintf(path + at, sizeof(path) - at, "Route: %s\n", rig_value(&reg, SIP_H_PATH, i));
    }
}

/* The device registers by TCP; the application gets it with our Path. */
static struct fake_conn *register_device(void)
{
    struct fake_conn *conn = fake_connect(r.loop, "10.0.0.3:40000", PROXY);
    struct say w = registration;
    w.transport = "TCP";
    say_tcp(conn, &w);
    rig_expect_method(&r, APP_A, "REGISTER", &reg);
    assert_string_equal(rig_uri(&reg), "sip:10.0.0.1");
    assert_int_equal(rig_count(&reg, SIP_H_PATH), 1);
    assert_non_null(strstr(rig_value(&reg, SIP_H_PATH, 0), "@10.0.0.1:5060;lr"));
    assert_int_equal(rig_count(&reg, SIP_H_RECORD_ROUTE), 0);
    take_path();
    answer_udp(&r, APP_A, &reg, 200, "Contact: <sip:1001@192.168.7.7:5060>;expires=60\n");
    expect_tcp_status(conn, 200, &got);
    return conn;
}

static struct say to_device(const char *method)
{
    return (struct say){.method = method,
                        .uri = "sip:1001@192.168.7.7:5060",
                        .sent_by = APP_A,
                        .from = "<sip:app@10.0.1.1>;tag=x",
                        .to = "<sip:1001@10.0.0.1>",
                        .contact = "<sip:app@10.0.1.1>",
                        .extra = path};
}

static void comes_back_by_the_connection(void **state)
{
    (void)state;
    struct fake_conn *conn = register_device();
    struct say w = to_device("INVITE");
    say_udp(&r, APP_A, &w);
    expect_tcp_method(conn, "INVITE", &inv);
    assert_string_equal(rig_uri(&inv), "sip:1001@192.168.7.7:5060");
    assert_int_equal(rig_count(&inv, SIP_H_ROUTE), 0);
    answer_tcp(conn, &inv, 200, "Contact: <sip:1001@192.168.7.7:5060>\n");
    rig_expect_status(&r, APP_A, 200, &got);
    /* Later requests by the Record-Route. */
    static char routes[1024];
    snprintf(routes, sizeof(routes), "%s", route_set(&got, true));
    w = to_device("BYE");
    w.branch = "b1";
    w.to = "<sip:1001@10.0.0.1>;tag=t";
    w.cseq = 2;
    w.extra = routes;
    say_udp(&r, APP_A, &w);
    expect_tcp_method(conn, "BYE", &got);
    answer_tcp(conn, &got, 200, "");
    rig_expect_status(&r, APP_A, 200, &got);
    assert_int_equal(rig_calls(&r), 0);
    rig_expect_none(&r, NULL);
}

static void for_what_is_no_call_too(void **state)
{
    (void)state;
    struct fake_conn *conn = register_device();
    struct say w = to_device("NOTIFY");
    say_udp(&r, APP_A, &w);
    expect_tcp_method(conn, "NOTIFY", &got);
    answer_tcp(conn, &got, 200, "");
    rig_expect_status(&r, APP_A, 200, &got);
}

/* Another address of the application, by its access list. */
static void from_its_access_list_too(void **state)
{
    (void)state;
    struct fake_conn *conn = register_device();
    struct say w = to_device("MESSAGE");
    w.sent_by = "10.9.1.1:5060";
    say_udp(&r, "10.9.1.1:5060", &w);
    expect_tcp_method(conn, "MESSAGE", &got);
    answer_tcp(conn, &got, 200, "");
    rig_expect_status(&r, "10.9.1.1:5060", 200, &got);
}

/* The device has seen its Path in the 200, and others may have: it serves nobody but the
 * application. */
static void path_is_of_no_use_to_others(void **state)
{
    (void)state;
    struct fake_conn *conn = register_device();
    struct say w = to_device("MESSAGE");
    w.sent_by = "10.0.0.66:5060";
    say_udp(&r, "10.0.0.66:5060", &w);
    rig_expect_none_tcp(conn);
    rig_expect_status(&r, "10.0.0.66:5060", 403, &got);
    rig_expect_none(&r, NULL);
}

/* A call that the server sends back with the Request-URI as it was is no loop, unless it goes round
 * (RFC 5393 4.2). */
static void call_through_the_server(void **state)
{
    (void)state;
    rig_reload(&r, SERVED("relay-from = 10.0.0.0/24\n") "[dn 1001]\ncontact = sip:10.0.0.4\n"
                                                        "oos-check = 0\n");
    char vias[1024];
    say_udp(&r, CALLER, &(struct say){0});
    rig_expect_method(&r, APP_A, "INVITE", &inv);
    snprintf(vias, sizeof(vias), "Via: %s\n", rig_value(&inv, SIP_H_VIA, 0));
    struct say w = {.sent_by = APP_A, .extra = vias, .branch = "s1"};
    say_udp(&r, APP_A, &w);
    rig_expect_method(&r, OTHER, "INVITE", &got);
    snprintf(vias, sizeof(vias), "Via: %s\n", rig_value(&got, SIP_H_VIA, 0));
    w.branch = "s2";
    say_udp(&r, APP_A, &w);
    rig_expect_status(&r, APP_A, 482, &got);
    ack_udp(&r, APP_A, &w);
    w.branch = "s1";
    cancel_udp(&r, APP_A, &w);
    fake_advance(r.loop, 40000);
}

/* A changed token names nothing. */
static void token_is_keyed(void **state)
{
    (void)state;
    struct fake_conn *conn = register_device();
    char *digit = strstr(path, "hf") + 10;
    *digit = *digit == '0' ? '1' : '0';
    struct say w = to_device("MESSAGE");
    say_udp(&r, APP_A, &w);
    rig_expect_none_tcp(conn);
}

/* Over datagrams too: what a NAT in front of the device lets pass. */
static void by_datagram(void **state)
{
    (void)state;
    rig_reload(&r, SERVED(""));
    say_udp(&r, "10.0.0.3:31000",
            &(struct say){.method = "REGISTER",
                          .uri = "sip:10.0.0.1",
                          .sent_by = "192.168.7.7:5060;rport",
                          .from = "<sip:1001@10.0.0.1>;tag=r",
                          .contact = "<sip:1001@192.168.7.7:5060>"});
    rig_expect_method(&r, APP_A, "REGISTER", &reg);
    take_path();
    answer_udp(&r, APP_A, &reg, 200, "");
    rig_expect_status(&r, "10.0.0.3:31000", 200, &got);
    struct say w = to_device("INVITE");
    say_udp(&r, APP_A, &w);
    rig_expect_method(&r, "10.0.0.3:31000", "INVITE", &inv);
    answer_udp(&r, "10.0.0.3:31000", &inv, 486, "");
    rig_expect_status(&r, APP_A, 486, &got);
    ack_udp(&r, APP_A, &w);
}

/* It is the application that asks for a password. */
static void challenge_of_the_application_passes(void **state)
{
    (void)state;
    rig_reload(&r, SERVED("sip-authenticate = all\n") "[dn 1001]\npassword = secret\n");
    say_udp(&r, CALLER, &registration);
    rig_expect_method(&r, APP_A, "REGISTER", &reg);
    answer_udp(&r, APP_A, &reg, 401, "WWW-Authenticate: Digest realm=\"x\", nonce=\"n\"\n");
    rig_expect_status(&r, CALLER, 401, &got);
    assert_string_equal(rig_value(&got, SIP_H_WWW_AUTHENTICATE, 0), "Digest realm=\"x\"");
    /* What is no REGISTER is asked for by us, as configured. */
    say_udp(&r, CALLER, &(struct say){.from = "<sip:1001@10.0.0.1>;tag=a"});
    rig_expect_status(&r, CALLER, 407, &got);
    ack_udp(&r, CALLER, &(struct say){.from = "<sip:1001@10.0.0.1>;tag=a"});
}

static void register_goes_to_who_has_taken_over(void **state)
{
    (void)state;
    say_udp(&r, CALLER, &registration);
    rig_expect_method(&r, APP_A, "REGISTER", &reg);
    assert_int_equal(group_switch(r.shared.groups, SLICE("main"), 1, net_now(r.loop)), 0);
    fake_run(r.loop);
    rig_expect_method(&r, APP_B, "REGISTER", &got);
    assert_int_equal(rig_count(&got, SIP_H_PATH), 1);
    answer_udp(&r, APP_B, &got, 200, "");
    rig_expect_status(&r, CALLER, 200, &got);
    assert_int_equal(rig_counter(&r, CTR_APP_REPLAYED), 1);
}

/* RFC 3327 5.2: the Path of a proxy in front of us stays behind ours. */
static void path_of_another_proxy_stays(void **state)
{
    (void)state;
    struct say w = registration;
    w.extra = "Path: <sip:edge.invalid;lr>\n";
    say_udp(&r, CALLER, &w);
    rig_expect_method(&r, APP_A, "REGISTER", &reg);
    assert_int_equal(rig_count(&reg, SIP_H_PATH), 2);
    assert_string_equal(rig_value(&reg, SIP_H_PATH, 1), "<sip:edge.invalid;lr>");
    answer_udp(&r, APP_A, &reg, 200, "");
    rig_expect_status(&r, CALLER, 200, &got);
}

#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(comes_back_by_the_connection),
        T(for_what_is_no_call_too),
        T(from_its_access_list_too),
        T(path_is_of_no_use_to_others),
        T(call_through_the_server),
        T(token_is_keyed),
        T(by_datagram),
        T(challenge_of_the_application_passes),
        T(register_goes_to_who_has_taken_over),
        T(path_of_another_proxy_stays),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
