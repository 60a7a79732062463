/* SPDX-License-Identifier: Apache-2.0 */
#include "sip/grammar.h"

#include "base/addr.h"
#include "sip/scan.h"

/* Sets of classes as RFC 3261 25.1 builds them. */
enum {
    IN_URI = CH_USER | CH_PASSWORD | CH_PARAM | CH_HEADER,
    ALNUM = CH_TOKEN | IN_URI,
    LETTER = ALNUM | CH_ALPHA,
    HEXLETTER = LETTER | CH_HEX,
    NUMBER = ALNUM | CH_HEX | CH_DIGIT,
    MARK = CH_TOKEN | IN_URI, /* marks that are token characters too */
};

const uint8_t sip_char_table[256] = {
    ['0' ... '9'] = NUMBER,
    ['A' ... 'F'] = HEXLETTER,
    ['G' ... 'Z'] = LETTER,
    ['a' ... 'f'] = HEXLETTER,
    ['g' ... 'z'] = LETTER,
    ['-'] = MARK,
    ['_'] = MARK,
    ['.'] = MARK,
    ['!'] = MARK,
    ['~'] = MARK,
    ['*'] = MARK,
    ['\''] = MARK,
    ['('] = IN_URI,
    [')'] = IN_URI,
    ['%'] = CH_TOKEN,
    ['`'] = CH_TOKEN,
    ['+'] = CH_TOKEN | IN_URI,
    ['$'] = IN_URI,
    ['&'] = CH_USER | CH_PASSWORD | CH_PARAM,
    ['='] = CH_USER | CH_PASSWORD,
    [','] = CH_USER | CH_PASSWORD,
    [';'] = CH_USER,
    ['?'] = CH_USER | CH_HEADER,
    ['/'] = CH_USER | CH_PARAM | CH_HEADER,
    ['['] = CH_PARAM | CH_HEADER,
    [']'] = CH_PARAM | CH_HEADER,
    [':'] = CH_PARAM | CH_HEADER,
};

/* Length of the fold (line end and the blank behind it) at `i`, or 0. */
static size_t fold_at(struct slice s, size_t i)
{
    size_t eol = 0;
    if (i < s.len && s.ptr[i] == '\n')
        eol = 1;
    else if (i + 1 < s.len && s.ptr[i] == '\r' && s.ptr[i + 1] == '\n')
        eol = 2;
    if (eol != 0 && i + eol < s.len && sip_is_blank(s.ptr[i + eol]))
        return eol + 1;
    return 0;
}

size_t sip_skip_lws_there(struct slice s, size_t i)
{
    for (;;) {
        while (i < s.len && sip_is_blank(s.ptr[i]))
            i++;
        size_t fold = fold_at(s, i);
        if (fold == 0)
            return i;
        i += fold;
    }
}

size_t sip_quoted_end(struct slice s, size_t i)
{
    for (i++; i < s.len;) {
        i = (size_t)(scan_quoted_stop(s.ptr + i, s.ptr + s.len) - s.ptr);
        if (i == s.len)
            return 0;
        unsigned char c = (unsigned char)s.ptr[i];
        if (c == '"')
            return i + 1;
        if (c == '\\') {
            /* quoted-pair: any ASCII character but CR and LF */
            if (i + 1 >= s.len || s.ptr[i + 1] == '\r' || s.ptr[i + 1] == '\n')
                return 0;
            i += 2;
        } else if (c == '\r' || c == '\n') {
            size_t fold = fold_at(s, i);
            if (fold == 0)
                return 0;
            i += fold;
        } else if (c == '\t') {
            i++;
        } else {
            return 0;
        }
    }
    return 0;
}

size_t sip_word_run(struct slice s, size_t i, unsigned classes)
{
#if defined(__SSE2__)
    while (s.len >= 16 && i < s.len) {
        /* The last block begins in front of `i`. */
        size_t at = s.len - i >= 16 ? i : s.len - 16;
        unsigned hits = scan_hits_not_plain(s.ptr + at) >> (i - at);
        if (hits == 0) {
            i = at + 16;
            continue;
        }
        i += (unsigned)__builtin_ctz(hits);
        if (!sip_is(s.ptr[i], classes))
            return i;
        i++;
    }
#endif
    return sip_run(s, i, classes);
}

size_t sip_escaped_run(struct slice s, size_t i, unsigned classes)
{
    for (;;) {
        i = sip_word_run(s, i, classes);
        if (s.len - i < 3 || s.ptr[i] != '%' || !sip_is(s.ptr[i + 1], CH_HEX) ||
            !sip_is(s.ptr[i + 2], CH_HEX))
            return i;
        i += 3;
    }
}

unsigned sip_hex_value(char c)
{
    if (sip_is(c, CH_DIGIT))
        return (unsigned)(c - '0');
    return (unsigned)(ascii_lower(c) - 'a') + 10;
}

/* Behind the four numbers at `i`, or 0. */
static size_t ip4_end(struct slice s, size_t i)
{
    const char *p = s.ptr + i, *end = s.ptr + s.len;
    uint8_t number;
    for (unsigned part = 0; addr_octet(&p, end, &number); part++) {
        if (part == 3)
            return (size_t)(p - s.ptr);
        if (p == end || *p++ != '.')
            return 0;
    }
    return 0;
}

bool sip_is_ip4(struct slice s)
{
    return s.len != 0 && ip4_end(s, 0) == s.len;
}

/* At a group: behind up to four hexadecimal digits. */
static size_t hex_group(struct slice s, size_t i)
{
    size_t end = i;
    while (end < s.len && end - i < 4 && sip_is(s.ptr[end], CH_HEX))
        end++;
    return end;
}

bool sip_is_ip6(struct slice s)
{
    unsigned groups = 0;
    bool compressed = false;
    size_t i = 0;

    if (s.len >= 2 && s.ptr[0] == ':' && s.ptr[1] == ':') {
        compressed = true;
        i = 2;
    }
    /* The grammar of RFC 3261 has a third colon before an IPv4 tail; RFC 5118 4.10: accept both. */
    if (compressed && i < s.len && s.ptr[i] == ':' && sip_is_ip4(sip_sub(s, i + 1, s.len)))
        i++;
    while (i < s.len) {
        size_t end = hex_group(s, i);
        if (end == i)
            return false;
        if (end < s.len && s.ptr[end] == '.') {
            if (!sip_is_ip4(sip_sub(s, i, s.len)))
                return false;
            groups += 2;
            break;
        }
        groups++;
        i = end;
        if (i == s.len)
            break;
        if (s.ptr[i++] != ':' || i == s.len)
            return false;
        if (s.ptr[i] == ':') {
            if (compressed)
                return false;
            compressed = true;
            i++;
            if (i < s.len && s.ptr[i] == ':' && sip_is_ip4(sip_sub(s, i + 1, s.len)))
                i++;
        }
    }
    return compressed ? groups <= 7 : groups == 8;
}

/* hostname: labels that neither begin nor end with '-'; the last one begins with a letter. '_' is
 * in no hostname of RFC 3261, but in those of real machines. */
static bool is_hostname(struct slice s)
{
    size_t label = 0;
    if (s.len > 0 && s.ptr[s.len - 1] == '.')
        s.len--;
    if (s.len == 0)
        return false;
    for (size_t i = 0; i <= s.len; i++) {
        if (i < s.len && s.ptr[i] != '.')
            continue;
        if (i == label || s.ptr[label] == '-' || s.ptr[i - 1] == '-')
            return false;
        if (i < s.len)
            label = i + 1;
    }
    return sip_is(s.ptr[label], CH_ALPHA);
}

static bool is_host_char(char c)
{
    return sip_is(c, CH_ALPHA | CH_DIGIT) || c == '-' || c == '.' || c == '_';
}

size_t sip_host_end(struct slice s, size_t i)
{
    size_t end = i;
    if (i < s.len && s.ptr[i] == '[') {
        while (end < s.len && s.ptr[end] != ']')
            end++;
        if (end == s.len || !sip_is_ip6(sip_sub(s, i + 1, end)))
            return 0;
        return end + 1;
    }
    if (i < s.len && sip_is(s.ptr[i], CH_DIGIT)) {
        end = ip4_end(s, i);
        if (end != 0 && (end == s.len || !is_host_char(s.ptr[end])))
            return end;
        end = i;
    }
    /* The last label of a hostname begins with a letter, so that no text is both. */
    while (end < s.len && is_host_char(s.ptr[end]))
        end++;
    return is_hostname(sip_sub(s, i, end)) ? end : 0;
}

size_t sip_port_end(struct slice s, size_t i, uint16_t *port)
{
    unsigned value = 0, digit;
    for (; i < s.len && (digit = (unsigned)(unsigned char)s.ptr[i] - '0') <= 9; i++) {
        value = value * 10 + digit;
        if (value > UINT16_MAX)
            return 0;
    }
    *port = (uint16_t)value;
    return value != 0 ? i : 0;
}
