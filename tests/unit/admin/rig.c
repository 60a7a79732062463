/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/alloc.h"
#include "rig.h"

/* --- rooms --- */

/* The places are the times. */
bool flows_rows_some(struct flows *flows, uint32_t *at, unsigned n, const struct row_sink *sink)
{
    for (; n != 0 && *at < flows->times; n--, ++*at)
        for (unsigned i = 0; i < 4 && flows->list[i].id != NULL; i++) {
            const struct rig_flow *f = &flows->list[i];
            struct addr remote = {0};
            if (f->remote != NULL)
                assert_int_equal(addr_parse(slice_str(f->remote), 0, &remote), 0);
            ROW(sink, "flow", LF_STR("id", f->id), LF_STR("dn", f->dn), LF_ADDR("remote", &remote),
                LF_INT("reopened", 3));
        }
    return *at < flows->times;
}

bool flows_is_alive(const struct flows *flows, uint64_t flow)
{
    return flow == RIG_FLOW && flows->closed != flow;
}

void flows_close(struct flows *flows, uint64_t flow, int reason)
{
    assert_int_equal(reason, ERR_ADMIN);
    flows->closed = flow;
}

bool calls_rows_some(struct calls *calls, uint64_t now, uint32_t *at, unsigned n,
                     const struct row_sink *sink)
{
    (void)calls, (void)now, (void)at, (void)n;
    ROW(sink, "call", LF_STR("call_id", RIG_CALL), LF_STR("dn", "1001"),
        LF_STR("from", "sip:alice@example.com"));
    ROW(sink, "call", LF_STR("call_id", "call-2@host"), LF_STR("dn", "1002"),
        LF_STR("from", "sip:bob@example.com"));
    return false;
}

bool txns_rows_some(struct txns *txns, uint32_t *at, unsigned n, const struct row_sink *sink)
{
    (void)txns, (void)at, (void)n;
    ROW(sink, "transaction", LF_STR("kind", "server"), LF_STR("method", "INVITE"));
    return false;
}

unsigned proxy_release(struct proxy *p, struct slice call_id, const char *why)
{
    assert_non_null(why);
    if (!slice_eq(call_id, SLICE(RIG_CALL)))
        return 0;
    atomic_fetch_add(&p->released, 1);
    return 2;
}

void net_resolver_rows(struct net_resolver *r, const struct row_sink *sink)
{
    (void)r;
    ROW(sink, "resolver_server", LF_STR("address", "10.0.0.53:53"), LF_STR("state", "in-use"));
    ROW(sink, "resolver_name", LF_STR("name", "sip.example"), LF_STR("answer", "10.0.0.7"));
}

unsigned net_resolver_forget(struct net_resolver *r, struct slice name)
{
    (void)slice_cstr(name, r->forgotten, sizeof(r->forgotten));
    r->calls++;
    return 3;
}

void load_rows(struct load *load, uint64_t now, const struct row_sink *sink)
{
    assert_int_equal(now, 7);
    ROW(sink, "overload", LF_INT("lag_ms", load->lag));
}

/* A message each 10 us, those of the workers by turns. */
bool trace_rows_some(struct trace *t, uint64_t *at, unsigned n, const struct trace_want *want,
                     const struct row_sink *sink)
{
    for (; n != 0 && *at < t->messages; n--, ++*at) {
        uint64_t time = 1000 + 20 * *at + 10 * t->worker;
        if (time <= want->since || (want->call_id.len != 0 && !slice_eq(want->call_id, SLICE("x"))))
            continue;
        ROW(sink, "message", LF_INT("time_us", time), LF_INT("worker", t->worker),
            LF_STR("bytes", want->with_bytes ? "QQ==" : ""));
    }
    return *at < t->messages;
}

/* --- workers --- */

static void wake(void *user)
{
    sem_post(user);
}

struct start {
    struct rig *rig;
    struct rig_worker *worker;
};

static void *run_worker(void *user)
{
    struct start start = *(struct start *)user;
    struct rig_worker *w = start.worker;
    struct admin_rooms rooms = {.now = 7,
                                .flows = &w->flows,
                                .txns = (void *)w,
                                .calls = (void *)w,
                                .proxy = &start.rig->proxy,
                                .resolver = &w->resolver,
                                .load = &w->load,
                                .trace = &w->trace};
    mem_free(user);
    while (!atomic_load(&w->is_stopping)) {
        struct mail *mail;
        sem_wait(&w->mail);
        while ((mail = mailbox_take(&w->box)) != NULL) {
            assert_int_equal(mail->kind, MAIL_ADMIN);
            admin_on_mail(mail, &rooms);
        }
    }
    return NULL;
}

void rig_start_workers(struct rig *r)
{
    for (unsigned i = 0; i < RIG_WORKERS; i++) {
        struct start *start = mem_alloc(sizeof(*start));
        assert_non_null(start);
        *start = (struct start){r, &r->workers[i]};
        atomic_store(&r->workers[i].is_stopping, false);
        assert_int_equal(pthread_create(&r->workers[i].thread, NULL, run_worker, start), 0);
        sem_post(&r->workers[i].mail);
    }
    r->is_running = true;
}

void rig_stop_workers(struct rig *r)
{
    for (unsigned i = 0; r->is_running && i < RIG_WORKERS; i++) {
        atomic_store(&r->workers[i].is_stopping, true);
        sem_post(&r->workers[i].mail);
        pthread_join(r->workers[i].thread, NULL);
    }
    r->is_running = false;
}

/* --- the rig --- */

static uint64_t wall(void *user)
{
    (void)user;
    return 1000000;
}

static unsigned home(void *user, struct slice call_id)
{
    (void)user;
    return slice_eq(call_id, SLICE(RIG_CALL)) ? 1 : 0;
}

/* Says what it was told, in rows as main does. */
static bool order(void *user, enum admin_order what, struct slice a, struct slice b,
                  const struct row_sink *sink, char *why)
{
    struct rig *r = user;
    r->ordered = what;
    if (slice_eq(a, SLICE("wrong")) || slice_eq(b, SLICE("wrong"))) {
        snprintf(why, ADMIN_WHY_MAX, "not so");
        return false;
    }
    ROW(sink, "line", LF_SLICE("text", a));
    if (b.ptr != NULL)
        ROW(sink, "line", LF_SLICE("text", b));
    return true;
}

static void options(void *user, struct slice want, const struct row_sink *sink)
{
    struct rig *r = user;
    r->is_locked = true;
    if (want.len == 0 || slice_eq(want, SLICE("timer-t1")))
        ROW(sink, "option", LF_STR("section", "sipproxy"), LF_STR("name", "timer-t1"),
            LF_STR("value", "500ms"));
    r->is_locked = false;
}

static bool is_draining(void *user)
{
    struct rig *r = user;
    r->looks++;
    return r->ordered == ADMIN_DRAIN;
}

static void open_groups(struct rig *r, const struct hash_key *key)
{
    char names[2][8] = {"main", "media"}, uris[4][32];
    struct group_member_conf members[4] = {0};
    for (unsigned i = 0; i < 4; i++) {
        snprintf(uris[i], sizeof(uris[i]), "sip:10.0.0.%u:5060", i + 1);
        members[i] = (struct group_member_conf){.uri = uris[i], .weight = 1};
        assert_int_equal(addr_parse(slice_str(uris[i] + 4), 0, &members[i].addr), 0);
    }
    struct group_conf conf[2] = {
        {.name = names[0], .members = members, .nmembers = 2, .check_ms = 5000, .force_ms = 5000},
        {.name = names[1], .members = members + 2, .nmembers = 2, .role = GROUP_BALANCED}};
    assert_int_equal(groups_new(key, &r->groups), 0);
    assert_int_equal(groups_configure(r->groups, conf, 2, 0), 0);
}

void rig_open(struct rig *r)
{
    struct hash_key key = {1, 2};
    char names[2][8] = {"1001", "1002"};
    struct dn_conf dns[2] = {{.name = names[0], .recovery_timeout_ms = 60000},
                             {.name = names[1], .recovery_timeout_ms = 60000}};
    struct admin_deps deps = {.nworkers = RIG_WORKERS,
                              .wall = wall,
                              .home = home,
                              .order = order,
                              .options = options,
                              .is_draining = is_draining,
                              .user = r,
                              .configuration = "/etc/holdfast.conf"};
    memset(r, 0, sizeof(*r));
    r->ordered = ADMIN_RESUME;
    for (unsigned i = 0; i < RIG_WORKERS; i++) {
        struct rig_worker *w = &r->workers[i];
        sem_init(&w->mail, 0, 0);
        mailbox_init(&w->box, 4, wake, &w->mail);
        w->flows.times = 1;
        w->trace = (struct trace){i, 100};
        deps.mailboxes[i] = &w->box;
        deps.counters[i] = &w->counters;
    }
    assert_int_equal(dn_dir_new(&key, NULL, &r->dir), 0);
    assert_int_equal(dn_dir_configure(r->dir, dns, 2), 0);
    deps.dir = r->dir;
    open_groups(r, &key);
    deps.groups = r->groups;
    assert_int_equal(admin_events_new(&r->events), 0);
    deps.events = r->events;
    assert_int_equal(admin_new(&deps, &r->admin), 0);
    snprintf(r->folder, sizeof(r->folder), "/tmp/holdfast-admin-XXXXXX");
    assert_non_null(mkdtemp(r->folder));
    rig_start_workers(r);
}

void rig_close(struct rig *r)
{
    admin_free(&r->admin);
    assert_null(r->admin);
    rig_stop_workers(r);
    for (unsigned i = 0; i < RIG_WORKERS; i++) {
        mailbox_fini(&r->workers[i].box);
        sem_destroy(&r->workers[i].mail);
    }
    dn_dir_free(&r->dir);
    groups_free(&r->groups);
    admin_events_free(&r->events);
    rmdir(r->folder);
}

static void add_row(void *user, const char *set, unsigned n, const struct field *fields)
{
    struct answer *a = user;
    size_t len = strlen(a->text);
    char line[2048];
    a->rows++;
    row_line(set, n, fields, line, sizeof(line));
    snprintf(a->text + len, sizeof(a->text) - len, "%s\n", line);
}

void rig_ask(struct rig *r, const char *command, struct answer *out)
{
    struct row_sink sink = {add_row, out};
    memset(out, 0, sizeof(*out));
    out->status = admin_command(r->admin, slice_str(command), "user root", &sink, out->why);
}
