/* SPDX-License-Identifier: Apache-2.0 */
/* Log lines: a level, a module, a short sentence and named fields; as text or as JSON on stderr, or
 * with each field of its own in the journal.
 *
 * The sink is the only mutable state at file scope in the program. A line is written by one
 * write(2) and never blocks a worker for long: stderr is a pipe or the journal; a line that cannot
 * be written is counted and dropped, and the next line says so (`dropped`). Line length is at most
 * 2,000 bytes; longer values are cut with "…". thread: any. */
#ifndef BASE_LOG_H
#define BASE_LOG_H

#include <stdbool.h>
#include <stdint.h>

#include "base/field.h"

enum log_level { LOG_ERROR, LOG_WARN, LOG_INFO, LOG_DEBUG };
enum log_format { LOG_TEXT, LOG_JSON };

enum log_module {
#define LOG_MODULE(id, name, help) id,
#include "base/modules.def"
#undef LOG_MODULE
    LOG_MODULES
};

/* The level of each module. */
struct log_levels {
    uint8_t of[LOG_MODULES];
    uint8_t others; /* what stands without a module */
};

const char *log_level_name(enum log_level level);
/* NULL from LOG_MODULES on. */
const char *log_module_name(unsigned module);
const char *log_module_help(unsigned module);
unsigned log_module_find(struct slice name); /* LOG_MODULES: there is none */

/* "info, flow:debug, txn:warn": a level for all, then those of modules; without the former it is
 * info. 0, or ERR_PARSE and what is wrong, with what is allowed. */
#define LOG_LEVELS_WHY_MAX 192
int log_levels_parse(struct slice text, struct log_levels *out, char why[LOG_LEVELS_WHY_MAX])
    __attribute__((warn_unused_result));

/* From now on, for all threads. log_setup: the same level for all modules. */
void log_set_levels(const struct log_levels *levels);
void log_get_levels(struct log_levels *out);
void log_set_format(enum log_format format);
void log_setup(enum log_level level, enum log_format format);
/* Where lines go instead of stderr; -1: back to stderr. For tests. */
void log_set_fd(int fd);
/* Where what stderr leads to is systemd's journal: from now on lines go there by its own protocol,
 * each field by itself; those that it does not take at once go to stderr. `path`: of its socket,
 * NULL: the usual one. False: it is not, or there is no socket to be had. Before there are threads.
 */
bool log_use_journal(const char *path);
void log_leave_journal(void);
/* May a line of that level be written? It is by the most talkative module; log_fields looks at the
 * line's own. */
bool log_is_on(enum log_level level);
bool log_is_on_for(enum log_level level, const char *module);

/* log_fields(LOG_INFO, "flow", "connection reopened", 2, (struct field[]){…}) - use the macro:
 * LOG(LOG_INFO, "flow", "connection reopened", LF_ADDR("peer", &a), LF_INT("ms", 12)); at least one
 * field */
void log_fields(enum log_level level, const char *module, const char *text, unsigned n,
                const struct field *fields);
#define LOG(level, module, text, ...)                                                          \
    do {                                                                                       \
        if (log_is_on(level)) {                                                                \
            const struct field log_f_[] = {__VA_ARGS__};                                       \
            log_fields((level), (module), (text), sizeof(log_f_) / sizeof(log_f_[0]), log_f_); \
        }                                                                                      \
    } while (0)
#define LOG0(level, module, text) log_fields((level), (module), (text), 0, NULL)

/* At most `burst` lines in each `interval_ms`; the first line of the next interval carries how many
 * were left out. Lives in the object it protects; zero-initialised. */
struct log_limit {
    uint64_t since; /* ms */
    uint32_t used;
    uint32_t left_out;
};
/* May a line be written now? *left_out gets the number suppressed since the last one that was
 * allowed. */
bool log_limit_ok(struct log_limit *l, uint64_t now, uint32_t burst, uint32_t interval_ms,
                  uint32_t *left_out);

#endif
