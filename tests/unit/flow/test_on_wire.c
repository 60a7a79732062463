/* SPDX-License-Identifier: Apache-2.0 */
/* on_wire: every message that comes and goes, once, in its order; nothing that is no message. */
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "rig.h"

struct told {
    struct flow_wire wire;
    struct addr local, remote;
    char bytes[RIG_TEXT];
};

static struct told told[RIG_LOG];
static unsigned ntold, want;

static void on_wire(struct rig *r, unsigned worker, const struct flow_wire *wire)
{
    (void)r;
    (void)worker;
    assert_true(ntold < RIG_LOG);
    struct told *t = &told[ntold++];
    t->wire = *wire;
    t->local = *wire->local;
    t->remote = *wire->remote;
    (void)slice_cstr(wire->bytes, t->bytes, sizeof(t->bytes));
}

static bool has_told(struct rig *r)
{
    (void)r;
    return ntold >= want;
}

static bool has_none(struct rig *r)
{
    return flows_count(r->flows) == 0;
}

static bool has_failed(struct rig *r)
{
    return r->nevents != 0;
}

static void start(struct rig *r)
{
    rig_conf(r);
    r->wire = on_wire;
    r->echo = true;
    ntold = 0;
}

static void is(unsigned i, bool is_out, enum sip_transport transport, const char *first)
{
    assert_true(i < ntold);
    assert_true(told[i].wire.is_out == is_out);
    assert_int_equal(told[i].wire.transport, transport);
    if (strncmp(told[i].bytes, first, strlen(first)) != 0)
        fail_msg("%u: %s", i, told[i].bytes);
}

static void test_udp(void **state)
{
    struct rig r;
    struct addr at;
    char req[1024] = "\r\n\r\n", sent_by[ADDR_TEXT_MAX];
    (void)state;
    start(&r);
    rig_start(&r, "127.0.0.1");
    int peer = peer_udp("127.0.0.1", &at);
    size_t len = 4 + sip_options(req + 4, sizeof(req) - 4, "UDP", addr_write(&at, sent_by), 1, "");
    peer_send_to(peer, &r.listen, "\r\n\r\n", 4);
    peer_send_to(peer, &r.listen,
                 "\0\1\0\0\x21\x12\xa4\x42"
                 "123456789012",
                 20);
    peer_send_to(peer, &r.listen, req, len);
    want = 2;
    rig_until(&r, has_told);
    assert_int_equal(ntold, 2);
    is(0, false, SIP_UDP, "OPTIONS ");
    is(1, true, SIP_UDP, "SIP/2.0 200 ");
    assert_int_equal(told[0].wire.bytes.len, len - 4);
    for (unsigned i = 0; i < 2; i++) {
        assert_true(addr_eq(&told[i].remote, &at));
        assert_true(addr_eq(&told[i].local, &r.listen));
        assert_int_equal(told[i].wire.flow, 0);
    }
    /* Refused for its grammar: it is told, and the answer too. */
    peer_send_to(peer, &r.listen, "OPTIONS sip:a SIP/2.0\r\nVia: SIP/2.0/UDP 127.0.0.1\r\n\r\n",
                 53);
    want = 4;
    rig_until(&r, has_told);
    is(2, false, SIP_UDP, "OPTIONS sip:a ");
    is(3, true, SIP_UDP, "SIP/2.0 400 ");
    peer_send_to(peer, &r.listen, "nonsense", 8);
    want = 5;
    rig_until(&r, has_told);
    is(4, false, SIP_UDP, "nonsense");
    close(peer);
    rig_stop(&r);
    assert_int_equal(ntold, 5);
}

/* Of a listener with all addresses it is the one that the kernel takes. */
static void test_udp_from_any(void **state)
{
    struct rig r;
    struct addr at;
    (void)state;
    start(&r);
    rig_start(&r, "0.0.0.0");
    int peer = peer_udp("127.0.0.1", &at);
    struct flow_dest dest = {.remote = at, .transport = SIP_UDP};
    assert_int_equal(flows_send(r.flows, &dest, "one", 3, FLOW_SEND_REQUEST), 0);
    is(0, true, SIP_UDP, "one");
    assert_true(addr_is_loopback(&told[0].local));
    assert_int_equal(told[0].local.port, r.listen.port);
    close(peer);
    rig_stop(&r);
}

/* One that cannot be taken yet is offered again, and told once. */
static void test_offered_again(void **state)
{
    struct rig r;
    char req[4096];
    (void)state;
    start(&r);
    r.refuse = 3;
    rig_start(&r, "127.0.0.1");
    int peer = peer_connect(&r.listen);
    size_t one = sip_options(req, sizeof(req), "TCP", "127.0.0.1", 1, "");
    size_t len = one + sip_options(req + one, sizeof(req) - one, "TCP", "127.0.0.1", 2, "");
    peer_write(peer, req, one - 10);
    rig_idle(&r, 10);
    assert_int_equal(ntold, 0);
    peer_write(peer, req + one - 10, len - one + 10);
    want = 4;
    rig_until(&r, has_told);
    peer_write(peer, "\r\n\r\n", 4);
    rig_idle(&r, 10);
    assert_int_equal(ntold, 4);
    assert_int_equal(r.refuse, 0);
    is(0, false, SIP_TCP, "OPTIONS ");
    is(1, true, SIP_TCP, "SIP/2.0 200 ");
    is(2, false, SIP_TCP, "OPTIONS ");
    is(3, true, SIP_TCP, "SIP/2.0 200 ");
    assert_non_null(strstr(told[0].bytes, "call1@"));
    assert_non_null(strstr(told[2].bytes, "call2@"));
    for (unsigned i = 0; i < 4; i++) {
        assert_true(told[i].wire.flow == r.msgs[0].origin.flow);
        assert_true(addr_eq(&told[i].remote, &r.msgs[0].origin.remote));
        assert_true(addr_eq(&told[i].local, &r.listen));
    }
    close(peer);
    rig_stop(&r);
}

static bool has_the_word(struct rig *r, struct slice bytes)
{
    (void)r;
    assert_memory_equal(bytes.ptr, "ACK ", 4);
    return memmem(bytes.ptr, bytes.len, "tag=idle", 8) != NULL;
}

static size_t put_ack(char *out, size_t cap, const char *transport, const char *tag)
{
    int len = snprintf(out, cap,
                       "ACK sip:test@127.0.0.1 SIP/2.0\r\n"
                       "Via: SIP/2.0/%s 127.0.0.1:9;branch=z9hG4bKack\r\n"
                       "From: <sip:a@127.0.0.1>;tag=1\r\nTo: <sip:b@127.0.0.1>;tag=%s\r\n"
                       "Call-ID: call1@test\r\nCSeq: 1 ACK\r\nContent-Length: 0\r\n\r\n",
                       transport, tag);
    assert_true(len > 0 && (size_t)len < cap);
    return (size_t)len;
}

static bool has_message(struct rig *r)
{
    return r->nmsgs != 0;
}

/* An ACK that needs nothing is told and counted, and goes no further; another one does. */
static void test_idle_acks(void **state)
{
    (void)state;
    for (unsigned is_stream = 0; is_stream < 2; is_stream++) {
        struct rig r;
        struct addr at;
        char text[4096];
        const char *transport = is_stream ? "TCP" : "UDP";
        start(&r);
        r.echo = false;
        r.idle_ack = has_the_word;
        rig_start(&r, "127.0.0.1");
        int peer = is_stream ? peer_connect(&r.listen) : peer_udp("127.0.0.1", &at);
        for (unsigned i = 0; i < 3; i++) {
            size_t len = put_ack(text, sizeof(text), transport, i < 2 ? "idle" : "other");
            if (is_stream)
                peer_write(peer, text, len);
            else
                peer_send_to(peer, &r.listen, text, len);
        }
        rig_until(&r, has_message);
        assert_int_equal(r.nmsgs, 1);
        assert_non_null(strstr(r.msgs[0].bytes, "tag=other"));
        assert_int_equal(ntold, 3);
        assert_int_equal(rig_counter(&r, CTR_MSG_IN), 3);
        assert_int_equal(rig_counter(&r, CTR_IN_ACK), 3);
        close(peer);
        rig_stop(&r);
    }
}

/* What no longer is SIP ends the connection, and is told as far as it came. */
static void test_bad_stream(void **state)
{
    struct rig r;
    static const char bad[] = "OPTIONS sip:a SIP/2.0\r\nVia: SIP/2.0/TCP 127.0.0.1\r\n"
                              "Content-Length: x\r\n\r\n";
    (void)state;
    start(&r);
    rig_start(&r, "127.0.0.1");
    int peer = peer_connect(&r.listen);
    peer_write(peer, bad, sizeof(bad) - 1);
    want = 1;
    rig_until(&r, has_told);
    is(0, false, SIP_TCP, "OPTIONS sip:a ");
    close(peer);
    rig_until(&r, has_none);
    rig_stop(&r);
}

/* What waits for its connection is told when it is given to the socket, and never when there is no
 * connection. */
static void test_opened(void **state)
{
    struct rig r;
    struct addr at = {.family = ADDR_IP4, .ip = {127, 0, 0, 1}};
    int listener = peer_listen(&at);
    struct flow_dest dest = {.remote = at, .transport = SIP_TCP};
    (void)state;
    start(&r);
    rig_start(&r, "127.0.0.1");
    assert_int_equal(flows_send(r.flows, &dest, "one", 3, FLOW_SEND_REQUEST), 0);
    assert_int_equal(ntold, 0);
    assert_int_equal(flows_send(r.flows, &dest, "two", 3, FLOW_SEND_REQUEST), 0);
    want = 2;
    rig_until(&r, has_told);
    is(0, true, SIP_TCP, "one");
    is(1, true, SIP_TCP, "two");
    assert_true(addr_eq(&told[0].remote, &at));
    assert_true(told[0].local.port != 0);
    assert_true(told[0].wire.flow == dest.flow);
    close(listener);
    at.port = 1;
    dest = (struct flow_dest){.remote = at, .transport = SIP_TCP};
    if (flows_send(r.flows, &dest, "three", 5, FLOW_SEND_REQUEST) == 0)
        rig_until(&r, has_failed);
    rig_stop(&r);
    assert_int_equal(ntold, 2);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_udp),           cmocka_unit_test(test_udp_from_any),
        cmocka_unit_test(test_offered_again), cmocka_unit_test(test_bad_stream),
        cmocka_unit_test(test_opened),        cmocka_unit_test(test_idle_acks),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
