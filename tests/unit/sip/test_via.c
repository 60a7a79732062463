/* SPDX-License-Identifier: Apache-2.0 */
#include "sip/uri.h"

#include "check.h"
#include "sip/received.h"

static struct sip_via parse(const char *text)
{
    struct sip_via v;
    if (sip_via_parse(slice_str(text), &v) != 0)
        fail_msg("refused: '%s'", text);
    return v;
}

static void all_parts(void **state)
{
    (void)state;
    struct sip_via v = parse(" SIP/2.0/tcp host.example.com:5062 ;branch=z9hG4bK77;RPORT=2055;alias"
                             ";received=192.0.2.207;maddr=224.2.0.1;ttl=16;x=\"y;z\" ");
    assert_slice(v.text, "SIP/2.0/tcp host.example.com:5062 ;branch=z9hG4bK77;RPORT=2055;alias"
                         ";received=192.0.2.207;maddr=224.2.0.1;ttl=16;x=\"y;z\"");
    assert_int_equal(v.transport, SIP_TCP);
    assert_slice(v.transport_text, "tcp");
    assert_slice(v.host, "host.example.com");
    assert_int_equal(v.port, 5062);
    assert_slice(v.branch, "z9hG4bK77");
    assert_true(v.has_rport);
    assert_int_equal(v.rport, 2055);
    assert_true(v.has_alias);
    assert_slice(v.received, "192.0.2.207");
    assert_slice(v.maddr, "224.2.0.1");
    assert_int_equal(v.params.ptr[0], 'b');
}

static void least_parts(void **state)
{
    (void)state;
    struct sip_via v = parse("SIP/2.0/UDP h");
    assert_int_equal(v.transport, SIP_UDP);
    assert_slice(v.host, "h");
    assert_int_equal(v.port, 0);
    assert_slice(v.branch, "");
    assert_slice(v.params, "");
    assert_false(v.has_rport);
    assert_false(v.has_alias);
    /* RFC 3581 section 3: the request for it has no value */
    v = parse("SIP/2.0/UDP h;rport;branch=z");
    assert_true(v.has_rport);
    assert_int_equal(v.rport, 0);
}

/* RFC 4475 3.1.1.1, 3.1.1.10: blanks and folds wherever the grammar has them, unknown transports.
 */
static void blanks_and_transports(void **state)
{
    (void)state;
    struct sip_via v = parse("SIP  /   2.0\r\n /UDP\r\n    192.0.2.2;branch=390skdjuw");
    assert_int_equal(v.transport, SIP_UDP);
    assert_slice(v.host, "192.0.2.2");
    assert_slice(v.branch, "390skdjuw");
    v = parse("SIP  / 2.0  / TCP     spindle.example.com   ;\r\n  branch  =   z9hG4bK9ikj8");
    assert_slice(v.branch, "z9hG4bK9ikj8");
    v = parse("SIP/2.0/UDP first.example.com: 4000;ttl=16");
    assert_int_equal(v.port, 4000);
    v = parse("SIP/2.0/UDP h : 4000 ;a");
    assert_int_equal(v.port, 4000);
    v = parse("SIP/2.0/SCTP t2.example.com;branch=z9hG4bKkl");
    assert_int_equal(v.transport, SIP_TRANSPORT_NONE);
    assert_slice(v.transport_text, "SCTP");
    v = parse("SIP/7.0/UDP c.example.com");
    assert_slice(v.host, "c.example.com");
    v = parse("SIP/2.0/WSS df7jal23ls0d.invalid;branch=z9hG4bK56");
    assert_int_equal(v.transport, SIP_WSS);
    v = parse("SIP/2.0/TCP h;branch=z9hG4bK-.!%66*_+`'~");
    assert_slice(v.branch, "z9hG4bK-.!%66*_+`'~");
}

/* RFC 5118 4.5, 4.7, 4.9. */
static void ipv6(void **state)
{
    (void)state;
    struct sip_via v =
        parse("SIP/2.0/UDP [2001:db8::9:1]:6050;received=[2001:db8::9:255];branch=z9hG4bKas3");
    assert_slice(v.host, "[2001:db8::9:1]");
    assert_int_equal(v.port, 6050);
    assert_slice(v.received, "[2001:db8::9:255]");
    v = parse("SIP/2.0/UDP [2001:db8::9:1];received=2001:db8::9:255;branch=z9hG4bKas3");
    assert_int_equal(v.port, 0);
    assert_slice(v.received, "2001:db8::9:255");
    assert_slice(v.branch, "z9hG4bKas3");
    v = parse("SIP/2.0/UDP [::ffff:192.0.2.10]:19823;branch=z9hG4bKbh19");
    assert_slice(v.host, "[::ffff:192.0.2.10]");
}

static void first_branch_counts(void **state)
{
    (void)state;
    struct sip_via v = parse("SIP/2.0/UDP h;branch=one;branch=two;rport=1;rport=2");
    assert_slice(v.branch, "one");
    assert_int_equal(v.rport, 1);
}

/* What is usual is taken whole; what only looks like it is not. */
static void usual_parameters(void **state)
{
    (void)state;
    struct sip_via v = parse("SIP/2.0/UDP h;branch=z9hG4bKa;rport;oc;oc-algo=\"loss\"");
    assert_slice(v.branch, "z9hG4bKa");
    assert_slice(v.rport_text, "rport");
    assert_true(v.has_rport && v.rport == 0 && !v.has_oc);
    v = parse("SIP/2.0/UDP h;oc;oc-algo=\"loss\" ; rport = 7;BRANCH=b ");
    assert_slice(v.branch, "b");
    assert_slice(v.rport_text, "rport = 7");
    assert_int_equal(v.rport, 7);
    v = parse("SIP/2.0/UDP h;branch=x ;rports;oc;oc-algo=\"loss\";oc=20");
    assert_slice(v.branch, "x");
    assert_true(!v.has_rport && v.rport_text.len == 0 && v.has_oc);
    assert_true(parse("SIP/2.0/UDP h;OC=0").has_oc);
    assert_int_equal(parse("SIP/2.0/UDP h;rport;rport=2").rport_text.len, 0);
    assert_int_equal(parse("SIP/2.0/UDP h;rport=1;rport").rport_text.len, 0);
}

static void check_received(const char *via, const char *expected)
{
    char text[256];
    struct sip_msg m = {.via = parse(via)};
    struct buf out;
    assert_int_equal(addr_parse_ip(SLICE("192.0.2.1"), 5070, &m.source), 0);
    buf_init(&out, text, sip_received_size(&m));
    if (expected == NULL)
        assert_false(sip_write_received(&out, &m));
    else
        assert_true(sip_write_received(&out, &m));
    assert_slice(buf_get(&out), expected != NULL ? expected : "");
    assert_false(out.overflow);
}

/* RFC 3261 18.2.1, RFC 3581 4. */
static void received_and_rport(void **state)
{
    (void)state;
    check_received("SIP/2.0/UDP 192.0.2.1;branch=b", NULL);
    check_received("SIP/2.0/UDP h", "SIP/2.0/UDP h;received=192.0.2.1");
    check_received("SIP/2.0/UDP h;rport", "SIP/2.0/UDP h;received=192.0.2.1;rport=5070");
    check_received("SIP/2.0/UDP 192.0.2.1;branch=b;rport;alias",
                   "SIP/2.0/UDP 192.0.2.1;branch=b;alias;received=192.0.2.1;rport=5070");
    check_received("SIP/2.0/UDP h;rport=9;x=\"rport\"",
                   "SIP/2.0/UDP h;x=\"rport\";received=192.0.2.1;rport=5070");
    check_received("SIP/2.0/UDP h ; rport ; branch=b",
                   "SIP/2.0/UDP h ;branch=b;received=192.0.2.1;rport=5070");
    check_received("SIP/2.0/UDP h;rport;a;rport=1",
                   "SIP/2.0/UDP h;a;received=192.0.2.1;rport=5070");
    check_received("SIP/2.0/UDP h;received=9.9.9.9;rport;a",
                   "SIP/2.0/UDP h;a;received=192.0.2.1;rport=5070");
    check_received("SIP/2.0/UDP 192.0.2.1;received=9.9.9.9", "SIP/2.0/UDP 192.0.2.1");
    check_received("SIP/2.0/UDP h;received=9.9.9.9", "SIP/2.0/UDP h;received=192.0.2.1");
}

static void refused(void **state)
{
    (void)state;
    const char *bad[] = {
        "",
        "SIP",
        "SIP/2.0",
        "SIP/2.0/UDP",
        "SIP/2.0/UDP ",
        "SIP/2.0/ h",
        "/2.0/UDP h",
        "SIP//UDP h",
        "SIP/2.0/UDPh",
        "SIP/2.0/UDP[::1]",
        "SIP 2.0 UDP h",
        "SIP/2.0/UDP h h",
        "SIP/2.0/UDP h,",
        "SIP/2.0/UDP h;",
        "SIP/2.0/UDP h;;",
        "SIP/2.0/UDP 192.0.2.15;;,;,,",
        "SIP/2.0/UDP h;branch",
        "SIP/2.0/UDP h;branch=",
        "SIP/2.0/UDP h;branch=\"x\"",
        "SIP/2.0/UDP h;branch=a/b",
        "SIP/2.0/UDP h;rport=0",
        "SIP/2.0/UDP h;rport=x",
        "SIP/2.0/UDP h;rport=65536",
        "SIP/2.0/UDP h:",
        "SIP/2.0/UDP h:0",
        "SIP/2.0/UDP h:65536",
        "SIP/2.0/UDP h:x",
        "SIP/2.0/UDP h:50 60",
        "SIP/2.0/UDP h;received=",
        "SIP/2.0/UDP h;received",
        "SIP/2.0/UDP h;received=host",
        "SIP/2.0/UDP h;received=[1.2.3.4",
        "SIP/2.0/UDP h;maddr",
        "SIP/2.0/UDP h;maddr=a!b",
        "SIP/2.0/UDP ::1",
        "SIP/2.0/UDP [::1",
        "SIP/2.0/UDP h (comment)",
        "SIP/2.0/UDP u@h",
        "SIP/2.0/UDP h\r\n;a",
        "SIP/2.0/UDP h;a=\"",
        "SIP/2.0/UDP h;a b",
        "SIP/2.0/UDP h;oc;oc-algo=\"loss\"x",
        "SIP/2.0/UDP h;oc;oc-algo=\"loss\";",
        "SIP/2.0/UDP h;rport;",
        "SIP/2.0/UDP h;branch=x;",
    };
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        struct sip_via v;
        if (sip_via_parse(slice_str(bad[i]), &v) != ERR_PARSE)
            fail_msg("accepted: '%s'", bad[i]);
    }
}

static void every_prefix(void **state)
{
    (void)state;
    const char *text =
        "SIP / 2.0 / TCP [2001:db8::1] : 5060 ; branch = z9 ;rport;received=[::1];x=\"\\\"\"";
    for (size_t n = 0; n <= strlen(text); n++) {
        char *copy = exact_copy(text, n);
        struct sip_via v;
        int rc = sip_via_parse(slice_of(copy, n), &v);
        assert_true(rc == 0 || rc == ERR_PARSE);
        free(copy);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(all_parts),
        cmocka_unit_test(least_parts),
        cmocka_unit_test(blanks_and_transports),
        cmocka_unit_test(ipv6),
        cmocka_unit_test(first_branch_counts),
        cmocka_unit_test(usual_parameters),
        cmocka_unit_test(received_and_rport),
        cmocka_unit_test(refused),
        cmocka_unit_test(every_prefix),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
