/* SPDX-License-Identifier: Apache-2.0 */
/* What is sent in runs (segmentation by the kernel) arrives as what it was. */
#include <errno.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/socket.h>

#include "net/udp_int.h"
#include "turn.h"

#define DESTS 3
#define MOST  2000 /* bytes of a datagram */

static struct turn t;
static struct net_udp *from, *to[DESTS];
static unsigned sent[DESTS], got[DESTS], wrong, strange;
static struct addr mine_at, at[DESTS], sender;
static const struct addr none = {.family = ADDR_NONE};

/* Of the n-th one to a destination: its number, the destination and bytes that follow from both. */
static void fill(char *bytes, size_t len, unsigned dest, unsigned n)
{
    for (size_t i = 0; i < len; i++)
        bytes[i] = (char)(i * 7 + n * 31 + dest);
    memcpy(bytes, &n, sizeof(n));
    memcpy(bytes + sizeof(n), &len, sizeof(len));
}

static void on_datagram(void *user, char *data, size_t len, const struct addr *remote,
                        const struct addr *local)
{
    char want[MOST];
    unsigned dest = (unsigned)((struct net_udp **)user - to);
    (void)local;
    fill(want, len, dest, got[dest]);
    wrong += len > MOST || memcmp(data, want, len) != 0;
    strange += sender.family != ADDR_NONE && !addr_eq(remote, &sender);
    got[dest]++;
}

static bool all_here(void)
{
    for (unsigned i = 0; i < DESTS; i++)
        if (got[i] < sent[i])
            return false;
    return true;
}

static bool is_taken(unsigned dest)
{
    for (unsigned i = 0; i < dest; i++)
        if (addr_eq(&at[i], &at[dest]))
            return true;
    return addr_eq(&mine_at, &at[dest]);
}

/* Two that share a slot break each other's runs. */
static bool shares_slot(unsigned dest)
{
    for (unsigned i = 0; i < dest; i++)
        if (udp_slot_of(&at[i]) == udp_slot_of(&at[dest]))
            return true;
    return false;
}

/* The kernel may give two sockets that share their port (SO_REUSEPORT) the same free one. */
static void open_dest(unsigned i, const struct addr *any)
{
    do {
        if (to[i] != NULL)
            net_udp_close(&to[i]);
        assert_int_equal(
            net_udp_open(t.loop, any, &plain_opt, false, &t.counters, on_datagram, &to[i], &to[i]),
            0);
        net_udp_local(to[i], &at[i]);
    } while (is_taken(i) || shares_slot(i));
}

static void begin(const char *ip, const char *own)
{
    struct addr any = loopback(ip), mine = loopback(own);
    turn_start(&t);
    memset(sent, 0, sizeof(sent));
    memset(got, 0, sizeof(got));
    wrong = strange = 0;
    sender = none;
    assert_int_equal(
        net_udp_open(t.loop, &mine, &plain_opt, false, &t.counters, on_datagram, NULL, &from), 0);
    net_udp_local(from, &mine_at);
    for (unsigned i = 0; i < DESTS; i++) {
        to[i] = NULL;
        open_dest(i, &any);
    }
}

static void end(void)
{
    turn_until(&t, all_here);
    turn_idle(&t, 5);
    for (unsigned i = 0; i < DESTS; i++) {
        assert_int_equal(got[i], sent[i]);
        net_udp_close(&to[i]);
    }
    assert_int_equal(wrong, 0);
    assert_int_equal(strange, 0);
    net_udp_close(&from);
    turn_stop(&t);
}

static void give(unsigned dest, size_t len, const struct addr *local)
{
    char bytes[MOST];
    fill(bytes, len, dest, sent[dest]++);
    assert_int_equal(net_udp_send(from, &at[dest], local, bytes, len), 0);
}

/* How many messages the latest batch was. */
static unsigned messages(void)
{
    assert_non_null(from->spare);
    return from->spare->nruns;
}

static void test_one_run_for_each_destination(void **state)
{
    const char *ips[] = {"127.0.0.1", "[::1]"};
    (void)state;
    for (unsigned k = 0; k < 2; k++) {
        begin(ips[k], ips[k]);
        for (unsigned i = 0; i < 90; i++)
            give(i % DESTS, 400, &none);
        net_udp_flush(from);
        if (from->can_segment)
            assert_int_equal(messages(), DESTS);
        else
            assert_int_equal(messages(), 90);
        assert_int_equal(counter_get(&t.counters, CTR_UDP_SEND_ERROR), 0);
        end();
    }
}

/* The last one may be shorter, and ends the run; a longer one begins another. */
static void test_sizes(void **state)
{
    const size_t sizes[] = {400, 400, 300, 400, 400, 500, 500, 20, 500};
    (void)state;
    begin("127.0.0.1", "127.0.0.1");
    for (unsigned i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++)
        give(1, sizes[i], &none);
    net_udp_flush(from);
    if (from->can_segment)
        assert_int_equal(messages(), 4); /* 400 400 300, 400 400, 500 500 20, 500 */
    end();
}

static void test_all_mixed(void **state)
{
    unsigned x = 1;
    (void)state;
    begin("127.0.0.1", "127.0.0.1");
    for (unsigned i = 0; i < 1500; i++) {
        x = x * 1103515245 + 12345;
        size_t len = (x >> 8) % 3 == 0 ? 16 + (x >> 16) % (MOST - 16) : 384;
        give((x >> 4) % DESTS, len, &none);
        if (i % 500 == 499) {
            net_udp_flush(from);
            turn_until(&t, all_here);
        }
    }
    assert_int_equal(from->queued, 0);
    assert_int_equal(from->queued_bytes, 0);
    end();
}

/* More than a run holds, by number and by bytes, and larger than a run may be. */
static void test_limits(void **state)
{
    (void)state;
    begin("127.0.0.1", "127.0.0.1");
    for (unsigned i = 0; i < UDP_RUN_MAX + 3; i++)
        give(0, 100, &none);
    for (unsigned i = 0; i < UDP_RUN_MAX; i++)
        give(1, UDP_RUN_SIZE, &none);
    for (unsigned i = 0; i < 5; i++)
        give(2, UDP_RUN_SIZE + 1, &none);
    net_udp_flush(from);
    if (from->can_segment)
        assert_int_equal(messages(), 2 + 2 + 5);
    end();
}

/* From the address that each is to leave from. */
static void test_sources(void **state)
{
    struct addr one = loopback("127.0.0.7"), other = loopback("127.0.0.8");
    (void)state;
    begin("127.0.0.1", "0.0.0.0");
    net_udp_local(from, &sender);
    one.port = other.port = sender.port;
    sender = one;
    for (unsigned i = 0; i < 20; i++)
        give(0, 300, &one);
    net_udp_flush(from);
    turn_until(&t, all_here);
    sender = none;
    for (unsigned i = 0; i < 20; i++)
        give(0, 300, i % 2 == 0 ? &one : &other);
    net_udp_flush(from);
    assert_int_equal(messages(), 20); /* an address of its own is a run of its own: order stays */
    end();
}

/* A socket without checksums cannot do it: the kernel says so when the first run is sent. */
static void test_refused(void **state)
{
    int one = 1;
    (void)state;
    begin("127.0.0.1", "127.0.0.1");
    bool could = from->can_segment;
    assert_int_equal(setsockopt(from->fd, SOL_SOCKET, SO_NO_CHECK, &one, sizeof(one)), 0);
    for (unsigned k = 0; k < UDP_RUN_FAULTS; k++) {
        assert_true(from->can_segment == could);
        give(1, 300, &none);
        for (unsigned i = 0; i < 40; i++)
            give(i % 2, 400, &none);
        give(2, 300, &none);
        net_udp_flush(from);
        assert_int_equal(messages(), 42);
        turn_until(&t, all_here);
    }
    assert_false(from->can_segment); /* for ever */
    give(0, 400, &none);
    give(0, 400, &none);
    net_udp_flush(from);
    assert_int_equal(messages(), 2);
    assert_int_equal(counter_get(&t.counters, CTR_UDP_SEND_ERROR), 0);
    assert_int_equal(from->queued, 0);
    end();
}

/* An error of one destination is that of all datagrams of its run, and of no other. */
static void test_bad_destination(void **state)
{
    struct addr bad = loopback("255.255.255.255"); /* broadcast is not allowed: EACCES */
    char bytes[400] = {0};
    (void)state;
    begin("127.0.0.1", "127.0.0.1");
    bad.port = 5060;
    for (unsigned i = 0; i < 10; i++) {
        give(0, 400, &none);
        assert_int_equal(net_udp_send(from, &bad, &none, bytes, sizeof(bytes)), 0);
        give(1, 400, &none);
    }
    net_udp_flush(from);
    assert_int_equal(counter_get(&t.counters, CTR_UDP_SEND_ERROR), 10);
    assert_int_equal(from->queued, 0);
    end();
}

/* --- what may wait ---------------------------------------------------------------------------- */

static void give_later(unsigned dest)
{
    char bytes[MOST];
    fill(bytes, 400, dest, sent[dest]++);
    assert_int_equal(net_udp_send_later(from, &at[dest], &none, bytes, 400), 0);
}

/* It leaves when its time is over, without anybody asking. */
static void test_later(void **state)
{
    (void)state;
    begin("127.0.0.1", "127.0.0.1");
    give_later(0);
    assert_null(from->later); /* nothing comes in: why should it wait? */
    net_udp_flush(from);
    from->is_busy = true;
    for (unsigned i = 0; i < 30; i++)
        give_later(i % DESTS);
    assert_non_null(from->later);
    assert_int_equal(from->queued, 30);
    turn_until(&t, all_here);
    if (from->can_segment)
        assert_int_equal(messages(), DESTS);
    assert_null(from->later);
    end();
}

/* A whole batch does not wait; nor does anything when the socket is closed. */
static void test_later_ends(void **state)
{
    (void)state;
    begin("127.0.0.1", "127.0.0.1");
    from->is_busy = true;
    for (unsigned i = 0; i < UDP_SEND_BATCH + 5; i++)
        give_later(0);
    assert_int_equal(from->queued, 5);
    struct net_udp *other = from;
    net_udp_close(&other);
    turn_until(&t, all_here);
    struct addr mine = loopback("127.0.0.1");
    assert_int_equal(
        net_udp_open(t.loop, &mine, &plain_opt, false, &t.counters, on_datagram, NULL, &from), 0);
    end();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_one_run_for_each_destination),
        cmocka_unit_test(test_sizes),
        cmocka_unit_test(test_all_mixed),
        cmocka_unit_test(test_limits),
        cmocka_unit_test(test_sources),
        cmocka_unit_test(test_refused),
        cmocka_unit_test(test_bad_destination),
        cmocka_unit_test(test_later),
        cmocka_unit_test(test_later_ends),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
