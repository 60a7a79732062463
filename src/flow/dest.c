/* SPDX-License-Identifier: Apache-2.0 */
/* Protection of destinations: backoff after a failed opening, and a limit of openings a second.
 *
 * The backoff belongs to address and port and, with TLS, to what is to be proved there; the limit
 * to the address: a thousand phones behind one firewall share it. All addresses together have
 * another: what has a token of its address waits for one of these. */
#include "base/alloc.h"
#include "flow/flow_int.h"

#define TOKEN 1000u

static uint64_t peer_hash(const struct flows *fs, const struct addr *a, uint32_t tls_peer)
{
    return hash_bytes(&fs->key, a, sizeof(*a)) ^ hash_mix(tls_peer);
}

static struct flow_peer *peer_find(const struct flows *fs, const struct addr *a, uint32_t tls_peer)
{
    struct table_node *n = table_first(&fs->peers, peer_hash(fs, a, tls_peer));
    for (; n != NULL; n = table_next(n)) {
        struct flow_peer *p = container_of(n, struct flow_peer, node);
        if (addr_eq(&p->addr, a) && p->tls_peer == tls_peer)
            return p;
    }
    return NULL;
}

/* Openings a second, and the burst of them. */
static uint64_t bucket_rate(const struct flow_peer *p)
{
    uint64_t rate = p->owner->conf.reopen_per_second;
    if (rate == 0)
        rate = 1;
    return p->addr.family == ADDR_NONE ? rate * FLOW_TOTAL : rate;
}

static void peer_free(struct flow_peer *p)
{
    struct flows *fs = p->owner;
    timer_stop(fs->wheel, &p->timer);
    table_remove(&fs->peers, &p->node);
    mem_free(p);
}

/* NULL when there is no memory, or too many are remembered: then there is no protection. */
static struct flow_peer *peer_get(struct flows *fs, const struct addr *a, uint32_t tls_peer,
                                  timer_fn *fn)
{
    struct flow_peer *p = peer_find(fs, a, tls_peer);
    if (p != NULL)
        return p;
    p = fs->peers.count < FLOW_PEERS_MAX ? mem_zalloc(sizeof(*p)) : NULL;
    if (p == NULL)
        return NULL;
    p->owner = fs;
    p->addr = *a;
    p->tls_peer = tls_peer;
    p->filled = flows_now(fs);
    p->tokens = bucket_rate(p) * TOKEN;
    timer_init(&p->timer, fn);
    list_init(&p->line);
    table_insert(&fs->peers, &p->node, peer_hash(fs, a, tls_peer));
    return p;
}

static void backoff_forget(struct timer *t, uint64_t now)
{
    (void)now;
    peer_free(container_of(t, struct flow_peer, timer));
}

/* A device that has connected to us since it could not be reached is tried at once. */
static bool is_backing_off(const struct flow_peer *p)
{
    const struct flows *fs = p->owner;
    return flows_now(fs) < p->until && flow_counts_accepted_at(fs->counts, &p->addr) <= p->failed;
}

int flow_peer_check(const struct flows *fs, const struct addr *addr, uint32_t tls_peer)
{
    const struct flow_peer *p = peer_find(fs, addr, tls_peer);
    return p != NULL && is_backing_off(p) ? ERR_UNREACHABLE : 0;
}

void flow_peer_failed(struct flows *fs, const struct addr *addr, uint32_t tls_peer)
{
    struct flow_peer *p = peer_get(fs, addr, tls_peer, backoff_forget);
    uint64_t now = flows_now(fs);
    if (p == NULL || is_backing_off(p))
        return;
    p->failed = now;
    p->delay = p->delay == 0 ? FLOW_BACKOFF_MIN_MS : p->delay * 2;
    if (p->delay > FLOW_BACKOFF_MAX_MS)
        p->delay = FLOW_BACKOFF_MAX_MS;
    /* Three quarters to all of it, so that many that failed together do not come back together. */
    p->until = now + p->delay * 3 / 4 + rng_below(&fs->rng, p->delay / 4 + 1);
    timer_set(fs->wheel, &p->timer, p->until + p->delay);
}

void flow_peer_ok(struct flows *fs, const struct addr *addr, uint32_t tls_peer)
{
    struct flow_peer *p = peer_find(fs, addr, tls_peer);
    if (p != NULL)
        peer_free(p);
}

static void fill(struct flow_peer *p)
{
    uint64_t now = flows_now(p->owner), rate = bucket_rate(p);
    uint64_t tokens = p->tokens +
                      (now - p->filled) * rate; /* a thousandth each ms for a rate of 1 */
    p->tokens = tokens < rate * TOKEN ? tokens : rate * TOKEN;
    p->filled = now;
}

/* When the next token is there, and up to a quarter later, so that proxies and workers that stand
 * before the same firewall do not knock in step; tokens go on counting meanwhile. An empty line:
 * when the bucket is full and can be forgotten. */
static void bucket_arm(struct flow_peer *p)
{
    struct flows *fs = p->owner;
    uint64_t rate = bucket_rate(p), wait = 1000;
    if (!list_is_empty(&p->line)) {
        wait = p->tokens >= TOKEN ? 0 : (TOKEN - p->tokens + rate - 1) / rate;
        wait += rng_below(&fs->rng, (uint32_t)(1000 / rate / 4) + 1);
    }
    timer_set(fs->wheel, &p->timer, flows_now(fs) + (wait != 0 ? wait : 1));
}

static struct flow_peer *bucket_get(struct flows *fs, const struct addr *ip);

/* Takes a token, or stands in line. */
static bool bucket_take(struct flow_peer *p, struct flow_work *work)
{
    fill(p);
    bool ok = list_is_empty(&p->line) && p->tokens >= TOKEN;
    if (ok)
        p->tokens -= TOKEN;
    else if (!list_is_linked(&work->line))
        list_push(&p->line, &work->line);
    bucket_arm(p);
    return ok;
}

static bool take_of_all(struct flows *fs, struct flow_work *work)
{
    static const struct addr nobody = {.family = ADDR_NONE};
    struct flow_peer *all = bucket_get(fs, &nobody);
    return all == NULL || bucket_take(all, work);
}

static void bucket_timer(struct timer *t, uint64_t now)
{
    struct flow_peer *p = container_of(t, struct flow_peer, timer);
    (void)now;
    if (list_is_empty(&p->line)) {
        peer_free(p);
        return;
    }
    fill(p);
    /* Openings that fail at once tell events, and these may open more; the line only grows at its
     * end. */
    while (p->tokens >= TOKEN && !list_is_empty(&p->line)) {
        struct flow_work *w = container_of(p->line.next, struct flow_work, line);
        list_remove(&w->line);
        p->tokens -= TOKEN;
        if (p->addr.family == ADDR_NONE || take_of_all(p->owner, w))
            flow_open_turn(w->flow);
    }
    bucket_arm(p);
}

static struct flow_peer *bucket_get(struct flows *fs, const struct addr *ip)
{
    return peer_get(fs, ip, 0, bucket_timer);
}

bool flow_peer_may_open(struct flows *fs, const struct addr *addr, struct flow_work *work)
{
    struct addr ip = *addr;
    ip.port = 0;
    if (fs->conf.reopen_per_second == 0)
        return true;
    struct flow_peer *p = bucket_get(fs, &ip);
    if (p != NULL && !bucket_take(p, work))
        return false;
    return take_of_all(fs, work);
}

static void forgive(struct table_node *n, void *user)
{
    struct flow_peer *p = container_of(n, struct flow_peer, node);
    (void)user;
    if (p->addr.port != 0) /* else it is a bucket */
        peer_free(p);
}

void flow_peers_forgive(struct flows *fs)
{
    if (fs->peers.count != 0)
        table_each(&fs->peers, forgive, NULL);
}

static void peer_each(struct table_node *n, void *user)
{
    (void)user;
    peer_free(container_of(n, struct flow_peer, node));
}

void flow_peers_free(struct flows *fs)
{
    if (fs->peers.count != 0)
        table_each(&fs->peers, peer_each, NULL);
}
