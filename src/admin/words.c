/* SPDX-License-Identifier: Apache-2.0 */
/* Words of a command, and of the lines that the rooms dump. */
#include <stdio.h>

#include "admin/admin_int.h"

static bool refuse(char *why, const char *text)
{
    snprintf(why, ADMIN_WHY_MAX, "%s", text);
    return false;
}

/* A TAB stands between words that may hold blanks; a line typed by hand has none. */
bool admin_parse(struct slice line, struct admin_args *out, char *why)
{
    bool has_tab = slice_chr(line, '\t') >= 0;
    size_t at = 0;
    out->n = 0;
    if (line.len > ADMIN_LINE_MAX)
        return refuse(why, "the command is too long");
    for (size_t i = 0; i < line.len; i++)
        if (((unsigned char)line.ptr[i] < 0x20 && line.ptr[i] != '\t') || line.ptr[i] == 0x7f)
            return refuse(why, "the command holds a control character");
    while (at < line.len) {
        size_t end = at;
        while (end < line.len && line.ptr[end] != (has_tab ? '\t' : ' '))
            end++;
        if (end > at && out->n == ADMIN_WORDS)
            return refuse(why, "the command has too many words");
        if (end > at)
            out->word[out->n++] = slice_of(line.ptr + at, end - at);
        at = end + 1;
    }
    return out->n != 0 || refuse(why, "there is no command; try help");
}

/* "10.0.0.1" in "10.0.0.1:5060", "::1" in "[::1]:5060". */
static bool is_address_of(struct slice word, struct slice want)
{
    if (word.len > want.len + 3 && word.ptr[0] == '[' && word.ptr[want.len + 1] == ']')
        return slice_ieq(slice_of(word.ptr + 1, want.len), want);
    return word.len > want.len + 1 && word.ptr[want.len] == ':' &&
           slice_chr(slice_of(word.ptr, want.len), ':') < 0 &&
           slice_eq(slice_of(word.ptr, want.len), want);
}

bool admin_line_has(const char *line, struct slice want)
{
    struct slice rest = slice_str(line);
    while (rest.len != 0) {
        size_t end = 0;
        while (end < rest.len && rest.ptr[end] != ' ')
            end++;
        struct slice word = slice_of(rest.ptr, end);
        ptrdiff_t eq = slice_chr(word, '=');
        struct slice value = eq >= 0 ? slice_of(word.ptr + eq + 1, word.len - (size_t)eq - 1)
                                     : word;
        if (slice_eq(word, want) || slice_eq(value, want) || is_address_of(value, want))
            return true;
        rest = end < rest.len ? slice_of(rest.ptr + end + 1, rest.len - end - 1) : SLICE_NONE;
    }
    return false;
}
