/* SPDX-License-Identifier: Apache-2.0 */
/* The peers' end of connections. */
#include <assert.h>
#include <stdlib.h>

#include "fake/fake_int.h"

/* One object has both ends. */
static struct net_stream *stream_of(const struct fake_conn *c)
{
    return (struct net_stream *)(uintptr_t)c;
}

static struct fake_conn *conn_of(struct net_stream *s)
{
    return (struct fake_conn *)(void *)s;
}

void fake_set_peer(struct net_loop *loop, const char *addr, enum fake_policy policy)
{
    struct fake_rule *r = fake_zalloc(sizeof(*r));

    r->addr = fake_addr(addr);
    r->policy = policy;
    list_push(&loop->rules, &r->node);
}

void fake_set_connect_ms(struct net_loop *loop, uint32_t ms)
{
    loop->connect_ms = ms;
}

/* --- connecting ------------------------------------------------------------------------------- */

static struct net_listener *listener_for(const struct net_loop *loop, const struct addr *to)
{
    struct net_listener *any = NULL;

    LIST_EACH(node, &loop->listeners)
    {
        struct net_listener *l = container_of(node, struct net_listener, node);
        if (addr_eq(&l->local, to))
            return l;
        if (addr_is_any(&l->local) && l->local.family == to->family && l->local.port == to->port)
            any = l;
    }
    return any;
}

static void on_accepted(void *object, struct bytes *data)
{
    struct net_stream *s = object;
    struct net_listener *l = listener_for(s->loop, &s->local);

    (void)data;
    assert(l != NULL);
    l->fn(l->user, s, &s->remote, &s->local);
}

/* A stream from there to the listener, not yet told to its owner. */
static struct net_stream *arriving(struct net_loop *loop, const struct net_listener *l,
                                   const char *from, const char *to)
{
    struct net_stream *s = fake_stream_new(loop, &l->opt);

    if (s == NULL)
        return NULL;
    s->state = CONN_UP;
    s->accepted = true;
    s->local = fake_addr(to);
    s->remote = fake_addr(from);
    if (s->remote.port == 0)
        s->remote.port = loop->next_port++;
    return s;
}

static struct fake_conn *arrived(struct net_stream *s)
{
    fake_queue(s->loop, s->loop->now, on_accepted, s, NULL, 0);
    fake_run(s->loop);
    return s->state == CONN_CLOSED ? NULL : conn_of(s);
}

static bool is_admitted(const struct net_listener *l, const struct addr *remote,
                        const struct addr *local)
{
    return l->admit == NULL || l->admit(l->user, remote, local);
}

struct fake_conn *fake_connect(struct net_loop *loop, const char *from, const char *to)
{
    struct addr local = fake_addr(to), remote = fake_addr(from);
    struct net_listener *l = listener_for(loop, &local);
    struct net_stream *s;

    if (l == NULL || !is_admitted(l, &remote, &local))
        return NULL;
    if (l->tls != NULL) {
        fake_refuse(l, &remote, &local, ERR_TLS_PLAIN);
        return NULL;
    }
    s = arriving(loop, l, from, to);
    return s != NULL ? arrived(s) : NULL;
}

struct fake_conn *fake_connect_tls(struct net_loop *loop, const char *from, const char *to,
                                   const char *names)
{
    struct addr local = fake_addr(to), remote = fake_addr(from);
    struct net_listener *l = listener_for(loop, &local);
    bool is_taken = l != NULL && l->tls != NULL && is_admitted(l, &remote, &local);
    struct net_stream *s = is_taken ? arriving(loop, l, from, to) : NULL;
    int err;

    if (s == NULL)
        return NULL;
    err = fake_admit(s, l, names);
    if (err == 0)
        return arrived(s);
    fake_refuse(l, &s->remote, &s->local, err);
    net_stream_close(&s, true);
    return NULL;
}

bool fake_refused_tls(struct net_loop *loop, const char *from, const char *to, int err)
{
    struct addr local = fake_addr(to), remote = fake_addr(from);
    struct net_listener *l = listener_for(loop, &local);

    if (l == NULL || l->tls == NULL)
        return false;
    fake_refuse(l, &remote, &local, err);
    return true;
}

const char *fake_tls_name(const struct fake_conn *conn)
{
    return stream_of(conn)->asked;
}

struct fake_conn *fake_opened(struct net_loop *loop, const char *addr, unsigned n)
{
    struct addr a = fake_addr(addr);

    LIST_EACH(node, &loop->streams)
    {
        struct net_stream *s = container_of(node, struct net_stream, node);
        if (s->opened && s->accepted && fake_addr_is(&a, &s->remote) && n-- == 0)
            return conn_of(s);
    }
    return NULL;
}

unsigned fake_opens(const struct net_loop *loop, const char *addr)
{
    unsigned n = 0;
    struct addr a = {0};

    if (addr != NULL)
        a = fake_addr(addr);
    LIST_EACH(node, &loop->streams)
    {
        const struct net_stream *s = container_of(node, const struct net_stream, node);
        if (s->opened && (addr == NULL || fake_addr_is(&a, &s->remote)))
            n++;
    }
    return n;
}

unsigned fake_open_count(const struct net_loop *loop)
{
    unsigned n = 0;

    LIST_EACH(node, &loop->streams)
    {
        if (container_of(node, const struct net_stream, node)->state == CONN_UP)
            n++;
    }
    return n;
}

bool fake_is_open(const struct fake_conn *conn)
{
    return stream_of(conn)->state == CONN_UP;
}

bool fake_was_aborted(const struct fake_conn *conn)
{
    return stream_of(conn)->aborted;
}

/* --- bytes ------------------------------------------------------------------------------------ */

static void on_data(void *object, struct bytes *data)
{
    struct net_stream *s = object;

    bytes_add(&s->in, data->ptr, data->len);
    fake_stream_pump(s);
}

void fake_send(struct fake_conn *conn, struct slice bytes)
{
    struct net_stream *s = stream_of(conn);

    if (s->state != CONN_UP)
        return;
    fake_queue(s->loop, s->loop->now, on_data, s, bytes.ptr, bytes.len);
    fake_run(s->loop);
}

struct slice fake_peek(const struct fake_conn *conn)
{
    const struct net_stream *s = stream_of(conn);
    return s->peer.len == 0 ? SLICE_NONE : slice_of(s->peer.ptr + s->taken, s->peer.len - s->taken);
}

/* Value of the header in a head that ends with an empty line. */
static size_t content_length(struct slice head)
{
    static const char name[] = "\r\nContent-Length:";

    for (size_t i = 0; i + sizeof(name) <= head.len; i++) {
        if (slice_istarts(slice_of(head.ptr + i, head.len - i), slice_str(name)))
            return strtoul(head.ptr + i + sizeof(name) - 1, NULL, 10);
    }
    return 0;
}

bool fake_take_message(struct fake_conn *conn, struct slice *out)
{
    struct net_stream *s = stream_of(conn);
    struct slice rest = fake_peek(conn);
    const char *end;
    size_t len;

    if (rest.len == 0)
        return false;
    if (slice_starts(rest, SLICE("\r\n"))) {
        len = 2;
    } else {
        end = memmem(rest.ptr, rest.len, "\r\n\r\n", 4);
        if (end == NULL)
            return false;
        len = (size_t)(end - rest.ptr) + 4;
        len += content_length(slice_of(rest.ptr, len));
        if (len > rest.len)
            return false;
    }
    struct fake_taken *copy = fake_zalloc(sizeof(*copy) + len);
    memcpy(copy->bytes, rest.ptr, len);
    list_push(&s->loop->taken, &copy->node);
    *out = slice_of(copy->bytes, len);
    s->taken += len;
    return true;
}

/* --- trouble ---------------------------------------------------------------------------------- */

void fake_stall(struct fake_conn *conn, bool stalled)
{
    struct net_stream *s = stream_of(conn);

    if (s->stalled == stalled)
        return;
    s->stalled = stalled;
    s->heard_at = s->loop->now;
    if (stalled || s->state != CONN_UP)
        return;
    fake_stream_acknowledge(s);
    fake_queue(s->loop, s->loop->now, on_data, s, NULL, 0);
    if (s->held_end != 0)
        fake_stream_end(s, s->held_end);
    fake_run(s->loop);
}

unsigned fake_stall_all(struct net_loop *loop, const char *addr)
{
    struct addr a = fake_addr(addr);
    unsigned n = 0;

    LIST_EACH(node, &loop->streams)
    {
        struct net_stream *s = container_of(node, struct net_stream, node);
        if (s->state == CONN_UP && fake_addr_is(&a, &s->remote)) {
            fake_stall(conn_of(s), true);
            n++;
        }
    }
    return n;
}

static void end_by_peer(struct net_stream *s, int err)
{
    if (s->state != CONN_UP)
        return;
    if (s->stalled) {
        s->held_end = err;
        return;
    }
    fake_stream_end(s, err);
    fake_run(s->loop);
}

void fake_forget(struct fake_conn *conn)
{
    stream_of(conn)->forgotten = true;
}

void fake_fin(struct fake_conn *conn)
{
    end_by_peer(stream_of(conn), ERR_CLOSED);
}

void fake_reset(struct fake_conn *conn)
{
    end_by_peer(stream_of(conn), -ECONNRESET);
}
