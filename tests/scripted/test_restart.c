/* SPDX-License-Identifier: Apache-2.0 */
/* Calls that outlive the proxy: their Record-Route is still known after a restart. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

#include "calls.h"

#define NO_RELAY "relay-from = 10.0.0.2/32\n" /* the caller alone */

/* INVITE from the caller to an address that is no DN, answered; the Record-Route as the callee has
 * it. */
static void call(struct rig *r, char *route, size_t cap)
{
    static struct got inv, got;
    say_udp(r, CALLER, &(struct say){.uri = "sip:gw@10.0.0.3:5060"});
    rig_expect_method(r, PHONE, "INVITE", &inv);
    answer_udp(r, PHONE, &inv, 200, "Contact: <sip:gw@10.0.0.3:5060>\n");
    rig_expect_status(r, CALLER, 200, &got);
    snprintf(route, cap, "%s", route_set(&inv, false));
}

static void bye(struct rig *r, const char *route)
{
    say_udp(r, PHONE,
            &(struct say){.method = "BYE",
                          .uri = "sip:alice@10.0.0.2:5060",
                          .sent_by = PHONE,
                          .branch = "b1",
                          .from = "<sip:1001@10.0.0.1>;tag=t1",
                          .to = "<sip:alice@10.0.0.1>;tag=a",
                          .contact = "",
                          .extra = route});
}

static void test_bye_after_a_restart(void **state)
{
    (void)state;
    struct rig r;
    static struct got got;
    char route[512];
    rig_open(&r, NO_RELAY);
    call(&r, route, sizeof(route));
    rig_close(&r);

    rig_open(&r, NO_RELAY);
    bye(&r, route);
    rig_expect_method(&r, CALLER, "BYE", &got);
    answer_udp(&r, CALLER, &got, 200, "");
    rig_expect_status(&r, PHONE, 200, &got);
    rig_close(&r);
}

/* Another key: it is somebody else's dialog, and nobody's relay. */
static void test_foreign_mark_is_refused(void **state)
{
    (void)state;
    struct rig r;
    static struct got got;
    char route[512];
    rig_open(&r, NO_RELAY);
    call(&r, route, sizeof(route));
    char *mark = strstr(route, "hf-mark=");
    assert_non_null(mark);
    mark[8] = mark[8] == '0' ? '1' : '0';
    bye(&r, route);
    rig_expect_status(&r, PHONE, 403, &got);
    rig_close(&r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_bye_after_a_restart),
        cmocka_unit_test(test_foreign_mark_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
