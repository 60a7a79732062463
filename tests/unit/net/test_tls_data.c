/* SPDX-License-Identifier: Apache-2.0 */
/* Bytes over TLS: large, paused, acknowledged, and how a connection ends. */
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "net/tls_int.h"
#include "tls_rig.h"

#define RECORD_HEAD 5
#define RECORD_MORE 17 /* AES-GCM in TLS 1.3: the tag and the inner type */

static size_t want;

static bool server_has(void)
{
    return rig.server.nbytes >= want;
}

static bool client_has(void)
{
    return rig.client.nbytes >= want;
}

static char pattern(size_t i)
{
    return (char)(i * 7 + i / 251);
}

static uint64_t sum_of(size_t len)
{
    uint64_t sum = 0;
    for (size_t i = 0; i < len; i++)
        sum += (uint8_t)pattern(i) * (uint64_t)(i + 1);
    return sum;
}

/* Writes until our own queue holds at least `queued` bytes more than the kernel takes. */
static size_t fill(struct net_stream *s, size_t queued)
{
    static char piece[1 << 16];
    size_t written = 0;
    net_stream_set_max(s, 64u << 20);
    while (net_stream_queued(s) < queued && written < (64u << 20)) {
        for (size_t i = 0; i < sizeof(piece); i++)
            piece[i] = pattern(written + i);
        assert_int_equal(net_stream_write(s, piece, sizeof(piece)), 0);
        written += sizeof(piece);
        net_stream_flush_all(rig.t.loop);
    }
    assert_true(net_stream_queued(s) >= queued);
    return written;
}

/* More than all buffers hold, to a peer that does not read for a while: whole and in order. */
static void test_large_write_to_a_slow_reader(void **state)
{
    (void)state;
    for (unsigned i = 0; i < 2; i++) {
        rig_begin(NULL, NULL);
        if (i == 1)
            assert_int_equal(SSL_CTX_set_max_proto_version(rig.client_tls->ctx, TLS1_2_VERSION), 1);
        rig_up("localhost");
        net_stream_read_pause(rig.server.stream, true);
        size_t written = fill(rig.client.stream, 1 << 20);
        turn_idle(&rig.t, 10);
        assert_int_equal(rig.server.nbytes, 0);
        assert_true(net_stream_unacked(rig.client.stream) >= net_stream_queued(rig.client.stream));
        net_stream_read_pause(rig.server.stream, false);
        want = written;
        turn_until(&rig.t, server_has);
        assert_int_equal(rig.server.nbytes, written);
        assert_true(rig.server.sum == sum_of(written));
        assert_int_equal(net_stream_queued(rig.client.stream), 0);
        rig_end();
    }
}

/* --- what is acknowledged --------------------------------------------------------------------- */

static size_t in_kernel(const struct net_stream *s)
{
    int n = 0;
    assert_int_equal(ioctl(s->fd, FIONREAD, &n), 0);
    return (size_t)n;
}

static uint64_t wire_begin;

/* What was sent is either acknowledged, and then stands at the receiver, or it is not. */
static bool is_settled(void)
{
    const struct net_stream *c = rig.client.stream;
    return in_kernel(rig.server.stream) + net_tcp_unacked(c->fd) == c->tls->wire - wire_begin;
}

/* Plain bytes of the whole records that the receiver's kernel holds. */
static size_t plain_received(void)
{
    size_t len = in_kernel(rig.server.stream), plain = 0;
    unsigned char *all = malloc(len + 1);
    assert_non_null(all);
    assert_int_equal(recv(rig.server.stream->fd, all, len, MSG_PEEK), (ssize_t)len);
    for (size_t at = 0; at + RECORD_HEAD <= len;) {
        size_t body = (size_t)all[at + 3] << 8 | all[at + 4];
        at += RECORD_HEAD + body;
        if (at <= len)
            plain += body - RECORD_MORE;
    }
    free(all);
    return plain;
}

static void test_unacknowledged_bytes_are_exact(void **state)
{
    (void)state;
    rig_begin(NULL, NULL);
    assert_int_equal(SSL_CTX_set_ciphersuites(rig.client_tls->ctx, "TLS_AES_256_GCM_SHA384"), 1);
    rig_up("localhost");
    struct net_stream *c = rig.client.stream;
    assert_int_equal(net_stream_unacked(c), 0); /* the handshake does not count */
    net_stream_read_pause(rig.server.stream, true);
    turn_idle(&rig.t, 5);
    wire_begin = c->tls->wire - in_kernel(rig.server.stream) - net_tcp_unacked(c->fd);
    /* Small ones that all arrive: nothing of them is left. */
    size_t written = 0;
    for (unsigned i = 0; i < 20; i++) {
        assert_int_equal(net_stream_write(c, "some bytes", 10), 0);
        net_stream_flush_all(rig.t.loop);
        written += 10;
    }
    turn_until(&rig.t, is_settled);
    assert_int_equal(net_stream_unacked(c), written - plain_received());
    /* Then more than goes: a record counts until its last byte is acknowledged. */
    written += fill(c, 100000);
    turn_until(&rig.t, is_settled);
    size_t unacked = net_stream_unacked(c);
    assert_true(unacked > net_stream_queued(c));
    assert_int_equal(unacked, written - plain_received());
    net_stream_read_pause(rig.server.stream, false);
    want = written;
    turn_until(&rig.t, server_has);
    while (net_tcp_unacked(c->fd) != 0)
        turn_idle(&rig.t, 1);
    assert_int_equal(net_stream_unacked(c), 0);
    assert_null(c->tls->sent.more);
    rig_end();
}

/* --- reading ---------------------------------------------------------------------------------- */

static bool pause_inside;

static void on_data_pause(void *user, const char *data, size_t len)
{
    struct side *s = user;
    rig_events.on_data(user, data, len);
    if (pause_inside)
        net_stream_read_pause(s->stream, true);
}

/* Many records come at once and the reader stops after each one: none is lost. */
static void test_pause_after_each_record(void **state)
{
    struct net_stream_events pausing = rig_events;
    size_t before = 0;
    (void)state;
    pausing.on_data = on_data_pause;
    rig_begin(NULL, NULL);
    rig_up("localhost");
    net_stream_set(rig.server.stream, &pausing, &rig.server);
    net_stream_read_pause(rig.server.stream, true);
    for (unsigned i = 0; i < 50; i++) {
        assert_int_equal(net_stream_write(rig.client.stream, "record", 6), 0);
        net_stream_flush_all(rig.t.loop);
    }
    turn_idle(&rig.t, 5);
    pause_inside = true;
    for (unsigned i = 1; i <= 50; i++) {
        net_stream_read_pause(rig.server.stream, false);
        want = before + 6;
        turn_until(&rig.t, server_has);
        assert_int_equal(rig.server.nbytes, before + 6);
        before = rig.server.nbytes;
    }
    pause_inside = false;
    rig_end();
}

/* Keys are changed on a connection that is up, by both sides (RFC 8446 4.6.3). */
static void test_key_update(void **state)
{
    (void)state;
    rig_begin(NULL, NULL);
    rig_up("localhost");
    for (unsigned i = 1; i <= 3; i++) {
        assert_int_equal(SSL_key_update(rig.client.stream->tls->ssl, SSL_KEY_UPDATE_REQUESTED), 1);
        assert_int_equal(net_stream_write(rig.client.stream, "to", 2), 0);
        want = 2 * i;
        turn_until(&rig.t, server_has);
        assert_int_equal(net_stream_write(rig.server.stream, "fro", 3), 0);
        want = 3 * i;
        turn_until(&rig.t, client_has);
    }
    while (net_tcp_unacked(rig.client.stream->fd) != 0)
        turn_idle(&rig.t, 1);
    assert_int_equal(net_stream_unacked(rig.client.stream), 0);
    rig_end();
}

static void test_renegotiation_is_refused(void **state)
{
    (void)state;
    rig_begin(NULL, NULL);
    assert_int_equal(SSL_CTX_set_max_proto_version(rig.client_tls->ctx, TLS1_2_VERSION), 1);
    rig_up("localhost");
    SSL *ssl = rig.client.stream->tls->ssl;
    SSL_clear_options(ssl, SSL_OP_NO_RENEGOTIATION);
    assert_int_equal(SSL_renegotiate(ssl), 1);
    assert_int_equal(SSL_do_handshake(ssl), -1); /* its ClientHello has gone out */
    turn_until(&rig.t, rig_client_ended);
    if (rig.server.stream != NULL)
        assert_int_equal(SSL_num_renegotiations(rig.server.stream->tls->ssl), 0);
    assert_int_equal(rig_count(CTR_TLS_HANDSHAKES), 2);
    rig_end();
}

/* --- ends ------------------------------------------------------------------------------------- */

static void test_close_notify_after_data(void **state)
{
    (void)state;
    for (unsigned i = 0; i < 2; i++) {
        rig_begin(NULL, NULL);
        if (i == 1)
            assert_int_equal(SSL_CTX_set_max_proto_version(rig.client_tls->ctx, TLS1_2_VERSION), 1);
        rig_up("localhost");
        assert_int_equal(net_stream_write(rig.client.stream, "last words", 10), 0);
        net_stream_close(&rig.client.stream, false);
        turn_until(&rig.t, rig_server_ended);
        assert_int_equal(rig.server.err, ERR_CLOSED);
        assert_int_equal(rig.server.nbytes, 10);
        assert_memory_equal(rig.server.bytes, "last words", 10);
        rig_end();
    }
}

/* The server too; its ticket stands unread at the client when that closes. */
static void test_closed_by_the_server(void **state)
{
    (void)state;
    rig_begin(NULL, NULL);
    rig_up("localhost");
    assert_int_equal(net_stream_write(rig.server.stream, "bye", 3), 0);
    net_stream_close(&rig.server.stream, false);
    turn_until(&rig.t, rig_client_ended);
    assert_int_equal(rig.client.err, ERR_CLOSED);
    assert_memory_equal(rig.client.bytes, "bye", 3);
    rig_end();
}

static void test_unread_ticket_does_not_destroy_what_was_sent(void **state)
{
    (void)state;
    rig_begin(NULL, NULL);
    rig_up("localhost");
    net_stream_read_pause(rig.client.stream, true);
    assert_int_equal(net_stream_write(rig.server.stream, "unread", 6), 0);
    turn_idle(&rig.t, 5);
    net_stream_read_pause(rig.server.stream, true);
    assert_int_equal(net_stream_write(rig.client.stream, "last words", 10), 0);
    net_stream_close(&rig.client.stream, false);
    turn_idle(&rig.t, 5);
    net_stream_read_pause(rig.server.stream, false);
    turn_until(&rig.t, rig_server_ended);
    assert_int_equal(rig.server.err, ERR_CLOSED);
    assert_int_equal(rig.server.nbytes, 10);
    rig_end();
}

static void test_fin_without_close_notify(void **state)
{
    (void)state;
    rig_begin(NULL, NULL);
    rig_up("localhost");
    assert_int_equal(shutdown(rig.client.stream->fd, SHUT_WR), 0);
    turn_until(&rig.t, rig_server_ended);
    assert_int_equal(rig.server.err, ERR_CLOSED);
    rig_end();
}

static void test_reset(void **state)
{
    (void)state;
    rig_begin(NULL, NULL);
    rig_up("localhost");
    net_stream_close(&rig.client.stream, true);
    turn_until(&rig.t, rig_server_ended);
    assert_int_equal(rig.server.err, -ECONNRESET);
    rig_end();
}

/* What somebody puts between our records ends the connection at both sides. */
static void test_forged_record(void **state)
{
    static const char forged[] = "\x17\x03\x03\x00\x20"
                                 "0123456789abcdef0123456789abcdef";
    (void)state;
    rig_begin(NULL, NULL);
    rig_up("localhost");
    assert_int_equal(send(rig.client.stream->fd, forged, sizeof(forged) - 1, MSG_NOSIGNAL),
                     sizeof(forged) - 1);
    turn_until(&rig.t, rig_server_ended);
    assert_int_equal(rig.server.err, -EPROTO);
    turn_until(&rig.t, rig_client_ended);
    assert_int_equal(rig.client.err, -EPROTO); /* by the alert */
    assert_int_equal(rig.server.nbytes, 0);
    assert_int_equal(rig_count(CTR_TLS_FAILED), 0); /* no handshake has failed */
    rig_end();
}

static bool all_acknowledged(void)
{
    return net_stream_unacked(rig.client.stream) == 0;
}

/* What came before a reset is handed out before the end is told. */
static void test_data_before_a_reset(void **state)
{
    (void)state;
    rig_begin(NULL, NULL);
    rig_up("localhost");
    net_stream_read_pause(rig.server.stream, true);
    for (unsigned i = 0; i < 50; i++) {
        assert_int_equal(net_stream_write(rig.client.stream, "record", 6), 0);
        net_stream_flush_all(rig.t.loop);
    }
    turn_until(&rig.t, all_acknowledged);
    net_stream_close(&rig.client.stream, true);
    turn_idle(&rig.t, 5);
    assert_int_equal(net_stream_write(rig.server.stream, "x", 1), 0); /* that is how we notice */
    turn_until(&rig.t, rig_server_ended);
    assert_int_equal(rig.server.nbytes, 300);
    rig_end();
}

/* Writing into a connection that is gone. */
static void test_write_after_reset(void **state)
{
    (void)state;
    rig_begin(NULL, NULL);
    rig_up("localhost");
    net_stream_read_pause(rig.server.stream, true);
    net_stream_close(&rig.client.stream, true);
    turn_idle(&rig.t, 5);
    assert_int_equal(net_stream_write(rig.server.stream, "x", 1), 0);
    turn_until(&rig.t, rig_server_ended);
    assert_true(rig.server.err == -ECONNRESET || rig.server.err == -EPIPE);
    rig_end();
}

static void test_closed_in_the_middle_of_a_write(void **state)
{
    (void)state;
    rig_begin(NULL, NULL);
    rig_up("localhost");
    net_stream_read_pause(rig.server.stream, true);
    (void)fill(rig.client.stream, 100000);
    net_stream_close(&rig.client.stream, false); /* a record is half sent: no close_notify fits */
    net_stream_read_pause(rig.server.stream, false);
    turn_until(&rig.t, rig_server_ended);
    assert_int_equal(rig.server.err, ERR_CLOSED);
    assert_true(rig.server.sum == sum_of(rig.server.nbytes));
    rig_end();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_large_write_to_a_slow_reader),
        cmocka_unit_test(test_unacknowledged_bytes_are_exact),
        cmocka_unit_test(test_pause_after_each_record),
        cmocka_unit_test(test_key_update),
        cmocka_unit_test(test_renegotiation_is_refused),
        cmocka_unit_test(test_close_notify_after_data),
        cmocka_unit_test(test_closed_by_the_server),
        cmocka_unit_test(test_unread_ticket_does_not_destroy_what_was_sent),
        cmocka_unit_test(test_fin_without_close_notify),
        cmocka_unit_test(test_reset),
        cmocka_unit_test(test_forged_record),
        cmocka_unit_test(test_data_before_a_reset),
        cmocka_unit_test(test_write_after_reset),
        cmocka_unit_test(test_closed_in_the_middle_of_a_write),
    };
    return cmocka_run_group_tests(tests, rig_setup, rig_teardown);
}
