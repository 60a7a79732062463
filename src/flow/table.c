/* SPDX-License-Identifier: Apache-2.0 */
/* The table of flows: objects, index by address, counts for each address, doomed ones. */
#include "base/alloc.h"
#include "flow/flow_int.h"

static uint64_t addr_key(const struct flows *fs, unsigned t, const struct addr *a,
                         uint32_t tls_peer)
{
    return hash_bytes(&fs->key, a, sizeof(*a)) ^ hash_mix((uint64_t)tls_peer << 8 | (t + 1));
}

int flow_new(struct flows *fs, enum sip_transport t, const struct addr *remote,
             const struct addr *local, bool is_opened, struct flow **out)
{
    uint64_t id;
    uint32_t max = fs->conf.max_connections;
    /* Whoever fills the table from outside must not keep us from reaching the phones. */
    if (is_opened && max != 0)
        max += max / FLOW_OPEN_SHARE + FLOW_OPEN_MIN;
    if (!flow_counts_enter(fs->counts, max))
        return ERR_LIMIT;
    struct flow *f = pool_new(&fs->pool, &id);
    if (f == NULL) {
        flow_counts_leave(fs->counts);
        return ERR_NOMEM;
    }
    f->owner = fs;
    f->id = id;
    f->state = FLOW_OPENING;
    f->transport = t & 15;
    f->remote = *remote;
    f->local = *local;
    f->begun = f->last_in = f->last_out = flows_seconds(fs);
    list_init(&f->doomed);
    *out = f;
    return 0;
}

struct flow *flow_find(const struct flows *fs, uint64_t id)
{
    struct flow *f = pool_find(&fs->pool, id);
    return f != NULL && f->doom == 0 ? f : NULL;
}

struct flow *flow_find_addr(const struct flows *fs, enum sip_transport t, const struct addr *remote,
                            uint32_t tls_peer)
{
    uint64_t hash = addr_key(fs, t, remote, tls_peer);
    for (struct table_node *n = table_first(&fs->index, hash); n != NULL; n = table_next(n)) {
        const struct flow_key *k = container_of(n, struct flow_key, node);
        if (k->flow->transport == t && k->tls_peer == tls_peer && addr_eq(&k->addr, remote) &&
            k->flow->doom == 0 && !k->flow->lame && k->flow->state != FLOW_GONE)
            return k->flow;
    }
    return NULL;
}

void flow_index(struct flow *f, const struct addr *addr, uint32_t tls_peer)
{
    struct flows *fs = f->owner;
    if (f->key != NULL || flow_find_addr(fs, f->transport, addr, tls_peer) != NULL)
        return;
    struct flow_key *k = mem_zalloc(sizeof(*k));
    if (k == NULL)
        return;
    k->flow = f;
    k->addr = *addr;
    k->tls_peer = tls_peer;
    f->key = k;
    table_insert(&fs->index, &k->node, addr_key(fs, f->transport, addr, tls_peer));
}

void flow_unindex(struct flow *f)
{
    struct flows *fs = f->owner;
    if (f->key == NULL)
        return;
    struct flow_alias alias = {f->key->addr, f->transport, f->key->tls_peer};
    table_remove(&fs->index, &f->key->node);
    if (fs->aliases != NULL && !f->is_opened)
        flow_aliases_drop(fs->aliases, &alias, f->id);
    mem_free(f->key);
    f->key = NULL;
}

bool flow_count_in(struct flow *f)
{
    struct flows *fs = f->owner;
    if (fs->conf.max_per_address == 0)
        return true;
    f->is_counted = flow_counts_take(fs->counts, &f->remote, fs->conf.max_per_address);
    return f->is_counted;
}

void flow_count_out(struct flow *f)
{
    if (f->is_counted)
        flow_counts_give(f->owner->counts, &f->remote);
    f->is_counted = false;
}

static void uncount_one(void *object, uint64_t id, void *user)
{
    (void)id;
    (void)user;
    flow_count_out(object);
}

static void recount_one(void *object, uint64_t id, void *user)
{
    struct flow *f = object;
    (void)id;
    (void)user;
    if (f->state == FLOW_UP && !f->is_ours)
        (void)flow_count_in(f);
}

/* Counts are of those accepted while the limit was set; here all are counted anew, and none that is
 * above it is cut. What we have opened, or are opening, in the place of one is none of them. */
void flow_recount(struct flows *fs)
{
    pool_each(&fs->pool, uncount_one, NULL);
    pool_each(&fs->pool, recount_one, NULL);
}

void flow_doom(struct flow *f, int err)
{
    if (f->doom != 0)
        return;
    f->doom = (int16_t)err;
    list_push(&f->owner->doomed, &f->doomed);
}

void flow_free(struct flow *f, bool abort)
{
    struct flows *fs = f->owner;
    if (f->state == FLOW_UP)
        counter_dec(fs->counters, CTR_FLOWS);
    flow_unstage(f);
    net_stream_close(&f->stream, abort);
    flow_in_drop(f);
    if (f->work != NULL) {
        flow_work_clear_queue(f);
        flow_attempt_drop(f);
        f->work->hold = 0;
        flow_say_reopened(f);
        f->state = FLOW_GONE;
        flow_work_put(f);
    }
    flow_unindex(f);
    flow_sources_drop(flow_counts_sources(fs->counts), f);
    mem_free(f->dn);
    flow_count_out(f);
    flow_counts_leave(fs->counts);
    list_remove(&f->doomed);
    pool_free(&fs->pool, f->id);
}

struct flow_work *flow_work_get(struct flow *f)
{
    struct flows *fs = f->owner;
    struct flow_work *w = f->work;
    if (w != NULL)
        return w;
    w = fs->free_work;
    if (w != NULL) {
        fs->free_work = w->next_free;
        fs->nfree_work--;
    } else {
        w = mem_alloc(sizeof(*w));
        if (w == NULL)
            return NULL;
    }
    *w = (struct flow_work){.flow = f};
    timer_init(&w->timer, flow_work_timer);
    list_init(&w->line);
    list_init(&w->queue);
    list_init(&w->held);
    list_init(&w->resent);
    f->work = w;
    return w;
}

void flow_work_clear_queue(struct flow *f)
{
    struct flow_work *w = f->work;
    list_splice(&w->queue, &w->held);
    while (!list_is_empty(&w->queue)) {
        struct flow_queued *q = container_of(w->queue.next, struct flow_queued, node);
        list_remove(&q->node);
        mem_free(q);
    }
    w->queued = 0;
}

void flow_work_put(struct flow *f)
{
    struct flows *fs = f->owner;
    struct flow_work *w = f->work;
    if (w == NULL || w->hold != 0 || w->queued != 0 || w->attempt != NULL ||
        list_is_linked(&w->line))
        return;
    timer_stop(fs->wheel, &w->timer);
    flow_resent_drop(w);
    f->work = NULL;
    flow_restage(f);
    if (fs->nfree_work >= FLOW_WORK_CACHE) {
        mem_free(w);
        return;
    }
    w->next_free = fs->free_work;
    fs->free_work = w;
    fs->nfree_work++;
}

void flow_work_cache_free(struct flows *fs)
{
    while (fs->free_work != NULL) {
        struct flow_work *w = fs->free_work;
        fs->free_work = w->next_free;
        mem_free(w);
    }
}
