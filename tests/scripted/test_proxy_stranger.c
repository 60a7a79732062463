/* SPDX-License-Identifier: Apache-2.0 */
/* Somebody who has learnt Call-ID and tags of a call (a REFER with Replaces, a log) and is no side
 * of it: neither takes a side's place in the record, nor ends it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

#include "dialog.h"
#include "proxy/proxy.h"

#define STRANGER "192.0.2.9:5060"

static const char *const methods[] = {"INFO", "UPDATE", "INVITE", "BYE", "ACK", "OPTIONS"};

/* From either side, without the Route that we gave to the two of them. */
static void stranger_says(const char *method, bool as_caller)
{
    static unsigned n;
    static char branch[16];
    snprintf(branch, sizeof(branch), "s%u", ++n);
    say_udp(&s.r, STRANGER,
            &(struct say){
                .method = method,
                .uri = as_caller ? "sip:x@10.0.0.4:5060" : "sip:x@10.0.0.2:5060",
                .sent_by = STRANGER,
                .branch = branch,
                .from = as_caller ? "<sip:alice@10.0.0.1>;tag=a" : "<sip:1001@10.0.0.1>;tag=t",
                .to = as_caller ? "<sip:1001@10.0.0.1>;tag=t" : "<sip:alice@10.0.0.1>;tag=a",
                .cseq = 2147483647,
                .contact = "<sip:x@192.0.2.9:5060>"});
}

static unsigned release(void)
{
    unsigned n = proxy_release(worker_proxy(s.r.worker), SLICE("c1"), NULL);
    net_wake(s.r.loop); /* as by the mail that asks for it: its turn of the loop ends */
    fake_run(s.r.loop);
    return n;
}

static void release_goes_to_the_sides(void **state)
{
    (void)state;
    for (unsigned i = 0; i < 12; i++) {
        if (i != 0)
            rig_close(&s.r);
        established(ON, i % 4 < 2);
        stranger_says(methods[i / 2], i % 2 == 0);
        fake_advance(s.r.loop, 10);
        assert_int_equal(rig_calls(&s.r), 1);
        if (i / 2 != 4)
            rig_expect_status(&s.r, STRANGER, 403, &s.got);
        fake_advance(s.r.loop, 40000);
        struct fake_datagram again; /* the 403 of an INVITE, which gets no ACK */
        while (fake_take_datagram(s.r.loop, STRANGER, &again))
            continue;
        assert_int_equal(release(), 1);
        if (s.caller != NULL)
            expect_tcp_method(s.caller, "BYE", &s.got);
        else
            rig_expect_method(&s.r, CALLER, "BYE", &s.got);
        assert_string_equal(rig_value(&s.got, SIP_H_CSEQ, 0), "1 BYE");
        expect_tcp_method(s.phone, "BYE", &s.got);
        assert_string_equal(rig_value(&s.got, SIP_H_CSEQ, 0), "2 BYE");
        rig_expect_none(&s.r, STRANGER);
    }
}

/* Who has the Route is a side of the call wherever it speaks from now. */
static void a_side_that_has_moved_is_known(void **state)
{
    (void)state;
    established(ON, false);
    struct say w = in_dialog("INFO");
    w.sent_by = STRANGER;
    say_udp(&s.r, STRANGER, &w);
    expect_tcp_method(s.phone, "INFO", &s.got);
    answer_tcp(s.phone, &s.got, 200, "");
    rig_expect_status(&s.r, STRANGER, 200, &s.got);
    assert_int_equal(release(), 1);
    rig_expect_method(&s.r, STRANGER, "BYE", &s.got);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(release_goes_to_the_sides, scene_teardown),
        cmocka_unit_test_teardown(a_side_that_has_moved_is_known, scene_teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
