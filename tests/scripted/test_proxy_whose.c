/* SPDX-License-Identifier: Apache-2.0 */
/* What is said of a connection that a device does not let us open names its DN and the call,
 * whatever was on its way: a call, what belongs to one, a check, a BYE of ours. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "dialog.h"

static char lines[8192];

static void note(void *user, enum event ev, unsigned n, const struct field *fields)
{
    size_t len = strlen(lines);
    (void)user;
    assert_true(sizeof(lines) - len > 600);
    len += row_line(event_text(ev)->name, n, fields, lines + len, 600);
    memcpy(lines + len, "\n", 2);
}

static void listen_for_events(void)
{
    lines[0] = '\0';
    event_set_tap(note, NULL);
}

/* One line of that event, and it has both. */
static void expect_event(const char *event, const char *dn, const char *call_id)
{
    static char copy[sizeof(lines)];
    unsigned n = 0, right = 0;
    memcpy(copy, lines, sizeof(lines));
    for (char *save, *line = strtok_r(copy, "\n", &save); line != NULL;
         line = strtok_r(NULL, "\n", &save)) {
        if (strncmp(line, event, strlen(event)) != 0)
            continue;
        n++;
        right += strstr(line, dn) != NULL && strstr(line, call_id) != NULL;
    }
    if (n != 1 || right != 1)
        fail_msg("%u %s, %u with %s and %s:\n%s", n, event, right, dn, call_id, lines);
}

/* Registered by UDP, to be reached by TCP. */
static void by_contact(const char *options)
{
    rig_open(&s.r, options);
    s.caller = NULL;
    rig_udp(&s.r, OTHER,
            "REGISTER sip:10.0.0.1 SIP/2.0\nVia: SIP/2.0/UDP 10.0.0.4:5060;branch=z9hG4bKr\n"
            "From: <sip:1004@10.0.0.1>;tag=r\nTo: <sip:1004@10.0.0.1>\nCall-ID: r\n"
            "CSeq: 1 REGISTER\nContact: <sip:1004@10.0.0.4:5060;transport=tcp>\n"
            "Max-Forwards: 70\nContent-Length: 0\n\n");
    rig_expect_status(&s.r, OTHER, 200, &s.got);
    fake_set_peer(s.r.loop, OTHER, FAKE_REFUSE);
    listen_for_events();
}

static void a_call(void **state)
{
    (void)state;
    by_contact(ON);
    caller_says(&(struct say){.branch = "i1", .uri = "sip:1004@10.0.0.1", .call_id = "one"});
    fake_advance(s.r.loop, 10);
    caller_gets(480);
    ack_udp(&s.r, CALLER, &(struct say){.branch = "i1", .call_id = "one"});
    expect_event("connection_not_opened", " dn=1004 ", " lost=1 call_id=one");
}

static void a_check(void **state)
{
    (void)state;
    by_contact(ON "[dn 1004]\ntype = extension\noos-check = 5\noos-force = 3\n");
    for (unsigned i = 0; i < 100 && strstr(lines, "connection_not_opened") == NULL; i++)
        fake_advance(s.r.loop, 100);
    expect_event("connection_not_opened", " dn=1004 ", " lost=1 call_id=");
    rig_abandon(&s.r);
}

/* --- inside a dialog -------------------------------------------------------------------------- */

static void idle_one_dies(struct fake_conn *conn, const char *addr)
{
    fake_set_peer(s.r.loop, addr, FAKE_REFUSE);
    fake_reset(conn);
    fake_advance(s.r.loop, 10);
    listen_for_events();
}

/* Its connection has ended long ago, so that another one would be opened for it. */
static void to_the_callee(const char *method)
{
    established(ON, false);
    idle_one_dies(s.phone, PHONE);
    struct say w = in_dialog(method);
    if (strcmp(method, "ACK") == 0)
        w.cseq = 1;
    caller_says(&w);
    fake_advance(s.r.loop, 10);
    expect_event("connection_not_opened", " dn=1001 ", " lost=1 call_id=c1");
    rig_abandon(&s.r);
}

static void requests_to_the_callee(void **state)
{
    (void)state;
    to_the_callee("INFO");
    to_the_callee("BYE");
    to_the_callee("ACK");
}

static void a_bye_to_the_caller(void **state)
{
    (void)state;
    begin(ON, false);
    s.caller = register_tcp(&s.r, "alice", "10.0.0.2", "");
    fake_advance(s.r.loop, 7000);
    answered();
    struct say ack = in_dialog("ACK");
    ack.cseq = 1;
    caller_says(&ack);
    fake_advance(s.r.loop, 40000);
    idle_one_dies(s.caller, CALLER);
    phone_says("BYE");
    fake_advance(s.r.loop, 10);
    expect_event("connection_not_opened", " dn=alice ", " lost=1 call_id=c1");
    rig_abandon(&s.r);
}

/* The administrator ends the call. */
static void a_bye_of_ours(void **state)
{
    (void)state;
    established(ON, false);
    idle_one_dies(s.phone, PHONE);
    assert_int_equal(proxy_release(worker_proxy(s.r.worker), SLICE("c1"), NULL), 1);
    fake_advance(s.r.loop, 10);
    expect_event("connection_not_opened", " dn=1001 ", " lost=1 call_id=c1");
    rig_abandon(&s.r);
}

/* --- a dead connection ------------------------------------------------------------------------ */

/* It is opened again for what was sent on it. */
static void a_call_on_a_dead_one(void **state)
{
    (void)state;
    begin(ON, false);
    phone_is_gone();
    listen_for_events();
    caller_says(&(struct say){.branch = "i1"});
    fake_advance(s.r.loop, 10);
    caller_gets(480);
    ack_udp(&s.r, CALLER, &(struct say){.branch = "i1"});
    expect_event("connection_given_up", " dn=1001 ", " lost=1 call_id=c1");
}

#define T(f) cmocka_unit_test_teardown(f, scene_teardown)
#define A(f) cmocka_unit_test(f) /* leaves the rest of the call as it is */

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(a_call),
        A(a_check),
        A(requests_to_the_callee),
        A(a_bye_to_the_caller),
        A(a_bye_of_ours),
        T(a_call_on_a_dead_one),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
