/* SPDX-License-Identifier: Apache-2.0 */
#include <assert.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/alloc.h"
#include "fake/fake_int.h"

#define SPIN_MAX 1000000u /* steps without time passing: something spins */

void *fake_token(void)
{
    return mem_alloc(16);
}

void *fake_zalloc(size_t size)
{
    void *ptr = calloc(1, size);
    if (ptr == NULL)
        abort();
    return ptr;
}

/* --- bytes ------------------------------------------------------------------------------------ */

void bytes_add(struct bytes *b, const void *ptr, size_t len)
{
    if (len > b->cap - b->len) {
        size_t cap = (b->len + len) * 2;
        b->ptr = realloc(b->ptr, cap);
        if (b->ptr == NULL)
            abort();
        b->cap = cap;
    }
    if (len != 0)
        memcpy(b->ptr + b->len, ptr, len);
    b->len += len;
}

void bytes_drop(struct bytes *b, size_t n)
{
    assert(n <= b->len);
    b->len -= n;
    if (b->len != 0)
        memmove(b->ptr, b->ptr + n, b->len);
}

void bytes_free(struct bytes *b)
{
    free(b->ptr);
    *b = (struct bytes){0};
}

/* --- addresses -------------------------------------------------------------------------------- */

struct addr fake_addr(const char *text)
{
    struct addr a;
    if (addr_parse(slice_str(text), 0, &a) != 0 && addr_parse_ip(slice_str(text), 0, &a) != 0) {
        fprintf(stderr, "no address: %s\n", text);
        abort();
    }
    return a;
}

bool fake_addr_is(const struct addr *pattern, const struct addr *a)
{
    return addr_eq_ip(pattern, a) && (pattern->port == 0 || pattern->port == a->port);
}

/* --- events ----------------------------------------------------------------------------------- */

void fake_queue(struct net_loop *loop, uint64_t due, fake_event_fn *fn, void *object,
                const void *data, size_t len)
{
    struct fake_event *e = fake_zalloc(sizeof(*e));
    struct list *at = &loop->events;

    e->due = due;
    e->fn = fn;
    e->object = object;
    if (data != NULL)
        bytes_add(&e->data, data, len);
    while (at->prev != &loop->events && container_of(at->prev, struct fake_event, node)->due > due)
        at = at->prev;
    list_insert_before(at, &e->node);
}

static void event_free(struct fake_event *e)
{
    list_remove(&e->node);
    bytes_free(&e->data);
    free(e);
}

void fake_unqueue(struct net_loop *loop, const void *object)
{
    LIST_EACH_SAFE(node, tmp, &loop->events)
    {
        struct fake_event *e = container_of(node, struct fake_event, node);
        if (e->object == object)
            event_free(e);
    }
}

static struct fake_event *first_event(const struct net_loop *loop)
{
    return list_is_empty(&loop->events) ? NULL
                                        : container_of(loop->events.next, struct fake_event, node);
}

/* --- the loop --------------------------------------------------------------------------------- */

int net_loop_new(struct net_loop **out, const struct net_loop_events *events)
{
    struct net_loop *loop;
    void *token = fake_token();

    if (token == NULL)
        return ERR_NOMEM;
    loop = fake_zalloc(sizeof(*loop));
    loop->token = token;
    loop->ev = *events;
    loop->now = 1000000; /* not 0, so that forgotten times show */
    loop->alarm = UINT64_MAX;
    loop->next_port = 30000;
    fake_set_keepalive(loop, 7200, 75, 9);
    list_init(&loop->events);
    list_init(&loop->locals);
    list_init(&loop->rules);
    list_init(&loop->identities);
    list_init(&loop->sessions);
    list_init(&loop->hosts);
    list_init(&loop->packets);
    list_init(&loop->taken);
    list_init(&loop->udps);
    list_init(&loop->listeners);
    list_init(&loop->streams);
    fake_add_local(loop, "::1");
    fake_add_local(loop, FAKE_IP4);
    fake_add_local(loop, FAKE_IP6);
    *out = loop;
    return 0;
}

static void free_nodes(struct list *head, size_t offset)
{
    struct list *node;
    while ((node = list_pop(head)) != NULL)
        free((char *)node - offset);
}

void net_loop_free(struct net_loop **ptr)
{
    struct net_loop *loop = *ptr;

    if (loop == NULL)
        return;
    /* As with the real one, an open socket is the owner's bug. */
    assert(list_is_empty(&loop->udps) && list_is_empty(&loop->listeners) && loop->queries == 0);
    fake_streams_free(loop);
    while (!list_is_empty(&loop->events))
        event_free(first_event(loop));
    LIST_EACH(node, &loop->packets)
    free((void *)(uintptr_t)container_of(node, struct fake_packet, node)->d.bytes.ptr);
    free_nodes(&loop->packets, offsetof(struct fake_packet, node));
    free_nodes(&loop->taken, offsetof(struct fake_taken, node));
    free_nodes(&loop->locals, offsetof(struct fake_rule, node));
    free_nodes(&loop->rules, offsetof(struct fake_rule, node));
    free_nodes(&loop->identities, offsetof(struct fake_identity, node));
    free_nodes(&loop->sessions, offsetof(struct fake_session, node));
    free_nodes(&loop->hosts, offsetof(struct fake_host, node));
    mem_free(loop->token);
    free(loop);
    *ptr = NULL;
}

static void take_event(struct fake_event *e)
{
    struct fake_event copy = *e;
    e->data = (struct bytes){0};
    event_free(e);
    copy.fn(copy.object, &copy.data);
    bytes_free(&copy.data);
}

/* One thing that is due now. False: nothing. */
static bool step(struct net_loop *loop)
{
    struct fake_event *e = first_event(loop);

    if (loop->wake) {
        loop->wake = false;
        if (loop->ev.on_wake != NULL)
            loop->ev.on_wake(loop->ev.user);
    } else if (e != NULL && e->due <= loop->now) {
        take_event(e);
        while (loop->whole && (e = first_event(loop)) != NULL && e->due <= loop->now)
            take_event(e);
        loop->whole = false;
    } else if (fake_stream_next(loop) <= loop->now) {
        fake_streams_expire(loop);
    } else if (loop->alarm <= loop->now) {
        loop->alarm = UINT64_MAX;
        if (loop->ev.on_alarm != NULL)
            loop->ev.on_alarm(loop->ev.user);
    } else {
        return false;
    }
    if (loop->ev.on_turn_end != NULL)
        loop->ev.on_turn_end(loop->ev.user);
    return true;
}

static void run_until(struct net_loop *loop, uint64_t until)
{
    assert(!loop->running);
    loop->running = true;
    for (;;) {
        unsigned steps = 0;
        uint64_t next = until;

        while (step(loop)) {
            if (++steps > SPIN_MAX) {
                fprintf(stderr, "the loop spins\n");
                abort();
            }
        }
        if (loop->now >= until)
            break;
        if (loop->alarm < next)
            next = loop->alarm;
        if (first_event(loop) != NULL && first_event(loop)->due < next)
            next = first_event(loop)->due;
        if (fake_stream_next(loop) < next)
            next = fake_stream_next(loop);
        loop->now = next;
    }
    loop->running = false;
}

void fake_advance(struct net_loop *loop, uint64_t ms)
{
    run_until(loop, loop->now + ms);
}

void fake_run(struct net_loop *loop)
{
    if (!loop->running && !loop->held)
        run_until(loop, loop->now);
}

void fake_hold(struct net_loop *loop, bool held)
{
    loop->held = held;
    loop->whole = !held;
    fake_run(loop);
}

uint64_t fake_alarm(const struct net_loop *loop)
{
    return loop->alarm;
}

void net_loop_run(struct net_loop *loop)
{
    while (!loop->stop)
        fake_advance(loop, 1);
    loop->stop = false;
}

void net_stop(struct net_loop *loop)
{
    loop->stop = true;
}

void net_wake(struct net_loop *loop)
{
    loop->wake = true;
}

uint64_t net_now(const struct net_loop *loop)
{
    return loop->now;
}

uint64_t net_clock(const struct net_loop *loop)
{
    return loop->now;
}

void fake_set_late(struct net_loop *loop, const struct net_late *late)
{
    loop->late = *late;
}

void net_take_late(struct net_loop *loop, struct net_late *out)
{
    *out = loop->late;
    out->now = net_clock(loop);
}

void net_alarm(struct net_loop *loop, uint64_t due)
{
    loop->alarm = due;
}

/* --- the machine ------------------------------------------------------------------------------ */

void fake_add_local(struct net_loop *loop, const char *ip)
{
    struct fake_rule *r = fake_zalloc(sizeof(*r));
    if (addr_parse_ip(slice_str(ip), 0, &r->addr) != 0)
        abort();
    list_push(&loop->locals, &r->node);
}

void fake_set_keepalive(struct net_loop *loop, uint32_t idle, uint32_t interval, uint32_t probes)
{
    loop->keep_idle = idle;
    loop->keep_interval = interval;
    loop->keep_probes = probes;
}

/* Has no loop to look into: the defaults of the operating system. */
int net_keepalive_read(const struct net_sockopt *opt, struct net_keepalive *out)
{
    out->idle = opt->keep_idle != 0 ? opt->keep_idle : 7200;
    out->interval = opt->keep_interval != 0 ? opt->keep_interval : 75;
    out->probes = opt->keep_probes != 0 ? opt->keep_probes : 9;
    out->detect_ms = ((uint64_t)out->idle + (uint64_t)out->interval * out->probes) * 1000;
    return 0;
}

/* An address of ours in the same network of 24 or 64 bits. */
static bool is_near(const struct addr *a, const struct addr *b)
{
    return a->family == b->family && memcmp(a->ip, b->ip, a->family == ADDR_IP6 ? 8 : 3) == 0;
}

int net_source_for(struct net_loop *loop, const struct addr *remote, struct addr *out)
{
    LIST_EACH(node, &loop->locals)
    {
        *out = container_of(node, struct fake_rule, node)->addr;
        if (is_near(out, remote))
            return 0;
    }
    if (addr_is_loopback(remote)) {
        *out = *remote;
        out->port = 0;
        if (remote->family == ADDR_IP4)
            *out = fake_addr("127.0.0.1");
        return 0;
    }
    switch (remote->family) {
    case ADDR_IP4: *out = fake_addr(FAKE_IP4); return 0;
    case ADDR_IP6: return addr_parse_ip(SLICE(FAKE_IP6), 0, out);
    default: return -ENETUNREACH;
    }
}

bool net_is_local_ip(struct net_loop *loop, const struct addr *a)
{
    if (a->family == ADDR_IP4 && a->ip[0] == 127)
        return true;
    LIST_EACH(node, &loop->locals)
    {
        if (addr_eq_ip(&container_of(node, struct fake_rule, node)->addr, a))
            return true;
    }
    return false;
}
