/* SPDX-License-Identifier: Apache-2.0 */
#include "guard.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <dirent.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cmocka.h>

void guard_init(struct guard *g, size_t room)
{
    g->page = (size_t)sysconf(_SC_PAGESIZE);
    g->room = (room + g->page - 1) / g->page * g->page;
    g->map = mmap(NULL, g->room + 2 * g->page, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    assert_true(g->map != MAP_FAILED);
    assert_int_equal(mprotect(g->map + g->page, g->room, PROT_READ | PROT_WRITE), 0);
}

void guard_fini(struct guard *g)
{
    munmap(g->map, g->room + 2 * g->page);
    g->map = NULL;
}

char *guard_end(struct guard *g, const void *bytes, size_t len)
{
    assert_true(len <= g->room);
    char *at = g->map + g->page + g->room - len;
    if (len != 0)
        memcpy(at, bytes, len);
    return at;
}

char *guard_front(struct guard *g, const void *bytes, size_t len)
{
    assert_true(len <= g->room);
    char *at = g->map + g->page;
    if (len != 0)
        memcpy(at, bytes, len);
    return at;
}

static struct slice read_file(const char *path)
{
    FILE *f = fopen(path, "rb");
    assert_non_null(f);
    char *bytes = malloc(65536);
    assert_non_null(bytes);
    size_t len = fread(bytes, 1, 65536, f);
    fclose(f);
    return slice_of(bytes, len);
}

static int is_sample(const struct dirent *entry)
{
    size_t len = strlen(entry->d_name);
    return len > 4 && strcmp(entry->d_name + len - 4, ".sip") == 0;
}

void samples_load(struct samples *s)
{
    static const char folder[] = HOLDFAST_SOURCE_DIR "/tests/samples";
    struct dirent **entries;
    char path[4096];
    int n = scandir(folder, &entries, is_sample, alphasort);

    assert_in_range(n, 1, SAMPLES_MAX);
    s->n = (unsigned)n;
    for (unsigned i = 0; i < s->n; i++) {
        const char *name = entries[i]->d_name;
        snprintf(path, sizeof(path), "%s/%s", folder, name);
        s->names[i] = strndup(name, strlen(name) - 4);
        assert_non_null(s->names[i]);
        s->bytes[i] = read_file(path);
        free(entries[i]);
    }
    free(entries);
}

void samples_free(struct samples *s)
{
    for (unsigned i = 0; i < s->n; i++) {
        free(s->names[i]);
        free((void *)(uintptr_t)s->bytes[i].ptr);
    }
    s->n = 0;
}

struct slice samples_get(const struct samples *s, const char *name)
{
    for (unsigned i = 0; i < s->n; i++) {
        if (strcmp(s->names[i], name) == 0)
            return s->bytes[i];
    }
    fail_msg("no sample %s", name);
    return SLICE_NONE;
}
