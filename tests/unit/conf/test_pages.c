/* SPDX-License-Identifier: Apache-2.0 */
/* Pages for people: each configuration that they show can be loaded, and each option that their
 * tables name is there. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "conf/conf_int.h"

static char *read_page(const char *file)
{
    static const size_t max = 1 << 20;
    char path[512];
    snprintf(path, sizeof(path), "%s/%s", HOLDFAST_SOURCE_DIR, file);
    char *text = calloc(1, max);
    FILE *f = fopen(path, "r");
    if (f == NULL)
        fail_msg("%s cannot be read", path);
    (void)!fread(text, 1, max - 1, f);
    fclose(f);
    return text;
}

/* --- configurations --- */

static void load_block(const char *page, unsigned n, const char *from, size_t len)
{
    char file[] = "/tmp/holdfast-test-page-XXXXXX";
    struct conf *c = NULL;
    char *errors = NULL;
    size_t size;
    int fd = mkstemp(file);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, from, len), (ssize_t)len);
    close(fd);
    FILE *err = open_memstream(&errors, &size);
    int status = conf_load(file, err, &c);
    fclose(err);
    unlink(file);
    if (status != 0)
        fail_msg("%s, block %u: %s", page, n, errors);
    free(errors);
    conf_free(&c);
}

/* How many there were. */
static unsigned load_blocks(const char *page)
{
    static const char head[] = "\n```ini\n";
    char *text = read_page(page), *at = text;
    unsigned n = 0;
    while ((at = strstr(at, head)) != NULL) {
        char *from = at + sizeof(head) - 1, *end = strstr(from, "\n```\n");
        assert_non_null(end);
        load_block(page, ++n, from, (size_t)(end - from) + 1);
        at = end;
    }
    free(text);
    return n;
}

static void test_configurations(void **state)
{
    (void)state;
    assert_true(load_blocks("docs/deployment.md") >= 8);
    assert_true(load_blocks("docs/migration-genesys.md") >= 1);
    assert_true(load_blocks("docs/kamailio.md") >= 1);
    assert_true(load_blocks("docs/recovery.md") >= 1);
    assert_true(load_blocks("docs/operations.md") >= 1);
}

/* --- options --- */

static bool is_option(struct slice name)
{
    for (unsigned i = 0; i < conf_noptions; i++)
        if (slice_eq(slice_str(conf_options[i].name), name))
            return true;
    return false;
}

/* "name", or "name = value"; *is_sure: it can be nothing else. */
static struct slice option_of(struct slice token, bool *is_sure)
{
    size_t n = 0;
    bool has_hyphen = false;
    while (n < token.len && ((token.ptr[n] >= 'a' && token.ptr[n] <= 'z') ||
                             (token.ptr[n] >= '0' && token.ptr[n] <= '9') || token.ptr[n] == '-'))
        has_hyphen = token.ptr[n++] == '-' || has_hyphen;
    struct slice rest = slice_trim(slice_of(token.ptr + n, token.len - n));
    *is_sure = n != 0 && ((rest.len == 0 && has_hyphen) || (rest.len != 0 && rest.ptr[0] == '='));
    return slice_of(token.ptr, n);
}

/* The last column of a table's row. */
static struct slice last_column(struct slice line)
{
    size_t end = line.len;
    while (end != 0 && line.ptr[end - 1] != '|')
        end--;
    size_t begin = end != 0 ? end - 1 : 0;
    while (begin != 0 && line.ptr[begin - 1] != '|')
        begin--;
    return end != 0 ? slice_of(line.ptr + begin, end - 1 - begin) : SLICE_NONE;
}

static unsigned check_row(const char *page, struct slice line)
{
    struct slice column = last_column(line);
    unsigned n = 0;
    while (column.len != 0) {
        ptrdiff_t open = slice_chr(column, '`');
        if (open < 0)
            break;
        column = slice_of(column.ptr + open + 1, column.len - (size_t)open - 1);
        ptrdiff_t close = slice_chr(column, '`');
        if (close < 0)
            fail_msg("%s: a ` without its other: %.*s", page, SLICE_ARG(line));
        bool is_sure;
        struct slice name = option_of(slice_of(column.ptr, (size_t)close), &is_sure);
        if (is_sure && !is_option(name))
            fail_msg("%s: there is no option %.*s", page, SLICE_ARG(name));
        n += is_sure;
        column = slice_of(column.ptr + close + 1, column.len - (size_t)close - 1);
    }
    return n;
}

static unsigned check_tables(const char *page)
{
    char *text = read_page(page);
    struct slice rest = slice_str(text);
    unsigned n = 0;
    while (rest.len != 0) {
        ptrdiff_t end = slice_chr(rest, '\n');
        struct slice line = slice_of(rest.ptr, end >= 0 ? (size_t)end : rest.len);
        rest = end >= 0 ? slice_of(rest.ptr + end + 1, rest.len - line.len - 1) : SLICE_NONE;
        if (slice_starts(line, SLICE("| ")))
            n += check_row(page, line);
    }
    free(text);
    return n;
}

static void test_options_of_tables(void **state)
{
    (void)state;
    assert_true(check_tables("docs/migration-genesys.md") >= 12);
    assert_true(check_tables("docs/kamailio.md") >= 20);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_configurations),
        cmocka_unit_test(test_options_of_tables),
    };
    return cmocka_run_group_tests_name("conf_pages", tests, NULL, NULL);
}
