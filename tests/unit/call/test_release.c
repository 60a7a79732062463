/* SPDX-License-Identifier: Apache-2.0 */
/* Requests of ours inside a dialog, as a strict user agent wants them; the list for people. */
#include "help.h"
#include "rows.h"

static const struct call_conf usual = {.max = 100, .timeout_ms = 0};

static struct slice tag_of(const struct sip_msg *m, struct sip_span tag)
{
    return sip_get(m, tag);
}

/* An established call whose INVITE and 2xx had these lines. */
static void call_with(struct rig *r, const char *invite_extra, const char *answer_extra)
{
    rig_init(r, &usual);
    assert_int_not_equal(rig_begin(r, "one", invite_extra), 0);
    rig_answer(r, 200, "b", answer_extra);
    assert_int_equal(rig_dialogs(r, r->call), 1);
}

static void check_routes(const char *invite_extra, const char *answer_extra, const char *to_callee,
                         const char *to_caller)
{
    struct rig r;
    struct slice hop;
    int err;
    call_with(&r, invite_extra, answer_extra);
    const struct sip_msg *bye = rig_write(&r, r.call, 0, SIP_BYE, CALL_CALLEE, &hop, &err);
    assert_text(sip_value(bye, SIP_H_ROUTE), to_callee);
    bye = rig_write(&r, r.call, 0, SIP_BYE, CALL_CALLER, &hop, &err);
    assert_text(sip_value(bye, SIP_H_ROUTE), to_caller);
    rig_fini(&r);
}

static void bye_to_the_callee(void **state)
{
    (void)state;
    struct rig r;
    struct slice hop;
    int err;
    call_with(&r, "", "Record-Route: <sip:us;lr>\r\n");
    const struct sip_msg *bye = rig_write(&r, r.call, 0, SIP_BYE, CALL_CALLEE, &hop, &err);
    assert_int_equal(err, 0);
    assert_int_equal(bye->method, SIP_BYE);
    assert_text(sip_get(bye, bye->uri), "sip:callee@10.0.0.2:5060;transport=tcp");
    assert_text(sip_value(bye, SIP_H_FROM), "<sip:alice@example.com>;tag=a");
    assert_text(sip_value(bye, SIP_H_TO), "<sip:200@example.com>;tag=b");
    assert_text(tag_of(bye, bye->from_tag), "a");
    assert_text(tag_of(bye, bye->to_tag), "b");
    assert_text(sip_get(bye, bye->call_id), "one");
    assert_int_equal(bye->cseq, 8);
    assert_int_equal(bye->max_forwards, 70);
    assert_null(sip_hdr_first(bye, SIP_H_ROUTE));
    assert_text(hop, "sip:callee@10.0.0.2:5060;transport=tcp");
    rig_fini(&r);
}

static void bye_to_the_caller(void **state)
{
    (void)state;
    struct rig r;
    struct slice hop;
    int err;
    call_with(&r, "", "Record-Route: <sip:us;lr>\r\n");
    const struct sip_msg *bye = rig_write(&r, r.call, 0, SIP_BYE, CALL_CALLER, &hop, &err);
    assert_int_equal(err, 0);
    assert_text(sip_get(bye, bye->uri), "sip:alice@10.0.0.1:5060;transport=tcp");
    assert_text(sip_value(bye, SIP_H_FROM), "<sip:200@example.com>;tag=b");
    assert_text(sip_value(bye, SIP_H_TO), "<sip:alice@example.com>;tag=a");
    assert_int_equal(bye->cseq, 1);
    assert_null(sip_hdr_first(bye, SIP_H_ROUTE));
    assert_text(hop, "sip:alice@10.0.0.1:5060;transport=tcp");
    rig_fini(&r);
}

/* The record finds what it has written: it is a request of that dialog. */
static void our_own_request_is_found_again(void **state)
{
    (void)state;
    struct rig r;
    struct slice hop;
    enum call_side side;
    int err;
    call_with(&r, "", "");
    const struct sip_msg *bye = rig_write(&r, r.call, 0, SIP_BYE, CALL_CALLER, &hop, &err);
    assert_int_equal(call_find(r.calls, bye, &side), r.call);
    assert_int_equal(side, CALL_CALLEE);
    call_end_dialog(r.calls, bye);
    assert_int_equal(calls_count(r.calls), 0);
    rig_fini(&r);
}

static void ack_of_ours(void **state)
{
    (void)state;
    struct rig r;
    struct slice hop;
    int err;
    call_with(&r, "", "");
    rig_request(&r, request_of("one", CALL_CALLER, "INFO", 30, "b", ""));
    const struct sip_msg *ack = rig_write(&r, r.call, 0, SIP_ACK, CALL_CALLEE, &hop, &err);
    assert_int_equal(ack->method, SIP_ACK);
    assert_int_equal(ack->cseq, 7);
    assert_null(rig_write(&r, r.call, 0, SIP_ACK, CALL_CALLER, &hop, &err));
    assert_int_equal(err, ERR_UNSUPPORTED);
    assert_null(rig_write(&r, r.call, 0, SIP_UNKNOWN, CALL_CALLER, &hop, &err));
    assert_int_equal(err, ERR_UNSUPPORTED);
    rig_fini(&r);
}

/* RFC 3261 12.1.1, 12.1.2 for the one in the middle. */
static void route_sets(void **state)
{
    (void)state;
    /* Nobody but us. */
    check_routes("", "Record-Route: <sip:us;lr>\r\n", "", "");
    /* Ours twice (RFC 5658), in one line or two. */
    check_routes("", "Record-Route: <sip:us;transport=tcp;lr>, <sip:us;lr>\r\n", "", "");
    check_routes("", "Record-Route: <sip:us;transport=tcp;lr>\r\nRecord-Route: <sip:us;lr>\r\n", "",
                 "");
    /* Two on each side: towards the caller as received, towards the callee reversed. */
    check_routes("Record-Route: <sip:p2;lr>, <sip:p1;lr>\r\n",
                 "Record-Route: <sip:p4;lr>, <sip:p3;lr>\r\n"
                 "Record-Route: <sip:us;a;lr>, <sip:us;b;lr>\r\n"
                 "Record-Route: <sip:p2;lr>, <sip:p1;lr>\r\n",
                 "<sip:p3;lr>,<sip:p4;lr>", "<sip:p2;lr>,<sip:p1;lr>");
    /* Only beyond us; only before us. */
    check_routes("", "Record-Route: <sip:p3;lr>, <sip:us;lr>\r\n", "<sip:p3;lr>", "");
    check_routes("Record-Route: <sip:p1;lr>\r\n", "Record-Route: <sip:us;lr>, <sip:p1;lr>\r\n", "",
                 "<sip:p1;lr>");
    /* A callee that copies nothing. */
    check_routes("Record-Route: <sip:p1;lr>\r\n", "", "", "<sip:p1;lr>");
    check_routes("Record-Route: <sip:p1;lr>\r\n", "Record-Route: <sip:p1;lr>\r\n", "",
                 "<sip:p1;lr>");
    /* Parameters of the URI stay, those of the header go. */
    check_routes("Record-Route: \"P, 1\" <sip:x%20y@p1:5080;lr=on;q>;foo=\"a,b\"\r\n", "", "",
                 "<sip:x%20y@p1:5080;lr=on;q>");
}

/* Without a function that knows them, our values are known by our address. */
static void own_values_by_their_address(void **state)
{
    (void)state;
    struct rig r;
    struct slice hop;
    int err;
    rig_init(&r, &usual);
    calls_set_ours(r.calls, NULL, NULL);
    rig_begin(&r, "one", "");
    rig_answer(&r, 200, "b",
               "Record-Route: <sip:p3;lr>, <sip:t@10.0.0.9;transport=tcp;lr>, <sip:10.0.0.9;lr>"
               "\r\n");
    const struct sip_msg *bye = rig_write(&r, r.call, 0, SIP_BYE, CALL_CALLEE, &hop, &err);
    assert_text(sip_value(bye, SIP_H_ROUTE), "<sip:p3;lr>");
    assert_text(hop, "sip:p3;lr");
    rig_fini(&r);
}

/* The 2xx says it anew (RFC 3261 13.2.2.4). */
static void the_2xx_recomputes_the_route_set(void **state)
{
    (void)state;
    struct rig r;
    struct slice hop;
    int err;
    rig_init(&r, &usual);
    rig_begin(&r, "one", "");
    rig_answer(&r, 183, "b", "Record-Route: <sip:old;lr>, <sip:us;lr>\r\nContact: <sip:old@h>\r\n");
    const struct sip_msg *bye = rig_write(&r, r.call, 0, SIP_BYE, CALL_CALLEE, &hop, &err);
    assert_text(sip_value(bye, SIP_H_ROUTE), "<sip:old;lr>");
    rig_answer(&r, 200, "b", "Record-Route: <sip:new;lr>, <sip:us;lr>\r\nContact: <sip:new@h>\r\n");
    bye = rig_write(&r, r.call, 0, SIP_BYE, CALL_CALLEE, &hop, &err);
    assert_text(sip_value(bye, SIP_H_ROUTE), "<sip:new;lr>");
    assert_text(sip_get(bye, bye->uri), "sip:new@h");
    rig_fini(&r);
}

/* RFC 3261 12.2.1.1: the strict router is the Request-URI, the target the last Route. */
static void strict_router_first(void **state)
{
    (void)state;
    struct rig r;
    struct slice hop;
    int err;
    call_with(&r, "Record-Route: <sip:strict1>, <sip:p1;lr>\r\n",
              "Record-Route: <sip:strict2:5070>, <sip:us;lr>, <sip:strict1>, <sip:p1;lr>\r\n");
    const struct sip_msg *bye = rig_write(&r, r.call, 0, SIP_BYE, CALL_CALLEE, &hop, &err);
    assert_text(sip_get(bye, bye->uri), "sip:strict2:5070");
    assert_text(sip_value(bye, SIP_H_ROUTE), "<sip:callee@10.0.0.2:5060;transport=tcp>");
    assert_text(hop, "sip:strict2:5070");
    bye = rig_write(&r, r.call, 0, SIP_BYE, CALL_CALLER, &hop, &err);
    assert_text(sip_get(bye, bye->uri), "sip:strict1");
    assert_text(sip_value(bye, SIP_H_ROUTE), "<sip:p1;lr>,<sip:alice@10.0.0.1:5060;transport=tcp>");
    assert_text(hop, "sip:strict1");
    rig_fini(&r);
}

/* A Contact may hold what a Request-URI may not (RFC 3261 19.1.1). */
static void contacts_that_are_no_request_uri(void **state)
{
    (void)state;
    static const struct {
        const char *contact, *uri;
    } cases[] = {
        {"Contact: <sip:b@h:1;method=INVITE;lr;x=1?Subject=a&b=c>\r\n", "sip:b@h:1;lr;x=1"},
        {"Contact: <sip:b@h?Route=%3Csip:evil%3E>;expires=3\r\n", "sip:b@h"},
        {"Contact: <sip:first@h>, <sip:second@h>\r\n", "sip:first@h"},
        {"Contact: \"a,b\" <sips:b@h;transport=tcp>\r\n", "sips:b@h;transport=tcp"},
        {"Contact: sip:b@h\r\n", "sip:b@h"},
        /* None that is of use: the URI that the callee is known by. */
        {"Contact: <tel:+1234>\r\n", "sip:200@example.com"},
        {"Contact: <mailto:b@h>\r\n", "sip:200@example.com"},
        {"Contact: <sip:@@>\r\n", "sip:200@example.com"},
        {"Contact: \r\n", "sip:200@example.com"},
        {"Contact: *\r\n", "sip:200@example.com"},
    };
    for (unsigned i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct rig r;
        struct slice hop;
        int err;
        call_with(&r, "", cases[i].contact);
        const struct sip_msg *bye = rig_write(&r, r.call, 0, SIP_BYE, CALL_CALLEE, &hop, &err);
        assert_non_null(bye);
        assert_text(sip_get(bye, bye->uri), cases[i].uri);
        assert_text(hop, cases[i].uri);
        rig_fini(&r);
    }
}

static void caller_without_contact(void **state)
{
    (void)state;
    struct rig r;
    struct slice hop;
    int err;
    call_with(&r, "Contact: *\r\n", "");
    const struct sip_msg *bye = rig_write(&r, r.call, 0, SIP_BYE, CALL_CALLER, &hop, &err);
    assert_text(sip_get(bye, bye->uri), "sip:alice@example.com");
    rig_fini(&r);
}

static void stale_or_too_small(void **state)
{
    (void)state;
    struct rig r;
    struct call_dialog d;
    struct slice hop;
    struct buf b;
    char text[1024];
    unsigned it = 0;
    call_with(&r, "", "");
    assert_true(call_next_dialog(r.calls, r.call, &it, &d));
    for (size_t cap = 0; cap < sizeof(text); cap++) {
        buf_init(&b, text, cap);
        int err = call_write_request(r.calls, r.call, &d, SIP_BYE, CALL_CALLEE, &b, &hop);
        if (err == 0)
            break;
        assert_int_equal(err, ERR_FULL);
        assert_true(cap < 400);
    }
    buf_init(&b, text, sizeof(text));
    assert_int_equal(call_write_request(r.calls, 0, &d, SIP_BYE, CALL_CALLEE, &b, &hop), ERR_STALE);
    d.callee_tag = SLICE("gone");
    assert_int_equal(call_write_request(r.calls, r.call, &d, SIP_BYE, CALL_CALLEE, &b, &hop),
                     ERR_STALE);
    rig_fini(&r);
}

/* --- the list --- */

static struct rows rows;

/* All, in parts of `n` places. */
static void list(struct rig *r, unsigned n)
{
    const struct row_sink sink = rows_begin(&rows);
    uint32_t at = 0;
    while (calls_rows_some(r->calls, r->now, &at, n, &sink)) {
    }
}

static void listed(void **state)
{
    (void)state;
    struct rig r;
    call_with(&r, "", "");
    list(&r, 100);
    assert_true(rows_have(&rows, "call call_id=one state=answered dn=200 "));
    rig_wait(&r, 5000);
    rig_request(&r, request_of("one", CALL_CALLER, "ACK", 7, "b", ""));
    rig_wait(&r, 2000);
    list(&r, 100);
    assert_int_equal(rows.n, 1);
    assert_string_equal(rows.text,
                        "call call_id=one state=established dn=200 caller=10.0.0.1:40001 "
                        "callee=10.0.0.2:5060 age_ms=7000 idle_ms=2000 from=sip:alice@example.com "
                        "to=sip:200@example.com "
                        "caller_transport=tcp caller_connection=000000000000000b "
                        "callee_transport=tcp callee_connection=0000000000000016\n");
    rig_begin(&r, "two", "");
    list(&r, 100);
    assert_int_equal(rows.n, 2);
    assert_true(rows_have(&rows, "call call_id=two state=calling dn=\"\" caller="));
    assert_true(rows_have(&rows, " callee=\"\" age_ms=0 idle_ms=0 "));
    assert_true(rows_have(&rows, " callee_transport=\"\" callee_connection=\"\"\n"));
    call_on_answer(r.calls, r.call, answer_of("two", 180, "x", ""), &(struct flow_dest){0},
                   SLICE_NONE, r.now);
    call_on_answer(r.calls, r.call, answer_of("two", 180, "y", ""), &(struct flow_dest){0},
                   SLICE_NONE, r.now);
    list(&r, 1);
    assert_int_equal(rows.n, 3); /* a row for each dialog */
    assert_true(rows_have(&rows, "call call_id=two state=early "));
    rig_fini(&r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(bye_to_the_callee),
        cmocka_unit_test(bye_to_the_caller),
        cmocka_unit_test(our_own_request_is_found_again),
        cmocka_unit_test(ack_of_ours),
        cmocka_unit_test(route_sets),
        cmocka_unit_test(own_values_by_their_address),
        cmocka_unit_test(the_2xx_recomputes_the_route_set),
        cmocka_unit_test(strict_router_first),
        cmocka_unit_test(contacts_that_are_no_request_uri),
        cmocka_unit_test(caller_without_contact),
        cmocka_unit_test(stale_or_too_small),
        cmocka_unit_test(listed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
