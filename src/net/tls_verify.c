/* SPDX-License-Identifier: Apache-2.0 */
/* Whom a certificate is for: SIP identities (RFC 5922 7.1, 7.2). */
#include <openssl/x509v3.h>
#include <time.h>

#include "net/tls_int.h"

/* What is asked for, in the form that names are compared in. */
struct wanted {
    struct slice host; /* without brackets, without the dot at the end */
    struct addr ip;    /* family ADDR_NONE: it is a name */
};

static struct slice bare_host(struct slice host)
{
    if (host.len >= 2 && host.ptr[0] == '[' && host.ptr[host.len - 1] == ']')
        return slice_of(host.ptr + 1, host.len - 2);
    if (host.len > 1 && host.ptr[host.len - 1] == '.')
        host.len--;
    return host;
}

static struct wanted wanted_of(struct slice name)
{
    struct wanted w = {.host = bare_host(name)};
    if (addr_parse_ip(w.host, 0, &w.ip) != 0)
        w.ip = (struct addr){.family = ADDR_NONE};
    return w;
}

/* 7.2: the whole name, without regard to case; a wildcard is a name like any other, and so equals
 * nothing that is asked for. */
static bool host_matches(const struct wanted *w, struct slice host)
{
    struct addr ip;
    host = bare_host(host);
    if (w->ip.family != ADDR_NONE)
        return addr_parse_ip(host, 0, &ip) == 0 && addr_eq_ip(&ip, &w->ip);
    return host.len > 0 && slice_ieq(host, w->host);
}

static struct slice text_of(const ASN1_STRING *s)
{
    return slice_of((const char *)ASN1_STRING_get0_data(s), (size_t)ASN1_STRING_length(s));
}

/* "sip:host[:port][;params]" without a user part: the host. False: no identity of a domain. */
static bool sip_uri_host(struct slice uri, struct slice *host)
{
    if (!slice_istarts(uri, SLICE("sip:")) || slice_chr(uri, '@') >= 0)
        return false;
    *host = slice_of(uri.ptr + 4, uri.len - 4);
    size_t end = 0;
    bool in_brackets = host->len > 0 && host->ptr[0] == '[';
    while (end < host->len) {
        char c = host->ptr[end];
        if (c == ']')
            in_brackets = false;
        if (c == ';' || c == '?' || (c == ':' && !in_brackets))
            break;
        end++;
    }
    host->len = end;
    return end > 0;
}

static bool ip_matches(const struct wanted *w, const ASN1_OCTET_STRING *ip)
{
    size_t len = w->ip.family == ADDR_IP4 ? 4 : 16;
    struct slice raw = text_of(ip);
    return w->ip.family != ADDR_NONE && raw.len == len && memcmp(raw.ptr, w->ip.ip, len) == 0;
}

/* A URI of the scheme "sip" makes the names of type DNS count no more (7.1). */
static bool names_prove(const GENERAL_NAMES *names, const struct wanted *w)
{
    bool has_uri = false, by_dns = false;
    struct slice host;
    for (int i = 0; i < sk_GENERAL_NAME_num(names); i++) {
        const GENERAL_NAME *n = sk_GENERAL_NAME_value(names, i);
        if (n->type == GEN_URI && sip_uri_host(text_of(n->d.uniformResourceIdentifier), &host)) {
            has_uri = true;
            if (host_matches(w, host))
                return true;
        } else if (n->type == GEN_DNS && w->ip.family == ADDR_NONE) {
            by_dns = by_dns || host_matches(w, text_of(n->d.dNSName));
        } else if (n->type == GEN_IPADD && ip_matches(w, n->d.iPAddress)) {
            return true;
        }
    }
    return by_dns && !has_uri;
}

/* Only where there is no subjectAltName at all; the last CN is the most specific one. */
static bool cn_proves(const X509 *cert, const struct wanted *w)
{
    const X509_NAME *subject = X509_get_subject_name(cert);
    int at = -1, last = -1;
    while ((at = X509_NAME_get_index_by_NID(subject, NID_commonName, at)) >= 0)
        last = at;
    if (last < 0 || w->ip.family != ADDR_NONE)
        return false;
    const ASN1_STRING *cn = X509_NAME_ENTRY_get_data(X509_NAME_get_entry(subject, last));
    return host_matches(w, text_of(cn));
}

bool tls_cert_proves(const X509 *cert, struct slice name)
{
    const struct wanted w = wanted_of(name);
    int critical = 0;
    if (w.host.len == 0)
        return false;
    GENERAL_NAMES *names = X509_get_ext_d2i(cert, NID_subject_alt_name, &critical, NULL);
    if (names == NULL) /* -1: there is none; else it cannot be read, or stands there twice */
        return critical == -1 && cn_proves(cert, &w);
    bool proves = names_prove(names, &w);
    GENERAL_NAMES_free(names);
    return proves;
}

int64_t tls_now(void)
{
    return (int64_t)time(NULL);
}

int64_t tls_chain_end(STACK_OF(X509) * chain)
{
    int64_t first = TLS_FOREVER;
    for (int i = 0; i < sk_X509_num(chain); i++) {
        struct tm tm;
        if (ASN1_TIME_to_tm(X509_get0_notAfter(sk_X509_value(chain, i)), &tm) != 1)
            return 0;
        int64_t end = timegm(&tm);
        first = end < first ? end : first;
    }
    return first;
}

/* In place of OpenSSL's own verification: the chain first, then the name. */
int tls_verify(X509_STORE_CTX *sc, void *unused)
{
    SSL *ssl = X509_STORE_CTX_get_ex_data(sc, SSL_get_ex_data_X509_STORE_CTX_idx());
    const struct net_stream *s = SSL_get_app_data(ssl);
    struct tls_conn *c = s->tls;
    (void)unused;
    if (!tls_verifies(c))
        return 1;
    if (X509_verify_cert(sc) != 1) {
        if (X509_STORE_CTX_get_error(sc) == X509_V_OK)
            X509_STORE_CTX_set_error(sc, X509_V_ERR_UNSPECIFIED);
        return 0;
    }
    c->valid_until = tls_chain_end(X509_STORE_CTX_get0_chain(sc));
    struct slice name = slice_str(c->shake != NULL ? c->shake->name : "");
    if (name.len > 0 && !tls_cert_proves(X509_STORE_CTX_get0_cert(sc), name)) {
        X509_STORE_CTX_set_error(sc, X509_V_ERR_HOSTNAME_MISMATCH);
        return 0;
    }
    return 1;
}
