/* SPDX-License-Identifier: Apache-2.0 */
/* Several targets: at once, one after the other, by q; which response is the best; Timer C. RFC
 * 3261 16.6, 16.7, 16.8; RFC 5393 5.3.3; RFC 5626 7. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

#include "calls.h"

static struct rig r;
static struct got got, one, two, three;

static int teardown(void **state)
{
    (void)state;
    rig_close(&r);
    return 0;
}

/* Three devices of 1001, all by UDP. */
static void begin(const char *options, const char *q1, const char *q2, const char *q3)
{
    char text[512];
    snprintf(text, sizeof(text), OPEN "%s", options);
    rig_open(&r, text);
    register_udp(&r, "1001", PHONE, q1);
    fake_advance(r.loop, 5);
    register_udp(&r, "1001", OTHER, q2);
    fake_advance(r.loop, 5);
    if (q3 != NULL)
        register_udp(&r, "1001", THIRD, q3);
}

static const struct say call = {.branch = "i1"};

static void fail_udp(const char *at, const struct got *req, unsigned status)
{
    answer_udp(&r, at, req, status, "");
    rig_expect_method(&r, at, "ACK", &got);
}

/* 16.7 step 10: a 2xx cancels the others, and says why (RFC 3326). */
static void first_answer_wins(void **state)
{
    (void)state;
    begin("", "", "", NULL);
    say_udp(&r, CALLER, &call);
    rig_expect_method(&r, PHONE, "INVITE", &one);
    rig_expect_method(&r, OTHER, "INVITE", &two);
    answer_udp(&r, PHONE, &one, 180, "");
    rig_expect_status(&r, CALLER, 180, &got);
    answer_udp(&r, OTHER, &two, 180, "");
    rig_expect_status(&r, CALLER, 180, &got);
    answer_udp(&r, PHONE, &one, 200, "");
    rig_expect_status(&r, CALLER, 200, &got);
    rig_expect_method(&r, OTHER, "CANCEL", &got);
    assert_non_null(strstr(got.text, "\r\nReason: SIP;cause=200;"));
    answer_udp(&r, OTHER, &got, 200, "");
    fail_udp(OTHER, &two, 487);
    rig_expect_none(&r, NULL);
}

/* 16.7 step 5: every 2xx goes upstream, and the requests of each dialog go to its device. */
static void late_2xx_of_another_branch(void **state)
{
    (void)state;
    char routes[1024];
    begin("", "", "", NULL);
    say_udp(&r, CALLER, &call);
    rig_expect_method(&r, PHONE, "INVITE", &one);
    rig_expect_method(&r, OTHER, "INVITE", &two);
    answer_udp(&r, PHONE, &one, 200, "Contact: <sip:1001@10.0.0.3:5060>\n");
    rig_expect_status(&r, CALLER, 200, &got);
    fake_advance(r.loop, 400);
    answer_udp(&r, OTHER, &two, 200, "Contact: <sip:1001@10.0.0.4:5060>\n");
    rig_expect_status(&r, CALLER, 200, &got);
    assert_non_null(strstr(got.text, "tag=t10.0.0.4"));
    fake_advance(r.loop, 500); /* only the transactions are left now */
    answer_udp(&r, OTHER, &two, 200, "Contact: <sip:1001@10.0.0.4:5060>\n");
    rig_expect_status(&r, CALLER, 200, &got);
    answer_udp(&r, PHONE, &one, 200, "Contact: <sip:1001@10.0.0.3:5060>\n");
    rig_expect_status(&r, CALLER, 200, &one);
    snprintf(routes, sizeof(routes), "%s", route_set(&got, true));
    struct say w = {.method = "ACK",
                    .uri = "sip:1001@10.0.0.4:5060",
                    .branch = "k1",
                    .to = "<sip:1001@10.0.0.1>;tag=t10.0.0.4-5060",
                    .extra = routes};
    say_udp(&r, CALLER, &w);
    rig_expect_method(&r, OTHER, "ACK", &got);
    w.method = "BYE";
    w.cseq = 2;
    say_udp(&r, CALLER, &w);
    rig_expect_method(&r, OTHER, "BYE", &got);
    answer_udp(&r, OTHER, &got, 200, "");
    rig_expect_status(&r, CALLER, 200, &got);
    rig_expect_none(&r, CALLER);
}

/* Each is kept while another branch is under way: without end that would be as much memory as a
 * callee likes. */
static void repeated_2xx_have_an_end(void **state)
{
    (void)state;
    struct fake_datagram d;
    unsigned n = 0;
    begin("", "", "", NULL);
    say_udp(&r, CALLER, &call);
    rig_expect_method(&r, PHONE, "INVITE", &one);
    rig_expect_method(&r, OTHER, "INVITE", &two);
    answer_udp(&r, PHONE, &one, 200, "");
    rig_expect_status(&r, CALLER, 200, &got);
    for (unsigned i = 0; i < 1100; i++) {
        answer_udp(&r, PHONE, &one, 200, "");
        n += fake_take_datagram(r.loop, CALLER, &d);
    }
    assert_int_equal(n, 1024);
}

/* fork = sequential. */
static void one_after_the_other(void **state)
{
    (void)state;
    begin("fork = sequential\nfork-ring-time = 5\n", ";q=0.9", ";q=0.5", ";q=0.1");
    say_udp(&r, CALLER, &call);
    rig_expect_method(&r, PHONE, "INVITE", &one);
    rig_expect_none(&r, OTHER);
    fail_udp(PHONE, &one, 486);
    rig_expect_method(&r, OTHER, "INVITE", &two);
    answer_udp(&r, OTHER, &two, 180, "");
    rig_expect_status(&r, CALLER, 180, &got);
    /* Long enough: the next one's turn, and this one stops ringing. */
    fake_advance(r.loop, 4999);
    rig_expect_none(&r, NULL);
    fake_advance(r.loop, 1);
    rig_expect_method(&r, OTHER, "CANCEL", &got);
    rig_expect_method(&r, THIRD, "INVITE", &three);
    answer_udp(&r, OTHER, &got, 200, "");
    fail_udp(OTHER, &two, 487);
    rig_expect_none(&r, CALLER);
    fail_udp(THIRD, &three, 404);
    rig_expect_status(&r, CALLER, 486, &got);
    rig_expect_none(&r, NULL);
}

/* A device that was given up answers nevertheless. */
static void answer_after_its_turn(void **state)
{
    (void)state;
    begin("fork = sequential\nfork-ring-time = 5\n", ";q=0.9", ";q=0.5", NULL);
    say_udp(&r, CALLER, &call);
    rig_expect_method(&r, PHONE, "INVITE", &one);
    answer_udp(&r, PHONE, &one, 180, "");
    fake_advance(r.loop, 5000);
    rig_expect_status(&r, CALLER, 180, &got);
    rig_expect_method(&r, PHONE, "CANCEL", &got);
    rig_expect_method(&r, OTHER, "INVITE", &two);
    answer_udp(&r, OTHER, &two, 180, "");
    rig_expect_status(&r, CALLER, 180, &got);
    answer_udp(&r, PHONE, &one, 200, "");
    rig_expect_status(&r, CALLER, 200, &got);
    rig_expect_method(&r, OTHER, "CANCEL", &got);
    fail_udp(OTHER, &two, 487);
    rig_expect_none(&r, CALLER);
}

/* fork = q: equal values together. */
static void groups_by_q(void **state)
{
    (void)state;
    begin("fork = q\n", ";q=0.8", ";q=0.3", ";q=0.8");
    say_udp(&r, CALLER, &call);
    rig_expect_method(&r, PHONE, "INVITE", &one);
    rig_expect_method(&r, THIRD, "INVITE", &three);
    rig_expect_none(&r, OTHER);
    fail_udp(PHONE, &one, 486);
    rig_expect_none(&r, OTHER);
    fail_udp(THIRD, &three, 486);
    rig_expect_method(&r, OTHER, "INVITE", &two);
    answer_udp(&r, OTHER, &two, 200, "");
    rig_expect_status(&r, CALLER, 200, &got);
}

/* 16.7 steps 5 and 6: a 6xx cancels, waits for the others, and wins; no further targets. */
static void six_hundred_ends_all(void **state)
{
    (void)state;
    begin("fork = q\n", ";q=0.8", ";q=0.8", ";q=0.1");
    say_udp(&r, CALLER, &call);
    rig_expect_method(&r, PHONE, "INVITE", &one);
    rig_expect_method(&r, OTHER, "INVITE", &two);
    answer_udp(&r, OTHER, &two, 180, "");
    rig_expect_status(&r, CALLER, 180, &got);
    fail_udp(PHONE, &one, 603);
    rig_expect_method(&r, OTHER, "CANCEL", &got);
    rig_expect_none(&r, CALLER);
    fail_udp(OTHER, &two, 487);
    rig_expect_status(&r, CALLER, 603, &got);
    rig_expect_none(&r, NULL);
}

/* 16.7 step 6. */
static void best_of_two(void **state)
{
    (void)state;
    static const struct {
        unsigned first, second, best;
    } rows[] = {
        {486, 404, 486}, {404, 302, 302}, {500, 404, 404}, {603, 200, 200}, {486, 401, 401},
        {404, 484, 484}, {503, 486, 486}, {503, 503, 500}, {503, 500, 500}, {487, 486, 486},
        {415, 407, 407}, {600, 301, 600}, {502, 503, 502}, {580, 302, 302},
    };
    begin("", "", "", NULL);
    for (unsigned i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        char text[16];
        struct say w = {.branch = text, .call_id = text};
        snprintf(text, sizeof(text), "best%u", i);
        say_udp(&r, CALLER, &w);
        rig_expect_method(&r, PHONE, "INVITE", &one);
        rig_expect_method(&r, OTHER, "INVITE", &two);
        fail_udp(PHONE, &one, rows[i].first);
        answer_udp(&r, OTHER, &two, rows[i].second, "");
        rig_expect_status(&r, CALLER, rows[i].best, &got);
        if (rows[i].best >= 300)
            ack_udp(&r, CALLER, &w);
        while (fake_take_datagram(r.loop, OTHER, &(struct fake_datagram){0}))
            ;
        rig_expect_none(&r, NULL);
    }
}

/* 16.7 step 7: whoever is challenged by several learns of all of them. */
static void challenges_are_collected(void **state)
{
    (void)state;
    begin("", "", "", "");
    say_udp(&r, CALLER, &call);
    rig_expect_method(&r, PHONE, "INVITE", &one);
    rig_expect_method(&r, OTHER, "INVITE", &two);
    rig_expect_method(&r, THIRD, "INVITE", &three);
    answer_udp(&r, PHONE, &one, 486, "WWW-Authenticate: Digest realm=\"none\"\n");
    answer_udp(&r, OTHER, &two, 401,
               "WWW-Authenticate: Digest realm=\"a\"\nWWW-Authenticate: Digest realm=\"b\"\n");
    answer_udp(&r, THIRD, &three, 407, "Proxy-Authenticate: Digest realm=\"c\"\n");
    rig_expect_status(&r, CALLER, 401, &got);
    assert_non_null(strstr(got.text, "\r\nWWW-Authenticate: Digest realm=\"a\"\r\n"));
    assert_non_null(strstr(got.text, "\r\nWWW-Authenticate: Digest realm=\"b\"\r\n"));
    assert_non_null(strstr(got.text, "\r\nProxy-Authenticate: Digest realm=\"c\"\r\n"));
    assert_null(strstr(got.text, "none"));
}

/* Of what is no INVITE the first 2xx is the answer. */
static void forked_message(void **state)
{
    (void)state;
    begin("", "", "", NULL);
    say_udp(&r, CALLER, &(struct say){.method = "MESSAGE", .branch = "m"});
    rig_expect_method(&r, PHONE, "MESSAGE", &one);
    rig_expect_method(&r, OTHER, "MESSAGE", &two);
    answer_udp(&r, PHONE, &one, 404, "");
    rig_expect_none(&r, CALLER);
    answer_udp(&r, OTHER, &two, 200, "");
    rig_expect_status(&r, CALLER, 200, &got);
    rig_expect_none(&r, NULL);
}

/* RFC 5393 5.3.3: the breadth is shared out; with less than one for each they take turns. */
static void breadth_is_shared_out(void **state)
{
    (void)state;
    begin("", "", "", "");
    say_udp(&r, CALLER, &(struct say){.branch = "i1", .extra = "Max-Breadth: 8\n"});
    rig_expect_method(&r, PHONE, "INVITE", &one);
    rig_expect_method(&r, OTHER, "INVITE", &two);
    rig_expect_method(&r, THIRD, "INVITE", &three);
    assert_string_equal(rig_value(&one, SIP_H_MAX_BREADTH, 0), "2");
    fail_udp(PHONE, &one, 486);
    fail_udp(OTHER, &two, 486);
    fail_udp(THIRD, &three, 486);
    rig_expect_status(&r, CALLER, 486, &got);
    ack_udp(&r, CALLER, &call);
    say_udp(&r, CALLER, &(struct say){.branch = "i2", .extra = "Max-Breadth: 1\n"});
    const char *const phones[] = {THIRD, OTHER, PHONE}; /* the latest registration first */
    for (unsigned i = 0; i < 3; i++) {
        rig_expect_method(&r, phones[i], "INVITE", &one);
        assert_string_equal(rig_value(&one, SIP_H_MAX_BREADTH, 0), "1");
        rig_expect_none(&r, NULL);
        fail_udp(phones[i], &one, 486);
    }
    rig_expect_status(&r, CALLER, 486, &got);
}

/* The same when a turn is over: a branch that is being cancelled still counts. */
static void breadth_of_a_branch_being_cancelled(void **state)
{
    (void)state;
    begin("fork = sequential\nfork-ring-time = 5\n", ";q=0.9", ";q=0.5", NULL);
    say_udp(&r, CALLER, &(struct say){.branch = "i1", .extra = "Max-Breadth: 1\n"});
    rig_expect_method(&r, PHONE, "INVITE", &one);
    answer_udp(&r, PHONE, &one, 180, "");
    fake_advance(r.loop, 5000);
    rig_expect_method(&r, PHONE, "CANCEL", &got);
    rig_expect_none(&r, OTHER);
    answer_udp(&r, PHONE, &got, 200, "");
    fail_udp(PHONE, &one, 487);
    rig_expect_method(&r, OTHER, "INVITE", &two);
    fail_udp(OTHER, &two, 486);
}

/* --- RFC 5626 section 7: flows of one device --- */

#define FLOW(n)  ";+sip.instance=\"<urn:uuid:1>\";reg-id=" #n
#define OUTBOUND "Supported: path, outbound\n"

static struct fake_conn *first_flow, *second_flow;

static void begin_outbound(void)
{
    rig_open(&r, OPEN);
    first_flow = register_tcp_as(&r, "1001", "10.0.0.3", 40001, FLOW(1), OUTBOUND);
    fake_advance(r.loop, 5);
    second_flow = register_tcp_as(&r, "1001", "10.0.0.3", 40002, FLOW(2), OUTBOUND);
    say_udp(&r, CALLER, &call);
    /* The latest first, and only one of them. */
    expect_tcp_method(second_flow, "INVITE", &two);
    rig_expect_none_tcp(first_flow);
}

static void flow_failed_leads_to_the_other_flow(void **state)
{
    (void)state;
    begin_outbound();
    answer_tcp(second_flow, &two, 430, "");
    expect_tcp_method(second_flow, "ACK", &got);
    expect_tcp_method(first_flow, "INVITE", &one);
    rig_expect_none(&r, CALLER);
    answer_tcp(first_flow, &one, 430, "");
    rig_expect_status(&r, CALLER, 480, &got);
}

static void any_other_response_was_the_device(void **state)
{
    (void)state;
    begin_outbound();
    answer_tcp(second_flow, &two, 503, "");
    rig_expect_none_tcp(first_flow);
    rig_expect_status(&r, CALLER, 500, &got);
}

static void request_timeout_leads_to_the_other_flow(void **state)
{
    (void)state;
    begin_outbound();
    answer_tcp(second_flow, &two, 408, "");
    expect_tcp_method(first_flow, "INVITE", &one);
    answer_tcp(first_flow, &one, 200, "");
    rig_expect_status(&r, CALLER, 200, &got);
}

/* --- Timer C: RFC 3261 16.6 step 11, 16.7 step 2, 16.8 --- */

static void timer_c_cancels_what_rings(void **state)
{
    (void)state;
    rig_open(&r, OPEN "timer-c = 10\n");
    say_udp(&r, CALLER, &(struct say){.uri = "sip:bob@10.0.0.3"});
    rig_expect_method(&r, PHONE, "INVITE", &one);
    fake_advance(r.loop, 100);
    rig_expect_status(&r, CALLER, 100, &got);
    answer_udp(&r, PHONE, &one, 180, "");
    rig_expect_status(&r, CALLER, 180, &got);
    fake_advance(r.loop, 9000);
    answer_udp(&r, PHONE, &one, 183, ""); /* each puts it off */
    rig_expect_status(&r, CALLER, 183, &got);
    fake_advance(r.loop, 9000);
    answer_udp(&r, PHONE, &one, 100, ""); /* but not 100 */
    fake_advance(r.loop, 999);
    rig_expect_none(&r, NULL);
    fake_advance(r.loop, 1);
    rig_expect_method(&r, PHONE, "CANCEL", &got);
    answer_udp(&r, PHONE, &got, 200, "");
    fail_udp(PHONE, &one, 487);
    rig_expect_status(&r, CALLER, 487, &got);
}

static void timer_c_after_100_alone(void **state)
{
    (void)state;
    rig_open(&r, OPEN "timer-c = 10\n");
    say_udp(&r, CALLER, &(struct say){.uri = "sip:bob@10.0.0.3"});
    rig_expect_method(&r, PHONE, "INVITE", &one);
    answer_udp(&r, PHONE, &one, 100, "");
    fake_advance(r.loop, 10000);
    rig_expect_status(&r, CALLER, 100, &got);
    rig_expect_method(&r, PHONE, "CANCEL", &got);
    /* The device never answers: 64*T1 after the CANCEL it is given up (9.1), and its caller, who
     * has cancelled nothing, is told that there was no answer (16.8). */
    fake_advance(r.loop, 31999);
    rig_expect_none(&r, CALLER);
    fake_advance(r.loop, 1);
    rig_expect_status(&r, CALLER, 408, &got);
}

/* The caller cancels after Timer C has done so: that is what it is told. */
static void timer_c_and_the_caller(void **state)
{
    (void)state;
    const struct say rings = {.uri = "sip:bob@10.0.0.3"};
    rig_open(&r, OPEN "timer-c = 10\n");
    say_udp(&r, CALLER, &rings);
    rig_expect_method(&r, PHONE, "INVITE", &one);
    answer_udp(&r, PHONE, &one, 180, "");
    rig_expect_status(&r, CALLER, 180, &got);
    fake_advance(r.loop, 10000);
    rig_expect_method(&r, PHONE, "CANCEL", &got);
    cancel_udp(&r, CALLER, &rings);
    rig_expect_status(&r, CALLER, 200, &got);
    fake_advance(r.loop, 32000);
    rig_expect_status(&r, CALLER, 487, &got);
}

static void timer_c_without_any_response_is_a_408(void **state)
{
    (void)state;
    rig_open(&r, OPEN "timer-c = 10\n");
    say_udp(&r, CALLER, &(struct say){.uri = "sip:bob@10.0.0.3"});
    rig_expect_method(&r, PHONE, "INVITE", &one);
    fake_advance(r.loop, 10000);
    rig_expect_status(&r, CALLER, 100, &got);
    rig_expect_status(&r, CALLER, 408, &got);
    ack_udp(&r, CALLER, &(struct say){.uri = "sip:bob@10.0.0.3"});
    answer_udp(&r, PHONE, &one, 180, "");
    rig_expect_none(&r, CALLER);
}

/* What the first address has said says nothing about the second. */
static void timer_c_of_the_next_address(void **state)
{
    (void)state;
    rig_open(&r, OPEN "timer-c = 10\n");
    fake_set_host(r.loop, "two.invalid", "10.0.0.3,10.0.0.4", 0);
    say_udp(&r, CALLER, &(struct say){.uri = "sip:bob@two.invalid"});
    rig_expect_method(&r, PHONE, "INVITE", &one);
    answer_udp(&r, PHONE, &one, 180, "");
    rig_expect_status(&r, CALLER, 180, &got);
    fail_udp(PHONE, &one, 503);
    rig_expect_method(&r, OTHER, "INVITE", &two);
    fake_advance(r.loop, 10000);
    rig_expect_status(&r, CALLER, 408, &got);
}

#define T(f) cmocka_unit_test_teardown(f, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(first_answer_wins),
        T(late_2xx_of_another_branch),
        T(repeated_2xx_have_an_end),
        T(one_after_the_other),
        T(answer_after_its_turn),
        T(groups_by_q),
        T(six_hundred_ends_all),
        T(best_of_two),
        T(challenges_are_collected),
        T(forked_message),
        T(breadth_is_shared_out),
        T(breadth_of_a_branch_being_cancelled),
        T(flow_failed_leads_to_the_other_flow),
        T(any_other_response_was_the_device),
        T(request_timeout_leads_to_the_other_flow),
        T(timer_c_cancels_what_rings),
        T(timer_c_after_100_alone),
        T(timer_c_and_the_caller),
        T(timer_c_without_any_response_is_a_408),
        T(timer_c_of_the_next_address),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
