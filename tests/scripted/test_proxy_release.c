/* SPDX-License-Identifier: Apache-2.0 */
/* A side of a call that cannot be reached any more: what everyone else is told, at once, and that
 * nothing is left of the call. RFC 3261 12.2.1.2, 13.3.1.4, 15; RFC 3326. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

#include "dialog.h"

/* --- nothing left of an initial INVITE --- */

static void initial_invite(void **state)
{
    (void)state;
    begin(ON, false);
    phone_is_gone();
    caller_says(&(struct say){.branch = "i1"});
    fake_advance(s.r.loop, 10);
    caller_gets(480);
    assert_non_null(strstr(s.got.text, "\r\nReason: SIP;cause=503;text=\""));
    ack_udp(&s.r, CALLER, &(struct say){.branch = "i1"});
    assert_int_equal(rig_counter(&s.r, CTR_CALLS_SEEN), 1);
    assert_int_equal(rig_counter(&s.r, CTR_CALLS_RELEASED), 0);
    nothing_is_left();
}

/* A next hop that is no DN of ours. */
static void initial_invite_to_a_next_hop(void **state)
{
    (void)state;
    rig_open(&s.r, ON);
    struct say w = {.branch = "i1", .uri = "sip:x@10.0.0.4:5060;transport=tcp"};
    fake_set_peer(s.r.loop, OTHER, FAKE_REFUSE);
    s.caller = NULL;
    say_udp(&s.r, CALLER, &w);
    fake_advance(s.r.loop, 10);
    caller_gets(500);
    assert_non_null(strstr(s.got.text, "\r\nReason: SIP;cause=503;text=\""));
    ack_udp(&s.r, CALLER, &w);
    nothing_is_left();
}

/* It dies while it rings, and cannot be opened again. */
static void lost_while_ringing(void **state)
{
    (void)state;
    begin(ON, false);
    ringing();
    fake_set_peer(s.r.loop, PHONE, FAKE_REFUSE);
    fake_reset(s.phone);
    fake_advance(s.r.loop, 10);
    caller_gets(480);
    ack_udp(&s.r, CALLER, &(struct say){.branch = "i1"});
    nothing_is_left();
}

/* --- inside a dialog --- */

static void lost_request_of_the_caller(void **state)
{
    (void)state;
    static const char *const methods[] = {"INVITE", "INFO", "UPDATE", "REFER", "OPTIONS"};
    for (unsigned i = 0; i < 10; i++) {
        if (i != 0)
            rig_close(&s.r);
        established(ON, i % 2 == 0);
        phone_is_gone();
        struct say w = in_dialog(methods[i / 2]);
        caller_says(&w);
        fake_advance(s.r.loop, 10);
        caller_gets(408); /* first, so that the sender ends the dialog by itself */
        caller_gets_bye();
        assert_int_equal(rig_counter(&s.r, CTR_CALLS_RELEASED), 1);
        assert_int_equal(rig_counter(&s.r, CTR_DN_OOS), 1);
        assert_int_equal(rig_heard(EV_CALL_RELEASED), 1);
        assert_int_equal(rig_heard(EV_DN_OUT), 1);
        if (i / 2 == 0) {
            w.method = "ACK";
            caller_says(&w);
        }
        nothing_is_left();
    }
}

static void lost_request_of_the_phone(void **state)
{
    (void)state;
    static const char *const methods[] = {"INVITE", "INFO", "UPDATE"};
    for (unsigned i = 0; i < 3; i++) {
        if (i != 0)
            rig_close(&s.r);
        established(ON, true);
        caller_is_gone();
        phone_says(methods[i]);
        fake_advance(s.r.loop, 10);
        do
            rig_expect_tcp(s.phone, &s.got);
        while (s.got.msg.status == 100);
        assert_int_equal(s.got.msg.status, 408);
        phone_gets_bye(s.phone);
        assert_int_equal(rig_counter(&s.r, CTR_CALLS_RELEASED), 1);
        assert_int_equal(rig_counter(&s.r, CTR_DN_OOS), 0);
        if (i == 0)
            phone_says("ACK");
        nothing_is_left();
    }
}

/* Silence: tcp-reopen-delay and tcp-connect-timeout. */
static void lost_silently(void **state)
{
    (void)state;
    established(ON, false);
    fake_stall(s.phone, true);
    fake_set_peer(s.r.loop, PHONE, FAKE_BLACKHOLE);
    struct say w = in_dialog("INVITE");
    caller_says(&w);
    fake_advance(s.r.loop, 4000);
    caller_gets(408);
    ack_udp(&s.r, CALLER, &w);
    caller_gets_bye();
    nothing_is_left();
}

/* Two requests wait for one opening: one release. */
static void two_lost_requests(void **state)
{
    (void)state;
    established(ON, false);
    phone_is_gone();
    struct say w = in_dialog("INFO");
    fake_stall(s.phone, true);
    caller_says(&w);
    struct say v = in_dialog("UPDATE");
    v.cseq = 3;
    caller_says(&v);
    fake_stall(s.phone, false);
    fake_advance(s.r.loop, 10);
    caller_gets(408);
    caller_gets_bye();
    caller_gets(408);
    assert_int_equal(rig_counter(&s.r, CTR_CALLS_RELEASED), 1);
    nothing_is_left();
}

/* The BYE of ours finds the phone where it has come back to. */
static void phone_has_come_back(void **state)
{
    (void)state;
    established(ON, true);
    fake_forget(s.caller);
    fake_set_peer(s.r.loop, CALLER, FAKE_BLACKHOLE);
    phone_says("INFO");
    fake_set_peer(s.r.loop, PHONE, FAKE_REFUSE);
    fake_reset(s.phone); /* and the phone's connection too */
    struct fake_conn *own = register_tcp_as(&s.r, "1001", "10.0.0.3", 40009, "", "");
    fake_advance(s.r.loop, 3500);
    expect_tcp_method(own, "BYE", &s.got);
    answer_tcp(own, &s.got, 200, "");
    nothing_is_left();
}

/* Whose answer says that it knows no such call: the record goes, and nobody is bothered. */
static void peer_has_no_such_call(void **state)
{
    (void)state;
    for (unsigned status = 408; status <= 481; status += 73) {
        if (status != 408)
            rig_close(&s.r);
        established(ON, false);
        struct say w = in_dialog("INFO");
        caller_says(&w);
        expect_tcp_method(s.phone, "INFO", &s.got);
        answer_tcp(s.phone, &s.got, status, "");
        caller_gets(status);
        assert_int_equal(rig_counter(&s.r, CTR_CALLS_RELEASED), 0);
        rig_expect_none_tcp(s.phone);
        nothing_is_left();
    }
}

/* It is there and says nothing: the sender is told, or knows, and ends the dialog itself. */
static void silent_peer(void **state)
{
    (void)state;
    static const char *const methods[] = {"INVITE", "INFO"};
    for (unsigned i = 0; i < 2; i++) {
        if (i != 0)
            rig_close(&s.r);
        established(ON, false);
        struct say w = in_dialog(methods[i]);
        caller_says(&w);
        expect_tcp_method(s.phone, methods[i], &s.got);
        fake_advance(s.r.loop, 32000);
        if (i == 0) {
            caller_gets(408);
            ack_udp(&s.r, CALLER, &w);
        } else {
            rig_expect(&s.r, CALLER, &s.got);
            assert_int_equal(s.got.msg.status, 100);
        }
        rig_expect_none(&s.r, CALLER);
        rig_expect_none_tcp(s.phone);
        assert_int_equal(rig_calls(&s.r), 1);
        assert_int_equal(rig_counter(&s.r, CTR_CALLS_RELEASED), 0);
        assert_int_equal(rig_counter(&s.r, CTR_DN_SUSPECT), 1);
    }
}

/* --- BYE --- */

static void lost_bye(void **state)
{
    (void)state;
    for (unsigned how = 0; how < 3; how++) {
        if (how != 0)
            rig_close(&s.r);
        established(ON, false);
        if (how == 0)
            phone_is_gone();
        struct say w = in_dialog("BYE");
        caller_says(&w);
        fake_advance(s.r.loop, how == 2 ? 32000 : 10);
        if (how == 0)
            caller_gets(408);
        if (how == 1) {
            expect_tcp_method(s.phone, "BYE", &s.got);
            answer_tcp(s.phone, &s.got, 500, "");
            caller_gets(500);
        }
        if (how == 2) {
            expect_tcp_method(s.phone, "BYE", &s.got);
            rig_expect(&s.r, CALLER, &s.got);
            assert_int_equal(s.got.msg.status, 100); /* RFC 4320 4.2: no 408 */
        }
        assert_int_equal(rig_counter(&s.r, CTR_CALLS_RELEASED), 0);
        nothing_is_left();
    }
}

/* The ACK and the BYE behind it wait for one opening: whoever hangs up gets no BYE back. */
static void lost_ack_and_bye(void **state)
{
    (void)state;
    begin(ON, false);
    answered();
    fake_stall(s.phone, true);
    fake_set_peer(s.r.loop, PHONE, FAKE_REFUSE);
    struct say w = in_dialog("ACK");
    w.cseq = 1;
    caller_says(&w);
    w = in_dialog("BYE");
    caller_says(&w);
    fake_advance(s.r.loop, 2500);
    caller_gets(408);
    rig_expect_none(&s.r, CALLER);
    assert_int_equal(rig_counter(&s.r, CTR_CALLS_RELEASED), 0);
    nothing_is_left();
}

/* An ACK that was acknowledged before the connection died is not lost with it. */
static void ack_had_arrived(void **state)
{
    (void)state;
    begin(ON, false);
    answered();
    struct say w = in_dialog("ACK");
    w.cseq = 1;
    caller_says(&w);
    expect_tcp_method(s.phone, "ACK", &s.got);
    fake_advance(s.r.loop, 1000);
    fake_stall(s.phone, true);
    fake_set_peer(s.r.loop, PHONE, FAKE_REFUSE);
    say_udp(&s.r, CALLER, &(struct say){.branch = "other", .call_id = "other"});
    fake_advance(s.r.loop, 2200);
    caller_gets(480);
    ack_udp(&s.r, CALLER, &(struct say){.branch = "other", .call_id = "other"});
    fake_advance(s.r.loop, 5000);
    rig_expect_none(&s.r, CALLER);
    assert_int_equal(rig_counter(&s.r, CTR_CALLS_RELEASED), 0);
    assert_int_equal(rig_calls(&s.r), 1);
}

static void challenged_bye(void **state)
{
    (void)state;
    established(ON, false);
    struct say w = in_dialog("BYE");
    caller_says(&w);
    expect_tcp_method(s.phone, "BYE", &s.got);
    answer_tcp(s.phone, &s.got, 401, "WWW-Authenticate: Digest realm=\"a\", nonce=\"n\"\n");
    caller_gets(401);
    assert_int_equal(rig_calls(&s.r), 1); /* it comes again */
    w = in_dialog("BYE");
    w.cseq = 3;
    caller_says(&w);
    expect_tcp_method(s.phone, "BYE", &s.got);
    answer_tcp(s.phone, &s.got, 200, "");
    caller_gets(200);
    nothing_is_left();
}

/* --- anything else --- */

static void other_requests(void **state)
{
    (void)state;
    static const char *const from[] = {CALLER, "192.0.2.9:5060"};
    static const char *const names[] = {"m0", "m1"};
    rig_open(&s.r, ON);
    s.phone = register_tcp(&s.r, "1001", "10.0.0.3", "");
    fake_advance(s.r.loop, 7000);
    phone_is_gone();
    for (unsigned i = 0; i < 2; i++) {
        say_udp(
            &s.r, from[i],
            &(struct say){
                .method = "MESSAGE", .branch = names[i], .call_id = names[i], .sent_by = from[i]});
        fake_advance(s.r.loop, 10);
        /* A SIP Server is who may have requests relayed. */
        rig_expect_status(&s.r, from[i], i == 0 ? 503 : 480, &s.got);
        assert_non_null(strstr(s.got.text, "\r\nReason: SIP;cause=503;text=\""));
        fake_set_peer(s.r.loop, PHONE, FAKE_ACCEPT);
        s.phone = register_tcp_as(&s.r, "1001", "10.0.0.3", 40100 + i, "", "");
        fake_advance(s.r.loop, 7000);
        phone_is_gone();
    }
}

/* --- the caller is lost --- */

/* Its 2xx cannot be delivered: found at once (backoff) or by the opening that fails. */
static void caller_lost_when_answered(void **state)
{
    (void)state;
    for (unsigned how = 0; how < 3; how++) {
        if (how != 0)
            rig_close(&s.r);
        begin(ON, true);
        ringing();
        fake_advance(s.r.loop, 7000); /* the 180 has arrived */
        fake_set_peer(s.r.loop, CALLER, how == 2 ? FAKE_BLACKHOLE : FAKE_REFUSE);
        if (how == 1)
            fake_forget(s.caller);
        else
            fake_reset(s.caller);
        answer_tcp(s.phone, &s.inv, 200, scene_contact);
        fake_advance(s.r.loop, how == 2 ? 3500 : 10);
        expect_tcp_method(s.phone, "ACK", &s.got);
        assert_int_equal(s.got.msg.cseq, 1);
        assert_string_equal(rig_uri(&s.got), "sip:1001@10.0.0.3:5060;transport=tcp");
        assert_true(slice_eq(sip_get(&s.got.msg, s.got.msg.to_tag), SLICE("t")));
        phone_gets_bye(s.phone);
        assert_int_equal(s.got.msg.cseq, 2);
        assert_int_equal(rig_counter(&s.r, CTR_CALLS_RELEASED), 1);
        nothing_is_left();
    }
}

/* The phone repeats its 2xx, since the first ACK may be lost: it is not called back to life. */
static void caller_lost_and_2xx_repeated(void **state)
{
    (void)state;
    begin(ON, true);
    ringing();
    fake_advance(s.r.loop, 7000);
    fake_set_peer(s.r.loop, CALLER, FAKE_REFUSE);
    fake_reset(s.caller);
    answer_tcp(s.phone, &s.inv, 200, scene_contact);
    fake_advance(s.r.loop, 10);
    expect_tcp_method(s.phone, "ACK", &s.got);
    answer_tcp(s.phone, &s.inv, 200, scene_contact);
    fake_advance(s.r.loop, 10);
    phone_gets_bye(s.phone);
    fake_advance(s.r.loop, 10);
    nothing_is_left();
}

static void caller_lost_while_ringing(void **state)
{
    (void)state;
    begin(ON, true);
    struct fake_conn *second = register_tcp(&s.r, "1001", "10.0.0.4", "");
    fake_advance(s.r.loop, 7000);
    caller_says(&(struct say){.branch = "i1"});
    expect_tcp_method(s.phone, "INVITE", &s.inv);
    static struct got inv2;
    expect_tcp_method(second, "INVITE", &inv2);
    answer_tcp(second, &inv2, 180, "");
    caller_gets(180);
    fake_advance(s.r.loop, 7000);
    caller_is_gone();
    answer_tcp(s.phone, &s.inv, 180, "");
    fake_advance(s.r.loop, 10);
    expect_tcp_method(s.phone, "CANCEL", &s.got);
    assert_non_null(strstr(s.got.text, LOST));
    answer_tcp(s.phone, &s.got, 200, "");
    answer_tcp(s.phone, &s.inv, 487, "");
    expect_tcp_method(second, "CANCEL", &s.got);
    answer_tcp(second, &s.got, 200, "");
    answer_tcp(second, &inv2, 487, "");
    assert_int_equal(rig_counter(&s.r, CTR_CALLS_RELEASED), 1);
    nothing_is_left();
}

/* The 2xx crosses the CANCEL of ours: that phone has a call, and is told the end of it. */
static void caller_lost_and_2xx_crosses(void **state)
{
    (void)state;
    begin(ON, true);
    ringing();
    fake_advance(s.r.loop, 7000);
    caller_is_gone();
    answer_tcp(s.phone, &s.inv, 183, "");
    fake_advance(s.r.loop, 10);
    answer_tcp(s.phone, &s.inv, 200, scene_contact);
    fake_advance(s.r.loop, 10);
    expect_tcp_method(s.phone, "CANCEL", &s.got);
    answer_tcp(s.phone, &s.got, 200, "");
    expect_tcp_method(s.phone, "ACK", &s.got);
    phone_gets_bye(s.phone);
    nothing_is_left();
}

/* Its connection is gone, but it accepts another one: nothing is released. */
static void caller_is_reached_again(void **state)
{
    (void)state;
    begin(ON, true);
    ringing();
    fake_advance(s.r.loop, 7000);
    fake_forget(s.caller);
    answer_tcp(s.phone, &s.inv, 200, scene_contact);
    fake_advance(s.r.loop, 10);
    s.caller = fake_opened(s.r.loop, CALLER, 0);
    assert_non_null(s.caller);
    expect_tcp_status(s.caller, 200, &s.ok);
    struct say ack = in_dialog("ACK");
    ack.cseq = 1;
    caller_says(&ack);
    expect_tcp_method(s.phone, "ACK", &s.got);
    struct say bye = in_dialog("BYE");
    caller_says(&bye);
    expect_tcp_method(s.phone, "BYE", &s.got);
    answer_tcp(s.phone, &s.got, 200, "");
    caller_gets(200);
    assert_int_equal(rig_counter(&s.r, CTR_CALLS_RELEASED), 0);
    nothing_is_left();
}

/* The sender of a re-INVITE is lost: its 2xx cannot be delivered. */
static void caller_lost_inside_a_dialog(void **state)
{
    (void)state;
    established(ON, true);
    struct say w = in_dialog("INVITE");
    caller_says(&w);
    expect_tcp_method(s.phone, "INVITE", &s.inv);
    caller_is_gone();
    answer_tcp(s.phone, &s.inv, 200, scene_contact);
    fake_advance(s.r.loop, 10);
    expect_tcp_method(s.phone, "ACK", &s.got);
    assert_int_equal(s.got.msg.cseq, 2);
    phone_gets_bye(s.phone);
    assert_int_equal(s.got.msg.cseq, 3);
    nothing_is_left();
}

/* UDP tells nothing: the phone repeats its 2xx and ends the call itself (13.3.1.4). */
static void no_ack_comes(void **state)
{
    (void)state;
    begin(ON, false);
    answered();
    fake_advance(s.r.loop, 33000);
    assert_int_equal(rig_counter(&s.r, CTR_CALLS_RELEASED), 0);
    assert_int_equal(rig_calls(&s.r), 1);
    phone_says("BYE");
    rig_expect_method(&s.r, CALLER, "BYE", &s.got);
    answer_udp(&s.r, CALLER, &s.got, 200, "");
    expect_tcp_status(s.phone, 200, &s.got);
    nothing_is_left();
}

/* --- the ACK is lost --- */

static void lost_ack(void **state)
{
    (void)state;
    for (unsigned how = 0; how < 2; how++) {
        if (how != 0)
            rig_close(&s.r);
        begin(ON, how == 0);
        answered();
        if (how == 0) {
            phone_is_gone();
        } else { /* its result says so */
            fake_set_peer(s.r.loop, PHONE, FAKE_REFUSE);
            fake_reset(s.phone);
            fake_advance(s.r.loop, 10);
            struct say info = in_dialog("INFO");
            (void)info;
        }
        struct say ack = in_dialog("ACK");
        ack.cseq = 1;
        caller_says(&ack);
        fake_advance(s.r.loop, 10);
        caller_gets_bye();
        assert_int_equal(rig_counter(&s.r, CTR_CALLS_RELEASED), 1);
        assert_int_equal(rig_counter(&s.r, CTR_DN_OOS), 1);
        nothing_is_left();
    }
}

/* --- forks --- */

static struct fake_conn *forked[2];
static struct got forked_inv[2];

static void fork_two(const char *options)
{
    begin(options, true);
    forked[0] = s.phone;
    forked[1] = register_tcp(&s.r, "1001", "10.0.0.4", "");
    fake_advance(s.r.loop, 7000);
    caller_says(&(struct say){.branch = "i1"});
    for (unsigned i = 0; i < 2; i++) {
        expect_tcp_method(forked[i], "INVITE", &forked_inv[i]);
        rig_tcp(forked[i], rig_response(&forked_inv[i], 180, i == 0 ? "t" : "u", scene_contact));
        caller_gets(180);
    }
}

/* Both answer, the second too late to be cancelled, and the caller is lost: both are ended. */
static void both_forks_answer(void **state)
{
    (void)state;
    for (unsigned late = 0; late < 2; late++) {
        if (late != 0)
            rig_close(&s.r);
        fork_two(ON);
        fake_advance(s.r.loop, 7000);
        fake_set_peer(s.r.loop, CALLER, FAKE_REFUSE);
        fake_reset(s.caller);
        for (unsigned i = 0; i < 2; i++) {
            rig_tcp(forked[i],
                    rig_response(&forked_inv[i], 200, i == 0 ? "t" : "u", scene_contact));
            fake_advance(s.r.loop, late != 0 ? 10000 : 10);
        }
        for (unsigned i = 0; i < 2; i++) {
            rig_expect_tcp(forked[i], &s.got);
            if (s.got.msg.method == SIP_CANCEL) {
                rig_tcp(forked[i], rig_response(&s.got, 200, "x", ""));
                rig_expect_tcp(forked[i], &s.got);
            }
            assert_int_equal(s.got.msg.method, SIP_ACK);
            assert_true(
                slice_eq(sip_get(&s.got.msg, s.got.msg.to_tag), slice_str(i == 0 ? "t" : "u")));
            expect_tcp_method(forked[i], "BYE", &s.got);
            assert_true(
                slice_eq(sip_get(&s.got.msg, s.got.msg.to_tag), slice_str(i == 0 ? "t" : "u")));
            rig_tcp(forked[i], rig_response(&s.got, 200, "x", ""));
        }
        assert_int_equal(rig_counter(&s.r, CTR_CALLS_RELEASED), 2);
        nothing_is_left();
    }
}

/* One of them rings behind a connection that is lost: it alone fails. */
static void one_fork_is_lost(void **state)
{
    (void)state;
    fork_two(ON);
    fake_set_peer(s.r.loop, OTHER, FAKE_REFUSE);
    fake_reset(forked[1]);
    fake_advance(s.r.loop, 10);
    rig_expect_none_tcp(s.caller);
    s.inv = forked_inv[0];
    s.inv.msg.base = s.inv.text;
    s.inv.msg.hdrs = s.inv.hdrs;
    answer_tcp(s.phone, &s.inv, 200, scene_contact);
    caller_gets(200);
    s.ok = s.got;
    s.ok.msg.base = s.ok.text;
    s.ok.msg.hdrs = s.ok.hdrs;
    assert_int_equal(rig_counter(&s.r, CTR_CALLS_RELEASED), 0);
    struct say ack = in_dialog("ACK");
    ack.cseq = 1;
    caller_says(&ack);
    expect_tcp_method(s.phone, "ACK", &s.got);
    struct say bye = in_dialog("BYE");
    caller_says(&bye);
    expect_tcp_method(s.phone, "BYE", &s.got);
    answer_tcp(s.phone, &s.got, 200, "");
    caller_gets(200);
    fake_advance(s.r.loop, 33000);
    nothing_is_left();
}

/* Its ACK was lost and it repeats its 2xx when the call has ended: no record stands for that. */
static void ended_fork_repeats_its_2xx(void **state)
{
    (void)state;
    fork_two(ON);
    rig_tcp(forked[0], rig_response(&forked_inv[0], 200, "t", scene_contact));
    caller_gets(200);
    s.ok = s.got;
    s.ok.msg.base = s.ok.text;
    s.ok.msg.hdrs = s.ok.hdrs;
    struct say bye = in_dialog("BYE");
    caller_says(&bye);
    expect_tcp_method(forked[0], "BYE", &s.got);
    rig_tcp(forked[0], rig_response(&s.got, 200, "x", ""));
    caller_gets(200);
    /* Before the other one has said that it is cancelled, and after. */
    for (unsigned i = 0; i < 2; i++) {
        rig_tcp(forked[0], rig_response(&forked_inv[0], 200, "t", scene_contact));
        caller_gets(200);
        if (i == 0) {
            expect_tcp_method(forked[1], "CANCEL", &s.got);
            rig_tcp(forked[1], rig_response(&s.got, 200, "x", ""));
            rig_tcp(forked[1], rig_response(&forked_inv[1], 487, "u", ""));
            fake_advance(s.r.loop, 1000);
        }
    }
    fake_advance(s.r.loop, 33000);
    nothing_is_left();
}

/* Both answer, and the ACK of the later one cannot be delivered: the other one goes on. */
static void lost_ack_of_one_fork(void **state)
{
    (void)state;
    static char routes[1024];
    for (unsigned how = 0; how < 2; how++) {
        if (how != 0)
            rig_close(&s.r);
        fork_two(ON);
        rig_tcp(forked[0], rig_response(&forked_inv[0], 200, "t", scene_contact));
        caller_gets(200);
        s.ok = s.got;
        s.ok.msg.base = s.ok.text;
        s.ok.msg.hdrs = s.ok.hdrs;
        struct say ack = in_dialog("ACK");
        ack.cseq = 1;
        caller_says(&ack);
        rig_tcp(forked[1], rig_response(&forked_inv[1], 200, "u",
                                        "Contact: <sip:1001@10.0.0.4:5060;transport=tcp>\n"));
        caller_gets(200);
        snprintf(routes, sizeof(routes), "%s", route_set(&s.got, true));
        fake_set_peer(s.r.loop, OTHER, FAKE_REFUSE);
        if (how == 0)
            fake_forget(forked[1]);
        else
            fake_reset(forked[1]);
        fake_advance(s.r.loop, 10);
        ack.branch = "other";
        ack.uri = "sip:1001@10.0.0.4:5060;transport=tcp";
        ack.to = "<sip:1001@10.0.0.1>;tag=u";
        ack.extra = routes;
        caller_says(&ack);
        fake_advance(s.r.loop, 10);
        expect_tcp_method(s.caller, "BYE", &s.got);
        assert_true(slice_eq(sip_get(&s.got.msg, s.got.msg.from_tag), SLICE("u")));
        answer_tcp(s.caller, &s.got, 200, "");
        rig_expect_none_tcp(s.caller);
        assert_int_equal(rig_counter(&s.r, CTR_CALLS_RELEASED), 1);
        assert_int_equal(rig_calls(&s.r), 1);
        fake_advance(s.r.loop, 40000);
        struct say bye = in_dialog("BYE");
        caller_says(&bye);
        do
            rig_expect_tcp(s.phone, &s.got);
        while (s.got.msg.method != SIP_BYE);
        assert_true(slice_eq(sip_get(&s.got.msg, s.got.msg.to_tag), SLICE("t")));
        answer_tcp(s.phone, &s.got, 200, "");
        caller_gets(200);
        nothing_is_left();
    }
}

/* A request inside an early dialog towards the caller, who is gone: nobody need ring. */
static void update_while_ringing(void **state)
{
    (void)state;
    begin(ON, true);
    ringing();
    fake_advance(s.r.loop, 7000);
    caller_is_gone();
    phone_says("UPDATE");
    fake_advance(s.r.loop, 10);
    expect_tcp_status(s.phone, 408, &s.got);
    expect_tcp_method(s.phone, "CANCEL", &s.got);
    answer_tcp(s.phone, &s.got, 200, "");
    answer_tcp(s.phone, &s.inv, 487, "");
    nothing_is_left();
}

#define T(f) cmocka_unit_test_teardown(f, scene_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(initial_invite),
        T(initial_invite_to_a_next_hop),
        T(lost_while_ringing),
        T(lost_request_of_the_caller),
        T(lost_request_of_the_phone),
        T(lost_silently),
        T(two_lost_requests),
        T(phone_has_come_back),
        T(peer_has_no_such_call),
        T(silent_peer),
        T(lost_bye),
        T(lost_ack_and_bye),
        T(ack_had_arrived),
        T(challenged_bye),
        T(other_requests),
        T(caller_lost_when_answered),
        T(caller_lost_and_2xx_repeated),
        T(caller_lost_while_ringing),
        T(caller_lost_and_2xx_crosses),
        T(caller_is_reached_again),
        T(caller_lost_inside_a_dialog),
        T(no_ack_comes),
        T(lost_ack),
        T(both_forks_answer),
        T(one_fork_is_lost),
        T(ended_fork_repeats_its_2xx),
        T(lost_ack_of_one_fork),
        T(update_while_ringing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
