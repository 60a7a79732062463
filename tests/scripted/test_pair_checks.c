/* SPDX-License-Identifier: Apache-2.0 */
/* Checks of a pair through the whole worker: who is asked and when, who is active then, and where
 * calls go. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/alloc.h"
#include "checks.h"

#define APP_A "10.0.1.1:5060"
#define APP_B "10.0.1.2:5060"
#define PAIR                                                        \
    OPEN "serving-sipserver = main\noos-check = 5\noos-force = 2\n" \
         "[application main]\nprimary = sip:10.0.1.1\nbackup = sip:10.0.1.2\n"
#define PAIR_TCP                                                      \
    OPEN "serving-sipserver = main\noos-check = 5\noos-force = 2\n"   \
         "[application main]\nprimary = sip:10.0.1.1;transport=tcp\n" \
         "backup = sip:10.0.1.2;transport=tcp\n"

static struct rig r;
static struct got got, call, res;

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
    assert_int_equal(group_successor(r.shared.groups, member(active)), 0);
    if (other != NULL)
        assert_int_equal(group_successor(r.shared.groups, member(other)), member(active));
}

/* A call goes to that member, which refuses it. */
static void expect_call_at(const char *to)
{
    static unsigned number;
    char branch[16];
    snprintf(branch, sizeof(branch), "at%u", ++number);
    struct say what = {.branch = branch, .call_id = branch};
    drop_all(&r);
    say_udp(&r, CALLER, &what);
    rig_expect_method(&r, to, "INVITE", &call);
    answer_udp(&r, to, &call, 486, "");
    rig_expect_method(&r, to, "ACK", &res);
    rig_expect_status(&r, CALLER, 486, &res);
    what.to = "<sip:1001@10.0.0.1>;tag=x";
    ack_udp(&r, CALLER, &what);
}

/* Refused at once, with Retry-After. */
static void expect_refused(void)
{
    static unsigned number;
    char branch[16];
    snprintf(branch, sizeof(branch), "no%u", ++number);
    struct say what = {.branch = branch, .call_id = branch};
    drop_all(&r);
    say_udp(&r, CALLER, &what);
    rig_expect_status(&r, CALLER, 503, &res);
    unsigned wait = (unsigned)strtoul(rig_value(&res, SIP_H_RETRY_AFTER, 0), NULL, 10);
    assert_in_range(wait, 2, 10);
    what.to = "<sip:1001@10.0.0.1>;tag=x";
    ack_udp(&r, CALLER, &what);
}

/* Is it an OPTIONS, and none that was seen before? */
static bool is_check(struct slice bytes)
{
    static char seen[64][64];
    static unsigned n;
    char branch[64];
    struct sip_fault fault = {0};
    assert_true(bytes.len < sizeof(got.text));
    memcpy(got.text, bytes.ptr, bytes.len);
    got.text[bytes.len] = '\0';
    if (sip_msg_parse(&got.msg, got.text, bytes.len, true, got.hdrs, SIP_HDRS_MAX,
                      &sip_limits_default, &fault) != 0 ||
        !got.msg.is_request || got.msg.method != SIP_OPTIONS)
        return false;
    (void)slice_cstr(got.msg.via.branch, branch, sizeof(branch));
    for (unsigned i = 0; i < 64; i++)
        if (strcmp(branch, seen[i]) == 0)
            return false;
    memcpy(seen[n++ % 64], branch, sizeof(branch));
    return true;
}

/* Lets time go on until that member is asked; how long that took. */
static uint64_t wait_asked(const char *to, uint64_t most)
{
    struct fake_datagram d;
    for (uint64_t begin = now_ms(&r); now_ms(&r) <= begin + most; fake_advance(r.loop, 10))
        while (fake_take_datagram(r.loop, to, &d))
            if (is_check(d.bytes))
                return now_ms(&r) - begin;
    fail_msg("no check of %s within %llu ms", to, (unsigned long long)most);
    return 0;
}

/* --- UDP --- */

static void test_alive(void **state)
{
    (void)state;
    open_checked(&r, PAIR);
    assert_int_equal(wait_asked(APP_A, 0), 0);
    assert_string_equal(rig_uri(&got), "sip:10.0.1.1");
    assert_int_equal(pair_state(), GROUP_UNKNOWN);
    expect_call_at(APP_A); /* presumed */
    answer_udp(&r, APP_A, &got, 200, "");
    expect_up(APP_A, APP_B);
    for (unsigned i = 0; i < 4; i++) {
        assert_int_equal(wait_asked(APP_A, 5000), 5000);
        answer_udp(&r, APP_A, &got, i == 2 ? 404 : 200, "");
    }
    rig_expect_none(&r, APP_B);
    expect_call_at(APP_A);
    assert_int_equal(rig_counter(&r, CTR_APP_SWITCHED), 0);
    close_checked(&r);
}

static void test_silent_active(void **state)
{
    (void)state;
    open_checked(&r, PAIR);
    wait_asked(APP_A, 0);
    answer_udp(&r, APP_A, &got, 200, "");
    wait_asked(APP_A, 5000);
    assert_int_equal(wait_asked(APP_B, 6000), 5000);
    assert_int_equal(pair_state(), GROUP_SEARCH);
    answer_udp(&r, APP_B, &got, 200, "");
    expect_up(APP_B, APP_A);
    assert_int_equal(rig_counter(&r, CTR_APP_SWITCHED), 1);
    assert_int_equal(rig_counter(&r, CTR_APP_DOWN), 0);
    expect_call_at(APP_B);
    /* It does not fall back, and the other one is left in peace. */
    drop_all(&r);
    for (unsigned i = 0; i < 4; i++) {
        wait_asked(APP_B, 5000);
        answer_udp(&r, APP_B, &got, 200, "");
        rig_expect_none(&r, APP_A);
    }
    assert_int_equal(rig_counter(&r, CTR_APP_SWITCHED), 1);
    close_checked(&r);
}

static void test_both_silent_and_back(void **state)
{
    (void)state;
    open_checked(&r, PAIR);
    wait_asked(APP_A, 0);
    assert_int_equal(wait_asked(APP_B, 3000), 2000);
    fake_advance(r.loop, 1990);
    assert_int_equal(pair_state(), GROUP_UNKNOWN);
    fake_advance(r.loop, 10);
    assert_int_equal(pair_state(), GROUP_DOWN);
    assert_int_equal(rig_counter(&r, CTR_APP_DOWN), 1);
    wait_asked(APP_A, 0);
    expect_refused();
    for (unsigned i = 0; i < 5; i++) {
        assert_int_equal(wait_asked(i % 2 == 0 ? APP_B : APP_A, 2000), 2000);
        expect_refused();
    }
    drop_all(&r);
    wait_asked(APP_A, 2000);
    answer_udp(&r, APP_A, &got, 200, "");
    expect_up(APP_A, APP_B);
    assert_int_equal(rig_counter(&r, CTR_APP_BACK), 1);
    assert_int_equal(rig_counter(&r, CTR_APP_SWITCHED), 0);
    expect_call_at(APP_A);
    close_checked(&r);
}

/* The answer that comes when the other one has been asked already still counts. */
static void test_late_answer(void **state)
{
    (void)state;
    static struct got first;
    open_checked(&r, PAIR);
    wait_asked(APP_A, 0);
    answer_udp(&r, APP_A, &got, 200, "");
    wait_asked(APP_A, 5000);
    first = got;
    first.msg.base = first.text;
    first.msg.hdrs = first.hdrs;
    wait_asked(APP_B, 5000);
    answer_udp(&r, APP_A, &first, 200, "");
    expect_up(APP_A, APP_B);
    answer_udp(&r, APP_B, &got, 200, "");
    expect_up(APP_A, APP_B);
    assert_int_equal(rig_counter(&r, CTR_APP_SWITCHED), 0);
    close_checked(&r);
}

/* A backup that says 503 is not alive; where that is said of no status, it is. */
static void test_statuses(void **state)
{
    (void)state;
    open_checked(&r, PAIR);
    wait_asked(APP_A, 0);
    answer_udp(&r, APP_A, &got, 503, "");
    assert_int_equal(wait_asked(APP_B, 0), 0);
    answer_udp(&r, APP_B, &got, 200, "");
    expect_up(APP_B, APP_A);
    close_checked(&r);
    open_checked(&r, PAIR "oos-check-failure = none\n");
    wait_asked(APP_A, 0);
    answer_udp(&r, APP_A, &got, 503, "");
    expect_up(APP_A, APP_B);
    close_checked(&r);
}

static void test_request_from_the_other(void **state)
{
    (void)state;
    struct say what = {.method = "OPTIONS",
                       .uri = "sip:10.0.0.1",
                       .sent_by = "10.0.1.2:5060",
                       .branch = "b1",
                       .from = "<sip:10.0.1.2>;tag=b",
                       .to = "<sip:10.0.0.1>"};
    open_checked(&r, PAIR);
    wait_asked(APP_A, 0);
    answer_udp(&r, APP_A, &got, 200, "");
    say_udp(&r, APP_B, &what); /* a reserve member may check us */
    expect_up(APP_A, APP_B);
    what.method = "INVITE";
    what.uri = "sip:x@10.0.0.3";
    what.branch = what.call_id = "b2";
    say_udp(&r, APP_B, &what);
    expect_up(APP_B, APP_A);
    assert_int_equal(rig_counter(&r, CTR_APP_SWITCHED), 1);
    rig_expect_method(&r, PHONE, "INVITE", &call);
    answer_udp(&r, PHONE, &call, 486, "");
    expect_call_at(APP_B);
    drop_all(&r);
    wait_asked(APP_B, 600); /* at once, again */
    answer_udp(&r, APP_B, &got, 200, "");
    assert_int_equal(wait_asked(APP_B, 5000), 4500);
    answer_udp(&r, APP_B, &got, 200, "");
    close_checked(&r);
}

static void test_no_checks(void **state)
{
    (void)state;
    open_checked(&r, OPEN "serving-sipserver = main\noos-check = 0\n"
                          "[application main]\nprimary = sip:10.0.1.1\nbackup = sip:10.0.1.2\n");
    fake_advance(r.loop, 60000);
    assert_int_equal(rig_counter(&r, CTR_CHECKS), 0);
    expect_up(APP_A, APP_B);
    expect_call_at(APP_A);
    close_checked(&r);
}

/* --- connections --- */

static struct fake_conn *up_by_tcp(void)
{
    open_checked(&r, PAIR_TCP);
    struct fake_conn *conn = wait_opened(&r, APP_A, 0, 100);
    wait_check_tcp(&r, conn, 0, &got);
    answer_tcp(conn, &got, 200, "");
    expect_up(APP_A, APP_B);
    return conn;
}

/* All checks of a member go by one connection, which stays open. */
static void test_tcp_kept(void **state)
{
    (void)state;
    struct fake_conn *conn = up_by_tcp();
    for (unsigned i = 0; i < 8; i++) {
        assert_int_equal(wait_check_tcp(&r, conn, 5000, &got), 5000);
        answer_tcp(conn, &got, 200, "");
    }
    assert_int_equal(fake_opens(r.loop, APP_A), 1);
    assert_int_equal(fake_opens(r.loop, APP_B), 1); /* it is in reserve: no check of it */
    assert_true(fake_is_open(conn));
    close_checked(&r);
}

/* Its process is killed: the connection ends, a new one is refused, and the other member is the
 * active one in the same millisecond. */
static void test_tcp_killed(void **state)
{
    (void)state;
    struct fake_conn *conn = up_by_tcp();
    fake_advance(r.loop, 2000);
    uint64_t begin = now_ms(&r);
    fake_set_peer(r.loop, APP_A, FAKE_REFUSE);
    fake_reset(conn);
    struct fake_conn *other = wait_opened(&r, APP_B, 0, 100);
    wait_check_tcp(&r, other, 100, &got);
    answer_tcp(other, &got, 200, "");
    expect_up(APP_B, APP_A);
    assert_true(now_ms(&r) - begin <= 10);
    assert_int_equal(rig_counter(&r, CTR_APP_SWITCHED), 1);
    assert_int_equal(fake_opens(r.loop, APP_A), 2);
    close_checked(&r);
}

/* The same, and the reserve needs a second until it knows that it is the active one. */
static void test_tcp_slow_takeover(void **state)
{
    (void)state;
    struct fake_conn *conn = up_by_tcp();
    fake_advance(r.loop, 2000);
    uint64_t begin = now_ms(&r);
    fake_set_peer(r.loop, APP_A, FAKE_REFUSE);
    fake_reset(conn);
    struct fake_conn *other = wait_opened(&r, APP_B, 0, 100);
    unsigned asked = 0;
    for (; now_ms(&r) < begin + 1000; asked++) {
        wait_check_tcp(&r, other, 1000, &got);
        answer_tcp(other, &got, now_ms(&r) < begin + 1000 ? 503 : 200, "");
        assert_int_equal(pair_state(), now_ms(&r) < begin + 1000 ? GROUP_SEARCH : GROUP_UP);
    }
    assert_in_range(asked, 2, 4);
    expect_up(APP_B, APP_A);
    assert_int_equal(rig_counter(&r, CTR_APP_DOWN), 0);
    close_checked(&r);
}

/* It only closes what is idle, or is restarted: asked at once on a new connection, no switchover.
 */
static void test_tcp_closed(void **state)
{
    (void)state;
    struct fake_conn *conn = up_by_tcp();
    fake_advance(r.loop, 2000);
    fake_fin(conn);
    conn = wait_opened(&r, APP_A, 1, 100);
    wait_check_tcp(&r, conn, 100, &got);
    answer_tcp(conn, &got, 200, "");
    expect_up(APP_A, APP_B);
    assert_int_equal(rig_counter(&r, CTR_APP_SWITCHED), 0);
    /* Again and again: not more often than twice a second. */
    uint64_t begin = now_ms(&r);
    for (unsigned i = 2; i < 12; i++) {
        fake_fin(conn);
        conn = wait_opened(&r, APP_A, i, 1000);
        wait_check_tcp(&r, conn, 100, &got);
        answer_tcp(conn, &got, 200, "");
    }
    assert_true(now_ms(&r) - begin >= 4500);
    expect_up(APP_A, APP_B);
    close_checked(&r);
}

/* Both hosts refuse: out of service after oos-force, no storm of connections. */
static void test_tcp_both_refuse(void **state)
{
    (void)state;
    struct fake_conn *conn = up_by_tcp();
    fake_advance(r.loop, 2000);
    fake_set_peer(r.loop, APP_A, FAKE_REFUSE);
    fake_set_peer(r.loop, APP_B, FAKE_REFUSE);
    fake_reset(fake_opened(r.loop, APP_B, 0));
    fake_reset(conn);
    fake_advance(r.loop, 1990);
    assert_int_equal(pair_state(), GROUP_SEARCH);
    fake_advance(r.loop, 10);
    assert_int_equal(pair_state(), GROUP_DOWN);
    expect_refused();
    fake_advance(r.loop, 20000);
    assert_in_range(fake_opens(r.loop, NULL), 5, 40);
    assert_int_equal(rig_counter(&r, CTR_APP_DOWN), 1);
    fake_set_peer(r.loop, APP_B, FAKE_ACCEPT);
    conn = wait_opened(&r, APP_B, 1, 5000);
    wait_check_tcp(&r, conn, 100, &got);
    answer_tcp(conn, &got, 200, "");
    expect_up(APP_B, APP_A);
    assert_int_equal(rig_counter(&r, CTR_APP_BACK), 1);
    close_checked(&r);
}

/* The host is gone without a word (a firewall, a frozen process): found by silence. */
static void test_tcp_silent(void **state)
{
    (void)state;
    struct fake_conn *conn = up_by_tcp();
    uint64_t begin = now_ms(&r);
    fake_stall(conn, true);
    fake_set_peer(r.loop, APP_A, FAKE_BLACKHOLE);
    struct fake_conn *other = wait_opened(&r, APP_B, 0, 1000);
    wait_check_tcp(&r, other, 11000, &got);
    assert_in_range(now_ms(&r) - begin, 9000, 10100);
    answer_tcp(other, &got, 200, "");
    expect_up(APP_B, APP_A);
    close_checked(&r);
}

/* The kernel's probes find it before the next check is due. */
static void test_tcp_keep_alive(void **state)
{
    (void)state;
    open_checked(&r, "sip-enable-tcp-keep-alive = true\ntcp-keep-alive-idle = 1\n"
                     "tcp-keep-alive-interval = 1\ntcp-keep-alive-probes = 2\n" OPEN
                     "serving-sipserver = main\noos-check = 60\noos-force = 2\n"
                     "[application main]\nprimary = sip:10.0.1.1;transport=tcp\n"
                     "backup = sip:10.0.1.2;transport=tcp\n");
    struct fake_conn *conn = wait_opened(&r, APP_A, 0, 100);
    wait_check_tcp(&r, conn, 0, &got);
    answer_tcp(conn, &got, 200, "");
    uint64_t begin = now_ms(&r);
    fake_stall(conn, true);
    fake_set_peer(r.loop, APP_A, FAKE_REFUSE);
    struct fake_conn *other = wait_opened(&r, APP_B, 0, 1000);
    wait_check_tcp(&r, other, 10000, &got);
    answer_tcp(other, &got, 200, "");
    expect_up(APP_B, APP_A);
    assert_true(now_ms(&r) - begin <= 4000);
    close_checked(&r);
}

/* --- names --- */

static void test_names(void **state)
{
    (void)state;
    open_checked(&r, OPEN "oos-check = 5\noos-force = 2\n[application main]\n"
                          "primary = sip:a.example.net:5062\nbackup = sip:b.example.net:5062\n");
    fake_set_host(r.loop, "a.example.net", "10.0.1.1", 0);
    fake_set_host(r.loop, "b.example.net", "10.0.1.2,10.0.1.3", 0);
    assert_int_equal(member("10.0.1.1:5062"), 0);
    wait_asked("10.0.1.1:5062", 8000);
    assert_int_not_equal(member("10.0.1.1:5062"), 0);
    wait_asked("10.0.1.2:5062", 8000);
    answer_udp(&r, "10.0.1.2:5062", &got, 200, "");
    assert_int_equal(pair_state(), GROUP_UP);
    assert_int_equal(member("10.0.1.3:5062"), member("10.0.1.2:5062"));
    /* It has moved. */
    fake_set_host(r.loop, "b.example.net", "10.0.1.9", 0);
    wait_asked("10.0.1.9:5062", 6000);
    answer_udp(&r, "10.0.1.9:5062", &got, 200, "");
    assert_int_equal(member("10.0.1.2:5062"), 0);
    assert_int_not_equal(member("10.0.1.9:5062"), 0);
    drop_all(&r);
    close_checked(&r);
}

/* Both names are one host: the second one is not asked any more, and nothing is switched. */
static void test_one_host(void **state)
{
    (void)state;
    open_checked(&r, OPEN "oos-check = 5\noos-force = 2\n[application main]\n"
                          "primary = sip:a.example.net:5062\nbackup = sip:b.example.net:5062\n");
    fake_set_host(r.loop, "a.example.net", "10.0.1.1", 0);
    fake_set_host(r.loop, "b.example.net", "10.0.1.1", 0);
    for (unsigned i = 0; i < 6; i++) /* unanswered at first, so that both are asked */
        wait_asked("10.0.1.1:5062", 5000);
    assert_int_equal(pair_state(), GROUP_DOWN);
    answer_udp(&r, "10.0.1.1:5062", &got, 200, "");
    assert_int_equal(pair_state(), GROUP_UP);
    for (unsigned i = 0; i < 4; i++) {
        wait_asked("10.0.1.1:5062", 5000);
        assert_string_equal(rig_uri(&got), "sip:a.example.net:5062");
        answer_udp(&r, "10.0.1.1:5062", &got, 200, "");
    }
    assert_int_equal(rig_counter(&r, CTR_APP_SWITCHED), 0);
    close_checked(&r);
}

/* --- the worker's life --- */

/* A reload keeps the active member, and the time of its next check. */
static void test_reload(void **state)
{
    (void)state;
    static struct got first;
    open_checked(&r, PAIR);
    wait_asked(APP_A, 0);
    fake_advance(r.loop, 2000);
    wait_asked(APP_B, 0);
    answer_udp(&r, APP_B, &got, 200, "");
    fake_advance(r.loop, 3000);
    drop_all(&r);
    rig_reload(&r, PAIR);
    expect_up(APP_B, APP_A);
    assert_int_equal(wait_asked(APP_B, 5000), 2000);
    rig_expect_none(&r, APP_A);
    /* While a check is under way: it still counts. */
    rig_reload(&r, PAIR);
    answer_udp(&r, APP_B, &got, 200, "");
    expect_up(APP_B, APP_A);
    assert_int_equal(wait_asked(APP_B, 5000), 5000);
    /* A member goes while it is asked. */
    rig_reload(&r, OPEN "oos-check = 5\noos-force = 2\n[application main]\n"
                        "primary = sip:10.0.1.1\nbackup = sip:10.0.1.7\n");
    first = got;
    first.msg.base = first.text;
    first.msg.hdrs = first.hdrs;
    wait_asked(APP_A, 100);
    answer_udp(&r, APP_A, &got, 200, "");
    expect_up(APP_A, NULL);
    drop_all(&r);
    fake_advance(r.loop, 9000);
    rig_expect_none(&r, APP_B);
    answer_udp(&r, APP_B, &first, 200, "");
    expect_up(APP_A, NULL);
    close_checked(&r);
}

static void test_drain(void **state)
{
    (void)state;
    open_checked(&r, PAIR);
    wait_asked(APP_A, 0);
    rig_drain(&r);
    assert_int_equal(r.drained, 1);
    uint64_t n = rig_counter(&r, CTR_CHECKS);
    fake_advance(r.loop, 60000);
    assert_int_equal(rig_counter(&r, CTR_CHECKS), n);
    drop_all(&r);
    rig_close(&r);
}

static void test_abandon(void **state)
{
    (void)state;
    open_checked(&r, PAIR);
    wait_asked(APP_A, 0);
    rig_abandon(&r);
    up_by_tcp();
    rig_abandon(&r);
}

/* Time goes on, and the first member answers all that it gets. */
static void answering(uint64_t ms)
{
    struct slice bytes;
    for (uint64_t at = 0; at < ms; at += 100, fake_advance(r.loop, 100))
        for (unsigned i = 0; i < 3; i++) {
            struct fake_conn *conn = fake_opened(r.loop, APP_A, i);
            while (conn != NULL && fake_take_message(conn, &bytes))
                if (is_check(bytes))
                    answer_tcp(conn, &got, 200, "");
        }
}

/* The n-th allocation fails, whichever it is: no member is taken for dead, the pair is up. */
static bool live(uint64_t n)
{
    rig_open(&r, PAIR_TCP);
    answering(300);
    struct conf none = *r.conf;
    none.ngroups = 0;
    worker_reload(r.worker, &none);
    fake_run(r.loop);
    mem_fail_at(n);
    worker_reload(r.worker, r.conf); /* all is begun anew */
    fake_run(r.loop);
    uint64_t checks = rig_counter(&r, CTR_CHECKS);
    answering(7000);
    bool has_failed = mem_failed();
    mem_fail_at(0);
    assert_int_equal(pair_state(), GROUP_UP);
    assert_true(rig_counter(&r, CTR_CHECKS) > checks);
    assert_int_equal(rig_counter(&r, CTR_APP_SWITCHED), 0);
    assert_int_equal(rig_counter(&r, CTR_APP_DOWN), 0);
    rig_reload(&r, OPEN);
    drop_all(&r);
    rig_close(&r);
    return has_failed;
}

static void test_no_memory(void **state)
{
    (void)state;
    bool has_failed = true;
    for (uint64_t n = 1; has_failed; n++) {
        assert_true(n < 1000);
        has_failed = live(n);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_alive),
        cmocka_unit_test(test_silent_active),
        cmocka_unit_test(test_both_silent_and_back),
        cmocka_unit_test(test_late_answer),
        cmocka_unit_test(test_statuses),
        cmocka_unit_test(test_request_from_the_other),
        cmocka_unit_test(test_no_checks),
        cmocka_unit_test(test_tcp_kept),
        cmocka_unit_test(test_tcp_killed),
        cmocka_unit_test(test_tcp_slow_takeover),
        cmocka_unit_test(test_tcp_closed),
        cmocka_unit_test(test_tcp_both_refuse),
        cmocka_unit_test(test_tcp_silent),
        cmocka_unit_test(test_tcp_keep_alive),
        cmocka_unit_test(test_names),
        cmocka_unit_test(test_one_host),
        cmocka_unit_test(test_reload),
        cmocka_unit_test(test_drain),
        cmocka_unit_test(test_abandon),
        cmocka_unit_test(test_no_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
