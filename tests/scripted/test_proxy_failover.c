/* SPDX-License-Identifier: Apache-2.0 */
/* A further way when one is of no use, and beside one that is silent. RFC 3263 4.3, RFC 3261 16.7
 * step 6, RFC 5393 5.3.3. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

#include "calls.h"

#define TWO "two.invalid"
#define BOB "sip:bob@two.invalid"

static struct rig r;
static struct got got, one, two;
static const struct say call = {.uri = BOB};

static int setup(void **state)
{
    (void)state;
    rig_open(&r, OPEN);
    fake_set_host(r.loop, TWO, "10.0.0.3,10.0.0.4", 0);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    rig_close(&r);
    return 0;
}

/* How many datagrams were sent to it, all taken; `got` is the last one. */
static unsigned drain(const char *to)
{
    struct fake_datagram d;
    unsigned n = 0;
    while (fake_take_datagram(r.loop, to, &d))
        n++;
    return n;
}

static bool has_same_branch(const struct got *a, const struct got *b)
{
    return slice_eq(a->msg.via.branch, b->msg.via.branch);
}

/* The first address is silent, and failover-time is over. */
static void pass_over(const struct say *what, const char *method)
{
    say_udp(&r, CALLER, what);
    rig_expect_method(&r, PHONE, method, &one);
    fake_advance(r.loop, 3999);
    rig_expect_none(&r, OTHER);
    fake_advance(r.loop, 1);
    rig_expect_method(&r, OTHER, method, &two);
    assert_false(has_same_branch(&one, &two));
    assert_int_equal(two.msg.cseq, one.msg.cseq);
    assert_int_equal(rig_counter(&r, CTR_FAILOVER), 1);
    drain(PHONE);
    drain(CALLER);
}

/* --- an INVITE -------------------------------------------------------------------------------- */

static void silent_address_is_passed_over(void **state)
{
    (void)state;
    pass_over(&call, "INVITE");
    answer_udp(&r, OTHER, &two, 180, "");
    rig_expect_status(&r, CALLER, 180, &got);
    fake_advance(r.loop, 20000);
    rig_expect_none(&r, PHONE); /* it is not sent again */
    /* It has woken up: what it begins is cancelled, and nobody hears of it. */
    answer_udp(&r, PHONE, &one, 180, "");
    rig_expect_method(&r, PHONE, "CANCEL", &got);
    answer_udp(&r, PHONE, &got, 200, "");
    answer_udp(&r, PHONE, &one, 487, "");
    rig_expect_method(&r, PHONE, "ACK", &got);
    rig_expect_none(&r, CALLER);
    answer_udp(&r, OTHER, &two, 200, "");
    rig_expect_status(&r, CALLER, 200, &got);
    rig_expect_none(&r, NULL);
    assert_int_equal(rig_counter(&r, CTR_FAILOVER), 1);
}

/* Whoever is heard first goes on: also the first one. */
static void slow_address_answers_first(void **state)
{
    (void)state;
    pass_over(&call, "INVITE");
    answer_udp(&r, PHONE, &one, 100, "");
    answer_udp(&r, PHONE, &one, 180, "");
    rig_expect_status(&r, CALLER, 180, &got);
    fake_advance(r.loop, 10000);
    rig_expect_none(&r, OTHER);
    answer_udp(&r, OTHER, &two, 100, "");
    rig_expect_method(&r, OTHER, "CANCEL", &got);
    answer_udp(&r, OTHER, &got, 200, "");
    answer_udp(&r, OTHER, &two, 487, "");
    rig_expect_method(&r, OTHER, "ACK", &got);
    answer_udp(&r, PHONE, &one, 200, "");
    rig_expect_status(&r, CALLER, 200, &got);
    rig_expect_none(&r, NULL);
}

/* 16.7 step 5: a 2xx is forwarded whatever has become of the others. */
static void late_success_before_the_other_one(void **state)
{
    (void)state;
    pass_over(&call, "INVITE");
    answer_udp(&r, OTHER, &two, 180, "");
    rig_expect_status(&r, CALLER, 180, &got);
    answer_udp(&r, PHONE, &one, 200, "Contact: <sip:b@10.0.0.3>\n");
    rig_expect_status(&r, CALLER, 200, &got);
    rig_expect_method(&r, OTHER, "CANCEL", &got);
    assert_non_null(strstr(got.text, "completed elsewhere"));
    answer_udp(&r, OTHER, &got, 200, "");
    answer_udp(&r, OTHER, &two, 487, "");
    rig_expect_method(&r, OTHER, "ACK", &got);
    rig_expect_none(&r, NULL);
}

/* The second one is a try of ours at the same target, and no fork: the caller has one call. */
static void second_is_ended(void)
{
    rig_expect_method(&r, PHONE, "ACK", &got);
    rig_expect_method(&r, PHONE, "BYE", &got);
    assert_non_null(strstr(got.text, "Answered too late"));
    answer_udp(&r, PHONE, &got, 200, "");
    rig_expect_none(&r, CALLER);
}

static void late_success_after_the_other_one(void **state)
{
    (void)state;
    pass_over(&call, "INVITE");
    answer_udp(&r, OTHER, &two, 200, "Contact: <sip:b@10.0.0.4>\n");
    rig_expect_status(&r, CALLER, 200, &got);
    for (unsigned i = 0; i < 2; i++) { /* it comes again when the ACK has been lost */
        answer_udp(&r, PHONE, &one, 200, "Contact: <sip:b@10.0.0.3>\n");
        second_is_ended();
    }
    /* That of the first one goes on as ever. */
    answer_udp(&r, OTHER, &two, 200, "Contact: <sip:b@10.0.0.4>\n");
    rig_expect_status(&r, CALLER, 200, &got);
    assert_non_null(strstr(got.text, "tag=t10.0.0.4"));
    rig_expect_none(&r, NULL);
    assert_int_equal(rig_calls(&r), 1);
}

/* Both tell of one dialog: nothing is ended. */
static void late_success_of_the_same_dialog(void **state)
{
    (void)state;
    pass_over(&call, "INVITE");
    rig_udp(&r, OTHER, rig_response(&two, 200, "same", "Contact: <sip:b@10.0.0.4>\n"));
    rig_expect_status(&r, CALLER, 200, &got);
    rig_udp(&r, PHONE, rig_response(&one, 200, "same", "Contact: <sip:b@10.0.0.4>\n"));
    rig_expect_status(&r, CALLER, 200, &got);
    rig_expect_none(&r, NULL);
}

/* One of the other target of a fork is a call of its own. */
static void late_success_of_a_fork(void **state)
{
    (void)state;
    const struct say w = {.uri = "sip:1001@10.0.0.1"};
    register_udp(&r, "1001", "10.0.0.6:5060", "");
    register_udp(&r, "1001", "10.0.0.7:5060", "");
    say_udp(&r, CALLER, &w);
    rig_expect_method(&r, "10.0.0.6:5060", "INVITE", &one);
    rig_expect_method(&r, "10.0.0.7:5060", "INVITE", &two);
    rig_udp(&r, "10.0.0.6:5060", rig_response(&one, 200, "t6", "Contact: <sip:b@10.0.0.6>\n"));
    rig_udp(&r, "10.0.0.7:5060", rig_response(&two, 200, "t7", "Contact: <sip:b@10.0.0.7>\n"));
    drain("10.0.0.7:5060");
    rig_expect_status(&r, CALLER, 200, &got);
    rig_expect_status(&r, CALLER, 200, &got);
    assert_int_equal(rig_calls(&r), 1);
}

/* The caller has been told the end: whoever answers now is ended by us. */
static void late_success_after_the_failure(void **state)
{
    (void)state;
    pass_over(&call, "INVITE");
    answer_udp(&r, OTHER, &two, 486, "");
    rig_expect_method(&r, OTHER, "ACK", &got);
    rig_expect_status(&r, CALLER, 486, &got);
    ack_udp(&r, CALLER, &call);
    answer_udp(&r, PHONE, &one, 200, "Contact: <sip:b@10.0.0.3>\n");
    rig_expect_method(&r, PHONE, "ACK", &got);
    rig_expect_method(&r, PHONE, "BYE", &got);
    assert_non_null(strstr(got.text, "Answered too late"));
    answer_udp(&r, PHONE, &got, 200, "");
    drain(CALLER); /* a BYE too, which it has no dialog for */
    fake_advance(r.loop, 40000);
    assert_int_equal(rig_calls(&r), 0);
}

/* The further one is of no use: the silent one is still waited for. */
static void further_address_is_of_no_use(void **state)
{
    (void)state;
    pass_over(&call, "INVITE");
    answer_udp(&r, OTHER, &two, 503, "");
    rig_expect_method(&r, OTHER, "ACK", &got);
    rig_expect_none(&r, CALLER);
    fake_advance(r.loop, 5000);
    assert_int_equal(drain(PHONE), 1); /* Timer A goes on */
    answer_udp(&r, PHONE, &one, 200, "");
    rig_expect_status(&r, CALLER, 200, &got);
    assert_int_equal(drain(OTHER), 0);
}

/* 8.2.2.2: both have led to the same place, which has it already. */
static void both_lead_to_the_same_place(void **state)
{
    (void)state;
    pass_over(&call, "INVITE");
    answer_udp(&r, OTHER, &two, 482, "");
    rig_expect_method(&r, OTHER, "ACK", &got);
    answer_udp(&r, PHONE, &one, 180, "");
    rig_expect_status(&r, CALLER, 180, &got);
    answer_udp(&r, PHONE, &one, 200, "");
    rig_expect_status(&r, CALLER, 200, &got);
    rig_expect_none(&r, NULL);
}

static void caller_cancels_after_failover(void **state)
{
    (void)state;
    pass_over(&call, "INVITE");
    answer_udp(&r, OTHER, &two, 180, "");
    rig_expect_status(&r, CALLER, 180, &got);
    cancel_udp(&r, CALLER, &call);
    rig_expect_status(&r, CALLER, 200, &got);
    rig_expect_method(&r, OTHER, "CANCEL", &got);
    answer_udp(&r, OTHER, &got, 200, "");
    answer_udp(&r, OTHER, &two, 487, "");
    rig_expect_method(&r, OTHER, "ACK", &got);
    rig_expect_status(&r, CALLER, 487, &got);
    ack_udp(&r, CALLER, &call);
    rig_expect_none(&r, NULL);
}

static void all_are_silent(void **state)
{
    (void)state;
    pass_over(&call, "INVITE");
    fake_advance(r.loop, 31999);
    rig_expect_none(&r, CALLER);
    fake_advance(r.loop, 1);
    rig_expect_status(&r, CALLER, 408, &got);
    ack_udp(&r, CALLER, &call);
}

/* 0: after Timer B. */
static void without_failover_time(void **state)
{
    (void)state;
    rig_reload(&r, OPEN "failover-time = 0\n");
    say_udp(&r, CALLER, &call);
    fake_advance(r.loop, 31999);
    rig_expect_none(&r, OTHER);
    fake_advance(r.loop, 1);
    rig_expect_method(&r, OTHER, "INVITE", &two);
    answer_udp(&r, OTHER, &two, 200, "");
    drain(PHONE);
    rig_expect_status(&r, CALLER, 100, &got);
    rig_expect_status(&r, CALLER, 200, &got);
}

/* Every way is silent: not for ever, whatever their number. 16.8. */
static void silent_ways_are_bounded(void **state)
{
    (void)state;
    rig_reload(&r, OPEN "failover-time = 0\n");
    fake_set_host(r.loop, TWO,
                  "10.0.1.1,10.0.1.2,10.0.1.3,10.0.1.4,10.0.1.5,10.0.1.6,10.0.1.7,10.0.1.8", 0);
    say_udp(&r, CALLER, &call);
    fake_advance(r.loop, 180000);
    rig_expect_status(&r, CALLER, 100, &got);
    rig_expect_none(&r, CALLER);
    assert_int_equal(drain("10.0.1.6:5060"), 6); /* at 160 s; Timer A so far */
    fake_advance(r.loop, 12000);
    rig_expect_status(&r, CALLER, 408, &got);
    ack_udp(&r, CALLER, &call);
    assert_int_equal(drain("10.0.1.7:5060"), 0);
    drain(NULL);
}

/* Time in which it rings does not count. */
static void ringing_takes_no_time(void **state)
{
    (void)state;
    rig_reload(&r, OPEN "failover-time = 0\n");
    say_udp(&r, CALLER, &call);
    rig_expect_method(&r, PHONE, "INVITE", &one);
    for (unsigned i = 0; i < 3; i++) {
        answer_udp(&r, PHONE, &one, 180, "");
        fake_advance(r.loop, 100000);
    }
    answer_udp(&r, PHONE, &one, 503, "");
    rig_expect_method(&r, OTHER, "INVITE", &two);
    answer_udp(&r, OTHER, &two, 486, "");
    drain(CALLER);
    ack_udp(&r, CALLER, &call);
    drain(NULL);
}

/* Only silence passes it over: who has said 100 is at work. */
static void heard_address_is_waited_for(void **state)
{
    (void)state;
    say_udp(&r, CALLER, &call);
    rig_expect_method(&r, PHONE, "INVITE", &one);
    answer_udp(&r, PHONE, &one, 100, "");
    fake_advance(r.loop, 60000);
    rig_expect_none(&r, OTHER);
    answer_udp(&r, PHONE, &one, 486, "");
    rig_expect_status(&r, CALLER, 100, &got);
    rig_expect_status(&r, CALLER, 486, &got);
    ack_udp(&r, CALLER, &call);
}

/* The same of connections: it accepts and acknowledges, and says nothing. */
static void silent_connection_is_passed_over(void **state)
{
    (void)state;
    say_udp(&r, CALLER, &(struct say){.uri = "sip:bob@two.invalid;transport=tcp"});
    struct fake_conn *first = fake_opened(r.loop, PHONE, 0);
    expect_tcp_method(first, "INVITE", &one);
    fake_advance(r.loop, 4000);
    struct fake_conn *second = fake_opened(r.loop, OTHER, 0);
    assert_non_null(second);
    expect_tcp_method(second, "INVITE", &two);
    answer_tcp(second, &two, 200, "");
    drain(CALLER);
    answer_tcp(first, &one, 183, "");
    expect_tcp_method(first, "CANCEL", &got);
    answer_tcp(first, &got, 200, "");
    answer_tcp(first, &one, 487, "");
    expect_tcp_method(first, "ACK", &got);
    rig_expect_none(&r, CALLER);
}

/* --- Max-Breadth: RFC 5393 -------------------------------------------------------------------- */

static void breadth_is_shared(void **state)
{
    (void)state;
    struct say w = {.uri = BOB, .extra = "Max-Breadth: 7\n"};
    pass_over(&w, "INVITE");
    assert_string_equal(rig_value(&one, SIP_H_MAX_BREADTH, 0), "4");
    assert_string_equal(rig_value(&two, SIP_H_MAX_BREADTH, 0), "3");
    answer_udp(&r, OTHER, &two, 200, "");
}

/* One at a time: the silent one is given up. */
static void breadth_of_one(void **state)
{
    (void)state;
    struct say w = {.uri = BOB, .extra = "Max-Breadth: 1\n"};
    pass_over(&w, "INVITE");
    fake_advance(r.loop, 10000);
    rig_expect_none(&r, PHONE);
    answer_udp(&r, PHONE, &one, 100, "");
    rig_expect_method(&r, PHONE, "CANCEL", &got);
    answer_udp(&r, PHONE, &got, 200, "");
    answer_udp(&r, PHONE, &one, 487, "");
    rig_expect_method(&r, PHONE, "ACK", &got);
    answer_udp(&r, OTHER, &two, 200, "");
    assert_int_equal(drain(CALLER), 1);
}

/* --- what is no INVITE ------------------------------------------------------------------------ */

static void other_request_goes_on_too(void **state)
{
    (void)state;
    struct say w = {.uri = BOB, .method = "MESSAGE"};
    pass_over(&w, "MESSAGE");
    answer_udp(&r, OTHER, &two, 200, "");
    rig_expect_status(&r, CALLER, 200, &got);
    answer_udp(&r, PHONE, &one, 480, "");
    fake_advance(r.loop, 30000);
    rig_expect_none(&r, NULL); /* neither that answer nor another copy */
}

/* Nothing is begun that its sender would not wait for, and what was begun ends with Timer F. */
static void timer_f_leaves_no_room(void **state)
{
    (void)state;
    rig_reload(&r, OPEN "failover-time = 15\n");
    fake_set_host(r.loop, TWO, "10.0.0.3,10.0.0.4,10.0.0.5", 0);
    say_udp(&r, CALLER, &(struct say){.uri = BOB, .method = "MESSAGE"});
    fake_advance(r.loop, 15000);
    rig_expect_method(&r, OTHER, "MESSAGE", &two);
    fake_advance(r.loop, 15000);
    rig_expect_method(&r, THIRD, "MESSAGE", &two);
    fake_advance(r.loop, 2000);
    drain(PHONE);
    drain(OTHER);
    drain(THIRD);
    fake_advance(r.loop, 60000);
    rig_expect_none(&r, PHONE);
    rig_expect_none(&r, OTHER);
    rig_expect_none(&r, THIRD);
    assert_int_equal(drain(CALLER), 1); /* 100 */
    rig_reload(&r, OPEN "failover-time = 31\n");
    say_udp(&r, CALLER, &(struct say){.uri = BOB, .method = "MESSAGE", .branch = "a2"});
    drain(OTHER);
    fake_advance(r.loop, 60000);
    drain(PHONE);
    drain(THIRD);
    assert_int_equal(drain(OTHER), 0);
}

/* --- names ------------------------------------------------------------------------------------ */

/* Where every address is our own the request would come back for ever. */
static void name_leads_to_ourselves(void **state)
{
    (void)state;
    fake_set_host(r.loop, "self.invalid", "10.0.0.1", 0);
    say_udp(&r, CALLER, &(struct say){.uri = "sip:bob@self.invalid"});
    rig_expect_status(&r, CALLER, 482, &got);
    ack_udp(&r, CALLER, &(struct say){.uri = "sip:bob@self.invalid"});
    assert_int_equal(rig_counter(&r, CTR_LOOP), 1);
    rig_expect_none(&r, NULL);
}

static void name_service_is_dead(void **state)
{
    (void)state;
    struct say w = {.uri = "sip:bob@dead.invalid"};
    fake_set_dns_failure(r.loop, "dead.invalid", ERR_DNS_SILENT, 0);
    say_udp(&r, CALLER, &w);
    rig_expect_status(&r, CALLER, 500, &got);
    assert_non_null(strstr(got.text, "\r\nReason: SIP;cause=503;text=\""));
    ack_udp(&r, CALLER, &w);
    /* Inside a dialog it says nothing about the other side: no 408, which would end it. */
    w.method = "INFO";
    w.branch = "a2";
    w.to = "<sip:bob@dead.invalid>;tag=b";
    say_udp(&r, CALLER, &w);
    rig_expect_status(&r, CALLER, 500, &got);
    rig_expect_none(&r, NULL);
}

/* --- alternatives ----------------------------------------------------------------------------- */

#define TRUNK \
    OPEN "[dn 2001]\ncontact = sip:10.0.0.3\ncontact-backup = sip:10.0.0.4\noos-check = 0\n"

static void alternative_after(unsigned status)
{
    static const struct say w = {.uri = "sip:2001@10.0.0.1"};
    rig_reload(&r, TRUNK);
    say_udp(&r, CALLER, &w);
    rig_expect_method(&r, PHONE, "INVITE", &one);
    answer_udp(&r, PHONE, &one, status, "");
    rig_expect_method(&r, PHONE, "ACK", &got);
    rig_expect_method(&r, OTHER, "INVITE", &two);
    assert_false(has_same_branch(&one, &two));
    assert_int_equal(rig_counter(&r, CTR_FAILOVER), 1);
    answer_udp(&r, OTHER, &two, 200, "");
    rig_expect_status(&r, CALLER, 200, &got);
    rig_expect_none(&r, NULL);
}

static void alternative_after_503(void **state)
{
    (void)state;
    alternative_after(503);
}

static void alternative_after_504(void **state)
{
    (void)state;
    alternative_after(504);
}

static void alternative_after_408(void **state)
{
    (void)state;
    alternative_after(408);
}

static void no_alternative_after_486(void **state)
{
    (void)state;
    static const struct say w = {.uri = "sip:2001@10.0.0.1"};
    rig_reload(&r, TRUNK);
    say_udp(&r, CALLER, &w);
    rig_expect_method(&r, PHONE, "INVITE", &one);
    answer_udp(&r, PHONE, &one, 486, "");
    rig_expect_method(&r, PHONE, "ACK", &got);
    rig_expect_status(&r, CALLER, 486, &got);
    ack_udp(&r, CALLER, &w);
    rig_expect_none(&r, NULL);
}

/* 16.7 step 6: a 503 is not passed on. */
static void all_alternatives_are_overloaded(void **state)
{
    (void)state;
    static const struct say w = {.uri = "sip:2001@10.0.0.1"};
    rig_reload(&r, TRUNK);
    say_udp(&r, CALLER, &w);
    rig_expect_method(&r, PHONE, "INVITE", &one);
    answer_udp(&r, PHONE, &one, 503, "Retry-After: 77\n");
    rig_expect_method(&r, OTHER, "INVITE", &two);
    answer_udp(&r, OTHER, &two, 503, "Retry-After: 77\n");
    rig_expect_status(&r, CALLER, 500, &got);
    assert_null(strstr(got.text, "Retry-After"));
    ack_udp(&r, CALLER, &w);
}

static void silent_alternative_is_passed_over(void **state)
{
    (void)state;
    rig_reload(&r, TRUNK);
    pass_over(&(struct say){.uri = "sip:2001@10.0.0.1"}, "INVITE");
    answer_udp(&r, OTHER, &two, 200, "");
    rig_expect_status(&r, CALLER, 200, &got);
    rig_expect_none(&r, NULL);
}

static void alternative_after_a_refused_connection(void **state)
{
    (void)state;
    rig_reload(&r, OPEN "[dn 2001]\ncontact = sip:10.0.0.3;transport=tcp\n"
                        "contact-backup = sip:10.0.0.4\noos-check = 0\n");
    fake_set_peer(r.loop, PHONE, FAKE_REFUSE);
    say_udp(&r, CALLER, &(struct say){.uri = "sip:2001@10.0.0.1"});
    fake_advance(r.loop, 1);
    rig_expect_method(&r, OTHER, "INVITE", &two);
    answer_udp(&r, OTHER, &two, 200, "");
    rig_expect_status(&r, CALLER, 200, &got);
}

#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(silent_address_is_passed_over),
        T(slow_address_answers_first),
        T(late_success_before_the_other_one),
        T(late_success_after_the_other_one),
        T(late_success_of_the_same_dialog),
        T(late_success_of_a_fork),
        T(late_success_after_the_failure),
        T(further_address_is_of_no_use),
        T(both_lead_to_the_same_place),
        T(caller_cancels_after_failover),
        T(all_are_silent),
        T(without_failover_time),
        T(silent_ways_are_bounded),
        T(ringing_takes_no_time),
        T(heard_address_is_waited_for),
        T(silent_connection_is_passed_over),
        T(breadth_is_shared),
        T(breadth_of_one),
        T(other_request_goes_on_too),
        T(timer_f_leaves_no_room),
        T(name_leads_to_ourselves),
        T(name_service_is_dead),
        T(alternative_after_503),
        T(alternative_after_504),
        T(alternative_after_408),
        T(no_alternative_after_486),
        T(all_alternatives_are_overloaded),
        T(silent_alternative_is_passed_over),
        T(alternative_after_a_refused_connection),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
