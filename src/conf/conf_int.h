/* SPDX-License-Identifier: Apache-2.0 */
/* The table of options and what the files of this room share.
 *
 * owns: nothing. thread: one. */
#ifndef CONF_CONF_INT_H
#define CONF_CONF_INT_H

#include "conf/conf.h"

enum option_kind {
    OPT_BOOL,  /* bool */
    OPT_U32,   /* uint32_t, min to max */
    OPT_U16,   /* uint16_t */
    OPT_MS,    /* uint32_t of ms; written in s, or with a unit: ms, s, m, h */
    OPT_S,     /* uint32_t of s; written the same way */
    OPT_ENUM,  /* int-sized enum; words in `valid`, separated by ", ", in order from 0 */
    OPT_TEXT,  /* char * */
    OPT_FILE,  /* the same; where it was named is kept */
    OPT_WORDS, /* struct slice * and unsigned behind it */
    OPT_NETS,  /* struct addr_net * and unsigned behind it; `any` where max is 1 */
    OPT_ADDRS, /* struct addr * and unsigned behind it */
    OPT_OWN,   /* `parse` does it all */
};

enum option_effect { EFFECT_RESTART, EFFECT_RELOAD, EFFECT_RELOAD_NEW };

struct reader;

struct option {
    const char *section; /* "sipproxy" or "dn" */
    const char *name;
    enum option_kind kind;
    size_t offset;        /* in struct conf, or struct dn_conf for section dn */
    uint64_t min, max;    /* numbers; times in ms (OPT_MS) or s (OPT_S) */
    const char *fallback; /* the default as it would be written; "" = none */
    const char *shown;    /* how the default is printed when `fallback` does not say it; or NULL */
    const char *valid;    /* what is allowed, as printed */
    enum option_effect effect;
    const char *help;
    bool (*parse)(struct reader *r, void *base,
                  struct slice value); /* OPT_OWN: false: not allowed */
};

extern const struct option conf_options[];
extern const unsigned conf_noptions;

/* Where an option stands that names a file. */
struct conf_place {
    unsigned option; /* index of the table */
    unsigned dn;     /* index, CONF_NO_DN: [sipproxy] */
    unsigned line;
};
#define CONF_NO_DN UINT32_MAX

/* One file on its way. */
struct reader {
    struct conf *conf;
    const char *file; /* for messages */
    FILE *err;
    struct slice rest; /* not yet read */
    unsigned line;     /* the current one */
    bool is_continued; /* it begins with a blank */
    bool is_first;     /* its handler has not been called yet */
    unsigned errors;
    int section; /* -1: none or unknown, 0: sipproxy, 1: dn */
    struct dn_conf *dn;
    unsigned *lines; /* line of each option of the current section, 0: not given */
    unsigned *dn_lines;
    unsigned *dn_at; /* line of each DN's section */
    unsigned dn_cap;
    unsigned place_cap;
    bool no_memory;
};

/* "FILE:LINE: " and the text. */
void conf_error(struct reader *r, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/* Parses `value` into the field. False: not allowed, nothing was changed. `append`: a further line
 * of a list. */
bool conf_value_set(struct reader *r, const struct option *o, void *base, struct slice value,
                    bool append);
/* What depends on several options. Errors are reported to r. */
void conf_finish(struct reader *r);
/* Gives up what conf_open_tls has made. */
void conf_close_tls(struct conf *c);
/* The default as it is printed. */
const char *conf_default_text(const struct option *o);
/* Copies into the configuration, terminated by NUL; NULL with r->no_memory set. */
char *conf_str(struct reader *r, struct slice s);

#endif
