/* SPDX-License-Identifier: Apache-2.0 */
/* What is counted over all workers: how fast connections to one address are opened. */
#include "flow/counts.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>

#include <cmocka.h>

static struct addr ip(const char *text, uint16_t port)
{
    struct addr a;
    assert_int_equal(addr_parse_ip(slice_str(text), port, &a), 0);
    return a;
}

static unsigned open_many(struct flow_counts *c, const struct addr *a, unsigned rate, uint64_t now)
{
    unsigned n = 0;
    while (n < 10000 && flow_counts_open(c, a, rate, now) == 0)
        n++;
    return n;
}

static void a_second_s_worth_at_once_then_by_the_rate(void **state)
{
    struct flow_counts *c;
    (void)state;
    assert_int_equal(flow_counts_new(&c), 0);
    struct addr a = ip("10.0.0.1", 5060), other_port = ip("10.0.0.1", 6000);
    assert_int_equal(open_many(c, &a, 100, 5000), 100);
    uint32_t wait = flow_counts_open(c, &other_port, 100, 5000);
    assert_in_range(wait, 1, 20);
    assert_int_equal(flow_counts_open(c, &a, 100, 5000 + wait), 0);
    /* Half a second gives half as many; a long pause a second's worth and no more. */
    assert_in_range(open_many(c, &a, 100, 5500), 48, 50);
    assert_int_equal(open_many(c, &a, 100, 500000), 100);
    flow_counts_free(&c);
}

static void addresses_have_limits_of_their_own_and_one_in_common(void **state)
{
    struct flow_counts *c;
    struct addr nobody = {.family = ADDR_NONE};
    (void)state;
    assert_int_equal(flow_counts_new(&c), 0);
    unsigned full = 0;
    for (unsigned i = 0; i < 50; i++) {
        char text[32];
        snprintf(text, sizeof(text), "10.0.1.%u", i);
        struct addr a = ip(text, 5060);
        full += open_many(c, &a, 10, 1000) == 10;
    }
    assert_in_range(full, 48, 50); /* two of them may share a slot */
    assert_int_equal(open_many(c, &nobody, 40, 1000), 40);
    assert_int_not_equal(flow_counts_open(c, &nobody, 40, 1000), 0);
    flow_counts_free(&c);
}

/* A loop's clock may lag behind another's by a turn. */
static void time_that_goes_back_gives_nothing(void **state)
{
    struct flow_counts *c;
    (void)state;
    assert_int_equal(flow_counts_new(&c), 0);
    struct addr a = ip("10.0.0.1", 5060);
    assert_int_equal(open_many(c, &a, 4, 9000), 4);
    uint32_t wait = flow_counts_open(c, &a, 4, 8900);
    assert_in_range(wait, 100, 400);
    flow_counts_free(&c);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_second_s_worth_at_once_then_by_the_rate),
        cmocka_unit_test(addresses_have_limits_of_their_own_and_one_in_common),
        cmocka_unit_test(time_that_goes_back_gives_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
