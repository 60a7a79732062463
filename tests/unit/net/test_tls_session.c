/* SPDX-License-Identifier: Apache-2.0 */
/* Resumption in both roles, and when there is none. */
#include "net/tls_int.h"

#include <openssl/err.h>
#include <string.h>

#include "base/alloc.h"
#include "tls_rig.h"

#define HOUR 3600

static void only_tls_1_2(struct net_tls *t)
{
    assert_int_equal(SSL_CTX_set_max_proto_version(t->ctx, TLS1_2_VERSION), 1);
}

static size_t remembered(void)
{
    const struct tls_cache *cache = &rig.t.loop->sessions;
    return cache->is_made ? cache->table.count : 0;
}

static bool is_remembered(void)
{
    return rig_is_up() && remembered() > 0;
}

/* Up, with the ticket at hand, which in TLS 1.3 comes after. */
static void up_with_ticket(const char *name)
{
    rig_open(name);
    turn_until(&rig.t, is_remembered);
}

static bool client_has_one(void)
{
    return rig.client.nbytes == 1;
}

/* In TLS 1.3 the ticket comes after the handshake, but before what is written then. */
static void again(const char *name, bool resumed)
{
    rig_close();
    rig_up(name);
    assert_int_equal(net_stream_write(rig.server.stream, "x", 1), 0);
    turn_until(&rig.t, client_has_one);
    assert_int_equal(rig_resumed(&rig.client), resumed);
    assert_int_equal(rig_resumed(&rig.server), resumed);
}

static void test_resumed_in_both_roles(void **state)
{
    struct net_tls_conf server = rig_server_conf(), client = rig_client_conf();
    (void)state;
    server.verify_client = true;
    client.certificate = rig.client_cert.pem;
    for (unsigned i = 0; i < 2; i++) {
        rig_begin(&server, &client);
        if (i == 1)
            only_tls_1_2(rig.client_tls);
        up_with_ticket("localhost");
        assert_false(rig_resumed(&rig.client));
        assert_false(rig_resumed(&rig.server));
        for (unsigned n = 0; n < 3; n++) {
            again("localhost", true);
            /* What was proved in the first handshake is known in the last. */
            assert_true(net_stream_peer_is(rig.client.stream, SLICE("proxy.example.com")));
            assert_true(net_stream_peer_is(rig.server.stream, SLICE("client.example.com")));
            assert_false(net_stream_peer_is(rig.server.stream, SLICE("localhost")));
        }
        assert_int_equal(rig_count(CTR_TLS_HANDSHAKES), 8);
        assert_int_equal(rig_count(CTR_TLS_RESUMED), 6);
        rig_end();
    }
}

static void test_another_name_is_another_session(void **state)
{
    (void)state;
    rig_begin(NULL, NULL);
    up_with_ticket("localhost");
    again("proxy.example.com", false);
    again("LOCALHOST", true); /* names have no case */
    rig_end();
}

/* What another context may have verified otherwise is not taken over. */
static void test_other_rules_of_the_client(void **state)
{
    struct net_tls_conf lax = {.ca = rig.ca.pem}, other = rig_client_conf();
    (void)state;
    rig_begin(NULL, &lax);
    up_with_ticket("localhost");
    again("localhost", true);
    net_tls_release(&rig.client_tls);
    struct net_tls_conf strict = rig_client_conf();
    rig.client_tls = rig_tls(&strict);
    again("localhost", false);
    again("localhost", true);
    net_tls_release(&rig.client_tls);
    other.ca = rig.other_ca.pem;
    rig.client_tls = rig_tls(&other);
    rig_close();
    assert_int_equal(rig_refused("localhost"), ERR_TLS_UNTRUSTED);
    rig_end();
}

static void reload_server(const struct net_tls_conf *conf)
{
    net_tls_release(&rig.server_tls);
    rig.server_tls = rig_tls(conf);
    rig_listen(5000, 100);
}

static void reload_client(const struct net_tls_conf *conf)
{
    net_tls_release(&rig.client_tls);
    rig.client_tls = rig_tls(conf);
}

static void test_reload_keeps_sessions(void **state)
{
    struct net_tls_conf server = rig_server_conf(), client = rig_client_conf();
    (void)state;
    for (unsigned i = 0; i < 2; i++) {
        rig_begin(&server, &client);
        if (i == 1)
            only_tls_1_2(rig.client_tls);
        up_with_ticket("localhost");
        reload_server(&server);
        reload_client(&client);
        if (i == 1)
            only_tls_1_2(rig.client_tls);
        again("localhost", true);
        rig_end();
    }
}

/* The server asks for certificates from now on, or trusts others. */
static void test_other_rules_of_the_server(void **state)
{
    struct net_tls_conf server = rig_server_conf(), client = rig_client_conf();
    (void)state;
    client.certificate = rig.client_cert.pem;
    for (unsigned i = 0; i < 2; i++) {
        server.verify_client = false;
        server.ca = rig.ca.pem;
        rig_begin(&server, &client);
        if (i == 1)
            only_tls_1_2(rig.client_tls);
        up_with_ticket("localhost");
        server.verify_client = true;
        reload_server(&server);
        again("localhost", false);
        assert_true(net_stream_peer_is(rig.server.stream, SLICE("client.example.com")));
        again("localhost", true);
        server.ca = rig.other_ca.pem;
        reload_server(&server);
        rig_close();
        assert_int_equal(rig_refuses("localhost"), ERR_TLS_UNTRUSTED);
        rig_end();
    }
}

/* A certificate that has ended since is not good for another connection. */
static void test_session_outlives_its_certificate(void **state)
{
    struct net_tls_conf server = rig_server_conf(), client = rig_client_conf();
    struct cert brief;
    (void)state;
    server.verify_client = true;
    cert_make(&brief, "brief",
              &(struct cert_spec){
                  .cn = "x", .san = "DNS:localhost", .issuer = &rig.ca, .from = -60, .to = 2});
    for (unsigned role = 0; role < 2; role++) {
        server.certificate = role == 0 ? brief.pem : rig.host.pem;
        client.certificate = role == 0 ? rig.client_cert.pem : brief.pem;
        rig_begin(&server, &client);
        if (X509_cmp_current_time(X509_get0_notAfter(brief.x509)) > 0) {
            up_with_ticket("localhost");
            again("localhost", true);
        }
        while (X509_cmp_current_time(X509_get0_notAfter(brief.x509)) > 0)
            turn_idle(&rig.t, 50);
        rig_close();
        if (role == 0)
            assert_int_equal(rig_refused("localhost"), ERR_TLS_EXPIRED);
        else
            assert_int_equal(rig_refuses("localhost"), ERR_TLS_EXPIRED);
        rig_end();
        if (role == 0) {
            cert_free(&brief);
            cert_make(&brief, "brief",
                      &(struct cert_spec){.cn = "x", .issuer = &rig.ca, .from = -60, .to = 2});
        }
    }
    cert_free(&brief);
}

/* --- ticket keys ------------------------------------------------------------------------------ */

static void test_keys_are_renewed(void **state)
{
    struct net_tls_keys *ours = rig.keys;
    (void)state;
    for (unsigned i = 0; i < 2; i++) {
        assert_int_equal(net_tls_keys_new(&rig.keys), 0);
        rig_begin(NULL, NULL);
        if (i == 1)
            only_tls_1_2(rig.client_tls);
        up_with_ticket("localhost");
        /* The key is not the one in use any more, but still taken; a new ticket comes along. */
        tls_keys_age(rig.keys, 3 * HOUR);
        again("localhost", true);
        tls_keys_age(rig.keys, 3 * HOUR);
        again("localhost", true);
        /* Older than any key that is kept. */
        tls_keys_age(rig.keys, 7 * HOUR);
        again("localhost", false);
        again("localhost", true);
        rig_end();
        net_tls_keys_free(&rig.keys);
    }
    rig.keys = ours;
}

static void test_keys_of_another_process(void **state)
{
    struct net_tls_keys *ours = rig.keys;
    struct net_tls_conf server = rig_server_conf();
    (void)state;
    rig_begin(NULL, NULL);
    up_with_ticket("localhost");
    assert_int_equal(net_tls_keys_new(&rig.keys), 0);
    reload_server(&server);
    again("localhost", false);
    net_tls_keys_free(&rig.keys); /* the context holds them still */
    again("localhost", true);
    rig_end();
    rig.keys = ours;
}

/* --- what is remembered ----------------------------------------------------------------------- */

static void test_a_refused_session_is_forgotten(void **state)
{
    struct net_tls_conf server = rig_server_conf();
    struct cert c;
    (void)state;
    cert_make(&c, "elsewhere",
              &(struct cert_spec){.cn = "x", .san = "DNS:elsewhere", .issuer = &rig.ca});
    rig_begin(NULL, NULL);
    up_with_ticket("localhost");
    assert_int_equal(remembered(), 1);
    server.certificate = c.pem;
    server.verify_client = true; /* the ticket is not taken */
    reload_server(&server);
    rig_close();
    assert_int_equal(rig_refused("localhost"), ERR_TLS_NAME);
    assert_int_equal(remembered(), 0);
    rig_end();
    cert_free(&c);
}

static SSL_SESSION *some_session(void)
{
    SSL_SESSION *s = SSL_SESSION_new();
    const unsigned char id[32] = {1};
    assert_non_null(s);
    assert_int_equal(SSL_SESSION_set_protocol_version(s, TLS1_3_VERSION), 1);
    assert_int_equal(
        SSL_SESSION_set_cipher(s, sk_SSL_CIPHER_value(SSL_CTX_get_ciphers(rig.client_tls->ctx), 0)),
        1);
    assert_int_equal(SSL_SESSION_set1_master_key(s, id, sizeof(id)), 1);
    assert_int_equal(SSL_SESSION_set1_id(s, id, sizeof(id)), 1);
    return s;
}

/* The one that was used least is left out, and what memory there is stays bounded. */
static void test_bounded(void **state)
{
    struct tls_conn c = {.valid_until = TLS_FOREVER};
    (void)state;
    rig_begin(NULL, NULL);
    struct tls_cache *cache = &rig.t.loop->sessions;
    SSL_SESSION *s = some_session();
    for (uint32_t i = 0; i < 10000; i++) {
        memcpy(c.key, &i, sizeof(i));
        tls_session_keep(cache, &c, s);
    }
    assert_true(cache->table.count < 10000);
    assert_true(cache->bytes <= 8u << 20);
    c.ssl = SSL_new(rig.client_tls->ctx);
    memset(c.key, 0, sizeof(c.key));
    tls_session_offer(cache, &c);
    assert_null(SSL_get_session(c.ssl)); /* the first one is gone */
    uint32_t last = 9999;
    memcpy(c.key, &last, sizeof(last));
    tls_session_offer(cache, &c);
    assert_non_null(SSL_get_session(c.ssl));
    SSL_free(c.ssl);
    SSL_SESSION_free(s);
    rig_end();
}

static void test_no_memory_to_remember(void **state)
{
    struct tls_conn c = {.valid_until = TLS_FOREVER};
    (void)state;
    rig_begin(NULL, NULL);
    struct tls_cache *cache = &rig.t.loop->sessions;
    SSL_SESSION *s = some_session();
    for (uint64_t n = 1; n < 4; n++) {
        mem_fail_at(n);
        tls_session_keep(cache, &c, s);
        bool failed = mem_failed();
        mem_fail_at(0);
        assert_int_equal(remembered(), failed ? 0 : 1);
    }
    SSL_SESSION_free(s);
    rig_end();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_resumed_in_both_roles),
        cmocka_unit_test(test_another_name_is_another_session),
        cmocka_unit_test(test_other_rules_of_the_client),
        cmocka_unit_test(test_reload_keeps_sessions),
        cmocka_unit_test(test_other_rules_of_the_server),
        cmocka_unit_test(test_session_outlives_its_certificate),
        cmocka_unit_test(test_keys_are_renewed),
        cmocka_unit_test(test_keys_of_another_process),
        cmocka_unit_test(test_a_refused_session_is_forgotten),
        cmocka_unit_test(test_bounded),
        cmocka_unit_test(test_no_memory_to_remember),
    };
    return cmocka_run_group_tests(tests, rig_setup, rig_teardown);
}
