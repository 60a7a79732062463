/* SPDX-License-Identifier: Apache-2.0 */
/* ICMP about datagrams that were sent: what is told, and that nothing else is lost by it. */
#include <errno.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "net/udp_int.h"
#include "turn.h"

#define LEN   300 /* bytes of a datagram */
#define SHORT 200

static struct turn t;
static struct net_udp *from, *alive;
static struct addr dead_at, alive_at;
static unsigned got, want, refused, want_refused, wrong, out_of_order;
static size_t shortest; /* quote */
static bool close_inside;
static const struct addr none = {.family = ADDR_NONE};

static void on_datagram(void *user, char *data, size_t len, const struct addr *remote,
                        const struct addr *local)
{
    unsigned n;
    (void)user;
    (void)remote;
    (void)local;
    wrong += len != LEN;
    memcpy(&n, data, sizeof(n));
    out_of_order += n != got++;
}

static void on_unreached(void *user, const struct addr *remote, int err, struct slice quote)
{
    assert_ptr_equal(user, &from);
    wrong += !addr_eq(remote, &dead_at) || err != -ECONNREFUSED;
    /* Of a run on this machine one error comes, which quotes on into the next datagram. */
    for (size_t i = sizeof(unsigned); i < quote.len && i < SHORT; i++)
        wrong += quote.ptr[i] != 'd';
    if (quote.len < shortest)
        shortest = quote.len;
    refused++;
    if (close_inside)
        net_udp_close(&from);
}

static bool all_here(void)
{
    return got >= want && refused >= want_refused;
}

/* A port where nobody listens. */
static struct addr closed_port(const char *ip)
{
    struct addr at, any = loopback(ip);
    struct net_udp *udp;
    assert_int_equal(
        net_udp_open(t.loop, &any, &plain_opt, false, &t.counters, on_datagram, NULL, &udp), 0);
    net_udp_local(udp, &at);
    net_udp_close(&udp);
    return at;
}

static void begin(const char *ip, const char *own)
{
    struct addr any = loopback(ip), mine = loopback(own);
    turn_start(&t);
    got = want = refused = want_refused = wrong = out_of_order = 0;
    shortest = SIZE_MAX;
    close_inside = false;
    assert_int_equal(
        net_udp_open(t.loop, &mine, &plain_opt, false, &t.counters, on_datagram, &from, &from), 0);
    net_udp_set_unreached(from, on_unreached);
    assert_int_equal(
        net_udp_open(t.loop, &any, &plain_opt, false, &t.counters, on_datagram, NULL, &alive), 0);
    net_udp_local(alive, &alive_at);
    dead_at = closed_port(ip);
    turn_idle(&t, 2); /* closed for good */
}

static void end(void)
{
    assert_int_equal(wrong, 0);
    assert_int_equal(out_of_order, 0);
    net_udp_close(&from);
    net_udp_close(&alive);
    turn_stop(&t);
}

static void give(const struct addr *to, unsigned n, size_t len)
{
    char bytes[LEN];
    memset(bytes, 'd', sizeof(bytes));
    memcpy(bytes, &n, sizeof(n));
    assert_int_equal(net_udp_send(from, to, &none, bytes, len), 0);
}

static void test_told(void **state)
{
    const char *ips[] = {"127.0.0.1", "[::1]", "127.0.0.1", "[::1]"};
    const char *own[] = {"127.0.0.1", "[::1]", "0.0.0.0", "[::]"};
    (void)state;
    for (unsigned i = 0; i < sizeof(ips) / sizeof(ips[0]); i++) {
        begin(ips[i], own[i]);
        give(&dead_at, 0, LEN);
        net_udp_flush(from);
        want_refused = 1;
        turn_until(&t, all_here);
        assert_int_equal(refused, 1);
        assert_int_equal(shortest, LEN);
        assert_int_equal(counter_get(&t.counters, CTR_ICMP), 1);
        assert_int_equal(counter_get(&t.counters, CTR_ICMP_IGNORED), 0);
        /* It goes on being told, and the socket goes on. */
        give(&dead_at, 0, LEN);
        give(&alive_at, 0, LEN);
        net_udp_flush(from);
        want_refused = 2;
        want = 1;
        turn_until(&t, all_here);
        assert_int_equal(counter_get(&t.counters, CTR_UDP_SEND_ERROR), 0);
        end();
    }
}

/* The error of one datagram is told by the kernel to the send of another: each of these is sent
 * nevertheless, alone and in runs, and none is counted as not sent. */
static void test_nothing_is_lost(void **state)
{
    const char *ips[] = {"127.0.0.1", "[::1]"};
    (void)state;
    for (unsigned k = 0; k < 4; k++) {
        begin(ips[k % 2], ips[k % 2]);
        if (k >= 2)
            from->can_segment = false;
        unsigned n = 0;
        for (unsigned i = 0; i < 600; i++) {
            /* Sizes that end runs, so that there are many of either. */
            give(&dead_at, i, i % 7 == 0 ? SHORT : LEN);
            for (unsigned j = 0; j < i % 3; j++)
                give(&alive_at, n++, LEN);
            if (i % 11 == 0)
                net_udp_flush(from);
        }
        net_udp_flush(from);
        want = n;
        want_refused = 100;
        turn_until(&t, all_here);
        assert_int_equal(got, n);
        assert_int_equal(counter_get(&t.counters, CTR_UDP_SEND_ERROR), 0);
        assert_int_equal(counter_get(&t.counters, CTR_UDP_DROPPED), 0);
        assert_int_equal(counter_get(&t.counters, CTR_ICMP), refused);
        assert_int_equal(from->run_faults, 0);
        end();
    }
}

/* Of the socket that has sent to a closed port, and gets datagrams itself. */
static void test_receives_meanwhile(void **state)
{
    struct addr mine;
    char bytes[LEN] = {0};
    (void)state;
    begin("127.0.0.1", "127.0.0.1");
    net_udp_local(from, &mine);
    for (unsigned i = 0; i < 200; i++) {
        give(&dead_at, i, LEN);
        net_udp_flush(from);
        memcpy(bytes, &i, sizeof(i));
        assert_int_equal(net_udp_send(alive, &mine, &none, bytes, sizeof(bytes)), 0);
        net_udp_flush(alive);
    }
    want = want_refused = 200;
    turn_until(&t, all_here);
    assert_int_equal(got, 200);
    assert_int_equal(refused, 200);
    end();
}

/* More than one turn takes. */
static void test_many(void **state)
{
    (void)state;
    begin("127.0.0.1", "127.0.0.1");
    for (unsigned i = 0; i < 1000; i++) {
        give(&dead_at, i, LEN);
        net_udp_flush(from);
    }
    want_refused = 1000;
    turn_until(&t, all_here);
    assert_int_equal(refused, 1000);
    end();
}

static void test_nobody_is_told(void **state)
{
    (void)state;
    begin("127.0.0.1", "127.0.0.1");
    net_udp_set_unreached(from, NULL);
    give(&dead_at, 0, LEN);
    give(&alive_at, 0, LEN);
    net_udp_flush(from);
    want = 1;
    turn_until(&t, all_here);
    turn_idle(&t, 5);
    assert_int_equal(refused, 0);
    assert_int_equal(counter_get(&t.counters, CTR_ICMP_IGNORED), 1);
    end();
}

static void test_close_inside(void **state)
{
    (void)state;
    begin("127.0.0.1", "127.0.0.1");
    close_inside = true;
    for (unsigned i = 0; i < 5; i++)
        give(&dead_at, i, LEN);
    net_udp_flush(from);
    want_refused = 1;
    turn_until(&t, all_here);
    turn_idle(&t, 5);
    assert_int_equal(refused, 1);
    assert_null(from);
    end();
}

/* One that is told nothing of its own when it is sent: it fails, and no other one does. */
static void test_own_errors(void **state)
{
    struct addr bad = loopback("255.255.255.255"); /* EACCES */
    (void)state;
    begin("127.0.0.1", "127.0.0.1");
    bad.port = 5060;
    for (unsigned i = 0; i < 20; i++) {
        give(&dead_at, i, LEN);
        give(&bad, i, LEN);
        give(&alive_at, i, LEN);
        net_udp_flush(from);
    }
    want = want_refused = 20;
    turn_until(&t, all_here);
    assert_int_equal(counter_get(&t.counters, CTR_UDP_SEND_ERROR), 20);
    end();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_told),
        cmocka_unit_test(test_nothing_is_lost),
        cmocka_unit_test(test_receives_meanwhile),
        cmocka_unit_test(test_many),
        cmocka_unit_test(test_nobody_is_told),
        cmocka_unit_test(test_close_inside),
        cmocka_unit_test(test_own_errors),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
