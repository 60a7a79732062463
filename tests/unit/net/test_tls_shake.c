/* SPDX-License-Identifier: Apache-2.0 */
/* Handshakes that do not come to an end, peers that speak something else, and very many at once. */
#include <errno.h>
#include <netinet/in.h>
#include <openssl/err.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/alloc.h"
#include "net/tls_int.h"
#include "tls_rig.h"

#define HALF    "\x16\x03\x01\x02\x00\x01" /* begins a ClientHello of 512 bytes */
#define SLOW_MS 600000 /* where nothing is to end by its time, however slow the machine is */

static unsigned wanted;

/* A peer of any kind, from a source address of its own. */
static int raw_connect(const char *source)
{
    struct addr from = loopback(source);
    union net_sockaddr sa;
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    assert_true(fd >= 0);
    size_t len = addr_to_sockaddr(&from, &sa.sa);
    assert_int_equal(bind(fd, &sa.sa, (socklen_t)len), 0);
    len = addr_to_sockaddr(&rig.at, &sa.sa);
    assert_int_equal(connect(fd, &sa.sa, (socklen_t)len), 0);
    return fd;
}

static void raw_send(int fd, const char *bytes, size_t len)
{
    assert_int_equal(send(fd, bytes, len, MSG_NOSIGNAL), (ssize_t)len);
}

static const struct tls_gate *gate(void)
{
    return &rig.t.loop->gate;
}

static bool lines_are_empty(void)
{
    return gate()->nline == 0 && gate()->nactive == 0;
}

static bool refused_wanted(void)
{
    return rig.refused >= wanted;
}

static bool in_line(void)
{
    return gate()->nline + gate()->nactive >= wanted;
}

static bool active_wanted(void)
{
    return gate()->nactive >= wanted;
}

static void check_raw(const char *bytes, size_t len, bool closes, int err, enum counter counter)
{
    rig_begin(NULL, NULL);
    rig_listen(err == -ETIMEDOUT ? 60 : SLOW_MS, 10);
    int fd = raw_connect("127.0.0.1");
    raw_send(fd, bytes, len);
    if (closes)
        assert_int_equal(shutdown(fd, SHUT_WR), 0);
    turn_until(&rig.t, rig_has_refused);
    assert_int_equal(rig.refusal, err);
    assert_int_equal(counter_get(&rig.t.counters, counter), 1);
    assert_int_equal(rig.accepted, 0);
    assert_true(lines_are_empty());
    close(fd);
    rig_end();
}

static void test_plain_sip_on_the_tls_port(void **state)
{
    (void)state;
    check_raw("OPTIONS sip:a SIP/2.0\r\n", 23, false, ERR_TLS_PLAIN, CTR_TLS_PLAIN);
    check_raw("\r\n\r\n", 4, false, ERR_TLS_PLAIN, CTR_TLS_PLAIN);
    check_raw("\x80", 1, false, ERR_TLS_PLAIN, CTR_TLS_PLAIN);
}

static void test_half_a_handshake(void **state)
{
    (void)state;
    check_raw("", 0, false, -ETIMEDOUT, CTR_TLS_TIMEOUT);
    check_raw(HALF, 6, false, -ETIMEDOUT, CTR_TLS_TIMEOUT);
    check_raw("", 0, true, ERR_CLOSED, CTR_TLS_FAILED);
    check_raw(HALF, 6, true, ERR_CLOSED, CTR_TLS_FAILED);
}

static void test_nonsense_in_a_record(void **state)
{
    (void)state;
    check_raw("\x16\x03\x01\x00\x05\x63nons", 10, false, ERR_TLS_HANDSHAKE, CTR_TLS_FAILED);
    check_raw("\x17\x03\x03\x00\x05nonse", 10, false, ERR_TLS_HANDSHAKE, CTR_TLS_FAILED);
}

static void test_reset_in_the_handshake(void **state)
{
    struct linger none = {1, 0};
    (void)state;
    rig_begin(NULL, NULL);
    int fd = raw_connect("127.0.0.1");
    raw_send(fd, HALF, 6);
    wanted = 1;
    turn_until(&rig.t, active_wanted);
    assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_LINGER, &none, sizeof(none)), 0);
    close(fd);
    turn_until(&rig.t, rig_has_refused);
    assert_int_equal(rig.refusal, -ECONNRESET);
    rig_end();
}

/* --- a server that does not speak TLS --------------------------------------------------------- */

static const char *reply;

static void on_data_reply(void *user, const char *data, size_t len)
{
    struct side *s = user;
    (void)data;
    (void)len;
    if (reply == NULL)
        net_stream_close(&s->stream, false);
    else
        assert_int_equal(net_stream_write(s->stream, reply, strlen(reply)), 0);
}

static int against(const char *answer, uint32_t timeout_ms)
{
    const struct addr none = {.family = ADDR_NONE};
    struct net_stream_events answering = rig_events;
    struct net_tls_client client = {rig.client_tls, "localhost", &rig.client_counters};
    answering.on_data = on_data_reply;
    reply = answer;
    net_listener_set_tls(rig.listener, NULL, 0, 0, NULL);
    rig.server = rig.client = (struct side){0};
    assert_int_equal(net_stream_open(rig.t.loop, &none, &rig.at, &plain_opt, timeout_ms, &client,
                                     &rig_events, &rig.client, &rig.client.stream),
                     0);
    rig.server_events = &answering;
    turn_until(&rig.t, rig_client_ended);
    assert_int_equal(rig.client.opened, 0);
    rig_close();
    return rig.client.err;
}

static void test_server_without_tls(void **state)
{
    (void)state;
    rig_begin(NULL, NULL);
    assert_int_equal(against("SIP/2.0 400 Bad Request\r\n\r\n", SLOW_MS), ERR_TLS_PLAIN);
    assert_int_equal(rig_count(CTR_TLS_PLAIN), 1);
    assert_int_equal(against("", 60), -ETIMEDOUT);
    assert_int_equal(rig_count(CTR_TLS_TIMEOUT), 1);
    int err = against(NULL, SLOW_MS);
    assert_true(err == ERR_CLOSED || err == -ECONNRESET);
    assert_int_equal(rig_count(CTR_TLS_FAILED), 1);
    rig_end();
}

static void test_name_too_long(void **state)
{
    static char name[300];
    const struct addr none = {.family = ADDR_NONE};
    struct net_stream *s = NULL;
    (void)state;
    memset(name, 'a', sizeof(name) - 1);
    rig_begin(NULL, NULL);
    struct net_tls_client client = {rig.client_tls, name, NULL};
    assert_int_equal(net_stream_open(rig.t.loop, &none, &rig.at, &plain_opt, 5000, &client,
                                     &rig_events, &rig.client, &s),
                     -ENAMETOOLONG);
    assert_null(s);
    rig_end();
}

/* The owner gives up in the middle. */
static void test_closed_while_it_opens(void **state)
{
    (void)state;
    rig_begin(NULL, NULL);
    rig_open("localhost");
    net_stream_close(&rig.client.stream, true);
    rig_open("localhost");
    wanted = 1;
    turn_until(&rig.t, active_wanted);
    net_stream_close(&rig.client.stream, false);
    wanted = rig.refused + 1;
    turn_until(&rig.t, refused_wanted);
    assert_int_equal(rig.client.opened + rig.client.ended, 0);
    rig_end();
}

/* --- places and the line ---------------------------------------------------------------------- */

/* One source has the most, but not the last quarter. */
static void test_a_source_has_a_share(void **state)
{
    int fd[5];
    (void)state;
    rig_begin(NULL, NULL);
    rig_listen(SLOW_MS, 4);
    for (unsigned i = 0; i < 4; i++) {
        fd[i] = raw_connect("127.0.0.1");
        raw_send(fd[i], HALF, 6);
    }
    wanted = 4;
    turn_until(&rig.t, in_line);
    turn_idle(&rig.t, 10);
    assert_int_equal(gate()->nactive, 3);
    assert_int_equal(gate()->nline, 1);
    fd[4] = raw_connect("127.0.0.2");
    raw_send(fd[4], HALF, 6);
    wanted = 4;
    turn_until(&rig.t, active_wanted);
    assert_int_equal(gate()->nline, 1);
    /* A place becomes free and the one that waits takes it. */
    close(fd[0]);
    turn_until(&rig.t, rig_has_refused);
    close(fd[1]);
    wanted = 2;
    turn_until(&rig.t, refused_wanted);
    assert_int_equal(gate()->nline, 0);
    for (unsigned i = 2; i < 5; i++)
        close(fd[i]);
    wanted = 5;
    turn_until(&rig.t, refused_wanted);
    assert_true(lines_are_empty());
    rig_end();
}

/* Who has no place when the time is up is told so. */
static void test_waiting_ends(void **state)
{
    int fd[4];
    (void)state;
    rig_begin(NULL, NULL);
    rig_listen(60, 4);
    for (unsigned i = 0; i < 4; i++) {
        fd[i] = raw_connect("127.0.0.1");
        raw_send(fd[i], HALF, 6);
    }
    wanted = 4;
    turn_until(&rig.t, refused_wanted);
    assert_int_equal(counter_get(&rig.t.counters, CTR_TLS_TIMEOUT) +
                         counter_get(&rig.t.counters, CTR_TLS_BUSY),
                     4);
    assert_true(lines_are_empty());
    for (unsigned i = 0; i < 4; i++)
        close(fd[i]);
    rig_end();
}

/* Silence keeps nobody else out. */
static void test_silent_ones_make_room(void **state)
{
    static const char *const sources[] = {"127.0.0.1", "127.0.0.2", "127.0.0.3", "127.0.0.4"};
    int fd[20];
    (void)state;
    rig_begin(NULL, NULL);
    rig_listen(SLOW_MS, 4);
    for (unsigned i = 0; i < 20; i++)
        fd[i] = raw_connect(sources[i % 4]);
    wanted = 16;
    turn_until(&rig.t, refused_wanted);
    assert_int_equal(counter_get(&rig.t.counters, CTR_TLS_BUSY), rig.refused);
    assert_true(gate()->nline <= 4);
    rig_up("localhost");
    assert_int_equal(rig.accepted, 1);
    for (unsigned i = 0; i < 20; i++)
        close(fd[i]);
    turn_until(&rig.t, lines_are_empty);
    rig_end();
}

/* But who waits for a place is not pushed out by another. */
static void test_a_full_line_refuses(void **state)
{
    static const char *const sources[] = {"127.0.0.1", "127.0.0.2", "127.0.0.3", "127.0.0.4"};
    int fd[12];
    (void)state;
    rig_begin(NULL, NULL);
    rig_listen(SLOW_MS, 4);
    for (unsigned i = 0; i < 12; i++) {
        fd[i] = raw_connect(sources[i % 4]);
        raw_send(fd[i], HALF, 6);
        wanted = i < 8 ? i + 1 : 8;
        turn_until(&rig.t, in_line);
        turn_idle(&rig.t, 3);
    }
    wanted = 4;
    turn_until(&rig.t, refused_wanted);
    assert_int_equal(rig.refusal, ERR_TLS_BUSY);
    assert_int_equal(gate()->nactive, 4);
    assert_int_equal(gate()->nline, 4);
    for (unsigned i = 0; i < 12; i++)
        close(fd[i]);
    rig_end(); /* and closes with handshakes in every place */
    assert_int_equal(rig.refused, 4);
}

/* --- storms ----------------------------------------------------------------------------------- */

#define STORM 200

static struct side crowd[STORM];
static unsigned crowd_ups, legs;

static void on_crowd_open(void *user)
{
    (void)user;
    crowd_ups++;
}

static void on_leg(void *user, const char *data, size_t len)
{
    struct side *s = user;
    assert_int_equal(net_stream_write(s->stream, data, len), 0);
    legs++;
}

static bool crowd_has_grown(void)
{
    return crowd_ups >= wanted;
}

static void open_crowd(const struct net_stream_events *events)
{
    const struct addr none = {.family = ADDR_NONE};
    struct net_tls_client client = {rig.client_tls, "localhost", &rig.client_counters};
    for (unsigned i = 0; i < STORM; i++) {
        crowd[i] = (struct side){0};
        assert_int_equal(net_stream_open(rig.t.loop, &none, &rig.at, &plain_opt, SLOW_MS, &client,
                                         events, &crowd[i], &crowd[i].stream),
                         0);
    }
}

/* An established connection goes on talking while two hundred others shake hands. */
static void test_storm(void **state)
{
    struct net_stream_events talking = rig_events, counted = rig_events;
    (void)state;
    counted.on_open = on_crowd_open;
    talking.on_data = on_leg;
    rig_begin(NULL, NULL);
    rig_listen(SLOW_MS, 2 * STORM);
    rig_up("localhost");
    net_stream_set(rig.server.stream, &talking, &rig.server);
    net_stream_set(rig.client.stream, &talking, &rig.client);
    assert_int_equal(net_stream_write(rig.client.stream, "leg", 3), 0);
    crowd_ups = legs = 0;
    open_crowd(&counted);
    for (wanted = 1; wanted <= STORM; wanted++) /* each further one is waited for by itself */
        turn_until(&rig.t, crowd_has_grown);
    assert_true(legs > 20);
    assert_true(rig.server.stream != NULL && rig.client.stream != NULL);
    for (unsigned i = 0; i < STORM; i++)
        net_stream_close(&crowd[i].stream, true);
    turn_until(&rig.t, lines_are_empty);
    rig_end();
}

/* --- no memory -------------------------------------------------------------------------------- */

static bool has_outcome(void)
{
    return rig.client.ended != 0 || rig_is_up();
}

static void test_no_memory(void **state)
{
    const struct addr none = {.family = ADDR_NONE};
    (void)state;
    for (uint64_t n = 1; n < 60; n++) {
        rig_begin(NULL, NULL);
        struct net_tls_client client = {rig.client_tls, "localhost", &rig.client_counters};
        mem_fail_at(n);
        int rc = net_stream_open(rig.t.loop, &none, &rig.at, &plain_opt, 5000, &client, &rig_events,
                                 &rig.client, &rig.client.stream);
        if (rc == 0)
            turn_until(&rig.t, has_outcome);
        else
            assert_int_equal(rc, ERR_NOMEM);
        bool failed = mem_failed();
        mem_fail_at(0);
        if (!failed)
            assert_true(rc == 0 && rig_is_up());
        rig_end();
        if (!failed)
            return;
    }
    fail_msg("allocations without end");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_plain_sip_on_the_tls_port),
        cmocka_unit_test(test_half_a_handshake),
        cmocka_unit_test(test_nonsense_in_a_record),
        cmocka_unit_test(test_reset_in_the_handshake),
        cmocka_unit_test(test_server_without_tls),
        cmocka_unit_test(test_name_too_long),
        cmocka_unit_test(test_closed_while_it_opens),
        cmocka_unit_test(test_a_source_has_a_share),
        cmocka_unit_test(test_waiting_ends),
        cmocka_unit_test(test_silent_ones_make_room),
        cmocka_unit_test(test_a_full_line_refuses),
        cmocka_unit_test(test_storm),
        cmocka_unit_test(test_no_memory),
    };
    return cmocka_run_group_tests(tests, rig_setup, rig_teardown);
}
