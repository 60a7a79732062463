/* SPDX-License-Identifier: Apache-2.0 */
#include "help.h"

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/log.h"
#include "rows.h"

struct addr address(const char *text)
{
    struct addr a = {0};
    assert_int_equal(addr_parse(slice_str(text), 5060, &a), 0);
    return a;
}

static void set_addr(struct group_member_conf *m)
{
    struct slice s = slice_str(m->uri);
    ptrdiff_t at = slice_chr(s, '@');
    size_t from = (size_t)(at >= 0 ? at : slice_chr(s, ':')) + 1;
    s = slice_of(s.ptr + from, s.len - from);
    ptrdiff_t end = slice_chr(s, ';');
    if (end >= 0)
        s.len = (size_t)end;
    if (addr_parse(s, 5060, &m->addr) != 0)
        m->addr = (struct addr){0};
}

void section_make(struct section *s, const char *name, enum group_role role,
                  enum group_policy policy, const char *members)
{
    *s = (struct section){0};
    int len = snprintf(s->text, sizeof(s->text), "%s", name) + 1;
    snprintf(s->text + len, sizeof(s->text) - (size_t)len, "%s", members);
    s->conf.name = s->text;
    s->conf.role = role;
    s->conf.policy = policy;
    s->conf.members = s->members;
    s->conf.check_ms = CHECK;
    s->conf.force_ms = FORCE;
    s->conf.failures = s->failures;
    s->conf.shares_dialogs = role == GROUP_PAIR;
    s->conf.access = s->access;
    s->failures[0] = 503;
    s->conf.nfailures = 1;
    for (char *at = s->text + len; *at != '\0' && s->conf.nmembers < GROUP_MEMBERS_MAX;) {
        struct group_member_conf *m = &s->members[s->conf.nmembers++];
        m->uri = at;
        m->weight = 1;
        while (*at != '\0' && *at != ' ')
            at++;
        if (*at == ' ')
            *at++ = '\0';
        set_addr(m);
    }
}

void section_access(struct section *s, const char *net)
{
    assert_int_equal(addr_net_parse(slice_str(net), &s->access[s->conf.naccess]), 0);
    s->conf.naccess++;
}

void section_weights(struct section *s, const uint32_t *weights)
{
    for (unsigned i = 0; i < s->conf.nmembers; i++)
        s->members[i].weight = weights[i];
}

int configure(struct groups *gs, const struct section *sections, unsigned n, uint64_t now)
{
    struct group_conf conf[8];
    assert_true(n <= 8);
    for (unsigned i = 0; i < n; i++)
        conf[i] = sections[i].conf;
    return groups_configure(gs, conf, n, now);
}

struct groups *groups_of(const struct section *sections, unsigned n)
{
    static const struct hash_key key = {11, 12};
    struct groups *gs;
    assert_int_equal(groups_new(&key, &gs), 0);
    assert_int_equal(configure(gs, sections, n, T0), 0);
    return gs;
}

void room_open(struct room *r)
{
    arena_cache_init(&r->cache, 0);
    arena_init(&r->arena, &r->cache);
}

void room_close(struct room *r)
{
    arena_fini(&r->arena);
    arena_cache_fini(&r->cache);
}

uint32_t member_id(struct groups *gs, const char *group, const char *uri)
{
    uint32_t id = group_find(gs, slice_str(group));
    assert_int_not_equal(id, 0);
    for (uint32_t m = id + 1; m < id + 200; m++) {
        struct room r;
        struct group_target t;
        room_open(&r);
        bool is_it = group_member_target(gs, m, &r.arena, &t) == 0 &&
                     slice_eq(t.uri, slice_str(uri));
        room_close(&r);
        if (is_it)
            return m;
    }
    fail_msg("no member %s", uri);
    return 0;
}

uint32_t planned(struct groups *gs, const char *group, uint64_t now)
{
    struct group_plan plan;
    group_plan(gs, group_find(gs, slice_str(group)), now, &plan);
    return plan.member;
}

/* --- text --- */

const char *dumped(struct groups *gs, uint64_t now)
{
    static struct rows rows;
    const struct row_sink sink = rows_begin(&rows);
    groups_rows(gs, now, 1700000000000 + now - T0, &sink);
    return rows.text;
}

int be_quiet(void **state)
{
    (void)state;
    int fd = open("/dev/null", O_WRONLY | O_CLOEXEC);
    log_set_fd(fd);
    return fd >= 0 ? 0 : -1;
}

void log_begin(struct logged *l)
{
    char name[] = "/tmp/test_group_XXXXXX";
    l->fd = mkstemp(name);
    assert_true(l->fd >= 0);
    unlink(name);
    log_setup(LOG_INFO, LOG_TEXT);
    log_set_fd(l->fd);
}

const char *log_end(struct logged *l)
{
    (void)be_quiet(NULL);
    ssize_t n = pread(l->fd, l->text, sizeof(l->text) - 1, 0);
    assert_true(n >= 0);
    l->text[n] = '\0';
    close(l->fd);
    return l->text;
}

unsigned count_of(const char *text, const char *what)
{
    unsigned n = 0;
    for (; (text = strstr(text, what)) != NULL; text++)
        n++;
    return n;
}
