/* SPDX-License-Identifier: Apache-2.0 */
/* A worker that does not come round is told of, once, and told again when it does. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "app/daemon_int.h"
#include "rig.h"

static struct rig r;

static void stuck_and_back(void **state)
{
    (void)state;
    rig_open(&r, "");
    struct daemon d = {.nworkers = 1, .workers = {r.worker}};
    daemon_watch(&d); /* it is asked */
    fake_run(r.loop);
    daemon_watch(&d);
    assert_int_equal(rig_heard(EV_WORKER_STUCK), 0);
    d.asked_at[0] -= 4000;
    daemon_watch(&d);
    assert_int_equal(rig_heard(EV_WORKER_STUCK), 0);
    d.asked_at[0] -= 1000;
    daemon_watch(&d);
    daemon_watch(&d);
    assert_int_equal(rig_heard(EV_WORKER_STUCK), 1);
    assert_int_equal(rig_heard(EV_WORKER_BACK), 0);
    fake_run(r.loop);
    daemon_watch(&d);
    fake_run(r.loop);
    daemon_watch(&d);
    assert_int_equal(rig_heard(EV_WORKER_STUCK), 1);
    assert_int_equal(rig_heard(EV_WORKER_BACK), 1);
    fake_run(r.loop);
    rig_close(&r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(stuck_and_back)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
