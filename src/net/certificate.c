/* SPDX-License-Identifier: Apache-2.0 */
#include "net/certificate.h"

#include <openssl/err.h>
#include <openssl/pem.h>
#include <stdbool.h>
#include <string.h>
#include <time.h>

static bool unix_time(const ASN1_TIME *t, int64_t *out)
{
    struct tm tm = {0};
    if (t == NULL || ASN1_TIME_to_tm(t, &tm) != 1)
        return false;
    *out = timegm(&tm);
    return true;
}

static int write_subject(const X509 *cert, char *out, size_t size)
{
    BIO *bio = BIO_new(BIO_s_mem());
    if (bio == NULL)
        return ERR_NOMEM;
    X509_NAME_print_ex(bio, X509_get_subject_name(cert), 0,
                       XN_FLAG_RFC2253 | XN_FLAG_SEP_CPLUS_SPC);
    int n = BIO_read(bio, out, (int)size - 1);
    out[n > 0 ? n : 0] = '\0';
    BIO_free(bio);
    return 0;
}

int net_certificate_read(const char *file, struct net_certificate *out)
{
    memset(out, 0, sizeof(*out));
    BIO *bio = BIO_new_file(file, "re");
    X509 *cert = bio != NULL ? PEM_read_bio_X509(bio, NULL, NULL, NULL) : NULL;
    BIO_free(bio);
    ERR_clear_error();
    if (cert == NULL)
        return ERR_PARSE;
    int err = write_subject(cert, out->subject, sizeof(out->subject));
    if (err == 0 && (!unix_time(X509_get0_notBefore(cert), &out->starts) ||
                     !unix_time(X509_get0_notAfter(cert), &out->ends)))
        err = ERR_PARSE;
    X509_free(cert);
    return err;
}
