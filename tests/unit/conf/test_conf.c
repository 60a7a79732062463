/* SPDX-License-Identifier: Apache-2.0 */
/* The configuration as an operator meets it: defaults, errors with their lines, lists, times, what
 * needs a restart. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/alloc.h"
#include "conf/conf.h"

struct loaded {
    struct conf *conf;
    char *errors; /* what was written */
    int status;
};

static struct loaded load_bytes(const char *text, size_t len)
{
    struct loaded l = {0};
    char file[] = "/tmp/holdfast-test-conf-XXXXXX";
    size_t size;
    int fd = mkstemp(file);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, text, len), (ssize_t)len);
    close(fd);
    FILE *err = open_memstream(&l.errors, &size);
    l.status = conf_load(file, err, &l.conf);
    fclose(err);
    unlink(file);
    return l;
}

static struct loaded load(const char *text)
{
    return load_bytes(text, strlen(text));
}

static void done(struct loaded *l)
{
    conf_free(&l->conf);
    free(l->errors);
}

static unsigned count_lines(const char *text)
{
    unsigned n = 0;
    for (; *text != '\0'; text++)
        n += *text == '\n';
    return n;
}

static void test_embedded_default(void **state)
{
    (void)state;
    struct conf *c = NULL;
    assert_int_equal(conf_load(NULL, stderr, &c), 0);
    assert_int_equal(c->route.sip_port, 5060);
    assert_true(c->flow.nlisten >= 1);
    assert_int_equal(c->flow.listen[0].family, ADDR_IP4);
    assert_int_equal(c->flow.listen[0].port, 5060);
    assert_true(addr_is_any(&c->flow.listen[0]));
    assert_false(c->flow.sockopt.keep_alive);
    assert_int_equal(c->flow.sockopt.tos, 256);
    assert_int_equal(c->flow.reopen_delay_ms, 1000);
    assert_int_equal(c->flow.unacked_timeout_ms, 5000);
    assert_int_equal(c->flow.connect_timeout_ms, 3000);
    assert_int_equal(c->proxy.timer_c_ms, 180000);
    assert_int_equal(c->txn.timer_b, 32000);
    assert_int_equal(c->txn.keep_ms, TXN_KEEP_MS);
    assert_int_equal(c->authenticate, CONF_AUTH_REGISTER);
    assert_int_equal(c->registrar.nopen_to, 2);
    assert_true(c->proxy.record_route);
    assert_true(c->workers >= 1);
    assert_string_equal(c->location, "memory");
    assert_null(c->location_file);
    assert_null(c->file);
    conf_free(&c);
    assert_null(c);
}

static void test_values(void **state)
{
    (void)state;
    struct loaded l = load(
        "; a comment\n[sipproxy]\nsip-address = 127.0.0.1, ::1\nsip-port = 5070\n"
        "sip-enable-tcp-keep-alive = true\ntcp-reopen-delay = 250ms\ntcp-connect-timeout = 2\n"
        "tcp-unacked-timeout = 8\ntimer-c = 3m\nfork = q\nsip-domains = example.com,\n  example.org\nrelay-from = any\n"
        "location = sqlite:/var/lib/x.db\nworkers = 3 ; inline\n"
        "[dn 1001]\npassword = pa ss\n[dn trunk-a]\ntype = voip-service\n"
        "contact = sip:10.0.0.1:5060;transport=tcp\n");
    assert_string_equal(l.errors, "");
    assert_int_equal(l.status, 0);
    struct conf *c = l.conf;
    assert_int_equal(c->flow.nlisten, 2);
    assert_int_equal(c->flow.listen[1].family, ADDR_IP6);
    assert_int_equal(c->flow.listen[1].port, 5070);
    assert_true(c->flow.sockopt.keep_alive);
    assert_true(c->txn.recover);
    assert_int_equal(c->txn.keep_ms, 8800);
    assert_int_equal(c->flow.reopen_delay_ms, 250);
    assert_int_equal(c->flow.connect_timeout_ms, 2000);
    assert_int_equal(c->proxy.timer_c_ms, 180000);
    assert_int_equal(c->proxy.fork, ROUTE_FORK_Q);
    assert_int_equal(c->route.ndomains, 2);
    assert_true(slice_eq(c->route.domains[1], SLICE("example.org")));
    assert_int_equal(c->route.nrelay_from, 2);
    assert_string_equal(c->location_file, "/var/lib/x.db");
    assert_int_equal(c->workers, 3);
    assert_int_equal(c->ndns, 2);
    assert_string_equal(c->dns[0].name, "1001");
    assert_string_equal(c->dns[0].password, "pa ss");
    assert_int_equal(c->dns[1].type, DN_VOIP_SERVICE);
    assert_string_equal(c->dns[1].contact, "sip:10.0.0.1:5060;transport=tcp");
    assert_int_equal(c->dns[1].recovery_timeout_ms, 60000);
    done(&l);
}

static void test_values_of_checks(void **state)
{
    (void)state;
    struct loaded l =
        load("[dn 1]\n[dn 2]\noos-check = 300\noos-force = 0\noos-check-failure = 503, 404 699\n"
             "contact = sip:a@10.1.2.3:5070\n"
             "[dn 3]\noos-check = 2m\noos-force = 30\ncontact = sip:a@b;maddr=10.1.2.4\n"
             "[dn 4]\ncontact = sip:a@[2001:db8::7]\n[dn 5]\ncontact = sip:example.com\n");
    assert_string_equal(l.errors, "");
    const struct dn_conf *dns = l.conf->dns;
    assert_int_equal(dns[0].oos_check_s, 0);
    assert_int_equal(dns[0].oos_force_s, 5);
    assert_int_equal(dns[0].noos_failures, 0);
    assert_int_equal(dns[0].contact_addr.family, ADDR_NONE);
    assert_int_equal(dns[1].oos_check_s, 300);
    assert_int_equal(dns[1].oos_force_s, 0);
    assert_int_equal(dns[1].noos_failures, 3);
    assert_int_equal(dns[1].oos_failures[0], 503);
    assert_int_equal(dns[1].oos_failures[1], 404);
    assert_int_equal(dns[1].oos_failures[2], 699);
    static const char *const addrs[] = {NULL, "10.1.2.3", "10.1.2.4", "2001:db8::7"};
    for (unsigned i = 1; i < 4; i++) {
        struct addr a;
        assert_int_equal(addr_parse_ip(slice_str(addrs[i]), 0, &a), 0);
        assert_true(addr_eq_ip(&a, &dns[i].contact_addr));
    }
    assert_int_equal(dns[2].oos_check_s, 120);
    assert_int_equal(dns[2].oos_force_s, 30);
    assert_int_equal(dns[4].contact_addr.family, ADDR_NONE);
    done(&l);
    l = load("[dn 1]\noos-check = 301\n[dn 2]\noos-check = 500ms\n[dn 3]\noos-force = 31\n"
             "[dn 4]\noos-check-failure = 200\n[dn 5]\noos-check-failure = 503 700\n"
             "[dn 6]\noos-check-failure = 503;\n[dn 7]\noos-check-failure = busy\n");
    assert_int_equal(l.status, ERR_PARSE);
    assert_non_null(strstr(l.errors, ":2: oos-check = 301: not allowed; allowed: 0 to 300 s"));
    assert_non_null(strstr(l.errors, ":4: oos-check = 500ms"));
    assert_non_null(strstr(l.errors, ":6: oos-force = 31: not allowed; allowed: 0 to 30 s"));
    assert_non_null(strstr(l.errors, ":8: oos-check-failure = 200: not allowed; allowed: status"));
    assert_non_null(strstr(l.errors, ":10: oos-check-failure = 503 700"));
    assert_non_null(strstr(l.errors, ":12: oos-check-failure = 503;"));
    assert_non_null(strstr(l.errors, ":14: oos-check-failure = busy"));
    done(&l);
}

static void test_values_of_tls(void **state)
{
    (void)state;
    struct loaded l =
        load("[sipproxy]\nsip-port = 0\nsip-port-tls = 5061\ntls-certificate = /c\n"
             "tls-private-key = /k\ntls-ca = /a\ntls-verify-client = true\n"
             "tls-verify-server = false\ntls-min-version = 1.3\ntls-max-handshakes = 7\n"
             "tcp-wedged-transactions = 0\nmax-calls = 9\ncall-timeout = 168h\n"
             "[dn 1]\ncontact = sips:a@example.com\n"
             "[dn 2]\ntls-certificate = /c2\ntls-private-key = /k2\ntls-ca = /a2\n"
             "[dn 3]\ntls-verify-server = true\n[dn 4]\ntls-min-version = 1.2\n"
             "contact = sip:10.0.0.1;transport=tls\n");
    assert_string_equal(l.errors, "");
    assert_int_equal(l.status, 0);
    const struct conf *c = l.conf;
    assert_true(c->flow.no_plain);
    assert_int_equal(c->flow.tls_port, 5061);
    assert_int_equal(c->route.tls_port, 5061);
    assert_string_equal(c->tls.certificate, "/c");
    assert_string_equal(c->tls.private_key, "/k");
    assert_string_equal(c->tls.ca, "/a");
    assert_true(c->tls.verify_client);
    assert_false(c->tls.verify_server);
    assert_int_equal(c->tls.min_version, NET_TLS_1_3);
    assert_int_equal(c->flow.handshakes, 7);
    assert_int_equal(c->flow.wedged_after, 0);
    assert_int_equal(c->calls.max, 9);
    assert_int_equal(c->calls.timeout_ms, 604800000);
    assert_false(c->dns[0].has_tls);
    assert_true(c->dns[1].has_tls && c->dns[2].has_tls && c->dns[3].has_tls);
    assert_string_equal(c->dns[1].tls.certificate, "/c2");
    assert_string_equal(c->dns[1].tls.private_key, "/k2");
    assert_string_equal(c->dns[1].tls.ca, "/a2");
    assert_int_equal(c->dns[1].tls.verify_server, -1);
    assert_int_equal(c->dns[1].tls.min_version, -1);
    assert_int_equal(c->dns[2].tls.verify_server, 1);
    assert_int_equal(c->dns[3].tls.min_version, NET_TLS_1_2);
    done(&l);
    l = load("");
    assert_false(l.conf->flow.no_plain);
    assert_int_equal(l.conf->flow.tls_port, 0);
    assert_true(l.conf->tls.verify_server);
    assert_false(l.conf->tls.verify_client);
    assert_int_equal(l.conf->tls.min_version, NET_TLS_1_2);
    assert_int_equal(l.conf->flow.handshakes, 256);
    assert_int_equal(l.conf->flow.wedged_after, 3);
    assert_int_equal(l.conf->calls.max, 200000);
    assert_int_equal(l.conf->calls.timeout_ms, 12 * 3600 * 1000);
    done(&l);
}

static void test_list_replaces_default(void **state)
{
    (void)state;
    struct loaded l = load("[sipproxy]\nregistrar-open-to = 10.0.0.0/8\n");
    assert_int_equal(l.status, 0);
    assert_int_equal(l.conf->registrar.nopen_to, 1);
    done(&l);
}

static void test_all_errors_at_once(void **state)
{
    (void)state;
    struct loaded l =
        load("[sipproxy]\nsip-port = 99999\nfoo = 1\nfork = maybe\nworkers = 0\n[trunks]\n"
             "[dn 1]\ncontact = foo\n[dn 2]\ntype = phone\n[dn 2]\n");
    assert_int_equal(l.status, ERR_PARSE);
    assert_null(l.conf);
    assert_int_equal(count_lines(l.errors), 8);
    assert_non_null(
        strstr(l.errors, ":2: sip-port = 99999: not allowed; allowed: 0 to 65535, 0 = off\n"));
    assert_non_null(strstr(l.errors, ":3: foo = 1: unknown option in [sipproxy]"));
    assert_non_null(
        strstr(l.errors, ":4: fork = maybe: not allowed; allowed: parallel, sequential, q\n"));
    assert_non_null(strstr(l.errors, ":5: workers = 0: not allowed; allowed: 1 to 64\n"));
    assert_non_null(strstr(l.errors, ":6: [trunks]: unknown section"));
    assert_non_null(strstr(l.errors, ":8: contact = foo: not allowed; allowed: a sip: URI"));
    assert_non_null(strstr(l.errors, ":10: type = phone: not allowed"));
    assert_non_null(strstr(l.errors, ":11: [dn 2]: this DN has a section already, in line 9\n"));
    done(&l);
}

/* Each alone: one error, with the number of its line. */
static void test_single_errors(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        const char *says;
    } cases[] = {
        {"sip-port = 5060\n", ":1: sip-port = 5060: stands before any section"},
        {"[sipproxy]\njust words\n", ":2: just words: neither"},
        {"[sipproxy\nsip-port = 1\n", ":1: [sipproxy: a section ends with ]"},
        {"[sipproxy]\nsip-port = 1\nsip-port = 2\n", ":3: sip-port = 2: given already in line 2"},
        {"[sipproxy]\nsip-port = 0\n", "sip-port = 0: there is nothing left to listen on"},
        {"[sipproxy]\nsip-address = 10.0.0.300\n", ":2: sip-address = 10.0.0.300: not allowed"},
        {"[sipproxy]\nsip-address = 10.0.0.1 10.0.0.1\n", "sip-address: 10.0.0.1 is named twice"},
        {"[sipproxy]\nsip-access = any, 10.0.0.0/8\n",
         ":2: sip-access = any, 10.0.0.0/8: not allowed"},
        {"[sipproxy]\nrelay-from = 10.0.0.0/8, any\n", ":2: relay-from = 10.0.0.0/8, any: not"},
        {"[sipproxy]\nemergency-numbers = 112, tel:911\n",
         ":2: emergency-numbers = tel:911: not allowed"},
        {"[sipproxy]\nemergency-numbers = +\n", ":2: emergency-numbers = +: not allowed"},
        {"[sipproxy]\nrelay-from = 10.0.0.0/33\n", ":2: relay-from = 10.0.0.0/33: not allowed"},
        {"[sipproxy]\ntcp-reopen-delay = 5 days\n", ":2: tcp-reopen-delay = 5 days: not allowed"},
        {"[sipproxy]\ntcp-keep-alive-idle = 1500ms\n",
         ":2: tcp-keep-alive-idle = 1500ms: not allowed"},
        {"[sipproxy]\nlocation = file\n",
         ":2: location = file: not allowed; allowed: memory, sqlite:FILE"},
        {"[sipproxy]\nrecord-route = yes\n",
         ":2: record-route = yes: not allowed; allowed: true, false"},
        {"[sipproxy]\nregistrar-min-expires = 100\nregistrar-max-expires = 50\n",
         "above registrar-max-expires"},
        {"[sipproxy]\nsip-port-ws = 5061\n", ":2: sip-port-ws = 5061: unknown option"},
        {"[sipproxy]\nsip-port-tls = 5061\n", ":2: sip-port-tls = 5061: needs tls-certificate"},
        {"[sipproxy]\ntls-certificate = /a\nsip-port-tls = 70000\n",
         ":3: sip-port-tls = 70000: not allowed; allowed: 0 to 65535, 0 = off"},
        {"[sipproxy]\ntls-certificate = /a\nsip-port-tls = 5060\n",
         "sip-port-tls = 5060: is sip-port already"},
        {"[sipproxy]\ntls-private-key = /a\n", ":2: tls-private-key = /a: needs tls-certificate"},
        {"[sipproxy]\ntls-min-version = 1.1\n",
         ":2: tls-min-version = 1.1: not allowed; allowed: 1.2, 1.3"},
        {"[sipproxy]\ntls-verify-server = maybe\n",
         ":2: tls-verify-server = maybe: not allowed; allowed: true, false"},
        {"[sipproxy]\ntls-verify-client =\n", ":2: tls-verify-client = : not allowed"},
        {"[sipproxy]\ntls-ca =\n", ":2: tls-ca = : not allowed"},
        {"[sipproxy]\ntls-max-handshakes = 0\n",
         ":2: tls-max-handshakes = 0: not allowed; allowed: 1 to 1000000"},
        {"[sipproxy]\ntcp-wedged-transactions = -1\n",
         ":2: tcp-wedged-transactions = -1: not allowed"},
        {"[sipproxy]\nmax-calls = many\n", ":2: max-calls = many: not allowed"},
        {"[sipproxy]\ncall-timeout = 200h\n",
         ":2: call-timeout = 200h: not allowed; allowed: 0 to 168 h, 0 = never"},
        {"[dn 1]\ntls-private-key = /a\n", ":1: [dn 1]: tls-private-key = /a: needs tls-c"},
        {"[dn 1]\ntls-verify-server = 1\n", ":2: tls-verify-server = 1: not allowed"},
        {"[dn 1]\ntls-min-version = 1\n", ":2: tls-min-version = 1: not allowed"},
        {"[dn 1]\ncontact = sips:a@10.0.0.1\n",
         ":1: [dn 1]: contact = sips:a@10.0.0.1: needs sip-port-tls"},
        {"[dn 1]\ncontact = sip:a@10.0.0.1;transport=tls\n", "needs sip-port-tls"},
        {"[dn 1]\ncontact = sips:a@10.0.0.1;transport=udp\n", ":2: contact = sips:a@10.0.0.1"},
        {"[dn 1]\ncontact = sip:a@10.0.0.1;transport=ws\n", ":2: contact = sip:a@10.0.0.1"},
        {"[dn 1]\ncontact = tel:1\n", ":2: contact = tel:1: not allowed"},
        {"[dn 1]\npassword = a\npassword-ha1 = 0123456789abcdef0123456789abcdef\n",
         ":1: [dn 1]: password and"},
        {"[dn 1]\npassword-ha1 = SHA-256:0123456789abcdef0123456789abcdef\n",
         ":2: password-ha1 = ***: not allowed"},
        {"[dn 1]\ntype = trunk\nprefix = urn:service:sosx\n", ":3: prefix = urn:service:sosx: not"},
        {"[dn 1]\ntype = trunk\nprefix = urn:service:sos x\n",
         ":3: prefix = urn:service:sos x: not"},
        {"[dn ]\n", ":1: [dn]: unknown section"},
        {"[dn 1]\npassword = a\npassword = b\n", ":3: password = ***: given already in line 2"},
        {"[dn 1]\npasswd = a\n", ":2: passwd = ***: unknown option"},
        {"password = a\n", ":1: password = ***: stands before any section"},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct loaded l = load(cases[i].text);
        if (l.status != ERR_PARSE || strstr(l.errors, cases[i].says) == NULL ||
            count_lines(l.errors) != 1)
            fail_msg("case %zu: status %d, said: %s", i, l.status, l.errors);
        done(&l);
    }
}

static void test_odd_files(void **state)
{
    (void)state;
    struct conf *c = NULL;
    char *text = NULL;
    size_t size;
    FILE *err = open_memstream(&text, &size);
    assert_int_equal(conf_load("/nonexistent/holdfast.conf", err, &c), -ENOENT);
    assert_true(conf_load("/", err, &c) < 0);
    fclose(err);
    assert_int_equal(count_lines(text), 2);
    assert_non_null(strstr(text, "/nonexistent/holdfast.conf: cannot be read: "));
    free(text);

    struct loaded l = load("");
    assert_int_equal(l.status, 0); /* an empty file is the default */
    done(&l);
    l = load_bytes("[sipproxy]\nsip-port = 50\0 60\n", 29);
    assert_int_equal(l.status, ERR_PARSE);
    assert_non_null(strstr(l.errors, ":2: a NUL byte"));
    done(&l);
    l = load("[sipproxy]\r\nsip-port = 5070\r\n");
    assert_int_equal(l.status, 0);
    assert_int_equal(l.conf->route.sip_port, 5070);
    done(&l);
    char line[3000];
    memset(line, 'a', sizeof(line) - 1);
    line[sizeof(line) - 1] = '\0';
    memcpy(line, "[sipproxy]\nsip-domains = ", 25);
    l = load(line);
    assert_int_equal(l.status, ERR_PARSE);
    assert_non_null(strstr(l.errors, ":2: longer than"));
    done(&l);
}

static void test_many_dns(void **state)
{
    (void)state;
    enum { N = 5000 };
    char *text = NULL;
    size_t size;
    FILE *f = open_memstream(&text, &size);
    for (int i = 0; i < N; i++)
        fprintf(f, "[dn %d]\n", 10000 + i);
    fclose(f);
    struct loaded l = load(text);
    assert_int_equal(l.status, 0);
    assert_int_equal(l.conf->ndns, N);
    assert_string_equal(l.conf->dns[N - 1].name, "14999");
    done(&l);
    free(text);
}

static void test_needs_restart(void **state)
{
    (void)state;
    struct loaded a = load("[sipproxy]\nsip-port = 5070\n"),
                  b = load("[sipproxy]\nsip-port = 5080\ntimer-c = 9\n");
    char *text = NULL;
    size_t size;
    FILE *out = open_memstream(&text, &size);
    assert_int_equal(conf_needs_restart(a.conf, a.conf, out), 0);
    assert_int_equal(conf_needs_restart(a.conf, b.conf, out), 1);
    fclose(out);
    assert_non_null(strstr(text, "sip-port = 5080 needs a restart; 5070 stays"));
    free(text);
    done(&a);
    done(&b);
}

/* What needs a restart stays as it runs in every part, and is told again at the next reload. */
static void test_keep_running(void **state)
{
    (void)state;
    struct loaded a = load("[sipproxy]\nsip-port = 5070\nsip-address = 127.0.0.1, ::1\n"
                           "location = sqlite:/a/b\nworkers = 2\nsip-ip-tos = 8\n"
                           "sip-port-tls = 5061\ntls-certificate = /c\n"
                           "control-socket = /x/y.sock\n"),
                  b = load("[sipproxy]\ntimer-c = 9\n"), c = load("[sipproxy]\ntimer-c = 9\n");
    assert_int_equal(conf_keep_running(a.conf, b.conf), 0);
    assert_int_equal(b.conf->route.sip_port, 5070);
    assert_int_equal(b.conf->flow.nlisten, 2);
    assert_int_equal(b.conf->flow.listen[1].port, 5070);
    assert_int_equal(b.conf->flow.sockopt.tos, 8);
    assert_int_equal(b.conf->flow.tls_port, 5061);
    assert_int_equal(b.conf->route.tls_port, 5061);
    assert_false(b.conf->flow.no_plain);
    assert_int_equal(b.conf->workers, 2);
    assert_string_equal(b.conf->control_socket, "/x/y.sock");
    assert_null(c.conf->control_socket); /* where it is by default */
    assert_string_equal(b.conf->location, "sqlite:/a/b");
    assert_string_equal(b.conf->location_file, "/a/b");
    assert_int_equal(b.conf->proxy.timer_c_ms, 9000);
    done(&a); /* nothing of it is borrowed */
    char *text = NULL;
    size_t size;
    FILE *out = open_memstream(&text, &size);
    assert_int_equal(conf_needs_restart(b.conf, c.conf, out), 7);
    fclose(out);
    assert_non_null(strstr(text, "location = memory needs a restart; sqlite:/a/b stays"));
    assert_non_null(strstr(text, "sip-address = all interfaces"));
    free(text);
    done(&b);
    done(&c);
}

static char *printed(void (*print)(FILE *))
{
    char *text = NULL;
    size_t size;
    FILE *out = open_memstream(&text, &size);
    print(out);
    fclose(out);
    return text;
}

static void assert_file_is(const char *file, char *text)
{
    char path[512];
    snprintf(path, sizeof(path), "%s/%s", HOLDFAST_SOURCE_DIR, file);
    FILE *f = fopen(path, "r");
    assert_non_null(f);
    char *there = calloc(1, 1 << 20);
    size_t n = fread(there, 1, (1 << 20) - 1, f);
    fclose(f);
    there[n] = '\0';
    assert_string_equal(there, text);
    free(there);
    free(text);
}

/* Made from the table and kept in the tree; after a change of the table: holdfast
 * --options-markdown > docs/options.md, holdfast --options-man > docs/man/holdfast.conf.5 */
static void test_pages_follow_the_table(void **state)
{
    (void)state;
    assert_file_is("docs/options.md", printed(conf_print_markdown));
    assert_file_is("docs/man/holdfast.conf.5", printed(conf_print_man));
    char *options = printed(conf_print_options);
    assert_non_null(strstr(options, "tcp-reopen-delay\n"));
    free(options);
}

static void test_quickstart(void **state)
{
    (void)state;
    struct conf *c = NULL;
    assert_int_equal(conf_load(HOLDFAST_SOURCE_DIR "/conf/quickstart.conf", stderr, &c), 0);
    assert_true(c->registrar.nopen_to > 2);
    assert_true(c->flow.sockopt.keep_alive);
    conf_free(&c);
}

static void test_allocation_failures(void **state)
{
    (void)state;
    mem_fail_at(1);
    void *probe = mem_alloc(1);
    if (probe != NULL) {
        mem_free(probe);
        mem_fail_at(0);
        print_message("built without HOLDFAST_FAULTS: allocations cannot be made to fail\n");
        skip();
    }
    for (uint64_t n = 1; n < 10000; n++) {
        struct conf *c = NULL;
        mem_fail_at(n);
        int status = conf_load(HOLDFAST_SOURCE_DIR "/conf/quickstart.conf", NULL, &c);
        bool failed = mem_failed();
        mem_fail_at(0);
        if (!failed) {
            assert_int_equal(status, 0);
            conf_free(&c);
            return;
        }
        assert_int_equal(status, ERR_NOMEM);
        assert_null(c);
    }
    fail_msg("never without a failure");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_embedded_default),
        cmocka_unit_test(test_values),
        cmocka_unit_test(test_values_of_checks),
        cmocka_unit_test(test_values_of_tls),
        cmocka_unit_test(test_list_replaces_default),
        cmocka_unit_test(test_all_errors_at_once),
        cmocka_unit_test(test_single_errors),
        cmocka_unit_test(test_odd_files),
        cmocka_unit_test(test_many_dns),
        cmocka_unit_test(test_needs_restart),
        cmocka_unit_test(test_keep_running),
        cmocka_unit_test(test_pages_follow_the_table),
        cmocka_unit_test(test_quickstart),
        cmocka_unit_test(test_allocation_failures),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
