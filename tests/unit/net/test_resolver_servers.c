/* SPDX-License-Identifier: Apache-2.0 */
/* Servers that are silent, refuse, or change; and answers that are no use. */
#include "dns_rig.h"
#include "rows.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static struct dns_rig d;
static struct dns_heard h, second;

static const char *const zone[] = {
    "sip.test 60 A 192.0.2.1",
    "short.test 1 A 192.0.2.3",
    "long.test 2147483647 A 192.0.2.4",
    "wrong.test 2147483648 A 192.0.2.5",
    "ring1.test 60 CNAME ring2.test",
    "ring2.test 60 CNAME ring1.test",
    "_sip._udp.test 60 SRV 10 0 5060 sip1.test",
    NULL,
};

static void ask_fresh(const char *name, struct dns_heard *heard)
{
    (void)net_resolver_forget(d.r, slice_str(name));
    assert_false(dns_ask_srv(&d, name, heard));
}

/* The second server answers; from then on it is asked first, and the first one only aside. */
static void test_first_is_silent(void **state)
{
    (void)state;
    dns_rig_start(&d, 2, zone);
    d.peers[0].mood = DNS_SILENT;
    ask_fresh("_sip._udp.test", &h);
    assert_int_equal(h.n, 1);
    assert_int_equal(d.peers[0].asked, 2); /* and once more, whether it keeps silent for the name */
    assert_int_equal(d.peers[1].asked, 1);
    for (unsigned i = 0; i < 20; i++)
        ask_fresh("_sip._udp.test", &h);
    assert_int_equal(d.peers[1].asked, 21);
    assert_int_equal(d.peers[0].asked, 2);

    /* Now and then somebody looks whether it answers again; nobody waits for that. */
    d.peers[0].mood = DNS_GOOD;
    uint64_t before = net_now(d.t.loop);
    while (d.peers[0].asked < 3) {
        assert_true(net_now(d.t.loop) < before + 10000);
        dns_rig_idle(&d, 20);
        ask_fresh("_sip._udp.test", &h);
    }
    dns_rig_idle(&d, 20);
    unsigned others = d.peers[1].asked;
    for (unsigned i = 0; i < 5; i++)
        ask_fresh("_sip._udp.test", &h);
    assert_int_equal(d.peers[1].asked, others);
    assert_int_equal(dns_rig_count(&d, CTR_DNS_FAILED), 0);
    dns_rig_stop(&d);
}

static void test_refusals(void **state)
{
    static const enum dns_mood moods[] = {DNS_FAILS, DNS_REFUSES, DNS_BROKEN};
    (void)state;
    for (size_t i = 0; i < 3; i++) {
        int want = moods[i] == DNS_BROKEN ? ERR_DNS_BAD : ERR_DNS_REFUSED;
        dns_rig_start(&d, 2, zone);
        d.peers[0].mood = moods[i];
        ask_fresh("_sip._udp.test", &h);
        assert_int_equal(h.err, 0);
        assert_int_equal(dns_rig_asked(&d), 2);
        d.peers[1].mood = moods[i];
        ask_fresh("_sip._udp.test", &h);
        assert_int_equal(h.err, want);
        assert_int_equal(dns_rig_asked(&d), 4); /* each once */
        /* For a while the name is not asked again, others are. */
        assert_true(dns_ask_srv(&d, "_sip._udp.test", &h));
        assert_int_equal(h.err, want);
        assert_false(dns_ask_srv(&d, "other.test", &h));
        assert_int_equal(dns_rig_count(&d, CTR_DNS_FAILED), 2);
        d.peers[1].mood = DNS_GOOD;
        assert_false(dns_ask_srv(&d, "third.test", &h));
        assert_int_equal(h.err, ERR_NOT_FOUND);
        dns_rig_stop(&d);
    }
}

static char log_text[8192];

/* What was logged since. */
static int log_pipe[2];

static void log_begin(void)
{
    assert_int_equal(pipe2(log_pipe, O_NONBLOCK | O_CLOEXEC), 0);
    log_set_fd(log_pipe[1]);
}

static const char *log_end(void)
{
    log_set_fd(-1);
    ssize_t n = read(log_pipe[0], log_text, sizeof(log_text) - 1);
    log_text[n > 0 ? n : 0] = '\0';
    close(log_pipe[0]);
    close(log_pipe[1]);
    return log_text;
}

static unsigned count_of(const char *text, const char *what)
{
    unsigned n = 0;
    for (const char *p = text; (p = strstr(p, what)) != NULL; p++)
        n++;
    return n;
}

static bool is_back(void)
{
    return h.calls != 0;
}

static void expire_short(void)
{
    uint64_t before = dns_rig_count(&d, CTR_DNS_HITS);
    while (dns_rig_count(&d, CTR_DNS_STALE) == 0) {
        assert_true(dns_ask_host(&d, "short.test", &h));
        assert_true(dns_heard_ip(&h, "192.0.2.3"));
        dns_rig_idle(&d, 20);
    }
    assert_true(dns_rig_count(&d, CTR_DNS_HITS) > before);
}

/* All servers dead in mid-operation: what is known goes on, what is not fails, once slowly and then
 * at once; and it ends by itself. */
static void test_all_silent(void **state)
{
    (void)state;
    dns_rig_start(&d, 2, zone);
    log_begin();
    d.peers[0].soa_minimum = d.peers[1].soa_minimum = 0;
    assert_false(dns_ask_host(&d, "short.test", &h));
    assert_false(dns_ask_naptr(&d, "short.test", &second)); /* there is none */
    assert_false(dns_ask_host(&d, "nobody.test", &second));
    d.peers[0].mood = d.peers[1].mood = DNS_SILENT;
    expire_short();
    assert_true(dns_ask_naptr(&d, "short.test", &second));
    assert_int_equal(second.err, ERR_NOT_FOUND);
    assert_false(dns_ask_srv(&d, "unknown.test", &h));
    assert_int_equal(h.err, ERR_DNS_SILENT);
    unsigned asked = dns_rig_asked(&d);
    for (unsigned i = 0; i < 50; i++) {
        char name[32];
        snprintf(name, sizeof(name), "u%u.test", i);
        assert_true(dns_ask_srv(&d, name, &h));
        assert_int_equal(h.err, ERR_DNS_SILENT);
        assert_true(dns_ask_host(&d, "short.test", &h));
        assert_true(dns_heard_ip(&h, "192.0.2.3"));
        assert_true(dns_ask_naptr(&d, "short.test", &second));
        assert_int_equal(second.err, ERR_NOT_FOUND);
        assert_true(dns_ask_host(&d, "nobody.test", &second));
        assert_int_equal(second.err, ERR_DNS_SILENT);
    }
    assert_int_equal(dns_rig_asked(&d), asked);

    d.peers[1].mood = DNS_GOOD;
    uint64_t before = net_now(d.t.loop);
    do { /* one look at a time, with growing pauses */
        assert_true(net_now(d.t.loop) < before + 10000);
        dns_rig_idle(&d, 20);
        h.calls = 0;
        if (net_resolve_srv(d.r, SLICE("_sip._udp.test"), dns_on_srv, &h, NULL) == 0)
            dns_rig_until(&d, is_back);
    } while (h.err != 0);
    assert_int_equal(dns_rig_count(&d, CTR_DNS_STALE) > 50, 1);
    const char *text = log_end();
    assert_int_equal(count_of(text, "DNS servers do not answer: known names go on event=48001"), 1);
    assert_int_equal(count_of(text, "DNS servers answer again event=48002"), 1);
    assert_non_null(strstr(text, "127.0.0.1:"));
    dns_rig_stop(&d);
}

/* With dns-max-stale 0 nothing goes on. */
static void test_nothing_stale(void **state)
{
    (void)state;
    dns_rig_start(&d, 1, zone);
    d.conf.max_stale_ms = 0;
    d.conf.tries = 1;
    net_resolver_set_conf(d.r, &d.conf);
    assert_false(dns_ask_host(&d, "short.test", &h));
    d.peers[0].mood = DNS_SILENT;
    while (h.err == 0) {
        dns_ask_host(&d, "short.test", &h);
        dns_rig_idle(&d, 20);
    }
    assert_int_equal(h.err, ERR_DNS_SILENT);
    assert_int_equal(dns_rig_count(&d, CTR_DNS_STALE), 0);
    dns_rig_stop(&d);
}

/* A server that keeps silent for one name is not dead. */
static void one_is_dropped(struct dns_out *o, const char *name, unsigned type)
{
    (void)type;
    if (strcmp(name, "dropped.test") == 0)
        o->bytes[0] ^= 0x11; /* comes as nothing */
}

static bool second_heard(void)
{
    return second.calls != 0;
}

/* Nothing was answered before, and the very first name is dropped: it is not down. */
static void test_first_name_is_dropped(void **state)
{
    (void)state;
    dns_rig_start(&d, 1, zone);
    d.peers[0].more = one_is_dropped;
    assert_false(dns_ask_srv(&d, "dropped.test", &h));
    assert_int_equal(h.err, ERR_DNS_SILENT);
    assert_false(dns_ask_srv(&d, "asked.test", &h));
    assert_int_equal(h.err, ERR_NOT_FOUND);
    dns_rig_stop(&d);
}

static void test_one_name_is_dropped(void **state)
{
    char name[32];
    unsigned i = 0;
    (void)state;
    dns_rig_start(&d, 1, zone);
    d.peers[0].more = one_is_dropped;
    second.calls = 0;
    assert_int_equal(net_resolve_srv(d.r, SLICE("dropped.test"), dns_on_srv, &second, NULL), 0);
    do {
        snprintf(name, sizeof(name), "a%u.test", i++);
        assert_false(dns_ask_srv(&d, name, &h));
        assert_int_equal(h.err, ERR_NOT_FOUND);
    } while (!second_heard());
    assert_int_equal(second.err, ERR_DNS_SILENT);
    assert_false(dns_ask_srv(&d, "still-asked.test", &h));
    assert_int_equal(h.err, ERR_NOT_FOUND);

    /* Alone, too: what was answered before is asked beside the second try. */
    (void)net_resolver_forget(d.r, SLICE_NONE);
    log_begin();
    unsigned asked = d.peers[0].asked;
    assert_false(dns_ask_srv(&d, "dropped.test", &second));
    assert_int_equal(second.err, ERR_DNS_SILENT);
    assert_true(d.peers[0].asked >= asked + 3);
    assert_false(dns_ask_srv(&d, "still-asked.test", &h));
    assert_int_equal(h.err, ERR_NOT_FOUND);
    const char *text = log_end();
    assert_int_equal(count_of(text, "DNS servers do not answer"), 0);
    assert_int_equal(count_of(text, "DNS question failed"), 1);
    dns_rig_stop(&d);
}

static void test_nobody_listens(void **state)
{
    (void)state;
    dns_rig_start(&d, 1, zone);
    close(d.peers[0].udp);
    d.peers[0].udp = -1;
    assert_false(dns_ask_host(&d, "sip.test", &h));
    assert_int_equal(h.err, ERR_DNS_SILENT);
    dns_rig_stop(&d);
}

static void five_hundred(struct dns_out *o, const char *name, unsigned type)
{
    char text[64];
    for (unsigned i = 0; i < 500 && type == DNS_SRV; i++) {
        snprintf(text, sizeof(text), "SRV %u 0 5060 t%u.test", i / 10, i);
        dns_put_text(o, name, 60, text);
    }
}

/* What does not fit into a datagram comes by TCP; of too much the first in order is used. */
static void test_by_tcp(void **state)
{
    (void)state;
    dns_rig_start(&d, 1, zone);
    d.peers[0].mood = DNS_CUTS;
    d.peers[0].more = five_hundred;
    log_begin();
    assert_false(dns_ask_srv(&d, "big.test", &h));
    assert_int_equal(h.n, NET_SRV_MAX);
    assert_int_equal(h.srvs[0].priority, 0);
    assert_int_equal(h.srvs[NET_SRV_MAX - 1].priority, 3);
    assert_int_equal(d.peers[0].asked, 1);
    assert_int_equal(d.peers[0].asked_tcp, 1);
    d.peers[0].mood = DNS_GOOD; /* one datagram of 15,000 bytes that nobody asked for */
    ask_fresh("big2.test", &h);
    assert_int_equal(h.n, NET_SRV_MAX);
    assert_int_equal(d.peers[0].asked_tcp, 2);
    assert_int_equal(count_of(log_end(), "more records than are used"), 1);
    /* Both families cut. */
    d.peers[0].mood = DNS_CUTS;
    assert_false(dns_ask_host(&d, "sip.test", &h));
    assert_true(dns_heard_ip(&h, "192.0.2.1"));
    dns_rig_stop(&d);
}

static void test_tcp_fails(void **state)
{
    static const enum dns_mood moods[] = {DNS_CUTS_ONLY, DNS_CUTS_SILENT};
    (void)state;
    for (size_t i = 0; i < 2; i++) {
        dns_rig_start(&d, 2, zone);
        d.peers[0].mood = moods[i];
        ask_fresh("_sip._udp.test", &h); /* the second server has it */
        assert_int_equal(h.err, 0);
        d.peers[1].mood = moods[i];
        ask_fresh("_sip._udp.test", &h);
        assert_int_equal(h.err, ERR_DNS_SILENT);
        dns_rig_stop(&d);
    }
}

/* What is not an answer to our question is none: the true one may still come. */
static void test_forged(void **state)
{
    static const enum dns_mood moods[] = {DNS_WRONG_ID, DNS_WRONG_NAME, DNS_GARBAGE};
    (void)state;
    for (size_t i = 0; i < 3; i++) {
        dns_rig_start(&d, 1, zone);
        d.peers[0].mood = moods[i];
        assert_false(dns_ask_host(&d, "sip.test", &h));
        assert_int_equal(h.err, ERR_DNS_SILENT);
        dns_rig_stop(&d);
    }
}

static void test_rings(void **state)
{
    (void)state;
    dns_rig_start(&d, 1, zone);
    log_begin();
    assert_false(dns_ask_host(&d, "ring1.test", &h));
    assert_int_equal(h.err, ERR_DNS_BAD);
    const char *text = log_end();
    assert_int_equal(count_of(text, "DNS question failed"), 2);
    assert_non_null(strstr(text, "ring1.test"));
    assert_non_null(strstr(text, "malformed DNS answer"));
    dns_rig_stop(&d);
}

/* RFC 2181 8: more than 31 bits count as 0; no answer is kept for longer than a day. */
static void test_large_ttl(void **state)
{
    (void)state;
    dns_rig_start(&d, 1, zone);
    assert_false(dns_ask_host(&d, "long.test", &h));
    assert_true(dns_ask_host(&d, "long.test", &h));
    assert_false(dns_ask_host(&d, "wrong.test", &h));
    dns_rig_idle(&d, 3);
    assert_false(dns_ask_host(&d, "wrong.test", &h));
    dns_rig_stop(&d);
}

static bool first_was_asked(void)
{
    return d.peers[0].asked != 0;
}

/* Other servers while a question is under way: it goes on with them. */
static void test_other_servers(void **state)
{
    (void)state;
    dns_rig_start(&d, 2, zone);
    d.conf.nservers = 1;
    net_resolver_set_conf(d.r, &d.conf);
    d.peers[0].mood = DNS_SILENT;
    h.calls = 0;
    assert_int_equal(net_resolve_srv(d.r, SLICE("_sip._udp.test"), dns_on_srv, &h, NULL), 0);
    dns_rig_until(&d, first_was_asked);
    d.conf.servers = &d.servers[1];
    net_resolver_set_conf(d.r, &d.conf);
    net_resolver_set_conf(d.r, &d.conf);
    assert_false(dns_ask_srv(&d, "other.test", &second));
    assert_int_equal(second.err, ERR_NOT_FOUND);
    dns_rig_until(&d, is_back);
    assert_int_equal(h.err, 0);
    assert_int_equal(d.peers[0].asked, 1);
    assert_true(dns_ask_srv(&d, "_sip._udp.test", &h)); /* what is known stays */
    dns_rig_stop(&d);
}

static bool is_listed(const char *text)
{
    static struct rows rows;
    const struct row_sink sink = rows_begin(&rows);
    net_resolver_rows(d.r, &sink);
    return rows_have(&rows, text);
}

static void write_file(const char *path, const char *text)
{
    FILE *f = fopen(path, "we");
    assert_non_null(f);
    assert_true(fputs(text, f) >= 0);
    assert_int_equal(fclose(f), 0);
}

/* The system's servers, where none are given: read at a reload and when the file has changed. */
static void test_system_servers(void **state)
{
    char path[] = "/tmp/test-resolv-XXXXXX";
    int fd = mkstemp(path);
    (void)state;
    assert_true(fd >= 0);
    close(fd);
    write_file(path, "nameserver 127.0.0.71\nnameserver 127.0.0.72\n");
    dns_rig_start(&d, 1, zone);
    dns_set_files(d.r, path, "/nonexistent/hosts");
    d.conf.nservers = 0;
    d.conf.timeout_ms = 20;
    d.conf.tries = 1;
    net_resolver_set_conf(d.r, &d.conf);
    assert_true(is_listed("resolver_server address=127.0.0.71:53"));
    assert_true(is_listed("resolver_server address=127.0.0.72:53"));
    write_file(path, "search test\nnameserver 127.0.0.73\n");
    uint64_t before = net_now(d.t.loop);
    while (!is_listed("resolver_server address=127.0.0.73:53")) {
        assert_true(net_now(d.t.loop) < before + 10000);
        dns_ask_srv(&d, "a.test", &h);
        dns_rig_idle(&d, 20);
    }
    assert_false(is_listed("resolver_server address=127.0.0.71:53"));
    write_file(path, "nameserver ::1\n");
    dns_rig_idle(&d, 1100); /* it is looked at once a second */
    net_resolver_set_conf(d.r, &d.conf);
    assert_true(is_listed("resolver_server address=[::1]:53"));
    dns_rig_stop(&d);
    unlink(path);
}

/* Names without a dot are looked for in the system's domains, unless they end in one. */
static void test_search(void **state)
{
    char path[] = "/tmp/test-search-XXXXXX";
    int fd = mkstemp(path);
    (void)state;
    assert_true(fd >= 0);
    close(fd);
    write_file(path, "search nowhere test\nnameserver 127.0.0.1\n");
    dns_rig_start(&d, 1, zone);
    dns_set_files(d.r, path, "/nonexistent/hosts");
    d.conf.timeout_ms = 151; /* other channels */
    net_resolver_set_conf(d.r, &d.conf);
    assert_false(dns_ask_host(&d, "sip", &h));
    assert_true(dns_heard_ip(&h, "192.0.2.1"));
    assert_false(dns_ask_host(&d, "sip.", &h));
    assert_int_equal(h.err, ERR_NOT_FOUND);
    assert_false(dns_ask_host(&d, "sip.nowhere", &h));
    assert_int_equal(h.err, ERR_NOT_FOUND);
    assert_false(dns_ask_host(&d, "nobody", &h));
    assert_int_equal(h.err, ERR_NOT_FOUND);
    dns_rig_stop(&d);
    unlink(path);
}

/* The next question is answered at once, but the turn goes on for longer than a try lasts. */
static void on_busy(void *user, int err, const struct net_srv *records, unsigned n)
{
    dns_on_srv(user, err, records, n);
    assert_int_equal(net_resolve_srv(d.r, SLICE("_sip._udp.test"), dns_on_srv, &h, NULL), 0);
    dns_rig_pump(&d);
    uint64_t until = net_clock(d.t.loop) + 2 * d.conf.timeout_ms;
    while (net_clock(d.t.loop) < until)
        continue;
}

/* Our own delay is no silence of the server. */
static void test_late_loop(void **state)
{
    (void)state;
    dns_rig_start(&d, 1, zone);
    h.calls = second.calls = 0;
    assert_int_equal(net_resolve_srv(d.r, SLICE("first.test"), on_busy, &second, NULL), 0);
    dns_rig_until(&d, is_back);
    assert_int_equal(h.err, 0);
    dns_rig_idle(&d, 5);
    assert_int_equal(d.peers[0].asked, 2);
    dns_rig_stop(&d);
}

/* The port that answers have to find changes, also where there is always something under way. */
static void test_ports(void **state)
{
    char name[32];
    (void)state;
    dns_rig_start(&d, 1, zone);
    d.conf.timeout_ms = 9000;
    net_resolver_set_conf(d.r, &d.conf);
    d.peers[0].more = one_is_dropped;
    second.calls = 0;
    assert_int_equal(net_resolve_srv(d.r, SLICE("dropped.test"), dns_on_srv, &second, NULL), 0);
    for (unsigned i = 0; i < 300; i++) {
        snprintf(name, sizeof(name), "n%u.test", i);
        assert_false(dns_ask_srv(&d, name, &h));
        assert_int_equal(h.err, ERR_NOT_FOUND);
    }
    assert_int_equal(second.calls, 0);
    assert_true(d.peers[0].ports >= 4);
    assert_int_equal(d.peers[0].asked, 301);
    dns_rig_stop(&d);
    assert_int_equal(second.err, ERR_SHUTDOWN);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_first_is_silent),
        cmocka_unit_test(test_refusals),
        cmocka_unit_test(test_all_silent),
        cmocka_unit_test(test_nothing_stale),
        cmocka_unit_test(test_one_name_is_dropped),
        cmocka_unit_test(test_first_name_is_dropped),
        cmocka_unit_test(test_nobody_listens),
        cmocka_unit_test(test_by_tcp),
        cmocka_unit_test(test_tcp_fails),
        cmocka_unit_test(test_forged),
        cmocka_unit_test(test_rings),
        cmocka_unit_test(test_large_ttl),
        cmocka_unit_test(test_other_servers),
        cmocka_unit_test(test_system_servers),
        cmocka_unit_test(test_search),
        cmocka_unit_test(test_late_loop),
        cmocka_unit_test(test_ports),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
