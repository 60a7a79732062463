/* SPDX-License-Identifier: Apache-2.0 */
/* How much a record takes, and what happens to what does not fit. */
#include <malloc.h>

#include "base/alloc.h"
#include "help.h"

/* As phones write them: the lengths are those of devices in use. */
static const struct sip_msg *phone_invite(unsigned n)
{
    return msg_of(
        "INVITE sip:2001@pbx.example.com;user=phone SIP/2.0\r\n"
        "Via: SIP/2.0/TCP 192.168.17.42:5060;branch=z9hG4bK-524287-1---6c1d4f2e3a7b9c80;rport\r\n"
        "From: \"Alice Example\" <sip:1004@pbx.example.com>;tag=8B2B3FE4-29C31B%02x\r\n"
        "To: <sip:2001@pbx.example.com;user=phone>\r\n"
        "Call-ID: 7f3c9a52-1e0b-4d8a-b6f2-%08x@192.168.17.42\r\n"
        "CSeq: 3127 INVITE\r\nMax-Forwards: 70\r\n"
        "Contact: <sip:1004@192.168.17.42:5060;transport=tcp;ob>;+sip.instance=\"<urn:uuid:"
        "00000000-0000-1000-8000-0004f2a1b2c3>\"\r\nContent-Length: 0\r\n\r\n",
        n & 0xff, n);
}

static const struct sip_msg *phone_answer(unsigned n, unsigned status, unsigned phone)
{
    return msg_of(
        "SIP/2.0 %u Text\r\nVia: SIP/2.0/TCP 10.0.0.9;branch=z9hG4bKhf0123456789abcdef.01234567\r\n"
        "Record-Route: <sip:00112233445566778899aabbccddeeff@us:5060;transport=tcp;lr;hf-mark="
        "0123456789abcdef>, <sip:ffeeddccbbaa99887766554433221100@us:5060;transport=tcp;lr;hf-mark="
        "fedcba9876543210>\r\n"
        "From: \"Alice Example\" <sip:1004@pbx.example.com>;tag=8B2B3FE4-29C31B%02x\r\n"
        "To: <sip:2001@pbx.example.com;user=phone>;tag=c5d1a7f0%02x\r\n"
        "Call-ID: 7f3c9a52-1e0b-4d8a-b6f2-%08x@192.168.17.42\r\n"
        "CSeq: 3127 INVITE\r\nContact: <sip:2001@192.168.18.1%02u:5060;transport=tcp>\r\n"
        "Content-Length: 0\r\n\r\n",
        status, n & 0xff, phone, n, phone);
}

static uint64_t phone_begin(struct rig *r, unsigned n)
{
    struct flow_dest caller = dest_of("192.168.17.42:51324", 11);
    r->call = call_begin(r->calls, phone_invite(n), &caller, r->now);
    return r->call;
}

static void phone_answers(struct rig *r, unsigned n, unsigned status, unsigned phone)
{
    struct flow_dest callee = dest_of("192.168.18.101:5060", 22);
    call_on_answer(r->calls, r->call, phone_answer(n, status, phone), &callee, SLICE("2001"),
                   r->now);
}

static size_t heap_now(void)
{
    struct mallinfo2 info = mallinfo2();
    return info.uordblks + info.hblkhd;
}

/* What the C library has handed out, for many calls: blocks, table, pool and all. Sanitizers have
 * a heap of their own and say 0. */
static size_t bytes_of_a_call(unsigned phones, bool is_answered, unsigned *dialogs)
{
    enum { N = 2000 };
    struct rig r;
    rig_init(&r, &(struct call_conf){.max = N});
    size_t before = heap_now();
    for (unsigned n = 0; n < N; n++) {
        uint64_t call = phone_begin(&r, n);
        assert_int_not_equal(call, 0);
        for (unsigned i = 0; i < phones; i++)
            phone_answers(&r, n, 180, i);
        if (is_answered)
            phone_answers(&r, n, 200, 0);
        *dialogs = rig_dialogs(&r, call);
    }
    size_t used = heap_now() - before;
    rig_fini(&r);
    return used / N;
}

static void bytes_of_real_calls(void **state)
{
    (void)state;
    static const unsigned forks[] = {0, 1, 2, 3, 5, 20};
    for (unsigned i = 0; i < 6; i++)
        for (int answered = 0; answered < 2; answered++) {
            unsigned dialogs;
            size_t bytes = bytes_of_a_call(forks[i], answered != 0, &dialogs);
            print_message("%2u phones%s: %u dialogs, %zu bytes a call\n", forks[i],
                          answered ? ", answered" : "", dialogs, bytes);
            assert_in_range(bytes, 0, CALL_BYTES_MAX);
            if (forks[i] <= 3)
                assert_int_equal(dialogs, forks[i] == 0 ? (unsigned)answered : forks[i]);
        }
}

/* Five phones ring: what there is no room for is counted once, and the one that answers has its
 * place. */
static void five_phones(void **state)
{
    (void)state;
    struct rig r;
    struct call_dialog d;
    struct slice hop;
    int err;
    rig_init(&r, &(struct call_conf){.max = 10});
    uint64_t call = phone_begin(&r, 1);
    for (unsigned round = 0; round < 3; round++)
        for (unsigned i = 0; i < 10; i++)
            phone_answers(&r, 1, 180, i);
    unsigned early = rig_dialogs(&r, call);
    assert_in_range(early, 3, 9);
    assert_int_equal(rig_count(&r, CTR_CALLS_UNRECORDED), 1);
    phone_answers(&r, 1, 200, 9); /* was left out */
    call_on_final(r.calls, call, 200, r.now);
    unsigned confirmed = 0, last = 0;
    for (unsigned it = 0; call_next_dialog(r.calls, call, &it, &d);)
        if (d.confirmed) {
            confirmed++;
            last = it - 1;
            assert_text(d.callee_tag, "c5d1a7f009");
        }
    assert_int_equal(confirmed, 1);
    assert_int_equal(rig_count(&r, CTR_CALLS_UNRECORDED), 1);
    const struct sip_msg *bye = rig_write(&r, call, last, SIP_BYE, CALL_CALLEE, &hop, &err);
    assert_text(sip_get(bye, bye->uri), "sip:2001@192.168.18.109:5060;transport=tcp");
    /* All of them answer: those that fit are kept. */
    for (unsigned i = 0; i < 10; i++)
        phone_answers(&r, 1, 200, i);
    assert_in_range(rig_dialogs(&r, call), 3, 9);
    for (unsigned it = 0; call_next_dialog(r.calls, call, &it, &d);)
        assert_true(d.confirmed);
    rig_fini(&r);
}

/* For the sake of more dialogs the early ones do without target and route set; the 2xx brings
 * them. */
static void slim_early_dialogs(void **state)
{
    (void)state;
    struct rig r;
    struct slice hop;
    int err;
    rig_init(&r, &(struct call_conf){.max = 10});
    uint64_t call = phone_begin(&r, 1);
    phone_answers(&r, 1, 180, 0);
    assert_non_null(rig_write(&r, call, 0, SIP_BYE, CALL_CALLEE, &hop, &err));
    for (unsigned i = 1; i < 10; i++)
        phone_answers(&r, 1, 180, i);
    assert_null(rig_write(&r, call, 0, SIP_BYE, CALL_CALLEE, &hop, &err));
    assert_int_equal(err, ERR_UNSUPPORTED);
    assert_non_null(rig_write(&r, call, 0, SIP_BYE, CALL_CALLER, &hop, &err));
    phone_answers(&r, 1, 200, 0);
    const struct sip_msg *bye = rig_write(&r, call, 0, SIP_BYE, CALL_CALLEE, &hop, &err);
    assert_text(sip_get(bye, bye->uri), "sip:2001@192.168.18.100:5060;transport=tcp");
    rig_fini(&r);
}

static const char *filled(const char *before, char c, unsigned n, const char *behind)
{
    static char text[4096];
    unsigned len = (unsigned)snprintf(text, sizeof(text), "%s", before);
    memset(text + len, c, n);
    snprintf(text + len + n, sizeof(text) - len - n, "%s", behind);
    return text;
}

/* Whatever their length, messages make a record of at most CALL_BYTES_MAX or none. */
static void texts_of_any_length(void **state)
{
    (void)state;
    struct rig r;
    struct slice hop;
    int err;
    bool was_refused = false, was_cut = false;
    rig_init(&r, &(struct call_conf){.max = 10});
    for (unsigned n = 1; n < 2000; n += 7) {
        const char *contact = filled("Contact: <sip:", 'a', n, "@10.0.0.1>\r\n");
        uint64_t before = rig_count(&r, CTR_CALLS_UNRECORDED);
        if (rig_begin(&r, "one", contact) == 0) {
            was_refused = true;
            assert_int_equal(rig_count(&r, CTR_CALLS_UNRECORDED), before + 1);
        }
        call_remove(r.calls, r.call);
        rig_begin(&r, "one", "");
        before = rig_count(&r, CTR_CALLS_UNRECORDED);
        rig_answer(&r, 180, "b", contact);
        rig_answer(&r, 200, "b", contact);
        call_on_final(r.calls, r.call, 200, r.now);
        if (rig_dialogs(&r, r.call) == 0) {
            was_cut = true;
            assert_int_equal(rig_count(&r, CTR_CALLS_UNRECORDED), before + 1);
        } else {
            const struct sip_msg *bye = rig_write(&r, r.call, 0, SIP_BYE, CALL_CALLEE, &hop, &err);
            assert_int_equal(bye->uri.len, n + 13);
        }
        call_remove(r.calls, r.call);
    }
    assert_true(was_refused && was_cut);
    assert_int_equal(calls_count(r.calls), 0);
    rig_fini(&r);
}

/* A refreshed target that does not fit: the old one is better than none. */
static void refresh_that_does_not_fit(void **state)
{
    (void)state;
    struct rig r;
    struct slice hop;
    int err;
    rig_init(&r, &(struct call_conf){.max = 10});
    rig_established(&r, "one");
    const struct sip_msg *req = request_of("one", CALL_CALLER, "INVITE", 8, "b",
                                           filled("Contact: <sip:", 'a', 900, "@h>\r\n"));
    call_on_response(r.calls, r.call, req,
                     response_of("one", CALL_CALLER, "INVITE", 8, 200, "b",
                                 filled("Contact: <sip:", 'a', 1200, "@h>\r\n")),
                     r.now);
    const struct sip_msg *bye = rig_write(&r, r.call, 0, SIP_BYE, CALL_CALLER, &hop, &err);
    assert_text(sip_get(bye, bye->uri), "sip:alice@10.0.0.1:5060;transport=tcp");
    bye = rig_write(&r, r.call, 0, SIP_BYE, CALL_CALLEE, &hop, &err);
    assert_text(sip_get(bye, bye->uri), "sip:callee@10.0.0.2:5060;transport=tcp");
    rig_fini(&r);
}

static void huge_or_broken_record_route(void **state)
{
    (void)state;
    struct rig r;
    char many[4700];
    rig_init(&r, &(struct call_conf){.max = 10});
    static const char *const broken[] = {
        "Record-Route: <sip:>\r\n",
        "Record-Route: nonsense\r\n",
        "Record-Route: <tel:+12>\r\n",
        "Record-Route: <sip:p1;lr>, \r\nRecord-Route: <http://x/>\r\n",
    };
    for (unsigned i = 0; i < 4; i++)
        assert_int_equal(rig_begin(&r, "one", broken[i]), 0);
    assert_int_equal(rig_begin(&r, "one", filled("Record-Route: <sip:", 'h', 1500, ";lr>\r\n")), 0);
    assert_int_equal(rig_count(&r, CTR_CALLS_UNRECORDED), 5);
    for (unsigned i = 0; i < 4; i++) {
        char above_ours[128];
        (void)snprintf(above_ours, sizeof(above_ours), "%sRecord-Route: <sip:us;lr>\r\n",
                       broken[i]);
        rig_begin(&r, "one", "");
        rig_answer(&r, 200, "b", above_ours);
        assert_int_equal(rig_dialogs(&r, r.call), 0);
        assert_int_equal(rig_count(&r, CTR_CALLS_UNRECORDED), 6 + i);
        call_remove(r.calls, r.call);
    }
    rig_begin(&r, "one", "");
    char *at = many;
    for (unsigned i = 0; i < 150; i++)
        at += snprintf(at, 32, "Record-Route: <sip:p%u;lr>\r\n", i);
    rig_answer(&r, 200, "b", many);
    assert_int_equal(rig_dialogs(&r, r.call), 0);
    rig_fini(&r);
}

/* An early dialog that has to go while it is at hand: its caller's new way takes the room. */
static void early_dialog_gives_way_to_the_caller(void **state)
{
    (void)state;
    struct rig r;
    rig_init(&r, &(struct call_conf){.max = 10});
    uint64_t call = phone_begin(&r, 1);
    for (unsigned i = 0; i < 10; i++)
        phone_answers(&r, 1, 180, i);
    unsigned before = rig_dialogs(&r, call);
    const struct sip_msg *res = phone_answer(1, 200, 0);
    struct flow_dest far = dest_of("[2001:db8:1234:5678:9abc:def0:1234:5678]:50000", 99);
    assert_int_equal(addr_parse(SLICE("[2001:db8::9]:5060"), 0, &far.local), 0);
    const struct sip_msg *req = msg_of(
        "UPDATE sip:x SIP/2.0\r\nVia: SIP/2.0/TCP h;branch=z9hG4bKu\r\n"
        "From: <sip:1004@pbx.example.com>;tag=8B2B3FE4-29C31B01\r\nTo: <sip:x>;tag=c5d1a7f000\r\n"
        "Call-ID: %.*s\r\nCSeq: 3128 UPDATE\r\nMax-Forwards: 70\r\n"
        "Contact: <sip:%0300d@h>\r\n\r\n",
        SLICE_ARG(sip_get(res, res->call_id)), 7);
    call_on_request(r.calls, call, req, &far, r.now);
    call_on_response(r.calls, call, req,
                     msg_of("SIP/2.0 200 OK\r\nVia: SIP/2.0/TCP h;branch=z9hG4bKu\r\n"
                            "From: <sip:1004@pbx.example.com>;tag=8B2B3FE4-29C31B01\r\n"
                            "To: <sip:x>;tag=c5d1a7f000\r\nCall-ID: %.*s\r\nCSeq: 3128 UPDATE\r\n"
                            "Contact: <sip:callee@h>\r\n\r\n",
                            SLICE_ARG(sip_get(res, res->call_id))),
                     r.now);
    assert_true(rig_dialogs(&r, call) < before);
    assert_int_equal(calls_count(r.calls), 1);
    call_on_final(r.calls, call, 486, r.now);
    rig_fini(&r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(bytes_of_real_calls),
        cmocka_unit_test(five_phones),
        cmocka_unit_test(slim_early_dialogs),
        cmocka_unit_test(texts_of_any_length),
        cmocka_unit_test(refresh_that_does_not_fit),
        cmocka_unit_test(huge_or_broken_record_route),
        cmocka_unit_test(early_dialog_gives_way_to_the_caller),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
