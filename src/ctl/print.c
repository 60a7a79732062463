/* SPDX-License-Identifier: Apache-2.0 */
/* What is made from the table of commands: help, manual page, docs/commands.md, completion. */
#include <string.h>

#include "admin/wire.h"
#include "base/buf.h"
#include "ctl/ctl_int.h"

const struct ctl_option ctl_options[] = {
    {"socket", "PATH", "control socket of the daemon: its option control-socket", 's'},
    {"json", NULL, "one object of JSON, with an array for each set of rows, as HTTP gives it", 'j'},
    {"wide", NULL, "all columns", 'W'},
    {"no-headers", NULL, "without the line of titles", 'n'},
    {"watch", "[SECONDS]", "again each 2 or so many seconds, until Ctrl-C", 'w'},
    {"follow", NULL, "trace, events: go on with what comes, until Ctrl-C", 'f'},
    {"text", NULL, "trace: the messages themselves in the place of arrows", 't'},
    {"pcapng", "FILE", "trace: write a capture for Wireshark or sngrep; -: to stdout", 'p'},
    {"man", NULL, "print holdfastctl(1)", 0},
    {"markdown", NULL, "print the commands with their rows, as docs/commands.md", 0},
    {"version", NULL, "print the version", 0},
    {"help", NULL, "print this text", 'h'},
    {NULL, NULL, NULL, 0},
};

/* "  -w, --watch [SECONDS]" */
static void put_option(struct buf *b, const struct ctl_option *o)
{
    if (o->letter != 0)
        buf_printf(b, "  -%c, --%s", o->letter, o->name);
    else
        buf_printf(b, "      --%s", o->name);
    if (o->argument != NULL)
        buf_printf(b, " %s", o->argument);
}

static void put_usage(char *text, size_t cap, const struct admin_command *c)
{
    char args[64];
    admin_command_usage(c, args, sizeof(args));
    snprintf(text, cap, "%s%s%s", c->name, args[0] != '\0' ? " " : "", args);
}

void ctl_print_help(FILE *out)
{
    fputs("Usage: holdfastctl [OPTION]... COMMAND [ARGUMENT]...\n"
          "Asks the running holdfast, or tells it what to do.\n\n",
          out);
    for (const struct ctl_option *o = ctl_options; o->name != NULL; o++) {
        char text[64];
        struct buf b;
        buf_init(&b, text, sizeof(text));
        put_option(&b, o);
        fprintf(out, "%-24.*s %s\n", (int)b.len, text, o->help);
    }
    fputs("\n", out);
    for (unsigned i = 0; i < CMD_MAX; i++) {
        const struct admin_command *c = admin_command_at((enum admin_command_id)i);
        char usage[96];
        put_usage(usage, sizeof(usage), c);
        fprintf(out, "  %-36s %s\n", usage, c->help);
    }
    fputs("\n"
          "'holdfastctl help COMMAND' tells the arguments and rows of one command.\n"
          "The socket is " ADMIN_SYSTEM_PATH " unless --socket names another, or an ordinary\n"
          "user has a daemon of his own at $XDG_RUNTIME_DIR/" ADMIN_USER_NAME ".\n"
          "Exit status: 0 done, 1 refused (no such call, no such DN), 2 wrong usage, 3 the daemon\n"
          "cannot be reached.\n",
          out);
}

void ctl_print_command(const struct admin_command *c, FILE *out)
{
    char usage[96];
    put_usage(usage, sizeof(usage), c);
    fprintf(out, "Usage: holdfastctl [OPTION]... %s\n%c%s.\n", usage,
            c->help[0] >= 'a' && c->help[0] <= 'z' ? c->help[0] - 0x20 : c->help[0], c->help + 1);
    if (c->more != NULL)
        fprintf(out, "%s\n", c->more);
    unsigned nargs = admin_command_nargs(c);
    for (unsigned i = 0; i < nargs; i++) {
        struct admin_command alone = {.args = {c->args[i]}};
        admin_command_usage(&alone, usage, sizeof(usage));
        fprintf(out, "%s  %-22s %s\n", i == 0 ? "\n" : "", usage, c->args[i].help);
    }
    for (const struct admin_column *col = c->columns; col->set != NULL; col++) {
        if (col == c->columns || strcmp(col->set, col[-1].set) != 0)
            fprintf(out, "\nRows of %s:\n", col->set);
        fprintf(out, "  %-22s %s\n", col->name, col->help);
    }
}

/* --- manual page --- */

static void put_roff(const char *text, FILE *out)
{
    if (*text == '.' || *text == '\'')
        fputs("\\&", out);
    for (; *text != '\0'; text++) {
        if (*text == '-' || *text == '\\')
            fputc('\\', out);
        fputc(*text == '\\' ? 'e' : *text, out);
    }
}

static void put_sentence(const char *text, FILE *out)
{
    char first[2] = {text[0], '\0'};
    if (first[0] >= 'a' && first[0] <= 'z')
        first[0] = (char)(first[0] - 0x20);
    put_roff(first, out);
    put_roff(text + 1, out);
    fputs(".\n", out);
}

static void man_argument(const struct admin_arg *arg, FILE *out)
{
    char one[64];
    struct admin_command alone = {.args = {*arg}};
    admin_command_usage(&alone, one, sizeof(one));
    fputs(".br\n\\fI", out);
    put_roff(one, out);
    fputs("\\fR: ", out);
    put_roff(arg->help, out);
    fputs(".\n", out);
}

static void man_command(const struct admin_command *c, FILE *out)
{
    char usage[64];
    admin_command_usage(c, usage, sizeof(usage));
    fputs(".TP\n\\fB", out);
    put_roff(c->name, out);
    fputs("\\fR", out);
    if (usage[0] != '\0') {
        fputs(" \\fI", out);
        put_roff(usage, out);
        fputs("\\fR", out);
    }
    fputs("\n", out);
    put_sentence(c->help, out);
    if (c->more != NULL) {
        put_roff(c->more, out);
        fputs("\n", out);
    }
    for (unsigned i = 0; i < admin_command_nargs(c); i++)
        man_argument(&c->args[i], out);
}

static void man_options(FILE *out)
{
    for (const struct ctl_option *o = ctl_options; o->name != NULL; o++) {
        fputs(".TP\n", out);
        if (o->letter != 0)
            fprintf(out, "\\fB\\-%c\\fR, ", o->letter);
        fputs("\\fB\\-\\-", out);
        put_roff(o->name, out);
        fputs("\\fR", out);
        if (o->argument != NULL)
            fprintf(out, " \\fI%s\\fR", o->argument);
        fputs("\n", out);
        put_sentence(o->help, out);
    }
}

static const char man_head[] =
    ".TH HOLDFASTCTL 1\n"
    ".SH NAME\n"
    "holdfastctl \\- ask the running holdfast, or tell it what to do\n"
    ".SH SYNOPSIS\n"
    ".B holdfastctl\n"
    "[\\fIOPTION\\fR]... \\fICOMMAND\\fR [\\fIARGUMENT\\fR]...\n"
    ".SH DESCRIPTION\n"
    ".B holdfastctl\n"
    "connects to the control socket of\n"
    ".BR holdfast (8),\n"
    "gives it one command and prints the answer. Who may write to the socket may give commands: its "
    "owner, root, and the\n"
    "members of its group, as its permissions (0660) say.\n"
    ".PP\n"
    "An answer is a table, with columns that are empty or tell of details left out\n"
    "(\\fB\\-\\-wide\\fR shows all; a terminal that is narrow does without some more), times as the clock here shows them, and spans as 250ms, 3m12s or 2d04h. States are "
    "coloured on a terminal\n"
    "unless the variable NO_COLOR is set. Scripts take\n"
    ".BR \\-\\-json ,\n"
    "where values have their units in their names and nothing is left out.\n"
    ".PP\n"
    ".B trace\n"
    "shows the messages of a call as arrows, one column for each address; without an argument it "
    "lists all messages that are kept.\n"
    ".PP\n"
    ".B help\n"
    "with the name of a command tells its arguments and rows, without asking the daemon.\n"
    ".SH OPTIONS\n"
    "Options may stand before and behind the command.\n";

static const char man_tail[] =
    ".SH FILES\n"
    ".TP\n"
    ".I /run/holdfast/control.sock\n"
    "The socket of a daemon that root or\n"
    ".BR systemd (1)\n"
    "has started.\n"
    ".TP\n"
    ".I $XDG_RUNTIME_DIR/holdfast.sock\n"
    "The socket of a daemon that an ordinary user has started. It is looked for first unless the "
    "user is root.\n"
    ".SH PROTOCOL\n"
    "For programs of your own: connect to the stream socket and send lines, each one command, at "
    "most 1024 bytes long, its words\n"
    "divided by blanks, or, where there is a TAB in the line, by TABs; an empty word between two "
    "TABs is an argument that is left out. An\n"
    "answer is lines, each one row: the name of its set, a blank, and an object of JSON; then one "
    "line that begins with a single dot:\n"
    ".B .ok\n"
    "or\n"
    ".B .error\n"
    "with a text (refused) or\n"
    ".B .usage\n"
    "with a text (no such command, or wrong arguments). The next command is read when the answer "
    "has been taken. At most 32 clients are\n"
    "served at a time; one that neither asks nor reads for 15 seconds is closed.\n"
    ".SH EXIT STATUS\n"
    "0 done; 1 refused (no such call, no such DN, no such application, a worker that does not "
    "answer); 2 wrong usage; 3 the daemon\n"
    "cannot be reached: it is not running, does not answer, or you are not allowed to ask it.\n"
    ".SH EXAMPLES\n"
    ".nf\n"
    "holdfastctl status\n"
    "holdfastctl \\-\\-watch flows 10.20.30.40\n"
    "holdfastctl dns 1001\n"
    "holdfastctl search 1001\n"
    "holdfastctl trace 8f2c@10.20.30.40\n"
    "holdfastctl trace 1001 \\-\\-pcapng call.pcapng\n"
    "holdfastctl calls release 8f2c@10.20.30.40\n"
    "holdfastctl applications switch main\n"
    "holdfastctl log 'info, flow:debug'\n"
    "holdfastctl \\-\\-json flows | jq '.flow[] | select(.idle_ms > 60000) | .remote'\n"
    ".fi\n"
    ".SH SEE ALSO\n"
    ".BR holdfast (8),\n"
    ".BR holdfast.conf (5)\n";

void ctl_print_man(FILE *out)
{
    fputs(man_head, out);
    man_options(out);
    fputs(".SH COMMANDS\n", out);
    for (unsigned i = 0; i < CMD_MAX; i++)
        man_command(admin_command_at((enum admin_command_id)i), out);
    fputs(man_tail, out);
}

/* --- docs/commands.md --- */

static void md_cell(const char *text, FILE *out)
{
    for (; *text != '\0'; text++) {
        if (*text == '|')
            fputc('\\', out);
        fputc(*text, out);
    }
}

static void md_columns(const struct admin_command *c, FILE *out)
{
    static const char *const kinds[] = {[ADMIN_TEXT] = "text",
                                        [ADMIN_INT] = "number",
                                        [ADMIN_BOOL] = "true or false",
                                        [ADMIN_TIME] = "time"};
    fputs("\n| set | value | kind | |\n|---|---|---|---|\n", out);
    for (const struct admin_column *col = c->columns; col->set != NULL; col++) {
        bool is_next = col != c->columns && strcmp(col->set, col[-1].set) == 0;
        fprintf(out, "| %s%s%s | `%s` | %s | ", is_next ? "" : "`", is_next ? "" : col->set,
                is_next ? "" : "`", col->name, kinds[col->kind]);
        md_cell(col->help, out);
        fputs(" |\n", out);
    }
}

static void md_command(const struct admin_command *c, FILE *out)
{
    char usage[96];
    put_usage(usage, sizeof(usage), c);
    fprintf(out, "\n## %s\n\n`holdfastctl %s`: %s.", c->name, usage, c->help);
    if (c->more != NULL)
        fprintf(out, " %s", c->more);
    fprintf(out, " HTTP: `%s /api/v1/", c->changes ? "POST" : "GET");
    for (const char *p = c->name; *p != '\0'; p++)
        fputc(*p == ' ' ? '/' : *p, out);
    fputs("`.\n", out);
    unsigned nargs = admin_command_nargs(c);
    if (nargs != 0)
        fputs("\n| argument | | |\n|---|---|---|\n", out);
    for (unsigned i = 0; i < nargs; i++) {
        fprintf(out, "| `%s` | %s | ", c->args[i].name,
                c->args[i].is_needed ? "needed" : "may be left out");
        md_cell(c->args[i].help, out);
        fputs(" |\n", out);
    }
    md_columns(c, out);
}

void ctl_print_markdown(FILE *out)
{
    fputs(
        "# Commands\n\n"
        "What `holdfastctl` and the HTTP API can ask, and the rows that they get. Made by\n"
        "`holdfastctl --markdown`.\n\n"
        "Over HTTP a command that changes something is a POST, whose arguments are members of an\n"
        "object of JSON; the others are GET with query parameters. The answer is an object with an\n"
        "array for each set. Times are RFC 3339 in UTC, or empty; the unit of a number is the end "
        "of its\nname; what is not known is empty, or -1.\n",
        out);
    for (unsigned i = 0; i < CMD_MAX; i++)
        md_command(admin_command_at((enum admin_command_id)i), out);
}

const struct admin_command *ctl_command(unsigned n, const char *const *words, unsigned *used)
{
    char name[64];
    for (*used = n < 2 ? n : 2; *used != 0; --*used) {
        int len = snprintf(name, sizeof(name), *used == 2 ? "%s %s" : "%s", words[0],
                           *used == 2 ? words[1] : "");
        enum admin_command_id id =
            len > 0 && (size_t)len < sizeof(name) ? admin_command_find(slice_str(name)) : CMD_MAX;
        if (id != CMD_MAX)
            return admin_command_at(id);
    }
    return NULL;
}
