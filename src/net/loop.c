/* SPDX-License-Identifier: Apache-2.0 */
#include "net/loop.h"

#include "base/alloc.h"
#include "net/tls_int.h"
#include "net/udp.h"

/* Rounds of "ended streams are told, then the turn ends again" before the loop polls once more. */
#define MAX_END_ROUNDS 8

static void on_async(uv_async_t *async)
{
    struct net_loop *loop = async->data;
    if (atomic_load_explicit(&loop->stopping, memory_order_acquire))
        uv_stop(&loop->uv);
    if (loop->ev.on_wake != NULL)
        loop->ev.on_wake(loop->ev.user);
}

static void on_alarm(uv_timer_t *timer)
{
    struct net_loop *loop = timer->data;
    loop->alarm_due = UINT64_MAX;
    if (loop->ev.on_alarm != NULL)
        loop->ev.on_alarm(loop->ev.user);
}

static void on_connect_timer(uv_timer_t *timer)
{
    net_streams_expire(timer->data);
}

void net_connect_alarm(struct net_loop *loop, uint64_t due)
{
    uint64_t now = uv_now(&loop->uv);
    uv_timer_start(&loop->connect_timer, on_connect_timer, due > now ? due - now : 0, 0);
}

static void on_later_timer(uv_timer_t *timer)
{
    net_udps_end_waits(timer->data);
}

void net_later_alarm(struct net_loop *loop)
{
    uv_timer_start(&loop->later_timer, on_later_timer, UDP_LATER_MS, 0);
}

static void turn_end(struct net_loop *loop)
{
    if (loop->ev.on_turn_end != NULL)
        loop->ev.on_turn_end(loop->ev.user);
}

/* Runs before libuv sleeps, after sockets and timers. A send that fails while the turn is flushed
 * ends its stream; that is told here and not from inside the flush. */
static void on_prepare(uv_prepare_t *prepare)
{
    struct net_loop *loop = prepare->data;
    tls_shakes_run(loop);
    turn_end(loop);
    for (unsigned i = 0; i < MAX_END_ROUNDS && !list_is_empty(&loop->ended); i++) {
        net_streams_end(loop);
        turn_end(loop);
    }
    if (!list_is_empty(&loop->ended))
        uv_async_send(&loop->async);
}

/* Runs behind the sockets; the clock is that of the moment at which the sleep ended. */
static void on_check(uv_check_t *check)
{
    struct net_loop *loop = check->data;
    loop->turn_began = uv_now(&loop->uv);
}

void net_take_late(struct net_loop *loop, struct net_late *out)
{
    uint64_t now = net_clock(loop);
    if (loop->turn_began == 0) {
        *out = loop->taken;
        out->now = now;
        return;
    }
    *out = loop->late;
    out->now = now;
    if (now > loop->turn_began && now - loop->turn_began > out->ms)
        out->ms = now - loop->turn_began < UINT32_MAX ? (uint32_t)(now - loop->turn_began) : 0;
    if (!loop->is_behind)
        loop->behind_since = 0;
    else if (loop->behind_since == 0)
        loop->behind_since = loop->turn_began;
    if (loop->behind_since != 0 && now - loop->behind_since > out->ms)
        out->ms = (uint32_t)(now - loop->behind_since);
    loop->is_behind = false;
    loop->late = (struct net_late){0};
    loop->taken = *out;
    loop->taken.dropped = 0;
    loop->turn_began = 0;
}

int net_loop_new(struct net_loop **out, const struct net_loop_events *events)
{
    struct net_loop *loop = mem_zalloc(sizeof(*loop));
    if (loop == NULL)
        return ERR_NOMEM;
    int rc = uv_loop_init(&loop->uv);
    if (rc != 0) {
        mem_free(loop);
        return rc;
    }
    rc = uv_async_init(&loop->uv, &loop->async, on_async);
    if (rc != 0) {
        uv_loop_close(&loop->uv);
        mem_free(loop);
        return rc;
    }
    loop->uv.data = loop;
    loop->ev = *events;
    loop->alarm_due = UINT64_MAX;
    list_init(&loop->dirty);
    list_init(&loop->connecting);
    list_init(&loop->ended);
    list_init(&loop->later);
    tls_gate_init(&loop->gate);
    uv_idle_init(&loop->uv, &loop->idle);
    uv_prepare_init(&loop->uv, &loop->prepare);
    uv_check_init(&loop->uv, &loop->check);
    uv_timer_init(&loop->uv, &loop->alarm);
    uv_timer_init(&loop->uv, &loop->connect_timer);
    loop->async.data = loop->prepare.data = loop->alarm.data = loop->connect_timer.data = loop;
    uv_timer_init(&loop->uv, &loop->later_timer);
    loop->check.data = loop->later_timer.data = loop;
    uv_prepare_start(&loop->prepare, on_prepare);
    uv_check_start(&loop->check, on_check);
    *out = loop;
    return 0;
}

void net_loop_free(struct net_loop **loop_ptr)
{
    struct net_loop *loop = *loop_ptr;
    if (loop == NULL)
        return;
    uv_close((uv_handle_t *)&loop->async, NULL);
    uv_close((uv_handle_t *)&loop->prepare, NULL);
    uv_close((uv_handle_t *)&loop->check, NULL);
    uv_close((uv_handle_t *)&loop->alarm, NULL);
    uv_close((uv_handle_t *)&loop->connect_timer, NULL);
    uv_close((uv_handle_t *)&loop->later_timer, NULL);
    uv_close((uv_handle_t *)&loop->idle, NULL);
    while (uv_run(&loop->uv, UV_RUN_DEFAULT) != 0) {
    }
    net_out_cache_free(loop);
    tls_cache_free(&loop->sessions);
    mem_free(loop->rx);
    if (uv_loop_close(&loop->uv) != 0)
        __builtin_trap(); /* a socket was left open: our bug */
    mem_free(loop);
    *loop_ptr = NULL;
}

void net_loop_run(struct net_loop *loop)
{
    uv_run(&loop->uv, UV_RUN_DEFAULT);
    atomic_store(&loop->stopping, false);
}

void net_stop(struct net_loop *loop)
{
    atomic_store_explicit(&loop->stopping, true, memory_order_release);
    uv_async_send(&loop->async);
}

void net_wake(struct net_loop *loop)
{
    uv_async_send(&loop->async);
}

uint64_t net_now(const struct net_loop *loop)
{
    return uv_now(&loop->uv);
}

uint64_t net_clock(const struct net_loop *loop)
{
    (void)loop;
    return uv_hrtime() / 1000000;
}

void net_alarm(struct net_loop *loop, uint64_t due)
{
    if (due == loop->alarm_due)
        return;
    loop->alarm_due = due;
    if (due == UINT64_MAX) {
        uv_timer_stop(&loop->alarm);
        return;
    }
    uint64_t now = uv_now(&loop->uv);
    uv_timer_start(&loop->alarm, on_alarm, due > now ? due - now : 0, 0);
}

struct net_rx *net_rx_get(struct net_loop *loop)
{
    if (loop->rx != NULL)
        return loop->rx;
    struct net_rx *rx = mem_alloc(sizeof(*rx));
    if (rx == NULL)
        return NULL;
    for (unsigned i = 0; i < NET_BATCH; i++) {
        rx->iov[i] = (struct iovec){rx->bytes[i], NET_DATAGRAM_MAX};
        rx->msgs[i] = (struct mmsghdr){.msg_hdr = {.msg_name = &rx->from[i],
                                                   .msg_iov = &rx->iov[i],
                                                   .msg_iovlen = 1,
                                                   .msg_control = rx->control[i]}};
        net_rx_reset(rx, i);
    }
    loop->rx = rx;
    return rx;
}
