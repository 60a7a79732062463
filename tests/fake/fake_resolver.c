/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>
#include <stdlib.h>

#include "base/alloc.h"
#include "fake/fake_int.h"

int net_resolver_new(struct net_loop *loop, const struct net_resolver_conf *conf,
                     struct counters *counters, struct net_resolver **out)
{
    struct net_resolver *r;
    void *token = fake_token();

    (void)conf;
    (void)counters;
    if (token == NULL)
        return ERR_NOMEM;
    r = fake_zalloc(sizeof(*r));
    r->token = token;
    r->loop = loop;
    list_init(&r->queries);
    *out = r;
    return 0;
}

void net_resolver_set_conf(struct net_resolver *r, const struct net_resolver_conf *conf)
{
    (void)r;
    (void)conf;
}

/* --- answers ---------------------------------------------------------------------------------- */

static void call(enum fake_kind kind, union fake_fn fn, void *user, int err,
                 const struct fake_host *h)
{
    unsigned n = err == 0 ? h->n : 0;

    switch (kind) {
    case FAKE_HOST: fn.host(user, err, n != 0 ? h->addrs : NULL, n); break;
    case FAKE_SRV: fn.srv(user, err, n != 0 ? h->srvs : NULL, n); break;
    case FAKE_NAPTR: fn.naptr(user, err, n != 0 ? h->naptrs : NULL, n); break;
    }
}

static void answer(enum fake_kind kind, union fake_fn fn, void *user, const struct fake_host *h)
{
    int err = h->err;

    if (err == 0 && h->n == 0)
        err = ERR_NOT_FOUND;
    if (err == 0 && kind == FAKE_SRV && h->srvs[0].target.len == 0)
        err = ERR_UNSUPPORTED;
    call(kind, fn, user, err, h);
}

static void query_free(struct fake_query *q)
{
    fake_unqueue(q->loop, q);
    list_remove(&q->node);
    q->loop->queries--;
    mem_free(q->token);
    free(q);
}

static void on_answer(void *object, struct bytes *data)
{
    struct fake_query q = *(struct fake_query *)object;

    (void)data;
    query_free(object);
    answer(q.kind, q.fn, q.user, q.host);
}

void net_resolver_free(struct net_resolver **ptr)
{
    struct net_resolver *r = *ptr;

    if (r == NULL)
        return;
    while (!list_is_empty(&r->queries)) {
        struct fake_query *under_way = container_of(r->queries.next, struct fake_query, node);
        struct fake_query q = *under_way;
        query_free(under_way);
        call(q.kind, q.fn, q.user, ERR_SHUTDOWN, NULL);
    }
    mem_free(r->token);
    free(r);
    *ptr = NULL;
}

/* --- what is known ---------------------------------------------------------------------------- */

static struct fake_host *host_of(struct net_loop *loop, enum fake_kind kind, struct slice name)
{
    struct fake_host *h;

    LIST_EACH(node, &loop->hosts)
    {
        h = container_of(node, struct fake_host, node);
        if (h->kind == kind && slice_ieq(slice_str(h->name), name))
            return h;
    }
    h = fake_zalloc(sizeof(*h));
    h->kind = kind;
    if (!slice_cstr(name, h->name, sizeof(h->name)))
        h->err = ERR_PARSE;
    list_push(&loop->hosts, &h->node);
    return h;
}

static int resolve(struct net_resolver *r, enum fake_kind kind, struct slice name, union fake_fn fn,
                   void *user, uint64_t *query)
{
    struct net_loop *loop = r->loop;
    struct fake_host *h = host_of(loop, kind, name);
    struct fake_query *q;
    void *token;

    if (query != NULL)
        *query = 0;
    h->asked++;
    if (h->delay_ms == 0) {
        answer(kind, fn, user, h);
        return 1;
    }
    token = fake_token();
    if (token == NULL) {
        call(kind, fn, user, ERR_NOMEM, NULL);
        return 1;
    }
    q = fake_zalloc(sizeof(*q));
    q->token = token;
    q->loop = loop;
    q->id = ++loop->next_query;
    q->kind = kind;
    q->fn = fn;
    q->user = user;
    q->host = h;
    loop->queries++;
    list_push(&r->queries, &q->node);
    fake_queue(loop, loop->now + h->delay_ms, on_answer, q, NULL, 0);
    if (query != NULL)
        *query = q->id;
    return 0;
}

int net_resolve(struct net_resolver *r, struct slice host, net_resolved_fn *fn, void *user,
                uint64_t *query)
{
    struct addr a;

    if (addr_parse_ip(host, 0, &a) == 0) {
        if (query != NULL)
            *query = 0;
        fn(user, 0, &a, 1);
        return 1;
    }
    return resolve(r, FAKE_HOST, host, (union fake_fn){.host = fn}, user, query);
}

int net_resolve_srv(struct net_resolver *r, struct slice name, net_srv_fn *fn, void *user,
                    uint64_t *query)
{
    return resolve(r, FAKE_SRV, name, (union fake_fn){.srv = fn}, user, query);
}

int net_resolve_naptr(struct net_resolver *r, struct slice name, net_naptr_fn *fn, void *user,
                      uint64_t *query)
{
    return resolve(r, FAKE_NAPTR, name, (union fake_fn){.naptr = fn}, user, query);
}

void net_resolve_cancel(struct net_resolver *r, uint64_t query)
{
    LIST_EACH(node, &r->queries)
    {
        struct fake_query *q = container_of(node, struct fake_query, node);
        if (q->id == query) {
            query_free(q);
            return;
        }
    }
}

void net_resolver_rows(struct net_resolver *r, const struct row_sink *sink)
{
    LIST_EACH(node, &r->loop->hosts)
    ROW(sink, "resolver_name", LF_STR("name", container_of(node, struct fake_host, node)->name));
}

/* Nothing is kept here, so there is nothing to forget: how many names were asked for. */
unsigned net_resolver_forget(struct net_resolver *r, struct slice name)
{
    unsigned n = 0;

    LIST_EACH(node, &r->loop->hosts)
    {
        struct fake_host *h = container_of(node, struct fake_host, node);
        n += h->asked != 0 && (name.len == 0 || slice_ieq(slice_str(h->name), name));
    }
    return n;
}

/* --- what the test says ----------------------------------------------------------------------- */

static struct fake_host *fresh(struct net_loop *loop, enum fake_kind kind, const char *name,
                               uint32_t delay_ms)
{
    struct fake_host *h = host_of(loop, kind, slice_str(name));

    h->n = 0;
    h->err = 0;
    h->delay_ms = delay_ms;
    return h;
}

void fake_set_host(struct net_loop *loop, const char *host, const char *addrs, uint32_t delay_ms)
{
    struct fake_host *h = fresh(loop, FAKE_HOST, host, delay_ms);
    struct slice rest = slice_str(addrs), word;

    while (h->n < NET_ADDRS_MAX && slice_next_word(&rest, &word)) {
        if (addr_parse_ip(word, 0, &h->addrs[h->n++]) != 0)
            abort();
    }
}

/* The texts of the records before stay until the loop goes: a callback may be at work with them. */
static struct slice keep_text(struct net_loop *loop, const char *records)
{
    size_t len = strlen(records);
    struct fake_taken *t = fake_zalloc(sizeof(*t) + len + 1);

    memcpy(t->bytes, records, len);
    list_push(&loop->taken, &t->node);
    return slice_of(t->bytes, len);
}

static struct slice next_field(struct slice *rest)
{
    struct slice word;

    if (!slice_next_word(rest, &word))
        abort(); /* a record that is not whole */
    return slice_eq(word, SLICE("-")) || slice_eq(word, SLICE(".")) ? SLICE_NONE : word;
}

static uint16_t next_number(struct slice *rest)
{
    uint64_t value;

    if (slice_u64(next_field(rest), UINT16_MAX, &value) != 0)
        abort();
    return (uint16_t)value;
}

void fake_set_srv(struct net_loop *loop, const char *name, const char *records, uint32_t delay_ms)
{
    struct fake_host *h = fresh(loop, FAKE_SRV, name, delay_ms);
    struct slice rest = slice_trim(keep_text(loop, records));

    while (h->n < NET_SRV_MAX && rest.len != 0) {
        struct net_srv s;
        unsigned at = h->n++;
        s.priority = next_number(&rest);
        s.weight = next_number(&rest);
        s.port = next_number(&rest);
        s.target = next_field(&rest);
        for (; at > 0 && h->srvs[at - 1].priority > s.priority; at--)
            h->srvs[at] = h->srvs[at - 1];
        h->srvs[at] = s;
    }
}

void fake_set_naptr(struct net_loop *loop, const char *name, const char *records, uint32_t delay_ms)
{
    struct fake_host *h = fresh(loop, FAKE_NAPTR, name, delay_ms);
    struct slice rest = slice_trim(keep_text(loop, records));

    while (h->n < NET_NAPTR_MAX && rest.len != 0) {
        struct net_naptr r;
        unsigned at = h->n++;
        r.order = next_number(&rest);
        r.preference = next_number(&rest);
        r.flags = next_field(&rest);
        r.service = next_field(&rest);
        r.replacement = next_field(&rest);
        for (; at > 0 &&
               (h->naptrs[at - 1].order > r.order || (h->naptrs[at - 1].order == r.order &&
                                                      h->naptrs[at - 1].preference > r.preference));
             at--)
            h->naptrs[at] = h->naptrs[at - 1];
        h->naptrs[at] = r;
    }
}

void fake_set_dns_failure(struct net_loop *loop, const char *name, int err, uint32_t delay_ms)
{
    static const enum fake_kind kinds[] = {FAKE_HOST, FAKE_SRV, FAKE_NAPTR};

    for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
        struct fake_host *h = host_of(loop, kinds[i], slice_str(name));
        h->err = err;
        h->delay_ms = delay_ms;
    }
}

unsigned fake_asked(const struct net_loop *loop, const char *name)
{
    unsigned n = 0;

    LIST_EACH(node, &loop->hosts)
    {
        const struct fake_host *h = container_of(node, struct fake_host, node);
        if (slice_ieq(slice_str(h->name), slice_str(name)))
            n += h->asked;
    }
    return n;
}

unsigned fake_queries(const struct net_loop *loop)
{
    return loop->queries;
}

/* Nothing is kept, so nothing is shared. */
int net_names_new(struct net_names **out)
{
    *out = NULL;
    return 0;
}

void net_names_free(struct net_names **names)
{
    (void)names;
}

void net_resolver_share(struct net_resolver *r, struct net_names *names)
{
    (void)r;
    (void)names;
}
