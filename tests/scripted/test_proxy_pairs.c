/* SPDX-License-Identifier: Apache-2.0 */
/* Switchover in mid-transaction: what is under way towards the member of a pair that has lost its
 * role is replayed to the one that has it, and the caller sees one call. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

#include "calls.h"

#define APP_A "10.0.1.1:5060"
#define APP_B "10.0.1.2:5060"
/* Without checks: who is active is said by the script. */
#define WATCHED                                                                        \
    "relay-from = 10.0.0.0/24\nregistrar-open-to = 10.0.0.0/24\napplications = main\n" \
    "serving-sipserver = main\n[application main]\nprimary = sip:10.0.1.1\n"           \
    "backup = sip:10.0.1.2\n"
#define PAIR(more) WATCHED "oos-check = 0\n" more

static struct rig r;
static struct got got, one, two, ok;
static const struct say call = {.method = "INVITE"};

static int setup(void **state)
{
    (void)state;
    rig_open(&r, PAIR(""));
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    rig_close(&r);
    return 0;
}

static unsigned drain(const char *to)
{
    struct fake_datagram d;
    unsigned n = 0;
    while (fake_take_datagram(r.loop, to, &d))
        n++;
    return n;
}

/* The other member is the active one. */
static void switch_over(void)
{
    assert_int_equal(group_switch(r.shared.groups, SLICE("main"), UINT32_MAX, net_now(r.loop)), 0);
    fake_run(r.loop);
}

static bool has_same_branch(const struct got *a, const struct got *b)
{
    return slice_eq(a->msg.via.branch, b->msg.via.branch);
}

/* `two` is `one` over again, for the other member. */
static void is_copy(void)
{
    char text[512];
    static const enum sip_hdr_id ids[] = {SIP_H_FROM, SIP_H_TO, SIP_H_CALL_ID, SIP_H_CSEQ,
                                          SIP_H_CONTACT};
    assert_false(has_same_branch(&one, &two));
    snprintf(text, sizeof(text), "%s", rig_uri(&one));
    assert_string_equal(rig_uri(&two), text);
    for (unsigned i = 0; i < sizeof(ids) / sizeof(ids[0]); i++) {
        snprintf(text, sizeof(text), "%s", rig_value(&one, ids[i], 0));
        assert_string_equal(rig_value(&two, ids[i], 0), text);
    }
}

/* An INVITE to A, answered by `status` (0: not), then B takes over and gets it too. */
static void replayed(const struct say *what, unsigned status)
{
    say_udp(&r, CALLER, what);
    rig_expect(&r, APP_A, &one);
    if (status != 0)
        answer_udp(&r, APP_A, &one, status, "Contact: <sip:b@10.0.1.1>\n");
    if (status > 100)
        rig_expect_status(&r, CALLER, status, &got);
    rig_expect_none(&r, APP_B);
    switch_over();
    rig_expect(&r, APP_B, &two);
    is_copy();
    assert_int_equal(rig_counter(&r, CTR_APP_REPLAYED), 1);
}

/* A has been cancelled, and says so. */
static void first_is_cancelled(void)
{
    rig_expect_method(&r, APP_A, "CANCEL", &got);
    assert_true(has_same_branch(&got, &one));
    answer_udp(&r, APP_A, &got, 200, "");
    answer_udp(&r, APP_A, &one, 487, "");
    rig_expect_method(&r, APP_A, "ACK", &got);
}

static void second_answers(void)
{
    answer_udp(&r, APP_B, &two, 200, "Contact: <sip:b@10.0.1.2>\n");
    rig_expect_status(&r, CALLER, 200, &ok);
    assert_non_null(strstr(ok.text, "tag=t10.0.1.2"));
    ok.msg.base = ok.text;
    ok.msg.hdrs = ok.hdrs;
}

/* --- an INVITE -------------------------------------------------------------------------------- */

static void before_any_response(void **state)
{
    (void)state;
    replayed(&call, 0);
    assert_int_equal(rig_heard(EV_REQUEST_REPLAYED), 1);
    fake_advance(r.loop, 20000);
    rig_expect_none(&r, APP_A); /* it is not sent there again */
    drain(CALLER);
    drain(APP_B);
    answer_udp(&r, APP_B, &two, 180, "");
    rig_expect_status(&r, CALLER, 180, &got);
    second_answers();
    rig_expect_none(&r, NULL);
    assert_int_equal(rig_calls(&r), 1);
}

static void after_trying(void **state)
{
    (void)state;
    replayed(&call, 100);
    first_is_cancelled();
    second_answers();
    rig_expect_none(&r, NULL);
}

static void while_it_rings(void **state)
{
    (void)state;
    replayed(&call, 180);
    first_is_cancelled();
    answer_udp(&r, APP_B, &two, 180, "");
    rig_expect_status(&r, CALLER, 180, &got);
    second_answers();
    rig_expect_none(&r, NULL);
}

/* The CANCEL meets nobody. */
static void dead_member_gets_its_cancel_for_nothing(void **state)
{
    (void)state;
    replayed(&call, 180);
    rig_expect_method(&r, APP_A, "CANCEL", &got);
    second_answers();
    fake_advance(r.loop, 70000);
    assert_true(drain(APP_A) > 3); /* Timer E of the CANCEL */
    rig_expect_none(&r, CALLER);
}

/* A has come to itself and shows its first response after the switchover. */
static void late_provisional_of_the_first(void **state)
{
    (void)state;
    replayed(&call, 0);
    answer_udp(&r, APP_A, &one, 180, "");
    first_is_cancelled();
    rig_expect_none(&r, CALLER);
    second_answers();
    rig_expect_none(&r, NULL);
}

static void late_failure_of_the_first(void **state)
{
    (void)state;
    replayed(&call, 0);
    answer_udp(&r, APP_A, &one, 603, "");
    rig_expect_method(&r, APP_A, "ACK", &got);
    rig_expect_none(&r, NULL);
    second_answers();
}

/* The 2xx has crossed the switchover: B is ended. */
static void first_answers_before_the_second(void **state)
{
    (void)state;
    replayed(&call, 180);
    rig_expect_method(&r, APP_A, "CANCEL", &got);
    answer_udp(&r, APP_B, &two, 100, "");
    answer_udp(&r, APP_A, &one, 200, "Contact: <sip:b@10.0.1.1>\n");
    answer_udp(&r, APP_A, &got, 481, "");
    rig_expect_status(&r, CALLER, 200, &got);
    assert_non_null(strstr(got.text, "tag=t10.0.1.1"));
    rig_expect_method(&r, APP_B, "CANCEL", &got);
    answer_udp(&r, APP_B, &got, 200, "");
    answer_udp(&r, APP_B, &two, 487, "");
    rig_expect_method(&r, APP_B, "ACK", &got);
    rig_expect_none(&r, NULL);
}

/* It has got the ACK that makes it take the BYE. */
static void ended_at_once(const char *who)
{
    rig_expect_method(&r, who, "ACK", &got);
    rig_expect_method(&r, who, "BYE", &got);
    assert_non_null(strstr(got.text, "Answered too late"));
    answer_udp(&r, who, &got, 200, "");
}

/* The caller has one call: the other one is ended by us. */
static void first_answers_after_the_second(void **state)
{
    (void)state;
    replayed(&call, 0);
    second_answers();
    answer_udp(&r, APP_A, &one, 200, "Contact: <sip:b@10.0.1.1>\n");
    ended_at_once(APP_A);
    rig_expect_none(&r, NULL);
    fake_advance(r.loop, 1000); /* only the transactions are left of it */
    answer_udp(&r, APP_A, &one, 200, "Contact: <sip:b@10.0.1.1>\n");
    ended_at_once(APP_A);
    rig_expect_none(&r, CALLER);
    /* The first one again is not the other one. */
    answer_udp(&r, APP_B, &two, 200, "Contact: <sip:b@10.0.1.2>\n");
    rig_expect_status(&r, CALLER, 200, &got);
    rig_expect_none(&r, NULL);
    assert_int_equal(rig_calls(&r), 1);
}

static void second_answers_after_the_first(void **state)
{
    (void)state;
    replayed(&call, 0);
    answer_udp(&r, APP_A, &one, 200, "Contact: <sip:b@10.0.1.1>\n");
    rig_expect_status(&r, CALLER, 200, &got);
    answer_udp(&r, APP_B, &two, 200, "Contact: <sip:b@10.0.1.2>\n");
    ended_at_once(APP_B);
    rig_expect_none(&r, NULL);
    assert_int_equal(rig_calls(&r), 1);
}

/* Both have led to the same answer: there is but one dialog. */
static void both_bring_the_same_answer(void **state)
{
    (void)state;
    replayed(&call, 0);
    second_answers();
    rig_udp(&r, APP_A, rig_response(&one, 200, "t10.0.1.2-5060", "Contact: <sip:b@10.0.1.2>\n"));
    rig_expect_status(&r, CALLER, 200, &got);
    rig_expect_none(&r, NULL);
    assert_int_equal(rig_calls(&r), 1);
}

/* A has sent the call on through us and is gone: what it has begun ends before B begins anew. */
static void leg_of_the_first_is_cancelled(void **state)
{
    (void)state;
    rig_reload(&r, PAIR("") "[dn 1001]\ncontact = sip:10.0.0.4\noos-check = 0\n");
    struct got leg;
    say_udp(&r, CALLER, &call);
    rig_expect_method(&r, APP_A, "INVITE", &one);
    say_udp(&r, APP_A, &(struct say){.sent_by = APP_A, .branch = "leg"});
    rig_expect_method(&r, OTHER, "INVITE", &leg);
    answer_udp(&r, OTHER, &leg, 180, "");
    rig_expect_status(&r, APP_A, 180, &got);
    switch_over();
    rig_expect_method(&r, OTHER, "CANCEL", &got);
    answer_udp(&r, OTHER, &got, 200, "");
    answer_udp(&r, OTHER, &leg, 487, "");
    rig_expect_method(&r, OTHER, "ACK", &got);
    rig_expect_method(&r, APP_B, "INVITE", &two);
    say_udp(&r, APP_B, &(struct say){.sent_by = APP_B, .branch = "leg2"});
    rig_expect_method(&r, OTHER, "INVITE", &leg);
    drain(NULL);
    fake_advance(r.loop, 300000);
    drain(NULL);
}

static void first_answers_after_the_end(void **state)
{
    (void)state;
    replayed(&call, 0);
    answer_udp(&r, APP_B, &two, 486, "");
    rig_expect_method(&r, APP_B, "ACK", &got);
    rig_expect_status(&r, CALLER, 486, &got);
    ack_udp(&r, CALLER, &call);
    answer_udp(&r, APP_A, &one, 200, "Contact: <sip:b@10.0.1.1>\n");
    rig_expect_method(&r, APP_A, "ACK", &got);
    rig_expect_method(&r, APP_A, "BYE", &got);
    assert_non_null(strstr(got.text, "Answered too late"));
    answer_udp(&r, APP_A, &got, 200, "");
    drain(CALLER);
    fake_advance(r.loop, 40000);
    assert_int_equal(rig_calls(&r), 0);
}

static void caller_cancels_after_the_replay(void **state)
{
    (void)state;
    replayed(&call, 180);
    first_is_cancelled();
    cancel_udp(&r, CALLER, &call);
    rig_expect_status(&r, CALLER, 200, &got);
    rig_expect_none(&r, NULL); /* B has not said anything */
    answer_udp(&r, APP_B, &two, 100, "");
    rig_expect_method(&r, APP_B, "CANCEL", &got);
    answer_udp(&r, APP_B, &got, 200, "");
    answer_udp(&r, APP_B, &two, 487, "");
    rig_expect_method(&r, APP_B, "ACK", &got);
    rig_expect_status(&r, CALLER, 487, &got);
    ack_udp(&r, CALLER, &call);
    rig_expect_none(&r, NULL);
    assert_int_equal(rig_calls(&r), 0);
}

/* What has been cancelled is not begun anew. */
static void caller_cancels_before_the_replay(void **state)
{
    (void)state;
    say_udp(&r, CALLER, &call);
    rig_expect_method(&r, APP_A, "INVITE", &one);
    cancel_udp(&r, CALLER, &call);
    rig_expect_status(&r, CALLER, 200, &got);
    rig_expect_none(&r, CALLER);
    switch_over();
    rig_expect_none(&r, APP_B);
    rig_expect_status(&r, CALLER, 487, &got);
    ack_udp(&r, CALLER, &call);
    fake_advance(r.loop, 1000);
    rig_expect_none(&r, NULL);
}

/* A is gone, and cannot take back what it has sent on: the phone does not ring for nobody. */
static void leg_of_a_cancelled_call_is_cancelled(void **state)
{
    struct got leg;
    (void)state;
    rig_reload(&r, PAIR("") "[dn 1001]\ncontact = sip:10.0.0.4\noos-check = 0\n");
    say_udp(&r, CALLER, &call);
    rig_expect_method(&r, APP_A, "INVITE", &one);
    say_udp(&r, APP_A, &(struct say){.sent_by = APP_A, .branch = "leg"});
    rig_expect_method(&r, OTHER, "INVITE", &leg);
    answer_udp(&r, OTHER, &leg, 180, "");
    cancel_udp(&r, CALLER, &call);
    rig_expect_status(&r, CALLER, 200, &got);
    rig_expect_none(&r, OTHER);
    switch_over();
    rig_expect_status(&r, CALLER, 487, &got);
    ack_udp(&r, CALLER, &call);
    rig_expect_method(&r, OTHER, "CANCEL", &got);
    answer_udp(&r, OTHER, &got, 200, "");
    answer_udp(&r, OTHER, &leg, 487, "");
    rig_expect_method(&r, OTHER, "ACK", &got);
    drain(APP_A);
}

/* There and back again: each time one more copy, and one call. */
static void twice(void **state)
{
    (void)state;
    replayed(&call, 0);
    switch_over();
    struct got three;
    rig_expect_method(&r, APP_A, "INVITE", &three);
    assert_false(has_same_branch(&three, &one));
    assert_int_equal(rig_counter(&r, CTR_APP_REPLAYED), 2);
    answer_udp(&r, APP_A, &three, 200, "");
    rig_expect_status(&r, CALLER, 200, &got);
    answer_udp(&r, APP_B, &two, 100, "");
    rig_expect_method(&r, APP_B, "CANCEL", &got);
    answer_udp(&r, APP_B, &got, 200, "");
    answer_udp(&r, APP_B, &two, 487, "");
    rig_expect_method(&r, APP_B, "ACK", &got);
    rig_expect_none(&r, CALLER);
}

/* Switchovers without end are not followed without end. */
static void ten_times(void **state)
{
    (void)state;
    say_udp(&r, CALLER, &call);
    for (unsigned i = 0; i < 10; i++)
        switch_over();
    assert_int_equal(rig_counter(&r, CTR_APP_REPLAYED), 8);
    drain(NULL);
}

/* What has its final response is over. */
static void not_after_the_answer(void **state)
{
    (void)state;
    say_udp(&r, CALLER, &call);
    rig_expect_method(&r, APP_A, "INVITE", &one);
    answer_udp(&r, APP_A, &one, 200, "Contact: <sip:b@10.0.1.1>\n");
    rig_expect_status(&r, CALLER, 200, &got);
    switch_over();
    rig_expect_none(&r, NULL);
    assert_int_equal(rig_counter(&r, CTR_APP_REPLAYED), 0);
}

/* The switchover is seen by a request from the other member. */
static void request_of_the_other_member(void **state)
{
    (void)state;
    say_udp(&r, CALLER, &call);
    rig_expect_method(&r, APP_A, "INVITE", &one);
    /* A check by the one in reserve says nothing. */
    say_udp(&r, APP_B,
            &(struct say){.method = "OPTIONS",
                          .uri = "sip:10.0.0.1",
                          .branch = "o1",
                          .sent_by = APP_B,
                          .call_id = "o1"});
    rig_expect_status(&r, APP_B, 200, &got);
    say_udp(&r, APP_B,
            &(struct say){.method = "MESSAGE",
                          .uri = "sip:x@10.0.0.4",
                          .branch = "o2",
                          .sent_by = APP_B,
                          .call_id = "o2"});
    rig_expect_method(&r, OTHER, "MESSAGE", &got);
    rig_expect_method(&r, APP_B, "INVITE", &two);
    is_copy();
    second_answers();
    drain(OTHER);
}

/* Timer C has ended it, and the member that should say so has lost its role, or its application has
 * gone: the caller has cancelled nothing. */
static void timer_c_before_the_switchover(void **state)
{
    (void)state;
    rig_reload(&r, PAIR("[sipproxy]\ntimer-c = 10\n"));
    say_udp(&r, CALLER, &call);
    rig_expect(&r, APP_A, &one);
    answer_udp(&r, APP_A, &one, 180, "");
    rig_expect_status(&r, CALLER, 180, &got);
    fake_advance(r.loop, 10000);
    rig_expect_method(&r, APP_A, "CANCEL", &got);
    switch_over();
    rig_expect_none(&r, APP_B);
    rig_expect_status(&r, CALLER, 408, &got);
    ack_udp(&r, CALLER, &call);
}

/* --- inside a dialog -------------------------------------------------------------------------- */

/* A call through A, established; then nothing of it is under way. */
static void establish(void)
{
    say_udp(&r, CALLER, &call);
    rig_expect_method(&r, APP_A, "INVITE", &one);
    answer_udp(&r, APP_A, &one, 200, "Contact: <sip:b@10.0.1.1>\n");
    rig_expect_status(&r, CALLER, 200, &ok);
}

static struct say in_dialog(const char *method)
{
    static char routes[1024];
    snprintf(routes, sizeof(routes), "%s", route_set(&ok, true));
    return (struct say){.method = method,
                        .uri = "sip:b@10.0.1.1",
                        .branch = method,
                        .to = "<sip:1001@10.0.0.1>;tag=t10.0.1.1-5060",
                        .cseq = 2,
                        .extra = routes};
}

/* What is seen first of the new one may be a request inside a dialog. */
static void bye_of_the_other_member(void **state)
{
    (void)state;
    say_udp(&r, CALLER, &call);
    rig_expect_method(&r, APP_A, "INVITE", &one);
    say_udp(&r, APP_B,
            &(struct say){.method = "BYE",
                          .uri = "sip:x@10.0.0.4",
                          .branch = "o3",
                          .sent_by = APP_B,
                          .call_id = "o3",
                          .to = "<sip:x@10.0.0.4>;tag=x"});
    rig_expect_method(&r, OTHER, "BYE", &got);
    rig_expect_method(&r, APP_B, "INVITE", &two);
    second_answers();
    drain(OTHER);
}

static void goes_to_the_active_member(void **state)
{
    (void)state;
    establish();
    switch_over();
    struct say w = in_dialog("ACK");
    w.cseq = 1;
    say_udp(&r, CALLER, &w);
    rig_expect_method(&r, APP_B, "ACK", &got);
    assert_string_equal(rig_uri(&got), "sip:b@10.0.1.1");
    w = in_dialog("BYE");
    say_udp(&r, CALLER, &w);
    rig_expect_method(&r, APP_B, "BYE", &got);
    answer_udp(&r, APP_B, &got, 200, "");
    rig_expect_status(&r, CALLER, 200, &got);
    assert_int_equal(rig_counter(&r, CTR_APP_REPLAYED), 0);
    assert_int_equal(rig_calls(&r), 0);
}

static void checked(const char *member)
{
    rig_expect_method(&r, member, "OPTIONS", &got);
    answer_udp(&r, member, &got, 200, "");
}

/* An ACK follows each switchover, but only as long as its callee may wait for it. */
static void held_ack_expires(void **state)
{
    (void)state;
    rig_reload(&r, WATCHED "oos-check = 60\n");
    checked(APP_A);
    establish();
    struct say w = in_dialog("ACK");
    w.cseq = 1;
    say_udp(&r, CALLER, &w);
    rig_expect_method(&r, APP_A, "ACK", &got);
    switch_over();
    checked(APP_B);
    rig_expect_method(&r, APP_B, "ACK", &got);
    fake_advance(r.loop, 8000);
    switch_over();
    checked(APP_A);
    rig_expect_method(&r, APP_A, "ACK", &got);
    fake_advance(r.loop, 8000);
    switch_over();
    checked(APP_B);
    rig_expect_none(&r, NULL);
    rig_reload(&r, PAIR(""));
}

/* The administrator ends a call whose member has lost its role: the one that has it is told. */
static void our_bye_goes_to_the_active_member(void **state)
{
    (void)state;
    establish();
    switch_over();
    assert_int_equal(proxy_release(worker_proxy(r.worker), SLICE("c1"), NULL), 1);
    net_wake(r.loop);
    fake_run(r.loop);
    rig_expect_method(&r, APP_B, "ACK", &got);
    rig_expect_method(&r, APP_B, "BYE", &got);
    assert_string_equal(rig_uri(&got), "sip:b@10.0.1.1");
    assert_non_null(strstr(got.text, "Released by administrator"));
    answer_udp(&r, APP_B, &got, 200, "");
    rig_expect_none(&r, APP_A);
    rig_expect_method(&r, CALLER, "BYE", &got);
    answer_udp(&r, CALLER, &got, 200, "");
    fake_advance(r.loop, 1000);
    rig_expect_none(&r, NULL);
    assert_int_equal(rig_calls(&r), 0);
}

/* It is not known yet that the member is lost. */
static void our_bye_follows_the_switchover(void **state)
{
    (void)state;
    rig_reload(&r, WATCHED "oos-check = 60\n");
    rig_expect_method(&r, APP_A, "OPTIONS", &got);
    answer_udp(&r, APP_A, &got, 200, "");
    establish();
    assert_int_equal(proxy_release(worker_proxy(r.worker), SLICE("c1"), NULL), 1);
    net_wake(r.loop);
    fake_run(r.loop);
    rig_expect_method(&r, CALLER, "BYE", &got);
    answer_udp(&r, CALLER, &got, 200, "");
    rig_expect_method(&r, APP_A, "ACK", &got);
    rig_expect_method(&r, APP_A, "BYE", &one);
    switch_over();
    rig_expect_method(&r, APP_B, "OPTIONS", &got);
    answer_udp(&r, APP_B, &got, 200, "");
    rig_expect_method(&r, APP_B, "BYE", &got);
    answer_udp(&r, APP_B, &got, 200, "");
    rig_reload(&r, PAIR(""));
    drain(NULL);
}

static void request_in_dialog(const char *method)
{
    establish();
    struct say w = in_dialog(method);
    say_udp(&r, CALLER, &w);
    rig_expect_method(&r, APP_A, method, &one);
    fake_advance(r.loop, 5000);
    drain(APP_A);
    drain(CALLER);
    switch_over();
    rig_expect_method(&r, APP_B, method, &two);
    is_copy();
    answer_udp(&r, APP_B, &two, 200, "Contact: <sip:b@10.0.1.2>\n");
    rig_expect_status(&r, CALLER, 200, &got);
    fake_advance(r.loop, 500);
    rig_expect_none(&r, NULL); /* not sent again to A */
}

static void bye_is_replayed(void **state)
{
    (void)state;
    request_in_dialog("BYE");
    assert_int_equal(rig_calls(&r), 0);
    /* A's own answer comes late. */
    answer_udp(&r, APP_A, &one, 481, "");
    rig_expect_none(&r, NULL);
}

static void reinvite_is_replayed(void **state)
{
    (void)state;
    request_in_dialog("INVITE");
    assert_int_equal(rig_calls(&r), 1);
    struct say w = in_dialog("ACK");
    say_udp(&r, CALLER, &w);
    rig_expect_method(&r, APP_B, "ACK", &got);
}

static void info_is_replayed(void **state)
{
    (void)state;
    request_in_dialog("INFO");
    assert_int_equal(rig_calls(&r), 1);
}

/* A's answer comes first after all: it is one. */
static void first_answers_what_is_no_invite(void **state)
{
    (void)state;
    establish();
    say_udp(&r, CALLER, &(struct say){0}); /* absorbed */
    struct say w = in_dialog("INFO");
    say_udp(&r, CALLER, &w);
    rig_expect_method(&r, APP_A, "INFO", &one);
    switch_over();
    rig_expect_method(&r, APP_B, "INFO", &two);
    answer_udp(&r, APP_A, &one, 200, "");
    drain(CALLER);
    answer_udp(&r, APP_B, &two, 200, "");
    rig_expect_none(&r, CALLER);
}

/* Its sender is about to give up: the copy would come too late. */
static void not_near_timer_f(void **state)
{
    (void)state;
    establish();
    struct say w = in_dialog("INFO");
    say_udp(&r, CALLER, &w);
    fake_advance(r.loop, 30001);
    switch_over();
    rig_expect_none(&r, APP_B);
    fake_advance(r.loop, 2000);
    drain(NULL);
    assert_int_equal(rig_calls(&r), 1);
}

/* And what is replayed late ends with the time of its sender. */
static void ends_with_timer_f(void **state)
{
    (void)state;
    establish();
    struct say w = in_dialog("INFO");
    say_udp(&r, CALLER, &w);
    fake_advance(r.loop, 29000);
    switch_over();
    rig_expect_method(&r, APP_B, "INFO", &two);
    fake_advance(r.loop, 3000);
    drain(NULL);
    fake_advance(r.loop, 60000);
    rig_expect_none(&r, NULL);
}

static void not_without_shared_dialogs(void **state)
{
    (void)state;
    rig_reload(&r, PAIR("") "shared-dialogs = false\n");
    establish();
    struct say w = in_dialog("INFO");
    say_udp(&r, CALLER, &w);
    rig_expect_method(&r, APP_A, "INFO", &one);
    switch_over();
    rig_expect_none(&r, APP_B);
    answer_udp(&r, APP_A, &one, 200, "");
    rig_expect_status(&r, CALLER, 200, &got);
    assert_int_equal(rig_counter(&r, CTR_APP_REPLAYED), 0);
}

#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(before_any_response),
        T(after_trying),
        T(while_it_rings),
        T(dead_member_gets_its_cancel_for_nothing),
        T(late_provisional_of_the_first),
        T(late_failure_of_the_first),
        T(first_answers_before_the_second),
        T(first_answers_after_the_second),
        T(second_answers_after_the_first),
        T(both_bring_the_same_answer),
        T(leg_of_the_first_is_cancelled),
        T(first_answers_after_the_end),
        T(caller_cancels_after_the_replay),
        T(caller_cancels_before_the_replay),
        T(leg_of_a_cancelled_call_is_cancelled),
        T(twice),
        T(ten_times),
        T(not_after_the_answer),
        T(timer_c_before_the_switchover),
        T(request_of_the_other_member),
        T(bye_of_the_other_member),
        T(goes_to_the_active_member),
        T(our_bye_goes_to_the_active_member),
        T(our_bye_follows_the_switchover),
        T(held_ack_expires),
        T(bye_is_replayed),
        T(reinvite_is_replayed),
        T(info_is_replayed),
        T(first_answers_what_is_no_invite),
        T(not_near_timer_f),
        T(ends_with_timer_f),
        T(not_without_shared_dialogs),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
