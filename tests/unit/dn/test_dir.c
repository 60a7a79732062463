/* SPDX-License-Identifier: Apache-2.0 */
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/alloc.h"
#include "help.h"

static const struct hash_key key = {3, 4};

static struct dn_dir *dir_new(void)
{
    struct dn_dir *dir;
    assert_int_equal(dn_dir_new(&key, NULL, &dir), 0);
    return dir;
}

/* --- settings --- */

static void test_configure(void **state)
{
    (void)state;
    struct dn_dir *dir = dir_new();
    struct look l;
    struct dn_conf dns[] = {
        {.name = "1001",
         .type = DN_VOIP_SERVICE,
         .contact = "sip:gw.example.com",
         .password = "secret",
         .recovery_timeout_ms = 5000},
        {.name = "1002", .type = DN_EXTENSION, .password_ha1 = "MD5:00", .recovery_timeout_ms = 1},
    };
    assert_false(dn_dir_is_configured(dir));
    help_look(&l, dir, "1001", T0);
    assert_int_equal(l.err, ERR_NOT_FOUND);
    help_look_end(&l);

    assert_int_equal(dn_dir_configure(dir, dns, 2), 0);
    assert_true(dn_dir_is_configured(dir));
    help_look(&l, dir, "1001", T0);
    assert_int_equal(l.err, 0);
    assert_true(l.dn.configured);
    assert_int_equal(l.dn.type, DN_VOIP_SERVICE);
    assert_true(slice_eq(l.dn.contact, SLICE("sip:gw.example.com")));
    assert_true(slice_eq(l.dn.password, SLICE("secret")));
    assert_int_equal(l.dn.password_ha1.len, 0);
    assert_int_equal(l.dn.nbindings, 0);
    assert_false(l.dn.out_of_service);
    help_look_end(&l);
    help_look(&l, dir, "1002", T0);
    assert_true(slice_eq(l.dn.password_ha1, SLICE("MD5:00")));
    help_look_end(&l);
    help_look(&l, dir, "100", T0);
    assert_int_equal(l.err, ERR_NOT_FOUND);
    help_look_end(&l);
    dn_dir_free(&dir);
    assert_null(dir);
}

/* Bindings stay over a reload, also of names whose section has gone. */
static void test_reload(void **state)
{
    (void)state;
    struct dn_dir *dir = dir_new();
    struct look l;
    struct dn_conf before[] = {{.name = "1001"}, {.name = "1002"}, {.name = "1003"}};
    struct dn_conf after[] = {{.name = "1001", .type = DN_TRUNK}, {.name = "1004"}};
    assert_int_equal(dn_dir_configure(dir, before, 3), 0);
    assert_int_equal(help_register(dir, "1001", "sip:a", "c", 1), 0);
    assert_int_equal(help_register(dir, "1002", "sip:b", "c", 1), 0);
    assert_int_equal(dn_dir_configure(dir, after, 2), 0);
    assert_string_equal(help_contacts(dir, "1001", T0), "sip:a");
    assert_string_equal(help_contacts(dir, "1002", T0), "sip:b");
    help_look(&l, dir, "1001", T0);
    assert_int_equal(l.dn.type, DN_TRUNK);
    help_look_end(&l);
    help_look(&l, dir, "1002", T0);
    assert_false(l.dn.configured);
    help_look_end(&l);
    help_look(&l, dir, "1003", T0);
    assert_int_equal(l.err, ERR_NOT_FOUND);
    help_look_end(&l);
    help_look(&l, dir, "1004", T0);
    assert_true(l.dn.configured);
    help_look_end(&l);
    assert_int_equal(dn_bindings(dir), 2);
    assert_int_equal(dn_dir_configure(dir, NULL, 0), 0);
    assert_false(dn_dir_is_configured(dir));
    assert_string_equal(help_contacts(dir, "1001", T0), "sip:a");
    dn_dir_free(&dir);
}

/* --- bindings --- */

static void test_all_facts(void **state)
{
    (void)state;
    struct dn_dir *dir = dir_new();
    struct look l;
    struct dn_change c = {help_binding("sip:a@h", T0 + 5000), false};
    c.binding.path = SLICE("<sip:p;lr>");
    c.binding.instance = SLICE("<urn:x>");
    c.binding.reg_id = 7;
    c.binding.q = 300;
    assert_int_equal(dn_register(dir, SLICE("u"), &c, 1, false, 1, T0, help_same), 0);
    help_look(&l, dir, "u", T0);
    assert_int_equal(l.err, 0);
    assert_false(l.dn.configured);
    assert_int_equal(l.dn.nbindings, 1);
    const struct dn_binding *b = &l.dn.bindings[0];
    assert_true(slice_eq(b->contact, SLICE("sip:a@h")));
    assert_true(slice_eq(b->params, SLICE(";x=1")));
    assert_true(slice_eq(b->path, SLICE("<sip:p;lr>")));
    assert_true(slice_eq(b->call_id, SLICE("call")));
    assert_true(slice_eq(b->instance, SLICE("<urn:x>")));
    assert_int_equal(b->cseq, 1);
    assert_int_equal(b->reg_id, 7);
    assert_int_equal(b->q, 300);
    assert_true(b->expires == T0 + 5000 && b->updated == T0);
    assert_true(b->way.flow == 77);
    assert_int_equal(b->way.alt_port, 5070);
    assert_int_equal(b->way.transport, 1);
    assert_true(addr_eq(&b->way.remote, &c.binding.way.remote));
    assert_true(addr_eq(&b->way.local, &c.binding.way.local));
    /* What was given out is a copy. */
    assert_int_equal(dn_register(dir, SLICE("u"), &(struct dn_change){c.binding, true}, 1, false, 1,
                                 T0, help_same),
                     ERR_STALE);
    c.binding.cseq = 2;
    assert_int_equal(dn_register(dir, SLICE("u"), &(struct dn_change){c.binding, true}, 1, false, 1,
                                 T0, help_same),
                     0);
    assert_int_equal(dn_bindings(dir), 0);
    assert_true(slice_eq(b->contact, SLICE("sip:a@h")));
    help_look_end(&l);
    dn_dir_free(&dir);
}

/* By q, then the most recent first. */
static void test_order(void **state)
{
    (void)state;
    struct dn_dir *dir = dir_new();
    static const struct {
        const char *contact;
        uint16_t q;
        unsigned at;
    } list[] = {{"sip:a", 500, 1},
                {"sip:b", 1000, 2},
                {"sip:c", 500, 3},
                {"sip:d", 0, 4},
                {"sip:e", 1000, 5}};
    for (unsigned i = 0; i < 5; i++) {
        struct dn_change c = {help_binding(list[i].contact, T0 + 99999), false};
        c.binding.q = list[i].q;
        c.binding.updated = T0 + list[i].at;
        assert_int_equal(dn_register(dir, SLICE("u"), &c, 1, false, 9, T0, help_same), 0);
    }
    assert_string_equal(help_contacts(dir, "u", T0), "sip:e sip:b sip:c sip:a sip:d");
    dn_dir_free(&dir);
}

/* RFC 3261 10.3 step 7: a CSeq that is not higher within one Call-ID changes nothing, of any
 * binding in the request. */
static void test_cseq(void **state)
{
    (void)state;
    struct dn_dir *dir = dir_new();
    assert_int_equal(help_register(dir, "u", "sip:a", "c1", 5), 0);
    assert_int_equal(help_register(dir, "u", "sip:a", "c1", 5), ERR_STALE);
    assert_int_equal(help_register(dir, "u", "sip:a", "c1", 4), ERR_STALE);
    assert_int_equal(help_remove(dir, "u", "sip:A", "c1", 4), ERR_STALE);
    assert_int_equal(help_register(dir, "u", "sip:a", "c1", 6), 0);
    assert_int_equal(help_register(dir, "u", "sip:a", "c2", 1), 0);
    struct dn_change c[2] = {{help_binding("sip:new", T0 + 1000), false},
                             {help_binding("sip:a", T0 + 1000), false}};
    c[0].binding.call_id = c[1].binding.call_id = SLICE("c2");
    assert_int_equal(dn_register(dir, SLICE("u"), c, 2, false, 9, T0, help_same), ERR_STALE);
    assert_string_equal(help_contacts(dir, "u", T0), "sip:a");
    assert_int_equal(dn_bindings(dir), 1);
    c[0].binding.cseq = c[1].binding.cseq = 2;
    assert_int_equal(dn_register(dir, SLICE("u"), c, 2, false, 9, T0, help_same), 0);
    assert_int_equal(dn_bindings(dir), 2);
    dn_dir_free(&dir);
}

/* The same contact twice in one request is one binding, the last one. */
static void test_twice_in_one_request(void **state)
{
    (void)state;
    struct dn_dir *dir = dir_new();
    struct dn_change c[3] = {{help_binding("sip:a", T0 + 1000), false},
                             {help_binding("sip:A", T0 + 2000), false},
                             {help_binding("sip:b", T0 + 2000), true}};
    assert_int_equal(dn_register(dir, SLICE("u"), c, 3, false, 1, T0, help_same), 0);
    assert_string_equal(help_contacts(dir, "u", T0), "sip:A");
    assert_int_equal(dn_bindings(dir), 1);
    c[0].binding.cseq = c[1].binding.cseq = 9;
    c[1].remove = true;
    assert_int_equal(dn_register(dir, SLICE("u"), c, 2, false, 1, T0, help_same), 0);
    assert_string_equal(help_contacts(dir, "u", T0), "");
    assert_int_equal(dn_bindings(dir), 0);
    dn_dir_free(&dir);
}

static void test_limit(void **state)
{
    (void)state;
    struct dn_dir *dir = dir_new();
    char contact[16];
    for (unsigned i = 0; i < 10; i++) {
        snprintf(contact, sizeof(contact), "sip:%u", i);
        assert_int_equal(help_register(dir, "u", contact, "c", i), 0);
    }
    assert_int_equal(help_register(dir, "u", "sip:more", "c", 99), ERR_LIMIT);
    assert_int_equal(dn_bindings(dir), 10);
    assert_int_equal(help_register(dir, "u", "sip:3", "c", 100), 0);
    /* A smaller limit after a reload lets those that are there be refreshed. */
    struct dn_change c = {help_binding("sip:4", T0 + 1000), false};
    assert_int_equal(dn_register(dir, SLICE("u"), &c, 1, false, 2, T0, help_same), 0);
    /* Expired ones do not count. */
    c.binding = help_binding("sip:late", T0 + 8000000);
    assert_int_equal(dn_register(dir, SLICE("u"), &c, 1, false, 1, T0 + 3600001, help_same), 0);
    assert_int_equal(dn_bindings(dir), 1);
    dn_dir_free(&dir);
}

static void test_star(void **state)
{
    (void)state;
    struct dn_dir *dir = dir_new();
    struct dn_change star = {.remove = true};
    assert_int_equal(help_register(dir, "u", "sip:a", "c1", 5), 0);
    assert_int_equal(help_register(dir, "u", "sip:b", "c2", 50), 0);
    assert_int_equal(help_register(dir, "other", "sip:b", "c2", 50), 0);
    star.binding.call_id = SLICE("c2");
    star.binding.cseq = 50;
    assert_int_equal(dn_register(dir, SLICE("u"), &star, 1, true, 9, T0, help_same), ERR_STALE);
    assert_int_equal(dn_bindings(dir), 3);
    star.binding.cseq = 51;
    assert_int_equal(dn_register(dir, SLICE("u"), &star, 1, true, 9, T0, help_same), 0);
    assert_string_equal(help_contacts(dir, "u", T0), "");
    assert_string_equal(help_contacts(dir, "other", T0), "sip:b");
    assert_int_equal(dn_register(dir, SLICE("nobody"), &star, 1, true, 9, T0, help_same), 0);
    dn_dir_free(&dir);
}

/* RFC 5626 section 6. */
static void test_outbound(void **state)
{
    (void)state;
    struct dn_dir *dir = dir_new();
    struct dn_change c = {help_binding("sip:a", T0 + 1000), false};
    /* A binding of before the device spoke of flows is replaced by its first flow. */
    assert_int_equal(help_register(dir, "u", "sip:a", "old", 1), 0);
    c.binding.instance = SLICE("<urn:1>");
    for (c.binding.reg_id = 1; c.binding.reg_id <= 2; c.binding.reg_id++) {
        c.binding.updated++;
        assert_int_equal(dn_register(dir, SLICE("u"), &c, 1, false, 9, T0, help_same), 0);
    }
    assert_string_equal(help_contacts(dir, "u", T0), "sip:a sip:a");
    /* The same flow with another Contact. */
    c.binding = help_binding("sip:moved", T0 + 1000);
    c.binding.instance = SLICE("<urn:1>");
    c.binding.reg_id = 1;
    c.binding.cseq = 2;
    assert_int_equal(dn_register(dir, SLICE("u"), &c, 1, false, 9, T0, help_same), 0);
    assert_string_equal(help_contacts(dir, "u", T0), "sip:a sip:moved");
    /* Another device of that Contact. */
    c.binding.contact = SLICE("sip:a");
    c.binding.instance = SLICE("<urn:2>");
    assert_int_equal(dn_register(dir, SLICE("u"), &c, 1, false, 9, T0, help_same), 0);
    assert_int_equal(dn_bindings(dir), 3);
    /* Without a reg-id the Contact names them all. */
    assert_int_equal(help_remove(dir, "u", "sip:a", "other", 1), 0);
    assert_string_equal(help_contacts(dir, "u", T0), "sip:moved");
    dn_dir_free(&dir);
}

static void test_expire(void **state)
{
    (void)state;
    struct dn_dir *dir = dir_new();
    struct dn_conf dns[] = {{.name = "conf"}};
    struct look l;
    assert_int_equal(dn_dir_configure(dir, dns, 1), 0);
    char name[16];
    for (unsigned i = 0; i < 500; i++) {
        snprintf(name, sizeof(name), "%u", i);
        struct dn_change c = {help_binding("sip:a", T0 + 1000 + i % 2 * 1000), false};
        assert_int_equal(dn_register(dir, slice_str(name), &c, 1, false, 9, T0, help_same), 0);
    }
    assert_int_equal(help_register(dir, "conf", "sip:a", "c", 1), 0);
    /* Expired ones are not given out, swept or not. */
    help_look(&l, dir, "0", T0 + 999);
    assert_int_equal(l.dn.nbindings, 1);
    help_look_end(&l);
    help_look(&l, dir, "0", T0 + 1000);
    assert_int_equal(l.err, ERR_NOT_FOUND);
    help_look_end(&l);
    unsigned calls = 0, left = dn_bindings(dir);
    assert_int_equal(left, 501);
    while (left > 251 && calls++ < 100) {
        unsigned now_left = dn_expire(dir, T0 + 1000);
        assert_true(now_left <= left);
        left = now_left;
    }
    assert_int_equal(left, 251);
    assert_true(calls > 1); /* a part at a time */
    while (dn_expire(dir, T0 + 99999999) != 0 && calls++ < 200)
        ;
    assert_int_equal(dn_bindings(dir), 0);
    help_look(&l, dir, "conf", T0 + 99999999);
    assert_int_equal(l.err, 0);
    assert_int_equal(l.dn.nbindings, 0);
    help_look_end(&l);
    dn_dir_free(&dir);
}

/* --- in service or out --- */

static void expect_out(struct dn_dir *dir, const char *name, uint64_t now, bool out, int cause)
{
    struct look l;
    help_look(&l, dir, name, now);
    assert_int_equal(l.err, 0);
    assert_int_equal(l.dn.out_of_service, out);
    assert_int_equal(l.dn.oos_cause, cause);
    help_look_end(&l);
}

static void test_out_of_service(void **state)
{
    (void)state;
    struct dn_dir *dir = dir_new();
    struct dn_conf dns[] = {{.name = "1001", .recovery_timeout_ms = 5000}};
    assert_int_equal(dn_dir_configure(dir, dns, 1), 0);
    assert_int_equal(help_register(dir, "free", "sip:a", "c", 1), 0);
    assert_false(dn_set_out_of_service(dir, SLICE("nobody"), ERR_TIMEOUT, T0));
    assert_int_equal(dn_set_in_service(dir, SLICE("1001")), DN_IN_SERVICE);

    assert_true(dn_set_out_of_service(dir, SLICE("1001"), ERR_TIMEOUT, T0));
    assert_false(dn_set_out_of_service(dir, SLICE("1001"), ERR_CLOSED, T0 + 4999));
    expect_out(dir, "1001", T0 + 4999, true, ERR_TIMEOUT);
    /* Tried again from then on; what fails again is out again. */
    expect_out(dir, "1001", T0 + 5000, false, ERR_TIMEOUT);
    assert_true(dn_set_out_of_service(dir, SLICE("1001"), ERR_CLOSED, T0 + 5000));
    expect_out(dir, "1001", T0 + 9999, true, ERR_CLOSED);
    assert_int_equal(dn_set_in_service(dir, SLICE("1001")), DN_OUT_OF_SERVICE);
    expect_out(dir, "1001", T0 + 9999, false, 0);
    assert_int_equal(dn_set_in_service(dir, SLICE("1001")), DN_IN_SERVICE);

    /* 60 s without a section; it ends by registering, not by unregistering. */
    assert_true(dn_set_out_of_service(dir, SLICE("free"), ERR_TIMEOUT, T0));
    expect_out(dir, "free", T0 + 59999, true, ERR_TIMEOUT);
    expect_out(dir, "free", T0 + 60000, false, ERR_TIMEOUT);
    assert_int_equal(help_remove(dir, "free", "sip:no", "c", 2), 0);
    expect_out(dir, "free", T0 + 1, true, ERR_TIMEOUT);
    assert_int_equal(help_register(dir, "free", "sip:b", "c", 3), 0);
    expect_out(dir, "free", T0 + 1, false, 0);
    dn_dir_free(&dir);
}

/* --- rows --- */

static void test_rows(void **state)
{
    (void)state;
    struct dn_dir *dir = dir_new();
    struct dn_conf dns[] = {
        {.name = "1001", .type = DN_TRUNK, .service_type = "media", .recovery_timeout_ms = 5000}};
    assert_int_equal(dn_dir_configure(dir, dns, 1), 0);
    assert_string_equal(help_rows(dir, T0),
                        "dn name=1001 type=trunk service_type=media state=in-service cause=\"\" "
                        "since=\"\" bindings=0 checked=false last_check=\"\" last_answer=\"\" "
                        "next_try=\"\"\n");
    assert_int_equal(help_register(dir, "1001", "sip:a\r\nevil", "c", 1), 0);
    const char *text = help_rows(dir, T0 + 1500);
    assert_non_null(strstr(text, " bindings=1 "));
    assert_non_null(strstr(text, "\nbinding dn=1001 contact=\"sip:a\\r\\nevil\" "));
    assert_non_null(strstr(text, " remote=10.1.2.3:5060 source=10.1.2.3:40001 "));
    assert_non_null(strstr(text, " expires_s=3598 q=1.000 "));
    assert_true(dn_set_out_of_service(dir, SLICE("1001"), ERR_TIMEOUT, T0 + 2000));
    text = help_rows(dir, T0 + 3000);
    assert_non_null(strstr(text, " state=out-of-service cause=\"timed out\" "
                                 "since=2023-11-14T22:13:22.000Z "));
    assert_non_null(strstr(text, " next_try=2023-11-14T22:13:27.000Z\n"));
    text = help_rows(dir, T0 + 7000);
    assert_non_null(strstr(text, " state=suspect cause=\"timed out\" "));
    assert_non_null(strstr(text, " next_try=\"\"\n"));
    dn_dir_free(&dir);
}

/* Every column of a binding; a DN without a section. */
static void test_row_of_a_binding(void **state)
{
    (void)state;
    struct dn_dir *dir = dir_new();
    struct dn_change c = {.binding = {.contact = SLICE("sip:a@h"),
                                      .path = SLICE("<sip:p;lr>"),
                                      .call_id = SLICE("c"),
                                      .instance = SLICE("<urn:uuid:1>"),
                                      .cseq = 1,
                                      .reg_id = 7,
                                      .q = 50,
                                      .expires = T0 + 60000,
                                      .updated = T0 - 1000,
                                      .way = {.flow = 0xab, .transport = 2}}};
    assert_int_equal(addr_parse(SLICE("[2001:db8::1]:5061"), 0, &c.binding.way.remote), 0);
    assert_int_equal(dn_register(dir, SLICE("alice"), &c, 1, false, 10, T0, help_same), 0);
    assert_string_equal(
        help_rows(dir, T0),
        "dn name=alice type=\"\" service_type=\"\" state=in-service cause=\"\" since=\"\" "
        "bindings=1 checked=false last_check=\"\" last_answer=\"\" next_try=\"\"\n"
        "binding dn=alice contact=sip:a@h transport=tls remote=[2001:db8::1]:5061 source=\"\" "
        "connection=00000000000000ab expires_s=60 q=0.050 instance=<urn:uuid:1> reg_id=7 "
        "path=<sip:p;lr> registered=2023-11-14T22:13:19.000Z\n");
    dn_dir_free(&dir);
}

/* --- memory and threads --- */

/* Whatever fails, all of a change is made or nothing. */
static void test_no_memory(void **state)
{
    (void)state;
    struct dn_conf dns[] = {{.name = "1001", .contact = "sip:c"}, {.name = "1002"}};
    struct dn_change c[2] = {{help_binding("sip:a", T0 + 1000), false},
                             {help_binding("sip:b", T0 + 1000), false}};
    bool failed = true;
    for (uint64_t n = 1; failed && n < 10000; n++) {
        struct dn_dir *dir = NULL;
        mem_fail_at(n);
        int err = dn_dir_new(&key, NULL, &dir);
        if (err == 0) {
            err = dn_dir_configure(dir, dns, 2);
            assert_int_equal(dn_dir_is_configured(dir), err == 0);
        }
        if (err == 0) {
            err = dn_register(dir, SLICE("1001"), c, 2, false, 9, T0, help_same);
            assert_int_equal(dn_bindings(dir), err == 0 ? 2 : 0);
        }
        if (err == 0)
            err = help_register(dir, "new", "sip:c", "c", 1);
        failed = mem_failed();
        if (err == 0) {
            struct look l;
            help_look(&l, dir, "1001", T0);
            err = l.err;
            failed = mem_failed();
            mem_fail_at(0);
            assert_int_equal(err, failed ? ERR_NOMEM : 0);
            help_look_end(&l);
        }
        mem_fail_at(0);
        assert_int_equal(err, failed ? ERR_NOMEM : 0);
        dn_dir_free(&dir);
    }
    assert_false(failed);
}

enum { THREADS = 4, ROUNDS = 4000, NAMES = 37 };

struct job {
    struct dn_dir *dir;
    unsigned seed;
    unsigned errors;
};

static void one_round(struct job *j, unsigned i)
{
    char name[16], contact[32], call_id[16];
    snprintf(name, sizeof(name), "n%u", (i * 7 + j->seed) % NAMES);
    snprintf(contact, sizeof(contact), "sip:t%u", j->seed);
    snprintf(call_id, sizeof(call_id), "c%u", j->seed);
    j->errors += help_register(j->dir, name, contact, call_id, i + 1) != 0;
    /* Nobody else touches the contact of this thread. */
    j->errors += strstr(help_contacts(j->dir, name, T0), contact) == NULL;
    (void)dn_set_out_of_service(j->dir, slice_str(name), ERR_TIMEOUT, T0 + i);
    (void)dn_set_in_service(j->dir, slice_str(name));
    if (i % 3 == 0)
        j->errors += help_remove(j->dir, name, contact, "other", 1) != 0;
    if (i % 64 == 0)
        (void)dn_expire(j->dir, T0);
}

static void *thread_main(void *arg)
{
    struct job *j = arg;
    for (unsigned i = 0; i < ROUNDS; i++)
        one_round(j, i);
    return NULL;
}

static void test_threads(void **state)
{
    (void)state;
    struct dn_dir *dir = dir_new();
    struct dn_conf few[] = {{.name = "n1"}, {.name = "n2"}}, more[] = {{.name = "n3"}};
    struct job jobs[THREADS];
    pthread_t threads[THREADS];
    for (unsigned i = 0; i < THREADS; i++) {
        jobs[i] = (struct job){dir, i, 0};
        assert_int_equal(pthread_create(&threads[i], NULL, thread_main, &jobs[i]), 0);
    }
    for (unsigned i = 0; i < 50; i++) {
        assert_int_equal(dn_dir_configure(dir, few, 2), 0);
        assert_int_equal(dn_dir_configure(dir, more, 1), 0);
    }
    unsigned listed = 0;
    for (unsigned i = 0; i < THREADS; i++) {
        pthread_join(threads[i], NULL);
        assert_int_equal(jobs[i].errors, 0);
    }
    for (unsigned i = 0; i < NAMES; i++) {
        char name[16];
        struct look l;
        snprintf(name, sizeof(name), "n%u", i);
        help_look(&l, dir, name, T0);
        listed += l.dn.nbindings;
        help_look_end(&l);
    }
    assert_true(listed > 0);
    assert_int_equal(dn_bindings(dir), listed);
    dn_dir_free(&dir);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_configure),
        cmocka_unit_test(test_reload),
        cmocka_unit_test(test_all_facts),
        cmocka_unit_test(test_order),
        cmocka_unit_test(test_cseq),
        cmocka_unit_test(test_twice_in_one_request),
        cmocka_unit_test(test_limit),
        cmocka_unit_test(test_star),
        cmocka_unit_test(test_outbound),
        cmocka_unit_test(test_expire),
        cmocka_unit_test(test_out_of_service),
        cmocka_unit_test(test_rows),
        cmocka_unit_test(test_row_of_a_binding),
        cmocka_unit_test(test_no_memory),
        cmocka_unit_test(test_threads),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
