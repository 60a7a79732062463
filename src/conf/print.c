/* SPDX-License-Identifier: Apache-2.0 */
#include "conf/conf_int.h"

static const char *effect_text(enum option_effect e)
{
    switch (e) {
    case EFFECT_RESTART: return "restart";
    case EFFECT_RELOAD: return "reload";
    case EFFECT_RELOAD_NEW: return "reload, new connections";
    case EFFECT_AT_ONCE: return "at once";
    }
    return "";
}

const char *conf_default_text(const struct option *o)
{
    return o->shown != NULL ? o->shown : o->fallback;
}

static const char *section_text(const struct option *o)
{
    for (unsigned i = 0; i < SECTION_KINDS; i++)
        if (strcmp(o->section, conf_sections[i].word) == 0)
            return conf_sections[i].title;
    return "";
}

static bool begins_section(unsigned i)
{
    return i == 0 || strcmp(conf_options[i].section, conf_options[i - 1].section) != 0;
}

/* Words of `text` in lines of at most 76 columns behind an indent of 4. */
static void print_wrapped(FILE *out, const char *indent, const char *text)
{
    size_t column = 0;
    while (*text != '\0') {
        size_t word = strcspn(text, " ");
        if (column != 0 && column + 1 + word > 76) {
            fputc('\n', out);
            column = 0;
        }
        column += (size_t)fprintf(out, "%s%.*s", column == 0 ? indent : " ", (int)word, text);
        text += word;
        text += strspn(text, " ");
    }
    fputc('\n', out);
}

/* Where the value was given. */
static const char *source_text(const struct conf *c, unsigned i, char *room, size_t cap)
{
    if (c->lines[i] == 0)
        return "default";
    if (c->lines[i] == CONF_BY_HAND)
        return "set";
    snprintf(room, cap, "%s:%u", c->file != NULL ? c->file : "", c->lines[i]);
    return room;
}

static void rows_of_sections(const struct conf *c, struct slice want, const struct row_sink *sink)
{
    for (unsigned i = 0; i < c->ngiven; i++) {
        const struct conf_given *g = &c->given[i];
        const struct option *o = &conf_options[g->option];
        char section[128], source[512];
        if (want.len != 0 && !slice_eq(want, slice_str(o->name)))
            continue;
        snprintf(section, sizeof(section), "%s %s", o->section, g->name);
        snprintf(source, sizeof(source), "%s:%u", c->file != NULL ? c->file : "", g->line);
        ROW(sink, "option", LF_STR("section", section), LF_STR("name", o->name),
            LF_STR("value", conf_is_secret(o->name) ? "***" : g->value), LF_STR("pending", ""),
            LF_STR("default", conf_default_text(o)), LF_STR("source", source),
            LF_STR("effect", effect_text(o->effect)));
    }
}

void conf_rows(const struct conf *c, struct slice want, const struct row_sink *sink)
{
    for (unsigned i = 0; i < conf_noptions; i++) {
        const struct option *o = &conf_options[i];
        char room[512];
        if (strcmp(o->section, "sipproxy") != 0 ||
            (want.len != 0 && !slice_eq(want, slice_str(o->name))))
            continue;
        const char *value = c->values[i] != NULL ? c->values[i] : conf_default_text(o);
        const char *pending = c->pending[i];
        char workers[16];
        if (c->values[i] == NULL && strcmp(o->name, "workers") == 0) {
            snprintf(workers, sizeof(workers), "%u", c->workers);
            value = workers;
        }
        if (c->values[i] != NULL && c->values[i][0] != '\0' && conf_is_secret(o->name))
            value = "***";
        ROW(sink, "option", LF_STR("section", o->section), LF_STR("name", o->name),
            LF_STR("value", value), LF_STR("pending", pending != NULL ? pending : ""),
            LF_STR("default", conf_default_text(o)),
            LF_STR("source", source_text(c, i, room, sizeof(room))),
            LF_STR("effect", effect_text(o->effect)));
    }
    rows_of_sections(c, want, sink);
}

void conf_print_options(FILE *out)
{
    for (unsigned i = 0; i < conf_noptions; i++) {
        const struct option *o = &conf_options[i];
        if (begins_section(i))
            fprintf(out, "%s%s\n\n", i == 0 ? "" : "\n", section_text(o));
        fprintf(out, "%s\n", o->name);
        print_wrapped(out, "    ", o->help);
        fprintf(out, "    default: %s\n    allowed: %s\n    takes effect: %s\n",
                conf_default_text(o), o->valid, effect_text(o->effect));
    }
}

/* The value in a line that does nothing until its mark is taken off; a default in words is none. */
static void print_as_comment(FILE *out, const struct option *o)
{
    fprintf(out, ";\n");
    print_wrapped(out, ";   ", o->help);
    fprintf(out, ";   allowed: %s; takes effect: %s\n", o->valid, effect_text(o->effect));
    if (o->shown != NULL)
        fprintf(out, ";   default: %s\n", o->shown);
    fprintf(out, "; %s =%s%s\n", o->name, o->fallback[0] != '\0' ? " " : "", o->fallback);
}

void conf_print_file(FILE *out)
{
    fputs(
        "; Configuration of holdfast; see holdfast.conf(5).\n"
        "; Nothing has to be set: all below is a comment and shows the default. `holdfast --check -c FILE`\n"
        "; tells what is wrong with a file, `systemctl reload holdfast` puts it into effect,\n"
        "; `holdfastctl options` shows what holds and where it was given.\n\n",
        out);
    for (unsigned i = 0; i < conf_noptions; i++) {
        const struct option *o = &conf_options[i];
        bool is_whole = strcmp(o->section, "sipproxy") == 0;
        if (begins_section(i))
            fprintf(out, "%s%s%s\n", i == 0 ? "" : "\n", is_whole ? "" : "; ", section_text(o));
        print_as_comment(out, o);
    }
}

void conf_print_markdown(FILE *out)
{
    fputs(
        "# Options\n\nMade by `holdfast --options-markdown` from the table that parses the configuration.\n"
        "The file is INI: `[section]`, `name = value`, comments behind `;` or `#`. A list goes on in the next\n"
        "line when that begins with a blank. Times are seconds, or carry a unit: `500ms`, `5s`, `2m`, `1h`.\n",
        out);
    for (unsigned i = 0; i < conf_noptions; i++) {
        const struct option *o = &conf_options[i];
        if (begins_section(i))
            fprintf(out,
                    "\n## %s\n\n| option | default | allowed | takes effect | meaning |\n"
                    "|---|---|---|---|---|\n",
                    section_text(o));
        fprintf(out, "| `%s` | %s | %s | %s | %s |\n", o->name, conf_default_text(o), o->valid,
                effect_text(o->effect), o->help);
    }
}

/* Hyphens of names and a leading dot mean something to troff. */
static void print_troff(FILE *out, const char *text)
{
    for (; *text != '\0'; text++) {
        if (*text == '-' || *text == '\\')
            fputc('\\', out);
        fputc(*text, out);
    }
}

void conf_print_man(FILE *out)
{
    fputs(
        ".TH HOLDFAST.CONF 5\n.SH NAME\nholdfast.conf \\- configuration of the SIP proxy holdfast\n"
        ".SH DESCRIPTION\nSections in brackets, \\fIname\\fR = \\fIvalue\\fR, comments behind ; or #. A list goes on in "
        "the next line when that\nbegins with a blank. Times are seconds, or carry a unit: 500ms, 5s, 2m, 1h.\n",
        out);
    for (unsigned i = 0; i < conf_noptions; i++) {
        const struct option *o = &conf_options[i];
        if (begins_section(i))
            fprintf(out, ".SH %s\n", section_text(o));
        fputs(".TP\n.B ", out);
        print_troff(out, o->name);
        fputc('\n', out);
        print_troff(out, o->help);
        fputs("\nDefault: ", out);
        print_troff(out, conf_default_text(o));
        fputs(". Allowed: ", out);
        print_troff(out, o->valid);
        fprintf(out, ". Takes effect: %s.\n", effect_text(o->effect));
    }
}
