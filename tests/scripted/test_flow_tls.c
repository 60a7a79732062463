/* SPDX-License-Identifier: Apache-2.0 */
/* TLS flows: listeners, what a peer has to prove, whose connection is used for whom, and that what
 * takes the place of a connection is verified as strictly. RFC 5922, RFC 5923, RFC 3261 18.2.2. */
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#include "base/alloc.h"
#include "flow/aliases.h"
#include "scripted/wire.h"

#define PHONE     "10.0.0.3"
#define PHONE_TLS "10.0.0.3:5061"
#define REQUEST   FLOW_SEND_REQUEST
#define AGAIN     (FLOW_SEND_REQUEST | FLOW_SEND_RESEND)

static struct wire w;
static struct flow_dest dest;

static int teardown(void **state)
{
    (void)state;
    wire_close(&w);
    return 0;
}

static void begin(bool verify_client)
{
    wire_init(&w);
    wire_profile(&w, "", verify_client, true);
    wire_open(&w);
}

static int again_rc;

static void resend(struct wire *x, unsigned worker, const struct flow_event *ev)
{
    if (ev->kind == FLOW_DEAD || ev->kind == FLOW_MOVED)
        again_rc = flows_send(x->flows_of[worker], &dest, "again", 5, AGAIN);
}

/* The device that has connected is at the phone's address; requests go to it by its flow. */
static struct fake_conn *device(const char *names, const char *via, const char *contact)
{
    struct fake_conn *c = fake_connect_tls(w.loop, PHONE, OURS_TLS, names);
    wire_request(c, "TLS", via);
    assert_int_equal(w.nmsgs, 1);
    dest = wire_dest(&w, PHONE_TLS, SIP_TLS, contact);
    dest.flow = w.msgs[0].origin.flow;
    return c;
}

static void listens_beside_the_plain_port(void **state)
{
    struct addr a;
    struct flow_local local;
    (void)state;
    begin(false);
    assert_true(flows_listener_addr(w.flows, 0, &a));
    assert_int_equal(a.port, 5060);
    assert_int_equal(flows_tls_port(w.flows, 0), 5061);
    assert_true(flows_has(w.flows, SIP_TLS, ADDR_IP4));
    assert_false(flows_has(w.flows, SIP_TLS, ADDR_IP6));
    assert_true(flows_has(w.flows, SIP_TCP, ADDR_IP4));
    a.port = 5061;
    assert_true(flows_is_us(w.flows, &a));
    a.port = 5062;
    assert_false(flows_is_us(w.flows, &a));
    struct fake_conn *c = fake_connect_tls(w.loop, PHONE, OURS_TLS, NULL);
    assert_int_equal(w.naccepted, 1);
    wire_request(c, "TLS", "10.0.0.3:5061");
    assert_int_equal(w.nmsgs, 1);
    assert_int_equal(w.msgs[0].origin.transport, SIP_TLS);
    dest = w.msgs[0].back;
    assert_int_equal(dest.transport, SIP_TLS);
    assert_int_equal(flows_local_for(w.flows, &dest, &local), 0);
    assert_int_equal(local.addr.port, 5061);
    assert_int_equal(wire_send(&w, 0, &dest, "response", 0), 0);
    wire_expect(c, "response");
    assert_true(wire_listed(&w, " transport=tls "));
    assert_true(wire_listed(&w, " tls=TLSv1.3 "));
}

static void without_plain_ports_there_is_only_tls(void **state)
{
    struct addr a = {.family = ADDR_IP4, .port = 5060, .ip = {10, 0, 0, 1}};
    (void)state;
    wire_init(&w);
    wire_profile(&w, "", false, true);
    w.conf.no_plain = true;
    wire_open(&w);
    assert_null(fake_connect(w.loop, PHONE, OURS));
    assert_false(fake_datagram(w.loop, "10.0.0.3:5060", OURS, SLICE("x")));
    assert_false(flows_has(w.flows, SIP_TCP, ADDR_IP4));
    assert_false(flows_has(w.flows, SIP_UDP, ADDR_IP4));
    assert_true(flows_has(w.flows, SIP_TLS, ADDR_IP4));
    assert_false(flows_is_us(w.flows, &a));
    dest = wire_dest(&w, "10.0.0.3:5060", SIP_UDP, NULL);
    assert_int_equal(wire_send(&w, 0, &dest, "x", REQUEST), ERR_NO_ROUTE);
    dest.transport = SIP_TCP;
    assert_int_equal(wire_send(&w, 0, &dest, "x", REQUEST), ERR_NO_ROUTE);
    assert_non_null(fake_connect_tls(w.loop, PHONE, OURS_TLS, NULL));
}

static void without_rules_there_is_no_tls(void **state)
{
    (void)state;
    wire_init(&w);
    wire_open(&w);
    assert_false(flows_has(w.flows, SIP_TLS, ADDR_IP4));
    assert_int_equal(flows_tls_port(w.flows, 0), 0);
    assert_int_equal(flows_tls_peer(w.flows, SLICE_NONE, SLICE("a.example")), 0);
    dest = wire_dest(&w, PHONE_TLS, SIP_TLS, NULL);
    assert_int_equal(wire_send(&w, 0, &dest, "x", REQUEST), ERR_NO_ROUTE);
    assert_int_equal(fake_opens(w.loop, NULL), 0);
}

static void the_same_pair_has_the_same_number(void **state)
{
    (void)state;
    wire_init(&w);
    wire_profile(&w, "", false, true);
    wire_profile(&w, "gw", false, false);
    wire_open(&w);
    uint32_t a = flows_tls_peer(w.flows, SLICE_NONE, SLICE("a.example"));
    uint32_t of_gw = flows_tls_peer(w.flows, SLICE("gw"), SLICE("a.example"));
    assert_true(a != 0 && of_gw != 0 && a != of_gw);
    assert_int_equal(flows_tls_peer(w.flows, SLICE_NONE, SLICE("A.Example.")), a);
    assert_int_equal(flows_tls_peer(w.flows, SLICE("nobody's"), SLICE("a.example")), a);
    assert_true(flows_tls_peer(w.flows, SLICE_NONE, SLICE("b.example")) != a);
    assert_int_equal(flows_tls_peer(w.flows, SLICE_NONE, SLICE("10.0.0.3")), 0);
    assert_int_equal(flows_tls_peer(w.flows, SLICE_NONE, SLICE("[2001:db8::3]")), 0);
    assert_true(flows_tls_peer(w.flows, SLICE("gw"), SLICE("10.0.0.3")) != 0);
    assert_string_equal(flows_tls_name(w.flows, of_gw).ptr, "a.example");
    assert_string_equal(flows_tls_profile(w.flows, of_gw).ptr, "gw");
    assert_int_equal(flows_tls_profile(w.flows, a).len, 0);
    assert_int_equal(flows_tls_name(w.flows, 0).len, 0);
    assert_int_equal(flows_tls_name(w.flows, 77).len, 0);
}

/* RFC 5922 7.3: the name of the URI; without one the address. */
static void a_name_or_the_address_is_to_be_proved(void **state)
{
    (void)state;
    begin(false);
    dest = wire_dest(&w, PHONE_TLS, SIP_TLS, "a.example");
    assert_int_equal(wire_send(&w, 0, &dest, "x", REQUEST), 0);
    assert_string_equal(fake_tls_name(fake_opened(w.loop, PHONE, 0)), "a.example");
    wire_expect(fake_opened(w.loop, PHONE, 0), "x");
    dest = wire_dest(&w, "10.0.0.4:5061", SIP_TLS, NULL);
    assert_int_equal(wire_send(&w, 0, &dest, "y", REQUEST), 0);
    assert_string_equal(fake_tls_name(fake_opened(w.loop, "10.0.0.4", 0)), "10.0.0.4");
}

/* RFC 5923 9.3: several names behind one address. */
static void a_connection_for_one_name_is_not_used_for_another(void **state)
{
    struct flow_dest a, b, c;
    (void)state;
    wire_init(&w);
    wire_profile(&w, "", false, true);
    wire_profile(&w, "gw", false, true);
    wire_open(&w);
    a = wire_dest(&w, PHONE_TLS, SIP_TLS, "a.example");
    b = wire_dest(&w, PHONE_TLS, SIP_TLS, "b.example");
    c = a;
    c.tls_peer = flows_tls_peer(w.flows, SLICE("gw"), SLICE("a.example"));
    assert_int_equal(wire_send(&w, 0, &a, "a", REQUEST), 0);
    assert_int_equal(wire_send(&w, 0, &b, "b", REQUEST), 0);
    assert_int_equal(wire_send(&w, 0, &c, "c", REQUEST), 0);
    assert_int_equal(fake_opens(w.loop, PHONE), 3);
    dest = wire_dest(&w, PHONE_TLS, SIP_TLS, "a.example");
    assert_int_equal(wire_send(&w, 0, &dest, "2", REQUEST), 0);
    assert_true(dest.flow == a.flow);
    /* Nor when the flow is named; but a response goes back where its request came from. */
    dest = b;
    dest.flow = a.flow;
    assert_int_equal(wire_send(&w, 0, &dest, "3", REQUEST), 0);
    assert_true(dest.flow == b.flow);
    dest.flow = a.flow;
    assert_int_equal(wire_send(&w, 0, &dest, "r", 0), 0);
    assert_true(dest.flow == a.flow);
    /* And never in the clear, or from there. */
    dest = wire_dest(&w, PHONE_TLS, SIP_TCP, NULL);
    dest.flow = a.flow;
    assert_int_equal(wire_send(&w, 0, &dest, "t", REQUEST), 0);
    assert_true(dest.flow != a.flow);
    uint64_t tcp = dest.flow;
    dest = b;
    dest.flow = tcp;
    assert_int_equal(wire_send(&w, 0, &dest, "4", REQUEST), 0);
    assert_true(dest.flow == b.flow);
    wire_expect(fake_opened(w.loop, PHONE, 0), "a2r");
    wire_expect(fake_opened(w.loop, PHONE, 1), "b34");
    wire_expect(fake_opened(w.loop, PHONE, 2), "c");
    assert_int_equal(fake_opens(w.loop, PHONE), 4);
}

static void refused_as(enum fake_policy policy, int err)
{
    begin(false);
    fake_set_peer(w.loop, PHONE, policy);
    dest = wire_dest(&w, PHONE_TLS, SIP_TLS, "a.example");
    assert_int_equal(wire_send(&w, 0, &dest, "x", REQUEST), 0);
    if (policy == FAKE_TLS_SILENT)
        fake_advance(w.loop, 3000);
    assert_int_equal(w.nevents, 1);
    assert_int_equal(w.events[0].kind, FLOW_FAILED);
    assert_int_equal(w.events[0].err, err);
    assert_int_equal(flows_count(w.flows), 0);
    char why[64];
    assert_int_equal(wire_logged(&w, err_text(err, why, sizeof(why))), 1);
    /* As after a refusal: not tried again for a while; another name is. */
    dest.flow = 0;
    assert_int_equal(wire_send(&w, 0, &dest, "x", REQUEST), ERR_UNREACHABLE);
    dest = wire_dest(&w, PHONE_TLS, SIP_TLS, "b.example");
    fake_set_peer(w.loop, PHONE, FAKE_ACCEPT);
    assert_int_equal(wire_send(&w, 0, &dest, "x", REQUEST), 0);
    assert_int_equal(w.nevents, 1);
    wire_close(&w);
}

static void peers_that_are_refused(void **state)
{
    (void)state;
    refused_as(FAKE_TLS_EXPIRED, ERR_TLS_EXPIRED);
    refused_as(FAKE_TLS_UNTRUSTED, ERR_TLS_UNTRUSTED);
    refused_as(FAKE_TLS_VERSION, ERR_TLS_VERSION);
    refused_as(FAKE_TLS_PLAIN, ERR_TLS_PLAIN);
    refused_as(FAKE_TLS_REFUSED, ERR_TLS_REFUSED);
    refused_as(FAKE_TLS_SILENT, -ETIMEDOUT);
    begin(false);
}

/* TLS 1.3: our request was already written. */
static void refused_when_it_seemed_to_be_up(void **state)
{
    (void)state;
    begin(false);
    fake_set_peer(w.loop, PHONE, FAKE_TLS_LATE);
    dest = wire_dest(&w, PHONE_TLS, SIP_TLS, "a.example");
    assert_int_equal(wire_send(&w, 0, &dest, "x", REQUEST), 0);
    assert_int_equal(w.nevents, 1);
    assert_int_equal(w.events[0].kind, FLOW_FAILED);
    assert_int_equal(w.events[0].err, ERR_TLS_REFUSED);
    assert_int_equal(wire_counter(&w, CTR_FLOW_OPEN_FAILED), 1);
    assert_int_equal(wire_counter(&w, CTR_REOPEN_FAILED), 0);
    assert_int_equal(wire_logged(&w, "could not be opened event=41005"), 1);
    dest.flow = 0;
    assert_int_equal(wire_send(&w, 0, &dest, "x", REQUEST), ERR_UNREACHABLE);
    assert_int_equal(flows_count(w.flows), 0);
}

static void wrong_name(void **state)
{
    (void)state;
    begin(false);
    fake_set_identity(w.loop, PHONE, "c.example,b.example");
    dest = wire_dest(&w, PHONE_TLS, SIP_TLS, "a.example");
    assert_int_equal(wire_send(&w, 0, &dest, "x", REQUEST), 0);
    assert_int_equal(w.events[0].err, ERR_TLS_NAME);
    assert_int_equal(wire_counter(&w, CTR_TLS_NAME), 1);
    dest = wire_dest(&w, PHONE_TLS, SIP_TLS, "b.example");
    assert_int_equal(wire_send(&w, 0, &dest, "x", REQUEST), 0);
    assert_int_equal(w.nevents, 1);
}

/* --- connections of the device ---------------------------------------------------------------- */

static void a_device_is_reopened_by_its_contact(void **state)
{
    (void)state;
    begin(false);
    struct fake_conn *c = device(NULL, "10.0.0.3:33000", "phone.example");
    w.react = resend;
    uint64_t id = dest.flow;
    assert_int_equal(wire_send(&w, 0, &dest, "once", REQUEST), 0);
    fake_fin(c); /* close_notify: at once */
    assert_int_equal(again_rc, 0);
    assert_int_equal(w.events[0].kind, FLOW_DEAD);
    assert_int_equal(w.events[0].err, ERR_CLOSED);
    assert_true(dest.flow == id);
    struct fake_conn *o = fake_opened(w.loop, PHONE_TLS, 0);
    wire_expect(o, "again");
    assert_string_equal(fake_tls_name(o), "phone.example");
    assert_int_equal(wire_logged(&w, "connection reopened"), 1);
    assert_int_equal(wire_logged(&w, "tls=resumed"), 0);
    assert_true(wire_listed(&w, " tls_name=phone.example\n"));
    /* The second time the session is resumed. */
    fake_reset(o);
    assert_int_equal(wire_logged(&w, "tls=resumed"), 1);
    assert_true(wire_listed(&w, " resumed"));
}

static void wrong_certificate_when_reopened(void **state)
{
    (void)state;
    begin(false);
    struct fake_conn *c = device(NULL, "10.0.0.3:33000", "phone.example");
    w.react = resend;
    fake_set_identity(w.loop, PHONE, "evil.example");
    assert_int_equal(wire_send(&w, 0, &dest, "once", REQUEST), 0);
    fake_reset(c);
    assert_int_equal(w.nevents, 2);
    assert_int_equal(w.events[1].kind, FLOW_FAILED);
    assert_int_equal(w.events[1].err, ERR_TLS_NAME);
    assert_int_equal(wire_counter(&w, CTR_REOPEN_FAILED), 1);
    assert_int_equal(wire_logged(&w, "could not be reopened event=41003"), 1);
    assert_int_equal(wire_logged(&w, "certificate of another name"), 1);
    assert_int_equal(flows_count(w.flows), 0);
}

static void wrong_certificate_beside_a_suspect(void **state)
{
    (void)state;
    begin(false);
    struct fake_conn *c = device(NULL, "10.0.0.3:33000", "phone.example");
    w.react = resend;
    fake_set_peer(w.loop, PHONE, FAKE_TLS_EXPIRED);
    fake_stall(c, true);
    assert_int_equal(wire_send(&w, 0, &dest, "once", REQUEST), 0);
    fake_advance(w.loop, 1000);
    assert_int_equal(w.nevents, 0); /* the first one may still heal */
    fake_advance(w.loop, 1000);
    assert_int_equal(w.nevents, 1);
    assert_int_equal(w.events[0].kind, FLOW_FAILED);
    assert_int_equal(w.events[0].err, ERR_TLS_EXPIRED);
}

/* What the device has proved when it connected has to be proved by what takes its place, even where
 * we do not verify whom we connect to. */
static void as_strictly_as_the_first(bool sent_by)
{
    wire_init(&w);
    wire_profile(&w, "", true, false);
    wire_open(&w);
    const char *via = sent_by ? "phone.example:5061" : "10.0.0.3:33000";
    struct fake_conn *c = device("phone.example", via, sent_by ? NULL : "phone.example");
    w.react = resend;
    assert_int_equal(wire_send(&w, 0, &dest, "once", REQUEST), 0);
    fake_set_identity(w.loop, PHONE, sent_by ? "10.0.0.3" : "evil.example");
    fake_reset(c);
    assert_int_equal(w.nevents, 2);
    assert_int_equal(w.events[1].kind, FLOW_FAILED);
    if (sent_by) {
        assert_int_equal(w.events[1].err, ERR_TLS_NAME);
        assert_int_equal(wire_counter(&w, CTR_TLS_NAME), 1);
    } else { /* nothing that it has shown verifies */
        assert_int_equal(w.events[1].err, ERR_TLS_NO_CERTIFICATE);
    }
    wire_close(&w);
}

static void a_proof_is_asked_for_again(void **state)
{
    (void)state;
    as_strictly_as_the_first(true);
    as_strictly_as_the_first(false);
    wire_init(&w);
    wire_profile(&w, "", true, false);
    wire_open(&w);
    struct fake_conn *c = device("phone.example", "phone.example:5061", "phone.example");
    w.react = resend;
    assert_int_equal(wire_send(&w, 0, &dest, "once", REQUEST), 0);
    fake_set_identity(w.loop, PHONE, "other.example,phone.example");
    fake_reset(c);
    assert_int_equal(w.nevents, 1);
    wire_expect(fake_opened(w.loop, PHONE, 0), "again");
}

/* RFC 3261 18.2.2: the received address, the port of sent-by, or that of the transport. */
static void response_over_a_new_connection(void **state)
{
    (void)state;
    begin(false);
    struct fake_conn *c = fake_connect_tls(w.loop, PHONE, OURS_TLS, NULL);
    wire_request(c, "TLS", "phone.example");
    fake_fin(c);
    dest = w.msgs[0].back;
    assert_int_equal(wire_send(&w, 0, &dest, "response", 0), 0);
    struct fake_conn *o = fake_opened(w.loop, PHONE_TLS, 0);
    wire_expect(o, "response");
    assert_string_equal(fake_tls_name(o), "phone.example");
}

/* --- aliases ---------------------------------------------------------------------------------- */

static bool is_found(const char *to, enum sip_transport t, const char *name)
{
    struct flow_dest d = wire_dest(&w, to, t, name);
    fake_set_peer(w.loop, to, FAKE_BLACKHOLE);
    assert_int_equal(wire_send(&w, 0, &d, "x", REQUEST), 0);
    return d.flow == w.msgs[0].origin.flow;
}

static void alias_for_a_name_that_is_proved(void **state)
{
    (void)state;
    begin(true);
    struct fake_conn *c = fake_connect_tls(w.loop, PHONE, OURS_TLS, "pbx.example");
    wire_request(c, "TLS", "PBX.example:5071;alias");
    assert_true(is_found("10.0.0.3:5071", SIP_TLS, "pbx.example"));
    assert_false(is_found("10.0.0.3:5071", SIP_TLS, "other.example"));
    assert_false(is_found("10.0.0.3:5071", SIP_TLS, NULL));
    assert_false(is_found("10.0.0.3:5061", SIP_TLS, "pbx.example"));
    assert_false(is_found("10.0.0.3:5071", SIP_TCP, NULL));
}

static void no_alias_without_a_proof(void **state)
{
    static const struct {
        const char *names, *via;
    } cases[] = {
        {"pbx.example", "victim.example:5071;alias"},
        {"pbx.example", "pbx.example:5071"},
        {"10.0.0.99", "10.0.0.99:5071;alias"}, /* not where it comes from */
        {"pbx.example", "10.0.0.3:5071;alias"},
    };
    (void)state;
    for (unsigned i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        begin(true);
        struct fake_conn *c = fake_connect_tls(w.loop, PHONE, OURS_TLS, cases[i].names);
        wire_request(c, "TLS", cases[i].via);
        assert_false(is_found("10.0.0.3:5071", SIP_TLS, "victim.example"));
        assert_false(is_found("10.0.0.3:5071", SIP_TLS, "pbx.example"));
        assert_false(is_found("10.0.0.99:5071", SIP_TLS, NULL));
        assert_false(is_found("10.0.0.3:5071", SIP_TLS, NULL));
        wire_close(&w);
    }
    begin(false);
    struct fake_conn *c = fake_connect_tls(w.loop, PHONE, OURS_TLS, NULL);
    wire_request(c, "TLS", "pbx.example:5071;alias");
    assert_false(is_found("10.0.0.3:5071", SIP_TLS, "pbx.example"));
    wire_close(&w);
    begin(true);
    c = fake_connect_tls(w.loop, PHONE, OURS_TLS, "10.0.0.3");
    wire_request(c, "TLS", "10.0.0.3:5071;alias");
    assert_true(is_found("10.0.0.3:5071", SIP_TLS, NULL));
}

/* --- refused handshakes ----------------------------------------------------------------------- */

static void refusals_are_logged_once_a_minute(void **state)
{
    (void)state;
    begin(true);
    for (unsigned i = 0; i < 5; i++)
        assert_null(fake_connect_tls(w.loop, PHONE, OURS_TLS, NULL));
    assert_null(fake_connect(w.loop, PHONE, OURS_TLS));
    assert_null(fake_connect_tls(w.loop, "10.0.0.4", OURS_TLS, NULL));
    assert_true(fake_refused_tls(w.loop, PHONE, OURS_TLS, ERR_TLS_VERSION));
    assert_int_equal(wire_counter(&w, CTR_TLS_NO_CERTIFICATE), 6);
    assert_int_equal(wire_counter(&w, CTR_TLS_PLAIN), 1);
    assert_int_equal(wire_logged(&w, "event=46010"), 4);
    assert_int_equal(wire_logged(&w, "no certificate shown"), 2);
    assert_int_equal(wire_logged(&w, "peer does not speak TLS"), 1);
    fake_advance(w.loop, 60000);
    assert_null(fake_connect_tls(w.loop, PHONE, OURS_TLS, NULL));
    assert_int_equal(wire_logged(&w, "no certificate shown"), 3);
    assert_int_equal(wire_logged(&w, "repeated=4"), 1);
    assert_int_equal(w.naccepted, 0);
}

static void tls_on_the_plain_port(void **state)
{
    (void)state;
    begin(false);
    for (unsigned i = 0; i < 3; i++) {
        struct fake_conn *c = fake_connect(w.loop, PHONE, OURS);
        fake_send(c,
                  i == 2 ? SLICE("\x16") : SLICE("\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"));
        assert_false(fake_is_open(c));
        assert_int_equal(fake_peek(c).len, 0);
    }
    assert_int_equal(wire_counter(&w, CTR_TLS_ON_PLAIN), 3);
    assert_int_equal(wire_counter(&w, CTR_MSG_MALFORMED), 0);
    assert_int_equal(wire_logged(&w, "peer speaks TLS where it is not spoken"), 1);
    /* Not at the beginning it is only malformed. */
    struct fake_conn *c = fake_connect(w.loop, PHONE, OURS);
    fake_send(c, SLICE("\r\n\r\n"));
    fake_send(c, SLICE("\x16\x03\x01"));
    assert_int_equal(wire_counter(&w, CTR_TLS_ON_PLAIN), 3);
}

/* --- reload ----------------------------------------------------------------------------------- */

static void a_reload_leaves_connections_alone(void **state)
{
    (void)state;
    begin(false);
    struct fake_conn *c = device(NULL, "10.0.0.3:33000", "phone.example");
    struct flow_dest far = wire_dest(&w, "10.0.0.4:5061", SIP_TLS, "far.example");
    assert_int_equal(wire_send(&w, 0, &far, "x", REQUEST), 0);
    wire_no_profiles(&w);
    wire_profile(&w, "", true, true);
    wire_configure(&w);
    assert_true(fake_is_open(c));
    assert_int_equal(wire_send(&w, 0, &dest, "y", REQUEST), 0);
    wire_expect(c, "y");
    assert_int_equal(wire_send(&w, 0, &far, "z", REQUEST), 0);
    wire_expect(fake_opened(w.loop, "10.0.0.4", 0), "xz");
    /* New ones by the new rules. */
    assert_null(fake_connect_tls(w.loop, PHONE, OURS_TLS, NULL));
    assert_non_null(fake_connect_tls(w.loop, PHONE, OURS_TLS, "phone.example"));
}

/* A certificate that the new rules accept is tried at once. */
static void a_reload_ends_the_backoff(void **state)
{
    (void)state;
    begin(false);
    fake_set_peer(w.loop, PHONE, FAKE_TLS_UNTRUSTED);
    dest = wire_dest(&w, PHONE_TLS, SIP_TLS, "a.example");
    assert_int_equal(wire_send(&w, 0, &dest, "x", REQUEST), 0);
    assert_int_equal(w.events[0].err, ERR_TLS_UNTRUSTED);
    dest.flow = 0;
    assert_int_equal(wire_send(&w, 0, &dest, "x", REQUEST), ERR_UNREACHABLE);
    wire_no_profiles(&w);
    wire_profile(&w, "", false, false);
    wire_configure(&w);
    assert_int_equal(wire_send(&w, 0, &dest, "x", REQUEST), 0);
    wire_expect(fake_opened(w.loop, PHONE, 0), "x");
}

/* A section that is gone: what was numbered by it goes by the daemon's rules. */
static void a_profile_that_is_gone(void **state)
{
    (void)state;
    wire_init(&w);
    wire_profile(&w, "", false, true);
    wire_profile(&w, "gw", false, false);
    wire_open(&w);
    fake_set_identity(w.loop, PHONE, "other.example");
    dest = wire_dest(&w, PHONE_TLS, SIP_TLS, NULL);
    dest.tls_peer = flows_tls_peer(w.flows, SLICE("gw"), SLICE("a.example"));
    assert_int_equal(wire_send(&w, 0, &dest, "x", REQUEST), 0);
    wire_expect(fake_opened(w.loop, PHONE, 0), "x"); /* gw does not verify */
    fake_fin(fake_opened(w.loop, PHONE, 0));
    wire_no_profiles(&w);
    wire_profile(&w, "", false, true);
    wire_configure(&w);
    dest.flow = 0;
    assert_int_equal(wire_send(&w, 0, &dest, "x", REQUEST), 0);
    assert_int_equal(w.events[w.nevents - 1].kind, FLOW_FAILED);
    assert_int_equal(w.events[w.nevents - 1].err, ERR_TLS_NAME);
}

/* --- workers ---------------------------------------------------------------------------------- */

static void what_is_to_be_proved_travels(void **state)
{
    (void)state;
    wire_init(&w);
    w.nworkers = 2;
    wire_profile(&w, "", false, true);
    wire_open(&w);
    for (unsigned i = 0; i < 2; i++) { /* one of them owns the address */
        dest = wire_dest(&w, PHONE_TLS, SIP_TLS, i == 0 ? "a.example" : "b.example");
        for (unsigned j = 0; j < 2; j++) {
            dest.flow = 0;
            assert_int_equal(wire_send(&w, j, &dest, "x", REQUEST), 0);
        }
    }
    assert_int_equal(fake_opens(w.loop, PHONE), 2);
    assert_string_equal(fake_tls_name(fake_opened(w.loop, PHONE, 0)), "a.example");
    assert_string_equal(fake_tls_name(fake_opened(w.loop, PHONE, 1)), "b.example");
    wire_expect(fake_opened(w.loop, PHONE, 0), "xx");
}

/* --- memory ----------------------------------------------------------------------------------- */

static void try_again(struct wire *x, unsigned worker, const struct flow_event *ev)
{
    if (ev->kind == FLOW_DEAD || ev->kind == FLOW_MOVED)
        (void)!flows_send(x->flows_of[worker], &dest, "again", 5, AGAIN);
}

/* A device connects, is named, asks for an alias, gets a request of the other worker, is reset,
 * reopened, stalls, is reopened beside; another one is refused. */
static void live(void)
{
    struct fake_conn *c = fake_connect_tls(w.loop, PHONE, OURS_TLS, "pbx.example");
    if (c != NULL)
        wire_request(c, "TLS", "pbx.example:5071;alias");
    dest = wire_dest(&w, PHONE_TLS, SIP_TLS, "pbx.example");
    dest.since = 1;
    if (w.nmsgs != 0)
        dest.flow = w.msgs[0].origin.flow;
    flows_set_dn(w.flows_of[0], dest.flow, SLICE("1001"));
    flows_set_dn(w.flows_of[1], dest.flow, SLICE("1002"));
    (void)!wire_send(&w, 0, &dest, "one", REQUEST);
    (void)!wire_send(&w, 1, &dest, "two", REQUEST);
    if (c != NULL)
        fake_reset(c);
    fake_advance(w.loop, 50);
    (void)fake_stall_all(w.loop, PHONE);
    (void)!wire_send(&w, 0, &dest, "three", REQUEST);
    fake_advance(w.loop, 1100);
    for (unsigned i = 0; i < 3; i++)
        flows_unanswered(w.flows_of[i & 1], dest.flow);
    wire_turn(&w);
    (void)fake_connect(w.loop, PHONE, OURS_TLS);
    wire_configure(&w);
}

static void every_allocation_fails_once(void **state)
{
    bool failed = true;
    (void)state;
    for (uint64_t n = 1; failed; n++) {
        wire_init(&w);
        w.nworkers = 2;
        assert_int_equal(flow_aliases_new(&w.conf.aliases), 0);
        wire_profile(&w, "", true, true);
        wire_open(&w);
        w.react = try_again;
        mem_fail_at(n);
        live();
        failed = mem_failed();
        mem_fail_at(0);
        /* What comes after is as if nothing had been. */
        fake_advance(w.loop, 60000);
        w.nmsgs = 0;
        struct fake_conn *c = fake_connect_tls(w.loop, "10.0.0.9", OURS_TLS, "x.example");
        wire_request(c, "TLS", "x.example");
        assert_int_equal(w.nmsgs, 1);
        dest = w.msgs[0].back;
        assert_int_equal(wire_send(&w, 0, &dest, "response", 0), 0);
        wire_expect(c, "response");
        struct flow_aliases *aliases = w.conf.aliases;
        wire_close(&w);
        flow_aliases_free(&aliases);
        assert_true(n < 400);
    }
    begin(false);
}

#define T(f) cmocka_unit_test_teardown(f, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(listens_beside_the_plain_port),
        T(without_plain_ports_there_is_only_tls),
        T(without_rules_there_is_no_tls),
        T(the_same_pair_has_the_same_number),
        T(a_name_or_the_address_is_to_be_proved),
        T(a_connection_for_one_name_is_not_used_for_another),
        T(peers_that_are_refused),
        T(refused_when_it_seemed_to_be_up),
        T(wrong_name),
        T(a_device_is_reopened_by_its_contact),
        T(wrong_certificate_when_reopened),
        T(wrong_certificate_beside_a_suspect),
        T(a_proof_is_asked_for_again),
        T(response_over_a_new_connection),
        T(alias_for_a_name_that_is_proved),
        T(no_alias_without_a_proof),
        T(refusals_are_logged_once_a_minute),
        T(tls_on_the_plain_port),
        T(a_reload_leaves_connections_alone),
        T(a_reload_ends_the_backoff),
        T(a_profile_that_is_gone),
        T(what_is_to_be_proved_travels),
        T(every_allocation_fails_once),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
