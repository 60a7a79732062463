/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "guard.h"
#include "sip/write.h"

static struct guard guard;

static int setup(void **state)
{
    (void)state;
    guard_init(&guard, 8192);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    guard_fini(&guard);
    return 0;
}

struct parsed {
    struct sip_msg m;
    struct sip_hdr hdrs[SIP_HDRS_MAX];
    struct sip_fault fault;
};

static int parse(struct parsed *p, struct slice bytes)
{
    return sip_msg_parse(&p->m, bytes.ptr, bytes.len, false, p->hdrs, SIP_HDRS_MAX, NULL,
                         &p->fault);
}

#define TEXT_IS(slice_, literal)                            \
    do {                                                    \
        struct slice t_ = (slice_), want_ = SLICE(literal); \
        if (!slice_eq(t_, want_))                           \
            fail_msg("got:\n%.*s", SLICE_ARG(t_));          \
    } while (0)

#define INVITE                                                                            \
    "INVITE sip:b@example.com;x=1 SIP/2.0\r\n"                                            \
    "v: SIP/2.0/UDP 192.0.2.1;branch=z9hG4bK1, SIP/2.0/TCP 192.0.2.2;branch=z9hG4bK2\r\n" \
    "Route: <sip:r1;lr>, <sip:r2;lr>\r\n"                                                 \
    "From:\r\n <sip:a@example.com>;tag=1\r\n"                                             \
    "Max-Forwards: 12\r\n"                                                                \
    "t : <sip:b@example.com> \r\n"                                                        \
    "Route: <sip:r3;lr>\r\n"                                                              \
    "Via: SIP/2.0/TCP 192.0.2.3;branch=z9hG4bK3\r\n"                                      \
    "i: call@1\r\n"                                                                       \
    "Timestamp: 54\r\n"                                                                   \
    "CSeq: 007 INVITE\r\n"                                                                \
    "Content-Length: 4\r\n\r\nbody"

#define VIAS                                                                              \
    "v: SIP/2.0/UDP 192.0.2.1;branch=z9hG4bK1, SIP/2.0/TCP 192.0.2.2;branch=z9hG4bK2\r\n" \
    "Via: SIP/2.0/TCP 192.0.2.3;branch=z9hG4bK3\r\n"
#define FROM "From:\r\n <sip:a@example.com>;tag=1\r\n"

static void responses(void **state)
{
    char room[2048];
    struct buf out;
    struct parsed p;
    (void)state;
    assert_int_equal(parse(&p, SLICE(INVITE)), 0);

    buf_init(&out, room, sizeof(room));
    assert_int_equal(
        sip_write_response(&out, &p.m, 100, SLICE_NONE, SLICE_NONE, SLICE_NONE, SLICE_NONE), 0);
    TEXT_IS(buf_get(&out), "SIP/2.0 100 Trying\r\n" VIAS FROM
                           "t : <sip:b@example.com> \r\ni: call@1\r\nCSeq: 007 INVITE\r\n"
                           "Timestamp: 54\r\nContent-Length: 0\r\n\r\n");

    buf_init(&out, room, sizeof(room));
    assert_int_equal(sip_write_response(&out, &p.m, 480, SLICE("Gone Fishing"), SLICE("t2"),
                                        SLICE("Retry-After: 5\r\nX: y\r\n"), SLICE("hello")),
                     0);
    TEXT_IS(buf_get(&out), "SIP/2.0 480 Gone Fishing\r\n" VIAS FROM
                           "t : <sip:b@example.com>;tag=t2\r\ni: call@1\r\nCSeq: 007 INVITE\r\n"
                           "Retry-After: 5\r\nX: y\r\nContent-Length: 5\r\n\r\nhello");
}

/* A request that has a tag keeps it. */
static void response_in_a_dialog(void **state)
{
    char room[1024];
    struct buf out;
    struct parsed p;
    (void)state;
    assert_int_equal(parse(&p, SLICE("BYE sip:b@example.com SIP/2.0\r\n"
                                     "Via: SIP/2.0/TCP 192.0.2.3;branch=z9hG4bK3\r\n"
                                     "From: <sip:a@b.com>;tag=1\r\nTo: sip:b@b.com;tag=2\r\n"
                                     "Call-ID: c\r\nTimestamp: 1\r\nCSeq: 2 BYE\r\n\r\n")),
                     0);
    buf_init(&out, room, sizeof(room));
    assert_int_equal(
        sip_write_response(&out, &p.m, 481, SLICE_NONE, SLICE("new"), SLICE_NONE, SLICE_NONE), 0);
    TEXT_IS(buf_get(&out), "SIP/2.0 481 Call/Transaction Does Not Exist\r\n"
                           "Via: SIP/2.0/TCP 192.0.2.3;branch=z9hG4bK3\r\n"
                           "From: <sip:a@b.com>;tag=1\r\nTo: sip:b@b.com;tag=2\r\n"
                           "Call-ID: c\r\nCSeq: 2 BYE\r\nContent-Length: 0\r\n\r\n");
}

/* What a bad request has is in its answer; what it has twice is there once. */
static void response_to_a_bad_request(void **state)
{
    char room[1024];
    struct buf out;
    struct parsed p;
    (void)state;
    assert_int_equal(parse(&p, SLICE("BYE <sip:b@example.com> SIP/2.0\r\nNonsense\r\n"
                                     "Via: SIP/2.0/TCP 192.0.2.3;branch=z9hG4bK3\r\n"
                                     "From: <sip:a@b.com>;tag=1\r\nTo: \"sip:b@b.com\r\n"
                                     "From: <sip:x@b.com>;tag=7\r\nCSeq: x\r\n\r\n")),
                     ERR_PARSE);
    assert_true(p.fault.has_via);
    buf_init(&out, room, sizeof(room));
    assert_int_equal(sip_write_response(&out, &p.m, p.fault.status, slice_str(p.fault.reason),
                                        SLICE("new"), SLICE_NONE, SLICE_NONE),
                     0);
    TEXT_IS(buf_get(&out), "SIP/2.0 400 Bad Request-URI\r\n"
                           "Via: SIP/2.0/TCP 192.0.2.3;branch=z9hG4bK3\r\n"
                           "From: <sip:a@b.com>;tag=1\r\nTo: \"sip:b@b.com;tag=new\r\n"
                           "CSeq: x\r\nContent-Length: 0\r\n\r\n");
}

static void ack_and_cancel(void **state)
{
    char room[2048];
    struct buf out;
    struct parsed p, r;
    (void)state;
    assert_int_equal(parse(&p, SLICE(INVITE)), 0);
    assert_int_equal(
        parse(&r, SLICE("SIP/2.0 486 Busy Here\r\n" VIAS "From: <sip:a@example.com>;tag=1\r\n"
                        "To: <sip:b@example.com>;tag=99\r\ni: call@1\r\n"
                        "CSeq: 7 INVITE\r\n\r\n")),
        0);
    buf_init(&out, room, sizeof(room));
    assert_int_equal(sip_write_ack(&out, &p.m, &r.m), 0);
    TEXT_IS(buf_get(&out), "ACK sip:b@example.com;x=1 SIP/2.0\r\n"
                           "Via: SIP/2.0/UDP 192.0.2.1;branch=z9hG4bK1\r\n"
                           "Route: <sip:r1;lr>, <sip:r2;lr>\r\nRoute: <sip:r3;lr>\r\n"
                           "Max-Forwards: 70\r\n" FROM "To: <sip:b@example.com>;tag=99\r\n"
                           "i: call@1\r\nCSeq: 7 ACK\r\nContent-Length: 0\r\n\r\n");
    struct parsed again;
    assert_int_equal(parse(&again, buf_get(&out)), 0);
    assert_int_equal(again.m.method, SIP_ACK);

    buf_init(&out, room, sizeof(room));
    assert_int_equal(sip_write_cancel(&out, &p.m, SLICE("Reason: SIP;cause=200\r\n")), 0);
    TEXT_IS(buf_get(&out), "CANCEL sip:b@example.com;x=1 SIP/2.0\r\n"
                           "Via: SIP/2.0/UDP 192.0.2.1;branch=z9hG4bK1\r\n"
                           "Route: <sip:r1;lr>, <sip:r2;lr>\r\nRoute: <sip:r3;lr>\r\n"
                           "Max-Forwards: 70\r\n" FROM "t : <sip:b@example.com> \r\n"
                           "i: call@1\r\nCSeq: 7 CANCEL\r\nReason: SIP;cause=200\r\n"
                           "Content-Length: 0\r\n\r\n");
    assert_int_equal(parse(&again, buf_get(&out)), 0);
    assert_int_equal(again.m.method, SIP_CANCEL);
}

/* Every size of the room that is too small, with the unreadable page behind it. */
static void no_room(void **state)
{
    struct parsed p;
    struct buf out;
    size_t whole[3];
    (void)state;
    assert_int_equal(parse(&p, SLICE(INVITE)), 0);
    for (unsigned kind = 0; kind < 3; kind++) {
        whole[kind] = 2048;
        for (size_t cap = 2048; cap <= 2048; cap--) {
            int rc;
            buf_init(&out, guard_end(&guard, NULL, 0) - cap, cap);
            if (kind == 0)
                rc = sip_write_response(&out, &p.m, 200, SLICE_NONE, SLICE("t"), SLICE("A: b\r\n"),
                                        SLICE("body"));
            else if (kind == 1)
                rc = sip_write_ack(&out, &p.m, &p.m);
            else
                rc = sip_write_cancel(&out, &p.m, SLICE("A: b\r\n"));
            if (cap == 2048)
                whole[kind] = out.len;
            assert_int_equal(rc, cap >= whole[kind] ? 0 : ERR_FULL);
            assert_true(out.len <= cap);
        }
    }
}

static void branches(void **state)
{
    static const uint64_t ids[] = {0, 1, 0x0100000500000007, UINT64_MAX};
    char room[64];
    struct buf out;
    uint64_t id;
    uint32_t loop;
    (void)state;
    for (unsigned i = 0; i < 4; i++) {
        buf_init(&out, room, sizeof(room));
        sip_branch_write(&out, ids[i], (uint32_t)ids[i] ^ 0xdeadbeef);
        assert_int_equal(out.len, SIP_BRANCH_LEN);
        assert_int_equal(sip_branch_parse(buf_get(&out), &id, &loop), 0);
        assert_true(id == ids[i]);
        assert_int_equal(loop, (uint32_t)ids[i] ^ 0xdeadbeef);
        assert_true(sip_branch_is_3261(buf_get(&out)));
        assert_int_equal(sip_branch_parse(slice_of(room, SIP_BRANCH_LEN - 1), &id, &loop),
                         ERR_NOT_FOUND);
        room[SIP_BRANCH_LEN] = '0';
        assert_int_equal(sip_branch_parse(slice_of(room, SIP_BRANCH_LEN + 1), &id, &loop),
                         ERR_NOT_FOUND);
    }
    for (unsigned i = 0; i < SIP_BRANCH_LEN; i++) {
        buf_init(&out, room, sizeof(room));
        sip_branch_write(&out, 0x0123456789abcdef, 0x01234567);
        room[i] = room[i] == 'h' ? 'g' : 'h';
        id = 5;
        assert_int_equal(sip_branch_parse(buf_get(&out), &id, &loop), ERR_NOT_FOUND);
        assert_true(id == 5);
    }
}

static void magic_cookie(void **state)
{
    (void)state;
    assert_true(sip_branch_is_3261(SLICE("z9hG4bKa")));
    assert_false(sip_branch_is_3261(SLICE("z9hG4bK")));
    assert_false(sip_branch_is_3261(SLICE("z9hG4b")));
    assert_false(sip_branch_is_3261(SLICE("")));
    assert_false(sip_branch_is_3261(SLICE("390skdjuw")));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(responses),
        cmocka_unit_test(response_in_a_dialog),
        cmocka_unit_test(response_to_a_bad_request),
        cmocka_unit_test(ack_and_cancel),
        cmocka_unit_test(no_room),
        cmocka_unit_test(branches),
        cmocka_unit_test(magic_cookie),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
