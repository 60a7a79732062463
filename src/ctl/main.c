/* SPDX-License-Identifier: Apache-2.0 */
/* holdfastctl: gives one command to the running daemon by its control socket and shows the answer.
 */
#include <errno.h>
#include <getopt.h>
#include <locale.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "ctl/ctl_int.h"
#include "holdfast_version.h"

#define PATH_BYTES  256
#define WORDS_MAX   64
#define ANSWER_MS   20000 /* a daemon that is silent for so long is stuck */
#define WATCH_MS    2000
#define WATCH_MAX_S 86400.0

/* --- options --- */

enum { OPT_MAN = 256, OPT_MARKDOWN, OPT_VERSION };

static const struct option long_options[] = {
    {"socket", required_argument, NULL, 's'},
    {"json", no_argument, NULL, 'j'},
    {"wide", no_argument, NULL, 'W'},
    {"no-headers", no_argument, NULL, 'n'},
    {"watch", optional_argument, NULL, 'w'},
    {"follow", no_argument, NULL, 'f'},
    {"text", no_argument, NULL, 't'},
    {"pcapng", required_argument, NULL, 'p'},
    {"man", no_argument, NULL, OPT_MAN},
    {"markdown", no_argument, NULL, OPT_MARKDOWN},
    {"version", no_argument, NULL, OPT_VERSION},
    {"help", no_argument, NULL, 'h'},
    {NULL, 0, NULL, 0},
};

static bool is_number(const char *text, double *number)
{
    char *end;
    *number = strtod(text, &end);
    return end != text && *end == '\0';
}

/* False: no number of seconds. */
static bool parse_seconds(const char *text, uint64_t *ms)
{
    double s;
    if (!is_number(text, &s) || !(s >= 0.1) || s > WATCH_MAX_S)
        return false;
    *ms = (uint64_t)(s * 1000);
    return true;
}

/* A number behind --watch belongs to it, also one that cannot be. */
static bool take_watch(struct ctl *ctl, int argc, char **argv)
{
    ctl->watch_ms = WATCH_MS;
    if (optarg != NULL)
        return parse_seconds(optarg, &ctl->watch_ms);
    double s;
    if (optind == argc || !is_number(argv[optind], &s))
        return true;
    return parse_seconds(argv[optind++], &ctl->watch_ms);
}

/* -1: go on; else the exit status. */
static int parse_args(struct ctl *ctl, int argc, char **argv)
{
    int opt;
    while ((opt = getopt_long(argc, argv, "s:jWnw::ftp:h", long_options, NULL)) != -1) {
        switch (opt) {
        case 's': ctl->path = optarg; break;
        case 'j': ctl->is_json = true; break;
        case 'W': ctl->is_wide = true; break;
        case 'n': ctl->has_headers = false; break;
        case 'f': ctl->is_following = true; break;
        case 't': ctl->with_text = true; break;
        case 'p': ctl->pcapng = optarg; break;
        case 'w':
            if (!take_watch(ctl, argc, argv))
                return ctl_fail(CTL_USAGE, "--watch wants a number of seconds, 0.1 to 86400");
            break;
        case OPT_MAN: ctl_print_man(stdout); return CTL_DONE;
        case OPT_MARKDOWN: ctl_print_markdown(stdout); return CTL_DONE;
        case OPT_VERSION: puts("holdfastctl " HOLDFAST_VERSION); return CTL_DONE;
        case 'h': ctl_print_help(stdout); return CTL_DONE;
        default: fputs("Try 'holdfastctl --help'.\n", stderr); return CTL_USAGE;
        }
    }
    if (optind < argc)
        return -1;
    return ctl_fail(CTL_USAGE, "no command; try 'holdfastctl --help'");
}

/* --- the terminal --- */

static void look_at_terminal(struct ctl *ctl)
{
    const char *none = getenv("NO_COLOR"), *term = getenv("TERM");
    struct winsize size = {0};
    ctl->is_terminal = isatty(STDOUT_FILENO) == 1;
    if (!ctl->is_terminal)
        return;
    if (ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0) {
        ctl->width = size.ws_col;
        ctl->height = size.ws_row;
    }
    ctl->has_colours = (none == NULL || none[0] == '\0') && term != NULL &&
                       strcmp(term, "dumb") != 0 && !ctl->is_json;
}

/* What goes on is ended by Ctrl-C, and that is no failure. */
static void catch_end(struct ctl *ctl)
{
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGINT);
    sigaddset(&set, SIGTERM);
    if (sigprocmask(SIG_BLOCK, &set, NULL) == 0)
        ctl->stop = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
}

static bool is_trace_option_wrong(const struct ctl *ctl, const struct admin_command *c)
{
    bool is_trace = c != NULL && strcmp(c->name, "trace") == 0;
    return (ctl->with_text || ctl->pcapng != NULL) &&
           (!is_trace || ctl->is_json || ctl->watch_ms != 0);
}

/* Of one command; the table is here too, the daemon is not needed. */
static int help_of(unsigned n, const char *const *words)
{
    unsigned used;
    const struct admin_command *command = ctl_command(n, words, &used);
    if (command == NULL || used != n)
        return ctl_fail(CTL_USAGE, "no such command; try 'holdfastctl --help'");
    ctl_print_command(command, stdout);
    return fflush(stdout) == 0 ? CTL_DONE : CTL_REFUSED;
}

static int run(struct ctl *ctl, int argc, char **argv)
{
    const char *words[WORDS_MAX];
    unsigned n = 0, used;
    if (argc - optind > WORDS_MAX)
        return ctl_fail(CTL_USAGE, "the command has too many words");
    for (int i = optind; i < argc; i++)
        words[n++] = argv[i];
    const struct admin_command *command = ctl_command(n, words, &used);
    if (n > 1 && strcmp(words[0], "help") == 0)
        return help_of(n - 1, words + 1);
    if (is_trace_option_wrong(ctl, command))
        return ctl_fail(CTL_USAGE, "--text and --pcapng are for trace alone");
    if (ctl->watch_ms != 0 || ctl->is_following)
        catch_end(ctl);
    return ctl_run(ctl, command, n, words);
}

/* holdfastctl --complete PATH WORD...: of the scripts for shells; PATH may be empty. */
static int complete(struct ctl *ctl, int argc, char **argv)
{
    if (argc > 2 && argv[2][0] != '\0')
        ctl->path = argv[2];
    if (argc > 3)
        ctl_complete(ctl, (unsigned)argc - 3, (const char *const *)(argv + 3), stdout);
    return CTL_DONE;
}

int main(int argc, char **argv)
{
    char path[PATH_BYTES];
    struct ctl ctl = {.path = ctl_default_path(path, sizeof(path)),
                      .has_headers = true,
                      .timeout_ms = ANSWER_MS,
                      .stop = -1};
    (void)setlocale(LC_CTYPE, "C.UTF-8");
    look_at_terminal(&ctl);
    if (argc >= 2 && strcmp(argv[1], "--complete") == 0)
        return complete(&ctl, argc, argv);
    int status = parse_args(&ctl, argc, argv);
    return status >= 0 ? (fflush(stdout) == 0 ? status : CTL_REFUSED) : run(&ctl, argc, argv);
}
