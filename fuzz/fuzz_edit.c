/* SPDX-License-Identifier: Apache-2.0 */
/* Edits: no change writes the same bytes; changes do what a slow model of them does; and after the
 * edits a proxy makes, the result is a message whose untouched headers are the same. The first 4
 * bytes are the seed of the edits. */
#include "base/buf.h"
#include "sip/edit.h"

#include "check.h"

#define OUT_MAX (2 * SIP_MSG_MAX)

static struct slice text_of(const struct sip_msg *m)
{
    return slice_of(m->base, m->len);
}

static void check_unchanged(const struct sip_msg *m, char *out)
{
    struct sip_edit e;
    struct buf b;
    sip_edit_init(&e, m);
    CHECK(sip_edit_size(&e) == m->len);
    buf_init(&b, out, m->len);
    CHECK(sip_edit_write(&e, &b) == 0);
    CHECK(slice_eq(buf_get(&b), text_of(m)));
    if (m->len > 0) {
        buf_init(&b, out, m->len - 1u);
        CHECK(sip_edit_write(&e, &b) == ERR_FULL);
    }
}

/* --- the primitive against a model ----------------------------------------------------------- */

struct model {
    bool deleted[SIP_MSG_MAX + 1];
    bool inside[SIP_MSG_MAX +
                1]; /* a deletion covers the byte before as well: nothing may go in here */
    bool overflow;
    unsigned n;
    struct sip_change changes[SIP_EDIT_MAX];
};

static void model_add(struct model *k, size_t off, size_t del, struct slice ins)
{
    bool clash = k->n == SIP_EDIT_MAX;
    if (!clash && del == 0)
        clash = k->inside[off];
    for (size_t i = off; !clash && i < off + del; i++)
        clash = k->deleted[i];
    for (unsigned i = 0; !clash && i < k->n; i++)
        clash = k->changes[i].off > off && k->changes[i].off < off + del;
    if (clash) {
        k->overflow = true;
        return;
    }
    for (size_t i = off; i < off + del; i++) {
        k->deleted[i] = true;
        k->inside[i] = i > off;
    }
    k->changes[k->n++] = (struct sip_change){(uint16_t)off, (uint16_t)del, ins};
}

static void model_write(const struct model *k, const struct sip_msg *m, struct buf *out)
{
    for (size_t i = 0; i <= m->len; i++) {
        for (unsigned c = 0; c < k->n; c++) {
            if (k->changes[c].off == i)
                buf_slice(out, k->changes[c].ins);
        }
        if (i < m->len && !k->deleted[i])
            buf_char(out, m->base[i]);
    }
}

static void check_primitive(const struct sip_msg *m, struct decider *d, char *out)
{
    static const struct slice texts[] = {{"", 0}, {"x", 1}, {"Header: y\r\n", 11}, {";p=1", 4}};
    static struct model k;
    static char want[OUT_MAX];
    struct sip_edit e;
    struct buf got, expected;
    unsigned n = decide(d, 56);
    unsigned insertions = 1 + decide(d, 12);            /* for each deletion */
    uint32_t offsets = decide(d, 2) ? m->len + 1u : 24; /* close together they meet more often */

    memset(k.deleted, 0, m->len + 1u);
    memset(k.inside, 0, m->len + 1u);
    k.overflow = false;
    k.n = 0;
    sip_edit_init(&e, m);
    while (n-- > 0 && !e.overflow) {
        size_t off = decide(d, offsets);
        size_t del = decide(d, insertions + 1) == 0 ? decide(d, 6) : 0;
        struct slice ins = texts[decide(d, 4)];
        if (off > m->len)
            off = m->len;
        if (del > m->len - off)
            del = m->len - off;
        sip_edit_at(&e, off, del, ins);
        model_add(&k, off, del, ins);
        CHECK(e.overflow == k.overflow);
    }
    buf_init(&got, out, OUT_MAX);
    int rc = sip_edit_write(&e, &got);
    if (e.overflow) {
        CHECK(rc == ERR_FULL);
        return;
    }
    buf_init(&expected, want, sizeof(want));
    model_write(&k, m, &expected);
    CHECK(sip_edit_size(&e) == expected.len);
    if (expected.len > SIP_MSG_MAX) {
        CHECK(rc == ERR_LIMIT);
        return;
    }
    CHECK(rc == 0 && slice_eq(buf_get(&got), buf_get(&expected)));
}

/* --- what a proxy does ----------------------------------------------------------------------- */

#define URI_TEXT "sip:new@target.example:5070;lr"
#define VIA_TEXT "SIP/2.0/TCP edge.example;branch=z9hG4bKhf0123456789abcdef.01234567"
#define RR_TEXT  "<sip:edge.example;lr>"
#define EXT_TEXT "seen"

struct plan {
    unsigned pop_route;
    int remove_route; /* index of a Route element, -1: none */
    bool pop_via, add_via, add_rr, set_uri, set_hops, append, drop_subject, received;
};

static unsigned count(const struct sip_msg *m, enum sip_hdr_id id)
{
    struct sip_iter it;
    struct slice e;
    unsigned n = 0;
    sip_iter_init(&it, m, id);
    while (sip_iter_next(&it, &e))
        n++;
    return n;
}

static struct plan make_plan(const struct sip_msg *m, struct decider *d)
{
    struct plan p = {0};
    unsigned routes = count(m, SIP_H_ROUTE);
    p.remove_route = -1;
    if (routes != 0 && decide(d, 2))
        p.remove_route = (int)decide(d, routes);
    else
        p.pop_route = decide(d, routes + 2);
    p.add_via = decide(d, 2);
    p.pop_via = p.add_via && decide(d, 2);
    p.received = !p.pop_via && decide(d, 2);
    p.add_rr = decide(d, 2);
    p.set_uri = m->is_request && decide(d, 2);
    p.set_hops = decide(d, 2);
    p.append = decide(d, 2);
    p.drop_subject = decide(d, 2);
    return p;
}

static void apply(const struct plan *p, struct sip_edit *e)
{
    const struct sip_msg *m = e->msg;
    struct sip_iter it;
    struct slice element;
    if (p->set_uri)
        sip_edit_uri(e, SLICE(URI_TEXT));
    if (p->add_via)
        sip_edit_insert(e, SIP_H_VIA, SLICE("Via: " VIA_TEXT "\r\n"));
    if (p->pop_via)
        sip_edit_pop(e, SIP_H_VIA, 1);
    if (p->received)
        sip_edit_behind(e, m->via.text, SLICE(";seen=1"));
    if (p->add_rr)
        sip_edit_insert(e, SIP_H_RECORD_ROUTE, SLICE("Record-Route: " RR_TEXT "\r\n"));
    if (p->set_hops)
        (void)sip_edit_value(e, SIP_H_MAX_FORWARDS, SLICE("7"));
    if (p->append)
        sip_edit_append(e, SLICE("X-Edge: " EXT_TEXT "\r\n"));
    if (p->drop_subject)
        sip_edit_remove(e, SIP_H_SUBJECT);
    if (p->pop_route != 0)
        sip_edit_pop(e, SIP_H_ROUTE, p->pop_route);
    if (p->remove_route >= 0) {
        sip_iter_init(&it, m, SIP_H_ROUTE);
        for (int i = 0; i <= p->remove_route; i++)
            CHECK(sip_iter_next(&it, &element));
        sip_edit_remove_element(e, it.hdr, element);
    }
}

/* Elements of `after` are `added` (when not empty), then those of `before` but the first `popped`
 * and the one at `removed`. */
static void check_elements(const struct sip_msg *before, const struct sip_msg *after,
                           enum sip_hdr_id id, struct slice added, unsigned popped, int removed)
{
    struct sip_iter a, b;
    struct slice x, y;
    int index = 0;
    sip_iter_init(&a, before, id);
    sip_iter_init(&b, after, id);
    if (added.len != 0)
        CHECK(sip_iter_next(&b, &y) && slice_eq(y, added));
    while (sip_iter_next(&a, &x)) {
        if (index++ == removed || (unsigned)index <= popped)
            continue;
        CHECK(sip_iter_next(&b, &y) && slice_eq(x, y));
    }
    CHECK(!sip_iter_next(&b, &y));
}

/* Has any line of that list a comma at one of its ends? */
static bool has_stray_comma(const struct sip_msg *m, enum sip_hdr_id id)
{
    for (const struct sip_hdr *h = sip_hdr_first(m, id); h != NULL; h = sip_hdr_after(m, h)) {
        struct slice v = sip_hdr_value(m, h);
        if (v.len != 0 && (v.ptr[0] == ',' || v.ptr[v.len - 1] == ','))
            return true;
    }
    return false;
}

static bool is_touched(const struct plan *p, unsigned id)
{
    switch (id) {
    case SIP_H_VIA:
    case SIP_H_ROUTE:
    case SIP_H_RECORD_ROUTE: return true;
    case SIP_H_MAX_FORWARDS: return p->set_hops;
    case SIP_H_SUBJECT: return p->drop_subject;
    default: return false;
    }
}

/* Next line from *i on that no change of the plan concerns. */
static const struct sip_hdr *next_untouched(const struct plan *p, const struct sip_msg *m,
                                            unsigned *i)
{
    while (*i < m->nhdrs) {
        const struct sip_hdr *h = &m->hdrs[(*i)++];
        if (!is_touched(p, h->id))
            return h;
    }
    return NULL;
}

static void check_untouched(const struct plan *p, const struct sip_msg *before,
                            const struct sip_msg *after)
{
    unsigned i = 0, j = 0;
    for (;;) {
        const struct sip_hdr *x = next_untouched(p, before, &i);
        const struct sip_hdr *y = next_untouched(p, after, &j);
        if (x == NULL) {
            CHECK((y != NULL) == p->append);
            break;
        }
        CHECK(y != NULL);
        CHECK(slice_eq(slice_of(before->base + x->line, x->line_len),
                       slice_of(after->base + y->line, y->line_len)));
    }
    CHECK(slice_eq(sip_body(before), sip_body(after)));
}

static void check_result(const struct plan *p, const struct sip_msg *m, const struct buf *b)
{
    static const struct sip_limits wide = {SIP_HDRS_MAX, SIP_MSG_MAX, SIP_MSG_MAX};
    struct sip_hdr hdrs[SIP_HDRS_MAX];
    struct sip_fault fault;
    struct sip_msg after;
    int rc = sip_msg_parse(&after, b->ptr, b->len, false, hdrs, SIP_HDRS_MAX, &wide, &fault);
    if (rc == ERR_LIMIT)
        return;
    if (rc != 0)
        fprintf(stderr, "%s\n%.*s\n", fault.reason, (int)b->len, b->ptr);
    CHECK(rc == 0);
    check_elements(m, &after, SIP_H_ROUTE, SLICE_NONE, p->pop_route, p->remove_route);
    CHECK(!has_stray_comma(&after, SIP_H_ROUTE) || has_stray_comma(m, SIP_H_ROUTE));
    CHECK(!has_stray_comma(&after, SIP_H_VIA) || has_stray_comma(m, SIP_H_VIA));
    check_elements(m, &after, SIP_H_RECORD_ROUTE, p->add_rr ? SLICE(RR_TEXT) : SLICE_NONE, 0, -1);
    if (!p->received)
        check_elements(m, &after, SIP_H_VIA, p->add_via ? SLICE(VIA_TEXT) : SLICE_NONE, p->pop_via,
                       -1);
    else
        CHECK(count(&after, SIP_H_VIA) == count(m, SIP_H_VIA) + p->add_via);
    if (p->received && !p->add_via)
        CHECK(sip_param_find(after.via.params, SLICE("seen"), NULL));
    if (p->set_uri)
        CHECK(slice_eq(sip_get(&after, after.uri), SLICE(URI_TEXT)));
    if (p->set_hops && sip_hdr_first(m, SIP_H_MAX_FORWARDS) != NULL)
        CHECK(slice_eq(sip_value(&after, SIP_H_MAX_FORWARDS), SLICE("7")));
    if (p->append)
        CHECK(slice_eq(sip_hdr_value(&after, &after.hdrs[after.nhdrs - 1]), SLICE(EXT_TEXT)));
    CHECK(!p->drop_subject || sip_hdr_first(&after, SIP_H_SUBJECT) == NULL);
    check_untouched(p, m, &after);
}

static void check_proxy(const struct sip_msg *m, struct decider *d, char *out)
{
    struct plan p = make_plan(m, d);
    struct sip_edit e;
    struct buf b;
    sip_edit_init(&e, m);
    apply(&p, &e);
    buf_init(&b, out, OUT_MAX);
    if (e.overflow) {
        /* only many lines need that many changes */
        CHECK(m->nhdrs > SIP_HDRS_MAX - 10);
        return;
    }
    if (sip_edit_size(&e) > SIP_MSG_MAX)
        return;
    CHECK(sip_edit_write(&e, &b) == 0 && b.len == sip_edit_size(&e));
    check_result(&p, m, &b);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static char out[OUT_MAX];
    struct sip_hdr hdrs[SIP_HDRS_MAX];
    struct sip_fault fault;
    struct sip_msg m;
    struct decider d = {0};

    if (size < 4)
        return 0;
    memcpy(&d.state, data, 4);
    size_t len = size - 4;
    char *bytes = exact_copy(data + 4, len);
    if (sip_msg_parse(&m, bytes, len, false, hdrs, SIP_HDRS_MAX, NULL, &fault) == 0) {
        check_unchanged(&m, out);
        for (int i = 0; i < 4; i++) {
            check_primitive(&m, &d, out);
            check_proxy(&m, &d, out);
        }
    }
    free(bytes);
    return 0;
}
