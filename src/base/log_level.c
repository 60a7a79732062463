/* SPDX-License-Identifier: Apache-2.0 */
/* Levels and modules as text. */
#include <stdio.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/log.h"

static const char *const modules[] = {
#define LOG_MODULE(id, name, help) [id] = name,
#include "base/modules.def"
#undef LOG_MODULE
};

static const char *const helps[] = {
#define LOG_MODULE(id, name, help) [id] = help,
#include "base/modules.def"
#undef LOG_MODULE
};

static const char *const levels[] = {"error", "warn", "info", "debug"};
#define LEVELS (sizeof(levels) / sizeof(levels[0]))

const char *log_level_name(enum log_level level)
{
    return (unsigned)level < LEVELS ? levels[level] : "debug";
}

const char *log_module_name(unsigned module)
{
    return module < LOG_MODULES ? modules[module] : NULL;
}

const char *log_module_help(unsigned module)
{
    return module < LOG_MODULES ? helps[module] : NULL;
}

unsigned log_module_find(struct slice name)
{
    unsigned i = 0;
    while (i < LOG_MODULES && !slice_eq(slice_str(modules[i]), name))
        i++;
    return i;
}

static bool find_level(struct slice s, uint8_t *out)
{
    for (unsigned i = 0; i < LEVELS; i++)
        if (slice_eq(slice_str(levels[i]), s)) {
            *out = (uint8_t)i;
            return true;
        }
    return false;
}

/* --- parse --- */

static void list(struct buf *b, const char *const *words, unsigned n)
{
    for (unsigned i = 0; i < n; i++) {
        if (i != 0)
            buf_str(b, i + 1 == n ? " or " : ", ");
        buf_str(b, words[i]);
    }
}

/* What is wrong, with the words that are allowed. */
static int refuse(char why[LOG_LEVELS_WHY_MAX], const char *what, struct slice word,
                  const char *const *words, unsigned n)
{
    struct buf b;
    buf_init(&b, why, LOG_LEVELS_WHY_MAX - 1);
    buf_str(&b, what);
    if (word.len != 0) {
        buf_lit(&b, " '");
        buf_slice(&b, slice_of(word.ptr, word.len < 40 ? word.len : 40));
        buf_char(&b, '\'');
    }
    if (n != 0)
        buf_lit(&b, ": ");
    list(&b, words, n);
    why[b.len] = '\0';
    return ERR_PARSE;
}

int log_levels_parse(struct slice text, struct log_levels *out, char why[LOG_LEVELS_WHY_MAX])
{
    uint8_t of[LOG_MODULES], others = LOG_INFO, level;
    bool is_said[LOG_MODULES + 1] = {false};
    struct slice rest = text, word;
    why[0] = '\0';
    while (slice_next_word(&rest, &word)) {
        ptrdiff_t colon = slice_chr(word, ':');
        unsigned module = LOG_MODULES;
        struct slice name = SLICE_NONE;
        if (colon >= 0) {
            name = slice_of(word.ptr, (size_t)colon);
            module = log_module_find(name);
            if (module == LOG_MODULES)
                return refuse(why, "unknown module", name, modules, LOG_MODULES);
            word = slice_of(word.ptr + colon + 1, word.len - (size_t)colon - 1);
        }
        if (!find_level(word, &level))
            return refuse(why, "unknown level", word, levels, LEVELS);
        if (is_said[module])
            return refuse(why, colon >= 0 ? "two levels for the module" : "two levels for all",
                          name, NULL, 0);
        is_said[module] = true;
        if (module == LOG_MODULES)
            others = level;
        else
            of[module] = level;
    }
    out->others = others;
    for (unsigned i = 0; i < LOG_MODULES; i++)
        out->of[i] = is_said[i] ? of[i] : others;
    return 0;
}
