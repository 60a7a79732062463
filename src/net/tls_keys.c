/* SPDX-License-Identifier: Apache-2.0 */
/* Keys of session tickets (RFC 5077 4): one set for all contexts, renewed by time. */
#include <openssl/core_names.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <pthread.h>
#include <string.h>
#include <time.h>

#include "base/alloc.h"
#include "base/random.h"
#include "net/tls_int.h"

#define NAME_LEN 16
#define SECRET   32
#define KEPT     3                      /* the one in use and those before it */
#define IN_USE   (TLS_SESSION_LIFE / 2) /* s; so a key is taken for as long as its sessions live */

struct ticket_key {
    unsigned char name[NAME_LEN];
    unsigned char cipher[SECRET], mac[SECRET];
    uint64_t born; /* s */
};

struct net_tls_keys {
    pthread_mutex_t lock;
    atomic_uint refs;
    uint64_t shift; /* s, added to the clock */
    unsigned n;
    struct ticket_key keys[KEPT]; /* the latest first */
};

static uint64_t clock_s(const struct net_tls_keys *k)
{
    struct timespec t;
    clock_gettime(CLOCK_BOOTTIME, &t);
    return (uint64_t)t.tv_sec + k->shift;
}

/* With the lock held. */
static void renew(struct net_tls_keys *k, uint64_t now)
{
    if (k->n > 0 && now - k->keys[0].born < IN_USE)
        return;
    memmove(&k->keys[1], &k->keys[0], (KEPT - 1) * sizeof(k->keys[0]));
    random_bytes(&k->keys[0], sizeof(k->keys[0]));
    k->keys[0].born = now;
    k->n = k->n < KEPT ? k->n + 1 : KEPT;
    while (k->n > 1 && now - k->keys[k->n - 1].born >= KEPT * IN_USE)
        OPENSSL_cleanse(&k->keys[--k->n], sizeof(k->keys[0]));
}

int net_tls_keys_new(struct net_tls_keys **out)
{
    struct net_tls_keys *k = mem_zalloc(sizeof(*k));
    if (k == NULL)
        return ERR_NOMEM;
    pthread_mutex_init(&k->lock, NULL);
    atomic_init(&k->refs, 1);
    *out = k;
    return 0;
}

struct net_tls_keys *tls_keys_hold(struct net_tls_keys *k)
{
    atomic_fetch_add_explicit(&k->refs, 1, memory_order_relaxed);
    return k;
}

void net_tls_keys_free(struct net_tls_keys **keys)
{
    struct net_tls_keys *k = *keys;
    *keys = NULL;
    if (k == NULL || atomic_fetch_sub_explicit(&k->refs, 1, memory_order_acq_rel) != 1)
        return;
    pthread_mutex_destroy(&k->lock);
    OPENSSL_cleanse(k, sizeof(*k));
    mem_free(k);
}

void tls_keys_age(struct net_tls_keys *k, uint64_t seconds)
{
    pthread_mutex_lock(&k->lock);
    k->shift += seconds;
    pthread_mutex_unlock(&k->lock);
}

/* A copy, so that the lock is not held while it is used. `name` NULL: the one in use. The age in
 * turns (0: in use), or -1. */
static int key_find(struct net_tls_keys *k, const unsigned char *name, struct ticket_key *out)
{
    int found = -1;
    pthread_mutex_lock(&k->lock);
    uint64_t now = clock_s(k);
    renew(k, now);
    for (unsigned i = 0; i < k->n && found < 0; i++) {
        if (name == NULL || CRYPTO_memcmp(k->keys[i].name, name, NAME_LEN) == 0)
            found = now - k->keys[i].born < KEPT * IN_USE ? (int)i : -1;
    }
    if (found >= 0)
        *out = k->keys[found];
    pthread_mutex_unlock(&k->lock);
    return found;
}

static bool set_key(const struct ticket_key *key, unsigned char *iv, EVP_CIPHER_CTX *cipher,
                    EVP_MAC_CTX *mac, int enc)
{
    unsigned char secret[SECRET];
    char digest[] = "SHA256";
    memcpy(secret, key->mac, SECRET);
    OSSL_PARAM params[] = {
        OSSL_PARAM_construct_octet_string(OSSL_MAC_PARAM_KEY, secret, SECRET),
        OSSL_PARAM_construct_utf8_string(OSSL_MAC_PARAM_DIGEST, digest, 0),
        OSSL_PARAM_construct_end(),
    };
    bool good = EVP_CipherInit_ex(cipher, EVP_aes_256_cbc(), NULL, key->cipher, iv, enc) == 1 &&
                EVP_MAC_CTX_set_params(mac, params) == 1;
    OPENSSL_cleanse(secret, sizeof(secret));
    return good;
}

/* OpenSSL's contract: -1 an error, 0 no such key (a full handshake), 1 good, 2 good and to be
 * renewed. */
static int on_ticket(SSL *ssl, unsigned char *name, unsigned char *iv, EVP_CIPHER_CTX *cipher,
                     EVP_MAC_CTX *mac, int enc)
{
    const struct net_tls *t = SSL_CTX_get_app_data(SSL_get_SSL_CTX(ssl));
    struct ticket_key key;
    int age = key_find(t->keys, enc == 1 ? NULL : name, &key);
    if (age < 0)
        return 0;
    if (enc == 1) {
        memcpy(name, key.name, NAME_LEN);
        random_bytes(iv, (size_t)EVP_CIPHER_get_iv_length(EVP_aes_256_cbc()));
    }
    bool good = set_key(&key, iv, cipher, mac, enc);
    OPENSSL_cleanse(&key, sizeof(key));
    if (!good)
        return -1;
    return enc == 0 && age > 0 ? 2 : 1;
}

/* When the peer's certificate ends travels inside the ticket. */
static int on_ticket_made(SSL *ssl, void *unused)
{
    const struct net_stream *s = SSL_get_app_data(ssl);
    int64_t until = s->tls->valid_until;
    (void)unused;
    return SSL_SESSION_set1_ticket_appdata(SSL_get_session(ssl), &until, sizeof(until));
}

static SSL_TICKET_RETURN on_ticket_read(SSL *ssl, SSL_SESSION *session, const unsigned char *name,
                                        size_t name_len, SSL_TICKET_STATUS status, void *unused)
{
    struct net_stream *s = SSL_get_app_data(ssl);
    void *data;
    size_t len;
    int64_t until;
    (void)name;
    (void)name_len;
    (void)unused;
    if (status != SSL_TICKET_SUCCESS && status != SSL_TICKET_SUCCESS_RENEW)
        return SSL_TICKET_RETURN_IGNORE_RENEW;
    if (SSL_SESSION_get0_ticket_appdata(session, &data, &len) != 1 || len != sizeof(until))
        return SSL_TICKET_RETURN_IGNORE_RENEW;
    memcpy(&until, data, sizeof(until));
    if (until <= tls_now())
        return SSL_TICKET_RETURN_IGNORE_RENEW;
    s->tls->valid_until = until;
    return status == SSL_TICKET_SUCCESS ? SSL_TICKET_RETURN_USE : SSL_TICKET_RETURN_USE_RENEW;
}

int tls_keys_use(struct net_tls *t)
{
    if (t->keys != NULL && SSL_CTX_set_tlsext_ticket_key_evp_cb(t->ctx, on_ticket) != 1)
        return ERR_NOMEM;
    return SSL_CTX_set_session_ticket_cb(t->ctx, on_ticket_made, on_ticket_read, NULL) == 1
               ? 0
               : ERR_NOMEM;
}
