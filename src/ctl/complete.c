/* SPDX-License-Identifier: Apache-2.0 */
/* What may stand in the place of the word that is being typed: options and commands from the
 * tables, arguments from the daemon, where it answers soon. */
#include <string.h>

#include "ctl/ctl_int.h"

#define PROPOSALS_MAX 500
#define PATIENCE_MS   1000

struct proposals {
    FILE *out;
    const char *begun; /* what is typed of the word */
    unsigned n;
    const char *set, *value, *help; /* of rows */
};

static void propose(struct proposals *p, const char *word, const char *help)
{
    if (p->n >= PROPOSALS_MAX || strncmp(word, p->begun, strlen(p->begun)) != 0)
        return;
    p->n++;
    fprintf(p->out, "%s\t%s\n", word, help);
}

static void propose_row(void *user, const char *set, json_t *row)
{
    struct proposals *p = user;
    if (strcmp(set, p->set) != 0)
        return;
    const json_t *value = json_object_get(row, p->value);
    char *word = ctl_value("", value), *help = ctl_value("", json_object_get(row, p->help));
    /* What a shell would take apart, or what had to be changed to be shown, is no proposal. */
    if (json_is_string(value) && strcmp(word, json_string_value(value)) == 0 &&
        strpbrk(word, " \t\"'`$\\&|;<>()*?!") == NULL && word[0] != '\0')
        propose(p, word, help);
    mem_free(word);
    mem_free(help);
}

static void propose_rows(const struct ctl *ctl, struct proposals *p, const char *const *words,
                         unsigned n, const char *set, const char *value, const char *help)
{
    char why[CTL_WHY_MAX];
    p->set = set;
    p->value = value;
    p->help = help;
    (void)ctl_ask(ctl, n, words, propose_row, p, why);
}

static void propose_from(const struct ctl *ctl, struct proposals *p, const char *command,
                         const char *set, const char *value, const char *help)
{
    propose_rows(ctl, p, &command, 1, set, value, help);
}

/* The argument at that place of the command. */
static void propose_argument(const struct ctl *ctl, struct proposals *p,
                             const struct admin_command *c, unsigned at, const char *before)
{
    const char *name = c->args[at].name;
    struct slice first;
    struct slice rest = slice_str(c->name);
    (void)slice_next_word(&rest, &first);
    bool is_trace = strcmp(c->name, "trace") == 0;
    if (strcmp(name, "name") == 0 && slice_eq(first, SLICE("dns")))
        propose_from(ctl, p, "dns", "dn", "name", "state");
    else if (strcmp(name, "name") == 0 && slice_eq(first, SLICE("applications")))
        propose_from(ctl, p, "applications", "application", "name", "state");
    else if (strcmp(name, "member") == 0)
        propose_rows(ctl, p, (const char *const[]){"applications", before}, 2, "member", "uri",
                     "state");
    else if (strcmp(name, "name") == 0 && slice_eq(first, SLICE("resolver")))
        propose_from(ctl, p, "resolver", "resolver_name", "name", "answer");
    else if (strcmp(name, "name") == 0)
        propose_from(ctl, p, "options", "option", "name", "value");
    else if (strcmp(name, "id") == 0)
        propose_from(ctl, p, "flows", "flow", "id", "remote");
    if (strcmp(name, "call_id") == 0 || is_trace)
        propose_from(ctl, p, "calls", "call", "call_id", "dn");
    if (strcmp(name, "match") == 0 || strcmp(name, "text") == 0)
        propose_from(ctl, p, "dns", "dn", "name", "state");
}

/* The last words of the commands whose names begin with those that stand there already and have one
 * more. */
static void propose_commands(struct proposals *p, unsigned n, const char *const *words)
{
    for (unsigned i = 0; i < CMD_MAX; i++) {
        const struct admin_command *c = admin_command_at((enum admin_command_id)i);
        struct slice rest = slice_str(c->name), word = SLICE_NONE, last;
        unsigned k = 0;
        while (k < n && slice_next_word(&rest, &word) && slice_eq(word, slice_str(words[k])))
            k++;
        if (k != n || !slice_next_word(&rest, &word) || slice_next_word(&rest, &last))
            continue;
        char *text = ctl_copy(word.ptr, word.len);
        propose(p, text, c->help);
        mem_free(text);
    }
}

static void propose_options(struct proposals *p)
{
    for (const struct ctl_option *o = ctl_options; o->name != NULL; o++) {
        char text[32];
        snprintf(text, sizeof(text), "--%s", o->name);
        propose(p, text, o->help);
    }
}

void ctl_complete(const struct ctl *ctl, unsigned n, const char *const *words, FILE *out)
{
    struct ctl soon = *ctl;
    struct proposals p = {.out = out, .begun = n != 0 ? words[n - 1] : ""};
    unsigned used = 0, before = n != 0 ? n - 1 : 0;
    soon.timeout_ms = PATIENCE_MS;
    if (p.begun[0] == '-') {
        propose_options(&p);
        return;
    }
    const struct admin_command *c = ctl_command(before, words, &used);
    propose_commands(&p, before, words);
    if (c != NULL && before - used < admin_command_nargs(c))
        propose_argument(&soon, &p, c, before - used, before != 0 ? words[before - 1] : "");
}
