/* SPDX-License-Identifier: Apache-2.0 */
/* The OPTIONS of a check, byte by byte where it matters: RFC 3261 8.1.1, 11.1, RFC 3327 5. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

#include "base/alloc.h"
#include "health/health_int.h"

struct made {
    struct arena_cache cache;
    struct arena arena;
    struct slice text;
    struct sip_msg msg;
    struct sip_hdr hdrs[SIP_HDRS_MAX];
    int err;
};

static void make(struct made *m, const char *uri, const char *path, const char *local,
                 enum sip_transport transport)
{
    struct sip_fault fault = {0};
    struct options o = {
        .uri = slice_str(uri),
        .path = slice_str(path),
        .transport = (uint8_t)transport,
        .client = 0x1234,
        .tag = 7,
        .call = 8,
    };
    assert_int_equal(addr_parse(slice_str(local), 0, &o.local.addr), 0);
    arena_cache_init(&m->cache, 0);
    arena_init(&m->arena, &m->cache);
    m->err = options_write(&m->arena, &o, &m->text);
    if (m->err == 0)
        assert_int_equal(sip_msg_parse(&m->msg, m->text.ptr, m->text.len, true, m->hdrs,
                                       SIP_HDRS_MAX, &sip_limits_default, &fault),
                         0);
}

static void done(struct made *m)
{
    arena_fini(&m->arena);
    arena_cache_fini(&m->cache);
}

static void test_udp(void **state)
{
    (void)state;
    struct made m;
    make(&m, "sip:a@10.0.0.2", "", "10.0.0.1:5060", SIP_UDP);
    static const char whole[] =
        "OPTIONS sip:a@10.0.0.2 SIP/2.0\r\n"
        "Via: SIP/2.0/UDP 10.0.0.1:5060;branch=z9hG4bKhf0000000000001234.00000000;rport\r\n"
        "Max-Forwards: 70\r\n"
        "From: <sip:oos-check@10.0.0.1:5060>;tag=0000000000000007\r\n"
        "To: <sip:a@10.0.0.2>\r\n"
        "Call-ID: 0000000000000008\r\n"
        "CSeq: 1 OPTIONS\r\n"
        "Contact: <sip:10.0.0.1:5060>\r\n"
        "Accept: application/sdp\r\n"
        "Content-Length: 0\r\n\r\n";
    assert_true(slice_eq(m.text, slice_str(whole)));
    done(&m);
}

static void test_streams(void **state)
{
    (void)state;
    struct made m;
    make(&m, "sip:a@h;transport=tcp", "<sip:p1;lr>, <sip:p2;lr>", "[2001:db8::1]:5070", SIP_TCP);
    assert_true(slice_starts(sip_value(&m.msg, SIP_H_VIA),
                             SLICE("SIP/2.0/TCP [2001:db8::1]:5070;branch=")));
    assert_false(m.msg.via.has_rport);
    assert_true(slice_eq(sip_value(&m.msg, SIP_H_ROUTE), SLICE("<sip:p1;lr>, <sip:p2;lr>")));
    assert_true(slice_eq(sip_value(&m.msg, SIP_H_CONTACT),
                         SLICE("<sip:[2001:db8::1]:5070;transport=tcp>")));
    assert_true(slice_eq(sip_value(&m.msg, SIP_H_TO), SLICE("<sip:a@h;transport=tcp>")));
    done(&m);
    make(&m, "sip:a@h", "", "10.0.0.1:5061", SIP_TLS);
    assert_true(slice_starts(sip_value(&m.msg, SIP_H_VIA), SLICE("SIP/2.0/TLS 10.0.0.1:5061;")));
    assert_true(
        slice_eq(sip_value(&m.msg, SIP_H_CONTACT), SLICE("<sip:10.0.0.1:5061;transport=tls>")));
    done(&m);
    /* RFC 3261 8.1.1.8. */
    make(&m, "sips:a@h", "", "10.0.0.1:5061", SIP_TLS);
    assert_true(slice_eq(sip_value(&m.msg, SIP_H_CONTACT), SLICE("<sips:10.0.0.1:5061>")));
    done(&m);
}

/* As long as a registrar takes. */
static void test_long(void **state)
{
    (void)state;
    static char uri[4096], path[4096];
    struct made m;
    snprintf(uri, sizeof(uri), "sip:%04000d@h", 1);
    snprintf(path, sizeof(path), "<sip:%04000d@h;lr>", 1);
    make(&m, uri, path, "[2001:db8:1111:2222:3333:4444:5555:6666]:65535", SIP_TLS);
    assert_int_equal(m.err, 0);
    assert_true(slice_eq(sip_get(&m.msg, m.msg.uri), slice_str(uri)));
    done(&m);
}

#ifdef HOLDFAST_FAULTS
static void test_no_memory(void **state)
{
    (void)state;
    struct made m;
    mem_fail_at(1);
    make(&m, "sip:a@h", "", "10.0.0.1:5060", SIP_UDP);
    mem_fail_at(0);
    assert_int_equal(m.err, ERR_NOMEM);
    done(&m);
}
#endif

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_udp),
        cmocka_unit_test(test_streams),
        cmocka_unit_test(test_long),
#ifdef HOLDFAST_FAULTS
        cmocka_unit_test(test_no_memory),
#endif
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
