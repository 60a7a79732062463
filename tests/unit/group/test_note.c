/* SPDX-License-Identifier: Apache-2.0 */
/* What is found out, what follows, and what is said of it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

#include "help.h"

#define ONE "sip:10.0.0.1"
#define TWO "sip:10.0.0.2"

static struct section section;
static struct logged logged;

static struct groups *make(enum group_role role)
{
    section_make(&section, "main", role, GROUP_ROUND_ROBIN, ONE " " TWO);
    return groups_of(&section, 1);
}

/* --- events of a pair --- */

static void test_events(void **state)
{
    (void)state;
    struct groups *gs = make(GROUP_PAIR);
    uint32_t one = member_id(gs, "main", ONE), two = member_id(gs, "main", TWO);
    log_begin(&logged);
    assert_int_equal(planned(gs, "main", T0), one);
    assert_true(group_note_answer(gs, one, 200, T0));
    assert_int_equal(planned(gs, "main", T0 + CHECK), one);
    assert_int_equal(planned(gs, "main", T0 + 2 * CHECK), two);
    assert_true(group_note_answer(gs, two, 200, T0 + 2 * CHECK + 8));
    uint64_t now = T0 + 3 * CHECK + 8;
    assert_int_equal(planned(gs, "main", now), two);
    group_note_failed(gs, two, -ECONNREFUSED, now);
    assert_int_equal(planned(gs, "main", now), one);
    group_note_failed(gs, one, -ECONNREFUSED, now);
    for (unsigned i = 1; i < 9; i++)
        (void)planned(gs, "main", now + i * FORCE);
    assert_true(group_note_answer(gs, two, 404, now + 9 * FORCE));
    const char *text = log_end(&logged);
    assert_int_equal(count_of(text, "event=40003"), 1);
    assert_int_equal(count_of(text, "event=40001"), 1);
    assert_int_equal(count_of(text, "event=40002"), 1);
    assert_non_null(strstr(text, "warn  group switchover: another member of the application is the "
                                 "active one event=40003 application=main from=sip:10.0.0.1 "
                                 "to=sip:10.0.0.2"));
    assert_non_null(strstr(text, "ms=5008"));
    assert_non_null(strstr(text, "error group application unavailable: no member answers "
                                 "event=40001 application=main cause=\"connection refused\""));
    assert_non_null(strstr(text, "warn  group application available again event=40002 "
                                 "application=main member=sip:10.0.0.2 ms=18000"));
    assert_int_equal(count_of(text, "both are asked application=main member=sip:10.0.0.1"), 1);
    assert_int_equal(count_of(text, "both are asked application=main member=sip:10.0.0.2"), 1);
    struct group_totals totals;
    group_totals(gs, group_of(one), &totals);
    assert_true(totals.switched == 1 && totals.down == 1 && totals.back == 1);
    groups_free(&gs);
}

/* Statuses that do not count as alive are an option. */
static void test_statuses(void **state)
{
    (void)state;
    struct groups *gs = make(GROUP_PAIR);
    uint32_t one = member_id(gs, "main", ONE), two = member_id(gs, "main", TWO);
    assert_int_equal(planned(gs, "main", T0), one);
    assert_false(group_note_answer(gs, one, 503, T0));
    assert_int_equal(group_state_of(gs, group_of(one)), GROUP_UNKNOWN);
    assert_int_equal(planned(gs, "main", T0), two); /* at once */
    assert_true(group_note_answer(gs, two, 500, T0));
    assert_int_equal(group_state_of(gs, group_of(one)), GROUP_UP);
    groups_free(&gs);
    section.conf.nfailures = 0;
    gs = groups_of(&section, 1);
    assert_true(group_note_answer(gs, member_id(gs, "main", ONE), 503, T0));
    groups_free(&gs);
    section.failures[1] = 404;
    section.conf.nfailures = 2;
    gs = groups_of(&section, 1);
    assert_false(group_note_answer(gs, member_id(gs, "main", ONE), 404, T0));
    assert_true(group_note_answer(gs, member_id(gs, "main", ONE), 483, T0));
    groups_free(&gs);
}

/* Two members that both send requests all the time: each takes over when the guard time after the
 * last switchover has passed; some of it is said, none is lost in the count. */
static void test_flapping(void **state)
{
    (void)state;
    struct groups *gs = make(GROUP_PAIR);
    uint32_t ids[2] = {member_id(gs, "main", ONE), member_id(gs, "main", TWO)};
    struct group_totals totals;
    unsigned switched = 0;
    uint64_t now = T0;
    log_begin(&logged);
    for (unsigned i = 0; i < 6000; i++, now += 20) {
        if (group_note_request(gs, ids[i % 2], now))
            switched++;
        for (uint32_t m; (m = planned(gs, "main", now)) != 0;)
            assert_true(group_note_answer(gs, m, 200, now));
    }
    const char *text = log_end(&logged);
    assert_in_range(switched, 20, 25); /* in two minutes */
    assert_in_range(count_of(text, "event=40003"), 10, 14);
    assert_null(strstr(text, "both are asked"));
    assert_non_null(strstr(text, "left_out="));
    group_totals(gs, group_of(ids[0]), &totals);
    assert_int_equal(totals.switched, switched);
    /* The last 16 are remembered, the latest one first. */
    text = dumped(gs, now);
    assert_int_equal(count_of(text, "\nswitchover "), 16);
    groups_free(&gs);
}

/* What the last check of each has brought. */
static void test_last_answers(void **state)
{
    (void)state;
    struct groups *gs = make(GROUP_PAIR);
    uint32_t one = member_id(gs, "main", ONE), two = member_id(gs, "main", TWO);
    assert_int_equal(planned(gs, "main", T0), one);
    assert_non_null(strstr(dumped(gs, T0 + 700), "last_answer=\"\" answered=\"\" silent_ms=700\n"));
    assert_true(group_note_answer(gs, one, 404, T0 + 1000));
    assert_non_null(strstr(dumped(gs, T0 + 1100),
                           "last_answer=404 answered=2023-11-14T22:13:21.000Z silent_ms=0\n"));
    assert_false(group_note_answer(gs, two, 503, T0 + 2000));
    assert_non_null(strstr(dumped(gs, T0 + 2000), "last_answer=503 "));
    group_note_failed(gs, two, -ECONNREFUSED, T0 + 2500);
    assert_non_null(strstr(dumped(gs, T0 + 3000), "last_answer=\"connection refused\" "
                                                  "answered=2023-11-14T22:13:22.500Z "));
    /* What is our own fault says nothing. */
    group_note_failed(gs, one, ERR_NOMEM, T0 + 2600);
    assert_non_null(strstr(dumped(gs, T0 + 3000), "last_answer=404 "));
    groups_free(&gs);
}

static void test_administrator(void **state)
{
    (void)state;
    struct groups *gs = make(GROUP_PAIR);
    uint32_t one = member_id(gs, "main", ONE), two = member_id(gs, "main", TWO);
    (void)planned(gs, "main", T0);
    assert_true(group_note_answer(gs, one, 200, T0));
    assert_int_equal(group_switch(gs, SLICE("main"), UINT32_MAX, T0 + 1), 0);
    assert_int_equal(group_successor(gs, one), two);
    assert_int_equal(group_switch(gs, SLICE("main"), 1, T0 + 2), 0);
    assert_int_equal(group_successor(gs, one), two);
    assert_int_equal(group_switch(gs, SLICE("main"), 0, T0 + 3), 0);
    assert_int_equal(group_successor(gs, two), one);
    assert_int_equal(group_switch(gs, SLICE("main"), 2, T0 + 4), ERR_NOT_FOUND);
    assert_int_equal(group_switch(gs, SLICE("other"), 0, T0 + 4), ERR_NOT_FOUND);
    assert_non_null(strstr(dumped(gs, T0 + 5), " time=2023-11-14T22:13:20.003Z from=" TWO " to=" ONE
                                               " cause=\"the administrator\" ms=0\n"));
    groups_free(&gs);
    gs = make(GROUP_BALANCED);
    assert_int_equal(group_switch(gs, SLICE("main"), 0, T0), ERR_UNSUPPORTED);
    groups_free(&gs);
    section_make(&section, "main", GROUP_PAIR, GROUP_ROUND_ROBIN, ONE);
    gs = groups_of(&section, 1);
    assert_int_equal(group_switch(gs, SLICE("main"), UINT32_MAX, T0), ERR_UNSUPPORTED);
    groups_free(&gs);
}

/* Without checks a connection that cannot be had is the switchover. */
static void test_no_checks(void **state)
{
    (void)state;
    section_make(&section, "main", GROUP_PAIR, GROUP_ROUND_ROBIN, ONE " " TWO);
    section.conf.check_ms = 0;
    struct groups *gs = groups_of(&section, 1);
    uint32_t one = member_id(gs, "main", ONE), two = member_id(gs, "main", TWO);
    assert_int_equal(group_state_of(gs, group_of(one)), GROUP_UP);
    group_note_trouble(gs, one, ERR_TIMEOUT);
    assert_int_equal(planned(gs, "main", T0), 0);
    assert_int_equal(group_successor(gs, one), 0);
    group_note_trouble(gs, one, -ECONNREFUSED);
    assert_int_equal(planned(gs, "main", T0), 0);
    assert_int_equal(group_successor(gs, one), two);
    groups_free(&gs);
}

/* --- one address for two members --- */

static void test_twins(void **state)
{
    (void)state;
    section_make(&section, "main", GROUP_PAIR, GROUP_ROUND_ROBIN,
                 "sip:a.example.net sip:b.example.net");
    struct groups *gs = groups_of(&section, 1);
    uint32_t a = member_id(gs, "main", "sip:a.example.net");
    uint32_t b = member_id(gs, "main", "sip:b.example.net");
    struct addr both[2] = {address("10.0.0.1"), address("10.0.0.2")};
    log_begin(&logged);
    group_set_addrs(gs, a, both, 1);
    group_set_addrs(gs, b, both, 1);
    group_set_addrs(gs, b, both, 1);
    assert_non_null(
        strstr(dumped(gs, T0), " index=1 uri=sip:b.example.net state=absent active=false "));
    /* It counts for nothing: never asked, never active. */
    for (unsigned i = 0; i < 10; i++)
        assert_int_not_equal(planned(gs, "main", T0 + i * FORCE), b);
    assert_int_equal(group_state_of(gs, group_of(a)), GROUP_DOWN);
    assert_false(group_note_request(gs, b, T0 + 20 * FORCE));
    assert_int_equal(group_switch(gs, SLICE("main"), 1, T0), ERR_UNSUPPORTED);
    /* A reload says nothing new. */
    assert_int_equal(configure(gs, &section, 1, T0 + 21 * FORCE), 0);
    assert_int_equal(count_of(log_end(&logged), "have the same address"), 1);
    /* It moves: a pair. */
    group_set_addrs(gs, b, both + 1, 1);
    assert_null(strstr(dumped(gs, T0), "absent"));
    assert_true(group_note_request(gs, b, T0 + 22 * FORCE));
    assert_int_equal(group_successor(gs, a), b);
    /* And comes back, as the active one. */
    group_set_addrs(gs, b, both, 1);
    assert_int_equal(group_successor(gs, a), 0);
    assert_non_null(
        strstr(dumped(gs, T0), " index=0 uri=sip:a.example.net state=active active=true "));
    groups_free(&gs);
}

static void test_twins_numeric(void **state)
{
    (void)state;
    log_begin(&logged);
    section_make(&section, "main", GROUP_PAIR, GROUP_ROUND_ROBIN,
                 ONE " sip:10.0.0.1:5060;transport=tcp");
    struct groups *gs = groups_of(&section, 1);
    assert_non_null(strstr(dumped(gs, T0), "transport=tcp\" state=absent "));
    groups_free(&gs);
    section_make(&section, "pool", GROUP_BALANCED, GROUP_ROUND_ROBIN,
                 ONE " " TWO " sip:x@10.0.0.1");
    gs = groups_of(&section, 1);
    assert_int_equal(count_of(dumped(gs, T0), "absent"), 1);
    assert_int_equal(count_of(log_end(&logged), "have the same address"), 2);
    groups_free(&gs);
}

/* Nobody is active while nobody answers, though one will be presumed to be. */
static void test_nobody_is_shown_as_active(void **state)
{
    (void)state;
    struct groups *gs = make(GROUP_PAIR);
    uint32_t one = member_id(gs, "main", ONE), two = member_id(gs, "main", TWO);
    uint64_t now = T0;
    log_begin(&logged);
    while (group_state_of(gs, group_of(one)) != GROUP_DOWN && now < T0 + 20 * FORCE) {
        group_note_failed(gs, planned(gs, "main", now) == two ? two : one, ERR_ICMP_PORT, now);
        now += 100;
    }
    assert_int_equal(group_state_of(gs, group_of(one)), GROUP_DOWN);
    const char *text = dumped(gs, now);
    assert_int_equal(count_of(text, " state=down active=false "), 2);
    assert_true(group_note_answer(gs, one, 200, now));
    assert_int_equal(count_of(dumped(gs, now), " state=active active=true "), 1);
    log_end(&logged);
    groups_free(&gs);
}

/* --- balanced --- */

static void test_balanced(void **state)
{
    (void)state;
    struct groups *gs = make(GROUP_BALANCED);
    uint32_t group = group_find(gs, SLICE("main"));
    uint32_t one = member_id(gs, "main", ONE), two = member_id(gs, "main", TWO);
    log_begin(&logged);
    uint64_t epoch = groups_epoch(gs), now = T0;
    assert_int_equal(planned(gs, "main", now), one);
    assert_int_equal(planned(gs, "main", now), two);
    assert_int_equal(planned(gs, "main", now), 0);
    assert_true(group_note_answer(gs, one, 200, now));
    assert_int_equal(group_state_of(gs, group), GROUP_UP);
    assert_int_equal(group_member_state(gs, one), GROUP_UP);
    assert_int_equal(group_member_state(gs, two), GROUP_UNKNOWN);
    assert_true(groups_epoch(gs) > epoch);
    /* Both go, by silence and at once. */
    now += FORCE;
    bool is_asked = false; /* again */
    for (uint32_t m; (m = planned(gs, "main", now)) != 0; is_asked = is_asked || m == two)
        assert_true(m == two || group_note_answer(gs, one, 200, now));
    assert_true(is_asked);
    assert_int_equal(group_member_state(gs, two), GROUP_DOWN);
    assert_int_equal(group_state_of(gs, group), GROUP_UP);
    group_note_failed(gs, one, -ECONNREFUSED, now);
    assert_int_equal(group_state_of(gs, group), GROUP_DOWN);
    assert_true(group_note_answer(gs, two, 200, now + 500));
    assert_int_equal(group_state_of(gs, group), GROUP_UP);
    /* A request is no switchover here. */
    assert_false(group_note_request(gs, one, now));
    const char *text = log_end(&logged);
    assert_int_equal(count_of(text, "event=40001"), 1);
    assert_int_equal(count_of(text, "event=40002"), 1);
    assert_int_equal(count_of(text, "event=40003"), 0);
    assert_int_equal(count_of(text, "a member of the application does not answer event=40004"), 2);
    assert_true(count_of(text, "event=40005") > 0);
    assert_non_null(strstr(text, "available again event=40002 application=main "
                                 "member=sip:10.0.0.2 ms=500"));
    assert_non_null(
        strstr(dumped(gs, now + 500),
               "application name=main role=round-robin state=up active=\"\" "
               "since=2023-11-14T22:13:22.500Z switchovers=0 down_count=1 back_count=1\n"));
    groups_free(&gs);
}

/* Trouble with one that is up makes its check due. */
static void test_balanced_trouble(void **state)
{
    (void)state;
    struct groups *gs = make(GROUP_BALANCED);
    uint32_t one = member_id(gs, "main", ONE), two = member_id(gs, "main", TWO);
    uint64_t now = T0;
    (void)planned(gs, "main", now);
    (void)planned(gs, "main", now);
    assert_true(group_note_answer(gs, one, 200, now) && group_note_answer(gs, two, 200, now));
    /* Until nobody is due for a while. */
    struct group_plan plan;
    do {
        now += 100;
        group_plan(gs, group_of(one), now, &plan);
        if (plan.member != 0)
            assert_true(group_note_answer(gs, plan.member, 200, now));
    } while (plan.member != 0 || plan.next < now + 1000);
    uint64_t epoch = groups_epoch(gs);
    group_note_trouble(gs, two, -ECONNRESET);
    group_note_trouble(gs, two, -ECONNRESET);
    assert_true(groups_epoch(gs) == epoch + 1);
    now += 500;
    assert_int_equal(planned(gs, "main", now), two);
    assert_int_equal(planned(gs, "main", now), 0);
    groups_free(&gs);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_events),
        cmocka_unit_test(test_statuses),
        cmocka_unit_test(test_flapping),
        cmocka_unit_test(test_last_answers),
        cmocka_unit_test(test_administrator),
        cmocka_unit_test(test_no_checks),
        cmocka_unit_test(test_twins),
        cmocka_unit_test(test_twins_numeric),
        cmocka_unit_test(test_nobody_is_shown_as_active),
        cmocka_unit_test(test_balanced),
        cmocka_unit_test(test_balanced_trouble),
    };
    return cmocka_run_group_tests(tests, be_quiet, NULL);
}
