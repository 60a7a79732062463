/* SPDX-License-Identifier: Apache-2.0 */
/* RFC 3261 section 16 through the whole worker: a call, its ACK and BYE, and what the proxy adds
 * and takes. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

#include "rig.h"

#define CALLER "10.0.0.2:5060"
#define CALLEE "10.0.0.3:5060"

#define INVITE_TO(uri)                                                                                \
    "INVITE " uri " SIP/2.0\nVia: SIP/2.0/UDP 10.0.0.2:5060;branch=z9hG4bKa1\n"                       \
    "Max-Forwards: 70\nFrom: <sip:alice@example.com>;tag=a\nTo: <sip:bob@example.com>\nCall-ID: c1\n" \
    "CSeq: 1 INVITE\nContact: <sip:alice@10.0.0.2:5060>\nContent-Length: 0\n\n"

/* A call by Request-URI, record-routed, from INVITE to BYE. */
static void test_call(void **state)
{
    (void)state;
    struct rig r;
    static struct got got, inv;
    rig_open(&r, "relay-from = any\n");
    rig_udp(&r, CALLER, INVITE_TO("sip:bob@10.0.0.3"));
    rig_expect_method(&r, CALLEE, "INVITE", &inv);
    assert_string_equal(rig_uri(&inv), "sip:bob@10.0.0.3");
    assert_int_equal(rig_count(&inv, SIP_H_VIA), 2);
    assert_int_equal(inv.msg.max_forwards, 69);
    assert_int_equal(rig_count(&inv, SIP_H_RECORD_ROUTE), 1);
    char rr[256];
    snprintf(rr, sizeof(rr), "%s", rig_value(&inv, SIP_H_RECORD_ROUTE, 0));
    assert_non_null(strstr(rr, "<sip:10.0.0.1:5060;lr"));
    rig_expect_none(&r, NULL);

    fake_advance(r.loop, 150);
    rig_expect_status(&r, CALLER, 100, &got);
    rig_udp(&r, CALLEE, rig_response(&inv, 180, "b", ""));
    rig_expect_status(&r, CALLER, 180, &got);
    assert_int_equal(rig_count(&got, SIP_H_VIA), 1);
    rig_udp(&r, CALLEE, rig_response(&inv, 200, "b", "Contact: <sip:bob@10.0.0.3:5060>\n"));
    rig_expect_status(&r, CALLER, 200, &got);

    char text[1024];
    snprintf(
        text, sizeof(text),
        "ACK sip:bob@10.0.0.3:5060 SIP/2.0\nVia: SIP/2.0/UDP 10.0.0.2:5060;branch=z9hG4bKa2\nRoute: %s\n"
        "Max-Forwards: 70\nFrom: <sip:alice@example.com>;tag=a\nTo: <sip:bob@example.com>;tag=b\nCall-ID: c1\n"
        "CSeq: 1 ACK\nContent-Length: 0\n\n",
        rr);
    rig_udp(&r, CALLER, text);
    rig_expect_method(&r, CALLEE, "ACK", &got);
    assert_int_equal(rig_count(&got, SIP_H_ROUTE), 0);
    assert_int_equal(rig_count(&got, SIP_H_VIA), 2);

    snprintf(
        text, sizeof(text),
        "BYE sip:alice@10.0.0.2:5060 SIP/2.0\nVia: SIP/2.0/UDP 10.0.0.3:5060;branch=z9hG4bKb1\nRoute: %s\n"
        "Max-Forwards: 70\nFrom: <sip:bob@example.com>;tag=b\nTo: <sip:alice@example.com>;tag=a\nCall-ID: c1\n"
        "CSeq: 1 BYE\nContent-Length: 0\n\n",
        rr);
    rig_udp(&r, CALLEE, text);
    rig_expect_method(&r, CALLER, "BYE", &got);
    assert_int_equal(rig_count(&got, SIP_H_RECORD_ROUTE), 0);
    rig_udp(&r, CALLER, rig_response(&got, 200, "", ""));
    rig_expect_status(&r, CALLEE, 200, &got);
    rig_expect_none(&r, NULL);
    rig_close(&r);
}

static void test_cancel(void **state)
{
    (void)state;
    struct rig r;
    static struct got got, inv;
    rig_open(&r, "relay-from = any\n");
    rig_udp(&r, CALLER, INVITE_TO("sip:bob@10.0.0.3"));
    rig_expect_method(&r, CALLEE, "INVITE", &inv);
    rig_udp(&r, CALLEE, rig_response(&inv, 180, "b", ""));
    rig_expect_status(&r, CALLER, 180, &got);
    rig_udp(
        &r, CALLER,
        "CANCEL sip:bob@10.0.0.3 SIP/2.0\nVia: SIP/2.0/UDP 10.0.0.2:5060;branch=z9hG4bKa1\nMax-Forwards: 70\n"
        "From: <sip:alice@example.com>;tag=a\nTo: <sip:bob@example.com>\nCall-ID: c1\nCSeq: 1 CANCEL\n"
        "Content-Length: 0\n\n");
    rig_expect_status(&r, CALLER, 200, &got);
    rig_expect_method(&r, CALLEE, "CANCEL", &got);
    rig_udp(&r, CALLEE, rig_response(&got, 200, "b", ""));
    rig_udp(&r, CALLEE, rig_response(&inv, 487, "b", ""));
    rig_expect_method(&r, CALLEE, "ACK", &got);
    rig_expect_status(&r, CALLER, 487, &got);
    rig_close(&r);
}

static void test_no_relay(void **state)
{
    (void)state;
    struct rig r;
    static struct got got;
    rig_open(&r, "relay-from = 192.168.0.0/16\n");
    rig_udp(&r, CALLER, INVITE_TO("sip:bob@10.0.0.3"));
    rig_expect_status(&r, CALLER, 403, &got);
    assert_int_equal(rig_counter(&r, CTR_RELAY_REFUSED), 1);
    rig_expect_none(&r, NULL);
    rig_close(&r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_call),
        cmocka_unit_test(test_cancel),
        cmocka_unit_test(test_no_relay),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
