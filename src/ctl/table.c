/* SPDX-License-Identifier: Apache-2.0 */
/* Rows as tables for people, or as one object of JSON, the same that HTTP gives. */
#include <ctype.h>
#include <limits.h>
#include <string.h>

#include "ctl/ctl_int.h"

#define COLUMNS_MAX 48
#define COLUMN_MIN  12 /* a column is not cut to less */
#define GAP         2

#define LENGTH(a)   (sizeof(a) / sizeof((a)[0]))

#define CUT         "\xe2\x80\xa6" /* U+2026 */

#define BOLD        "\033[1m"
#define GREEN       "\033[32m"
#define YELLOW      "\033[33m"
#define RED         "\033[31m"
#define PLAIN       "\033[0m"

struct column {
    char *name;
    bool is_number, is_shown, is_whole;
    bool has_end; /* what matters stands at its end: cut in front */
    unsigned width;
};

struct table {
    char *set;
    unsigned ncolumns;
    size_t nrows, cap;
    struct column columns[COLUMNS_MAX];
    char **cells; /* row by row */
};

struct ctl_answer {
    const struct ctl *ctl;
    const struct admin_command *command;
    unsigned ntables;
    struct table **tables;
    json_t *json; /* NULL: for people */
};

struct columns_of {
    const char *set, *names;
};

/* What only fills the screen: shown with --wide. */
static const struct columns_of details[] = {
    {"flow", "tls_name local queued_bytes"},
    {"call", "caller_transport caller_connection callee_transport callee_connection"},
    {"transaction", "branch connection"},
    {"binding", "q instance reg_id path connection"},
    {"event", "seq module name"},
    {"option", "section default"},
    {"overload", "limit_ms loss_other_percent"},
    {"message", "worker local connection method status cseq from to length cut text bytes"},
};

/* Where the end matters more than the beginning: a line's number, a port. */
static const struct columns_of ends[] = {{"option", "source"},
                                         {"binding", "remote source"},
                                         {"flow", "remote reopen"},
                                         {"application", "active"},
                                         {"member", "uri"}};

/* What is typed again, or looked for first: never cut. */
static const struct columns_of wholes[] = {
    {"flow", "id state"}, {"dn", "state"}, {"member", "state"}};

/* What a narrow terminal does without, the first ones first. */
static const struct columns_of spares[] = {
    {"flow", "reopen worker opened_by age_ms transport reopened"},
    {"call", "worker to from"},
    {"dn", "checked type bindings last_check"},
    {"application", "back_count down_count"},
    {"member", "weight addresses active answered"},
    {"worker", "answer_us server_transactions client_transactions"},
};

static bool is_among(const struct columns_of *list, size_t n, const char *set, const char *name)
{
    for (size_t i = 0; i < n; i++) {
        struct slice rest = slice_str(list[i].names), word;
        while (strcmp(list[i].set, set) == 0 && slice_next_word(&rest, &word))
            if (slice_eq(word, slice_str(name)))
                return true;
    }
    return false;
}

/* --- collecting --- */

struct ctl_answer *ctl_answer_new(const struct ctl *ctl, const struct admin_command *command)
{
    struct ctl_answer *a = ctl_alloc(sizeof(*a));
    a->ctl = ctl;
    a->command = command;
    if (!ctl->is_json)
        return a;
    a->json = json_object();
    for (const char *set = command != NULL ? admin_command_next_set(command, NULL) : NULL;
         set != NULL; set = admin_command_next_set(command, set))
        json_object_set_new(a->json, set, json_array());
    return a;
}

static void table_free(struct table *t)
{
    for (size_t i = 0; i < t->nrows * t->ncolumns; i++)
        mem_free(t->cells[i]);
    for (unsigned i = 0; i < t->ncolumns; i++)
        mem_free(t->columns[i].name);
    mem_free(t->cells);
    mem_free(t->set);
    mem_free(t);
}

void ctl_answer_free(struct ctl_answer *a)
{
    for (unsigned i = 0; i < a->ntables; i++)
        table_free(a->tables[i]);
    mem_free(a->tables);
    json_decref(a->json);
    mem_free(a);
}

/* The columns are those of its first row. */
static struct table *table_of(struct ctl_answer *a, const char *set, const json_t *row)
{
    for (unsigned i = 0; i < a->ntables; i++)
        if (strcmp(a->tables[i]->set, set) == 0)
            return a->tables[i];
    struct table *t = ctl_alloc(sizeof(*t));
    const char *name;
    json_t *value;
    t->set = ctl_clean(set, strlen(set), false);
    json_object_foreach((json_t *)(uintptr_t)row, name, value)
    {
        if (t->ncolumns == COLUMNS_MAX)
            break;
        t->columns[t->ncolumns++] =
            (struct column){.name = ctl_copy(name, strlen(name)),
                            .is_number = ctl_is_number(value),
                            .is_whole = is_among(wholes, LENGTH(wholes), set, name),
                            .has_end = is_among(ends, LENGTH(ends), set, name)};
    }
    a->tables = ctl_grow(a->tables, (a->ntables + 1) * sizeof(struct table *));
    a->tables[a->ntables++] = t;
    return t;
}

static void table_add(const struct ctl *ctl, struct table *t, const json_t *row)
{
    if (t->nrows == t->cap) {
        t->cap = t->cap != 0 ? 2 * t->cap : 64;
        t->cells = ctl_grow(t->cells, t->cap * t->ncolumns * sizeof(char *));
    }
    char **cells = t->cells + t->nrows++ * t->ncolumns;
    for (unsigned i = 0; i < t->ncolumns; i++) {
        struct column *c = &t->columns[i];
        cells[i] = ctl_value(c->name, json_object_get(row, c->name));
        unsigned width = ctl_width(cells[i]);
        if (width != 0 && (ctl->is_wide || !is_among(details, LENGTH(details), t->set, c->name)))
            c->is_shown = true;
        if (width > c->width)
            c->width = width;
    }
}

void ctl_answer_row(void *user, const char *set, json_t *row)
{
    struct ctl_answer *a = user;
    if (a->json == NULL) {
        table_add(a->ctl, table_of(a, set, row), row);
        return;
    }
    json_t *rows = json_object_get(a->json, set);
    if (rows == NULL)
        json_object_set_new(a->json, set, rows = json_array());
    if (json_array_append(rows, row) != 0)
        ctl_no_memory();
}

/* --- printing --- */

/* "IDLE" of idle_ms, "OPENED-BY" of opened_by. */
static void put_title(const char *name, bool is_label, char *title, size_t cap)
{
    static const char *const units[] = {"_ms", "_us", "_s", "_bytes", "_percent"};
    size_t len = strlen(name);
    for (size_t i = 0; i < sizeof(units) / sizeof(units[0]); i++) {
        size_t n = strlen(units[i]);
        if (len > n && strcmp(name + len - n, units[i]) == 0) {
            len -= n;
            break;
        }
    }
    if (strcmp(name, "ms") == 0) {
        name = "took";
        len = 4;
    }
    if (len >= cap)
        len = cap - 1;
    for (size_t i = 0; i < len; i++)
        title[i] = (char)(name[i] == '_' ? (is_label ? ' ' : '-')
                          : is_label     ? name[i]
                                         : toupper((unsigned char)name[i]));
    title[len] = '\0';
}

static const char *colour_of(const char *column, const char *value)
{
    static const char *const good[] = {"in-service", "up",     "active", "answers",
                                       "running",    "in-use", "fresh",  "established"};
    static const char *const odd[] = {"suspect", "opening", "reopening", "draining", "search",
                                      "unknown", "warn",    "expired",   "asked"};
    static const char *const bad[] = {
        "out-of-service", "down",  "closing",         "silent",
        "absent",         "error", "does not answer", "has not finished in time"};
    if (strcmp(column, "state") != 0 && strcmp(column, "level") != 0)
        return NULL;
    for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++)
        if (strcmp(good[i], value) == 0)
            return GREEN;
    for (size_t i = 0; i < sizeof(odd) / sizeof(odd[0]); i++)
        if (strcmp(odd[i], value) == 0)
            return YELLOW;
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        if (strcmp(bad[i], value) == 0)
            return RED;
    return NULL;
}

/* Blanks wait for what comes behind them: a line ends without any. */
struct line {
    FILE *out;
    unsigned blanks;
};

static void put_bytes(struct line *l, const char *bytes, size_t len)
{
    for (; len != 0 && l->blanks != 0; l->blanks--)
        fputc(' ', l->out);
    fwrite(bytes, 1, len, l->out);
}

static void end_line(struct line *l)
{
    l->blanks = 0;
    fputc('\n', l->out);
}

/* The longest end of the text that fits; whole characters. */
static const char *end_of(const char *text, unsigned columns)
{
    while (ctl_width(text) > columns)
        do
            text++;
        while (((unsigned char)*text & 0xc0) == 0x80);
    return text;
}

static void put_cell(const char *text, const struct column *c, const char *colour, struct line *l)
{
    unsigned width = ctl_width(text);
    bool is_cut = width > c->width;
    if (is_cut && c->has_end)
        text = end_of(text, c->width - 1);
    size_t len = is_cut ? ctl_fit(text, c->width - 1) : strlen(text);
    if (is_cut)
        width = ctl_width_of(text, len) + 1;
    if (c->is_number)
        l->blanks += c->width - width;
    if (colour != NULL)
        put_bytes(l, colour, strlen(colour));
    if (is_cut && c->has_end)
        put_bytes(l, CUT, sizeof(CUT) - 1);
    put_bytes(l, text, len);
    if (is_cut && !c->has_end)
        put_bytes(l, CUT, sizeof(CUT) - 1);
    if (colour != NULL)
        put_bytes(l, PLAIN, sizeof(PLAIN) - 1);
    l->blanks += (c->is_number ? 0 : c->width - width) + GAP;
}

static bool can_be_cut(const struct column *c)
{
    return !c->is_number && !c->is_whole && c->width > COLUMN_MIN;
}

static unsigned least_width(const struct table *t)
{
    unsigned sum = 0;
    for (unsigned i = 0; i < t->ncolumns; i++)
        if (t->columns[i].is_shown)
            sum += (sum != 0 ? GAP : 0) +
                   (can_be_cut(&t->columns[i]) ? COLUMN_MIN : t->columns[i].width);
    return sum;
}

/* Leaves out what can be spared, as far as the others do not fit beside it. */
static void spare(struct table *t, unsigned width)
{
    struct slice rest = SLICE_NONE, name;
    for (size_t i = 0; i < LENGTH(spares); i++)
        if (strcmp(spares[i].set, t->set) == 0)
            rest = slice_str(spares[i].names);
    while (least_width(t) > width && slice_next_word(&rest, &name))
        for (unsigned i = 0; i < t->ncolumns; i++)
            if (slice_eq(name, slice_str(t->columns[i].name)))
                t->columns[i].is_shown = false;
}

/* Makes the widest columns narrower until all fit. */
static void fit_table(struct table *t, unsigned width)
{
    for (;;) {
        unsigned sum = 0;
        struct column *widest = NULL;
        for (unsigned i = 0; i < t->ncolumns; i++) {
            struct column *c = &t->columns[i];
            if (!c->is_shown)
                continue;
            sum += c->width + (sum != 0 ? GAP : 0);
            if (can_be_cut(c) && (widest == NULL || c->width >= widest->width))
                widest = c;
        }
        if (sum <= width || widest == NULL)
            return;
        unsigned over = sum - width, may = widest->width - COLUMN_MIN;
        widest->width -= over < may ? (over < 4 ? over : 4) : (may < 4 ? may : 4);
    }
}

static void print_titles(const struct ctl *ctl, struct table *t, struct line *l)
{
    char title[64];
    for (unsigned i = 0; i < t->ncolumns; i++) {
        put_title(t->columns[i].name, false, title, sizeof(title));
        if (t->columns[i].is_shown)
            put_cell(title, &t->columns[i], ctl->has_colours ? BOLD : NULL, l);
    }
    end_line(l);
}

static void widen_for_titles(struct table *t)
{
    char title[64];
    for (unsigned i = 0; i < t->ncolumns; i++) {
        put_title(t->columns[i].name, false, title, sizeof(title));
        if (strlen(title) > t->columns[i].width)
            t->columns[i].width = (unsigned)strlen(title);
    }
}

static void print_table(const struct ctl *ctl, struct table *t, FILE *out)
{
    struct line l = {out, 0};
    if (ctl->has_headers)
        widen_for_titles(t);
    if (ctl->width != 0 && !ctl->is_wide)
        spare(t, ctl->width);
    if (ctl->width != 0)
        fit_table(t, ctl->width);
    if (ctl->has_headers)
        print_titles(ctl, t, &l);
    for (size_t row = 0; row < t->nrows; row++) {
        for (unsigned i = 0; i < t->ncolumns; i++) {
            const struct column *c = &t->columns[i];
            const char *cell = t->cells[row * t->ncolumns + i];
            if (c->is_shown)
                put_cell(cell, c, ctl->has_colours ? colour_of(c->name, cell) : NULL, &l);
        }
        end_line(&l);
    }
}

/* One row: a line for each value. */
static void print_upright(const struct ctl *ctl, const struct table *t, FILE *out)
{
    struct column label = {0}, value = {.width = UINT_MAX / 2};
    struct line l = {out, 0};
    char title[64];
    for (unsigned i = 0; i < t->ncolumns; i++) {
        put_title(t->columns[i].name, true, title, sizeof(title));
        if (strlen(title) > label.width)
            label.width = (unsigned)strlen(title);
    }
    for (unsigned i = 0; i < t->ncolumns; i++) {
        const char *cell = t->cells[i], *name = t->columns[i].name;
        const char *colour = ctl->has_colours ? colour_of(name, cell) : NULL;
        put_title(name, true, title, sizeof(title));
        if (ctl->has_headers)
            put_cell(title, &label, NULL, &l);
        put_cell(cell[0] != '\0' ? cell : "-", &value, colour, &l);
        end_line(&l);
    }
}

static void print_lines(const struct table *t, FILE *out)
{
    for (size_t row = 0; row < t->nrows; row++)
        fprintf(out, "%s\n", t->cells[row * t->ncolumns]);
}

static void print_json(const struct ctl_answer *a, const char *error, FILE *out)
{
    if (error != NULL)
        json_object_set_new(a->json, "error", json_string(error));
    json_dumpf(a->json, out,
               a->ctl->is_terminal && a->ctl->watch_ms == 0 ? JSON_INDENT(2) : JSON_COMPACT);
    fputc('\n', out);
}

void ctl_answer_print(const struct ctl_answer *a, const char *error, FILE *out)
{
    if (a->json != NULL) {
        print_json(a, error, out);
        return;
    }
    bool is_first = true;
    if (a->ntables == 0 && error == NULL && a->ctl->is_terminal)
        fputs(a->command != NULL && a->command->changes ? "done\n" : "none\n", out);
    for (unsigned i = 0; i < a->ntables; i++) {
        struct table *t = a->tables[i];
        bool is_line = strcmp(t->set, "line") == 0 && t->ncolumns == 1;
        if (!is_first && !is_line && a->ctl->has_headers)
            fputc('\n', out);
        is_first = false;
        if (is_line)
            print_lines(t, out);
        else if (a->command != NULL && a->command->is_one && t->nrows == 1)
            print_upright(a->ctl, t, out);
        else
            print_table(a->ctl, t, out);
    }
}
