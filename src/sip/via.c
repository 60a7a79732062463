/* SPDX-License-Identifier: Apache-2.0 */
#include "sip/grammar.h"
#include "sip/oc.h"
#include "sip/uri.h"

/* token, then the separator with white space around it. Behind both, or 0. */
static size_t take_word(struct slice s, size_t i, char separator, struct slice *word)
{
    size_t end = sip_run(s, i, CH_TOKEN);
    if (end == i)
        return 0;
    *word = sip_sub(s, i, end);
    i = sip_skip_lws(s, end);
    if (i == s.len || s.ptr[i] != separator)
        return 0;
    return sip_skip_lws(s, i + 1);
}

/* sent-protocol = protocol-name SLASH protocol-version SLASH transport LWS. Behind it, or 0. Name
 * and version are not compared, so that a message of another version can be answered by 505. */
static size_t take_protocol(struct slice s, struct sip_via *out)
{
    struct slice word;
    size_t i;
    if (slice_starts(s, SLICE("SIP/2.0/"))) {
        i = sip_skip_lws(s, 8);
    } else {
        i = take_word(s, 0, '/', &word);
        if (i != 0)
            i = take_word(s, i, '/', &word);
        if (i == 0)
            return 0;
    }
    size_t end = sip_run(s, i, CH_TOKEN);
    if (end == i)
        return 0;
    out->transport_text = sip_sub(s, i, end);
    out->transport = (uint8_t)sip_transport_of(out->transport_text);
    i = sip_skip_lws(s, end);
    return i == end ? 0 : i;
}

/* sent-by = host [ COLON port ]. Behind it, or 0. */
static size_t take_sent_by(struct slice s, size_t i, struct sip_via *out)
{
    size_t end = sip_host_end(s, i);
    if (end == 0)
        return 0;
    out->host = sip_sub(s, i, end);
    i = sip_skip_lws(s, end);
    return i < s.len && s.ptr[i] == ':' ? sip_port_end(s, sip_skip_lws(s, i + 1), &out->port) : end;
}

/* The grammar has no brackets here, and implementations write them: RFC 5118 4.5 asks for both. */
static bool is_received(struct slice v)
{
    if (v.len > 2 && v.ptr[0] == '[' && v.ptr[v.len - 1] == ']')
        v = sip_sub(v, 1, v.len - 1);
    return sip_is_ip4(v) || sip_is_ip6(v);
}

/* rport with or without a value; which one it is, is known only of the only one. */
static bool take_rport(struct slice name, struct slice value, struct sip_via *out)
{
    if (out->has_rport) {
        out->rport_text = SLICE_NONE;
        return sip_is_generic_param(name, value);
    }
    out->has_rport = true;
    out->rport_text = slice_of(name.ptr, (size_t)(value.ptr + value.len - name.ptr));
    return value.len == 0 || sip_port_end(value, 0, &out->rport) == value.len;
}

/* One of via-params. The first of a name counts; its own check is stricter than that of
 * generic-param, which is for all others. */
static bool take_param(struct slice name, struct slice value, struct sip_via *out)
{
    switch (name.len) {
    case 2:
        if (value.len != 0 && slice_ieq(name, SLICE("oc")))
            out->has_oc = true;
        break;
    case 5:
        if (slice_ieq(name, SLICE("rport")))
            return take_rport(name, value, out);
        if (out->maddr.len == 0 && slice_ieq(name, SLICE("maddr"))) {
            out->maddr = value;
            return value.len != 0 && sip_host_end(value, 0) == value.len;
        }
        if (slice_ieq(name, SLICE("alias")))
            out->has_alias = true;
        break;
    case 6:
        if (out->branch.len == 0 && slice_ieq(name, SLICE("branch"))) {
            out->branch = value;
            return value.len != 0 && sip_word_run(value, 0, CH_TOKEN) == value.len;
        }
        break;
    case 8:
        if (out->received.len == 0 && slice_ieq(name, SLICE("received"))) {
            out->received = value;
            return is_received(value);
        }
        break;
    default: break;
    }
    return sip_is_generic_param(name, value);
}

/* Is `s` at its end, or at the next parameter, at `i`? */
static bool is_param_end(struct slice s, size_t i)
{
    return i == s.len || s.ptr[i] == ';';
}

/* What most have, and what we write ourselves (it comes back with each response), when it is a
 * whole parameter without blanks. The bytes; 0: look closely. */
static size_t take_usual(struct slice s, struct sip_via *out)
{
    struct slice branch = SLICE(";branch="), rport = SLICE(";rport"), offer = SLICE(SIP_OC_OFFER);
    if (out->branch.len == 0 && slice_starts(s, branch)) {
        size_t end = sip_word_run(s, branch.len, CH_TOKEN);
        if (end == branch.len || !is_param_end(s, end))
            return 0;
        out->branch = sip_sub(s, branch.len, end);
        return end;
    }
    if (!out->has_rport && slice_starts(s, rport) && is_param_end(s, rport.len)) {
        out->has_rport = true;
        out->rport_text = sip_sub(s, 1, rport.len);
        return rport.len;
    }
    return slice_starts(s, offer) && is_param_end(s, offer.len) ? offer.len : 0;
}

int sip_via_parse(struct slice value, struct sip_via *out)
{
    struct slice s = slice_trim(value), name, param;

    memset(out, 0, sizeof(*out));
    out->text = s;
    out->transport = SIP_TRANSPORT_NONE;
    size_t i = take_protocol(s, out);
    if (i != 0)
        i = take_sent_by(s, i, out);
    if (i == 0)
        return ERR_PARSE;
    i = sip_skip_lws(s, i);
    if (i == s.len)
        return 0;
    if (s.ptr[i] != ';')
        return ERR_PARSE;
    out->params = sip_sub(s, i + 1, s.len);
    struct slice rest = sip_sub(s, i, s.len);
    while (rest.len != 0) {
        size_t usual = take_usual(rest, out);
        if (usual != 0) {
            rest = sip_sub(rest, usual, rest.len);
            continue;
        }
        int step = sip_param_step(&rest, &name, &param);
        if (step == 0)
            break;
        if (step < 0 || !take_param(name, param, out))
            return ERR_PARSE;
    }
    return 0;
}
