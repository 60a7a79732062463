/* SPDX-License-Identifier: Apache-2.0 */
/* holdfastctl: gives one command to the running daemon by its control socket and prints the answer.
 */
#include <errno.h>
#include <getopt.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

#include "admin/wire.h"
#include "base/buf.h"
#include "holdfast_version.h"

enum { EXIT_REFUSED = 1, EXIT_USAGE = 2, EXIT_NO_DAEMON = 3 };

#define COMMAND_MAX  1024
#define PATH_MAX_LEN sizeof(((struct sockaddr_un *)0)->sun_path)
#define LINE_MAX_LEN 8192 /* the daemon's are shorter */
#define ANSWER_S     20   /* a daemon that is silent for so long is stuck */

static void print_help(void)
{
    puts(
        "Usage: holdfastctl [-s PATH] COMMAND [ARGUMENT]\n"
        "Asks the running holdfast, or tells it what to do.\n"
        "\n"
        "  -s, --socket PATH   control socket of the daemon (its option control-socket); default:\n"
        "                      " ADMIN_SYSTEM_PATH ", or that of your own daemon,\n"
        "                      $XDG_RUNTIME_DIR/" ADMIN_USER_NAME ", where there is one\n"
        "      --version       version\n"
        "  -h, --help          this text\n"
        "\n"
        "'holdfastctl help' lists the commands. Exit status: 0 done, 1 refused (no such call, no\n"
        "such DN), 2 wrong usage, 3 the daemon cannot be reached.");
}

/* The user's own daemon where its socket is there, else the system's. */
static const char *default_path(char *path, size_t cap)
{
    const char *user = getenv("XDG_RUNTIME_DIR");
    if (geteuid() != 0 && user != NULL && user[0] == '/') {
        int n = snprintf(path, cap, "%s/" ADMIN_USER_NAME, user);
        if (n > 0 && (size_t)n < cap && access(path, F_OK) == 0)
            return path;
    }
    snprintf(path, cap, "%s", ADMIN_SYSTEM_PATH);
    return path;
}

static int no_daemon(const char *path, int err)
{
    if (err == ENOENT || err == ECONNREFUSED)
        fprintf(stderr, "holdfastctl: the daemon is not running: nobody listens at %s\n", path);
    else if (err == EAGAIN)
        fprintf(stderr, "holdfastctl: the daemon at %s does not answer\n", path);
    else
        fprintf(stderr, "holdfastctl: %s: %s\n", path, strerror(err));
    return EXIT_NO_DAEMON;
}

/* The descriptor, or -1 with errno. */
static int open_socket(const char *path)
{
    struct sockaddr_un sa = {.sun_family = AF_UNIX};
    struct timeval limit = {.tv_sec = ANSWER_S};
    size_t len = strlen(path);
    if (len >= sizeof(sa.sun_path)) {
        errno = ENAMETOOLONG;
        return -1;
    }
    memcpy(sa.sun_path, path, len);
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return -1;
    (void)!setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit));
    (void)!setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof(limit));
    if (connect(fd, (const struct sockaddr *)(const void *)&sa, sizeof(sa)) == 0)
        return fd;
    int err = errno;
    close(fd);
    errno = err;
    return -1;
}

/* The words with a TAB behind each. False: too long, or with control characters. */
static bool write_command(struct buf *b, int n, char **words)
{
    for (int i = 0; i < n; i++) {
        for (const char *c = words[i]; *c != '\0'; c++)
            if ((unsigned char)*c < 0x20 || *c == 0x7f)
                return false;
        buf_str(b, words[i]);
        buf_char(b, '\t');
    }
    buf_char(b, '\n');
    return !b->overflow;
}

static bool send_all(int fd, struct slice bytes)
{
    size_t sent = 0;
    while (sent < bytes.len) {
        ssize_t n = send(fd, bytes.ptr + sent, bytes.len - sent, MSG_NOSIGNAL);
        if (n < 0 && errno != EINTR)
            return false;
        sent += n > 0 ? (size_t)n : 0;
    }
    return true;
}

/* A line that begins with one dot is the last one: the exit status. */
static int end_of(const char *line)
{
    if (strcmp(line, ADMIN_END_OK) == 0)
        return 0;
    bool is_usage = strncmp(line, ADMIN_END_USAGE " ", sizeof(ADMIN_END_USAGE)) == 0;
    const char *text = strchr(line, ' ');
    fprintf(stderr, "holdfastctl: %s\n", text != NULL ? text + 1 : line);
    return is_usage ? EXIT_USAGE : EXIT_REFUSED;
}

/* Prints lines as they come; the exit status of the answer. */
static int read_answer(FILE *in, const char *path)
{
    char line[LINE_MAX_LEN];
    int status = -1;
    errno = 0;
    while (status < 0 && fgets(line, sizeof(line), in) != NULL) {
        line[strcspn(line, "\n")] = '\0';
        if (line[0] != '.')
            puts(line);
        else if (line[1] == '.')
            puts(line + 1);
        else
            status = end_of(line);
    }
    if (status < 0)
        status = errno != 0 ? no_daemon(path, errno) : no_daemon(path, ECONNRESET);
    return status;
}

static int ask(const char *path, int n, char **words)
{
    char text[COMMAND_MAX + 1];
    struct buf b;
    buf_init(&b, text, sizeof(text));
    if (!write_command(&b, n, words)) {
        fputs("holdfastctl: the command is too long, or holds a control character\n", stderr);
        return EXIT_USAGE;
    }
    int fd = open_socket(path);
    if (fd < 0)
        return no_daemon(path, errno);
    /* Where the daemon refuses at once, it may close before it was asked: its line says why. */
    (void)send_all(fd, buf_get(&b));
    FILE *in = fdopen(fd, "r");
    if (in == NULL) {
        close(fd);
        return no_daemon(path, ENOMEM);
    }
    int status = read_answer(in, path);
    fclose(in);
    if (fflush(stdout) != 0 && status == 0) {
        perror("holdfastctl");
        status = EXIT_REFUSED;
    }
    return status;
}

enum { OPT_VERSION = 256 };

static const struct option long_options[] = {
    {"socket", required_argument, NULL, 's'},
    {"version", no_argument, NULL, OPT_VERSION},
    {"help", no_argument, NULL, 'h'},
    {NULL, 0, NULL, 0},
};

int main(int argc, char **argv)
{
    char buffer[PATH_MAX_LEN];
    const char *path = default_path(buffer, sizeof(buffer));
    int opt;
    while ((opt = getopt_long(argc, argv, "+s:h", long_options, NULL)) != -1) {
        switch (opt) {
        case 's': path = optarg; break;
        case OPT_VERSION: puts("holdfastctl " HOLDFAST_VERSION); return 0;
        case 'h': print_help(); return 0;
        default: fputs("Try 'holdfastctl --help'.\n", stderr); return EXIT_USAGE;
        }
    }
    if (optind == argc) {
        fputs("holdfastctl: no command; try 'holdfastctl --help'.\n", stderr);
        return EXIT_USAGE;
    }
    return ask(path, argc - optind, argv + optind);
}
