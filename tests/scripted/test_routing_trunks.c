/* SPDX-License-Identifier: Apache-2.0 */
/* Numbers that go by trunks, foreign domains with a way of their own, names of ours, loops, and
 * that nobody else is relayed for. RFC 3261 16.5; RFC 5031; RFC 3263 4.3. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

#include "calls.h"

#define GW1      "10.0.1.1:5060"
#define GW2      "10.0.1.2:5060"
#define GW3      "10.0.1.3:5070"
#define STRANGER "192.0.2.9:5060"

#define TRUNKS                                                                             \
    "registrar-open-to = 10.0.0.0/24\nrelay-from = 127.0.0.1\nfailover-time = 4\n"         \
    "sip-domains = one.example, two.example\naliases = pool.example\n"                     \
    "[dn 1001]\n[dn 1002]\ncontact = sip:1002@10.0.0.4\n"                                  \
    "[dn 3001]\ncontact = sip:3001@10.0.0.1\n[dn 3002]\ncontact = sip:3002@one.example\n"  \
    "[dn 2001@two.example]\ncontact = sip:2001@10.0.0.5\n"                                 \
    "[dn alone]\ntype = trunk\ncontact = sip:10.0.1.1\nprefix = 7\n"                       \
    "[dn first]\ntype = trunk\ncontact = sip:10.0.1.1\ncontact-backup = sip:10.0.1.2\n"    \
    "prefix = +49\npriority = 1\n"                                                         \
    "[dn second]\ntype = trunk\ncontact = sip:10.0.1.3:5070\nprefix = +49\npriority = 2\n" \
    "[dn sos]\ntype = trunk\ncontact = sip:10.0.1.3:5070\nprefix = urn:service:sos\n"      \
    "[domain partner.example]\ncontact = sip:10.0.1.2\n"                                   \
    "[domain *.partner.example]\ncontact = sip:10.0.1.1;lr\n"

static struct rig r;
static struct got got, inv;

static int setup(void **state)
{
    (void)state;
    rig_open(&r, TRUNKS);
    register_udp(&r, "1001", CALLER, "");
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    rig_close(&r);
    return 0;
}

/* Of 1001, at its address. */
static struct say call_to(const char *uri)
{
    return (struct say){.method = "INVITE",
                        .uri = uri,
                        .from = "<sip:1001@one.example>;tag=a",
                        .contact = "<sip:1001@10.0.0.2:5060>"};
}

static void dial(const char *uri)
{
    struct say w = call_to(uri);
    say_udp(&r, CALLER, &w);
}

static void refused(const char *from, const struct say *w, unsigned status)
{
    struct say ack = *w;
    say_udp(&r, from, w);
    rig_expect_status(&r, from, status, &got);
    if (w->method == NULL || strcmp(w->method, "INVITE") == 0)
        ack_udp(&r, from, &ack);
    rig_expect_none(&r, NULL);
}

static void ends(const char *at, unsigned status)
{
    answer_udp(&r, at, &inv, status, "");
    rig_expect_method(&r, at, "ACK", &got);
}

/* --- who may -------------------------------------------------------------------------------- */

static void own_devices_only(void **state)
{
    (void)state;
    struct say w = call_to("sip:+49301@one.example");
    refused(STRANGER, &w, 403); /* who only says that he is 1001 */
    assert_int_equal(rig_counter(&r, CTR_RELAY_REFUSED), 1);
    w.call_id = w.branch = "c2";
    w.from = "<sip:first@one.example>;tag=a";
    refused(GW1, &w, 403); /* from trunk to trunk */
    w.call_id = w.branch = "c3";
    w.from = "<sip:1002@one.example>;tag=a";
    say_udp(&r, OTHER, &w); /* at the address of its contact */
    rig_expect_method(&r, GW1, "INVITE", &inv);
    assert_string_equal(rig_uri(&inv), "sip:+49301@10.0.1.1");
    ends(GW1, 486);
    rig_expect_status(&r, OTHER, 486, &got);
    ack_udp(&r, OTHER, &w);
}

static void not_by_its_name_either(void **state)
{
    (void)state;
    struct say w = call_to("sip:first@one.example");
    refused(STRANGER, &w, 403);
    w.call_id = w.branch = "c2";
    w.from = "<sip:sos@one.example>;tag=a";
    refused(GW1, &w, 403);
}

/* 1001 has no password: whoever registers as it from anywhere is no device of ours. */
static void who_has_registered_without_a_password(void **state)
{
    (void)state;
    struct say w = call_to("sip:+49301@one.example");
    register_udp(&r, "1001", STRANGER, "");
    refused(STRANGER, &w, 403);
    w.call_id = w.branch = "c2";
    say_udp(&r, CALLER, &w); /* from where the registrar is open to */
    rig_expect_method(&r, GW1, "INVITE", &inv);
    ends(GW1, 486);
    rig_expect_status(&r, CALLER, 486, &got);
    ack_udp(&r, CALLER, &w);
}

static void no_open_relay(void **state)
{
    (void)state;
    struct say w = call_to("sip:a@foreign.example");
    refused(STRANGER, &w, 403);
    w.call_id = w.branch = "c2";
    refused(CALLER, &w, 403); /* a device of ours does not open it either */
    w.call_id = w.branch = "c3";
    w.uri = "sip:a@10.0.1.1";
    refused(STRANGER, &w, 403);
    w.call_id = w.branch = "c4";
    w.uri = "sip:a@one.example;maddr=10.0.1.1";
    refused(STRANGER, &w, 403);
    w.call_id = w.branch = "c5";
    w.uri = "sip:1001@one.example";
    w.extra = "Route: <sip:10.0.1.1;lr>\n";
    refused(STRANGER, &w, 403);
    w.call_id = w.branch = "c6";
    w.extra = "Route: <sip:10.0.0.1;lr>, <sip:10.0.1.1;lr>\n";
    refused(STRANGER, &w, 403);
    w.call_id = w.branch = "c7";
    w.uri = "sip:a@10.0.1.1";
    w.to = "<sip:a@10.0.1.1>;tag=x"; /* as if inside a dialog */
    w.extra = "Route: <sip:10.0.0.1;lr;hf-mark=0123456789abcdef>\n";
    refused(STRANGER, &w, 403);
    assert_int_equal(rig_counter(&r, CTR_RELAY_REFUSED), 7);
}

/* --- over trunks ------------------------------------------------------------------------------ */

static void by_contacts_and_trunks_in_their_order(void **state)
{
    (void)state;
    dial("sip:+49301@one.example");
    rig_expect_method(&r, GW1, "INVITE", &inv);
    ends(GW1, 503);
    rig_expect_method(&r, GW2, "INVITE", &inv);
    assert_string_equal(rig_uri(&inv), "sip:+49301@10.0.1.2");
    ends(GW2, 503);
    rig_expect_method(&r, GW3, "INVITE", &inv);
    assert_string_equal(rig_uri(&inv), "sip:+49301@10.0.1.3:5070");
    answer_udp(&r, GW3, &inv, 200, "Contact: <sip:gw@10.0.1.3:5070>\n");
    rig_expect_status(&r, CALLER, 200, &got);
    rig_expect_none(&r, NULL);
}

static void busy_is_an_answer(void **state)
{
    (void)state;
    dial("sip:+49301@one.example");
    rig_expect_method(&r, GW1, "INVITE", &inv);
    ends(GW1, 486);
    rig_expect_status(&r, CALLER, 486, &got);
    struct say w = call_to("sip:+49301@one.example");
    ack_udp(&r, CALLER, &w);
    rig_expect_none(&r, NULL);
}

static void silent_trunk_is_passed_over(void **state)
{
    (void)state;
    dial("sip:+49301@one.example");
    rig_expect_method(&r, GW1, "INVITE", &inv);
    fake_advance(r.loop, 4100);
    rig_expect_method(&r, GW2, "INVITE", &inv);
    answer_udp(&r, GW2, &inv, 200, "Contact: <sip:gw@10.0.1.2>\n");
    while (rig_expect(&r, CALLER, &got), got.msg.status == 100)
        continue;
    assert_int_equal(got.msg.status, 200);
}

static void out_of_service_at_once(void **state)
{
    (void)state;
    uint64_t now = r.shared.wall(r.shared.user);
    assert_true(dn_set_out_of_service(r.shared.dir, SLICE("first"), ERR_TIMEOUT, now));
    dial("sip:+49301@one.example");
    rig_expect_method(&r, GW3, "INVITE", &inv);
    ends(GW3, 486);
    rig_expect_status(&r, CALLER, 486, &got);
    struct say w = call_to("sip:+49301@one.example");
    ack_udp(&r, CALLER, &w);
    assert_true(dn_set_out_of_service(r.shared.dir, SLICE("second"), ERR_TIMEOUT, now));
    w.call_id = w.branch = "c2";
    refused(CALLER, &w, 480);
    assert_string_not_equal(rig_value(&got, SIP_H_RETRY_AFTER, 0), "");
}

/* To an application they say "another way"; it is not an application that is out of service. */
static void out_of_service_for_an_application(void **state)
{
    (void)state;
    uint64_t now = r.shared.wall(r.shared.user);
    rig_reload(&r, TRUNKS "[application main]\nprimary = sip:10.0.2.1\noos-check = 0\n");
    assert_true(dn_set_out_of_service(r.shared.dir, SLICE("first"), ERR_TIMEOUT, now));
    assert_true(dn_set_out_of_service(r.shared.dir, SLICE("second"), ERR_TIMEOUT, now));
    struct say w = call_to("sip:+49301@one.example");
    refused("10.0.2.1:5060", &w, 503);
    assert_int_equal(rig_counter(&r, CTR_APP_REFUSED), 0);
}

static unsigned checks_at(const char *at, bool answers)
{
    struct fake_datagram d;
    unsigned n = 0;
    if (answers && fake_take_datagram(r.loop, at, &d)) {
        struct sip_fault fault;
        memcpy(got.text, d.bytes.ptr, d.bytes.len);
        assert_int_equal(sip_msg_parse(&got.msg, got.text, d.bytes.len, false, got.hdrs,
                                       SIP_HDRS_MAX, NULL, &fault),
                         0);
        answer_udp(&r, at, &got, 200, "");
        n++;
    }
    while (fake_take_datagram(r.loop, at, &d))
        n++;
    return n;
}

/* A trunk is in service as long as one of its contacts answers, and the silent one comes last. */
static void check_asks_every_contact(void **state)
{
    (void)state;
    rig_reload(&r, "relay-from = 10.0.0.0/8\nfailover-time = 4\n[dn gw]\ntype = trunk\n"
                   "contact = sip:10.0.1.1\ncontact-backup = sip:10.0.1.2\nprefix = 0\n"
                   "oos-check = 10\noos-force = 5\n");
    unsigned first = 0, second = 0;
    for (unsigned s = 0; s < 60; s++) {
        fake_advance(r.loop, 1000);
        first += checks_at(GW1, false);
        second += checks_at(GW2, true);
        assert_int_equal(dn_state(r.shared.dir, SLICE("gw"), r.shared.wall(r.shared.user)) ==
                             DN_OUT_OF_SERVICE,
                         false);
    }
    assert_true(first >= 5 && second >= 5);
    fake_advance(r.loop, 30000);
    assert_int_equal(dn_state(r.shared.dir, SLICE("gw"), r.shared.wall(r.shared.user)),
                     DN_OUT_OF_SERVICE);
    rig_reload(&r, TRUNKS); /* nothing is checked any more */
}

static void emergency_urn(void **state)
{
    (void)state;
    struct say w = call_to("urn:service:sos.police");
    w.to = "<urn:service:sos.police>";
    say_udp(&r, CALLER, &w);
    rig_expect_method(&r, GW3, "INVITE", &inv);
    assert_string_equal(rig_uri(&inv), "urn:service:sos.police");
    ends(GW3, 486);
    rig_expect_status(&r, CALLER, 486, &got);
    ack_udp(&r, CALLER, &w);
    w.call_id = w.branch = "c4";
    w.uri = "urn:service:sos";
    w.to = "<urn:service:sos>";
    say_udp(&r, STRANGER, &w); /* who needs help is not asked who he is */
    rig_expect_method(&r, GW3, "INVITE", &inv);
    ends(GW3, 486);
    rig_expect_status(&r, STRANGER, 486, &got);
    ack_udp(&r, STRANGER, &w);
    w.call_id = w.branch = "c2";
    w.uri = "urn:service:counseling";
    refused(CALLER, &w, 404);
    w.call_id = w.branch = "c3";
    w.uri = "urn:uuid:1";
    refused(CALLER, &w, 416);
}

/* --- domains and names ------------------------------------------------------------------------ */

static void domain_has_its_own_way(void **state)
{
    (void)state;
    struct say w = call_to("sip:bob@partner.example:5099");
    w.method = "MESSAGE";
    refused(STRANGER, &w, 403);
    w.call_id = w.branch = "c2";
    say_udp(&r, CALLER, &w);
    rig_expect_method(&r, GW2, "MESSAGE", &inv);
    assert_string_equal(rig_uri(&inv), "sip:bob@partner.example:5099");
    assert_int_equal(rig_count(&inv, SIP_H_ROUTE), 0);
    answer_udp(&r, GW2, &inv, 200, "");
    rig_expect_status(&r, CALLER, 200, &got);
    w.call_id = w.branch = "c3";
    w.uri = "sip:bob@x.Partner.example";
    say_udp(&r, CALLER, &w);
    rig_expect_method(&r, GW1, "MESSAGE", &inv);
    assert_string_equal(rig_uri(&inv), "sip:bob@x.Partner.example");
    answer_udp(&r, GW1, &inv, 200, "");
    rig_expect_status(&r, CALLER, 200, &got);
}

static void address_is_a_dn_and_alias_is_us(void **state)
{
    (void)state;
    struct say w = {.method = "MESSAGE", .uri = "sip:2001@two.example"};
    say_udp(&r, CALLER, &w);
    rig_expect_method(&r, THIRD, "MESSAGE", &inv);
    answer_udp(&r, THIRD, &inv, 200, "");
    rig_expect_status(&r, CALLER, 200, &got);
    w = (struct say){
        .method = "MESSAGE", .uri = "sip:2001@one.example", .call_id = "c2", .branch = "b2"};
    refused(CALLER, &w, 404);
    w.uri = "sip:1002@pool.example";
    w.call_id = w.branch = "c3";
    say_udp(&r, CALLER, &w);
    rig_expect_method(&r, OTHER, "MESSAGE", &inv);
    answer_udp(&r, OTHER, &inv, 200, "");
    rig_expect_status(&r, CALLER, 200, &got);
}

/* --- loops ------------------------------------------------------------------------------------ */

/* A contact that names the proxy, by address or by name, is a spiral on purpose; one that leads to
 * itself is seen to have been here. */
static void loop_that_names_itself(void **state)
{
    static const char *const users[] = {"3001", "3002"};
    (void)state;
    fake_set_host(r.loop, "one.example", "10.0.0.1", 0);
    for (unsigned i = 0; i < 2; i++) {
        struct fake_datagram d;
        char uri[64];
        unsigned n = 0;
        (void)snprintf(uri, sizeof(uri), "sip:%s@one.example", users[i]);
        struct say w = {.method = "MESSAGE", .uri = uri, .call_id = users[i], .branch = users[i]};
        say_udp(&r, CALLER, &w);
        for (; fake_take_datagram(r.loop, PROXY, &d); n++) {
            assert_true(n < 10);
            assert_true(fake_datagram(r.loop, PROXY, PROXY, d.bytes));
            fake_run(r.loop);
        }
        assert_true(n >= 2); /* there and back */
        rig_expect_status(&r, CALLER, 482, &got);
        assert_int_equal(rig_counter(&r, CTR_LOOP), i + 1);
        rig_expect_none(&r, NULL);
    }
}

/* A name that nobody has told us is ours. */
static void srv_record_that_points_at_us(void **state)
{
    (void)state;
    fake_set_srv(r.loop, "_sip._udp.loop.example", "1 0 5060 us.example", 0);
    fake_set_host(r.loop, "us.example", "10.0.0.1", 0);
    rig_reload(&r, "relay-from = 10.0.0.0/8\n");
    struct say w = call_to("sip:bob@loop.example");
    refused(CALLER, &w, 482);
    assert_int_equal(rig_counter(&r, CTR_LOOP), 1);
    fake_set_srv(r.loop, "_sip._udp.loop.example", "1 0 5060 us.example, 2 0 5060 gw.example", 0);
    fake_set_host(r.loop, "gw.example", "10.0.1.1", 0);
    w.call_id = w.branch = "c2";
    say_udp(&r, CALLER, &w);
    rig_expect_method(&r, GW1, "INVITE", &inv);
    ends(GW1, 486);
    rig_expect_status(&r, CALLER, 486, &got);
    ack_udp(&r, CALLER, &w);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(own_devices_only),
        TEST(not_by_its_name_either),
        TEST(who_has_registered_without_a_password),
        TEST(no_open_relay),
        TEST(by_contacts_and_trunks_in_their_order),
        TEST(busy_is_an_answer),
        TEST(silent_trunk_is_passed_over),
        TEST(out_of_service_at_once),
        TEST(out_of_service_for_an_application),
        TEST(check_asks_every_contact),
        TEST(emergency_urn),
        TEST(domain_has_its_own_way),
        TEST(address_is_a_dn_and_alias_is_us),
        TEST(loop_that_names_itself),
        TEST(srv_record_that_points_at_us),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
