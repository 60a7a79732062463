/* SPDX-License-Identifier: Apache-2.0 */
/* Handshakes: how many at a time, whose turn it is, how much of the loop's time they get.
 *
 * An accepted connection stands among the silent ones until its first byte comes, then takes one of
 * the places or waits for one; only a place gives it memory. Steps are made at the end of a turn,
 * after everything else has been served, for a third of the time that this took and one
 * millisecond at least: a storm of handshakes costs the others a quarter of the loop, and where
 * there is nothing else to do they have all of it. */
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/random.h"
#include "net/listener_int.h"
#include "net/tls_int.h"

#define STEPS_MIN_NS  1000000 /* for the steps of one turn */
#define SHARE_OF_WORK 3       /* steps may take as long as the rest of the turn, divided by this */
#define SHARE_OF_MAX  4       /* of the places, and of the line: a quarter */
#define RECORD_FIRST  20      /* content types of TLS records, RFC 8446 5.1 */
#define RECORD_LAST   24

static struct tls_gate *gate_of(const struct net_stream *s)
{
    return &stream_loop(s)->gate;
}

void tls_gate_init(struct tls_gate *g)
{
    list_init(&g->ready_opened);
    list_init(&g->ready);
    list_init(&g->silent);
    list_init(&g->waiting);
    list_init(&g->active);
    random_bytes(&g->key, sizeof(g->key));
}

/* --- lines and places ------------------------------------------------------------------------- */

/* An IPv6 host has all of a /64 to choose from. */
static unsigned source_of(const struct tls_gate *g, const struct addr *remote)
{
    uint64_t h = hash_bytes(&g->key, remote->ip, remote->family == ADDR_IP6 ? 8 : 4);
    return (unsigned)(h % SHAKE_SOURCES);
}

/* Many phones may stand behind one firewall, and one attacker too: a source that holds a quarter
 * already may have more, but the last quarter is for the others. */
static unsigned room_for(const struct net_listener *l, unsigned held)
{
    unsigned share = l->tls_max / SHARE_OF_MAX;
    return held < share || share == 0 ? l->tls_max : l->tls_max - share;
}

static void enter(struct tls_gate *g, struct tls_shake *k, enum shake_place place)
{
    k->place = (uint8_t)place;
    if (place == SHAKE_ACTIVE) {
        list_push(&g->active, &k->node);
        g->nactive++;
        g->active_of[k->source]++;
    } else {
        list_push(place == SHAKE_SILENT ? &g->silent : &g->waiting, &k->node);
        g->nline++;
        g->line_of[k->source]++;
    }
}

static void leave(struct tls_gate *g, struct tls_shake *k)
{
    list_remove(&k->ready);
    list_remove(&k->node);
    if (k->place == SHAKE_ACTIVE) {
        g->nactive--;
        g->active_of[k->source]--;
    } else if (k->place != SHAKE_OPENED) {
        g->nline--;
        g->line_of[k->source]--;
    }
    k->place = SHAKE_OPENED;
}

static bool has_place(const struct tls_gate *g, const struct tls_shake *k)
{
    return g->nactive < room_for(k->listener, g->active_of[k->source]);
}

static void on_idle(uv_idle_t *idle)
{
    (void)idle; /* while it runs, the loop does not sleep */
}

static bool has_ready(const struct tls_gate *g)
{
    return !list_is_empty(&g->ready_opened) || !list_is_empty(&g->ready);
}

/* What this thread has worked so far, ns: the time that it sleeps, or that others have the
 * processor, is no work of the loop. */
static uint64_t work_ns(void)
{
    struct timespec ts;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &ts);
    return (uint64_t)ts.tv_sec * 1000000000 + (uint64_t)ts.tv_nsec;
}

static void make_ready(struct net_stream *s)
{
    struct tls_shake *k = s->tls->shake;
    struct tls_gate *g = gate_of(s);
    if (!has_ready(g))
        g->worked = work_ns();
    if (!list_is_linked(&k->ready))
        list_push(k->place == SHAKE_OPENED ? &g->ready_opened : &g->ready, &k->ready);
    uv_idle_start(&stream_loop(s)->idle, on_idle);
    net_stream_watch(s);
}

/* Places have become free. */
static void promote(struct tls_gate *g)
{
    LIST_EACH_SAFE(n, next, &g->waiting)
    {
        struct tls_shake *k = container_of(n, struct tls_shake, node);
        if (!has_place(g, k))
            continue;
        leave(g, k);
        enter(g, k, SHAKE_ACTIVE);
        make_ready(k->stream);
    }
}

void tls_shake_free(struct net_stream *s)
{
    struct tls_shake *k = s->tls->shake;
    if (k == NULL)
        return;
    leave(gate_of(s), k);
    mem_free(k);
    s->tls->shake = NULL;
}

static struct tls_shake *shake_new(struct net_stream *s, struct counters *counters,
                                   const struct addr *remote)
{
    struct tls_shake *k = mem_zalloc(sizeof(*k));
    if (k == NULL)
        return NULL;
    list_init(&k->node);
    list_init(&k->ready);
    k->stream = s;
    k->counters = counters;
    k->remote = *remote;
    s->tls->shake = k;
    return k;
}

/* --- ends ------------------------------------------------------------------------------------- */

/* `err` says why there is no connection. */
static void fail(struct net_stream *s, int err)
{
    struct tls_shake k = *s->tls->shake;
    struct tls_gate *g = gate_of(s);
    tls_count(k.counters, err);
    if (k.listener == NULL) {
        if (err <= ERR_TLS_HANDSHAKE) /* a session that the peer could not use, perhaps */
            tls_session_forget(&stream_loop(s)->sessions, s->tls->key);
        net_stream_tell_end(s, err);
        return;
    }
    tls_shake_free(s);
    if (err == ERR_TLS_BUSY || err == -ETIMEDOUT) {
        net_stream_close(&s, true);
    } else {
        s->err = ERR_CLOSED;
        s->state = STREAM_ENDED;
        net_stream_close(&s, false);
    }
    promote(g);
    if (k.listener->on_refused != NULL)
        k.listener->on_refused(k.listener->user, &k.remote, &k.local, err);
}

static void done(struct net_stream *s)
{
    struct tls_shake k = *s->tls->shake;
    if (k.counters != NULL) {
        counter_inc(k.counters, CTR_TLS_HANDSHAKES);
        if (SSL_session_reused(s->tls->ssl))
            counter_inc(k.counters, CTR_TLS_RESUMED);
    }
    tls_shake_free(s);
    promote(gate_of(s));
    list_remove(&s->node);
    s->state = STREAM_OPEN;
    if (k.listener != NULL) {
        k.listener->on_accept(k.listener->user, s, &k.remote, &k.local);
    } else {
        if (s->out != NULL)
            list_push(&stream_loop(s)->dirty, &s->node);
        s->ev->on_open(s->user);
    }
    if (s->state == STREAM_OPEN)
        net_stream_watch(s);
}

void tls_shake_expired(struct net_stream *s)
{
    fail(s, s->tls->shake->place == SHAKE_WAITING ? ERR_TLS_BUSY : -ETIMEDOUT);
}

void tls_shakes_drop(struct net_loop *loop, const struct net_listener *l)
{
    struct list *lines[] = {&loop->gate.silent, &loop->gate.waiting, &loop->gate.active};
    for (unsigned i = 0; i < 3; i++) {
        LIST_EACH_SAFE(n, next, lines[i])
        {
            struct net_stream *s = container_of(n, struct tls_shake, node)->stream;
            if (s->tls->shake->listener == l)
                net_stream_close(&s, true);
        }
    }
    promote(&loop->gate);
}

/* --- begins ----------------------------------------------------------------------------------- */

/* The first byte, without taking it. 1: it is TLS's; 0: none is there; an error. */
static int look(const struct net_stream *s)
{
    unsigned char first;
    ssize_t n = recv(s->fd, &first, 1, MSG_PEEK | MSG_DONTWAIT);
    if (n < 0)
        return errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR ? 0 : -errno;
    if (n == 0)
        return ERR_CLOSED;
    return first >= RECORD_FIRST && first <= RECORD_LAST ? 1 : ERR_TLS_PLAIN;
}

void tls_shake_event(struct net_stream *s)
{
    struct tls_shake *k = s->tls->shake;
    struct tls_gate *g = gate_of(s);
    if (k->place == SHAKE_SILENT) {
        int rc = look(s);
        if (rc < 0)
            fail(s, rc);
        else if (rc == 0)
            net_stream_watch(s);
        if (rc <= 0)
            return;
        bool now = has_place(g, k);
        leave(g, k);
        enter(g, k, now ? SHAKE_ACTIVE : SHAKE_WAITING);
    }
    if (k->place == SHAKE_WAITING)
        net_stream_watch(s);
    else
        make_ready(s);
}

/* The line is full: whoever has been silent for longest makes room; for a source that has its share
 * already, one of its own. */
static bool make_room(struct tls_gate *g, const struct net_listener *l, unsigned source)
{
    unsigned room = room_for(l, g->line_of[source]);
    if (g->nline < room)
        return true;
    LIST_EACH(n, &g->silent)
    {
        const struct tls_shake *k = container_of(n, struct tls_shake, node);
        if (room == l->tls_max || k->source == source) {
            fail(k->stream, ERR_TLS_BUSY);
            return true;
        }
    }
    return false;
}

void tls_shake_accept(struct net_listener *l, struct net_stream *s, const struct addr *remote,
                      const struct addr *local)
{
    struct tls_gate *g = gate_of(s);
    unsigned source = source_of(g, remote);
    int err = make_room(g, l, source) ? 0 : ERR_TLS_BUSY;
    if (err == 0)
        err = tls_conn_new(s, l->tls, true);
    struct tls_shake *k = err == 0 ? shake_new(s, l->counters, remote) : NULL;
    if (k == NULL) {
        tls_count(l->counters, err != 0 ? err : ERR_NOMEM);
        net_stream_close(&s, true);
        if (l->on_refused != NULL)
            l->on_refused(l->user, remote, local, err != 0 ? err : ERR_NOMEM);
        return;
    }
    k->listener = l;
    k->local = *local;
    k->source = source;
    enter(g, k, SHAKE_SILENT);
    net_stream_wait_until(s, net_now(l->loop) + l->tls_timeout_ms);
    tls_shake_event(s); /* its first bytes may have come with it */
}

int tls_shake_open(struct net_stream *s, const struct net_tls_client *client,
                   const struct addr *remote)
{
    struct slice name = slice_str(client->name);
    if (name.len > TLS_NAME_MAX)
        return -ENAMETOOLONG;
    int rc = tls_conn_new(s, client->tls, false);
    if (rc != 0)
        return rc;
    struct tls_shake *k = shake_new(s, client->counters, remote);
    if (k == NULL) {
        tls_conn_free(s);
        return ERR_NOMEM;
    }
    (void)slice_cstr(name, k->name, sizeof(k->name));
    tls_session_key(client->tls, remote, name, s->tls->key);
    return 0;
}

void tls_shake_connected(struct net_stream *s)
{
    s->state = STREAM_SHAKING;
    make_ready(s);
}

/* --- steps ------------------------------------------------------------------------------------ */

/* Does it wait for its turn and not for its socket? */
bool tls_shake_is_due(const struct net_stream *s)
{
    const struct tls_shake *k = s->tls->shake;
    return k->place == SHAKE_WAITING || list_is_linked(&k->ready);
}

static void step(struct net_stream *s)
{
    int rc = s->tls->ssl == NULL ? tls_conn_start(s) : 0;
    if (rc == 0)
        rc = tls_conn_step(s);
    if (rc < 0)
        fail(s, rc);
    else if (rc > 0)
        done(s);
    else
        net_stream_watch(s);
}

void tls_shakes_run(struct net_loop *loop)
{
    struct tls_gate *g = &loop->gate;
    if (!has_ready(g)) {
        uv_idle_stop(&loop->idle);
        return;
    }
    uint64_t begin = uv_hrtime(), now = begin;
    uint64_t allowed = (work_ns() - g->worked) / SHARE_OF_WORK;
    if (allowed < STEPS_MIN_NS)
        allowed = STEPS_MIN_NS;
    while (now - begin < allowed) {
        struct list *n = list_pop(list_is_empty(&g->ready_opened) ? &g->ready : &g->ready_opened);
        if (n == NULL)
            break;
        step(container_of(n, struct tls_shake, ready)->stream);
        now = uv_hrtime();
    }
    g->worked = work_ns();
    if (!has_ready(g))
        uv_idle_stop(&loop->idle);
}
