/* SPDX-License-Identifier: Apache-2.0 */
/* Which transport a request goes by, and what is done when it fails. RFC 3261 16.9, 18.1.1, 20.14;
 * RFC 3263 4.3. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

#include "calls.h"

static struct rig r;
static struct got got, inv;
static char large[2001];

static int setup(void **state)
{
    (void)state;
    memset(large, 'x', sizeof(large) - 1);
    rig_open(&r, OPEN);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    rig_close(&r);
    return 0;
}

/* 18.1.1: above 1300 bytes by TCP, and Via and Record-Route say so. */
static void large_request_goes_by_tcp(void **state)
{
    (void)state;
    struct say w = {.uri = "sip:bob@10.0.0.3", .body = large};
    say_udp(&r, CALLER, &w);
    rig_expect_none(&r, PHONE);
    struct fake_conn *conn = fake_opened(r.loop, PHONE, 0);
    assert_non_null(conn);
    expect_tcp_method(conn, "INVITE", &inv);
    assert_true(strncmp(rig_value(&inv, SIP_H_VIA, 0), "SIP/2.0/TCP ", 12) == 0);
    assert_non_null(strstr(rig_value(&inv, SIP_H_RECORD_ROUTE, 0), "transport=tcp"));
    assert_int_equal(inv.msg.body_len, 2000);
    answer_tcp(conn, &inv, 486, "");
    rig_expect_status(&r, CALLER, 486, &got);
    expect_tcp_method(conn, "ACK", &got);
}

/* The peer has no TCP: the same by UDP, at once when it refuses, else after tcp-connect-timeout. */
static void falls_back_to_udp(void **state)
{
    (void)state;
    struct say w = {.uri = "sip:bob@10.0.0.3", .body = large};
    fake_set_peer(r.loop, PHONE, FAKE_REFUSE);
    say_udp(&r, CALLER, &w);
    fake_advance(r.loop, 1);
    rig_expect_method(&r, PHONE, "INVITE", &inv);
    assert_true(strncmp(rig_value(&inv, SIP_H_VIA, 0), "SIP/2.0/UDP ", 12) == 0);
    assert_int_equal(inv.msg.body_len, 2000);
    answer_udp(&r, PHONE, &inv, 200, "");
    rig_expect_status(&r, CALLER, 200, &got);
    w = (struct say){.uri = "sip:bob@10.0.0.4", .branch = "a2", .body = large};
    fake_set_peer(r.loop, OTHER, FAKE_BLACKHOLE);
    say_udp(&r, CALLER, &w);
    fake_advance(r.loop, 2999);
    rig_expect_none(&r, OTHER);
    fake_advance(r.loop, 2);
    rig_expect_method(&r, OTHER, "INVITE", &inv);
    answer_udp(&r, OTHER, &inv, 200, "");
}

/* Not where the URI asks for UDP, and not through a NAT, which has no way for it. */
static void large_request_stays_on_udp(void **state)
{
    (void)state;
    say_udp(&r, CALLER, &(struct say){.uri = "sip:bob@10.0.0.3;transport=udp", .body = large});
    rig_expect_method(&r, PHONE, "INVITE", &inv);
    answer_udp(&r, PHONE, &inv, 200, "");
    struct say reg = {.method = "REGISTER",
                      .uri = "sip:10.0.0.1",
                      .branch = "r",
                      .sent_by = "192.168.1.9:5060;rport",
                      .from = "<sip:1001@10.0.0.1>;tag=r",
                      .contact = "<sip:1001@192.168.1.9>"};
    say_udp(&r, "10.0.0.4:61000", &reg);
    rig_expect_status(&r, "10.0.0.4:61000", 200, &got);
    say_udp(&r, CALLER, &(struct say){.branch = "a2", .body = large});
    rig_expect_method(&r, "10.0.0.4:61000", "INVITE", &inv);
    answer_udp(&r, "10.0.0.4:61000", &inv, 200, "");
    assert_int_equal(fake_opens(r.loop, NULL), 0);
}

/* A response over the TCP connection says something; it is no reason for UDP. */
static void no_fallback_after_a_response(void **state)
{
    (void)state;
    say_udp(&r, CALLER, &(struct say){.uri = "sip:bob@10.0.0.3", .body = large});
    struct fake_conn *conn = fake_opened(r.loop, PHONE, 0);
    expect_tcp_method(conn, "INVITE", &inv);
    answer_tcp(conn, &inv, 503, "");
    rig_expect_status(&r, CALLER, 500, &got);
    rig_expect_none(&r, PHONE);
}

/* 20.14: on a stream the length has to be there, in both directions. */
static void content_length_is_added(void **state)
{
    (void)state;
    rig_udp(&r, CALLER,
            "MESSAGE sip:bob@10.0.0.3;transport=tcp SIP/2.0\n"
            "Via: SIP/2.0/UDP 10.0.0.2:5060;branch=z9hG4bKl\nFrom: <sip:a@x>;tag=a\n"
            "To: <sip:b@x>\nCall-ID: l\nCSeq: 1 MESSAGE\n\nhello");
    struct fake_conn *conn = fake_opened(r.loop, PHONE, 0);
    expect_tcp_method(conn, "MESSAGE", &got);
    assert_string_equal(rig_value(&got, SIP_H_CONTENT_LENGTH, 0), "5");
    answer_tcp(conn, &got, 200, "");
    rig_expect_status(&r, CALLER, 200, &got);
    struct fake_conn *caller = fake_connect(r.loop, "10.0.0.2:41000", PROXY);
    say_tcp(caller, &(struct say){.method = "MESSAGE",
                                  .uri = "sip:bob@10.0.0.4",
                                  .transport = "TCP",
                                  .branch = "m2"});
    rig_expect_method(&r, OTHER, "MESSAGE", &got);
    char text[4096];
    snprintf(text, sizeof(text), "%s", rig_response(&got, 200, "t", ""));
    char *at = strstr(text, "Content-Length: 0\n");
    memmove(at, at + 18, strlen(at + 18) + 1);
    rig_udp(&r, OTHER, text);
    expect_tcp_status(caller, 200, &got);
    assert_string_equal(rig_value(&got, SIP_H_CONTENT_LENGTH, 0), "0");
}

/* RFC 3263 4.3: a transport failure leads to the next address; the last one is a 500 (16.9). */
static void next_address_after_a_failure(void **state)
{
    (void)state;
    fake_set_host(r.loop, "two.invalid", "10.0.0.3,10.0.0.4", 0);
    fake_set_peer(r.loop, PHONE, FAKE_REFUSE);
    struct say w = {.uri = "sip:bob@two.invalid;transport=tcp"};
    say_udp(&r, CALLER, &w);
    fake_advance(r.loop, 1);
    struct fake_conn *conn = fake_opened(r.loop, OTHER, 0);
    assert_non_null(conn);
    expect_tcp_method(conn, "INVITE", &inv);
    answer_tcp(conn, &inv, 486, "");
    rig_expect_status(&r, CALLER, 486, &got);
    ack_udp(&r, CALLER, &w);
    w = (struct say){.uri = "sip:bob@10.0.0.3;transport=tcp", .branch = "a2"};
    say_udp(&r, CALLER, &w);
    fake_advance(r.loop, 1);
    rig_expect_status(&r, CALLER, 500, &got);
    assert_non_null(strstr(got.text, "\r\nReason: SIP;cause=503;text=\""));
}

/* A message that grows beyond what a message may be. */
static void too_large_to_forward(void **state)
{
    (void)state;
    static char body[61401];
    memset(body, 'b', sizeof(body) - 1);
    static char text[65536 + 1024];
    struct fake_conn *conn = fake_connect(r.loop, "10.0.0.2:41000", PROXY);
    int n = snprintf(text, sizeof(text),
                     "INVITE sip:bob@10.0.0.3;transport=tcp SIP/2.0\r\n"
                     "Via: SIP/2.0/TCP 10.0.0.2;branch=z9hG4bKx\r\nFrom: <sip:a@x>;tag=a\r\n"
                     "To: <sip:b@x>\r\nCall-ID: x\r\nCSeq: 1 INVITE\r\nX-Pad: %04000d\r\n"
                     "Content-Length: 61300\r\n\r\n%.61300s",
                     0, body);
    assert_true(n > 65450 && n <= 65535);
    fake_send(conn, slice_of(text, (size_t)n));
    expect_tcp_status(conn, 500, &got);
    rig_expect_none(&r, NULL);
}

#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(large_request_goes_by_tcp),  T(falls_back_to_udp),
        T(large_request_stays_on_udp), T(no_fallback_after_a_response),
        T(content_length_is_added),    T(next_address_after_a_failure),
        T(too_large_to_forward),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
