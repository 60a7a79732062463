/* SPDX-License-Identifier: Apache-2.0 */
/* sip-ip-tos: every socket has the byte, whoever opened it, and packets carry it. */
#include <netinet/in.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "rig.h"

#define TOS 0xb8 /* DSCP EF */

static struct rig r;
static char request[1024];
static size_t len;

static void begin(const char *listen)
{
    rig_conf(&r);
    r.conf.sockopt.tos = TOS;
    rig_start(&r, listen);
}

/* The byte of the next datagram at that socket. */
static int tos_received(int fd)
{
    char bytes[2048], room[256];
    struct iovec iov = {bytes, sizeof(bytes)};
    struct msghdr msg = {
        .msg_iov = &iov, .msg_iovlen = 1, .msg_control = room, .msg_controllen = sizeof(room)};
    int value = -1;
    if (recvmsg(fd, &msg, MSG_DONTWAIT) <= 0)
        return -1;
    for (struct cmsghdr *c = CMSG_FIRSTHDR(&msg); c != NULL; c = CMSG_NXTHDR(&msg, c)) {
        if (c->cmsg_level == IPPROTO_IP && c->cmsg_type == IP_TOS)
            value = *(unsigned char *)CMSG_DATA(c);
        else if (c->cmsg_level == IPPROTO_IPV6 && c->cmsg_type == IPV6_TCLASS)
            memcpy(&value, CMSG_DATA(c), sizeof(value));
    }
    return value;
}

static int udp_fd, udp_tos;

static bool datagram_came(struct rig *x)
{
    (void)x;
    if (udp_tos < 0)
        udp_tos = tos_received(udp_fd);
    return udp_tos >= 0;
}

static void datagrams(const char *listen, const char *peer, int level, int option)
{
    struct addr at;
    int one = 1;
    begin(listen);
    udp_fd = peer_udp(peer, &at);
    udp_tos = -1;
    assert_int_equal(setsockopt(udp_fd, level, option, &one, sizeof(one)), 0);
    struct flow_dest dest = {.remote = at, .transport = SIP_UDP};
    len = sip_options(request, sizeof(request), "UDP", "127.0.0.1", 1, "");
    assert_int_equal(flows_send(r.flows, &dest, request, len, 0), 0);
    rig_until(&r, datagram_came);
    assert_int_equal(udp_tos, TOS);
    close(udp_fd);
    rig_stop(&r);
}

static void datagrams_carry_it(void **state)
{
    (void)state;
    datagrams("127.0.0.1:0", "127.0.0.1:0", IPPROTO_IP, IP_RECVTOS);
    datagrams("[::1]:0", "[::1]:0", IPPROTO_IPV6, IPV6_RECVTCLASS);
}

static bool both_are_up(struct rig *x)
{
    return flows_count(x->flows) == 2 && rig_counter(x, CTR_FLOWS) == 2;
}

/* One accepted, one opened; our listeners too. */
static void connections(const char *listen, const char *peer)
{
    struct addr at;
    unsigned with, without;
    assert_int_equal(addr_parse(slice_str(peer), 0, &at), 0);
    begin(listen);
    int fd = peer_listen(&at);
    struct flow_dest dest = {.remote = at, .transport = SIP_TCP};
    len = sip_options(request, sizeof(request), "TCP", "127.0.0.1", 1, "");
    assert_int_equal(flows_send(r.flows, &dest, request, len, 0), 0);
    int caller = peer_connect(&r.listen);
    rig_until(&r, both_are_up);
    sockets_with_tos(SOCK_STREAM, TOS, &with, &without);
    assert_int_equal(with, 3);
    assert_int_equal(without, 2); /* the peer's */
    close(caller);
    close(fd);
    rig_stop(&r);
}

static void connections_have_it(void **state)
{
    (void)state;
    connections("127.0.0.1:0", "127.0.0.1:0");
    connections("[::1]:0", "[::1]:0");
}

/* 256: left alone. */
static void is_left_alone(void **state)
{
    unsigned with, without;
    (void)state;
    rig_conf(&r);
    rig_start(&r, "127.0.0.1:0");
    sockets_with_tos(SOCK_DGRAM, 0, &with, &without);
    assert_int_equal(without, 0);
    assert_int_equal(with, 1);
    rig_stop(&r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(datagrams_carry_it),
        cmocka_unit_test(connections_have_it),
        cmocka_unit_test(is_left_alone),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
