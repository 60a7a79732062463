/* SPDX-License-Identifier: Apache-2.0 */
/* Active out-of-service checks through the whole worker: what is sent, what counts as an answer,
 * and what becomes of the DN and of requests for it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

#include "checks.h"

static struct got got;

/* --- alive --- */

/* RFC 3261 8.1.1, 11.1: what every request has, and Accept; and each interval one. */
static void test_alive(void **state)
{
    (void)state;
    struct rig r;
    open_checked(&r, OPEN CHECKED "oos-check = 10\n");
    wait_check(&r, PHONE, 10000, &got);
    assert_string_equal(rig_uri(&got), "sip:1001@10.0.0.3:5060");
    assert_int_equal(got.msg.max_forwards, 70);
    assert_string_equal(rig_value(&got, SIP_H_TO, 0), "<sip:1001@10.0.0.3:5060>");
    assert_true(got.msg.from_tag.len != 0 && got.msg.to_tag.len == 0);
    assert_true(slice_starts(sip_value(&got.msg, SIP_H_VIA),
                             SLICE("SIP/2.0/UDP 10.0.0.1:5060;branch=z9hG4bK")));
    assert_true(
        slice_starts(sip_value(&got.msg, SIP_H_FROM), SLICE("<sip:oos-check@10.0.0.1:5060>;tag=")));
    assert_true(slice_eq(sip_value(&got.msg, SIP_H_CONTACT), SLICE("<sip:10.0.0.1:5060>")));
    assert_non_null(strstr(got.text, "\r\nAccept: application/sdp\r\n"));
    assert_true(slice_eq(sip_value(&got.msg, SIP_H_CSEQ), SLICE("1 OPTIONS")));
    assert_int_equal(got.msg.body_len, 0);
    answer_udp(&r, PHONE, &got, 200, "");
    char first[64], second[64];
    (void)slice_cstr(sip_value(&got.msg, SIP_H_CALL_ID), first, sizeof(first));
    for (unsigned i = 0; i < 5; i++) {
        assert_int_equal(wait_check(&r, PHONE, 10000, &got), 10000);
        answer_udp(&r, PHONE, &got, 200, "");
        (void)slice_cstr(sip_value(&got.msg, SIP_H_CALL_ID), second, sizeof(second));
        assert_string_not_equal(first, second);
    }
    expect_state(&r, DN_IN_SERVICE);
    assert_int_equal(rig_counter(&r, CTR_CHECKS), 6);
    assert_int_equal(rig_counter(&r, CTR_CHECKS_FAILED), 0);
    assert_int_equal(rig_counter(&r, CTR_DN_SUSPECT), 0);
    close_checked(&r);
}

/* Any final response is an answer; a provisional one is none. */
static void test_any_final(void **state)
{
    (void)state;
    struct rig r;
    static const unsigned finals[] = {200, 302, 401, 404, 405, 481, 486, 500, 503, 603};
    open_checked(&r, OPEN CHECKED "oos-check = 10\n");
    for (unsigned i = 0; i < sizeof(finals) / sizeof(finals[0]); i++) {
        wait_check(&r, PHONE, 10000, &got);
        answer_udp(&r, PHONE, &got, 100, "");
        answer_udp(&r, PHONE, &got, finals[i], "");
        char status[8];
        (void)snprintf(status, sizeof(status), "%u", finals[i]);
        expect_last_answer(&r, status);
        fake_advance(r.loop, 6000);
        expect_state(&r, DN_IN_SERVICE);
    }
    wait_check(&r, PHONE, 10000, &got);
    answer_udp(&r, PHONE, &got, 180, "");
    fake_advance(r.loop, 5000);
    expect_state(&r, DN_OUT_OF_SERVICE);
    close_checked(&r);
}

/* --- not alive --- */

/* Unanswered: suspect after a moment, out of service after oos-force, requests are refused at once
 * and told when to come again; checked each oos-force from then on; back by an answer. */
static void test_silence(void **state)
{
    (void)state;
    struct rig r;
    open_checked(&r, OPEN CHECKED "oos-check = 60\noos-force = 5\n");
    wait_check(&r, PHONE, 60000, &got);
    fake_advance(r.loop, 990);
    expect_state(&r, DN_IN_SERVICE);
    expect_last_answer(&r, "");
    fake_advance(r.loop, 10);
    expect_state(&r, DN_SUSPECT);
    expect_last_answer(&r, "timed out");
    assert_int_equal(rig_counter(&r, CTR_DN_SUSPECT), 1);
    fake_advance(r.loop, 3990);
    expect_state(&r, DN_SUSPECT);
    fake_advance(r.loop, 10);
    expect_state(&r, DN_OUT_OF_SERVICE);
    assert_int_equal(rig_counter(&r, CTR_DN_OOS), 1);
    assert_in_range(call_refused(&r), 1, 5);
    /* One at a time, each oos-force. */
    assert_int_equal(wait_check(&r, PHONE, 5000, &got), 0);
    for (unsigned i = 0; i < 3; i++) {
        assert_int_equal(wait_check(&r, PHONE, 5000, &got), 5000);
        expect_state(&r, DN_OUT_OF_SERVICE);
        assert_in_range(call_refused(&r), 1, 5);
    }
    assert_int_equal(rig_counter(&r, CTR_CHECKS), 5);
    assert_int_equal(rig_counter(&r, CTR_CHECKS_FAILED), 4);
    answer_udp(&r, PHONE, &got, 200, "");
    expect_state(&r, DN_IN_SERVICE);
    assert_int_equal(rig_counter(&r, CTR_DN_BACK), 1);
    assert_int_equal(rig_counter(&r, CTR_DN_OOS), 1);
    /* Each oos-check again. */
    fake_advance(r.loop, 39000);
    assert_int_equal(rig_counter(&r, CTR_CHECKS), 5);
    close_checked(&r);
}

/* oos-force longer than one check: asked again in between, and an answer in time is in time. */
static void test_patience(void **state)
{
    (void)state;
    struct rig r;
    open_checked(&r, OPEN CHECKED "oos-check = 60\noos-force = 12\n");
    wait_check(&r, PHONE, 60000, &got);
    assert_int_equal(wait_check(&r, PHONE, 6000, &got), 5000);
    expect_state(&r, DN_SUSPECT);
    assert_int_equal(wait_check(&r, PHONE, 6000, &got), 5000);
    fake_advance(r.loop, 1000);
    expect_state(&r, DN_SUSPECT);
    answer_udp(&r, PHONE, &got, 200, "");
    expect_state(&r, DN_IN_SERVICE);
    assert_int_equal(rig_counter(&r, CTR_DN_OOS), 0);
    assert_int_equal(rig_counter(&r, CTR_DN_BACK), 0);
    /* The silence is counted anew. */
    wait_check(&r, PHONE, 60000, &got);
    fake_advance(r.loop, 11990);
    expect_state(&r, DN_SUSPECT);
    fake_advance(r.loop, 10);
    expect_state(&r, DN_OUT_OF_SERVICE);
    close_checked(&r);
}

/* oos-force = 0: the first check that fails decides, and the interval stays. */
static void test_no_patience(void **state)
{
    (void)state;
    struct rig r;
    open_checked(&r, OPEN CHECKED "oos-check = 30\noos-force = 0\n");
    wait_check(&r, PHONE, 30000, &got);
    fake_advance(r.loop, 4990);
    expect_state(&r, DN_SUSPECT);
    fake_advance(r.loop, 10);
    expect_state(&r, DN_OUT_OF_SERVICE);
    assert_in_range(call_refused(&r), 20, 30);
    assert_int_equal(wait_check(&r, PHONE, 30000, &got), 25000);
    answer_udp(&r, PHONE, &got, 486, "");
    expect_state(&r, DN_IN_SERVICE);
    close_checked(&r);
}

/* oos-force = 1: out after a second, and checked each second. */
static void test_impatience(void **state)
{
    (void)state;
    struct rig r;
    open_checked(&r, OPEN CHECKED "oos-check = 10\noos-force = 1\n");
    wait_check(&r, PHONE, 10000, &got);
    fake_advance(r.loop, 990);
    expect_state(&r, DN_IN_SERVICE);
    fake_advance(r.loop, 10);
    expect_state(&r, DN_OUT_OF_SERVICE);
    assert_int_equal(wait_check(&r, PHONE, 1000, &got), 0);
    for (unsigned i = 0; i < 5; i++)
        assert_int_equal(wait_check(&r, PHONE, 1000, &got), 1000);
    assert_int_equal(call_refused(&r), 1);
    fake_advance(r.loop, 990);
    answer_udp(&r, PHONE, &got, 200, "");
    expect_state(&r, DN_IN_SERVICE);
    assert_int_equal(wait_check(&r, PHONE, 10000, &got), 3010);
    close_checked(&r);
}

/* What the administrator takes out is not checked, and no registration brings it back. */
static void test_administrator(void **state)
{
    (void)state;
    struct rig r;
    open_checked(&r, OPEN "[dn 1001]\noos-check = 10\n");
    register_udp(&r, "1001", PHONE, "");
    assert_true(dn_set_out_of_service(r.shared.dir, SLICE("1001"), ERR_ADMIN, rig_wall(&r)));
    fake_advance(r.loop, 30000);
    assert_int_equal(rig_counter(&r, CTR_CHECKS), 0);
    register_udp(&r, "1001", PHONE, "");
    assert_non_null(fake_connect(r.loop, "10.0.0.3:40000", PROXY));
    expect_state(&r, DN_OUT_OF_SERVICE);
    assert_int_equal(call_refused(&r), 0);
    assert_int_equal(rig_counter(&r, CTR_DN_BACK), 0);
    assert_true(dn_readmit(r.shared.dir, SLICE("1001")));
    wait_check(&r, PHONE, 10000, &got);
    answer_udp(&r, PHONE, &got, 200, "");
    expect_state(&r, DN_IN_SERVICE);
    close_checked(&r);
}

/* A listed status is no answer, though it comes at once; any other one is. */
static void test_listed(void **state)
{
    (void)state;
    struct rig r;
    open_checked(&r,
                 OPEN CHECKED "oos-check = 60\noos-force = 3\noos-check-failure = 503, 404 500\n");
    static const unsigned listed[] = {503, 404, 500};
    wait_check(&r, PHONE, 60000, &got);
    for (unsigned i = 0; i < 3; i++) {
        answer_udp(&r, PHONE, &got, listed[i], "");
        expect_state(&r, DN_SUSPECT);
        assert_int_equal(wait_check(&r, PHONE, 1000, &got), 1000);
    }
    expect_state(&r, DN_OUT_OF_SERVICE);
    answer_udp(&r, PHONE, &got, 500, "");
    expect_state(&r, DN_OUT_OF_SERVICE);
    assert_int_equal(wait_check(&r, PHONE, 3000, &got), 3000);
    answer_udp(&r, PHONE, &got, 486, "");
    expect_state(&r, DN_IN_SERVICE);
    assert_int_equal(rig_counter(&r, CTR_CHECKS_FAILED), 4);
    close_checked(&r);
}

/* What the peer, or the transport, said is the cause, not that nothing came before. */
static void test_cause(void **state)
{
    (void)state;
    struct rig r;
    open_checked(&r, OPEN CHECKED "oos-check = 60\noos-force = 4\noos-check-failure = 503\n");
    wait_check(&r, PHONE, 60000, &got);
    fake_advance(r.loop, 2000);
    expect_cause(&r, ERR_TIMEOUT);
    answer_udp(&r, PHONE, &got, 503, "");
    expect_last_answer(&r, "503");
    fake_advance(r.loop, 2000);
    expect_state(&r, DN_OUT_OF_SERVICE);
    expect_cause(&r, ERR_BAD_STATUS);
    /* What comes later does not change why it went out. */
    fake_advance(r.loop, 10000);
    expect_cause(&r, ERR_BAD_STATUS);
    close_checked(&r);
}

/* --- others know better --- */

/* Heard of between two checks that fail: the next failure is a new one. */
static void test_heard_between(void **state)
{
    (void)state;
    struct rig r;
    open_checked(&r, OPEN CHECKED "oos-check = 60\noos-force = 3\noos-check-failure = 503\n");
    wait_check(&r, PHONE, 60000, &got);
    answer_udp(&r, PHONE, &got, 503, "");
    expect_state(&r, DN_SUSPECT);
    fake_advance(r.loop, 500);
    assert_int_equal(dn_set_in_service(r.shared.dir, SLICE("1001")), DN_SUSPECT);
    for (unsigned i = 0; i < 3; i++) {
        wait_check(&r, PHONE, 1000, &got);
        answer_udp(&r, PHONE, &got, 503, "");
        expect_state(&r, DN_SUSPECT);
    }
    assert_int_equal(wait_check(&r, PHONE, 1000, &got), 1000);
    expect_state(&r, DN_OUT_OF_SERVICE);
    assert_int_equal(rig_counter(&r, CTR_DN_SUSPECT), 2);
    close_checked(&r);
}

/* Somebody has heard of it since it became suspect: not out of service, but asked again. */
static void test_heard_meanwhile(void **state)
{
    (void)state;
    struct rig r;
    open_checked(&r, OPEN CHECKED "oos-check = 60\noos-force = 5\n");
    wait_check(&r, PHONE, 60000, &got);
    fake_advance(r.loop, 2000);
    assert_int_equal(dn_set_in_service(r.shared.dir, SLICE("1001")), DN_SUSPECT);
    fake_advance(r.loop, 3500);
    expect_state(&r, DN_IN_SERVICE);
    assert_int_equal(rig_counter(&r, CTR_DN_OOS), 0);
    assert_int_equal(wait_check(&r, PHONE, 1000, &got), 500);
    fake_advance(r.loop, 5000);
    expect_state(&r, DN_OUT_OF_SERVICE);
    close_checked(&r);
}

/* A request has found it dead: from then on it is checked as one that is out of service. */
static void test_found_by_request(void **state)
{
    (void)state;
    struct rig r;
    open_checked(&r, OPEN CHECKED "oos-check = 300\noos-force = 5\n");
    wait_check(&r, PHONE, 300000, &got);
    answer_udp(&r, PHONE, &got, 200, "");
    fake_advance(r.loop, 10500);
    assert_true(dn_set_out_of_service(r.shared.dir, SLICE("1001"), ERR_UNREACHABLE, rig_wall(&r)));
    assert_in_range(wait_check(&r, PHONE, 6000, &got), 10, 6000);
    answer_udp(&r, PHONE, &got, 200, "");
    expect_state(&r, DN_IN_SERVICE);
    assert_int_equal(rig_counter(&r, CTR_DN_BACK), 1);
    close_checked(&r);
}

/* Registering brings it back at once, and the check that was under way does not take it out again.
 */
static void test_register_brings_back(void **state)
{
    (void)state;
    struct rig r;
    open_checked(&r, OPEN "[dn 1001]\noos-check = 60\noos-force = 5\n");
    /* Not registered, not checked. */
    fake_advance(r.loop, 130000);
    assert_int_equal(rig_counter(&r, CTR_CHECKS), 0);
    register_udp(&r, "1001", PHONE, "");
    wait_check(&r, PHONE, 60000, &got);
    fake_advance(r.loop, 5000);
    expect_state(&r, DN_OUT_OF_SERVICE);
    assert_in_range(call_refused(&r), 1, 5);
    fake_advance(r.loop, 2000);
    drop_all(&r);
    register_udp(&r, "1001", PHONE, "");
    expect_state(&r, DN_IN_SERVICE);
    assert_int_equal(rig_counter(&r, CTR_DN_BACK), 1);
    fake_advance(r.loop, 2900);
    expect_state(&r, DN_IN_SERVICE);
    assert_int_equal(rig_counter(&r, CTR_DN_OOS), 1);
    close_checked(&r);
}

/* A drain waits for what somebody waits for; of checks of a silent peer there is always one. */
static void test_nobody_waits_for_checks(void **state)
{
    (void)state;
    struct rig r;
    struct txn_usage u;
    open_checked(&r, OPEN CHECKED "oos-check = 10\n");
    for (unsigned i = 0; i < 3; i++) {
        wait_check(&r, PHONE, 10000, &got);
        txns_usage(worker_txns(r.worker), &u);
        assert_true(u.transactions != 0);
        assert_int_equal(txns_pending(worker_txns(r.worker)), 0);
    }
    answer_udp(&r, PHONE, &got, 200, "");
    assert_int_equal(txns_pending(worker_txns(r.worker)), 0);
    close_checked(&r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_alive),
        cmocka_unit_test(test_any_final),
        cmocka_unit_test(test_silence),
        cmocka_unit_test(test_patience),
        cmocka_unit_test(test_no_patience),
        cmocka_unit_test(test_impatience),
        cmocka_unit_test(test_administrator),
        cmocka_unit_test(test_listed),
        cmocka_unit_test(test_cause),
        cmocka_unit_test(test_heard_between),
        cmocka_unit_test(test_heard_meanwhile),
        cmocka_unit_test(test_found_by_request),
        cmocka_unit_test(test_register_brings_back),
        cmocka_unit_test(test_nobody_waits_for_checks),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
