/* SPDX-License-Identifier: Apache-2.0 */
/* hide-topology: what peers outside are shown in Via, Record-Route and Path, and that dialogs work
 * in both directions all the same. RFC 3261 16.6 step 8, 16.7 step 8, 12.2; RFC 5393; RFC 3327.
 *
 * We are 10.0.0.1 towards the inside and 198.51.100.1 towards the outside. Inside a phone sits
 * behind a SIP Server, outside somebody behind a proxy. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

#include "calls.h"

#define SERVER    "10.0.0.20:5060" /* inside */
#define FAR_PROXY "198.51.100.8:5060"
#define FAR       "198.51.100.7:5060" /* outside */
#define WE_ARE    "sip-address = 10.0.0.1, 198.51.100.1\nrelay-from = any\nresolve-host = true\n"
#define HIDE      WE_ARE "hide-topology = true\n"

#define VIA_BELOW "Via: SIP/2.0/UDP 10.0.0.21:5062;branch=z9hG4bKphone;received=10.0.0.21\n"
#define SERVER_RR "<sip:s@10.0.0.20;lr;x=1>"
#define FAR_RR    "<sip:198.51.100.8;lr>"

static struct rig r;
static struct got got, inv, ok;

static int setup(void **state)
{
    (void)state;
    rig_open(&r, HIDE);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    rig_close(&r);
    return 0;
}

/* No address of 10.0.0.0/8, neither as text nor in the token of a flow. */
static void assert_hidden(const struct got *m)
{
    static const enum sip_hdr_id ids[] = {SIP_H_VIA, SIP_H_RECORD_ROUTE, SIP_H_PATH, SIP_H_ROUTE};
    for (unsigned i = 0; i < sizeof(ids) / sizeof(ids[0]); i++) {
        for (unsigned n = 0; n < rig_count(m, ids[i]); n++) {
            const char *value = rig_value(m, ids[i], n);
            const char *token = strstr(value, ":hf");
            if (strstr(value, "10.0.0.") != NULL ||
                (token != NULL && ids[i] != SIP_H_VIA && strstr(token, "0a0000") != NULL))
                fail_msg("an inside address is shown by %s in\n%s", value, m->text);
        }
    }
}

static void keep(struct got *to)
{
    *to = got;
    to->msg.base = to->text;
    to->msg.hdrs = to->hdrs;
}

/* What the far end gets next. */
static void far_gets(const char *at, const char *method)
{
    rig_expect_method(&r, at, method, &got);
    assert_hidden(&got);
}

static void far_says(const char *at, const char *text)
{
    rig_udp_to(&r, at, RIG_OUTSIDE ":5060", text);
}

static void far_answers(unsigned status, const char *extra)
{
    far_says(FAR, rig_response(&inv, status, "t", extra));
}

/* The next response but 100. */
static void server_gets(unsigned status)
{
    do
        rig_expect(&r, SERVER, &got);
    while (got.msg.status == 100);
    if (got.msg.is_request || got.msg.status != status)
        fail_msg("expected %u, got:\n%s", status, got.text);
}

static void far_gets_status(const char *at, unsigned status)
{
    do
        rig_expect(&r, at, &got);
    while (!got.msg.is_request && got.msg.status == 100);
    if (got.msg.is_request || got.msg.status != status)
        fail_msg("expected %u, got:\n%s", status, got.text);
    assert_hidden(&got);
}

/* The SIP Server's Via and that of the phone, as they were sent. */
static void assert_inside_vias(void)
{
    assert_int_equal(rig_count(&got, SIP_H_VIA), 2);
    assert_non_null(strstr(rig_value(&got, SIP_H_VIA, 0), "SIP/2.0/UDP 10.0.0.20:5060;branch"));
    assert_string_equal(rig_value(&got, SIP_H_VIA, 1),
                        "SIP/2.0/UDP 10.0.0.21:5062;branch=z9hG4bKphone;received=10.0.0.21");
}

/* --- a call to the outside ------------------------------------------------------------------- */

static const struct say call_out = {
    .uri = "sip:bob@198.51.100.7",
    .sent_by = SERVER,
    .from = "<sip:alice@10.0.0.1>;tag=a",
    .to = "<sip:bob@198.51.100.7>",
    .contact = "<sip:alice@10.0.0.21:5062>",
    .extra = VIA_BELOW "Record-Route: " SERVER_RR "\n",
};

static void invite_out(void)
{
    say_udp(&r, SERVER, &call_out);
    far_gets(FAR, "INVITE");
    keep(&inv);
    assert_int_equal(rig_count(&inv, SIP_H_VIA), 1);
    assert_non_null(strstr(rig_value(&inv, SIP_H_VIA, 0), "198.51.100.1:5060;branch="));
    assert_int_equal(rig_count(&inv, SIP_H_RECORD_ROUTE), 1);
    assert_non_null(strstr(rig_value(&inv, SIP_H_RECORD_ROUTE, 0), "198.51.100.1:5060;lr"));
    assert_string_equal(rig_value(&inv, SIP_H_MAX_FORWARDS, 0), "69");
    assert_string_equal(rig_value(&inv, SIP_H_CONTACT, 0), "<sip:alice@10.0.0.21:5062>");
}

/* Both of our values, then the SIP Server's. */
static void assert_inside_routes(void)
{
    assert_inside_vias();
    assert_int_equal(rig_count(&got, SIP_H_RECORD_ROUTE), 3);
    assert_non_null(strstr(rig_value(&got, SIP_H_RECORD_ROUTE, 0), "198.51.100.1:5060;lr"));
    assert_null(strstr(rig_value(&got, SIP_H_RECORD_ROUTE, 0), "hf-hide"));
    assert_non_null(strstr(rig_value(&got, SIP_H_RECORD_ROUTE, 1), "10.0.0.1:5060;lr"));
    assert_string_equal(rig_value(&got, SIP_H_RECORD_ROUTE, 2), SERVER_RR);
}

static void answered_out(void)
{
    invite_out();
    far_answers(180, "Contact: <sip:bob@198.51.100.7>\n");
    server_gets(180);
    assert_inside_routes();
    far_answers(200, "Contact: <sip:bob@198.51.100.7>\n");
    server_gets(200);
    assert_inside_routes();
    keep(&ok);
}

/* Routes that the SIP Server leaves when it has taken off its own. */
static const char *routes_of_server(void)
{
    static char text[2048];
    snprintf(text, sizeof(text), "%s", route_set(&ok, true));
    char *end = strchr(text, '\n');
    assert_non_null(strstr(text, SERVER_RR));
    return end + 1;
}

static void inside_says(const char *method, const char *branch, unsigned cseq, const char *extra)
{
    char all[4096];
    snprintf(all, sizeof(all), "%s%s%s", VIA_BELOW, routes_of_server(), extra);
    say_udp(&r, SERVER,
            &(struct say){.method = method,
                          .uri = "sip:bob@198.51.100.7",
                          .sent_by = SERVER,
                          .branch = branch,
                          .from = "<sip:alice@10.0.0.1>;tag=a",
                          .to = "<sip:bob@198.51.100.7>;tag=t",
                          .cseq = cseq,
                          .contact = "<sip:alice@10.0.0.21:5062>",
                          .extra = all});
}

static void far_says_in_dialog(const char *method, const char *branch, unsigned cseq)
{
    static char routes[2048];
    snprintf(routes, sizeof(routes), "%s", route_set(&inv, false));
    far_says(FAR, say(&(struct say){.method = method,
                                    .uri = "sip:alice@10.0.0.21:5062",
                                    .sent_by = FAR,
                                    .branch = branch,
                                    .from = "<sip:bob@198.51.100.7>;tag=t",
                                    .to = "<sip:alice@10.0.0.1>;tag=a",
                                    .cseq = cseq,
                                    .contact = "<sip:bob@198.51.100.7>",
                                    .extra = routes}));
}

/* What comes from outside has the Route that was sealed. */
static void server_gets_request(const char *method)
{
    rig_expect_method(&r, SERVER, method, &got);
    assert_string_equal(rig_value(&got, SIP_H_ROUTE, 0), SERVER_RR);
    assert_int_equal(rig_count(&got, SIP_H_ROUTE), 1);
    assert_string_equal(rig_uri(&got), "sip:alice@10.0.0.21:5062");
}

static void call_to_the_outside(void **state)
{
    (void)state;
    answered_out();
    inside_says("ACK", "ack", 1, "");
    far_gets(FAR, "ACK");
    assert_int_equal(rig_count(&got, SIP_H_VIA), 1);
    assert_int_equal(rig_count(&got, SIP_H_ROUTE), 0);
    inside_says("BYE", "bye", 2, "");
    far_gets(FAR, "BYE");
    assert_int_equal(rig_count(&got, SIP_H_VIA), 1);
    keep(&inv);
    far_answers(200, "");
    server_gets(200);
    assert_inside_vias();
    assert_int_equal(rig_calls(&r), 0);
}

static void far_end_hangs_up(void **state)
{
    (void)state;
    answered_out();
    inside_says("ACK", "ack", 1, "");
    far_gets(FAR, "ACK");
    far_says_in_dialog("BYE", "fbye", 7);
    server_gets_request("BYE");
    assert_int_equal(rig_count(&got, SIP_H_VIA), 2); /* the inside sees it all */
    rig_udp(&r, SERVER, rig_response(&got, 200, "", ""));
    far_gets_status(FAR, 200);
    assert_int_equal(rig_calls(&r), 0);
}

/* Both ways; inside a dialog a Record-Route of the inside serves nobody outside. */
static void re_invites(void **state)
{
    (void)state;
    answered_out();
    inside_says("ACK", "ack", 1, "");
    far_gets(FAR, "ACK");
    struct got first = inv;
    inside_says("INVITE", "re", 2, "Record-Route: " SERVER_RR "\n");
    far_gets(FAR, "INVITE");
    assert_int_equal(rig_count(&got, SIP_H_RECORD_ROUTE), 0);
    keep(&inv);
    far_answers(200, "Contact: <sip:bob@198.51.100.7>\n");
    server_gets(200);
    assert_inside_vias();
    inside_says("ACK", "reack", 2, "");
    far_gets(FAR, "ACK");
    inv = first;
    inv.msg.base = inv.text;
    inv.msg.hdrs = inv.hdrs;
    far_says_in_dialog("INVITE", "fre", 8);
    server_gets_request("INVITE");
    /* The SIP Server has put itself into the response. */
    rig_udp(&r, SERVER,
            rig_response(&got, 200, "",
                         "Contact: <sip:alice@10.0.0.21:5062>\nRecord-Route: " SERVER_RR "\n"));
    far_gets_status(FAR, 200);
    assert_int_equal(rig_count(&got, SIP_H_RECORD_ROUTE), 0);
    far_says_in_dialog("ACK", "freack", 8);
    server_gets_request("ACK");
}

/* The 2xx comes again when nothing is kept of the call but its transactions. */
static void late_answers(void **state)
{
    (void)state;
    answered_out();
    fake_advance(r.loop, 1000);
    far_answers(200, "Contact: <sip:bob@198.51.100.7>\n");
    server_gets(200);
    assert_inside_routes();
    inside_says("ACK", "ack", 1, "");
    far_gets(FAR, "ACK");
}

static void cancelled(void **state)
{
    (void)state;
    invite_out();
    far_answers(180, "");
    server_gets(180);
    struct say cancel = call_out;
    cancel.extra = "";
    cancel_udp(&r, SERVER, &cancel);
    server_gets(200);
    far_gets(FAR, "CANCEL");
    assert_int_equal(rig_count(&got, SIP_H_VIA), 1);
    far_says(FAR, rig_response(&got, 200, "t", ""));
    far_answers(487, "");
    far_gets(FAR, "ACK");
    assert_int_equal(rig_count(&got, SIP_H_VIA), 1);
    server_gets(487);
    assert_inside_vias();
    ack_udp(&r, SERVER, &call_out);
}

static void refused(void **state)
{
    (void)state;
    invite_out();
    far_answers(486, "");
    far_gets(FAR, "ACK");
    assert_string_equal(rig_value(&got, SIP_H_VIA, 0), rig_value(&inv, SIP_H_VIA, 0));
    server_gets(486);
    assert_inside_vias();
    ack_udp(&r, SERVER, &call_out);
    rig_expect_none(&r, NULL);
}

/* --- a call from the outside ----------------------------------------------------------------- */

static void invite_in(void)
{
    far_says(FAR_PROXY,
             say(&(struct say){.uri = "sip:alice@10.0.0.20",
                               .sent_by = FAR_PROXY,
                               .from = "<sip:bob@198.51.100.7>;tag=a",
                               .to = "<sip:alice@10.0.0.1>",
                               .contact = "<sip:bob@198.51.100.7>",
                               .extra = "Via: SIP/2.0/UDP 198.51.100.7:5060;branch=z9hG4bKf\n"
                                        "Record-Route: " FAR_RR "\n"}));
    rig_expect_method(&r, SERVER, "INVITE", &got);
    keep(&inv);
    assert_int_equal(rig_count(&inv, SIP_H_VIA), 3);
    assert_int_equal(rig_count(&inv, SIP_H_RECORD_ROUTE), 3);
    assert_non_null(strstr(rig_value(&inv, SIP_H_RECORD_ROUTE, 0), "10.0.0.1:5060;lr"));
    assert_non_null(strstr(rig_value(&inv, SIP_H_RECORD_ROUTE, 1), "198.51.100.1:5060;lr"));
    assert_string_equal(rig_value(&inv, SIP_H_RECORD_ROUTE, 2), FAR_RR);
}

/* The SIP Server has put itself on top. */
static void server_answers(unsigned status)
{
    char text[8192], *at;
    snprintf(text, sizeof(text), "%s",
             rig_response(&inv, status, "t", "Contact: <sip:alice@10.0.0.21:5062>\n"));
    at = strstr(text, "Record-Route: ");
    assert_non_null(at);
    static char whole[8192];
    snprintf(whole, sizeof(whole), "%.*sRecord-Route: %s, <sip:10.0.0.19;lr>\n%s", (int)(at - text),
             text, SERVER_RR, at);
    rig_udp(&r, SERVER, whole);
}

static void answered_in(void)
{
    invite_in();
    server_answers(180);
    far_gets_status(FAR_PROXY, 180);
    server_answers(200);
    far_gets_status(FAR_PROXY, 200);
    keep(&ok);
    assert_int_equal(rig_count(&ok, SIP_H_VIA), 2);
    assert_int_equal(rig_count(&ok, SIP_H_RECORD_ROUTE), 2);
    assert_non_null(strstr(rig_value(&ok, SIP_H_RECORD_ROUTE, 0), "198.51.100.1:5060;lr"));
    assert_non_null(strstr(rig_value(&ok, SIP_H_RECORD_ROUTE, 0), "hf-hide="));
    assert_string_equal(rig_value(&ok, SIP_H_RECORD_ROUTE, 1), FAR_RR);
}

static void caller_says(const char *method, const char *branch, unsigned cseq)
{
    static char routes[2048];
    snprintf(routes, sizeof(routes), "%s", route_set(&ok, true));
    char *own = strchr(routes, '\n') + 1; /* its proxy has taken off its own */
    far_says(FAR_PROXY, say(&(struct say){.method = method,
                                          .uri = "sip:alice@10.0.0.21:5062",
                                          .sent_by = FAR_PROXY,
                                          .branch = branch,
                                          .from = "<sip:bob@198.51.100.7>;tag=a",
                                          .to = "<sip:alice@10.0.0.1>;tag=t",
                                          .cseq = cseq,
                                          .contact = "<sip:bob@198.51.100.7>",
                                          .extra = own}));
}

static void caller_reaches(const char *method, const char *at)
{
    rig_expect_method(&r, at, method, &got);
    assert_int_equal(rig_count(&got, SIP_H_ROUTE), 2);
    assert_string_equal(rig_value(&got, SIP_H_ROUTE, 0), "<sip:10.0.0.19;lr>");
    assert_string_equal(rig_value(&got, SIP_H_ROUTE, 1), SERVER_RR);
}

static void call_from_the_outside(void **state)
{
    (void)state;
    answered_in();
    caller_says("ACK", "ack", 1);
    caller_reaches("ACK", "10.0.0.19:5060");
    caller_says("INVITE", "re", 2);
    caller_reaches("INVITE", "10.0.0.19:5060");
    rig_udp(&r, "10.0.0.19:5060", rig_response(&got, 200, "", "Contact: <sip:alice@10.0.0.21>\n"));
    far_gets_status(FAR_PROXY, 200);
    caller_says("ACK", "reack", 2);
    caller_reaches("ACK", "10.0.0.19:5060");
    caller_says("BYE", "bye", 3);
    caller_reaches("BYE", "10.0.0.19:5060");
    rig_udp(&r, "10.0.0.19:5060", rig_response(&got, 200, "", ""));
    far_gets_status(FAR_PROXY, 200);
    assert_int_equal(rig_calls(&r), 0);
}

/* The callee's route set is what it was shown, which is all. */
static void callee_hangs_up(void **state)
{
    (void)state;
    static char routes[2048];
    answered_in();
    caller_says("ACK", "ack", 1);
    caller_reaches("ACK", "10.0.0.19:5060");
    snprintf(routes, sizeof(routes), VIA_BELOW "%s", route_set(&inv, false));
    say_udp(&r, SERVER,
            &(struct say){.method = "BYE",
                          .uri = "sip:bob@198.51.100.7",
                          .sent_by = SERVER,
                          .branch = "cbye",
                          .from = "<sip:alice@10.0.0.1>;tag=t",
                          .to = "<sip:bob@198.51.100.7>;tag=a",
                          .cseq = 5,
                          .contact = "",
                          .extra = routes});
    far_gets(FAR_PROXY, "BYE");
    assert_string_equal(rig_value(&got, SIP_H_ROUTE, 0), FAR_RR);
    assert_int_equal(rig_count(&got, SIP_H_ROUTE), 1);
    assert_int_equal(rig_count(&got, SIP_H_VIA), 1);
    far_says(FAR_PROXY, rig_response(&got, 200, "", ""));
    server_gets(200);
    assert_inside_vias();
}

/* After the arena of the call was given back. */
static void late_answers_from_inside(void **state)
{
    (void)state;
    answered_in();
    fake_advance(r.loop, 1000);
    server_answers(200);
    far_gets_status(FAR_PROXY, 200);
    assert_int_equal(rig_count(&got, SIP_H_RECORD_ROUTE), 2);
    caller_says("ACK", "ack", 1);
    caller_reaches("ACK", "10.0.0.19:5060");
}

/* --- by connections -------------------------------------------------------------------------- */

/* The connection of an inside phone stands in a token, which is an address too. */
static void phone_by_tcp(void **state)
{
    (void)state;
    struct fake_conn *phone = fake_connect(r.loop, "10.0.0.21:41000", PROXY);
    say_tcp(phone, &(struct say){.uri = "sip:bob@198.51.100.7",
                                 .transport = "TCP",
                                 .sent_by = "10.0.0.21:5062",
                                 .contact = "<sip:alice@10.0.0.21:5062;transport=tcp>"});
    far_gets(FAR, "INVITE");
    keep(&inv);
    assert_int_equal(rig_count(&inv, SIP_H_VIA), 1);
    assert_int_equal(rig_count(&inv, SIP_H_RECORD_ROUTE), 1);
    far_answers(200, "Contact: <sip:bob@198.51.100.7>\n");
    expect_tcp_status(phone, 200, &got);
    assert_int_equal(rig_count(&got, SIP_H_VIA), 1);
    assert_int_equal(rig_count(&got, SIP_H_RECORD_ROUTE), 2);
    far_says_in_dialog("BYE", "fbye", 7);
    expect_tcp_method(phone, "BYE", &got);
    assert_int_equal(rig_count(&got, SIP_H_ROUTE), 0);
    rig_tcp(phone, rig_response(&got, 200, "", ""));
    far_gets_status(FAR, 200);
}

/* --- loops ----------------------------------------------------------------------------------- */

/* What is told of a Via that was taken off is enough to know it again. */
static void loops_are_found(void **state)
{
    (void)state;
    char via[1024], again[4096];
    struct say w = call_out;
    invite_out();
    snprintf(via, sizeof(via), "Via: %s\n", rig_value(&inv, SIP_H_VIA, 0));
    snprintf(again, sizeof(again), "%sVia: SIP/2.0/UDP 198.51.100.7;branch=z9hG4bKf\n%s", "", via);
    /* Round by the outside and the inside: the second time our first Via is taken off too. */
    w.uri = "sip:carol@198.51.100.7";
    w.branch = "round";
    w.extra = again;
    w.hops = "60";
    say_udp(&r, SERVER, &w);
    far_gets(FAR, "INVITE");
    assert_int_equal(rig_count(&got, SIP_H_VIA), 1);
    assert_non_null(strstr(rig_value(&got, SIP_H_VIA, 0), ";hf-loops="));
    snprintf(again, sizeof(again), "Via: %s\nRecord-Route: " SERVER_RR "\n",
             rig_value(&got, SIP_H_VIA, 0));
    keep(&ok);
    /* And a third time, as the first. */
    w = call_out;
    w.branch = "third";
    w.hops = "50";
    w.extra = again;
    say_udp(&r, SERVER, &w);
    server_gets(482);
    assert_int_equal(rig_counter(&r, CTR_LOOP), 1);
    far_answers(486, "");
    far_gets(FAR, "ACK");
    far_says(FAR, rig_response(&ok, 486, "t", ""));
    far_gets(FAR, "ACK");
}

/* --- what is sealed -------------------------------------------------------------------------- */

/* No state of ours is needed. */
static void after_a_restart(void **state)
{
    (void)state;
    answered_out();
    inside_says("ACK", "ack", 1, "");
    far_gets(FAR, "ACK");
    rig_abandon(&r);
    rig_open(&r, HIDE);
    far_says_in_dialog("BYE", "fbye", 7);
    server_gets_request("BYE");
    rig_udp(&r, SERVER, rig_response(&got, 200, "", ""));
    far_gets_status(FAR, 200);
}

/* Only for the call that it was made for, and only as it was made. */
static void nothing_else_opens_it(void **state)
{
    (void)state;
    char routes[2048], changed[2048];
    answered_out();
    inside_says("ACK", "ack", 1, "");
    far_gets(FAR, "ACK");
    snprintf(routes, sizeof(routes), "%s", route_set(&inv, false));
    snprintf(changed, sizeof(changed), "%s", routes);
    char *at = strstr(changed, "hf-hide=") + 12;
    *at = *at == 'A' ? 'B' : 'A';
    struct say w = {.method = "BYE",
                    .uri = "sip:alice@10.0.0.21:5062",
                    .sent_by = FAR,
                    .branch = "b1",
                    .from = "<sip:bob@198.51.100.7>;tag=t",
                    .to = "<sip:alice@10.0.0.1>;tag=a",
                    .contact = "",
                    .extra = changed};
    far_says(FAR, say(&w));
    rig_expect_method(&r, "10.0.0.21:5062", "BYE", &got);
    assert_int_equal(rig_count(&got, SIP_H_ROUTE), 0);
    rig_udp(&r, "10.0.0.21:5062", rig_response(&got, 481, "", ""));
    far_gets_status(FAR, 481);
    w.call_id = "other";
    w.branch = "b2";
    w.extra = routes;
    far_says(FAR, say(&w));
    rig_expect_method(&r, "10.0.0.21:5062", "BYE", &got);
    assert_int_equal(rig_count(&got, SIP_H_ROUTE), 0);
    rig_udp(&r, "10.0.0.21:5062", rig_response(&got, 481, "", ""));
    far_gets_status(FAR, 481);
}

/* RFC 3261 16.4: our value comes back as the Request-URI. */
static void strict_router_outside(void **state)
{
    (void)state;
    char uri[2048];
    answered_out();
    snprintf(uri, sizeof(uri), "%s", rig_value(&inv, SIP_H_RECORD_ROUTE, 0) + 1);
    *strchr(uri, '>') = '\0';
    far_says(FAR, say(&(struct say){.method = "BYE",
                                    .uri = uri,
                                    .sent_by = FAR,
                                    .branch = "strict",
                                    .from = "<sip:bob@198.51.100.7>;tag=t",
                                    .to = "<sip:alice@10.0.0.1>;tag=a",
                                    .contact = "",
                                    .extra = "Route: <sip:alice@10.0.0.21:5062>\n"}));
    server_gets_request("BYE");
    rig_udp(&r, SERVER, rig_response(&got, 200, "", ""));
    far_gets_status(FAR, 200);
}

/* The inside proxy is a strict router: its URI is the Request-URI, the target goes to the end. */
static void strict_router_inside(void **state)
{
    (void)state;
    struct say w = call_out;
    w.extra = VIA_BELOW "Record-Route: <sip:10.0.0.20>, <sip:10.0.0.19;lr>\n";
    say_udp(&r, SERVER, &w);
    far_gets(FAR, "INVITE");
    keep(&inv);
    far_answers(200, "Contact: <sip:bob@198.51.100.7>\n");
    server_gets(200);
    far_says_in_dialog("BYE", "fbye", 7);
    rig_expect_method(&r, SERVER, "BYE", &got);
    assert_string_equal(rig_uri(&got), "sip:10.0.0.20");
    assert_int_equal(rig_count(&got, SIP_H_ROUTE), 2);
    assert_string_equal(rig_value(&got, SIP_H_ROUTE, 0), "<sip:10.0.0.19;lr>");
    assert_string_equal(rig_value(&got, SIP_H_ROUTE, 1), "<sip:alice@10.0.0.21:5062>");
    rig_udp(&r, SERVER, rig_response(&got, 200, "", ""));
    far_gets_status(FAR, 200);
}

/* Rather shown than lost. */
static void too_many_to_hide(void **state)
{
    (void)state;
    static char routes[4096];
    size_t at = 0;
    struct say w = call_out;
    for (unsigned i = 0; i < 40; i++)
        at += (size_t)snprintf(routes + at, sizeof(routes) - at,
                               "Record-Route: <sip:proxy-%u@10.0.0.20;lr>\n", i);
    w.uri = "sip:bob@198.51.100.7;transport=udp"; /* however large */
    w.extra = routes;
    say_udp(&r, SERVER, &w);
    rig_expect_method(&r, FAR, "INVITE", &got);
    keep(&inv);
    assert_int_equal(rig_count(&inv, SIP_H_VIA), 1);
    assert_int_equal(rig_count(&inv, SIP_H_RECORD_ROUTE), 42);
    assert_true(rig_counter(&r, CTR_NOT_HIDDEN) == 1 && rig_heard(EV_NOT_HIDDEN) == 1);
    far_answers(200, "Contact: <sip:bob@198.51.100.7>\n");
    server_gets(200);
    assert_int_equal(rig_count(&got, SIP_H_RECORD_ROUTE), 42);
}

/* --- Path ------------------------------------------------------------------------------------ */

static void path_of_the_inside(void **state)
{
    (void)state;
    char route[2048];
    struct say w = {.method = "REGISTER",
                    .uri = "sip:198.51.100.7",
                    .sent_by = SERVER,
                    .from = "<sip:alice@198.51.100.7>;tag=a",
                    .to = "<sip:alice@198.51.100.7>",
                    .contact = "<sip:alice@10.0.0.21:5062>",
                    .extra = VIA_BELOW "Path: " SERVER_RR
                                       ", <sip:10.0.0.19;lr>\nSupported: path\n"};
    say_udp(&r, SERVER, &w);
    far_gets(FAR, "REGISTER");
    keep(&inv);
    assert_int_equal(rig_count(&inv, SIP_H_PATH), 1);
    snprintf(route, sizeof(route), "Path: %s\n", rig_value(&inv, SIP_H_PATH, 0));
    far_answers(200, route);
    server_gets(200);
    assert_inside_vias();
    assert_string_equal(rig_value(&got, SIP_H_PATH, 0), SERVER_RR);
    assert_string_equal(rig_value(&got, SIP_H_PATH, 1), "<sip:10.0.0.19;lr>");
    /* Requests for alice come back by it, from where nobody may have anything relayed; also after a
     * restart. */
    rig_close(&r);
    rig_open(&r, "sip-address = 10.0.0.1, 198.51.100.1\nrelay-from = 10.0.0.0/8\n");
    memmove(route + 1, route, strlen(route) + 1);
    memcpy(route, "Route:", 6);
    far_says(FAR, say(&(struct say){.method = "MESSAGE",
                                    .uri = "sip:alice@10.0.0.21:5062",
                                    .sent_by = FAR,
                                    .extra = route}));
    rig_expect_method(&r, SERVER, "MESSAGE", &got);
    assert_string_equal(rig_value(&got, SIP_H_ROUTE, 0), SERVER_RR);
    assert_string_equal(rig_value(&got, SIP_H_ROUTE, 1), "<sip:10.0.0.19;lr>");
    rig_udp(&r, SERVER, rig_response(&got, 200, "t", ""));
    rig_expect_status(&r, FAR, 200, &got);
    /* And nowhere else. */
    far_says(FAR, say(&(struct say){.method = "MESSAGE",
                                    .uri = "sip:alice@10.0.0.21:5062",
                                    .sent_by = FAR,
                                    .branch = "m2",
                                    .extra = "Route: <sip:10.0.0.20;lr>\n"}));
    rig_expect_status(&r, FAR, 403, &got);
}

/* A phone outside registers with the SIP Server inside, by way of us. */
static void path_in_a_response(void **state)
{
    (void)state;
    struct say w = {.method = "REGISTER",
                    .uri = "sip:10.0.0.20",
                    .sent_by = FAR_PROXY,
                    .from = "<sip:bob@10.0.0.20>;tag=a",
                    .to = "<sip:bob@10.0.0.20>",
                    .contact = "<sip:bob@198.51.100.7>",
                    .extra = "Path: <sip:198.51.100.8;lr>\nSupported: path\n"};
    far_says(FAR_PROXY, say(&w));
    rig_expect_method(&r, SERVER, "REGISTER", &got);
    rig_udp(&r, SERVER,
            rig_response(&got, 200, "t", "Path: " SERVER_RR ", <sip:198.51.100.8;lr>\n"));
    far_gets_status(FAR_PROXY, 200);
    assert_int_equal(rig_count(&got, SIP_H_PATH), 1);
    assert_string_equal(rig_value(&got, SIP_H_PATH, 0), "<sip:198.51.100.8;lr>");
}

/* --- where it does not apply ----------------------------------------------------------------- */

static void from_inside_to_inside(void **state)
{
    (void)state;
    struct say w = call_out;
    w.uri = "sip:bob@10.0.0.3";
    say_udp(&r, SERVER, &w);
    rig_expect_method(&r, PHONE, "INVITE", &got);
    assert_int_equal(rig_count(&got, SIP_H_VIA), 3);
    assert_int_equal(rig_count(&got, SIP_H_RECORD_ROUTE), 2);
    answer_udp(&r, PHONE, &got, 404, "");
    rig_expect_method(&r, PHONE, "ACK", &got);
}

static void off_by_default(void **state)
{
    (void)state;
    rig_close(&r);
    rig_open(&r, WE_ARE);
    say_udp(&r, SERVER, &call_out);
    rig_expect_method(&r, FAR, "INVITE", &got);
    assert_int_equal(rig_count(&got, SIP_H_VIA), 3);
    assert_int_equal(rig_count(&got, SIP_H_RECORD_ROUTE), 3);
    keep(&inv);
    far_answers(404, "");
    rig_expect_method(&r, FAR, "ACK", &got);
}

/* With record-route = false only what crosses the border comes back through us. */
static void record_route_where_it_is_needed(void **state)
{
    (void)state;
    rig_close(&r);
    rig_open(&r, HIDE "record-route = false\n");
    answered_out();
    inside_says("ACK", "ack", 1, "");
    far_gets(FAR, "ACK");
    far_says_in_dialog("BYE", "fbye", 7);
    server_gets_request("BYE");
    rig_udp(&r, SERVER, rig_response(&got, 200, "", ""));
    far_gets_status(FAR, 200);
    struct say w = call_out;
    w.uri = "sip:bob@10.0.0.3";
    w.branch = "in";
    w.call_id = "in";
    say_udp(&r, SERVER, &w);
    rig_expect_method(&r, PHONE, "INVITE", &got);
    assert_int_equal(rig_count(&got, SIP_H_RECORD_ROUTE), 1);
    answer_udp(&r, PHONE, &got, 404, "");
    rig_expect_method(&r, PHONE, "ACK", &got);
}

/* Switched off while a call rings: its responses still find their way. */
static void reload_in_a_call(void **state)
{
    (void)state;
    invite_out();
    rig_reload(&r, WE_ARE);
    far_answers(200, "Contact: <sip:bob@198.51.100.7>\n");
    server_gets(200);
    assert_inside_routes();
    keep(&ok);
    inside_says("ACK", "ack", 1, "");
    rig_expect_method(&r, FAR, "ACK", &got);
    far_says_in_dialog("BYE", "fbye", 7);
    server_gets_request("BYE");
    rig_udp(&r, SERVER, rig_response(&got, 200, "", ""));
    rig_expect_status(&r, FAR, 200, &got);
}

#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(call_to_the_outside),
        T(far_end_hangs_up),
        T(re_invites),
        T(late_answers),
        T(cancelled),
        T(refused),
        T(call_from_the_outside),
        T(callee_hangs_up),
        T(late_answers_from_inside),
        T(phone_by_tcp),
        T(loops_are_found),
        T(after_a_restart),
        T(nothing_else_opens_it),
        T(strict_router_outside),
        T(strict_router_inside),
        T(too_many_to_hide),
        T(path_of_the_inside),
        T(path_in_a_response),
        T(from_inside_to_inside),
        T(off_by_default),
        T(record_route_where_it_is_needed),
        T(reload_in_a_call),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
