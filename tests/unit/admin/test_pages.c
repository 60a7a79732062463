/* SPDX-License-Identifier: Apache-2.0 */
/* Pages for people name commands and counters that there are. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <string.h>

#include "admin/table.h"
#include "base/alloc.h"
#include "base/counter.h"

static char *read_file(const char *path)
{
    static const size_t max = 65536;
    char *text = mem_zalloc(max);
    FILE *f = fopen(path, "r");
    assert_non_null(text);
    assert_non_null(f);
    (void)fread(text, 1, max - 1, f);
    fclose(f);
    return text;
}

static bool is_command(const char *text)
{
    for (unsigned i = 0; i < CMD_MAX; i++) {
        const char *name = admin_command_at((enum admin_command_id)i)->name;
        size_t len = strlen(name);
        if (strncmp(text, name, len) == 0 && strchr(" `\n", text[len]) != NULL)
            return true;
    }
    return false;
}

/* How many commands a page gives to holdfastctl, in a block or between backquotes. */
static unsigned check_commands(const char *file)
{
    static const char tool[] = "holdfastctl ";
    char path[300];
    snprintf(path, sizeof(path), "%s/%s", HOLDFAST_SOURCE_DIR, file);
    char *page = read_file(path);
    unsigned n = 0;
    for (char *at = page; (at = strstr(at, tool)) != NULL; at += sizeof(tool) - 1) {
        const char *command = at + sizeof(tool) - 1;
        if (at == page || strchr("`\n", at[-1]) == NULL || *command == '-')
            continue;
        if (!is_command(command))
            fail_msg("%s: there is no such command: %.40s", file, command);
        n++;
    }
    mem_free(page);
    return n;
}

static void test_pages(void **state)
{
    (void)state;
    assert_true(check_commands("docs/operations.md") >= 15);
    assert_true(check_commands("docs/recovery.md") >= 8);
    assert_true(check_commands("docs/deployment.md") >= 4);
    assert_true(check_commands("docs/tracing.md") >= 5);
    assert_true(check_commands("docs/kamailio.md") >= 5);
    (void)check_commands("docs/dashboard.md");
    (void)check_commands("docs/migration-genesys.md");
}

static bool is_counter(struct slice name)
{
    bool is_there = false;
    for (unsigned id = 0; id < COUNTER_MAX && !is_there; id++)
        is_there = slice_eq(name, slice_str(counter_name((enum counter)id)));
    return is_there;
}

/* Those of the page on recovery: in the first column of its table. */
static void test_counters_of_the_page(void **state)
{
    char *page = read_file(HOLDFAST_SOURCE_DIR "/docs/recovery.md");
    char *section = strstr(page, "### Counters");
    unsigned counters = 0;
    (void)state;
    assert_non_null(section);
    for (char *row = strstr(section, "\n| `"); row != NULL; row = strstr(row, "\n| `")) {
        char *end = strstr(row + 3, " |");
        assert_non_null(end);
        for (row = strchr(row, '`'); row != NULL && row < end; row = strchr(row, '`')) {
            char *close = strchr(row + 1, '`');
            assert_non_null(close);
            struct slice name = slice_of(row + 1, (size_t)(close - row - 1));
            if (!is_counter(name))
                fail_msg("there is no such counter: %.*s", SLICE_ARG(name));
            counters++;
            row = close + 1;
        }
        row = end;
    }
    assert_true(counters >= 12);
    mem_free(page);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_pages),
        cmocka_unit_test(test_counters_of_the_page),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
