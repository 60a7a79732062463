/* SPDX-License-Identifier: Apache-2.0 */
/* Between OpenSSL and the socket: never blocks, never raises SIGPIPE, counts what the kernel took,
 * keeps why there is no more. */
#include "net/tls_int.h"

static int bio_write(BIO *bio, const char *bytes, size_t len, size_t *written)
{
    struct net_stream *s = BIO_get_data(bio);
    ssize_t n;
    BIO_clear_retry_flags(bio);
    do {
        n = send(s->fd, bytes, len, MSG_DONTWAIT | MSG_NOSIGNAL);
    } while (n < 0 && errno == EINTR);
    if (n >= 0) {
        *written = (size_t)n;
        s->tls->wire += (size_t)n;
        return 1;
    }
    *written = 0;
    if (errno == EAGAIN || errno == EWOULDBLOCK)
        BIO_set_retry_write(bio);
    else
        s->tls->io_err = -errno;
    return 0;
}

static int bio_read(BIO *bio, char *bytes, size_t len, size_t *got)
{
    struct net_stream *s = BIO_get_data(bio);
    ssize_t n;
    BIO_clear_retry_flags(bio);
    *got = 0;
    do {
        n = recv(s->fd, bytes, len, MSG_DONTWAIT);
    } while (n < 0 && errno == EINTR);
    if (n > 0) {
        if (!s->tls->has_first) {
            s->tls->first = (uint8_t)bytes[0];
            s->tls->has_first = true;
        }
        *got = (size_t)n;
        return 1;
    }
    if (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK)) {
        s->tls->is_dry = true;
        BIO_set_retry_read(bio);
    } else {
        s->tls->io_err = n == 0 ? ERR_CLOSED : -errno;
    }
    return 0;
}

static long bio_ctrl(BIO *bio, int cmd, long num, void *ptr)
{
    (void)bio;
    (void)num;
    (void)ptr;
    return cmd == BIO_CTRL_FLUSH ? 1 : 0;
}

static int bio_create(BIO *bio)
{
    BIO_set_init(bio, 1);
    return 1;
}

BIO_METHOD *tls_bio_method(void)
{
    BIO_METHOD *m = BIO_meth_new(BIO_TYPE_SOURCE_SINK, "stream");
    if (m == NULL)
        return NULL;
    if (BIO_meth_set_write_ex(m, bio_write) != 1 || BIO_meth_set_read_ex(m, bio_read) != 1 ||
        BIO_meth_set_ctrl(m, bio_ctrl) != 1 || BIO_meth_set_create(m, bio_create) != 1) {
        BIO_meth_free(m);
        return NULL;
    }
    return m;
}
