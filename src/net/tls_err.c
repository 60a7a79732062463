/* SPDX-License-Identifier: Apache-2.0 */
/* Why there is no TLS connection: from OpenSSL's reasons to the list of errors, and to counters. */
#include <openssl/err.h>

#include "net/tls_int.h"

/* Records of TLS begin with a content type (RFC 8446 5.1, RFC 6520). */
#define RECORD_FIRST 20
#define RECORD_LAST  24

static int of_verification(long result)
{
    switch (result) {
    case X509_V_ERR_CERT_HAS_EXPIRED:
    case X509_V_ERR_CERT_NOT_YET_VALID: return ERR_TLS_EXPIRED;
    case X509_V_ERR_HOSTNAME_MISMATCH:
    case X509_V_ERR_IP_ADDRESS_MISMATCH: return ERR_TLS_NAME;
    case X509_V_ERR_OUT_OF_MEM: return ERR_NOMEM;
    default: return ERR_TLS_UNTRUSTED;
    }
}

/* The peer's alert. Before TLS 1.3 there is none of its own for "you have shown no certificate". */
static int of_alert(const struct tls_conn *c, int alert)
{
    switch (alert) {
    case SSL_AD_PROTOCOL_VERSION: return ERR_TLS_VERSION;
    case SSL_AD_BAD_CERTIFICATE:
    case SSL_AD_UNSUPPORTED_CERTIFICATE:
    case SSL_AD_CERTIFICATE_REVOKED:
    case SSL_AD_CERTIFICATE_EXPIRED:
    case SSL_AD_CERTIFICATE_UNKNOWN:
    case SSL_AD_UNKNOWN_CA:
    case SSL_AD_ACCESS_DENIED:
    case SSL_AD_CERTIFICATE_REQUIRED:
    case SSL_AD_UNRECOGNIZED_NAME: return ERR_TLS_REFUSED;
    case SSL_AD_HANDSHAKE_FAILURE: return c->asked ? ERR_TLS_REFUSED : ERR_TLS_HANDSHAKE;
    default: return ERR_TLS_HANDSHAKE;
    }
}

static int of_reason(const struct tls_conn *c, int reason)
{
    if (reason > SSL_AD_REASON_OFFSET && reason <= SSL_AD_REASON_OFFSET + 255)
        return of_alert(c, reason - SSL_AD_REASON_OFFSET);
    switch (reason) {
    case SSL_R_CERTIFICATE_VERIFY_FAILED: return of_verification(SSL_get_verify_result(c->ssl));
    case SSL_R_PEER_DID_NOT_RETURN_A_CERTIFICATE: return ERR_TLS_NO_CERTIFICATE;
    case SSL_R_UNSUPPORTED_PROTOCOL:
    case SSL_R_WRONG_VERSION_NUMBER:
    case SSL_R_WRONG_SSL_VERSION:
    case SSL_R_VERSION_TOO_LOW:
    case SSL_R_VERSION_TOO_HIGH:
    case SSL_R_INAPPROPRIATE_FALLBACK:
    case SSL_R_NO_PROTOCOLS_AVAILABLE: return ERR_TLS_VERSION;
    default: return ERR_TLS_HANDSHAKE;
    }
}

/* Reads the error queue and leaves it empty. */
int tls_error_of(const struct tls_conn *c, int ssl_error)
{
    unsigned long e = ERR_peek_last_error();
    int err = ERR_TLS_HANDSHAKE;
    if (ssl_error == SSL_ERROR_ZERO_RETURN)
        err = ERR_CLOSED;
    else if (c->has_first && (c->first < RECORD_FIRST || c->first > RECORD_LAST))
        err = ERR_TLS_PLAIN;
    else if (ERR_GET_LIB(e) == ERR_LIB_SSL)
        err = of_reason(c, ERR_GET_REASON(e));
    else if (e != 0 && ERR_GET_REASON(e) == ERR_R_MALLOC_FAILURE)
        err = ERR_NOMEM;
    else if (c->io_err != 0)
        err = c->io_err;
    ERR_clear_error();
    return err;
}

void tls_count(struct counters *counters, int err)
{
    if (counters != NULL)
        counter_inc(counters, net_tls_counter(err));
}
