/* SPDX-License-Identifier: Apache-2.0 */
/* What all resolvers of the process have learnt: copies under a lock, which is taken only where a
 * resolver does not know or has just learnt something. */
#include <pthread.h>

#include "base/alloc.h"
#include "net/resolver_int.h"

#define MAX_SHARED 4096

struct shared_name {
    struct table_node node;
    struct list age; /* the end was told last */
    enum dns_kind kind;
    struct dns_known known;
    size_t len;
    char text[DNS_HOST_MAX + 2];
};

struct net_names {
    pthread_mutex_t lock;
    struct hash_key key;
    struct table names;
    struct list age;
    struct dns_breaker breaker;
};

struct dns_breaker *dns_breaker_hold(struct net_resolver *r)
{
    if (r->shared == NULL)
        return &r->alone;
    pthread_mutex_lock(&r->shared->lock);
    return &r->shared->breaker;
}

void dns_breaker_release(struct net_resolver *r)
{
    if (r->shared != NULL)
        pthread_mutex_unlock(&r->shared->lock);
}

int net_names_new(struct net_names **out)
{
    struct net_names *names = mem_zalloc(sizeof(*names));
    if (names == NULL)
        return ERR_NOMEM;
    int rc = table_init(&names->names, 64);
    if (rc != 0) {
        mem_free(names);
        return rc;
    }
    pthread_mutex_init(&names->lock, NULL);
    random_bytes(&names->key, sizeof(names->key));
    list_init(&names->age);
    *out = names;
    return 0;
}

static void shared_free(struct net_names *names, struct shared_name *s)
{
    dns_known_drop(&s->known);
    list_remove(&s->age);
    table_remove(&names->names, &s->node);
    mem_free(s);
}

void net_names_free(struct net_names **out)
{
    struct net_names *names = *out;
    if (names == NULL)
        return;
    *out = NULL;
    while (!list_is_empty(&names->age))
        shared_free(names, container_of(names->age.next, struct shared_name, age));
    table_fini(&names->names);
    pthread_mutex_destroy(&names->lock);
    mem_free(names);
}

static uint64_t hash_of(const struct net_names *names, const struct dns_name *n)
{
    return hash_slice(&names->key, slice_of(n->text, n->len)) + n->kind;
}

static struct shared_name *find(struct net_names *names, const struct dns_name *n, uint64_t hash)
{
    for (struct table_node *t = table_first(&names->names, hash); t != NULL; t = table_next(t)) {
        struct shared_name *s = container_of(t, struct shared_name, node);
        if (s->kind == n->kind && s->len == n->len && memcmp(s->text, n->text, n->len) == 0)
            return s;
    }
    return NULL;
}

/* False: no memory, and `to` is as it was. */
static bool copy_known(struct dns_known *to, const struct dns_known *from, enum dns_kind kind)
{
    struct dns_known copy = *from;
    for (unsigned i = 0; i < 2; i++)
        copy.sets[i] = from->sets[i] != NULL ? dns_set_copy(from->sets[i], kind) : NULL;
    if ((from->sets[0] != NULL && copy.sets[0] == NULL) ||
        (from->sets[1] != NULL && copy.sets[1] == NULL)) {
        dns_known_drop(&copy);
        return false;
    }
    dns_known_drop(to);
    *to = copy;
    return true;
}

bool dns_shared_take(struct net_names *names, struct dns_name *n)
{
    uint64_t hash = hash_of(names, n);
    bool is_new = false;
    pthread_mutex_lock(&names->lock);
    struct shared_name *s = find(names, n, hash);
    if (s != NULL && (!n->known.is_known || s->known.at > n->known.at))
        is_new = copy_known(&n->known, &s->known, n->kind);
    pthread_mutex_unlock(&names->lock);
    return is_new;
}

/* NULL: no memory. What was told longest ago makes room. */
static struct shared_name *shared_new(struct net_names *names, const struct dns_name *n,
                                      uint64_t hash)
{
    struct shared_name *s = mem_zalloc(sizeof(*s));
    if (s == NULL)
        return NULL;
    if (names->names.count >= MAX_SHARED)
        shared_free(names, container_of(names->age.next, struct shared_name, age));
    s->kind = n->kind;
    s->len = n->len;
    memcpy(s->text, n->text, n->len);
    list_init(&s->age);
    table_insert(&names->names, &s->node, hash);
    return s;
}

void dns_shared_tell(struct net_names *names, const struct dns_name *n)
{
    uint64_t hash = hash_of(names, n);
    pthread_mutex_lock(&names->lock);
    struct shared_name *s = find(names, n, hash);
    if (s == NULL)
        s = shared_new(names, n, hash);
    if (s != NULL) {
        list_remove(&s->age);
        list_push(&names->age, &s->age);
        if (!copy_known(&s->known, &n->known, n->kind))
            shared_free(names, s);
    }
    pthread_mutex_unlock(&names->lock);
}

void dns_shared_forget(struct net_names *names, struct slice name)
{
    pthread_mutex_lock(&names->lock);
    LIST_EACH_SAFE(it, tmp, &names->age)
    {
        struct shared_name *s = container_of(it, struct shared_name, age);
        if (name.len == 0 || slice_ieq(slice_of(s->text, s->len), name))
            shared_free(names, s);
    }
    pthread_mutex_unlock(&names->lock);
}
