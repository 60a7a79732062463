/* SPDX-License-Identifier: Apache-2.0 */
/* Sessions that a loop remembers for the connections it opens (RFC 5246 7.3, RFC 8446 2.2): by
 * remote address, name and rules. They are kept in the form they have on a disk, which is a
 * fraction of what they take in use. */
#include <openssl/evp.h>

#include "base/alloc.h"
#include "net/tls_int.h"

#define CACHE_BYTES (8u << 20)
#define CACHE_COUNT 8192
#define CACHE_FIRST 64

struct tls_session {
    struct table_node hash;
    struct list node; /* in lru */
    unsigned char key[16];
    int64_t valid_until; /* s since 1970 */
    bool has_peer;
    size_t len, nproven;   /* bytes: of both; of the identities, which come first */
    unsigned char bytes[]; /* what the peer has proved; the session in ASN.1 */
};

void tls_session_key(const struct net_tls *t, const struct addr *remote, struct slice name,
                     unsigned char key[16])
{
    struct {
        unsigned char rules[TLS_DIGEST], own[TLS_DIGEST];
        struct addr remote;
        char name[TLS_NAME_MAX + 1];
    } all = {.remote = *remote};
    unsigned char digest[TLS_DIGEST];
    memcpy(all.rules, t->rules, TLS_DIGEST);
    memcpy(all.own, t->own, TLS_DIGEST);
    for (size_t i = 0; i < name.len && i < TLS_NAME_MAX; i++)
        all.name[i] = ascii_lower(name.ptr[i]);
    if (EVP_Digest(&all, sizeof(all), digest, NULL, EVP_sha256(), NULL) != 1)
        memset(digest, 0, sizeof(digest)); /* the name is looked at again when it is resumed */
    memcpy(key, digest, 16);
}

static uint64_t hash_of(const unsigned char key[16])
{
    uint64_t h; /* a part of a digest is as good as any hash */
    memcpy(&h, key, sizeof(h));
    return h;
}

static struct tls_session *find(struct tls_cache *cache, const unsigned char key[16])
{
    if (!cache->is_made)
        return NULL;
    struct table_node *n = table_first(&cache->table, hash_of(key));
    for (; n != NULL; n = table_next(n)) {
        struct tls_session *e = container_of(n, struct tls_session, hash);
        if (memcmp(e->key, key, sizeof(e->key)) == 0)
            return e;
    }
    return NULL;
}

static void drop(struct tls_cache *cache, struct tls_session *e)
{
    table_remove(&cache->table, &e->hash);
    list_remove(&e->node);
    cache->bytes -= e->len;
    OPENSSL_cleanse(e->bytes, e->len);
    mem_free(e);
}

void tls_session_forget(struct tls_cache *cache, const unsigned char key[16])
{
    struct tls_session *e = find(cache, key);
    if (e != NULL)
        drop(cache, e);
}

void tls_cache_free(struct tls_cache *cache)
{
    if (!cache->is_made)
        return;
    while (!list_is_empty(&cache->lru))
        drop(cache, container_of(cache->lru.next, struct tls_session, node));
    table_fini(&cache->table);
    cache->is_made = false;
}

void tls_session_keep(struct tls_cache *cache, const struct tls_conn *c, SSL_SESSION *session)
{
    int der = i2d_SSL_SESSION(session, NULL);
    if (der <= 0 || (size_t)der > CACHE_BYTES / 64)
        return;
    size_t len = (size_t)der + c->proven_len;
    if (!cache->is_made) {
        if (table_init(&cache->table, CACHE_FIRST) != 0)
            return;
        list_init(&cache->lru);
        cache->is_made = true;
    }
    tls_session_forget(cache, c->key);
    while (!list_is_empty(&cache->lru) &&
           (cache->table.count >= CACHE_COUNT || cache->bytes + len > CACHE_BYTES))
        drop(cache, container_of(cache->lru.next, struct tls_session, node));
    struct tls_session *e = mem_alloc(sizeof(*e) + len);
    if (e == NULL)
        return;
    e->len = len;
    e->nproven = c->proven_len;
    if (e->nproven > 0)
        memcpy(e->bytes, c->proven, e->nproven);
    unsigned char *p = e->bytes + e->nproven;
    (void)i2d_SSL_SESSION(session, &p);
    memcpy(e->key, c->key, sizeof(e->key));
    e->valid_until = c->valid_until;
    e->has_peer = c->has_peer;
    list_push(&cache->lru, &e->node);
    table_insert(&cache->table, &e->hash, hash_of(e->key));
    cache->bytes += e->len;
}

/* A ticket of TLS 1.3. */
static int on_session(SSL *ssl, SSL_SESSION *session)
{
    struct net_stream *s = SSL_get_app_data(ssl);
    bool is_late = s->tls->shake == NULL;
    if (is_late && !s->tls->is_server && SSL_SESSION_is_resumable(session))
        tls_session_keep(&stream_loop(s)->sessions, s->tls, session);
    return 0; /* no reference was taken */
}

void tls_session_done(struct tls_cache *cache, const struct tls_conn *c)
{
    SSL_SESSION *session = SSL_get_session(c->ssl);
    if (SSL_version(c->ssl) == TLS1_2_VERSION && SSL_SESSION_is_resumable(session))
        tls_session_keep(cache, c, session);
}

void tls_session_use(SSL_CTX *ctx)
{
    SSL_CTX_set_session_cache_mode(ctx, SSL_SESS_CACHE_CLIENT | SSL_SESS_CACHE_NO_INTERNAL);
    SSL_CTX_sess_set_new_cb(ctx, on_session);
}

void tls_session_offer(struct tls_cache *cache, struct tls_conn *c)
{
    struct tls_session *e = find(cache, c->key);
    if (e == NULL)
        return;
    const unsigned char *p = e->bytes + e->nproven;
    SSL_SESSION *session = d2i_SSL_SESSION(NULL, &p, (long)(e->len - e->nproven));
    int64_t now = tls_now();
    if (session == NULL || e->valid_until <= now ||
        SSL_SESSION_get_time(session) + SSL_SESSION_get_timeout(session) <= now ||
        tls_peer_set(c, (const char *)e->bytes, e->nproven) != 0 ||
        SSL_set_session(c->ssl, session) != 1) {
        drop(cache, e);
    } else {
        c->valid_until = e->valid_until;
        c->has_peer = e->has_peer;
        list_remove(&e->node);
        list_push(&cache->lru, &e->node);
    }
    SSL_SESSION_free(session);
}
