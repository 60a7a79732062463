/* SPDX-License-Identifier: Apache-2.0 */
/* Start, end, settings and the turn of the flow room. */
#include "base/alloc.h"
#include "flow/flow_int.h"

/* Takes the settings over; what the kernel will do with them is asked of a fresh socket. */
static int use_conf(struct flows *fs, const struct flow_conf *conf)
{
    struct net_keepalive ka;
    struct flow_tls *tls = fs->conf.tls; /* is never taken away: flows have numbers of it */
    fs->conf = *conf;
    if (tls != NULL)
        fs->conf.tls = tls;
    fs->conf.listen = NULL;
    fs->conf.nlisten = 0;
    fs->conf.sides = NULL;
    fs->sockopt = conf->sockopt;
    fs->sockopt.user_timeout = 0;
    fs->detect_ms = 0;
    if (!conf->sockopt.keep_alive)
        return 0;
    int rc = net_keepalive_read(&conf->sockopt, &ka);
    if (rc != 0)
        return rc;
    fs->detect_ms = ka.detect_ms < INT32_MAX ? (uint32_t)ka.detect_ms : INT32_MAX;
    fs->sockopt.user_timeout = fs->detect_ms;
    return 0;
}

static int init_tables(struct flows *fs)
{
    int rc = table_init(&fs->index, 64);
    if (rc == 0)
        rc = table_init(&fs->peers, 16);
    if (rc == 0 && fs->counts == NULL) {
        rc = flow_counts_new(&fs->counts);
        fs->owns_counts = rc == 0;
    }
    return rc;
}

int flows_new(struct net_loop *loop, struct wheel *wheel, const struct flow_conf *conf,
              unsigned worker, unsigned nworkers, struct mailbox *const *mailboxes,
              const struct hash_key *key, struct counters *counters,
              const struct flow_events *events, struct flows **out, struct addr *failed)
{
    struct flows *fs = mem_zalloc(sizeof(*fs));
    uint32_t generation;
    *failed = (struct addr){.family = ADDR_NONE};
    if (fs == NULL)
        return ERR_NOMEM;
    fs->loop = loop;
    fs->wheel = wheel;
    fs->worker = worker;
    fs->nworkers = nworkers;
    fs->mailboxes = mailboxes;
    fs->key = *key;
    fs->counters = counters;
    fs->ev = *events;
    fs->counts = conf->counts;
    fs->aliases = conf->aliases;
    fs->start = net_now(loop);
    rng_init(&fs->rng);
    random_bytes(&generation, sizeof(generation));
    pool_init(&fs->pool, sizeof(struct flow), worker, 0, generation);
    list_init(&fs->doomed);
    flow_outbox_init(fs);
    int rc = init_tables(fs);
    if (rc == 0)
        rc = use_conf(fs, conf);
    if (rc == 0)
        rc = flow_listen(fs, conf, failed);
    if (rc != 0) {
        flows_free(&fs);
        return rc;
    }
    *out = fs;
    return 0;
}

static void free_one(void *object, uint64_t id, void *user)
{
    (void)id;
    (void)user;
    flow_free(object, false);
}

void flows_free(struct flows **flows)
{
    struct flows *fs = *flows;
    if (fs == NULL)
        return;
    *flows = NULL;
    flow_unlisten(fs);
    pool_each(&fs->pool, free_one, NULL);
    pool_fini(&fs->pool);
    flow_peers_free(fs);
    flow_outbox_free(fs);
    flow_work_cache_free(fs);
    table_fini(&fs->index);
    table_fini(&fs->peers);
    if (fs->owns_counts)
        flow_counts_free(&fs->counts);
    mem_free(fs);
}

void flows_set_conf(struct flows *fs, const struct flow_conf *conf)
{
    int rc = use_conf(fs, conf);
    if (rc != 0)
        LOG(LOG_ERROR, "flow", "keep-alive timing cannot be read", LF_ERR("cause", rc));
    for (unsigned i = 0; i < fs->nlisteners; i++) {
        if (fs->listeners[i].tcp != NULL)
            net_listener_set_opt(fs->listeners[i].tcp, &fs->sockopt);
        if (fs->listeners[i].tls != NULL)
            net_listener_set_opt(fs->listeners[i].tls, &fs->sockopt);
    }
    flow_listen_tls(fs);
    flow_listen_access(fs, conf);
    flow_peers_forgive(fs);
    flow_recount(fs);
}

void flows_flush(struct flows *fs)
{
    while (!list_is_empty(&fs->doomed))
        flow_end_doomed(container_of(fs->doomed.next, struct flow, doomed));
    if (!list_is_empty(&fs->outbox))
        flow_outbox_flush(fs);
    for (unsigned i = 0; i < fs->nlisteners; i++) {
        if (fs->listeners[i].udp != NULL)
            net_udp_flush(fs->listeners[i].udp);
    }
    net_stream_flush_all(fs->loop);
}

void flows_close(struct flows *fs, uint64_t id, int reason)
{
    unsigned owner = flow_id_owner(fs, id);
    if (id == 0 || flow_id_is_provisional(id))
        return;
    if (owner != fs->worker) {
        flow_mail_close(fs, owner, id, reason);
        return;
    }
    struct flow *f = flow_find(fs, id);
    if (f != NULL)
        flow_doom(f, reason != 0 ? reason : ERR_CLOSED);
}

uint64_t flows_from(struct flows *fs, enum sip_transport t, const struct addr *remote)
{
    if (t == SIP_UDP || remote->port == sip_transport_port(t))
        return 0;
    return flow_sources_find(flow_counts_sources(fs->counts), (uint8_t)t, remote);
}

bool flows_is_alive(const struct flows *fs, uint64_t id)
{
    if (id == 0)
        return false;
    if (flow_id_owner(fs, id) != fs->worker)
        return true;
    const struct flow *f = flow_find(fs, id);
    return f != NULL && f->state != FLOW_GONE && !f->lame;
}

bool flows_is_mine(const struct flows *fs, uint64_t id)
{
    return id != 0 && flow_id_owner(fs, id) == fs->worker;
}

bool flows_is_up(const struct flows *fs, uint64_t id)
{
    if (id == 0)
        return false;
    if (flow_id_owner(fs, id) != fs->worker)
        return true;
    const struct flow *f = flow_find(fs, id);
    return f != NULL && f->state == FLOW_UP && !f->lame;
}

uint32_t flows_tls_peer(struct flows *fs, struct slice profile, struct slice host)
{
    return fs->conf.tls != NULL ? flow_tls_number(fs->conf.tls, profile, host, false) : 0;
}

struct slice flows_tls_name(struct flows *fs, uint32_t tls_peer)
{
    return fs->conf.tls != NULL ? flow_tls_name(fs->conf.tls, tls_peer) : SLICE("");
}

struct slice flows_tls_profile(struct flows *fs, uint32_t tls_peer)
{
    return fs->conf.tls != NULL ? flow_tls_profile_of(fs->conf.tls, tls_peer) : SLICE("");
}

uint64_t flows_time(const struct flows *fs)
{
    return net_now(fs->loop);
}

unsigned flows_count(const struct flows *fs)
{
    return fs->pool.live;
}
