/* SPDX-License-Identifier: Apache-2.0 */
/* What the control socket and HTTP have the main thread do: one at a time, in the order in which it
 * came. An order is freed by whoever of the two lets go of it last, since a caller waits for a
 * bounded time only. */
#include <stdio.h>
#include <string.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

#include "app/daemon_int.h"
#include "base/alloc.h"
#include "base/list.h"
#include "base/period.h"

#define ORDERS_MAX 32

struct order {
    struct list node;
    enum admin_order what;
    char a[ADMIN_LINE_MAX + 1], b[ADMIN_LINE_MAX + 1];
    bool has_b;
    struct said said;
    char why[ADMIN_WHY_MAX];
    bool ok, is_done, is_left; /* under lock */
};

struct orders {
    pthread_mutex_t lock;
    pthread_cond_t done;
    struct list queue;
    unsigned n;
    bool is_closed; /* main takes no more */
    int fd;
};

int orders_new(struct orders **out)
{
    struct orders *o = mem_zalloc(sizeof(*o));
    pthread_condattr_t attr;
    if (o == NULL)
        return ERR_NOMEM;
    o->fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (o->fd < 0) {
        int err = -errno;
        mem_free(o);
        return err;
    }
    list_init(&o->queue);
    pthread_mutex_init(&o->lock, NULL);
    pthread_condattr_init(&attr);
    pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    pthread_cond_init(&o->done, &attr);
    pthread_condattr_destroy(&attr);
    *out = o;
    return 0;
}

static void order_free(struct order *order)
{
    said_close(&order->said);
    mem_free(order);
}

/* Nobody waits any more: the control socket and HTTP are closed. */
void orders_free(struct orders **orders)
{
    struct orders *o = *orders;
    if (o == NULL)
        return;
    struct list *node;
    while ((node = list_pop(&o->queue)) != NULL)
        order_free(container_of(node, struct order, node));
    close(o->fd);
    pthread_cond_destroy(&o->done);
    pthread_mutex_destroy(&o->lock);
    mem_free(o);
    *orders = NULL;
}

void orders_close(struct orders *o)
{
    pthread_mutex_lock(&o->lock);
    o->is_closed = true;
    pthread_cond_broadcast(&o->done);
    pthread_mutex_unlock(&o->lock);
}

int orders_fd(const struct orders *o)
{
    return o->fd;
}

/* --- whoever gives it --- */

static struct order *order_new(enum admin_order what, struct slice a, struct slice b)
{
    struct order *order = mem_zalloc(sizeof(*order));
    if (order == NULL)
        return NULL;
    if (said_open(&order->said) != 0) {
        mem_free(order);
        return NULL;
    }
    order->what = what;
    order->has_b = b.ptr != NULL;
    (void)slice_cstr(a, order->a, sizeof(order->a));
    (void)slice_cstr(b, order->b, sizeof(order->b));
    return order;
}

/* True: done. Else main has still to do it, and frees it then. */
static bool wait_done(struct orders *o, struct order *order)
{
    uint64_t until = daemon_now_ms() + ADMIN_ORDER_MS;
    struct timespec ts = {(time_t)(until / 1000), (long)(until % 1000) * 1000000};
    int err = 0;
    while (!order->is_done && !o->is_closed && err == 0)
        err = pthread_cond_timedwait(&o->done, &o->lock, &ts);
    order->is_left = !order->is_done;
    return order->is_done;
}

bool orders_give(void *user, enum admin_order what, struct slice a, struct slice b,
                 const struct row_sink *sink, char *why)
{
    struct orders *o = ((struct daemon *)user)->orders;
    struct order *order = order_new(what, a, b);
    uint64_t one = 1;
    bool ok = false, is_done = false;
    pthread_mutex_lock(&o->lock);
    bool is_closed = o->is_closed, has_room = order != NULL && o->n < ORDERS_MAX && !is_closed;
    if (has_room) {
        o->n++;
        list_push(&o->queue, &order->node);
        (void)!write(o->fd, &one, sizeof(one));
        is_done = wait_done(o, order);
    }
    pthread_mutex_unlock(&o->lock);
    if (is_done) {
        said_rows(&order->said, sink);
        snprintf(why, ADMIN_WHY_MAX, "%s", order->why);
        ok = order->ok;
    } else {
        snprintf(why, ADMIN_WHY_MAX, "%s",
                 is_closed       ? "the daemon is about to end"
                 : has_room      ? "it is not done yet, and will be as soon as it can be"
                 : order != NULL ? "too much has been ordered already"
                                 : "no memory");
    }
    if (order != NULL && (is_done || !has_room))
        order_free(order);
    return ok;
}

/* --- main --- */

static bool carry_out(struct daemon *d, struct order *order)
{
    uint64_t ms = 0;
    switch (order->what) {
    case ADMIN_RELOAD: return daemon_reload(d, &order->said, order->why);
    case ADMIN_SET:
        return daemon_set(d, slice_str(order->a), order->has_b ? slice_str(order->b) : SLICE_NONE,
                          &order->said, order->why);
    case ADMIN_DRAIN:
        if (order->a[0] != '\0' && period_parse(slice_str(order->a), &ms) != 0) {
            snprintf(order->why, ADMIN_WHY_MAX, "no time: %.100s", order->a);
            return false;
        }
        daemon_drain_calls(d, ms);
        return true;
    case ADMIN_RESUME:
        if (daemon_resume(d))
            return true;
        snprintf(order->why, ADMIN_WHY_MAX, "there is no drain");
        return false;
    }
    return false;
}

static unsigned count(struct orders *o)
{
    pthread_mutex_lock(&o->lock);
    unsigned n = o->n;
    pthread_mutex_unlock(&o->lock);
    return n;
}

static struct order *take(struct orders *o)
{
    pthread_mutex_lock(&o->lock);
    struct list *node = list_pop(&o->queue);
    o->n -= node != NULL;
    pthread_mutex_unlock(&o->lock);
    return node != NULL ? container_of(node, struct order, node) : NULL;
}

/* Those that are there now. What comes meanwhile has written to the descriptor and is for the next
 * turn, so that clients that order without end keep main from nothing else: signals, the watchdog.
 */
void orders_do(struct daemon *d)
{
    struct orders *o = d->orders;
    struct order *order;
    uint64_t n;
    (void)!read(o->fd, &n, sizeof(n));
    for (unsigned left = count(o); left != 0 && (order = take(o)) != NULL; left--) {
        bool ok = carry_out(d, order);
        pthread_mutex_lock(&o->lock);
        order->ok = ok;
        order->is_done = true;
        bool is_left = order->is_left;
        pthread_cond_broadcast(&o->done);
        pthread_mutex_unlock(&o->lock);
        if (is_left)
            order_free(order);
    }
}
