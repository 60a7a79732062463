/* SPDX-License-Identifier: Apache-2.0 */
/* Whom a certificate is for: SIP identities (RFC 5922 7.1, 7.2). */
#include <openssl/x509v3.h>
#include <time.h>

#include "net/tls_int.h"

struct slice tls_bare_host(struct slice host)
{
    if (host.len >= 2 && host.ptr[0] == '[' && host.ptr[host.len - 1] == ']')
        return slice_of(host.ptr + 1, host.len - 2);
    if (host.len > 1 && host.ptr[host.len - 1] == '.')
        host.len--;
    return host;
}

/* An address is listed in the one form that it has here, so that equal means equal; a name as it
 * stands. What has no room or is no text is left out, and so proves nothing. */
static void list_host(struct tls_identities *l, struct slice host)
{
    char text[ADDR_TEXT_MAX];
    struct addr ip;
    host = tls_bare_host(host);
    if (addr_parse_ip(host, 0, &ip) == 0)
        host = slice_str(addr_write_ip(&ip, false, text));
    if (host.len == 0 || host.len >= sizeof(l->text) - l->len ||
        memchr(host.ptr, '\0', host.len) != NULL)
        return;
    memcpy(l->text + l->len, host.ptr, host.len);
    l->text[l->len + host.len] = '\0';
    l->len += host.len + 1;
}

static void list_ip(struct tls_identities *l, struct slice raw)
{
    char text[ADDR_TEXT_MAX];
    struct addr ip = {.family = raw.len == 4 ? ADDR_IP4 : ADDR_IP6};
    if (raw.len != 4 && raw.len != 16)
        return;
    memcpy(ip.ip, raw.ptr, raw.len);
    list_host(l, slice_str(addr_write_ip(&ip, false, text)));
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

/* A URI of the scheme "sip" makes the names of type DNS count no more (7.1). A name of type DNS
 * that looks like an address is none. */
static void list_alt_names(struct tls_identities *l, const GENERAL_NAMES *names)
{
    bool has_uri = false;
    struct slice host;
    struct addr ip;
    for (int i = 0; i < sk_GENERAL_NAME_num(names); i++) {
        const GENERAL_NAME *n = sk_GENERAL_NAME_value(names, i);
        if (n->type == GEN_URI && sip_uri_host(text_of(n->d.uniformResourceIdentifier), &host)) {
            has_uri = true;
            list_host(l, host);
        } else if (n->type == GEN_IPADD) {
            list_ip(l, text_of(n->d.iPAddress));
        }
    }
    for (int i = 0; i < sk_GENERAL_NAME_num(names) && !has_uri; i++) {
        const GENERAL_NAME *n = sk_GENERAL_NAME_value(names, i);
        if (n->type == GEN_DNS && addr_parse_ip(text_of(n->d.dNSName), 0, &ip) != 0)
            list_host(l, text_of(n->d.dNSName));
    }
}

/* Only where there is no subjectAltName at all (7.1); the last CN is the most specific one. */
static void list_cn(struct tls_identities *l, const X509 *cert)
{
    const X509_NAME *subject = X509_get_subject_name(cert);
    struct addr ip;
    int at = -1, last = -1;
    while ((at = X509_NAME_get_index_by_NID(subject, NID_commonName, at)) >= 0)
        last = at;
    if (last < 0)
        return;
    struct slice cn = text_of(X509_NAME_ENTRY_get_data(X509_NAME_get_entry(subject, last)));
    if (addr_parse_ip(cn, 0, &ip) != 0)
        list_host(l, cn);
}

void tls_identities(const X509 *cert, struct tls_identities *out)
{
    int critical = 0;
    out->len = 0;
    GENERAL_NAMES *names = X509_get_ext_d2i(cert, NID_subject_alt_name, &critical, NULL);
    if (names != NULL)
        list_alt_names(out, names);
    else if (critical == -1) /* there is none; else it cannot be read, or stands there twice */
        list_cn(out, cert);
    GENERAL_NAMES_free(names);
}

bool tls_list_has(const char *list, size_t len, struct slice name)
{
    char text[ADDR_TEXT_MAX];
    struct addr ip;
    name = tls_bare_host(name);
    if (addr_parse_ip(name, 0, &ip) == 0)
        name = slice_str(addr_write_ip(&ip, false, text));
    for (size_t at = 0; at < len && name.len > 0;) {
        struct slice one = slice_str(list + at);
        if (slice_ieq(one, name))
            return true;
        at += one.len + 1;
    }
    return false;
}

static bool cert_proves(const X509 *cert, struct slice name)
{
    struct tls_identities l;
    tls_identities(cert, &l);
    return tls_list_has(l.text, l.len, name);
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

/* In place of OpenSSL's own verification: the chain first, then the name. A server that need not be
 * verified is looked at all the same: whoever replaces a connection may want to know whom it proves
 * to be. */
int tls_verify(X509_STORE_CTX *sc, void *unused)
{
    SSL *ssl = X509_STORE_CTX_get_ex_data(sc, SSL_get_ex_data_X509_STORE_CTX_idx());
    const struct net_stream *s = SSL_get_app_data(ssl);
    struct tls_conn *c = s->tls;
    bool must = tls_verifies(c);
    (void)unused;
    c->has_peer = false;
    if (X509_verify_cert(sc) != 1) {
        if (!must)
            X509_STORE_CTX_set_error(sc, X509_V_OK);
        else if (X509_STORE_CTX_get_error(sc) == X509_V_OK)
            X509_STORE_CTX_set_error(sc, X509_V_ERR_UNSPECIFIED);
        return must ? 0 : 1;
    }
    c->valid_until = tls_chain_end(X509_STORE_CTX_get0_chain(sc));
    struct slice name = slice_str(c->shake != NULL ? c->shake->name : "");
    if (must && name.len > 0 && !cert_proves(X509_STORE_CTX_get0_cert(sc), name)) {
        X509_STORE_CTX_set_error(sc, X509_V_ERR_HOSTNAME_MISMATCH);
        return 0;
    }
    c->has_peer = true;
    return 1;
}
