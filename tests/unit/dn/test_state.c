/* SPDX-License-Identifier: Apache-2.0 */
/* In service, suspect, out of service: what leads from one to the other, what a reload forgets, and
 * that nothing is lost between threads. */
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>

#include <cmocka.h>

#include "base/alloc.h"
#include "base/event.h"
#include "help.h"

static const struct hash_key key = {5, 6};

static const struct addr nowhere; /* ADDR_NONE */

static struct addr addr_of(const char *text)
{
    struct addr a;
    assert_int_equal(addr_parse(slice_str(text), 0, &a), 0);
    return a;
}

static struct dn_dir *dir_with(const struct dn_conf *dns, unsigned n)
{
    struct dn_dir *dir;
    assert_int_equal(dn_dir_new(&key, NULL, &dir), 0);
    assert_int_equal(dn_dir_configure(dir, dns, n), 0);
    return dir;
}

static void expect(struct dn_dir *dir, const char *name, uint64_t now, enum dn_state state,
                   int cause)
{
    struct look l;
    help_look(&l, dir, name, now);
    assert_int_equal(l.err, 0);
    assert_int_equal(l.dn.state, state);
    assert_int_equal(l.dn.out_of_service, state == DN_OUT_OF_SERVICE);
    assert_int_equal(l.dn.oos_cause, cause);
    assert_int_equal(dn_state(dir, slice_str(name), now), state);
    help_look_end(&l);
}

static uint64_t until(struct dn_dir *dir, const char *name, uint64_t now)
{
    struct look l;
    help_look(&l, dir, name, now);
    uint64_t at = l.dn.oos_until;
    help_look_end(&l);
    return at;
}

/* --- one DN --- */

static void test_ways(void **state)
{
    (void)state;
    struct dn_conf dns[] = {{.name = "1", .recovery_timeout_ms = 5000}};
    struct dn_dir *dir = dir_with(dns, 1);
    assert_false(dn_set_suspect(dir, SLICE("2"), ERR_CLOSED, T0));
    assert_int_equal(dn_state(dir, SLICE("2"), T0), DN_IN_SERVICE);
    expect(dir, "1", T0, DN_IN_SERVICE, 0);

    /* In service, suspect, in service. */
    assert_true(dn_set_suspect(dir, SLICE("1"), ERR_CLOSED, T0));
    assert_false(dn_set_suspect(dir, SLICE("1"), ERR_TIMEOUT, T0 + 1));
    expect(dir, "1", T0 + 999999, DN_SUSPECT, ERR_CLOSED);
    assert_int_equal(dn_set_in_service(dir, SLICE("1")), DN_SUSPECT);
    expect(dir, "1", T0, DN_IN_SERVICE, 0);
    assert_int_equal(dn_set_in_service(dir, SLICE("1")), DN_IN_SERVICE);

    /* Suspect, out of service, tried again, out once more, in service. */
    assert_true(dn_set_suspect(dir, SLICE("1"), ERR_CLOSED, T0));
    assert_int_equal(dn_outages(dir), 0);
    assert_true(dn_set_out_of_service(dir, SLICE("1"), ERR_TIMEOUT, T0 + 10));
    assert_int_equal(dn_outages(dir), 1);
    assert_false(dn_set_suspect(dir, SLICE("1"), ERR_CLOSED, T0 + 11));
    expect(dir, "1", T0 + 11, DN_OUT_OF_SERVICE, ERR_TIMEOUT);
    assert_true(until(dir, "1", T0 + 11) == T0 + 5010);
    expect(dir, "1", T0 + 5010, DN_SUSPECT, ERR_TIMEOUT);
    assert_true(until(dir, "1", T0 + 5010) == 0);
    assert_true(dn_set_out_of_service(dir, SLICE("1"), -ECONNREFUSED, T0 + 5010));
    assert_int_equal(dn_outages(dir), 2);
    expect(dir, "1", T0 + 10009, DN_OUT_OF_SERVICE, -ECONNREFUSED);
    assert_int_equal(dn_set_in_service(dir, SLICE("1")), DN_OUT_OF_SERVICE);
    expect(dir, "1", T0, DN_IN_SERVICE, 0);
    dn_dir_free(&dir);
}

/* One that is checked is out for as long as no check is answered; when it is tried again follows
 * from when it was checked last. */
static void test_checked(void **state)
{
    (void)state;
    struct dn_conf dns[] = {{.name = "1",
                             .contact = "sip:h",
                             .recovery_timeout_ms = 1000,
                             .oos_check_s = 60,
                             .oos_force_s = 5},
                            {.name = "2", .oos_check_s = 60}};
    struct dn_dir *dir = dir_with(dns, 2);
    assert_true(dn_set_out_of_service(dir, SLICE("1"), ERR_TIMEOUT, T0));
    expect(dir, "1", T0 + 86400000, DN_OUT_OF_SERVICE, ERR_TIMEOUT);
    assert_true(until(dir, "1", T0) == T0 + 5000);
    dn_note_check(dir, SLICE("1"), T0 + 100);
    assert_true(until(dir, "1", T0 + 2000) == T0 + 5100);
    assert_true(until(dir, "1", T0 + 5100) == T0 + 10100);
    dn_note_check(dir, SLICE("nobody"), T0);
    /* Without oos-force as while it is in service; nothing known of one that has to register. */
    assert_true(dn_set_out_of_service(dir, SLICE("2"), ERR_TIMEOUT, T0));
    assert_true(until(dir, "2", T0) == 0);
    assert_int_equal(help_register(dir, "2", "sip:a", "c", 1), 0);
    expect(dir, "2", T0, DN_IN_SERVICE, 0);
    assert_true(dn_set_out_of_service(dir, SLICE("2"), ERR_TIMEOUT, T0));
    assert_true(until(dir, "2", T0) == T0 + 60000);
    dn_dir_free(&dir);
}

/* Registering ends both; unregistering and expiring do not. */
static void test_register(void **state)
{
    (void)state;
    struct dn_conf dns[] = {{.name = "1", .recovery_timeout_ms = 5000}};
    struct dn_dir *dir = dir_with(dns, 1);
    assert_int_equal(help_register(dir, "1", "sip:a", "c", 1), 0);
    assert_true(dn_set_suspect(dir, SLICE("1"), ERR_CLOSED, T0));
    assert_int_equal(help_remove(dir, "1", "sip:b", "c", 2), 0);
    expect(dir, "1", T0, DN_SUSPECT, ERR_CLOSED);
    assert_int_equal(help_register(dir, "1", "sip:b", "c", 3), 0);
    expect(dir, "1", T0, DN_IN_SERVICE, 0);
    assert_true(dn_set_out_of_service(dir, SLICE("1"), ERR_CLOSED, T0));
    assert_int_equal(help_remove(dir, "1", "sip:b", "c", 4), 0);
    expect(dir, "1", T0, DN_OUT_OF_SERVICE, ERR_CLOSED);
    assert_int_equal(help_register(dir, "1", "sip:b", "c", 5), 0);
    expect(dir, "1", T0, DN_IN_SERVICE, 0);
    assert_int_equal(dn_on_connection(dir, &nowhere, T0), 0);

    /* Of a name without a section nothing is left when its last binding ends. */
    assert_int_equal(help_register(dir, "free", "sip:a", "c", 1), 0);
    assert_true(dn_set_out_of_service(dir, SLICE("free"), ERR_CLOSED, T0));
    assert_int_equal(help_remove(dir, "free", "sip:a", "c", 2), 0);
    assert_int_equal(dn_state(dir, SLICE("free"), T0), DN_IN_SERVICE);
    assert_int_equal(help_register(dir, "free", "sip:a", "c", 1), 0);
    expect(dir, "free", T0, DN_IN_SERVICE, 0);
    dn_dir_free(&dir);
}

/* --- a device connects --- */

static void test_connection(void **state)
{
    (void)state;
    struct dn_conf dns[] = {
        {.name = "1", .contact = "sip:10.9.9.9", .contact_addr = addr_of("10.9.9.9")},
        {.name = "2", .oos_check_s = 60},
        {.name = "3"},
    };
    struct dn_dir *dir = dir_with(dns, 3);
    struct addr contact = addr_of("10.9.9.9:40001"), binding = addr_of("10.1.2.3:40002");
    struct addr other = addr_of("10.1.2.4:5060");
    for (unsigned i = 0; i < 3; i++)
        if (i != 0) /* help's bindings are at 10.1.2.3 */
            assert_int_equal(help_register(dir, dns[i].name, "sip:a", "c", 1), 0);
    assert_int_equal(dn_on_connection(dir, &contact, T0), 0);
    assert_true(dn_set_suspect(dir, SLICE("3"), ERR_CLOSED, T0));
    assert_int_equal(dn_on_connection(dir, &binding, T0), 0);
    for (unsigned i = 0; i < 3; i++)
        assert_true(dn_set_out_of_service(dir, slice_str(dns[i].name), ERR_TIMEOUT, T0));
    assert_int_equal(dn_on_connection(dir, &other, T0 + 1), 0);
    assert_int_equal(dn_on_connection(dir, &contact, T0 + 1), 1);
    expect(dir, "1", T0 + 1, DN_SUSPECT, ERR_TIMEOUT);
    expect(dir, "2", T0 + 1, DN_OUT_OF_SERVICE, ERR_TIMEOUT);
    assert_int_equal(dn_on_connection(dir, &binding, T0 + 1), 2);
    expect(dir, "2", T0 + 1, DN_SUSPECT, ERR_TIMEOUT);
    expect(dir, "3", T0 + 1, DN_SUSPECT, ERR_TIMEOUT);
    assert_int_equal(dn_on_connection(dir, &binding, T0 + 1), 0);
    unsigned suspect, out;
    assert_true(dn_set_out_of_service(dir, SLICE("3"), ERR_TIMEOUT, T0));
    dn_count(dir, T0, &suspect, &out);
    assert_int_equal(suspect, 3); /* of one the recovery-timeout, 0, has passed */
    assert_int_equal(out, 0);
    /* It has been out: when it answers, it is back. */
    assert_int_equal(dn_set_in_service(dir, SLICE("2")), DN_OUT_OF_SERVICE);
    dn_dir_free(&dir);
}

/* Bindings come and go while the DN is out of service; what has gone is not found any more. */
static void test_connection_of_gone(void **state)
{
    (void)state;
    struct dn_conf dns[] = {{.name = "1", .recovery_timeout_ms = 60000}};
    struct dn_dir *dir = dir_with(dns, 1);
    struct addr at[2] = {addr_of("10.0.0.1:1"), addr_of("10.0.0.2:1")};
    for (unsigned i = 0; i < 2; i++) {
        struct dn_change c = {help_binding(i == 0 ? "sip:a" : "sip:b", T0 + 1000 + i * 1000),
                              false};
        c.binding.way.remote = at[i];
        assert_int_equal(dn_register(dir, SLICE("1"), &c, 1, false, 9, T0, help_same), 0);
    }
    assert_true(dn_set_out_of_service(dir, SLICE("1"), ERR_TIMEOUT, T0));
    struct dn_change gone = {help_binding("sip:a", 0), true};
    gone.binding.cseq++;
    assert_int_equal(dn_register(dir, SLICE("1"), &gone, 1, false, 9, T0, help_same), 0);
    assert_int_equal(dn_on_connection(dir, &at[0], T0), 0);
    assert_int_equal(dn_on_connection(dir, &at[1], T0), 1);
    assert_true(dn_set_out_of_service(dir, SLICE("1"), ERR_TIMEOUT, T0));
    for (unsigned i = 0; i < 100 && dn_expire(dir, T0 + 2000) != 0; i++)
        ;
    assert_int_equal(dn_on_connection(dir, &at[1], T0), 0);
    expect(dir, "1", T0, DN_OUT_OF_SERVICE, ERR_TIMEOUT);
    dn_dir_free(&dir);
}

/* A thousand devices behind one address. */
static void test_connection_of_many(void **state)
{
    (void)state;
    struct dn_dir *dir = dir_with(NULL, 0);
    struct addr at = addr_of("10.1.2.3:1");
    char name[16];
    for (unsigned i = 0; i < 1000; i++) {
        snprintf(name, sizeof(name), "%u", i);
        assert_int_equal(help_register(dir, name, "sip:a", "c", 1), 0);
        assert_int_equal(help_register(dir, name, "sip:b", "c", 2), 0);
        assert_true(dn_set_out_of_service(dir, slice_str(name), ERR_TIMEOUT, T0));
    }
    assert_int_equal(dn_on_connection(dir, &at, T0 + 1), 1000);
    assert_int_equal(dn_state(dir, SLICE("999"), T0 + 1), DN_SUSPECT);
    assert_int_equal(dn_on_connection(dir, &at, T0 + 1), 0);
    dn_dir_free(&dir);
}

/* --- reload --- */

/* Nothing that the device does brings it back, nor time, nor a reload. */
static void test_administrator(void **state)
{
    struct dn_conf dn = {.name = (char[]){"1001"},
                         .contact = (char[]){"sip:1001@10.0.0.1"},
                         .contact_addr = addr_of("10.0.0.1"),
                         .recovery_timeout_ms = 1000};
    struct dn_dir *dir = dir_with(&dn, 1);
    struct addr there = addr_of("10.0.0.1");
    (void)state;
    assert_int_equal(help_register(dir, "2002", "sip:2002@b", "c", 1), 0);
    assert_true(dn_set_out_of_service(dir, SLICE("1001"), -ECONNREFUSED, T0));
    assert_true(dn_set_out_of_service(dir, SLICE("1001"), ERR_ADMIN, T0)); /* a stronger cause */
    assert_false(dn_set_out_of_service(dir, SLICE("1001"), ERR_ADMIN, T0));
    assert_true(dn_set_out_of_service(dir, SLICE("2002"), ERR_ADMIN, T0));
    assert_int_equal(until(dir, "1001", T0), 0);
    expect(dir, "1001", T0 + 100000, DN_OUT_OF_SERVICE, ERR_ADMIN);
    assert_int_equal(dn_on_connection(dir, &there, T0 + 1), 0);
    assert_int_equal(help_register(dir, "1001", "sip:1001@c", "c", 2), 0);
    assert_int_equal(dn_set_in_service(dir, SLICE("1001")), DN_IN_SERVICE);
    assert_false(dn_set_suspect(dir, SLICE("1001"), -ETIMEDOUT, T0));
    assert_false(dn_set_out_of_service(dir, SLICE("1001"), -ETIMEDOUT, T0 + 2000));
    dn.contact = (char[]){"sip:1001@10.0.0.2"};
    dn.oos_check_s = 5;
    assert_int_equal(dn_dir_configure(dir, &dn, 1), 0);
    expect(dir, "1001", T0, DN_OUT_OF_SERVICE, ERR_ADMIN);
    assert_int_equal(until(dir, "1001", T0), 0);
    assert_int_equal(dn_dir_configure(dir, NULL, 0), 0);
    expect(dir, "1001", T0, DN_OUT_OF_SERVICE, ERR_ADMIN);
    assert_true(dn_readmit(dir, SLICE("1001")));
    assert_false(dn_readmit(dir, SLICE("1001")));
    expect(dir, "1001", T0, DN_IN_SERVICE, 0);
    /* It has no binding any more, and is remembered all the same. */
    assert_int_equal(help_remove(dir, "2002", "sip:2002@b", "c", 2), 0);
    assert_int_equal(help_register(dir, "2002", "sip:2002@b", "c", 3), 0);
    expect(dir, "2002", T0, DN_OUT_OF_SERVICE, ERR_ADMIN);
    assert_int_equal(help_remove(dir, "2002", "sip:2002@b", "c", 4), 0);
    assert_int_equal(dn_state(dir, SLICE("2002"), T0), DN_OUT_OF_SERVICE);
    assert_true(dn_readmit(dir, SLICE("2002")));
    assert_int_equal(dn_state(dir, SLICE("2002"), T0), DN_IN_SERVICE);
    dn_dir_free(&dir);
}

/* A section that goes, or whose contact changes, takes along what was found out about it; other
 * settings do not. */
static void test_reload(void **state)
{
    (void)state;
    struct addr old = addr_of("10.0.0.1"), new = addr_of("10.0.0.2");
    struct dn_conf before[] = {
        {.name = "same", .contact = "sip:a", .contact_addr = old, .recovery_timeout_ms = 1000},
        {.name = "moved", .contact = "sip:a", .contact_addr = old},
        {.name = "gone", .contact = "sip:a", .contact_addr = old},
        {.name = "registered"},
    };
    struct dn_conf after[] = {
        {.name = "same",
         .contact = "sip:a",
         .contact_addr = old,
         .oos_check_s = 5,
         .oos_force_s = 2,
         .has_tls = true},
        {.name = "moved", .contact = "sip:b", .contact_addr = new},
        {.name = "fresh", .contact = "sip:a", .contact_addr = old},
    };
    struct dn_dir *dir = dir_with(before, 4);
    struct look l;
    assert_int_equal(help_register(dir, "registered", "sip:x", "c", 1), 0);
    for (unsigned i = 0; i < 4; i++)
        assert_true(dn_set_out_of_service(dir, slice_str(before[i].name), ERR_TIMEOUT, T0));
    assert_int_equal(dn_dir_configure(dir, after, 3), 0);
    expect(dir, "same", T0 + 999999, DN_OUT_OF_SERVICE, ERR_TIMEOUT); /* checked now */
    assert_true(until(dir, "same", T0) == T0 + 2000);
    expect(dir, "moved", T0, DN_IN_SERVICE, 0);
    expect(dir, "fresh", T0, DN_IN_SERVICE, 0);
    expect(dir, "registered", T0, DN_IN_SERVICE, 0);
    help_look(&l, dir, "gone", T0);
    assert_int_equal(l.err, ERR_NOT_FOUND);
    help_look_end(&l);
    help_look(&l, dir, "same", T0);
    assert_true(l.dn.has_tls);
    help_look_end(&l);
    assert_int_equal(dn_on_connection(dir, &new, T0), 0);
    assert_int_equal(dn_on_connection(dir, &old, T0), 1);
    expect(dir, "same", T0, DN_SUSPECT, ERR_TIMEOUT);
    assert_int_equal(dn_dir_configure(dir, before, 4), 0);
    expect(dir, "same", T0, DN_SUSPECT, ERR_TIMEOUT);
    assert_int_equal(dn_dir_configure(dir, NULL, 0), 0);
    assert_int_equal(dn_state(dir, SLICE("same"), T0), DN_IN_SERVICE);
    dn_dir_free(&dir);
}

/* --- rows --- */

static bool has(struct dn_dir *dir, uint64_t now, const char *text)
{
    return strstr(help_rows(dir, now), text) != NULL;
}

static void test_rows(void **state)
{
    (void)state;
    struct dn_conf dns[] = {{.name = "1", .contact = "sip:h", .oos_check_s = 60, .oos_force_s = 5}};
    struct dn_dir *dir = dir_with(dns, 1);
    assert_true(has(dir, T0, " checked=true last_check=\"\" last_answer=\"\" next_try=\"\"\n"));
    dn_note_check(dir, SLICE("1"), T0);
    assert_true(dn_set_suspect(dir, SLICE("1"), ERR_CLOSED, T0 + 1000));
    assert_true(has(dir, T0 + 3000,
                    " state=suspect cause=\"closed by the peer\" "
                    "since=2023-11-14T22:13:21.000Z bindings=0 checked=true "
                    "last_check=2023-11-14T22:13:20.000Z last_answer=\"\" "));
    dn_note_answer(dir, SLICE("1"), 503, 0);
    assert_true(has(dir, T0 + 3000, " last_answer=503 "));
    dn_note_answer(dir, SLICE("1"), 0, ERR_TIMEOUT);
    assert_true(dn_set_out_of_service(dir, SLICE("1"), ERR_TIMEOUT, T0 + 4000));
    assert_true(has(dir, T0 + 4000,
                    " state=out-of-service cause=\"timed out\" since=2023-11-14T22:13:24.000Z "));
    assert_true(
        has(dir, T0 + 4000, " last_answer=\"timed out\" next_try=2023-11-14T22:13:25.000Z\n"));
    dn_note_answer(dir, SLICE("1"), 200, 0);
    (void)dn_set_in_service(dir, SLICE("1"));
    assert_true(has(dir, T0 + 5000, " state=in-service cause=\"\" since=\"\" "));
    assert_true(has(dir, T0 + 5000, " last_answer=200 next_try=\"\"\n"));
    dn_note_answer(dir, SLICE("nobody"), 200, 0);
    dn_dir_free(&dir);
}

/* --- what is told of a device that connects --- */

struct told {
    unsigned n;
    char dn[16], line[256];
};

static void on_event(void *user, enum event ev, unsigned n, const struct field *fields)
{
    struct told *t = user;
    if (ev != EV_DN_SUSPECT)
        return;
    t->n++;
    t->line[0] = '\0';
    for (unsigned i = 0; i < n; i++) {
        char room[FIELD_ROOM];
        struct slice value = field_value(&fields[i], room);
        size_t len = strlen(t->line);
        snprintf(t->line + len, sizeof(t->line) - len, "%s=%.*s ", fields[i].name, (int)value.len,
                 value.ptr);
    }
}

/* An outage has one beginning, whatever is tried meanwhile; each trial names the DN. */
static void test_connection_is_told(void **state)
{
    (void)state;
    struct dn_conf dns[] = {
        {.name = "gw", .contact_addr = addr_of("10.9.9.9"), .oos_check_s = 60},
    };
    struct dn_dir *dir = dir_with(dns, 1);
    struct addr from = addr_of("10.9.9.9:40001");
    struct told told = {0};
    event_set_tap(on_event, &told);
    assert_true(dn_set_suspect(dir, SLICE("gw"), ERR_TIMEOUT, T0));
    assert_true(dn_set_out_of_service(dir, SLICE("gw"), ERR_TIMEOUT, T0 + 1000));
    assert_int_equal(dn_on_connection(dir, &from, T0 + 3000), 1);
    event_set_tap(NULL, NULL);
    assert_int_equal(told.n, 1);
    assert_string_equal(told.line, "dn=gw was=out-of-service by=connection peer=10.9.9.9:40001 "
                                   "cause=timed out ms=2000 ");
    assert_true(has(dir, T0 + 3000,
                    " state=suspect cause=\"timed out\" "
                    "since=2023-11-14T22:13:21.000Z "));
    assert_true(dn_set_out_of_service(dir, SLICE("gw"), ERR_TIMEOUT, T0 + 8000));
    assert_true(has(dir, T0 + 8000,
                    " state=out-of-service cause=\"timed out\" "
                    "since=2023-11-14T22:13:21.000Z "));
    /* Back in between: the next one begins anew. */
    assert_int_equal(dn_set_in_service(dir, SLICE("gw")), DN_OUT_OF_SERVICE);
    assert_true(dn_set_out_of_service(dir, SLICE("gw"), ERR_TIMEOUT, T0 + 9000));
    assert_true(has(dir, T0 + 9000, " since=2023-11-14T22:13:29.000Z "));
    dn_dir_free(&dir);
}

static void expect_decided(struct dn_dir *dir, unsigned out, unsigned back)
{
    unsigned has_out, has_back;
    dn_take_decided(dir, &has_out, &has_back);
    assert_int_equal(has_out, out);
    assert_int_equal(has_back, back);
}

/* What no worker does has to be counted all the same, once. */
static void test_decided(void **state)
{
    (void)state;
    struct dn_conf dns[] = {
        {.name = "1", .contact = "sip:h", .recovery_timeout_ms = 60000},
        {.name = "2", .contact = "sip:h"},
    };
    struct dn_dir *dir = dir_with(dns, 2);
    assert_true(dn_set_out_of_service(dir, SLICE("1"), ERR_ADMIN, T0));
    assert_false(dn_set_out_of_service(dir, SLICE("1"), ERR_ADMIN, T0));
    expect_decided(dir, 1, 0);
    expect_decided(dir, 0, 0);
    assert_true(dn_readmit(dir, SLICE("1")));
    assert_false(dn_readmit(dir, SLICE("1")));
    expect_decided(dir, 0, 1);
    /* Found out by a worker: counted by that worker; the administrator ends it. */
    assert_true(dn_set_out_of_service(dir, SLICE("1"), ERR_TIMEOUT, T0));
    assert_true(dn_set_out_of_service(dir, SLICE("1"), ERR_ADMIN, T0));
    expect_decided(dir, 0, 0);
    assert_true(dn_readmit(dir, SLICE("1")));
    expect_decided(dir, 0, 1);
    assert_true(dn_set_out_of_service(dir, SLICE("1"), ERR_TIMEOUT, T0));
    (void)dn_set_in_service(dir, SLICE("1"));
    expect_decided(dir, 0, 0);
    /* Suspect only. */
    assert_true(dn_set_suspect(dir, SLICE("1"), ERR_TIMEOUT, T0));
    assert_true(dn_readmit(dir, SLICE("1")));
    expect_decided(dir, 0, 0);
    /* Another contact, or no section any more; not against the administrator. */
    assert_true(dn_set_out_of_service(dir, SLICE("1"), ERR_TIMEOUT, T0));
    assert_true(dn_set_out_of_service(dir, SLICE("2"), ERR_ADMIN, T0));
    expect_decided(dir, 1, 0);
    dns[0].contact = dns[1].contact = "sip:other";
    assert_int_equal(dn_dir_configure(dir, dns, 2), 0);
    expect_decided(dir, 0, 1);
    assert_true(dn_set_out_of_service(dir, SLICE("1"), ERR_TIMEOUT, T0));
    assert_int_equal(dn_dir_configure(dir, NULL, 0), 0);
    expect_decided(dir, 0, 1);
    dn_dir_free(&dir);
}

/* --- threads --- */

enum { THREADS = 4, ROUNDS = 3000, NAMES = 23 };

static struct dn_dir *shared;

static void *thread_main(void *arg)
{
    unsigned seed = *(unsigned *)arg;
    char name[16];
    struct addr at = addr_of("10.1.2.3:9");
    for (unsigned i = 0; i < ROUNDS; i++) {
        snprintf(name, sizeof(name), "n%u", (i * 5 + seed) % NAMES);
        struct slice dn = slice_str(name);
        switch ((i + seed) % 6) {
        case 0: (void)dn_set_suspect(shared, dn, ERR_CLOSED, T0 + i); break;
        case 1: (void)dn_set_out_of_service(shared, dn, ERR_TIMEOUT, T0 + i); break;
        case 2: (void)dn_set_in_service(shared, dn); break;
        case 3: (void)dn_on_connection(shared, &at, T0 + i); break;
        case 4: (void)help_register(shared, name, "sip:a", "c", i); break;
        default: dn_note_check(shared, dn, T0 + i); break;
        }
        (void)dn_state(shared, dn, T0 + i);
        if (i % 100 == 99)
            (void)dn_expire(shared, T0 + (i % 200 == 199 ? 9999999 : 0));
    }
    return NULL;
}

/* Whatever happened meanwhile: once all are back in service nothing is left to be found. */
static void test_threads(void **state)
{
    (void)state;
    struct dn_conf dns[] = {{.name = "n1", .oos_check_s = 60}, {.name = "n2"}};
    pthread_t threads[THREADS];
    unsigned seeds[THREADS];
    char name[16];
    struct addr at = addr_of("10.1.2.3:9");
    shared = dir_with(dns, 2);
    for (unsigned i = 0; i < THREADS; i++) {
        seeds[i] = i;
        assert_int_equal(pthread_create(&threads[i], NULL, thread_main, &seeds[i]), 0);
    }
    for (unsigned i = 0; i < 30; i++)
        assert_int_equal(dn_dir_configure(shared, dns, i % 3), 0);
    for (unsigned i = 0; i < THREADS; i++)
        pthread_join(threads[i], NULL);
    assert_true(dn_outages(shared) > 0);
    for (unsigned i = 0; i < NAMES; i++) {
        snprintf(name, sizeof(name), "n%u", i);
        (void)dn_set_in_service(shared, slice_str(name));
        assert_int_equal(dn_state(shared, slice_str(name), T0), DN_IN_SERVICE);
    }
    assert_int_equal(dn_on_connection(shared, &at, T0), 0);
    dn_dir_free(&shared);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_ways),
        cmocka_unit_test(test_checked),
        cmocka_unit_test(test_register),
        cmocka_unit_test(test_connection),
        cmocka_unit_test(test_connection_of_gone),
        cmocka_unit_test(test_connection_of_many),
        cmocka_unit_test(test_administrator),
        cmocka_unit_test(test_reload),
        cmocka_unit_test(test_rows),
        cmocka_unit_test(test_connection_is_told),
        cmocka_unit_test(test_decided),
        cmocka_unit_test(test_threads),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
