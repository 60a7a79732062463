/* SPDX-License-Identifier: Apache-2.0 */
/* What passes changes a dialog: forks, refreshed targets, numbers, session timers, its end. */
#include "help.h"

static const struct call_conf usual = {.max = 100, .timeout_ms = 0};

static struct slice ruri_towards(struct rig *r, unsigned n, enum call_side to)
{
    struct slice hop;
    int err;
    const struct sip_msg *bye = rig_write(r, r->call, n, SIP_BYE, to, &hop, &err);
    assert_int_equal(err, 0);
    return sip_get(bye, bye->uri);
}

static uint32_t cseq_towards(struct rig *r, unsigned n, enum call_side to)
{
    struct slice hop;
    int err;
    const struct sip_msg *bye = rig_write(r, r->call, n, SIP_BYE, to, &hop, &err);
    assert_int_equal(err, 0);
    return bye->cseq;
}

static struct call_dialog dialog_at(struct rig *r, unsigned n)
{
    struct call_dialog d;
    assert_true(call_next_dialog(r->calls, r->call, &n, &d));
    return d;
}

/* A request and its response, both with that Contact line or none. */
static void exchange(struct rig *r, enum call_side from, const char *method, unsigned cseq,
                     unsigned status, const char *req_extra, const char *res_extra)
{
    const struct sip_msg *req = request_of("one", from, method, cseq, "b", req_extra);
    call_on_request(r->calls, r->call, req, NULL, r->now);
    call_on_response(r->calls, r->call, req,
                     response_of("one", from, method, cseq, status, "b", res_extra), r->now);
}

/* --- forks --- */

static void forked_early_dialogs(void **state)
{
    (void)state;
    struct rig r;
    rig_init(&r, &usual);
    uint64_t call = rig_begin(&r, "one", "");
    rig_answer(&r, 100, "b", "");
    assert_int_equal(rig_dialogs(&r, call), 0);
    rig_answer(&r, 180, "b", "");
    rig_answer(&r, 183, "c", "");
    rig_answer(&r, 180, "b", "");
    assert_int_equal(rig_dialogs(&r, call), 2);
    assert_false(dialog_at(&r, 0).confirmed);
    rig_answer(&r, 200, "c", "");
    call_on_final(r.calls, call, 200, r.now);
    assert_int_equal(rig_dialogs(&r, call), 2); /* a late 2xx of the other one may come */
    assert_false(dialog_at(&r, 0).confirmed);
    assert_true(dialog_at(&r, 1).confirmed);
    rig_wait(&r, 31999);
    assert_int_equal(rig_dialogs(&r, call), 2);
    rig_wait(&r, 1);
    assert_int_equal(rig_dialogs(&r, call), 1);
    assert_text(dialog_at(&r, 0).callee_tag, "c");
    assert_int_equal(rig_count(&r, CTR_CALLS_VANISHED), 0);
    rig_fini(&r);
}

static void late_2xx_of_another_fork(void **state)
{
    (void)state;
    struct rig r;
    rig_init(&r, &usual);
    uint64_t call = rig_begin(&r, "one", "");
    rig_answer(&r, 180, "b", "");
    rig_answer(&r, 200, "c", "");
    call_on_final(r.calls, call, 200, r.now);
    rig_wait(&r, 1000);
    rig_answer(&r, 200, "b", ""); /* was early */
    rig_answer(&r, 200, "d", ""); /* was not heard of */
    rig_wait(&r, 40000);
    assert_int_equal(rig_dialogs(&r, call), 3);
    for (unsigned i = 0; i < 3; i++)
        assert_true(dialog_at(&r, i).confirmed);
    /* Each is ended on its own. */
    call_end_dialog(r.calls, request_of("one", CALL_CALLER, "BYE", 8, "b", ""));
    call_end_dialog(r.calls, request_of("one", CALL_CALLER, "BYE", 8, "d", ""));
    assert_int_equal(rig_dialogs(&r, call), 1);
    call_end_dialog(r.calls, response_of("one", CALL_CALLER, "BYE", 8, 408, "c", ""));
    assert_int_equal(calls_count(r.calls), 0);
    rig_fini(&r);
}

/* The only established dialog ends while a late 2xx may still come. */
static void early_ones_outlive_a_short_call(void **state)
{
    (void)state;
    struct rig r;
    rig_init(&r, &usual);
    uint64_t call = rig_begin(&r, "one", "");
    rig_answer(&r, 180, "c", "");
    rig_answer(&r, 200, "b", "");
    exchange(&r, CALL_CALLER, "BYE", 8, 200, "", "");
    assert_int_equal(rig_dialogs(&r, call), 1);
    rig_wait(&r, 32000);
    assert_int_equal(calls_count(r.calls), 0);
    assert_int_equal(rig_count(&r, CTR_CALLS_VANISHED), 0);
    rig_fini(&r);
}

/* What comes again is told from the 2xx of a fork that has not answered yet. */
static void what_has_ended_is_known(void **state)
{
    (void)state;
    struct rig r;
    rig_init(&r, &usual);
    uint64_t call = rig_begin(&r, "one", "");
    call_set_invite(r.calls, call, 0x1234567800000077);
    rig_answer(&r, 180, "c", "");
    rig_answer(&r, 180, "e", "");
    exchange(&r, CALL_CALLER, "BYE", 8, 200, "", ""); /* of none */
    assert_int_equal(call_invite(r.calls, call), 0x1234567800000077);
    assert_false(call_has_ended(r.calls, call, answer_of("one", 200, "b", "")));
    rig_answer(&r, 200, "b", "");
    rig_answer(&r, 200, "d", "");
    rig_answer(&r, 200, "e", "");
    call_on_final(r.calls, call, 200, r.now);
    assert_false(call_has_ended(r.calls, call, answer_of("one", 200, "b", "")));
    exchange(&r, CALL_CALLER, "BYE", 8, 200, "", "");
    assert_true(call_has_ended(r.calls, call, answer_of("one", 200, "b", "")));
    assert_int_equal(call_invite(r.calls, call), 0);
    call_end_dialog(r.calls, request_of("one", CALL_CALLER, "BYE", 8, "d", ""));
    assert_true(call_has_ended(r.calls, call, answer_of("one", 200, "b", "")));
    assert_true(call_has_ended(r.calls, call, answer_of("one", 200, "d", "")));
    assert_false(call_has_ended(r.calls, call, answer_of("one", 200, "c", "")));
    assert_false(call_has_ended(r.calls, call, answer_of("one", 200, "e", "")));
    assert_false(call_has_ended(r.calls, call, answer_of("one", 200, "f", "")));
    call_end_dialog(r.calls, request_of("one", CALL_CALLER, "BYE", 8, "e", ""));
    assert_false(call_has_ended(r.calls, call, answer_of("one", 200, "b", "")));
    assert_false(call_has_ended(r.calls, call + 1, answer_of("one", 200, "e", "")));
    rig_fini(&r);
}

/* BYE inside the only early dialog: the INVITE is still pending. */
static void early_dialog_ended_by_bye(void **state)
{
    (void)state;
    struct rig r;
    rig_init(&r, &usual);
    uint64_t call = rig_begin(&r, "one", "");
    rig_answer(&r, 180, "b", "");
    exchange(&r, CALL_CALLER, "BYE", 8, 200, "", "");
    assert_int_equal(rig_dialogs(&r, call), 0);
    assert_int_equal(calls_count(r.calls), 1);
    call_on_final(r.calls, call, 487, r.now);
    assert_int_equal(calls_count(r.calls), 0);
    rig_fini(&r);
}

static void answers_that_make_no_dialog(void **state)
{
    (void)state;
    struct rig r;
    struct flow_dest d = dest_of("10.0.0.2", 22);
    rig_init(&r, &usual);
    uint64_t call = rig_begin(&r, "one", "");
    rig_answer(&r, 180, "", "");
    rig_answer(&r, 486, "b", "");
    assert_int_equal(rig_count(&r, CTR_CALLS_UNRECORDED), 0);
    call_on_answer(r.calls, call, response_of("one", CALL_CALLER, "INVITE", 8, 200, "b", ""), &d,
                   SLICE_NONE, r.now); /* of another INVITE */
    rig_answer(&r, 200, "", "");       /* 2xx without a tag: cannot be found again */
    assert_int_equal(rig_dialogs(&r, call), 0);
    assert_int_equal(rig_count(&r, CTR_CALLS_UNRECORDED), 1);
    call_on_final(r.calls, call, 200, r.now);
    rig_wait(&r, 32000);
    assert_int_equal(calls_count(r.calls), 0);
    rig_fini(&r);
}

static void repeated_2xx_changes_nothing(void **state)
{
    (void)state;
    struct rig r;
    rig_init(&r, &usual);
    rig_established(&r, "one");
    assert_true(dialog_at(&r, 0).acked);
    rig_answer(&r, 200, "b", "Contact: <sip:else@where>\r\nSession-Expires: 90\r\n");
    rig_answer(&r, 180, "b", "");
    assert_true(dialog_at(&r, 0).acked);
    assert_true(dialog_at(&r, 0).confirmed);
    assert_text(ruri_towards(&r, 0, CALL_CALLEE), "sip:callee@10.0.0.2:5060;transport=tcp");
    rig_wait(&r, 1000000);
    assert_int_equal(calls_count(r.calls), 1);
    rig_fini(&r);
}

/* The 2xx must bring a Contact; where it does not, that of the provisional response serves. */
static void early_target_serves_for_a_2xx_without(void **state)
{
    (void)state;
    struct rig r;
    rig_init(&r, &usual);
    rig_begin(&r, "one", "");
    rig_answer(&r, 180, "b", "Contact: <sip:early@h>\r\n");
    rig_answer(&r, 200, "b", "X-Contact: none\r\nContact: *\r\n");
    assert_true(dialog_at(&r, 0).confirmed);
    assert_text(ruri_towards(&r, 0, CALL_CALLEE), "sip:early@h");
    rig_fini(&r);
}

/* --- target refresh: RFC 3261 12.2, RFC 3311 --- */

static void reinvite_of_the_caller_moves_both(void **state)
{
    (void)state;
    struct rig r;
    rig_init(&r, &usual);
    rig_established(&r, "one");
    const struct sip_msg *req =
        request_of("one", CALL_CALLER, "INVITE", 8, "b", "Contact: <sip:alice@10.1.1.1>\r\n");
    rig_request(&r, req);
    call_on_response(
        r.calls, r.call, req,
        response_of("one", CALL_CALLER, "INVITE", 8, 183, "b", "Contact: <sip:early@10.2.2.2>\r\n"),
        r.now);
    /* Nothing before the 2xx. */
    assert_text(ruri_towards(&r, 0, CALL_CALLER), "sip:alice@10.0.0.1:5060;transport=tcp");
    assert_text(ruri_towards(&r, 0, CALL_CALLEE), "sip:callee@10.0.0.2:5060;transport=tcp");
    call_on_response(
        r.calls, r.call, req,
        response_of("one", CALL_CALLER, "INVITE", 8, 200, "b", "Contact: <sip:bob@10.2.2.2>\r\n"),
        r.now);
    assert_text(ruri_towards(&r, 0, CALL_CALLER), "sip:alice@10.1.1.1");
    assert_text(ruri_towards(&r, 0, CALL_CALLEE), "sip:bob@10.2.2.2");
    rig_fini(&r);
}

static void reinvite_of_the_callee_moves_both(void **state)
{
    (void)state;
    struct rig r;
    rig_init(&r, &usual);
    rig_established(&r, "one");
    exchange(&r, CALL_CALLEE, "INVITE", 300, 200, "Contact: <sip:bob@10.2.2.2>\r\n",
             "Contact: <sip:alice@10.1.1.1>\r\n");
    assert_text(ruri_towards(&r, 0, CALL_CALLER), "sip:alice@10.1.1.1");
    assert_text(ruri_towards(&r, 0, CALL_CALLEE), "sip:bob@10.2.2.2");
    rig_fini(&r);
}

static void refused_reinvite_moves_nobody(void **state)
{
    (void)state;
    struct rig r;
    rig_init(&r, &usual);
    rig_established(&r, "one");
    exchange(&r, CALL_CALLER, "INVITE", 8, 488, "Contact: <sip:alice@10.1.1.1>\r\n",
             "Contact: <sip:bob@10.2.2.2>\r\n");
    exchange(&r, CALL_CALLER, "INFO", 9, 200, "Contact: <sip:alice@10.1.1.1>\r\n",
             "Contact: <sip:bob@10.2.2.2>\r\n");
    assert_text(ruri_towards(&r, 0, CALL_CALLER), "sip:alice@10.0.0.1:5060;transport=tcp");
    assert_text(ruri_towards(&r, 0, CALL_CALLEE), "sip:callee@10.0.0.2:5060;transport=tcp");
    rig_fini(&r);
}

static void update_moves_both_even_early(void **state)
{
    (void)state;
    struct rig r;
    rig_init(&r, &usual);
    rig_begin(&r, "one", "");
    rig_answer(&r, 183, "b", "");
    exchange(&r, CALL_CALLER, "UPDATE", 8, 200, "Contact: <sip:alice@10.1.1.1>\r\n",
             "Contact: <sip:bob@10.2.2.2>\r\n");
    assert_text(ruri_towards(&r, 0, CALL_CALLER), "sip:alice@10.1.1.1");
    assert_text(ruri_towards(&r, 0, CALL_CALLEE), "sip:bob@10.2.2.2");
    rig_answer(&r, 200, "b", "Contact: <sip:bob@10.3.3.3>\r\n");
    exchange(&r, CALL_CALLEE, "UPDATE", 1, 200, "Contact: <sip:bob@10.4.4.4>\r\n", "");
    assert_text(ruri_towards(&r, 0, CALL_CALLER), "sip:alice@10.1.1.1");
    assert_text(ruri_towards(&r, 0, CALL_CALLEE), "sip:bob@10.4.4.4");
    rig_fini(&r);
}

/* The request is gone (its transaction too): what the response says is taken. */
static void refresh_without_its_request(void **state)
{
    (void)state;
    struct rig r;
    rig_init(&r, &usual);
    rig_established(&r, "one");
    call_on_response(
        r.calls, r.call, NULL,
        response_of("one", CALL_CALLER, "INVITE", 8, 200, "b", "Contact: <sip:bob@10.2.2.2>\r\n"),
        r.now);
    assert_text(ruri_towards(&r, 0, CALL_CALLER), "sip:alice@10.0.0.1:5060;transport=tcp");
    assert_text(ruri_towards(&r, 0, CALL_CALLEE), "sip:bob@10.2.2.2");
    rig_fini(&r);
}

/* --- CSeq --- */

static void numbers_of_both_directions(void **state)
{
    (void)state;
    struct rig r;
    rig_init(&r, &usual);
    rig_begin(&r, "one", "");
    rig_answer(&r, 183, "b", "");
    exchange(&r, CALL_CALLER, "PRACK", 8, 200, "RAck: 1 7 INVITE\r\n", "");
    rig_answer(&r, 200, "b", "");
    rig_request(&r, request_of("one", CALL_CALLER, "ACK", 7, "b", ""));
    assert_int_equal(cseq_towards(&r, 0, CALL_CALLEE), 9);
    assert_int_equal(cseq_towards(&r, 0, CALL_CALLER), 1); /* it has sent nothing */
    exchange(&r, CALL_CALLEE, "INVITE", 4000, 200, "", "");
    rig_request(&r, request_of("one", CALL_CALLEE, "ACK", 4000, "b", ""));
    assert_int_equal(cseq_towards(&r, 0, CALL_CALLER), 4001);
    exchange(&r, CALL_CALLER, "INFO", 20, 200, "", "");
    exchange(&r, CALL_CALLER, "INFO", 19, 200, "", ""); /* out of order */
    rig_request(&r, request_of("one", CALL_CALLER, "CANCEL", 25, "b", ""));
    assert_int_equal(cseq_towards(&r, 0, CALL_CALLEE), 21);
    rig_request(&r, request_of("one", CALL_CALLER, "INFO", 0x7fffffff, "b", ""));
    assert_int_equal(cseq_towards(&r, 0, CALL_CALLEE), 0x7fffffff);
    rig_fini(&r);
}

static void acked_by_the_ack_of_the_latest_2xx(void **state)
{
    (void)state;
    struct rig r;
    rig_init(&r, &usual);
    rig_begin(&r, "one", "");
    rig_answer(&r, 200, "b", "");
    assert_false(dialog_at(&r, 0).acked);
    rig_request(&r, request_of("one", CALL_CALLER, "ACK", 6, "b", ""));
    rig_request(&r, request_of("one", CALL_CALLEE, "ACK", 7, "b", ""));
    assert_false(dialog_at(&r, 0).acked);
    rig_request(&r, request_of("one", CALL_CALLER, "ACK", 7, "b", ""));
    assert_true(dialog_at(&r, 0).acked);
    assert_int_equal(dialog_at(&r, 0).invite_cseq, 7);

    exchange(&r, CALL_CALLER, "INVITE", 9, 200, "", "");
    assert_false(dialog_at(&r, 0).acked);
    assert_int_equal(dialog_at(&r, 0).invite_cseq, 9);
    rig_request(&r, request_of("one", CALL_CALLER, "ACK", 9, "b", ""));
    assert_true(dialog_at(&r, 0).acked);
    exchange(&r, CALL_CALLER, "INVITE", 9, 200, "", ""); /* repeated */
    assert_true(dialog_at(&r, 0).acked);

    exchange(&r, CALL_CALLEE, "INVITE", 9, 200, "", ""); /* a number space of its own */
    assert_false(dialog_at(&r, 0).acked);
    assert_int_equal(dialog_at(&r, 0).invite_cseq, 9);
    rig_request(&r, request_of("one", CALL_CALLEE, "ACK", 9, "b", ""));
    assert_true(dialog_at(&r, 0).acked);
    rig_fini(&r);
}

/* --- ways --- */

static void ways_follow_the_requests(void **state)
{
    (void)state;
    struct rig r;
    rig_init(&r, &usual);
    rig_established(&r, "one");
    struct flow_dest known = dialog_at(&r, 0).ways[CALL_CALLEE];
    assert_int_equal(known.flow, 22);
    assert_int_equal(known.remote.port, 5060);
    assert_text(dialog_at(&r, 0).dn, "200");
    /* A new connection of the same phone: where it listens is known better. */
    struct flow_dest from = dest_of("10.0.0.2:49152", 44);
    call_on_request(r.calls, r.call, request_of("one", CALL_CALLEE, "INFO", 1, "b", ""), &from,
                    r.now);
    struct flow_dest got = dialog_at(&r, 0).ways[CALL_CALLEE];
    assert_int_equal(got.flow, 44);
    assert_true(addr_eq(&got.remote, &known.remote));
    assert_int_equal(dialog_at(&r, 0).ways[CALL_CALLER].flow, 11);
    call_on_request(r.calls, r.call, request_of("one", CALL_CALLEE, "INFO", 2, "b", ""), &from,
                    r.now);
    assert_int_equal(dialog_at(&r, 0).ways[CALL_CALLEE].flow, 44);
    /* Another address. */
    from = dest_of("[2001:db8::5]:5070", 45);
    from.alt_port = 5062;
    call_on_request(r.calls, r.call, request_of("one", CALL_CALLER, "INFO", 8, "b", ""), &from,
                    r.now);
    got = dialog_at(&r, 0).ways[CALL_CALLER];
    assert_int_equal(got.flow, 45);
    assert_int_equal(got.alt_port, 5062);
    assert_true(addr_eq(&got.remote, &from.remote));
    assert_true(addr_eq(&got.local, &from.local));
    assert_int_equal(rig_dialogs(&r, r.call), 1);
    rig_fini(&r);
}

static void ways_are_kept_whole(void **state)
{
    (void)state;
    struct rig r;
    rig_init(&r, &usual);
    struct flow_dest callee = dest_of("[fe80::7]:5071", 0x0123456789abcdef);
    callee.remote.scope = 3;
    callee.transport = SIP_TLS;
    callee.no_reopen = true;
    callee.tls_peer = 0xdeadbeef;
    callee.alt_port = 5061;
    callee.since = 12345;
    assert_int_equal(addr_parse(SLICE("[2001:db8::1]:5061"), 0, &callee.local), 0);
    rig_begin(&r, "one", "");
    call_on_answer(r.calls, r.call, answer_of("one", 200, "b", ""), &callee, SLICE_NONE, r.now);
    struct flow_dest got = dialog_at(&r, 0).ways[CALL_CALLEE];
    assert_int_equal(got.flow, callee.flow);
    assert_true(addr_eq(&got.remote, &callee.remote));
    assert_int_equal(got.remote.scope, 3);
    assert_true(addr_eq(&got.local, &callee.local));
    assert_int_equal(got.transport, SIP_TLS);
    assert_int_equal(got.tls_peer, callee.tls_peer);
    assert_int_equal(got.alt_port, 5061);
    assert_true(got.no_reopen);
    assert_int_equal(got.since, 0);
    assert_int_equal(dialog_at(&r, 0).dn.len, 0);
    rig_fini(&r);
}

/* A datagram comes from where answers have to go (a NAT may have changed the port). */
static void ways_by_udp_follow_the_port(void **state)
{
    (void)state;
    struct rig r;
    rig_init(&r, &usual);
    struct flow_dest callee = dest_of("10.0.0.2:5060", 0);
    callee.transport = SIP_UDP;
    rig_begin(&r, "one", "");
    call_on_answer(r.calls, r.call, answer_of("one", 200, "b", ""), &callee, SLICE_NONE, r.now);
    callee.remote.port = 1024;
    call_on_request(r.calls, r.call, request_of("one", CALL_CALLEE, "INFO", 1, "b", ""), &callee,
                    r.now);
    assert_int_equal(dialog_at(&r, 0).ways[CALL_CALLEE].remote.port, 1024);
    rig_fini(&r);
}

/* --- the end --- */

static void what_ends_a_dialog(void **state)
{
    (void)state;
    static const struct {
        const char *method;
        unsigned status;
        bool ends;
    } cases[] = {
        {"BYE", 200, true},     {"BYE", 481, true},     {"BYE", 408, true},
        {"BYE", 500, true},     {"BYE", 401, false},    {"BYE", 407, false},
        {"BYE", 100, false},    {"INVITE", 481, true},  {"INVITE", 408, true},
        {"INVITE", 491, false}, {"INVITE", 500, false}, {"UPDATE", 481, true},
        {"INFO", 408, true},    {"INFO", 404, false},   {"PRACK", 481, false},
        {"NOTIFY", 481, false}, {"REFER", 408, false},  {"SUBSCRIBE", 481, false},
        {"MESSAGE", 481, true}, {"OPTIONS", 408, true},
    };
    for (unsigned i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
        for (int side = CALL_CALLER; side <= CALL_CALLEE; side++) {
            struct rig r;
            rig_init(&r, &usual);
            rig_established(&r, "one");
            exchange(&r, (enum call_side)side, cases[i].method, 8, cases[i].status, "", "");
            if (calls_count(r.calls) != (cases[i].ends ? 0 : 1))
                fail_msg("%s %u", cases[i].method, cases[i].status);
            rig_fini(&r);
        }
}

static void session_timer(void **state)
{
    (void)state;
    struct rig r;
    rig_init(&r, &usual);
    rig_begin(&r, "one", "");
    rig_answer(&r, 200, "b", "Session-Expires: 90;refresher=uas\r\n");
    rig_wait(&r, 89000);
    exchange(&r, CALL_CALLEE, "UPDATE", 1, 200, "", "Session-Expires: 100 ;refresher=uac\r\n");
    exchange(&r, CALL_CALLER, "INFO", 8, 200, "", ""); /* no refresh */
    rig_wait(&r, 131999);
    assert_int_equal(calls_count(r.calls), 1);
    rig_wait(&r, 1);
    assert_int_equal(calls_count(r.calls), 0);
    assert_int_equal(rig_count(&r, CTR_CALLS_VANISHED), 1);

    /* A refusal does not refresh; nor does the 2xx repeated. */
    rig_begin(&r, "one", "");
    rig_answer(&r, 200, "b", "x: 90\r\n");
    rig_wait(&r, 100000);
    exchange(&r, CALL_CALLER, "INVITE", 8, 422, "", "Session-Expires: 900\r\n");
    exchange(&r, CALL_CALLER, "INVITE", 9, 200, "", "Session-Expires: 20\r\n");
    rig_wait(&r, 10000);
    exchange(&r, CALL_CALLER, "INVITE", 9, 200, "", "Session-Expires: 20\r\n");
    rig_wait(&r, 41999);
    assert_int_equal(calls_count(r.calls), 1);
    rig_wait(&r, 1);
    assert_int_equal(calls_count(r.calls), 0);

    /* Turned off by a 2xx without it, or with one that says nothing. */
    static const char *const off[] = {"", "Session-Expires: soon\r\n",
                                      "Session-Expires: 99999999999\r\n"};
    for (unsigned i = 0; i < 3; i++) {
        rig_begin(&r, "one", "");
        rig_answer(&r, 200, "b", "Session-Expires: 90\r\n");
        exchange(&r, CALL_CALLER, "INVITE", 8, 200, "", off[i]);
        rig_wait(&r, 10000000);
        assert_int_equal(calls_count(r.calls), 1);
        call_remove(r.calls, r.call);
    }
    rig_fini(&r);
}

static void call_timeout(void **state)
{
    (void)state;
    struct rig r;
    rig_init(&r, &(struct call_conf){.max = 10, .timeout_ms = 60000});
    rig_established(&r, "one");
    rig_wait(&r, 59000);
    rig_request(&r, request_of("one", CALL_CALLER, "INFO", 8, "b", ""));
    rig_wait(&r, 59999);
    assert_int_equal(calls_count(r.calls), 1);
    rig_wait(&r, 1);
    assert_int_equal(calls_count(r.calls), 0);
    assert_int_equal(rig_count(&r, CTR_CALLS_VANISHED), 1);
    /* One that nobody ever answered, nor ended. */
    rig_begin(&r, "two", "");
    rig_wait(&r, 59999);
    assert_int_equal(calls_count(r.calls), 1);
    rig_wait(&r, 1);
    assert_int_equal(calls_count(r.calls), 0);
    /* Changed by a reload, both ways. */
    rig_established(&r, "one");
    calls_set_conf(r.calls, &(struct call_conf){.max = 10, .timeout_ms = 0});
    rig_wait(&r, 600000);
    assert_int_equal(calls_count(r.calls), 1);
    calls_set_conf(r.calls, &(struct call_conf){.max = 10, .timeout_ms = 700000});
    rig_wait(&r, 99999);
    assert_int_equal(calls_count(r.calls), 1);
    rig_wait(&r, 1);
    assert_int_equal(calls_count(r.calls), 0);
    assert_int_equal(rig_count(&r, CTR_CALLS_VANISHED), 3);
    rig_fini(&r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(forked_early_dialogs),
        cmocka_unit_test(late_2xx_of_another_fork),
        cmocka_unit_test(early_ones_outlive_a_short_call),
        cmocka_unit_test(what_has_ended_is_known),
        cmocka_unit_test(early_dialog_ended_by_bye),
        cmocka_unit_test(answers_that_make_no_dialog),
        cmocka_unit_test(repeated_2xx_changes_nothing),
        cmocka_unit_test(early_target_serves_for_a_2xx_without),
        cmocka_unit_test(reinvite_of_the_caller_moves_both),
        cmocka_unit_test(reinvite_of_the_callee_moves_both),
        cmocka_unit_test(refused_reinvite_moves_nobody),
        cmocka_unit_test(update_moves_both_even_early),
        cmocka_unit_test(refresh_without_its_request),
        cmocka_unit_test(numbers_of_both_directions),
        cmocka_unit_test(acked_by_the_ack_of_the_latest_2xx),
        cmocka_unit_test(ways_follow_the_requests),
        cmocka_unit_test(ways_are_kept_whole),
        cmocka_unit_test(ways_by_udp_follow_the_port),
        cmocka_unit_test(what_ends_a_dialog),
        cmocka_unit_test(session_timer),
        cmocka_unit_test(call_timeout),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
