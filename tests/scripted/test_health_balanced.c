/* SPDX-License-Identifier: Apache-2.0 */
/* Checks of a balanced group through the whole worker: members in and out, and where calls go. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "checks.h"

#define GROUP(transport)                                                         \
    OPEN "serving-sipserver = pool\noos-check = 5\noos-force = 2\n"              \
         "[application pool]\nrole = balanced\nmembers = sip:10.0.1.1" transport \
         ", sip:10.0.1.2" transport ", sip:10.0.1.3" transport "\n"
#define MEMBERS 3

static const char *const apps[MEMBERS] = {"10.0.1.1:5060", "10.0.1.2:5060", "10.0.1.3:5060"};
static struct rig r;
static struct got got, call, res;
static unsigned is_silent; /* bit for each member */

static enum group_state group_state(void)
{
    return group_state_of(r.shared.groups, group_find(r.shared.groups, SLICE("pool")));
}

static enum group_state member_state(unsigned i)
{
    struct addr a;
    assert_int_equal(addr_parse(slice_str(apps[i]), 0, &a), 0);
    return group_member_state(r.shared.groups, group_member_at(r.shared.groups, &a));
}

/* All that is sent to member i is answered where it is a check; how many there were. */
static unsigned answer_checks(unsigned i)
{
    struct fake_datagram d;
    unsigned n = 0;
    while (fake_take_datagram(r.loop, apps[i], &d)) {
        struct sip_fault fault = {0};
        assert_true(d.bytes.len < sizeof(got.text));
        memcpy(got.text, d.bytes.ptr, d.bytes.len);
        assert_int_equal(sip_msg_parse(&got.msg, got.text, d.bytes.len, false, got.hdrs,
                                       SIP_HDRS_MAX, &sip_limits_default, &fault),
                         0);
        if (!got.msg.is_request || got.msg.method != SIP_OPTIONS)
            continue;
        n++;
        if ((is_silent >> i & 1) == 0)
            answer_udp(&r, apps[i], &got, 200, "");
    }
    return n;
}

/* Time goes on; how many checks each member has got. */
static void live(uint64_t ms, unsigned *n)
{
    for (unsigned i = 0; i < MEMBERS; i++)
        n[i] = 0;
    for (uint64_t end = now_ms(&r) + ms; now_ms(&r) < end; fake_advance(r.loop, 10))
        for (unsigned i = 0; i < MEMBERS; i++)
            n[i] += answer_checks(i);
}

/* Calls, each refused by the member that it comes to; how many each has got. */
static void calls(unsigned count, unsigned *n)
{
    static unsigned number;
    for (unsigned i = 0; i < MEMBERS; i++)
        n[i] = 0;
    for (unsigned k = 0; k < count; k++) {
        char branch[16];
        struct fake_datagram d;
        snprintf(branch, sizeof(branch), "c%u", ++number);
        struct say what = {.branch = branch, .call_id = branch};
        drop_all(&r);
        say_udp(&r, CALLER, &what);
        for (unsigned i = 0; i < MEMBERS; i++) {
            if (!fake_take_datagram(r.loop, apps[i], &d))
                continue;
            n[i]++;
            struct sip_fault fault = {0};
            memcpy(call.text, d.bytes.ptr, d.bytes.len);
            assert_int_equal(sip_msg_parse(&call.msg, call.text, d.bytes.len, false, call.hdrs,
                                           SIP_HDRS_MAX, &sip_limits_default, &fault),
                             0);
            answer_udp(&r, apps[i], &call, 486, "");
        }
        rig_expect_status(&r, CALLER, 486, &res);
        what.to = "<sip:1001@10.0.0.1>;tag=x";
        ack_udp(&r, CALLER, &what);
    }
    drop_all(&r);
}

static void open_group(const char *options)
{
    is_silent = 0;
    open_checked(&r, options);
}

/* All are asked at once, then each interval, each at a place of its own. */
static void test_spread(void **state)
{
    (void)state;
    unsigned n[MEMBERS];
    open_group(GROUP(""));
    for (unsigned i = 0; i < MEMBERS; i++)
        assert_int_equal(answer_checks(i), 1);
    assert_int_equal(group_state(), GROUP_UP);
    live(5000, n);
    for (unsigned k = 0; k < 100; k++) {
        unsigned at_once = 0;
        for (unsigned i = 0; i < MEMBERS; i++)
            at_once += answer_checks(i);
        assert_true(at_once <= 1);
        fake_advance(r.loop, 50);
    }
    live(50000, n);
    for (unsigned i = 0; i < MEMBERS; i++)
        assert_in_range(n[i], 9, 11);
    close_checked(&r);
}

static void test_out_and_in(void **state)
{
    (void)state;
    unsigned n[MEMBERS];
    open_group(GROUP(""));
    live(1000, n);
    calls(9, n);
    assert_true(n[0] == 3 && n[1] == 3 && n[2] == 3);
    is_silent = 1u << 1;
    live(10500, n);
    assert_int_equal(member_state(1), GROUP_DOWN);
    assert_int_equal(group_state(), GROUP_UP);
    calls(8, n);
    assert_true(n[0] == 4 && n[1] == 0 && n[2] == 4);
    is_silent = 0;
    live(2100, n); /* asked each oos-force */
    assert_true(n[1] >= 1);
    assert_int_equal(member_state(1), GROUP_UP);
    calls(9, n);
    assert_true(n[0] == 3 && n[1] == 3 && n[2] == 3);
    assert_int_equal(rig_counter(&r, CTR_APP_DOWN), 0);
    close_checked(&r);
}

static void test_all_down(void **state)
{
    (void)state;
    unsigned n[MEMBERS];
    struct say what = {.branch = "d1", .call_id = "d1"};
    open_group(GROUP(""));
    is_silent = 7;
    live(2100, n); /* never heard of: oos-force is enough */
    assert_int_equal(group_state(), GROUP_DOWN);
    assert_int_equal(rig_counter(&r, CTR_APP_DOWN), 1);
    drop_all(&r);
    say_udp(&r, CALLER, &what);
    rig_expect_status(&r, CALLER, 503, &res);
    unsigned wait = (unsigned)strtoul(rig_value(&res, SIP_H_RETRY_AFTER, 0), NULL, 10);
    assert_in_range(wait, 2, 10);
    what.to = "<sip:1001@10.0.0.1>;tag=x";
    ack_udp(&r, CALLER, &what);
    is_silent = 3;
    live(2100, n);
    assert_int_equal(group_state(), GROUP_UP);
    assert_int_equal(rig_counter(&r, CTR_APP_BACK), 1);
    calls(3, n);
    assert_true(n[0] == 0 && n[1] == 0 && n[2] == 3);
    close_checked(&r);
}

/* A connection that ends, and cannot be had again: out at once. */
static void test_killed(void **state)
{
    (void)state;
    open_group(GROUP(";transport=tcp"));
    for (unsigned i = 0; i < MEMBERS; i++) {
        struct fake_conn *conn = wait_opened(&r, apps[i], 0, 100);
        wait_check_tcp(&r, conn, 0, &got);
        answer_tcp(conn, &got, 200, "");
    }
    fake_advance(r.loop, 600);
    fake_set_peer(r.loop, apps[2], FAKE_REFUSE);
    fake_reset(fake_opened(r.loop, apps[2], 0));
    fake_advance(r.loop, 10);
    assert_int_equal(member_state(2), GROUP_DOWN);
    assert_int_equal(member_state(0), GROUP_UP);
    /* Back as soon as it listens again, however long it has refused. */
    fake_advance(r.loop, 60000);
    fake_set_peer(r.loop, apps[2], FAKE_ACCEPT);
    struct fake_conn *conn = wait_opened(&r, apps[2], 1, 2100);
    wait_check_tcp(&r, conn, 0, &got);
    answer_tcp(conn, &got, 200, "");
    assert_int_equal(member_state(2), GROUP_UP);
    close_checked(&r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_spread),
        cmocka_unit_test(test_out_and_in),
        cmocka_unit_test(test_all_down),
        cmocka_unit_test(test_killed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
