/* SPDX-License-Identifier: Apache-2.0 */
#include "sip/edit.h"

void sip_edit_init(struct sip_edit *e, const struct sip_msg *m)
{
    e->msg = m;
    e->n = 0;
    e->overflow = false;
}

/* Would a deletion of `del` bytes at `off` (0: an insertion) before the change `at` cut into
 * another deletion, or be cut? What begins earlier is in front of `at`. */
static bool overlaps(const struct sip_edit *e, unsigned at, size_t off, size_t del)
{
    if (at < e->n && e->changes[at].off < off + del)
        return true;
    while (at > 0 && e->changes[at - 1].del == 0)
        at--;
    if (at == 0)
        return false;
    const struct sip_change *c = &e->changes[at - 1];
    return off < (size_t)c->off + c->del && (del != 0 || off != c->off);
}

void sip_edit_at(struct sip_edit *e, size_t off, size_t del, struct slice ins)
{
    unsigned at = e->n;
    while (at > 0 && e->changes[at - 1].off > off)
        at--;
    if (e->n == SIP_EDIT_MAX || off > e->msg->len || del > e->msg->len - off ||
        overlaps(e, at, off, del)) {
        e->overflow = true;
        return;
    }
    memmove(&e->changes[at + 1], &e->changes[at], (e->n - at) * sizeof(e->changes[0]));
    e->changes[at] = (struct sip_change){(uint16_t)off, (uint16_t)del, ins};
    e->n++;
}

static size_t offset_of(const struct sip_edit *e, const char *p)
{
    return (size_t)(p - e->msg->base);
}

static void remove_line(struct sip_edit *e, const struct sip_hdr *h)
{
    sip_edit_at(e, h->line, h->line_len, SLICE_NONE);
}

/* Offset of the first header line, and of the empty line. */
static size_t headers_start(const struct sip_msg *m)
{
    return m->nhdrs != 0 ? m->hdrs[0].line : (size_t)m->head_len - 2;
}

static size_t headers_end(const struct sip_msg *m)
{
    return (size_t)m->head_len - 2;
}

void sip_edit_uri(struct sip_edit *e, struct slice uri)
{
    sip_edit_at(e, e->msg->uri.off, e->msg->uri.len, uri);
}

void sip_edit_insert(struct sip_edit *e, enum sip_hdr_id id, struct slice line)
{
    const struct sip_hdr *h = sip_hdr_first(e->msg, id);
    size_t at = headers_end(e->msg);
    if (h != NULL)
        at = h->line;
    else if (id == SIP_H_VIA || id == SIP_H_ROUTE || id == SIP_H_RECORD_ROUTE || id == SIP_H_PATH)
        at = headers_start(e->msg);
    sip_edit_at(e, at, 0, line);
}

void sip_edit_append(struct sip_edit *e, struct slice line)
{
    sip_edit_at(e, headers_end(e->msg), 0, line);
}

bool sip_edit_value(struct sip_edit *e, enum sip_hdr_id id, struct slice value)
{
    const struct sip_hdr *h = sip_hdr_first(e->msg, id);
    if (h == NULL)
        return false;
    sip_edit_at(e, h->val, h->val_len, value);
    return true;
}

void sip_edit_remove(struct sip_edit *e, enum sip_hdr_id id)
{
    for (const struct sip_hdr *h = sip_hdr_first(e->msg, id); h != NULL;
         h = sip_hdr_after(e->msg, h))
        remove_line(e, h);
}

void sip_edit_remove_element(struct sip_edit *e, const struct sip_hdr *line, struct slice element)
{
    struct slice rest = sip_hdr_value(e->msg, line), it;
    const char *from = element.ptr, *to = element.ptr + element.len;
    const char *previous_end = NULL, *next = NULL;

    while (next == NULL && sip_list_next(&rest, &it)) {
        if (it.ptr < element.ptr)
            previous_end = it.ptr + it.len;
        else if (it.ptr >= to)
            next = it.ptr;
    }
    if (next != NULL)
        to = next;
    else if (previous_end != NULL)
        from = previous_end;
    else {
        remove_line(e, line);
        return;
    }
    sip_edit_at(e, offset_of(e, from), (size_t)(to - from), SLICE_NONE);
}

/* Is the topmost Via, which is parsed, all of its line? */
static bool is_whole_via(const struct sip_msg *m, const struct sip_hdr *h)
{
    return h->id == SIP_H_VIA && m->via.text.ptr == m->base + h->val &&
           m->via.text.len == h->val_len;
}

void sip_edit_pop(struct sip_edit *e, enum sip_hdr_id id, unsigned count)
{
    for (const struct sip_hdr *h = sip_hdr_first(e->msg, id); h != NULL && count > 0;
         h = sip_hdr_after(e->msg, h)) {
        struct slice rest = sip_hdr_value(e->msg, h), it;
        if (is_whole_via(e->msg, h)) {
            count--;
            remove_line(e, h);
            continue;
        }
        bool stays = sip_list_next(&rest, &it);
        while (stays && count > 0) {
            count--;
            stays = sip_list_next(&rest, &it);
        }
        if (stays)
            sip_edit_at(e, h->val, offset_of(e, it.ptr) - h->val, SLICE_NONE);
        else
            remove_line(e, h);
    }
}

void sip_edit_behind(struct sip_edit *e, struct slice place, struct slice text)
{
    sip_edit_at(e, offset_of(e, place.ptr) + place.len, 0, text);
}

void sip_edit_replace(struct sip_edit *e, struct slice place, struct slice text)
{
    sip_edit_at(e, offset_of(e, place.ptr), place.len, text);
}

size_t sip_edit_size(const struct sip_edit *e)
{
    size_t size = e->msg->len;
    for (unsigned i = 0; i < e->n; i++)
        size = size - e->changes[i].del + e->changes[i].ins.len;
    return size;
}

int sip_edit_write(const struct sip_edit *e, struct buf *out)
{
    const struct sip_msg *m = e->msg;
    size_t at = 0; /* everything before is written or left out */

    if (e->overflow)
        return ERR_FULL;
    size_t size = sip_edit_size(e);
    if (size > SIP_MSG_MAX)
        return ERR_LIMIT;
    if (size > out->cap - out->len)
        return ERR_FULL;
    for (unsigned i = 0; i < e->n; i++) {
        const struct sip_change *c = &e->changes[i];
        /* Behind a deletion at the same offset `at` is past it already. */
        if (c->off > at) {
            buf_add(out, m->base + at, c->off - at);
            at = c->off;
        }
        buf_slice(out, c->ins);
        if ((size_t)c->off + c->del > at)
            at = (size_t)c->off + c->del;
    }
    buf_add(out, m->base + at, m->len - at);
    return 0;
}
