/* SPDX-License-Identifier: Apache-2.0 */
#include "flow/stun.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

/* RFC 5769 section 2.1: a request with USERNAME, PRIORITY, ICE-CONTROLLED, MESSAGE-INTEGRITY and
 * FINGERPRINT. */
static const unsigned char sample[] = {
    0x00, 0x01, 0x00, 0x58, 0x21, 0x12, 0xa4, 0x42, 0xb7, 0xe7, 0xa7, 0x01, 0xbc, 0x34, 0xd6, 0x86,
    0xfa, 0x87, 0xdf, 0xae, 0x80, 0x22, 0x00, 0x10, 0x53, 0x54, 0x55, 0x4e, 0x20, 0x74, 0x65, 0x73,
    0x74, 0x20, 0x63, 0x6c, 0x69, 0x65, 0x6e, 0x74, 0x00, 0x24, 0x00, 0x04, 0x6e, 0x00, 0x01, 0xff,
    0x80, 0x29, 0x00, 0x08, 0x93, 0x2f, 0xf9, 0xb1, 0x51, 0x26, 0x3b, 0x36, 0x00, 0x06, 0x00, 0x09,
    0x65, 0x76, 0x74, 0x6a, 0x3a, 0x68, 0x36, 0x76, 0x59, 0x20, 0x20, 0x20, 0x00, 0x08, 0x00, 0x14,
    0x9a, 0xea, 0xa7, 0x0c, 0xbf, 0xd8, 0xcb, 0x56, 0x78, 0x1e, 0xf2, 0xb5, 0xb2, 0xd3, 0xf2, 0x49,
    0xc1, 0xb5, 0x71, 0xa2, 0x80, 0x28, 0x00, 0x04, 0xe5, 0x7a, 0x3b, 0xcf};

static const unsigned char plain[] = {0x00, 0x01, 0x00, 0x00, 0x21, 0x12, 0xa4, 0x42, 0xb7, 0xe7,
                                      0xa7, 0x01, 0xbc, 0x34, 0xd6, 0x86, 0xfa, 0x87, 0xdf, 0xae};

static char storage[STUN_ANSWER_MAX];
static struct buf out;

static int answer(const void *bytes, size_t len, const char *from)
{
    struct addr a;
    assert_int_equal(addr_parse(slice_str(from), 0, &a), 0);
    buf_init(&out, storage, sizeof(storage));
    return stun_answer((struct slice){bytes, len}, &a, &out);
}

/* The mapped addresses of RFC 5769 sections 2.2 and 2.3, which use the same transaction id. */
static void test_ipv4(void **state)
{
    static const unsigned char attr[] = {0x00, 0x20, 0x00, 0x08, 0x00, 0x01,
                                         0xa1, 0x47, 0xe1, 0x12, 0xa6, 0x43};
    (void)state;
    assert_int_equal(answer(plain, sizeof(plain), "192.0.2.1:32853"), 0);
    assert_int_equal(out.len, 32);
    assert_memory_equal(out.ptr, "\x01\x01\x00\x0c", 4);
    assert_memory_equal(out.ptr + 4, plain + 4, 16);
    assert_memory_equal(out.ptr + 20, attr, sizeof(attr));
}

static void test_ipv6(void **state)
{
    static const unsigned char attr[] = {0x00, 0x20, 0x00, 0x14, 0x00, 0x02, 0xa1, 0x47,
                                         0x01, 0x13, 0xa9, 0xfa, 0xa5, 0xd3, 0xf1, 0x79,
                                         0xbc, 0x25, 0xf4, 0xb5, 0xbe, 0xd2, 0xb9, 0xd9};
    (void)state;
    assert_int_equal(answer(plain, sizeof(plain), "[2001:db8:1234:5678:11:2233:4455:6677]:32853"),
                     0);
    assert_int_equal(out.len, 44);
    assert_memory_equal(out.ptr + 20, attr, sizeof(attr));
}

/* The sample's fingerprint is right, so it is answered; PRIORITY is not known here, so by 420; the
 * answer has a fingerprint that is right too, as it is taken for a request's. */
static void test_fingerprint_and_unknown(void **state)
{
    (void)state;
    assert_int_equal(answer(sample, sizeof(sample), "192.0.2.1:32853"), 0);
    assert_memory_equal(out.ptr, "\x01\x11", 2);
    assert_memory_equal(out.ptr + 20, "\x00\x09\x00\x15\x00\x00\x04\x14", 8);
    assert_memory_equal(out.ptr + 28, "Unknown Attribute", 17);
    assert_memory_equal(out.ptr + 48, "\x00\x0a\x00\x02\x00\x24", 6);
    assert_memory_equal(out.ptr + out.len - 8, "\x80\x28\x00\x04", 4);
    assert_int_equal((uint8_t)out.ptr[3], out.len - 20);

    char again[STUN_ANSWER_MAX];
    size_t len = out.len;
    /* Its own head and fingerprint as a request: a changed byte breaks the fingerprint. */
    memcpy(again, sample, sizeof(sample));
    again[30] ^= 1;
    assert_int_equal(answer(again, sizeof(sample), "192.0.2.1:1"), ERR_PARSE);
    assert_true(len > 60);
}

static void test_not_well_formed(void **state)
{
    unsigned char bytes[sizeof(sample)];
    (void)state;
    for (size_t len = 0; len < sizeof(sample); len++)
        assert_int_equal(answer(sample, len, "192.0.2.1:1"), ERR_PARSE);
    memcpy(bytes, plain, sizeof(plain));
    bytes[1] = 0x11; /* an indication */
    assert_true(stun_is_request((struct slice){(char *)bytes, sizeof(plain)}));
    assert_int_equal(answer(bytes, sizeof(plain), "192.0.2.1:1"), ERR_PARSE);
    assert_false(stun_is_request(SLICE("OPTIONS sip:a@b SIP/2.0\r\n")));
    assert_false(stun_is_request((struct slice){(const char *)plain, 19}));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_ipv4),
        cmocka_unit_test(test_ipv6),
        cmocka_unit_test(test_fingerprint_and_unknown),
        cmocka_unit_test(test_not_well_formed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
