/* SPDX-License-Identifier: Apache-2.0 */
/* The memory of the last events, and whoever waits for the next one. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "admin/events.h"
#include "base/alloc.h"

static struct admin_events *events;

static int begin(void **state)
{
    (void)state;
    log_set_fd(9999); /* the lines are of no interest */
    event_reset(NULL);
    return admin_events_new(&events);
}

static int end(void **state)
{
    (void)state;
    admin_events_free(&events);
    admin_events_free(&events);
    log_set_fd(-1);
    return 0;
}

static void emit(unsigned n)
{
    for (unsigned i = 0; i < n; i++)
        EVENT_LOG(EV_CONNECTION_STALE, LF_INT("idle_ms", i), LF_STR("dn", "1001"));
}

struct got {
    unsigned n;
    uint64_t first, last;
    char fields[1200], time[40], text[100];
    int64_t number;
};

static void on_row(void *user, const char *set, unsigned n, const struct field *f)
{
    struct got *g = user;
    static const char *const names[] = {"seq",    "time", "number", "level",
                                        "module", "name", "text",   "fields"};
    assert_string_equal(set, "event");
    assert_int_equal(n, 8);
    for (unsigned i = 0; i < 8; i++)
        assert_string_equal(f[i].name, names[i]);
    uint64_t seq = (uint64_t)f[0].v.num;
    assert_true(seq > g->last);
    g->first = g->n == 0 ? seq : g->first;
    g->last = seq;
    g->n++;
    g->number = f[2].v.num;
    snprintf(g->time, sizeof(g->time), "%s", f[1].v.str);
    snprintf(g->text, sizeof(g->text), "%s %s %s %s", f[3].v.str, f[4].v.str, f[5].v.str,
             f[6].v.str);
    snprintf(g->fields, sizeof(g->fields), "%.*s", SLICE_ARG(f[7].v.slice));
}

static struct got rows(uint64_t since, unsigned max)
{
    struct got g = {0};
    struct row_sink sink = {on_row, &g};
    uint64_t last = admin_events_rows(events, since, max, &sink);
    assert_true(last == (g.n != 0 ? g.last : since));
    return g;
}

static void test_rows(void **state)
{
    (void)state;
    assert_int_equal(rows(0, 0).n, 0);
    EVENT_LOG(EV_DN_OUT, LF_STR("dn", "10\"01"), LF_INT("ms", 12), LF_ERR("cause", ERR_CLOSED));
    struct got g = rows(0, 0);
    assert_int_equal(g.n, 1);
    assert_int_equal(g.number, 42001);
    assert_string_equal(g.text, "warn dn dn_out_of_service DN out of service");
    assert_string_equal(g.fields,
                        "{\"dn\":\"10\\\"01\",\"ms\":12,\"cause\":\"closed by the peer\"}");
    assert_true(strlen(g.time) == 24 && g.time[23] == 'Z');
    assert_true(admin_events_last(events) == g.last);
    event_log(EV_DRAIN_CANCELLED, 0, NULL);
    assert_string_equal(rows(g.last, 0).fields, "{}");
}

static void test_since(void **state)
{
    (void)state;
    emit(10);
    struct got all = rows(0, 0), g = rows(all.first + 4, 0);
    assert_int_equal(all.n, 10);
    assert_int_equal(g.n, 5);
    assert_true(g.first == all.first + 5);
    assert_int_equal(rows(all.last, 0).n, 0);
    assert_int_equal(rows(all.first, 3).n, 3);
    /* From before this process, and from one whose clock was ahead. */
    assert_int_equal(rows(all.first - 1000, 0).n, 10);
    assert_int_equal(rows(all.last + 1000, 0).n, 10);
}

static void test_full(void **state)
{
    (void)state;
    emit(ADMIN_EVENTS_KEPT + 7);
    struct got g = rows(0, 0);
    assert_int_equal(g.n, ADMIN_EVENTS_KEPT);
    assert_string_equal(g.fields, "{\"idle_ms\":1006,\"dn\":\"1001\"}");
    assert_string_equal(rows(0, 1).fields, "{\"idle_ms\":7,\"dn\":\"1001\",\"forgotten\":7}");
    /* What was lost between is skipped. */
    assert_int_equal(rows(g.first - 5, 0).n, ADMIN_EVENTS_KEPT);
    assert_int_equal(rows(g.first, 0).n, ADMIN_EVENTS_KEPT - 1);
}

/* What a stranger can cause as often as he likes takes no other kind's place. */
static void test_flood(void **state)
{
    (void)state;
    EVENT_LOG(EV_APP_DOWN, LF_STR("application", "main"));
    for (unsigned i = 0; i < 300; i++)
        EVENT_LOG(EV_DN_OUT, LF_STR("dn", "1001"), LF_INT("ms", i));
    uint64_t before = admin_events_last(events);
    for (unsigned i = 0; i < 2000; i++)
        EVENT_LOG(EV_SOURCE_RATE, LF_STR("source", "192.0.2.1"), LF_INT("rate", i));
    for (unsigned i = 0; i < 2000; i++)
        EVENT_LOG(EV_RATE, LF_STR("source", "192.0.2.1"), LF_INT("rate", i));
    struct got all = rows(0, 0), first = rows(0, 1);
    assert_int_equal(all.n, ADMIN_EVENTS_KEPT);
    assert_int_equal(first.number, 40001);
    assert_string_equal(first.fields, "{\"application\":\"main\"}");
    assert_true(first.first == before - 300);
    assert_string_equal(rows(first.last, 1).fields, "{\"dn\":\"1001\",\"ms\":0}");
    assert_string_equal(rows(before - 1, 1).fields, "{\"dn\":\"1001\",\"ms\":299}");
    /* The two floods share what is left, the newest of each; the first one kept of a kind tells how
     * many were before it. */
    struct got flood = rows(before, 1);
    assert_true(flood.first > before + 1600);
    assert_string_equal(flood.fields,
                        "{\"source\":\"192.0.2.1\",\"rate\":1651,\"forgotten\":1651}");
    assert_string_equal(all.fields, "{\"source\":\"192.0.2.1\",\"rate\":1999}");
    assert_int_equal(rows(before, 0).n, ADMIN_EVENTS_KEPT - 301);
    assert_int_equal(rows(before + 2000, 0).n, 350);
    /* Four kinds that come in storms have a quarter each. */
    emit(400);
    assert_in_range(rows(all.last, 0).n, 249, 250);
    assert_int_equal(rows(0, 1).number, 40001);
}

/* By the clock that the code under test reads: time() is of another, which a tick may be behind. */
static time_t second(void)
{
    struct timespec ts;
    clock_gettime(CLOCK_REALTIME, &ts);
    return ts.tv_sec;
}

/* A later process goes on with higher numbers. */
static void test_again(void **state)
{
    (void)state;
    emit(3);
    uint64_t before = admin_events_last(events);
    struct timespec bit = {.tv_nsec = 10000000};
    time_t began = second();
    admin_events_free(&events);
    while (second() == began) /* a process does not begin in the second of the one before */
        nanosleep(&bit, NULL);
    assert_int_equal(admin_events_new(&events), 0);
    assert_true(admin_events_last(events) >= before);
    emit(1);
    assert_int_equal(rows(before, 0).n, 1);
}

static void test_long(void **state)
{
    char big[600];
    (void)state;
    memset(big, 'x', sizeof(big));
    memcpy(big + 198, "\xe2\x82\xac", 3); /* across the cut */
    struct slice s = slice_of(big, sizeof(big));
    EVENT_LOG(EV_DN_OUT, LF_SLICE("dn", s), LF_INT("ms", 7));
    struct got g = rows(0, 0);
    assert_non_null(strstr(g.fields, "x\xe2\x80\xa6\",\"ms\":7}"));
    assert_int_equal(strlen(g.fields), strlen("{\"dn\":\"\",\"ms\":7}") + 198 + 3);
    /* Fields that do not fit are left out whole; what follows them may fit. */
    memset(big, 1, sizeof(big)); /* each is six characters */
    EVENT_LOG(EV_DN_OUT, LF_SLICE("dn", s), LF_SLICE("cause", s), LF_INT("ms", 7));
    g = rows(g.last, 0);
    assert_string_equal(g.fields, "{\"ms\":7}");
}

static void *emit_later(void *user)
{
    struct timespec t = {.tv_nsec = 20000000};
    nanosleep(&t, NULL);
    (void)user;
    emit(1);
    return NULL;
}

static void test_wait(void **state)
{
    pthread_t thread;
    (void)state;
    uint64_t last = admin_events_last(events);
    assert_false(admin_events_wait(events, 0, 0));
    assert_false(admin_events_wait(events, last, 1));
    assert_int_equal(pthread_create(&thread, NULL, emit_later, NULL), 0);
    assert_true(admin_events_wait(events, last, 60000));
    pthread_join(thread, NULL);
    assert_true(admin_events_wait(events, 0, 0));
    assert_true(admin_events_wait(events, last, 0));
    last = admin_events_last(events);
    assert_false(admin_events_wait(events, last, 0));
}

static void *emit_many(void *user)
{
    (void)user;
    emit(2500);
    return NULL;
}

/* 10,000 by four workers, while somebody follows. */
static void test_storm(void **state)
{
    pthread_t threads[4];
    uint64_t since = 0, first = admin_events_last(events);
    (void)state;
    for (unsigned i = 0; i < 4; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, emit_many, NULL), 0);
    while (since < first + 10000) {
        assert_true(admin_events_wait(events, since, 60000));
        struct got g = rows(since, 100);
        assert_true(g.n > 0);
        since = g.last;
    }
    for (unsigned i = 0; i < 4; i++)
        pthread_join(threads[i], NULL);
    assert_true(admin_events_last(events) == first + 10000);
    assert_int_equal(rows(0, 0).n, ADMIN_EVENTS_KEPT);
}

static void test_no_memory(void **state)
{
    struct admin_events *e = events;
    (void)state;
    mem_fail_at(1);
    void *probe = mem_alloc(1);
    if (probe != NULL) {
        mem_free(probe);
        mem_fail_at(0);
        print_message("built without HOLDFAST_FAULTS: allocations cannot be made to fail\n");
        skip();
    }
    mem_fail_at(1);
    assert_int_equal(admin_events_new(&e), ERR_NOMEM);
    mem_fail_at(0);
    assert_null(e);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, begin, end)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_rows), TEST(test_since), TEST(test_full),  TEST(test_flood),     TEST(test_again),
        TEST(test_long), TEST(test_wait),  TEST(test_storm), TEST(test_no_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
