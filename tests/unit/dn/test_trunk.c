/* SPDX-License-Identifier: Apache-2.0 */
/* Which trunks carry a number, and what else a section says since it may have several contacts. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "base/alloc.h"
#include "base/buf.h"
#include "help.h"

static struct dn_dir *dir;
static struct arena_cache cache;
static struct arena arena;

static int setup(void **state)
{
    (void)state;
    arena_cache_init(&cache, 0);
    arena_init(&arena, &cache);
    return dn_dir_new(&(struct hash_key){1, 2}, NULL, &dir);
}

static int teardown(void **state)
{
    (void)state;
    dn_dir_free(&dir);
    arena_fini(&arena);
    arena_cache_fini(&cache);
    return 0;
}

static struct dn_conf trunk(char *name, char *prefix, uint32_t priority)
{
    return (struct dn_conf){
        .name = name, .type = DN_TRUNK, .contact = name, .prefix = prefix, .priority = priority};
}

static void expect(const char *number, unsigned max, const char *names)
{
    static char text[1024];
    struct slice found[32];
    struct buf b;
    int n = dn_trunks(dir, slice_str(number), &arena, found, max);
    assert_true(n >= 0 && n <= (int)max);
    buf_init(&b, text, sizeof(text) - 1);
    for (int i = 0; i < n; i++)
        buf_printf(&b, "%s%.*s", i != 0 ? " " : "", SLICE_ARG(found[i]));
    text[b.len] = '\0';
    if (strcmp(text, names) != 0)
        fail_msg("%s: %s; expected %s", number, text, names);
}

static void longest_prefix_first(void **state)
{
    char *n[] = {(char[]){"a"}, (char[]){"b"}, (char[]){"c"}, (char[]){"d"},
                 (char[]){"e"}, (char[]){"f"}, (char[]){"g"}};
    char *p[] = {(char[]){""}, (char[]){"+49"}, (char[]){"+4930"}, (char[]){"0"}};
    struct dn_conf dns[] = {
        trunk(n[0], p[1], 5), trunk(n[1], p[0], 0), trunk(n[2], p[2], 9), trunk(n[3], p[1], 1),
        trunk(n[4], p[1], 1), trunk(n[5], p[3], 0), {.name = n[6]}, /* no prefix: no trunk */
    };
    (void)state;
    expect("1", 8, "");
    assert_int_equal(dn_dir_configure(dir, dns, 7), 0);
    expect("+49301", 8, "c d e a b");
    expect("+49301", 3, "c d e");
    expect("+4930", 8, "c d e a b");
    expect("+493", 8, "d e a b");
    expect("+4", 8, "b");
    expect("0", 8, "f b");
    expect("0123456789012345678901234567890123456789", 8, "f b");
    expect("abc", 8, "b");
    assert_int_equal(dn_dir_configure(dir, dns, 1), 0); /* a reload */
    expect("+49301", 8, "a");
    expect("0", 8, "");
    assert_int_equal(dn_dir_configure(dir, NULL, 0), 0);
    expect("+49301", 8, "");
}

/* Each of many finds its own. */
static void many_trunks(void **state)
{
    static char names[300][8];
    static struct dn_conf dns[300];
    (void)state;
    for (unsigned i = 0; i < 300; i++) {
        unsigned k = i * 7 % 300;
        (void)snprintf(names[i], sizeof(names[i]), "%u", k);
        dns[i] = trunk(names[i], names[i], k);
    }
    assert_int_equal(dn_dir_configure(dir, dns, 300), 0);
    for (unsigned i = 100; i < 300; i++) {
        char want[32], number[8];
        (void)snprintf(number, sizeof(number), "%u9", i);
        (void)snprintf(want, sizeof(want), "%u %u %u", i, i / 10, i / 100);
        expect(number, 8, want);
    }
}

static void service_urns(void **state)
{
    char *n[] = {(char[]){"any"}, (char[]){"sos"}, (char[]){"fire"}, (char[]){"u"}};
    struct dn_conf dns[] = {
        trunk(n[0], (char[]){""}, 0), trunk(n[1], (char[]){"urn:service:sos"}, 0),
        trunk(n[2], (char[]){"urn:service:sos.fire"}, 0), trunk(n[3], (char[]){"u"}, 0)};
    (void)state;
    assert_int_equal(dn_dir_configure(dir, dns, 4), 0);
    expect("urn:service:sos", 8, "sos");
    expect("urn:service:sos.fire", 8, "fire sos");
    expect("urn:service:sos.police", 8, "sos");
    expect("urn:service:sosx", 8, "");
    expect("urn:service:counseling", 8, "");
    expect("urn", 8, "u any");
    expect("112", 8, "any");
}

static void contacts_in_reserve(void **state)
{
    char *backup[] = {(char[]){"sip:one"}, (char[]){"sip:two;transport=tcp"}};
    struct dn_conf dns[] = {{.name = (char[]){"a"},
                             .contact = (char[]){"sip:zero"},
                             .contact_backup = backup,
                             .ncontact_backup = 2,
                             .password = (char[]){"secret"}},
                            {.name = (char[]){"b"}, .contact = (char[]){"sip:zero"}}};
    struct look l;
    (void)state;
    assert_int_equal(dn_dir_configure(dir, dns, 2), 0);
    help_look(&l, dir, "a", T0);
    assert_int_equal(l.err, 0);
    assert_int_equal(l.dn.ncontact_backup, 2);
    assert_true(slice_eq(l.dn.contact, SLICE("sip:zero")));
    assert_true(slice_eq(l.dn.contact_backup[0], SLICE("sip:one")));
    assert_true(slice_eq(l.dn.contact_backup[1], SLICE("sip:two;transport=tcp")));
    assert_true(slice_eq(l.dn.password, SLICE("secret")));
    help_look_end(&l);
    help_look(&l, dir, "b", T0);
    assert_int_equal(l.dn.ncontact_backup, 0);
    help_look_end(&l);
}

static void names_that_are_addresses(void **state)
{
    struct dn_conf dns[] = {{.name = (char[]){"a"}, .contact = (char[]){"sip:zero"}},
                            {.name = (char[]){"a@one.example"}, .contact = (char[]){"sip:zero"}}};
    (void)state;
    assert_int_equal(dn_dir_configure(dir, dns, 1), 0);
    assert_false(dn_has_addresses(dir));
    assert_int_equal(dn_dir_configure(dir, dns, 2), 0);
    assert_true(dn_has_addresses(dir));
    assert_true(dn_has_address(dir, SLICE("a@one.example")));
    assert_false(dn_has_address(dir, SLICE("b@one.example")));
    assert_int_equal(help_register(dir, "c@one.example", "sip:c", "call", 1), 0);
    assert_false(dn_has_address(dir, SLICE("c@one.example"))); /* registered is not configured */
    assert_int_equal(dn_dir_configure(dir, dns, 1), 0);
    assert_false(dn_has_addresses(dir));
    assert_false(dn_has_address(dir, SLICE("a@one.example")));
}

static void without_memory(void **state)
{
    char *backup[] = {(char[]){"sip:one"}, (char[]){"sip:two"}};
    char *n[] = {(char[]){"a"}, (char[]){"b"}};
    struct dn_conf before = trunk(n[0], (char[]){"0"}, 0), after = trunk(n[1], (char[]){"1"}, 0);
    (void)state;
    after.contact_backup = backup;
    after.ncontact_backup = 2;
    assert_int_equal(dn_dir_configure(dir, &before, 1), 0);
    for (uint64_t i = 1; i < 100; i++) {
        mem_fail_at(i);
        int err = dn_dir_configure(dir, &after, 1);
        bool failed = mem_failed();
        mem_fail_at(0);
        if (err == 0 && !failed) {
            expect("1", 8, "b");
            expect("0", 8, "");
            return;
        }
        assert_int_equal(err, err == 0 ? 0 : ERR_NOMEM);
        expect("0", 8, err == 0 ? "" : "a"); /* nothing changed */
        assert_int_equal(dn_dir_configure(dir, &before, 1), 0);
    }
    fail_msg("never without a failure");
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(longest_prefix_first),
        TEST(many_trunks),
        TEST(service_urns),
        TEST(contacts_in_reserve),
        TEST(names_that_are_addresses),
        TEST(without_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
