/* SPDX-License-Identifier: Apache-2.0 */
/* Comparison of URIs: RFC 3261 section 19.1.4 with RFC 5954 (addresses), RFC 3966 section 4 (tel).
 */
#include "base/addr.h"
#include "sip/grammar.h"
#include "sip/uri.h"

/* Comparing n with m parameters takes n times m steps. With more of them URIs are equal only when
 * their texts are, so that a peer cannot make us spend them. */
#define PAIRS_MAX 48

/* One character, unescaped. RFC 3261 19.1.4: "%HH" equals the character it stands for, except where
 * that is in the reserved set; such a one comes back with 256 added. */
static unsigned next_char(struct slice s, size_t *i, bool fold_case)
{
    char c = s.ptr[(*i)++];
    unsigned reserved = 0;
    if (c == '%' && s.len - *i >= 2) {
        c = (char)(sip_hex_value(s.ptr[*i]) << 4 | sip_hex_value(s.ptr[*i + 1]));
        *i += 2;
        if (c != '\0' && strchr(";/?:@&=+$,", c) != NULL)
            reserved = 256;
    }
    return (unsigned char)(fold_case ? ascii_lower(c) : c) + reserved;
}

/* Slices that the parser has checked: every '%' is followed by two digits. */
static bool text_eq(struct slice a, struct slice b, bool fold_case)
{
    size_t i = 0, j = 0;
    while (i < a.len && j < b.len) {
        if (next_char(a, &i, fold_case) != next_char(b, &j, fold_case))
            return false;
    }
    return i == a.len && j == b.len;
}

static bool host_eq(struct slice a, struct slice b)
{
    struct addr x, y;
    if (slice_ieq(a, b))
        return true;
    if (a.len == 0 || b.len == 0 || a.ptr[0] != '[' || b.ptr[0] != '[')
        return false;
    return addr_parse_ip(a, 0, &x) == 0 && addr_parse_ip(b, 0, &y) == 0 && addr_eq_ip(&x, &y);
}

/* Next "name[=value]" up to `sep`; false at the end. */
static bool next_pair(struct slice *rest, char sep, struct slice *name, struct slice *value)
{
    if (rest->len == 0)
        return false;
    ptrdiff_t end = slice_chr(*rest, sep);
    struct slice pair = sip_sub(*rest, 0, end < 0 ? rest->len : (size_t)end);
    *rest = sip_sub(*rest, end < 0 ? rest->len : (size_t)end + 1, rest->len);
    ptrdiff_t eq = slice_chr(pair, '=');
    *name = sip_sub(pair, 0, eq < 0 ? pair.len : (size_t)eq);
    *value = sip_sub(pair, eq < 0 ? pair.len : (size_t)eq + 1, pair.len);
    return true;
}

static bool find_pair(struct slice rest, char sep, struct slice name, struct slice *value)
{
    struct slice n;
    while (next_pair(&rest, sep, &n, value)) {
        if (text_eq(n, name, true))
            return true;
    }
    return false;
}

static bool is_many(struct slice s, char sep)
{
    unsigned n = 1;
    for (size_t i = 0; i < s.len; i++)
        n += s.ptr[i] == sep;
    return n > PAIRS_MAX;
}

/* These never match when only one URI has them, even with their default value. */
static bool is_never_ignored(struct slice name)
{
    static const struct slice names[] = {
        {"transport", 9}, {"user", 4}, {"method", 6}, {"ttl", 3}, {"maddr", 5},
    };
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        if (text_eq(name, names[i], true))
            return true;
    }
    return false;
}

/* A value of maddr is a host, one of method is as case-sensitive as methods are. */
static bool value_eq(struct slice name, struct slice a, struct slice b)
{
    if (text_eq(name, SLICE("maddr"), true))
        return host_eq(a, b);
    return text_eq(a, b, !text_eq(name, SLICE("method"), true));
}

/* Does every pair of `a` agree with `b`? `all`: none may be missing in `b`. */
static bool pairs_in(struct slice a, struct slice b, char sep, bool all)
{
    struct slice name, value, other;
    while (next_pair(&a, sep, &name, &value)) {
        if (!find_pair(b, sep, name, &other)) {
            if (all || is_never_ignored(name))
                return false;
        } else if (!value_eq(name, value, other)) {
            return false;
        }
    }
    return true;
}

static bool pairs_eq(struct slice a, struct slice b, char sep, bool all)
{
    if (slice_eq(a, b))
        return true;
    if (is_many(a, sep) || is_many(b, sep))
        return false;
    return pairs_in(a, b, sep, all) && pairs_in(b, a, sep, all);
}

static bool is_separator(char c)
{
    return c == '-' || c == '.' || c == '(' || c == ')';
}

/* Numbers without regard to visual separators. */
static bool number_eq(struct slice a, struct slice b)
{
    size_t i = 0, j = 0;
    for (;;) {
        while (i < a.len && is_separator(a.ptr[i]))
            i++;
        while (j < b.len && is_separator(b.ptr[j]))
            j++;
        if (i == a.len || j == b.len)
            return i == a.len && j == b.len;
        if (ascii_lower(a.ptr[i++]) != ascii_lower(b.ptr[j++]))
            return false;
    }
}

/* Parameters whose value is a number with separators. */
static bool tel_value_eq(struct slice name, struct slice a, struct slice b)
{
    bool is_number = text_eq(name, SLICE("ext"), true) ||
                     (text_eq(name, SLICE("phone-context"), true) && a.len != 0 && a.ptr[0] == '+');
    return is_number ? number_eq(a, b) : text_eq(a, b, true);
}

static bool tel_params_in(struct slice a, struct slice b)
{
    struct slice name, value, other;
    while (next_pair(&a, ';', &name, &value)) {
        if (!find_pair(b, ';', name, &other) || !tel_value_eq(name, value, other))
            return false;
    }
    return true;
}

static bool tel_eq(const struct sip_uri *a, const struct sip_uri *b)
{
    if (!number_eq(a->user, b->user))
        return false;
    if (slice_eq(a->params, b->params))
        return true;
    if (is_many(a->params, ';') || is_many(b->params, ';'))
        return false;
    return tel_params_in(a->params, b->params) && tel_params_in(b->params, a->params);
}

bool sip_uri_eq(const struct sip_uri *a, const struct sip_uri *b)
{
    if (a->scheme != b->scheme || !slice_ieq(a->scheme_text, b->scheme_text))
        return false;
    if (a->scheme == SIP_SCHEME_OTHER)
        return slice_eq(sip_sub(a->text, a->scheme_text.len, a->text.len),
                        sip_sub(b->text, b->scheme_text.len, b->text.len));
    if (a->scheme == SIP_SCHEME_TEL)
        return tel_eq(a, b);
    bool has_password = a->password.ptr != NULL;
    return a->has_user == b->has_user && text_eq(a->user, b->user, false) &&
           has_password == (b->password.ptr != NULL) && text_eq(a->password, b->password, false) &&
           host_eq(a->host, b->host) && a->port == b->port &&
           pairs_eq(a->params, b->params, ';', false) &&
           pairs_eq(a->headers, b->headers, '&', true);
}
