/* SPDX-License-Identifier: Apache-2.0 */
/* Flow tokens (RFC 5626 5.2): what is written is read again, and nothing else is. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "route/route.h"

static struct route *route_with(uint64_t k)
{
    static const struct route_conf conf;
    struct hash_key key = {k, ~k};
    struct route_deps deps = {.key = &key};
    struct route *r;
    assert_int_equal(route_new(&conf, &deps, &r), 0);
    return r;
}

static struct flow_dest dest_of(uint64_t flow, const char *remote, uint8_t transport,
                                uint16_t alt_port, bool no_reopen)
{
    struct flow_dest d = {
        .flow = flow, .transport = transport, .alt_port = alt_port, .no_reopen = no_reopen};
    assert_int_equal(addr_parse(slice_str(remote), 0, &d.remote), 0);
    return d;
}

static struct slice token(struct route *r, const struct flow_dest *d, char text[ROUTE_TOKEN_MAX])
{
    struct buf b;
    buf_init(&b, text, ROUTE_TOKEN_MAX);
    route_token_write(r, d, &b);
    assert_false(b.overflow);
    return buf_get(&b);
}

static void written_and_read(void **state)
{
    (void)state;
    const struct flow_dest rows[] = {
        dest_of(0, "10.0.0.1:5060", SIP_UDP, 0, false),
        dest_of(0x123456789abcdef0, "10.0.0.1:5060", SIP_TCP, 5062, false),
        dest_of(UINT64_MAX, "[2001:db8::ffff]:65535", SIP_TCP, 65535, true),
        dest_of(7, "[::1]:1", SIP_UDP, 1, true),
    };
    struct route *r = route_with(1);
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        char text[ROUTE_TOKEN_MAX];
        struct flow_dest d;
        assert_int_equal(route_token_parse(r, token(r, &rows[i], text), &d), 0);
        assert_int_equal(d.flow, rows[i].flow);
        assert_true(addr_eq(&d.remote, &rows[i].remote));
        assert_int_equal(d.alt_port, rows[i].alt_port);
        assert_int_equal(d.transport, rows[i].transport);
        assert_int_equal(d.no_reopen, rows[i].no_reopen);
        assert_int_equal(d.local.family, ADDR_NONE);
    }
    route_free(&r);
}

/* Every character counts, and so does every length. */
static void forged_ones_are_refused(void **state)
{
    (void)state;
    struct route *r = route_with(1), *other = route_with(2);
    const struct flow_dest v4 = dest_of(9, "10.0.0.1:5060", SIP_TCP, 0, false);
    const struct flow_dest v6 = dest_of(9, "[2001:db8::1]:5060", SIP_TCP, 0, false);
    const struct flow_dest *const both[] = {&v4, &v6};
    for (unsigned k = 0; k < 2; k++) {
        char text[ROUTE_TOKEN_MAX];
        struct flow_dest d;
        struct slice t = token(r, both[k], text);
        for (size_t i = 0; i < t.len; i++) {
            char was = text[i];
            for (const char *c = "0123456789abcdefABCDEFgh%\x80"; *c != '\0'; c++) {
                text[i] = *c;
                assert_int_equal(route_token_parse(r, t, &d) == 0, *c == was);
            }
            text[i] = was;
        }
        for (size_t len = 0; len < t.len; len++)
            assert_int_equal(route_token_parse(r, slice_of(text, len), &d), ERR_NOT_FOUND);
        assert_int_equal(route_token_parse(other, t, &d), ERR_NOT_FOUND);
    }
    route_free(&r);
    route_free(&other);
}

static void other_users_are_no_tokens(void **state)
{
    (void)state;
    char long_user[120] = "hf";
    memset(long_user + 2, '0', sizeof(long_user) - 3);
    const char *const users[] = {
        "", "hf", "1001", "hfhfhf", "HF00", long_user,
    };
    struct route *r = route_with(1);
    for (size_t i = 0; i < sizeof(users) / sizeof(users[0]); i++) {
        struct flow_dest d;
        assert_int_equal(route_token_parse(r, slice_str(users[i]), &d), ERR_NOT_FOUND);
    }
    assert_int_equal(route_token_parse(r, SLICE_NONE, &(struct flow_dest){0}), ERR_NOT_FOUND);
    route_free(&r);
}

static void does_not_fit(void **state)
{
    (void)state;
    struct route *r = route_with(1);
    const struct flow_dest d = dest_of(9, "[2001:db8::1]:5060", SIP_TCP, 0, false);
    char text[ROUTE_TOKEN_MAX];
    size_t len = token(r, &d, text).len;
    for (size_t cap = 0; cap < len; cap++) {
        struct buf b;
        buf_init(&b, text, cap);
        route_token_write(r, &d, &b);
        assert_true(b.overflow);
    }
    route_free(&r);
}

static void relay_from(void **state)
{
    (void)state;
    struct addr_net nets[2];
    struct route_conf conf = {.relay_from = nets, .nrelay_from = 2};
    struct hash_key key = {1, 2};
    struct route_deps deps = {.key = &key};
    struct route *r;
    struct addr a;
    assert_int_equal(addr_net_parse(SLICE("10.0.0.0/8"), &nets[0]), 0);
    assert_int_equal(addr_net_parse(SLICE("::1"), &nets[1]), 0);
    assert_int_equal(route_new(&conf, &deps, &r), 0);
    assert_int_equal(addr_parse(SLICE("10.255.0.1:1"), 0, &a), 0);
    assert_true(route_may_relay(r, &a));
    assert_int_equal(addr_parse(SLICE("11.0.0.1:1"), 0, &a), 0);
    assert_false(route_may_relay(r, &a));
    assert_int_equal(addr_parse(SLICE("[::1]:1"), 0, &a), 0);
    assert_true(route_may_relay(r, &a));
    conf.nrelay_from = 0;
    assert_false(route_may_relay(r, &a));
    route_free(&r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(written_and_read),
        cmocka_unit_test(forged_ones_are_refused),
        cmocka_unit_test(other_users_are_no_tokens),
        cmocka_unit_test(does_not_fit),
        cmocka_unit_test(relay_from),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
