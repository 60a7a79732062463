/* SPDX-License-Identifier: Apache-2.0 */
/* Applications, domains and access lists come, change and go while the proxy runs. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

#include "calls.h"

#define APP_A  "10.0.1.1:5060"
#define APP_B  "10.0.1.2:5060"

#define NONE   "registrar-open-to = 10.0.0.0/24\nrelay-from = 127.0.0.1\n"
#define SERVED NONE "serving-sipserver = main\n"
#define MAIN_A "[application main]\nprimary = sip:10.0.1.1\noos-check = 0\n"
#define MAIN_B "[application main]\nprimary = sip:10.0.1.2\noos-check = 0\n"

static struct rig r;
static struct got got, inv;

static int setup(void **state)
{
    (void)state;
    rig_open(&r, NONE);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    rig_close(&r);
    return 0;
}

/* A MESSAGE of its own each time. */
static void message(const char *uri)
{
    static unsigned n;
    static char id[16];
    snprintf(id, sizeof(id), "m%u", ++n);
    say_udp(&r, CALLER,
            &(struct say){.method = "MESSAGE", .uri = uri, .branch = id, .call_id = id});
}

static void goes_to(const char *where)
{
    message("sip:1001@10.0.0.1");
    rig_expect_method(&r, where, "MESSAGE", &got);
    answer_udp(&r, where, &got, 200, "");
    rig_expect_status(&r, CALLER, 200, &got);
    rig_expect_none(&r, NULL);
}

static void is_refused(const char *uri, unsigned status)
{
    message(uri);
    rig_expect_status(&r, CALLER, status, &got);
    rig_expect_none(&r, NULL);
}

static void application_comes_moves_and_goes(void **state)
{
    (void)state;
    is_refused("sip:1001@10.0.0.1", 404);
    rig_reload(&r, SERVED MAIN_A);
    goes_to(APP_A);
    rig_reload(&r, SERVED MAIN_B);
    goes_to(APP_B);
    /* It has a section, and is not used. */
    rig_reload(&r, NONE "applications = other\n" MAIN_B
                        "[application other]\nprimary = sip:10.0.1.3\noos-check = 0\n");
    is_refused("sip:1001@10.0.0.1", 404);
    assert_int_equal(groups_count(r.shared.groups), 1);
    rig_reload(&r, NONE);
    is_refused("sip:1001@10.0.0.1", 404);
}

/* What is under way ends as it would have. */
static void application_goes_during_a_call(void **state)
{
    (void)state;
    struct say w = {.uri = "sip:1001@10.0.0.1"};
    rig_reload(&r, SERVED MAIN_A);
    say_udp(&r, CALLER, &w);
    rig_expect_method(&r, APP_A, "INVITE", &inv);
    answer_udp(&r, APP_A, &inv, 180, "");
    rig_expect_status(&r, CALLER, 180, &got);
    rig_reload(&r, NONE);
    answer_udp(&r, APP_A, &inv, 486, "");
    rig_expect_method(&r, APP_A, "ACK", &got);
    rig_expect_status(&r, CALLER, 486, &got);
    ack_udp(&r, CALLER, &w);
}

static void domain_comes_and_goes(void **state)
{
    (void)state;
    register_udp(&r, "alice", CALLER, ""); /* such domains are for devices of ours */
    is_refused("sip:bob@partner.example", 403);
    rig_reload(&r, NONE "[domain *.example]\ncontact = sip:10.0.2.1\n");
    message("sip:bob@partner.example");
    rig_expect_method(&r, "10.0.2.1:5060", "MESSAGE", &got);
    assert_string_equal(rig_uri(&got), "sip:bob@partner.example");
    answer_udp(&r, "10.0.2.1:5060", &got, 200, "");
    rig_expect_status(&r, CALLER, 200, &got);
    rig_reload(&r, NONE);
    is_refused("sip:bob@partner.example", 403);
}

static void access_list_follows(void **state)
{
    (void)state;
    rig_reload(&r, NONE "sip-access = 10.0.0.3, 10.0.1.0/24\n");
    message("sip:1001@10.0.0.1");
    rig_expect_none(&r, NULL);
    assert_int_equal(rig_counter(&r, CTR_ACCESS_REFUSED), 1);
    rig_reload(&r, NONE "sip-access = 10.0.0.3\n[listener 10.0.0.1]\naccess = any\n");
    is_refused("sip:1001@10.0.0.1", 404);
    rig_reload(&r, NONE);
    is_refused("sip:1001@10.0.0.1", 404);
    assert_int_equal(rig_counter(&r, CTR_ACCESS_REFUSED), 1);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(application_comes_moves_and_goes),
        TEST(application_goes_during_a_call),
        TEST(domain_comes_and_goes),
        TEST(access_list_follows),
    };
    return cmocka_run_group_tests_name("scripted_reload_apps", tests, NULL, NULL);
}
