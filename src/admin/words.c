/* SPDX-License-Identifier: Apache-2.0 */
/* Words of a command, and the search for them in rows. */
#include <stdio.h>

#include "admin/admin_int.h"

static bool refuse(char *why, const char *text)
{
    snprintf(why, ADMIN_WHY_MAX, "%s", text);
    return false;
}

/* A TAB stands between words that may hold blanks, or nothing: an argument that is left out. A line
 * typed by hand has none. */
bool admin_parse(struct slice line, struct admin_args *out, char *why)
{
    bool has_tab = slice_chr(line, '\t') >= 0;
    out->n = 0;
    if (line.len > ADMIN_LINE_MAX)
        return refuse(why, "the command is too long");
    for (size_t i = 0; i < line.len; i++)
        if (((unsigned char)line.ptr[i] < 0x20 && line.ptr[i] != '\t') || line.ptr[i] == 0x7f)
            return refuse(why, "the command holds a control character");
    for (size_t at = 0, end; at < line.len; at = end + 1) {
        for (end = at; end < line.len && line.ptr[end] != (has_tab ? '\t' : ' '); end++)
            continue;
        if (end == at && !has_tab)
            continue;
        if (out->n == ADMIN_WORDS)
            return refuse(why, "the command has too many words");
        out->word[out->n++] = slice_of(line.ptr + at, end - at);
    }
    while (out->n != 0 && out->word[out->n - 1].len == 0)
        out->n--;
    return (out->n != 0 && out->word[0].len != 0) || refuse(why, "there is no command; try help");
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

bool admin_row_is(unsigned n, const struct field *fields, struct slice want)
{
    for (unsigned i = 0; i < n; i++) {
        char room[FIELD_ROOM];
        if (fields[i].kind == FIELD_INT || fields[i].kind == FIELD_BOOL)
            continue;
        struct slice value = field_value(&fields[i], room);
        if (slice_eq(value, want) || (fields[i].kind == FIELD_ADDR && is_address_of(value, want)))
            return true;
    }
    return false;
}

static bool holds(struct slice text, struct slice want)
{
    for (size_t i = 0; i + want.len <= text.len; i++)
        if (slice_ieq(slice_of(text.ptr + i, want.len), want))
            return true;
    return false;
}

bool admin_row_holds(unsigned n, const struct field *fields, const char *names, struct slice want)
{
    struct slice rest = slice_str(names), name;
    while (slice_next_word(&rest, &name)) {
        char room[FIELD_ROOM];
        for (unsigned i = 0; i < n; i++)
            if (slice_eq(slice_str(fields[i].name), name) &&
                holds(field_value(&fields[i], room), want))
                return true;
    }
    return false;
}
