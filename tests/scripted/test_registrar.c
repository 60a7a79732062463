/* SPDX-License-Identifier: Apache-2.0 */
/* REGISTER through the whole worker: RFC 3261 10.3, RFC 3327, RFC 5626 section 6, RFC 3261 22, and
 * by which way a call then goes. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <time.h>

#include <cmocka.h>

#include "base/alloc.h"
#include "rig.h"
#include "rows.h"
#include "sip/digest.h"

#define PHONE  "10.0.0.7:5060"
#define CALLER "10.0.0.2:5060"
#define OPEN \
    "registrar-open-to = 10.0.0.0/8\nrelay-from = any\nsip-domains = example.com, 10.0.0.1\n"
#define INSTANCE ";+sip.instance=\"<urn:uuid:00000000-0000-1000-8000-0a0b0c0d0e0f>\""

/* A REGISTER of which a test says what it is about; NULL: the usual. */
struct ask {
    const char *user;    /* 1001 */
    const char *domain;  /* example.com, of the address of record */
    const char *contact; /* whole value of one Contact line; "": none */
    const char *via;     /* UDP 10.0.0.7:5060 */
    const char *via_end; /* behind the branch */
    const char *more;    /* lines ending in \n */
    const char *call_id;
    unsigned cseq; /* 0: one higher than the last */
};

static struct got got;

static const char *or_usual(const char *value, const char *usual)
{
    return value != NULL ? value : usual;
}

/* Its text, with a branch of its own; static buffer. */
static const char *text_of(const struct ask *a)
{
    static unsigned number = 0;
    static char text[8192];
    char contact[4096];
    const char *user = or_usual(a->user, "1001");
    number++;
    snprintf(contact, sizeof(contact), "Contact: %s\n",
             or_usual(a->contact, "<sip:1001@10.0.0.7:5060>"));
    snprintf(
        text, sizeof(text),
        "REGISTER sip:example.com SIP/2.0\nVia: SIP/2.0/%s;branch=z9hG4bKr%u%s\n"
        "Max-Forwards: 70\nFrom: <sip:%s@%s>;tag=a\nTo: <sip:%s@%s>\nCall-ID: %s\nCSeq: %u REGISTER\n"
        "%s%sContent-Length: 0\n\n",
        or_usual(a->via, "UDP 10.0.0.7:5060"), number, or_usual(a->via_end, ""), user,
        or_usual(a->domain, "example.com"), user, or_usual(a->domain, "example.com"),
        or_usual(a->call_id, "c1"), a->cseq != 0 ? a->cseq : number,
        a->contact != NULL && a->contact[0] == '\0' ? "" : contact, or_usual(a->more, ""));
    return text;
}

/* By UDP from PHONE; the answer is `got`. */
static void ask(struct rig *r, const struct ask *a, unsigned status)
{
    rig_udp(r, PHONE, text_of(a));
    rig_expect_status(r, PHONE, status, &got);
    rig_expect_none(r, NULL);
}

static void expect_reason(const char *reason)
{
    if (!slice_eq(sip_get(&got.msg, got.msg.reason), slice_str(reason)))
        fail_msg("not \"%s\":\n%s", reason, got.text);
}

static void expect_contacts(unsigned n, const char *first)
{
    if (rig_count(&got, SIP_H_CONTACT) != n)
        fail_msg("not %u contacts:\n%s", n, got.text);
    if (n != 0)
        assert_string_equal(rig_value(&got, SIP_H_CONTACT, 0), first);
}

static const char *invite_text(unsigned number)
{
    static char text[1024];
    snprintf(
        text, sizeof(text),
        "INVITE sip:1001@example.com SIP/2.0\nVia: SIP/2.0/UDP 10.0.0.2:5060;branch=z9hG4bKi%u\n"
        "Max-Forwards: 70\nFrom: <sip:2001@example.com>;tag=a\nTo: <sip:1001@example.com>\n"
        "Call-ID: i%u\nCSeq: 1 INVITE\nContact: <sip:2001@10.0.0.2:5060>\nContent-Length: 0\n\n",
        number, number);
    return text;
}

/* The caller takes a final response to invite_text(number) and acknowledges it. */
static void call_ends(struct rig *r, unsigned number, unsigned status, struct got *res)
{
    char ack[1024];
    rig_expect_status(r, CALLER, status, res);
    snprintf(ack, sizeof(ack),
             "ACK sip:1001@example.com SIP/2.0\nVia: %s\nMax-Forwards: 70\n"
             "From: <sip:2001@example.com>;tag=a\nTo: %.*s\nCall-ID: i%u\nCSeq: 1 ACK\n"
             "Content-Length: 0\n\n",
             rig_value(res, SIP_H_VIA, 0), SLICE_ARG(sip_value(&res->msg, SIP_H_TO)), number);
    rig_udp(r, CALLER, ack);
    rig_expect_none(r, NULL);
}

/* A call that is answered at once with 486; `got` is the INVITE that came to `at`. */
static void call(struct rig *r, const char *at)
{
    static unsigned number = 0;
    static struct got res;
    rig_udp(r, CALLER, invite_text(++number));
    rig_expect_method(r, at, "INVITE", &got);
    rig_udp(r, at, rig_response(&got, 486, "b", ""));
    rig_expect_method(r, at, "ACK", &res);
    call_ends(r, number, 486, &res);
}

static void call_refused(struct rig *r, unsigned status)
{
    static unsigned number = 5000;
    rig_udp(r, CALLER, invite_text(++number));
    call_ends(r, number, status, &got);
}

/* --- RFC 3261 10.3: bindings --- */

static void test_add_refresh_remove(void **state)
{
    (void)state;
    struct rig r;
    rig_open(&r, OPEN);
    call_refused(&r, 404);
    ask(&r, &(struct ask){.contact = "\"A\" <sip:1001@10.0.0.7:5060>;foo=\"b,c\";expires=100"},
        200);
    expect_contacts(1, "<sip:1001@10.0.0.7:5060>;foo=\"b,c\";expires=100");
    char date[64];
    struct tm tm;
    time_t now = (time_t)((r.wall + net_now(r.loop)) / 1000);
    strftime(date, sizeof(date), "%a, %d %b %Y %H:%M:%S GMT", gmtime_r(&now, &tm));
    assert_true(slice_eq(sip_value(&got.msg, SIP_H_DATE), slice_str(date)));
    call(&r, PHONE);
    assert_string_equal(rig_uri(&got), "sip:1001@10.0.0.7:5060");
    fake_advance(r.loop, 40000);
    /* A query changes nothing. */
    ask(&r, &(struct ask){.contact = ""}, 200);
    expect_contacts(1, "<sip:1001@10.0.0.7:5060>;foo=\"b,c\";expires=60");
    /* The same address, otherwise written (RFC 3261 19.1.4). */
    ask(&r, &(struct ask){.contact = "<SIP:%31001@10.0.0.7:5060>;q=0.25", .more = "Expires: 300\n"},
        200);
    expect_contacts(1, "<SIP:%31001@10.0.0.7:5060>;q=0.250;expires=300");
    fake_advance(r.loop, 299000);
    ask(&r, &(struct ask){.contact = ""}, 200);
    expect_contacts(1, "<SIP:%31001@10.0.0.7:5060>;q=0.250;expires=1");
    fake_advance(r.loop, 1000);
    ask(&r, &(struct ask){.contact = ""}, 200);
    expect_contacts(0, NULL);
    call_refused(&r, 404);
    ask(&r, &(struct ask){0}, 200);
    expect_contacts(1, "<sip:1001@10.0.0.7:5060>;expires=3600");
    ask(&r, &(struct ask){.contact = "<sip:1001@10.0.0.7:5060>;expires=0"}, 200);
    expect_contacts(0, NULL);
    assert_int_equal(rig_counter(&r, CTR_REGISTER_OK), 7);
    assert_int_equal(rig_counter(&r, CTR_REGISTER_REFUSED), 0);
    rig_close(&r);
}

static void test_several_contacts(void **state)
{
    (void)state;
    struct rig r;
    rig_open(&r, OPEN "registrar-max-contacts = 3\n");
    ask(&r,
        &(struct ask){.contact = "<sip:a@10.0.0.7>;q=0.1, <sip:b@10.0.0.7>;q=0.9",
                      .more = "m: sip:c@10.0.0.7;q=0.5;expires=90\n"},
        200);
    expect_contacts(3, "<sip:b@10.0.0.7>;q=0.900;expires=3600");
    assert_string_equal(rig_value(&got, SIP_H_CONTACT, 1), "<sip:c@10.0.0.7>;q=0.500;expires=90");
    assert_string_equal(rig_value(&got, SIP_H_CONTACT, 2), "<sip:a@10.0.0.7>;q=0.100;expires=3600");
    ask(&r, &(struct ask){.contact = "<sip:d@10.0.0.7>"}, 403);
    expect_reason("Too Many Contacts");
    /* Room is made in the same request. */
    ask(&r, &(struct ask){.contact = "<sip:a@10.0.0.7>;expires=0, <sip:d@10.0.0.7>"}, 200);
    expect_contacts(3, "<sip:d@10.0.0.7>;expires=3600");
    ask(&r,
        &(struct ask){.contact = "<sip:1@h>,<sip:2@h>,<sip:3@h>,<sip:4@h>,<sip:5@h>,<sip:6@h>,"
                                 "<sip:7@h>"},
        403);
    rig_close(&r);
}

/* Step 6. */
static void test_star(void **state)
{
    (void)state;
    struct rig r;
    rig_open(&r, OPEN);
    ask(&r, &(struct ask){.contact = "<sip:a@10.0.0.7>, <sip:b@10.0.0.7>"}, 200);
    ask(&r, &(struct ask){.contact = "*"}, 400);
    ask(&r, &(struct ask){.contact = "*", .more = "Expires: 10\n"}, 400);
    expect_reason("* Needs Expires: 0");
    ask(&r, &(struct ask){.contact = "*, <sip:a@10.0.0.7>", .more = "Expires: 0\n"}, 400);
    ask(&r, &(struct ask){.contact = "<sip:a@10.0.0.7>", .more = "Contact: *\nExpires: 0\n"}, 400);
    ask(&r, &(struct ask){.contact = ""}, 200);
    expect_contacts(2, "<sip:a@10.0.0.7>;expires=3600");
    ask(&r, &(struct ask){.contact = "*", .more = "Expires: 0\n", .cseq = 1}, 500);
    ask(&r, &(struct ask){.contact = "*", .more = "Expires: 0\n"}, 200);
    expect_contacts(0, NULL);
    rig_close(&r);
}

/* Step 7: too brief, too long, and what is no number. */
static void test_expires(void **state)
{
    (void)state;
    struct rig r;
    rig_open(&r, OPEN "registrar-min-expires = 60\nregistrar-max-expires = 1000\n"
                      "registrar-default-expires = 500\n");
    ask(&r, &(struct ask){.more = "Expires: 59\n"}, 423);
    assert_int_equal(rig_heard(EV_REGISTER_REFUSED), 1);

    assert_string_equal(rig_value(&got, SIP_H_MIN_EXPIRES, 0), "60");
    ask(&r, &(struct ask){.contact = "<sip:a@h>;expires=100, <sip:b@h>;expires=1"}, 423);
    ask(&r, &(struct ask){.contact = ""}, 200);
    expect_contacts(0, NULL);
    ask(&r, &(struct ask){.more = "Expires: 60\n"}, 200);
    expect_contacts(1, "<sip:1001@10.0.0.7:5060>;expires=60");
    ask(&r, &(struct ask){.more = "Expires: 99999999999999\n"}, 200);
    expect_contacts(1, "<sip:1001@10.0.0.7:5060>;expires=1000");
    ask(&r, &(struct ask){.contact = "<sip:1001@10.0.0.7:5060>;expires=soon"}, 200);
    expect_contacts(1, "<sip:1001@10.0.0.7:5060>;expires=500");
    /* The parameter comes before the header. */
    ask(&r, &(struct ask){.contact = "<sip:1001@10.0.0.7:5060>;expires=70", .more = "Expires: 0\n"},
        200);
    expect_contacts(1, "<sip:1001@10.0.0.7:5060>;expires=70");
    rig_close(&r);
}

/* Nobody's minimum may be an hour or more. */
static void test_min_expires_of_hours(void **state)
{
    (void)state;
    struct rig r;
    rig_open(&r, OPEN "registrar-min-expires = 7000\nregistrar-max-expires = 9000\n");
    ask(&r, &(struct ask){.more = "Expires: 3599\n"}, 423);
    ask(&r, &(struct ask){.more = "Expires: 3600\n"}, 200);
    rig_close(&r);
}

/* Step 7: all or nothing. */
static void test_cseq(void **state)
{
    (void)state;
    struct rig r;
    rig_open(&r, OPEN);
    ask(&r, &(struct ask){.cseq = 1000}, 200);
    ask(&r, &(struct ask){.cseq = 1000, .contact = "<sip:new@h>, <sip:1001@10.0.0.7:5060>"}, 500);
    expect_reason("CSeq Not Higher");
    ask(&r, &(struct ask){.contact = ""}, 200);
    expect_contacts(1, "<sip:1001@10.0.0.7:5060>;expires=3600");
    ask(&r, &(struct ask){.cseq = 1, .call_id = "other"}, 200);
    ask(&r, &(struct ask){.cseq = 2, .call_id = "other"}, 200);
    rig_close(&r);
}

static void test_malformed(void **state)
{
    (void)state;
    struct rig r;
    rig_open(&r, OPEN);
    ask(&r, &(struct ask){.contact = "<sip:a@h"}, 400);
    ask(&r, &(struct ask){.contact = "<sip:a@h>;q=2"}, 400);
    expect_reason("Bad Contact q");
    ask(&r, &(struct ask){.contact = "<mailto:a@h>"}, 400);
    expect_reason("Contact Scheme Not Supported");
    ask(&r, &(struct ask){.contact = "<sip:@h>"}, 400);
    ask(&r, &(struct ask){.more = "Require: path, wishes, dreams\n"}, 420);
    assert_int_equal(rig_count(&got, SIP_H_UNSUPPORTED), 2);
    assert_string_equal(rig_value(&got, SIP_H_UNSUPPORTED, 1), "dreams");
    assert_int_equal(rig_counter(&r, CTR_REGISTER_REFUSED), 5);
    rig_close(&r);
}

/* --- who may --- */

/* A section lets its DN in from anywhere, but not one with a fixed contact and no password: else
 * the calls of a trunk could be taken by anybody. */
static void test_section_without_password(void **state)
{
    (void)state;
    struct rig r;
    rig_open(&r, "sip-domains = example.com\n[dn 1001]\ncontact = sip:10.0.0.9\n[dn 1002]\n"
                 "password = secret\ncontact = sip:10.0.0.9\n[dn 1004]\n");
    ask(&r, &(struct ask){0}, 403);
    expect_reason("Registration Not Open To This Address");
    ask(&r, &(struct ask){.user = "1002"}, 401);
    ask(&r, &(struct ask){.user = "1003"}, 404);
    ask(&r, &(struct ask){.user = "1004"}, 200);
    rig_close(&r);
    rig_open(&r, "sip-domains = example.com\nsip-authenticate = none\n[dn 1002]\n"
                 "password = secret\n");
    ask(&r, &(struct ask){.user = "1002"}, 200);
    rig_close(&r);
    rig_open(&r, OPEN "[dn 1001]\ncontact = sip:10.0.0.9\n");
    ask(&r, &(struct ask){0}, 200);
    rig_close(&r);
}

static void test_open_to(void **state)
{
    (void)state;
    struct rig r;
    rig_open(&r, "registrar-open-to = 10.0.0.8, 192.168.0.0/16\nsip-domains = example.com\n");
    ask(&r, &(struct ask){0}, 403);
    expect_reason("Registration Not Open To This Address");
    rig_udp(&r, "10.0.0.8:5060", text_of(&(struct ask){.via = "UDP 10.0.0.8:5060"}));
    rig_expect_status(&r, "10.0.0.8:5060", 200, &got);
    ask(&r, &(struct ask){.domain = "example.org"}, 404);
    expect_reason("Not An Address Of Ours");
    rig_close(&r);
}

static void test_with_sections(void **state)
{
    (void)state;
    struct rig r;
    rig_open(&r, OPEN "[dn 1001]\n[dn a b]\n");
    call_refused(&r, 480);
    ask(&r, &(struct ask){.user = "1002"}, 404);
    expect_reason("Unknown User");
    ask(&r, &(struct ask){0}, 200);
    /* Every domain of ours means the same DN; a name is unescaped. */
    ask(&r, &(struct ask){.domain = "10.0.0.1", .contact = ""}, 200);
    expect_contacts(1, "<sip:1001@10.0.0.7:5060>;expires=3600");
    ask(&r, &(struct ask){.user = "%31001", .contact = ""}, 200);
    expect_contacts(1, "<sip:1001@10.0.0.7:5060>;expires=3600");
    ask(&r, &(struct ask){.user = "a%20b"}, 200);
    rig_close(&r);
}

/* Credentials as an answer to the challenge in `got`; static buffer. */
static const char *credentials(const char *user, const char *password, enum sip_digest_alg alg)
{
    static char line[1024];
    char ha1[SIP_HA1_MAX], ha2[SIP_HA1_MAX], response[SIP_HA1_MAX], middle[128], nonce[64];
    const char *at = strstr(got.text, "nonce=\"");
    assert_non_null(at);
    snprintf(nonce, sizeof(nonce), "%.*s", (int)strcspn(at + 7, "\""), at + 7);
    sip_digest_ha1(alg, slice_str(user), SLICE("example.com"), slice_str(password), ha1);
    sip_digest_ha1(alg, SLICE("REGISTER"), SLICE("sip"), SLICE("example.com"), ha2);
    snprintf(middle, sizeof(middle), "%s:00000001:x:auth", nonce);
    sip_digest_ha1(alg, slice_str(ha1), slice_str(middle), slice_str(ha2), response);
    snprintf(line, sizeof(line),
             "Authorization: Digest username=\"%s\", realm=\"example.com\", nonce=\"%s\", "
             "uri=\"sip:example.com\", algorithm=%s, qop=auth, nc=00000001, cnonce=\"x\", "
             "response=\"%s\"\n",
             user, nonce, alg == SIP_DIGEST_MD5 ? "MD5" : "SHA-256", response);
    return line;
}

static void test_digest(void **state)
{
    (void)state;
    struct rig r;
    rig_open(&r, OPEN "[dn 1001]\npassword = secret\n");
    ask(&r, &(struct ask){0}, 401);
    assert_non_null(strstr(got.text, "WWW-Authenticate: Digest realm=\"example.com\", nonce="));
    assert_int_equal(rig_counter(&r, CTR_REGISTER_REFUSED), 0);
    ask(&r, &(struct ask){.more = credentials("1001", "secret", SIP_DIGEST_SHA256)}, 200);
    ask(&r, &(struct ask){.contact = ""}, 401);
    const char *line = credentials("1001", "secret", SIP_DIGEST_MD5);
    ask(&r, &(struct ask){.contact = "", .more = line}, 200);
    expect_contacts(1, "<sip:1001@10.0.0.7:5060>;expires=3600");
    /* A replay. */
    ask(&r, &(struct ask){.contact = "", .more = line}, 401);
    assert_non_null(strstr(got.text, "stale=true"));
    line = credentials("1001", "secret", SIP_DIGEST_MD5);
    fake_advance(r.loop, 300000);
    ask(&r, &(struct ask){.contact = "", .more = line}, 401);
    assert_non_null(strstr(got.text, "stale=true"));
    assert_int_equal(rig_counter(&r, CTR_AUTH_FAILED), 0);
    assert_int_equal(rig_counter(&r, CTR_AUTH_CHALLENGED), 4);
    ask(&r, &(struct ask){.more = credentials("1001", "wrong", SIP_DIGEST_MD5)}, 401);
    expect_reason("Wrong Credentials");
    ask(&r, &(struct ask){.more = credentials("1002", "secret", SIP_DIGEST_MD5)}, 403);
    expect_reason("Credentials Of Another User");
    ask(&r, &(struct ask){.more = "Authorization: Digest user\n"}, 400);
    assert_int_equal(rig_counter(&r, CTR_AUTH_FAILED), 2);
    rig_close(&r);
    rig_open(&r, OPEN "sip-authenticate = none\n[dn 1001]\npassword = secret\n");
    ask(&r, &(struct ask){0}, 200);
    rig_close(&r);
}

/* --- by which way a call goes --- */

static void test_way_udp(void **state)
{
    (void)state;
    struct rig r;
    rig_open(&r, OPEN);
    /* To the Contact, where that is the source address. */
    ask(&r, &(struct ask){.contact = "<sip:1001@10.0.0.7:7777>"}, 200);
    call(&r, "10.0.0.7:7777");
    /* To where it came from, where rport says so, or the Contact is another address. */
    ask(&r, &(struct ask){.contact = "*", .more = "Expires: 0\n"}, 200);
    ask(&r, &(struct ask){.contact = "<sip:1001@10.0.0.7:7777>", .via_end = ";rport"}, 200);
    call(&r, PHONE);
    assert_string_equal(rig_uri(&got), "sip:1001@10.0.0.7:7777");
    ask(&r, &(struct ask){.contact = "*", .more = "Expires: 0\n"}, 200);
    ask(&r, &(struct ask){.contact = "<sip:1001@192.168.1.9:7777>"}, 200);
    call(&r, PHONE);
    assert_string_equal(rig_uri(&got), "sip:1001@192.168.1.9:7777");
    rig_close(&r);
}

static struct fake_conn *register_tcp(struct rig *r, const struct ask *a)
{
    struct fake_conn *conn = fake_connect(r->loop, "10.0.0.7:40000", "10.0.0.1:5060");
    assert_non_null(conn);
    rig_tcp(conn, text_of(a));
    rig_expect_tcp(conn, &got);
    if (got.msg.status != 200)
        fail_msg("%s", got.text);
    return conn;
}

/* By the connection of the REGISTER; when that has gone, to the device's own address, whatever its
 * Contact says. */
static void test_way_tcp(void **state)
{
    (void)state;
    struct rig r;
    rig_open(&r, OPEN);
    struct fake_conn *conn =
        register_tcp(&r, &(struct ask){.contact = "<sip:1001@192.168.1.9:5070;transport=tcp>",
                                       .via = "TCP 192.168.1.9:5080"});
    rig_udp(&r, CALLER, invite_text(9001));
    rig_expect_tcp(conn, &got);
    assert_string_equal(rig_uri(&got), "sip:1001@192.168.1.9:5070;transport=tcp");
    rig_tcp(conn, rig_response(&got, 486, "b", ""));
    call_ends(&r, 9001, 486, &got);
    fake_fin(conn);
    fake_run(r.loop);
    fake_set_peer(r.loop, "10.0.0.7:5070", FAKE_REFUSE);
    rig_udp(&r, CALLER, invite_text(9002));
    fake_advance(r.loop, 1000);
    assert_int_equal(fake_opens(r.loop, "10.0.0.7:5070"), 1);
    assert_int_equal(fake_opens(r.loop, "10.0.0.7:5080"), 1); /* the Via's port */
    assert_int_equal(fake_opens(r.loop, "192.168.1.9"), 0);
    conn = fake_opened(r.loop, "10.0.0.7:5080", 0);
    assert_non_null(conn);
    rig_expect_tcp(conn, &got);
    rig_tcp(conn, rig_response(&got, 486, "b", ""));
    rig_expect_status(&r, CALLER, 100, &got);
    call_ends(&r, 9002, 486, &got);
    rig_close(&r);
}

/* Out of service ends by registering. */
static void test_back_in_service(void **state)
{
    (void)state;
    struct rig r;
    rig_open(&r, OPEN);
    ask(&r, &(struct ask){0}, 200);
    assert_true(
        dn_set_out_of_service(r.shared.dir, SLICE("1001"), ERR_TIMEOUT, r.wall + net_now(r.loop)));
    call_refused(&r, 480);
    expect_reason("Out Of Service");
    ask(&r, &(struct ask){.contact = ""}, 200);
    call_refused(&r, 480);
    ask(&r, &(struct ask){0}, 200);
    assert_int_equal(rig_counter(&r, CTR_DN_BACK), 1);
    call(&r, PHONE);
    rig_close(&r);
}

/* --- RFC 3327 --- */

#define TWO_HOPS "\nVia: SIP/2.0/UDP 10.9.9.9;branch=z9hG4bKp"

static void test_path(void **state)
{
    (void)state;
    struct rig r;
    rig_open(&r, OPEN);
    ask(&r,
        &(struct ask){.contact = "<sip:1001@10.9.9.9>",
                      .via_end = TWO_HOPS,
                      .more = "Path: <sip:tok@10.0.0.7;lr>, <sip:10.0.0.6;lr>\n"},
        421);
    assert_string_equal(rig_value(&got, SIP_H_REQUIRE, 0), "path");
    ask(&r,
        &(struct ask){
            .contact = "<sip:1001@10.9.9.9>",
            .via_end = TWO_HOPS,
            .more = "Path: <sip:tok@10.0.0.7;lr>,\n <sip:10.0.0.6;lr>\nSupported: path\n"},
        200);
    assert_string_equal(rig_value(&got, SIP_H_PATH, 0), "<sip:tok@10.0.0.7;lr>");
    assert_string_equal(rig_value(&got, SIP_H_PATH, 1), "<sip:10.0.0.6;lr>");
    call(&r, PHONE);
    assert_string_equal(rig_uri(&got), "sip:1001@10.9.9.9");
    assert_string_equal(rig_value(&got, SIP_H_ROUTE, 0), "<sip:tok@10.0.0.7;lr>");
    assert_string_equal(rig_value(&got, SIP_H_ROUTE, 1), "<sip:10.0.0.6;lr>");
    ask(&r, &(struct ask){.more = "Path: sip:x\nSupported: path\n"}, 400);
    rig_close(&r);
}

/* Behind a proxy that writes no Path the source is that proxy: the Contact is what there is. */
static void test_hops_without_path(void **state)
{
    (void)state;
    struct rig r;
    rig_open(&r, OPEN);
    ask(&r, &(struct ask){.contact = "<sip:1001@10.9.9.9:5060>", .via_end = TWO_HOPS}, 200);
    call(&r, "10.9.9.9:5060");
    rig_close(&r);
}

#define NO_RELAY "registrar-open-to = 10.0.0.0/8\nsip-domains = example.com, 10.0.0.1\n"

/* Whoever may register, and not relay, must not have a call to its own number relayed: it is
 * reached where the REGISTER came from, whatever Vias, Contact and Path say. */
static void test_binding_leads_to_its_source(void **state)
{
    (void)state;
    struct rig r;
    rig_open(&r, NO_RELAY);
    ask(&r, &(struct ask){.contact = "<sip:1001@10.9.9.9:5060>", .via_end = TWO_HOPS}, 200);
    call(&r, PHONE);
    assert_string_equal(rig_uri(&got), "sip:1001@10.9.9.9:5060");
    ask(&r, &(struct ask){.more = "Path: <sip:10.9.9.9;lr>, <sip:10.0.0.7;lr>\nSupported: path\n"},
        403);
    expect_reason("Path Not Accepted From This Address");
    ask(&r, &(struct ask){.more = "Path: <sip:relay.example;lr>\nSupported: path\n"}, 403);
    ask(&r, &(struct ask){.more = "Path: <sip:10.0.0.7;maddr=10.9.9.9;lr>\nSupported: path\n"},
        403);
    call(&r, PHONE);
    ask(&r,
        &(struct ask){.contact = "<sip:1001@10.9.9.9:5060>",
                      .via_end = TWO_HOPS,
                      .more = "Path: <sip:e@10.0.0.7;lr>, <sip:10.9.9.9;lr>\nSupported: path\n"},
        200);
    call(&r, PHONE);
    assert_string_equal(rig_value(&got, SIP_H_ROUTE, 0), "<sip:e@10.0.0.7;lr>");
    rig_close(&r);
}

static void expect_row(const struct rig *r, const char *want)
{
    static struct rows rows;
    const struct row_sink sink = rows_begin(&rows);
    dn_rows(r->shared.dir, r->wall + net_now(r->loop), &sink);
    if (!rows_have(&rows, want))
        fail_msg("no %s in\n%s", want, rows.text);
}

/* The way to it is one thing, and where the REGISTER came from is another. */
static void test_rows_tell_way_and_source(void **state)
{
    (void)state;
    struct rig r;
    rig_open(&r, OPEN);
    rig_udp(&r, "10.0.0.7:40001", text_of(&(struct ask){0}));
    rig_expect_status(&r, PHONE, 200, &got);
    expect_row(&r, " transport=udp remote=10.0.0.7:5060 source=10.0.0.7:40001 ");
    (void)register_tcp(&r, &(struct ask){.user = "1002",
                                         .contact = "<sip:1002@10.0.0.7:5070;transport=tcp>",
                                         .via = "TCP 10.0.0.7:5070"});
    expect_row(&r, " transport=tcp remote=10.0.0.7:5070 source=10.0.0.7:40000 connection=");
    ask(&r,
        &(struct ask){.user = "1003",
                      .contact = "<sip:1003@10.9.9.9>",
                      .via_end = TWO_HOPS,
                      .more = "Path: <sip:10.0.0.7;lr>\nSupported: path\n"},
        200);
    expect_row(&r, " transport=udp remote=\"\" source=10.0.0.7:5060 connection=\"\" ");
    /* The last one counts. */
    rig_udp(&r, "10.0.0.8:40009", text_of(&(struct ask){0}));
    rig_expect_status(&r, "10.0.0.8:5060", 200, &got);
    expect_row(&r, " source=10.0.0.8:40009 ");
    rig_close(&r);
}

/* --- RFC 5626 section 6 --- */

#define FLOW(contact, reg_id) contact INSTANCE ";reg-id=" reg_id

static void test_outbound(void **state)
{
    (void)state;
    struct rig r;
    rig_open(&r, OPEN "registrar-flow-timer = 120\n");
    ask(&r,
        &(struct ask){.contact = FLOW("<sip:1001@10.0.0.7:7777>", "1"),
                      .more = "Supported: path, outbound\n"},
        200);
    assert_string_equal(rig_value(&got, SIP_H_REQUIRE, 0), "outbound");
    assert_string_equal(rig_value(&got, SIP_H_FLOW_TIMER, 0), "120");
    expect_contacts(1, "<sip:1001@10.0.0.7:7777>" INSTANCE ";reg-id=1;expires=3600");
    call(&r, PHONE); /* its flow, not its Contact */
    ask(&r,
        &(struct ask){.contact = FLOW("<sip:1001@10.0.0.7:7777>", "2"),
                      .more = "Supported: outbound\n"},
        200);
    assert_int_equal(rig_count(&got, SIP_H_CONTACT), 2);
    /* The same flow after a reboot, with another Contact and Call-ID. */
    ask(&r,
        &(struct ask){.contact = FLOW("<sip:1001@10.0.0.7:8888>", "1"),
                      .call_id = "reboot",
                      .more = "Supported: outbound\n"},
        200);
    assert_int_equal(rig_count(&got, SIP_H_CONTACT), 2);
    rig_close(&r);
}

static void test_outbound_ignored(void **state)
{
    (void)state;
    struct rig r;
    rig_open(&r, OPEN);
    /* Without an instance; without Supported: outbound; with reg-id 0. */
    ask(&r, &(struct ask){.contact = "<sip:a@10.0.0.7>;reg-id=1", .more = "Supported: outbound\n"},
        200);
    assert_int_equal(rig_count(&got, SIP_H_REQUIRE), 0);
    assert_int_equal(rig_count(&got, SIP_H_FLOW_TIMER), 0);
    ask(&r, &(struct ask){.contact = FLOW("<sip:a@10.0.0.7>", "1")}, 200);
    assert_int_equal(rig_count(&got, SIP_H_REQUIRE), 0);
    ask(&r,
        &(struct ask){.contact = FLOW("<sip:a@10.0.0.7>", "0"), .more = "Supported: outbound\n"},
        200);
    assert_int_equal(rig_count(&got, SIP_H_REQUIRE), 0);
    assert_int_equal(rig_count(&got, SIP_H_CONTACT), 1);
    rig_close(&r);
}

/* The first proxy, whose Path is the last, has to keep the flow. */
static void test_outbound_by_edge(void **state)
{
    (void)state;
    struct rig r;
    rig_open(&r, OPEN);
    ask(&r,
        &(struct ask){.contact = FLOW("<sip:a@10.9.9.9>", "1"),
                      .via_end = TWO_HOPS,
                      .more = "Supported: outbound, path\nPath: <sip:x@10.0.0.7;lr;ob>, "
                              "<sip:y@10.0.0.6;lr>\n"},
        439);
    expect_reason("First Hop Lacks Outbound Support");
    ask(&r,
        &(struct ask){.contact = FLOW("<sip:a@10.9.9.9>", "1"),
                      .via_end = TWO_HOPS,
                      .more = "Supported: outbound, path\n"},
        439);
    ask(&r,
        &(struct ask){.contact = FLOW("<sip:a@10.9.9.9>", "1"),
                      .via_end = TWO_HOPS,
                      .more = "Supported: outbound, path\nPath: <sip:x@10.0.0.7;lr>, "
                              "<sip:y@10.0.0.6;lr;ob>\n"},
        200);
    assert_string_equal(rig_value(&got, SIP_H_REQUIRE, 0), "outbound");
    assert_int_equal(rig_count(&got, SIP_H_FLOW_TIMER), 0);
    rig_close(&r);
}

/* --- room --- */

/* Sixteen are kept for those who repeat them; one more is refused, and counted once. */
static void test_no_room(void **state)
{
    (void)state;
    struct rig r;
    rig_open(&r, OPEN "max-transactions = 16\n");
    for (unsigned i = 0; i < 16; i++)
        ask(&r, &(struct ask){0}, 200);
    ask(&r, &(struct ask){0}, 503);
    assert_int_equal(rig_count(&got, SIP_H_RETRY_AFTER), 1);
    assert_int_equal(rig_counter(&r, CTR_TXN_TABLE_FULL), 1);
    rig_close(&r);
}

/* --- memory --- */

/* Whatever fails: all bindings or none, and a 200 only when they are there. */
static void test_no_memory(void **state)
{
    (void)state;
    bool failed = true;
    for (uint64_t n = 1; failed && n < 1000; n++) {
        struct rig r;
        struct fake_datagram d;
        rig_open(&r, OPEN);
        const char *text = text_of(
            &(struct ask){.contact = FLOW("<sip:a@10.0.0.7>", "1") ", <sip:b@10.0.0.7>;q=0.5",
                          .more = "Supported: outbound, path\nPath: <sip:p@10.0.0.7;lr>\n"});
        mem_fail_at(n);
        rig_udp(&r, PHONE, text);
        failed = mem_failed();
        mem_fail_at(0);
        unsigned there = dn_bindings(r.shared.dir);
        assert_true(there == 2 || (failed && there == 0));
        bool is_ok = fake_take_datagram(r.loop, PHONE, &d) &&
                     slice_starts(d.bytes, SLICE("SIP/2.0 200 "));
        assert_true(is_ok ? there == 2 : failed);
        rig_close(&r);
    }
    assert_false(failed);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_add_refresh_remove),
        cmocka_unit_test(test_several_contacts),
        cmocka_unit_test(test_star),
        cmocka_unit_test(test_expires),
        cmocka_unit_test(test_min_expires_of_hours),
        cmocka_unit_test(test_cseq),
        cmocka_unit_test(test_malformed),
        cmocka_unit_test(test_open_to),
        cmocka_unit_test(test_section_without_password),
        cmocka_unit_test(test_with_sections),
        cmocka_unit_test(test_digest),
        cmocka_unit_test(test_way_udp),
        cmocka_unit_test(test_way_tcp),
        cmocka_unit_test(test_back_in_service),
        cmocka_unit_test(test_path),
        cmocka_unit_test(test_hops_without_path),
        cmocka_unit_test(test_binding_leads_to_its_source),
        cmocka_unit_test(test_rows_tell_way_and_source),
        cmocka_unit_test(test_outbound),
        cmocka_unit_test(test_outbound_ignored),
        cmocka_unit_test(test_outbound_by_edge),
        cmocka_unit_test(test_no_room),
        cmocka_unit_test(test_no_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
