/* SPDX-License-Identifier: Apache-2.0 */
/* A worker that is late: what belongs to calls that exist is looked at before new calls, and under
 * overload those for which there is no room are refused. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "calls.h"

#define MAIN "[application main]\nprimary = sip:10.0.0.6:5060\noos-check = 0\n"
#define ROOM 64 /* in line, at least */

static struct rig r;
static struct got got, sent;
static unsigned number; /* of calls */

/* The next call. */
static struct say call(const char *method)
{
    static char branch[4][32], call_id[4][32];
    unsigned i = ++number % 4;
    snprintf(branch[i], sizeof(branch[i]), "b%u", number);
    snprintf(call_id[i], sizeof(call_id[i]), "call-%u", number);
    return (struct say){.method = method, .branch = branch[i], .call_id = call_id[i]};
}

static void drop(void)
{
    struct fake_datagram d;
    while (fake_take_datagram(r.loop, NULL, &d)) {
    }
}

/* So late for so long; something comes every 10 ms. */
static void lag(uint32_t late_ms, unsigned for_ms)
{
    struct net_late late = {.ms = late_ms};
    fake_set_late(r.loop, &late);
    for (unsigned ms = 0; ms < for_ms; ms += 10) {
        fake_advance(r.loop, 10);
        assert_true(fake_datagram(r.loop, THIRD, PROXY, SLICE("\r\n\r\n")));
        fake_run(r.loop);
    }
    late.ms = 0;
    fake_set_late(r.loop, &late);
}

static void open(const char *options)
{
    number = 0;
    rig_open(&r, options);
    register_udp(&r, "1001", PHONE, "");
}

/* `sent`: the INVITE at the phone; `got`: the 200 at the caller. */
static struct say call_up(void)
{
    struct say what = {.branch = "one", .call_id = "one"};
    say_udp(&r, CALLER, &what);
    rig_expect_method(&r, PHONE, "INVITE", &sent);
    answer_udp(&r, PHONE, &sent, 200, "Contact: <sip:1001@10.0.0.3:5060>\n");
    rig_expect_status(&r, CALLER, 200, &got);
    return what;
}

static void inside(const struct say *of, const char *method, unsigned cseq)
{
    char to[128], branch[64];
    struct say what = *of;
    snprintf(to, sizeof(to), "%s", rig_value(&got, SIP_H_TO, 0));
    snprintf(branch, sizeof(branch), "%s%u", of->branch, cseq);
    what.method = method;
    what.uri = "sip:1001@10.0.0.3:5060";
    what.to = to;
    what.branch = branch;
    what.cseq = cseq;
    what.extra = route_set(&got, true);
    say_udp(&r, CALLER, &what);
}

/* Refuses for lag, and what waits does so in the line. */
static void overload(void)
{
    lag(150, 500);
    lag(5, 150);
    assert_in_range(rig_counter(&r, CTR_LOSS), 1, 100);
    drop();
}

static void finish(void)
{
    fake_advance(r.loop, 60000);
    drop();
    rig_close(&r);
}

/* --- late, and nothing is refused yet --- */

static void what_exists_goes_first(void **state)
{
    (void)state;
    open(OPEN);
    struct say one = call_up();
    lag(30, 200);
    drop();
    fake_hold(r.loop, true);
    for (unsigned i = 0; i < 5; i++) {
        struct say what = call(NULL);
        say_udp(&r, OTHER, &what);
    }
    struct say message = call("MESSAGE");
    inside(&one, "ACK", 1);
    inside(&one, "BYE", 2);
    say_udp(&r, OTHER, &message);
    fake_hold(r.loop, false);
    static const char *const order[] = {"ACK",    "BYE",    "MESSAGE", "INVITE",
                                        "INVITE", "INVITE", "INVITE",  "INVITE"};
    for (size_t i = 0; i < sizeof(order) / sizeof(order[0]); i++)
        rig_expect_method(&r, PHONE, order[i], &sent);
    rig_expect_none(&r, NULL);
    assert_int_equal(rig_counter(&r, CTR_SHED_LAG), 0);
    finish();
}

/* In the order in which they came: a CANCEL that overtook its INVITE would be answered with 481. */
static void a_cancel_follows_its_invite(void **state)
{
    (void)state;
    open(OPEN);
    lag(30, 200);
    drop();
    fake_hold(r.loop, true);
    struct say what = call(NULL);
    say_udp(&r, CALLER, &what);
    cancel_udp(&r, CALLER, &what);
    fake_hold(r.loop, false);
    rig_expect_method(&r, PHONE, "INVITE", &sent);
    rig_expect_status(&r, CALLER, 200, &got);
    assert_non_null(strstr(got.text, " CANCEL"));
    answer_udp(&r, PHONE, &sent, 180, "");
    rig_expect_status(&r, CALLER, 180, &got);
    rig_expect_method(&r, PHONE, "CANCEL", &sent);
    finish();
}

/* A connection's messages stand there too. */
static void streams(void **state)
{
    (void)state;
    open(OPEN);
    struct say one = call_up();
    struct fake_conn *conn = fake_connect(r.loop, "10.0.0.4:40000", PROXY);
    assert_non_null(conn);
    lag(30, 200);
    drop();
    fake_hold(r.loop, true);
    struct say what = call(NULL);
    what.transport = "TCP";
    what.sent_by = "10.0.0.4:40000";
    say_tcp(conn, &what);
    inside(&one, "ACK", 1);
    fake_hold(r.loop, false);
    rig_expect_method(&r, PHONE, "ACK", &sent);
    rig_expect_method(&r, PHONE, "INVITE", &sent);
    finish();
}

/* All in the order in which it came. */
static void no_lag_no_line(void **state)
{
    (void)state;
    open(OPEN "overload-lag = 0\n");
    struct say one = call_up();
    lag(3000, 500);
    drop();
    fake_hold(r.loop, true);
    struct say what = call(NULL);
    say_udp(&r, OTHER, &what);
    inside(&one, "ACK", 1);
    fake_hold(r.loop, false);
    rig_expect_method(&r, PHONE, "INVITE", &sent);
    rig_expect_method(&r, PHONE, "ACK", &sent);
    finish();
}

/* --- overload --- */

static void no_room(void **state)
{
    unsigned invites = 0, refusals = 0;
    struct fake_datagram d;
    (void)state;
    open(OPEN MAIN);
    struct say one = call_up();
    struct got answer = got;
    struct say ringing = {.branch = "two", .call_id = "two"};
    say_udp(&r, CALLER, &ringing);
    rig_expect_method(&r, PHONE, "INVITE", &sent);
    answer_udp(&r, PHONE, &sent, 180, "");
    rig_expect_status(&r, CALLER, 180, &got);
    got = answer;
    overload();
    uint64_t shed = rig_counter(&r, CTR_SHED_LAG);
    fake_hold(r.loop, true);
    for (unsigned i = 0; i < 100; i++) {
        struct say what = call(NULL);
        say_udp(&r, OTHER, &what);
    }
    inside(&one, "ACK", 1);
    say_udp(&r, CALLER, &ringing); /* again: it is known */
    struct say sos = call(NULL), check = call("OPTIONS"), leg = call(NULL);
    sos.uri = "urn:service:sos";
    say_udp(&r, CALLER, &sos);
    check.sent_by = leg.sent_by = "10.0.0.6:5060";
    check.uri = "sip:10.0.0.1";
    say_udp(&r, "10.0.0.6:5060", &check);
    say_udp(&r, "10.0.0.6:5060", &leg);
    inside(&one, "BYE", 2);
    fake_hold(r.loop, false);
    assert_int_equal(rig_counter(&r, CTR_SHED_LAG) - shed, 100 - ROOM);
    rig_expect_method(&r, PHONE, "ACK", &sent);
    rig_expect_method(&r, PHONE, "INVITE", &sent); /* of the application */
    rig_expect_method(&r, PHONE, "BYE", &sent);
    rig_expect_status(&r, CALLER, 180, &got);
    rig_expect_status(&r, "10.0.0.6:5060", 200, &got);
    while (fake_take_datagram(r.loop, OTHER, &d)) {
        assert_memory_equal(d.bytes.ptr, "SIP/2.0 503 ", 12);
        refusals++;
    }
    while (fake_take_datagram(r.loop, PHONE, &d)) {
        assert_memory_equal(d.bytes.ptr, "INVITE ", 7);
        invites++;
    }
    assert_int_equal(refusals, 100 - ROOM);
    assert_int_equal(invites, ROOM);
    finish();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_exists_goes_first),
        cmocka_unit_test(a_cancel_follows_its_invite),
        cmocka_unit_test(streams),
        cmocka_unit_test(no_lag_no_line),
        cmocka_unit_test(no_room),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
