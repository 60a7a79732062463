/* SPDX-License-Identifier: Apache-2.0 */
/* A balanced group behind us: a member that is of no use is passed over, dialogs stick, and calls
 * are counted from their INVITE to their end (least calls). */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

#include "calls.h"

#define APP_A "10.0.1.1:5060"
#define APP_B "10.0.1.2:5060"
#define GROUP(more)                                                                    \
    "relay-from = 10.0.0.0/24\nregistrar-open-to = 10.0.0.0/24\napplications = main\n" \
    "serving-sipserver = main\n[application main]\nrole = balanced\n"                  \
    "members = sip:10.0.1.1, sip:10.0.1.2\n" more

static struct rig r;
static struct got got, inv, two;

static int setup(void **state)
{
    (void)state;
    rig_open(&r, GROUP("policy = least-calls\noos-check = 0\n"));
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

/* Which member gets the INVITE of a new call? It is `inv`. */
static const char *invite(const char *call_id)
{
    struct fake_datagram d;
    static char branch[32];
    snprintf(branch, sizeof(branch), "i%s", call_id);
    say_udp(&r, CALLER, &(struct say){.call_id = call_id, .branch = branch});
    const char *who = APP_A;
    if (!fake_take_datagram(r.loop, who, &d)) {
        who = APP_B;
        assert_true(fake_take_datagram(r.loop, who, &d));
    }
    struct sip_fault fault;
    memcpy(inv.text, d.bytes.ptr, d.bytes.len);
    assert_int_equal(sip_msg_parse(&inv.msg, inv.text, d.bytes.len, false, inv.hdrs, SIP_HDRS_MAX,
                                   &sip_limits_default, &fault),
                     0);
    return who;
}

static const char *other_than(const char *who)
{
    return strcmp(who, APP_A) == 0 ? APP_B : APP_A;
}

/* --- least calls ------------------------------------------------------------------------------ */

static void established(const char *who)
{
    answer_udp(&r, who, &inv, 200, "Contact: <sip:b@10.0.1.1>\n");
    rig_expect_status(&r, CALLER, 200, &got);
}

static void bye(const char *who, const char *call_id)
{
    char routes[1024], to[128], branch[32];
    snprintf(routes, sizeof(routes), "%s", route_set(&got, true));
    snprintf(to, sizeof(to), "%s", rig_value(&got, SIP_H_TO, 0));
    snprintf(branch, sizeof(branch), "b%s", call_id);
    say_udp(&r, CALLER,
            &(struct say){.method = "BYE",
                          .uri = strcmp(who, APP_A) == 0 ? "sip:b@10.0.1.1" : "sip:b@10.0.1.2",
                          .call_id = call_id,
                          .branch = branch,
                          .cseq = 2,
                          .to = to,
                          .extra = routes});
    rig_expect_method(&r, who, "BYE", &two);
    answer_udp(&r, who, &two, 200, "");
    rig_expect_status(&r, CALLER, 200, &got);
}

/* The one that has fewer gets the next one, and what has ended counts no more. */
static void fewest_calls(void **state)
{
    (void)state;
    const char *first = invite("1");
    established(first);
    struct got kept = got;
    kept.msg.base = kept.text;
    kept.msg.hdrs = kept.hdrs;
    for (unsigned i = 0; i < 2; i++) {
        const char *next = invite(i == 0 ? "2" : "3");
        assert_string_equal(next, other_than(first));
        answer_udp(&r, next, &inv, 486, ""); /* it has ended */
        drain(next);
        drain(CALLER);
    }
    got = kept;
    bye(first, "1");
    assert_int_equal(rig_calls(&r), 0);
    const char *a = invite("4");
    established(a);
    const char *b = invite("5");
    assert_string_equal(b, other_than(a));
    established(b);
    drain(NULL);
}

/* With the record of its call a member loses it also when nobody has said goodbye. */
static void without_records(void **state)
{
    (void)state;
    rig_reload(&r, "record-route = false\n" GROUP("policy = least-calls\noos-check = 0\n"));
    const char *first = invite("1");
    assert_string_equal(invite("2"), other_than(first));
    answer_udp(&r, other_than(first), &inv, 486, "");
    drain(other_than(first));
    fake_advance(r.loop, 40000);
    drain(NULL);
    /* Both have none. */
    first = invite("3");
    assert_string_equal(invite("4"), other_than(first));
    drain(NULL);
}

/* A call that has gone on to the other member is that one's. */
static void goes_with_the_call(void **state)
{
    (void)state;
    const char *first = invite("1");
    answer_udp(&r, first, &inv, 503, "");
    drain(first);
    rig_expect_method(&r, other_than(first), "INVITE", &two);
    assert_string_equal(invite("2"), first);
    drain(NULL);
}

/* Whoever fails at once has the fewest calls; that is no reason to give it all of them. */
static void fast_failure_is_a_call(void **state)
{
    (void)state;
    char id[8];
    unsigned of_first = 0;
    const char *first = invite("0");
    answer_udp(&r, first, &inv, 500, "");
    drain(NULL);
    for (unsigned i = 1; i <= 10; i++) {
        snprintf(id, sizeof(id), "%u", i);
        const char *next = invite(id);
        bool is_first = strcmp(next, first) == 0;
        of_first += is_first;
        answer_udp(&r, next, &inv, is_first ? 500 : 180, "");
        drain(NULL);
    }
    assert_in_range(of_first, 4, 6);
    /* It is forgotten: the other one has its calls still. */
    fake_advance(r.loop, 5000);
    drain(NULL);
    for (unsigned i = 11; i <= 13; i++) {
        snprintf(id, sizeof(id), "%u", i);
        assert_string_equal(invite(id), first);
        answer_udp(&r, first, &inv, 486, "");
        drain(NULL);
    }
}

/* --- members that are of no use --------------------------------------------------------------- */

static void overloaded_member(void **state)
{
    (void)state;
    const char *first = invite("1");
    answer_udp(&r, first, &inv, 503, "Retry-After: 9\n");
    rig_expect_method(&r, first, "ACK", &got);
    rig_expect_method(&r, other_than(first), "INVITE", &two);
    answer_udp(&r, other_than(first), &two, 200, "");
    rig_expect_status(&r, CALLER, 200, &got);
    assert_int_equal(rig_counter(&r, CTR_FAILOVER), 1);
}

/* 16.7 step 6: whatever is sent next would be refused too. */
static void all_are_overloaded(void **state)
{
    (void)state;
    const char *first = invite("1");
    answer_udp(&r, first, &inv, 503, "Retry-After: 9\n");
    rig_expect_method(&r, other_than(first), "INVITE", &two);
    answer_udp(&r, other_than(first), &two, 503, "Retry-After: 7\n");
    rig_expect_status(&r, CALLER, 503, &got);
    assert_non_null(strstr(got.text, "\r\nRetry-After: "));
    drain(NULL);
}

static void silent_member(void **state)
{
    (void)state;
    const char *first = invite("1");
    fake_advance(r.loop, 4000);
    rig_expect_method(&r, other_than(first), "INVITE", &two);
    answer_udp(&r, other_than(first), &two, 200, "");
    drain(first);
    rig_expect_status(&r, CALLER, 100, &got);
    rig_expect_status(&r, CALLER, 200, &got);
}

/* What it has sent on would make the phone refuse what the next one sends (RFC 3261 8.2.2.2). */
static void leg_of_a_silent_member_is_cancelled(void **state)
{
    struct got leg;
    (void)state;
    rig_reload(&r, GROUP("oos-check = 0\n") "[dn 1001]\ncontact = sip:10.0.0.4\noos-check = 0\n");
    const char *first = invite("1");
    say_udp(&r, first, &(struct say){.sent_by = first, .branch = "leg", .call_id = "1"});
    rig_expect_method(&r, OTHER, "INVITE", &leg);
    answer_udp(&r, OTHER, &leg, 180, "");
    fake_advance(r.loop, 4000);
    rig_expect_method(&r, OTHER, "CANCEL", &got);
    answer_udp(&r, OTHER, &got, 200, "");
    answer_udp(&r, OTHER, &leg, 487, "");
    rig_expect_method(&r, OTHER, "ACK", &got);
    rig_expect_method(&r, other_than(first), "INVITE", &two);
    /* It comes to itself, and to its end: that is not the caller's. */
    answer_udp(&r, first, &inv, 180, "");
    answer_udp(&r, first, &inv, 487, "");
    answer_udp(&r, other_than(first), &two, 200, "");
    drain(first);
    rig_expect_status(&r, CALLER, 100, &got);
    rig_expect_status(&r, CALLER, 200, &got);
}

/* Time passes; `who` answers its checks, and whether an INVITE came is told, which is answered too.
 */
static bool pass(const char *who, uint64_t ms)
{
    bool has_come = false;
    for (; ms != 0; ms -= 100) {
        struct fake_datagram d;
        struct sip_fault fault;
        fake_advance(r.loop, 100);
        while (fake_take_datagram(r.loop, who, &d)) {
            memcpy(two.text, d.bytes.ptr, d.bytes.len);
            assert_int_equal(sip_msg_parse(&two.msg, two.text, d.bytes.len, false, two.hdrs,
                                           SIP_HDRS_MAX, &sip_limits_default, &fault),
                             0);
            has_come = has_come || two.msg.method == SIP_INVITE;
            if (two.msg.method != SIP_ACK)
                answer_udp(&r, who, &two, 200, "");
        }
    }
    return has_come;
}

/* Its checks say that it is out: what it has not been heard to take goes on at once. */
static void member_goes_out(void **state)
{
    (void)state;
    rig_reload(&r, "failover-time = 60\n" GROUP("oos-check = 2\noos-force = 1\n"));
    for (unsigned i = 0; i < 20; i++) {
        (void)pass(APP_A, 100);
        (void)pass(APP_B, 100);
    }
    const char *first = invite("1");
    assert_true(pass(other_than(first), 10000));
    drain(first);
    rig_expect_status(&r, CALLER, 100, &got);
    rig_expect_status(&r, CALLER, 200, &got);
    assert_int_equal(rig_counter(&r, CTR_APP_REPLAYED), 0);
    assert_int_equal(rig_counter(&r, CTR_FAILOVER), 1);
    rig_reload(&r, GROUP("oos-check = 0\n"));
    drain(NULL);
}

/* Both answer their checks, `first` by that status, 0: not at all; other requests are left alone.
 */
static void pass_checks(const char *first, unsigned status, uint64_t ms)
{
    const char *both[] = {first, other_than(first)};
    for (; ms != 0; ms -= 100) {
        fake_advance(r.loop, 100);
        for (unsigned i = 0; i < 2; i++) {
            struct fake_datagram d;
            struct sip_fault fault;
            unsigned with = i == 0 ? status : 200;
            while (fake_take_datagram(r.loop, both[i], &d)) {
                memcpy(got.text, d.bytes.ptr, d.bytes.len);
                assert_int_equal(sip_msg_parse(&got.msg, got.text, d.bytes.len, false, got.hdrs,
                                               SIP_HDRS_MAX, &sip_limits_default, &fault),
                                 0);
                if (got.msg.method == SIP_OPTIONS && with != 0)
                    answer_udp(&r, both[i], &got, with, "");
                else if (got.msg.method == SIP_INVITE && i == 1)
                    answer_udp(&r, both[i], &got, 200, "");
            }
        }
    }
}

/* A call rings by a member, which then answers its checks so. Does it go on by the other one? */
static bool goes_on(unsigned status)
{
    rig_reload(&r, "failover-time = 60\n" GROUP("oos-check = 2\noos-force = 1\n"));
    pass_checks(APP_A, 200, 4000);
    const char *first = invite("1");
    answer_udp(&r, first, &inv, 180, "");
    rig_expect_status(&r, CALLER, 180, &got);
    pass_checks(first, status, 10000);
    uint64_t moved = rig_counter(&r, CTR_FAILOVER);
    if (moved == 0)
        answer_udp(&r, first, &inv, 200, "");
    else
        drain(first);
    rig_expect_status(&r, CALLER, 200, &got);
    rig_reload(&r, GROUP("oos-check = 0\n"));
    drain(NULL);
    return moved != 0;
}

/* What rings by a member that has died goes on by the next one. */
static void member_dies_while_it_rings(void **state)
{
    (void)state;
    assert_true(goes_on(0));
}

/* One that says so itself brings its calls to their end. */
static void member_retires_while_it_rings(void **state)
{
    (void)state;
    assert_false(goes_on(503));
}

/* --- dialogs ---------------------------------------------------------------------------------- */

/* A member of a balanced group has its dialogs for itself. */
static void dialogs_stick(void **state)
{
    (void)state;
    const char *first = invite("1");
    char contact[64];
    snprintf(contact, sizeof(contact), "Contact: <sip:b@%s>\n", first);
    answer_udp(&r, first, &inv, 200, contact);
    rig_expect_status(&r, CALLER, 200, &got);
    struct got dialog = got;
    dialog.msg.base = dialog.text;
    dialog.msg.hdrs = dialog.hdrs;
    for (unsigned i = 0; i < 5; i++) {
        char branch[16];
        snprintf(branch, sizeof(branch), "f%u", i);
        static char routes[1024], uri[64];
        snprintf(routes, sizeof(routes), "%s", route_set(&dialog, true));
        snprintf(uri, sizeof(uri), "sip:b@%s", first);
        say_udp(&r, CALLER,
                &(struct say){.method = "INFO",
                              .uri = uri,
                              .call_id = "1",
                              .branch = branch,
                              .cseq = 2 + i,
                              .to = rig_value(&dialog, SIP_H_TO, 0),
                              .extra = routes});
        rig_expect_method(&r, first, "INFO", &two);
        answer_udp(&r, first, &two, 200, "");
        rig_expect_status(&r, CALLER, 200, &got);
    }
    rig_expect_none(&r, other_than(first));
}

#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(fewest_calls),
        T(without_records),
        T(goes_with_the_call),
        T(fast_failure_is_a_call),
        T(overloaded_member),
        T(all_are_overloaded),
        T(silent_member),
        T(member_goes_out),
        T(dialogs_stick),
        T(leg_of_a_silent_member_is_cancelled),
        T(member_dies_while_it_rings),
        T(member_retires_while_it_rings),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
