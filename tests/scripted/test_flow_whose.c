/* SPDX-License-Identifier: Apache-2.0 */
/* A connection that cannot be opened, or opened again: whose device it led to, and which call was
 * lost with it, whichever worker has sent. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "scripted/wire.h"

#define PHONE   "10.0.0.3:5060"
#define REQUEST FLOW_SEND_REQUEST
#define AGAIN   (FLOW_SEND_REQUEST | FLOW_SEND_RESEND)

static struct wire w;
static struct flow_dest dest;
static struct fake_conn *conn;
static unsigned owner;

static int teardown(void **state)
{
    (void)state;
    wire_close(&w);
    return 0;
}

static const char *request(const char *call_id)
{
    static char text[1000];
    snprintf(text, sizeof(text),
             "OPTIONS sip:1001@10.0.0.3 SIP/2.0\r\n"
             "Via: SIP/2.0/TCP 10.0.0.1;branch=z9hG4bK1\r\n"
             "From: <sip:a@10.0.0.1>;tag=1\r\nTo: <sip:1001@10.0.0.1>\r\n"
             "Call-ID: %s\r\nCSeq: 1 OPTIONS\r\nMax-Forwards: 70\r\nContent-Length: 0\r\n\r\n",
             call_id);
    return text;
}

/* The turn does not end. */
static int post(unsigned worker, struct flow_dest *to, const char *dn, const char *call_id,
                unsigned flags)
{
    const char *text = request(call_id);
    struct flow_whose whose = {slice_str(dn), slice_str(call_id)};
    return flows_send_for(w.flows_of[worker], to, &whose, text, strlen(text), flags);
}

static void send_to(unsigned worker, const char *dn, const char *call_id)
{
    assert_int_equal(post(worker, &dest, dn, call_id, REQUEST), 0);
    wire_turn(&w);
}

static void begin(unsigned workers)
{
    wire_init(&w);
    w.nworkers = workers;
    wire_open(&w);
    conn = fake_connect(w.loop, "10.0.0.3", OURS);
    wire_request(conn, "TCP", "10.0.0.3:33000");
    owner = w.msgs[0].worker;
    dest = wire_dest(&w, PHONE, SIP_TCP, NULL);
    dest.flow = w.msgs[0].origin.flow;
}

/* One line has both. */
static void expect_line(const char *event, const char *rest)
{
    static char all[1 << 16];
    unsigned n = 0;
    ssize_t len = pread(w.log_fd, all, sizeof(all) - 1, 0);
    assert_true(len > 0);
    all[len] = '\0';
    for (char *save, *line = strtok_r(all, "\n", &save); line != NULL;
         line = strtok_r(NULL, "\n", &save))
        n += strstr(line, event) != NULL && strstr(line, rest) != NULL;
    if (n != 1)
        fail_msg("%u lines with \"%s\" and \"%s\"", n, event, rest);
}

/* --- not opened ------------------------------------------------------------------------------- */

static void refused(unsigned workers)
{
    unsigned elsewhere = 0;
    begin(workers);
    for (unsigned i = 0; i < 8; i++) {
        char to[32], call[32];
        snprintf(to, sizeof(to), "10.0.0.9:%u", 5070 + i);
        snprintf(call, sizeof(call), "lost-%u", i);
        fake_set_peer(w.loop, to, FAKE_REFUSE);
        struct flow_dest d = wire_dest(&w, to, SIP_TCP, NULL);
        assert_int_equal(post(0, &d, "1007", call, REQUEST), 0);
        elsewhere += d.flow >> 63 != 0;
        assert_int_equal(post(0, &d, "1007", "second", REQUEST), 0);
        wire_turn(&w);
    }
    assert_true(workers == 1 ? elsewhere == 0 : elsewhere != 0 && elsewhere != 8);
    fake_advance(w.loop, 10);
    assert_int_equal(wire_logged(&w, "event=41005"), 8);
    assert_int_equal(wire_logged(&w, " dn=1007 peer=10.0.0.9:"), 8);
    for (unsigned i = 0; i < 8; i++) {
        char rest[32];
        snprintf(rest, sizeof(rest), " lost=2 call_id=lost-%u", i);
        expect_line("event=41005", rest);
    }
    wire_close(&w);
}

static void what_is_not_opened(void **state)
{
    (void)state;
    refused(1);
    refused(2);
    begin(1);
}

/* Neither is made up. */
static void what_is_not_known(void **state)
{
    (void)state;
    begin(1);
    fake_set_peer(w.loop, "10.0.0.9:5060", FAKE_REFUSE);
    struct flow_dest d = wire_dest(&w, "10.0.0.9:5060", SIP_TCP, NULL);
    assert_int_equal(wire_send(&w, 0, &d, "x", REQUEST), 0);
    fake_advance(w.loop, 10);
    expect_line("event=41005", " lost=1");
    assert_int_equal(wire_logged(&w, "dn="), 0);
    assert_int_equal(wire_logged(&w, "call_id="), 0);
}

/* TLS 1.3: it seemed to be up, and what waited for it had been written. */
static void what_never_worked(void **state)
{
    (void)state;
    wire_init(&w);
    wire_profile(&w, "", false, true);
    wire_open(&w);
    fake_set_connect_ms(w.loop, 20);
    fake_set_peer(w.loop, "10.0.0.3:5061", FAKE_TLS_LATE);
    dest = wire_dest(&w, "10.0.0.3:5061", SIP_TLS, "a.example");
    send_to(0, "1001", "waited");
    fake_advance(w.loop, 100);
    expect_line("event=41005", " dn=1001 ");
    expect_line("event=41005", " lost=1 call_id=waited");
}

/* --- not opened again ------------------------------------------------------------------------- */

/* A request that nobody acknowledges, no second connection, and the first does not heal. */
static void suspected(unsigned workers, bool by_owner)
{
    begin(workers);
    unsigned from = by_owner ? owner : 1 - owner;
    fake_set_peer(w.loop, PHONE, FAKE_REFUSE);
    fake_stall(conn, true);
    send_to(from, "1001", "first");
    send_to(from, "1001", "second");
    fake_advance(w.loop, 5000);
    expect_line("event=41003", " dn=1001 ");
    expect_line("event=41003", " lost=2 call_id=first");
    wire_close(&w);
}

static void what_nobody_acknowledges(void **state)
{
    (void)state;
    suspected(1, true);
    suspected(2, true);
    suspected(2, false);
    begin(1);
}

/* The first has arrived. */
static void what_came_behind(void **state)
{
    (void)state;
    begin(1);
    fake_set_peer(w.loop, PHONE, FAKE_REFUSE);
    send_to(0, "1001", "first");
    fake_stall(conn, true);
    send_to(0, "1001", "second");
    send_to(0, "1001", "third");
    fake_advance(w.loop, 5000);
    expect_line("event=41003", " call_id=third");
}

static void a_long_call_id_is_cut(void **state)
{
    char call[201], kept[8 + 95 + 2] = "call_id=";
    (void)state;
    begin(1);
    fake_set_peer(w.loop, PHONE, FAKE_REFUSE);
    fake_stall(conn, true);
    memset(call, 'c', 200);
    call[200] = '\0';
    send_to(0, "1001", call);
    fake_advance(w.loop, 5000);
    memset(kept + 8, 'c', 95);
    expect_line("event=41003", kept);
    kept[8 + 95] = 'c';
    assert_int_equal(wire_logged(&w, kept), 0);
}

/* The opening that fails at once: what asks for it is lost too. */
static void resend(struct wire *x, unsigned worker, const struct flow_event *ev)
{
    (void)x;
    if (ev->kind == FLOW_DEAD)
        assert_int_equal(post(worker, &dest, "1001", "again", AGAIN), ERR_UNREACHABLE);
}

static void back_off(void)
{
    struct flow_dest d = wire_dest(&w, PHONE, SIP_TCP, NULL);
    fake_set_peer(w.loop, PHONE, FAKE_REFUSE);
    assert_int_equal(wire_send(&w, 0, &d, "x", 0), 0);
    fake_advance(w.loop, 1);
    assert_int_equal(wire_logged(&w, "event=41005"), 1);
}

static void what_is_refused_at_once(void **state)
{
    (void)state;
    begin(1);
    back_off();
    w.react = resend;
    send_to(0, "1001", "before");
    fake_reset(conn);
    fake_advance(w.loop, 10);
    expect_line("event=41003", " dn=1001 ");
    expect_line("event=41003", " lost=1 call_id=again");
}

/* The same where another worker has sent it before it was told that the connection is dead. */
static void what_was_held(void **state)
{
    (void)state;
    begin(2);
    back_off();
    unsigned other = 1 - owner;
    send_to(other, "1001", "before");
    assert_int_equal(post(other, &dest, "1001", "held", REQUEST), 0);
    fake_reset(conn);
    wire_turn(&w);
    fake_advance(w.loop, 10);
    expect_line("event=41003", " lost=1 call_id=held");
}

/* --- the label -------------------------------------------------------------------------------- */

/* A connection that was named keeps its DN; one that was found or opened gets that of its device.
 */
static void who_names_it(void **state)
{
    (void)state;
    begin(2);
    unsigned other = 1 - owner;
    send_to(other, "1001", "a");
    assert_true(wire_listed(&w, " dn=1001"));
    send_to(other, "1002", "b");
    assert_true(wire_listed(&w, " dn=1001"));
    send_to(owner, "", "c");
    assert_true(wire_listed(&w, " dn=1001"));
    struct flow_dest d = wire_dest(&w, "10.0.0.9:5060", SIP_TCP, NULL);
    for (unsigned i = 0; i < 2; i++) {
        d.flow = 0;
        assert_int_equal(post(i, &d, i == 0 ? "1003" : "1004", "d", REQUEST), 0);
        wire_turn(&w);
        assert_true(wire_listed(&w, i == 0 ? " dn=1003" : " dn=1004"));
    }
    assert_false(wire_listed(&w, " dn=1003"));
    assert_int_equal(fake_opens(w.loop, "10.0.0.9:5060"), 1);
}

#define T(f) cmocka_unit_test_teardown(f, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(what_is_not_opened),       T(what_is_not_known), T(what_never_worked),
        T(what_nobody_acknowledges), T(what_came_behind),  T(a_long_call_id_is_cut),
        T(what_is_refused_at_once),  T(what_was_held),     T(who_names_it),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
