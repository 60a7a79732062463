/* SPDX-License-Identifier: Apache-2.0 */
#include "sip/msg.h"

/* Moves a slice from one copy of the bytes to another. */
static inline void rebase(struct slice *s, const char *from, const char *to)
{
    if (s->ptr != NULL)
        s->ptr = to + (s->ptr - from);
}

static void rebase_via(struct sip_via *v, const char *from, const char *to)
{
    rebase(&v->text, from, to);
    rebase(&v->transport_text, from, to);
    rebase(&v->host, from, to);
    rebase(&v->params, from, to);
    rebase(&v->branch, from, to);
    rebase(&v->received, from, to);
    rebase(&v->maddr, from, to);
    rebase(&v->rport_text, from, to);
}

static void rebase_uri(struct sip_uri *u, const char *from, const char *to)
{
    rebase(&u->text, from, to);
    rebase(&u->scheme_text, from, to);
    rebase(&u->user, from, to);
    rebase(&u->password, from, to);
    rebase(&u->host, from, to);
    rebase(&u->params, from, to);
    rebase(&u->headers, from, to);
    rebase(&u->transport_text, from, to);
    rebase(&u->maddr, from, to);
}

struct sip_msg *sip_msg_copy(const struct sip_msg *m, struct arena *arena)
{
    size_t hdrs_size = m->nhdrs * sizeof(struct sip_hdr);
    struct sip_msg *copy = arena_alloc(arena, sizeof(*copy) + hdrs_size);
    char *bytes = copy != NULL ? arena_bytes(arena, m->len) : NULL;
    if (bytes == NULL)
        return NULL;
    *copy = *m;
    copy->base = bytes;
    copy->hdrs = (struct sip_hdr *)(void *)(copy + 1);
    memcpy(bytes, m->base, m->len);
    if (hdrs_size != 0)
        memcpy(copy->hdrs, m->hdrs, hdrs_size);
    rebase_via(&copy->via, m->base, bytes);
    rebase_uri(&copy->ruri, m->base, bytes);
    return copy;
}

const struct sip_hdr *sip_hdr_first(const struct sip_msg *m, enum sip_hdr_id id)
{
    return m->first[id] != 0 ? &m->hdrs[m->first[id] - 1] : NULL;
}

const struct sip_hdr *sip_hdr_after(const struct sip_msg *m, const struct sip_hdr *h)
{
    unsigned id = h->id;
    const struct sip_hdr *end = m->hdrs + m->nhdrs;
    for (h++; h < end; h++) {
        if (h->id == id)
            return h;
    }
    return NULL;
}

const struct sip_hdr *sip_hdr_named(const struct sip_msg *m, struct slice name)
{
    enum sip_hdr_id id = sip_hdr_of(name);
    const struct sip_hdr *h = sip_hdr_first(m, id);
    while (id == SIP_H_OTHER && h != NULL &&
           !slice_ieq(slice_of(m->base + h->line, h->name_len), name))
        h = sip_hdr_after(m, h);
    return h;
}

struct slice sip_value(const struct sip_msg *m, enum sip_hdr_id id)
{
    const struct sip_hdr *h = sip_hdr_first(m, id);
    return h != NULL ? sip_hdr_value(m, h) : SLICE_NONE;
}

void sip_iter_init(struct sip_iter *it, const struct sip_msg *m, enum sip_hdr_id id)
{
    it->msg = m;
    it->id = id;
    it->hdr = sip_hdr_first(m, id);
    it->rest = it->hdr != NULL ? sip_hdr_value(m, it->hdr) : SLICE_NONE;
}

void sip_iter_below_via(struct sip_iter *it, const struct sip_msg *m)
{
    sip_iter_init(it, m, SIP_H_VIA);
    if (m->via.text.len != 0) {
        size_t behind = (size_t)(m->via.text.ptr + m->via.text.len - it->rest.ptr);
        it->rest = slice_of(it->rest.ptr + behind, it->rest.len - behind);
    }
}

bool sip_iter_next(struct sip_iter *it, struct slice *element)
{
    while (it->hdr != NULL) {
        if (sip_list_next(&it->rest, element))
            return true;
        it->hdr = sip_hdr_after(it->msg, it->hdr);
        if (it->hdr != NULL)
            it->rest = sip_hdr_value(it->msg, it->hdr);
    }
    return false;
}

bool sip_has_token(const struct sip_msg *m, enum sip_hdr_id id, struct slice token)
{
    struct sip_iter it;
    struct slice element;
    sip_iter_init(&it, m, id);
    while (sip_iter_next(&it, &element)) {
        if (slice_ieq(element, token))
            return true;
    }
    return false;
}

int sip_value_u32(const struct sip_msg *m, enum sip_hdr_id id, uint32_t *out)
{
    uint64_t value;
    if (sip_hdr_first(m, id) == NULL)
        return ERR_NOT_FOUND;
    int rc = slice_u64(sip_value(m, id), UINT32_MAX, &value);
    if (rc == 0)
        *out = (uint32_t)value;
    return rc;
}
