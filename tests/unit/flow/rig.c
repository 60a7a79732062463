/* SPDX-License-Identifier: Apache-2.0 */
#include "rig.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "sip/write.h"

#define BOUND_MS 10000
#define POLL_MS  2

static int on_message(void *user, const struct sip_msg *m, const struct flow_origin *o)
{
    const struct rig_worker *w = user;
    struct rig *r = w->rig;
    if (r->refuse != 0) {
        r->refuse--;
        return ERR_FULL;
    }
    assert_true(r->nmsgs < RIG_LOG);
    struct rig_msg *x = &r->msgs[r->nmsgs++];
    x->origin = *o;
    x->is_request = m->is_request;
    x->len = m->len < RIG_TEXT ? m->len : RIG_TEXT;
    memcpy(x->bytes, m->base, x->len);
    if (r->echo && m->is_request) {
        char bytes[4096];
        struct buf out;
        struct flow_dest dest;
        buf_init(&out, bytes, sizeof(bytes));
        assert_int_equal(
            sip_write_response(&out, m, 200, SLICE_NONE, SLICE("t"), SLICE_NONE, SLICE_NONE), 0);
        flow_response_dest(o, &m->via, &dest);
        assert_int_equal(flows_send(r->flows_of[w->index], &dest, out.ptr, out.len, 0), 0);
    }
    return 0;
}

static void on_event(void *user, const struct flow_event *ev)
{
    const struct rig_worker *w = user;
    struct rig *r = w->rig;
    assert_true(r->nevents < RIG_LOG);
    r->event_worker[r->nevents] = w->index;
    r->events[r->nevents++] = *ev;
    if (r->react != NULL)
        r->react(r, w->index, ev);
}

static void on_wire(void *user, const struct flow_wire *wire)
{
    const struct rig_worker *w = user;
    w->rig->wire(w->rig, w->index, wire);
}

static bool is_idle_ack(void *user, struct slice bytes)
{
    const struct rig_worker *w = user;
    return w->rig->idle_ack(w->rig, bytes);
}

static void on_wake(void *user)
{
    (void)user;
}

static void on_alarm(void *user)
{
    struct rig *r = user;
    wheel_advance(&r->wheel, net_now(r->loop));
}

static void take_mail(struct rig *r)
{
    struct mail *mail;
    for (unsigned i = 0; i < r->nworkers; i++) {
        while (r->flows_of[i] != NULL && !r->hold_mail[i] &&
               (mail = mailbox_take(&r->box[i])) != NULL)
            flows_on_mail(r->flows_of[i], mail);
    }
}

static void flush(struct rig *r)
{
    for (unsigned i = 0; i < r->nworkers; i++) {
        if (r->flows_of[i] != NULL)
            flows_flush(r->flows_of[i]);
    }
}

static void on_turn_end(void *user)
{
    struct rig *r = user;
    uint64_t now = net_now(r->loop), next = now + POLL_MS;
    take_mail(r);
    wheel_advance(&r->wheel, now);
    flush(r);
    if (wheel_next(&r->wheel) < next)
        next = wheel_next(&r->wheel);
    if (!r->done && ((r->until != NULL && r->until(r)) || now >= r->deadline)) {
        r->done = true;
        net_stop(r->loop);
    }
    net_alarm(r->loop, next > now ? next : now + 1);
}

void rig_conf(struct rig *r)
{
    memset(r, 0, sizeof(*r));
    r->nworkers = 1;
    r->conf = (struct flow_conf){.sockopt = {.tos = 256},
                                 .unacked_timeout_ms = 5000,
                                 .reopen_delay_ms = 1000,
                                 .connect_timeout_ms = 3000,
                                 .max_connections = 100000,
                                 .max_queue = 1 << 20,
                                 .partial_timeout_ms = 5000,
                                 .limits = sip_limits_default};
    random_bytes(&r->key, sizeof(r->key));
}

void rig_start(struct rig *r, const char *listen)
{
    struct net_loop_events lev = {on_alarm, on_wake, on_turn_end, r};
    struct addr failed;
    assert_int_equal(addr_parse(slice_str(listen), 0, &r->listen), 0);
    assert_int_equal(net_loop_new(&r->loop, &lev), 0);
    wheel_init(&r->wheel, net_now(r->loop));
    r->conf.listen = &r->listen;
    r->conf.nlisten = 1;
    for (unsigned i = 0; i < r->nworkers; i++) {
        mailbox_init(&r->box[i], 1000, NULL, NULL);
        r->boxes[i] = &r->box[i];
    }
    for (unsigned i = 0; i < r->nworkers; i++) {
        r->workers[i] = (struct rig_worker){r, i};
        struct flow_events fev = {.on_message = on_message,
                                  .on_event = on_event,
                                  .user = &r->workers[i],
                                  .on_wire = r->wire != NULL ? on_wire : NULL,
                                  .is_idle_ack = r->idle_ack != NULL ? is_idle_ack : NULL};
        assert_int_equal(flows_new(r->loop, &r->wheel, &r->conf, i, r->nworkers, r->boxes, &r->key,
                                   &r->counters, &fev, &r->flows_of[i], &failed),
                         0);
        assert_true(flows_listener_addr(r->flows_of[i], 0, &r->listen));
    }
    r->flows = r->flows_of[0];
}

void rig_stop(struct rig *r)
{
    for (unsigned i = 0; i < r->nworkers; i++)
        flows_free(&r->flows_of[i]);
    assert_int_equal(r->wheel.count, 0);
    net_loop_free(&r->loop);
    for (unsigned i = 0; i < r->nworkers; i++)
        mailbox_fini(&r->box[i]);
}

void rig_until(struct rig *r, bool (*until)(struct rig *r))
{
    r->until = until;
    r->done = false;
    r->deadline = net_now(r->loop) + BOUND_MS;
    net_loop_run(r->loop);
    if (!until(r))
        fail_msg("the condition did not come true");
}

void rig_idle(struct rig *r, unsigned ms)
{
    r->until = NULL;
    r->done = false;
    r->deadline = net_now(r->loop) + ms;
    net_loop_run(r->loop);
}

uint64_t rig_counter(const struct rig *r, enum counter c)
{
    return counter_get(&r->counters, c);
}

static void to_sockaddr(const struct addr *a, struct sockaddr_storage *sa, socklen_t *len)
{
    memset(sa, 0, sizeof(*sa));
    *len = (socklen_t)addr_to_sockaddr(a, (struct sockaddr *)sa);
}

static int family(const struct addr *a)
{
    return a->family == ADDR_IP6 ? AF_INET6 : AF_INET;
}

static void local_of(int fd, struct addr *at)
{
    struct sockaddr_storage sa;
    socklen_t len = sizeof(sa);
    assert_int_equal(getsockname(fd, (struct sockaddr *)&sa, &len), 0);
    assert_int_equal(addr_from_sockaddr((struct sockaddr *)&sa, at), 0);
}

int peer_connect(const struct addr *to)
{
    struct sockaddr_storage sa;
    socklen_t len;
    int fd = socket(family(to), SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_true(fd >= 0);
    to_sockaddr(to, &sa, &len);
    assert_int_equal(connect(fd, (struct sockaddr *)&sa, len), 0);
    return fd;
}

int peer_listen(struct addr *at)
{
    struct sockaddr_storage sa;
    socklen_t len;
    int one = 1, fd = socket(family(at), SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    assert_true(fd >= 0);
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
    to_sockaddr(at, &sa, &len);
    assert_int_equal(bind(fd, (struct sockaddr *)&sa, len), 0);
    assert_int_equal(listen(fd, 64), 0);
    local_of(fd, at);
    return fd;
}

int peer_accept(int fd)
{
    return accept4(fd, NULL, NULL, SOCK_CLOEXEC);
}

int peer_udp(const char *ip, struct addr *at)
{
    struct sockaddr_storage sa;
    socklen_t len;
    assert_int_equal(addr_parse(slice_str(ip), 0, at), 0);
    int fd = socket(family(at), SOCK_DGRAM | SOCK_CLOEXEC, 0);
    assert_true(fd >= 0);
    to_sockaddr(at, &sa, &len);
    assert_int_equal(bind(fd, (struct sockaddr *)&sa, len), 0);
    local_of(fd, at);
    return fd;
}

void peer_write(int fd, const void *bytes, size_t len)
{
    assert_int_equal(send(fd, bytes, len, MSG_NOSIGNAL), (ssize_t)len);
}

void peer_send_to(int fd, const struct addr *to, const void *bytes, size_t len)
{
    struct sockaddr_storage sa;
    socklen_t sa_len;
    to_sockaddr(to, &sa, &sa_len);
    assert_int_equal(sendto(fd, bytes, len, 0, (struct sockaddr *)&sa, sa_len), (ssize_t)len);
}

int peer_read(int fd, struct buf *text)
{
    char bytes[65536];
    ssize_t n = recv(fd, bytes, sizeof(bytes), MSG_DONTWAIT);
    if (n < 0)
        return errno == EAGAIN ? -1 : -2;
    buf_add(text, bytes, (size_t)n);
    assert_true(text->len < text->cap);
    text->ptr[text->len] = '\0';
    return (int)n;
}

void peer_reset(int fd)
{
    struct linger none = {1, 0};
    setsockopt(fd, SOL_SOCKET, SO_LINGER, &none, sizeof(none));
    close(fd);
}

void sockets_with_tos(int type, int tos, unsigned *with, unsigned *without)
{
    *with = *without = 0;
    for (int fd = 0; fd < 1024; fd++) {
        int domain = 0, its_type = 0, value = -1;
        socklen_t len = sizeof(int);
        if (getsockopt(fd, SOL_SOCKET, SO_DOMAIN, &domain, &len) != 0 ||
            getsockopt(fd, SOL_SOCKET, SO_TYPE, &its_type, &len) != 0 || its_type != type ||
            (domain != AF_INET && domain != AF_INET6))
            continue;
        bool six = domain == AF_INET6;
        len = sizeof(value);
        assert_int_equal(getsockopt(fd, six ? IPPROTO_IPV6 : IPPROTO_IP, six ? IPV6_TCLASS : IP_TOS,
                                    &value, &len),
                         0);
        *(value == tos ? with : without) += 1;
    }
}

size_t sip_options(char *out, size_t cap, const char *transport, const char *sent_by, unsigned n,
                   const char *via_more)
{
    int len = snprintf(out, cap,
                       "OPTIONS sip:test@127.0.0.1 SIP/2.0\r\n"
                       "Via: SIP/2.0/%s %s;branch=z9hG4bK%u%s\r\n"
                       "Max-Forwards: 70\r\n"
                       "From: <sip:a@127.0.0.1>;tag=1\r\n"
                       "To: <sip:b@127.0.0.1>\r\n"
                       "Call-ID: call%u@test\r\n"
                       "CSeq: %u OPTIONS\r\n"
                       "Content-Length: 0\r\n\r\n",
                       transport, sent_by, n, via_more, n, n);
    assert_true(len > 0 && (size_t)len < cap);
    return (size_t)len;
}
