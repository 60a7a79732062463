/* SPDX-License-Identifier: Apache-2.0 */
#include "tls_rig.h"

#include <string.h>

struct rig rig;

static void on_open(void *user)
{
    ((struct side *)user)->opened++;
}

static void on_data(void *user, const char *data, size_t len)
{
    struct side *s = user;
    for (size_t i = 0; i < len; i++) {
        if (s->nbytes < sizeof(s->bytes))
            s->bytes[s->nbytes] = data[i];
        s->nbytes++;
        s->sum += (uint8_t)data[i] * (uint64_t)s->nbytes;
    }
}

static void on_end(void *user, int err)
{
    struct side *s = user;
    s->ended++;
    s->err = err;
    net_stream_close(&s->stream, false);
}

const struct net_stream_events rig_events = {on_open, on_data, on_end};

static void on_accept(void *user, struct net_stream *s, const struct addr *remote,
                      const struct addr *local)
{
    (void)user;
    assert_int_not_equal(remote->port, 0);
    assert_true(addr_eq(local, &rig.at));
    rig.accepted++;
    if (rig.server.stream != NULL) {
        net_stream_close(&s, true);
        return;
    }
    rig.server.stream = s;
    net_stream_set(s, rig.server_events, &rig.server);
}

static void on_refused(void *user, const struct addr *remote, const struct addr *local, int err)
{
    (void)user;
    assert_int_not_equal(remote->port, 0);
    assert_true(addr_eq(local, &rig.at));
    rig.refused++;
    rig.refusal = err;
}

int rig_setup(void **state)
{
    (void)state;
    certs_begin();
    memset(&rig, 0, sizeof(rig));
    cert_make(&rig.ca, "ca", &(struct cert_spec){.cn = "Test CA", .is_ca = true});
    cert_make(&rig.other_ca, "other-ca", &(struct cert_spec){.cn = "Other CA", .is_ca = true});
    cert_make(&rig.host, "host",
              &(struct cert_spec){.cn = "host",
                                  .san = "DNS:proxy.example.com,DNS:localhost,IP:127.0.0.1",
                                  .issuer = &rig.ca});
    cert_make(&rig.client_cert, "client",
              &(struct cert_spec){
                  .cn = "client", .san = "URI:sip:client.example.com", .issuer = &rig.ca});
    return net_tls_keys_new(&rig.keys);
}

int rig_teardown(void **state)
{
    (void)state;
    net_tls_keys_free(&rig.keys);
    cert_free(&rig.ca);
    cert_free(&rig.other_ca);
    cert_free(&rig.host);
    cert_free(&rig.client_cert);
    certs_end();
    return 0;
}

struct net_tls_conf rig_server_conf(void)
{
    return (struct net_tls_conf){.certificate = rig.host.pem, .ca = rig.ca.pem};
}

struct net_tls_conf rig_client_conf(void)
{
    return (struct net_tls_conf){.ca = rig.ca.pem, .verify_server = true};
}

struct net_tls *rig_tls(const struct net_tls_conf *conf)
{
    char why[256];
    struct net_tls *tls;
    int rc = net_tls_new(conf, rig.keys, why, sizeof(why), &tls);
    if (rc != 0)
        fail_msg("%d: %s", rc, why);
    return tls;
}

void rig_listen(uint32_t timeout_ms, unsigned max)
{
    net_listener_set_tls(rig.listener, rig.server_tls, timeout_ms, max, on_refused);
}

void rig_begin(const struct net_tls_conf *server, const struct net_tls_conf *client)
{
    struct addr any = loopback("127.0.0.1");
    struct net_tls_conf s = rig_server_conf(), c = rig_client_conf();
    turn_start(&rig.t);
    memset(&rig.server, 0, sizeof(rig.server));
    memset(&rig.client, 0, sizeof(rig.client));
    memset(&rig.client_counters, 0, sizeof(rig.client_counters));
    rig.server_events = &rig_events;
    rig.accepted = rig.refused = 0;
    rig.refusal = 0;
    rig.server_tls = rig_tls(server != NULL ? server : &s);
    rig.client_tls = rig_tls(client != NULL ? client : &c);
    assert_int_equal(net_listener_open(rig.t.loop, &any, &plain_opt, true, &rig.t.counters,
                                       on_accept, NULL, &rig.listener),
                     0);
    net_listener_local(rig.listener, &rig.at);
    rig_listen(5000, 100);
}

void rig_close(void)
{
    net_stream_close(&rig.server.stream, true);
    net_stream_close(&rig.client.stream, true);
}

void rig_end(void)
{
    rig_close();
    net_listener_close(&rig.listener);
    turn_stop(&rig.t);
    net_tls_release(&rig.server_tls);
    net_tls_release(&rig.client_tls);
}

void rig_open(const char *name)
{
    const struct addr none = {.family = ADDR_NONE};
    struct net_tls_client client = {rig.client_tls, name, &rig.client_counters};
    rig.server = (struct side){0};
    rig.client = (struct side){0};
    assert_int_equal(net_stream_open(rig.t.loop, &none, &rig.at, &plain_opt, 5000, &client,
                                     &rig_events, &rig.client, &rig.client.stream),
                     0);
}

bool rig_is_up(void)
{
    return rig.client.opened == 1 && rig.server.stream != NULL;
}

bool rig_client_ended(void)
{
    return rig.client.ended != 0;
}

bool rig_server_ended(void)
{
    return rig.server.ended != 0;
}

bool rig_has_refused(void)
{
    return rig.refused != 0;
}

void rig_up(const char *name)
{
    rig_open(name);
    turn_until(&rig.t, rig_is_up);
}

int rig_refused(const char *name)
{
    rig_open(name);
    turn_until(&rig.t, rig_client_ended);
    return rig.client.err;
}

int rig_refuses(const char *name)
{
    rig.refused = 0;
    rig_open(name);
    turn_until(&rig.t, rig_has_refused);
    return rig.refusal;
}

uint64_t rig_count(enum counter id)
{
    return counter_get(&rig.t.counters, id) + counter_get(&rig.client_counters, id);
}

bool rig_resumed(const struct side *s)
{
    struct net_tls_info info;
    assert_int_equal(net_stream_tls_info(s->stream, &info), 0);
    return info.resumed;
}
