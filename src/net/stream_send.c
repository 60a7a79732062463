/* SPDX-License-Identifier: Apache-2.0 */
/* The outgoing half of a stream: gather during the turn, one send call at its end. */
#include <string.h>

#include "base/alloc.h"
#include "net/tls_int.h"

/* The class whose buffers hold `cap` bytes; NET_OUT_CLASSES: none does. */
static unsigned class_of(size_t cap)
{
    unsigned i = 0;
    while (i < NET_OUT_CLASSES && ((size_t)NET_OUT_SIZE << i) - sizeof(struct net_out) < cap)
        i++;
    return i;
}

/* Buffers come and go with every turn, so those of the common sizes are kept. */
static struct net_out *out_new(struct net_loop *loop, size_t cap)
{
    unsigned i = class_of(cap);
    struct net_out *o = i < NET_OUT_CLASSES ? loop->out_cache[i] : NULL;
    if (o != NULL) {
        loop->out_cache[i] = o->next;
        loop->out_cached -= o->cap;
        o->off = o->len = 0;
        return o;
    }
    if (i < NET_OUT_CLASSES)
        cap = ((size_t)NET_OUT_SIZE << i) - sizeof(*o);
    o = mem_alloc(sizeof(*o) + cap);
    if (o == NULL)
        return NULL;
    o->off = o->len = 0;
    o->cap = cap;
    return o;
}

static void out_free(struct net_loop *loop, struct net_out *o)
{
    unsigned i = class_of(o->cap);
    if (i == NET_OUT_CLASSES || loop->out_cached + o->cap > NET_OUT_CACHE) {
        mem_free(o);
        return;
    }
    o->next = loop->out_cache[i];
    loop->out_cache[i] = o;
    loop->out_cached += o->cap;
}

void net_out_cache_free(struct net_loop *loop)
{
    for (unsigned i = 0; i < NET_OUT_CLASSES; i++) {
        while (loop->out_cache[i] != NULL) {
            struct net_out *o = loop->out_cache[i];
            loop->out_cache[i] = o->next;
            mem_free(o);
        }
    }
}

void net_stream_drop_out(struct net_stream *s)
{
    if (s->out == NULL)
        return;
    out_free(stream_loop(s), s->out);
    s->out = NULL;
}

/* Makes room for `len` more bytes behind what is queued. 0 or ERR_NOMEM. */
static int out_reserve(struct net_stream *s, size_t len)
{
    struct net_loop *loop = stream_loop(s);
    struct net_out *o = s->out;
    if (o == NULL) {
        s->out = out_new(loop, len);
        return s->out != NULL ? 0 : ERR_NOMEM;
    }
    if (len <= o->cap - o->len)
        return 0;
    size_t held = o->len - o->off;
    if (held + len <= o->cap && o->off >= held) {
        memcpy(o->bytes, o->bytes + o->off, held);
        o->off = 0;
        o->len = held;
        return 0;
    }
    size_t cap = held + len > o->cap * 2 ? held + len : o->cap * 2;
    struct net_out *bigger = out_new(loop, cap);
    if (bigger == NULL)
        return ERR_NOMEM;
    memcpy(bigger->bytes, o->bytes + o->off, held);
    bigger->len = held;
    out_free(loop, o);
    s->out = bigger;
    return 0;
}

int net_stream_write(struct net_stream *s, const void *bytes, size_t len)
{
    if (s->state >= STREAM_ENDED)
        return ERR_CLOSED;
    if (len == 0)
        return 0;
    size_t held = net_stream_queued(s);
    if (held > s->max_queue || len > s->max_queue - held)
        return ERR_FULL;
    int rc = out_reserve(s, len);
    if (rc != 0)
        return rc;
    memcpy(s->out->bytes + s->out->len, bytes, len);
    s->out->len += len;
    if (s->state == STREAM_OPEN && !s->blocked && !list_is_linked(&s->node))
        list_push(&stream_loop(s)->dirty, &s->node);
    return 0;
}

static int plain_send(struct net_stream *s)
{
    struct net_out *o = s->out;
    while (o->off < o->len) {
        ssize_t n = send(s->fd, o->bytes + o->off, o->len - o->off, MSG_DONTWAIT | MSG_NOSIGNAL);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK)) {
            s->blocked = true;
            return 0;
        }
        if (n < 0)
            return -errno;
        o->off += (size_t)n;
    }
    return 0;
}

int net_stream_try_send(struct net_stream *s)
{
    int rc = s->tls != NULL ? tls_conn_send(s) : plain_send(s);
    if (rc == 0 && s->out->off == s->out->len)
        net_stream_drop_out(s);
    return rc;
}

void net_stream_flush_all(struct net_loop *loop)
{
    while (!list_is_empty(&loop->dirty)) {
        struct net_stream *s = container_of(loop->dirty.next, struct net_stream, node);
        list_remove(&s->node);
        int rc = s->out != NULL ? net_stream_try_send(s) : 0;
        if (rc != 0)
            net_stream_fail(s, rc);
        else
            net_stream_watch(s);
    }
}

size_t net_stream_queued(const struct net_stream *s)
{
    return s->out != NULL ? s->out->len - s->out->off : 0;
}
