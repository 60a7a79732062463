/* SPDX-License-Identifier: Apache-2.0 */
/* Which members a request may go to, in which order, by each policy. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

#include "base/alloc.h"
#include "help.h"

#define FIVE "sip:10.0.0.1 sip:10.0.0.2 sip:10.0.0.3 sip:10.0.0.4 sip:10.0.0.5"
#define PAIR "sip:10.0.0.1 sip:10.0.0.2"

static struct section section;

/* One choice; which place in the section the first target has, or -1: refused. */
struct choice {
    unsigned status, n;
    uint32_t retry_after;
    unsigned places[GROUP_MEMBERS_MAX];
};

static unsigned place_of(struct slice uri)
{
    for (unsigned i = 0; i < section.conf.nmembers; i++)
        if (slice_eq(uri, slice_str(section.members[i].uri)))
            return i;
    fail_msg("an unknown member");
    return 0;
}

static struct choice choose(struct groups *gs, const char *call_id)
{
    struct room r;
    struct group_choice c;
    struct choice out = {0};
    struct group_keys keys = {slice_str(call_id), SLICE("from"), SLICE("to")};
    room_open(&r);
    uint32_t id = group_find(gs, slice_str(section.conf.name));
    assert_int_equal(group_choose(gs, id, &keys, &r.arena, &c), 0);
    out.status = c.status;
    out.n = c.n;
    out.retry_after = c.retry_after;
    for (unsigned i = 0; i < c.n; i++) {
        out.places[i] = place_of(c.targets[i].uri);
        assert_int_equal(group_of(c.targets[i].member), id);
        for (unsigned k = 0; k < i; k++)
            assert_int_not_equal(out.places[k], out.places[i]);
    }
    room_close(&r);
    return out;
}

static void fail_member(struct groups *gs, unsigned place, uint64_t now)
{
    uint32_t id = member_id(gs, section.conf.name, section.members[place].uri);
    group_note_failed(gs, id, -ECONNREFUSED, now);
}

static void answer_member(struct groups *gs, unsigned place, uint64_t now)
{
    uint32_t id = member_id(gs, section.conf.name, section.members[place].uri);
    assert_true(group_note_answer(gs, id, 200, now));
}

static struct groups *make(enum group_policy policy, const char *members)
{
    section_make(&section, "main", GROUP_BALANCED, policy, members);
    return groups_of(&section, 1);
}

static void test_round_robin(void **state)
{
    (void)state;
    struct groups *gs = make(GROUP_ROUND_ROBIN, FIVE);
    for (unsigned i = 0; i < 12; i++) {
        struct choice c = choose(gs, "x");
        assert_int_equal(c.n, 5);
        for (unsigned k = 0; k < 5; k++)
            assert_int_equal(c.places[k], (i + k) % 5);
    }
    fail_member(gs, 2, T0);
    fail_member(gs, 3, T0);
    unsigned seen[5] = {0};
    for (unsigned i = 0; i < 30; i++) {
        struct choice c = choose(gs, "x");
        assert_int_equal(c.n, 3);
        seen[c.places[0]]++;
    }
    assert_true(seen[0] == 10 && seen[1] == 10 && seen[4] == 10);
    groups_free(&gs);
}

static void test_weighted(void **state)
{
    (void)state;
    static const uint32_t weights[] = {5, 1, 1};
    section_make(&section, "main", GROUP_BALANCED, GROUP_WEIGHTED,
                 "sip:10.0.0.1 sip:10.0.0.2 sip:10.0.0.3");
    section_weights(&section, weights);
    struct groups *gs = groups_of(&section, 1);
    unsigned seen[3] = {0}, row = 0, longest = 0;
    for (unsigned i = 0; i < 700; i++) {
        struct choice c = choose(gs, "x");
        assert_int_equal(c.n, 3);
        seen[c.places[0]]++;
        row = c.places[0] == 0 ? row + 1 : 0;
        longest = row > longest ? row : longest;
    }
    assert_true(seen[0] == 500 && seen[1] == 100 && seen[2] == 100);
    assert_true(longest <= 4); /* smooth: not five in a row, then two */
    /* Without the heavy one the rest share equally. */
    fail_member(gs, 0, T0);
    unsigned rest[3] = {0};
    for (unsigned i = 0; i < 100; i++)
        rest[choose(gs, "x").places[0]]++;
    assert_int_equal(rest[0], 0);
    assert_in_range(rest[1], 49, 51);
    groups_free(&gs);
}

#define CALLS 20000

static void call_id(unsigned i, char *room, size_t size)
{
    snprintf(room, size, "%08x-call-%u@example.net", i * 2654435761u, i);
}

/* Shares by weight; and when a member leaves, its calls are spread and no other one moves. */
static void test_hash(void **state)
{
    (void)state;
    static const uint32_t weights[] = {1, 2, 3, 4, 10};
    static unsigned before[CALLS];
    section_make(&section, "main", GROUP_BALANCED, GROUP_HASH_CALL_ID, FIVE);
    section_weights(&section, weights);
    struct groups *gs = groups_of(&section, 1);
    unsigned seen[5] = {0}, moved[5] = {0};
    char id[64];
    for (unsigned i = 0; i < CALLS; i++) {
        call_id(i, id, sizeof(id));
        before[i] = choose(gs, id).places[0];
        assert_int_equal(choose(gs, id).places[0], before[i]);
        seen[before[i]]++;
    }
    for (unsigned k = 0; k < 5; k++) /* 20 parts; five standard deviations and more */
        assert_in_range(seen[k], CALLS / 20 * weights[k] - 400, CALLS / 20 * weights[k] + 400);
    fail_member(gs, 3, T0);
    for (unsigned i = 0; i < CALLS; i++) {
        call_id(i, id, sizeof(id));
        unsigned now = choose(gs, id).places[0];
        assert_int_not_equal(now, 3);
        if (before[i] == 3)
            moved[now]++;
        else
            assert_int_equal(now, before[i]);
    }
    /* Those of weight 4 are shared by the rest as 1, 2, 3, 10. */
    assert_in_range(moved[0], 150, 350);
    assert_in_range(moved[4], 2250, 2750);
    answer_member(gs, 3, T0 + 1);
    for (unsigned i = 0; i < CALLS; i++) {
        call_id(i, id, sizeof(id));
        assert_int_equal(choose(gs, id).places[0], before[i]);
    }
    groups_free(&gs);
}

/* A reload that takes one out of the middle moves its calls only. */
static void test_hash_reload(void **state)
{
    (void)state;
    struct groups *gs = make(GROUP_HASH_CALL_ID, FIVE);
    static unsigned before[1000];
    char id[64];
    for (unsigned i = 0; i < 1000; i++) {
        call_id(i, id, sizeof(id));
        before[i] = choose(gs, id).places[0];
    }
    section_make(&section, "main", GROUP_BALANCED, GROUP_HASH_CALL_ID,
                 "sip:10.0.0.5 sip:10.0.0.1 sip:10.0.0.2 sip:10.0.0.4");
    assert_int_equal(configure(gs, &section, 1, T0), 0);
    for (unsigned i = 0; i < 1000; i++) {
        call_id(i, id, sizeof(id));
        const char *now = section.members[choose(gs, id).places[0]].uri;
        static const char *const was[] = {"sip:10.0.0.1", "sip:10.0.0.2", "sip:10.0.0.3",
                                          "sip:10.0.0.4", "sip:10.0.0.5"};
        assert_true(before[i] == 2 || strcmp(now, was[before[i]]) == 0);
    }
    groups_free(&gs);
}

/* The next one to be tried is the one that the call would move to. */
static void test_hash_order(void **state)
{
    (void)state;
    struct groups *gs = make(GROUP_HASH_CALL_ID, FIVE);
    char id[64];
    for (unsigned i = 0; i < 50; i++) {
        call_id(i, id, sizeof(id));
        struct choice c = choose(gs, id);
        fail_member(gs, c.places[0], T0);
        assert_int_equal(choose(gs, id).places[0], c.places[1]);
        answer_member(gs, c.places[0], T0 + 1);
    }
    groups_free(&gs);
}

/* By From or To: the Call-ID does not matter. */
static void test_hash_keys(void **state)
{
    (void)state;
    static const enum group_policy policies[] = {GROUP_HASH_FROM, GROUP_HASH_TO};
    for (unsigned p = 0; p < 2; p++) {
        struct groups *gs = make(policies[p], FIVE);
        uint32_t group = group_find(gs, SLICE("main"));
        unsigned firsts = 0;
        for (unsigned i = 0; i < 40; i++) {
            struct group_choice a, b;
            struct room r;
            char who[32], call[32];
            room_open(&r);
            snprintf(who, sizeof(who), "user%u@example.net", i);
            snprintf(call, sizeof(call), "call%u", i);
            struct slice key = slice_str(who), other = slice_str(call);
            struct group_keys one = {SLICE("c"), p == 0 ? key : other, p == 0 ? other : key};
            struct group_keys two = {other, p == 0 ? key : SLICE("o"), p == 0 ? SLICE("o") : key};
            assert_int_equal(group_choose(gs, group, &one, &r.arena, &a), 0);
            assert_int_equal(group_choose(gs, group, &two, &r.arena, &b), 0);
            assert_int_equal(a.targets[0].member, b.targets[0].member);
            firsts |= 1u << (a.targets[0].member & 31);
            room_close(&r);
        }
        assert_true((firsts & (firsts - 1)) != 0); /* not all at one */
        groups_free(&gs);
    }
}

static void test_least_calls(void **state)
{
    (void)state;
    static const uint32_t weights[] = {2, 1};
    section_make(&section, "main", GROUP_BALANCED, GROUP_LEAST_CALLS, PAIR);
    section_weights(&section, weights);
    struct groups *gs = groups_of(&section, 1);
    uint32_t ids[2] = {member_id(gs, "main", "sip:10.0.0.1"),
                       member_id(gs, "main", "sip:10.0.0.2")};
    unsigned seen[2] = {0};
    for (unsigned i = 0; i < 90; i++) {
        unsigned place = choose(gs, "x").places[0];
        seen[place]++;
        group_call_begin(gs, ids[place]);
    }
    assert_in_range(seen[0], 59, 61);
    assert_int_equal(seen[0] + seen[1], 90);
    /* All calls of the first one end: the next ones are its own. */
    for (unsigned i = 0; i < seen[0] + 10; i++) /* more than there were: not below 0 */
        group_call_end(gs, ids[0]);
    for (unsigned i = 0; i < 20; i++) {
        assert_int_equal(choose(gs, "x").places[0], 0);
        group_call_begin(gs, ids[0]);
    }
    assert_non_null(strstr(dumped(gs, T0), " index=0 uri=sip:10.0.0.1 state=unknown active=false "
                                           "addresses=10.0.0.1:5060 "
                                           "since=2023-11-14T22:13:20.000Z calls=20 weight=2 "));
    group_call_begin(gs, 0);
    group_call_end(gs, ids[1] + 99);
    groups_free(&gs);
}

static void test_all_down(void **state)
{
    (void)state;
    struct groups *gs = make(GROUP_ROUND_ROBIN, PAIR);
    fail_member(gs, 0, T0);
    assert_int_equal(choose(gs, "x").n, 1);
    fail_member(gs, 1, T0);
    struct choice c = choose(gs, "x");
    assert_int_equal(c.status, 503);
    assert_int_equal(c.retry_after, FORCE / 1000);
    assert_int_equal(c.n, 0);
    answer_member(gs, 1, T0 + 1);
    c = choose(gs, "x");
    assert_int_equal(c.status, 0);
    assert_int_equal(c.n, 1);
    assert_int_equal(c.places[0], 1);
    groups_free(&gs);
}

/* --- pairs --- */

static struct groups *make_pair(void)
{
    section_make(&section, "main", GROUP_PAIR, GROUP_ROUND_ROBIN, PAIR);
    return groups_of(&section, 1);
}

static void test_pair(void **state)
{
    (void)state;
    struct groups *gs = make_pair();
    for (unsigned i = 0; i < 3; i++) {
        struct choice c = choose(gs, "x");
        assert_true(c.n == 2 && c.places[0] == 0 && c.places[1] == 1);
    }
    assert_true(group_note_request(gs, member_id(gs, "main", "sip:10.0.0.2"), T0));
    struct choice c = choose(gs, "x");
    assert_true(c.n == 2 && c.places[0] == 1 && c.places[1] == 0);
    assert_int_equal(planned(gs, "main", T0 + CHECK), member_id(gs, "main", "sip:10.0.0.2"));
    fail_member(gs, 1, T0 + CHECK);
    assert_int_equal(choose(gs, "x").n, 2); /* searched: both are tried */
    (void)planned(gs, "main", T0 + CHECK);
    fail_member(gs, 0, T0 + CHECK);
    assert_int_equal(choose(gs, "x").n, 2); /* whoever is in reserve may need a moment */
    (void)planned(gs, "main", T0 + CHECK + FORCE);
    c = choose(gs, "x");
    assert_int_equal(c.status, 503);
    assert_int_equal(c.retry_after, FORCE / 1000);
    groups_free(&gs);
}

static unsigned in_dialog(struct groups *gs, uint32_t member, struct room *r,
                          struct group_choice *c)
{
    room_open(r);
    assert_int_equal(group_choose_in_dialog(gs, member, &r->arena, c), 0);
    return c->n;
}

/* Of a pair that shares its dialogs the active one, whoever is named; else who is named. */
static void test_in_dialog(void **state)
{
    (void)state;
    struct groups *gs = make_pair();
    struct room r;
    struct group_choice c;
    uint32_t first = member_id(gs, "main", "sip:10.0.0.1");
    uint32_t second = member_id(gs, "main", "sip:10.0.0.2");
    (void)group_note_request(gs, second, T0);
    assert_int_equal(in_dialog(gs, first, &r, &c), 1);
    assert_int_equal(c.targets[0].member, second);
    room_close(&r);
    section.conf.shares_dialogs = false;
    assert_int_equal(configure(gs, &section, 1, T0), 0);
    assert_int_equal(in_dialog(gs, first, &r, &c), 1);
    assert_int_equal(c.targets[0].member, first);
    room_close(&r);
    assert_int_equal(group_choose_in_dialog(gs, first + 77, NULL, &c), ERR_NOT_FOUND);
    assert_int_equal(group_choose_in_dialog(gs, 0, NULL, &c), ERR_NOT_FOUND);
    groups_free(&gs);
}

static void test_in_dialog_balanced(void **state)
{
    (void)state;
    struct groups *gs = make(GROUP_ROUND_ROBIN, PAIR);
    struct room r;
    struct group_choice c;
    uint32_t second = member_id(gs, "main", "sip:10.0.0.2");
    for (unsigned i = 0; i < 3; i++) {
        assert_int_equal(in_dialog(gs, second, &r, &c), 1);
        assert_int_equal(c.targets[0].member, second);
        room_close(&r);
    }
    fail_member(gs, 1, T0); /* its dialogs stick to it: nobody else knows them */
    assert_int_equal(in_dialog(gs, second, &r, &c), 1);
    room_close(&r);
    fail_member(gs, 0, T0);
    assert_int_equal(in_dialog(gs, second, &r, &c), 0);
    assert_int_equal(c.status, 503);
    room_close(&r);
    groups_free(&gs);
}

static void test_profile(void **state)
{
    (void)state;
    section_make(&section, "main", GROUP_PAIR, GROUP_ROUND_ROBIN, PAIR);
    section.conf.has_tls = true;
    struct groups *gs = groups_of(&section, 1);
    struct room r;
    struct group_choice c;
    struct group_target t;
    char text[GROUP_PROFILE_MAX], name[200];
    assert_int_equal(in_dialog(gs, member_id(gs, "main", "sip:10.0.0.1"), &r, &c), 2);
    assert_true(slice_eq(c.targets[0].profile, SLICE("application main")));
    assert_int_equal(group_member_target(gs, c.targets[0].member, &r.arena, &t), 0);
    assert_true(slice_eq(t.profile, SLICE("application main")));
    assert_true(slice_eq(group_name_of(gs, group_of(t.member), &r.arena), SLICE("main")));
    assert_int_equal(group_name_of(gs, 0, &r.arena).len, 0);
    room_close(&r);
    memset(name, 'a', sizeof(name));
    assert_int_equal(group_profile_name(slice_of(name, sizeof(name)), text).len, GROUP_PROFILE_MAX);
    groups_free(&gs);
}

/* Is it worth waiting for the other member? */
static void test_deputy(void **state)
{
    (void)state;
    struct groups *gs = make_pair();
    uint32_t first = member_id(gs, "main", "sip:10.0.0.1");
    assert_true(group_has_deputy(gs, first, false) && group_has_deputy(gs, first, true));
    section.conf.shares_dialogs = false;
    assert_int_equal(configure(gs, &section, 1, T0), 0);
    assert_true(group_has_deputy(gs, first, false) && !group_has_deputy(gs, first, true));
    (void)planned(gs, "main", T0);
    fail_member(gs, 0, T0);
    (void)planned(gs, "main", T0);
    assert_true(group_has_deputy(gs, first, false));
    fail_member(gs, 1, T0);
    assert_true(group_has_deputy(gs, first, false)); /* down: one of them may begin */
    section.conf.check_ms = 0;
    assert_int_equal(configure(gs, &section, 1, T0), 0);
    assert_false(group_has_deputy(gs, first, false)); /* nobody would find out */
    assert_false(group_has_deputy(gs, 0, false));
    groups_free(&gs);
    gs = make(GROUP_ROUND_ROBIN, PAIR);
    assert_false(group_has_deputy(gs, member_id(gs, "main", "sip:10.0.0.1"), false));
    groups_free(&gs);
}

static void test_no_memory(void **state)
{
    (void)state;
#ifndef HOLDFAST_FAULTS
    skip();
#endif
    struct groups *gs = make(GROUP_LEAST_CALLS, FIVE);
    struct group_keys keys = {SLICE("a"), SLICE("b"), SLICE("c")};
    unsigned failures = 0;
    for (uint64_t n = 1;; n++) {
        struct room r;
        struct group_choice c;
        room_open(&r);
        mem_fail_at(n);
        int err = group_choose(gs, group_find(gs, SLICE("main")), &keys, &r.arena, &c);
        bool has_failed = mem_failed();
        mem_fail_at(0);
        room_close(&r);
        if (!has_failed)
            break;
        assert_int_equal(err, ERR_NOMEM);
        failures++;
    }
    assert_in_range(failures, 2, 50);
    groups_free(&gs);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_round_robin),
        cmocka_unit_test(test_weighted),
        cmocka_unit_test(test_hash),
        cmocka_unit_test(test_hash_reload),
        cmocka_unit_test(test_hash_order),
        cmocka_unit_test(test_hash_keys),
        cmocka_unit_test(test_least_calls),
        cmocka_unit_test(test_all_down),
        cmocka_unit_test(test_pair),
        cmocka_unit_test(test_in_dialog),
        cmocka_unit_test(test_in_dialog_balanced),
        cmocka_unit_test(test_profile),
        cmocka_unit_test(test_deputy),
        cmocka_unit_test(test_no_memory),
    };
    return cmocka_run_group_tests(tests, be_quiet, NULL);
}
