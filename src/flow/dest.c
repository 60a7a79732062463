/* SPDX-License-Identifier: Apache-2.0 */
/* Protection of destinations: backoff after a failed opening, and a limit of openings a second.
 *
 * The backoff belongs to address and port and, with TLS, to what is to be proved there; the limit
 * to the address, over all workers: a thousand phones behind one firewall share it. All addresses
 * together have another, which is asked after that of the address. */
#include "base/alloc.h"
#include "flow/backoff.h"
#include "flow/flow_int.h"

static struct flow_peer *peer_find(const struct flows *fs, const struct addr *ip)
{
    struct table_node *n = table_first(&fs->peers, hash_bytes(&fs->key, ip, sizeof(*ip)));
    for (; n != NULL; n = table_next(n)) {
        struct flow_peer *p = container_of(n, struct flow_peer, node);
        if (addr_eq(&p->addr, ip))
            return p;
    }
    return NULL;
}

static void peer_free(struct flow_peer *p)
{
    struct flows *fs = p->owner;
    timer_stop(fs->wheel, &p->timer);
    table_remove(&fs->peers, &p->node);
    mem_free(p);
}

/* NULL when there is no memory, or too many are remembered: then there is no protection. */
static struct flow_peer *peer_get(struct flows *fs, const struct addr *ip, timer_fn *fn)
{
    struct flow_peer *p = peer_find(fs, ip);
    if (p != NULL)
        return p;
    p = fs->peers.count < FLOW_PEERS_MAX ? mem_zalloc(sizeof(*p)) : NULL;
    if (p == NULL)
        return NULL;
    p->owner = fs;
    p->addr = *ip;
    timer_init(&p->timer, fn);
    list_init(&p->line);
    table_insert(&fs->peers, &p->node, hash_bytes(&fs->key, ip, sizeof(*ip)));
    return p;
}

/* --- backoff ---------------------------------------------------------------------------------- */

int flow_peer_check(const struct flows *fs, const struct addr *addr, uint32_t tls_peer)
{
    return flow_backoff_is_on(flow_counts_backoff(fs->counts), addr, tls_peer,
                              flow_counts_accepted_at(fs->counts, addr), flows_now(fs))
               ? ERR_UNREACHABLE
               : 0;
}

void flow_peer_failed(struct flows *fs, const struct addr *addr, uint32_t tls_peer)
{
    flow_backoff_failed(flow_counts_backoff(fs->counts), addr, tls_peer,
                        flow_counts_accepted_at(fs->counts, addr), flows_now(fs),
                        rng_next(&fs->rng));
}

void flow_peer_ok(struct flows *fs, const struct addr *addr, uint32_t tls_peer)
{
    flow_backoff_ok(flow_counts_backoff(fs->counts), addr, tls_peer);
}

void flows_try_anew(struct flows *flows, const struct flow_dest *dest)
{
    if (dest->transport != SIP_UDP)
        flow_peer_ok(flows, &dest->remote, dest->transport == SIP_TLS ? dest->tls_peer : 0);
}

void flow_peers_forgive(struct flows *fs)
{
    flow_backoff_forgive(flow_counts_backoff(fs->counts));
}

/* --- lines ------------------------------------------------------------------------------------ */

/* 0: one may be opened now, and it counts; else the ms until it is worth asking again, and up to a
 * quarter of the interval more, so that proxies and workers that stand before the same firewall do
 * not knock in step. `ip` of ADDR_NONE: all addresses. */
static uint32_t ask(struct flows *fs, const struct addr *ip)
{
    uint64_t rate = fs->conf.reopen_per_second != 0 ? fs->conf.reopen_per_second : 1;
    if (ip->family == ADDR_NONE)
        rate *= FLOW_TOTAL;
    uint32_t wait = flow_counts_open(fs->counts, ip, rate, flows_now(fs));
    return wait != 0 ? wait + (uint32_t)rng_below(&fs->rng, 1000 / rate / 4 + 1) : 0;
}

static void line_timer(struct timer *t, uint64_t now);

/* May open, or stands in the line of the address, which exists only as long as somebody does. */
static bool may_open(struct flows *fs, const struct addr *ip, struct flow_work *work)
{
    struct flow_peer *p = peer_find(fs, ip);
    uint32_t wait = 0;
    if (p == NULL || list_is_empty(&p->line)) {
        wait = ask(fs, ip);
        if (wait == 0)
            return true;
        p = peer_get(fs, ip, line_timer);
        if (p == NULL)
            return true;
        timer_set(fs->wheel, &p->timer, flows_now(fs) + wait);
    }
    if (!list_is_linked(&work->line))
        list_push(&p->line, &work->line);
    return false;
}

static bool may_open_of_all(struct flows *fs, struct flow_work *work)
{
    static const struct addr nobody = {.family = ADDR_NONE};
    return may_open(fs, &nobody, work);
}

static void line_timer(struct timer *t, uint64_t now)
{
    struct flow_peer *p = container_of(t, struct flow_peer, timer);
    uint32_t wait = 0;
    (void)now;
    /* Openings that fail at once tell events, and these may open more; the line only grows at its
     * end. */
    while (!list_is_empty(&p->line) && (wait = ask(p->owner, &p->addr)) == 0) {
        struct flow_work *w = container_of(p->line.next, struct flow_work, line);
        list_remove(&w->line);
        if (p->addr.family == ADDR_NONE || may_open_of_all(p->owner, w))
            flow_open_turn(w->flow);
    }
    if (list_is_empty(&p->line))
        peer_free(p);
    else
        timer_set(p->owner->wheel, t, flows_now(p->owner) + wait);
}

bool flow_peer_may_open(struct flows *fs, const struct addr *addr, struct flow_work *work)
{
    struct addr ip = *addr;
    ip.port = 0;
    if (fs->conf.reopen_per_second == 0)
        return true;
    return may_open(fs, &ip, work) && may_open_of_all(fs, work);
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
