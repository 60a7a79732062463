/* SPDX-License-Identifier: Apache-2.0 */
#include "turn.h"

#include <string.h>

#define BOUND_MS 10000
#define POLL_MS  2

const struct net_sockopt plain_opt = {.tos = 256};

static void on_alarm(void *user)
{
    ((struct turn *)user)->alarms++;
}

static void on_wake(void *user)
{
    ((struct turn *)user)->wakes++;
}

static void on_turn_end(void *user)
{
    struct turn *t = user;
    uint64_t now = net_now(t->loop);
    net_stream_flush_all(t->loop);
    if (!t->done && ((t->until != NULL && t->until()) || now >= t->deadline)) {
        t->done = true;
        net_stop(t->loop);
    }
    net_alarm(t->loop, now + POLL_MS);
}

void turn_start(struct turn *t)
{
    struct net_loop_events ev = {on_alarm, on_wake, on_turn_end, t};
    memset(t, 0, sizeof(*t));
    assert_int_equal(net_loop_new(&t->loop, &ev), 0);
}

void turn_stop(struct turn *t)
{
    net_loop_free(&t->loop);
    assert_null(t->loop);
}

void turn_until(struct turn *t, bool (*until)(void))
{
    t->until = until;
    t->done = false;
    t->deadline = net_now(t->loop) + BOUND_MS;
    net_loop_run(t->loop);
    if (!until())
        fail_msg("the condition did not come true");
}

void turn_idle(struct turn *t, unsigned ms)
{
    t->until = NULL;
    t->done = false;
    t->deadline = net_now(t->loop) + ms;
    net_loop_run(t->loop);
}

struct addr loopback(const char *ip)
{
    struct addr a;
    assert_int_equal(addr_parse(slice_str(ip), 0, &a), 0);
    return a;
}
