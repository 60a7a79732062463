/* SPDX-License-Identifier: Apache-2.0 */
/* What is counted of calls and requests: set-up delay, how INVITEs were answered, methods. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

#include "calls.h"

#define TO_PHONE .uri = "sip:bob@10.0.0.3:5060"

static struct rig r;
static struct got got, inv;

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

static void invite(const char *branch)
{
    say_udp(&r, CALLER, &(struct say){TO_PHONE, .branch = branch, .call_id = branch});
    rig_expect_method(&r, PHONE, "INVITE", &inv);
}

static uint64_t count(enum counter id)
{
    return rig_counter(&r, id);
}

/* In the buckets from `first` on, and in no smaller one. */
static void expect_setups(unsigned n, uint64_t ms, enum counter first)
{
    assert_int_equal(count(CTR_SETUP_COUNT), n);
    assert_int_equal(count(CTR_SETUP_MS), ms);
    for (enum counter id = CTR_SETUP_LE_50; id <= CTR_SETUP_LE_10000; id++)
        assert_int_equal(count(id), id >= first ? n : 0);
}

static void the_first_ringing_is_the_set_up(void **state)
{
    (void)state;
    invite("a1");
    fake_advance(r.loop, 300);
    rig_expect_status(&r, CALLER, 100, &got);
    expect_setups(0, 0, CTR_SETUP_LE_500);
    answer_udp(&r, PHONE, &inv, 100, "");
    expect_setups(0, 0, CTR_SETUP_LE_500);
    answer_udp(&r, PHONE, &inv, 180, "");
    rig_expect_status(&r, CALLER, 180, &got);
    expect_setups(1, 300, CTR_SETUP_LE_500);
    fake_advance(r.loop, 1000);
    answer_udp(&r, PHONE, &inv, 183, "");
    rig_expect_status(&r, CALLER, 183, &got);
    answer_udp(&r, PHONE, &inv, 200, "Contact: <sip:bob@10.0.0.3>\n");
    rig_expect_status(&r, CALLER, 200, &got);
    expect_setups(1, 300, CTR_SETUP_LE_500);
    assert_int_equal(count(CTR_INVITE_2XX), 1);
    /* The phone repeats its 2xx: still one transaction. */
    answer_udp(&r, PHONE, &inv, 200, "Contact: <sip:bob@10.0.0.3>\n");
    rig_expect_status(&r, CALLER, 200, &got);
    assert_int_equal(count(CTR_INVITE_2XX), 1);
}

static void answered_at_once(void **state)
{
    (void)state;
    invite("a1");
    fake_advance(r.loop, 50);
    answer_udp(&r, PHONE, &inv, 200, "Contact: <sip:bob@10.0.0.3>\n");
    rig_expect_status(&r, CALLER, 200, &got);
    expect_setups(1, 50, CTR_SETUP_LE_50);
    assert_int_equal(count(CTR_INVITE_2XX), 1);
}

static void longer_than_the_last_bucket(void **state)
{
    (void)state;
    invite("a1");
    answer_udp(&r, PHONE, &inv, 100, "");
    fake_advance(r.loop, 10001);
    answer_udp(&r, PHONE, &inv, 180, "");
    expect_setups(1, 10001, COUNTER_MAX);
    answer_udp(&r, PHONE, &inv, 487, "");
    expect_setups(1, 10001, COUNTER_MAX);
    assert_int_equal(count(CTR_INVITE_4XX), 1);
}

/* A failure is no set-up; each class has its counter, whoever made the answer. */
static void failures_by_class(void **state)
{
    static const struct {
        unsigned status;
        enum counter id;
    } cases[] = {
        {302, CTR_INVITE_3XX}, {486, CTR_INVITE_4XX}, {500, CTR_INVITE_5XX}, {603, CTR_INVITE_6XX}};
    (void)state;
    for (unsigned i = 0; i < 4; i++) {
        char branch[8];
        (void)snprintf(branch, sizeof(branch), "a%u", i);
        invite(branch);
        answer_udp(&r, PHONE, &inv, cases[i].status, "Contact: <sip:bob@10.0.0.9>\n");
        rig_expect_method(&r, PHONE, "ACK", &got);
        rig_expect_status(&r, CALLER, cases[i].status, &got);
        ack_udp(&r, CALLER, &(struct say){TO_PHONE, .branch = branch, .call_id = branch});
        for (unsigned k = 0; k < 4; k++)
            assert_int_equal(count(cases[k].id), k <= i);
    }
    say_udp(&r, CALLER, &(struct say){.uri = "sip:nobody@10.0.0.1", .branch = "b1"});
    rig_expect_status(&r, CALLER, 404, &got);
    assert_int_equal(count(CTR_INVITE_4XX), 2);
    expect_setups(0, 0, COUNTER_MAX);
    assert_int_equal(count(CTR_INVITE_2XX), 0);
}

/* Inside a dialog: a transaction, and no set-up. */
static void another_invite_of_the_same_call(void **state)
{
    (void)state;
    say_udp(&r, CALLER, &(struct say){TO_PHONE, .branch = "a1", .to = "<sip:b@x>;tag=b"});
    rig_expect_method(&r, PHONE, "INVITE", &inv);
    answer_udp(&r, PHONE, &inv, 180, "");
    answer_udp(&r, PHONE, &inv, 200, "Contact: <sip:bob@10.0.0.3>\n");
    expect_setups(0, 0, COUNTER_MAX);
    assert_int_equal(count(CTR_INVITE_2XX), 1);
}

static void requests_by_method(void **state)
{
    static const struct {
        const char *method;
        enum counter id;
    } cases[] = {
        {"INVITE", CTR_IN_INVITE}, {"ACK", CTR_IN_ACK},         {"BYE", CTR_IN_BYE},
        {"CANCEL", CTR_IN_CANCEL}, {"OPTIONS", CTR_IN_OPTIONS}, {"REGISTER", CTR_IN_REGISTER},
        {"MESSAGE", CTR_IN_OTHER}, {"SUBSCRIBE", CTR_IN_OTHER}, {"STRANGEST", CTR_IN_OTHER}};
    uint64_t all = 0;
    (void)state;
    for (unsigned i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        char branch[8];
        (void)snprintf(branch, sizeof(branch), "a%u", i);
        uint64_t before = count(cases[i].id);
        struct say what = {
            .uri = "sip:nobody@10.0.0.1", .method = cases[i].method, .branch = branch};
        say_udp(&r, CALLER, &what);
        assert_int_equal(count(cases[i].id), before + 1);
        say_udp(&r, CALLER, &what); /* retransmitted */
        assert_int_equal(count(cases[i].id), before + 2);
        all += 2;
        assert_int_equal(count(CTR_MSG_IN), all);
    }
    /* By TCP; what is no SIP; a response. */
    struct fake_conn *conn = fake_connect(r.loop, "10.0.0.2:40000", PROXY);
    say_tcp(conn, &(struct say){.uri = "sip:nobody@10.0.0.1",
                                .method = "OPTIONS",
                                .transport = "TCP",
                                .branch = "t1"});
    assert_int_equal(count(CTR_IN_OPTIONS), 3);
    rig_udp(&r, CALLER, "OPTIONS nonsense\n\n");
    assert_int_equal(count(CTR_IN_OPTIONS), 3);
    rig_udp(&r, CALLER,
            "SIP/2.0 200 OK\nVia: SIP/2.0/UDP 10.0.0.1;branch=z9hG4bKx\nFrom: <sip:a@b>;tag=1\n"
            "To: <sip:a@b>;tag=2\nCall-ID: x\nCSeq: 1 OPTIONS\n\n");
    assert_int_equal(count(CTR_IN_OPTIONS), 3);
    assert_int_equal(count(CTR_MSG_IN), all + 2);
}

/* By the administrator, who is no worker. */
static void out_of_service_by_hand(void **state)
{
    struct slice dn = SLICE("1001");
    (void)state;
    register_udp(&r, "1001", PHONE, "");
    assert_true(dn_set_out_of_service(r.shared.dir, dn, ERR_ADMIN, r.wall));
    fake_advance(r.loop, 2000);
    assert_int_equal(count(CTR_DN_OOS), 1);
    assert_int_equal(count(CTR_DN_BACK), 0);
    assert_true(dn_readmit(r.shared.dir, dn));
    fake_advance(r.loop, 2000);
    assert_int_equal(count(CTR_DN_OOS), 1);
    assert_int_equal(count(CTR_DN_BACK), 1);
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
    const struct CMUnitTest tests[] = {
        T(the_first_ringing_is_the_set_up), T(answered_at_once),
        T(longer_than_the_last_bucket),     T(failures_by_class),
        T(another_invite_of_the_same_call), T(requests_by_method),
        T(out_of_service_by_hand),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
