/* SPDX-License-Identifier: Apache-2.0 */
/* Applications, domains, listeners and trunks as an operator writes them: what comes out, and what
 * is said about mistakes. */
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

static struct loaded load(const char *text)
{
    struct loaded l = {0};
    char file[] = "/tmp/holdfast-test-conf-XXXXXX";
    size_t size;
    int fd = mkstemp(file);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, text, strlen(text)), (ssize_t)strlen(text));
    close(fd);
    FILE *err = open_memstream(&l.errors, &size);
    l.status = conf_load(file, err, &l.conf);
    fclose(err);
    unlink(file);
    return l;
}

static struct loaded load_well(const char *text)
{
    struct loaded l = load(text);
    if (l.status != 0)
        fail_msg("status %d, said: %s", l.status, l.errors);
    assert_string_equal(l.errors, "");
    return l;
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

static void assert_addr(const struct addr *a, const char *text)
{
    char buf[ADDR_TEXT_MAX];
    assert_string_equal(addr_write(a, buf), text);
}

/* --- what comes out --- */

static void test_pair(void **state)
{
    (void)state;
    struct loaded l =
        load_well("[sipproxy]\nserving-sipserver = main\noos-check = 10\nsip-address = 10.0.0.1\n"
                  "[application main]\nprimary = sip:10.0.0.5:5070;transport=tcp\n"
                  "backup = sip:sip2.example.net\noos-force = 2\n");
    const struct conf *c = l.conf;
    assert_string_equal(c->route.serving, "main");
    assert_int_equal(c->ngroups, 1);
    const struct group_conf *g = &c->groups[0];
    assert_string_equal(g->name, "main");
    assert_int_equal(g->role, GROUP_PAIR);
    assert_int_equal(g->nmembers, 2);
    assert_string_equal(g->members[0].uri, "sip:10.0.0.5:5070;transport=tcp");
    assert_addr(&g->members[0].addr, "10.0.0.5:5070");
    assert_int_equal(g->members[0].weight, 1);
    assert_int_equal(g->members[1].addr.family, ADDR_NONE);
    assert_int_equal(g->check_ms, 10000);
    assert_int_equal(g->force_ms, 2000);
    assert_int_equal(g->nfailures, 1);
    assert_int_equal(g->failures[0], 503);
    assert_true(g->shares_dialogs);
    assert_false(g->has_tls);
    assert_int_equal(g->naccess, 0);
    done(&l);
}

static void test_pair_of_one(void **state)
{
    (void)state;
    struct loaded l =
        load_well("[sipproxy]\nsip-port-tls = 5061\ntls-certificate = /c\n[application a]\n"
                  "primary = sips:[2001:db8::5]\noos-check = 0\noos-check-failure = none\n"
                  "shared-dialogs = false\naccess = 10.1.0.0/16, 10.2.0.1\n"
                  "tls-ca = /ca\ntls-verify-server = false\ntls-min-version = 1.3\n");
    const struct group_conf *g = &l.conf->groups[0];
    assert_int_equal(g->nmembers, 1);
    assert_addr(&g->members[0].addr, "[2001:db8::5]:5061");
    assert_int_equal(g->check_ms, 0);
    assert_int_equal(g->force_ms, 5000);
    assert_int_equal(g->nfailures, 0);
    assert_false(g->shares_dialogs);
    assert_int_equal(g->naccess, 2);
    assert_true(g->has_tls);
    assert_string_equal(l.conf->group_tls[0].ca, "/ca");
    assert_int_equal(l.conf->group_tls[0].verify_server, 0);
    assert_int_equal(l.conf->group_tls[0].min_version, NET_TLS_1_3);
    assert_null(l.conf->group_tls[0].certificate);
    done(&l);
}

static void test_balanced(void **state)
{
    (void)state;
    struct loaded l = load_well(
        "[application media]\nrole = balanced\nmembers = sip:10.0.0.5, sip:10.0.0.6:5062\n"
        "  sip:10.0.0.7;transport=tcp\nweights = 1 1000 2\npolicy = least-calls\n"
        "oos-check-failure = 404, 503\n"
        "[application other]\nrole = balanced\nmembers = sip:10.0.1.5\npolicy = hash-to\n");
    assert_int_equal(l.conf->ngroups, 2);
    const struct group_conf *g = &l.conf->groups[0];
    assert_int_equal(g->role, GROUP_BALANCED);
    assert_int_equal(g->policy, GROUP_LEAST_CALLS);
    assert_int_equal(g->nmembers, 3);
    assert_addr(&g->members[1].addr, "10.0.0.6:5062");
    assert_int_equal(g->members[1].weight, 1000);
    assert_string_equal(g->members[2].uri, "sip:10.0.0.7;transport=tcp");
    assert_int_equal(g->nfailures, 2);
    assert_false(g->shares_dialogs);
    assert_int_equal(l.conf->groups[1].policy, GROUP_HASH_TO);
    assert_int_equal(l.conf->groups[1].members[0].weight, 1);
    done(&l);
}

/* Those that are named, in that order; the others are read and left alone. */
static void test_applications_that_are_used(void **state)
{
    (void)state;
    static const char sections[] =
        "[application a]\nprimary = sip:10.0.0.5\n[application b]\n"
        "primary = sip:10.0.0.6\n[application c]\nprimary = sip:10.0.0.7\n";
    char text[512];
    snprintf(text, sizeof(text), "[sipproxy]\napplications = c, a, c\n%s", sections);
    struct loaded l = load_well(text);
    assert_int_equal(l.conf->ngroups, 2);
    assert_string_equal(l.conf->groups[0].name, "c");
    assert_string_equal(l.conf->groups[1].name, "a");
    done(&l);
    l = load_well(sections);
    assert_int_equal(l.conf->ngroups, 3);
    assert_string_equal(l.conf->groups[1].name, "b");
    done(&l);
}

static void test_domains(void **state)
{
    (void)state;
    struct loaded l =
        load_well("[sipproxy]\nsip-address = 10.0.0.1\n[domain Partner.Example]\n"
                  "contact = sip:gw.partner.example;transport=tcp\n[domain *.lab.example]\n"
                  "application = main\n[domain 192.0.2.7]\ncontact = sip:10.0.0.1:5080\n"
                  "[application main]\nprimary = sip:10.0.0.5\n");
    const struct route_conf *r = &l.conf->route;
    assert_int_equal(r->nothers, 3);
    assert_string_equal(r->others[0].name, "partner.example");
    assert_string_equal(r->others[0].contact, "sip:gw.partner.example;transport=tcp");
    assert_null(r->others[0].application);
    assert_string_equal(r->others[1].name, "*.lab.example");
    assert_string_equal(r->others[1].application, "main");
    assert_null(r->others[1].contact);
    done(&l);
}

static void test_trunks(void **state)
{
    (void)state;
    struct loaded l =
        load_well("[dn a]\ntype = trunk\ncontact = sip:10.0.0.5\nprefix = +49*#\npriority = 65535\n"
                  "contact-backup = sip:10.0.0.6, sip:10.0.0.7;transport=tcp\n"
                  "[dn b]\ntype = trunk-group\ncontact = sip:10.0.0.8\nprefix =\n"
                  "[dn c]\ntype = trunk\ncontact = sip:10.0.0.9\nprefix = URN:service:SOS.Fire\n"
                  "[dn d]\ntype = trunk\ncontact = sip:10.0.0.10\n");
    const struct dn_conf *dns = l.conf->dns;
    assert_true(l.conf->route.has_trunks);
    assert_string_equal(dns[0].prefix, "+49*#");
    assert_int_equal(dns[0].priority, 65535);
    assert_int_equal(dns[0].ncontact_backup, 2);
    assert_string_equal(dns[0].contact_backup[1], "sip:10.0.0.7;transport=tcp");
    assert_string_equal(dns[1].prefix, "");
    assert_int_equal(dns[1].priority, 0);
    assert_string_equal(dns[2].prefix, "urn:service:sos.fire");
    assert_null(dns[3].prefix);
    done(&l);
    l = load_well("[dn d]\ntype = trunk\ncontact = sip:10.0.0.10\n");
    assert_false(l.conf->route.has_trunks);
    done(&l);
}

static void test_sides(void **state)
{
    (void)state;
    struct loaded l = load_well(
        "[sipproxy]\nsip-address = 10.0.0.1, 10.0.0.2, 2001:db8::1\nsip-access = 10.0.0.0/8\n"
        "sip-advertised-address = sip.example.net:5070\naliases = pool.example.net, [2001:db8::9]:5066\n"
        "[listener 10.0.0.2]\nadvertised-address = 192.0.2.2\naccess = any\n"
        "[listener 2001:DB8:0::1]\nadvertised-address = [2001:db8::99]:5071\n");
    const struct flow_side *s = l.conf->flow.sides;
    assert_true(slice_eq(s[0].advertised, SLICE("sip.example.net")));
    assert_int_equal(s[0].advertised_port, 5070);
    assert_int_equal(s[0].naccess, 1);
    assert_true(slice_eq(s[1].advertised, SLICE("192.0.2.2")));
    assert_int_equal(s[1].advertised_port, 0);
    assert_int_equal(s[1].naccess, 2);
    assert_true(slice_eq(s[2].advertised, SLICE("[2001:db8::99]")));
    assert_int_equal(s[2].advertised_port, 5071);
    static const char *const aliases[] = {"pool.example.net", "[2001:db8::9]:5066",
                                          "sip.example.net:5070", "192.0.2.2",
                                          "[2001:db8::99]:5071"};
    assert_int_equal(l.conf->route.naliases, 5);
    for (unsigned i = 0; i < 5; i++)
        assert_true(slice_eq(l.conf->route.aliases[i], slice_str(aliases[i])));
    done(&l);
    l = load_well("");
    assert_int_equal(l.conf->flow.sides[0].advertised.len, 0);
    assert_int_equal(l.conf->flow.sides[0].naccess, 0);
    assert_int_equal(l.conf->route.naliases, 0);
    done(&l);
}

static void test_defaults(void **state)
{
    (void)state;
    struct loaded l = load_well("");
    const struct conf *c = l.conf;
    assert_int_equal(c->ngroups, 0);
    assert_null(c->route.serving);
    assert_int_equal(c->oos_check_s, 5);
    assert_int_equal(c->oos_force_s, 5);
    assert_int_equal(c->proxy.failover_ms, 4000);
    assert_false(c->proxy.hide_topology);
    assert_int_equal(c->proxy.ninside, 9);
    assert_int_equal(c->load.dialog_rate, 0);
    assert_int_equal(c->load.source_rate, 0);
    assert_int_equal(c->load.lag_ms, 100);
    assert_int_equal(c->load.retry_min_s, 2);
    assert_int_equal(c->load.retry_max_s, 10);
    assert_true(c->load.is_control);
    assert_int_equal(c->proxy.nemergency_numbers, 0);
    assert_int_equal(c->proxy.npriorities, 3);
    assert_int_equal(c->resolver.nservers, 0);
    assert_int_equal(c->resolver.timeout_ms, 2000);
    assert_int_equal(c->resolver.tries, 2);
    assert_int_equal(c->resolver.max_stale_ms, 24 * 3600000);
    assert_int_equal(c->route.unreachable_ms, 30000);
    done(&l);
}

static void test_values(void **state)
{
    (void)state;
    struct loaded l = load_well(
        "[sipproxy]\nfailover-time = 700ms\nhide-topology = true\ninside-networks = 10.1.0.0/16\n"
        "overload-ctrl-dialog-rate = 500\noverload-source-rate = 20\noverload-lag = 0\n"
        "overload-retry-after = 5 - 60\noverload-control = false\nemergency-numbers = 110, 112\n"
        "resource-priority = dsn\ndns-servers = 10.0.0.53, 10.0.0.54:5353 [::1]:54 2001:db8::53\n"
        "dns-timeout = 250ms\ndns-tries = 10\ndns-max-stale = 0\ndns-avoid-time = 1m\n");
    const struct conf *c = l.conf;
    static const char *const servers[] = {"10.0.0.53:53", "10.0.0.54:5353", "[::1]:54",
                                          "[2001:db8::53]:53"};
    assert_int_equal(c->proxy.failover_ms, 700);
    assert_true(c->proxy.hide_topology);
    assert_int_equal(c->proxy.ninside, 1);
    assert_int_equal(c->load.dialog_rate, 500);
    assert_int_equal(c->load.source_rate, 20);
    assert_int_equal(c->load.lag_ms, 0);
    assert_int_equal(c->load.retry_min_s, 5);
    assert_int_equal(c->load.retry_max_s, 60);
    assert_false(c->load.is_control);
    assert_int_equal(c->proxy.nemergency_numbers, 2);
    assert_true(slice_eq(c->proxy.emergency_numbers[1], SLICE("112")));
    assert_int_equal(c->proxy.npriorities, 1);
    assert_int_equal(c->resolver.nservers, 4);
    for (unsigned i = 0; i < 4; i++)
        assert_addr(&c->resolver.servers[i], servers[i]);
    assert_int_equal(c->resolver.timeout_ms, 250);
    assert_int_equal(c->resolver.tries, 10);
    assert_int_equal(c->resolver.max_stale_ms, 0);
    assert_int_equal(c->route.unreachable_ms, 60000);
    done(&l);
}

/* --- mistakes --- */

#define PAIR "[application a]\nprimary = sip:10.0.0.5\n"

static const struct {
    const char *text;
    const char *says;
} mistakes[] = {
    /* who names nobody */
    {"\n[application a]\n", ":2: [application a]: names no member; needed: primary = a SIP URI"},
    {"[application a]\nrole = balanced\n",
     ":1: [application a]: names no member; needed: members = 1 to 32 SIP URIs"},
    {"[application a]\nbackup = sip:10.0.0.5\n", ":1: [application a]: names no member"},
    {"[application]\n", ":1: [application]: unknown section"},
    {"[application a b]\nprimary = sip:10.0.0.5\n",
     ":1: [application a b]: not allowed; allowed: at most 64 characters without blanks"},
    {PAIR PAIR, ":3: [application a]: this application has a section already, in line 1"},
    /* the same address twice */
    {PAIR "backup = sip:10.0.0.5\n",
     ":3: [application a]: backup = sip:10.0.0.5: the same address as primary = sip:10.0.0.5; "
     "allowed: members at different addresses"},
    {PAIR "backup = sip:sip@10.0.0.5:5060;transport=tcp\n", "the same address as primary"},
    {"[application a]\nprimary = sip:Sip.Example\nbackup = sip:sip.example:5060\n",
     ":3: [application a]: backup"},
    {"[application a]\nprimary = sip:sip.example\nbackup = sip:sip.example.\n",
     ":3: [application a]: backup"},
    {"[application a]\nrole = balanced\nmembers = sip:10.0.0.5 sip:10.0.0.6 sip:10.0.0.5\n",
     ":3: [application a]: members = sip:10.0.0.5: the same address as members"},
    {PAIR "[application b]\nprimary = sip:10.0.0.5:5060\n",
     ":4: [application b]: primary = sip:10.0.0.5:5060: the same address as a member of "
     "[application a]"},
    /* ourselves */
    {"[sipproxy]\nsip-address = 10.0.0.1\n[application a]\nprimary = sip:10.0.0.1\n",
     ":4: [application a]: primary = sip:10.0.0.1: is this proxy itself; allowed: the address "
     "of somebody else"},
    {"[sipproxy]\nsip-port = 5070\n" PAIR "backup = sip:127.0.0.1:5070\n",
     ":5: [application a]: backup = sip:127.0.0.1:5070: is this proxy itself"},
    {PAIR "backup = sip:[::1]\n", ":3: [application a]: backup = sip:[::1]: is this proxy"},
    {PAIR "backup = sip:localhost;transport=tcp\n", ":3: [application a]: backup"},
    {"[sipproxy]\naliases = pool.example.net\n[domain example.org]\n"
     "contact = sip:pool.example.net\n",
     ":4: [domain example.org]: contact = sip:pool.example.net: is this proxy itself"},
    {"[sipproxy]\nsip-advertised-address = 192.0.2.1\n[dn t]\ntype = trunk\n"
     "contact = sip:192.0.2.1\n",
     ":3: [dn t]: contact = sip:192.0.2.1: is this proxy itself"},
    {"[sipproxy]\nsip-advertised-address = 192.0.2.1:5070\n[dn t]\ntype = trunk\n"
     "contact = sip:192.0.2.1:5070\n",
     ":3: [dn t]: contact = sip:192.0.2.1:5070: is this proxy itself"},
    {"[sipproxy]\nsip-address = 10.0.0.1\nsip-port-tls = 5061\ntls-certificate = /c\n[dn t]\n"
     "type = trunk-group\ncontact = sip:10.0.0.9\ncontact-backup = sips:10.0.0.1\n",
     ":5: [dn t]: contact-backup = sips:10.0.0.1: is this proxy itself"},
    /* members */
    {"[application a]\nprimary = 10.0.0.5\n", ":2: primary = 10.0.0.5: not allowed; allowed: a"},
    {"[application a]\nprimary = sips:10.0.0.5\n",
     ":2: [application a]: primary = sips:10.0.0.5: needs sip-port-tls"},
    {"[application a]\nrole = balanced\nmembers = sip:10.0.0.5, 10.0.0.6\n",
     ":3: members = sip:10.0.0.5, 10.0.0.6: not allowed"},
    {PAIR "members = sip:10.0.0.6\n",
     ":3: [application a]: members: allowed with role = balanced only"},
    {PAIR "policy = weighted\n", ":3: [application a]: policy: allowed with role = balanced"},
    {"[application a]\nrole = balanced\nmembers = sip:10.0.0.5\nshared-dialogs = true\n",
     ":4: [application a]: shared-dialogs: allowed with role = pair only"},
    {"[application a]\nrole = balanced\nmembers = sip:10.0.0.5\nweights = 1 2\n",
     ":4: [application a]: weights: 2 of them; allowed: as many as there are members, 1"},
    {"[application a]\nrole = balanced\nmembers = sip:10.0.0.5\nweights = 0\n",
     ":4: weights = 0: not allowed; allowed: numbers from 1 to 1000"},
    {PAIR "role = triple\n", ":3: role = triple: not allowed; allowed: pair, balanced"},
    {PAIR "oos-check = 301\n", ":3: oos-check = 301: not allowed; allowed: 0 to 300 s"},
    {PAIR "oos-force = 0\n", ":3: oos-force = 0: not allowed; allowed: 1 to 32 s"},
    {PAIR "oos-check-failure = 200\n", ":3: oos-check-failure = 200: not allowed"},
    {PAIR "access = any\n", ":3: access = any: not allowed; allowed: list of networks"},
    {PAIR "tls-private-key = /k\n", ":3: [application a]: tls-private-key = /k: needs tls-c"},
    {PAIR "password = x\n", ":3: password = ***: unknown option in [application]"},
    /* who is named and is not there */
    {"[sipproxy]\napplications = a, b\n" PAIR,
     ":2: applications = b: there is no section [application b]"},
    {"[sipproxy]\nserving-sipserver = b\n" PAIR,
     ":2: serving-sipserver = b: there is no section [application b]"},
    {"[sipproxy]\nserving-sipserver = b\napplications = a\n" PAIR
     "[application b]\nprimary = sip:10.0.0.6\n",
     ":2: serving-sipserver = b: is not one of applications"},
    {"[domain example.org]\napplication = a\n",
     ":2: application = a: there is no section [application a]"},
    /* domains */
    {"[domain example.org]\n", ":1: [domain example.org]: needs either contact or application"},
    {PAIR "[domain example.org]\napplication = a\ncontact = sip:10.0.0.6\n",
     ":3: [domain example.org]: needs either contact or application"},
    {"[domain exa_mple!]\ncontact = sip:10.0.0.6\n",
     ":1: [domain exa_mple!]: not allowed; allowed: a host name, or *. and a host name"},
    {"[domain example.org:5060]\ncontact = sip:10.0.0.6\n", ":1: [domain example.org:5060]: not"},
    {"[domain a.b]\ncontact = sip:10.0.0.6\n[domain A.B]\n",
     ":3: [domain a.b]: this domain has a section already, in line 1"},
    {"[sipproxy]\nsip-domains = A.b\n[domain a.b]\ncontact = sip:10.0.0.6\n",
     ":3: [domain a.b]: is one of sip-domains"},
    /* listeners */
    {"[listener 10.0.0.1]\n", ":1: [listener 10.0.0.1]: needs sip-address, which is not given"},
    {"[sipproxy]\nsip-address = 10.0.0.2\n[listener 10.0.0.1]\n",
     ":3: [listener 10.0.0.1]: no address that is listened to; allowed: one of sip-address"},
    {"[listener eth0]\n", ":1: [listener eth0]: not allowed; allowed: an IP address"},
    {"[sipproxy]\nsip-address = 10.0.0.1\n[listener 10.0.0.1]\nadvertised-address = a b\n",
     ":4: advertised-address = a b: not allowed; allowed: HOST or HOST:PORT"},
    {"[sipproxy]\nsip-address = 10.0.0.1\n[listener 10.0.0.1]\nadvertised-address = [::2]\n",
     ":4: advertised-address = [::2]: of another family than [listener 10.0.0.1]; allowed: a host"},
    {"[sipproxy]\nsip-advertised-address = 10.0.0.1:0\n",
     ":2: sip-advertised-address = 10.0.0.1:0: not allowed"},
    {"[sipproxy]\nsip-advertised-address = 2001:db8::1:5060\n",
     ":2: sip-advertised-address = 2001:db8::1:5060: not allowed"},
    {"[sipproxy]\naliases = a.example b.example:99999\n",
     ":2: aliases = b.example:99999: not allowed; allowed: HOST or HOST:PORT"},
    {"[sipproxy]\nsip-access = here\n", ":2: sip-access = here: not allowed"},
    /* trunks */
    {"[dn t]\nprefix = 0\ncontact = sip:10.0.0.6\n",
     ":1: [dn t]: prefix = 0: needs type = trunk or trunk-group"},
    {"[dn t]\ntype = trunk\nprefix = 0-1\n", ":3: prefix = 0-1: not allowed; allowed: digits"},
    {"[dn t]\ntype = trunk\nprefix = urn:service:counseling\n", ":3: prefix = urn"},
    {"[dn t]\ntype = trunk\npriority = 65536\n", ":3: priority = 65536: not allowed"},
    {"[dn t]\ncontact-backup = sip:10.0.0.6\n",
     ":1: [dn t]: contact-backup = sip:10.0.0.6: needs contact"},
    {"[dn t]\ncontact = sip:10.0.0.6\ncontact-backup = sips:10.0.0.7\n",
     ":1: [dn t]: contact-backup = sips:10.0.0.7: needs sip-port-tls"},
    /* overload and DNS */
    {"[sipproxy]\noverload-retry-after = 10-2\n",
     ":2: overload-retry-after = 10-2: not allowed; allowed: MIN-MAX, both from 1 to 3600 s"},
    {"[sipproxy]\noverload-retry-after = 0-2\n", ":2: overload-retry-after = 0-2"},
    {"[sipproxy]\noverload-retry-after = 2-\n", ":2: overload-retry-after = 2-"},
    {"[sipproxy]\noverload-lag = 11\n", ":2: overload-lag = 11: not allowed"},
    {"[sipproxy]\noverload-ctrl-dialog-rate = 1000001\n", ":2: overload-ctrl-dialog-rate"},
    {"[sipproxy]\ndns-servers = ns.example\n", ":2: dns-servers = ns.example: not allowed"},
    {"[sipproxy]\ndns-servers = 1.1.1.1 1.1.1.2 1.1.1.3 1.1.1.4 1.1.1.5 1.1.1.6 1.1.1.7 1.1.1.8 1.1.1.9\n",
     ":2: dns-servers: 9 of them; allowed: at most 8"},
    {"[sipproxy]\ndns-timeout = 50ms\n", ":2: dns-timeout = 50ms: not allowed"},
    {"[sipproxy]\ndns-tries = 0\n", ":2: dns-tries = 0: not allowed; allowed: 1 to 10"},
};

/* Each alone: one line, which begins with file and line. */
static void test_mistakes(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(mistakes) / sizeof(mistakes[0]); i++) {
        struct loaded l = load(mistakes[i].text);
        if (l.status != ERR_PARSE || strstr(l.errors, mistakes[i].says) == NULL ||
            count_lines(l.errors) != 1)
            fail_msg("case %zu: %s\nstatus %d, said: %s", i, mistakes[i].text, l.status, l.errors);
        done(&l);
    }
}

static void test_unknown_section_names_all(void **state)
{
    (void)state;
    struct loaded l = load("[trunk 1]\n");
    assert_int_equal(l.status, ERR_PARSE);
    assert_non_null(strstr(l.errors, ":1: [trunk 1]: unknown section; allowed: [sipproxy], "
                                     "[application NAME], [listener ADDRESS], [domain NAME], "
                                     "[dn NUMBER-OR-NAME]\n"));
    done(&l);
}

static void test_too_many_members(void **state)
{
    (void)state;
    char text[2048];
    size_t n = (size_t)snprintf(text, sizeof(text), "[application a]\nrole = balanced\nmembers =");
    for (unsigned i = 0; i <= GROUP_MEMBERS_MAX; i++)
        n += (size_t)snprintf(text + n, sizeof(text) - n, " sip:10.0.0.%u\n", i + 1);
    struct loaded l = load(text);
    assert_int_equal(l.status, ERR_PARSE);
    assert_non_null(
        strstr(l.errors, ":3: [application a]: members: 33 of them; allowed: at most 32"));
    done(&l);
}

/* A member with the same host as ours and another port is somebody else on the same machine. */
static void test_no_loop(void **state)
{
    (void)state;
    struct loaded l = load_well(
        "[sipproxy]\nsip-address = 10.0.0.1\naliases = pool.example.net:5070\n"
        "[application a]\nprimary = sip:10.0.0.1:5080\nbackup = sip:127.0.0.1\n"
        "[application b]\nprimary = sip:pool.example.net\nbackup = sip:10.0.0.1:5061;transport=tcp\n"
        "[dn 1]\ncontact = sip:2@10.0.0.1\n");
    assert_int_equal(l.conf->ngroups, 2);
    done(&l);
}

/* --- a running configuration and its next --- */

static void test_reload_of_sides(void **state)
{
    (void)state;
    struct loaded a = load_well("[sipproxy]\nsip-address = 10.0.0.1 10.0.0.2\naliases = x\n"
                                "sip-advertised-address = 192.0.2.1\n"
                                "[listener 10.0.0.2]\nadvertised-address = 192.0.2.2:5070\n"),
                  b = load_well("[sipproxy]\nsip-address = 10.0.0.2 10.0.0.1\naliases = y z\n"
                                "sip-advertised-address = 192.0.2.1\nsip-access = 10.0.0.0/8\n"
                                "[listener 10.0.0.2]\nadvertised-address = 192.0.2.3\n"
                                "access = 10.9.0.0/16, 10.8.0.0/16\n");
    char *text = NULL;
    size_t size;
    FILE *out = open_memstream(&text, &size);
    assert_int_equal(conf_needs_restart(a.conf, b.conf, out), 2);
    fclose(out);
    assert_non_null(strstr(text, "sip-address = 10.0.0.2 10.0.0.1 needs a restart"));
    assert_non_null(strstr(text, "advertised-address of [listener 10.0.0.2] needs a restart"));
    free(text);
    assert_int_equal(conf_keep_running(a.conf, b.conf), 0);
    done(&a); /* nothing of it is borrowed */
    const struct flow_side *s = b.conf->flow.sides;
    assert_true(slice_eq(s[0].advertised, SLICE("192.0.2.1")));
    assert_int_equal(s[0].naccess, 1);
    assert_true(slice_eq(s[1].advertised, SLICE("192.0.2.2")));
    assert_int_equal(s[1].advertised_port, 5070);
    assert_int_equal(s[1].naccess, 2);
    static const char *const aliases[] = {"y", "z", "192.0.2.1", "192.0.2.2:5070"};
    assert_int_equal(b.conf->route.naliases, 4);
    for (unsigned i = 0; i < 4; i++)
        assert_true(slice_eq(b.conf->route.aliases[i], slice_str(aliases[i])));
    done(&b);
}

static const char whole[] =
    "[sipproxy]\nsip-address = 10.0.0.1, 10.0.0.2\naliases = a.example\nserving-sipserver = main\n"
    "applications = main, media\nsip-advertised-address = b.example\ndns-servers = 10.0.0.53\n"
    "emergency-numbers = 112\n"
    "[application main]\nprimary = sip:10.0.0.5\nbackup = sip:10.0.0.6\naccess = 10.1.0.0/16\n"
    "tls-verify-server = false\n"
    "[application media]\nrole = balanced\nmembers = sip:10.0.0.7\n  sip:10.0.0.8\nweights = 1 2\n"
    "oos-check-failure = 404\n"
    "[listener 10.0.0.2]\nadvertised-address = c.example:5070\naccess = 10.0.0.0/8\n"
    "[domain d.example]\napplication = media\n[domain *.e.example]\ncontact = sip:10.0.0.9\n"
    "[dn t]\ntype = trunk\ncontact = sip:10.0.0.10\ncontact-backup = sip:10.0.0.11\nprefix = 0\n";

/* Without memory a file is not read, and nothing of it is taken for a mistake. */
static void test_allocation_failures(void **state)
{
    (void)state;
    mem_fail_at(1);
    void *probe = mem_alloc(1);
    mem_fail_at(0);
    if (probe != NULL) {
        mem_free(probe);
        skip();
    }
    struct loaded now = load_well(whole);
    for (uint64_t n = 1; n < 10000; n++) {
        mem_fail_at(n);
        struct loaded next = load(whole);
        if (next.status == 0 && conf_keep_running(now.conf, next.conf) != 0)
            next.status = ERR_NOMEM;
        bool failed = mem_failed();
        mem_fail_at(0);
        assert_int_equal(next.status, failed ? ERR_NOMEM : 0);
        done(&next);
        if (!failed) {
            done(&now);
            return;
        }
    }
    fail_msg("never without a failure");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_pair),
        cmocka_unit_test(test_pair_of_one),
        cmocka_unit_test(test_balanced),
        cmocka_unit_test(test_applications_that_are_used),
        cmocka_unit_test(test_domains),
        cmocka_unit_test(test_trunks),
        cmocka_unit_test(test_sides),
        cmocka_unit_test(test_defaults),
        cmocka_unit_test(test_values),
        cmocka_unit_test(test_mistakes),
        cmocka_unit_test(test_unknown_section_names_all),
        cmocka_unit_test(test_too_many_members),
        cmocka_unit_test(test_no_loop),
        cmocka_unit_test(test_reload_of_sides),
        cmocka_unit_test(test_allocation_failures),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
