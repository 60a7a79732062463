/* SPDX-License-Identifier: Apache-2.0 */
/* TLS over real sockets: the flows are their own peer, with a certificate made for the test. */
#include <errno.h>
#include <netinet/in.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/alloc.h"
#include "flow/flow_int.h"
#include "flow/tls.h"
#include "rig.h"
#include "rows.h"

static struct rig r;
static struct flow_tls *tls;
static struct net_tls_keys *keys;
static char pem[] = "/tmp/holdfast-test-XXXXXX";
static struct flow_dest dest;
static char request[1024];

static void extend(X509 *x, int nid, const char *value)
{
    X509V3_CTX ctx;
    X509V3_set_ctx(&ctx, x, x, NULL, NULL, 0);
    X509V3_set_ctx_nodb(&ctx);
    X509_EXTENSION *ext = X509V3_EXT_conf_nid(NULL, &ctx, nid, value);
    assert_non_null(ext);
    assert_int_equal(X509_add_ext(x, ext, -1), 1);
    X509_EXTENSION_free(ext);
}

/* Its own authority. */
static int make_certificate(void **state)
{
    X509 *x = X509_new();
    EVP_PKEY *key = EVP_EC_gen("P-256");
    (void)state;
    assert_true(x != NULL && key != NULL);
    X509_set_version(x, X509_VERSION_3);
    ASN1_INTEGER_set(X509_get_serialNumber(x), 1);
    X509_gmtime_adj(X509_getm_notBefore(x), -3600);
    X509_gmtime_adj(X509_getm_notAfter(x), 86400);
    X509_NAME_add_entry_by_txt(X509_get_subject_name(x), "CN", MBSTRING_ASC,
                               (const unsigned char *)"test", -1, -1, 0);
    X509_set_issuer_name(x, X509_get_subject_name(x));
    X509_set_pubkey(x, key);
    extend(x, NID_basic_constraints, "critical,CA:TRUE");
    extend(x, NID_subject_key_identifier, "hash");
    extend(x, NID_subject_alt_name, "DNS:phone.example,DNS:pbx.example,IP:127.0.0.1");
    assert_true(X509_sign(x, key, EVP_sha256()) > 0);
    FILE *file = fdopen(mkstemp(pem), "w");
    assert_non_null(file);
    PEM_write_X509(file, x);
    PEM_write_PrivateKey(file, key, NULL, NULL, 0, NULL, NULL);
    fclose(file);
    X509_free(x);
    EVP_PKEY_free(key);
    return 0;
}

static int remove_certificate(void **state)
{
    (void)state;
    unlink(pem);
    return 0;
}

static void configure(bool verify_client)
{
    struct net_tls_conf conf = {
        .certificate = pem, .ca = pem, .verify_client = verify_client, .verify_server = true};
    struct flow_tls_profile own = {.name = SLICE_NONE};
    char why[256] = "";
    int rc = net_tls_new(&conf, keys, why, sizeof(why), &own.tls);
    if (rc != 0)
        fail_msg("%s", why);
    assert_int_equal(flow_tls_configure(tls, &own, 1), 0);
    net_tls_release(&own.tls);
}

static uint16_t free_port(void)
{
    struct addr at = {.family = ADDR_IP4, .ip = {127, 0, 0, 1}};
    close(peer_listen(&at));
    return at.port;
}

static struct flow_side side;
static uint16_t tos = 256;

static void begin(bool verify_client)
{
    rig_conf(&r);
    r.conf.sockopt.keep_alive = true;
    r.conf.sockopt.tos = tos;
    if (side.naccess != 0)
        r.conf.sides = &side;
    assert_int_equal(net_tls_keys_new(&keys), 0);
    assert_int_equal(flow_tls_new(&tls), 0);
    configure(verify_client);
    r.conf.tls = tls;
    r.conf.tls_port = free_port();
    rig_start(&r, "127.0.0.1");
    dest = (struct flow_dest){.remote = r.listen, .transport = SIP_TLS};
    dest.remote.port = r.conf.tls_port;
    sip_options(request, sizeof(request), "TLS", "pbx.example:5071", 1, ";alias");
}

static void end(void)
{
    rig_stop(&r);
    flow_tls_free(&tls);
    net_tls_keys_free(&keys);
}

static int send_request(const char *name)
{
    dest.tls_peer = flows_tls_peer(r.flows, SLICE_NONE, slice_str(name));
    return flows_send(r.flows, &dest, request, strlen(request), FLOW_SEND_REQUEST);
}

static unsigned want;

static bool got_messages(struct rig *x)
{
    return x->nmsgs >= want;
}

static bool got_event(struct rig *x)
{
    return x->nevents != 0;
}

static bool is_listed(const char *text)
{
    static struct rows rows;
    const struct row_sink sink = rows_begin(&rows);
    uint32_t at = 0;
    while (flows_rows_some(r.flows, &at, 100, &sink)) {
    }
    return rows_have(&rows, text);
}

static void test_request_and_answer(void **state)
{
    (void)state;
    begin(false);
    r.echo = true;
    assert_int_equal(send_request("phone.example"), 0);
    want = 2;
    rig_until(&r, got_messages);
    assert_true(r.msgs[0].is_request);
    assert_int_equal(r.msgs[0].origin.transport, SIP_TLS);
    assert_int_equal(r.msgs[0].origin.local.port, r.conf.tls_port);
    assert_int_equal(memcmp(r.msgs[0].bytes, request, strlen(request)), 0);
    assert_false(r.msgs[1].is_request);
    assert_true(r.msgs[1].origin.flow == dest.flow);
    assert_true(is_listed(" tls=\"TLSv1."));
    assert_true(is_listed(" tls_name=phone.example\n"));
    end();
}

/* On both ends of the connection, and on the listeners. */
static void test_tos(void **state)
{
    unsigned with, without;
    (void)state;
    tos = 0xb8;
    begin(false);
    tos = 256;
    assert_int_equal(send_request("phone.example"), 0);
    want = 1;
    rig_until(&r, got_messages);
    sockets_with_tos(SOCK_STREAM, 0xb8, &with, &without);
    assert_int_equal(with, 4);
    assert_int_equal(without, 0);
    end();
}

/* Whoever is not in the list costs no handshake. */
static void test_access(void **state)
{
    struct addr_net net;
    (void)state;
    assert_int_equal(addr_net_parse(SLICE("10.0.0.0/8"), &net), 0);
    side = (struct flow_side){.access = &net, .naccess = 1};
    begin(false);
    side.naccess = 0;
    assert_int_equal(send_request("phone.example"), 0);
    rig_until(&r, got_event);
    assert_int_equal(r.events[0].kind, FLOW_FAILED);
    assert_int_equal(rig_counter(&r, CTR_ACCESS_REFUSED), 1);
    assert_int_equal(rig_counter(&r, CTR_FLOW_ACCEPTED), 0);
    assert_int_equal(rig_counter(&r, CTR_TLS_HANDSHAKES), 0);
    end();
}

static void test_the_address_may_be_proved(void **state)
{
    (void)state;
    begin(false);
    assert_int_equal(send_request("127.0.0.1"), 0);
    assert_int_equal(dest.tls_peer, 0);
    want = 1;
    rig_until(&r, got_messages);
    end();
}

static void test_wrong_name(void **state)
{
    (void)state;
    begin(false);
    assert_int_equal(send_request("evil.example"), 0);
    rig_until(&r, got_event);
    assert_int_equal(r.events[0].kind, FLOW_FAILED);
    assert_int_equal(r.events[0].err, ERR_TLS_NAME);
    assert_int_equal(rig_counter(&r, CTR_TLS_NAME), 1);
    assert_int_equal(r.nmsgs, 0);
    end();
}

static void resend(struct rig *x, unsigned worker, const struct flow_event *ev)
{
    (void)worker;
    if (ev->flow == dest.flow && ev->kind == FLOW_DEAD)
        assert_int_equal(flows_send(x->flows, &dest, request, strlen(request),
                                    FLOW_SEND_REQUEST | FLOW_SEND_RESEND),
                         0);
}

/* close_notify while something waits: reopened at once, by one round trip. */
static void test_reopened_and_resumed(void **state)
{
    (void)state;
    begin(false);
    r.react = resend;
    assert_int_equal(send_request("phone.example"), 0);
    want = 1;
    rig_until(&r, got_messages);
    rig_idle(&r, 20); /* tickets come after the handshake */
    uint64_t id = dest.flow;
    flows_close(r.flows, r.msgs[0].origin.flow, ERR_SHUTDOWN);
    want = 2;
    rig_until(&r, got_messages);
    assert_true(dest.flow == id);
    assert_int_equal(rig_counter(&r, CTR_REOPENED), 1);
    assert_true(rig_counter(&r, CTR_TLS_RESUMED) >= 1);
    assert_true(is_listed(" resumed"));
    end();
}

static int peer;
static char text_bytes[4096];
static struct buf text;

static bool peer_ended(struct rig *x)
{
    (void)x;
    int n = peer_read(peer, &text);
    return n == 0 || n == -2;
}

static void test_plain_on_the_tls_port(void **state)
{
    (void)state;
    begin(false);
    buf_init(&text, text_bytes, sizeof(text_bytes));
    peer = peer_connect(&dest.remote);
    peer_write(peer, request, strlen(request));
    rig_until(&r, peer_ended);
    assert_int_equal(rig_counter(&r, CTR_TLS_PLAIN), 1);
    assert_int_equal(r.nmsgs, 0);
    assert_int_equal(flows_count(r.flows), 0);
    close(peer);
    end();
}

static void test_tls_on_the_plain_port(void **state)
{
    (void)state;
    begin(false);
    dest.remote.port = r.listen.port;
    assert_int_equal(send_request("phone.example"), 0);
    rig_until(&r, got_event);
    assert_int_equal(r.events[0].kind, FLOW_FAILED);
    assert_int_equal(rig_counter(&r, CTR_TLS_ON_PLAIN), 1);
    assert_int_equal(rig_counter(&r, CTR_MSG_MALFORMED), 0);
    end();
}

/* RFC 5923: the sender has proved its sent-by, so that requests for it go by its connection. */
static void test_alias(void **state)
{
    (void)state;
    begin(true);
    assert_int_equal(send_request("phone.example"), 0);
    want = 1;
    rig_until(&r, got_messages);
    uint64_t accepted = r.msgs[0].origin.flow;
    assert_true(accepted != dest.flow);
    dest.flow = 0;
    dest.remote.port = 5071;
    assert_int_equal(send_request("pbx.example"), 0);
    assert_true(dest.flow == accepted);
    assert_true(is_listed(" verified"));
    end();
}

/* Connections stay up; the next one is accepted by the new rules. */
static void test_reload(void **state)
{
    (void)state;
    begin(false);
    r.echo = true;
    assert_int_equal(send_request("phone.example"), 0);
    want = 2;
    rig_until(&r, got_messages);
    configure(true);
    flows_set_conf(r.flows, &r.conf);
    assert_int_equal(send_request("phone.example"), 0);
    want = 4;
    rig_until(&r, got_messages);
    assert_int_equal(r.nevents, 0);
    assert_int_equal(rig_counter(&r, CTR_TLS_HANDSHAKES), 2); /* both ends of one */
    struct flow_dest first = dest;
    dest.flow = 0;
    assert_int_equal(send_request("pbx.example"), 0);
    want = 6;
    rig_until(&r, got_messages);
    assert_true(dest.flow != first.flow);
    end();
}

/* Every number and profile has its maximum, and every allocation may fail. */
static void test_numbers_without_memory(void **state)
{
    bool failed = true;
    (void)state;
    for (uint64_t n = 1; failed; n++) {
        struct flow_tls *t = NULL;
        uint32_t a = 0, b = 0;
        mem_fail_at(n);
        int rc = flow_tls_new(&t);
        if (rc == 0) {
            a = flow_tls_number(t, SLICE_NONE, SLICE("a.example"), false);
            b = flow_tls_number(t, SLICE_NONE, SLICE("b.example"), true);
        }
        failed = mem_failed();
        mem_fail_at(0);
        assert_true(failed ? rc == ERR_NOMEM || a == 0 || b == 0 : a != 0 && b != 0);
        if (rc == 0)
            assert_null(flow_tls_context(t, 0));
        flow_tls_free(&t);
        assert_true(n < 50);
    }
}

static void test_numbers_have_a_maximum(void **state)
{
    struct flow_tls *t;
    char name[32];
    (void)state;
    assert_int_equal(flow_tls_new(&t), 0);
    for (unsigned i = 0; i < FLOW_TLS_WIRE_MAX + 10; i++) {
        int len = snprintf(name, sizeof(name), "w%u.example", i);
        uint32_t number = flow_tls_number(t, SLICE_NONE, slice_of(name, (size_t)len), true);
        assert_true((number != 0) == (i < FLOW_TLS_WIRE_MAX));
    }
    /* Names that peers invent leave room for those that lead to them. */
    assert_true(flow_tls_number(t, SLICE_NONE, SLICE("a.example"), false) != 0);
    assert_int_equal(flow_tls_number(t, SLICE_NONE, SLICE("w1.example"), true), 2);
    char longest[300];
    memset(longest, 'a', sizeof(longest));
    assert_int_equal(flow_tls_number(t, SLICE_NONE, slice_of(longest, 256), false), 0);
    assert_true(flow_tls_number(t, SLICE_NONE, slice_of(longest, 255), false) != 0);
    flow_tls_free(&t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_request_and_answer),
        cmocka_unit_test(test_tos),
        cmocka_unit_test(test_access),
        cmocka_unit_test(test_the_address_may_be_proved),
        cmocka_unit_test(test_wrong_name),
        cmocka_unit_test(test_reopened_and_resumed),
        cmocka_unit_test(test_plain_on_the_tls_port),
        cmocka_unit_test(test_tls_on_the_plain_port),
        cmocka_unit_test(test_alias),
        cmocka_unit_test(test_reload),
        cmocka_unit_test(test_numbers_without_memory),
        cmocka_unit_test(test_numbers_have_a_maximum),
    };
    return cmocka_run_group_tests(tests, make_certificate, remove_certificate);
}
