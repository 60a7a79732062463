/* SPDX-License-Identifier: Apache-2.0 */
/* ICMP says that a request did not arrive: the next way is tried at once, a member of an
 * application is asked, and what stands goes on. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

#include "checks.h"

#define APP_A "10.0.1.1:5060"
#define APP_B "10.0.1.2:5060"
#define APPS                                                                              \
    OPEN "applications = main\nserving-sipserver = main\noos-check = 30\noos-force = 5\n" \
         "[application main]\n"
#define PAIR     APPS "primary = sip:10.0.1.1\nbackup = sip:10.0.1.2\n"
#define BALANCED APPS "role = balanced\nmembers = sip:10.0.1.1, sip:10.0.1.2\n"

static struct rig r;
static struct got got, inv, check, ok;

static void closed(const char *at, int err, const struct got *req)
{
    assert_true(fake_icmp(r.loop, PROXY, at, err, slice_of(req->msg.base, req->msg.len)));
}

static void parse(const struct fake_datagram *d, struct got *out)
{
    struct sip_fault fault;
    assert_true(d->bytes.len < sizeof(out->text));
    memcpy(out->text, d->bytes.ptr, d->bytes.len);
    out->text[d->bytes.len] = '\0';
    assert_int_equal(sip_msg_parse(&out->msg, out->text, d->bytes.len, false, out->hdrs,
                                   SIP_HDRS_MAX, &sip_limits_default, &fault),
                     0);
}

static void expect_at(uint64_t ms)
{
    assert_true(now_ms(&r) == ms);
}

/* --- who has nobody else --- */

/* The caller is told at once; the phone is suspect, and the next call tries it. */
static void phone_is_gone(void **state)
{
    (void)state;
    rig_open(&r, OPEN "[dn 1001]\ncontact = sip:1001@10.0.0.3:5060\n");
    uint64_t now = now_ms(&r);
    struct say w = {0};
    say_udp(&r, CALLER, &w);
    rig_expect_method(&r, PHONE, "INVITE", &inv);
    closed(PHONE, -ECONNREFUSED, &inv);
    rig_expect_status(&r, CALLER, 480, &got);
    assert_non_null(
        strstr(got.text, "\r\nReason: SIP;cause=503;text=\"ICMP: port unreachable\"\r\n"));
    expect_at(now);
    ack_udp(&r, CALLER, &w);
    expect_state(&r, DN_SUSPECT);
    expect_cause(&r, ERR_ICMP_PORT);
    assert_int_equal(rig_counter(&r, CTR_DN_OOS), 0);
    w.branch = "a2";
    w.call_id = "c2";
    say_udp(&r, CALLER, &w);
    rig_expect_method(&r, PHONE, "INVITE", &inv);
    answer_udp(&r, PHONE, &inv, 200, "Contact: <sip:1001@10.0.0.3>\n");
    rig_expect_status(&r, CALLER, 200, &got);
    expect_state(&r, DN_IN_SERVICE);
    rig_close(&r);
}

/* RFC 3263 4.3. */
static void next_address(void **state)
{
    const int errs[] = {-ECONNREFUSED, -EHOSTUNREACH, -ENETUNREACH};
    const char *methods[] = {"INVITE", "MESSAGE"};
    (void)state;
    for (unsigned i = 0; i < 6; i++) {
        rig_open(&r, OPEN);
        fake_set_host(r.loop, "two.invalid", "10.0.0.3,10.0.0.4", 0);
        uint64_t now = now_ms(&r);
        struct say w = {.uri = "sip:bob@two.invalid", .method = methods[i % 2]};
        say_udp(&r, CALLER, &w);
        rig_expect_method(&r, PHONE, methods[i % 2], &inv);
        closed(PHONE, errs[i / 2], &inv);
        rig_expect_method(&r, OTHER, methods[i % 2], &inv);
        expect_at(now);
        assert_int_equal(rig_counter(&r, CTR_FAILOVER), 1);
        answer_udp(&r, OTHER, &inv, 486, "");
        (void)drop_all(&r);
        ack_udp(&r, CALLER, &w);
        rig_close(&r);
    }
}

/* --- a call that stands --- */

static const char *in_dialog(const char *method, unsigned cseq)
{
    static char routes[1024], to[128], uri[128];
    snprintf(routes, sizeof(routes), "%s", route_set(&ok, true));
    snprintf(to, sizeof(to), "%s", rig_value(&ok, SIP_H_TO, 0));
    const char *contact = rig_value(&ok, SIP_H_CONTACT, 0);
    snprintf(uri, sizeof(uri), "%.*s", (int)strcspn(contact + 1, ">"), contact + 1);
    return say(&(struct say){
        .method = method, .uri = uri, .branch = method, .to = to, .cseq = cseq, .extra = routes});
}

static void call_to(const char *callee)
{
    char contact[64];
    snprintf(contact, sizeof(contact), "Contact: <sip:1001@%s>\n", callee);
    say_udp(&r, CALLER, &(struct say){0});
    rig_expect_method(&r, callee, "INVITE", &inv);
    answer_udp(&r, callee, &inv, 200, contact);
    rig_expect_status(&r, CALLER, 200, &ok);
    ok.msg.base = ok.text;
    ok.msg.hdrs = ok.hdrs;
    rig_udp(&r, CALLER, in_dialog("ACK", 1));
    rig_expect_method(&r, callee, "ACK", &got);
}

/* A phone that starts anew, a route that is gone for a moment: its call goes on, for there is
 * nowhere else to go. */
static void call_goes_on(void **state)
{
    const int errs[] = {-ECONNREFUSED, -EHOSTUNREACH};
    (void)state;
    for (unsigned i = 0; i < 2; i++) {
        rig_open(&r, OPEN);
        register_udp(&r, "1001", PHONE, "");
        call_to(PHONE);
        rig_udp(&r, CALLER, in_dialog("INFO", 2));
        rig_expect_method(&r, PHONE, "INFO", &inv);
        closed(PHONE, errs[i], &inv);
        rig_expect_none(&r, NULL);
        assert_int_equal(rig_counter(&r, CTR_ICMP_REQUEST), 1);
        fake_advance(r.loop, 500);
        rig_expect_method(&r, PHONE, "INFO", &inv);
        answer_udp(&r, PHONE, &inv, 200, "");
        rig_expect_status(&r, CALLER, 200, &got);
        assert_int_equal(rig_counter(&r, CTR_CALLS_RELEASED), 0);
        assert_int_equal(rig_counter(&r, CTR_DN_OOS) + rig_counter(&r, CTR_DN_SUSPECT), 0);
        rig_udp(&r, CALLER, in_dialog("BYE", 3));
        rig_expect_method(&r, PHONE, "BYE", &inv);
        answer_udp(&r, PHONE, &inv, 200, "");
        rig_expect_status(&r, CALLER, 200, &got);
        rig_close(&r);
    }
}

/* --- applications --- */

static void answer_check(const char *app, unsigned status)
{
    rig_expect_method(&r, app, "OPTIONS", &check);
    answer_udp(&r, app, &check, status, "");
}

/* The other member has the call at once, and the lost one is asked; until that has failed too it is
 * not taken as gone. */
static void balanced_member(void **state)
{
    (void)state;
    open_checked(&r, BALANCED);
    answer_check(APP_A, 200);
    answer_check(APP_B, 200);
    fake_advance(r.loop, 2000); /* not asked twice in a second */
    uint64_t now = now_ms(&r);
    struct say w = {0};
    const char *first = APP_A, *second = APP_B;
    struct fake_datagram d;
    say_udp(&r, CALLER, &w);
    if (!fake_take_datagram(r.loop, first, &d)) {
        first = APP_B;
        second = APP_A;
        assert_true(fake_take_datagram(r.loop, first, &d));
    }
    assert_true(fake_icmp(r.loop, PROXY, first, -ECONNREFUSED, d.bytes));
    rig_expect_method(&r, second, "INVITE", &inv);
    expect_at(now);
    answer_udp(&r, second, &inv, 180, "");
    rig_expect_status(&r, CALLER, 180, &got);
    fake_advance(r.loop, 0);
    rig_expect_method(&r, first, "OPTIONS", &check);
    assert_int_equal(rig_heard(EV_MEMBER_DOWN), 0);
    closed(first, -ECONNREFUSED, &check);
    assert_int_equal(rig_heard(EV_MEMBER_DOWN), 1);
    expect_at(now);
    answer_udp(&r, second, &inv, 486, "");
    rig_expect_status(&r, CALLER, 486, &got);
    ack_udp(&r, CALLER, &w);
    close_checked(&r);
}

static void open_pair(void)
{
    open_checked(&r, PAIR);
    answer_check(APP_A, 200);
    fake_advance(r.loop, 2000);
    (void)drop_all(&r);
}

/* The active member has died: whatever goes to it is refused. The other one answers checks, and
 * takes what else comes as soon as it has taken over; that is `inv`. */
static void takes_over(const char *method)
{
    struct fake_datagram d;
    bool is_there = false;
    for (unsigned i = 0; i < 10 && !is_there; i++) {
        while (fake_take_datagram(r.loop, APP_A, &d))
            assert_true(fake_icmp(r.loop, PROXY, APP_A, -ECONNREFUSED, d.bytes));
        worker_wake(r.worker); /* the shared groups have changed */
        fake_run(r.loop);
        if (!fake_take_datagram(r.loop, APP_B, &d))
            continue;
        parse(&d, &inv);
        is_there = rig_heard(EV_APP_SWITCHED) != 0 && inv.msg.method != SIP_OPTIONS &&
                   inv.msg.method != SIP_ACK;
        if (!is_there && inv.msg.method != SIP_ACK)
            answer_udp(&r, APP_B, &inv, inv.msg.method == SIP_OPTIONS ? 200 : 503, "");
    }
    assert_true(is_there);
    assert_true(slice_eq(sip_get(&inv.msg, inv.msg.method_text), slice_str(method)));
}

/* The call goes to the other one without a moment's wait. */
static void pair_active_is_gone(void **state)
{
    (void)state;
    open_pair();
    uint64_t now = now_ms(&r);
    say_udp(&r, CALLER, &(struct say){0});
    takes_over("INVITE");
    expect_at(now);
    assert_int_equal(rig_counter(&r, CTR_RETRANS_OUT), 0);
    answer_udp(&r, APP_B, &inv, 486, "");
    rig_expect_status(&r, CALLER, 486, &got);
    ack_udp(&r, CALLER, &(struct say){0});
    (void)drop_all(&r);
    close_checked(&r);
}

/* One that takes calls in reserve too keeps the one that came to it: that the active member is
 * asked is no reason to go back there. */
static void pair_reserve_takes_it(void **state)
{
    struct fake_datagram d;
    struct got other;
    (void)state;
    open_pair();
    say_udp(&r, CALLER, &(struct say){0});
    rig_expect_method(&r, APP_A, "INVITE", &inv);
    closed(APP_A, -ECONNREFUSED, &inv);
    rig_expect_method(&r, APP_B, "INVITE", &inv);
    worker_wake(r.worker);
    fake_run(r.loop);
    while (fake_take_datagram(r.loop, APP_A, &d)) {
        parse(&d, &other);
        assert_int_equal(other.msg.method, SIP_OPTIONS);
    }
    while (fake_take_datagram(r.loop, APP_B, &d)) {
        parse(&d, &other);
        assert_int_equal(other.msg.method, SIP_OPTIONS);
    }
    answer_udp(&r, APP_B, &inv, 486, "");
    rig_expect_status(&r, CALLER, 486, &got);
    ack_udp(&r, CALLER, &(struct say){0});
    (void)drop_all(&r);
    close_checked(&r);
}

/* It is there after all: no switchover, and the call that its reserve has refused goes to it. */
static void pair_active_is_there(void **state)
{
    (void)state;
    open_pair();
    say_udp(&r, CALLER, &(struct say){0});
    rig_expect_method(&r, APP_A, "INVITE", &inv);
    closed(APP_A, -EHOSTUNREACH, &inv);
    rig_expect_method(&r, APP_B, "INVITE", &inv);
    answer_udp(&r, APP_B, &inv, 503, "");
    answer_check(APP_A, 200);
    fake_advance(r.loop, 1000);
    rig_expect_method(&r, APP_A, "INVITE", &inv);
    answer_udp(&r, APP_A, &inv, 486, "");
    (void)drop_all(&r);
    ack_udp(&r, CALLER, &(struct say){0});
    assert_int_equal(rig_heard(EV_APP_SWITCHED), 0);
    close_checked(&r);
}

/* Inside a dialog it waits for who takes over, and goes there. */
static void pair_in_dialog(void **state)
{
    (void)state;
    open_pair();
    uint64_t now = now_ms(&r);
    call_to(APP_A);
    rig_udp(&r, CALLER, in_dialog("INFO", 2));
    takes_over("INFO");
    expect_at(now);
    answer_udp(&r, APP_B, &inv, 200, "");
    rig_expect_status(&r, CALLER, 200, &got);
    assert_int_equal(rig_counter(&r, CTR_CALLS_RELEASED), 0);
    rig_abandon(&r);
}

/* What nobody has seen tells nothing. */
static void forged(void **state)
{
    (void)state;
    open_checked(&r, PAIR);
    answer_check(APP_A, 200);
    fake_advance(r.loop, 2000);
    (void)drop_all(&r);
    say_udp(&r, CALLER, &(struct say){0});
    rig_expect_method(&r, APP_A, "INVITE", &inv);
    closed(APP_B, -ECONNREFUSED, &inv);
    assert_true(fake_icmp(r.loop, PROXY, APP_A, -ECONNREFUSED, SLICE_NONE));
    assert_true(fake_icmp(r.loop, PROXY, APP_A, -ECONNREFUSED, SLICE("INVITE sip:1001@10.0.0.1")));
    rig_expect_none(&r, APP_A);
    rig_expect_none(&r, APP_B);
    assert_int_equal(rig_counter(&r, CTR_ICMP_IGNORED), 3);
    assert_int_equal(rig_counter(&r, CTR_ICMP_REQUEST), 0);
    answer_udp(&r, APP_A, &inv, 486, "");
    (void)drop_all(&r);
    ack_udp(&r, CALLER, &(struct say){0});
    close_checked(&r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(phone_is_gone),
        cmocka_unit_test(next_address),
        cmocka_unit_test(call_goes_on),
        cmocka_unit_test(balanced_member),
        cmocka_unit_test(pair_active_is_gone),
        cmocka_unit_test(pair_reserve_takes_it),
        cmocka_unit_test(pair_active_is_there),
        cmocka_unit_test(pair_in_dialog),
        cmocka_unit_test(forged),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
