/* SPDX-License-Identifier: Apache-2.0 */
/* CANCEL in every state of the call. RFC 3261 9.1, 9.2, 16.10. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

#include "calls.h"

static struct rig r;
static struct got got, inv, two;
static const struct say call = {.uri = "sip:bob@10.0.0.3"};

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

static void invite(void)
{
    say_udp(&r, CALLER, &call);
    rig_expect_method(&r, PHONE, "INVITE", &inv);
}

static void cancel_is_ok(void)
{
    cancel_udp(&r, CALLER, &call);
    rig_expect_status(&r, CALLER, 200, &got);
    assert_int_equal(got.msg.cseq_method, SIP_CANCEL);
}

static void while_it_rings(void **state)
{
    (void)state;
    invite();
    answer_udp(&r, PHONE, &inv, 180, "");
    rig_expect_status(&r, CALLER, 180, &got);
    cancel_is_ok();
    rig_expect_method(&r, PHONE, "CANCEL", &got);
    /* 9.1: the INVITE's own Via, and nothing of the caller's. */
    assert_int_equal(rig_count(&got, SIP_H_VIA), 1);
    char via[256];
    snprintf(via, sizeof(via), "%s", rig_value(&inv, SIP_H_VIA, 0));
    assert_string_equal(rig_value(&got, SIP_H_VIA, 0), via);
    assert_string_equal(rig_uri(&got), "sip:bob@10.0.0.3");
    rig_expect_none(&r, CALLER);
    answer_udp(&r, PHONE, &got, 200, "");
    answer_udp(&r, PHONE, &inv, 487, "");
    rig_expect_method(&r, PHONE, "ACK", &got);
    rig_expect_status(&r, CALLER, 487, &got);
    rig_expect_none(&r, NULL);
}

/* 9.1: no CANCEL before the phone has answered something. */
static void before_any_response(void **state)
{
    (void)state;
    invite();
    cancel_is_ok();
    fake_advance(r.loop, 200);
    rig_expect_status(&r, CALLER, 100, &got);
    rig_expect_none(&r, NULL);
    answer_udp(&r, PHONE, &inv, 100, "");
    rig_expect_method(&r, PHONE, "CANCEL", &got);
    answer_udp(&r, PHONE, &got, 200, "");
    answer_udp(&r, PHONE, &inv, 487, "");
    rig_expect_method(&r, PHONE, "ACK", &got);
    rig_expect_status(&r, CALLER, 487, &got);
}

/* Nobody is there: when Timer B ends, so does the call. */
static void phone_is_silent(void **state)
{
    (void)state;
    invite();
    cancel_is_ok();
    fake_advance(r.loop, 31999);
    rig_expect_status(&r, CALLER, 100, &got);
    rig_expect_none(&r, CALLER);
    fake_advance(r.loop, 1);
    rig_expect_status(&r, CALLER, 487, &got);
    assert_null(strstr(got.text, "Reason:"));
}

static void while_the_name_is_looked_up(void **state)
{
    (void)state;
    fake_set_host(r.loop, "phone.invalid", "10.0.0.3", 5000);
    struct say w = {.uri = "sip:bob@phone.invalid"};
    say_udp(&r, CALLER, &w);
    cancel_udp(&r, CALLER, &w);
    rig_expect_status(&r, CALLER, 200, &got);
    rig_expect_status(&r, CALLER, 487, &got);
    ack_udp(&r, CALLER, &w);
    assert_int_equal(fake_queries(r.loop), 0);
    fake_advance(r.loop, 6000);
    rig_expect_none(&r, NULL);
}

/* 9.2: it has no effect any more, and is a 200 nevertheless. */
static void after_the_answer(void **state)
{
    (void)state;
    invite();
    answer_udp(&r, PHONE, &inv, 200, "");
    rig_expect_status(&r, CALLER, 200, &got);
    cancel_is_ok();
    rig_expect_none(&r, NULL);
    fake_advance(r.loop, 1000); /* and when only the transactions are left */
    struct say again = call;
    again.method = "CANCEL";
    rig_expect_none(&r, NULL);
    say_udp(&r, CALLER, &again);
    rig_expect_status(&r, CALLER, 200, &got); /* the same CANCEL, repeated */
    rig_expect_none(&r, NULL);
}

static void first_cancel_long_after_the_answer(void **state)
{
    (void)state;
    invite();
    answer_udp(&r, PHONE, &inv, 200, "");
    rig_expect_status(&r, CALLER, 200, &got);
    fake_advance(r.loop, 1000);
    cancel_is_ok();
    rig_expect_none(&r, NULL);
}

static void after_a_failure(void **state)
{
    (void)state;
    invite();
    answer_udp(&r, PHONE, &inv, 486, "");
    rig_expect_method(&r, PHONE, "ACK", &got);
    rig_expect_status(&r, CALLER, 486, &got);
    cancel_is_ok();
    rig_expect_none(&r, PHONE);
}

/* 9.2: nothing it could name. */
static void of_nothing(void **state)
{
    (void)state;
    cancel_udp(&r, CALLER, &call);
    rig_expect_status(&r, CALLER, 481, &got);
    rig_expect_none(&r, NULL);
}

/* 9.2, 16.10: what is no INVITE is not ended by it, and it is a 200 nevertheless. */
static void of_another_method(void **state)
{
    (void)state;
    struct say w = {.uri = "sip:bob@10.0.0.3", .method = "MESSAGE"};
    say_udp(&r, CALLER, &w);
    rig_expect_method(&r, PHONE, "MESSAGE", &two);
    w.method = "CANCEL";
    say_udp(&r, CALLER, &w);
    rig_expect_status(&r, CALLER, 200, &got);
    assert_int_equal(got.msg.cseq_method, SIP_CANCEL);
    rig_expect_none(&r, NULL);
    answer_udp(&r, PHONE, &two, 202, "");
    rig_expect_status(&r, CALLER, 202, &got);
    assert_int_equal(got.msg.cseq_method, SIP_MESSAGE);
}

/* The phone answers while the CANCEL is on its way: the call stands, its 2xx goes upstream. */
static void answer_crosses_the_cancel(void **state)
{
    (void)state;
    invite();
    answer_udp(&r, PHONE, &inv, 180, "");
    rig_expect_status(&r, CALLER, 180, &got);
    cancel_is_ok();
    rig_expect_method(&r, PHONE, "CANCEL", &two);
    answer_udp(&r, PHONE, &inv, 200, "");
    rig_expect_status(&r, CALLER, 200, &got);
    answer_udp(&r, PHONE, &two, 481, "");
    fake_advance(r.loop, 1000);
    rig_expect_none(&r, NULL);
}

/* 16.10: each branch of a fork, whatever its state; and no further ones. */
static void every_branch(void **state)
{
    (void)state;
    rig_close(&r);
    rig_open(&r, OPEN "fork = q\n");
    register_udp(&r, "1001", PHONE, ";q=0.8");
    register_udp(&r, "1001", OTHER, ";q=0.8");
    register_udp(&r, "1001", THIRD, ";q=0.1");
    struct say w = {.branch = "f"};
    say_udp(&r, CALLER, &w);
    rig_expect_method(&r, PHONE, "INVITE", &inv);
    rig_expect_method(&r, OTHER, "INVITE", &two);
    answer_udp(&r, PHONE, &inv, 180, "");
    rig_expect_status(&r, CALLER, 180, &got);
    cancel_udp(&r, CALLER, &w);
    rig_expect_status(&r, CALLER, 200, &got);
    rig_expect_method(&r, PHONE, "CANCEL", &got);
    rig_expect_none(&r, OTHER);
    answer_udp(&r, PHONE, &got, 200, "");
    answer_udp(&r, PHONE, &inv, 487, "");
    rig_expect_method(&r, PHONE, "ACK", &got);
    answer_udp(&r, OTHER, &two, 180, "");
    rig_expect_method(&r, OTHER, "CANCEL", &got);
    rig_expect_status(&r, CALLER, 180, &got);
    answer_udp(&r, OTHER, &got, 200, "");
    answer_udp(&r, OTHER, &two, 487, "");
    rig_expect_method(&r, OTHER, "ACK", &got);
    rig_expect_status(&r, CALLER, 487, &got);
    rig_expect_none(&r, NULL);
}

/* A better response than ours has come from elsewhere. */
static void best_response_after_a_cancel(void **state)
{
    (void)state;
    invite();
    answer_udp(&r, PHONE, &inv, 180, "");
    rig_expect_status(&r, CALLER, 180, &got);
    cancel_is_ok();
    rig_expect_method(&r, PHONE, "CANCEL", &got);
    answer_udp(&r, PHONE, &got, 200, "");
    answer_udp(&r, PHONE, &inv, 486, "");
    rig_expect_method(&r, PHONE, "ACK", &got);
    rig_expect_status(&r, CALLER, 486, &got);
}

/* After a CANCEL a large INVITE that could not go by TCP is not sent again by UDP. */
static void no_fallback_after_a_cancel(void **state)
{
    (void)state;
    static char body[2001];
    memset(body, 'x', sizeof(body) - 1);
    fake_set_peer(r.loop, PHONE, FAKE_BLACKHOLE);
    struct say w = {.uri = "sip:bob@10.0.0.3", .body = body};
    say_udp(&r, CALLER, &w);
    cancel_udp(&r, CALLER, &w);
    rig_expect_status(&r, CALLER, 200, &got);
    fake_advance(r.loop, 3000);
    rig_expect_status(&r, CALLER, 100, &got);
    rig_expect_status(&r, CALLER, 487, &got);
    rig_expect_none(&r, PHONE);
}

#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(while_it_rings),
        T(before_any_response),
        T(phone_is_silent),
        T(while_the_name_is_looked_up),
        T(after_the_answer),
        T(first_cancel_long_after_the_answer),
        T(after_a_failure),
        T(of_nothing),
        T(of_another_method),
        T(answer_crosses_the_cancel),
        T(every_branch),
        T(best_response_after_a_cancel),
        T(no_fallback_after_a_cancel),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
