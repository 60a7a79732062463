/* SPDX-License-Identifier: Apache-2.0 */
#include "net/udp.h"

#include <errno.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "turn.h"

static struct turn t;
static struct net_udp *a, *b;
static unsigned got, want;
static size_t got_bytes, last_len;
static unsigned out_of_order;
static struct addr last_remote, last_local;
static bool close_inside;

static void on_datagram(void *user, char *data, size_t len, const struct addr *remote,
                        const struct addr *local)
{
    uint32_t n = 0;
    (void)user;
    if (len >= sizeof(n))
        memcpy(&n, data, sizeof(n));
    out_of_order += n != got;
    got++;
    got_bytes += len;
    last_len = len;
    last_remote = *remote;
    last_local = *local;
    data[0] = 'x'; /* writable */
    if (close_inside)
        net_udp_close(&b);
}

static bool all_here(void)
{
    return got >= want;
}

static void begin(const char *ip)
{
    struct addr any = loopback(ip);
    turn_start(&t);
    got = out_of_order = 0;
    got_bytes = 0;
    close_inside = false;
    assert_int_equal(
        net_udp_open(t.loop, &any, &plain_opt, true, &t.counters, on_datagram, NULL, &a), 0);
    assert_int_equal(
        net_udp_open(t.loop, &any, &plain_opt, false, &t.counters, on_datagram, NULL, &b), 0);
}

static void end(void)
{
    net_udp_close(&a);
    net_udp_close(&b);
    turn_stop(&t);
}

static void test_batches_arrive_in_order(void **state)
{
    struct addr to;
    const struct addr none = {.family = ADDR_NONE};
    char bytes[500] = {0};
    (void)state;
    begin("127.0.0.1");
    net_udp_local(b, &to);
    assert_int_not_equal(to.port, 0);
    for (uint32_t i = 0; i < 150; i++) {
        memcpy(bytes, &i, sizeof(i));
        assert_int_equal(net_udp_send(a, &to, &none, bytes, sizeof(bytes)), 0);
    }
    net_udp_flush(a);
    want = 150;
    turn_until(&t, all_here);
    assert_int_equal(got, 150);
    assert_int_equal(out_of_order, 0);
    assert_int_equal(got_bytes, 150 * sizeof(bytes));
    struct addr from;
    net_udp_local(a, &from);
    assert_true(addr_eq(&last_remote, &from));
    end();
}

static void test_large_and_too_large(void **state)
{
    static char bytes[65508];
    struct addr to;
    const struct addr none = {.family = ADDR_NONE};
    (void)state;
    begin("127.0.0.1");
    net_udp_local(b, &to);
    assert_int_equal(net_udp_send(a, &to, &none, bytes, sizeof(bytes)), ERR_LIMIT);
    assert_int_equal(net_udp_send(a, &to, &none, bytes, 65507), 0);
    net_udp_flush(a);
    want = 1;
    turn_until(&t, all_here);
    assert_int_equal(last_len, 65507);
    end();
}

/* A wildcard socket says which address was used, and answers from it. */
static void test_pktinfo(void **state)
{
    const char *wild[] = {"0.0.0.0", "[::]"};
    const char *used[] = {"127.0.0.77", "[::1]"};
    (void)state;
    for (unsigned i = 0; i < 2; i++) {
        begin(wild[i]);
        struct addr at, to = loopback(used[i]);
        const struct addr none = {.family = ADDR_NONE};
        uint32_t zero = 0, one = 1;
        net_udp_local(b, &at);
        to.port = at.port;
        assert_int_equal(net_udp_send(a, &to, &none, &zero, sizeof(zero)), 0);
        net_udp_flush(a);
        want = 1;
        turn_until(&t, all_here);
        assert_true(addr_eq(&last_local, &to));
        struct addr back = last_remote, mine = last_local;
        assert_int_equal(net_udp_send(b, &back, &mine, &one, sizeof(one)), 0);
        net_udp_flush(b);
        want = 2;
        turn_until(&t, all_here);
        assert_true(addr_eq(&last_remote, &mine));
        end();
    }
}

static void test_taken_port(void **state)
{
    struct addr at;
    struct net_udp *c = NULL;
    (void)state;
    begin("127.0.0.1");
    net_udp_local(a, &at); /* bound with SO_REUSEPORT, as another process might do */
    assert_int_equal(
        net_udp_open(t.loop, &at, &plain_opt, true, &t.counters, on_datagram, NULL, &c),
        -EADDRINUSE);
    /* The next worker shares it. */
    assert_int_equal(
        net_udp_open(t.loop, &at, &plain_opt, false, &t.counters, on_datagram, NULL, &c), 0);
    net_udp_close(&c);
    end();
}

static void test_refused_datagram_does_not_stop_the_rest(void **state)
{
    struct addr to, bad = loopback("255.255.255.255"); /* broadcast is not allowed: EACCES */
    const struct addr none = {.family = ADDR_NONE};
    uint32_t n = 0;
    (void)state;
    begin("127.0.0.1");
    net_udp_local(b, &to);
    bad.port = 5060;
    assert_int_equal(net_udp_send(a, &to, &none, &n, sizeof(n)), 0);
    assert_int_equal(net_udp_send(a, &bad, &none, &n, sizeof(n)), 0);
    n = 1;
    assert_int_equal(net_udp_send(a, &to, &none, &n, sizeof(n)), 0);
    net_udp_flush(a);
    want = 2;
    turn_until(&t, all_here);
    assert_int_equal(out_of_order, 0);
    assert_int_equal(counter_get(&t.counters, CTR_UDP_SEND_ERROR), 1);
    end();
}

static void test_close_inside_callback(void **state)
{
    struct addr to;
    const struct addr none = {.family = ADDR_NONE};
    uint32_t n = 0;
    (void)state;
    begin("127.0.0.1");
    net_udp_local(b, &to);
    close_inside = true;
    for (unsigned i = 0; i < 5; i++)
        assert_int_equal(net_udp_send(a, &to, &none, &n, sizeof(n)), 0);
    net_udp_flush(a);
    want = 1;
    turn_until(&t, all_here);
    turn_idle(&t, 10);
    assert_int_equal(got, 1);
    assert_null(b);
    end();
}

static void pass(uint64_t ms)
{
    uint64_t since = net_clock(t.loop);
    while (net_clock(t.loop) - since < ms) {
    }
}

static bool is_in_time(void)
{
    struct net_late late;
    net_take_late(t.loop, &late);
    return late.ms < 29 && late.full == 0;
}

/* The kernel says when it came. */
static void test_late(void **state)
{
    struct addr to;
    const struct addr none = {.family = ADDR_NONE};
    struct net_late late;
    uint32_t n = 0;
    (void)state;
    begin("127.0.0.1");
    net_udp_local(b, &to);
    assert_int_equal(net_udp_send(a, &to, &none, &n, sizeof(n)), 0);
    net_udp_flush(a);
    pass(30);
    want = 1;
    turn_until(&t, all_here);
    net_take_late(t.loop, &late);
    assert_in_range(late.ms, 29, 10000);
    assert_int_equal(late.full, 0);
    turn_until(&t, is_in_time); /* it is told once */
    end();
}

/* With more than a batch waiting it is looked at how much room there is. */
static void test_full_buffer(void **state)
{
    static char bytes[8000];
    struct addr to;
    const struct addr none = {.family = ADDR_NONE};
    struct net_late late;
    (void)state;
    begin("[::]"); /* with the address it came to beside the time */
    net_udp_local(b, &to);
    to = (struct addr){.family = to.family, .port = to.port};
    to.ip[15] = 1;
    for (unsigned i = 0; i < 192; i++) {
        assert_int_equal(net_udp_send(a, &to, &none, bytes, sizeof(bytes)), 0);
        if (i % 16 == 0)
            net_udp_flush(a);
    }
    net_udp_flush(a);
    pass(5);
    want = 1;
    turn_until(&t, all_here);
    assert_true(addr_eq_ip(&last_local, &to));
    net_take_late(t.loop, &late);
    assert_in_range(late.ms, 4, 10000);
    assert_in_range(late.full, 1, 100);
    turn_until(&t, is_in_time);
    end();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_batches_arrive_in_order),
        cmocka_unit_test(test_large_and_too_large),
        cmocka_unit_test(test_pktinfo),
        cmocka_unit_test(test_taken_port),
        cmocka_unit_test(test_refused_datagram_does_not_stop_the_rest),
        cmocka_unit_test(test_close_inside_callback),
        cmocka_unit_test(test_late),
        cmocka_unit_test(test_full_buffer),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
