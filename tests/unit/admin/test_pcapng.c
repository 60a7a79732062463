/* SPDX-License-Identifier: Apache-2.0 */
/* The capture file, block by block: lengths, headers, checksums, sequence numbers. */
#include "admin/pcapng.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/alloc.h"
#include "base/buf.h"

#define FILE_MAX  400000
#define PACKETS   32
#define BYTES_MAX 70000

struct packet {
    uint64_t time_us;
    uint32_t kept, length, flags;
    const unsigned char *bytes;
    struct slice comment;
};

static char file[FILE_MAX];
static struct buf out;
static struct packet packets[PACKETS];
static unsigned npackets;

static void put(void *user, const void *bytes, size_t len)
{
    buf_add(user, bytes, len);
    assert_false(out.overflow);
}

static struct pcapng *start(void)
{
    struct pcapng_sink sink = {put, &out};
    struct pcapng *p;
    buf_init(&out, file, sizeof(file));
    assert_int_equal(pcapng_new(&sink, &p), 0);
    return p;
}

static uint32_t word(size_t at)
{
    uint32_t value;
    assert_true(at + 4 <= out.len);
    memcpy(&value, file + at, 4);
    return value;
}

static void read_options(size_t at, size_t end, struct packet *p)
{
    for (;;) {
        uint32_t head = word(at), code = head & 0xffff, len = head >> 16;
        at += 4;
        if (code == 0)
            break;
        if (code == 2)
            p->flags = word(at);
        if (code == 1)
            p->comment = slice_of(file + at, len);
        at += (len + 3) & ~3u;
    }
    assert_int_equal(at, end);
}

/* Every block ends with its length; what is in between is what the format says. */
static void read_file(void)
{
    unsigned n = 0;
    npackets = 0;
    for (size_t at = 0, size; at < out.len; at += size, n++) {
        uint32_t type = word(at);
        size = word(at + 4);
        assert_true(size % 4 == 0 && size >= 12);
        assert_int_equal(word(at + size - 4), size);
        assert_int_equal(type, n == 0 ? 0x0a0d0d0a : n == 1 ? 1 : 6);
        if (n == 0) {
            assert_int_equal(word(at + 8), 0x1a2b3c4d);
            assert_int_equal(word(at + 12), 1);
        } else if (n == 1) {
            assert_int_equal(word(at + 8), 101);
        } else {
            assert_true(npackets < PACKETS);
            struct packet *p = &packets[npackets++];
            *p = (struct packet){.time_us = (uint64_t)word(at + 12) << 32 | word(at + 16),
                                 .kept = word(at + 20),
                                 .length = word(at + 24),
                                 .bytes = (unsigned char *)file + at + 28};
            read_options(at + 28 + ((p->kept + 3) & ~3u), at + size - 4, p);
        }
    }
    assert_true(n >= 2);
}

static unsigned two(const unsigned char *p)
{
    return (unsigned)p[0] << 8 | p[1];
}

static uint32_t four(const unsigned char *p)
{
    return two(p) << 16 | two(p + 2);
}

static uint32_t ones(const unsigned char *p, size_t len, uint32_t sum)
{
    for (size_t i = 0; i < len; i++)
        sum += i % 2 == 0 ? (uint32_t)p[i] << 8 : p[i];
    while (sum >> 16 != 0)
        sum = (sum & 0xffff) + (sum >> 16);
    return sum;
}

/* Headers and their checksums; returns where UDP or TCP begins. */
static const unsigned char *check_ip(const struct packet *p, bool is_ip6, unsigned protocol)
{
    const unsigned char *b = p->bytes;
    size_t head = is_ip6 ? 40 : 20, addresses = is_ip6 ? 32 : 8;
    assert_int_equal(b[0] >> 4, is_ip6 ? 6 : 4);
    assert_int_equal(is_ip6 ? two(b + 4) + 40 : two(b + 2), p->length);
    assert_int_equal(is_ip6 ? b[6] : b[9], protocol);
    if (!is_ip6)
        assert_int_equal(ones(b, 20, 0), 0xffff);
    if (p->kept == p->length) {
        uint32_t sum = ones(b + head - addresses, addresses, protocol + (uint32_t)(p->kept - head));
        assert_int_equal(ones(b + head, p->kept - head, sum), 0xffff);
    }
    return b + head;
}

static struct addr address(const char *text)
{
    struct addr a;
    assert_int_equal(addr_parse(slice_str(text), 0, &a), 0);
    return a;
}

static struct pcapng_packet message(const char *text, bool is_out, bool is_stream)
{
    return (struct pcapng_packet){.time_us = 0x0005f5e100012345,
                                  .is_out = is_out,
                                  .is_stream = is_stream,
                                  .local = address("192.0.2.10:5060"),
                                  .remote = address("192.0.2.1:5062"),
                                  .bytes = slice_str(text)};
}

static void test_udp(void **state)
{
    static const char *const texts[] = {"", "a", "ab", "abc", "abcd", "OPTIONS sip:a SIP/2.0\r\n"};
    (void)state;
    struct pcapng *p = start();
    read_file();
    assert_int_equal(npackets, 0);
    for (unsigned i = 0; i < 6; i++) {
        struct pcapng_packet m = message(texts[i], i & 1, false);
        m.comment = slice_str(texts[i]);
        pcapng_packet(p, &m);
    }
    pcapng_free(&p);
    assert_null(p);
    read_file();
    assert_int_equal(npackets, 6);
    for (unsigned i = 0; i < 6; i++) {
        const unsigned char *udp = check_ip(&packets[i], false, 17);
        size_t len = strlen(texts[i]);
        bool is_out = i & 1;
        assert_true(packets[i].time_us == 0x0005f5e100012345);
        assert_int_equal(packets[i].flags, is_out ? 2 : 1);
        assert_true(slice_eq(packets[i].comment, slice_str(texts[i])));
        assert_int_equal(packets[i].kept, 28 + len);
        assert_int_equal(packets[i].length, 28 + len);
        assert_memory_equal(packets[i].bytes + (is_out ? 12 : 16), "\xc0\x00\x02\x0a", 4);
        assert_memory_equal(packets[i].bytes + (is_out ? 16 : 12), "\xc0\x00\x02\x01", 4);
        assert_int_equal(two(udp), is_out ? 5060 : 5062);
        assert_int_equal(two(udp + 2), is_out ? 5062 : 5060);
        assert_int_equal(two(udp + 4), 8 + len);
        assert_memory_equal(udp + 8, texts[i], len);
    }
}

static void test_ip6(void **state)
{
    struct pcapng *p = start();
    struct pcapng_packet m = message("abc", false, false);
    (void)state;
    m.local = address("[2001:db8::1]:5060");
    m.remote = address("[2001:db8::2]:5062");
    pcapng_packet(p, &m);
    m.is_stream = true;
    pcapng_packet(p, &m);
    m.local = address("0.0.0.0:5070"); /* not known which of ours */
    m.is_stream = false;
    pcapng_packet(p, &m);
    m.remote = (struct addr){0};
    pcapng_packet(p, &m);
    pcapng_free(&p);
    read_file();
    assert_int_equal(npackets, 3);
    assert_memory_equal(check_ip(&packets[0], true, 17) + 8, "abc", 3);
    assert_memory_equal(check_ip(&packets[1], true, 6) + 20, "abc", 3);
    assert_int_equal(two(check_ip(&packets[2], true, 17) + 2), 5070);
    assert_memory_equal(packets[2].bytes + 24, "\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0", 16);
    assert_memory_equal(packets[2].bytes + 8, "\x20\x01\x0d\xb8", 4);
}

/* Each direction of each connection counts its own bytes. */
static void test_tcp(void **state)
{
    struct pcapng *p = start();
    struct pcapng_packet other = message("12345", false, true);
    struct pcapng_packet in = message("abc", false, true), back = message("xy", true, true);
    (void)state;
    other.remote.port++;
    pcapng_packet(p, &in);
    pcapng_packet(p, &back);
    pcapng_packet(p, &other);
    in.bytes = SLICE("de");
    in.length = 10; /* was cut */
    pcapng_packet(p, &in);
    in.length = 0;
    pcapng_packet(p, &in);
    pcapng_packet(p, &back);
    pcapng_free(&p);
    read_file();
    static const uint32_t seq[] = {1, 1, 1, 4, 14, 3}, ack[] = {1, 4, 1, 3, 3, 16};
    assert_int_equal(npackets, 6);
    for (unsigned i = 0; i < 6; i++) {
        const unsigned char *tcp = check_ip(&packets[i], false, 6);
        assert_int_equal(four(tcp + 4), seq[i]);
        assert_int_equal(four(tcp + 8), ack[i]);
        assert_int_equal(tcp[12], 0x50);
        assert_int_equal(tcp[13], 0x18);
    }
}

static void test_large(void **state)
{
    static char text[BYTES_MAX];
    struct pcapng *p = start();
    struct pcapng_packet m = message("", true, true);
    size_t bytes = 0;
    (void)state;
    memset(text, 'a', sizeof(text));
    m.bytes = slice_of(text, sizeof(text));
    pcapng_packet(p, &m);
    m.is_stream = false;
    pcapng_packet(p, &m);
    m.bytes.len = 100;
    m.length = 300;
    pcapng_packet(p, &m);
    pcapng_free(&p);
    read_file();
    assert_int_equal(npackets, 5);
    for (unsigned i = 0; i < 3; i++) {
        const unsigned char *tcp = check_ip(&packets[i], false, 6);
        assert_int_equal(four(tcp + 4), 1 + bytes);
        bytes += packets[i].kept - 40;
    }
    assert_int_equal(bytes, sizeof(text));
    (void)check_ip(&packets[3], false, 17);
    (void)check_ip(&packets[4], false, 17);
    assert_int_equal(packets[4].kept, 128);
    assert_int_equal(packets[4].length, 328);
}

/* A comment that is too long is cut between two characters. */
static void test_long_comment(void **state)
{
    static char text[3001];
    struct pcapng *p = start();
    struct pcapng_packet m = message("a", true, false);
    (void)state;
    for (size_t i = 0; i < sizeof(text); i++)
        text[i] = "\xe2\x82\xac"[i % 3];
    m.comment = slice_of(text, 3000);
    pcapng_packet(p, &m);
    pcapng_free(&p);
    read_file();
    assert_true(packets[0].comment.len > 900 && packets[0].comment.len % 3 == 0);
}

/* More connections than are remembered: the oldest begins anew. */
static void test_many_streams(void **state)
{
    struct pcapng *p = start();
    struct pcapng_packet m = message("abc", true, true);
    (void)state;
    pcapng_packet(p, &m);
    for (unsigned i = 0; i < 2000; i++) {
        m.remote.port = (uint16_t)(10000 + i);
        pcapng_packet(p, &m);
    }
    buf_init(&out, file, sizeof(file));
    m.remote.port = 5062;
    pcapng_packet(p, &m);
    pcapng_free(&p);
    const unsigned char *tcp = (unsigned char *)file + 28 + 20;
    assert_int_equal(four(tcp + 4), 1);
}

static void test_no_memory(void **state)
{
    struct pcapng_sink sink = {put, &out};
    struct pcapng *p;
    (void)state;
    mem_fail_at(1);
    int rc = pcapng_new(&sink, &p);
    bool failed = mem_failed();
    mem_fail_at(0);
    pcapng_free(&p);
    if (!failed)
        skip(); /* a build without faults */
    assert_int_equal(rc, ERR_NOMEM);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_udp),          cmocka_unit_test(test_ip6),
        cmocka_unit_test(test_tcp),          cmocka_unit_test(test_large),
        cmocka_unit_test(test_long_comment), cmocka_unit_test(test_many_streams),
        cmocka_unit_test(test_no_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
