/* SPDX-License-Identifier: Apache-2.0 */
#include "sip/received.h"

size_t sip_received_size(const struct sip_msg *m)
{
    return m->via.text.len + sizeof(";received=;rport=65535") + ADDR_TEXT_MAX;
}

static bool is_source(const struct sip_msg *m)
{
    struct addr a;
    return addr_parse_ip(m->via.host, 0, &a) == 0 && addr_eq_ip(&a, &m->source);
}

/* Everything but rport, of which there is one at most, where `received` is not there: the bytes as
 * they are. False: it cannot be cut out so. */
static bool write_others(struct buf *out, const struct sip_via *via)
{
    const char *end = via->text.ptr + via->text.len, *from = via->rport_text.ptr;
    if (via->received.len != 0 || (via->has_rport && via->rport_text.len == 0))
        return false;
    if (!via->has_rport) {
        buf_slice(out, via->text);
        return true;
    }
    const char *rest = from + via->rport_text.len;
    if (from[-1] != ';' || (rest != end && *rest != ';'))
        return false;
    buf_add(out, via->text.ptr, (size_t)(from - 1 - via->text.ptr));
    buf_add(out, rest, (size_t)(end - rest));
    return true;
}

/* The same one by one. False: a ';' stands at the end, with nothing behind it. */
static bool write_one_by_one(struct buf *out, const struct sip_via *via)
{
    struct slice rest = via->params, name, value;
    /* Everything in front of the parameters stays as it is. */
    buf_add(out, via->text.ptr,
            (size_t)(via->params.ptr != NULL && via->params.len != 0
                         ? via->params.ptr - via->text.ptr
                         : (ptrdiff_t)via->text.len));
    bool has_semi = via->params.len != 0; /* the ';' in front of the first one is in the head */
    while (sip_param_next(&rest, &name, &value)) {
        if (slice_ieq(name, SLICE("received")) || slice_ieq(name, SLICE("rport")))
            continue;
        if (!has_semi)
            buf_char(out, ';');
        has_semi = false;
        /* The bytes of the parameter, blanks around '=' included. */
        const char *end = value.len != 0 ? value.ptr + value.len : name.ptr + name.len;
        buf_add(out, name.ptr, (size_t)(end - name.ptr));
    }
    return !has_semi;
}

bool sip_write_received(struct buf *out, const struct sip_msg *m)
{
    const struct sip_via *via = &m->via;
    if (m->source.family == ADDR_NONE || via->text.len == 0)
        return false;
    bool add_received = via->has_rport || !is_source(m);
    if (!add_received && via->received.len == 0)
        return false;
    if (!write_others(out, via) && !write_one_by_one(out, via) && out->len != 0)
        out->len--;
    if (add_received) {
        buf_lit(out, ";received=");
        addr_put_ip(out, &m->source, false);
    }
    if (via->has_rport) {
        buf_lit(out, ";rport=");
        buf_u64(out, m->source.port);
    }
    return true;
}
