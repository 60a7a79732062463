/* SPDX-License-Identifier: Apache-2.0 */
/* Failover, replay and Path while the n-th allocation fails, for every n: whoever asks has an
 * answer, and nothing is left behind. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

#include "base/alloc.h"
#include "calls.h"

#define APP_A   "10.0.1.1:5060"
#define APP_B   "10.0.1.2:5060"
#define STEP_MS 50
#define PAIR                                                                           \
    "relay-from = 10.0.0.0/24\nregistrar-open-to = 10.0.0.0/24\napplications = main\n" \
    "serving-sipserver = main\n[application main]\nprimary = sip:10.0.1.1\n"           \
    "backup = sip:10.0.1.2\noos-check = 0\n"

struct play {
    const char *options;
    struct say what;
    const char *silent;   /* this one answers nothing */
    const char *other;    /* and this one what follows */
    unsigned provisional; /* of the silent one, before; 0: none */
    unsigned good;
    bool switches; /* after a second the pair's other member is active */
};

static struct rig r;

static bool parse(struct slice bytes, struct got *m)
{
    struct sip_fault fault;
    assert_true(bytes.len < sizeof(m->text));
    memcpy(m->text, bytes.ptr, bytes.len);
    m->text[bytes.len] = '\0';
    return sip_msg_parse(&m->msg, m->text, bytes.len, false, m->hdrs, SIP_HDRS_MAX,
                         &sip_limits_default, &fault) == 0;
}

static void silent_one(const struct play *p)
{
    static struct got m;
    struct fake_datagram d;
    while (fake_take_datagram(r.loop, p->silent, &d))
        if (p->provisional != 0 && parse(d.bytes, &m) && m.msg.is_request &&
            m.msg.method == SIP_INVITE)
            answer_udp(&r, p->silent, &m, p->provisional, "");
}

static void other_one(const struct play *p)
{
    static struct got m;
    struct fake_datagram d;
    while (fake_take_datagram(r.loop, p->other, &d))
        if (parse(d.bytes, &m) && m.msg.is_request && m.msg.method != SIP_ACK)
            answer_udp(&r, p->other, &m, m.msg.method == SIP_CANCEL ? 200 : p->good, "");
}

/* The final response; 0: none. */
static unsigned caller(bool *is_heard)
{
    static struct got m;
    struct fake_datagram d;
    unsigned status = 0;
    while (fake_take_datagram(r.loop, CALLER, &d))
        if (parse(d.bytes, &m) && !m.msg.is_request) {
            *is_heard = true;
            status = m.msg.status >= 200 ? m.msg.status : status;
        }
    return status;
}

static unsigned run(const struct play *p)
{
    bool is_heard = false;
    unsigned status = 0;
    for (unsigned i = 0; status == 0 && i < 1600; i++) {
        if (i % 20 == 0 && !is_heard)
            say_udp(&r, CALLER, &p->what);
        if (i == 25 && p->switches) {
            assert_int_equal(
                group_switch(r.shared.groups, SLICE("main"), UINT32_MAX, net_now(r.loop)), 0);
            fake_run(r.loop);
        }
        silent_one(p);
        other_one(p);
        fake_advance(r.loop, STEP_MS);
        status = caller(&is_heard);
    }
    return status;
}

static void sweep(const struct play *p)
{
    bool has_failed = true;
    unsigned n = 0, good = 0;
    while (has_failed) {
        rig_open(&r, p->options);
        fake_set_host(r.loop, "two.invalid", "10.0.0.3,10.0.0.4", 0);
        mem_fail_at(++n);
        unsigned status = run(p);
        has_failed = mem_failed();
        mem_fail_at(0);
        if (status == 0 && p->what.method == NULL)
            fail_msg("allocation %u fails: no answer", n);
        if (!has_failed)
            assert_int_equal(status, p->good);
        good += status == p->good;
        if (p->what.method == NULL)
            ack_udp(&r, CALLER, &p->what);
        rig_close(&r);
    }
    assert_true(n == 1 || n > 10);
    assert_true(good * 3 > n);
}

static void failover(void **state)
{
    (void)state;
    sweep(&(struct play){.options = OPEN,
                         .what = {.uri = "sip:bob@two.invalid"},
                         .silent = PHONE,
                         .other = OTHER,
                         .good = 486});
}

static void replay(void **state)
{
    (void)state;
    sweep(&(struct play){
        .options = PAIR, .silent = APP_A, .other = APP_B, .good = 486, .switches = true});
}

static void replay_of_a_ringing_call(void **state)
{
    (void)state;
    sweep(&(struct play){.options = PAIR,
                         .silent = APP_A,
                         .other = APP_B,
                         .provisional = 180,
                         .good = 486,
                         .switches = true});
}

static void replay_of_a_register(void **state)
{
    (void)state;
    sweep(&(struct play){.options = PAIR,
                         .what = {.method = "REGISTER", .uri = "sip:10.0.0.1"},
                         .silent = APP_A,
                         .other = APP_B,
                         .good = 200,
                         .switches = true});
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(failover),
        cmocka_unit_test(replay),
        cmocka_unit_test(replay_of_a_ringing_call),
        cmocka_unit_test(replay_of_a_register),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
