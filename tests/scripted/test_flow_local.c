/* SPDX-License-Identifier: Apache-2.0 */
/* Which of our addresses stands in what a peer is told, and what we know as ourselves: several
 * listeners, and what is advertised for them. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "base/alloc.h"
#include "base/buf.h"
#include "scripted/wire.h"

static struct wire w;
static struct addr listen[3];
static struct flow_side sides[3];

static void addr_of(const char *text, struct addr *out)
{
    assert_int_equal(addr_parse(slice_str(text), 0, out), 0);
}

/* `advertised` of the three; NULL: nothing. */
static void begin(const char *a, const char *b, const char *c, uint16_t port)
{
    const char *said[] = {a, b, c};
    wire_init(&w);
    wire_profile(&w, "", false, false);
    addr_of("10.0.0.1:5060", &listen[0]);
    addr_of("127.0.0.1:5060", &listen[1]);
    addr_of("[2001:db8::1]:5060", &listen[2]);
    memset(sides, 0, sizeof(sides));
    for (unsigned i = 0; i < 3; i++) {
        sides[i].advertised = slice_str(said[i] != NULL ? said[i] : "");
        sides[i].advertised_port = said[i] != NULL ? port : 0;
    }
    w.conf.listen = listen;
    w.conf.nlisten = 3;
    w.conf.sides = sides;
    wire_open(&w);
}

static const char *host_for(const char *to, enum sip_transport t)
{
    static char text[512];
    struct flow_dest d = wire_dest(&w, to, t, NULL);
    struct flow_local local;
    struct buf b;
    assert_int_equal(flows_local_for(w.flows, &d, &local), 0);
    buf_init(&b, text, sizeof(text) - 1);
    flow_put_host(&b, &local);
    text[b.len] = '\0';
    return text;
}

static const char *host_of(const char *ours, enum sip_transport t)
{
    static char text[512];
    struct flow_local local;
    struct addr a;
    struct buf b;
    addr_of(ours, &a);
    flows_local_of(w.flows, &a, (uint8_t)t, &local);
    buf_init(&b, text, sizeof(text) - 1);
    flow_put_host(&b, &local);
    text[b.len] = '\0';
    return text;
}

static bool is_us(const char *text)
{
    struct addr a;
    addr_of(text, &a);
    return flows_is_us(w.flows, &a);
}

static const char *named(const char *host, uint16_t port)
{
    static char text[ADDR_TEXT_MAX];
    struct addr a = {.family = ADDR_NONE};
    return flows_named(w.flows, slice_str(host), port, &a) ? addr_write(&a, text) : "";
}

static void the_listener_that_reaches_it(void **state)
{
    (void)state;
    begin(NULL, NULL, NULL, 0);
    assert_string_equal(host_for("10.0.0.3:5060", SIP_UDP), "10.0.0.1:5060");
    assert_string_equal(host_for("10.0.0.3:5060", SIP_TLS), "10.0.0.1:5061");
    assert_string_equal(host_for("127.0.0.5:5060", SIP_TCP), "127.0.0.1:5060");
    assert_string_equal(host_for("[2001:db8::3]:5060", SIP_UDP), "[2001:db8::1]:5060");
    /* Of a connection that we have opened: the listener's port, not its own. */
    assert_string_equal(host_of("10.0.0.1:43210", SIP_TCP), "10.0.0.1:5060");
    assert_string_equal(host_of("10.0.0.1:43210", SIP_TLS), "10.0.0.1:5061");
    assert_string_equal(host_of("[2001:db8::1]:5060", SIP_UDP), "[2001:db8::1]:5060");
    assert_string_equal(named("10.0.0.1", 5060), "10.0.0.1:5060");
    assert_string_equal(named("phone.example", 5060), "");
    wire_close(&w);
}

static void a_name_for_all(void **state)
{
    (void)state;
    begin("sip.example.net", "sip.example.net", "sip.example.net", 0);
    assert_string_equal(host_for("10.0.0.3:5060", SIP_UDP), "sip.example.net:5060");
    assert_string_equal(host_for("10.0.0.3:5060", SIP_TLS), "sip.example.net:5061");
    assert_string_equal(host_for("[2001:db8::3]:5060", SIP_UDP), "sip.example.net:5060");
    assert_true(is_us("10.0.0.1:5060"));
    /* Which of the three is meant cannot be told by it. */
    assert_string_equal(named("sip.example.net", 5060), "");
    wire_close(&w);
}

/* The address of a NAT in front of us, with a port of its own for sip-port. */
static void an_address_with_a_port(void **state)
{
    (void)state;
    begin("192.0.2.1", NULL, "2001:db8:f::1", 15060);
    assert_string_equal(host_for("10.0.0.3:5060", SIP_UDP), "192.0.2.1:15060");
    assert_string_equal(host_for("10.0.0.3:5060", SIP_TLS), "192.0.2.1:5061");
    assert_string_equal(host_for("127.0.0.5:5060", SIP_UDP), "127.0.0.1:5060");
    assert_string_equal(host_for("[2001:db8::3]:5060", SIP_UDP), "[2001:db8:f::1]:15060");
    assert_true(is_us("192.0.2.1:15060"));
    assert_true(is_us("192.0.2.1:5061"));
    assert_true(is_us("[2001:db8:f::1]:15060"));
    assert_false(is_us("192.0.2.1:5060")); /* somebody else behind the same NAT */
    assert_true(is_us("10.0.0.1:5060"));
    assert_string_equal(named("192.0.2.1", 15060), "10.0.0.1:5060");
    assert_string_equal(named("192.0.2.1", 5061), "10.0.0.1:5060");
    assert_string_equal(named("[2001:db8:f::1]", 15060), "[2001:db8::1]:5060");
    wire_close(&w);
}

/* One address for all: a listener of the other family keeps its own. */
static void an_address_of_one_family(void **state)
{
    (void)state;
    begin("192.0.2.1", "192.0.2.1", "192.0.2.1", 0);
    assert_string_equal(host_for("10.0.0.3:5060", SIP_UDP), "192.0.2.1:5060");
    assert_string_equal(host_for("[2001:db8::3]:5060", SIP_UDP), "[2001:db8::1]:5060");
    wire_close(&w);
}

/* Without sip-port the port that is given is that of TLS. */
static void only_tls(void **state)
{
    (void)state;
    wire_init(&w);
    wire_profile(&w, "", false, false);
    w.conf.no_plain = true;
    sides[0] = (struct flow_side){.advertised = SLICE("sip.example.net"), .advertised_port = 443};
    w.conf.sides = sides;
    wire_open(&w);
    assert_string_equal(host_for("10.0.0.3:5061", SIP_TLS), "sip.example.net:443");
    assert_string_equal(named("sip.example.net", 443), "10.0.0.1:0");
    wire_close(&w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_listener_that_reaches_it),
        cmocka_unit_test(a_name_for_all),
        cmocka_unit_test(an_address_with_a_port),
        cmocka_unit_test(an_address_of_one_family),
        cmocka_unit_test(only_tls),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
