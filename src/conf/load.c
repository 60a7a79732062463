/* SPDX-License-Identifier: Apache-2.0 */
#include <ini.h>
#include <stdarg.h>
#include <stdlib.h>

#include "base/alloc.h"
#include "conf/conf_int.h"

#define FILE_MAX (16u << 20) /* bytes; a directory of 100,000 DNs is below */

void conf_error(struct reader *r, const char *fmt, ...)
{
    va_list ap;
    r->errors++;
    if (r->err == NULL)
        return;
    va_start(ap, fmt);
    if (r->line != 0)
        fprintf(r->err, "%s:%u: ", r->file, r->line);
    else
        fprintf(r->err, "%s: ", r->file);
    vfprintf(r->err, fmt, ap);
    fputc('\n', r->err);
    va_end(ap);
}

/* --- sections --- */

static void set_defaults(struct reader *r, const char *section, void *base)
{
    for (unsigned i = 0; i < conf_noptions; i++) {
        const struct option *o = &conf_options[i];
        if (strcmp(o->section, section) == 0 && o->fallback[0] != '\0' &&
            !conf_value_set(r, o, base, slice_str(o->fallback), false))
            abort(); /* our own table is wrong */
    }
}

static void open_dn(struct reader *r, struct slice name)
{
    struct conf *c = r->conf;
    r->section = -1;
    r->dn = NULL;
    for (unsigned i = 0; i < c->ndns; i++) {
        if (slice_eq(slice_str(c->dns[i].name), name)) {
            conf_error(r, "[dn %.*s]: this DN has a section already, in line %u", SLICE_ARG(name),
                       r->dn_at[i]);
            return;
        }
    }
    if (c->ndns == r->dn_cap) {
        unsigned cap = r->dn_cap != 0 ? 2 * r->dn_cap : 64;
        struct dn_conf *dns = arena_zalloc(&c->arena, cap * sizeof(*dns));
        unsigned *at = arena_zalloc(&c->arena, cap * sizeof(*at));
        if (dns == NULL || at == NULL) {
            r->no_memory = true;
            return;
        }
        if (c->ndns != 0) {
            memcpy(dns, c->dns, c->ndns * sizeof(*dns));
            memcpy(at, r->dn_at, c->ndns * sizeof(*at));
        }
        c->dns = dns;
        r->dn_at = at;
        r->dn_cap = cap;
    }
    r->dn_at[c->ndns] = r->line;
    r->dn = &c->dns[c->ndns++];
    r->dn->name = conf_str(r, name);
    r->dn->tls.verify_server = r->dn->tls.verify_client = r->dn->tls.min_version = -1;
    set_defaults(r, "dn", r->dn);
    memset(r->dn_lines, 0, conf_noptions * sizeof(*r->dn_lines));
    r->section = 1;
}

static void open_section(struct reader *r, struct slice name)
{
    if (slice_eq(name, SLICE("sipproxy"))) {
        r->section = 0;
    } else if (slice_starts(name, SLICE("dn ")) &&
               slice_trim(slice_of(name.ptr + 3, name.len - 3)).len != 0) {
        open_dn(r, slice_trim(slice_of(name.ptr + 3, name.len - 3)));
    } else {
        r->section = -1;
        conf_error(r, "[%.*s]: unknown section; allowed: [sipproxy], [dn NUMBER-OR-NAME]",
                   SLICE_ARG(name));
    }
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
            open_section(r, slice_trim(slice_of(text.ptr + 1, (size_t)end - 1)));
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
    return o->kind == OPT_WORDS || o->kind == OPT_NETS || o->kind == OPT_ADDRS;
}

/* What a message may show of a value; "passwd" and "pasword" were meant to be one, too. */
static struct slice shown(const char *name, struct slice value)
{
    return strncmp(name, "pass", 4) == 0 || strncmp(name, "pasw", 4) == 0 ? SLICE("***") : value;
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
    c->places[c->nplaces++] =
        (struct conf_place){option, r->section == 0 ? CONF_NO_DN : c->ndns - 1, r->line};
}

static void set_option(struct reader *r, const struct option *o, unsigned i, struct slice value)
{
    unsigned *lines = r->section == 0 ? r->lines : r->dn_lines;
    bool append = r->is_continued && lines[i] != 0 && is_list(o);
    void *base = r->section == 0 ? (void *)r->conf : (void *)r->dn;
    if (lines[i] != 0 && !append) {
        conf_error(r, "%s = %.*s: given already in line %u", o->name,
                   SLICE_ARG(shown(o->name, value)), lines[i]);
        return;
    }
    lines[i] = r->line;
    if (!conf_value_set(r, o, base, value, append))
        conf_error(r, "%s = %.*s: not allowed; allowed: %s", o->name,
                   SLICE_ARG(shown(o->name, value)), o->valid);
    else if (o->kind == OPT_FILE)
        keep_place(r, i);
    if (r->section == 0 && !append)
        r->conf->values[i] = conf_str(r, value);
}

static int on_value(void *user, const char *section, const char *name, const char *value)
{
    struct reader *r = user;
    unsigned i;
    (void)section;
    if (r->section < 0) {
        if (r->conf->ndns == 0 && r->errors == 0)
            conf_error(r, "%s = %.*s: stands before any section; begin with [sipproxy]", name,
                       SLICE_ARG(shown(name, slice_str(value))));
        return 1;
    }
    const char *in = r->section == 0 ? "sipproxy" : "dn";
    const struct option *o = find_option(in, name, &i);
    if (o == NULL)
        conf_error(r, "%s = %.*s: unknown option in [%s]; see holdfast --options", name,
                   SLICE_ARG(shown(name, slice_str(value))), in);
    else
        set_option(r, o, i, slice_trim(slice_str(value)));
    return 1;
}

/* --- the whole --- */

static int read_file(const char *file, FILE *err, char **text, size_t *len)
{
    FILE *f = fopen(file, "re");
    if (f == NULL) {
        int e = errno;
        char buf[64];
        if (err != NULL)
            fprintf(err, "%s: cannot be read: %s\n", file, err_text(-e, buf, sizeof(buf)));
        return -e;
    }
    char *bytes = mem_alloc(FILE_MAX + 1);
    *len = bytes != NULL ? fread(bytes, 1, FILE_MAX + 1, f) : 0;
    int status = bytes == NULL ? ERR_NOMEM : ferror(f) != 0 ? -EIO : 0;
    fclose(f);
    if (status == -EIO && err != NULL)
        fprintf(err, "%s: cannot be read (is it a directory?)\n", file);
    if (status == 0 && *len > FILE_MAX) {
        status = ERR_LIMIT;
        if (err != NULL)
            fprintf(err, "%s: larger than %u bytes\n", file, FILE_MAX);
    }
    if (status != 0)
        mem_free(bytes);
    else
        *text = bytes;
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
    r->lines = arena_zalloc(&c->arena, conf_noptions * sizeof(*r->lines));
    r->dn_lines = arena_zalloc(&c->arena, conf_noptions * sizeof(*r->dn_lines));
    if (c->values == NULL || r->lines == NULL || r->dn_lines == NULL)
        conf_free(&c);
    return c;
}

int conf_load(const char *file, FILE *err, struct conf **out)
{
    struct reader r = {.file = file != NULL ? file : "embedded default", .err = err, .section = -1};
    char *text = NULL;
    size_t len = 0;
    if (file != NULL) {
        int status = read_file(file, err, &text, &len);
        if (status != 0)
            return status;
    }
    struct conf *c = conf_new(&r);
    if (c == NULL) {
        mem_free(text);
        return ERR_NOMEM;
    }
    c->txn = txn_conf_default;
    set_defaults(&r, "sipproxy", c);
    r.rest = slice_of(text, len);
    int status = len != 0 ? ini_parse_stream(next_line, &r, on_value, &r) : 0;
    mem_free(text);
    c->file = file != NULL ? conf_str(&r, slice_str(file)) : NULL;
    r.line = 0;
    conf_finish(&r);
    if (r.errors != 0 || r.no_memory || c->arena.overflow || status == -2) {
        conf_free(&c);
        return r.errors != 0 ? ERR_PARSE : ERR_NOMEM;
    }
    *out = c;
    return 0;
}

void conf_free(struct conf **conf)
{
    struct conf *c = *conf;
    if (c == NULL)
        return;
    conf_close_tls(c);
    arena_fini(&c->arena);
    arena_cache_fini(&c->cache);
    mem_free(c);
    *conf = NULL;
}
