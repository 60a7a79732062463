/* SPDX-License-Identifier: Apache-2.0 */
/* Many DNs, reload, drain, and no memory: the schedule of out-of-service checks. */
#include <limits.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/alloc.h"
#include "checks.h"

#define MANY   10000
#define BINS   600 /* of 100 ms: one minute */
#define BIN_MS 100

static struct got got;

/* --- spread --- */

static char *many_dns(void)
{
    size_t cap = (size_t)MANY * 96, at = 0;
    char *text = malloc(cap);
    assert_non_null(text);
    at += (size_t)snprintf(text, cap, "%s", OPEN);
    for (unsigned i = 0; i < MANY; i++)
        at += (size_t)snprintf(text + at, cap - at,
                               "[dn %u]\ncontact = sip:%u@10.1.%u.%u:5060\noos-check = 60\n", i, i,
                               i / 200, i % 200 + 1);
    assert_true(at < cap);
    return text;
}

/* 10,000 DNs with oos-check = 60: over each minute, no 100 ms have many more checks than the mean,
 * and every DN is checked once. */
static void test_spread(void **state)
{
    (void)state;
    struct rig r;
    char *text = many_dns();
    static struct fake_datagram d;
    open_checked(&r, text);
    free(text);
    for (unsigned minute = 0; minute < 2; minute++) {
        unsigned total = 0, most = 0, least = MANY;
        for (unsigned bin = 0; bin < BINS; bin++) {
            unsigned n = 0;
            fake_advance(r.loop, BIN_MS);
            for (; fake_take_datagram(r.loop, NULL, &d); n++) {
                static struct got check;
                struct sip_fault fault = {0};
                char to[ADDR_TEXT_MAX];
                memcpy(check.text, d.bytes.ptr, d.bytes.len);
                assert_int_equal(sip_msg_parse(&check.msg, check.text, d.bytes.len, false,
                                               check.hdrs, SIP_HDRS_MAX, &sip_limits_default,
                                               &fault),
                                 0);
                answer_udp(&r, addr_write(&d.to, to), &check, 200, "");
            }
            total += n;
            most = n > most ? n : most;
            least = n < least ? n : least;
        }
        assert_int_equal(total, MANY);
        assert_in_range(most, MANY / BINS, MANY / BINS + 3);
        assert_in_range(least, MANY / BINS - 3, MANY / BINS);
        print_message("checks in 100 ms: %u to %u\n", least, most);
    }
    assert_int_equal(rig_counter(&r, CTR_CHECKS_FAILED), 0);
    close_checked(&r);
}

/* All of them are dead: what is sent has a bound, and nothing is left behind. */
static void test_all_dead(void **state)
{
    (void)state;
    struct rig r;
    char *text = many_dns();
    open_checked(&r, text);
    free(text);
    fake_lose(r.loop, UINT_MAX);
    unsigned most = 0;
    for (unsigned i = 0; i < 90 * 10; i++) {
        uint64_t before = rig_counter(&r, CTR_CHECKS);
        fake_advance(r.loop, 100);
        unsigned n = (unsigned)(rig_counter(&r, CTR_CHECKS) - before);
        most = n > most ? n : most;
    }
    print_message("checks in 100 ms while all are dead: at most %u\n", most);
    assert_in_range(most, MANY / 50, MANY / 50 + 50); /* each once in 5 s */
    assert_int_equal(rig_counter(&r, CTR_DN_OOS), MANY);
    close_checked(&r);
}

/* --- reload and drain --- */

static void test_reload(void **state)
{
    (void)state;
    struct rig r;
    open_checked(&r, OPEN);
    fake_advance(r.loop, 100000);
    rig_reload(&r, OPEN CHECKED "oos-check = 10\noos-force = 5\n");
    wait_check(&r, PHONE, 10000, &got);
    answer_udp(&r, PHONE, &got, 200, "");
    fake_advance(r.loop, 4000);
    /* The place stays, whatever comes along. */
    rig_reload(&r, OPEN CHECKED "oos-check = 10\noos-force = 5\n[dn 1002]\noos-check = 10\n");
    assert_int_equal(wait_check(&r, PHONE, 10000, &got), 6000);
    /* With a check under way: it goes on, and its answer counts. */
    fake_advance(r.loop, 2000);
    expect_state(&r, DN_SUSPECT);
    rig_reload(&r, OPEN CHECKED "oos-check = 20\noos-force = 5\n");
    expect_state(&r, DN_SUSPECT);
    answer_udp(&r, PHONE, &got, 200, "");
    expect_state(&r, DN_IN_SERVICE);
    assert_in_range(wait_check(&r, PHONE, 20000, &got), 8000, 18000);
    /* Out of service stays so, and is found out of by a check. */
    fake_advance(r.loop, 5000);
    expect_state(&r, DN_OUT_OF_SERVICE);
    rig_reload(&r, OPEN CHECKED "oos-check = 60\noos-force = 5\n");
    expect_state(&r, DN_OUT_OF_SERVICE);
    wait_check(&r, PHONE, 6000, &got);
    /* Another contact: nothing is known of it, and the old one's answer says nothing. */
    fake_advance(r.loop, 2000);
    rig_reload(&r, OPEN "[dn 1001]\ncontact = sip:1001@10.0.0.4:5060\noos-check = 60\n");
    expect_state(&r, DN_IN_SERVICE);
    fake_advance(r.loop, 10);
    expect_state(&r, DN_IN_SERVICE);
    assert_true(dn_set_suspect(r.shared.dir, SLICE("1001"), ERR_CLOSED, rig_wall(&r)));
    answer_udp(&r, PHONE, &got, 200, "");
    expect_state(&r, DN_SUSPECT);
    drop_all(&r);
    wait_check(&r, OTHER, 60000, &got);
    /* The section goes with a check under way, and the check is off with one. */
    rig_reload(&r, OPEN);
    uint64_t checks = rig_counter(&r, CTR_CHECKS);
    rig_reload(&r, OPEN CHECKED "oos-check = 0\n");
    fake_advance(r.loop, 120000);
    assert_int_equal(rig_counter(&r, CTR_CHECKS), checks);
    assert_int_equal(rig_counter(&r, CTR_DN_OOS), 1);
    close_checked(&r);
}

/* Each DN keeps its place in time, and that it is checked as one that is out of service. */
static void test_reload_keeps(void **state)
{
    (void)state;
    struct rig r;
    static const char with[] = OPEN CHECKED
        "oos-check = 10\noos-force = 5\n[dn 1002]\ncontact = sip:1002@10.0.0.4:5060\n"
        "oos-check = 10\n[dn 1003]\ncontact = sip:1003@10.0.0.5:5060\noos-check = 300\n"
        "oos-force = 4\noos-check-failure = 503\n";
    open_checked(&r, with);
    wait_check(&r, OTHER, 10000, &got);
    answer_udp(&r, OTHER, &got, 200, "");
    rig_reload(&r, with);
    assert_int_equal(wait_check(&r, OTHER, 10000, &got), 10000);
    answer_udp(&r, OTHER, &got, 200, "");
    assert_true(dn_set_out_of_service(r.shared.dir, SLICE("1003"), ERR_CLOSED, rig_wall(&r)));
    for (unsigned i = 0; i < 4; i++) {
        wait_check(&r, THIRD, 5100, &got);
        answer_udp(&r, THIRD, &got, 503, "");
        fake_advance(r.loop, 500);
        rig_reload(&r, with);
    }
    drop_all(&r);
    close_checked(&r);
}

/* A check under way does not hold up the drain, and none begins, after a reload neither. */
static void test_drain(void **state)
{
    (void)state;
    struct rig r;
    open_checked(&r, OPEN CHECKED "oos-check = 10\noos-force = 5\n");
    wait_check(&r, PHONE, 10000, &got);
    rig_drain(&r);
    fake_advance(r.loop, 100);
    assert_int_equal(r.drained, 1);
    uint64_t checks = rig_counter(&r, CTR_CHECKS);
    fake_advance(r.loop, 30000);
    rig_reload(&r, OPEN CHECKED "oos-check = 5\n");
    fake_advance(r.loop, 30000);
    assert_int_equal(rig_counter(&r, CTR_CHECKS), checks);
    expect_state(&r, DN_IN_SERVICE);
    drop_all(&r);
    rig_close(&r);
}

/* In the middle of everything. */
static void test_abandon(void **state)
{
    (void)state;
    struct rig r;
    open_checked(&r, OPEN CHECKED "oos-check = 10\noos-force = 5\n"
                                  "[dn 1002]\ncontact = sip:1002@10.0.0.4;transport=tcp\n"
                                  "oos-check = 10\n[dn 1003]\noos-check = 7\n");
    wait_check(&r, PHONE, 10000, &got);
    fake_advance(r.loop, 3000);
    rig_abandon(&r);
}

/* --- no memory --- */

/* One life with a failure of the n-th allocation: a check that could not be made says nothing of
 * the DN. True: the failure has happened. */
static bool live(uint64_t n)
{
    struct rig r;
    open_checked(&r, OPEN "[dn 1001]\noos-check = 10\noos-force = 5\n");
    /* Behind a NAT: where its Contact leads nothing may ever be sent. */
    rig_udp(&r, PHONE,
            "REGISTER sip:10.0.0.1 SIP/2.0\nVia: SIP/2.0/UDP 192.168.7.7;rport;branch=z9hG4bKn1\n"
            "Max-Forwards: 70\nFrom: <sip:1001@10.0.0.1>;tag=n\nTo: <sip:1001@10.0.0.1>\n"
            "Call-ID: n\nCSeq: 1 REGISTER\nContact: <sip:1001@192.168.7.7:5060>\n"
            "Content-Length: 0\n\n");
    rig_expect_status(&r, PHONE, 200, &got);
    mem_fail_at(n);
    worker_reload(r.worker, r.conf); /* the same again: the list of checks is made anew */
    fake_run(r.loop);
    struct fake_datagram d;
    unsigned checks = 0;
    for (unsigned i = 0; i < 25000 / 10; i++) {
        fake_advance(r.loop, 10);
        while (fake_take_datagram(r.loop, PHONE, &d)) {
            static struct got check;
            struct sip_fault fault = {0};
            memcpy(check.text, d.bytes.ptr, d.bytes.len);
            if (sip_msg_parse(&check.msg, check.text, d.bytes.len, false, check.hdrs, SIP_HDRS_MAX,
                              &sip_limits_default, &fault) == 0)
                answer_udp(&r, PHONE, &check, 200, "");
            checks++;
        }
    }
    bool failed = mem_failed();
    mem_fail_at(0);
    rig_expect_none(&r, NULL);
    /* Without memory for the list of checks the old list goes on. */
    assert_in_range(checks, 2, 4);
    expect_state(&r, DN_IN_SERVICE);
    assert_int_equal(rig_counter(&r, CTR_CHECKS_FAILED), 0);
    close_checked(&r);
    return failed;
}

static void test_no_memory(void **state)
{
    (void)state;
    bool failed = true;
    for (uint64_t n = 1; failed; n++) {
        assert_true(n < 2000);
        failed = live(n);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_spread),    cmocka_unit_test(test_all_dead),
        cmocka_unit_test(test_reload),    cmocka_unit_test(test_reload_keeps),
        cmocka_unit_test(test_drain),     cmocka_unit_test(test_abandon),
        cmocka_unit_test(test_no_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
