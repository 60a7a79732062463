/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "sip/method.h"
#include "sip/scan.h"

static void every_method_finds_itself(void **state)
{
    (void)state;
    for (unsigned m = SIP_UNKNOWN + 1; m < SIP_METHOD_COUNT; m++) {
        struct slice text = sip_method_text(m);
        char copy[16];
        assert_true(text.len > 2);
        assert_int_equal(sip_method_of(text), m);
        assert_int_equal(sip_method_of(slice_of(text.ptr, text.len - 1)), SIP_UNKNOWN);
        for (size_t i = 0; i < text.len; i++) {
            memcpy(copy, text.ptr, text.len);
            copy[i] |= 0x20; /* methods are case-sensitive */
            assert_int_equal(sip_method_of(slice_of(copy, text.len)), SIP_UNKNOWN);
        }
    }
    assert_int_equal(sip_method_of(SLICE("")), SIP_UNKNOWN);
    assert_int_equal(sip_method_of(SLICE("INVITEE")), SIP_UNKNOWN);
    assert_int_equal(sip_method_text(SIP_UNKNOWN).len, 0);
    assert_int_equal(sip_method_text(SIP_METHOD_COUNT).len, 0);
}

static void every_header_finds_itself(void **state)
{
    (void)state;
    for (unsigned id = SIP_H_OTHER + 1; id < SIP_H_COUNT; id++) {
        struct slice name = sip_hdr_name(id);
        char copy[SCAN_NAME_MAX];
        assert_in_range(name.len, 2, SCAN_NAME_MAX);
        assert_int_equal(sip_hdr_of(name), id);
        for (size_t i = 0; i < name.len; i++)
            copy[i] = ascii_lower(name.ptr[i]);
        assert_int_equal(sip_hdr_of(slice_of(copy, name.len)), id);
        for (size_t i = 0; i < name.len; i++)
            copy[i] = (char)(copy[i] >= 'a' && copy[i] <= 'z' ? copy[i] - 0x20 : copy[i]);
        assert_int_equal(sip_hdr_of(slice_of(copy, name.len)), id);
        if (name.len > 2) /* "T" is To */
            assert_int_equal(sip_hdr_of(slice_of(name.ptr, name.len - 1)), SIP_H_OTHER);
    }
    assert_int_equal(sip_hdr_name(SIP_H_OTHER).len, 0);
    assert_int_equal(sip_hdr_name(SIP_H_COUNT).len, 0);
}

/* A name that differs in one character is another name, whatever the character. */
static void a_hash_is_not_enough(void **state)
{
    (void)state;
    for (unsigned id = SIP_H_OTHER + 1; id < SIP_H_COUNT; id++) {
        struct slice name = sip_hdr_name(id);
        for (size_t i = 0; i < name.len; i++) {
            for (unsigned c = 0; c < 256; c++) {
                char copy[SCAN_NAME_MAX];
                memcpy(copy, name.ptr, name.len);
                copy[i] = (char)c;
                bool same = ascii_lower((char)c) == ascii_lower(name.ptr[i]);
                enum sip_hdr_id found = sip_hdr_of(slice_of(copy, name.len));
                if (same)
                    assert_int_equal(found, id);
                else
                    assert_int_not_equal(found, id);
            }
        }
    }
}

static void compact_forms(void **state)
{
    static const struct {
        char letter;
        enum sip_hdr_id id;
    } forms[] = {
        {'v', SIP_H_VIA},
        {'f', SIP_H_FROM},
        {'t', SIP_H_TO},
        {'i', SIP_H_CALL_ID},
        {'m', SIP_H_CONTACT},
        {'l', SIP_H_CONTENT_LENGTH},
        {'k', SIP_H_SUPPORTED},
        {'c', SIP_H_CONTENT_TYPE},
        {'s', SIP_H_SUBJECT},
        {'o', SIP_H_EVENT},
        {'x', SIP_H_SESSION_EXPIRES},
        {'r', SIP_H_REFER_TO},
    };
    enum sip_hdr_id expected[256] = {0};
    (void)state;
    for (unsigned i = 0; i < sizeof(forms) / sizeof(forms[0]); i++) {
        expected[(unsigned char)forms[i].letter] = forms[i].id;
        expected[(unsigned char)(forms[i].letter - 0x20)] = forms[i].id;
    }
    for (unsigned c = 0; c < 256; c++) {
        char letter = (char)c;
        assert_int_equal(sip_hdr_of(slice_of(&letter, 1)), expected[c]);
    }
    assert_int_equal(sip_hdr_of(SLICE("")), SIP_H_OTHER);
    assert_int_equal(sip_hdr_of(SLICE("Proxy-Authentication-Information")), SIP_H_OTHER);
}

static void reason_phrases(void **state)
{
    (void)state;
    assert_true(slice_eq(sip_reason_text(100), SLICE("Trying")));
    assert_true(slice_eq(sip_reason_text(180), SLICE("Ringing")));
    assert_true(slice_eq(sip_reason_text(430), SLICE("Flow Failed")));
    assert_true(slice_eq(sip_reason_text(608), SLICE("Rejected")));
    assert_true(slice_eq(sip_reason_text(199), SLICE("Early Dialog Terminated")));
    assert_true(slice_eq(sip_reason_text(299), SLICE("Success")));
    assert_true(slice_eq(sip_reason_text(499), SLICE("Client Failure")));
    assert_true(slice_eq(sip_reason_text(699), SLICE("Global Failure")));
    for (unsigned status = 0; status < 1000; status++)
        assert_true(sip_reason_text(status).len > 0);
}

static void transports(void **state)
{
    (void)state;
    for (unsigned t = 0; t < SIP_TRANSPORT_COUNT; t++) {
        assert_int_equal(sip_transport_of(sip_transport_via(t)), t);
        assert_int_equal(sip_transport_is_reliable(t), t != SIP_UDP);
        assert_int_equal(sip_transport_port(t), t == SIP_TLS || t == SIP_WSS ? 5061 : 5060);
    }
    assert_int_equal(sip_transport_of(SLICE("tcp")), SIP_TCP);
    assert_int_equal(sip_transport_of(SLICE("Wss")), SIP_WSS);
    assert_int_equal(sip_transport_of(SLICE("sctp")), SIP_TRANSPORT_NONE);
    assert_int_equal(sip_transport_of(SLICE("")), SIP_TRANSPORT_NONE);
    assert_true(slice_eq(sip_transport_param(SIP_WSS), SLICE("ws")));
    assert_true(slice_eq(sip_transport_param(SIP_TLS), SLICE("tls")));
    assert_int_equal(sip_transport_via(SIP_TRANSPORT_NONE).len, 0);
    assert_int_equal(sip_transport_param(SIP_TRANSPORT_NONE).len, 0);
}

/* Both paths of the scanner, and a walk byte by byte, find the same place at every alignment. */
static void scanning(void **state)
{
    char text[96];
    uint32_t seed = 1;
    (void)state;
    for (unsigned round = 0; round < 20000; round++) {
        static const char alphabet[] = "abl\r\nc\n\x8d\x8a";
        for (size_t i = 0; i < sizeof(text); i++) {
            seed = seed * 1664525 + 1013904223;
            text[i] = (seed >> 24) % 16 == 0 ? alphabet[(seed >> 16) % 9] : 'z';
        }
        const char *p = text + (seed >> 8) % 20, *end = text + sizeof(text) - (seed >> 12) % 20;
        const char *plain = p;
        while (plain < end && *plain != '\r' && *plain != '\n')
            plain++;
        assert_ptr_equal(scan_eol(p, end), plain);
        assert_ptr_equal(scan_either_portable(p, end, '\r', '\n'), plain);
        for (plain = p; plain < end; plain++) {
            if (end - plain > 2 && plain[0] == '\n' && plain[2] == '\n')
                break;
        }
        assert_ptr_equal(scan_lf_pair(p, end), plain);
        for (plain = p; plain < end; plain++) {
            if (end - plain > 1 && plain[0] == '\n' && (plain[1] == 'c' || plain[1] == 'l'))
                break;
        }
        assert_ptr_equal(scan_length_line(p, end), plain);
    }
}

static const char *plain_scan(const char *p, const char *end, const char *stops, bool low)
{
    while (p < end && (*p == '\0' || strchr(stops, *p) == NULL) &&
           !(low && (unsigned char)*p <= ' '))
        p++;
    return p;
}

/* Every length, with the character searched for at every place and before the beginning. */
static void scanning_for_classes(void **state)
{
    static const char all[] = "\t ,\"<(>\x7f\x80z\r\xa0;";
    char text[64];
    (void)state;
    for (size_t len = 0; len <= 60; len++) {
        for (size_t at = 0; at <= len; at++) {
            for (size_t c = 0; c < sizeof(all); c++) { /* the NUL too */
                const char *p = text + 2, *end = p + len;
                memset(text, 'x', sizeof(text));
                text[1] = text[0] = text[at + 2] = all[c];
                *(char *)(uintptr_t)end = all[c];
                assert_ptr_equal(scan_word_end(p, end), plain_scan(p, end, "\x7f", true));
                assert_ptr_equal(scan_uri_end(p, end), plain_scan(p, end, "<>\"\x7f", true));
                assert_ptr_equal(scan_list_stop(p, end), plain_scan(p, end, ",\"<(", false));
                assert_ptr_equal(scan_eol(p, end), plain_scan(p, end, "\r\n", false));
            }
        }
    }
}

static void numbers(void **state)
{
    uint32_t n = 7;
    (void)state;
    static const char digits[] = "0002147483648";
    assert_true(scan_u32(digits, digits + 12, INT32_MAX, &n));
    assert_int_equal(n, 214748364);
    assert_false(scan_u32(digits, digits + 13, INT32_MAX, &n));
    assert_false(scan_u32(digits, digits, 10, &n));
    static const char mixed[] = "1a";
    assert_false(scan_u32(mixed, mixed + 2, 100, &n));
    assert_int_equal(n, 214748364);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_method_finds_itself),
        cmocka_unit_test(every_header_finds_itself),
        cmocka_unit_test(a_hash_is_not_enough),
        cmocka_unit_test(compact_forms),
        cmocka_unit_test(reason_phrases),
        cmocka_unit_test(transports),
        cmocka_unit_test(scanning),
        cmocka_unit_test(numbers),
        cmocka_unit_test(scanning_for_classes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
