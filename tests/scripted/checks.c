/* SPDX-License-Identifier: Apache-2.0 */
#include "checks.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

#define STEP_MS 10

void open_checked(struct rig *r, const char *options)
{
    rig_open(r, options);
    net_wake(r->loop);
    fake_run(r->loop);
}

unsigned drop_all(struct rig *r)
{
    struct fake_datagram d;
    unsigned n = 0;
    while (fake_take_datagram(r->loop, NULL, &d))
        n++;
    return n;
}

void close_checked(struct rig *r)
{
    rig_reload(r, OPEN);
    drop_all(r);
    rig_close(r);
}

uint64_t rig_wall(const struct rig *r)
{
    return r->wall + net_now(r->loop);
}

void expect_state(const struct rig *r, enum dn_state state)
{
    assert_int_equal(dn_state(r->shared.dir, SLICE("1001"), rig_wall(r)), state);
}

void expect_cause(const struct rig *r, int cause)
{
    struct arena_cache cache;
    struct arena arena;
    struct dn_info dn;
    arena_cache_init(&cache, 0);
    arena_init(&arena, &cache);
    assert_int_equal(dn_find(r->shared.dir, SLICE("1001"), rig_wall(r), &arena, &dn), 0);
    assert_int_equal(dn.oos_cause, cause);
    arena_fini(&arena);
    arena_cache_fini(&cache);
}

static void take_answer(void *user, const char *set, unsigned n, const struct field *fields)
{
    char value[FIELD_ROOM];
    char *out = user;
    if (strcmp(set, "dn") != 0 || !slice_eq(fields[0].v.slice, SLICE("1001")))
        return;
    for (unsigned i = 0; i < n; i++)
        if (strcmp(fields[i].name, "last_answer") == 0)
            (void)slice_cstr(field_value(&fields[i], value), out, FIELD_ROOM);
}

void expect_last_answer(const struct rig *r, const char *answer)
{
    char text[FIELD_ROOM] = "no row";
    const struct row_sink sink = {take_answer, text};
    dn_rows(r->shared.dir, rig_wall(r), &sink);
    assert_string_equal(text, answer);
}

/* Is it an OPTIONS, and not the last one again? */
static bool is_new(struct slice bytes, bool is_stream, struct got *got)
{
    static char last[64];
    char branch[64];
    struct sip_fault fault = {0};
    assert_true(bytes.len < sizeof(got->text));
    memcpy(got->text, bytes.ptr, bytes.len);
    got->text[bytes.len] = '\0';
    assert_int_equal(sip_msg_parse(&got->msg, got->text, bytes.len, is_stream, got->hdrs,
                                   SIP_HDRS_MAX, &sip_limits_default, &fault),
                     0);
    assert_true(got->msg.is_request && got->msg.method == SIP_OPTIONS);
    (void)slice_cstr(got->msg.via.branch, branch, sizeof(branch));
    bool is_again = strcmp(branch, last) == 0;
    memcpy(last, branch, sizeof(last));
    return !is_again;
}

uint64_t wait_check(struct rig *r, const char *to, uint64_t most, struct got *got)
{
    uint64_t begin = now_ms(r);
    struct fake_datagram d;
    for (; now_ms(r) <= begin + most; fake_advance(r->loop, STEP_MS))
        while (fake_take_datagram(r->loop, to, &d))
            if (is_new(d.bytes, false, got))
                return now_ms(r) - begin;
    fail_msg("no check within %llu ms", (unsigned long long)most);
    return 0;
}

uint64_t wait_check_tcp(struct rig *r, struct fake_conn *conn, uint64_t most, struct got *got)
{
    uint64_t begin = now_ms(r);
    struct slice bytes;
    for (; now_ms(r) <= begin + most; fake_advance(r->loop, STEP_MS))
        while (fake_take_message(conn, &bytes))
            if (!slice_eq(bytes, SLICE("\r\n")) && is_new(bytes, true, got))
                return now_ms(r) - begin;
    fail_msg("no check within %llu ms", (unsigned long long)most);
    return 0;
}

struct fake_conn *wait_opened(struct rig *r, const char *to, unsigned n, uint64_t most)
{
    for (uint64_t begin = now_ms(r); now_ms(r) <= begin + most; fake_advance(r->loop, STEP_MS)) {
        struct fake_conn *conn = fake_opened(r->loop, to, n);
        if (conn != NULL)
            return conn;
    }
    fail_msg("no connection to %s within %llu ms", to, (unsigned long long)most);
    return NULL;
}

unsigned call_refused(struct rig *r)
{
    static struct got res;
    static unsigned number;
    char branch[16];
    uint64_t seconds = 0;
    snprintf(branch, sizeof(branch), "refused%u", ++number);
    struct say what = {.branch = branch, .call_id = branch};
    say_udp(r, CALLER, &what);
    rig_expect_status(r, CALLER, 480, &res);
    assert_true(slice_eq(sip_get(&res.msg, res.msg.reason), SLICE("Out Of Service")));
    (void)!slice_u64(sip_value(&res.msg, SIP_H_RETRY_AFTER), 1000000, &seconds);
    what.to = "<sip:1001@10.0.0.1>;tag=x";
    ack_udp(r, CALLER, &what);
    return (unsigned)seconds;
}
