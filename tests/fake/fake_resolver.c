/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>
#include <stdlib.h>

#include "base/alloc.h"
#include "fake/fake_int.h"

int net_resolver_new(struct net_loop *loop, const struct net_resolver_conf *conf,
                     struct counters *counters, struct net_resolver **out)
{
    (void)conf;
    (void)counters;
    struct net_resolver *r;
    void *token = fake_token();

    if (token == NULL)
        return ERR_NOMEM;
    r = fake_zalloc(sizeof(*r));
    r->token = token;
    r->loop = loop;
    list_init(&r->queries);
    *out = r;
    return 0;
}

static void query_free(struct fake_query *q)
{
    fake_unqueue(q->loop, q);
    list_remove(&q->node);
    q->loop->queries--;
    mem_free(q->token);
    free(q);
}

void net_resolver_free(struct net_resolver **ptr)
{
    struct net_resolver *r = *ptr;

    if (r == NULL)
        return;
    while (!list_is_empty(&r->queries)) {
        struct fake_query *q = container_of(r->queries.next, struct fake_query, node);
        net_resolved_fn *fn = q->fn;
        void *user = q->user;
        query_free(q);
        fn(user, ERR_SHUTDOWN, NULL, 0);
    }
    mem_free(r->token);
    free(r);
    *ptr = NULL;
}

static void answer(net_resolved_fn *fn, void *user, const struct fake_host *host)
{
    if (host == NULL || host->n == 0)
        fn(user, ERR_NOT_FOUND, NULL, 0);
    else
        fn(user, 0, host->addrs, host->n);
}

static void on_answer(void *object, struct bytes *data)
{
    struct fake_query *q = object;
    net_resolved_fn *fn = q->fn;
    void *user = q->user;
    struct fake_host *host = q->host;

    (void)data;
    query_free(q);
    answer(fn, user, host);
}

static struct fake_host *host_of(const struct net_loop *loop, struct slice name)
{
    LIST_EACH(node, &loop->hosts)
    {
        struct fake_host *h = container_of(node, struct fake_host, node);
        if (slice_ieq(slice_str(h->name), name))
            return h;
    }
    return NULL;
}

int net_resolve(struct net_resolver *r, struct slice host, net_resolved_fn *fn, void *user,
                uint64_t *query)
{
    struct net_loop *loop = r->loop;
    struct fake_host *h = host_of(loop, host);
    struct fake_query *q;
    struct addr a;
    void *token;

    if (addr_parse_ip(host, 0, &a) == 0) {
        fn(user, 0, &a, 1);
        return 1;
    }
    if (h == NULL || h->delay_ms == 0) {
        answer(fn, user, h);
        return 1;
    }
    token = fake_token();
    if (token == NULL) {
        fn(user, ERR_NOMEM, NULL, 0);
        return 1;
    }
    q = fake_zalloc(sizeof(*q));
    q->token = token;
    q->loop = loop;
    q->id = ++loop->next_query;
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

void fake_set_host(struct net_loop *loop, const char *host, const char *addrs, uint32_t delay_ms)
{
    struct fake_host *h = host_of(loop, slice_str(host));
    struct slice rest = slice_str(addrs), word;

    if (h == NULL) {
        h = fake_zalloc(sizeof(*h));
        (void)snprintf(h->name, sizeof(h->name), "%s", host);
        list_push(&loop->hosts, &h->node);
    }
    h->n = 0;
    h->delay_ms = delay_ms;
    while (h->n < NET_ADDRS_MAX && slice_next_word(&rest, &word)) {
        if (addr_parse_ip(word, 0, &h->addrs[h->n++]) != 0)
            abort();
    }
}

unsigned fake_queries(const struct net_loop *loop)
{
    return loop->queries;
}
