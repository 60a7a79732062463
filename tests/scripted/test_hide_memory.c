/* SPDX-License-Identifier: Apache-2.0 */
/* hide-topology while the n-th allocation fails, for every n: nothing of the inside is shown for
 * want of memory, the caller has the answer to its call, and nothing is left behind. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

#include "base/alloc.h"
#include "calls.h"

#define SERVER "10.0.0.20:5060"
#define FAR    "198.51.100.7:5060"
#define HIDE                                                                           \
    "sip-address = 10.0.0.1, " RIG_OUTSIDE "\nrelay-from = any\nresolve-host = true\n" \
    "hide-topology = true\n"
#define COPIES 6

static struct rig r;
static struct got got, inv, ok;
static bool was_invited, was_answered, is_far_calling, has_ended;

static void assert_hidden(const struct got *m)
{
    static const enum sip_hdr_id ids[] = {SIP_H_VIA, SIP_H_RECORD_ROUTE};
    for (unsigned i = 0; i < 2; i++)
        for (unsigned n = 0; n < rig_count(m, ids[i]); n++)
            if (strstr(rig_value(m, ids[i], n), "10.0.0.") != NULL)
                fail_msg("the inside is shown:\n%s", m->text);
}

static void keep(struct got *to)
{
    *to = got;
    to->msg.base = to->text;
    to->msg.hdrs = to->hdrs;
}

static bool take(const char *at)
{
    struct fake_datagram d;
    struct sip_fault fault;
    if (!fake_take_datagram(r.loop, at, &d))
        return false;
    assert_true(d.bytes.len < sizeof(got.text));
    memcpy(got.text, d.bytes.ptr, d.bytes.len);
    got.text[d.bytes.len] = '\0';
    assert_int_equal(sip_msg_parse(&got.msg, got.text, d.bytes.len, false, got.hdrs, SIP_HDRS_MAX,
                                   &sip_limits_default, &fault),
                     0);
    return true;
}

static const char *caller(void)
{
    return is_far_calling ? FAR : SERVER;
}

static const char *callee(void)
{
    return is_far_calling ? SERVER : FAR;
}

static void say_from(const char *at, const char *text)
{
    rig_udp_to(&r, at, strcmp(at, FAR) == 0 ? RIG_OUTSIDE ":5060" : PROXY, text);
}

/* Both sides see what has come, until nothing does. */
static void look(void)
{
    while (take(callee())) {
        if (!is_far_calling)
            assert_hidden(&got);
        has_ended = has_ended || (!got.msg.is_request && got.msg.method == SIP_BYE);
        if (got.msg.is_request && got.msg.method == SIP_BYE)
            say_from(callee(), rig_response(&got, 200, "", ""));
        if (got.msg.is_request && got.msg.method == SIP_INVITE) {
            keep(&inv);
            was_invited = true;
        }
    }
    while (take(caller())) {
        if (is_far_calling)
            assert_hidden(&got);
        if (got.msg.is_request && got.msg.method == SIP_BYE)
            say_from(caller(), rig_response(&got, 200, "", ""));
        if (!got.msg.is_request && got.msg.method == SIP_INVITE && got.msg.status >= 200) {
            was_answered = true;
            keep(&ok);
        }
        has_ended = has_ended || (!got.msg.is_request && got.msg.method == SIP_BYE);
    }
    rig_expect_none(&r, "10.0.0.21"); /* never past the SIP Server */
}

static void invites(void)
{
    say_from(caller(),
             say(&(struct say){
                 .uri = is_far_calling ? "sip:alice@10.0.0.20" : "sip:bob@198.51.100.7",
                 .sent_by = caller(),
                 .contact = is_far_calling ? "<sip:bob@198.51.100.7>" : "<sip:alice@10.0.0.21>",
                 .extra = is_far_calling ? "" : "Record-Route: <sip:10.0.0.20;lr>\n"}));
    look();
}

/* The SIP Server stands above us in Record-Route. */
static const char *server_on_top(const char *text)
{
    static char whole[8192];
    const char *at = strstr(text, "Record-Route: ");
    if (at == NULL)
        return text;
    snprintf(whole, sizeof(whole), "%.*sRecord-Route: <sip:s@10.0.0.20;lr>\n%s", (int)(at - text),
             text, at);
    return whole;
}

static void answers(unsigned status)
{
    if (!was_invited)
        return;
    const char *contact = is_far_calling ? "Contact: <sip:alice@10.0.0.21>\n"
                                         : "Contact: <sip:bob@198.51.100.7>\n";
    const char *text = rig_response(&inv, status, "t", contact);
    say_from(callee(), is_far_calling ? server_on_top(text) : text);
    look();
}

/* The far end hangs up. */
static void far_ends(void)
{
    static char routes[2048];
    if (!was_invited || ok.msg.status >= 300)
        return;
    snprintf(routes, sizeof(routes), "%s", route_set(is_far_calling ? &ok : &inv, is_far_calling));
    has_ended = false;
    for (unsigned i = 0; i < COPIES && !has_ended; i++) {
        say_from(FAR, say(&(struct say){.method = "BYE",
                                        .uri = "sip:alice@10.0.0.21",
                                        .sent_by = FAR,
                                        .branch = "bye",
                                        .from = is_far_calling ? "<sip:alice@10.0.0.1>;tag=a"
                                                               : "<sip:1001@10.0.0.1>;tag=t",
                                        .to = is_far_calling ? "<sip:1001@10.0.0.1>;tag=t"
                                                             : "<sip:alice@10.0.0.1>;tag=a",
                                        .cseq = 9,
                                        .contact = "",
                                        .extra = routes}));
        look();
        fake_advance(r.loop, 1000);
        look();
    }
    assert_true(has_ended);
}

/* Who is not answered repeats; a 2xx comes again when the arena has been given back. */
static void call(void)
{
    was_invited = was_answered = false;
    for (unsigned i = 0; i < COPIES && !was_answered; i++) {
        invites();
        answers(180);
        answers(200);
        fake_advance(r.loop, 1000);
        look();
    }
    for (unsigned i = 0; i < COPIES; i++)
        answers(200);
    assert_true(was_answered);
    far_ends();
}

static void sweep(bool from_far)
{
    bool has_failed = true;
    is_far_calling = from_far;
    for (uint64_t n = 1; has_failed; n++) {
        rig_open(&r, HIDE);
        mem_fail_at(n);
        call();
        has_failed = mem_failed();
        mem_fail_at(0);
        rig_close(&r);
    }
}

static void calls_to_the_outside(void **state)
{
    (void)state;
    sweep(false);
}

static void calls_from_the_outside(void **state)
{
    (void)state;
    sweep(true);
}

/* What rings without end is kept no longer than it is forwarded: memory has a bound. */
static void callee_that_rings_without_end(void **state)
{
    (void)state;
    is_far_calling = false;
    rig_open(&r, HIDE);
    was_invited = was_answered = false;
    invites();
    assert_true(was_invited);
    for (unsigned i = 0; i < 300; i++)
        answers(180);
    mem_fail_at(50);
    for (unsigned i = 0; i < 600; i++)
        answers(180);
    assert_false(mem_failed());
    mem_fail_at(0);
    answers(486);
    assert_true(was_answered);
    rig_close(&r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(calls_to_the_outside),
        cmocka_unit_test(calls_from_the_outside),
        cmocka_unit_test(callee_that_rings_without_end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
