/* SPDX-License-Identifier: Apache-2.0 */
/* What requests tell of their device, and a device that comes back by itself while a request is on
 * its way to where it was. RFC 3261 17.1.3, 17.2.3, 18.1.1; RFC 5626 4.4. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

#include "base/alloc.h"
#include "dialog.h"

static enum dn_state state_of(const char *dn)
{
    return dn_state(s.r.shared.dir, slice_str(dn), s.r.wall + now_ms(&s.r));
}

static struct fake_conn *opened(const char *addr, unsigned n)
{
    struct fake_conn *c = fake_opened(s.r.loop, addr, n);
    if (c == NULL)
        fail_msg("connection %u to %s was not opened", n, addr);
    return c;
}

/* --- states --- */

/* Sent again: suspect; answered: in service. */
static void suspect_and_back(void **state)
{
    (void)state;
    begin(ON, false);
    fake_forget(s.phone);
    caller_says(&(struct say){.branch = "i1"});
    fake_advance(s.r.loop, 1);
    assert_int_equal(state_of("1001"), DN_SUSPECT);
    assert_int_equal(rig_counter(&s.r, CTR_DN_SUSPECT), 1);
    assert_int_equal(rig_heard(EV_DN_SUSPECT), 1);
    assert_int_equal(rig_heard(EV_DN_BACK), 0);
    s.phone = opened(PHONE, 0);
    expect_tcp_method(s.phone, "INVITE", &s.inv);
    answer_tcp(s.phone, &s.inv, 180, "");
    assert_int_equal(state_of("1001"), DN_IN_SERVICE);
    assert_int_equal(rig_counter(&s.r, CTR_DN_BACK), 0); /* it was not out */
    assert_int_equal(rig_heard(EV_DN_BACK), 1);
    assert_int_equal(rig_heard(EV_CONNECTION_STALE), 1);
    assert_int_equal(rig_heard(EV_CONNECTION_REOPENED), 1);
    caller_gets(180);
    fake_reset(s.phone); /* again, after it has been heard */
    fake_advance(s.r.loop, 1);
    assert_int_equal(state_of("1001"), DN_SUSPECT);
    expect_tcp_method(opened(PHONE, 1), "INVITE", &s.inv);
    answer_tcp(opened(PHONE, 1), &s.inv, 486, "");
    assert_int_equal(state_of("1001"), DN_IN_SERVICE);
    caller_gets(486);
    ack_udp(&s.r, CALLER, &(struct say){.branch = "i1"});
}

/* Suspicion is told as well; inside a dialog the DN is known by its token. */
static void suspect_inside_a_dialog(void **state)
{
    (void)state;
    established(ON, false);
    fake_stall(s.phone, true);
    struct say w = in_dialog("INFO");
    caller_says(&w);
    fake_advance(s.r.loop, 1100);
    assert_int_equal(state_of("1001"), DN_SUSPECT);
    expect_tcp_method(opened(PHONE, 0), "INFO", &s.got);
    answer_tcp(opened(PHONE, 0), &s.got, 200, "");
    caller_gets(200);
    assert_int_equal(state_of("1001"), DN_IN_SERVICE);
}

/* Out of service: new requests are refused at once, those of a call go on. */
static void out_of_service_and_its_calls(void **state)
{
    (void)state;
    established(ON, false);
    dn_set_out_of_service(s.r.shared.dir, SLICE("1001"), ERR_UNREACHABLE, s.r.wall + now_ms(&s.r));
    caller_says(&(struct say){.branch = "n1", .call_id = "n1"});
    caller_gets(480);
    ack_udp(&s.r, CALLER, &(struct say){.branch = "n1", .call_id = "n1"});
    assert_string_not_equal(rig_value(&s.got, SIP_H_RETRY_AFTER, 0), "");
    /* By its token, and to the address of record. */
    for (unsigned i = 0; i < 2; i++) {
        struct say w = in_dialog("INFO");
        if (i == 1) {
            w.uri = "sip:1001@10.0.0.1";
            w.extra = "";
        }
        caller_says(&w);
        expect_tcp_method(s.phone, "INFO", &s.got);
        answer_tcp(s.phone, &s.got, 200, "");
        caller_gets(200);
        w.method = "ACK";
        w.branch = "late";
        caller_says(&w);
        expect_tcp_method(s.phone, "ACK", &s.got);
    }
}

/* A response brings it back. */
static void back_by_an_answer(void **state)
{
    (void)state;
    begin(ON, false);
    caller_says(&(struct say){.branch = "i1"});
    expect_tcp_method(s.phone, "INVITE", &s.inv);
    dn_set_out_of_service(s.r.shared.dir, SLICE("1001"), ERR_UNREACHABLE, s.r.wall + now_ms(&s.r));
    answer_tcp(s.phone, &s.inv, 486, "");
    caller_gets(486);
    ack_udp(&s.r, CALLER, &(struct say){.branch = "i1"});
    assert_int_equal(state_of("1001"), DN_IN_SERVICE);
    assert_int_equal(rig_counter(&s.r, CTR_DN_BACK), 1);
}

/* Takes everything and answers nothing: three transactions, then the connection is closed. */
static void wedged(void **state)
{
    (void)state;
    begin(ON "tcp-wedged-transactions = 3\n", false);
    static const char *const names[] = {"w0", "w1", "w2"};
    for (unsigned i = 0; i < 3; i++) {
        assert_true(fake_is_open(s.phone));
        caller_says(&(struct say){.branch = names[i], .call_id = names[i]});
        expect_tcp_method(s.phone, "INVITE", &s.got);
        fake_advance(s.r.loop, 32100);
        caller_gets(408);
        ack_udp(&s.r, CALLER, &(struct say){.branch = names[i], .call_id = names[i]});
        assert_int_equal(state_of("1001"), DN_SUSPECT);
    }
    assert_false(fake_is_open(s.phone));
    assert_int_equal(rig_counter(&s.r, CTR_STALE_WEDGED), 1);
    assert_int_equal(rig_counter(&s.r, CTR_DN_SUSPECT), 1);
}

/* --- Voice over IP Service --- */

#define GATEWAY \
    ON "[dn alice]\ntype = extension\n[dn gw]\ntype = voip-service\ncontact = sip:10.0.0.3;transport=tcp\n"

/* Inside a call too nothing is reopened within a transaction; the next one opens it. */
static void voip_service_inside_a_dialog(void **state)
{
    (void)state;
    rig_open(&s.r, GATEWAY);
    s.caller = NULL;
    caller_says(&(struct say){.branch = "i1", .uri = "sip:gw@10.0.0.1", .to = "<sip:gw@10.0.0.1>"});
    s.phone = opened(PHONE, 0);
    expect_tcp_method(s.phone, "INVITE", &s.inv);
    answer_tcp(s.phone, &s.inv, 200, "Contact: <sip:10.0.0.3:5060;transport=tcp>\n");
    caller_gets(200);
    s.ok = s.got;
    s.ok.msg.base = s.ok.text;
    s.ok.msg.hdrs = s.ok.hdrs;
    struct say w = in_dialog("ACK");
    w.uri = "sip:10.0.0.3:5060;transport=tcp";
    w.to = "<sip:gw@10.0.0.1>;tag=t";
    w.cseq = 1;
    caller_says(&w);
    expect_tcp_method(s.phone, "ACK", &s.got);
    fake_advance(s.r.loop, 40000);
    fake_forget(s.phone);
    w.method = "INFO";
    w.branch = "info";
    w.cseq = 2;
    caller_says(&w);
    fake_advance(s.r.loop, 10);
    caller_gets(408);
    assert_int_equal(rig_counter(&s.r, CTR_DN_OOS), 0);
    /* The BYE of ours is a transaction of its own. */
    expect_tcp_method(opened(PHONE, 1), "BYE", &s.got);
    answer_tcp(opened(PHONE, 1), &s.got, 200, "");
    caller_gets_bye();
    nothing_is_left();
}

/* --- the device comes back by itself --- */

/* Behind a firewall: nothing can be opened to it, but it has registered again meanwhile. The same
 * request goes there, as a retransmission. */
static void comes_back_while_it_is_called(void **state)
{
    (void)state;
    for (unsigned heard = 0; heard < 2; heard++) {
        if (heard != 0)
            rig_close(&s.r);
        begin(ON, false);
        fake_set_peer(s.r.loop, PHONE, FAKE_BLACKHOLE);
        caller_says(&(struct say){.branch = "i1"});
        expect_tcp_method(s.phone, "INVITE", &s.inv);
        if (heard != 0) {
            answer_tcp(s.phone, &s.inv, 180, "");
            caller_gets(180);
        }
        fake_reset(s.phone);
        fake_advance(s.r.loop, 1000);
        struct fake_conn *own = register_tcp_as(&s.r, "1001", "10.0.0.3", 40009, "", "");
        fake_advance(s.r.loop, 2100); /* tcp-connect-timeout */
        expect_tcp_method(own, "INVITE", &s.got);
        assert_string_equal(s.got.text, s.inv.text);
        answer_tcp(own, &s.inv, 200, scene_contact);
        caller_gets(200);
        assert_int_equal(rig_counter(&s.r, CTR_DN_OOS), 0);
        rig_expect_none_tcp(own);
    }
}

/* With another address and Contact: a new request, for that address. */
static void comes_back_elsewhere(void **state)
{
    (void)state;
    begin(ON, false);
    fake_set_peer(s.r.loop, PHONE, FAKE_BLACKHOLE);
    caller_says(&(struct say){.branch = "i1"});
    expect_tcp_method(s.phone, "INVITE", &s.inv);
    fake_reset(s.phone);
    fake_advance(s.r.loop, 1000);
    struct fake_conn *own = register_tcp_as(&s.r, "1001", "10.0.0.7", 40009, "", "");
    fake_advance(s.r.loop, 2100);
    expect_tcp_method(own, "INVITE", &s.got);
    assert_string_equal(rig_uri(&s.got), "sip:1001@10.0.0.7:5060;transport=tcp");
    answer_tcp(own, &s.got, 200, "Contact: <sip:1001@10.0.0.7:5060;transport=tcp>\n");
    caller_gets(200);
    assert_int_equal(rig_counter(&s.r, CTR_DN_OOS), 0);
}

/* The same by datagrams from now on. */
static void comes_back_by_udp(void **state)
{
    (void)state;
    begin(ON, false);
    fake_set_peer(s.r.loop, PHONE, FAKE_BLACKHOLE);
    caller_says(&(struct say){.branch = "i1"});
    fake_reset(s.phone);
    fake_advance(s.r.loop, 1000);
    register_udp(&s.r, "1001", "10.0.0.7:5060", "");
    fake_advance(s.r.loop, 2100);
    rig_expect_method(&s.r, "10.0.0.7:5060", "INVITE", &s.got);
    answer_udp(&s.r, "10.0.0.7:5060", &s.got, 486, "");
    caller_gets(486);
    ack_udp(&s.r, CALLER, &(struct say){.branch = "i1"});
}

/* It had begun to ring, and answers for the branch that it knows. */
static void comes_back_elsewhere_while_it_rings(void **state)
{
    (void)state;
    begin(ON, false);
    fake_set_peer(s.r.loop, PHONE, FAKE_BLACKHOLE);
    ringing();
    fake_reset(s.phone);
    fake_advance(s.r.loop, 1000);
    struct fake_conn *own = register_tcp_as(&s.r, "1001", "10.0.0.7", 40009, "", "");
    fake_advance(s.r.loop, 2100);
    expect_tcp_method(own, "INVITE", &s.got);
    assert_string_equal(s.got.text, s.inv.text);
    answer_tcp(own, &s.inv, 200, scene_contact);
    caller_gets(200);
}

/* Inside a dialog, and the ACK of a 2xx. */
static void comes_back_inside_a_dialog(void **state)
{
    (void)state;
    established(ON, false);
    fake_set_peer(s.r.loop, PHONE, FAKE_BLACKHOLE);
    fake_forget(s.phone);
    struct say w = in_dialog("INFO");
    caller_says(&w);
    fake_advance(s.r.loop, 1000);
    struct fake_conn *own = register_tcp_as(&s.r, "1001", "10.0.0.3", 40009, "", "");
    fake_advance(s.r.loop, 2100);
    expect_tcp_method(own, "INFO", &s.got);
    answer_tcp(own, &s.got, 200, "");
    caller_gets(200);
    assert_int_equal(rig_counter(&s.r, CTR_CALLS_RELEASED), 0);
    assert_int_equal(rig_counter(&s.r, CTR_DN_OOS), 0);
    w = in_dialog("ACK");
    caller_says(&w);
    expect_tcp_method(own, "ACK", &s.got);
    w = in_dialog("BYE");
    w.cseq = 3;
    caller_says(&w);
    expect_tcp_method(own, "BYE", &s.got);
    answer_tcp(own, &s.got, 200, "");
    caller_gets(200);
    nothing_is_left();
}

/* The ACK of the 2xx, which the phone has not got: no reason to release the call. */
static void comes_back_for_its_ack(void **state)
{
    (void)state;
    begin(ON, false);
    answered();
    fake_set_peer(s.r.loop, PHONE, FAKE_BLACKHOLE);
    fake_forget(s.phone);
    struct say w = in_dialog("ACK");
    w.cseq = 1;
    caller_says(&w);
    fake_advance(s.r.loop, 1000);
    struct fake_conn *own = register_tcp_as(&s.r, "1001", "10.0.0.3", 40009, "", "");
    fake_advance(s.r.loop, 2100);
    expect_tcp_method(own, "ACK", &s.got);
    assert_int_equal(rig_counter(&s.r, CTR_CALLS_RELEASED), 0);
    assert_int_equal(rig_calls(&s.r), 1);
    w = in_dialog("BYE");
    caller_says(&w);
    expect_tcp_method(own, "BYE", &s.got);
    answer_tcp(own, &s.got, 200, "");
    caller_gets(200);
    nothing_is_left();
}

/* It has come back and spoken before the ACK is found lost: the ACK goes where it speaks from. */
static void comes_back_and_speaks_before_its_ack(void **state)
{
    (void)state;
    begin(ON, false);
    answered();
    fake_set_peer(s.r.loop, PHONE, FAKE_BLACKHOLE);
    fake_forget(s.phone);
    struct say w = in_dialog("ACK");
    w.cseq = 1;
    caller_says(&w);
    fake_advance(s.r.loop, 1000);
    s.phone = register_tcp_as(&s.r, "1001", "10.0.0.3", 40009, "", "");
    phone_says("INFO");
    rig_expect_method(&s.r, CALLER, "INFO", &s.got);
    answer_udp(&s.r, CALLER, &s.got, 200, "");
    expect_tcp_status(s.phone, 200, &s.got);
    fake_advance(s.r.loop, 2100);
    expect_tcp_method(s.phone, "ACK", &s.got);
    assert_int_equal(rig_counter(&s.r, CTR_CALLS_RELEASED), 0);
    assert_int_equal(rig_calls(&s.r), 1);
    w = in_dialog("BYE");
    caller_says(&w);
    expect_tcp_method(s.phone, "BYE", &s.got);
    answer_tcp(s.phone, &s.got, 200, "");
    caller_gets(200);
    nothing_is_left();
}

/* What the caller sends to where it was goes after it, as soon as it has spoken inside the dialog.
 */
static void speaks_from_elsewhere_inside_a_dialog(void **state)
{
    (void)state;
    established(ON, false);
    fake_set_peer(s.r.loop, PHONE, FAKE_BLACKHOLE);
    fake_forget(s.phone);
    struct say w = in_dialog("UPDATE");
    caller_says(&w);
    fake_advance(s.r.loop, 1000);
    s.phone = register_tcp_as(&s.r, "1001", "10.0.0.7", 40009, "", "");
    phone_says("INFO");
    rig_expect_method(&s.r, CALLER, "INFO", &s.got);
    answer_udp(&s.r, CALLER, &s.got, 200, "");
    expect_tcp_status(s.phone, 200, &s.got);
    fake_advance(s.r.loop, 2100);
    expect_tcp_method(s.phone, "UPDATE", &s.got);
    answer_tcp(s.phone, &s.got, 200, "");
    caller_gets(200);
    assert_int_equal(rig_counter(&s.r, CTR_CALLS_RELEASED), 0);
    assert_int_equal(rig_calls(&s.r), 1);
    w = in_dialog("BYE");
    w.cseq = 3;
    caller_says(&w);
    fake_advance(s.r.loop, 3100);
    expect_tcp_method(s.phone, "BYE", &s.got);
    answer_tcp(s.phone, &s.got, 200, "");
    caller_gets(200);
    nothing_is_left();
}

/* From another address and with another Contact it is another device to this dialog. */
static void comes_back_elsewhere_inside_a_dialog(void **state)
{
    (void)state;
    established(ON, false);
    fake_set_peer(s.r.loop, PHONE, FAKE_BLACKHOLE);
    fake_forget(s.phone);
    struct say w = in_dialog("INFO");
    caller_says(&w);
    fake_advance(s.r.loop, 1000);
    struct fake_conn *own = register_tcp_as(&s.r, "1001", "10.0.0.7", 40009, "", "");
    fake_advance(s.r.loop, 2100);
    caller_gets(408);
    caller_gets_bye();
    rig_expect_none_tcp(own);
    assert_int_equal(state_of("1001"), DN_IN_SERVICE);
    nothing_is_left();
}

/* The CANCEL goes where its INVITE has gone. */
static void comes_back_and_is_cancelled(void **state)
{
    (void)state;
    begin(ON, false);
    fake_set_peer(s.r.loop, PHONE, FAKE_BLACKHOLE);
    ringing();
    fake_reset(s.phone);
    fake_advance(s.r.loop, 100);
    cancel_udp(&s.r, CALLER, &(struct say){.branch = "i1"});
    caller_gets(200);
    struct fake_conn *own = register_tcp_as(&s.r, "1001", "10.0.0.3", 40009, "", "");
    fake_advance(s.r.loop, 3100);
    expect_tcp_method(own, "INVITE", &s.inv);
    expect_tcp_method(own, "CANCEL", &s.got);
    answer_tcp(own, &s.got, 200, "");
    answer_tcp(own, &s.inv, 487, "");
    caller_gets(487);
    ack_udp(&s.r, CALLER, &(struct say){.branch = "i1"});
    nothing_is_left();
}

/* It comes and goes: tried twice more, then it is over. */
static void comes_back_and_goes_again(void **state)
{
    (void)state;
    begin(ON, false);
    fake_set_peer(s.r.loop, PHONE, FAKE_REFUSE);
    caller_says(&(struct say){.branch = "i1"});
    struct fake_conn *conn = s.phone;
    for (unsigned i = 0; i < 3; i++) {
        expect_tcp_method(conn, "INVITE", &s.inv);
        answer_tcp(conn, &s.inv, 183, "");
        caller_gets(183);
        struct fake_conn *next = register_tcp_as(&s.r, "1001", "10.0.0.3", 40100 + i, "", "");
        fake_reset(conn);
        conn = next;
        fake_advance(s.r.loop, 10);
    }
    rig_expect_none_tcp(conn);
    caller_gets(480);
    ack_udp(&s.r, CALLER, &(struct say){.branch = "i1"});
    /* Registered all the same: the next call finds it. */
    assert_int_not_equal(state_of("1001"), DN_OUT_OF_SERVICE);
    caller_says(&(struct say){.branch = "i2", .call_id = "c2"});
    expect_tcp_method(conn, "INVITE", &s.inv);
    answer_tcp(conn, &s.inv, 486, "");
    caller_gets(486);
}

/* --- the answer takes another way --- */

/* On the first connection while the second one is being opened, and by a connection of its own. */
static void answers_by_another_connection(void **state)
{
    (void)state;
    for (unsigned how = 0; how < 2; how++) {
        if (how != 0)
            rig_close(&s.r);
        begin(ON, false);
        fake_set_connect_ms(s.r.loop, 500);
        caller_says(&(struct say){.branch = "i1"});
        expect_tcp_method(s.phone, "INVITE", &s.inv);
        fake_stall(s.phone, true);
        caller_says(&(struct say){.branch = "i2", .call_id = "c2"});
        fake_advance(s.r.loop, 1200);
        struct fake_conn *by = s.phone;
        if (how == 0) {
            fake_stall(s.phone, false);
        } else {
            fake_advance(s.r.loop, 1000); /* moved to the second one */
            expect_tcp_method(opened(PHONE, 0), "INVITE", &s.got);
            by = fake_connect(s.r.loop, "10.0.0.3:40008", PROXY);
        }
        answer_tcp(by, &s.inv, 200, scene_contact);
        caller_gets(200);
        assert_int_equal(rig_calls(&s.r), 2);
        fake_advance(s.r.loop, 1000);
    }
}

#define T(f) cmocka_unit_test_teardown(f, scene_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(suspect_and_back),
        T(suspect_inside_a_dialog),
        T(out_of_service_and_its_calls),
        T(back_by_an_answer),
        T(wedged),
        T(voip_service_inside_a_dialog),
        T(comes_back_while_it_is_called),
        T(comes_back_elsewhere),
        T(comes_back_by_udp),
        T(comes_back_elsewhere_while_it_rings),
        T(comes_back_inside_a_dialog),
        T(comes_back_for_its_ack),
        T(comes_back_and_speaks_before_its_ack),
        T(speaks_from_elsewhere_inside_a_dialog),
        T(comes_back_elsewhere_inside_a_dialog),
        T(comes_back_and_is_cancelled),
        T(comes_back_and_goes_again),
        T(answers_by_another_connection),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
