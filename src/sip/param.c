/* SPDX-License-Identifier: Apache-2.0 */
#include "sip/grammar.h"
#include "sip/scan.h"
#include "sip/uri.h"

/* Parameters of headers and of URIs have different characters; the walk takes both, the checks of
 * the two places (sip_is_generic_param, the URI parser) are exact. */
#define NAME_CLASSES  (CH_TOKEN | CH_PARAM)
#define VALUE_CLASSES (CH_TOKEN | CH_PARAM)

int sip_param_step(struct slice *rest, struct slice *name, struct slice *value)
{
    struct slice s = *rest;
    size_t i = sip_skip_lws(s, 0);
    if (i == s.len) {
        *rest = sip_sub(s, i, i);
        return 0;
    }
    if (s.ptr[i] == ';')
        i = sip_skip_lws(s, i + 1);
    size_t end = sip_run(s, i, NAME_CLASSES); /* short, mostly */
    if (end == i)
        return -1;
    *name = sip_sub(s, i, end);
    *value = sip_sub(s, end, end);
    i = sip_skip_lws(s, end);
    if (i < s.len && s.ptr[i] == '=') {
        i = sip_skip_lws(s, i + 1);
        if (i < s.len && s.ptr[i] == '"')
            end = sip_quoted_end(s, i);
        else
            end = sip_word_run(s, i, VALUE_CLASSES);
        if (end <= i)
            return -1;
        *value = sip_sub(s, i, end);
        i = sip_skip_lws(s, end);
    }
    if (i < s.len && s.ptr[i] != ';')
        return -1;
    *rest = sip_sub(s, i, s.len);
    return 1;
}

bool sip_param_next(struct slice *rest, struct slice *name, struct slice *value)
{
    return sip_param_step(rest, name, value) > 0;
}

bool sip_param_find(struct slice params, struct slice name, struct slice *value)
{
    struct slice n, v;
    while (sip_param_step(&params, &n, &v) > 0) {
        if (slice_ieq(n, name)) {
            if (value != NULL)
                *value = v;
            return true;
        }
    }
    return false;
}

bool sip_is_generic_param(struct slice name, struct slice value)
{
    if (sip_word_run(name, 0, CH_TOKEN) != name.len)
        return false;
    if (value.len == 0 || value.ptr[0] == '"')
        return true;
    size_t i = sip_word_run(value, 0, CH_TOKEN);
    /* host: an IPv6 reference, or the bare address that RFC 5118 4.5 asks to be accepted */
    while (i < value.len && (value.ptr[i] == '[' || value.ptr[i] == ']' || value.ptr[i] == ':'))
        i = sip_word_run(value, i + 1, CH_TOKEN);
    return i == value.len;
}

/* Behind "token=token" at the front, with or without the ';' before it, when that is one whole
 * parameter; 0: look closely. */
static size_t plain_param(struct slice params)
{
    size_t start = params.len != 0 && params.ptr[0] == ';';
    size_t eq = sip_word_run(params, start, CH_TOKEN);
    if (eq == start || eq >= params.len || params.ptr[eq] != '=')
        return 0;
    size_t end = sip_word_run(params, eq + 1, CH_TOKEN);
    return end > eq + 1 && (end == params.len || params.ptr[end] == ';') ? end : 0;
}

int sip_params_check(struct slice params)
{
    struct slice name, value;
    int step;
    for (;;) {
        size_t plain = plain_param(params);
        if (plain == params.len && plain != 0)
            return 0;
        params = sip_sub(params, plain, params.len);
        step = sip_param_step(&params, &name, &value);
        if (step <= 0)
            return step == 0 ? 0 : ERR_PARSE;
        if (!sip_is_generic_param(name, value))
            return ERR_PARSE;
    }
}

/* Behind the quoted string, comment or bracketed URI that begins at `i`; the end when it is not
 * closed. */
static size_t skip_group(struct slice s, size_t i)
{
    char open = s.ptr[i];
    unsigned depth = 0;
    if (open == '<') {
        const char *close = memchr(s.ptr + i, '>', s.len - i);
        return close != NULL ? (size_t)(close - s.ptr) + 1 : s.len;
    }
    for (; i < s.len; i++) {
        char c = s.ptr[i];
        if (c == '\\')
            i++;
        else if (open == '"' && c == '"' && depth++ == 1)
            return i + 1;
        else if (open == '(' && c == '(')
            depth++;
        else if (open == '(' && c == ')' && --depth == 0)
            return i + 1;
    }
    return s.len;
}

bool sip_list_next(struct slice *rest, struct slice *element)
{
    struct slice s = *rest;
    size_t start = 0;
    for (size_t i = 0; i < s.len || start < i;) {
        i = (size_t)(scan_list_stop(s.ptr + i, s.ptr + s.len) - s.ptr);
        if (i < s.len && s.ptr[i] != ',') {
            i = skip_group(s, i);
            continue;
        }
        struct slice e = slice_trim(sip_sub(s, start, i));
        if (e.len != 0) {
            *element = e;
            *rest = i < s.len ? sip_sub(s, i + 1, s.len) : sip_sub(s, i, i);
            return true;
        }
        i++;
        start = i;
    }
    *rest = sip_sub(s, s.len, s.len);
    return false;
}

int sip_q_parse(struct slice text, unsigned *out)
{
    unsigned value, unit = 100;
    if (text.len == 0 || text.len > 5 || (text.ptr[0] != '0' && text.ptr[0] != '1'))
        return ERR_PARSE;
    value = text.ptr[0] == '1' ? 1000 : 0;
    if (text.len > 1 && text.ptr[1] != '.')
        return ERR_PARSE;
    for (size_t i = 2; i < text.len; i++, unit /= 10) {
        if (!sip_is(text.ptr[i], CH_DIGIT))
            return ERR_PARSE;
        value += (unsigned)(text.ptr[i] - '0') * unit;
    }
    if (value > 1000)
        return ERR_PARSE;
    *out = value;
    return 0;
}
