/* SPDX-License-Identifier: Apache-2.0 */
#include "sip/grammar.h"
#include "sip/scan.h"
#include "sip/uri.h"

/* Header parameters from `i` on, not looked into. */
static int take_params(struct slice s, size_t i, struct sip_name_addr *out)
{
    i = sip_skip_lws(s, i);
    if (i == s.len)
        return 0;
    if (s.ptr[i] != ';')
        return ERR_PARSE;
    out->params = slice_trim(sip_sub(s, i + 1, s.len));
    if (out->params.len == 0 || out->params.ptr[0] == ';')
        return ERR_PARSE;
    return 0;
}

/* LAQUOT addr-spec RAQUOT at `i`. */
static int take_brackets(struct slice s, size_t i, struct sip_name_addr *out)
{
    size_t start = ++i;
    i = (size_t)(scan_uri_end(s.ptr + i, s.ptr + s.len) - s.ptr);
    if (i == s.len || s.ptr[i] != '>' || i == start)
        return ERR_PARSE;
    out->brackets = true;
    out->uri = sip_sub(s, start, i);
    return take_params(s, i + 1, out);
}

/* addr-spec without brackets: RFC 3261 20 allows no ',', ';' and '?' in it, so ';' ends it. */
static int take_addr_spec(struct slice s, struct sip_name_addr *out)
{
    size_t end = (size_t)(scan_uri_end(s.ptr, s.ptr + s.len) - s.ptr), i = 0;
    while (i < end && s.ptr[i] != ';') {
        if (s.ptr[i] == ',' || s.ptr[i] == '?')
            return ERR_PARSE;
        i++;
    }
    if (slice_chr(sip_sub(s, 0, i), ':') <= 0)
        return ERR_PARSE;
    out->uri = sip_sub(s, 0, i);
    return take_params(s, i, out);
}

int sip_name_addr_split(struct slice value, struct sip_name_addr *out)
{
    struct slice s = slice_trim(value);
    size_t i = 0;

    memset(out, 0, sizeof(*out));
    if (s.len == 0)
        return ERR_PARSE;
    if (s.len == 1 && s.ptr[0] == '*') {
        out->star = true;
        return 0;
    }
    if (s.ptr[0] == '"') {
        i = sip_quoted_end(s, 0);
        if (i == 0)
            return ERR_PARSE;
        out->display = sip_sub(s, 0, i);
        i = sip_skip_lws(s, i);
        return i < s.len && s.ptr[i] == '<' ? take_brackets(s, i, out) : ERR_PARSE;
    }
    /* *( token LWS ) before '<'; the blank before '<' may be missing (RFC 4475 3.1.1.6). */
    for (size_t next = 0; next < s.len; i = next) {
        next = sip_skip_lws(s, sip_run(s, i, CH_TOKEN));
        if (next == i)
            break;
    }
    if (i < s.len && s.ptr[i] == '<') {
        out->display = slice_trim(sip_sub(s, 0, i));
        return take_brackets(s, i, out);
    }
    return take_addr_spec(s, out);
}

int sip_name_addr_parse(struct slice value, struct sip_name_addr *out)
{
    int err = sip_name_addr_split(value, out);
    return err == 0 && out->params.len != 0 ? sip_params_check(out->params) : err;
}
