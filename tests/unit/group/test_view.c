/* SPDX-License-Identifier: Apache-2.0 */
/* What each message asks: who sends from there, whose address is that, who has taken over; also
 * while it is being changed. */
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>

#include <cmocka.h>

#include "help.h"

#define ONE "sip:10.0.0.1"
#define TWO "sip:10.0.0.2:5062;transport=tcp"

static struct section sections[2];

static uint32_t sender(struct groups *gs, const char *remote, uint16_t sent_by)
{
    struct addr a = address(remote);
    return group_sender(gs, &a, sent_by, GROUP_TLS);
}

static uint32_t at(struct groups *gs, const char *text)
{
    struct addr a = address(text);
    return group_member_at(gs, &a);
}

static void test_sender(void **state)
{
    (void)state;
    section_make(&sections[0], "main", GROUP_PAIR, GROUP_ROUND_ROBIN, ONE " " TWO);
    section_make(&sections[1], "pool", GROUP_BALANCED, GROUP_ROUND_ROBIN,
                 "sip:[2001:db8::5]:5070 sip:10.0.0.2:5080");
    section_access(&sections[1], "10.7.0.0/16");
    section_access(&sections[1], "2001:db8:7::/48");
    struct groups *gs = groups_of(sections, 2);
    uint32_t one = member_id(gs, "main", ONE), two = member_id(gs, "main", TWO);
    uint32_t six = member_id(gs, "pool", "sip:[2001:db8::5]:5070");
    uint32_t pool = group_find(gs, SLICE("pool"));
    assert_int_equal(sender(gs, "10.0.0.1:5060", 5060), one);
    assert_int_equal(sender(gs, "10.0.0.1:5060", 9), one);
    assert_int_equal(sender(gs, "10.0.0.1:40001", 5060), one); /* a connection of its own */
    assert_int_equal(sender(gs, "10.0.0.1:40001", 5061), 0);   /* somebody else on its host */
    assert_int_equal(sender(gs, "10.0.0.2:40001", 5062), two);
    assert_int_equal(sender(gs, "10.0.0.2:40001", 5080),
                     member_id(gs, "pool", "sip:10.0.0.2:5080"));
    assert_int_equal(sender(gs, "[2001:db8::5]:1", 5070), six);
    assert_int_equal(sender(gs, "10.0.0.3:5060", 5060), 0);
    /* In `access`: the group, no member. */
    uint32_t by_net = sender(gs, "10.7.3.4:1234", 5060);
    assert_int_equal(by_net, pool);
    assert_false(group_is_member(by_net));
    assert_int_equal(sender(gs, "[2001:db8:7:1::9]:1234", 5060), pool);
    assert_int_equal(sender(gs, "10.8.0.1:1234", 5060), 0);
    /* Whose address is it: exactly. */
    assert_int_equal(at(gs, "10.0.0.1:5060"), one);
    assert_int_equal(at(gs, "10.0.0.1:5061"), 0);
    assert_int_equal(at(gs, "10.0.0.2:5062"), two);
    assert_int_equal(at(gs, "10.7.3.4:5060"), 0);
    groups_free(&gs);
}

/* A link-local address is met on an interface, which the URI does not name. */
static void test_link_local(void **state)
{
    (void)state;
    section_make(&sections[0], "main", GROUP_PAIR, GROUP_ROUND_ROBIN, "sip:[fe80::9]:5060");
    struct groups *gs = groups_of(sections, 1);
    struct addr a = address("[fe80::9]:5060");
    a.scope = 3;
    assert_int_equal(group_member_at(gs, &a), member_id(gs, "main", "sip:[fe80::9]:5060"));
    assert_int_not_equal(group_sender(gs, &a, 5060, GROUP_TLS), 0);
    groups_free(&gs);
}

/* Names: by what DNS has said last. */
static void test_addrs(void **state)
{
    (void)state;
    section_make(&sections[0], "main", GROUP_PAIR, GROUP_ROUND_ROBIN,
                 "sip:a.example.net sip:b.example.net");
    struct groups *gs = groups_of(sections, 1);
    uint32_t a = member_id(gs, "main", "sip:a.example.net");
    uint32_t b = member_id(gs, "main", "sip:b.example.net");
    struct addr addrs[GROUP_ADDRS_MAX + 4];
    assert_int_equal(at(gs, "10.0.0.1"), 0);
    addrs[0] = address("10.0.0.1");
    addrs[1] = address("[2001:db8::1]:5060");
    group_set_addrs(gs, a, addrs, 2);
    addrs[0] = address("10.0.0.2");
    group_set_addrs(gs, b, addrs, 1);
    assert_int_equal(at(gs, "10.0.0.1"), a);
    assert_int_equal(sender(gs, "[2001:db8::1]:777", 5060), a);
    assert_int_equal(at(gs, "10.0.0.2"), b);
    addrs[0] = address("10.0.0.3");
    group_set_addrs(gs, a, addrs, 1);
    assert_int_equal(at(gs, "10.0.0.1"), 0);
    assert_int_equal(at(gs, "10.0.0.3"), a);
    group_set_addrs(gs, a, addrs, 0); /* nothing is known: what was known stays */
    assert_int_equal(at(gs, "10.0.0.3"), a);
    for (unsigned i = 0; i < GROUP_ADDRS_MAX + 4; i++) {
        char text[32];
        snprintf(text, sizeof(text), "10.3.0.%u", i + 1);
        addrs[i] = address(text);
    }
    group_set_addrs(gs, a, addrs, GROUP_ADDRS_MAX + 4);
    assert_int_equal(at(gs, "10.3.0.16"), a);
    assert_int_equal(at(gs, "10.3.0.17"), 0);
    /* They stay over a reload. */
    assert_int_equal(configure(gs, sections, 1, T0 + 1), 0);
    assert_int_equal(at(gs, "10.3.0.16"), a);
    groups_free(&gs);
}

/* The same address twice: known to the one that comes first. */
static void test_shared_address(void **state)
{
    (void)state;
    section_make(&sections[0], "main", GROUP_PAIR, GROUP_ROUND_ROBIN, ONE);
    section_make(&sections[1], "pool", GROUP_BALANCED, GROUP_ROUND_ROBIN, ONE " " TWO);
    struct groups *gs = groups_of(sections, 2);
    assert_int_equal(at(gs, "10.0.0.1"), member_id(gs, "main", ONE));
    assert_int_equal(at(gs, "10.0.0.2:5062"), member_id(gs, "pool", TWO));
    groups_free(&gs);
}

static void test_successor(void **state)
{
    (void)state;
    section_make(&sections[0], "main", GROUP_PAIR, GROUP_ROUND_ROBIN, ONE " " TWO);
    section_make(&sections[1], "pool", GROUP_BALANCED, GROUP_ROUND_ROBIN,
                 "sip:10.1.0.1 sip:10.1.0.2");
    struct groups *gs = groups_of(sections, 2);
    uint32_t one = member_id(gs, "main", ONE), two = member_id(gs, "main", TWO);
    uint32_t other = member_id(gs, "pool", "sip:10.1.0.1");
    assert_int_equal(group_successor(gs, two), 0); /* not known yet who is active */
    assert_true(group_note_request(gs, two, T0));
    assert_int_equal(group_successor(gs, one), two);
    assert_int_equal(group_successor(gs, two), 0);
    assert_int_equal(planned(gs, "main", T0 + CHECK), two);
    group_note_failed(gs, two, ERR_CLOSED, T0 + CHECK);
    assert_int_equal(group_successor(gs, one), 0); /* searched */
    assert_int_equal(group_successor(gs, two), 0);
    assert_true(group_note_answer(gs, one, 200, T0 + CHECK));
    assert_int_equal(group_successor(gs, two), one);
    group_note_failed(gs, other, ERR_CLOSED, T0);
    assert_int_equal(group_successor(gs, other), 0);
    assert_int_equal(group_successor(gs, group_of(one)), 0);
    assert_int_equal(group_successor(gs, one + 50), 0);
    groups_free(&gs);
}

/* --- read by some while it is written by one --- */

#define READERS 3
#define ROUNDS  3000

struct race {
    struct groups *gs;
    uint32_t one, two, second;
    _Atomic bool is_over;
    _Atomic unsigned wrong, reads;
};

static void *read_on(void *user)
{
    struct race *r = user;
    struct addr fixed = address("10.0.0.1"), net = address("10.7.0.1"), moves = address("10.3.0.1"),
                none = address("10.4.0.1");
    while (!atomic_load(&r->is_over)) {
        uint32_t successor = group_successor(r->gs, r->one);
        uint32_t moved = group_member_at(r->gs, &moves);
        bool is_right = group_sender(r->gs, &fixed, 5060, GROUP_TLS) == r->one &&
                        group_sender(r->gs, &net, 1, GROUP_TLS) == group_of(r->one) &&
                        group_sender(r->gs, &none, 5060, GROUP_TLS) == 0 &&
                        (successor == 0 || successor == r->two) && (moved == 0 || moved == r->two);
        group_call_begin(r->gs, r->one);
        group_call_end(r->gs, r->one);
        atomic_fetch_add(&r->wrong, !is_right);
        atomic_fetch_add(&r->reads, 1);
    }
    return NULL;
}

static void test_race(void **state)
{
    (void)state;
    struct race r = {0};
    pthread_t threads[READERS];
    section_make(&sections[0], "main", GROUP_PAIR, GROUP_ROUND_ROBIN, ONE " sip:b.example.net");
    section_access(&sections[0], "10.7.0.0/16");
    section_make(&sections[1], "pool", GROUP_BALANCED, GROUP_ROUND_ROBIN,
                 "sip:10.1.0.1 sip:10.1.0.2 sip:10.1.0.3 sip:10.1.0.4 sip:10.1.0.5");
    r.gs = groups_of(sections, 1);
    r.one = member_id(r.gs, "main", ONE);
    r.two = member_id(r.gs, "main", "sip:b.example.net");
    for (unsigned i = 0; i < READERS; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, read_on, &r), 0);
    struct addr addrs[2] = {address("10.3.0.1"), address("10.3.0.2")};
    for (unsigned i = 0; i < ROUNDS || atomic_load(&r.reads) < READERS; i++) {
        (void)group_note_request(r.gs, r.one, T0 + i);
        assert_int_equal(group_switch(r.gs, SLICE("main"), UINT32_MAX, T0 + i), 0);
        group_set_addrs(r.gs, r.two, addrs + i % 2, 1);
        if (i % 100 == 0) /* grows and shrinks */
            assert_int_equal(configure(r.gs, sections, 1 + i / 100 % 2, T0 + i), 0);
    }
    atomic_store(&r.is_over, true);
    for (unsigned i = 0; i < READERS; i++)
        assert_int_equal(pthread_join(threads[i], NULL), 0);
    assert_int_equal(atomic_load(&r.wrong), 0);
    assert_non_null(strstr(dumped(r.gs, T0), ONE));
    groups_free(&r.gs);
}

/* The source of a datagram is whatever its sender writes there: who is reached by TCP or TLS sends
 * no datagrams. `access` is the operator's word. */
static void test_way(void **state)
{
    static const struct {
        const char *uri, *from;
        enum group_way least;
    } cases[] = {
        {"sip:10.0.0.1", "10.0.0.1:5060", GROUP_DATAGRAM},
        {"sip:10.0.0.1;transport=udp", "10.0.0.1:5060", GROUP_DATAGRAM},
        {"sip:x@10.0.0.1:5070;lr;Transport=TCP", "10.0.0.1:5070", GROUP_STREAM},
        {"sip:10.0.0.1:5061;transport=tls", "10.0.0.1:5061", GROUP_TLS},
        {"sips:10.0.0.1:5061", "10.0.0.1:5061", GROUP_TLS},
        {"sips:10.0.0.1:5061;transport=tcp", "10.0.0.1:5061", GROUP_TLS},
    };
    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        section_make(&sections[0], "main", GROUP_PAIR, GROUP_ROUND_ROBIN, cases[i].uri);
        struct addr from = address(cases[i].from), wide = address("10.7.0.1:5060");
        section_access(&sections[0], "10.7.0.0/16");
        struct groups *gs = groups_of(sections, 1);
        uint32_t one = member_id(gs, "main", cases[i].uri);
        for (enum group_way way = GROUP_DATAGRAM; way <= GROUP_TLS; way++) {
            uint32_t want = way >= cases[i].least ? one : 0;
            assert_int_equal(group_sender(gs, &from, 9, way), want);
            from.port ^= 1;
            assert_int_equal(group_sender(gs, &from, from.port ^ 1, way), want);
            from.port ^= 1;
            assert_int_equal(group_sender(gs, &wide, 9, way), group_of(one));
        }
        assert_int_equal(group_member_at(gs, &from), one);
        groups_free(&gs);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_way),
        cmocka_unit_test(test_sender),
        cmocka_unit_test(test_link_local),
        cmocka_unit_test(test_addrs),
        cmocka_unit_test(test_shared_address),
        cmocka_unit_test(test_successor),
        cmocka_unit_test(test_race),
    };
    return cmocka_run_group_tests(tests, be_quiet, NULL);
}
