/* SPDX-License-Identifier: Apache-2.0 */
/* Records from their begin to their end: find, ceiling, ids, INVITEs that come twice. */
#include "base/alloc.h"
#include "heard.h"
#include "help.h"

static const struct call_conf usual = {.max = 100, .timeout_ms = 0};

static void begin_to_bye(void **state)
{
    (void)state;
    struct rig r;
    enum call_side side;
    rig_init(&r, &usual);
    uint64_t call = rig_begin(&r, "one", "");
    assert_int_not_equal(call, 0);
    assert_int_equal(calls_count(r.calls), 1);
    assert_int_equal(rig_count(&r, CTR_CALLS), 1);
    assert_int_equal(rig_count(&r, CTR_CALLS_SEEN), 1);
    rig_answer(&r, 180, "b", "");
    assert_true(rig_has(&r, "one", "b"));
    rig_answer(&r, 200, "b", "");
    call_on_final(r.calls, call, 200, r.now);
    const struct sip_msg *bye = request_of("one", CALL_CALLEE, "BYE", 1, "b", "");
    assert_int_equal(call_find(r.calls, bye, &side), call);
    assert_int_equal(side, CALL_CALLEE);
    call_on_request(r.calls, call, bye, NULL, r.now);
    assert_int_equal(calls_count(r.calls), 1);
    call_on_response(r.calls, call, bye, response_of("one", CALL_CALLEE, "BYE", 1, 200, "b", ""),
                     r.now);
    assert_int_equal(calls_count(r.calls), 0);
    assert_int_equal(rig_count(&r, CTR_CALLS), 0);
    assert_int_equal(rig_count(&r, CTR_CALLS_UNRECORDED), 0);
    rig_fini(&r);
}

static void note_gone(void *user, uint32_t member)
{
    uint32_t *gone = user;
    *gone = *gone * 10 + member;
}

/* Whoever has the call is told its end once, whatever the end is. */
static void member_is_told_the_end(void **state)
{
    (void)state;
    struct rig r;
    uint32_t gone = 0;
    rig_init(&r, &usual);
    uint64_t call = rig_begin(&r, "one", "");
    assert_true(call_set_member(r.calls, call, 1)); /* nobody listens yet */
    calls_set_gone(r.calls, note_gone, &gone);
    assert_true(call_set_member(r.calls, call, 2)); /* it has gone on to another one */
    assert_int_equal(gone, 1);
    call_on_final(r.calls, call, 486, r.now);
    assert_int_equal(gone, 12);
    assert_false(call_set_member(r.calls, call, 3));
    assert_false(call_set_member(r.calls, 0, 3));
    assert_int_equal(gone, 12);
    call = rig_begin(&r, "two", "");
    assert_true(call_set_member(r.calls, call, 4));
    call_remove(r.calls, call);
    assert_int_equal(gone, 124);
    (void)rig_begin(&r, "three", ""); /* nobody's */
    call = rig_begin(&r, "four", "");
    assert_true(call_set_member(r.calls, call, 5));
    rig_fini(&r);
    assert_int_equal(gone, 1245);
}

static void only_invites_outside_dialogs(void **state)
{
    (void)state;
    struct rig r;
    struct flow_dest from = dest_of("10.0.0.1", 1);
    rig_init(&r, &usual);
    static const char *const others[] = {"SUBSCRIBE", "MESSAGE", "OPTIONS", "REFER"};
    for (unsigned i = 0; i < 4; i++) {
        const struct sip_msg *m = msg_of(
            "%s sip:b@x SIP/2.0\r\nVia: SIP/2.0/UDP h;branch=z9hG4bKo\r\nFrom: <sip:a@x>"
            ";tag=a\r\nTo: <sip:b@x>\r\nCall-ID: o\r\nCSeq: 1 %s\r\nMax-Forwards: 70\r\n\r\n",
            others[i], others[i]);
        assert_int_equal(call_begin(r.calls, m, &from, r.now), 0);
    }
    assert_int_equal(
        call_begin(r.calls, request_of("o", CALL_CALLER, "INVITE", 2, "b", ""), &from, r.now), 0);
    assert_int_equal(calls_count(r.calls), 0);
    assert_int_equal(rig_count(&r, CTR_CALLS_UNRECORDED), 0);
    /* As RFC 2543 had it: its dialog could not be told from others. */
    const struct sip_msg *untagged =
        msg_of("INVITE sip:b@x SIP/2.0\r\nVia: SIP/2.0/UDP h;branch=1\r\nFrom: <sip:a@x>\r\n"
               "To: <sip:b@x>\r\nCall-ID: o\r\nCSeq: 1 INVITE\r\nMax-Forwards: 70\r\n\r\n");
    assert_int_equal(call_begin(r.calls, untagged, &from, r.now), 0);
    assert_int_equal(rig_count(&r, CTR_CALLS_UNRECORDED), 1);
    rig_fini(&r);
}

static void find_by_both_tags(void **state)
{
    (void)state;
    struct rig r;
    enum call_side side;
    rig_init(&r, &usual);
    uint64_t call = rig_established(&r, "one");
    assert_int_equal(call_find(r.calls, request_of("one", CALL_CALLER, "INFO", 8, "b", ""), &side),
                     call);
    assert_int_equal(side, CALL_CALLER);
    assert_int_equal(
        call_find(r.calls, response_of("one", CALL_CALLEE, "INFO", 1, 200, "b", ""), &side), call);
    assert_int_equal(side, CALL_CALLEE);
    assert_false(rig_has(&r, "one", "other"));
    assert_false(rig_has(&r, "two", "b"));
    assert_int_equal(call_find(r.calls, invite_of("one", ""), &side), 0);
    assert_int_equal(call_find_id(r.calls, SLICE("one")), call);
    assert_int_equal(call_find_id(r.calls, SLICE("on")), 0);
    rig_fini(&r);
}

static void every_final_failure_ends_it(void **state)
{
    (void)state;
    struct rig r;
    static const unsigned failures[] = {302, 404, 407, 480, 487, 503, 603};
    rig_init(&r, &usual);
    for (unsigned i = 0; i < 7; i++) {
        uint64_t call = rig_begin(&r, "one", "");
        rig_answer(&r, 180, "b", "");
        rig_answer(&r, 183, "c", "");
        call_on_final(r.calls, call, 180, r.now); /* not one */
        assert_int_equal(calls_count(r.calls), 1);
        call_on_final(r.calls, call, failures[i], r.now);
        assert_int_equal(calls_count(r.calls), 0);
        assert_false(rig_has(&r, "one", "b"));
    }
    assert_int_equal(rig_count(&r, CTR_CALLS_SEEN), 7);
    rig_fini(&r);
}

static void pending_invite(void **state)
{
    (void)state;
    struct rig r;
    rig_init(&r, &usual);
    uint64_t call = rig_begin(&r, "one", "");
    assert_int_equal(call_invite(r.calls, call), 0);
    call_set_invite(r.calls, call, 77);
    assert_int_equal(call_invite(r.calls, call), 77);
    rig_answer(&r, 180, "b", "");
    assert_int_equal(call_invite(r.calls, call), 77);
    rig_answer(&r, 200, "b", "");
    assert_int_equal(call_invite(r.calls, call), 0);
    call_set_invite(r.calls, call, 78); /* too late */
    assert_int_equal(call_invite(r.calls, call), 0);
    rig_fini(&r);
}

static void stale_ids_do_nothing(void **state)
{
    (void)state;
    struct rig r;
    struct flow_dest d = dest_of("10.0.0.2", 2);
    struct call_dialog out;
    rig_init(&r, &usual);
    uint64_t gone = rig_established(&r, "one");
    call_remove(r.calls, gone);
    assert_int_equal(calls_count(r.calls), 0);
    uint64_t call = rig_established(&r, "one");
    assert_int_not_equal(call, gone);
    uint64_t ids[] = {0, gone, call ^ 1, (uint64_t)9 << 56 | 1, UINT64_MAX};
    for (unsigned i = 0; i < 5; i++) {
        unsigned it = 0;
        call_on_answer(r.calls, ids[i], answer_of("one", 200, "z", ""), &d, SLICE_NONE, r.now);
        call_on_final(r.calls, ids[i], 486, r.now);
        call_on_request(r.calls, ids[i], request_of("one", CALL_CALLER, "INFO", 99, "b", ""), &d,
                        r.now);
        call_on_response(r.calls, ids[i], NULL,
                         response_of("one", CALL_CALLER, "BYE", 99, 200, "b", ""), r.now);
        call_set_invite(r.calls, ids[i], 5);
        assert_int_equal(call_invite(r.calls, ids[i]), 0);
        assert_false(call_next_dialog(r.calls, ids[i], &it, &out));
        call_remove(r.calls, ids[i]);
    }
    assert_int_equal(rig_dialogs(&r, call), 1);
    assert_int_equal(calls_count(r.calls), 1);
    call_on_answer(r.calls, call, answer_of("one", 180, "z", ""), &d, SLICE_NONE, r.now);
    rig_fini(&r);
}

static void ceiling(void **state)
{
    (void)state;
    struct rig r;
    char id[16];
    rig_init(&r, &(struct call_conf){.max = 3});
    for (unsigned i = 0; i < 5; i++) {
        snprintf(id, sizeof(id), "c%u", i);
        assert_int_equal(rig_begin(&r, id, "") != 0, i < 3);
    }
    assert_int_equal(calls_count(r.calls), 3);
    assert_int_equal(rig_count(&r, CTR_CALLS_UNRECORDED), 2);
    assert_int_not_equal(rig_begin(&r, "c1", ""), 0); /* one that is there goes on */
    calls_set_conf(r.calls, &(struct call_conf){.max = 4});
    assert_int_not_equal(rig_begin(&r, "c3", ""), 0);
    calls_set_conf(r.calls, &(struct call_conf){.max = 0});
    assert_int_equal(rig_begin(&r, "c9", ""), 0);
    assert_int_equal(calls_count(r.calls), 4); /* those that are there stay */
    rig_fini(&r);
}

/* Each branch of the same INVITE, and its repetition. */
static void the_same_invite_again(void **state)
{
    (void)state;
    struct rig r;
    rig_init(&r, &usual);
    uint64_t call = rig_begin(&r, "one", "");
    rig_answer(&r, 180, "b", "");
    assert_int_equal(rig_begin(&r, "one", ""), call);
    assert_int_equal(rig_dialogs(&r, call), 1);
    assert_int_equal(rig_count(&r, CTR_CALLS_SEEN), 1);
    rig_fini(&r);
}

static const struct sip_msg *invite_by(const char *branch, unsigned cseq, const char *extra)
{
    return msg_of("INVITE sip:200@example.com SIP/2.0\r\nVia: SIP/2.0/TCP 10.0.0.7;branch=%s\r\n"
                  "From: <sip:alice@example.com>;tag=a\r\nTo: <sip:200@example.com>\r\n"
                  "Call-ID: one\r\nCSeq: %u INVITE\r\nMax-Forwards: 70\r\n"
                  "Contact: <sip:alice@10.0.0.1>\r\n%s\r\n",
                  branch, cseq, extra);
}

/* It comes through us twice: the first passage keeps the record, which faces the caller. */
static void spiral(void **state)
{
    (void)state;
    struct rig r;
    struct flow_dest server = dest_of("10.0.0.7", 70), callee = dest_of("10.0.0.2", 22);
    struct slice hop;
    int err;
    rig_init(&r, &usual);
    uint64_t call = rig_begin(&r, "one", "");
    uint64_t inner = call_begin(
        r.calls, invite_by("z9hG4bKspiral", 7, "Record-Route: <sip:server;lr>, <sip:us;lr>\r\n"),
        &server, r.now);
    assert_int_equal(inner, 0);
    assert_int_equal(rig_count(&r, CTR_CALLS_UNRECORDED), 0);
    /* The inner passage fails, and the outer one goes on. */
    call_on_answer(r.calls, inner, answer_of("one", 180, "b", ""), &callee, SLICE_NONE, r.now);
    call_on_final(r.calls, inner, 486, r.now);
    assert_int_equal(calls_count(r.calls), 1);
    const char *routes = "Record-Route: <sip:us;lr>, <sip:server;lr>, <sip:us;x=1;lr>\r\n";
    call_on_answer(r.calls, call, answer_of("one", 200, "b", routes), &server, SLICE_NONE, r.now);
    const struct sip_msg *bye = rig_write(&r, call, 0, SIP_BYE, CALL_CALLEE, &hop, &err);
    assert_non_null(bye);
    assert_text(hop, "sip:server;lr");
    assert_text(sip_value(bye, SIP_H_ROUTE), "<sip:server;lr>,<sip:us;lr>");
    rig_fini(&r);
}

static void merged_request(void **state)
{
    (void)state;
    struct rig r;
    struct flow_dest other = dest_of("10.0.0.7", 70);
    rig_init(&r, &usual);
    uint64_t call = rig_begin(&r, "one", "");
    assert_int_equal(call_begin(r.calls, invite_by("z9hG4bKmerged", 7, ""), &other, r.now), 0);
    assert_int_equal(rig_count(&r, CTR_CALLS_UNRECORDED), 1);
    assert_int_equal(calls_count(r.calls), 1);
    assert_int_equal(rig_begin(&r, "one", ""), call);
    /* An old one, and one that is newer than an established call. */
    assert_int_equal(call_begin(r.calls, invite_by("z9hG4bKold", 6, ""), &other, r.now), 0);
    rig_answer(&r, 200, "b", "");
    assert_int_equal(call_begin(r.calls, invite_by("z9hG4bKnew", 8, ""), &other, r.now), 0);
    assert_int_equal(calls_count(r.calls), 1);
    assert_true(rig_has(&r, "one", "b"));
    rig_fini(&r);
}

/* After a challenge of somebody beyond us whose end we were not told. */
static void begun_anew_with_a_higher_cseq(void **state)
{
    (void)state;
    struct rig r;
    struct flow_dest from = dest_of("10.0.0.1", 12);
    rig_init(&r, &usual);
    uint64_t call = rig_begin(&r, "one", "");
    rig_answer(&r, 180, "b", "");
    uint64_t again = call_begin(r.calls, invite_by("z9hG4bKagain", 8, ""), &from, r.now);
    assert_int_not_equal(again, 0);
    assert_int_not_equal(again, call);
    assert_int_equal(calls_count(r.calls), 1);
    assert_int_equal(rig_dialogs(&r, again), 0);
    call_on_answer(r.calls, again, answer_of("one", 200, "b", ""), &from, SLICE_NONE, r.now);
    assert_int_equal(rig_dialogs(&r, again), 0); /* that answered the former one */
    rig_fini(&r);
}

/* Call-ID and tag may be known to somebody else (Replaces of an early dialog, RFC 3891): as long as
 * the INVITE is pending it is the caller alone that begins anew. */
static void not_begun_anew_by_somebody_else(void **state)
{
    (void)state;
    struct rig r;
    struct flow_dest from = dest_of("10.0.0.7", 12);
    rig_init(&r, &usual);
    heard_begin();
    uint64_t call = rig_begin(&r, "one", "");
    call_set_invite(r.calls, call, 77);
    rig_answer(&r, 180, "b", "");
    const struct sip_msg *rival = invite_by("z9hG4bKagain", 8, "");
    assert_int_equal(call_begin(r.calls, rival, &from, r.now), 0);
    assert_int_equal(call_invite(r.calls, call), 77);
    assert_int_equal(rig_dialogs(&r, call), 1);
    assert_int_equal(counter_get(&r.counters, CTR_CALLS_UNRECORDED), 1);
    assert_int_equal(heard(EV_CALL_UNRECORDED), 1);
    call_set_invite(r.calls, call, 0);
    assert_int_not_equal(call_begin(r.calls, rival, &from, r.now), 0);
    assert_int_equal(calls_count(r.calls), 1);
    rig_fini(&r);
}

/* INVITE with Replaces: two calls that know nothing of each other. */
static void replaced_call(void **state)
{
    (void)state;
    struct rig r;
    rig_init(&r, &usual);
    uint64_t old = rig_established(&r, "old");
    uint64_t new = rig_begin(&r, "new", "Replaces: old;to-tag=b;from-tag=a\r\n");
    assert_int_not_equal(old, new);
    call_on_answer(r.calls, new, answer_of("new", 200, "n", ""), &(struct flow_dest){0}, SLICE_NONE,
                   r.now);
    const struct sip_msg *bye = request_of("old", CALL_CALLEE, "BYE", 1, "b", "");
    call_on_response(r.calls, old, bye, response_of("old", CALL_CALLEE, "BYE", 1, 200, "b", ""),
                     r.now);
    assert_int_equal(call_find_id(r.calls, SLICE("old")), 0);
    assert_int_equal(call_find_id(r.calls, SLICE("new")), new);
    assert_true(rig_has(&r, "new", "n"));
    rig_fini(&r);
}

/* Many calls, ended in another order than begun; each found until it ends. */
static void many(void **state)
{
    (void)state;
    enum { N = 500 };
    struct rig r;
    char id[16];
    static uint64_t calls[N];
    rig_init(&r, &(struct call_conf){.max = N});
    for (unsigned i = 0; i < N; i++) {
        snprintf(id, sizeof(id), "m%u", i);
        calls[i] = rig_established(&r, id);
    }
    for (unsigned i = 0; i < N; i++) {
        unsigned n = i * 7 % N;
        snprintf(id, sizeof(id), "m%u", n);
        assert_true(rig_has(&r, id, "b"));
        call_end_dialog(r.calls, request_of(id, CALL_CALLER, "BYE", 8, "b", ""));
        assert_false(rig_has(&r, id, "b"));
        assert_int_equal(rig_dialogs(&r, calls[n]), 0);
    }
    assert_int_equal(calls_count(r.calls), 0);
    rig_fini(&r);
}

/* Whatever allocation fails, the call either has a record or has none, and nothing is lost. */
static void no_memory(void **state)
{
    (void)state;
    struct rig r;
    for (unsigned n = 1; n < 40; n++) {
        rig_init(&r, &usual);
        rig_begin(&r, "zero", "");
        mem_fail_at(n);
        uint64_t call = rig_begin(&r, "one", "Record-Route: <sip:p1;lr>\r\n");
        struct flow_dest d = dest_of("10.0.0.2", 22), moved = dest_of("10.0.0.3", 23);
        static const char *const tags[] = {"b", "c", "d"};
        for (unsigned i = 0; i < 3; i++)
            call_on_answer(r.calls, call, answer_of("one", 180, tags[i], ""), &d, SLICE("200"),
                           r.now);
        call_on_answer(r.calls, call, answer_of("one", 200, "c", ""), &d, SLICE("200"), r.now);
        call_on_final(r.calls, call, 200, r.now);
        const struct sip_msg *req = request_of("one", CALL_CALLER, "INVITE", 8, "c",
                                               "Contact: <sip:a.quite.different.one@10.0.0.9>\r\n");
        call_on_request(r.calls, call, req, &moved, r.now);
        call_on_response(r.calls, call, req,
                         response_of("one", CALL_CALLER, "INVITE", 8, 200, "c",
                                     "Contact: <sip:and.another.different.one@10.0.0.8>\r\n"),
                         r.now);
        bool has_failed = mem_failed();
        mem_fail_at(0);
        assert_true(call == 0 || rig_dialogs(&r, call) <= 3);
        if (has_failed)
            assert_in_range(rig_count(&r, CTR_CALLS_UNRECORDED), 1, 2);
        rig_fini(&r);
        if (!has_failed)
            break;
    }
    /* And none of the table itself. */
    struct wheel wheel;
    struct counters counters = {0};
    const struct hash_key key = {1, 2};
    wheel_init(&wheel, 1);
    for (unsigned n = 1; n < 10; n++) {
        struct calls *calls = NULL;
        mem_fail_at(n);
        int err = calls_new(&usual, &wheel, &key, 0, &counters, &calls);
        bool has_failed = mem_failed();
        mem_fail_at(0);
        assert_int_equal(err, has_failed ? ERR_NOMEM : 0);
        calls_free(&calls);
        calls_free(&calls);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(begin_to_bye),
        cmocka_unit_test(member_is_told_the_end),
        cmocka_unit_test(only_invites_outside_dialogs),
        cmocka_unit_test(find_by_both_tags),
        cmocka_unit_test(every_final_failure_ends_it),
        cmocka_unit_test(pending_invite),
        cmocka_unit_test(stale_ids_do_nothing),
        cmocka_unit_test(ceiling),
        cmocka_unit_test(the_same_invite_again),
        cmocka_unit_test(spiral),
        cmocka_unit_test(merged_request),
        cmocka_unit_test(begun_anew_with_a_higher_cseq),
        cmocka_unit_test(not_begun_anew_by_somebody_else),
        cmocka_unit_test(replaced_call),
        cmocka_unit_test(many),
        cmocka_unit_test(no_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
