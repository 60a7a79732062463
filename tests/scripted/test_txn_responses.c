/* SPDX-License-Identifier: Apache-2.0 */
/* Responses whose connections die: RFC 3261 18.2.2, and recovery. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/log.h"
#include "scripted/stage.h"

static uint64_t count(struct stage *s, enum counter id)
{
    return counter_get(&s->counters, id);
}

/* --- responses -------------------------------------------------------------------------------- */

/* A client is connected and has sent a request. */
static struct fake_conn *client_asks(struct stage *s, const char *method)
{
    struct fake_conn *conn = fake_connect(s->loop, "10.0.0.9:40000", US);
    assert_non_null(conn);
    fake_send(conn, stage_request(s, method, "z9hG4bKask", "TCP"));
    expect_note(s, NOTE_NEW, 0);
    return conn;
}

static struct stage *server_setup(bool recover)
{
    struct stage *s = calloc(1, sizeof(*s));
    assert_non_null(s);
    stage_start(s, recover);
    return s;
}

static void server_done(struct stage *s)
{
    stage_stop(s);
    free(s);
}

/* RFC 3261 18.2.2: the connection is gone when the response is to be sent. */
static void test_response_on_dead_connection(void **state)
{
    struct stage *s = server_setup(false);
    struct fake_conn *conn = client_asks(s, "OPTIONS");
    (void)state;

    fake_reset(conn);
    advance(s, 100);
    assert_int_equal(stage_reply(s, s->server, 200), 0);
    advance(s, 100);
    expect_tcp(s, fake_opened(s->loop, UAC, 0), "SIP/2.0 200");
    server_done(s);
}

/* Written into a connection that turns out to be dead. */
static void response_is_resent(const char *method, unsigned status, bool reset)
{
    struct stage *s = server_setup(true);
    struct fake_conn *conn = client_asks(s, method);
    const char *begin = status == 200 ? "SIP/2.0 200" : "SIP/2.0 486";

    fake_stall(conn, !reset);
    if (reset)
        fake_forget(conn);
    assert_int_equal(stage_reply(s, s->server, status), 0);
    advance(s, reset ? 1 : 6000);
    struct fake_conn *second = fake_opened(s->loop, UAC, 0);
    expect_tcp(s, second, begin);
    no_tcp(s, second);
    assert_int_equal(count(s, CTR_RESPONSE_RESENT), 1);
    if (status == 486)
        fake_send(second, stage_request(s, "ACK", "z9hG4bKask", "TCP"));
    server_done(s);
}

static void test_response_is_resent(void **state)
{
    (void)state;
    response_is_resent("OPTIONS", 200, false);
    response_is_resent("OPTIONS", 200, true);
    response_is_resent("INVITE", 486, false);
    response_is_resent("INVITE", 486, true);
    response_is_resent("INVITE", 200, true);
}

/* Each copy is a line with what an operator asks for. */
static void test_copies_are_logged(void **state)
{
    int fd = memfd_create("log", MFD_CLOEXEC);
    char text[2048] = "";
    (void)state;

    assert_true(fd >= 0);
    struct stage *s = server_setup(true);
    log_setup(LOG_INFO, LOG_TEXT);
    log_set_fd(fd);
    fake_forget(client_asks(s, "OPTIONS"));
    assert_int_equal(stage_reply(s, s->server, 200), 0);
    advance(s, 1);
    expect_tcp(s, fake_opened(s->loop, UAC, 0), "SIP/2.0 200");
    server_done(s);
    log_set_fd(-1);
    log_setup(LOG_ERROR, LOG_TEXT);
    assert_true(pread(fd, text, sizeof(text) - 1, 0) > 0);
    close(fd);
    const char *line = strstr(text, "response sent again message=200 peer=10.0.0.9:");
    assert_non_null(line);
    assert_non_null(strstr(line, "cause=\"connection reset by peer\" call_id="));
    assert_non_null(strstr(line, " ms="));
}

/* Connections end all the time after a response: that is no reason to open one. */
static void test_response_is_not_resent(void **state)
{
    (void)state;
    for (unsigned how = 0; how < 4; how++) {
        struct stage *s = server_setup(true);
        struct fake_conn *conn = client_asks(s, how == 3 ? "INVITE" : "OPTIONS");

        assert_int_equal(stage_reply(s, s->server, how == 3 ? 486 : 200), 0);
        if (how == 0)
            fake_fin(conn); /* in good order */
        if (how == 1)
            advance(s, 2000);
        if (how == 2)
            advance(s, 6000);
        if (how == 3)
            fake_send(conn, stage_request(s, "ACK", "z9hG4bKask", "TCP"));
        fake_reset(conn);
        advance(s, 1000);
        assert_int_equal(fake_opens(s->loop, NULL), 0);
        assert_int_equal(count(s, CTR_RESPONSE_RESENT), 0);
        server_done(s);
    }
}

static void test_response_cannot_be_delivered(void **state)
{
    struct stage *s = server_setup(true);
    struct fake_conn *conn = client_asks(s, "INVITE");
    (void)state;

    fake_set_peer(s->loop, UAC, FAKE_REFUSE);
    fake_forget(conn);
    assert_int_equal(stage_reply(s, s->server, 486), 0);
    advance(s, 10);
    const struct note *n = expect_note(s, NOTE_UNACKED, s->notes[s->nread].value);
    assert_int_not_equal(n->value, ERR_TIMEOUT);
    advance(s, 32000); /* RFC 6026: the transaction stays until Timer H */
    expect_note(s, NOTE_UNACKED, ERR_TIMEOUT);
    server_done(s);
}

/* The connection could not be opened again where the flow led to; the Via's sent-by is the last
 * resort. */
static void test_response_falls_back_to_sent_by(void **state)
{
    struct stage *s = server_setup(true);
    struct fake_conn *conn = client_asks(s, "INVITE");
    struct flow_dest contact = stage_dest("10.0.0.9:6000", SIP_TCP);
    (void)state;

    contact.flow = txn_origin(s->txns, s->server)->flow;
    fake_set_peer(s->loop, "10.0.0.9:6000", FAKE_REFUSE);
    fake_stall(conn, true);
    assert_int_equal(stage_reply(s, s->server, 486), 0);
    stage_client(s, SIP_MESSAGE, &contact);
    advance(s, 4500);
    assert_int_equal(s->notes[s->nread].kind, NOTE_FAILED);
    s->nread++;
    struct fake_conn *second = fake_opened(s->loop, UAC, 0);
    expect_tcp(s, second, "SIP/2.0 486");
    fake_send(second, stage_request(s, "ACK", "z9hG4bKask", "TCP"));
    expect_note(s, NOTE_END, 0);
    quiet(s);
    server_done(s);
}

/* The same when both wait for one opening: what is refused is the address that was tried. */
static void test_response_waits_for_an_opening_that_fails(void **state)
{
    struct stage *s = server_setup(true);
    struct fake_conn *conn = client_asks(s, "INVITE");
    struct flow_dest contact = stage_dest("10.0.0.9:6000", SIP_TCP);
    (void)state;

    contact.flow = txn_origin(s->txns, s->server)->flow;
    fake_set_peer(s->loop, "10.0.0.9:6000", FAKE_REFUSE);
    fake_forget(conn);
    stage_client(s, SIP_MESSAGE, &contact);
    assert_int_equal(stage_reply(s, s->server, 486), 0);
    advance(s, 10);
    expect_note(s, NOTE_FAILED, -ECONNREFUSED);
    struct fake_conn *second = fake_opened(s->loop, UAC, 0);
    expect_tcp(s, second, "SIP/2.0 486");
    fake_send(second, stage_request(s, "ACK", "z9hG4bKask", "TCP"));
    server_done(s);
}

/* The client has noticed first, and asks again over a new connection. */
static void test_client_reconnects(void **state)
{
    static const unsigned statuses[] = {180, 486, 200};
    (void)state;
    for (size_t i = 0; i < 3; i++) {
        struct stage *s = server_setup(true);
        struct fake_conn *conn = client_asks(s, "INVITE");
        fake_stall(conn, true);
        assert_int_equal(stage_reply(s, s->server, statuses[i]), 0);
        struct fake_conn *other = fake_connect(s->loop, "10.0.0.9:40001", US);
        fake_send(other, stage_request(s, "INVITE", "z9hG4bKask", "TCP"));
        if (statuses[i] == 200)
            expect_note(s, NOTE_END, 0);
        quiet(s); /* absorbed */
        expect_tcp(s, other, "SIP/2.0 ");
        no_tcp(s, other);
        if (statuses[i] == 180) {
            assert_int_equal(stage_reply(s, s->server, 486), 0);
            expect_tcp(s, other, "SIP/2.0 486");
        }
        fake_send(other, stage_request(s, "ACK", "z9hG4bKask", "TCP"));
        advance(s, 10000);
        assert_int_equal(fake_opens(s->loop, NULL), 0);
        server_done(s);
    }
}

/* A 2xx comes again by another connection of the device, which says nothing of the one that the ACK
 * went into: that one stays suspect, and is replaced. */
static void test_repeated_success_heals_no_other_connection(void **state)
{
    static const char ack[] = "ACK sip:carol@10.0.0.2 SIP/2.0\r\nContent-Length: 0\r\n\r\n";
    struct stage *s = server_setup(true);
    struct flow_dest dest = stage_dest(UAS, SIP_TCP);
    char ok[2048];
    (void)state;

    struct fake_conn *conn = client_asks(s, "REGISTER");
    dest.flow = txn_origin(s->txns, s->server)->flow;
    assert_int_equal(stage_reply(s, s->server, 200), 0);
    expect_tcp(s, conn, "SIP/2.0 200");
    advance(s, 6000);
    expect_note(s, NOTE_END, 0);
    (void)stage_client(s, SIP_INVITE, &dest);
    expect_tcp(s, conn, "INVITE ");
    assert_true(slice_cstr(stage_answer(s, 200), ok, sizeof(ok)));
    fake_send(conn, slice_str(ok));
    expect_note(s, NOTE_RESPONSE, 200);
    fake_stall(conn, true);
    fake_set_connect_ms(s->loop, 300);
    struct fake_conn *other = fake_connect(s->loop, "10.0.0.9:41000", US);
    assert_int_equal(txn_send_stateless(s->txns, &dest, slice_str(ack), NULL, NULL, 0), 0);
    stage_turn(s);
    advance(s, 1100); /* tcp-reopen-delay is over, and another connection is being opened */
    expect_note(s, NOTE_LINGER, 0);
    fake_send(other, slice_str(ok));
    expect_note(s, NOTE_RESPONSE, 200);
    advance(s, 300);
    expect_tcp(s, fake_opened(s->loop, UAS, 0), "ACK ");
    server_done(s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_response_on_dead_connection),
        cmocka_unit_test(test_response_is_resent),
        cmocka_unit_test(test_copies_are_logged),
        cmocka_unit_test(test_response_is_not_resent),
        cmocka_unit_test(test_response_cannot_be_delivered),
        cmocka_unit_test(test_response_falls_back_to_sent_by),
        cmocka_unit_test(test_response_waits_for_an_opening_that_fails),
        cmocka_unit_test(test_client_reconnects),
        cmocka_unit_test(test_repeated_success_heals_no_other_connection),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
