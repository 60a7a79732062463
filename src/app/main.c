/* SPDX-License-Identifier: Apache-2.0 */
#include <getopt.h>
#include <stdio.h>
#include <string.h>

#include "admin/metrics.h"
#include "admin/openapi.h"
#include "app/daemon.h"
#include "base/event.h"
#include "conf/conf.h"
#include "holdfast_version.h"

enum { EXIT_USAGE = 2, EXIT_CONF = 2 };

static void print_help(void)
{
    puts("Usage: holdfast [-c FILE] [--check]\n"
         "SIP proxy that loses no call to a dead connection.\n"
         "\n"
         "  -c, --config FILE   configuration (default: the embedded one: registrar on, UDP and\n"
         "                      TCP port 5060 on all addresses, registrations from loopback only)\n"
         "      --check         read the configuration, say what is wrong with it, and end\n"
         "      --options       all options with their defaults and meaning\n"
         "      --version       version\n"
         "  -h, --help          this text\n"
         "\n"
         "It runs in the foreground and logs to stderr, under systemd to the journal. SIGHUP\n"
         "reads the configuration anew, SIGUSR1 logs counters, DNs and applications, SIGTERM\n"
         "lets transactions end and stops. holdfast(8) and holdfast.conf(5) tell the rest.\n"
         "Exit status: 0 ended as asked, 1 could not start, 2 wrong usage or configuration.");
}

enum {
    OPT_CHECK = 256,
    OPT_OPTIONS,
    OPT_VERSION,
    OPT_MARKDOWN,
    OPT_MAN,
    OPT_FILE_TEXT,
    OPT_METRICS,
    OPT_OPENAPI,
    OPT_EVENTS,
    OPT_PAGE
};

static const struct option long_options[] = {
    {"config", required_argument, NULL, 'c'},
    {"check", no_argument, NULL, OPT_CHECK},
    {"options", no_argument, NULL, OPT_OPTIONS},
    {"options-markdown", no_argument, NULL, OPT_MARKDOWN}, /* for docs/options.md */
    {"options-man", no_argument, NULL, OPT_MAN},           /* for holdfast.conf(5) */
    {"options-file", no_argument, NULL, OPT_FILE_TEXT},    /* for package/holdfast.conf */
    {"metrics-markdown", no_argument, NULL, OPT_METRICS},  /* for docs/metrics.md */
    {"openapi", no_argument, NULL, OPT_OPENAPI},           /* for docs/openapi.json */
    {"events-markdown", no_argument, NULL, OPT_EVENTS},    /* for docs/events.md */
    {"man", no_argument, NULL, OPT_PAGE},                  /* for holdfast(8) */
    {"version", no_argument, NULL, OPT_VERSION},
    {"help", no_argument, NULL, 'h'},
    {NULL, 0, NULL, 0},
};

/* -1: go on; else the exit status. */
static int parse_args(int argc, char **argv, const char **file, bool *check)
{
    int opt;
    while ((opt = getopt_long(argc, argv, "c:h", long_options, NULL)) != -1) {
        switch (opt) {
        case 'c': *file = optarg; break;
        case OPT_CHECK: *check = true; break;
        case OPT_OPTIONS: conf_print_options(stdout); return 0;
        case OPT_MARKDOWN: conf_print_markdown(stdout); return 0;
        case OPT_MAN: conf_print_man(stdout); return 0;
        case OPT_FILE_TEXT: conf_print_file(stdout); return 0;
        case OPT_METRICS: metrics_print_markdown(stdout); return 0;
        case OPT_OPENAPI: return openapi_print(stdout) ? 0 : 1;
        case OPT_EVENTS: event_print_markdown(stdout); return 0;
        case OPT_PAGE: man_print(stdout); return 0;
        case OPT_VERSION: puts("holdfast " HOLDFAST_VERSION); return 0;
        case 'h': print_help(); return 0;
        default: fputs("Try 'holdfast --help'.\n", stderr); return EXIT_USAGE;
        }
    }
    if (optind == argc)
        return -1;
    fprintf(stderr, "holdfast: unexpected argument '%s'; try 'holdfast --help'.\n", argv[optind]);
    return EXIT_USAGE;
}

static int read_conf(const char *file, struct net_tls_keys *keys, struct conf **out)
{
    int err = conf_load(file, stderr, out);
    if (err != 0)
        return err;
    err = conf_open_tls(*out, keys, stderr);
    if (err != 0)
        conf_free(out);
    return err;
}

/* The keys outlive every context that uses them. */
static int run(const char *file, bool check, struct net_tls_keys *keys)
{
    struct conf *conf = NULL;
    if (read_conf(file, keys, &conf) != 0)
        return EXIT_CONF;
    if (!check)
        return daemon_run(conf, keys);
    printf("%s: no errors\n", file != NULL ? file : "embedded default");
    conf_free(&conf);
    return 0;
}

int main(int argc, char **argv)
{
    const char *file = NULL;
    bool check = false;
    struct net_tls_keys *keys = NULL;
    int status = parse_args(argc, argv, &file, &check);
    if (status >= 0)
        return fflush(stdout) == 0 ? status : 1;
    if (net_tls_keys_new(&keys) != 0) {
        fputs("holdfast: no memory\n", stderr);
        return 1;
    }
    status = run(file, check, keys);
    net_tls_keys_free(&keys);
    return status;
}
