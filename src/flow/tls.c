/* SPDX-License-Identifier: Apache-2.0 */
/* Profiles and the numbers of what peers have to prove.
 *
 * A number is an index and its entry is never freed before the end, so that the name behind it can
 * be handed out without a copy. A literal address has no name of its own: it is the address that
 * the connection is opened to which has to be proved. A profile that is not configured is the
 * daemon's, so that DNs behind one gateway share its connection. */
#include "flow/tls.h"

#include <pthread.h>

#include "base/addr.h"
#include "base/alloc.h"
#include "base/hash.h"
#include "base/list.h"
#include "base/random.h"
#include "base/table.h"
#include "flow/tls_int.h"

#define NAME_MAX_LEN 255 /* of a host (RFC 1035 2.3.4) */

struct profile {
    struct table_node node;
    struct net_tls *tls;
    size_t len;
    char name[];
};

/* The profile's name and the host, each terminated, stand one behind the other in `text`. */
struct peer {
    struct table_node node;
    uint32_t number, profile_len, host_len;
    char text[];
};

struct flow_tls {
    pthread_mutex_t lock;
    struct hash_key key;
    struct table profiles; /* struct profile; the daemon's has an empty name */
    struct table names;    /* struct peer */
    struct peer **peers;   /* by number - 1 */
    uint32_t n, cap, wire; /* used, allocated, made for the wire */
};

int flow_tls_new(struct flow_tls **out)
{
    struct flow_tls *t = mem_zalloc(sizeof(*t));
    if (t == NULL)
        return ERR_NOMEM;
    if (table_init(&t->profiles, 16) != 0) {
        mem_free(t);
        return ERR_NOMEM;
    }
    if (table_init(&t->names, 16) != 0) {
        table_fini(&t->profiles);
        mem_free(t);
        return ERR_NOMEM;
    }
    pthread_mutex_init(&t->lock, NULL);
    random_bytes(&t->key, sizeof(t->key));
    *out = t;
    return 0;
}

static void free_profile(struct table_node *node, void *user)
{
    struct profile *p = container_of(node, struct profile, node);
    table_remove(user, node);
    net_tls_release(&p->tls);
    mem_free(p);
}

static void free_profiles(struct table *table)
{
    table_each(table, free_profile, table);
    table_fini(table);
}

void flow_tls_free(struct flow_tls **tls)
{
    struct flow_tls *t = *tls;
    if (t == NULL)
        return;
    free_profiles(&t->profiles);
    for (uint32_t i = 0; i < t->n; i++) {
        table_remove(&t->names, &t->peers[i]->node);
        mem_free(t->peers[i]);
    }
    table_fini(&t->names);
    mem_free(t->peers);
    pthread_mutex_destroy(&t->lock);
    mem_free(t);
    *tls = NULL;
}

static int add_profile(const struct flow_tls *t, struct table *to, const struct flow_tls_profile *x)
{
    struct profile *p = mem_zalloc(sizeof(*p) + x->name.len + 1);
    if (p == NULL)
        return ERR_NOMEM;
    p->tls = net_tls_hold(x->tls);
    p->len = x->name.len;
    if (x->name.len != 0)
        memcpy(p->name, x->name.ptr, x->name.len);
    table_insert(to, &p->node, hash_slice(&t->key, x->name));
    return 0;
}

int flow_tls_configure(struct flow_tls *t, const struct flow_tls_profile *profiles, unsigned n)
{
    struct table fresh, old;
    if (table_init(&fresh, n) != 0)
        return ERR_NOMEM;
    for (unsigned i = 0; i < n; i++) {
        if (add_profile(t, &fresh, &profiles[i]) != 0) {
            free_profiles(&fresh);
            return ERR_NOMEM;
        }
    }
    pthread_mutex_lock(&t->lock);
    old = t->profiles;
    t->profiles = fresh;
    pthread_mutex_unlock(&t->lock);
    free_profiles(&old);
    return 0;
}

static const struct profile *find_profile(const struct flow_tls *t, struct slice name)
{
    struct table_node *n = table_first(&t->profiles, hash_slice(&t->key, name));
    for (; n != NULL; n = table_next(n)) {
        const struct profile *p = container_of(n, struct profile, node);
        if (slice_eq(slice_of(p->name, p->len), name))
            return p;
    }
    return NULL;
}

static const struct peer *find_peer(const struct flow_tls *t, struct slice profile,
                                    struct slice host, uint64_t hash)
{
    for (struct table_node *n = table_first(&t->names, hash); n != NULL; n = table_next(n)) {
        const struct peer *p = container_of(n, struct peer, node);
        if (slice_eq(slice_of(p->text, p->profile_len), profile) &&
            slice_eq(slice_of(p->text + p->profile_len + 1, p->host_len), host))
            return p;
    }
    return NULL;
}

/* Room for one number more; false: no memory. */
static bool reserve(struct flow_tls *t)
{
    if (t->n < t->cap)
        return true;
    uint32_t cap = t->cap != 0 ? t->cap * 2 : 16;
    struct peer **peers = mem_realloc(t->peers, cap * sizeof(*peers));
    if (peers == NULL)
        return false;
    t->peers = peers;
    t->cap = cap;
    return true;
}

static uint32_t add_peer(struct flow_tls *t, struct slice profile, struct slice host, uint64_t hash,
                         bool is_wire)
{
    if (is_wire ? t->wire >= FLOW_TLS_WIRE_MAX : t->n - t->wire >= FLOW_TLS_PEERS_MAX)
        return 0;
    struct peer *p = reserve(t) ? mem_zalloc(sizeof(*p) + profile.len + host.len + 2) : NULL;
    if (p == NULL)
        return 0;
    p->profile_len = (uint32_t)profile.len;
    p->host_len = (uint32_t)host.len;
    if (profile.len != 0)
        memcpy(p->text, profile.ptr, profile.len);
    if (host.len != 0)
        memcpy(p->text + profile.len + 1, host.ptr, host.len);
    table_insert(&t->names, &p->node, hash);
    t->peers[t->n++] = p;
    t->wire += is_wire;
    p->number = t->n;
    return p->number;
}

/* The host as it is compared: lower case, without the dot at its end; empty for a literal address.
 * False: it is too long. */
static bool normal_host(struct slice host, char *text, struct slice *out)
{
    struct addr a;
    *out = SLICE_NONE;
    if (addr_parse_ip(host, 0, &a) == 0)
        return true;
    if (host.len > 1 && host.ptr[host.len - 1] == '.')
        host.len--;
    if (host.len > NAME_MAX_LEN)
        return false;
    for (size_t i = 0; i < host.len; i++)
        text[i] = ascii_lower(host.ptr[i]);
    *out = slice_of(text, host.len);
    return true;
}

uint32_t flow_tls_number(struct flow_tls *t, struct slice profile, struct slice host, bool is_wire)
{
    char text[NAME_MAX_LEN];
    uint32_t number = 0;
    if (!normal_host(host, text, &host))
        return 0;
    pthread_mutex_lock(&t->lock);
    if (profile.len != 0 && find_profile(t, profile) == NULL)
        profile = SLICE_NONE;
    if (profile.len != 0 || host.len != 0) {
        uint64_t hash = hash_slice(&t->key, host) ^ hash_mix(hash_slice(&t->key, profile));
        const struct peer *p = find_peer(t, profile, host, hash);
        number = p != NULL ? p->number : add_peer(t, profile, host, hash, is_wire);
    }
    pthread_mutex_unlock(&t->lock);
    return number;
}

struct slice flow_tls_name(struct flow_tls *t, uint32_t number)
{
    struct slice name = SLICE("");
    pthread_mutex_lock(&t->lock);
    if (number != 0 && number <= t->n) {
        const struct peer *p = t->peers[number - 1];
        name = slice_of(p->text + p->profile_len + 1, p->host_len);
    }
    pthread_mutex_unlock(&t->lock);
    return name;
}

struct slice flow_tls_profile_of(struct flow_tls *t, uint32_t number)
{
    struct slice name = SLICE("");
    pthread_mutex_lock(&t->lock);
    if (number != 0 && number <= t->n)
        name = slice_of(t->peers[number - 1]->text, t->peers[number - 1]->profile_len);
    pthread_mutex_unlock(&t->lock);
    return name;
}

struct net_tls *flow_tls_context(struct flow_tls *t, uint32_t number)
{
    struct net_tls *tls = NULL;
    const struct profile *p = NULL;
    pthread_mutex_lock(&t->lock);
    if (number != 0 && number <= t->n) {
        const struct peer *x = t->peers[number - 1];
        p = find_profile(t, slice_of(x->text, x->profile_len));
    }
    if (p == NULL)
        p = find_profile(t, SLICE_NONE);
    if (p != NULL)
        tls = net_tls_hold(p->tls);
    pthread_mutex_unlock(&t->lock);
    return tls;
}
