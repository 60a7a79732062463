/* SPDX-License-Identifier: Apache-2.0 */
/* Who may talk to a listener, over real sockets. */
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/alloc.h"
#include "heard.h"
#include "rig.h"

static struct rig r;
static struct addr_net nets[2];
static struct flow_side side;
static char request[1024];
static size_t len;

static void begin(const char *listen, const char *net)
{
    rig_conf(&r);
    assert_int_equal(addr_net_parse(slice_str(net), &nets[0]), 0);
    side = (struct flow_side){.access = nets, .naccess = 1};
    r.conf.sides = &side;
    r.echo = true;
    rig_start(&r, listen);
}

static unsigned want;

static bool refused(struct rig *x)
{
    return rig_counter(x, CTR_ACCESS_REFUSED) == want;
}

static bool msgs_came(struct rig *x)
{
    return x->nmsgs == want;
}

/* STUN too: not even that we are here is told. */
static void datagrams_from_elsewhere(void **state)
{
    static const char stun[20] = {0, 1, 0, 0, 0x21, 0x12, (char)0xa4, 0x42, 1};
    struct addr at;
    char text[2048];
    struct buf b;
    (void)state;
    heard_begin();
    begin("127.0.0.1:0", "10.0.0.0/8");
    int fd = peer_udp("127.0.0.1:0", &at);
    len = sip_options(request, sizeof(request), "UDP", "127.0.0.1", 1, "");
    peer_send_to(fd, &r.listen, request, len);
    peer_send_to(fd, &r.listen, stun, sizeof(stun));
    peer_send_to(fd, &r.listen, "junk", 4);
    want = 3;
    rig_until(&r, refused);
    rig_idle(&r, 20);
    buf_init(&b, text, sizeof(text));
    assert_int_equal(peer_read(fd, &b), -1);
    assert_int_equal(r.nmsgs, 0);
    assert_int_equal(heard(EV_ACCESS_REFUSED), 3);
    assert_int_equal(rig_counter(&r, CTR_MSG_MALFORMED), 0);
    /* A reload lets it in. */
    assert_int_equal(addr_net_parse(SLICE("127.0.0.0/8"), &nets[1]), 0);
    side.naccess = 2;
    flows_set_conf(r.flows, &r.conf);
    peer_send_to(fd, &r.listen, request, len);
    want = 1;
    rig_until(&r, msgs_came);
    assert_int_equal(rig_counter(&r, CTR_ACCESS_REFUSED), 3);
    /* And without a list everybody is. */
    r.conf.sides = NULL;
    flows_set_conf(r.flows, &r.conf);
    peer_send_to(fd, &r.listen, request, len);
    want = 2;
    rig_until(&r, msgs_came);
    close(fd);
    rig_stop(&r);
}

static int conn, end_of_it;

static bool is_closed(struct rig *x)
{
    char text[2048];
    struct buf b;
    (void)x;
    buf_init(&b, text, sizeof(text));
    end_of_it = peer_read(conn, &b);
    return end_of_it == 0 || end_of_it == -2;
}

static int listener, peer;

static bool peer_has_accepted(struct rig *x)
{
    (void)x;
    if (peer < 0)
        peer = peer_accept(listener);
    return peer >= 0;
}

static void connections(const char *listen, const char *net)
{
    begin(listen, net);
    conn = peer_connect(&r.listen);
    rig_until(&r, is_closed);
    assert_int_equal(rig_counter(&r, CTR_ACCESS_REFUSED), 1);
    assert_int_equal(flows_count(r.flows), 0);
    assert_int_equal(rig_counter(&r, CTR_FLOW_ACCEPTED), 0);
    close(conn);
    /* Those that we open are our own decision: the peer may answer there. */
    struct addr at;
    assert_int_equal(addr_parse(slice_str(listen), 0, &at), 0);
    listener = peer_listen(&at);
    struct flow_dest dest = {.remote = at, .transport = SIP_TCP};
    len = sip_options(request, sizeof(request), "TCP", "127.0.0.1", 1, "");
    assert_int_equal(flows_send(r.flows, &dest, request, len, 0), 0);
    peer = -1;
    rig_until(&r, peer_has_accepted);
    peer_write(peer, request, len);
    want = 1;
    rig_until(&r, msgs_came);
    close(peer);
    close(listener);
    rig_stop(&r);
}

static void connections_from_elsewhere(void **state)
{
    (void)state;
    connections("127.0.0.1:0", "10.0.0.0/8");
    connections("[::1]:0", "2001:db8::/32");
}

static void connections_from_there(void **state)
{
    (void)state;
    begin("127.0.0.1:0", "127.0.0.0/8");
    conn = peer_connect(&r.listen);
    len = sip_options(request, sizeof(request), "TCP", "127.0.0.1", 1, "");
    peer_write(conn, request, len);
    want = 1;
    rig_until(&r, msgs_came);
    close(conn);
    rig_stop(&r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(datagrams_from_elsewhere),
        cmocka_unit_test(connections_from_elsewhere),
        cmocka_unit_test(connections_from_there),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
