/* SPDX-License-Identifier: Apache-2.0 */
/* Ids, settings, reload: what stays, what goes, and what is found by name. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

#include "base/alloc.h"
#include "help.h"

#define ONE    "sip:10.0.0.1"
#define TWO    "sip:10.0.0.2:5062;transport=tcp"
#define QUOTED "\"" TWO "\"" /* as it stands in a line */

static struct section sections[3];

static void pair(struct section *s, const char *name, const char *members)
{
    section_make(s, name, GROUP_PAIR, GROUP_ROUND_ROBIN, members);
}

static void test_none(void **state)
{
    (void)state;
    struct groups *gs = groups_of(sections, 0);
    struct addr a = address("10.0.0.1");
    struct group_plan plan;
    struct group_totals totals;
    assert_int_equal(groups_count(gs), 0);
    assert_int_equal(group_find(gs, SLICE("main")), 0);
    assert_int_equal(group_sender(gs, &a, 5060, GROUP_TLS), 0);
    assert_int_equal(group_member_at(gs, &a), 0);
    assert_int_equal(group_member_named(gs, SLICE("a"), 5060), 0);
    assert_int_equal(group_successor(gs, 0x1001), 0);
    assert_int_equal(group_state_of(gs, 0x1000), GROUP_UNKNOWN);
    assert_int_equal(group_member_state(gs, 0x1001), GROUP_UNKNOWN);
    assert_false(group_has_member(gs, 0x1001));
    assert_false(group_note_request(gs, 0x1001, T0));
    group_note_failed(gs, 0x1001, ERR_CLOSED, T0);
    group_note_trouble(gs, 0x1001, ERR_CLOSED);
    group_set_addrs(gs, 0x1001, &a, 1);
    group_plan(gs, 0x1000, T0, &plan);
    assert_true(plan.member == 0 && plan.next == UINT64_MAX);
    group_totals(gs, 0x1000, &totals);
    assert_int_equal(totals.switched, 0);
    assert_int_equal(group_switch(gs, SLICE("main"), UINT32_MAX, T0), ERR_NOT_FOUND);
    assert_string_equal(dumped(gs, T0), "");
    groups_free(&gs);
    assert_null(gs);
    groups_free(&gs);
}

static void test_ids(void **state)
{
    (void)state;
    pair(&sections[0], "main", ONE " " TWO);
    section_make(&sections[1], "pool", GROUP_BALANCED, GROUP_ROUND_ROBIN, "sip:10.1.0.1");
    struct groups *gs = groups_of(sections, 2);
    assert_int_equal(groups_count(gs), 2);
    uint32_t main_id = group_find(gs, SLICE("main")), pool = group_find(gs, SLICE("pool"));
    assert_true(main_id != 0 && pool != 0 && main_id != pool);
    uint32_t one = member_id(gs, "main", ONE), two = member_id(gs, "main", TWO);
    assert_true(one != two && group_of(one) == main_id && group_of(two) == main_id);
    assert_true(group_is_member(one) && group_is_member(two));
    assert_false(group_is_member(main_id) || group_is_member(0));
    assert_int_equal(group_of(main_id), main_id);
    assert_int_equal(group_find(gs, SLICE("mai")), 0);
    /* The same names and URIs, in another order and with others: the same ids. */
    struct section other[3];
    pair(&other[1], "main", TWO " " ONE);
    pair(&other[0], "fresh", "sip:10.9.0.1 sip:10.9.0.2");
    section_make(&other[2], "pool", GROUP_BALANCED, GROUP_ROUND_ROBIN, "sip:10.1.0.2 sip:10.1.0.1");
    uint32_t old = member_id(gs, "pool", "sip:10.1.0.1");
    assert_int_equal(configure(gs, other, 3, T0 + 1), 0);
    assert_int_equal(group_find(gs, SLICE("main")), main_id);
    assert_int_equal(group_find(gs, SLICE("pool")), pool);
    assert_int_equal(member_id(gs, "main", ONE), one);
    assert_int_equal(member_id(gs, "main", TWO), two);
    assert_int_equal(member_id(gs, "pool", "sip:10.1.0.1"), old);
    assert_int_not_equal(member_id(gs, "pool", "sip:10.1.0.2"), old);
    /* What is gone names nothing, also when something of that name comes again. */
    uint32_t fresh = group_find(gs, SLICE("fresh"));
    assert_int_equal(configure(gs, sections, 1, T0 + 2), 0);
    assert_int_equal(group_find(gs, SLICE("pool")), 0);
    assert_false(group_has_member(gs, old));
    assert_int_equal(configure(gs, other, 3, T0 + 3), 0);
    assert_int_not_equal(group_find(gs, SLICE("fresh")), fresh);
    assert_false(group_has_member(gs, old));
    groups_free(&gs);
}

static void test_named(void **state)
{
    (void)state;
    section_make(&sections[0], "pool", GROUP_BALANCED, GROUP_ROUND_ROBIN,
                 "sip:a.example.net sip:user@B.example.net:5070 sips:c.example.net:5081 "
                 "sip:d.example.net;transport=TLS sip:[2001:db8::1]:5064;transport=tcp "
                 "sips:e.example.net sip:f.example.net:5060");
    struct groups *gs = groups_of(sections, 1);
    static const struct {
        const char *host;
        uint16_t port;
        int member;
    } cases[] = {
        {"a.example.net", 0, 0},
        {"A.EXAMPLE.net", 5060, 0},
        {"a.example.net", 5061, -1},
        {"b.example.net", 5070, 1},
        {"b.example.net", 0, -1},
        {"b.example.net", 5060, -1},
        {"c.example.net", 5081, 2},
        {"c.example.net", 5061, -1},
        {"d.example.net", 5061, 3},
        {"d.example.net", 0, 3},
        {"d.example.net", 5060, -1},
        {"2001:db8::1", 5064, 4},
        {"[2001:db8::1]", 5064, 4},
        {"e.example.net", 5061, 5},
        {"f.example.net", 0, 6},
        {"user", 0, -1},
        {"", 0, -1},
    };
    for (unsigned i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        uint32_t want = cases[i].member >= 0
                            ? member_id(gs, "pool", sections[0].members[cases[i].member].uri)
                            : 0;
        assert_int_equal(group_member_named(gs, slice_str(cases[i].host), cases[i].port), want);
    }
    groups_free(&gs);
}

/* A reload in the middle: active member, state and history stay. */
static void test_reload_keeps(void **state)
{
    (void)state;
    pair(&sections[0], "main", ONE " " TWO);
    struct groups *gs = groups_of(sections, 1);
    uint32_t one = member_id(gs, "main", ONE), two = member_id(gs, "main", TWO);
    assert_true(group_note_request(gs, two, T0 + 100));
    assert_int_equal(planned(gs, "main", T0 + 100), two);
    assert_true(group_note_answer(gs, two, 200, T0 + 100));
    group_call_begin(gs, one);
    pair(&sections[1], "main", TWO " " ONE);
    assert_int_equal(configure(gs, &sections[1], 1, T0 + 3000), 0);
    assert_int_equal(group_state_of(gs, group_of(one)), GROUP_UP);
    assert_int_equal(group_successor(gs, one), two);
    assert_int_equal(group_successor(gs, two), 0);
    const char *text = dumped(gs, T0 + 4100);
    assert_string_equal(text,
                        "application name=main role=pair state=up active=" QUOTED
                        " since=2023-11-14T22:13:20.100Z switchovers=1 down_count=0 back_count=0\n"
                        "member application=main index=0 uri=" QUOTED " state=active active=true"
                        " addresses=10.0.0.2:5062 since=\"\" calls=0 weight=1 last_answer=200"
                        " answered=2023-11-14T22:13:20.100Z silent_ms=0\n"
                        "member application=main index=1 uri=" ONE " state=reserve active=false"
                        " addresses=10.0.0.1:5060 since=\"\" calls=1 weight=1 last_answer=\"\""
                        " answered=\"\" silent_ms=0\n"
                        "switchover application=main time=2023-11-14T22:13:20.100Z from=" ONE
                        " to=" QUOTED " cause=\"a request came from it\" ms=0\n");
    /* The time of its check stays too. */
    assert_int_equal(planned(gs, "main", T0 + CHECK), 0);
    assert_int_equal(planned(gs, "main", T0 + 100 + CHECK), two);
    /* One that is gone has no name any more. */
    pair(&sections[2], "main", TWO);
    assert_int_equal(configure(gs, &sections[2], 1, T0 + 3000), 0);
    assert_non_null(strstr(dumped(gs, T0 + 4100), " from=\"\" to=" QUOTED " cause="));
    groups_free(&gs);
}

/* In the middle of a search, with the members exchanged. */
static void test_reload_in_search(void **state)
{
    (void)state;
    pair(&sections[0], "main", ONE " " TWO);
    pair(&sections[1], "main", TWO " " ONE);
    struct groups *gs = groups_of(sections, 1);
    uint32_t one = member_id(gs, "main", ONE), two = member_id(gs, "main", TWO);
    assert_int_equal(planned(gs, "main", T0), one);
    assert_true(group_note_answer(gs, one, 200, T0));
    assert_int_equal(planned(gs, "main", T0 + CHECK), one);
    group_note_failed(gs, one, -ECONNREFUSED, T0 + CHECK);
    assert_int_equal(configure(gs, &sections[1], 1, T0 + CHECK), 0);
    assert_int_equal(group_state_of(gs, group_of(one)), GROUP_SEARCH);
    assert_int_equal(group_member_state(gs, one), GROUP_DOWN);
    assert_int_equal(group_member_state(gs, two), GROUP_UNKNOWN);
    assert_int_equal(planned(gs, "main", T0 + CHECK), two);
    group_note_failed(gs, two, -ECONNREFUSED, T0 + CHECK);
    assert_int_equal(group_state_of(gs, group_of(one)), GROUP_SEARCH);
    (void)planned(gs, "main", T0 + CHECK + FORCE);
    assert_int_equal(group_state_of(gs, group_of(one)), GROUP_DOWN);
    groups_free(&gs);
}

/* The active member is not there any more. */
static void test_reload_without_active(void **state)
{
    (void)state;
    pair(&sections[0], "main", ONE " " TWO);
    struct groups *gs = groups_of(sections, 1);
    uint32_t two = member_id(gs, "main", TWO);
    assert_true(group_note_request(gs, two, T0));
    pair(&sections[1], "main", ONE " sip:10.0.0.3");
    assert_int_equal(configure(gs, &sections[1], 1, T0 + 1), 0);
    assert_int_equal(group_state_of(gs, group_of(two)), GROUP_UNKNOWN);
    assert_int_equal(planned(gs, "main", T0 + 1), member_id(gs, "main", ONE));
    assert_int_equal(group_successor(gs, two), 0);
    /* A pair becomes a pool: its members begin anew. */
    section_make(&sections[1], "main", GROUP_BALANCED, GROUP_ROUND_ROBIN, ONE " " TWO);
    assert_int_equal(configure(gs, &sections[1], 1, T0 + 2), 0);
    assert_int_equal(group_state_of(gs, group_of(two)), GROUP_UNKNOWN);
    assert_int_equal(planned(gs, "main", T0 + 2), member_id(gs, "main", ONE));
    assert_int_equal(planned(gs, "main", T0 + 2), member_id(gs, "main", TWO));
    groups_free(&gs);
}

static void on_changed(void *user)
{
    ++*(unsigned *)user;
}

/* As an administrator may call a member. */
static void test_places(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        int err;
        uint32_t place;
    } rows[] = {
        {"sip:10.0.0.1", 0, 0},
        {"SIP:10.0.0.1", 0, 0},
        {"10.0.0.1", 0, 0},
        {"10.0.0.1:5060", 0, 0},
        {"10.0.0.1:5062", ERR_NOT_FOUND, 0},
        {"sip:srv.example.net:5070", 0, 1},
        {"SRV.example.net:5070", 0, 1},
        {"srv.example.net", ERR_UNSUPPORTED, 0},
        {"srv.example.net:5060", 0, 2},
        {"srv.example.net:x", ERR_NOT_FOUND, 0},
        {"srv.example.ne", ERR_NOT_FOUND, 0},
        {"10.0.9.9", 0, 1},
        {"10.0.9.9:5070", 0, 1},
        {"[2001:db8::1]:5080", 0, 3},
        {"[2001:db8::1]", 0, 3},
        {"2001:DB8::1", 0, 3},
        {"[2001:db8::1", ERR_NOT_FOUND, 0},
        {"", ERR_NOT_FOUND, 0},
        {":", ERR_NOT_FOUND, 0},
    };
    section_make(&sections[0], "pool", GROUP_BALANCED, GROUP_ROUND_ROBIN,
                 ONE " sip:srv.example.net:5070 sip:srv.example.net sip:[2001:db8::1]:5080");
    struct groups *gs = groups_of(sections, 1);
    struct addr at = address("10.0.9.9:5070");
    group_set_addrs(gs, member_id(gs, "pool", "sip:srv.example.net:5070"), &at, 1);
    uint32_t pool = group_find(gs, SLICE("pool")), place;
    for (unsigned i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        place = 0;
        int err = group_place_of(gs, pool, slice_str(rows[i].text), &place);
        if (err != rows[i].err || (err == 0 && place != rows[i].place))
            fail_msg("%s: %d, %u", rows[i].text, err, place);
    }
    assert_int_equal(group_place_of(gs, 0, SLICE("10.0.0.1"), &place), ERR_NOT_FOUND);
    groups_free(&gs);
}

static void test_epoch(void **state)
{
    (void)state;
    unsigned told = 0;
    pair(&sections[0], "main", ONE " " TWO);
    struct groups *gs = groups_of(sections, 1);
    groups_set_changed(gs, on_changed, &told);
    uint64_t epoch = groups_epoch(gs);
    uint32_t one = member_id(gs, "main", ONE), two = member_id(gs, "main", TWO);
    (void)planned(gs, "main", T0);
    assert_true(groups_epoch(gs) == epoch && told == 0);
    assert_true(group_note_answer(gs, one, 200, T0));
    assert_true(groups_epoch(gs) > epoch && told == 1);
    epoch = groups_epoch(gs);
    assert_false(group_note_request(gs, one, T0 + 1));
    assert_true(group_note_answer(gs, one, 200, T0 + 2));
    assert_true(groups_epoch(gs) == epoch && told == 1);
    assert_true(group_note_request(gs, two, T0 + 3));
    assert_true(groups_epoch(gs) > epoch && told == 2);
    epoch = groups_epoch(gs);
    /* Trouble is told once, until the check has been made. */
    for (unsigned i = 0; i < 5; i++)
        group_note_trouble(gs, two, -ECONNRESET);
    group_note_trouble(gs, one, -ECONNRESET);
    assert_true(groups_epoch(gs) == epoch + 1 && told == 3);
    assert_int_equal(planned(gs, "main", T0 + 4), two);
    group_note_trouble(gs, two, -ECONNRESET);
    assert_int_equal(told, 4);
    assert_int_equal(configure(gs, sections, 1, T0 + 5), 0);
    assert_int_equal(told, 5);
    groups_free(&gs);
}

/* No memory at any point: nothing has changed. */
static void test_no_memory(void **state)
{
    (void)state;
#ifndef HOLDFAST_FAULTS
    skip();
#endif
    static const struct hash_key key = {1, 2};
    struct groups *gs;
    mem_fail_at(1);
    assert_int_equal(groups_new(&key, &gs), ERR_NOMEM);
    mem_fail_at(0);
    pair(&sections[0], "main", ONE " " TWO);
    gs = groups_of(sections, 1);
    uint32_t one = member_id(gs, "main", ONE), two = member_id(gs, "main", TWO);
    struct addr at = address("10.0.0.1");
    assert_true(group_note_request(gs, two, T0));
    struct section other[2];
    pair(&other[0], "main", TWO " " ONE);
    section_make(&other[1], "pool", GROUP_BALANCED, GROUP_ROUND_ROBIN,
                 "sip:10.1.0.1 sip:10.1.0.2 sip:10.1.0.3 sip:10.1.0.4 sip:10.1.0.5");
    section_access(&other[1], "10.0.0.0/8");
    unsigned failures = 0;
    for (uint64_t n = 1;; n++) {
        mem_fail_at(n);
        int err = configure(gs, other, 2, T0 + 1);
        bool has_failed = mem_failed();
        mem_fail_at(0);
        if (!has_failed) {
            assert_int_equal(err, 0);
            break;
        }
        assert_int_equal(err, ERR_NOMEM);
        assert_int_equal(groups_count(gs), 1);
        assert_int_equal(group_sender(gs, &at, 5060, GROUP_TLS), one);
        assert_int_equal(group_successor(gs, one), two);
        failures++;
    }
    assert_in_range(failures, 10, 100);
    assert_int_equal(groups_count(gs), 2);
    assert_int_equal(group_sender(gs, &at, 5060, GROUP_TLS), one);
    assert_int_equal(group_successor(gs, one), two);
    groups_free(&gs);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_none),
        cmocka_unit_test(test_ids),
        cmocka_unit_test(test_named),
        cmocka_unit_test(test_reload_keeps),
        cmocka_unit_test(test_reload_in_search),
        cmocka_unit_test(test_reload_without_active),
        cmocka_unit_test(test_places),
        cmocka_unit_test(test_epoch),
        cmocka_unit_test(test_no_memory),
    };
    return cmocka_run_group_tests(tests, be_quiet, NULL);
}
