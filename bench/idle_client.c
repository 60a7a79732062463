/* SPDX-License-Identifier: Apache-2.0 */
/* Opens many idle TCP or TLS connections to a SIP server, on demand registers a user over each, and
 * holds them until it is told to go on. One step is made for each line on standard input. */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include "lib/net.h"
#include "lib/text.h"

#include <arpa/inet.h>
#include <errno.h>
#include <getopt.h>
#include <openssl/ssl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define PER_SOURCE 20000U /* connections from one address: there are some 28,000 ports */
#define ANSWER_MS  5000

static const char usage[] =
    "bench_idle_client: holds idle TCP or TLS connections, for bench/idle\n"
    "\n"
    "  --target HOST:PORT  server (default 127.0.0.1:5060)\n"
    "  --connections N     1 to 200000 (default 10000)\n"
    "  --sources N         local addresses 127.0.0.1 to 127.0.0.N, 1 to 254 (default 1)\n"
    "  --rate R            connections per second (default 5000)\n"
    "  --tls VERSION       TLS, 1.2 or 1.3; the server is not verified (default plain TCP)\n"
    "  --seconds S         ends itself after this, 1 to 3600 (default 600)\n"
    "\n"
    "Reads commands, one a line: connect, register, alive, close; answers each with a line; ends at\n"
    "anything else.\n";

struct client {
    struct sockaddr_in target;
    unsigned connections;
    unsigned sources;
    unsigned rate;
    unsigned seconds;
    unsigned open;
    int *fd;
    SSL_CTX *ctx; /* NULL: plain TCP */
    SSL **ssl;
};

/* Keeps the pace: item `n` of a run that began at `begin` is due at begin + n / rate. */
static void pace(const struct client *c, const struct timespec *begin, unsigned n)
{
    uint64_t ns = (uint64_t)n * 1000000000U / c->rate + (uint64_t)begin->tv_nsec;
    struct timespec due = {.tv_sec = begin->tv_sec + (time_t)(ns / 1000000000U),
                           .tv_nsec = (long)(ns % 1000000000U)};

    while (clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &due, NULL) == EINTR)
        ;
}

static int connect_one(const struct client *c, unsigned i)
{
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    struct sockaddr_in local = {.sin_family = AF_INET};
    int on = 1;

    if (fd < 0)
        return -1;
    local.sin_addr.s_addr = htonl(INADDR_LOOPBACK + i % c->sources);
    (void)setsockopt(fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &on, sizeof(on));
    if (bind(fd, (struct sockaddr *)&local, sizeof(local)) < 0 ||
        connect(fd, (const struct sockaddr *)&c->target, sizeof(c->target)) < 0) {
        close(fd);
        return -1;
    }
    return fd;
}

/* Then TLS over it; every handshake is a full one. */
static bool secure_one(struct client *c, unsigned i)
{
    struct timeval limit = {.tv_sec = ANSWER_MS / 1000};

    (void)setsockopt(c->fd[i], SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit));
    c->ssl[i] = SSL_new(c->ctx);
    return c->ssl[i] && SSL_set_fd(c->ssl[i], c->fd[i]) == 1 && SSL_connect(c->ssl[i]) == 1;
}

static bool open_one(struct client *c, unsigned i)
{
    c->fd[i] = connect_one(c, i);
    if (c->fd[i] < 0)
        return false;
    if (!c->ctx || secure_one(c, i))
        return true;
    SSL_free(c->ssl[i]);
    c->ssl[i] = NULL;
    close(c->fd[i]);
    c->fd[i] = -1;
    return false;
}

static unsigned connect_all(struct client *c)
{
    struct timespec begin;
    unsigned good = 0;

    clock_gettime(CLOCK_MONOTONIC, &begin);
    for (unsigned i = 0; i < c->connections; i++) {
        pace(c, &begin, i);
        if (open_one(c, i))
            good++;
        else if (good == i)
            fprintf(stderr, "connection %u: %s\n", i, strerror(errno));
    }
    c->open = good;
    return good;
}

static bool send_register(const struct client *c, unsigned i)
{
    char buf[1024], here[32], server[32];
    struct sockaddr_in local;
    socklen_t len = sizeof(local);
    int n;

    if (getsockname(c->fd[i], (struct sockaddr *)&local, &len) < 0)
        return false;
    net_text(&local, here, sizeof(here));
    net_text(&c->target, server, sizeof(server));
    n = snprintf(buf, sizeof(buf),
                 "REGISTER sip:%s SIP/2.0\r\nVia: SIP/2.0/TCP %s;branch=z9hG4bKi%u;rport\r\n"
                 "Max-Forwards: 70\r\nFrom: <sip:u%u@%s>;tag=r%u\r\nTo: <sip:u%u@%s>\r\n"
                 "Call-ID: %u@idle.invalid\r\nCSeq: 1 REGISTER\r\n"
                 "Contact: <sip:u%u@%s;transport=tcp>\r\nExpires: 3600\r\n"
                 "User-Agent: bench\r\nContent-Length: 0\r\n\r\n",
                 server, here, i, i, server, i, i, server, i, i, here);
    if (n <= 0 || (size_t)n >= sizeof(buf))
        return false;
    if (c->ctx)
        return SSL_write(c->ssl[i], buf, n) == n;
    return send(c->fd[i], buf, (size_t)n, MSG_NOSIGNAL) == n;
}

static ssize_t read_some(const struct client *c, unsigned i, char *buf, size_t cap)
{
    struct pollfd wait = {.fd = c->fd[i], .events = POLLIN};

    if (c->ctx)
        return SSL_read(c->ssl[i], buf, (int)cap);
    return poll(&wait, 1, ANSWER_MS) == 1 ? recv(c->fd[i], buf, cap, 0) : -1;
}

/* The first bytes of the answer tell its status; the rest is read so that the socket is idle. */
static bool read_answer(const struct client *c, unsigned i)
{
    char buf[4096];
    size_t have = 0;

    while (have < sizeof(buf) - 1) {
        ssize_t n = read_some(c, i, buf + have, sizeof(buf) - 1 - have);

        if (n <= 0)
            return false;
        have += (size_t)n;
        if (memmem(buf, have, "\r\n\r\n", 4))
            break;
    }
    return have > 12 && memcmp(buf, "SIP/2.0 200", 11) == 0;
}

static unsigned register_all(const struct client *c)
{
    struct timespec begin;
    unsigned good = 0;

    clock_gettime(CLOCK_MONOTONIC, &begin);
    for (unsigned i = 0; i < c->connections; i++) {
        pace(c, &begin, i);
        if (c->fd[i] >= 0 && send_register(c, i) && read_answer(c, i))
            good++;
    }
    return good;
}

/* The server has sent nothing, but for tickets of TLS, and has not closed it. */
static bool is_alive(const struct client *c, unsigned i)
{
    struct pollfd end = {.fd = c->fd[i], .events = POLLRDHUP};
    char byte;

    if (c->ctx)
        return poll(&end, 1, 0) == 0;
    return recv(c->fd[i], &byte, 1, MSG_DONTWAIT | MSG_PEEK) < 0 && errno == EAGAIN;
}

static unsigned count_alive(const struct client *c)
{
    unsigned alive = 0;

    for (unsigned i = 0; i < c->connections; i++)
        if (c->fd[i] >= 0 && is_alive(c, i))
            alive++;
    return alive;
}

static void close_all(struct client *c)
{
    for (unsigned i = 0; i < c->connections; i++)
        if (c->fd[i] >= 0) {
            if (c->ctx) {
                (void)SSL_shutdown(c->ssl[i]);
                SSL_free(c->ssl[i]);
            }
            close(c->fd[i]);
            c->fd[i] = -1;
        }
}

static void serve(struct client *c)
{
    char line[64];

    while (fgets(line, sizeof(line), stdin)) {
        if (strcmp(line, "connect\n") == 0)
            printf("connected %u\n", connect_all(c));
        else if (strcmp(line, "register\n") == 0)
            printf("registered %u\n", register_all(c));
        else if (strcmp(line, "alive\n") == 0)
            printf("alive %u\n", count_alive(c));
        else if (strcmp(line, "close\n") == 0)
            printf("closed %u\n", (close_all(c), c->open));
        else
            break;
        (void)fflush(stdout);
    }
}

static bool read_number(const char *text, unsigned max, unsigned *v)
{
    uint64_t wide;

    if (!text_uint((struct str){text, strlen(text)}, max, &wide) || wide == 0)
        return false;
    *v = (unsigned)wide;
    return true;
}

static bool use_tls(struct client *c, const char *version)
{
    bool is_12 = strcmp(version, "1.2") == 0;
    int number = is_12 ? TLS1_2_VERSION : TLS1_3_VERSION;

    if (!is_12 && strcmp(version, "1.3") != 0)
        return false;
    c->ctx = SSL_CTX_new(TLS_client_method());
    if (!c->ctx)
        return false;
    (void)SSL_CTX_set_mode(c->ctx, SSL_MODE_RELEASE_BUFFERS);
    return SSL_CTX_set_min_proto_version(c->ctx, number) == 1 &&
           SSL_CTX_set_max_proto_version(c->ctx, number) == 1;
}

static bool read_options(struct client *c, int argc, char **argv)
{
    static const struct option options[] = {
        {"target", required_argument, NULL, 't'},  {"connections", required_argument, NULL, 'c'},
        {"sources", required_argument, NULL, 'a'}, {"rate", required_argument, NULL, 'r'},
        {"seconds", required_argument, NULL, 's'}, {"tls", required_argument, NULL, 'v'},
        {"help", no_argument, NULL, 'h'},          {NULL, 0, NULL, 0},
    };
    bool good = net_address("127.0.0.1:5060", &c->target);
    int id;

    c->connections = 10000;
    c->sources = 1;
    c->rate = 5000;
    c->seconds = 600;
    while (good && (id = getopt_long(argc, argv, "", options, NULL)) != -1) {
        switch (id) {
        case 't': good = net_address(optarg, &c->target); break;
        case 'c': good = read_number(optarg, 200000, &c->connections); break;
        case 'a': good = read_number(optarg, 254, &c->sources); break;
        case 'r': good = read_number(optarg, 1000000, &c->rate); break;
        case 's': good = read_number(optarg, 3600, &c->seconds); break;
        case 'v': good = use_tls(c, optarg); break;
        case 'h': fputs(usage, stdout); exit(0);
        default: good = false;
        }
    }
    if (good && c->connections > c->sources * PER_SOURCE)
        c->sources = (c->connections + PER_SOURCE - 1) / PER_SOURCE;
    return good && optind == argc;
}

int main(int argc, char **argv)
{
    struct client c = {.open = 0};
    struct rlimit limit;

    if (!read_options(&c, argc, argv)) {
        fputs(usage, stderr);
        return 2;
    }
    if (getrlimit(RLIMIT_NOFILE, &limit) == 0 && limit.rlim_max < c.connections + 64U) {
        limit.rlim_cur = limit.rlim_max = c.connections + 64U;
        if (setrlimit(RLIMIT_NOFILE, &limit) < 0)
            perror("RLIMIT_NOFILE");
    } else {
        limit.rlim_cur = limit.rlim_max;
        (void)setrlimit(RLIMIT_NOFILE, &limit);
    }
    c.fd = malloc(c.connections * sizeof(*c.fd));
    c.ssl = calloc(c.connections, sizeof(SSL *));
    if (!c.fd || !c.ssl)
        return 1;
    for (unsigned i = 0; i < c.connections; i++)
        c.fd[i] = -1;
    (void)signal(SIGPIPE, SIG_IGN); /* OpenSSL writes without MSG_NOSIGNAL */
    (void)alarm(c.seconds);         /* the default action of SIGALRM ends the program */
    serve(&c);
    close_all(&c);
    free(c.fd);
    free(c.ssl);
    SSL_CTX_free(c.ctx);
    return 0;
}
