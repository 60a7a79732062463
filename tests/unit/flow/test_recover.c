/* SPDX-License-Identifier: Apache-2.0 */
/* Connections that die, are suspect, are opened again or cannot be. A peer that does not read
 * stands for the firewall: its kernel stops acknowledging when its buffers are full. */
#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "flow/backoff.h"
#include "flow/flow_int.h"
#include "heard.h"
#include "rig.h"
#include "rows.h"

static struct rig r;
static int peer, peer_fd, second; /* listener of the peer, its first and its second connection */
static struct addr peer_at;
static struct flow_dest dest;
static char text_bytes[1 << 16], drain[1 << 20];
static struct buf text;
static const char *want_text;
static unsigned want_events;

static bool got_message(struct rig *x)
{
    return x->nmsgs != 0;
}

static bool got_events(struct rig *x)
{
    return x->nevents >= want_events;
}

static bool got_text(struct rig *x)
{
    (void)x;
    if (second < 0)
        second = peer_accept(peer);
    while (second >= 0 && peer_read(second, &text) > 0) {
    }
    return strstr(text_bytes, want_text) != NULL;
}

static void conf(bool keep_alive)
{
    rig_conf(&r);
    r.conf.sockopt.keep_alive = keep_alive;
    r.conf.reopen_delay_ms = 60;
    r.conf.connect_timeout_ms = 200;
    peer_at = (struct addr){.family = ADDR_IP4, .ip = {127, 0, 0, 1}};
    peer = peer_listen(&peer_at);
    peer_fd = second = -1;
    buf_init(&text, text_bytes, sizeof(text_bytes));
    text_bytes[0] = '\0';
}

/* A device that opened a connection to us and accepts at peer_at. */
static void device(void)
{
    char req[1024];
    rig_start(&r, "127.0.0.1");
    peer_fd = peer_connect(&r.listen);
    size_t len = sip_options(req, sizeof(req), "TCP", "127.0.0.1:5070", 1, "");
    peer_write(peer_fd, req, len);
    rig_until(&r, got_message);
    dest =
        (struct flow_dest){.flow = r.msgs[0].origin.flow, .remote = peer_at, .transport = SIP_TCP};
}

static void end(void)
{
    if (peer_fd >= 0)
        close(peer_fd);
    if (second >= 0)
        close(second);
    close(peer);
    rig_stop(&r);
}

static int send_text(const char *s, unsigned flags)
{
    return flows_send(r.flows, &dest, s, strlen(s), flags);
}

static int react_rc;

static void resend(struct rig *x, unsigned worker, const struct flow_event *ev)
{
    (void)worker;
    (void)x;
    if (ev->kind != FLOW_DEAD && ev->kind != FLOW_MOVED)
        return;
    assert_true(dest.flow == ev->flow);
    react_rc = send_text("one,", FLOW_SEND_REQUEST | FLOW_SEND_RESEND);
    if (react_rc == 0)
        react_rc = send_text("two,", FLOW_SEND_REQUEST | FLOW_SEND_RESEND);
}

static void test_reset_is_reopened_under_the_same_id(void **state)
{
    (void)state;
    conf(true);
    r.react = resend;
    device();
    uint64_t id = dest.flow;
    assert_int_equal(send_text("one,", FLOW_SEND_REQUEST), 0);
    rig_idle(&r, 2);
    peer_reset(peer_fd);
    peer_fd = -1;
    want_text = "one,two,three";
    want_events = 1;
    rig_until(&r, got_events);
    assert_int_equal(react_rc, 0);
    assert_int_equal(send_text("three", FLOW_SEND_REQUEST), 0);
    rig_until(&r, got_text);
    assert_string_equal(text_bytes, "one,two,three");
    assert_true(dest.flow == id);
    assert_true(flows_is_alive(r.flows, id));
    assert_int_equal(r.nevents, 1);
    assert_int_equal(r.events[0].kind, FLOW_DEAD);
    assert_int_equal(r.events[0].err, -ECONNRESET);
    assert_int_equal(rig_counter(&r, CTR_REOPENED), 1);
    assert_int_equal(rig_counter(&r, CTR_STALE_SAID), 1);
    assert_int_equal(rig_counter(&r, CTR_FLOWS), 1);
    end();
}

static void test_nothing_to_send_again_nothing_reopened(void **state)
{
    (void)state;
    conf(true);
    device();
    uint64_t id = dest.flow;
    assert_int_equal(send_text("one,", 0), 0);
    rig_idle(&r, 2);
    close(peer_fd);
    peer_fd = -1;
    want_events = 1;
    rig_until(&r, got_events);
    assert_int_equal(r.events[0].kind, FLOW_DEAD);
    assert_int_equal(flows_count(r.flows), 0);
    assert_false(flows_is_alive(r.flows, id));
    assert_int_equal(peer_accept(peer), -1);
    /* The next message opens, with a new id, and the one after that finds it. */
    assert_int_equal(send_text("new", FLOW_SEND_REQUEST), 0);
    assert_true(dest.flow != id);
    uint64_t opened = dest.flow;
    dest.flow = 0;
    assert_int_equal(send_text(",more", FLOW_SEND_REQUEST), 0);
    assert_true(dest.flow == opened);
    want_text = "new,more";
    rig_until(&r, got_text);
    assert_int_equal(rig_counter(&r, CTR_REOPENED), 0);
    end();
}

static void test_off_nothing_is_reopened(void **state)
{
    (void)state;
    conf(false);
    device();
    uint64_t id = dest.flow;
    assert_int_equal(send_text("one,", FLOW_SEND_REQUEST), 0);
    rig_idle(&r, 2);
    assert_int_equal(r.wheel.count, 0); /* no timer for what is outstanding */
    peer_reset(peer_fd);
    peer_fd = -1;
    want_events = 1;
    rig_until(&r, got_events);
    assert_int_equal(r.events[0].kind, FLOW_DEAD);
    assert_false(flows_is_alive(r.flows, id));
    assert_int_equal(flows_count(r.flows), 0);
    end();
}

static bool failed_or_event(struct rig *x)
{
    return react_rc != 0 || (x->nevents != 0 && x->events[x->nevents - 1].kind == FLOW_FAILED);
}

static void test_refused_then_backoff(void **state)
{
    (void)state;
    conf(true);
    r.react = resend;
    react_rc = 0;
    device();
    close(peer);
    assert_int_equal(send_text("one,", FLOW_SEND_REQUEST), 0);
    rig_idle(&r, 2);
    peer_reset(peer_fd);
    peer_fd = -1;
    rig_until(&r, failed_or_event);
    assert_true(react_rc == 0 || react_rc == -ECONNREFUSED);
    assert_int_equal(flows_count(r.flows), 0);
    assert_int_equal(rig_counter(&r, CTR_REOPEN_FAILED), 1);
    assert_int_equal(rig_counter(&r, CTR_FLOW_OPEN_FAILED), 1);
    /* For a while it is not tried again. */
    assert_int_equal(send_text("x", FLOW_SEND_REQUEST), ERR_UNREACHABLE);
    dest.flow = 0;
    assert_int_equal(send_text("x", FLOW_SEND_REQUEST), ERR_UNREACHABLE);
    peer = peer_listen(&peer_at);
    end();
}

/* Whoever has us open connections to ever new addresses does not fill the memory with them. */
static void test_destinations_have_a_maximum(void **state)
{
    (void)state;
    conf(true);
    rig_start(&r, "127.0.0.1");
    for (unsigned i = 0; i < FLOW_BACKOFF_MAX + 1000; i++) {
        struct addr a = {.family = ADDR_IP4, .port = 5060};
        memcpy(a.ip, &(uint32_t){i}, 4);
        flow_peer_failed(r.flows, &a, 0);
        flow_peer_failed(r.flows, &a, 0);
    }
    assert_in_range(flow_backoff_count(flow_counts_backoff(r.flows->counts)), FLOW_BACKOFF_MAX - 2,
                    FLOW_BACKOFF_MAX);
    assert_int_equal(r.flows->peers.count, 0);
    end();
}

static void test_second_port(void **state)
{
    (void)state;
    conf(true);
    rig_start(&r, "127.0.0.1");
    struct addr closed = {.family = ADDR_IP4, .ip = {127, 0, 0, 1}};
    close(peer_listen(&closed)); /* its port is free now */
    dest = (struct flow_dest){.remote = closed, .alt_port = peer_at.port, .transport = SIP_TCP};
    assert_int_equal(send_text("hello", FLOW_SEND_REQUEST), 0);
    want_text = "hello";
    rig_until(&r, got_text);
    assert_int_equal(r.nevents, 0);
    end();
}

static void test_opening_fails(void **state)
{
    (void)state;
    conf(true);
    rig_start(&r, "127.0.0.1");
    dest = (struct flow_dest){.remote = peer_at, .transport = SIP_TCP};
    close(peer);
    int rc = send_text("hello", FLOW_SEND_REQUEST);
    if (rc == 0) {
        want_events = 1;
        rig_until(&r, got_events);
        assert_int_equal(r.events[0].kind, FLOW_FAILED);
        assert_true(r.events[0].flow == dest.flow);
        rc = r.events[0].err;
    }
    assert_int_equal(rc, -ECONNREFUSED);
    assert_int_equal(flows_count(r.flows), 0);
    dest.remote.port = 0;
    assert_int_equal(send_text("hello", FLOW_SEND_REQUEST), ERR_NO_ROUTE);
    dest.remote = (struct addr){.family = ADDR_IP6, .port = 5060, .ip = {[15] = 1}};
    assert_int_equal(send_text("hello", FLOW_SEND_REQUEST), ERR_NO_ROUTE);
    dest.transport = SIP_WS;
    assert_int_equal(send_text("hello", FLOW_SEND_REQUEST), ERR_NO_ROUTE);
    peer = peer_listen(&peer_at);
    end();
}

/* Fills the buffers of both kernels: 10 MiB are more than tcp_rmem and tcp_wmem let a connection
 * hold. */
static void stall(void)
{
    static char big[65536];
    memset(big, 'f', sizeof(big));
    for (unsigned i = 0; i < 160; i++) {
        assert_int_equal(flows_send(r.flows, &dest, big, sizeof(big), 0), 0);
        flows_flush(r.flows);
    }
}

static void stalled_device(void)
{
    r.conf.max_queue = 256 << 20;
    device();
    stall();
}

static void test_suspect_moves_to_the_second_connection(void **state)
{
    (void)state;
    conf(true);
    r.react = resend;
    stalled_device();
    uint64_t id = dest.flow;
    assert_int_equal(send_text("one,", FLOW_SEND_REQUEST), 0);
    want_text = "one,two,";
    rig_until(&r, got_text);
    assert_string_equal(text_bytes, "one,two,");
    assert_int_equal(r.nevents, 1);
    assert_int_equal(r.events[0].kind, FLOW_MOVED);
    assert_true(r.events[0].flow == id);
    assert_int_equal(rig_counter(&r, CTR_STALE_SUSPECT), 1);
    assert_int_equal(rig_counter(&r, CTR_REOPENED), 1);
    assert_int_equal(rig_counter(&r, CTR_FLOWS), 1);
    assert_true(flows_is_alive(r.flows, id));
    end();
}

/* The Contact that a request was sent to is not displaced by the sent-by a response names. */
static void test_a_response_does_not_move_the_reopen_address(void **state)
{
    (void)state;
    conf(true);
    r.react = resend;
    stalled_device();
    assert_int_equal(send_text("one,", FLOW_SEND_REQUEST), 0);
    struct flow_dest sent_by = dest;
    sent_by.remote.port = 1; /* where nobody listens */
    assert_int_equal(flows_send(r.flows, &sent_by, "r", 1, 0), 0);
    want_text = "one,two,";
    rig_until(&r, got_text);
    assert_int_equal(rig_counter(&r, CTR_FLOW_OPEN_FAILED), 0);
    end();
}

static bool dropped(struct rig *x)
{
    while (recv(peer_fd, drain, sizeof(drain), MSG_DONTWAIT) > 0) {
    }
    return rig_counter(x, CTR_REOPEN_DROPPED) != 0;
}

/* Its queue is full and it never accepts: what opens to it waits. */
static int deaf_listener(struct addr *at, int filler[4])
{
    struct sockaddr_in sa = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof(sa);
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    assert_int_equal(bind(fd, (struct sockaddr *)&sa, sizeof(sa)), 0);
    assert_int_equal(listen(fd, 0), 0);
    assert_int_equal(getsockname(fd, (struct sockaddr *)&sa, &len), 0);
    for (unsigned i = 0; i < 4; i++) {
        filler[i] = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
        (void)!connect(filler[i], (struct sockaddr *)&sa, sizeof(sa));
    }
    *at = (struct addr){.family = ADDR_IP4, .port = ntohs(sa.sin_port), .ip = {127, 0, 0, 1}};
    return fd;
}

static bool is_suspect(struct rig *x)
{
    static struct rows rows;
    const struct row_sink sink = rows_begin(&rows);
    uint32_t at = 0;
    while (flows_rows_some(x->flows, &at, 100, &sink)) {
    }
    return rows_have(&rows, " state=suspect ");
}

static void test_stall_that_heals(void **state)
{
    int filler[4];
    (void)state;
    heard_begin();
    conf(true);
    r.conf.connect_timeout_ms = 8000;
    stalled_device();
    struct addr deaf;
    int fd = deaf_listener(&deaf, filler);
    dest.remote = deaf;
    assert_int_equal(send_text("one,", FLOW_SEND_REQUEST), 0);
    rig_until(&r, is_suspect);
    rig_until(&r, dropped); /* reads, so that all is acknowledged */
    assert_int_equal(r.nevents, 0);
    assert_int_equal(rig_counter(&r, CTR_REOPENED), 0);
    assert_int_equal(rig_counter(&r, CTR_REOPEN_DROPPED), 1);
    assert_int_equal(heard(EV_CONNECTION_STALE), 1);
    assert_int_equal(heard(EV_CONNECTION_HEALED), 1);
    assert_true(flows_is_alive(r.flows, dest.flow));
    for (unsigned i = 0; i < 4; i++)
        close(filler[i]);
    close(fd);
    end();
}

static void test_answer_ends_suspicion(void **state)
{
    int filler[4];
    (void)state;
    conf(true);
    r.conf.connect_timeout_ms = 8000;
    stalled_device();
    struct addr deaf;
    int fd = deaf_listener(&deaf, filler);
    dest.remote = deaf;
    assert_int_equal(send_text("one,", FLOW_SEND_REQUEST), 0);
    rig_until(&r, is_suspect);
    flows_answered(r.flows, dest.flow);
    assert_false(is_suspect(&r));
    assert_int_equal(rig_counter(&r, CTR_REOPEN_DROPPED), 1);
    for (unsigned i = 0; i < 4; i++)
        close(filler[i]);
    close(fd);
    end();
}

static void test_suspect_that_cannot_be_reopened(void **state)
{
    (void)state;
    conf(true);
    stalled_device();
    close(peer); /* refuses */
    assert_int_equal(send_text("one,", FLOW_SEND_REQUEST), 0);
    want_events = 1;
    rig_until(&r, got_events);
    assert_int_equal(r.events[0].kind, FLOW_FAILED);
    assert_int_equal(r.events[0].err, -ECONNREFUSED);
    assert_int_equal(flows_count(r.flows), 0);
    peer = peer_listen(&peer_at);
    end();
}

static void test_voip_service_has_no_second_connection(void **state)
{
    (void)state;
    conf(true);
    stalled_device();
    dest.no_reopen = true;
    assert_int_equal(send_text("one,", FLOW_SEND_REQUEST), 0);
    rig_idle(&r, 300);
    assert_int_equal(peer_accept(peer), -1);
    assert_int_equal(r.nevents, 0);
    end();
}

/* Inside a transaction nothing is reopened towards a VoIP service; the next message opens. */
static void test_voip_service_is_not_reopened_by_resending(void **state)
{
    (void)state;
    conf(true);
    r.react = resend;
    react_rc = 0;
    device();
    dest.no_reopen = true;
    assert_int_equal(send_text("one,", FLOW_SEND_REQUEST), 0);
    dest.no_reopen = false; /* as for an ACK or BYE by its route set */
    assert_int_equal(send_text("two,", FLOW_SEND_REQUEST), 0);
    rig_idle(&r, 2);
    peer_reset(peer_fd);
    peer_fd = -1;
    want_events = 1;
    rig_until(&r, got_events);
    assert_int_equal(react_rc, ERR_STALE);
    assert_int_equal(flows_count(r.flows), 0);
    assert_int_equal(send_text("new", FLOW_SEND_REQUEST), 0);
    want_text = "new";
    rig_until(&r, got_text);
    end();
}

/* A device that asked for it is found by the port of its sent-by; one whose sent-by is not its
 * address is not. */
static void test_alias(void **state)
{
    char req[1024];
    (void)state;
    conf(true);
    rig_start(&r, "127.0.0.1");
    peer_fd = peer_connect(&r.listen);
    size_t len = sip_options(req, sizeof(req), "TCP", "127.0.0.1:5071", 1, ";alias");
    peer_write(peer_fd, req, len);
    rig_until(&r, got_message);
    struct addr alias = {.family = ADDR_IP4, .port = 5071, .ip = {127, 0, 0, 1}};
    dest = (struct flow_dest){.remote = alias, .transport = SIP_TCP};
    assert_int_equal(send_text("x", FLOW_SEND_REQUEST), 0);
    assert_true(dest.flow == r.msgs[0].origin.flow);
    int liar = peer_connect(&r.listen);
    len = sip_options(req, sizeof(req), "TCP", "127.0.0.2:5072", 2, ";alias");
    r.nmsgs = 0;
    peer_write(liar, req, len);
    rig_until(&r, got_message);
    alias.ip[3] = 2;
    alias.port = 5072;
    dest = (struct flow_dest){.remote = alias, .transport = SIP_TCP};
    int rc = send_text("x", FLOW_SEND_REQUEST); /* opens, or tries to */
    assert_true(rc != 0 || dest.flow != r.msgs[0].origin.flow);
    close(liar);
    end();
}

static size_t ngot;
static char first_got, last_got;

static bool got_all(struct rig *x)
{
    ssize_t n;
    if (second < 0)
        second = peer_accept(peer);
    while (second >= 0 && (n = recv(second, drain, sizeof(drain), MSG_DONTWAIT)) > 0) {
        if (ngot == 0)
            first_got = drain[0];
        last_got = drain[n - 1];
        ngot += (size_t)n;
    }
    return ngot >= *(const size_t *)x->user;
}

/* More than the kernel takes on both sides. */
static char big[24 << 20];

static void resend_big(struct rig *x, unsigned worker, const struct flow_event *ev)
{
    (void)worker;
    if (ev->kind == FLOW_DEAD)
        assert_int_equal(
            flows_send(x->flows, &dest, big, sizeof(big), FLOW_SEND_REQUEST | FLOW_SEND_RESEND), 0);
}

/* RST when a part of it is written: the new connection gets the whole message, and no rest. */
static void test_reset_in_the_middle_of_a_message(void **state)
{
    (void)state;
    size_t most = sizeof(big);
    conf(true);
    r.conf.max_queue = 64 << 20;
    /* So much takes its time, which is no reason for suspicion, nor to give up an opening. */
    r.conf.reopen_delay_ms = r.conf.connect_timeout_ms = 60000;
    r.react = resend_big;
    r.user = &most;
    device();
    ngot = 0;
    memset(big, 'm', sizeof(big));
    big[0] = '<';
    big[sizeof(big) - 1] = '>';
    assert_int_equal(flows_send(r.flows, &dest, big, sizeof(big), FLOW_SEND_REQUEST), 0);
    rig_idle(&r, 5);
    assert_true(recv(peer_fd, drain, 1000, MSG_DONTWAIT) == 1000);
    assert_true(net_stream_queued(flow_find(r.flows, dest.flow)->stream) != 0);
    peer_reset(peer_fd);
    peer_fd = -1;
    rig_until(&r, got_all);
    assert_int_equal(ngot, sizeof(big));
    assert_int_equal(first_got, '<');
    assert_int_equal(last_got, '>');
    rig_idle(&r, 5);
    assert_true(recv(second, drain, sizeof(drain), MSG_DONTWAIT) < 0);
    end();
}

static unsigned naccepted;

static bool all_accepted(struct rig *x)
{
    int fd;
    while ((fd = peer_accept(peer)) >= 0) {
        naccepted++;
        close(fd);
    }
    return naccepted == (unsigned)(uintptr_t)x->user;
}

static int next_descriptor(void)
{
    int fd = dup(peer);
    close(fd);
    return fd;
}

/* More openings than the limit wait; none fails. */
static void test_openings_stand_in_line(void **state)
{
    struct addr at[6];
    int fds[6];
    (void)state;
    conf(true);
    r.conf.reopen_per_second = 4;
    rig_start(&r, "127.0.0.1");
    for (unsigned i = 0; i < 6; i++) {
        at[i] = peer_at;
        at[i].port = 0;
        fds[i] = peer_listen(&at[i]);
    }
    int before = next_descriptor();
    for (unsigned i = 0; i < 6; i++) {
        dest = (struct flow_dest){.remote = at[i], .transport = SIP_TCP};
        assert_int_equal(send_text("x", FLOW_SEND_REQUEST), 0);
    }
    assert_int_equal(next_descriptor() - before, 4); /* the other two have no socket yet */
    assert_int_equal(flows_count(r.flows), 6);
    for (unsigned i = 0; i < 6; i++) {
        close(peer);
        peer = fds[i];
        naccepted = 0;
        r.user = (void *)1;
        rig_until(&r, all_accepted);
    }
    assert_int_equal(rig_counter(&r, CTR_FLOW_OPENED), 6);
    assert_int_equal(rig_counter(&r, CTR_FLOW_OPEN_FAILED), 0);
    end();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_reset_is_reopened_under_the_same_id),
        cmocka_unit_test(test_nothing_to_send_again_nothing_reopened),
        cmocka_unit_test(test_off_nothing_is_reopened),
        cmocka_unit_test(test_refused_then_backoff),
        cmocka_unit_test(test_destinations_have_a_maximum),
        cmocka_unit_test(test_a_response_does_not_move_the_reopen_address),
        cmocka_unit_test(test_second_port),
        cmocka_unit_test(test_opening_fails),
        cmocka_unit_test(test_suspect_moves_to_the_second_connection),
        cmocka_unit_test(test_stall_that_heals),
        cmocka_unit_test(test_answer_ends_suspicion),
        cmocka_unit_test(test_suspect_that_cannot_be_reopened),
        cmocka_unit_test(test_voip_service_has_no_second_connection),
        cmocka_unit_test(test_voip_service_is_not_reopened_by_resending),
        cmocka_unit_test(test_reset_in_the_middle_of_a_message),
        cmocka_unit_test(test_alias),
        cmocka_unit_test(test_openings_stand_in_line),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
