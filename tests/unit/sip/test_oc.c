/* SPDX-License-Identifier: Apache-2.0 */
/* RFC 7339 section 4. */
#include "sip/oc.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "sip/uri.h"

static bool parse(const char *params, struct sip_oc *oc)
{
    return sip_oc_parse(slice_str(params), oc);
}

static void test_request(void **state)
{
    struct sip_oc oc;
    (void)state;
    assert_true(parse("branch=z9hG4bK1;oc;oc-algo=\"loss\"", &oc));
    assert_false(oc.has_value);
    assert_true(oc.is_loss);
    assert_true(parse("branch=z9hG4bK1;oc;oc-algo=\"rate,loss\"", &oc));
    assert_true(oc.is_loss);
    assert_true(parse("OC;OC-Algo=\"LOSS\"", &oc));
    assert_true(oc.is_loss);
    assert_true(parse("oc;oc-algo=\"rate\"", &oc));
    assert_false(oc.is_loss);
    assert_false(parse("branch=z9hG4bK1;rport", &oc));
    assert_false(parse("", &oc));
    assert_false(parse("ocean=1;oc-algo=\"loss\"", &oc));
}

static void test_response(void **state)
{
    struct sip_oc oc;
    (void)state;
    assert_true(parse("branch=z9hG4bK1;received=192.0.2.1;oc=20;oc-algo=\"loss\";oc-validity=1000;"
                      "oc-seq=1282321615.782",
                      &oc));
    assert_true(oc.has_value);
    assert_int_equal(oc.loss, 20);
    assert_int_equal(oc.validity_ms, 1000);
    assert_int_equal(oc.seq, 128232161578200);
    assert_true(parse("oc=0;oc-validity=0", &oc));
    assert_int_equal(oc.validity_ms, 0);
    assert_int_equal(oc.seq, 0);
    assert_true(parse("oc=100", &oc)); /* half a second where nothing is said */
    assert_int_equal(oc.validity_ms, 500);
    assert_true(parse("oc=1;oc-seq=1.00001", &oc));
    assert_int_equal(oc.seq, 100001);
}

/* What is not the grammar is as if it were not there. */
static void test_nonsense(void **state)
{
    static const char *const bad[] = {
        "oc=101",
        "oc=-1",
        "oc=x",
        "oc=\"20\"",
        "oc=20;oc-seq=1",
        "oc=20;oc-seq=.5",
        "oc=20;oc-seq=1.",
        "oc=20;oc-seq=a.1",
        "oc=20;oc-seq=1.123456",
        "oc=20;oc-seq=1.x",
        "oc=20;oc-validity=x",
        "oc=20;oc-validity=99999999999",
        "oc=20;oc-seq=1234567890123.1",
    };
    struct sip_oc oc;
    (void)state;
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        if (parse(bad[i], &oc))
            fail_msg("taken: %s", bad[i]);
}

static void write_is(const char *via, const char *want)
{
    char room[512];
    struct sip_via v;
    struct buf out;
    const struct sip_oc oc = {true, true, 35, 500, 128232161500007};
    assert_int_equal(sip_via_parse(slice_str(via), &v), 0);
    buf_init(&out, room, sizeof(room) - 1);
    sip_oc_write(&out, v.text, v.params, &oc);
    assert_false(out.overflow);
    room[out.len] = '\0';
    assert_string_equal(room, want);
    assert_int_equal(sip_via_parse(buf_get(&out), &v), 0);
    struct sip_oc back;
    assert_true(sip_oc_parse(v.params, &back));
    assert_memory_equal(&back.seq, &oc.seq, sizeof(oc.seq));
    assert_int_equal(back.loss, 35);
    assert_true(out.len <= v.text.len + SIP_OC_SIZE);
}

#define ASK ";oc=35;oc-algo=\"loss\";oc-validity=500;oc-seq=1282321615.00007"

static void test_write(void **state)
{
    (void)state;
    write_is("SIP/2.0/UDP a.example;branch=z9hG4bK1;oc;oc-algo=\"loss\"",
             "SIP/2.0/UDP a.example;branch=z9hG4bK1" ASK);
    write_is("SIP/2.0/TCP 192.0.2.1:5060 ; oc;branch=z9hG4bK1 ;oc-algo=\"rate,loss\";x=\"a;oc\"",
             "SIP/2.0/TCP 192.0.2.1:5060 ;branch=z9hG4bK1;x=\"a;oc\"" ASK);
    write_is("SIP/2.0/UDP a.example;oc=99;oc-validity=1;oc-seq=1.1", "SIP/2.0/UDP a.example" ASK);
    write_is("SIP/2.0/UDP a.example", "SIP/2.0/UDP a.example" ASK);
}

static void test_too_long(void **state)
{
    char room[40];
    struct sip_via v;
    struct buf out;
    const struct sip_oc oc = {true, true, 35, 500, 1};
    (void)state;
    assert_int_equal(sip_via_parse(SLICE("SIP/2.0/UDP a.example;oc"), &v), 0);
    buf_init(&out, room, sizeof(room));
    sip_oc_write(&out, v.text, v.params, &oc);
    assert_true(out.overflow);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_request),  cmocka_unit_test(test_response),
        cmocka_unit_test(test_nonsense), cmocka_unit_test(test_write),
        cmocka_unit_test(test_too_long),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
