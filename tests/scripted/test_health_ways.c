/* SPDX-License-Identifier: Apache-2.0 */
/* By which ways a DN is checked: contact and bindings, connections, Path, names; and what a dead
 * connection or a refused one means. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

#include "checks.h"

#define REGISTERS "[dn 1001]\n"

static struct got got;

/* --- connections --- */

/* The connection opened for the first check serves the others. */
static void test_tcp(void **state)
{
    (void)state;
    struct rig r;
    open_checked(&r, OPEN BY_TCP "oos-check = 10\n");
    struct fake_conn *conn = wait_opened(&r, PHONE, 0, 10000);
    wait_check_tcp(&r, conn, 10, &got);
    assert_string_equal(rig_uri(&got), "sip:1001@10.0.0.3:5060;transport=tcp");
    assert_true(slice_starts(sip_value(&got.msg, SIP_H_VIA), SLICE("SIP/2.0/TCP 10.0.0.1:5060;")));
    assert_string_equal(rig_value(&got, SIP_H_CONTACT, 0), "<sip:10.0.0.1:5060;transport=tcp>");
    answer_tcp(conn, &got, 200, "");
    for (unsigned i = 0; i < 3; i++) {
        assert_int_equal(wait_check_tcp(&r, conn, 10000, &got), 10000);
        answer_tcp(conn, &got, 404, "");
    }
    assert_int_equal(fake_opens(r.loop, PHONE), 1);
    expect_state(&r, DN_IN_SERVICE);
    close_checked(&r);
}

/* Refused: suspect at once, tried again each second, out of service with the cause. */
static void test_refused(void **state)
{
    (void)state;
    struct rig r;
    rig_open(&r, OPEN BY_TCP "oos-check = 60\noos-force = 3\n");
    fake_set_peer(r.loop, PHONE, FAKE_REFUSE);
    net_wake(r.loop);
    fake_run(r.loop);
    for (uint64_t begin = now_ms(&r); rig_counter(&r, CTR_CHECKS) == 0;) {
        assert_true(now_ms(&r) <= begin + 60000);
        fake_advance(r.loop, 10);
    }
    fake_advance(r.loop, 10);
    expect_state(&r, DN_SUSPECT);
    assert_int_equal(rig_counter(&r, CTR_CHECKS_FAILED), 1);
    fake_advance(r.loop, 2900);
    expect_state(&r, DN_SUSPECT);
    assert_in_range(rig_counter(&r, CTR_CHECKS), 2, 3);
    fake_advance(r.loop, 100);
    expect_state(&r, DN_OUT_OF_SERVICE);
    expect_cause(&r, ERR_UNREACHABLE);
    assert_in_range(call_refused(&r), 1, 3);
    fake_set_peer(r.loop, PHONE, FAKE_ACCEPT);
    struct fake_conn *conn = wait_opened(&r, PHONE, 0, 70000); /* the backoff ends first */
    wait_check_tcp(&r, conn, 10, &got);
    answer_tcp(conn, &got, 200, "");
    expect_state(&r, DN_IN_SERVICE);
    assert_int_equal(rig_counter(&r, CTR_DN_BACK), 1);
    close_checked(&r);
}

/* Nothing answers, not even to the opening. */
static void test_blackhole(void **state)
{
    (void)state;
    struct rig r;
    rig_open(&r, OPEN BY_TCP "oos-check = 60\noos-force = 10\n");
    fake_set_peer(r.loop, PHONE, FAKE_BLACKHOLE);
    net_wake(r.loop);
    fake_run(r.loop);
    fake_advance(r.loop, 60000 + 11000);
    expect_state(&r, DN_OUT_OF_SERVICE);
    assert_int_equal(rig_counter(&r, CTR_DN_OOS), 1);
    fake_set_peer(r.loop, PHONE, FAKE_ACCEPT);
    struct fake_conn *conn = wait_opened(&r, PHONE, 0, 70000);
    wait_check_tcp(&r, conn, 10, &got);
    answer_tcp(conn, &got, 200, "");
    expect_state(&r, DN_IN_SERVICE);
    close_checked(&r);
}

/* A check on a connection that a firewall has forgotten is recovered like any request; until it is
 * answered on the new connection the DN is suspect. */
static void test_dead_connection(void **state)
{
    (void)state;
    struct rig r;
    open_checked(&r, OPEN "sip-enable-tcp-keep-alive = true\n" BY_TCP
                          "oos-check = 10\noos-force = 5\n");
    struct fake_conn *conn = wait_opened(&r, PHONE, 0, 10000);
    wait_check_tcp(&r, conn, 10, &got);
    answer_tcp(conn, &got, 200, "");
    fake_stall(conn, true);
    conn = wait_opened(&r, PHONE, 1, 12000);
    fake_advance(r.loop, 10);
    wait_check_tcp(&r, conn, 10, &got);
    expect_state(&r, DN_SUSPECT);
    assert_true(rig_counter(&r, CTR_REQUEST_RESENT) > 0);
    answer_tcp(conn, &got, 200, "");
    expect_state(&r, DN_IN_SERVICE);
    assert_int_equal(rig_counter(&r, CTR_DN_OOS), 0);
    close_checked(&r);
}

/* Voice over IP Service: a check is not sent again on another connection, the next one opens it. */
static void test_voip_service(void **state)
{
    (void)state;
    struct rig r;
    open_checked(&r, OPEN "sip-enable-tcp-keep-alive = true\n" BY_TCP
                          "type = voip-service\noos-check = 10\noos-force = 5\n");
    struct fake_conn *conn = wait_opened(&r, PHONE, 0, 10000);
    wait_check_tcp(&r, conn, 10, &got);
    answer_tcp(conn, &got, 200, "");
    wait_check_tcp(&r, conn, 10000, &got);
    fake_reset(conn);
    fake_run(r.loop);
    expect_state(&r, DN_SUSPECT);
    assert_int_equal(rig_counter(&r, CTR_CHECKS_FAILED), 1);
    assert_int_equal(fake_opens(r.loop, PHONE), 1);
    conn = wait_opened(&r, PHONE, 1, 1500);
    wait_check_tcp(&r, conn, 10, &got);
    answer_tcp(conn, &got, 200, "");
    expect_state(&r, DN_IN_SERVICE);
    assert_int_equal(rig_counter(&r, CTR_REQUEST_RESENT), 0);
    close_checked(&r);
}

/* The device has opened the connection, and closes it: checked by a connection of ours. */
static void test_registered_by_tcp(void **state)
{
    (void)state;
    struct rig r;
    open_checked(&r, OPEN REGISTERS "oos-check = 10\n");
    struct fake_conn *conn = register_tcp(&r, "1001", "10.0.0.3", "");
    wait_check_tcp(&r, conn, 10000, &got);
    answer_tcp(conn, &got, 200, "");
    assert_int_equal(fake_opens(r.loop, PHONE), 0);
    fake_fin(conn);
    conn = wait_opened(&r, PHONE, 0, 12000);
    wait_check_tcp(&r, conn, 10, &got);
    answer_tcp(conn, &got, 200, "");
    expect_state(&r, DN_IN_SERVICE);
    assert_int_equal(rig_counter(&r, CTR_CHECKS), 2);
    close_checked(&r);
}

/* A connection of the device while it is out of service: it is tried again, and what is sent to it
 * then decides. */
static void test_connection_brings_back(void **state)
{
    (void)state;
    struct rig r;
    open_checked(&r, OPEN CHECKED "oos-check = 60\noos-force = 5\n");
    wait_check(&r, PHONE, 60000, &got);
    fake_advance(r.loop, 4000);
    assert_int_equal(wait_check(&r, PHONE, 1000, &got), 1000);
    fake_advance(r.loop, 2000);
    expect_state(&r, DN_OUT_OF_SERVICE);
    assert_non_null(fake_connect(r.loop, "10.0.0.4:40000", PROXY));
    expect_state(&r, DN_OUT_OF_SERVICE);
    assert_non_null(fake_connect(r.loop, "10.0.0.3:40000", PROXY));
    expect_state(&r, DN_SUSPECT);
    assert_int_equal(rig_counter(&r, CTR_DN_SUSPECT), 2);
    /* Still nothing: out again, after the whole time of a check. */
    assert_int_equal(wait_check(&r, PHONE, 5000, &got), 3000);
    fake_advance(r.loop, 4990);
    expect_state(&r, DN_SUSPECT);
    fake_advance(r.loop, 10);
    expect_state(&r, DN_OUT_OF_SERVICE);
    assert_int_equal(rig_counter(&r, CTR_DN_OOS), 2);
    /* And this time it answers. */
    assert_non_null(fake_connect(r.loop, "10.0.0.3:40001", PROXY));
    expect_state(&r, DN_SUSPECT);
    wait_check(&r, PHONE, 5000, &got);
    answer_udp(&r, PHONE, &got, 200, "");
    expect_state(&r, DN_IN_SERVICE);
    assert_int_equal(rig_counter(&r, CTR_DN_BACK), 1);
    close_checked(&r);
}

/* A peer that takes in what it is sent and says nothing: after three checks its connection is
 * closed, and the next check opens another one. */
static void test_wedged(void **state)
{
    (void)state;
    struct rig r;
    open_checked(&r, OPEN "sip-enable-tcp-keep-alive = true\n" BY_TCP
                          "oos-check = 10\noos-force = 5\n");
    struct fake_conn *conn = wait_opened(&r, PHONE, 0, 10000);
    wait_check_tcp(&r, conn, 10, &got);
    answer_tcp(conn, &got, 200, "");
    struct fake_conn *next = wait_opened(&r, PHONE, 1, 60000);
    assert_false(fake_is_open(conn));
    assert_int_equal(rig_counter(&r, CTR_STALE_WEDGED), 1);
    expect_state(&r, DN_OUT_OF_SERVICE);
    wait_check_tcp(&r, next, 10000, &got);
    answer_tcp(next, &got, 200, "");
    expect_state(&r, DN_IN_SERVICE);
    close_checked(&r);
}

/* By TLS: what the peer has to prove is the host of the contact; one that proves another name, or
 * whose certificate has expired, does not answer. */
static void test_tls(void **state)
{
    (void)state;
    struct rig r;
    rig_open(&r, OPEN "sip-port-tls = 5061\ntls-certificate = /proxy.pem\n"
                      "[dn 1001]\ncontact = sips:1001@gw.example.com\n"
                      "oos-check = 10\noos-force = 3\n");
    fake_set_host(r.loop, "gw.example.com", "10.0.0.3", 0);
    fake_set_identity(r.loop, "10.0.0.3:5061", "gw.example.com");
    net_wake(r.loop);
    fake_run(r.loop);
    struct fake_conn *conn = wait_opened(&r, "10.0.0.3:5061", 0, 11000);
    wait_check_tcp(&r, conn, 100, &got);
    assert_string_equal(fake_tls_name(conn), "gw.example.com");
    assert_string_equal(rig_uri(&got), "sips:1001@gw.example.com");
    assert_true(slice_starts(sip_value(&got.msg, SIP_H_VIA), SLICE("SIP/2.0/TLS 10.0.0.1:5061;")));
    assert_string_equal(rig_value(&got, SIP_H_CONTACT, 0), "<sips:10.0.0.1:5061>");
    answer_tcp(conn, &got, 200, "");
    fake_fin(conn);
    fake_set_peer(r.loop, "10.0.0.3:5061", FAKE_TLS_EXPIRED);
    fake_advance(r.loop, 13100);
    expect_state(&r, DN_OUT_OF_SERVICE);
    assert_in_range(call_refused(&r), 1, 3);
    fake_set_peer(r.loop, "10.0.0.3:5061", FAKE_ACCEPT);
    conn = wait_opened(&r, "10.0.0.3:5061", 1, 70000);
    wait_check_tcp(&r, conn, 100, &got);
    answer_tcp(conn, &got, 486, "");
    expect_state(&r, DN_IN_SERVICE);
    close_checked(&r);
}

/* --- several ways --- */

/* All bindings are asked at once; one answer is enough. */
static void test_bindings(void **state)
{
    (void)state;
    struct rig r;
    open_checked(&r, OPEN REGISTERS "oos-check = 10\noos-force = 3\noos-check-failure = 503\n");
    register_udp(&r, "1001", PHONE, "");
    register_udp(&r, "1001", OTHER, "");
    wait_check(&r, PHONE, 10000, &got);
    static struct got other;
    assert_int_equal(wait_check(&r, OTHER, 0, &other), 0);
    answer_udp(&r, OTHER, &other, 200, "");
    fake_advance(r.loop, 4000);
    expect_state(&r, DN_IN_SERVICE);
    assert_int_equal(drop_all(&r), 0); /* the other one is not asked any more */

    /* A listed status of one, an answer of the other. */
    wait_check(&r, PHONE, 10000, &got);
    wait_check(&r, OTHER, 0, &other);
    answer_udp(&r, PHONE, &got, 503, "");
    expect_state(&r, DN_IN_SERVICE);
    answer_udp(&r, OTHER, &other, 404, "");
    expect_state(&r, DN_IN_SERVICE);
    assert_int_equal(rig_counter(&r, CTR_CHECKS_FAILED), 0);

    /* Neither. */
    wait_check(&r, PHONE, 10000, &got);
    wait_check(&r, OTHER, 0, &other);
    answer_udp(&r, PHONE, &got, 503, "");
    expect_state(&r, DN_IN_SERVICE);
    answer_udp(&r, OTHER, &other, 503, "");
    expect_state(&r, DN_SUSPECT);
    fake_advance(r.loop, 3000);
    expect_state(&r, DN_OUT_OF_SERVICE);
    close_checked(&r);
}

/* A device that has registered the contact of its section is one way, its connection. */
static void test_contact_registered(void **state)
{
    (void)state;
    struct rig r;
    open_checked(&r, OPEN BY_TCP "oos-check = 10\n");
    struct fake_conn *conn = register_tcp(&r, "1001", "10.0.0.3", "");
    wait_check_tcp(&r, conn, 10000, &got);
    answer_tcp(conn, &got, 200, "");
    assert_int_equal(rig_counter(&r, CTR_CHECKS), 1);
    assert_int_equal(fake_opens(r.loop, NULL), 0);
    register_udp(&r, "1001", OTHER, "");
    wait_check_tcp(&r, conn, 10000, &got);
    assert_int_equal(rig_counter(&r, CTR_CHECKS), 3);
    answer_tcp(conn, &got, 200, "");
    close_checked(&r);
}

/* However many there are, one check has a bound. */
static void test_many_bindings(void **state)
{
    (void)state;
    struct rig r;
    char from[32];
    open_checked(&r, OPEN "registrar-max-contacts = 100\n" REGISTERS "oos-check = 60\n");
    for (unsigned i = 0; i < 40; i++) {
        snprintf(from, sizeof(from), "10.0.3.%u:5060", i + 1);
        register_udp(&r, "1001", from, "");
    }
    for (unsigned i = 0; i < 60000 && rig_counter(&r, CTR_CHECKS) == 0; i++)
        fake_advance(r.loop, 1);
    assert_int_equal(rig_counter(&r, CTR_CHECKS), 16);
    close_checked(&r);
}

/* RFC 3327: through the proxy that the Path names. */
static void test_path(void **state)
{
    (void)state;
    struct rig r;
    static struct got res;
    open_checked(&r, OPEN REGISTERS "oos-check = 10\n");
    rig_udp(&r, OTHER,
            "REGISTER sip:10.0.0.1 SIP/2.0\nVia: SIP/2.0/UDP 10.0.0.4:5060;branch=z9hG4bKp1\n"
            "Via: SIP/2.0/UDP 192.168.0.9:5060;branch=z9hG4bKp0\nMax-Forwards: 69\n"
            "From: <sip:1001@10.0.0.1>;tag=p\nTo: <sip:1001@10.0.0.1>\nCall-ID: p\n"
            "CSeq: 1 REGISTER\nContact: <sip:1001@192.168.0.9:5060>\nSupported: path\n"
            "Path: <sip:tok@10.0.0.4:5060;lr>\nContent-Length: 0\n\n");
    rig_expect_status(&r, OTHER, 200, &res);
    wait_check(&r, OTHER, 10000, &got);
    assert_string_equal(rig_uri(&got), "sip:1001@192.168.0.9:5060");
    assert_string_equal(rig_value(&got, SIP_H_ROUTE, 0), "<sip:tok@10.0.0.4:5060;lr>");
    answer_udp(&r, OTHER, &got, 200, "");
    fake_advance(r.loop, 6000);
    expect_state(&r, DN_IN_SERVICE);
    close_checked(&r);
}

/* --- names --- */

/* The next address when the first one refuses; a name that does not resolve is no answer. */
static void test_host_name(void **state)
{
    (void)state;
    struct rig r;
    rig_open(&r, OPEN "[dn 1001]\ncontact = sip:1001@gw.example.com:5060;transport=tcp\n"
                      "oos-check = 10\noos-force = 4\n");
    fake_set_host(r.loop, "gw.example.com", "10.0.0.4,10.0.0.3", 30);
    fake_set_peer(r.loop, "10.0.0.4:5060", FAKE_REFUSE);
    net_wake(r.loop);
    fake_run(r.loop);
    struct fake_conn *conn = wait_opened(&r, PHONE, 0, 11000);
    wait_check_tcp(&r, conn, 10, &got);
    answer_tcp(conn, &got, 200, "");
    fake_advance(r.loop, 5000);
    expect_state(&r, DN_IN_SERVICE);
    assert_int_equal(rig_counter(&r, CTR_CHECKS_FAILED), 0);
    fake_set_host(r.loop, "gw.example.com", "", 0);
    fake_advance(r.loop, 10000 + 4000);
    expect_state(&r, DN_OUT_OF_SERVICE);
    /* Nobody answers the query, and then the worker ends. */
    fake_set_host(r.loop, "gw.example.com", "10.0.0.3", 100000);
    for (unsigned i = 0; i < 10000 && fake_queries(r.loop) == 0; i++)
        fake_advance(r.loop, 1);
    assert_int_equal(fake_queries(r.loop), 1);
    rig_abandon(&r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_tcp),
        cmocka_unit_test(test_refused),
        cmocka_unit_test(test_blackhole),
        cmocka_unit_test(test_dead_connection),
        cmocka_unit_test(test_voip_service),
        cmocka_unit_test(test_registered_by_tcp),
        cmocka_unit_test(test_connection_brings_back),
        cmocka_unit_test(test_wedged),
        cmocka_unit_test(test_tls),
        cmocka_unit_test(test_bindings),
        cmocka_unit_test(test_many_bindings),
        cmocka_unit_test(test_contact_registered),
        cmocka_unit_test(test_path),
        cmocka_unit_test(test_host_name),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
