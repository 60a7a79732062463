/* SPDX-License-Identifier: Apache-2.0 */
/* Every allocation of a short life fails once: nothing leaks, nothing hangs, the next connection
 * works. */
#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/alloc.h"
#include "flow/flow_int.h"
#include "rig.h"

#define MOST 200 /* allocations of one life; more than there are */

static int on_message(void *user, const struct sip_msg *m, const struct flow_origin *o)
{
    (void)user;
    (void)m;
    (void)o;
    return 0;
}

static void on_event(void *user, const struct flow_event *ev)
{
    (void)user;
    (void)ev;
}

/* flows_new gives everything back when it fails. */
static void test_start(void **state)
{
    static struct rig r;
    struct net_loop_events lev = {.user = NULL};
    struct flow_events fev = {.on_message = on_message, .on_event = on_event};
    struct addr_net net;
    struct flow_side side = {.advertised = SLICE("sip.example.net"), .access = &net, .naccess = 1};
    bool failed = true;
    (void)state;
    assert_int_equal(addr_net_parse(SLICE("127.0.0.0/8"), &net), 0);
    for (uint64_t n = 1; failed; n++) {
        struct addr where;
        rig_conf(&r);
        assert_int_equal(addr_parse(SLICE("127.0.0.1"), 0, &r.listen), 0);
        r.conf.listen = &r.listen;
        r.conf.nlisten = 1;
        r.conf.sides = &side;
        mem_fail_at(n);
        int rc = net_loop_new(&r.loop, &lev);
        if (rc == 0) {
            wheel_init(&r.wheel, net_now(r.loop));
            rc = flows_new(r.loop, &r.wheel, &r.conf, 0, 1, NULL, &r.key, &r.counters, &fev,
                           &r.flows, &where);
            flows_free(&r.flows);
            net_loop_free(&r.loop);
        }
        failed = mem_failed();
        mem_fail_at(0);
        assert_int_equal(rc, failed ? ERR_NOMEM : 0);
        assert_true(n < MOST);
    }
}

/* Without memory for a new list the old one goes on to hold. */
static void test_access_list(void **state)
{
    static struct rig r;
    struct addr_net nets[2];
    struct flow_side side = {.access = nets, .naccess = 1};
    struct addr other = {.family = ADDR_IP4, .ip = {192, 0, 2, 1}};
    (void)state;
    assert_int_equal(addr_net_parse(SLICE("127.0.0.0/8"), &nets[0]), 0);
    assert_int_equal(addr_net_parse(SLICE("192.0.2.0/24"), &nets[1]), 0);
    rig_conf(&r);
    r.conf.sides = &side;
    rig_start(&r, "127.0.0.1");
    struct flow_listener *l = &r.flows->listeners[0];
    assert_false(flow_admits(l, &other, &r.listen));
    side.naccess = 2;
    mem_fail_at(1);
    flows_set_conf(r.flows, &r.conf);
    bool failed = mem_failed();
    mem_fail_at(0);
    assert_true(flow_admits(l, &r.listen, &r.listen));
    assert_int_equal(flow_admits(l, &other, &r.listen), !failed);
    flows_set_conf(r.flows, &r.conf);
    assert_true(flow_admits(l, &other, &r.listen));
    rig_stop(&r);
}

static bool got_message(struct rig *r)
{
    return r->nmsgs != 0;
}

static void resend(struct rig *r, unsigned worker, const struct flow_event *ev)
{
    struct flow_dest *dest = r->user;
    (void)worker;
    if (ev->kind == FLOW_DEAD)
        (void)!flows_send(r->flows, dest, "again", 5, FLOW_SEND_REQUEST | FLOW_SEND_RESEND);
}

/* Half a message, the rest, an answer, a message to an address, death, reopening. */
static void live(struct rig *r, const struct addr *peer_at)
{
    char req[1024];
    struct flow_dest dest = {.remote = *peer_at, .transport = SIP_TCP};
    r->user = &dest;
    r->react = resend;
    int fd = peer_connect(&r->listen);
    size_t len = sip_options(req, sizeof(req), "TCP", "127.0.0.1", 1, ";alias");
    (void)!send(fd, req, 100, MSG_NOSIGNAL);
    rig_idle(r, 2);
    (void)!send(fd, req + 100, len - 100, MSG_NOSIGNAL);
    rig_idle(r, 2);
    (void)!flows_send(r->flows, &dest, "new", 3, FLOW_SEND_REQUEST);
    rig_idle(r, 2);
    if (r->nmsgs != 0) {
        dest.flow = r->msgs[0].origin.flow;
        (void)!flows_send(r->flows, &dest, "more", 4, FLOW_SEND_REQUEST);
        rig_idle(r, 2);
    }
    peer_reset(fd);
    rig_idle(r, 4);
}

static void test_life(void **state)
{
    static struct rig r;
    bool failed = true;
    (void)state;
    for (uint64_t n = 1; failed; n++) {
        char req[1024];
        struct addr peer_at = {.family = ADDR_IP4, .ip = {127, 0, 0, 1}};
        int peer = peer_listen(&peer_at);
        rig_conf(&r);
        r.conf.sockopt.keep_alive = true;
        r.conf.max_per_address = 10;
        r.conf.reopen_per_second = 100;
        rig_start(&r, "127.0.0.1");
        mem_fail_at(n);
        live(&r, &peer_at);
        failed = mem_failed();
        mem_fail_at(0);
        r.nmsgs = 0;
        int fd = peer_connect(&r.listen);
        size_t len = sip_options(req, sizeof(req), "TCP", "127.0.0.1", 2, "");
        peer_write(fd, req, len);
        rig_until(&r, got_message);
        close(fd);
        close(peer);
        rig_stop(&r);
        assert_true(n < MOST);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_start),
        cmocka_unit_test(test_access_list),
        cmocka_unit_test(test_life),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
