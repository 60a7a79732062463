/* SPDX-License-Identifier: Apache-2.0 */
/* Accepted connections by where they come from, as several workers see them. */
#include <pthread.h>
#include <stdatomic.h>

#include "flow/flow_int.h"
#include "rig.h"

#define FLOWS 400 /* so that the table grows */

static struct flow flows[FLOWS];
static struct flow_sources *sources;

static struct addr from(unsigned i)
{
    return (struct addr){.family = ADDR_IP4, .port = (uint16_t)(1024 + i / 2), .ip = {10, 0, 0, 1}};
}

/* Two from each address, one by TCP and one by TLS. */
static enum sip_transport transport_of(unsigned i)
{
    return i % 2 == 0 ? SIP_TCP : SIP_TLS;
}

static void fill(void)
{
    assert_int_equal(flow_sources_new(&sources), 0);
    for (unsigned i = 0; i < FLOWS; i++) {
        flows[i] = (struct flow){.id = i + 1, .transport = transport_of(i) & 15, .remote = from(i)};
        flow_sources_put(sources, &flows[i]);
    }
}

static uint64_t found(unsigned i)
{
    struct addr remote = from(i);
    return flow_sources_find(sources, (uint8_t)transport_of(i), &remote);
}

static void test_find_and_drop(void **state)
{
    (void)state;
    fill();
    for (unsigned i = 0; i < FLOWS; i++)
        assert_int_equal(found(i), i + 1);
    for (unsigned i = 0; i < FLOWS; i += 3) {
        flow_sources_drop(sources, &flows[i]);
        flow_sources_drop(sources, &flows[i]); /* is left alone */
    }
    for (unsigned i = 0; i < FLOWS; i++)
        assert_int_equal(found(i), i % 3 == 0 ? 0 : i + 1);
    for (unsigned i = 0; i < FLOWS; i++)
        flow_sources_drop(sources, &flows[i]);
    flow_sources_free(&sources);
    assert_null(sources);
}

static atomic_bool is_over, has_missed;

static void *look(void *user)
{
    (void)user;
    while (!atomic_load(&is_over)) {
        for (unsigned i = 1; i < FLOWS; i++) {
            if (found(i) != i + 1)
                atomic_store(&has_missed, true);
        }
    }
    return NULL;
}

/* What the owner does with its flows meanwhile, and that the table grows, is nothing to who looks.
 */
static void test_others_look_while_a_flow_changes(void **state)
{
    pthread_t thread;
    (void)state;
    fill();
    assert_int_equal(pthread_create(&thread, NULL, look, NULL), 0);
    for (unsigned n = 0; n < 300; n++) {
        for (unsigned i = 1; i < FLOWS; i++)
            flows[i].state = flows[i].state == FLOW_UP ? FLOW_GONE : FLOW_UP;
        flow_sources_drop(sources, &flows[0]);
        flow_sources_put(sources, &flows[0]);
    }
    atomic_store(&is_over, true);
    pthread_join(thread, NULL);
    assert_false(atomic_load(&has_missed));
    for (unsigned i = 0; i < FLOWS; i++)
        flow_sources_drop(sources, &flows[i]);
    flow_sources_free(&sources);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_find_and_drop),
        cmocka_unit_test(test_others_look_while_a_flow_changes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
