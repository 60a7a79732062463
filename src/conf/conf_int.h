/* SPDX-License-Identifier: Apache-2.0 */
/* The table of options and what the files of this room share.
 *
 * owns: nothing. thread: one. */
#ifndef CONF_CONF_INT_H
#define CONF_CONF_INT_H

#include "base/table.h"
#include "conf/conf.h"
#include "sip/uri.h"

enum option_kind {
    OPT_BOOL,  /* bool */
    OPT_U32,   /* uint32_t, min to max */
    OPT_U16,   /* uint16_t */
    OPT_MS,    /* uint32_t of ms; written in s, or with a unit: ms, s, m, h */
    OPT_S,     /* uint32_t of s; written the same way */
    OPT_ENUM,  /* int-sized enum; words in `valid`, separated by ", ", in order from 0 */
    OPT_TEXT,  /* char * */
    OPT_URI,   /* char *: a SIP URI that a request can go to */
    OPT_URIS,  /* char ** and unsigned behind it */
    OPT_FILE,  /* the same; where it was named is kept */
    OPT_WORDS, /* struct slice * and unsigned behind it */
    OPT_SAID,  /* int: 0 or 1; -1 stays where it is not said */
    OPT_NETS,  /* struct addr_net * and unsigned behind it; `any` where max is 1 */
    OPT_ADDRS, /* struct addr * and unsigned behind it; max: the port where none is given, 0: no
                  ports */
    OPT_OWN,   /* `parse` does it all */
};

enum option_effect {
    EFFECT_RESTART,
    EFFECT_RELOAD,
    EFFECT_RELOAD_NEW,
    EFFECT_AT_ONCE, /* as EFFECT_RELOAD; what `holdfastctl set` is for */
};

struct reader;

struct option {
    const char *section; /* word of conf_sections */
    const char *name;
    enum option_kind kind;
    size_t offset;        /* in the section's struct */
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

/* --- sections --- */

enum section_kind {
    SECTION_SIPPROXY,
    SECTION_APPLICATION,
    SECTION_LISTENER,
    SECTION_DOMAIN,
    SECTION_DN,
    SECTION_KINDS,
    SECTION_NONE = -1, /* before any, or in one that is not known */
};

struct section {
    const char *word;  /* what stands behind the bracket */
    const char *title; /* as printed */
    const char *names; /* which names are allowed, as printed; NULL: it has no name and stands for
                          struct conf */
    size_t size;       /* of the struct of one section, whose first member is char *name */
    bool keeps_lines;  /* of each option: there are few such sections */
    /* Fills what is not said by an option; makes the name what it is compared by. False: the name
     * is not allowed. */
    bool (*begin)(struct reader *r, void *item);
};

extern const struct section conf_sections[SECTION_KINDS];

/* The sections of one kind, in the order of the file. */
struct items {
    char *first; /* one behind the other */
    unsigned n, cap;
    unsigned *at;     /* line of each */
    unsigned **lines; /* of the options in each, by index of the table, 0: not given; NULL where
                         they are not kept */
};

/* [application NAME] */
struct app_section {
    struct group_conf group; /* begins with the name */
    struct dn_tls_conf tls;
    char *primary, *backup;
    char **members;
    unsigned nmembers;
    uint32_t *weights;
    unsigned nweights;
    uint32_t check_s, force_s; /* SAID_NOTHING: that of [sipproxy] */
};
#define SAID_NOTHING UINT32_MAX

/* [listener ADDRESS] */
struct listener_section {
    char *name;
    struct addr addr;
    char *advertised;
    struct addr_net *access;
    unsigned naccess;
};

/* Where an option stands that names a file. */
struct conf_place {
    unsigned option;  /* index of the table, which names the kind of section */
    const char *name; /* of the section, NULL: [sipproxy] */
    unsigned line;
};

/* An option that is given in another section than [sipproxy]. */
#define GIVEN_MAX 20000u
struct conf_given {
    unsigned option;  /* index of the table, which names the kind of section */
    const char *name; /* of the section */
    const char *value;
    unsigned line;
};

/* One file on its way. */
struct reader {
    struct conf *conf;
    const char *file; /* for messages */
    FILE *err;
    struct slice rest; /* not yet read */
    unsigned line;     /* the current one */
    unsigned given_cap;
    bool is_continued; /* it begins with a blank */
    bool is_first;     /* its handler has not been called yet */
    unsigned errors;
    enum section_kind section;
    void *item; /* where its options go */
    struct items items[SECTION_KINDS];
    struct table names;    /* of sections; there may be a hundred thousand */
    unsigned *lines;       /* line of each option of [sipproxy], 0: not given */
    unsigned *item_lines;  /* of the current other section */
    unsigned *spare_lines; /* for sections that do not keep them */
    bool had_section;
    unsigned place_cap;
    bool no_memory;
};

/* "FILE:LINE: " and the text. */
void conf_error(struct reader *r, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/* Parses `value` into the field. False: not allowed, nothing was changed. `append`: a further line
 * of a list. */
bool conf_value_set(struct reader *r, const struct option *o, void *base, struct slice value,
                    bool append);
/* What stands between the brackets. */
void conf_open_section(struct reader *r, struct slice name);
/* Gives a section what the table says. */
void conf_set_defaults(struct reader *r, const char *section, void *base);
/* Index in the table; aborts where it is not there. */
unsigned conf_option_index(const char *section, const char *name);
/* Sets r->line to where an option of a section is given, else to its section, for an error; item:
 * its index among those of its kind. */
void conf_at(struct reader *r, enum section_kind kind, unsigned item, const char *option);
bool conf_is_given(const struct reader *r, enum section_kind kind, unsigned item,
                   const char *option);
static inline void *conf_item(const struct reader *r, enum section_kind kind, unsigned i)
{
    char *first = r->items[kind].first;
    return first != NULL ? first + i * conf_sections[kind].size : NULL;
}

/* A SIP URI that a request can be sent to; false: it is none. */
bool conf_uri_parse(struct slice text, struct sip_uri *uri);
/* HOST or HOST:PORT (0: none); an IPv6 address in brackets. False: it is neither. */
bool conf_host_parse(struct slice text, struct slice *host, uint16_t *port);
/* The port of TLS is closed: nothing can go to such a URI. */
bool conf_lacks_tls(const struct conf *c, const char *uri);

/* What depends on several options. Errors are reported to r. */
void conf_finish(struct reader *r);
/* Its parts: [listener …] and names of ours; [application …] and [domain …]. */
void conf_finish_listeners(struct reader *r);
void conf_finish_neighbours(struct reader *r);
void conf_finish_admin(struct reader *r);
/* Does a request to that URI come back to us? Only what the URI itself tells. */
bool conf_is_loop(const struct conf *c, const char *uri);
#define CONF_LOOP_TEXT "is this proxy itself; allowed: the address of somebody else"
/* The part of conf_open_tls that is HTTP's. 0; ERR_NOMEM; else one of the errors of net_tls_new,
 * with the file in *path and what is wrong with it in `why`, which may be left empty. */
int conf_open_admin(struct conf *c, struct net_tls_keys *keys, const char **path, char *why,
                    size_t cap) WARN_UNUSED;
/* Gives up what conf_open_tls has made. */
void conf_close_tls(struct conf *c);
/* An address that we listen at, of this machine where that is a wildcard? */
bool conf_is_our_address(const struct conf *c, const struct addr *a);
/* The default as it is printed. */
const char *conf_default_text(const struct option *o);
/* Copies into the configuration, terminated by NUL; NULL with r->no_memory set. */
char *conf_str(struct reader *r, struct slice s);
unsigned conf_count_words(struct slice v); /* of slice_next_word */

#endif
