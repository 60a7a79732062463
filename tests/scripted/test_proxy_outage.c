/* SPDX-License-Identifier: Apache-2.0 */
/* An application goes out of service: what is under way towards it is answered as what comes then
 * is, and nothing waits for Timer B or F. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

#include "calls.h"

#define APP_A "10.0.1.1:5060"
#define APP_B "10.0.1.2:5060"
#define APPS                                                                           \
    "relay-from = 10.0.0.0/24\nregistrar-open-to = 10.0.0.0/24\napplications = main\n" \
    "serving-sipserver = main\noos-check = 2\noos-force = 1\n[application main]\n"
#define PAIR   APPS "primary = sip:10.0.1.1\nbackup = sip:10.0.1.2\n"
#define BY_TCP APPS "primary = sip:10.0.1.1;transport=tcp\nbackup = sip:10.0.1.2;transport=tcp\n"
#define GROUP  APPS "role = balanced\nmembers = sip:10.0.1.1 sip:10.0.1.2\n"

struct member {
    const char *addr;
    unsigned check; /* the answer to OPTIONS, 0: none */
    struct got got; /* the latest request but OPTIONS */
    unsigned n;     /* of those, without what is sent again */
    unsigned cancels, byes;
    char last[64]; /* its branch */
};

static struct rig r;
static struct member a, b;
static struct got got, ok;

static void keep(struct member *m, const struct got *g)
{
    char branch[sizeof(m->last)];
    assert_true(slice_cstr(g->msg.via.branch, branch, sizeof(branch)));
    if (g->msg.method == SIP_CANCEL) {
        m->cancels++;
    } else if (g->msg.method != SIP_ACK && strcmp(branch, m->last) != 0) {
        memcpy(m->last, branch, sizeof(branch));
        m->n++;
        m->byes += g->msg.method == SIP_BYE;
        m->got = *g;
        m->got.msg.base = m->got.text;
        m->got.msg.hdrs = m->got.hdrs;
    }
}

static void read_message(struct slice bytes, struct got *out)
{
    struct sip_fault fault;
    assert_true(bytes.len < sizeof(out->text));
    memcpy(out->text, bytes.ptr, bytes.len);
    out->text[bytes.len] = '\0';
    assert_int_equal(sip_msg_parse(&out->msg, out->text, bytes.len, false, out->hdrs, SIP_HDRS_MAX,
                                   &sip_limits_default, &fault),
                     0);
}

static bool take(const char *to, struct got *out)
{
    struct fake_datagram d;
    if (!fake_take_datagram(r.loop, to, &d))
        return false;
    read_message(d.bytes, out);
    return true;
}

static bool take_tcp(struct fake_conn *conn, struct got *out)
{
    struct slice bytes;
    do
        if (!fake_is_open(conn) || !fake_take_message(conn, &bytes))
            return false;
    while (slice_eq(bytes, SLICE("\r\n"))); /* that keep it open */
    read_message(bytes, out);
    return true;
}

static void look(struct member *m)
{
    static struct got g;
    while (take(m->addr, &g)) {
        if (!g.msg.is_request)
            continue;
        if (g.msg.method != SIP_OPTIONS)
            keep(m, &g);
        else if (m->check != 0)
            answer_udp(&r, m->addr, &g, m->check, "");
    }
    struct fake_conn *conn;
    for (unsigned i = 0; (conn = fake_opened(r.loop, m->addr, i)) != NULL; i++)
        while (take_tcp(conn, &g)) {
            if (g.msg.is_request && g.msg.method == SIP_OPTIONS && m->check != 0)
                answer_tcp(conn, &g, m->check, "");
            else if (g.msg.is_request && g.msg.method != SIP_OPTIONS)
                keep(m, &g);
        }
}

static void pass(uint64_t ms)
{
    for (; ms != 0; ms -= ms < 100 ? ms : 100) {
        look(&a);
        look(&b);
        fake_advance(r.loop, ms < 100 ? ms : 100);
    }
    look(&a);
    look(&b);
}

static void open_with(const char *text)
{
    rig_open(&r, text);
    net_wake(r.loop); /* the first turn */
    fake_run(r.loop);
    a = (struct member){.addr = APP_A, .check = 200};
    b = (struct member){.addr = APP_B, .check = 200};
    pass(1000);
}

static int setup(void **state)
{
    (void)state;
    open_with(PAIR);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    rig_abandon(&r);
    return 0;
}

static void fall_silent(void)
{
    a.check = b.check = 0;
}

static bool is_down(void)
{
    return group_state_of(r.shared.groups, group_find(r.shared.groups, SLICE("main"))) ==
           GROUP_DOWN;
}

/* The next response but 100; 1: a request; 0: none. */
static unsigned caller_gets(void)
{
    while (take(CALLER, &got))
        if (got.msg.is_request || got.msg.status != 100)
            return got.msg.is_request ? 1 : got.msg.status;
    return 0;
}

/* Until it is known that nobody answers. */
static void wait_down(void)
{
    for (unsigned i = 0; !is_down(); i++) {
        assert_true(i < 200);
        assert_int_equal(caller_gets(), 0);
        pass(100);
    }
}

static void refused(void)
{
    assert_int_equal(caller_gets(), 503);
    assert_non_null(strstr(got.text, "\r\nRetry-After: "));
    assert_null(strstr(got.text, "\r\nRetry-After: 0\r\n"));
}

static void refused_at_once(void)
{
    wait_down();
    pass(100);
    refused();
}

/* Within the time that a server in reserve is given. */
static void refused_soon(void)
{
    wait_down();
    pass(100);
    assert_int_equal(caller_gets(), 0);
    pass(4000);
    refused();
}

static void answers(const struct member *m, unsigned status)
{
    answer_udp(&r, m->addr, &m->got, status, "Contact: <sip:b@10.0.1.1>\n");
}

/* --- all are silent --------------------------------------------------------------------------- */

static void invite_is_answered(void **state)
{
    (void)state;
    fall_silent();
    say_udp(&r, CALLER, &(struct say){0});
    refused_at_once();
    ack_udp(&r, CALLER, &(struct say){0});
    pass(300000);
    assert_int_equal(caller_gets(), 0);
    assert_int_equal(rig_calls(&r), 0);
}

static void message_is_answered(void **state)
{
    (void)state;
    fall_silent();
    say_udp(&r, CALLER, &(struct say){.method = "MESSAGE"});
    refused_at_once();
}

/* It has said no more than that it works on it. */
static void invite_is_answered_after_trying(void **state)
{
    (void)state;
    say_udp(&r, CALLER, &(struct say){0});
    pass(100);
    answers(&a, 100);
    fall_silent();
    refused_at_once();
    pass(100);
    assert_true(a.cancels != 0);
}

/* A is back, and its callee has answered. */
static void late_answer_is_ended(void **state)
{
    (void)state;
    fall_silent();
    say_udp(&r, CALLER, &(struct say){0});
    refused_at_once();
    ack_udp(&r, CALLER, &(struct say){0});
    struct member then = a;
    answers(&then, 200);
    pass(100);
    assert_int_equal(a.byes + b.byes, 1);
    assert_int_equal(caller_gets(), 0);
    assert_int_equal(rig_calls(&r), 0);
}

static void cancelled_invite_is_answered(void **state)
{
    (void)state;
    fall_silent();
    say_udp(&r, CALLER, &(struct say){0});
    pass(200);
    cancel_udp(&r, CALLER, &(struct say){0});
    assert_int_equal(caller_gets(), 200);
    wait_down();
    pass(100);
    assert_int_equal(caller_gets(), 487);
}

/* Two ways were tried, and one of them has failed in its own way by then. */
static void two_ways_failed(const char *method)
{
    open_with(BY_TCP);
    fall_silent();
    fake_set_peer(r.loop, APP_B, FAKE_BLACKHOLE);
    say_udp(&r, CALLER, &(struct say){.method = method});
    pass(1500);
    fake_set_peer(r.loop, APP_A, FAKE_BLACKHOLE);
    for (unsigned i = 0; fake_opened(r.loop, APP_A, i) != NULL; i++)
        if (fake_is_open(fake_opened(r.loop, APP_A, i)))
            fake_reset(fake_opened(r.loop, APP_A, i));
    refused_at_once();
}

static void invite_by_two_ways(void **state)
{
    (void)state;
    two_ways_failed("INVITE");
}

static void message_by_two_ways(void **state)
{
    (void)state;
    two_ways_failed("MESSAGE");
}

static void balanced_group_is_silent(void **state)
{
    (void)state;
    open_with(GROUP);
    fall_silent();
    say_udp(&r, CALLER, &(struct say){0});
    say_udp(&r, CALLER, &(struct say){.method = "MESSAGE", .call_id = "m", .branch = "m"});
    refused_at_once();
    refused();
}

/* --- what rings ------------------------------------------------------------------------------- */

static void ring(void)
{
    say_udp(&r, CALLER, &(struct say){0});
    pass(100);
    answers(&a, 180);
    assert_int_equal(caller_gets(), 180);
}

static void ringing_call_waits(void **state)
{
    (void)state;
    ring();
    fall_silent();
    wait_down();
    pass(3000);
    assert_int_equal(caller_gets(), 0);
    b.check = 200;
    pass(3000);
    assert_int_equal(b.got.msg.method, SIP_INVITE);
    answers(&b, 200);
    assert_int_equal(caller_gets(), 200);
}

static void ringing_call_waits_in_vain(void **state)
{
    (void)state;
    ring();
    fall_silent();
    wait_down();
    pass(12000);
    refused();
}

/* --- what they have sent on ------------------------------------------------------------------- */

#define PHONE_1001 "[dn 1001]\ncontact = sip:10.0.0.4\noos-check = 0\n"

static void phone_is_told(const struct got *leg)
{
    rig_expect_method(&r, OTHER, "CANCEL", &got);
    answer_udp(&r, OTHER, &got, 200, "");
    answer_udp(&r, OTHER, leg, 487, "");
    rig_expect_method(&r, OTHER, "ACK", &got);
}

static void leg_ends_with_the_outage(void **state)
{
    struct got leg;
    (void)state;
    rig_abandon(&r);
    open_with(PAIR PHONE_1001);
    ring();
    say_udp(&r, APP_A, &(struct say){.sent_by = APP_A, .branch = "leg"});
    rig_expect_method(&r, OTHER, "INVITE", &leg);
    answer_udp(&r, OTHER, &leg, 180, "");
    fall_silent();
    wait_down();
    rig_expect_none(&r, OTHER);
    unsigned status = 0;
    for (unsigned i = 0; i < 120 && status == 0; i++) {
        pass(100);
        status = caller_gets();
    }
    assert_int_equal(status, 503);
    phone_is_told(&leg);
}

/* It has no partner: the call ends when its connection does. */
static void leg_ends_with_its_server(void **state)
{
    struct got leg;
    (void)state;
    rig_abandon(&r);
    open_with("sip-enable-tcp-keep-alive = true\n" APPS
              "primary = sip:10.0.1.1;transport=tcp\n" PHONE_1001);
    say_udp(&r, CALLER, &(struct say){0});
    pass(100);
    struct fake_conn *by = fake_opened(r.loop, APP_A, 0);
    answer_tcp(by, &a.got, 180, "");
    assert_int_equal(caller_gets(), 180);
    struct fake_conn *conn = fake_connect(r.loop, "10.0.1.1:40000", PROXY);
    say_tcp(conn, &(struct say){.sent_by = APP_A, .branch = "leg"});
    rig_expect_method(&r, OTHER, "INVITE", &leg);
    answer_udp(&r, OTHER, &leg, 180, "");
    pass(TXN_KEEP_MS + 200); /* the 180 has long arrived */
    fake_set_peer(r.loop, APP_A, FAKE_REFUSE);
    fake_reset(conn);
    fake_reset(by);
    pass(100);
    assert_int_equal(caller_gets(), 500);
    phone_is_told(&leg);
}

/* --- one of them answers that it is no use ---------------------------------------------------- */

static void reserve_has_time(void **state)
{
    (void)state;
    a.check = 0;
    b.check = 503;
    say_udp(&r, CALLER, &(struct say){0});
    wait_down();
    pass(100);
    assert_int_equal(caller_gets(), 0);
    b.check = 200;
    pass(3000);
    assert_int_equal(b.got.msg.method, SIP_INVITE);
    answers(&b, 200);
    assert_int_equal(caller_gets(), 200);
}

static void reserve_does_not_take_over(void **state)
{
    (void)state;
    a.check = 0;
    b.check = 503;
    say_udp(&r, CALLER, &(struct say){0});
    say_udp(&r, CALLER, &(struct say){.method = "MESSAGE", .call_id = "m", .branch = "m"});
    refused_soon();
    refused();
}

/* A wants nothing new, and lives. */
static void member_finishes_its_work(void **state)
{
    (void)state;
    ring();
    a.check = b.check = 503;
    wait_down();
    pass(20000);
    assert_int_equal(caller_gets(), 0);
    answers(&a, 200);
    assert_int_equal(caller_gets(), 200);
}

/* --- inside a dialog -------------------------------------------------------------------------- */

static struct say in_dialog(const char *method)
{
    static char routes[1024];
    (void)slice_cstr(slice_str(route_set(&ok, true)), routes, sizeof(routes));
    return (struct say){.method = method,
                        .uri = "sip:b@10.0.1.1",
                        .branch = method,
                        .to = "<sip:1001@10.0.0.1>;tag=t10.0.1.1-5060",
                        .cseq = 2,
                        .extra = routes};
}

static void establish(void)
{
    say_udp(&r, CALLER, &(struct say){0});
    pass(100);
    answers(&a, 200);
    assert_int_equal(caller_gets(), 200);
    ok = got;
    ok.msg.base = ok.text;
    ok.msg.hdrs = ok.hdrs;
    struct say ack = in_dialog("ACK");
    ack.cseq = 1;
    say_udp(&r, CALLER, &ack);
    pass(1000);
    fall_silent();
}

/* The call goes on: the members may come back. */
static void waits_in_vain(const struct say *what)
{
    say_udp(&r, CALLER, what);
    wait_down();
    pass(3000);
    assert_int_equal(caller_gets(), 0);
    pass(8000);
    refused();
    if (strcmp(what->method, "INVITE") == 0)
        ack_udp(&r, CALLER, what);
    while (caller_gets() == 503) /* sent again before that */
        ;
    pass(40000);
    assert_int_equal(caller_gets(), 0);
    assert_int_equal(rig_calls(&r), 1);
}

static void info_waits_in_vain(void **state)
{
    (void)state;
    establish();
    struct say w = in_dialog("INFO");
    waits_in_vain(&w);
}

static void reinvite_waits_in_vain(void **state)
{
    (void)state;
    establish();
    struct say w = in_dialog("INVITE");
    waits_in_vain(&w);
}

static void goes_on_by_b(const char *method)
{
    pass(1000);
    assert_int_equal(caller_gets(), 0);
    b.check = 200;
    pass(4000);
    assert_true(slice_eq(sip_get(&b.got.msg, b.got.msg.method_text), slice_str(method)));
    answers(&b, 200);
    assert_int_equal(caller_gets(), 200);
}

static void bye_waits(void **state)
{
    (void)state;
    establish();
    struct say w = in_dialog("BYE");
    say_udp(&r, CALLER, &w);
    wait_down();
    goes_on_by_b("BYE");
    assert_int_equal(rig_calls(&r), 0);
}

/* It comes when it is known already that nobody answers. */
static void late_bye_waits(void **state)
{
    (void)state;
    establish();
    wait_down();
    struct say w = in_dialog("BYE");
    say_udp(&r, CALLER, &w);
    goes_on_by_b("BYE");
    assert_int_equal(rig_calls(&r), 0);
}

static void late_reinvite_waits(void **state)
{
    (void)state;
    establish();
    wait_down();
    struct say w = in_dialog("INVITE");
    say_udp(&r, CALLER, &w);
    goes_on_by_b("INVITE");
    assert_int_equal(rig_calls(&r), 1);
}

/* What begins something does not. */
static void late_invite_is_refused(void **state)
{
    (void)state;
    fall_silent();
    wait_down();
    say_udp(&r, CALLER, &(struct say){0});
    refused();
}

/* The other member knows nothing of the dialog. */
static void nothing_waits_without_shared_dialogs(void **state)
{
    (void)state;
    rig_reload(&r, PAIR "shared-dialogs = false\n");
    establish();
    struct say w = in_dialog("INFO");
    say_udp(&r, CALLER, &w);
    refused_at_once();
    w.cseq = 3;
    w.branch = "later";
    say_udp(&r, CALLER, &w);
    refused();
}

#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
#define U(name) cmocka_unit_test_teardown(name, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(invite_is_answered),
        T(message_is_answered),
        T(invite_is_answered_after_trying),
        T(late_answer_is_ended),
        T(cancelled_invite_is_answered),
        U(invite_by_two_ways),
        U(message_by_two_ways),
        U(balanced_group_is_silent),
        T(ringing_call_waits),
        T(ringing_call_waits_in_vain),
        T(leg_ends_with_the_outage),
        T(leg_ends_with_its_server),
        T(reserve_has_time),
        T(reserve_does_not_take_over),
        T(member_finishes_its_work),
        T(info_waits_in_vain),
        T(reinvite_waits_in_vain),
        T(bye_waits),
        T(late_bye_waits),
        T(late_reinvite_waits),
        T(late_invite_is_refused),
        T(nothing_waits_without_shared_dialogs),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
