/* SPDX-License-Identifier: Apache-2.0 */
#include "sip/uri.h"
#include "sip/grammar.h"

/* Behind `scheme ":"`, or 0. scheme = ALPHA *( ALPHA / DIGIT / "+" / "-" / "." ) */
static size_t scheme_end(struct slice s)
{
    size_t i = 0;
    while (i < s.len && (sip_is(s.ptr[i], CH_ALPHA | CH_DIGIT) || s.ptr[i] == '+' ||
                         s.ptr[i] == '-' || s.ptr[i] == '.'))
        i++;
    if (i == 0 || i == s.len || s.ptr[i] != ':' || !sip_is(s.ptr[0], CH_ALPHA))
        return 0;
    return i + 1;
}

static enum sip_scheme scheme_of(struct slice s)
{
    if (slice_ieq(s, SLICE("sip")))
        return SIP_SCHEME_SIP;
    if (slice_ieq(s, SLICE("sips")))
        return SIP_SCHEME_SIPS;
    if (slice_ieq(s, SLICE("tel")))
        return SIP_SCHEME_TEL;
    return SIP_SCHEME_OTHER;
}

/* [ userinfo ] before '@'. Nothing behind the user part may hold a bare '@', so the first one ends
 * it. */
static int parse_userinfo(struct slice info, struct sip_uri *u)
{
    ptrdiff_t colon = slice_chr(info, ':');
    u->user = info;
    if (colon >= 0) {
        u->user = sip_sub(info, 0, (size_t)colon);
        u->password = sip_sub(info, (size_t)colon + 1, info.len);
    }
    if (u->user.len == 0 || !sip_is_escaped_run(u->user, CH_USER) ||
        !sip_is_escaped_run(u->password, CH_PASSWORD))
        return ERR_PARSE;
    u->has_user = true;
    return 0;
}

/* One uri-parameter that a proxy asks for is remembered. */
static void note_param(struct slice name, struct slice value, struct sip_uri *u)
{
    if (slice_ieq(name, SLICE("lr"))) {
        u->lr = true;
    } else if (slice_ieq(name, SLICE("maddr")) && u->maddr.len == 0) {
        u->maddr = value;
    } else if (slice_ieq(name, SLICE("transport")) && u->transport_text.len == 0) {
        u->transport_text = value;
        u->transport = (uint8_t)sip_transport_of(value);
    }
}

/* uri-parameters with their leading ';' from `i` on. Behind them, or 0 when there is a fault. */
static size_t parse_params(struct slice s, size_t i, struct sip_uri *u)
{
    size_t start = i;
    while (i < s.len && s.ptr[i] == ';') {
        size_t name = i + 1;
        size_t end = i = sip_escaped_run(s, name, CH_PARAM);
        struct slice value = SLICE_NONE;
        if (i < s.len && s.ptr[i] == '=') {
            i = sip_escaped_run(s, end + 1, CH_PARAM);
            value = sip_sub(s, end + 1, i);
            if (value.len == 0)
                return 0;
        }
        if (end == name)
            return 0;
        note_param(sip_sub(s, name, end), value, u);
    }
    if (i != start)
        u->params = sip_sub(s, start + 1, i);
    return i;
}

/* header *( "&" header ), header = 1*hname "=" *hvalue */
static bool is_headers(struct slice s)
{
    size_t i = 0;
    for (;;) {
        size_t start = i, eq = s.len;
        while (i < s.len && s.ptr[i] != '&') {
            if (s.ptr[i] == '=' && eq == s.len)
                eq = i;
            i++;
        }
        if (eq == s.len || eq == start || !sip_is_escaped_run(sip_sub(s, start, eq), CH_HEADER) ||
            !sip_is_escaped_run(sip_sub(s, eq + 1, i), CH_HEADER))
            return false;
        if (i++ == s.len)
            return true;
    }
}

/* Everything behind "sip:" and "sips:". */
static int parse_sip(struct slice s, struct sip_uri *u)
{
    ptrdiff_t at = slice_chr(s, '@');
    if (at >= 0) {
        if (parse_userinfo(sip_sub(s, 0, (size_t)at), u) != 0)
            return ERR_PARSE;
        s = sip_sub(s, (size_t)at + 1, s.len);
    }
    size_t i = sip_host_end(s, 0);
    if (i == 0)
        return ERR_PARSE;
    u->host = sip_sub(s, 0, i);
    if (i < s.len && s.ptr[i] == ':') {
        i = sip_port_end(s, i + 1, &u->port);
        if (i == 0)
            return ERR_PARSE;
    }
    i = parse_params(s, i, u);
    if (i == 0)
        return ERR_PARSE;
    if (i == s.len)
        return 0;
    if (s.ptr[i] != '?')
        return ERR_PARSE;
    u->headers = sip_sub(s, i + 1, s.len);
    return is_headers(u->headers) ? 0 : ERR_PARSE;
}

/* Digits with visual separators. */
static bool is_tel_number(struct slice s, bool global)
{
    bool digit = false;
    for (size_t i = 0; i < s.len; i++) {
        char c = s.ptr[i];
        if (sip_is(c, CH_DIGIT) || (!global && (sip_is(c, CH_HEX) || c == '*' || c == '#')))
            digit = true;
        else if (c != '-' && c != '.' && c != '(' && c != ')')
            return false;
    }
    return digit;
}

/* descriptor of phone-context: a domain name or a global number. */
static bool is_tel_context(struct slice s)
{
    if (s.len > 1 && s.ptr[0] == '+')
        return is_tel_number(sip_sub(s, 1, s.len), true);
    return s.len != 0 && s.ptr[0] != '[' && sip_host_end(s, 0) == s.len;
}

/* RFC 3966 section 3: a local number needs phone-context. Phones leave it out, for emergency
 * numbers above all: it then means what the domain that is asked takes it for. */
static int parse_tel(struct slice s, struct sip_uri *u)
{
    size_t end = 0;
    struct slice context;
    while (end < s.len && s.ptr[end] != ';')
        end++;
    u->user = sip_sub(s, 0, end);
    if (end != s.len && parse_params(s, end, u) != s.len)
        return ERR_PARSE;
    u->has_user = true;
    if (sip_param_find(u->params, SLICE("phone-context"), &context) && !is_tel_context(context))
        return ERR_PARSE;
    if (u->user.len != 0 && u->user.ptr[0] == '+')
        return is_tel_number(sip_sub(u->user, 1, end), true) ? 0 : ERR_PARSE;
    return is_tel_number(u->user, false) ? 0 : ERR_PARSE;
}

/* What we carry through unread must still be one word of printable ASCII. */
static bool is_opaque(struct slice s)
{
    for (size_t i = 0; i < s.len; i++) {
        char c = s.ptr[i];
        if (c <= 0x20 || c >= 0x7f || c == '<' || c == '>' || c == '"')
            return false;
    }
    return s.len != 0;
}

int sip_uri_parse(struct slice text, struct sip_uri *out)
{
    memset(out, 0, sizeof(*out));
    out->transport = SIP_TRANSPORT_NONE;
    out->text = text;
    size_t i = scheme_end(text);
    if (i == 0)
        return ERR_PARSE;
    out->scheme_text = sip_sub(text, 0, i - 1);
    out->scheme = scheme_of(out->scheme_text);
    struct slice rest = sip_sub(text, i, text.len);
    switch (out->scheme) {
    case SIP_SCHEME_SIP:
    case SIP_SCHEME_SIPS: return parse_sip(rest, out);
    case SIP_SCHEME_TEL: return parse_tel(rest, out);
    case SIP_SCHEME_OTHER: break;
    }
    return is_opaque(rest) ? 0 : ERR_PARSE;
}

int sip_unescape(struct slice s, struct buf *dst)
{
    for (size_t i = 0; i < s.len; i++) {
        char c = s.ptr[i];
        if (c == '%' && s.len - i >= 3 && sip_is(s.ptr[i + 1], CH_HEX) &&
            sip_is(s.ptr[i + 2], CH_HEX)) {
            c = (char)(sip_hex_value(s.ptr[i + 1]) << 4 | sip_hex_value(s.ptr[i + 2]));
            i += 2;
        }
        buf_char(dst, c);
    }
    return dst->overflow ? ERR_FULL : 0;
}
