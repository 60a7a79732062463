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
bool flows_dump_some(struct flows *flows, uint32_t *at, unsigned n,
                     void (*line)(void *user, const char *text), void *user)
{
    for (; n != 0 && *at < flows->times; n--, ++*at)
        for (unsigned i = 0; i < 4 && flows->lines[i] != NULL; i++)
            line(user, flows->lines[i]);
    return *at < flows->times;
}

bool calls_dump_some(struct calls *calls, uint64_t now, uint32_t *at, unsigned n,
                     void (*line)(void *user, const char *text), void *user)
{
    (void)calls, (void)now, (void)at, (void)n;
    line(user, RIG_CALL " confirmed dn=1001");
    line(user, "call-2@host early dn=1002");
    return false;
}

bool txns_dump_some(struct txns *txns, uint32_t *at, unsigned n,
                    void (*line)(void *user, const char *text), void *user)
{
    (void)txns, (void)at, (void)n;
    line(user, "server INVITE proceeding");
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

void net_resolver_dump(struct net_resolver *r, void (*line)(void *user, const char *text),
                       void *user)
{
    (void)r;
    line(user, "server 10.0.0.53:53: in use");
    line(user, "host sip.example: 10.0.0.7, 300 s left; 4 hits");
}

unsigned net_resolver_forget(struct net_resolver *r, struct slice name)
{
    (void)slice_cstr(name, r->forgotten, sizeof(r->forgotten));
    r->calls++;
    return 3;
}

void load_dump(struct load *load, uint64_t now, void (*line)(void *user, const char *text),
               void *user)
{
    char text[64];
    snprintf(text, sizeof(text), "lag %u ms at %llu", load->lag, (unsigned long long)now);
    line(user, text);
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
                                .load = &w->load};
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
    struct admin_deps deps = {.nworkers = RIG_WORKERS, .wall = wall, .home = home};
    memset(r, 0, sizeof(*r));
    for (unsigned i = 0; i < RIG_WORKERS; i++) {
        struct rig_worker *w = &r->workers[i];
        sem_init(&w->mail, 0, 0);
        mailbox_init(&w->box, 4, wake, &w->mail);
        w->flows.times = 1;
        deps.mailboxes[i] = &w->box;
        deps.counters[i] = &w->counters;
    }
    assert_int_equal(dn_dir_new(&key, NULL, &r->dir), 0);
    assert_int_equal(dn_dir_configure(r->dir, dns, 2), 0);
    deps.dir = r->dir;
    open_groups(r, &key);
    deps.groups = r->groups;
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
    rmdir(r->folder);
}

static void add_line(void *user, const char *text)
{
    struct answer *a = user;
    size_t len = strlen(a->text);
    a->lines++;
    snprintf(a->text + len, sizeof(a->text) - len, "%s\n", text);
}

void rig_ask(struct rig *r, const char *command, struct answer *out)
{
    struct admin_sink sink = {add_line, out};
    memset(out, 0, sizeof(*out));
    out->status = admin_command(r->admin, slice_str(command), &sink, out->why);
}
