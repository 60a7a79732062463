/* SPDX-License-Identifier: Apache-2.0 */
#include "certs.h"

#include <ftw.h>
#include <openssl/ec.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

static char folder[64];
static long serial;

const char *certs_begin(void)
{
    memcpy(folder, "/tmp/holdfast-tls-XXXXXX", 25);
    assert_non_null(mkdtemp(folder));
    return folder;
}

static int remove_one(const char *path, const struct stat *st, int flag, struct FTW *ftw)
{
    (void)st;
    (void)flag;
    (void)ftw;
    return remove(path);
}

void certs_end(void)
{
    assert_int_equal(nftw(folder, remove_one, 8, FTW_DEPTH | FTW_PHYS), 0);
}

const char *cert_file(const char *name)
{
    static char paths[8][CERT_PATH];
    static unsigned next;
    char *path = paths[next++ % 8];
    assert_true(snprintf(path, CERT_PATH, "%s/%s", folder, name) < CERT_PATH);
    return path;
}

const char *cert_text(const char *name, const char *text)
{
    const char *path = cert_file(name);
    FILE *f = fopen(path, "w");
    assert_non_null(f);
    assert_true(fputs(text, f) >= 0);
    assert_int_equal(fclose(f), 0);
    return path;
}

const char *cert_key(const char *name, const struct cert *c, const char *password)
{
    const char *path = cert_file(name);
    FILE *f = fopen(path, "w");
    assert_non_null(f);
    if (password != NULL)
        assert_int_equal(PEM_write_PKCS8PrivateKey(f, c->key, EVP_aes_128_cbc(), password,
                                                   (int)strlen(password), NULL, NULL),
                         1);
    else
        assert_int_equal(PEM_write_PrivateKey(f, c->key, NULL, NULL, 0, NULL, NULL), 1);
    assert_int_equal(fclose(f), 0);
    return path;
}

static void add_ext(X509 *x, X509 *issuer, int nid, const char *value)
{
    X509V3_CTX ctx;
    X509V3_set_ctx(&ctx, issuer, x, NULL, NULL, 0);
    X509_EXTENSION *e = X509V3_EXT_conf_nid(NULL, &ctx, nid, value);
    assert_non_null(e);
    assert_int_equal(X509_add_ext(x, e, -1), 1);
    X509_EXTENSION_free(e);
}

static void set_name(X509 *x, const char *cn)
{
    X509_NAME *name = X509_get_subject_name(x);
    assert_int_equal(
        X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_ASC, (const unsigned char *)cn, -1, -1, 0),
        1);
}

static void write_pem(struct cert *c, const char *name, const struct cert *issuer)
{
    char file[64];
    assert_true(snprintf(file, sizeof(file), "%s.pem", name) < (int)sizeof(file));
    memcpy(c->pem, cert_file(file), CERT_PATH);
    FILE *f = fopen(c->pem, "w");
    assert_non_null(f);
    assert_int_equal(PEM_write_X509(f, c->x509), 1);
    assert_int_equal(PEM_write_PrivateKey(f, c->key, NULL, NULL, 0, NULL, NULL), 1);
    if (issuer != NULL)
        assert_int_equal(PEM_write_X509(f, issuer->x509), 1);
    assert_int_equal(fclose(f), 0);
}

void cert_make(struct cert *c, const char *name, const struct cert_spec *spec)
{
    bool is_default = spec->from == 0 && spec->to == 0;
    memset(c, 0, sizeof(*c));
    c->key = EVP_EC_gen("P-256");
    c->x509 = X509_new();
    assert_non_null(c->key);
    assert_non_null(c->x509);
    X509 *issuer = spec->issuer != NULL ? spec->issuer->x509 : c->x509;
    X509_set_version(c->x509, X509_VERSION_3);
    ASN1_INTEGER_set(X509_get_serialNumber(c->x509), ++serial);
    X509_gmtime_adj(X509_getm_notBefore(c->x509), is_default ? -3600 : spec->from);
    X509_gmtime_adj(X509_getm_notAfter(c->x509), is_default ? 86400 : spec->to);
    set_name(c->x509, spec->cn);
    X509_set_issuer_name(c->x509, X509_get_subject_name(issuer));
    X509_set_pubkey(c->x509, c->key);
    add_ext(c->x509, issuer, NID_basic_constraints, spec->is_ca ? "critical,CA:TRUE" : "CA:FALSE");
    if (spec->is_ca)
        add_ext(c->x509, issuer, NID_key_usage, "critical,keyCertSign,cRLSign");
    if (spec->san != NULL)
        add_ext(c->x509, issuer, NID_subject_alt_name, spec->san);
    assert_true(
        X509_sign(c->x509, spec->issuer != NULL ? spec->issuer->key : c->key, EVP_sha256()) > 0);
    write_pem(c, name, spec->issuer);
}

void cert_free(struct cert *c)
{
    X509_free(c->x509);
    EVP_PKEY_free(c->key);
    memset(c, 0, sizeof(*c));
}
