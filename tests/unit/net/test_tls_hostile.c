/* SPDX-License-Identifier: Apache-2.0 */
/* A peer whose TLS is correct and meant to cost us time. */
#include <sys/ioctl.h>

#include "net/tls_int.h"
#include "tls_rig.h"

static bool server_has_it(void)
{
    return rig.server.nbytes == 4;
}

static size_t in_kernel(const struct net_stream *s)
{
    int n = 0;
    assert_int_equal(ioctl(s->fd, FIONREAD, &n), 0);
    return (size_t)n;
}

static void update_keys(unsigned n)
{
    SSL *client = rig.client.stream->tls->ssl;
    while (n-- > 0) {
        assert_int_equal(SSL_key_update(client, SSL_KEY_UPDATE_NOT_REQUESTED), 1);
        assert_int_equal(SSL_do_handshake(client), 1);
    }
}

/* RFC 8446 4.6.3: as many new keys as the peer likes. They must not keep the loop inside one read,
 * away from everybody else. */
static void test_key_updates_do_not_hold_the_loop(void **state)
{
    (void)state;
    rig_begin(NULL, NULL);
    rig_up("localhost");
    turn_idle(&rig.t, 5); /* tickets */
    update_keys(500);
    assert_int_equal(net_stream_write(rig.client.stream, "here", 4), 0);
    net_stream_flush_all(rig.t.loop);
    assert_true(net_stream_read(rig.server.stream));
    assert_int_equal(rig.server.nbytes, 0);
    assert_true(in_kernel(rig.server.stream) > 0);
    turn_until(&rig.t, server_has_it);
    assert_memory_equal(rig.server.bytes, "here", 4);
    rig_end();
}

/* A few of them hide nothing that stands behind, which is read whole when a connection ends. */
static void test_data_behind_key_updates(void **state)
{
    (void)state;
    rig_begin(NULL, NULL);
    rig_up("localhost");
    turn_idle(&rig.t, 5);
    update_keys(3);
    assert_int_equal(net_stream_write(rig.client.stream, "here", 4), 0);
    net_stream_flush_all(rig.t.loop);
    assert_true(net_stream_read(rig.server.stream));
    assert_int_equal(rig.server.nbytes, 4);
    rig_end();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_key_updates_do_not_hold_the_loop),
        cmocka_unit_test(test_data_behind_key_updates),
    };
    return cmocka_run_group_tests(tests, rig_setup, rig_teardown);
}
