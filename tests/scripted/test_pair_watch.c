/* SPDX-License-Identifier: Apache-2.0 */
/* What is known of the members of a pair besides the checks: where their names lead, the connection
 * to the one in reserve, and connections that they have opened themselves. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

#include "checks.h"

#define APP_A "10.0.1.1:5060"
#define APP_B "10.0.1.2:5060"
#define NAMES                                                       \
    OPEN "serving-sipserver = main\noos-check = 5\noos-force = 2\n" \
         "[application main]\nprimary = sip:a.example.net:5060\n"   \
         "backup = sip:b.example.net:5060\n"
#define TCP(check)                                                          \
    OPEN "serving-sipserver = main\noos-check = " check "\noos-force = 2\n" \
         "[application main]\nprimary = sip:10.0.1.1;transport=tcp\n"       \
         "backup = sip:10.0.1.2;transport=tcp\n"

static struct rig r;
static struct got got;

static enum group_state pair_state(void)
{
    return group_state_of(r.shared.groups, group_find(r.shared.groups, SLICE("main")));
}

static uint32_t member(const char *text)
{
    struct addr a;
    assert_int_equal(addr_parse(slice_str(text), 0, &a), 0);
    return group_member_at(r.shared.groups, &a);
}

static void expect_up(const char *active, const char *other)
{
    assert_int_equal(pair_state(), GROUP_UP);
    assert_int_not_equal(member(active), 0);
    assert_int_equal(group_successor(r.shared.groups, member(active)), 0);
    assert_int_equal(group_successor(r.shared.groups, member(other)), member(active));
}

/* Whatever else goes there is left alone. */
static void wait_answer(const char *from, uint64_t most)
{
    for (uint64_t begin = now_ms(&r); now_ms(&r) <= begin + most; fake_advance(r.loop, 10)) {
        struct fake_datagram d;
        while (fake_take_datagram(r.loop, from, &d)) {
            struct sip_fault fault;
            memcpy(got.text, d.bytes.ptr, d.bytes.len);
            if (!slice_starts(d.bytes, SLICE("OPTIONS")))
                continue;
            assert_int_equal(sip_msg_parse(&got.msg, got.text, d.bytes.len, false, got.hdrs,
                                           SIP_HDRS_MAX, &sip_limits_default, &fault),
                             0);
            answer_udp(&r, from, &got, 200, "");
            return;
        }
    }
    fail_msg("no check of %s within %llu ms", from, (unsigned long long)most);
}

/* A request that begins something comes from there by UDP. */
static void speak(const char *from, const char *branch)
{
    struct say what = {.method = "MESSAGE",
                       .uri = "sip:x@10.0.0.3",
                       .sent_by = from,
                       .branch = branch,
                       .call_id = branch};
    say_udp(&r, from, &what);
}

/* --- names --- */

static void test_reserve_by_name(void **state)
{
    (void)state;
    rig_open(&r, NAMES);
    fake_set_host(r.loop, "a.example.net", "10.0.1.1", 0);
    fake_set_host(r.loop, "b.example.net", "10.0.1.2,10.0.1.3", 0);
    net_wake(r.loop);
    fake_run(r.loop);
    wait_answer(APP_A, 8000);
    expect_up(APP_A, APP_B);
    assert_int_equal(member("10.0.1.3:5060"), member(APP_B));
    rig_expect_none(&r, APP_B);
    /* It moves. */
    fake_set_host(r.loop, "b.example.net", "10.0.1.9", 0);
    wait_answer(APP_A, 5000);
    fake_advance(r.loop, 100);
    assert_int_equal(member(APP_B), 0);
    expect_up(APP_A, "10.0.1.9:5060");
    speak("10.0.1.9:5060", "b1");
    expect_up("10.0.1.9:5060", APP_A);
    /* The one that is in reserve now. */
    fake_set_host(r.loop, "a.example.net", "10.0.1.8", 0);
    wait_answer("10.0.1.9:5060", 0);
    wait_answer("10.0.1.9:5060", 5000);
    fake_advance(r.loop, 100);
    expect_up("10.0.1.9:5060", "10.0.1.8:5060");
    close_checked(&r);
}

static void test_reserve_by_srv(void **state)
{
    (void)state;
    rig_open(&r, OPEN "oos-check = 5\noos-force = 2\n[application main]\n"
                      "primary = sip:10.0.1.1\nbackup = sip:b.example.net\n");
    fake_set_srv(r.loop, "_sip._udp.b.example.net",
                 "1 0 5062 b1.example.net, 2 0 5063 b2.example.net", 20);
    fake_set_host(r.loop, "b1.example.net", "10.0.1.2", 20);
    fake_set_host(r.loop, "b2.example.net", "10.0.1.3", 20);
    net_wake(r.loop);
    fake_run(r.loop);
    wait_answer(APP_A, 0);
    fake_advance(r.loop, 200);
    expect_up(APP_A, "10.0.1.2:5062");
    assert_int_equal(member("10.0.1.3:5063"), member("10.0.1.2:5062"));
    close_checked(&r);
}

/* No DNS when we start; the first that answers is not the only one that is known then. */
static void test_dns_dead_at_start(void **state)
{
    (void)state;
    open_checked(&r, NAMES);
    fake_advance(r.loop, 3000);
    assert_int_equal(member(APP_A), 0);
    fake_set_host(r.loop, "a.example.net", "10.0.1.1", 0);
    fake_set_host(r.loop, "b.example.net", "10.0.1.2", 0);
    wait_answer(APP_A, 10000);
    fake_advance(r.loop, 5000);
    expect_up(APP_A, APP_B);
    drop_all(&r);
    close_checked(&r);
}

/* While they answer nothing is due; without checks their names are looked up all the same. */
static void test_names_without_checks(void **state)
{
    (void)state;
    rig_open(&r, OPEN "oos-check = 0\n[application main]\nprimary = sip:a.example.net:5060\n"
                      "backup = sip:b.example.net:5060\n");
    fake_set_host(r.loop, "a.example.net", "10.0.1.1", 0);
    fake_set_host(r.loop, "b.example.net", "10.0.1.2", 0);
    net_wake(r.loop);
    fake_run(r.loop);
    expect_up(APP_A, APP_B);
    fake_set_host(r.loop, "b.example.net", "10.0.1.9", 0);
    fake_advance(r.loop, 30000);
    expect_up(APP_A, "10.0.1.9:5060");
    assert_int_equal(rig_counter(&r, CTR_CHECKS), 0);
    close_checked(&r);
}

/* Both names lead to one host: known as soon as they are, not when it dies. */
static void test_one_host(void **state)
{
    (void)state;
    rig_open(&r, NAMES);
    fake_set_host(r.loop, "a.example.net", "10.0.1.1", 0);
    fake_set_host(r.loop, "b.example.net", "10.0.1.1", 0);
    net_wake(r.loop);
    fake_run(r.loop);
    wait_answer(APP_A, 8000);
    assert_int_equal(pair_state(), GROUP_UP);
    assert_false(group_has_deputy(r.shared.groups, member(APP_A), false));
    /* One of them is given to another host. */
    fake_set_host(r.loop, "b.example.net", "10.0.1.2", 0);
    fake_advance(r.loop, 5000);
    assert_true(group_has_deputy(r.shared.groups, member(APP_A), false));
    wait_answer(APP_A, 0);
    expect_up(APP_A, APP_B);
    assert_int_equal(rig_counter(&r, CTR_APP_SWITCHED), 0);
    close_checked(&r);
}

/* The settings change while a name is being looked up. */
static void test_reload_meanwhile(void **state)
{
    (void)state;
    rig_open(&r, NAMES);
    fake_set_host(r.loop, "a.example.net", "10.0.1.1", 500);
    fake_set_host(r.loop, "b.example.net", "10.0.1.2", 500);
    net_wake(r.loop);
    fake_run(r.loop);
    fake_advance(r.loop, 100);
    rig_reload(&r, OPEN "oos-check = 5\noos-force = 2\n[application main]\n"
                        "primary = sip:10.0.1.1\nbackup = sip:b.example.net:5060\n");
    fake_advance(r.loop, 1000);
    wait_answer(APP_A, 100);
    fake_advance(r.loop, 5000);
    wait_answer(APP_A, 100);
    expect_up(APP_A, APP_B);
    rig_reload(&r, NAMES);
    fake_advance(r.loop, 100);
    rig_reload(&r, OPEN);
    drop_all(&r);
    rig_close(&r);
    open_checked(&r, NAMES);
    rig_drain(&r);
    rig_abandon(&r);
}

/* --- the connection to the reserve --- */

static struct fake_conn *up_by_tcp(const char *options)
{
    open_checked(&r, options);
    struct fake_conn *conn = wait_opened(&r, APP_A, 0, 100);
    (void)wait_check_tcp(&r, conn, 0, &got);
    answer_tcp(conn, &got, 200, "");
    expect_up(APP_A, APP_B);
    return conn;
}

/* Line ends of keep-alive, and nothing else. */
static unsigned pings(struct fake_conn *conn)
{
    struct slice bytes;
    unsigned n = 0;
    for (; fake_take_message(conn, &bytes); n++)
        assert_true(slice_eq(bytes, SLICE("\r\n")));
    return n / 2;
}

/* The active one answers its checks meanwhile. */
static void answering(struct fake_conn *conn, unsigned times)
{
    for (unsigned i = 0; i < times; i++) {
        (void)wait_check_tcp(&r, conn, 5000, &got);
        answer_tcp(conn, &got, 200, "");
    }
}

static void test_reserve_is_connected(void **state)
{
    (void)state;
    struct fake_conn *conn = up_by_tcp(TCP("5"));
    struct fake_conn *other = wait_opened(&r, APP_B, 0, 1000);
    answering(conn, 4);
    assert_in_range(pings(other), 4, 6);
    assert_int_equal(fake_opens(r.loop, APP_B), 1);
    /* It ends: opened again, and nothing is switched. */
    fake_reset(other);
    answering(conn, 1);
    other = wait_opened(&r, APP_B, 1, 100);
    /* It is dead: tried now and then. */
    fake_set_peer(r.loop, APP_B, FAKE_REFUSE);
    fake_reset(other);
    answering(conn, 6);
    assert_in_range(fake_opens(r.loop, APP_B), 4, 10);
    fake_set_peer(r.loop, APP_B, FAKE_ACCEPT);
    answering(conn, 6);
    assert_non_null(fake_opened(r.loop, APP_B, 2));
    assert_int_equal(fake_opens(r.loop, APP_A), 1);
    assert_int_equal(rig_counter(&r, CTR_APP_SWITCHED), 0);
    close_checked(&r);
}

/* After a switchover the former one is in reserve, with its connection. */
static void test_reserve_after_switchover(void **state)
{
    (void)state;
    struct fake_conn *conn = up_by_tcp(TCP("5"));
    struct fake_conn *other = wait_opened(&r, APP_B, 0, 1000);
    fake_set_peer(r.loop, APP_A, FAKE_REFUSE);
    fake_reset(conn);
    (void)wait_check_tcp(&r, other, 100, &got);
    answer_tcp(other, &got, 200, "");
    expect_up(APP_B, APP_A);
    fake_set_peer(r.loop, APP_A, FAKE_ACCEPT);
    answering(other, 3);
    conn = wait_opened(&r, APP_A, 1, 100);
    answering(other, 3);
    assert_in_range(pings(conn), 3, 6);
    close_checked(&r);
}

/* --- noticed without waiting for OPTIONS --- */

/* Active by a request: asked at once, so that its connection is there. */
static void test_active_by_request(void **state)
{
    (void)state;
    (void)up_by_tcp(TCP("60"));
    struct fake_conn *own = fake_connect(r.loop, "10.0.1.2:40000", "10.0.0.1:5060");
    struct say what = {.method = "MESSAGE",
                       .uri = "sip:x@10.0.0.3",
                       .transport = "TCP",
                       .sent_by = "10.0.1.2:5060",
                       .branch = "b1",
                       .call_id = "b1"};
    say_tcp(own, &what);
    expect_up(APP_B, APP_A);
    struct fake_conn *other = wait_opened(&r, APP_B, 0, 100);
    (void)wait_check_tcp(&r, other, 600, &got);
    answer_tcp(other, &got, 200, "");
    fake_advance(r.loop, 1000);
    fake_set_peer(r.loop, APP_B, FAKE_REFUSE);
    fake_reset(other);
    struct fake_conn *conn = fake_opened(r.loop, APP_A, 0);
    (void)wait_check_tcp(&r, conn, 1000, &got);
    answer_tcp(conn, &got, 200, "");
    expect_up(APP_A, APP_B);
    drop_all(&r);
    close_checked(&r);
}

/* A connection that the active member has opened itself ends: it is asked at once. */
static void test_own_connection_ends(void **state)
{
    (void)state;
    struct fake_conn *conn = up_by_tcp(TCP("60"));
    struct fake_conn *own = fake_connect(r.loop, "10.0.1.1:40000", "10.0.0.1:5060");
    struct say what = {.method = "OPTIONS",
                       .uri = "sip:10.0.0.1",
                       .transport = "TCP",
                       .sent_by = "10.0.1.1:5060",
                       .branch = "a1",
                       .call_id = "a1",
                       .to = "<sip:10.0.0.1>"};
    say_tcp(own, &what);
    rig_expect_tcp(own, &got);
    fake_advance(r.loop, 2000);
    fake_reset(own);
    (void)wait_check_tcp(&r, conn, 100, &got);
    answer_tcp(conn, &got, 200, "");
    expect_up(APP_A, APP_B);
    assert_int_equal(rig_counter(&r, CTR_APP_SWITCHED), 0);
    close_checked(&r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_reserve_by_name),
        cmocka_unit_test(test_reserve_by_srv),
        cmocka_unit_test(test_dns_dead_at_start),
        cmocka_unit_test(test_names_without_checks),
        cmocka_unit_test(test_one_host),
        cmocka_unit_test(test_reload_meanwhile),
        cmocka_unit_test(test_reserve_is_connected),
        cmocka_unit_test(test_reserve_after_switchover),
        cmocka_unit_test(test_active_by_request),
        cmocka_unit_test(test_own_connection_ends),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
