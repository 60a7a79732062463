/* SPDX-License-Identifier: Apache-2.0 */
/* What is kept of the peer's certificate when the handshake is done: whom it has proved to be. The
 * certificates themselves would be a quarter of what an idle connection takes. */
#include <openssl/err.h>

#include "base/alloc.h"
#include "net/tls_int.h"

int tls_peer_set(struct tls_conn *c, const char *list, size_t len)
{
    mem_free(c->proven);
    c->proven = NULL;
    c->proven_len = 0;
    if (len == 0)
        return 0;
    while (len > TLS_PROVEN_MAX || list[len - 1] != '\0')
        len--;
    c->proven = mem_alloc(len);
    if (c->proven == NULL)
        return ERR_NOMEM;
    memcpy(c->proven, list, len);
    c->proven_len = (uint16_t)len;
    return 0;
}

/* A session that we resume was remembered under the name and the rules of this connection, with
 * what the peer had proved then; one that the peer resumes brings its certificate along. */
int tls_peer_take(struct tls_conn *c)
{
    struct tls_identities l;
    struct slice name = slice_str(c->shake->name);
    bool is_resumed = SSL_session_reused(c->ssl) == 1;
    X509 *cert = SSL_get0_peer_certificate(c->ssl);
    if (is_resumed && c->is_server)
        c->has_peer = tls_verifies(c) && cert != NULL;
    if (!c->has_peer)
        return tls_peer_set(c, NULL, 0);
    if (cert != NULL && (c->is_server || !is_resumed)) {
        tls_identities(cert, &l);
        int rc = tls_peer_set(c, l.text, l.len);
        ERR_clear_error();
        if (rc != 0)
            return rc;
    }
    if (is_resumed && tls_verifies(c) && name.len > 0 &&
        !tls_list_has(c->proven, c->proven_len, name))
        return ERR_TLS_NAME;
    return 0;
}

EVP_PKEY *tls_blank_key(void)
{
    static const unsigned char zero[32];
    return EVP_PKEY_new_raw_public_key(EVP_PKEY_ED25519, NULL, zero, sizeof(zero));
}

static void empty(STACK_OF(X509) * certs)
{
    X509 *cert;
    while (certs != NULL && (cert = sk_X509_pop(certs)) != NULL)
        X509_free(cert);
}

/* The certificates came over the wire and belong to this connection alone. Nothing after the
 * handshake looks at them: there is no renegotiation and no authentication later on. */
void tls_peer_slim(struct tls_conn *c)
{
    X509 *cert = SSL_get0_peer_certificate(c->ssl);
    empty(SSL_get_peer_cert_chain(c->ssl));
    empty(SSL_get0_verified_chain(c->ssl));
    if (cert == NULL)
        return;
    X509_NAME *none = X509_NAME_new();
    X509_EXTENSION *ext;
    (void)X509_set_pubkey(cert, c->tls->blank);
    if (none != NULL && X509_set_subject_name(cert, none) == 1)
        (void)X509_set_issuer_name(cert, none);
    X509_NAME_free(none);
    while ((ext = X509_delete_ext(cert, 0)) != NULL)
        X509_EXTENSION_free(ext);
    ERR_clear_error();
}
