/* SPDX-License-Identifier: Apache-2.0 */
/* What an idle connection costs in user memory, and that it is given back. */
#include <malloc.h>
#include <stdio.h>
#include <sys/resource.h>
#include <unistd.h>

#include "rig.h"

#define CONNECTIONS 400
#define MAX_BYTES   512

static unsigned want;

static bool all_here(struct rig *r)
{
    return flows_count(r->flows) == want;
}

static size_t in_use(void)
{
    struct mallinfo2 m = mallinfo2();
    return m.uordblks + m.hblkhd;
}

static void open_all(struct rig *r, int *fds)
{
    for (unsigned i = 0; i < CONNECTIONS; i++) {
        fds[i] = peer_connect(&r->listen);
        if (i % 50 == 49) {
            want = i + 1;
            rig_until(r, all_here);
        }
    }
}

static void test_bytes_of_an_idle_connection(void **state)
{
    static struct rig r;
    static int fds[CONNECTIONS];
    struct rlimit files;
    (void)state;
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
    skip(); /* their allocators do not account */
#endif
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &files), 0);
    if (files.rlim_cur < 2 * CONNECTIONS + 64) {
        print_message("the limit of open files is below %d\n", 2 * CONNECTIONS + 64);
        skip();
    }
    rig_conf(&r);
    r.conf.sockopt.keep_alive = true;
    rig_start(&r, "127.0.0.1");
    size_t before = in_use();
    open_all(&r, fds);
    rig_idle(&r, 20);
    size_t each = (in_use() - before) / CONNECTIONS;
    print_message("user memory of an idle connection: %zu bytes\n", each);
    assert_true(in_use() > before);
    assert_true(each <= MAX_BYTES);
    for (unsigned i = 0; i < CONNECTIONS; i++)
        close(fds[i]);
    want = 0;
    rig_until(&r, all_here);
    rig_stop(&r);
}

/* A partial message is held only until it is whole. */
static void test_partial_messages_leave_nothing(void **state)
{
    static struct rig r;
    char req[1024];
    (void)state;
    rig_conf(&r);
    rig_start(&r, "127.0.0.1");
    int fd = peer_connect(&r.listen);
    size_t len = sip_options(req, sizeof(req), "TCP", "127.0.0.1", 1, "");
    want = 1;
    rig_until(&r, all_here);
    size_t timers = r.wheel.count;
    peer_write(fd, req, len / 2);
    rig_idle(&r, 5);
    assert_int_equal(r.wheel.count, timers + 1); /* the partial message's */
    peer_write(fd, req + len / 2, len - len / 2);
    rig_idle(&r, 5);
    assert_int_equal(r.nmsgs, 1);
    assert_int_equal(r.wheel.count, timers);
    close(fd);
    rig_stop(&r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_bytes_of_an_idle_connection),
        cmocka_unit_test(test_partial_messages_leave_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
