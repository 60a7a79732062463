/* SPDX-License-Identifier: Apache-2.0 */
/* Active out-of-service checks through the whole worker: what is sent, what counts as an answer,
 * and what becomes of the DN and of requests for it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/alloc.h"
#include "calls.h"

#define CHECKED "[dn 1001]\ncontact = sip:1001@10.0.0.3:5060\n"
#define BY_TCP  "[dn 1001]\ncontact = sip:1001@10.0.0.3:5060;transport=tcp\n"

static struct got got;

static uint64_t wall(const struct rig *r)
{
    return r->wall + net_now(r->loop);
}

static enum dn_state state_of(const struct rig *r)
{
    return dn_state(r->shared.dir, SLICE("1001"), wall(r));
}

static void expect_state(const struct rig *r, enum dn_state state)
{
    assert_int_equal(state_of(r), state);
}

/* Lets time go on until the next OPTIONS to that peer is there, at most `most` ms; returns how long
 * that took. Retransmissions are passed over. */
static uint64_t wait_check(struct rig *r, const char *to, uint64_t most)
{
    static char last[64];
    uint64_t begin = now_ms(r);
    struct fake_datagram d;
    for (; now_ms(r) <= begin + most; fake_advance(r->loop, 10)) {
        while (fake_take_datagram(r->loop, to, &d)) {
            struct sip_fault fault = {0};
            assert_true(d.bytes.len < sizeof(got.text));
            memcpy(got.text, d.bytes.ptr, d.bytes.len);
            got.text[d.bytes.len] = '\0';
            assert_int_equal(sip_msg_parse(&got.msg, got.text, d.bytes.len, false, got.hdrs,
                                           SIP_HDRS_MAX, &sip_limits_default, &fault),
                             0);
            assert_true(got.msg.is_request && got.msg.method == SIP_OPTIONS);
            char branch[64];
            (void)slice_cstr(got.msg.via.branch, branch, sizeof(branch));
            if (strcmp(branch, last) == 0)
                continue;
            memcpy(last, branch, sizeof(last));
            return now_ms(r) - begin;
        }
    }
    fail_msg("no check within %llu ms", (unsigned long long)most);
    return 0;
}

/* All that was sent to anyone and not looked at is nothing of interest. */
static unsigned drop_all(struct rig *r)
{
    struct fake_datagram d;
    unsigned n = 0;
    while (fake_take_datagram(r->loop, NULL, &d))
        n++;
    return n;
}

/* The first turn of a loop comes without an event too: it sets the alarm. */
static void open_rig(struct rig *r, const char *options)
{
    rig_open(r, options);
    net_wake(r->loop);
    fake_run(r->loop);
}

/* Without checks nothing is left. */
static void close_rig(struct rig *r)
{
    rig_reload(r, OPEN);
    drop_all(r);
    rig_close(r);
}

/* An INVITE for the DN is refused at once; returns its Retry-After, 0: none. */
static unsigned refused(struct rig *r, unsigned number)
{
    static struct got res;
    char branch[16];
    uint64_t seconds = 0;
    snprintf(branch, sizeof(branch), "call%u", number);
    struct say what = {.branch = branch, .call_id = branch};
    say_udp(r, CALLER, &what);
    rig_expect_status(r, CALLER, 480, &res);
    assert_true(slice_eq(sip_get(&res.msg, res.msg.reason), SLICE("Out Of Service")));
    (void)!slice_u64(sip_value(&res.msg, SIP_H_RETRY_AFTER), 1000000, &seconds);
    what.to = "<sip:1001@10.0.0.1>;tag=x";
    ack_udp(r, CALLER, &what);
    return (unsigned)seconds;
}

/* --- alive --- */

/* RFC 3261 8.1.1, 11.1: what every request has, and Accept; and each interval one. */
static void test_alive(void **state)
{
    (void)state;
    struct rig r;
    open_rig(&r, OPEN CHECKED "oos-check = 10\n");
    wait_check(&r, PHONE, 10010);
    assert_string_equal(rig_uri(&got), "sip:1001@10.0.0.3:5060");
    assert_int_equal(got.msg.max_forwards, 70);
    assert_string_equal(rig_value(&got, SIP_H_TO, 0), "<sip:1001@10.0.0.3:5060>");
    assert_true(got.msg.from_tag.len != 0 && got.msg.to_tag.len == 0);
    assert_true(slice_starts(sip_value(&got.msg, SIP_H_VIA),
                             SLICE("SIP/2.0/UDP 10.0.0.1:5060;branch=z9hG4bK")));
    assert_true(slice_starts(sip_value(&got.msg, SIP_H_FROM), SLICE("<sip:oos-check@10.0.0.1")));
    assert_true(slice_eq(sip_value(&got.msg, SIP_H_CONTACT), SLICE("<sip:10.0.0.1:5060>")));
    assert_non_null(strstr(got.text, "\r\nAccept: application/sdp\r\n"));
    assert_true(slice_eq(sip_value(&got.msg, SIP_H_CSEQ), SLICE("1 OPTIONS")));
    assert_int_equal(got.msg.body_len, 0);
    answer_udp(&r, PHONE, &got, 200, "");
    char first[64], second[64];
    (void)slice_cstr(sip_value(&got.msg, SIP_H_CALL_ID), first, sizeof(first));
    for (unsigned i = 0; i < 5; i++) {
        uint64_t ms = wait_check(&r, PHONE, 10010);
        assert_in_range(ms, 9980, 10010);
        answer_udp(&r, PHONE, &got, 200, "");
        (void)slice_cstr(sip_value(&got.msg, SIP_H_CALL_ID), second, sizeof(second));
        assert_string_not_equal(first, second);
    }
    expect_state(&r, DN_IN_SERVICE);
    assert_int_equal(rig_counter(&r, CTR_CHECKS), 6);
    assert_int_equal(rig_counter(&r, CTR_CHECKS_FAILED), 0);
    close_rig(&r);
}

/* Any final response is an answer; a provisional one is none. */
static void test_any_final(void **state)
{
    (void)state;
    struct rig r;
    static const unsigned finals[] = {200, 302, 401, 404, 405, 481, 486, 500, 503, 603};
    open_rig(&r, OPEN CHECKED "oos-check = 10\n");
    for (unsigned i = 0; i < sizeof(finals) / sizeof(finals[0]); i++) {
        wait_check(&r, PHONE, 10010);
        answer_udp(&r, PHONE, &got, 100, "");
        answer_udp(&r, PHONE, &got, finals[i], "");
        fake_advance(r.loop, 6000);
        expect_state(&r, DN_IN_SERVICE);
    }
    wait_check(&r, PHONE, 10010);
    answer_udp(&r, PHONE, &got, 180, "");
    fake_advance(r.loop, 5000);
    expect_state(&r, DN_OUT_OF_SERVICE);
    close_rig(&r);
}

/* --- not alive --- */

/* Unanswered: suspect after a moment, out of service after oos-force, requests are refused at once
 * and told when to come again; checked each oos-force from then on; back by an answer. */
static void test_silence(void **state)
{
    (void)state;
    struct rig r;
    open_rig(&r, OPEN CHECKED "oos-check = 60\noos-force = 5\n");
    wait_check(&r, PHONE, 60010);
    fake_advance(r.loop, 900);
    expect_state(&r, DN_IN_SERVICE);
    fake_advance(r.loop, 200);
    expect_state(&r, DN_SUSPECT);
    assert_int_equal(rig_counter(&r, CTR_DN_SUSPECT), 1);
    fake_advance(r.loop, 3800);
    expect_state(&r, DN_SUSPECT);
    fake_advance(r.loop, 200);
    expect_state(&r, DN_OUT_OF_SERVICE);
    assert_int_equal(rig_counter(&r, CTR_DN_OOS), 1);
    assert_in_range(refused(&r, 1), 1, 5);
    /* One at a time, each oos-force. */
    wait_check(&r, PHONE, 10);
    for (unsigned i = 0; i < 3; i++) {
        uint64_t ms = wait_check(&r, PHONE, 5010);
        assert_in_range(ms, 4880, 5010);
        expect_state(&r, DN_OUT_OF_SERVICE);
    }
    assert_in_range(refused(&r, 2), 1, 5);
    answer_udp(&r, PHONE, &got, 200, "");
    expect_state(&r, DN_IN_SERVICE);
    assert_int_equal(rig_counter(&r, CTR_DN_BACK), 1);
    assert_int_equal(rig_counter(&r, CTR_DN_OOS), 1);
    fake_advance(r.loop, 30000);
    assert_int_equal(rig_counter(&r, CTR_CHECKS), 5);
    close_rig(&r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_alive),
        cmocka_unit_test(test_any_final),
        cmocka_unit_test(test_silence),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
