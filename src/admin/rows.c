/* SPDX-License-Identifier: Apache-2.0 */
/* Rows that are kept for a while: from a worker to who has asked it, and from behind a lock that is
 * not to be held while somebody reads. Names of sets and values are constant text and stay where
 * they are; what values point to is copied. */
#include <string.h>

#include "admin/admin_int.h"

struct kept_row {
    const char *set;
    uint32_t n;
    uint32_t bytes; /* with the fields behind it and what they point to */
};

struct kept_field {
    const char *name;
    uint32_t kind; /* enum field_kind; FIELD_STR becomes FIELD_SLICE */
    uint32_t at;   /* from the begin of the row: the bytes of a slice, the address */
    int64_t num;   /* or the length of the slice */
};

static size_t round_up(size_t n)
{
    return (n + 7) & ~(size_t)7;
}

static struct slice text_of(const struct field *f)
{
    return f->kind == FIELD_STR ? slice_str(f->v.str) : f->v.slice;
}

static size_t bytes_of(const struct field *f)
{
    if (f->kind == FIELD_STR || f->kind == FIELD_SLICE)
        return text_of(f).len;
    return f->kind == FIELD_ADDR && f->v.addr != NULL ? sizeof(*f->v.addr) : 0;
}

/* Puts one value at `at` of the row; what comes behind it begins there. */
static size_t keep(char *row, struct kept_field *k, const struct field *f, size_t at)
{
    size_t len = bytes_of(f);
    bool is_text = f->kind == FIELD_STR || f->kind == FIELD_SLICE;
    const void *from = is_text ? (const void *)text_of(f).ptr : (const void *)f->v.addr;
    *k = (struct kept_field){.name = f->name,
                             .kind = is_text ? FIELD_SLICE : (uint32_t)f->kind,
                             .at = (uint32_t)at,
                             .num = is_text || f->kind == FIELD_ADDR ? (int64_t)len : f->v.num};
    if (len != 0 && (is_text || f->kind == FIELD_ADDR))
        memcpy(row + at, from, len);
    return round_up(at + len);
}

void admin_rows_keep(void *user, const char *set, unsigned n, const struct field *fields)
{
    struct admin_text *t = user;
    if (n > ADMIN_FIELDS)
        n = ADMIN_FIELDS;
    size_t head = sizeof(struct kept_row) + n * sizeof(struct kept_field), at = head;
    for (unsigned i = 0; i < n; i++)
        at = round_up(at + bytes_of(&fields[i]));
    size_t begin = t->len;
    if (at > UINT32_MAX || !admin_text_room(t, at)) {
        t->left_out++;
        return;
    }
    t->len += at;
    char *row = t->ptr + begin;
    struct kept_row *r = (void *)row;
    struct kept_field *kept = (void *)(row + sizeof(*r));
    *r = (struct kept_row){set, n, (uint32_t)at};
    at = head;
    for (unsigned i = 0; i < n; i++)
        at = keep(row, &kept[i], &fields[i], at);
}

static struct field value_of(char *row, const struct kept_field *k)
{
    struct field f = {.name = k->name, .kind = (enum field_kind)k->kind};
    if (f.kind == FIELD_SLICE)
        f.v.slice = slice_of(row + k->at, (size_t)k->num);
    else if (f.kind == FIELD_ADDR)
        f.v.addr = k->num != 0 ? (const struct addr *)(const void *)(row + k->at) : NULL;
    else
        f.v.num = k->num;
    return f;
}

bool admin_rows_next(const struct admin_text *t, size_t *at, struct admin_row *out)
{
    if (*at >= t->len)
        return false;
    char *row = t->ptr + *at;
    const struct kept_row *r = (const void *)row;
    const struct kept_field *kept = (const void *)(row + sizeof(*r));
    out->set = r->set;
    out->n = r->n;
    for (unsigned i = 0; i < r->n; i++)
        out->fields[i] = value_of(row, &kept[i]);
    *at += r->bytes;
    return true;
}

void admin_rows_give(const struct admin_text *t, const struct row_sink *sink)
{
    struct admin_row row;
    for (size_t at = 0; admin_rows_next(t, &at, &row);)
        sink->row(sink->user, row.set, row.n, row.fields);
}

const struct field *admin_field(unsigned n, const struct field *fields, const char *name)
{
    for (unsigned i = 0; i < n; i++)
        if (strcmp(fields[i].name, name) == 0)
            return &fields[i];
    return NULL;
}

void admin_filter_row(void *filter, const char *set, unsigned n, const struct field *fields)
{
    struct admin_filter *f = filter;
    if (f->want.len != 0 && strcmp(set, f->head) == 0) {
        const struct field *name = admin_field(n, fields, "name");
        char room[FIELD_ROOM];
        f->is_in = name != NULL && slice_eq(field_value(name, room), f->want);
    }
    if (f->is_in || f->want.len == 0)
        admin_rows_keep(&f->rows, set, n, fields);
}
