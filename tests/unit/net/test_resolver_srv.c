/* SPDX-License-Identifier: Apache-2.0 */
/* The draw among SRV records (RFC 2782). */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "net/resolver_int.h"

#define DRAWS 10000

/* How often each record of the group comes first; the port is its number. */
static void draw_firsts(const uint16_t *weights, unsigned n, unsigned *firsts)
{
    struct rng rng;
    rng_seed(&rng, 7);
    memset(firsts, 0, n * sizeof(*firsts));
    for (unsigned k = 0; k < DRAWS; k++) {
        struct net_srv s[NET_SRV_MAX];
        unsigned seen = 0;
        for (unsigned i = 0; i < n; i++)
            s[i] = (struct net_srv){.priority = 1, .weight = weights[i], .port = (uint16_t)i};
        dns_srv_draw(&rng, s, n);
        for (unsigned i = 0; i < n; i++)
            seen |= 1u << s[i].port;
        assert_int_equal(seen, (1u << n) - 1); /* each once */
        firsts[s[0].port]++;
    }
}

static void assert_near(unsigned got, unsigned want)
{
    unsigned off = got > want ? got - want : want - got;
    if (off > 300) /* six standard deviations */
        fail_msg("%u instead of about %u of %u", got, want, DRAWS);
}

static void test_weights(void **state)
{
    static const uint16_t weights[] = {10, 30, 60}, equal[] = {7, 7, 7, 7};
    unsigned firsts[4];
    (void)state;
    draw_firsts(weights, 3, firsts);
    assert_near(firsts[0], 1000);
    assert_near(firsts[1], 3000);
    assert_near(firsts[2], 6000);
    draw_firsts(equal, 4, firsts);
    for (unsigned i = 0; i < 4; i++)
        assert_near(firsts[i], 2500);
}

/* Weight 0 among others: a very small chance, not none. Alone: all alike. */
static void test_zeros(void **state)
{
    static const uint16_t mixed[] = {9, 0}, heavy[] = {1000, 0}, zeros[] = {0, 0, 0, 0};
    unsigned firsts[4];
    (void)state;
    draw_firsts(mixed, 2, firsts);
    assert_near(firsts[1], 1000); /* one number of the ten from 0 to 9 */
    draw_firsts(heavy, 2, firsts);
    assert_true(firsts[1] > 0 && firsts[1] < 50);
    draw_firsts(zeros, 4, firsts);
    for (unsigned i = 0; i < 4; i++)
        assert_near(firsts[i], 2500);
}

static void test_priorities(void **state)
{
    struct rng rng;
    (void)state;
    rng_seed(&rng, 1);
    for (unsigned k = 0; k < 1000; k++) {
        struct net_srv s[6];
        unsigned firsts = 0;
        for (unsigned i = 0; i < 6; i++)
            s[i] = (struct net_srv){
                .priority = (uint16_t)(i / 2), .weight = 65535, .port = (uint16_t)i};
        dns_srv_draw(&rng, s, 6);
        for (unsigned i = 0; i < 6; i++) {
            assert_int_equal(s[i].priority, i / 2);
            assert_int_equal(s[i].port / 2, i / 2);
            firsts += s[i].port;
        }
        assert_int_equal(firsts, 15);
    }
    dns_srv_draw(&rng, NULL, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_weights),
        cmocka_unit_test(test_zeros),
        cmocka_unit_test(test_priorities),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
