/* SPDX-License-Identifier: Apache-2.0 */
/* Certificates made for one test, in a folder that is removed with them.
 *
 * owns: the folder. thread: the test's. */
#ifndef TESTS_NET_CERTS_H
#define TESTS_NET_CERTS_H

#include <openssl/evp.h>
#include <openssl/x509.h>
#include <stdbool.h>

#define CERT_PATH 128

struct cert {
    X509 *x509;
    EVP_PKEY *key;
    char pem[CERT_PATH]; /* certificate, its key, the issuers up to the root */
};

struct cert_spec {
    const char *cn;
    const char *san;     /* "URI:sip:example.com,DNS:a.example,IP:127.0.0.1"; NULL: none */
    struct cert *issuer; /* NULL: self-signed */
    long from, to;       /* s from now; both 0: an hour ago to a day from now */
    bool is_ca;
};

const char *certs_begin(void); /* the folder */
void certs_end(void);
/* Writes the certificate to <folder>/<name>.pem. */
void cert_make(struct cert *out, const char *name, const struct cert_spec *spec);
void cert_free(struct cert *c);
/* Path of a file in the folder, in a buffer that lasts for some calls. */
const char *cert_file(const char *name);
/* Writes a text / the key alone (encrypted when `password` is not NULL) to a file in the folder. */
const char *cert_text(const char *name, const char *text);
const char *cert_key(const char *name, const struct cert *c, const char *password);

#endif
