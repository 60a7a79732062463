/* SPDX-License-Identifier: Apache-2.0 */
#include "sip/oc.h"

#include "sip/uri.h"

/* 1*12DIGIT "." 1*5DIGIT (RFC 7339 4.4). */
static bool parse_seq(struct slice text, uint64_t *out)
{
    ptrdiff_t dot = slice_chr(text, '.');
    uint64_t whole, part;
    if (dot <= 0 || dot > 12 || text.len - (size_t)dot - 1 > 5)
        return false;
    struct slice tail = slice_of(text.ptr + dot + 1, text.len - (size_t)dot - 1);
    if (slice_u64(slice_of(text.ptr, (size_t)dot), UINT64_MAX / SIP_OC_SEQ_UNIT, &whole) != 0 ||
        slice_u64(tail, SIP_OC_SEQ_UNIT - 1, &part) != 0)
        return false;
    for (size_t i = tail.len; i < 5; i++)
        part *= 10;
    *out = whole * SIP_OC_SEQ_UNIT + part;
    return true;
}

/* "loss" among the algorithms in quotes. */
static bool names_loss(struct slice value)
{
    struct slice name;
    if (value.len < 2 || value.ptr[0] != '"')
        return slice_ieq(value, SLICE("loss"));
    struct slice rest = slice_of(value.ptr + 1, value.len - 2);
    while (slice_next_word(&rest, &name))
        if (slice_ieq(name, SLICE("loss")))
            return true;
    return false;
}

static bool is_oc_name(struct slice name)
{
    return slice_ieq(name, SLICE("oc")) || slice_ieq(name, SLICE("oc-algo")) ||
           slice_ieq(name, SLICE("oc-validity")) || slice_ieq(name, SLICE("oc-seq"));
}

/* False: not the grammar. */
static bool take(struct sip_oc *oc, bool *has_oc, struct slice name, struct slice value)
{
    uint64_t n;
    if (slice_ieq(name, SLICE("oc"))) {
        *has_oc = true;
        oc->has_value = value.len != 0;
        if (value.len == 0)
            return true;
        if (slice_u64(value, 100, &n) != 0)
            return false;
        oc->loss = (unsigned)n;
    } else if (slice_ieq(name, SLICE("oc-algo"))) {
        oc->is_loss = names_loss(value);
    } else if (slice_ieq(name, SLICE("oc-validity"))) {
        if (slice_u64(value, UINT32_MAX, &n) != 0)
            return false;
        oc->validity_ms = (uint32_t)n;
    } else if (slice_ieq(name, SLICE("oc-seq"))) {
        return parse_seq(value, &oc->seq);
    }
    return true;
}

bool sip_oc_parse(struct slice params, struct sip_oc *out)
{
    struct sip_oc oc = {.is_loss = true, .validity_ms = SIP_OC_VALIDITY_MS};
    struct slice name, value;
    bool has_oc = false;
    while (sip_param_next(&params, &name, &value))
        if (name.len >= 2 && ascii_lower(name.ptr[0]) == 'o' && !take(&oc, &has_oc, name, value))
            return false;
    *out = oc;
    return has_oc;
}

void sip_oc_write(struct buf *out, struct slice via, struct slice params, const struct sip_oc *oc)
{
    struct slice rest = params, name, value;
    size_t head = params.len != 0 ? (size_t)(params.ptr - via.ptr) : via.len;
    /* The ';' in front of the first parameter. */
    while (params.len != 0 && head != 0 && via.ptr[head - 1] != ';')
        head--;
    buf_add(out, via.ptr, params.len != 0 && head != 0 ? head - 1 : head);
    while (sip_param_next(&rest, &name, &value)) {
        if (is_oc_name(name))
            continue;
        const char *end = value.len != 0 ? value.ptr + value.len : name.ptr + name.len;
        buf_char(out, ';');
        buf_add(out, name.ptr, (size_t)(end - name.ptr));
    }
    buf_printf(out, ";oc=%u;oc-algo=\"loss\";oc-validity=%u;oc-seq=%llu.%05llu", oc->loss,
               oc->validity_ms, (unsigned long long)(oc->seq / SIP_OC_SEQ_UNIT),
               (unsigned long long)(oc->seq % SIP_OC_SEQ_UNIT));
}
