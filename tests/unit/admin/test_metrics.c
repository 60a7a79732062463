/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "admin/admin_int.h"
#include "admin/metrics.h"
#include "admin/openapi.h"
#include "base/alloc.h"

#define WORKERS 2

struct place {
    struct counters counters[WORKERS];
    const struct counters *each[WORKERS];
    struct admin_text applications;
    struct metrics_source source;
    struct admin_text out;
};

static int open_place(void **state)
{
    struct place *p = mem_zalloc(sizeof(*p));
    assert_non_null(p);
    for (unsigned i = 0; i < WORKERS; i++)
        p->each[i] = &p->counters[i];
    p->applications.max = 100000;
    p->out.max = 1 << 20;
    p->source.nworkers = WORKERS;
    p->source.counters = p->each;
    p->source.applications = &p->applications;
    *state = p;
    return 0;
}

static int close_place(void **state)
{
    struct place *p = *state;
    admin_text_fini(&p->applications);
    admin_text_fini(&p->out);
    mem_free(p);
    return 0;
}

static void add_application(struct place *p, const char *name, const char *state)
{
    struct row_sink sink = {admin_rows_keep, &p->applications};
    ROW(&sink, "application", LF_STR("name", name), LF_STR("state", state));
    ROW(&sink, "member", LF_STR("application", name), LF_STR("state", state));
}

static const char *text_of(struct place *p)
{
    p->out.len = 0;
    assert_true(metrics_write(&p->source, &p->out));
    assert_true(admin_text_add(&p->out, "", 1));
    return p->out.ptr;
}

static void has_line(struct place *p, const char *wanted)
{
    const char *text = text_of(p);
    char line[512];
    snprintf(line, sizeof(line), "\n%s\n", wanted);
    if (strstr(text, line) == NULL)
        fail_msg("no line %s in\n%s", wanted, text);
}

/* --- values --- */

static void test_values(void **state)
{
    struct place *p = *state;
    for (unsigned i = 0; i < WORKERS; i++) {
        counter_add(&p->counters[i], CTR_MSG_IN, 5 + i);
        counter_add(&p->counters[i], CTR_IN_INVITE, 2);
        counter_add(&p->counters[i], CTR_INVITE_4XX, 1);
        counter_add(&p->counters[i], CTR_TLS_SUSPECT, 1);
        counter_add(&p->counters[i], CTR_LAG_MS, 12 + i);
        counter_add(&p->counters[i], CTR_CALLS, 7);
    }
    counter_add(&p->counters[1], CTR_LOSS, 37);
    p->source.workers[0].is_up = true;
    p->source.workers[0].cpu_us = 1234567;
    p->source.dns_out = 3;
    p->source.dns_suspect = 4;
    p->source.is_draining = true;
    p->source.started_ms = 1700000000123;
    p->source.http_answers[2] = 9;
    p->source.http_refused[1] = 8;
    p->source.http_streams = 2;
    add_application(p, "main", "up");
    add_application(p, "me\"di\\a\n", "down");
    has_line(p, "holdfast_messages_received_total 11");
    has_line(p, "holdfast_requests_received_total{method=\"INVITE\"} 4");
    has_line(p, "holdfast_invites_answered_total{class=\"4xx\"} 2");
    has_line(p, "holdfast_connections{transport=\"tls\",state=\"suspect\"} 2");
    has_line(p, "holdfast_calls 14");
    has_line(p, "holdfast_worker_lag_seconds{worker=\"1\"} 0.013");
    has_line(p, "holdfast_worker_refused_ratio{worker=\"1\"} 0.37");
    has_line(p, "holdfast_worker_cpu_seconds_total{worker=\"0\"} 1.234567");
    has_line(p, "holdfast_worker_up{worker=\"0\"} 1");
    has_line(p, "holdfast_worker_up{worker=\"1\"} 0");
    assert_null(strstr(text_of(p), "holdfast_worker_cpu_seconds_total{worker=\"1\"}"));
    has_line(p, "holdfast_directory_numbers{state=\"out_of_service\"} 3");
    has_line(p, "holdfast_directory_numbers{state=\"suspect\"} 4");
    has_line(p, "holdfast_draining 1");
    has_line(p, "process_start_time_seconds 1700000000.123");
    has_line(p, "holdfast_http_requests_total{code=\"2xx\"} 9");
    has_line(p, "holdfast_http_refused_total{reason=\"rate\"} 8");
    has_line(p, "holdfast_http_streams 2");
    has_line(p, "holdfast_application_up{application=\"main\"} 1");
    has_line(p, "holdfast_application_up{application=\"me\\\"di\\\\a\\n\"} 0");
}

static void test_histogram(void **state)
{
    struct place *p = *state;
    counter_add(&p->counters[0], CTR_RECOVERY_COUNT, 3);
    counter_add(&p->counters[0], CTR_RECOVERY_MS, 1234);
    counter_add(&p->counters[1], CTR_RECOVERY_LE_500, 1);
    counter_add(&p->counters[1], CTR_RECOVERY_LE_1000, 2);
    counter_add(&p->counters[1], CTR_RECOVERY_LE_1500, 2);
    counter_add(&p->counters[1], CTR_RECOVERY_LE_3000, 2);
    counter_add(&p->counters[1], CTR_RECOVERY_LE_10000, 2);
    has_line(p, "holdfast_recovery_seconds_bucket{le=\"0.2\"} 0");
    has_line(p, "holdfast_recovery_seconds_bucket{le=\"0.5\"} 1");
    has_line(p, "holdfast_recovery_seconds_bucket{le=\"10\"} 2");
    has_line(p, "holdfast_recovery_seconds_bucket{le=\"+Inf\"} 3");
    has_line(p, "holdfast_recovery_seconds_sum 1.234");
    has_line(p, "holdfast_recovery_seconds_count 3");
    /* Read while it counts: a later bound is never below an earlier one, nor the count below both.
     */
    counter_add(&p->counters[0], CTR_SETUP_LE_50, 5);
    counter_add(&p->counters[0], CTR_SETUP_LE_200, 4);
    counter_add(&p->counters[0], CTR_SETUP_COUNT, 4);
    has_line(p, "holdfast_setup_seconds_bucket{le=\"0.2\"} 5");
    has_line(p, "holdfast_setup_seconds_bucket{le=\"10\"} 5");
    has_line(p, "holdfast_setup_seconds_bucket{le=\"+Inf\"} 5");
    has_line(p, "holdfast_setup_seconds_count 5");
}

/* --- form --- */

static bool is_name(const char *p, size_t len)
{
    for (size_t i = 0; i < len; i++)
        if (!islower((unsigned char)p[i]) && p[i] != '_' &&
            (i == 0 || !isdigit((unsigned char)p[i])))
            return false;
    return len != 0;
}

/* Each family has its two lines before its samples, once; what counts up ends in _total and nothing
 * else does; each counter of the table is there or part of a family. */
static void test_form(void **state)
{
    struct place *p = *state;
    char *text = strdup(text_of(p)), *rest = text, *line;
    char family[128] = "", type[32] = "";
    unsigned families = 0;
    for (unsigned id = 0; id < COUNTER_MAX; id++)
        counter_add(&p->counters[0], (enum counter)id, 1);
    while ((line = strsep(&rest, "\n")) != NULL && line[0] != '\0') {
        if (strncmp(line, "# HELP ", 7) == 0) {
            char mark[160];
            size_t len = strcspn(line + 7, " ");
            assert_true(is_name(line + 7, len) && line[7 + len] == ' ' && line[8 + len] != '\0');
            snprintf(family, sizeof(family), "%.*s", (int)len, line + 7);
            snprintf(mark, sizeof(mark), "# HELP %s ", family);
            assert_null(rest != NULL ? strstr(rest, mark) : NULL);
            families++;
        } else if (strncmp(line, "# TYPE ", 7) == 0) {
            size_t len = strlen(family);
            assert_int_equal(strncmp(line + 7, family, len), 0);
            snprintf(type, sizeof(type), "%s", line + 8 + len);
            bool ends = len > 6 && strcmp(family + len - 6, "_total") == 0;
            if (ends != (strcmp(type, "counter") == 0))
                fail_msg("%s is a %s", family, type);
        } else {
            assert_int_equal(strncmp(line, family, strlen(family)), 0);
            assert_non_null(strrchr(line, ' '));
        }
    }
    assert_true(families > 60);
    free(text);
}

static void assert_page_is(const char *file, void (*print)(FILE *out))
{
    char path[512], *printed = NULL, *found;
    size_t size = 0;
    FILE *out = open_memstream(&printed, &size);
    print(out);
    fclose(out);
    snprintf(path, sizeof(path), HOLDFAST_SOURCE_DIR "/%s", file);
    FILE *f = fopen(path, "r");
    assert_non_null(f);
    found = calloc(1, size + 2);
    assert_int_equal(fread(found, 1, size + 1, f), size);
    fclose(f);
    assert_string_equal(found, printed);
    free(found);
    free(printed);
}

/* holdfast --metrics-markdown > docs/metrics.md */
static void test_page(void **state)
{
    (void)state;
    assert_page_is("docs/metrics.md", metrics_print_markdown);
}

/* --- OpenAPI --- */

static void print_openapi(FILE *out)
{
    assert_true(openapi_print(out));
}

/* holdfast --openapi > docs/openapi.json */
static void test_description(void **state)
{
    (void)state;
    assert_page_is("docs/openapi.json", print_openapi);
}

static void test_description_has_all(void **state)
{
    struct place *p = *state;
    assert_true(openapi_write(&p->out));
    assert_true(admin_text_add(&p->out, "", 1));
    for (unsigned id = 0; id < CMD_MAX; id++) {
        const struct admin_command *c = admin_command_at((enum admin_command_id)id);
        char path[128], method[32];
        snprintf(path, sizeof(path), "\"/api/v1/%s\": {", c->name);
        for (char *at = path + 9; *at != '"'; at++)
            *at = *at == ' ' ? '/' : *at;
        snprintf(method, sizeof(method), "\"%s\": {", c->changes ? "post" : "get");
        const char *at = strstr(p->out.ptr, path);
        assert_non_null(at);
        assert_true(strstr(at, method) < at + strlen(path) + 16);
    }
    for (const char *q = p->out.ptr; (q = strstr(q, "/schemas/")) != NULL;) {
        char mark[64];
        q += 9;
        snprintf(mark, sizeof(mark), "      \"%.*s\": {", (int)strcspn(q, "\""), q);
        assert_non_null(strstr(p->out.ptr, mark));
    }
}

static void test_no_memory(void **state)
{
#ifdef HOLDFAST_FAULTS
    struct place *p = *state;
    uint64_t n = 0;
    do {
        admin_text_fini(&p->out);
        mem_fail_at(++n);
        bool ok = metrics_write(&p->source, &p->out);
        bool failed = mem_failed();
        mem_fail_at(0);
        assert_int_equal(ok, !failed);
        if (!failed)
            break;
    } while (n < 100);
    assert_in_range(n, 2, 50);
    admin_text_fini(&p->out);
    mem_fail_at(3);
    assert_false(openapi_write(&p->out));
    mem_fail_at(0);
#else
    (void)state;
    skip();
#endif
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, open_place, close_place)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_values),    TEST(test_histogram),   TEST(test_form),
        TEST(test_page),      TEST(test_description), TEST(test_description_has_all),
        TEST(test_no_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
