/* SPDX-License-Identifier: Apache-2.0 */
#include <ini.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdlib.h>

#include "base/alloc.h"
#include "conf/conf_int.h"

#define FILE_MAX    (16u << 20) /* bytes; a directory of 100,000 DNs is below */
#define NAMES_FIRST 64          /* buckets */

void conf_error(struct reader *r, const char *fmt, ...)
{
    va_list ap;
    r->errors++;
    if (r->err == NULL)
        return;
    va_start(ap, fmt);
    if (r->line == CONF_BY_HAND)
        fprintf(r->err, "set: ");
    else if (r->line != 0)
        fprintf(r->err, "%s:%u: ", r->file, r->line);
    else
        fprintf(r->err, "%s: ", r->file);
    vfprintf(r->err, fmt, ap);
    fputc('\n', r->err);
    va_end(ap);
}

/* --- lines --- */

/* What the library would pass over in silence: sections without a name in them, lines that are
 * nothing. */
static void look_at_line(struct reader *r, struct slice line)
{
    struct slice text = slice_trim(line);
    r->is_first = true;
    r->is_continued = line.len != 0 && (line.ptr[0] == ' ' || line.ptr[0] == '\t');
    if (text.len == 0 || text.ptr[0] == ';' || text.ptr[0] == '#')
        return;
    if (text.ptr[0] == '[' && !r->is_continued) {
        ptrdiff_t end = slice_chr(text, ']');
        if (end < 0)
            conf_error(r, "%.*s: a section ends with ]", SLICE_ARG(text));
        else
            conf_open_section(r, slice_trim(slice_of(text.ptr + 1, (size_t)end - 1)));
    } else if (!r->is_continued && slice_chr(text, '=') < 0 && slice_chr(text, ':') < 0) {
        conf_error(r, "%.*s: neither [section] nor name = value", SLICE_ARG(text));
    }
}

/* The library's source of lines, in the manner of fgets. */
static char *next_line(char *dst, int cap, void *user)
{
    struct reader *r = user;
    if (r->rest.len == 0)
        return NULL;
    ptrdiff_t end = slice_chr(r->rest, '\n');
    size_t len = end < 0 ? r->rest.len : (size_t)end;
    struct slice line = slice_of(r->rest.ptr, len);
    size_t used = end < 0 ? len : len + 1;
    r->rest = slice_of(r->rest.ptr + used, r->rest.len - used);
    r->line++;
    if (memchr(line.ptr, '\0', line.len) != NULL) {
        conf_error(r, "a NUL byte stands in this line");
        line.len = 0;
    }
    if (line.len > (size_t)cap - 2) {
        conf_error(r, "longer than %d bytes; a list goes on in the next line behind a blank",
                   cap - 2);
        line.len = 0;
    }
    look_at_line(r, line);
    (void)slice_cstr(line, dst, (size_t)cap);
    return dst;
}

static const struct option *find_option(const char *section, const char *name, unsigned *index)
{
    for (unsigned i = 0; i < conf_noptions; i++) {
        if (strcmp(conf_options[i].section, section) == 0 &&
            strcmp(conf_options[i].name, name) == 0) {
            *index = i;
            return &conf_options[i];
        }
    }
    return NULL;
}

static bool is_list(const struct option *o)
{
    return o->kind == OPT_WORDS || o->kind == OPT_NETS || o->kind == OPT_ADDRS ||
           o->kind == OPT_URIS;
}

/* "passwd" and "pasword" were meant to be one, too. */
bool conf_is_secret(const char *name)
{
    return strncmp(name, "pass", 4) == 0 || strncmp(name, "pasw", 4) == 0 ||
           strstr(name, "-password") != NULL || strstr(name, "-token") != NULL;
}

/* What a message may show of a value. */
static struct slice shown(const char *name, struct slice value)
{
    return conf_is_secret(name) ? SLICE("***") : value;
}

static void keep_place(struct reader *r, unsigned option)
{
    struct conf *c = r->conf;
    if (c->nplaces == r->place_cap) {
        unsigned cap = r->place_cap != 0 ? 2 * r->place_cap : 8;
        struct conf_place *places = arena_alloc(&c->arena, cap * sizeof(*places));
        if (places == NULL) {
            r->no_memory = true;
            return;
        }
        if (c->nplaces != 0)
            memcpy(places, c->places, c->nplaces * sizeof(*places));
        c->places = places;
        r->place_cap = cap;
    }
    struct conf_place *place = &c->places[c->nplaces++];
    *place = (struct conf_place){.option = option, .line = r->line};
    if (r->section != SECTION_SIPPROXY)
        memcpy(&place->name, r->item, sizeof(place->name));
}

/* What is given in other sections than [sipproxy]; of a large directory the first ones. */
static void keep_given(struct reader *r, unsigned option, struct slice value)
{
    struct conf *c = r->conf;
    if (c->ngiven == GIVEN_MAX)
        return;
    if (c->ngiven == r->given_cap) {
        unsigned cap = r->given_cap != 0 ? 2 * r->given_cap : 64;
        struct conf_given *given = arena_alloc(&c->arena, cap * sizeof(*given));
        if (given == NULL) {
            r->no_memory = true;
            return;
        }
        if (c->ngiven != 0)
            memcpy(given, c->given, c->ngiven * sizeof(*given));
        c->given = given;
        r->given_cap = cap;
    }
    struct conf_given *g = &c->given[c->ngiven++];
    *g = (struct conf_given){.option = option, .line = r->line, .value = conf_str(r, value)};
    memcpy(&g->name, r->item, sizeof(g->name));
}

/* As written; a list over several lines as one. */
static void keep_value(struct reader *r, unsigned i, struct slice value, bool append)
{
    const char *before = append ? r->conf->values[i] : NULL;
    size_t len = before != NULL ? strlen(before) + 1 : 0;
    char *text = arena_bytes(&r->conf->arena, len + value.len + 1);
    if (text == NULL) {
        r->no_memory = true;
        return;
    }
    if (before != NULL)
        snprintf(text, len + 1, "%s ", before);
    (void)slice_cstr(value, text + len, value.len + 1);
    r->conf->values[i] = text;
}

static void set_option(struct reader *r, const struct option *o, unsigned i, struct slice value)
{
    unsigned *lines = r->section == SECTION_SIPPROXY ? r->lines : r->item_lines;
    bool append = r->is_continued && lines[i] != 0 && is_list(o);
    if (lines[i] != 0 && !append) {
        conf_error(r, "%s = %.*s: given already in line %u", o->name,
                   SLICE_ARG(shown(o->name, value)), lines[i]);
        return;
    }
    if (!append)
        lines[i] = r->line;
    if (!conf_value_set(r, o, r->item, value, append))
        conf_error(r, "%s = %.*s: not allowed; allowed: %s", o->name,
                   SLICE_ARG(shown(o->name, value)), o->valid);
    else if (o->kind == OPT_FILE)
        keep_place(r, i);
    if (r->section == SECTION_SIPPROXY)
        keep_value(r, i, value, append);
    else
        keep_given(r, i, value);
}

static int on_value(void *user, const char *section, const char *name, const char *value)
{
    struct reader *r = user;
    unsigned i;
    (void)section;
    if (r->section == SECTION_NONE) {
        if (!r->had_section && r->errors == 0)
            conf_error(r, "%s = %.*s: stands before any section; begin with [sipproxy]", name,
                       SLICE_ARG(shown(name, slice_str(value))));
        return 1;
    }
    const char *in = conf_sections[r->section].word;
    const struct option *o = find_option(in, name, &i);
    if (o == NULL)
        conf_error(r, "%s = %.*s: unknown option in [%s]; see holdfast --options", name,
                   SLICE_ARG(shown(name, slice_str(value))), in);
    else
        set_option(r, o, i, slice_trim(slice_str(value)));
    return 1;
}

/* --- the whole --- */

/* The text of a file; several configurations are made of one, the last to go frees it. */
struct conf_source {
    _Atomic unsigned refs;
    size_t len;
    char bytes[];
};

static void source_drop(struct conf_source *s)
{
    if (s != NULL && atomic_fetch_sub(&s->refs, 1) == 1)
        mem_free(s);
}

static int read_stream(FILE *f, const char *file, FILE *err, struct conf_source **out)
{
    struct conf_source *s = mem_alloc(sizeof(*s) + FILE_MAX + 1);
    if (s == NULL)
        return ERR_NOMEM;
    atomic_init(&s->refs, 1);
    s->len = fread(s->bytes, 1, FILE_MAX + 1, f);
    int status = ferror(f) != 0 ? -EIO : s->len > FILE_MAX ? ERR_LIMIT : 0;
    if (status == -EIO && err != NULL)
        fprintf(err, "%s: cannot be read (is it a directory?)\n", file);
    if (status == ERR_LIMIT && err != NULL)
        fprintf(err, "%s: larger than %u bytes\n", file, FILE_MAX);
    struct conf_source *fit = status == 0 ? mem_realloc(s, sizeof(*s) + s->len + 1) : NULL;
    if (fit == NULL) {
        mem_free(s);
        return status != 0 ? status : ERR_NOMEM;
    }
    *out = fit;
    return 0;
}

static int read_file(const char *file, FILE *err, struct conf_source **out)
{
    FILE *f = fopen(file, "re");
    if (f == NULL) {
        int e = errno;
        char buf[64];
        if (err != NULL)
            fprintf(err, "%s: cannot be read: %s\n", file, err_text(-e, buf, sizeof(buf)));
        return -e;
    }
    int status = read_stream(f, file, err, out);
    fclose(f);
    return status;
}

static struct conf *conf_new(struct reader *r)
{
    struct conf *c = mem_zalloc(sizeof(*c));
    if (c == NULL)
        return NULL;
    arena_cache_init(&c->cache, 0);
    arena_init(&c->arena, &c->cache);
    r->conf = c;
    c->values = arena_zalloc(&c->arena, conf_noptions * sizeof(*c->values));
    c->pending = arena_zalloc(&c->arena, conf_noptions * sizeof(*c->pending));
    c->lines = arena_zalloc(&c->arena, conf_noptions * sizeof(*c->lines));
    r->lines = c->lines;
    if (c->values == NULL || c->pending == NULL || c->lines == NULL)
        conf_free(&c);
    return c;
}

/* In place of what the file says. */
static void set_by_hand(struct reader *r, const struct conf_set *set)
{
    char name[64];
    unsigned i;
    const struct option *o = NULL;
    r->line = CONF_BY_HAND;
    if (slice_cstr(set->name, name, sizeof(name)))
        o = find_option("sipproxy", name, &i);
    if (o == NULL) {
        conf_error(r, "%.*s: no such option", SLICE_ARG(set->name));
    } else {
        r->section = SECTION_SIPPROXY;
        r->item = r->conf;
        r->is_continued = false;
        r->lines[i] = 0;
        set_option(r, o, i, set->value);
    }
    r->line = 0;
}

static int read_text(struct reader *r, const struct conf_source *source)
{
    r->conf->txn = txn_conf_default;
    conf_set_defaults(r, "sipproxy", r->conf);
    if (source == NULL)
        return 0;
    r->rest = slice_of(source->bytes, source->len);
    return source->len != 0 ? ini_parse_stream(next_line, r, on_value, r) : 0;
}

static int load_text(const char *file, struct conf_source *source, const struct conf_set *sets,
                     unsigned n, FILE *err, struct conf **out)
{
    struct reader r = {
        .file = file != NULL ? file : "embedded default", .err = err, .section = SECTION_NONE};
    struct conf *c = conf_new(&r);
    if (c == NULL || table_init(&r.names, NAMES_FIRST) != 0) {
        conf_free(&c);
        return ERR_NOMEM;
    }
    int status = read_text(&r, source);
    table_fini(&r.names);
    c->file = file != NULL ? conf_str(&r, slice_str(file)) : NULL;
    r.line = 0;
    for (unsigned i = 0; i < n; i++)
        set_by_hand(&r, &sets[i]);
    conf_finish(&r);
    bool is_short = r.no_memory || c->arena.overflow || status == -2;
    if (r.errors != 0 || is_short) {
        conf_free(&c);
        return is_short ? ERR_NOMEM : ERR_PARSE;
    }
    c->source = source;
    if (source != NULL)
        atomic_fetch_add(&source->refs, 1);
    *out = c;
    return 0;
}

int conf_load_with(const char *file, const struct conf_set *sets, unsigned n, FILE *err,
                   struct conf **out)
{
    struct conf_source *source = NULL;
    int status = file != NULL ? read_file(file, err, &source) : 0;
    if (status == 0)
        status = load_text(file, source, sets, n, err, out);
    source_drop(source);
    return status;
}

int conf_load_again(const struct conf *now, const struct conf_set *sets, unsigned n, FILE *err,
                    struct conf **out)
{
    return load_text(now->file, now->source, sets, n, err, out);
}

int conf_load(const char *file, FILE *err, struct conf **out)
{
    return conf_load_with(file, NULL, 0, err, out);
}

int conf_can_set(struct slice name)
{
    char text[64];
    unsigned i;
    if (!slice_cstr(name, text, sizeof(text)) || find_option("sipproxy", text, &i) == NULL)
        return ERR_NOT_FOUND;
    return conf_options[i].effect == EFFECT_RESTART ? ERR_UNSUPPORTED : 0;
}

void conf_free(struct conf **conf)
{
    struct conf *c = *conf;
    if (c == NULL)
        return;
    conf_close_tls(c);
    source_drop(c->source);
    arena_fini(&c->arena);
    arena_cache_fini(&c->cache);
    mem_free(c);
    *conf = NULL;
}
