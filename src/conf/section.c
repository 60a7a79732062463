/* SPDX-License-Identifier: Apache-2.0 */
/* The kinds of sections, and where what stands in them goes. */
#include <stdlib.h>

#include "base/hash.h"
#include "base/list.h"
#include "conf/conf_int.h"

#define NAME_MAX_APPLICATION 64 /* bytes; GROUP_PROFILE_MAX holds it */

static bool begin_application(struct reader *r, void *item)
{
    struct app_section *app = item;
    (void)r;
    app->tls.verify_server = app->tls.verify_client = app->tls.min_version = -1;
    app->check_s = app->force_s = SAID_NOTHING;
    struct slice rest = slice_str(app->group.name), word;
    return rest.len <= NAME_MAX_APPLICATION && slice_next_word(&rest, &word) &&
           word.len == strlen(app->group.name);
}

static bool begin_listener(struct reader *r, void *item)
{
    struct listener_section *l = item;
    char text[ADDR_TEXT_MAX];
    if (addr_parse_ip(slice_str(l->name), 0, &l->addr) != 0)
        return false;
    l->name = conf_str(r, slice_str(addr_write_ip(&l->addr, false, text)));
    return true;
}

static bool begin_domain(struct reader *r, void *item)
{
    struct route_domain *d = item;
    struct slice host = slice_str(d->name), found;
    uint16_t port;
    (void)r;
    for (char *p = d->name; *p != '\0'; p++)
        *p = ascii_lower(*p);
    if (slice_starts(host, SLICE("*.")))
        host = slice_of(host.ptr + 2, host.len - 2);
    return conf_host_parse(host, &found, &port) && port == 0;
}

static bool begin_dn(struct reader *r, void *item)
{
    struct dn_conf *dn = item;
    (void)r;
    dn->tls.verify_server = dn->tls.verify_client = dn->tls.min_version = -1;
    return true;
}

const struct section conf_sections[SECTION_KINDS] = {
    [SECTION_SIPPROXY] = {"sipproxy", "[sipproxy]", NULL, 0, false, NULL},
    [SECTION_APPLICATION] = {"application", "[application NAME]",
                             "at most 64 characters without blanks and commas",
                             sizeof(struct app_section), true, begin_application},
    [SECTION_LISTENER] = {"listener", "[listener ADDRESS]", "an IP address of sip-address",
                          sizeof(struct listener_section), true, begin_listener},
    [SECTION_DOMAIN] = {"domain", "[domain NAME]", "a host name, or *. and a host name",
                        sizeof(struct route_domain), true, begin_domain},
    [SECTION_DN] = {"dn", "[dn NUMBER-OR-NAME]", "any text", sizeof(struct dn_conf), false,
                    begin_dn},
};

static char *name_of(const struct reader *r, enum section_kind kind, unsigned i)
{
    char *name;
    memcpy(&name, conf_item(r, kind, i), sizeof(name));
    return name;
}

void conf_set_defaults(struct reader *r, const char *section, void *base)
{
    for (unsigned i = 0; i < conf_noptions; i++) {
        const struct option *o = &conf_options[i];
        if (strcmp(o->section, section) == 0 && o->fallback[0] != '\0' &&
            !conf_value_set(r, o, base, slice_str(o->fallback), false))
            abort(); /* our own table is wrong */
    }
}

/* What was there moves; the old place stays in the arena, unused. */
static bool make_room(struct reader *r, enum section_kind kind)
{
    struct items *items = &r->items[kind];
    struct arena *arena = &r->conf->arena;
    size_t size = conf_sections[kind].size;
    if (items->n < items->cap)
        return true;
    unsigned cap = items->cap != 0 ? 2 * items->cap : 16;
    char *first = arena_zalloc(arena, cap * size);
    unsigned *at = arena_zalloc(arena, cap * sizeof(*at));
    unsigned **lines = NULL;
    if (conf_sections[kind].keeps_lines)
        lines = arena_zalloc(arena, cap * sizeof(*lines));
    if (arena->overflow) {
        r->no_memory = true;
        return false;
    }
    if (items->n != 0) {
        memcpy(first, items->first, items->n * size);
        memcpy(at, items->at, items->n * sizeof(*at));
        if (lines != NULL)
            memcpy(lines, items->lines, items->n * sizeof(*lines));
    }
    *items = (struct items){first, items->n, cap, at, lines};
    return true;
}

/* Options of DNs are not kept: there may be a hundred thousand of them. */
static bool begin_lines(struct reader *r, enum section_kind kind)
{
    size_t size = conf_noptions * sizeof(*r->item_lines);
    if (!conf_sections[kind].keeps_lines && r->spare_lines != NULL) {
        r->item_lines = memset(r->spare_lines, 0, size);
        return true;
    }
    r->item_lines = arena_zalloc(&r->conf->arena, size);
    if (r->item_lines == NULL)
        r->no_memory = true;
    else if (conf_sections[kind].keeps_lines)
        r->items[kind].lines[r->items[kind].n] = r->item_lines;
    else
        r->spare_lines = r->item_lines;
    return r->item_lines != NULL;
}

struct name_node {
    struct table_node node;
    enum section_kind kind;
    unsigned item;
};

/* The operator chooses the names: the key need not be secret. */
static uint64_t hash_of(enum section_kind kind, const char *name)
{
    struct hash_key key = {(uint64_t)kind, 0};
    return hash_slice(&key, slice_str(name));
}

static bool is_first_of_its_name(struct reader *r, enum section_kind kind, const char *name)
{
    for (struct table_node *n = table_first(&r->names, hash_of(kind, name)); n != NULL;
         n = table_next(n)) {
        const struct name_node *other = container_of(n, struct name_node, node);
        if (other->kind != kind || strcmp(name_of(r, kind, other->item), name) != 0)
            continue;
        conf_error(
            r, "[%s %s]: this %s has a section already, in line %u", conf_sections[kind].word, name,
            kind == SECTION_DN ? "DN" : conf_sections[kind].word, r->items[kind].at[other->item]);
        return false;
    }
    return true;
}

static void add_name(struct reader *r, enum section_kind kind, unsigned item, const char *name)
{
    struct name_node *n = arena_alloc(&r->conf->arena, sizeof(*n));
    if (n == NULL) {
        r->no_memory = true;
        return;
    }
    n->kind = kind;
    n->item = item;
    table_insert(&r->names, &n->node, hash_of(kind, name));
}

static void open_item(struct reader *r, enum section_kind kind, struct slice name)
{
    const struct section *s = &conf_sections[kind];
    struct items *items = &r->items[kind];
    char *text = conf_str(r, name);
    if (text == NULL || !make_room(r, kind) || !begin_lines(r, kind))
        return;
    void *item = conf_item(r, kind, items->n);
    memset(item, 0, s->size);
    memcpy(item, &text, sizeof(text));
    conf_set_defaults(r, s->word, item);
    if (!s->begin(r, item)) {
        conf_error(r, "[%s %.*s]: not allowed; allowed: %s", s->word, SLICE_ARG(name), s->names);
        return;
    }
    text = name_of(r, kind, items->n);
    if (text == NULL || !is_first_of_its_name(r, kind, text))
        return;
    add_name(r, kind, items->n, text);
    items->at[items->n++] = r->line;
    r->section = kind;
    r->item = item;
}

static void say_unknown(struct reader *r, struct slice name)
{
    char text[256];
    size_t n = 0;
    for (unsigned i = 0; i < SECTION_KINDS && n < sizeof(text); i++)
        n += (size_t)snprintf(text + n, sizeof(text) - n, "%s%s", i == 0 ? "" : ", ",
                              conf_sections[i].title);
    conf_error(r, "[%.*s]: unknown section; allowed: %s", SLICE_ARG(name), text);
}

void conf_open_section(struct reader *r, struct slice name)
{
    size_t word = 0;
    while (word < name.len && name.ptr[word] != ' ' && name.ptr[word] != '\t')
        word++;
    struct slice rest = slice_trim(slice_of(name.ptr + word, name.len - word));
    r->section = SECTION_NONE;
    r->item = NULL;
    r->had_section = true;
    for (unsigned i = 0; i < SECTION_KINDS; i++) {
        if (!slice_eq(slice_of(name.ptr, word), slice_str(conf_sections[i].word)) ||
            (rest.len == 0) != (conf_sections[i].names == NULL))
            continue;
        if (conf_sections[i].names != NULL) {
            open_item(r, (enum section_kind)i, rest);
            return;
        }
        r->section = (enum section_kind)i;
        r->item = r->conf;
        return;
    }
    say_unknown(r, name);
}

unsigned conf_option_index(const char *section, const char *name)
{
    for (unsigned i = 0; i < conf_noptions; i++)
        if (strcmp(conf_options[i].section, section) == 0 &&
            strcmp(conf_options[i].name, name) == 0)
            return i;
    abort(); /* our own table is wrong */
}

static unsigned line_of(const struct reader *r, enum section_kind kind, unsigned item,
                        const char *option)
{
    const unsigned *lines = kind == SECTION_SIPPROXY       ? r->lines
                            : r->items[kind].lines != NULL ? r->items[kind].lines[item]
                                                           : NULL;
    return lines != NULL ? lines[conf_option_index(conf_sections[kind].word, option)] : 0;
}

void conf_at(struct reader *r, enum section_kind kind, unsigned item, const char *option)
{
    r->line = line_of(r, kind, item, option);
    if (r->line == 0 && kind != SECTION_SIPPROXY)
        r->line = r->items[kind].at[item];
}

bool conf_is_given(const struct reader *r, enum section_kind kind, unsigned item,
                   const char *option)
{
    return line_of(r, kind, item, option) != 0;
}
