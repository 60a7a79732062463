/* SPDX-License-Identifier: Apache-2.0 */
#include "net/stream.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/buf.h"
#include "turn.h"

static struct turn t;
static struct net_listener *listener;
static struct addr at;
static struct net_stream *server, *client;
static unsigned accepted, opened, ended;
static int end_err;
static char bytes[1 << 16];
static bool use_pattern;
static size_t nbytes, want;
static bool close_in_data;

static void on_open(void *user)
{
    (void)user;
    opened++;
}

static char pattern(size_t i)
{
    return (char)(i * 7 + i / 251);
}

static void on_data(void *user, const char *data, size_t len)
{
    if (use_pattern) {
        for (size_t i = 0; i < len; i++) {
            if (data[i] != pattern(nbytes + i))
                fail_msg("byte %zu is wrong", nbytes + i);
        }
        nbytes += len;
        return;
    }
    assert_true(nbytes + len <= sizeof(bytes));
    memcpy(bytes + nbytes, data, len);
    nbytes += len;
    if (close_in_data)
        net_stream_close(user, true);
}

static void on_end(void *user, int err)
{
    ended++;
    end_err = err;
    net_stream_close(user, false);
}

static const struct net_stream_events events = {on_open, on_data, on_end};

static void on_accept(void *user, struct net_stream *s, const struct addr *remote,
                      const struct addr *local)
{
    (void)user;
    assert_int_not_equal(remote->port, 0);
    assert_true(addr_eq(local, &at));
    accepted++;
    if (server != NULL) {
        net_stream_close(&s, true);
        return;
    }
    server = s;
    net_stream_set(s, &events, &server);
}

static void begin(void)
{
    struct addr any = loopback("127.0.0.1");
    turn_start(&t);
    accepted = opened = ended = 0;
    end_err = 0;
    nbytes = 0;
    server = client = NULL;
    close_in_data = use_pattern = false;
    assert_int_equal(
        net_listener_open(t.loop, &any, &plain_opt, true, &t.counters, on_accept, NULL, &listener),
        0);
    net_listener_local(listener, &at);
}

static void end(void)
{
    net_stream_close(&server, true);
    net_stream_close(&client, true);
    net_listener_close(&listener);
    turn_stop(&t);
}

static bool both_up(void)
{
    return opened == 1 && server != NULL;
}

static bool has_ended(void)
{
    return ended != 0;
}

static bool enough(void)
{
    return nbytes >= want;
}

static void open_client(void)
{
    const struct addr none = {.family = ADDR_NONE};
    assert_int_equal(
        net_stream_open(t.loop, &none, &at, &plain_opt, 3000, NULL, &events, &client, &client), 0);
}

static void test_open_write_read(void **state)
{
    (void)state;
    begin();
    open_client();
    assert_int_equal(net_stream_write(client, "before ", 7), 0); /* allowed before on_open */
    turn_until(&t, both_up);
    assert_int_equal(net_stream_write(client, "and ", 4), 0);
    assert_int_equal(net_stream_write(client, "after", 5), 0);
    want = 16;
    turn_until(&t, enough);
    assert_memory_equal(bytes, "before and after", 16);
    assert_int_equal(net_stream_queued(client), 0);
    end();
}

/* More than the kernel holds waits in our queue, and arrives whole and in order. */
static void test_large_write_waits_for_the_reader(void **state)
{
    static char piece[1 << 20];
    size_t written = 0;
    (void)state;
    begin();
    open_client();
    turn_until(&t, both_up);
    net_stream_read_pause(server, true);
    net_stream_set_max(client, 2 * sizeof(piece));
    while (net_stream_queued(client) == 0 && written < (64u << 20)) {
        for (size_t i = 0; i < sizeof(piece); i++)
            piece[i] = pattern(written + i);
        assert_int_equal(net_stream_write(client, piece, sizeof(piece)), 0);
        written += sizeof(piece);
        net_stream_flush_all(t.loop);
    }
    assert_true(net_stream_queued(client) > 0);
    assert_true(net_stream_unacked(client) > net_stream_queued(client));
    turn_idle(&t, 5);
    assert_int_equal(nbytes, 0);
    /* More than the queue may hold is refused whole. */
    net_stream_set_max(client, net_stream_queued(client) + 10);
    assert_int_equal(net_stream_write(client, piece, 11), ERR_FULL);
    use_pattern = true;
    net_stream_read_pause(server, false);
    want = written;
    turn_until(&t, enough);
    assert_int_equal(nbytes, written);
    end();
}

static uint64_t last_end;
static unsigned longer; /* turns that were later than they were long */

/* At the end of each turn. */
static bool enough_late(void)
{
    struct net_late late;
    uint64_t now = net_clock(t.loop);
    net_take_late(t.loop, &late);
    longer += last_end != 0 && late.ms > now - last_end;
    last_end = now;
    return enough();
}

/* Where turn after turn brings a full buffer, what comes next waits for longer than a turn. */
static void test_late(void **state)
{
    static char piece[1 << 20];
    (void)state;
    begin();
    open_client();
    turn_until(&t, both_up);
    net_stream_read_pause(server, true);
    net_stream_set_max(client, 2 * sizeof(piece));
    for (want = 0; net_stream_queued(client) == 0 && want < (64u << 20); want += sizeof(piece)) {
        for (size_t i = 0; i < sizeof(piece); i++)
            piece[i] = pattern(want + i);
        assert_int_equal(net_stream_write(client, piece, sizeof(piece)), 0);
        net_stream_flush_all(t.loop);
    }
    use_pattern = true;
    longer = 0;
    last_end = 0;
    net_stream_read_pause(server, false);
    turn_until(&t, enough_late);
    assert_true(longer >= 3);
    struct net_late late;
    turn_idle(&t, 5);
    net_take_late(t.loop, &late);
    turn_idle(&t, 5);
    net_take_late(t.loop, &late);
    assert_in_range(late.ms, 0, 100); /* it is over */
    end();
}

static unsigned turn_ends;
static struct net_late first, again;

/* A turn of 20 ms, in which a stream ends while it is flushed: that is told, and the turn ends
 * again. */
static bool has_ended_again(void)
{
    if (turn_ends++ != 0) {
        if (turn_ends == 2)
            net_take_late(t.loop, &again);
        return true;
    }
    uint64_t over = net_clock(t.loop) + 20;
    while (net_clock(t.loop) < over) {
    }
    net_stream_close(&server, true);
    while (net_stream_write(client, "x", 1) == 0 && net_clock(t.loop) < over + 5000)
        net_stream_flush_all(t.loop); /* until the reset has arrived */
    net_take_late(t.loop, &first);
    return false;
}

/* Whoever asks at each end of a turn is not told that this one was short. */
static void test_late_when_the_turn_ends_again(void **state)
{
    (void)state;
    begin();
    open_client();
    turn_until(&t, both_up);
    turn_ends = 0;
    turn_until(&t, has_ended_again);
    assert_int_equal(ended, 1);
    assert_in_range(first.ms, 20, UINT32_MAX);
    assert_int_equal(again.ms, first.ms);
    assert_true(again.now >= first.now);
    end();
}

static void test_fin(void **state)
{
    (void)state;
    begin();
    open_client();
    turn_until(&t, both_up);
    assert_int_equal(net_stream_write(client, "last", 4), 0);
    net_stream_close(&client, false); /* what is queued is tried once */
    turn_until(&t, has_ended);
    assert_int_equal(end_err, ERR_CLOSED);
    assert_memory_equal(bytes, "last", 4);
    assert_null(server);
    end();
}

static void test_rst(void **state)
{
    (void)state;
    begin();
    open_client();
    turn_until(&t, both_up);
    net_stream_close(&client, true);
    turn_until(&t, has_ended);
    assert_int_equal(end_err, -ECONNRESET);
    end();
}

/* What came before a reset is handed out before the end is told. */
static void test_data_before_rst(void **state)
{
    (void)state;
    begin();
    open_client();
    turn_until(&t, both_up);
    net_stream_read_pause(server, true);
    assert_int_equal(net_stream_write(client, "final", 5), 0);
    turn_idle(&t, 5);
    net_stream_close(&client, true);
    turn_idle(&t, 5);
    /* Writing is how we notice. */
    assert_int_equal(net_stream_write(server, "x", 1), 0);
    turn_until(&t, has_ended);
    assert_int_equal(nbytes, 5);
    assert_memory_equal(bytes, "final", 5);
    end();
}

static void test_refused(void **state)
{
    const struct addr none = {.family = ADDR_NONE};
    (void)state;
    begin();
    struct addr gone = at;
    net_listener_close(&listener);
    int rc =
        net_stream_open(t.loop, &none, &gone, &plain_opt, 3000, NULL, &events, &client, &client);
    if (rc == 0) {
        turn_until(&t, has_ended);
        rc = end_err;
    }
    assert_int_equal(rc, -ECONNREFUSED);
    assert_null(client);
    end();
}

/* A listener whose queue is full and that never accepts drops further SYNs. */
static void test_connect_timeout(void **state)
{
    struct addr full = loopback("127.0.0.1");
    struct sockaddr_in sa = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof(sa);
    const struct addr none = {.family = ADDR_NONE};
    int filler[8];
    (void)state;
    begin();
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    assert_int_equal(bind(fd, (struct sockaddr *)&sa, sizeof(sa)), 0);
    assert_int_equal(listen(fd, 0), 0);
    assert_int_equal(getsockname(fd, (struct sockaddr *)&sa, &len), 0);
    full.port = ntohs(sa.sin_port);
    for (unsigned i = 0; i < 8; i++) {
        filler[i] = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
        (void)!connect(filler[i], (struct sockaddr *)&sa, sizeof(sa));
    }
    assert_int_equal(
        net_stream_open(t.loop, &none, &full, &plain_opt, 60, NULL, &events, &client, &client), 0);
    turn_until(&t, has_ended);
    assert_int_equal(end_err, -ETIMEDOUT);
    assert_int_equal(opened, 0);
    for (unsigned i = 0; i < 8; i++)
        close(filler[i]);
    close(fd);
    end();
}

static void test_close_inside_data(void **state)
{
    (void)state;
    begin();
    open_client();
    turn_until(&t, both_up);
    close_in_data = true;
    assert_int_equal(net_stream_write(client, "x", 1), 0);
    want = 1;
    turn_until(&t, enough);
    assert_null(server);
    turn_until(&t, has_ended); /* the client sees the reset */
    end();
}

static bool paused(void)
{
    return counter_get(&t.counters, CTR_ACCEPT_PAUSED) >= 2;
}

static bool paused_once(void)
{
    return counter_get(&t.counters, CTR_ACCEPT_PAUSED) >= 1;
}

static bool accepted_one(void)
{
    return accepted == 1;
}

static void test_out_of_descriptors(void **state)
{
    struct rlimit old, low;
    struct sockaddr_in sa = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    (void)state;
    begin();
    sa.sin_port = htons(at.port);
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &old), 0);
    int next = dup(fd);
    close(next);
    low = (struct rlimit){(rlim_t)next, old.rlim_max}; /* no descriptor is left */
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &low), 0);
    assert_int_equal(connect(fd, (struct sockaddr *)&sa, sizeof(sa)), 0);
    turn_until(&t, paused);
    assert_int_equal(accepted, 0);
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &old), 0);
    turn_until(&t, accepted_one);
    close(fd);
    end();
}

/* Accepting leaves some descriptors for what we open ourselves. */
static void test_last_descriptors_are_kept(void **state)
{
    struct rlimit old, low;
    struct sockaddr_in sa = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int held[64], n = 0, fd;
    char byte;
    (void)state;
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &old), 0);
    low = (struct rlimit){64, old.rlim_max};
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &low), 0);
    begin();
    sa.sin_port = htons(at.port);
    int refused = socket(AF_INET, SOCK_STREAM, 0), good = socket(AF_INET, SOCK_STREAM, 0);
    do {
        fd = dup(refused);
        assert_true(fd >= 0 && n < 64);
        held[n++] = fd;
    } while (fd < 64 - 64 / 8 - 1);
    assert_int_equal(connect(refused, (struct sockaddr *)&sa, sizeof(sa)), 0);
    turn_until(&t, paused_once);
    assert_int_equal(accepted, 0);
    assert_true(recv(refused, &byte, 1, 0) <= 0); /* told so, and not left to wait */
    fd = dup(refused);                            /* there are some left */
    assert_true(fd >= 0);
    close(fd);
    while (n > 0)
        close(held[--n]);
    assert_int_equal(connect(good, (struct sockaddr *)&sa, sizeof(sa)), 0);
    turn_until(&t, accepted_one);
    close(refused);
    close(good);
    end();
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &old), 0);
}

static void test_taken_port(void **state)
{
    struct net_listener *other = NULL;
    (void)state;
    begin();
    assert_int_equal(
        net_listener_open(t.loop, &at, &plain_opt, true, &t.counters, on_accept, NULL, &other),
        -EADDRINUSE);
    assert_int_equal(
        net_listener_open(t.loop, &at, &plain_opt, false, &t.counters, on_accept, NULL, &other), 0);
    net_listener_close(&other);
    end();
}

static int stream_opt(int fd, int level, int name)
{
    int v = -1;
    socklen_t len = sizeof(v);
    assert_int_equal(getsockopt(fd, level, name, &v, &len), 0);
    return v;
}

/* Finds the descriptor of the accepted socket by its address: the face does not show it. */
static int fd_of_server(void)
{
    for (int fd = 3; fd < 64; fd++) {
        struct sockaddr_in sa;
        socklen_t len = sizeof(sa);
        if (getpeername(fd, (struct sockaddr *)&sa, &len) == 0 && sa.sin_family == AF_INET &&
            getsockname(fd, (struct sockaddr *)&sa, &len) == 0 && ntohs(sa.sin_port) == at.port)
            return fd;
    }
    fail_msg("no such socket");
    return -1;
}

static void test_accepted_sockets_inherit(void **state)
{
    struct net_sockopt opt = {.keep_alive = true,
                              .keep_idle = 11,
                              .keep_interval = 12,
                              .keep_probes = 13,
                              .user_timeout = 14000,
                              .tos = 0x60};
    (void)state;
    begin();
    net_listener_set_opt(listener, &opt);
    open_client();
    turn_until(&t, both_up);
    int fd = fd_of_server();
    assert_int_equal(stream_opt(fd, SOL_SOCKET, SO_KEEPALIVE), 1);
    assert_int_equal(stream_opt(fd, IPPROTO_TCP, TCP_KEEPIDLE), 11);
    assert_int_equal(stream_opt(fd, IPPROTO_TCP, TCP_KEEPINTVL), 12);
    assert_int_equal(stream_opt(fd, IPPROTO_TCP, TCP_KEEPCNT), 13);
    assert_int_equal(stream_opt(fd, IPPROTO_TCP, TCP_USER_TIMEOUT), 14000);
    assert_int_equal(stream_opt(fd, IPPROTO_TCP, TCP_NODELAY), 1);
    assert_int_equal(stream_opt(fd, IPPROTO_IP, IP_TOS), 0x60);
    net_stream_set_user_timeout(server, 5000);
    assert_int_equal(stream_opt(fd, IPPROTO_TCP, TCP_USER_TIMEOUT), 5000);
    end();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_open_write_read),
        cmocka_unit_test(test_large_write_waits_for_the_reader),
        cmocka_unit_test(test_late),
        cmocka_unit_test(test_late_when_the_turn_ends_again),
        cmocka_unit_test(test_fin),
        cmocka_unit_test(test_rst),
        cmocka_unit_test(test_data_before_rst),
        cmocka_unit_test(test_refused),
        cmocka_unit_test(test_connect_timeout),
        cmocka_unit_test(test_close_inside_data),
        cmocka_unit_test(test_out_of_descriptors),
        cmocka_unit_test(test_last_descriptors_are_kept),
        cmocka_unit_test(test_taken_port),
        cmocka_unit_test(test_accepted_sockets_inherit),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
