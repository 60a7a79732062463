/* SPDX-License-Identifier: Apache-2.0 */
/* Records from their begin to their end. */
#include "base/alloc.h"
#include "help.h"

static const struct call_conf usual = {.max = 100, .timeout_ms = 0};

static void begin_to_bye(void **state)
{
    (void)state;
    struct rig r;
    enum call_side side;
    rig_init(&r, &usual);
    uint64_t call = rig_begin(&r, "one", "");
    assert_int_not_equal(call, 0);
    assert_int_equal(calls_count(r.calls), 1);
    assert_int_equal(rig_count(&r, CTR_CALLS), 1);
    assert_int_equal(rig_count(&r, CTR_CALLS_SEEN), 1);
    rig_answer(&r, 180, "b", "");
    assert_true(rig_has(&r, "one", "b"));
    rig_answer(&r, 200, "b", "");
    call_on_final(r.calls, call, 200, r.now);
    const struct sip_msg *bye = request_of("one", CALL_CALLEE, "BYE", 1, "b", "");
    assert_int_equal(call_find(r.calls, bye, &side), call);
    assert_int_equal(side, CALL_CALLEE);
    call_on_request(r.calls, call, bye, NULL, r.now);
    assert_int_equal(calls_count(r.calls), 1);
    call_on_response(r.calls, call, bye, response_of("one", CALL_CALLEE, "BYE", 1, 200, "b", ""),
                     r.now);
    assert_int_equal(calls_count(r.calls), 0);
    assert_int_equal(rig_count(&r, CTR_CALLS), 0);
    assert_int_equal(rig_count(&r, CTR_CALLS_UNRECORDED), 0);
    rig_fini(&r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(begin_to_bye),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
