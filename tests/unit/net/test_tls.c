/* SPDX-License-Identifier: Apache-2.0 */
/* TLS connections that come up, and each reason for which one does not. */
#include "net/tls_int.h"

#include "tls_rig.h"

static size_t want;

static bool server_has(void)
{
    return rig.server.nbytes >= want;
}

static bool client_has(void)
{
    return rig.client.nbytes >= want;
}

static void talk(void)
{
    assert_int_equal(net_stream_write(rig.client.stream, "question", 8), 0);
    want = 8;
    turn_until(&rig.t, server_has);
    assert_memory_equal(rig.server.bytes, "question", 8);
    assert_int_equal(net_stream_write(rig.server.stream, "answer", 6), 0);
    want = 6;
    turn_until(&rig.t, client_has);
    assert_memory_equal(rig.client.bytes, "answer", 6);
}

static void only_tls_1_2(struct net_tls *t)
{
    assert_int_equal(SSL_CTX_set_max_proto_version(t->ctx, TLS1_2_VERSION), 1);
}

static void check_info(const char *version, bool client_sees_peer, bool server_sees_peer)
{
    struct net_tls_info info;
    assert_int_equal(net_stream_tls_info(rig.client.stream, &info), 0);
    assert_string_equal(info.version, version);
    assert_int_equal(info.has_peer, client_sees_peer);
    assert_int_equal(net_stream_tls_info(rig.server.stream, &info), 0);
    assert_string_equal(info.version, version);
    assert_int_equal(info.has_peer, server_sees_peer);
}

static void test_both_versions(void **state)
{
    (void)state;
    for (unsigned i = 0; i < 2; i++) {
        rig_begin(NULL, NULL);
        if (i == 1)
            only_tls_1_2(rig.client_tls);
        rig_up("proxy.example.com");
        talk();
        check_info(i == 1 ? "TLSv1.2" : "TLSv1.3", true, false);
        assert_int_equal(rig_count(CTR_TLS_HANDSHAKES), 2);
        assert_int_equal(rig_count(CTR_TLS_RESUMED), 0);
        assert_true(net_stream_peer_is(rig.client.stream, SLICE("PROXY.example.com")));
        assert_true(net_stream_peer_is(rig.client.stream, SLICE("127.0.0.1")));
        assert_false(net_stream_peer_is(rig.client.stream, SLICE("example.com")));
        assert_false(net_stream_peer_is(rig.server.stream, SLICE("client.example.com")));
        rig_end();
    }
}

static void test_written_before_it_is_up(void **state)
{
    (void)state;
    rig_begin(NULL, NULL);
    rig_open("127.0.0.1");
    assert_int_equal(net_stream_write(rig.client.stream, "early", 5), 0);
    want = 5;
    turn_until(&rig.t, server_has);
    assert_memory_equal(rig.server.bytes, "early", 5);
    rig_end();
}

static void test_both_verified(void **state)
{
    struct net_tls_conf server = rig_server_conf(), client = rig_client_conf();
    (void)state;
    server.verify_client = true;
    client.certificate = rig.client_cert.pem;
    for (unsigned i = 0; i < 2; i++) {
        rig_begin(&server, &client);
        if (i == 1)
            only_tls_1_2(rig.client_tls);
        rig_up("localhost");
        talk();
        check_info(i == 1 ? "TLSv1.2" : "TLSv1.3", true, true);
        assert_true(net_stream_peer_is(rig.server.stream, SLICE("client.example.com")));
        assert_false(net_stream_peer_is(rig.server.stream, SLICE("client")));
        rig_end();
    }
}

static void test_nobody_verified(void **state)
{
    struct net_tls_conf client = {0};
    (void)state;
    rig_begin(NULL, &client);
    rig_up("elsewhere.example");
    talk();
    check_info("TLSv1.3", false, false);
    assert_false(net_stream_peer_is(rig.client.stream, SLICE("proxy.example.com")));
    rig_end();
}

/* What need not be verified is known all the same when it can be. */
static void test_server_that_need_not_be_verified(void **state)
{
    struct net_tls_conf client = {.ca = rig.ca.pem};
    (void)state;
    for (unsigned i = 0; i < 2; i++) {
        client.ca = i == 0 ? rig.ca.pem : rig.other_ca.pem;
        rig_begin(NULL, &client);
        for (unsigned n = 0; n < 2; n++) { /* the second one is resumed */
            rig_up("elsewhere.example");
            talk();
            check_info("TLSv1.3", i == 0, false);
            assert_int_equal(rig_resumed(&rig.client), n == 1);
            assert_int_equal(net_stream_peer_is(rig.client.stream, SLICE("localhost")), i == 0);
            assert_false(net_stream_peer_is(rig.client.stream, SLICE("elsewhere.example")));
            rig_close();
        }
        rig_end();
    }
}

static void test_chain_without_a_name(void **state)
{
    (void)state;
    rig_begin(NULL, NULL);
    rig_up("");
    check_info("TLSv1.3", true, false);
    rig_end();
}

static void test_plain_streams_have_no_tls(void **state)
{
    const struct addr none = {.family = ADDR_NONE};
    struct net_tls_info info;
    (void)state;
    rig_begin(NULL, NULL);
    net_listener_set_tls(rig.listener, NULL, 0, 0, NULL);
    rig.client = (struct side){0};
    assert_int_equal(net_stream_open(rig.t.loop, &none, &rig.at, &plain_opt, 5000, NULL,
                                     &rig_events, &rig.client, &rig.client.stream),
                     0);
    turn_until(&rig.t, rig_is_up);
    talk();
    assert_int_equal(net_stream_tls_info(rig.client.stream, &info), ERR_UNSUPPORTED);
    assert_false(net_stream_peer_is(rig.client.stream, SLICE("localhost")));
    rig_end();
}

static void check_server_name(const char *name, const char *sent)
{
    rig_up(name);
    const char *seen = SSL_get_servername(rig.server.stream->tls->ssl, TLSEXT_NAMETYPE_host_name);
    if (sent == NULL)
        assert_null(seen);
    else
        assert_string_equal(seen, sent);
    rig_close();
}

static void test_server_name(void **state)
{
    struct net_tls_conf client = {0};
    (void)state;
    rig_begin(NULL, &client);
    SSL_CTX_set_options(rig.client_tls->ctx, SSL_OP_NO_TICKET);
    check_server_name("proxy.example.com", "proxy.example.com");
    check_server_name("proxy.example.com.", "proxy.example.com");
    check_server_name("127.0.0.1", NULL);
    check_server_name("2001:db8::1", NULL);
    check_server_name("", NULL);
    rig_end();
}

/* --- a server that is refused ----------------------------------------------------------------- */

/* The client says why, the server that the peer has refused it. */
static void check_server_refused(const struct cert *cert, const char *ca, int err,
                                 enum counter counter)
{
    struct net_tls_conf server = rig_server_conf(), client = rig_client_conf();
    server.certificate = cert->pem;
    client.ca = ca;
    for (unsigned i = 0; i < 2; i++) {
        rig_begin(&server, &client);
        if (i == 1)
            only_tls_1_2(rig.client_tls);
        assert_int_equal(rig_refused("proxy.example.com"), err);
        turn_until(&rig.t, rig_has_refused);
        assert_int_equal(rig.refusal, ERR_TLS_REFUSED);
        assert_int_equal(counter_get(&rig.client_counters, counter), 1);
        assert_int_equal(counter_get(&rig.t.counters, CTR_TLS_REFUSED), 1);
        assert_int_equal(rig_count(CTR_TLS_HANDSHAKES), 0);
        assert_int_equal(rig.accepted, 0);
        rig_end();
    }
}

static void test_server_expired(void **state)
{
    struct cert c;
    (void)state;
    cert_make(&c, "expired",
              &(struct cert_spec){.cn = "x",
                                  .san = "DNS:proxy.example.com",
                                  .issuer = &rig.ca,
                                  .from = -7200,
                                  .to = -60});
    check_server_refused(&c, rig.ca.pem, ERR_TLS_EXPIRED, CTR_TLS_EXPIRED);
    cert_free(&c);
    cert_make(&c, "future",
              &(struct cert_spec){.cn = "x",
                                  .san = "DNS:proxy.example.com",
                                  .issuer = &rig.ca,
                                  .from = 3600,
                                  .to = 7200});
    check_server_refused(&c, rig.ca.pem, ERR_TLS_EXPIRED, CTR_TLS_EXPIRED);
    cert_free(&c);
}

static void test_server_of_another_name(void **state)
{
    struct cert c;
    (void)state;
    cert_make(&c, "elsewhere",
              &(struct cert_spec){
                  .cn = "proxy.example.com", .san = "DNS:*.example.com", .issuer = &rig.ca});
    check_server_refused(&c, rig.ca.pem, ERR_TLS_NAME, CTR_TLS_NAME);
    cert_free(&c);
}

static void test_server_self_signed(void **state)
{
    struct cert c;
    (void)state;
    cert_make(&c, "self", &(struct cert_spec){.cn = "x", .san = "DNS:proxy.example.com"});
    check_server_refused(&c, rig.ca.pem, ERR_TLS_UNTRUSTED, CTR_TLS_UNTRUSTED);
    cert_free(&c);
}

static void test_server_of_an_unknown_authority(void **state)
{
    (void)state;
    check_server_refused(&rig.host, rig.other_ca.pem, ERR_TLS_UNTRUSTED, CTR_TLS_UNTRUSTED);
    check_server_refused(&rig.host, NULL, ERR_TLS_UNTRUSTED, CTR_TLS_UNTRUSTED); /* the system's */
}

/* --- a client that is refused ----------------------------------------------------------------- */

static bool client_gone(void)
{
    return rig.client.ended != 0 && rig.refused != 0;
}

/* In TLS 1.3 the client is up before the server has looked; then its stream ends. */
static void check_client_refused(const char *cert, int err, enum counter counter)
{
    struct net_tls_conf server = rig_server_conf(), client = rig_client_conf();
    server.verify_client = true;
    client.certificate = cert;
    for (unsigned i = 0; i < 2; i++) {
        rig_begin(&server, &client);
        if (i == 1)
            only_tls_1_2(rig.client_tls);
        rig_open("localhost");
        turn_until(&rig.t, client_gone);
        assert_int_equal(rig.refusal, err);
        assert_int_equal(rig.client.err, ERR_TLS_REFUSED);
        assert_int_equal(counter_get(&rig.t.counters, counter), 1);
        assert_int_equal(rig.accepted, 0);
        rig_end();
    }
}

static void test_client_without_certificate(void **state)
{
    (void)state;
    check_client_refused(NULL, ERR_TLS_NO_CERTIFICATE, CTR_TLS_NO_CERTIFICATE);
}

static void test_client_expired(void **state)
{
    struct cert c;
    (void)state;
    cert_make(&c, "expired",
              &(struct cert_spec){.cn = "x", .issuer = &rig.ca, .from = -7200, .to = -60});
    check_client_refused(c.pem, ERR_TLS_EXPIRED, CTR_TLS_EXPIRED);
    cert_free(&c);
}

static void test_client_untrusted(void **state)
{
    struct cert c;
    (void)state;
    cert_make(&c, "self", &(struct cert_spec){.cn = "x"});
    check_client_refused(c.pem, ERR_TLS_UNTRUSTED, CTR_TLS_UNTRUSTED);
    cert_free(&c);
    cert_make(&c, "strange", &(struct cert_spec){.cn = "x", .issuer = &rig.other_ca});
    check_client_refused(c.pem, ERR_TLS_UNTRUSTED, CTR_TLS_UNTRUSTED);
    cert_free(&c);
}

/* --- versions --------------------------------------------------------------------------------- */

static void test_min_version(void **state)
{
    struct net_tls_conf server = rig_server_conf(), client = rig_client_conf();
    (void)state;
    server.min_version = NET_TLS_1_3;
    rig_begin(&server, NULL);
    only_tls_1_2(rig.client_tls);
    assert_int_equal(rig_refused("localhost"), ERR_TLS_VERSION);
    turn_until(&rig.t, rig_has_refused);
    assert_int_equal(rig.refusal, ERR_TLS_VERSION);
    assert_int_equal(rig_count(CTR_TLS_VERSION), 2);
    rig_end();
    client.min_version = NET_TLS_1_3;
    rig_begin(NULL, &client);
    only_tls_1_2(rig.server_tls);
    assert_int_equal(rig_refused("localhost"), ERR_TLS_VERSION);
    turn_until(&rig.t, rig_has_refused);
    assert_int_equal(rig.refusal, ERR_TLS_VERSION);
    rig_end();
    rig_begin(&server, &client);
    rig_up("localhost");
    check_info("TLSv1.3", true, false);
    rig_end();
}

static void test_old_versions_are_refused(void **state)
{
    (void)state;
    rig_begin(NULL, NULL);
    SSL_CTX_set_security_level(rig.client_tls->ctx, 0);
    assert_int_equal(SSL_CTX_set_cipher_list(rig.client_tls->ctx, "ALL"), 1);
    assert_int_equal(SSL_CTX_set_min_proto_version(rig.client_tls->ctx, TLS1_VERSION), 1);
    assert_int_equal(SSL_CTX_set_max_proto_version(rig.client_tls->ctx, TLS1_1_VERSION), 1);
    assert_int_equal(rig_refused("localhost"), ERR_TLS_VERSION);
    turn_until(&rig.t, rig_has_refused);
    assert_int_equal(rig.refusal, ERR_TLS_VERSION);
    rig_end();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_both_versions),
        cmocka_unit_test(test_written_before_it_is_up),
        cmocka_unit_test(test_both_verified),
        cmocka_unit_test(test_nobody_verified),
        cmocka_unit_test(test_server_that_need_not_be_verified),
        cmocka_unit_test(test_chain_without_a_name),
        cmocka_unit_test(test_plain_streams_have_no_tls),
        cmocka_unit_test(test_server_name),
        cmocka_unit_test(test_server_expired),
        cmocka_unit_test(test_server_of_another_name),
        cmocka_unit_test(test_server_self_signed),
        cmocka_unit_test(test_server_of_an_unknown_authority),
        cmocka_unit_test(test_client_without_certificate),
        cmocka_unit_test(test_client_expired),
        cmocka_unit_test(test_client_untrusted),
        cmocka_unit_test(test_min_version),
        cmocka_unit_test(test_old_versions_are_refused),
    };
    return cmocka_run_group_tests(tests, rig_setup, rig_teardown);
}
