/* SPDX-License-Identifier: Apache-2.0 */
#include "net/resolver.h"

#include <ares.h>

#include "base/alloc.h"
#include "base/hash.h"
#include "base/pool.h"
#include "base/random.h"
#include "base/table.h"
#include "net/net_int.h"

#define MAX_NAMES   4096
#define MAX_WAITERS 65536
#define HOST_MAX    255 /* RFC 1035 2.3.4 */
#define TTL_MIN_MS  1000
#define TTL_MAX_MS  3600000
#define FAILED_MS   5000
#define QUERY_MS    2000 /* one server, first try; c-ares doubles it */
#define QUERY_TRIES 2

struct name {
    struct table_node node;
    struct list lru; /* the end was asked for last */
    struct list waiters;
    struct net_resolver *resolver;
    bool busy; /* a query is under way */
    int err;
    unsigned n;
    struct addr addrs[NET_ADDRS_MAX];
    uint64_t until; /* ms */
    size_t len;
    char host[HOST_MAX + 1]; /* lower case */
};

struct waiter {
    struct list node;
    uint64_t id;
    net_resolved_fn *fn;
    void *user;
};

/* A socket of c-ares. */
struct dns_sock {
    uv_poll_t poll;
    struct list node;
    struct net_resolver *resolver;
    ares_socket_t fd;
};

struct net_resolver {
    uv_timer_t timer;
    struct net_loop *loop;
    ares_channel channel;
    struct hash_key key;
    struct table names;
    struct list lru;
    struct list socks;
    struct pool waiters;
    bool closing;
};

static void arm(struct net_resolver *r);

static void on_timer(uv_timer_t *timer)
{
    struct net_resolver *r = timer->data;
    ares_process_fd(r->channel, ARES_SOCKET_BAD, ARES_SOCKET_BAD);
    arm(r);
}

static void arm(struct net_resolver *r)
{
    struct timeval tv;
    if (ares_timeout(r->channel, NULL, &tv) == NULL) {
        uv_timer_stop(&r->timer);
        return;
    }
    uint64_t ms = (uint64_t)tv.tv_sec * 1000 + (uint64_t)tv.tv_usec / 1000 + 1;
    uv_timer_start(&r->timer, on_timer, ms, 0);
}

static void on_dns_sock(uv_poll_t *poll, int status, int events)
{
    struct dns_sock *s = poll->data;
    struct net_resolver *r = s->resolver;
    bool readable = status < 0 || (events & UV_READABLE) != 0;
    bool writable = status < 0 || (events & UV_WRITABLE) != 0;
    ares_process_fd(r->channel, readable ? s->fd : ARES_SOCKET_BAD,
                    writable ? s->fd : ARES_SOCKET_BAD);
    arm(r);
}

static void on_sock_closed(uv_handle_t *handle)
{
    mem_free(handle->data);
}

static struct dns_sock *sock_get(struct net_resolver *r, ares_socket_t fd)
{
    LIST_EACH(it, &r->socks)
    {
        struct dns_sock *s = container_of(it, struct dns_sock, node);
        if (s->fd == fd)
            return s;
    }
    struct dns_sock *s = mem_zalloc(sizeof(*s));
    if (s == NULL)
        return NULL;
    if (uv_poll_init_socket(&r->loop->uv, &s->poll, fd) != 0) {
        mem_free(s);
        return NULL;
    }
    s->poll.data = s;
    s->resolver = r;
    s->fd = fd;
    list_init(&s->node);
    list_push(&r->socks, &s->node);
    return s;
}

/* c-ares says what it waits for; neither: it is about to close the socket. */
static void on_sock_state(void *user, ares_socket_t fd, int readable, int writable)
{
    struct net_resolver *r = user;
    struct dns_sock *s = sock_get(r, fd);
    if (s == NULL)
        return; /* the query ends by its timeout */
    if (readable || writable) {
        uv_poll_start(&s->poll, (readable ? UV_READABLE : 0) | (writable ? UV_WRITABLE : 0),
                      on_dns_sock);
        return;
    }
    list_remove(&s->node);
    uv_close((uv_handle_t *)&s->poll, on_sock_closed);
}

int net_resolver_new(struct net_loop *loop, const struct net_resolver_conf *conf,
                     struct counters *counters, struct net_resolver **out)
{
    struct net_resolver *r = mem_zalloc(sizeof(*r));
    uint32_t generation;
    (void)conf;
    (void)counters;
    if (r == NULL)
        return ERR_NOMEM;
    r->loop = loop;
    list_init(&r->lru);
    list_init(&r->socks);
    random_bytes(&r->key, sizeof(r->key));
    random_bytes(&generation, sizeof(generation));
    pool_init(&r->waiters, sizeof(struct waiter), 0, MAX_WAITERS, generation);
    if (table_init(&r->names, 64) != 0) {
        mem_free(r);
        return ERR_NOMEM;
    }
    struct ares_options opt = {.timeout = QUERY_MS,
                               .tries = QUERY_TRIES,
                               .sock_state_cb = on_sock_state,
                               .sock_state_cb_data = r};
    int rc = ares_init_options(&r->channel, &opt,
                               ARES_OPT_TIMEOUTMS | ARES_OPT_TRIES | ARES_OPT_SOCK_STATE_CB);
    if (rc != ARES_SUCCESS) {
        table_fini(&r->names);
        mem_free(r);
        return rc == ARES_ENOMEM ? ERR_NOMEM : ERR_UNSUPPORTED;
    }
    uv_timer_init(&loop->uv, &r->timer);
    r->timer.data = r;
    *out = r;
    return 0;
}

static void name_free(struct net_resolver *r, struct name *n)
{
    list_remove(&n->lru);
    table_remove(&r->names, &n->node);
    mem_free(n);
}

static void on_timer_closed(uv_handle_t *handle)
{
    mem_free(handle->data);
}

void net_resolver_free(struct net_resolver **resolver)
{
    struct net_resolver *r = *resolver;
    if (r == NULL)
        return;
    *resolver = NULL;
    r->closing = true;
    ares_destroy(r->channel); /* every query ends with ARES_EDESTRUCTION */
    while (!list_is_empty(&r->lru))
        name_free(r, container_of(r->lru.next, struct name, lru));
    table_fini(&r->names);
    pool_fini(&r->waiters);
    uv_close((uv_handle_t *)&r->timer, on_timer_closed);
}

static struct name *name_find(struct net_resolver *r, const char *host, size_t len, uint64_t hash)
{
    for (struct table_node *t = table_first(&r->names, hash); t != NULL; t = table_next(t)) {
        struct name *n = container_of(t, struct name, node);
        if (n->len == len && memcmp(n->host, host, len) == 0)
            return n;
    }
    return NULL;
}

/* Room for one more: the one asked for least recently goes, unless its query is under way. */
static bool make_room(struct net_resolver *r)
{
    if (r->names.count < MAX_NAMES)
        return true;
    LIST_EACH(it, &r->lru)
    {
        struct name *n = container_of(it, struct name, lru);
        if (!n->busy) {
            name_free(r, n);
            return true;
        }
    }
    return false;
}

static struct name *name_new(struct net_resolver *r, const char *host, size_t len, uint64_t hash)
{
    struct name *n = make_room(r) ? mem_zalloc(sizeof(*n)) : NULL;
    if (n == NULL)
        return NULL;
    n->resolver = r;
    n->len = len;
    memcpy(n->host, host, len);
    list_init(&n->waiters);
    list_init(&n->lru);
    list_push(&r->lru, &n->lru);
    table_insert(&r->names, &n->node, hash);
    return n;
}

static int err_of(int status)
{
    switch (status) {
    case ARES_SUCCESS: return 0;
    case ARES_ENOMEM: return ERR_NOMEM;
    case ARES_ETIMEOUT: return -ETIMEDOUT;
    case ARES_ECONNREFUSED: return -ECONNREFUSED;
    case ARES_EDESTRUCTION:
    case ARES_ECANCELLED: return ERR_SHUTDOWN;
    case ARES_EBADNAME: return ERR_PARSE;
    default: return ERR_NOT_FOUND;
    }
}

/* Fills in the addresses; returns how long they live, ms. */
static uint64_t take_addrs(struct name *n, const struct ares_addrinfo *info)
{
    uint64_t ttl = TTL_MAX_MS;
    n->n = 0;
    for (const struct ares_addrinfo_node *a = info->nodes; a != NULL; a = a->ai_next) {
        struct addr addr;
        if (n->n == NET_ADDRS_MAX || addr_from_sockaddr(a->ai_addr, &addr) != 0)
            continue;
        addr.port = 0;
        n->addrs[n->n++] = addr;
        uint64_t ms = a->ai_ttl > 0 ? (uint64_t)a->ai_ttl * 1000 : 0;
        ttl = ms < ttl ? ms : ttl;
    }
    for (const struct ares_addrinfo_cname *c = info->cnames; c != NULL; c = c->next) {
        uint64_t ms = c->ttl > 0 ? (uint64_t)c->ttl * 1000 : 0;
        ttl = ms < ttl ? ms : ttl;
    }
    return ttl > TTL_MIN_MS ? ttl : TTL_MIN_MS;
}

static void on_answer(void *user, int status, int timeouts, struct ares_addrinfo *info)
{
    struct name *n = user;
    struct net_resolver *r = n->resolver;
    uint64_t keep = FAILED_MS;
    (void)timeouts;
    n->busy = false;
    n->n = 0;
    n->err = err_of(status);
    if (n->err == 0 && info != NULL)
        keep = take_addrs(n, info);
    if (info != NULL)
        ares_freeaddrinfo(info);
    if (n->err == 0 && n->n == 0)
        n->err = ERR_NOT_FOUND;
    n->until = net_now(r->loop) + (n->err == ERR_NOMEM ? 0 : keep);
    /* A callback may ask for more, even for this name; it is not freed while it is the newest. */
    struct name copy = *n;
    struct list waiters;
    list_init(&waiters);
    list_splice(&waiters, &n->waiters);
    struct list *node;
    while ((node = list_pop(&waiters)) != NULL) {
        struct waiter *w = container_of(node, struct waiter, node);
        net_resolved_fn *fn = w->fn;
        void *fn_user = w->user;
        pool_free(&r->waiters, w->id);
        fn(fn_user, copy.err, copy.addrs, copy.n);
    }
}

static void start_query(struct net_resolver *r, struct name *n)
{
    struct ares_addrinfo_hints hints = {.ai_family = AF_UNSPEC};
    n->busy = true;
    ares_getaddrinfo(r->channel, n->host, NULL, &hints, on_answer, n);
    arm(r);
}

static int answer_now(net_resolved_fn *fn, void *user, int err)
{
    fn(user, err, NULL, 0);
    return 1;
}

static int wait_for(struct net_resolver *r, struct name *n, net_resolved_fn *fn, void *user,
                    uint64_t *query)
{
    uint64_t id;
    struct waiter *w = pool_new(&r->waiters, &id);
    if (w == NULL)
        return answer_now(fn, user, ERR_NOMEM);
    w->id = id;
    w->fn = fn;
    w->user = user;
    list_init(&w->node);
    list_push(&n->waiters, &w->node);
    if (query != NULL)
        *query = id;
    return 0;
}

int net_resolve(struct net_resolver *r, struct slice host, net_resolved_fn *fn, void *user,
                uint64_t *query)
{
    struct addr numeric;
    char lower[HOST_MAX + 1];
    if (query != NULL)
        *query = 0;
    if (r->closing)
        return answer_now(fn, user, ERR_SHUTDOWN);
    if (addr_parse_ip(host, 0, &numeric) == 0) {
        fn(user, 0, &numeric, 1);
        return 1;
    }
    if (host.len == 0 || host.len > HOST_MAX || memchr(host.ptr, '\0', host.len) != NULL)
        return answer_now(fn, user, ERR_PARSE);
    for (size_t i = 0; i < host.len; i++)
        lower[i] = ascii_lower(host.ptr[i]);
    uint64_t hash = hash_bytes(&r->key, lower, host.len);
    struct name *n = name_find(r, lower, host.len, hash);
    if (n == NULL)
        n = name_new(r, lower, host.len, hash);
    if (n == NULL)
        return answer_now(fn, user, ERR_NOMEM);
    list_remove(&n->lru);
    list_push(&r->lru, &n->lru);
    if (!n->busy && n->until <= net_now(r->loop))
        start_query(r, n);
    if (n->busy)
        return wait_for(r, n, fn, user, query);
    struct name copy = *n; /* fn may make it go */
    fn(user, copy.err, copy.addrs, copy.n);
    return 1;
}

void net_resolve_cancel(struct net_resolver *r, uint64_t query)
{
    struct waiter *w = pool_find(&r->waiters, query);
    if (w == NULL)
        return;
    list_remove(&w->node);
    pool_free(&r->waiters, query);
}

void net_resolver_set_conf(struct net_resolver *r, const struct net_resolver_conf *conf)
{
    (void)r;
    (void)conf;
}

int net_resolve_srv(struct net_resolver *r, struct slice name, net_srv_fn *fn, void *user,
                    uint64_t *query)
{
    (void)r;
    (void)name;
    if (query != NULL)
        *query = 0;
    fn(user, ERR_NOT_FOUND, NULL, 0);
    return 1;
}

int net_resolve_naptr(struct net_resolver *r, struct slice name, net_naptr_fn *fn, void *user,
                      uint64_t *query)
{
    (void)r;
    (void)name;
    if (query != NULL)
        *query = 0;
    fn(user, ERR_NOT_FOUND, NULL, 0);
    return 1;
}

void net_resolver_dump(struct net_resolver *r, void (*line)(void *user, const char *text),
                       void *user)
{
    LIST_EACH(it, &r->lru)
    {
        line(user, container_of(it, struct name, lru)->host);
    }
}

unsigned net_resolver_forget(struct net_resolver *r, struct slice name)
{
    unsigned n = 0;
    LIST_EACH_SAFE(it, tmp, &r->lru)
    {
        struct name *known = container_of(it, struct name, lru);
        if (known->busy || (name.len != 0 && !slice_ieq(slice_of(known->host, known->len), name)))
            continue;
        name_free(r, known);
        n++;
    }
    return n;
}
