/* SPDX-License-Identifier: Apache-2.0 */
/* Calls from any transport and address family to any other: double Record-Route with the address of
 * ours that each side can reach, requests inside the dialog from both ends, and a sips: URI, which
 * leaves by TLS or not at all. RFC 3261 16.6, 16.12, 26.2.2; RFC 5658; RFC 5630.
 *
 * The caller's network is 10.0.0.0/24 and 2001:db8::/64, the callee's 198.51.100.0/24 and
 * 2001:db8:1::/64; we have an address in each of the four. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

#include "tls_calls.h"

#define HOMES \
    "sip-address = 10.0.0.1, 2001:db8::1, " RIG_OUTSIDE ", " RIG_OUTSIDE6 "\nresolve-host = true\n"
#define BRIDGE HOMES "relay-from = any\n" TLS_ONLY

struct leg {
    const char *name;
    const char *via; /* UDP */
    const char *ip;  /* with the brackets of IPv6 */
    const char *ours;
    unsigned port;
    bool is_stream, is_tls;
};

static const struct leg callers[] = {
    {"UDP", "UDP", "10.0.0.2", "10.0.0.1", 5060, false, false},
    {"TCP", "TCP", "10.0.0.2", "10.0.0.1", 5060, true, false},
    {"TLS", "TLS", "10.0.0.2", "10.0.0.1", 5061, true, true},
    {"UDP6", "UDP", "[2001:db8::2]", "[2001:db8::1]", 5060, false, false},
    {"TCP6", "TCP", "[2001:db8::2]", "[2001:db8::1]", 5060, true, false},
    {"TLS6", "TLS", "[2001:db8::2]", "[2001:db8::1]", 5061, true, true},
};

static const struct leg callees[] = {
    {"UDP", "UDP", "198.51.100.7", "198.51.100.1", 5060, false, false},
    {"TCP", "TCP", "198.51.100.7", "198.51.100.1", 5060, true, false},
    {"TLS", "TLS", "198.51.100.7", "198.51.100.1", 5061, true, true},
    {"UDP6", "UDP", "[2001:db8:1::7]", "[2001:db8:1::1]", 5060, false, false},
    {"TCP6", "TCP", "[2001:db8:1::7]", "[2001:db8:1::1]", 5060, true, false},
    {"TLS6", "TLS", "[2001:db8:1::7]", "[2001:db8:1::1]", 5061, true, true},
};

#define LEGS (sizeof(callers) / sizeof(callers[0]))

/* One end of the call. */
struct end {
    const struct leg *leg;
    struct fake_conn *conn; /* NULL: datagrams */
    char at[64];            /* 10.0.0.2:5060 */
    char uri[96];
    char contact[112];
    const char *party, *tag; /* of From or To */
    char routes[2048];       /* of its dialog */
    unsigned cseq;
};

static struct rig r;
static struct got got, inv;
static struct end caller, callee;

static void end_init(struct end *e, const struct leg *leg, const char *user, const char *party,
                     const char *tag)
{
    *e = (struct end){.leg = leg, .party = party, .tag = tag, .cseq = 10};
    snprintf(e->at, sizeof(e->at), "%s:%u", leg->ip, leg->port);
    snprintf(e->uri, sizeof(e->uri), "sip:%s@%s:%u%s", user, leg->ip, leg->port,
             !leg->is_stream ? ""
             : leg->is_tls   ? ";transport=tls"
                             : ";transport=tcp");
    snprintf(e->contact, sizeof(e->contact), "<%s>", e->uri);
}

static void transmit(struct end *e, const char *text)
{
    char ours[64];
    snprintf(ours, sizeof(ours), "%s:%u", e->leg->ours, e->leg->port);
    if (e->conn != NULL)
        rig_tcp(e->conn, text);
    else
        rig_udp_to(&r, e->at, ours, text);
}

/* The next message to that end, on the connection that it has from the first message on. */
static void receive(struct end *e)
{
    if (e->leg->is_stream && e->conn == NULL)
        e->conn = fake_opened(r.loop, e->at, 0);
    if (e->leg->is_stream) {
        assert_non_null(e->conn);
        rig_expect_tcp(e->conn, &got);
    } else {
        rig_expect(&r, e->at, &got);
    }
}

static void gets_status(struct end *e, unsigned status)
{
    do
        receive(e);
    while (!got.msg.is_request && got.msg.status == 100);
    if (got.msg.is_request || got.msg.status != status)
        fail_msg("%s: expected %u, got:\n%s", e->leg->name, status, got.text);
}

/* Its own side of us in Via, and none of the other one. */
static void gets_request(struct end *e, const char *method)
{
    char via[96];
    receive(e);
    if (!got.msg.is_request || !slice_eq(sip_get(&got.msg, got.msg.method_text), slice_str(method)))
        fail_msg("%s: expected %s, got:\n%s", e->leg->name, method, got.text);
    snprintf(via, sizeof(via), "SIP/2.0/%s %s:%u;branch=", e->leg->via, e->leg->ours, e->leg->port);
    assert_begins(rig_value(&got, SIP_H_VIA, 0), via);
    assert_int_equal(rig_count(&got, SIP_H_ROUTE), 0);
    if (e->leg->is_stream && got.msg.method != SIP_ACK)
        assert_true(fake_is_open(e->conn));
}

static void answers(struct end *e, const struct got *req, unsigned status)
{
    char contact[160];
    snprintf(contact, sizeof(contact), "Contact: %s\n", e->contact);
    transmit(e, rig_response(req, status, e->tag, contact));
}

static void says(struct end *e, const struct end *other, const char *method, unsigned cseq)
{
    static unsigned n;
    char branch[32], from[128], to[128];
    snprintf(branch, sizeof(branch), "%s%u", method, ++n);
    snprintf(from, sizeof(from), "%s;tag=%s", e->party, e->tag);
    snprintf(to, sizeof(to), "%s;tag=%s", other->party, other->tag);
    transmit(e, say(&(struct say){.method = method,
                                  .uri = other->uri,
                                  .transport = e->leg->via,
                                  .sent_by = e->at,
                                  .branch = branch,
                                  .from = from,
                                  .to = to,
                                  .cseq = cseq,
                                  .contact = e->contact,
                                  .extra = e->routes}));
}

/* HOST:PORT and transport of the side of us that `leg` reaches. */
static void assert_faces(const char *value, const struct leg *leg)
{
    char place[96];
    snprintf(place, sizeof(place), "%s:%u%s;lr;", leg->ours, leg->port,
             !leg->is_stream ? ""
             : leg->is_tls   ? ";transport=tls"
                             : ";transport=tcp");
    if (strstr(value, place) == NULL)
        fail_msg("%s does not name %s", value, place);
}

static void connect_caller(void)
{
    char from[64], ours[64];
    snprintf(from, sizeof(from), "%s:41000", caller.leg->ip);
    snprintf(ours, sizeof(ours), "%s:%u", caller.leg->ours, caller.leg->port);
    if (caller.leg->is_tls)
        caller.conn = fake_connect_tls(r.loop, from, ours, NULL);
    else if (caller.leg->is_stream)
        caller.conn = fake_connect(r.loop, from, ours);
    assert_true(!caller.leg->is_stream || caller.conn != NULL);
}

static void invite(const char *uri)
{
    transmit(&caller, say(&(struct say){.uri = uri,
                                        .transport = caller.leg->via,
                                        .sent_by = caller.at,
                                        .from = "<sip:alice@10.0.0.2>;tag=a",
                                        .to = callee.party,
                                        .contact = caller.contact}));
}

static void establish(const struct leg *from, const struct leg *to)
{
    end_init(&caller, from, "alice", "<sip:alice@10.0.0.2>", "a");
    end_init(&callee, to, "bob", "<sip:bob@198.51.100.7>", "t");
    connect_caller();
    invite(callee.uri);
    gets_request(&callee, "INVITE");
    inv = got;
    inv.msg.base = inv.text;
    inv.msg.hdrs = inv.hdrs;
    assert_int_equal(rig_count(&inv, SIP_H_RECORD_ROUTE), 2);
    assert_faces(rig_value(&inv, SIP_H_RECORD_ROUTE, 0), to);
    assert_faces(rig_value(&inv, SIP_H_RECORD_ROUTE, 1), from);
    snprintf(callee.routes, sizeof(callee.routes), "%s", route_set(&inv, false));
    answers(&callee, &inv, 180);
    gets_status(&caller, 180);
    answers(&callee, &inv, 200);
    gets_status(&caller, 200);
    snprintf(caller.routes, sizeof(caller.routes), "%s", route_set(&got, true));
    says(&caller, &callee, "ACK", 1);
    gets_request(&callee, "ACK");
    assert_string_equal(rig_uri(&got), callee.uri);
}

static void re_invite(struct end *e, struct end *other)
{
    says(e, other, "INVITE", ++e->cseq);
    gets_request(other, "INVITE");
    assert_string_equal(rig_uri(&got), other->uri);
    answers(other, &got, 200);
    gets_status(e, 200);
    says(e, other, "ACK", e->cseq);
    gets_request(other, "ACK");
}

static void hang_up(struct end *e, struct end *other)
{
    says(e, other, "BYE", ++e->cseq);
    gets_request(other, "BYE");
    assert_string_equal(rig_uri(&got), other->uri);
    answers(other, &got, 200);
    gets_status(e, 200);
    assert_int_equal(rig_calls(&r), 0);
}

/* 36 ways, each with either end hanging up. */
static void from_any_to_any(void **state)
{
    (void)state;
    for (unsigned i = 0; i < 2 * LEGS * LEGS; i++) {
        const struct leg *from = &callers[i / 2 % LEGS], *to = &callees[i / 2 / LEGS];
        rig_open(&r, BRIDGE);
        establish(from, to);
        re_invite(&callee, &caller);
        re_invite(&caller, &callee);
        if (i % 2 == 0)
            hang_up(&caller, &callee);
        else
            hang_up(&callee, &caller);
        /* One connection to each end, whoever has opened it. */
        assert_int_equal(fake_opens(r.loop, NULL), to->is_stream);
        rig_close(&r);
    }
}

/* Nothing has to be said twice where both sides are the same. */
static void one_value_for_equal_sides(void **state)
{
    (void)state;
    rig_open(&r, BRIDGE);
    end_init(&caller, &callers[0], "alice", "<sip:alice@10.0.0.2>", "a");
    end_init(&callee, &callers[0], "bob", "<sip:bob@198.51.100.7>", "t");
    invite("sip:bob@10.0.0.3");
    rig_expect_method(&r, PHONE, "INVITE", &inv);
    assert_int_equal(rig_count(&inv, SIP_H_RECORD_ROUTE), 1);
    rig_udp(&r, PHONE, rig_response(&inv, 486, "t", ""));
    rig_expect_method(&r, PHONE, "ACK", &got);
    rig_close(&r);
}

/* --- a request that comes by a connection which we have opened ------------------------------- */

/* Its side of us is the listener, and not the port which the kernel gave the connection. */
static void call_on_our_own_connection(void **state)
{
    (void)state;
    rig_open(&r, BRIDGE);
    establish(&callers[0], &callees[1]);
    transmit(&callee, say(&(struct say){.uri = "sip:carol@10.0.0.4",
                                        .transport = "TCP",
                                        .sent_by = callee.at,
                                        .branch = "new",
                                        .from = "<sip:bob@198.51.100.7>;tag=n",
                                        .to = "<sip:carol@10.0.0.4>",
                                        .call_id = "new",
                                        .contact = callee.contact}));
    rig_expect_method(&r, OTHER, "INVITE", &got);
    assert_int_equal(rig_count(&got, SIP_H_RECORD_ROUTE), 2);
    assert_faces(rig_value(&got, SIP_H_RECORD_ROUTE, 1), &callees[1]);
    rig_udp(&r, OTHER, rig_response(&got, 486, "t", ""));
    rig_expect_method(&r, OTHER, "ACK", &got);
    gets_status(&callee, 486);
    rig_close(&r);
}

/* --- sips ------------------------------------------------------------------------------------ */

static void expect_refusal(void)
{
    do
        receive(&caller);
    while (!got.msg.is_request && got.msg.status == 100);
    assert_false(got.msg.is_request);
    if (got.msg.status < 400)
        fail_msg("%s: a sips URI was accepted:\n%s", caller.leg->name, got.text);
    rig_expect_none(&r, "198.51.100.7");
    rig_expect_none(&r, "[2001:db8:1::7]");
    assert_int_equal(fake_opens(r.loop, NULL), 0);
}

/* By TLS, whatever it came by, and to the port of TLS. */
static void expect_by_tls(const char *at)
{
    rig_expect_none(&r, "198.51.100.7");
    rig_expect_none(&r, "[2001:db8:1::7]");
    assert_int_equal(fake_opens(r.loop, NULL), 1);
    struct fake_conn *conn = fake_opened(r.loop, at, 0);
    assert_non_null(conn);
    assert_true(fake_tls_name(conn)[0] != '\0');
    expect_tcp_method(conn, "INVITE", &got);
    assert_begins(rig_value(&got, SIP_H_VIA, 0), "SIP/2.0/TLS ");
    assert_begins(rig_value(&got, SIP_H_RECORD_ROUTE, 0), "<sips:");
    answer_tcp(conn, &got, 486, "");
    gets_status(&caller, 486);
}

struct sips_row {
    const char *uri;
    const char *at; /* NULL: it is refused */
};

static const struct sips_row sips_rows[] = {
    {"sips:bob@198.51.100.7", "198.51.100.7:5061"},
    {"sips:bob@198.51.100.7;transport=tcp", "198.51.100.7:5061"},
    {"sips:bob@198.51.100.7;transport=udp", NULL},
    {"sips:bob@[2001:db8:1::7]", "[2001:db8:1::7]:5061"},
    {"sips:bob@[2001:db8:1::7];transport=udp", NULL},
    /* Found by SRV for sips alone, and by no other record. */
    {"sips:bob@secure.invalid", "198.51.100.7:5071"},
    {"sips:bob@plain.invalid;transport=udp", NULL},
    /* Nothing is said of TLS: by it all the same, at its port. */
    {"sips:bob@plain.invalid", "198.51.100.7:5061"},
    {"sips:bob@naptr.invalid", "198.51.100.7:5071"},
};

static void set_names(void)
{
    fake_set_srv(r.loop, "_sips._tcp.secure.invalid", "1 1 5071 host.invalid", 0);
    fake_set_srv(r.loop, "_sip._udp.secure.invalid", "1 1 5060 host.invalid", 0);
    fake_set_srv(r.loop, "_sip._tcp.secure.invalid", "1 1 5060 host.invalid", 0);
    fake_set_srv(r.loop, "_sip._udp.plain.invalid", "1 1 5060 host.invalid", 0);
    fake_set_srv(r.loop, "_sip._tcp.plain.invalid", "1 1 5060 host.invalid", 0);
    fake_set_naptr(r.loop, "naptr.invalid",
                   "1 1 s SIP+D2U _sip._udp.plain.invalid, "
                   "2 1 s SIPS+D2T _sips._tcp.secure.invalid",
                   0);
    fake_set_host(r.loop, "host.invalid", "198.51.100.7", 0);
    fake_set_host(r.loop, "plain.invalid", "198.51.100.7", 0);
    fake_set_host(r.loop, "secure.invalid", "198.51.100.9", 0);
}

static void sips_never_leaves_unprotected(void **state)
{
    (void)state;
    const unsigned nrows = sizeof(sips_rows) / sizeof(sips_rows[0]);
    for (unsigned i = 0; i < LEGS * nrows; i++) {
        const struct sips_row *row = &sips_rows[i % nrows];
        rig_open(&r, BRIDGE);
        set_names();
        end_init(&caller, &callers[i / nrows], "alice", "<sips:alice@10.0.0.2>", "a");
        end_init(&callee, &callees[2], "bob", "<sips:bob@198.51.100.7>", "t");
        snprintf(caller.contact, sizeof(caller.contact), "<sips:alice@%s:5061>", caller.leg->ip);
        connect_caller();
        invite(row->uri);
        if (row->at != NULL)
            expect_by_tls(row->at);
        else
            expect_refusal();
        rig_close(&r);
    }
}

/* Without TLS of our own there is no way at all. */
static void sips_without_tls_is_refused(void **state)
{
    (void)state;
    for (unsigned i = 0; i < LEGS; i++) {
        if (callers[i].is_tls)
            continue;
        rig_open(&r, HOMES "relay-from = any\n");
        set_names();
        end_init(&caller, &callers[i], "alice", "<sips:alice@10.0.0.2>", "a");
        end_init(&callee, &callees[2], "bob", "<sips:bob@198.51.100.7>", "t");
        connect_caller();
        invite("sips:bob@secure.invalid");
        expect_refusal();
        rig_close(&r);
    }
}

/* --- an application with rules of TLS of its own ---------------------------------------------- */

/* What it need not prove is its own business; a neighbour at large has to prove its host. */
static void rules_of_an_application(void **state)
{
    (void)state;
    rig_open(&r,
             HOMES "relay-from = any\nserving-sipserver = main\n" TLS_ONLY
                   "tls-ca = /ca.pem\ntls-verify-server = true\n"
                   "[application main]\nprimary = sip:198.51.100.7;transport=tls\noos-check = 0\n"
                   "tls-verify-server = false\n"
                   "[domain other.example]\ncontact = sip:198.51.100.9;transport=tls\n");
    fake_set_identity(r.loop, "198.51.100.7:5061", "pbx.example");
    fake_set_identity(r.loop, "198.51.100.9:5061", "pbx.example");
    end_init(&caller, &callers[0], "alice", "<sip:alice@10.0.0.2>", "a");
    end_init(&callee, &callees[2], "bob", "<sip:bob@198.51.100.7>", "t");
    invite("sip:1001@10.0.0.1");
    gets_request(&callee, "INVITE");
    inv = got;
    inv.msg.base = inv.text;
    inv.msg.hdrs = inv.hdrs;
    answers(&callee, &inv, 486);
    gets_status(&caller, 486);
    transmit(&caller,
             say(&(struct say){.uri = "sip:bob@other.example", .branch = "o", .call_id = "o"}));
    fake_advance(r.loop, 1);
    do
        receive(&caller);
    while (got.msg.status == 100);
    assert_true(got.msg.status >= 480);
    assert_int_equal(rig_counter(&r, CTR_TLS_NAME), 1);
    rig_close(&r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(from_any_to_any),
        cmocka_unit_test(one_value_for_equal_sides),
        cmocka_unit_test(call_on_our_own_connection),
        cmocka_unit_test(sips_never_leaves_unprotected),
        cmocka_unit_test(sips_without_tls_is_refused),
        cmocka_unit_test(rules_of_an_application),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
