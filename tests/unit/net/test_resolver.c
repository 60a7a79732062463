/* SPDX-License-Identifier: Apache-2.0 */
#include "net/resolver.h"

#include <stdio.h>
#include <string.h>

#include "turn.h"

static struct turn t;
static struct net_resolver *r;
static unsigned calls;
static int last_err;
static struct addr first;
static unsigned last_n;

static void on_resolved(void *user, int err, const struct addr *addrs, unsigned n)
{
    (void)user;
    calls++;
    last_err = err;
    last_n = n;
    if (n != 0)
        first = addrs[0];
}

static bool called(void)
{
    return calls != 0;
}

static void begin(void)
{
    turn_start(&t);
    calls = 0;
    assert_int_equal(net_resolver_new(t.loop, NULL, NULL, &r), 0);
}

static void end(void)
{
    net_resolver_free(&r);
    assert_null(r);
    turn_stop(&t);
}

static void test_numeric(void **state)
{
    struct addr four, six;
    (void)state;
    begin();
    assert_int_equal(addr_parse_ip(SLICE("192.0.2.7"), 0, &four), 0);
    assert_int_equal(addr_parse_ip(SLICE("2001:db8::7"), 0, &six), 0);
    assert_int_equal(net_resolve(r, SLICE("192.0.2.7"), on_resolved, NULL, NULL), 1);
    assert_int_equal(calls, 1);
    assert_int_equal(last_n, 1);
    assert_true(addr_eq(&first, &four));
    assert_int_equal(net_resolve(r, SLICE("[2001:db8::7]"), on_resolved, NULL, NULL), 1);
    assert_true(addr_eq(&first, &six));
    end();
}

static bool hosts_file_has_localhost(void)
{
    char line[512];
    bool has = false;
    FILE *f = fopen("/etc/hosts", "re");
    while (f != NULL && !has && fgets(line, sizeof(line), f) != NULL)
        has = line[0] != '#' && strstr(line, "localhost") != NULL;
    if (f != NULL)
        fclose(f);
    return has;
}

static void test_hosts_file(void **state)
{
    (void)state;
    if (!hosts_file_has_localhost()) {
        print_message("/etc/hosts does not name localhost\n");
        skip();
    }
    begin();
    if (net_resolve(r, SLICE("LocalHost"), on_resolved, NULL, NULL) == 0)
        turn_until(&t, called);
    assert_int_equal(calls, 1);
    assert_int_equal(last_err, 0);
    assert_true(addr_is_loopback(&first));
    assert_int_equal(first.port, 0);
    /* Now it is known, in any spelling. */
    assert_int_equal(net_resolve(r, SLICE("localhost"), on_resolved, NULL, NULL), 1);
    assert_int_equal(calls, 2);
    end();
}

static void test_what_is_no_host(void **state)
{
    char longest[300];
    (void)state;
    begin();
    memset(longest, 'a', sizeof(longest));
    assert_int_equal(net_resolve(r, SLICE_NONE, on_resolved, NULL, NULL), 1);
    assert_int_equal(last_err, ERR_PARSE);
    assert_int_equal(
        net_resolve(r, (struct slice){longest, sizeof(longest)}, on_resolved, NULL, NULL), 1);
    assert_int_equal(last_err, ERR_PARSE);
    assert_int_equal(net_resolve(r, (struct slice){"a\0b", 3}, on_resolved, NULL, NULL), 1);
    assert_int_equal(last_err, ERR_PARSE);
    assert_int_equal(calls, 3);
    end();
}

/* A query under way ends by being cancelled, or with the resolver; it asks nobody before the loop
 * turns. */
static void test_cancel_and_free(void **state)
{
    uint64_t query = 0;
    (void)state;
    begin();
    int rc = net_resolve(r, SLICE("no-such-host.invalid"), on_resolved, NULL, &query);
    if (rc == 0) {
        net_resolve_cancel(r, query);
        net_resolve_cancel(r, query);
        assert_int_equal(calls, 0);
        assert_int_equal(net_resolve(r, SLICE("no-such-host.invalid"), on_resolved, NULL, &query),
                         0);
    }
    net_resolver_free(&r);
    assert_int_equal(calls, 1);
    assert_true(last_err < 0);
    net_resolver_free(&r); /* nothing */
    turn_stop(&t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_numeric),
        cmocka_unit_test(test_hosts_file),
        cmocka_unit_test(test_what_is_no_host),
        cmocka_unit_test(test_cancel_and_free),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
