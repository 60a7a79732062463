/* SPDX-License-Identifier: Apache-2.0 */
/* Overload: what is refused before anything is kept of it, what passes always, and what neighbours
 * that speak RFC 7339 are told and tell us. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "calls.h"

#define TRUNK "10.0.0.7:5060"
#define MAIN  "[application main]\nprimary = sip:10.0.0.6:5060\noos-check = 0\n"

static struct rig r;
static struct got got, sent;
static unsigned number; /* of calls */

static void open(const char *options)
{
    number = 0;
    rig_open(&r, options);
    fake_run(r.loop);
}

/* The next call; what is said of `uri` and `extra` may be NULL. */
static struct say call(const char *method, const char *uri, const char *extra)
{
    static char branch[4][32], call_id[4][32];
    unsigned i = ++number % 4;
    snprintf(branch[i], sizeof(branch[i]), "b%u", number);
    snprintf(call_id[i], sizeof(call_id[i]), "call-%u", number);
    return (struct say){
        .method = method, .uri = uri, .branch = branch[i], .call_id = call_id[i], .extra = extra};
}

static unsigned retry_after(void)
{
    return (unsigned)strtoul(rig_value(&got, SIP_H_RETRY_AFTER, 0), NULL, 10);
}

/* Refused for overload: 503 with Retry-After, and nothing is kept. */
static void refused(const char *from, const struct say *what)
{
    unsigned before = rig_transactions(&r);
    say_udp(&r, from, what);
    rig_expect_status(&r, from, 503, &got);
    assert_in_range(retry_after(), 2, 10);
    assert_int_equal(got.msg.len % 64, 0); /* of one size: they leave as one */
    assert_int_equal(rig_transactions(&r), before);
    rig_expect_none(&r, NULL);
}

/* Not refused for overload, whatever else becomes of it. */
static void passes(const char *from, const struct say *what)
{
    uint64_t shed = rig_counter(&r, CTR_SHED_RATE) + rig_counter(&r, CTR_SHED_SOURCE) +
                    rig_counter(&r, CTR_SHED_LAG);
    struct fake_datagram d;
    unsigned before = rig_transactions(&r);
    say_udp(&r, from, what);
    assert_true(rig_transactions(&r) > before);
    assert_int_equal(rig_counter(&r, CTR_SHED_RATE) + rig_counter(&r, CTR_SHED_SOURCE) +
                         rig_counter(&r, CTR_SHED_LAG),
                     shed);
    while (fake_take_datagram(r.loop, NULL, &d)) {
    }
}

/* The only token is taken. */
static void open_with_rate_used(const char *options)
{
    char text[2048];
    snprintf(text, sizeof(text), "overload-ctrl-dialog-rate = 1\n%s", options);
    open(text);
    struct say first = call(NULL, NULL, NULL);
    passes(OTHER, &first);
}

static void finish(void)
{
    struct fake_datagram d;
    fake_advance(r.loop, 60000);
    while (fake_take_datagram(r.loop, NULL, &d)) {
    }
    rig_close(&r);
}

/* --- the rate of calls --- */

static void call_up_to(const char *callee, const struct say *what)
{
    char contact[64];
    snprintf(contact, sizeof(contact), "Contact: <sip:1001@%s>\n", callee);
    say_udp(&r, CALLER, what);
    rig_expect_method(&r, callee, "INVITE", &sent);
    answer_udp(&r, callee, &sent, 200, contact);
    rig_expect_status(&r, CALLER, 200, &got);
}

static void call_up(const struct say *what)
{
    call_up_to(PHONE, what);
}

static void inside_to(const char *callee, const struct say *of, const char *method, unsigned cseq)
{
    char to[128], branch[64], uri[64];
    struct say what = *of;
    snprintf(uri, sizeof(uri), "sip:1001@%s", callee);
    snprintf(to, sizeof(to), "%s", rig_value(&got, SIP_H_TO, 0));
    snprintf(branch, sizeof(branch), "%s%u", of->branch, cseq);
    what.method = method;
    what.uri = uri;
    what.to = to;
    what.branch = branch;
    what.cseq = cseq;
    what.extra = route_set(&got, true);
    say_udp(&r, CALLER, &what);
    rig_expect_method(&r, callee, method, &sent);
}

static void inside(const struct say *of, const char *method, unsigned cseq)
{
    inside_to(PHONE, of, method, cseq);
}

static void rate_of_calls(void **state)
{
    (void)state;
    open(OPEN "overload-ctrl-dialog-rate = 2\n");
    register_udp(&r, "1001", PHONE, "");
    struct say one = call(NULL, NULL, NULL), two = call(NULL, NULL, NULL);
    call_up(&one);
    call_up(&two);
    struct got answer = got;
    struct say three = call(NULL, NULL, NULL);
    refused(CALLER, &three);
    /* What belongs to a call passes: ACK, INVITE, BYE. */
    got = answer;
    inside(&two, "ACK", 1);
    inside(&two, "INVITE", 2);
    answer_udp(&r, PHONE, &sent, 200, "Contact: <sip:1001@10.0.0.3:5060>\n");
    rig_expect_status(&r, CALLER, 200, &sent);
    got = answer;
    inside(&two, "ACK", 2);
    inside(&two, "BYE", 3);
    answer_udp(&r, PHONE, &sent, 200, "");
    rig_expect_status(&r, CALLER, 200, &sent);
    /* So does what begins no dialog. */
    struct say other = call("MESSAGE", NULL, NULL);
    say_udp(&r, CALLER, &other);
    rig_expect_method(&r, PHONE, "MESSAGE", &sent);
    answer_udp(&r, PHONE, &sent, 200, "");
    assert_int_equal(rig_counter(&r, CTR_SHED_RATE), 1);
    assert_int_equal(rig_counter(&r, CTR_REQ_REJECTED), 1);
    /* A second later there is room for two more. */
    fake_advance(r.loop, 1000);
    struct fake_datagram d;
    while (fake_take_datagram(r.loop, NULL, &d)) {
    }
    struct say four = call(NULL, NULL, NULL);
    say_udp(&r, CALLER, &four);
    rig_expect_method(&r, PHONE, "INVITE", &sent);
    finish();
}

/* RFC 3261 8.2.7: without a transaction the same request has the same answer, and its ACK is for
 * nobody else. */
static void refusal_without_state(void **state)
{
    char tag[128];
    (void)state;
    open_with_rate_used(OPEN);
    struct say what = call(NULL, NULL, NULL);
    refused(CALLER, &what);
    snprintf(tag, sizeof(tag), "%s", rig_value(&got, SIP_H_TO, 0));
    assert_non_null(strstr(tag, ";tag="));
    refused(CALLER, &what);
    assert_string_equal(rig_value(&got, SIP_H_TO, 0), tag);
    struct say ack = what;
    ack.to = tag;
    ack_udp(&r, CALLER, &ack);
    rig_expect_none(&r, NULL);
    /* An ACK with another tag is none of ours. */
    ack.to = "<sip:1001@10.0.0.9>;tag=0123456789abcdef";
    ack.uri = "sip:1001@10.0.0.9";
    ack_udp(&r, CALLER, &ack);
    rig_expect_method(&r, "10.0.0.9:5060", "ACK", &sent);
    finish();
}

static void retry_after_is_spread(void **state)
{
    unsigned seen[16] = {0}, kinds = 0;
    (void)state;
    open_with_rate_used(OPEN "overload-retry-after = 4-8\n");
    for (unsigned i = 0; i < 100; i++) {
        struct say what = call(NULL, NULL, NULL);
        say_udp(&r, CALLER, &what);
        rig_expect_status(&r, CALLER, 503, &got);
        assert_in_range(retry_after(), 4, 8);
        seen[retry_after()]++;
    }
    for (unsigned i = 4; i <= 8; i++)
        kinds += seen[i] > 5;
    assert_int_equal(kinds, 5);
    finish();
}

/* A new rate, or none, counts at once. */
static void reload(void **state)
{
    (void)state;
    open_with_rate_used(OPEN);
    struct say one = call(NULL, NULL, NULL), two = call(NULL, NULL, NULL);
    refused(CALLER, &one);
    rig_reload(&r, OPEN);
    passes(CALLER, &two);
    finish();
}

/* --- what passes always --- */

static void emergency_calls(void **state)
{
    static const char *const pass[] = {
        "urn:service:sos",
        "URN:Service:SOS",
        "urn:service:sos.fire",
        "urn:service:sos.ecall.manual",
        "sip:112@10.0.0.1",
        "sip:112;phone-context=+49@10.0.0.1;user=phone",
        "sip:1-1-2@elsewhere.example",
        "sip:%31%312@10.0.0.1",
        "tel:112;phone-context=+49",
        "tel:9-1-1;phone-context=+1",
        "sips:911@10.0.0.1",
        "sip:POLICE@10.0.0.1",
    };
    static const char *const refuse[] = {
        "urn:service:counseling", "urn:service:sosa",     "sip:1123@10.0.0.1",
        "sip:11@10.0.0.1",        "tel:+49112",           "sip:10.0.0.1",
        "sip:urn@10.0.0.1",       "sip:9110@911.example",
    };
    (void)state;
    open_with_rate_used(OPEN "emergency-numbers = 112, 911, police\n");
    for (size_t i = 0; i < sizeof(pass) / sizeof(pass[0]); i++) {
        struct say what = call(NULL, pass[i], NULL);
        passes(CALLER, &what);
    }
    for (size_t i = 0; i < sizeof(refuse) / sizeof(refuse[0]); i++) {
        struct say what = call(NULL, refuse[i], NULL);
        refused(CALLER, &what);
    }
    finish();
}

/* Without numbers set only the URN is one. */
static void no_emergency_numbers(void **state)
{
    (void)state;
    open_with_rate_used(OPEN);
    struct say urn = call(NULL, "urn:service:sos", NULL), number_ = call(NULL, "sip:112@a", NULL);
    passes(CALLER, &urn);
    refused(CALLER, &number_);
    finish();
}

static void resource_priority(void **state)
{
    static const char *const pass[] = {
        "Resource-Priority: ets.0\n",
        "resource-priority: ESNET.1\n",
        "Resource-Priority: drsn.routine, wps.2\n",
        "Resource-Priority: drsn.routine\nResource-Priority: ets.4\n",
    };
    static const char *const refuse[] = {
        "Resource-Priority: drsn.flash\n",
        "Resource-Priority: ets\n",
        "Resource-Priority: .0\n",
        "X-Resource-Priority: ets.0\n",
        "",
    };
    (void)state;
    open_with_rate_used("registrar-open-to = 10.0.0.0/8\nrelay-from = 10.0.0.0/24\n");
    for (size_t i = 0; i < sizeof(pass) / sizeof(pass[0]); i++) {
        struct say what = call(NULL, NULL, pass[i]);
        passes(CALLER, &what);
        struct say again = call(NULL, NULL, pass[i]);
        again.sent_by = "10.1.0.2:5060";
        refused("10.1.0.2:5060", &again); /* not one whose word counts */
    }
    for (size_t i = 0; i < sizeof(refuse) / sizeof(refuse[0]); i++) {
        struct say what = call(NULL, NULL, refuse[i]);
        refused(CALLER, &what);
    }
    finish();
}

/* --- one source --- */

static void rate_of_a_source(void **state)
{
    (void)state;
    open(OPEN "overload-source-rate = 3\n" MAIN);
    for (unsigned i = 0; i < 3; i++) {
        struct say what = call(i == 0 ? "OPTIONS" : NULL, NULL, NULL);
        passes(CALLER, &what);
    }
    struct say invite = call(NULL, NULL, NULL), options = call("OPTIONS", NULL, NULL),
               subscribe = call("SUBSCRIBE", NULL, "Event: presence\n");
    refused(CALLER, &invite);
    refused(CALLER, &options);
    refused(CALLER, &subscribe);
    assert_int_equal(rig_counter(&r, CTR_SHED_SOURCE), 3);
    struct say other = call(NULL, NULL, NULL);
    other.sent_by = OTHER;
    passes(OTHER, &other);
    /* An application speaks for many. */
    for (unsigned i = 0; i < 20; i++) {
        struct say many = call(i % 2 == 0 ? "OPTIONS" : NULL, NULL, NULL);
        many.sent_by = "10.0.0.6:5060";
        passes("10.0.0.6:5060", &many);
    }
    finish();
}

/* REGISTER too is refused without state. */
static void registrations(void **state)
{
    (void)state;
    open(OPEN "overload-source-rate = 1\n");
    register_udp(&r, "1001", PHONE, "");
    struct say what = call("REGISTER", "sip:10.0.0.1", NULL);
    what.to = "<sip:1001@10.0.0.1>";
    what.sent_by = PHONE;
    refused(PHONE, &what);
    finish();
}

/* --- lag --- */

/* So late for so long; something comes every 10 ms. */
static void lag(uint32_t late_ms, unsigned for_ms)
{
    struct net_late late = {.ms = late_ms};
    struct fake_datagram d;
    fake_set_late(r.loop, &late);
    for (unsigned ms = 0; ms < for_ms; ms += 10) {
        fake_advance(r.loop, 10);
        assert_true(fake_datagram(r.loop, THIRD, PROXY, SLICE("\r\n\r\n")));
        fake_run(r.loop);
        while (fake_take_datagram(r.loop, THIRD, &d)) {
        }
    }
    late.ms = 0;
    fake_set_late(r.loop, &late);
}

static unsigned let_in(const char *method, unsigned n)
{
    struct fake_datagram d;
    unsigned in = 0;
    for (unsigned i = 0; i < n; i++) {
        struct say what = call(method, NULL, NULL);
        unsigned before = rig_transactions(&r);
        say_udp(&r, OTHER, &what);
        in += rig_transactions(&r) > before;
        while (fake_take_datagram(r.loop, NULL, &d)) {
        }
    }
    return in;
}

static void lagging_worker(void **state)
{
    (void)state;
    open(OPEN MAIN);
    register_udp(&r, "1001", PHONE, "");
    struct say one = {.branch = "one", .call_id = "one"};
    call_up(&one);
    struct got answer = got;
    lag(90, 1000);
    assert_int_equal(let_in(NULL, 50), 50);
    lag(150, 500);
    unsigned loss = (unsigned)rig_counter(&r, CTR_LOSS);
    assert_in_range(loss, 10, 90);
    assert_int_equal(rig_counter(&r, CTR_LAG_MS), 150);
    assert_in_range(let_in(NULL, 100), 98 - loss, 102 - loss);
    /* Established calls, emergencies, and checks by applications go on. */
    got = answer;
    inside(&one, "ACK", 1);
    inside(&one, "INFO", 2);
    assert_int_equal(rig_heard(EV_OVERLOAD), 1);
    assert_int_equal(rig_heard(EV_OVERLOAD_ENDS), 0);
    lag(2000, 3000); /* all INVITEs, and others too, are refused */
    assert_int_equal(let_in(NULL, 20), 0);
    assert_in_range(let_in("SUBSCRIBE", 20), 0, 10);
    struct say sos = call(NULL, "urn:service:sos", NULL), check = call("OPTIONS", NULL, NULL);
    passes(CALLER, &sos);
    check.sent_by = "10.0.0.6:5060";
    passes("10.0.0.6:5060", &check);
    got = answer;
    inside(&one, "BYE", 3);
    answer_udp(&r, PHONE, &sent, 200, "");
    /* It has caught up. */
    lag(0, 10000);
    assert_int_equal(rig_counter(&r, CTR_LOSS), 0);
    assert_int_equal(rig_heard(EV_OVERLOAD), 1);
    assert_int_equal(rig_heard(EV_OVERLOAD_ENDS), 1);
    assert_int_equal(let_in(NULL, 50), 50);
    finish();
}

static void lag_turned_off(void **state)
{
    (void)state;
    open(OPEN "overload-lag = 0\n");
    lag(2000, 2000);
    assert_int_equal(let_in(NULL, 50), 50);
    finish();
}

/* --- RFC 7339: neighbours that send to us --- */

#define OFFER ";oc;oc-algo=\"loss\""

static void via_has(const struct got *g, const char *text)
{
    if (strstr(rig_value(g, SIP_H_VIA, 0), text) == NULL)
        fail_msg("no %s in %s", text, g->text);
}

static void via_has_not(const struct got *g, const char *text)
{
    if (strstr(g->text, text) != NULL)
        fail_msg("%s in %s", text, g->text);
}

static struct say offering(const char *method)
{
    static char branch[4][64];
    struct say what = call(method, NULL, NULL);
    char *b = branch[number % 4];
    snprintf(b, sizeof(branch[0]), "%s" OFFER, what.branch);
    what.branch = b;
    return what;
}

/* Refused or let in: each response says what we want; in-dialog ones too. */
static void neighbour_is_told(void **state)
{
    unsigned refusals = 0;
    char ask[32];
    (void)state;
    open(OPEN);
    register_udp(&r, "1001", PHONE, "");
    struct say quiet = offering(NULL);
    say_udp(&r, CALLER, &quiet);
    rig_expect_method(&r, PHONE, "INVITE", &sent);
    answer_udp(&r, PHONE, &sent, 180, "");
    rig_expect_status(&r, CALLER, 180, &got);
    via_has(&got, OFFER); /* nothing is asked without overload */
    lag(150, 500);
    snprintf(ask, sizeof(ask), ";oc=%u;", (unsigned)rig_counter(&r, CTR_LOSS));
    answer_udp(&r, PHONE, &sent, 200, "Contact: <sip:1001@10.0.0.3:5060>\n");
    rig_expect_status(&r, CALLER, 200, &got); /* a forwarded one */
    via_has(&got, ask);
    via_has(&got, ";oc-algo=\"loss\";oc-validity=500;oc-seq=");
    via_has_not(&got, OFFER);
    for (unsigned i = 0; i < 10; i++) {
        struct say what = offering("OPTIONS");
        what.uri = "sip:10.0.0.1";
        say_udp(&r, CALLER, &what);
        rig_expect(&r, CALLER, &got); /* our own */
        via_has(&got, ask);
        struct say plain = call(NULL, NULL, NULL);
        say_udp(&r, OTHER, &plain); /* who does not speak it is not told */
        while (fake_take_datagram(r.loop, PHONE, &(struct fake_datagram){0})) {
        }
        struct fake_datagram d;
        while (fake_take_datagram(r.loop, OTHER, &d)) {
            refusals++;
            assert_null(memmem(d.bytes.ptr, d.bytes.len, ";oc", 3));
        }
    }
    assert_true(refusals != 0);
    /* Over: it is told so, and then nothing. */
    lag(0, 2000);
    struct say over = offering("OPTIONS");
    over.uri = "sip:10.0.0.1";
    say_udp(&r, CALLER, &over);
    rig_expect_status(&r, CALLER, 200, &got);
    via_has(&got, ";oc=0;oc-algo=\"loss\";oc-validity=0;oc-seq=");
    lag(0, 10000);
    struct say later = offering("OPTIONS");
    later.uri = "sip:10.0.0.1";
    say_udp(&r, CALLER, &later);
    rig_expect_status(&r, CALLER, 200, &got);
    via_has_not(&got, "oc-validity");
    finish();
}

static void neighbours_are_not_told(void **state)
{
    (void)state;
    open(OPEN "overload-control = false\n");
    lag(150, 500);
    struct say what = offering("OPTIONS");
    what.uri = "sip:10.0.0.1";
    say_udp(&r, CALLER, &what);
    rig_expect_status(&r, CALLER, 200, &got);
    via_has_not(&got, "oc-validity");
    finish();
}

/* --- RFC 7339: neighbours that we send to --- */

static void to_trunk(const char *method, unsigned loss, const char *more)
{
    struct say what = call(method, "sip:5551234@10.0.0.7:5060", NULL);
    char head[4096], find[] = OFFER, put[160];
    say_udp(&r, CALLER, &what);
    rig_expect_method(&r, TRUNK, method, &sent);
    via_has(&sent, OFFER);
    const char *answer = rig_response(&sent, 486, "t", "");
    const char *at = strstr(answer, find);
    assert_non_null(at);
    snprintf(put, sizeof(put), ";oc=%u;oc-algo=\"loss\"%s", loss, more);
    snprintf(head, sizeof(head), "%.*s%s%s", (int)(at - answer), answer, put,
             at + sizeof(find) - 1);
    rig_udp(&r, TRUNK, head);
    struct fake_datagram d;
    while (fake_take_datagram(r.loop, NULL, &d)) {
    }
}

static void next_hop_asks_for_less(void **state)
{
    (void)state;
    open(OPEN);
    register_udp(&r, "1001", PHONE, "");
    struct say up = {.uri = "sip:5551234@10.0.0.7:5060", .branch = "up", .call_id = "up"};
    call_up_to(TRUNK, &up);
    struct got answer = got;
    to_trunk("INVITE", 100, ";oc-validity=5000;oc-seq=10.5");
    struct say what = call(NULL, "sip:5551234@10.0.0.7:5060", NULL);
    say_udp(&r, CALLER, &what);
    rig_expect_status(&r, CALLER, 503, &got);
    assert_in_range(retry_after(), 2, 10);
    rig_expect_none(&r, TRUNK);
    assert_int_equal(rig_counter(&r, CTR_SHED_NEIGHBOUR), 1);
    /* What must pass does, and others are not concerned. */
    struct say rp = call(NULL, "sip:5551234@10.0.0.7:5060", "Resource-Priority: ets.0\n");
    say_udp(&r, CALLER, &rp);
    rig_expect_method(&r, TRUNK, "INVITE", &sent);
    got = answer;
    inside_to(TRUNK, &up, "BYE", 2);
    answer_udp(&r, TRUNK, &sent, 200, "");
    rig_expect_status(&r, CALLER, 200, &got);
    struct say fake = call("BYE", "sip:5551234@10.0.0.7:5060", NULL);
    fake.to = "<sip:5551234@10.0.0.7>;tag=t"; /* of no dialog */
    say_udp(&r, CALLER, &fake);
    rig_expect_status(&r, CALLER, 503, &got);
    assert_int_equal(rig_counter(&r, CTR_SHED_NEIGHBOUR), 2);
    struct say device = call(NULL, NULL, NULL);
    say_udp(&r, CALLER, &device);
    rig_expect_method(&r, PHONE, "INVITE", &sent);
    via_has_not(&sent, ";oc"); /* a device has nothing to hold back */
    struct fake_datagram d;
    while (fake_take_datagram(r.loop, NULL, &d)) {
    }
    fake_advance(r.loop, 5000);
    while (fake_take_datagram(r.loop, NULL, &d)) {
    }
    to_trunk("MESSAGE", 0, ""); /* it has run out */
    finish();
}

/* RFC 7339 4.4, 5.7: an older word does not count, and oc-validity=0 ends it. */
static void next_hop_ends_it(void **state)
{
    (void)state;
    open(OPEN);
    to_trunk("MESSAGE", 10, ";oc-validity=60000;oc-seq=20.1");
    to_trunk("MESSAGE", 100, ";oc-validity=60000;oc-seq=20.0");
    for (unsigned i = 0; i < 5; i++)
        to_trunk("MESSAGE", 0, ";oc-validity=60000;oc-seq=19.0");
    assert_int_equal(rig_counter(&r, CTR_SHED_NEIGHBOUR), 0);
    to_trunk("MESSAGE", 100, ";oc-validity=0;oc-seq=20.2");
    for (unsigned i = 0; i < 20; i++)
        to_trunk("MESSAGE", 0, ";oc-validity=0;oc-seq=20.3");
    assert_int_equal(rig_counter(&r, CTR_SHED_NEIGHBOUR), 0);
    finish();
}

static void offered_to(const char *uri, const char *to, bool is_offered)
{
    struct fake_datagram d;
    struct say what = call(NULL, uri, NULL);
    say_udp(&r, CALLER, &what);
    rig_expect_method(&r, to, "INVITE", &sent);
    if (is_offered)
        via_has(&sent, OFFER);
    else
        via_has_not(&sent, ";oc");
    while (fake_take_datagram(r.loop, NULL, &d)) {
    }
}

/* Applications, trunks and other proxies; no devices. */
static void who_gets_an_offer(void **state)
{
    (void)state;
    open(OPEN "serving-sipserver = main\n" MAIN);
    offered_to("sip:1001@10.0.0.1", "10.0.0.6:5060", true);
    finish();
    open(OPEN "[dn exchange]\ntype = trunk\nprefix = 0\ncontact = sip:10.0.0.7\n"
              "[dn 1001]\ncontact = sip:1001@10.0.0.3:5060\n");
    offered_to("sip:0123@10.0.0.1", TRUNK, true);
    offered_to("sip:1001@10.0.0.1", PHONE, false);
    offered_to("sip:x@10.0.0.8", "10.0.0.8:5060", true);
    finish();
}

static void no_offer(void **state)
{
    (void)state;
    open(OPEN "overload-control = false\n");
    struct say what = call(NULL, "sip:5551234@10.0.0.7:5060", NULL);
    say_udp(&r, CALLER, &what);
    rig_expect_method(&r, TRUNK, "INVITE", &sent);
    via_has_not(&sent, ";oc");
    finish();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(rate_of_calls),
        cmocka_unit_test(refusal_without_state),
        cmocka_unit_test(retry_after_is_spread),
        cmocka_unit_test(reload),
        cmocka_unit_test(emergency_calls),
        cmocka_unit_test(no_emergency_numbers),
        cmocka_unit_test(resource_priority),
        cmocka_unit_test(rate_of_a_source),
        cmocka_unit_test(registrations),
        cmocka_unit_test(lagging_worker),
        cmocka_unit_test(lag_turned_off),
        cmocka_unit_test(neighbour_is_told),
        cmocka_unit_test(neighbours_are_not_told),
        cmocka_unit_test(next_hop_asks_for_less),
        cmocka_unit_test(next_hop_ends_it),
        cmocka_unit_test(who_gets_an_offer),
        cmocka_unit_test(no_offer),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
