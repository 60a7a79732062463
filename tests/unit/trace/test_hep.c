/* SPDX-License-Identifier: Apache-2.0 */
/* HEP version 3: each byte of a packet; and what the collector gets. */
#include "messages.h"

#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/event.h"

#define PACKET_MAX 65600

static struct counters counters;

/* A chunk of generic type, once: its bytes; len SIZE_MAX: there is none. */
static struct slice chunk(struct slice packet, unsigned type)
{
    const unsigned char *p = (const unsigned char *)packet.ptr;
    struct slice found = {NULL, SIZE_MAX};
    assert_true(packet.len > 6 && memcmp(p, "HEP3", 4) == 0);
    assert_int_equal(p[4] << 8 | p[5], packet.len);
    for (size_t at = 6, len; at < packet.len; at += len) {
        assert_true(at + 6 <= packet.len);
        len = (size_t)(p[at + 4] << 8 | p[at + 5]);
        assert_int_equal(p[at] << 8 | p[at + 1], 0);
        assert_true(len >= 6 && at + len <= packet.len);
        if ((unsigned)(p[at + 2] << 8 | p[at + 3]) == type) {
            assert_int_equal(found.len, SIZE_MAX);
            found = slice_of(packet.ptr + at + 6, len - 6);
        }
    }
    return found;
}

static void is(struct slice packet, unsigned type, const char *bytes, size_t len)
{
    struct slice c = chunk(packet, type);
    assert_int_equal(c.len, len);
    assert_memory_equal(c.ptr, bytes, len);
}

#define IS(packet, type, bytes) is((packet), (type), "" bytes, sizeof(bytes) - 1)
#define NONE(packet, type)      assert_int_equal(chunk((packet), (type)).len, SIZE_MAX)

static void test_packet(void **state)
{
    static char room[PACKET_MAX];
    struct trace_conf conf = {.hep_id = 0x01020304, .hep_password = SLICE("pass")};
    struct message m;
    struct buf out;
    (void)state;
    message(&m, false, INVITE);
    buf_init(&out, room, sizeof(room));
    assert_true(trace_hep_write(&out, &conf, &m.wire, 1700000000123456, slice_str(INVITE)));
    struct slice p = buf_get(&out);
    IS(p, 1, "\x02");
    IS(p, 2, "\x11");
    IS(p, 3, "\xc0\x00\x02\x01");
    IS(p, 4, "\xc0\x00\x02\x0a");
    NONE(p, 5);
    NONE(p, 6);
    IS(p, 7, "\x13\xc6");
    IS(p, 8, "\x13\xc4");
    IS(p, 9, "\x65\x53\xf1\x00");
    IS(p, 10, "\x00\x01\xe2\x40");
    IS(p, 11, "\x01");
    IS(p, 12, "\x01\x02\x03\x04");
    IS(p, 14, "pass");
    IS(p, 15, INVITE);
    IS(p, 17, "one@a");
}

static void test_other_packet(void **state)
{
    static char room[PACKET_MAX];
    struct trace_conf conf = {.hep_id = 1};
    struct message m;
    struct buf out;
    (void)state;
    message(&m, true, "x");
    m.remote = address("[2001:db8::2]:5071");
    m.local = address("0.0.0.0:5061");
    m.wire.transport = SIP_TLS;
    buf_init(&out, room, sizeof(room));
    assert_true(trace_hep_write(&out, &conf, &m.wire, 0, SLICE("x")));
    struct slice p = buf_get(&out);
    IS(p, 1, "\x0a");
    IS(p, 2, "\x06");
    IS(p, 5, "\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0");
    IS(p, 6, "\x20\x01\x0d\xb8\0\0\0\0\0\0\0\0\0\0\0\x02");
    NONE(p, 3);
    NONE(p, 4);
    IS(p, 7, "\x13\xc5");
    IS(p, 8, "\x13\xcf");
    NONE(p, 14);
    NONE(p, 17);
    IS(p, 15, "x");
}

/* What does not fit leaves nothing behind. */
static void test_too_large(void **state)
{
    static char room[2 * PACKET_MAX], text[65535];
    struct trace_conf conf = {0};
    struct message m;
    struct buf out;
    (void)state;
    message(&m, false, "");
    memset(text, 'a', sizeof(text));
    buf_init(&out, room, sizeof(room));
    buf_lit(&out, "before");
    assert_false(trace_hep_write(&out, &conf, &m.wire, 1, slice_of(text, sizeof(text))));
    assert_int_equal(out.len, 6);
    assert_true(trace_hep_write(&out, &conf, &m.wire, 1, slice_of(text, 65000)));
    for (size_t cap = 6; cap < 200; cap++) {
        buf_init(&out, room, cap);
        out.len = 6;
        bool fits = trace_hep_write(&out, &conf, &m.wire, 1, slice_of(text, 20));
        assert_true(fits ? out.len > 100 : out.len == 6);
        assert_false(out.overflow);
    }
}

/* --- to a collector ------------------------------------------------------------------------------
 */

static int collector(struct addr *at, int port)
{
    struct sockaddr_in sin = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
    struct timeval bound = {10, 0};
    socklen_t len = sizeof(sin);
    sin.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0), large = 8 << 20;
    assert_true(fd >= 0);
    assert_int_equal(bind(fd, (struct sockaddr *)&sin, sizeof(sin)), 0);
    assert_int_equal(getsockname(fd, (struct sockaddr *)&sin, &len), 0);
    assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &bound, sizeof(bound)), 0);
    (void)!setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &large, sizeof(large));
    assert_int_equal(addr_from_sockaddr((struct sockaddr *)&sin, at), 0);
    return fd;
}

static struct slice receive(int fd)
{
    static char room[PACKET_MAX];
    ssize_t n = recv(fd, room, sizeof(room), 0);
    assert_true(n > 0);
    return slice_of(room, (size_t)n);
}

static struct trace *start(const struct trace_conf *conf)
{
    struct trace *t;
    memset(&counters, 0, sizeof(counters));
    assert_int_equal(trace_new(conf, 0, &counters, &t), 0);
    return t;
}

static void put(struct trace *t, const char *bytes)
{
    struct message m;
    message(&m, false, bytes);
    trace_put(t, &m.wire, 1);
}

static void test_masked(void **state)
{
    struct trace_conf conf = {.mask = {.is_on = true}};
    int fd = collector(&conf.hep, 0);
    struct trace *t = start(&conf);
    (void)state;
    put(t, INVITE);
    put(t, OTHER);
    trace_flush(t);
    struct slice p = receive(fd);
    assert_null(memmem(p.ptr, p.len, "secret", 6));
    IS(p, 17, "one@a");
    p = receive(fd);
    IS(p, 17, "two@a");
    assert_int_equal(counter_get(&counters, CTR_HEP_SENT), 2);
    assert_int_equal(counter_get(&counters, CTR_HEP_DROPPED), 0);
    trace_free(&t);
    close(fd);
}

/* More in one turn than the queue holds: what there is no room for is counted, the rest arrives in
 * its order. */
static void test_queue(void **state)
{
    static char text[65536];
    struct trace_conf conf = {0};
    int fd = collector(&conf.hep, 0);
    struct trace *t = start(&conf);
    (void)state;
    for (unsigned i = 0; i < 1000; i++)
        put(t, "x");
    trace_flush(t);
    uint64_t sent = counter_get(&counters, CTR_HEP_SENT);
    assert_in_range(sent, 100, 999);
    assert_int_equal(sent + counter_get(&counters, CTR_HEP_DROPPED), 1000);
    for (uint64_t i = 0; i < sent; i++)
        IS(receive(fd), 15, "x");
    memset(text, 'a', sizeof(text) - 1);
    put(t, text); /* larger than a datagram */
    put(t, "y");
    trace_flush(t);
    IS(receive(fd), 15, "y");
    assert_int_equal(counter_get(&counters, CTR_HEP_DROPPED), 1000 - sent + 1);
    trace_free(&t);
    close(fd);
}

static unsigned lost, back;

static void on_event(void *user, enum event ev, unsigned n, const struct field *fields)
{
    (void)user;
    (void)n;
    (void)fields;
    lost += ev == EV_COLLECTOR_LOST;
    back += ev == EV_COLLECTOR_BACK;
}

/* A collector that is away costs what was for it; it gets the rest when it is there again. Both are
 * said once. */
static void test_away(void **state)
{
    struct trace_conf conf = {0};
    int fd = collector(&conf.hep, 0);
    struct trace *t = start(&conf);
    (void)state;
    close(fd);
    lost = back = 0;
    event_set_tap(on_event, NULL);
    for (unsigned i = 0; i < 20; i++) {
        put(t, "x");
        trace_flush(t);
    }
    assert_true(counter_get(&counters, CTR_HEP_DROPPED) > 0);
    assert_int_equal(lost, 1);
    assert_int_equal(back, 0);
    fd = collector(&conf.hep, conf.hep.port);
    put(t, "y");
    put(t, "z");
    trace_flush(t);
    struct slice last = receive(fd);
    while (chunk(last, 15).ptr[0] != 'z')
        last = receive(fd);
    for (unsigned i = 0; i < 500 && back == 0; i++) {
        poll(NULL, 0, 20);
        put(t, "x");
        trace_flush(t);
        (void)receive(fd);
    }
    event_set_tap(NULL, NULL);
    assert_int_equal(lost, 1);
    assert_int_equal(back, 1);
    trace_free(&t);
    close(fd);
}

/* No way there: the socket cannot be connected, which is tried again. */
static void test_no_way(void **state)
{
    struct trace_conf conf = {.hep = address("255.255.255.255:9060")};
    struct trace *t = start(&conf);
    (void)state;
    put(t, "x");
    trace_flush(t);
    put(t, "x");
    trace_flush(t);
    assert_int_equal(counter_get(&counters, CTR_HEP_DROPPED), 2);
    int fd = collector(&conf.hep, 0);
    trace_set_conf(t, &conf);
    put(t, "y");
    trace_flush(t);
    IS(receive(fd), 15, "y");
    conf.hep_id = 7; /* the same collector: the socket stays */
    trace_set_conf(t, &conf);
    put(t, "z");
    trace_flush(t);
    IS(receive(fd), 12, "\0\0\0\x07");
    conf.hep = (struct addr){0};
    trace_set_conf(t, &conf);
    put(t, "z");
    trace_flush(t);
    assert_int_equal(counter_get(&counters, CTR_HEP_SENT), 2);
    trace_free(&t);
    close(fd);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_packet),    cmocka_unit_test(test_other_packet),
        cmocka_unit_test(test_too_large), cmocka_unit_test(test_masked),
        cmocka_unit_test(test_queue),     cmocka_unit_test(test_away),
        cmocka_unit_test(test_no_way),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
