/* SPDX-License-Identifier: Apache-2.0 */
/* Certificates, keys and authorities from PEM files. */
#include <dirent.h>
#include <fcntl.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/alloc.h"
#include "net/tls_int.h"

#define FILE_MAX  (4u << 20) /* bytes */
#define PATH_LEN  4096
#define NAMED_MAX 32 /* authorities that are named to a client which we ask for a certificate */

struct bytes {
    char *ptr;
    size_t len;
};

static int say_errno(const struct tls_why *why, const char *file, int err)
{
    char buf[64];
    tls_say(why, file, err_text(err, buf, sizeof(buf)));
    return err;
}

/* The text of the oldest error that OpenSSL has kept. */
static int say_ssl(const struct tls_why *why, const char *file, const char *what)
{
    char buf[200];
    const char *reason = ERR_reason_error_string(ERR_peek_error());
    (void)snprintf(buf, sizeof(buf), "%s%s%s", what, reason != NULL ? ": " : "",
                   reason != NULL ? reason : "");
    return tls_say(why, file, buf);
}

static int read_all(int fd, struct bytes *out)
{
    struct stat st;
    if (fstat(fd, &st) != 0)
        return -errno;
    if (S_ISDIR(st.st_mode))
        return -EISDIR;
    if (!S_ISREG(st.st_mode) || st.st_size > FILE_MAX)
        return S_ISREG(st.st_mode) ? -EFBIG : -EINVAL;
    size_t cap = (size_t)st.st_size + 1;
    out->len = 0;
    out->ptr = mem_alloc(cap);
    if (out->ptr == NULL)
        return ERR_NOMEM;
    while (out->len < cap) {
        ssize_t n = read(fd, out->ptr + out->len, cap - out->len);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return n < 0 ? -errno : 0;
        out->len += (size_t)n;
    }
    return -EBUSY; /* it grew while it was read */
}

static void wipe(struct bytes *b)
{
    if (b->ptr != NULL)
        OPENSSL_cleanse(b->ptr, b->len);
    mem_free(b->ptr);
    *b = (struct bytes){NULL, 0};
}

/* 0, ERR_NOMEM, -errno; `*b` is to be wiped on success. */
static int load(const char *path, struct bytes *b)
{
    *b = (struct bytes){NULL, 0};
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (fd < 0)
        return -errno;
    int rc = read_all(fd, b);
    close(fd);
    if (rc != 0)
        wipe(b);
    return rc;
}

/* A key with a password is refused: there is nobody to ask. */
static int no_password(char *buf, int size, int writing, void *was_asked)
{
    (void)buf;
    (void)size;
    (void)writing;
    *(bool *)was_asked = true;
    return -1;
}

static X509 *next_cert(BIO *bio)
{
    bool asked = false;
    return PEM_read_bio_X509(bio, NULL, no_password, &asked);
}

/* Has reading stopped since there is no further certificate, and not at a damaged one? */
static bool is_end(void)
{
    unsigned long e = ERR_peek_last_error();
    bool end = e == 0 ||
               (ERR_GET_LIB(e) == ERR_LIB_PEM && ERR_GET_REASON(e) == PEM_R_NO_START_LINE);
    if (end)
        ERR_clear_error();
    return end;
}

static int use_chain(struct net_tls *t, BIO *bio, const char *path, const struct tls_why *why)
{
    X509 *cert;
    while ((cert = next_cert(bio)) != NULL) {
        if (SSL_CTX_add0_chain_cert(t->ctx, cert) != 1) {
            X509_free(cert);
            return say_ssl(why, path, "a certificate of the chain cannot be used");
        }
    }
    return is_end() ? 0 : say_ssl(why, path, "a certificate of the chain cannot be read");
}

static int use_certificate(struct net_tls *t, const struct bytes *b, const char *path,
                           const struct tls_why *why)
{
    unsigned len;
    BIO *bio = BIO_new_mem_buf(b->ptr, (int)b->len);
    if (bio == NULL)
        return ERR_NOMEM;
    X509 *cert = next_cert(bio);
    int rc = 0;
    if (cert == NULL)
        rc = is_end() ? tls_say(why, path, "no certificate in PEM format")
                      : say_ssl(why, path, "the certificate cannot be read");
    else if (SSL_CTX_use_certificate(t->ctx, cert) != 1)
        rc = say_ssl(why, path, "the certificate cannot be used");
    else if (X509_digest(cert, EVP_sha256(), t->own, &len) != 1)
        rc = ERR_NOMEM;
    X509_free(cert);
    if (rc == 0)
        rc = use_chain(t, bio, path, why);
    BIO_free(bio);
    return rc;
}

static int use_key(struct net_tls *t, const struct bytes *b, const char *key_path,
                   const char *cert_path, const struct tls_why *why)
{
    char buf[2 * PATH_LEN];
    bool asked = false;
    if (memmem(b->ptr, b->len, "PRIVATE KEY-----", 16) == NULL)
        return tls_say(why, key_path, "no private key in PEM format");
    BIO *bio = BIO_new_mem_buf(b->ptr, (int)b->len);
    if (bio == NULL)
        return ERR_NOMEM;
    EVP_PKEY *key = PEM_read_bio_PrivateKey(bio, NULL, no_password, &asked);
    BIO_free(bio);
    if (asked) {
        EVP_PKEY_free(key);
        return tls_say(why, key_path, "the private key is protected by a password");
    }
    if (key == NULL)
        return say_ssl(why, key_path, "the private key cannot be read");
    int rc = 0;
    if (X509_check_private_key(SSL_CTX_get0_certificate(t->ctx), key) != 1) {
        (void)snprintf(buf, sizeof(buf), "the private key does not belong to the certificate %s",
                       cert_path);
        rc = tls_say(why, key_path, buf);
    } else if (SSL_CTX_use_PrivateKey(t->ctx, key) != 1) {
        rc = say_ssl(why, key_path, "the private key cannot be used");
    }
    EVP_PKEY_free(key);
    return rc;
}

int tls_load_own(struct net_tls *t, const struct net_tls_conf *conf, const struct tls_why *why)
{
    const char *key_path = conf->private_key != NULL ? conf->private_key : conf->certificate;
    struct bytes cert, key;
    if (conf->certificate == NULL)
        return conf->private_key == NULL
                   ? 0
                   : tls_say(why, conf->private_key, "a private key without a certificate");
    int rc = load(conf->certificate, &cert);
    if (rc != 0)
        return say_errno(why, conf->certificate, rc);
    rc = use_certificate(t, &cert, conf->certificate, why);
    wipe(&cert);
    if (rc != 0)
        return rc;
    rc = load(key_path, &key);
    if (rc != 0)
        return say_errno(why, key_path, rc);
    rc = use_key(t, &key, key_path, conf->certificate, why);
    wipe(&key);
    return rc;
}

/* --- authorities ------------------------------------------------------------------------------ */

/* The sum does not depend on the order, which in a directory is anybody's. */
static int add_authority(struct net_tls *t, X509 *cert, unsigned *n, uint64_t sum[4])
{
    union {
        unsigned char bytes[TLS_DIGEST];
        uint64_t words[4];
    } d;
    unsigned len;
    if (X509_STORE_add_cert(SSL_CTX_get_cert_store(t->ctx), cert) != 1 ||
        X509_digest(cert, EVP_sha256(), d.bytes, &len) != 1)
        return ERR_NOMEM;
    for (unsigned i = 0; i < 4; i++)
        sum[i] += d.words[i];
    if (*n < NAMED_MAX && SSL_CTX_add_client_CA(t->ctx, cert) != 1)
        return ERR_NOMEM;
    (*n)++;
    return 0;
}

static int load_ca_file(struct net_tls *t, const char *path, const struct tls_why *why,
                        unsigned *total, uint64_t sum[4])
{
    struct bytes b;
    int rc = load(path, &b);
    if (rc != 0)
        return say_errno(why, path, rc);
    BIO *bio = BIO_new_mem_buf(b.ptr, (int)b.len);
    X509 *cert;
    rc = bio != NULL ? 0 : ERR_NOMEM;
    while (rc == 0 && (cert = next_cert(bio)) != NULL) {
        rc = add_authority(t, cert, total, sum);
        X509_free(cert);
    }
    if (rc == 0 && !is_end())
        rc = say_ssl(why, path, "a certificate cannot be read");
    BIO_free(bio);
    wipe(&b);
    return rc;
}

/* A link to a neighbour, as c_rehash makes them: the neighbour is read anyway. */
static bool is_alias(const char *file)
{
    char to[PATH_LEN];
    ssize_t n = readlink(file, to, sizeof(to));
    return n > 0 && memchr(to, '/', (size_t)n) == NULL;
}

static int load_ca_dir(struct net_tls *t, DIR *dir, const char *path, const struct tls_why *why,
                       unsigned *n, uint64_t sum[4])
{
    char file[PATH_LEN];
    struct dirent *e;
    int rc = 0;
    while (rc == 0 && (e = readdir(dir)) != NULL) {
        struct stat st;
        int len = snprintf(file, sizeof(file), "%s/%s", path, e->d_name);
        if (e->d_name[0] == '.' || len < 0 || (size_t)len >= sizeof(file) || is_alias(file) ||
            stat(file, &st) != 0 || !S_ISREG(st.st_mode))
            continue;
        rc = load_ca_file(t, file, why, n, sum);
    }
    return rc;
}

static int load_ca(struct net_tls *t, const char *ca, const struct tls_why *why, unsigned *n,
                   uint64_t sum[4])
{
    DIR *dir = opendir(ca);
    if (dir == NULL)
        return errno == ENOTDIR ? load_ca_file(t, ca, why, n, sum) : say_errno(why, ca, -errno);
    int rc = load_ca_dir(t, dir, ca, why, n, sum);
    closedir(dir);
    return rc;
}

/* The system's: read now and not, as OpenSSL would by itself, in the middle of a handshake. Where
 * there are none, nobody is trusted. */
static int load_system(struct net_tls *t, const struct tls_why *why, uint64_t sum[4])
{
    const char *const places[] = {X509_get_default_cert_file(),
                                  "/etc/ssl/certs/ca-certificates.crt", /* Debian's */
                                  X509_get_default_cert_dir()};
    unsigned n = NAMED_MAX; /* they are too many to be named */
    for (unsigned i = 0; i < 3; i++) {
        if (access(places[i], R_OK) == 0)
            return load_ca(t, places[i], why, &n, sum);
    }
    return 0;
}

int tls_load_authorities(struct net_tls *t, const char *ca, const struct tls_why *why,
                         uint64_t sum[4])
{
    unsigned n = 0;
    if (ca == NULL)
        return load_system(t, why, sum);
    int rc = load_ca(t, ca, why, &n, sum);
    if (rc == 0 && n == 0)
        rc = tls_say(why, ca, "no certificate in PEM format");
    return rc;
}
