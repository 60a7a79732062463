/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "guard.h"
#include "sip/edit.h"

static struct samples samples;
static struct guard guard;

static int setup(void **state)
{
    (void)state;
    samples_load(&samples);
    guard_init(&guard, 140000);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    samples_free(&samples);
    guard_fini(&guard);
    return 0;
}

struct parsed {
    struct sip_msg m;
    struct sip_hdr hdrs[SIP_HDRS_MAX];
    struct sip_fault fault;
};

static void parse(struct parsed *p, struct slice bytes)
{
    assert_int_equal(
        sip_msg_parse(&p->m, bytes.ptr, bytes.len, false, p->hdrs, SIP_HDRS_MAX, NULL, &p->fault),
        0);
}

/* The result, written with not one byte of room to spare. */
static struct slice written(const struct sip_edit *e)
{
    struct buf out;
    size_t size = sip_edit_size(e);
    char *room = guard_end(&guard, NULL, 0) - size;
    buf_init(&out, room, size);
    assert_int_equal(sip_edit_write(e, &out), 0);
    assert_int_equal(out.len, size);
    assert_false(out.overflow);
    if (size > 0) {
        buf_init(&out, room, size - 1);
        assert_int_equal(sip_edit_write(e, &out), ERR_FULL);
        assert_int_equal(out.len, 0);
    }
    return slice_of(room, size);
}

#define RESULT_IS(e, literal)                                 \
    do {                                                      \
        struct slice r_ = written(e), want_ = SLICE(literal); \
        if (!slice_eq(r_, want_))                             \
            fail_msg("got:\n%.*s", SLICE_ARG(r_));            \
    } while (0)

#define START "INFO sip:b@example.com SIP/2.0\r\n"
#define TAIL \
    "From: <sip:a@example.com>;tag=1\r\nTo: <sip:b@example.com>\r\nCall-ID: 1\r\nCSeq: 1 INFO\r\n"
#define VIA1 "SIP/2.0/UDP a.example.com;branch=z9hG4bK1"
#define VIA2 "SIP/2.0/UDP b.example.com;branch=z9hG4bK2"
#define VIA3 "SIP/2.0/UDP c.example.com;branch=z9hG4bK3"

static void nothing_changed(void **state)
{
    struct parsed p;
    struct sip_edit e;
    (void)state;
    for (unsigned i = 0; i < samples.n; i++) {
        parse(&p, samples.bytes[i]);
        sip_edit_init(&e, &p.m);
        assert_true(slice_eq(written(&e), samples.bytes[i]));
    }
}

/* What was put in and taken out again leaves every byte of the sample in its place. */
static void there_and_back(void **state)
{
    struct parsed p, q;
    struct sip_edit e;
    (void)state;
    for (unsigned i = 0; i < samples.n; i++) {
        parse(&p, samples.bytes[i]);
        sip_edit_init(&e, &p.m);
        sip_edit_insert(&e, SIP_H_VIA, SLICE("Via: " VIA1 "\r\n"));
        sip_edit_insert(&e, SIP_H_RECORD_ROUTE, SLICE("Record-Route: <sip:p.example.com;lr>\r\n"));
        sip_edit_append(&e, SLICE("X-Last: 1\r\n"));
        sip_edit_behind(&e, p.m.via.text, SLICE(";received=192.0.2.77"));
        struct slice there = written(&e);
        char *copy = malloc(there.len);
        assert_non_null(copy);
        memcpy(copy, there.ptr, there.len);
        parse(&q, slice_of(copy, there.len));
        assert_true(slice_eq(q.m.via.text, SLICE(VIA1)));
        assert_int_equal(q.m.nhdrs, p.m.nhdrs + 3);
        const struct sip_hdr *via = sip_hdr_after(&q.m, sip_hdr_first(&q.m, SIP_H_VIA));
        struct slice value = sip_hdr_value(&q.m, via), second;
        assert_true(sip_list_next(&value, &second));
        sip_edit_init(&e, &q.m);
        sip_edit_pop(&e, SIP_H_VIA, 1);
        sip_edit_pop(&e, SIP_H_RECORD_ROUTE, 1);
        const struct sip_hdr *last = sip_hdr_named(&q.m, SLICE("X-Last"));
        sip_edit_at(&e, last->line, last->line_len, SLICE_NONE);
        sip_edit_replace(&e, slice_of(second.ptr + second.len - 20, 20), SLICE_NONE);
        assert_true(slice_eq(written(&e), samples.bytes[i]));
        free(copy);
    }
}

static void inserted_lines(void **state)
{
    struct parsed p;
    struct sip_edit e;
    (void)state;
    parse(&p, SLICE(START "Via: " VIA1 "\r\n" TAIL "Route: <sip:r;lr>\r\n\r\nbody"));
    sip_edit_init(&e, &p.m);
    sip_edit_insert(&e, SIP_H_ROUTE, SLICE("Route: <sip:1;lr>\r\n"));
    sip_edit_insert(&e, SIP_H_VIA, SLICE("Via: " VIA2 "\r\n"));
    sip_edit_insert(&e, SIP_H_ROUTE, SLICE("Route: <sip:2;lr>\r\n"));
    sip_edit_insert(&e, SIP_H_RECORD_ROUTE, SLICE("Record-Route: <sip:p;lr>\r\n"));
    sip_edit_insert(&e, SIP_H_REASON, SLICE("Reason: SIP;cause=503\r\n"));
    sip_edit_append(&e, SLICE("X: 1\r\n"));
    sip_edit_insert(&e, SIP_H_TO, SLICE("X: 2\r\n"));
    RESULT_IS(&e, START "Via: " VIA2 "\r\nRecord-Route: <sip:p;lr>\r\nVia: " VIA1 "\r\n"
                        "From: <sip:a@example.com>;tag=1\r\nX: 2\r\nTo: <sip:b@example.com>\r\n"
                        "Call-ID: 1\r\nCSeq: 1 INFO\r\nRoute: <sip:1;lr>\r\nRoute: <sip:2;lr>\r\n"
                        "Route: <sip:r;lr>\r\nReason: SIP;cause=503\r\nX: 1\r\n\r\nbody");
}

static void values_and_uri(void **state)
{
    struct parsed p;
    struct sip_edit e;
    (void)state;
    parse(&p, SLICE(START "v:\t" VIA1 " \r\nMax-Forwards :  70\t\r\nSubject:\r\n" TAIL "\r\n"));
    sip_edit_init(&e, &p.m);
    sip_edit_uri(&e, SLICE("sip:c@example.net"));
    assert_true(sip_edit_value(&e, SIP_H_MAX_FORWARDS, SLICE("69")));
    assert_true(sip_edit_value(&e, SIP_H_SUBJECT, SLICE("x")));
    assert_false(sip_edit_value(&e, SIP_H_EXPIRES, SLICE("1")));
    sip_edit_behind(&e, p.m.via.text, SLICE(";received=10.0.0.1"));
    sip_edit_remove(&e, SIP_H_CALL_ID);
    sip_edit_remove(&e, SIP_H_EXPIRES);
    RESULT_IS(&e, "INFO sip:c@example.net SIP/2.0\r\nv:\t" VIA1 ";received=10.0.0.1 \r\n"
                  "Max-Forwards :  69\t\r\nSubject:x\r\nFrom: <sip:a@example.com>;tag=1\r\n"
                  "To: <sip:b@example.com>\r\nCSeq: 1 INFO\r\n\r\n");
}

static void remove_all_lines(void **state)
{
    struct parsed p;
    struct sip_edit e;
    (void)state;
    parse(&p, SLICE(START "Route: <sip:1;lr>\r\nVia: " VIA1 "\r\nRoute: <sip:2;lr>,\r\n "
                          "<sip:3;lr>\r\n" TAIL "Route: <sip:4;lr>\r\n\r\n"));
    sip_edit_init(&e, &p.m);
    sip_edit_remove(&e, SIP_H_ROUTE);
    RESULT_IS(&e, START "Via: " VIA1 "\r\n" TAIL "\r\n");
}

/* Three Vias in every arrangement of lines; the first `count` popped. */
static void pop_elements(void **state)
{
    static const struct {
        struct slice vias, left[4];
    } cases[] = {
        {SLICE("Via: " VIA1 "\r\nVia: " VIA2 "\r\nVia: " VIA3 "\r\n"),
         {SLICE("Via: " VIA1 "\r\nVia: " VIA2 "\r\nVia: " VIA3 "\r\n"),
          SLICE("Via: " VIA2 "\r\nVia: " VIA3 "\r\n"), SLICE("Via: " VIA3 "\r\n"), SLICE("")}},
        {SLICE("Via: " VIA1 ", " VIA2 " ,\r\n\t" VIA3 "\r\n"),
         {SLICE("Via: " VIA1 ", " VIA2 " ,\r\n\t" VIA3 "\r\n"),
          SLICE("Via: " VIA2 " ,\r\n\t" VIA3 "\r\n"), SLICE("Via: " VIA3 "\r\n"), SLICE("")}},
        {SLICE("v:" VIA1 "," VIA2 "\r\nV: " VIA3 "\r\n"),
         {SLICE("v:" VIA1 "," VIA2 "\r\nV: " VIA3 "\r\n"), SLICE("v:" VIA2 "\r\nV: " VIA3 "\r\n"),
          SLICE("V: " VIA3 "\r\n"), SLICE("")}},
        {SLICE("Via: ," VIA1 ",,\r\nVia: " VIA2 ", " VIA3 ",\r\n"),
         {SLICE("Via: ," VIA1 ",,\r\nVia: " VIA2 ", " VIA3 ",\r\n"),
          SLICE("Via: " VIA2 ", " VIA3 ",\r\n"), SLICE("Via: " VIA3 ",\r\n"), SLICE("")}},
    };
    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        char text[1024], want[1024];
        struct buf b;
        struct parsed p;
        struct sip_edit e;
        buf_init(&b, text, sizeof(text));
        buf_lit(&b, START "X: 1\r\n");
        buf_slice(&b, cases[i].vias);
        buf_lit(&b, TAIL "\r\n");
        parse(&p, buf_get(&b));
        for (unsigned count = 0; count < 5; count++) {
            struct buf w;
            buf_init(&w, want, sizeof(want));
            buf_lit(&w, START "X: 1\r\n");
            buf_slice(&w, cases[i].left[count < 3 ? count : 3]);
            buf_lit(&w, TAIL "\r\n");
            sip_edit_init(&e, &p.m);
            sip_edit_pop(&e, SIP_H_VIA, count);
            struct slice got = written(&e);
            if (!slice_eq(got, buf_get(&w)))
                fail_msg("case %zu count %u:\n%.*s", i, count, SLICE_ARG(got));
        }
    }
}

static void remove_one_element(void **state)
{
    static const struct slice left[] = {
        SLICE("Contact: <sip:2>;a=\",\" ,\r\n <sip:3>\r\n"),
        SLICE("Contact: <sip:1,x>, <sip:3>\r\n"),
        SLICE("Contact: <sip:1,x>, <sip:2>;a=\",\"\r\n"),
        SLICE("Contact: <sip:1,x>, <sip:2>;a=\",\" ,\r\n <sip:3>\r\n"),
    };
    struct parsed p;
    struct sip_iter it;
    struct sip_edit e;
    struct slice element;
    unsigned n = 0;
    (void)state;
    parse(&p, SLICE(START "Via: " VIA1 "\r\n" TAIL
                          "Contact: <sip:1,x>, <sip:2>;a=\",\" ,\r\n <sip:3>\r\n"
                          "m: <sip:4>\r\n\r\n"));
    sip_iter_init(&it, &p.m, SIP_H_CONTACT);
    for (; sip_iter_next(&it, &element); n++) {
        char want[512];
        struct buf w;
        buf_init(&w, want, sizeof(want));
        buf_lit(&w, START "Via: " VIA1 "\r\n" TAIL);
        assert_in_range(n, 0, 3);
        buf_slice(&w, left[n]);
        if (n < 3)
            buf_lit(&w, "m: <sip:4>\r\n");
        buf_lit(&w, "\r\n");
        sip_edit_init(&e, &p.m);
        sip_edit_remove_element(&e, it.hdr, element);
        struct slice got = written(&e);
        if (!slice_eq(got, buf_get(&w)))
            fail_msg("element %u:\n%.*s", n, SLICE_ARG(got));
    }
    assert_int_equal(n, 4);
}

/* The work of a proxy on a response: its own Via off, what it finds below is the next one. */
static void pop_and_change_the_next(void **state)
{
    struct parsed p;
    struct sip_edit e;
    (void)state;
    parse(&p, SLICE(START "Via: " VIA1 ", " VIA2 "\r\n" TAIL "\r\n"));
    sip_edit_init(&e, &p.m);
    sip_edit_pop(&e, SIP_H_VIA, 1);
    sip_edit_insert(&e, SIP_H_VIA, SLICE("Via: " VIA3 "\r\n"));
    RESULT_IS(&e, START "Via: " VIA3 "\r\nVia: " VIA2 "\r\n" TAIL "\r\n");
}

static void overlapping_changes(void **state)
{
    struct parsed p;
    struct sip_edit e;
    struct buf out;
    char room[512];
    /* off and length of a deletion beside one of 10 bytes at 100 */
    static const struct {
        size_t off, del;
        bool overlaps;
    } cases[] = {
        {90, 10, false}, {90, 11, true},  {100, 1, true},  {105, 0, true}, {100, 0, false},
        {110, 0, false}, {109, 1, true},  {110, 5, false}, {80, 60, true}, {101, 0, true},
        {109, 0, true},  {100, 10, true}, {150, 0, false}, {0, 0, false},
    };
    (void)state;
    buf_init(&out, room, sizeof(room));
    parse(&p, SLICE(START "Via: " VIA1 "\r\n" TAIL "\r\n"));
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        for (unsigned order = 0; order < 2; order++) {
            sip_edit_init(&e, &p.m);
            if (order == 0)
                sip_edit_at(&e, 100, 10, SLICE("abc"));
            sip_edit_at(&e, cases[i].off, cases[i].del, SLICE("de"));
            if (order == 1)
                sip_edit_at(&e, 100, 10, SLICE("abc"));
            assert_int_equal(e.overflow, cases[i].overlaps);
            out.len = 0;
            assert_int_equal(sip_edit_write(&e, &out), cases[i].overlaps ? ERR_FULL : 0);
            if (!e.overflow)
                assert_int_equal(out.len, sip_edit_size(&e));
        }
    }
    sip_edit_init(&e, &p.m);
    sip_edit_at(&e, p.m.len, 1, SLICE_NONE);
    assert_true(e.overflow);
    sip_edit_init(&e, &p.m);
    sip_edit_at(&e, (size_t)p.m.len + 1, 0, SLICE_NONE);
    assert_true(e.overflow);
}

static void too_many_and_too_large(void **state)
{
    static char large[SIP_MSG_MAX + 1], room[70000];
    struct parsed p;
    struct sip_edit e;
    struct buf out;
    (void)state;
    memset(large, 'x', sizeof(large));
    parse(&p, SLICE(START "Via: " VIA1 "\r\n" TAIL "\r\n"));
    sip_edit_init(&e, &p.m);
    for (unsigned i = 0; i < SIP_EDIT_MAX; i++)
        sip_edit_append(&e, SLICE("X: 1\r\n"));
    assert_false(e.overflow);
    assert_int_equal(written(&e).len, p.m.len + SIP_EDIT_MAX * 6);
    sip_edit_append(&e, SLICE("X: 1\r\n"));
    assert_true(e.overflow);

    buf_init(&out, room, sizeof(room));
    sip_edit_init(&e, &p.m);
    sip_edit_append(&e, slice_of(large, SIP_MSG_MAX - (size_t)p.m.len));
    assert_int_equal(sip_edit_write(&e, &out), 0);
    out.len = 0;
    sip_edit_append(&e, SLICE("x"));
    assert_int_equal(sip_edit_write(&e, &out), ERR_LIMIT);
    assert_int_equal(out.len, 0);
}

/* Random changes beside each other, against a plain rebuilding of the text. */
static void against_a_plain_model(void **state)
{
    static const char text[] = "0123456789abcdefghijklmnopqrstuvwxyz";
    uint32_t seed = 42;
    (void)state;
    for (unsigned round = 0; round < 5000; round++) {
        struct parsed p;
        struct sip_edit e;
        struct slice s = samples.bytes[round % samples.n];
        size_t offs[12], dels[12], n = 0, at = 0;
        struct slice ins[12];
        unsigned order[12];
        char *want = malloc(s.len + 1000);
        assert_non_null(want);
        size_t len = 0;
        parse(&p, s);
        while (n < 12) {
            seed = seed * 1664525 + 1013904223;
            size_t off = at + (seed >> 20) % 60, del = (seed >> 12) % 8;
            if (off + del > s.len)
                break;
            offs[n] = off;
            dels[n] = del;
            ins[n] = slice_of(text + (seed >> 8) % 16, (seed >> 16) % 9);
            memcpy(want + len, s.ptr + at, off - at);
            len += off - at;
            memcpy(want + len, ins[n].ptr, ins[n].len);
            len += ins[n].len;
            order[n] = (unsigned)n;
            n++;
            at = off + del + 1; /* apart, so that the order of adding does not matter */
            if (at > s.len)
                break;
            want[len++] = s.ptr[at - 1];
        }
        if (at < s.len) {
            memcpy(want + len, s.ptr + at, s.len - at);
            len += s.len - at;
        }
        for (size_t i = n; i > 1; i--) {
            seed = seed * 1664525 + 1013904223;
            size_t j = (seed >> 16) % i;
            unsigned swap = order[i - 1];
            order[i - 1] = order[j];
            order[j] = swap;
        }
        sip_edit_init(&e, &p.m);
        for (size_t i = 0; i < n; i++)
            sip_edit_at(&e, offs[order[i]], dels[order[i]], ins[order[i]]);
        assert_false(e.overflow);
        assert_true(slice_eq(written(&e), slice_of(want, len)));
        free(want);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nothing_changed),       cmocka_unit_test(there_and_back),
        cmocka_unit_test(inserted_lines),        cmocka_unit_test(values_and_uri),
        cmocka_unit_test(remove_all_lines),      cmocka_unit_test(pop_elements),
        cmocka_unit_test(remove_one_element),    cmocka_unit_test(pop_and_change_the_next),
        cmocka_unit_test(overlapping_changes),   cmocka_unit_test(too_many_and_too_large),
        cmocka_unit_test(against_a_plain_model),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
