/* SPDX-License-Identifier: Apache-2.0 */
/* Messages in and out over UDP and TCP: framing, keep-alives, malformed ones, slow readers. */
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "flow/counts.h"
#include "heard.h"
#include "net/stream.h"
#include "rig.h"

static int peer = -1;
static char text_bytes[1 << 20];
static struct buf text;
static unsigned want;

static void clear_text(void)
{
    buf_init(&text, text_bytes, sizeof(text_bytes));
    text_bytes[0] = '\0';
}

static bool got_messages(struct rig *r)
{
    return r->nmsgs >= want;
}

/* The peer has `want` responses, or anything when want is 0. */
static bool got_answer(struct rig *r)
{
    (void)r;
    while (peer_read(peer, &text) > 0) {
    }
    unsigned n = 0;
    for (const char *p = text_bytes; (p = strstr(p, "SIP/2.0 ")) != NULL; p++)
        n += p == text_bytes || p[-1] == '\n';
    return want == 0 ? text.len != 0 : n >= want;
}

static bool peer_ended(struct rig *r)
{
    (void)r;
    int n;
    while ((n = peer_read(peer, &text)) > 0) {
    }
    return n == 0 || n == -2;
}

static void test_udp_echo(void **state)
{
    const char *ips[] = {"127.0.0.1", "[::1]"};
    (void)state;
    for (unsigned i = 0; i < 2; i++) {
        struct rig r;
        struct addr at;
        char req[1024], sent_by[ADDR_TEXT_MAX];
        rig_conf(&r);
        r.echo = true;
        rig_start(&r, ips[i]);
        peer = peer_udp(ips[i], &at);
        clear_text();
        want = 1;
        size_t len = sip_options(req, sizeof(req), "UDP", addr_write(&at, sent_by), 1, ";rport");
        peer_send_to(peer, &r.listen, req, len);
        rig_until(&r, got_answer);
        assert_non_null(strstr(text_bytes, "SIP/2.0 200 OK\r\n"));
        assert_true(addr_eq(&r.msgs[0].origin.remote, &at));
        assert_true(addr_eq(&r.msgs[0].origin.local, &r.listen));
        assert_int_equal(r.msgs[0].origin.transport, SIP_UDP);
        assert_int_equal(rig_counter(&r, CTR_MSG_IN), 1);
        assert_int_equal(rig_counter(&r, CTR_MSG_OUT), 1);
        close(peer);
        rig_stop(&r);
    }
}

static void test_udp_response_port(void **state)
{
    struct rig r;
    struct addr at, other;
    char req[1024], sent_by[ADDR_TEXT_MAX];
    (void)state;
    rig_conf(&r);
    r.echo = true;
    rig_start(&r, "127.0.0.1");
    int sender = peer_udp("127.0.0.1", &at);
    peer = peer_udp("127.0.0.1", &other);
    clear_text();
    want = 1;
    /* Without rport the response goes to the port of sent-by (RFC 3261 18.2.2). */
    size_t len = sip_options(req, sizeof(req), "UDP", addr_write(&other, sent_by), 1, "");
    peer_send_to(sender, &r.listen, req, len);
    rig_until(&r, got_answer);
    close(sender);
    close(peer);
    rig_stop(&r);
}

static void test_tcp_echo_however_split(void **state)
{
    struct rig r;
    char req[1024];
    (void)state;
    rig_conf(&r);
    r.echo = true;
    rig_start(&r, "127.0.0.1");
    size_t len = sip_options(req, sizeof(req), "TCP", "127.0.0.1:5070", 1, "");
    for (size_t cut = 1; cut < len; cut += 37) {
        peer = peer_connect(&r.listen);
        clear_text();
        r.nmsgs = 0;
        peer_write(peer, req, cut);
        rig_idle(&r, 3);
        assert_int_equal(r.nmsgs, 0);
        peer_write(peer, req + cut, len - cut);
        want = 1;
        rig_until(&r, got_answer);
        assert_int_equal(r.msgs[0].len, len);
        assert_memory_equal(r.msgs[0].bytes, req, len);
        close(peer);
    }
    rig_stop(&r);
}

static void test_tcp_many_in_one_piece(void **state)
{
    struct rig r;
    char req[8192];
    size_t len = 0;
    (void)state;
    rig_conf(&r);
    r.echo = true;
    rig_start(&r, "[::1]");
    peer = peer_connect(&r.listen);
    clear_text();
    for (unsigned i = 0; i < 10; i++) {
        memcpy(req + len, "\r\n", 2); /* between messages */
        len += 2 + sip_options(req + len + 2, sizeof(req) - len - 2, "TCP", "[::1]:5070", i, "");
    }
    peer_write(peer, req, len);
    want = 10;
    rig_until(&r, got_answer);
    for (unsigned i = 0; i < 10; i++) {
        char id[32];
        snprintf(id, sizeof(id), "Call-ID: call%u@", i);
        r.msgs[i].bytes[r.msgs[i].len] = '\0';
        assert_non_null(strstr(r.msgs[i].bytes, id));
    }
    close(peer);
    rig_stop(&r);
}

static void test_ping(void **state)
{
    struct rig r;
    (void)state;
    rig_conf(&r);
    rig_start(&r, "127.0.0.1");
    peer = peer_connect(&r.listen);
    clear_text();
    want = 0;
    peer_write(peer, "\r\n\r\n", 4);
    rig_until(&r, got_answer);
    assert_string_equal(text_bytes, "\r\n");
    /* A ping in two halves is one ping; a lone CRLF is none. */
    clear_text();
    peer_write(peer, "\r\n", 2);
    rig_idle(&r, 20);
    assert_int_equal(text.len, 0);
    peer_write(peer, "\r\n", 2);
    rig_until(&r, got_answer);
    assert_string_equal(text_bytes, "\r\n");
    assert_int_equal(rig_counter(&r, CTR_PING_IN), 2);
    close(peer);
    rig_stop(&r);
}

static void test_malformed_udp(void **state)
{
    struct rig r;
    struct addr at;
    char req[1024], sent_by[ADDR_TEXT_MAX];
    (void)state;
    rig_conf(&r);
    rig_start(&r, "127.0.0.1");
    peer = peer_udp("127.0.0.1", &at);
    clear_text();
    size_t len = sip_options(req, sizeof(req), "UDP", addr_write(&at, sent_by), 1, "");
    char *cseq = strstr(req, "CSeq: 1 OPTIONS");
    memcpy(cseq, "CSeq: 1 INVITE!", 15); /* not the method of the request line */
    peer_send_to(peer, &r.listen, req, len);
    want = 1;
    rig_until(&r, got_answer);
    assert_memory_equal(text_bytes, "SIP/2.0 400 ", 12);
    assert_int_equal(r.nmsgs, 0);
    assert_int_equal(rig_counter(&r, CTR_MSG_MALFORMED), 1);
    /* Neither a response nor an ACK nor rubbish is answered. */
    clear_text();
    memcpy(req, "ACK     sip", 11);
    peer_send_to(peer, &r.listen, req, len);
    peer_send_to(peer, &r.listen, "SIP/2.0 200 OK\r\n\r\n", 18);
    peer_send_to(peer, &r.listen, "\r\n\r\n", 4);
    peer_send_to(peer, &r.listen, "\0\0\0\0", 4);
    rig_idle(&r, 30);
    assert_false(got_answer(&r));
    close(peer);
    rig_stop(&r);
}

static void test_tcp_bad_length_is_answered_and_closed(void **state)
{
    struct rig r;
    char req[1024];
    (void)state;
    rig_conf(&r);
    rig_start(&r, "127.0.0.1");
    peer = peer_connect(&r.listen);
    clear_text();
    size_t len = sip_options(req, sizeof(req), "TCP", "127.0.0.1", 1, "");
    memcpy(strstr(req, "Content-Length: 0"), "Content-Langth: 0", 17);
    peer_write(peer, req, len);
    rig_until(&r, peer_ended);
    assert_memory_equal(text_bytes, "SIP/2.0 400 ", 12);
    assert_int_equal(flows_count(r.flows), 0);
    assert_int_equal(rig_counter(&r, CTR_FLOWS), 0);
    close(peer);
    rig_stop(&r);
}

static void test_tcp_too_large(void **state)
{
    struct rig r;
    char req[1024];
    (void)state;
    rig_conf(&r);
    r.conf.limits.body_size = 1000;
    rig_start(&r, "127.0.0.1");
    peer = peer_connect(&r.listen);
    clear_text();
    size_t len = sip_options(req, sizeof(req), "TCP", "127.0.0.1", 1, "");
    char *cl = strstr(req, "Content-Length: 0");
    len = (size_t)(cl - req) + (size_t)snprintf(cl, 64, "Content-Length: 5000\r\n\r\n");
    peer_write(peer, req, len);
    rig_until(&r, peer_ended);
    assert_memory_equal(text_bytes, "SIP/2.0 513 ", 12);
    assert_int_equal(rig_counter(&r, CTR_MSG_TOO_LARGE), 1);
    close(peer);
    rig_stop(&r);
}

static bool no_flows(struct rig *r)
{
    return flows_count(r->flows) == 0 && rig_counter(r, CTR_FLOW_ACCEPTED) != 0;
}

static void test_partial_times_out(void **state)
{
    struct rig r;
    (void)state;
    rig_conf(&r);
    r.conf.partial_timeout_ms = 50;
    rig_start(&r, "127.0.0.1");
    peer = peer_connect(&r.listen);
    clear_text();
    peer_write(peer, "OPTIONS sip:a@b SIP/2.0\r\nVia:", 29);
    rig_until(&r, no_flows);
    assert_true(peer_ended(&r));
    close(peer);
    rig_stop(&r);
}

static void test_message_kept_when_not_taken(void **state)
{
    struct rig r;
    char req[4096];
    (void)state;
    rig_conf(&r);
    r.refuse = 3;
    rig_start(&r, "127.0.0.1");
    peer = peer_connect(&r.listen);
    size_t len = sip_options(req, sizeof(req), "TCP", "127.0.0.1", 1, "");
    len += sip_options(req + len, sizeof(req) - len, "TCP", "127.0.0.1", 2, "");
    peer_write(peer, req, len);
    want = 2;
    rig_until(&r, got_messages);
    assert_int_equal(r.refuse, 0);
    assert_non_null(strstr(r.msgs[0].bytes, "call1@"));
    assert_non_null(strstr(r.msgs[1].bytes, "call2@"));
    close(peer);
    rig_stop(&r);
}

static bool has_flow(struct rig *r)
{
    return r->nmsgs != 0;
}

static bool got_event(struct rig *r)
{
    return r->nevents != 0;
}

static void test_slow_reader_is_cut(void **state)
{
    struct rig r;
    static char big[60000];
    char req[1024];
    (void)state;
    heard_begin();
    rig_conf(&r);
    r.conf.max_queue = 200000;
    rig_start(&r, "127.0.0.1");
    peer = peer_connect(&r.listen);
    size_t len = sip_options(req, sizeof(req), "TCP", "127.0.0.1", 1, "");
    peer_write(peer, req, len);
    rig_until(&r, has_flow);
    struct flow_dest dest = {.flow = r.msgs[0].origin.flow, .transport = SIP_TCP};
    int rc = 0;
    unsigned n;
    memset(big, 'x', sizeof(big));
    for (n = 0; n < 1000 && rc == 0; n++) {
        rc = flows_send(r.flows, &dest, big, sizeof(big), 0);
        net_stream_flush_all(r.loop);
    }
    assert_int_equal(rc, ERR_FULL);
    assert_true(n < 1000);
    rig_until(&r, got_event);
    assert_int_equal(r.events[0].kind, FLOW_FAILED);
    assert_int_equal(r.events[0].err, ERR_SLOW_READER);
    assert_int_equal(rig_counter(&r, CTR_FLOW_SLOW_READER), 1);
    assert_int_equal(heard(EV_SLOW_READER), 1);
    assert_int_equal(flows_count(r.flows), 0);
    assert_false(flows_is_alive(r.flows, dest.flow));
    close(peer);
    rig_stop(&r);
}

static bool refused_one(struct rig *r)
{
    return rig_counter(r, CTR_FLOW_REFUSED) == 1;
}

static void test_connections_for_each_address(void **state)
{
    struct rig r;
    int fds[3];
    (void)state;
    rig_conf(&r);
    r.conf.max_per_address = 2;
    rig_start(&r, "127.0.0.1");
    for (unsigned i = 0; i < 3; i++)
        fds[i] = peer_connect(&r.listen);
    rig_until(&r, refused_one);
    assert_int_equal(flows_count(r.flows), 2);
    for (unsigned i = 0; i < 3; i++)
        close(fds[i]);
    rig_until(&r, no_flows);
    fds[0] = peer_connect(&r.listen);
    rig_idle(&r, 10);
    assert_int_equal(flows_count(r.flows), 1);
    close(fds[0]);
    rig_stop(&r);
}

static bool all_refused_or_up(struct rig *r)
{
    return rig_counter(r, CTR_FLOW_REFUSED) + rig_counter(r, CTR_FLOW_ACCEPTED) == 12;
}

static bool all_gone(struct rig *r)
{
    return flows_count(r->flows_of[0]) + flows_count(r->flows_of[1]) == 0;
}

/* The limit is of all workers together. */
static void test_limit_over_workers(void **state)
{
    struct rig r;
    int fds[12];
    (void)state;
    rig_conf(&r);
    r.nworkers = 2;
    r.conf.max_per_address = 5;
    assert_int_equal(flow_counts_new(&r.conf.counts), 0);
    rig_start(&r, "127.0.0.1");
    for (unsigned i = 0; i < 12; i++)
        fds[i] = peer_connect(&r.listen);
    rig_until(&r, all_refused_or_up);
    assert_int_equal(rig_counter(&r, CTR_FLOW_ACCEPTED), 5);
    for (unsigned i = 0; i < 12; i++)
        close(fds[i]);
    rig_until(&r, all_gone);
    struct addr lo = r.listen;
    for (unsigned i = 0; i < 5; i++)
        assert_true(flow_counts_take(r.conf.counts, &lo, 5));
    assert_false(flow_counts_take(r.conf.counts, &lo, 5));
    rig_stop(&r);
    flow_counts_free(&r.conf.counts);
}

static void test_limit_of_all(void **state)
{
    struct rig r;
    int fds[12];
    (void)state;
    heard_begin();
    rig_conf(&r);
    r.nworkers = 2;
    r.conf.max_connections = 5;
    assert_int_equal(flow_counts_new(&r.conf.counts), 0);
    rig_start(&r, "127.0.0.1");
    for (unsigned i = 0; i < 12; i++)
        fds[i] = peer_connect(&r.listen);
    rig_until(&r, all_refused_or_up);
    assert_int_equal(rig_counter(&r, CTR_FLOW_ACCEPTED), 5);
    assert_int_equal(heard(EV_CONNECTIONS_FULL), 7);
    for (unsigned i = 0; i < 12; i++)
        close(fds[i]);
    rig_until(&r, all_gone);
    assert_true(flow_counts_enter(r.conf.counts, 1));
    assert_false(flow_counts_enter(r.conf.counts, 1));
    rig_stop(&r);
    flow_counts_free(&r.conf.counts);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_udp_echo),
        cmocka_unit_test(test_udp_response_port),
        cmocka_unit_test(test_tcp_echo_however_split),
        cmocka_unit_test(test_tcp_many_in_one_piece),
        cmocka_unit_test(test_ping),
        cmocka_unit_test(test_malformed_udp),
        cmocka_unit_test(test_tcp_bad_length_is_answered_and_closed),
        cmocka_unit_test(test_tcp_too_large),
        cmocka_unit_test(test_partial_times_out),
        cmocka_unit_test(test_message_kept_when_not_taken),
        cmocka_unit_test(test_slow_reader_is_cut),
        cmocka_unit_test(test_connections_for_each_address),
        cmocka_unit_test(test_limit_over_workers),
        cmocka_unit_test(test_limit_of_all),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
