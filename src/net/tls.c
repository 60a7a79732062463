/* SPDX-License-Identifier: Apache-2.0 */
/* Contexts: made once, shared by threads, never changed. */
#include "net/tls.h"

#include <openssl/err.h>
#include <openssl/evp.h>
#include <stdio.h>
#include <string.h>

#include "base/alloc.h"
#include "net/tls_int.h"

/* Forward secrecy for all (RFC 9325 4.1); the suites of TLS 1.3 are OpenSSL's. */
#define CIPHERS "ECDHE+AESGCM:ECDHE+CHACHA20:ECDHE+AES:!aNULL:!eNULL"

static const uint64_t options = SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION |
                                SSL_OP_CIPHER_SERVER_PREFERENCE | SSL_OP_PRIORITIZE_CHACHA;

/* Queued bytes may move and grow between two tries, and a record that went out is done with. Our
 * chain is what stands in the file; it is not looked for among the authorities at each handshake.
 */
static const long modes = SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER |
                          SSL_MODE_RELEASE_BUFFERS | SSL_MODE_NO_AUTO_CHAIN;

static int make_ctx(struct net_tls *t, enum net_tls_version min)
{
    t->bio = tls_bio_method();
    t->ctx = SSL_CTX_new(TLS_method());
    t->blank = tls_blank_key();
    if (t->bio == NULL || t->ctx == NULL || t->blank == NULL)
        return ERR_NOMEM;
    SSL_CTX_set_app_data(t->ctx, t);
    SSL_CTX_set_options(t->ctx, options);
    SSL_CTX_set_mode(t->ctx, modes);
    /* A read ends behind a record that is no data, such as new keys (RFC 8446 4.6.3): a peer that
     * sends such records without end must not keep the loop inside one call. */
    SSL_CTX_clear_mode(t->ctx, SSL_MODE_AUTO_RETRY);
    SSL_CTX_set_timeout(t->ctx, TLS_SESSION_LIFE);
    SSL_CTX_set_cert_verify_callback(t->ctx, tls_verify, NULL);
    tls_session_use(t->ctx);
    int version = min == NET_TLS_1_3 ? TLS1_3_VERSION : TLS1_2_VERSION;
    if (SSL_CTX_set_min_proto_version(t->ctx, version) != 1 ||
        SSL_CTX_set_cipher_list(t->ctx, CIPHERS) != 1 || SSL_CTX_set_num_tickets(t->ctx, 1) != 1)
        return ERR_NOMEM;
    return tls_keys_use(t);
}

/* A session is resumed under the same rules only (RFC 5246 F.1.4, RFC 8446 4.6.1). */
static int mark_rules(struct net_tls *t, const struct net_tls_conf *conf, const uint64_t sum[4])
{
    struct {
        uint64_t authorities[4], verify_client, verify_server, min_version;
    } rules = {{sum[0], sum[1], sum[2], sum[3]},
               conf->verify_client,
               conf->verify_server,
               conf->min_version};
    if (EVP_Digest(&rules, sizeof(rules), t->rules, NULL, EVP_sha256(), NULL) != 1 ||
        SSL_CTX_set_session_id_context(t->ctx, t->rules, sizeof(t->rules)) != 1)
        return ERR_NOMEM;
    return 0;
}

int tls_say(const struct tls_why *why, const char *file, const char *what)
{
    (void)snprintf(why->text, why->size, "%s: %s", file, what);
    return ERR_PARSE;
}

static int build(struct net_tls *t, const struct net_tls_conf *conf, const struct tls_why *why)
{
    uint64_t sum[4] = {0};
    int rc = make_ctx(t, conf->min_version);
    if (rc == 0)
        rc = tls_load_own(t, conf, why);
    if (rc == 0 && (conf->ca != NULL || conf->verify_client || conf->verify_server))
        rc = tls_load_authorities(t, conf->ca, why, sum);
    return rc == 0 ? mark_rules(t, conf, sum) : rc;
}

int net_tls_new(const struct net_tls_conf *conf, struct net_tls_keys *keys, char *why,
                size_t why_size, struct net_tls **out)
{
    const struct tls_why line = {why, why_size};
    if (why_size > 0)
        why[0] = '\0';
    struct net_tls *t = mem_zalloc(sizeof(*t));
    if (t == NULL)
        return ERR_NOMEM;
    atomic_init(&t->refs, 1);
    t->keys = keys != NULL ? tls_keys_hold(keys) : NULL;
    t->verify_client = conf->verify_client;
    t->verify_server = conf->verify_server;
    t->can_accept = conf->certificate != NULL;
    int rc = build(t, conf, &line);
    ERR_clear_error();
    if (rc != 0) {
        net_tls_release(&t);
        return rc;
    }
    *out = t;
    return 0;
}

struct net_tls *net_tls_hold(struct net_tls *t)
{
    atomic_fetch_add_explicit(&t->refs, 1, memory_order_relaxed);
    return t;
}

void net_tls_release(struct net_tls **tls)
{
    struct net_tls *t = *tls;
    *tls = NULL;
    if (t == NULL || atomic_fetch_sub_explicit(&t->refs, 1, memory_order_acq_rel) != 1)
        return;
    SSL_CTX_free(t->ctx);
    BIO_meth_free(t->bio);
    EVP_PKEY_free(t->blank);
    net_tls_keys_free(&t->keys);
    mem_free(t);
}

bool net_tls_can_accept(const struct net_tls *t)
{
    return t->can_accept;
}
