/* SPDX-License-Identifier: Apache-2.0 */
/* What a row tells of a message. It may be one that was refused, or cut: what is there is read, and
 * nothing is asked of the rest. */
#include "sip/method.h"
#include "trace/trace_int.h"

/* The next line with its folds, without its end; false at the end of the head. */
static bool next_line(struct slice *rest, struct slice *line)
{
    const char *p = rest->ptr, *end = p + rest->len;
    if (rest->len == 0)
        return false;
    for (;;) {
        const char *lf = memchr(p, '\n', (size_t)(end - p));
        p = lf != NULL ? lf + 1 : end;
        if (p == end || (*p != ' ' && *p != '\t'))
            break;
    }
    *line = slice_trim(slice_of(rest->ptr, (size_t)(p - rest->ptr)));
    *rest = slice_of(p, (size_t)(end - p));
    return line->len != 0;
}

static struct slice word(struct slice *rest)
{
    ptrdiff_t blank = slice_chr(*rest, ' ');
    size_t n = blank >= 0 ? (size_t)blank : rest->len;
    struct slice w = slice_of(rest->ptr, n);
    n += blank >= 0;
    *rest = slice_of(rest->ptr + n, rest->len - n);
    return w;
}

static void read_start(struct slice line, struct trace_facts *out)
{
    uint64_t status;
    out->start_line = line;
    struct slice first = word(&line), second = word(&line);
    if (slice_eq(first, SLICE("SIP/2.0"))) {
        if (slice_u64(second, 999, &status) == 0)
            out->status = (unsigned)status;
        return;
    }
    if (slice_istarts(line, SLICE("SIP/"))) {
        out->method = first;
        out->uri = second;
    }
}

static void read_header(struct slice line, struct trace_facts *out)
{
    ptrdiff_t colon = slice_chr(line, ':');
    if (colon <= 0)
        return;
    size_t at = (size_t)colon + 1;
    struct slice name = slice_trim(slice_of(line.ptr, (size_t)colon));
    struct slice value = slice_trim(slice_of(line.ptr + at, line.len - at)), *to = NULL;
    enum sip_hdr_id id = sip_hdr_of(name);
    if (id == SIP_H_CALL_ID)
        to = &out->call_id;
    else if (id == SIP_H_CSEQ)
        to = &out->cseq;
    else if (id == SIP_H_FROM)
        to = &out->from;
    else if (id == SIP_H_TO)
        to = &out->to;
    if (to != NULL && to->len == 0)
        *to = value;
}

void trace_read(struct slice message, struct trace_facts *out)
{
    struct slice rest = message, line;
    *out = (struct trace_facts){0};
    while (rest.len != 0 && (*rest.ptr == '\r' || *rest.ptr == '\n'))
        rest = slice_of(rest.ptr + 1, rest.len - 1);
    if (!next_line(&rest, &line))
        return;
    read_start(line, out);
    while (next_line(&rest, &line))
        read_header(line, out);
    if (out->status != 0) {
        struct slice number = out->cseq;
        (void)word(&number);
        out->method = slice_trim(number);
    }
}

/* --- URIs ------------------------------------------------------------------------------------- */

static struct slice up_to(struct slice s, char stop)
{
    ptrdiff_t n = slice_chr(s, stop);
    return n >= 0 ? slice_of(s.ptr, (size_t)n) : s;
}

struct slice trace_uri(struct slice value)
{
    const char *p = value.ptr, *end = p + value.len;
    bool is_quoted = false;
    for (; p < end && (*p != '<' || is_quoted); p++) {
        if (*p == '"')
            is_quoted = !is_quoted;
        else if (*p == '\\' && is_quoted && p + 1 < end)
            p++;
    }
    if (p < end)
        return up_to(slice_of(p + 1, (size_t)(end - p) - 1), '>');
    return slice_trim(up_to(value, ';'));
}

static struct slice host_of(struct slice s)
{
    size_t n = 0;
    if (s.len != 0 && s.ptr[0] == '[') {
        struct slice inside = up_to(slice_of(s.ptr + 1, s.len - 1), ']');
        return inside;
    }
    while (n < s.len && strchr(":;?>", s.ptr[n]) == NULL)
        n++;
    return slice_of(s.ptr, n);
}

bool trace_uri_is(struct slice uri, struct slice text)
{
    ptrdiff_t colon = slice_chr(uri, ':');
    if (colon < 0)
        return false;
    struct slice rest = slice_of(uri.ptr + colon + 1, uri.len - (size_t)colon - 1);
    ptrdiff_t at = slice_chr(rest, '@');
    if (text.len > 2 && text.ptr[0] == '[' && text.ptr[text.len - 1] == ']')
        text = slice_of(text.ptr + 1, text.len - 2);
    if (at < 0) /* also a number: tel:+49… */
        return slice_ieq(host_of(rest), text);
    struct slice user = slice_of(rest.ptr, (size_t)at);
    struct slice host = slice_of(rest.ptr + at + 1, rest.len - (size_t)at - 1);
    return slice_ieq(user, text) || slice_ieq(up_to(up_to(user, ':'), ';'), text) ||
           slice_ieq(host_of(host), text);
}
