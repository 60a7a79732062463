/* SPDX-License-Identifier: Apache-2.0 */
/* Overload: what belongs to a call that was let in passes, be it sent by an application in the
 * middle or inside a dialog; a To tag alone makes no dialog. When whoever is refused comes again.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "checks.h"

#define APP "10.0.0.6:5060"
#define MIDDLE(more)                                                         \
    OPEN "serving-sipserver = main\n" more                                   \
         "[dn 1001]\ncontact = sip:1001@10.0.0.3:5060\n[application main]\n" \
         "primary = sip:10.0.0.6:5060\noos-check = 0\n"
#define DN "[dn 1001]\ncontact = sip:1001@10.0.0.3:5060\n"

static struct rig r;
static struct got got, sent;
static unsigned number; /* of calls */

static void open(const char *options)
{
    number = 0;
    rig_open(&r, options);
    fake_run(r.loop);
}

static void drop(void)
{
    struct fake_datagram d;
    while (fake_take_datagram(r.loop, NULL, &d)) {
    }
}

static void finish(void)
{
    fake_advance(r.loop, 60000);
    drop();
    rig_close(&r);
}

static struct say call(const char *method)
{
    static char branch[4][32], call_id[4][32];
    unsigned i = ++number % 4;
    snprintf(branch[i], sizeof(branch[i]), "b%u", number);
    snprintf(call_id[i], sizeof(call_id[i]), "call-%u", number);
    return (struct say){.method = method, .branch = branch[i], .call_id = call_id[i]};
}

static unsigned retry_after(void)
{
    return (unsigned)strtoul(rig_value(&got, SIP_H_RETRY_AFTER, 0), NULL, 10);
}

static uint64_t shed(void)
{
    return rig_counter(&r, CTR_SHED_RATE) + rig_counter(&r, CTR_SHED_SOURCE) +
           rig_counter(&r, CTR_SHED_LAG);
}

/* So late for so long; something comes every 10 ms. */
static void lag(uint32_t late_ms, unsigned for_ms)
{
    struct net_late late = {.ms = late_ms};
    fake_set_late(r.loop, &late);
    for (unsigned ms = 0; ms < for_ms; ms += 10) {
        fake_advance(r.loop, 10);
        assert_true(fake_datagram(r.loop, THIRD, PROXY, SLICE("\r\n\r\n")));
        fake_run(r.loop);
        drop();
    }
    late.ms = 0;
    fake_set_late(r.loop, &late);
}

/* --- an application in the middle ------------------------------------------------------------- */

/* It has got the INVITE `leg`, and makes a call of its own of it, as a SIP Server does. */
static void application_goes_on(const struct got *leg)
{
    struct say what = call(NULL);
    what.sent_by = APP;
    what.from = "<sip:alice@10.0.0.1>;tag=app";
    what.contact = "<sip:main@10.0.0.6>";
    say_udp(&r, APP, &what);
    rig_expect_method(&r, PHONE, "INVITE", &sent);
    answer_udp(&r, PHONE, &sent, 200, "Contact: <sip:1001@10.0.0.3:5060>\n");
    rig_expect_status(&r, APP, 200, &sent);
    answer_udp(&r, APP, leg, 200, "Contact: <sip:main@10.0.0.6>\n");
}

/* So many calls, `every` ms apart; how many were let in. Each of them is answered. */
static unsigned offer(unsigned n, unsigned every)
{
    static struct got leg;
    unsigned in = 0;
    for (unsigned i = 0; i < n; i++) {
        struct say what = call(NULL);
        uint64_t before = shed();
        say_udp(&r, CALLER, &what);
        if (shed() == before) {
            in++;
            rig_expect_method(&r, APP, "INVITE", &leg);
            application_goes_on(&leg);
            rig_expect_status(&r, CALLER, 200, &got);
        } else {
            rig_expect_status(&r, CALLER, 503, &got);
            assert_in_range(retry_after(), 2, 10);
        }
        fake_advance(r.loop, every);
        drop();
    }
    return in;
}

/* At three times the rate. */
static void second_legs_pass_the_rate(void **state)
{
    (void)state;
    open(MIDDLE("overload-ctrl-dialog-rate = 10\n"));
    assert_in_range(offer(150, 33), 55, 62); /* 5 s, and a second's worth at once */
    finish();
}

static void second_legs_pass_a_lagging_worker(void **state)
{
    (void)state;
    open(MIDDLE("overload-source-rate = 1000\n"));
    lag(150, 500);
    unsigned loss = (unsigned)rig_counter(&r, CTR_LOSS);
    assert_in_range(loss, 10, 90);
    assert_in_range(offer(100, 0), 98 - loss, 102 - loss);
    lag(2000, 3000); /* everything that is new is refused */
    assert_int_equal(offer(20, 0), 0);
    static const char *const methods[] = {"INVITE", "MESSAGE", "SUBSCRIBE", "NOTIFY", "REFER"};
    for (unsigned i = 0; i < 50; i++) {
        struct say what = call(methods[i % 5]);
        what.sent_by = APP;
        what.extra = "Event: presence\nRefer-To: <sip:1002@10.0.0.1>\n";
        uint64_t before = shed();
        say_udp(&r, APP, &what);
        rig_expect_method(&r, PHONE, methods[i % 5], &sent);
        assert_int_equal(shed(), before);
        drop();
    }
    finish();
}

/* An application that kept to RFC 7339 would refuse what was let in already: it is asked for
 * nothing, in responses of our own and in those of others. */
static void applications_are_not_asked(void **state)
{
    char branch[64];
    (void)state;
    open(MIDDLE(""));
    lag(150, 500);
    for (unsigned i = 0; i < 2; i++) {
        struct say what = call(i == 0 ? "OPTIONS" : NULL);
        const char *from = i == 0 ? CALLER : APP;
        snprintf(branch, sizeof(branch), "%s;oc;oc-algo=\"loss\"", what.branch);
        what.branch = branch;
        what.uri = i == 0 ? "sip:10.0.0.1" : NULL;
        what.sent_by = from;
        say_udp(&r, from, &what);
        if (i == 0) {
            rig_expect_status(&r, CALLER, 200, &got);
            assert_non_null(strstr(got.text, "oc-validity"));
            what.call_id = "o2";
            what.sent_by = APP;
            say_udp(&r, APP, &what);
            rig_expect_status(&r, APP, 200, &got);
            assert_null(strstr(got.text, "oc-validity"));
        } else {
            rig_expect_method(&r, PHONE, "INVITE", &sent);
            answer_udp(&r, PHONE, &sent, 200, "Contact: <sip:1001@10.0.0.3:5060>\n");
            rig_expect_status(&r, APP, 200, &got);
            assert_null(strstr(got.text, "oc-validity"));
        }
    }
    finish();
}

/* --- inside a dialog, or not ------------------------------------------------------------------ */

static void passes(const struct say *what)
{
    uint64_t before = shed();
    unsigned kept = rig_transactions(&r);
    say_udp(&r, CALLER, what);
    assert_int_equal(shed(), before);
    assert_true(rig_transactions(&r) > kept);
    drop();
}

static void refused(const struct say *what)
{
    uint64_t before = shed();
    unsigned kept = rig_transactions(&r);
    say_udp(&r, CALLER, what);
    rig_expect_status(&r, CALLER, 503, &got);
    assert_in_range(retry_after(), 2, 10);
    assert_int_equal(shed(), before + 1);
    assert_int_equal(rig_transactions(&r), kept);
    rig_expect_none(&r, NULL);
}

/* With a To tag, of no dialog. */
static struct say tagged(const char *method)
{
    struct say what = call(method);
    what.to = "<sip:1001@10.0.0.1>;tag=x";
    return what;
}

static void a_tag_is_no_dialog(void **state)
{
    static const char *const methods[] = {"INVITE",  "UPDATE", "BYE",   "PRACK",    "INFO",
                                          "MESSAGE", "NOTIFY", "REFER", "SUBSCRIBE"};
    (void)state;
    open(OPEN "overload-ctrl-dialog-rate = 1\n" DN);
    struct say first = tagged(NULL), again = tagged(NULL), other = tagged("INFO");
    passes(&first); /* it counts */
    refused(&again);
    passes(&other); /* what begins no call does not */
    finish();
    open(OPEN "overload-source-rate = 1\n" DN);
    struct say one = call(NULL);
    passes(&one);
    for (size_t i = 0; i < sizeof(methods) / sizeof(methods[0]); i++) {
        struct say what = tagged(methods[i]);
        refused(&what);
    }
    finish();
}

static void a_tag_is_no_dialog_for_a_lagging_worker(void **state)
{
    (void)state;
    open(OPEN DN);
    lag(2000, 3000);
    for (unsigned i = 0; i < 10; i++) {
        struct say what = tagged(NULL);
        refused(&what);
    }
    finish();
}

/* A dialog begun by `method`; then nothing is left for anything new. `got`: the 2xx. */
static struct say dialog(const char *method)
{
    struct say what = call(method);
    what.extra = "Event: presence\n";
    say_udp(&r, CALLER, &what);
    rig_expect_method(&r, PHONE, method, &sent);
    answer_udp(&r, PHONE, &sent, 200, "Contact: <sip:1001@10.0.0.3:5060>\n");
    rig_expect_status(&r, CALLER, 200, &got);
    struct got answer = got;
    struct say more = call("MESSAGE");
    passes(&more);
    struct say probe = call("MESSAGE");
    refused(&probe);
    got = answer;
    return what;
}

/* The caller's next request inside it. */
static struct say inside(const struct say *of, const char *method, bool has_route)
{
    static char to[128], branch[64];
    static unsigned cseq = 1;
    struct say what = *of;
    snprintf(to, sizeof(to), "%s", rig_value(&got, SIP_H_TO, 0));
    snprintf(branch, sizeof(branch), "%si%u", of->branch, ++cseq);
    what.method = method;
    what.uri = "sip:1001@10.0.0.3:5060";
    what.to = to;
    what.branch = branch;
    what.cseq = cseq;
    what.extra = has_route ? route_set(&got, true) : NULL;
    return what;
}

/* What brings our mark, or belongs to a call that we know; the callee's requests too. */
static void what_is_inside_a_dialog(void **state)
{
    char text[4096];
    (void)state;
    open(OPEN "overload-source-rate = 2\nmax-calls = 16\n" DN);
    struct say one = dialog("INVITE");
    struct say marked = inside(&one, "INFO", true);
    passes(&marked);
    struct say known = inside(&one, "UPDATE", false);
    passes(&known);
    /* The same in another dialog. */
    struct say elsewhere = inside(&one, "INVITE", true);
    elsewhere.call_id = "elsewhere";
    refused(&elsewhere);
    fake_advance(r.loop, 2000);
    drop();
    struct say two = dialog("SUBSCRIBE"); /* which no record tells of */
    struct say again = inside(&two, "SUBSCRIBE", true);
    snprintf(text, sizeof(text), "%sEvent: presence\n", again.extra);
    again.extra = text;
    passes(&again);
    struct say bare = inside(&two, "SUBSCRIBE", false);
    refused(&bare);
    finish();
}

/* A mark that a strict router has put into the Request-URI, and one behind a Route of somebody
 * else's, which proves nothing here. */
static void where_the_mark_is(void **state)
{
    char route[512], uri[512], extra[1024];
    (void)state;
    open(OPEN "overload-source-rate = 2\n" DN);
    struct say of = dialog("SUBSCRIBE");
    snprintf(route, sizeof(route), "%s", rig_value(&got, SIP_H_RECORD_ROUTE, 0));
    assert_true(route[0] == '<' && strchr(route, '>') != NULL);
    snprintf(uri, sizeof(uri), "%.*s", (int)(strchr(route, '>') - route - 1), route + 1);
    struct say strict = inside(&of, "SUBSCRIBE", false);
    strict.uri = uri;
    strict.extra = "Route: <sip:1001@10.0.0.3:5060>\n";
    passes(&strict);
    struct say behind = inside(&of, "SUBSCRIBE", false);
    snprintf(extra, sizeof(extra), "Route: <sip:10.0.0.8;lr>, %s\n", route);
    behind.extra = extra;
    refused(&behind);
    finish();
}

/* Nobody can tell: the tag has to do. */
static void without_record_route(void **state)
{
    (void)state;
    open(OPEN "record-route = false\noverload-source-rate = 1\n" DN);
    struct say one = call(NULL), inner = tagged("INVITE"), two = call(NULL);
    passes(&one);
    passes(&inner);
    refused(&two);
    finish();
}

/* --- Retry-After ------------------------------------------------------------------------------ */

/* All of `from` to `to` are drawn, and nothing else. */
static void is_spread(const struct say *like, const char *from, unsigned least, unsigned most)
{
    unsigned seen[64] = {0};
    for (unsigned i = 0; i < 30 * (most - least + 1); i++) {
        struct say what = call(like->method);
        what.uri = like->uri;
        say_udp(&r, from, &what);
        rig_expect_status(&r, from, 503, &got);
        assert_in_range(retry_after(), least, most);
        seen[retry_after()]++;
        struct say ack = what;
        ack.to = "<sip:1001@10.0.0.1>;tag=x";
        if (like->method == NULL)
            ack_udp(&r, from, &ack);
    }
    for (unsigned i = least; i <= most; i++)
        assert_true(seen[i] > 5);
}

/* Not before the application may be there again. */
static void refused_by_an_application(const char *force, unsigned least, unsigned most)
{
    char options[512];
    snprintf(options, sizeof(options),
             OPEN "overload-retry-after = 3-6\nserving-sipserver = main\n[application main]\n"
                  "primary = sip:10.0.0.6:5060\nbackup = sip:10.0.0.7:5060\noos-check = 2\n"
                  "oos-force = %s\n",
             force);
    number = 0;
    open_checked(&r, options);
    for (unsigned i = 0; i < 60; i++) { /* silent, both of them */
        fake_advance(r.loop, 1000);
        drop();
    }
    is_spread(&(struct say){0}, CALLER, least, most);
    is_spread(&(struct say){.method = "MESSAGE"}, CALLER, least, most);
    close_checked(&r);
}

static void an_application_is_out_of_service(void **state)
{
    (void)state;
    refused_by_an_application("1", 3, 6);
    refused_by_an_application("12", 12, 15);
}

static void draining(void **state)
{
    (void)state;
    open(OPEN "overload-retry-after = 3-6\n" DN);
    rig_drain(&r);
    is_spread(&(struct say){0}, CALLER, 3, 6);
    is_spread(&(struct say){.method = "OPTIONS", .uri = "sip:10.0.0.1"}, CALLER, 3, 6);
    finish();
}

/* For the proxy and for the registrar. */
static void no_room(void **state)
{
    (void)state;
    open(OPEN "overload-retry-after = 3-6\nmax-transactions = 16\n" DN);
    for (unsigned i = 0; i < 16; i++) {
        struct say what = call(NULL);
        say_udp(&r, CALLER, &what);
        drop();
    }
    is_spread(&(struct say){0}, CALLER, 3, 6);
    is_spread(&(struct say){.method = "REGISTER", .uri = "sip:10.0.0.1"}, CALLER, 3, 6);
    finish();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(second_legs_pass_the_rate),
        cmocka_unit_test(second_legs_pass_a_lagging_worker),
        cmocka_unit_test(applications_are_not_asked),
        cmocka_unit_test(a_tag_is_no_dialog),
        cmocka_unit_test(a_tag_is_no_dialog_for_a_lagging_worker),
        cmocka_unit_test(what_is_inside_a_dialog),
        cmocka_unit_test(where_the_mark_is),
        cmocka_unit_test(without_record_route),
        cmocka_unit_test(an_application_is_out_of_service),
        cmocka_unit_test(draining),
        cmocka_unit_test(no_room),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
