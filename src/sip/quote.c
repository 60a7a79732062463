/* SPDX-License-Identifier: Apache-2.0 */
#include "sip/quote.h"

#include "sip/write.h"

/* Takes the first line off, without its end; false: its end is not there. */
static bool next_line(struct slice *rest, struct slice *line)
{
    ptrdiff_t end = slice_chr(*rest, '\n');
    if (end < 0)
        return false;
    size_t len = (size_t)end;
    *line = slice_of(rest->ptr, len != 0 && rest->ptr[len - 1] == '\r' ? len - 1 : len);
    *rest = slice_of(rest->ptr + len + 1, rest->len - len - 1);
    return true;
}

/* The branch in a line of Via that may be cut off behind it. */
static struct slice branch_in(struct slice line)
{
    const struct slice name = SLICE(";branch=");
    const char *at = memmem(line.ptr, line.len, name.ptr, name.len);
    if (at == NULL)
        return SLICE_NONE;
    size_t left = line.len - (size_t)(at - line.ptr) - name.len;
    return left < SIP_BRANCH_LEN ? SLICE_NONE : slice_of(at + name.len, SIP_BRANCH_LEN);
}

/* Ours stands before those of all others, though lines of other names may stand before it. */
static int read_via(struct slice rest, struct sip_quote *out)
{
    const struct slice begin = SLICE("Via: SIP/2.0/UDP ");
    struct slice line;
    bool is_whole = true;
    while (is_whole) {
        is_whole = next_line(&rest, &line);
        if (!is_whole)
            line = rest;
        if (slice_starts(line, begin))
            return sip_branch_parse(branch_in(line), &out->id, &out->loop);
        if (line.len == 0)
            break;
    }
    return ERR_NOT_FOUND;
}

int sip_quote_read(struct slice bytes, struct sip_quote *out)
{
    struct slice line;
    *out = (struct sip_quote){.is_request = !slice_starts(bytes, SLICE("SIP/2.0 "))};
    if (!out->is_request)
        return 0;
    if (!next_line(&bytes, &line))
        return ERR_NOT_FOUND;
    ptrdiff_t end = slice_chr(line, ' ');
    if (end <= 0)
        return ERR_NOT_FOUND;
    out->method = sip_method_of(slice_of(line.ptr, (size_t)end));
    return read_via(bytes, out);
}
