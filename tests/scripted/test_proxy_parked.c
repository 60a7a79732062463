/* SPDX-License-Identifier: Apache-2.0 */
/* A member of a pair cannot be reached, and nobody has taken over yet: what is under way waits for
 * whoever does. The pair is watched by checks. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

#include "tls_calls.h"

#define APP_A "10.0.1.1:5060"
#define APP_B "10.0.1.2:5060"
#define PAIR                                                                               \
    "relay-from = 10.0.0.0/24\nregistrar-open-to = 10.0.0.0/24\napplications = main\n"     \
    "serving-sipserver = main\n[application main]\nprimary = sip:10.0.1.1;transport=tcp\n" \
    "backup = sip:10.0.1.2;transport=tcp\noos-check = 5\noos-force = 1\n"

/* One member: it answers its checks by itself, and all else is kept for the script. */
struct member {
    const char *addr;
    unsigned check;    /* the answer to OPTIONS, 0: none */
    unsigned call;     /* the answer to anything else, 0: the script's */
    const char *extra; /* of that */
    struct got got;
    struct fake_conn *by; /* on which `got` came */
    unsigned n;           /* requests but checks and ACKs that came, ever */
    unsigned acks;
};

static struct rig r;
static struct member a, b;
static struct got got, ok;

static void look_at(struct member *m, struct fake_conn *conn)
{
    static struct got msg;
    struct slice bytes;
    struct sip_fault fault;
    while (fake_is_open(conn) && fake_take_message(conn, &bytes)) {
        if (slice_eq(bytes, SLICE("\r\n"))) /* that keep it open */
            continue;
        assert_true(bytes.len < sizeof(msg.text));
        memcpy(msg.text, bytes.ptr, bytes.len);
        assert_int_equal(sip_msg_parse(&msg.msg, msg.text, bytes.len, true, msg.hdrs, SIP_HDRS_MAX,
                                       &sip_limits_default, &fault),
                         0);
        m->acks += msg.msg.is_request && msg.msg.method == SIP_ACK;
        if (!msg.msg.is_request || msg.msg.method == SIP_ACK)
            continue;
        bool is_check = msg.msg.method == SIP_OPTIONS;
        unsigned status = is_check ? m->check : m->call;
        if (!is_check) {
            m->n++;
            m->by = conn;
            m->got = msg;
            m->got.msg.base = m->got.text;
            m->got.msg.hdrs = m->got.hdrs;
        }
        if (status != 0)
            answer_tcp(conn, &msg, status, is_check || m->extra == NULL ? "" : m->extra);
    }
}

static void look(struct member *m)
{
    struct fake_conn *conn;
    for (unsigned i = 0; (conn = fake_opened(r.loop, m->addr, i)) != NULL; i++)
        look_at(m, conn);
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
    a = (struct member){.addr = APP_A, .check = 200};
    b = (struct member){.addr = APP_B, .check = 503, .call = 503};
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
    a.check = b.check = 0;
    rig_abandon(&r);
    return 0;
}

static void dies(struct member *m)
{
    struct fake_conn *conn;
    fake_set_peer(r.loop, m->addr, FAKE_REFUSE);
    for (unsigned i = 0; (conn = fake_opened(r.loop, m->addr, i)) != NULL; i++)
        if (fake_is_open(conn))
            fake_reset(conn);
}

static void takes_over(struct member *m)
{
    m->check = 200;
    m->call = 0;
}

/* The next response but 100; 0: none. */
static unsigned caller_gets(void)
{
    struct fake_datagram d;
    struct sip_fault fault;
    while (fake_take_datagram(r.loop, CALLER, &d)) {
        assert_true(d.bytes.len < sizeof(got.text));
        memcpy(got.text, d.bytes.ptr, d.bytes.len);
        got.text[d.bytes.len] = '\0';
        assert_int_equal(sip_msg_parse(&got.msg, got.text, d.bytes.len, false, got.hdrs,
                                       SIP_HDRS_MAX, &sip_limits_default, &fault),
                         0);
        if (got.msg.is_request || got.msg.status != 100)
            return got.msg.is_request ? 1 : got.msg.status;
    }
    return 0;
}

static void answers(struct member *m, unsigned status)
{
    assert_non_null(m->by);
    answer_tcp(m->by, &m->got, status, "Contact: <sip:b@10.0.1.1;transport=tcp>\n");
}

/* --- outside a dialog ------------------------------------------------------------------------- */

/* A has just died, and B says that it is in reserve. */
static void invite_waits_for_who_takes_over(void **state)
{
    (void)state;
    dies(&a);
    say_udp(&r, CALLER, &(struct say){0});
    pass(1500);
    assert_int_equal(caller_gets(), 0);
    takes_over(&b);
    pass(3000);
    assert_true(b.n != 0);
    assert_int_equal(b.got.msg.method, SIP_INVITE);
    answers(&b, 200);
    assert_int_equal(caller_gets(), 200);
    pass(10000);
    assert_int_equal(caller_gets(), 0);
}

/* And so does what had rung when A died. */
static void ringing_call_is_replayed(void **state)
{
    (void)state;
    say_udp(&r, CALLER, &(struct say){0});
    pass(100);
    assert_int_equal(a.n, 1);
    answers(&a, 180);
    assert_int_equal(caller_gets(), 180);
    dies(&a);
    pass(1500);
    assert_int_equal(caller_gets(), 0);
    takes_over(&b);
    pass(3000);
    assert_int_equal(b.got.msg.method, SIP_INVITE);
    answers(&b, 180);
    answers(&b, 200);
    assert_int_equal(caller_gets(), 180);
    assert_int_equal(caller_gets(), 200);
    assert_int_equal(rig_calls(&r), 1);
}

/* B is there at once: what A has sent on through us ends, or the phone refuses what B sends as the
 * same request (RFC 3261 8.2.2.2). */
static void leg_of_the_dead_member_is_cancelled(void **state)
{
    struct got leg;
    (void)state;
    rig_abandon(&r);
    open_with("sip-enable-tcp-keep-alive = true\n" PAIR
              "[dn 1001]\ncontact = sip:10.0.0.4\noos-check = 0\n");
    say_udp(&r, CALLER, &(struct say){0});
    pass(100);
    struct fake_conn *conn = fake_connect(r.loop, "10.0.1.1:40000", PROXY);
    say_tcp(conn, &(struct say){.sent_by = APP_A, .branch = "leg"});
    rig_expect_method(&r, OTHER, "INVITE", &leg);
    answer_udp(&r, OTHER, &leg, 180, "");
    answers(&a, 180);
    assert_int_equal(caller_gets(), 180);
    pass(TXN_KEEP_MS + 200); /* the 180 has long arrived */
    takes_over(&b);
    fake_reset(conn);
    dies(&a);
    pass(100);
    assert_int_equal(b.n, 1);
    assert_int_equal(b.got.msg.method, SIP_INVITE);
    assert_int_equal(rig_counter(&r, CTR_FAILOVER), 1);
    rig_expect_method(&r, OTHER, "CANCEL", &got);
    answer_udp(&r, OTHER, &got, 200, "");
    answer_udp(&r, OTHER, &leg, 487, "");
    rig_expect_method(&r, OTHER, "ACK", &got);
    answers(&b, 200);
    assert_int_equal(caller_gets(), 200);
    assert_int_equal(rig_calls(&r), 1);
}

static void caller_cancels_what_waits(void **state)
{
    (void)state;
    dies(&a);
    say_udp(&r, CALLER, &(struct say){0});
    pass(1500);
    cancel_udp(&r, CALLER, &(struct say){0});
    assert_int_equal(caller_gets(), 200);
    assert_int_equal(caller_gets(), 487);
    ack_udp(&r, CALLER, &(struct say){0});
    unsigned n = b.n;
    takes_over(&b);
    pass(40000);
    assert_int_equal(b.n, n);
    assert_int_equal(rig_calls(&r), 0);
}

/* Nobody takes over: the call is refused as those that come then are. */
static void both_are_dead(void **state)
{
    (void)state;
    dies(&a);
    dies(&b);
    say_udp(&r, CALLER, &(struct say){0});
    pass(10000);
    assert_int_equal(caller_gets(), 503);
    assert_non_null(strstr(got.text, "\r\nRetry-After: "));
    ack_udp(&r, CALLER, &(struct say){0});
    uint64_t before = rig_counter(&r, CTR_APP_REFUSED);
    say_udp(&r, CALLER, &(struct say){.call_id = "c2", .branch = "a2"});
    assert_int_equal(caller_gets(), 503);
    assert_non_null(strstr(got.text, "\r\nRetry-After: "));
    assert_int_equal(rig_counter(&r, CTR_APP_REFUSED), before + 1);
}

/* A lives, and has given up its role: nobody knows yet that B has it. */
static void role_changes(void **state)
{
    (void)state;
    a.check = a.call = 503;
    say_udp(&r, CALLER, &(struct say){0});
    pass(200);
    assert_int_equal(a.n, 1);
    assert_int_equal(b.n, 1);
    assert_int_equal(caller_gets(), 0);
    takes_over(&b);
    pass(3000);
    assert_int_equal(b.n, 2);
    answers(&b, 200);
    assert_int_equal(caller_gets(), 200);
    assert_int_equal(a.n, 1);
}

/* An overload is none: one look, and nothing is asked again. */
static void overload_is_no_change_of_roles(void **state)
{
    (void)state;
    a.call = 503;
    say_udp(&r, CALLER, &(struct say){0});
    pass(900);
    assert_int_equal(caller_gets(), 0);
    pass(200);
    assert_int_equal(caller_gets(), 503);
    ack_udp(&r, CALLER, &(struct say){0});
    assert_int_equal(a.n, 1);
    assert_int_equal(b.n, 1);
    /* Who says when to come again is believed at once. */
    b.extra = "Retry-After: 3\n";
    say_udp(&r, CALLER, &(struct say){.call_id = "c2", .branch = "a2"});
    pass(100);
    assert_int_equal(caller_gets(), 503);
    assert_non_null(strstr(got.text, "\r\nRetry-After: 3\r\n"));
    ack_udp(&r, CALLER, &(struct say){.call_id = "c2", .branch = "a2"});
}

/* By TLS for its sips: URI alone, which neither of them has: no reason to wait for a switchover. */
static void members_without_tls(void **state)
{
    (void)state;
    rig_abandon(&r);
    open_with(TLS_ONLY PAIR);
    fake_set_peer(r.loop, "10.0.1.1:5061", FAKE_REFUSE);
    fake_set_peer(r.loop, "10.0.1.2:5061", FAKE_REFUSE);
    struct fake_conn *conn = tls_connect(&r, "10.0.0.2:41000");
    struct say w = tls_call("sips:1001@10.0.0.1");
    say_tcp(conn, &w);
    pass(2500);
    do
        rig_expect_tcp(conn, &got);
    while (got.msg.status == 100);
    assert_int_equal(got.msg.status, 480);
    assert_non_null(strstr(got.text, "\r\nWarning: 380 "));
    assert_int_equal(rig_counter(&r, CTR_APP_REPLAYED), 0);
    assert_int_equal(a.n + b.n, 0);
}

/* A was away for a moment only. */
static void member_comes_back(void **state)
{
    (void)state;
    dies(&a);
    say_udp(&r, CALLER, &(struct say){0});
    pass(200);
    fake_set_peer(r.loop, APP_A, FAKE_ACCEPT);
    pass(5000);
    assert_int_equal(a.n, 1);
    answers(&a, 200);
    assert_int_equal(caller_gets(), 200);
}

/* A reload takes the application away: nobody can take over any more. */
static void application_is_taken_away(void **state)
{
    (void)state;
    dies(&a);
    say_udp(&r, CALLER, &(struct say){0});
    pass(1500);
    assert_int_equal(caller_gets(), 0);
    rig_reload(&r, OPEN);
    pass(1500);
    assert_int_equal(caller_gets(), 503);
    ack_udp(&r, CALLER, &(struct say){0});
    pass(1000);
    assert_int_equal(rig_calls(&r), 0);
}

/* --- inside a dialog -------------------------------------------------------------------------- */

static struct say in_dialog(const char *method)
{
    static char routes[1024];
    snprintf(routes, sizeof(routes), "%s", route_set(&ok, true));
    return (struct say){.method = method,
                        .uri = "sip:b@10.0.1.1;transport=tcp",
                        .branch = method,
                        .to = "<sip:1001@10.0.0.1>;tag=t",
                        .cseq = 2,
                        .extra = routes};
}

static void answered(void)
{
    say_udp(&r, CALLER, &(struct say){0});
    pass(100);
    answers(&a, 200);
    assert_int_equal(caller_gets(), 200);
    ok = got;
    ok.msg.base = ok.text;
    ok.msg.hdrs = ok.hdrs;
}

static void acked(void)
{
    struct say w = in_dialog("ACK");
    w.cseq = 1;
    say_udp(&r, CALLER, &w);
}

static void establish(void)
{
    answered();
    acked();
    pass(15000); /* longer than an ACK is kept */
}

/* It is nobody's lost connection either: the call goes on. */
static void ack_waits(void **state)
{
    (void)state;
    answered();
    dies(&a);
    acked();
    pass(200);
    assert_int_equal(rig_calls(&r), 1);
    assert_int_equal(caller_gets(), 0);
    b.acks = 0;
    takes_over(&b);
    pass(3000);
    assert_int_equal(b.acks, 1);
    assert_int_equal(rig_calls(&r), 1);
    pass(20000);
    assert_int_equal(b.acks, 1);
    assert_int_equal(caller_gets(), 0);
}

/* A has taken it with it: B gets a copy. */
static void ack_is_passed_on(void **state)
{
    (void)state;
    answered();
    acked();
    pass(1000);
    assert_int_equal(a.acks, 1);
    dies(&a);
    takes_over(&b);
    pass(3000);
    assert_int_equal(b.acks, 1);
    assert_int_equal(rig_calls(&r), 1);
}

static void request_waits(const char *method)
{
    establish();
    dies(&a);
    struct say w = in_dialog(method);
    say_udp(&r, CALLER, &w);
    pass(1500);
    assert_int_equal(caller_gets(), 0);
    assert_int_equal(rig_calls(&r), 1); /* the call is not ended */
    takes_over(&b);
    pass(3000);
    assert_true(slice_eq(sip_get(&b.got.msg, b.got.msg.method_text), slice_str(method)));
    answers(&b, 200);
    assert_int_equal(caller_gets(), 200);
}

static void bye_waits(void **state)
{
    (void)state;
    request_waits("BYE");
    assert_int_equal(rig_calls(&r), 0);
}

static void reinvite_waits(void **state)
{
    (void)state;
    request_waits("INVITE");
    assert_int_equal(rig_calls(&r), 1);
}

static void info_waits(void **state)
{
    (void)state;
    request_waits("INFO");
    assert_int_equal(rig_calls(&r), 1);
}

/* It comes while it is not known who is active, and meets the one in reserve. */
static void request_meets_the_reserve(void **state)
{
    (void)state;
    establish();
    dies(&a);
    pass(200);
    struct say w = in_dialog("INFO");
    say_udp(&r, CALLER, &w);
    pass(300);
    assert_int_equal(caller_gets(), 0);
    takes_over(&b);
    pass(3000);
    answers(&b, 200);
    assert_int_equal(caller_gets(), 200);
}

/* In vain: the caller is told in time; the call goes on, as the members may come back. */
static void request_waits_in_vain(void **state)
{
    (void)state;
    establish();
    dies(&a);
    struct say w = in_dialog("INFO");
    say_udp(&r, CALLER, &w);
    dies(&b);
    pass(12000);
    assert_int_equal(caller_gets(), 503);
    assert_non_null(strstr(got.text, "\r\nRetry-After: "));
    assert_int_equal(caller_gets(), 0);
    assert_int_equal(rig_calls(&r), 1);
}

#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(invite_waits_for_who_takes_over),
        T(ringing_call_is_replayed),
        T(leg_of_the_dead_member_is_cancelled),
        T(caller_cancels_what_waits),
        T(both_are_dead),
        T(role_changes),
        T(overload_is_no_change_of_roles),
        T(members_without_tls),
        T(member_comes_back),
        T(application_is_taken_away),
        T(ack_waits),
        T(ack_is_passed_on),
        T(bye_waits),
        T(reinvite_waits),
        T(info_waits),
        T(request_meets_the_reserve),
        T(request_waits_in_vain),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
