/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <string.h>

#include "admin/assets.h"
#include "base/event.h"

static struct slice bytes_of(const struct admin_asset *a)
{
    return slice_of((const char *)a->bytes, a->len);
}

static void test_page(void **state)
{
    (void)state;
    const struct admin_asset *a = admin_asset_find(SLICE("/"));
    assert_non_null(a);
    assert_string_equal(a->type, "text/html; charset=utf-8");
    assert_true(a->len > 500);
    assert_memory_equal(a->bytes, "<!doctype html>\n", 16);
    a = admin_asset_find(SLICE("/app.js"));
    assert_non_null(a);
    assert_string_equal(a->type, "text/javascript; charset=utf-8");
}

static void test_no_such_file(void **state)
{
    (void)state;
    static const char *const paths[] = {"",         "app.js",     "/app",
                                        "/app.js/", "/../app.js", "/index.html"};
    for (size_t i = 0; i < sizeof(paths) / sizeof(paths[0]); i++)
        assert_null(admin_asset_find(slice_str(paths[i])));
}

static void test_each_is_found_by_its_path(void **state)
{
    (void)state;
    unsigned n = 0;
    for (const struct admin_asset *a = admin_assets; a->path != NULL; a++, n++) {
        assert_ptr_equal(admin_asset_find(slice_str(a->path)), a);
        assert_true(a->len > 0);
        size_t len = strlen(a->etag);
        assert_true(len > 10 && a->etag[0] == '"' && a->etag[len - 1] == '"');
        for (const struct admin_asset *b = admin_assets; b != a; b++)
            assert_string_not_equal(a->etag, b->etag);
    }
    assert_true(n > 10);
}

/* Every event has its record: number, text, meaning, what to do. */
static void test_events_are_explained(void **state)
{
    (void)state;
    const struct admin_asset *a = admin_asset_find(SLICE("/events.txt"));
    assert_non_null(a);
    struct slice all = bytes_of(a);
    for (unsigned i = 0; i < EVENT_MAX; i++) {
        const struct event_text *t = event_text((enum event)i);
        char record[4096];
        int len = snprintf(record, sizeof(record), "%u\x1f%s\x1f%s\x1f%s\x1e", t->number, t->text,
                           t->means, t->to_do);
        assert_true(len > 0 && (size_t)len < sizeof(record));
        assert_true(all.len >= (size_t)len);
        assert_memory_equal(all.ptr, record, (size_t)len);
        all = slice_of(all.ptr + len, all.len - (size_t)len);
    }
    assert_int_equal(all.len, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_page),
        cmocka_unit_test(test_no_such_file),
        cmocka_unit_test(test_each_is_found_by_its_path),
        cmocka_unit_test(test_events_are_explained),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
