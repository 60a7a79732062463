/* SPDX-License-Identifier: Apache-2.0 */
/* What is known of names, and who waits for what is not. */
#include "net/resolver_int.h"

#include "base/alloc.h"

#define MAX_NAMES        4096
#define MAX_WAITERS      65536
#define POSITIVE_MAX_S   86400
#define NEGATIVE_MAX_S   300
#define NEGATIVE_MIN_S   1
#define HOSTS_S          5    /* how long an address of the hosts file is known */
#define PARTIAL_MS       5000 /* one family is known, the other one's servers failed */
#define AT_ONCE_MS       600000 /* what has expired longer ago is given only when nothing newer comes */
#define FAILED_FIRST_MS  1000 /* RFC 2308 7.1: at most 5 minutes */
#define FAILED_MAX_MS    30000
#define DEFAULT_TIMEOUT  2000 /* ms */
#define DEFAULT_TRIES    2
#define DEFAULT_STALE_MS 86400000
#define SPARED           64 /* of the oldest names, those with records, when room is made */

static struct dns_view view_of(const struct dns_name *n)
{
    return (struct dns_view){
        n->kind, n->known.err, {dns_set_hold(n->known.sets[0]), dns_set_hold(n->known.sets[1])}};
}

static void view_drop(struct dns_view *v)
{
    dns_set_drop(v->sets[0]);
    dns_set_drop(v->sets[1]);
}

/* Gives what is known, which the callback may make go. Returns 1. */
static int give_known(struct net_resolver *r, struct dns_name *n, union dns_fn fn, void *user)
{
    struct dns_view v = view_of(n);
    n->hits++;
    dns_view_give(r, &v, fn, user);
    view_drop(&v);
    return 1;
}

static int give_err(struct net_resolver *r, enum dns_kind kind, int err, union dns_fn fn,
                    void *user)
{
    dns_view_give(r, &(struct dns_view){kind, err, {NULL, NULL}}, fn, user);
    return 1;
}

static void give_waiters(struct net_resolver *r, struct list *waiting, const struct dns_view *v)
{
    struct list waiters, *node;
    list_init(&waiters);
    list_splice(&waiters, waiting);
    while ((node = list_pop(&waiters)) != NULL) {
        struct dns_waiter w = *container_of(node, struct dns_waiter, node);
        pool_free(&r->waiters, w.id);
        dns_view_give(r, v, w.fn, w.user);
    }
}

/* --- names ------------------------------------------------------------------------------------ */

static void name_free(struct net_resolver *r, struct dns_name *n)
{
    dns_known_drop(&n->known);
    list_remove(&n->lru);
    table_remove(&r->names, &n->node);
    mem_free(n);
}

static struct dns_name *name_find(struct net_resolver *r, enum dns_kind kind, struct slice name,
                                  uint64_t hash)
{
    for (struct table_node *t = table_first(&r->names, hash); t != NULL; t = table_next(t)) {
        struct dns_name *n = container_of(t, struct dns_name, node);
        if (n->kind == kind && slice_eq(slice_of(n->text, n->len), name))
            return n;
    }
    return NULL;
}

/* Room for one more: what was asked for least recently goes, unless its query is under way; first
 * what has no records, so that many names that do not exist cannot push out those that do. */
static bool make_room(struct net_resolver *r)
{
    struct dns_name *oldest = NULL;
    unsigned seen = 0;
    if (r->names.count < MAX_NAMES)
        return true;
    LIST_EACH(it, &r->lru)
    {
        struct dns_name *n = container_of(it, struct dns_name, lru);
        if (n->pending != 0)
            continue;
        bool has_records = n->known.is_known && n->known.err == 0;
        if (!has_records || seen++ == SPARED) {
            name_free(r, n);
            return true;
        }
        if (oldest == NULL)
            oldest = n;
    }
    if (oldest == NULL)
        return false;
    name_free(r, oldest);
    return true;
}

static struct dns_name *name_new(struct net_resolver *r, enum dns_kind kind, struct slice name,
                                 uint64_t hash)
{
    struct dns_name *n = mem_zalloc(sizeof(*n));
    if (n == NULL)
        return NULL;
    n->resolver = r;
    n->kind = kind;
    n->len = name.len;
    memcpy(n->text, name.ptr, name.len);
    list_init(&n->waiters);
    list_init(&n->lru);
    list_push(&r->lru, &n->lru);
    table_insert(&r->names, &n->node, hash);
    return n;
}

/* What is asked for just now stays as a name; nothing is known of it. */
unsigned net_resolver_forget(struct net_resolver *r, struct slice name)
{
    unsigned forgotten = 0;
    if (r->shared != NULL)
        dns_shared_forget(r->shared, name);
    LIST_EACH_SAFE(it, tmp, &r->lru)
    {
        struct dns_name *n = container_of(it, struct dns_name, lru);
        if (name.len != 0 && !slice_ieq(slice_of(n->text, n->len), name))
            continue;
        forgotten += n->known.is_known || n->failure != 0;
        if (n->pending != 0)
            dns_known_drop(&n->known);
        else
            name_free(r, n);
    }
    return forgotten;
}

/* --- what a query came to --------------------------------------------------------------------- */

static bool is_fresh(const struct dns_name *n, uint64_t now)
{
    return n->known.is_known && (now < n->known.until || now == n->known.at);
}

/* That there is no NAPTR or SRV record leads on to other questions, so it is as good as a record: a
 * target without them stays known while no server answers. That there is no such host is asked
 * anew.
 */
static bool is_stale_usable(const struct net_resolver *r, const struct dns_name *n, uint64_t now)
{
    bool is_of_use = n->known.is_known && (n->known.err == 0 || n->kind != DNS_KIND_HOST);
    return is_of_use && r->max_stale_ms != 0 && now < n->known.until + r->max_stale_ms;
}

static void keep_records(struct dns_name *n, uint64_t now)
{
    uint32_t ttl = POSITIVE_MAX_S;
    bool is_partial = false;
    for (unsigned i = 0; i < n->nquestions; i++) {
        struct dns_result *got = &n->questions[i].got;
        if (got->err == 0 && got->ttl < ttl)
            ttl = got->ttl;
        is_partial = is_partial || (got->err != 0 && got->err != ERR_NOT_FOUND);
        if (got->err == 0 || got->err == ERR_NOT_FOUND) {
            dns_set_drop(n->known.sets[i]);
            n->known.sets[i] = got->set;
            got->set = NULL;
        } /* else what this family had stays */
    }
    n->known.is_known = true;
    n->known.err = 0;
    n->known.at = now;
    n->known.ttl = ttl;
    n->known.until = now + (uint64_t)ttl * 1000;
    if (is_partial && n->known.until > now + PARTIAL_MS)
        n->known.until = now + PARTIAL_MS;
}

static void keep_absence(struct dns_name *n, uint64_t now)
{
    const struct dns_result *got = &n->questions[0].got;
    uint32_t ttl = NEGATIVE_MAX_S;
    for (unsigned i = 0; i < n->nquestions; i++)
        ttl = n->questions[i].got.ttl < ttl ? n->questions[i].got.ttl : ttl;
    dns_known_drop(&n->known);
    n->known.is_known = true;
    n->known.err = got->err;
    n->known.at = now;
    n->known.ttl = ttl > NEGATIVE_MIN_S ? ttl : NEGATIVE_MIN_S;
    n->known.until = now + (uint64_t)n->known.ttl * 1000;
}

static void keep_failure(struct net_resolver *r, struct dns_name *n, int err, uint64_t now)
{
    unsigned shift = n->failures < 10 ? n->failures : 10;
    uint64_t wait = (uint64_t)FAILED_FIRST_MS << shift;
    n->failure = err;
    if (err == ERR_NOMEM)
        wait = 0;
    else
        n->failures++;
    n->retry_at = now + (wait < FAILED_MAX_MS ? wait : FAILED_MAX_MS);
    if (!is_stale_usable(r, n, now))
        dns_known_drop(&n->known);
}

/* Of two families the one with records counts, then a failure, then "there is none". */
static int result_of(const struct dns_name *n)
{
    int err = n->questions[0].got.err;
    for (unsigned i = 1; i < n->nquestions; i++) {
        int other = n->questions[i].got.err;
        if (other == 0 || (err == ERR_NOT_FOUND && other != ERR_NOT_FOUND))
            err = other;
        else if (err != 0 && other == ERR_NOMEM)
            err = ERR_NOMEM;
    }
    return err;
}

static void drop_results(struct dns_name *n)
{
    for (unsigned i = 0; i < 2; i++) {
        dns_set_drop(n->questions[i].got.set);
        n->questions[i].got.set = NULL;
    }
}

void dns_name_done(struct dns_name *n)
{
    struct net_resolver *r = n->resolver;
    uint64_t now = net_now(r->loop);
    int err = result_of(n);
    bool is_failure = err != 0 && err != ERR_NOT_FOUND && err != ERR_UNSUPPORTED;
    if (is_failure) {
        keep_failure(r, n, err, now);
    } else {
        n->failure = 0;
        n->failures = 0;
        n->retry_at = 0;
        if (err == 0)
            keep_records(n, now);
        else
            keep_absence(n, now);
        if (r->shared != NULL)
            dns_shared_tell(r->shared, n);
    }
    drop_results(n);
    struct dns_view v = {n->kind, err, {NULL, NULL}};
    if (n->known.is_known)
        v = view_of(n);
    if (is_failure && n->known.is_known && !list_is_empty(&n->waiters))
        dns_count(r, CTR_DNS_STALE);
    give_waiters(r, &n->waiters, &v); /* afterwards `n` may be gone */
    view_drop(&v);
}

/* --- asking ----------------------------------------------------------------------------------- */

/* Lower case, without the dot at the end unless it is the only one; false: no name that DNS could
 * know as a host or service. */
static bool name_norm(struct slice name, char *out, size_t *len)
{
    size_t label = 0, dots = 0, n = name.len;
    if (n > 0 && name.ptr[n - 1] == '.')
        n--;
    if (n == 0 || n > DNS_HOST_MAX)
        return false;
    for (size_t i = 0; i < n; i++) {
        char c = ascii_lower(name.ptr[i]);
        bool is_fit = (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-' || c == '_';
        if (c == '.' ? label == 0 : !is_fit || label == 63)
            return false;
        label = c == '.' ? 0 : label + 1;
        dots += c == '.';
        out[i] = c;
    }
    if (label == 0)
        return false;
    if (dots == 0 && n < name.len)
        out[n++] = '.'; /* not to be looked for in the domains of `search` */
    *len = n;
    return true;
}

static int wait_for(struct net_resolver *r, struct dns_name *n, union dns_fn fn, void *user,
                    uint64_t *query)
{
    uint64_t id;
    struct dns_waiter *w = pool_new(&r->waiters, &id);
    if (w == NULL)
        return give_err(r, n->kind, r->waiters.live >= MAX_WAITERS ? ERR_FULL : ERR_NOMEM, fn,
                        user);
    w->id = id;
    w->fn = fn;
    w->user = user;
    list_init(&w->node);
    list_push(&n->waiters, &w->node);
    if (query != NULL)
        *query = id;
    return 0;
}

/* The hosts file knows it: like an answer with a short TTL. */
static bool learn_from_hosts(struct net_resolver *r, struct dns_name *n, uint64_t now)
{
    struct addr found[NET_ADDRS_MAX];
    if (n->kind != DNS_KIND_HOST)
        return false;
    unsigned count = dns_hosts_find(r, slice_of(n->text, n->len), found, NET_ADDRS_MAX);
    if (count == 0)
        return false;
    for (unsigned family = 0; family < 2; family++) {
        struct dns_answer a;
        struct dns_result *got = &n->questions[family].got;
        a.n = 0;
        a.text_len = 0;
        for (unsigned i = 0; i < count; i++) {
            if (found[i].family == (family == 0 ? ADDR_IP4 : ADDR_IP6))
                a.addrs[a.n++] = found[i];
        }
        *got = (struct dns_result){.err = ERR_NOT_FOUND, .ttl = HOSTS_S};
        if (a.n != 0) {
            got->set = dns_set_new(&a, family == 0 ? DNS_A : DNS_AAAA);
            got->err = got->set != NULL ? 0 : ERR_NOMEM;
        }
    }
    n->nquestions = 2;
    if (result_of(n) != 0) {
        drop_results(n);
        return false;
    }
    keep_records(n, now);
    return true;
}

/* The name is not fresh: asks, and answers at once what cannot or need not wait. */
static int refresh(struct net_resolver *r, struct dns_name *n, union dns_fn fn, void *user,
                   uint64_t *query)
{
    uint64_t now = net_now(r->loop);
    bool has_stale = is_stale_usable(r, n, now);
    unsigned tries;
    if (n->pending == 0) {
        if (learn_from_hosts(r, n, now)) {
            dns_count(r, CTR_DNS_HITS);
            return give_known(r, n, fn, user);
        }
        if (now < n->retry_at || !dns_may_ask(r, &tries)) {
            int err = now < n->retry_at ? n->failure : ERR_DNS_SILENT;
            if (!has_stale)
                return give_err(r, n->kind, err, fn, user);
            dns_count(r, CTR_DNS_STALE);
            return give_known(r, n, fn, user);
        }
        dns_start(r, n, tries);
    }
    if (has_stale && n->known.ttl != 0 && now < n->known.until + AT_ONCE_MS) {
        dns_count(r, CTR_DNS_STALE);
        return give_known(r, n, fn, user);
    }
    return wait_for(r, n, fn, user, query);
}

static int resolve(struct net_resolver *r, enum dns_kind kind, struct slice text, union dns_fn fn,
                   void *user, uint64_t *query)
{
    char lower[DNS_HOST_MAX + 1];
    size_t len;
    if (query != NULL)
        *query = 0;
    if (r->closing)
        return give_err(r, kind, ERR_SHUTDOWN, fn, user);
    if (!name_norm(text, lower, &len))
        return give_err(r, kind, ERR_PARSE, fn, user);
    struct slice name = slice_of(lower, len);
    uint64_t hash = hash_slice(&r->key, name) + kind;
    struct dns_name *n = name_find(r, kind, name, hash);
    if (n == NULL && !make_room(r))
        return give_err(r, kind, ERR_FULL, fn, user);
    if (n == NULL)
        n = name_new(r, kind, name, hash);
    if (n == NULL)
        return give_err(r, kind, ERR_NOMEM, fn, user);
    list_remove(&n->lru);
    list_push(&r->lru, &n->lru);
    uint64_t now = net_now(r->loop);
    if (!is_fresh(n, now) &&
        (r->shared == NULL || !dns_shared_take(r->shared, n) || !is_fresh(n, now)))
        return refresh(r, n, fn, user, query);
    dns_count(r, CTR_DNS_HITS);
    return give_known(r, n, fn, user);
}

int net_resolve(struct net_resolver *r, struct slice host, net_resolved_fn *fn, void *user,
                uint64_t *query)
{
    struct addr numeric;
    if (addr_parse_ip(host, 0, &numeric) == 0 && !r->closing) {
        if (query != NULL)
            *query = 0;
        fn(user, 0, &numeric, 1);
        return 1;
    }
    return resolve(r, DNS_KIND_HOST, host, (union dns_fn){.host = fn}, user, query);
}

int net_resolve_srv(struct net_resolver *r, struct slice name, net_srv_fn *fn, void *user,
                    uint64_t *query)
{
    return resolve(r, DNS_KIND_SRV, name, (union dns_fn){.srv = fn}, user, query);
}

int net_resolve_naptr(struct net_resolver *r, struct slice name, net_naptr_fn *fn, void *user,
                      uint64_t *query)
{
    return resolve(r, DNS_KIND_NAPTR, name, (union dns_fn){.naptr = fn}, user, query);
}

void net_resolve_cancel(struct net_resolver *r, uint64_t query)
{
    struct dns_waiter *w = pool_find(&r->waiters, query);
    if (w == NULL)
        return;
    list_remove(&w->node);
    pool_free(&r->waiters, query);
}

/* --- the resolver ----------------------------------------------------------------------------- */

void net_resolver_share(struct net_resolver *r, struct net_names *names)
{
    r->shared = names;
}

/* Whether that calls for other channels. */
static bool take_conf(struct net_resolver *r, const struct net_resolver_conf *conf)
{
    static const struct net_resolver_conf defaults = {
        .timeout_ms = DEFAULT_TIMEOUT, .tries = DEFAULT_TRIES, .max_stale_ms = DEFAULT_STALE_MS};
    const struct net_resolver_conf *c = conf != NULL ? conf : &defaults;
    uint32_t timeout = c->timeout_ms != 0 ? c->timeout_ms : DEFAULT_TIMEOUT;
    unsigned n = c->nservers < DNS_SERVERS_MAX ? c->nservers : DNS_SERVERS_MAX;
    bool is_other = n != r->ngiven || timeout != r->timeout_ms;
    for (unsigned i = 0; i < n; i++) {
        is_other = is_other || !addr_eq(&r->given[i], &c->servers[i]);
        r->given[i] = c->servers[i];
    }
    r->ngiven = n;
    r->timeout_ms = timeout;
    r->tries = c->tries != 0 ? c->tries : DEFAULT_TRIES;
    r->max_stale_ms = c->max_stale_ms;
    return is_other;
}

int net_resolver_new(struct net_loop *loop, const struct net_resolver_conf *conf,
                     struct counters *counters, struct net_resolver **out)
{
    struct net_resolver *r = mem_zalloc(sizeof(*r));
    uint32_t generation;
    if (r == NULL)
        return ERR_NOMEM;
    r->loop = loop;
    r->counters = counters;
    list_init(&r->lru);
    list_init(&r->retired);
    list_init(&r->socks);
    list_init(&r->done);
    dns_set_files(r, "/etc/resolv.conf", "/etc/hosts");
    random_bytes(&r->key, sizeof(r->key));
    rng_init(&r->rng);
    random_bytes(&generation, sizeof(generation));
    pool_init(&r->waiters, sizeof(struct dns_waiter), 0, MAX_WAITERS, generation);
    (void)take_conf(r, conf);
    int rc = table_init(&r->names, 64);
    if (rc != 0) {
        mem_free(r);
        return rc;
    }
    (void)dns_file_changed(&r->resolv_conf, net_now(loop));
    rc = dns_servers_make(r);
    if (rc != 0) {
        table_fini(&r->names);
        mem_free(r);
        return rc;
    }
    uv_timer_init(&loop->uv, &r->timer);
    r->timer.data = r;
    *out = r;
    return 0;
}

void net_resolver_set_conf(struct net_resolver *r, const struct net_resolver_conf *conf)
{
    bool is_other = take_conf(r, conf);
    bool is_new = r->ngiven == 0 && dns_file_changed(&r->resolv_conf, net_now(r->loop));
    if ((is_other || is_new) && dns_servers_make(r) != 0)
        LOG0(LOG_ERROR, "net", "no memory for the DNS servers: those before stay");
    dns_servers_sweep(r);
    dns_arm(r);
}

static void on_timer_closed(uv_handle_t *handle)
{
    mem_free(handle->data);
}

void net_resolver_free(struct net_resolver **resolver)
{
    struct net_resolver *r = *resolver;
    struct list *node;
    if (r == NULL)
        return;
    *resolver = NULL;
    r->closing = true;
    r->settling = true;
    dns_servers_free(r);
    while ((node = list_pop(&r->done)) != NULL)
        dns_set_drop(container_of(node, struct dns_ask, node)->result.set);
    while (!list_is_empty(&r->lru)) {
        struct dns_name *n = container_of(r->lru.next, struct dns_name, lru);
        give_waiters(r, &n->waiters, &(struct dns_view){n->kind, ERR_SHUTDOWN, {NULL, NULL}});
        drop_results(n);
        name_free(r, n);
    }
    table_fini(&r->names);
    pool_fini(&r->waiters);
    mem_free(r->hosts);
    uv_close((uv_handle_t *)&r->timer, on_timer_closed);
}

void dns_set_files(struct net_resolver *r, const char *resolv_conf, const char *hosts)
{
    r->resolv_conf = (struct dns_file){.path = resolv_conf};
    r->hosts_file = (struct dns_file){.path = hosts};
}
