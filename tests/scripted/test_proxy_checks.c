/* SPDX-License-Identifier: Apache-2.0 */
/* Who is refused what, and which URI means whom. RFC 3261 16.3, 16.4 (maddr), 16.5; RFC 5393; RFC
 * 3966; relaying. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

#include "calls.h"

#define STRANGER "192.0.2.9:5060"

static struct rig r;
static struct got got, inv;

static void begin(const char *options)
{
    rig_open(&r, options);
}

static int teardown(void **state)
{
    (void)state;
    rig_close(&r);
    return 0;
}

/* A MESSAGE from the caller, with a branch and Call-ID of its own each time. */
static void message(const char *uri, const char *extra)
{
    static unsigned n;
    char branch[16], call_id[16];
    snprintf(branch, sizeof(branch), "m%u", ++n);
    snprintf(call_id, sizeof(call_id), "m%u", n);
    say_udp(
        &r, CALLER,
        &(struct say){
            .method = "MESSAGE", .uri = uri, .branch = branch, .call_id = call_id, .extra = extra});
}

static void expect_refused(const char *uri, unsigned status)
{
    message(uri, "");
    rig_expect_status(&r, CALLER, status, &got);
    rig_expect_none(&r, NULL);
}

static void expect_reaches(const char *uri, const char *extra, const char *to)
{
    message(uri, extra);
    rig_expect_method(&r, to, "MESSAGE", &got);
    inv = got;
    inv.msg.base = inv.text;
    inv.msg.hdrs = inv.hdrs;
    answer_udp(&r, to, &got, 200, "");
    rig_expect_status(&r, CALLER, 200, &got);
    rig_expect_none(&r, NULL);
}

/* 16.3 step 2. */
static void unknown_schemes_are_416(void **state)
{
    (void)state;
    begin(OPEN);
    expect_refused("gopher:x", 416);
    expect_refused("sips:bob@10.0.0.3", 416);
}

/* 16.3 step 3. */
static void no_hops_left_is_483(void **state)
{
    (void)state;
    begin(OPEN);
    struct say w = {.method = "MESSAGE", .uri = "sip:bob@10.0.0.3", .hops = "0"};
    say_udp(&r, CALLER, &w);
    rig_expect_status(&r, CALLER, 483, &got);
    w.method = "OPTIONS";
    w.branch = "o";
    say_udp(&r, CALLER, &w);
    rig_expect_status(&r, CALLER, 200, &got);
    rig_expect_none(&r, NULL);
}

/* 16.3 step 5: with all that is not known, and nothing else. */
static void proxy_require(void **state)
{
    (void)state;
    begin(OPEN "proxy-require = gruu\n");
    message("sip:bob@10.0.0.3", "Proxy-Require: foo, gruu\nProxy-Require: bar\n");
    rig_expect_status(&r, CALLER, 420, &got);
    assert_int_equal(rig_count(&got, SIP_H_UNSUPPORTED), 2);
    assert_string_equal(rig_value(&got, SIP_H_UNSUPPORTED, 0), "foo");
    assert_string_equal(rig_value(&got, SIP_H_UNSUPPORTED, 1), "bar");
    expect_reaches("sip:bob@10.0.0.3", "Proxy-Require: GRUU\n", PHONE);
    /* Require is for the other end. */
    expect_reaches("sip:bob@10.0.0.3", "Require: foo\n", PHONE);
}

/* RFC 5393 4.2: the same request with the same Routes again is a loop; another URI is a spiral. */
static void loops_are_482_spirals_pass(void **state)
{
    (void)state;
    begin(OPEN);
    char text[4096];
    struct say w = {.method = "MESSAGE", .uri = "sip:bob@10.0.0.3:5060"};
    say_udp(&r, CALLER, &w);
    rig_expect_method(&r, PHONE, "MESSAGE", &inv);
    /* It comes back from there, as it went. */
    snprintf(text, sizeof(text),
             "MESSAGE sip:bob@10.0.0.3:5060 SIP/2.0\nVia: SIP/2.0/UDP 10.0.0.3;branch=z9hG4bKp\n%s",
             strstr(inv.text, "Via:"));
    for (char *cr; (cr = strchr(text, '\r')) != NULL;)
        memmove(cr, cr + 1, strlen(cr));
    rig_udp(&r, PHONE, text);
    rig_expect_status(&r, PHONE, 482, &got);
    assert_int_equal(rig_counter(&r, CTR_LOOP), 1);
    /* To somebody else it has not been before. */
    memcpy(text, "MESSAGE sip:bob@10.0.0.4:5060", 29);
    *strstr(text, "z9hG4bKp") = 'z';
    memcpy(strstr(text, "z9hG4bKp"), "z9hG4bKq", 8);
    rig_udp(&r, PHONE, text);
    rig_expect_method(&r, OTHER, "MESSAGE", &got);
    assert_int_equal(rig_count(&got, SIP_H_VIA), 4);
    answer_udp(&r, OTHER, &got, 200, "");
    rig_expect_status(&r, PHONE, 200, &got);
    answer_udp(&r, PHONE, &inv, 200, "");
}

/* RFC 5393 5.3.3. */
static void max_breadth(void **state)
{
    (void)state;
    begin(OPEN);
    expect_reaches("sip:bob@10.0.0.3", "", PHONE);
    assert_string_equal(rig_value(&inv, SIP_H_MAX_BREADTH, 0), "60");
    expect_reaches("sip:bob@10.0.0.3", "Max-Breadth: 7\n", PHONE);
    assert_string_equal(rig_value(&inv, SIP_H_MAX_BREADTH, 0), "7");
    message("sip:bob@10.0.0.3", "Max-Breadth: 0\n");
    rig_expect_status(&r, CALLER, 440, &got);
    message("sip:bob@10.0.0.3", "Max-Breadth: x\n");
    rig_expect_status(&r, CALLER, 400, &got);
    rig_expect_none(&r, NULL);
}

/* 16.5: unknown, known but nowhere, registered. */
static void users_of_ours(void **state)
{
    (void)state;
    begin("registrar-open-to = 10.0.0.0/8\n[dn 2002]\ntype = extension\n"
          "[dn 1001]\ntype = extension\n[dn bo b]\ntype = extension\n"
          "[dn +15550100]\ntype = extension\n[dn gw]\ntype = trunk\ncontact = sip:10.0.0.5:5060\n");
    expect_refused("sip:7@10.0.0.1", 404);
    expect_refused("sip:2002@10.0.0.1", 480);
    expect_refused("sip:2002@localhost", 480);
    register_udp(&r, "1001", PHONE, "");
    expect_reaches("sip:1001@10.0.0.1", "", PHONE);
    assert_string_equal(rig_uri(&inv), "sip:1001@10.0.0.3:5060");
    /* Escapes are no difference, and a user part may hold what has to be escaped. */
    expect_reaches("sip:%31001@10.0.0.1:5060", "", PHONE);
    register_udp(&r, "bo%20b", OTHER, "");
    expect_reaches("sip:b%6f%20b@10.0.0.1", "", OTHER);
    expect_reaches("sip:gw@10.0.0.1", "", THIRD);
    expect_refused("sip:Gw@10.0.0.1", 404);
    /* RFC 3966 5.1.1. */
    register_udp(&r, "+15550100", THIRD, "");
    expect_reaches("tel:+1-555-01.00", "", THIRD);
    expect_refused("tel:+15550199", 404);
}

/* Our address with a foreign port is somebody else on this host. */
static void own_address_with_foreign_port(void **state)
{
    (void)state;
    begin(OPEN "sip-domains = 203.0.113.7, example.com\n");
    expect_reaches("sip:1001@10.0.0.1:5070", "", "10.0.0.1:5070");
    expect_refused("sip:1001@203.0.113.7", 404);
    expect_refused("sip:1001@203.0.113.7:5060", 404);
    expect_reaches("sip:1001@203.0.113.7:5070", "", "203.0.113.7:5070");
    expect_refused("sip:1001@EXAMPLE.com.", 404);
}

/* 16.4: maddr that names us is taken off with port and transport; 16.5: any other one is the
 * target. */
static void maddr(void **state)
{
    (void)state;
    begin(OPEN);
    register_udp(&r, "1001", PHONE, "");
    expect_reaches("sip:1001@10.0.0.1;maddr=10.0.0.4", "", OTHER);
    assert_string_equal(rig_uri(&inv), "sip:1001@10.0.0.1;maddr=10.0.0.4");
    expect_reaches("sip:1001@10.0.0.1;transport=udp;maddr=10.0.0.1;x=y", "", PHONE);
    fake_set_host(r.loop, "far.invalid", "10.0.0.5", 0);
    expect_reaches("sip:bob@far.invalid;maddr=10.0.0.1;x=y", "", THIRD);
    assert_string_equal(rig_uri(&inv), "sip:bob@far.invalid;x=y");
    expect_reaches("sip:bob@far.invalid;maddr=10.0.0.4", "", OTHER);
}

/* RFC 3263 section 4 as far as addresses: transport, port, next address. */
static void next_hops_are_resolved(void **state)
{
    (void)state;
    begin(OPEN);
    fake_set_host(r.loop, "two.invalid", "10.0.0.3,10.0.0.4", 10);
    message("sip:bob@two.invalid:5062", "");
    fake_advance(r.loop, 10);
    rig_expect_method(&r, "10.0.0.3:5062", "MESSAGE", &inv);
    /* 4.3: a 503 leads to the next one. */
    answer_udp(&r, "10.0.0.3:5062", &inv, 503, "Retry-After: 5\n");
    rig_expect_method(&r, "10.0.0.4:5062", "MESSAGE", &got);
    char via[256];
    snprintf(via, sizeof(via), "%s", rig_value(&inv, SIP_H_VIA, 0));
    assert_string_not_equal(rig_value(&got, SIP_H_VIA, 0), via);
    answer_udp(&r, "10.0.0.4:5062", &got, 503, "");
    /* 16.7 step 6: a 503 is not passed on. */
    rig_expect_status(&r, CALLER, 500, &got);
    fake_set_host(r.loop, "none.invalid", "", 0);
    expect_refused("sip:bob@none.invalid", 500);
    assert_non_null(strstr(got.text, "\r\nReason: SIP;cause=503"));
    expect_refused("sip:bob@10.0.0.3;transport=tls", 500);
    expect_refused("sip:bob@[2001:db8::3]", 500);
}

static void relaying(void **state)
{
    (void)state;
    begin("registrar-open-to = 10.0.0.0/8\nrelay-from = 10.0.0.0/8\n");
    register_udp(&r, "1001", PHONE, "");
    struct say w = {.method = "MESSAGE", .uri = "sip:bob@10.0.0.4", .sent_by = STRANGER};
    say_udp(&r, STRANGER, &w);
    rig_expect_status(&r, STRANGER, 403, &got);
    w = (struct say){.method = "MESSAGE",
                     .branch = "x",
                     .sent_by = STRANGER,
                     .extra = "Route: <sip:10.0.0.4;lr>\n"};
    say_udp(&r, STRANGER, &w);
    rig_expect_status(&r, STRANGER, 403, &got);
    assert_int_equal(rig_counter(&r, CTR_RELAY_REFUSED), 2);
    assert_int_equal(rig_heard(EV_RELAY_REFUSED), 2);
    w.extra = "";
    w.branch = "y";
    say_udp(&r, STRANGER, &w);
    rig_expect_method(&r, PHONE, "MESSAGE", &got);
    answer_udp(&r, PHONE, &got, 200, "");
    rig_expect_status(&r, STRANGER, 200, &got);
    rig_expect_none(&r, NULL);
}

/* What a stranger learns from one call to a user of ours: its Record-Route. */
static void stranger_calls(char *route, size_t cap)
{
    struct say w = {
        .sent_by = STRANGER, .contact = "<sip:x@192.0.2.9>", .call_id = "s1", .branch = "s1"};
    register_udp(&r, "1001", PHONE, "");
    say_udp(&r, STRANGER, &w);
    rig_expect_method(&r, PHONE, "INVITE", &inv);
    answer_udp(&r, PHONE, &inv, 200, "Contact: <sip:1001@10.0.0.3:5060>\n");
    rig_expect_status(&r, STRANGER, 200, &got);
    snprintf(route, cap, "%s", route_set(&got, true));
}

/* Our mark opens the dialog it was made for, and nothing else. */
static void mark_of_another_dialog_relays_nothing(void **state)
{
    (void)state;
    char route[512];
    begin("registrar-open-to = 10.0.0.0/8\nrelay-from = 10.0.0.0/8\n");
    stranger_calls(route, sizeof(route));
    struct say bye = {.method = "BYE",
                      .uri = "sip:1001@10.0.0.4",
                      .sent_by = STRANGER,
                      .to = "<sip:x@x>;tag=t",
                      .call_id = "s1",
                      .branch = "b1",
                      .extra = route};
    say_udp(&r, STRANGER, &bye);
    rig_expect_method(&r, PHONE, "BYE", &got); /* the other end, whatever the Request-URI */
    answer_udp(&r, PHONE, &got, 200, "");
    rig_expect_status(&r, STRANGER, 200, &got);
    struct say w = bye;
    char further[600];
    snprintf(further, sizeof(further), "%sRoute: <sip:10.0.0.4;lr>\n", route);
    w.branch = "b0";
    w.extra = further; /* and whatever the Route behind ours */
    say_udp(&r, STRANGER, &w);
    rig_expect_method(&r, PHONE, "BYE", &got);
    answer_udp(&r, PHONE, &got, 200, "");
    rig_expect_status(&r, STRANGER, 200, &got);
    w = bye;
    w.call_id = "s2"; /* another call */
    w.branch = "b2";
    say_udp(&r, STRANGER, &w);
    rig_expect_status(&r, STRANGER, 403, &got);
    w = bye;
    w.from = "<sip:alice@10.0.0.1>;tag=other";
    w.branch = "b3";
    say_udp(&r, STRANGER, &w);
    rig_expect_status(&r, STRANGER, 403, &got);
    w = bye;
    w.method = "INVITE"; /* a new call is not inside the dialog */
    w.to = "<sip:x@x>";
    w.branch = "b4";
    say_udp(&r, STRANGER, &w);
    rig_expect_status(&r, STRANGER, 403, &got);
    for (char *mark = route; (mark = strstr(mark, "hf-mark=")) != NULL; mark += 8)
        mark[8] = mark[8] == 'a' ? 'b' : 'a';
    w = bye;
    w.branch = "b5";
    say_udp(&r, STRANGER, &w);
    rig_expect_status(&r, STRANGER, 403, &got);
}

/* Without any mark (we have been started anew since the call began) a dialog still reaches a device
 * of ours at its registered Contact, and nobody else. */
static void dialog_without_a_mark(void **state)
{
    (void)state;
    begin("registrar-open-to = 10.0.0.0/8\nrelay-from = 10.0.0.0/8\n");
    register_udp(&r, "1001", PHONE, "");
    struct say bye = {.method = "BYE",
                      .uri = "sip:1001@10.0.0.3:5060",
                      .sent_by = STRANGER,
                      .to = "<sip:1001@10.0.0.1>;tag=t"};
    say_udp(&r, STRANGER, &bye);
    rig_expect_method(&r, PHONE, "BYE", &got);
    answer_udp(&r, PHONE, &got, 200, "");
    rig_expect_status(&r, STRANGER, 200, &got);
    struct say ack = bye;
    ack.method = "ACK";
    say_udp(&r, STRANGER, &ack);
    rig_expect_method(&r, PHONE, "ACK", &got);
    static const char *const others[] = {"sip:1001@10.0.0.4:5060", "sip:1002@10.0.0.3:5060"};
    for (unsigned i = 0; i < 2; i++) {
        bye.uri = others[i];
        bye.branch = i == 0 ? "o0" : "o1";
        say_udp(&r, STRANGER, &bye);
        rig_expect_status(&r, STRANGER, 403, &got);
        ack.uri = others[i];
        say_udp(&r, STRANGER, &ack);
    }
    bye.uri = "sip:1001@10.0.0.3:5060"; /* a new call is for the directory to send */
    bye.method = "INVITE";
    bye.branch = "new";
    bye.to = "<sip:1001@10.0.0.1>";
    say_udp(&r, STRANGER, &bye);
    rig_expect_status(&r, STRANGER, 403, &got);
    rig_expect_none(&r, NULL);
}

/* A token alone, or one put beside another mark, names no flow. */
static void token_of_another_dialog_leads_nowhere(void **state)
{
    (void)state;
    begin("registrar-open-to = 10.0.0.0/8\nrelay-from = 10.0.0.0/8\n");
    struct fake_conn *conn = register_tcp(&r, "1002", "10.0.0.4", "");
    char route[512], token[128], mixed[512];
    struct say w = {.uri = "sip:1002@10.0.0.1",
                    .sent_by = STRANGER,
                    .call_id = "s0",
                    .contact = "<sip:x@192.0.2.9>"};
    say_udp(&r, STRANGER, &w);
    expect_tcp_method(conn, "INVITE", &inv);
    const char *rr = rig_value(&inv, SIP_H_RECORD_ROUTE, 0);
    assert_int_equal(sscanf(rr, "<sip:%120[^@]@", token), 1);
    answer_tcp(conn, &inv, 486, "");
    expect_tcp_method(conn, "ACK", &got);
    rig_expect_status(&r, STRANGER, 486, &got);
    ack_udp(&r, STRANGER, &w);
    stranger_calls(route, sizeof(route));
    const char *mark = strstr(route, "hf-mark=");
    snprintf(mixed, sizeof(mixed), "Route: <sip:%s@10.0.0.1:5060;lr;%.24s>\n", token, mark);
    w = (struct say){.method = "BYE",
                     .uri = "sip:y@10.0.0.5",
                     .sent_by = STRANGER,
                     .to = "<sip:x@x>;tag=t",
                     .call_id = "s1",
                     .branch = "b1",
                     .extra = mixed};
    say_udp(&r, STRANGER, &w);
    rig_expect_status(&r, STRANGER, 403, &got);
    rig_expect_none_tcp(conn);
}

#define T(f) cmocka_unit_test_teardown(f, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(unknown_schemes_are_416),
        T(no_hops_left_is_483),
        T(proxy_require),
        T(loops_are_482_spirals_pass),
        T(max_breadth),
        T(users_of_ours),
        T(own_address_with_foreign_port),
        T(maddr),
        T(next_hops_are_resolved),
        T(relaying),
        T(mark_of_another_dialog_relays_nothing),
        T(dialog_without_a_mark),
        T(token_of_another_dialog_leads_nowhere),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
