/* SPDX-License-Identifier: Apache-2.0 */
/* The TLS half of a stream: its SSL object, reading, writing, the orderly end. */
#include <openssl/err.h>

#include "base/alloc.h"
#include "net/tls_int.h"

#define DRAIN_MAX 16 /* receive calls */

int tls_conn_new(struct net_stream *s, struct net_tls *tls, bool is_server)
{
    struct tls_conn *c = mem_zalloc(sizeof(*c));
    if (c == NULL)
        return ERR_NOMEM;
    c->tls = net_tls_hold(tls);
    c->is_server = is_server;
    c->valid_until = TLS_FOREVER;
    tls_sent_init(&c->sent);
    s->tls = c;
    return 0;
}

void tls_conn_free(struct net_stream *s)
{
    struct tls_conn *c = s->tls;
    if (c == NULL)
        return;
    tls_shake_free(s);
    SSL_free(c->ssl);
    tls_sent_fini(&c->sent);
    mem_free(c->proven);
    net_tls_release(&c->tls);
    mem_free(c);
    s->tls = NULL;
}

/* The peer asks for our certificate; called before it is sent. */
static int on_asked(SSL *ssl, void *unused)
{
    const struct net_stream *s = SSL_get_app_data(ssl);
    (void)unused;
    s->tls->asked = !s->tls->is_server;
    return 1;
}

static bool start_client(struct net_stream *s)
{
    struct tls_conn *c = s->tls;
    struct slice name = slice_str(c->shake->name);
    struct addr ip;
    SSL_set_connect_state(c->ssl);
    SSL_set_verify(c->ssl, tls_verifies(c) ? SSL_VERIFY_PEER : SSL_VERIFY_NONE, NULL);
    /* RFC 6066 3: host names only, without the dot at the end. */
    if (name.len > 0 && addr_parse_ip(name, 0, &ip) != 0) {
        char host[TLS_NAME_MAX + 1];
        if (name.ptr[name.len - 1] == '.')
            name.len--;
        if (slice_cstr(name, host, sizeof(host)) && host[0] != '\0' &&
            SSL_set_tlsext_host_name(c->ssl, host) != 1)
            return false;
    }
    tls_session_offer(&stream_loop(s)->sessions, c);
    return true;
}

int tls_conn_start(struct net_stream *s)
{
    struct tls_conn *c = s->tls;
    c->ssl = SSL_new(c->tls->ctx);
    BIO *bio = c->ssl != NULL ? BIO_new(c->tls->bio) : NULL;
    if (bio == NULL) {
        ERR_clear_error();
        return ERR_NOMEM;
    }
    BIO_set_data(bio, s);
    SSL_set_bio(c->ssl, bio, bio);
    SSL_set_app_data(c->ssl, s);
    SSL_set_cert_cb(c->ssl, on_asked, NULL);
    bool good = true;
    if (c->is_server) {
        SSL_set_accept_state(c->ssl);
        SSL_set_verify(c->ssl,
                       tls_verifies(c) ? SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT
                                       : SSL_VERIFY_NONE,
                       NULL);
    } else {
        good = start_client(s);
    }
    ERR_clear_error();
    return good ? 0 : ERR_NOMEM;
}

/* 0: wait for the socket; else the connection is over and this is why. */
static int outcome(struct net_stream *s, int rc)
{
    struct tls_conn *c = s->tls;
    int e = SSL_get_error(c->ssl, rc);
    if (e == SSL_ERROR_WANT_READ || e == SSL_ERROR_WANT_WRITE) {
        s->blocked = e == SSL_ERROR_WANT_WRITE;
        return 0;
    }
    if (e == SSL_ERROR_SSL) /* an error of the socket for one direction may leave the other */
        c->broken = true;
    return tls_error_of(c, e);
}

int tls_conn_step(struct net_stream *s)
{
    struct tls_conn *c = s->tls;
    ERR_clear_error();
    s->blocked = false;
    int rc = SSL_do_handshake(c->ssl);
    if (rc != 1)
        return outcome(s, rc);
    rc = tls_peer_take(c);
    if (rc != 0)
        return rc;
    if (!c->is_server)
        tls_session_done(&stream_loop(s)->sessions, c);
    tls_peer_slim(c);
    (void)SSL_free_buffers(c->ssl);
    return 1;
}

/* After the handshake a failure is no longer one of it. But in TLS 1.3 the client is done before
 * the server has looked at its certificate, so that a refusal comes now. */
static int error_when_up(int err)
{
    return err == ERR_TLS_HANDSHAKE || err == ERR_TLS_PLAIN || err == ERR_TLS_VERSION ? -EPROTO
                                                                                      : err;
}

ssize_t tls_conn_read(struct net_stream *s, char *buf, size_t cap)
{
    struct tls_conn *c = s->tls;
    size_t n;
    if (c->broken)
        return c->io_err != 0 ? c->io_err : -EPROTO;
    bool was_blocked = s->blocked;
    c->is_dry = false;
    ERR_clear_error();
    int rc = SSL_read_ex(c->ssl, buf, cap, &n);
    if (rc == 1)
        return (ssize_t)n;
    int err = outcome(s, rc);
    bool is_quiet = err == 0 && !s->blocked && !c->is_dry;
    s->blocked = s->blocked || was_blocked;
    return is_quiet ? -EAGAIN : error_when_up(err);
}

/* Where the wire is acknowledged. */
static uint64_t wire_acked(const struct net_stream *s)
{
    uint64_t out = net_tcp_unacked(s->fd);
    return s->tls->wire > out ? s->tls->wire - out : 0;
}

int tls_conn_send(struct net_stream *s)
{
    struct tls_conn *c = s->tls;
    struct net_out *o = s->out;
    while (o->off < o->len) {
        size_t n;
        if (c->broken)
            return c->io_err != 0 ? c->io_err : -EPROTO;
        ERR_clear_error();
        int rc = SSL_write_ex(c->ssl, o->bytes + o->off, o->len - o->off, &n);
        if (rc != 1)
            return error_when_up(outcome(s, rc));
        o->off += n;
        if (c->sent.n == c->sent.cap)
            (void)tls_sent_acked(&c->sent, wire_acked(s));
        tls_sent_add(&c->sent, n, c->wire);
    }
    return 0;
}

size_t tls_conn_unacked(const struct net_stream *s)
{
    struct tls_conn *c = s->tls;
    return c->sent.n > 0 ? tls_sent_acked(&c->sent, wire_acked(s)) : 0;
}

/* What stands unread when a socket is closed makes the kernel send RST, which destroys on its way
 * what we sent last: a ticket that came just before must not do that. */
void tls_conn_bye(struct net_stream *s)
{
    struct tls_conn *c = s->tls;
    char sink[4096];
    bool may_write = c->io_err == 0 || c->io_err == ERR_CLOSED;
    if (c->ssl != NULL && !c->broken && may_write && SSL_is_init_finished(c->ssl)) {
        ERR_clear_error();
        (void)SSL_shutdown(c->ssl);
        ERR_clear_error();
    }
    (void)shutdown(s->fd, SHUT_WR);
    for (unsigned i = 0; i < DRAIN_MAX && recv(s->fd, sink, sizeof(sink), MSG_DONTWAIT) > 0; i++) {
    }
}

int net_stream_tls_info(const struct net_stream *s, struct net_tls_info *out)
{
    const struct tls_conn *c = s->tls;
    if (c == NULL || c->ssl == NULL)
        return ERR_UNSUPPORTED;
    *out = (struct net_tls_info){SSL_get_version(c->ssl), SSL_session_reused(c->ssl) == 1,
                                 c->has_peer};
    return 0;
}

bool net_stream_peer_is(const struct net_stream *s, struct slice name)
{
    const struct tls_conn *c = s->tls;
    return c != NULL && tls_list_has(c->proven, c->proven_len, name);
}
