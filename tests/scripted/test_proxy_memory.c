/* SPDX-License-Identifier: Apache-2.0 */
/* Whole calls in which the n-th allocation fails, for every n: no crash, nothing left behind, and
 * the caller, who repeats what is not answered, has a final response to everything. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

#include "base/alloc.h"
#include "calls.h"

#define STEP_MS 50
#define END_MS  70000
#define CONNS   4

/* A caller and a phone that behave, whatever becomes of the messages. */
struct robot {
    struct rig r;
    struct fake_conn *conn; /* of a phone by TCP, by which it has registered; NULL: by UDP */
    bool cancels, is_relayed;
    /* caller */
    unsigned final;  /* of the INVITE */
    unsigned bye;    /* final response to the BYE */
    unsigned cancel; /* final response to the CANCEL */
    bool is_heard;   /* a response came */
    char routes[1024], contact[256];
    uint64_t next, interval;
    /* phone */
    bool is_answered, is_acked, is_cancelled;
    struct got invite;
    struct fake_conn *invite_by;
    uint64_t next_200;
};

static struct robot b;

static struct say invite(void)
{
    return (struct say){.uri = b.is_relayed ? "sip:bob@phone.invalid" : "sip:1001@10.0.0.1",
                        .branch = "i1"};
}

/* --- phone --- */

static void phone_says(struct fake_conn *by, const struct got *req, unsigned status,
                       const char *extra)
{
    const char *text = rig_response(req, status, "t", extra);
    if (by != NULL && fake_is_open(by))
        rig_tcp(by, text);
    else if (by == NULL)
        rig_udp(&b.r, PHONE, text);
}

static void phone_answers(void)
{
    phone_says(b.invite_by, &b.invite, 200,
               b.conn != NULL ? "Contact: <sip:1001@10.0.0.3:5060;transport=tcp>\n"
                              : "Contact: <sip:1001@10.0.0.3:5060>\n");
    b.next_200 = now_ms(&b.r) + 500;
}

static void copy_got(struct got *to, const struct got *from)
{
    *to = *from;
    to->msg.base = to->text;
    to->msg.hdrs = to->hdrs;
}

static void phone_rings(const struct got *m, struct fake_conn *by)
{
    copy_got(&b.invite, m);
    b.invite_by = by;
    if (b.is_cancelled) {
        phone_says(by, m, 487, "");
        return;
    }
    phone_says(by, m, 180, "");
    b.is_answered = !b.cancels;
    if (b.is_answered && !b.is_acked)
        phone_answers();
}

static void phone_takes(const struct got *m, struct fake_conn *by)
{
    if (!m->msg.is_request)
        return;
    if (m->msg.method == SIP_ACK) {
        b.is_acked = true;
    } else if (m->msg.method == SIP_CANCEL) {
        b.is_cancelled = true;
        phone_says(by, m, 200, "");
        phone_says(b.invite_by, &b.invite, 487, "");
    } else if (m->msg.method == SIP_INVITE) {
        phone_rings(m, by);
    } else {
        phone_says(by, m, 200, "");
    }
}

/* --- caller --- */

static void caller_acks(const struct got *m)
{
    if (m->msg.status >= 300) {
        struct say w = invite();
        ack_udp(&b.r, CALLER, &w);
        return;
    }
    snprintf(b.routes, sizeof(b.routes), "%s", route_set(m, true));
    struct slice contact = slice_str(rig_value(m, SIP_H_CONTACT, 0));
    snprintf(b.contact, sizeof(b.contact), "%.*s", (int)contact.len - 2, contact.ptr + 1);
    say_udp(&b.r, CALLER,
            &(struct say){.method = "ACK",
                          .uri = b.contact,
                          .branch = "k1",
                          .to = "<sip:1001@10.0.0.1>;tag=t",
                          .extra = b.routes});
}

static void caller_takes(const struct got *m)
{
    if (m->msg.is_request)
        return;
    unsigned status = m->msg.status;
    if (m->msg.cseq_method == SIP_INVITE) {
        b.is_heard = true;
        if (status >= 200) {
            b.final = status;
            b.next = now_ms(&b.r);
            b.interval = 500;
            caller_acks(m);
        }
    } else if (status >= 200 && m->msg.cseq_method == SIP_BYE) {
        b.bye = status;
    } else if (status >= 200 && m->msg.cseq_method == SIP_CANCEL) {
        b.cancel = status;
    }
}

/* Sends, or repeats, what is not answered. */
static void caller_turn(void)
{
    struct say w = invite();
    if (now_ms(&b.r) < b.next)
        return;
    b.next = now_ms(&b.r) + b.interval;
    b.interval = b.interval < 4000 ? b.interval * 2 : 4000;
    if (b.final == 0 && !b.is_heard) {
        say_udp(&b.r, CALLER, &w);
    } else if (b.cancels && b.is_heard && b.cancel == 0 && b.final == 0) {
        cancel_udp(&b.r, CALLER, &w);
    } else if (b.final == 200 && b.bye == 0) {
        say_udp(&b.r, CALLER,
                &(struct say){.method = "BYE",
                              .uri = b.contact,
                              .branch = "b1",
                              .cseq = 2,
                              .to = "<sip:1001@10.0.0.1>;tag=t",
                              .extra = b.routes});
    }
}

/* --- both --- */

static bool parse(struct slice bytes, bool is_stream, struct got *m)
{
    struct sip_fault fault;
    assert_true(bytes.len < sizeof(m->text));
    memcpy(m->text, bytes.ptr, bytes.len);
    m->text[bytes.len] = '\0';
    return sip_msg_parse(&m->msg, m->text, bytes.len, is_stream, m->hdrs, SIP_HDRS_MAX,
                         &sip_limits_default, &fault) == 0;
}

static void deliver(void)
{
    static struct got m;
    struct fake_datagram d;
    struct slice bytes;
    struct fake_conn *conns[CONNS] = {b.conn};
    for (unsigned i = 1; i < CONNS; i++)
        conns[i] = fake_opened(b.r.loop, PHONE, i - 1);
    while (fake_take_datagram(b.r.loop, CALLER, &d))
        if (parse(d.bytes, false, &m))
            caller_takes(&m);
    while (fake_take_datagram(b.r.loop, PHONE, &d))
        if (parse(d.bytes, false, &m))
            phone_takes(&m, NULL);
    for (unsigned i = 0; i < CONNS; i++)
        while (conns[i] != NULL && fake_take_message(conns[i], &bytes))
            if (parse(bytes, true, &m))
                phone_takes(&m, conns[i]);
}

static void run(void)
{
    uint64_t start = now_ms(&b.r);
    b.next = start;
    b.interval = 500;
    while (now_ms(&b.r) - start < END_MS) {
        caller_turn();
        deliver();
        if (b.is_answered && !b.is_acked && now_ms(&b.r) >= b.next_200 &&
            now_ms(&b.r) - start < 32000)
            phone_answers();
        fake_advance(b.r.loop, STEP_MS);
        if (b.final != 0 && (b.final != 200 || b.bye != 0))
            break;
    }
}

/* `prepare` registers and breaks; `is_good`: is this what becomes of the call when nothing fails?
 */
static void sweep(const char *options, void (*prepare)(void), unsigned good)
{
    unsigned n = 0, good_ones = 0;
    bool has_failed = true;
    while (has_failed) {
        memset(&b, 0, sizeof(b));
        rig_open(&b.r, options);
        prepare();
        mem_fail_at(++n);
        run();
        has_failed = mem_failed();
        mem_fail_at(0);
        if (b.final == 0)
            fail_msg("allocation %u fails: no final response", n);
        if (b.final == 200 && b.bye == 0)
            fail_msg("allocation %u fails: BYE without an answer", n);
        if (!has_failed)
            assert_int_equal(b.final, good);
        good_ones += b.final == good;
        fake_advance(b.r.loop, 33000); /* a late 2xx is waited for so long */
        assert_int_equal(rig_calls(&b.r), 0);
        rig_close(&b.r);
    }
    /* Most failures are repaired by repetition. Without injection there is one run. */
    assert_true(n == 1 || n > 20);
    assert_true(good_ones * 2 > n);
}

/* --- the calls --- */

static void udp_phone(void)
{
    register_udp(&b.r, "1001", PHONE, "");
}

static void tcp_phone(void)
{
    b.conn = register_tcp(&b.r, "1001", "10.0.0.3", "");
    fake_advance(b.r.loop, 6000);
}

static void dead_tcp_phone(void)
{
    tcp_phone();
    fake_stall(b.conn, true);
}

static void rebooted_tcp_phone(void)
{
    tcp_phone();
    fake_forget(b.conn);
}

static void cancelling(void)
{
    udp_phone();
    b.cancels = true;
}

static void relayed(void)
{
    fake_set_host(b.r.loop, "phone.invalid", "10.0.0.3", 20);
    b.is_relayed = true;
}

#define ALIVE OPEN "sip-enable-tcp-keep-alive = true\n"

static void call_by_udp(void **state)
{
    (void)state;
    sweep(OPEN, udp_phone, 200);
}

static void call_to_tcp(void **state)
{
    (void)state;
    sweep(OPEN, tcp_phone, 200);
}

static void call_onto_a_dead_connection(void **state)
{
    (void)state;
    sweep(ALIVE, dead_tcp_phone, 200);
}

static void call_onto_a_reset_connection(void **state)
{
    (void)state;
    sweep(ALIVE, rebooted_tcp_phone, 200);
}

static void cancelled_call(void **state)
{
    (void)state;
    sweep(OPEN, cancelling, 487);
}

static void relayed_call(void **state)
{
    (void)state;
    sweep(OPEN, relayed, 200);
}

/* --- release --- */

/* A call is up; its phone, then its caller, is lost; or the administrator ends it. No record and no
 * transaction is left, whichever allocation fails. */
enum { PHONE_LOST, CALLER_LOST, RINGING_CALLER_LOST, ADMIN, ADMIN_RINGING, RELEASES };

static struct say invite_by_tcp(void)
{
    return (struct say){
        .branch = "i1", .transport = "TCP", .contact = "<sip:alice@10.0.0.2:5060;transport=tcp>"};
}

static void lose(unsigned how, struct fake_conn *caller)
{
    struct say info = {.method = "INFO",
                       .uri = "sip:1001@10.0.0.3:5060;transport=tcp",
                       .transport = "TCP",
                       .branch = "info",
                       .to = "<sip:1001@10.0.0.1>;tag=t",
                       .cseq = 2,
                       .extra = b.routes};
    if (how == PHONE_LOST) {
        fake_set_peer(b.r.loop, PHONE, FAKE_REFUSE);
        fake_forget(b.conn);
        say_tcp(caller, &info);
        return;
    }
    if (how == ADMIN || how == ADMIN_RINGING) {
        (void)proxy_release(worker_proxy(b.r.worker), SLICE("c1"), NULL);
        net_wake(b.r.loop);
        fake_run(b.r.loop);
        return;
    }
    fake_set_peer(b.r.loop, CALLER, FAKE_REFUSE);
    fake_forget(caller);
    answer_tcp(b.conn, &b.invite, how == RINGING_CALLER_LOST ? 183 : 200,
               "Contact: <sip:1001@10.0.0.3:5060;transport=tcp>\n");
}

/* The phone answers whatever comes, and repeats its 2xx until the ACK comes. */
static void robots_run(struct fake_conn *caller, unsigned how)
{
    static struct got m;
    struct slice bytes;
    for (unsigned i = 0; i < END_MS / STEP_MS; i++) {
        while (fake_take_message(b.conn, &bytes))
            if (parse(bytes, true, &m))
                phone_takes(&m, b.conn);
        while (fake_take_message(caller, &bytes))
            if (parse(bytes, true, &m) && m.msg.is_request)
                rig_tcp(caller, rig_response(&m, 200, "a", ""));
        if (how == CALLER_LOST && !b.is_acked && i % 10 == 0 && i < 600)
            answer_tcp(b.conn, &b.invite, 200, "Contact: <sip:1001@10.0.0.3:5060;transport=tcp>\n");
        fake_advance(b.r.loop, STEP_MS);
    }
}

static void sweep_release(unsigned how)
{
    static struct got m;
    bool has_failed = true;
    for (unsigned n = 1; has_failed; n++) {
        memset(&b, 0, sizeof(b));
        rig_open(&b.r, ALIVE);
        tcp_phone();
        struct fake_conn *caller = fake_connect(b.r.loop, "10.0.0.2:41000", PROXY);
        struct say w = invite_by_tcp();
        say_tcp(caller, &w);
        expect_tcp_method(b.conn, "INVITE", &m);
        copy_got(&b.invite, &m);
        b.invite_by = b.conn;
        bool is_up = how == PHONE_LOST || how == ADMIN;
        answer_tcp(b.conn, &b.invite, is_up ? 200 : 180,
                   "Contact: <sip:1001@10.0.0.3:5060;transport=tcp>\n");
        expect_tcp_status(caller, is_up ? 200 : 180, &m);
        snprintf(b.routes, sizeof(b.routes), "%s", route_set(&m, true));
        fake_advance(b.r.loop, 7000);
        b.is_cancelled = how == RINGING_CALLER_LOST || how == ADMIN_RINGING;
        mem_fail_at(n);
        lose(how, caller);
        has_failed = mem_failed();
        robots_run(caller, how);
        has_failed = has_failed || mem_failed();
        mem_fail_at(0);
        if (how == CALLER_LOST && !has_failed)
            assert_true(b.is_acked);
        if (has_failed && rig_calls(&b.r) != 0) {
            /* What told of the loss was itself lost; the next one is not. */
            lose(how, caller);
            robots_run(caller, how);
        }
        if (rig_calls(&b.r) != 0)
            fail_msg("release %u, allocation %u fails: a record is left", how, n);
        rig_close(&b.r);
    }
}

static void released_calls(void **state)
{
    (void)state;
    for (unsigned how = 0; how < RELEASES; how++)
        sweep_release(how);
}

/* --- single requests --- */

struct asked {
    const char *options;
    struct say what;
    void (*prepare)(void);
    unsigned good;  /* what it is answered with when nothing fails */
    unsigned phone; /* how every phone answers */
    const char *extra;
};

static unsigned answered_with(const struct asked *a)
{
    static struct got m;
    static const char *const phones[] = {PHONE, OTHER, THIRD};
    struct fake_datagram d;
    unsigned status = 0;
    for (unsigned i = 0; i < 3; i++)
        while (fake_take_datagram(b.r.loop, phones[i], &d))
            if (parse(d.bytes, false, &m) && m.msg.is_request && m.msg.method != SIP_ACK)
                answer_udp(&b.r, phones[i], &m, a->phone, a->extra);
    while (fake_take_datagram(b.r.loop, CALLER, &d))
        if (parse(d.bytes, false, &m) && m.msg.status >= 200)
            status = m.msg.status;
    return status;
}

/* Sent again every half second until it is answered. */
static unsigned ask(const struct asked *a)
{
    unsigned status = 0;
    for (unsigned i = 0; status == 0 && i < 1200; i++) {
        if (i % 10 == 0)
            say_udp(&b.r, CALLER, &a->what);
        status = answered_with(a);
        fake_advance(b.r.loop, STEP_MS);
    }
    return status;
}

static void sweep_request(const struct asked *a)
{
    bool has_failed = true;
    for (unsigned n = 1; has_failed; n++) {
        memset(&b, 0, sizeof(b));
        rig_open(&b.r, a->options);
        if (a->prepare != NULL)
            a->prepare();
        mem_fail_at(n);
        unsigned status = ask(a);
        has_failed = mem_failed();
        mem_fail_at(0);
        if (status == 0)
            fail_msg("allocation %u fails: no answer to %s", n, a->what.uri);
        if (!has_failed)
            assert_int_equal(status, a->good);
        if (a->what.method == NULL)
            ack_udp(&b.r, CALLER, &a->what);
        rig_close(&b.r);
    }
}

static void three_phones(void)
{
    register_udp(&b.r, "1001", PHONE, "");
    register_udp(&b.r, "1001", OTHER, "");
    register_udp(&b.r, "1001", THIRD, "");
}

static void far(void)
{
    fake_set_host(b.r.loop, "far.invalid", "10.0.0.3,10.0.0.4", 0);
}

static void refused_requests(void **state)
{
    (void)state;
    const struct asked rows[] = {
        {OPEN, {.uri = "gopher:x"}, NULL, 416, 0, ""},
        {OPEN, {.uri = "sip:x@10.0.0.3", .extra = "Proxy-Require: a, b\n"}, NULL, 420, 0, ""},
        {OPEN, {.uri = "sip:10.0.0.1", .method = "OPTIONS"}, NULL, 200, 0, ""},
        {OPEN,
         {.uri = "sip:10.0.0.1", .method = "OPTIONS", .extra = "Require: x\n"},
         NULL,
         420,
         0,
         ""},
        {"", {.uri = "sip:x@10.0.0.3"}, NULL, 403, 0, ""},
        {OPEN, {.uri = "sip:nobody@10.0.0.1"}, NULL, 404, 0, ""},
        {OPEN "sip-authenticate = all\n[dn alice]\ntype = extension\npassword = x\n",
         {.uri = "sip:x@10.0.0.3"},
         NULL,
         407,
         0,
         ""},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
        sweep_request(&rows[i]);
}

static void forked_requests(void **state)
{
    (void)state;
    const struct asked rows[] = {
        {OPEN, {.branch = "f"}, three_phones, 486, 486, ""},
        {OPEN,
         {.branch = "f"},
         three_phones,
         401,
         401,
         "WWW-Authenticate: Digest realm=\"a\", nonce=\"n\"\n"},
        {OPEN "fork = sequential\n", {.branch = "f"}, three_phones, 404, 404, ""},
        {OPEN, {.branch = "f", .method = "MESSAGE"}, three_phones, 200, 200, ""},
        {OPEN, {.branch = "f"}, three_phones, 603, 603, ""},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
        sweep_request(&rows[i]);
}

static void routed_requests(void **state)
{
    (void)state;
    static char large[2001];
    memset(large, 'x', sizeof(large) - 1);
    const struct asked rows[] = {
        {OPEN, {.uri = "sip:x@far.invalid;maddr=10.0.0.1"}, far, 486, 486, ""},
        {OPEN, {.uri = "sip:x@far.invalid", .method = "MESSAGE"}, far, 500, 503, ""},
        {OPEN,
         {.uri = "sip:10.0.0.1;lr", .extra = "Route: <sip:10.0.0.4>,<sip:x@10.0.0.3>\n"},
         NULL,
         486,
         486,
         ""},
        {OPEN, {.uri = "sip:x@10.0.0.3;transport=udp", .body = large}, NULL, 486, 486, ""},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
        sweep_request(&rows[i]);
}

/* The 2xx comes once, and there is no memory for it: then it is a 500 after 32 s and no ghost. */
static void only_copy_of_the_2xx(void **state)
{
    (void)state;
    const struct asked row = {OPEN, {.uri = "sip:x@10.0.0.3"}, NULL, 200, 200, ""};
    static struct got m;
    struct fake_datagram d;
    bool has_failed = true;
    unsigned given_up = 0;
    for (unsigned n = 1; has_failed; n++) {
        memset(&b, 0, sizeof(b));
        rig_open(&b.r, row.options);
        say_udp(&b.r, CALLER, &row.what);
        assert_true(fake_take_datagram(b.r.loop, PHONE, &d) && parse(d.bytes, false, &m));
        mem_fail_at(n);
        answer_udp(&b.r, PHONE, &m, 200, "");
        has_failed = mem_failed();
        mem_fail_at(0);
        unsigned status = answered_with(&row);
        if (status == 0) {
            fake_advance(b.r.loop, 31999);
            assert_int_equal(answered_with(&row), 0);
            fake_advance(b.r.loop, 1);
            status = answered_with(&row);
            given_up += status == 500;
        }
        /* 0: the datagram that was to go upstream is lost, as any may be. */
        assert_true(status == 200 || status == 500 || status == 0);
        ack_udp(&b.r, CALLER, &row.what);
        rig_close(&b.r);
        if (n == 1 && !has_failed)
            return; /* no injection in this build */
    }
    assert_int_equal(given_up, 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(call_by_udp),
        cmocka_unit_test(call_to_tcp),
        cmocka_unit_test(call_onto_a_dead_connection),
        cmocka_unit_test(call_onto_a_reset_connection),
        cmocka_unit_test(cancelled_call),
        cmocka_unit_test(relayed_call),
        cmocka_unit_test(released_calls),
        cmocka_unit_test(refused_requests),
        cmocka_unit_test(forked_requests),
        cmocka_unit_test(routed_requests),
        cmocka_unit_test(only_copy_of_the_2xx),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
